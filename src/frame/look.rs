//! The look at the ports before a packet is copied.

use super::link::link_type;
use super::tag::ether_type;
use super::{Decoder, Transport};
use crate::encrypted::{HTTPS_PORT, KnownResolvers};
use crate::packet::{LinkType, Look};

/// Says of plain packets on other ports that they hold no DNS; of everything that is not plain it says nothing.
///
/// Plain is UDP or TCP straight in unfragmented IPv4, or in IPv6 without extension headers, behind any of the common
/// link layers and VLAN tags. What it refuses, [`Decoder::decode`] would count as of another port, and not lay aside.
impl Look for Decoder {
    #[inline]
    fn may_hold_dns(&self, link: LinkType, bytes: &[u8]) -> bool {
        self.may_hold(link, bytes).unwrap_or(true)
    }
}

impl Decoder {
    /// `None` where the packet is not plain.
    #[inline]
    fn may_hold(&self, link: LinkType, bytes: &[u8]) -> Option<bool> {
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
                ether_type::IPV4 => return self.ipv4(bytes),
                ether_type::IPV6 => return self.ipv6(bytes),
                ether_type::VLAN | ether_type::PROVIDER_VLAN => {
                    (value, bytes) = (word(bytes, 2)?, bytes.get(4..)?)
                }
                _ => return None,
            }
        }
    }

    #[inline]
    fn ipv4(&self, bytes: &[u8]) -> Option<bool> {
        // More fragments, and the offset.
        const FRAGMENT: u16 = 0x3fff;
        let &[
            first,
            _,
            len_high,
            len_low,
            _,
            _,
            flags,
            offset,
            _,
            protocol,
            _,
            _,
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
        ] = bytes.first_chunk::<20>()?;
        let header_length = usize::from(first & 15) * 4;
        let total_length = usize::from(u16::from_be_bytes([len_high, len_low]));
        let is_plain = first >> 4 == 4
            && header_length >= 20
            && (total_length == 0 || total_length >= header_length + 4)
            && u16::from_be_bytes([flags, offset]) & FRAGMENT == 0;
        let transport = transport(protocol)?;
        if !is_plain {
            return None;
        }
        let segment = bytes.get(header_length..)?;
        let addresses = [[a, b, c, d], [e, f, g, h]];
        self.may_hold_between(transport, segment, addresses, KnownResolvers::may_hold_ipv4)
    }

    #[inline]
    fn ipv6(&self, bytes: &[u8]) -> Option<bool> {
        let (header, rest) = bytes.split_first_chunk::<8>()?;
        let &[first, _, _, _, len_high, len_low, protocol, _] = header;
        let length = u16::from_be_bytes([len_high, len_low]);
        if first >> 4 != 6 || (1..4).contains(&length) {
            return None;
        }
        let transport = transport(protocol)?;
        let (src_address, rest) = rest.split_first_chunk::<16>()?;
        let (dst_address, segment) = rest.split_first_chunk::<16>()?;
        let addresses = [*src_address, *dst_address];
        self.may_hold_between(transport, segment, addresses, KnownResolvers::may_hold_ipv6)
    }

    /// The same of a segment between two addresses: by its ports, by who answers there, and by its shape where that counts.
    #[inline]
    fn may_hold_between<A>(
        &self,
        transport: Transport,
        segment: &[u8],
        [src_address, dst_address]: [A; 2],
        may_be_known: impl Fn(&KnownResolvers, A) -> bool,
    ) -> Option<bool> {
        let [a, b, c, d] = *segment.first_chunk()?;
        let [src, dst] = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
        let known = &self.ports.known;
        Some(
            self.ports.look_into([src, dst])
                || dst == HTTPS_PORT && may_be_known(known, dst_address)
                || src == HTTPS_PORT && may_be_known(known, src_address)
                || self
                    .anywhere
                    .as_ref()
                    .is_some_and(|anywhere| anywhere.may_take(transport, [src, dst], segment)),
        )
    }
}

const fn transport(protocol: u8) -> Option<Transport> {
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    match protocol {
        TCP => Some(Transport::Tcp),
        UDP => Some(Transport::Udp),
        _ => None,
    }
}

#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u16::from_be_bytes)
}
