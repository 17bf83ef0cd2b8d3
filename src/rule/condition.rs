//! Conditions: what an event must be for a rule to match it.
//!
//! A condition is held against what is known: of an event everything, of a question in place its name and type.
//! What cannot be told yet is neither true nor false, so that one evaluation serves both.

use std::sync::Arc;

use ipnet::IpNet;
use regex::Regex;

use super::lookup::{LookedUp, Lookup};
use super::pattern::Patterns;
use crate::event::{Event, Field, NO_QUESTION, Value, network, of_name};
use crate::message::record_type_name;
use crate::time::Part;

/// What an event must be.
#[derive(Clone, Debug)]
pub enum Condition {
    /// All of these hold; also where there is none.
    All(Vec<Self>),
    /// One of these holds at least; not where there is none.
    Any(Vec<Self>),
    /// This does not hold; so also where a field that it compares is absent.
    Not(Box<Self>),
    /// The field has a value.
    Exists(Field),
    /// Values of a field pass tests. A field that is absent has no value, and passes none.
    Compare(Comparison),
    /// A line of that lookup of the rule's matches.
    Listed(Arc<Lookup>),
}

/// Values of a field held against tests.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The field.
    pub field: Field,
    /// Whether every value must pass, of which there must be one at least; else any value that passes is enough.
    pub every: bool,
    /// What a value must pass: all of them.
    pub tests: Vec<Test>,
}

/// What a value must be, or must not be.
#[derive(Clone, Debug)]
pub struct Test {
    /// Whether it must be another.
    pub negated: bool,
    /// What it is held against.
    pub against: Against,
}

/// What a value is held against.
#[derive(Clone, Debug)]
pub enum Against {
    /// Any of these patterns covers its text; ASCII case does not count.
    Patterns(Arc<Patterns>),
    /// It is a number that relates so to this one, in billionths.
    Number(Relation, i128),
    /// It is an address, or a network, within one of these networks.
    Networks(Arc<[IpNet]>),
    /// Any of these expressions is found in its text.
    Expressions(Arc<[Regex]>),
    /// It has the text of a value of this field; ASCII case does not count.
    Field(Field),
    /// It holds the text of a value of this field.
    Within(Within),
    /// It is a moment of which that part, in UTC, is this number.
    Part(Part, i64),
}

/// How a text stands in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    /// The field that has the text.
    pub field: Field,
    /// Whether the value must begin with it.
    pub at_start: bool,
    /// Whether the value must end with it.
    pub at_end: bool,
    /// Whether case counts.
    pub cased: bool,
}

impl Within {
    fn holds(self, value: &str, text: &str) -> bool {
        let fold = |text: &str| match self.cased {
            true => text.to_owned(),
            false => text.to_ascii_lowercase(),
        };
        let (value, text) = (fold(value), fold(text));
        match (self.at_start, self.at_end) {
            (true, true) => value == text,
            (true, false) => value.starts_with(&text),
            (false, true) => value.ends_with(&text),
            (false, false) => value.contains(&text),
        }
    }
}

/// How one number relates to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// It is the smaller.
    Less,
    /// It is not the greater.
    AtMost,
    /// It is the greater.
    Greater,
    /// It is not the smaller.
    AtLeast,
    /// They are the same.
    Equal,
}

impl Relation {
    /// How it is written.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Equal => "==",
        }
    }

    /// The relation that is written so.
    #[must_use]
    pub fn from_symbol(symbol: &str) -> Option<Self> {
        use Relation::{AtLeast, AtMost, Equal, Greater, Less};
        [Less, AtMost, Greater, AtLeast, Equal]
            .into_iter()
            .find(|relation| relation.symbol() == symbol)
    }

    /// Whether `one` relates so to `other`.
    #[must_use]
    pub fn holds<T: Ord>(self, one: &T, other: &T) -> bool {
        match self {
            Self::Less => one < other,
            Self::AtMost => one <= other,
            Self::Greater => one > other,
            Self::AtLeast => one >= other,
            Self::Equal => one == other,
        }
    }
}

/// What is known of an event when a condition is held against it.
pub(super) trait Facts {
    /// Calls `take` with each value of a field; false where nothing is known of the field yet.
    fn each(&self, field: Field, take: &mut dyn FnMut(&Value<'_>)) -> bool;

    /// Whether a list of patterns covers the name in the question.
    fn name_is_covered(&self, patterns: &Arc<Patterns>) -> bool;

    /// Whether a line of a lookup matches, `None` where that cannot be told yet.
    fn is_listed(&self, lookup: &Arc<Lookup>) -> Option<bool>;
}

/// An event, with one of its questions as the one at hand.
pub(super) struct Whole<'a> {
    pub(super) event: &'a Event,
    pub(super) query: &'a str,
    /// Which lists of patterns cover that name: known already, so that a list of a million names is not walked.
    pub(super) covered: &'a dyn Fn(&Arc<Patterns>) -> bool,
    /// What the lookups of the rule at hand say.
    pub(super) looked_up: &'a LookedUp<'a>,
}

impl Facts for Whole<'_> {
    fn each(&self, field: Field, take: &mut dyn FnMut(&Value<'_>)) -> bool {
        if !matches!(field, Field::Added(_)) || !self.looked_up.each(field, self, take) {
            self.event
                .each_about(field, self.query, &mut |value| take(&value));
        }
        true
    }

    fn is_listed(&self, lookup: &Arc<Lookup>) -> Option<bool> {
        Some(self.looked_up.is_listed(lookup, self))
    }

    fn name_is_covered(&self, patterns: &Arc<Patterns>) -> bool {
        (self.covered)(patterns)
    }
}

/// A question as it stands in a message: all that is known before the message is decoded.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The name as events write it: presentation form, lower case, no final dot, the root `.`, and `unknown` where there is
    /// no question.
    pub name: &'a [u8],
    /// QTYPE.
    pub record_type: u16,
}

