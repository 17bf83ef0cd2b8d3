//! Link types.

use etherparse::Ethernet2HeaderSlice;

use super::layer::{Discard, Next, Step, Walk};
use super::tag::ether_type;
use super::{Frame, Mac, netfilter, ppp, tag, wireless};
use crate::packet::LinkType;

/// Link types (`LINKTYPE_`), <https://www.tcpdump.org/linktypes.html>, and what `DLT_` calls otherwise.
pub(super) mod link_type {
    pub(in super::super) const NULL: i32 = 0;
    pub(in super::super) const ETHERNET: i32 = 1;
    pub(in super::super) const TOKEN_RING: i32 = 6;
    pub(in super::super) const ARCNET_BSD: i32 = 7;
    pub(in super::super) const SLIP: i32 = 8;
    pub(in super::super) const PPP: i32 = 9;
    pub(in super::super) const FDDI: i32 = 10;
    pub(in super::super) const DLT_ATM_RFC1483: i32 = 11;
    pub(in super::super) const DLT_RAW: i32 = 12;
    pub(in super::super) const DLT_RAW_OPENBSD: i32 = 14;
    pub(in super::super) const PPP_HDLC: i32 = 50;
    pub(in super::super) const PPP_ETHER: i32 = 51;
    pub(in super::super) const ATM_RFC1483: i32 = 100;
    pub(in super::super) const RAW: i32 = 101;
    pub(in super::super) const C_HDLC: i32 = 104;
    pub(in super::super) const IEEE802_11: i32 = 105;
    pub(in super::super) const FRAME_RELAY: i32 = 107;
    pub(in super::super) const LOOP: i32 = 108;
    pub(in super::super) const ENC: i32 = 109;
    pub(in super::super) const LINUX_SLL: i32 = 113;
    pub(in super::super) const PFLOG: i32 = 117;
    pub(in super::super) const IEEE802_11_PRISM: i32 = 119;
    pub(in super::super) const IP_OVER_FC: i32 = 122;
    pub(in super::super) const IEEE802_11_RADIOTAP: i32 = 127;
    pub(in super::super) const ARCNET_LINUX: i32 = 129;
    pub(in super::super) const APPLE_IP_OVER_IEEE1394: i32 = 138;
    pub(in super::super) const IEEE802_11_AVS: i32 = 163;
    pub(in super::super) const PPP_PPPD: i32 = 166;
    pub(in super::super) const PPI: i32 = 192;
    pub(in super::super) const PPP_WITH_DIR: i32 = 204;
    pub(in super::super) const MPLS: i32 = 219;
    pub(in super::super) const IPV4: i32 = 228;
    pub(in super::super) const IPV6: i32 = 229;
    pub(in super::super) const NFLOG: i32 = 239;
    pub(in super::super) const NETANALYZER: i32 = 240;
    pub(in super::super) const IPOIB: i32 = 242;
    pub(in super::super) const NETLINK: i32 = 253;
    pub(in super::super) const PKTAP: i32 = 258;
    pub(in super::super) const LINUX_SLL2: i32 = 276;

    /// All of the above: the link types that are followed.
    pub(in super::super) const FOLLOWED: [i32; 39] = [
        NULL,
        ETHERNET,
        TOKEN_RING,
        ARCNET_BSD,
        SLIP,
        PPP,
        FDDI,
        DLT_ATM_RFC1483,
        DLT_RAW,
        DLT_RAW_OPENBSD,
        PPP_HDLC,
        PPP_ETHER,
        ATM_RFC1483,
        RAW,
        C_HDLC,
        IEEE802_11,
        FRAME_RELAY,
        LOOP,
        ENC,
        LINUX_SLL,
        PFLOG,
        IEEE802_11_PRISM,
        IP_OVER_FC,
        IEEE802_11_RADIOTAP,
        ARCNET_LINUX,
        APPLE_IP_OVER_IEEE1394,
        IEEE802_11_AVS,
        PPP_PPPD,
        PPI,
        PPP_WITH_DIR,
        MPLS,
        IPV4,
        IPV6,
        NFLOG,
        NETANALYZER,
        IPOIB,
        NETLINK,
        PKTAP,
        LINUX_SLL2,
    ];
}

