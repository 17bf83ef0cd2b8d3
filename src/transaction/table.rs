//! The table of open and lingering transactions: found by their identity, closed in the order of their times.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use hashbrown::HashTable;

use super::{COPY, Limits, RESPONSE_FIRST, Role, SWEEP_DELAY, Side, Transaction};
use crate::frame::{Layers, Transport};
use crate::time::Timestamp;

/// What makes a transaction the same one, packed: the table is as large as it is often looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Key {
    client: [u8; 16],
    resolver: [u8; 16],
    client_port: [u8; 2],
    resolver_port: [u8; 2],
    id: [u8; 2],
    flags: u8,
}

/// Bits of a key's flags.
const CLIENT_V6: u8 = 1;
const RESOLVER_V6: u8 = 2;
const TCP: u8 = 4;
/// Multicast responses are events of their own, and not those of the queries.
const MULTICAST_RESPONSE: u8 = 8;

impl Key {
    pub(super) fn new(
        (client, client_port): (IpAddr, u16),
        (resolver, resolver_port): (IpAddr, u16),
        transport: Transport,
        id: u16,
        multicast_response: bool,
    ) -> Self {
        let (client, client_v6) = packed(client);
        let (resolver, resolver_v6) = packed(resolver);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        Self {
            client,
            resolver,
            client_port: client_port.to_be_bytes(),
            resolver_port: resolver_port.to_be_bytes(),
            id: id.to_be_bytes(),
            flags: flag(client_v6, CLIENT_V6)
                | flag(resolver_v6, RESOLVER_V6)
                | flag(transport == Transport::Tcp, TCP)
                | flag(multicast_response, MULTICAST_RESPONSE),
        }
    }

    fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn client(&self) -> IpAddr {
        unpacked(&self.client, self.is(CLIENT_V6))
    }

    pub(super) fn resolver(&self) -> IpAddr {
        unpacked(&self.resolver, self.is(RESOLVER_V6))
    }

    fn transport(&self) -> Transport {
        if self.is(TCP) {
            Transport::Tcp
        } else {
            Transport::Udp
        }
    }
}

/// An address in sixteen bytes, and whether it needs them all.
fn packed(address: IpAddr) -> ([u8; 16], bool) {
    match address {
        IpAddr::V6(address) => (address.octets(), true),
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            ([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], false)
        }
    }
}

fn unpacked(bytes: &[u8; 16], v6: bool) -> IpAddr {
    if v6 {
        return IpAddr::from(*bytes);
    }
    let &[a, b, c, d, ..] = bytes;
    IpAddr::from([a, b, c, d])
}

/// A keyed hash of name, type and class; `None` where there is no whole question.
pub(super) type QuestionHash = Option<NonZeroU64>;

/// What tells a packet that came again from another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) time: Timestamp,
    /// A keyed hash of the message.
    pub(super) payload: u32,
    pub(super) ip_id: Option<u16>,
}

impl Link {
    /// The same packet delivered again by a mirror.
    fn is_copy(&self, other: &Self) -> bool {
        self.payload == other.payload
            && self.ip_id == other.ip_id
            && other.time.since(self.time) <= COPY
            && self.time.since(other.time) <= COPY
    }
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

/// A message that somebody wants, kept until its transaction is given on.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) bytes: Box<[u8]>,
    time: Timestamp,
    input: u16,
    number: u64,
    missing: u32,
    fragment_missing: bool,
    layers: Layers,
}

impl Kept {
    pub(super) fn side(&self) -> Side<'_> {
        Side {
            time: self.time,
            input: self.input,
            number: self.number,
            bytes: &self.bytes,
            missing: self.missing,
            fragment_missing: self.fragment_missing,
            layers: &self.layers,
        }
    }
}

/// One transaction in the table. The first 64 bytes are all that finding and forgetting it looks at.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Slot {
    pub(super) key: Key,
    pub(super) state: State,
    pub(super) question: QuestionHash,
    /// Time from which the waiting counts.
    pub(super) latest: Timestamp,
    pub(super) wanted: Option<Box<Kept>>,
    /// Time of the first message.
    pub(super) first: Timestamp,
    /// The latest query that was no copy.
    pub(super) query: Link,
    /// The latest response that was no copy.
    pub(super) response: Link,
    pub(super) retransmitted: u32,
    /// How many events it gave.
    pub(super) events: u32,
    /// Whether somebody wanted it, also after it was given on.
    pub(super) was_wanted: bool,
    pub(super) port_mismatch: bool,
}

const _: () = assert!(size_of::<Option<Slot>>() == 128, "two cache lines");

impl Slot {
    pub(super) fn new(key: Key, question: QuestionHash, link: Link, state: State) -> Self {
        Self {
            key,
            state,
            question,
            latest: link.time,
            wanted: None,
            first: link.time,
            query: link,
            response: link,
            retransmitted: 0,
            events: 0,
            was_wanted: false,
            port_mismatch: false,
        }
    }

    /// Keeps a message for the event.
    pub(super) fn keep(&mut self, side: &Side<'_>) {
        self.was_wanted = true;
        self.wanted = Some(Box::new(Kept {
            bytes: side.bytes.into(),
            time: side.time,
            input: side.input,
            number: side.number,
            missing: side.missing,
            fragment_missing: side.fragment_missing,
            layers: side.layers.clone(),
        }));
    }

