mod aside;
#[path = "../../tests/common/encapsulation.rs"]
mod encapsulation;
mod fragments;
mod links;
mod tunnels;

use etherparse::{Ipv4Header, PacketBuilder};
use proptest::prelude::*;

use encapsulation::{
    CLIENT, CLIENT6, RESOLVER, RESOLVER6, Way, Wrapped, encapsulations, ether_type_of, joined,
};

use super::*;
use crate::packet::LinkType;
use crate::packet::Look;
use crate::time::Timestamp;

/// Over IPv4, from the client to the resolver.
const WAY: Way = Way::there(false);
const DNS: &[u8] = b"twelve bytes and more of a message";

fn packet(link: i32, bytes: &[u8]) -> Packet<'_> {
    Packet {
        time: Timestamp::from_nanos(0),
        input: 0,
        number: 1,
        link: LinkType(link),
        wire_len: u32::try_from(bytes.len()).unwrap(),
        bytes,
    }
}

fn decoder() -> Decoder {
    Decoder::new(Ports::new(&Ports::DEFAULT))
}

/// An IPv4 packet with a UDP datagram to port 53.
fn ipv4() -> Vec<u8> {
    encapsulation::datagram(WAY, DNS)
}

/// An IPv6 packet with a UDP datagram to port 53.
fn ipv6() -> Vec<u8> {
    encapsulation::datagram(Way::there(true), DNS)
}

fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    encapsulation::ethernet(WAY, ether_type, payload)
}

#[track_caller]
fn assert_dns(link: i32, bytes: &[u8]) -> Layers {
    let mut decoder = decoder();
    let packet = packet(link, bytes);
    let Some(frame) = decoder.decode(&packet) else {
        panic!("not decoded: {:?}", decoder.stats);
    };
    let (src, dst) = if frame.src.is_ipv4() {
        (IpAddr::from(CLIENT), IpAddr::from(RESOLVER))
    } else {
        (IpAddr::from(CLIENT6), IpAddr::from(RESOLVER6))
    };
    assert_eq!(
        (frame.src, frame.dst, frame.src_port, frame.dst_port),
        (src, dst, 4321, 53)
    );
    assert_eq!((frame.payload, frame.cut, frame.tcp), (DNS, 0, None));
    let layers = frame.layers;
    assert_eq!((decoder.stats.udp, decoder.stats.total()), (1, 1));
    assert!(decoder.may_hold_dns(LinkType(link), bytes));
    layers
}

/// The name under which the packet was counted.
#[track_caller]
fn outcome(packet: &Packet<'_>) -> &'static str {
    let mut decoder = decoder();
    let handed_on = decoder.decode(packet).is_some();
    let counted: Vec<_> = decoder
        .stats
        .named()
        .filter(|&(_, count)| count > 0)
        .collect();
    let &[(name, 1)] = counted.as_slice() else {
        panic!("counted more or less than once: {counted:?}");
    };
    assert_eq!(handed_on, name == "udp" || name == "tcp");
    name
}

#[test]
fn ethernet_and_its_tags() {
    for (ether_type, ip) in [(0x0800u16, ipv4()), (0x86dd, ipv6())] {
        let layers = assert_dns(1, &ethernet(ether_type, &ip));
        assert_eq!(
            layers.macs,
            Some((Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])))
        );
        assert!(layers.vlan.is_empty());

        let mut bytes = ip.clone();
        let mut inner = ether_type;
        for (id, tag) in [
            (5u16, 0x8100u16),
            (4, 0x9300),
            (3, 0x9200),
            (2, 0x9100),
            (1, 0x88a8),
        ] {
            bytes = joined(&[&(0xe000 | id).to_be_bytes(), &inner.to_be_bytes(), &bytes]);
            inner = tag;
        }
        let layers = assert_dns(1, &ethernet(inner, &bytes));
        assert_eq!(layers.vlan.as_slice(), [1, 2, 3, 4, 5]);
    }
}

