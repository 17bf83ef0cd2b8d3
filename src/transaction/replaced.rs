//! Packets that are no longer the latest of their transaction, for as long as a mirror may deliver them again.

use std::collections::VecDeque;

use super::COPY;
use super::arrival::{Identity, KeyHash, Link, QuestionHash};
use super::table::Slot;
use crate::time::Timestamp;

/// The most that are remembered; a copy of an older one counts as a repetition.
const MOST: usize = 256;

/// Packets that another of the same transaction took the place of less than 50 ms after them: nobody repeats so quickly but
/// for a mistake, so there are hardly ever any.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    packets: VecDeque<Packet>,
}

#[derive(Debug)]
struct Packet {
    key: KeyHash,
    question: QuestionHash,
    is_response: bool,
    link: Link,
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
        while self.packets.len() >= MOST
            || self
                .packets
                .front()
                .is_some_and(|first| now.since(first.link.time) > 2 * COPY)
        {
            self.packets.pop_front();
        }
        self.packets.push_back(Packet {
            key: identity.key,
            question: identity.question,
            is_response,
            link,
        });
    }

    /// The same for the latest query and response of a transaction that another takes the place of.
    pub(super) fn add_both(&mut self, identity: &Identity, slot: &Slot, now: Timestamp) {
        self.add(identity, false, slot.query_link(), now);
        self.add(identity, true, slot.response_link(), now);
    }

    /// Whether this is one of them, delivered again.
    pub(super) fn holds(&self, identity: &Identity, is_response: bool, link: &Link) -> bool {
        self.packets.iter().any(|packet| {
            packet.key == identity.key
                && packet.question == identity.question
                && packet.is_response == is_response
                && packet.link.payload == link.payload
                && packet.link.ip_id == link.ip_id
                && packet.link.time.since(link.time) <= COPY
                && link.time.since(packet.link.time) <= COPY
        })
    }

    /// Forgets them all.
    pub(super) fn clear(&mut self) {
        self.packets.clear();
    }
}
