use proptest::prelude::*;

use super::rdata::golden::GOLDEN;
use super::walk::TEXT_MAX;
use super::*;
use crate::wide::Narrow;

/// `abc.ngrok.io A`, answered by a CNAME, an A record, and an OPT record.
const RESPONSE: &[u8] = b"\x12\x34\x85\x80\0\x01\0\x02\0\0\0\x01\
    \x03aBc\x05ngrok\x02io\0\0\x01\0\x01\
    \xC0\x0C\0\x05\0\x01\0\0\x01\x2C\0\x04\x01x\xC0\x10\
    \xC0\x2A\0\x01\0\x01\0\0\0\x3C\0\x04\x03\x86\x27\xDC\
    \0\0\x29\x04\xD0\0\0\x80\0\0\0";

#[test]
fn a_whole_response() {
    let message = Message::decode(RESPONSE).unwrap();
    assert_eq!(message.name.as_deref(), Some("abc.ngrok.io"));
    assert_eq!(message.name_spelled, "aBc.ngrok.io");
    assert_eq!(
        (
            message.record_type.as_ref(),
            message.class_name(false).as_ref()
        ),
        ("A", "IN")
    );
    let answers: Vec<_> = message
        .answers
        .iter()
        .map(|r| {
            (
                r.name.as_str(),
                r.record_type.as_ref(),
                r.ttl,
                r.data.as_str(),
            )
        })
        .collect();
    assert_eq!(
        answers,
        [
            ("abc.ngrok.io", "CNAME", 300, "x.ngrok.io"),
            ("x.ngrok.io", "A", 60, "3.134.39.220")
        ]
    );
    assert_eq!(
        message.edns,
        Some(Edns {
            version: 0,
            udp_size: 1232,
            dnssec_ok: true,
            client_subnet: None
        })
    );
    assert!(message.malformed.is_empty());
}

#[test]
fn what_parsed_is_kept_wherever_it_is_cut() {
    for cut in 0..RESPONSE.len() {
        let part = RESPONSE.get(..cut).unwrap();
        let Some(message) = Message::decode(part) else {
            assert!(cut < HEADER_LEN);
            continue;
        };
        let expected = match cut {
            ..30 => (false, 0, Section::Question),
            30..46 => (true, 0, Section::Answer),
            46..62 => (true, 1, Section::Answer),
            _ => (true, 2, Section::Additional),
        };
        assert_eq!(
            (
                message.name.is_some(),
                message.answers.len(),
                message.malformed[0]
            ),
            expected,
            "cut at {cut}"
        );
    }
}

#[test]
fn a_broken_record_spoils_itself_alone() {
    let mut bytes = RESPONSE.to_vec();
    // The CNAME's target points at itself.
    bytes[45] = 0x2C;
    bytes[44] = 0xC0;
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.answers.len(), 2);
    assert_eq!(message.answers[1].data, "3.134.39.220");
    assert_eq!(message.malformed, [Section::Answer]);
}

#[test]
fn the_look_in_place_agrees_with_the_whole_walk() {
    let mut question = Question::default();
    for cut in HEADER_LEN..RESPONSE.len() {
        let part = RESPONSE.get(..cut).unwrap();
        let header = Header::read(part).unwrap();
        question.read(part, &header, Narrow);
        let message = Message::decode(part).unwrap();
        assert_eq!(question.is_present(), message.name.is_some());
        assert_eq!(question.name(), message.name.unwrap_or_default().as_bytes());
    }
}

/// Bytes from hexadecimal digits; spaces do not count.
fn bytes(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|digit| *digit != b' ').collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A header and the question `abc.ngrok.io A`, whose name is at offset 12.
fn asked(flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let mut message = Vec::new();
    for word in [0x1234, flags].into_iter().chain(counts) {
        message.extend(word.to_be_bytes());
    }
    message.extend(b"\x03abc\x05ngrok\x02io\0\0\x01\0\x01");
    message
}

/// A record of class IN with a TTL of 60 s.
fn record(owner: &[u8], record_type: u16, data: &[u8]) -> Vec<u8> {
    let mut record = owner.to_vec();
    record.extend(record_type.to_be_bytes());
    record.extend([0, 1, 0, 0, 0, 60]);
    record.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    record.extend(data);
    record
}

