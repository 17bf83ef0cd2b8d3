//! What `--events` says of messages that are rare, odd or broken. The committed captures have none of them, so they are made
//! by hand from the RFCs.

use serde_json::{Value, json};

use super::{json as run, pcap};

const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 10], 40_000);
const RESOLVER: ([u8; 4], u16) = ([192, 0, 2, 53], 53);

/// The one event of a query and its response; either may be missing.
fn event(query: Option<&[u8]>, response: Option<&[u8]>) -> Value {
    let packets = [
        query.map(|message| pcap::udp(CLIENT, RESOLVER, 1, message)),
        response.map(|message| pcap::udp(RESOLVER, CLIENT, 2, message)),
    ];
    let records: Vec<pcap::Record> = packets
        .into_iter()
        .flatten()
        .map(|bytes| pcap::Record {
            time: (1_800_000_000, 0),
            bytes,
        })
        .collect();
    let mut found = events(&records);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

fn events(records: &[pcap::Record]) -> Vec<Value> {
    let (_folder, path) = pcap::made(records);
    run(&[&path, "--rows", "none", "--events", "-"])
}

/// Each field of `expected` is so.
fn holds(event: &Value, expected: &Value) {
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&event[field], value, "{field} in {event:#}");
    }
}

/// A record's bytes: owner, type, class, TTL, RDATA.
fn record(owner: &[u8], record_type: u16, class: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = owner.to_vec();
    bytes.extend(record_type.to_be_bytes());
    bytes.extend(class.to_be_bytes());
    bytes.extend(ttl.to_be_bytes());
    bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend(data);
    bytes
}

/// An OPT record (RFC 6891) with options of a code and a value each; `ttl` is the extended RCODE, version and flags.
fn opt(ttl: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (code, value) in options {
        data.extend(code.to_be_bytes());
        data.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        data.extend(*value);
    }
    record(&[0], 41, 1232, ttl, &data)
}

#[test]
fn options_of_both_sides() {
    let query = [
        pcap::message(1, 0x0100, [1, 0, 0, 1], "a.ngrok.io"),
        opt(0, &[(3, b""), (10, &[0xAB; 8]), (12, &[0; 30])]),
    ]
    .concat();
    let response = [
        pcap::message(1, 0x8183, [1, 0, 0, 1], "a.ngrok.io"),
        opt(
            0,
            &[
                (10, &[0xAB; 24]),
                (15, b"\0\x0FNo \"tunnels\""),
                (3, b"ns1"),
                (12, &[]),
                (65_001, &[1, 2]),
            ],
        ),
    ]
    .concat();
    holds(
        &event(Some(&query), Some(&response)),
        &json!({
            "edns_options": [
                "query:nsid",
                "query:cookie=abababababababab",
                "query:padding=30",
                format!("response:cookie={}", "ab".repeat(24)),
                "response:extended-error=15 Blocked: No \"tunnels\"",
                "response:nsid=ns1",
                "response:padding=0",
                "response:option65001=0102",
            ],
            "anomalies": [],
        }),
    );
}

#[test]
fn options_that_are_cut_say_so() {
    for (options, kept) in [
        (vec![(12_u16, &[] as &[u8]); 65], 64),
        (vec![(65_001, &[0xAB; 600])], 1),
    ] {
        let query = [
            pcap::message(1, 0x0100, [1, 0, 0, 1], "a.ngrok.io"),
            opt(0, &options),
        ]
        .concat();
        let event = event(Some(&query), None);
        assert_eq!(event["edns_options"].as_array().unwrap().len(), kept);
        holds(&event, &json!({ "anomalies": ["options_cut"] }));
    }
}

/// The question's name, by a pointer.
const NAME: &[u8] = &[0xC0, 12];

/// The outcome and the anomalies of a response to a query.
fn outcome(response: &[u8]) -> (String, Value) {
    let event = event(Some(&pcap::query(1, "a.ngrok.io")), Some(response));
    (
        event["outcome"].as_str().unwrap().to_owned(),
        event["anomalies"].clone(),
    )
}

/// A response to that query.
fn response(flags: u16, counts: [u16; 4], records: &[u8]) -> Vec<u8> {
    let mut message = pcap::message(1, flags, counts, "a.ngrok.io");
    message.extend(records);
    message
}

