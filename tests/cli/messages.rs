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
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.pcap");
    std::fs::write(&path, pcap::file(pcap::ETHERNET, records)).unwrap();
    run(&[path.to_str().unwrap(), "--rows", "none", "--events", "-"])
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
