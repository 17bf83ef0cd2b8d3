//! What is laid aside of packets on other ports: between whom encrypted DNS may go.

use std::sync::Arc;

use super::*;
use crate::encrypted::{Ends, KnownResolvers, TcpStart};

/// A resolver of the list, and a server that is none.
const KNOWN: [u8; 4] = [198, 51, 100, 53];
const OTHER: [u8; 4] = [198, 51, 100, 54];

fn ports() -> Ports {
    let known = KnownResolvers::read("[Known]\n198.51.100.53 2001:db8::53").unwrap();
    Ports::new(&Ports::DEFAULT).with_known(Arc::new(known))
}

/// A SYN from the client.
fn syn(server: [u8; 4], port: u16) -> Vec<u8> {
    let builder = PacketBuilder::ipv4(CLIENT, server, 64).tcp(40_000, port, 7, 1024);
    let mut bytes = Vec::new();
    builder.syn().write(&mut bytes, &[]).unwrap();
    bytes
}

/// A datagram from the server to the client.
fn datagram(server: [u8; 4], port: u16) -> Vec<u8> {
    let builder = PacketBuilder::ipv4(server, CLIENT, 64).udp(port, 40_000);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, b"encrypted").unwrap();
    bytes
}

/// What is laid aside of a packet that holds no DNS.
fn aside(packet: &Packet<'_>) -> Vec<Ends> {
    let mut decoder = Decoder::new(ports());
    assert!(decoder.decode(packet).is_none());
    assert_eq!(decoder.stats.other_port, 1, "{:?}", decoder.stats);
    let ends: Vec<Ends> = decoder.take_aside().collect();
    assert!(decoder.take_aside().next().is_none(), "given once");
    ends
}

fn looked_into(link: i32, bytes: &[u8]) -> bool {
    Decoder::new(ports()).may_hold_dns(LinkType(link), bytes)
}

#[test]
fn connections_of_encrypted_dns_are_laid_aside() {
    let start = TcpStart {
        sequence: 7,
        syn: true,
        ack: false,
        rst: false,
        fin: false,
    };
    let ends = |server: [u8; 4], port, tcp| Ends {
        src: CLIENT.into(),
        dst: server.into(),
        src_port: 40_000,
        dst_port: port,
        tcp,
    };
    let back = |ends: Ends| Ends {
        src: ends.dst,
        dst: ends.src,
        src_port: ends.dst_port,
        dst_port: ends.src_port,
        tcp: None,
    };
    for (bytes, expected) in [
        (syn(OTHER, 853), Some(ends(OTHER, 853, Some(start)))),
        (syn(KNOWN, 443), Some(ends(KNOWN, 443, Some(start)))),
        (datagram(OTHER, 853), Some(back(ends(OTHER, 853, None)))),
        (datagram(KNOWN, 443), Some(back(ends(KNOWN, 443, None)))),
        (syn([203, 0, 113, 1], 443), None),
        (datagram([203, 0, 113, 1], 443), None),
        (syn(KNOWN, 80), None),
    ] {
        assert_eq!(looked_into(101, &bytes), expected.is_some());
        let packet = packet(101, &bytes);
        let found = aside(&packet);
        assert_eq!(found, Vec::from_iter(expected));
    }
    // Next door in the list: the quick look does not tell it from the resolver, the connection is not one of DNS.
    assert!(looked_into(101, &syn(OTHER, 443)));
}

#[test]
fn also_in_every_tunnel() {
    for v6 in [false, true] {
        for encapsulation in encapsulations() {
            let inside = Wrapped::Ip(syn(OTHER, 853));
            let Some(wrapped) = encapsulation.wrap(&inside, Way::there(v6)) else {
                continue;
            };
            let (link, bytes) = wrapped.link();
            let ends = aside(&packet(link, bytes));
            let [ends] = ends.as_slice() else {
                panic!("{ends:?} in {}", encapsulation.what);
            };
            assert_eq!((ends.dst, ends.dst_port), (OTHER.into(), 853));
        }
    }
}

/// The capture cut the header: there is a connection, and nothing is said of its beginning.
#[test]
fn a_cut_header_says_nothing_of_the_beginning() {
    let bytes = syn(OTHER, 853);
    let cut = &bytes[..30];
    let packet = Packet {
        wire_len: 40,
        ..packet(101, cut)
    };
    let ends = aside(&packet);
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].tcp, Some(TcpStart::default()));
}

/// A port of DNS is one of DNS.
#[test]
fn a_port_that_was_asked_for_is_read() {
    let bytes = datagram(OTHER, 853);
    let mut decoder = Decoder::new(Ports::new(&[853]));
    assert!(decoder.decode(&packet(101, &bytes)).is_some());
    assert!(decoder.take_aside().next().is_none());
}

proptest! {
    /// Whatever the quick look refuses, nothing of it would be laid aside.
    #[test]
    fn the_look_refuses_nothing_that_is_laid_aside(
        is_ipv6 in any::<bool>(),
        is_tcp in any::<bool>(),
        src_port in prop_oneof![Just(443_u16), Just(853), any::<u16>()],
        dst_port in prop_oneof![Just(443_u16), Just(853), any::<u16>()],
        src in prop_oneof![Just(KNOWN), Just(OTHER), any::<[u8; 4]>()],
        dst in prop_oneof![Just(KNOWN), Just(OTHER), any::<[u8; 4]>()],
        changes in prop::collection::vec((0_usize..60, any::<u8>()), 0..3),
    ) {
        let mut bytes = Vec::new();
        let wide = |[.., last]: [u8; 4]| {
            let mut wide = [0; 16];
            wide[..4].copy_from_slice(&[0x20, 1, 0x0d, 0xb8]);
            wide[15] = if last == 53 { 0x53 } else { last };
            wide
        };
        match (is_ipv6, is_tcp) {
            (false, false) => PacketBuilder::ipv4(src, dst, 64).udp(src_port, dst_port).write(&mut bytes, b"bytes"),
            (false, true) => PacketBuilder::ipv4(src, dst, 64).tcp(src_port, dst_port, 1, 1).write(&mut bytes, b"bytes"),
            (true, false) => PacketBuilder::ipv6(wide(src), wide(dst), 64).udp(src_port, dst_port).write(&mut bytes, b"bytes"),
            (true, true) => PacketBuilder::ipv6(wide(src), wide(dst), 64).tcp(src_port, dst_port, 1, 1).write(&mut bytes, b"bytes"),
        }.unwrap();
        for (place, value) in changes {
            let length = bytes.len();
            bytes[place % length] = value;
        }
        if !looked_into(101, &bytes) {
            prop_assert_eq!(aside(&packet(101, &bytes)), []);
        }
    }
}
