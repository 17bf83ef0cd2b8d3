//! GRE, and the mirroring that rides on it.

use super::Frame;
use super::layer::{Discard, Next, Step, Walk};
use super::tunnel::Tunnel;

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// In version 1 only.
const ACKNOWLEDGMENT: u16 = 0x0080;
const VERSION: u16 = 0x0007;

/// Protocol types that are not EtherTypes of their own.
mod protocol_type {
    pub(super) const TRANSPARENT_ETHERNET: u16 = 0x6558;
    pub(super) const ERSPAN: u16 = 0x88be;
    pub(super) const ERSPAN_3: u16 = 0x22eb;
    pub(super) const PPP: u16 = 0x880b;
    pub(super) const WCCP: u16 = 0x883e;
    /// Aruba's access points, a number for each queue: 0x8200, 0x8210, ... 0x8370.
    pub(super) const ARUBA: std::ops::RangeInclusive<u16> = 0x8200..=0x8370;
}

/// GRE of either version.
pub(super) fn gre(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    let flags = frame.take_u16()?;
    let protocol = frame.take_u16()?;
    match flags & VERSION {
        0 => version_0(frame, walk, flags, protocol),
        1 => version_1(frame, walk, flags, protocol),
        _ => Err(Discard::Tunnel),
    }
}

/// Version 0 (RFC 2784, RFC 2890, and the routing of RFC 1701).
fn version_0(frame: &mut Frame<'_>, walk: &mut Walk<'_>, flags: u16, protocol: u16) -> Step {
    if flags & (CHECKSUM | ROUTING) != 0 {
        frame.skip(4)?;
    }
    let key = if flags & KEY == 0 {
        0
    } else {
        frame.take_u32()?
    };
    if flags & SEQUENCE != 0 {
        frame.skip(4)?;
    }
    if flags & ROUTING != 0 {
        routing(frame)?;
    }
    match protocol {
        protocol_type::ERSPAN if flags & SEQUENCE == 0 => {
            walk.enter(frame, Tunnel::Erspan1, 0)?;
            Ok(Next::Ethernet)
        }
        protocol_type::ERSPAN => erspan_2(frame, walk),
        protocol_type::ERSPAN_3 => erspan_3(frame, walk),
        protocol_type::TRANSPARENT_ETHERNET => {
            let is_nvgre = flags & (CHECKSUM | ROUTING | KEY | SEQUENCE) == KEY;
            // The last eight bits of an NVGRE key are an entropy of the flow, not of the network (RFC 7637, section 3.2).
            let (tunnel, network) = if is_nvgre {
                (Tunnel::Nvgre, key >> 8)
            } else {
                (Tunnel::Gre, key)
            };
            walk.enter(frame, tunnel, network)?;
            Ok(Next::Ethernet)
        }
        protocol_type::PPP => {
            walk.enter(frame, Tunnel::Gre, key)?;
            walk.enter(frame, Tunnel::Ppp, 0)?;
            Ok(Next::Ppp)
        }
        protocol_type::WCCP => {
            walk.enter(frame, Tunnel::Gre, key)?;
            wccp(frame)
        }
        protocol if protocol_type::ARUBA.contains(&protocol) && protocol & 0xf == 0 => {
            walk.enter(frame, Tunnel::Gre, key)?;
            Ok(Next::Wireless)
        }
        0..0x0600 => Err(Discard::Tunnel),
        protocol => {
            walk.enter(frame, Tunnel::Gre, key)?;
            Ok(Next::EtherType(protocol))
        }
    }
}

/// The source route entries of RFC 1701, up to the empty one that ends them.
fn routing(frame: &mut Frame<'_>) -> Result<(), Discard> {
    loop {
        let [family_high, family_low, _offset, length] = frame.take()?;
        match (family_high, family_low, length) {
            (0, 0, 0) => return Ok(()),
            (_, _, 0) => return Err(Discard::Malformed),
            (_, _, length) => frame.skip(usize::from(length))?,
        };
    }
}

/// Version 1, PPTP's (RFC 2637, section 4.1).
fn version_1(frame: &mut Frame<'_>, walk: &mut Walk<'_>, flags: u16, protocol: u16) -> Step {
    if flags & KEY == 0 || flags & (CHECKSUM | ROUTING) != 0 || protocol != protocol_type::PPP {
        return Err(Discard::Tunnel);
    }
    let length = frame.take_u16()?;
    // Each end chooses its own call ID, so that it does not tell networks apart in both directions.
    let _call_id = frame.take_u16()?;
    if flags & SEQUENCE == 0 {
        return Err(Discard::NotIp);
    }
    frame.skip(4)?;
    if flags & ACKNOWLEDGMENT != 0 {
        frame.skip(4)?;
    }
    frame.limit_within(usize::from(length));
    walk.enter(frame, Tunnel::Gre, 0)?;
    walk.enter(frame, Tunnel::Ppp, 0)?;
    Ok(Next::Ppp)
}

/// ERSPAN type II (draft-foschiano-erspan, section 4.2): version 1, and eight bytes in all.
fn erspan_2(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    let [version, ..]: [u8; 8] = frame.take()?;
    if version >> 4 != 1 {
        return Err(Discard::Tunnel);
    }
    walk.enter(frame, Tunnel::Erspan2, 0)?;
    Ok(Next::Ethernet)
}

/// ERSPAN type III (draft-foschiano-erspan, section 4.3): version 2, twelve bytes, eight more where the last bit says so.
fn erspan_3(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    const ETHERNET: u8 = 0;
    const IP: u8 = 2;
    let [version, .., kind, optional]: [u8; 12] = frame.take()?;
    if version >> 4 != 2 {
        return Err(Discard::Tunnel);
    }
    if optional & 1 != 0 {
        frame.skip(8)?;
    }
    let next = match kind >> 2 & 0x1f {
        ETHERNET => Next::Ethernet,
        IP => Next::Ip,
        _ => return Err(Discard::Tunnel),
    };
    walk.enter(frame, Tunnel::Erspan3, 0)?;
    Ok(next)
}

/// Packets redirected to a cache: of version 1 as they are, of version 2 behind four bytes (draft-wilson-wrec-wccp-v2, 4.12).
fn wccp(frame: &mut Frame<'_>) -> Step {
    let [first] = frame.peek()?;
    if first >> 4 != 4 {
        frame.skip(4)?;
    }
    Ok(Next::Ipv4)
}
