//! Damaged packets: real ones with bytes turned, cut off and put on, by a generator that is the same on every run. Whatever
//! comes, nothing panics, every packet is counted exactly once, what goes in comes out, and no name can drive a terminal.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test may fail: that is what it is for"
)]

mod common;
#[path = "../src/message/rdata/golden.rs"]
mod golden;
#[path = "common/pcap.rs"]
mod pcap;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::captures;
use dnsterrier::aggregate::{self, Aggregator, Window};
use dnsterrier::capture::{CaptureError, Files, Source, TakePackets, expand};
use dnsterrier::dnstap::{Step, Stream as Frames, Tapped};
use dnsterrier::event::Maker;
use dnsterrier::frame::{Decoder, Ports};
use dnsterrier::packet::{LinkType, Packet};
use dnsterrier::pipeline::{Input, Report, Run, Signals, Span, Writers};
use dnsterrier::risk::Scorer;
use dnsterrier::rule::{self, Filters, Rules};
use dnsterrier::sink::{
    EventFormat, Format, Options, Place, Stream, TableOptions, Writer, columns, packet_place,
};
use dnsterrier::stats::Capture;
use dnsterrier::time::Timestamp;
use dnsterrier::transaction::{Limits, NamedRoles};

const PORTS: [u16; 3] = [53, 5353, 5355];

