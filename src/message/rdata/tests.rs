//! Presentation forms against the texts of others.

use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{
    BinDecoder, BinEncodable, BinEncoder, NameEncoding, Restrict,
};
use proptest::prelude::*;

use super::golden::GOLDEN;
use super::*;

fn shown(message: &[u8], record_type: u16, start: usize, end: usize) -> (bool, String) {
    let mut out = Vec::new();
    let sound = present(message, record_type, start, end, &mut out);
    (sound, String::from_utf8(out).unwrap())
}

fn shown_alone(record_type: u16, data: &[u8]) -> (bool, String) {
    shown(data, record_type, 0, data.len())
}

/// The form for unknown types, written another way.
fn generic(data: &[u8]) -> String {
    let digits: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\\# {} {digits}", data.len()).trim_end().to_owned()
}

fn bytes(digits: &str) -> Vec<u8> {
    let digits = digits.replace(' ', "");
    let pairs = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

#[test]
fn every_type_prints_as_dig_prints_it() {
    for &(record_type, digits, text) in GOLDEN {
        assert_eq!(
            shown_alone(record_type, &bytes(digits)),
            (true, text.to_owned()),
            "type {record_type}"
        );
    }
}

#[test]
fn every_layout_has_a_golden_text() {
    for record_type in 0..=u16::MAX {
        if !layout(record_type).is_empty() {
            assert!(
                GOLDEN.iter().any(|golden| golden.0 == record_type),
                "type {record_type}"
            );
        }
    }
}

/// hickory reads the printed text as a zone file's and writes it for the wire again: the same bytes must come out.
#[test]
fn hickory_reads_the_text_back() {
    let mut compared = std::collections::BTreeSet::new();
    for &(record_type, digits, text) in GOLDEN {
        // hickory takes `\DDD` for a character, not for a byte, and does not unescape lists twice (RFC 9460, A.1).
        if [r"\1", r"\2", r"\\\\"]
            .iter()
            .any(|escape| text.contains(escape))
        {
            continue;
        }
        let Ok(read) = RData::try_from_str(RecordType::from(record_type), text) else {
            continue;
        };
        let mut written = Vec::new();
        let mut encoder = BinEncoder::new(&mut written);
        encoder.set_name_encoding(NameEncoding::Uncompressed);
        read.emit(&mut encoder).unwrap();
        assert!(
            written.eq_ignore_ascii_case(&bytes(digits)),
            "type {record_type}: {text}"
        );
        compared.insert(record_type);
    }
    let expected = [
        1, 2, 5, 6, 12, 13, 15, 16, 28, 33, 35, 37, 43, 44, 52, 53, 61, 62, 64, 65, 257,
    ];
    assert_eq!(compared.into_iter().collect::<Vec<_>>(), expected);
}

/// hickory's own reader takes whatever is sound, but for a protocol name that is not UTF-8.
#[test]
fn hickory_reads_the_bytes() {
    for &(record_type, digits, text) in GOLDEN {
        let data = bytes(digits);
        let mut decoder = BinDecoder::new(&data);
        let length = Restrict::new(u16::try_from(data.len()).unwrap());
        let read = RData::read(&mut decoder, RecordType::from(record_type), length);
        assert_eq!(
            read.is_ok(),
            !text.contains(r"\170"),
            "type {record_type}: {text}"
        );
    }
}

/// A message that begins with a header's worth of zeros and `NGROK.io` at 12, then an RDATA.
fn after_name(data: &[u8]) -> (Vec<u8>, usize) {
    let mut message = vec![0; 12];
    message.extend_from_slice(b"\x05NGROK\x02io\0");
    let start = message.len();
    message.extend_from_slice(data);
    (message, start)
}

#[test]
fn names_are_followed_wherever_they_stand() {
    for (record_type, digits, text) in [
        (5, "01 61 c00c", "a.ngrok.io"),
        (
            6,
            "c00c c012 00000001 00000002 00000003 00000004 00000005",
            "ngrok.io io 1 2 3 4 5",
        ),
        (15, "000a 044d41494c c00c", "10 mail.ngrok.io"),
        (33, "0001 0002 0035 c00c", "1 2 53 ngrok.io"),
        (35, "0001 0002 00 00 00 c012", r#"1 2 "" "" "" io"#),
        (39, "c015", "."),
        (45, "0a 03 00 c00c", "10 3 0 ngrok.io"),
        (
            46,
            "0001 08 02 0000012c 00000000 00000000 0001 c00c ff",
            "A 8 2 300 19700101000000 19700101000000 1 ngrok.io /w==",
        ),
        (47, "0178 c00c 0001 40", "x.ngrok.io A"),
        (55, "01 02 0001 aa bb c00c c012", "2 aa uw== ngrok.io io"),
        (65, "0000 c00c", "0 ngrok.io"),
        (65, "0001 c012 0003 0002 01bb", "1 io port=443"),
        (
            250,
            "c012 000000000001 012c 0000 0001 0000 0000",
            "io 1 300 0 1 NOERROR 0",
        ),
        (260, "00 03 c00c", "0 0 3 ngrok.io"),
    ] {
        let (message, start) = after_name(&bytes(digits));
        assert_eq!(
            shown(&message, record_type, start, message.len()),
            (true, text.to_owned())
        );
    }
    // Forward, to a place after the RDATA.
    assert_eq!(shown(b"\xc0\x02\x02io\0", 5, 0, 2), (true, "io".into()));
    // The name ends within the message, but not within the RDATA.
    assert_eq!(shown(b"\x02io\0", 5, 0, 3), (false, r"\# 3 02696f".into()));
    // A circle.
    assert_eq!(shown(b"\xc0\x00", 5, 0, 2), (false, r"\# 2 c000".into()));
}

#[test]
fn broken_rdata_takes_the_generic_form() {
    for (record_type, what, digits) in [
        (1, "three bytes", "010203"),
        (1, "five bytes", "0102030405"),
        (1, "none", ""),
        (28, "fifteen bytes", "000000000000000000000000000000"),
        (5, "bytes after the name", "00 00"),
        (
            6,
            "a number missing",
            "00 00 00000001 00000001 00000001 00000001",
        ),
        (11, "no protocol", "01020304"),
        (13, "one text", "01 61"),
        (16, "no text", ""),
        (16, "a text beyond the end", "05 6162"),
        (16, "the second text beyond the end", "01 61 02 62"),
        (20, "three texts", "00 00 00"),
        (22, "no address", ""),
        (
            29,
            "another version",
            "01 121613 80123456 80123456 00989680",
        ),
        (
            29,
            "no digit in a size",
            "00 a21613 80123456 80123456 00989680",
        ),
        (
            29,
            "beyond the pole",
            "00 121613 00000000 80123456 00989680",
        ),
        (30, "the other bitmap", "00 80"),
        (34, "a letter in the number", "01 61"),
        (34, "a format that is not known", "02 61"),
        (38, "a prefix of 129 bits", "81 00"),
        (38, "a suffix cut", "40 00"),
        (42, "a prefix of 33 bits", "0001 21 01 0a"),
        (42, "five bytes of IPv4", "0001 20 05 0102030405"),
        (42, "a family that is not known", "0003 00 00"),
        (43, "no digest", "0001 08 02"),
        (45, "a gateway that is not known", "00 04 00"),
        (
            46,
            "no signature",
            "0001 08 02 00000000 00000000 00000000 0001 00",
        ),
        (47, "an empty window", "00 00 00"),
        (
            47,
            "a window of 33 bytes",
            "00 00 21 000000000000000000000000000000000000000000000000000000000000000001",
        ),
        (47, "a window twice", "00 00 01 40 00 01 40"),
        (47, "windows backward", "00 01 01 40 00 01 40"),
        (47, "a window cut", "00 00 02 40"),
        (47, "a window without its length", "00 00"),
        (50, "no hash", "01 00 0000 00 00"),
        (50, "a salt beyond the end", "01 00 0000 09 00"),
        (51, "bytes after the salt", "01 00 0000 00 00"),
        (55, "no identity", "00 02 0001 aa"),
        (
            64,
            "keys backward",
            "0001 00 0003 0002 01bb 0001 0003 02 6832",
        ),
        (64, "a key twice", "0001 00 0003 0002 01bb 0003 0002 01bb"),
        (64, "a value beyond the end", "0001 00 0003 0003 01bb"),
        (64, "half a key", "0001 00 00"),
        (64, "a port of three bytes", "0001 00 0003 0003 01bb00"),
        (64, "a value for no-default-alpn", "0001 00 0002 0001 00"),
        (64, "no protocol", "0001 00 0001 0000"),
        (64, "an empty protocol", "0001 00 0001 0001 00"),
        (
            64,
            "a protocol beyond its value",
            "0001 00 0001 0002 02 68 0003 0002 01bb",
        ),
        (64, "no hint", "0001 00 0004 0000"),
        (64, "five bytes of hint", "0001 00 0004 0005 0102030405"),
        (64, "half a mandatory key", "0001 00 0000 0003 000100"),
        (64, "no group", "0001 00 0009 0000"),
        (64, "half a group", "0001 00 0009 0003 001d00"),
        (64, "an empty segment", "0001 00 000a 0001 00"),
        (66, "no target", "003b 01 14ef"),
        (66, "bytes after the target", "003b 01 14ef 00 00"),
        (67, "nothing", ""),
        (108, "five bytes", "0102030405"),
        (
            250,
            "a signature beyond the end",
            "00 000000000001 012c 0009 0001 0000 0000",
        ),
        (257, "no tag", "00 00 61"),
        (257, "a space in the tag", "00 01 20 61"),
        (257, "a tag beyond the end", "00 05 6973"),
        (260, "a relay cut", "00 01 0102"),
        (261, "no text", ""),
        (264, "seven bytes", "00000000000ee8"),
        (264, "nine bytes", "00000000000ee86800"),
    ] {
        let data = bytes(digits);
        assert_eq!(
            shown_alone(record_type, &data),
            (false, generic(&data)),
            "{record_type}: {what}"
        );
    }
}

#[test]
fn types_without_a_presentation_form_are_sound() {
    // NULL, OPT and the meta types; UNECE and ISO, whose drafts still change; what is reserved, or not assigned.
    for record_type in [0, 10, 41, 54, 69, 70, 100, 103, 128, 255, 65_280] {
        assert_eq!(
            shown_alone(record_type, b"\x00\xff"),
            (true, r"\# 2 00ff".into())
        );
        assert_eq!(shown_alone(record_type, b""), (true, r"\# 0".into()));
    }
    assert_eq!(shown_alone(42, b""), (true, r"\# 0".into()));
}

#[test]
fn places_beyond_the_message() {
    assert_eq!(shown(&[1, 2, 3], 1, 1, 5), (false, r"\# 2 0203".into()));
    assert_eq!(shown(&[1, 2, 3], 65_280, 9, 12), (false, r"\# 0".into()));
    assert_eq!(shown(&[1, 2, 3], 1, 3, 1), (false, r"\# 0".into()));
    assert_eq!(
        shown(&[1, 2, 3], 1, usize::MAX, usize::MAX),
        (false, r"\# 0".into())
    );
}

#[test]
fn the_longest_forms_are_bounded() {
    let longest = usize::from(u16::MAX);
    // Every text that fits an RDATA prints, also where no byte of it does.
    let mut texts: Vec<u8> = [[255_u8; 256]; 256].concat();
    texts[longest - 255] = 254;
    texts.truncate(longest);
    let (sound, text) = shown_alone(16, &texts);
    assert!(sound && text.len() > 261_000 && text.len() <= PRESENTATION_MAX);
    // A name of 250 characters, and 32,000 pointers to it.
    let mut message = [
        [b"\x3f".as_slice(), &[b'x'; 63]].concat(),
        vec![61],
        vec![b'x'; 61],
        vec![0],
    ]
    .concat();
    let start = message.len();
    message.extend_from_slice(b"\x01\x02\x00\x01\xaa\xbb");
    message.extend(b"\xc0\x00".repeat(32_000));
    assert!(!shown(&message, 55, start, message.len()).0);
    // Around the bound: as many names as still fit, and not one more.
    let lengths: Vec<usize> = (2_050..2_100)
        .map(|names| shown(&message, 55, start, start + 6 + 2 * names))
        .filter_map(|(sound, text)| sound.then_some(text.len()))
        .collect();
    let most = lengths.iter().copied().max().unwrap();
    assert!(most <= PRESENTATION_MAX && most + 126 > PRESENTATION_MAX);
    // All types there can be, all ports there can be.
    let windows: Vec<u8> = (0..=255)
        .flat_map(|window| [[window, 32].as_slice(), &[255; 32]].concat())
        .collect();
    assert!(!shown_alone(47, &[b"\0".as_slice(), &windows].concat()).0);
    assert!(!shown_alone(11, &[[1, 2, 3, 4, 6].as_slice(), &[255; 8_192]].concat()).0);
    assert!(!shown_alone(11, &[[1, 2, 3, 4, 6].as_slice(), &[0; 8_193]].concat()).0);
}

/// A type: mostly one that has a layout.
fn any_type() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 1_u16..=64, 4 => 65_u16..=265, 1 => 32_768_u16..=32_769, 1 => any::<u16>()]
}

