//! What each stage costs by itself, over the packets of a committed capture: layers, a look at each message, pairing, events,
//! rules, rows, JSON.
//!
//! `cargo bench --bench stages`. Throughput is in packets, messages or events a second.

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

use std::hint::black_box;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use dnsterrier::aggregate::{self, Aggregator, Window};
use dnsterrier::capture::{Files, Source, TakePackets, expand};
use dnsterrier::event::{Event, Maker};
use dnsterrier::frame::{Addresses, Decoder, Plain, Ports, Transport};
use dnsterrier::message::{Envelope, Question};
use dnsterrier::packet::{Batch, Packet};
use dnsterrier::rule::{Rules, embedded};
use dnsterrier::stats::Capture;
use dnsterrier::time::Timestamp;
use dnsterrier::transaction::{Arrival, Interest, Limits, NamedRoles, Pairing, Reader};

fn main() {
    divan::main();
}

/// The capture that most examples are about.
const CAPTURE: &str = "captures/ngrok.pcap";

/// Keeps all packets.
#[derive(Default)]
struct Keep {
    packets: Batch,
    stats: Capture,
}

impl TakePackets for Keep {
    fn take(&mut self, packet: &Packet<'_>) -> ControlFlow<()> {
        self.packets.push(packet);
        ControlFlow::Continue(())
    }

    fn idle(&mut self, _: Timestamp) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn stats(&mut self) -> &mut Capture {
        &mut self.stats
    }
}

fn packets() -> Batch {
    let mut keep = Keep::default();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(CAPTURE);
    let errors = Files::new(expand(&[path]).unwrap(), None, |_| None).run(&mut keep, &|| false);
    assert!(errors.is_empty(), "{errors:?}");
    keep.packets
}

/// Wants every message, or none.
struct All(bool);

impl Interest for All {
    fn wants(&self, _: &mut Question) -> bool {
        self.0
    }
}

fn envelope<'a>(plain: &Plain<'a>, packet: &Packet<'_>) -> Envelope<'a> {
    let [src, dst] = match plain.addresses {
        Addresses::V4(addresses) => addresses.map(IpAddr::from),
        Addresses::V6(addresses) => addresses.map(IpAddr::from),
    };
    Envelope {
        time: packet.time,
        input: packet.input,
        number: packet.number,
        src,
        dst,
        src_port: plain.src_port,
        dst_port: plain.dst_port,
        transport: Transport::Udp,
        ip_id: plain.ip_id,
        around: plain.around,
        missing: 0,
        fragment_missing: false,
    }
}

/// The usual one.
fn ports() -> Ports {
    Ports::new(&Ports::DEFAULT)
}

fn maker() -> Maker {
    Maker {
        sensor: Arc::from("bench"),
        zone: None,
        assets: Default::default(),
        sources: vec![Arc::from(CAPTURE)],
        sinkholes: Vec::new(),
        ports: ports(),
        keeps_bytes: false,
    }
}

/// Looks at the messages of all plain packets.
fn look(packets: &Batch, reader: &mut Reader, interest: &All) -> Vec<Arrival> {
    let mut decoder = Decoder::new(ports());
    let of = |packet: Packet<'_>| {
        let plain = decoder.decode_plain(&packet)?;
        reader.read(&envelope(&plain, &packet), plain.payload, interest)
    };
    packets.packets().filter_map(of).collect()
}

/// The events of all plain packets.
fn events() -> Vec<Event> {
    let packets = packets();
    let mut arrivals = look(&packets, &mut Reader::default(), &All(true));
    let maker = maker();
    let mut events = Vec::new();
    let mut pairing = Pairing::new(Limits::default(), NamedRoles::default());
    for arrival in &mut arrivals {
        pairing.push(arrival, &mut |transaction| {
            events.extend(maker.event(transaction));
        });
    }
    assert!(!events.is_empty());
    events
}

#[divan::bench]
fn frames_layer_by_layer(bencher: Bencher<'_, '_>) {
    let packets = packets();
    let mut decoder = Decoder::new(ports());
    bencher
        .counter(ItemsCount::new(packets.packets().count()))
        .bench_local(|| {
            packets
                .packets()
                .filter(|packet| decoder.decode(black_box(packet)).is_some())
                .count()
        });
}

