//! From hits to rows: windows, groups and the functions over them.
//!
//! A hit belongs to a window by its event's `_time`, and in the window to a group for each combination of the values of
//! its rule's `by` fields. When a window closes its groups become rows, in a fixed order. What must be given up before
//! becomes a partial row: rows of the same rule, window and keys can be merged by whoever reads them.

mod cardinality;
pub mod correlate;
mod encrypted;
mod figure;
mod group;
mod kept;
mod key;
pub mod merge;
pub mod merged_sources;
mod number;
mod part;
mod place;
mod relative;
mod row;
mod schedule;
mod smallest;
pub mod sources;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod windows;

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

pub use cardinality::{DistinctCount, DistinctPart};
pub use encrypted::EncryptedOfSource;
pub use figure::{DistinctValues, Figure};
pub use group::Context;
pub use key::{Key, sortable};
pub use number::{Exact, Numbers};
pub use part::Part;
pub use place::PlaceOfRows;
pub use row::{Cell, RESERVED, Row, RuleShape, WithPart};

use group::Group;
use key::EventValues;
use schedule::Runs;
use windows::{Found, Tile, Windows};

use crate::event::Event;
use crate::rule::column::MOST_VALUES;
use crate::rule::{Moves, Rule, Schedule};
use crate::stats;
use crate::time::Timestamp;

/// How many combinations of its multivalued `by` fields one event may have; the first in their order count.
const MAX_COMBINATIONS: u64 = 4_096;
/// Over which spans of time events are aggregated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// One for everything.
    None,
    /// One after another, of that length, counted from the epoch.
    Every(Duration),
    /// The spans that each rule's schedule searches.
    Schedule,
}

/// What an aggregation may hold, and how long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Groups in all windows together.
    pub groups: usize,
    /// Distinct values in each `values()` column of a group.
    pub values: usize,
    /// Bytes of all groups together, about.
    pub bytes: usize,
    /// How long after the end of a [`Window::Every`] it closes: an event is made when its transaction ends, which is later
    /// than the `_time` by which it belongs.
    pub lateness: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            groups: 100_000,
            values: MOST_VALUES,
            bytes: 256 * 1024 * 1024,
            lateness: Duration::from_secs(90),
        }
    }
}

/// Why rules cannot be aggregated as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Two things of a row would have the same name.
    #[error("rule '{rule}': a row cannot have two things called '{name}'")]
    Name {
        /// The rule's name.
        rule: String,
        /// The name that stands twice, or that every row needs for itself.
        name: String,
    },
    /// The schedule means nothing.
    #[error("rule '{rule}': schedule: {reason}")]
    Schedule {
        /// The rule's name.
        rule: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The window's length cannot be.
    #[error("a window must be longer than nothing and shorter than 292 years")]
    Window,
}

/// What is kept of a rule.
#[derive(Debug)]
struct Aggregated {
    shape: Arc<RuleShape>,
    runs: Runs,
}

/// Hits in, rows out.
#[derive(Debug)]
pub struct Aggregator {
    rules: Vec<Aggregated>,
    window: Window,
    sensor: Arc<str>,
    lateness: Duration,
    windows: Windows,
    /// Whether rows have what others need to be merged with them.
    with_parts: bool,
    /// Memory that is used again for each hit.
    tiles: Vec<Option<Tile>>,
    by: EventValues,
    values: EventValues,
    key: Vec<u8>,
    /// What was counted; `events` and `events_matched` are for the caller to count.
    pub stats: stats::Rows,
}

