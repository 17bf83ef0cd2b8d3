//! Packets that are no longer the latest of their transaction, for as long as a mirror may deliver them again.

use super::COPY;
use super::arrival::{Identity, KeyHash, Link, Network, QuestionHash};
use super::recent::Recent;
use super::slot::Slot;
use crate::packet::MessageId;
use crate::time::Timestamp;

/// The most that are remembered; a copy of an older one counts as a repetition.
const MOST: u32 = 1 << 16;

/// Packets that another of the same transaction took the place of less than 50 ms after them: nobody repeats so quickly but
/// for a mistake, so outside multicast DNS there are hardly ever any. Each with where it was seen, and with the message that its
/// copies are of, where packets are kept.
#[derive(Debug)]
pub(super) struct Replaced(Recent<Packet, (Network, Option<MessageId>)>);

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
        message: Option<MessageId>,
    ) {
        if now.since(link.time) > COPY {
            return;
        }
        self.0.forget_before(now.minus(2 * COPY));
        let packet = Packet::new(identity, is_response, &link);
        self.0.note(packet, link.time, (identity.network, message));
    }

    /// The same for the latest query and response of a transaction that another takes the place of.
    /// `messages` are their names, where packets are kept.
    pub(super) fn add_both(
        &mut self,
        identity: &Identity,
        slot: &Slot,
        now: Timestamp,
        [query, response]: [Option<MessageId>; 2],
    ) {
        self.add(identity, false, slot.query_link(), now, query);
        self.add(identity, true, slot.response_link(), now, response);
    }

    /// Whether there are none, as nearly always.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is one of them, delivered again; and the message that it is of then, where packets are kept.
    pub(super) fn holds(
        &self,
        identity: &Identity,
        is_response: bool,
        link: &Link,
    ) -> Option<Option<MessageId>> {
        let (time, (network, message)) = self.0.get(&Packet::new(identity, is_response, link))?;
        let apart = time.since(link.time).max(link.time.since(time));
        // A stream gives no message twice.
        let is_copy = apart <= COPY && (!identity.key.is_stream() || network != identity.network);
        is_copy.then_some(message)
    }

    /// Forgets them all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
