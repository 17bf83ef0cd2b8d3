//! Lookups over a real capture: the rows that tshark gives, each with what a plain search of the table says of its name.

use serde_json::{Value, json};

use super::{capture, dnsterrier, json_lines, stdout};

const TABLE: &str = "\
name,owner,tier
tunnel.us.ngrok.com,operations,1
ngrok.io,visitors,2
ngrok.com,vendor,3
lennut.com,odd,4
";

/// The seed's rule, with a table.
const RULE: &str = r#"
name: Ngrok Reverse Proxy on Network
where: { query: ["*.ngrok.com", "*.ngrok.io", "ngrok.*.tunnel.com", "korgn.*.lennut.com"] }
lookup:
- file: owners.csv
  match: { query: { column: name, as: suffix } }
  output: [owner, tier]
  default: { owner: nobody }
by: [src, query, answer, owner]
aggregate: { count: count, firstTime: min(_time), lastTime: max(_time), tiers: values(tier), worst: max(tier) }
risk: { message: "$src$ asks what $owner$ has.", objects: [{ field: src, type: system, score: 10 }] }
"#;

fn folder(rule: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("owners.csv"), TABLE).unwrap();
    let path = folder.path().join("own.yaml");
    std::fs::write(&path, rule).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

/// The first line of the table that a name is in or below.
fn line_of(query: &str) -> Option<(&'static str, &'static str)> {
    TABLE.lines().skip(1).find_map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        let is_below = query == cells[0] || query.ends_with(&format!(".{}", cells[0]));
        is_below.then_some((cells[1], cells[2]))
    })
}

#[test]
fn rows_have_what_the_table_says_of_their_names() {
    let (folder, rule) = folder(RULE);
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (hits, csv, risk, events) = (
        place("hits.jsonl"),
        place("hits.csv"),
        place("risk.jsonl"),
        place("events.jsonl"),
    );
    for capture_name in ["ngrok", "tcp", "unanswered"] {
        let file = capture(&format!("{capture_name}.pcap"));
        let arguments = [
            file.as_str(),
            "--quiet",
            "--no-embedded",
            "--rules",
            &rule,
            "--format",
            "jsonl",
            "--hits",
            &hits,
            "--hits",
            &csv,
            "--risk",
            &risk,
        ];
        let lazy = stdout(&dnsterrier(arguments));
        let rows = json_lines(&lazy);
        let expected =
            std::fs::read_to_string(capture(&format!("{capture_name}.rows.jsonl"))).unwrap();
        let expected = json_lines(&expected);
        assert_eq!(rows.len(), expected.len(), "{capture_name}");
        for (row, expected) in rows.iter().zip(&expected) {
            for key in ["src", "query", "answer", "count", "firstTime", "lastTime"] {
                assert_eq!(row[key], expected[key], "{row}");
            }
            let (owner, tiers) = match line_of(row["query"].as_str().unwrap()) {
                Some((owner, tier)) => (owner, json!([tier])),
                None => ("nobody", json!([])),
            };
            assert_eq!(row["owner"], owner, "{row}");
            assert_eq!(row["tiers"], tiers, "{row}");
            assert_eq!(
                row["worst"],
                tiers.get(0).cloned().unwrap_or_default(),
                "{row}"
            );
        }
        // A hit has them too, in JSON and as columns.
        let hits = json_lines(&std::fs::read_to_string(&hits).unwrap());
        let table = std::fs::read_to_string(&csv).unwrap();
        let header: Vec<&str> = table.lines().next().unwrap().split(',').collect();
        assert!(header.ends_with(&["owner", "tier"]), "{header:?}");
        assert_eq!(table.lines().count(), hits.len() + 1);
        for hit in &hits {
            let line = line_of(hit["query"].as_str().unwrap());
            assert_eq!(hit["owner"], line.map_or("nobody", |(owner, _)| owner));
            assert_eq!(hit.get("tier"), line.map(|(_, tier)| json!(tier)).as_ref());
        }
        let risk = std::fs::read_to_string(&risk).unwrap();
        assert!(
            risk.contains("asks what") && !risk.contains("$owner$"),
            "{risk}"
        );
        // Decoded or not, the rows are the same.
        let eager = stdout(&dnsterrier(
            arguments.iter().copied().chain(["--events", &events]),
        ));
        assert_eq!(lazy, eager);
    }
}

#[test]
fn a_table_that_must_match_is_a_list_of_names() {
    let (folder, rule) = folder(
        "name: listed\nlookup: { file: owners.csv, match: { query: { column: name, as: suffix } }, output: [owner], required: true }\nby: [src, query]\n",
    );
    let file = capture("ngrok.pcap");
    let of = |more: &[&str]| {
        let arguments = [
            &[
                file.as_str(),
                "--quiet",
                "--no-embedded",
                "--format",
                "jsonl",
            ],
            more,
        ]
        .concat();
        let rows = json_lines(&stdout(&dnsterrier(arguments)));
        let rows: Vec<[Value; 3]> = rows
            .iter()
            .map(|row| ["src", "query", "count"].map(|key| row[key].clone()))
            .collect();
        rows
    };
    let names: Vec<String> = TABLE
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap().to_owned())
        .collect();
    let hunt: Vec<&str> = names
        .iter()
        .flat_map(|name| ["--name", name.as_str()])
        .collect();
    let rows = of(&["--rules", &rule]);
    assert!(!rows.is_empty());
    assert_eq!(rows, of(&hunt));
    // Nothing but the names on it was looked into.
    let stats = folder.path().join("stats.json");
    let stats = stats.to_str().unwrap();
    dnsterrier([
        file.as_str(),
        "--quiet",
        "--no-embedded",
        "--rules",
        &rule,
        "--rows",
        "none",
        "--stats",
        stats,
    ]);
    let stats: Value = serde_json::from_str(&std::fs::read_to_string(stats).unwrap()).unwrap();
    assert_eq!(stats["mode"], "candidates");
    assert!(
        stats["events"]["not_looked_into"].as_u64().unwrap() > 0,
        "{stats}"
    );
}