#[divan::bench]
fn frames_in_one_go(bencher: Bencher<'_, '_>) {
    let packets = packets();
    let mut decoder = Decoder::new(ports());
    bencher
        .counter(ItemsCount::new(packets.packets().count()))
        .bench_local(|| {
            packets
                .packets()
                .filter(|packet| decoder.decode_plain(black_box(packet)).is_some())
                .count()
        });
}

/// Frames included.
#[divan::bench(args = [false, true])]
fn messages_are_looked_at(bencher: Bencher<'_, '_>, wanted: bool) {
    let packets = packets();
    let mut reader = Reader::default();
    bencher
        .counter(ItemsCount::new(packets.packets().count()))
        .bench_local(|| look(&packets, &mut reader, &All(wanted)).len());
}

#[divan::bench]
fn arrivals_are_paired(bencher: Bencher<'_, '_>) {
    let packets = packets();
    let mut reader = Reader::default();
    let count = look(&packets, &mut reader, &All(false)).len();
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| {
            let pairing = Pairing::new(Limits::default(), NamedRoles::default());
            (pairing, look(&packets, &mut Reader::default(), &All(false)))
        })
        .bench_local_values(|(mut pairing, mut arrivals)| {
            for arrival in &mut arrivals {
                pairing.advance(arrival.time(), &mut |_| {});
                pairing.push(arrival, &mut |_| {});
            }
            pairing
        });
}

/// From two messages to every field: pairing included.
#[divan::bench]
fn events_are_made(bencher: Bencher<'_, '_>) {
    let count = events().len();
    let packets = packets();
    let maker = maker();
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| {
            let pairing = Pairing::new(Limits::default(), NamedRoles::default());
            (pairing, look(&packets, &mut Reader::default(), &All(true)))
        })
        .bench_local_values(|(mut pairing, mut arrivals)| {
            let mut made = 0;
            for arrival in &mut arrivals {
                pairing.push(arrival, &mut |transaction| {
                    made += usize::from(black_box(maker.event(transaction)).is_some());
                });
            }
            made
        });
}

/// The embedded rules that are on.
fn rules() -> Rules {
    Rules::new(embedded().unwrap()).unwrap()
}

#[divan::bench]
fn rules_are_matched(bencher: Bencher<'_, '_>) {
    let (events, rules) = (events(), rules());
    bencher
        .counter(ItemsCount::new(events.len()))
        .bench_local(|| {
            let mut hits = 0;
            for event in &events {
                rules.matches(event, &mut |_, _| hits += 1);
            }
            hits
        });
}

#[divan::bench]
fn hits_become_rows(bencher: Bencher<'_, '_>) {
    let (events, rules) = (events(), rules());
    let mut hits = Vec::new();
    for (number, event) in events.iter().enumerate() {
        rules.matches(event, &mut |rule, name| {
            hits.push((rule, number, name.to_owned()));
        });
    }
    assert!(!hits.is_empty());
    bencher
        .counter(ItemsCount::new(hits.len()))
        .with_inputs(|| {
            Aggregator::new(
                rules.list(),
                Window::Every(Duration::from_secs(3_600)),
                Arc::from("bench"),
                aggregate::Limits::default(),
            )
            .unwrap()
        })
        .bench_local_values(|mut aggregator| {
            let mut rows = 0;
            for (rule, number, name) in &hits {
                let event = events.get(*number).unwrap();
                aggregator.add(*rule, event, name, &mut |_| rows += 1);
            }
            aggregator.finish(&mut |_| rows += 1);
            rows
        });
}

#[divan::bench]
fn events_are_written(bencher: Bencher<'_, '_>) {
    let events = events();
    let mut out = Vec::new();
    bencher
        .counter(ItemsCount::new(events.len()))
        .bench_local(|| {
            out.clear();
            for event in &events {
                serde_json::to_writer(&mut out, event).unwrap();
            }
            out.len()
        });
}
