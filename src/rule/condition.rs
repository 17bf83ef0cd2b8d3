//! Conditions: what an event must be for a rule to match it.

use std::sync::Arc;

use super::pattern::Patterns;
use crate::event::{Event, Field};

/// What an event must be.
#[derive(Clone, Debug)]
pub enum Condition {
    /// All of these hold; also where there is none.
    All(Vec<Self>),
    /// One of these holds at least; not where there is none.
    Any(Vec<Self>),
    /// Any value of the field is covered by any of the patterns. A field that is absent has no value.
    Compare {
        /// The field, compared as its text.
        field: Field,
        /// What may cover it.
        patterns: Arc<Patterns>,
    },
}

impl Default for Condition {
    /// The condition that never holds.
    fn default() -> Self {
        Self::Any(Vec::new())
    }
}

impl Condition {
    /// How many patterns it has.
    #[must_use]
    pub fn pattern_count(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::pattern_count).sum(),
            Self::Compare { patterns, .. } => patterns.len(),
        }
    }

    /// Whether it holds for an event. What of `query` holds is asked of `on_query`, which knows it for the question at
    /// hand: an event may have several, and a list of a million names is not walked.
    pub(super) fn holds(&self, event: &Event, on_query: &dyn Fn(&Arc<Patterns>) -> bool) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(event, on_query)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(event, on_query)),
            Self::Compare {
                field: Field::Query,
                patterns,
            } => on_query(patterns),
            Self::Compare { field, patterns } => {
                let mut covered = false;
                event.each(*field, &mut |value| {
                    covered = covered || patterns.cover(&value.text())
                });
                covered
            }
        }
    }

    /// Calls `take` with each list of patterns on `query`.
    pub(super) fn each_on_query(&self, take: &mut dyn FnMut(&Arc<Patterns>)) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.each_on_query(take))
            }
            Self::Compare {
                field: Field::Query,
                patterns,
            } => take(patterns),
            Self::Compare { .. } => {}
        }
    }

    /// Whether it holds only where some list of patterns on `query` covers the name: then the name alone tells that an
    /// event cannot match.
    #[must_use]
    pub fn is_decided_by_query(&self) -> bool {
        match self {
            Self::All(parts) => parts.iter().any(Self::is_decided_by_query),
            Self::Any(parts) => parts.iter().all(Self::is_decided_by_query),
            Self::Compare { field, .. } => *field == Field::Query,
        }
    }
}
