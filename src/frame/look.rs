//! The look at the ports before a packet is copied.

use super::Ports;
use super::link::link_type;
use super::tag::ether_type;
use crate::packet::{LinkType, Look};

/// Says of plain packets on other ports that they hold no DNS; of everything that is not plain it says nothing.
///
/// Plain is UDP or TCP straight in unfragmented IPv4, or in IPv6 without extension headers, behind any of the common
/// link layers and VLAN tags. What it refuses, [`super::Decoder::decode`] would count as of another port.
#[derive(Debug)]
pub struct PortLook {
    /// The DNS ports.
    pub ports: Ports,
}

impl Look for PortLook {
    #[inline]
    fn may_hold_dns(&self, link: LinkType, bytes: &[u8]) -> bool {
        plain(link, bytes).is_none_or(|ports| self.ports.look_into(ports))
    }
}

/// The ports of a plain packet.
#[inline]
fn plain(link: LinkType, bytes: &[u8]) -> Option<[u16; 2]> {
    let (mut value, mut bytes) = match link.0 {
        link_type::ETHERNET => (word(bytes, 12)?, bytes.get(14..)?),
        link_type::LINUX_SLL => (word(bytes, 14)?, bytes.get(16..)?),
        link_type::LINUX_SLL2 => (word(bytes, 0)?, bytes.get(20..)?),
        link_type::DLT_RAW | link_type::DLT_RAW_OPENBSD | link_type::RAW => {
            match bytes.first()? >> 4 {
                4 => (ether_type::IPV4, bytes),
                6 => (ether_type::IPV6, bytes),
                _ => return None,
            }
        }
        _ => return None,
    };
    loop {
        match value {
            ether_type::IPV4 => return ipv4(bytes),
            ether_type::IPV6 => return ipv6(bytes),
            ether_type::VLAN | ether_type::PROVIDER_VLAN => {
                (value, bytes) = (word(bytes, 2)?, bytes.get(4..)?)
            }
            _ => return None,
        }
    }
}

fn ipv4(bytes: &[u8]) -> Option<[u16; 2]> {
    // More fragments, and the offset.
    const FRAGMENT: u16 = 0x3fff;
    let &first = bytes.first()?;
    let header_length = usize::from(first & 15) * 4;
    let total_length = usize::from(word(bytes, 2)?);
    let plain = first >> 4 == 4
        && header_length >= 20
        && (total_length == 0 || total_length >= header_length + 4)
        && word(bytes, 6)? & FRAGMENT == 0
        && is_transport(*bytes.get(9)?);
    if plain {
        ports(bytes, header_length)
    } else {
        None
    }
}

fn ipv6(bytes: &[u8]) -> Option<[u16; 2]> {
    let length = word(bytes, 4)?;
    let plain =
        bytes.first()? >> 4 == 6 && (length == 0 || length >= 4) && is_transport(*bytes.get(6)?);
    if plain { ports(bytes, 40) } else { None }
}

const fn is_transport(protocol: u8) -> bool {
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    protocol == TCP || protocol == UDP
}

#[inline]
fn ports(bytes: &[u8], at: usize) -> Option<[u16; 2]> {
    let [a, b, c, d] = *bytes.get(at..)?.first_chunk()?;
    Some([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])])
}

#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u16::from_be_bytes)
}
