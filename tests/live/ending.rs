//! How a live run ends: by a signal, a count, a time, or because its interface goes away.

use std::time::Duration;

use serde_json::Value;

use crate::common::json_lines;
use crate::lab::Lab;

/// A signal on an idle link ends the run within a second, with all that was seen in its files.
fn ends_by(signal: &str) {
    let Some(lab) = Lab::pair() else { return };
    let (rows, hits, events, stats) = (
        lab.place("rows.csv"),
        lab.place("hits.jsonl"),
        lab.place("events.jsonl"),
        lab.place("stats.json"),
    );
    let live = lab.listen(
        "c",
        &[
            "sniff", "-i", "eth0", "--rows", &rows, "--hits", &hits, "--events", &events,
            "--stats", &stats,
        ],
    );
    lab.dig("c", &["@10.9.5.2", "before.ngrok.io"]);
    lab.dig("c", &["@10.9.5.2", "www.example.com"]);
    live.signal(signal);
    let ended = live.end_within(Duration::from_secs(1)).with_status(0);
    assert!(
        ended.err.contains("1 source, 1 lookup of 2 by 1 client"),
        "{}",
        ended.err
    );

    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let rows = read(&rows);
    assert_eq!(rows.lines().count(), 2, "{rows}");
    assert!(
        rows.ends_with('\n') && rows.contains("10.9.5.1") && rows.contains("before.ngrok.io"),
        "{rows}"
    );
    let hits = json_lines(&read(&hits));
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0]["query"], "before.ngrok.io");
    assert_eq!(json_lines(&read(&events)).len(), 2);
    let stats: Value = serde_json::from_str(&read(&stats)).unwrap();
    assert_eq!(stats["rows"]["rows"], Value::from(1));
}

#[test]
fn control_c_ends_an_idle_run_within_a_second() {
    ends_by("INT");
}

#[test]
fn sigterm_ends_an_idle_run_within_a_second() {
    ends_by("TERM");
}

/// Impatience loses nothing: what the kernel still holds is read all the same.
#[test]
fn a_second_control_c_loses_nothing() {
    let Some(lab) = Lab::pair() else { return };
    let live = lab.listen("c", &["sniff", "-i", "eth0", "--format", "jsonl"]);
    lab.dig("c", &["@10.9.5.2", "last.ngrok.io"]);
    for _ in 0..3 {
        live.signal("INT");
    }
    let ended = live.end_within(Duration::from_secs(1)).with_status(0);
    assert_eq!(json_lines(&ended.out).len(), 1, "{ended:#?}");
}

/// Nobody has to wait for the end to read a hit in a file.
#[test]
fn a_hit_is_in_its_file_at_once() {
    let Some(lab) = Lab::pair() else { return };
    let hits = lab.place("hits.jsonl");
    let live = lab.listen("c", &["sniff", "-i", "eth0", "--hits", &hits]);
    lab.dig("c", &["@10.9.5.2", "now.ngrok.io"]);
    crate::running::wait_until("the hit", || {
        std::fs::read_to_string(&hits)
            .is_ok_and(|text| text.contains("now.ngrok.io") && text.ends_with('\n'))
    });
    live.end_by("INT").with_status(0);
}

#[test]
fn a_count_of_packets_ends_it() {
    let Some(lab) = Lab::pair() else { return };
    let live = lab.listen(
        "c",
        &["-i", "eth0", "-c", "3", "--format", "jsonl", "udp port 53"],
    );
    for name in ["one.ngrok.io", "two.ngrok.io", "three.ngrok.io"] {
        lab.dig("c", &["@10.9.5.2", name]);
    }
    let ended = live.end().with_status(0);
    assert!(ended.err.contains("3 packets received"), "{}", ended.err);
    let rows = json_lines(&ended.out);
    // The third packet is the second question, whose answer is out of sight.
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(
        rows.iter()
            .any(|row| row["query"] == "one.ngrok.io" && row["answer"] == "3.134.39.220")
    );
    assert!(
        rows.iter()
            .any(|row| row["query"] == "two.ngrok.io" && row["answer"] == "unknown")
    );
}

#[test]
fn a_span_of_time_ends_it() {
    let Some(lab) = Lab::pair() else { return };
    let live = lab.listen(
        "c",
        &[
            "sniff",
            "-i",
            "eth0",
            "--duration",
            "1s",
            "--format",
            "jsonl",
        ],
    );
    lab.dig("c", &["@10.9.5.2", "short.ngrok.io"]);
    let ended = live.end_within(Duration::from_secs(5)).with_status(0);
    assert_eq!(json_lines(&ended.out).len(), 1, "{ended:#?}");
}

/// The interface goes away: what was seen is kept, and the run says that it could not go on.
#[test]
fn an_interface_that_goes_away_ends_it() {
    let Some(lab) = Lab::pair() else { return };
    let live = lab.listen("c", &["sniff", "-i", "eth1", "--format", "jsonl"]);
    lab.dig("c", &["@10.9.6.2", "seen.ngrok.io"]);
    lab.run("c", &["ip", "link", "del", "eth1"]);
    let ended = live.end_within(Duration::from_secs(5)).with_status(1);
    assert!(ended.err.contains("interface 'eth1'"), "{}", ended.err);
    let rows = json_lines(&ended.out);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["query"], "seen.ngrok.io");
}
