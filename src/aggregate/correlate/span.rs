//! What the hits in a span come to, kept as hits come into it and go out.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use ahash::RandomState;

use super::group::Entry;
use crate::rule::{Correlation, Measure};

/// One in billionths.
const BILLION: i128 = 1_000_000_000;

/// What the hits in a span come to.
#[derive(Debug, Default)]
pub(super) struct Span {
    hits: usize,
    /// Of them, those that lay in no span before in which the condition held.
    uncounted: usize,
    /// How many hits of each part.
    parts: BTreeMap<usize, usize>,
    /// How often each combination of values is there.
    texts: HashMap<Rc<[u8]>, usize, RandomState>,
    /// How often each number is there.
    numbers: BTreeMap<i128, usize>,
    /// How many numbers there are, and their sum.
    count: usize,
    sum: i128,
}

impl Span {
    pub(super) const fn uncounted(&self) -> usize {
        self.uncounted
    }

    pub(super) const fn all_are_counted(&mut self) {
        self.uncounted = 0;
    }

    /// A hit comes in.
    pub(super) fn add(&mut self, entry: &Entry) {
        self.hits = self.hits.saturating_add(1);
        self.uncounted = self
            .uncounted
            .saturating_add(usize::from(!entry.is_counted));
        *self.parts.entry(entry.part).or_default() += 1;
        for text in entry.values.texts.iter() {
            match self.texts.get_mut(text) {
                Some(times) => *times += 1,
                None => drop(self.texts.insert(Rc::clone(text), 1)),
            }
        }
        for number in entry.values.numbers.iter() {
            *self.numbers.entry(*number).or_default() += 1;
            self.count = self.count.saturating_add(1);
            self.sum = self.sum.saturating_add(*number);
        }
    }

    /// A hit goes out.
    pub(super) fn remove(&mut self, entry: &Entry) {
        self.hits = self.hits.saturating_sub(1);
        self.uncounted = self
            .uncounted
            .saturating_sub(usize::from(!entry.is_counted));
        if let Some(times) = self.parts.get_mut(&entry.part) {
            *times = times.saturating_sub(1);
        }
        for text in entry.values.texts.iter() {
            if let Some(times) = self.texts.get_mut(text) {
                *times = times.saturating_sub(1);
                if *times == 0 {
                    self.texts.remove(text);
                }
            }
        }
        for number in entry.values.numbers.iter() {
            if let Some(times) = self.numbers.get_mut(number) {
                *times = times.saturating_sub(1);
                if *times == 0 {
                    self.numbers.remove(number);
                }
            }
            self.count = self.count.saturating_sub(1);
            self.sum = self.sum.saturating_sub(*number);
        }
    }

    /// Whether the condition holds over these hits, which are those that came in, by time.
    pub(super) fn holds<'a>(
        &self,
        correlation: &Correlation,
        hits: impl Iterator<Item = &'a Entry>,
    ) -> bool {
        let all = correlation.parts.len();
        let has = |part: usize| self.parts.get(&part).is_some_and(|times| *times > 0);
        let outcome = match &correlation.measure {
            Measure::Count => whole(self.hits),
            Measure::Distinct(_) => whole(self.texts.len()),
            Measure::Together(expression) => {
                if let Some(expression) = expression {
                    return expression.holds(&has);
                }
                let there = (0..all).filter(|part| has(*part)).count();
                if correlation.bounds.is_empty() {
                    return there == all;
                }
                whole(there)
            }
            Measure::Ordered(expression) => {
                if expression
                    .as_ref()
                    .is_some_and(|expression| !expression.holds(&has))
                {
                    return false;
                }
                let mut next = 0;
                for hit in hits {
                    next += usize::from(hit.part == next);
                }
                if correlation.bounds.is_empty() {
                    return next == all;
                }
                whole(next)
            }
            Measure::Sum(_) if self.count > 0 => self.sum,
            Measure::Average(_) => match self
                .sum
                .checked_div(i128::try_from(self.count).unwrap_or(0))
            {
                Some(average) => average,
                None => return false,
            },
            Measure::Percentile(_, percent) => match self.percentile(*percent) {
                Some(number) => number,
                None => return false,
            },
            Measure::Sum(_) => return false,
        };
        correlation.bounds.iter().all(|bound| bound.holds(outcome))
    }

    /// The number below which that part of the numbers lies, between two of them in proportion to the distance.
    fn percentile(&self, percent: u8) -> Option<i128> {
        let steps = i128::try_from(self.count.checked_sub(1)?)
            .ok()?
            .checked_mul(i128::from(percent))?;
        let (below, parts) = (steps / 100, steps % 100);
        let low = self.at(below)?;
        if parts == 0 {
            return Some(low);
        }
        let high = self.at(below.checked_add(1)?)?;
        let above = high.checked_sub(low)?.checked_mul(parts)? / 100;
        low.checked_add(above)
    }

    /// The number at a place, from the smallest.
    fn at(&self, place: i128) -> Option<i128> {
        let mut seen = 0i128;
        self.numbers
            .iter()
            .find(|(_, times)| {
                seen = seen.saturating_add(i128::try_from(**times).unwrap_or(0));
                seen > place
            })
            .map(|(number, _)| *number)
    }
}

/// A whole number in billionths.
fn whole(number: usize) -> i128 {
    i128::try_from(number)
        .unwrap_or(i128::MAX / BILLION)
        .saturating_mul(BILLION)
}
