//! 802.11, and the headers that capture software puts before it.

use super::layer::{Discard, Next, Step, Walk};
use super::{Frame, Mac};

/// An 802.11 header (802.11-2020, clause 9.2) and, in data frames in clear, LLC behind it.
pub(super) fn header(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    header_and_pad(frame, walk, 1)
}

/// The same, the body beginning at a multiple of `alignment`.
fn header_and_pad(frame: &mut Frame<'_>, walk: &mut Walk<'_>, alignment: usize) -> Step {
    const DATA: u8 = 2;
    const QOS: u8 = 0x8;
    const NO_DATA: u8 = 0x4;
    const TO_DS: u8 = 0x01;
    const FROM_DS: u8 = 0x02;
    const MORE_FRAGMENTS: u8 = 0x04;
    const PROTECTED: u8 = 0x40;
    const HIGH_THROUGHPUT: u8 = 0x80;
    const AGGREGATED: u8 = 0x80;

    let [control, flags] = frame.take()?;
    let (version, kind, subtype) = (control & 3, control >> 2 & 3, control >> 4);
    if version != 0 {
        return Err(Discard::Malformed);
    }
    if kind != DATA || subtype & NO_DATA != 0 {
        return Err(Discard::NotIp);
    }
    let _duration: [u8; 2] = frame.take()?;
    let (first, second, third) = (Mac(frame.take()?), Mac(frame.take()?), Mac(frame.take()?));
    let [sequence, _] = frame.take()?;
    let mut length = 24;
    let macs = match flags & (TO_DS | FROM_DS) {
        0 => (second, first),
        TO_DS => (second, third),
        FROM_DS => (third, first),
        _ => {
            length += 6;
            (Mac(frame.take()?), third)
        }
    };
    let mut aggregated = false;
    if subtype & QOS != 0 {
        let [qos, _] = frame.take()?;
        aggregated = qos & AGGREGATED != 0;
        length += 2;
        if flags & HIGH_THROUGHPUT != 0 {
            frame.skip(4)?;
            length += 4;
        }
    }
    if flags & PROTECTED != 0 {
        return Err(Discard::Encrypted);
    }
    if flags & MORE_FRAGMENTS != 0 || sequence & 0xf != 0 {
        return Err(Discard::Fragment);
    }
    frame.skip(usize::next_multiple_of(length, alignment) - length)?;
    frame.layers.macs = Some(macs);
    if aggregated {
        subframe(frame, walk)
    } else {
        Ok(Next::Llc)
    }
}

/// A member of an aggregate (A-MSDU, clause 9.3.2.2): destination, source, length, LLC; each but the last padded to four.
fn subframe(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    let mut member = 0;
    loop {
        let (dst, src) = (Mac(frame.take()?), Mac(frame.take()?));
        let length = usize::from(frame.take_u16()?);
        let padded = (14 + length).next_multiple_of(4) - 14;
        if member == walk.member {
            walk.more_members = frame.payload.len() > padded + 14;
            frame.layers.macs = Some((src, dst));
            frame.limit_within(length);
            return Ok(Next::Llc);
        }
        frame.skip(padded)?;
        member += 1;
    }
}

/// Radiotap (<https://www.radiotap.org>): version, length, which fields are present, the fields; little-endian.
pub(super) fn radiotap(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    /// Another word of presence follows.
    const MORE: u32 = 0x8000_0000;
    const TSFT: u32 = 0x01;
    const FLAGS: u32 = 0x02;
    /// The body begins at a multiple of four.
    const PADDED: u8 = 0x20;

    let [version, _, low, high] = frame.peek()?;
    if version != 0 {
        return Err(Discard::Malformed);
    }
    let header = frame.skip(usize::from(u16::from_le_bytes([low, high])))?;
    let presence = |at: usize| Some(u32::from_le_bytes(*header.get(at..)?.first_chunk()?));
    let first = presence(4).ok_or(Discard::Malformed)?;
    let mut at = 8;
    let mut word = first;
    while word & MORE != 0 {
        word = presence(at).ok_or(Discard::Malformed)?;
        at += 4;
    }
    if first & TSFT != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    let flags = if first & FLAGS == 0 {
        0
    } else {
        header.get(at).copied().unwrap_or(0)
    };
    header_and_pad(frame, walk, if flags & PADDED == 0 { 1 } else { 4 })
}

/// AVS (a magic number and its length first), and the Prism header that it took over from.
pub(super) fn prism_or_avs(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    const AVS_MAGIC: u32 = 0x8021_1000;
    let [a, b, c, d, length @ ..]: [u8; 8] = frame.peek()?;
    let length = if u32::from_be_bytes([a, b, c, d]) & 0xffff_f000 == AVS_MAGIC & 0xffff_f000 {
        u32::from_be_bytes(length)
    } else {
        match u32::from_le_bytes(length) {
            length if length > 0xffff => length.swap_bytes(),
            length => length,
        }
    };
    if length < 8 {
        return Err(Discard::Malformed);
    }
    frame.skip(usize::try_from(length).unwrap_or(usize::MAX))?;
    header(frame, walk)
}
