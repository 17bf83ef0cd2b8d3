//! One and the same datagram in every encapsulation, alone and two deep.

use etherparse::{IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header};

use super::*;

/// An IP packet or an Ethernet frame.
#[derive(Clone, Debug)]
pub(super) enum Wrapped {
    Ip(Vec<u8>),
    Ethernet(Vec<u8>),
}

impl Wrapped {
    pub(super) fn into_ethernet(self) -> Vec<u8> {
        match self {
            Self::Ip(ip) => ethernet(ether_type_of(&ip), &ip),
            Self::Ethernet(bytes) => bytes,
        }
    }

    pub(super) fn link(&self) -> (i32, &[u8]) {
        match self {
            Self::Ip(bytes) => (101, bytes),
            Self::Ethernet(bytes) => (1, bytes),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    Ip,
    Ipv6,
    Ethernet,
}

/// Puts an encapsulation on.
type Wrap = Box<dyn Fn(&[u8]) -> Wrapped>;

/// An encapsulation: what it is called, what it can carry, how it is put on.
pub(super) struct Wrapper {
    what: &'static str,
    names: &'static [&'static str],
    carries: Carries,
    wrap: Wrap,
}

impl Wrapper {
    /// Puts it on; `None` where it cannot carry that.
    pub(super) fn wrap(&self, inside: &Wrapped) -> Option<Wrapped> {
        match (self.carries, inside) {
            (Carries::Ethernet, _) => Some((self.wrap)(&inside.clone().into_ethernet())),
            (Carries::Ip, Wrapped::Ip(ip)) => Some((self.wrap)(ip)),
            (Carries::Ipv6, Wrapped::Ip(ip)) if ip[0] >> 4 == 6 => Some((self.wrap)(ip)),
            _ => None,
        }
    }
}

fn ether_type_of(ip: &[u8]) -> u16 {
    if ip[0] >> 4 == 4 { 0x0800 } else { 0x86dd }
}

/// An IP packet of either version between the ends of a tunnel.
pub(super) fn outer(v6: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if v6 {
        let mut source = CLIENT6;
        source[15] = 0xfe;
        Ipv6Header {
            traffic_class: 0,
            flow_label: Ipv6FlowLabel::ZERO,
            payload_length: u16::try_from(payload.len()).unwrap(),
            next_header: IpNumber(protocol),
            hop_limit: 64,
            source,
            destination: RESOLVER6,
        }
        .write(&mut bytes)
        .unwrap();
    } else {
        let length = u16::try_from(payload.len()).unwrap();
        let header = Ipv4Header::new(
            length,
            64,
            IpNumber(protocol),
            [198, 51, 100, 1],
            [198, 51, 100, 2],
        )
        .unwrap();
        header.write(&mut bytes).unwrap();
    }
    bytes.extend(payload);
    bytes
}

fn outer_udp(v6: bool, port: u16, payload: &[u8]) -> Wrapped {
    let length = u16::try_from(payload.len() + 8).unwrap();
    let datagram = joined(&[
        &50_000u16.to_be_bytes(),
        &port.to_be_bytes(),
        &length.to_be_bytes(),
        &[0, 0],
        payload,
    ]);
    Wrapped::Ip(outer(v6, 17, &datagram))
}

/// Every encapsulation that can be taken off, with the outer IP of the version given.
#[expect(clippy::too_many_lines, reason = "a list")]
pub(super) fn wrappers(v6: bool) -> Vec<Wrapper> {
    let mut all: Vec<Wrapper> = Vec::new();
    let mut add = |what, names, carries, wrap: Wrap| {
        all.push(Wrapper {
            what,
            names,
            carries,
            wrap,
        });
    };
    /// A header of fixed bytes behind IP.
    macro_rules! over_ip {
        ($what:literal $names:expr, $carries:expr, $protocol:expr, $header:expr) => {
            add(
                $what,
                &$names,
                $carries,
                Box::new(move |inside| {
                    Wrapped::Ip(outer(v6, $protocol, &joined(&[&$header, inside])))
                }),
            );
        };
    }
    /// A header of fixed bytes behind UDP.
    macro_rules! over_udp {
        ($what:literal $names:expr, $carries:expr, $port:expr, $header:expr) => {
            add(
                $what,
                &$names,
                $carries,
                Box::new(move |inside| outer_udp(v6, $port, &joined(&[&$header, inside]))),
            );
        };
    }
    /// A header of fixed bytes behind an EtherType.
    macro_rules! over_ethernet {
        ($what:literal $names:expr, $carries:expr, $ether_type:expr, $header:expr) => {
            add(
                $what,
                &$names,
                $carries,
                Box::new(move |inside| {
                    Wrapped::Ethernet(ethernet($ether_type, &joined(&[&$header, inside])))
                }),
            );
        };
    }
    use Carries::{Ethernet, Ip, Ipv6};

    for (what, flags, rest) in [
        ("GRE", 0x0000u16, &[][..]),
        ("GRE with checksum", 0x8000, &[1; 4]),
        ("GRE with key", 0x2000, &[2; 4]),
        ("GRE with sequence number", 0x1000, &[3; 4]),
        ("GRE with all of them", 0xb000, &[4; 12]),
        (
            "GRE with routing",
            0xf000,
            &[
                1, 1, 0, 0, 2, 2, 2, 2, 3, 3, 3, 3, 8, 0, 0, 4, 192, 0, 2, 9, 0, 0, 0, 0,
            ],
        ),
    ] {
        add(
            what,
            &["gre"],
            Ip,
            Box::new(move |inside| {
                let header = [flags, ether_type_of(inside)]
                    .map(u16::to_be_bytes)
                    .concat();
                Wrapped::Ip(outer(v6, 47, &joined(&[&header, rest, inside])))
            }),
        );
    }
    over_ip!(
        "GRE, transparent Ethernet"["gre"],
        Ethernet,
        47,
        [0x00, 0, 0x65, 0x58]
    );
    over_ip!(
        "GRE, transparent Ethernet, key and sequence number"["gre"],
        Ethernet,
        47,
        [0x30, 0, 0x65, 0x58, 0, 0, 0, 7, 0, 0, 0, 1]
    );
    over_ip!(
        "NVGRE"["nvgre"],
        Ethernet,
        47,
        [0x20, 0, 0x65, 0x58, 0, 0, 7, 9]
    );
    over_ip!("ERSPAN I"["erspan1"], Ethernet, 47, [0x00, 0, 0x88, 0xbe]);
    over_ip!(
        "ERSPAN II"["erspan2"],
        Ethernet,
        47,
        [
            0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 5, 0x10, 7, 0, 0, 0, 0
        ]
    );
    over_ip!(
        "ERSPAN III"["erspan3"],
        Ethernet,
        47,
        [
            0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 7, 1, 2, 3, 4, 0, 0, 0, 0
        ]
    );
    over_ip!(
        "ERSPAN III with subheader"["erspan3"],
        Ethernet,
        47,
        [
            0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 7, 1, 2, 3, 4, 0, 0, 0, 1, 9, 9, 9, 9, 9,
            9, 9, 9
        ]
    );
    over_ip!(
        "ERSPAN III of IP"["erspan3"],
        Ip,
        47,
        [
            0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 7, 1, 2, 3, 4, 0, 0, 8, 0
        ]
    );
    over_ip!("GRE, MPLS" ["gre", "mpls"], Ip, 47, [0x00, 0, 0x88, 0x47, 0, 1, 1, 64]);
    for (what, header, control) in [
        ("PPTP", [0x30u8, 0x01].as_slice(), &[0xff, 3][..]),
        ("PPTP with acknowledgment", &[0x30, 0x81], &[]),
    ] {
        add(
            what,
            &["gre", "ppp"],
            Ip,
            Box::new(move |inside| {
                let ppp = joined(&[
                    control,
                    &[0, if inside[0] >> 4 == 4 { 0x21 } else { 0x57 }],
                    inside,
                ]);
                let length = u16::try_from(ppp.len()).unwrap().to_be_bytes();
                let numbers: &[u8] = if header[1] & 0x80 == 0 {
                    &[1; 4]
                } else {
                    &[1; 8]
                };
                Wrapped::Ip(outer(
                    v6,
                    47,
                    &joined(&[header, &[0x88, 0x0b], &length, &[0, 7], numbers, &ppp]),
                ))
            }),
        );
    }
    over_ip!("EtherIP"["etherip"], Ethernet, 97, [0x30, 0]);
    add(
        "IP in IP",
        if v6 { &["ip4in6"] } else { &["ipip"] },
        Ip,
        // The name is put right where the inside is known.
        Box::new(move |inside| {
            Wrapped::Ip(outer(v6, if inside[0] >> 4 == 4 { 4 } else { 41 }, inside))
        }),
    );
    over_ip!("MPLS in IP"["mpls"], Ip, 137, [0, 1, 1, 64]);
    over_udp!("MPLS in UDP"["mpls"], Ip, 6635, [0, 1, 1, 64]);
    over_udp!("VXLAN"["vxlan"], Ethernet, 4789, [8, 0, 0, 0, 0, 0, 7, 0]);
    over_udp!(
        "VXLAN on Linux"["vxlan"],
        Ethernet,
        8472,
        [8, 0, 0, 0, 0, 0, 7, 0]
    );
    over_udp!(
        "VXLAN with group policy"["vxlan"],
        Ethernet,
        4789,
        [0x88, 8, 0, 5, 0, 0, 7, 0]
    );
    over_udp!(
        "VXLAN-GPE"["vxlan-gpe"],
        Ethernet,
        4790,
        [0x0c, 0, 0, 3, 0, 0, 7, 0]
    );
    over_udp!(
        "VXLAN-GPE without protocol"["vxlan-gpe"],
        Ethernet,
        4790,
        [0x08, 0, 0, 0, 0, 0, 7, 0]
    );
    add(
        "VXLAN-GPE of IP",
        &["vxlan-gpe"],
        Ip,
        Box::new(move |inside| {
            let protocol = if inside[0] >> 4 == 4 { 1 } else { 2 };
            outer_udp(
                v6,
                4790,
                &joined(&[&[0x0c, 0, 0, protocol, 0, 0, 7, 0], inside]),
            )
        }),
    );
    over_udp!("NSH in VXLAN-GPE" ["vxlan-gpe", "nsh"], Ethernet, 4790,
        [0x0c, 0, 0, 4, 0, 0, 7, 0, 0x0f, 0xc6, 1, 3, 0, 0, 1, 255, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4]);
    over_ethernet!(
        "NSH"["nsh"],
        Ethernet,
        0x894f,
        [0x0f, 0xc2, 2, 3, 0, 0, 1, 255]
    );
    over_udp!(
        "Geneve"["geneve"],
        Ethernet,
        6081,
        [0, 0, 0x65, 0x58, 0, 0, 7, 0]
    );
    add(
        "Geneve of IP with options",
        &["geneve"],
        Ip,
        Box::new(move |inside| {
            let [high, low] = ether_type_of(inside).to_be_bytes();
            let header = [
                3, 0, high, low, 0, 0, 7, 0, 1, 1, 0x80, 2, 9, 9, 9, 9, 9, 9, 9, 9,
            ];
            outer_udp(v6, 6081, &joined(&[&header, inside]))
        }),
    );
    for (what, flags, rest) in [
        ("GTP-U", 0x30u8, &[][..]),
        ("GTP-U with sequence number", 0x32, &[0, 1, 0, 0]),
        (
            "GTP-U with extensions",
            0x36,
            &[0, 1, 0, 0x85, 1, 0, 9, 0xc0, 2, 0, 0, 0, 0, 0, 0, 0],
        ),
    ] {
        add(
            what,
            &["gtp-u"],
            Ip,
            Box::new(move |inside| {
                let length = u16::try_from(rest.len() + inside.len())
                    .unwrap()
                    .to_be_bytes();
                outer_udp(
                    v6,
                    2152,
                    &joined(&[&[flags, 255], &length, &[0, 0, 0, 7], rest, inside]),
                )
            }),
        );
    }
    over_udp!("Teredo"["teredo"], Ipv6, 3544, []);
    over_udp!(
        "Teredo with authentication"["teredo"],
        Ipv6,
        3544,
        [0, 1, 2, 3, 1, 1, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    over_udp!(
        "Teredo with origin"["teredo"],
        Ipv6,
        3544,
        [0, 0, 1, 1, 2, 2, 2, 2]
    );
    over_udp!(
        "Teredo with both"["teredo"],
        Ipv6,
        3544,
        [
            0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2
        ]
    );
    over_udp!("TZSP"["tzsp"], Ethernet, 37008, [1, 0, 0, 1, 1]);
    over_udp!(
        "TZSP with tags"["tzsp"],
        Ethernet,
        37008,
        [1, 0, 0, 1, 10, 1, 0xc4, 0, 41, 2, 1, 1, 1]
    );
    add(
        "TZSP of 802.11",
        &["tzsp"],
        Ip,
        Box::new(move |inside| {
            let header = [
                0x08, 0x01, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 0, 0,
            ];
            let snap = joined(&[
                &[0xaa, 0xaa, 3, 0, 0, 0],
                &ether_type_of(inside).to_be_bytes(),
            ]);
            outer_udp(
                v6,
                37008,
                &joined(&[&[1, 0, 0, 18, 1], &header, &snap, inside]),
            )
        }),
    );
    for (what, header) in [
        ("L2TPv3", &[0u8, 0, 0, 7][..]),
        ("L2TPv3 with sublayer", &[0, 0, 0, 7, 0x40, 0, 0, 1]),
        ("L2TPv3 with cookie", &[0, 0, 0, 7, 9, 9, 9, 9, 9, 9, 9, 9]),
        (
            "L2TPv3 with cookie and sublayer",
            &[0, 0, 0, 7, 9, 9, 9, 9, 9, 9, 9, 9, 0, 0, 0, 0],
        ),
    ] {
        for carries in [Ethernet, Ip] {
            add(
                what,
                &["l2tpv3"],
                carries,
                Box::new(move |inside| Wrapped::Ip(outer(v6, 115, &joined(&[header, inside])))),
            );
        }
        add(
            what,
            &["l2tpv3"],
            Ethernet,
            Box::new(move |inside| outer_udp(v6, 1701, &joined(&[&[0, 3, 0, 0], header, inside]))),
        );
    }
    for (what, length, header) in [
        ("L2TPv2", false, &[0x00u8, 2, 0, 7, 0, 8][..]),
        (
            "L2TPv2 with everything",
            true,
            &[0x4a, 2, 0, 0, 0, 7, 0, 8, 0, 1, 0, 2, 0, 3, 9, 9, 9],
        ),
    ] {
        add(
            what,
            &["l2tpv2", "ppp"],
            Ip,
            Box::new(move |inside| {
                let protocol = if inside[0] >> 4 == 4 { 0x21 } else { 0x57 };
                let mut bytes = joined(&[header, &[0xff, 3, 0, protocol], inside]);
                if length {
                    let length = u16::try_from(bytes.len()).unwrap();
                    bytes[2..4].copy_from_slice(&length.to_be_bytes());
                    bytes.extend(b"behind the end");
                }
                outer_udp(v6, 1701, &bytes)
            }),
        );
    }
    over_ethernet!(
        "MPLS"["mpls"],
        Ip,
        0x8847,
        [0, 1, 0, 64, 0, 2, 0, 64, 0, 3, 1, 64]
    );
    over_ethernet!("MPLS multicast"["mpls"], Ip, 0x8848, [0, 1, 1, 64]);
    add(
        "MPLS explicit null",
        &["mpls"],
        Ip,
        Box::new(|inside| {
            let label_and_bottom = if inside[0] >> 4 == 4 { 0x01 } else { 0x21 };
            Wrapped::Ethernet(ethernet(
                0x8847,
                &joined(&[&[0, 0, label_and_bottom, 64], inside]),
            ))
        }),
    );
    over_ethernet!("pseudowire" ["mpls", "pseudowire"], Ethernet, 0x8847, [0, 1, 1, 64]);
    over_ethernet!("pseudowire with control word" ["mpls", "pseudowire"], Ethernet, 0x8847, [0, 1, 1, 64, 0, 0, 0, 9]);
    add(
        "pseudowire to an address like IPv6",
        &["mpls", "pseudowire"],
        Ethernet,
        Box::new(|inside| {
            Wrapped::Ethernet(ethernet(
                0x8847,
                &joined(&[&[0, 1, 1, 64, 0x62], &inside[1..]]),
            ))
        }),
    );
    add(
        "PPPoE",
        &["pppoe"],
        Ip,
        Box::new(|inside| {
            let protocol = if inside[0] >> 4 == 4 { 0x21 } else { 0x57 };
            let length = u16::try_from(inside.len() + 2).unwrap().to_be_bytes();
            let header = joined(&[&[0x11, 0, 0, 7], &length, &[0, protocol]]);
            Wrapped::Ethernet(ethernet(0x8864, &joined(&[&header, inside, b"padding"])))
        }),
    );
    over_ethernet!("PBB"["pbb"], Ethernet, 0x88e7, [0, 0, 0, 7]);
    for (what, names, value, header) in [
        ("E-tag", &["etag"], 0x893fu16, &[1u8, 2, 3, 4, 5, 6][..]),
        ("VN-tag", &["vntag"], 0x8926, &[1, 2, 3, 4]),
        (
            "MACsec in clear",
            &["macsec"],
            0x88e5,
            &[0x20, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        ),
        (
            "MACsec in clear without channel",
            &["macsec"],
            0x88e5,
            &[0, 0, 0, 0, 0, 1],
        ),
    ] {
        add(
            what,
            names,
            Ip,
            Box::new(move |inside| {
                let next = ether_type_of(inside).to_be_bytes();
                Wrapped::Ethernet(ethernet(
                    value,
                    &joined(&[header, &next, inside, &[0xee; 16]]),
                ))
            }),
        );
    }
    all
}

/// What the event names, the two kinds of IP in IP told apart by what is inside.
fn names(wrapper: &Wrapper, inside: &Wrapped) -> Vec<&'static str> {
    let is_v6 = matches!(inside, Wrapped::Ip(ip) if ip[0] >> 4 == 6);
    wrapper
        .names
        .iter()
        .map(|&name| match name {
            "ipip" if is_v6 => "ip6in4",
            "ip4in6" if is_v6 => "ip6in6",
            name => name,
        })
        .collect()
}

#[test]
fn each_encapsulation_alone() {
    for outer_v6 in [false, true] {
        for wrapper in wrappers(outer_v6) {
            for ip in [ipv4(), ipv6()] {
                let inside = Wrapped::Ip(ip);
                let Some(wrapped) = wrapper.wrap(&inside) else {
                    continue;
                };
                let (link, bytes) = wrapped.link();
                println!(
                    "{}, outer IPv{}",
                    wrapper.what,
                    if outer_v6 { 6 } else { 4 }
                );
                let layers = assert_dns(link, bytes);
                assert_eq!(
                    layers
                        .tunnel
                        .iter()
                        .map(|tunnel| tunnel.name())
                        .collect::<Vec<_>>(),
                    names(&wrapper, &inside)
                );
                assert_ne!(layers.tunnel_id, 0);
                let mut decoder = decoder();
                assert!(decoder.decode(&packet(link, bytes)).is_some());
                assert_eq!(decoder.tunnels.total(), layers.tunnel.len() as u64);
            }
        }
    }
}

#[test]
fn each_encapsulation_in_each_other() {
    for (outer_v6, inner_v6) in [(false, false), (false, true), (true, false)] {
        for inner in wrappers(inner_v6) {
            for ip in [ipv4(), ipv6()] {
                let innermost = Wrapped::Ip(ip);
                let Some(inside) = inner.wrap(&innermost) else {
                    continue;
                };
                for outer in wrappers(outer_v6) {
                    let Some(wrapped) = outer.wrap(&inside) else {
                        continue;
                    };
                    let (link, bytes) = wrapped.link();
                    println!("{} in {}", inner.what, outer.what);
                    let layers = assert_dns(link, bytes);
                    assert_eq!(
                        layers
                            .tunnel
                            .iter()
                            .map(|tunnel| tunnel.name())
                            .collect::<Vec<_>>(),
                        [names(&outer, &inside), names(&inner, &innermost)].concat()
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
    let vxlan =
        outer_udp(false, 4789, &joined(&[&[8, 0, 0, 0, 0, 0, 7, 0], &inside])).into_ethernet();
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
        bytes = outer(false, 4, &bytes);
    }
    assert_eq!(assert_dns(101, &bytes).tunnel.len(), 8);
    let bytes = outer(false, 4, &bytes);
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
        false,
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
        false,
        9999,
        &joined(&[&[8, 0, 0, 0, 0, 0, 7, 0], &ethernet(0x0800, &ipv4())]),
    ) else {
        unreachable!()
    };
    assert_eq!(outcome(&packet(101, &bytes)), "other_port");
    let ports = Ports::new(&Ports::DEFAULT).with_vxlan(&[9999]);
    assert!(
        PortLook {
            ports: ports.clone()
        }
        .may_hold_dns(LinkType(101), &bytes)
    );
    assert!(Decoder::new(ports).decode(&packet(101, &bytes)).is_some());
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
    let udp =
        |port, header: &[u8], inside: &[u8]| outer_udp(false, port, &joined(&[header, inside]));
    let gre =
        |header: &[u8], inside: &[u8]| Wrapped::Ip(outer(false, 47, &joined(&[header, inside])));
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
            Wrapped::Ip(outer(false, 115, &[0, 0, 0, 0, 0xc8, 3, 0, 12])),
        ),
        (
            "L2TPv3 of something",
            "tunnel",
            Wrapped::Ip(outer(false, 115, &[1; 80])),
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
            Wrapped::Ip(outer(false, 41, &ipv4())),
        ),
        (
            "IPv6 in IPv4's place",
            "malformed",
            Wrapped::Ip(outer(false, 4, &ipv6())),
        ),
        (
            "EtherIP of another version",
            "tunnel",
            Wrapped::Ip(outer(false, 97, &joined(&[&[0x40, 0], &inside]))),
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
