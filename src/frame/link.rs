//! Link types, Ethernet and the tags behind it.

use etherparse::{Ethernet2HeaderSlice, SingleVlanHeaderSlice};

use super::layer::{Discard, Next, Step};
use super::{Frame, Mac};
use crate::packet::LinkType;

/// Link types (`LINKTYPE_`/`DLT_`), <https://www.tcpdump.org/linktypes.html>.
pub(super) mod link_type {
    pub(in super::super) const NULL: i32 = 0;
    pub(in super::super) const ETHERNET: i32 = 1;
    /// `DLT_RAW` on most systems.
    pub(in super::super) const DLT_RAW: i32 = 12;
    /// `DLT_RAW` on OpenBSD.
    pub(in super::super) const DLT_RAW_OPENBSD: i32 = 14;
    pub(in super::super) const RAW: i32 = 101;
    pub(in super::super) const LOOP: i32 = 108;
    pub(in super::super) const LINUX_SLL: i32 = 113;
    pub(in super::super) const IPV4: i32 = 228;
    pub(in super::super) const IPV6: i32 = 229;
    pub(in super::super) const LINUX_SLL2: i32 = 276;
}

/// EtherTypes (IEEE 802 numbers, <https://www.iana.org/assignments/ieee-802-numbers>).
pub(super) mod ether_type {
    /// Below this an EtherType is the length of an 802.3 frame.
    pub(in super::super) const FIRST: u16 = 0x0600;
    pub(in super::super) const IPV4: u16 = 0x0800;
    pub(in super::super) const IPV6: u16 = 0x86dd;
    /// 802.1Q.
    pub(in super::super) const VLAN: u16 = 0x8100;
    /// 802.1ad.
    pub(in super::super) const PROVIDER_VLAN: u16 = 0x88a8;
    /// What vendors used for the outer tag before 802.1ad.
    pub(in super::super) const OLD_VLAN: [u16; 3] = [0x9100, 0x9200, 0x9300];
    /// LLC in a frame longer than an 802.3 length can say.
    pub(in super::super) const JUMBO_LLC: u16 = 0x8870;
    pub(in super::super) const MPLS: u16 = 0x8847;
    pub(in super::super) const MPLS_MULTICAST: u16 = 0x8848;
    pub(in super::super) const PPPOE_SESSION: u16 = 0x8864;
    pub(in super::super) const PBB: u16 = 0x88e7;
    pub(in super::super) const E_TAG: u16 = 0x893f;
    pub(in super::super) const VN_TAG: u16 = 0x8926;
}

/// The first layer of a packet; `None` where the link type is not followed.
pub(super) fn first(link: LinkType) -> Option<Next> {
    Some(match link.0 {
        link_type::ETHERNET => Next::Ethernet,
        link_type::LINUX_SLL => Next::LinuxCooked,
        link_type::LINUX_SLL2 => Next::LinuxCooked2,
        link_type::NULL | link_type::LOOP => Next::Family,
        link_type::DLT_RAW | link_type::DLT_RAW_OPENBSD | link_type::RAW => Next::Ip,
        link_type::IPV4 => Next::Ipv4,
        link_type::IPV6 => Next::Ipv6,
        _ => return None,
    })
}

/// Ethernet II or 802.3.
pub(super) fn ethernet(frame: &mut Frame<'_>) -> Step {
    let header = Ethernet2HeaderSlice::from_slice(frame.payload).map_err(|_| frame.short())?;
    frame.skip(header.slice().len())?;
    frame.layers.macs = Some((Mac(header.source()), Mac(header.destination())));
    Ok(Next::EtherType(header.ether_type().0))
}

