//! `--event-format`: what every capture becomes holds to the published lists of fields (`tests/formats/`), is read back by a
//! reader of its own, and says what tshark says.

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

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use common::{captures, dnsterrier, file, json_lines, stderr, stdout};
use serde_json::{Map, Value};

/// A stream of a capture in a format, as text.
fn replay(capture: &Path, stream: &str, format: &str) -> String {
    let stream = format!("--{stream}");
    let mut arguments = vec!["replay", capture.to_str().unwrap(), "--quiet"];
    arguments.extend(["--sensor", "lab", "--rows", "none", &stream, "-"]);
    arguments.extend(["--event-format", format]);
    stdout(&dnsterrier(arguments))
}

fn events(capture: &Path) -> Vec<Value> {
    let events = json_lines(&replay(capture, "events", "cim"));
    assert!(!events.is_empty(), "{}", capture.display());
    events
}

fn list(name: &str) -> Value {
    let path = file(&format!("tests/formats/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn holds_to(schema: &str, records: &[Value], what: &Path) {
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&list(schema))
        .unwrap();
    for record in records {
        let errors: Vec<String> = validator
            .iter_errors(record)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(
            errors.is_empty(),
            "{}: {errors:#?}\n{record:#}",
            what.display()
        );
    }
}

/// Calls `take` with each value that is no object, with its path in dots; those of lists one by one.
fn each_leaf(path: &str, value: &Value, take: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let inner = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                each_leaf(&inner, value, take);
            }
        }
        Value::Array(values) => {
            for value in values {
                each_leaf(path, value, take);
            }
        }
        leaf => take(path, leaf),
    }
}

/// The type of ECS that a value has to have.
fn is_of_type(kind: &str, value: &Value) -> bool {
    let text = value.as_str();
    match kind {
        "keyword" | "match_only_text" => text.is_some(),
        "date" => text.is_some_and(|text| text.ends_with('Z') && text.as_bytes()[10] == b'T'),
        "ip" => text.is_some_and(|text| text.parse::<IpAddr>().is_ok()),
        "long" => value.is_i64() || value.is_u64(),
        "float" => value.is_number(),
        other => panic!("what is {other}?"),
    }
}

#[test]
fn ecs_has_the_fields_of_the_schema() {
    let list = list("ecs");
    let mut seen = BTreeSet::new();
    for capture in captures() {
        let events = events(&capture);
        let documents = json_lines(&replay(&capture, "events", "ecs"));
        assert_eq!(documents.len(), events.len());
        let hits = json_lines(&replay(&capture, "hits", "ecs"));
        assert!(hits.iter().all(|hit| hit["rule"]["name"].is_string()));
        for mut document in documents.into_iter().chain(hits) {
            // What is ours stands under our name, as ECS asks for.
            assert!(
                document
                    .as_object_mut()
                    .unwrap()
                    .shift_remove("dnsterrier")
                    .is_some()
            );
            each_leaf("", &document, &mut |path, value| {
                let kind = list["fields"][path].as_str();
                let kind = kind.unwrap_or_else(|| panic!("{path} is no field of ECS"));
                assert!(is_of_type(kind, value), "{path} is {kind}: {value}");
                if let Some(allowed) = list["values"].get(path) {
                    assert!(
                        allowed.as_array().unwrap().contains(value),
                        "{path}: {value}"
                    );
                }
                seen.insert(path.to_owned());
            });
        }
    }
    // The captures have something for each.
    for path in [
        "dns.answers.class",
        "dns.question.subdomain",
        "dns.resolved_ip",
        "network.vlan.id",
        "event.duration",
        "client.mac",
        "related.hosts",
        "rule.name",
    ] {
        assert!(seen.contains(path), "{path} is in no document");
    }
}

