//! Connections count once, whoever shows them again; held against a model that forgets nothing.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const CLIENT: &str = "10.0.0.1";
const SERVER: &str = "192.0.2.53";
/// A resolver of the list.
const KNOWN: &str = "198.51.100.1";

const SYN: u8 = 1;
const ACK: u8 = 2;
const RST: u8 = 4;
const FIN: u8 = 8;

fn flows() -> Flows {
    let known = KnownResolvers::read("[Known]\n198.51.100.0/24 2001:db8::53").unwrap();
    Flows::new(Arc::new(known))
}

/// Flags of TCP and a sequence number; `None` for UDP.
type Tcp = Option<(u8, u32)>;

fn ends(src: (&str, u16), dst: (&str, u16), tcp: Tcp) -> Ends {
    Ends {
        src: src.0.parse().unwrap(),
        dst: dst.0.parse().unwrap(),
        src_port: src.1,
        dst_port: dst.1,
        tcp: tcp.map(|(flags, sequence)| TcpStart {
            sequence,
            syn: flags & SYN != 0,
            ack: flags & ACK != 0,
            rst: flags & RST != 0,
            fin: flags & FIN != 0,
        }),
    }
}

/// Whether each packet told of a new connection, and of one that came to be; `None` where it told nothing.
fn told(packets: &[(i64, Ends)]) -> Vec<Option<(bool, bool)>> {
    let mut flows = flows();
    packets
        .iter()
        .map(|(seconds, ends)| {
            let sighting = flows.see(Timestamp::from_parts(*seconds, 0), ends)?;
            Some((sighting.is_new, sighting.is_answered))
        })
        .collect()
}

const NEW: Option<(bool, bool)> = Some((true, false));
const ANSWERED: Option<(bool, bool)> = Some((false, true));
const BOTH: Option<(bool, bool)> = Some((true, true));

#[test]
fn a_handshake_is_one_connection() {
    let (client, server) = ((CLIENT, 40_000), (SERVER, 853));
    assert_eq!(
        told(&[
            (0, ends(client, server, Some((SYN, 7)))),
            (1, ends(client, server, Some((SYN, 7)))),
            (1, ends(server, client, Some((SYN | ACK, 9)))),
            (1, ends(client, server, Some((ACK, 8)))),
            (2, ends(server, client, Some((ACK, 10)))),
            (300, ends(client, server, Some((ACK | RST, 11)))),
        ]),
        [NEW, None, ANSWERED, None, None, None]
    );
}

#[test]
fn who_how_and_whose() {
    let mut flows = flows();
    let mut see = |src, dst, tcp| flows.see(Timestamp::from_nanos(5), &ends(src, dst, tcp));
    let address = |text: &str| -> IpAddr { text.parse().unwrap() };
    let sighting = see((CLIENT, 40_000), (SERVER, 853), Some((SYN, 1))).unwrap();
    assert_eq!(
        sighting,
        Sighting {
            time: Timestamp::from_nanos(5),
            client: address(CLIENT),
            resolver: address(SERVER),
            operator: None,
            protocol: Protocol::Tls,
            is_new: true,
            is_answered: false,
        }
    );
    // By a packet of the server it is the same client.
    let quic = see((KNOWN, 853), (CLIENT, 40_001), None).unwrap();
    assert_eq!(
        (quic.client, quic.protocol),
        (address(CLIENT), Protocol::Quic)
    );
    assert!(quic.operator.is_some() && quic.is_new && quic.is_answered);
    for tcp in [Some((SYN, 1)), None] {
        let https = see((CLIENT, 40_002), (KNOWN, 443), tcp).unwrap();
        assert_eq!(https.protocol, Protocol::Https);
        assert!(https.operator.is_some());
    }
    let ipv6 = see(("2001:db8:1::1", 40_002), ("2001:db8::53", 443), None).unwrap();
    assert_eq!(ipv6.resolver, address("2001:db8::53"));
    // HTTPS with anybody else is HTTPS.
    assert_eq!(see((CLIENT, 40_003), (SERVER, 443), None), None);
    assert_eq!(
        see((SERVER, 443), (CLIENT, 40_003), Some((SYN | ACK, 1))),
        None
    );
    assert_eq!(see((CLIENT, 40_003), (KNOWN, 8443), None), None);
}

/// A firewall that refuses, and one that is silent: attempts, and nothing came of them.
#[test]
fn what_is_refused_is_not_answered() {
    let (client, server) = ((CLIENT, 40_000), (SERVER, 853));
    assert_eq!(
        told(&[
            (0, ends(client, server, Some((SYN, 7)))),
            (1, ends(server, client, Some((RST | ACK, 0)))),
            (2, ends(client, server, Some((SYN, 7)))),
            (2, ends(client, server, Some((RST, 8)))),
            (3, ends((CLIENT, 40_001), server, None)),
            (4, ends((CLIENT, 40_001), server, None)),
        ]),
        [NEW, None, None, None, NEW, None]
    );
}

