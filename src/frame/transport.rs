//! UDP and TCP.

use etherparse::{TcpHeaderSlice, UdpHeaderSlice, err};

use super::layer::{Discard, Next, Step};
use super::{Frame, Ports, Tcp};

/// UDP (RFC 768). Checksums are not looked at: the capture may be older than the network card's sum.
pub(super) fn udp(frame: &mut Frame<'_>, ports: &Ports) -> Step {
    if !read_ports(frame, ports)? {
        return Err(if ports.look_into(frame.src_port, frame.dst_port) {
            Discard::Tunnel
        } else {
            Discard::OtherPort
        });
    }
    let header = UdpHeaderSlice::from_slice(frame.payload).map_err(|_| frame.short())?;
    // No length is that of a jumbogram (RFC 2675, section 4) or of a packet yet to be cut by the network card.
    match usize::from(header.length()) {
        0 => {}
        length if length < header.slice().len() => return Err(Discard::Malformed),
        length => frame.limit_within(length),
    }
    frame.skip(header.slice().len())?;
    frame.tcp = None;
    Ok(Next::Done)
}

/// TCP (RFC 9293, section 3.1).
pub(super) fn tcp(frame: &mut Frame<'_>, ports: &Ports) -> Step {
    if !read_ports(frame, ports)? {
        return Err(Discard::OtherPort);
    }
    let header = TcpHeaderSlice::from_slice(frame.payload).map_err(|error| match error {
        err::tcp::HeaderSliceError::Len(_) => frame.short(),
        err::tcp::HeaderSliceError::Content(_) => Discard::Malformed,
    })?;
    frame.skip(header.slice().len())?;
    frame.tcp = Some(Tcp {
        sequence: header.sequence_number(),
        syn: header.syn(),
        fin: header.fin(),
        rst: header.rst(),
    });
    Ok(Next::Done)
}

/// Reads the ports, which stand at the same place in both; whether one of them is a DNS port.
fn read_ports(frame: &mut Frame<'_>, ports: &Ports) -> Result<bool, Discard> {
    let [src_high, src_low, dst_high, dst_low] = frame.peek()?;
    frame.src_port = u16::from_be_bytes([src_high, src_low]);
    frame.dst_port = u16::from_be_bytes([dst_high, dst_low]);
    Ok(ports.contains(frame.src_port) || ports.contains(frame.dst_port))
}
