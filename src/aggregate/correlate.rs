//! From hits to hits: correlations, which hold when hits of other rules that have something in common lie close in time.
//!
//! A hit that a correlation looks at is remembered, in a group for each combination of the values of its fields. It belongs
//! to the span of the correlation's length that ends with it, and to those that end with later hits. Whenever the condition
//! holds over such a span, all hits in it count, each once: they are the hits of the correlation, and make its rows. Time
//! is packet time; what comes late (an unanswered query is known when its timeout is over) is put where it belongs, and the
//! spans that it changes are looked at again. What must be forgotten for room is counted.

mod group;
mod span;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::mem::size_of;
use std::rc::Rc;
use std::time::Duration;

use ahash::RandomState;

use super::MAX_COMBINATIONS;
use super::key::EventValues;
use crate::event::{Event, Field};
use crate::rule::{Correlation, Measure, Moved, Moves, Rule};
use crate::time::Timestamp;
use group::{Entry, Group};

/// What is remembered at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Hits in all groups of one correlation.
    pub hits: usize,
    /// Hits in one group.
    pub group: usize,
    /// Bytes of the hits of one correlation, about.
    pub bytes: usize,
    /// How late a hit may come.
    pub lateness: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hits: 65_536,
            group: 8_192,
            bytes: 64 * 1024 * 1024,
            lateness: Duration::from_secs(90),
        }
    }
}

/// A hit of a correlation.
#[derive(Clone, Copy, Debug)]
pub struct Correlated<'a> {
    /// The correlation's place in the list of rules.
    pub rule: usize,
    /// The event.
    pub event: &'a Event,
    /// The name in its question that matched.
    pub query: &'a str,
    /// The values of the correlation's fields, as a group's key.
    pub key: &'a [u8],
    /// Whether the correlation has this event for the first time: it may count in several groups.
    pub is_first: bool,
}

/// An event that is remembered.
#[derive(Debug)]
struct Held {
    event: Rc<Event>,
    query: String,
    /// Whether it was counted in some group already.
    is_counted: Cell<bool>,
    bytes: usize,
}

/// One correlation and what it remembers.
#[derive(Debug)]
struct Remembering {
    /// Its place in the list of rules.
    rule: usize,
    correlation: Correlation,
    groups: HashMap<Rc<[u8]>, Group, RandomState>,
    /// The hits in the order in which they came, with their groups.
    order: VecDeque<(Timestamp, Rc<[u8]>, u64)>,
    bytes: usize,
    /// The latest time of a hit, or the time to which a capture went back.
    now: Timestamp,
}

/// All correlations of a run.
#[derive(Debug, Default)]
pub struct Correlator {
    correlations: Vec<Remembering>,
    /// For each rule, the correlations that look at its hits, and as which of their parts.
    watchers: Vec<Vec<(usize, usize)>>,
    limits: Limits,
    /// Numbers of the hits remembered.
    number: u64,
    by: EventValues,
    values: EventValues,
    /// Hits forgotten for want of room, before their time was over.
    pub evicted: u64,
}

/// A correlation that holds, as a hit for the correlations that look at it.
struct Holding {
    rule: usize,
    event: Rc<Event>,
    query: String,
}