/// Only the client's direction: what it says after the handshake shows that there was one.
#[test]
fn one_direction_is_enough() {
    let (client, server) = ((CLIENT, 40_000), (SERVER, 853));
    assert_eq!(
        told(&[
            (0, ends(client, server, Some((SYN, 7)))),
            (1, ends(client, server, Some((ACK, 8)))),
        ]),
        [NEW, ANSWERED]
    );
    assert_eq!(
        told(&[(0, ends(server, client, Some((SYN | ACK, 7))))]),
        [BOTH]
    );
    // In the middle.
    assert_eq!(told(&[(0, ends(client, server, Some((ACK, 7))))]), [BOTH]);
    assert_eq!(told(&[(0, ends(server, client, None))]), [BOTH]);
}

/// A resolver that forwards opens one connection after the other, and comes to the same port again soon.
#[test]
fn the_same_port_again_is_another_connection() {
    let (client, server) = ((CLIENT, 40_000), (SERVER, 853));
    assert_eq!(
        told(&[
            (0, ends(client, server, Some((SYN, 7)))),
            (1, ends(server, client, Some((SYN | ACK, 70)))),
            (2, ends(client, server, Some((SYN, 8)))),
            (3, ends(server, client, Some((SYN | ACK, 80)))),
        ]),
        [NEW, ANSWERED, NEW, ANSWERED]
    );
    // Browsers keep their connections for hours, and end them then.
    assert_eq!(
        told(&[
            (0, ends(client, server, Some((SYN, 7)))),
            (1, ends(server, client, Some((SYN | ACK, 70)))),
            (20_000, ends(client, server, Some((ACK, 8)))),
            (40_000, ends(client, server, Some((ACK | FIN, 9)))),
            (40_000, ends(server, client, Some((ACK, 71)))),
        ]),
        [NEW, ANSWERED, None, None, None]
    );
    // Over UDP only silence tells.
    assert_eq!(
        told(&[
            (0, ends(client, server, None)),
            (300, ends(client, server, None)),
            (601, ends(client, server, None)),
        ]),
        [NEW, None, NEW]
    );
    // The mirror shows the answer before the SYN.
    assert_eq!(
        told(&[
            (0, ends(server, client, Some((SYN | ACK, 70)))),
            (0, ends(client, server, Some((SYN, 7)))),
            (1, ends(client, server, Some((SYN, 7)))),
            (2, ends(client, server, Some((SYN, 8)))),
        ]),
        [BOTH, None, None, NEW]
    );
}

/// NFS clients like ports below 1024, 853 among them.
#[test]
fn a_client_on_port_853_is_no_resolver() {
    let (client, nfs) = ((CLIENT, 853), (SERVER, 2049));
    assert_eq!(
        told(&[
            (0, ends(client, nfs, Some((SYN, 7)))),
            (0, ends(nfs, client, Some((SYN | ACK, 70)))),
            (1, ends(client, nfs, Some((ACK, 8)))),
            (2, ends(nfs, client, Some((ACK, 71)))),
        ]),
        [None; 4]
    );
    // By the answer alone, and in the middle.
    assert_eq!(
        told(&[(0, ends(nfs, client, Some((SYN | ACK, 70))))]),
        [None]
    );
    assert_eq!(told(&[(0, ends(client, nfs, Some((ACK, 8))))]), [None]);
    assert_eq!(told(&[(0, ends(nfs, client, None))]), [None]);
    assert_eq!(told(&[(0, ends(client, (SERVER, 111), None))]), [None]);
    // To a service on any port, where its SYN was seen.
    let mountd = (SERVER, 20_048);
    assert_eq!(
        told(&[
            (0, ends(client, mountd, Some((SYN, 7)))),
            (1, ends(mountd, client, Some((ACK, 8)))),
            (2, ends(client, mountd, Some((ACK, 8)))),
            // The same ports later, the other way round.
            (3, ends(mountd, client, Some((SYN, 9)))),
        ]),
        [None, None, None, NEW]
    );
}

/// Where both ends could be the server, both directions are one connection all the same.
#[test]
fn both_on_port_853() {
    let (one, other) = ((CLIENT, 853), (SERVER, 853));
    assert_eq!(
        told(&[
            (0, ends(one, other, None)),
            (0, ends(other, one, None)),
            (0, ends(one, other, None))
        ])
        .iter()
        .filter(|told| told.is_some_and(|(is_new, _)| is_new))
        .count(),
        0,
        "neither port is a client's"
    );
    assert_eq!(
        told(&[
            (0, ends(one, other, Some((SYN, 1)))),
            (0, ends(other, one, Some((SYN | ACK, 2)))),
            (0, ends(one, other, Some((ACK, 2))))
        ])
        .iter()
        .filter(|told| told.is_some_and(|(is_new, _)| is_new))
        .count(),
        0,
        "the lower address is taken for the server, and it opened the connection"
    );
}

