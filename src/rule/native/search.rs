//! What a rule makes of its hits: `by`, `aggregate`, `schedule`.

use super::reader::{Entry, Reader, clip};
use crate::event::Field;
use crate::rule::schedule::{check_cron, relative_seconds};
use crate::rule::spelling::{alternatives, nearest};
use crate::rule::yaml::{Node, Value};
use crate::rule::{Column, Function, Schedule};

/// The functions as rules write them.
const FUNCTIONS: [&str; 4] = ["count", "min(_time)", "max(_time)", "values(FIELD)"];

/// What a row has beside its groups and columns.
const ROW_KEYS: [&str; 5] = ["rule", "window", "sensor", "partial", "event_id"];

impl Reader<'_> {
    pub(super) fn by(&mut self, node: &Node) -> Vec<Field> {
        let mut fields = Vec::new();
        for item in self.items(node, "by") {
            let Value::Scalar { text, .. } = &item.value else {
                self.wrong(item, "a field of by", "the name of a field");
                continue;
            };
            let Some(field) = self.field(item.place, text, "by") else {
                continue;
            };
            if fields.contains(&field) {
                self.mistakes.add(
                    item.place,
                    format!("`{text}` a second time in by; expected each field once"),
                );
            } else {
                fields.push(field);
            }
        }
        fields
    }

    pub(super) fn columns(&mut self, node: &Node, by: &[Field]) -> Vec<Column> {
        let Some(entries) = self.entries(
            node,
            "aggregate",
            "a mapping from column names to functions",
        ) else {
            return Vec::new();
        };
        if entries.is_empty() {
            self.mistakes.add(
                node.place,
                "aggregate is empty; expected a column and its function, such as `count: count`",
            );
        }
        let mut columns = Vec::new();
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
            if let Some(function) = self.function(node, name) {
                columns.push(Column {
                    name: name.to_owned(),
                    function,
                });
            }
        }
        columns
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
        match (name, argument) {
            (_, None) => {
                self.mistakes.add(
                    node.place,
                    format!(
                        "'{}' has no closing parenthesis; expected {}",
                        clip(text),
                        alternatives(&FUNCTIONS)
                    ),
                );
                None
            }
            ("count", Some("")) => Some(Function::Count),
            ("min", Some("_time")) => Some(Function::MinTime),
            ("max", Some("_time")) => Some(Function::MaxTime),
            ("values", Some(field)) if !field.is_empty() => self
                .field(node.place, field, "aggregate")
                .map(Function::Values),
            ("count" | "min" | "max" | "values", Some(argument)) => {
                self.mistakes.add(
                    node.place,
                    format!(
                        "{name} does not take '{}'; expected {}",
                        clip(argument),
                        alternatives(&FUNCTIONS)
                    ),
                );
                None
            }
            _ => {
                let message = match nearest(name, ["count", "min", "max", "values"]).as_slice() {
                    [] => format!("expected {}", alternatives(&FUNCTIONS)),
                    near => format!("did you mean {}?", alternatives(near)),
                };
                self.mistakes.add(
                    node.place,
                    format!("there is no function '{}'; {message}", clip(name)),
                );
                None
            }
        }
    }

    pub(super) fn schedule(&mut self, node: &Node, cut: bool) -> Option<Schedule> {
        const KEYS: [&str; 3] = ["cron", "earliest", "latest"];
        let entries = self.mapping(node, "schedule", &KEYS)?;
        let mut texts = [None, None, None];
        let mut seconds = [None, None, None];
        for Entry { key, node, .. } in &entries {
            let Some(text) = self.text(node, key) else {
                continue;
            };
            let checked = if *key == "cron" {
                check_cron(&text).map(|()| 0)
            } else {
                relative_seconds(&text)
            };
            let place = KEYS.iter().position(|known| known == key)?;
            match checked {
                Ok(offset) => *seconds.get_mut(place)? = Some(offset),
                Err(message) => self.mistakes.add(node.place, message),
            }
            *texts.get_mut(place)? = Some(text);
        }
        if entries.len() < KEYS.len() && !cut {
            let missing: Vec<&str> = KEYS
                .iter()
                .copied()
                .filter(|key| !entries.iter().any(|entry| entry.key == *key))
                .collect();
            self.mistakes.add(
                node.place,
                format!(
                    "the schedule is not complete; expected {} too",
                    alternatives(&missing)
                ),
            );
        }
        let [cron, earliest, latest] = texts;
        if let [_, Some(from), Some(to)] = seconds
            && from >= to
            && let (Some(earliest), Some(latest)) = (&earliest, &latest)
        {
            self.mistakes.add(
                node.place,
                format!("earliest ({earliest}) is not before latest ({latest}); expected a span such as -70m@m to -10m@m"),
            );
        }
        Some(Schedule {
            cron: cron?,
            earliest: earliest?,
            latest: latest?,
        })
    }
}
