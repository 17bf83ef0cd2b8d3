//! The windows that are open, and their groups.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use ahash::RandomState;

use super::Limits;
use super::group::Group;
use super::key::EventValues;
use super::table::{Entry, Table};
use crate::event::Event;
use crate::rule::{Column, Moved, Moves};
use crate::time::Timestamp;

/// How many windows may be open: more come from captures whose times are far apart and out of order.
pub(super) const MAX_WINDOWS: usize = 4_096;

/// A span of time for which rows are made; ordered as rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tile {
    pub(super) start: Timestamp,
    /// Exclusive.
    pub(super) end: Timestamp,
    /// From then on it is closed.
    pub(super) closes: Timestamp,
}

impl Tile {
    /// The window of that length that holds a moment.
    pub(super) fn of(time: Timestamp, length: Duration, lateness: Duration) -> Self {
        let length_nanos = i64::try_from(length.as_nanos()).unwrap_or(i64::MAX).max(1);
        let start = time.minus(Duration::from_nanos(
            u64::try_from(time.as_nanos().rem_euclid(length_nanos)).unwrap_or(0),
        ));
        let end = start.plus(length);
        Self {
            start,
            end,
            closes: end.plus(lateness),
        }
    }
}

/// The groups of one window.
#[derive(Debug)]
struct Open {
    groups: Table<Group>,
    /// Groups of that number and later may be the rest of one that was given up: 0 in a window that was closed already,
    /// the highest number while nothing was given up.
    whole_before: u64,
    /// Rules that were read anew and changed, and groups of which were given up for that: all of theirs may be the rest.
    changed: HashSet<u32, RandomState>,
}

impl Open {
    fn is_partial(&self, number: u64, group: &Group) -> bool {
        number >= self.whole_before || self.changed.contains(&group.rule)
    }
}

/// A group on its way out: its window, whether it is partial, and it.
pub(super) type Found<G> = (Option<Tile>, bool, G);

/// All open windows, within the limits.
#[derive(Debug)]
pub(super) struct Windows {
    limits: Limits,
    /// The windows, the oldest first; without windows there is one, `None`.
    open: BTreeMap<Option<Tile>, Open>,
    /// How many groups there are in all windows.
    groups: usize,
    /// How many bytes they hold.
    bytes: usize,
    /// The latest time that was told.
    now: Timestamp,
    /// No open window closes before.
    next_close: Timestamp,
    /// A window was given up with what it knew of its partial groups.
    forgot: bool,
    state: RandomState,
}

