//! What the decoder thread does with each packet: its headers, its stream, its message, its transaction, its event.

use std::sync::Arc;

use super::EventBatch;
use crate::event::{Event, Maker};
use crate::frame::{Decoder, Ports, Transport};
use crate::message::Envelope;
use crate::packet::{Batch, Packet};
use crate::rule::Rules;
use crate::stats::{Capture, Events};
use crate::stream::{Origin, StreamMessage, Streams};
use crate::time::Timestamp;
use crate::transaction::{Interest, Limits, Pairing, Transaction};

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
    pairing: Pairing,
    maker: Maker,
    asking: Asking,
    stats: Events,
    capture: Capture,
    now: Timestamp,
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
            pairing: Pairing::new(limits),
            maker,
            asking: Asking { rules, everything },
            stats: Events::default(),
            capture: Capture::default(),
            now: Timestamp::MIN,
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
        self.capture = batch.stats;
        self.fill(out);
    }

    /// The capture is over: closes what is open.
    pub(super) fn finish(&mut self, out: &mut EventBatch) {
        let Self {
            streams,
            pairing,
            maker,
            asking,
            stats,
            ..
        } = self;
        let mut give =
            |transaction: &Transaction<'_>| make(maker, stats, transaction, &mut out.events);
        streams.close(&mut |message| {
            pairing.push(envelope(message), message.bytes, asking, &mut give);
        });
        pairing.close(&mut give);
        self.fill(out);
    }

    fn packet(&mut self, packet: &Packet<'_>, events: &mut Vec<Event>) {
        self.advance(packet.time, events);
        let Self {
            frames,
            streams,
            pairing,
            maker,
            asking,
            stats,
            ..
        } = self;
        let Some(frame) = frames.decode(packet) else {
            return;
        };
        let mut give = |transaction: &Transaction<'_>| make(maker, stats, transaction, events);
        match frame.transport() {
            Transport::Udp => {
                let envelope = Envelope {
                    time: packet.time,
                    input: packet.input,
                    number: packet.number,
                    src: frame.src,
                    dst: frame.dst,
                    src_port: frame.src_port,
                    dst_port: frame.dst_port,
                    transport: Transport::Udp,
                    ip_id: frame.ip_id,
                    layers: &frame.layers,
                    missing: frame.cut,
                };
                pairing.push(envelope, frame.payload, asking, &mut give);
            }
            Transport::Tcp => {
                let origin = Origin {
                    time: packet.time,
                    input: packet.input,
                    number: packet.number,
                };
                streams.push(origin, &frame, &mut |message| {
                    pairing.push(envelope(message), message.bytes, asking, &mut give);
                });
            }
        }
    }

    fn advance(&mut self, now: Timestamp, events: &mut Vec<Event>) {
        let Self {
            streams,
            pairing,
            maker,
            asking,
            stats,
            ..
        } = self;
        let mut give = |transaction: &Transaction<'_>| make(maker, stats, transaction, events);
        streams.expire(now, &mut |message| {
            pairing.push(envelope(message), message.bytes, asking, &mut give);
        });
        pairing.advance(now, &mut give);
        self.now = now;
    }

    /// Sends the counters along.
    fn fill(&self, out: &mut EventBatch) {
        out.now = self.now;
        let stats = &mut out.stats;
        stats.capture = self.capture;
        stats.packets = self.frames.stats;
        stats.segments = self.streams.segments;
        stats.streams = self.streams.stats;
        stats.messages = self.pairing.messages;
        stats.transactions = self.pairing.transactions;
        stats.hosts = self.pairing.seen;
        stats.events = Events {
            not_looked_into: self.pairing.not_looked_into,
            evicted: self.pairing.evicted,
            ..self.stats
        };
    }
}

/// The event of a transaction, where somebody wants it.
fn make(maker: &Maker, stats: &mut Events, transaction: &Transaction<'_>, events: &mut Vec<Event>) {
    if let Some(event) = maker.event(transaction) {
        stats.made += 1;
        events.push(event);
    }
}

/// Who sent a stream's message to whom.
fn envelope<'a>(message: &StreamMessage<'a>) -> Envelope<'a> {
    Envelope {
        time: message.origin.time,
        input: message.origin.input,
        number: message.origin.number,
        src: message.src,
        dst: message.dst,
        src_port: message.src_port,
        dst_port: message.dst_port,
        transport: Transport::Tcp,
        ip_id: None,
        layers: message.layers,
        missing: message.missing,
    }
}
