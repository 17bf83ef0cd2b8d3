//! TCP segments to the length-prefixed DNS messages that they carry (RFC 1035, 4.2.2; RFC 7766).
//!
//! Each direction of a connection is a stream. Its segments may come in any order, more than once, overlapping and cut;
//! where two segments differ about a byte, the one that was seen first wins. A stream whose beginning was not seen, one
//! with a hole, and one that carries something else give no message before a boundary is certain again: a length, a
//! sound message that ends where the length says, and after it the next one, as far as it is there.
//!
//! A hole waits for [`PATIENCE`], until 512 KiB wait behind it, or until the connection ends. The memory of all
//! streams is bounded by [`Limits`].

mod boundary;
mod copy;
mod framing;
mod log;
mod order;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use self::order::{Stream, Taken};
use self::queue::Queue;
use crate::frame::{Frame, Layers, Origin};
use crate::packet::{MessageId, Trail};
use crate::stats::{Segments, Streams as StreamStats};
use crate::time::Timestamp;

/// How long bytes wait for those before them, in packet time.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// How long a closed connection is remembered, so that what is retransmitted after its end is known as such.
const LINGER: Duration = Duration::from_secs(10);

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Tells apart the same addresses in different networks: a hash of what the packets are encapsulated in; 0 where
    /// that does not matter.
    pub encapsulation: u64,
}

impl Flow {
    fn of(frame: &Frame<'_>, encapsulation: u64) -> Self {
        Self {
            src: frame.src,
            dst: frame.dst,
            src_port: frame.src_port,
            dst_port: frame.dst_port,
            encapsulation,
        }
    }
}

impl Hash for Flow {
    /// Feeds whole words to the hasher: it is asked once a segment, and the derived one feeds it byte by byte.
    fn hash<H: Hasher>(&self, state: &mut H) {
        for address in [self.src, self.dst] {
            match address {
                IpAddr::V4(address) => state.write_u32(address.to_bits()),
                IpAddr::V6(address) => state.write_u128(address.to_bits()),
            }
        }
        state.write_u32(u32::from(self.src_port) << 16 | u32::from(self.dst_port));
        state.write_u64(self.encapsulation);
    }
}

impl Origin {
    const NONE: Self = Self {
        time: Timestamp::from_nanos(0),
        input: 0,
        number: 0,
    };
}

/// One message of a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamMessage<'a> {
    /// The stream.
    pub flow: Flow,
    /// What was around the stream's latest segment.
    pub layers: &'a Layers,
    /// The packet that completed the message; of one that is not complete, the last that brought some of it.
    pub origin: Origin,
    /// The message without its length.
    pub bytes: &'a [u8],
    /// How many bytes are missing at its end (the capture cut them, or they never came).
    pub missing: u32,
    /// Its name.
    pub message: MessageId,
    /// The packets that brought it, where its segments said [what brought them](Frame::brought).
    pub trail: Option<&'a Trail>,
}

/// How much the streams may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many streams there may be.
    pub streams: usize,
    /// How many bytes may wait in all of them.
    pub bytes: usize,
    /// How long a stream may be silent.
    pub idle: Duration,
}

impl Default for Limits {
    /// 65,536 streams, 64 MiB, five minutes.
    fn default() -> Self {
        Self {
            streams: 65_536,
            bytes: 64 * 1024 * 1024,
            idle: Duration::from_secs(300),
        }
    }
}

/// The streams, one for each direction of a connection.
#[derive(Debug, Default)]
pub struct Streams {
    /// What became of the segments.
    pub segments: Segments,
    /// What the streams went through.
    pub stats: StreamStats,
    limits: Limits,
    places: HashMap<Flow, u32, ahash::RandomState>,
    table: Vec<Option<Stream>>,
    free: Vec<u32>,
    /// Those that may go on, the longest silent first.
    live: Queue,
    /// Those that can be forgotten without loss, the longest silent first.
    spent: Queue,
    /// Those that wait for bytes that may never come, the longest waiting first.
    waiting: Queue,
    /// Bytes held by all streams.
    held: usize,
    /// Messages given before, of which the last segment brought some bytes once more.
    late: Vec<MessageId>,
}

