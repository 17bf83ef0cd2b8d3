//! EtherTypes, and the tags that stand before them.

use etherparse::SingleVlanHeaderSlice;

use super::layer::{Discard, Next, Step, Walk};
use super::tunnel::Tunnel;
use super::{Frame, overlay, ppp};

/// EtherTypes (IEEE 802 numbers, <https://www.iana.org/assignments/ieee-802-numbers>).
pub(super) mod ether_type {
    /// Below this an EtherType is the length of an 802.3 frame.
    pub(in super::super) const FIRST: u16 = 0x0600;
    pub(in super::super) const IPV4: u16 = 0x0800;
    pub(in super::super) const ARP: u16 = 0x0806;
    /// 802.1Q.
    pub(in super::super) const VLAN: u16 = 0x8100;
    pub(in super::super) const IPV6: u16 = 0x86dd;
    pub(in super::super) const MPLS: u16 = 0x8847;
    pub(in super::super) const MPLS_MULTICAST: u16 = 0x8848;
    pub(in super::super) const PPPOE_SESSION: u16 = 0x8864;
    /// LLC in a frame longer than an 802.3 length can say.
    pub(in super::super) const JUMBO_LLC: u16 = 0x8870;
    /// 802.1ad.
    pub(in super::super) const PROVIDER_VLAN: u16 = 0x88a8;
    /// 802.1AE.
    pub(in super::super) const MACSEC: u16 = 0x88e5;
    /// 802.1ah.
    pub(in super::super) const PBB: u16 = 0x88e7;
    /// Cisco's metadata header, which carries security group tags.
    pub(in super::super) const CISCO_METADATA: u16 = 0x8909;
    pub(in super::super) const VN_TAG: u16 = 0x8926;
    /// 802.1BR.
    pub(in super::super) const E_TAG: u16 = 0x893f;
    pub(in super::super) const NSH: u16 = 0x894f;
    /// What vendors used for the outer tag before 802.1ad.
    pub(in super::super) const OLD_VLAN: [u16; 3] = [0x9100, 0x9200, 0x9300];
}

/// What the EtherType says.
pub(super) fn follow(frame: &mut Frame<'_>, walk: &mut Walk<'_>, value: u16) -> Step {
    match value {
        ether_type::IPV4 => Ok(Next::Ipv4),
        ether_type::IPV6 => Ok(Next::Ipv6),
        value if is_vlan(value) => vlan(frame),
        ether_type::MPLS | ether_type::MPLS_MULTICAST => Ok(Next::Mpls),
        ether_type::PPPOE_SESSION => ppp::pppoe(frame, walk),
        ether_type::JUMBO_LLC => Ok(Next::Llc),
        ether_type::MACSEC => macsec(frame, walk),
        ether_type::PBB => pbb(frame, walk),
        ether_type::CISCO_METADATA => cisco_metadata(frame),
        ether_type::VN_TAG => vn_tag(frame, walk),
        ether_type::E_TAG => e_tag(frame, walk),
        ether_type::NSH => overlay::nsh(frame, walk),
        length if length < ether_type::FIRST => {
            frame.limit_within(usize::from(length));
            Ok(Next::Llc)
        }
        _ => Err(Discard::NotIp),
    }
}

/// Whether a VLAN tag follows.
fn is_vlan(value: u16) -> bool {
    matches!(value, ether_type::VLAN | ether_type::PROVIDER_VLAN)
        || ether_type::OLD_VLAN.contains(&value)
}

/// A VLAN tag (802.1Q).
fn vlan(frame: &mut Frame<'_>) -> Step {
    let tag = SingleVlanHeaderSlice::from_slice(frame.payload).map_err(|_| frame.short())?;
    frame.skip(tag.slice().len())?;
    // 0 is no VLAN but a priority (802.1Q, clause 9.6). More tags than fit are left out of the event, not out of the walk.
    let identifier = tag.vlan_identifier().value();
    if identifier != 0 {
        let _full = frame.layers.vlan.try_push(identifier);
    }
    Ok(Next::EtherType(tag.ether_type().0))
}

