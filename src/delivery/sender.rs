//! Takes batches out of a spool and sends them until the place has them.

use std::sync::Arc;
use std::time::Duration;

use super::Tell;
use super::destination::{Answer, Destination, Fate};
use super::reader::Reader;
use super::refused::Refused;
use super::retry::Backoff;
use super::segment::Waiting;
use super::settled::{Outcome, Settled};
use super::spool::Spool;
use crate::stats;

/// From the first failure to the second attempt, and between attempts at most.
const FAILING: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));
/// The same where the place takes nothing from us at all, which somebody has to mend.
const SHUT: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(300));

/// The sender of one spool.
#[derive(Debug)]
pub(super) struct Sender {
    spool: Arc<Spool>,
    destination: Box<dyn Destination>,
    /// As messages name them: the stream's records, and the place.
    records: String,
    place: String,
    failing: Backoff,
    shut: Backoff,
    refused: Refused,
    refusal_said: bool,
    tell: Tell,
}

impl Sender {
    pub(super) fn new(
        spool: Arc<Spool>,
        destination: Box<dyn Destination>,
        stream: &str,
        place: String,
        tell: Tell,
    ) -> Self {
        Self {
            records: {
                let [_, records] = stats::Delivery::nouns(stream);
                records.to_owned()
            },
            refused: Refused::of(spool.folder()),
            spool,
            destination,
            place,
            failing: Backoff::new(FAILING.0, FAILING.1),
            shut: Backoff::new(SHUT.0, SHUT.1),
            refusal_said: false,
            tell,
        }
    }

    /// Sends until no more comes, or nobody waits for it any more.
    pub(super) fn run(mut self) {
        let mut reader = Reader::default();
        while let Some(batch) = self.spool.batch(&mut reader, self.tell) {
            if !self.deliver(batch) {
                return;
            }
        }
        self.destination.close();
    }

    /// Sends a batch, in parts where the place does not want all of it at once; false where it is over.
    fn deliver(&mut self, batch: Vec<Waiting>) -> bool {
        let mut settled = Settled::of(&batch);
        // The part that is sent next is the last one.
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            let spool = Arc::clone(&self.spool);
            let mut answer = self.destination.send(&part, &|span| spool.wait(span));
            self.spool.count(|it| it.attempts += 1);
            if matches!(answer, Answer::Taken) && parts.is_empty() && self.spool.is_at_the_end() {
                answer = self.destination.close();
            }
            // What is left of the part, why, and for how long nothing is sent.
            let (rest, why, wait, shut) = match answer {
                Answer::Taken => {
                    let cut = self.destination.cut();
                    self.spool.count(|it| it.cut += cut);
                    settled.taken(part);
                    (Vec::new(), String::new(), None, false)
                }
                Answer::Refused { why, suspect } => {
                    if part.len() > 1 {
                        parts.extend(split(part, suspect).into_iter().rev());
                    } else {
                        for waiting in part {
                            settled.refused(waiting, why.clone());
                        }
                    }
                    (Vec::new(), why, None, false)
                }
                Answer::Later { why, after } => (part, why, after, false),
                Answer::Shut { why } => (part, why, None, true),
                Answer::Each(fates) => {
                    let length = part.len();
                    let (rest, why, shut) = settle(&mut settled, part, fates);
                    if rest.len() < length {
                        self.failing.worked();
                    }
                    (rest, why, None, shut)
                }
            };
            // Said before the end of the run can hear of it.
            if rest.is_empty() {
                self.works();
            }
            if !self.acknowledge(&mut settled) {
                return false;
            }
            if rest.is_empty() {
                continue;
            }
            parts.push(rest);
            let wait = match shut {
                true => self.shut.failed(None),
                false => self.failing.failed(wait),
            };
            if !self.again(&why, shut, wait) {
                return false;
            }
        }
        true
    }

    /// Tells the spool what is settled, in its order; false where it is over.
    fn acknowledge(&mut self, settled: &mut Settled) -> bool {
        let (mut next, mut records, mut bytes) = (None, 0, 0);
        let mut going_on = true;
        loop {
            let outcome = settled.next();
            if let Some(Outcome::Taken(sequence, length)) = outcome {
                next = Some(sequence + 1);
                records += 1;
                bytes += length as u64;
                continue;
            }
            if let Some(next) = next.take() {
                going_on &= self.spool.acknowledge(next, |it| {
                    it.delivered += std::mem::take(&mut records);
                    it.bytes += std::mem::take(&mut bytes);
                });
            }
            match outcome {
                Some(Outcome::Refused(waiting, why)) => going_on &= self.refuse(&waiting, &why),
                _ => return going_on,
            }
        }
    }

    /// Waits before the next attempt; says so the first time.
    fn again(&mut self, why: &str, shut: bool, wait: Duration) -> bool {
        // Said before the end of the run can hear of it.
        if self.spool.is_news(shut) {
            let what = if shut {
                "takes nothing from us as it is set up"
            } else {
                "cannot be reached"
            };
            (self.tell)(&format!(
                "dnsterrier: warning: {} {what}: {why}. It is tried again; meanwhile {} wait in {}\n",
                self.place,
                self.records,
                self.spool.folder().display()
            ));
        }
        self.spool.fails(why, shut);
        self.spool.wait(wait)
    }

    /// The place is there.
    fn works(&mut self) {
        if self.failing.is_failing() || self.shut.is_failing() {
            self.failing.worked();
            self.shut.worked();
            self.spool.works();
            (self.tell)(&format!(
                "dnsterrier: {} takes {} again\n",
                self.place, self.records
            ));
        }
    }

    /// Puts a record aside that the place will never take; false where it is over.
    fn refuse(&mut self, waiting: &Waiting, why: &str) -> bool {
        let kept = self.refused.keep(&waiting.line, why);
        if !self.refusal_said {
            self.refusal_said = true;
            (self.tell)(&format!(
                "dnsterrier: warning: {} refuses one of the {}: {why}. What it refuses goes to {}\n",
                self.place,
                self.records,
                self.refused.path().display()
            ));
        }
        if let Err(error) = &kept {
            (self.tell)(&format!(
                "dnsterrier: warning: a refused record is lost: {}: {error}\n",
                self.refused.path().display()
            ));
        }
        self.spool.acknowledge(waiting.sequence + 1, |it| {
            it.refused += 1;
            it.refused_lost += u64::from(kept.is_err());
        })
    }
}

