//! MPLS.

use super::layer::{Discard, Next, Step, Walk};
use super::tunnel::Tunnel;
use super::{Frame, ip, tag};

/// Labels that say what follows (RFC 3032, section 2.1; RFC 5586).
mod label {
    pub(super) const IPV4_EXPLICIT_NULL: u32 = 0;
    pub(super) const IPV6_EXPLICIT_NULL: u32 = 2;
    /// A control channel follows.
    pub(super) const GENERIC_ASSOCIATED_CHANNEL: u32 = 13;
}

/// The label stack, and what is behind it, which nothing but its own first bits tells (RFC 4928).
pub(super) fn labels(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    const BOTTOM: u32 = 0x100;
    let last = loop {
        let entry = frame.take_u32()?;
        if entry & BOTTOM != 0 {
            break entry >> 12;
        }
    };
    // Labels are those of one direction and one hop.
    walk.enter(frame, Tunnel::Mpls, 0)?;
    match last {
        label::IPV4_EXPLICIT_NULL => return Ok(Next::Ipv4),
        label::IPV6_EXPLICIT_NULL => return Ok(Next::Ipv6),
        label::GENERIC_ASSOCIATED_CHANNEL => return Err(Discard::NotIp),
        _ => {}
    }
    let [first] = frame.peek()?;
    match first >> 4 {
        4 | 6 if ip::is_certain(frame) || !tag::is_certain_ethernet(frame) => Ok(Next::Ip),
        // A control word (RFC 4448, section 4.6), or an address that begins like one.
        0 => {
            let mut behind = frame.clone();
            let word = behind.take_u16()?;
            behind.skip(2)?;
            let has_word = word == 0
                && !tag::is_certain_tagged_ethernet(frame)
                && tag::is_certain_ethernet(&behind);
            if has_word {
                frame.skip(4)?;
                pseudowire(frame, walk)
            } else if tag::is_certain_ethernet(frame) {
                pseudowire(frame, walk)
            } else {
                Err(Discard::NotIp)
            }
        }
        _ if tag::is_certain_ethernet(frame) => pseudowire(frame, walk),
        // The control channel of a pseudowire begins with 1 (RFC 4385, section 5).
        1 => Err(Discard::NotIp),
        _ => Err(Discard::Tunnel),
    }
}

/// Ethernet over MPLS.
fn pseudowire(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    walk.enter(frame, Tunnel::Pseudowire, 0)?;
    Ok(Next::Ethernet)
}
