//! The table of open and lingering transactions: found by their identity, closed in the order of their times.

use std::collections::VecDeque;
use std::num::NonZeroU8;

use super::arrival::{Identity, Kept, Key, KeyHash, Link, Network, QuestionHash, is_tapped};
use super::index::Index;
use super::waits::Waits;
use super::{COPY, Role, Transaction};
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
    key: KeyHash,
    /// Time from which the waiting counts.
    pub(super) latest: Timestamp,
    /// Time of the first message.
    pub(super) first: Timestamp,
    pub(super) wanted: Option<Box<Kept>>,
    pub(super) question: QuestionHash,
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
    /// Another network where it was seen too, shortened once more.
    other_network: Option<NonZeroU8>,
    /// Where it was seen first.
    network: Network,
}

const _: () = assert!(size_of::<Option<Slot>>() == 64, "one cache line");

impl Slot {
    pub(super) fn new(identity: Identity, link: &Link, state: State) -> Self {
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
            other_network: None,
            network: identity.network,
        }
    }

    /// The slot of a query that nobody answered in time: lingers from its timeout on.
    pub(super) fn given_up(&self, waits: &Waits) -> Self {
        Self {
            latest: self.latest.after(waits.timeout),
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

    /// Whether a message seen in that network can be one of this transaction's for sure.
    fn is_in(&self, network: Network) -> bool {
        self.network == network || self.other_network == Some(shortened(network))
    }

    /// Notes that it was seen in that network too.
    pub(super) fn seen_in(&mut self, network: Network) {
        if network != self.network {
            self.other_network = Some(shortened(network));
        }
    }

    /// Whether the other network where it was seen is a server's word.
    fn is_said_elsewhere(&self) -> bool {
        self.other_network
            .is_some_and(|other| is_tapped(Network::from(other.get()) << 8))
    }

    fn is_copy(&self, kept: KeptLink, ip_id: u16, network: Network, link: &Link) -> bool {
        let apart = i64::from(self.at(link.time)) - i64::from(kept.at);
        // A stream gives no message twice; only a stream in another network is a copy of it. A server may say its queries once
        // more with their responses.
        let may_be = !self.key.is_stream()
            || self.network != network
            || self.other_network.is_some()
            || is_tapped(network);
        // A server's word has no identification of a packet.
        let said = is_tapped(network) || is_tapped(self.network) || self.is_said_elsewhere();
        let same_id = ip_id == link.ip_id || said && (ip_id == 0 || link.ip_id == 0);
        kept.payload == link.payload
            && same_id
            && may_be
            && apart.unsigned_abs() <= COPY.as_micros() as u64
    }

    /// The latest query delivered again by a mirror.
    pub(super) fn is_query_copy(&self, network: Network, link: &Link) -> bool {
        self.is_copy(self.query, self.query_ip_id, network, link)
    }

    /// The same of the latest response.
    pub(super) fn is_response_copy(&self, network: Network, link: &Link) -> bool {
        self.is_copy(self.response, self.response_ip_id, network, link)
    }

    /// The latest query.
    pub(super) fn query_link(&self) -> Link {
        self.link(self.query, self.query_ip_id)
    }

    /// The latest response.
    pub(super) fn response_link(&self) -> Link {
        self.link(self.response, self.response_ip_id)
    }

    fn link(&self, kept: KeptLink, ip_id: u16) -> Link {
        Link {
            time: Timestamp::from_nanos(
                self.first
                    .as_nanos()
                    .saturating_add(i64::from(kept.at) * 1_000),
            ),
            payload: kept.payload,
            ip_id,
        }
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
    pub(super) fn transaction(
        &self,
        key: &Key,
        role: Role,
        over: Timestamp,
    ) -> Transaction<'static> {
        Transaction {
            retransmitted: u32::from(self.retransmitted),
            occurrence: u32::from(self.events),
            ..key.transaction(role, over)
        }
    }

    /// Whether a lone response still waits for its query at that time.
    pub(super) fn waits_for(&self, query: &Link, waits: &Waits) -> bool {
        self.latest.nanos_since(query.time) <= waits.response_first
            && query.time.nanos_since(self.latest) <= waits.response_first
    }

    /// How many nanoseconds after `latest` it still takes messages.
    pub(super) fn wait(&self, waits: &Waits) -> i64 {
        match self.state {
            State::Open | State::Answered | State::GivenUp => waits.timeout,
            State::ResponseOnly => waits.response_first,
            State::Multicast => waits.copy,
        }
    }

    /// When it is swept away, if nothing more comes.
    pub(super) fn due(&self, waits: &Waits) -> Timestamp {
        self.latest.after(if self.is_short() {
            waits.short_swept
        } else {
            waits.long_swept
        })
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
    fn is_due(&self, now: Timestamp, waits: &Waits) -> bool {
        self.state != State::Answered || self.latest.after(waits.lingers) <= now
    }
}

/// A network in one byte, which begins with the same bit.
fn shortened(network: Network) -> NonZeroU8 {
    let [high, low] = network.to_be_bytes();
    NonZeroU8::new(high ^ (low & 0x7F)).unwrap_or(NonZeroU8::MIN)
}

/// What the index goes by: everything that a query has in common with a response from another address. The last bits
/// choose the chain; the one that tells TCP is not among them.
const fn index_key(key: KeyHash) -> u32 {
    key.without_resolver.rotate_right(1)
}

/// A slot and the time for which it was put into a queue.
type Queued = (u32, Timestamp);

/// What was found for a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Its transaction.
    pub(super) index: Option<u32>,
    /// There is no other with the same addresses, ports and ID either.
    pub(super) is_alone: bool,
}

/// The slots, an index over them, and two queues by time: one for those that wait for a timeout, one for those that
/// wait for a moment.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    index: Index,
    long: VecDeque<Queued>,
    short: VecDeque<Queued>,
}