/// What the EtherType says.
pub(super) fn ether_type(frame: &mut Frame<'_>, value: u16) -> Step {
    match value {
        ether_type::IPV4 => Ok(Next::Ipv4),
        ether_type::IPV6 => Ok(Next::Ipv6),
        ether_type::VLAN | ether_type::PROVIDER_VLAN => vlan(frame),
        value if ether_type::OLD_VLAN.contains(&value) => vlan(frame),
        ether_type::JUMBO_LLC => llc(frame),
        ether_type::MPLS
        | ether_type::MPLS_MULTICAST
        | ether_type::PPPOE_SESSION
        | ether_type::PBB
        | ether_type::E_TAG
        | ether_type::VN_TAG => Err(Discard::Tunnel),
        length if length < ether_type::FIRST => {
            frame.limit_within(usize::from(length));
            llc(frame)
        }
        _ => Err(Discard::NotIp),
    }
}

/// A VLAN tag (802.1Q).
fn vlan(frame: &mut Frame<'_>) -> Step {
    let tag = SingleVlanHeaderSlice::from_slice(frame.payload).map_err(|_| frame.short())?;
    frame.skip(tag.slice().len())?;
    // More tags than fit are left out of the event, not out of the walk.
    let _full = frame.layers.vlan.try_push(tag.vlan_identifier().value());
    Ok(Next::EtherType(tag.ether_type().0))
}

/// LLC (802.2), with SNAP (RFC 1042) or with IP itself.
fn llc(frame: &mut Frame<'_>) -> Step {
    const UNNUMBERED: u8 = 0x03;
    const SAP_SNAP: u8 = 0xaa;
    const SAP_IP: u8 = 0x06;
    match frame.take()? {
        [SAP_SNAP, SAP_SNAP, UNNUMBERED] => match frame.take()? {
            // Ethernet's own numbers, and those that 802.1H bridges through.
            [0, 0, 0 | 0xf8, high, low] => match u16::from_be_bytes([high, low]) {
                length if length < ether_type::FIRST => Err(Discard::NotIp),
                value => Ok(Next::EtherType(value)),
            },
            _ => Err(Discard::NotIp),
        },
        [SAP_IP, SAP_IP, UNNUMBERED] => Ok(Next::Ipv4),
        _ => Err(Discard::NotIp),
    }
}

/// Linux cooked capture, version 1 (`LINKTYPE_LINUX_SLL`).
pub(super) fn linux_cooked(frame: &mut Frame<'_>) -> Step {
    // Packet type, ARPHRD_ type, address length, address, protocol.
    let [.., high, low]: [u8; 16] = frame.take()?;
    cooked(frame, u16::from_be_bytes([high, low]))
}

/// Linux cooked capture, version 2 (`LINKTYPE_LINUX_SLL2`).
pub(super) fn linux_cooked_2(frame: &mut Frame<'_>) -> Step {
    // Protocol, reserved, interface, ARPHRD_ type, packet type, address length, address.
    let [high, low, ..]: [u8; 20] = frame.take()?;
    cooked(frame, u16::from_be_bytes([high, low]))
}

/// What the protocol of a cooked header says: an EtherType, or one of Linux's own small numbers.
fn cooked(frame: &mut Frame<'_>, protocol: u16) -> Step {
    const ETH_P_802_2: u16 = 4;
    match protocol {
        ETH_P_802_2 => llc(frame),
        value if value < ether_type::FIRST => Err(Discard::NotIp),
        value => Ok(Next::EtherType(value)),
    }
}

/// BSD loopback: the protocol family, in the byte order of the host that captured (NULL) or of the network (LOOP).
pub(super) fn family(frame: &mut Frame<'_>) -> Step {
    let bytes = frame.take()?;
    // A family is a small number: whatever fits into sixteen bits was read in the right order.
    let family = match u32::from_le_bytes(bytes) {
        family if family > 0xffff => u32::from_be_bytes(bytes),
        family => family,
    };
    match family {
        2 => Ok(Next::Ipv4),
        // Linux, Windows, NetBSD and OpenBSD, FreeBSD, macOS.
        10 | 23 | 24 | 28 | 30 => Ok(Next::Ipv6),
        _ => Err(Discard::NotIp),
    }
}
