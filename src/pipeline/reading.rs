//! What the capture thread does with each packet: its layers, its stream, and a look at each message in place. Only
//! messages that somebody wants are copied.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::reload::Reloaded;
use super::splitting::Splitting;
use super::{ArrivalBatch, Asking, Span};
use crate::capture::TakePackets;
use crate::encrypted::Flows;
use crate::frame::{Around, Brought, Decoder, Frame, Joining, Origin, Plain, Ports, Transport};
use crate::message::Envelope;
use crate::packet::{Captured, Carried, Further, LinkType, Look, MessageId, Packet, Trail};
use crate::stats::{Capture, Reloads, WrittenPackets};
use crate::stream::{StreamMessage, Streams};
use crate::time::Timestamp;
use crate::transaction::{Arrival, Reader};
use crate::wide::{Lanes, Processor, Work};

/// Streams and fragments are looked through so often for what has waited too long.
const EXPIRE_EVERY: Duration = Duration::from_millis(20);

/// The stages from packets to arrivals, in batches that are sent on.
pub(super) struct Reading {
    span: Span,
    count: Option<u64>,
    frames: Decoder,
    encrypted: Flows,
    streams: Streams,
    messages: Messages,
    keeping: Keeping,
    /// Packets that are not to be written with the others.
    left_out: WrittenPackets,
    capture: Capture,
    /// The earliest and the latest packet's time.
    first: Timestamp,
    last: Timestamp,
    beginnings: u64,
    now: Timestamp,
    /// The time of the latest packet that was taken apart.
    taken_apart: Timestamp,
    next_expiry: Timestamp,
    /// A packet before this, and not before the last one, is nothing but the next.
    usual_until: Timestamp,
    processor: Processor,
    out: Splitting,
    reloaded: Receiver<Option<Reloaded>>,
    reloads: Reloads,
}

/// The look at messages.
struct Messages {
    /// Which capture thread this is: others have messages of the same number.
    capture: u16,
    reader: Reader,
    interest: Asking,
    not_dns: u64,
    /// The ports that were named, where DNS is looked for on others, too.
    named: Option<Ports>,
    /// Messages of streams on others.
    found_in_streams: u64,
    /// How many were datagrams of one packet, which names them.
    datagrams: u64,
}

/// What becomes of packets beside their messages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keeping {
    /// Those of wanted messages go with them, as evidence.
    pub(super) evidence: bool,
    /// Those with DNS are to be written.
    pub(super) packets: bool,
}

impl Keeping {
    /// Whether anything becomes of them.
    const fn is_something(self) -> bool {
        self.evidence || self.packets
    }
}

impl Messages {
    /// Not inlined: those that come otherwise than in a plain packet are few.
    #[inline(never)]
    fn read(&mut self, envelope: &Envelope<'_>, bytes: &[u8], out: &mut Splitting) {
        match self.reader.read(envelope, bytes, &self.interest) {
            Some(arrival) => push(arrival, envelope, out),
            None => self.not_dns += 1,
        }
    }

    /// The same, with the packets that brought it, where it is wanted.
    #[inline(never)]
    fn read_brought(
        &mut self,
        envelope: &Envelope<'_>,
        bytes: &[u8],
        out: &mut Splitting,
        carried: impl FnOnce() -> Carried,
    ) {
        match self.reader.read(envelope, bytes, &self.interest) {
            Some(mut arrival) => {
                let capture = self.capture;
                arrival.bring(|| {
                    let carried = carried();
                    let message = carried.message.seen_by(capture);
                    Carried { message, ..carried }
                });
                push(arrival, envelope, out);
            }
            None => self.not_dns += 1,
        }
    }

    /// Names a datagram.
    fn name(&mut self) -> MessageId {
        self.datagrams += 1;
        MessageId::datagram(self.datagrams)
    }