/// RCODE 0 and one answer promised: it resolves where that answer can be read, and never beside an answer that cannot.
#[test]
fn answers_that_cannot_be_read_resolve_nothing() {
    let sound = record(NAME, 1, 1, 60, &[3, 134, 39, 220]);
    let short = record(NAME, 1, 1, 60, &[3, 134, 39]);
    let circle = record(NAME, 5, 1, 60, &[0xC0, 40]);
    for (code, count, records, expected, is_sound) in [
        (0, 1, [sound.as_slice(), &[]], "resolved", true),
        (0, 1, [&[], &[]], "other", false),
        (0, 1, [&short, &[]], "other", false),
        (0, 1, [&circle, &[]], "other", false),
        (0, 1, [&sound[..14], &[]], "other", false),
        // One of two can be read.
        (0, 2, [&short, &sound], "resolved", false),
        (0, 2, [&sound, &[]], "resolved", false),
        // An RCODE says what it says.
        (3, 1, [&[], &[]], "nxdomain", false),
    ] {
        let message = response(0x8180 | code, [1, count, 0, 0], &records.concat());
        let anomalies = if is_sound {
            json!([])
        } else {
            json!(["malformed:answer"])
        };
        assert_eq!(
            outcome(&message),
            (expected.to_owned(), anomalies),
            "{records:02x?}"
        );
    }
}

