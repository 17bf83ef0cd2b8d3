//! The situations of real captures, one by one, and random ones against a naive model.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::frame::Tcp;

/// What a stream gave.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    bytes: Vec<u8>,
    missing: u32,
    number: u64,
}

/// A segment to be sent, beside what is the same for all.
#[derive(Clone, Debug, Default)]
struct Segment {
    sequence: u32,
    payload: Vec<u8>,
    syn: bool,
    fin: bool,
    rst: bool,
    cut: u32,
    ip_id: Option<u16>,
    /// Milliseconds.
    time: i64,
    src_port: u16,
}

impl Segment {
    fn data(sequence: u32, payload: &[u8]) -> Self {
        Self {
            sequence,
            payload: payload.to_vec(),
            src_port: 40_000,
            ..Self::default()
        }
    }

    fn syn(sequence: u32) -> Self {
        Self {
            syn: true,
            ..Self::data(sequence, &[])
        }
    }

    fn fin(sequence: u32) -> Self {
        Self {
            fin: true,
            ..Self::data(sequence, &[])
        }
    }

    fn at(self, time: i64) -> Self {
        Self { time, ..self }
    }

    fn id(self, id: u16) -> Self {
        Self {
            ip_id: Some(id),
            ..self
        }
    }

    fn cut(mut self, cut: usize) -> Self {
        self.payload.truncate(self.payload.len() - cut);
        self.cut = cut as u32;
        self
    }
}

/// The streams and what they gave.
#[derive(Default)]
struct Wire {
    streams: Streams,
    given: Vec<Given>,
    number: u64,
}

impl Wire {
    fn new(limits: Limits) -> Self {
        Self {
            streams: Streams::new(limits),
            ..Self::default()
        }
    }

    fn send(&mut self, segment: &Segment) -> &mut Self {
        self.number += 1;
        let frame = Frame {
            src: IpAddr::from([10, 0, 0, 1]),
            dst: IpAddr::from([10, 0, 0, 53]),
            src_port: segment.src_port,
            dst_port: 53,
            ip_id: segment.ip_id,
            tcp: Some(Tcp {
                sequence: segment.sequence,
                syn: segment.syn,
                fin: segment.fin,
                rst: segment.rst,
            }),
            payload: &segment.payload,
            cut: segment.cut,
            layers: Layers::default(),
            brought: None,
        };
        let origin = Origin {
            time: Timestamp::from_nanos(segment.time * 1_000_000),
            input: 7,
            number: self.number,
        };
        let given = &mut self.given;
        self.streams.push(origin, 0, &frame, &mut |message| {
            given.push(record(&message))
        });
        assert_eq!(self.streams.segments.total(), self.number);
        self
    }

    fn send_all(&mut self, segments: &[Segment]) -> &mut Self {
        for segment in segments {
            self.send(segment);
        }
        self
    }

    fn expire(&mut self, time: i64) -> &mut Self {
        let given = &mut self.given;
        self.streams
            .expire(Timestamp::from_nanos(time * 1_000_000), &mut |message| {
                given.push(record(&message))
            });
        self
    }

    fn close(&mut self) -> &mut Self {
        let given = &mut self.given;
        self.streams
            .close(&mut |message| given.push(record(&message)));
        assert!(self.streams.is_empty());
        assert_eq!(self.streams.held(), 0);
        self
    }

    fn messages(&self) -> Vec<&[u8]> {
        self.given.iter().map(|given| &given.bytes[..]).collect()
    }

    fn numbers(&self) -> Vec<u64> {
        self.given.iter().map(|given| given.number).collect()
    }
}

fn record(message: &StreamMessage<'_>) -> Given {
    assert_eq!(message.flow.dst_port, 53);
    assert_eq!(message.origin.input, 7);
    Given {
        bytes: message.bytes.to_vec(),
        missing: message.missing,
        number: message.origin.number,
    }
}

fn name(labels: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in labels.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A query for an A record.
fn query(id: u16, labels: &str) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    bytes.extend(name(labels));
    bytes.extend_from_slice(&[0, 1, 0, 1]);
    bytes
}

