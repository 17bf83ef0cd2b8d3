//! Sigma rules as somebody has them who has many.

use serde_json::Value;

use super::{capture, json, out};
use crate::common::{dnsterrier, file, stderr};

fn path(name: &str) -> String {
    file("tests/sigma").join(name).to_str().unwrap().to_owned()
}

#[test]
fn rules_of_every_public_kind_are_taken() {
    let folder = file("tests/sigma");
    let text = out(&["rules", "check", folder.to_str().unwrap()]);
    let lines: Vec<&str> = text.lines().collect();
    let [note, total] = lines.as_slice() else {
        panic!("{text}")
    };
    assert!(
        note.starts_with("note: ")
            && note.contains("dns_query_windows.yml:13:5: no packet shows `Image`"),
        "{text}"
    );
    assert_eq!(*total, "17 rules, no mistakes");
}

#[test]
fn rules_that_a_correlation_looks_at_make_no_rows_of_their_own() {
    let capture = capture("ngrok.pcap");
    let sigma = path("ngrok.yml");
    let rules = |rows: &[Value]| {
        let mut names = super::values(rows, "rule");
        names.sort();
        names.dedup();
        names
    };
    let given = json(&[&capture, "--no-embedded", "--rules", &sigma]);
    assert_eq!(rules(&given), ["Ngrok as Sigma Has It"]);
    // Both with `generate`.
    let folder = tempfile::tempdir().unwrap();
    let both = folder.path().join("both.yml");
    let text = std::fs::read_to_string(&sigma).unwrap();
    std::fs::write(&both, text.replace("tags:\n", "generate: true\ntags:\n")).unwrap();
    let given = json(&[&capture, "--no-embedded", "--rules", both.to_str().unwrap()]);
    assert_eq!(
        rules(&given),
        [
            "Lookup of a Name of the ngrok Reverse Proxy",
            "Ngrok as Sigma Has It"
        ]
    );
}

#[test]
fn a_mistake_in_a_sigma_rule_is_named_and_ends_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.yml");
    let text = std::fs::read_to_string(path("ngrok.yml")).unwrap();
    std::fs::write(
        &bad,
        text.replace("    query:\n", "    qeury:\n")
            .replace("- ngrok_lookup", "- ngrok_lokup"),
    )
    .unwrap();
    let output = dnsterrier(["rules", "check", bad.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("bad.yml:10:5: `qeury` is nothing that an event has"),
        "{}",
        stderr(&output)
    );
}
