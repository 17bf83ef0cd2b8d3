//! The packets that nearly all DNS comes in, taken apart in one go: Ethernet with at most one VLAN tag, IP without options,
//! UDP or TCP, whole. What [`super::Decoder`] does layer by layer gives the same; a test says so.

use std::net::IpAddr;

use etherparse::TcpHeaderSlice;

use super::{Around, Frame, Layers, Ports, Tcp};
use crate::packet::{LinkType, Packet};

const ETHERNET: LinkType = LinkType(1);
const UDP: u32 = 17;
const UDP_HEADER: usize = 8;
const TCP: u8 = 6;
/// What is shorter has not even a DNS header, and is looked at in the other way.
const LEAST: u32 = 8 + 12;

/// A plain packet: what a [`Frame`] holds that another may not have, without the rest. The addresses stay
/// where they are, for whoever needs them the other way round.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    /// Source and destination address.
    pub addresses: Addresses<'a>,
    /// Source and destination port.
    pub ports: [u16; 2],
    /// The IPv4 identification; `None` for IPv6.
    pub ip_id: Option<u16>,
    /// The bytes after the UDP header.
    pub payload: &'a [u8],
    /// What was around it.
    pub around: Around<'a>,
}

/// Source and destination address of one packet: of one version, so that whoever takes many need not look again and again.
#[derive(Clone, Copy, Debug)]
pub enum Addresses<'a> {
    /// IPv4.
    V4(&'a [[u8; 4]; 2]),
    /// IPv6.
    V6(&'a [[u8; 16]; 2]),
}

impl Addresses<'_> {
    /// The same, of either version.
    #[must_use]
    pub fn either(self) -> [IpAddr; 2] {
        match self {
            Self::V4(addresses) => addresses.map(IpAddr::from),
            Self::V6(addresses) => addresses.map(IpAddr::from),
        }
    }
}

/// What a plain packet with a DNS port holds; `None` for every other packet, found out before anything is built.
#[inline(always)]
pub(super) fn read<'a>(packet: &Packet<'a>, ports: &Ports) -> Option<Plain<'a>> {
    if packet.link != ETHERNET {
        return None;
    }
    // There is none in fewer bytes.
    let (front, _) = packet.bytes.split_first_chunk::<{ 12 + 30 }>()?;
    let (macs, rest) = front.split_first_chunk::<12>()?;
    let (vlan, start) = match rest.first_chunk()? {
        &[0x81, 0x00, high, low] => (u16::from_be_bytes([high, low]) & 0x0FFF, 16),
        _ => (0, 12),
    };
    let rest = packet.bytes.get(start..)?;
    let &[a, b, c, d, length_high, length_low, last_high, last_low] = rest.first_chunk()?;
    let first = u32::from_be_bytes([a, b, c, d]);
    // What both have there is the length of what follows, or the IPv4 identification.
    let last = u16::from_be_bytes([last_high, last_low]);
    let (addresses, ip_id, datagram) = if first & 0xFFFF_FF00 == 0x0800_4500 {
        let (header, after) = rest.split_first_chunk::<30>()?;
        // Neither more fragments nor an offset.
        if u32::from_be_bytes(*part::<8, 4>(header)?) & 0x3FFF_00FF != UDP {
            return None;
        }
        let length = u32::from(u16::from_be_bytes([length_high, length_low]));
        let datagram = Datagram::read(part::<22, 8>(header)?, (length, 20), after, ports)?;
        let (addresses, _) = part::<14, 8>(header)?.as_chunks();
        (
            Addresses::V4(addresses.first_chunk()?),
            Some(last),
            datagram,
        )
    } else if first & 0xFFFF_F000 == 0x86DD_6000 {
        let (header, after) = rest.split_first_chunk::<50>()?;
        if u32::from(*header.get(8)?) != UDP {
            return None;
        }
        let length = u32::from(last);
        let datagram = Datagram::read(part::<42, 8>(header)?, (length, 0), after, ports)?;
        let (addresses, _) = part::<10, 32>(header)?.as_chunks();
        (Addresses::V6(addresses.first_chunk()?), None, datagram)
    } else {
        return None;
    };
    Some(Plain {
        addresses,
        ports: datagram.ports,
        ip_id,
        payload: datagram.payload,
        around: Around::Ethernet { macs, vlan },
    })
}

