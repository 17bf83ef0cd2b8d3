//! The packets that nearly all DNS comes in, taken apart in one go: Ethernet with at most one VLAN tag, IP without options,
//! UDP, whole. What [`super::Decoder`] does layer by layer gives the same; a test says so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Around, Ports};
use crate::packet::{LinkType, Packet};

const ETHERNET: LinkType = LinkType(1);
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;

/// A plain packet: what a [`Frame`](super::Frame) holds that another may not have, without the rest.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    /// Source and destination address.
    pub addresses: Addresses,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// The IPv4 identification; `None` for IPv6.
    pub ip_id: Option<u16>,
    /// The bytes after the UDP header.
    pub payload: &'a [u8],
    /// What was around it.
    pub around: Around<'a>,
}

/// Source and destination address of one packet: of one version, so that whoever takes many need not look again and again.
#[derive(Clone, Copy, Debug)]
pub enum Addresses {
    /// IPv4.
    V4([Ipv4Addr; 2]),
    /// IPv6.
    V6([Ipv6Addr; 2]),
}

impl Addresses {
    /// The same, of either version.
    #[must_use]
    pub fn either(self) -> [IpAddr; 2] {
        match self {
            Self::V4(addresses) => addresses.map(IpAddr::V4),
            Self::V6(addresses) => addresses.map(IpAddr::V6),
        }
    }
}

/// What a plain packet with a DNS port holds; `None` for every other packet, found out before anything is built.
#[inline(always)]
pub(super) fn read<'a>(packet: &Packet<'a>, ports: &Ports) -> Option<Plain<'a>> {
    if packet.link != ETHERNET {
        return None;
    }
    let (macs, rest) = packet.bytes.split_first_chunk::<12>()?;
    let (&[type_high, type_low], rest) = rest.split_first_chunk::<2>()?;
    let (vlan, ethertype, rest) = match u16::from_be_bytes([type_high, type_low]) {
        0x8100 => {
            let (&[tag_high, tag_low, high, low], rest) = rest.split_first_chunk::<4>()?;
            let vlan = u16::from_be_bytes([tag_high, tag_low]) & 0x0FFF;
            (vlan, u16::from_be_bytes([high, low]), rest)
        }
        ethertype => (0, ethertype, rest),
    };
    let (addresses, ip_id, datagram) = match ethertype {
        0x0800 => {
            let (header, _) = rest.split_first_chunk::<20>()?;
            let &[
                0x45,
                _,
                len_high,
                len_low,
                id_high,
                id_low,
                flags,
                offset,
                _,
                UDP,
                _,
                _,
                source @ ..,
                a,
                b,
                c,
                d,
            ] = header
            else {
                return None;
            };
            // Neither more fragments nor an offset.
            if flags & 0x3F != 0 || offset != 0 {
                return None;
            }
            let total = usize::from(u16::from_be_bytes([len_high, len_low]));
            let datagram = Datagram::read(rest.get(20..total)?, ports)?;
            let source: &[u8; 4] = source.first_chunk()?;
            let addresses = [Ipv4Addr::from(*source), Ipv4Addr::new(a, b, c, d)];
            let id = u16::from_be_bytes([id_high, id_low]);
            (Addresses::V4(addresses), Some(id), datagram)
        }
        0x86DD => {
            let (header, after) = rest.split_first_chunk::<40>()?;
            let (&[version, _, _, _, len_high, len_low, UDP, _], addresses) =
                header.split_first_chunk::<8>()?
            else {
                return None;
            };
            if version >> 4 != 6 {
                return None;
            }
            let length = usize::from(u16::from_be_bytes([len_high, len_low]));
            let datagram = Datagram::read(after.get(..length)?, ports)?;
            let (source, destination) = addresses.split_first_chunk::<16>()?;
            let destination = destination.first_chunk::<16>()?;
            let addresses = [*source, *destination].map(Ipv6Addr::from);
            (Addresses::V6(addresses), None, datagram)
        }
        _ => return None,
    };
    Some(Plain {
        addresses,
        src_port: datagram.src_port,
        dst_port: datagram.dst_port,
        ip_id,
        payload: datagram.payload,
        around: Around::Ethernet { macs, vlan },
    })
}

/// A whole UDP datagram with a DNS port.
struct Datagram<'a> {
    src_port: u16,
    dst_port: u16,
    payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    #[inline(always)]
    fn read(bytes: &'a [u8], ports: &Ports) -> Option<Self> {
        let (&[a, b, c, d, len_high, len_low, _, _], payload) =
            bytes.split_first_chunk::<UDP_HEADER>()?;
        let (src_port, dst_port) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let is_whole = usize::from(u16::from_be_bytes([len_high, len_low])) == bytes.len();
        (is_whole && ports.contain_one_of([src_port, dst_port])).then_some(Self {
            src_port,
            dst_port,
            payload,
        })
    }
}
