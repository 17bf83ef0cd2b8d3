//! What a decoder thread does with each message: its transaction, and, where somebody wants it, the whole of it decoded
//! to an event.

use super::splitting::{Mark, Says};
use super::{ArrivalBatch, EventBatch};
use crate::event::{Decoded, Event, Maker};
use crate::stats::{Events, Stats};
use crate::time::Timestamp;
use crate::transaction::{Limits, NamedRoles, Pairing, Transaction};

/// The stages from arrivals to events.
pub(super) struct Decoding {
    /// Which of the decoders it is.
    decoder: usize,
    pairing: Pairing,
    making: Making,
    /// What each capture thread said last.
    captures: Vec<Captured>,
    /// The latest round.
    round: u64,
}

/// Makes the events.
struct Making {
    maker: Maker,
    decoded: Decoded,
    made: u64,
}

impl Making {
    /// The event of a transaction, at that place of its round.
    fn take(&mut self, transaction: &Transaction<'_>, ordinal: u32, out: &mut EventBatch) {
        let Self { maker, decoded, .. } = self;
        let fill = |event: &mut _| maker.fill(transaction, decoded, event);
        if out.events.make(transaction.over, fill) {
            self.made += 1;
            out.ordinals.push(ordinal);
        }
    }
}

/// What a capture thread said last.
#[derive(Clone, Debug)]
struct Captured {
    /// What it had counted.
    stats: Stats,
    /// How far it had come.
    now: Timestamp,
    has_ended: bool,
}

impl Decoding {
    /// One of several decoders, for the messages of that many capture threads.
    pub(super) fn new(
        decoder: usize,
        captures: usize,
        limits: Limits,
        roles: NamedRoles,
        maker: Maker,
    ) -> Self {
        let captured = Captured {
            stats: Stats::default(),
            now: Timestamp::MIN,
            has_ended: false,
        };
        Self {
            decoder,
            pairing: Pairing::new(limits, roles),
            making: Making {
                maker,
                decoded: Decoded::default(),
                made: 0,
            },
            captures: vec![captured; captures],
            round: 0,
        }
    }

    /// Pairs a batch of arrivals, and takes them out of it.
    pub(super) fn decode(&mut self, batch: &mut ArrivalBatch, out: &mut EventBatch) {
        if let Some(mut reloaded) = batch.reloaded.take() {
            self.making.maker.assets = std::mem::take(&mut reloaded.assets);
            out.reloaded = Some(reloaded);
        }
        if let Some(assets) = batch.assets.take() {
            self.making.maker.assets = *assets;
        }
        self.pair(batch, out);
        self.pairing.come_to(batch.now);
        batch.bytes = 0;
        self.pairing
            .done_with(&mut batch.arrivals, &mut batch.spare);
        out.sightings.append(&mut batch.sightings);
        out.further.append(&mut batch.further);
        // Whoever has some is sent on at once: there are none.
        std::mem::swap(&mut out.packets, &mut batch.packets);
        if let Some(capture) = self.captures.get_mut(batch.capture) {
            // Taken out: the batch goes round, and may be another decoder's next time.
            capture.stats = std::mem::take(&mut batch.stats);
            capture.now = batch.now;
            capture.has_ended = batch.is_last;
        }
        self.round = batch.round;
        self.fill(out);
    }

    /// Takes the arrivals one after the other, and what is said between them.
    fn pair(&mut self, batch: &mut ArrivalBatch, out: &mut EventBatch) {
        self.pairing.fetch(&batch.arrivals);
        let mut arrivals = batch.arrivals.iter_mut();
        let mut ordinals = batch.ordinals.drain(..);
        let mut taken = 0;
        let marks = batch.marks.drain(..).map(Some);
        // Behind the last mark come the arrivals that are left.
        for mark in marks.chain([None]) {
            let until = mark.as_ref().map_or(usize::MAX, |mark| mark.after);
            for arrival in arrivals.by_ref().take(until.saturating_sub(taken)) {
                let ordinal = ordinals.next().unwrap_or(0);
                let Self {
                    pairing, making, ..
                } = self;
                pairing.push(arrival, &mut |it| making.take(it, ordinal, out));
            }
            taken = until;
            if let Some(mark) = mark {
                self.hear(batch.capture, mark, out);
            }
        }
    }

    /// Does what a mark says.
    fn hear(&mut self, capture: usize, mark: Mark, out: &mut EventBatch) {
        let Self {
            pairing,
            making,
            captures,
            ..
        } = self;
        match mark.says {
            Says::Now(now) => {
                if let Some(capture) = captures.get_mut(capture) {
                    capture.now = now;
                }
                let before = out.events.len();
                pairing.advance(all_come_to(captures), &mut |it| {
                    making.take(it, mark.ordinal, out);
                });
                put_in_order(out, before);
            }
            Says::Answered(address) => pairing.answered(address),
            Says::Asked(asked) => pairing.asked(&asked),
        }
    }

    /// The capture is over: closes what is open.
    pub(super) fn finish(&mut self, out: &mut EventBatch) {
        let Self {
            pairing, making, ..
        } = self;
        let before = out.events.len();
        pairing.close(&mut |it| making.take(it, 0, out));
        put_in_order(out, before);
        self.round += 1;
        self.fill(out);
        out.stats.hidden_clients = self.pairing.hidden_clients();
    }

    /// Sends the counters and the new resolvers along.
    fn fill(&mut self, out: &mut EventBatch) {
        out.decoder = self.decoder;
        out.round = self.round;
        out.now = all_come_to(&self.captures);
        self.pairing.take_resolvers(&mut out.resolvers);
        if self.decoder > 0 {
            // All decoders learn of all resolvers; the first tells it.
            out.resolvers.clear();
        }
        self.pairing.take_further(&mut out.further);
        // What the capture threads counted they tell the first decoder alone.
        let mut stats = Stats::default();
        let mut captures = self.captures.iter().map(|capture| &capture.stats);
        if let Some(first) = captures.next() {
            stats.clone_from(first);
        }
        captures.for_each(|other| stats.add(other));
        stats.messages.add(&self.pairing.messages);
        stats.transactions = self.pairing.transactions;
        stats.hosts = self.pairing.seen();
        if self.decoder > 0 {
            stats.hosts.resolvers = 0;
        }
        stats.tables.transactions = self.pairing.len() as u64;
        stats.events = Events {
            not_looked_into: self.pairing.not_looked_into,
            evicted: self.pairing.evicted,
            made: self.making.made,
            outside_time: 0,
        };
        out.stats = stats;
    }
}

/// How far all capture threads have come that go on: before it nothing is over.
fn all_come_to(captures: &[Captured]) -> Timestamp {
    let going_on = captures.iter().filter(|capture| !capture.has_ended);
    let least = going_on.map(|capture| capture.now).min();
    let latest = captures.iter().map(|capture| capture.now).max();
    least.or(latest).unwrap_or(Timestamp::MIN)
}

/// What is over at the same mark comes in the order in which it was over, whoever made it; of what was over together that of the
/// packets.
fn put_in_order(out: &mut EventBatch, from: usize) {
    out.events.sort_from(from, in_order);
}

/// What the order of events at the same place goes by.
pub(super) fn in_order((over, event): &(Timestamp, Event)) -> (Timestamp, u64) {
    (*over, event.packet)
}
