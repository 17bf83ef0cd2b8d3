//! Every field of `--events`, on transactions of the committed captures, against what tshark shows of those packets. The
//! values were read off tshark's output by eye and written down; when the captures are made again (`scripts/make-captures`),
//! so are they: `tshark -r captures/ngrok.pcap -Y 'frame.number in {149,150}' -O eth,ip,udp,dns`.

use serde_json::{Value, json};

use super::{capture, captures, dnsterrier, file, json as run, pcap, stdout};

/// The events of a capture.
fn events(path: &str, more: &[&str]) -> Vec<Value> {
    run(&[&[path, "--rows", "none", "--events", "-"], more].concat())
}

/// The one event whose query is that packet, of that type where the packet holds several.
fn event(name: &str, packet: u64) -> Value {
    let mut found: Vec<Value> = events(&capture(name), &["--sensor", "lab"])
        .into_iter()
        .filter(|event| event["packet"] == packet)
        .collect();
    assert_eq!(found.len(), 1, "packet {packet} of {name}: {found:#?}");
    found.remove(0)
}

/// Each field of `expected` is so, and those named are absent.
fn holds(event: &Value, expected: &Value, absent: &[&str]) {
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&event[field], value, "{field} in {event:#}");
    }
    for field in absent {
        assert!(event.get(field).is_none(), "{field} in {event:#}");
    }
}

/// `A` with several answers, and no field unsaid.
#[test]
fn several_answers() {
    let mut event = event("ngrok.pcap", 149);
    let id = event.as_object_mut().unwrap().remove("event_id").unwrap();
    assert!(id.as_str().unwrap().len() == 32);
    let record =
        |data: &str| json!({ "name": "demo.ngrok.io", "type": "A", "ttl": 300, "data": data });
    assert_eq!(
        event,
        json!({
            "_time": "2026-11-24T14:10:32.877427Z",
            "host": "lab",
            "source": capture("ngrok.pcap"),
            "sourcetype": "dnsterrier:dns",
            "additional_answer_count": 1,
            "answer": ["3.134.39.220", "3.125.209.94", "18.192.31.165"],
            "answer_count": 3,
            "authority_answer_count": 0,
            "dest": "10.9.0.53",
            "dest_ip": "10.9.0.53",
            "dest_port": 53,
            "dest_mac": "02:00:0a:09:00:53",
            // 32.918482 - 32.877427
            "duration": 0.041055,
            "message_type": "Response",
            "name": "DNS transaction",
            "query": "demo.ngrok.io",
            "query_count": 1,
            "query_type": "A",
            "record_type": "A",
            "reply_code": "No Error",
            "reply_code_id": "0",
            "response_time": 0.041055,
            "src": "10.9.0.12",
            "src_ip": "10.9.0.12",
            "src_port": 50948,
            "src_mac": "02:00:0a:09:00:12",
            "tag": ["network", "resolution", "dns"],
            "transaction_id": 0xf1f6,
            "transport": "udp",
            "ttl": 300,
            "vendor_product": "dnsterrier",
            "outcome": "resolved",
            "anomalies": [],
            "query_spelled": "demo.ngrok.io",
            "query_class": "IN",
            "other_questions": [],
            "opcode": "QUERY",
            "flags": ["rd", "ra"],
            "edns_version": 0,
            "edns_udp_size": 1232,
            "edns_do": false,
            "edns_options": ["query:cookie=2f171318661f8f94"],
            "src_role": "client",
            "vlan": [],
            "tunnel": [],
            "packet": 149,
            "response_packet": 150,
            "answers": [record("3.134.39.220"), record("3.125.209.94"), record("18.192.31.165")],
        })
    );
}

#[test]
fn a_chain_of_cnames() {
    holds(
        &event("ngrok.pcap", 705),
        &json!({
            "query": "chain.ngrok.io",
            "answer": ["hop.ngrok.io", "edge.ngrok.com", "3.17.7.232"],
            "answer_count": 3,
            "ttl": 300,
            "outcome": "resolved",
            "record_type": "A",
            "answers": [
                { "name": "chain.ngrok.io", "type": "CNAME", "ttl": 300, "data": "hop.ngrok.io" },
                { "name": "hop.ngrok.io", "type": "CNAME", "ttl": 300, "data": "edge.ngrok.com" },
                { "name": "edge.ngrok.com", "type": "A", "ttl": 300, "data": "3.17.7.232" },
            ],
        }),
        &[],
    );
}

