//! Rows of several sensors, added up, are the rows of one that saw it all.

use super::*;
use crate::aggregate::merge::Merger;
use crate::rule::{Relation, Threshold};

/// Every function, in two groups, and a threshold that the sensors may reach only together.
fn every_function(least: i128) -> Rule {
    let column = |name: &str, function| Column {
        name: name.into(),
        function,
    };
    let mut rule = rule("Everything", &[Field::Query]);
    rule.columns.extend([
        column("who", Function::Values(Field::Src)),
        column("clients", Function::Dc(Field::Src)),
        column("first_src", Function::Min(Field::Src)),
        column("last_src", Function::Max(Field::Src)),
        column("total", Function::Sum(Field::SrcPort)),
        column("smallest", Function::Min(Field::SrcPort)),
        column("largest", Function::Max(Field::SrcPort)),
        column("mean", Function::Avg(Field::SrcPort)),
        column("spread", Function::Stdev(Field::SrcPort)),
    ]);
    rule.having = vec![Threshold {
        column: 0,
        negated: false,
        relation: Relation::AtLeast,
        number: least * 1_000_000_000,
    }];
    rule
}

/// What a row says, but for what depends on who saw it.
fn said(row: &Row) -> Json {
    let mut row = serde_json::to_value(row).expect("JSON");
    let fields = row.as_object_mut().expect("an object");
    fields.remove("sensor");
    fields.remove("event_id");
    row
}

/// One sensor's rows, and those of several among which the events are shared out, added up by way of their text.
fn both_ways(rule: &Rule, shares: &[Vec<Event>]) -> (Vec<Row>, Vec<Row>) {
    let rules = [rule.clone()];
    let mut one = aggregator(&rules, HOUR);
    let mut merger = Merger::new(&rules);
    for (number, share) in shares.iter().enumerate() {
        add(&mut one, share);
        let mut own = aggregator(&rules, HOUR).with_parts();
        add(&mut own, share);
        own.finish(&mut |row| {
            let part = serde_json::to_string(&row.part).expect("JSON");
            merger
                .add(&row.rule.name, &format!("s{number}"), &part)
                .expect("few rows");
        });
    }
    assert_eq!(merger.left_out().count(), 0);
    let mut together = Vec::new();
    merger.finish(false, &mut |row| together.push(row));
    (finish(&mut one), together)
}

fn event(number: u32, query: bool) -> Event {
    let mut event = sample_event();
    event.time = Timestamp::from_parts(i64::from(number % 7) * 1_800, number.into());
    event.src = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number));
    event.src_port = u16::try_from(number % 50_000).expect("small");
    event.query = if query { "a.example" } else { "b.example" }.into();
    event.packet = u64::from(number);
    event.event_id = u128::from(number).to_be_bytes();
    event
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn shared_out_and_added_up_is_the_same(
        events in prop::collection::vec((0_u32..400, any::<bool>(), 0_usize..3), 0..120),
        least in 0_i128..12,
    ) {
        let mut shares = vec![Vec::new(); 3];
        for (number, query, sensor) in events {
            shares[sensor].push(event(number, query));
        }
        let (one, together) = both_ways(&every_function(least), &shares);
        let list = |rows: &[Row]| rows.iter().map(said).collect::<Vec<_>>();
        prop_assert_eq!(list(&together), list(&one));
        for (own, other) in together.iter().zip(&one) {
            prop_assert_eq!(&own.context, &other.context);
        }
    }
}

/// More distinct values than a set holds, on one sensor, on all of them together only, and on none.
#[test]
fn sketches_add_up_with_sets_and_with_each_other() {
    for sizes in [
        [3_000, 3_000],
        [3_000, 10],
        [10, 3_000],
        [700, 700],
        [10, 10],
    ] {
        let mut number = 0;
        let shares: Vec<Vec<Event>> = sizes
            .iter()
            .map(|size| {
                (0..*size)
                    .map(|_| {
                        number += 7;
                        event(number, true)
                    })
                    .collect()
            })
            .collect();
        let (one, together) = both_ways(&every_function(0), &shares);
        let list = |rows: &[Row]| rows.iter().map(said).collect::<Vec<_>>();
        assert_eq!(list(&together), list(&one), "{sizes:?}");
    }
}

#[test]
fn what_cannot_be_added_up_is_left_out_and_said() {
    let rules = [every_function(0)];
    let mut own = aggregator(&rules, HOUR).with_parts();
    add(&mut own, &[event(1, true)]);
    let mut part = String::new();
    own.finish(&mut |row| part = serde_json::to_string(&row.part).expect("JSON"));
    let other = Rule {
        name: "Other".into(),
        ..rule("Everything", &[Field::Query])
    };
    let mut merger = Merger::new(&[rules[0].clone(), other]);
    for (name, part) in [
        ("Unknown", part.as_str()),
        ("Other", part.as_str()),
        ("Everything", "{}"),
        ("Everything", &part.replace("\"key\":\"", "\"key\":\"AAAA")),
        ("Everything", &part.replace("\"exact\"", "\"least\"")),
    ] {
        merger
            .add(name, "s", part)
            .expect("no more than a bad part");
    }
    let left_out: Vec<(&str, u64)> = merger
        .left_out()
        .map(|(rule, _, count)| (rule, count))
        .collect();
    assert_eq!(left_out, [("Everything", 3), ("Other", 1), ("Unknown", 1)]);
    merger.finish(false, &mut |row| panic!("{row:?}"));
}
