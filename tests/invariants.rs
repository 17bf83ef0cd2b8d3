//! What holds for every capture, whoever made it: copies count once, files may be cut anywhere between two packets, and
//! nothing vanishes. The captures are those of the repository, and the corpus where it stands beside the checkout.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail: that is what it is for"
)]

mod common;
#[path = "common/packets.rs"]
mod packets;

use std::path::PathBuf;
use std::process::{ExitStatus, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{dnsterrier, file, stdout};
use dnsterrier::frame::refused_link;
use dnsterrier::packet::LinkType;
use packets::{Kept, ours};
use serde_json::Value;

/// A file of frames of dnstap, which hold their times.
fn dnstap(records: &[Kept]) -> Vec<u8> {
    let control = |control: &[u8]| {
        let length = u32::try_from(control.len()).unwrap().to_be_bytes();
        [&[0; 4][..], &length, control].concat()
    };
    let mut file = control(b"\0\0\0\x02\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap");
    for record in records {
        file.extend(u32::try_from(record.bytes.len()).unwrap().to_be_bytes());
        file.extend(&record.bytes);
    }
    file.extend(control(&[0, 0, 0, 3]));
    file
}

/// A pcap file with nanoseconds; of frames of dnstap one of theirs.
fn pcap(link: i32, records: &[Kept]) -> Vec<u8> {
    if LinkType(link) == LinkType::DNSTAP {
        return dnstap(records);
    }
    let mut file = Vec::new();
    for word in [0xA1B2_3C4D, 0x0004_0002, 0, 0, 262_144, link as u32] {
        file.extend(u32::to_le_bytes(word));
    }
    for record in records {
        let time = record.time.as_nanos();
        let seconds = time.div_euclid(1_000_000_000) as u32;
        let nanos = time.rem_euclid(1_000_000_000) as u32;
        for word in [seconds, nanos, record.bytes.len() as u32, record.wire_len] {
            file.extend(u32::to_le_bytes(word));
        }
        file.extend(&record.bytes);
    }
    file
}

/// Rows of all lookups, and the statistics, of a run over some captures.
fn run(captures: &[Vec<u8>]) -> (String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec!["replay".to_owned()];
    for (number, capture) in captures.iter().enumerate() {
        let path = folder.path().join(format!("{number}.pcap"));
        std::fs::write(&path, capture).unwrap();
        arguments.push(path.to_str().unwrap().to_owned());
    }
    let stats = folder.path().join("stats.json");
    arguments.extend(
        [
            "--no-embedded",
            "--name",
            "*",
            "--format",
            "jsonl",
            "--quiet",
            "--stats",
        ]
        .map(str::to_owned),
    );
    arguments.push(stats.to_str().unwrap().to_owned());
    let output = dnsterrier(arguments);
    let stats = std::fs::read_to_string(&stats)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (stdout(&output), serde_json::from_str(&stats).unwrap())
}

/// The captures, of the repository and of the corpus.
fn captures() -> Vec<PathBuf> {
    let mut list = Vec::new();
    for folder in ["captures", "../shared/corpus/files"] {
        let Ok(entries) = std::fs::read_dir(file(folder)) else {
            eprintln!("{folder} is not there: it was not tested");
            continue;
        };
        list.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_file()),
        );
    }
    list.sort();
    assert!(list.len() >= 12, "{list:?}");
    list
}

