//! What a rule says of a hit: `risk`, `throttle`.

use std::time::Duration;

use super::reader::{Entry, Reader};
use crate::event::Field;
use crate::rule::message::{Part, parts};
use crate::rule::spelling::{alternatives, clip, expected};
use crate::rule::yaml::{Node, Value};
use crate::rule::{
    Risk, RiskObject, RiskObjectType, Rule, THREAT_OBJECT_TYPES, ThreatObject, Throttle,
};

/// The names of what a rule's rows have.
fn row_names(rule: &Rule) -> Vec<&str> {
    let by = rule.by.iter().map(|field| field.name());
    by.chain(rule.columns.iter().map(|column| column.name.as_str()))
        .collect()
}

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
                threat_objects: Vec::new(),
                stacked: false,
            });
        }
        let entries = self.mapping(
            node,
            "risk",
            &["message", "objects", "threat_objects", "stacked"],
        )?;
        let (mut message, mut objects) = (None, Vec::new());
        let (mut threat_objects, mut stacked) = (Vec::new(), false);
        for Entry { key, node, .. } in &entries {
            match *key {
                "message" => {
                    message = self.text(node, "message");
                    if let Some(message) = &message {
                        self.tokens(node, message, rule);
                    }
                }
                "objects" => {
                    objects = self
                        .items(node, "objects")
                        .iter()
                        .filter_map(|item| self.risk_object(item, rule, cut))
                        .collect();
                }
                "threat_objects" => {
                    threat_objects = self
                        .items(node, "threat_objects")
                        .iter()
                        .filter_map(|item| self.threat_object(item, rule, cut))
                        .collect();
                }
                _ => stacked = self.yes_or_no(node, "stacked").unwrap_or(false),
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
            threat_objects,
            stacked,
        })
    }

    /// Every `$word$` of a message must be something that a row has.
    fn tokens(&mut self, node: &Node, message: &str, rule: &Rule) {
        let row = row_names(rule);
        for part in parts(message) {
            if let Part::Token(word) = part
                && !row.contains(&word)
            {
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

    fn threat_object(&mut self, node: &Node, rule: &Rule, cut: bool) -> Option<ThreatObject> {
        let entries = self.mapping(node, "a threat object", &["field", "type"])?;
        let (mut field, mut object_type) = (None, None);
        for Entry { key, node, .. } in &entries {
            if *key == "type" {
                object_type = self.one_of(node, "type", &THREAT_OBJECT_TYPES);
                continue;
            }
            field = self.text(node, "field");
            let row = row_names(rule);
            if let Some(field) = &field
                && !row.contains(&field.as_str())
            {
                self.mistakes.add(
                    node.place,
                    format!(
                        "the row has no `{}` for a threat object; {}",
                        clip(field),
                        expected(field, &row)
                    ),
                );
            }
        }
        for missing in ["field", "type"]
            .into_iter()
            .filter(|key| !cut && !entries.iter().any(|entry| entry.key == *key))
        {
            self.mistakes.add(
                node.place,
                format!("the threat object has no {missing}; expected `{missing}` too"),
            );
        }
        Some(ThreatObject {
            field: field?,
            object_type: object_type?,
        })
    }

    pub(super) fn throttle(&mut self, node: &Node, rule: &Rule, cut: bool) -> Option<Throttle> {
        let entries = self.mapping(node, "throttle", &["fields", "period"])?;
        let (mut fields, mut period) = (Vec::new(), None);
        for Entry { key, node, .. } in &entries {
            if *key == "period" {
                let text = self.text(node, "period").unwrap_or_default();
                period = read_period(&text);
                if period.is_none() && !text.is_empty() {
                    self.mistakes.add(
                        node.place,
                        format!(
                            "'{}' is not a period; expected a whole number and one of s, m, h, d, such as 1h",
                            clip(&text)
                        ),
                    );
                }
                continue;
            }
            for item in self.items(node, "fields") {
                let Some(text) = self.text(item, "a field of throttle") else {
                    continue;
                };
                let Some(field) = self.field(item.place, &text, "throttle") else {
                    continue;
                };
                if rule.by.contains(&field) {
                    fields.push(field);
                } else {
                    let by: Vec<&str> = rule.by.iter().map(|field| field.name()).collect();
                    self.mistakes.add(
                        item.place,
                        format!(
                            "`{text}` is not among by, so no row has one; expected {}",
                            alternatives(&by)
                        ),
                    );
                }
            }
        }
        for missing in ["fields", "period"]
            .into_iter()
            .filter(|key| !cut && !entries.iter().any(|entry| entry.key == *key))
        {
            self.mistakes.add(
                node.place,
                format!("throttle is not complete; expected `{missing}` too"),
            );
        }
        Some(Throttle {
            fields,
            period: period?,
        })
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

/// A period as Splunk writes it: `30s`, `15m`, `1h`; days too. Longer than nothing.
fn read_period(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let number = text.strip_suffix(unit)?;
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.then(|| number.parse().ok()).flatten()?;
    (number > 0).then_some(Duration::from_secs(number.checked_mul(seconds)?))
}
