//! One and the same exchange in every encapsulation, alone and two deep, whole and in fragments, over IPv4 and IPv6: bytes of
//! a capture go in, and each event that comes out is that of the bare exchange but for the layers it names.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail: that is what it is for"
)]

mod common;
#[path = "common/encapsulation.rs"]
mod encapsulation;
#[path = "common/pcap.rs"]
mod pcap;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use common::{PROGRAM, dnsterrier_reading, json_lines, stderr, stdout};
use encapsulation::{
    Chain, Counts, Split, Way, Wrapped, datagram, encapsulations, ethernet, outer, versions,
};

const NAME: &str = "abc123.ngrok.io";
/// The first exchange begins then; each begins so long after the one before that nothing is left of that one.
const BEGIN: u32 = 1_000_000_000;
const APART: u32 = 100;
/// Bytes of payload in a fragment.
const PIECE: usize = 104;

/// The query, with padding so that it fills more than one fragment (RFC 7830).
fn query() -> Vec<u8> {
    let mut bytes = pcap::message(7, 0x0100, [1, 0, 0, 1], NAME);
    bytes.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 104, 0, 12, 0, 100]);
    bytes.extend([0; 100]);
    bytes
}

/// The response, with enough padding for several.
fn response() -> Vec<u8> {
    let mut bytes = pcap::message(7, 0x8180, [1, 1, 0, 1], NAME);
    bytes.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 9]);
    bytes.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 204, 0, 12, 0, 200]);
    bytes.extend([0; 200]);
    bytes
}

const WHOLE: [bool; 3] = [false; 3];

/// What the events and the counters must say, worked out while the packets are made.
#[derive(Default)]
struct Expected {
    /// Of each exchange: what it is, IPv6 or not, its packets, and the layers that the event names.
    exchanges: Vec<Exchange>,
    counts: Counts,
}

struct Exchange {
    what: String,
    v6: bool,
    /// The packets that complete the query and the response.
    last: [u64; 2],
    vlan: Vec<u16>,
    tunnel: Vec<&'static str>,
}

impl Expected {
    /// The packets of an exchange as Ethernet frames with their times.
    fn exchange(&mut self, v6: bool, chain: &Chain<'_>, at: [bool; 3]) -> Vec<pcap::Record> {
        let mut records = Vec::new();
        let begin = BEGIN + APART * u32::try_from(self.exchanges.len()).unwrap();
        let mut last = [0; 2];
        let mut tunnel = Vec::new();
        let split = Split {
            at: &at,
            size: PIECE,
        };
        for (message, back) in [(query(), false), (response(), true)] {
            let way = Way { v6, back };
            let made = encapsulation::frames(&message, way, chain, &split, &mut self.counts);
            let Some((mut frames, names)) = made else {
                return Vec::new();
            };
            // Fragments come in any order.
            if back {
                frames.reverse();
            }
            last[usize::from(back)] = self.counts.packets;
            tunnel = names;
            let time = (begin, if back { 10_000 } else { 0 });
            records.extend(frames.into_iter().map(|bytes| pcap::Record { time, bytes }));
        }
        let what: Vec<String> = chain
            .iter()
            .map(|(encapsulation, v6)| format!("{}{}", encapsulation.what, version(*v6)))
            .collect();
        self.exchanges.push(Exchange {
            what: format!("exchange{} in {what:?}, split {at:?}", version(v6)),
            v6,
            last,
            vlan: encapsulation::vlans(chain),
            tunnel,
        });
        records
    }
}

fn version(v6: bool) -> &'static str {
    if v6 { " (IPv6)" } else { " (IPv4)" }
}

