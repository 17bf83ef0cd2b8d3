//! The program as a user of tcpdump, Zeek or Splunk types it: what goes to standard output, to standard error and to files,
//! and the exit status.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test may fail: that is what it is for"
)]
#![recursion_limit = "256"] // An event whole, in one `json!`.

#[path = "cli/aggregate.rs"]
mod aggregate;
#[path = "cli/assets.rs"]
mod assets;
#[path = "cli/compressed.rs"]
mod compressed;
#[path = "cli/encrypted.rs"]
mod encrypted;
#[path = "cli/errors.rs"]
mod errors;
#[path = "cli/events.rs"]
mod events;
#[path = "cli/filters.rs"]
mod filters;
#[path = "cli/link_types.rs"]
mod link_types;
#[path = "cli/lookups.rs"]
mod lookups;
#[path = "cli/messages.rs"]
mod messages;
#[path = "cli/navigator.rs"]
mod navigator;
#[path = "cli/one_rule.rs"]
mod one_rule;
#[cfg(feature = "parquet")]
#[path = "cli/parquet.rs"]
mod parquet;
#[path = "cli/risk.rs"]
mod risk;
#[path = "cli/roles.rs"]
mod roles;
#[path = "cli/rules_test.rs"]
mod rules_test;
#[path = "cli/sigma.rs"]
mod sigma;
#[path = "cli/visible.rs"]
mod visible;
#[path = "cli/windows.rs"]
mod windows;

mod common;
#[path = "common/pcap.rs"]
mod pcap;

use std::process::{Command, Stdio};

use common::{PROGRAM, captures, dnsterrier, dnsterrier_reading, file, json_lines, stderr, stdout};
use serde_json::Value;

const RULE: &str = "Ngrok Reverse Proxy on Network";

/// A committed capture.
fn capture(name: &str) -> String {
    file("captures").join(name).to_str().unwrap().to_owned()
}

/// What goes to standard output, of a run that went well.
fn out(arguments: &[&str]) -> String {
    stdout(&dnsterrier(arguments))
}

/// The same without totals, as JSON.
fn json(arguments: &[&str]) -> Vec<Value> {
    json_lines(&out(
        &[arguments, &["--format", "jsonl", "--quiet"]].concat()
    ))
}

