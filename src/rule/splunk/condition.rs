//! What a search asks of its events: comparisons joined as the `search` command joins them, into what `where` of a rule takes.
//!
//! `OR` binds closer than `AND`, which is also meant where nothing stands between two comparisons; the words are in capitals
//! (Splunk's Search Manual, "Boolean expressions").

use super::reader::{Reader, Refusal, Taken};
use super::values::{Ours, ours};
use super::words::{Kind, Word};
use crate::event::Field;
use crate::rule::yaml::{Node, Place};

/// Parentheses and `NOT`s inside each other; each becomes up to five collections of a rule file, which takes 64.
const DEEPEST: usize = 10;

/// Words that are no names of fields where a condition is expected.
const JOINTS: [&str; 4] = ["AND", "OR", "NOT", "XOR"];

impl Reader<'_> {
    /// The condition up to a word that ends it; `None` where it holds of every event.
    pub(super) fn condition(&mut self, ends: &[&str], depth: usize) -> Taken<Option<Node>> {
        let start = self.at();
        let mut parts = Vec::new();
        loop {
            parts.push(self.any_of(depth)?);
            match self.peek() {
                None => break,
                Some(word) if word.is_sign(")") => break,
                Some(word) if ends.iter().any(|end| word.is_keyword(end)) => break,
                Some(word) if is_joint(word, "AND") => self.skip(),
                Some(_) => {}
            }
        }
        let place = self.place(start);
        let mut parts: Vec<Node> = parts.into_iter().flatten().collect();
        Ok(match parts.len() {
            0 | 1 => parts.pop(),
            _ => Some(Node::mapping(place, [("and", Node::list(place, parts))])),
        })
    }

    /// One comparison or several of which one must hold.
    fn any_of(&mut self, depth: usize) -> Taken<Option<Node>> {
        let place = self.place(self.at());
        let mut parts = vec![self.one(depth)?];
        while self.peek().is_some_and(|word| is_joint(word, "OR")) {
            self.skip();
            parts.push(self.one(depth)?);
        }
        let mut parts: Option<Vec<Node>> = parts.into_iter().collect();
        Ok(match &mut parts {
            Some(one) if one.len() == 1 => one.pop(),
            // Where one of them always holds, all together do.
            _ => parts.map(|parts| Node::mapping(place, [("or", Node::list(place, parts))])),
        })
    }

    fn one(&mut self, depth: usize) -> Taken<Option<Node>> {
        let at = self.at();
        if depth >= DEEPEST {
            let message = format!("more than {DEEPEST} parentheses or NOTs inside each other");
            return Err(Refusal { at, message });
        }
        let Some(word) = self.peek() else {
            return Err(self.ended("a comparison such as DNS.query=\"*.example.com\""));
        };
        if is_joint(word, "NOT") {
            self.skip();
            let Some(part) = self.one(depth.saturating_add(1))? else {
                let message = "NOT of what holds of every event matches nothing".to_owned();
                return Err(Refusal { at, message });
            };
            return Ok(Some(Node::mapping(self.place(at), [("not", part)])));
        }
        if word.is_sign("(") {
            self.skip();
            let inside = self.condition(&[], depth.saturating_add(1))?;
            self.sign(")")?;
            return Ok(inside);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Taken<Option<Node>> {
        let name = match self.next() {
            Some(word) if matches!(word.kind, Kind::Bare | Kind::Quoted) => word,
            Some(word) => {
                return Err(Refusal::not_understood(
                    word,
                    "a field and what it is compared with",
                ));
            }
            None => return Err(self.ended("a field and what it is compared with")),
        };
        if name.kind == Kind::Bare && JOINTS.iter().any(|joint| name.is_keyword(joint)) {
            return Err(Refusal::not_understood(
                name,
                "AND, OR and NOT in capitals, between comparisons",
            ));
        }
        let (operator, values) = match self.next() {
            Some(word) if word.kind == Kind::Operator && word.text != "!" => {
                (word.text.as_str(), vec![self.value()?])
            }
            Some(word) if word.is_keyword("IN") => {
                self.sign("(")?;
                let mut values = vec![self.value()?];
                while self.peek().is_some_and(|word| word.is_sign(",")) {
                    self.skip();
                    values.push(self.value()?);
                }
                self.sign(")")?;
                ("=", values)
            }
            Some(word) if word.is_sign("(") => {
                return Err(Refusal::not_understood(
                    name,
                    "comparisons of fields alone: DNS.query=\"*.example.com\"",
                ));
            }
            _ => {
                return Err(Refusal::not_understood(
                    name,
                    "a field compared by = != < <= > >= or IN: there are no words to search for in packets",
                ));
            }
        };
        if name.text.eq_ignore_ascii_case("nodename") {
            // The dataset, which is what we make events of.
            return match values.iter().all(|(value, _)| value == "DNS") && operator == "=" {
                true => Ok(None),
                false => Err(Refusal::not_understood(name, "nodename=DNS")),
            };
        }
        let field = self.model_field(name)?;
        self.compare(field, self.place(name.at), operator, &values)
            .map(Some)
    }

    /// A value, as it is written.
    fn value(&mut self) -> Taken<(String, usize)> {
        match self.next() {
            Some(word) if matches!(word.kind, Kind::Bare | Kind::Quoted) => {
                Ok((word.text.clone(), word.at))
            }
            Some(word) => Err(Refusal::not_understood(word, "a value")),
            None => Err(self.ended("a value")),
        }
    }

    /// The condition that a field compares so with any of the values, or for `!=` with none of them.
    pub(super) fn compare(
        &mut self,
        field: Field,
        place: Place,
        operator: &str,
        values: &[(String, usize)],
    ) -> Taken<Node> {
        let is_negated = match operator {
            "=" | "==" => false,
            "!=" => true,
            relation => {
                let number = values.first().map_or("", |(number, _)| number);
                let at = values.first().map_or(0, |(_, at)| *at);
                let number = Node::plain(self.place(at), number);
                let asked = Node::mapping(place, [(relation, number)]);
                return Ok(Node::mapping(place, [(field.name(), asked)]));
            }
        };
        if !is_negated && values.iter().any(|(value, _)| value == "*") {
            let exists = Node::mapping(place, [("exists", Node::plain(place, true))]);
            return Ok(Node::mapping(place, [(field.name(), exists)]));
        }
        let mut groups: Vec<(Field, Vec<Node>)> = Vec::new();
        for (value, at) in values {
            let place = self.place(*at);
            let (field, texts) = match ours(field, value) {
                Ours::Same => (field, vec![value.clone()]),
                Ours::Other(field, texts) => (field, texts),
                Ours::Odd(why) => {
                    self.notes.push((place, why));
                    (field, vec![value.clone()])
                }
            };
            let nodes = texts.into_iter().map(|text| Node::text(place, text));
            match groups.iter_mut().find(|(known, _)| *known == field) {
                Some((_, patterns)) => patterns.extend(nodes),
                None => groups.push((field, nodes.collect())),
            }
        }
        let mut parts: Vec<Node> = groups
            .into_iter()
            .map(|(field, patterns)| {
                let patterns = Node::list(place, patterns);
                let asked = match is_negated {
                    true => Node::mapping(place, [("!=", patterns)]),
                    false => patterns,
                };
                Node::mapping(place, [(field.name(), asked)])
            })
            .collect();
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => {
                let joint = if is_negated { "and" } else { "or" };
                Node::mapping(place, [(joint, Node::list(place, parts))])
            }
        })
    }
}

/// The joints of conditions are in capitals.
fn is_joint(word: &Word, joint: &str) -> bool {
    word.kind == Kind::Bare && word.text == joint
}