/// Takes the header of a link type off.
pub(super) fn open(frame: &mut Frame<'_>, walk: &mut Walk<'_>, link: LinkType) -> Step {
    match link.0 {
        link_type::ETHERNET => Ok(Next::Ethernet),
        link_type::LINUX_SLL | link_type::NETLINK => linux_cooked(frame, walk),
        link_type::LINUX_SLL2 => linux_cooked_2(frame, walk),
        link_type::NULL | link_type::LOOP => family(frame),
        // The number says a version, but captures exist that hold the other one.
        link_type::DLT_RAW
        | link_type::DLT_RAW_OPENBSD
        | link_type::RAW
        | link_type::IPV4
        | link_type::IPV6 => Ok(Next::Ip),
        link_type::PPP | link_type::PPP_HDLC => ppp::link(frame),
        link_type::PPP_ETHER => ppp::pppoe_link(frame),
        link_type::PPP_WITH_DIR | link_type::PPP_PPPD => ppp::link_with_direction(frame),
        link_type::C_HDLC => ppp::cisco_hdlc(frame),
        link_type::FRAME_RELAY => frame_relay(frame),
        link_type::IEEE802_11 => Ok(Next::Wireless),
        link_type::IEEE802_11_RADIOTAP => wireless::radiotap(frame, walk),
        link_type::IEEE802_11_PRISM | link_type::IEEE802_11_AVS => {
            wireless::prism_or_avs(frame, walk)
        }
        link_type::PPI => ppi(frame),
        link_type::PKTAP => pktap(frame),
        link_type::NFLOG => netfilter::nflog(frame),
        link_type::FDDI => fddi(frame),
        link_type::TOKEN_RING => token_ring(frame),
        link_type::ARCNET_BSD => arcnet(frame, 2),
        link_type::ARCNET_LINUX => arcnet(frame, 4),
        link_type::MPLS => Ok(Next::Mpls),
        link_type::ATM_RFC1483 | link_type::DLT_ATM_RFC1483 => Ok(Next::Llc),
        link_type::SLIP => behind(frame, 16, Next::Ip),
        link_type::ENC => enc(frame),
        link_type::PFLOG => pflog(frame),
        // Destination and source of eight bytes each.
        link_type::IP_OVER_FC => behind(frame, 16, Next::Llc),
        link_type::APPLE_IP_OVER_IEEE1394 => {
            frame.skip(16)?;
            Ok(Next::EtherType(frame.take_u16()?))
        }
        link_type::NETANALYZER => behind(frame, 4, Next::Ethernet),
        link_type::IPOIB => {
            // The global routing header; the EtherType; two bytes reserved.
            frame.skip(40)?;
            let value = frame.take_u16()?;
            behind(frame, 2, Next::EtherType(value))
        }
        _ => Err(Discard::UnsupportedLink),
    }
}

/// What follows a header in which nothing is of interest.
fn behind(frame: &mut Frame<'_>, length: usize, next: Next) -> Step {
    frame.skip(length)?;
    Ok(next)
}

/// Ethernet II or 802.3.
pub(super) fn ethernet(frame: &mut Frame<'_>) -> Step {
    let header = Ethernet2HeaderSlice::from_slice(frame.payload).map_err(|_| frame.short())?;
    frame.skip(header.slice().len())?;
    frame.layers.macs = Some((Mac(header.source()), Mac(header.destination())));
    Ok(Next::EtherType(header.ether_type().0))
}

