//! The committed captures give the rows that an independent reading of them gives (`scripts/expected-rows`, by tshark), however
//! they are fed in.

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

use std::path::Path;

use common::{captures, dnsterrier, dnsterrier_reading, file, json_lines, stdout};
use serde_json::Value;

const RULE: &str = "Ngrok Reverse Proxy on Network";

/// Rows without what the oracle does not know.
fn rows(text: &str) -> Vec<Value> {
    let mut rows = json_lines(text);
    for row in &mut rows {
        let row = row.as_object_mut().unwrap();
        assert_eq!(row.remove("sensor"), Some(Value::from("golden")));
        assert!(
            row.remove("event_id")
                .is_some_and(|id| id.as_str().is_some_and(|id| id.len() == 32))
        );
    }
    rows
}

fn expected(capture: &Path) -> Vec<Value> {
    json_lines(&std::fs::read_to_string(capture.with_extension("rows.jsonl")).unwrap())
}

const OPTIONS: [&str; 7] = [
    "--rule", RULE, "--format", "jsonl", "--sensor", "golden", "--quiet",
];

fn replay(capture: &Path, more: &[&str]) -> String {
    let mut arguments = vec!["replay", capture.to_str().unwrap()];
    arguments.extend(OPTIONS);
    arguments.extend(more);
    stdout(&dnsterrier(arguments))
}

#[test]
fn every_capture_gives_the_rows_of_its_oracle() {
    for capture in captures() {
        let expected = expected(&capture);
        assert!(!expected.is_empty());
        pretty_assert(&capture, &rows(&replay(&capture, &[])), &expected);
    }
}

fn pretty_assert(capture: &Path, got: &[Value], expected: &[Value]) {
    for (place, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert_eq!(got, expected, "{} row {place}", capture.display());
    }
    assert_eq!(got.len(), expected.len(), "{}", capture.display());
}

#[test]
fn the_same_from_standard_input() {
    for capture in captures() {
        let bytes = std::fs::read(&capture).unwrap();
        let mut arguments = vec!["replay", "-"];
        arguments.extend(OPTIONS);
        let piped = stdout(&dnsterrier_reading(&bytes, &arguments));
        assert_eq!(piped, replay(&capture, &[]), "{}", capture.display());
    }
}

/// The pcapng copy and the capture in which every packet stands twice: the same rows, with the same ids.
#[test]
fn the_same_from_copies() {
    let one = replay(&file("captures/ngrok.pcap"), &[]);
    assert_eq!(replay(&file("captures/ngrok.pcapng"), &[]), one);
    assert_eq!(replay(&file("captures/span-twice.pcap"), &[]), one);
}

/// Loading what nobody needs changes nothing: a run that decodes only candidates gives the rows of one that decodes all.
#[test]
fn lazy_runs_and_full_runs_give_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for capture in captures() {
        let events = folder.path().join("events.jsonl");
        let full = replay(&capture, &["--events", events.to_str().unwrap()]);
        assert_eq!(full, replay(&capture, &[]), "{}", capture.display());
        assert!(std::fs::metadata(&events).unwrap().len() > 0);
    }
}

/// A capture split at any packet and replayed in one run gives the rows of the whole.
#[test]
fn split_captures_give_the_rows_of_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let capture = file("captures/ngrok.pcap");
    let whole = replay(&capture, &[]);
    let bytes = std::fs::read(&capture).unwrap();
    let (header, mut rest) = bytes.split_at(24);
    let mut records = Vec::new();
    while rest.len() >= 16 {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (record, others) = rest.split_at(16 + length);
        records.push(record);
        rest = others;
    }
    for at in (1..records.len()).step_by(97) {
        let parts: Vec<_> = [&records[..at], &records[at..]]
            .iter()
            .enumerate()
            .map(|(number, part)| {
                let path = folder.path().join(format!("{number}.pcap"));
                std::fs::write(&path, [header, &part.concat()].concat()).unwrap();
                path
            })
            .collect();
        let mut arguments = vec![
            "replay",
            parts[0].to_str().unwrap(),
            parts[1].to_str().unwrap(),
        ];
        arguments.extend(OPTIONS);
        assert_eq!(
            stdout(&dnsterrier(&arguments)),
            whole,
            "split after packet {at}"
        );
        // The folder stands for its files in name order.
        let mut arguments = vec!["replay", folder.path().to_str().unwrap()];
        arguments.extend(OPTIONS);
        assert_eq!(
            stdout(&dnsterrier(&arguments)),
            whole,
            "folder, split after packet {at}"
        );
    }
}

