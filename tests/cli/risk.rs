//! Risk events: whose risk it is, what rules can ask for, where they go.

use serde_json::{Value, json};

use super::{capture, common::json_lines, dnsterrier, out, pcap, stderr};

const HOST: ([u8; 4], u16) = ([192, 0, 2, 10], 40_000);
const FORWARDER: ([u8; 4], u16) = ([192, 0, 2, 53], 53);
const WORLD: ([u8; 4], u16) = ([198, 51, 100, 8], 53);
const NAME: &str = "a.ngrok.io";

/// The risk events of a run.
fn risk(path: &str, more: &[&str]) -> Vec<Value> {
    let arguments = [path, "--rows", "none", "--risk", "-", "--quiet"];
    json_lines(&out(&[&arguments, more].concat()))
}

fn text<'a>(event: &'a Value, name: &str) -> &'a str {
    event[name].as_str().unwrap()
}

/// A query, and its answer.
fn lookup(client: ([u8; 4], u16), server: ([u8; 4], u16), rd: bool) -> [Vec<u8>; 2] {
    let id = client.1;
    let query = pcap::message(id, u16::from(rd) << 8, [1, 0, 0, 0], NAME);
    let answer = pcap::response(id, NAME, [192, 0, 2, 80]);
    [
        pcap::udp(client, server, id, &query),
        pcap::udp(server, client, id, &answer),
    ]
}

/// Object, whether the client is hidden, and the end of the message.
fn told(events: &[Value]) -> Vec<(&str, bool, &str)> {
    events
        .iter()
        .map(|event| {
            let message = text(event, "risk_message");
            let end = message.split_once("of Ngrok.").unwrap().1.trim();
            let is_hidden = event.get("client_hidden").is_some();
            (text(event, "risk_object"), is_hidden, end)
        })
        .collect()
}