/// A response with `answers` TXT records of `size` bytes of text.
fn response(id: u16, labels: &str, answers: u16, size: u8) -> Vec<u8> {
    let mut bytes = query(id, labels);
    bytes[2] = 0x81;
    bytes[3] = 0x80;
    bytes[6..8].copy_from_slice(&answers.to_be_bytes());
    for number in 0..answers {
        bytes.extend_from_slice(&[0xc0, 12, 0, 16, 0, 1, 0, 0, 1, 0x2c]);
        bytes.extend_from_slice(&(u16::from(size) + 1).to_be_bytes());
        bytes.push(size);
        bytes.extend((0..size).map(|at| (number as u8).wrapping_mul(31).wrapping_add(at)));
    }
    bytes
}

fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        bytes.extend_from_slice(&(message.len() as u16).to_be_bytes());
        bytes.extend_from_slice(message);
    }
    bytes
}

fn three() -> Vec<Vec<u8>> {
    vec![
        query(1, "one.example"),
        query(2, "two.example"),
        response(3, "three.example", 2, 20),
    ]
}

/// The bytes cut into segments of `size`, the first with sequence number `sequence`.
fn segments(bytes: &[u8], sequence: u32, size: usize) -> Vec<Segment> {
    bytes
        .chunks(size)
        .enumerate()
        .map(|(place, part)| Segment::data(sequence.wrapping_add((place * size) as u32), part))
        .collect()
}

#[test]
fn whole_messages_in_order() {
    let mut wire = Wire::default();
    wire.send(&Segment::syn(99));
    let mut sequence = 100;
    for message in three() {
        let bytes = framed(&[message]);
        wire.send(&Segment::data(sequence, &bytes));
        sequence += bytes.len() as u32;
    }
    wire.send(&Segment::fin(sequence)).close();
    assert_eq!(wire.messages(), three());
    assert_eq!(wire.numbers(), [2, 3, 4]);
    assert_eq!(
        wire.streams.segments,
        Segments {
            empty: 2,
            in_order: 3,
            ..Segments::default()
        }
    );
    assert_eq!(
        wire.streams.stats,
        StreamStats {
            opened: 1,
            messages: 3,
            ..StreamStats::default()
        }
    );
}

#[test]
fn messages_lie_anywhere_in_segments() {
    let bytes = framed(&three());
    for size in 1..=bytes.len() {
        let mut wire = Wire::default();
        wire.send(&Segment::syn(99))
            .send_all(&segments(&bytes, 100, size))
            .close();
        assert_eq!(wire.messages(), three(), "segments of {size}");
        assert_eq!(wire.streams.stats.lost_bytes, 0);
    }
}

#[test]
fn whole_messages_are_slices_of_the_frame() {
    let bytes = framed(&three());
    let frame = Frame {
        src: IpAddr::from([10, 0, 0, 1]),
        dst: IpAddr::from([10, 0, 0, 53]),
        src_port: 1,
        dst_port: 53,
        ip_id: None,
        tcp: Some(Tcp {
            sequence: 5,
            syn: true,
            fin: false,
            rst: false,
        }),
        payload: &bytes,
        cut: 0,
        layers: Layers::default(),
        brought: None,
    };
    let range = bytes.as_ptr_range();
    let mut streams = Streams::default();
    let mut given = 0;
    streams.push(Origin::NONE, 0, &frame, &mut |message| {
        assert!(range.contains(&message.bytes.as_ptr()));
        given += 1;
    });
    assert_eq!((given, streams.held()), (3, 0));
}

#[test]
fn out_of_order() {
    let bytes = framed(&three());
    let mut parts = segments(&bytes, 100, 10);
    parts.reverse();
    let mut wire = Wire::default();
    wire.send(&Segment::syn(99)).send_all(&parts).close();
    assert_eq!(wire.messages(), three());
    assert_eq!(wire.streams.segments.in_order, 1);
    assert_eq!(wire.streams.segments.out_of_order, parts.len() as u64 - 1);
    assert_eq!(wire.streams.stats.gaps, 0);
}

#[test]
fn sequence_numbers_wrap() {
    let bytes = framed(&three());
    for before in 0..bytes.len() as u32 + 2 {
        let mut wire = Wire::default();
        let mut parts = segments(&bytes, 0u32.wrapping_sub(before), 10);
        parts.swap(0, 1);
        parts.swap(2, 4);
        wire.send(&Segment::syn(u32::MAX.wrapping_sub(before)))
            .send_all(&parts)
            .close();
        assert_eq!(wire.messages(), three(), "{before} before the wrap");
    }
}

