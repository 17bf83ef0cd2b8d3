//! What became of the records of a batch: a place may settle them in any order, the spool goes on in its own.

use std::collections::VecDeque;

use super::segment::Waiting;

/// A record that is not sent again.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The place has it: its number, and its bytes.
    Taken(u64, usize),
    /// The place will never take it, and what it said.
    Refused(Waiting, String),
}

/// The records of a batch from the first one on that is not settled, or not taken out yet.
#[derive(Debug)]
pub(super) struct Settled {
    first: u64,
    outcomes: VecDeque<Option<Outcome>>,
}

impl Settled {
    /// Those of a batch, whose numbers follow one another.
    pub(super) fn of(batch: &[Waiting]) -> Self {
        Self {
            first: batch.first().map_or(0, |first| first.sequence),
            outcomes: batch.iter().map(|_| None).collect(),
        }
    }

    /// The place has these.
    pub(super) fn taken(&mut self, part: Vec<Waiting>) {
        for waiting in part {
            let (sequence, bytes) = (waiting.sequence, waiting.line.len());
            self.put(sequence, Outcome::Taken(sequence, bytes));
        }
    }

    /// The place will never take this one.
    pub(super) fn refused(&mut self, waiting: Waiting, why: String) {
        self.put(waiting.sequence, Outcome::Refused(waiting, why));
    }

    fn put(&mut self, sequence: u64, outcome: Outcome) {
        let place = usize::try_from(sequence.saturating_sub(self.first)).ok();
        if let Some(slot) = place.and_then(|place| self.outcomes.get_mut(place)) {
            *slot = Some(outcome);
        }
    }

    /// Takes out the next record, where it is settled.
    pub(super) fn next(&mut self) -> Option<Outcome> {
        let outcome = self.outcomes.front_mut()?.take()?;
        self.outcomes.pop_front();
        self.first += 1;
        Some(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(sequence: u64) -> Waiting {
        Waiting {
            sequence,
            line: vec![b'a'; sequence as usize],
        }
    }

    #[test]
    fn what_is_settled_early_waits_for_those_before() {
        let batch: Vec<Waiting> = (7..12).map(waiting).collect();
        let mut settled = Settled::of(&batch);
        settled.taken(vec![waiting(8), waiting(9)]);
        settled.refused(waiting(11), "no".to_owned());
        assert!(settled.next().is_none());
        settled.taken(vec![waiting(7)]);
        let mut list = Vec::new();
        while let Some(outcome) = settled.next() {
            list.push(outcome);
        }
        assert!(
            matches!(
                list[..],
                [
                    Outcome::Taken(7, 7),
                    Outcome::Taken(8, 8),
                    Outcome::Taken(9, 9)
                ]
            ),
            "{list:?}"
        );
        settled.taken(vec![waiting(10)]);
        assert!(matches!(settled.next(), Some(Outcome::Taken(10, 10))));
        assert!(matches!(settled.next(), Some(Outcome::Refused(_, why)) if why == "no"));
        assert!(settled.next().is_none());
    }
}