impl Correlator {
    /// The correlations among rules, which are named by their places there.
    #[must_use]
    pub fn new(rules: &[Rule], limits: Limits) -> Self {
        let mut correlator = Self {
            watchers: vec![Vec::new(); rules.len()],
            limits,
            ..Self::default()
        };
        for (rule, correlation) in rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.enabled)
            .filter_map(|(place, rule)| Some((place, rule.correlation()?)))
        {
            let own = correlator.correlations.len();
            for (part, of) in correlation.parts.iter().enumerate() {
                if let Some(watchers) = correlator.watchers.get_mut(of.place) {
                    watchers.push((own, part));
                }
            }
            correlator.correlations.push(Remembering {
                rule,
                correlation: correlation.clone(),
                groups: HashMap::default(),
                order: VecDeque::new(),
                bytes: 0,
                now: Timestamp::MIN,
            });
        }
        correlator
    }

    /// The rules were read anew. Correlations that are as they were, and look at rules that are, remember what they did.
    pub fn replace(&mut self, rules: &[Rule], moves: &Moves) {
        let newer = Self::new(rules, self.limits);
        let older = std::mem::replace(&mut self.correlations, newer.correlations);
        self.watchers = newer.watchers;
        for older in older {
            let Moved::Kept(place) = moves.of(older.rule) else {
                continue;
            };
            let same = self
                .correlations
                .iter_mut()
                .find(|newer| newer.rule == place);
            if let Some(same) = same {
                *same = Remembering {
                    rule: place,
                    correlation: same.correlation.clone(),
                    ..older
                };
            }
        }
    }

    /// Whether some correlation looks at the hits of the rule at that place.
    #[must_use]
    pub fn watches(&self, rule: usize) -> bool {
        self.watchers
            .get(rule)
            .is_some_and(|watchers| !watchers.is_empty())
    }

    /// Takes a hit of a rule; `hit` gets those of the correlations, also of those that others look at.
    pub fn take(
        &mut self,
        rule: usize,
        event: &Event,
        query: &str,
        hit: &mut dyn FnMut(Correlated<'_>),
    ) {
        if !self.watches(rule) {
            return;
        }
        let mut waiting = VecDeque::from([Holding {
            rule,
            event: Rc::new(event.clone()),
            query: query.to_owned(),
        }]);
        // Correlations end: the rules were joined so that none looks at itself.
        while let Some(holding) = waiting.pop_front() {
            let watchers = self.watchers.get(holding.rule).cloned().unwrap_or_default();
            for (own, part) in watchers {
                if self.remember(own, part, &holding, hit)
                    && let Some(correlation) = self.correlations.get(own)
                    && self.watches(correlation.rule)
                {
                    waiting.push_back(Holding {
                        rule: correlation.rule,
                        event: Rc::clone(&holding.event),
                        query: holding.query.clone(),
                    });
                }
            }
        }
    }

    /// Adds a hit to the groups that it belongs to; gives whether the condition holds in one of them at its time.
    fn remember(
        &mut self,
        own: usize,
        part: usize,
        holding: &Holding,
        hit: &mut dyn FnMut(Correlated<'_>),
    ) -> bool {
        let Some(remembering) = self.correlations.get_mut(own) else {
            return false;
        };
        let event = &holding.event;
        self.by.clear();
        let of = remembering.correlation.parts.get(part);
        for &field in of.map(|part| part.by.as_slice()).unwrap_or_default() {
            self.by.push_key(event, field, &holding.query);
        }
        let values = Values::of(
            &remembering.correlation.measure,
            event,
            &holding.query,
            &mut self.values,
        );
        remembering.go_to(event.time, self.limits.lateness);
        let held = Rc::new(Held {
            event: Rc::clone(event),
            query: holding.query.clone(),
            is_counted: Cell::new(false),
            bytes: bytes_of(event).saturating_add(values.bytes()),
        });
        let mut holds = false;
        let mut key = Vec::new();
        for combination in 0..self.by.combinations().min(MAX_COMBINATIONS) {
            self.by.combination(combination, &mut key);
            self.number = self.number.wrapping_add(1);
            let entry = Entry {
                time: event.time,
                number: self.number,
                part,
                values: values.clone(),
                held: Rc::clone(&held),
                is_counted: false,
            };
            holds |= remembering.add(&key, entry, hit);
            self.evicted = self
                .evicted
                .saturating_add(remembering.make_room(self.limits));
        }
        holds
    }
}

impl Remembering {
    /// Forgets what no span can reach any more. A time far before all others is another capture's.
    fn go_to(&mut self, time: Timestamp, lateness: Duration) {
        let reach = self.correlation.span.saturating_add(lateness);
        if time > self.now || time < self.now.minus(reach) {
            self.now = time;
        }
        let oldest = self.now.minus(reach);
        while self.order.front().is_some_and(|(time, ..)| *time < oldest) {
            self.forget_first();
        }
    }

    /// Forgets the hit that came first; gives whether it was still there.
    fn forget_first(&mut self) -> bool {
        let Some((_, key, number)) = self.order.pop_front() else {
            return false;
        };
        let Some(group) = self.groups.get_mut(&key) else {
            return false;
        };
        let forgotten = group.forget(number);
        if group.is_empty() {
            self.groups.remove(&key);
        }
        if let Some(entry) = &forgotten {
            self.bytes = self.bytes.saturating_sub(entry.bytes(&key));
        }
        forgotten.is_some()
    }

    /// Adds a hit to its group; gives whether the condition holds at its time.
    fn add(&mut self, key: &[u8], entry: Entry, hit: &mut dyn FnMut(Correlated<'_>)) -> bool {
        let key: Rc<[u8]> = match self.groups.get_key_value(key) {
            Some((key, _)) => Rc::clone(key),
            None => Rc::from(key),
        };
        self.bytes = self.bytes.saturating_add(entry.bytes(&key));
        self.order
            .push_back((entry.time, Rc::clone(&key), entry.number));
        let (rule, correlation) = (self.rule, &self.correlation);
        let group = self.groups.entry(Rc::clone(&key)).or_default();
        group.add(entry, correlation, &mut |entry| {
            hit(Correlated {
                rule,
                event: &entry.held.event,
                query: &entry.held.query,
                key: &key,
                is_first: !entry.held.is_counted.replace(true),
            });
        })
    }

    /// Forgets the oldest where there is too much; gives how many were forgotten.
    fn make_room(&mut self, limits: Limits) -> u64 {
        let mut forgotten = 0;
        let last = self.order.back().map(|(_, key, _)| Rc::clone(key));
        if let Some(key) = last
            && let Some(group) = self.groups.get_mut(&key)
            && group.len() > limits.group
            && let Some(entry) = group.forget_oldest()
        {
            self.bytes = self.bytes.saturating_sub(entry.bytes(&key));
            forgotten += 1;
        }
        while self.order.len() > limits.hits || self.bytes > limits.bytes {
            if self.order.is_empty() {
                break;
            }
            forgotten += u64::from(self.forget_first());
        }
        forgotten
    }
}

/// What a measure needs of a hit.
#[derive(Clone, Debug, Default)]
struct Values {
    /// Combinations of values, encoded.
    texts: Rc<[Rc<[u8]>]>,
    /// Numbers in billionths.
    numbers: Rc<[i128]>,
}

impl Values {
    fn of(measure: &Measure, event: &Event, query: &str, memory: &mut EventValues) -> Self {
        match measure {
            Measure::Count | Measure::Together(_) | Measure::Ordered(_) => Self::default(),
            Measure::Distinct(fields) => {
                memory.clear();
                for &field in fields {
                    memory.push(event, field, query);
                }
                let mut texts = Vec::new();
                for combination in 0..memory.combinations().min(MAX_COMBINATIONS) {
                    let mut text = Vec::new();
                    memory.combination(combination, &mut text);
                    texts.push(Rc::from(text));
                }
                Self {
                    texts: texts.into(),
                    ..Self::default()
                }
            }
            Measure::Sum(field) | Measure::Average(field) | Measure::Percentile(field, _) => Self {
                numbers: numbers(event, *field, query).into(),
                ..Self::default()
            },
        }
    }

    fn bytes(&self) -> usize {
        let texts: usize = self
            .texts
            .iter()
            .map(|text| text.len().saturating_add(64))
            .sum();
        texts.saturating_add(self.numbers.len().saturating_mul(size_of::<i128>()))
    }
}

fn numbers(event: &Event, field: Field, query: &str) -> Vec<i128> {
    let mut numbers = Vec::new();
    event.each_about(field, query, &mut |value| {
        numbers.extend(value.billionths())
    });
    numbers
}

/// The memory that an event takes, about.
fn bytes_of(event: &Event) -> usize {
    let records = event.answers.iter().map(|record| {
        record
            .name
            .len()
            .saturating_add(record.data.len())
            .saturating_add(size_of_val(record))
    });
    let options = event
        .edns_options
        .iter()
        .map(|option| option.len().saturating_add(24));
    let questions = event
        .other_questions
        .iter()
        .map(|name| name.len().saturating_add(24));
    let lists: usize = records.chain(options).chain(questions).sum();
    let wire = event.wire.as_ref().map_or(0, |wire| wire.held());
    size_of::<Event>()
        .saturating_add(lists)
        .saturating_add(wire)
        .saturating_add(event.query.len().saturating_mul(3))
}
