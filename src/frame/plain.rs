//! The packets that nearly all DNS comes in, taken apart in one go: Ethernet with at most one VLAN tag, IP without options,
//! UDP, whole. What [`super::Decoder`] does layer by layer gives the same; a test says so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Frame, Mac, Ports};
use crate::packet::{LinkType, Packet};

const ETHERNET: LinkType = LinkType(1);
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;

/// The frame of a plain packet with a DNS port; `None` for every other packet.
pub(super) fn frame<'a>(packet: &Packet<'a>, ports: &Ports) -> Option<Frame<'a>> {
    if packet.link != ETHERNET {
        return None;
    }
    let (ethernet, rest) = packet.bytes.split_first_chunk::<14>()?;
    let &[a, b, c, d, e, f, g, h, i, j, k, l, type_high, type_low] = ethernet;
    let mut frame = Frame::around(packet);
    frame.layers.macs = Some((Mac([g, h, i, j, k, l]), Mac([a, b, c, d, e, f])));
    let (ethertype, rest) = match u16::from_be_bytes([type_high, type_low]) {
        0x8100 => {
            let (&[tag_high, tag_low, high, low], rest) = rest.split_first_chunk::<4>()?;
            match u16::from_be_bytes([tag_high, tag_low]) & 0x0FFF {
                0 => {}
                id => frame.layers.vlan.push(id),
            }
            (u16::from_be_bytes([high, low]), rest)
        }
        ethertype => (ethertype, rest),
    };
    let datagram = match ethertype {
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
            let &[source_a, source_b, source_c, source_d] = source.first_chunk()?;
            // Neither more fragments nor an offset.
            if flags & 0x3F != 0 || offset != 0 {
                return None;
            }
            frame.src = IpAddr::V4(Ipv4Addr::new(source_a, source_b, source_c, source_d));
            frame.dst = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
            frame.ip_id = Some(u16::from_be_bytes([id_high, id_low]));
            let total = usize::from(u16::from_be_bytes([len_high, len_low]));
            rest.get(20..total)?
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
            let (source, destination) = addresses.split_first_chunk::<16>()?;
            frame.src = IpAddr::V6(Ipv6Addr::from(*source));
            frame.dst = IpAddr::V6(Ipv6Addr::from(*destination.first_chunk::<16>()?));
            after.get(..usize::from(u16::from_be_bytes([len_high, len_low])))?
        }
        _ => return None,
    };
    let (&[a, b, c, d, len_high, len_low, _, _], payload) =
        datagram.split_first_chunk::<UDP_HEADER>()?;
    frame.src_port = u16::from_be_bytes([a, b]);
    frame.dst_port = u16::from_be_bytes([c, d]);
    let whole = usize::from(u16::from_be_bytes([len_high, len_low])) == datagram.len();
    if !whole || !(ports.contains(frame.src_port) || ports.contains(frame.dst_port)) {
        return None;
    }
    frame.payload = payload;
    frame.cut = 0;
    Some(frame)
}