#[test]
fn ecs_says_what_the_events_say() {
    for capture in captures() {
        let documents = json_lines(&replay(&capture, "events", "ecs"));
        for (event, document) in events(&capture).iter().zip(&documents) {
            assert_eq!(document["@timestamp"], event["_time"]);
            assert_eq!(document["event"]["id"], event["event_id"]);
            // dnstap that does not say who asked.
            let is_missing = event["src"] == "0.0.0.0";
            assert_eq!(document["client"]["ip"].is_null(), is_missing);
            assert!(is_missing || document["client"]["ip"] == event["src"]);
            assert_eq!(document["destination"]["port"], event["dest_port"]);
            let question = &document["dns"]["question"];
            assert_eq!(question.is_null(), event["record_type"] == "unknown");
            assert!(question.is_null() || question["name"] == event["query"]);
            let answers = document["dns"]["answers"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let theirs = event["answers"].as_array().unwrap();
            assert_eq!(answers.len(), theirs.len());
            for (answer, theirs) in answers.iter().zip(theirs) {
                for key in ["name", "type", "ttl", "data"] {
                    assert_eq!(answer[key], theirs[key]);
                }
                assert_eq!(answer["class"], "IN");
            }
        }
    }
}

#[test]
fn ocsf_holds_to_its_classes() {
    let mut findings = 0;
    for capture in captures() {
        let activities = json_lines(&replay(&capture, "events", "ocsf"));
        let events = events(&capture);
        assert_eq!(activities.len(), events.len());
        holds_to("ocsf-dns-activity.schema", &activities, &capture);
        for (event, activity) in events.iter().zip(&activities) {
            assert_eq!(activity["metadata"]["uid"], event["event_id"]);
            let client = &activity["src_endpoint"]["ip"];
            assert!(client == &event["src"] || client.is_null() && event["src"] == "0.0.0.0");
            let both = event["name"] == "DNS transaction";
            assert_eq!(activity["activity_id"] == 6, both);
            assert_eq!(activity.get("duration").is_some(), both);
        }
        let risks = json_lines(&replay(&capture, "risk", "cim"));
        let found = json_lines(&replay(&capture, "risk", "ocsf"));
        assert_eq!(found.len(), risks.len());
        holds_to("ocsf-detection-finding.schema", &found, &capture);
        for (risk, finding) in risks.iter().zip(&found) {
            assert_eq!(finding["metadata"]["uid"], risk["event_id"]);
            assert_eq!(finding["finding_info"]["title"], risk["search_name"]);
            assert_eq!(finding["message"], risk["risk_message"]);
            assert_eq!(finding["risk_score"], risk["risk_score"]);
            assert_eq!(finding["resources"][0]["name"], risk["risk_object"]);
            let severity = risk["severity"].as_str().unwrap();
            assert!(
                finding["severity"]
                    .as_str()
                    .unwrap()
                    .eq_ignore_ascii_case(severity)
            );
        }
        findings += found.len();
    }
    assert!(findings > 5, "only {findings} risk events in all captures");
}

#[test]
fn eve_holds_to_suricatas_schema() {
    for capture in captures() {
        let events = events(&capture);
        let records = json_lines(&replay(&capture, "events", "eve"));
        holds_to("eve-dns.schema", &records, &capture);
        let count = |kind: &str| {
            let of_kind = records
                .iter()
                .filter(|record| record["dns"]["type"] == kind);
            of_kind.count()
        };
        let seen = |name: &str| events.iter().filter(|event| event["name"] == name).count();
        let both = seen("DNS transaction");
        assert_eq!(count("request"), both + seen("DNS query without response"));
        assert_eq!(count("response"), both + seen("DNS response without query"));
        // Both messages of a lookup have its flow, and no other has.
        let flows: BTreeSet<u64> = records
            .iter()
            .map(|record| record["flow_id"].as_u64().unwrap())
            .collect();
        assert_eq!(flows.len(), events.len());
    }
}

/// A reader of Zeek's logs, by the lines that they begin with.
fn read_zeek(log: &str) -> Vec<Map<String, Value>> {
    let mut header = BTreeMap::new();
    let mut records = Vec::new();
    for line in log.lines() {
        if let Some(meta) = line.strip_prefix('#') {
            let (name, value) = meta.split_once([' ', '\t']).unwrap();
            header.insert(name.to_owned(), value.to_owned());
            continue;
        }
        assert!(!header.contains_key("close"), "a record after #close");
        assert_eq!(header["separator"], "\\x09");
        assert_eq!(header["path"], "dns");
        let names: Vec<&str> = header["fields"].split('\t').collect();
        let types: Vec<&str> = header["types"].split('\t').collect();
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(
            (names.len(), cells.len()),
            (types.len(), types.len()),
            "{line}"
        );
        let mut record = Map::new();
        for ((name, kind), cell) in names.iter().zip(types).zip(cells) {
            if cell == header["unset_field"] {
                continue;
            }
            let value = match kind.strip_prefix("vector[") {
                None => scalar(kind, cell, &header["empty_field"]),
                Some(kind) => cell
                    .split(header["set_separator"].as_str())
                    .map(|item| scalar(kind.trim_end_matches(']'), item, &header["empty_field"]))
                    .collect::<Vec<_>>()
                    .into(),
            };
            record.insert((*name).to_owned(), value);
        }
        records.push(record);
    }
    assert!(header.contains_key("open") && header.contains_key("close"));
    records
}

fn scalar(kind: &str, cell: &str, empty: &str) -> Value {
    match kind {
        "time" | "interval" => {
            let (_, fraction) = cell.split_once('.').unwrap();
            assert_eq!(fraction.len(), 6, "{cell}");
            Value::from(cell.parse::<f64>().unwrap())
        }
        "count" => Value::from(cell.parse::<u64>().unwrap()),
        "port" => Value::from(cell.parse::<u16>().unwrap()),
        "bool" => Value::from(match cell {
            "T" => true,
            "F" => false,
            other => panic!("{other} is no bool"),
        }),
        "addr" => {
            assert!(cell.parse::<IpAddr>().is_ok(), "{cell}");
            cell.into()
        }
        "enum" => {
            assert!(matches!(cell, "udp" | "tcp"), "{cell}");
            cell.into()
        }
        "string" if cell == empty => "".into(),
        // Other bytes than printable ASCII are in JSON as they are here; a backslash is alone there.
        "string" => cell.replace("\\x2c", ",").replace("\\\\", "\\").into(),
        other => panic!("what is {other}?"),
    }
}

#[test]
fn zeeks_log_is_read_back() {
    let fields = list("zeek-dns");
    let fields = fields["fields"].as_array().unwrap();
    for capture in captures() {
        let log = replay(&capture, "events", "zeek");
        let heading = |name: &str| {
            let line = log
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap();
            line.split('\t').map(Value::from).collect::<Vec<_>>()
        };
        for (name, place) in [("#fields\t", 0), ("#types\t", 1)] {
            let expected: Vec<Value> = fields.iter().map(|field| field[place].clone()).collect();
            assert_eq!(heading(name), expected);
        }
        let records = read_zeek(&log);
        let json = json_lines(&replay(&capture, "events", "zeek-json"));
        assert_eq!(records.len(), events(&capture).len());
        for (record, json) in records.into_iter().zip(json) {
            assert_eq!(Value::from(record), json, "{}", capture.display());
        }
    }
}

/// One response as tshark has it.
struct Seen {
    frame: u64,
    client: String,
    port: u64,
    id: u64,
    name: String,
    qtype: u64,
    rcode: u64,
    flags: String,
    rtt: Option<f64>,
    ttls: Vec<f64>,
    addresses: BTreeSet<String>,
    aliases: Vec<String>,
    /// There may be addresses of name servers among the addresses.
    has_additionals: bool,
}

/// Responses over UDP to one question, neither tunnelled nor in fragments, of which tshark knows the query.
fn by_tshark(capture: &Path) -> Vec<Seen> {
    const FIELDS: [&str; 17] = [
        "frame.number",
        "ip.dst",
        "ipv6.dst",
        "udp.dstport",
        "dns.id",
        "dns.qry.name",
        "dns.qry.type",
        "dns.flags.rcode",
        "dns.flags",
        "dns.time",
        "dns.count.answers",
        "dns.resp.ttl",
        "dns.a",
        "dns.aaaa",
        "dns.cname",
        "dns.count.queries",
        "dns.count.add_rr",
    ];
    let mut command = Command::new("tshark");
    command
        .arg("-n")
        .arg("-r")
        .arg(capture)
        .args(["-Y", "udp && dns.flags.response == 1 && dns.time"]);
    command.args(["-T", "fields", "-E", "separator=/t", "-E", "aggregator=,"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("tshark: {error}; scripts/test installs it"));
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).unwrap(),
        None => text.parse().unwrap(),
    };
    let many = |text: &str| {
        let items = text.split(',').filter(|item| !item.is_empty());
        items.map(str::to_owned).collect::<Vec<_>>()
    };
    text.lines()
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|cells| cells.len() == FIELDS.len() && cells[15] == "1" && !cells[1].contains(','))
        .map(|cells| {
            let answers = number(cells[10]) as usize;
            let ttls = many(cells[11]);
            Seen {
                frame: number(cells[0]),
                client: [cells[1], cells[2]].concat(),
                port: number(cells[3]),
                id: number(cells[4]),
                name: cells[5].to_ascii_lowercase().replace("<root>", ""),
                qtype: number(cells[6]),
                rcode: number(cells[7]),
                flags: cells[8]
                    .trim_start_matches("0x")
                    .trim_start_matches('0')
                    .to_owned(),
                rtt: cells[9].parse().ok(),
                ttls: ttls
                    .iter()
                    .take(answers)
                    .map(|ttl| ttl.parse().unwrap())
                    .collect(),
                addresses: many(cells[12]).into_iter().chain(many(cells[13])).collect(),
                aliases: many(cells[14]),
                has_additionals: number(cells[16]) > 0,
            }
        })
        .collect()
}

