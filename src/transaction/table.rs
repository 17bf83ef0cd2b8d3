//! The table of open and lingering transactions: found by their identity, closed in the order of their times.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashTable;

use super::arrival::{Identity, Kept, Key, Link, QuestionHash};
use super::{COPY, Limits, RESPONSE_FIRST, Role, SWEEP_DELAY, SWEEP_DELAY_LEAST, Transaction};
use crate::time::Timestamp;

/// A link as a slot keeps it: its time counted from that of the first message, in microseconds.
#[derive(Clone, Copy, Debug)]
struct KeptLink {
    at: i32,
    payload: u32,
}

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A query waits for its response.
    Open,
    /// Both were seen; lingers.
    Answered,
    /// A response waits for a query that may have been captured after it; then lingers no longer.
    ResponseOnly,
    /// Nobody answered in time; lingers, for a late response.
    GivenUp,
    /// A multicast message; lingers for its copies.
    Multicast,
}

/// One transaction in the table: one cache line, because most of what pairing costs is waiting for memory.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Slot {
    key: u64,
    /// Time from which the waiting counts.
    pub(super) latest: Timestamp,
    /// Time of the first message.
    pub(super) first: Timestamp,
    pub(super) wanted: Option<Box<Kept>>,
    question: QuestionHash,
    /// The latest query that was no copy, and the latest response.
    query: KeptLink,
    response: KeptLink,
    query_ip_id: u16,
    response_ip_id: u16,
    pub(super) retransmitted: u16,
    /// How many events it gave.
    pub(super) events: u8,
    pub(super) state: State,
    /// Whether somebody wanted it, also after it was given on.
    pub(super) was_wanted: bool,
    pub(super) port_mismatch: bool,
    /// A stream gives no message twice, so what it repeats is no copy.
    is_stream: bool,
}

const _: () = assert!(size_of::<Option<Slot>>() == 64, "one cache line");

impl Slot {
    pub(super) fn new(identity: Identity, is_stream: bool, link: &Link, state: State) -> Self {
        let kept = KeptLink {
            at: 0,
            payload: link.payload,
        };
        Self {
            key: identity.key,
            latest: link.time,
            first: link.time,
            wanted: None,
            question: identity.question,
            query: kept,
            response: kept,
            query_ip_id: link.ip_id,
            response_ip_id: link.ip_id,
            retransmitted: 0,
            events: 0,
            state,
            was_wanted: false,
            port_mismatch: false,
            is_stream,
        }
    }

    /// The slot of a query that nobody answered in time: lingers from its timeout on.
    pub(super) fn given_up(&self, limits: &Limits) -> Self {
        Self {
            latest: self.latest.plus(limits.timeout),
            wanted: None,
            retransmitted: 0,
            events: self.events.saturating_add(1),
            state: State::GivenUp,
            ..*self
        }
    }

    fn is(&self, identity: &Identity) -> bool {
        self.key == identity.key && self.question == identity.question
    }

    /// Microseconds from the first message, at the range's end where they are more.
    fn at(&self, time: Timestamp) -> i32 {
        let micros = time.nanos_since(self.first) / 1_000;
        i32::try_from(micros).unwrap_or(if micros < 0 { i32::MIN } else { i32::MAX })
    }

    fn is_copy(&self, kept: KeptLink, ip_id: u16, link: &Link) -> bool {
        let apart = i64::from(self.at(link.time)) - i64::from(kept.at);
        kept.payload == link.payload
            && ip_id == link.ip_id
            && !self.is_stream
            && apart.unsigned_abs() <= COPY.as_micros() as u64
    }

    /// The latest query delivered again by a mirror.
    pub(super) fn is_query_copy(&self, link: &Link) -> bool {
        self.is_copy(self.query, self.query_ip_id, link)
    }

    /// The same of the latest response.
    pub(super) fn is_response_copy(&self, link: &Link) -> bool {
        self.is_copy(self.response, self.response_ip_id, link)
    }