/// Settles what a place said something final of; gives the rest, why it is one, and whether somebody has to mend that.
fn settle(
    settled: &mut Settled,
    part: Vec<Waiting>,
    fates: Vec<Fate>,
) -> (Vec<Waiting>, String, bool) {
    let mut fates = fates.into_iter();
    let (mut taken, mut rest) = (Vec::new(), Vec::new());
    let (mut later, mut shut) = (None, None);
    for waiting in part {
        match fates.next() {
            Some(Fate::Taken) => taken.push(waiting),
            Some(Fate::Refused(why)) => settled.refused(waiting, why),
            Some(Fate::Later(why)) => {
                later.get_or_insert(why);
                rest.push(waiting);
            }
            Some(Fate::Shut(why)) => {
                shut.get_or_insert(why);
                rest.push(waiting);
            }
            None => rest.push(waiting),
        }
    }
    settled.taken(taken);
    let is_shut = shut.is_some();
    let why = shut.or(later);
    (rest, why.unwrap_or_default(), is_shut)
}

/// The parts in which a batch of more than one record is tried again: the suspect is sent alone, so that nothing is put aside
/// that the place would have taken; without one, two halves.
fn split(mut part: Vec<Waiting>, suspect: Option<usize>) -> Vec<Vec<Waiting>> {
    let parts = match suspect.filter(|number| *number < part.len()) {
        Some(number) => {
            let behind = part.split_off(number + 1);
            let alone = part.split_off(number);
            vec![part, alone, behind]
        }
        None => {
            let behind = part.split_off(part.len() / 2);
            vec![part, behind]
        }
    };
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_in_one_part_and_each_part_is_smaller() {
        for length in 2..20_u64 {
            let batch: Vec<Waiting> = (5..5 + length)
                .map(|sequence| Waiting {
                    sequence,
                    line: Vec::new(),
                })
                .collect();
            for suspect in (0..25).map(Some).chain([None, Some(usize::MAX)]) {
                let parts = split(batch.clone(), suspect);
                assert!(
                    parts.iter().all(|part| part.len() < batch.len()),
                    "{parts:?}"
                );
                let all: Vec<Waiting> = parts.into_iter().flatten().collect();
                assert_eq!(all, batch);
            }
        }
    }
}