/// Linux cooked capture, version 1; netlink's own link type has the same header.
fn linux_cooked(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    // Packet type, ARPHRD_ type, address length, address, protocol.
    let [_, _, hardware @ .., _, _, _, _, _, _, _, _, _, _, high, low]: [u8; 16] = frame.take()?;
    cooked(
        frame,
        walk,
        u16::from_be_bytes(hardware),
        u16::from_be_bytes([high, low]),
    )
}

/// Linux cooked capture, version 2.
fn linux_cooked_2(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    // Protocol, reserved, interface, ARPHRD_ type, packet type, address length, address.
    let [high, low, _, _, _, _, _, _, hardware @ ..]: [u8; 10] = frame.take()?;
    frame.skip(10)?;
    cooked(
        frame,
        walk,
        u16::from_be_bytes(hardware),
        u16::from_be_bytes([high, low]),
    )
}

/// What the protocol of a cooked header says: an EtherType, one of Linux's own small numbers, or a netlink family.
fn cooked(frame: &mut Frame<'_>, walk: &mut Walk<'_>, hardware: u16, protocol: u16) -> Step {
    const ARPHRD_NETLINK: u16 = 824;
    const ETH_P_802_2: u16 = 4;
    match protocol {
        ether_type::FIRST.. => Ok(Next::EtherType(protocol)),
        family if hardware == ARPHRD_NETLINK => netfilter::netlink(frame, walk, family),
        ETH_P_802_2 => tag::llc(frame),
        _ => Err(Discard::NotIp),
    }
}

/// BSD loopback: the protocol family, in the byte order of the host that captured (NULL) or of the network (LOOP). Some
/// software writes an EtherType into the second half instead.
fn family(frame: &mut Frame<'_>) -> Step {
    let bytes = frame.take()?;
    let [_, _, high, low] = bytes;
    // A family is a small number: whatever fits into sixteen bits was read in the right order.
    let family = match u32::from_le_bytes(bytes) {
        family if family > 0xffff => u32::from_be_bytes(bytes),
        family => family,
    };
    family_number(family).or_else(|why| match u16::from_be_bytes([high, low]) {
        ether_type::IPV4 => Ok(Next::Ipv4),
        ether_type::IPV6 => Ok(Next::Ipv6),
        _ => Err(why),
    })
}

/// What a protocol family's number says.
const fn family_number(family: u32) -> Step {
    match family {
        2 => Ok(Next::Ipv4),
        // Linux, Windows, NetBSD and OpenBSD, FreeBSD, macOS.
        10 | 23 | 24 | 28 | 30 => Ok(Next::Ipv6),
        _ => Err(Discard::NotIp),
    }
}

/// BSD's `enc` interface: IPsec's packets before or after encryption. Family, index, flags.
fn enc(frame: &mut Frame<'_>) -> Step {
    let next = family(frame)?;
    behind(frame, 8, next)
}

/// BSD's packet filter log: a header that says its length and the family first.
fn pflog(frame: &mut Frame<'_>) -> Step {
    let [length, family] = frame.peek()?;
    frame.skip(usize::from(length).next_multiple_of(4))?;
    family_number(u32::from(family))
}

/// Per-packet information: version, flags, length, then the link type of what follows; little-endian.
fn ppi(frame: &mut Frame<'_>) -> Step {
    let [version, _, length_low, length_high, link @ ..]: [u8; 8] = frame.peek()?;
    let length = usize::from(u16::from_le_bytes([length_low, length_high]));
    if version != 0 || length < 8 {
        return Err(Discard::Malformed);
    }
    behind(
        frame,
        length,
        Next::Link(LinkType(i32::from_le_bytes(link))),
    )
}

/// macOS' header with the process of a packet: length, type of record, link type of what follows; little-endian.
fn pktap(frame: &mut Frame<'_>) -> Step {
    const PACKET: u32 = 1;
    let [a, b, c, d, e, f, g, h, link @ ..]: [u8; 12] = frame.peek()?;
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if length < 12 {
        return Err(Discard::Malformed);
    }
    if u32::from_le_bytes([e, f, g, h]) != PACKET {
        return Err(Discard::NotIp);
    }
    behind(
        frame,
        length,
        Next::Link(LinkType(i32::from_le_bytes(link))),
    )
}

