//! What the decoder thread does with each packet: its headers, its stream, its message, its transaction, its event.

use std::sync::Arc;
use std::time::Duration;

use super::EventBatch;
use crate::event::{Event, Maker};
use crate::frame::{Decoder, Frame, Origin, Ports, Transport};
use crate::message::Envelope;
use crate::packet::{Batch, Packet};
use crate::rule::Rules;
use crate::stats::{Capture, Events};
use crate::stream::{StreamMessage, Streams};
use crate::time::Timestamp;
use crate::transaction::{Interest, Limits, Pairing, Transaction};

/// Streams are looked through so often for what has waited too long.
const EXPIRE_EVERY: Duration = Duration::from_millis(20);

/// Asks the rules whether a question can matter, or wants everything.
struct Asking {
    rules: Arc<Rules>,
    everything: bool,
}

impl Interest for Asking {
    fn wants(&self, name: &[u8]) -> bool {
        self.everything || self.rules.wants(name)
    }
}

/// The stages from packets to events.
pub(super) struct Decoding {
    frames: Decoder,
    streams: Streams,
    after: Messages,
    capture: Capture,
    now: Timestamp,
    next_expiry: Timestamp,
    beginnings: u64,
}

/// The stages after the messages: pairing and events.
struct Messages {
    pairing: Pairing,
    maker: Maker,
    asking: Asking,
    made: u64,
}

impl Messages {
    fn message(&mut self, envelope: &Envelope<'_>, bytes: &[u8], events: &mut Vec<Event>) {
        let Self {
            pairing,
            maker,
            asking,
            made,
        } = self;
        pairing.push(envelope, bytes, asking, &mut |transaction| {
            make(maker, made, transaction, events)
        });
    }

    fn advance(&mut self, now: Timestamp, events: &mut Vec<Event>) {
        let Self {
            pairing,
            maker,
            made,
            ..
        } = self;
        pairing.advance(now, &mut |transaction| {
            make(maker, made, transaction, events)
        });
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        let Self {
            pairing,
            maker,
            made,
            ..
        } = self;
        pairing.close(&mut |transaction| make(maker, made, transaction, events));
    }
}

impl Decoding {
    pub(super) fn new(
        ports: Ports,
        limits: Limits,
        maker: Maker,
        rules: Arc<Rules>,
        everything: bool,
    ) -> Self {
        Self {
            frames: Decoder::new(ports),
            streams: Streams::default(),
            after: Messages {
                pairing: Pairing::new(limits),
                maker,
                asking: Asking { rules, everything },
                made: 0,
            },
            capture: Capture::default(),
            now: Timestamp::MIN,
            next_expiry: Timestamp::MIN,
            beginnings: 0,
        }
    }

    /// Takes a batch of packets apart.
    pub(super) fn decode(&mut self, batch: &Batch, out: &mut EventBatch) {
        for packet in batch.packets() {
            self.packet(&packet, &mut out.events);
        }
        if let Some(now) = batch.now {
            self.advance(now, &mut out.events);
        }
        self.frames.expire(self.now);
        self.lost_fragments(&mut out.events);
        self.capture = batch.stats;
        self.fill(out);
    }

    /// The capture is over: closes what is open.
    pub(super) fn finish(&mut self, out: &mut EventBatch) {
        self.frames.close();
        self.lost_fragments(&mut out.events);
        let Self { streams, after, .. } = self;
        streams.close(&mut |message| {
            after.message(&stream_envelope(&message), message.bytes, &mut out.events)
        });
        after.close(&mut out.events);
        self.fill(out);
    }

    /// One packet, with all that it holds.
    fn packet(&mut self, packet: &Packet<'_>, events: &mut Vec<Event>) {
        self.advance(packet.time, events);
        let Self {
            frames,
            streams,
            after,
            ..
        } = self;
        if let Some(frame) = frames.decode(packet) {
            datagram_or_segment(streams, after, &frame, Origin::of(packet), events);
            while let Some(frame) = frames.decode_further(packet) {
                datagram_or_segment(streams, after, &frame, Origin::of(packet), events);
            }
        }
    }

    /// Datagrams of which only the beginning came.
    fn lost_fragments(&mut self, events: &mut Vec<Event>) {
        while let Some(lost) = self.frames.next_lost() {
            self.beginnings += 1;
            let frame = lost.frame();
            let envelope = Envelope {
                fragment_missing: true,
                ..datagram_envelope(&frame, lost.origin)
            };
            self.after.message(&envelope, frame.payload, events);
        }
    }

    fn advance(&mut self, now: Timestamp, events: &mut Vec<Event>) {
        let Self { streams, after, .. } = self;
        if now >= self.next_expiry || now < self.now {
            self.next_expiry = now.plus(EXPIRE_EVERY);
            streams.expire(now, &mut |message| {
                after.message(&stream_envelope(&message), message.bytes, events);
            });
        }
        after.advance(now, events);
        self.now = now;
    }

    /// Sends the counters along.
    fn fill(&self, out: &mut EventBatch) {
        out.now = self.now;
        let pairing = &self.after.pairing;
        let stats = &mut out.stats;
        stats.capture = self.capture;
        stats.packets = self.frames.stats;
        stats.further = self.frames.further;
        stats.tunnels = self.frames.tunnels;
        stats.fragments = self.frames.fragment_stats();
        stats.fragments.beginnings = self.beginnings;
        stats.segments = self.streams.segments;
        stats.streams = self.streams.stats;
        stats.messages = pairing.messages;
        stats.transactions = pairing.transactions;
        stats.hosts = pairing.seen;
        stats.events = Events {
            not_looked_into: pairing.not_looked_into,
            evicted: pairing.evicted,
            made: self.after.made,
            outside_time: 0,
        };
    }
}

/// A datagram is a message, a segment goes to its stream.
fn datagram_or_segment(
    streams: &mut Streams,
    after: &mut Messages,
    frame: &Frame<'_>,
    origin: Origin,
    events: &mut Vec<Event>,
) {
    match frame.transport() {
        Transport::Udp => after.message(&datagram_envelope(frame, origin), frame.payload, events),
        Transport::Tcp => streams.push(origin, 0, frame, &mut |message| {
            after.message(&stream_envelope(&message), message.bytes, events);
        }),
    }
}

/// The event of a transaction.
fn make(maker: &Maker, made: &mut u64, transaction: &Transaction<'_>, events: &mut Vec<Event>) {
    if let Some(event) = maker.event(transaction) {
        *made += 1;
        events.push(event);
    }
}

/// Who sent a datagram to whom.
fn datagram_envelope<'a>(frame: &'a Frame<'_>, origin: Origin) -> Envelope<'a> {
    Envelope {
        time: origin.time,
        input: origin.input,
        number: origin.number,
        src: frame.src,
        dst: frame.dst,
        src_port: frame.src_port,
        dst_port: frame.dst_port,
        transport: Transport::Udp,
        ip_id: frame.ip_id,
        layers: &frame.layers,
        missing: frame.cut,
        fragment_missing: false,
    }
}

/// Who sent a stream's message to whom.
fn stream_envelope<'a>(message: &StreamMessage<'a>) -> Envelope<'a> {
    Envelope {
        time: message.origin.time,
        input: message.origin.input,
        number: message.origin.number,
        src: message.flow.src,
        dst: message.flow.dst,
        src_port: message.flow.src_port,
        dst_port: message.flow.dst_port,
        transport: Transport::Tcp,
        ip_id: None,
        layers: message.layers,
        missing: message.missing,
        fragment_missing: false,
    }
}
