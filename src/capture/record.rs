//! What the readers of both formats share: a packet as a record holds it, the byte order, and damage.

use std::ops::ControlFlow;

use arrayvec::ArrayVec;

use crate::packet::{LinkType, Packet};
use crate::time::Timestamp;

/// The most bytes that a record may hold of a packet; one that says more is damaged.
pub(super) const MAX_PACKET: u32 = 16 << 20;

/// How many packets are given on together at most.
const TOGETHER: usize = 32;

/// Packets of a block that lie beside each other, and are given on together.
#[derive(Default)]
pub(super) struct Together<'a>(ArrayVec<Packet<'a>, TOGETHER>);

impl<'a> Together<'a> {
    /// Adds a packet; where there is no room for it, those before it are given on.
    #[inline(always)]
    pub(super) fn push(
        &mut self,
        packet: Packet<'a>,
        give: &mut impl FnMut(&[Packet<'_>]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if self.0.is_full() {
            give(&self.0)?;
            self.0.clear();
        }
        self.0.push(packet);
        ControlFlow::Continue(())
    }

    /// Gives on those that are left.
    pub(super) fn give(
        self,
        give: &mut impl FnMut(&[Packet<'_>]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        give(&self.0)
    }
}

/// The packets of an input so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbering {
    /// Its place in the run's list of inputs.
    pub(super) input: u16,
    pub(super) packets: u64,
}

impl Numbering {
    /// The next packet.
    #[inline(always)]
    pub(super) const fn next<'a>(
        &mut self,
        time: Timestamp,
        link: LinkType,
        wire_len: u32,
        bytes: &'a [u8],
    ) -> Packet<'a> {
        self.packets += 1;
        Packet {
            time,
            input: self.input,
            number: self.packets,
            link,
            wire_len,
            bytes,
        }
    }
}

/// The file ends in the middle of a record, or holds what cannot be.
#[derive(Debug)]
pub(super) struct Damage {
    /// The byte of the capture, from 0, where the record begins that has it.
    pub(super) at: u64,
    pub(super) what: String,
}

impl Damage {
    pub(super) const fn at(at: u64, what: String) -> Self {
        Self { at, what }
    }

    /// The input cannot be read on.
    pub(super) fn unreadable(at: u64, error: &std::io::Error) -> Self {
        // What the system says is no sentence; what a decompressor says is one.
        let what = match error.raw_os_error() {
            Some(_) => format!("it cannot be read ({error})"),
            None => error.to_string(),
        };
        Self { at, what }
    }
}

/// The order of the bytes of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Big,
    Little,
}

impl ByteOrder {
    /// The 32-bit number at `at`; 0 past the end, which callers have ruled out.
    #[inline]
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let number = bytes.get(at..).and_then(<[u8]>::first_chunk);
        let number = number.copied().unwrap_or_default();
        match self {
            Self::Big => u32::from_be_bytes(number),
            Self::Little => u32::from_le_bytes(number),
        }
    }

    /// Four 32-bit numbers.
    #[inline]
    pub(super) fn four(self, bytes: &[u8; 16]) -> [u32; 4] {
        let &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]].map(|number| match self {
            Self::Big => u32::from_be_bytes(number),
            Self::Little => u32::from_le_bytes(number),
        })
    }

    /// The 16-bit number at `at`; 0 past the end, which callers have ruled out.
    #[inline]
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let number = bytes.get(at..).and_then(<[u8]>::first_chunk);
        let number = number.copied().unwrap_or_default();
        match self {
            Self::Big => u16::from_be_bytes(number),
            Self::Little => u16::from_le_bytes(number),
        }
    }
}

/// What the tests of both readers share.
#[cfg(test)]
pub(super) mod tests {
    use std::ops::ControlFlow;

    use super::{Damage, Numbering};
    use crate::packet::Packet;

    /// Nanoseconds, link type, length on the wire and bytes of a record.
    pub(in super::super) type Copied = (i64, i32, u32, Vec<u8>);

    /// Copies what a reader gives, and says how it ended.
    pub(in super::super) fn copied(
        read: impl FnOnce(
            &mut Numbering,
            &mut dyn FnMut(&[Packet<'_>]) -> ControlFlow<()>,
        ) -> Result<ControlFlow<()>, Damage>,
    ) -> (Vec<Copied>, Result<(), String>) {
        let mut copies: Vec<Copied> = Vec::new();
        let mut numbering = Numbering {
            input: 0,
            packets: 0,
        };
        let end = read(&mut numbering, &mut |packets| {
            for packet in packets {
                assert_eq!(packet.number, copies.len() as u64 + 1);
                copies.push((
                    packet.time.as_nanos(),
                    packet.link.0,
                    packet.wire_len,
                    packet.bytes.to_vec(),
                ));
            }
            ControlFlow::Continue(())
        });
        assert_eq!(numbering.packets, copies.len() as u64);
        let said = |Damage { at, what }| format!("at byte {at}: {what}");
        (copies, end.map(|_| ()).map_err(said))
    }
}
