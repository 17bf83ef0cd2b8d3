mod columns;
mod merge;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::event::{Field, Outcome, Role, Seen};
use crate::frame::Transport;
use crate::message::Record;
use crate::rule::{Column, Function, Schedule};

/// A lookup of a.ngrok.io by 10.9.0.11 at 2026-01-02T03:04:05.000006Z.
pub(crate) fn sample_event() -> Event {
    Event {
        time: Timestamp::from_parts(1_767_323_045, 6_000),
        sensor: "sensor".into(),
        source: "eth0".into(),
        zone: None,
        seen: Seen::Both,
        src: IpAddr::V4(Ipv4Addr::new(10, 9, 0, 11)),
        src_port: 40_000,
        src_mac: None,
        dest: IpAddr::V4(Ipv4Addr::new(10, 9, 0, 53)),
        dest_port: 53,
        dest_mac: None,
        src_asset: None,
        dest_asset: None,
        transport: Transport::Udp,
        transaction_id: 7,
        opcode: "QUERY".into(),
        header_flags: 0x0180,
        query: "a.ngrok.io".into(),
        query_spelled: "A.ngrok.io".into(),
        other_questions: Vec::new(),
        record_type: "A".into(),
        query_class: "IN".into(),
        query_count: 1,
        answer_count: 1,
        authority_answer_count: 0,
        additional_answer_count: 0,
        reply_code: Some(0),
        answers: vec![answer("192.0.2.1")],
        duration: Some(1_500_000),
        edns: None,
        edns_options: Vec::new(),
        outcome: Outcome::Resolved,
        anomalies: Vec::new(),
        src_role: Role::Client,
        vlan: Vec::new(),
        tunnel: Vec::new(),
        packet: 1,
        response_packet: Some(2),
        event_id: [1; 16],
        added: Vec::new(),
        wire: None,
    }
}

pub(crate) fn answer(data: &str) -> Record {
    Record {
        name: "a.ngrok.io".into(),
        record_type: "A".into(),
        class: 1,
        ttl: 60,
        data: data.into(),
    }
}

/// The same event at another time, with other answers and another id.
fn event_at(time: &str, answers: &[&str], id: u8) -> Event {
    let mut event = sample_event();
    event.time = Timestamp::parse(time).expect("a time");
    event.answers = answers.iter().map(|data| answer(data)).collect();
    event.event_id = [id; 16];
    event.packet = u64::from(id);
    event
}

fn rule(name: &str, by: &[Field]) -> Rule {
    let column = |name: &str, function| Column {
        name: name.into(),
        function,
    };
    Rule {
        name: name.into(),
        by: by.to_vec(),
        columns: vec![
            column("count", Function::Count),
            column("firstTime", Function::MinTime),
            column("lastTime", Function::MaxTime),
        ],
        ..Rule::default()
    }
}

fn ngrok() -> Rule {
    rule("Ngrok", &[Field::Src, Field::Query, Field::Answer])
}

const HOUR: Window = Window::Every(Duration::from_secs(3_600));

fn aggregator(rules: &[Rule], window: Window) -> Aggregator {
    Aggregator::new(rules, window, "sensor".into(), Limits::default()).expect("an aggregator")
}

/// Adds events as hits of the first rule, each under its own name; rows may come only later.
fn add(aggregator: &mut Aggregator, events: &[Event]) {
    for event in events {
        aggregator.add(0, event, &event.query, &mut |row| {
            panic!("{row:?} came early")
        });
    }
}

fn advance(aggregator: &mut Aggregator, now: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    aggregator.advance(Timestamp::parse(now).expect("a time"), &mut |row| {
        rows.push(row)
    });
    rows
}

fn finish(aggregator: &mut Aggregator) -> Vec<Row> {
    let mut rows = Vec::new();
    aggregator.finish(&mut |row| rows.push(row));
    assert_eq!(
        aggregator.stats.additions,
        aggregator.stats.counted + aggregator.stats.counted_held_back,
        "every addition is in a row, or held back"
    );
    assert_eq!(aggregator.windows.held(), (0, 0, true), "nothing is held");
    rows
}

fn json(row: &Row) -> Json {
    serde_json::to_value(row).expect("JSON")
}

/// The named fields of each row, as JSON has them.
fn table(rows: &[Row], names: &[&str]) -> Json {
    let cells = |row: &Row| {
        let row = json(row);
        names
            .iter()
            .map(|name| row[name].clone())
            .collect::<Vec<_>>()
    };
    rows.iter().map(cells).collect::<Vec<_>>().into()
}