impl Windows {
    /// No window yet.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: BTreeMap::new(),
            groups: 0,
            bytes: 0,
            now: Timestamp::MIN,
            next_close: Timestamp::MAX,
            forgot: false,
            state: RandomState::new(),
        }
    }

    /// Whether the window's time was over when time was told last.
    pub(super) fn is_closed(&self, tile: Option<Tile>) -> bool {
        tile.is_some_and(|tile| tile.closes <= self.now)
    }

    /// Adds an event to the group of that rule and key in each of the windows; gives the groups for which there is no more
    /// room. `values` are the event's values for the columns that keep something.
    pub(super) fn add(
        &mut self,
        tiles: &[Option<Tile>],
        rule: u32,
        key: &[u8],
        event: &Event,
        columns: &[Column],
        values: &EventValues,
    ) -> Vec<Found<Group>> {
        let hash = Group::hash_of(rule, key, &self.state);
        let mut found = Vec::new();
        for &tile in tiles {
            // What comes after a window was closed, or was given up whole, can only be a part.
            let whole_before = if self.forgot || self.is_closed(tile) {
                0
            } else {
                u64::MAX
            };
            let open = self.open.entry(tile).or_insert_with(|| {
                if let Some(tile) = tile {
                    self.next_close = self.next_close.min(tile.closes);
                }
                Open {
                    groups: Table::default(),
                    whole_before,
                    changed: HashSet::default(),
                }
            });
            let same = |group: &Group| group.rule == rule && *group.key == *key;
            let grown = match open.groups.find(hash, same) {
                Some(group) => group.add(event, values, self.limits.values),
                None => {
                    let mut group = Group::new(rule, key, event, columns);
                    group.add(event, values, self.limits.values);
                    let bytes = group.bytes();
                    open.groups.push(hash, group, &self.state);
                    self.groups += 1;
                    isize::try_from(bytes).unwrap_or(isize::MAX)
                }
            };
            self.bytes = self.bytes.saturating_add_signed(grown);
            self.make_room(&mut found);
        }
        order(&mut found);
        found
    }

    /// Where there is too much, gives up the groups that were started first in the oldest windows.
    fn make_room(&mut self, found: &mut Vec<Found<Group>>) {
        if self.open.len() > MAX_WINDOWS
            && let Some((tile, mut open)) = self.open.pop_first()
        {
            self.forgot = true;
            open.whole_before = 0;
            self.give_up(tile, open, found);
        }
        if self.groups <= self.limits.groups && self.bytes <= self.limits.bytes {
            return;
        }
        // A little more than needed, so that the rows come in some order and not one by one.
        let groups = self.limits.groups - self.limits.groups / 16;
        let bytes = self.limits.bytes - self.limits.bytes / 16;
        for (&tile, open) in &mut self.open {
            let started = open.groups.started();
            while (self.groups > groups || self.bytes > bytes)
                && let Some(group) = open.groups.pop(&self.state)
            {
                open.whole_before = open.whole_before.min(started);
                self.groups -= 1;
                self.bytes = self.bytes.saturating_sub(group.bytes());
                found.push((tile, true, group));
            }
        }
    }

    /// Tells that packet time has come to `now`; gives the groups of the windows that close.
    pub(super) fn advance(&mut self, now: Timestamp) -> Vec<Found<Group>> {
        self.now = self.now.max(now);
        let mut found = Vec::new();
        if self.now < self.next_close {
            return found;
        }
        self.next_close = Timestamp::MAX;
        for (tile, open) in std::mem::take(&mut self.open) {
            if self.is_closed(tile) {
                self.give_up(tile, open, &mut found);
            } else {
                if let Some(tile) = tile {
                    self.next_close = self.next_close.min(tile.closes);
                }
                self.open.insert(tile, open);
            }
        }
        order(&mut found);
        found
    }

    /// Gives all groups.
    pub(super) fn finish(&mut self) -> Vec<Found<Group>> {
        let mut found = Vec::new();
        for (tile, open) in std::mem::take(&mut self.open) {
            self.give_up(tile, open, &mut found);
        }
        self.next_close = Timestamp::MAX;
        order(&mut found);
        found
    }

    /// The groups as they are so far.
    pub(super) fn so_far(&self) -> Vec<Found<&Group>> {
        let mut found: Vec<_> = self
            .open
            .iter()
            .flat_map(|(tile, open)| {
                let groups = open.groups.iter();
                groups.map(|(number, group)| (*tile, open.is_partial(number, group), group))
            })
            .collect();
        order(&mut found);
        found
    }

    /// Takes the groups of a window that is no longer open.
    fn give_up(&mut self, tile: Option<Tile>, mut open: Open, found: &mut Vec<Found<Group>>) {
        for (number, group) in std::mem::take(&mut open.groups).into_entries() {
            self.groups -= 1;
            self.bytes = self.bytes.saturating_sub(group.bytes());
            found.push((tile, open.is_partial(number, &group), group));
        }
    }

    /// The rules were read anew: the groups of those that are as they were stay; gives the others.
    pub(super) fn replace(&mut self, moves: &Moves) -> Vec<Found<Group>> {
        let mut found = Vec::new();
        let number_of = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        let place_of = |rule: u32| usize::try_from(rule).unwrap_or(usize::MAX);
        for (&tile, open) in &mut self.open {
            let mut kept = Table::default();
            let mut changed: HashSet<u32, RandomState> = open
                .changed
                .iter()
                .filter_map(|rule| moves.named(place_of(*rule)).map(number_of))
                .collect();
            let mut whole = 0;
            for (number, mut group) in std::mem::take(&mut open.groups).into_entries() {
                let moved = moves.of(place_of(group.rule));
                if let Moved::Kept(place) = moved {
                    whole += u64::from(number < open.whole_before);
                    group.rule = number_of(place);
                    kept.push(group.hash(&self.state), group, &self.state);
                    continue;
                }
                if let Moved::Changed(place) = moved {
                    changed.insert(number_of(place));
                }
                self.groups -= 1;
                self.bytes = self.bytes.saturating_sub(group.bytes());
                found.push((tile, true, group));
            }
            open.groups = kept;
            open.changed = changed;
            if open.whole_before < u64::MAX {
                open.whole_before = whole;
            }
        }
        order(&mut found);
        found
    }

    /// How many groups there are in all windows.
    pub(super) const fn groups(&self) -> usize {
        self.groups
    }

    /// How many groups and bytes are held, and whether the groups are as many as the windows say.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize, bool) {
        let groups: usize = self.open.values().map(|open| open.groups.len()).sum();
        (self.groups, self.bytes, groups == self.groups)
    }
}

/// Puts groups in the order of rows: by window, rule, then the values of the `by` fields.
fn order<G: Borrow<Group>>(found: &mut [Found<G>]) {
    found.sort_unstable_by(|(one_tile, _, one), (other_tile, _, other)| {
        let span = |tile: &Option<Tile>| tile.map(|tile| (tile.start, tile.end));
        let (one, other) = (one.borrow(), other.borrow());
        (span(one_tile), one.rule, &one.key).cmp(&(span(other_tile), other.rule, &other.key))
    });
}