#[test]
fn no_such_name() {
    holds(
        &event("ngrok.pcap", 541),
        &json!({
            "query": "gone.ngrok.io",
            "src": "10.9.0.18",
            "transaction_id": 0x4804,
            "answer": ["unknown"],
            "answer_count": 0,
            "authority_answer_count": 1,
            "additional_answer_count": 1,
            "reply_code": "Non-Existent Domain",
            "reply_code_id": "3",
            "outcome": "nxdomain",
            "answers": [],
            // 39.699280 - 39.698976
            "duration": 0.000304,
            "response_packet": 542,
        }),
        &["ttl"],
    );
}

#[test]
fn a_name_without_that_type() {
    holds(
        &event("ngrok.pcap", 493),
        &json!({
            "query": "only4.ngrok.io",
            "record_type": "AAAA",
            "query_type": "AAAA",
            "answer": ["unknown"],
            "answer_count": 0,
            "authority_answer_count": 1,
            "reply_code": "No Error",
            "reply_code_id": "0",
            "outcome": "nodata",
        }),
        &["ttl"],
    );
}

#[test]
fn servers_that_fail_or_refuse() {
    holds(
        &event("ngrok.pcap", 179),
        &json!({
            "query": "broken.ngrok.io",
            "reply_code": "Server Failure",
            "reply_code_id": "2",
            "outcome": "servfail",
            "answer": ["unknown"],
            "response_packet": 182,
        }),
        &["ttl"],
    );
    // The refusal is a header without a question: the query says what was asked. Its flags: 0x8125, so CD is not set, AD is.
    holds(
        &event("ngrok.pcap", 51),
        &json!({
            "query": "abc123.ngrok.io",
            "src": "10.9.0.19",
            "reply_code": "Query Refused",
            "reply_code_id": "5",
            "outcome": "refused",
            "flags": ["rd", "ad"],
            "additional_answer_count": 0,
            "response_packet": 52,
        }),
        &["ttl"],
    );
}

/// Over IPv6, answered with the address that leads nowhere.
#[test]
fn a_sinkhole() {
    for (packet, record_type, answer, id) in
        [(289, "A", "0.0.0.0", 0x3ae1), (511, "AAAA", "::", 0xc51e)]
    {
        holds(
            &event("ngrok.pcap", packet),
            &json!({
                "query": "sinkhole.ngrok.io",
                "record_type": record_type,
                "answer": [answer],
                "outcome": "blocked",
                "reply_code_id": "0",
                "ttl": 60,
                "flags": ["aa", "rd", "ra"],
                "src": "fd00:9::17",
                "src_ip": "fd00:9::17",
                "dest": "fd00:9::53",
                "dest_ip": "fd00:9::53",
                "src_mac": "02:00:0a:09:00:17",
                "dest_mac": "02:00:0a:09:00:53",
                "transaction_id": id,
            }),
            &[],
        );
    }
}

#[test]
fn a_name_in_mixed_case() {
    holds(
        &event("ngrok.pcap", 457),
        &json!({
            "query": "ngrok.eu.tunnel.com",
            "query_spelled": "nGRoK.eU.TuNNel.cOm",
            "answer": ["192.0.2.82"],
            "ttl": 297,
        }),
        &[],
    );
}

#[test]
fn a_text_has_its_quotes() {
    holds(
        &event("ngrok.pcap", 754),
        &json!({ "record_type": "TXT", "query_type": "TXT", "answer": ["\"v=spf1 -all\""] }),
        &[],
    );
}

