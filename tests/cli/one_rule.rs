//! One rule from three kinds of file, ours, Splunk's and Sigma's: the same rows, and those of the oracle.

use std::path::Path;

use serde_json::Value;

use super::{RULE, capture, captures, json};
use crate::common::{file, json_lines};

/// The name that the rule has in each of the files, and the file; ours is embedded.
const FORMS: [(&str, &str); 4] = [
    ("Ngrok names with tags", "tests/splunk/ngrok-tags.yml"),
    ("Ngrok names with rba", "tests/splunk/ngrok-rba.yml"),
    (
        "Ngrok names with findings",
        "tests/splunk/ngrok-findings.yml",
    ),
    ("Ngrok as Sigma Has It", "tests/sigma/ngrok.yml"),
];

fn path(name: &str) -> String {
    file(name).to_str().unwrap().to_owned()
}

/// The records of a run of one rule, without its name, and without the ids, which are of the name too.
fn unnamed(name: &str, arguments: &[&str]) -> Vec<Value> {
    let mut records = json(&[arguments, &["--rule", name, "--sensor", "s"]].concat());
    for record in &mut records {
        let record = record.as_object_mut().unwrap();
        assert_eq!(record.shift_remove("rule").unwrap(), name);
        assert!(record.shift_remove("event_id").unwrap().is_string());
    }
    records
}

/// The rows that tshark and a plain reading of the rule make of a capture (`scripts/expected-rows`).
fn expected(capture: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(capture.with_extension("rows.jsonl")).unwrap();
    let mut rows = json_lines(&text);
    for row in &mut rows {
        let row = row.as_object_mut().unwrap();
        assert_eq!(row.remove("rule").unwrap(), RULE);
        row.insert("sensor".to_owned(), "s".into());
    }
    rows
}

#[test]
fn every_form_of_the_rule_gives_the_rows_of_the_oracle() {
    for capture in captures() {
        let expected = expected(&capture);
        assert!(!expected.is_empty());
        let of = capture.to_str().unwrap();
        assert_eq!(unnamed(RULE, &[of]), expected, "{of}");
        for (name, form) in FORMS {
            let theirs = unnamed(name, &["--no-embedded", "--rules", &path(form), of]);
            assert_eq!(theirs, expected, "{form}, {of}");
        }
    }
}

/// Splunk's files without a schedule, and Sigma's, are searched as ours says that it is.
#[test]
fn every_form_of_the_rule_has_the_same_windows() {
    let capture = capture("ngrok.pcap");
    for window in ["10s", "1h", "schedule"] {
        let arguments = [&capture, "--window", window];
        let ours = unnamed(RULE, &arguments);
        assert!(ours.iter().all(|row| row["window"].is_string()), "{window}");
        for (name, form) in FORMS {
            let form = ["--no-embedded", "--rules", &path(form)];
            let theirs = unnamed(name, &[&arguments[..], &form].concat());
            assert_eq!(theirs, ours, "{name}, {window}");
        }
    }
}

/// The rule as its later versions have it, of Splunk's file and of ours: seven `by` fields, a score of 20. `tests/splunk.rs`
/// has its rows from the oracle.
#[test]
fn the_later_form_needs_only_the_other_file() {
    let capture = capture("ngrok.pcap");
    let later = ["--rules", &path("tests/splunk/ngrok-later.yml")];
    let ours = format!("{RULE}, later form");
    let rows = unnamed("Ngrok names later", &[&[&*capture], &later[..]].concat());
    assert_eq!(rows.len(), 58);
    assert_eq!(rows, unnamed(&ours, &[&capture]));
    let keys: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "answer",
            "answer_count",
            "query",
            "query_count",
            "reply_code_id",
            "src",
            "vendor_product",
            "count",
            "firstTime",
            "lastTime",
            "window",
            "sensor"
        ]
    );
    let scores = |name: &str, rules: &[&str]| {
        let risk = [&capture, "--rows", "none", "--risk", "-", "--quiet"];
        let events = super::out(&[&risk[..], &["--rule", name], rules].concat());
        let events = json_lines(&events);
        super::values(&events, "risk_score")
    };
    // One for each of the hosts.
    let hosts: std::collections::BTreeSet<&str> = rows
        .iter()
        .map(|row| row["src"].as_str().unwrap())
        .collect();
    let all = |score: &str| vec![score.to_owned(); hosts.len()];
    assert_eq!(scores("Ngrok names later", &later), all("20"));
    assert_eq!(scores(&ours, &[]), all("20"));
    assert_eq!(scores(RULE, &[]), all("50"));
}