/// The values of a field of records.
fn values(records: &[Value], field: &str) -> Vec<String> {
    records
        .iter()
        .map(|record| match &record[field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
        .collect()
}

#[test]
fn a_capture_gives_a_table_and_totals() {
    let output = dnsterrier([capture("vlan.pcap")]);
    let table = stdout(&output);
    let words: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        words[0],
        [
            "RULE", "SRC", "NAME", "ANSWER", "OUTCOME", "VIA", "N", "FIRST", "(UTC)", "PACKET"
        ]
    );
    assert_eq!(
        words[1][5..],
        [
            "10.9.2.21",
            "abc123.ngrok.io",
            "3.134.39.220",
            "resolved",
            "10.9.2.53",
            "1",
            "2026-11-24T14:11:19Z",
            "1"
        ]
    );
    // The rows that captures/vlan.md promises, and nothing else.
    assert_eq!(words.len(), 1 + 12);
    assert!(!table.contains('\u{1b}'), "no colours in a pipe");
    let totals = stderr(&output);
    assert!(
        totals.starts_with(
            "2 sources, 8 lookups of 10 by 2 clients in 0.2 s; 100.0 % answered; 0 packets dropped, 0 copies counted once.\n"
        ),
        "{totals}"
    );
    assert!(
        totals.contains("36 packets received, every one accounted for: 16 udp, 20 tcp."),
        "{totals}"
    );
}

#[test]
fn the_ways_to_name_a_capture_are_one() {
    let path = capture("ngrok.pcap");
    let plain = out(&[&path]);
    assert!(plain.lines().count() > 50);
    for arguments in [
        &["replay", &path][..],
        &["-r", &path],
        &["--read", &path],
        &["-q", "-r", &path],
        &["replay", "-r", &path],
    ] {
        assert_eq!(out(arguments), plain, "{arguments:?}");
    }
    let bytes = std::fs::read(&path).unwrap();
    for arguments in [&["-"][..], &["replay", "-"], &["-r", "-"]] {
        assert_eq!(
            stdout(&dnsterrier_reading(&bytes, arguments)),
            plain,
            "{arguments:?}"
        );
    }
}

#[test]
fn after_a_capture_to_read_comes_a_filter() {
    let path = capture("ngrok.pcap");
    // Of the ten TCP packets' two messages one lookup is left out: tunnel.jp.ngrok.com.
    let all = values(&json(&[&path]), "query");
    let expected: Vec<String> = all
        .into_iter()
        .filter(|name| name != "tunnel.jp.ngrok.com")
        .collect();
    for arguments in [
        &["-r", &path, "udp port 53"][..],
        &["-r", &path, "udp", "port", "53"],
        &["replay", &path, "-f", "udp port 53"],
        &["replay", &path, "--filter", "udp port 53"],
    ] {
        assert_eq!(values(&json(arguments), "query"), expected, "{arguments:?}");
    }
    let of_one = json(&["-r", &path, "host 10.9.0.11"]);
    assert!(values(&of_one, "src").iter().all(|src| src == "10.9.0.11"));
    assert_eq!(of_one.len(), 5);
    // A second file after -r is a mistake that tcpdump's users make.
    let output = dnsterrier(["-r", &path, &path]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("is a file; for several files write: dnsterrier replay FILE FILE")
    );
}

#[test]
fn several_files_and_folders_are_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a.pcap", "b.pcapng", "c.dmp"];
    for (from, to) in ["vlan.pcap", "ngrok.pcapng", "tcp.pcap"].iter().zip(names) {
        std::fs::copy(capture(from), folder.path().join(to)).unwrap();
    }
    std::fs::write(folder.path().join("README.md"), "Not a capture.").unwrap();
    std::fs::create_dir(folder.path().join("older")).unwrap();
    let paths = names.map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let arguments: Vec<&str> = paths.iter().map(String::as_str).collect();
    let rows = out(&arguments);
    // A folder stands for its captures in name order.
    assert_eq!(out(&[folder.path().to_str().unwrap()]), rows);
    let sources: Vec<String> = values(
        &json(&[&arguments[..], &["--rows", "none", "--events", "-"]].concat()),
        "source",
    );
    let mut order = sources.clone();
    order.dedup();
    assert!(order.iter().any(|source| *source == paths[1]));
    assert_eq!(
        order
            .iter()
            .map(String::as_str)
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        3,
        "each event names its file"
    );
}

#[test]
fn formats_of_rows_on_standard_output() {
    let path = capture("vlan.pcap");
    let rows = json(&[&path]);
    assert_eq!(rows.len(), 12);
    for (format, delimiter) in [("csv", ","), ("tsv", "\t")] {
        let text = out(&[&path, "--format", format]);
        let header: Vec<&str> = text.lines().next().unwrap().split(delimiter).collect();
        assert_eq!(header[..4], ["rule", "src", "query", "answer"], "{format}");
        assert_eq!(text.lines().count(), 13, "{format}");
    }
    assert_eq!(out(&[&path, "--format", "table"]), out(&[&path]));
}

