//! What rules cost: the look at a question that nobody wants, and the match of an event that one of them wants, for one rule
//! and for many.
//!
//! `cargo bench --bench rules`. Throughput is in questions, or events, a second; memory is beside the reading of a million names.

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

use std::io::Write;
use std::net::Ipv4Addr;

use divan::Bencher;
use divan::counter::ItemsCount;
use dnsterrier::event::{Event, Outcome, Role, Seen};
use dnsterrier::frame::Transport;
use dnsterrier::message::{Header, Question};
use dnsterrier::rule::{self, Rule, Rules, native};
use dnsterrier::time::Timestamp;
use dnsterrier::wide::Narrow;

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

/// A generator of numbers that is the same in each run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Rules in the mixture that public collections have: most name domains, some a part of the name, few its shape.
fn rules(count: usize) -> Rules {
    let text: Vec<String> = places(count)
        .map(|(number, place)| {
            let looks_for = match number % 50 {
                17 => format!("where: {{ query: '*tunnel{place}*' }}"),
                33 => format!("where: {{ query: 'c{place}-*' }}"),
                _ => format!("domain: [s{place}.example, s{place}.test]"),
            };
            format!("name: rule {number}\n{looks_for}\n")
        })
        .collect();
    Rules::new(native::read_text("bench.yaml", &text.join("---\n")).unwrap()).unwrap()
}

/// So many rules' numbers, each with one that is in its names.
fn places(count: usize) -> impl Iterator<Item = (usize, u64)> {
    let mut numbers = Numbers(1);
    (0..count).map(move |number| (number, numbers.below(1_000_000)))
}

/// A name that one of them wants.
fn wanted((number, place): (usize, u64)) -> String {
    match number % 50 {
        17 => format!("x-tunnel{place}.site.com"),
        33 => format!("c{place}-4.site.com"),
        _ => format!("www.s{place}.example"),
    }
}

/// A hunt for so many names.
fn hunt(names: usize) -> Rules {
    let names: Vec<String> = hunted(names).collect();
    Rules::new(vec![Rule::hunt(&names, Vec::new()).unwrap()]).unwrap()
}

fn hunted(names: usize) -> impl Iterator<Item = String> {
    (0..names).map(|number| format!("d{number}.dyn{}.example", number % 997))
}

/// Queries for names as hosts ask for them, none of which any rule wants.
fn queries() -> Vec<Vec<u8>> {
    let mut numbers = Numbers(2);
    let name = |numbers: &mut Numbers| match numbers.below(4) {
        0 => format!("www.site{}.com", numbers.below(100_000)),
        1 => format!(
            "e{}.cdn.provider{}.net",
            numbers.below(1_000),
            numbers.below(50)
        ),
        2 => format!(
            "{}.{}.168.192.in-addr.arpa",
            numbers.below(256),
            numbers.below(256)
        ),
        _ => format!("host{}.corp.example", numbers.below(5_000)),
    };
    (0..10_000).map(|_| query(&name(&mut numbers))).collect()
}

/// A query for an A record.
fn query(name: &str) -> Vec<u8> {
    let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// The question is read and looked at where it lies, as it is done with each message.
fn look(bencher: Bencher<'_, '_>, rules: &Rules) {
    let queries = queries();
    let mut question = Question::default();
    bencher
        .counter(ItemsCount::new(queries.len()))
        .bench_local(|| {
            let wanted = queries.iter().filter(|query| {
                question.read(query, &Header::read(query).unwrap(), Narrow);
                rules.wants_question(&mut question)
            });
            wanted.count()
        });
}

/// What it costs to read the questions alone: a part of each of the next two.
#[divan::bench]
fn questions_are_read(bencher: Bencher<'_, '_>) {
    let queries = queries();
    let mut question = Question::default();
    bencher
        .counter(ItemsCount::new(queries.len()))
        .bench_local(|| {
            let plain = queries.iter().filter(|query| {
                question.read(query, &Header::read(query).unwrap(), Narrow);
                question.wire().is_some()
            });
            plain.count()
        });
}

/// The look at a question that no rule wants.
#[divan::bench(args = [1, 100, 1_000])]
fn unwanted_with_rules(bencher: Bencher<'_, '_>, count: usize) {
    look(bencher, &rules(count));
}

/// The same with one rule that has a list of names.
#[divan::bench(args = [1, 1_000_000])]
fn unwanted_with_names(bencher: Bencher<'_, '_>, count: usize) {
    look(bencher, &hunt(count));
}

/// All rules are held against an event that one of them matches.
fn match_events(bencher: Bencher<'_, '_>, rules: &Rules, names: impl Iterator<Item = String>) {
    let names: Vec<String> = names.collect();
    let events: Vec<Event> = names
        .iter()
        .cycle()
        .take(1_000)
        .map(|name| event(name))
        .collect();
    bencher
        .counter(ItemsCount::new(events.len()))
        .bench_local(|| {
            let mut hits = 0;
            for event in &events {
                rules.matches(event, &mut |_, _| hits += 1);
            }
            assert!(hits >= events.len());
            hits
        });
}

#[divan::bench(args = [1, 100, 1_000])]
fn matched_with_rules(bencher: Bencher<'_, '_>, count: usize) {
    match_events(bencher, &rules(count), places(count).map(wanted));
}

/// The same with one rule that has a list of names.
#[divan::bench(args = [1, 1_000_000])]
fn matched_with_names(bencher: Bencher<'_, '_>, count: usize) {
    let below = hunted(count).step_by(count.div_ceil(1_000));
    match_events(
        bencher,
        &hunt(count),
        below.map(|name| format!("www.{name}")),
    );
}

/// A lookup of that name, answered.
fn event(query: &str) -> Event {
    Event {
        time: Timestamp::default(),
        sensor: "sensor".into(),
        source: "eth0".into(),
        zone: None,
        seen: Seen::Both,
        src: Ipv4Addr::new(192, 0, 2, 10).into(),
        src_port: 40_000,
        src_mac: None,
        dest: Ipv4Addr::new(192, 0, 2, 53).into(),
        dest_port: 53,
        dest_mac: None,
        src_asset: None,
        dest_asset: None,
        transport: Transport::Udp,
        transaction_id: 1,
        opcode: "QUERY".into(),
        header_flags: 0x8180,
        query: query.to_owned(),
        query_spelled: query.to_owned(),
        other_questions: Vec::new(),
        record_type: "A".into(),
        query_class: "IN".into(),
        query_count: 1,
        answer_count: 0,
        authority_answer_count: 0,
        additional_answer_count: 0,
        reply_code: Some(0),
        answers: Vec::new(),
        duration: None,
        edns: None,
        edns_options: Vec::new(),
        outcome: Outcome::Resolved,
        anomalies: Vec::new(),
        src_role: Role::Client,
        vlan: Vec::new(),
        tunnel: Vec::new(),
        packet: 1,
        response_packet: Some(2),
        event_id: [0; 16],
        added: Vec::new(),
        wire: None,
    }
}

/// How a list of a million names is read and filed, with the memory that it holds then.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn a_million_names_are_read(bencher: Bencher<'_, '_>) {
    let names: Vec<String> = hunted(1_000_000).collect();
    let mut list = tempfile::NamedTempFile::new().unwrap();
    list.write_all(names.join("\n").as_bytes()).unwrap();
    drop(names);
    bencher.bench_local(|| {
        let names = rule::read_names(list.path()).unwrap();
        Rules::new(vec![Rule::hunt(&[], names).unwrap()]).unwrap()
    });
}
