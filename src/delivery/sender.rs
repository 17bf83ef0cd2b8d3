//! Takes batches out of a spool and sends them until the place has them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::Tell;
use super::destination::{Answer, Destination};
use super::reader::Reader;
use super::refused::Refused;
use super::retry::Backoff;
use super::segment::Waiting;
use super::spool::Spool;

/// From the first failure to the second attempt, and between attempts at most.
const FAILING: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));
/// The same where the place takes nothing from us at all, which somebody has to mend.
const SHUT: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(300));

/// The sender of one spool.
#[derive(Debug)]
pub(super) struct Sender {
    spool: Arc<Spool>,
    destination: Box<dyn Destination>,
    /// As messages name it: the stream, and the place.
    stream: String,
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
        stream: String,
        place: String,
        tell: Tell,
    ) -> Self {
        Self {
            refused: Refused::of(spool.folder()),
            spool,
            destination,
            stream,
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
            if !self.deliver(&batch) {
                return;
            }
        }
    }

    /// Sends a batch, in parts where the place refuses something in it; false where it is over.
    fn deliver(&mut self, batch: &[Waiting]) -> bool {
        // The part that is sent next is the last one.
        let mut parts: Vec<Range<usize>> = Vec::new();
        parts.push(0..batch.len());
        while let Some(range) = parts.pop() {
            let Some(part) = batch.get(range.clone()) else {
                continue;
            };
            let Some(last) = part.last() else { continue };
            let next = last.sequence + 1;
            let spool = Arc::clone(&self.spool);
            let answer = self.destination.send(part, &|span| spool.wait(span));
            self.spool.count(|it| it.attempts += 1);
            match answer {
                Answer::Taken => {
                    self.works();
                    let bytes: usize = part.iter().map(|it| it.line.len()).sum();
                    let going_on = self.spool.acknowledge(next, |it| {
                        it.delivered += part.len() as u64;
                        it.bytes += bytes as u64;
                    });
                    if !going_on {
                        return false;
                    }
                }
                Answer::Refused { why, .. } if part.len() == 1 => {
                    self.works();
                    if !self.refuse(last, &why) {
                        return false;
                    }
                }
                Answer::Refused { suspect, .. } => {
                    self.works();
                    parts.extend(split(&range, suspect).into_iter().rev());
                }
                Answer::Later { why, after } => {
                    parts.push(range);
                    let wait = self.failing.failed(after);
                    if !self.again(&why, false, wait) {
                        return false;
                    }
                }
                Answer::Shut { why } => {
                    parts.push(range);
                    let wait = self.shut.failed(None);
                    if !self.again(&why, true, wait) {
                        return false;
                    }
                }
            }
        }
        true
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
                self.stream,
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
                self.place, self.stream
            ));
        }
    }

    /// Puts a record aside that the place will never take; false where it is over.
    fn refuse(&mut self, waiting: &Waiting, why: &str) -> bool {
        let kept = self.refused.keep(&waiting.line, why);
        if !self.refusal_said {
            self.refusal_said = true;
            (self.tell)(&format!(
                "dnsterrier: warning: {} refuses a record of {}: {why}. Such records go to {}\n",
                self.place,
                self.stream,
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

/// The parts in which a batch of more than one record is tried again: the suspect is sent alone, so that nothing is put aside
/// that the place would have taken; without one, two halves.
fn split(range: &Range<usize>, suspect: Option<usize>) -> Vec<Range<usize>> {
    let suspect = suspect
        .map(|number| range.start.saturating_add(number))
        .filter(|number| range.contains(number));
    let parts = match suspect {
        Some(number) => vec![
            range.start..number,
            number..number + 1,
            number + 1..range.end,
        ],
        None => {
            let middle = range.start + range.len() / 2;
            vec![range.start..middle, middle..range.end]
        }
    };
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_in_one_part_and_each_part_is_smaller() {
        for length in 2..20 {
            let range = 5..5 + length;
            for suspect in (0..25).map(Some).chain([None, Some(usize::MAX)]) {
                let parts = split(&range, suspect);
                assert!(parts.iter().all(|part| part.len() < length), "{parts:?}");
                let all: Vec<usize> = parts.into_iter().flatten().collect();
                assert_eq!(all, range.clone().collect::<Vec<_>>());
            }
        }
    }
}
