//! What the program writes is what `docs/*.schema.json` say, and CSV says what JSON says.

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

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::{captures, dnsterrier, file, json_lines, stderr, stdout};
use dnsterrier::event::Event;
use jsonschema::Validator;
use serde_json::Value;

const STREAMS: [&str; 5] = ["rows", "hits", "events", "sources", "risk"];

/// The schema of a stream (`rows` is in `row.schema.json`), or of `stats`.
fn schema(stream: &str) -> Value {
    let name = match stream {
        "stats" | "risk" => stream,
        _ => stream.strip_suffix('s').unwrap(),
    };
    let path = file(&format!("docs/{name}.schema.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn validator(stream: &str) -> Validator {
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema(stream))
        .unwrap()
}

fn valid(validator: &Validator, record: &Value, what: &str) {
    let errors: Vec<String> = validator
        .iter_errors(record)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}\n{record:#}");
}

/// Replays with every stream to a file of that ending, and the statistics; gives their paths.
fn replay(capture: &Path, folder: &Path, ending: &str, more: &[&str]) -> [PathBuf; 6] {
    let paths = ["rows", "hits", "events", "sources", "risk", "stats"].map(|stream| {
        let ending = if stream == "stats" { "json" } else { ending };
        folder.join(format!("{stream}.{ending}"))
    });
    let mut arguments = vec![
        "replay".to_owned(),
        capture.to_str().unwrap().to_owned(),
        "--quiet".to_owned(),
    ];
    for (stream, path) in STREAMS.into_iter().chain(["stats"]).zip(&paths) {
        arguments.extend([format!("--{stream}"), path.to_str().unwrap().to_owned()]);
    }
    arguments.extend(more.iter().map(|&word| word.to_owned()));
    stdout(&dnsterrier(arguments));
    paths
}

/// Runs that differ in what they write: all rules, windows, a hunt, a zone, the later form of the rule.
const RUNS: [&[&str]; 4] = [
    &[],
    &[
        "--window",
        "5s",
        "--cim-entity-zone",
        "emea",
        "--sensor",
        "lab",
    ],
    &["--name", "*", "--sinkhole", "3.134.39.220/32"],
    &[
        "--timeout",
        "400ms",
        "--since",
        "2026-11-24",
        "--window",
        "schedule",
    ],
];

#[test]
fn every_record_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let validators = STREAMS.map(validator);
    let stats = validator("stats");
    let mut seen = [0; 5];
    for capture in captures() {
        for run in RUNS {
            let paths = replay(&capture, folder.path(), "jsonl", run);
            for (place, stream) in STREAMS.into_iter().enumerate() {
                for record in json_lines(&std::fs::read_to_string(&paths[place]).unwrap()) {
                    valid(
                        &validators[place],
                        &record,
                        &format!("{stream} of {}", capture.display()),
                    );
                    seen[place] += 1;
                }
            }
            let record = serde_json::from_slice(&std::fs::read(&paths[5]).unwrap()).unwrap();
            valid(&stats, &record, "statistics");
        }
    }
    assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
}

/// Traffic of strangers, where the corpus stands beside the checkout.
#[test]
fn every_record_of_the_corpus_is_valid() {
    let corpus = file("../shared/corpus/files");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&corpus)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| std::fs::metadata(path).unwrap().len() < 200_000)
        .collect();
    files.sort();
    if files.is_empty() {
        eprintln!("{} is not there: nothing was tested", corpus.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (events, stats) = (
        folder.path().join("events.jsonl"),
        folder.path().join("stats.json"),
    );
    let (event, of_stats) = (validator("events"), validator("stats"));
    let mut seen = 0;
    for path in files.iter().step_by(2) {
        let arguments = [
            path.to_str().unwrap(),
            "--quiet",
            "--rows",
            "none",
            "--events",
            events.to_str().unwrap(),
            "--stats",
            stats.to_str().unwrap(),
        ];
        let output = dnsterrier(arguments);
        // Some are no captures, or cut off.
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{}: {}",
            path.display(),
            stderr(&output)
        );
        for record in json_lines(&std::fs::read_to_string(&events).unwrap()) {
            valid(&event, &record, path.to_str().unwrap());
            seen += 1;
        }
        let record: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
        valid(&of_stats, &record, path.to_str().unwrap());
        for identity in record["identities"].as_array().unwrap() {
            assert_eq!(identity["holds"], true, "{}: {identity}", path.display());
        }
    }
    assert!(seen > 500, "{seen} events");
}

