//! Parquet, read back by DuckDB.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::{PROGRAM, captures, dnsterrier, file, json_lines, stderr, stdout};

/// What DuckDB answers.
fn query(sql: &str) -> Vec<Value> {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python/bin/python");
    let output = Command::new(&python)
        .arg(file("tests/cli/query_parquet.py"))
        .arg(sql)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; scripts/test makes it", python.display()));
    json_lines(&stdout(&output))
}

/// A folder as a table of DuckDB's.
fn table(folder: &Path) -> String {
    format!(
        "read_parquet('{}/**/*.parquet', hive_partitioning = true)",
        folder.display()
    )
}

/// The files below a folder, by their paths in it.
fn names(folder: &Path) -> Vec<String> {
    let mut list = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let inside = path.strip_prefix(folder).unwrap();
                list.push(inside.display().to_string());
            }
        }
    }
    list
}

/// A time to the microsecond, which is what Parquet has.
fn to_micros(value: &mut Value) {
    if let Some(text) = value.as_str() {
        *value = format!("{}Z", &text[..26]).into();
    }
}

/// Replays to Parquet and to JSON Lines at once.
fn both(stream: &str, captures: &[PathBuf], folder: &Path) -> (Vec<Value>, Vec<Value>) {
    let parquet = folder.join(format!("{stream}.parquet"));
    let mut written = Vec::new();
    for capture in captures {
        let lines = folder.join(format!("{stream}.jsonl"));
        let mut arguments = vec!["replay", capture.to_str().unwrap(), "-q", "--rows", "none"];
        let option = format!("--{stream}");
        for place in [&parquet, &lines] {
            arguments.extend([option.as_str(), place.to_str().unwrap()]);
        }
        stdout(&dnsterrier(arguments));
        written.extend(json_lines(&std::fs::read_to_string(&lines).unwrap()));
    }
    let read = query(&format!("SELECT * FROM {}", table(&parquet)));
    (written, read)
}

#[test]
fn every_record_is_there_with_every_field() {
    for stream in ["events", "hits", "sources"] {
        let folder = tempfile::tempdir().unwrap();
        let (mut written, mut read) = both(stream, &captures(), folder.path());
        for record in &mut written {
            for name in [
                "_time",
                "firstTime",
                "lastTime",
                "encrypted_dns_firstTime",
                "encrypted_dns_lastTime",
            ] {
                if let Some(time) = record.get_mut(name) {
                    to_micros(time);
                }
            }
            let times = ["_time", "lastTime", "encrypted_dns_lastTime"];
            let time = times.iter().find_map(|name| record.get(name)).unwrap();
            let time = time.as_str().unwrap().to_owned();
            record["date"] = time[..10].into();
            record["hour"] = time[11..13].parse::<u64>().unwrap().into();
        }
        assert!(written.len() > 10, "{stream}");
        for list in [&mut written, &mut read] {
            // By what does not depend on the order of the fields.
            for record in list.iter_mut() {
                record.as_object_mut().unwrap().sort_keys();
            }
            list.sort_by_key(Value::to_string);
        }
        assert_eq!(read.len(), written.len(), "{stream}");
        for (read, written) in read.iter().zip(&written) {
            assert_eq!(read, written, "{stream}");
        }
    }
}