#[test]
fn another_capture_begins_anew() {
    let packet = ends((CLIENT, 40_000), (SERVER, 853), Some((SYN, 7)));
    // Back by a minute is disorder, by more another capture.
    assert_eq!(
        told(&[(1_000, packet), (940, packet), (939, packet)]),
        [NEW, None, NEW]
    );
}

#[test]
fn too_many_are_forgotten_and_counted() {
    let mut flows = flows();
    flows.half = 10;
    let mut see = |port: u16| {
        let packet = ends((CLIENT, port), (SERVER, 853), Some((ACK, 7)));
        flows.see(Timestamp::from_nanos(i64::from(port)), &packet)
    };
    for port in 2_100..2_130 {
        assert!(see(port).is_some());
    }
    // The last ten are in the young half, ten before them in the old one.
    assert!((2_110..2_130).all(|port| see(port).is_none()));
    assert!(see(2_100).is_some(), "forgotten, so it counts again");
    assert_eq!(flows.forgotten, 20);
    assert!(flows.young.len() <= 10 && flows.old.len() <= 10);
}

#[derive(Clone, Debug)]
struct Packet {
    at: i64,
    client: u8,
    server: u8,
    from_client: bool,
    tcp: Tcp,
}

fn packets() -> impl Strategy<Value = Vec<Packet>> {
    let tcp = prop_oneof![
        Just(None),
        (
            prop_oneof![Just(SYN), Just(SYN | ACK), Just(ACK), Just(RST)],
            0_u32..2
        )
            .prop_map(Some)
    ];
    let packet = (0_i64..200, 0_u8..2, 0_u8..2, any::<bool>(), tcp);
    prop::collection::vec(packet, 0..40).prop_map(|list| {
        let mut now = 0;
        list.into_iter()
            .map(|(after, client, server, from_client, tcp)| {
                now += after;
                // A client alone sends a plain SYN, a server alone accepts it.
                let from_client = match tcp {
                    Some((SYN, _)) => true,
                    Some((flags, _)) if flags == SYN | ACK => false,
                    _ => from_client,
                };
                Packet {
                    at: now,
                    client,
                    server,
                    from_client,
                    tcp,
                }
            })
            .collect()
    })
}

/// The naive model: all packets of the same ends so far, looked through from the start for each packet.
fn model(packets: &[Packet]) -> (usize, usize) {
    let (mut connections, mut answered) = (0, 0);
    for client in 0..2 {
        for server in 0..2 {
            for is_tcp in [false, true] {
                let mut open: Option<(i64, Option<u32>, bool)> = None;
                for packet in packets.iter().filter(|packet| {
                    (packet.client, packet.server, packet.tcp.is_some()) == (client, server, is_tcp)
                }) {
                    let syn = packet.tcp.filter(|tcp| tcp.0 == SYN).map(|tcp| tcp.1);
                    let goes_on = open.is_some_and(|(last, start, _)| {
                        (is_tcp || packet.at - last <= 300)
                            && (syn.is_none() || start.is_none() || start == syn)
                    });
                    let (start, was_answered) = match open {
                        Some((_, start, was_answered)) if goes_on => (start.or(syn), was_answered),
                        _ => {
                            connections += 1;
                            (syn, false)
                        }
                    };
                    let is_answer = match packet.tcp {
                        None => !packet.from_client,
                        Some((RST, _)) => false,
                        Some((flags, _)) => flags & ACK != 0,
                    };
                    answered += usize::from(is_answer && !was_answered);
                    open = Some((packet.at, start, was_answered || is_answer));
                }
            }
        }
    }
    (connections, answered)
}

proptest! {
    #[test]
    fn as_the_naive_model_counts(packets in packets()) {
        let mut flows = flows();
        let (mut connections, mut answered) = (0, 0);
        for packet in &packets {
            let client = (CLIENT, 40_000 + u16::from(packet.client));
            let server = ([SERVER, KNOWN][usize::from(packet.server)], 853);
            let ends = if packet.from_client {
                ends(client, server, packet.tcp)
            } else {
                ends(server, client, packet.tcp)
            };
            if let Some(sighting) = flows.see(Timestamp::from_parts(packet.at, 0), &ends) {
                connections += usize::from(sighting.is_new);
                answered += usize::from(sighting.is_answered);
            }
        }
        prop_assert_eq!((connections, answered), model(&packets));
        prop_assert_eq!(flows.forgotten, 0);
    }
}