    fn read_of_stream(&mut self, message: &StreamMessage<'_>, out: &mut Splitting) {
        let ports = [message.flow.src_port, message.flow.dst_port];
        let is_found = |named: &Ports| !named.contain_one_of(ports);
        self.found_in_streams += u64::from(self.named.as_ref().is_some_and(is_found));
        let envelope = stream_envelope(message);
        match message.trail {
            None => self.read(&envelope, message.bytes, out),
            Some(trail) => self.read_brought(&envelope, message.bytes, out, || Carried {
                message: message.message,
                trail: trail.clone(),
            }),
        }
    }
}

/// Sends a message to whom its client belongs.
fn push(arrival: Arrival, envelope: &Envelope<'_>, out: &mut Splitting) {
    let client = if arrival.is_response() {
        envelope.dst
    } else {
        envelope.src
    };
    out.push(arrival, || client);
}

impl Reading {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is an option of the run or an end of a channel, named where it is called"
    )]
    pub(super) fn new(
        ports: Ports,
        tunnel_depth: u8,
        span: Span,
        count: Option<u64>,
        keeping: Keeping,
        fragments: Joining,
        reader: Reader,
        interest: Asking,
        out: Splitting,
        reloaded: Receiver<Option<Reloaded>>,
    ) -> Self {
        Self {
            encrypted: Flows::new(ports.known()),
            span,
            count,
            streams: Streams::default(),
            messages: Messages {
                capture: out.capture(),
                reader,
                interest,
                not_dns: 0,
                named: ports.are_anywhere().then(|| ports.clone()),
                found_in_streams: 0,
                datagrams: 0,
            },
            keeping,
            left_out: WrittenPackets::default(),
            frames: Decoder::new(ports)
                .with_depth(tunnel_depth)
                .joining_with(fragments)
                .keeping_packets(keeping.evidence),
            capture: Capture::default(),
            first: Timestamp::MAX,
            last: Timestamp::MIN,
            beginnings: 0,
            now: Timestamp::MIN,
            taken_apart: Timestamp::MIN,
            next_expiry: Timestamp::MIN,
            usual_until: Timestamp::MIN,
            processor: Processor::detect(),
            out,
            reloaded,
            reloads: Reloads::default(),
        }
    }

    /// The capture is over: closes what is open, and sends what is left. Where nobody takes it any more, the run is over
    /// anyway.
    pub(super) fn finish(mut self) -> ControlFlow<()> {
        self.frames.close();
        self.lost_fragments();
        let Self {
            streams,
            messages,
            out,
            ..
        } = &mut self;
        streams.close(&mut |message| messages.read_of_stream(&message, out));
        self.send(false, true)
    }

    /// Takes a packet apart, with all that it holds. Never inlined, so that the way of the packets that hold nothing is
    /// short.
    #[inline(never)]
    fn decode(&mut self, packet: &Packet<'_>) {
        self.capture.handed_on += 1;
        self.advance(packet.time);
        let Self {
            frames,
            encrypted,
            streams,
            messages,
            keeping,
            left_out,
            capture,
            out,
            ..
        } = self;
        let origin = Origin::of(packet);
        let mut itself = Itself::new(packet);
        let mut has_dns = false;
        let mut next = frames.decode(packet);
        while let Some(frame) = next {
            has_dns = true;
            match frame.transport() {
                Transport::Udp => {
                    capture.messages_cut += u64::from(frame.cut > 0);
                    let envelope = datagram_envelope(&frame, origin);
                    if keeping.evidence {
                        let name = messages.name();
                        let carried = || match frame.brought {
                            Some(Brought { trail, joined }) => Carried {
                                message: joined,
                                trail: trail.clone(),
                            },
                            None => Carried {
                                message: name,
                                trail: itself.trail().clone(),
                            },
                        };
                        messages.read_brought(&envelope, frame.payload, out, carried);
                    } else {
                        messages.read(&envelope, frame.payload, out);
                    }
                }
                Transport::Tcp => {
                    let network = frame.layers.network();
                    let mut give = |message: StreamMessage<'_>| {
                        messages.read_of_stream(&message, out);
                    };
                    if keeping.evidence {
                        let brought = frame.brought.or_else(|| Some(itself.brought()));
                        let frame = Frame { brought, ..frame };
                        streams.push(origin, network, &frame, &mut give);
                        out.first.bring(streams.take_late(), &mut itself);
                    } else {
                        streams.push(origin, network, &frame, &mut give);
                    }
                }
            }
            next = frames.decode_further(packet);
        }
        if keeping.evidence {
            out.first.bring(frames.take_late().into_iter(), &mut itself);
        }
        if keeping.packets && (has_dns || frames.may_be_part()) {
            out.first.write(packet);
        } else {
            left_out.without_dns += u64::from(keeping.packets);
        }
        let sightings = frames
            .take_aside()
            .filter_map(|ends| encrypted.see(packet.time, &ends));
        out.first.sightings.extend(sightings);
    }

    /// The one datagram of a plain packet, where packets are kept or written.
    fn keep_plain(&mut self, packet: &Packet<'_>, plain: &Plain<'_>) {
        let envelope = Envelope::of_plain(plain, packet);
        let (messages, out) = (&mut self.messages, &mut self.out);
        if self.keeping.evidence {
            let message = messages.name();
            messages.read_brought(&envelope, plain.payload, out, || Carried {
                message,
                trail: Trail::of(&Captured::of(packet)),
            });
        } else {
            messages.read(&envelope, plain.payload, out);
        }
        if self.keeping.packets {
            out.first.write(packet);
        }
    }

    /// What a server says that it took and sent.
    #[inline(never)]
    fn decode_tapped(&mut self, packet: &Packet<'_>) {
        self.capture.handed_on += 1;
        self.advance(packet.time);
        self.left_out.without_packets += u64::from(self.keeping.packets);
        let Some((tapped, layers)) = self.frames.decode_tapped(packet) else {
            return;
        };
        let query_time = packet.time.minus(tapped.query_before());
        let [client, server] = [tapped.client, tapped.server];
        for (time, [src, dst], message) in [
            (query_time, [client, server], &tapped.query),
            (packet.time, [server, client], &tapped.response),
        ] {
            let Some(bytes) = message else { continue };
            let envelope = Envelope {
                time,
                input: packet.input,
                number: packet.number,
                src: src.0,
                dst: dst.0,
                src_port: src.1,
                dst_port: dst.1,
                transport: Transport::below(tapped.protocol),
                ip_id: None,
                around: Around::Layers(&layers),
                missing: 0,
                fragment_missing: false,
            };
            self.messages.read(&envelope, bytes, &mut self.out);
        }
    }

    /// Moves packet time on: what waited too long is given, or given up.
    fn advance(&mut self, now: Timestamp) {
        if now >= self.next_expiry || now < self.taken_apart {
            self.next_expiry = now.plus(EXPIRE_EVERY);
            let Self {
                frames,
                streams,
                messages,
                out,
                ..
            } = self;
            out.tell_time(now);
            streams.expire(now, &mut |message| {
                messages.read_of_stream(&message, out);
            });
            frames.expire(now);
            self.lost_fragments();
        }
        self.now = now;
        self.taken_apart = now;
    }

    /// Datagrams of which only the beginning came.
    fn lost_fragments(&mut self) {
        while let Some(lost) = self.frames.next_lost() {
            self.beginnings += 1;
            let frame = lost.frame();
            let envelope = Envelope {
                fragment_missing: true,
                ..datagram_envelope(&frame, lost.origin)
            };
            let (messages, out) = (&mut self.messages, &mut self.out);
            if lost.trail.is_empty() {
                messages.read(&envelope, frame.payload, out);
            } else {
                let message = messages.name();
                messages.read_brought(&envelope, frame.payload, out, || Carried {
                    message,
                    trail: lost.trail.clone(),
                });
            }
        }
    }

    /// Sends what there is with the counters; waits where a decoder is behind.
    fn send(&mut self, is_idle: bool, is_last: bool) -> ControlFlow<()> {
        let stats = &mut self.out.first.stats;
        if self.capture.received > 0 {
            self.capture.first = Some(self.first);
            self.capture.last = Some(self.last);
        }
        stats.capture = self.capture;
        stats.packets = self.frames.stats;
        stats.further = self.frames.further;
        stats.dnstap = self.frames.dnstap;
        stats.any_port = self.frames.any_port_stats();
        stats.any_port.tcp_messages = self.messages.found_in_streams;
        stats.tunnels = self.frames.tunnels;
        stats.fragments = self.frames.fragment_stats();
        stats.fragments.beginnings = self.beginnings;
        stats.segments = self.streams.segments;
        stats.streams = self.streams.stats;
        stats.messages.not_dns = self.messages.not_dns;
        stats.encrypted_dns.forgotten = self.encrypted.forgotten;
        stats.written_packets = self.left_out;
        stats.reloads = self.reloads;
        stats.tables.streams = self.streams.len() as u64;
        let spare = self.messages.reader.spare();
        self.out.send(self.now, is_idle, is_last, spare)?;
        self.take_reloaded();
        ControlFlow::Continue(())
    }

    /// Where something was read anew: from the batch that begins now on it holds.
    fn take_reloaded(&mut self) {
        match self.reloaded.try_recv() {
            Ok(Some(reloaded)) => {
                self.messages.interest = reloaded.interest;
                self.reloads.taken += u64::from(reloaded.loaded.is_some());
                self.out.first.reloaded = reloaded.loaded;
            }
            Ok(None) => self.reloads.refused += 1,
            Err(_) => {}
        }
    }
}