#[test]
fn streams_go_to_files_by_their_endings() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture("vlan.pcap");
    for stream in ["rows", "hits", "events", "sources"] {
        for ending in ["jsonl", "csv", "tsv", "txt"] {
            let place = folder.path().join(format!("{stream}.{ending}"));
            let place = place.to_str().unwrap();
            let output = dnsterrier([&path, "--rows", "none", &format!("--{stream}"), place]);
            if ending == "txt" && matches!(stream, "hits" | "events") {
                assert_eq!(output.status.code(), Some(2));
                assert!(stderr(&output).contains(&format!("there is no table of {stream}")));
                continue;
            }
            assert_eq!(stdout(&output), "", "all of it is in the file");
            let text = std::fs::read_to_string(place).unwrap();
            let first = text.lines().next().unwrap();
            let begins = match ending {
                "jsonl" => "{\"",
                "txt" if stream == "rows" => "RULE ",
                "txt" => "SRC ",
                _ if stream == "events" => "_time",
                _ if stream == "sources" => "src",
                _ => "rule",
            };
            assert!(first.starts_with(begins), "{place}: {first}");
            let records = match (stream, ending) {
                ("rows", _) => 12,
                ("hits", _) => 8,
                ("events", _) => 10,
                _ => 2,
            };
            let header = usize::from(ending != "jsonl");
            assert_eq!(text.lines().count(), records + header, "{place}");
            assert!(text.ends_with('\n'));
        }
    }
    assert!(
        std::fs::read_dir(folder.path()).unwrap().all(|entry| !entry
            .unwrap()
            .path()
            .to_str()
            .unwrap()
            .ends_with(".partial")),
        "nothing unfinished is left"
    );
    // The same stream in two places.
    let copy = folder.path().join("copy.jsonl");
    let shown = out(&[
        &path,
        "--format",
        "jsonl",
        "--rows",
        "-",
        "--rows",
        copy.to_str().unwrap(),
    ]);
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), shown);
}

#[test]
fn streams_share_standard_output_in_one_format() {
    let path = capture("vlan.pcap");
    for format in ["table", "csv", "tsv"] {
        let output = dnsterrier([&path, "--format", format, "--rows", "-", "--events", "-"]);
        assert_eq!(output.status.code(), Some(2), "{format}");
        assert!(output.stdout.is_empty(), "{format}");
        let says = stderr(&output);
        for part in ["--rows and --events", "--format jsonl", "--rows none"] {
            assert!(says.contains(part), "{part} is not in: {says}");
        }
    }
    let records = json(&[&path, "--rows", "-", "--events", "-"]);
    let streams = values(&records, "stream");
    assert_eq!(
        streams.iter().filter(|stream| *stream == "events").count(),
        10
    );
    assert_eq!(
        streams.iter().filter(|stream| *stream == "rows").count(),
        12
    );
    // Alone it needs no name.
    assert!(
        json(&[&path, "--rows", "none", "--hits", "-"])[0]
            .get("stream")
            .is_none()
    );
}

#[test]
fn how_much_is_said() {
    let path = capture("vlan.pcap");
    let usual = dnsterrier([&path]);
    let quiet = dnsterrier([&path, "--quiet"]);
    assert_eq!(stderr(&quiet), "");
    assert_eq!(stdout(&quiet), stdout(&usual));
    let verbose = dnsterrier([&path, "-v"]);
    let says = stderr(&verbose);
    assert!(says.starts_with(&stderr(&usual)), "{says}");
    for part in [
        "packets: udp 16, tcp 20\n",
        "messages: query 10, response 10\n",
        "transactions: answered 10\n",
        "packets received = outside_time + other_port + handed_on: 36 = 36\n",
    ] {
        assert!(says.contains(part), "{part} is not in: {says}");
    }
    assert_eq!(dnsterrier([&path, "-q", "-v"]).status.code(), Some(2));
}

#[test]
fn statistics_are_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stats.json");
    out(&[
        &capture("ngrok.pcap"),
        "--stats",
        path.to_str().unwrap(),
        "--sensor",
        "lab",
    ]);
    let stats: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    // captures/ngrok.md: as tshark counts.
    assert_eq!(stats["capture"]["received"], 1181);
    assert_eq!(
        stats["packets"]["udp"].as_u64().unwrap() + stats["streams"]["messages"].as_u64().unwrap(),
        1100
    );
    assert_eq!(stats["sensor"], "lab");
    assert_eq!(stats["inputs"], serde_json::json!([capture("ngrok.pcap")]));
}