/// Bytes that look like RDATA more often than chance would have it: a golden one, cut and changed.
fn nearly_golden() -> impl Strategy<Value = (u16, Vec<u8>)> {
    (
        0..GOLDEN.len(),
        any::<u16>(),
        any::<u16>(),
        any::<u8>(),
        0..4_u8,
    )
        .prop_map(|(which, cut, at, byte, how)| {
            let (record_type, digits, _) = GOLDEN[which];
            let mut data = bytes(digits);
            if how & 1 != 0 {
                data.truncate(usize::from(cut) % (data.len() + 1));
            }
            if how & 2 != 0 && !data.is_empty() {
                let at = usize::from(at) % data.len();
                data[at] = byte;
            }
            (record_type, data)
        })
}

fn hold(message: &[u8], record_type: u16, start: usize, end: usize) {
    let (sound, text) = shown(message, record_type, start, end);
    assert!(
        text.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{text}"
    );
    assert!(!text.is_empty() && text.len() <= PRESENTATION_MAX);
    let data = message.get(start..end);
    if !sound || layout(record_type).is_empty() {
        let rest = data.or(message.get(start..)).unwrap_or_default();
        assert_eq!(text, generic(rest));
    }
    // What stood in the text before, and what comes after the message, changes nothing that is sound.
    let mut out = b"before".to_vec();
    assert_eq!(present(message, record_type, start, end, &mut out), sound);
    assert_eq!(out, [b"before", text.as_bytes()].concat());
    if sound {
        let longer = [message, b"\x01a\0"].concat();
        assert_eq!(shown(&longer, record_type, start, end), (true, text));
    }
}

