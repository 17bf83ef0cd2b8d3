//! What a rule makes of a group: `aggregate`, `having`.

use std::collections::HashSet;

use super::reader::Reader;
use crate::event::{Field, Type, billionths};
use crate::rule::column::MOST_VALUES;
use crate::rule::spelling::{alternatives, clip, expected, nearest};
use crate::rule::yaml::{Node, Place, Value};
use crate::rule::{Column, Function, Relation, Threshold};

/// The functions as rules write them.
const FUNCTIONS: [&str; 8] = [
    "count",
    "min(FIELD)",
    "max(FIELD)",
    "sum(FIELD)",
    "avg(FIELD)",
    "stdev(FIELD)",
    "dc(FIELD)",
    "values(FIELD)",
];

/// Their names.
const NAMES: [&str; 8] = ["count", "min", "max", "sum", "avg", "stdev", "dc", "values"];

/// What a row has beside its groups and columns.
pub(super) const ROW_KEYS: [&str; 5] = ["rule", "window", "sensor", "partial", "event_id"];

/// What a column can be held against.
const OPERATORS: [&str; 6] = ["=", "!=", "<", "<=", ">", ">="];

impl Reader<'_> {
    pub(super) fn columns(&mut self, node: &Node, by: &[Field]) -> Vec<Column> {
        let Some(entries) = self.some_entries(
            node,
            "aggregate",
            "a mapping from column names to functions",
            "a column and its function, such as `count: count`",
        ) else {
            return Vec::new();
        };
        let mut columns = Vec::new();
        let mut places = Vec::new();
        for (name, place, node) in entries {
            let word = name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && name
                    .bytes()
                    .next()
                    .is_some_and(|first| !first.is_ascii_digit())
                && name.len() <= 64;
            if !word {
                self.mistakes.add(
                    place,
                    format!(
                        "'{}' cannot name a column; expected letters, digits and _, at most 64",
                        clip(name)
                    ),
                );
            } else if ROW_KEYS.contains(&name) || by.iter().any(|field| field.name() == name) {
                self.mistakes.add(
                    place,
                    format!("the row has a `{name}` already; expected another name for the column"),
                );
            }
            // A column whose function is a mistake is still one, so that no other mistake is made of that.
            columns.push(Column {
                name: name.to_owned(),
                function: self.function(node, name).unwrap_or(Function::Count),
            });
            places.push(place);
        }
        self.check_further_names(&columns, &places, by);
        columns
    }

    /// What rows have beside a column is named after it, and nothing else may have that name.
    fn check_further_names(&mut self, columns: &[Column], places: &[Place], by: &[Field]) {
        let mut taken: HashSet<String> = ROW_KEYS.into_iter().map(str::to_owned).collect();
        taken.extend(by.iter().map(|field| field.name().to_owned()));
        taken.extend(columns.iter().map(|column| column.name.clone()));
        for (column, place) in columns.iter().zip(places) {
            for further in column.further_names() {
                if taken.contains(&further) {
                    self.mistakes.add(
                        *place,
                        format!(
                            "beside `{}` a row may have a `{further}`, which it has already; expected another name for one of them",
                            column.name
                        ),
                    );
                }
                taken.insert(further);
            }
        }
    }

    fn function(&mut self, node: &Node, column: &str) -> Option<Function> {
        let Value::Scalar { text, .. } = &node.value else {
            self.wrong(
                node,
                &format!("the column `{}`", clip(column)),
                &format!("a function: {}", alternatives(&FUNCTIONS)),
            );
            return None;
        };
        let text = text.trim();
        let (name, argument) = match text.split_once('(') {
            Some((name, rest)) => (name.trim_end(), rest.strip_suffix(')').map(str::trim)),
            None => (text, Some("")),
        };
        let Some(argument) = argument else {
            self.mistakes.add(
                node.place,
                format!(
                    "'{}' has no closing parenthesis; expected {}",
                    clip(text),
                    alternatives(&FUNCTIONS)
                ),
            );
            return None;
        };
        if !NAMES.contains(&name) {
            let message = match nearest(name, NAMES).as_slice() {
                [] => format!("expected {}", alternatives(&FUNCTIONS)),
                near => format!("did you mean {}?", alternatives(near)),
            };
            self.mistakes.add(
                node.place,
                format!("there is no function '{}'; {message}", clip(name)),
            );
            return None;
        }
        if (name == "count") != argument.is_empty() {
            self.mistakes.add(
                node.place,
                format!(
                    "{name} does not take '{}'; expected {}",
                    clip(argument),
                    alternatives(&FUNCTIONS)
                ),
            );
            return None;
        }
        if name == "count" {
            return Some(Function::Count);
        }
        let field = self.field(node.place, argument, "aggregate")?;
        let of_numbers: Option<fn(Field) -> Function> = match name {
            "sum" => Some(Function::Sum),
            "avg" => Some(Function::Avg),
            "stdev" => Some(Function::Stdev),
            _ => None,
        };
        if let Some(function) = of_numbers {
            return self.is_number(node, name, field).then(|| function(field));
        }
        Some(match (name, field) {
            ("min", Field::Time) => Function::MinTime,
            ("max", Field::Time) => Function::MaxTime,
            ("min", _) => Function::Min(field),
            ("max", _) => Function::Max(field),
            ("dc", _) => Function::Dc(field),
            _ => Function::Values(field),
        })
    }

    /// Whether a field is of numbers, as the function of that name needs it.
    fn is_number(&mut self, node: &Node, function: &str, field: Field) -> bool {
        if matches!(field.value_type(), Type::Number | Type::Any) {
            return true;
        }
        let numbers: Vec<&str> = Field::ALL
            .iter()
            .chain(Field::DERIVED)
            .filter(|field| field.value_type() == Type::Number)
            .map(|field| field.name())
            .collect();
        self.mistakes.add(
            node.place,
            format!(
                "{function} takes numbers, and `{}` is none; expected {}",
                field.name(),
                alternatives(&numbers)
            ),
        );
        false
    }

    pub(super) fn having(&mut self, node: &Node, columns: &[Column]) -> Vec<Threshold> {
        let Some(entries) = self.some_entries(
            node,
            "having",
            "a mapping from columns to thresholds",
            "a column and its threshold, such as `count: { \">\": 50 }`",
        ) else {
            return Vec::new();
        };
        let mut thresholds = Vec::new();
        for (name, place, node) in entries {
            let found = columns
                .iter()
                .enumerate()
                .find(|(_, column)| column.name == name);
            let Some((place_of, column)) = found else {
                let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
                self.mistakes.add(
                    place,
                    format!(
                        "`{}` in having is no column of the rule; {}",
                        clip(name),
                        expected(name, &names)
                    ),
                );
                continue;
            };
            if !column.function.is_number() {
                let numbers: Vec<&str> = columns
                    .iter()
                    .filter(|column| column.function.is_number())
                    .map(|column| column.name.as_str())
                    .collect();
                let remedy = match numbers.as_slice() {
                    [] => "expected a column such as `count: count`".to_owned(),
                    _ => format!("expected {}", alternatives(&numbers)),
                };
                self.mistakes
                    .add(place, format!("the column `{name}` is no number; {remedy}"));
                continue;
            }
            thresholds.extend(self.thresholds(node, place_of, column));
        }
        thresholds
    }

    /// What one column must come to.
    fn thresholds(&mut self, node: &Node, place: usize, column: &Column) -> Vec<Threshold> {
        let what = format!("the threshold of `{}`", column.name);
        let Value::Mapping(_) = &node.value else {
            self.wrong(node, &what, "an operator and a number, as in { \">\": 50 }");
            return Vec::new();
        };
        let Some(entries) = self.mapping(node, &what, &OPERATORS) else {
            return Vec::new();
        };
        if entries.is_empty() {
            self.wrong(node, &what, "an operator and a number, as in { \">\": 50 }");
        }
        let mut thresholds = Vec::new();
        for entry in &entries {
            let number = match &entry.node.value {
                Value::Scalar { text, plain: true } => billionths(text),
                _ => None,
            };
            let Some(number) = number else {
                let found = match &entry.node.value {
                    Value::Scalar { text, .. } => format!("'{}'", clip(text)),
                    _ => entry.node.kind().to_owned(),
                };
                self.mistakes.add(
                    entry.node.place,
                    format!("{what} is {found}; expected a number such as 50 or 0.5"),
                );
                continue;
            };
            if let Function::Values(field) = column.function
                && billionths(&MOST_VALUES.to_string()).is_some_and(|most| number > most)
            {
                self.mistakes.add(
                    entry.node.place,
                    format!(
                        "values lists {MOST_VALUES} at most; expected a number up to that, or a column dc({})",
                        field.name()
                    ),
                );
            }
            thresholds.push(Threshold {
                column: place,
                negated: entry.key == "!=",
                // What is left is equality, or, negated, its opposite.
                relation: Relation::from_symbol(entry.key).unwrap_or(Relation::Equal),
                number,
            });
        }
        thresholds
    }
}