/// Marsaglia's xorshift: the same numbers on every machine.
#[derive(Clone, Debug)]
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`, 0 where there is none.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap() % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        // Those that mean something to DNS come more often: pointers, the longest label, OPT, lengths.
        const TELLING: [u8; 10] = [0, 1, 0x0C, 0x29, 0x3F, 0x40, 0x7F, 0x80, 0xC0, 0xFF];
        match self.below(2) {
            0 => TELLING[self.below(TELLING.len())],
            _ => u8::try_from(self.below(256)).unwrap(),
        }
    }
}

/// A packet as it was captured.
#[derive(Clone, Debug)]
struct Original {
    link: LinkType,
    wire_len: u32,
    bytes: Vec<u8>,
}

/// Keeps the first packets of a file.
#[derive(Default)]
struct Keep {
    originals: Vec<Original>,
    most: usize,
    stats: Capture,
}

impl TakePackets for Keep {
    fn take(&mut self, packet: &Packet<'_>) -> ControlFlow<()> {
        self.originals.push(Original {
            link: packet.link,
            wire_len: packet.wire_len,
            bytes: packet.bytes.to_vec(),
        });
        if self.originals.len() < self.most {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }

    fn send_on(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn idle(&mut self, _now: Timestamp) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn stats(&mut self) -> &mut Capture {
        &mut self.stats
    }
}

fn packets_of(path: &Path, most: usize) -> Vec<Original> {
    let mut keep = Keep {
        most,
        ..Keep::default()
    };
    // A damaged file gives what it has.
    Files::new(expand(&[path.to_owned()]).unwrap(), None, |_| None).run(&mut keep, &|| false);
    keep.originals
}

/// A response for each type that has a presentation form, with the record as an answer, in the authority and in the
/// additional section, and with options of EDNS; a query, response or UPDATE in turn.
fn every_type(turn: usize) -> impl Iterator<Item = Original> {
    let options = b"\0\0\x29\x04\xD0\0\0\x80\0\0\x1D\0\x0A\0\x08abcdefgh\0\x0F\0\x04\0\x0Fno\0\x0D\0\x05\x03com\0";
    golden::GOLDEN
        .iter()
        .zip(
            [0x8180, 0x0100, 0x8180, 5 << 11]
                .into_iter()
                .cycle()
                .skip(turn),
        )
        .map(move |(&(record_type, digits, _), flags)| {
            let data: Vec<u8> = (0..digits.len() / 2)
                .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
                .collect();
            let mut record = vec![1, b'r', 0xC0, 12];
            record.extend(record_type.to_be_bytes());
            record.extend([0, 1, 0, 0, 0, 60]);
            record.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            record.extend(data);
            let mut message = pcap::message(7, flags, [1, 1, 1, 2], "every.type.ngrok.io");
            message.extend(record.repeat(3));
            message.extend(options);
            let (client, resolver) = (([192, 0, 2, 10], 40_000), ([192, 0, 2, 53], 53));
            let bytes = match flags & 0x8000 {
                0 => pcap::udp(client, resolver, 7, &message),
                _ => pcap::udp(resolver, client, 7, &message),
            };
            Original {
                link: LinkType(1),
                wire_len: u32::try_from(bytes.len()).unwrap(),
                bytes,
            }
        })
}

/// The packets to damage: the committed captures, messages with every type, and some of the corpus where it is there.
fn originals() -> Vec<Original> {
    let mut originals: Vec<Original> = captures()
        .iter()
        .flat_map(|path| packets_of(path, 400))
        .collect();
    assert!(originals.len() > 1000);
    for turn in 0..4 {
        originals.extend(every_type(turn));
    }
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/files");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&corpus)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    if files.is_empty() {
        println!(
            "{} is not there: only the committed captures",
            corpus.display()
        );
    }
    let step = files.len() / 60 + 1;
    for path in files.iter().step_by(step) {
        originals.extend(packets_of(path, 60));
    }
    originals
}

/// Damages a packet in one to three ways.
fn damage(random: &mut Xorshift, originals: &[Original]) -> Original {
    let mut packet = originals[random.below(originals.len())].clone();
    for _ in 0..=random.below(3) {
        let bytes = &mut packet.bytes;
        let length = bytes.len();
        match random.below(9) {
            // A bit.
            0 if length > 0 => bytes[random.below(length)] ^= 1 << random.below(8),
            // A byte, anywhere or after the headers of Ethernet, IPv4 and UDP.
            1 if length > 0 => bytes[random.below(length)] = random.byte(),
            2 | 3 if length > 42 => bytes[42 + random.below(length - 42)] = random.byte(),
            // A number of two bytes.
            4 if length > 43 => {
                let at = 42 + random.below(length - 43);
                let number = [0, 1, 2, 255, 256, 0x7FFF, 0x8000, 0xFFFF][random.below(8)];
                bytes[at..at + 2].copy_from_slice(&u16::to_be_bytes(number));
            }
            // The capture cut it; or it was so short.
            5 => bytes.truncate(random.below(length + 1)),
            6 => {
                bytes.truncate(random.below(length + 1));
                packet.wire_len = u32::try_from(bytes.len()).unwrap();
            }
            // More of it, of itself or at random.
            7 => {
                let more = random.below(80);
                for _ in 0..more {
                    let byte = match (random.below(2), bytes.len()) {
                        (0, 1..) => bytes[random.below(bytes.len())],
                        _ => random.byte(),
                    };
                    bytes.push(byte);
                }
                packet.wire_len = u32::try_from(bytes.len()).unwrap();
            }
            // The end of another.
            _ => {
                let other = &originals[random.below(originals.len())].bytes;
                let at = random.below(length.min(other.len()) + 1);
                bytes.truncate(at);
                bytes.extend(&other[at..]);
                packet.wire_len = u32::try_from(bytes.len()).unwrap();
            }
        }
    }
    // A header that lies about the length.
    if random.below(50) == 0 {
        packet.wire_len = u32::try_from(random.below(1 << 32)).unwrap();
    }
    packet
}

/// A source of damaged packets, a thousandth of a second apart but for a jump now and then.
struct Damaged {
    originals: Arc<[Original]>,
    random: Xorshift,
    packets: u64,
}

impl Source for Damaged {
    fn names(&self) -> Vec<Arc<str>> {
        vec![Arc::from("damaged")]
    }

    fn run(&mut self, sink: &mut dyn TakePackets, stop: &dyn Fn() -> bool) -> Vec<CaptureError> {
        let mut time = Timestamp::from_parts(1_800_000_000, 0);
        for number in 1..=self.packets {
            let Original {
                link,
                wire_len,
                bytes,
            } = damage(&mut self.random, &self.originals);
            time = match self.random.below(5_000) {
                0 => time.minus(Duration::from_secs(100)),
                1 => time.plus(Duration::from_secs(100)),
                2..50 => time.minus(Duration::from_millis(20)),
                _ => time.plus(Duration::from_millis(1)),
            };
            let packet = Packet {
                time,
                input: 0,
                number,
                link,
                wire_len,
                bytes: &bytes,
            };
            if sink.take(&packet).is_break() || stop() {
                break;
            }
        }
        Vec::new()
    }

    fn is_live(&self) -> bool {
        false
    }
}

/// Runs damaged packets through the whole pipeline, with events to a file or none at all.
fn run(
    originals: &Arc<[Original]>,
    seed: u64,
    packets: u64,
    events: Place,
    event_format: EventFormat,
) -> Report {
    let rules = Arc::new(Rules::new(rule::embedded().unwrap()).unwrap());
    let sensor: Arc<str> = Arc::from("mutation");
    let table = TableOptions::default();
    let writer = |stream, place| {
        let options = Options {
            live: false,
            format: Format::Jsonl,
            event_format,
            columns: &columns(stream, rules.list()),
            shared_stdout: false,
            table,
        };
        Writer::open(stream, &[place], &options).unwrap()
    };
    let nowhere = || {
        let place = packet_place("--write", Path::new("/dev/null"), true).unwrap();
        Writer::packets(place, Vec::new(), false).unwrap()
    };
    let named = Ports::new(&PORTS);
    // Every other run looks at all ports.
    let ports = if seed.is_multiple_of(2) {
        named.and_anywhere()
    } else {
        named
    };
    let run = Run {
        input: Input::Packets(vec![Box::new(Damaged {
            originals: Arc::clone(originals),
            random: Xorshift(seed),
            packets,
        })]),
        // One alone, and several that share the clients.
        decoders: seed as usize % 3 + 1,
        ports: ports.clone(),
        tunnel_depth: Decoder::DEPTH,
        count: None,
        span: Span::ALL,
        limits: Limits {
            // Few, so that eviction has its turn.
            entries: 500,
            ..Limits::default()
        },
        roles: NamedRoles::default(),
        maker: Maker {
            sensor: Arc::clone(&sensor),
            zone: None,
            assets: Default::default(),
            sources: vec![Arc::from("damaged")],
            sinkholes: Vec::new(),
            ports,
            keeps_bytes: true,
        },
        aggregator: Aggregator::new(
            rules.list(),
            Window::None,
            sensor,
            aggregate::Limits::default(),
        )
        .unwrap(),
        writers: Writers {
            rows: writer(Stream::Rows, Place::None),
            hits: writer(Stream::Hits, Place::None),
            events: writer(Stream::Events, events),
            sources: writer(Stream::Sources, Place::None),
            risk: writer(Stream::Risk, Place::parse("/dev/null").unwrap()),
            sensors: writer(Stream::Sensors, Place::None),
            evidence: nowhere(),
            packets: nowhere(),
        },
        scorer: Scorer::new(rules.list(), Duration::from_secs(37)),
        rules,
        deliveries: dnsterrier::delivery::Deliveries::default(),
        deliver_timeout: Duration::ZERO,
        table,
        filters: Filters::default(),
        show: |_| {},
        tell: |_| {},
        reload: None,
        save: None,
        rotation: Default::default(),
        metrics: None,
    };
    run.run(&Signals::default())
}

/// Nothing is lost and nothing is counted twice.
fn adds_up(report: &Report, packets: u64, what: &str) {
    assert_eq!(report.panicked, None, "{what}");
    assert!(report.output.is_ok(), "{what}: {:?}", report.output);
    let stats = &report.stats;
    assert_eq!(stats.capture.received, packets, "{what}");
    assert!(stats.identities.len() >= 10);
    for identity in &stats.identities {
        assert!(identity.holds, "{what}: {identity:?}");
    }
}

/// JSON of printable ASCII alone, in which nothing had to be escaped but the quote and the backslash of RFC 1035.
fn is_harmless(line: &[u8]) -> bool {
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        let harmless = match byte {
            b'\\' => matches!(bytes.next(), Some(b'\\' | b'"')),
            _ => matches!(byte, b' '..=b'~'),
        };
        if !harmless {
            return false;
        }
    }
    true
}

#[test]
fn every_damaged_packet_is_counted_exactly_once() {
    let originals = originals();
    let mut random = Xorshift(0x9E37_79B9_7F4A_7C15);
    let mut decoder = Decoder::new(Ports::new(&PORTS));
    let mut for_us = 0_u64;
    for number in 1..=100_000_u64 {
        let Original {
            link,
            wire_len,
            bytes,
        } = damage(&mut random, &originals);
        let packet = Packet {
            time: Timestamp::from_parts(1_800_000_000 + i64::try_from(number / 1000).unwrap(), 0),
            input: 0,
            number,
            link,
            wire_len,
            bytes: &bytes,
        };
        let is_for_us = decoder.decode(&packet).is_some();
        if is_for_us {
            for_us += 1;
            while decoder.decode_further(&packet).is_some() {}
        }
        assert_eq!(decoder.stats.total(), number, "{packet:02x?}");
        assert_eq!(
            decoder.stats.udp + decoder.stats.tcp,
            for_us,
            "{packet:02x?}"
        );
    }
    assert!(
        for_us > 20_000,
        "only {for_us} packets came through: the test tests little"
    );
}

#[test]
fn damaged_packets_go_through_the_pipeline() {
    let originals: Arc<[Original]> = originals().into();
    for seed in 1..=4 {
        let packets = 40_000;
        let report = run(&originals, seed, packets, Place::None, EventFormat::Cim);
        adds_up(&report, packets, &format!("seed {seed}"));
        assert_eq!(report.stats.mode, "candidates");
        assert!(report.stats.messages.total() > packets / 5);
        assert!(report.stats.events.evicted > 0);
    }
}

#[test]
fn events_of_damaged_packets_are_printable() {
    let originals: Arc<[Original]> = originals().into();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let packets = 40_000;
    let place = Place::File {
        path: path.clone(),
        format: Format::Jsonl,
    };
    let report = run(&originals, 99, packets, place, EventFormat::Cim);
    adds_up(&report, packets, "with events");
    assert_eq!(report.stats.mode, "everything");
    assert_eq!(report.stats.events.not_looked_into, 0);
    let mut events = 0;
    let mut odd = 0;
    let mut types = BTreeSet::new();
    for line in BufReader::new(std::fs::File::open(&path).unwrap()).split(b'\n') {
        let line = line.unwrap();
        events += 1;
        odd += u64::from(memchr::memmem::find(&line, b"malformed:").is_some());
        assert!(is_harmless(&line), "{}", line.escape_ascii());
        let event: serde_json::Value = serde_json::from_slice(&line).unwrap();
        for answer in event["answers"].as_array().unwrap() {
            types.insert(answer["type"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(events, report.stats.events.made);
    // Of those with a name; what was damaged made others.
    types.retain(|name| !name.starts_with("TYPE"));
    assert!(
        types.len() > 60,
        "answers of {} types: {types:?}",
        types.len()
    );
    assert!(
        events > 5_000 && odd > 1_000,
        "{events} events, {odd} malformed"
    );
}

/// How many frames with a message a file of dnstap has, which must be whole.
fn frames(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    let (mut rest, mut stream, mut frames) = (&bytes[..], Frames::default(), 0);
    while !rest.is_empty() {
        let len = match stream.next(rest).unwrap() {
            Step::Data { len, frame } => {
                Tapped::read(frame).unwrap();
                frames += 1;
                len
            }
            Step::Control { len, .. } => len,
            Step::Needs(_) => panic!("cut"),
        };
        rest = &rest[len..];
    }
    assert!(stream.is_whole());
    frames
}

/// The other formats, too, say each event in whole lines of printable ASCII.
#[test]
fn events_of_damaged_packets_are_printable_in_every_format() {
    let originals: Arc<[Original]> = originals().into();
    let folder = tempfile::tempdir().unwrap();
    let packets = 10_000;
    for (seed, event_format) in (200..).zip(EventFormat::ALL) {
        let path = folder.path().join(event_format.name());
        let place = Place::File {
            path: path.clone(),
            format: Format::Jsonl,
        };
        let report = run(&originals, seed, packets, place, event_format);
        if event_format == EventFormat::Dnstap {
            let (made, frames) = (report.stats.events.made, frames(&path));
            assert!(made <= frames && frames <= 2 * made, "{frames} of {made}");
            continue;
        }
        let (mut lines, mut events) = (0, 0);
        for line in BufReader::new(std::fs::File::open(&path).unwrap()).split(b'\n') {
            let line = line.unwrap();
            if event_format == EventFormat::Zeek {
                let cells: Vec<&[u8]> = line.split(|byte| *byte == b'\t').collect();
                let mut bytes = cells.iter().copied().flatten();
                assert!(bytes.all(|byte| matches!(byte, b' '..=b'~')));
                lines += u64::from(!line.starts_with(b"#"));
                assert!(
                    line.starts_with(b"#") || cells.len() == 24,
                    "{}",
                    line.escape_ascii()
                );
                continue;
            }
            assert!(is_harmless(&line), "{}", line.escape_ascii());
            let record: serde_json::Value = serde_json::from_slice(&line).unwrap();
            lines += 1;
            // A lookup of which both messages were seen is two of EVE's.
            events += u64::from(record["dns"]["type"] == "request" || record["flow_id"].is_null());
        }
        let made = report.stats.events.made;
        match event_format {
            EventFormat::Eve => assert!(events <= made && made < lines && lines <= 2 * made),
            _ => assert_eq!(lines, made, "{event_format:?}"),
        }
    }
}