    /// Whether the latest response said the same.
    pub(super) fn says_the_same(&self, link: &Link) -> bool {
        self.response.payload == link.payload
    }

    pub(super) fn set_query(&mut self, link: &Link) {
        self.query = KeptLink {
            at: self.at(link.time),
            payload: link.payload,
        };
        self.query_ip_id = link.ip_id;
    }

    pub(super) fn set_response(&mut self, link: &Link) {
        self.response = KeptLink {
            at: self.at(link.time),
            payload: link.payload,
        };
        self.response_ip_id = link.ip_id;
    }

    /// The transaction of a key, without its messages, and with what this slot knows.
    pub(super) fn transaction(&self, key: &Key, role: Role) -> Transaction<'static> {
        Transaction {
            retransmitted: u32::from(self.retransmitted),
            is_port_mismatch: self.port_mismatch,
            occurrence: u32::from(self.events),
            ..key.transaction(role)
        }
    }

    /// How long after `latest` it still takes messages.
    pub(super) fn wait(&self, limits: &Limits) -> Duration {
        match self.state {
            State::Open | State::Answered | State::GivenUp => limits.timeout,
            State::ResponseOnly => RESPONSE_FIRST,
            State::Multicast => COPY,
        }
    }

    /// When what waits since `latest` is swept away. Multicast messages wait as long as lone responses: one queue has one
    /// length.
    fn due_at(latest: Timestamp, short: bool, limits: &Limits) -> Timestamp {
        let wait = if short {
            RESPONSE_FIRST
        } else {
            limits.timeout
        };
        latest.plus(wait.saturating_add(SWEEP_DELAY))
    }

    fn is_short(&self) -> bool {
        matches!(self.state, State::ResponseOnly | State::Multicast)
    }

    /// Whether the item that was queued for a time stands for this slot. An answer comes soon: it leaves the slot where
    /// its query put it. Whatever else changes a slot's time queues it once more.
    fn stands_at(&self, time: Timestamp, short: bool) -> bool {
        self.is_short() == short
            && (self.latest == time || self.state == State::Answered && self.first == time)
    }

    /// Whether a slot whose item is due has waited long enough itself.
    fn is_due(&self, now: Timestamp, limits: &Limits) -> bool {
        self.state != State::Answered
            || self
                .latest
                .plus(limits.timeout.saturating_add(SWEEP_DELAY_LEAST))
                <= now
    }
}

/// A slot and the time for which it was put into a queue.
type Queued = (u32, Timestamp);

/// The slots, an index over them, and two queues by time: one for those that wait for a timeout, one for those that
/// wait for a moment.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    long: VecDeque<Queued>,
    short: VecDeque<Queued>,
}

impl Table {
    /// As many transactions as a busy resolver has in five seconds; with more the table grows.
    const USUAL: usize = 1 << 17;