/// Runs the program over the packets, the bare exchanges before them, and compares each event and all counters.
fn assert_same(generate: impl FnOnce(&mut Expected, &mut dyn FnMut(&[pcap::Record]))) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let [evidence, written] =
        ["evidence.pcapng", "written.pcap.gz"].map(|name| folder.path().join(name));
    let (capture, stats) = (
        folder.path().join("all.pcap"),
        folder.path().join("stats.json"),
    );
    let mut expected = Expected::default();
    let mut file = std::io::BufWriter::new(std::fs::File::create(&capture).unwrap());
    file.write_all(&pcap::file(pcap::ETHERNET, &[])).unwrap();
    let mut write = |records: &[pcap::Record]| {
        file.write_all(&pcap::records(records)).unwrap();
    };
    for v6 in [false, true] {
        write(&expected.exchange(v6, &[], WHOLE));
    }
    generate(&mut expected, &mut write);
    file.flush().unwrap();
    let mut program = Command::new(PROGRAM)
        .arg(&capture)
        .args(["-q", "--rows", "none", "--events", "-", "--stats"])
        .arg(&stats)
        .arg("--evidence")
        .arg(&evidence)
        .arg("--write")
        .arg(&written)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut bare: Vec<Value> = Vec::new();
    let mut count = 0;
    for (at, line) in lines.enumerate() {
        let exchange = &expected.exchanges[at];
        let mut event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        event.as_object_mut().unwrap().remove("event_id");
        if at < 2 {
            assert_is_the_exchange(&event, exchange.v6);
            bare.push(event.clone());
        }
        let mut same = bare[usize::from(exchange.v6)].clone();
        let time = BEGIN + APART * u32::try_from(at).unwrap();
        same["_time"] = json!(format!(
            "{:.6}",
            jiff::Timestamp::from_second(i64::from(time)).unwrap()
        ));
        same["packet"] = json!(exchange.last[0]);
        same["response_packet"] = json!(exchange.last[1]);
        same["vlan"] = json!(exchange.vlan);
        same["tunnel"] = json!(exchange.tunnel);
        let differences: Vec<String> = fields(&event, &same)
            .into_iter()
            .filter(|&field| event.get(field) != same.get(field))
            .map(|field| {
                format!(
                    "{field}: {:?} is not {:?}",
                    event.get(field),
                    same.get(field)
                )
            })
            .collect();
        assert!(
            differences.is_empty(),
            "{}: {}",
            exchange.what,
            differences.join(", ")
        );
        count += 1;
    }
    assert!(program.wait().unwrap().success());
    assert_eq!(count, expected.exchanges.len());
    // Each exchange is a hit, and there is nothing else: all packets are evidence, and all have DNS.
    let original = std::fs::read(&capture).unwrap();
    for file in [evidence, written] {
        let converted = folder.path().join("converted.pcap");
        let output = Command::new("editcap")
            .args(["-F", "pcap"])
            .args([&file, &converted])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let converted = std::fs::read(converted).unwrap();
        // Behind the file's header, which says what its program is used to.
        assert!(converted[24..] == original[24..], "{}", file.display());
    }

    let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    let messages = 2 * count as u64;
    let counted = |group: &str| -> BTreeMap<String, u64> {
        let group: BTreeMap<String, u64> = serde_json::from_value(stats[group].clone()).unwrap();
        group.into_iter().filter(|(_, count)| *count > 0).collect()
    };
    let mut packets = BTreeMap::from([("udp".to_owned(), messages)]);
    if expected.counts.packets > messages {
        packets.insert("fragment".to_owned(), expected.counts.packets - messages);
    }
    assert_eq!(counted("packets"), packets);
    assert_eq!(counted("tunnels"), expected.counts.tunnels);
    let mut fragments = BTreeMap::new();
    if expected.counts.joined > 0 {
        fragments.insert("joined".to_owned(), expected.counts.joined);
    }
    assert_eq!(counted("fragments"), fragments);
    assert_eq!(stats["transactions"]["answered"], json!(count));
    for identity in stats["identities"].as_array().unwrap() {
        assert_eq!(identity["holds"], true, "{identity}");
    }
    count
}

/// The fields of either.
fn fields<'a>(one: &'a Value, other: &'a Value) -> BTreeSet<&'a String> {
    let keys = |event: &'a Value| event.as_object().unwrap().keys();
    keys(one).chain(keys(other)).collect()
}

/// The bare exchange's event, by what was put into it.
fn assert_is_the_exchange(event: &Value, v6: bool) {
    let (src, dest) = if v6 {
        ("2001:db8::1", "2001:db8::53")
    } else {
        ("192.0.2.1", "192.0.2.53")
    };
    for (field, value) in [
        ("query", json!(NAME)),
        ("src", json!(src)),
        ("dest", json!(dest)),
        ("src_port", json!(encapsulation::CLIENT_PORT)),
        ("dest_port", json!(53)),
        ("src_mac", json!("02:00:00:00:00:01")),
        ("dest_mac", json!("02:00:00:00:00:02")),
        ("transport", json!("udp")),
        ("transaction_id", json!(7)),
        ("message_type", json!("Response")),
        ("answer", json!(["203.0.113.9"])),
        ("duration", json!(0.01)),
        ("anomalies", json!([])),
        ("vlan", json!([])),
        ("tunnel", json!([])),
    ] {
        assert_eq!(event[field], value, "{field}: {event}");
    }
}

#[test]
fn alone_whole_and_in_fragments() {
    let list = encapsulations();
    let count = assert_same(|expected, write| {
        for encapsulation in &list {
            for &outer_v6 in versions(encapsulation) {
                for v6 in [false, true] {
                    for split in [
                        WHOLE,
                        [true, false, false],
                        [false, true, false],
                        [true, true, false],
                    ] {
                        write(&expected.exchange(v6, &[(encapsulation, outer_v6)], split));
                    }
                }
            }
        }
    });
    assert!(count > 800, "{count}");
}

#[test]
fn each_in_each_other() {
    let list = encapsulations();
    let count = assert_same(|expected, write| {
        for inner in &list {
            for outer in &list {
                for &inner_v6 in versions(inner) {
                    for &outer_v6 in versions(outer) {
                        for v6 in [false, true] {
                            let chain = [(inner, inner_v6), (outer, outer_v6)];
                            write(&expected.exchange(v6, &chain, WHOLE));
                        }
                    }
                }
            }
        }
    });
    assert!(count > 20_000, "{count}");
}

