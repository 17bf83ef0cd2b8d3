//! How a rule parts its hits: `by`, `schedule`.

use super::reader::{Entry, Reader};
use crate::event::Field;
use crate::rule::Schedule;
use crate::rule::schedule::{check_cron, relative_seconds};
use crate::rule::spelling::alternatives;
use crate::rule::yaml::{Node, Value};

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

    /// Checks a cron expression, once for all rules that have it one after the other.
    fn cron(&mut self, text: &str) -> Result<(), String> {
        if self.cron.as_deref() != Some(text) {
            check_cron(text)?;
            self.cron = Some(text.to_owned());
        }
        Ok(())
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
                self.cron(&text).map(|()| 0)
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