#[test]
fn a_priority_is_no_vlan() {
    let bytes = joined(&[&[0xe0, 0], &0x0800u16.to_be_bytes(), &ipv4()]);
    assert!(assert_dns(1, &ethernet(0x8100, &bytes)).vlan.is_empty());
}

#[test]
fn more_tags_than_an_event_names() {
    let mut bytes = joined(&[&[0, 9], &0x0800u16.to_be_bytes(), &ipv4()]);
    for _ in 0..20 {
        bytes = joined(&[&[0, 9, 0x81, 0], &bytes]);
    }
    assert_eq!(assert_dns(1, &ethernet(0x8100, &bytes)).vlan.len(), 8);
}

#[test]
fn length_and_llc_instead_of_an_ether_type() {
    let ip = ipv4();
    for header in [
        &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..],
        &[0xaa, 0xaa, 3, 0, 0, 0xf8, 8, 0],
        &[0xaa, 0xaa, 3, 0, 0, 0, 0x81, 0, 0, 7, 8, 0],
        &[6, 6, 3],
    ] {
        let payload = joined(&[header, &ip]);
        let length = u16::try_from(payload.len()).unwrap();
        assert_dns(1, &ethernet(length, &joined(&[&payload, b"padding"])));
        assert_dns(1, &ethernet(0x8870, &payload));
    }
    for header in [
        &[0x42, 0x42, 3][..],
        &[0xaa, 0xaa, 3, 0, 0, 0xc, 8, 0],
        &[0xaa, 0xaa, 3, 0, 0, 0, 0, 9],
    ] {
        let bytes = ethernet(60, &joined(&[header, &ip]));
        assert_eq!(outcome(&packet(1, &bytes)), "not_ip");
    }
}

#[test]
fn linux_cooked() {
    for (protocol, ip) in [(0x0800u16, ipv4()), (0x86dd, ipv6())] {
        for (link, before, after) in [(113, 14, 0), (276, 0, 18)] {
            let header = joined(&[&vec![0; before], &protocol.to_be_bytes(), &vec![0; after]]);
            assert_eq!(assert_dns(link, &joined(&[&header, &ip])).macs, None);
            let header = joined(&[
                &vec![0; before],
                &[0x81, 0],
                &vec![0; after],
                &[0, 7],
                &protocol.to_be_bytes(),
            ]);
            assert_eq!(
                assert_dns(link, &joined(&[&header, &ip])).vlan.as_slice(),
                [7]
            );
        }
    }
    let header = [
        0, 4, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0,
    ];
    assert_dns(113, &joined(&[&header, &ipv4()]));
    assert_eq!(outcome(&packet(113, &[0; 40])), "not_ip");
}

#[test]
fn loopback_in_both_byte_orders() {
    for link in [0, 108] {
        for (families, ip) in [(&[2u32][..], ipv4()), (&[10, 23, 24, 28, 30], ipv6())] {
            for family in families {
                assert_dns(link, &joined(&[&family.to_be_bytes(), &ip]));
                assert_dns(link, &joined(&[&family.to_le_bytes(), &ip]));
            }
        }
        assert_eq!(
            outcome(&packet(link, &joined(&[&[0, 0, 0, 7], &ipv4()]))),
            "not_ip"
        );
    }
}

#[test]
fn raw_ip() {
    for link in [12, 14, 101] {
        assert_dns(link, &ipv4());
        assert_dns(link, &ipv6());
    }
    for link in [228, 229] {
        assert_dns(link, &ipv4());
        assert_dns(link, &ipv6());
    }
    assert_eq!(outcome(&packet(101, &[0x50; 40])), "malformed");
    assert_eq!(outcome(&packet(195, &ipv4())), "unsupported_link");
}

#[test]
fn link_types_are_followed_or_refused_by_name() {
    for number in 0..400 {
        let link = LinkType(number);
        let is_refused = outcome(&packet(number, &[0; 64])) == "unsupported_link";
        assert_eq!(refused_link(link).is_some(), is_refused, "{number}");
    }
}

