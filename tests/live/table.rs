//! What a person in front of a live run sees.

use std::io::Write;
use std::process::Stdio;

use crate::lab::Lab;
use crate::running::Running;

const ARGUMENTS: [&str; 3] = ["sniff", "-i", "eth0"];

/// Each new rule, source and name is a line at once; the table comes at the end.
#[test]
fn a_new_name_is_a_line_at_once() {
    let Some(lab) = Lab::pair() else { return };
    let live = lab.listen("c", &ARGUMENTS);
    lab.dig("c", &["@10.9.5.2", "first.ngrok.io"]);
    let line = live.wait_for_out("first.ngrok.io");
    assert!(
        line.contains("Ngrok Reverse Proxy") && line.contains("10.9.5.1"),
        "{line}"
    );
    assert!(!line.contains("FIRST"), "the table is for the end: {line}");
    lab.dig("c", &["@10.9.5.2", "first.ngrok.io"]);
    lab.dig("c", &["@10.9.5.2", "second.ngrok.io"]);
    let lines = live.wait_for_out("second.ngrok.io");
    assert_eq!(
        lines.matches("first.ngrok.io").count(),
        1,
        "known already: {lines}"
    );

    live.signal("USR1");
    let err = live.wait_for_err("second.ngrok.io");
    let row = err
        .lines()
        .find(|line| line.contains("first.ngrok.io"))
        .unwrap();
    assert!(
        row.split_whitespace().any(|word| word == "2"),
        "two lookups so far: {row}"
    );
    assert!(err.contains("FIRST (UTC)"), "{err}");

    let ended = live.end_by("INT").with_status(0);
    let table = &ended.out[lines.len()..];
    assert!(table.contains("FIRST (UTC)"), "{table}");
    assert_eq!(table.matches("first.ngrok.io").count(), 1, "{table}");
    assert_eq!(table.matches("second.ngrok.io").count(), 1, "{table}");
}

/// Of a rule with thresholds one lookup is nothing yet.
#[test]
fn a_rule_with_thresholds_shows_its_rows_alone() {
    let Some(lab) = Lab::pair() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.yaml");
    let rule = "name: many\ndomain: ngrok.io\nby: [src]\nhaving: { count: { '>': 1 } }\n";
    std::fs::write(&path, rule).unwrap();
    let path = path.to_str().unwrap();
    let live = lab.listen("c", &[&ARGUMENTS[..], &["--rules", path]].concat());
    lab.dig("c", &["@10.9.5.2", "first.ngrok.io"]);
    lab.dig("c", &["@10.9.5.2", "second.ngrok.io"]);
    // The embedded rule shows both.
    let lines = live.wait_for_out("second.ngrok.io");
    let ended = live.end_by("INT").with_status(0);
    assert!(!lines.contains("many"), "{lines}");
    let table = &ended.out[lines.len()..];
    assert_eq!(table.matches("many").count(), 1, "{table}");
}

/// On a terminal, where Ctrl-C is a key.
#[test]
fn on_a_terminal() {
    let Some(lab) = Lab::pair() else { return };
    // The shell between would take Ctrl-C too, and end with a status of its own.
    let program = format!("exec {} {}", lab.program(), ARGUMENTS.join(" "));
    let mut command = lab.on(
        "c",
        &[
            "script",
            "--quiet",
            "--flush",
            "--return",
            "--command",
            &program,
            "/dev/null",
        ],
    );
    command
        .stdin(Stdio::piped())
        .env("TERM", "xterm")
        .env_remove("NO_COLOR");
    let mut live = Running::start(command);
    // A terminal has one output for both.
    live.wait_for_out("listening on");
    lab.dig("c", &["@10.9.5.2", "first.ngrok.io"]);
    let before = live.wait_for_out("first.ngrok.io");
    assert!(!before.contains("FIRST"), "{before}");
    live.stdin().write_all(b"\x03").unwrap();
    let ended = live.end().with_status(0);
    let rest = &ended.out[before.len()..];
    assert!(
        rest.contains("FIRST (UTC)") && rest.contains("1 source, 1 lookup"),
        "{rest}"
    );
}

/// Machines get rows only, not the lines for people.
#[test]
fn json_lines_are_json_lines_only() {
    let Some(lab) = Lab::pair() else { return };
    let live = lab.listen(
        "c",
        &["sniff", "-i", "eth0", "--format", "jsonl", "--hits", "-"],
    );
    lab.dig("c", &["@10.9.5.2", "first.ngrok.io"]);
    let hit = live.wait_for_out("first.ngrok.io");
    assert!(hit.starts_with("{\"stream\":\"hits\""), "{hit}");
    let ended = live.end_by("INT").with_status(0);
    let streams: Vec<String> = crate::common::json_lines(&ended.out)
        .iter()
        .map(|record| record["stream"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(streams, ["hits", "rows"]);
}
