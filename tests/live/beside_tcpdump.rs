//! A live run gives what a replay gives of the capture that tcpdump took beside it.

use serde_json::Value;

use crate::common::{json_lines, stdout};
use crate::lab::Lab;
use crate::running::wait_for_last_lookup;

/// Real clients, dig and the C library's resolver, on one side of a real resolver; the sensor sits on a mirrored port.
#[test]
fn the_same_rows_as_the_capture_beside_it() {
    let Some(lab) = Lab::whole() else { return };
    let capture = lab.place("beside.pcap");
    let (live_events, live_stats) = (lab.place("live.jsonl"), lab.place("live-stats.json"));
    let tcpdump = lab.tcpdump("mon", "lan-in", &capture);
    let live = lab.listen(
        "mon",
        &[
            "sniff",
            "-i",
            "lan-in",
            "--format",
            "jsonl",
            "--window",
            "none",
            "--sensor",
            "s",
            "--events",
            &live_events,
            "--stats",
            &live_stats,
        ],
    );

    let resolver = "@10.9.0.53";
    lab.dig("c11", &[resolver, "abc123.ngrok.io"]);
    lab.dig("c11", &[resolver, "www.example.com"]);
    lab.run("c12", &["getent", "ahosts", "demo.ngrok.io"]);
    lab.run("c13", &["getent", "ahosts", "tunnel.eu.ngrok.com"]); // over IPv6
    lab.run("c14", &["getent", "ahosts", "wiki"]); // by the search list
    lab.dig("c14", &[resolver, "a.ngrok.io.evil.example"]);
    lab.dig("c15", &[resolver, "nGRoK.eU.TuNNel.cOm"]);
    lab.dig("c16", &[resolver, "+tcp", "tunnel.jp.ngrok.com"]);
    lab.dig("c16", &[resolver, "+bufsize=512", "many.ngrok.io"]); // truncated, then over TCP
    lab.dig("c17", &["@fd00:9::53", "sinkhole.ngrok.io", "AAAA"]);
    lab.dig("c18", &[resolver, "nosuch.ngrok.com"]);
    lab.dig("c18", &[resolver, "refused.ngrok.io"]);
    lab.output("c13", &["getent", "ahosts", "nosuch.ngrok.io"]);
    lab.dig("c11", &[resolver, "the-last-one.example.com"]);

    wait_for_last_lookup(&capture);
    let live = live.end_by("INT").with_status(0);
    tcpdump.end_by("INT").with_status(0);

    let replay_events = lab.place("replay.jsonl");
    let replay = lab.dnsterrier(
        "mon",
        &[
            "replay",
            &capture,
            "--format",
            "jsonl",
            "--window",
            "none",
            "--sensor",
            "s",
            "--events",
            &replay_events,
        ],
    );
    let rows = json_lines(&live.out);
    alike(&rows, &json_lines(&stdout(&replay)));
    let sources: std::collections::BTreeSet<&str> = rows
        .iter()
        .map(|row| row["src"].as_str().unwrap())
        .collect();
    assert_eq!(
        sources.into_iter().collect::<Vec<_>>(),
        [
            "10.9.0.11",
            "10.9.0.12",
            "10.9.0.15",
            "10.9.0.16",
            "10.9.0.18",
            "fd00:9::13",
            "fd00:9::17"
        ]
    );

    // So are all the other events, but for the place where they were seen.
    let events = |path: &str| {
        let mut list = json_lines(&std::fs::read_to_string(path).unwrap());
        for event in &mut list {
            for field in ["source", "packet", "response_packet"] {
                event.as_object_mut().unwrap().remove(field);
            }
        }
        list
    };
    let live_events = events(&live_events);
    alike(&live_events, &events(&replay_events));
    assert!(live_events.len() >= 20, "{}", live_events.len());
    assert!(
        live_events
            .iter()
            .all(|event| event["message_type"] == "Response")
    );
    let stats: Value = serde_json::from_slice(&std::fs::read(&live_stats).unwrap()).unwrap();
    assert_eq!(stats["capture"]["kernel_dropped"], Value::from(0));
}

/// The same but for what follows from the capture time: the kernel stamps an arriving packet once for all listeners, but a
/// TCP segment that comes from a socket of the same machine brings the time that it was to leave at, which is none of a
/// wall clock, so that each listener gets a time of its own, some hundred nanoseconds apart.
fn alike(live: &[Value], replayed: &[Value]) {
    for (live, replayed) in live.iter().zip(replayed) {
        assert_eq!(steady(live), steady(replayed));
        for field in ["_time", "firstTime", "lastTime"] {
            let time = |record: &Value| {
                record
                    .get(field)
                    .map(|time| nanoseconds(time.as_str().unwrap()))
            };
            if let (Some(live), Some(replayed)) = (time(live), time(replayed)) {
                assert!(
                    (live - replayed).abs() <= 1_000_000,
                    "{field} of {replayed}"
                );
            }
        }
        for field in ["duration", "response_time"] {
            let span = |record: &Value| record.get(field).map(|span| span.as_f64().unwrap());
            if let (Some(live), Some(replayed)) = (span(live), span(replayed)) {
                assert!((live - replayed).abs() <= 0.002, "{field} of {replayed}");
            }
        }
    }
    assert_eq!(live.len(), replayed.len());
}

/// What does not follow from the capture time; of a field that does, only that it is there.
fn steady(record: &Value) -> Value {
    let mut record = record.clone();
    for field in [
        "_time",
        "firstTime",
        "lastTime",
        "duration",
        "response_time",
        "event_id",
    ] {
        if let Some(value) = record.get_mut(field) {
            *value = Value::Null;
        }
    }
    record
}

fn nanoseconds(time: &str) -> i128 {
    time.parse::<jiff::Timestamp>().unwrap().as_nanosecond()
}
