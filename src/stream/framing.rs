//! The bytes of a stream, in order and with their holes, to messages.
//!
//! A stream is *in step* while the next length is known to lie at the next byte. A hole that ends inside a message or
//! with it leaves the stream in step; any other, and bytes that cannot be DNS, make it *search* for a boundary that is
//! certain ([`boundary::begins`]). What is given is counted in `messages`, every other byte in `lost_bytes`.

use super::boundary::{self, After, Boundary, Walk};
use super::log::Log;
use super::{Flow, Origin, StreamMessage};
use crate::frame::Layers;
use crate::packet::MessageId;
use crate::shape::{self, PREFIX};
use crate::stats::Streams as Stats;

/// Where messages go, and what is said about all of them.
pub(super) struct Outlet<'a> {
    pub(super) flow: Flow,
    pub(super) layers: &'a Layers,
    pub(super) log: Option<&'a mut Log>,
    /// The offset in the stream behind the last byte that is there.
    pub(super) end: u64,
    pub(super) stats: &'a mut Stats,
    pub(super) give: &'a mut dyn FnMut(StreamMessage<'_>),
}

impl Outlet<'_> {
    /// Gives a message, before which its length stood in so many bytes and behind which are so many.
    fn message(
        &mut self,
        bytes: &[u8],
        [before, behind]: [usize; 2],
        missing: usize,
        origin: Origin,
    ) {
        let message = MessageId::of_stream(self.stats.messages);
        self.stats.messages += 1;
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        let end = self.end.saturating_sub(behind as u64);
        let begin = end.saturating_sub(bytes.len().saturating_add(before) as u64);
        let trail = self.log.as_mut().map(|log| log.give(begin, end, message));
        (self.give)(StreamMessage {
            flow: self.flow,
            layers: self.layers,
            origin,
            bytes,
            missing,
            message,
            trail: trail.as_ref(),
        });
    }

    fn lose(&mut self, bytes: u64) {
        self.stats.lost_bytes = self.stats.lost_bytes.saturating_add(bytes);
    }
}

/// How the next byte relates to the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// With the bytes kept it begins a message, or goes on with it.
    Following,
    /// It belongs to a message that has a hole; so many bytes of that are still to come.
    Skipping(u64),
    /// Nobody knows. `fresh` until the first bytes after a hole, or after the pickup, are there.
    Searching { fresh: bool },
}

/// What to do with the bytes at the next length.
enum Judgement {
    /// A whole message; that many bytes with its length.
    Message(usize),
    /// More must come.
    Wait,
    /// They are no message: out of step.
    Lost,
}

/// Takes a stream's bytes in order.
#[derive(Debug)]
pub(super) struct Framing {
    step: Step,
    /// At least one message was given, so that an odd one is an oddity and not another protocol.
    confirmed: bool,
    /// The beginning of a message (in step), or what was not ruled out yet (searching).
    kept: Vec<u8>,
    /// Where in `kept` each segment ends, while searching.
    ends: Vec<(usize, Origin)>,
    /// How many bytes `kept` must have before the search goes on.
    needs: usize,
    /// The segment that the last byte of `kept` came with.
    latest: Origin,
}

impl Framing {
    /// At the beginning of a connection.
    pub(super) const fn at_start() -> Self {
        Self::new(Step::Following)
    }

    /// Somewhere in the middle of one.
    pub(super) const fn in_the_middle() -> Self {
        Self::new(Step::Searching { fresh: true })
    }

    const fn new(step: Step) -> Self {
        Self {
            step,
            confirmed: false,
            kept: Vec::new(),
            ends: Vec::new(),
            needs: 0,
            latest: Origin::NONE,
        }
    }

    /// Memory held, in bytes.
    pub(super) fn held(&self) -> usize {
        self.kept.capacity() + self.ends.capacity() * size_of::<(usize, Origin)>()
    }

    /// Whether bytes wait for others that would make a boundary certain.
    pub(super) fn is_undecided(&self) -> bool {
        matches!(self.step, Step::Searching { .. }) && !self.kept.is_empty()
    }

