//! Several captures that share the packets of one interface.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::json_lines;
use crate::lab::Lab;
use crate::running::{Running, wait_for_last_lookup};

/// What a line with much other traffic carries, until nobody listens any more.
const OTHERS: &str = "
import socket, time
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print('sending', flush=True)
while True:
    udp.sendto(b'x' * 100, ('10.9.5.2', 9999))
    time.sleep(0.001)
";

/// Names, each with its type and outcome: a lookup that two captures saw would be there twice.
fn lookups(events: &[Value]) -> Vec<String> {
    let mut lookups: Vec<String> = events
        .iter()
        .map(|event| {
            let [src, query, kind, outcome] =
                ["src", "query", "record_type", "reply_code"].map(|field| event[field].to_string());
            format!("{src} {query} {kind} {outcome} {}", event["answer"])
        })
        .collect();
    lookups.sort();
    lookups
}

/// Lookups over UDP and TCP, from many ports and several addresses, beside tcpdump: each is seen once, by one of the captures, and
/// both of its packets come together.
#[test]
fn captures_that_share_an_interface_see_each_packet_once() {
    let Some(lab) = Lab::whole() else { return };
    let capture = lab.place("beside.pcap");
    let place = |what: &str| lab.place(what);
    let (events, stats) = (place("live.jsonl"), place("live.json"));
    let tcpdump = lab.tcpdump("mon", "lan-in", &capture);
    let live = lab.listen(
        "mon",
        &[
            "sniff",
            "-i",
            "lan-in",
            "--workers",
            "4",
            "--window",
            "none",
            "--events",
            &events,
            "--stats",
            &stats,
        ],
    );
    for (client, transport) in [
        ("c11", "+notcp"),
        ("c12", "+tcp"),
        ("c13", "+notcp"),
        ("c14", "+notcp"),
    ] {
        lab.dig_all(
            client,
            (0..40).map(|n| format!("@10.9.0.53 {transport} n{n}.{client}.ngrok.io")),
        );
    }
    lab.dig("c11", &["@10.9.0.53", "the-last-one.example.com"]);
    wait_for_last_lookup(&capture);
    live.end_by("INT").with_status(0);
    tcpdump.end_by("INT").with_status(0);

    let replayed = place("replay.jsonl");
    lab.dnsterrier(
        "mon",
        &["replay", &capture, "--rows", "none", "--events", &replayed],
    );
    let read = |path: &str| json_lines(&std::fs::read_to_string(path).unwrap());
    let (seen, beside) = (read(&events), read(&replayed));
    assert_eq!(lookups(&seen), lookups(&beside));
    assert!(seen.len() > 160, "{}", seen.len());
    assert!(seen.iter().all(|event| event["message_type"] == "Response"));
    // No two packets have the same number, whoever captured them.
    let numbers: BTreeSet<u64> = seen
        .iter()
        .filter_map(|event| event["packet"].as_u64())
        .collect();
    assert_eq!(numbers.len(), seen.len());

    let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    assert_eq!(stats["capture"]["kernel_dropped"], 0);
    let identities = stats["identities"].as_array().unwrap();
    assert!(
        identities.iter().all(|identity| identity["holds"] == true),
        "{identities:?}"
    );
}

/// What hits is told while other traffic never lets the line fall silent.
#[test]
fn a_hit_is_told_while_other_traffic_goes_on() {
    let Some(lab) = Lab::pair() else { return };
    let others = Running::start(lab.on("c", &["python3", "-c", OTHERS]));
    others.wait_for_out("sending");
    for workers in ["1", "2"] {
        let live = lab.listen("c", &["sniff", "-i", "eth0", "--workers", workers]);
        lab.dig("c", &["@10.9.5.2", "busy.ngrok.io"]);
        live.wait_for_out("busy.ngrok.io");
        live.end_by("INT").with_status(0);
    }
    drop(others);
}

/// Packets are counted by one capture alone, so the two options together would mean nothing.
#[test]
fn a_number_of_packets_takes_one_capture() {
    let Some(lab) = Lab::pair() else { return };
    let output = lab.dnsterrier("c", &["sniff", "-i", "eth0", "--workers", "2", "-c", "9"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("--count") && said.contains("--workers"),
        "{said}"
    );
}
