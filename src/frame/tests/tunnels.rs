//! Encapsulations: what is noted of them, and what only looks like one. That each of them is taken off, alone and in each
//! other, is shown by the events in `tests/encapsulations.rs`.

use super::encapsulation::outer;
use super::*;

fn outer_udp(port: u16, payload: &[u8]) -> Wrapped {
    encapsulation::outer_udp(WAY, port, payload)
}

#[test]
fn every_encapsulation_has_an_identity_and_passes_the_look() {
    for v6 in [false, true] {
        for encapsulation in encapsulations() {
            for ip in [ipv4(), ipv6()] {
                let Some(wrapped) = encapsulation.wrap(&Wrapped::Ip(ip), Way::there(v6)) else {
                    continue;
                };
                let (link, bytes) = wrapped.link();
                let layers = assert_dns(link, bytes);
                assert_eq!(
                    layers.tunnel_id != 0,
                    !layers.tunnel.is_empty(),
                    "{}",
                    encapsulation.what
                );
                let mut decoder = decoder();
                assert!(decoder.decode(&packet(link, bytes)).is_some());
                assert_eq!(decoder.tunnels.total(), layers.tunnel.len() as u64);
            }
        }
    }
}

/// With and without a control word: the first bits look like those of IPv6, of IPv4, of the word. A frame with a tag looks,
/// four bytes on, like one without.
#[test]
fn pseudowires_to_addresses_that_look_like_something_else() {
    for first in [0x62, 0x46, 0x00, 0x12] {
        for ip in [ipv4(), ipv6()] {
            for word in [&[][..], &[0, 0, 0, 9]] {
                for tags in [&[][..], &[5], &[6, 5]] {
                    let tag = |id: &u8| [0x81, 0, 0, *id];
                    let plain = ethernet(ether_type_of(&ip), &ip);
                    let tags_bytes = tags.iter().flat_map(tag).collect::<Vec<_>>();
                    let mut inside = joined(&[&plain[..12], &tags_bytes, &plain[12..]]);
                    inside[0] = first;
                    let bytes = ethernet(0x8847, &joined(&[&[0, 1, 1, 64], word, &inside]));
                    let layers = assert_dns(1, &bytes);
                    assert_eq!(layers.tunnel.as_slice(), [Tunnel::Mpls, Tunnel::Pseudowire]);
                    let vlan: Vec<u16> = tags.iter().copied().map(u16::from).collect();
                    assert_eq!(layers.vlan.as_slice(), vlan);
                    assert_eq!(
                        layers.macs,
                        Some((Mac([2, 0, 0, 0, 0, 1]), Mac([first, 0, 0, 0, 0, 2])))
                    );
                }
            }
        }
    }
}

#[test]
fn vlans_and_addresses_of_the_inside() {
    let mut inside = ethernet(
        0x8100,
        &joined(&[&[0, 7], &0x0800u16.to_be_bytes(), &ipv4()]),
    );
    inside[5] = 0x22;
    let vxlan = outer_udp(4789, &joined(&[&[8, 0, 0, 0, 0, 0, 7, 0], &inside])).into_ethernet(WAY);
    let bytes = joined(&[&vxlan[..12], &[0x81, 0, 0, 5], &vxlan[12..]]);
    let layers = assert_dns(1, &bytes);
    assert_eq!(layers.vlan.as_slice(), [5, 7]);
    assert_eq!(
        layers.macs,
        Some((Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 0x22])))
    );
}

#[test]
fn the_depth_is_bounded() {
    let mut bytes = ipv4();
    for _ in 0..8 {
        bytes = outer(WAY, 4, &bytes);
    }
    assert_eq!(assert_dns(101, &bytes).tunnel.len(), 8);
    let bytes = outer(WAY, 4, &bytes);
    assert_eq!(outcome(&packet(101, &bytes)), "too_deep");
    let mut decoder = decoder().with_depth(9);
    let packet = packet(101, &bytes);
    assert_eq!(decoder.decode(&packet).unwrap().layers.tunnel.len(), 8);
    assert_eq!(decoder.tunnels.ipip, 9);
}

#[test]
fn the_ends_of_a_tunnel_tell_networks_apart_but_not_directions() {
    let id = |bytes: &[u8]| assert_dns(101, bytes).tunnel_id;
    let vxlan = |vni: u8| match outer_udp(
        4789,
        &joined(&[&[8, 0, 0, 0, 0, 0, vni, 0], &ethernet(0x0800, &ipv4())]),
    ) {
        Wrapped::Ip(bytes) => bytes,
        Wrapped::Ethernet(_) => unreachable!(),
    };
    assert_eq!(id(&vxlan(1)), id(&vxlan(1)));
    assert_ne!(id(&vxlan(1)), id(&vxlan(2)));
    let mut back = vxlan(1);
    let (src, dst) = ([198, 51, 100, 1], [198, 51, 100, 2]);
    back[12..16].copy_from_slice(&dst);
    back[16..20].copy_from_slice(&src);
    assert_eq!(id(&vxlan(1)), id(&back));
    back[12..16].copy_from_slice(&[198, 51, 100, 3]);
    assert_ne!(id(&vxlan(1)), id(&back));
}