#[test]
fn zeek_and_eve_say_what_tshark_says() {
    let mut compared = 0;
    for name in [
        "ngrok.pcap",
        "unanswered.pcap",
        "vlan.pcap",
        "resolver-in-the-middle.pcap",
    ] {
        let capture = file(&format!("captures/{name}"));
        let records = json_lines(&replay(&capture, "events", "zeek-json"));
        let messages = json_lines(&replay(&capture, "events", "eve"));
        for seen in by_tshark(&capture) {
            // The packet's number leads to the message, the message's identity to Zeek's record.
            let Some(message) = messages.iter().find(|message| {
                message["pcap_cnt"] == seen.frame && message["dns"]["type"] == "response"
            }) else {
                continue;
            };
            assert_eq!(message["src_ip"], seen.client, "{name} {}", seen.frame);
            assert_eq!(message["src_port"], seen.port);
            assert_eq!(message["dns"]["id"], seen.id);
            assert_eq!(message["dns"]["flags"], seen.flags);
            assert_eq!(
                message["dns"]["queries"][0]["rrname"]
                    .as_str()
                    .unwrap()
                    .to_ascii_lowercase(),
                seen.name
            );
            let near = |value: &Value, rtt: f64| (value.as_f64().unwrap() - rtt).abs() < 2e-6;
            let record = records
                .iter()
                .find(|record| {
                    record["trans_id"] == seen.id
                        && record["id.orig_h"] == seen.client
                        && record["id.orig_p"] == seen.port
                        && record["query"] == seen.name
                        && seen.rtt.is_some_and(|rtt| {
                            record.get("rtt").is_some_and(|ours| near(ours, rtt))
                        })
                })
                .unwrap_or_else(|| panic!("{name}: no record for frame {}", seen.frame));
            assert_eq!(record["qtype"], seen.qtype);
            assert_eq!(record["rcode"], seen.rcode);
            let texts = |key: &str| {
                let list = record[key].as_array().cloned().unwrap_or_default();
                list.iter()
                    .map(|item| item.as_str().unwrap().to_owned())
                    .collect::<Vec<_>>()
            };
            let answers = texts("answers");
            let ttls: Vec<f64> = record["TTLs"]
                .as_array()
                .map(|ttls| ttls.iter().map(|ttl| ttl.as_f64().unwrap()).collect())
                .unwrap_or_default();
            assert_eq!(ttls, seen.ttls, "{name} {}", seen.frame);
            let (addresses, others): (Vec<String>, Vec<String>) = answers
                .into_iter()
                .partition(|answer| answer.parse::<IpAddr>().is_ok());
            let addresses: BTreeSet<String> = addresses.into_iter().collect();
            if seen.has_additionals {
                assert!(
                    addresses.is_subset(&seen.addresses),
                    "{name} {}",
                    seen.frame
                );
            } else {
                assert_eq!(addresses, seen.addresses, "{name} {}", seen.frame);
            }
            if !seen.aliases.is_empty() {
                assert_eq!(others, seen.aliases);
            }
            compared += 1;
        }
    }
    assert!(compared > 50, "only {compared} responses were compared");
}