#[test]
fn a_row_says_what_its_events_were() {
    let mut aggregator = aggregator(&[ngrok()], Window::None);
    let mut later = sample_event();
    later.time = later.time.plus(Duration::from_secs(60));
    add(&mut aggregator, &[later, sample_event()]);
    let rows = finish(&mut aggregator);
    assert_eq!(rows.len(), 1);
    let text = serde_json::to_string(&rows[0]).expect("JSON");
    let id = text.split('"').rev().nth(1).expect("the id");
    assert_eq!(
        text,
        format!(
            r#"{{"rule":"Ngrok","src":"10.9.0.11","query":"a.ngrok.io","answer":"192.0.2.1","count":2,"firstTime":"2026-01-02T03:04:05.000006Z","lastTime":"2026-01-02T03:05:05.000006Z","window":null,"sensor":"sensor","event_id":"{id}"}}"#
        )
    );
    assert_eq!(id.len(), 32);
    assert!(
        id.bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    );
}

#[test]
fn each_distinct_value_makes_a_row() {
    let mut aggregator = aggregator(&[ngrok()], Window::None);
    add(
        &mut aggregator,
        &[
            event_at(
                "2026-01-02T03:00:00Z",
                &["192.0.2.1", "192.0.2.2", "192.0.2.3"],
                1,
            ),
            event_at("2026-01-02T03:00:01Z", &["192.0.2.2", "192.0.2.2"], 2),
            event_at("2026-01-02T03:00:02Z", &[], 3),
        ],
    );
    assert_eq!(
        table(&finish(&mut aggregator), &["answer", "count"]),
        json!([
            ["192.0.2.1", 1],
            ["192.0.2.2", 2],
            ["192.0.2.3", 1],
            ["unknown", 1]
        ])
    );
    assert_eq!(aggregator.stats.hits, 3);
    assert_eq!(aggregator.stats.additions, 5);
}

#[test]
fn two_multivalued_fields_give_the_cross_product_up_to_a_bound() {
    let by = [Field::Answer, Field::Vlan];
    let mut small = aggregator(&[rule("r", &by)], Window::None);
    let mut event = event_at("2026-01-02T03:00:00Z", &["b.example", "a.example"], 1);
    event.vlan = vec![20, 3];
    add(&mut small, &[event.clone()]);
    assert_eq!(
        table(&finish(&mut small), &["answer", "vlan", "count"]),
        json!([
            ["a.example", 3, 1],
            ["a.example", 20, 1],
            ["b.example", 3, 1],
            ["b.example", 20, 1]
        ])
    );
    let mut large = aggregator(&[rule("r", &by)], Window::None);
    event.answers = (0..100)
        .map(|number| answer(&format!("{number:03}.example")))
        .collect();
    event.vlan = (0..50).collect();
    add(&mut large, &[event]);
    let rows = finish(&mut large);
    assert_eq!(rows.len(), 4_096);
    assert_eq!(large.stats.combinations_cut, 100 * 50 - 4_096);
    assert_eq!(
        json(&rows[4_095])["answer"],
        "081.example",
        "the first in their order are kept"
    );
}

#[test]
fn an_absent_field_groups_under_null_and_numbers_stay_numbers() {
    let mut aggregator = aggregator(
        &[rule(
            "r",
            &[
                Field::CimEntityZone,
                Field::Ttl,
                Field::AnswerCount,
                Field::ReplyCodeId,
            ],
        )],
        Window::None,
    );
    add(
        &mut aggregator,
        &[sample_event(), event_at("2026-01-02T03:00:00Z", &[], 2)],
    );
    assert_eq!(
        table(
            &finish(&mut aggregator),
            &[
                "cim_entity_zone",
                "ttl",
                "answer_count",
                "reply_code_id",
                "count"
            ]
        ),
        json!([["null", 60, 1, "0", 1], ["null", "null", 1, "0", 1]])
    );
}

#[test]
fn the_name_that_matched_is_the_query_of_the_row() {
    let mut rule = rule("r", &[Field::Query]);
    rule.columns.push(Column {
        name: "names".into(),
        function: Function::Values(Field::Query),
    });
    let mut aggregator = aggregator(&[rule], Window::None);
    aggregator.add(0, &sample_event(), "second.ngrok.io", &mut |_| {
        panic!("early")
    });
    assert_eq!(
        table(&finish(&mut aggregator), &["query", "names"]),
        json!([["second.ngrok.io", ["second.ngrok.io"]]])
    );
}

#[test]
fn values_are_distinct_sorted_and_bounded_whatever_their_order() {
    let mut rule = rule("r", &[Field::Src]);
    rule.columns = vec![
        Column {
            name: "answers".into(),
            function: Function::Values(Field::Answer),
        },
        Column {
            name: "zones".into(),
            function: Function::Values(Field::CimEntityZone),
        },
        Column {
            name: "ports".into(),
            function: Function::Values(Field::SrcPort),
        },
    ];
    let limits = Limits {
        values: 3,
        ..Limits::default()
    };
    let events = [
        event_at(
            "2026-01-02T03:00:00Z",
            &["10.0.0.10", "10.0.0.9", "b.example"],
            1,
        ),
        event_at("2026-01-02T03:00:01Z", &["10.0.0.9", "2001:db8::1"], 2),
        event_at("2026-01-02T03:00:02Z", &["a.example"], 3),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut aggregator = Aggregator::new(
            std::slice::from_ref(&rule),
            Window::None,
            "sensor".into(),
            limits,
        )
        .expect("an aggregator");
        add(&mut aggregator, &order.map(|place| events[place].clone()));
        let rows = finish(&mut aggregator);
        assert_eq!(rows.len(), 1);
        let row = json(&rows[0]);
        assert_eq!(
            row["answers"],
            json!(["10.0.0.9", "10.0.0.10", "2001:db8::1"])
        );
        assert_eq!(row["answers_cut"], true);
        assert_eq!(row["zones"], json!([]));
        assert_eq!(row.get("zones_cut"), None);
        assert_eq!(row["ports"], json!([40_000]));
        assert_eq!(
            row.get("count"),
            None,
            "only the columns that the rule names"
        );
        assert_eq!(rows[0].count, 3);
    }
}

