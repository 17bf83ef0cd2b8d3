//! Sigma rules as somebody has them who has many.

use serde_json::Value;

use super::{capture, json, out};
use crate::common::{dnsterrier, file, json_lines, stderr};

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

/// What `rules import` prints is a rule file that gives the same hits.
#[test]
fn an_imported_rule_is_the_same_rule() {
    let folder = tempfile::tempdir().unwrap();
    let captures = ["ngrok.pcap", "packs/resolution.pcap", "packs/tunnels.pcap"].map(capture);
    let captures: Vec<&str> = captures.iter().map(String::as_str).collect();
    let mut all = 0;
    for name in [
        "network_dns.yml",
        "zeek_dns.yml",
        "dns_windows.yml",
        "dns_query_windows.yml",
    ] {
        let text = out(&["rules", "import", &path(name)]);
        let ours = folder.path().join(name);
        std::fs::write(&ours, &text).unwrap();
        let run = |rules: &str| {
            let hits = folder.path().join("hits.jsonl");
            let hits = hits.to_str().unwrap();
            let places = ["--rows", "none", "--hits", hits, "--quiet"];
            let rules = ["--no-embedded", "--rules", rules];
            out(&[&captures, &rules[..], &places[..]].concat());
            json_lines(&std::fs::read_to_string(hits).unwrap())
        };
        let given = run(ours.to_str().unwrap());
        assert_eq!(given, run(&path(name)), "{text}");
        all += given.len();
    }
    assert_eq!(all, 7);
    let text = out(&["rules", "import", &path("dns_query_windows.yml")]);
    assert!(
        text.starts_with("# line 13: no packet shows `Image`"),
        "{text}"
    );
}

#[test]
fn what_our_own_form_cannot_say_is_named() {
    let output = dnsterrier(["rules", "import", &path("ngrok.yml")]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains(&format!(
            "{}:18: 'Ngrok as Sigma Has It' cannot be said in our own form: it looks at what other rules found",
            path("ngrok.yml")
        )),
        "{said}"
    );
}

/// A correlation that computes a number has it in its rows, over the hits of each.
#[test]
fn what_a_correlation_computes_is_in_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sum.yml");
    let text = std::fs::read_to_string(path("ngrok.yml")).unwrap();
    let capture = capture("ngrok.pcap");
    let lookups = json(&[
        &capture,
        "--hits",
        "-",
        "--rows",
        "none",
        "--rule",
        super::RULE,
    ]);
    for (kind, is_mean) in [("value_sum", false), ("value_avg", true)] {
        let condition = "    field: answer_count\n    gte: 0\n";
        let text = text
            .replace("event_count", kind)
            .replace("    gte: 1\n", condition)
            .replace("    - query\n    - answer\n", "");
        std::fs::write(&file, text).unwrap();
        let rules = ["--no-embedded", "--rules", file.to_str().unwrap()];
        let rows = json(&[&[&*capture], &rules[..]].concat());
        assert_eq!(rows.len(), 10);
        for row in rows {
            let counts: Vec<f64> = lookups
                .iter()
                .filter(|lookup| lookup["src"] == row["src"])
                .map(|lookup| lookup["answer_count"].as_f64().unwrap())
                .collect();
            assert_eq!(row["count"], counts.len());
            let sum: f64 = counts.iter().sum();
            let expected = if is_mean {
                sum / counts.len() as f64
            } else {
                sum
            };
            assert!(
                (row["value"].as_f64().unwrap() - expected).abs() < 1e-6,
                "{row}"
            );
        }
    }
}