impl Reading {
    /// Hands out the last message, which this plain packet brought, where it is kept or goes to another decoder than the
    /// first. The packet is taken apart once more, so that of the others nothing has to be remembered.
    #[inline(never)]
    fn hand_out_last(&mut self, packet: &Packet<'_>, is_kept: bool) {
        let plain = self.frames.decode_plain(packet);
        if let (Some(plain), Some(mut arrival)) = (plain, self.out.first.arrivals.pop()) {
            let envelope = Envelope::of_plain(&plain, packet);
            if is_kept {
                let reader = &mut self.messages.reader;
                reader.keep(&mut arrival, &envelope, plain.payload);
            }
            push(arrival, &envelope, &mut self.out);
        }
    }

    /// Takes any packet.
    #[inline(never)]
    fn take_any(&mut self, packet: &Packet<'_>) {
        // Files may come in any order.
        self.first = self.first.min(packet.time);
        self.last = self.last.max(packet.time);
        if !self.span.holds(packet.time) {
            self.capture.outside_time += 1;
        } else if let Some(plain) = self.frames.decode_plain(packet) {
            self.capture.handed_on += 1;
            self.frames.count_plain(1);
            self.advance(packet.time);
            if self.keeping.is_something() {
                self.keep_plain(packet, &plain);
            } else {
                let envelope = Envelope::of_plain(&plain, packet);
                self.messages.read(&envelope, plain.payload, &mut self.out);
            }
        } else if packet.link == LinkType::DNSTAP {
            self.decode_tapped(packet);
        } else if !self.frames.may_hold_dns(packet.link, packet.bytes) {
            self.capture.other_port += 1;
            self.now = packet.time;
        } else {
            self.decode(packet);
        }
        self.usual_until = if self.keeping.is_something() || !self.span.holds(self.last) {
            Timestamp::MIN
        } else {
            self.next_expiry.min(self.span.until)
        };
    }
}

