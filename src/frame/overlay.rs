//! Tunnels over UDP.

use super::layer::{Discard, Next, Step, Walk};
use super::tunnel::Tunnel;
use super::{Frame, l2tp, tag};

/// UDP ports of encapsulations.
pub(super) mod port {
    pub(in super::super) const L2TP: u16 = 1701;
    pub(in super::super) const GTP_U: u16 = 2152;
    pub(in super::super) const TEREDO: u16 = 3544;
    pub(in super::super) const VXLAN: u16 = 4789;
    pub(in super::super) const VXLAN_GPE: u16 = 4790;
    pub(in super::super) const GENEVE: u16 = 6081;
    pub(in super::super) const MPLS: u16 = 6635;
    /// Where Linux had VXLAN before it had a number.
    pub(in super::super) const VXLAN_LINUX: u16 = 8472;
    pub(in super::super) const TZSP: u16 = 37008;

    pub(in super::super) const ALL: [u16; 9] = [
        L2TP,
        GTP_U,
        TEREDO,
        VXLAN,
        VXLAN_GPE,
        GENEVE,
        MPLS,
        VXLAN_LINUX,
        TZSP,
    ];

    /// What stands behind a port, where that is not VXLAN.
    pub(in super::super) const fn other_than_vxlan(port: u16) -> Option<&'static str> {
        Some(match port {
            L2TP => "L2TP",
            GTP_U => "GTP-U",
            TEREDO => "Teredo",
            VXLAN_GPE => "VXLAN-GPE",
            GENEVE => "Geneve",
            MPLS => "MPLS",
            TZSP => "TZSP",
            _ => return None,
        })
    }
}

/// What the ports say; what does not look like it is UDP on other ports. The destination speaks first: most tunnels have
/// their number there only, and a hash of the flow as the source.
pub(super) fn inside(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    let ports = [frame.dst_port, frame.src_port];
    let port = ports
        .into_iter()
        .find(|&port| walk.ports.carries_tunnel(port))
        .ok_or(Discard::OtherPort)?;
    match port {
        port::L2TP => l2tp::over_udp(frame, walk),
        port::GTP_U => gtp_u(frame, walk),
        port::TEREDO => teredo(frame, walk),
        port::VXLAN_GPE => vxlan_gpe(frame, walk),
        port::GENEVE => geneve(frame, walk),
        port::MPLS => Ok(Next::Mpls),
        port::TZSP => tzsp(frame, walk),
        _ => vxlan(frame, walk),
    }
}

/// VXLAN (RFC 7348, section 5), with or without the group policy extension (draft-smith-vxlan-group-policy). VXLAN-GPE on
/// these ports, where some set it up, is told by its flag, a protocol that it has, and nothing else that is set.
fn vxlan(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    const VNI: u8 = 0x08;
    const VNI_AND_NEXT_PROTOCOL: u8 = 0x0c;
    if let [VNI_AND_NEXT_PROTOCOL, 0, 0, 1..=5, _, _, _, 0] = frame.peek()? {
        return vxlan_gpe(frame, walk);
    }
    let [flags, reserved @ .., a, b, c, last]: [u8; 8] = frame.take()?;
    let is_plain = (flags, reserved, last) == (VNI, [0; 3], 0);
    // Reserved bits are ignored on receipt, but then what follows has to speak for itself.
    if flags & VNI == 0 || (!is_plain && !tag::is_certain_ethernet(frame)) {
        return Err(Discard::OtherPort);
    }
    walk.enter(frame, Tunnel::Vxlan, u32::from_be_bytes([0, a, b, c]))?;
    Ok(Next::Ethernet)
}

/// VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe, section 3.1).
fn vxlan_gpe(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    const VERSION: u8 = 0x30;
    const VNI: u8 = 0x08;
    const NEXT_PROTOCOL: u8 = 0x04;
    let [flags, _, _, protocol, a, b, c, _] = frame.take()?;
    if flags & VNI == 0 || flags & VERSION != 0 {
        return Err(Discard::OtherPort);
    }
    walk.enter(frame, Tunnel::VxlanGpe, u32::from_be_bytes([0, a, b, c]))?;
    if flags & NEXT_PROTOCOL == 0 {
        Ok(Next::Ethernet)
    } else {
        next_protocol(frame, walk, protocol)
    }
}

/// The protocol numbers that VXLAN-GPE and NSH share.
fn next_protocol(frame: &mut Frame<'_>, walk: &mut Walk<'_>, protocol: u8) -> Step {
    match protocol {
        1 => Ok(Next::Ipv4),
        2 => Ok(Next::Ipv6),
        3 => Ok(Next::Ethernet),
        4 => nsh(frame, walk),
        5 => Ok(Next::Mpls),
        _ => Err(Discard::Tunnel),
    }
}

