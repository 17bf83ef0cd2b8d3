//! Packets that are no longer the latest of their transaction, for as long as a mirror may deliver them again.

use super::COPY;
use super::arrival::{Identity, KeyHash, Link, Network, QuestionHash};
use super::recent::Recent;
use super::table::Slot;
use crate::time::Timestamp;

/// The most that are remembered; a copy of an older one counts as a repetition.
const MOST: usize = 1 << 16;

/// Packets that another of the same transaction took the place of less than 50 ms after them: nobody repeats so quickly but
/// for a mistake, so outside multicast DNS there are hardly ever any. Each with where it was seen.
#[derive(Debug)]
pub(super) struct Replaced(Recent<Packet, Network>);

impl Default for Replaced {
    fn default() -> Self {
        Self(Recent::new(MOST))
    }
}

/// What makes a packet the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Packet {
    key: KeyHash,
    question: QuestionHash,
    is_response: bool,
    payload: u32,
    ip_id: u16,
}

impl Packet {
    const fn new(identity: &Identity, is_response: bool, link: &Link) -> Self {
        Self {
            key: identity.key,
            question: identity.question,
            is_response,
            payload: link.payload,
            ip_id: link.ip_id,
        }
    }
}

impl Replaced {
    /// Remembers a packet that another takes the place of now.
    pub(super) fn add(
        &mut self,
        identity: &Identity,
        is_response: bool,
        link: Link,
        now: Timestamp,
    ) {
        if now.since(link.time) > COPY {
            return;
        }
        self.0.forget_before(now.minus(2 * COPY));
        let packet = Packet::new(identity, is_response, &link);
        self.0.note(packet, link.time, identity.network);
    }

    /// The same for the latest query and response of a transaction that another takes the place of.
    pub(super) fn add_both(&mut self, identity: &Identity, slot: &Slot, now: Timestamp) {
        self.add(identity, false, slot.query_link(), now);
        self.add(identity, true, slot.response_link(), now);
    }

    /// Whether this is one of them, delivered again.
    pub(super) fn holds(&self, identity: &Identity, is_response: bool, link: &Link) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let seen = self.0.get(&Packet::new(identity, is_response, link));
        seen.is_some_and(|(time, network)| {
            let apart = time.since(link.time).max(link.time.since(time));
            // A stream gives no message twice.
            apart <= COPY && (!identity.key.is_stream() || network != identity.network)
        })
    }

    /// Forgets them all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