#[test]
fn further_vxlan_ports() {
    let Wrapped::Ip(bytes) = outer_udp(
        9999,
        &joined(&[&[8, 0, 0, 0, 0, 0, 7, 0], &ethernet(0x0800, &ipv4())]),
    ) else {
        unreachable!()
    };
    assert_eq!(outcome(&packet(101, &bytes)), "other_port");
    let ports = Ports::new(&Ports::DEFAULT).with_vxlan(&[9999]);
    let mut decoder = Decoder::new(ports);
    assert!(decoder.may_hold_dns(LinkType(101), &bytes));
    assert!(decoder.decode(&packet(101, &bytes)).is_some());
}

#[test]
fn a_dns_port_is_no_tunnel() {
    let mut bytes = ipv4();
    bytes[20..22].copy_from_slice(&4789u16.to_be_bytes());
    assert_eq!(outcome(&packet(101, &bytes)), "udp");
}

#[test]
fn what_only_looks_like_a_tunnel() {
    let inside = ethernet(0x0800, &ipv4());
    let udp = |port, header: &[u8], inside: &[u8]| outer_udp(port, &joined(&[header, inside]));
    let gre =
        |header: &[u8], inside: &[u8]| Wrapped::Ip(outer(WAY, 47, &joined(&[header, inside])));
    let ether = |value, header: &[u8], inside: &[u8]| {
        Wrapped::Ethernet(ethernet(value, &joined(&[header, inside])))
    };
    for (what, reason, wrapped) in [
        (
            "VXLAN without its flag",
            "other_port",
            udp(4789, &[0, 0, 0, 0, 0, 0, 7, 0], &inside),
        ),
        (
            "VXLAN with a protocol that GPE does not have",
            "other_port",
            udp(4789, &[0x0c, 0, 0, 9, 0, 0, 7, 0], &ipv4()),
        ),
        (
            "VXLAN-GPE of another version",
            "other_port",
            udp(4790, &[0x1c, 0, 0, 3, 0, 0, 7, 0], &inside),
        ),
        (
            "VXLAN-GPE of another protocol",
            "tunnel",
            udp(4790, &[0x0c, 0, 0, 9, 0, 0, 7, 0], &inside),
        ),
        (
            "Geneve of another version",
            "other_port",
            udp(6081, &[0x40, 0, 0x65, 0x58, 0, 0, 7, 0], &inside),
        ),
        (
            "Geneve of ARP",
            "not_ip",
            udp(6081, &[0, 0, 0x08, 0x06, 0, 0, 7, 0], &inside),
        ),
        (
            "Geneve with options past the end",
            "malformed",
            udp(6081, &[0x3f, 0, 0x65, 0x58, 0, 0, 7, 0], &inside),
        ),
        (
            "GTP of another version",
            "other_port",
            udp(2152, &[0x50, 255, 0, 62, 0, 0, 0, 7], &ipv4()),
        ),
        (
            "GTP with a length past the end",
            "other_port",
            udp(2152, &[0x30, 255, 9, 62, 0, 0, 0, 7], &ipv4()),
        ),
        (
            "GTP echo",
            "not_ip",
            udp(2152, &[0x30, 1, 0, 62, 0, 0, 0, 7], &ipv4()),
        ),
        (
            "GTP of neither IP",
            "tunnel",
            udp(2152, &[0x30, 255, 0, 62, 0, 0, 0, 7], &inside),
        ),
        ("Teredo of IPv4", "other_port", udp(3544, &[], &ipv4())),
        (
            "TZSP of another version",
            "other_port",
            udp(37008, &[2, 0, 0, 1, 1], &inside),
        ),
        (
            "TZSP keepalive",
            "not_ip",
            udp(37008, &[1, 4, 0, 0, 1], &inside),
        ),
        (
            "TZSP without end",
            "malformed",
            udp(37008, &[1, 0, 0, 1], &[0; 40]),
        ),
        (
            "L2TP control",
            "not_ip",
            udp(1701, &[0xc8, 2, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0], &[]),
        ),
        (
            "L2TPv3 control",
            "not_ip",
            Wrapped::Ip(outer(WAY, 115, &[0, 0, 0, 0, 0xc8, 3, 0, 12])),
        ),
        (
            "L2TPv3 of something",
            "tunnel",
            Wrapped::Ip(outer(WAY, 115, &[1; 80])),
        ),
        (
            "L2TP of another version",
            "other_port",
            udp(1701, &[0x00, 7, 0, 7, 0, 8], &inside),
        ),
        (
            "GRE of another version",
            "tunnel",
            gre(&[0, 2, 8, 0], &ipv4()),
        ),
        ("GRE of something", "not_ip", gre(&[0, 0, 0x90, 9], &ipv4())),
        ("GRE of a length", "tunnel", gre(&[0, 0, 0, 60], &ipv4())),
        (
            "GRE of the other IP",
            "malformed",
            gre(&[0, 0, 0x86, 0xdd], &ipv4()),
        ),
        (
            "GRE without its key",
            "malformed",
            gre(&[0x20, 0, 8, 0], &[0, 0]),
        ),
        (
            "PPTP of something",
            "tunnel",
            gre(&[0x30, 1, 8, 0, 0, 40, 0, 7, 0, 0, 0, 1], &ipv4()),
        ),
        (
            "PPTP without data",
            "not_ip",
            gre(&[0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 7, 0, 0, 0, 1], &[]),
        ),
        (
            "PPTP encrypted",
            "encrypted",
            gre(
                &[0x30, 1, 0x88, 0x0b, 0, 40, 0, 7, 0, 0, 0, 1, 0, 0xfd],
                &[0x90; 40],
            ),
        ),
        (
            "ERSPAN of another version",
            "tunnel",
            gre(
                &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x20, 5, 0, 7, 0, 0, 0, 0],
                &inside,
            ),
        ),
        (
            "ERSPAN III of another version",
            "tunnel",
            gre(
                &[
                    0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x10, 5, 0, 7, 1, 2, 3, 4, 0, 0, 0, 0,
                ],
                &inside,
            ),
        ),
        (
            "IPv4 in IPv6's place",
            "malformed",
            Wrapped::Ip(outer(WAY, 41, &ipv4())),
        ),
        (
            "IPv6 in IPv4's place",
            "malformed",
            Wrapped::Ip(outer(WAY, 4, &ipv6())),
        ),
        (
            "EtherIP of another version",
            "tunnel",
            Wrapped::Ip(outer(WAY, 97, &joined(&[&[0x40, 0], &inside]))),
        ),
        (
            "MPLS without bottom",
            "malformed",
            ether(0x8847, &[0, 1, 0, 64], &[0, 1, 0, 64]),
        ),
        (
            "MPLS of a control channel",
            "not_ip",
            ether(0x8847, &[0, 1, 1, 64, 0x10, 0, 0, 0x21], &ipv4()),
        ),
        (
            "MPLS of something",
            "tunnel",
            ether(0x8847, &[0, 1, 1, 64], &[0x70; 60]),
        ),
        (
            "PPPoE of another version",
            "malformed",
            ether(0x8864, &[0x12, 0, 0, 7, 0, 60, 0, 0x21], &ipv4()),
        ),
        (
            "PPPoE that is no session",
            "not_ip",
            ether(0x8864, &[0x11, 9, 0, 7, 0, 60, 0, 0x21], &ipv4()),
        ),
        (
            "PPPoE of LCP",
            "not_ip",
            ether(0x8864, &[0x11, 0, 0, 7, 0, 60, 0xc0, 0x21], &ipv4()),
        ),
        (
            "MACsec",
            "encrypted",
            ether(
                0x88e5,
                &[0x2c, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 8, 0],
                &ipv4(),
            ),
        ),
        (
            "NSH of another version",
            "tunnel",
            ether(0x894f, &[0x4f, 0xc2, 2, 3, 0, 0, 1, 255], &inside),
        ),
        (
            "NSH without its path",
            "malformed",
            ether(0x894f, &[0x0f, 0xc1, 2, 3, 0, 0, 1, 255], &inside),
        ),
    ] {
        let (link, bytes) = wrapped.link();
        assert_eq!(outcome(&packet(link, bytes)), reason, "{what}");
    }
}

#[test]
fn nsh_in_nsh_in_nsh() {
    let header = [0x0f, 0xc2, 2, 4, 0, 0, 1, 255];
    let bytes = ethernet(0x894f, &header.repeat(200));
    assert_eq!(outcome(&packet(1, &bytes)), "too_deep");
    let mut deep = decoder().with_depth(255);
    assert!(deep.decode(&packet(1, &bytes)).is_none());
    assert_eq!(deep.stats.malformed, 1);
}