impl Aggregator {
    /// An aggregation of the hits of `rules`, which are named by their place among them.
    ///
    /// # Errors
    /// A rule's rows would have two things of one name, its schedule means nothing (also where the window is another), or
    /// the window's length cannot be.
    pub fn new(
        rules: &[Rule],
        window: Window,
        sensor: Arc<str>,
        limits: Limits,
    ) -> Result<Self, Error> {
        if let Window::Every(length) = window
            && (length.is_zero() || i64::try_from(length.as_nanos()).is_err())
        {
            return Err(Error::Window);
        }
        // Many rules have one schedule, which takes longer to read than all else of a rule.
        let mut runs = HashMap::new();
        Ok(Self {
            rules: rules
                .iter()
                .enumerate()
                .map(|(place, rule)| Aggregated::new(place, rule, &mut runs))
                .collect::<Result<_, _>>()?,
            window,
            sensor,
            lateness: limits.lateness,
            windows: Windows::new(limits),
            with_parts: false,
            tiles: Vec::new(),
            by: EventValues::default(),
            values: EventValues::default(),
            key: Vec::new(),
            stats: stats::Rows::default(),
        })
    }

    /// Adds an event that the rule at that place matched; `query` is the name that matched, and the value of the field
    /// `query` in the row. Rows for which there is no more room go to `emit`.
    pub fn add(&mut self, rule: usize, event: &Event, query: &str, emit: &mut dyn FnMut(Row)) {
        self.add_to(None, rule, event, query, emit);
    }

    /// The same, to one group alone: that of this key, whatever the values of the event's `by` fields are.
    pub fn add_to_group(
        &mut self,
        key: &[u8],
        rule: usize,
        event: &Event,
        query: &str,
        emit: &mut dyn FnMut(Row),
    ) {
        self.add_to(Some(key), rule, event, query, emit);
    }

    fn add_to(
        &mut self,
        only: Option<&[u8]>,
        rule: usize,
        event: &Event,
        query: &str,
        emit: &mut dyn FnMut(Row),
    ) {
        let (Some((shape, cut)), Ok(number)) = (self.tiles_of(rule, event), u32::try_from(rule))
        else {
            debug_assert!(false, "no rule at place {rule}");
            return;
        };
        self.stats.hits += 1;
        self.stats.tiles_cut += u64::from(cut);
        if self.tiles.is_empty() {
            self.stats.unscheduled += 1;
            return;
        }
        if self.tiles.iter().any(|tile| self.windows.is_closed(*tile)) {
            self.stats.late += 1;
        }
        self.values_of(&shape, event, query);
        kept::values_for(&shape.columns, event, query, &mut self.values);
        if let Some(key) = only {
            let columns = &shape.columns;
            let found = self
                .windows
                .add(&self.tiles, number, key, event, columns, &self.values);
            self.stats.additions += self.tiles.len() as u64;
            self.emit(found, emit);
            return;
        }
        let combinations = self.by.combinations();
        self.stats.combinations_cut += combinations.saturating_sub(MAX_COMBINATIONS);
        for combination in 0..combinations.min(MAX_COMBINATIONS) {
            self.by.combination(combination, &mut self.key);
            let found = self.windows.add(
                &self.tiles,
                number,
                &self.key,
                event,
                &shape.columns,
                &self.values,
            );
            self.stats.additions += self.tiles.len() as u64;
            self.emit(found, emit);
        }
    }

    /// Finds the windows of an event that the rule at that place matched; gives the rule, and whether there are more windows
    /// than are taken.
    fn tiles_of(&mut self, rule: usize, event: &Event) -> Option<(Arc<RuleShape>, bool)> {
        let aggregated = self.rules.get_mut(rule)?;
        let shape = Arc::clone(&aggregated.shape);
        self.tiles.clear();
        let mut are_cut = false;
        match self.window {
            Window::None => self.tiles.push(None),
            Window::Every(length) => {
                self.tiles
                    .push(Some(Tile::of(event.time, length, self.lateness)))
            }
            Window::Schedule => {
                let (tiles, cut) = aggregated.runs.tiles(event.time);
                self.tiles.extend(tiles.iter().copied().map(Some));
                are_cut = cut;
            }
        }
        Some((shape, are_cut))
    }

    /// Finds the values of an event's `by` fields.
    fn values_of(&mut self, shape: &RuleShape, event: &Event, query: &str) {
        self.by.clear();
        for field in &shape.by {
            self.by.push_key(event, *field, query);
        }
    }

