//! The selections of a rule and the condition that joins them, as one condition of an event.

use std::collections::{BTreeMap, HashSet};

use rsigma_parser::ast::{Detection, Detections, SelectorPattern};
use rsigma_parser::{ConditionExpr, Quantifier};

use crate::rule::mistake::Mistakes;
use crate::rule::spelling::{clip, expected};
use crate::rule::yaml::{Node, Place, Value};
use crate::rule::{Condition, Mistake};

/// The most parts that a rule's condition may come to: selections that it names twice count twice.
const PARTS: usize = 200_000;

/// The most selections of which a condition may ask for some number that is neither one nor all.
const COUNTED: usize = 12;

pub(super) const KEYWORDS: &str = "keywords are looked for in a whole line of a log, and a lookup is no line; expected the field to look in, such as `query|contains`";

/// Reads selections, and notes what is wrong with them.
pub(super) struct Translator<'m> {
    pub(super) mistakes: &'m mut Mistakes,
    /// What is taken, but not as the rule may mean it.
    pub(super) warnings: Vec<Mistake>,
    /// What was said already: a selection that is named twice has its mistakes once.
    said: HashSet<(Place, String), ahash::RandomState>,
    parts: usize,
    /// How many mistakes were found.
    pub(super) found: usize,
}

/// The selections of one rule.
struct Selections<'a> {
    /// In the order of their names, so that the same file gives the same rule.
    named: BTreeMap<&'a str, &'a Detection>,
    /// Where they stand in the file.
    node: Option<&'a Node>,
    place: Place,
}

impl<'m> Translator<'m> {
    pub(super) fn new(mistakes: &'m mut Mistakes) -> Self {
        Self {
            mistakes,
            warnings: Vec::new(),
            said: HashSet::default(),
            parts: 0,
            found: 0,
        }
    }

    pub(super) fn mistake(&mut self, place: Place, message: impl Into<String>) {
        let message = message.into();
        if self.said.insert((place, message.clone())) {
            self.found = self.found.saturating_add(1);
            self.mistakes.add(place, message);
        }
    }

    pub(super) fn warn(&mut self, (line, column): Place, message: impl Into<String>) {
        let message = message.into();
        if self.said.insert(((line, column), message.clone())) {
            self.warnings.push(Mistake {
                file: std::sync::Arc::clone(self.mistakes.file()),
                line,
                column,
                message,
            });
        }
    }

    /// What an event must be for the detections' condition to hold, of several conditions for any of them. `node` is where
    /// they stand, as far as that is known.
    pub(super) fn detections(
        &mut self,
        detections: &Detections,
        node: Option<&Node>,
        place: Place,
    ) -> Condition {
        let selections = Selections {
            named: detections
                .named
                .iter()
                .map(|(name, detection)| (name.as_str(), detection))
                .collect(),
            node,
            place,
        };
        let place = entry(node, "condition").map_or(place, |(_, node)| node.place);
        if detections.timeframe.is_some() {
            self.warn(place, "`timeframe` belongs to the aggregations of old rules and does nothing here; a correlation rule has a `timespan`");
        }
        let any: Vec<Condition> = detections
            .conditions
            .iter()
            .map(|expression| self.expression(expression, &selections, place, true))
            .collect();
        Condition::any_of(any)
    }

    fn expression(
        &mut self,
        expression: &ConditionExpr,
        selections: &Selections<'_>,
        place: Place,
        selects: bool,
    ) -> Condition {
        match expression {
            ConditionExpr::And(parts) => Condition::All(
                parts
                    .iter()
                    .map(|part| self.expression(part, selections, place, selects))
                    .collect(),
            ),
            ConditionExpr::Or(parts) => Condition::Any(
                parts
                    .iter()
                    .map(|part| self.expression(part, selections, place, selects))
                    .collect(),
            ),
            ConditionExpr::Not(part) => {
                Condition::Not(Box::new(self.expression(part, selections, place, !selects)))
            }
            ConditionExpr::Identifier(name) => {
                let known = selections.named.contains_key(name.as_str());
                if !known {
                    let names: Vec<&str> = selections.named.keys().copied().collect();
                    self.mistake(
                        place,
                        format!(
                            "the condition names `{}`, and there is no such selection; {}",
                            clip(name),
                            expected(name, &names)
                        ),
                    );
                    return Condition::default();
                }
                self.named(name, selections, selects)
            }
            ConditionExpr::Selector {
                quantifier,
                pattern,
            } => {
                let names: Vec<&str> = selections
                    .named
                    .keys()
                    .copied()
                    .filter(|name| pattern.matches_detection_name(name))
                    .collect();
                if names.is_empty() {
                    let asked = match pattern {
                        SelectorPattern::Them => "them",
                        SelectorPattern::Pattern(pattern) => pattern,
                    };
                    self.mistake(place, format!("the condition asks of `{}`, and no selection has such a name; expected one of the names", clip(asked)));
                    return Condition::default();
                }
                let parts: Vec<Condition> = names
                    .iter()
                    .map(|name| self.named(name, selections, selects))
                    .collect();
                match quantifier {
                    Quantifier::Any => Condition::Any(parts),
                    Quantifier::All => Condition::All(parts),
                    Quantifier::Count(wanted) => self.at_least(*wanted, &parts, place),
                }
            }
        }
    }