impl Table {
    /// As many transactions as a busy resolver has in five seconds; with more the table grows.
    const USUAL: usize = 1 << 17;

    /// The most that it takes.
    pub(super) const MOST: usize = Index::MOST;

    /// An empty table with room for what is usual: memory that is not used yet costs nothing, growing costs a copy of all.
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::with_capacity(Self::USUAL),
            free: Vec::new(),
            index: Index::with_capacity(Self::USUAL),
            long: VecDeque::new(),
            short: VecDeque::new(),
        }
    }

    /// The number of transactions.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        self.slots.get(index as usize)?.as_ref()
    }

    /// Whether a query waits there.
    pub(super) fn is_open(&self, index: u32) -> bool {
        self.slot(index)
            .is_some_and(|slot| slot.state == State::Open)
    }

    /// Whether a wanted query waits there that asks the same from the same port, but for its ID.
    pub(super) fn asks(&self, index: u32, key: &Key, question: QuestionHash) -> bool {
        self.slot(index)
            .filter(|slot| slot.state == State::Open && slot.question == question)
            .and_then(|slot| slot.wanted.as_ref())
            .is_some_and(|query| {
                (query.key.client, query.key.resolver) == (key.client, key.resolver)
            })
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// The transactions with the same key, whoever was asked for whatever.
    fn chain(&self, key: KeyHash) -> impl Iterator<Item = (u32, &Slot)> {
        self.index.with(index_key(key)).filter_map(move |index| {
            let slot = self.slot(index)?;
            (slot.key.without_resolver == key.without_resolver).then_some((index, slot))
        })
    }

    /// The transactions with that identity, in whatever network.
    fn with(&self, identity: &Identity) -> impl Iterator<Item = (u32, &Slot)> {
        self.chain(identity.key)
            .filter(|(_, slot)| slot.is(identity))
    }

    /// Notes that the transactions with that identity were seen in its network too.
    pub(super) fn seen_in(&mut self, identity: &Identity) {
        let found = self.with(identity).next().map(|(index, _)| index);
        if let Some(slot) = found.and_then(|index| self.get_mut(index)) {
            slot.seen_in(identity.network);
        }
    }

    /// Of the transactions with that identity the one in its network, else the one elsewhere that suits best. Nearly always
    /// it is the first one, so the callers look at that before.
    #[cold]
    fn here_or_elsewhere(
        &self,
        identity: &Identity,
        [best, next]: [&dyn Fn(&Slot) -> bool; 2],
    ) -> Option<u32> {
        let here = |slot: &Slot| slot.is_in(identity.network);
        [&here, best, next]
            .into_iter()
            .find_map(|suits| self.with(identity).find(|(_, slot)| suits(slot)))
            .map(|(index, _)| index)
    }

    /// The transaction of a query: that with its identity in its network; else one elsewhere, where this is the same packet
    /// or a response that came before it.
    pub(super) fn find_for_query(&self, identity: &Identity, link: &Link, waits: &Waits) -> Found {
        let mut chain = self.chain(identity.key).peekable();
        let is_alone = chain.peek().is_none();
        let index = match chain.find(|(_, slot)| slot.is(identity)) {
            Some((index, slot)) if slot.is_in(identity.network) => Some(index),
            Some(_) => {
                let copied = |slot: &Slot| slot.is_query_copy(identity.network, link);
                let answered =
                    |slot: &Slot| slot.state == State::ResponseOnly && slot.waits_for(link, waits);
                self.here_or_elsewhere(identity, [&copied, &answered])
            }
            None => None,
        };
        Found { index, is_alone }
    }

    /// The transaction of a response: that with its identity in its network; else one elsewhere that has no partner yet;
    /// else one with the same addresses, ports and ID where one of the two has no question, an open one first; else one
    /// whose query was sent to another address.
    pub(super) fn find_for_response(&self, identity: &Identity, link: &Link) -> Option<u32> {
        let network = identity.network;
        if let Some((index, slot)) = self.with(identity).next() {
            if slot.is_in(network) {
                return Some(index);
            }
            let copied = |slot: &Slot| slot.is_response_copy(network, link);
            let open = |slot: &Slot| slot.state == State::Open;
            return self.here_or_elsewhere(identity, [&copied, &open]);
        }
        let without_question = self
            .chain(identity.key)
            .filter(|(_, slot)| {
                slot.key == identity.key
                    && matches!(slot.state, State::Open | State::Answered)
                    && (identity.question.is_none() || slot.question.is_none())
            })
            .min_by_key(|(_, slot)| (slot.state != State::Open, slot.first));
        if without_question.is_some() || identity.key.is_stream() || identity.question.is_none() {
            return without_question.map(|(index, _)| index);
        }
        let says_the_same = |slot: &Slot| slot.state == State::Answered && slot.says_the_same(link);
        self.chain(identity.key)
            .filter(|(_, slot)| {
                slot.question == identity.question
                    && (slot.state == State::Open || says_the_same(slot))
            })
            .min_by_key(|(_, slot)| (!says_the_same(slot), !slot.is_in(network), slot.first))
            .map(|(index, _)| index)
    }

    /// The first of the transactions with the same key, where there are `most` of them or more.
    pub(super) fn crowded(&self, identity: &Identity, most: usize) -> Option<u32> {
        self.chain(identity.key).nth(most)?;
        self.chain(identity.key)
            .min_by_key(|(_, slot)| slot.first)
            .map(|(index, _)| index)
    }

    pub(super) fn insert(&mut self, slot: Slot) -> Option<u32> {
        let key = index_key(slot.key);
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
        self.index.insert(index, key, |index| {
            let slot = slots.get(index as usize)?.as_ref()?;
            Some(index_key(slot.key))
        })?;
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
        let key = self.slot(index).map(|slot| index_key(slot.key));
        if key.is_some_and(|key| self.index.remove(index, key)) {
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

    /// The transaction that is due first, where it is due by `now`; it is taken from its queue.
    pub(super) fn next_due(&mut self, now: Timestamp, waits: &Waits) -> Option<u32> {
        let slots = &self.slots;
        let long = first_due(&mut self.long, false, slots, now, waits);
        let short = first_due(&mut self.short, true, slots, now, waits);
        let queue = match (long, short) {
            (Some(long), Some(short)) if short < long => &mut self.short,
            (Some(_), _) => &mut self.long,
            (None, Some(_)) => &mut self.short,
            (None, None) => return None,
        };
        queue.pop_front().map(|(index, _)| index)
    }
}

/// When the first of a queue is due that still stands for its slot, where that is by `now`. Those before it are taken out.
#[inline]
fn first_due(
    queue: &mut VecDeque<Queued>,
    short: bool,
    slots: &[Option<Slot>],
    now: Timestamp,
    waits: &Waits,
) -> Option<Timestamp> {
    let swept = if short {
        waits.short_swept
    } else {
        waits.long_swept
    };
    loop {
        let &(index, time) = queue.front()?;
        // The time in the queue tells without a look at the slot.
        let due = time.after(swept);
        if due > now {
            return None;
        }
        let slot = standing(slots, (index, time), short);
        if slot.is_some_and(|slot| slot.is_due(now, waits)) {
            return Some(due);
        }
        queue.pop_front();
        // An answer that took its time: it lingers on, somewhat longer than it has to.
        if let Some(slot) = slot {
            queue.push_back((index, slot.latest));
        }
    }
}

/// The slot of a queue's item, where the item still stands for it.
fn standing(slots: &[Option<Slot>], (index, time): Queued, short: bool) -> Option<&Slot> {
    slots
        .get(index as usize)?
        .as_ref()
        .filter(|slot| slot.stands_at(time, short))
}
