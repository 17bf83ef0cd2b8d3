//! The functions of columns against lists of values, partial rows as another program would add them up, and thresholds.

use data_encoding::BASE64;
use datasketches::hll::{HllSketch, HllType, HllUnion};

use super::*;
use crate::rule::{Relation, Threshold};

fn column(name: &str, function: Function) -> Column {
    Column {
        name: name.into(),
        function,
    }
}

/// A rule with these columns, in groups by the source.
fn with(columns: Vec<Column>) -> Rule {
    Rule {
        columns,
        ..rule("r", &[Field::Src])
    }
}

/// Every function, over numbers, many numbers, texts that may be numbers, texts and addresses.
fn every_function() -> Rule {
    let mut columns = vec![
        column("count", Function::Count),
        column("firstTime", Function::MinTime),
        column("lastTime", Function::MaxTime),
        column("queries", Function::Values(Field::Query)),
        column("first_query", Function::Min(Field::Query)),
        column("last_query", Function::Max(Field::Query)),
        column("first_answer", Function::Min(Field::Answer)),
        column("last_answer", Function::Max(Field::Answer)),
        column("zone", Function::Max(Field::CimEntityZone)),
        column("query_dc", Function::Dc(Field::Query)),
        column("zone_dc", Function::Dc(Field::CimEntityZone)),
    ];
    for (name, field) in NUMBERS {
        columns.extend([
            column(&format!("{name}_min"), Function::Min(field)),
            column(&format!("{name}_max"), Function::Max(field)),
            column(&format!("{name}_total"), Function::Sum(field)),
            column(&format!("{name}_avg"), Function::Avg(field)),
            column(&format!("{name}_stdev"), Function::Stdev(field)),
            column(&format!("{name}_dc"), Function::Dc(field)),
        ]);
    }
    with(columns)
}

const NUMBERS: [(&str, Field); 3] = [
    ("duration", Field::Duration),
    ("vlan", Field::Vlan),
    ("code", Field::ReplyCodeId),
];

/// An event as far as the columns can tell it from another.
#[derive(Clone, Debug)]
struct Seed {
    src: u8,
    second: u16,
    query: u8,
    answers: Vec<u8>,
    duration: Option<i64>,
    vlan: Vec<u16>,
    code: Option<u16>,
}

fn any_seed() -> impl Strategy<Value = Seed> {
    (
        0..3_u8,
        0..900_u16,
        0..12_u8,
        prop::collection::vec(0..30_u8, 0..3),
        prop::option::of(-2_000_000_000..2_000_000_000_i64),
        prop::collection::vec(0..4_u16, 0..4),
        prop::option::of(0..20_u16),
    )
        .prop_map(|(src, second, query, answers, duration, vlan, code)| Seed {
            src,
            second,
            query,
            answers,
            duration,
            vlan,
            code,
        })
}

impl Seed {
    fn event(&self, number: usize) -> Event {
        let step = Step {
            rule: 0,
            src: self.src,
            query: self.query,
            answers: self.answers.clone(),
            vlan: self.vlan.clone(),
            second: self.second,
            advance: None,
        };
        Event {
            duration: self.duration,
            reply_code: self.code,
            ..event_of(&step, number)
        }
    }

    /// The numbers of one of [`NUMBERS`].
    fn numbers(&self, name: &str) -> Vec<f64> {
        match name {
            "duration" => self
                .duration
                .iter()
                .map(|nanos| *nanos as f64 / 1e9)
                .collect(),
            "vlan" => self.vlan.iter().map(|id| f64::from(*id)).collect(),
            // `unknown`, where there is none, is no number.
            _ => self.code.iter().map(|code| f64::from(*code)).collect(),
        }
    }
}

/// What a list of numbers says, as plainly as possible.
fn of_list(list: &[f64]) -> [Option<f64>; 5] {
    let sum: f64 = list.iter().sum();
    let count = list.len() as f64;
    let squares: f64 = list
        .iter()
        .map(|number| (number - sum / count).powi(2))
        .sum();
    let some = |number: f64| (!list.is_empty()).then_some(number);
    [
        list.iter().copied().reduce(f64::min),
        list.iter().copied().reduce(f64::max),
        some(sum),
        some(sum / count),
        (list.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
    ]
}

/// How far two numbers may be apart that were rounded to a billionth.
fn near(found: &Json, expected: Option<f64>) -> bool {
    match (found.as_f64(), expected) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-8,
        (None, None) => found.is_null(),
        _ => false,
    }
}