/// The segment with a DNS port that a plain packet with TCP in the place of UDP holds; `None` for every other packet.
pub(super) fn segment<'a>(packet: &Packet<'a>, ports: &Ports) -> Option<Frame<'a>> {
    if packet.link != ETHERNET {
        return None;
    }
    let (macs, rest) = packet.bytes.split_first_chunk::<12>()?;
    let (vlan, rest) = match rest.split_first_chunk()? {
        (&[0x81, 0x00, high, low], rest) => (u16::from_be_bytes([high, low]) & 0x0FFF, rest),
        _ => (0, rest),
    };
    let (addresses, ip_id, segment) = match rest.split_first_chunk()? {
        ([0x08, 0x00], rest) => {
            let (header, after) = rest.split_first_chunk::<20>()?;
            let &[
                0x45,
                _,
                length_high,
                length_low,
                id_high,
                id_low,
                offset_high,
                offset_low,
                _,
                TCP,
                ..,
            ] = header
            else {
                return None;
            };
            // Neither more fragments nor an offset.
            if u16::from_be_bytes([offset_high, offset_low]) & 0x3FFF != 0 {
                return None;
            }
            let length = u16::from_be_bytes([length_high, length_low]).checked_sub(20)?;
            let (addresses, _) = part::<12, 8>(header)?.as_chunks();
            let ip_id = u16::from_be_bytes([id_high, id_low]);
            let segment = after.get(..usize::from(length))?;
            (
                Addresses::V4(addresses.first_chunk()?),
                Some(ip_id),
                segment,
            )
        }
        ([0x86, 0xDD], rest) => {
            let (header, after) = rest.split_first_chunk::<40>()?;
            let &[0x60..=0x6F, _, _, _, length_high, length_low, TCP, ..] = header else {
                return None;
            };
            let (addresses, _) = part::<8, 32>(header)?.as_chunks();
            let length = u16::from_be_bytes([length_high, length_low]);
            let segment = after.get(..usize::from(length))?;
            (Addresses::V6(addresses.first_chunk()?), None, segment)
        }
        _ => return None,
    };
    let header = TcpHeaderSlice::from_slice(segment).ok()?;
    let (src_port, dst_port) = (header.source_port(), header.destination_port());
    if !ports.contain_one_of([src_port, dst_port]) {
        return None;
    }
    let [src, dst] = addresses.either();
    let mut layers = Layers::default();
    Around::Ethernet { macs, vlan }.write_to(&mut layers);
    Some(Frame {
        src,
        dst,
        src_port,
        dst_port,
        ip_id,
        tcp: Some(Tcp::of(&header)),
        payload: segment.get(header.slice().len()..)?,
        cut: 0,
        layers,
        brought: None,
    })
}

/// The `N` bytes at a place that was found to be there.
#[inline(always)]
fn part<const AT: usize, const N: usize>(header: &[u8]) -> Option<&[u8; N]> {
    header.get(AT..)?.first_chunk()
}

/// A whole UDP datagram with a DNS port.
struct Datagram<'a> {
    ports: [u16; 2],
    payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads what has so many bytes, as IP says, with so many of IP's own.
    #[inline(always)]
    fn read(
        header: &'a [u8; UDP_HEADER],
        (length, of_ip): (u32, u32),
        after: &'a [u8],
        ports: &Ports,
    ) -> Option<Self> {
        let &[src_high, src_low, dst_high, dst_low, high, low, _, _] = header;
        let both = u32::from_be_bytes([src_high, src_low, dst_high, dst_low]);
        let stated = u32::from(u16::from_be_bytes([high, low]));
        let is_whole = stated + of_ip == length && stated >= LEAST;
        let own = [(both >> 16) as u16, both as u16];
        if !is_whole || !ports.contain_one_of(own) {
            return None;
        }
        Some(Self {
            ports: own,
            payload: after.get(..stated as usize - UDP_HEADER)?,
        })
    }
}