#[test]
fn padding_of_the_link_layer_is_taken_off() {
    for ip in [ipv4(), ipv6()] {
        assert_dns(101, &joined(&[&ip, &[0; 18]]));
    }
}

#[test]
fn ipv4_options_and_authentication() {
    let mut header = Ipv4Header::new(0, 64, etherparse::ip_number::UDP, CLIENT, RESOLVER).unwrap();
    header.options = [7, 7, 4, 0, 0, 0, 0, 0].into();
    let udp = &ipv4()[20..];
    header.set_payload_len(udp.len()).unwrap();
    let mut bytes = Vec::new();
    header.write(&mut bytes).unwrap();
    bytes.extend(udp);
    assert_dns(101, &bytes);

    header.protocol = etherparse::ip_number::AUTH;
    let authentication = [
        17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
    ];
    header
        .set_payload_len(udp.len() + authentication.len())
        .unwrap();
    let mut bytes = Vec::new();
    header.write(&mut bytes).unwrap();
    assert_dns(101, &joined(&[&bytes, &authentication, udp]));
}

/// An IPv6 packet with extension headers, each given with its number; their first byte is filled in.
fn with_extensions(extensions: &[(u8, &[u8])]) -> Vec<u8> {
    let whole = ipv6();
    let mut bytes = whole[..40].to_vec();
    let mut next_at = 6;
    for (number, header) in extensions {
        bytes[next_at] = *number;
        next_at = bytes.len();
        bytes.extend(*header);
    }
    bytes[next_at] = 17;
    bytes.extend(&whole[40..]);
    let length = u16::try_from(bytes.len() - 40).unwrap();
    bytes[4..6].copy_from_slice(&length.to_be_bytes());
    bytes
}

#[test]
fn ipv6_extension_headers() {
    let eight = [0u8; 8];
    let sixteen = [&[0u8, 1][..], &[0; 14]].concat();
    let authentication = [&[0u8, 4][..], &[1; 22]].concat();
    let bytes = with_extensions(&[
        (0, &eight),
        (60, &sixteen),
        (43, &sixteen),
        (44, &[0, 0, 0, 0, 1, 2, 3, 4]),
        (51, &authentication),
        (60, &eight),
        (135, &eight),
        (139, &eight),
        (140, &sixteen),
    ]);
    assert_dns(229, &bytes);
    let bytes = with_extensions(&[(0, &[0, 255, 0, 0, 0, 0, 0, 0])]);
    assert_eq!(outcome(&packet(229, &bytes)), "malformed");
    let bytes = with_extensions(&[(59, &eight)]);
    assert_eq!(outcome(&packet(229, &bytes)), "other_protocol");
    // In IPv4 these numbers are protocols, and none of ours.
    let mut bytes = ipv4();
    bytes[9] = 0;
    assert_eq!(outcome(&packet(228, &bytes)), "other_protocol");
}

#[test]
fn lengths_left_to_the_network_card() {
    let mut bytes = ipv4();
    bytes[2..4].copy_from_slice(&[0, 0]);
    assert_dns(101, &bytes);
    bytes[24..26].copy_from_slice(&[0, 0]);
    assert_dns(101, &bytes);
    let mut bytes = ipv6();
    bytes[4..6].copy_from_slice(&[0, 0]);
    bytes[44..46].copy_from_slice(&[0, 0]);
    assert_dns(101, &bytes);
}

#[test]
fn the_udp_length_is_honoured() {
    let mut bytes = ipv4();
    bytes[24..26].copy_from_slice(&20u16.to_be_bytes());
    let mut decoder = decoder();
    assert_eq!(
        decoder.decode(&packet(101, &bytes)).unwrap().payload,
        &DNS[..12]
    );
    bytes[24..26].copy_from_slice(&500u16.to_be_bytes());
    let frame = decoder.decode(&packet(101, &bytes)).unwrap();
    assert_eq!((frame.payload, frame.cut), (DNS, 0));
    bytes[24..26].copy_from_slice(&7u16.to_be_bytes());
    assert_eq!(outcome(&packet(101, &bytes)), "malformed");
}

