//! Several interfaces at once.

use crate::common::json_lines;
use crate::lab::Lab;

/// Questions go over one cable and the other in turn, faster than the interfaces are looked at; the events come in the
/// order of time all the same.
#[test]
fn two_interfaces_are_merged_by_time() {
    let Some(lab) = Lab::pair() else { return };
    let events = lab.place("events.jsonl");
    let live = lab.listen(
        "c",
        &[
            "sniff", "-i", "eth0", "-i", "eth1", "--events", &events, "--rows", "none",
        ],
    );
    lab.dig_all(
        "c",
        (0..200).map(|n| format!("@10.9.{}.2 n{n}.example.com", 5 + n % 2)),
    );
    live.end_by("INT").with_status(0);
    let events = json_lines(&std::fs::read_to_string(&events).unwrap());
    let seen: Vec<(&str, &str)> = events
        .iter()
        .map(|event| {
            (
                event["query"].as_str().unwrap(),
                event["source"].as_str().unwrap(),
            )
        })
        .collect();
    let asked: Vec<(String, &str)> = (0..200)
        .map(|n| (format!("n{n}.example.com"), ["eth0", "eth1"][n % 2]))
        .collect();
    assert_eq!(seen.len(), asked.len());
    for (seen, asked) in seen.iter().zip(&asked) {
        assert_eq!(*seen, (asked.0.as_str(), asked.1));
    }
    assert!(events.is_sorted_by_key(|event| event["_time"].as_str().unwrap()));
}

/// `any` stands for all interfaces: a lookup over each cable, one event each.
#[test]
fn any_interface() {
    let Some(lab) = Lab::pair() else { return };
    let live = lab.listen("c", &["sniff", "-i", "any", "--format", "jsonl"]);
    lab.dig("c", &["@10.9.5.2", "one.ngrok.io"]);
    lab.dig("c", &["@10.9.6.2", "other.ngrok.io"]);
    let rows = json_lines(&live.end_by("INT").with_status(0).out);
    let seen: Vec<(&str, &str, u64)> = rows
        .iter()
        .map(|row| {
            (
                row["src"].as_str().unwrap(),
                row["query"].as_str().unwrap(),
                row["count"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("10.9.5.1", "one.ngrok.io", 1),
            ("10.9.6.1", "other.ngrok.io", 1)
        ]
    );
}