#[test]
fn fast_open_carries_data_in_the_syn() {
    let bytes = framed(&three());
    let mut wire = Wire::default();
    let open = Segment {
        syn: true,
        ..Segment::data(99, &bytes)
    };
    // The server did not take the data: it comes again without the SYN.
    wire.send(&open)
        .send(&open)
        .send(&Segment::data(100, &bytes).at(300))
        .close();
    assert_eq!(wire.messages(), three());
    assert_eq!(
        wire.streams.segments,
        Segments {
            in_order: 1,
            copy: 1,
            retransmitted: 1,
            ..Segments::default()
        }
    );
}

#[test]
fn the_first_bytes_seen_win() {
    let first = framed(&[query(1, "right.example")]);
    let other = framed(&[query(1, "wrong.example")]);
    let mut wire = Wire::default();
    wire.send(&Segment::syn(99));
    wire.send(&Segment::data(110, &first[10..25]));
    wire.send(&Segment::data(105, &other[5..30]));
    wire.send(&Segment::data(100, &first[..12]));
    wire.send(&Segment::data(100, &other));
    wire.close();
    let mut expected = first.clone();
    expected[30..].copy_from_slice(&other[30..]);
    expected[25..30].copy_from_slice(&other[25..30]);
    assert_eq!(wire.messages(), [&expected[2..]]);
}

#[test]
fn copies_and_retransmissions() {
    let bytes = framed(&three());
    let segment = Segment::data(100, &bytes).id(7);
    let mut wire = Wire::default();
    wire.send(&Segment::syn(99).id(6))
        .send(&Segment::syn(99).id(6));
    wire.send(&segment)
        .send(&segment)
        .send(&segment.clone().at(49));
    wire.send(&segment.clone().at(200))
        .send(&segment.clone().id(8).at(10));
    wire.send(&Segment::data(99 + bytes.len() as u32, &[0]).at(10_000));
    wire.close();
    assert_eq!(wire.messages(), three());
    assert_eq!(
        wire.streams.segments,
        Segments {
            empty: 2,
            in_order: 1,
            copy: 2,
            retransmitted: 3,
            ..Segments::default()
        }
    );
}

#[test]
fn a_keep_alive_brings_nothing() {
    let bytes = framed(&three());
    let half = bytes.len() / 2;
    let mut wire = Wire::default();
    wire.send(&Segment::syn(99))
        .send(&Segment::data(100, &bytes[..half]));
    for minute in 1..30 {
        wire.send(&Segment::data(99 + half as u32, &[0]).at(minute * 60_000))
            .expire(minute * 60_000);
    }
    wire.send(&Segment::data(100 + half as u32, &bytes[half..]).at(30 * 60_000))
        .close();
    assert_eq!(wire.messages(), three());
    assert_eq!(wire.streams.segments.retransmitted, 29);
}

#[test]
fn a_message_has_what_was_around_it_and_encapsulations_do_not_mix() {
    let bytes = framed(&[query(1, "one.example")]);
    let mut streams = Streams::default();
    let mut given = Vec::new();
    for (number, (from, to), vlan, encapsulation) in [
        (1, (0, 9), 5, 1),
        (2, (0, 9), 6, 2),
        (3, (9, bytes.len()), 7, 1),
        (4, (9, bytes.len()), 8, 2),
    ] {
        let frame = Frame {
            src: IpAddr::from([10, 0, 0, 1]),
            dst: IpAddr::from([10, 0, 0, 53]),
            src_port: 1,
            dst_port: 53,
            ip_id: None,
            tcp: Some(Tcp {
                sequence: from as u32,
                syn: false,
                fin: false,
                rst: false,
            }),
            payload: &bytes[from..to],
            cut: 0,
            layers: Layers {
                vlan: [vlan].into_iter().collect(),
                ..Layers::default()
            },
            brought: None,
        };
        streams.push(
            Origin {
                number,
                ..Origin::NONE
            },
            encapsulation,
            &frame,
            &mut |message| {
                given.push((
                    message.flow.encapsulation,
                    message.layers.vlan[0],
                    message.origin.number,
                ));
            },
        );
    }
    assert_eq!(given, [(1, 7, 3), (2, 8, 4)]);
}

