use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::aggregate::tests::{answer, sample_event};
use crate::aggregate::{self, Aggregator};
use crate::rule::{Column, RiskObject, RiskObjectType, ThreatObject};

const HOUR: aggregate::Window = aggregate::Window::Every(Duration::from_secs(3_600));

/// How long an event takes at most.
const LONGEST: Duration = Duration::from_millis(36_500);

fn rule() -> Rule {
    let column = |name: &str, function| Column {
        name: name.into(),
        function,
    };
    Rule {
        name: "Ngrok".into(),
        by: vec![Field::Src, Field::Query, Field::Answer],
        columns: vec![
            column("count", Function::Count),
            column("firstTime", Function::MinTime),
            column("lastTime", Function::MaxTime),
            column("ports", Function::Values(Field::SrcPort)),
        ],
        risk: Some(Risk {
            message: "$src$ looked up $query$.".into(),
            objects: vec![RiskObject {
                field: Field::Src,
                object_type: RiskObjectType::System,
                score: 50,
            }],
            threat_objects: Vec::new(),
            stacked: false,
        }),
        attack: vec!["T1572".into()],
        analytic_story: vec!["Story".into()],
        ..Rule::default()
    }
}

fn host(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 9, 0, last))
}

/// A lookup by a host, so many seconds after 2026-01-02T03:00:00Z.
fn lookup(src: u8, query: &str, answers: &[&str], second: u64) -> Event {
    let mut event = sample_event();
    event.src = host(src);
    event.query = query.into();
    event.answers = answers.iter().map(|data| answer(data)).collect();
    event.time = Timestamp::parse("2026-01-02T03:00:00Z")
        .unwrap()
        .plus(Duration::from_secs(second));
    let id = blake3::hash(format!("{src} {query} {answers:?} {second}").as_bytes());
    event.event_id.copy_from_slice(&id.as_bytes()[..16]);
    event
}

/// The risk events of hits of one rule, as JSON, and what was counted. Time goes on with the events.
fn events_of(
    rule: &Rule,
    hits: &[Event],
    window: aggregate::Window,
    limits: aggregate::Limits,
) -> (Vec<Json>, stats::Risk) {
    let rules = std::slice::from_ref(rule);
    let mut aggregator = Aggregator::new(rules, window, "sensor".into(), limits).unwrap();
    let mut scorer = Scorer::new(rules, LONGEST);
    let mut events = Vec::new();
    let role_of = |_, latest| latest;
    let mut emit = |event: RiskEvent| events.push(serde_json::to_value(&event).unwrap());
    for hit in hits {
        scorer.see(0, hit, &hit.query);
        aggregator.add(0, hit, &hit.query, &mut |row| {
            scorer.take(&row, &role_of, &mut emit)
        });
        scorer.close(&mut emit);
        aggregator.advance(hit.time, &mut |row| scorer.take(&row, &role_of, &mut emit));
        scorer.close(&mut emit);
    }
    aggregator.finish(&mut |row| scorer.take(&row, &role_of, &mut emit));
    scorer.close(&mut emit);
    let stats = scorer.stats;
    assert_eq!(
        aggregator.stats.rows,
        stats.rows_scored + stats.rows_without_risk
    );
    assert_eq!(
        stats.objects,
        stats.without_value + stats.client_scored + stats.joined + stats.suppressed + stats.events
    );
    assert_eq!(stats.events, events.len() as u64);
    (events, stats)
}

fn events(rule: &Rule, hits: &[Event], window: aggregate::Window) -> Vec<Json> {
    events_of(rule, hits, window, aggregate::Limits::default()).0
}

/// What joined rows must say, worked out from the hits alone.
#[derive(Debug, Default, PartialEq)]
struct Naive {
    count: u64,
    queries: BTreeSet<String>,
    answers: BTreeSet<String>,
    first: String,
    last: String,
}

