//! Splunk's own detection files, in each of their schemas: the rows that they give over a capture, and what becomes of them.
//!
//! What they must give is in `tests/splunk/expected.jsonl`, by tshark and a plain reading of the searches
//! (`scripts/expected-splunk`).

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

use common::{dnsterrier, file, json_lines, stderr, stdout};
use serde_json::Value;

fn path(name: &str) -> String {
    file(name).to_str().unwrap().to_owned()
}

/// The rows of the capture, without what only a run knows.
fn rows(arguments: &[&str]) -> Vec<Value> {
    let capture = path("captures/ngrok.pcap");
    let common = [capture.as_str(), "--quiet", "--format", "jsonl"];
    let output = dnsterrier([&common, arguments].concat());
    let mut rows = json_lines(&stdout(&output));
    for row in &mut rows {
        for key in ["window", "sensor", "event_id"] {
            assert!(row.as_object_mut().unwrap().remove(key).is_some());
        }
    }
    rows
}

/// Rows in an order that all agree on; numbers of a row may be printed as text.
fn sorted(rows: Vec<Value>) -> Vec<String> {
    let mut lines: Vec<String> = rows
        .into_iter()
        .map(|row| {
            let row: std::collections::BTreeMap<String, Value> =
                serde_json::from_value(row).unwrap();
            serde_json::to_string(&row).unwrap()
        })
        .collect();
    lines.sort();
    lines
}

fn file_of_expected() -> std::path::PathBuf {
    file("tests/splunk/expected.jsonl")
}

fn expected(rule: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(file_of_expected()).unwrap();
    let mut rows = json_lines(&text);
    rows.retain(|row| row["rule"] == rule);
    assert!(!rows.is_empty(), "{rule}");
    rows
}

#[test]
fn its_later_form_needs_only_the_other_file() {
    let theirs = rows(&[
        "--rules",
        &path("tests/splunk/ngrok-later.yml"),
        "--no-embedded",
    ]);
    assert_eq!(sorted(theirs), sorted(expected("Ngrok names later")));
    let text = stdout(&dnsterrier([
        "rules".to_owned(),
        "import".to_owned(),
        path("tests/splunk/ngrok-later.yml"),
    ]));
    assert!(
        text.contains("objects: [{ field: src, type: system, score: 20 }]"),
        "{text}"
    );
}

#[test]
fn searches_in_the_style_of_the_published_ones_give_the_rows_of_the_oracle() {
    let file = path("tests/splunk/styles.yml");
    for rule in [
        "Marshalled names",
        "Text records",
        "Failures",
        "Every query",
        "Neither names of addresses nor of services",
        "Many names asked for",
        "Many lookups of one type",
    ] {
        let theirs = rows(&["--rules", &file, "--no-embedded", "--rule", rule]);
        assert_eq!(sorted(theirs), sorted(expected(rule)), "{rule}");
    }
}

/// Every client of this capture asks one resolver.
#[test]
fn a_threshold_that_nobody_reaches_leaves_no_row() {
    let file = path("tests/splunk/styles.yml");
    let rule = "Clients of several resolvers";
    let theirs = rows(&["--rules", &file, "--no-embedded", "--rule", rule]);
    let text = std::fs::read_to_string(file_of_expected()).unwrap();
    assert_eq!(theirs.len(), text.matches(rule).count());
}

/// What `rules import` prints is a rule file that gives the same rows.
#[test]
fn an_imported_rule_is_the_same_rule() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "ngrok-tags",
        "ngrok-rba",
        "ngrok-findings",
        "ngrok-later",
        "styles",
    ] {
        let theirs = path(&format!("tests/splunk/{name}.yml"));
        let text = stdout(&dnsterrier(["rules", "import", &theirs]));
        let ours = folder.path().join(format!("{name}.yaml"));
        std::fs::write(&ours, &text).unwrap();
        let ours = ours.to_str().unwrap();
        let given = rows(&["--rules", ours, "--no-embedded"]);
        assert!(!given.is_empty());
        assert_eq!(
            given,
            rows(&["--rules", &theirs, "--no-embedded"]),
            "{text}"
        );
        // What is imported once more stays as it is, but for the comments.
        let again = stdout(&dnsterrier(["rules", "import", ours]));
        let without: String = text
            .split_inclusive('\n')
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert_eq!(again, without);
    }
}

#[test]
fn a_deprecated_detection_is_loaded_and_off() {
    let list = stdout(&dnsterrier([
        "rules",
        "list",
        "--no-embedded",
        "--rules",
        &path("tests/splunk/styles.yml"),
    ]));
    let off: Vec<&str> = list
        .lines()
        .filter(|line| line.starts_with("off"))
        .collect();
    assert!(off.len() == 1 && off[0].contains("Every query"), "{list}");
    assert!(list.lines().filter(|line| line.starts_with("on ")).count() > 5);
}

#[test]
fn what_is_not_understood_is_named_at_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.yml");
    let text = std::fs::read_to_string(path("tests/splunk/ngrok-rba.yml")).unwrap();
    let text = text.replace(
        "    | `drop_dm_object_name(DNS)`\n",
        "    | `drop_dm_object_name(DNS)`\n    | eval length=len(query)\n    | join own_list\n",
    );
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let output = dnsterrier(["rules", "check", file]);
    assert_eq!(output.status.code(), Some(3));
    let said = stderr(&output);
    assert!(
        said.contains(&format!(
            "{file}:16:7: search: 'eval length=len(query)' was not understood"
        )) && said.contains(&format!("{file}:17:7: search: 'join own_list'")),
        "{said}"
    );
    assert_eq!(dnsterrier(["rules", "import", file]).status.code(), Some(3));
}
