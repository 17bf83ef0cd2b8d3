//! What a rule looks for: `where` and `domain`.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::reader::{Entry, Reader};
use crate::event::{Field, Type, billionths, network};
use crate::rule::condition::why_no_expression;
use crate::rule::pattern::{LONGEST, Patterns, Shape, check_domain, check_name_pattern};
use crate::rule::spelling::{alternatives, clip, expected};
use crate::rule::yaml::{Node, Place, Value};
use crate::rule::{Against, Comparison, Condition, Relation, Test};
use crate::time::Timestamp;

/// What a field can be asked beside patterns.
pub(super) const OPERATORS: [&str; 16] = [
    "=", "!=", "==", "<", "<=", ">", ">=", "between", "domain", "cidr", "regex", "same_as", "and",
    "not", "exists", "every",
];

/// What joins conditions; no field of an event has such a name.
pub(super) const JOINTS: [&str; 3] = ["and", "or", "not"];

/// The most bytes that a compiled expression, and what it remembers as it runs, may take.
const EXPRESSION_BYTES: usize = 1 << 20;

impl Reader<'_> {
    pub(super) fn condition(&mut self, node: &Node) -> Condition {
        self.all_of(node, "where")
    }

    /// A mapping whose entries must all hold.
    fn all_of(&mut self, node: &Node, what: &str) -> Condition {
        let Some(entries) = self.entries(node, what, "a mapping from fields to patterns") else {
            return Condition::default();
        };
        if entries.is_empty() {
            self.mistakes.add(
                node.place,
                format!(
                    "{what} is empty and would match every event; expected a field and its patterns"
                ),
            );
        }
        let mut parts: Vec<Condition> = entries
            .into_iter()
            .filter_map(|(name, place, node)| match name {
                "and" => Some(Condition::All(self.several(node, "and"))),
                "or" => Some(Condition::Any(self.several(node, "or"))),
                "not" => Some(Condition::Not(Box::new(self.all_of(node, "not")))),
                _ => self.on_field(name, place, node, what),
            })
            .collect();
        match parts.len() {
            1 => parts.pop().unwrap_or_default(),
            _ => Condition::All(parts),
        }
    }

    /// The conditions in a list.
    fn several(&mut self, node: &Node, what: &str) -> Vec<Condition> {
        let Value::Sequence(_) = &node.value else {
            self.wrong(node, what, "a list of mappings from fields to patterns");
            return Vec::new();
        };
        let items = self.items(node, what);
        items.iter().map(|item| self.all_of(item, what)).collect()
    }

    /// What one field must be; also a field that there is none of is read to its end, for the mistakes in it.
    fn on_field(&mut self, name: &str, place: Place, node: &Node, what: &str) -> Option<Condition> {
        let field = self.field_or_joint(place, name, what);
        if let Value::Mapping(_) = &node.value {
            return self.operators(field, name, node);
        }
        let patterns = self.patterns(node, name, field);
        field.map(|field| Condition::covered(field, patterns))
    }

    /// A mapping from operators to what they compare with; a value must pass all of them.
    fn operators(&mut self, field: Option<Field>, name: &str, node: &Node) -> Option<Condition> {
        let what = format!("what is asked of `{}`", clip(name));
        let entries = self.mapping(node, &what, &OPERATORS)?;
        let (mut tests, mut exists, mut every) = (Vec::new(), None, false);
        for entry in &entries {
            match entry.key {
                "exists" => exists = self.yes_or_no(entry.node, "exists"),
                "every" => every = self.yes_or_no(entry.node, "every").unwrap_or(false),
                _ => tests.extend(self.tests(entry, field, name)),
            }
        }
        let asks_values = entries
            .iter()
            .any(|entry| !["exists", "every"].contains(&entry.key));
        let field = field?;
        let comparison = Condition::Compare(Comparison {
            field,
            every,
            tests,
        });
        match exists {
            None if asks_values => Some(comparison),
            Some(true) if asks_values => Some(comparison),
            Some(true) => Some(Condition::Exists(field)),
            Some(false) if !asks_values => Some(Condition::Not(Box::new(Condition::Exists(field)))),
            Some(false) => {
                self.mistakes.add(
                    node.place,
                    format!(
                        "`{name}` cannot be absent and pass a test; expected `exists: false` alone"
                    ),
                );
                None
            }
            None if every || matches!(&node.value, Value::Mapping(all) if all.is_empty()) => {
                self.mistakes.add(
                    node.place,
                    format!(
                        "nothing is asked of `{name}`; expected {}",
                        alternatives(&OPERATORS)
                    ),
                );
                None
            }
            None => None,
        }
    }

    /// The tests that one operator asks for.
    fn tests(&mut self, entry: &Entry<'_>, field: Option<Field>, name: &str) -> Vec<Test> {
        let operand = entry.node;
        let against = match entry.key {
            "and" => {
                let mut tests = Vec::new();
                for item in self.items(operand, "and") {
                    for entry in self.asked(item, "and") {
                        tests.extend(self.tests(&entry, field, name));
                    }
                }
                return tests;
            }
            "not" => {
                let entries = self.asked(operand, "not");
                let mut tests = match entries.as_slice() {
                    [entry] => self.tests(entry, field, name),
                    _ => Vec::new(),
                };
                if entries.len() > 1 || tests.len() > 1 {
                    let message = format!(
                        "not takes one test of a value of `{}`; expected `and` with a not for each",
                        clip(name)
                    );
                    self.mistakes.add(operand.place, message);
                }
                for test in &mut tests {
                    test.negated = !test.negated;
                }
                return tests;
            }
            "between" => {
                let ends = self.between(operand, field, name);
                return [Relation::AtLeast, Relation::AtMost]
                    .into_iter()
                    .zip(ends)
                    .map(|(relation, end)| Test {
                        negated: false,
                        against: Against::Number(relation, end),
                    })
                    .collect();
            }
            "=" | "!=" => Some(Against::Patterns(Arc::new(
                self.patterns(operand, name, field),
            ))),
            "domain" => {
                let mut patterns = Patterns::new();
                self.domain(operand, &mut patterns);
                Some(Against::Patterns(Arc::new(patterns)))
            }
            "cidr" => self.networks(operand, field, name),
            "regex" => self.expressions(operand, name),
            "same_as" => {
                let other = self
                    .text(operand, "same_as")
                    .and_then(|other| self.field(operand.place, &other, "same_as"));
                other.map(Against::Field)
            }
            operator => {
                let relation = Relation::from_symbol(operator);
                let number = self.comparable(operand, field, name);
                relation
                    .zip(number)
                    .map(|(relation, number)| Against::Number(relation, number))
            }
        };
        let negated = entry.key == "!=";
        against
            .map(|against| Test { negated, against })
            .into_iter()
            .collect()
    }

    /// Operators that are tests of one value.
    fn asked<'n>(&mut self, node: &'n Node, what: &str) -> Vec<Entry<'n>> {
        let entries = self.mapping(node, what, &OPERATORS).unwrap_or_default();
        let (tests, others): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|entry| !["exists", "every"].contains(&entry.key));
        for entry in &others {
            let message = format!(
                "`{}` is asked of all values together; expected it beside {what}",
                entry.key
            );
            self.mistakes.add(entry.place, message);
        }
        if tests.is_empty() && others.is_empty() {
            let message = format!("{what} is empty; expected a test of a value in it");
            self.mistakes.add(node.place, message);
        }
        tests
    }

    /// A number, or a moment where the field is one, in billionths.
    fn comparable(&mut self, node: &Node, field: Option<Field>, name: &str) -> Option<i128> {
        let name = clip(name);
        let Value::Scalar { text, .. } = &node.value else {
            self.wrong(node, &format!("what `{name}` is compared with"), "a number");
            return None;
        };
        match field.map(Field::value_type) {
            Some(Type::Time) => match Timestamp::parse(text) {
                Ok(time) => Some(i128::from(time.as_nanos())),
                Err(message) => {
                    self.mistakes.add(node.place, message);
                    None
                }
            },
            Some(Type::Text | Type::Address) => {
                self.mistakes.add(
                    node.place,
                    format!("`{name}` is no number; expected a pattern (`=`, `!=`), `regex`, or a field that is a number"),
                );
                None
            }
            Some(Type::Number | Type::Any) | None => {
                let number = billionths(text);
                if number.is_none() {
                    self.mistakes.add(
                        node.place,
                        format!(
                            "`{name}` is compared with '{}'; expected a number such as 50 or 0.5",
                            clip(text)
                        ),
                    );
                }
                number
            }
        }
    }

    /// Two ends, both within; none where they are not two, or no range.
    fn between(&mut self, node: &Node, field: Option<Field>, name: &str) -> Vec<i128> {
        let Value::Sequence(items) = &node.value else {
            self.wrong(node, "between", "the two ends, as in [50, 100]");
            return Vec::new();
        };
        let ends: Vec<i128> = items
            .iter()
            .filter_map(|item| self.comparable(item, field, name))
            .collect();
        if ends.len() < items.len() {
            return Vec::new();
        }
        match ends.as_slice() {
            [least, most] if least <= most => ends,
            [_, _] => {
                self.mistakes.add(
                    node.place,
                    "the ends of between are the wrong way round; expected the smaller one first",
                );
                Vec::new()
            }
            _ => {
                self.mistakes.add(
                    node.place,
                    format!(
                        "between has {} ends; expected two, as in [50, 100]",
                        ends.len()
                    ),
                );
                Vec::new()
            }
        }
    }

    fn networks(&mut self, node: &Node, field: Option<Field>, name: &str) -> Option<Against> {
        if field.is_some_and(|field| !matches!(field.value_type(), Type::Address | Type::Any)) {
            let addresses: Vec<&str> = Field::ALL
                .iter()
                .filter(|field| field.value_type() == Type::Address)
                .map(|field| field.name())
                .collect();
            self.mistakes.add(
                node.place,
                format!(
                    "`{}` holds no addresses; expected cidr on {}",
                    clip(name),
                    alternatives(&addresses)
                ),
            );
        }
        let mut networks = Vec::new();
        for item in self.items(node, "cidr") {
            let Value::Scalar { text, .. } = &item.value else {
                self.wrong(item, "a network", "such as 10.0.0.0/8");
                continue;
            };
            match network(text) {
                Some(network) => networks.push(network),
                None => self.mistakes.add(
                    item.place,
                    format!(
                        "'{}' is no network; expected such as 10.0.0.0/8 or 2001:db8::/32",
                        clip(text)
                    ),
                ),
            }
        }
        Some(Against::Networks(networks.into()))
    }

    fn expressions(&mut self, node: &Node, name: &str) -> Option<Against> {
        let mut expressions = Vec::new();
        for item in self.items(node, "regex") {
            let Value::Scalar { text, .. } = &item.value else {
                self.wrong(
                    item,
                    &format!("a regular expression on `{}`", clip(name)),
                    "text (in quotes)",
                );
                continue;
            };
            match expression(text) {
                Ok(expression) => expressions.push(expression),
                Err(message) => self.mistakes.add(item.place, message),
            }
        }
        Some(Against::Expressions(expressions.into()))
    }

    fn patterns(&mut self, node: &Node, name: &str, field: Option<Field>) -> Patterns {
        let on_names = matches!(
            field,
            Some(Field::Query | Field::QuerySpelled | Field::OtherQuestions)
        );
        let mut patterns = Patterns::new();
        for item in self.items(node, &format!("the list of patterns on `{}`", clip(name))) {
            // A number, true or null is meant as its text: `dest_port: 53`, `record_type: NULL`.
            let text = match &item.value {
                Value::Scalar { text, .. } => text,
                Value::Null(text) if text.eq_ignore_ascii_case("null") => text,
                Value::Mapping(_) => {
                    let what = format!("a pattern on `{}`", clip(name));
                    for entry in self.mapping(item, &what, &["domain"]).unwrap_or_default() {
                        self.domain(entry.node, &mut patterns);
                    }
                    continue;
                }
                _ => {
                    let what = format!("a pattern on `{}`", clip(name));
                    self.wrong(item, &what, "text, in which * is any run of bytes");
                    continue;
                }
            };
            let checked = if on_names {
                check_name_pattern(text)
            } else if text.is_empty() || text.len() > LONGEST {
                Err(format!(
                    "a pattern of {} bytes; expected 1 to {LONGEST}",
                    text.len()
                ))
            } else {
                Ok(())
            };
            if let Err(message) = checked.and_then(|()| patterns.add(Shape::Glob, text)) {
                self.mistakes.add(item.place, message);
            }
        }
        patterns
    }

    pub(super) fn domains(&mut self, node: &Node) -> Condition {
        let mut patterns = Patterns::new();
        self.domain(node, &mut patterns);
        Condition::covered(Field::Query, patterns)
    }

    /// Adds a name or a list of them, each with all that is below it.
    fn domain(&mut self, node: &Node, patterns: &mut Patterns) {
        for item in self.items(node, "domain") {
            let Value::Scalar { text, .. } = &item.value else {
                self.wrong(item, "a domain", "a name such as example.com");
                continue;
            };
            if let Err(message) =
                check_domain(text).and_then(|name| patterns.add(Shape::Domain, name))
            {
                self.mistakes.add(item.place, message);
            }
        }
    }

    /// The field of that name, or a word that joins conditions where one may stand.
    fn field_or_joint(&mut self, place: Place, name: &str, what: &str) -> Option<Field> {
        let near_joint = JOINTS.iter().find(|joint| joint.eq_ignore_ascii_case(name));
        if let Some(joint) = near_joint {
            let message = format!("`{}` in {what}; {}", clip(name), expected(joint, &JOINTS));
            self.mistakes.add(place, message);
            return None;
        }
        self.field(place, name, what)
    }
}

/// A regular expression: found anywhere in the value, ASCII case does not count, `.` is any character.
pub(in crate::rule) fn expression(text: &str) -> Result<Regex, String> {
    if text.is_empty() || text.len() > LONGEST {
        return Err(format!(
            "a regular expression of {} bytes; expected 1 to {LONGEST}",
            text.len()
        ));
    }
    RegexBuilder::new(text)
        .case_insensitive(true)
        .dot_matches_new_line(true)
        .size_limit(EXPRESSION_BYTES)
        .dfa_size_limit(EXPRESSION_BYTES)
        .build()
        .map_err(|error| {
            let reason = why_no_expression(&error);
            format!(
                "'{}' is no regular expression: {reason}; expected one without look-around and back-references, which takes linear time",
                clip(text)
            )
        })
}