    /// That so many of these hold: any of the ways to choose them.
    fn at_least(&mut self, wanted: u64, parts: &[Condition], place: Place) -> Condition {
        if parts.len() > COUNTED {
            self.mistake(place, format!("the condition asks for {wanted} of {} selections; expected 1, all, or some of at most {COUNTED}", parts.len()));
            return Condition::default();
        }
        let choices =
            (0..1u32 << parts.len()).filter(|choice| u64::from(choice.count_ones()) == wanted);
        Condition::Any(
            choices
                .map(|choice| {
                    let chosen = parts
                        .iter()
                        .enumerate()
                        .filter(|(place, _)| choice & (1 << place) != 0);
                    Condition::All(chosen.map(|(_, part)| part.clone()).collect())
                })
                .collect(),
        )
    }

    fn named(&mut self, name: &str, selections: &Selections<'_>, selects: bool) -> Condition {
        let Some(detection) = selections.named.get(name) else {
            return Condition::default();
        };
        let found = entry(selections.node, name);
        let place = found.map_or(selections.place, |(key, _)| key.place);
        self.detection(detection, found.map(|(_, node)| node), place, selects)
    }

    fn detection(
        &mut self,
        detection: &Detection,
        node: Option<&Node>,
        place: Place,
        selects: bool,
    ) -> Condition {
        self.parts = self.parts.saturating_add(1);
        if self.parts > PARTS {
            self.mistake(
                place,
                format!("the condition comes to more than {PARTS} parts; expected less"),
            );
            return Condition::default();
        }
        match detection {
            Detection::AllOf(items) => {
                let entries = match node.map(|node| &node.value) {
                    Some(Value::Mapping(entries)) => entries.as_slice(),
                    _ => &[],
                };
                if items.is_empty() {
                    self.mistake(place, "an empty selection, which would match everything; expected a field and its values");
                }
                let mut parts: Vec<Condition> = Vec::new();
                for (number, item) in items.iter().enumerate() {
                    self.parts = self.parts.saturating_add(1);
                    let entry = entries.get(number);
                    let place = entry.map_or(place, |(key, _)| key.place);
                    let values = entry.map(|(_, node)| node);
                    parts.push(self.item(item, place, values, selects));
                }
                match parts.len() {
                    1 => parts.pop().unwrap_or_default(),
                    _ => Condition::All(parts),
                }
            }
            Detection::AnyOf(several) => {
                let nodes = match node.map(|node| &node.value) {
                    Some(Value::Sequence(items)) => items.as_slice(),
                    _ => &[],
                };
                Condition::Any(
                    several
                        .iter()
                        .enumerate()
                        .map(|(number, detection)| {
                            let node = nodes.get(number);
                            let place = node.map_or(place, |node| node.place);
                            self.detection(detection, node, place, selects)
                        })
                        .collect(),
                )
            }
            Detection::Keywords(_) => {
                self.mistake(place, KEYWORDS);
                Condition::default()
            }
            Detection::ArrayMatch { .. } | Detection::And(_) | Detection::Conditional { .. } => {
                self.mistake(place, "what stands in brackets after a field is not of Sigma 2; expected the field alone, of which any value may match");
                Condition::default()
            }
        }
    }
}

/// An entry of a mapping.
pub(super) fn entry<'a>(node: Option<&'a Node>, wanted: &str) -> Option<(&'a Node, &'a Node)> {
    let Value::Mapping(entries) = &node?.value else {
        return None;
    };
    entries
        .iter()
        .find(|(key, _)| matches!(&key.value, Value::Scalar { text, .. } if text == wanted))
        .map(|(key, node)| (key, node))
}
