//! `--assets`: what an organisation knows of its addresses, in events, in rules and in rows.

use serde_json::{Value, json};

use super::{capture, dnsterrier, json_lines};

const LIST: &str = "ip,nt_host,owner,priority,bunit,category,cim_entity_zone\n\
    10.9.0.0/24,,,low,clients,,\n\
    10.9.0.11|10.9.0.12,ws11,anna,high,engineering,laptop|pci,\n\
    fd00:9::/64,,,,,v6,\n\
    10.9.0.53,dc01,,critical,it,dns_server,\n";

#[test]
fn assets_fill_the_fields_of_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("assets.csv");
    std::fs::write(&list, LIST).unwrap();
    let rule = folder.path().join("rule.yaml");
    std::fs::write(
        &rule,
        "name: laptops\nwhere: { query: '*', src_category: laptop, dest_category: dns_server }\n\
         by: [src, src_bunit, src_category, dest_priority]\naggregate: { count: count }\n",
    )
    .unwrap();
    let events = folder.path().join("events.jsonl");
    let run = dnsterrier([
        "replay",
        &capture("ngrok.pcap"),
        "--assets",
        list.to_str().unwrap(),
        "--rules",
        rule.to_str().unwrap(),
        "--rule",
        "laptops",
        "--format",
        "jsonl",
        "--events",
        events.to_str().unwrap(),
    ]);
    assert!(run.status.success(), "{run:?}");
    let events = json_lines(&std::fs::read_to_string(&events).unwrap());
    let mut counts = std::collections::BTreeMap::<&str, u64>::new();
    for event in &events {
        let src = event["src"].as_str().unwrap();
        let known: (Value, Value, Value) = match src {
            "10.9.0.11" | "10.9.0.12" => (
                json!("engineering"),
                json!(["laptop", "pci"]),
                json!("high"),
            ),
            _ if src.starts_with("10.9.0.") => (json!("clients"), json!([]), json!("low")),
            _ if src.starts_with("fd00:9:") => (Value::Null, json!(["v6"]), Value::Null),
            _ => (Value::Null, Value::Null, Value::Null),
        };
        let said = ["src_bunit", "src_category", "src_priority"].map(|field| event[field].clone());
        assert_eq!(said, [known.0, known.1, known.2], "{event}");
        if event["dest"] == "10.9.0.53" {
            assert_eq!(event["dest_category"], json!(["dns_server"]));
            if ["10.9.0.11", "10.9.0.12"].contains(&src) {
                *counts.entry(src).or_default() += 1;
            }
        }
    }
    // The rows are what the events add up to: each of the two categories is a group.
    let rows = json_lines(&String::from_utf8(run.stdout).unwrap());
    assert_eq!(rows.len(), 2 * counts.len());
    for row in &rows {
        assert_eq!(row["count"], counts[row["src"].as_str().unwrap()], "{row}");
        assert_eq!(row["src_bunit"], "engineering");
        assert_eq!(row["dest_priority"], "critical");
    }
}

#[test]
fn a_list_with_mistakes_is_refused_with_each_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("assets.csv");
    std::fs::write(&list, "ip,bunitt\n10.0.0.256,x\n").unwrap();
    let run = dnsterrier([
        "replay",
        &capture("ngrok.pcap"),
        "--assets",
        list.to_str().unwrap(),
    ]);
    assert_eq!(run.status.code(), Some(3));
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(
        said.contains("assets.csv:1: there is no column 'bunitt'"),
        "{said}"
    );
    assert!(
        said.contains("assets.csv:2: '10.0.0.256' is no address"),
        "{said}"
    );
}