/// FDDI (RFC 1390): frame control, destination, source, LLC.
fn fddi(frame: &mut Frame<'_>) -> Step {
    const ASYNCHRONOUS_LLC: u8 = 0x50;
    let [control] = frame.take()?;
    let (dst, src) = (Mac(frame.take()?), Mac(frame.take()?));
    if control & 0xf0 != ASYNCHRONOUS_LLC {
        return Err(Discard::NotIp);
    }
    frame.layers.macs = Some((src, dst));
    Ok(Next::Llc)
}

/// Token ring (802.5): access control, frame control, destination, source, a route where the source's first bit says so, LLC.
fn token_ring(frame: &mut Frame<'_>) -> Step {
    const LLC_FRAME: u8 = 0x40;
    const ROUTED: u8 = 0x80;
    let [_access, control] = frame.take()?;
    let (dst, Mac([first, rest @ ..])) = (Mac(frame.take()?), Mac(frame.take()?));
    if control & 0xc0 != LLC_FRAME {
        return Err(Discard::NotIp);
    }
    if first & ROUTED != 0 {
        let [route] = frame.peek()?;
        frame.skip(usize::from(route & 0x1f).max(2))?;
    }
    let [b, c, d, e, f] = rest;
    frame.layers.macs = Some((Mac([first & !ROUTED, b, c, d, e, f]), dst));
    Ok(Next::Llc)
}

/// `ARCnet` (RFC 1201, and the older RFC 1051): source and destination, on Linux an offset, then the type.
fn arcnet(frame: &mut Frame<'_>, before_type: usize) -> Step {
    const IP_OLD: u8 = 240;
    const IP: u8 = 212;
    const IPV6: u8 = 196;
    frame.skip(before_type)?;
    let next = match frame.take()? {
        [IP_OLD] => return Ok(Next::Ipv4),
        [IP] => Next::Ipv4,
        [IPV6] => Next::Ipv6,
        _ => return Err(Discard::NotIp),
    };
    match frame.take()? {
        // Split flag and sequence number.
        [0, _, _] => Ok(next),
        // An exception packet: padding, then flag and sequence number again.
        [0xff, _, _] => behind(frame, 3, next),
        _ => Err(Discard::Fragment),
    }
}

/// Frame relay (RFC 2427): an address of two to four bytes, control, padding, protocol.
fn frame_relay(frame: &mut Frame<'_>) -> Step {
    const LAST: u8 = 0x01;
    const UNNUMBERED: u8 = 0x03;
    const PADDING: u8 = 0x00;
    const IPV4: u8 = 0xcc;
    const IPV6: u8 = 0x8e;
    const SNAP: u8 = 0x80;
    let mut length = 0;
    loop {
        let [byte] = frame.take()?;
        length += 1;
        match byte & LAST {
            LAST if length >= 2 => break,
            0 if length < 4 => {}
            _ => return Err(Discard::Malformed),
        }
    }
    if frame.take()? != [UNNUMBERED] {
        return Err(Discard::NotIp);
    }
    if frame.peek()? == [PADDING] {
        frame.skip(1)?;
    }
    match frame.take()? {
        [IPV4] => Ok(Next::Ipv4),
        [IPV6] => Ok(Next::Ipv6),
        [SNAP] => match frame.take()? {
            [0, 0, 0, high, low] => Ok(Next::EtherType(u16::from_be_bytes([high, low]))),
            // Bridged Ethernet without its check sequence (RFC 2427, section 4.2).
            [0, 0x80, 0xc2, 0, 7] => Ok(Next::Ethernet),
            _ => Err(Discard::NotIp),
        },
        _ => Err(Discard::NotIp),
    }
}
