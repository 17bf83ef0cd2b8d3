//! Frames written here by hand, field by field as dnstap.proto has them, and streams of them cut anywhere.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

/// A varint of Protocol Buffers.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A number as field.
fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// Bytes as field.
fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    let head = [varint(field << 3 | 2), varint(value.len() as u64)].concat();
    [&head, value].concat()
}

/// 32 bits as field.
fn fixed(field: u64, value: u32) -> Vec<u8> {
    [varint(field << 3 | 5), value.to_le_bytes().to_vec()].concat()
}

/// A frame of type `MESSAGE`.
fn frame(message: &[Vec<u8>]) -> Vec<u8> {
    [
        bytes(1, b"ns1"),
        bytes(2, b"some version"),
        bytes(14, &message.concat()),
        number(15, 1),
    ]
    .concat()
}

fn whole() -> Vec<Vec<u8>> {
    vec![
        number(1, 6),
        number(2, 1),
        number(3, 3),
        bytes(4, &[192, 0, 2, 1]),
        bytes(5, &[192, 0, 2, 53]),
        number(6, 40_000),
        number(7, 853),
        number(8, 1_800_000_000),
        fixed(9, 7),
        bytes(10, b"the query"),
        bytes(11, b"\x00"),
        number(12, 1_800_000_001),
        fixed(13, 9),
        bytes(14, b"the response"),
    ]
}

fn socket(text: &str, port: u16) -> (IpAddr, u16) {
    (text.parse().unwrap(), port)
}

#[test]
fn a_frame_with_both() {
    let tapped = Tapped::read(&frame(&whole())).unwrap();
    assert_eq!(tapped.identity, b"ns1");
    assert_eq!(tapped.protocol, Protocol::Dot);
    assert_eq!(tapped.client, socket("192.0.2.1", 40_000));
    assert_eq!(tapped.server, socket("192.0.2.53", 853));
    assert_eq!(tapped.query.as_deref(), Some(&b"the query"[..]));
    assert_eq!(tapped.response.as_deref(), Some(&b"the response"[..]));
    assert_eq!(tapped.time(), Some(Timestamp::from_parts(1_800_000_001, 9)));
    assert_eq!(tapped.query_before(), Duration::new(1, 2));
}

/// The frame with some fields in the place of others, or without them.
fn with(change: impl Fn(u64) -> Option<Option<Vec<u8>>>) -> Result<Tapped, Discard> {
    let message: Vec<Vec<u8>> = whole()
        .into_iter()
        .filter_map(|field| change(u64::from(field[0]) >> 3).unwrap_or(Some(field)))
        .collect();
    Tapped::read(&frame(&message))
}

fn without(fields: &[u64]) -> Result<Tapped, Discard> {
    with(|field| fields.contains(&field).then_some(None))
}

#[test]
fn what_is_not_said() {
    let tapped = without(&[10]).unwrap();
    assert_eq!(tapped.query, None);
    assert_eq!(without(&[10, 14]), Err(Discard::NoDns));
    // Without a response the time is that of the query, said or not.
    assert_eq!(
        without(&[14]).unwrap().time(),
        Some(Timestamp::from_parts(1_800_000_000, 7))
    );
    let tapped = without(&[12, 13]).unwrap();
    assert_eq!(tapped.time(), Some(Timestamp::from_parts(1_800_000_000, 7)));
    assert_eq!(tapped.query_before(), Duration::ZERO);
    assert_eq!(without(&[8, 9, 12, 13]).unwrap().time(), None);
    let tapped = without(&[4, 6]).unwrap();
    assert_eq!(tapped.client, socket("0.0.0.0", 0));
    let tapped = with(|field| match field {
        4 => Some(None),
        5 => Some(Some(bytes(5, &[0x20; 16]))),
        _ => None,
    });
    assert_eq!(tapped.unwrap().client, socket("::", 40_000));
    let tapped = without(&[3]).unwrap();
    assert_eq!(tapped.protocol, Protocol::Udp);
}

