//! Every function of a rule's columns over a real capture. What they must say is worked out here from `--events`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{capture, dnsterrier, json_lines, out, stdout};

const RULE: &str = r#"
name: everything
where: { query: "*" }
by: [src]
aggregate:
  count: count
  first: min(_time)
  last: max(_time)
  first_name: min(query)
  last_name: max(query)
  names: dc(query)
  types: values(record_type)
  ttl_min: min(ttl)
  ttl_max: max(ttl)
  ttl_total: sum(ttl)
  ttl_avg: avg(ttl)
  ttl_stdev: stdev(ttl)
  time_total: sum(duration)
  time_stdev: stdev(duration)
  code_max: max(reply_code_id)
  sizes: sum(answer_length)
"#;

/// The rule, with lines added to it, in a folder of its own.
fn rule(more: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.yaml");
    std::fs::write(&path, format!("{RULE}{more}")).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

/// Replays a capture with that rule alone.
fn with_rule<'a>(capture: &'a str, rule: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![capture, "--quiet", "--no-embedded", "--rules", rule];
    arguments.extend(more);
    arguments
}

/// What a list of numbers says.
fn figures(list: &[f64]) -> [Value; 5] {
    let (sum, count) = (list.iter().sum::<f64>(), list.len() as f64);
    let squares: f64 = list
        .iter()
        .map(|number| (number - sum / count).powi(2))
        .sum();
    let some = |number: f64| {
        if list.is_empty() {
            Value::Null
        } else {
            json!(number)
        }
    };
    [
        json!(list.iter().copied().reduce(f64::min)),
        json!(list.iter().copied().reduce(f64::max)),
        some(sum),
        some(sum / count),
        json!((list.len() > 1).then(|| (squares / (count - 1.0)).sqrt())),
    ]
}

fn near(found: &Value, expected: &Value) -> bool {
    match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-8,
        _ => found == expected,
    }
}

/// The events by their sources.
fn events(path: &str) -> BTreeMap<String, Vec<Value>> {
    let mut by_source = BTreeMap::<String, Vec<Value>>::new();
    let text = out(&[path, "--quiet", "--rows", "none", "--events", "-"]);
    for event in json_lines(&text) {
        let src = event["src"].as_str().unwrap().to_owned();
        by_source.entry(src).or_default().push(event);
    }
    by_source
}

#[test]
fn every_function_says_what_the_events_say() {
    for name in ["ngrok.pcap", "unanswered.pcap", "tcp.pcap"] {
        let path = capture(name);
        let (_folder, rule) = rule("");
        let rows = json_lines(&out(&with_rule(&path, &rule, &["--format", "jsonl"])));
        let events = events(&path);
        assert_eq!(rows.len(), events.len(), "{name}");
        let mut nulls = 0;
        for row in &rows {
            let events = &events[row["src"].as_str().unwrap()];
            let texts = |field: &str| -> BTreeSet<&str> {
                events
                    .iter()
                    .filter_map(|event| event[field].as_str())
                    .collect()
            };
            let numbers = |field: &str| -> Vec<f64> {
                events
                    .iter()
                    .filter_map(|event| event[field].as_f64())
                    .collect()
            };
            let [ttl_min, ttl_max, ttl_total, ttl_avg, ttl_stdev] = figures(&numbers("ttl"));
            let [_, _, time_total, _, time_stdev] = figures(&numbers("duration"));
            let codes = texts("reply_code_id");
            let codes: Vec<f64> = codes.iter().filter_map(|code| code.parse().ok()).collect();
            let sizes: Vec<f64> = events
                .iter()
                .flat_map(|event| event["answers"].as_array().unwrap())
                .map(|answer| answer["data"].as_str().unwrap().len() as f64)
                .collect();
            let (names, times) = (texts("query"), texts("_time"));
            for (column, expected) in [
                ("count", json!(events.len())),
                ("first", json!(times.first())),
                ("last", json!(times.last())),
                ("first_name", json!(names.first())),
                ("last_name", json!(names.last())),
                ("names", json!(names.len())),
                ("types", json!(texts("record_type"))),
                ("ttl_min", ttl_min),
                ("ttl_max", ttl_max),
                ("ttl_total", ttl_total),
                ("ttl_avg", ttl_avg),
                ("ttl_stdev", ttl_stdev),
                ("time_total", time_total),
                ("time_stdev", time_stdev),
                ("code_max", figures(&codes)[1].clone()),
                ("sizes", figures(&sizes)[2].clone()),
            ] {
                let found = row.get(column).unwrap();
                assert!(
                    near(found, &expected),
                    "{name}: {column} is {found}, not {expected}: {row}"
                );
                nulls += usize::from(found.is_null());
            }
            assert_eq!(row.get("names_estimated"), None);
        }
        assert!(
            name != "unanswered.pcap" || nulls > 0,
            "where nobody answers there is no TTL"
        );
    }
}

