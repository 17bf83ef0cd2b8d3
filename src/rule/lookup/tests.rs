//! Lookups against a model that walks over all lines, and the mistakes in them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::aggregate::tests::{answer, sample_event};
use crate::rule::{Asked, Mistake, Rule, Rules, native};

/// A folder with a rule file and CSV files beside it.
struct Beside(tempfile::TempDir);

impl Beside {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn read(&self, rule: &str) -> Result<Vec<Rule>, Vec<Mistake>> {
        let path = self.0.path().join("own.yaml");
        std::fs::write(&path, rule).unwrap();
        native::read_path(&path)
    }

    fn rules(&self, rule: &str) -> Rules {
        Rules::new(self.read(rule).unwrap()).unwrap()
    }

    /// The mistakes, with the files by their names alone.
    fn mistakes(&self, rule: &str) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        let found = self.read(rule).unwrap_err();
        found
            .iter()
            .map(|it| it.to_string().replace(&folder, ""))
            .collect()
    }
}

fn event(query: &str, src: &str, answers: &[&str]) -> Event {
    Event {
        query: query.to_owned(),
        src: src.parse().unwrap(),
        answers: answers.iter().map(|data| answer(data)).collect(),
        ..sample_event()
    }
}

/// What the hits of an event have: of each added column its values.
fn added(rules: &Rules, event: &Event) -> Option<Vec<(String, Vec<String>)>> {
    let mut found = None;
    rules.hits(event, &mut |_, event, _| {
        let values = |added: &Added| added.values.iter().map(|value| value.to_string()).collect();
        found = Some(
            event
                .added
                .iter()
                .map(|added| (added.field.name().to_owned(), values(added)))
                .collect(),
        );
    });
    found
}

fn one(name: &str, values: &[&str]) -> (String, Vec<String>) {
    (
        name.to_owned(),
        values.iter().map(|value| (*value).to_owned()).collect(),
    )
}

const OWNERS: &str =
    "domain,owner,tier\nlab.corp.example,lab,3\ncorp.example.,office,1\nCORP.test,other,\n";

#[test]
fn the_first_line_that_matches_says_what_an_event_gets() {
    let beside = Beside::new(&[("owners.csv", OWNERS)]);
    let rules = beside.rules(
        "name: r\nwhere: { query: \"*\" }\nlookup: { file: owners.csv, match: { query: { column: domain, as: suffix } }, output: [owner, tier], default: { owner: nobody } }\nby: [owner]\n",
    );
    for (query, owner, tier) in [
        ("a.lab.corp.example", &["lab"][..], &["3"][..]),
        ("corp.example", &["office"], &["1"]),
        ("www.corp.test", &["other"], &[]),
        ("xcorp.test", &["nobody"], &[]),
    ] {
        let found = added(&rules, &event(query, "10.0.0.1", &[])).unwrap();
        assert_eq!(found, [one("owner", owner), one("tier", tier)], "{query}");
    }
}

#[test]
fn all_lines_that_match_make_a_list_of_distinct_values() {
    let csv = "net,zone\n10.0.0.0/8,all\n10.1.0.0/16,site\n10.1.2.0/24,all\n2001:db8::/32,six\n";
    let beside = Beside::new(&[("nets.csv", csv)]);
    let rules = beside.rules(
        "name: r\nwhere: { query: \"*\" }\nlookup: { file: nets.csv, match: { answer: { column: net, as: cidr } }, output: { zones: zone }, matches: all }\n",
    );
    let zones = |answers: &[&str]| added(&rules, &event("q.example", "10.0.0.1", answers)).unwrap();
    assert_eq!(zones(&["10.1.2.3"]), [one("zones", &["all", "site"])]);
    assert_eq!(
        zones(&["name.example", "2001:db8::1", "10.2.0.1"]),
        [one("zones", &["all", "six"])]
    );
    assert_eq!(zones(&["192.0.2.1"]), [one("zones", &[])]);
}