#[test]
fn picked_up_at_a_boundary() {
    let mut wire = Wire::default();
    wire.send(&Segment::data(100, &framed(&three())));
    assert_eq!(wire.messages(), three());
    wire.close();
    assert_eq!(
        (wire.streams.stats.picked_up, wire.streams.stats.lost_bytes),
        (1, 0)
    );
}

#[test]
fn picked_up_in_the_middle_of_a_message() {
    let bytes = framed(&three());
    let first = three()[0].len() + 2;
    let second = first + three()[1].len() + 2;
    for from in 1..second {
        for size in [1, 7, 2000] {
            let mut wire = Wire::default();
            wire.send_all(&segments(&bytes[from..], 100, size)).close();
            let rest = if from <= first {
                &three()[1..]
            } else {
                &three()[2..]
            };
            assert_eq!(wire.messages(), rest, "from {from}, segments of {size}");
            let lost = if from <= first {
                first - from
            } else {
                second - from
            };
            assert_eq!(
                wire.streams.stats.lost_bytes, lost as u64,
                "from {from}, segments of {size}"
            );
        }
    }
}

#[test]
fn a_length_that_was_lost_does_not_cost_the_message() {
    let bytes = framed(&three());
    let first = three()[0].len() + 2;
    let mut wire = Wire::default();
    // Length and message in segments of their own; the capture begins with the message.
    wire.send(&Segment::data(102, &bytes[2..first]));
    wire.send(&Segment::data(100 + first as u32, &bytes[first..first + 2]));
    wire.send(&Segment::data(102 + first as u32, &bytes[first + 2..]));
    wire.close();
    assert_eq!(wire.messages(), three());
}

#[test]
fn picked_up_out_of_order() {
    let messages = three();
    let bytes = framed(&messages);
    let first = messages[0].len() + 2;
    let mut wire = Wire::default();
    wire.send(&Segment::data(100 + first as u32, &bytes[first..]));
    wire.send(&Segment::data(100, &bytes[..first]))
        .send(&Segment::data(100, &bytes[..first]));
    wire.send(&Segment::syn(99)).close();
    assert_eq!(wire.messages(), [&messages[1], &messages[2], &messages[0]]);
    assert_eq!(wire.streams.stats.opened, 1);
    assert_eq!(
        wire.streams.segments,
        Segments {
            empty: 1,
            in_order: 1,
            out_of_order: 1,
            copy: 1,
            ..Segments::default()
        }
    );
}

#[test]
fn a_hole_between_messages() {
    let messages: Vec<_> = (0..9).map(|id| query(id, "host.example")).collect();
    let bytes = framed(&messages);
    let each = messages[0].len() + 2;
    let mut wire = Wire::default();
    wire.send(&Segment::syn(99));
    wire.send(&Segment::data(100, &bytes[..2 * each]));
    wire.send(&Segment::data(
        100 + 4 * each as u32,
        &bytes[4 * each..5 * each + 2],
    ));
    wire.send(&Segment::data(
        102 + 5 * each as u32,
        &bytes[5 * each + 2..],
    ));
    assert_eq!(wire.messages(), &messages[..2]);
    wire.expire(2_999);
    assert_eq!(wire.given.len(), 2);
    wire.expire(3_000);
    assert_eq!(wire.messages()[2..], messages[4..]);
    assert_eq!(wire.numbers()[2..], [3, 4, 4, 4, 4]);
    wire.close();
    assert_eq!(wire.streams.stats.gaps, 1);
    assert_eq!(wire.streams.stats.lost_bytes, 2 * each as u64);
    assert_eq!(wire.streams.stats.unfinished, 0);
}