#[test]
fn rows_come_in_a_fixed_order() {
    let rules = [
        rule("Z first in the list", &[Field::Answer]),
        rule("A second in the list", &[Field::Src, Field::AnswerCount]),
    ];
    let mut aggregator = aggregator(&rules, HOUR);
    let answers = [
        "zz.example",
        "2001:db8::1",
        "10.0.0.10",
        "Aa.example",
        "::1",
        "9.9.9.9",
        "10.0.0.9",
        "10.example",
    ];
    let late = event_at("2026-01-02T04:00:00Z", &answers, 1);
    let early = event_at("2026-01-02T03:59:59.999999Z", &["x.example"], 2);
    for (src, count) in [
        ("10.0.0.10", 2),
        ("::1", 1),
        ("10.0.0.9", 10),
        ("10.0.0.9", 9),
    ] {
        let mut event = early.clone();
        event.src = src.parse().expect("an address");
        event.answer_count = count;
        aggregator.add(1, &event, "q", &mut |_| panic!("early"));
    }
    add(&mut aggregator, &[late, early]);
    let so_far = aggregator.so_far();
    let rows = finish(&mut aggregator);
    assert_eq!(rows, so_far);
    let [three, four] = [
        "2026-01-02T03:00:00.000000Z/2026-01-02T04:00:00.000000Z",
        "2026-01-02T04:00:00.000000Z/2026-01-02T05:00:00.000000Z",
    ];
    let lines: Vec<_> = rows
        .iter()
        .map(|row| {
            let keys: Vec<_> = row.keys.iter().map(|(_, key)| key.to_string()).collect();
            (
                json(row)["window"]
                    .as_str()
                    .map(String::from)
                    .unwrap_or_default(),
                row.rule.place,
                keys.join(" "),
            )
        })
        .collect();
    let line = |window: &str, place, keys: &str| (window.to_owned(), place, keys.to_owned());
    assert_eq!(
        lines,
        [
            line(three, 0, "x.example"),
            line(three, 1, "10.0.0.9 9"),
            line(three, 1, "10.0.0.9 10"),
            line(three, 1, "10.0.0.10 2"),
            line(three, 1, "::1 1"),
            line(four, 0, "9.9.9.9"),
            line(four, 0, "10.0.0.9"),
            line(four, 0, "10.0.0.10"),
            line(four, 0, "::1"),
            line(four, 0, "2001:db8::1"),
            line(four, 0, "10.example"),
            line(four, 0, "Aa.example"),
            line(four, 0, "zz.example"),
        ]
    );
}

#[test]
fn a_window_closes_when_its_time_and_the_lateness_are_over() {
    let mut aggregator = aggregator(&[ngrok()], HOUR);
    add(
        &mut aggregator,
        &[event_at("2026-01-02T03:00:00Z", &["192.0.2.1"], 1)],
    );
    add(
        &mut aggregator,
        &[event_at("2026-01-02T04:00:00Z", &["192.0.2.1"], 2)],
    );
    assert_eq!(advance(&mut aggregator, "2026-01-02T04:01:29.999999Z"), []);
    // The window's end is over, and it still takes what comes.
    add(
        &mut aggregator,
        &[event_at("2026-01-02T03:59:59.999999Z", &["192.0.2.1"], 3)],
    );
    let rows = advance(&mut aggregator, "2026-01-02T04:01:30Z");
    assert_eq!(
        table(&rows, &["window", "count", "partial"]),
        json!([[
            "2026-01-02T03:00:00.000000Z/2026-01-02T04:00:00.000000Z",
            2,
            null
        ]])
    );
    assert_eq!(advance(&mut aggregator, "2026-01-02T04:30:00Z"), []);
    assert_eq!(
        table(&finish(&mut aggregator), &["window", "count"]),
        json!([["2026-01-02T04:00:00.000000Z/2026-01-02T05:00:00.000000Z", 1]])
    );
    assert_eq!(
        (
            aggregator.stats.late,
            aggregator.stats.partial,
            aggregator.stats.rows
        ),
        (0, 0, 2)
    );
}

