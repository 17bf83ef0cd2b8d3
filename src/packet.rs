//! Packets, and the batches in reused arenas that carry them from the capture thread to the decoder.

use crate::stats::Capture;
use crate::time::Timestamp;

/// A link type: a `LINKTYPE_`/`DLT_` number of the registry at <https://www.tcpdump.org/linktypes.html>, as libpcap gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(pub i32);

/// One packet, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Capture time.
    pub time: Timestamp,
    /// Which input it came from: the index into the run's list of inputs.
    pub input: u16,
    /// Its number within that input, from 1, as tshark and Wireshark count.
    pub number: u64,
    /// The link type of `bytes`.
    pub link: LinkType,
    /// Its length on the wire in bytes, before the capture cut it.
    pub wire_len: u32,
    /// What the capture kept of it.
    pub bytes: &'a [u8],
}

/// Asked before a packet is copied into a batch: can it hold DNS? Implemented by the stage that knows headers.
pub trait Look: Send {
    /// `false` only where the packet certainly holds no DNS; it is then counted as of another port and goes no further.
    fn may_hold_dns(&self, link: LinkType, bytes: &[u8]) -> bool;
}

/// Where a packet lies in the arena.
#[derive(Clone, Copy, Debug)]
struct Entry {
    time: Timestamp,
    number: u64,
    start: u32,
    len: u32,
    wire_len: u32,
    link: LinkType,
    input: u16,
}

/// Some hundred packets in one arena, given back by the decoder and filled again.
#[derive(Debug, Default)]
pub struct Batch {
    arena: Vec<u8>,
    entries: Vec<Entry>,
    /// Packet time has come at least so far, also where no packet says so (a live capture that fell silent).
    pub now: Option<Timestamp>,
    /// What the capture had counted when this batch was sent.
    pub stats: Capture,
}

impl Batch {
    /// How many packets make a batch.
    pub const PACKETS: usize = 512;
    /// How many bytes of packets make a batch, whatever their number.
    pub const BYTES: usize = 256 * 1024;

    /// Appends a copy of a packet.
    pub fn push(&mut self, packet: &Packet<'_>) {
        let (Ok(start), Ok(len)) = (
            u32::try_from(self.arena.len()),
            u32::try_from(packet.bytes.len()),
        ) else {
            debug_assert!(false, "a batch is sent long before it holds 4 GiB");
            return;
        };
        self.arena.extend_from_slice(packet.bytes);
        self.entries.push(Entry {
            time: packet.time,
            number: packet.number,
            start,
            len,
            wire_len: packet.wire_len,
            link: packet.link,
            input: packet.input,
        });
    }

    /// Whether it is time to send the batch.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= Self::PACKETS || self.arena.len() >= Self::BYTES
    }

    /// Whether it holds no packet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The packets in the order in which they were pushed.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.entries.iter().map(|entry| self.packet(entry))
    }

    /// Puts the packets in the order of their times; equal times keep their order.
    pub fn sort_by_time(&mut self) {
        self.entries.sort_by_key(|entry| entry.time);
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.entries.clear();
        self.now = None;
    }

    fn packet(&self, entry: &Entry) -> Packet<'_> {
        let start = entry.start as usize;
        Packet {
            time: entry.time,
            input: entry.input,
            number: entry.number,
            link: entry.link,
            wire_len: entry.wire_len,
            bytes: self
                .arena
                .get(start..start.saturating_add(entry.len as usize))
                .unwrap_or_default(),
        }
    }
}
