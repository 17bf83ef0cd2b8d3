//! Evidence as tshark reads it: exactly the packets that an independent reading of the capture selects
//! (`scripts/expected-evidence`), byte for byte with their times, and beside each what hit.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail: that is what it is for"
)]

mod common;
#[path = "common/pcap.rs"]
mod pcap;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{captures, dnsterrier, file, json_lines, stderr, stdout};
use serde_json::Value;

const RULE: &str = "Ngrok Reverse Proxy on Network";

/// A packet as tshark shows it: time, interface, link type, length on the wire, bytes.
type Shown = (String, String, String, String, String);

/// The packets of a file, each with its comments.
fn shown(path: &Path) -> Vec<(Shown, Vec<Value>)> {
    let mut command = Command::new("tshark");
    command
        .args(["-n", "-r"])
        .arg(path)
        .args(["-T", "json", "-x"]);
    command.args(["-j", "frame pkt_comment", "--no-duplicate-keys"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}: {output:?}", path.display());
    let packets: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    packets
        .iter()
        .map(|packet| {
            let layers = &packet["_source"]["layers"];
            let frame = &layers["frame"];
            let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
            let bytes = layers["frame_raw"][0].as_str().unwrap().to_owned();
            (
                (
                    text("frame.time_epoch"),
                    text("frame.interface_id"),
                    text("frame.encap_type"),
                    text("frame.len"),
                    bytes,
                ),
                comments(layers),
            )
        })
        .collect()
}

/// The comments of a packet, wherever this tshark has them.
fn comments(layers: &Value) -> Vec<Value> {
    fn strings(value: &Value, found: &mut Vec<Value>) {
        match value {
            Value::String(text) => found.extend(
                serde_json::from_str::<Value>(text)
                    .ok()
                    .filter(Value::is_object),
            ),
            Value::Array(list) => list.iter().for_each(|each| strings(each, found)),
            Value::Object(map) => map.values().for_each(|each| strings(each, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    strings(&layers["pkt_comment"], &mut found);
    strings(&layers["frame"], &mut found);
    found
}

/// The numbers of the packets that are evidence, each with the names that it is evidence for.
fn expected(capture: &Path) -> BTreeMap<usize, BTreeSet<String>> {
    let output = Command::new(file("scripts/expected-evidence"))
        .arg(capture)
        .output()
        .unwrap();
    json_lines(&stdout(&output))
        .iter()
        .map(|line| {
            let names = line["names"].as_array().unwrap();
            let names = names.iter().map(|name| name.as_str().unwrap().to_owned());
            let frame = line["frame"].as_u64().unwrap();
            (usize::try_from(frame).unwrap(), names.collect())
        })
        .collect()
}

/// The interface apart, whose number another file need not have.
fn of(shown: &Shown) -> (&str, &str, &str, &str) {
    let (time, _, link, length, bytes) = shown;
    (time, link, length, bytes)
}

#[test]
fn evidence_is_what_its_oracle_selects() {
    let folder = tempfile::tempdir().unwrap();
    let evidence = folder.path().join("evidence.pcapng");
    for capture in captures_of_packets() {
        let expected = expected(&capture);
        let output = dnsterrier([
            "replay",
            capture.to_str().unwrap(),
            "--rule",
            RULE,
            "--format",
            "jsonl",
            "--evidence",
            evidence.to_str().unwrap(),
        ]);
        let rows = json_lines(&stdout(&output));
        let all = shown(&capture);
        let got = shown(&evidence);
        let said: Vec<(&Shown, BTreeSet<String>)> = got
            .iter()
            .map(|(packet, comments)| {
                let names = comments.iter().map(|it| it["query"].as_str().unwrap());
                (packet, names.map(str::to_owned).collect())
            })
            .collect();
        assert_eq!(
            said.iter()
                .map(|(packet, _)| of(packet))
                .collect::<Vec<_>>(),
            expected
                .keys()
                .map(|frame| of(&all[frame - 1].0))
                .collect::<Vec<_>>(),
            "{}",
            capture.display()
        );
        for ((_, names), expected) in said.iter().zip(expected.values()) {
            assert_eq!(names, expected, "{}", capture.display());
        }
        // Each comment leads to its row, and each row has evidence.
        let mut with_evidence = vec![false; rows.len()];
        for comment in got.iter().flat_map(|(_, comments)| comments) {
            let mut rows_of = 0;
            for (row, has) in rows.iter().zip(&mut with_evidence) {
                let is_one = |name: &str| match &comment[name] {
                    Value::Array(list) => list.contains(&row[name]),
                    one => *one == row[name],
                };
                if ["rule", "src", "query", "answer", "window"]
                    .into_iter()
                    .all(is_one)
                {
                    rows_of += 1;
                    *has = true;
                }
            }
            let answers = comment["answer"].as_array().map_or(1, Vec::len);
            assert_eq!(rows_of, answers, "{comment}");
        }
        assert!(
            with_evidence.iter().all(|has| *has),
            "{}",
            capture.display()
        );
    }
}

/// The committed captures but for what a resolver tells, of which there are no packets.
fn captures_of_packets() -> impl Iterator<Item = PathBuf> {
    let list = captures().into_iter();
    list.filter(|path| path.extension().is_some_and(|ending| ending != "dnstap"))
}

/// Events and rows, without where in which file their packets are; `None` where the run did not come to its end.
fn events_and_rows(path: &Path, more: &[&str]) -> Option<Vec<Value>> {
    let mut words = vec!["replay", path.to_str().unwrap()];
    words.extend(["--rows", "-", "--events", "-", "--format", "jsonl"]);
    words.extend(["--sensor", "one", "--quiet"]);
    words.extend(more);
    let output = dnsterrier(&words);
    if !output.status.success() {
        return None;
    }
    let mut records = json_lines(&stdout(&output));
    for record in &mut records {
        let record = record.as_object_mut().unwrap();
        for field in ["source", "packet", "response_packet"] {
            record.remove(field);
        }
    }
    // How two streams come together on standard output depends on what else is in their records.
    records.sort_by_key(|record| record["stream"].as_str().map(str::to_owned));
    Some(records)
}

#[test]
fn what_is_written_gives_the_same_events_and_rows() {
    let folder = tempfile::tempdir().unwrap();
    for capture in captures_of_packets() {
        for ending in ["pcapng", "pcap", "pcap.gz", "pcapng.zst"] {
            let written = folder.path().join(format!("all.{ending}"));
            let events = events_and_rows(&capture, &["--write", written.to_str().unwrap()]);
            assert!(events.as_ref().is_some_and(|list| !list.is_empty()));
            assert_eq!(
                events_and_rows(&written, &[]),
                events,
                "{} {ending}",
                capture.display()
            );
        }
        // Nothing but what was there, in that order.
        for ending in ["pcapng", "pcap"] {
            let written = shown(&folder.path().join(format!("all.{ending}")));
            let all = shown(&capture);
            let mut all = all.iter();
            for (packet, comments) in &written {
                assert!(comments.is_empty());
                let is_there = all.any(|(other, _)| of(other) == of(packet));
                assert!(is_there, "{}: {packet:?}", capture.display());
            }
        }
    }
}

/// Traffic of strangers, where the corpus stands beside the checkout.
#[test]
fn what_is_written_of_the_corpus_gives_the_same() {
    let corpus = file("../shared/corpus/files");
    let Ok(entries) = std::fs::read_dir(&corpus) else {
        eprintln!(
            "{} is not there: its captures were not tried",
            corpus.display()
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("all.pcapng");
    let mut files = 0;
    for entry in entries {
        let capture = entry.unwrap().path();
        // What cannot be read to its end is another test's.
        let Some(events) = events_and_rows(&capture, &["--write", written.to_str().unwrap()])
        else {
            continue;
        };
        files += 1;
        let name = capture.display();
        assert_eq!(events_and_rows(&written, &[]), Some(events), "{name}");
    }
    assert!(files > 50, "{files}");
}

const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 1], 40_000);
const RESOLVER: ([u8; 4], u16) = ([192, 0, 2, 53], 53);

/// A TCP segment with payload.
fn segment(back: bool, ip_id: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let (from, to) = if back {
        (RESOLVER, CLIENT)
    } else {
        (CLIENT, RESOLVER)
    };
    // PSH and ACK; the payload with its length in IP.
    let mut bytes = pcap::tcp(from, to, 0x18, sequence);
    let length = u16::try_from(40 + payload.len()).unwrap();
    bytes[16..18].copy_from_slice(&length.to_be_bytes());
    bytes[18..20].copy_from_slice(&ip_id.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A message with its length before it.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap();
    [&length.to_be_bytes()[..], message].concat()
}

/// The numbers of the packets that are evidence, each with the names of which it is, and the counters; packets come every
/// millisecond.
fn evidence_of(packets: &[Vec<u8>], options: &[&str]) -> (Vec<(usize, Vec<String>)>, Value) {
    let (folder, capture) = pcap::made_of(packets, 1_000);
    let [evidence, stats] = ["e.pcapng", "s.json"].map(|name| folder.path().join(name));
    let mut words = vec!["replay", &capture, "--rows", "none", "--quiet"];
    words.extend(["--evidence", evidence.to_str().unwrap()]);
    words.extend(["--stats", stats.to_str().unwrap()]);
    words.extend(options);
    stdout(&dnsterrier(words));
    let original: Vec<Shown> = shown(Path::new(&capture))
        .into_iter()
        .map(|it| it.0)
        .collect();
    let found = shown(&evidence)
        .iter()
        .map(|(packet, comments)| {
            let same = |other: &Shown| of(other) == of(packet);
            let names = comments
                .iter()
                .map(|it| it["query"].as_str().unwrap().to_owned());
            (original.iter().position(same).unwrap() + 1, names.collect())
        })
        .collect();
    let stats: Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
    for identity in stats["identities"].as_array().unwrap() {
        assert_eq!(identity["holds"], true, "{identity}");
    }
    (found, stats)
}

/// One segment carries two messages that hit and one that does not; another is split, and comes once more before it is whole
/// and after; what carries octets of others alone is none.
#[test]
fn segments_that_carry_several_messages_and_come_again() {
    let [one, two, other, long] = [
        "one.ngrok.io",
        "two.ngrok.io",
        "example.com",
        "long.ngrok.io",
    ];
    let first = [
        framed(&pcap::query(1, one)),
        framed(&pcap::query(2, other)),
        framed(&pcap::query(3, two)),
    ]
    .concat();
    let begun = framed(&pcap::query(4, long));
    let (head, tail) = begun.split_at(9);
    let alone = framed(&pcap::query(5, other));
    // The last octets of what nobody wants and the first of what hits.
    let mixed = [&alone, head].concat();
    let at = |bytes: usize| 1_001 + u32::try_from(bytes).unwrap();
    let (to_mixed, to_tail) = (at(first.len()), at(first.len() + mixed.len()));
    let packets = [
        pcap::tcp(CLIENT, RESOLVER, 2, 1_000),
        segment(false, 1, at(0), &first),
        segment(false, 2, to_mixed, &mixed),
        // The sender repeats it; so does the mirror.
        segment(false, 3, to_mixed, &mixed),
        segment(false, 3, to_mixed, &mixed),
        segment(false, 4, to_tail, tail),
        // After they were whole: a repeat of each, and of the part that is of no use to anybody.
        segment(false, 5, at(0), &first),
        segment(false, 6, to_tail, tail),
        segment(false, 7, to_mixed, &alone),
        pcap::tcp(
            CLIENT,
            RESOLVER,
            0x11,
            to_tail + u32::try_from(tail.len()).unwrap(),
        ),
    ];
    let (found, stats) = evidence_of(&packets, &[]);
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(|&it| it.to_owned()).collect() };
    assert_eq!(
        found,
        [
            (2, names(&[one, two])),
            (3, names(&[long])),
            (4, names(&[long])),
            (5, names(&[long])),
            (6, names(&[long])),
            (7, names(&[one, two])),
            (8, names(&[long])),
        ]
    );
    assert_eq!(stats["evidence"]["hits"], 3);
    assert_eq!(stats["evidence"]["packets"], 7);
}

/// A datagram in fragments: copies of each before the whole is there and after, and a fragment of another.
#[test]
fn fragments_and_their_copies() {
    let whole = pcap::udp(CLIENT, RESOLVER, 7, &pcap::query(1, "fragments.ngrok.io"));
    let (header, payload) = whole.split_at(34);
    let piece = |place: usize, id: u16, bytes: &[u8], more: bool| {
        let mut header = header.to_vec();
        let length = u16::try_from(20 + bytes.len()).unwrap();
        header[16..18].copy_from_slice(&length.to_be_bytes());
        header[18..20].copy_from_slice(&id.to_be_bytes());
        let offset = u16::try_from(place / 8).unwrap() | if more { 0x2000 } else { 0 };
        header[20..22].copy_from_slice(&offset.to_be_bytes());
        [&header, bytes].concat()
    };
    let (first, second) = payload.split_at(24);
    let packets = [
        piece(24, 7, second, false),
        piece(24, 7, second, false),
        piece(24, 8, second, false),
        piece(0, 7, first, true),
        piece(24, 7, second, false),
        piece(0, 7, first, true),
        pcap::udp(
            RESOLVER,
            CLIENT,
            9,
            &pcap::response(1, "fragments.ngrok.io", [203, 0, 113, 1]),
        ),
        pcap::udp(
            RESOLVER,
            CLIENT,
            9,
            &pcap::response(1, "fragments.ngrok.io", [203, 0, 113, 1]),
        ),
        pcap::udp(CLIENT, RESOLVER, 10, &pcap::query(1, "fragments.ngrok.io")),
        pcap::udp(CLIENT, RESOLVER, 11, &pcap::query(1, "other.example.com")),
    ];
    let (found, _) = evidence_of(&packets, &[]);
    let numbers: Vec<usize> = found.iter().map(|it| it.0).collect();
    assert_eq!(numbers, [1, 2, 4, 5, 6, 7, 8, 9]);
}

/// Of a datagram of which a fragment never comes there are those that came.
#[test]
fn what_is_there_of_a_lost_datagram() {
    // The question is in the first 48 of the bytes behind the IP header, and more follows.
    let message = [pcap::query(1, "lost.ngrok.io"), vec![0; 48]].concat();
    let mut first = pcap::udp(CLIENT, RESOLVER, 7, &message);
    first.truncate(34 + 48);
    first[16..18].copy_from_slice(&68_u16.to_be_bytes());
    first[20] = 0x20;
    let (found, stats) = evidence_of(&[first.clone(), first], &[]);
    assert_eq!(stats["fragments"]["beginnings"], 1);
    let names = vec!["lost.ngrok.io".to_owned()];
    assert_eq!(found, [(1, names.clone()), (2, names)], "the copy, too");
}

/// What is said beside each packet: the rule, and whether the row is of a name.
fn rules_said(comments: &[Value]) -> Vec<(&str, bool)> {
    comments
        .iter()
        .map(|it| (it["rule"].as_str().unwrap(), it.get("query").is_some()))
        .collect()
}

/// The evidence that these rules alone have of packets that come one after another, so many microseconds apart.
fn shown_by(
    rules: &str,
    packets: &[Vec<u8>],
    apart: u32,
    options: &[&str],
) -> Vec<(Shown, Vec<Value>)> {
    let (folder, capture) = pcap::made_of(packets, apart);
    let [file, evidence] = ["rules.yml", "e.pcapng"].map(|name| folder.path().join(name));
    std::fs::write(&file, rules).unwrap();
    let mut words = vec!["replay", &capture, "--no-embedded", "--rows", "none"];
    words.extend(["--rules", file.to_str().unwrap()]);
    words.extend(["--evidence", evidence.to_str().unwrap()]);
    words.extend(options);
    stdout(&dnsterrier(words));
    shown(&evidence)
}

#[test]
fn several_rules_hit_in_one_packet() {
    let [one, two] = ["name: one\n", "---\nname: two\nby: [src]\n"];
    let domain = "domain: own.example\n";
    let rules = [one, domain, two, domain].concat();
    let packets = [
        pcap::udp(CLIENT, RESOLVER, 1, &pcap::query(1, "a.own.example")),
        pcap::udp(
            RESOLVER,
            CLIENT,
            2,
            &pcap::response(1, "a.own.example", [203, 0, 113, 1]),
        ),
    ];
    let shown = shown_by(&rules, &packets, 1_000, &["--window", "1h"]);
    assert_eq!(shown.len(), 2);
    for (_, comments) in shown {
        assert_eq!(rules_said(&comments), [("one", true), ("two", false)]);
        let window = "2027-01-15T08:00:00.000000Z/2027-01-15T09:00:00.000000Z";
        assert!(
            comments.iter().all(|it| it["window"] == window),
            "{comments:?}"
        );
    }
}

/// A correlation says long after a lookup that it hit.
#[test]
fn what_a_correlation_says_later() {
    let rules = "title: Base\nname: base\nlogsource:\n  category: dns\ndetection:\n  selection:\n    query|endswith: .own.example\n  condition: selection\n\
         ---\ntitle: Many\ncorrelation:\n  type: event_count\n  rules: [base]\n  group-by: [src]\n  timespan: 10m\n  condition:\n    gte: 2\n";
    let query = |id: u16, name: &str| pcap::udp(CLIENT, RESOLVER, id, &pcap::query(id, name));
    let mut packets = vec![query(1, "a.own.example"), query(2, "alone.example")];
    packets.push(query(3, "b.own.example"));
    // 100 s apart: the first is long over when the third comes.
    let shown = shown_by(rules, &packets, 100_000_000, &[]);
    let said: Vec<(&str, Vec<(&str, bool)>)> = shown
        .iter()
        .map(|(packet, comments)| (packet.0.as_str(), rules_said(comments)))
        .collect();
    let many = vec![("Many", false)];
    assert_eq!(
        said,
        [
            ("1800000000.000000000", many.clone()),
            ("1800000200.000000000", many)
        ]
    );
}

#[test]
fn a_pcap_file_has_one_link_type() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = ["captures/ngrok.pcap", "captures/ngrok-sll.pcap"]
        .map(|name| file(name).to_str().unwrap().to_owned());
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let words = [
        "replay", &inputs[0], &inputs[1], "--rows", "none", "--write",
    ];
    let output = dnsterrier(words.into_iter().chain([place("a.pcap").as_str()]));
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("a.pcap: its packets are of link type 1, and now one of 113 came"),
        "{said}"
    );
    assert!(said.contains("use a name ending in .pcapng"), "{said}");
    stdout(&dnsterrier(
        words.into_iter().chain([place("a.pcapng").as_str()]),
    ));
    let written = shown(Path::new(&place("a.pcapng")));
    let interfaces: BTreeSet<_> = written
        .iter()
        .map(|(packet, _)| (&packet.1, &packet.2))
        .collect();
    assert_eq!(interfaces.len(), 2, "{interfaces:?}");
    for (option, name, part) in [
        ("--write", "a.jsonl", "ending in .pcapng or .pcap"),
        (
            "--evidence",
            "a.pcap",
            "pcap has no room for what is said of each packet",
        ),
        ("--evidence", "a", "ending in .pcapng"),
    ] {
        let output = dnsterrier(["replay", &inputs[0], option, &place(name)]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}

#[test]
fn packets_on_standard_output() {
    let capture = file("captures/vlan.pcap");
    let capture = capture.to_str().unwrap();
    let run = |more: &[&str]| dnsterrier([&["replay", capture, "--quiet"], more].concat());
    let folder = tempfile::tempdir().unwrap();
    let piped = folder.path().join("piped.pcapng");
    let output = run(&["--rows", "none", "--write", "-"]);
    assert!(output.status.success(), "{}", stderr(&output));
    std::fs::write(&piped, output.stdout).unwrap();
    assert_eq!(shown(&piped).len(), shown(Path::new(capture)).len());
    for together in [
        &["-w", "-"][..],
        &["--rows", "none", "-w", "-", "--evidence", "/dev/stdout"],
    ] {
        let output = run(together);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(
            said.contains("packets cannot share standard output"),
            "{said}"
        );
    }
}

/// What a resolver tells has no packets: the hits are counted.
#[test]
fn dnstap_has_no_packets() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let capture = file("captures/resolver.dnstap");
    let output = dnsterrier([
        "replay",
        capture.to_str().unwrap(),
        "--rows",
        "none",
        "--evidence",
        &place("e.pcapng"),
        "--write",
        &place("w.pcap"),
        "--stats",
        &place("s.json"),
    ]);
    stdout(&output);
    let stats: Value = serde_json::from_slice(&std::fs::read(place("s.json")).unwrap()).unwrap();
    assert_eq!(stats["evidence"]["hits"], 0);
    assert!(stats["evidence"]["hits_without_packets"].as_u64().unwrap() > 0);
    assert_eq!(
        stats["written_packets"]["without_packets"],
        stats["packets"]["dnstap"]
    );
    assert!(
        stderr(&output).contains("hits of which no packet was seen"),
        "{}",
        stderr(&output)
    );
    for name in ["e.pcapng", "w.pcap"] {
        assert_eq!(shown(Path::new(&place(name))), [], "{name} is whole");
    }
}
