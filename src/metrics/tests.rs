//! What a scrape says, against what `--stats` says.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Form, exposition};
use crate::stats::{Delivery, RuleHits, Stats};
use crate::time::Timestamp;

/// Statistics in which every counter has another value.
fn counted() -> Stats {
    let mut stats = Stats {
        version: "0.0.0",
        ..Stats::default()
    };
    stats.capture.received = 11;
    stats.capture.kernel_dropped = 12;
    stats.capture.last = Some(Timestamp::from_nanos(1_700_000_000_500_000_000));
    stats.packets.udp = 21;
    stats.packets.too_deep = 22;
    stats.messages.query = 31;
    stats.messages.response = 32;
    stats.streams.gaps = 41;
    stats.rows.hits = 51;
    stats.risk.events = 61;
    stats.events.evicted = 71;
    stats.filters.removed = 81;
    stats.hosts.clients = 91;
    stats.encrypted_dns.doh = 101;
    stats.reloads.refused = 111;
    stats.tables.transactions = 121;
    let hits = |rule: &str, hits| RuleHits {
        rule: rule.to_owned(),
        hits,
    };
    stats.rules = vec![hits("Ngrok \"quoted\" \\ and\nmore", 131), hits("B", 132)];
    stats.deliveries = [("rows", 141), ("hits", 142)]
        .map(|(stream, left)| Delivery {
            place: "hec+https://splunk.example".to_owned(),
            stream: stream.to_owned(),
            delivered: 151,
            left,
            ..Delivery::default()
        })
        .to_vec();
    stats
}

/// The samples of a scrape by name and labels, read as simply as the format allows.
fn samples(text: &str) -> BTreeMap<String, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The oracle is the JSON of `--stats`: each number in it that is known while the run goes on is in the scrape, under the
/// name that follows from its place.
#[test]
fn every_number_of_the_statistics_is_a_metric() {
    let samples = samples(&exposition(counted(), Form::Text).unwrap());
    let Value::Object(sections) = serde_json::to_value(counted()).unwrap() else {
        panic!("no object")
    };
    let mut seen = 0;
    for (section, value) in &sections {
        // Counted at the end alone.
        if section == "hidden_clients" {
            continue;
        }
        let Value::Object(counters) = value else {
            continue;
        };
        for (counter, value) in counters {
            // Times are no numbers there.
            let Some(value) = value.as_u64() else {
                continue;
            };
            let names = [
                format!("dnsterrier_{section}_{counter}_total"),
                format!("dnsterrier_{section}_total{{outcome=\"{counter}\"}}"),
                format!("dnsterrier_{section}_total{{kind=\"{counter}\"}}"),
                format!("dnsterrier_{section}_entries{{table=\"{counter}\"}}"),
            ];
            let found: Vec<f64> = names
                .iter()
                .filter_map(|name| samples.get(name).copied())
                .collect();
            assert_eq!(found, [value as f64], "{section}.{counter}");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
    assert_eq!(samples["dnsterrier_rule_hits_total{rule=\"B\"}"], 132.0);
    assert_eq!(
        samples["dnsterrier_rule_hits_total{rule=\"Ngrok \\\"quoted\\\" \\\\ and\\nmore\"}"],
        131.0
    );
    let delivery = |name: &str, stream: &str| {
        let place = "hec+https://splunk.example";
        samples[&format!("dnsterrier_delivery_{name}{{place=\"{place}\",stream=\"{stream}\"}}")]
    };
    let Some(Value::Object(first)) = sections["deliveries"].get(0) else {
        panic!("no delivery")
    };
    for (name, value) in first.iter().filter(|(_, value)| value.is_number()) {
        let name = match name.as_str() {
            "left" => "left".to_owned(),
            counter => format!("{counter}_total"),
        };
        assert_eq!(Some(delivery(&name, "rows")), value.as_f64(), "{name}");
    }
    assert_eq!(delivery("left", "hits"), 142.0);
    assert_eq!(
        samples["dnsterrier_capture_last_timestamp_seconds"],
        1_700_000_000.0
    );
    assert!(samples["process_resident_memory_bytes"] > 1e6);
}

/// The table of `docs/metrics.md` is the scrape's own names, kinds and words, in its order.
#[test]
fn the_documentation_has_each_metric() {
    let text = exposition(counted(), Form::Text).unwrap();
    let mut wanted = String::new();
    let mut says = "";
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            says = help.split_once(' ').unwrap().1;
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            let labels: std::collections::BTreeSet<&str> = text
                .lines()
                .filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'))
                .flat_map(|labels| labels.split(','))
                .filter_map(|label| Some(label.split_once('=')?.0))
                .collect();
            let labels: Vec<&str> = labels.into_iter().collect();
            let labels = labels.join(", ");
            wanted += &format!("| `{name}` | {kind} | {labels} | {says} |\n");
        }
    }
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md"));
    let docs = docs.unwrap();
    let table: String = docs
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(table == wanted, "the table must be:\n{wanted}");
}

/// Each name that the dashboard asks for is one that a scrape has.
#[test]
fn the_dashboard_asks_for_what_there_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/grafana/dnsterrier.json");
    let text = std::fs::read_to_string(path).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let samples = samples(&exposition(counted(), Form::Text).unwrap());
    let exist = |name: &str| {
        samples
            .keys()
            .any(|sample| sample.split('{').next() == Some(name))
    };
    let mut asked = 0;
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array());
    for target in targets.flatten() {
        let query = target["expr"].as_str().unwrap();
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names =
            words.filter(|word| word.starts_with("dnsterrier_") || word.starts_with("process_"));
        for name in names {
            assert!(exist(name), "{query}: there is no {name}");
            asked += 1;
        }
    }
    assert!(asked > 10, "{asked}");
}

#[test]
fn promtool_accepts_the_text() {
    let Ok(mut promtool) = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        panic!("promtool is not there: scripts/test installs it (Debian's package prometheus)")
    };
    let text = exposition(counted(), Form::Text).unwrap();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}\n{text}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn open_metrics_ends_with_its_mark_and_says_the_same() {
    let open = exposition(counted(), Form::OpenMetrics).unwrap();
    assert!(open.ends_with("# EOF\n"));
    assert_eq!(open.matches("# EOF").count(), 1);
    let (mut open, mut text) = (
        samples(&open),
        samples(&exposition(counted(), Form::Text).unwrap()),
    );
    // It may change between the two.
    for both in [&mut open, &mut text] {
        both.remove("process_resident_memory_bytes").unwrap();
    }
    assert_eq!(open, text);
}
