//! DNS on ports that nobody named: told by its shape, and then by the conversation in which it was.
//!
//! A datagram, or a TCP segment, that is DNS beyond doubt by its bytes alone makes its conversation (two addresses, two
//! ports, UDP or TCP) one of DNS. What comes in that conversation later, in either direction, need not be beyond doubt: a
//! refusal that is nothing but a header, an answer that is broken, the segments of a long one.

use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use ahash::RandomState;
use hashbrown::HashSet;

use super::port::PortSet;
use super::{Frame, Transport};
use crate::shape;
use crate::stats::AnyPort;

/// The most conversations remembered, in two halves: when one is full, the other, which was quiet for longer, is forgotten.
const CONVERSATIONS: usize = 65_536;

/// Finds DNS on any port.
#[derive(Debug)]
pub(super) struct Anywhere {
    /// The servers' ports in the conversations. They come before the conversations themselves, to say no in no time.
    udp: PortSet,
    tcp: PortSet,
    conversations: Conversations,
    /// What was found.
    pub(super) stats: AnyPort,
}

impl Anywhere {
    pub(super) fn new() -> Self {
        Self {
            udp: PortSet::default(),
            tcp: PortSet::default(),
            conversations: Conversations::new(CONVERSATIONS / 2),
            stats: AnyPort::default(),
        }
    }

    /// A look at the beginning of a datagram or segment between these ports: `false` only where [`Self::takes`] would say so
    /// too.
    pub(super) fn may_take(&self, transport: Transport, ports: [u16; 2], segment: &[u8]) -> bool {
        self.is_of_server(transport, ports)
            || match transport {
                Transport::Udp => segment.get(UDP_HEADER..).is_some_and(shape::may_be_message),
                Transport::Tcp => payload_of_tcp(segment).is_some_and(|payload| {
                    shape::may_be_message(payload)
                        || payload
                            .get(shape::PREFIX..)
                            .is_some_and(shape::may_be_message)
                }),
            }
    }

    /// Whether a datagram or segment on other ports is DNS, its header taken off.
    pub(super) fn takes(&mut self, frame: &Frame<'_>) -> bool {
        let (transport, ports) = (frame.transport(), [frame.src_port, frame.dst_port]);
        let len = frame.whole_len();
        let certain = match transport {
            Transport::Udp => shape::is_message(frame.payload, len).then_some(frame.payload),
            Transport::Tcp => shape::first_message(frame.payload, len),
        };
        if let Some(message) = certain {
            self.remember(frame, message);
        } else if !self.is_of_server(transport, ports)
            || !self.conversations.holds(frame)
            || (transport == Transport::Udp && !shape::is_plausible(frame.payload, len))
        {
            return false;
        }
        match transport {
            Transport::Udp => self.stats.udp_messages += 1,
            Transport::Tcp => self.stats.tcp_segments += 1,
        }
        true
    }

    /// Whether the first fragment of a datagram is DNS beyond doubt, as far as it is there.
    pub(super) fn begins_datagram(fragment: &[u8]) -> bool {
        let Some((&[_, _, _, _, high, low, _, _], payload)) =
            fragment.split_first_chunk::<UDP_HEADER>()
        else {
            return false;
        };
        usize::from(u16::from_be_bytes([high, low]))
            .checked_sub(UDP_HEADER)
            .is_some_and(|len| shape::is_message(payload, len))
    }

    fn is_of_server(&self, transport: Transport, [src, dst]: [u16; 2]) -> bool {
        let servers = match transport {
            Transport::Udp => &self.udp,
            Transport::Tcp => &self.tcp,
        };
        servers.contains(src) || servers.contains(dst)
    }

    /// Remembers the conversation of a message that is beyond doubt.
    fn remember(&mut self, frame: &Frame<'_>, message: &[u8]) {
        // A server is who answers, and who is asked.
        let port = if shape::is_response(message) {
            frame.src_port
        } else {
            frame.dst_port
        };
        match frame.transport() {
            Transport::Udp => self.udp.insert(port),
            Transport::Tcp => self.tcp.insert(port),
        }
        self.stats.conversations += u64::from(self.conversations.insert(frame));
    }
}

/// Bytes of a UDP header (RFC 768).
const UDP_HEADER: usize = 8;

/// What follows the header of a TCP segment.
fn payload_of_tcp(segment: &[u8]) -> Option<&[u8]> {
    /// Where the first four bits say how many words the header has (RFC 9293, 3.1).
    const DATA_OFFSET: usize = 12;
    segment.get(usize::from(segment.get(DATA_OFFSET)? >> 4) * 4..)
}

/// The conversations that were heard last, as keyed hashes of 64 bits.
#[derive(Debug)]
struct Conversations {
    hasher: RandomState,
    /// How many make a half.
    half: usize,
    young: HashSet<u64, RandomState>,
    old: HashSet<u64, RandomState>,
}

impl Conversations {
    fn new(half: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            half,
            young: HashSet::default(),
            old: HashSet::default(),
        }
    }

    /// Remembers the conversation of a frame; whether it was new.
    fn insert(&mut self, frame: &Frame<'_>) -> bool {
        let conversation = self.hash(frame);
        !self.refresh(conversation) && {
            self.add(conversation);
            true
        }
    }

    /// Whether the conversation of a frame is remembered.
    fn holds(&mut self, frame: &Frame<'_>) -> bool {
        let conversation = self.hash(frame);
        self.refresh(conversation)
    }

    /// Whether it is remembered; it is then young again.
    fn refresh(&mut self, conversation: u64) -> bool {
        if self.young.contains(&conversation) {
            return true;
        }
        let is_old = self.old.remove(&conversation);
        if is_old {
            self.add(conversation);
        }
        is_old
    }

    fn add(&mut self, conversation: u64) {
        if self.young.len() >= self.half {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(conversation);
    }

    /// The same in both directions.
    fn hash(&self, frame: &Frame<'_>) -> u64 {
        let (src, dst) = ((frame.src, frame.src_port), (frame.dst, frame.dst_port));
        let mut hasher = self.hasher.build_hasher();
        for (address, port) in [src.min(dst), src.max(dst)] {
            match address {
                IpAddr::V4(address) => hasher.write_u32(address.to_bits()),
                IpAddr::V6(address) => hasher.write_u128(address.to_bits()),
            }
            hasher.write_u16(port);
        }
        hasher.write_u8(u8::from(frame.tcp.is_some()));
        hasher.finish()
    }
}

#[cfg(test)]
mod tests;