/// What is written of an event is enough to have it again: whatever a rule asks for comes of what was read.
#[test]
fn events_are_read_again_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let assets = folder.path().join("assets.csv");
    std::fs::write(
        &assets,
        "ip,bunit,category,priority\n0.0.0.0/1,north,a|b,high\n128.0.0.0/2,,,\n::/0,,x,\n",
    )
    .unwrap();
    let corpus = file("../shared/corpus/files");
    let strangers = std::fs::read_dir(&corpus).into_iter().flatten();
    let mut strangers: Vec<PathBuf> = strangers.map(|entry| entry.unwrap().path()).collect();
    strangers.sort();
    if strangers.is_empty() {
        eprintln!(
            "{} is not there: its events were not read",
            corpus.display()
        );
    }
    let (mut events, mut lists) = (0, BTreeSet::new());
    let captures = captures();
    let paths: Vec<&str> = captures
        .iter()
        .chain(&strangers)
        .map(|path| path.to_str().unwrap())
        .collect();
    let more: [&[&str]; 2] = [
        &["--any-port"],
        &[
            "--assets",
            assets.to_str().unwrap(),
            "--cim-entity-zone",
            "emea",
        ],
    ];
    for (paths, more) in paths.chunks(60).zip(more.into_iter().cycle()) {
        let mut arguments = vec!["replay", "--quiet", "--rows", "none", "--events", "-"];
        arguments.extend(more);
        arguments.extend(paths);
        // Some of the corpus are no captures, or cut off.
        let output = dnsterrier(arguments);
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let event = Event::read(line).unwrap_or_else(|why| panic!("{why}: {line}"));
            assert_eq!(serde_json::to_string(&event).unwrap(), line);
            let record: Value = serde_json::from_str(line).unwrap();
            let words = |field: &str| {
                let list = record[field].as_array().unwrap().iter();
                list.map(|word| word.as_str().unwrap().to_owned())
            };
            assert_eq!(
                event.recursion_desired(),
                words("flags").any(|it| it == "rd")
            );
            lists.extend(words("anomalies").chain(words("tunnel")));
            events += 1;
        }
    }
    // Nearly all of the words that may stand in a list.
    let enough = if strangers.is_empty() {
        (500, 10)
    } else {
        (10_000, 28)
    };
    assert!((events, lists.len()) > enough, "{events} events, {lists:?}");
}

