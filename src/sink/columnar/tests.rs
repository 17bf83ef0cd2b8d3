use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::event::Field;

/// What the types are held against: the schemas that the JSON of these streams is held against.
const EVENT: &str = include_str!("../../../docs/event.schema.json");
const HIT: &str = include_str!("../../../docs/hit.schema.json");
const SOURCE: &str = include_str!("../../../docs/source.schema.json");

fn types(schema: &str) -> Value {
    let mut schema: Value = serde_json::from_str(schema).unwrap();
    schema["properties"].take()
}

/// A column as a JSON Schema's `type`, and `format` where it is a time.
fn said(holds: schema::Holds) -> (&'static str, bool) {
    match holds {
        schema::Holds::Text => ("string", false),
        schema::Holds::Whole => ("integer", false),
        schema::Holds::Decimal => ("number", false),
        schema::Holds::Flag => ("boolean", false),
        schema::Holds::Time => ("string", true),
    }
}

#[test]
fn every_column_has_the_type_that_the_schema_of_its_stream_says() {
    for (stream, schema) in [
        (Stream::Events, EVENT),
        (Stream::Hits, HIT),
        (Stream::Sources, SOURCE),
    ] {
        let mut properties = types(schema);
        for column in schema::columns(stream, &super::super::columns(stream, &[])).unwrap() {
            let property = properties[&column.name].take();
            let (property, holds) = match column.shape {
                schema::Shape::One(holds) => (property, holds),
                schema::Shape::Many(holds) => {
                    assert_eq!(property["type"], "array", "{}", column.name);
                    (property["items"].clone(), holds)
                }
                schema::Shape::Records(parts) => {
                    let mut all = property["items"]["properties"].clone();
                    for (name, holds) in parts {
                        assert_eq!(all[*name].take()["type"], said(*holds).0, "{name}");
                    }
                    assert!(all.as_object().unwrap().values().all(Value::is_null));
                    continue;
                }
            };
            let (word, is_time) = said(holds);
            assert_eq!(property["type"], word, "{}", column.name);
            let format = &property["format"];
            assert_eq!(format == "date-time", is_time, "{}", column.name);
        }
        // All have a column; `stream` is for standard output.
        for (name, property) in properties.as_object().unwrap() {
            assert!(property.is_null() || name == "stream", "{stream}: {name}");
        }
    }
    assert!(Field::ALL.len() > 50);
}

/// A folder with what a run would write, and the names of its files.
fn names(folder: &Path) -> Vec<String> {
    let mut list: Vec<String> = files(folder)
        .unwrap()
        .iter()
        .map(|path| path.strip_prefix(folder).unwrap().display().to_string())
        .collect();
    list.sort();
    list
}

fn dataset(folder: &Path, live: bool) -> Dataset {
    let columns = super::super::columns(Stream::Events, &[]);
    Dataset::open(folder, Stream::Events, &columns, live).unwrap()
}

fn event(time: &str) -> Value {
    json!({ "_time": time, "host": ".ber/lin", "answer": ["a", "b"], "edns_do": true })
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

#[test]
fn a_replay_has_files_at_its_end_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("a.parquet");
    let mut failing = dataset(&folder, false);
    failing
        .write(&event("2026-11-24T14:59:59.000000Z"))
        .unwrap();
    assert!(names(&folder)[0].contains("/hour=14/.berlin-20261124T145959Z-1-"));
    drop(failing);
    assert_eq!(names(&folder), [""; 0]);
    let mut whole = dataset(&folder, false);
    // More hours than files are open at once, and back again.
    for hour in (0..10).chain(0..10) {
        let time = format!("2026-11-24T{hour:02}:00:00.000000Z");
        whole.write(&event(&time)).unwrap();
    }
    assert!(names(&folder).iter().all(|name| name.contains("/.")));
    assert!(whole.parts.len() <= OPEN);
    whole.finish().unwrap();
    assert_eq!(whole.written(), 20);
    let names = names(&folder);
    assert!(names.len() > 10, "{names:?}");
    assert!(
        names
            .iter()
            .all(|name| !name.contains("/.") && name.ends_with(".parquet"))
    );
}

#[test]
fn files_of_a_live_run_get_their_names_by_and_by() {
    let folder = tempfile::tempdir().unwrap();
    let mut live = dataset(folder.path(), true);
    let whole = || {
        let names = names(folder.path());
        names.iter().filter(|name| !name.contains("/.")).count()
    };
    let advance = |live: &mut Dataset, rotation, over: Option<&str>, now| {
        live.advance(rotation, over.map(time), time(now)).unwrap();
        whole()
    };
    let none = Rotation::default();
    let hourly = Rotation::new(None, Some(std::time::Duration::from_secs(3_600)));
    live.write(&event("2026-11-24T14:40:00.000000Z")).unwrap();
    assert_eq!(advance(&mut live, none, None, "2026-11-24T14:40:01Z"), 0);
    assert_eq!(advance(&mut live, hourly, None, "2026-11-24T14:50:01Z"), 0);
    assert_eq!(advance(&mut live, none, None, "2026-11-24T14:50:01Z"), 1);
    live.write(&event("2026-11-24T14:51:00.000000Z")).unwrap();
    assert_eq!(advance(&mut live, hourly, None, "2026-11-24T14:51:00Z"), 1);
    // Late ones of an hour that is over come with it.
    assert_eq!(advance(&mut live, hourly, None, "2026-11-24T15:00:30Z"), 1);
    assert_eq!(advance(&mut live, hourly, None, "2026-11-24T15:01:00Z"), 2);
    live.write(&event("2026-11-24T15:01:00.000000Z")).unwrap();
    let over = Some("2026-11-24T16:00:00Z");
    assert_eq!(advance(&mut live, hourly, over, "2026-11-24T15:02:00Z"), 3);
    // What is there at an early end is kept.
    live.write(&event("2026-11-24T15:03:00.000000Z")).unwrap();
    drop(live);
    assert_eq!(whole(), 4);
    assert_eq!(names(folder.path()).len(), 4);
}

#[test]
fn what_a_crash_left_is_removed_and_what_another_run_writes_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = dataset(folder.path(), true);
    other.write(&event("2026-11-24T14:40:00.000000Z")).unwrap();
    let hour = folder.path().join("date=2026-11-24/hour=14");
    for name in [".a.parquet.partial", ".b.parquet", "c.parquet.partial"] {
        fs::write(hour.join(name), "PAR1").unwrap();
    }
    assert_eq!(dataset(folder.path(), true).removed(), 1);
    assert!(!hour.join(".a.parquet.partial").exists());
    other.finish().unwrap();
    assert_eq!(names(folder.path()).len(), 3);
}

#[test]
fn what_has_no_column_does_not_vanish() {
    let folder = tempfile::tempdir().unwrap();
    let time = "2026-11-24T14:40:00.000000Z";
    for (odd, part) in [
        (json!({ "_time": time, "surprise": 1 }), "without a column"),
        (
            json!({ "_time": time, "query": 1 }),
            "query is of another type",
        ),
        (
            json!({ "_time": time, "vlan": ["1"] }),
            "vlan is of another type",
        ),
        (json!({ "query": "a" }), "without a time"),
    ] {
        let mut dataset = dataset(folder.path(), true);
        let error = dataset.write(&odd).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        drop(dataset);
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
fn what_depends_on_the_rules_is_refused() {
    for stream in [Stream::Rows, Stream::Risk] {
        let error = schema::columns(stream, &[]).unwrap_err().to_string();
        assert!(error.contains(".jsonl or .csv"), "{error}");
    }
}