/// A response with these answers; each has an owner of its own.
fn answered(answers: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let count = u16::try_from(answers.len()).unwrap();
    let mut message = asked(0x8180, [1, count, 0, 1]);
    for (place, (record_type, data)) in answers.iter().enumerate() {
        let owner = [
            b"\x03".as_slice(),
            format!("{place:03}").as_bytes(),
            b"\xC0\x0C",
        ]
        .concat();
        message.extend(record(&owner, *record_type, data));
    }
    message.extend(b"\0\0\x29\x04\xD0\0\0\x80\0\0\0");
    message
}

fn golden() -> Vec<(u16, Vec<u8>)> {
    GOLDEN
        .iter()
        .map(|&(record_type, digits, _)| (record_type, bytes(digits)))
        .collect()
}

#[test]
fn every_type_in_one_message() {
    let message = Message::decode(&answered(&golden())).unwrap();
    assert_eq!(message.malformed, []);
    assert_eq!(message.sound_answers, GOLDEN.len());
    for ((place, answer), (_, _, text)) in message.answers.iter().enumerate().zip(GOLDEN) {
        assert_eq!(answer.name, format!("{place:03}.abc.ngrok.io"));
        assert_eq!(answer.data, *text);
    }
    assert_eq!(message.edns.unwrap().udp_size, 1232);
}

/// Each record in turn loses its last byte, has one too many, is empty, is a name that points at itself; or its owner is.
#[test]
fn each_broken_record_spoils_itself_alone() {
    let sound = golden();
    let mut at = asked(0, [0; 4]).len();
    for place in 0..sound.len() {
        let itself = |at: usize| (0xC000 | u16::try_from(at).unwrap()).to_be_bytes();
        for how in 0..5 {
            let mut broken = sound.clone();
            let data = &mut broken[place].1;
            match how {
                0 => {
                    data.pop();
                }
                1 => data.push(0),
                2 => data.clear(),
                // Behind the owner of six bytes and ten of numbers.
                3 => *data = itself(at + 16).to_vec(),
                _ => {}
            }
            let mut bytes = answered(&broken);
            if how == 4 {
                bytes[at + 4..at + 6].copy_from_slice(&itself(at + 4));
            }
            let message = Message::decode(&bytes).unwrap();
            let what = format!("type {} at {place}, {how}", sound[place].0);
            assert_eq!(message.answers.len(), GOLDEN.len(), "{what}");
            assert_eq!(message.edns.as_ref().unwrap().udp_size, 1232, "{what}");
            for (other, answer) in message.answers.iter().enumerate() {
                if other != place {
                    assert_eq!(answer.data, GOLDEN[other].2, "{what}");
                    assert_eq!(answer.name, format!("{other:03}.abc.ngrok.io"), "{what}");
                }
            }
            let is_sound = message.sound_answers == GOLDEN.len();
            assert!(
                is_sound || message.sound_answers + 1 == GOLDEN.len(),
                "{what}"
            );
            assert_eq!(message.malformed.is_empty(), is_sound && how != 4, "{what}");
            if !is_sound {
                assert!(message.answers[place].data.starts_with("\\# "), "{what}");
            }
            // Types whose RDATA has one length, or says itself where it ends.
            if matches!(sound[place].0, 1 | 2 | 5 | 6 | 15 | 28 | 33 | 35 | 264) {
                assert_eq!(is_sound, how == 4, "{what}");
            }
        }
        at += 6 + 10 + sound[place].1.len();
    }
}

/// The records of the other sections are looked at too, though they are not shown.
#[test]
fn sections_are_told_apart() {
    let broken = record(b"\xC0\x0C", 1, &[1, 2, 3]);
    for (counts, section) in [
        ([1, 1, 0, 0], Section::Answer),
        ([1, 0, 1, 0], Section::Authority),
        ([1, 0, 0, 1], Section::Additional),
    ] {
        let bytes = [asked(0x8180, counts), broken.clone()].concat();
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.malformed, [section]);
        assert_eq!(
            message.answers.len(),
            usize::from(section == Section::Answer)
        );
    }
    let names = |opcode| Section::ALL.map(|section| section.name(opcode));
    assert_eq!(names(0), ["question", "answer", "authority", "additional"]);
    assert_eq!(names(5), ["zone", "prerequisite", "update", "additional"]);
}

