//! Correlations: what the hits of other rules must be together.

use std::time::Duration;

use super::condition::Relation;
use crate::event::Field;

/// Hits of other rules that lie close in time and have something in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correlation {
    /// The rules whose hits are looked at.
    pub parts: Vec<Part>,
    /// How far apart the first and the last hit may be that are looked at together.
    pub span: Duration,
    /// What is computed of the hits of one group in such a span.
    pub measure: Measure,
    /// What the outcome must be: all of these hold. Where there is none a hit of each part is enough.
    pub bounds: Vec<Bound>,
    /// Whether the parts' own hits become rows of their own, too.
    pub generate: bool,
}

/// A rule whose hits are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// As the correlation calls it: the name, title or id.
    pub called: String,
    /// The rule's place in the list of those of the run; set when the run's rules are joined.
    pub place: usize,
    /// The fields of its hits whose values make the groups; as many as those of the other parts.
    pub by: Vec<Field>,
}

/// What is computed of the hits of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// How many there are.
    Count,
    /// How many distinct values of a field, of several fields how many combinations.
    Distinct(Vec<Field>),
    /// Of how many parts there is one; with an expression, whether that holds.
    Together(Option<Expression>),
    /// The same, where the parts' hits come in the order of the parts.
    Ordered(Option<Expression>),
    /// The sum of a field.
    Sum(Field),
    /// The mean of a field.
    Average(Field),
    /// That percentile of a field, from 0 to 100, between two values in proportion.
    Percentile(Field, u8),
}

/// What parts must have hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// All of these hold.
    All(Vec<Self>),
    /// One of these holds at least.
    Any(Vec<Self>),
    /// This does not hold.
    Not(Box<Self>),
    /// The part of that number has a hit.
    Part(usize),
}

impl Expression {
    /// Whether it holds where the parts have hits for which `has` is true.
    #[must_use]
    pub fn holds(&self, has: &dyn Fn(usize) -> bool) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(has)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(has)),
            Self::Not(part) => !part.holds(has),
            Self::Part(number) => has(*number),
        }
    }
}

/// How the outcome must relate to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// How.
    pub relation: Relation,
    /// Whether it must not.
    pub negated: bool,
    /// The number, in billionths.
    pub number: i128,
}

impl Bound {
    /// Whether an outcome in billionths is as it must be.
    #[must_use]
    pub fn holds(&self, outcome: i128) -> bool {
        self.relation.holds(&outcome, &self.number) != self.negated
    }
}
