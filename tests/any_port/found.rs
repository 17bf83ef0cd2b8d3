//! The program with `--any-port`.

use serde_json::{Value, json};

use crate::common::{captures, dnsterrier, json_lines, stderr, stdout};
use crate::pcap;

fn run(arguments: &[&str]) -> Vec<Value> {
    json_lines(&stdout(&dnsterrier(
        [&["--rows", "none", "--events", "-", "-q"], arguments].concat(),
    )))
}

/// Told not to look at port 53, it finds there what it sees when told to, and says so of every event. But for two kinds: where
/// the capture cut the question off, and where a resolver that takes segments of 36 bytes has no query in one of them.
#[test]
fn real_traffic_on_no_port_that_was_named() {
    let mut lookups = 0;
    let is_left_out = |event: &Value| {
        let is_in_pieces = event["transport"] == "tcp" && event["src"] == "10.9.0.14";
        event["query"] == "unknown" || is_in_pieces
    };
    for capture in captures() {
        // What a server says is not looked for on ports.
        if capture.extension().is_some_and(|ending| ending == "dnstap") {
            continue;
        }
        let path = capture.to_str().unwrap();
        let mut expected = run(&[path]);
        expected.retain(|event| !is_left_out(event));
        let mut found = run(&[path, "--ports", "1", "--any-port"]);
        found.retain(|event| !is_left_out(event));
        for event in &mut found {
            let anomalies = event["anomalies"].as_array_mut().unwrap();
            assert!(anomalies.contains(&json!("other_port")), "{event}");
            anomalies.retain(|anomaly| anomaly != "other_port");
        }
        lookups += found.len();
        assert!(
            found == expected,
            "{path}: {found:#?}\nexpected: {expected:#?}"
        );
    }
    assert!(lookups > 1000, "{lookups}");
}

type End = ([u8; 4], u16);
const CLIENT: End = ([192, 0, 2, 10], 40_000);
const SERVER: End = ([192, 0, 2, 53], 5300);

/// A file of packets, one each millisecond.
fn made(packets: &[Vec<u8>]) -> (tempfile::TempDir, String) {
    pcap::made_of(packets, 1_000)
}

/// A lookup on another port, beside one on 53 and a datagram of something else.
fn lookups() -> Vec<Vec<u8>> {
    let name = "tunnel.us.ngrok.com";
    let dns = (SERVER.0, 53);
    vec![
        pcap::udp(CLIENT, SERVER, 1, &pcap::query(1, name)),
        pcap::udp(SERVER, CLIENT, 2, &pcap::response(1, name, [192, 0, 2, 80])),
        pcap::udp(CLIENT, dns, 3, &pcap::query(2, "www.example.com")),
        pcap::udp(
            dns,
            CLIENT,
            4,
            &pcap::response(2, "www.example.com", [192, 0, 2, 81]),
        ),
        pcap::udp(CLIENT, SERVER, 5, b"something else, on the same port"),
    ]
}

#[test]
fn events_rules_and_counters() {
    let (folder, path) = made(&lookups());
    let seen = |more: &[&str]| -> Vec<(Value, Value, Value)> {
        run(&[&[path.as_str()], more].concat())
            .into_iter()
            .map(|event| {
                (
                    event["query"].clone(),
                    event["dest_port"].clone(),
                    event["anomalies"].clone(),
                )
            })
            .collect()
    };
    let usual = (json!("www.example.com"), json!(53), json!([]));
    let other = |anomalies| (json!("tunnel.us.ngrok.com"), json!(5300), anomalies);
    assert_eq!(seen(&[]), std::slice::from_ref(&usual));
    assert_eq!(
        seen(&["--any-port"]),
        [other(json!(["other_port"])), usual.clone()]
    );
    // A port that is named is none of the others.
    assert_eq!(
        seen(&["--any-port", "--ports", "53,5300"])[0],
        other(json!([]))
    );

    let rule = folder.path().join("rule.yaml");
    std::fs::write(
        &rule,
        "name: Odd\nwhere: { anomalies: other_port }\nby: [src, dest, dest_port]\n",
    )
    .unwrap();
    let stats = folder.path().join("stats.json");
    let output = dnsterrier([
        &path,
        "--any-port",
        "--no-embedded",
        "--rules",
        rule.to_str().unwrap(),
        "--format",
        "jsonl",
        "--stats",
        stats.to_str().unwrap(),
    ]);
    let rows = json_lines(&stdout(&output));
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["dest_port"], &rows[0]["count"]),
        (&json!(5300), &json!(1))
    );
    assert!(
        stderr(&output).contains(
            "2 messages found by their shape on ports that were not named, in 1 conversation"
        ),
        "{}",
        stderr(&output)
    );
    let stats: Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
    assert_eq!(
        stats["any_port"],
        json!({"conversations": 1, "udp_messages": 2, "tcp_segments": 0, "tcp_messages": 0})
    );
    assert_eq!(stats["packets"]["udp"], json!(4));
    assert_eq!(
        stats["capture"]["other_port"].as_u64().unwrap()
            + stats["packets"]["other_port"].as_u64().unwrap(),
        1
    );
}