#[test]
fn a_hole_is_given_up_by_later_segments_the_end_or_too_many_bytes() {
    let messages: Vec<_> = (0..600)
        .map(|id| response(id, "host.example", 4, 250))
        .collect();
    let bytes = framed(&messages);
    let each = messages[0].len() + 2;
    let begin = |wire: &mut Wire| {
        wire.send(&Segment::syn(99))
            .send(&Segment::data(100, &bytes[..each]));
        wire.send(&Segment::data(
            100 + 2 * each as u32,
            &bytes[2 * each..3 * each],
        ));
        assert_eq!(wire.given.len(), 1);
    };
    let third = 100 + 3 * each as u32;

    let mut wire = Wire::default();
    begin(&mut wire);
    wire.send(&Segment::data(third, &bytes[3 * each..4 * each]).at(3_000));
    assert_eq!(wire.given.len(), 3);

    for last in [
        Segment::fin(third),
        Segment {
            rst: true,
            ..Segment::data(third, &[])
        },
    ] {
        let mut wire = Wire::default();
        begin(&mut wire);
        wire.send(&last).expire(3_000);
        assert_eq!(wire.given.len(), 2);
        wire.expire(20_000);
        assert!(wire.streams.is_empty());
        assert_eq!(wire.streams.stats.evicted, 0);
    }

    let mut wire = Wire::default();
    begin(&mut wire);
    for segment in segments(&bytes[3 * each..], third, 1400) {
        wire.send(&segment);
        assert!(wire.streams.held() <= 600_000);
    }
    assert_eq!(wire.given.len(), 599);
    assert_eq!(wire.streams.stats.gaps, 1);
    assert_eq!(wire.streams.stats.lost_bytes, each as u64);
}

#[test]
fn a_hole_inside_a_message_leaves_the_stream_in_step() {
    let messages = vec![
        query(1, "one.example"),
        response(2, "two.example", 3, 200),
        query(3, "three.example"),
    ];
    let bytes = framed(&messages);
    let begin = messages[0].len() + 2;
    let end = begin + messages[1].len() + 2;
    for (from, to) in [
        (begin + 100, begin + 300),
        (begin + 100, end),
        (begin + 40, end - 1),
    ] {
        let mut wire = Wire::default();
        wire.send(&Segment::syn(99))
            .send(&Segment::data(100, &bytes[..from]));
        wire.send(&Segment::data(100 + to as u32, &bytes[to..]))
            .close();
        assert_eq!(
            wire.messages(),
            [
                &messages[0][..],
                &messages[1][..from - begin - 2],
                &messages[2]
            ]
        );
        assert_eq!(wire.given[1].missing as usize, end - from);
        assert_eq!(wire.streams.stats.lost_bytes, (end - from) as u64);
        assert_eq!(
            (wire.streams.stats.gaps, wire.streams.stats.unfinished),
            (1, 1)
        );
    }
}

#[test]
fn the_capture_cuts_segments() {
    let messages = vec![
        response(1, "one.example", 3, 200),
        response(2, "two.example", 3, 200),
        query(3, "three.example"),
    ];
    for syn in [true, false] {
        let mut wire = Wire::default();
        let mut sequence = 100u32;
        if syn {
            wire.send(&Segment::syn(99));
        }
        for message in &messages {
            let bytes = framed(std::slice::from_ref(message));
            let cut = bytes.len().saturating_sub(96);
            wire.send(&Segment::data(sequence, &bytes).cut(cut));
            sequence += bytes.len() as u32;
        }
        wire.close();
        assert_eq!(
            wire.messages(),
            [&messages[0][..94], &messages[1][..94], &messages[2]]
        );
        let missing: Vec<_> = wire
            .given
            .iter()
            .map(|given| given.missing as usize)
            .collect();
        assert_eq!(missing, [messages[0].len() - 94, messages[1].len() - 94, 0]);
        assert_eq!(wire.streams.stats.gaps, 0);
    }
}

#[test]
fn a_zone_transfer() {
    let messages: Vec<_> = (0..64)
        .map(|_| response(9, "zone.example", 253, 245))
        .collect();
    assert!((65_000..65_536).contains(&messages[0].len()));
    let bytes = framed(&messages);
    let mut wire = Wire::default();
    wire.send(&Segment::syn(u32::MAX - 1_000_000))
        .send_all(&segments(&bytes, u32::MAX - 999_999, 1448));
    assert!(wire.messages() == messages);
    assert!(wire.streams.held() < 140_000);
    // The same with every two segments swapped, much more than may wait at once.
    let mut wire = Wire::default();
    let mut parts = segments(&bytes, 100, 1448);
    parts.chunks_mut(2).for_each(<[Segment]>::reverse);
    wire.send(&Segment::syn(99)).send_all(&parts);
    assert!(wire.messages() == messages);
    assert_eq!(wire.streams.stats.gaps, 0);
    // The same, picked up somewhere.
    let mut wire = Wire::default();
    wire.send_all(&segments(&bytes[100_000..], 5, 1448));
    assert!(wire.messages() == messages[2..]);
    wire.close();
}

