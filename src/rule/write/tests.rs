//! What is written reads back as the same rule, whatever it asks.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::event::Field;
use crate::rule::pattern::{Patterns, Shape};
use crate::rule::{
    Against, Comparison, Condition, Function, Origin, Relation, RiskObject, RiskObjectType,
    THREAT_OBJECT_TYPES, Test, ThreatObject, Threshold, Throttle, native,
};

fn fields() -> impl Strategy<Value = Field> {
    let all: Vec<Field> = Field::ALL.iter().chain(Field::DERIVED).copied().collect();
    proptest::sample::select(all)
}

fn of_type(wanted: crate::event::Type) -> impl Strategy<Value = Field> {
    let all: Vec<Field> = Field::ALL
        .iter()
        .chain(Field::DERIVED)
        .copied()
        .filter(|field| field.value_type() == wanted)
        .collect();
    proptest::sample::select(all)
}

fn patterns() -> impl Strategy<Value = Against> {
    let glob = "[a-z0-9*_.-]{0,8}[a-z*]".prop_map(|text| (Shape::Glob, text));
    let odd =
        "(true|null|no|10|~|-|a: b|\"|'|#x|%|@|`|\\{|[é*]x)".prop_map(|text| (Shape::Glob, text));
    let domain = "[a-z]{1,5}(\\.[a-z]{1,5}){0,2}".prop_map(|text| (Shape::Domain, text));
    proptest::collection::vec(prop_oneof![4 => glob, 1 => odd, 2 => domain], 1..4).prop_map(|all| {
        let mut patterns = Patterns::new();
        for (shape, text) in all {
            patterns.add(shape, &text).unwrap();
        }
        Against::Patterns(Arc::new(patterns))
    })
}

fn relations() -> impl Strategy<Value = Relation> {
    proptest::sample::select(vec![
        Relation::Less,
        Relation::AtMost,
        Relation::Greater,
        Relation::AtLeast,
        Relation::Equal,
    ])
}

/// A field, and something that it can be held against.
fn comparable() -> impl Strategy<Value = (Field, Vec<Test>)> {
    use crate::event::Type;
    let test =
        |against| (any::<bool>(), against).prop_map(|(negated, against)| Test { negated, against });
    let number = (
        relations(),
        -1_000_000_000_000_000i128..1_000_000_000_000_000,
    )
        .prop_map(|(relation, number)| Against::Number(relation, number));
    let moment = (relations(), 0i64..4_000_000_000_000_000_000)
        .prop_map(|(relation, nanos)| Against::Number(relation, i128::from(nanos)));
    let networks = proptest::collection::vec((any::<u32>(), 0u8..=32), 1..3).prop_map(|all| {
        let network = |(address, length): (u32, u8)| {
            let network = ipnet::Ipv4Net::new(address.into(), length).unwrap();
            ipnet::IpNet::V4(network)
        };
        Against::Networks(all.into_iter().map(network).collect())
    });
    let expressions = proptest::collection::vec("[a-z]{1,4}[.*+$]?", 1..3).prop_map(|all| {
        let build = |text: &String| native::expression(text).unwrap();
        Against::Expressions(all.iter().map(build).collect())
    });
    let same = || fields().prop_map(Against::Field);
    let not_names = fields().prop_filter("names take fewer patterns", |field| {
        !matches!(
            field,
            Field::Query | Field::QuerySpelled | Field::OtherQuestions
        )
    });
    prop_oneof![
        (
            not_names,
            proptest::collection::vec(
                test(prop_oneof![patterns(), expressions, same()].boxed()),
                1..4
            )
        ),
        (
            of_type(Type::Number),
            proptest::collection::vec(test(prop_oneof![number, same()].boxed()), 1..4)
        ),
        (
            of_type(Type::Time),
            proptest::collection::vec(test(moment.boxed()), 1..3)
        ),
        (
            of_type(Type::Address),
            proptest::collection::vec(test(networks.boxed()), 1..3)
        ),
    ]
}

fn conditions() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        1 => fields().prop_map(Condition::Exists),
        6 => (comparable(), any::<bool>()).prop_map(|((field, tests), every)| {
            Condition::Compare(Comparison { field, every, tests })
        }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let some = || proptest::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            some().prop_map(Condition::All),
            some().prop_map(Condition::Any),
            inner
                .clone()
                .prop_map(|part| Condition::Not(Box::new(part))),
        ]
    })
}

/// Text that says something, with all that YAML could take for something else.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z][a-z ,:#'\"-]{0,30}[a-z]",
        "(true|null|~|10|1e3|yes|- a|a: b|# c|\\*x|&x|!x|%x|@x|'|\"|\\{a\\}|a\nb\n)",
        "[^\\s\\pC]{1,20}",
    ]
}

