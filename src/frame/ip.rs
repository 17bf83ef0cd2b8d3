//! IPv4, IPv6 and its extension headers.

use std::net::IpAddr;

use etherparse::{
    IpAuthHeaderSlice, IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice, err, ip_number,
};

use super::fragment::Piece;
use super::layer::{Discard, Next, Step, Walk};
use super::tunnel::Tunnel;
use super::{Frame, gre, l2tp, transport};

/// Tells the version by the first four bits.
pub(super) fn either(frame: &Frame<'_>) -> Step {
    let [first] = frame.peek()?;
    match first >> 4 {
        4 => Ok(Next::Ipv4),
        6 => Ok(Next::Ipv6),
        _ => Err(Discard::Malformed),
    }
}

/// IPv4 (RFC 791).
pub(super) fn ipv4(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    let header = Ipv4HeaderSlice::from_slice(frame.payload).map_err(|error| match error {
        err::ipv4::HeaderSliceError::Len(_) => frame.short(),
        err::ipv4::HeaderSliceError::Content(_) => Discard::Malformed,
    })?;
    // A total length of 0 is what a capture on the sender sees where the network card cuts the segments (TSO).
    match usize::from(header.total_len()) {
        0 => {}
        length if length < header.slice().len() => return Err(Discard::Malformed),
        length => frame.limit(length),
    }
    frame.skip(header.slice().len())?;
    frame.src = IpAddr::V4(header.source_addr());
    frame.dst = IpAddr::V4(header.destination_addr());
    frame.ip_id = Some(header.identification());
    if header.is_fragmenting_payload() {
        walk.piece = Some(Piece {
            id: u32::from(header.identification()),
            protocol: header.protocol(),
            offset: usize::from(header.fragments_offset().value()) * 8,
            more: header.more_fragments(),
        });
        return Ok(Next::Fragment);
    }
    Ok(Next::Protocol(header.protocol()))
}

/// IPv6 (RFC 8200, section 3).
pub(super) fn ipv6(frame: &mut Frame<'_>) -> Step {
    let header = Ipv6HeaderSlice::from_slice(frame.payload).map_err(|error| match error {
        err::ipv6::HeaderSliceError::Len(_) => frame.short(),
        err::ipv6::HeaderSliceError::Content(_) => Discard::Malformed,
    })?;
    frame.skip(header.slice().len())?;
    // A payload length of 0 is that of a jumbogram (RFC 2675) or, on the sender, of a packet yet to be cut (TSO).
    match usize::from(header.payload_length()) {
        0 => {}
        length => frame.limit(length),
    }
    frame.src = IpAddr::V6(header.source_addr());
    frame.dst = IpAddr::V6(header.destination_addr());
    frame.ip_id = None;
    Ok(Next::Protocol(header.next_header()))
}

/// What the protocol number, or next header, says.
pub(super) fn protocol(frame: &mut Frame<'_>, walk: &mut Walk<'_>, protocol: IpNumber) -> Step {
    match protocol {
        ip_number::UDP => transport::udp(frame, walk),
        ip_number::TCP => transport::tcp(frame, walk),
        ip_number::IPV6_HOP_BY_HOP
        | ip_number::IPV6_ROUTE
        | ip_number::IPV6_DEST_OPTIONS
        | ip_number::MOBILITY
        | ip_number::HIP
        | ip_number::SHIM6
            if frame.src.is_ipv6() =>
        {
            extension(frame)
        }
        ip_number::IPV6_FRAG if frame.src.is_ipv6() => fragment(frame, walk),
        ip_number::AUTH => authentication(frame),
        ip_number::IPV4 => {
            let tunnel = if frame.src.is_ipv6() {
                Tunnel::Ip4In6
            } else {
                Tunnel::IpIp
            };
            walk.enter(frame, tunnel, 0)?;
            Ok(Next::Ipv4)
        }
        ip_number::IPV6 => {
            let tunnel = if frame.src.is_ipv6() {
                Tunnel::Ip6In6
            } else {
                Tunnel::Ip6In4
            };
            walk.enter(frame, tunnel, 0)?;
            Ok(Next::Ipv6)
        }
        ip_number::GRE => gre::gre(frame, walk),
        ip_number::ETHER_IP => ether_ip(frame, walk),
        ip_number::LAYER2_TUNNELING_PROTOCOL => l2tp::version_3(frame, walk),
        ip_number::MPLS_IN_IP => Ok(Next::Mpls),
        _ => Err(Discard::OtherProtocol),
    }
}

/// An extension header that begins with the next header and its own length (RFC 8200, section 4; RFC 6275; RFC 7401).
fn extension(frame: &mut Frame<'_>) -> Step {
    let header = Ipv6RawExtHeaderSlice::from_slice(frame.payload).map_err(|_| frame.short())?;
    frame.skip(header.slice().len())?;
    Ok(Next::Protocol(header.next_header()))
}

/// The authentication header, of either version of IP (RFC 4302).
fn authentication(frame: &mut Frame<'_>) -> Step {
    let header = IpAuthHeaderSlice::from_slice(frame.payload).map_err(|error| match error {
        err::ip_auth::HeaderSliceError::Len(_) => frame.short(),
        err::ip_auth::HeaderSliceError::Content(_) => Discard::Malformed,
    })?;
    frame.skip(header.slice().len())?;
    Ok(Next::Protocol(header.next_header()))
}

/// The fragment header (RFC 8200, section 4.5); what is a whole packet in spite of it passes (RFC 6946).
fn fragment(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    let header = Ipv6FragmentHeaderSlice::from_slice(frame.payload).map_err(|_| frame.short())?;
    frame.skip(header.slice().len())?;
    if header.is_fragmenting_payload() {
        walk.piece = Some(Piece {
            id: header.identification(),
            protocol: header.next_header(),
            offset: usize::from(header.fragment_offset().value()) * 8,
            more: header.more_fragments(),
        });
        return Ok(Next::Fragment);
    }
    Ok(Next::Protocol(header.next_header()))
}

/// Ethernet in IP (RFC 3378, section 3): version 3, the rest of the header zero.
fn ether_ip(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    match frame.take()? {
        [0x30, 0] => {
            walk.enter(frame, Tunnel::EtherIp, 0)?;
            Ok(Next::Ethernet)
        }
        _ => Err(Discard::Tunnel),
    }
}

/// Whether bytes are an IP packet beyond doubt, for headers that do not say what follows them: an IPv4 header whose
/// checksum is right, or an IPv6 header whose length is that of the payload, but for a frame check sequence.
pub(super) fn is_certain(frame: &Frame<'_>) -> bool {
    const CHECK_SEQUENCE: usize = 4;
    if let Ok(header) = Ipv4HeaderSlice::from_slice(frame.payload) {
        let length = usize::from(header.total_len());
        return length >= header.slice().len()
            && length <= frame.whole_len()
            && header.to_header().calc_header_checksum() == header.header_checksum();
    }
    Ipv6HeaderSlice::from_slice(frame.payload).is_ok_and(|header| {
        let length = header.slice().len() + usize::from(header.payload_length());
        length <= frame.whole_len() && frame.whole_len() - length <= CHECK_SEQUENCE
    })
}