/// Packets that lie beside each other.
struct Together<'r, 'p> {
    reading: &'r mut Reading,
    packets: &'p [Packet<'p>],
}

impl Work for Together<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self, lanes: impl Lanes) {
        let Self { reading, packets } = self;
        let mut usual = 0;
        for packet in packets {
            reading.capture.bytes += packet.bytes.len() as u64;
            let is_usual = reading.last <= packet.time && packet.time < reading.usual_until;
            if is_usual && let Some(plain) = reading.frames.decode_plain(packet) {
                usual += 1;
                reading.last = packet.time;
                reading.now = packet.time;
                reading.taken_apart = packet.time;
                let messages = &mut reading.messages;
                match messages.reader.read_plain(
                    packet.time,
                    &plain,
                    &messages.interest,
                    lanes,
                    &mut reading.out.first.arrivals,
                ) {
                    Some(is_kept) => {
                        if is_kept || reading.out.is_shared() {
                            reading.hand_out_last(packet, is_kept);
                        }
                    }
                    None => messages.not_dns += 1,
                }
            } else {
                reading.take_any(packet);
            }
        }
        reading.capture.handed_on += usual;
        reading.frames.count_plain(usual);
    }
}

impl TakePackets for Reading {
    fn take(&mut self, packet: &Packet<'_>) -> ControlFlow<()> {
        self.take_all(std::slice::from_ref(packet))
    }