/// Does it for every capture whose packets have one link type, on all cores; says what is wrong with which.
fn for_each(check: impl Fn(i32, &[Kept]) -> Result<(), String> + Sync) {
    let captures = captures();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(path) = captures.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // What a cut file holds before its end is enough here.
                    let (records, _cut) = ours(path, None);
                    let Some(link) = records.first().map(|record| record.link) else {
                        continue;
                    };
                    if records.iter().any(|record| record.link != link) {
                        continue;
                    }
                    // What carries no IP is refused, as other tests say.
                    if refused_link(LinkType(link)).is_some() {
                        continue;
                    }
                    if let Err(what) = check(link, &records) {
                        wrong
                            .lock()
                            .unwrap()
                            .push(format!("{}: {what}", path.display()));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn same_rows(found: &str, expected: &str) -> Result<(), String> {
    let different = || found.lines().zip(expected.lines()).find(|(a, b)| a != b);
    match (found == expected, different()) {
        (true, _) => Ok(()),
        (false, Some((found, expected))) => Err(format!("\n  {found}\n  instead of\n  {expected}")),
        (false, None) => Err(format!(
            "{} rows instead of {}",
            found.lines().count(),
            expected.lines().count()
        )),
    }
}

/// A generator of numbers that seem random (the 64-bit linear congruential one of Knuth's).
struct Seemingly(u64);

impl Seemingly {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// An Ethernet packet as a mirror at another place sees it: in a VLAN, with the hardware addresses of a router and one hop
/// less to live.
fn elsewhere(record: &Kept) -> Option<Kept> {
    let bytes = &record.bytes;
    let (link, mut rest) = bytes.split_at_checked(12)?;
    let mut copy: Vec<u8> = link.iter().map(|byte| byte ^ 0x10).collect();
    copy.extend([0x81, 0x00, 0x00, 77]);
    while let Some((&[0x81, 0x00] | &[0x88, 0xA8], _)) = rest.split_first_chunk::<2>() {
        let (tag, after) = rest.split_at_checked(4)?;
        copy.extend(tag);
        rest = after;
    }
    let at = copy.len() + 2;
    copy.extend(rest);
    match rest {
        [0x08, 0x00, 0x45..=0x4F, ..] if copy.len() >= at + 20 && copy[at + 8] > 1 => {
            copy[at + 8] -= 1;
            let sum = u16::from_be_bytes([copy[at + 10], copy[at + 11]]);
            // RFC 1624: the time to live is the upper half of its word.
            let (sum, over) = sum.overflowing_add(0x0100);
            let sum = sum.wrapping_add(u16::from(over));
            copy[at + 10..at + 12].copy_from_slice(&sum.to_be_bytes());
        }
        [0x86, 0xDD, ..] if copy.len() > at + 7 && copy[at + 7] > 1 => copy[at + 7] -= 1,
        _ => {}
    }
    Some(Kept {
        wire_len: record.wire_len + 4,
        bytes: copy,
        ..record.clone()
    })
}

/// Whether it is a UDP datagram, in nothing but Ethernet. What else there is keeps its order among itself: a path that
/// turns the beginning of a connection round makes one that cannot be read, which is counted but is no copy.
fn is_datagram(record: &Kept) -> bool {
    let bytes = &record.bytes;
    match bytes.get(12..14) {
        Some([0x08, 0x00]) => bytes.get(23) == Some(&17),
        Some([0x86, 0xDD]) => bytes.get(20) == Some(&17),
        _ => false,
    }
}

/// How many messages and copies of messages there were.
fn counted(stats: &Value) -> (u64, u64) {
    let sum = |part: &str, names: &[&str]| -> u64 {
        names
            .iter()
            .map(|name| stats[part][name].as_u64().unwrap())
            .sum()
    };
    let copies = sum("messages", &["query_copy", "response_copy"])
        + sum("transactions", &["multicast_copy"]);
    let all = sum(
        "messages",
        &[
            "mdns",
            "llmnr",
            "query",
            "query_retransmitted",
            "query_copy",
            "response",
            "response_unmatched",
            "response_repeated",
            "response_differing",
            "response_copy",
        ],
    );
    (all, copies)
}

#[test]
fn a_mirror_that_shows_everything_twice_changes_nothing() {
    let tested = AtomicUsize::new(0);
    for_each(|link, records| {
        if link != 1 {
            return Ok(());
        }
        tested.fetch_add(1, Ordering::Relaxed);
        let (expected, once) = run(&[pcap(link, records)]);
        let (all, copies) = counted(&once);
        // A copy is what comes within 50 ms of the first. Where there are copies already they leave less room.
        let latest: u64 = if copies == 0 { 50_000_000 } else { 1_000_000 };
        // Where time goes backward a copy comes at once, so that sorting by time changes nothing else.
        let is_sorted = records.is_sorted_by_key(|record| record.time);
        let mut random = Seemingly(records.len() as u64);
        let mut twice = Vec::new();
        for record in records {
            twice.push(record.clone());
            if let Some(mut copy) = elsewhere(record) {
                if is_sorted {
                    copy.time = copy.time.plus(Duration::from_nanos(if is_datagram(record) {
                        random.below(latest + 1)
                    } else {
                        latest / 2
                    }));
                }
                twice.push(copy);
            }
        }
        if is_sorted {
            twice.sort_by_key(|record| record.time);
        }
        let (found, both) = run(&[pcap(link, &twice)]);
        same_rows(&found, &expected)?;
        let (_, copies_of_both) = counted(&both);
        if copies_of_both != all + copies {
            return Err(format!(
                "{copies_of_both} copies of {all} messages, of which {copies} were copies"
            ));
        }
        Ok(())
    });
    assert!(tested.into_inner() >= 8);
}

#[test]
fn a_capture_in_parts_gives_the_rows_of_the_whole() {
    for_each(|link, records| {
        let (expected, _) = run(&[pcap(link, records)]);
        let mut random = Seemingly(records.len() as u64);
        let mut cuts: Vec<usize> = if records.len() <= 12 {
            (1..records.len()).collect()
        } else {
            (0..3)
                .map(|_| random.below(records.len() as u64) as usize)
                .collect()
        };
        cuts.sort_unstable();
        for &cut in &cuts {
            let (before, after) = records.split_at(cut);
            let (found, _) = run(&[pcap(link, before), pcap(link, after)]);
            same_rows(&found, &expected).map_err(|what| format!("cut before {cut}: {what}"))?;
        }
        let mut parts = Vec::new();
        let mut rest = records;
        for cut in cuts.iter().rev() {
            let (before, after) = rest.split_at(*cut);
            parts.insert(0, pcap(link, after));
            rest = before;
        }
        parts.insert(0, pcap(link, rest));
        let (found, _) = run(&parts);
        same_rows(&found, &expected).map_err(|what| format!("in {} parts: {what}", parts.len()))
    });
}

/// How a run ended that said nothing, and its counters, without those of tables: what is left in them at the end nobody needs.
fn counters_of(mut arguments: Vec<String>, stats: &str) -> (ExitStatus, Value) {
    arguments.extend(["--stats", stats].map(str::to_owned));
    let Output { status, stderr, .. } = dnsterrier(arguments);
    assert!(stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
    let stats = std::fs::read_to_string(stats).unwrap();
    let mut stats: Value = serde_json::from_str(&stats).unwrap();
    stats.as_object_mut().unwrap().remove("tables");
    (status, stats)
}

/// Every stream, the packets and every counter, byte for byte, whether one thread pairs all messages or several share them by
/// their clients.
#[test]
fn whoever_shares_the_work_the_records_are_the_same() {
    let outputs = [
        "events.jsonl",
        "rows.jsonl",
        "hits.jsonl",
        "sources.jsonl",
        "risk.jsonl",
        "evidence.pcapng",
        "write.pcapng",
    ];
    for_each(|link, records| {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let capture = place("it.pcap");
        std::fs::write(&capture, pcap(link, records)).unwrap();
        let run = |workers: &str| {
            let words = format!("--quiet --any-port --name *.com --workers {workers}");
            let mut arguments = vec!["replay".to_owned(), capture.clone()];
            arguments.extend(words.split(' ').map(str::to_owned));
            for output in &outputs {
                let (option, _) = output.split_once('.').unwrap();
                arguments.extend([format!("--{option}"), place(output)]);
            }
            let (_, stats) = counters_of(arguments, &place("stats.json"));
            let written = outputs.map(|output| std::fs::read(place(output)).unwrap());
            (written, stats.to_string())
        };
        let [(alone, counted_alone), (shared, counted)] = ["1", "3"].map(run);
        same_rows(&counted, &counted_alone)?;
        for ((output, alone), shared) in outputs.iter().zip(alone).zip(shared) {
            if shared != alone {
                let text = String::from_utf8_lossy;
                let what = same_rows(&text(&shared), &text(&alone)).err();
                return Err(format!("{output}: {}", what.unwrap_or_default()));
            }
        }
        Ok(())
    });
}

/// A capture with more messages than all batches hold that go round between the threads, so that each comes back.
#[test]
fn whoever_shares_the_work_batches_that_come_back_bring_nothing_along() {
    let (records, _) = ours(&file("captures/ngrok.pcap"), None);
    let link = records[0].link;
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    // Again and again, a few minutes later each time.
    let again = |(number, record): (usize, &Kept)| {
        let rounds = u32::try_from(number / records.len()).unwrap();
        let later = Duration::from_secs(300) * rounds;
        Kept {
            time: record.time.plus(later),
            ..record.clone()
        }
    };
    let long: Vec<Kept> = (0..150_000)
        .zip(records.iter().cycle())
        .map(again)
        .collect();
    std::fs::write(place("long.pcap"), pcap(link, &long)).unwrap();
    for output in ["", " --events /dev/null"] {
        let [alone, shared] = ["1", "3"].map(|workers| {
            let words = format!("--quiet --rows none --workers {workers}{output}");
            let mut arguments = vec!["replay".to_owned(), place("long.pcap")];
            arguments.extend(words.split(' ').map(str::to_owned));
            let (status, stats) = counters_of(arguments, &place("stats.json"));
            assert!(status.success(), "{status}");
            stats
        });
        assert_eq!(shared, alone);
        let received = shared["capture"]["received"].as_u64().unwrap();
        assert_eq!(received, long.len() as u64);
    }
}

/// The sums are made here, from the counters, and not taken from the program's own comparison.
#[test]
fn nothing_vanishes() {
    for_each(|link, records| {
        let (_, stats) = run(&[pcap(link, records)]);
        let get = |part: &str, name: &str| stats[part][name].as_u64().unwrap();
        let sum = |part: &str| -> u64 {
            stats[part]
                .as_object()
                .unwrap()
                .values()
                .map(|value| value.as_u64().unwrap())
                .sum()
        };
        for (what, left, right) in [
            (
                "packets of the file",
                records.len() as u64,
                get("capture", "received"),
            ),
            (
                "packets received",
                get("capture", "received"),
                get("capture", "other_port") + sum("packets"),
            ),
            (
                "messages",
                get("packets", "udp")
                    + get("further", "udp")
                    + get("fragments", "beginnings")
                    + get("streams", "messages")
                    + get("dnstap", "query")
                    + get("dnstap", "response")
                    + 2 * get("dnstap", "both"),
                sum("messages"),
            ),
            (
                "queries",
                get("messages", "query"),
                get("transactions", "answered") + get("transactions", "unanswered"),
            ),
            (
                "transactions",
                sum("transactions") - get("transactions", "multicast_copy"),
                get("events", "made") + get("events", "not_looked_into"),
            ),
        ] {
            if left != right {
                return Err(format!("{what}: {left} became {right}"));
            }
        }
        let holds =
            |identity: &Value| identity["holds"] == true && identity["left"] == identity["right"];
        match stats["identities"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| !holds(one))
        {
            Some(broken) => Err(broken.to_string()),
            None => Ok(()),
        }
    });
}