#[test]
fn a_new_connection_between_the_same_ports() {
    let bytes = framed(&three());
    let mut wire = Wire::default();
    wire.send(&Segment::syn(99))
        .send(&Segment::data(100, &bytes))
        .send(&Segment::fin(100 + bytes.len() as u32));
    wire.send(&Segment::syn(5_000))
        .send(&Segment::data(5_001, &bytes[..35]));
    // Without a FIN, and without a SYN, far away.
    wire.send(&Segment::syn(100))
        .send(&Segment::data(101, &bytes));
    wire.send(&Segment::data(3_000_000_000, &bytes));
    wire.close();
    assert_eq!(wire.messages().len(), 10);
    assert_eq!(wire.messages()[3], &three()[0][..]);
    assert_eq!(
        (wire.streams.stats.opened, wire.streams.stats.picked_up),
        (4, 1)
    );
}

#[test]
fn what_comes_again_after_the_end_gives_nothing() {
    let bytes = framed(&three());
    let data = Segment::data(100, &bytes);
    let mut wire = Wire::default();
    wire.send(&Segment::syn(99))
        .send(&data)
        .send(&Segment::fin(100 + bytes.len() as u32))
        .send(&data.at(5_000));
    assert_eq!(wire.given.len(), 3);
    wire.expire(16_000);
    assert!(wire.streams.is_empty());
}

#[test]
fn a_message_that_never_ends() {
    let message = response(1, "one.example", 2, 100);
    let bytes = framed(std::slice::from_ref(&message));
    let mut wire = Wire::default();
    wire.send(&Segment::syn(99))
        .send(&Segment::data(100, &bytes[..60]))
        .send(&Segment::fin(160));
    assert_eq!(wire.messages(), [&message[..58]]);
    assert_eq!(wire.given[0].missing as usize, message.len() - 58);
    assert_eq!(wire.streams.stats.unfinished, 1);
    // Not even its question: nothing.
    let mut wire = Wire::default();
    wire.send(&Segment::syn(99))
        .send(&Segment::data(100, &bytes[..20]))
        .expire(400_000);
    assert!(wire.given.is_empty() && wire.streams.is_empty());
    assert_eq!(
        (wire.streams.stats.unfinished, wire.streams.stats.lost_bytes),
        (1, 20)
    );
}

#[test]
fn what_is_not_dns_gives_nothing_until_there_is_dns() {
    let mut tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    tls.extend((0..600u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8));
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"[..],
        &tls,
        &[0; 400],
        b"\x00\x0b0123456789a",
        &[0xff; 400],
    ] {
        for size in [1, 5, 1000] {
            let mut wire = Wire::default();
            let parts = segments(bytes, 100, size);
            wire.send(&Segment::syn(99))
                .send_all(&parts)
                .send_all(&segments(&framed(&three()), 100 + bytes.len() as u32, 1000));
            assert_eq!(wire.messages(), three());
            wire.close();
            assert_eq!(wire.streams.stats.lost_bytes, bytes.len() as u64);
        }
    }
}

#[test]
fn a_broken_message_in_a_sound_stream_is_given() {
    let mut broken = query(2, "two.example");
    broken[12] = 0x80;
    let messages = vec![query(1, "one.example"), broken, query(3, "three.example")];
    let mut wire = Wire::default();
    wire.send(&Segment::syn(99))
        .send(&Segment::data(100, &framed(&messages)));
    assert_eq!(wire.messages(), messages);
    // Where the next is no message either, it is none.
    let mut wire = Wire::default();
    let mut bytes = framed(&messages[..2]);
    bytes.extend_from_slice(b"\x00\x01 and so on");
    wire.send(&Segment::syn(99))
        .send(&Segment::data(100, &bytes));
    assert_eq!(wire.messages(), &messages[..1]);
    // But as the first thing it says nothing for DNS.
    let mut wire = Wire::default();
    wire.send(&Segment::syn(99))
        .send(&Segment::data(100, &framed(&messages[1..])));
    assert_eq!(wire.messages(), &messages[2..]);
}