fn rules() -> impl Strategy<Value = Rule> {
    let said = (
        "[A-Za-z][a-z:,#' -]{0,30}[a-z]",
        proptest::option::of(texts()),
        proptest::option::of(1u32..100),
        any::<bool>(),
        proptest::collection::vec(texts(), 0..3),
        proptest::option::of(texts()),
    );
    let searched = (
        conditions(),
        proptest::collection::hash_set(fields(), 1..4),
        proptest::collection::vec(fields(), 0..3),
        any::<bool>(),
        proptest::option::of(0u8..=100),
        proptest::collection::vec(proptest::sample::select(&THREAT_OBJECT_TYPES[..]), 0..3),
        proptest::option::of(prop_oneof![
            1u64..100_000,
            (1u64..100).prop_map(|days| days * 86_400)
        ]),
        proptest::collection::vec(-1_000_000_000_000i128..1_000_000_000_000, 0..4),
    );
    (said, searched).prop_map(|(said, searched)| {
        let (name, description, version, enabled, stories, false_positives) = said;
        let (condition, by, values, has_schedule, score, threats, period, numbers) = searched;
        let by: Vec<Field> = by.into_iter().collect();
        let mut functions = vec![
            Function::Count,
            Function::MinTime,
            Function::MaxTime,
            Function::Sum(Field::AnswerCount),
            Function::Avg(Field::QueryEntropy),
            Function::Stdev(Field::Ttl),
        ];
        for field in values {
            functions.extend([Function::Values(field), Function::Dc(field)]);
            if field != Field::Time {
                functions.extend([Function::Min(field), Function::Max(field)]);
            }
        }
        let having = [
            (0, Relation::Greater),
            (0, Relation::AtMost),
            (5, Relation::Equal),
        ];
        let having = having
            .into_iter()
            .zip(&numbers)
            .map(|((column, relation), &number)| Threshold {
                column,
                negated: relation == Relation::Equal && number % 2 == 0,
                relation,
                number,
            });
        let columns = functions
            .into_iter()
            .enumerate()
            .map(|(place, function)| Column {
                name: format!("column_{place}"),
                function,
            });
        let risk = score.zip(by.first()).map(|(score, &field)| Risk {
            message: format!("${}$ cost $ 5: \"#1\"", field.name()),
            objects: vec![RiskObject {
                field,
                object_type: RiskObjectType::User,
                score,
            }],
            threat_objects: threats
                .iter()
                .map(|object_type| ThreatObject {
                    field: "column_0".to_owned(),
                    object_type,
                })
                .collect(),
            stacked: has_schedule,
        });
        // Without a risk there is nothing to hold back.
        let period = period.filter(|_| risk.is_some());
        let throttle = period.zip(by.last()).map(|(seconds, &field)| Throttle {
            fields: vec![field],
            period: Duration::from_secs(seconds),
        });
        Rule {
            name,
            id: Some("5790a766-53b8-40d3-a696-3547b978fcf0".to_owned()),
            description,
            rule_type: Some("TTP".to_owned()),
            version,
            enabled,
            analytic_story: stories,
            references: vec!["https://example.com/a#b".to_owned()],
            false_positives,
            condition,
            by,
            columns: columns.collect(),
            having: having.collect(),
            schedule: has_schedule.then(|| Schedule {
                cron: "*/5 * * * *".to_owned(),
                earliest: "-70m@m".to_owned(),
                latest: "now".to_owned(),
            }),
            risk,
            throttle,
            attack: vec!["T1071.004".to_owned()],
            ..Rule::default()
        }
    })
}

/// A rule without what is not written.
fn bare(rule: &Rule) -> String {
    let mut rule = rule.clone();
    rule.origin = Origin::CommandLine;
    rule.text = Arc::from("");
    rule.trials.clear();
    format!("{rule:#?}")
}

proptest! {
    #[test]
    fn every_rule_reads_back(rule in rules()) {
        let text = write(&rule).unwrap();
        match native::read_text("written.yaml", &text) {
            Ok(read) => {
                prop_assert_eq!(read.len(), 1);
                prop_assert_eq!(bare(&read[0]), bare(&rule), "{}", text);
            }
            Err(mistakes) => prop_assert!(false, "{mistakes:?}\n{text}"),
        }
    }
}

#[test]
fn the_embedded_rules_read_back() {
    for rule in crate::rule::embedded().unwrap() {
        let read = native::read_text("written.yaml", &write(&rule).unwrap()).unwrap();
        assert_eq!(bare(&read[0]), bare(&rule));
    }
}

/// Conditions with nothing in them have no form of their own; what they mean has.
#[test]
fn what_holds_always_or_never_is_written_as_such() {
    let compare = |every, tests| {
        Condition::Compare(Comparison {
            field: Field::Answer,
            every,
            tests,
        })
    };
    let nothing = |negated| Test {
        negated,
        against: Against::Patterns(Arc::new(Patterns::new())),
    };
    for (condition, expected) in [
        (
            Condition::All(Vec::new()),
            "where: { query: { exists: true } }",
        ),
        (
            Condition::Any(Vec::new()),
            "where: { query: { exists: false } }",
        ),
        (
            compare(true, Vec::new()),
            "where: { answer: { exists: true } }",
        ),
        (
            compare(false, vec![nothing(true)]),
            "where: { answer: { exists: true } }",
        ),
        (
            compare(false, vec![nothing(false)]),
            "where: { query: { exists: false } }",
        ),
    ] {
        let rule = Rule {
            condition,
            ..Rule::default()
        };
        let text = write(&rule).unwrap();
        assert!(text.contains(expected), "{text}");
    }
}