fn of(limits: Limits, rule: &Rule) -> Aggregator {
    Aggregator::new(
        std::slice::from_ref(rule),
        Window::None,
        "sensor".into(),
        limits,
    )
    .expect("an aggregator")
}

/// The rows of these events as JSON, and how many of them were partial.
fn rows(limits: Limits, seeds: &[(usize, Seed)]) -> Vec<Json> {
    let mut aggregator = of(limits, &every_function());
    let mut rows = Vec::new();
    for (number, seed) in seeds {
        let event = seed.event(*number);
        aggregator.add(0, &event, &event.query, &mut |row| rows.push(row));
        let (groups, bytes, agree) = aggregator.windows.held();
        assert!(groups <= limits.groups && bytes <= limits.bytes && agree);
    }
    rows.extend(finish(&mut aggregator));
    rows.iter().map(json).collect()
}

/// What a row must say of its source's events.
fn check(row: &Json, seeds: &[Seed]) -> Result<(), TestCaseError> {
    let of_src: Vec<&Seed> = seeds
        .iter()
        .filter(|seed| row["src"] == format!("10.0.0.{}", seed.src))
        .collect();
    prop_assert_eq!(&row["count"], of_src.len());
    for (name, _) in NUMBERS {
        let list: Vec<f64> = of_src.iter().flat_map(|seed| seed.numbers(name)).collect();
        let expected = of_list(&list);
        for (part, expected) in ["min", "max", "total", "avg", "stdev"]
            .into_iter()
            .zip(expected)
        {
            let found = &row[format!("{name}_{part}")];
            prop_assert!(
                near(found, expected),
                "{} of {}: {} {:?}",
                part,
                name,
                found,
                expected
            );
        }
        let mut distinct: Vec<String> = list.iter().map(f64::to_string).collect();
        if name == "code" && of_src.iter().any(|seed| seed.code.is_none()) {
            distinct.push("unknown".into());
        }
        let distinct: BTreeSet<String> = distinct.into_iter().collect();
        prop_assert_eq!(&row[format!("{name}_dc")], distinct.len());
    }
    let queries: BTreeSet<String> = of_src
        .iter()
        .map(|seed| format!("q{}.ngrok.io", seed.query))
        .collect();
    prop_assert_eq!(&row["queries"], &json!(queries));
    prop_assert_eq!(&row["query_dc"], queries.len());
    prop_assert_eq!(
        row["first_query"].as_str(),
        queries.first().map(String::as_str)
    );
    prop_assert_eq!(
        row["last_query"].as_str(),
        queries.last().map(String::as_str)
    );
    // Addresses are in the order of their numbers, and before text.
    let addresses = of_src.iter().flat_map(|seed| &seed.answers);
    let least = addresses
        .clone()
        .min()
        .map(|last| format!("192.0.2.{last}"));
    let unknown = of_src.iter().any(|seed| seed.answers.is_empty());
    let greatest = addresses.max().map(|last| format!("192.0.2.{last}"));
    let greatest = greatest.filter(|_| !unknown).unwrap_or("unknown".into());
    prop_assert_eq!(&row["first_answer"], &least.unwrap_or("unknown".into()));
    prop_assert_eq!(&row["last_answer"], &greatest);
    prop_assert_eq!((&row["zone"], &row["zone_dc"]), (&Json::Null, &json!(0)));
    Ok(())
}

/// Adds rows of one group up as `docs/output.md` says, with nothing but what they print.
fn add_up(rows: &[&Json]) -> Json {
    let mut whole = rows[0].clone();
    let numbers =
        |name: &str| -> Vec<f64> { rows.iter().filter_map(|row| row[name].as_f64()).collect() };
    let texts = |name: &str| -> BTreeSet<String> {
        rows.iter()
            .flat_map(|row| match &row[name] {
                Json::Array(list) => list.iter().map(|item| item.to_string()).collect(),
                Json::String(text) => vec![text.clone()],
                _ => Vec::new(),
            })
            .collect()
    };
    let sum = |name: &str| -> f64 { numbers(name).iter().sum() };
    whole["count"] = json!(sum("count") as u64);
    let queries = texts("queries");
    let queries: Vec<&str> = queries.iter().map(|text| text.trim_matches('"')).collect();
    whole["queries"] = json!(queries);
    whole["first_query"] = json!(texts("first_query").first());
    whole["last_query"] = json!(texts("last_query").last());
    // Addresses sort by their numbers.
    let order = |text: &String| match text.rsplit('.').next().map(str::parse::<u32>) {
        Some(Ok(last)) => last,
        _ => u32::MAX,
    };
    whole["first_answer"] = json!(texts("first_answer").iter().min_by_key(|text| order(text)));
    whole["last_answer"] = json!(texts("last_answer").iter().max_by_key(|text| order(text)));
    whole["query_dc"] = json!(texts("query_dc_values").len());
    for (name, _) in NUMBERS {
        let part = |part: &str| format!("{name}_{part}");
        whole[part("min")] = json!(numbers(&part("min")).into_iter().reduce(f64::min));
        whole[part("max")] = json!(numbers(&part("max")).into_iter().reduce(f64::max));
        whole[part("total")] = json!(
            numbers(&part("total"))
                .into_iter()
                .reduce(|one, other| one + other)
        );
        let (count, total) = (sum(&part("avg_count")), sum(&part("avg_sum")));
        whole[part("avg")] = json!((count > 0.0).then(|| total / count));
        let (count, total) = (sum(&part("stdev_count")), sum(&part("stdev_sum")));
        let squares = sum(&part("stdev_sumsq")) - total * total / count;
        whole[part("stdev")] =
            json!((count > 1.0).then(|| (squares.max(0.0) / (count - 1.0)).sqrt()));
        whole[part("dc")] = json!(texts(&part("dc_values")).len());
    }
    whole
}

