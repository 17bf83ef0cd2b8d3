//! One direction of a connection: segments in any order to bytes in order and holes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::copy::{Recent, Seen};
use super::framing::{Framing, Outlet};
use super::log::Log;
use super::{Flow, Origin, StreamMessage};
use crate::frame::{Frame, Layers, Tcp};
use crate::packet::MessageId;
use crate::stats::Streams as Stats;
use crate::time::Timestamp;

/// How many bytes may wait behind holes in one stream: a message and a window.
pub(super) const WAITING: usize = 512 * 1024;
/// How far from the expected sequence number a segment can be and still belong to the connection, in bytes.
const REACH: u32 = 1 << 24;
/// How late a SYN may come after the data that follows it.
const LATE_SYN: Duration = Duration::from_secs(1);
/// What a waiting piece costs beside its bytes, roughly.
const OVERHEAD: usize = 96;
/// The offset of a stream's first byte: far from zero, so that what came before has an offset too.
const FIRST: u64 = 1 << 40;

/// What became of a segment with payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It began at or before the next byte, and brought it.
    InOrder,
    /// It lies behind a hole, or before the place where the stream was picked up.
    OutOfOrder,
    /// Nothing new, and not a copy.
    Again,
    /// The very segment that was there a moment ago.
    Copy,
}

/// Bytes that wait for those before them.
#[derive(Debug)]
struct Piece {
    bytes: Box<[u8]>,
    /// Bytes after these that the capture cut off.
    cut: u32,
    origin: Origin,
}

impl Piece {
    fn span(&self) -> u64 {
        self.bytes.len() as u64 + u64::from(self.cut)
    }

    fn cost(&self) -> usize {
        self.bytes.len() + OVERHEAD
    }
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) flow: Flow,
    layers: Layers,
    /// Sequence number of the SYN; `None` where it was not seen.
    initial: Option<u32>,
    /// Offset of the first byte seen; its low 32 bits are the sequence number, as those of every offset.
    start: u64,
    /// Offset of the byte that is to come next.
    next: u64,
    /// Offset after the last byte, where the FIN was seen.
    fin: Option<u64>,
    pieces: BTreeMap<u64, Piece>,
    pieces_cost: usize,
    framing: Framing,
    /// What brought its bytes, where that is said.
    log: Option<Box<Log>>,
    recent: Recent,
    picked_up: bool,
    closed: bool,
    opened: Timestamp,
    /// Time of the last segment, empty or not.
    pub(super) last: Timestamp,
    /// Since when it waits, and what it waited for.
    waiting: (Timestamp, u64),
}

impl Stream {
    /// A stream that begins with this segment.
    pub(super) fn new(flow: Flow, frame: &Frame<'_>, tcp: Tcp, time: Timestamp) -> Self {
        let begins = tcp.sequence.wrapping_add(u32::from(tcp.syn));
        let start = FIRST | u64::from(begins);
        Self {
            flow,
            layers: frame.layers.clone(),
            initial: tcp.syn.then_some(tcp.sequence),
            start,
            next: start,
            fin: None,
            pieces: BTreeMap::new(),
            pieces_cost: 0,
            framing: if tcp.syn {
                Framing::at_start()
            } else {
                Framing::in_the_middle()
            },
            log: None,
            recent: Recent::default(),
            picked_up: !tcp.syn,
            closed: false,
            opened: time,
            last: time,
            waiting: (time, start),
        }
    }

    /// Memory held beside the fixed part, in bytes.
    pub(super) fn held(&self) -> usize {
        let log = self.log.as_deref().map_or(0, Log::held);
        self.pieces_cost + self.framing.held() + log
    }

    /// Whether it can be forgotten without losing anything: it is over, or nothing came after the SYN.
    pub(super) fn is_spent(&self) -> bool {
        (self.closed || (self.next == self.start && self.initial.is_some()))
            && self.framing.is_empty()
            && self.pieces.is_empty()
    }

    /// Since when the stream waits for something that may never come; `None` where it does not.
    pub(super) fn waits_since(&mut self) -> Option<Timestamp> {
        let first = self
            .pieces
            .first_key_value()
            .map(|(_, piece)| piece.origin.time);
        if first.is_none() && !self.framing.is_undecided() && self.fin.is_none() {
            self.waiting.1 = u64::MAX;
            return None;
        }
        if self.waiting.1 != self.next {
            self.waiting = (first.unwrap_or(self.last), self.next);
        }
        Some(self.waiting.0)
    }