/// Every packet, message, transaction and event is accounted for.
#[test]
fn the_identities_hold_on_every_capture() {
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("stats.json");
    for capture in captures() {
        for events in ["none", "/dev/null"] {
            replay(
                &capture,
                &["--events", events, "--stats", stats.to_str().unwrap()],
            );
            let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
            let identities = stats["identities"].as_array().unwrap();
            assert!(identities.len() >= 10);
            for identity in identities {
                assert_eq!(
                    identity["holds"],
                    Value::Bool(true),
                    "{}: {identity}",
                    capture.display()
                );
            }
            assert!(stats["capture"]["received"].as_u64().unwrap() > 0);
        }
    }
}

/// What was seen of encrypted DNS is what `scripts/expected-encrypted` counts with tshark; and nothing elsewhere.
#[test]
fn encrypted_dns_is_what_its_oracle_counts() {
    let fields = [
        "src",
        "encrypted_dns_connections",
        "encrypted_dns_answered",
        "encrypted_dns_lookups",
        "encrypted_dns_resolvers",
    ];
    let mut with_some = 0;
    for capture in captures() {
        let oracle = capture.with_extension("encrypted.jsonl");
        let expected = std::fs::read_to_string(&oracle).unwrap_or_default();
        with_some += usize::from(!expected.is_empty());
        let sources = json_lines(&stdout(&dnsterrier([
            "replay",
            capture.to_str().unwrap(),
            "--rows",
            "none",
            "--sources",
            "-",
            "--quiet",
        ])));
        let found: Vec<Value> = sources
            .iter()
            .filter(|source| source.get("encrypted_dns_firstTime").is_some())
            .map(|source| {
                Value::from_iter(fields.map(|field| (field.to_owned(), source[field].clone())))
            })
            .collect();
        assert_eq!(found, json_lines(&expected), "{}", capture.display());
    }
    assert_eq!(with_some, 1);
}

/// The rows of the embedded rules over the captures of their tests are those of `scripts/expected-pack-rows`, of which each
/// names the groups and the columns without times: no more of them, and no fewer.
#[test]
fn the_packs_give_the_rows_of_their_oracle() {
    let names: Vec<String> = dnsterrier::rule::embedded()
        .unwrap()
        .into_iter()
        .map(|rule| rule.name)
        .collect();
    let mut compared = std::collections::BTreeSet::new();
    for pack in ["tunnels", "dns-tunnels", "resolution"] {
        let capture = file(&format!("captures/packs/{pack}.pcap"));
        let mut arguments = vec![
            "replay",
            capture.to_str().unwrap(),
            "--format",
            "jsonl",
            "-q",
        ];
        arguments.extend(names.iter().flat_map(|name| ["--rule", name]));
        let found = json_lines(&stdout(&dnsterrier(&arguments)));
        let mut expected = expected(&capture);
        expected.retain(|row| names.iter().any(|name| row["rule"] == name.as_str()));
        for name in &names {
            let of = |rows: &[Value]| -> Vec<Value> {
                let of_rule = rows.iter().filter(|row| row["rule"] == name.as_str());
                of_rule.cloned().collect()
            };
            let (found, expected) = (of(&found), of(&expected));
            let Some(first) = expected.first() else {
                assert!(found.is_empty(), "{pack}, {name}: {found:#?}");
                continue;
            };
            compared.insert(name.as_str());
            let parts = |row: &Value| -> String {
                let fields = first.as_object().unwrap().keys();
                fields.map(|field| format!("{} ", row[field])).collect()
            };
            let mut found: Vec<String> = found.iter().map(parts).collect();
            let mut expected: Vec<String> = expected.iter().map(parts).collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{pack}, {name}");
        }
    }
    assert_eq!(compared.len(), names.len(), "only {compared:?} have rows");
}

/// The later version of the rule groups by seven fields: nothing changes but the rule file.
#[test]
fn the_later_form_of_the_rule() {
    let folder = tempfile::tempdir().unwrap();
    let rule = folder.path().join("later.yaml");
    std::fs::write(
        &rule,
        "name: Later\nwhere: { query: [\"*.ngrok.com\", \"*.ngrok.io\", \"ngrok.*.tunnel.com\", \"korgn.*.lennut.com\"] }\n\
         by: [answer, answer_count, query, query_count, reply_code_id, src, vendor_product]\n\
         aggregate: { count: count, firstTime: min(_time), lastTime: max(_time) }\n",
    )
    .unwrap();
    let capture = file("captures/ngrok.pcap");
    let output = dnsterrier([
        "replay",
        capture.to_str().unwrap(),
        "--no-embedded",
        "--rules",
        rule.to_str().unwrap(),
        "--format",
        "jsonl",
        "--quiet",
    ]);
    let rows = json_lines(&stdout(&output));
    let counts =
        |rows: &[Value]| -> u64 { rows.iter().map(|row| row["count"].as_u64().unwrap()).sum() };
    assert_eq!(
        counts(&rows),
        counts(&expected(&capture)),
        "the same hits, grouped otherwise"
    );
    for row in &rows {
        for field in ["answer", "query", "reply_code_id", "src", "vendor_product"] {
            assert!(row[field].is_string(), "{field} in {row}");
        }
        for field in ["answer_count", "query_count"] {
            assert!(row[field].is_u64(), "{field} in {row}");
        }
    }
}