#[test]
fn what_cannot_be() {
    // An address of three bytes, a port of 17 bits, a time in the far future.
    let tapped = with(|field| match field {
        4 => Some(Some(bytes(4, &[1, 2, 3]))),
        7 => Some(Some(number(7, 1 << 16))),
        12 => Some(Some(number(12, u64::MAX))),
        _ => None,
    })
    .unwrap();
    assert_eq!(tapped.client, socket("0.0.0.0", 40_000));
    assert_eq!(tapped.server, socket("192.0.2.53", 0));
    assert_eq!(tapped.time(), Some(Timestamp::from_parts(1_800_000_000, 7)));
    // Nobody waits for a year.
    let tapped = with(|field| (field == 8).then(|| Some(number(8, 1_768_464_000)))).unwrap();
    assert_eq!(tapped.query_before(), Duration::ZERO);
    for (frame, why) in [
        (b"no protocol buffers".to_vec(), Discard::Malformed),
        (Vec::new(), Discard::Malformed),
        (bytes(14, &whole().concat()), Discard::Malformed),
        (number(15, 1), Discard::NotAMessage),
        (
            [bytes(14, &whole().concat()), number(15, 2)].concat(),
            Discard::NotAMessage,
        ),
    ] {
        assert_eq!(Tapped::read(&frame), Err(why), "{frame:x?}");
    }
}

/// An address of IPv4 in one of IPv6 is that of the packets.
#[test]
fn mapped_addresses() {
    let mapped = "::ffff:192.0.2.9".parse::<Ipv6Addr>().unwrap().octets();
    let tapped = with(|field| (field == 4).then(|| Some(bytes(4, &mapped)))).unwrap();
    assert_eq!(tapped.client, socket("192.0.2.9", 40_000));
}

const READY: &[u8] = b"\0\0\0\0\0\0\0\x22\0\0\0\x04\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap";
const ACCEPT: &[u8] = b"\0\0\0\0\0\0\0\x22\0\0\0\x01\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap";
const START: &[u8] = b"\0\0\0\0\0\0\0\x22\0\0\0\x02\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap";
const STOP: &[u8] = b"\0\0\0\0\0\0\0\x04\0\0\0\x03";
const FINISH: &[u8] = b"\0\0\0\0\0\0\0\x04\0\0\0\x05";
const DATA: &[u8] = b"\0\0\0\x03abc";

/// Frames or replies.
type Chunks = Vec<Vec<u8>>;

/// Reads a stream as it comes in pieces of so many bytes: the frames, the replies, and how it ended.
fn read(bytes: &[u8], piece: usize) -> (Chunks, Chunks, Result<bool, Wrong>) {
    let (mut frames, mut replies) = (Vec::new(), Vec::new());
    let mut stream = Stream::default();
    let (mut start, mut end) = (0, 0);
    loop {
        let len = match stream.next(&bytes[start..end]) {
            Ok(Step::Needs(need)) => {
                assert!(need > end - start && need <= 4 + LONGEST_FRAME);
                if end == bytes.len() {
                    let is_whole = stream.is_whole() && start == end;
                    return (frames, replies, Ok(is_whole));
                }
                end = bytes.len().min(end + piece);
                continue;
            }
            Ok(Step::Data { len, frame }) => {
                frames.push(frame.to_vec());
                len
            }
            Ok(Step::Control { len, reply }) => {
                replies.extend(reply);
                len
            }
            Err(wrong) => return (frames, replies, Err(wrong)),
        };
        assert!(len > 0 && start + len <= end);
        start += len;
    }
}

#[test]
fn both_ways_to_shake_hands() {
    let one_way = [START, DATA, DATA, STOP].concat();
    let both_ways = [READY, &one_way].concat();
    let twice = one_way.repeat(2);
    for piece in [1, 5, 1_000] {
        let data = b"abc".to_vec();
        let (frames, replies, end) = read(&one_way, piece);
        assert_eq!((frames, end), (vec![data.clone(); 2], Ok(true)));
        assert_eq!(replies, [[0_u8; 0]; 0]);
        let (frames, replies, end) = read(&both_ways, piece);
        assert_eq!((frames, end), (vec![data.clone(); 2], Ok(true)));
        assert_eq!(replies, [ACCEPT, FINISH]);
        let (frames, _, end) = read(&twice, piece);
        assert_eq!((frames, end), (vec![data; 4], Ok(true)));
    }
    assert!(begins(&START[..12]) && !begins(&READY[..12]) && !begins(&START[..11]));
}

