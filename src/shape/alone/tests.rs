use super::*;
use crate::message::Message;

/// A message of words and pieces of names.
fn message(words: [u16; 6], rest: &[&[u8]]) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u16::to_be_bytes).collect();
    bytes.extend(rest.concat());
    bytes
}

const NAME: &[u8] = b"\x03www\x07example\x03com\0";
const A: &[u8] = &[0, 1, 0, 1];
/// OPT as dig sends it, with a cookie.
const EDNS: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08abcdefgh";
/// A record of the name asked for.
const ADDRESS: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04\xc0\0\x02\x01";
const SOA_RECORD: &[u8] = b"\xc0\x10\0\x06\0\x01\0\0\x0e\x10\0\x1a\x02ns\xc0\x10\0\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05";

/// What real clients and servers say, by the kind.
fn real() -> Vec<(&'static str, Vec<u8>)> {
    // As iodine packs data in Base128, and NULL's RDATA as it is.
    let iodine: &[u8] = b"\x0d0aba\xbe\xd4\xfd\xc0\xe1\xe9\xdb\xf3\xbc\x01t\x07example\x03org\0";
    let long: Vec<u8> = [&[60][..], &[b'a'; 60]].concat();
    let hexadecimal: &[u8] = b"\x06dnscat\x100a1b01c2d3e4f506\0";
    vec![
        ("query", message([7, 0x0100, 1, 0, 0, 0], &[NAME, A])),
        (
            "query with ID 0",
            message([0, 0x0120, 1, 0, 0, 0], &[NAME, A]),
        ),
        (
            "query of a resolver",
            message(
                [7, 0, 1, 0, 0, 1],
                &[NAME, A, b"\0\0\x29\x04\xd0\0\0\x80\0\0\0"],
            ),
        ),
        (
            "query with a cookie",
            message([7, 0x0120, 1, 0, 0, 1], &[NAME, A, EDNS]),
        ),
        (
            "signed query",
            message(
                [7, 0x0100, 1, 0, 0, 2],
                &[NAME, A, EDNS, b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x1d\x0bhmac-sha256\0\0\0\x60\0\0\0\x01\x2c\0\0\0\x07\0\0\0\0"],
            ),
        ),
        (
            "priming",
            message([7, 0, 1, 0, 0, 1], &[b"\0\0\x02\0\x01", EDNS]),
        ),
        (
            "version.bind",
            message(
                [7, 0x0100, 1, 0, 0, 0],
                &[b"\x07version\x04bind\0\0\x10\0\x03"],
            ),
        ),
        (
            "IXFR",
            message([7, 0, 1, 0, 1, 0], &[NAME, &[0, 251, 0, 1], SOA_RECORD]),
        ),
        (
            "NOTIFY",
            message([7, 0x2400, 1, 1, 0, 0], &[NAME, &[0, 6, 0, 1], SOA_RECORD]),
        ),
        (
            "UPDATE",
            message(
                [7, 0x2800, 1, 1, 2, 0],
                &[
                    NAME,
                    &[0, 6, 0, 1],
                    b"\xc0\x0c\0\x02\0\xff\0\0\0\0\0\0",
                    ADDRESS,
                    b"\xc0\x0c\0\x01\0\xfe\0\0\0\0\0\x04\xc0\0\x02\x07",
                ],
            ),
        ),
        (
            "response",
            message([7, 0x8180, 1, 1, 0, 0], &[NAME, A, ADDRESS]),
        ),
        (
            "two addresses and EDNS",
            message([7, 0x8180, 1, 2, 0, 1], &[NAME, A, ADDRESS, ADDRESS, EDNS]),
        ),
        (
            "NXDOMAIN",
            message([7, 0x8183, 1, 0, 1, 0], &[NAME, A, SOA_RECORD]),
        ),
        ("refused", message([7, 0x8105, 1, 0, 0, 0], &[NAME, A])),
        ("truncated", message([7, 0x8380, 1, 0, 0, 0], &[NAME, A])),
        (
            "alias",
            message(
                [7, 0x8180, 1, 2, 0, 0],
                &[
                    NAME,
                    A,
                    b"\xc0\x0c\0\x05\0\x01\0\0\x0e\x10\0\x06\x03alt\xc0\x10",
                    b"\xc0\x2d\0\x01\0\x01\0\0\x0e\x10\0\x04\xc0\0\x02\x01",
                ],
            ),
        ),
        (
            "dnscat2 in hexadecimal",
            message([7, 0x0100, 1, 0, 0, 0], &[hexadecimal, &[0, 16, 0, 1]]),
        ),
        (
            "iodine, NULL",
            message(
                [7, 0x0100, 1, 0, 0, 1],
                &[iodine, &[0, 10, 0, 1], b"\0\0\x29\x10\0\0\0\x80\0\0\0"],
            ),
        ),
        (
            "iodine, PRIVATE",
            message(
                [7, 0x8400, 1, 1, 0, 0],
                &[
                    iodine,
                    &[0xff, 0x77, 0, 1],
                    b"\xc0\x0c\xff\x77\0\x01\0\0\0\0\0\x05\0\xff\x80\x01\x02",
                ],
            ),
        ),
        (
            "a long name",
            message(
                [7, 0x0100, 1, 0, 0, 0],
                &[&long, &long, &long, b"\x01t\x02io\0", &[0, 16, 0, 1]],
            ),
        ),
    ]
}

#[test]
fn real_messages_are_beyond_doubt() {
    for (kind, message) in real() {
        assert!(is_message(&message, message.len()), "{kind}");
        assert_eq!(
            first_message(&message, message.len()),
            Some(&message[..]),
            "{kind}"
        );
        assert!(
            Message::decode(&message).unwrap().malformed.is_empty(),
            "{kind}"
        );
    }
}

#[test]
fn the_records_end_where_the_message_does() {
    for (kind, message) in real() {
        for shorter in 0..message.len() {
            assert!(
                !is_message(&message[..shorter], shorter),
                "{kind} {shorter}"
            );
        }
        let longer = [&message[..], &[0]].concat();
        assert!(!is_message(&longer, longer.len()), "{kind}");
    }
}

/// What the capture cut off is not there to be doubted, but the question has to be.
#[test]
fn a_cut_message_needs_its_question() {
    for (kind, message) in real() {
        let question = 12 + message[12..].iter().position(|&byte| byte == 0).unwrap() + 5;
        for kept in 0..message.len() {
            let expected = kept >= question && kind != "priming";
            assert_eq!(
                is_message(&message[..kept], message.len()),
                expected,
                "{kind} {kept}"
            );
        }
    }
}

#[test]
fn messages_of_other_protocols_and_broken_ones() {
    // FRED in NetBIOS.
    let netbios: &[u8] = b"\x20EGFCEFEECACACACACACACACACACACACA\0";
    let record: &[u8] = b"\xc0\x0c\0\x20\0\x01\0\0\0\0\0\x06\x60\0\xc0\0\x02\x01";
    let with_flags = |flags| message([7, flags, 1, 0, 0, 0], &[NAME, A]);
    for (kind, message) in [
        (
            "NetBIOS query",
            message([7, 0x0110, 1, 0, 0, 0], &[netbios, &[0, 0x20, 0, 1]]),
        ),
        (
            "NetBIOS status",
            message([7, 0, 1, 0, 0, 0], &[netbios, &[0, 0x21, 0, 1]]),
        ),
        (
            "NetBIOS registration",
            message(
                [7, 0x2910, 1, 0, 0, 1],
                &[netbios, &[0, 0x20, 0, 1], record],
            ),
        ),
        (
            "NetBIOS release",
            message(
                [7, 0x3010, 1, 0, 0, 1],
                &[netbios, &[0, 0x20, 0, 1], record],
            ),
        ),
        (
            "NetBIOS response",
            message([7, 0x8500, 0, 1, 0, 0], &[netbios, &record[2..]]),
        ),
        (
            "multicast DNS, announced",
            message([0, 0x8400, 0, 1, 0, 0], &[NAME, &ADDRESS[2..]]),
        ),
        (
            "multicast DNS, answered alone",
            message([0, 0, 1, 0, 0, 0], &[NAME, &[0, 1, 0x80, 1]]),
        ),
        (
            "nothing but a header",
            message([7, 0x8105, 0, 0, 0, 0], &[]),
        ),
        (
            "two questions",
            message([7, 0x0100, 2, 0, 0, 0], &[NAME, A, NAME, A]),
        ),
        (
            "the root alone",
            message([7, 0x0100, 1, 0, 0, 0], &[&[0, 0, 2, 0, 1]]),
        ),
        (
            "zeros and ones",
            message([0, 0, 1, 0, 0, 0], &[&[0, 0, 1, 0, 1]]),
        ),
        (
            "one character",
            message([7, 0x0100, 1, 0, 0, 0], &[b"\x01a\0", A]),
        ),
        (
            "a last label that is none",
            message([7, 0x0100, 1, 0, 0, 0], &[b"\x03www\x02\x01\x02\0", A]),
        ),
        (
            "a compressed question",
            message([7, 0x0100, 1, 0, 0, 0], &[b"\x03www\xc0\x0c", A]),
        ),
        (
            "a type of nobody",
            message([7, 0x0100, 1, 0, 0, 0], &[NAME, &[9, 9, 0, 1]]),
        ),
        (
            "a class of nobody",
            message([7, 0x0100, 1, 0, 0, 0], &[NAME, &[0, 1, 0, 9]]),
        ),
        ("Z", with_flags(0x0140)),
        ("an opcode of nobody", with_flags(0x1900)),
        ("a truncated query", with_flags(0x0300)),
        ("a query with recursion available", with_flags(0x0180)),
        ("a query with RCODE", with_flags(0x0103)),
        ("a response with RCODE 11", with_flags(0x818B)),
        (
            "a query with an answer",
            message([7, 0x0100, 1, 1, 0, 0], &[NAME, A, ADDRESS]),
        ),
        (
            "a query with an address beside it",
            message([7, 0x0100, 1, 0, 0, 1], &[NAME, A, ADDRESS]),
        ),
        (
            "an address of 5 bytes",
            message(
                [7, 0x8180, 1, 1, 0, 0],
                &[NAME, A, &ADDRESS[..11], &[5, 1, 2, 3, 4, 5]],
            ),
        ),
        (
            "another class",
            message(
                [7, 0x8180, 1, 1, 0, 0],
                &[
                    NAME,
                    A,
                    b"\xc0\x0c\0\x01\0\x03\0\0\x0e\x10\0\x04\xc0\0\x02\x01",
                ],
            ),
        ),
        (
            "a TTL of 80 years",
            message(
                [7, 0x8180, 1, 1, 0, 0],
                &[
                    NAME,
                    A,
                    b"\xc0\x0c\0\x01\0\x01\x90\0\x0e\x10\0\x04\xc0\0\x02\x01",
                ],
            ),
        ),
        (
            "an alias that is no name",
            message(
                [7, 0x8180, 1, 1, 0, 0],
                &[NAME, A, b"\xc0\x0c\0\x05\0\x01\0\0\x0e\x10\0\x04\x03abc"],
            ),
        ),
        (
            "two OPT records",
            message([7, 0x0100, 1, 0, 0, 2], &[NAME, A, EDNS, EDNS]),
        ),
        (
            "an option beyond its record",
            message(
                [7, 0x0100, 1, 0, 0, 1],
                &[NAME, A, &EDNS[..13], b"\x09", &EDNS[14..]],
            ),
        ),
        (
            "EDNS version 1",
            message(
                [7, 0x0100, 1, 0, 0, 1],
                &[NAME, A, b"\0\0\x29\x04\xd0\0\x01\0\0\0\0"],
            ),
        ),
        (
            "NOTIFY of an address",
            message([7, 0x2400, 1, 0, 0, 0], &[NAME, A]),
        ),
    ] {
        assert!(!is_message(&message, message.len()), "{kind}");
        assert_eq!(first_message(&message, message.len()), None, "{kind}");
    }
}

#[test]
fn segments_begin_with_a_message() {
    let framed = |messages: &[&[u8]]| -> Vec<u8> {
        let one = |message: &&[u8]| [&(message.len() as u16).to_be_bytes(), *message].concat();
        messages.iter().flat_map(one).collect()
    };
    let (query, answer) = (&real()[0].1, &real()[10].1);
    let refusal = message([7, 0x8105, 0, 0, 0, 0], &[]);
    for (messages, first) in [
        (vec![&query[..]], Some(query)),
        (vec![query, query], Some(query)),
        // What follows need not be beyond doubt.
        (vec![answer, &refusal], Some(answer)),
        (vec![&refusal, answer], None),
        (vec![query, b"0123456789ab"], None),
    ] {
        let segment = framed(&messages);
        let first = first.map(|first| &first[..]);
        // The first is whole; of the others no more is needed.
        for len in 2 + messages[0].len()..=segment.len() {
            let is_doubted = messages[0] == &refusal[..] || len == segment.len();
            let expected = if is_doubted { first } else { Some(messages[0]) };
            assert_eq!(
                first_message(&segment[..len], len),
                expected,
                "{messages:?} {len}"
            );
        }
        let len = 1 + messages[0].len();
        assert_eq!(first_message(&segment[..len], len), None, "{messages:?}");
        assert_eq!(
            first_message(&segment[1..], segment.len() - 1),
            None,
            "{messages:?}"
        );
        // What the capture cut behind the question is still a segment in which the message is whole.
        let kept = &segment[..2 + 34.min(messages[0].len())];
        let cut = first_message(kept, segment.len()).map(<[u8]>::len);
        let expected = (messages[0] != &refusal[..]).then_some(kept.len() - 2);
        assert_eq!(cut, expected, "{messages:?}");
    }
    assert_eq!(first_message(&[], 0), None);
}

/// Only what NetBIOS uses, and what is never asked for, has a name and is no type here.
#[test]
fn every_type_with_a_name_is_one() {
    let mut without = Vec::new();
    for kind in 1..=u16::MAX {
        let message = message(
            [7, 0x0100, 1, 0, 0, 0],
            &[NAME, &kind.to_be_bytes(), &[0, 1]],
        );
        let name = Message::decode(&message).unwrap().record_type;
        if !name.starts_with("TYPE") && !is_message(&message, message.len()) {
            without.push(name.into_owned());
        }
    }
    assert_eq!(without, ["NIMLOC", "OPT"]);
}
