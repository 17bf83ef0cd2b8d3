//! Correlations against their definition said naively, and against another engine.

use std::collections::{BTreeMap, BTreeSet};

use rsigma_eval::{CorrelationConfig, CorrelationEngine, JsonEvent};
use rsigma_parser::parse_sigma_yaml;

use super::*;
use crate::aggregate::key::decode_all;
use crate::aggregate::tests::{answer, sample_event};
use crate::rule::{Rules, native};

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

/// No hit.
const NONE: [u16; 0] = [];

const BASES: &str = "title: A
name: a
id: 5790a766-53b8-40d3-a696-3547b978fcf1
logsource: { category: dns }
detection: { s: { query|startswith: a }, condition: s }
---
title: B
name: b
id: 5790a766-53b8-40d3-a696-3547b978fcf2
logsource: { category: dns }
detection: { s: { query|startswith: b }, condition: s }
---
title: C
name: c
id: 5790a766-53b8-40d3-a696-3547b978fcf3
logsource: { category: dns }
detection: { s: { query|startswith: c }, condition: s }
---
";

fn correlation(title: &str, body: &str) -> String {
    format!("title: {title}\ncorrelation: {{ {body} }}\n---\n")
}

fn rules(correlations: &str) -> Rules {
    let text = format!("{BASES}{correlations}");
    let rules = native::read_text("c.yml", text.trim_end_matches("---\n"))
        .unwrap_or_else(|found| panic!("{found:#?}"));
    Rules::new(rules).unwrap_or_else(|found| panic!("{found:#?}"))
}

/// Lookups of names that begin with a letter, `number` the identity.
fn lookup(seconds: i64, name: &str, source: u8, answers: &[&str], number: usize) -> Event {
    let mut event = sample_event();
    event.time = Timestamp::from_parts(1_767_323_000 + seconds, 0);
    event.query = name.into();
    event.src = std::net::IpAddr::from([10, 9, 0, source]);
    event.answers = answers.iter().map(|data| answer(data)).collect();
    event.answer_count = u16::try_from(answers.len()).unwrap();
    event.transaction_id = u16::try_from(number).unwrap();
    event
}

/// The identities of the hits of each correlation in each group.
type Counted = BTreeMap<(String, String), BTreeSet<u16>>;

fn run_within(rules: &Rules, events: &[Event], limits: Limits) -> (Counted, u64) {
    let mut correlator = Correlator::new(rules.list(), limits);
    let mut counted = Counted::new();
    for event in events {
        rules.matches(event, &mut |place, name| {
            correlator.take(place, event, name, &mut |hit| {
                if rules.is_silent(hit.rule) {
                    return;
                }
                let key: Vec<String> = decode_all(hit.key)
                    .map(|value| value.text().into_owned())
                    .collect();
                let place = (rules.list()[hit.rule].name.clone(), key.join(","));
                let is_new = counted
                    .entry(place)
                    .or_default()
                    .insert(hit.event.transaction_id);
                assert!(is_new, "a hit counts once in a group");
            });
        });
    }
    (counted, correlator.evicted)
}

fn run(rules: &Rules, events: &[Event]) -> Counted {
    let (counted, evicted) = run_within(rules, events, Limits::default());
    assert_eq!(evicted, 0);
    counted
}

fn ids(counted: &Counted, rule: &str, key: &str) -> Vec<u16> {
    let found = counted.get(&(rule.to_owned(), key.to_owned()));
    found
        .map(|ids| ids.iter().copied().collect())
        .unwrap_or_default()
}

