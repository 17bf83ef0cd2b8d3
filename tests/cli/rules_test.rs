//! `rules test`: what passes, what fails, what is said of it.

use std::path::Path;

use super::{captures, dnsterrier, file, stderr, stdout};

/// A folder with one rule file and one capture beside it.
fn folder(rules: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("own.yaml"), rules).unwrap();
    std::fs::copy(
        file("captures/ngrok-raw.pcap"),
        folder.path().join("a.pcap"),
    )
    .unwrap();
    folder
}

fn test(folder: &Path) -> std::process::Output {
    dnsterrier(["rules", "test", folder.to_str().unwrap()])
}

/// Every embedded rule says of one row at least that it must be, and of one that it must not, and all of that holds.
#[test]
fn the_embedded_rules_pass_and_each_has_both_kinds_of_row() {
    let said = stdout(&dnsterrier(["rules", "test"]));
    let count = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(
        said.ends_with(&format!(
            "{count} tests passed, 0 failed; 0 rules without tests\n"
        )),
        "{said}"
    );
    let rules = dnsterrier::rule::embedded().unwrap();
    assert!(rules.len() >= 6 && count >= rules.len(), "{said}");
    for rule in &rules {
        let has = |what: fn(&dnsterrier::rule::Trial) -> bool| rule.trials.iter().any(what);
        assert!(
            has(|trial| !trial.rows.is_empty()),
            "{} must give no row",
            rule.name
        );
        assert!(
            has(|trial| !trial.not.is_empty()),
            "{} may give every row",
            rule.name
        );
    }
}

/// The same from the files beside which the captures lie.
#[test]
fn the_packs_pass_as_files_too() {
    let rules = file("rules");
    let said = stdout(&dnsterrier(["rules", "test", rules.to_str().unwrap()]));
    assert_eq!(
        said.lines().count(),
        stdout(&dnsterrier(["rules", "test"])).lines().count()
    );
}

#[test]
fn a_rule_that_gives_other_rows_fails_and_both_are_shown() {
    let folder = folder(
        "name: R\nwhere: { query: [\"*.ngrok.io\", \"*.ngrok.com\"] }\ntests:\n  - capture: a.pcap\n    exact: true\n    rows:\n      - { query: abc123.ngrok.io, count: 1 }\n      - { query: abc123.ngrok.io, count: 1 }\n    not: [{ query: nosuch.ngrok.io }]\n  - { capture: a.pcap, rows: [{ query: nosuch.ngrok.io, answer: unknown }] }\n---\nname: S\ndomain: a.example\n",
    );
    let output = test(folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "dnsterrier: 1 of 2 tests failed\n");
    let said = String::from_utf8(output.stdout).unwrap();
    for part in [
        "FAILED  R: a.pcap (",
        "own.yaml:4)\n    missing, line 8: query: abc123.ngrok.io, count: 1\n",
        "    found: src: 10.9.7.2, query: abc123.ngrok.io, count: 1, ",
        "    must not be, line 9: src: 10.9.7.2, query: nosuch.ngrok.io, ",
        "    too many: src: fd00:9:7::2, query: demo.ngrok.io, ",
        "ok      R: a.pcap (",
        "none    S: no tests\n",
        "1 test passed, 1 failed; 1 rule without tests\n",
    ] {
        assert!(said.contains(part), "'{part}' is not in {said}");
    }
}

/// Disabled rules are tested; a capture in the rule does as well as one beside it.
#[test]
fn a_capture_in_the_rule() {
    let bytes = std::fs::read(file("captures/ngrok-raw.pcap")).unwrap();
    let pcap = data_encoding::BASE64.encode(&bytes);
    let folder = folder(&format!(
        "name: R\nenabled: false\ndomain: ngrok.io\nby: [query]\ntests:\n  - pcap: |\n      {pcap}\n    rows: [{{ query: abc123.ngrok.io, answer: 3.134.39.220 }}]\n"
    ));
    assert!(stdout(&test(folder.path())).starts_with("ok      R: the capture in it ("));
}

/// A capture that is not there is a mistake of the rule file, found before anything runs; one that is none is a failure.
#[test]
fn captures_that_cannot_be_read() {
    let folder = folder(
        "name: R\ndomain: a.example\ntests:\n  - { capture: a.pcap, exact: true, rows: [] }\n  - { capture: gone.pcap, exact: true }\n",
    );
    let output = test(folder.path());
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty());
    let said = stderr(&output);
    assert!(
        said.contains("own.yaml:5:16: the capture ") && said.contains("gone.pcap cannot be read"),
        "{said}"
    );
    std::fs::write(folder.path().join("gone.pcap"), "no capture").unwrap();
    let output = test(folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("not a capture file"));
}

/// The trial of a rule is `replay --rule`: the same rows.
#[test]
fn a_test_gives_the_rows_of_replay() {
    let rule = "Ngrok Reverse Proxy on Network";
    for capture in captures() {
        let memory = std::sync::Arc::default();
        let rules = dnsterrier::rule::embedded().unwrap();
        let found = rules.into_iter().find(|found| found.name == rule).unwrap();
        let input = dnsterrier::capture::Input::Memory {
            name: "memory".into(),
            bytes: std::fs::read(&capture).unwrap().into(),
        };
        let run = dnsterrier::config::trial(found, input, std::sync::Arc::clone(&memory)).unwrap();
        let report = run.run(&dnsterrier::pipeline::Signals::default());
        assert!(report.inputs.is_empty());
        let replayed = stdout(&dnsterrier([
            "replay",
            capture.to_str().unwrap(),
            "--rule",
            rule,
            "--format",
            "jsonl",
            "-q",
        ]));
        let tested = String::from_utf8(memory.lock().unwrap().clone()).unwrap();
        assert!(!tested.is_empty());
        assert_eq!(tested, replayed, "{}", capture.display());
    }
}

#[test]
fn the_list_says_why_a_rule_is_on_or_off() {
    let list = |more: &[&str]| stdout(&dnsterrier([&["rules", "list"], more].concat()));
    let said = list(&[]);
    let line = |name: &str, said: &str| {
        let found = said.lines().find(|line| line.contains(name));
        found.unwrap_or_default().to_owned()
    };
    assert!(line("ngrok agent runs here", &said).starts_with("on   by default "));
    assert!(line("A custom domain leads to ngrok", &said).starts_with("off  enabled: false "));
    assert!(said.contains("--rule NAME"));
    let said = list(&["--rule", "a custom domain leads to ngrok"]);
    assert!(line("A custom domain leads to ngrok", &said).starts_with("on   named "));
    assert!(line("ngrok agent runs here", &said).starts_with("off  not named "));
}
