//! Fragments of IP packets, joined in whatever order they come.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::RandomState;
use etherparse::IpNumber;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::layer::Discard;
use super::{Frame, Lost};
use crate::packet::{MessageId, Packet, Trail};
use crate::stats;
use crate::time::Timestamp;

mod waiting;

use waiting::Waiting;

/// A fragment, as the IP header describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// Identification.
    pub(super) id: u32,
    /// The protocol, or next header, of what was split; in IPv6 only the first fragment's counts.
    pub(super) protocol: IpNumber,
    /// Where it belongs, in bytes.
    pub(super) offset: usize,
    /// Whether more follows.
    pub(super) more: bool,
}

/// What the first fragment of a packet says about the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// Nobody knows yet, or it may hold DNS.
    Unknown,
    /// Its transport header has a DNS port.
    Dns,
    /// Neither DNS nor a tunnel: its fragments are counted and not kept.
    Nothing,
}

/// What a fragment completed; its bytes are in the buffer that was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    /// What was split.
    pub(super) protocol: IpNumber,
    /// How many bytes the capture cut off the end.
    pub(super) cut: u32,
    /// Its name.
    pub(super) number: MessageId,
}

/// How much may wait, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// IP packets.
    pub(super) packets: usize,
    /// Bytes, with what their bookkeeping needs.
    pub(super) bytes: usize,
    /// Lost packets to be asked for.
    pub(super) lost: usize,
}

impl Bounds {
    pub(super) const DEFAULT: Self = Self {
        packets: 4096,
        bytes: 16 << 20,
        lost: 4096,
    };
}

/// The most that an IP packet can carry.
const MAX_LENGTH: usize = 65_535;

/// Where fragments wait: those of all decoders that share it, since pieces of what is in a tunnel may come to any of them.
/// Fragments are few, so that nobody waits for the lock.
#[derive(Debug)]
pub struct Joining(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    fragments: Fragments,
    /// How many decoders have not ended yet.
    decoders: usize,
}

impl Default for Joining {
    fn default() -> Self {
        Self::new(Bounds::DEFAULT)
    }
}