    /// Tells that packet time has come to `now`: the windows whose time it is become rows. A time before one that was told
    /// already closes nothing.
    pub fn advance(&mut self, now: Timestamp, emit: &mut dyn FnMut(Row)) {
        let found = self.windows.advance(now);
        self.emit(found, emit);
    }

    /// The rules were read anew: goes on with those of `newer`, an aggregation of nothing yet. The groups of rules that are
    /// as they were stay; those of all others become partial rows.
    pub fn replace(&mut self, newer: Self, moves: &Moves, emit: &mut dyn FnMut(Row)) {
        let found = self.windows.replace(moves);
        self.emit(found, emit);
        self.rules = newer.rules;
    }

    /// From now on rows have their part, and those that their rule holds back come too, marked as such.
    #[must_use]
    pub fn with_parts(mut self) -> Self {
        self.with_parts = true;
        self
    }

    /// The end: all windows become rows.
    pub fn finish(&mut self, emit: &mut dyn FnMut(Row)) {
        let found = self.windows.finish();
        self.emit(found, emit);
    }

    /// How many groups there are that are not rows yet.
    #[must_use]
    pub const fn groups(&self) -> usize {
        self.windows.groups()
    }

    /// The rows of the windows that are open, as they are so far.
    #[must_use]
    pub fn so_far(&self) -> Vec<Row> {
        self.windows
            .so_far()
            .into_iter()
            .filter_map(|(tile, partial, group)| self.row(tile, partial, group))
            .filter(Row::passes)
            .collect()
    }

    fn emit(&mut self, found: Vec<Found<Group>>, emit: &mut dyn FnMut(Row)) {
        for (tile, partial, group) in found {
            if let Some(row) = self.row(tile, partial, &group) {
                if !row.passes() {
                    self.stats.held_back += 1;
                    self.stats.counted_held_back += row.count;
                    if self.with_parts {
                        // Together with those of other sensors it may come to enough.
                        emit(Row {
                            held_back: true,
                            ..row
                        });
                    }
                    continue;
                }
                self.stats.rows += 1;
                self.stats.partial += u64::from(row.partial);
                self.stats.counted = self.stats.counted.saturating_add(row.count);
                emit(row);
            }
        }
    }

    fn row(&self, tile: Option<Tile>, partial: bool, group: &Group) -> Option<Row> {
        let shape = &self.rules.get(usize::try_from(group.rule).ok()?)?.shape;
        let window = tile.map(|tile| (tile.start, tile.end));
        let mut row = group.row(shape, window, &self.sensor, partial);
        if self.with_parts {
            row.part = Some(Box::new(Part::of(group, shape, window)));
        }
        Some(row)
    }
}

impl Aggregated {
    /// `known` are the runs of the schedules of other rules.
    fn new<'r>(
        place: usize,
        rule: &'r Rule,
        known: &mut HashMap<Option<&'r Schedule>, Runs>,
    ) -> Result<Self, Error> {
        let mut names: HashSet<Cow<'_, str>, ahash::RandomState> =
            row::RESERVED.into_iter().map(Cow::Borrowed).collect();
        let columns = rule.columns.iter().flat_map(|column| {
            let further = column.further_names().into_iter().map(Cow::Owned);
            std::iter::once(Cow::Borrowed(column.name.as_str())).chain(further)
        });
        let by = rule.by.iter().map(|field| Cow::Borrowed(field.name()));
        for name in by.chain(columns) {
            if let Some(name) = names.replace(name) {
                return Err(Error::Name {
                    rule: rule.name.clone(),
                    name: name.into_owned(),
                });
            }
        }
        let runs = match known.entry(rule.schedule.as_ref()) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => {
                let runs = Runs::new(rule.schedule.as_ref()).map_err(|reason| Error::Schedule {
                    rule: rule.name.clone(),
                    reason,
                })?;
                place.insert(runs).clone()
            }
        };
        Ok(Self {
            shape: Arc::new(RuleShape::of(rule, place)),
            runs,
        })
    }
}