#[test]
fn a_hit_counts_once_it_lies_in_a_span_in_which_the_condition_holds() {
    let rules = rules(&correlation(
        "Three",
        "type: event_count, rules: [a], group-by: [src], timespan: 10s, condition: { gte: 3 }",
    ));
    let at = |seconds: &[i64]| -> Vec<Event> {
        seconds
            .iter()
            .enumerate()
            .map(|(number, second)| lookup(*second, "a", 1, &[], number))
            .collect()
    };
    let of = |seconds: &[i64]| ids(&run(&rules, &at(seconds)), "Three", "10.9.0.1");
    assert_eq!(of(&[0, 5]), NONE);
    assert_eq!(of(&[0, 5, 10]), [0, 1, 2]);
    assert_eq!(of(&[0, 5, 11]), NONE);
    // What is alone before and after does not count; what is near does.
    assert_eq!(of(&[0, 20, 25, 30, 38, 60]), [1, 2, 3]);
    assert_eq!(of(&[0, 20, 25, 30, 34, 60]), [1, 2, 3, 4]);
    // Late ones are put where they belong.
    assert_eq!(of(&[0, 10, 60, 5]), [0, 1, 3]);
    // Another source is another group.
    let mut events = at(&[0, 5, 10]);
    events[1] = lookup(5, "a", 2, &[], 1);
    assert_eq!(run(&rules, &events), Counted::new());
}

#[test]
fn a_group_of_a_field_with_several_values_is_of_one_of_them() {
    let rules = rules(&correlation(
        "Twice",
        "type: event_count, rules: [a], group-by: [answer], timespan: 10s, condition: { gte: 2 }",
    ));
    let events = [
        lookup(0, "a", 1, &["x", "y"], 0),
        lookup(1, "a", 1, &["y", "z"], 1),
        lookup(2, "a", 1, &[], 2),
    ];
    let counted = run(&rules, &events);
    assert_eq!(counted.len(), 1);
    assert_eq!(ids(&counted, "Twice", "y"), [0, 1]);
}

#[test]
fn every_type_holds_when_it_should() {
    let with = |body: &str| correlation("It", &format!("{body}, group-by: [src], timespan: 10s"));
    let says =
        |body: &str, events: &[Event]| ids(&run(&rules(&with(body)), events), "It", "10.9.0.1");
    let name = |second: i64, name: &str, number: usize| lookup(second, name, 1, &[], number);
    let names = [
        name(0, "a1", 0),
        name(1, "a1", 1),
        name(2, "a2", 2),
        name(3, "a3", 3),
    ];
    assert_eq!(
        says(
            "type: value_count, rules: [a], condition: { field: query, gte: 3 }",
            &names
        ),
        [0, 1, 2, 3]
    );
    assert_eq!(
        says(
            "type: value_count, rules: [a], condition: { field: query, gte: 4 }",
            &names
        ),
        NONE
    );
    let letters = [
        name(0, "b", 0),
        name(1, "a", 1),
        name(2, "c", 2),
        name(3, "b", 3),
    ];
    assert_eq!(
        says("type: temporal, rules: [a, b, c]", &letters),
        [0, 1, 2, 3]
    );
    assert_eq!(
        says("type: temporal, rules: [a, b, c]", &letters[..2]),
        NONE
    );
    assert_eq!(
        says(
            "type: temporal, rules: [a, b, c], condition: { gte: 2 }",
            &letters[..2]
        ),
        [0, 1]
    );
    assert_eq!(
        says(
            "type: temporal, rules: [a, b, c], condition: a and not c",
            &letters
        ),
        [0, 1]
    );
    assert_eq!(
        says("type: temporal_ordered, rules: [a, b]", &letters[..3]),
        NONE
    );
    assert_eq!(
        says("type: temporal_ordered, rules: [a, b]", &letters),
        [0, 1, 3]
    );
    let answered =
        |second: i64, answers: &[&str], number: usize| lookup(second, "a", 1, answers, number);
    let lengths = [
        answered(0, &["1"], 0),
        answered(1, &["22", "22"], 1),
        answered(2, &["333333"], 2),
    ];
    let measure = |kind: &str, condition: &str| {
        says(
            &format!(
                "type: {kind}, rules: [a], condition: {{ field: answer_length, {condition} }}"
            ),
            &lengths,
        )
    };
    assert_eq!(measure("value_sum", "gte: 11"), [0, 1, 2]);
    assert_eq!(measure("value_sum", "gt: 11"), NONE);
    assert_eq!(measure("value_avg", "gt: 2"), [0, 1, 2]);
    assert_eq!(measure("value_avg", "gte: 3"), NONE);
    // Of 1, 2, 2, 6: the median is 2, the 90th percentile 4.8.
    assert_eq!(
        measure("value_percentile", "percentile: 90, gt: 4"),
        [0, 1, 2]
    );
    assert_eq!(measure("value_percentile", "percentile: 90, gte: 5"), NONE);
    assert_eq!(measure("value_median", "eq: 2"), [0, 1, 2]);
    assert_eq!(
        measure("value_percentile", "percentile: 100, gte: 6, lte: 6"),
        [0, 1, 2]
    );
}

