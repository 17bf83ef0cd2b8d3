//! Packets that are kept beyond their turn, because what they brought may be evidence.

use std::sync::Arc;

use super::{LinkType, Packet};
use crate::time::Timestamp;

/// A packet that is kept for as long as somebody holds it.
#[derive(Debug, PartialEq, Eq)]
pub struct Captured {
    /// Capture time.
    pub time: Timestamp,
    /// The index into the run's list of inputs.
    pub input: u16,
    /// Its number within that input, from 1.
    pub number: u64,
    link: LinkType,
    wire_len: u32,
    bytes: Box<[u8]>,
}

impl Captured {
    /// What a packet takes beside its bytes, with who points to it, about.
    const OVERHEAD: usize = size_of::<Self>() + 32;

    /// A copy of a packet.
    #[must_use]
    pub fn of(packet: &Packet<'_>) -> Arc<Self> {
        Arc::new(Self {
            time: packet.time,
            input: packet.input,
            number: packet.number,
            link: packet.link,
            wire_len: packet.wire_len,
            bytes: packet.bytes.into(),
        })
    }

    /// The packet as it was captured.
    #[must_use]
    pub fn packet(&self) -> Packet<'_> {
        Packet {
            time: self.time,
            input: self.input,
            number: self.number,
            link: self.link,
            wire_len: self.wire_len,
            bytes: &self.bytes,
        }
    }

    /// How many bytes it takes.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.bytes.len().saturating_add(Self::OVERHEAD)
    }
}

/// The packets that brought something, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    packets: Vec<Arc<Captured>>,
    held: usize,
    /// How many more there were than are kept.
    pub lost: u64,
}

impl Trail {
    /// The most bytes that the packets of one message, or of one datagram in fragments, may take; more are counted.
    pub const MOST: usize = 512 * 1024;

    /// That of one packet.
    #[must_use]
    pub fn of(packet: &Arc<Captured>) -> Self {
        Self {
            held: packet.held(),
            packets: vec![Arc::clone(packet)],
            lost: 0,
        }
    }

    /// Adds a packet, unless it was the last to be added.
    pub fn push(&mut self, packet: &Arc<Captured>) {
        if self
            .packets
            .last()
            .is_some_and(|last| Arc::ptr_eq(last, packet))
        {
            return;
        }
        // One packet is kept whatever its size.
        if self.held.saturating_add(packet.held()) > Self::MOST && !self.packets.is_empty() {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        self.held = self.held.saturating_add(packet.held());
        self.packets.push(Arc::clone(packet));
    }

    /// Adds those of another.
    pub fn extend(&mut self, other: &Self) {
        other.packets.iter().for_each(|packet| self.push(packet));
        self.lost = self.lost.saturating_add(other.lost);
    }

    /// The packets.
    #[must_use]
    pub fn packets(&self) -> &[Arc<Captured>] {
        &self.packets
    }

    /// How many bytes they take.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.packets.clear();
        (self.held, self.lost) = (0, 0);
    }
}

/// Names a message of this run, so that of packets that come after it, as copies of those that brought it, can be said that they
/// are its.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(u64);

impl MessageId {
    /// The datagram of that number among those that came in one packet, or never became whole.
    #[must_use]
    pub const fn datagram(number: u64) -> Self {
        Self(number << 2)
    }

    /// The datagram that was joined of fragments as that one in the run.
    #[must_use]
    pub const fn joined(number: u64) -> Self {
        Self(number << 2 | 1)
    }

    /// The message that came out of a stream as that one in the run.
    #[must_use]
    pub const fn of_stream(number: u64) -> Self {
        Self(number << 2 | 2)
    }

    /// The same, of what that one of several capture threads saw. What was joined has one number in the run, whoever saw its
    /// fragments.
    #[must_use]
    pub fn seen_by(self, capture: u16) -> Self {
        if self.0 & 3 == 1 {
            self
        } else {
            Self(self.0 | u64::from(capture) << 48)
        }
    }
}

/// Which packets brought a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Carried {
    /// The message.
    pub message: MessageId,
    /// Its packets, so far as they had come when it was whole.
    pub trail: Trail,
}

/// A packet that came after the message that it belongs to: a copy, a repeat of a segment or of the whole message.
#[derive(Clone, Debug)]
pub struct Further {
    /// The message.
    pub message: MessageId,
    /// The packet.
    pub packet: Arc<Captured>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u64, bytes: &[u8]) -> Arc<Captured> {
        Captured::of(&Packet {
            time: Timestamp::from_parts(1, 0),
            input: 0,
            number,
            link: LinkType(1),
            wire_len: 9,
            bytes,
        })
    }

    #[test]
    fn a_trail_is_bounded_and_says_what_it_left_out() {
        let (first, second) = (packet(1, &[7; 300_000]), packet(2, &[8; 300_000]));
        let mut trail = Trail::default();
        for each in [&first, &first, &second] {
            trail.push(each);
        }
        assert_eq!((trail.packets().len(), trail.lost), (1, 1));
        let mut other = Trail::of(&packet(3, &[9; 3]));
        other.extend(&trail);
        assert_eq!((other.packets().len(), other.lost), (2, 1));
        assert!(other.held() > 300_000);
        other.clear();
        assert!(other.is_empty());
        // One alone is kept whole.
        let large = packet(4, &vec![0; 2 * Trail::MOST]);
        other.push(&large);
        assert_eq!(other.packets()[0].packet().bytes.len(), 2 * Trail::MOST);
    }

    #[test]
    fn messages_have_names_of_their_own() {
        let mut names: Vec<MessageId> = (0..3)
            .flat_map(|number| {
                [
                    MessageId::datagram(number),
                    MessageId::joined(number),
                    MessageId::of_stream(number),
                ]
            })
            .collect();
        names.dedup();
        assert_eq!(names.len(), 9);
        let distinct: std::collections::HashSet<_> = names.into_iter().collect();
        assert_eq!(distinct.len(), 9);
    }
}
