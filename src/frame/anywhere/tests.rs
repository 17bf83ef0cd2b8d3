use etherparse::PacketBuilder;

use super::*;
use crate::frame::{Decoder, Ports};
use crate::packet::{LinkType, Look, Packet};
use crate::time::Timestamp;

const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [192, 0, 2, 53];
const QUERY: &[u8] = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
const ANSWER: &[u8] = b"\0\x07\x81\x80\0\x01\0\x01\0\0\0\0\x07example\x03com\0\0\x01\0\x01\
    \xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x63";
/// Nothing but a header that refuses.
const REFUSAL: &[u8] = b"\0\x07\x81\x05\0\0\0\0\0\0\0\0";

struct End(([u8; 4], u16));

/// A client, and a server on a port of its own.
const ASKING: End = End((CLIENT, 40_000));
const ASKED: End = End((SERVER, 5300));

fn udp(End(src): &End, End(dst): &End, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(src.0, dst.0, 64)
        .udp(src.1, dst.1)
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

fn tcp(End(src): &End, End(dst): &End, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(src.0, dst.0, 64)
        .tcp(src.1, dst.1, 1, 1000)
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

fn decoder() -> Decoder {
    Decoder::new(Ports::new(&Ports::DEFAULT).and_anywhere())
}

/// Whether a packet is handed on. What is not is counted as of another port.
fn takes(decoder: &mut Decoder, bytes: &[u8]) -> bool {
    let packet = Packet {
        time: Timestamp::from_nanos(0),
        input: 0,
        number: 1,
        link: LinkType(101),
        wire_len: u32::try_from(bytes.len()).unwrap(),
        bytes,
    };
    let may = decoder.may_hold_dns(packet.link, bytes);
    let others = decoder.stats.other_port;
    let is_taken = decoder.decode(&packet).is_some();
    assert!(may || !is_taken, "the look refuses what is DNS");
    assert_eq!(decoder.stats.other_port - others, u64::from(!is_taken));
    is_taken
}

#[test]
fn either_side_of_a_conversation_begins_it() {
    for first in [udp(&ASKING, &ASKED, QUERY), udp(&ASKED, &ASKING, ANSWER)] {
        let mut decoder = decoder();
        assert!(takes(&mut decoder, &first));
        // Now also what is not beyond doubt, but has a header and a name, or nothing else.
        let odd = [QUERY, b"trailing"].concat();
        assert!(takes(&mut decoder, &udp(&ASKING, &ASKED, &odd)));
        assert!(takes(&mut decoder, &udp(&ASKED, &ASKING, REFUSAL)));
        assert!(!takes(
            &mut decoder,
            &udp(&ASKED, &ASKING, b"no DNS at all, in no way")
        ));
        assert!(!takes(&mut decoder, &udp(&ASKED, &ASKING, b"")));
        // Nothing of that holds for others.
        for (src, dst) in [
            (&ASKED, &End((CLIENT, 40_001))),
            (&End(([192, 0, 2, 54], 5300)), &ASKING),
            (&End((SERVER, 5301)), &ASKING),
        ] {
            assert!(!takes(&mut decoder, &udp(src, dst, REFUSAL)));
        }
        assert!(!takes(&mut decoder, &tcp(&ASKED, &ASKING, REFUSAL)));
        let stats = decoder.any_port_stats();
        assert_eq!(
            (stats.conversations, stats.udp_messages, stats.tcp_segments),
            (1, 3, 0)
        );
    }
}

#[test]
fn segments_of_a_connection_follow_its_first_message() {
    let long = [0x40; 1000];
    for first in [
        tcp(&ASKING, &ASKED, &framed(QUERY)),
        tcp(&ASKED, &ASKING, &framed(ANSWER)),
        // The length came in a segment of its own.
        tcp(&ASKING, &ASKED, QUERY),
    ] {
        let mut decoder = decoder();
        for (src, dst) in [(&ASKING, &ASKED), (&ASKED, &ASKING)] {
            assert!(!takes(&mut decoder, &tcp(src, dst, b"")));
            assert!(!takes(&mut decoder, &tcp(src, dst, &long)));
        }
        assert!(takes(&mut decoder, &first));
        for (src, dst) in [(&ASKING, &ASKED), (&ASKED, &ASKING)] {
            assert!(takes(&mut decoder, &tcp(src, dst, b"")));
            assert!(takes(&mut decoder, &tcp(src, dst, &long)));
        }
        assert!(!takes(
            &mut decoder,
            &tcp(&ASKED, &End((CLIENT, 40_001)), &long)
        ));
        let stats = decoder.any_port_stats();
        assert_eq!(
            (stats.conversations, stats.udp_messages, stats.tcp_segments),
            (1, 0, 5)
        );
    }
}

#[test]
fn without_being_asked_nothing_is_found() {
    let mut decoder = Decoder::new(Ports::new(&Ports::DEFAULT));
    for packet in [
        udp(&ASKING, &ASKED, QUERY),
        tcp(&ASKING, &ASKED, &framed(QUERY)),
    ] {
        assert!(!decoder.may_hold_dns(LinkType(101), &packet));
        assert!(!takes(&mut decoder, &packet));
    }
}

/// DNS on the port of a tunnel is no tunnel, and a tunnel is still one.
#[test]
fn ports_of_tunnels() {
    let asked = End((SERVER, 4789));
    let mut decoder = decoder();
    assert!(takes(&mut decoder, &udp(&ASKING, &asked, QUERY)));
    assert!(takes(&mut decoder, &udp(&asked, &ASKING, ANSWER)));
    let inner = [
        &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0],
        &udp(&ASKING, &ASKED, QUERY)[..],
    ]
    .concat();
    let vxlan = udp(
        &End(([198, 51, 100, 1], 50_000)),
        &asked,
        &[&[8, 0, 0, 0, 0, 0, 7, 0], &inner[..]].concat(),
    );
    assert!(takes(&mut decoder, &vxlan));
    assert_eq!(decoder.tunnels.vxlan, 1);
    assert_eq!(decoder.any_port_stats().conversations, 2);
}

/// The first fragment says by its shape whether the others are worth keeping.
#[test]
fn fragments() {
    let text = |byte| [&[200][..], &[byte; 200]].concat();
    let mut message = b"\0\x07\x81\x80\0\x01\0\x01\0\0\0\0\x07example\x03com\0\0\x10\0\x01\xc0\x0c\0\x10\0\x01\0\0\0\x3c".to_vec();
    message.extend(603_u16.to_be_bytes());
    message.extend([text(b'a'), text(b'b'), text(b'c')].concat());
    for (payload, is_dns) in [(message, true), (vec![7; 600], false)] {
        let whole = udp(&ASKED, &ASKING, &payload);
        let pieces = |id: u8| {
            [(20, 220, 0x20, 0), (220, whole.len(), 0, 25)].map(|(from, to, more, offset)| {
                let mut piece = [&whole[..20], &whole[from..to]].concat();
                let length = u16::try_from(piece.len()).unwrap();
                piece[2..4].copy_from_slice(&length.to_be_bytes());
                piece[4..8].copy_from_slice(&[0, id, more, offset]);
                piece
            })
        };
        let decode = |decoder: &mut Decoder, bytes: &[u8]| {
            let packet = Packet {
                time: Timestamp::from_nanos(0),
                input: 0,
                number: 1,
                link: LinkType(101),
                wire_len: u32::try_from(bytes.len()).unwrap(),
                bytes,
            };
            decoder.decode(&packet).map(|frame| frame.payload.to_vec())
        };
        let [first, second] = pieces(1);
        let expected = is_dns.then_some(payload);
        let mut forward = decoder();
        assert_eq!(decode(&mut forward, &first), None);
        assert_eq!(decode(&mut forward, &second), expected);
        let mut backward = decoder();
        assert_eq!(decode(&mut backward, &second), None);
        assert_eq!(decode(&mut backward, &first), expected);
        // What never becomes whole is known by its beginning.
        let [first, _] = pieces(2);
        let mut alone = decoder();
        assert_eq!(decode(&mut alone, &first), None);
        alone.close();
        assert_eq!(alone.next_lost().is_some(), is_dns);
    }
}

#[test]
fn the_conversations_that_were_quiet_for_longest_are_forgotten() {
    let mut conversations = Conversations::new(4);
    for conversation in 1..=6 {
        assert!(!conversations.refresh(conversation));
        conversations.add(conversation);
    }
    // 1 to 4 are the old half now; 1 is heard again.
    assert!(conversations.refresh(1));
    for conversation in 7..=8 {
        conversations.add(conversation);
    }
    let remembered: Vec<u64> = (1..=8).filter(|one| conversations.refresh(*one)).collect();
    assert_eq!(remembered, [1, 5, 6, 7, 8]);
    assert!(conversations.young.len() + conversations.old.len() <= 8);
}