#[test]
fn the_number_of_streams_is_bounded() {
    let limits = Limits {
        streams: 10,
        ..Limits::default()
    };
    let mut wire = Wire::new(limits);
    let bytes = framed(&three());
    let live = Segment::data(100, &bytes[..bytes.len() - 1]);
    for port in 0..10 {
        wire.send(&Segment {
            src_port: port,
            ..live.clone()
        });
    }
    // A flood of SYNs costs one stream that was in use, and no more.
    for port in 1_000..9_000 {
        wire.send(&Segment {
            src_port: port,
            ..Segment::syn(5)
        });
    }
    assert_eq!((wire.streams.len(), wire.streams.stats.evicted), (10, 1));
    let given = wire.given.len();
    wire.send(&Segment {
        src_port: 9,
        ..Segment::data(100 + live.payload.len() as u32, &bytes[bytes.len() - 1..])
    });
    assert_eq!(wire.given.len(), given + 1);
    wire.close();
}

#[test]
fn the_bytes_of_all_streams_are_bounded() {
    let limits = Limits {
        bytes: 1 << 18,
        ..Limits::default()
    };
    let mut wire = Wire::new(limits);
    for port in 0..40 {
        wire.send(&Segment {
            src_port: port,
            ..Segment::syn(99)
        });
        for part in 0..50 {
            wire.send(&Segment {
                src_port: port,
                ..Segment::data(200 + 1_000 * part, &[1; 900])
            });
            assert!(wire.streams.held() <= 1 << 18);
        }
    }
    assert!(wire.streams.stats.evicted > 30);
    wire.close();
}

#[test]
fn time_that_jumps_does_not_hang() {
    let bytes = framed(&three());
    let mut wire = Wire::default();
    for time in [0, 9_000_000_000, -5_000_000, 40] {
        wire.send(&Segment::syn(99).at(time))
            .send(&Segment::data(105, &bytes[5..20]).at(time))
            .expire(time);
        wire.send(&Segment::data(300, &bytes[..1]).at(time))
            .expire(time + 3_000)
            .expire(time - 10_000);
    }
    wire.close();
}

/// A random stream, and where it is cut.
fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let label = "[a-z]{1,12}";
    let message = prop_oneof![
        (any::<u16>(), label).prop_map(|(id, label)| query(id, &format!("{label}.example"))),
        (any::<u16>(), label, 0u16..5, any::<u8>()).prop_map(|(id, label, answers, size)| {
            response(id, &format!("{label}.example"), answers, size.min(254))
        }),
    ];
    proptest::collection::vec(message, 1..12)
}