/// An event belongs by its `_time`, so what is found in a part of the time is what the whole has there.
#[test]
fn since_and_until_cut_by_the_time_of_events() {
    let path = capture("ngrok.pcap");
    let events = |more: &[&str]| {
        let arguments = [&[path.as_str(), "--rows", "none", "--events", "-"], more].concat();
        json(&arguments)
    };
    let all = events(&[]);
    // 2026-11-24T14:10:40Z and :50Z; the first query of the capture is at 14:10:30.915515.
    for (since, until) in [
        ("2026-11-24T14:10:40Z", "2026-11-24T14:10:50Z"),
        ("1795529440", "1795529450"),
        ("2026-11-24T15:10:40+01:00", "2026-11-24T14:10:50Z"),
    ] {
        let expected: Vec<Value> = all
            .iter()
            .filter(|event| {
                let time = event["_time"].as_str().unwrap();
                ("2026-11-24T14:10:40".."2026-11-24T14:10:50").contains(&time)
            })
            .cloned()
            .collect();
        assert!(expected.len() > 100 && expected.len() < all.len());
        assert_eq!(events(&["--since", since, "--until", until]), expected);
    }
    // From the very time of a query on, and up to it.
    let at = "2026-11-24T14:10:30.915515Z";
    assert_eq!(events(&["--since", at]).len(), all.len());
    assert_eq!(events(&["--until", at]).len(), 0);
    assert_eq!(events(&["--until", "2026-11-24T14:10:30.915516Z"]).len(), 1);
    assert_eq!(events(&["--since", "2026-11-25"]).len(), 0);
}

/// Whatever part is looked at, every packet and event is accounted for.
#[test]
fn identities_hold_for_parts() {
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("stats.json");
    let parts: [&[&str]; 7] = [
        &["--since", "2026-11-24T14:10:45Z"],
        &["--until", "2026-11-24T14:10:35.5Z"],
        &["--since", "2026-11-25"],
        &["-c", "100"],
        &["-f", "src port 53"],
        &["--timeout", "1ms"],
        &["--ports", "5353"],
    ];
    for path in captures() {
        let is_dnstap = path.extension().is_some_and(|ending| ending == "dnstap");
        for part in parts {
            // There are no packets for a filter.
            if is_dnstap && part[0] == "-f" {
                continue;
            }
            for events in ["none", "/dev/null"] {
                let mut arguments = vec![
                    path.to_str().unwrap(),
                    "-q",
                    "--events",
                    events,
                    "--stats",
                    stats.to_str().unwrap(),
                ];
                arguments.extend(part);
                out(&arguments);
                let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
                for identity in stats["identities"].as_array().unwrap() {
                    assert_eq!(identity["holds"], true, "{arguments:?}: {identity}");
                }
            }
        }
    }
}

#[test]
fn a_number_of_packets_is_enough() {
    let path = capture("vlan.pcap");
    let output = dnsterrier([&path, "-c", "2"]);
    assert_eq!(stdout(&output).lines().count(), 2);
    assert!(stderr(&output).contains("2 packets received"));
    let both = dnsterrier([&path, &path, "-c", "40"]);
    assert!(
        stderr(&both).contains("40 packets received"),
        "of all files together"
    );
}

#[test]
fn hunting_needs_no_rule_file() {
    let path = capture("ngrok.pcap");
    let names = |arguments: &[&str]| {
        let mut names = values(&json(&[&[path.as_str()], arguments].concat()), "query");
        names.sort();
        names.dedup();
        names
    };
    // The name itself and all below it.
    assert_eq!(
        names(&["--name", "evil.example"]),
        ["a.ngrok.io.evil.example", "ngrok.io.evil.example"]
    );
    assert_eq!(
        names(&["--name", "EXAMPLE.org."])[..2],
        ["api.example.org", "example.org"]
    );
    // A pattern.
    assert_eq!(
        names(&["--name", "korgn.*.lennut.com"]),
        ["korgn.eu.lennut.com", "korgn.su.lennut.com"]
    );
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("names");
    std::fs::write(&list, "# ours\nevil.example\n\nkorgn.*.lennut.com\n").unwrap();
    assert_eq!(
        names(&["--names", list.to_str().unwrap()]),
        [
            "a.ngrok.io.evil.example",
            "korgn.eu.lennut.com",
            "korgn.su.lennut.com",
            "ngrok.io.evil.example"
        ]
    );
    // Rules run beside it where they are asked for.
    let mut rules = values(
        &json(&[&path, "--name", "evil.example", "--rule", RULE]),
        "rule",
    );
    rules.dedup();
    assert_eq!(rules, [RULE, "hunt"]);
}

