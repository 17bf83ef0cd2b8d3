//! Packets, and batches of them in one arena for those that have to wait.

mod captured;

use crate::time::Timestamp;

pub use captured::{Captured, Carried, Further, MessageId, Trail};

/// A link type: a `LINKTYPE_`/`DLT_` number of the registry at <https://www.tcpdump.org/linktypes.html>, as libpcap gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(pub i32);

impl LinkType {
    /// No link at all: the bytes are a frame of dnstap. No number of the registry is negative.
    pub const DNSTAP: Self = Self(i32::MIN);

    /// Numbers that are others in files than in libpcap, which gives those of the system (`pcap-common.c` of libpcap, the
    /// values of Linux): the file's, and libpcap's.
    const OTHERS: [(u32, i32); 5] = [(100, 11), (101, 12), (102, 15), (103, 16), (106, 19)];

    /// The link type of that number in a file.
    #[must_use]
    pub fn in_file(number: u32) -> Self {
        let other = Self::OTHERS.iter().find(|(file, _)| *file == number);
        // 26 bits at most in pcap, 16 in pcapng.
        Self(other.map_or_else(
            || i32::try_from(number).unwrap_or(i32::MAX),
            |(_, own)| *own,
        ))
    }

    /// Its number in a file; `None` where it is no link type that a file can have.
    #[must_use]
    pub fn file_number(self) -> Option<u16> {
        let other = Self::OTHERS.iter().find(|(_, own)| *own == self.0);
        other.map_or_else(
            || u16::try_from(self.0).ok(),
            |(file, _)| u16::try_from(*file).ok(),
        )
    }
}

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

/// Packets in one arena, which is used again: those of several interfaces wait in it for their order.
#[derive(Debug, Default)]
pub struct Batch {
    arena: Vec<u8>,
    entries: Vec<Entry>,
}

impl Batch {
    /// Appends a copy of a packet.
    pub fn push(&mut self, packet: &Packet<'_>) {
        let (Ok(start), Ok(len)) = (
            u32::try_from(self.arena.len()),
            u32::try_from(packet.bytes.len()),
        ) else {
            debug_assert!(false, "packets wait for less than a second");
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

    /// The packets in the order in which they were pushed.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.entries.iter().map(|entry| self.packet(entry))
    }

    /// Puts the packets in the order of their times; equal times keep their order.
    pub fn sort_by_time(&mut self) {
        self.entries.sort_by_key(|entry| entry.time);
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many bytes its packets take.
    #[must_use]
    pub fn held(&self) -> usize {
        let entries = self.entries.len().saturating_mul(size_of::<Entry>());
        self.arena.len().saturating_add(entries)
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.entries.clear();
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
