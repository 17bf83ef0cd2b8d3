//! A group: what the events that have the `by` fields' values in common amount to.

use std::mem::size_of;
use std::net::IpAddr;
use std::sync::Arc;

use ahash::RandomState;

use super::kept::Kept;
use super::key::{self, EventValues};
use super::row::{self, Row, RuleShape};
use super::table::Entry;
use crate::event::{Event, Outcome, Role};
use crate::rule::Column;
use crate::time::Timestamp;

/// What tables show beside a row: of its earliest event, and whether the others differ from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// What came of the lookup.
    pub outcome: Outcome,
    /// Whether other events of the row have another outcome.
    pub outcome_varies: bool,
    /// The resolver that was asked.
    pub dest: IpAddr,
    /// Whether other events of the row asked another one.
    pub dest_varies: bool,
    /// The interface or capture file.
    pub source: Arc<str>,
    /// The number in it of the packet that completed the query.
    pub packet: u64,
    /// What the sources of the row's events were: a client where one was, else a resolver where one was.
    pub role: Role,
}

/// What two sources are together.
const fn together(one: Role, other: Role) -> Role {
    match (one, other) {
        (Role::Client, _) | (_, Role::Client) => Role::Client,
        (Role::Nat, Role::Nat) => Role::Nat,
        (_, _) => Role::Resolver,
    }
}

/// One group of one rule in one window.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The rule's place in the list.
    pub(super) rule: u32,
    /// The values of its `by` fields, encoded.
    pub(super) key: Box<[u8]>,
    /// How many events.
    pub(super) count: u64,
    /// The earliest event's time.
    pub(super) first: Timestamp,
    /// The latest event's time.
    pub(super) last: Timestamp,
    /// The exclusive-or of the events' ids.
    pub(super) ids: [u8; 16],
    /// The earliest event's id, which decides between events of one packet.
    pub(super) earliest: [u8; 16],
    pub(super) context: Context,
    /// One for each column of the rule that keeps something of its own.
    pub(super) kept: Box<[Kept]>,
    /// The memory held, as last counted.
    pub(super) bytes: usize,
}

impl Group {
    /// A group of no event yet, for one that [`Group::add`] adds next.
    pub(super) fn new(rule: u32, key: &[u8], event: &Event, columns: &[Column]) -> Self {
        let kept: Box<[Kept]> = columns.iter().filter_map(Kept::new).collect();
        Self {
            rule,
            key: key.into(),
            count: 0,
            first: event.time,
            last: event.time,
            ids: [0; 16],
            earliest: event.event_id,
            context: Context {
                outcome: event.outcome,
                outcome_varies: false,
                dest: event.dest,
                dest_varies: false,
                source: Arc::clone(&event.source),
                packet: event.packet,
                role: event.src_role,
            },
            bytes: kept.iter().map(Kept::bytes).fold(
                size_of::<Self>()
                    .saturating_add(key.len())
                    .saturating_add(size_of_val(&*kept)),
                usize::saturating_add,
            ),
            kept,
        }
    }

    /// Adds an event, with its values for the columns that keep something, at most `most` distinct ones of a `values()`
    /// column; gives by how many bytes it grew.
    pub(super) fn add(&mut self, event: &Event, values: &EventValues, most: usize) -> isize {
        self.count = self.count.saturating_add(1);
        self.last = self.last.max(event.time);
        self.ids
            .iter_mut()
            .zip(event.event_id)
            .for_each(|(byte, other)| *byte ^= other);
        self.context.outcome_varies |= event.outcome != self.context.outcome;
        self.context.dest_varies |= event.dest != self.context.dest;
        self.context.role = together(self.context.role, event.src_role);
        let place = (event.time, event.packet, event.event_id);
        if place < (self.first, self.context.packet, self.earliest) {
            self.first = event.time;
            self.earliest = event.event_id;
            self.context = Context {
                outcome: event.outcome,
                dest: event.dest,
                source: Arc::clone(&event.source),
                packet: event.packet,
                ..self.context.clone()
            };
        }
        let mut grown = 0_isize;
        for (kept, values) in self.kept.iter_mut().zip(values.fields()) {
            grown = grown.saturating_add(kept.add(values, most));
        }
        self.bytes = self.bytes.saturating_add_signed(grown);
        grown
    }

    /// Adds another group of the same rule, window and keys, whose events are others.
    pub(super) fn merge(&mut self, other: Self, most: usize) {
        self.count = self.count.saturating_add(other.count);
        self.last = self.last.max(other.last);
        self.ids
            .iter_mut()
            .zip(other.ids)
            .for_each(|(byte, more)| *byte ^= more);
        let (own, its) = (&self.context, &other.context);
        let outcome_varies = own.outcome_varies || its.outcome_varies || own.outcome != its.outcome;
        let dest_varies = own.dest_varies || its.dest_varies || own.dest != its.dest;
        let role = together(own.role, its.role);
        let place = |of: &Self| (of.first, of.context.packet, of.earliest);
        if place(&other) < place(self) {
            self.first = other.first;
            self.earliest = other.earliest;
            self.context = other.context;
        }
        self.context.outcome_varies = outcome_varies;
        self.context.dest_varies = dest_varies;
        self.context.role = role;
        for (kept, more) in self.kept.iter_mut().zip(other.kept) {
            kept.merge(more, most);
        }
    }

    /// The row that it comes to.
    pub(super) fn row(
        &self,
        shape: &Arc<RuleShape>,
        window: Option<(Timestamp, Timestamp)>,
        sensor: &Arc<str>,
        partial: bool,
    ) -> Row {
        let keys: Vec<_> = shape
            .by
            .iter()
            .copied()
            .zip(key::decode_all(&self.key))
            .collect();
        Row {
            id: row::id(sensor, &shape.name, window, &keys, self.ids),
            rule: Arc::clone(shape),
            window,
            keys,
            count: self.count,
            first: self.first,
            last: self.last,
            figures: self.kept.iter().map(|kept| kept.figure(partial)).collect(),
            partial,
            sensor: Arc::clone(sensor),
            context: self.context.clone(),
            part: None,
            held_back: false,
        }
    }

    /// The hash of a group's key.
    pub(super) fn hash_of(rule: u32, key: &[u8], state: &RandomState) -> u64 {
        state.hash_one((rule, key))
    }
}

impl Entry for Group {
    fn hash(&self, state: &RandomState) -> u64 {
        Self::hash_of(self.rule, &self.key, state)
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}
