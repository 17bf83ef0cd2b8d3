//! Who asked, really: resolvers in the middle and NAT, and what is said where they hide everybody. Packets made by hand, because
//! the committed captures show both sides of a resolver or none.

use serde_json::{Value, json};

use super::{capture, common::roles, dnsterrier, json as run, pcap, stderr};

const HOST: ([u8; 4], u16) = ([192, 0, 2, 10], 40_000);
const FORWARDER: ([u8; 4], u16) = ([192, 0, 2, 53], 53);
const WORLD: ([u8; 4], u16) = ([198, 51, 100, 8], 53);

/// A file of packets, one each millisecond.
fn made(packets: &[Vec<u8>]) -> (tempfile::TempDir, String) {
    pcap::made_of(packets, 1_000)
}

/// A lookup from that port, and its answer.
fn lookup(client: ([u8; 4], u16), server: ([u8; 4], u16), name: &str, rd: bool) -> [Vec<u8>; 2] {
    let id = client.1;
    let query = pcap::message(id, u16::from(rd) << 8, [1, 0, 0, 0], name);
    let answer = pcap::response(id, name, [192, 0, 2, 80]);
    [
        pcap::udp(client, server, id, &query),
        pcap::udp(server, client, id, &answer),
    ]
}

fn records(path: &str, stream: &str, more: &[&str]) -> Vec<Value> {
    run(&[&[path, "--rows", "none", stream, "-"], more].concat())
}

/// A forwarder's first lookup comes before its first answer: what it asks is what it was asked.
#[test]
fn both_legs_of_a_forwarder() {
    let name = "a.ngrok.io";
    let [asked, answered] = lookup(HOST, FORWARDER, name, true);
    let [asks, is_answered] = lookup((FORWARDER.0, 40_053), WORLD, name, true);
    let (_folder, path) = made(&[asked, asks, is_answered, answered]);
    for stream in ["--events", "--hits"] {
        assert_eq!(
            roles(&records(&path, stream, &[])),
            [("192.0.2.53", "resolver"), ("192.0.2.10", "client")],
            "{stream}"
        );
    }
    assert_eq!(
        roles(&records(&path, "--sources", &[])),
        [("192.0.2.10", "client"), ("192.0.2.53", "resolver")]
    );
}

/// It asks on its own account first: no packet says yet that it is a resolver. At the end one does.
#[test]
fn a_source_is_what_is_known_of_it_at_the_end() {
    let [asks, is_answered] = lookup((FORWARDER.0, 40_053), WORLD, "a.ngrok.io", true);
    let [asked, answered] = lookup(HOST, FORWARDER, "innocent.example", true);
    let (_folder, path) = made(&[asks, is_answered, asked, answered]);
    assert_eq!(
        roles(&records(&path, "--hits", &[])),
        [("192.0.2.53", "client")]
    );
    assert_eq!(
        roles(&records(&path, "--sources", &[])),
        [("192.0.2.53", "resolver")]
    );
}

#[test]
fn roles_given_on_the_command_line() {
    let packets: Vec<Vec<u8>> = [10, 20, 30, 40]
        .map(|last| lookup(([192, 0, 2, last], 40_000), WORLD, "a.ngrok.io", true))
        .concat();
    let (_folder, path) = made(&packets);
    let given = [
        "--resolvers",
        "192.0.2.20/31,203.0.113.0/24",
        "--nat",
        "192.0.2.30",
        "--nat",
        "192.0.2.40/32",
    ];
    let expected = [
        ("192.0.2.10", "client"),
        ("192.0.2.20", "resolver"),
        ("192.0.2.30", "nat"),
        ("192.0.2.40", "nat"),
    ];
    for stream in ["--events", "--hits", "--sources"] {
        assert_eq!(roles(&records(&path, stream, &given)), expected, "{stream}");
    }
    for option in ["--resolvers", "--nat"] {
        let output = dnsterrier([&path, option, "192.0.2.0/33"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).contains(&format!("{option} '192.0.2.0/33' is not a network")),
            "{}",
            stderr(&output)
        );
    }
}

