//! Rows: what is said of a group, and how it is written.

use std::borrow::Cow;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::figure::{Figure, billionths};
use super::group::Context;
use super::key::Key;
use super::number::Exact;
use super::part::Part;
use crate::event::{Field, Value};
use crate::rule::{Column, Function, Rule, Threshold};
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
    /// What they must come to.
    pub having: Vec<Threshold>,
}

impl RuleShape {
    /// That of a rule, which stands in that place.
    #[must_use]
    pub fn of(rule: &Rule, place: usize) -> Self {
        Self {
            name: rule.name.as_str().into(),
            place,
            by: rule.by.clone(),
            columns: rule.columns.clone(),
            having: rule.having.clone(),
        }
    }
}

/// What the events of one group amount to.
///
/// Rows of the same rule, window and keys are mergeable: counts add, `first` takes the minimum and `last` the maximum, and
/// a partial row has the parts of its other columns.
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
    /// What the rule's other columns came to, in its order.
    pub figures: Vec<Figure>,
    /// Whether other rows of the same rule, window and keys may exist.
    pub partial: bool,
    /// The same for the same events on the same sensor, whoever sends them again.
    pub id: [u8; 16],
    /// The sensor's name.
    pub sensor: Arc<str>,
    /// What tables show beside it.
    pub context: Context,
    /// What it was made of, where rows of other sensors are to be merged with it.
    pub part: Option<Box<Part>>,
    /// Whether the columns did not come to what the rule asks of them: it is for merging alone.
    pub held_back: bool,
}

/// One named thing of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// One value.
    Value(Value<'a>),
    /// A number that was computed.
    Number(Exact),
    /// No value: no event had any.
    Absent,
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
        for (column, figure) in self.columns() {
            take(&column.name, self.cell(column, figure));
            if let Some(figure) = figure {
                figure.each_further(column, self.partial, take);
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

    /// The rule's columns, with what each came to where the row does not have it anyway.
    fn columns(&self) -> impl Iterator<Item = (&Column, Option<&Figure>)> {
        let mut figures = self.figures.iter();
        self.rule.columns.iter().map(move |column| {
            let of_row = matches!(
                column.function,
                Function::Count | Function::MinTime | Function::MaxTime
            );
            (column, if of_row { None } else { figures.next() })
        })
    }

    fn cell<'a>(&self, column: &Column, figure: Option<&'a Figure>) -> Cell<'a> {
        match (column.function, figure) {
            (Function::Count, _) => Cell::Value(Value::Number(self.count)),
            (Function::MinTime, _) => Cell::Value(Value::Time(self.first)),
            (Function::MaxTime, _) => Cell::Value(Value::Time(self.last)),
            (function, Some(figure)) => figure.cell(function),
            (_, None) => Cell::Absent,
        }
    }

    /// The columns that say more than how many lookups there were and when, and which values they had, with their
    /// texts; an estimate begins with `~`.
    #[must_use]
    pub fn measures(&self) -> Vec<(&Column, String)> {
        self.columns()
            .filter_map(|(column, figure)| match figure? {
                Figure::Values(_) => None,
                figure => {
                    let mut text = String::new();
                    if matches!(figure, Figure::Distinct(distinct) if distinct.estimated) {
                        text.push('~');
                    }
                    self.cell(column, Some(figure))
                        .texts(&mut |value| text.push_str(value));
                    Some((column, text))
                }
            })
            .collect()
    }

    /// Whether the columns come to what the rule asks of them. Of a partial row that is not asked: its other parts are
    /// elsewhere.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.partial
            || self.rule.having.iter().all(|threshold| {
                let number = self
                    .columns()
                    .nth(threshold.column)
                    .and_then(|(column, figure)| match column.function {
                        Function::Count => Some(billionths(self.count)),
                        function => figure.and_then(|figure| figure.number(function)),
                    });
                number.is_some_and(|number| {
                    threshold.relation.holds(&number, &threshold.number) != threshold.negated
                })
            })
    }

    fn entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let mut result = Ok(());
        self.each(&mut |name, cell| {
            if result.is_ok() {
                result = map.serialize_entry(name, &cell);
            }
        });
        result
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

/// A row with its part, for whoever merges rows.
#[derive(Clone, Copy, Debug)]
pub struct WithPart<'a>(pub &'a Row);

impl Serialize for WithPart<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.0.entries(&mut map)?;
        if let Some(part) = &self.0.part {
            map.serialize_entry("part", part)?;
        }
        map.end()
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.entries(&mut map)?;
        map.end()
    }
}

impl Cell<'_> {
    /// Calls `take` with the cell's text: each value of a list, nothing where there is no window.
    pub fn texts(&self, take: &mut dyn FnMut(&str)) {
        match self {
            Self::Value(value) => take(&value.text()),
            Self::Number(number) => take(&number.to_string()),
            Self::List(values) => values.iter().for_each(|value| take(&value.text())),
            Self::Window(Some(window)) => take(&interval(*window)),
            Self::Absent | Self::Window(None) => {}
        }
    }
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::Number(number) => number.serialize(serializer),
            Self::Absent => serializer.serialize_none(),
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
