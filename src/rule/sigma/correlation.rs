//! Correlation rules: their types, conditions, groups and aliases, in our words.

use std::time::Duration;

use rsigma_parser::ast::{ConditionOperator, CorrelationCondition, CorrelationType, WindowMode};
use rsigma_parser::{ConditionExpr, CorrelationRule, Quantifier};

use super::detection::{Translator, entry};
use super::field::{self, Meaning};
use crate::event::{Field, Type};
use crate::rule::spelling::{clip, expected};
use crate::rule::yaml::{Node, Place};
use crate::rule::{
    Bound, Column, Correlation, Expression, Function, Measure, Part, Relation, default_columns,
};

/// The longest span: what is looked at together must be remembered.
const LONGEST: Duration = Duration::from_secs(400 * 86_400);

/// The most rules of a correlation.
const PARTS: usize = 1_000;

impl Translator<'_> {
    pub(super) fn correlation(
        &mut self,
        sigma: &CorrelationRule,
        node: Option<&Node>,
        place: Place,
    ) -> Correlation {
        let at = |key: &str| entry(node, key).map_or(place, |(_, node)| node.place);
        let span = Duration::from_secs(sigma.timespan.seconds);
        if span.is_zero() || span > LONGEST {
            let place = if entry(node, "timespan").is_some() {
                at("timespan")
            } else {
                at("timeframe")
            };
            self.mistake(
                place,
                format!(
                    "the timespan '{}'; expected from 1s to 400d",
                    clip(&sigma.timespan.original)
                ),
            );
        }
        if sigma.window != WindowMode::Sliding {
            self.mistake(
                at("window"),
                "`window` is not of Sigma; expected none: the timespan slides",
            );
        }
        if sigma.rules.is_empty() || sigma.rules.len() > PARTS {
            self.mistake(
                at("rules"),
                format!(
                    "the correlation is of {} rules; expected 1 to {PARTS}, by name or id",
                    sigma.rules.len()
                ),
            );
        }
        let parts = sigma
            .rules
            .iter()
            .map(|called| Part {
                called: called.clone(),
                place: usize::MAX,
                by: self.groups(sigma, called, at("group-by"), at("aliases")),
            })
            .collect();
        let is_there = entry(node, "condition").is_some() || node.is_none();
        let (measure, bounds) = self.measure(sigma, is_there, at("condition"));
        Correlation {
            parts,
            span,
            measure,
            bounds,
            generate: sigma.generate,
        }
    }

    /// The fields of one rule's hits that make the groups.
    fn groups(
        &mut self,
        sigma: &CorrelationRule,
        called: &str,
        place: Place,
        aliases: Place,
    ) -> Vec<Field> {
        let mut by = Vec::new();
        for name in &sigma.group_by {
            let alias = sigma.aliases.iter().find(|alias| alias.alias == *name);
            let field = match alias {
                None => self.one_field(name, "group-by", place),
                Some(alias) => match alias.mapping.get(called) {
                    Some(name) => self.one_field(name, "aliases", aliases),
                    None => {
                        self.mistake(aliases, format!("the alias `{}` says nothing of `{}`; expected the field that it is there", clip(name), clip(called)));
                        None
                    }
                },
            };
            let Some(field) = field else { continue };
            if by.contains(&field) {
                self.mistake(
                    place,
                    format!(
                        "`{}` a second time in group-by; expected each field once",
                        field.name()
                    ),
                );
            }
            by.push(field);
        }
        by
    }

    /// The field of an event that a name is.
    fn one_field(&mut self, name: &str, what: &str, place: Place) -> Option<Field> {
        match field::meaning(name) {
            Some(Meaning::Field(field)) => Some(field),
            Some(Meaning::Coded(_)) => {
                self.mistake(place, format!("`{}` in {what} is another field here, value by value; expected a field of the event (docs/rules.md)", clip(name)));
                None
            }
            Some(Meaning::Unseen(why)) => {
                self.mistake(place, format!("`{}` in {what} is what no packet shows: {why}; expected a field of a lookup", clip(name)));
                None
            }
            None => {
                self.mistake(
                    place,
                    format!(
                        "`{}` in {what} is nothing that an event has; {}",
                        clip(name),
                        field::expected(name)
                    ),
                );
                None
            }
        }
    }

    fn measure(
        &mut self,
        sigma: &CorrelationRule,
        is_there: bool,
        place: Place,
    ) -> (Measure, Vec<Bound>) {
        let (predicates, fields, percentile, expression) = match &sigma.condition {
            CorrelationCondition::Threshold {
                predicates,
                field,
                percentile,
            } => (
                predicates.as_slice(),
                field.as_deref().unwrap_or_default(),
                *percentile,
                None,
            ),
            CorrelationCondition::Extended(expression) => {
                (&[][..], &[][..], None, Some(expression))
            }
        };
        let mut bounds = Vec::new();
        for (operator, number) in predicates {
            let (relation, negated) = match operator {
                ConditionOperator::Lt => (Relation::Less, false),
                ConditionOperator::Lte => (Relation::AtMost, false),
                ConditionOperator::Gt => (Relation::Greater, false),
                ConditionOperator::Gte => (Relation::AtLeast, false),
                ConditionOperator::Eq => (Relation::Equal, false),
                ConditionOperator::Neq => (Relation::Equal, true),
            };
            // A negative number comes as one near the end of the range.
            if i64::try_from(*number).is_err() {
                self.mistake(
                    place,
                    "a negative number in the condition; expected 0 or more",
                );
            }
            let number = i128::from(*number).saturating_mul(1_000_000_000);
            bounds.push(Bound {
                relation,
                negated,
                number,
            });
        }
        let expression =
            expression.and_then(|found| self.parts_expression(found, &sigma.rules, place));
        let is_temporal = matches!(
            sigma.correlation_type,
            CorrelationType::Temporal | CorrelationType::TemporalOrdered
        );
        if !is_temporal && matches!(sigma.condition, CorrelationCondition::Extended(_)) {
            self.mistake(place, format!("a condition of rules' names is for temporal correlations; expected a number, such as {{ gte: 10 }}, for {}", sigma.correlation_type.as_str()));
        }
        let measure = match sigma.correlation_type {
            CorrelationType::EventCount => Measure::Count,
            CorrelationType::ValueCount => Measure::Distinct(self.values(fields, false, place)),
            CorrelationType::Temporal | CorrelationType::TemporalOrdered => {
                if !is_there {
                    bounds.clear();
                }
                match sigma.correlation_type {
                    CorrelationType::Temporal => Measure::Together(expression),
                    _ => Measure::Ordered(expression),
                }
            }
            kind => {
                let field = self
                    .values(fields, true, place)
                    .first()
                    .copied()
                    .unwrap_or(Field::AnswerCount);
                let percentile = u8::try_from(percentile.unwrap_or(50))
                    .ok()
                    .filter(|percent| *percent <= 100);
                if percentile.is_none() {
                    self.mistake(place, "the percentile is more than 100; expected 0 to 100");
                }
                match kind {
                    CorrelationType::ValueSum => Measure::Sum(field),
                    CorrelationType::ValueAvg => Measure::Average(field),
                    CorrelationType::ValueMedian => Measure::Percentile(field, 50),
                    _ => Measure::Percentile(field, percentile.unwrap_or(50)),
                }
            }
        };
        (measure, bounds)
    }

    /// The fields whose values are counted or computed with.
    fn values(&mut self, names: &[String], one_number: bool, place: Place) -> Vec<Field> {
        let fields: Vec<Field> = names
            .iter()
            .filter_map(|name| self.one_field(name, "the condition", place))
            .collect();
        if names.is_empty() || (one_number && names.len() > 1) {
            let wanted = if one_number {
                "one `field`, a number"
            } else {
                "`field`"
            };
            self.mistake(
                place,
                format!(
                    "the condition names {} fields; expected {wanted}",
                    names.len()
                ),
            );
        }
        if one_number
            && let Some(field) = fields
                .iter()
                .find(|field| field.value_type() != Type::Number)
        {
            self.mistake(
                place,
                format!(
                    "`{}` in the condition is no number; expected a field that is one",
                    field.name()
                ),
            );
        }
        fields
    }

    /// An expression of the rules' names.
    fn parts_expression(
        &mut self,
        expression: &ConditionExpr,
        rules: &[String],
        place: Place,
    ) -> Option<Expression> {
        let mut several = |parts: &[ConditionExpr]| -> Option<Vec<Expression>> {
            parts
                .iter()
                .map(|part| self.parts_expression(part, rules, place))
                .collect()
        };
        match expression {
            ConditionExpr::And(parts) => several(parts).map(Expression::All),
            ConditionExpr::Or(parts) => several(parts).map(Expression::Any),
            ConditionExpr::Not(part) => self
                .parts_expression(part, rules, place)
                .map(|part| Expression::Not(Box::new(part))),
            ConditionExpr::Identifier(name) => {
                let found = rules.iter().position(|rule| rule == name);
                if found.is_none() {
                    let names: Vec<&str> = rules.iter().map(String::as_str).collect();
                    self.mistake(
                        place,
                        format!(
                            "the condition names `{}`, which is not among the rules; {}",
                            clip(name),
                            expected(name, &names)
                        ),
                    );
                }
                found.map(Expression::Part)
            }
            ConditionExpr::Selector {
                quantifier,
                pattern,
            } => {
                let parts: Vec<Expression> = rules
                    .iter()
                    .enumerate()
                    .filter(|(_, rule)| pattern.matches_detection_name(rule))
                    .map(|(number, _)| Expression::Part(number))
                    .collect();
                match quantifier {
                    Quantifier::Any if !parts.is_empty() => Some(Expression::Any(parts)),
                    Quantifier::All if !parts.is_empty() => Some(Expression::All(parts)),
                    _ => {
                        self.mistake(place, "the condition asks for some of the rules that are neither one nor all, or of none; expected `1 of` or `all of` names that there are");
                        None
                    }
                }
            }
        }
    }
}

/// The columns of a correlation's rows: those of any rule without its own, and what was computed over the hits of a row, or,
/// where rows cannot compute it, of what.
pub(super) fn columns(measure: &Measure, by: &[Field]) -> Vec<Column> {
    let mut columns = default_columns(by);
    let values = |field: &Field| (field.name(), Function::Values(*field));
    let further = match measure {
        Measure::Count | Measure::Together(_) | Measure::Ordered(_) => Vec::new(),
        Measure::Distinct(fields) => fields.iter().map(values).collect(),
        Measure::Sum(field) => vec![("value", Function::Sum(*field))],
        Measure::Average(field) => vec![("value", Function::Avg(*field))],
        Measure::Percentile(field, _) => vec![values(field)],
    };
    for (name, function) in further {
        let is_there = by.iter().any(|field| field.name() == name)
            || columns.iter().any(|column| column.name == name);
        if !is_there {
            columns.push(Column {
                name: name.to_owned(),
                function,
            });
        }
    }
    columns
}
