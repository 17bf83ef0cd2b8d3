//! What comes to a server of ClickHouse, and what does not change when it comes twice.

use serde_json::Value;

use crate::cluster::{Cluster, Engine, on_both};
use crate::common::{json_lines, stderr, stdout};
use crate::run::{Desk, by_id, capture, expected, succeeds};

on_both!(
    records_are_in_the_tables_and_twice_is_once,
    every_stream_has_its_table,
    a_table_that_is_not_there_is_not_the_records_fault,
);

fn records_are_in_the_tables_and_twice_is_once(engine: Engine) {
    let (cluster, desk) = (Cluster::start(engine, 1), Desk::new());
    cluster.make_tables();
    cluster.make_tables();
    cluster.execute(0, "SYSTEM STOP MERGES");
    let ngrok = capture("ngrok.pcap");
    let whole = expected(&ngrok);
    // The second time another spool sends all of it again.
    for run in 0..2 {
        succeeds(&desk.replay(&ngrok, &cluster.url(0), &[]));
        assert_eq!(desk.delivery()["delivered"], whole.len(), "run {run}");
    }
    let raw = cluster.count(0, "SELECT count() FROM dns.events");
    assert_eq!(raw, 2 * whole.len());
    let rows = cluster.ask(
        0,
        "SELECT *, toString(time) AS nanoseconds FROM dns.events FINAL",
    );
    assert_eq!(rows.len(), whole.len());
    let records = rows
        .iter()
        .map(|row| serde_json::from_str(row["record"].as_str().unwrap()).unwrap());
    assert_eq!(by_id(records), whole);
    for row in &rows {
        let event = &whole[row["event_id"].as_str().unwrap()];
        for name in [
            "src",
            "dest",
            "query",
            "record_type",
            "reply_code",
            "answer",
            "outcome",
            "other_questions",
        ] {
            assert_eq!(row[name], event[name], "{name}");
        }
        assert_eq!(row["sensor"], event["host"]);
        let time: jiff::Timestamp = event["_time"].as_str().unwrap().parse().unwrap();
        assert_eq!(row["nanoseconds"], time.as_nanosecond().to_string());
        assert_eq!(row["day"], time.to_string()[..10]);
    }
}

fn every_stream_has_its_table(engine: Engine) {
    let (cluster, desk) = (Cluster::start(engine, 1), Desk::new());
    cluster.make_tables();
    let ngrok = capture("ngrok.pcap");
    let ngrok = ngrok.to_str().unwrap();
    let url = cluster.url(0);
    for stream in ["rows", "hits", "sources", "risk", "events"] {
        let option = format!("--{stream}");
        let rows = (stream != "rows").then_some(["--rows", "none"]);
        let mut arguments = vec!["replay", ngrok, "-q", &option];
        let mut plain = arguments.clone();
        arguments.push(&url);
        plain.push("-");
        for more in rows.iter().flatten() {
            arguments.push(more);
            plain.push(more);
        }
        plain.extend(["--format", "jsonl"]);
        succeeds(&desk.run(&arguments));
        let mut written = json_lines(&stdout(&desk.run(&plain)));
        let mut came: Vec<Value> = cluster
            .ask(0, &format!("SELECT record FROM dns.{stream}"))
            .iter()
            .map(|row| serde_json::from_str(row["record"].as_str().unwrap()).unwrap())
            .collect();
        assert!(!written.is_empty(), "{stream}");
        for list in [&mut written, &mut came] {
            list.sort_by_key(Value::to_string);
        }
        assert_eq!(came, written, "{stream}");
        let ids = cluster.ask(0, &format!("SELECT DISTINCT event_id FROM dns.{stream}"));
        assert!(!ids.iter().any(|row| row["event_id"] == ""), "{stream}");
    }
}

fn a_table_that_is_not_there_is_not_the_records_fault(engine: Engine) {
    let (cluster, desk) = (Cluster::start(engine, 1), Desk::new());
    let ngrok = capture("ngrok.pcap");
    let output = desk.replay(&ngrok, &cluster.url(0), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stderr(&output);
    let missing = ["Database dns doesn't exist", "Database dns does not exist"];
    assert!(missing.iter().any(|it| said.contains(it)), "{said}");
    assert_eq!(desk.delivery()["left"], expected(&ngrok).len());
    cluster.make_tables();
    succeeds(&desk.run(&["spool", "flush"]));
    let rows = cluster.count(0, "SELECT count() FROM dns.events");
    assert_eq!(rows, expected(&ngrok).len());
}

/// The engine has no users where it is alone.
#[test]
fn who_we_are_is_in_the_environment() {
    let (cluster, desk) = (Cluster::start(Engine::Debian, 1), Desk::new());
    cluster.make_tables();
    let ngrok = capture("ngrok.pcap");
    let url = cluster.url(0);
    let run = |password: &str| {
        desk.command(&[
            "replay",
            ngrok.to_str().unwrap(),
            "--rows",
            "none",
            "--events",
            &url,
        ])
        .env("DNSTERRIER_CLICKHOUSE_USER", "sensor")
        .env("DNSTERRIER_CLICKHOUSE_PASSWORD", password)
        .output()
        .unwrap()
    };
    let refused = run("wrong");
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("takes nothing from us"),
        "{}",
        stderr(&refused)
    );
    succeeds(&run("s3cret"));
}
