//! UDP and TCP.

use etherparse::{TcpHeaderSlice, UdpHeaderSlice, err, ip_number};

use super::fragment::{Piece, Worth};
use super::layer::{Discard, Next, Step, Walk};
use super::{Frame, Ports, Tcp};
use crate::encrypted::{Ends, TcpStart};

/// UDP (RFC 768). Checksums are not looked at: a capture on the sender is made before the network card fills them in.
pub(super) fn udp(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    let next = match read_ports(frame)? {
        ports if ports.into_iter().any(|port| walk.ports.contains(port)) => Next::Done,
        ports if walk.ports.carry_tunnel(ports) => Next::UdpTunnel,
        _ => return Err(other_port(frame, walk, false)),
    };
    let header = UdpHeaderSlice::from_slice(frame.payload).map_err(|_| frame.short())?;
    // No length is that of a jumbogram (RFC 2675, section 4) or of a packet yet to be cut by the network card.
    match usize::from(header.length()) {
        0 => {}
        length if length < header.slice().len() => return Err(Discard::Malformed),
        length => frame.limit_within(length),
    }
    frame.skip(header.slice().len())?;
    Ok(next)
}

/// TCP (RFC 9293, section 3.1).
pub(super) fn tcp(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    if !read_ports(frame)?
        .into_iter()
        .any(|port| walk.ports.contains(port))
    {
        return Err(other_port(frame, walk, true));
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

/// Lays aside between whom a packet on other ports goes, where it may be encrypted DNS.
fn other_port(frame: &Frame<'_>, walk: &mut Walk<'_>, is_tcp: bool) -> Discard {
    let (src, dst) = ((frame.src, frame.src_port), (frame.dst, frame.dst_port));
    if walk.ports.may_be_encrypted([src, dst]) {
        let _full = walk.aside.try_push(Ends {
            src: src.0,
            dst: dst.0,
            src_port: src.1,
            dst_port: dst.1,
            tcp: is_tcp.then(|| tcp_start(frame)),
        });
    }
    Discard::OtherPort
}

/// What a TCP header says of its connection; without any flag where the capture cut it.
fn tcp_start(frame: &Frame<'_>) -> TcpStart {
    TcpHeaderSlice::from_slice(frame.payload).map_or_else(
        |_| TcpStart::default(),
        |header| TcpStart {
            sequence: header.sequence_number(),
            syn: header.syn(),
            ack: header.ack(),
            rst: header.rst(),
            fin: header.fin(),
        },
    )
}

/// Reads the ports, source first, which stand at the same place in both.
fn read_ports(frame: &mut Frame<'_>) -> Result<[u16; 2], Discard> {
    let [src_high, src_low, dst_high, dst_low] = frame.peek()?;
    frame.src_port = u16::from_be_bytes([src_high, src_low]);
    frame.dst_port = u16::from_be_bytes([dst_high, dst_low]);
    Ok([frame.src_port, frame.dst_port])
}

/// What a fragment says by its ports about the packet that was split.
pub(super) fn worth(frame: &Frame<'_>, piece: Piece, ports: &Ports) -> Worth {
    let is_first = piece.offset == 0 && [ip_number::UDP, ip_number::TCP].contains(&piece.protocol);
    let Ok([a, b, c, d]) = frame.peek() else {
        return Worth::Unknown;
    };
    let pair = [[a, b], [c, d]].map(u16::from_be_bytes);
    match is_first {
        true if pair.into_iter().any(|port| ports.contains(port)) => Worth::Dns,
        true if !ports.carry_tunnel(pair) => Worth::Nothing,
        _ => Worth::Unknown,
    }
}