#[test]
fn a_stream_cut_at_any_byte_is_not_whole() {
    let stream = [READY, START, DATA, DATA, STOP].concat();
    for cut in 1..stream.len() {
        let (frames, _, end) = read(&stream[..cut], 7);
        assert_eq!(end, Ok(false), "{cut}");
        let whole = cut.saturating_sub(READY.len() + START.len()) / DATA.len();
        assert_eq!(frames.len(), whole.min(2), "{cut}");
    }
}

#[test]
fn what_is_out_of_turn_or_too_long_is_said() {
    let turn = |found, expected| Wrong::Turn { found, expected };
    let other = [&START[..20], b"protobuf:other.Another"].concat();
    let too_long = [
        START,
        &u32::try_from(LONGEST_FRAME + 1).unwrap().to_be_bytes(),
    ]
    .concat();
    for (bytes, wrong) in [
        (DATA.to_vec(), turn("data", "READY or START")),
        ([READY, READY].concat(), turn("READY", "START")),
        ([READY, DATA].concat(), turn("data", "START")),
        ([START, START].concat(), turn("START", "data or STOP")),
        (FINISH.to_vec(), turn("FINISH", "READY or START")),
        (
            other,
            Wrong::ContentType("protobuf:other.Another".to_owned()),
        ),
        (too_long, Wrong::TooLong(LONGEST_FRAME as u32 + 1)),
        (b"\0\0\0\0\0\0\x02\x01".to_vec(), Wrong::Control),
        (b"\0\0\0\0\0\0\0\x03\0\0\0".to_vec(), Wrong::Control),
        (
            b"\0\0\0\0\0\0\0\x0C\0\0\0\x02\0\0\0\x01\0\0\0\x09".to_vec(),
            Wrong::Control,
        ),
    ] {
        let (frames, _, end) = read(&bytes, 1_000);
        assert_eq!(end, Err(wrong), "{bytes:x?}");
        assert!(frames.is_empty());
    }
    assert_eq!(
        Wrong::ContentType("x".to_owned()).to_string(),
        "its frames are 'x', not 'protobuf:dnstap.Dnstap'"
    );
    // The longest frame, and a control frame that offers several kinds, or none.
    let longest = [
        START,
        &u32::try_from(LONGEST_FRAME).unwrap().to_be_bytes(),
        &vec![7; LONGEST_FRAME],
    ]
    .concat();
    assert_eq!(read(&longest, 1 << 20).0[0].len(), LONGEST_FRAME);
    let several = [
        b"\0\0\0\0\0\0\0\x2B\0\0\0\x02\0\0\0\x01\0\0\0\x01x",
        &START[12..],
        DATA,
        STOP,
    ]
    .concat();
    assert_eq!(read(&several, 1_000).2, Ok(true));
    let none = [b"\0\0\0\0\0\0\0\x04\0\0\0\x02", DATA, STOP].concat();
    assert_eq!(read(&none, 1_000).2, Ok(true));
}

proptest! {
    /// Whatever comes, in whatever pieces: the same, and no panic.
    #[test]
    fn pieces_change_nothing(
        parts in prop::collection::vec(
            prop_oneof![
                Just(READY.to_vec()), Just(START.to_vec()), Just(STOP.to_vec()), Just(DATA.to_vec()),
                prop::collection::vec(any::<u8>(), 0..20),
            ],
            0..8,
        ),
        piece in 1..60_usize,
    ) {
        let bytes = parts.concat();
        prop_assert_eq!(read(&bytes, piece), read(&bytes, bytes.len().max(1)));
    }

    /// A frame of which bytes were turned gives something or is discarded.
    #[test]
    fn damaged_frames(turns in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut frame = frame(&whole());
        for (at, byte) in turns {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        if let Ok(tapped) = Tapped::read(&frame) {
            prop_assert!(tapped.query.is_some() || tapped.response.is_some());
            prop_assert!(tapped.query_before() <= LONGEST_WAIT);
        }
    }
}
