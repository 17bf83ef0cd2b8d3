//! What each stage costs by itself, over the packets of a committed capture: layers, a look at each message, pairing, events,
//! rules, rows, JSON.
//!
//! `cargo bench --bench stages`. Throughput is in packets, messages or events a second.

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use dnsterrier::aggregate::{self, Aggregator, Window};
use dnsterrier::capture::{Files, Source, TakePackets, expand};
use dnsterrier::event::{Event, Maker};
use dnsterrier::frame::{Decoder, Ports};
use dnsterrier::message::{Envelope, Question};
use dnsterrier::packet::{Batch, Packet};
use dnsterrier::rule::{Rules, embedded};
use dnsterrier::stats::Capture;
use dnsterrier::time::Timestamp;
use dnsterrier::transaction::{
    Arrival, Interest, Limits, NamedRoles, Pairing, Reader, Transaction,
};
use dnsterrier::wide::{Lanes, Processor, Work};

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

    fn send_on(&mut self) -> ControlFlow<()> {
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
    Processor::detect().run(Look(packets, reader, interest))
}

struct Look<'a>(&'a Batch, &'a mut Reader, &'a All);

impl Work for Look<'_> {
    type Output = Vec<Arrival>;

    #[inline(always)]
    fn run(self, lanes: impl Lanes) -> Vec<Arrival> {
        let Self(packets, reader, interest) = self;
        let decoder = Decoder::new(ports());
        let mut arrivals = Vec::new();
        for packet in packets.packets() {
            let Some(plain) = decoder.decode_plain(&packet) else {
                continue;
            };
            let is_kept = reader.read_plain(packet.time, &plain, interest, lanes, &mut arrivals);
            if let (Some(true), Some(arrival)) = (is_kept, arrivals.last_mut()) {
                let envelope = Envelope::of_plain(&plain, &packet);
                reader.keep(arrival, &envelope, plain.payload);
            }
        }
        arrivals
    }
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

/// What it costs to find something in each packet.
fn of_each(bencher: Bencher<'_, '_>, mut finds: impl FnMut(&Packet<'_>) -> bool) {
    let packets = packets();
    bencher
        .counter(ItemsCount::new(packets.packets().count()))
        .bench_local(|| {
            let found = packets.packets().filter(|packet| finds(black_box(packet)));
            found.count()
        });
}

#[divan::bench]
fn frames_layer_by_layer(bencher: Bencher<'_, '_>) {
    let mut decoder = Decoder::new(ports());
    of_each(bencher, |packet| decoder.decode(packet).is_some());
}

#[divan::bench]
fn frames_in_one_go(bencher: Bencher<'_, '_>) {
    let decoder = Decoder::new(ports());
    of_each(bencher, |packet| decoder.decode_plain(packet).is_some());
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

/// What it costs to pair the arrivals of all packets; `give` gets the transactions of wanted ones.
fn pair(bencher: Bencher<'_, '_>, wanted: bool, mut give: impl FnMut(&Transaction<'_>)) {
    let packets = packets();
    let arrivals = || look(&packets, &mut Reader::default(), &All(wanted));
    bencher
        .counter(ItemsCount::new(arrivals().len()))
        .with_inputs(|| {
            let pairing = Pairing::new(Limits::default(), NamedRoles::default());
            (pairing, arrivals())
        })
        .bench_local_values(|(mut pairing, mut arrivals)| {
            for arrival in &mut arrivals {
                pairing.advance(arrival.time(), &mut give);
                pairing.push(arrival, &mut give);
            }
            pairing
        });
}

#[divan::bench]
fn arrivals_are_paired(bencher: Bencher<'_, '_>) {
    pair(bencher, false, |_| {});
}

/// From two messages to every field: pairing included.
#[divan::bench]
fn events_are_made(bencher: Bencher<'_, '_>) {
    let maker = maker();
    pair(bencher, true, |transaction| {
        black_box(maker.event(transaction));
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