#[test]
fn what_does_not_come_to_the_thresholds_is_counted_and_not_written() {
    let path = capture("ngrok.pcap");
    let (_folder, rule) = rule(
        "having: { count: { \">\": 20, \"!=\": 58 }, names: { \"<\": 60 }, types: { \">=\": 2 } }\n",
    );
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("stats.json");
    let more = [
        "--format",
        "jsonl",
        "--stats",
        stats.to_str().unwrap(),
        "--hits",
        "none",
    ];
    let rows = json_lines(&out(&with_rule(&path, &rule, &more)));
    let events = events(&path);
    let distinct = |events: &[Value], field: &str| {
        let values: BTreeSet<&str> = events
            .iter()
            .filter_map(|event| event[field].as_str())
            .collect();
        values.len()
    };
    let (mut written, mut back) = (BTreeMap::new(), Vec::new());
    for (src, events) in &events {
        let passes = events.len() > 20
            && events.len() != 58
            && distinct(events, "query") < 60
            && distinct(events, "record_type") >= 2;
        if passes {
            written.insert(src.clone(), events.len() as u64);
        } else {
            back.push(events.len() as u64);
        }
    }
    assert!(
        !written.is_empty() && !back.is_empty(),
        "{written:?} {back:?}"
    );
    let found: BTreeMap<String, u64> = rows
        .iter()
        .map(|row| {
            (
                row["src"].as_str().unwrap().to_owned(),
                row["count"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, written);
    let stats: Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
    let of_rows = &stats["rows"];
    assert_eq!(of_rows["rows"], written.len());
    assert_eq!(of_rows["held_back"], back.len());
    assert_eq!(of_rows["counted_held_back"], back.iter().sum::<u64>());
    let holds = |identity: &Value| identity["holds"] == true;
    assert!(stats["identities"].as_array().unwrap().iter().all(holds));

    // Hits and sources are of lookups, not of rows.
    let hits = out(&with_rule(&path, &rule, &["--rows", "none", "--hits", "-"]));
    assert_eq!(
        hits.lines().count(),
        events.values().map(Vec::len).sum::<usize>()
    );
    let sources = out(&with_rule(
        &path,
        &rule,
        &["--rows", "none", "--sources", "-"],
    ));
    assert_eq!(sources.lines().count(), events.len());

    // Where nothing is written there was no row to fail on.
    let (_folder, none) = self::rule("having: { count: { \">\": 1000000 } }\n");
    let output = dnsterrier(with_rule(
        &path,
        &none,
        &["--fail-on-hit", "--format", "jsonl"],
    ));
    assert_eq!(stdout(&output), "");
}

/// CSV has a column for whatever may stand beside one; a table shows what is one value.
#[test]
fn csv_and_tables_have_the_columns() {
    let path = capture("ngrok.pcap");
    let (_folder, rule) = rule("");
    let json = json_lines(&out(&with_rule(&path, &rule, &["--format", "jsonl"])));
    let csv = out(&with_rule(&path, &rule, &["--format", "csv"]));
    let mut lines = csv.lines();
    let titles: Vec<&str> = lines.next().unwrap().split(',').collect();
    let place = |name: &str| titles.iter().position(|title| *title == name).unwrap();
    for further in [
        "names_estimated",
        "names_values",
        "names_sketch",
        "types_cut",
        "ttl_stdev_sumsq",
        "ttl_avg_count",
    ] {
        place(further);
    }
    for (line, row) in lines.zip(&json) {
        let cells: Vec<&str> = line.split(',').collect();
        for column in [
            "count",
            "names",
            "ttl_avg",
            "ttl_stdev",
            "time_total",
            "last_name",
        ] {
            let expected = match &row[column] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                number => number.to_string(),
            };
            assert_eq!(cells[place(column)], expected, "{column}: {line}");
        }
        assert_eq!(
            cells[place("ttl_stdev_sumsq")],
            "",
            "a whole row has no parts"
        );
    }
    let table = out(&with_rule(&path, &rule, &[]));
    let titles: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    let after = titles.iter().position(|title| *title == "N").unwrap();
    assert_eq!(
        titles[after + 1..after + 7],
        [
            "FIRST_NAME",
            "LAST_NAME",
            "NAMES",
            "TTL_MIN",
            "TTL_MAX",
            "TTL_TOTAL"
        ]
    );
    let first: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(first[after + 3], json[0]["names"].to_string());
}