/// Whether two cells say the same: of numbers, but for what floats lose when roots are taken of differences of squares.
fn same(found: &Json, expected: &Json) -> bool {
    match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-5,
        _ => found == expected,
    }
}

proptest! {
    #[test]
    fn the_columns_of_whole_rows_are_what_lists_say_in_any_order(
        (seeds, shuffled) in prop::collection::vec(any_seed(), 1..50)
            .prop_map(|seeds| seeds.into_iter().enumerate().collect::<Vec<_>>())
            .prop_flat_map(|seeds| (Just(seeds.clone()), Just(seeds).prop_shuffle())),
    ) {
        let found = rows(Limits::default(), &seeds);
        let list: Vec<Seed> = seeds.iter().map(|(_, seed)| seed.clone()).collect();
        for row in &found {
            check(row, &list)?;
            let parts = row.as_object().expect("an object").keys().filter(|name| {
                ["_sum", "_sumsq", "_count", "_values", "_sketch", "_estimated"].iter().any(|ending| name.ends_with(ending))
            });
            prop_assert_eq!(parts.count(), 0, "whole rows have no parts");
        }
        prop_assert_eq!(found, rows(Limits::default(), &shuffled));
    }

    #[test]
    fn partial_rows_add_up_to_the_whole(
        seeds in prop::collection::vec(any_seed(), 1..50)
            .prop_map(|seeds| seeds.into_iter().enumerate().collect::<Vec<_>>()),
        bytes in 0..12_000_usize,
    ) {
        // Nothing is held: each row is a part, or, with a few bytes, some are.
        let limits = Limits { bytes, ..Limits::default() };
        let parts = rows(limits, &seeds);
        let list: Vec<Seed> = seeds.iter().map(|(_, seed)| seed.clone()).collect();
        for whole in rows(Limits::default(), &seeds) {
            let of_group: Vec<&Json> = parts.iter().filter(|row| row["src"] == whole["src"]).collect();
            if let [only] = of_group.as_slice() && only.get("partial").is_none() {
                prop_assert_eq!(*only, &whole);
                continue;
            }
            // The last part may claim to be whole only where it is the first.
            prop_assert!(of_group.iter().all(|row| row["partial"] == true));
            let added = add_up(&of_group);
            for name in whole.as_object().expect("an object").keys() {
                if !["event_id", "firstTime", "lastTime"].contains(&name.as_str()) {
                    prop_assert!(same(&added[name], &whole[name]), "{}: {} {}", name, added[name], whole[name]);
                }
            }
            check(&whole, &list)?;
        }
    }
}

/// Numbers beyond what a float holds are written, and add up, to the last digit.
#[test]
fn sums_are_exact_where_floats_are_not() {
    let rule = with(vec![
        column("total", Function::Sum(Field::Packet)),
        column("time", Function::Sum(Field::Duration)),
        column("spread", Function::Stdev(Field::Packet)),
    ]);
    let mut aggregator = of(Limits::default(), &rule);
    for number in 0..3_u8 {
        let mut event = sample_event();
        event.packet = u64::MAX - u64::from(number);
        event.duration = Some(i64::MAX - i64::from(number));
        add(&mut aggregator, &[event]);
    }
    let text = serde_json::to_string(&finish(&mut aggregator)[0]).expect("JSON");
    // 3 (2^64 - 1) - 3, and 3 (2^63 - 1) - 3 nanoseconds.
    let expected = r#""total":55340232221128654842,"time":27670116110.564327418,"spread":1,"#;
    assert!(text.contains(expected), "{text}");
}