#[test]
fn what_the_snaplen_left() {
    for ip in [ipv4(), ipv6()] {
        let whole = ethernet(if ip[0] >> 4 == 4 { 0x0800 } else { 0x86dd }, &ip);
        let headers = whole.len() - DNS.len();
        for kept in 0..whole.len() {
            let wire_len = u32::try_from(whole.len()).unwrap();
            let packet = Packet {
                wire_len,
                ..packet(1, &whole[..kept])
            };
            if kept < headers {
                assert_eq!(outcome(&packet), "snaplen", "{kept}");
            } else {
                let mut decoder = decoder();
                let frame = decoder.decode(&packet).unwrap();
                assert_eq!(frame.payload, &DNS[..kept - headers]);
                assert_eq!(frame.cut as usize, whole.len() - kept);
            }
            if kept > 0 {
                // The same bytes, and nobody cut them: headers that end too early.
                let packet = Packet {
                    wire_len: u32::try_from(kept).unwrap(),
                    ..packet
                };
                assert!(kept >= headers || ["malformed", "snaplen"].contains(&outcome(&packet)));
            }
        }
    }
}

#[test]
fn padding_that_the_capture_cut_is_not_missing() {
    let bytes = ipv4();
    let packet = Packet {
        wire_len: 1500,
        ..packet(101, &bytes)
    };
    assert_eq!(decoder().decode(&packet).unwrap().cut, 0);
}

#[test]
fn tcp_segments() {
    let builder = PacketBuilder::ipv4(CLIENT, RESOLVER, 64)
        .tcp(4321, 53, 0x0102_0304, 1024)
        .syn()
        .options_raw(&[1; 12])
        .unwrap();
    let mut bytes = Vec::new();
    builder.write(&mut bytes, DNS).unwrap();
    let mut decoder = decoder();
    let packet = packet(101, &bytes);
    let frame = decoder.decode(&packet).unwrap();
    assert_eq!(
        frame.tcp,
        Some(Tcp {
            sequence: 0x0102_0304,
            syn: true,
            fin: false,
            rst: false
        })
    );
    assert_eq!((frame.payload, frame.transport()), (DNS, Transport::Tcp));
    assert_eq!(decoder.stats.tcp, 1);

    let mut bad = bytes.clone();
    bad[32] = 0x40;
    assert_eq!(
        outcome(&Packet {
            bytes: &bad,
            ..packet
        }),
        "malformed"
    );
    let cut = Packet {
        bytes: &bytes[..45],
        ..packet
    };
    assert_eq!(outcome(&cut), "snaplen");
}

#[test]
fn named_reasons() {
    let mut bytes = ipv4();
    bytes[23] = 54;
    assert_eq!(outcome(&packet(101, &bytes)), "other_port");
    bytes[22..24].copy_from_slice(&4789u16.to_be_bytes());
    assert_eq!(outcome(&packet(101, &bytes)), "other_port");
    bytes[9] = 1;
    assert_eq!(outcome(&packet(101, &bytes)), "other_protocol");
    bytes[0] = 0x44;
    assert_eq!(outcome(&packet(101, &bytes)), "malformed");
    let mut bytes = ipv4();
    bytes[2..4].copy_from_slice(&19u16.to_be_bytes());
    assert_eq!(outcome(&packet(101, &bytes)), "malformed");
    assert_eq!(outcome(&packet(1, &ethernet(0x0806, &[0; 46]))), "not_ip");
    assert_eq!(outcome(&packet(1, &[])), "malformed");
}

