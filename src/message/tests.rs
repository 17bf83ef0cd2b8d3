use super::*;

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
        (message.record_type.as_ref(), message.class.as_ref()),
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
        question.read(part, &header);
        let message = Message::decode(part).unwrap();
        assert_eq!(question.is_present(), message.name.is_some());
        assert_eq!(question.name(), message.name.unwrap_or_default().as_bytes());
    }
}