    /// An empty table with room for what is usual: memory that is not used yet costs nothing, growing costs a copy of all.
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::with_capacity(Self::USUAL),
            index: HashTable::with_capacity(Self::USUAL),
            ..Self::default()
        }
    }

    /// The number of transactions.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        self.slots.get(index as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// The transaction with that identity.
    pub(super) fn find(&self, identity: &Identity) -> Option<u32> {
        self.index
            .find(identity.key, |&index| {
                self.slot(index).is_some_and(|slot| slot.is(identity))
            })
            .copied()
    }

    /// The transactions with the same key, whatever they ask.
    fn with_key(&self, key: u64) -> impl Iterator<Item = (u32, &Slot)> {
        self.index.iter_hash(key).filter_map(move |&index| {
            Some((index, self.slot(index).filter(|slot| slot.key == key)?))
        })
    }

    /// The transaction of a response: that with its identity, else one with the same addresses, ports and ID where one of
    /// the two has no question; an open one first.
    pub(super) fn find_for_response(&self, identity: &Identity) -> Option<u32> {
        self.find(identity).or_else(|| {
            self.with_key(identity.key)
                .filter(|(_, slot)| {
                    matches!(slot.state, State::Open | State::Answered)
                        && (identity.question.is_none() || slot.question.is_none())
                })
                .min_by_key(|(_, slot)| (slot.state != State::Open, slot.first))
                .map(|(index, _)| index)
        })
    }

    /// The first of the transactions with the same key, where there are `most` of them or more.
    pub(super) fn crowded(&self, identity: &Identity, most: usize) -> Option<u32> {
        self.with_key(identity.key).nth(most)?;
        self.with_key(identity.key)
            .min_by_key(|(_, slot)| slot.first)
            .map(|(index, _)| index)
    }

    pub(super) fn insert(&mut self, slot: Slot) -> Option<u32> {
        let key = slot.key;
        let index = match self.free.pop() {
            Some(index) => {
                *self.slots.get_mut(index as usize)? = Some(slot);
                index
            }
            None => {
                let index = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(Some(slot));
                index
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(key, index, |&index| {
            slots
                .get(index as usize)
                .and_then(Option::as_ref)
                .map_or(0, |slot| slot.key)
        });
        self.touch(index);
        Some(index)
    }

    /// Takes a transaction out.
    pub(super) fn remove(&mut self, index: u32) -> Option<Slot> {
        self.unlink(index);
        self.slots.get_mut(index as usize)?.take()
    }

    /// Forgets a transaction; the same as to remove it, without moving it.
    pub(super) fn forget(&mut self, index: u32) {
        self.unlink(index);
        if let Some(slot) = self.slots.get_mut(index as usize) {
            *slot = None;
        }
    }

    /// Takes a transaction out whose place in the index is to be cleared with all others.
    pub(super) fn pass_over(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index as usize) {
            *slot = None;
        }
    }

    /// Empties the table and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.free.clear();
        self.index.clear();
        self.long.clear();
        self.short.clear();
    }

    fn unlink(&mut self, index: u32) {
        let Some(key) = self.slot(index).map(|slot| slot.key) else {
            return;
        };
        if let Ok(entry) = self.index.find_entry(key, |&other| other == index) {
            entry.remove();
            self.free.push(index);
        }
    }

    /// Puts a transaction at the end of its queue: its time or its state has changed.
    pub(super) fn touch(&mut self, index: u32) {
        let Some(slot) = self.slots.get(index as usize).and_then(Option::as_ref) else {
            return;
        };
        let short = slot.is_short();
        let queue = if short {
            &mut self.short
        } else {
            &mut self.long
        };
        queue.push_back((index, slot.latest));
        // Repetitions leave dead items behind; they may not outgrow the living.
        if queue.len() > 4096 && queue.len() / 4 > self.index.len() {
            let slots = &self.slots;
            queue.retain(|&queued| standing(slots, queued, short).is_some());
        }
    }

    /// The transaction that is due first, where it is due by `now`.
    pub(super) fn next_due(&mut self, now: Timestamp, limits: &Limits) -> Option<u32> {
        let slots = &self.slots;
        let mut next: Option<(Timestamp, u32)> = None;
        for (queue, short) in [(&mut self.long, false), (&mut self.short, true)] {
            while let Some(&(index, time)) = queue.front() {
                // The time in the queue tells without a look at the slot.
                let due = Slot::due_at(time, short, limits);
                if due > now {
                    break;
                }
                let slot = standing(slots, (index, time), short);
                if slot.is_some_and(|slot| slot.is_due(now, limits)) {
                    if next.is_none_or(|(earliest, _)| due < earliest) {
                        next = Some((due, index));
                    }
                    break;
                }
                queue.pop_front();
                // An answer that took its time: it lingers on, somewhat longer than it has to.
                if let Some(slot) = slot {
                    queue.push_back((index, slot.latest));
                }
            }
        }
        next.map(|(_, index)| index)
    }
}

/// The slot of a queue's item, where the item still stands for it.
fn standing(slots: &[Option<Slot>], (index, time): Queued, short: bool) -> Option<&Slot> {
    slots
        .get(index as usize)?
        .as_ref()
        .filter(|slot| slot.stands_at(time, short))
}
