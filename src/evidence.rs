//! Evidence: the packets of the transactions that hit, each once and in the order of their times, with what hit and where its
//! row is.
//!
//! A packet may have brought several messages, and what came of the one of them is known long before what comes of the other.
//! So packets wait for as long as a transaction can take, and the copies and repeats that come after their message find what
//! was said of it.

mod comment;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::aggregate::PlaceOfRows;
use crate::event::Event;
use crate::packet::{Captured, Further, MessageId};
use crate::sink::{SinkError, Writer};
use crate::stats;
use crate::time::Timestamp;

/// Time that goes back by more than this is another capture's.
const JUMP_BACK: Duration = Duration::from_secs(60);

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For how long after its time a packet waits: as long as a transaction can take.
    pub wait: Duration,
    /// Bytes of what waits to be written; and of what is known of messages.
    pub bytes: usize,
    /// Messages of which it is remembered what hit, and packets of which it is that they were written.
    pub messages: usize,
    /// Comments of one packet.
    pub comments: usize,
}

impl Limits {
    /// 64 MiB each, 65,536, and 100.
    #[must_use]
    pub const fn with_wait(wait: Duration) -> Self {
        Self {
            wait,
            bytes: 64 << 20,
            messages: 65_536,
            comments: 100,
        }
    }
}

/// The order in which packets are written, and which packet it is.
type Place = (Timestamp, u16, u64);

fn place_of(packet: &Captured) -> Place {
    (packet.time, packet.input, packet.number)
}

/// A packet that waits to be written.
#[derive(Debug)]
struct Waiting {
    packet: Arc<Captured>,
    comments: Vec<Arc<str>>,
}

impl Waiting {
    fn held(&self) -> usize {
        self.packet.held().saturating_add(lengths(&self.comments))
    }
}

/// The bytes of comments, which several packets may share.
fn lengths(comments: &[Arc<str>]) -> usize {
    let each = comments
        .iter()
        .map(|comment| comment.len().saturating_add(size_of::<Arc<str>>()));
    each.sum()
}

/// What is known of a message.
#[derive(Debug, Default)]
struct Known {
    /// What hit.
    comments: Vec<Arc<str>>,
    /// Packets that came before its event did.
    early: Vec<Arc<Captured>>,
}

/// The packets that wait, and what is known of their messages.
#[derive(Debug)]
pub struct Evidence {
    limits: Limits,
    waiting: BTreeMap<Place, Waiting>,
    /// What those that wait take, in bytes.
    held: usize,
    messages: HashMap<MessageId, Known, ahash::RandomState>,
    /// When each of them was heard of first, in that order.
    order: VecDeque<(Timestamp, MessageId)>,
    /// What is known of them takes so many bytes.
    held_known: usize,
    /// Packets that were written lately, the latest places alone.
    written: BTreeSet<Place>,
    now: Timestamp,
    /// What was counted.
    pub stats: stats::Evidence,
}

