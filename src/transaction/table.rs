//! The table of open and lingering transactions: found by their identity, closed in the order of their times.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use hashbrown::HashTable;

use super::{COPY, Limits, RESPONSE_FIRST, Role, SWEEP_DELAY, Side, Transaction};
use crate::frame::{Layers, Transport};
use crate::time::Timestamp;

/// What makes a transaction the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) client: IpAddr,
    pub(super) resolver: IpAddr,
    pub(super) client_port: u16,
    pub(super) resolver_port: u16,
    pub(super) transport: Transport,
    pub(super) id: u16,
    /// Multicast responses are events of their own, and not those of the queries.
    pub(super) multicast_response: bool,
    /// A keyed hash of name, type and class; `None` where there is no whole question.
    pub(super) question: Option<u64>,
}

impl Key {
    /// Whether all but the question is the same.
    fn same_but_question(&self, other: &Self) -> bool {
        Self {
            question: None,
            ..*self
        } == Self {
            question: None,
            ..*other
        }
    }
}

/// What tells a packet that came again from another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) time: Timestamp,
    pub(super) payload: u64,
    pub(super) ip_id: Option<u16>,
    /// A stream gives no message twice, so what it repeats is no copy.
    pub(super) is_stream: bool,
}

impl Link {
    /// The same packet delivered again by a mirror.
    pub(super) fn is_copy(&self, other: &Self) -> bool {
        self.payload == other.payload
            && self.ip_id == other.ip_id
            && !self.is_stream
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
            layers: &self.layers,
        }
    }
}

/// One transaction in the table.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) key: Key,
    pub(super) state: State,
    /// Time of the first message.
    pub(super) first: Timestamp,
    /// Time from which the waiting counts.
    pub(super) latest: Timestamp,
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
    pub(super) wanted: Option<Box<Kept>>,
}

impl Slot {
    pub(super) fn new(key: Key, link: Link, state: State) -> Self {
        Self {
            key,
            state,
            first: link.time,
            latest: link.time,
            query: link,
            response: link,
            retransmitted: 0,
            events: 0,
            was_wanted: false,
            port_mismatch: false,
            wanted: None,
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
            layers: side.layers.clone(),
        }));
    }

    /// The transaction without its messages.
    pub(super) fn transaction(&self, role: Role) -> Transaction<'static> {
        Transaction {
            client: self.key.client,
            client_port: self.key.client_port,
            resolver: self.key.resolver,
            resolver_port: self.key.resolver_port,
            transport: self.key.transport,
            id: self.key.id,
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

    /// When it is swept away.
    fn due(&self, limits: &Limits) -> Timestamp {
        self.latest
            .plus(self.wait(limits).saturating_add(SWEEP_DELAY))
    }

    fn is_short(&self) -> bool {
        matches!(self.state, State::ResponseOnly | State::Multicast)
    }
}

/// A place in the vector of slots; the stamp says whether what a queue says of it still holds.
#[derive(Debug)]
struct Place {
    stamp: u32,
    hash: u64,
    slot: Option<Slot>,
}

/// The slots, an index over them, and two queues by time: one for those that wait for a timeout, one for those that
/// wait for a moment.
#[derive(Debug, Default)]
pub(super) struct Table {
    places: Vec<Place>,
    free: Vec<u32>,
    index: HashTable<u32>,
    queues: [VecDeque<(u32, u32)>; 2],
    hasher: ahash::RandomState,
}

