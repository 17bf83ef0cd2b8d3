//! Windows that close: what comes in time is in its row, what comes later makes a partial row and is counted.

use serde_json::{Value, json};

use super::{capture, json, pcap, values};

const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 10], 40_000);
const RESOLVER: ([u8; 4], u16) = ([192, 0, 2, 53], 53);
/// A full hour: 2027-01-15T08:00:00Z.
const HOUR: u32 = 1_800_000_000;

/// A packet so many milliseconds after 8 o'clock, before which the number is negative.
fn at(millis: i64, bytes: Vec<u8>) -> pcap::Record {
    let micros = (i64::from(HOUR) * 1_000 + millis) * 1_000;
    pcap::Record {
        time: (
            u32::try_from(micros / 1_000_000).unwrap(),
            u32::try_from(micros % 1_000_000).unwrap(),
        ),
        bytes,
    }
}

fn query(millis: i64, id: u16, name: &str) -> pcap::Record {
    let bytes = pcap::udp(CLIENT, RESOLVER, id, &pcap::query(id, name));
    at(millis, bytes)
}

fn response(millis: i64, id: u16, name: &str) -> pcap::Record {
    let bytes = pcap::response(id, name, [192, 0, 2, 80]);
    at(millis, pcap::udp(RESOLVER, CLIENT, id, &bytes))
}

/// The rows of a capture, each as the start of its window, answer, count and whether it is partial; and how many hits were late.
fn rows(packets: &[pcap::Record], schedule: &str, window: &str) -> (Vec<Value>, Value) {
    let (folder, capture) = pcap::made(packets);
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (rule, stats) = (place("own.yaml"), place("stats.json"));
    let text = format!(
        "name: own\nwhere: {{ query: \"*.wanted.example\" }}\nby: [src, answer]\naggregate: {{ count: count }}\nschedule: {schedule}\n"
    );
    std::fs::write(&rule, text).unwrap();
    let rows = json(&[
        &capture,
        "--no-embedded",
        "--rules",
        &rule,
        "--window",
        window,
        "--stats",
        &stats,
    ]);
    let rows = rows
        .iter()
        .map(|row| {
            let window = row["window"].as_str().unwrap();
            json!([&window[11..16], row["answer"], row["count"], row["partial"]])
        })
        .collect();
    let stats: Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
    (rows, stats["rows"]["late"].clone())
}

#[test]
fn windows_are_spans_of_that_length() {
    let path = capture("ngrok.pcap");
    let windows = |window: &str| {
        let rows = json(&[&path, "--name", "tunnel.ngrok.com", "--window", window]);
        (values(&rows, "window"), values(&rows, "count"))
    };
    assert_eq!(
        windows("none"),
        (vec!["null".to_owned()], vec!["3".to_owned()])
    );
    // Queries at 14:10:35.215932, 14:10:41.291737 and 14:10:48.754763 (tshark).
    let interval = |from: &str, to: &str| {
        format!("2026-11-24T14:10:{from}.000000Z/2026-11-24T14:10:{to}.000000Z")
    };
    assert_eq!(
        windows("10s"),
        (
            vec![interval("30", "40"), interval("40", "50")],
            vec!["1".to_owned(), "2".to_owned()]
        )
    );
    assert_eq!(
        windows("1h"),
        (
            vec!["2026-11-24T14:00:00.000000Z/2026-11-24T15:00:00.000000Z".to_owned()],
            vec!["3".to_owned()]
        )
    );
}

/// Hours that are searched ten minutes later, and when they are over.
const LENIENT: &str = "{ cron: \"10 * * * *\", earliest: -70m@m, latest: -10m@m }";
const STRICT: &str = "{ cron: \"0 * * * *\", earliest: -60m@m, latest: \"@m\" }";

/// One lookup is over long before the hour is, one is answered two seconds after it, in between packets come.
#[test]
fn an_answer_after_the_hour_counts_in_it_as_long_as_the_window_is_open() {
    let packets = [
        query(-600_000, 1, "a.wanted.example"),
        response(-599_990, 1, "a.wanted.example"),
        query(-2_000, 2, "b.wanted.example"),
        query(1_000, 3, "other.example"),
        response(1_010, 3, "other.example"),
        response(2_000, 2, "b.wanted.example"),
        query(1_800_000, 4, "c.wanted.example"),
        response(1_800_010, 4, "c.wanted.example"),
    ];
    let whole = json!([
        ["07:00", "192.0.2.80", 2, null],
        ["08:00", "192.0.2.80", 1, null]
    ]);
    for (schedule, window) in [
        (LENIENT, "schedule"),
        (LENIENT, "1h"),
        (STRICT, "1h"),
        (STRICT, "60m"),
    ] {
        let (found, late) = rows(&packets, schedule, window);
        assert_eq!(
            (json!(found), late),
            (whole.clone(), json!(0)),
            "{window} {schedule}"
        );
    }
    // Who searches the hour at its end has not seen that answer.
    let (found, late) = rows(&packets, STRICT, "schedule");
    let parts = json!([
        ["07:00", "192.0.2.80", 1, null],
        ["07:00", "192.0.2.80", 1, true],
        ["08:00", "192.0.2.80", 1, null]
    ]);
    assert_eq!((json!(found), late), (parts, json!(1)));
}

/// So does a lookup that nobody answers: it is over when its time is, not when the next packet happens to come.
#[test]
fn what_is_not_answered_is_over_when_its_time_is() {
    for (asked, is_late) in [(-7_000, false), (-6_000, true)] {
        for next in [6_000, 600_000] {
            let packets = [
                query(asked, 1, "a.wanted.example"),
                query(next, 2, "other.example"),
                response(next + 10, 2, "other.example"),
            ];
            let (found, late) = rows(&packets, STRICT, "schedule");
            let partial = if is_late { json!(true) } else { Value::Null };
            assert_eq!(
                (json!(found), late),
                (
                    json!([["07:00", "unknown", 1, partial]]),
                    json!(u64::from(is_late))
                ),
                "{asked} {next}"
            );
            let (found, late) = rows(&packets, LENIENT, "schedule");
            let row = json!([["07:00", "unknown", 1, null]]);
            assert_eq!((json!(found), late), (row, json!(0)), "{asked} {next}");
        }
    }
}

/// After the timeout an answer is an event of its own, with its own time: the lookup stays unanswered in its hour.
#[test]
fn an_answer_after_the_timeout_is_in_the_hour_in_which_it_comes() {
    let packets = [
        query(-3_000, 1, "a.wanted.example"),
        query(3_000, 2, "other.example"),
        response(3_010, 2, "other.example"),
        response(4_000, 1, "a.wanted.example"),
        query(3_000_000, 3, "other.example"),
        response(3_000_010, 3, "other.example"),
    ];
    for window in ["1h", "schedule"] {
        let (found, late) = rows(&packets, LENIENT, window);
        let both = json!([
            ["07:00", "unknown", 1, null],
            ["08:00", "192.0.2.80", 1, null]
        ]);
        assert_eq!((json!(found), late), (both, json!(0)), "{window}");
    }
}