impl Facts for Asked<'_> {
    fn each(&self, field: Field, take: &mut dyn FnMut(&Value<'_>)) -> bool {
        let Ok(name) = std::str::from_utf8(self.name) else {
            return false;
        };
        if name == NO_QUESTION {
            return false;
        }
        let mut text = |text: std::borrow::Cow<'_, str>| take(&Value::Text(text));
        match field {
            Field::Query => text(name.into()),
            Field::RecordType => text(record_type_name(self.record_type)),
            other => match of_name(other, name) {
                Some(value) => {
                    if let Some(value) = value {
                        take(&value);
                    }
                }
                None => return false,
            },
        }
        true
    }

    fn name_is_covered(&self, patterns: &Arc<Patterns>) -> bool {
        patterns.iter().any(|pattern| pattern.covers(self.name))
    }

    fn is_listed(&self, lookup: &Arc<Lookup>) -> Option<bool> {
        lookup.lines(self).map(|lines| !lines.is_empty())
    }
}

/// Whether the question alone tells a field's value.
pub(super) fn is_of_question(field: Field) -> bool {
    matches!(field, Field::Query | Field::RecordType) || of_name(field, "").is_some()
}

impl Default for Condition {
    /// The condition that never holds.
    fn default() -> Self {
        Self::Any(Vec::new())
    }
}

impl Condition {
    /// That any value of a field is covered by any of the patterns.
    #[must_use]
    pub fn covered(field: Field, patterns: Patterns) -> Self {
        Self::Compare(Comparison {
            field,
            every: false,
            tests: vec![Test {
                negated: false,
                against: Against::Patterns(Arc::new(patterns)),
            }],
        })
    }

    /// That one of these holds at least; one alone stands for itself.
    #[must_use]
    pub(super) fn any_of(mut parts: Vec<Self>) -> Self {
        match parts.len() {
            1 => parts.pop().unwrap_or_default(),
            _ => Self::Any(parts),
        }
    }

    /// How many patterns and other things to hold against it has.
    #[must_use]
    pub fn pattern_count(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::pattern_count).sum(),
            Self::Not(part) => part.pattern_count(),
            Self::Exists(_) => 1,
            // The rule counts its lines.
            Self::Listed(_) => 0,
            Self::Compare(comparison) => comparison
                .tests
                .iter()
                .map(|test| match &test.against {
                    Against::Patterns(patterns) => patterns.len(),
                    Against::Networks(networks) => networks.len(),
                    Against::Expressions(expressions) => expressions.len(),
                    Against::Number(..)
                    | Against::Field(_)
                    | Against::Within(_)
                    | Against::Part(..) => 1,
                })
                .sum(),
        }
    }

    /// Whether it holds for an event, with that one of its questions as the one at hand; each pattern is compared.
    #[must_use]
    pub fn matches(&self, event: &Event, query: &str) -> bool {
        let covered = |patterns: &Arc<Patterns>| patterns.cover(query);
        let facts = Whole {
            event,
            query,
            covered: &covered,
            looked_up: &LookedUp::new(&[]),
        };
        self.holds(&facts) == Some(true)
    }

    /// Whether it holds, `None` where that cannot be told yet.
    pub(super) fn holds(&self, facts: &dyn Facts) -> Option<bool> {
        match self {
            Self::All(parts) => every(parts.iter().map(|part| part.holds(facts))),
            Self::Any(parts) => any(parts.iter().map(|part| part.holds(facts))),
            Self::Not(part) => part.holds(facts).map(|holds| !holds),
            Self::Exists(field) => {
                let mut exists = false;
                let is_known = facts.each(*field, &mut |_| exists = true);
                is_known.then_some(exists)
            }
            Self::Compare(comparison) => comparison.holds(facts),
            Self::Listed(lookup) => facts.is_listed(lookup),
        }
    }

    /// Calls `take` with each list of patterns on `query`.
    pub(super) fn each_on_query(&self, take: &mut dyn FnMut(&Arc<Patterns>)) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.each_on_query(take))
            }
            Self::Not(part) => part.each_on_query(take),
            Self::Exists(_) => {}
            Self::Compare(comparison) if comparison.field == Field::Query => {
                comparison.tests.iter().for_each(|test| {
                    if let Against::Patterns(patterns) = &test.against {
                        take(patterns);
                    }
                });
            }
            Self::Compare(_) => {}
            Self::Listed(lookup) => {
                if let Some(patterns) = lookup.on_query() {
                    take(patterns);
                }
            }
        }
    }

    /// Whether it holds only where some list of patterns on `query` covers the name: then the name alone tells that an
    /// event cannot match.
    #[must_use]
    pub fn is_decided_by_query(&self) -> bool {
        match self {
            Self::All(parts) => parts.iter().any(Self::is_decided_by_query),
            Self::Any(parts) => parts.iter().all(Self::is_decided_by_query),
            Self::Not(_) | Self::Exists(_) => false,
            Self::Listed(lookup) => lookup.on_query().is_some(),
            Self::Compare(comparison) => {
                comparison.field == Field::Query
                    && comparison
                        .tests
                        .iter()
                        .any(|test| !test.negated && matches!(test.against, Against::Patterns(_)))
            }
        }
    }

    /// Whether some question tells that no event with it can match.
    #[must_use]
    pub fn is_decided_by_question(&self) -> bool {
        self.question_may_tell(false)
    }

    /// Whether a question may tell that it holds, or that it does not.
    fn question_may_tell(&self, holds: bool) -> bool {
        let may = |part: &Self| part.question_may_tell(holds);
        match self {
            Self::All(parts) if holds => parts.iter().all(may),
            Self::All(parts) => parts.iter().any(may),
            Self::Any(parts) if holds => parts.iter().any(may),
            Self::Any(parts) => parts.iter().all(may),
            Self::Not(part) => part.question_may_tell(!holds),
            Self::Exists(field) => is_of_question(*field),
            Self::Listed(lookup) => lookup.question_may_tell(holds),
            Self::Compare(comparison) => {
                is_of_question(comparison.field)
                    && comparison.tests.iter().all(|test| match test.against {
                        Against::Field(field) | Against::Within(Within { field, .. }) => {
                            is_of_question(field)
                        }
                        _ => true,
                    })
            }
        }
    }
}