/// The versions of IP take turns here, so that each kind of fragments meets all of them.
#[test]
fn each_in_each_other_in_fragments() {
    let list = encapsulations();
    let mut turn = 0_usize;
    let count = assert_same(|expected, write| {
        for inner in &list {
            for outer in &list {
                for split in [
                    [true, false, false],
                    [false, true, false],
                    [false, false, true],
                    [true, true, true],
                ] {
                    turn += 1;
                    let (inner_v6, outer_v6) = (versions(inner), versions(outer));
                    let chain = [
                        (inner, inner_v6[turn % inner_v6.len()]),
                        (outer, outer_v6[turn / 2 % outer_v6.len()]),
                    ];
                    // Teredo carries IPv6 only.
                    let v6 = (turn / 4).is_multiple_of(2)
                        || inner.carries == encapsulation::Carries::Ipv6;
                    write(&expected.exchange(v6, &chain, split));
                }
            }
        }
    });
    assert!(count > 10_000, "{count}");
}

/// What the program says of one exchange in these packets, with options: the events, and the counters.
fn told(packets: [Vec<u8>; 2], options: &[&str]) -> (Vec<Value>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("stats.json");
    let records = packets.map(|bytes| pcap::Record {
        time: (BEGIN, 0),
        bytes,
    });
    let output = dnsterrier_reading(
        &pcap::file(pcap::ETHERNET, &records),
        &[
            &["replay", "-", "--rows", "none", "--events", "-", "--stats"][..],
            &[stats.to_str().unwrap()],
            options,
        ]
        .concat(),
    );
    let events = json_lines(&stdout(&output));
    let mut stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    stats["said"] = json!(stderr(&output));
    (events, stats)
}

fn exchange(wrap: impl Fn(Vec<u8>, Way) -> Vec<u8>) -> [Vec<u8>; 2] {
    [(query(), false), (response(), true)].map(|(message, back)| {
        let way = Way { v6: false, back };
        ethernet(way, 0x0800, &wrap(datagram(way, &message), way))
    })
}

#[test]
fn the_depth_can_be_set() {
    let deep = |depth: usize| {
        exchange(move |ip, way| (0..depth).fold(ip, |inside, _| outer(way, 4, &inside)))
    };
    for (depth, options, limit) in [
        (8, &[][..], 8),
        (9, &[], 8),
        (9, &["--tunnel-depth", "9"], 9),
        (10, &["--tunnel-depth", "9"], 9),
        (200, &["--tunnel-depth", "255"], 255),
        (1, &["--tunnel-depth", "0"], 0),
        (0, &["--tunnel-depth", "0"], 0),
    ] {
        let (events, stats) = told(deep(depth), options);
        let said = stats["said"].as_str().unwrap();
        if depth <= limit {
            assert_eq!(events.len(), 1, "{depth} {options:?}");
            // More than eight names are not kept.
            assert_eq!(events[0]["tunnel"], json!(vec!["ipip"; depth.min(8)]));
            assert_eq!(stats["packets"]["too_deep"], json!(0));
            assert!(!said.contains("--tunnel-depth"), "{said}");
        } else {
            assert_eq!(events.len(), 0, "{depth} {options:?}");
            assert_eq!(stats["packets"]["too_deep"], json!(2));
            assert!(
                said.contains("2 in more tunnels than --tunnel-depth takes off"),
                "{said}"
            );
        }
        assert_eq!(stats["tunnels"]["ipip"], json!(2 * depth.min(limit)));
    }
}

#[test]
fn ports_of_vxlan_can_be_added() {
    let on = |port| {
        exchange(move |ip, way| {
            let inside = [&[8, 0, 0, 0, 0, 0, 7, 0], &ethernet(way, 0x0800, &ip)[..]].concat();
            match encapsulation::outer_udp(way, port, &inside) {
                Wrapped::Ip(ip) => ip,
                Wrapped::Ethernet(_) => unreachable!(),
            }
        })
    };
    for (port, options, is_seen) in [
        (4789, &[][..], true),
        (8472, &[], true),
        (9999, &[], false),
        (9999, &["--vxlan-ports", "4788,9999"], true),
        (4788, &["--vxlan-ports", "4788,9999"], true),
        (4789, &["--vxlan-ports", "9999"], true),
        (8472, &["--vxlan-ports", "9999"], true),
    ] {
        let (events, stats) = told(on(port), options);
        assert_eq!(events.len(), usize::from(is_seen), "{port} {options:?}");
        let seen = if is_seen { 2 } else { 0 };
        assert_eq!(stats["tunnels"]["vxlan"], json!(seen));
        assert_eq!(stats["capture"]["other_port"], json!(2 - seen));
    }
}
