//! What a rule must make of captures: `tests`.

use std::sync::Arc;

use data_encoding::BASE64;

use super::aggregate::ROW_KEYS;
use super::reader::{Entry, Reader};
use crate::rule::Rule;
use crate::rule::spelling::{clip, expected};
use crate::rule::trial::{Capture, Cell, Trial, Wanted};
use crate::rule::yaml::{Node, Value};

const KEYS: [&str; 5] = ["capture", "pcap", "rows", "not", "exact"];

/// The most that a trial says of rows.
const WANTED: usize = 1_000;

impl Reader<'_> {
    /// Reads the trials of a rule whose rows are known.
    pub(super) fn trials(&mut self, node: &Node, rule: &Rule) -> Vec<Trial> {
        self.items(node, "tests")
            .iter()
            .filter_map(|item| self.trial(item, rule))
            .collect()
    }

    fn trial(&mut self, node: &Node, rule: &Rule) -> Option<Trial> {
        let entries = self.mapping(node, "a test", &KEYS)?;
        let find = |key: &str| entries.iter().find(|entry| entry.key == key);
        let capture = match (find("capture"), find("pcap")) {
            (Some(Entry { node, .. }), None) => self
                .text(node, "capture")
                .map(|path| Capture::Path(path, node.place)),
            (None, Some(Entry { node, .. })) => self.pcap(node),
            (Some(_), Some(Entry { place, .. })) => {
                self.mistakes
                    .add(*place, "both `capture` and `pcap`; expected one of them");
                None
            }
            (None, None) => {
                self.mistakes.add(
                    node.place,
                    "the test has no capture; expected `capture` (a path from this file's folder) or `pcap` (one in base64)",
                );
                None
            }
        };
        let mut wanted =
            |key: &str| find(key).map_or_else(Vec::new, |entry| self.wanted(entry.node, key, rule));
        let (rows, not) = (wanted("rows"), wanted("not"));
        let exact = match find("exact") {
            Some(entry) => self.yes_or_no(entry.node, "exact"),
            None => Some(false),
        };
        if find("rows").is_none() && find("not").is_none() && exact == Some(false) {
            self.mistakes.add(
                node.place,
                "the test says nothing of the rows; expected `rows`, `not` or `exact: true`",
            );
        }
        Some(Trial {
            place: node.place,
            capture: capture?,
            rows,
            not,
            exact: exact.unwrap_or(false),
        })
    }

    fn pcap(&mut self, node: &Node) -> Option<Capture> {
        let mut text = self.text(node, "pcap")?;
        text.retain(|letter| !letter.is_ascii_whitespace());
        match BASE64.decode(text.as_bytes()) {
            Ok(bytes) => Some(Capture::Inline(Arc::from(bytes))),
            Err(error) => {
                self.mistakes.add(
                    node.place,
                    format!("pcap is not base64 ({error}); expected what `base64 FILE` prints"),
                );
                None
            }
        }
    }

    fn wanted(&mut self, node: &Node, key: &str, rule: &Rule) -> Vec<Wanted> {
        // No rows at all is something that can be said.
        let items = match &node.value {
            Value::Sequence(items) if items.is_empty() && key == "rows" => return Vec::new(),
            _ => self.items(node, key),
        };
        if items.len() > WANTED {
            self.mistakes.add(
                node.place,
                format!("more than {WANTED} rows in {key}; expected fewer"),
            );
            return Vec::new();
        }
        items
            .iter()
            .filter_map(|item| self.one_wanted(item, key, rule))
            .collect()
    }

    fn one_wanted(&mut self, node: &Node, key: &str, rule: &Rule) -> Option<Wanted> {
        let what = format!("a row of {key}");
        let entries = self.entries(node, &what, "a mapping from fields to values")?;
        if entries.is_empty() {
            self.mistakes.add(
                node.place,
                format!("{what} is empty; expected fields and their values"),
            );
        }
        let names: Vec<&str> = rule
            .by
            .iter()
            .map(|field| field.name())
            .chain(rule.columns.iter().map(|column| column.name.as_str()))
            .chain(ROW_KEYS)
            .collect();
        let mut fields = Vec::new();
        for (name, place, node) in entries {
            let is_further = |further: &String| further == name;
            let mut columns = rule.columns.iter();
            let beside = columns.any(|column| column.further_names().iter().any(is_further));
            if !names.contains(&name) && !beside {
                self.mistakes.add(
                    place,
                    format!(
                        "the rule's rows have no `{}`; {}",
                        clip(name),
                        expected(name, &names)
                    ),
                );
            }
            if let Some(cell) = self.cell(node, name) {
                fields.push((name.to_owned(), cell));
            }
        }
        Some(Wanted {
            line: node.place.0,
            fields,
        })
    }

    fn cell(&mut self, node: &Node, name: &str) -> Option<Cell> {
        match &node.value {
            Value::Null(_) => Some(Cell::Null),
            Value::Scalar { text, .. } => Some(Cell::Text(text.clone())),
            Value::Sequence(items) => {
                let texts = items.iter().filter_map(|item| match &item.value {
                    Value::Scalar { text, .. } => Some(text.clone()),
                    _ => {
                        self.wrong(
                            item,
                            &format!("a value of `{}`", clip(name)),
                            "text or a number",
                        );
                        None
                    }
                });
                Some(Cell::List(texts.collect()))
            }
            Value::Mapping(_) => {
                self.wrong(
                    node,
                    &format!("`{}`", clip(name)),
                    "a value or a list of values",
                );
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::native::read_text;

    fn mistakes(tests: &str) -> Vec<String> {
        let text = format!("name: N\ndomain: a.example\ntests:\n{tests}");
        let found = read_text("f", &text).err().unwrap_or_default();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_trial_is_read_whole() {
        let text = "name: N\ndomain: a.example\ntests:\n  - capture: x/a.pcap\n    exact: true\n    rows:\n      - { src: 192.0.2.1, count: 3, answer: [a, 1], window: null }\n    not: { query: b.example }\n  - { pcap: \"1MOyoQ ==\", rows: [] }\n";
        let rules = read_text("f", text).unwrap();
        let [first, second] = rules[0].trials.as_slice() else {
            panic!("two trials")
        };
        assert_eq!(first.place, (4, 5));
        assert_eq!(first.capture, Capture::Path("x/a.pcap".to_owned(), (4, 14)));
        assert!(first.exact && !second.exact);
        let text = |text: &str| Cell::Text(text.to_owned());
        let field = |name: &str, cell| (name.to_owned(), cell);
        let row = Wanted {
            line: 7,
            fields: vec![
                field("src", text("192.0.2.1")),
                field("count", text("3")),
                field("answer", Cell::List(vec!["a".to_owned(), "1".to_owned()])),
                field("window", Cell::Null),
            ],
        };
        assert_eq!(first.rows, [row]);
        assert_eq!(first.not[0].fields, [field("query", text("b.example"))]);
        assert_eq!(
            second.capture,
            Capture::Inline(Arc::from([0xd4, 0xc3, 0xb2, 0xa1]))
        );
        assert_eq!((second.rows.len(), second.not.len()), (0, 0));
    }

    #[test]
    fn what_stands_beside_a_column_can_be_asked_for() {
        let rule = |name: &str| {
            let text = format!(
                "name: N\ndomain: a.example\naggregate: {{ names: dc(query), all: values(query) }}\ntests:\n  - {{ capture: a, rows: [{{ {name}: true }}] }}\n"
            );
            read_text("f", &text).map(|_| ())
        };
        assert_eq!(rule("names_estimated"), Ok(()));
        assert_eq!(rule("all_cut"), Ok(()));
        assert!(rule("names_cut").is_err() && rule("src_cut").is_err());
    }

    #[test]
    fn mistakes_are_named_with_their_places() {
        for (tests, expected) in [
            (
                "  - { rows: [] }\n",
                "f:4:5: the test has no capture; expected `capture`",
            ),
            (
                "  - { capture: a, pcap: AAAA, rows: [] }\n",
                "f:4:19: both `capture` and `pcap`",
            ),
            (
                "  - { pcap: \"?\", rows: [] }\n",
                "f:4:13: pcap is not base64",
            ),
            (
                "  - { capture: a }\n",
                "f:4:5: the test says nothing of the rows; expected `rows`, `not` or `exact: true`",
            ),
            (
                "  - { capture: a, exact: false }\n",
                "f:4:5: the test says nothing",
            ),
            (
                "  - { capture: a, exact: 1 }\n",
                "f:4:26: exact is '1'; expected true or false",
            ),
            (
                "  - { capture: a, not: [] }\n",
                "f:4:24: not is an empty list",
            ),
            (
                "  - { capture: a, rows: [{}] }\n",
                "f:4:26: a row of rows is empty",
            ),
            (
                "  - { capture: a, rows: [x] }\n",
                "f:4:26: a row of rows is text; expected a mapping",
            ),
            (
                "  - { capture: a, rows: [{ qeury: x }] }\n",
                "f:4:28: the rule's rows have no `qeury`; did you mean `query`?",
            ),
            (
                "  - { capture: a, rows: [{ dest: x }] }\n",
                "f:4:28: the rule's rows have no `dest`",
            ),
            (
                "  - { capture: a, rows: [{ src: { a: b } }] }\n",
                "f:4:33: `src` is a mapping; expected a value or a list of values",
            ),
            (
                "  - { capture: a, rows: [{ answer: [[a]] }] }\n",
                "f:4:37: a value of `answer` is a list; expected text or a number",
            ),
            (
                "  - { capture: a, exact: true, row: [] }\n",
                "f:4:32: a test has no key `row`; did you mean `rows`",
            ),
            (
                "  - a.pcap\n",
                "f:4:5: a test is text; expected a mapping with",
            ),
            ("  []\n", "f:4:3: tests is an empty list"),
        ] {
            let found = mistakes(tests);
            assert!(found[0].starts_with(expected), "{tests}: {found:?}");
        }
        let many = "{ src: a }, ".repeat(WANTED + 1);
        let found = mistakes(&format!("  - {{ capture: a, rows: [{many}] }}\n"));
        assert!(
            found[0].starts_with("f:4:25: more than 1000 rows"),
            "{found:?}"
        );
    }
}