    /// How many bytes are kept.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Whether nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The next bytes.
    pub(super) fn bytes(&mut self, mut bytes: &[u8], origin: Origin, out: &mut Outlet<'_>) {
        if let Step::Skipping(left) = self.step {
            let skipped = left.min(bytes.len() as u64);
            out.lose(skipped);
            bytes = bytes.get(skipped as usize..).unwrap_or_default();
            self.step = if skipped == left {
                Step::Following
            } else {
                Step::Skipping(left - skipped)
            };
        }
        if bytes.is_empty() {
            return;
        }
        match self.step {
            Step::Searching { fresh } => self.seek(bytes, fresh, origin, out),
            Step::Following | Step::Skipping(_) => self.follow(bytes, origin, out),
        }
    }

    /// That many bytes, at least one, never come.
    pub(super) fn hole(&mut self, size: u64, out: &mut Outlet<'_>) {
        if self.is_undecided() {
            self.search(After::Hole(size), out);
        }
        out.lose(size);
        let left = match self.step {
            Step::Searching { .. } => 0,
            Step::Skipping(left) => left,
            Step::Following => self.abandon(out) as u64,
        };
        self.forget_kept(out);
        self.step = match left.checked_sub(size) {
            Some(0) => Step::Following,
            Some(left) => Step::Skipping(left),
            None => Step::Searching { fresh: true },
        };
    }

    /// What waits has waited long enough: decides with what is there.
    pub(super) fn decide(&mut self, out: &mut Outlet<'_>) {
        if self.is_undecided() {
            self.search(After::Hole(0), out);
            if self.is_undecided() {
                self.forget_kept(out);
            }
        }
    }

    /// Nothing follows.
    pub(super) fn end(&mut self, out: &mut Outlet<'_>) {
        self.decide(out);
        if !self.kept.is_empty() {
            self.abandon(out);
            self.forget_kept(out);
            self.step = Step::Searching { fresh: true };
        } else if matches!(self.step, Step::Skipping(_)) {
            self.step = Step::Searching { fresh: true };
        }
    }

    /// Gives the beginning of the message that never ends, where it says something by itself; how many bytes of it
    /// were still to come.
    fn abandon(&mut self, out: &mut Outlet<'_>) -> usize {
        let Some(len) = shape::length(&self.kept) else {
            return 0;
        };
        let left = (PREFIX + len).saturating_sub(self.kept.len());
        out.stats.unfinished += 1;
        let message = self.kept.get(PREFIX..).unwrap_or_default();
        match boundary::walk(message, len) {
            Walk::Broken | Walk::Short(0) => {}
            Walk::Short(_) | Walk::Deep | Walk::Whole => {
                out.message(message, [PREFIX, 0], left, self.latest);
                self.kept = Vec::new();
            }
        }
        left
    }

    /// Counts what is kept as lost.
    fn forget_kept(&mut self, out: &mut Outlet<'_>) {
        out.lose(self.kept.len() as u64);
        self.kept = Vec::new();
        self.ends = Vec::new();
        self.needs = 0;
    }

