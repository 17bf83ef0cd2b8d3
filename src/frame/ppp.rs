//! PPP, alone and over Ethernet, and HDLC.

use super::Frame;
use super::layer::{Discard, Next, Step, Walk};
use super::tunnel::Tunnel;

/// Address and control of PPP in HDLC-like framing (RFC 1662, section 3.1).
const ADDRESS_AND_CONTROL: [u8; 2] = [0xff, 0x03];
/// Cisco's HDLC: unicast and broadcast.
const CISCO_ADDRESSES: [u8; 2] = [0x0f, 0x8f];

/// A PPP frame (RFC 1661, section 2), with address and control or without, the protocol in two bytes or one.
pub(super) fn frame(frame: &mut Frame<'_>) -> Step {
    if frame.peek() == Ok(ADDRESS_AND_CONTROL) {
        frame.skip(2)?;
    }
    protocol(frame)
}

/// What the protocol field says (<https://www.iana.org/assignments/ppp-numbers>).
fn protocol(frame: &mut Frame<'_>) -> Step {
    let [first] = frame.take()?;
    // The last bit of a protocol is one, that of its first byte of two is zero (RFC 1661, section 2).
    let protocol = if first & 1 == 1 {
        u16::from(first)
    } else {
        let [second] = frame.take()?;
        u16::from_be_bytes([first, second])
    };
    match protocol {
        0x0021 => Ok(Next::Ipv4),
        0x0057 => Ok(Next::Ipv6),
        0x0031 => bridged(frame),
        0x003d => multilink(frame),
        // Encrypted or compressed: ECP, CCP.
        0x0053 | 0x0055 | 0x00fd | 0x00fb => Err(Discard::Encrypted),
        // Compressed TCP and IP headers, for which one had to know the packets before.
        0x002d | 0x002f | 0x0003 | 0x0005 | 0x0061 | 0x0063 | 0x0065 | 0x0067 | 0x0069 => {
            Err(Discard::Tunnel)
        }
        0x0281 | 0x0283 => Ok(Next::Mpls),
        _ => Err(Discard::NotIp),
    }
}

/// A bridged frame (RFC 3518, section 4.2).
fn bridged(frame: &mut Frame<'_>) -> Step {
    const ETHERNET: u8 = 1;
    match frame.take()? {
        // Padding at the end is taken off by the length of IP.
        [_flags, ETHERNET] => Ok(Next::Ethernet),
        _ => Err(Discard::NotIp),
    }
}

/// Multilink (RFC 1990, section 3) with long sequence numbers; only what is whole in one frame is taken.
fn multilink(frame: &mut Frame<'_>) -> Step {
    const BEGIN_AND_END: u8 = 0xc0;
    let [flags, ..]: [u8; 4] = frame.take()?;
    if flags == BEGIN_AND_END {
        Ok(Next::Ppp)
    } else {
        Err(Discard::Tunnel)
    }
}

/// The header of a PPPoE session (RFC 2516, section 4), and PPP without address and control in it.
pub(super) fn over_ethernet(frame: &mut Frame<'_>) -> Result<(), Discard> {
    const VERSION_AND_TYPE: u8 = 0x11;
    const SESSION: u8 = 0;
    let [version, code, _, _, high, low] = frame.take()?;
    if version != VERSION_AND_TYPE {
        return Err(Discard::Malformed);
    }
    if code != SESSION {
        return Err(Discard::NotIp);
    }
    frame.limit_within(usize::from(u16::from_be_bytes([high, low])));
    Ok(())
}

/// PPPoE as a tunnel.
pub(super) fn pppoe(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    over_ethernet(frame)?;
    walk.enter(frame, Tunnel::Pppoe, 0)?;
    protocol(frame)
}

/// `LINKTYPE_PPP_ETHER`: PPPoE as the link.
pub(super) fn pppoe_link(frame: &mut Frame<'_>) -> Step {
    over_ethernet(frame)?;
    protocol(frame)
}

/// `LINKTYPE_PPP` and `LINKTYPE_PPP_HDLC`: PPP, or Cisco's HDLC.
pub(super) fn link(frame: &mut Frame<'_>) -> Step {
    match frame.peek()? {
        [address, 0] if CISCO_ADDRESSES.contains(&address) => cisco_hdlc(frame),
        _ => Ok(Next::Ppp),
    }
}

/// `LINKTYPE_C_HDLC`: address, control, EtherType.
pub(super) fn cisco_hdlc(frame: &mut Frame<'_>) -> Step {
    let [address, _control, high, low] = frame.take()?;
    if !CISCO_ADDRESSES.contains(&address) {
        return Err(Discard::NotIp);
    }
    match u16::from_be_bytes([high, low]) {
        0..0x0600 => Err(Discard::NotIp),
        value => Ok(Next::EtherType(value)),
    }
}

/// `LINKTYPE_PPP_WITH_DIR` and `LINKTYPE_PPP_PPPD`: a byte for the direction, which may stand for the address.
pub(super) fn link_with_direction(frame: &mut Frame<'_>) -> Step {
    frame.skip(1)?;
    if let Ok([0x03, 0x00]) = frame.peek() {
        frame.skip(1)?;
    }
    link(frame)
}
