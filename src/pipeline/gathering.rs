//! What several decoders made comes together for the matcher: in the order in which one decoder would have made it, where
//! there is one order of packets; else as it comes.

use std::collections::VecDeque;

use super::EventBatch;
use super::decoding::in_order;
use crate::stats::Stats;
use crate::time::Timestamp;

/// The decoders' batches on their way to the matcher.
pub(super) struct Gathering {
    decoders: Vec<FromDecoder>,
    /// All decoders take part in the same rounds: one capture thread makes them.
    is_ordered: bool,
}

/// What came of one decoder.
struct FromDecoder {
    waiting: VecDeque<EventBatch>,
    /// The latest round of which all is here.
    round: Option<u64>,
    /// What it had counted when its latest batch was given on.
    stats: Stats,
    now: Timestamp,
}

impl Gathering {
    /// Of so many decoders.
    pub(super) fn new(decoders: usize, is_ordered: bool) -> Self {
        let nothing = || FromDecoder {
            waiting: VecDeque::new(),
            round: None,
            stats: Stats::default(),
            now: Timestamp::MIN,
        };
        Self {
            decoders: std::iter::repeat_with(nothing).take(decoders).collect(),
            is_ordered,
        }
    }

    /// Takes a batch.
    pub(super) fn take(&mut self, batch: EventBatch) {
        if let Some(decoder) = self.decoders.get_mut(batch.decoder) {
            decoder.round = Some(batch.round);
            decoder.waiting.push_back(batch);
        }
    }

    /// The next batch for the matcher, if nothing can come before it. `emptied` gets those that went into it.
    pub(super) fn next(&mut self, emptied: &mut dyn FnMut(EventBatch)) -> Option<EventBatch> {
        let done = self.decoders.iter().map(|decoder| decoder.round).min()??;
        self.next_until(done, emptied)
    }

    /// The next batch after all decoders have ended.
    pub(super) fn next_at_end(
        &mut self,
        emptied: &mut dyn FnMut(EventBatch),
    ) -> Option<EventBatch> {
        self.next_until(u64::MAX, emptied)
    }

    fn next_until(&mut self, done: u64, emptied: &mut dyn FnMut(EventBatch)) -> Option<EventBatch> {
        if let [only] = self.decoders.as_mut_slice() {
            let mut batch = only.waiting.pop_front()?;
            batch.ordinals.clear();
            return Some(batch);
        }
        let fronts = self.decoders.iter().filter_map(|it| it.waiting.front());
        let round = fronts.map(|batch| batch.round).min()?;
        if self.is_ordered && round > done {
            return None;
        }
        let mut gathered: Option<EventBatch> = None;
        for decoder in &mut self.decoders {
            let is_of_it = |batch: &mut EventBatch| batch.round == round;
            let Some(mut batch) = decoder.waiting.pop_front_if(is_of_it) else {
                continue;
            };
            std::mem::swap(&mut decoder.stats, &mut batch.stats);
            decoder.now = batch.now;
            match &mut gathered {
                None => gathered = Some(batch),
                Some(whole) => {
                    whole.append(&mut batch);
                    whole.put_in_order();
                    emptied(batch);
                }
            }
            if !self.is_ordered {
                break;
            }
        }
        let mut batch = gathered?;
        batch.ordinals.clear();
        let (first, others) = self.decoders.split_first()?;
        batch.stats.clone_from(&first.stats);
        for other in others {
            batch.stats.add(&other.stats);
        }
        if !self.is_ordered {
            // Nothing is over before all have come so far.
            let all = self.decoders.iter().map(|decoder| decoder.now).min();
            batch.now = all.unwrap_or(batch.now);
        }
        Some(batch)
    }
}

impl EventBatch {
    /// Takes in what another decoder made in the same round.
    fn append(&mut self, other: &mut Self) {
        self.events.append(&mut other.events);
        self.ordinals.append(&mut other.ordinals);
        self.resolvers.append(&mut other.resolvers);
        self.sightings.append(&mut other.sightings);
        self.further.append(&mut other.further);
        if self.packets.is_empty() {
            std::mem::swap(&mut self.packets, &mut other.packets);
        }
        self.reloaded = self.reloaded.take().or_else(|| other.reloaded.take());
    }

    /// As one decoder would have made it.
    fn put_in_order(&mut self) {
        self.events.sort_by(&self.ordinals, in_order);
    }
}