/// The network service header (RFC 8300, section 2).
pub(super) fn nsh(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    let first = frame.take_u16()?;
    let [_metadata_type, protocol] = frame.take()?;
    // The length is in words of four bytes and counts the whole header: base, service path, metadata.
    let rest = (usize::from(first & 0x3f) * 4)
        .checked_sub(4)
        .filter(|&rest| rest >= 4)
        .ok_or(Discard::Malformed)?;
    if first >> 14 != 0 {
        return Err(Discard::Tunnel);
    }
    frame.skip(rest)?;
    walk.enter(frame, Tunnel::Nsh, 0)?;
    // One header in the other costs an encapsulation each, which bounds the depth of the calls.
    next_protocol(frame, walk, protocol)
}

/// Geneve (RFC 8926, section 3.4).
fn geneve(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    const ETHERNET: u16 = 0x6558;
    let [first, _, high, low, a, b, c, _] = frame.take()?;
    if first >> 6 != 0 {
        return Err(Discard::OtherPort);
    }
    frame.skip(usize::from(first & 0x3f) * 4)?;
    walk.enter(frame, Tunnel::Geneve, u32::from_be_bytes([0, a, b, c]))?;
    match u16::from_be_bytes([high, low]) {
        ETHERNET => Ok(Next::Ethernet),
        0..0x0600 => Err(Discard::Tunnel),
        protocol => Ok(Next::EtherType(protocol)),
    }
}

/// GTP-U version 1 (3GPP TS 29.281, section 5).
fn gtp_u(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    const G_PDU: u8 = 255;
    /// Extension header, sequence number, N-PDU number.
    const OPTIONAL: u8 = 0x07;
    const EXTENSION: u8 = 0x04;
    let [flags, message_type, length_high, length_low, ..]: [u8; 8] = frame.take()?;
    // Version 1, protocol type GTP, the spare bit zero.
    if flags & 0xf8 != 0x30 {
        return Err(Discard::OtherPort);
    }
    if message_type != G_PDU {
        return Err(Discard::NotIp);
    }
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    if length > frame.whole_len() {
        return Err(Discard::OtherPort);
    }
    frame.limit_within(length);
    if flags & OPTIONAL != 0 {
        let [_, _, _, mut next] = frame.take()?;
        while flags & EXTENSION != 0 && next != 0 {
            let [words] = frame.peek()?;
            // The length is in words of four bytes and counts the whole header, whose last byte is the next one's type.
            let header = frame.skip(usize::from(words) * 4)?;
            next = *header.last().ok_or(Discard::Malformed)?;
        }
    }
    // Each direction has its own tunnel endpoint identifier.
    walk.enter(frame, Tunnel::GtpU, 0)?;
    match frame.peek()? {
        [first] if first >> 4 == 4 => Ok(Next::Ipv4),
        [first] if first >> 4 == 6 => Ok(Next::Ipv6),
        // PPP, or Ethernet in 5G; nothing in the header says which.
        _ => Err(Discard::Tunnel),
    }
}

/// Teredo (RFC 4380, section 5.1.1): an IPv6 packet, before it an authentication header, an origin indication, or both.
fn teredo(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    if frame.peek()? == [0, 1] {
        let [_, _, id_length, authentication_length] = frame.take()?;
        // The nonce and the confirmation byte follow.
        frame.skip(usize::from(id_length) + usize::from(authentication_length) + 9)?;
    }
    if frame.peek()? == [0, 0] {
        frame.skip(8)?;
    }
    match frame.peek()? {
        [first] if first >> 4 == 6 => {
            walk.enter(frame, Tunnel::Teredo, 0)?;
            Ok(Next::Ipv6)
        }
        _ => Err(Discard::OtherPort),
    }
}

/// `TaZmen` Sniffer Protocol: version, type, protocol, tagged fields.
fn tzsp(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    const PADDING: u8 = 0;
    const END: u8 = 1;
    const ETHERNET: u16 = 1;
    const WIRELESS: u16 = 18;
    let [version, kind, high, low] = frame.take()?;
    match (version, kind) {
        // A packet received, or one to be sent.
        (1, 0 | 1) => {}
        (1, _) => return Err(Discard::NotIp),
        _ => return Err(Discard::OtherPort),
    }
    loop {
        match frame.take()? {
            [END] => break,
            [PADDING] => {}
            _ => {
                let [length] = frame.take()?;
                frame.skip(usize::from(length))?;
            }
        }
    }
    let next = match u16::from_be_bytes([high, low]) {
        ETHERNET => Next::Ethernet,
        WIRELESS => Next::Wireless,
        _ => return Err(Discard::Tunnel),
    };
    walk.enter(frame, Tunnel::Tzsp, 0)?;
    Ok(next)
}