/// The truncated answer and the retry over TCP, which has another ID, are two events.
#[test]
fn a_truncated_answer_and_its_retry() {
    holds(
        &event("tcp.pcap", 1),
        &json!({
            "query": "many.ngrok.io",
            "transport": "udp",
            "transaction_id": 0x03da,
            "anomalies": ["truncated"],
            "flags": ["tc", "rd", "ra"],
            "answer": ["unknown"],
            "answer_count": 0,
            "outcome": "other",
            "edns_udp_size": 512,
            "src_port": 47276,
            "response_packet": 2,
        }),
        &["ttl"],
    );
    let retry = event("tcp.pcap", 6);
    holds(
        &retry,
        &json!({
            "query": "many.ngrok.io",
            "transport": "tcp",
            "transaction_id": 0x47c3,
            "anomalies": ["tcp_retry"],
            "flags": ["rd", "ra"],
            "answer_count": 40,
            "outcome": "resolved",
            "src_port": 34487,
            "dest_port": 53,
            "response_packet": 8,
        }),
        &[],
    );
    // Told to ask again, and did not; and one that asks over TCP from the start.
    assert_eq!(event("tcp.pcap", 13)["anomalies"], json!(["truncated"]));
    assert_eq!(event("tcp.pcap", 18)["anomalies"], json!([]));
    let answers = retry["answer"].as_array().unwrap();
    assert_eq!(answers.len(), 40);
    assert_eq!(
        (&answers[0], &answers[39]),
        (&json!("203.0.113.39"), &json!("203.0.113.38"))
    );
}

/// Packets 14, 16 and 18 are one query, sent three times to nobody.
#[test]
fn nobody_answers() {
    holds(
        &event("unanswered.pcap", 14),
        &json!({
            "_time": "2026-11-24T14:11:12.683423Z",
            "name": "DNS query without response",
            "message_type": "Query",
            "query": "demo.ngrok.io",
            "src": "fd00:9::13",
            "dest": "fd00:9::66",
            "src_port": 54792,
            "answer": ["unknown"],
            "answer_count": 0,
            "additional_answer_count": 0,
            "reply_code": "unknown",
            "reply_code_id": "unknown",
            "outcome": "unanswered",
            "anomalies": ["retransmitted:2"],
            "flags": ["rd"],
            "transaction_id": 0x97c7,
        }),
        &[
            "duration",
            "response_time",
            "response_packet",
            "ttl",
            "edns_version",
            "edns_udp_size",
            "edns_do",
        ],
    );
}

/// The second query at 17.770441, its response at 18.190599.
#[test]
fn a_response_that_comes_late() {
    let path = capture("unanswered.pcap");
    let of = |timeout: &str| -> Vec<Value> {
        events(&path, &["--timeout", timeout])
            .into_iter()
            .filter(|event| event["query"] == "late.ngrok.io" && event["record_type"] == "A")
            .collect()
    };
    let patient = of("10s");
    assert_eq!(patient.len(), 1);
    holds(
        &patient[0],
        &json!({
            "_time": "2026-11-24T14:11:16.758491Z",
            "packet": 23,
            "response_packet": 27,
            "duration": 1.432108,
            "anomalies": ["retransmitted:1"],
            "answer": ["3.14.182.203"],
        }),
        &[],
    );
    let impatient = of("400ms");
    let late: Vec<&Value> = impatient
        .iter()
        .filter(|event| event["anomalies"] == json!(["late_response"]))
        .collect();
    assert_eq!(late.len(), 1, "{impatient:#?}");
    holds(
        late[0],
        &json!({ "answer": ["3.14.182.203"], "response_packet": 27 }),
        &[],
    );
    assert_eq!(
        impatient
            .iter()
            .filter(|event| event["outcome"] == "unanswered")
            .count(),
        2,
        "the query was given up twice: {impatient:#?}"
    );
}

#[test]
fn vlans() {
    holds(
        &event("vlan.pcap", 19),
        &json!({
            "vlan": [200, 30],
            "src": "10.9.3.22",
            "dest": "10.9.3.53",
            "src_mac": "fa:08:c7:fb:a6:2d",
            "dest_mac": "32:56:14:e1:6f:92",
            "ttl": 250,
            "tunnel": [],
        }),
        &[],
    );
    holds(&event("vlan.pcap", 1), &json!({ "vlan": [100] }), &[]);
    // Without a link layer there are no hardware addresses.
    holds(
        &events(&capture("ngrok-raw.pcap"), &[])[0],
        &json!({ "vlan": [] }),
        &["src_mac", "dest_mac"],
    );
}