#[test]
fn aliases_group_by_what_each_rule_has_there() {
    let rules = rules(
        "title: It
correlation:
  type: temporal
  rules: [a, b]
  group-by: [address]
  aliases: { address: { a: answer, b: dest } }
  timespan: 10s
",
    );
    let mut second = lookup(1, "b", 2, &[], 1);
    second.dest = std::net::IpAddr::from([192, 0, 2, 1]);
    let events = [lookup(0, "a", 1, &["192.0.2.1", "192.0.2.2"], 0), second];
    let counted = run(&rules, &events);
    assert_eq!(counted.len(), 1, "{counted:?}");
    assert_eq!(ids(&counted, "It", "192.0.2.1"), [0, 1]);
}

#[test]
fn correlations_of_correlations_look_at_when_those_hold() {
    let text = "title: Inner
name: inner
correlation: { type: event_count, rules: [a], group-by: [src], timespan: 10s, condition: { gte: 2 } }
---
title: Outer
correlation: { type: temporal_ordered, rules: [inner, b], group-by: [src], timespan: 60s }
";
    let rules = rules(text);
    let inner = rules
        .list()
        .iter()
        .position(|rule| rule.name == "Inner")
        .unwrap();
    assert!(rules.is_silent(inner));
    let events = [
        lookup(0, "a", 1, &[], 0),
        lookup(5, "a", 1, &[], 1),
        lookup(30, "b", 1, &[], 2),
    ];
    assert_eq!(ids(&run(&rules, &events), "Outer", "10.9.0.1"), [1, 2]);
    assert_eq!(
        run(&rules, &[&events[..1], &events[2..]].concat()),
        Counted::new()
    );
    for (text, expected) in [
        (
            text.replace("rules: [a]", "rules: [inner]"),
            "c.yml:19: the correlation looks at itself",
        ),
        (
            text.replace("rules: [inner, b]", "rules: [inner, d]"),
            "c.yml:23: there is no rule 'd'",
        ),
    ] {
        let read = native::read_text("c.yml", &format!("{BASES}{text}")).unwrap();
        let found = Rules::new(read).unwrap_err();
        assert!(
            found
                .iter()
                .any(|mistake| mistake.to_string().starts_with(expected)),
            "{found:#?}"
        );
    }
}

#[test]
fn what_is_remembered_is_bounded_and_what_was_forgotten_is_counted() {
    let rules = rules(&correlation(
        "Many",
        "type: event_count, rules: [a], group-by: [src], timespan: 30d, condition: { gte: 50 }",
    ));
    let events: Vec<Event> = (0..100)
        .map(|number| {
            lookup(
                i64::try_from(number).unwrap(),
                "a",
                u8::try_from(number % 2).unwrap(),
                &[],
                number,
            )
        })
        .collect();
    let limits = Limits {
        hits: 40,
        ..Limits::default()
    };
    assert_eq!(run_within(&rules, &events, limits), (Counted::new(), 60));
    let limits = Limits {
        group: 30,
        ..Limits::default()
    };
    assert_eq!(run_within(&rules, &events, limits), (Counted::new(), 40));
    let limits = Limits {
        bytes: 1,
        ..Limits::default()
    };
    assert_eq!(run_within(&rules, &events, limits), (Counted::new(), 100));
    assert_eq!(run(&rules, &events).len(), 2);
    // What no span reaches any more is forgotten, not evicted.
    let far: Vec<Event> = (0..100)
        .map(|number| {
            lookup(
                i64::try_from(number).unwrap() * 86_400 * 20,
                "a",
                1,
                &[],
                number,
            )
        })
        .collect();
    let limits = Limits {
        hits: 3,
        ..Limits::default()
    };
    assert_eq!(run_within(&rules, &far, limits), (Counted::new(), 0));
}