#[test]
fn rules_are_chosen() {
    let path = capture("ngrok.pcap");
    let rules = |arguments: &[&str]| {
        let mut rules = values(&json(&[&[path.as_str()], arguments].concat()), "rule");
        rules.sort();
        rules.dedup();
        rules
    };
    // connect.ngrok-agent.com and *.ngrok-free.app are in the capture, and not the first rule's.
    assert_eq!(
        rules(&[]),
        [
            RULE,
            "Somebody visits an ngrok tunnel",
            "ngrok agent runs here"
        ]
    );
    assert_eq!(rules(&["--rule", RULE]), [RULE]);
    assert_eq!(rules(&["--rule", "NGROK reverse proxy on network"]), [RULE]);
    assert_eq!(
        rules(&["--rule", "5790a766-53b8-40d3-a696-3547b978fcf0"]),
        [RULE]
    );
    assert_eq!(
        rules(&["--rule", RULE, "--rule", "ngrok agent runs here"]),
        [RULE, "ngrok agent runs here"]
    );
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine.yaml");
    std::fs::write(&mine, "name: Mine\ndomain: [example.org]\nrisk: 80\n").unwrap();
    let mine = mine.to_str().unwrap();
    assert_eq!(rules(&["--rules", mine]).len(), 4);
    assert_eq!(
        rules(&["--rules", folder.path().to_str().unwrap()]).len(),
        4
    );
    assert_eq!(rules(&["--rules", mine, "--no-embedded"]), ["Mine"]);
    // One that is off runs when it is named.
    assert_eq!(
        rules(&["--rule", "A custom domain leads to ngrok"]),
        ["A custom domain leads to ngrok"]
    );
}

#[test]
fn rules_can_be_looked_at() {
    let list = out(&["rules", "list"]);
    let line = list.lines().find(|line| line.contains(RULE)).unwrap();
    assert!(
        line.starts_with("on ") && line.contains(" Anomaly ") && line.contains("4 patterns"),
        "{line}"
    );
    assert!(!list.contains(" 1 patterns"), "{list}");
    assert!(list.lines().any(|line| line.starts_with("off")));
    let shown = out(&["rules", "show", RULE]);
    for part in [
        "name: ",
        "5790a766-53b8-40d3-a696-3547b978fcf0",
        "*.ngrok.io",
        "korgn.*.lennut.com",
    ] {
        assert!(shown.contains(part), "{part} is not in: {shown}");
    }
    // What is shown is a rule file: it can be written down, changed and checked.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shown.yaml");
    std::fs::write(&path, &shown).unwrap();
    assert_eq!(
        out(&["rules", "check", path.to_str().unwrap()]),
        "1 rule, no mistakes\n"
    );
    let rules = file("rules");
    assert!(out(&["rules", "check", rules.to_str().unwrap()]).contains("no mistakes"));
    assert_eq!(
        out(&[
            "rules",
            "list",
            "--no-embedded",
            "--rules",
            path.to_str().unwrap()
        ])
        .lines()
        .count(),
        1
    );
}

/// However long a cell is, the next column begins where it does in the other lines.
#[test]
fn the_list_of_rules_has_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.yaml");
    let techniques: Vec<String> = (1..=9).map(|number| format!("T1071.00{number}")).collect();
    let long = format!(
        "name: {}\ndomain: example.org\nattack: [{}]\n",
        "A name that is so long ".repeat(5),
        techniques.join(", ")
    );
    std::fs::write(&path, long).unwrap();
    let list = out(&["rules", "list", "--rules", path.to_str().unwrap()]);
    let origins = list.lines().filter_map(|line| {
        line.find("embedded (")
            .or_else(|| line.find(path.to_str().unwrap()))
    });
    let places: std::collections::BTreeSet<usize> = origins.collect();
    assert_eq!(places.len(), 1, "{list}");
}