/// Bytes by dnspython 2.9.2, read by tshark 4.0: five prerequisites and four updates, some of class ANY or NONE without data.
#[test]
fn an_update_and_a_notification() {
    let update = bytes(
        "123428000001000500040000076578616d706c6503636f6d00000600010161c00c00ff00ff000000000000c01d000100ff000000000000\
         0162c00c000100fe0000000000000163c00c00ff00fe0000000000000164c00c00010001000000000004c00002010165c00c001000ff00\
         00000000000166c00c00ff00ff000000000000c01d000100fe000000000004c0000207c01d000100010000012c0004c0000208",
    );
    let message = Message::decode(&update).unwrap();
    assert_eq!(message.malformed, []);
    assert_eq!(message.opcode, "UPDATE");
    assert_eq!(message.name.as_deref(), Some("example.com"));
    assert!(message.answers.is_empty());
    // A class of which a record without data means nothing: the prerequisite `a.example.com A` of class ANY.
    let at = update
        .windows(6)
        .position(|window| window == [0xC0, 0x1D, 0, 1, 0, 0xFF])
        .unwrap();
    let mut wrong = update.clone();
    wrong[at + 5] = 1;
    assert_eq!(
        Message::decode(&wrong).unwrap().malformed,
        [Section::Answer]
    );
    // The same records in a response to a query are broken.
    let mut wrong = update;
    wrong[2..4].copy_from_slice(&[0x81, 0x80]);
    let message = Message::decode(&wrong).unwrap();
    assert_eq!(message.malformed, [Section::Answer, Section::Authority]);
    assert_eq!((message.answers.len(), message.sound_answers), (5, 3));

    let notification = bytes(
        "000724000001000100000000076578616d706c6503636f6d0000060001c00c0006000100000e100020026e73c00c04726f6f74c00c78c2\
         75f500001c20000003840012750000015180",
    );
    let message = Message::decode(&notification).unwrap();
    assert_eq!(message.malformed, []);
    assert_eq!(message.opcode, "NOTIFY");
    assert_eq!(
        message.answers[0].data,
        "ns.example.com root.example.com 2026010101 7200 900 1209600 86400"
    );
}

#[test]
fn questions_none_several_and_too_many() {
    // None, and an answer all the same.
    let mut bytes = asked(0x8180, [0, 1, 0, 0]);
    bytes.truncate(HEADER_LEN);
    bytes.extend(record(b"\x01a\0", 1, &[192, 0, 2, 1]));
    let message = Message::decode(&bytes).unwrap();
    assert_eq!((message.name, message.class), (None, None));
    assert_eq!(message.answers[0].data, "192.0.2.1");
    assert!(message.malformed.is_empty());

    // Several: as many as are kept, and more.
    for (more, is_cut) in [(1_u16, false), (64, false), (65, true), (1_000, true)] {
        let mut bytes = asked(0x0100, [1 + more, 0, 0, 1]);
        for number in 0..more {
            bytes.extend([4]);
            bytes.extend(format!("{number:04}").bytes());
            bytes.extend(b"\xC0\x0C\0\x01\0\x01");
        }
        bytes.extend(b"\0\0\x29\x04\xD0\0\0\x80\0\0\0");
        let message = Message::decode(&bytes).unwrap();
        let kept: Vec<String> = (0..more.min(64))
            .map(|number| format!("{number:04}.abc.ngrok.io"))
            .collect();
        assert_eq!(message.name.as_deref(), Some("abc.ngrok.io"));
        assert_eq!(message.other_questions, kept);
        assert_eq!(message.cut.contains(&Cut::Questions), is_cut);
        assert!(message.malformed.is_empty() && message.edns.is_some());
    }

    // More are promised than there are: what is there is read, and what follows is no question.
    for count in [2, 3, 65_535] {
        let message = Message::decode(&asked(0x0100, [count, 0, 0, 0])).unwrap();
        assert_eq!(message.name.as_deref(), Some("abc.ngrok.io"));
        assert_eq!(message.malformed, [Section::Question]);
        let mut bytes = RESPONSE.to_vec();
        bytes[4..6].copy_from_slice(&count.to_be_bytes());
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.name.as_deref(), Some("abc.ngrok.io"));
        assert!(!message.malformed.is_empty());
    }

    // Fewer than there are: the second is taken for an answer, which it is not.
    let mut bytes = asked(0x8180, [1, 1, 0, 0]);
    bytes.extend(b"\xC0\x0C\0\x01\0\x01");
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.malformed, [Section::Answer]);
    assert!(message.answers.is_empty());
}

