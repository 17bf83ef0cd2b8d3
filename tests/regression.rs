//! Every bug that was found in dnsterrier gets its capture and its test here, and keeps them.
//!
//! The capture is a committed file under `captures/regression/` where it came from the wire, with a note of where and what
//! was wrong; or it is built in the test where a few packets by hand say it better. A test is named after what is true now,
//! and its comment says what happened instead. It fails on the program as it was before the fix.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail: that is what it is for"
)]

mod common;
#[path = "common/pcap.rs"]
mod pcap;

use common::{dnsterrier, json_lines, stdout};
use pcap::Record;
use serde_json::Value;

const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 10], 40_000);
const RESOLVER: ([u8; 4], u16) = ([192, 0, 2, 53], 53);
/// When these captures begin.
const START: u32 = 1_800_000_000;

/// The events of packets given with their times in milliseconds.
fn events(packets: &[(u32, Vec<u8>)]) -> Vec<Value> {
    let records: Vec<Record> = packets
        .iter()
        .map(|(milliseconds, bytes)| Record {
            time: (START + milliseconds / 1000, milliseconds % 1000 * 1000),
            bytes: bytes.clone(),
        })
        .collect();
    let (_folder, path) = pcap::made(&records);
    let output = dnsterrier([
        "replay", &path, "--rows", "none", "--events", "-", "--quiet",
    ]);
    json_lines(&stdout(&output))
}

/// A second response that comes after the transaction has lingered its five seconds is an event of its own. It was one or
/// not as the sweep happened to run: other traffic between the two decided.
#[test]
fn a_second_response_after_the_lingering_time_is_an_event_of_its_own() {
    let name = "abc.ngrok.io";
    let answer = pcap::response(7, name, [198, 51, 100, 1]);
    // Before, just after the five seconds and before the sweep, after the sweep.
    for (second, events_then) in [
        (2_500, 1),
        (4_900, 1),
        (5_100, 2),
        (5_900, 2),
        (7_000, 2),
        (40_000, 2),
    ] {
        for step in [None, Some(10), Some(900), Some(3_000)] {
            let mut packets = vec![
                (0, pcap::udp(CLIENT, RESOLVER, 1, &pcap::query(7, name))),
                (20, pcap::udp(RESOLVER, CLIENT, 2, &answer)),
            ];
            // Traffic of others, which moves the time on: none, much, little.
            if let Some(step) = step {
                for time in (30..second).step_by(step) {
                    let other = ([192, 0, 2, 99], 50_000);
                    packets.push((time, pcap::udp(other, ([192, 0, 2, 98], 9), 3, b"no DNS")));
                    packets.push((time, pcap::udp(other, RESOLVER, 3, b"short")));
                }
            }
            packets.push((20 + second, pcap::udp(RESOLVER, CLIENT, 4, &answer)));
            let names: Vec<String> = events(&packets)
                .iter()
                .map(|event| event["name"].as_str().unwrap().to_owned())
                .collect();
            let expected = ["DNS transaction", "DNS response without query"];
            assert_eq!(
                names,
                expected[..events_then],
                "after {second} ms, others every {step:?} ms"
            );
        }
    }
}