    /// The transaction without its messages.
    pub(super) fn transaction(&self, role: Role) -> Transaction<'static> {
        Transaction {
            client: self.key.client(),
            client_port: u16::from_be_bytes(self.key.client_port),
            resolver: self.key.resolver(),
            resolver_port: u16::from_be_bytes(self.key.resolver_port),
            transport: self.key.transport(),
            id: u16::from_be_bytes(self.key.id),
            query: None,
            response: None,
            retransmitted: self.retransmitted,
            is_late: false,
            is_differing: false,
            is_response_first: false,
            is_port_mismatch: self.port_mismatch,
            multicast: None,
            occurrence: self.events,
            role,
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

    /// The latest query delivered again by a mirror. A stream gives no message twice, so what it repeats is no copy.
    pub(super) fn is_query_copy(&self, link: &Link) -> bool {
        !self.key.is(TCP) && self.query.is_copy(link)
    }

    /// The same of the latest response.
    pub(super) fn is_response_copy(&self, link: &Link) -> bool {
        !self.key.is(TCP) && self.response.is_copy(link)
    }

    fn is_short(&self) -> bool {
        matches!(self.state, State::ResponseOnly | State::Multicast)
    }
}

/// A slot and the time for which it was put into a queue. Where the slot's time is another by now, it stands in the queue
/// once more.
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
    hasher: ahash::RandomState,
}

impl Table {
    /// The number of transactions.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// A keyed hash of a question: names are chosen by attackers.
    pub(super) fn hash_question(&self, name: &[u8], record_type: u16, class: u16) -> QuestionHash {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name);
        hasher.write_u32(u32::from(record_type) << 16 | u32::from(class));
        Some(NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MAX))
    }

    /// A keyed hash of a message.
    pub(super) fn hash_payload(&self, bytes: &[u8]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(bytes);
        hasher.finish() as u32
    }

    /// The hash under which a key is found. The question is left out, so that a response without one finds its query.
    pub(super) fn hash_key(&self, key: &Key) -> u64 {
        Self::hash(&self.hasher, key)
    }

    fn hash(hasher: &ahash::RandomState, key: &Key) -> u64 {
        let mut hasher = hasher.build_hasher();
        if key.is(CLIENT_V6 | RESOLVER_V6) {
            hasher.write_u128(u128::from_ne_bytes(key.client));
            hasher.write_u128(u128::from_ne_bytes(key.resolver));
        } else {
            let ([a, b, c, d, ..], [e, f, g, h, ..]) = (key.client, key.resolver);
            hasher.write_u64(u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
        }
        let ([a, b], [c, d], [e, f]) = (key.client_port, key.resolver_port, key.id);
        hasher.write_u64(u64::from_ne_bytes([a, b, c, d, e, f, key.flags, 0]));
        hasher.finish()
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        self.slots.get(index as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// The transaction with that key and question.
    pub(super) fn find(&self, hash: u64, key: &Key, question: QuestionHash) -> Option<u32> {
        self.index
            .find(hash, |&index| {
                self.slot(index)
                    .is_some_and(|slot| slot.question == question && slot.key == *key)
            })
            .copied()
    }

    /// The transaction of a response: that with its key and question, else one with the same addresses, ports and ID where
    /// one of the two has no question; an open one first.
    pub(super) fn find_for_response(
        &self,
        hash: u64,
        key: &Key,
        question: QuestionHash,
    ) -> Option<u32> {
        self.find(hash, key, question).or_else(|| {
            self.index
                .iter_hash(hash)
                .copied()
                .filter(|&index| {
                    self.slot(index).is_some_and(|slot| {
                        matches!(slot.state, State::Open | State::Answered)
                            && (question.is_none() || slot.question.is_none())
                            && slot.key == *key
                    })
                })
                .min_by_key(|&index| {
                    self.slot(index)
                        .map(|slot| (slot.state != State::Open, slot.first))
                })
        })
    }

    /// The first of the transactions with the same addresses, ports and ID, where there are `most` of them or more.
    pub(super) fn crowded(&self, hash: u64, key: &Key, most: usize) -> Option<u32> {
        self.index.iter_hash(hash).nth(most)?;
        self.index
            .iter_hash(hash)
            .copied()
            .filter(|&index| self.slot(index).is_some_and(|slot| slot.key == *key))
            .min_by_key(|&index| self.slot(index).map(|slot| slot.first))
    }

    pub(super) fn insert(&mut self, hash: u64, slot: Slot) -> Option<u32> {
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
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, index, |&index| {
            slots
                .get(index as usize)
                .and_then(Option::as_ref)
                .map_or(0, |slot| Self::hash(hasher, &slot.key))
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

    fn unlink(&mut self, index: u32) {
        let Some(slot) = self.slot(index) else {
            return;
        };
        let hash = Self::hash(&self.hasher, &slot.key);
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == index) {
            entry.remove();
            self.free.push(index);
        }
    }

    /// Puts a transaction at the end of its queue: its time or its state has changed.
    pub(super) fn touch(&mut self, index: u32) {
        let Some(slot) = self.slots.get(index as usize).and_then(Option::as_ref) else {
            return;
        };
        let queue = if slot.is_short() {
            &mut self.short
        } else {
            &mut self.long
        };
        queue.push_back((index, slot.latest));
        // Repetitions leave dead items behind; they may not outgrow the living.
        if queue.len() > 4096 && queue.len() / 4 > self.index.len() {
            let slots = &self.slots;
            queue.retain(|&queued| alive(slots, queued).is_some());
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
                if alive(slots, (index, time)).is_some_and(|slot| slot.is_short() == short) {
                    if next.is_none_or(|(earliest, _)| due < earliest) {
                        next = Some((due, index));
                    }
                    break;
                }
                queue.pop_front();
            }
        }
        next.map(|(_, index)| index)
    }
}

/// The slot of a queue's item, where the item still stands for it.
fn alive(slots: &[Option<Slot>], (index, time): Queued) -> Option<&Slot> {
    slots
        .get(index as usize)?
        .as_ref()
        .filter(|slot| slot.latest == time)
}