/// Packets of every kind that the tests know, to be mutated.
fn seeds() -> Vec<(i32, Vec<u8>)> {
    let mut other = Vec::new();
    PacketBuilder::ipv4(CLIENT, RESOLVER, 64)
        .udp(4321, 8080)
        .write(&mut other, DNS)
        .unwrap();
    let mut tcp = Vec::new();
    PacketBuilder::ipv6(CLIENT6, RESOLVER6, 64)
        .tcp(443, 4321, 1, 1)
        .write(&mut tcp, DNS)
        .unwrap();
    let mut seeds = Vec::new();
    for ip in [
        ipv4(),
        ipv6(),
        other,
        tcp,
        with_extensions(&[(0, &[0; 8]), (44, &[0; 8])]),
    ] {
        let ether_type: u16 = if ip[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
        seeds.push((101, ip.clone()));
        seeds.push((1, ethernet(ether_type, &ip)));
        seeds.push((
            1,
            ethernet(0x8100, &joined(&[&[0, 1], &ether_type.to_be_bytes(), &ip])),
        ));
        seeds.push((113, joined(&[&[0; 14], &ether_type.to_be_bytes(), &ip])));
        seeds.push((276, joined(&[&ether_type.to_be_bytes(), &[0; 18], &ip])));
    }
    for ip in [ipv4(), ipv6()] {
        seeds.extend(
            encapsulation::split(&ip, 7, 24)
                .into_iter()
                .map(|piece| (101, piece)),
        );
    }
    for encapsulation in encapsulations() {
        let wrap = |ip| encapsulation.wrap(&Wrapped::Ip(ip), WAY);
        let wrapped = wrap(ipv4()).or_else(|| wrap(ipv6())).unwrap();
        let (link, bytes) = wrapped.link();
        seeds.push((link, bytes.to_vec()));
    }
    seeds
}

fn mutated() -> impl Strategy<Value = (i32, Vec<u8>, u32)> {
    let seed = proptest::sample::select(seeds());
    let changes = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4);
    let kept = prop_oneof![3 => Just(None), 1 => any::<proptest::sample::Index>().prop_map(Some)];
    (seed, changes, kept, 0u32..40).prop_map(|((link, mut bytes), changes, kept, cut)| {
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(kept) = kept {
            bytes.truncate(kept.index(bytes.len()));
        }
        let wire_len = u32::try_from(bytes.len()).unwrap() + if cut < 20 { 0 } else { cut };
        (link, bytes, wire_len)
    })
}

proptest! {
    #[test]
    fn any_bytes_are_counted_once(
        link in proptest::sample::select([link::link_type::FOLLOWED.as_slice(), &[195, 9999]].concat()),
        bytes in proptest::collection::vec(prop_oneof![2 => any::<u8>(), 1 => Just(0), 1 => Just(8)], 0..200),
        cut in 0u32..10,
    ) {
        let wire_len = u32::try_from(bytes.len()).unwrap() + cut;
        outcome(&Packet { wire_len, ..packet(link, &bytes) });
    }

    #[test]
    fn mutated_packets_are_counted_once((link, bytes, wire_len) in mutated()) {
        outcome(&Packet { wire_len, ..packet(link, &bytes) });
    }

    #[test]
    fn the_look_refuses_only_other_ports((link, bytes, wire_len) in mutated()) {
        if !decoder().may_hold_dns(LinkType(link), &bytes) {
            prop_assert_eq!(outcome(&Packet { wire_len, ..packet(link, &bytes) }), "other_port");
        }
    }
}

#[test]
fn the_look_refuses_plain_packets_of_other_ports() {
    for (link, bytes) in seeds() {
        let refused = !decoder().may_hold_dns(LinkType(link), &bytes);
        assert_eq!(
            refused,
            outcome(&packet(link, &bytes)) == "other_port",
            "{link} {bytes:?}"
        );
    }
}

