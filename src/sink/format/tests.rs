//! What one event becomes in each format, written down by hand from what is published of them.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::super::Rotation;
use super::*;
use crate::event::{Outcome, Record, Seen};
use crate::sink::tests::{bare_event, event, says};

fn written(event: &Event, format: EventFormat) -> String {
    let mut out = Vec::new();
    super::event(event, format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn objects(event: &Event, format: EventFormat) -> Vec<Json> {
    let text = written(event, format);
    assert!(text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn record(record_type: &'static str, data: &str) -> Record {
    Record {
        name: "a.example".to_owned(),
        record_type: record_type.into(),
        class: 1,
        ttl: 60,
        data: data.to_owned(),
    }
}

fn with_answers(answers: &[(&'static str, &str)]) -> Event {
    let answers = answers.iter().map(|(kind, data)| record(kind, data));
    Event {
        answers: answers.collect(),
        ..event()
    }
}

/// The fields under our own names, of the event that has everything.
fn rest() -> Json {
    json!({
        "source": "eth0", "cim_entity_zone": "hq", "outcome": "resolved",
        "anomalies": ["retransmitted:2", "malformed:answer"], "src_role": "resolver",
        "query_spelled": "a\\.B.ngrok.io", "other_questions": ["second.example"],
        "query_count": 2, "answer_count": 2, "authority_answer_count": 0, "additional_answer_count": 1,
        "edns_version": 0, "edns_udp_size": 1232, "edns_do": true,
        "edns_options": ["query:client-subnet=192.0.2.0/24/0", "response:extended-error=15 Blocked: a|b"],
        "client_subnet": "192.0.2.0/24", "client_hint": "192.0.2.0/24",
        "vlan": [10, 20], "tunnel": ["vxlan"], "packet": 7, "response_packet": 8
    })
}

#[test]
fn an_event_in_ecs() {
    let client = json!({"address": "10.9.0.11", "ip": "10.9.0.11", "port": 40000, "mac": "02-00-00-00-00-01"});
    let server =
        json!({"address": "10.9.0.53", "ip": "10.9.0.53", "port": 53, "mac": "02-00-00-00-00-02"});
    let expected = json!({
        "@timestamp": "2026-01-02T09:14:07.250000Z",
        "ecs": {"version": "8.17.0"},
        "event": {
            "kind": "event", "category": ["network"], "type": ["connection", "protocol"], "outcome": "success",
            "id": "ab".repeat(16), "start": "2026-01-02T09:14:07.250000Z", "end": "2026-01-02T09:14:07.262500Z",
            "duration": 12_500_000, "module": "dnsterrier", "dataset": "dnsterrier.dns"
        },
        "source": client, "destination": server, "client": client, "server": server,
        "network": {
            "protocol": "dns", "transport": "udp", "type": "ipv4", "vlan": {"id": "10"}, "inner": {"vlan": {"id": "20"}}
        },
        "dns": {
            "type": "answer", "id": "4660", "op_code": "QUERY", "header_flags": ["RD", "RA", "DO"],
            "question": {
                "name": "a\\.b.ngrok.io", "type": "A", "class": "IN",
                "registered_domain": "a\\.b.ngrok.io", "top_level_domain": "ngrok.io"
            },
            "answers": [
                {"name": "a\\.b.ngrok.io", "type": "CNAME", "class": "IN", "ttl": 60, "data": "edge.ngrok.io"},
                {"name": "a\\.b.ngrok.io", "type": "TXT", "class": "IN", "ttl": 60, "data": "\"a|b\\\\c\""}
            ],
            "response_code": "NOERROR"
        },
        "related": {"ip": ["10.9.0.11", "10.9.0.53"], "hosts": ["a\\.b.ngrok.io"]},
        "observer": {
            "name": "sensor", "product": "dnsterrier", "type": "sensor", "version": env!("CARGO_PKG_VERSION")
        },
        "dnsterrier": rest()
    });
    assert_eq!(objects(&event(), EventFormat::Ecs), [expected]);
    let hit = HitRecord {
        rule: "R",
        event: &event(),
    };
    let mut out = Vec::new();
    super::hit(&hit, EventFormat::Ecs, &mut out).unwrap();
    let hit: Json = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        (&hit["rule"], &hit["event"]["kind"]),
        (&json!({"name": "R"}), &json!("alert"))
    );
}

#[test]
fn what_was_not_seen_is_not_in_ecs() {
    let bare = objects(&bare_event(), EventFormat::Ecs).remove(0);
    assert_eq!(bare["event"]["outcome"], "unknown");
    assert_eq!(bare["dns"]["type"], "query");
    for (object, key) in [
        ("event", "end"),
        ("event", "duration"),
        ("source", "mac"),
        ("dns", "answers"),
        ("dns", "resolved_ip"),
        ("dns", "response_code"),
        ("network", "vlan"),
    ] {
        assert!(bare[object].get(key).is_none(), "{object}.{key}");
    }
}

#[test]
fn the_parts_of_a_name_in_ecs() {
    let parts = |name: &str| {
        let event = Event {
            query: name.to_owned(),
            ..event()
        };
        let question = objects(&event, EventFormat::Ecs)[0]["dns"]["question"].take();
        ["registered_domain", "subdomain", "top_level_domain"]
            .map(|part| question[part].as_str().unwrap_or("-").to_owned())
    };
    assert_eq!(
        parts("a.b.example.co.uk"),
        ["example.co.uk", "a.b", "co.uk"]
    );
    assert_eq!(parts("co.uk"), ["-", "-", "co.uk"]);
    assert_eq!(parts("."), ["-", "-", "-"]);
    assert_eq!(parts(r"x.a\.b.com"), [r"a\.b.com", "x", "com"]);
}

#[test]
fn an_event_in_ocsf() {
    let expected = json!({
        "activity_id": 6, "activity_name": "Traffic", "category_uid": 4, "category_name": "Network Activity",
        "class_uid": 4003, "class_name": "DNS Activity", "type_uid": 400_306, "type_name": "DNS Activity: Traffic",
        "severity_id": 1, "severity": "Informational", "status_id": 1, "status": "Success",
        "time": 1_767_345_247_250_u64, "start_time": 1_767_345_247_250_u64, "end_time": 1_767_345_247_262_u64, "duration": 12,
        "metadata": {
            "version": "1.6.0",
            "product": {"name": "dnsterrier", "vendor_name": "dnsterrier", "version": env!("CARGO_PKG_VERSION")},
            "uid": "ab".repeat(16), "original_time": "2026-01-02T09:14:07.250000Z", "log_name": "dnsterrier:dns",
            "log_provider": "sensor"
        },
        "src_endpoint": {"ip": "10.9.0.11", "port": 40000, "mac": "02:00:00:00:00:01"},
        "dst_endpoint": {"ip": "10.9.0.53", "port": 53, "mac": "02:00:00:00:00:02"},
        "connection_info": {
            "direction_id": 0, "direction": "Unknown", "protocol_name": "udp", "protocol_num": 17, "protocol_ver_id": 4
        },
        "query": {
            "hostname": "a\\.b.ngrok.io", "type": "A", "class": "IN", "opcode": "QUERY", "opcode_id": 0, "packet_uid": 4660
        },
        "answers": [
            {"rdata": "edge.ngrok.io", "type": "CNAME", "class": "IN", "ttl": 60, "flag_ids": [3, 4], "packet_uid": 4660},
            {"rdata": "\"a|b\\\\c\"", "type": "TXT", "class": "IN", "ttl": 60, "flag_ids": [3, 4], "packet_uid": 4660}
        ],
        "rcode_id": 0, "rcode": "NoError",
        "query_time": 1_767_345_247_250_u64, "response_time": 1_767_345_247_262_u64,
        "observables": [
            {"name": "src_endpoint.ip", "type": "IP Address", "type_id": 2, "value": "10.9.0.11"},
            {"name": "dst_endpoint.ip", "type": "IP Address", "type_id": 2, "value": "10.9.0.53"},
            {"name": "query.hostname", "type": "Hostname", "type_id": 1, "value": "a\\.b.ngrok.io"}
        ],
        "unmapped": rest()
    });
    assert_eq!(objects(&event(), EventFormat::Ocsf), [expected]);
    let bare = objects(&bare_event(), EventFormat::Ocsf).remove(0);
    assert_eq!(
        (&bare["activity_id"], &bare["status_id"]),
        (&json!(1), &json!(0))
    );
    for key in [
        "response_time",
        "end_time",
        "duration",
        "rcode",
        "rcode_id",
        "answers",
    ] {
        assert!(bare.get(key).is_none(), "{key}");
    }
    let lone = Event {
        seen: Seen::ResponseOnly,
        duration: None,
        reply_code: Some(3900),
        ..event()
    };
    let lone = objects(&lone, EventFormat::Ocsf).remove(0);
    assert_eq!(
        (&lone["activity_id"], &lone["type_uid"]),
        (&json!(2), &json!(400_302))
    );
    assert_eq!(
        (&lone["rcode_id"], &lone["rcode"]),
        (&json!(25), &json!("Reserved"))
    );
    assert!(lone.get("query_time").is_none());
    let opcode = |number: u16| {
        let event = Event {
            header_flags: 0x8180 | number << 11,
            ..event()
        };
        objects(&event, EventFormat::Ocsf)[0]["query"]["opcode_id"].take()
    };
    assert_eq!((opcode(5), opcode(7)), (json!(5), json!(99)));
}

#[test]
fn an_event_in_zeeks_log() {
    let mut log = EventFormat::Zeek.head(event().time).unwrap();
    log.extend(written(&event(), EventFormat::Zeek).bytes());
    log.extend(written(&bare_event(), EventFormat::Zeek).bytes());
    log.extend(EventFormat::Zeek.tail(event().time).unwrap());
    let log = String::from_utf8(log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "#separator \\x09",
            "#set_separator\t,",
            "#empty_field\t(empty)",
            "#unset_field\t-",
            "#path\tdns",
            "#open\t2026-01-02-09-14-07",
        ]
    );
    // Both from the documentation of Zeek's `dns.log`.
    assert_eq!(
        lines[6],
        "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\ttrans_id\trtt\tquery\tqclass\tqclass_name\tqtype\t\
         qtype_name\trcode\trcode_name\tAA\tTC\tRD\tRA\tZ\tanswers\tTTLs\trejected"
    );
    assert_eq!(
        lines[7],
        "#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tcount\tinterval\tstring\tcount\tstring\tcount\tstring\tcount\tstring\t\
         bool\tbool\tbool\tbool\tcount\tvector[string]\tvector[interval]\tbool"
    );
    let uid = lines[8].split('\t').nth(1).unwrap();
    assert!(
        uid.starts_with('C')
            && uid.len() <= 18
            && uid.bytes().all(|byte| byte.is_ascii_alphanumeric())
    );
    assert_eq!(
        lines[8].replace(uid, "UID"),
        "1767345247.250000\tUID\t10.9.0.11\t40000\t10.9.0.53\t53\tudp\t4660\t0.012500\ta.b.ngrok.io\t1\tC_INTERNET\t1\tA\t0\t\
         NOERROR\tF\tF\tT\tT\t0\tedge.ngrok.io,TXT 5 a|b\\\\c\t60.000000,60.000000\tF"
    );
    assert_eq!(
        lines[9].replace(uid, "UID"),
        "1767345247.250000\tUID\t10.9.0.11\t40000\t10.9.0.53\t53\tudp\t4660\t-\ta.b.ngrok.io\t1\tC_INTERNET\t1\tA\t-\t-\t\
         F\tF\tT\tT\t0\t-\t-\tF"
    );
    assert_eq!(lines[10], "#close\t2026-01-02-09-14-07");
}

#[test]
fn an_event_in_zeeks_json() {
    let record = objects(&event(), EventFormat::ZeekJson).remove(0);
    let mut record = record.as_object().unwrap().clone();
    assert!(record.shift_remove("uid").is_some());
    assert_eq!(
        Json::from(record),
        json!({
            "ts": 1_767_345_247.25, "id.orig_h": "10.9.0.11", "id.orig_p": 40000, "id.resp_h": "10.9.0.53", "id.resp_p": 53,
            "proto": "udp", "trans_id": 4660, "rtt": 0.0125, "query": "a.b.ngrok.io", "qclass": 1, "qclass_name": "C_INTERNET",
            "qtype": 1, "qtype_name": "A", "rcode": 0, "rcode_name": "NOERROR", "AA": false, "TC": false, "RD": true, "RA": true,
            "Z": 0, "answers": ["edge.ngrok.io", "TXT 5 a|b\\c"], "TTLs": [60.0, 60.0], "rejected": false
        })
    );
}

#[test]
fn zeeks_words_for_answers() {
    for (kind, data, worded) in [
        ("A", "192.0.2.1", "192.0.2.1"),
        ("NS", ".", "(empty)"),
        ("MX", "10 mail.example", "mail.example"),
        ("SOA", "ns.example. host.example 1 2 3 4 5", "ns.example."),
        ("SRV", "1 2 3 host.example", "host.example"),
        ("TXT", r#""one, two" "-""#, r"TXT 8 one\x2c two TXT 1 -"),
        ("TXT", r#""\000\255""#, r"TXT 2 \x00\xff"),
        (
            "RRSIG",
            "A 13 2 300 20260101000000 20250101000000 1 example.org c2ln",
            "RRSIG 1 example.org",
        ),
        (
            "RRSIG",
            "TYPE999 13 0 300 20260101000000 20250101000000 1 . c2ln",
            "RRSIG 999 <Root>",
        ),
        ("DNSKEY", "257 3 13 a2V5", "DNSKEY 13"),
        ("DS", "1 13 2 ab", "DS 13 2"),
        ("NSEC", "b.example A", "NSEC a.example b.example"),
        ("SSHFP", "1 2 ABCD", "SSHFP: abcd"),
        ("CNAME", "-", r"\x2d"),
        ("CAA", r#"0 issue "ca.example""#, r#"0 issue "ca.example""#),
        ("NS", r"\# 2 0102", r"\\# 2 0102"),
    ] {
        let line = written(&with_answers(&[(kind, data)]), EventFormat::Zeek);
        assert_eq!(line.split('\t').nth(21).unwrap(), worded, "{kind} {data}");
    }
}

#[test]
fn zeeks_words_for_numbers() {
    let columns = |event: &Event, places: &[usize]| {
        let line = written(event, EventFormat::Zeek);
        let cells: Vec<&str> = line.trim_end().split('\t').collect();
        places
            .iter()
            .map(|place| cells[*place].to_owned())
            .collect::<Vec<_>>()
    };
    let asked = |kind: &'static str, class: &'static str| Event {
        record_type: kind.into(),
        query_class: class.into(),
        ..event()
    };
    let question = [10, 11, 12, 13];
    assert_eq!(
        columns(&asked("ANY", "CH"), &question),
        ["3", "C_CHAOS", "255", "*"]
    );
    assert_eq!(
        columns(&asked("TYPE999", "CLASS9"), &question),
        ["9", "qclass-9", "999", "query-999"]
    );
    let none = Event {
        query: "unknown".to_owned(),
        ..asked("unknown", "unknown")
    };
    assert_eq!(columns(&none, &[9, 10, 11, 12, 13]), ["-"; 5]);
    let replied = |code| Event {
        reply_code: Some(code),
        ..event()
    };
    assert_eq!(columns(&replied(8), &[14, 15]), ["8", "NXRRSet"]);
    assert_eq!(columns(&replied(12), &[14, 15]), ["12", "unassigned-12"]);
    assert_eq!(columns(&replied(16), &[14, 15]), ["16", "BADVERS"]);
    assert_eq!(columns(&replied(99), &[14, 15]), ["99", "rcode-99"]);
    let refused = Event {
        answer_count: 0,
        additional_answer_count: 0,
        answers: Vec::new(),
        outcome: Outcome::Refused,
        ..replied(5)
    };
    assert_eq!(columns(&refused, &[23]), ["T"]);
}

#[test]
fn an_event_in_eve() {
    let about = |timestamp: &str, packet: u64, dns: Json| {
        json!({
            "timestamp": timestamp, "flow_id": 0xabab_abab_abab_abab_u64 >> 13, "pcap_cnt": packet, "event_type": "dns",
            "vlan": [10, 20], "src_ip": "10.9.0.11", "src_port": 40000, "dest_ip": "10.9.0.53", "dest_port": 53,
            "proto": "UDP", "ip_v": 4, "ether": {"src_mac": "02:00:00:00:00:01", "dest_mac": "02:00:00:00:00:02"},
            "host": "sensor", "dns": dns
        })
    };
    let queries = json!([{"rrname": "a.B.ngrok.io", "rrtype": "A"}, {"rrname": "second.example"}]);
    assert_eq!(
        objects(&event(), EventFormat::Eve),
        [
            about(
                "2026-01-02T09:14:07.250000+0000",
                7,
                json!({"version": 3, "type": "request", "id": 4660, "rd": true, "opcode": 0, "queries": queries})
            ),
            about(
                "2026-01-02T09:14:07.262500+0000",
                8,
                json!({
                    "version": 3, "type": "response", "id": 4660, "flags": "8180", "qr": true, "rd": true, "ra": true,
                    "opcode": 0, "rcode": "NOERROR", "queries": queries,
                    "answers": [
                        {"rrname": "a.b.ngrok.io", "rrtype": "CNAME", "ttl": 60, "rdata": "edge.ngrok.io"},
                        {"rrname": "a.b.ngrok.io", "rrtype": "TXT", "ttl": 60, "rdata": "a|b\\c"}
                    ],
                    "grouped": {"CNAME": ["edge.ngrok.io"], "TXT": ["a|b\\c"]}
                })
            ),
        ]
    );
    // A query that nobody answered is known whole.
    let query = Event {
        header_flags: 0x0140,
        ..bare_event()
    };
    let dns = objects(&query, EventFormat::Eve).remove(0)["dns"].take();
    assert_eq!(
        dns,
        json!({
            "version": 3, "type": "request", "id": 4660, "flags": "140", "rd": true, "z": true, "opcode": 0, "rcode": "NOERROR",
            "queries": [{"rrname": "a.B.ngrok.io", "rrtype": "A"}]
        })
    );
}

#[test]
fn answers_in_eve() {
    for (kind, data, key, value) in [
        (
            "AAAA",
            "2001:db8::1",
            "rdata",
            json!("2001:0db8:0000:0000:0000:0000:0000:0001"),
        ),
        ("MX", "10 mail.example", "rdata", json!("mail.example")),
        (
            "SOA",
            "ns.example host.example 1 2 3 4 5",
            "soa",
            json!({"mname": "ns.example", "rname": "host.example", "serial": 1, "refresh": 2, "retry": 3, "expire": 4, "minimum": 5}),
        ),
        (
            "SRV",
            "1 2 3 host.example",
            "srv",
            json!({"priority": 1, "weight": 2, "port": 3, "name": "host.example"}),
        ),
        (
            "SSHFP",
            "1 2 abcdef",
            "sshfp",
            json!({"fingerprint": "ab:cd:ef", "algo": 1, "type": 2}),
        ),
        (
            "CAA",
            r#"0 issue "ca.example""#,
            "rdata",
            json!(r#"0 issue "ca.example""#),
        ),
        ("TYPE999", r"\# 1 00", "rdata", json!(r"\# 1 00")),
        // What is not as its type asks for is in the form for unknown types.
        ("SRV", r"\# 1 00", "rdata", json!(r"\# 1 00")),
    ] {
        let dns = objects(&with_answers(&[(kind, data)]), EventFormat::Eve).remove(1)["dns"].take();
        let name = kind.strip_prefix("TYPE").unwrap_or(kind);
        assert_eq!(
            dns["answers"],
            json!([{"rrname": "a.example", "rrtype": name, "ttl": 60, key: value}]),
            "{kind} {data}"
        );
        let is_grouped = !matches!(kind, "CAA" | "TYPE999") && !data.starts_with('\\');
        assert_eq!(
            dns["grouped"].get(name).is_some(),
            is_grouped,
            "{kind} {data}"
        );
    }
}

/// What dnstap does not say is in no format.
#[test]
fn missing_addresses_are_left_out() {
    let event = Event {
        src: [0, 0, 0, 0].into(),
        src_port: 0,
        src_mac: None,
        anomalies: vec![Anomaly::AddressMissing],
        ..event()
    };
    let ecs = objects(&event, EventFormat::Ecs).remove(0);
    assert_eq!(
        (&ecs["source"], &ecs["destination"]["port"]),
        (&json!({}), &json!(53))
    );
    assert!(
        objects(&event, EventFormat::Ocsf)[0]
            .get("src_endpoint")
            .is_none()
    );
    assert!(objects(&event, EventFormat::Eve)[0].get("src_ip").is_none());
    assert!(
        objects(&event, EventFormat::ZeekJson)[0]
            .get("id.orig_h")
            .is_none()
    );
    assert_eq!(
        written(&event, EventFormat::Zeek)
            .split('\t')
            .nth(2)
            .unwrap(),
        "-"
    );
}

#[test]
fn places_and_formats_go_together() {
    let place = |text: &str| Place::parse(text).unwrap();
    let events =
        |text: &str, format| check_event_format(&[(Stream::Events, &[place(text)])], format);
    for (text, format) in [
        ("e.jsonl", EventFormat::Ecs),
        ("e.json", EventFormat::Eve),
        ("dns.log", EventFormat::Zeek),
        ("dns.log", EventFormat::ZeekJson),
        ("/dev/fd/63", EventFormat::Zeek),
        ("-", EventFormat::Zeek),
        ("e.csv", EventFormat::Cim),
        ("hec+https://splunk.example", EventFormat::Ecs),
        ("hec+https://splunk.example", EventFormat::Eve),
        ("clickhouse+http://db.example/dns", EventFormat::Cim),
        ("e.dnstap", EventFormat::Dnstap),
        ("e.dnstap.gz", EventFormat::Dnstap),
        ("-", EventFormat::Dnstap),
        ("/dev/fd/63", EventFormat::Dnstap),
    ] {
        assert!(events(text, format).is_ok(), "{text} {format:?}");
    }
    for (text, format, remedy) in [
        ("e.csv", EventFormat::Zeek, "ending in .log"),
        ("e.tsv", EventFormat::Zeek, "ending in .log"),
        ("e.txt", EventFormat::Zeek, "ending in .log"),
        ("e.jsonl", EventFormat::Zeek, "--event-format zeek-json"),
        ("e.csv", EventFormat::Ecs, "ending in .jsonl"),
        ("dns.log", EventFormat::Eve, "ending in .jsonl"),
        ("dns.log", EventFormat::Cim, "--event-format zeek"),
        ("e.jsonl", EventFormat::Dnstap, "ending in .dnstap"),
        (
            "hec+https://splunk.example",
            EventFormat::Dnstap,
            "ending in .dnstap",
        ),
        ("dns.log", EventFormat::Dnstap, "ending in .dnstap"),
        ("e.dnstap", EventFormat::Cim, "--event-format dnstap"),
        ("e.dnstap", EventFormat::Eve, "ending in .jsonl"),
        (
            "clickhouse+http://db.example/dns",
            EventFormat::Ecs,
            "--event-format cim",
        ),
        (
            "syslog+tcp://log.example?format=cef",
            EventFormat::Ecs,
            "leave out format=cef",
        ),
        (
            "hec+https://splunk.example",
            EventFormat::Zeek,
            "--event-format zeek-json",
        ),
    ] {
        says(
            events(text, format),
            &["--events", text, format.name(), remedy],
        );
    }
    let (stdout, none): (&[Place], &[Place]) = (&[Place::Stdout], &[Place::None]);
    let with_rows = [(Stream::Rows, stdout), (Stream::Events, stdout)];
    says(
        check_event_format(&with_rows, EventFormat::Eve),
        &["standard output", "--rows none"],
    );
    assert!(check_event_format(&with_rows, EventFormat::Cim).is_ok());
    says(
        check_event_format(
            &[(Stream::Rows, stdout), (Stream::Events, none)],
            EventFormat::Eve,
        ),
        &["nothing is written in it", "--events -"],
    );
    assert!(check_event_format(&[(Stream::Risk, stdout)], EventFormat::Ocsf).is_ok());
    says(
        "xml".parse::<EventFormat>(),
        &["'xml'", "cim, ecs, ocsf, zeek, zeek-json, eve, dnstap"],
    );
}

/// A live run that goes on with a log begins a new one in the same file, as Zeek's logs are joined.
#[test]
fn a_live_log_has_its_lines_above_and_below() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dns.log");
    let options = crate::sink::Options {
        live: true,
        format: Format::Table,
        event_format: EventFormat::Zeek,
        columns: &[],
        shared_stdout: false,
        table: crate::sink::TableOptions::default(),
    };
    let open = || {
        let place = Place::parse(path.to_str().unwrap()).unwrap();
        crate::sink::Writer::open(Stream::Events, &[place], &options).unwrap()
    };
    let starts = |path: &std::path::Path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| line.split(['\t', ' ', '.']).next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let head = [
        "#separator",
        "#set_separator",
        "#empty_field",
        "#unset_field",
        "#path",
        "#open",
        "#fields",
        "#types",
    ];
    let one = |records: usize| {
        let record = std::iter::repeat_n("1767345247", records);
        head.into_iter()
            .chain(record)
            .chain(["#close"])
            .collect::<Vec<_>>()
    };
    let mut writer = open();
    writer.write(&event()).unwrap();
    writer.write(&event()).unwrap();
    writer.finish().unwrap();
    assert_eq!(starts(&path), one(2));
    let mut writer = open();
    writer.write(&event()).unwrap();
    let moved = folder.path().join("moved.log");
    std::fs::rename(&path, &moved).unwrap();
    writer.reopen().unwrap();
    writer.write(&event()).unwrap();
    writer.finish().unwrap();
    assert_eq!(starts(&moved), [one(2), one(1)].concat());
    assert_eq!(starts(&path), one(1));
}

/// A live run goes on with a file of dnstap as if it had never ended, also behind what a crash left; each file that gives way to a new
/// one is whole.
#[test]
fn a_live_file_of_dnstap_is_one_stream() {
    use crate::dnstap::{Step, start, stop};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.dnstap");
    let options = crate::sink::Options {
        live: true,
        format: Format::Table,
        event_format: EventFormat::Dnstap,
        columns: &[],
        shared_stdout: false,
        table: crate::sink::TableOptions::default(),
    };
    let open = || {
        let place = Place::parse(path.to_str().unwrap()).unwrap();
        crate::sink::Writer::open(Stream::Events, &[place], &options)
    };
    let message = |second: i64| crate::event::WireMessage {
        time: Timestamp::from_parts(second, 0),
        bytes: Box::from(*b"a message"),
        carried: None,
    };
    let event = Event {
        wire: Some(Arc::new(crate::event::Wire {
            query: Some(message(1)),
            response: Some(message(2)),
        })),
        ..event()
    };
    // The frames of a file that is one whole stream.
    let frames = |path: &std::path::Path| {
        let bytes = std::fs::read(path).unwrap();
        let mut rest = bytes.strip_prefix(&start()[..]).unwrap();
        rest = rest.strip_suffix(&stop()[..]).unwrap();
        let mut stream = crate::dnstap::Stream::default();
        stream.next(&start()).unwrap();
        let mut frames = 0;
        while !rest.is_empty() {
            let Step::Data { len, frame } = stream.next(rest).unwrap() else {
                panic!("{rest:?}");
            };
            let tapped = crate::dnstap::Tapped::read(frame).unwrap();
            assert_eq!(tapped.query.or(tapped.response).unwrap(), b"a message");
            frames += 1;
            rest = &rest[len..];
        }
        frames
    };
    open().unwrap().finish().unwrap();
    assert_eq!(frames(&path), 0);
    for run in 1..3 {
        let mut writer = open().unwrap();
        writer.write(&event).unwrap();
        writer.finish().unwrap();
        assert_eq!(frames(&path), 2 * run);
    }
    let whole = std::fs::read(&path).unwrap();
    for cut in [1, 12, 13, 30] {
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let mut writer = open().unwrap();
        writer.write(&event).unwrap();
        writer.finish().unwrap();
        assert_eq!(frames(&path), if cut <= 12 { 6 } else { 5 }, "{cut}");
    }
    // Moved away, and there can be no new one: it goes on where it is, as a stream of its own.
    std::fs::remove_file(&path).unwrap();
    let mut writer = open().unwrap();
    writer.write(&event).unwrap();
    writer.flush().unwrap();
    let away = folder.path().join("away.dnstap");
    std::fs::rename(&path, &away).unwrap();
    std::fs::create_dir(&path).unwrap();
    writer.reopen().unwrap_err();
    writer.write(&event).unwrap();
    writer.finish().unwrap();
    let bytes = std::fs::read(&away).unwrap();
    let [start, stop] = [start(), stop()];
    let stream = bytes
        .strip_prefix(&start[..])
        .unwrap()
        .strip_suffix(&stop[..])
        .unwrap();
    let between = [&stop[..], &start[..]].concat();
    let half = (stream.len() - between.len()) / 2;
    assert_eq!(&stream[half..half + between.len()], between);
    assert_eq!(stream[..half], stream[half + between.len()..]);
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, &whole).unwrap();
    let mut writer = open().unwrap();
    let now = Timestamp::from_parts(1, 0);
    // Nothing of this run is in it: it does not give way yet.
    writer
        .rotate(Rotation::new(Some(1), None), None, now)
        .unwrap();
    writer.write(&event).unwrap();
    writer.flush().unwrap();
    writer
        .rotate(Rotation::new(Some(1), None), None, now)
        .unwrap();
    writer.finish().unwrap();
    let old = folder.path().join("e.1970-01-01T00-00-01Z.dnstap");
    assert_eq!((frames(&old), frames(&path)), (6, 0));
    // Several streams one after another, as other programs leave them: nothing is lost.
    std::fs::write(&path, whole.repeat(2)).unwrap();
    drop(open().unwrap());
    assert_eq!(
        std::fs::metadata(&path).unwrap().len(),
        2 * whole.len() as u64 - 12
    );
    std::fs::write(&path, "no frames").unwrap();
    says(open(), &["no file that can go on"]);
}
