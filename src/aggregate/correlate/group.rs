//! One group of a correlation: its hits in the order of their times, and the span that ends with the last.

use std::collections::VecDeque;
use std::mem::size_of;
use std::rc::Rc;

use super::span::Span;
use super::{Held, Values};
use crate::rule::Correlation;
use crate::time::Timestamp;

/// A hit in a group.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) time: Timestamp,
    /// Its own; hits of one time are in this order.
    pub(super) number: u64,
    /// Which part of the correlation it is a hit of.
    pub(super) part: usize,
    pub(super) values: Values,
    pub(super) held: Rc<Held>,
    /// Whether it lay in a span over which the condition held.
    pub(super) is_counted: bool,
}

impl Entry {
    /// The memory that it takes in a group of that key, about.
    pub(super) fn bytes(&self, key: &[u8]) -> usize {
        // Twice: here, and in the order of all hits.
        let own = size_of::<Self>()
            .saturating_add(key.len())
            .saturating_mul(2);
        own.saturating_add(self.held.bytes)
    }
}

/// The hits that have something in common.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// By time.
    entries: VecDeque<Entry>,
    /// Where the span that ends with the last hit begins.
    from: usize,
    /// What is in that span.
    span: Span,
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds a hit, and calls `count` with each that lies in a span in which the condition holds, and did not before; gives
    /// whether it holds in the span that ends with this one.
    pub(super) fn add(
        &mut self,
        entry: Entry,
        correlation: &Correlation,
        count: &mut dyn FnMut(&Entry),
    ) -> bool {
        let is_last = self
            .entries
            .back()
            .is_none_or(|last| last.time <= entry.time);
        if is_last {
            self.span.add(&entry);
            self.entries.push_back(entry);
            return self.look(self.entries.len().saturating_sub(1), correlation, count);
        }
        // It came late: the spans that end with it and with those after it are looked at once more.
        let place = self
            .entries
            .partition_point(|other| other.time <= entry.time);
        let until = entry.time.plus(correlation.span);
        self.entries.insert(place, entry);
        (self.from, self.span) = (0, Span::default());
        let mut holds = false;
        for end in 0..self.entries.len() {
            let Some(entry) = self.entries.get(end) else {
                break;
            };
            self.span.add(entry);
            if end < place || entry.time > until {
                self.move_start(end, correlation);
                continue;
            }
            let holds_here = self.look(end, correlation, count);
            holds |= holds_here && end == place;
        }
        holds
    }

    /// Takes what lies before the span that ends with that hit out of it.
    fn move_start(&mut self, end: usize, correlation: &Correlation) {
        let Some(start) = self
            .entries
            .get(end)
            .map(|entry| entry.time.minus(correlation.span))
        else {
            return;
        };
        while let Some(entry) = self
            .entries
            .get(self.from)
            .filter(|entry| entry.time < start)
        {
            self.span.remove(entry);
            self.from = self.from.saturating_add(1);
        }
    }

    /// Looks at the span that ends with that hit, of which everything is in `span`.
    fn look(
        &mut self,
        end: usize,
        correlation: &Correlation,
        count: &mut dyn FnMut(&Entry),
    ) -> bool {
        self.move_start(end, correlation);
        let inside = self.entries.range(self.from..end.saturating_add(1));
        if !self.span.holds(correlation, inside) {
            return false;
        }
        if self.span.uncounted() > 0 {
            for entry in self.entries.range_mut(self.from..end.saturating_add(1)) {
                if !entry.is_counted {
                    entry.is_counted = true;
                    count(entry);
                }
            }
            self.span.all_are_counted();
        }
        true
    }

    /// Forgets the hit of that number.
    pub(super) fn forget(&mut self, number: u64) -> Option<Entry> {
        let place = self
            .entries
            .iter()
            .position(|entry| entry.number == number)?;
        self.forget_at(place)
    }

    /// Forgets the hit of the earliest time.
    pub(super) fn forget_oldest(&mut self) -> Option<Entry> {
        self.forget_at(0)
    }

    fn forget_at(&mut self, place: usize) -> Option<Entry> {
        let entry = self.entries.remove(place)?;
        if place < self.from {
            self.from = self.from.saturating_sub(1);
        } else {
            self.span.remove(&entry);
        }
        Some(entry)
    }
}
