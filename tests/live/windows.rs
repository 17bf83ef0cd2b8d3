//! Windows that close while the program listens.

use serde_json::Value;

use crate::common::{json_lines, stdout};
use crate::lab::Lab;
use crate::running::{wait_for_last_lookup, wait_until};

/// Windows close by the time of packets, and where none come by the clock: a replay of the capture that tcpdump takes beside
/// it closes them otherwise, and has the same rows.
#[test]
fn a_window_that_closed_has_the_rows_of_the_capture_beside_it() {
    let Some(lab) = Lab::pair() else { return };
    let capture = lab.place("windows.pcap");
    let tcpdump = lab.tcpdump("c", "eth0", &capture);
    // A timeout of 100 ms has a window closed 2.2 s after its end.
    let options = [
        "--format",
        "jsonl",
        "--window",
        "1s",
        "--timeout",
        "100ms",
        "--sensor",
        "s",
    ];
    let live = lab.listen("c", &[&["sniff", "-i", "eth0"], &options[..]].concat());
    let ask = |name: &str| lab.dig("c", &["@10.9.5.2", name]);

    // Closed in silence.
    ask("first.ngrok.io");
    // Nobody is there: a query without a response.
    let nobody = [
        "neigh",
        "replace",
        "10.9.5.9",
        "lladdr",
        "02:00:00:00:05:09",
        "dev",
        "eth0",
    ];
    lab.run("c", &[&["ip"], &nobody[..]].concat());
    lab.output(
        "c",
        &[
            "dig",
            "+tries=1",
            "+timeout=1",
            "@10.9.5.9",
            "nobody.ngrok.io",
        ],
    );
    live.wait_for_out("nobody.ngrok.io");
    // Closed while others ask.
    ask("second.ngrok.io");
    let asking = std::cell::Cell::new(0);
    wait_until("the window of the second lookup to close", || {
        ask(&format!(
            "n{}.example.com",
            asking.replace(asking.get() + 1)
        ));
        live.has_out("second.ngrok.io")
    });
    // Closed by the end.
    ask("third.ngrok.io");
    ask("the-last-one.example.com");
    wait_for_last_lookup(&capture);
    let live = live.end_by("INT").with_status(0);
    tcpdump.end_by("INT").with_status(0);

    let replay = lab.dnsterrier("c", &[&["replay", &*capture], &options[..]].concat());
    let rows = json_lines(&live.out);
    assert_eq!(rows, json_lines(&stdout(&replay)));
    let mut names: Vec<&str> = rows
        .iter()
        .map(|row| row["query"].as_str().unwrap())
        .collect();
    names.dedup();
    assert_eq!(
        names,
        [
            "first.ngrok.io",
            "nobody.ngrok.io",
            "second.ngrok.io",
            "third.ngrok.io"
        ]
    );
    for row in &rows {
        assert!(row["window"].is_string());
        assert_eq!(row.get("partial"), None::<&Value>, "{row}");
    }
}