impl Comparison {
    fn holds(&self, facts: &dyn Facts) -> Option<bool> {
        let mut result = Some(self.every);
        let mut is_empty = true;
        let is_known = facts.each(self.field, &mut |value| {
            is_empty = false;
            let is_settled = result == Some(!self.every);
            if is_settled {
                return;
            }
            let passes = every(
                self.tests
                    .iter()
                    .map(|test| test.holds(self.field, value, facts)),
            );
            result = match self.every {
                true => every([result, passes].into_iter()),
                false => any([result, passes].into_iter()),
            };
        });
        if !is_known {
            return None;
        }
        if is_empty { Some(false) } else { result }
    }
}

impl Test {
    fn holds(&self, field: Field, value: &Value<'_>, facts: &dyn Facts) -> Option<bool> {
        let holds = match &self.against {
            Against::Patterns(patterns) if field == Field::Query => facts.name_is_covered(patterns),
            Against::Patterns(patterns) => patterns.cover(&value.text()),
            Against::Number(relation, number) => value
                .billionths()
                .is_some_and(|value| relation.holds(&value, number)),
            Against::Networks(networks) => network_of(value)
                .is_some_and(|value| networks.iter().any(|network| network.contains(&value))),
            Against::Expressions(expressions) => {
                let text = value.text();
                expressions
                    .iter()
                    .any(|expression| expression.is_match(&text))
            }
            Against::Field(other) => {
                let text = value.text();
                let mut is_same = false;
                let is_known = facts.each(*other, &mut |value| {
                    is_same |= value.text().eq_ignore_ascii_case(&text);
                });
                if !is_known {
                    return None;
                }
                is_same
            }
            Against::Within(within) => {
                let text = value.text();
                let mut holds = false;
                let is_known = facts.each(within.field, &mut |value| {
                    holds |= within.holds(&text, &value.text());
                });
                if !is_known {
                    return None;
                }
                holds
            }
            Against::Part(part, number) => match value {
                Value::Time(time) => time.part(*part) == Some(*number),
                _ => false,
            },
        };
        Some(holds != self.negated)
    }
}

/// Why a text is no regular expression, in one line.
pub(super) fn why_no_expression(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it grows too large".to_owned(),
        other => other
            .to_string()
            .lines()
            .last()
            .unwrap_or_default()
            .trim_start_matches("error: ")
            .to_owned(),
    }
}

/// The network of a value that is an address, or the text of an address or of a network.
fn network_of(value: &Value<'_>) -> Option<IpNet> {
    match value {
        Value::Address(address) => Some(IpNet::from(*address)),
        Value::Text(text) => network(text),
        _ => None,
    }
}

/// Whether all hold, where that can be told.
fn every(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(true);
    for part in parts {
        match part {
            Some(false) => return Some(false),
            Some(true) => {}
            None => all = None,
        }
    }
    all
}

/// Whether any holds, where that can be told.
fn any(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    every(parts.map(|part| part.map(|holds| !holds))).map(|none| !none)
}