/// It asks without RD, and in mixed case.
#[test]
fn a_resolver_asks() {
    holds(
        &event("resolver-in-the-middle.pcap", 8),
        &json!({
            "src": "10.9.1.53",
            "src_role": "resolver",
            "query": "abc123.ngrok.io",
            "query_spelled": "ABC123.nGRoK.IO",
            "flags": ["aa"],
            "edns_do": true,
            "edns_version": 0,
            "edns_udp_size": 1232,
            // Data keeps to the case of the question in queries alone.
            "answer": ["3.134.39.220"],
            "answer_count": 1,
        }),
        &["client_subnet", "client_hint"],
    );
    holds(
        &event("resolver-in-the-middle.pcap", 1),
        &json!({ "src_role": "client" }),
        &[],
    );
}

#[test]
fn nanoseconds_are_kept() {
    holds(
        &event("ngrok-ns.pcap", 1),
        &json!({ "_time": "2026-11-24T14:11:05.102661313Z", "ttl": 264, "duration": 0.000226486 }),
        &[],
    );
}

/// What the committed captures have none of, made by hand.
#[test]
fn fields_of_packets_made_by_hand() {
    let client = ([192, 0, 2, 10], 40_000);
    let resolver = ([192, 0, 2, 53], 53);
    // OPT (RFC 6891) with a client subnet (RFC 7871): 198.51.100.0/24; without RD, as a forwarder asks.
    let mut subnet = pcap::message(1, 0, [1, 0, 0, 1], "a.ngrok.io");
    subnet.extend([
        0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 198, 51, 100,
    ]);
    // Two questions: the second is the name of the first.
    let mut questions = pcap::message(2, 0x0100, [2, 0, 0, 0], "b.ngrok.io");
    questions.extend([1, b'X', 0xC0, 12, 0, 28, 0, 1]);
    // NOTIFY (RFC 1996), opcode 4.
    let notify = pcap::message(3, 4 << 11, [1, 0, 0, 0], "zone.example");
    // An answer is promised that is not there.
    let malformed = pcap::message(4, 0x8180, [1, 1, 0, 0], "c.ngrok.io");
    // A label with a dot, a bell and a byte above ASCII.
    let bytes = [
        &pcap::message(5, 0x0100, [1, 0, 0, 0], "e")[..12],
        &[4, b'.', 7, 0xE9, b'A', 2, b'i', b'o', 0, 0xFF, 0x00, 0, 1],
    ]
    .concat();
    let packets = [
        pcap::udp(client, resolver, 1, &subnet),
        pcap::udp(client, resolver, 2, &questions),
        pcap::udp(client, resolver, 3, &notify),
        pcap::udp(resolver, client, 4, &malformed),
        pcap::udp(client, resolver, 5, &bytes),
        pcap::udp(
            ([192, 0, 2, 10], 5353),
            ([224, 0, 0, 251], 5353),
            6,
            &pcap::query(0, "printer.local"),
        ),
        pcap::udp(client, ([224, 0, 0, 252], 5355), 7, &pcap::query(9, "wpad")),
    ];
    let (_folder, path) = pcap::made_of(&packets, 0);
    let events = events(&path, &[]);
    assert_eq!(events.len(), 7);
    let of = |packet: u64| {
        events
            .iter()
            .find(|event| event["packet"] == packet)
            .unwrap()
    };
    holds(
        of(1),
        &json!({
            "client_subnet": "198.51.100.0/24",
            "client_hint": "198.51.100.0/24",
            "src_role": "resolver",
            "edns_udp_size": 1232,
            "edns_do": true,
            "flags": [],
        }),
        &[],
    );
    holds(
        of(2),
        &json!({ "query": "b.ngrok.io", "other_questions": ["x.b.ngrok.io"], "query_count": 2 }),
        &["client_subnet", "client_hint", "edns_version"],
    );
    holds(
        of(3),
        &json!({ "query_type": "NOTIFY", "record_type": "A", "opcode": "NOTIFY" }),
        &[],
    );
    holds(
        of(4),
        &json!({
            "name": "DNS response without query",
            "message_type": "Response",
            "src": "192.0.2.10",
            "src_port": 40_000,
            "dest_port": 53,
            "src_mac": "02:00:00:00:00:02",
            "dest_mac": "02:00:00:00:00:01",
            "anomalies": ["malformed:answer"],
            "answer": ["unknown"],
            "answer_count": 1,
            "response_packet": 4,
        }),
        &["duration", "response_time"],
    );
    holds(
        of(5),
        &json!({
            "query": "\\.\\007\\233a.io",
            "query_spelled": "\\.\\007\\233A.io",
            "record_type": "TYPE65280",
            "query_type": "TYPE65280",
        }),
        &[],
    );
    holds(
        of(6),
        &json!({ "query": "printer.local", "anomalies": ["mdns"], "dest": "224.0.0.251" }),
        &[],
    );
    holds(
        of(7),
        &json!({ "query": "wpad", "anomalies": ["llmnr"], "dest_port": 5355 }),
        &[],
    );
}