#[test]
fn windows_before_the_epoch_are_aligned_too() {
    let mut aggregator = aggregator(&[ngrok()], HOUR);
    let mut event = sample_event();
    event.time = Timestamp::from_nanos(-1);
    add(&mut aggregator, &[event]);
    assert_eq!(
        table(&finish(&mut aggregator), &["window"]),
        json!([["1969-12-31T23:00:00.000000Z/1970-01-01T00:00:00.000000Z"]])
    );
}

#[test]
fn what_comes_after_the_close_is_one_partial_row() {
    let mut aggregator = aggregator(&[ngrok()], HOUR);
    add(
        &mut aggregator,
        &[event_at("2026-01-02T03:10:00Z", &["192.0.2.1"], 1)],
    );
    assert_eq!(advance(&mut aggregator, "2026-01-02T05:00:00Z").len(), 1);
    add(
        &mut aggregator,
        &[event_at("2026-01-02T03:20:00Z", &["192.0.2.1"], 2)],
    );
    add(
        &mut aggregator,
        &[event_at("2026-01-02T03:30:00Z", &["192.0.2.1"], 3)],
    );
    let rows = advance(&mut aggregator, "2026-01-02T05:00:01Z");
    assert_eq!(
        table(&rows, &["window", "count", "partial"]),
        json!([[
            "2026-01-02T03:00:00.000000Z/2026-01-02T04:00:00.000000Z",
            2,
            true
        ]])
    );
    assert_eq!((aggregator.stats.late, aggregator.stats.partial), (2, 1));
    assert_eq!(finish(&mut aggregator), []);
}

#[test]
fn time_that_jumps_back_closes_nothing() {
    let mut aggregator = aggregator(&[ngrok()], HOUR);
    add(
        &mut aggregator,
        &[event_at("2026-01-02T04:10:00Z", &["192.0.2.1"], 1)],
    );
    assert_eq!(advance(&mut aggregator, "2026-01-02T04:10:00Z"), []);
    assert_eq!(advance(&mut aggregator, "2026-01-01T00:00:00Z"), []);
    // A window that was over before the jump stays closed.
    add(
        &mut aggregator,
        &[event_at("2026-01-02T02:10:00Z", &["192.0.2.1"], 2)],
    );
    assert_eq!(
        table(
            &advance(&mut aggregator, "2026-01-01T00:00:01Z"),
            &["partial"]
        ),
        json!([[true]])
    );
    assert_eq!(
        table(&finish(&mut aggregator), &["partial"]),
        json!([[null]])
    );
}

#[test]
fn without_windows_nothing_is_late_and_nothing_closes() {
    let mut aggregator = aggregator(&[ngrok()], Window::None);
    assert_eq!(advance(&mut aggregator, "2026-01-02T05:00:00Z"), []);
    add(&mut aggregator, &[sample_event()]);
    aggregator.advance(Timestamp::MAX, &mut |_| panic!("closed"));
    assert_eq!(
        table(&finish(&mut aggregator), &["window", "partial"]),
        json!([[null, null]])
    );
    assert_eq!(aggregator.stats.late, 0);
}

#[test]
fn scheduled_windows_are_those_of_the_rule() {
    let mut gaps = rule("gaps", &[Field::Src]);
    gaps.schedule = Some(Schedule {
        cron: "30 * * * *".into(),
        earliest: "-10m".into(),
        latest: "now".into(),
    });
    let mut overlapping = rule("overlapping", &[Field::Src]);
    overlapping.schedule = Some(Schedule {
        cron: "0 * * * *".into(),
        earliest: "-2h".into(),
        latest: "now".into(),
    });
    let mut aggregator = aggregator(&[ngrok(), gaps, overlapping], Window::Schedule);
    let event = event_at("2026-01-02T02:50:00Z", &["192.0.2.1"], 1);
    for rule in 0..3 {
        aggregator.add(rule, &event, "q", &mut |_| panic!("early"));
    }
    assert_eq!(
        (aggregator.stats.hits, aggregator.stats.unscheduled),
        (3, 1)
    );
    assert_eq!(advance(&mut aggregator, "2026-01-02T02:59:59Z"), []);
    let names = ["rule", "window", "partial"];
    assert_eq!(
        table(&advance(&mut aggregator, "2026-01-02T03:00:00Z"), &names),
        json!([[
            "overlapping",
            "2026-01-02T01:00:00.000000Z/2026-01-02T03:00:00.000000Z",
            null
        ]])
    );
    assert_eq!(
        table(&advance(&mut aggregator, "2026-01-02T04:00:00Z"), &names),
        json!([
            [
                "overlapping",
                "2026-01-02T02:00:00.000000Z/2026-01-02T04:00:00.000000Z",
                null
            ],
            [
                "Ngrok",
                "2026-01-02T02:50:00.000000Z/2026-01-02T03:50:00.000000Z",
                null
            ],
        ])
    );
    // Between the end of the hour and its run there is time for stragglers; after the run they are late.
    let straggler = event_at("2026-01-02T03:49:00Z", &["192.0.2.1"], 2);
    add(&mut aggregator, &[straggler]);
    assert_eq!(
        table(&finish(&mut aggregator), &names),
        json!([[
            "Ngrok",
            "2026-01-02T02:50:00.000000Z/2026-01-02T03:50:00.000000Z",
            true
        ]])
    );
    assert_eq!(aggregator.stats.late, 1);
}

