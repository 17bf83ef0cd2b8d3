//! The user's own exceptions of rules: `--filters`.

use serde_json::{Value, json};

use super::{RULE, capture, common::json_lines, dnsterrier, file, json as run, out, stderr};

/// A folder with a file of that text.
fn filters(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.yaml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

const TWO: &str = "rule: Ngrok Reverse Proxy on Network
where: { src: 10.9.0.12, query: \"*.ngrok.io\" }
owner: network team
reason: The build server shows its pages.
expires: 2027-01-31
---
filter: ngrok_reverse_proxy_on_network_filter
where: { src: 10.9.0.11 }
owner: j.doe
reason: A test of last year.
expires: 2026-11-24
";

/// The rows are those of the oracle but for what was taken away; what expired takes nothing away, and it is said.
#[test]
fn hits_are_taken_away_and_counted() {
    let (folder, path) = filters(TWO);
    let stats = folder.path().join("stats.json");
    let capture = capture("ngrok.pcap");
    let arguments = [
        &capture,
        "--rule",
        RULE,
        "--format",
        "jsonl",
        "--filters",
        &path,
        "--stats",
        stats.to_str().unwrap(),
    ];
    let output = dnsterrier(arguments);
    let rows = json_lines(&super::stdout(&output));
    let keys = |rows: &[Value]| -> Vec<[Value; 4]> {
        rows.iter()
            .map(|row| ["src", "query", "answer", "count"].map(|name| row[name].clone()))
            .collect()
    };
    let oracle = std::fs::read_to_string(file("captures/ngrok.rows.jsonl")).unwrap();
    let (away, stay): (Vec<Value>, Vec<Value>) = json_lines(&oracle).into_iter().partition(|row| {
        row["src"] == "10.9.0.12" && row["query"].as_str().unwrap().ends_with(".ngrok.io")
    });
    assert_eq!(keys(&rows), keys(&stay));
    assert!(!away.is_empty());

    let said = stderr(&output);
    let expired = format!(
        "warning: the filter {path}:7 of 'ngrok_reverse_proxy_on_network_filter' expired on 2026-11-24 and filters no longer; \
         j.doe answers for it (A test of last year.)\n"
    );
    assert_eq!(said.matches(&expired).count(), 1, "{said}");
    assert!(
        said.contains(&format!(
            "hits since 2026-11-24 that the filter {path}:7 would have removed"
        )),
        "{said}"
    );
    assert!(said.contains("6 hits removed by 1 filter."), "{said}");
    let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    let of = &stats["filters"];
    assert_eq!(of["removed"], 6);
    assert_eq!(of["filters"][0]["removed"], 6);
    assert_eq!(
        (&of["filters"][1]["removed"], &of["filters"][1]["expired"]),
        (&json!(0), &json!(true))
    );
    assert!(of["filters"][1]["passed"].as_u64().unwrap() > 3);
    assert_eq!(
        of["matched"].as_u64().unwrap(),
        6 + stats["rows"]["hits"].as_u64().unwrap()
    );

    // Quiet is quiet.
    let quiet = dnsterrier([&capture, "--filters", &path, "--quiet"]);
    assert_eq!(stderr(&quiet), "");
}

/// What was taken away is no hit and no source, and nobody is accused for having passed it on.
#[test]
fn nothing_speaks_of_what_was_taken_away() {
    let (folder, path) = filters(
        TWO.replace("10.9.0.12, query: \"*.ngrok.io\"", "\"*:13\"")
            .as_str(),
    );
    let folder = folder.path().to_str().unwrap().to_owned();
    let capture = capture("resolver-in-the-middle.pcap");
    for stream in ["--hits", "--sources", "--risk"] {
        // The folder stands for its files.
        for filters in [&path, &folder] {
            let records = run(&[
                &capture,
                "--rows",
                "none",
                stream,
                "-",
                "--filters",
                filters,
            ]);
            assert!(!records.is_empty());
            assert!(
                records.iter().all(|record| record["src"] != "fd00:9::13"),
                "{stream}"
            );
        }
    }
    let risk = run(&[
        &capture,
        "--rows",
        "none",
        "--risk",
        "-",
        "--filters",
        &path,
    ]);
    let sources: Vec<&str> = risk
        .iter()
        .map(|event| event["src"].as_str().unwrap())
        .collect();
    assert_eq!(sources, ["10.9.0.11", "10.9.0.12", "10.9.0.15"]);
    // The resolver's own rows stay: they are no hits of that host.
    let rows = out(&[&capture, "--format", "jsonl", "-q", "--filters", &path]);
    assert!(rows.contains(r#""src":"10.9.1.53","query":"custom.ngrok.io""#));
}

#[test]
fn a_hunt_has_filters_too() {
    let (_folder, path) = filters(&TWO.replace("Ngrok Reverse Proxy on Network", "hunt"));
    let capture = capture("ngrok.pcap");
    let hunt = |more: &[&str]| run(&[&[capture.as_str(), "--name", "ngrok.io"], more].concat());
    let rows = hunt(&["--filters", &path]);
    assert!(hunt(&[]).iter().any(|row| row["src"] == "10.9.0.12"));
    assert!(rows.iter().all(|row| row["src"] != "10.9.0.12"));
}

#[test]
fn mistakes_have_their_place() {
    let (_folder, path) = filters(
        &TWO.replace("rule: Ngrok", "rule: Ngork")
            .replace("src: 10.9.0.11", "sorce: a"),
    );
    let output = dnsterrier([&capture("ngrok.pcap"), "--filters", &path]);
    assert_eq!(output.status.code(), Some(3));
    let said = stderr(&output);
    assert!(
        said.contains(&format!(
            "{path}:8:10: `sorce` in where is no field of an event; did you mean `source`"
        )),
        "{said}"
    );
    let (_folder, path) = filters(&TWO.replace("rule: Ngrok", "rule: Ngork"));
    let output = dnsterrier([&capture("ngrok.pcap"), "--filters", &path]);
    assert_eq!(output.status.code(), Some(3));
    let said = stderr(&output);
    assert!(
        said.contains(&format!(
            "{path}:1:7: there is no rule 'Ngork Reverse Proxy on Network'; did you mean `Ngrok Reverse Proxy on Network`?"
        )),
        "{said}"
    );
}
