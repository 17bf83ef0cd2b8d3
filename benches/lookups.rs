//! What a table costs whose lines are names: the look at a question that is on none, and the match of one that is.
//!
//! `cargo bench --bench lookups`. Throughput is in questions a second; with the last the memory that a million lines hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark may fail"
)]

use std::fmt::Write as _;

use divan::Bencher;
use divan::counter::ItemsCount;
use dnsterrier::rule::{Asked, Rules, native};

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

/// A rule whose table of so many names must match.
fn rules(lines: usize) -> Rules {
    let folder = tempfile::tempdir().unwrap();
    let mut table = "domain,family\n".to_owned();
    for number in 0..lines {
        writeln!(
            table,
            "d{number}.dyn{}.example,family{}",
            number % 997,
            number % 50
        )
        .unwrap();
    }
    std::fs::write(folder.path().join("table.csv"), table).unwrap();
    let rule = folder.path().join("rule.yaml");
    let text = "name: listed\nlookup: { file: table.csv, match: { query: { column: domain, as: suffix } }, output: [family], required: true }\nby: [src, family]\n";
    std::fs::write(&rule, text).unwrap();
    Rules::new(native::read_path(&rule).unwrap()).unwrap()
}

/// The look at questions, none of which, or all of which, are on a table of a million.
fn look(bencher: Bencher<'_, '_>, lines: usize, name: impl Fn(usize) -> String) {
    let rules = rules(lines);
    let names: Vec<String> = (0..10_000).map(name).collect();
    bencher
        .counter(ItemsCount::new(names.len()))
        .bench_local(|| {
            let wants = |name: &&String| {
                rules.wants(&Asked {
                    name: name.as_bytes(),
                    record_type: 1,
                })
            };
            names.iter().filter(wants).count()
        });
}

/// Names that no table has.
#[divan::bench(args = [1, 1_000_000])]
fn unwanted(bencher: Bencher<'_, '_>, lines: usize) {
    look(bencher, lines, |number| {
        format!("www.site{}.com", number * 7)
    });
}

/// Names that end as those of the table do, and are not on it.
#[divan::bench(args = [1, 1_000_000])]
fn nearly_wanted(bencher: Bencher<'_, '_>, lines: usize) {
    look(bencher, lines, |number| {
        format!("www.x{number}.dyn{}.example", number % 997)
    });
}

/// How a table of a million lines is read, with the memory that it holds then.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn a_million_lines_are_read() -> Rules {
    rules(1_000_000)
}