#[test]
fn a_resolver_in_the_middle_is_not_whose_risk_it_is() {
    let path = capture("resolver-in-the-middle.pcap");
    let events = risk(&path, &[]);
    let clients = ["10.9.0.11", "10.9.0.12", "10.9.0.15", "fd00:9::13"];
    assert_eq!(told(&events), clients.map(|client| (client, false, "")));
    // Its rows stay.
    let rows = out(&[&path, "--format", "jsonl", "-q"]);
    assert_eq!(rows.matches(r#""src":"10.9.1.53""#).count(), 8);
    // The far side of it alone: the clients are hidden, and it is said.
    let far = risk(&path, &["-f", "host 10.9.1.53"]);
    assert_eq!(
        told(&far),
        [(
            "10.9.1.53",
            true,
            "This is a resolver: the client that it asked for is hidden behind it."
        )]
    );
}

#[test]
fn a_forwarder_and_its_client() {
    let [asked, answered] = lookup(HOST, FORWARDER, true);
    let [asks, is_answered] = lookup((FORWARDER.0, 40_053), WORLD, true);
    let (_folder, both) =
        pcap::made_of(&[asked, asks.clone(), is_answered.clone(), answered], 1_000);
    assert_eq!(told(&risk(&both, &[])), [("192.0.2.10", false, "")]);
    // Alone it looks like any client, until somebody says what it is.
    let (_folder, far) = pcap::made_of(&[asks, is_answered], 1_000);
    assert_eq!(told(&risk(&far, &[])), [("192.0.2.53", false, "")]);
    let of_resolver = "This is a resolver: the client that it asked for is hidden behind it.";
    assert_eq!(
        told(&risk(&far, &["--resolvers", "192.0.2.53"])),
        [("192.0.2.53", true, of_resolver)]
    );
    let of_nat = "Many hosts share this address: the client is hidden behind the translation.";
    assert_eq!(
        told(&risk(&far, &["--nat", "192.0.2.0/24"])),
        [("192.0.2.53", true, of_nat)]
    );
}

/// What the wire shows on both sides of a translation: the same query from two addresses.
#[test]
fn inside_and_outside_of_a_translation() {
    let outside = ([203, 0, 113, 1], 61_000);
    let [asked, answered] = lookup(HOST, WORLD, true);
    let [asks, is_answered] = lookup(outside, WORLD, true);
    let (_folder, path) = pcap::made_of(&[asked, asks, is_answered, answered], 1_000);
    let given = ["--nat", "203.0.113.0/24"];
    assert_eq!(told(&risk(&path, &given)), [("192.0.2.10", false, "")]);
}

const OWN_RULE: &str = "name: Own
where: { query: [\"*.ngrok.com\", \"*.ngrok.io\"] }
by: [src, query, answer]
risk:
  message: $src$ asked for $query$ ($count$).
  objects:
    - { field: src, type: system, score: 90 }
    - { field: query, type: other, score: 10 }
  threat_objects: [{ field: query, type: domain }, { field: answer, type: ip_address }]
";

/// A rule file of that text with more lines.
fn rule_file(more: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.yaml");
    std::fs::write(&path, format!("{OWN_RULE}{more}")).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn several_objects_and_where_the_risk_comes_from() {
    let (_folder, rule) = rule_file("");
    let events = risk(
        &capture("resolver-in-the-middle.pcap"),
        &["--no-embedded", "--rules", &rule],
    );
    let of = |object: &str| {
        events
            .iter()
            .find(|event| event["risk_object"] == object)
            .unwrap()
    };
    let host = of("fd00:9::13");
    assert_eq!(
        (
            &host["risk_score"],
            &host["severity"],
            &host["risk_object_type"]
        ),
        (&json!(90), &json!("critical"), &json!("system"))
    );
    assert_eq!(
        text(host, "risk_message"),
        "fd00:9::13 asked for custom.ngrok.io (3)."
    );
    assert_eq!(
        host["threat_object"],
        json!(["custom.ngrok.io", "3.124.67.191", "18.156.13.209"])
    );
    assert_eq!(
        host["threat_object_type"],
        json!(["domain", "ip_address", "ip_address"])
    );
    // Of a name the two hosts that asked for it.
    let name = of("abc123.ngrok.io");
    assert_eq!(name["severity"], "informational");
    assert_eq!(name["risk_object_type"], "other");
    assert_eq!(name["query"], "abc123.ngrok.io");
    assert_eq!(name["src"], json!(["10.9.0.11", "10.9.0.12"]));
    assert_eq!(
        text(name, "risk_message"),
        "10.9.0.11 and 10.9.0.12 asked for abc123.ngrok.io (2)."
    );
}

#[test]
fn stacked_one_for_each_row() {
    let (_folder, rule) = rule_file("  stacked: true\n");
    let path = capture("resolver-in-the-middle.pcap");
    let more = ["--no-embedded", "--rules", &rule];
    let events = risk(&path, &more);
    // Six rows of clients, with two objects each.
    assert_eq!(events.len(), 12);
    assert!(events.iter().all(|event| event["answer"].is_string()));
    assert_eq!(
        events
            .iter()
            .filter(|event| event["risk_object"] == "fd00:9::13")
            .count(),
        3
    );
}

#[test]
fn suppressed_and_counted() {
    let (_folder, rule) = rule_file("throttle: { fields: [src], period: 1h }\n");
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("stats.json");
    let more = [
        "--no-embedded",
        "--rules",
        &rule,
        "--window",
        "1s",
        "--stats",
        stats.to_str().unwrap(),
    ];
    let path = capture("ngrok.pcap");
    let events = risk(&path, &more);
    let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    let count = |name: &str| stats["risk"][name].as_u64().unwrap();
    assert_eq!(count("events"), events.len() as u64);
    assert!(count("suppressed") > 10, "{stats}");
    assert_eq!(
        count("objects"),
        count("events") + count("suppressed") + count("joined")
    );
    // One of each host: the first window of each, for the object that comes first.
    let hosts: Vec<&Value> = events.iter().map(|event| &event["src"]).collect();
    let mut once = hosts.clone();
    once.dedup();
    assert_eq!(hosts, once);
}

#[test]
fn windows_have_their_own() {
    let path = capture("ngrok.pcap");
    let whole = risk(&path, &[]);
    let windows = risk(&path, &["--window", "10s"]);
    assert!(windows.len() > whole.len());
    assert!(
        windows
            .iter()
            .all(|event| text(event, "window").contains('/'))
    );
    let sum = |events: &[Value]| -> u64 {
        events
            .iter()
            .map(|event| event["count"].as_u64().unwrap())
            .sum()
    };
    assert_eq!(sum(&whole), sum(&windows));
    // The same data sent again is the same event.
    let ids = |events: &[Value]| -> Vec<String> {
        events
            .iter()
            .map(|event| text(event, "event_id").to_owned())
            .collect()
    };
    assert_eq!(ids(&whole), ids(&risk(&path, &[])));
    assert_ne!(ids(&whole), ids(&risk(&path, &["--sensor", "another"])));
}

#[test]
fn there_is_no_table_of_risk() {
    let output = dnsterrier([capture("ngrok.pcap").as_str(), "--risk", "risk.txt"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("there is no table of risk"));
}