/// Hits in any order within the lateness count as the definition says of all of them, sorted.
#[test]
fn the_order_in_which_hits_come_does_not_matter() {
    let rules = rules(&[
        correlation("Count", "type: event_count, rules: [a, b], group-by: [src], timespan: 20s, condition: { gte: 4 }"),
        correlation("Names", "type: value_count, rules: [a, b], group-by: [src], timespan: 20s, condition: { field: query, gte: 3 }"),
        correlation("Both", "type: temporal, rules: [a, b], group-by: [src], timespan: 5s"),
        correlation("Order", "type: temporal_ordered, rules: [a, b], group-by: [src], timespan: 5s"),
    ].concat());
    let mut dice = Dice(7);
    for _ in 0..60 {
        let mut events: Vec<Event> = (0..40)
            .map(|number| {
                let name = format!("{}{}", ["a", "b"][dice.roll(2)], dice.roll(4));
                // No two at one moment: among those the order would be that in which they come.
                let second = i64::try_from(number * 4 + dice.roll(4)).unwrap();
                lookup(
                    second,
                    &name,
                    u8::try_from(dice.roll(2)).unwrap(),
                    &[],
                    number,
                )
            })
            .collect();
        let sorted = events.clone();
        // Each comes up to 80 s late.
        events.sort_by_cached_key(|event| {
            event.time.as_nanos() / 1_000_000_000 + i64::try_from(dice.roll(80)).unwrap()
        });
        let mut expected = Counted::new();
        for source in 0..2u8 {
            let group: Vec<&Event> = sorted
                .iter()
                .filter(|event| event.src == std::net::IpAddr::from([10, 9, 0, source]))
                .collect();
            for end in 0..group.len() {
                for (name, span) in [("Count", 20), ("Names", 20), ("Both", 5), ("Order", 5)] {
                    let inside: Vec<&&Event> = group[..=end]
                        .iter()
                        .filter(|event| {
                            group[end].time.nanos_since(event.time) <= span * 1_000_000_000
                        })
                        .collect();
                    let of = |letter: char| {
                        inside
                            .iter()
                            .filter(move |event| event.query.starts_with(letter))
                    };
                    let holds = match name {
                        "Count" => inside.len() >= 4,
                        "Names" => {
                            inside
                                .iter()
                                .map(|event| &event.query)
                                .collect::<BTreeSet<_>>()
                                .len()
                                >= 3
                        }
                        "Both" => of('a').count() > 0 && of('b').count() > 0,
                        _ => of('a').any(|a| of('b').any(|b| b.time > a.time)),
                    };
                    if holds {
                        let key = (name.to_owned(), format!("10.9.0.{source}"));
                        expected
                            .entry(key)
                            .or_default()
                            .extend(inside.iter().map(|event| event.transaction_id));
                    }
                }
            }
        }
        assert_eq!(run(&rules, &events), expected);
    }
}