/// A frame with a VLAN tag or without, some of whose bytes are others.
fn changed(tag: Option<u16>, ether_type: u16, ip: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = match tag {
        Some(tag) => {
            let tagged = joined(&[&tag.to_be_bytes(), &ether_type.to_be_bytes(), ip]);
            ethernet(0x8100, &tagged)
        }
        None => ethernet(ether_type, ip),
    };
    let length = bytes.len();
    for (place, value) in changes {
        bytes[place % length] = *value;
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// What the quick way gives, the layers one by one give too; and it is taken.
    #[test]
    fn the_quick_way_agrees_with_the_long_one(
        v6 in any::<bool>(),
        tag in prop::option::of(any::<u16>()),
        changes in prop::collection::vec((0_usize..90, any::<u8>()), 0..3),
        cut in 0_usize..12,
    ) {
        let (ether_type, ip) = if v6 { (0x86dd_u16, ipv6()) } else { (0x0800, ipv4()) };
        let mut bytes = changed(tag, ether_type, &ip, &changes);
        let length = bytes.len();
        bytes.truncate(length - cut.saturating_sub(6));
        let mut decoder = decoder();
        let packet = packet(1, &bytes);
        let quick = plain::read(&packet, &decoder.ports).map(|plain| {
            let [src, dst] = plain.addresses.either();
            let [src_port, dst_port] = plain.ports;
            // Of another packet before.
            let mut layers = Layers {
                vlan: [1, 2].into_iter().collect(),
                tunnel: [Tunnel::Gre].into_iter().collect(),
                tunnel_id: 7,
                macs: None,
            };
            plain.around.write_to(&mut layers);
            let frame = Frame {
                src,
                dst,
                src_port,
                dst_port,
                ip_id: plain.ip_id,
                payload: plain.payload,
                layers,
                cut: 0,
                ..Frame::around(&packet)
            };
            assert_eq!(plain.around.network(), frame.layers.network());
            format!("{frame:?}")
        });
        if changes.is_empty() && bytes.len() == length {
            prop_assert!(quick.is_some());
        }
        if let Some(quick) = quick {
            prop_assert_eq!(decoder.walk(&packet, 0).map(|frame| format!("{frame:?}")), Some(quick));
        }
    }
    /// The same of segments of TCP, with options and without, and with what the link layer puts behind them.
    #[test]
    fn the_quick_way_of_segments_agrees_with_the_long_one(
        v6 in any::<bool>(),
        tag in prop::option::of(any::<u16>()),
        options in 0_usize..3,
        payload in prop::collection::vec(any::<u8>(), 0..20),
        padding in 0_usize..8,
        changes in prop::collection::vec((0_usize..100, any::<u8>()), 0..3),
        cut in 0_usize..12,
    ) {
        let builder = if v6 {
            PacketBuilder::ipv6(CLIENT6, RESOLVER6, 64)
        } else {
            PacketBuilder::ipv4(CLIENT, RESOLVER, 64)
        };
        let builder = builder.tcp(4321, 53, 0x0102_0304, 1024).syn();
        let builder = builder.options_raw(&[1, 1, 1, 1, 1, 1, 1, 1][..4 * options]).unwrap();
        let mut ip = Vec::new();
        builder.write(&mut ip, &payload).unwrap();
        let ether_type = if v6 { 0x86dd_u16 } else { 0x0800 };
        let mut bytes = changed(tag, ether_type, &ip, &changes);
        let length = bytes.len();
        bytes.extend(std::iter::repeat_n(7, padding));
        bytes.truncate(bytes.len() - cut.saturating_sub(6));
        let mut decoder = decoder();
        let packet = packet(1, &bytes);
        let quick = plain::segment(&packet, &decoder.ports).map(|frame| format!("{frame:?}"));
        if changes.is_empty() && bytes.len() >= length {
            prop_assert!(quick.is_some());
        }
        if let Some(quick) = quick {
            prop_assert_eq!(decoder.walk(&packet, 0).map(|frame| format!("{frame:?}")), Some(quick));
        }
    }
}