impl Joining {
    pub(super) fn new(bounds: Bounds) -> Self {
        let fragments = Fragments::new(bounds);
        Self(Arc::new(Mutex::new(Shared {
            fragments,
            decoders: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing in there panics; and if it did, there are only fragments that wait.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, for one more decoder.
    #[must_use]
    pub fn share(&self) -> Self {
        self.lock().decoders += 1;
        Self(Arc::clone(&self.0))
    }

    /// Does something with the fragments.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Fragments) -> T) -> T {
        work(&mut self.lock().fragments)
    }

    /// A decoder has ended. With the last one everything is given up that waits.
    pub(super) fn close(&self) {
        let mut shared = self.lock();
        shared.decoders = shared.decoders.saturating_sub(1);
        if shared.decoders == 0 {
            shared.fragments.close();
        }
    }
}

/// What fragments of one packet have in common. Encapsulations are part of it, so that address plans do not mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    /// Of IPv4 (RFC 791, section 3.2).
    protocol: Option<u8>,
    /// VLANs and tunnels.
    network: u64,
}

/// The packets of which some fragments are there.
#[derive(Debug)]
pub(super) struct Fragments {
    table: HashMap<Key, Waiting, RandomState>,
    /// In the order of their first fragments; with those that are gone, until they are as many as the others.
    order: VecDeque<(Key, u64)>,
    cost: usize,
    serial: u64,
    bounds: Bounds,
    hasher: RandomState,
    /// Packets that were never completed, of which the beginning is there.
    pub(super) lost: VecDeque<Lost>,
    /// What the last fragment belongs to, where that was whole before it came, and packets are kept.
    pub(super) late_for: Option<MessageId>,
    /// Whether the last fragment is of a packet that is not known to hold no DNS.
    pub(super) may_be_dns: bool,
    /// How many were joined.
    joined: u64,
    /// What was counted since somebody took it.
    pub(super) stats: stats::Fragments,
}

impl Fragments {
    pub(super) fn new(bounds: Bounds) -> Self {
        let hasher = RandomState::new();
        Self {
            table: HashMap::with_hasher(hasher.clone()),
            order: VecDeque::new(),
            cost: 0,
            serial: 0,
            bounds,
            hasher,
            lost: VecDeque::new(),
            late_for: None,
            may_be_dns: false,
            joined: 0,
            stats: stats::Fragments::default(),
        }
    }

    /// Takes the fragment that `frame` holds; where it is the last that was missing, the whole is put into `joined`. `trail` is
    /// the packets that brought the fragment, where they are kept, and then those of the whole.
    pub(super) fn push(
        &mut self,
        packet: &Packet<'_>,
        frame: &Frame<'_>,
        piece: Piece,
        worth: Worth,
        trail: Option<&mut Trail>,
        joined: &mut Vec<u8>,
    ) -> Result<Whole, Discard> {
        let length = frame.whole_len();
        let end = piece.offset.saturating_add(length);
        if length == 0 || end > MAX_LENGTH || (piece.more && !length.is_multiple_of(8)) {
            return Err(Discard::Malformed);
        }
        // What is cut off the end can be done without, a hole cannot.
        if frame.cut > 0 && piece.more {
            return Err(Discard::Snaplen);
        }
        self.make_room(packet.time);

        let key = Key {
            src: frame.src,
            dst: frame.dst,
            id: piece.id,
            protocol: frame.src.is_ipv4().then_some(piece.protocol.0),
            network: self
                .hasher
                .hash_one((frame.layers.tunnel_id, &frame.layers.vlan)),
        };
        let hash = self.hasher.hash_one((piece.more, frame.payload));
        if self.table.get(&key).is_some_and(|waiting| {
            let is_next = waiting.joined.is_some() && !waiting.holds(piece.offset, length, hash);
            is_next || waiting.is_over(packet.time)
        }) {
            self.give_up(&key, |stats| &mut stats.timed_out);
        }
        let waiting = match self.table.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let serial = self.serial;
                self.serial += 1;
                self.order.push_back((key, serial));
                let waiting = entry.insert(Waiting::new(packet.time, serial));
                self.cost += waiting.cost();
                waiting
            }
        };
        let before = waiting.cost();
        let number = MessageId::joined(self.joined);
        let outcome = waiting.push(packet, frame, piece, worth, hash, number, joined);
        if outcome.is_ok() {
            self.stats.joined += 1;
            self.joined += 1;
        }
        self.may_be_dns = waiting.may_be_dns();
        if let Some(trail) = trail {
            self.late_for = waiting.bring(outcome, trail);
        }
        if matches!(outcome, Err(Discard::FragmentOverlap)) && waiting.spoil() {
            self.stats.overlapping += 1;
        }
        self.cost = (self.cost + waiting.cost()).saturating_sub(before);
        outcome
    }

    /// How many packets wait, and the bytes that they cost.
    #[cfg(test)]
    pub(super) fn load(&self) -> (usize, usize) {
        (self.table.len(), self.cost)
    }

    /// Gives up what waited for too long before `now`.
    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some(&(key, serial)) = self.order.front() {
            match self.table.get(&key) {
                Some(waiting) if waiting.serial == serial && !waiting.is_over(now) => return,
                Some(waiting) if waiting.serial == serial => {
                    self.give_up(&key, |stats| &mut stats.timed_out)
                }
                _ => {}
            }
            self.order.pop_front();
        }
    }

    /// Gives up everything.
    pub(super) fn close(&mut self) {
        while let Some((key, serial)) = self.order.pop_front() {
            if self
                .table
                .get(&key)
                .is_some_and(|waiting| waiting.serial == serial)
            {
                self.give_up(&key, |stats| &mut stats.unfinished);
            }
        }
    }

    /// Makes room for another fragment, at the cost of the oldest.
    fn make_room(&mut self, now: Timestamp) {
        self.expire(now);
        while self.table.len() >= self.bounds.packets || self.cost >= self.bounds.bytes {
            let Some((key, serial)) = self.order.pop_front() else {
                break;
            };
            if self
                .table
                .get(&key)
                .is_some_and(|waiting| waiting.serial == serial)
            {
                self.give_up(&key, |stats| &mut stats.evicted);
            }
        }
        if self.order.len() > 2 * self.bounds.packets {
            let table = &self.table;
            self.order.retain(|(key, serial)| {
                table
                    .get(key)
                    .is_some_and(|waiting| waiting.serial == *serial)
            });
        }
    }

    /// Takes a packet off the table; where that is a loss it is counted, and its beginning kept.
    fn give_up(&mut self, key: &Key, counter: impl Fn(&mut stats::Fragments) -> &mut u64) {
        let Some(waiting) = self.table.remove(key) else {
            return;
        };
        self.cost = self.cost.saturating_sub(waiting.cost());
        if !waiting.is_loss() {
            return;
        }
        *counter(&mut self.stats) += 1;
        if let Some(lost) = waiting.beginning(key) {
            if self.lost.len() >= self.bounds.lost {
                self.lost.pop_front();
                self.stats.forgotten += 1;
            }
            self.lost.push_back(lost);
        }
    }
}