/// Random segments of the bytes: lengths, what is sent twice, what overlaps, where each goes in a window.
fn schedule(bytes: &[u8], sequence: u32, plan: &[(u16, u8, u8)], syn: bool) -> Vec<Segment> {
    let mut keyed: Vec<(usize, Segment)> = Vec::new();
    let mut at = 0;
    let mut step = 0;
    while at < bytes.len() {
        let (len, what, shift) = plan[step % plan.len()];
        let end = (at + 1 + usize::from(len)).min(bytes.len());
        let begin = at.saturating_sub(usize::from(what % 4) * usize::from(shift));
        let make = |from: usize, to: usize| {
            Segment::data(sequence.wrapping_add(from as u32), &bytes[from..to])
        };
        keyed.push((step + usize::from(shift % 5), make(begin, end)));
        if what & 0x30 == 0 {
            keyed.push((step + usize::from(shift % 7), make(at, end)));
        }
        at = end;
        step += 1;
    }
    keyed.sort_by_key(|&(place, _)| place);
    let mut all: Vec<Segment> = keyed.into_iter().map(|(_, segment)| segment).collect();
    if syn {
        all.insert(0, Segment::syn(sequence.wrapping_sub(1)));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_segments_give_the_messages(
        messages in messages(),
        sequence in prop_oneof![any::<u32>(), (u32::MAX - 500..=u32::MAX)],
        plan in proptest::collection::vec((0u16..90, any::<u8>(), any::<u8>()), 1..30),
        fin in any::<bool>(),
    ) {
        let bytes = framed(&messages);
        let mut wire = Wire::default();
        wire.send_all(&schedule(&bytes, sequence, &plan, true));
        if fin {
            wire.send(&Segment::fin(sequence.wrapping_add(bytes.len() as u32)));
        }
        prop_assert_eq!(wire.messages(), messages);
        wire.close();
        prop_assert_eq!(wire.streams.stats.lost_bytes, 0);
        prop_assert_eq!(wire.streams.stats.gaps, 0);
        prop_assert_eq!(wire.streams.stats.messages as usize, wire.given.len());
    }

    /// With lost and cut segments every message is one of the originals, in order, whole or its beginning, and all
    /// other bytes are counted.
    #[test]
    fn losses_give_no_other_message(
        messages in messages(),
        sequence in any::<u32>(),
        plan in proptest::collection::vec((0u16..90, any::<u8>(), any::<u8>()), 1..30),
        fates in proptest::collection::vec(any::<u8>(), 1..40),
        syn in any::<bool>(),
    ) {
        let bytes = framed(&messages);
        let mut wire = Wire::default();
        let mut sent = schedule(&bytes, sequence, &plan, syn);
        let fin = sequence.wrapping_add(bytes.len() as u32);
        let mut place = 0;
        sent.retain_mut(|segment| {
            place += 1;
            let fate = fates[place % fates.len()];
            if !segment.syn && fate > 230 {
                let cut = segment.payload.len() / 3;
                *segment = segment.clone().cut(cut);
            }
            segment.syn || fate > 60
        });
        wire.send_all(&sent).send(&Segment::fin(fin)).close();
        let mut given_bytes = 0;
        let mut originals = messages.iter();
        for given in &wire.given {
            let fits = |original: &&Vec<u8>| original.starts_with(&given.bytes)
                && original.len() == given.bytes.len() + given.missing as usize;
            if syn {
                prop_assert!(originals.any(|original| fits(&original)), "{given:?} is none, or not in order");
            } else {
                prop_assert!(messages.iter().any(|original| fits(&original)), "{given:?} is none");
            }
            given_bytes += 2 + given.bytes.len() as u64;
        }
        let stats = wire.streams.stats;
        if syn {
            // A message whose length alone was lost is given without it.
            let accounted = given_bytes + stats.lost_bytes;
            let total = bytes.len() as u64;
            prop_assert!((total..=total + 2 * stats.messages).contains(&accounted), "{accounted} of {total}: {stats:?}");
        }
    }

    /// Random bytes give no message, whether their beginning is seen or not.
    #[test]
    fn random_bytes_give_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..3_000), syn in any::<bool>()) {
        let mut wire = Wire::default();
        if syn {
            wire.send(&Segment::syn(99));
        }
        wire.send_all(&segments(&bytes, 100, 700)).close();
        prop_assert!(wire.given.is_empty());
        prop_assert_eq!(wire.streams.stats.lost_bytes, bytes.len() as u64);
    }

    /// Any segments at all: nothing breaks, each is counted once, nothing is held at the end.
    #[test]
    fn hostile_segments_break_nothing(
        segments in proptest::collection::vec(
            (any::<u32>(), proptest::collection::vec(0u8..3, 0..50), any::<u8>(), 0u16..3, -9_000i64..9_000),
            0..60,
        ),
    ) {
        let mut wire = Wire::new(Limits { streams: 2, bytes: 3_000, ..Limits::default() });
        for (sequence, payload, flags, src_port, time) in segments {
            wire.send(&Segment {
                sequence: if flags & 0x80 == 0 { sequence % 200 } else { sequence },
                payload,
                syn: flags & 3 == 0,
                fin: flags & 12 == 0,
                rst: flags & 0x70 == 0,
                cut: if flags & 0x40 == 0 { 0 } else { sequence },
                src_port,
                time,
                ..Segment::default()
            });
            prop_assert!(wire.streams.len() <= 2 && wire.streams.held() <= 3_000);
            wire.expire(time);
        }
        wire.close();
    }
}
