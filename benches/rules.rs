//! What rules cost: the look at a question that nobody wants, and the match of an event, for one rule and for many.
//!
//! `cargo bench --bench rules`. Throughput is in questions, or events, a second. The memory of a million names is printed
//! first.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark may fail"
)]

use divan::Bencher;
use divan::counter::ItemsCount;
use dnsterrier::message::{Header, Question};
use dnsterrier::rule::{Rule, Rules, native};

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
    let mut numbers = Numbers(1);
    let text: Vec<String> = (0..count)
        .map(|number| {
            let place = numbers.below(1_000_000);
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

/// A hunt for so many names.
fn hunt(names: usize) -> Rules {
    let names: Vec<String> = (0..names)
        .map(|number| format!("d{number}.dyn{}.example", number % 997))
        .collect();
    Rules::new(vec![Rule::hunt(&names).unwrap()]).unwrap()
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
                question.read(query, &Header::read(query).unwrap());
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
                question.read(query, &Header::read(query).unwrap());
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

/// How a list of a million names is taken in, with the memory that it holds then.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn a_million_names_are_read() -> Rules {
    hunt(1_000_000)
}