proptest! {
    #[test]
    fn any_bytes_give_bounded_printable_text(
        message in prop::collection::vec(prop_oneof![any::<u8>(), 0..8_u8, Just(0xC0)], 0..96),
        record_type in any_type(),
        start in 0..100_usize,
        length in 0..100_usize,
    ) {
        hold(&message, record_type, start, start + length);
        hold(&message, record_type, start, message.len());
    }

    /// The ways that most answers go by are no other ways.
    #[test]
    fn what_is_read_where_it_stands_is_what_its_fields_say(
        message in prop::collection::vec(prop_oneof![any::<u8>(), 0..8_u8, b'a'..=b'z', Just(0xC0), Just(0)], 0..96),
        record_type in prop::sample::select(&[1, 2, 5, 12, 28]),
        start in 0..40_usize,
        length in prop_oneof![Just(4), Just(16), 0..100_usize],
    ) {
        let after = super::super::name::skip_name(&message, start).unwrap_or(message.len());
        for end in [start + length, after, message.len()] {
            let mut out = b"before".to_vec();
            let sound = end <= message.len() && present_fields(&message, record_type, start, end, &mut out);
            if sound || (start..=message.len()).contains(&end) {
                let mut ours = b"before".to_vec();
                prop_assert_eq!(present(&message, record_type, start, end, &mut ours), sound);
                prop_assert_eq!(ours, out);
            }
        }
    }

    #[test]
    fn changed_rdata_gives_bounded_printable_text((record_type, data) in nearly_golden()) {
        hold(&data, record_type, 0, data.len());
        let (message, start) = after_name(&data);
        hold(&message, record_type, start, message.len());
    }

    /// What hickory refuses is refused here too, for the types whose rules it checks as they stand.
    #[test]
    fn what_hickory_refuses_is_not_sound((record_type, data) in nearly_golden()) {
        if matches!(record_type, 1 | 2 | 5 | 6 | 12 | 13 | 15 | 16 | 28 | 33 | 37 | 43 | 44 | 46 | 52 | 53 | 61) {
            let mut decoder = BinDecoder::new(&data);
            let length = Restrict::new(u16::try_from(data.len()).unwrap());
            let read = RData::read(&mut decoder, RecordType::from(record_type), length);
            let (sound, text) = shown_alone(record_type, &data);
            prop_assert!(read.is_ok() || !sound, "type {}: {} but {:?}", record_type, text, read);
        }
    }
}