    /// In step: whole messages are given where they lie, the beginning of one is kept.
    fn follow(&mut self, mut bytes: &[u8], origin: Origin, out: &mut Outlet<'_>) {
        while !self.kept.is_empty() {
            let want = shape::length(&self.kept).map_or(PREFIX, |len| PREFIX + len);
            let before = self.kept.len();
            let (taken, rest) = bytes
                .split_at_checked(want.saturating_sub(before))
                .unwrap_or((bytes, &[]));
            self.kept.extend_from_slice(taken);
            match self.judge(&self.kept, rest) {
                Judgement::Message(_) => {
                    let message = self.kept.get(PREFIX..).unwrap_or_default();
                    out.message(message, [PREFIX, rest.len()], 0, origin);
                    self.confirmed = true;
                    self.kept = Vec::new();
                }
                Judgement::Wait => self.latest = origin,
                Judgement::Lost => {
                    self.ends = vec![(before, self.latest)];
                    self.ends.push((self.kept.len(), origin));
                    return self.seek(rest, false, origin, out);
                }
            }
            bytes = rest;
            if bytes.is_empty() {
                return;
            }
        }
        loop {
            match self.judge(bytes, &[]) {
                Judgement::Message(end) => {
                    let (message, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
                    let message = message.get(PREFIX..).unwrap_or_default();
                    out.message(message, [PREFIX, rest.len()], 0, origin);
                    self.confirmed = true;
                    bytes = rest;
                    if bytes.is_empty() {
                        return;
                    }
                }
                Judgement::Wait => {
                    self.kept.extend_from_slice(bytes);
                    self.latest = origin;
                    return;
                }
                Judgement::Lost => return self.seek(bytes, false, origin, out),
            }
        }
    }

    /// What to do with `bytes`, which `rest` follows.
    fn judge(&self, bytes: &[u8], rest: &[u8]) -> Judgement {
        let Some(len) = shape::length(bytes) else {
            return Judgement::Wait;
        };
        let end = PREFIX + len;
        if len < shape::HEADER {
            return Judgement::Lost;
        }
        let message = bytes.get(PREFIX..end.min(bytes.len())).unwrap_or_default();
        let plausible = if self.confirmed {
            shape::is_plausible(message, len)
        } else {
            boundary::is_plausible_first(message, len)
        };
        if bytes.len() < end {
            return if plausible || self.confirmed {
                Judgement::Wait
            } else {
                Judgement::Lost
            };
        }
        // A message that is broken is still one where the stream was in step before it and is after it.
        let after = bytes
            .get(end..)
            .filter(|after| !after.is_empty())
            .unwrap_or(rest);
        if plausible || (self.confirmed && boundary::can_follow(after)) {
            Judgement::Message(end)
        } else {
            Judgement::Lost
        }
    }

    /// Searching: keeps the bytes and looks for a boundary among them.
    fn seek(&mut self, bytes: &[u8], fresh: bool, origin: Origin, out: &mut Outlet<'_>) {
        self.step = Step::Searching { fresh: false };
        // Many senders write the length in a segment of its own. Where that was lost, the next segment is a message,
        // whose counts say where it ends.
        if fresh
            && boundary::walk(bytes, bytes.len()) == Walk::Whole
            && boundary::begins(bytes, After::More) == Boundary::No
        {
            out.message(bytes, [0, 0], 0, origin);
            self.confirmed = true;
            self.step = Step::Following;
            return;
        }
        self.kept.extend_from_slice(bytes);
        self.ends.push((self.kept.len(), origin));
        if self.kept.len() >= self.needs {
            self.search(After::More, out);
        }
    }

    /// Looks for a boundary in what is kept; gives the messages from there on.
    fn search(&mut self, after: After, out: &mut Outlet<'_>) {
        let mut kept = std::mem::take(&mut self.kept);
        let ends = std::mem::take(&mut self.ends);
        let origin_of = |end: usize| {
            let place = ends.partition_point(|&(segment_end, _)| segment_end < end);
            ends.get(place)
                .or(ends.last())
                .map_or(Origin::NONE, |&(_, origin)| origin)
        };
        let mut at = 0;
        let mut passed = 0u64;
        self.needs = 0;
        while let Some(run) = kept.get(at..).filter(|run| !run.is_empty()) {
            if self.step == Step::Following {
                match self.judge(run, &[]) {
                    Judgement::Message(end) => {
                        out.message(
                            run.get(PREFIX..end).unwrap_or_default(),
                            [PREFIX, run.len().saturating_sub(end)],
                            0,
                            origin_of(at + end),
                        );
                        at += end;
                        continue;
                    }
                    Judgement::Wait => break,
                    Judgement::Lost => self.step = Step::Searching { fresh: false },
                }
            }
            match boundary::begins(run, after) {
                Boundary::Yes => {
                    self.step = Step::Following;
                    self.confirmed = true;
                }
                Boundary::No => {
                    passed += 1;
                    at += 1;
                }
                Boundary::Needs(bytes) => {
                    self.needs = bytes;
                    break;
                }
            }
        }
        out.lose(passed);
        self.latest = origin_of(kept.len());
        if at >= kept.len() {
            return;
        }
        if self.step != Step::Following {
            self.ends = ends
                .iter()
                .filter(|&&(end, _)| end > at)
                .map(|&(end, origin)| (end - at, origin))
                .collect();
        }
        if at > 0 {
            kept.drain(..at);
        }
        self.kept = kept;
    }
}