impl Evidence {
    /// Nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: BTreeMap::new(),
            held: 0,
            messages: HashMap::default(),
            order: VecDeque::new(),
            held_known: 0,
            written: BTreeSet::new(),
            now: Timestamp::MIN,
            stats: stats::Evidence {
                asked_for: true,
                ..stats::Evidence::default()
            },
        }
    }

    /// Takes a hit with the rows that it adds to.
    pub fn hit(&mut self, event: &Event, rows: &PlaceOfRows) {
        let Some(wire) = event
            .wire
            .as_ref()
            .filter(|wire| wire.packets().next().is_some())
        else {
            self.stats.hits_without_packets += 1;
            return;
        };
        self.stats.hits += 1;
        self.stats.lost += wire.lost();
        self.stats.values_cut += rows.cut;
        let comment = comment::text(event, rows, wire.lost());
        let comments = std::slice::from_ref(&comment);
        for packet in wire.packets() {
            self.take(packet, comments);
        }
        for name in wire.names() {
            self.know(name, event.time);
            let Some(known) = self.messages.get_mut(&name) else {
                continue;
            };
            if known.comments.len() < self.limits.comments {
                known.comments.push(Arc::clone(&comment));
                self.held_known = self.held_known.saturating_add(lengths(comments));
            }
            // Another rule may hit, too: they stay until all have.
            for packet in known.early.clone() {
                self.take(&packet, comments);
            }
        }
        while self.held_known > self.limits.bytes && self.make_room() {}
    }

    /// All hits of an event were taken: what came early for it goes.
    pub fn over(&mut self, event: &Event) {
        for name in event.wire.iter().flat_map(|wire| wire.names()) {
            let Some(known) = self.messages.get_mut(&name) else {
                continue;
            };
            for packet in known.early.drain(..) {
                self.held_known = self.held_known.saturating_sub(packet.held());
            }
        }
    }

    /// Takes a packet that belongs to a message beside those that brought it.
    pub fn further(&mut self, further: &Further) {
        self.know(further.message, further.packet.time);
        let Some(known) = self.messages.get_mut(&further.message) else {
            return;
        };
        if known.comments.is_empty() {
            self.held_known = self.held_known.saturating_add(further.packet.held());
            known.early.push(Arc::clone(&further.packet));
            while self.held_known > self.limits.bytes && self.make_room() {}
        } else {
            let comments = known.comments.clone();
            self.take(&further.packet, &comments);
        }
    }

    /// Packet time has come to `now`: writes what waited long enough. Where time jumps back another capture begins, and all is
    /// written.
    ///
    /// # Errors
    /// As for [`Writer::packet`].
    pub fn advance(&mut self, now: Timestamp, writer: &mut Writer) -> Result<(), SinkError> {
        if self.now.since(now) > self.limits.wait.max(JUMP_BACK) {
            self.close(writer)?;
            self.now = now;
        }
        self.now = self.now.max(now);
        let until = self.now.minus(self.limits.wait);
        while let Some(entry) = self.waiting.first_entry() {
            let is_over = entry.key().0 < until;
            if !is_over && self.held <= self.limits.bytes {
                break;
            }
            self.stats.early += u64::from(!is_over);
            let (place, waiting) = entry.remove_entry();
            self.write(place, &waiting, writer)?;
        }
        while self.order.front().is_some_and(|(time, _)| *time < until) {
            self.forget_first();
        }
        Ok(())
    }

    /// Writes all that waits, and forgets everything.
    ///
    /// # Errors
    /// As for [`Writer::packet`].
    pub fn close(&mut self, writer: &mut Writer) -> Result<(), SinkError> {
        while let Some((place, waiting)) = self.waiting.pop_first() {
            self.write(place, &waiting, writer)?;
        }
        while self.forget_first() {}
        Ok(())
    }

    /// Remembers a message from now on, that time having come at least.
    fn know(&mut self, name: MessageId, time: Timestamp) {
        if self.messages.contains_key(&name) {
            return;
        }
        while self.messages.len() >= self.limits.messages && self.make_room() {}
        self.messages.insert(name, Known::default());
        self.order.push_back((self.now.max(time), name));
    }

    /// Forgets the message that was heard of first, before its time.
    fn make_room(&mut self) -> bool {
        let first = self.order.front();
        let early = first.and_then(|(_, name)| self.messages.get(name));
        self.stats.forgotten += early.map_or(0, |known| known.early.len() as u64);
        self.forget_first()
    }

    /// Forgets the message that was heard of first; false where there is none.
    fn forget_first(&mut self) -> bool {
        let Some((_, name)) = self.order.pop_front() else {
            return false;
        };
        if let Some(known) = self.messages.remove(&name) {
            let held: usize = known.early.iter().map(|packet| packet.held()).sum();
            let held = held.saturating_add(lengths(&known.comments));
            self.held_known = self.held_known.saturating_sub(held);
        }
        true
    }

    /// Takes a packet of which that is to be said.
    fn take(&mut self, packet: &Arc<Captured>, comments: &[Arc<str>]) {
        let place = place_of(packet);
        if self.written.contains(&place) {
            self.stats.again += 1;
            return;
        }
        let waiting = self.waiting.entry(place).or_insert_with(|| {
            self.stats.packets += 1;
            self.held = self.held.saturating_add(packet.held());
            Waiting {
                packet: Arc::clone(packet),
                comments: Vec::new(),
            }
        });
        for comment in comments {
            if waiting.comments.contains(comment) {
                continue;
            }
            if waiting.comments.len() >= self.limits.comments {
                self.stats.comments_cut += 1;
                continue;
            }
            self.held = self
                .held
                .saturating_add(lengths(std::slice::from_ref(comment)));
            waiting.comments.push(Arc::clone(comment));
        }
    }

    fn write(
        &mut self,
        place: Place,
        waiting: &Waiting,
        writer: &mut Writer,
    ) -> Result<(), SinkError> {
        self.held = self.held.saturating_sub(waiting.held());
        if self.written.len() >= self.limits.messages {
            self.written.pop_first();
        }
        self.written.insert(place);
        writer.packet(&waiting.packet.packet(), &waiting.comments)?;
        self.stats.written += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