/// Whenever the other engine says that a correlation holds, all hits of its group in the span before count, and no others.
#[test]
fn another_engine_sees_the_same() {
    let text = [
        correlation("Count", "type: event_count, rules: [a, b], group-by: [src], timespan: 30s, condition: { gte: 4 }"),
        correlation("Range", "type: event_count, rules: [a], group-by: [src, query], timespan: 60s, condition: { gt: 1, lte: 3 }"),
        correlation("Names", "type: value_count, rules: [a], group-by: [src], timespan: 30s, condition: { field: query, gte: 3 }"),
        correlation("Both", "type: temporal, rules: [a, b], group-by: [src], timespan: 8s, condition: { gte: 2 }"),
        correlation("Words", "type: temporal, rules: [a, b, c], group-by: [src], timespan: 20s, condition: a and b and not c"),
        correlation("Order", "type: temporal_ordered, rules: [a, b, c], group-by: [src], timespan: 30s"),
        correlation("Sum", "type: value_sum, rules: [a, b], group-by: [src], timespan: 30s, condition: { field: answer_count, gte: 5 }"),
        correlation("Mean", "type: value_avg, rules: [a, b], group-by: [src], timespan: 30s, condition: { field: answer_count, gt: 1 }"),
        correlation("Median", "type: value_median, rules: [a, b], group-by: [src], timespan: 30s, condition: { field: answer_count, gte: 2 }"),
    ]
    .concat();
    let ours = rules(&text);
    let spans: BTreeMap<&str, i64> = BTreeMap::from([
        ("Count", 30),
        ("Range", 60),
        ("Names", 30),
        ("Both", 8),
        ("Words", 20),
        ("Order", 30),
        ("Sum", 30),
        ("Mean", 30),
        ("Median", 30),
    ]);
    let letters: BTreeMap<&str, &str> = BTreeMap::from([
        ("Count", "ab"),
        ("Range", "a"),
        ("Names", "a"),
        ("Both", "ab"),
        ("Words", "abc"),
        ("Order", "abc"),
        ("Sum", "ab"),
        ("Mean", "ab"),
        ("Median", "ab"),
    ]);
    let mut theirs = CorrelationEngine::new(CorrelationConfig::default());
    theirs
        .add_collection(
            &parse_sigma_yaml(&format!("{BASES}{}", text.trim_end_matches("---\n"))).unwrap(),
        )
        .unwrap();
    let mut dice = Dice(11);
    let mut second = 0i64;
    let events: Vec<Event> = (0..5_000)
        .map(|number| {
            second += i64::try_from(1 + dice.roll(9)).unwrap();
            let name = format!("{}{}", ["a", "b", "c", "d"][dice.roll(4)], dice.roll(3));
            let answers = &["1", "2", "3"][..dice.roll(4)];
            lookup(
                second,
                &name,
                u8::try_from(dice.roll(3)).unwrap(),
                answers,
                number,
            )
        })
        .collect();
    let mut expected = Counted::new();
    for (number, event) in events.iter().enumerate() {
        let json = serde_json::to_value(event).unwrap();
        let seconds = event.time.as_nanos() / 1_000_000_000;
        for result in theirs.process_event_at(&JsonEvent::borrow(&json), seconds) {
            let Some(found) = result.as_correlation() else {
                continue;
            };
            let rule = result.header.rule_title.as_str();
            let key: Vec<&str> = found
                .group_key
                .iter()
                .map(|(_, value)| value.as_str())
                .collect();
            let (span, letters) = (spans[rule], letters[rule]);
            let inside = events[..=number]
                .iter()
                .rev()
                .take_while(|other| event.time.nanos_since(other.time) <= span * 1_000_000_000);
            let own = inside.filter(|other| {
                other.src == event.src
                    && other.query.starts_with(|letter| letters.contains(letter))
                    && (key.len() < 2 || other.query == key[1])
            });
            expected
                .entry((rule.to_owned(), key.join(",")))
                .or_default()
                .extend(own.map(|other| other.transaction_id));
        }
    }
    let found = run(&ours, &events);
    for name in spans.keys() {
        let of = |counted: &Counted| -> Vec<(String, usize)> {
            counted
                .iter()
                .filter(|((rule, _), _)| rule == name)
                .map(|((_, key), ids)| (key.clone(), ids.len()))
                .collect()
        };
        assert_eq!(of(&found), of(&expected), "{name}");
        assert!(!of(&found).is_empty(), "{name} never holds");
    }
    assert_eq!(found, expected);
}