#[test]
fn the_list_of_rules_has_the_hits_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stats.json");
    let stats = path.to_str().unwrap();
    let capture = capture("ngrok.pcap");
    let hits = json(&[&capture, "--rows", "none", "--hits", "-", "--stats", stats]);
    let list = out(&["rules", "list", "--stats", stats]);
    let hits_of = |name: &str| {
        let of_rule = hits.iter().filter(|hit| hit["rule"] == name);
        of_rule.count()
    };
    let mut all = 0;
    for rule in [
        "Ngrok Reverse Proxy on Network  ",
        "ngrok agent runs here ",
        "Somebody visits an ngrok tunnel ",
    ] {
        let line = list.lines().find(|line| line.contains(rule)).unwrap();
        let count = hits_of(rule.trim());
        let said = format!(" {count} hit{} ", if count == 1 { "" } else { "s" });
        assert!(line.contains(&said), "{said}: {line}");
        all += count;
    }
    assert!(all == hits.len() && all > 50, "{all}");
    // What did not run has none, and that is said otherwise than 0.
    let off = list
        .lines()
        .find(|line| line.contains("later form"))
        .unwrap();
    assert!(!off.contains("hit") && off.contains("  - "), "{off}");
    std::fs::write(&path, "{}").unwrap();
    let output = dnsterrier(["rules", "list", "--stats", stats]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("there are no rules in it"));
}

#[test]
fn a_hit_can_be_a_failure() {
    let path = capture("ngrok.pcap");
    let hit = dnsterrier([&path, "--fail-on-hit", "--format", "jsonl"]);
    assert_eq!(hit.status.code(), Some(4));
    assert!(hit.stdout.len() > 1000, "the rows are there all the same");
    // Rows that go nowhere are rows.
    assert_eq!(
        dnsterrier([&path, "--fail-on-hit", "--rows", "none"])
            .status
            .code(),
        Some(4)
    );
    assert_eq!(
        dnsterrier([&path, "--fail-on-hit", "--name", "not.there"])
            .status
            .code(),
        Some(0)
    );
    assert_eq!(dnsterrier([&path]).status.code(), Some(0));
}

#[test]
fn what_is_configured_stands_in_the_records() {
    let path = capture("ngrok.pcap");
    let events = json(&[
        &path,
        "--rows",
        "none",
        "--events",
        "-",
        "--sensor",
        "span-7",
        "--cim-entity-zone",
        "emea",
    ]);
    assert!(values(&events, "host").iter().all(|host| host == "span-7"));
    assert!(
        values(&events, "cim_entity_zone")
            .iter()
            .all(|zone| zone == "emea")
    );
    assert_eq!(json(&[&path, "--sensor", "span-7"])[0]["sensor"], "span-7");
    // An address that blocks.
    let outcomes = |more: &[&str]| {
        let arguments = [
            &[
                path.as_str(),
                "--rows",
                "none",
                "--hits",
                "-",
                "--name",
                "only4.ngrok.io",
            ],
            more,
        ]
        .concat();
        values(&json(&arguments), "outcome")
    };
    assert_eq!(outcomes(&[]), ["resolved", "nodata"]);
    for network in ["3.13.191.225", "3.13.191.0/24"] {
        assert_eq!(
            outcomes(&["--sinkhole", network]),
            ["blocked", "nodata"],
            "{network}"
        );
    }
    assert_eq!(
        outcomes(&["--sinkhole", "192.0.2.0/24"]),
        ["resolved", "nodata"]
    );
}

#[test]
fn dns_is_looked_for_on_the_ports_given() {
    let client = ([192, 0, 2, 10], 40_000);
    let resolver = ([192, 0, 2, 53], 5300);
    let name = "abc.ngrok.io";
    let packets = [
        pcap::udp(client, resolver, 1, &pcap::query(7, name)),
        pcap::udp(
            resolver,
            client,
            2,
            &pcap::response(7, name, [198, 51, 100, 1]),
        ),
    ];
    let (_folder, path) = pcap::made_of(&packets, 0);
    let path = path.as_str();
    assert_eq!(json(&[path]).len(), 0);
    for ports in ["5300", "53,5300"] {
        let rows = json(&[path, "--ports", ports]);
        assert_eq!(values(&rows, "answer"), ["198.51.100.1"], "{ports}");
    }
}