    /// Whether the segment is of another connection between the same ports: a SYN with another sequence number, or
    /// data far out of reach.
    pub(super) fn is_replaced_by(&mut self, tcp: Tcp, has_payload: bool, time: Timestamp) -> bool {
        if !tcp.syn {
            return has_payload && self.offset(tcp.sequence).is_none();
        }
        if self.initial == Some(tcp.sequence) {
            return false;
        }
        let before = (self.start as u32).wrapping_sub(tcp.sequence.wrapping_add(1));
        if self.picked_up
            && self.initial.is_none()
            && before < REACH
            && time.since(self.opened) <= LATE_SYN
        {
            self.initial = Some(tcp.sequence);
            return false;
        }
        true
    }

    /// The offset of a sequence number; `None` out of reach.
    fn offset(&self, sequence: u32) -> Option<u64> {
        let distance = sequence.wrapping_sub(self.next as u32) as i32;
        if distance.unsigned_abs() > REACH {
            return None;
        }
        self.next.checked_add_signed(i64::from(distance))
    }

    /// Takes a segment that is not replaced by another connection; `None` where it has no payload.
    pub(super) fn push(
        &mut self,
        frame: &Frame<'_>,
        tcp: Tcp,
        origin: Origin,
        late: &mut Vec<MessageId>,
        stats: &mut Stats,
        give: &mut dyn FnMut(StreamMessage<'_>),
    ) -> Option<Taken> {
        self.last = origin.time;
        let has_payload = !frame.payload.is_empty() || frame.cut > 0;
        if has_payload && self.layers != frame.layers {
            self.layers.clone_from(&frame.layers);
        }
        let sequence = tcp.sequence.wrapping_add(u32::from(tcp.syn));
        let begin = self.offset(sequence)?;
        let end = begin
            .saturating_add(frame.payload.len() as u64)
            .saturating_add(u64::from(frame.cut));
        if tcp.fin && end >= self.next && self.fin.is_none() && !self.closed {
            self.fin = Some(end);
        }
        let mut taken = None;
        if has_payload && !tcp.rst {
            let seen = Seen::of(frame, tcp.sequence, origin.time);
            let before = self.next;
            if let Some(brought) = frame.brought {
                self.log
                    .get_or_insert_default()
                    .note(begin, end, brought.trail, late);
            }
            let brought = self.place(begin, frame.payload, frame.cut, origin, stats, give);
            taken = Some(match brought {
                true if begin <= before && end > before => {
                    self.closed = false;
                    Taken::InOrder
                }
                true => Taken::OutOfOrder,
                false if self.recent.has(seen) => Taken::Copy,
                false => Taken::Again,
            });
            self.recent.add(seen);
        }
        if let Some(log) = &mut self.log {
            log.forget_before(self.next.saturating_sub(self.framing.kept() as u64));
        }
        if tcp.rst || self.fin.is_some_and(|fin| fin <= self.next) {
            self.finish(stats, give);
        }
        taken
    }

    /// Puts the bytes where they belong; whether any of them was new. Bytes that were seen before stay as they were.
    fn place(
        &mut self,
        begin: u64,
        bytes: &[u8],
        cut: u32,
        origin: Origin,
        stats: &mut Stats,
        give: &mut dyn FnMut(StreamMessage<'_>),
    ) -> bool {
        let end = begin
            .saturating_add(bytes.len() as u64)
            .saturating_add(u64::from(cut));
        let mut new = false;
        if self.picked_up && begin < self.start {
            let early = usize::try_from(self.start - begin).unwrap_or(usize::MAX);
            self.place_before_start(
                begin,
                bytes.get(..early).unwrap_or(bytes),
                origin,
                stats,
                give,
            );
            new = true;
        }
        let mut at = begin.max(self.next);
        while at < end {
            let covered = self
                .pieces
                .range(..=at)
                .next_back()
                .map(|(start, piece)| start.saturating_add(piece.span()));
            if let Some(covered) = covered.filter(|&covered| covered > at) {
                at = covered;
                continue;
            }
            let until = self
                .pieces
                .range(at..)
                .next()
                .map_or(end, |(&start, _)| start.min(end));
            let from = usize::try_from(at - begin)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            let to = usize::try_from(until - begin)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            let part = bytes.get(from..to).unwrap_or_default();
            let part_cut = (until - at).saturating_sub(part.len() as u64) as u32;
            if at == self.next {
                self.deliver(part, part_cut, origin, stats, give);
                self.deliver_pieces(stats, give);
            } else if self.pieces_cost + part.len() + OVERHEAD > WAITING {
                match self.pieces.first_key_value() {
                    Some((&first, _)) if first < at => self.skip_hole(stats, give),
                    _ => self.skip_to(at, stats, give),
                }
                at = at.max(self.next);
                continue;
            } else {
                let piece = Piece {
                    bytes: part.into(),
                    cut: part_cut,
                    origin,
                };
                self.pieces_cost += piece.cost();
                self.pieces.insert(at, piece);
            }
            new = true;
            at = until.max(self.next);
        }
        new
    }

    /// Bytes from before the place where the stream was picked up: a stream of their own.
    fn place_before_start(
        &mut self,
        begin: u64,
        bytes: &[u8],
        origin: Origin,
        stats: &mut Stats,
        give: &mut dyn FnMut(StreamMessage<'_>),
    ) {
        let mut framing = Framing::in_the_middle();
        let mut out = Outlet {
            flow: self.flow,
            layers: &self.layers,
            log: self.log.as_deref_mut(),
            end: begin.saturating_add(bytes.len() as u64),
            stats,
            give,
        };
        framing.bytes(bytes, origin, &mut out);
        framing.end(&mut out);
        self.start = begin;
    }

    fn deliver(
        &mut self,
        bytes: &[u8],
        cut: u32,
        origin: Origin,
        stats: &mut Stats,
        give: &mut dyn FnMut(StreamMessage<'_>),
    ) {
        let mut out = Outlet {
            flow: self.flow,
            layers: &self.layers,
            log: self.log.as_deref_mut(),
            end: self.next.saturating_add(bytes.len() as u64),
            stats,
            give,
        };
        self.framing.bytes(bytes, origin, &mut out);
        if cut > 0 {
            self.framing.hole(u64::from(cut), &mut out);
        }
        self.next += bytes.len() as u64 + u64::from(cut);
    }

    /// Takes the pieces that wait no longer.
    fn deliver_pieces(&mut self, stats: &mut Stats, give: &mut dyn FnMut(StreamMessage<'_>)) {
        while let Some(entry) = self
            .pieces
            .first_entry()
            .filter(|entry| *entry.key() <= self.next)
        {
            let piece = entry.remove();
            self.pieces_cost -= piece.cost();
            self.deliver(&piece.bytes, piece.cut, piece.origin, stats, give);
        }
    }

    /// Gives up the first hole, and goes on behind it.
    fn skip_hole(&mut self, stats: &mut Stats, give: &mut dyn FnMut(StreamMessage<'_>)) {
        let Some((&start, _)) = self.pieces.first_key_value() else {
            return;
        };
        self.skip_to(start, stats, give);
        self.deliver_pieces(stats, give);
    }

    fn skip_to(&mut self, offset: u64, stats: &mut Stats, give: &mut dyn FnMut(StreamMessage<'_>)) {
        let Some(size) = offset.checked_sub(self.next).filter(|&size| size > 0) else {
            return;
        };
        stats.gaps += 1;
        self.framing.hole(
            size,
            &mut Outlet {
                flow: self.flow,
                layers: &self.layers,
                log: self.log.as_deref_mut(),
                end: self.next,
                stats,
                give,
            },
        );
        self.next = offset;
    }

    /// Gives up the first hole and those behind which bytes wait since `since` or longer; without one, decides what is
    /// undecided.
    /// To be called where [`Self::waits_since`] is not after `since`.
    pub(super) fn give_up(
        &mut self,
        since: Timestamp,
        stats: &mut Stats,
        give: &mut dyn FnMut(StreamMessage<'_>),
    ) {
        if self.pieces.is_empty() {
            if self.fin.is_some() {
                self.finish(stats, give);
            } else {
                self.framing.decide(&mut Outlet {
                    flow: self.flow,
                    layers: &self.layers,
                    log: self.log.as_deref_mut(),
                    end: self.next,
                    stats,
                    give,
                });
            }
            return;
        }
        // The first hole is as old as the first piece that waited behind it, whatever came in between.
        self.skip_hole(stats, give);
        while self
            .pieces
            .first_key_value()
            .is_some_and(|(_, piece)| piece.origin.time <= since)
        {
            self.skip_hole(stats, give);
        }
    }

    /// Gives what waits: the connection is over, or forgotten.
    pub(super) fn finish(&mut self, stats: &mut Stats, give: &mut dyn FnMut(StreamMessage<'_>)) {
        while !self.pieces.is_empty() {
            self.skip_hole(stats, give);
        }
        if let Some(fin) = self.fin.take() {
            self.skip_to(fin, stats, give);
        }
        self.framing.end(&mut Outlet {
            flow: self.flow,
            layers: &self.layers,
            log: self.log.as_deref_mut(),
            end: self.next,
            stats,
            give,
        });
        self.closed = true;
    }
}