/// A client subnet (RFC 7871) is a hint where it speaks of somebody else.
#[test]
fn client_subnets_as_hints() {
    let query = |id: u16, rd: u16, prefix: u8, network: &[u8]| {
        let mut bytes = pcap::message(id, rd << 8, [1, 0, 0, 1], "a.ngrok.io");
        let length = u8::try_from(network.len()).unwrap();
        bytes.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 8 + length, 0, 8, 0]);
        bytes.extend([4 + length, 0, 1, prefix, 0]);
        bytes.extend(network);
        pcap::udp((HOST.0, 40_000 + id), WORLD, id, &bytes)
    };
    let (_folder, path) = made(&[
        query(1, 1, 24, &[198, 51, 100]),
        query(2, 1, 24, &[192, 0, 2]),
        query(3, 1, 0, &[]),
        query(4, 0, 24, &[192, 0, 2]),
        query(5, 0, 0, &[]),
    ]);
    let events = records(&path, "--events", &[]);
    let found: Vec<(&Value, &Value)> = events
        .iter()
        .map(|event| (&event["client_subnet"], &event["client_hint"]))
        .collect();
    let text = |text: &str| json!(text);
    let null = Value::Null;
    assert_eq!(
        found,
        [
            // A forwarder that nothing else gives away.
            (&text("198.51.100.0/24"), &text("198.51.100.0/24")),
            // A client that speaks of itself, and one that wants nothing said.
            (&text("192.0.2.0/24"), &null),
            (&text("0.0.0.0/0"), &null),
            // Without RD it is a resolver, whose own network its clients are in.
            (&text("192.0.2.0/24"), &text("192.0.2.0/24")),
            (&text("0.0.0.0/0"), &null),
        ]
    );
}

/// The far side of a resolver: nearly all lookups are its own.
#[test]
fn where_only_resolvers_ask_it_is_said_where_to_mirror() {
    let mut packets: Vec<Vec<u8>> = (0..20)
        .flat_map(|n| lookup((FORWARDER.0, 40_000 + n), WORLD, "a.example", false))
        .collect();
    packets.extend(lookup(HOST, WORLD, "a.example", true));
    let (folder, path) = made(&packets);
    let warning =
        "warning: 95.2 % of the lookups come from resolvers that answer nobody here (192.0.2.53)";
    let text = stderr(&dnsterrier([&path]));
    assert!(text.contains(warning), "{text}");
    assert!(
        text.contains("Mirror the links on which hosts ask these resolvers"),
        "{text}"
    );
    let stats = folder.path().join("stats.json");
    dnsterrier([&path, "--stats", stats.to_str().unwrap()]);
    let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    assert_eq!(
        stats["hidden_clients"],
        json!({
            "behind_resolvers": 20,
            "behind_nat": 0,
            "addresses": [{ "address": "192.0.2.53", "role": "resolver", "lookups": 20 }],
            "more_addresses": 0,
        })
    );

    // With RD a packet does not tell; somebody does.
    let forwards: Vec<Vec<u8>> = (0..20)
        .flat_map(|n| lookup((FORWARDER.0, 40_000 + n), WORLD, "a.example", true))
        .collect();
    let (_folder, path) = made(&forwards);
    let verdict = |more: &[&str]| stderr(&dnsterrier([&[path.as_str()], more].concat()));
    assert!(!verdict(&[]).contains("warning"));
    assert!(verdict(&["--resolvers", "192.0.2.53"]).contains(
        "100.0 % of the lookups come from resolvers that answer nobody here (192.0.2.53)"
    ));
    assert!(
        verdict(&["--nat", "192.0.2.0/24"])
            .contains("100.0 % of the lookups come through NAT (192.0.2.53)")
    );

    // Both legs of a resolver: everybody is there.
    let both = stderr(&dnsterrier([capture("resolver-in-the-middle.pcap")]));
    assert!(!both.contains("lookups come from resolvers"), "{both}");
}