/// LLC (802.2), with SNAP (RFC 1042) or with IP itself.
pub(super) fn llc(frame: &mut Frame<'_>) -> Step {
    const UNNUMBERED: u8 = 0x03;
    const SAP_SNAP: u8 = 0xaa;
    const SAP_IP: u8 = 0x06;
    match frame.take()? {
        [SAP_SNAP, SAP_SNAP, UNNUMBERED] => match frame.take()? {
            // Ethernet's own numbers, and those that 802.1H bridges through.
            [0, 0, 0 | 0xf8, high, low] => match u16::from_be_bytes([high, low]) {
                0..ether_type::FIRST => Err(Discard::NotIp),
                value => Ok(Next::EtherType(value)),
            },
            _ => Err(Discard::NotIp),
        },
        [SAP_IP, SAP_IP, UNNUMBERED] => Ok(Next::Ipv4),
        _ => Err(Discard::NotIp),
    }
}

/// The service tag of provider backbone bridging (802.1ah); the customer's frame follows.
fn pbb(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    let tag = frame.take_u32()?;
    walk.enter(frame, Tunnel::Pbb, tag & 0x00ff_ffff)?;
    Ok(Next::Ethernet)
}

/// The E-tag of a port extender (802.1BR).
fn e_tag(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    frame.skip(6)?;
    behind_port_tag(frame, walk, Tunnel::ETag)
}

/// Cisco's VN-tag.
fn vn_tag(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    frame.skip(4)?;
    behind_port_tag(frame, walk, Tunnel::VnTag)
}

/// What follows a tag that names the port of an extender, another one in each direction.
fn behind_port_tag(frame: &mut Frame<'_>, walk: &mut Walk<'_>, tunnel: Tunnel) -> Step {
    let value = frame.take_u16()?;
    walk.enter(frame, tunnel, 0)?;
    Ok(Next::EtherType(value))
}

/// MACsec (802.1AE, clause 9); the integrity check value at the end is taken off by the length of IP.
fn macsec(frame: &mut Frame<'_>, walk: &mut Walk<'_>) -> Step {
    const VERSION: u8 = 0x80;
    const CHANNEL: u8 = 0x20;
    const ENCRYPTED: u8 = 0x08;
    const CHANGED: u8 = 0x04;
    let [control, _short_length, ..]: [u8; 6] = frame.take()?;
    if control & VERSION != 0 {
        return Err(Discard::Tunnel);
    }
    if control & (ENCRYPTED | CHANGED) != 0 {
        return Err(Discard::Encrypted);
    }
    if control & CHANNEL != 0 {
        frame.skip(8)?;
    }
    let value = frame.take_u16()?;
    walk.enter(frame, Tunnel::MacSec, 0)?;
    Ok(Next::EtherType(value))
}

/// Cisco's metadata header: version 1, a length of 1, one option with the security group.
fn cisco_metadata(frame: &mut Frame<'_>) -> Step {
    match frame.take()? {
        [1, 1, _, _, _, _] => Ok(Next::EtherType(frame.take_u16()?)),
        _ => Err(Discard::Tunnel),
    }
}

/// Whether bytes are an Ethernet frame beyond doubt, for headers that do not say what follows them: behind the addresses
/// and VLAN tags stands an EtherType that we follow, and what it promises.
pub(super) fn is_certain_ethernet(frame: &Frame<'_>) -> bool {
    let word = |at: usize| Some(u16::from_be_bytes(*frame.payload.get(at..)?.first_chunk()?));
    let mut at = 12;
    loop {
        let Some(value) = word(at) else { return false };
        at += 2;
        let Some(first) = word(at) else { return false };
        return match value {
            value if is_vlan(value) => {
                at += 2;
                continue;
            }
            ether_type::IPV4 => (0x45..=0x4f).contains(&(first >> 8)),
            ether_type::IPV6 => first >> 12 == 6,
            ether_type::ARP => first == 1,
            ether_type::PPPOE_SESSION => first == 0x1100,
            ether_type::MPLS | ether_type::MPLS_MULTICAST => true,
            ether_type::MACSEC
            | ether_type::PBB
            | ether_type::VN_TAG
            | ether_type::E_TAG
            | ether_type::NSH => true,
            0..ether_type::FIRST => first == 0xaaaa,
            _ => false,
        };
    }
}

/// Whether bytes are an Ethernet frame with a VLAN tag beyond doubt. Four bytes later they look like one without, the tag
/// and half of an address in the place of the addresses.
pub(super) fn is_certain_tagged_ethernet(frame: &Frame<'_>) -> bool {
    frame
        .payload
        .get(12..)
        .and_then(<[u8]>::first_chunk)
        .is_some_and(|value| is_vlan(u16::from_be_bytes(*value)))
        && is_certain_ethernet(frame)
}
