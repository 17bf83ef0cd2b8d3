//! What rules can reach: a bound on the events that they may match, in terms that a database can look for.
//!
//! It is always too wide and never too narrow, so that whoever reads events by it loses none.

use std::sync::Arc;

use ipnet::IpNet;

use super::condition::{Against, Condition, Test};
use super::pattern::Patterns;
use crate::event::Field;

/// Events that may matter: all of which this holds.
#[derive(Clone, Debug)]
pub enum Reach {
    /// Every event.
    Everything,
    /// Those of which all of these hold.
    All(Vec<Self>),
    /// Those of which one of these holds at least; none where there is none.
    Any(Vec<Self>),
    /// A value of the field is covered by one of the patterns; ASCII case does not count. Of `query` the name in any of the
    /// questions.
    Covered(Field, Arc<Patterns>),
    /// A value of the field is an address within one of the networks.
    Within(Field, Arc<[IpNet]>),
}

impl Reach {
    /// What any of these reaches.
    #[must_use]
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut list = Vec::new();
        for part in parts {
            match part {
                Self::Everything => return Self::Everything,
                Self::Any(parts) => list.extend(parts),
                other => list.push(other),
            }
        }
        match list.len() {
            1 => list.pop().unwrap_or(Self::Everything),
            _ => Self::Any(list),
        }
    }

    /// What all of these reach.
    #[must_use]
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut list = Vec::new();
        for part in parts {
            match part {
                Self::Everything => {}
                Self::All(parts) => list.extend(parts),
                other => list.push(other),
            }
        }
        match list.len() {
            0 => Self::Everything,
            1 => list.pop().unwrap_or(Self::Everything),
            _ => Self::All(list),
        }
    }
}

impl Condition {
    /// The events of which it can hold.
    #[must_use]
    pub fn reach(&self) -> Reach {
        match self {
            Self::All(parts) => Reach::all(parts.iter().map(Self::reach)),
            Self::Any(parts) => Reach::any(parts.iter().map(Self::reach)),
            // The opposite of what is too wide would be too narrow.
            Self::Not(_) | Self::Exists(_) => Reach::Everything,
            Self::Listed(lookup) => lookup.on_query().map_or(Reach::Everything, |patterns| {
                Reach::Covered(Field::Query, Arc::clone(patterns))
            }),
            // Also where every value must pass there must be one that does.
            Self::Compare(comparison) => {
                let field = comparison.field;
                Reach::all(comparison.tests.iter().map(|test| test.reach(field)))
            }
        }
    }
}

impl Test {
    fn reach(&self, field: Field) -> Reach {
        match &self.against {
            _ if self.negated => Reach::Everything,
            Against::Patterns(patterns) => Reach::Covered(field, Arc::clone(patterns)),
            Against::Networks(networks) => Reach::Within(field, Arc::clone(networks)),
            Against::Number(..)
            | Against::Expressions(_)
            | Against::Field(_)
            | Against::Within(_)
            | Against::Part(..) => Reach::Everything,
        }
    }
}