/// The name of a question points at itself; the records behind it are read.
#[test]
fn a_broken_question_spoils_itself_alone() {
    let question = b"\xC0\x0C\0\x01\0\x01";
    let mut first = asked(0x8180, [2, 1, 0, 0]);
    first.splice(HEADER_LEN..HEADER_LEN, question.iter().copied());
    let mut second = asked(0x8180, [2, 1, 0, 0]);
    second.extend(b"\xC0\x1E\0\x01\0\x01");
    for (mut bytes, name, others) in [
        (first, None, vec!["abc.ngrok.io".to_owned()]),
        (second, Some("abc.ngrok.io"), vec![]),
    ] {
        bytes.extend(record(b"\x01a\0", 1, &[192, 0, 2, 1]));
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.name.as_deref(), name);
        assert_eq!(message.other_questions, others);
        assert_eq!(message.malformed, [Section::Question]);
        assert_eq!(message.answers[0].data, "192.0.2.1");
        // The look in place thinks the same of it.
        let mut question = Question::default();
        question.read(&bytes, &message.header, Narrow);
        assert_eq!(question.is_present(), name.is_some());
    }
}

#[test]
fn the_class_in_multicast_dns() {
    let mut bytes = asked(0, [1, 0, 0, 0]);
    let end = bytes.len();
    bytes[end - 2] = 0x80;
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.class_name(true), "IN");
    assert_eq!(message.class_name(false), "CLASS32769");
}

/// The upper bits of RCODE are those of the first OPT record: BADVERS is 16, BADCOOKIE 23 (RFC 6891, 9; RFC 7873, 8).
#[test]
fn extended_rcodes() {
    for (low, high, rcode) in [(0, 1, 16), (7, 1, 23), (0, 0, 0), (15, 255, 4095)] {
        let mut bytes = asked(0x8180 | low, [1, 0, 0, 2]);
        for high in [high, 0x77] {
            bytes.extend([0, 0, 41, 4, 208, high, 0, 0, 0, 0, 0]);
        }
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.rcode, rcode);
        // The second is one too many.
        assert_eq!(message.malformed, [Section::Additional]);
    }
}

/// 64 KiB of records whose owner and RDATA point at a name of 250 bytes, none of which prints: 2 KiB of text for 14 bytes.
#[test]
fn the_text_of_a_message_is_bounded() {
    let name = [
        b"\x3f".as_slice(),
        &[7; 63],
        b"\x3f",
        &[7; 63],
        b"\x3f",
        &[7; 63],
        b"\x38",
        &[7; 56],
        b"\0",
    ]
    .concat();
    let text = 4 * (63 * 3 + 56) + 3;
    let one = record(b"\xC0\x0C", 5, b"\xC0\x0C");
    for (count, is_cut) in [(100, false), (4_600, true)] {
        let mut bytes = asked(0x8180, [1, count, 0, 1]);
        bytes.truncate(HEADER_LEN);
        bytes.extend(&name);
        bytes.extend([0, 5, 0, 1]);
        bytes.extend(one.repeat(usize::from(count)));
        bytes.extend(b"\0\0\x29\x04\xD0\0\0\x80\0\0\0");
        assert!(bytes.len() <= usize::from(u16::MAX));
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.cut.contains(&Cut::Answers), is_cut);
        // Nothing is wrong with it, and what stands behind the answers is read.
        assert_eq!(message.malformed, []);
        assert!(message.edns.is_some());
        let expected = usize::from(count).min(TEXT_MAX / (2 * text));
        assert_eq!(message.answers.len(), expected);
        assert!(
            message
                .answers
                .iter()
                .all(|answer| answer.name.len() == text && answer.data.len() == text)
        );
    }
    // The other sections are bounded with it; nothing is left out of the event then.
    let mut bytes = asked(0x8180, [1, 0, 4_000, 0]);
    bytes.truncate(HEADER_LEN);
    bytes.extend(&name);
    bytes.extend([0, 5, 0, 1]);
    bytes.extend(one.repeat(4_000));
    let message = Message::decode(&bytes).unwrap();
    assert_eq!((message.malformed.len(), message.cut.len()), (0, 0));
}