    fn take_all(&mut self, packets: &[Packet<'_>]) -> ControlFlow<()> {
        let received = self.capture.received;
        let left = self.count.map(|count| count.saturating_sub(received));
        let left = left.and_then(|left| packets.get(..usize::try_from(left).ok()?));
        let packets = left.unwrap_or(packets);
        self.capture.received += packets.len() as u64;
        self.processor.run(Together {
            reading: self,
            packets,
        });
        if self.out.is_full() {
            self.send(false, false)?;
        }
        if self
            .count
            .is_some_and(|count| self.capture.received >= count)
        {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn send_on(&mut self) -> ControlFlow<()> {
        if self.now > Timestamp::MIN {
            self.advance(self.now);
        }
        self.send(true, false)
    }

    fn idle(&mut self, now: Timestamp) -> ControlFlow<()> {
        self.advance(now);
        // It may be ahead of the packets.
        self.usual_until = Timestamp::MIN;
        self.send(true, false)
    }

    fn stats(&mut self) -> &mut Capture {
        &mut self.capture
    }
}

/// A packet that may be kept, and is copied only then, and once.
struct Itself<'p, 'b> {
    packet: &'p Packet<'b>,
    brought: Option<(Arc<Captured>, Trail)>,
}

impl<'p, 'b> Itself<'p, 'b> {
    const fn new(packet: &'p Packet<'b>) -> Self {
        let brought = None;
        Self { packet, brought }
    }

    fn kept(&mut self) -> &(Arc<Captured>, Trail) {
        self.brought.get_or_insert_with(|| {
            let captured = Captured::of(self.packet);
            let trail = Trail::of(&captured);
            (captured, trail)
        })
    }

    /// The packet alone.
    fn trail(&mut self) -> &Trail {
        &self.kept().1
    }

    fn brought(&mut self) -> Brought<'_> {
        Brought {
            trail: self.trail(),
            joined: MessageId::datagram(0),
        }
    }
}

impl ArrivalBatch {
    /// The packet brought something of messages that came before it.
    fn bring(&mut self, late: impl Iterator<Item = MessageId>, itself: &mut Itself<'_, '_>) {
        for message in late {
            let packet = Arc::clone(&itself.kept().0);
            let message = message.seen_by(u16::try_from(self.capture).unwrap_or(u16::MAX));
            self.bytes = self.bytes.saturating_add(packet.held());
            self.further.push(Further { message, packet });
        }
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
        around: Around::Layers(&frame.layers),
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
        around: Around::Layers(message.layers),
        missing: message.missing,
        fragment_missing: false,
    }
}