/// A rule with `dc(query)`, and the events of so many names in some order.
fn distinct_names(numbers: impl Iterator<Item = u32>, limits: Limits) -> Vec<Row> {
    let mut aggregator = of(
        limits,
        &with(vec![column("names", Function::Dc(Field::Query))]),
    );
    let mut rows = Vec::new();
    let mut event = sample_event();
    for number in numbers {
        event.query = format!("v{number}.example");
        aggregator.add(0, &event, &event.query, &mut |row| rows.push(row));
        let (_, bytes, _) = aggregator.windows.held();
        // The largest set, or the sketch, and the group.
        assert!(bytes < 70_000, "{bytes}");
    }
    rows.extend(finish(&mut aggregator));
    rows
}

#[test]
fn distinct_values_are_exact_up_to_a_thousand_and_estimated_beyond() {
    let count = |numbers: u32| {
        let row = json(&distinct_names((0..numbers).chain(0..numbers), Limits::default())[0]);
        (
            row["names"].as_u64().expect("a number"),
            row.get("names_estimated").is_some(),
        )
    };
    assert_eq!(count(1), (1, false));
    assert_eq!(count(1_000), (1_000, false));
    let (estimate, estimated) = count(1_001);
    assert!(estimated && (960..=1_040).contains(&estimate), "{estimate}");
    // What Apache DataSketches for Python says of the same names in a sketch of the same size.
    assert_eq!(count(5_000), (DATASKETCHES_SAYS[0], true));
    assert_eq!(count(100_000), (DATASKETCHES_SAYS[1], true));
}

/// `u = hll_union(12)`, twice updated with an `hll_sketch(12)` of `v0.example` up to 5,000 and to 100,000 names.
const DATASKETCHES_SAYS: [u64; 2] = [4_977, 99_504];

#[test]
fn neither_the_sketch_nor_its_estimate_depends_on_the_order() {
    let limits = Limits {
        groups: 0,
        ..Limits::default()
    };
    let whole = |numbers: Vec<u32>| distinct_names(numbers.into_iter(), Limits::default());
    let forward = whole((0..3_000).collect());
    assert_eq!(forward, whole((0..3_000).rev().collect()));
    assert_eq!(
        forward,
        whole((0..3_000).map(|number| number * 7 % 3_000).collect())
    );
    // Without room each name is a row of its own: three thousand sets, which add up to the sketch.
    let mut union = HllUnion::new(12).expect("a union");
    for row in distinct_names(0..3_000, limits) {
        let row = json(&row);
        assert_eq!((&row["partial"], &row["names"]), (&json!(true), &json!(1)));
        let name = row["names_values"][0].as_str().expect("a name");
        union.update_value(datasketches::hash::value::raw_bytes::from_str(name));
    }
    assert_eq!(
        json(&forward[0])["names"],
        union.composite_estimate().round()
    );
}