#[test]
fn a_table_that_must_match_decides_on_the_question_alone() {
    let csv = "name,family\nbad.example,x\nworse.example,y\n";
    let beside = Beside::new(&[("list.csv", csv)]);
    let lookup = "lookup: { file: list.csv, match: { query: { column: name, as: suffix } }, output: [family]";
    for rule in [
        format!("name: r\n{lookup}, required: true }}\n"),
        format!("name: r\n{lookup} }}\nwhere: {{ family: \"*\" }}\n"),
        format!("name: r\n{lookup} }}\nwhere: {{ family: {{ exists: true }}, record_type: A }}\n"),
        format!(
            "name: r\n{lookup} }}\nwhere: {{ or: [{{ family: x }}, {{ family: y, query: \"w*\" }}] }}\n"
        ),
    ] {
        let rules = beside.rules(&rule);
        assert!(!rules.needs_everything(), "{rule}");
        let wants = |name: &str| {
            rules.wants(&Asked {
                name: name.as_bytes(),
                record_type: 1,
            })
        };
        assert!(wants("a.bad.example") && wants("worse.example"), "{rule}");
        assert!(!wants("good.example") && !wants("notbad.example"), "{rule}");
        let hit = |name: &str| added(&rules, &event(name, "10.0.0.1", &[]));
        assert_eq!(
            hit("a.bad.example"),
            Some(vec![one("family", &["x"])]),
            "{rule}"
        );
        assert_eq!(hit("good.example"), None, "{rule}");
    }
    // What is not on the list can be asked for, and what has a default is always there.
    let not = beside.rules(&format!(
        "name: r\n{lookup} }}\nwhere: {{ not: {{ family: \"*\" }} }}\n"
    ));
    assert!(added(&not, &event("good.example", "10.0.0.1", &[])).is_some());
    assert!(added(&not, &event("bad.example", "10.0.0.1", &[])).is_none());
    let default = beside.rules(&format!(
        "name: r\n{lookup}, default: {{ family: none }} }}\nwhere: {{ family: none }}\n"
    ));
    assert!(added(&default, &event("good.example", "10.0.0.1", &[])).is_some());
}

#[test]
fn columns_that_are_numbers_or_networks_are_compared_as_such() {
    let csv = "name,score,net\na.example,7,10.0.0.0/8\nb.example,50,192.0.2.1\n";
    let beside = Beside::new(&[("t.csv", csv)]);
    let of = |condition: &str| {
        let rules = beside.rules(&format!(
            "name: r\nlookup: {{ file: t.csv, match: {{ query: name }}, output: [score, net] }}\nwhere: {condition}\n\
             by: [src, score]\naggregate: {{ worst: max(score), total: sum(score), nets: values(net) }}\n"
        ));
        ["a.example", "b.example"]
            .map(|name| added(&rules, &event(name, "10.0.0.1", &[])).is_some())
    };
    assert_eq!(of("{ score: { \">\": 20 } }"), [false, true]);
    assert_eq!(of("{ net: { cidr: 10.0.0.0/8 } }"), [true, false]);
    assert_eq!(
        of("{ score: { between: [1, 60] }, query: { regex: \"^a\" } }"),
        [true, false]
    );
}

#[test]
fn what_is_written_reads_back_as_the_same() {
    let beside = Beside::new(&[("owners.csv", OWNERS)]);
    let text = "name: r\nwhere: { owner: lab }\nlookup:\n- { file: owners.csv, match: { query: { column: domain, as: suffix } }, output: { owner: owner, level: tier }, matches: all, required: true }\n\
                - { file: owners.csv, match: { tld: owner, query: { column: domain, as: wildcard } }, output: { second: tier }, default: { second: \"0\" } }\n";
    let rule = beside.read(text).unwrap().remove(0);
    let again = beside
        .read(&crate::rule::write(&rule).unwrap())
        .unwrap()
        .remove(0);
    assert_eq!(rule.lookups, again.lookups);
    assert_eq!(rule.lookups.len(), 2);
    std::fs::write(
        beside.0.path().join("owners.csv"),
        OWNERS.replace("office", "home"),
    )
    .unwrap();
    let other = beside.read(text).unwrap().remove(0);
    assert_ne!(rule.lookups, other.lookups, "the file holds something else");
}