/// A message of golden records in all sections, with a few of its bytes changed, and cut.
fn nearly_sound() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), Just(0xC0), Just(0), 0..64_u8];
    (
        prop::collection::vec(0..GOLDEN.len(), 0..12),
        prop::collection::vec((any::<prop::sample::Index>(), byte), 0..6),
        prop::option::of(any::<prop::sample::Index>()),
        prop_oneof![Just(0x8180_u16), Just(0x2800), Just(0x2400), any::<u16>()],
    )
        .prop_map(|(records, changes, cut, flags)| {
            let golden = golden();
            let third = u16::try_from(records.len() / 3).unwrap();
            let rest = u16::try_from(records.len()).unwrap() - 2 * third;
            let mut bytes = asked(flags, [1, rest, third, third + 1]);
            for place in records {
                let (record_type, data) = &golden[place];
                bytes.extend(record(b"\xC0\x0C", *record_type, data));
            }
            bytes.extend(
                b"\0\0\x29\x04\xD0\0\0\x80\0\0\x14\0\x0A\0\x08abcdefgh\0\x0F\0\x04\0\x0Fno",
            );
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes
        })
}

proptest! {
    /// What a response repeats of its query is what it says itself.
    #[test]
    fn a_response_says_the_same_beside_its_query(
        query in nearly_sound(),
        response in prop::option::of(nearly_sound()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..2),
    ) {
        let mut response = response.unwrap_or_else(|| query.clone());
        for (place, byte) in changes.iter().filter(|_| !response.is_empty()).collect::<Vec<_>>() {
            let place = place.index(response.len());
            response[place] = *byte;
        }
        let asked = Message::decode(&query);
        let mut beside = Message::default();
        let is_one = beside.read_response(&response, asked.as_ref().map(|asked| (asked, query.as_slice())));
        let alone = Message::decode(&response);
        prop_assert_eq!(is_one, alone.is_some());
        if let Some(alone) = alone {
            prop_assert_eq!(format!("{beside:?}"), format!("{alone:?}"));
        }
    }

    /// Whatever comes: no panic, no more than the bounds, and nothing but printable ASCII.
    #[test]
    fn any_message_gives_bounded_printable_text(
        bytes in prop_oneof![4 => nearly_sound(), 1 => prop::collection::vec(any::<u8>(), 0..200)],
    ) {
        let Some(message) = Message::decode(&bytes) else {
            prop_assert!(bytes.len() < HEADER_LEN);
            return Ok(());
        };
        let records = message.answers.iter().flat_map(|answer| [&answer.name, &answer.data]);
        prop_assert!(records.clone().map(String::len).sum::<usize>() <= TEXT_MAX);
        let texts = records
            .chain(&message.name)
            .chain([&message.name_spelled])
            .chain(&message.other_questions)
            .chain(&message.edns_options);
        for text in texts {
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", text);
        }
        prop_assert!(message.answers.len() <= usize::from(message.header.answers));
        prop_assert!(message.sound_answers <= message.answers.len());
        prop_assert!(message.other_questions.len() <= Message::QUESTIONS_MAX);
        // The look in place sees the same question.
        let mut question = Question::default();
        question.read(&bytes, &message.header, Narrow);
        prop_assert_eq!(question.is_present(), message.name.is_some());
        prop_assert_eq!(question.name(), message.name.as_deref().unwrap_or_default().as_bytes());
        // What comes behind the message takes nothing away.
        let longer = Message::decode(&[bytes.as_slice(), &[0; 64]].concat()).unwrap();
        prop_assert!(longer.answers.len() >= message.answers.len());
    }
}