impl Table {
    /// The number of transactions.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// A keyed hash of a question: names are chosen by attackers.
    pub(super) fn hash_question(&self, name: &[u8], record_type: u16, class: u16) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name);
        hasher.write_u32(u32::from(record_type) << 16 | u32::from(class));
        hasher.finish()
    }

    /// A keyed hash of a message.
    pub(super) fn hash_payload(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }

    /// The question is left out, so that a response without one finds its query.
    fn hash(&self, key: &Key) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        match (key.client, key.resolver) {
            (IpAddr::V4(client), IpAddr::V4(resolver)) => {
                hasher.write_u64(u64::from(client.to_bits()) << 32 | u64::from(resolver.to_bits()));
            }
            (client, resolver) => {
                for address in [client, resolver] {
                    match address {
                        IpAddr::V4(address) => hasher.write_u32(address.to_bits()),
                        IpAddr::V6(address) => hasher.write_u128(address.to_bits()),
                    }
                }
            }
        }
        hasher.write_u64(
            u64::from(key.client_port) << 48
                | u64::from(key.resolver_port) << 32
                | u64::from(key.id) << 16
                | u64::from(key.multicast_response) << 8
                | key.transport as u64,
        );
        hasher.finish()
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        self.places.get(index as usize)?.slot.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.places.get_mut(index as usize)?.slot.as_mut()
    }

    /// The transaction with that key.
    pub(super) fn find(&self, key: &Key) -> Option<u32> {
        let hash = self.hash(key);
        self.index
            .find(hash, |&index| {
                self.slot(index).is_some_and(|slot| slot.key == *key)
            })
            .copied()
    }

    /// The transaction of a response: that with its key, else one with the same addresses, ports and ID where one of the
    /// two has no question; an open one first.
    pub(super) fn find_for_response(&self, key: &Key) -> Option<u32> {
        self.find(key).or_else(|| {
            self.index
                .iter_hash(self.hash(key))
                .copied()
                .filter(|&index| {
                    self.slot(index).is_some_and(|slot| {
                        matches!(slot.state, State::Open | State::Answered)
                            && (key.question.is_none() || slot.key.question.is_none())
                            && slot.key.same_but_question(key)
                    })
                })
                .min_by_key(|&index| {
                    self.slot(index)
                        .map(|slot| (slot.state != State::Open, slot.first))
                })
        })
    }

    /// The first of the transactions with the same addresses, ports and ID, where there are `most` of them or more.
    pub(super) fn crowded(&self, key: &Key, most: usize) -> Option<u32> {
        let hash = self.hash(key);
        self.index.iter_hash(hash).nth(most)?;
        self.index
            .iter_hash(hash)
            .copied()
            .filter(|&index| {
                self.slot(index)
                    .is_some_and(|slot| slot.key.same_but_question(key))
            })
            .min_by_key(|&index| self.slot(index).map(|slot| slot.first))
    }

    pub(super) fn insert(&mut self, slot: Slot) -> Option<u32> {
        let hash = self.hash(&slot.key);
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.places.len()).ok()?;
                self.places.push(Place {
                    stamp: 0,
                    hash,
                    slot: None,
                });
                index
            }
        };
        let place = self.places.get_mut(index as usize)?;
        place.hash = hash;
        place.slot = Some(slot);
        let places = &self.places;
        self.index.insert_unique(hash, index, |&index| {
            places.get(index as usize).map_or(0, |place| place.hash)
        });
        self.touch(index);
        Some(index)
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Slot> {
        let place = self.places.get_mut(index as usize)?;
        let slot = place.slot.take()?;
        place.stamp = place.stamp.wrapping_add(1);
        if let Ok(entry) = self.index.find_entry(place.hash, |&other| other == index) {
            entry.remove();
        }
        self.free.push(index);
        Some(slot)
    }

    /// Moves a transaction to the end of its queue: its time or its state has changed.
    pub(super) fn touch(&mut self, index: u32) {
        let Some(place) = self.places.get_mut(index as usize) else {
            return;
        };
        let Some(slot) = &place.slot else {
            return;
        };
        place.stamp = place.stamp.wrapping_add(1);
        let item = (index, place.stamp);
        let [long, short] = &mut self.queues;
        let queue = if slot.is_short() { short } else { long };
        queue.push_back(item);
        // Repetitions leave dead items behind; they may not outgrow the living.
        if queue.len() > 4096 && queue.len() / 4 > self.index.len() {
            let places = &self.places;
            queue.retain(|&(index, stamp)| is_alive(places, index, stamp));
        }
    }

    /// The transaction that is due first, where it is due by `now`.
    pub(super) fn next_due(&mut self, now: Timestamp, limits: &Limits) -> Option<u32> {
        let [long, short] = &mut self.queues;
        let mut next: Option<(Timestamp, u32)> = None;
        for queue in [long, short] {
            while let Some(&(index, stamp)) = queue.front() {
                if is_alive(&self.places, index, stamp) {
                    break;
                }
                queue.pop_front();
            }
            if let Some(&(index, _)) = queue.front()
                && let Some(slot) = self
                    .places
                    .get(index as usize)
                    .and_then(|place| place.slot.as_ref())
            {
                let due = slot.due(limits);
                if due <= now && next.is_none_or(|(earliest, _)| due < earliest) {
                    next = Some((due, index));
                }
            }
        }
        next.map(|(_, index)| index)
    }
}

fn is_alive(places: &[Place], index: u32, stamp: u32) -> bool {
    places
        .get(index as usize)
        .is_some_and(|place| place.stamp == stamp && place.slot.is_some())
}