/// Upstream's form of the time, in the zone of the machine.
#[test]
fn times_in_tables_can_be_local() {
    let path = capture("vlan.pcap");
    for (zone, time) in [
        ("Asia/Tokyo", " 2026-11-24T23:11:19 "),
        ("America/New_York", " 2026-11-24T09:11:19 "),
        ("UTC", " 2026-11-24T14:11:19 "),
    ] {
        let output = Command::new(PROGRAM)
            .args([&path, "--local-time"])
            .env("TZ", zone)
            .output()
            .unwrap();
        let table = stdout(&output);
        assert!(
            table.lines().nth(1).unwrap().contains(time),
            "{zone}: {table}"
        );
        // Machines get UTC.
        let output = Command::new(PROGRAM)
            .args([&path, "--local-time", "--format", "jsonl"])
            .env("TZ", zone)
            .output()
            .unwrap();
        assert_eq!(
            json_lines(&stdout(&output))[0]["firstTime"],
            "2026-11-24T14:11:19.695661Z"
        );
    }
}

/// `dnsterrier ... | head -1`: the reader has what it wants.
fn into_a_pipe_that_closes(arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    (output.status.code(), stderr(&output))
}

/// Whoever reads what we write waits less often for it.
#[test]
fn a_pipe_gets_room() {
    use nix::fcntl::{FcntlArg, fcntl};
    use std::io::Read;
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut child = Command::new(PROGRAM)
        .args([&capture("ngrok.pcap"), "--quiet"])
        .stdout(writer)
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fcntl(&reader, FcntlArg::F_GETPIPE_SZ).unwrap(), 1 << 20);
    let mut rows = String::new();
    reader.read_to_string(&mut rows).unwrap();
    assert!(rows.contains("ngrok"), "{rows}");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let path = capture("ngrok.pcap");
    for arguments in [
        &[path.as_str(), "--quiet"][..],
        &[&path, "--quiet", "--format", "jsonl"],
        &[&path, "--quiet", "--rows", "none", "--events", "-"],
        &["rules", "list"],
    ] {
        assert_eq!(
            into_a_pipe_that_closes(arguments),
            (Some(0), String::new()),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_reader_that_leaves_is_told_no_nonsense() {
    let (status, says) =
        into_a_pipe_that_closes(&[&capture("ngrok.pcap"), "--rows", "none", "--events", "-"]);
    assert_eq!(status, Some(0));
    for nonsense in ["do not add up", "no packet was seen", "of 0 by 0 clients"] {
        assert!(!says.contains(nonsense), "{says}");
    }
}

#[test]
fn help_of_every_command_is_readable() {
    for (arguments, parts) in [
        (
            &["--help"][..],
            &[
                "sniff",
                "replay",
                "interfaces",
                "rules",
                "Exit status: 0 done",
                "-r FILE",
            ][..],
        ),
        (&["-h"], &["Usage: dnsterrier"]),
        (&["help", "replay"], &["pcapng", "- for standard input"]),
        (
            &["replay", "--help"],
            &[
                "--since",
                "RFC 3339",
                "--format",
                "table, jsonl, csv, tsv",
                "[default: 53,5353,5355]",
                "--vxlan-ports",
                "4789 and 8472",
                "--tunnel-depth",
                "[default: 8]",
                "Output:",
                "Rules:",
            ],
        ),
        (
            &["sniff", "--help"],
            &["--interface", "Ctrl-C", "libpcap", "KiB"],
        ),
        (&["interfaces", "--help"], &["permission"]),
        (&["rules", "--help"], &["list", "show", "check"]),
        (&["rules", "list", "--help"], &["--no-embedded"]),
        (&["rules", "show", "--help"], &["name or id"]),
        (&["rules", "check", "--help"], &["line and column"]),
    ] {
        let text = out(arguments);
        for part in parts {
            assert!(
                text.contains(part),
                "{part} is not in {arguments:?}: {text}"
            );
        }
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
    }
    assert_eq!(
        out(&["--version"]),
        format!("dnsterrier {}\n", env!("CARGO_PKG_VERSION"))
    );
    // Without a word it says what there is.
    let nothing = dnsterrier::<[&str; 0], _>([]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(nothing.stdout.is_empty() && stderr(&nothing).contains("Usage: dnsterrier"));
}

/// What the program shows on a terminal, by util-linux' `script`.
fn on_a_terminal(variables: &[(&str, &str)], command: &str) -> String {
    let output = Command::new("script")
        .args(["-qec", command, "/dev/null"])
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("script is in bsdutils");
    stdout(&output)
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let path = capture("vlan.pcap");
    let command = format!("'{PROGRAM}' '{path}'");
    assert!(on_a_terminal(&[], &command).contains('\u{1b}'));
    assert!(!on_a_terminal(&[("NO_COLOR", "1")], &command).contains('\u{1b}'));
    // A variable that is empty says nothing (no-color.org).
    assert!(on_a_terminal(&[("NO_COLOR", "")], &command).contains('\u{1b}'));
    for arguments in [&[path.as_str()][..], &["--help"], &["replay", "--nosuch"]] {
        let output = Command::new(PROGRAM)
            .args(arguments)
            .env("TERM", "xterm")
            .output()
            .unwrap();
        let all = [output.stdout, output.stderr].concat();
        assert!(!all.contains(&0x1b), "{arguments:?} in a pipe");
    }
}

#[test]
fn interfaces_are_shown_to_anybody() {
    let text = out(&["interfaces"]);
    let line = text.lines().find(|line| line.starts_with("lo ")).unwrap();
    assert!(
        line.contains("ready") || line.contains("CAP_NET_RAW"),
        "{line}"
    );
}

/// `--sensor`: the sensor's name in every record.
#[test]
fn sources_name_their_sensor() {
    let path = capture("vlan.pcap");
    let sources = json(&[
        &path,
        "--rows",
        "none",
        "--sources",
        "-",
        "--sensor",
        "span-7",
    ]);
    assert_eq!(values(&sources, "sensor"), ["span-7", "span-7"]);
}

/// More names than are listed: that the list is not whole is said in every format.
fn a_source_of_many_names() -> (tempfile::TempDir, String) {
    let packets: Vec<Vec<u8>> = (0..1_100_u16)
        .map(|number| {
            pcap::udp(
                ([192, 0, 2, 10], 40_000),
                ([192, 0, 2, 53], 53),
                number,
                &pcap::query(number, &format!("n{number}.ngrok.io")),
            )
        })
        .collect();
    pcap::made_of(&packets, 1)
}

#[test]
fn a_list_of_names_has_an_end() {
    let (_folder, path) = a_source_of_many_names();
    let sources = json(&[&path, "--rows", "none", "--sources", "-"]);
    assert_eq!(sources.len(), 1);
    assert_eq!(sources[0]["hits"], 1_100);
    assert_eq!(sources[0]["names"].as_array().unwrap().len(), 1_000);
    assert_eq!(sources[0]["names_cut"], true);
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(file("docs/source.schema.json")).unwrap())
            .unwrap();
    assert!(
        jsonschema::is_valid(&schema, &sources[0]),
        "{:#}",
        sources[0]
    );
}

#[test]
fn a_list_of_names_that_is_cut_says_so_in_csv() {
    let (folder, path) = a_source_of_many_names();
    let place = folder.path().join("sources.csv");
    out(&[
        &path,
        "--rows",
        "none",
        "--sources",
        place.to_str().unwrap(),
    ]);
    let text = std::fs::read_to_string(place).unwrap();
    let header = text.lines().next().unwrap();
    for column in ["names_cut", "partial"] {
        assert!(header.split(',').any(|name| name == column), "{header}");
    }
}