#[test]
fn too_many_groups_are_given_up_oldest_first() {
    let limits = Limits {
        groups: 2,
        ..Limits::default()
    };
    let mut aggregator = Aggregator::new(
        &[rule("r", &[Field::Answer])],
        Window::None,
        "sensor".into(),
        limits,
    )
    .expect("an aggregator");
    let mut given_up = Vec::new();
    for (id, name) in ["a", "b", "a", "c", "b", "a"].into_iter().enumerate() {
        let event = event_at(
            "2026-01-02T03:00:00Z",
            &[name],
            u8::try_from(id).expect("few"),
        );
        aggregator.add(0, &event, "q", &mut |row| given_up.push(row));
    }
    // `a` makes room for `c`, then `b` for the second `a`, which may only be a part; `c` was there before.
    assert_eq!(
        table(&given_up, &["answer", "count", "partial"]),
        json!([["a", 2, true], ["b", 2, true]])
    );
    assert_eq!(
        table(&finish(&mut aggregator), &["answer", "count", "partial"]),
        json!([["a", 1, true], ["c", 1, null]])
    );
    assert_eq!(aggregator.stats.partial, 3);
}

#[test]
fn a_group_that_was_there_before_the_first_was_given_up_is_whole() {
    let limits = Limits {
        groups: 2,
        ..Limits::default()
    };
    let mut aggregator = Aggregator::new(
        &[rule("r", &[Field::Answer])],
        Window::None,
        "sensor".into(),
        limits,
    )
    .expect("an aggregator");
    for (id, name) in ["a", "b", "c"].into_iter().enumerate() {
        let event = event_at(
            "2026-01-02T03:00:00Z",
            &[name],
            u8::try_from(id).expect("few"),
        );
        aggregator.add(0, &event, "q", &mut |_| ());
    }
    assert_eq!(
        table(&finish(&mut aggregator), &["answer", "partial"]),
        json!([["b", null], ["c", null]])
    );
}

#[test]
fn the_oldest_window_makes_room_first() {
    let limits = Limits {
        groups: 2,
        ..Limits::default()
    };
    let mut aggregator = Aggregator::new(
        &[rule("r", &[Field::Answer])],
        HOUR,
        "sensor".into(),
        limits,
    )
    .expect("an aggregator");
    let mut given_up = Vec::new();
    for (id, time) in [
        "2026-01-02T04:00:00Z",
        "2026-01-02T03:00:00Z",
        "2026-01-02T04:00:01Z",
    ]
    .into_iter()
    .enumerate()
    {
        let id = u8::try_from(id).expect("few");
        aggregator.add(
            0,
            &event_at(time, &[&format!("answer{id}")], id),
            "q",
            &mut |row| given_up.push(row),
        );
    }
    assert_eq!(table(&given_up, &["answer"]), json!([["answer1"]]));
    assert_eq!(
        table(&finish(&mut aggregator), &["answer", "partial"]),
        json!([["answer0", null], ["answer2", null]])
    );
}

#[test]
fn bytes_are_bounded_too() {
    let limits = Limits {
        bytes: 100_000,
        ..Limits::default()
    };
    let mut rule = rule("r", &[Field::Answer]);
    rule.columns.push(Column {
        name: "answers".into(),
        function: Function::Values(Field::Answer),
    });
    let mut aggregator =
        Aggregator::new(&[rule], Window::None, "sensor".into(), limits).expect("an aggregator");
    let mut given_up = 0;
    for id in 0..50 {
        let event = event_at(
            "2026-01-02T03:00:00Z",
            &[&format!("{id:03}{}", "x".repeat(5_000))],
            id,
        );
        aggregator.add(0, &event, "q", &mut |_| given_up += 1);
        let (_, bytes, _) = aggregator.windows.held();
        assert!(bytes <= limits.bytes);
        assert!(
            given_up == 0 || bytes > limits.bytes / 2,
            "no more than needed is given up"
        );
    }
    assert_eq!(given_up + finish(&mut aggregator).len(), 50);
}

#[test]
fn open_windows_are_bounded() {
    let mut aggregator = aggregator(&[ngrok()], HOUR);
    let mut given_up = Vec::new();
    for hour in 0..windows::MAX_WINDOWS + 10 {
        let mut event = sample_event();
        event.time = event.time.plus(Duration::from_secs(
            3_600 * u64::try_from(hour).expect("few"),
        ));
        aggregator.add(0, &event, "q", &mut |row| given_up.push(row.partial));
    }
    assert_eq!(given_up, [true; 10]);
    assert_eq!(finish(&mut aggregator).len(), windows::MAX_WINDOWS);
}

