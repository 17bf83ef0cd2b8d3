//! Rows: what is said of a group, and how it is written.

use std::borrow::Cow;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::group::Context;
use super::key::Key;
use crate::event::{Field, Value};
use crate::rule::{Column, Function};
use crate::time::Timestamp;

/// What the rows of one rule have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleShape {
    /// The rule's name.
    pub name: Arc<str>,
    /// Its place in the list of rules.
    pub place: usize,
    /// The fields that make the groups.
    pub by: Vec<Field>,
    /// The columns.
    pub columns: Vec<Column>,
}

/// The values of a `values()` column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DistinctValues {
    /// The distinct values, sorted as rows are.
    pub values: Vec<Key>,
    /// Whether there were more than the bound, so that only the smallest are here.
    pub cut: bool,
}

/// What the events of one group amount to.
///
/// Rows of the same rule, window and keys are mergeable: counts add, `first` takes the minimum and `last` the maximum.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The rule that the events matched.
    pub rule: Arc<RuleShape>,
    /// Start and end (exclusive) of the window; `None` where there is one for everything.
    pub window: Option<(Timestamp, Timestamp)>,
    /// The values of the rule's `by` fields, in its order.
    pub keys: Vec<(Field, Key)>,
    /// The number of events.
    pub count: u64,
    /// The earliest event's `_time`.
    pub first: Timestamp,
    /// The latest event's `_time`.
    pub last: Timestamp,
    /// The values of the rule's `values()` columns, in its order.
    pub values: Vec<DistinctValues>,
    /// Whether other rows of the same rule, window and keys may exist.
    pub partial: bool,
    /// The same for the same events on the same sensor, whoever sends them again.
    pub id: [u8; 16],
    /// The sensor's name.
    pub sensor: Arc<str>,
    /// What tables show beside it.
    pub context: Context,
}

/// One named thing of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// One value.
    Value(Value<'a>),
    /// A list of values.
    List(&'a [Key]),
    /// A window.
    Window(Option<(Timestamp, Timestamp)>),
}

impl Row {
    /// Calls `take` with each thing of the row and its name, in the order in which they are written.
    pub fn each<'a>(&'a self, take: &mut dyn FnMut(&str, Cell<'a>)) {
        take(
            "rule",
            Cell::Value(Value::Text(Cow::Borrowed(&self.rule.name))),
        );
        for (field, key) in &self.keys {
            take(field.name(), Cell::Value(key.clone()));
        }
        let mut values = self.values.iter();
        for column in &self.rule.columns {
            match column.function {
                Function::Count => take(&column.name, Cell::Value(Value::Number(self.count))),
                Function::MinTime => take(&column.name, Cell::Value(Value::Time(self.first))),
                Function::MaxTime => take(&column.name, Cell::Value(Value::Time(self.last))),
                Function::Values(_) => {
                    if let Some(DistinctValues { values, cut }) = values.next() {
                        take(&column.name, Cell::List(values));
                        if *cut {
                            take(&cut_name(&column.name), Cell::Value(Value::Flag(true)));
                        }
                    }
                }
            }
        }
        take("window", Cell::Window(self.window));
        take(
            "sensor",
            Cell::Value(Value::Text(Cow::Borrowed(&self.sensor))),
        );
        take("event_id", Cell::Value(Value::Id(self.id)));
        if self.partial {
            take("partial", Cell::Value(Value::Flag(true)));
        }
    }

    /// The value of a `by` field of the rule.
    #[must_use]
    pub fn key(&self, field: Field) -> Option<&Key> {
        self.keys
            .iter()
            .find(|(other, _)| *other == field)
            .map(|(_, key)| key)
    }
}

/// The names in a row that no column may take.
pub const RESERVED: [&str; 5] = ["rule", "window", "sensor", "event_id", "partial"];

/// The name under which a row says that a `values()` column was cut.
pub(super) fn cut_name(column: &str) -> String {
    format!("{column}_cut")
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut result = Ok(());
        self.each(&mut |name, cell| {
            if result.is_ok() {
                result = map.serialize_entry(name, &cell);
            }
        });
        result?;
        map.end()
    }
}

impl Cell<'_> {
    /// Calls `take` with the cell's text: each value of a list, nothing where there is no window.
    pub fn texts(&self, take: &mut dyn FnMut(&str)) {
        match self {
            Self::Value(value) => take(&value.text()),
            Self::List(values) => values.iter().for_each(|value| take(&value.text())),
            Self::Window(Some(window)) => take(&interval(*window)),
            Self::Window(None) => {}
        }
    }
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::List(values) => values.serialize(serializer),
            Self::Window(window) => window.map(interval).serialize(serializer),
        }
    }
}

/// A window as an interval of two moments (RFC 3339, appendix A: `start/end`).
fn interval((start, end): (Timestamp, Timestamp)) -> String {
    format!("{start}/{end}")
}

/// The row's id: a hash of sensor, rule, window, keys and the exclusive-or of the events' ids, each part with its length
/// before it, so that no two lists of parts are the same bytes.
pub(super) fn id(
    sensor: &str,
    rule: &str,
    window: Option<(Timestamp, Timestamp)>,
    keys: &[(Field, Key)],
    events: [u8; 16],
) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    part(sensor.as_bytes());
    part(rule.as_bytes());
    match window {
        None => part(&[]),
        Some((start, end)) => {
            part(&start.as_nanos().to_be_bytes());
            part(&end.as_nanos().to_be_bytes());
        }
    }
    for (field, key) in keys {
        part(field.name().as_bytes());
        part(key.text().as_bytes());
    }
    part(&events);
    let hash = *hasher.finalize().as_bytes();
    hash.first_chunk().copied().unwrap_or_default()
}