/// The same answer, cut off by the capture and not by its sender.
#[test]
fn answers_that_the_capture_cut_resolve() {
    let whole = response(
        0x8180,
        [1, 1, 0, 0],
        &record(NAME, 1, 1, 60, &[3, 134, 39, 220]),
    );
    let records = [
        pcap::udp(CLIENT, RESOLVER, 1, &pcap::query(1, "a.ngrok.io")),
        pcap::udp(RESOLVER, CLIENT, 2, &whole),
    ]
    .map(|bytes| pcap::Record {
        time: (1_800_000_000, 0),
        bytes,
    });
    let mut file = pcap::file(pcap::ETHERNET, &records);
    // Three bytes less of the last packet, whose length stays what it was.
    let at = file.len() - records[1].bytes.len() - 8;
    let length = u32::try_from(records[1].bytes.len() - 3).unwrap();
    file[at..at + 4].copy_from_slice(&length.to_le_bytes());
    file.truncate(file.len() - 3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pcap");
    std::fs::write(&path, file).unwrap();
    let found = run(&[path.to_str().unwrap(), "--rows", "none", "--events", "-"]);
    assert_eq!(found.len(), 1);
    holds(
        &found[0],
        &json!({ "outcome": "resolved", "anomalies": ["snaplen"], "answer": ["unknown"], "answer_count": 1 }),
    );
}

/// Without a question nobody can say that a name exists.
#[test]
fn responses_without_a_question() {
    let without = |counts: [u16; 4], records: &[u8]| {
        let mut message = pcap::message(1, 0x8180, counts, "a.ngrok.io");
        message.truncate(12);
        message.extend(records);
        message
    };
    let empty = without([0, 0, 0, 0], &[]);
    holds(
        &event(None, Some(&empty)),
        &json!({ "query": "unknown", "record_type": "unknown", "query_class": "unknown", "query_count": 0,
            "outcome": "other", "anomalies": [] }),
    );
    // The query says what it was.
    assert_eq!(outcome(&empty), ("nodata".to_owned(), json!([])));
    let answer = record(&[1, b'a', 0], 1, 1, 60, &[192, 0, 2, 1]);
    holds(
        &event(None, Some(&without([0, 1, 0, 0], &answer))),
        &json!({ "query": "unknown", "outcome": "resolved", "answer": ["192.0.2.1"] }),
    );
}

#[test]
fn questions_that_are_not_there_or_broken() {
    // Two are promised.
    let query = pcap::message(1, 0x0100, [2, 0, 0, 0], "a.ngrok.io");
    holds(
        &event(Some(&query), None),
        &json!({ "query": "a.ngrok.io", "query_count": 2, "other_questions": [], "anomalies": ["malformed:question"] }),
    );
    // The name points at itself; the record behind it is read.
    let mut broken = pcap::message(1, 0x8180, [1, 1, 0, 0], "x")[..12].to_vec();
    broken.extend([0xC0, 12, 0, 1, 0, 1]);
    broken.extend(record(&[1, b'a', 0], 1, 1, 60, &[192, 0, 2, 1]));
    holds(
        &event(None, Some(&broken)),
        &json!({ "query": "unknown", "answer": ["192.0.2.1"], "anomalies": ["malformed:question"] }),
    );
    // More than are kept.
    let mut many = pcap::message(1, 0x0100, [70, 0, 0, 0], "a.ngrok.io");
    many.extend([0xC0, 12, 0, 28, 0, 1].repeat(69));
    let event = event(Some(&many), None);
    assert_eq!(event["other_questions"].as_array().unwrap().len(), 64);
    holds(
        &event,
        &json!({ "query_count": 70, "anomalies": ["questions_cut"] }),
    );
}

/// What RFC 2136 calls zone, prerequisites and updates; records of class ANY and NONE have no data.
#[test]
fn updates() {
    let zone = |flags: u16, records: &[Vec<u8>]| {
        let mut message = pcap::message(1, flags, [1, 1, 1, 0], "ngrok.io");
        let type_at = message.len() - 3;
        message[type_at] = 6;
        message.extend(records.concat());
        message
    };
    let prerequisite = record(NAME, 1, 254, 0, &[]);
    let update = record(NAME, 255, 255, 0, &[]);
    let query = zone(5 << 11, &[prerequisite.clone(), update.clone()]);
    let sound = event(Some(&query), Some(&zone(0xA800, &[prerequisite, update])));
    holds(
        &sound,
        &json!({ "query_type": "UPDATE", "record_type": "SOA", "opcode": "UPDATE", "query": "ngrok.io",
            "outcome": "other", "anomalies": [], "answer": ["unknown"], "answer_count": 1, "answers": [] }),
    );
    let broken = record(NAME, 1, 1, 60, &[1, 2, 3]);
    let query = zone(5 << 11, &[broken.clone(), broken]);
    holds(
        &event(Some(&query), None),
        &json!({ "anomalies": ["malformed:prerequisite", "malformed:update"] }),
    );
    let query = pcap::message(1, 5 << 11, [2, 0, 0, 0], "ngrok.io");
    holds(
        &event(Some(&query), None),
        &json!({ "anomalies": ["malformed:zone"] }),
    );
}

/// A NOTIFY with the new SOA record (RFC 1996, 3.7) and its response.
#[test]
fn notifications() {
    let mut query = pcap::message(1, 0x2400, [1, 1, 0, 0], "ngrok.io");
    let data = [b"\x02ns\xC0\x0C\x04root\xC0\x0C".as_slice(), &[0; 20]].concat();
    query.extend(record(NAME, 6, 1, 3600, &data));
    let response = pcap::message(1, 0xA400, [1, 0, 0, 0], "ngrok.io");
    holds(
        &event(Some(&query), Some(&response)),
        &json!({ "query_type": "NOTIFY", "opcode": "NOTIFY", "query": "ngrok.io", "outcome": "other",
            "flags": ["aa"], "anomalies": [], "answer": ["unknown"], "answer_count": 0 }),
    );
}

/// BADVERS (RFC 6891, 9) and BADCOOKIE (RFC 7873, 8): the upper bits stand in the OPT record.
#[test]
fn extended_rcodes() {
    for (low, high, code, phrase) in [
        (0, 1, "16", "TSIG Signature Failure"),
        (7, 1, "23", "unknown"),
        (1, 240, "3841", "Reserved for Private Use"),
    ] {
        let message = response(0x8180 | low, [1, 0, 0, 1], &opt(high << 24, &[]));
        let event = event(Some(&pcap::query(1, "a.ngrok.io")), Some(&message));
        holds(
            &event,
            &json!({ "reply_code_id": code, "reply_code": phrase, "outcome": "other", "anomalies": [] }),
        );
    }
}

/// The question asks for a unicast response (RFC 6762, 5.4): the class is IN all the same.
#[test]
fn the_class_in_multicast_dns() {
    let mut query = pcap::query(0, "printer.local");
    let class_at = query.len() - 2;
    query[class_at] = 0x80;
    for (port, class) in [(5353, "IN"), (5355, "CLASS32769"), (53, "CLASS32769")] {
        let bytes = pcap::udp(CLIENT, ([224, 0, 0, 251], port), 1, &query);
        let found = events(&[pcap::Record {
            time: (1_800_000_000, 0),
            bytes,
        }]);
        assert_eq!(found[0]["query_class"], class, "port {port}");
    }
}