#[test]
fn every_mistake_is_named_with_its_file_and_line() {
    let bad = "domain,owner,owner\n";
    let lines = "domain,net,owner\ngood.example,10.0.0.0/8,a\n,10.0.0.0/8,a\na b,10.0.0.0/99,b\nx.example,10.0.0.1\n";
    let beside = Beside::new(&[
        ("owners.csv", OWNERS),
        ("bad.csv", bad),
        ("lines.csv", lines),
        ("empty.csv", "a,b\n"),
    ]);
    let found = beside.mistakes(
        r#"name: r
where: { ownr: x }
lookup:
- { file: owners.csv, match: { query: { column: domian, as: sufix } }, output: [owner, teir] }
- { file: owners.csv, match: { qeury: domain }, output: [owner, src, 9x], default: { tier: x } }
- { file: missing.csv, match: { query: domain } }
- { file: bad.csv, match: { query: domain }, required: true }
- { file: lines.csv, match: { query: { column: domain, as: suffix }, src: { column: net, as: cidr } }, output: { o: owner } }
- { file: empty.csv, match: { query: a }, output: [b], mathces: all }
- { file: empty.csv, match: { src: { column: a, as: suffix } }, required: true }
- { file: empty.csv, match: { tld: { column: a, as: cidr } }, required: true }
"#,
    );
    let expected = [
        "own.yaml:2:10: `ownr` in where is no field of an event; did you mean `owner`",
        "own.yaml:4:49: owners.csv: the file has no column `domian`; did you mean `domain`?",
        "own.yaml:4:61: as is 'sufix'; did you mean `suffix`?",
        "own.yaml:4:88: owners.csv: the file has no column `teir`; did you mean `tier`?",
        "own.yaml:5:32: `qeury` in match is no field of an event; did you mean `query`",
        "own.yaml:5:58: `owner` a second time in what lookups give",
        "own.yaml:5:65: `src` is the name of something else already",
        "own.yaml:5:70: '9x' cannot name what an event gets",
        "own.yaml:5:86: `tier` in default is nothing that the lookup gives",
        "own.yaml:6:3: the lookup changes nothing",
        "own.yaml:6:11: the lookup's file missing.csv cannot be read",
        "own.yaml:9:56: a lookup has no key `mathces`; did you mean `matches`?",
        "empty.csv: no line below the names of the columns",
        "own.yaml:10:31: `src` cannot be held against a column as suffix",
        "own.yaml:11:31: `tld` cannot be held against a column as cidr",
        "bad.csv:1: the column `owner` a second time",
        "lines.csv:3: the column `domain`: 0 bytes; expected 1 to 4096",
        "lines.csv:4: the column `domain`: ",
        "lines.csv:4: the column `net`: '10.0.0.0/99' is no network",
        "lines.csv:5: 2 columns; expected 3",
    ];
    for words in expected {
        assert!(
            found.iter().any(|line| line.starts_with(words)),
            "{words} is not in\n{}",
            found.join("\n")
        );
    }
}

