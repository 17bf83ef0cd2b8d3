//! What the decoder thread does with each message: its transaction, and, where somebody wants it, the whole of it decoded
//! to an event.

use super::{ArrivalBatch, EventBatch};
use crate::event::{Event, Maker};
use crate::stats::{Events, Stats};
use crate::time::Timestamp;
use crate::transaction::{Limits, NamedRoles, Pairing, Transaction};

/// The stages from arrivals to events.
pub(super) struct Decoding {
    pairing: Pairing,
    maker: Maker,
    made: u64,
    /// What the capture thread had counted last.
    read: Stats,
    now: Timestamp,
}

impl Decoding {
    pub(super) fn new(limits: Limits, roles: NamedRoles, maker: Maker) -> Self {
        Self {
            pairing: Pairing::new(limits, roles),
            maker,
            made: 0,
            read: Stats::default(),
            now: Timestamp::MIN,
        }
    }

    /// Pairs a batch of arrivals, and takes them out of it.
    pub(super) fn decode(&mut self, batch: &mut ArrivalBatch, out: &mut EventBatch) {
        let Self {
            pairing,
            maker,
            made,
            ..
        } = self;
        if let Some(mut reloaded) = batch.reloaded.take() {
            maker.assets = std::mem::take(&mut reloaded.assets);
            out.reloaded = Some(reloaded);
        }
        let mut give =
            |transaction: &Transaction<'_>| make(maker, made, transaction, &mut out.events);
        batch.bytes = 0;
        for arrival in &mut batch.arrivals {
            pairing.advance(arrival.time(), &mut give);
            pairing.push(arrival, &mut give);
        }
        batch.arrivals.clear();
        out.sightings.append(&mut batch.sightings);
        out.further.append(&mut batch.further);
        // Whoever has some is sent on at once: there are none.
        std::mem::swap(&mut out.packets, &mut batch.packets);
        if batch.now > Timestamp::MIN {
            pairing.advance(batch.now, &mut give);
        }
        self.now = batch.now;
        std::mem::swap(&mut self.read, &mut batch.stats);
        self.fill(out);
    }

    /// The capture is over: closes what is open.
    pub(super) fn finish(&mut self, out: &mut EventBatch) {
        let Self {
            pairing,
            maker,
            made,
            ..
        } = self;
        pairing.close(&mut |transaction| make(maker, made, transaction, &mut out.events));
        self.fill(out);
        out.stats.hidden_clients = self.pairing.hidden_clients();
    }

    /// Sends the counters and the new resolvers along.
    fn fill(&mut self, out: &mut EventBatch) {
        out.now = self.now;
        self.pairing.take_resolvers(&mut out.resolvers);
        self.pairing.take_further(&mut out.further);
        let mut stats = self.read.clone();
        stats.messages = self.pairing.messages;
        stats.messages.not_dns = self.read.messages.not_dns;
        stats.transactions = self.pairing.transactions;
        stats.hosts = self.pairing.seen();
        stats.tables.transactions = self.pairing.len() as u64;
        stats.events = Events {
            not_looked_into: self.pairing.not_looked_into,
            evicted: self.pairing.evicted,
            made: self.made,
            outside_time: 0,
        };
        out.stats = stats;
    }
}

/// The event of a transaction.
fn make(
    maker: &Maker,
    made: &mut u64,
    transaction: &Transaction<'_>,
    events: &mut Vec<(Timestamp, Event)>,
) {
    if let Some(event) = maker.event(transaction) {
        *made += 1;
        events.push((transaction.over, event));
    }
}