/// Windows: the rows of all windows add up to those of the whole.
#[test]
fn windows_add_up() {
    let capture = file("captures/ngrok.pcap");
    let whole = rows(&replay(&capture, &[]));
    for window in ["1s", "7s", "1h"] {
        let mut merged = std::collections::BTreeMap::<String, u64>::new();
        let windowed = rows(&replay(&capture, &["--window", window]));
        for row in &windowed {
            assert!(row["window"].as_str().unwrap().contains('/'));
            let key = format!("{} {} {}", row["src"], row["query"], row["answer"]);
            *merged.entry(key).or_default() += row["count"].as_u64().unwrap();
        }
        assert_eq!(merged.len(), whole.len());
        for row in &whole {
            let key = format!("{} {} {}", row["src"], row["query"], row["answer"]);
            assert_eq!(
                merged[&key],
                row["count"].as_u64().unwrap(),
                "{key} with --window {window}"
            );
        }
    }
    // The rule's own schedule: hour-long tiles that begin ten minutes before the hour.
    for row in rows(&replay(&capture, &["--window", "schedule"])) {
        let window = row["window"].as_str().unwrap();
        assert!(
            window.contains(":50:00") && window.matches(":50:00").count() == 2,
            "{window}"
        );
    }
}

/// Risk events are what the oracle's rows come to: one for each source, in which the rows' fields are lists. Of the resolver in
/// the middle, whose clients are there, there is none.
#[test]
fn risk_events_are_the_rows_of_each_source() {
    let mut joined = 0;
    for capture in captures() {
        let mut expected: Vec<(Value, Vec<Value>)> = Vec::new();
        for row in self::expected(&capture) {
            // Resolvers, whose clients' lookups are here too; of which one does not know its own address.
            if ["10.9.1.53", "10.9.0.55", "0.0.0.0"].contains(&row["src"].as_str().unwrap()) {
                continue;
            }
            match expected.iter_mut().find(|(src, _)| *src == row["src"]) {
                Some((_, rows)) => rows.push(row),
                None => expected.push((row["src"].clone(), vec![row])),
            }
        }
        let events = json_lines(&replay(&capture, &["--rows", "none", "--risk", "-"]));
        let what = capture.display();
        assert_eq!(events.len(), expected.len(), "{what}");
        for (event, (src, rows)) in events.iter().zip(&expected) {
            assert_eq!(event["risk_object"], *src, "{what}");
            assert_eq!(event["src"], *src, "{what}");
            assert_eq!(event["risk_score"], 50);
            assert_eq!(event["severity"], "medium");
            assert_eq!(
                event["risk_message"],
                format!(
                    "An endpoint, {}, is beaconing out to the reverse proxy service of Ngrok.",
                    src.as_str().unwrap()
                )
            );
            assert!(event.get("client_hidden").is_none() && event.get("partial").is_none());
            for name in ["query", "answer"] {
                let of_rows: std::collections::BTreeSet<&str> =
                    rows.iter().map(|row| row[name].as_str().unwrap()).collect();
                let list = event[name].as_array().unwrap();
                assert_eq!(list.len(), of_rows.len(), "{what} {src} {name}");
                assert!(
                    list.iter()
                        .all(|text| of_rows.contains(text.as_str().unwrap()))
                );
            }
            let sum: u64 = rows.iter().map(|row| row["count"].as_u64().unwrap()).sum();
            assert_eq!(event["count"], sum, "{what} {src}");
            let times = |name: &str| {
                rows.iter()
                    .map(move |row| row[name].as_str().unwrap().to_owned())
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                event["firstTime"].as_str(),
                times("firstTime").iter().min().map(String::as_str)
            );
            assert_eq!(
                event["lastTime"].as_str(),
                times("lastTime").iter().max().map(String::as_str)
            );
            joined += usize::from(rows.len() > 1);
        }
    }
    assert!(joined > 20, "{joined}");
}
