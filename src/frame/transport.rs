//! UDP and TCP.

use etherparse::{TcpHeaderSlice, UdpHeaderSlice, err, ip_number};

use super::anywhere::Anywhere;
use super::fragment::{Piece, Worth};
use super::layer::{Discard, Next, Step, Walk};
use super::{Frame, Tcp, Transport};
use crate::encrypted::{Ends, TcpStart};

/// UDP (RFC 768). Checksums are not looked at: a capture on the sender is made before the network card fills them in.
pub(super) fn udp(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    let ports = read_ports(frame)?;
    let next = match () {
        () if walk.ports.contain_one_of(ports) => Next::Done,
        () if walk.ports.carry_tunnel(ports) => Next::UdpTunnel,
        () => return anywhere(frame, walk, false),
    };
    take_udp_header(frame)?;
    // What is beyond doubt DNS is none of the tunnels.
    if matches!(next, Next::UdpTunnel) && is_found(frame, walk) {
        return Ok(Next::Done);
    }
    Ok(next)
}

/// TCP (RFC 9293, section 3.1).
pub(super) fn tcp(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    let ports = read_ports(frame)?;
    if !walk.ports.contain_one_of(ports) {
        return anywhere(frame, walk, true);
    }
    take_tcp_header(frame)?;
    Ok(Next::Done)
}

/// What is on other ports: for us only where DNS is looked for anywhere, and found.
fn anywhere(frame: &mut Frame<'_>, walk: &mut Walk<'_>, is_tcp: bool) -> Step {
    if walk.anywhere.is_some() {
        let (segment, cut) = (frame.payload, frame.cut);
        let taken = if is_tcp {
            take_tcp_header(frame)
        } else {
            take_udp_header(frame)
        };
        if taken.is_ok() && is_found(frame, walk) {
            return Ok(Next::Done);
        }
        (frame.payload, frame.cut, frame.tcp) = (segment, cut, None);
    }
    Err(other_port(frame, walk, is_tcp))
}

fn is_found(frame: &Frame<'_>, walk: &mut Walk<'_>) -> bool {
    walk.anywhere
        .as_mut()
        .is_some_and(|anywhere| anywhere.takes(frame))
}

fn take_udp_header(frame: &mut Frame<'_>) -> Result<(), Discard> {
    let header = UdpHeaderSlice::from_slice(frame.payload).map_err(|_| frame.short())?;
    // No length is that of a jumbogram (RFC 2675, section 4) or of a packet yet to be cut by the network card.
    match usize::from(header.length()) {
        0 => {}
        length if length < header.slice().len() => return Err(Discard::Malformed),
        length => frame.limit_within(length),
    }
    frame.skip(header.slice().len())?;
    Ok(())
}

fn take_tcp_header(frame: &mut Frame<'_>) -> Result<(), Discard> {
    let header = TcpHeaderSlice::from_slice(frame.payload).map_err(|error| match error {
        err::tcp::HeaderSliceError::Len(_) => frame.short(),
        err::tcp::HeaderSliceError::Content(_) => Discard::Malformed,
    })?;
    frame.skip(header.slice().len())?;
    frame.tcp = Some(Tcp::of(&header));
    Ok(())
}

impl Tcp {
    pub(super) fn of(header: &TcpHeaderSlice<'_>) -> Self {
        Self {
            sequence: header.sequence_number(),
            syn: header.syn(),
            fin: header.fin(),
            rst: header.rst(),
        }
    }
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

/// What a fragment says by its ports, and by its shape where that counts, about the packet that was split.
pub(super) fn worth(frame: &Frame<'_>, piece: Piece, walk: &Walk<'_>) -> Worth {
    let transport = match piece.protocol {
        ip_number::UDP => Transport::Udp,
        ip_number::TCP => Transport::Tcp,
        _ => return Worth::Unknown,
    };
    let Ok([a, b, c, d]) = frame.peek() else {
        return Worth::Unknown;
    };
    if piece.offset > 0 {
        return Worth::Unknown;
    }
    let ports = [[a, b], [c, d]].map(u16::from_be_bytes);
    if walk.ports.contain_one_of(ports) {
        return Worth::Dns;
    }
    let anywhere = walk.anywhere.as_ref();
    if anywhere.is_some() && transport == Transport::Udp && Anywhere::begins_datagram(frame.payload)
    {
        return Worth::Dns;
    }
    let may_be_found =
        || anywhere.is_some_and(|anywhere| anywhere.may_take(transport, ports, frame.payload));
    if walk.ports.carry_tunnel(ports) || may_be_found() {
        Worth::Unknown
    } else {
        Worth::Nothing
    }
}