/// What is no event is not taken for one, and the reason names what is wrong.
#[test]
fn what_is_no_event_is_not_read() {
    let capture = file("captures/unanswered.pcap");
    let arguments = ["replay", capture.to_str().unwrap(), "-q", "--rows", "none"];
    let text = stdout(&dnsterrier(arguments.iter().chain(&["--events", "-"])));
    let event = json_lines(&text).remove(0);
    for (field, value, why) in [
        ("_time", "yesterday", "is not a time"),
        ("event_id", "00", "'00' is no event_id of an event"),
        (
            "event_id",
            "+000000000000000000000000000000f",
            "no event_id",
        ),
        ("name", "DNS", "'DNS' is no name of an event"),
        ("outcome", "lost", "no outcome"),
        ("transport", "quic", "no transport"),
        ("src", "10.0.0.256", "invalid IP address"),
        ("opcode", "OPCODE16", "no opcode"),
        ("src_role", "\u{1b}[31m", "'\\u{1b}[31m' is no src_role"),
        ("src_mac", "02:00:00:00:00", "no src_mac"),
        ("src_port", "65536", "invalid type"),
    ] {
        let mut record = event.clone();
        record[field] = value.into();
        let said = Event::read(&record.to_string()).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
    for (field, value) in [("anomalies", "odd"), ("tunnel", "tin-can"), ("flags", "zz")] {
        let mut record = event.clone();
        record[field] = serde_json::json!([value]);
        let said = Event::read(&record.to_string()).unwrap_err();
        assert!(said.contains(value), "{said}");
    }
    for text in ["", "{}", "[1]", "null", "\u{0}"] {
        Event::read(text).unwrap_err();
    }
}

/// Streams that share standard output say which they are.
#[test]
fn records_on_a_shared_standard_output_are_valid() {
    let capture = file("captures/unanswered.pcap");
    let mut arguments = vec![
        "replay",
        capture.to_str().unwrap(),
        "--format",
        "jsonl",
        "--quiet",
    ];
    for option in ["--rows", "--hits", "--events", "--sources", "--risk"] {
        arguments.extend([option, "-"]);
    }
    let mut seen = BTreeSet::new();
    for record in json_lines(&stdout(&dnsterrier(arguments))) {
        let stream = record["stream"].as_str().unwrap().to_owned();
        assert_eq!(record.as_object().unwrap().keys().next().unwrap(), "stream");
        valid(&validator(&stream), &record, &stream);
        seen.insert(stream);
    }
    assert_eq!(seen, BTreeSet::from(STREAMS.map(str::to_owned)));
}

/// The statistics of a run that could not read anything are as whole as any.
#[test]
fn statistics_of_a_run_that_failed_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pcap");
    std::fs::write(&empty, b"").unwrap();
    let path = folder.path().join("stats.json");
    let output = dnsterrier([
        "replay",
        empty.to_str().unwrap(),
        "--stats",
        path.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let record = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    valid(&validator("stats"), &record, "statistics of nothing");
}

/// A schema that lets anything through proves nothing.
#[test]
fn schemas_refuse_what_is_not_so() {
    let folder = tempfile::tempdir().unwrap();
    let paths = replay(&file("captures/ngrok.pcap"), folder.path(), "jsonl", &[]);
    let first = |place: usize| -> Value {
        let text = std::fs::read_to_string(&paths[place]).unwrap();
        serde_json::from_str(text.lines().next().unwrap()).unwrap()
    };
    for (place, stream) in ["hits", "events", "sources"]
        .into_iter()
        .zip(1..)
        .map(|(stream, place)| (place, stream))
    {
        let validator = validator(stream);
        let record = first(place);
        assert!(validator.is_valid(&record));
        let mut more = record.clone();
        more["surplus"] = Value::from(1);
        assert!(!validator.is_valid(&more), "{stream} with a field more");
        // Each required field is missed, and no field is a list of lists.
        for name in record.as_object().unwrap().keys() {
            let mut wrong = record.clone();
            wrong[name] = serde_json::json!([[0]]);
            assert!(
                !validator.is_valid(&wrong),
                "{stream} with a list of lists as {name}"
            );
        }
        for name in schema(stream)["required"].as_array().unwrap() {
            let mut less = record.clone();
            less.as_object_mut()
                .unwrap()
                .remove(name.as_str().unwrap())
                .unwrap();
            assert!(!validator.is_valid(&less), "{stream} without {name}");
        }
    }
    // The columns of a row are its rule's, by any name; its own fields are checked.
    let validator = validator("rows");
    let row = first(0);
    assert!(validator.is_valid(&row));
    for (name, value) in [
        ("count", serde_json::json!("14")),
        ("firstTime", serde_json::json!("2026-01-02 03:04:05")),
        ("window", serde_json::json!("1h")),
        ("event_id", serde_json::json!("7")),
        ("surplus", serde_json::json!({})),
    ] {
        let mut wrong = row.clone();
        wrong[name] = value;
        assert!(!validator.is_valid(&wrong), "a row with a wrong {name}");
    }
    // So are those of a risk event.
    let validator = crate::validator("risk");
    let event = first(4);
    assert!(validator.is_valid(&event));
    for (name, value) in [
        ("risk_score", serde_json::json!(101)),
        ("severity", serde_json::json!("urgent")),
        ("risk_object_type", serde_json::json!("host")),
        ("annotations.mitre_attack", serde_json::json!(["1572"])),
        ("client_hidden", serde_json::json!(false)),
        ("threat_object", serde_json::json!(["a.example"])),
        ("lastTime", serde_json::json!("2026-01-02 03:04:05")),
        ("surplus", serde_json::json!({})),
    ] {
        let mut wrong = event.clone();
        wrong[name] = value;
        assert!(
            !validator.is_valid(&wrong),
            "a risk event with a wrong {name}"
        );
    }
    for name in schema("risk")["required"].as_array().unwrap() {
        let mut less = event.clone();
        less.as_object_mut()
            .unwrap()
            .remove(name.as_str().unwrap())
            .unwrap();
        assert!(!validator.is_valid(&less), "a risk event without {name}");
    }
}

/// The statistics' schema names every counter, and no other.
#[test]
fn the_schema_of_the_statistics_is_closed() {
    let validator = validator("stats");
    let folder = tempfile::tempdir().unwrap();
    let paths = replay(&file("captures/tcp.pcap"), folder.path(), "jsonl", &[]);
    let stats: Value = serde_json::from_slice(&std::fs::read(&paths[5]).unwrap()).unwrap();
    assert!(validator.is_valid(&stats));
    let mut sections = vec![String::new(), "/identities/0".to_owned()];
    for (name, section) in stats.as_object().unwrap() {
        if section.is_object() {
            sections.push(format!("/{name}"));
        }
    }
    assert!(sections.len() > 12, "{sections:?}");
    for section in &sections {
        let mut more = stats.clone();
        more.pointer_mut(section).unwrap()["surplus"] = Value::from(1);
        assert!(
            !validator.is_valid(&more),
            "'{section}' with a counter more"
        );
        let names: Vec<String> = stats
            .pointer(section)
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        for name in names {
            let mut less = stats.clone();
            less.pointer_mut(section)
                .unwrap()
                .as_object_mut()
                .unwrap()
                .remove(&name);
            assert!(!validator.is_valid(&less), "'{section}' without {name}");
        }
    }
}

/// What JSON says, as a cell of CSV or TSV.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list
            .iter()
            .map(|value| cell(value).replace('\\', "\\\\").replace('|', "\\|"))
            .collect::<Vec<_>>()
            .join("|"),
        // JSON writes small ones with an exponent.
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap().to_string(),
        other => other.to_string(),
    }
}

