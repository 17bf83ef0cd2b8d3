//! Which packets brought which bytes of a stream, where packets are kept: for the messages that are still to come, and for what
//! comes once more of those that were given.

use std::collections::VecDeque;

use crate::packet::{MessageId, Trail};

/// How many messages that were given are remembered.
const GIVEN: usize = 16;

/// Bytes of the stream, from one offset to before another, and the packets that brought them.
#[derive(Debug)]
struct Sent {
    begin: u64,
    end: u64,
    trail: Trail,
}

/// A message that was given, and where its bytes lay.
#[derive(Debug)]
struct Given {
    begin: u64,
    end: u64,
    message: MessageId,
}

/// The log of one stream.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// In the order in which they came.
    sent: VecDeque<Sent>,
    given: VecDeque<Given>,
    held: usize,
    /// Packets that are not kept for want of room, and were not told of yet.
    lost: u64,
}

impl Log {
    /// How many bytes it takes.
    pub(super) fn held(&self) -> usize {
        let fixed = self.sent.capacity() * size_of::<Sent>() + GIVEN * size_of::<Given>();
        self.held.saturating_add(fixed)
    }

    /// Takes the packets that brought some bytes; says of which messages that were given already some of these are.
    pub(super) fn note(&mut self, begin: u64, end: u64, trail: &Trail, late: &mut Vec<MessageId>) {
        let again = self
            .given
            .iter()
            .filter(|given| given.begin < end && begin < given.end);
        late.extend(again.map(|given| given.message));
        if self.held.saturating_add(trail.held()) > Trail::MOST && !self.sent.is_empty() {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        self.held = self.held.saturating_add(trail.held());
        let trail = trail.clone();
        self.sent.push_back(Sent { begin, end, trail });
    }

    /// The packets that brought a message, which is given now.
    pub(super) fn give(&mut self, begin: u64, end: u64, message: MessageId) -> Trail {
        let mut trail = Trail::default();
        for sent in &self.sent {
            if sent.begin < end && begin < sent.end {
                trail.extend(&sent.trail);
            }
        }
        trail.lost = trail.lost.saturating_add(std::mem::take(&mut self.lost));
        if self.given.len() >= GIVEN {
            self.given.pop_front();
        }
        self.given.push_back(Given {
            begin,
            end,
            message,
        });
        trail
    }

    /// Forgets the packets of bytes before an offset: all messages that they belong to were given.
    pub(super) fn forget_before(&mut self, offset: u64) {
        self.sent.retain(|sent| sent.end > offset);
        self.held = self.sent.iter().map(|sent| sent.trail.held()).sum();
    }
}
