//! Reading the nodes of a document as what they should be: each mistake is noted and reading goes on.

use super::lookup::KnownTable;
use crate::event::Field;
use crate::rule::mistake::Mistakes;
use crate::rule::spelling::{alternatives, clip, expected, nearest};
use crate::rule::yaml::{Node, Place, Value};

/// One entry of a mapping whose key is known.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) key: &'static str,
    pub(super) place: Place,
    pub(super) node: &'a Node,
}

/// Notes mistakes as it reads.
pub(super) struct Reader<'m> {
    pub(super) mistakes: &'m mut Mistakes,
    /// The cron expression that was found right last: the rules of a file have one and the same, and to check it takes
    /// longer than all else of a rule.
    pub(super) cron: Option<String>,
    /// What the lookups of the rule at hand give.
    pub(super) added: Vec<Field>,
    /// The tables that the rules before it look up.
    pub(super) tables: Vec<KnownTable>,
}

impl<'m> Reader<'m> {
    pub(super) const fn new(mistakes: &'m mut Mistakes) -> Self {
        Self {
            mistakes,
            cron: None,
            added: Vec::new(),
            tables: Vec::new(),
        }
    }

    /// Notes that a node is not what was wanted.
    pub(super) fn wrong(&mut self, node: &Node, what: &str, wanted: &str) {
        self.mistakes.add(
            node.place,
            format!("{what} is {}; expected {wanted}", node.kind()),
        );
    }

    /// The entries of a mapping, each key once.
    pub(super) fn entries<'a>(
        &mut self,
        node: &'a Node,
        what: &str,
        wanted: &str,
    ) -> Option<Vec<(&'a str, Place, &'a Node)>> {
        match &node.value {
            Value::Mapping(entries) => Some(self.each_once(entries, what)),
            _ => {
                self.wrong(node, what, wanted);
                None
            }
        }
    }

    fn each_once<'a>(
        &mut self,
        entries: &'a [(Node, Node)],
        what: &str,
    ) -> Vec<(&'a str, Place, &'a Node)> {
        let mut seen: Vec<(&str, Place, &Node)> = Vec::new();
        let mut known = std::collections::HashSet::<&str, ahash::RandomState>::default();
        for (key, value) in entries {
            let Value::Scalar { text, .. } = &key.value else {
                self.wrong(key, &format!("a key of {what}"), "a word");
                continue;
            };
            if known.insert(text) {
                seen.push((text, key.place, value));
            } else {
                self.mistakes.add(
                    key.place,
                    format!("`{text}` a second time in {what}; expected each key once"),
                );
            }
        }
        seen
    }

    /// The same of a mapping that has to have some; `example` is what it could have.
    pub(super) fn some_entries<'a>(
        &mut self,
        node: &'a Node,
        what: &str,
        wanted: &str,
        example: &str,
    ) -> Option<Vec<(&'a str, Place, &'a Node)>> {
        let entries = self.entries(node, what, wanted)?;
        if entries.is_empty() {
            self.mistakes
                .add(node.place, format!("{what} is empty; expected {example}"));
        }
        Some(entries)
    }

    /// The entries of a mapping that has only these keys.
    pub(super) fn mapping<'a>(
        &mut self,
        node: &'a Node,
        what: &str,
        keys: &[&'static str],
    ) -> Option<Vec<Entry<'a>>> {
        let Value::Mapping(entries) = &node.value else {
            let wanted = format!("a mapping with {}", alternatives(keys));
            self.wrong(node, what, &wanted);
            return None;
        };
        let mut found = Vec::new();
        for (text, place, node) in self.each_once(entries, what) {
            match keys.iter().find(|key| **key == text) {
                Some(key) => found.push(Entry { key, place, node }),
                None => self.mistakes.add(
                    place,
                    format!(
                        "{what} has no key `{}`; {}",
                        clip(text),
                        expected(text, keys)
                    ),
                ),
            }
        }
        Some(found)
    }

    /// A list, or one thing that stands for a list of one.
    pub(super) fn items<'a>(&mut self, node: &'a Node, what: &str) -> &'a [Node] {
        match &node.value {
            Value::Sequence(items) if items.is_empty() => {
                self.mistakes.add(
                    node.place,
                    format!("{what} is an empty list; expected something in it"),
                );
                items
            }
            Value::Sequence(items) => items,
            _ => std::slice::from_ref(node),
        }
    }

    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Scalar { text, .. } if node.kind() == "text" && !text.trim().is_empty() => {
                Some(text.clone())
            }
            Value::Scalar { plain: false, .. } => {
                self.mistakes
                    .add(node.place, format!("{what} is empty; expected text"));
                None
            }
            Value::Scalar { text, .. } => {
                self.wrong(node, what, &format!("text (in quotes: \"{}\")", clip(text)));
                None
            }
            _ => {
                self.wrong(node, what, "text");
                None
            }
        }
    }

    pub(super) fn texts(&mut self, node: &Node, what: &str) -> Vec<String> {
        self.items(node, what)
            .iter()
            .filter_map(|item| self.text(item, what))
            .collect()
    }

    pub(super) fn one_of(
        &mut self,
        node: &Node,
        what: &str,
        words: &[&'static str],
    ) -> Option<&'static str> {
        let text = self.text(node, what)?;
        let word = words.iter().copied().find(|word| *word == text);
        if word.is_none() {
            self.mistakes.add(
                node.place,
                format!("{what} is '{}'; {}", clip(&text), expected(&text, words)),
            );
        }
        word
    }

    pub(super) fn number(&mut self, node: &Node, what: &str, least: u32, most: u32) -> Option<u32> {
        let number = match &node.value {
            Value::Scalar { text, plain: true } => text
                .parse::<u32>()
                .ok()
                .filter(|number| (least..=most).contains(number)),
            _ => None,
        };
        if number.is_none() {
            let range = if most == u32::MAX {
                format!("from {least}")
            } else {
                format!("from {least} to {most}")
            };
            match &node.value {
                Value::Scalar { text, .. } => {
                    self.mistakes.add(
                        node.place,
                        format!(
                            "{what} is '{}'; expected a whole number {range}",
                            clip(text)
                        ),
                    );
                }
                _ => self.wrong(node, what, &format!("a whole number {range}")),
            }
        }
        number
    }

    pub(super) fn yes_or_no(&mut self, node: &Node, what: &str) -> Option<bool> {
        match &node.value {
            Value::Scalar { text, plain: true } if text == "true" => Some(true),
            Value::Scalar { text, plain: true } if text == "false" => Some(false),
            Value::Scalar { text, .. } => {
                self.mistakes.add(
                    node.place,
                    format!("{what} is '{}'; expected true or false", clip(text)),
                );
                None
            }
            _ => {
                self.wrong(node, what, "true or false");
                None
            }
        }
    }

    /// The field of that name.
    pub(super) fn field(&mut self, place: Place, name: &str, what: &str) -> Option<Field> {
        let added = || {
            self.added
                .iter()
                .find(|field| field.name() == name)
                .copied()
        };
        let field = Field::from_name(name).or_else(added);
        if field.is_none() {
            let fields = self.added.iter().chain(Field::ALL).chain(Field::DERIVED);
            let near = nearest(name, fields.map(|field| field.name()));
            let remedy = if near.is_empty() {
                "expected a field of the event (docs/rules.md lists them)".to_owned()
            } else {
                format!("did you mean {}?", alternatives(&near))
            };
            self.mistakes.add(
                place,
                format!(
                    "`{}` in {what} is no field of an event; {remedy}",
                    clip(name)
                ),
            );
        }
        field
    }
}