/// Late rows of a window that was closed: both parts with sketches, which share half of their names.
#[test]
fn sketches_of_partial_rows_merge() {
    let rule = with(vec![column("names", Function::Dc(Field::Query))]);
    let part = |numbers: std::ops::Range<u32>| {
        let mut aggregator = aggregator(std::slice::from_ref(&rule), HOUR);
        aggregator.advance(Timestamp::MAX, &mut |row| panic!("{row:?}"));
        for number in numbers {
            let mut event = sample_event();
            event.query = format!("v{number}.example");
            add(&mut aggregator, &[event]);
        }
        let rows = finish(&mut aggregator);
        json(&rows[0])
    };
    let parts = [part(0..4_000), part(2_000..6_000)];
    let mut union = HllUnion::new(12).expect("a union");
    for row in &parts {
        assert_eq!(
            (&row["partial"], &row["names_estimated"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(row.get("names_values"), None);
        let text = row["names_sketch"].as_str().expect("a sketch");
        let bytes = BASE64.decode(text.as_bytes()).expect("base64");
        union.update(&HllSketch::deserialize(&bytes).expect("a sketch"));
    }
    let merged = union.to_sketch(HllType::Hll8).composite_estimate();
    let whole = json(&distinct_names(0..6_000, Limits::default())[0]);
    assert_eq!(whole["names"], merged.round());
    assert!(
        (merged - 6_000.0).abs() < 5.0 * 0.01625 * 6_000.0,
        "{merged}"
    );
}

/// Texts of strangers may be long: they make the set a sketch before there are many.
#[test]
fn the_bytes_of_a_set_are_bounded() {
    let rule = with(vec![column("answers", Function::Dc(Field::Answer))]);
    let mut aggregator = of(Limits::default(), &rule);
    for number in 0..40_u8 {
        let long = format!("{number}{}", "x".repeat(20_000));
        add(
            &mut aggregator,
            &[event_at("2026-01-02T03:00:00Z", &[&long], number)],
        );
        assert!(aggregator.windows.held().1 < 64 * 1024 + 1_000);
    }
    let row = json(&finish(&mut aggregator)[0]);
    assert_eq!(
        (&row["answers"], &row["answers_estimated"]),
        (&json!(40), &json!(true))
    );
}

fn threshold(column: usize, relation: Relation, negated: bool, number: i128) -> Threshold {
    Threshold {
        column,
        negated,
        relation,
        number: number * 1_000_000_000,
    }
}

#[test]
fn a_row_that_does_not_come_to_what_is_asked_is_held_back_and_counted() {
    let columns = vec![
        column("count", Function::Count),
        column("names", Function::Values(Field::Query)),
        column("zones", Function::Sum(Field::ResponsePacket)),
    ];
    let mut limited = with(columns);
    let held_back = |rule: &Rule| {
        let mut aggregator = of(Limits::default(), rule);
        let mut event = sample_event();
        event.response_packet = None;
        for name in ["a.example", "b.example", "a.example"] {
            event.query = name.into();
            add(&mut aggregator, &[event.clone()]);
        }
        let so_far = aggregator.so_far();
        let rows = finish(&mut aggregator);
        assert_eq!(so_far, rows);
        let stats = aggregator.stats;
        let back = rows.is_empty();
        assert_eq!(
            (stats.rows, stats.held_back),
            (u64::from(!back), u64::from(back))
        );
        assert_eq!(
            (stats.counted, stats.counted_held_back),
            if back { (0, 3) } else { (3, 0) }
        );
        back
    };
    use Relation::{AtLeast, AtMost, Equal, Greater, Less};
    // Three events, two names, no number in the last column.
    for (column, relation, negated, number, passes) in [
        (0, Greater, false, 2, true),
        (0, Greater, false, 3, false),
        (0, AtLeast, false, 3, true),
        (0, Less, false, 3, false),
        (0, AtMost, false, 3, true),
        (0, Equal, false, 3, true),
        (0, Equal, true, 3, false),
        (0, Equal, true, 2, true),
        (1, Equal, false, 2, true),
        (1, Greater, false, 2, false),
        (2, Equal, false, 0, false),
        (2, Equal, true, 5, false),
        (2, AtLeast, false, 0, false),
        (7, AtLeast, false, 0, false),
    ] {
        limited.having = vec![threshold(column, relation, negated, number)];
        assert_eq!(held_back(&limited), !passes, "{:?}", limited.having);
    }
    limited.having = vec![
        threshold(0, Greater, false, 2),
        threshold(1, Less, false, 2),
    ];
    assert!(held_back(&limited), "all must hold");
}

#[test]
fn values_that_were_cut_are_more_than_are_listed() {
    let mut rule = with(vec![column("names", Function::Values(Field::Query))]);
    let limits = Limits {
        values: 2,
        ..Limits::default()
    };
    for (relation, number, passes) in [
        (Relation::Greater, 2, true),
        (Relation::Equal, 2, false),
        (Relation::AtMost, 2, false),
    ] {
        rule.having = vec![threshold(0, relation, false, number)];
        let mut aggregator = of(limits, &rule);
        for name in ["a", "b", "c"] {
            let mut event = sample_event();
            event.query = name.into();
            add(&mut aggregator, &[event]);
        }
        assert_eq!(finish(&mut aggregator).len(), usize::from(passes));
    }
}

#[test]
fn a_partial_row_is_never_held_back() {
    let mut limited = with(vec![column("count", Function::Count)]);
    limited.having = vec![threshold(0, Relation::Greater, false, 100)];
    let mut aggregator = aggregator(&[limited], HOUR);
    add(&mut aggregator, &[event_at("2026-01-02T03:00:00Z", &[], 1)]);
    // Whole, and too little.
    assert_eq!(advance(&mut aggregator, "2026-01-02T05:00:00Z"), []);
    assert_eq!(aggregator.stats.held_back, 1);
    // Late, and so a part.
    add(&mut aggregator, &[event_at("2026-01-02T03:00:01Z", &[], 2)]);
    let rows = finish(&mut aggregator);
    assert_eq!(table(&rows, &["count", "partial"]), json!([[1, true]]));
    assert_eq!((aggregator.stats.rows, aggregator.stats.held_back), (1, 1));
}
