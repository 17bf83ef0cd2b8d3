//! Packets that Linux's netfilter logged or queued, as the link type NFLOG and as netlink messages.

use super::Frame;
use super::layer::{Discard, Next, Step, Walk};

/// Attribute of a packet logged: the packet.
const NFULA_PAYLOAD: u16 = 9;
/// Attribute of a packet queued: the packet.
const NFQA_PAYLOAD: u16 = 10;

/// `LINKTYPE_NFLOG`: family, version, resource; then attributes, one of which is the packet.
pub(super) fn nflog(frame: &mut Frame<'_>) -> Step {
    let [_family, version, _, _] = frame.take()?;
    if version != 0 {
        return Err(Discard::Malformed);
    }
    attributes(frame, NFULA_PAYLOAD)
}

/// Netlink messages (RFC 3549, section 2.2); the packets are in those of netfilter.
pub(super) fn netlink(frame: &mut Frame<'_>, walk: &mut Walk<'_>, family: u16) -> Step {
    const NETFILTER: u16 = 12;
    /// Subsystem 4, message 0.
    const LOG_PACKET: u16 = 0x0400;
    /// Subsystem 3, message 0.
    const QUEUE_PACKET: u16 = 0x0300;
    const HEADER: usize = 16;
    if family != NETFILTER {
        return Err(Discard::NotIp);
    }
    let mut member = 0;
    loop {
        let [a, b, c, d, type_bytes @ .., _, _]: [u8; 8] = frame.peek()?;
        // The byte order is that of the host that captured, and no message is longer than its packet.
        let little = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let (length, kind) = if little <= frame.whole_len() {
            (little, u16::from_le_bytes(type_bytes))
        } else {
            let big = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            (big, u16::from_be_bytes(type_bytes))
        };
        if length < HEADER || length > frame.whole_len() {
            return Err(Discard::Malformed);
        }
        let padded = length.next_multiple_of(4);
        let attribute = match kind {
            LOG_PACKET => NFULA_PAYLOAD,
            QUEUE_PACKET => NFQA_PAYLOAD,
            _ if frame.payload.len() <= padded => return Err(Discard::NotIp),
            _ => {
                frame.skip(padded)?;
                continue;
            }
        };
        if member == walk.member {
            walk.more_members = frame.payload.len() > padded;
            frame.limit(length);
            // The rest of netlink's header, then family, version, resource.
            frame.skip(HEADER + 4)?;
            return attributes(frame, attribute);
        }
        frame.skip(padded)?;
        member += 1;
    }
}

/// Attributes: length, type, value, padded to four; in the byte order of the host that captured.
fn attributes(frame: &mut Frame<'_>, wanted: u16) -> Step {
    const TYPE: u16 = 0x3fff;
    const HEADER: usize = 4;
    while !frame.payload.is_empty() {
        let [length, kind] = {
            let [a, b, c, d] = frame.peek()?;
            match usize::from(u16::from_le_bytes([a, b])) {
                little if (HEADER..=frame.whole_len()).contains(&little) => {
                    [[a, b], [c, d]].map(u16::from_le_bytes)
                }
                _ => [[a, b], [c, d]].map(u16::from_be_bytes),
            }
        };
        let length = usize::from(length);
        if length < HEADER || length > frame.whole_len() {
            return Err(Discard::Malformed);
        }
        if kind & TYPE == wanted {
            frame.limit(length);
            frame.skip(HEADER)?;
            return Ok(Next::Ip);
        }
        // The last attribute may lack its padding.
        frame.skip(length.next_multiple_of(4).min(frame.whole_len()))?;
    }
    Err(Discard::NotIp)
}