impl Streams {
    /// No streams yet, within these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// How many bytes wait in all streams, the memory around them included.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// How many streams there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Takes a segment and calls `give` with each message that is complete now, in the order of the stream.
    /// `encapsulation` is that of [`Flow`]. Messages that need not wait are slices of the frame.
    pub fn push(
        &mut self,
        origin: Origin,
        encapsulation: u64,
        frame: &Frame<'_>,
        give: &mut dyn FnMut(StreamMessage<'_>),
    ) {
        let Some(tcp) = frame.tcp else {
            self.segments.dropped += 1;
            return;
        };
        let flow = Flow::of(frame, encapsulation);
        let has_payload = !frame.payload.is_empty() || frame.cut > 0;
        let mut place = self.places.get(&flow).copied();
        if let Some(id) = place
            && self.is_over(id, origin.time, |stream| {
                stream.is_replaced_by(tcp, has_payload, origin.time)
            })
        {
            self.forget(id, give);
            place = None;
        }
        let opens = tcp.syn || (has_payload && !tcp.rst);
        let id = match place {
            Some(id) => id,
            None if opens => {
                self.stats.opened += 1;
                self.stats.picked_up += u64::from(!tcp.syn);
                self.open(flow, Stream::new(flow, frame, tcp, origin.time), give)
            }
            None => {
                self.count(has_payload, None);
                return;
            }
        };
        let mut late = std::mem::take(&mut self.late);
        late.clear();
        let taken = self.change(id, |stream, stats| {
            if let Some(since) = stream.waits_since()
                && origin.time.since(since) >= PATIENCE
            {
                stream.give_up(origin.time.minus(PATIENCE), stats, give);
            }
            stream.push(frame, tcp, origin, &mut late, stats, give)
        });
        self.late = late;
        self.count(has_payload, taken);
        self.keep_to_limits(give);
    }

    /// The messages, given before, of which the last segment brought some bytes once more; where what brings segments is said.
    pub fn take_late(&mut self) -> impl Iterator<Item = MessageId> {
        self.late.drain(..)
    }

    /// Gives up the holes that waited too long before `now`, and forgets the streams that were silent for too long.
    pub fn expire(&mut self, now: Timestamp, give: &mut dyn FnMut(StreamMessage<'_>)) {
        while let Some(id) = self.waiting.first() {
            let Some(Some(stream)) = self.table.get_mut(id as usize) else {
                break;
            };
            if stream
                .waits_since()
                .is_some_and(|since| now.since(since) < PATIENCE)
            {
                break;
            }
            // Out first: the change puts it in again, at the end, where it still waits.
            self.waiting.remove(id);
            self.change_silently(id, |stream, stats| {
                stream.give_up(now.minus(PATIENCE), stats, give)
            });
        }
        while let Some(id) = self
            .spent
            .first()
            .filter(|&id| self.is_silent(id, now, LINGER))
        {
            self.forget(id, give);
        }
        while let Some(id) = self
            .live
            .first()
            .filter(|&id| self.is_silent(id, now, self.limits.idle))
        {
            self.forget(id, give);
        }
    }

    /// Ends all streams: the capture is over, or time jumped back. Gives what waited.
    pub fn close(&mut self, give: &mut dyn FnMut(StreamMessage<'_>)) {
        while let Some(id) = self.spent.first().or(self.live.first()) {
            self.forget(id, give);
        }
    }

    fn count(&mut self, has_payload: bool, taken: Option<Taken>) {
        let counter = match taken {
            Some(Taken::InOrder) => &mut self.segments.in_order,
            Some(Taken::OutOfOrder) => &mut self.segments.out_of_order,
            Some(Taken::Again) => &mut self.segments.retransmitted,
            Some(Taken::Copy) => &mut self.segments.copy,
            None if has_payload => &mut self.segments.dropped,
            None => &mut self.segments.empty,
        };
        *counter += 1;
    }

    /// Whether the stream was silent for too long, or `is_replaced`.
    fn is_over(
        &mut self,
        id: u32,
        now: Timestamp,
        is_replaced: impl FnOnce(&mut Stream) -> bool,
    ) -> bool {
        let span = if self.spent.contains(id) {
            LINGER
        } else {
            self.limits.idle
        };
        match self.table.get_mut(id as usize) {
            Some(Some(stream)) => now.since(stream.last) > span || is_replaced(stream),
            _ => false,
        }
    }

    fn is_silent(&self, id: u32, now: Timestamp, span: Duration) -> bool {
        matches!(self.table.get(id as usize), Some(Some(stream)) if now.since(stream.last) > span)
    }

    /// Finds a place for a new stream.
    fn open(&mut self, flow: Flow, stream: Stream, give: &mut dyn FnMut(StreamMessage<'_>)) -> u32 {
        if self.places.len() >= self.limits.streams {
            self.evict_oldest(give);
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.table.push(None);
            u32::try_from(self.table.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.table.get_mut(id as usize) {
            *place = Some(stream);
        }
        self.places.insert(flow, id);
        id
    }

    /// Lets a segment change a stream, and puts the stream where it belongs then.
    fn change<R: Default>(
        &mut self,
        id: u32,
        how: impl FnOnce(&mut Stream, &mut StreamStats) -> R,
    ) -> R {
        let result = self.change_silently(id, how);
        // The last to speak is the last in its queue.
        let queue = if self.spent.contains(id) {
            &mut self.spent
        } else {
            &mut self.live
        };
        queue.append(id);
        result
    }

    /// Changes a stream without a segment: how long it was silent stays as it is.
    fn change_silently<R: Default>(
        &mut self,
        id: u32,
        how: impl FnOnce(&mut Stream, &mut StreamStats) -> R,
    ) -> R {
        let Some(Some(stream)) = self.table.get_mut(id as usize) else {
            return R::default();
        };
        let before = (stream.held(), stream.waits_since());
        let result = how(stream, &mut self.stats);
        self.held = self
            .held
            .saturating_sub(before.0)
            .saturating_add(stream.held());
        match stream.waits_since() {
            Some(_) if !self.waiting.contains(id) => self.waiting.append(id),
            Some(since) if before.1 != Some(since) => self.waiting.append(id),
            Some(_) => {}
            None => self.waiting.remove(id),
        }
        let (into, out_of) = if stream.is_spent() {
            (&mut self.spent, &mut self.live)
        } else {
            (&mut self.live, &mut self.spent)
        };
        if !into.contains(id) {
            out_of.remove(id);
            into.append(id);
        }
        result
    }

    /// Ends a stream: gives what waited in it, and frees its place.
    fn forget(&mut self, id: u32, give: &mut dyn FnMut(StreamMessage<'_>)) {
        self.live.remove(id);
        self.spent.remove(id);
        self.waiting.remove(id);
        let Some(mut stream) = self.table.get_mut(id as usize).and_then(Option::take) else {
            return;
        };
        self.held = self.held.saturating_sub(stream.held());
        stream.finish(&mut self.stats, give);
        self.places.remove(&stream.flow);
        self.free.push(id);
    }

    /// Makes room for a stream.
    fn evict_oldest(&mut self, give: &mut dyn FnMut(StreamMessage<'_>)) {
        if let Some(id) = self.spent.first() {
            self.forget(id, give);
        } else if let Some(id) = self.live.first() {
            self.stats.evicted += 1;
            self.forget(id, give);
        }
    }

    /// Gives streams up until what waits fits, the longest waiting first.
    fn keep_to_limits(&mut self, give: &mut dyn FnMut(StreamMessage<'_>)) {
        while self.held > self.limits.bytes {
            let Some(id) = self.waiting.first().or(self.live.first()) else {
                return;
            };
            self.stats.evicted += 1;
            self.forget(id, give);
        }
    }
}
