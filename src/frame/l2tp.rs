//! L2TP, versions 2 and 3.

use super::layer::{Discard, Next, Step, Walk};
use super::tunnel::Tunnel;
use super::{Frame, ip, tag};

const CONTROL: u16 = 0x8000;
const LENGTH: u16 = 0x4000;
const SEQUENCE: u16 = 0x0800;
const OFFSET: u16 = 0x0200;
const VERSION: u16 = 0x000f;
/// Reserved in version 2.
const RESERVED: u16 = 0x34f0;

/// L2TP over UDP, either version.
pub(super) fn over_udp(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    let flags = frame.take_u16()?;
    match flags & VERSION {
        2 if flags & RESERVED == 0 => {}
        3 if flags & CONTROL != 0 => return Err(Discard::NotIp),
        // The data header of version 3 is zero but for its version (RFC 3931, section 4.1.2.1).
        3 if flags == 3 && frame.take_u16()? == 0 => return version_3(frame, walk),
        _ => return Err(Discard::OtherPort),
    }
    if flags & CONTROL != 0 {
        return Err(Discard::NotIp);
    }
    if flags & LENGTH != 0 {
        let length = frame.take_u16()?;
        frame.limit_within(
            usize::from(length)
                .checked_sub(4)
                .ok_or(Discard::Malformed)?,
        );
    }
    // The tunnel's and the session's number; each end chooses its own.
    frame.skip(4)?;
    if flags & SEQUENCE != 0 {
        frame.skip(4)?;
    }
    if flags & OFFSET != 0 {
        let offset = frame.take_u16()?;
        frame.skip(usize::from(offset))?;
    }
    walk.enter(frame, Tunnel::L2tp2, 0)?;
    walk.enter(frame, Tunnel::Ppp, 0)?;
    Ok(Next::Ppp)
}

/// The session header of version 3, over IP or UDP (RFC 3931, section 4.1).
///
/// How long the cookie is, whether a sublayer follows, and what the session carries was agreed upon when the session began:
/// the inside is looked for wherever it can begin, and has to leave no doubt.
pub(super) fn version_3(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    if frame.take_u32()? == 0 {
        return Err(Discard::NotIp);
    }
    // The sublayer alone first: that is what Linux sends by default. But behind four bytes a frame with a tag is certain, too.
    let offsets = if tag::is_certain_tagged_ethernet(frame) {
        [0, 4, 8, 12]
    } else {
        [4, 0, 8, 12]
    };
    for offset in offsets {
        let mut inside = frame.clone();
        if inside.skip(offset).is_err() {
            continue;
        }
        let next = if tag::is_certain_ethernet(&inside) {
            Next::Ethernet
        } else if ip::is_certain(&inside) {
            Next::Ip
        } else if matches!(inside.peek(), Ok([0xff, 0x03, 0x00, 0x21 | 0x57])) {
            Next::Ppp
        } else {
            continue;
        };
        frame.skip(offset)?;
        walk.enter(frame, Tunnel::L2tp3, 0)?;
        if matches!(next, Next::Ppp) {
            walk.enter(frame, Tunnel::Ppp, 0)?;
        }
        return Ok(next);
    }
    Err(Discard::Tunnel)
}