#[test]
fn the_context_is_of_the_earliest_event() {
    let context = |order: [usize; 3]| {
        let mut events = [sample_event(), sample_event(), sample_event()];
        events[0].packet = 9;
        events[1].packet = 5;
        events[1].outcome = Outcome::Nxdomain;
        events[1].source = "eth1".into();
        events[2].time = events[2].time.plus(Duration::from_secs(1));
        events[2].packet = 2;
        let mut aggregator = aggregator(&[ngrok()], Window::None);
        add(&mut aggregator, &order.map(|place| events[place].clone()));
        finish(&mut aggregator)[0].context.clone()
    };
    let expected = Context {
        outcome: Outcome::Nxdomain,
        outcome_varies: true,
        dest: sample_event().dest,
        dest_varies: false,
        source: "eth1".into(),
        packet: 5,
        role: Role::Client,
    };
    for order in [[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(context(order), expected);
    }
}

#[test]
fn the_id_is_of_sensor_rule_window_keys_and_events_alone() {
    let id = |sensor: &str, name: &str, window: Window, events: &[Event]| {
        let mut named = ngrok();
        named.name = name.into();
        let mut aggregator = Aggregator::new(&[named], window, sensor.into(), Limits::default())
            .expect("an aggregator");
        add(&mut aggregator, events);
        finish(&mut aggregator)[0].id
    };
    let one = event_at("2026-01-02T03:00:00Z", &["192.0.2.1"], 1);
    let two = event_at("2026-01-02T03:00:01Z", &["192.0.2.1"], 2);
    let other = event_at("2026-01-02T03:00:01Z", &["192.0.2.2"], 2);
    let events = [one.clone(), two.clone()];
    let same = id("s", "r", HOUR, &events);
    assert_eq!(
        same,
        id("s", "r", HOUR, &events),
        "sent again it is the same"
    );
    assert_eq!(
        same,
        id("s", "r", HOUR, &[two, one.clone()]),
        "the order does not matter"
    );
    let mut all = BTreeSet::from([same]);
    for different in [
        id("t", "r", HOUR, &events),
        id("s", "q", HOUR, &events),
        id("sr", "", HOUR, &events),
        id("s", "r", Window::None, &events),
        id("s", "r", Window::Every(Duration::from_secs(1_800)), &events),
        id("s", "r", HOUR, &[one]),
        id("s", "r", HOUR, &[other]),
    ] {
        assert!(all.insert(different), "each part counts");
    }
}

#[test]
fn rules_whose_rows_would_not_be_unambiguous_are_refused() {
    let column = |name: &str, function| Column {
        name: name.into(),
        function,
    };
    let refused = |by: &[Field], columns: Vec<Column>| {
        let rule = Rule {
            columns,
            ..rule("r", by)
        };
        match Aggregator::new(&[rule], Window::None, "s".into(), Limits::default()) {
            Err(Error::Name { name, .. }) => name,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&[Field::Src, Field::Src], Vec::new()), "src");
    assert_eq!(refused(&[Field::EventId], Vec::new()), "event_id");
    assert_eq!(
        refused(&[Field::Src], vec![column("src", Function::Count)]),
        "src"
    );
    assert_eq!(
        refused(&[], vec![column("window", Function::Count)]),
        "window"
    );
    assert_eq!(
        refused(
            &[],
            vec![
                column("n_cut", Function::Count),
                column("n", Function::Values(Field::Src))
            ]
        ),
        "n_cut"
    );
    let mut wrong = ngrok();
    wrong.schedule = Some(Schedule {
        cron: "often".into(),
        earliest: "-1h".into(),
        latest: "now".into(),
    });
    let error = Aggregator::new(&[wrong], Window::None, "s".into(), Limits::default())
        .expect_err("a wrong schedule");
    assert!(
        error
            .to_string()
            .starts_with("rule 'Ngrok': schedule: 'often' is not a cron expression"),
        "{error}"
    );
    for length in [Duration::ZERO, Duration::MAX] {
        assert_eq!(
            Aggregator::new(&[], Window::Every(length), "s".into(), Limits::default())
                .expect_err("length"),
            Error::Window
        );
    }
}

/// What an event of the property tests varies in, and what happens before it.
#[derive(Clone, Debug)]
struct Step {
    rule: usize,
    src: u8,
    query: u8,
    answers: Vec<u8>,
    vlan: Vec<u16>,
    second: u16,
    advance: Option<u16>,
}

fn any_step() -> impl Strategy<Value = Step> {
    (
        0..3_usize,
        0..3_u8,
        0..3_u8,
        prop::collection::vec(0..4_u8, 0..4),
        prop::collection::vec(0..3_u16, 0..3),
        0..1_000_u16,
        prop::option::weighted(0.2, 0..1_200_u16),
    )
        .prop_map(|(rule, src, query, answers, vlan, second, advance)| Step {
            rule,
            src,
            query,
            answers,
            vlan,
            second,
            advance,
        })
}

fn at(second: u16) -> Timestamp {
    Timestamp::from_parts(1_767_312_000 + i64::from(second), 0)
}

fn event_of(step: &Step, number: usize) -> Event {
    let mut event = sample_event();
    event.time = at(step.second);
    event.src = Ipv4Addr::new(10, 0, 0, step.src).into();
    event.query = format!("q{}.ngrok.io", step.query);
    event.answers = step
        .answers
        .iter()
        .map(|last| answer(&format!("192.0.2.{last}")))
        .collect();
    event.vlan.clone_from(&step.vlan);
    event
        .event_id
        .copy_from_slice(&blake3::hash(&number.to_be_bytes()).as_bytes()[..16]);
    event.packet = number as u64;
    event
}

/// Rule, window and keys; count, first and last.
type Model = BTreeMap<
    (String, Option<(Timestamp, Timestamp)>, Vec<String>),
    (u64, Timestamp, Timestamp, BTreeSet<String>),
>;

const SPAN_SECONDS: i64 = 300;

fn model(steps: &[Step], windows: bool) -> Model {
    let mut groups = Model::new();
    for step in steps {
        let time = at(step.second);
        let window = windows.then(|| {
            let start = time.as_nanos() / (SPAN_SECONDS * 1_000_000_000) * SPAN_SECONDS;
            (
                Timestamp::from_parts(start, 0),
                Timestamp::from_parts(start + SPAN_SECONDS, 0),
            )
        });
        let src = format!("10.0.0.{}", step.src);
        let query = format!("q{}.ngrok.io", step.query);
        let mut answers: BTreeSet<String> = step
            .answers
            .iter()
            .map(|last| format!("192.0.2.{last}"))
            .collect();
        let values = answers.clone();
        if answers.is_empty() {
            answers.insert("unknown".into());
        }
        let values = if values.is_empty() {
            answers.clone()
        } else {
            values
        };
        let mut vlans: BTreeSet<String> = step.vlan.iter().map(u16::to_string).collect();
        if vlans.is_empty() {
            vlans.insert("null".into());
        }
        let keys: Vec<Vec<String>> = match step.rule {
            0 => answers
                .iter()
                .map(|answer| vec![src.clone(), query.clone(), answer.clone()])
                .collect(),
            1 => answers
                .iter()
                .flat_map(|answer| vlans.iter().map(|vlan| vec![answer.clone(), vlan.clone()]))
                .collect(),
            _ => vec![vec![]],
        };
        for keys in keys {
            let group = groups
                .entry((format!("rule{}", step.rule), window, keys))
                .or_insert((0, time, time, BTreeSet::new()));
            group.0 += 1;
            group.1 = group.1.min(time);
            group.2 = group.2.max(time);
            group.3.extend(values.iter().cloned());
        }
    }
    groups
}

fn merged(rows: &[Row]) -> Model {
    let mut groups = Model::new();
    for row in rows {
        let keys = row.keys.iter().map(|(_, key)| key.to_string()).collect();
        let group = groups
            .entry((row.rule.name.to_string(), row.window, keys))
            .or_insert((0, row.first, row.last, BTreeSet::new()));
        group.0 += row.count;
        group.1 = group.1.min(row.first);
        group.2 = group.2.max(row.last);
        group.3.extend(
            row.figures
                .iter()
                .filter_map(|figure| match figure {
                    Figure::Values(distinct) => Some(&distinct.values),
                    _ => None,
                })
                .flatten()
                .map(ToString::to_string),
        );
    }
    groups
}

fn model_rules() -> Vec<Rule> {
    let mut rules = vec![
        rule("rule0", &[Field::Src, Field::Query, Field::Answer]),
        rule("rule1", &[Field::Answer, Field::Vlan]),
        rule("rule2", &[]),
    ];
    for rule in &mut rules {
        rule.columns.push(Column {
            name: "answers".into(),
            function: Function::Values(Field::Answer),
        });
    }
    rules
}

proptest! {
    #[test]
    fn merged_rows_are_those_of_a_run_without_bounds(
        steps in prop::collection::vec(any_step(), 0..60),
        groups in 0..12_usize,
        bytes in prop_oneof![Just(usize::MAX), 0..5_000_usize],
        windows in any::<bool>(),
    ) {
        let window = if windows { Window::Every(Duration::from_secs(300)) } else { Window::None };
        let limits = Limits { groups, bytes, ..Limits::default() };
        let mut aggregator = Aggregator::new(&model_rules(), window, "sensor".into(), limits).expect("an aggregator");
        let mut rows = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            if let Some(now) = step.advance {
                aggregator.advance(at(now), &mut |row| rows.push(row));
            }
            let event = event_of(step, number);
            aggregator.add(step.rule, &event, &event.query, &mut |row| rows.push(row));
            let (held_groups, held_bytes, agree) = aggregator.windows.held();
            prop_assert!(held_groups <= groups && held_bytes <= bytes && agree);
        }
        rows.extend(finish(&mut aggregator));
        let expected = model(&steps, windows);
        prop_assert_eq!(&merged(&rows), &expected);
        let additions: u64 = expected.values().map(|group| group.0).sum();
        prop_assert_eq!(aggregator.stats.additions, additions);
        prop_assert_eq!(aggregator.stats.hits, steps.len() as u64);
        // A row may claim to be whole only where no part of it went before; what follows it came late.
        let mut seen = BTreeSet::new();
        for row in &rows {
            let keys: Vec<_> = row.keys.iter().map(|(_, key)| key.to_string()).collect();
            let first = seen.insert((row.rule.place, row.window, keys));
            prop_assert!(first || row.partial);
        }
        let partial = rows.iter().filter(|row| row.partial).count() as u64;
        prop_assert_eq!((aggregator.stats.rows, aggregator.stats.partial), (rows.len() as u64, partial));
        let ids: BTreeSet<_> = rows.iter().map(|row| row.id).collect();
        prop_assert_eq!(ids.len(), rows.len(), "each row has an id of its own");
    }

    /// Rules that are read anew, stand elsewhere, and change, lose nothing and count nothing twice.
    #[test]
    fn merged_rows_are_those_of_a_run_whose_rules_stayed(
        steps in prop::collection::vec((any_step(), prop::option::weighted(0.3, any::<bool>())), 0..60),
        groups in prop_oneof![Just(usize::MAX), 0..12_usize],
        windows in any::<bool>(),
    ) {
        let window = if windows { Window::Every(Duration::from_secs(300)) } else { Window::None };
        let limits = Limits { groups: groups.min(Limits::default().groups), ..Limits::default() };
        let new = |rules: &crate::rule::Rules| {
            Aggregator::new(rules.list(), window, "sensor".into(), limits).expect("an aggregator")
        };
        let mut current = model_rules();
        let mut rules = crate::rule::Rules::new(current.clone()).expect("rules");
        let mut aggregator = new(&rules);
        let mut rows = Vec::new();
        for (number, (step, reload)) in steps.iter().enumerate() {
            if let Some(changes) = reload {
                current.rotate_left(1);
                for rule in current.iter_mut().filter(|rule| *changes && rule.name == "rule1") {
                    rule.text = format!("version {number}").into();
                }
                let now = crate::rule::Rules::new(current.clone()).expect("rules");
                let moves = Moves::between(&rules, &now);
                aggregator.replace(new(&now), &moves, &mut |row| rows.push(row));
                rules = now;
            }
            if let Some(now) = step.advance {
                aggregator.advance(at(now), &mut |row| rows.push(row));
            }
            let event = event_of(step, number);
            let name = format!("rule{}", step.rule);
            let place = current.iter().position(|rule| rule.name == name).expect("the rule");
            aggregator.add(place, &event, &event.query, &mut |row| rows.push(row));
            let (.., agree) = aggregator.windows.held();
            prop_assert!(agree);
        }
        rows.extend(finish(&mut aggregator));
        let steps: Vec<Step> = steps.into_iter().map(|(step, _)| step).collect();
        prop_assert_eq!(&merged(&rows), &model(&steps, windows));
        let counted: u64 = rows.iter().map(|row| row.count).sum();
        prop_assert_eq!(aggregator.stats.additions, counted);
        let mut seen = BTreeSet::new();
        for row in &rows {
            let keys: Vec<_> = row.keys.iter().map(|(_, key)| key.to_string()).collect();
            let first = seen.insert((row.rule.name.to_string(), row.window, keys));
            prop_assert!(first || row.partial);
            // Without a window nothing is late: of a rule that stayed all is one row.
            let stayed = !windows && groups == usize::MAX && *row.rule.name != *"rule1";
            prop_assert!(!(stayed && row.partial));
        }
    }

    #[test]
    fn the_order_of_events_does_not_matter(
        (steps, shuffled) in prop::collection::vec(any_step(), 0..40)
            .prop_map(|steps| steps.into_iter().enumerate().collect::<Vec<_>>())
            .prop_flat_map(|steps| (Just(steps.clone()), Just(steps).prop_shuffle())),
        windows in any::<bool>(),
        values in 0..4_usize,
    ) {
        let window = if windows { Window::Every(Duration::from_secs(300)) } else { Window::None };
        let limits = Limits { values, ..Limits::default() };
        let run = |steps: &[(usize, Step)]| {
            let mut aggregator = Aggregator::new(&model_rules(), window, "sensor".into(), limits).expect("an aggregator");
            for (number, step) in steps {
                let event = event_of(step, *number);
                aggregator.add(step.rule, &event, &event.query, &mut |row| panic!("{row:?}"));
            }
            finish(&mut aggregator)
        };
        let rows = run(&steps);
        prop_assert_eq!(&rows, &run(&shuffled));
        prop_assert!(rows.iter().all(|row| !row.partial));
    }
}