#[test]
fn what_does_not_go_together_is_said_with_the_remedy() {
    let capture = file("captures/ngrok.pcap");
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (arguments, remedy) in [
        (
            ["--events", &place("e.csv"), "--event-format", "zeek"],
            "ending in .log",
        ),
        (
            ["--events", &place("e.log"), "--event-format", "eve"],
            "ending in .jsonl",
        ),
        (
            ["--events", &place("e.log"), "--format", "jsonl"],
            "--event-format zeek",
        ),
        (["--events", "-", "--event-format", "ecs"], "--rows none"),
        (
            ["--sources", &place("s.csv"), "--event-format", "ocsf"],
            "--events or --risk",
        ),
        (["--events", "-", "--event-format", "xml"], "zeek-json, eve"),
    ] {
        let output = dnsterrier(
            ["replay", capture.to_str().unwrap()]
                .into_iter()
                .chain(arguments),
        );
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            stderr(&output).contains(remedy),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is begun"
    );
}

/// What no lookup is in has no header either; rows stand beside events of another format in files.
#[test]
fn a_log_in_a_file_and_one_without_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dns.log");
    let place = path.to_str().unwrap();
    let capture = file("captures/ngrok.pcap");
    let capture = capture.to_str().unwrap();
    let format = ["--events", place, "--event-format", "zeek"];
    stdout(&dnsterrier(
        ["replay", capture, "-q"].into_iter().chain(format),
    ));
    let log = std::fs::read_to_string(&path).unwrap();
    assert_eq!(log.matches("#fields").count(), 1);
    assert!(!read_zeek(&log).is_empty());
    let later = ["--since", "2036-01-01"];
    stdout(&dnsterrier(
        ["replay", capture, "-q"]
            .into_iter()
            .chain(format)
            .chain(later),
    ));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
}