#[test]
fn separated_values_say_what_json_says() {
    let folder = tempfile::tempdir().unwrap();
    for capture in captures() {
        for run in RUNS {
            let json = replay(&capture, folder.path(), "jsonl", run);
            for (ending, delimiter) in [("csv", b','), ("tsv", b'\t')] {
                let separated = replay(&capture, folder.path(), ending, run);
                for (place, stream) in STREAMS.into_iter().enumerate() {
                    let what = format!("{stream}.{ending} of {}", capture.display());
                    let records = json_lines(&std::fs::read_to_string(&json[place]).unwrap());
                    let mut reader = csv::ReaderBuilder::new()
                        .delimiter(delimiter)
                        .from_path(&separated[place])
                        .unwrap();
                    let columns = reader.headers().unwrap().clone();
                    let lines: Vec<csv::StringRecord> =
                        reader.records().map(|line| line.unwrap()).collect();
                    assert_eq!(lines.len(), records.len(), "{what}");
                    for (line, record) in lines.iter().zip(&records) {
                        for (column, found) in columns.iter().zip(line) {
                            assert_eq!(found, cell(&record[column]), "{column} in {what}");
                        }
                        for name in record.as_object().unwrap().keys() {
                            let told =
                                name == "answers" || columns.iter().any(|column| column == name);
                            assert!(told, "{name} has no column in {what}");
                        }
                    }
                }
            }
        }
    }
}