#[test]
fn sql_over_the_events_gives_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    for capture in ["ngrok", "resolver-in-the-middle"] {
        let path = file("captures").join(format!("{capture}.pcap"));
        let place = folder.path().join(format!("{capture}.parquet"));
        let place = place.to_str().unwrap();
        let output = dnsterrier([
            "replay",
            path.to_str().unwrap(),
            "-q",
            "--rows",
            "none",
            "--events",
            place,
        ]);
        stdout(&output);
        // As the detection says it.
        let mut summed = query(&format!(
            "SELECT src, query, answer, count(*) AS count, min(_time) AS \"firstTime\", max(_time) AS \"lastTime\"
             FROM (SELECT src, query, _time, unnest(list_distinct(answer)) AS answer FROM {})
             WHERE query LIKE '%.ngrok.com' OR query LIKE '%.ngrok.io' OR query LIKE 'ngrok.%.tunnel.com' OR query LIKE 'korgn.%.lennut.com'
             GROUP BY src, query, answer",
            table(Path::new(place))
        ));
        let rows = file("captures").join(format!("{capture}.rows.jsonl"));
        let mut expected = json_lines(&std::fs::read_to_string(rows).unwrap());
        for row in &mut expected {
            let row = row.as_object_mut().unwrap();
            row.retain(|name, _| name != "rule" && name != "window");
        }
        assert!(expected.len() > 3, "{capture}");
        for list in [&mut summed, &mut expected] {
            list.sort_by_key(Value::to_string);
        }
        assert_eq!(summed, expected, "{capture}");
    }
}

#[test]
fn a_question_for_an_hour_reads_that_hour_alone() {
    let folder = tempfile::tempdir().unwrap();
    both("events", &captures(), folder.path());
    let table = table(&folder.path().join("events.parquet"));
    let hours = query(&format!("SELECT DISTINCT date, hour FROM {table}"));
    assert!(hours.len() > 2, "{hours:?}");
    let one = hours.iter().find(|it| it["hour"] == 21).unwrap();
    let (date, hour) = (&one["date"], &one["hour"]);
    let plan = query(&format!(
        "EXPLAIN SELECT count(src) FROM {table} WHERE date = DATE '{}' AND hour = {hour}",
        date.as_str().unwrap()
    ));
    let plan = plan[0]["explain_value"].as_str().unwrap();
    let files = names(&folder.path().join("events.parquet")).len();
    assert!(plan.contains(&format!("1/{files}")), "{plan}");
}

#[test]
fn a_run_that_is_killed_leaves_no_file_that_a_reader_takes() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("events.parquet");
    let arguments = ["-q", "--rows", "none", "--events", place.to_str().unwrap()];
    let mut child = Command::new(PROGRAM)
        .args(["replay", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let capture = std::fs::read(file("captures/ngrok.pcap")).unwrap();
    // Most of it, and the pipe stays open.
    let mut input = child.stdin.take().unwrap();
    input.write_all(&capture[..capture.len() - 1000]).unwrap();
    while !place.exists() || names(&place).is_empty() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it wrote"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let left = names(&place);
    let is_hidden = |name: &String| name.contains("/.") && name.ends_with(".partial");
    assert!(left.iter().all(is_hidden), "{left:?}");
    // The next run removes it, says so, and has everything.
    let output = Command::new(PROGRAM)
        .args(["replay", file("captures/ngrok.pcap").to_str().unwrap()])
        .args(&arguments[1..])
        .output()
        .unwrap();
    stdout(&output);
    let said = stderr(&output);
    assert!(said.contains("1 unfinished files"), "{said}");
    assert_eq!(names(&place).len(), 1);
    let count = query(&format!("SELECT count(*) AS n FROM {}", table(&place)));
    assert_eq!(count[0]["n"], 532);
}

#[test]
fn what_cannot_be_a_folder_of_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let capture = file("captures/ngrok.pcap");
    let says = |arguments: &[&str], parts: &[&str]| {
        let output = Command::new(PROGRAM)
            .args(["replay", capture.to_str().unwrap(), "-q"])
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        for part in parts {
            assert!(stderr(&output).contains(part), "{}", stderr(&output));
        }
    };
    std::fs::write(folder.path().join("file.parquet"), "").unwrap();
    says(&["--rows", "r.parquet"], &["--rows cannot", ".jsonl"]);
    says(&["--risk", "r.parquet"], &["--risk cannot", ".jsonl"]);
    says(&["--events", "file.parquet"], &["it is a file"]);
    says(&["--events", "no/e.parquet"], &["mkdir -p no"]);
    says(
        &["--events", "e.parquet", "--event-format", "ecs"],
        &["in our own words"],
    );
}
