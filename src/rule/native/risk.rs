//! What a rule says of a hit: `risk`.

use super::reader::{Entry, Reader};
use crate::event::Field;
use crate::rule::spelling::{alternatives, expected};
use crate::rule::yaml::{Node, Value};
use crate::rule::{Risk, RiskObject, RiskObjectType, Rule};

impl Reader<'_> {
    pub(super) fn risk(&mut self, node: &Node, rule: &Rule, cut: bool) -> Option<Risk> {
        if matches!(node.value, Value::Scalar { .. }) {
            let score = self.number(node, "risk", 0, 100)?;
            if !rule.by.contains(&Field::Src) {
                self.mistakes.add(node.place, "a score alone is that of src, which by does not name; expected src in by, or message and objects");
            }
            let message = format!("$src$ looked up a name of the rule {}.", rule.name);
            let object = RiskObject {
                field: Field::Src,
                object_type: RiskObjectType::System,
                score: u8::try_from(score).ok()?,
            };
            return Some(Risk {
                message,
                objects: vec![object],
            });
        }
        let entries = self.mapping(node, "risk", &["message", "objects"])?;
        let (mut message, mut objects) = (None, Vec::new());
        for Entry { key, node, .. } in &entries {
            if *key == "message" {
                message = self.text(node, "message");
                if let Some(message) = &message {
                    self.tokens(node, message, rule);
                }
            } else {
                objects = self
                    .items(node, "objects")
                    .iter()
                    .filter_map(|item| self.risk_object(item, rule, cut))
                    .collect();
            }
        }
        for missing in ["message", "objects"]
            .into_iter()
            .filter(|key| !cut && !entries.iter().any(|entry| entry.key == *key))
        {
            self.mistakes.add(
                node.place,
                format!("risk is not complete; expected `{missing}` too"),
            );
        }
        Some(Risk {
            message: message?,
            objects,
        })
    }

    /// Every `$word$` of a message must be something that a row has.
    fn tokens(&mut self, node: &Node, message: &str, rule: &Rule) {
        let parts: Vec<&str> = message.split('$').collect();
        let mut place = 1;
        while let (Some(word), true) = (parts.get(place), place + 1 < parts.len()) {
            let a_word = !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !a_word {
                // A dollar sign that is only that.
                place += 1;
                continue;
            }
            place += 2;
            let by = rule.by.iter().map(|field| field.name());
            let row: Vec<&str> = by
                .chain(rule.columns.iter().map(|column| column.name.as_str()))
                .collect();
            if !row.contains(word) {
                self.mistakes.add(
                    node.place,
                    format!(
                        "the row has no `{word}` for ${word}$ in the message; {}",
                        expected(word, &row)
                    ),
                );
            }
        }
    }

    fn risk_object(&mut self, node: &Node, rule: &Rule, cut: bool) -> Option<RiskObject> {
        let entries = self.mapping(
            node,
            "a risk object",
            &["field", "type", "impact", "confidence", "score"],
        )?;
        let words = RiskObjectType::ALL.map(RiskObjectType::name);
        let (mut field, mut object_type) = (None, None);
        let (mut impact, mut confidence, mut score) = (None, None, None);
        for Entry { key, node, .. } in &entries {
            match *key {
                "field" => {
                    let text = self.text(node, "field").unwrap_or_default();
                    if !text.is_empty() {
                        field = self.field(node.place, &text, "a risk object");
                    }
                    if let Some(field) = field
                        && !rule.by.contains(&field)
                    {
                        let by: Vec<&str> = rule.by.iter().map(|field| field.name()).collect();
                        self.mistakes.add(
                            node.place,
                            format!(
                                "`{text}` is not among by, so no row has one; expected {}",
                                alternatives(&by)
                            ),
                        );
                    }
                }
                "type" => {
                    let word = self.one_of(node, "type", &words);
                    object_type = RiskObjectType::ALL
                        .into_iter()
                        .find(|object_type| Some(object_type.name()) == word);
                }
                "impact" => impact = self.number(node, "impact", 0, 100),
                "confidence" => confidence = self.number(node, "confidence", 0, 100),
                _ => score = self.number(node, "score", 0, 100),
            }
        }
        let has = |key: &str| entries.iter().any(|entry| entry.key == key);
        if !cut {
            for missing in ["field", "type"].into_iter().filter(|key| !has(key)) {
                self.mistakes.add(
                    node.place,
                    format!("the risk object has no {missing}; expected `{missing}` too"),
                );
            }
            let scored = match (has("score"), has("impact"), has("confidence")) {
                (true, false, false) | (false, true, true) => true,
                (_, _, _) => false,
            };
            if !scored {
                self.mistakes.add(node.place, "the score of a risk object is either `score`, or `impact` and `confidence`; expected one of the two");
            }
        }
        let score = match (score, impact, confidence) {
            (Some(score), ..) => score,
            // Both are at most 100.
            (None, Some(impact), Some(confidence)) => (impact * confidence + 50) / 100,
            _ => return None,
        };
        Some(RiskObject {
            field: field?,
            object_type: object_type?,
            score: u8::try_from(score).ok()?,
        })
    }
}