/// The same whoever replays it: not of the file's name, its format or its copies; of the sensor.
#[test]
fn ids_are_of_the_transaction() {
    let ids = |path: &str, more: &[&str]| -> Vec<String> {
        super::values(&events(path, more), "event_id")
    };
    let here = ids(&capture("ngrok.pcap"), &[]);
    let mut once = here.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), here.len(), "no id twice");
    assert_eq!(ids(&capture("ngrok.pcapng"), &[]), here);
    assert_eq!(ids(&capture("span-twice.pcap"), &[]), here);
    let folder = tempfile::tempdir().unwrap();
    let moved = folder.path().join("other.pcap");
    std::fs::copy(file("captures/ngrok.pcap"), &moved).unwrap();
    assert_eq!(ids(moved.to_str().unwrap(), &[]), here);
    assert_eq!(ids(moved.to_str().unwrap(), &["--name", "ngrok.io"]), here);
    assert_ne!(
        ids(moved.to_str().unwrap(), &["--sensor", "other"])[0],
        here[0]
    );
}

#[test]
fn packet_numbers_are_those_of_the_file_behind_a_filter_too() {
    let of = |more: &[&str]| -> Vec<String> {
        let events = events(&capture("ngrok.pcap"), more);
        super::values(&events, "packet")
    };
    // tshark numbers the packets of the file, whatever is shown; all queries over UDP pass.
    let all: Vec<String> = super::values(
        &events(&capture("ngrok.pcap"), &[])
            .into_iter()
            .filter(|event| event["transport"] == "udp")
            .collect::<Vec<_>>(),
        "packet",
    );
    assert_eq!(of(&["-f", "udp port 53"]), all);
}

/// Two writers make the JSON of an event: ours into a file of its own, serde where streams share standard output. They agree
/// on every byte.
#[test]
fn events_and_hits_are_written_as_serde_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let assets = folder.path().join("assets.csv");
    std::fs::write(
        &assets,
        "ip,priority,category,bunit\n10.9.0.0/16,high,lab|\"se\"\"rvers\",r\\d\n",
    )
    .unwrap();
    let mut compared = 0;
    for path in captures() {
        for stream in ["events", "hits"] {
            let alone = folder.path().join(format!("{stream}.jsonl"));
            let output = dnsterrier([
                "replay",
                path.to_str().unwrap(),
                "--quiet",
                "--cim-entity-zone",
                "a \"zone\"\t",
                "--assets",
                assets.to_str().unwrap(),
                "--rows",
                "-",
                "--format",
                "jsonl",
                &format!("--{stream}"),
                "-",
                &format!("--{stream}"),
                alone.to_str().unwrap(),
            ]);
            let prefix = format!("{{\"stream\":\"{stream}\",");
            let shared = stdout(&output);
            let shared: Vec<String> = shared
                .lines()
                .filter_map(|line| Some(format!("{{{}", line.strip_prefix(&prefix)?)))
                .collect();
            let alone = std::fs::read_to_string(alone).unwrap();
            assert_eq!(
                alone.lines().collect::<Vec<_>>(),
                shared,
                "{}",
                path.display()
            );
            compared += shared.len();
        }
    }
    assert!(compared > 1_000, "{compared}");
}