impl Naive {
    fn join(&mut self, count: u64, query: &[String], answers: &[String], first: &str, last: &str) {
        self.count += count;
        self.queries.extend(query.iter().cloned());
        self.answers.extend(answers.iter().cloned());
        if self.first.is_empty() || *first < *self.first {
            self.first = first.to_owned();
        }
        if *last > *self.last {
            self.last = last.to_owned();
        }
    }
}

/// By source and hour.
fn naive(hits: &[Event], windows: bool) -> BTreeMap<(String, String), Naive> {
    let mut all = BTreeMap::<_, Naive>::new();
    for hit in hits {
        let answers: BTreeSet<String> = hit.answers.iter().map(|it| it.data.clone()).collect();
        let time = hit.time.to_string();
        let hour = if windows { time.get(..13).unwrap() } else { "" };
        let answers: Vec<String> = answers.into_iter().collect();
        all.entry((hit.src.to_string(), hour.to_owned()))
            .or_default()
            .join(
                answers.len() as u64,
                std::slice::from_ref(&hit.query),
                &answers,
                &time,
                &time,
            );
    }
    all
}

fn texts(list: &Json) -> Vec<String> {
    let list = list.as_array().unwrap();
    list.iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

/// The same of risk events.
fn said(events: &[Json]) -> BTreeMap<(String, String), Naive> {
    let mut all = BTreeMap::<_, Naive>::new();
    for event in events {
        assert_eq!(event["risk_object"], event["src"]);
        let hour = event["window"]
            .as_str()
            .map_or("", |window| window.get(..13).unwrap());
        let text = |name: &str| event[name].as_str().unwrap();
        all.entry((text("risk_object").to_owned(), hour.to_owned()))
            .or_default()
            .join(
                event["count"].as_u64().unwrap(),
                &texts(&event["query"]),
                &texts(&event["answer"]),
                text("firstTime"),
                text("lastTime"),
            );
        assert_eq!(event["_time"], event["lastTime"]);
    }
    all
}

fn some_hits() -> impl Strategy<Value = Vec<Event>> {
    let hit = (
        0_u8..4,
        0_u8..3,
        prop::collection::vec(0_u8..4, 1..4),
        0_u64..10_000,
    )
        .prop_map(|(src, query, answers, second)| {
            let answers: Vec<String> = answers.iter().map(|it| format!("192.0.2.{it}")).collect();
            let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
            lookup(src, &format!("q{query}.ngrok.io"), &answers, second)
        });
    prop::collection::vec(hit, 0..40).prop_map(|mut hits| {
        for (number, hit) in hits.iter_mut().enumerate() {
            hit.event_id[0] = u8::try_from(number).unwrap();
        }
        hits
    })
}

proptest! {
    #[test]
    fn one_event_for_each_object_and_window(mut hits in some_hits(), windows: bool) {
        hits.sort_by_key(|hit| hit.time);
        let window = if windows { HOUR } else { aggregate::Window::None };
        let events = events(&rule(), &hits, window);
        let expected = naive(&hits, windows);
        prop_assert_eq!(events.len(), expected.len());
        prop_assert_eq!(said(&events), expected);
        prop_assert!(events.iter().all(|event| event.get("partial").is_none()));
    }

    /// With too little room, and out of order: parts that add up to the same, and where there are several they say so.
    #[test]
    fn parts_add_up(hits in some_hits(), groups in 1_usize..6) {
        let limits = aggregate::Limits { groups, ..aggregate::Limits::default() };
        let (events, _) = events_of(&rule(), &hits, HOUR, limits);
        prop_assert_eq!(said(&events), naive(&hits, true));
        let mut parts = BTreeMap::<String, Vec<&Json>>::new();
        for event in &events {
            let key = format!("{} {}", event["risk_object"], event["window"]);
            parts.entry(key).or_default().push(event);
        }
        let mut ids = BTreeSet::new();
        for part in parts.values() {
            // A window that closed was whole as far as anybody knew; what comes late is a part.
            let whole = part.iter().filter(|event| event.get("partial").is_none()).count();
            prop_assert!(whole <= 1 && (whole == 0 || part[0].get("partial").is_none()), "{part:#?}");
            ids.extend(part.iter().map(|event| event["event_id"].as_str().unwrap()));
        }
        prop_assert_eq!(ids.len(), events.len());
    }

    /// Stacked: an event for each row, with what the row has.
    #[test]
    fn stacked_events_are_rows(mut hits in some_hits()) {
        hits.sort_by_key(|hit| hit.time);
        let mut stacked = rule();
        stacked.risk.as_mut().unwrap().stacked = true;
        let events = events(&stacked, &hits, aggregate::Window::None);
        let mut rows = Vec::new();
        let rules = [stacked];
        let mut aggregator =
            Aggregator::new(&rules, aggregate::Window::None, "sensor".into(), aggregate::Limits::default()).unwrap();
        for hit in &hits {
            aggregator.add(0, hit, &hit.query, &mut |_| unreachable!());
        }
        aggregator.finish(&mut |row| rows.push(serde_json::to_value(&row).unwrap()));
        prop_assert_eq!(events.len(), rows.len());
        for (event, row) in events.iter().zip(&rows) {
            for name in ["src", "query", "answer", "count", "firstTime", "lastTime", "ports", "window", "sensor"] {
                prop_assert_eq!(&event[name], &row[name]);
            }
            prop_assert_ne!(&event["event_id"], &row["event_id"]);
        }
    }
}

#[test]
fn a_joined_event_whole() {
    let mut rule = rule();
    let risk = rule.risk.as_mut().unwrap();
    risk.threat_objects = vec![
        ThreatObject {
            field: "query".into(),
            object_type: "domain",
        },
        ThreatObject {
            field: "answer".into(),
            object_type: "ip_address",
        },
    ];
    let hits = [
        lookup(1, "b.ngrok.io", &["192.0.2.2", "edge.ngrok.com"], 1),
        lookup(1, "a.ngrok.io", &["unknown"], 2),
        lookup(1, "a.ngrok.io", &["192.0.2.1"], 3),
    ];
    let mut events = events(&rule, &hits, HOUR);
    let id = events[0].as_object_mut().unwrap().remove("event_id");
    assert!(id.is_some_and(|id| id.as_str().unwrap().len() == 32));
    assert_eq!(
        events,
        [json!({
            "_time": "2026-01-02T03:00:03.000000Z",
            "search_name": "Ngrok",
            "risk_object": "10.9.0.1",
            "risk_object_type": "system",
            "risk_score": 50,
            "severity": "medium",
            "risk_message": "10.9.0.1 looked up a.ngrok.io and b.ngrok.io.",
            "analyticstories": ["Story"],
            "annotations.mitre_attack": ["T1572"],
            "threat_object": ["a.ngrok.io", "b.ngrok.io", "192.0.2.1", "192.0.2.2"],
            "threat_object_type": ["domain", "domain", "ip_address", "ip_address"],
            "src": "10.9.0.1",
            "query": ["a.ngrok.io", "b.ngrok.io"],
            "answer": ["192.0.2.1", "192.0.2.2", "edge.ngrok.com", "unknown"],
            "count": 4,
            "firstTime": "2026-01-02T03:00:01.000000Z",
            "lastTime": "2026-01-02T03:00:03.000000Z",
            "ports": [40_000],
            "window": "2026-01-02T03:00:00.000000Z/2026-01-02T04:00:00.000000Z",
            "sensor": "sensor",
        })]
    );
}

#[test]
fn long_lists_are_cut_and_messages_stay_short() {
    let names: Vec<String> = (0..250).map(|n| format!("n{n:03}.ngrok.io")).collect();
    let hits: Vec<Event> = names
        .iter()
        .zip(1..)
        .map(|(name, second)| lookup(1, name, &["192.0.2.1"], second))
        .collect();
    let events = events(&rule(), &hits, HOUR);
    assert_eq!(texts(&events[0]["query"]), names[..100]);
    assert_eq!(events[0]["fields_cut"], json!(["query"]));
    assert_eq!(events[0]["count"], 250);
    let message = events[0]["risk_message"].as_str().unwrap();
    assert!(message.ends_with("n009.ngrok.io and 90 more."), "{message}");
}

#[test]
fn names_of_its_own_come_first() {
    let mut rule = rule();
    rule.columns = ["severity", "risk_score", "lookups"]
        .map(|name| Column {
            name: name.into(),
            function: Function::Count,
        })
        .to_vec();
    rule.risk.as_mut().unwrap().message = "$severity$ $lookups$, 5 $".into();
    let events = events(
        &rule,
        &[lookup(1, "a.ngrok.io", &["192.0.2.1", "192.0.2.2"], 1)],
        HOUR,
    );
    assert_eq!(events[0]["severity"], "medium");
    assert_eq!(events[0]["risk_score"], 50);
    assert_eq!(events[0]["lookups"], 2);
    // What a message names is the row's.
    assert_eq!(events[0]["risk_message"], "2 2, 5 $");
}

#[test]
fn severities_by_score() {
    let expected = [
        (0, "informational"),
        (20, "informational"),
        (21, "low"),
        (40, "low"),
        (41, "medium"),
        (60, "medium"),
        (61, "high"),
        (80, "high"),
        (81, "critical"),
        (100, "critical"),
    ];
    for (score, name) in expected {
        assert_eq!(Severity::of(score).name(), name, "{score}");
    }
}

#[test]
fn an_absent_field_is_no_risk_object() {
    let mut rule = rule();
    rule.by = vec![Field::ClientHint, Field::Query];
    rule.risk.as_mut().unwrap().objects[0].field = Field::ClientHint;
    rule.risk.as_mut().unwrap().message = "m".into();
    let hits = [lookup(1, "a.ngrok.io", &["192.0.2.1"], 1)];
    let (none, stats) = events_of(&rule, &hits, HOUR, aggregate::Limits::default());
    assert!(none.is_empty());
    assert_eq!(stats.without_value, 1);
    // A name may be `null`.
    rule.risk.as_mut().unwrap().objects[0].field = Field::Query;
    let hits = [lookup(1, "null", &["192.0.2.1"], 1)];
    assert_eq!(events(&rule, &hits, HOUR).len(), 1);
}

#[test]
fn the_same_is_said_once_in_a_period() {
    let mut rule = rule();
    rule.throttle = Some(Throttle {
        fields: vec![Field::Src],
        period: Duration::from_secs(2 * 3_600),
    });
    let hours = [0, 1, 2, 3, 4].map(|hour| hour * 3_600 + 60);
    let mut hits: Vec<Event> = hours
        .iter()
        .map(|second| lookup(1, "a.ngrok.io", &["192.0.2.1"], *second))
        .collect();
    hits.push(lookup(2, "a.ngrok.io", &["192.0.2.1"], 3 * 3_600 + 61));
    hits.sort_by_key(|hit| hit.time);
    let (events, stats) = events_of(&rule, &hits, HOUR, aggregate::Limits::default());
    let said: Vec<(&str, &str)> = events
        .iter()
        .map(|event| {
            let time = event["_time"].as_str().unwrap();
            (event["src"].as_str().unwrap(), time.get(11..16).unwrap())
        })
        .collect();
    assert_eq!(
        said,
        [
            ("10.9.0.1", "03:01"),
            ("10.9.0.1", "05:01"),
            ("10.9.0.2", "06:01"),
            ("10.9.0.1", "07:01")
        ]
    );
    assert_eq!(stats.suppressed, 2);
}

/// A resolver's lookup: without RD, of another server, that lasts so many milliseconds.
fn by_resolver(src: u8, query: &str, second: u64) -> Event {
    let mut event = lookup(src, query, &["192.0.2.1"], second);
    event.src_role = Role::Resolver;
    event.header_flags &= !0x0100;
    event.dest = host(200);
    event
}

/// A client's, which lasts from a second before to a second after.
fn by_client(src: u8, dest: u8, query: &str, second: u64) -> Event {
    let mut event = lookup(src, query, &["192.0.2.1"], second - 1);
    event.dest = host(dest);
    event.duration = Some(2_000_000_000);
    event
}

/// The objects that are scored, and whether their clients hide.
fn scored(hits: &[Event]) -> Vec<(String, bool)> {
    events(&rule(), hits, aggregate::Window::None)
        .iter()
        .map(|event| {
            let hides = event.get("client_hidden").is_some();
            let message = event["risk_message"].as_str().unwrap();
            assert_eq!(hides, message.contains("hidden behind"), "{message}");
            (event["risk_object"].as_str().unwrap().to_owned(), hides)
        })
        .collect()
}

fn hidden(src: u8) -> (String, bool) {
    (host(src).to_string(), true)
}

fn shown(src: u8) -> (String, bool) {
    (host(src).to_string(), false)
}

#[test]
fn where_both_legs_are_here_the_client_alone_is_scored() {
    let name = "a.b.ngrok.io";
    let client = by_client(1, 53, name, 10);
    for resolver in [53, 54] {
        // The resolver's event is made first, as a rule; it may ask from another address, and for a part of the name.
        for asked in [name, "b.ngrok.io"] {
            let passed_on = by_resolver(resolver, asked, 10);
            let both = [passed_on.clone(), client.clone()];
            assert_eq!(scored(&both), [shown(1)], "{resolver} {asked}");
            let both = [client.clone(), passed_on];
            assert_eq!(scored(&both), [shown(1)], "{resolver} {asked}");
        }
    }
    // For the target of an alias.
    let mut alias = client.clone();
    alias.answers[0].record_type = "CNAME".into();
    alias.answers[0].data = "edge.ngrok.com".into();
    assert_eq!(
        scored(&[by_resolver(53, "edge.ngrok.com", 10), alias]),
        [shown(1)]
    );
}

#[test]
fn where_the_client_is_not_here_the_resolver_is_scored_and_says_so() {
    let name = "a.ngrok.io";
    assert_eq!(scored(&[by_resolver(53, name, 10)]), [hidden(53)]);
    // Another name, another time.
    let client = by_client(1, 53, name, 10);
    for other in [by_resolver(53, "b.ngrok.io", 10), by_resolver(53, name, 60)] {
        assert_eq!(scored(&[other, client.clone()]), [shown(1), hidden(53)]);
    }
    // One of its lookups is for somebody who is not seen.
    let hits = [
        by_resolver(53, name, 10),
        client,
        by_resolver(53, name, 100),
    ];
    assert_eq!(scored(&hits), [shown(1), hidden(53)]);
    // Two resolvers that ask the same server at once are not each other's clients.
    let forwarder = |src| {
        let mut event = by_client(src, 200, name, 10);
        event.src_role = Role::Resolver;
        event
    };
    assert_eq!(
        scored(&[forwarder(53), forwarder(54)]),
        [hidden(53), hidden(54)]
    );
}

#[test]
fn both_sides_of_a_translation() {
    let inside = by_client(1, 200, "a.ngrok.io", 10);
    let mut outside = by_client(99, 200, "a.ngrok.io", 10);
    outside.src_role = Role::Nat;
    assert_eq!(scored(&[outside.clone(), inside]), [shown(1)]);
    assert_eq!(scored(&[outside]), [hidden(99)]);
}

/// What was forgotten counts as not seen: the resolver is scored.
#[test]
fn more_names_than_are_remembered() {
    let rules = [rule()];
    let mut scorer = Scorer::new(&rules, LONGEST);
    let mut hits = vec![by_client(1, 53, "a.ngrok.io", 10)];
    hits.extend((0..140_000).map(|n| by_resolver(54, &format!("n{n}.ngrok.io"), 10)));
    let first = by_resolver(53, "a.ngrok.io", 10);
    scorer.see(0, &first, &first.query);
    for hit in &hits {
        scorer.see(0, hit, &hit.query);
    }
    let span = (first.time, first.time);
    assert!(!scorer.legs.is_passed_on(0, host(54), "n7.ngrok.io", span));
    assert!(!scorer.legs.is_passed_on(0, host(53), "a.ngrok.io", span));
}