/// One line of a table as text, and whether an event has it: said as plainly as possible.
fn naive(
    lines: &[(String, String, String)],
    matchings: [Matching; 2],
    query: &str,
    addresses: &[IpAddr],
) -> Vec<usize> {
    let text = |matching: Matching, cell: &str, value: &str| {
        let (cell, value) = (cell.to_lowercase(), value.to_lowercase());
        match matching {
            Matching::Exact => cell == value,
            Matching::Suffix => value == cell || value.ends_with(&format!(".{cell}")),
            Matching::Wildcard => {
                let pattern = regex::escape(&cell).replace(r"\*", ".*");
                regex::Regex::new(&format!("^(?s:{pattern})$"))
                    .unwrap()
                    .is_match(&value)
            }
            Matching::Cidr => cell
                .parse::<IpNet>()
                .unwrap()
                .contains(&value.parse::<IpAddr>().unwrap()),
        }
    };
    (0..lines.len())
        .filter(|line| {
            let (name, net, _) = &lines[*line];
            text(matchings[0], name, query)
                && addresses
                    .iter()
                    .any(|address| text(matchings[1], net, &address.to_string()))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Against a walk over all lines: one column and two, every way to match, the first line and all.
    #[test]
    fn what_is_found_is_what_a_walk_over_all_lines_finds(
        matching in prop::sample::select(vec![Matching::Exact, Matching::Wildcard, Matching::Suffix]),
        on_address in prop::sample::select(vec![Matching::Exact, Matching::Wildcard, Matching::Cidr]),
        lines in prop::collection::vec(("([ab]{1,2}[.]){0,2}[aB]{1,2}", 0..4_u8, 0..3_u8, 20..=32_u8, 0..5_u8), 1..30),
        stars in prop::collection::vec(0..4_u8, 30),
        asked in prop::collection::vec(("([ab]{1,2}[.]){0,3}[ab]{1,2}", prop::collection::vec((0..4_u8, 0..3_u8), 0..3)), 1..20),
        all: bool,
        required: bool,
    ) {
        let lines: Vec<(String, String, String)> = lines
            .iter()
            .zip(&stars)
            .map(|((name, third, last, length, value), star)| {
                let name = match (matching, star) {
                    (Matching::Wildcard, 0) => format!("*{name}"),
                    (Matching::Wildcard, 1) => format!("{name}*"),
                    (Matching::Wildcard, 2) => "*".to_owned(),
                    _ => name.clone(),
                };
                let address = format!("10.0.{third}.{last}");
                let net = match (on_address, star) {
                    (Matching::Cidr, _) => format!("{address}/{length}").parse::<IpNet>().unwrap().trunc().to_string(),
                    (Matching::Wildcard, 0) => format!("10.0.{third}.*"),
                    _ => address,
                };
                (name, net, value.to_string())
            })
            .collect();
        let mut csv = "name,net,value\n".to_owned();
        for (name, net, value) in &lines {
            writeln!(csv, "{name},{net},{value}").unwrap();
        }
        let beside = Beside::new(&[("table.csv", &csv)]);
        let rules = beside.rules(&format!(
            "name: r\nwhere: {{ query: \"*\" }}\nlookup: {{ file: table.csv, match: {{ query: {{ column: name, as: {} }}, answer: {{ column: net, as: {} }} }}, output: [value], matches: {}, required: {required} }}\n",
            matching.name(), on_address.name(), if all { "all" } else { "first" },
        ));
        for (query, addresses) in &asked {
            let addresses: Vec<String> = addresses.iter().map(|(third, last)| format!("10.0.{third}.{last}")).collect();
            let texts: Vec<&str> = addresses.iter().map(String::as_str).collect();
            let parsed: Vec<IpAddr> = addresses.iter().map(|it| it.parse().unwrap()).collect();
            let found = naive(&lines, [matching, on_address], query, &parsed);
            let mut values: Vec<String> = Vec::new();
            for line in found.iter().take(if all { usize::MAX } else { 1 }) {
                let value = lines[*line].2.clone();
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            let expected = (!required || !found.is_empty()).then(|| vec![("value".to_owned(), values)]);
            prop_assert_eq!(added(&rules, &event(query, "192.0.2.1", &texts)), expected, "{} {:?} in\n{}", query, addresses, csv);
            if required && !found.is_empty() {
                let asked = Asked { name: query.as_bytes(), record_type: 1 };
                prop_assert!(rules.wants(&asked), "{}", query);
            }
        }
    }
}

#[test]
fn files_beside_the_rule_are_found_from_anywhere() {
    let beside = Beside::new(&[("t.csv", "a,b\nx.example,1\n")]);
    let path = beside.0.path().join("t.csv");
    assert!(path.is_absolute() && Path::new(&path).exists());
    let rule = format!(
        "name: r\nlookup: {{ file: {}, match: {{ query: a }}, required: true }}\n",
        path.display()
    );
    let rules = Rules::new(native::read_text("elsewhere.yaml", &rule).unwrap()).unwrap();
    let mut hits = HashMap::new();
    for name in ["x.example", "y.example"] {
        rules.hits(&event(name, "10.0.0.1", &[]), &mut |place, event, _| {
            hits.insert(event.query.clone(), place);
        });
    }
    assert_eq!(hits.keys().collect::<Vec<_>>(), ["x.example"]);
}
