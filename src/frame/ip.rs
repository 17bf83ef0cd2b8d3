//! IPv4, IPv6 and its extension headers.

use std::net::IpAddr;

use etherparse::{
    IpAuthHeaderSlice, IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice, err, ip_number,
};

use super::Frame;
use super::layer::{Discard, Next, Step};

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
pub(super) fn ipv4(frame: &mut Frame<'_>) -> Step {
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
        return Err(Discard::Fragment);
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

/// An extension header that begins with the next header and its own length (RFC 8200, section 4; RFC 6275; RFC 7401).
pub(super) fn extension(frame: &mut Frame<'_>) -> Step {
    let header = Ipv6RawExtHeaderSlice::from_slice(frame.payload).map_err(|_| frame.short())?;
    frame.skip(header.slice().len())?;
    Ok(Next::Protocol(header.next_header()))
}

/// The authentication header, of either version of IP (RFC 4302).
pub(super) fn authentication(frame: &mut Frame<'_>) -> Step {
    let header = IpAuthHeaderSlice::from_slice(frame.payload).map_err(|error| match error {
        err::ip_auth::HeaderSliceError::Len(_) => frame.short(),
        err::ip_auth::HeaderSliceError::Content(_) => Discard::Malformed,
    })?;
    frame.skip(header.slice().len())?;
    Ok(Next::Protocol(header.next_header()))
}

/// The fragment header (RFC 8200, section 4.5); what is a whole packet in spite of it passes (RFC 6946).
pub(super) fn fragment(frame: &mut Frame<'_>) -> Step {
    let header = Ipv6FragmentHeaderSlice::from_slice(frame.payload).map_err(|_| frame.short())?;
    frame.skip(header.slice().len())?;
    if header.is_fragmenting_payload() {
        return Err(Discard::Fragment);
    }
    Ok(Next::Protocol(header.next_header()))
}

/// What the protocol number, or next header, says.
pub(super) fn protocol(frame: &mut Frame<'_>, protocol: IpNumber, ports: &super::Ports) -> Step {
    match protocol {
        ip_number::UDP => super::transport::udp(frame, ports),
        ip_number::TCP => super::transport::tcp(frame, ports),
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
        ip_number::IPV6_FRAG if frame.src.is_ipv6() => fragment(frame),
        ip_number::AUTH => authentication(frame),
        ip_number::IPV4
        | ip_number::IPV6
        | ip_number::GRE
        | ip_number::ETHER_IP
        | ip_number::LAYER2_TUNNELING_PROTOCOL
        | ip_number::MPLS_IN_IP => Err(Discard::Tunnel),
        _ => Err(Discard::OtherProtocol),
    }
}
