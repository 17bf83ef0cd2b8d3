//! From a YAML document to a filter.

use crate::rule::spelling::clip;
use std::sync::Arc;

use super::documents;
use super::reader::{Entry, Reader};
use crate::rule::mistake::{Mistake, Mistakes};
use crate::rule::yaml::{Document, Node, Value};
use crate::rule::{Condition, Filter};
use crate::time::Timestamp;

const KEYS: [&str; 6] = ["rule", "filter", "where", "owner", "reason", "expires"];

/// Reads the filters in the text of a file: one in each document.
///
/// # Errors
/// Every mistake in it.
pub(super) fn read_text(file: &str, text: &str) -> Result<Vec<Filter>, Vec<Mistake>> {
    let mut mistakes = Mistakes::new(file);
    let empty =
        "no filter in this file; expected a mapping with rule, where, owner, reason and expires";
    let documents = documents(text, empty, &mut mistakes);
    let filters = documents
        .iter()
        .filter_map(|document| filter(document, &mut mistakes))
        .collect();
    mistakes.or(filters)
}

fn filter(document: &Document<'_>, mistakes: &mut Mistakes) -> Option<Filter> {
    let file = Arc::clone(mistakes.file());
    let mut reader = Reader::new(mistakes);
    let root = &document.root;
    let entries = reader.mapping(root, "a filter", &KEYS)?;
    let mut filter = Filter {
        rule: String::new(),
        by_macro: false,
        condition: Condition::default(),
        owner: String::new(),
        reason: String::new(),
        expires: Timestamp::MIN,
        file,
        line: root.place.0,
        rule_place: root.place,
    };
    for Entry { key, place, node } in &entries {
        match *key {
            "rule" | "filter" => {
                filter.rule = reader.text(node, key).unwrap_or_default();
                filter.by_macro = *key == "filter";
                filter.rule_place = node.place;
                if *key == "filter" && entries.iter().any(|entry| entry.key == "rule") {
                    reader
                        .mistakes
                        .add(*place, "both `rule` and `filter`; expected one of them");
                }
            }
            "where" => filter.condition = reader.condition(node),
            "owner" => filter.owner = reader.line(node, "owner"),
            "reason" => filter.reason = reader.line(node, "reason"),
            _ => filter.expires = reader.date(node).unwrap_or(Timestamp::MIN),
        }
    }
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    if !document.cut {
        if !has("rule") && !has("filter") {
            reader.mistakes.add(
                root.place,
                "the filter says of no rule that it is its; expected `rule` or `filter`",
            );
        }
        for missing in ["where", "owner", "reason", "expires"]
            .into_iter()
            .filter(|key| !has(key))
        {
            reader.mistakes.add(
                root.place,
                format!("the filter has no {missing}; expected `{missing}` too"),
            );
        }
    }
    Some(filter)
}

impl Reader<'_> {
    /// Text that can be shown in a line.
    fn line(&mut self, node: &Node, what: &str) -> String {
        let text = self.text(node, what).unwrap_or_default();
        let text = text.trim_end();
        if text.chars().any(char::is_control) {
            self.mistakes.add(
                node.place,
                format!("{what} cannot be shown in one line; expected text without line breaks"),
            );
        }
        text.to_owned()
    }

    /// The beginning of a day in UTC.
    fn date(&mut self, node: &Node) -> Option<Timestamp> {
        let Value::Scalar { text, .. } = &node.value else {
            self.wrong(node, "expires", "a date such as 2027-01-31");
            return None;
        };
        let date = text
            .split('-')
            .map(str::len)
            .eq([4, 2, 2])
            .then(|| Timestamp::parse(text).ok())
            .flatten();
        if date.is_none() {
            self.mistakes.add(
                node.place,
                format!(
                    "expires is '{}'; expected a date such as 2027-01-31",
                    clip(text)
                ),
            );
        }
        date
    }
}
