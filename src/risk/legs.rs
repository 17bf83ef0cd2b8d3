//! Both legs of a resolver: which of its lookups somebody else asked for whose own lookup is a hit, too.
//!
//! A lookup by a resolver or through address translation is *passed on* where another host's, with RD set, was open at its
//! time, asked for a name that leads to it (the name itself, one below it as with QNAME minimisation (RFC 9156), or one whose
//! answer named it, as a CNAME does), and went to that resolver, or to another address than the resolver's own lookup: a
//! resolver may ask from an address that it does not answer from. Two resolvers that ask the same server are not each
//! other's clients. All of it is of one rule.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use ahash::RandomState;

use crate::event::{Event, Role};
use crate::rule::Moves;
use crate::time::Timestamp;

/// How many names are remembered, of lookups that may have been passed on and of those that may be them each; and how many
/// sources that nobody was seen behind.
const MOST: usize = 65_536;
/// How many lookups of one name are remembered of each kind.
const OF_ONE_NAME: usize = 64;
/// After so many hits what is too old to matter is forgotten.
const EVERY: u32 = 4_096;
/// How many names of one answer are followed.
const NAMES: usize = 16;
/// Packets of several interfaces may be out of order by so much.
const DISORDER: Duration = Duration::from_millis(50);
/// A resolver goes on for a while after it has answered: it fetches anew what will soon expire.
const AFTER_ANSWER: Duration = Duration::from_secs(1);

/// The place of a rule and the hash of a name.
type Name = (usize, u64);

/// A lookup that others may have been made for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    src: IpAddr,
    dest: IpAddr,
    from: Timestamp,
    until: Timestamp,
}

/// A lookup that may have been passed on.
#[derive(Clone, Copy, Debug)]
struct Passed {
    src: IpAddr,
    dest: IpAddr,
    time: Timestamp,
    role: Role,
}

impl Asked {
    fn leads_to(&self, passed: &Passed) -> bool {
        let is_open = self.from.minus(DISORDER) <= passed.time && passed.time <= self.until;
        // Address translation leaves the resolver that is asked as it is.
        let is_other_leg =
            self.dest == passed.src || self.dest != passed.dest || passed.role == Role::Nat;
        self.src != passed.src && is_open && is_other_leg
    }
}

/// The lookups that nobody is known to have asked for, and those that may be what somebody did.
#[derive(Debug)]
pub(super) struct Legs {
    /// How long after its `_time` an event is made at most; so long a lookup without an answer counts as open.
    longest: Duration,
    asked: HashMap<Name, VecDeque<Asked>, RandomState>,
    /// Those that may still meet the lookup that they were made for.
    waiting: HashMap<Name, VecDeque<Passed>, RandomState>,
    /// The first and the last time of those that did not.
    alone: HashMap<(Name, IpAddr), (Timestamp, Timestamp), RandomState>,
    /// Up to this time some that did not are forgotten.
    forgotten: Option<Timestamp>,
    now: Timestamp,
    hits: u32,
    names: RandomState,
}

impl Legs {
    /// Nothing yet. An event comes so long after its `_time` at most.
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            longest,
            asked: HashMap::default(),
            waiting: HashMap::default(),
            alone: HashMap::default(),
            forgotten: None,
            now: Timestamp::MIN,
            hits: 0,
            names: RandomState::new(),
        }
    }

    /// Sees a hit of a rule.
    pub(super) fn see(&mut self, rule: usize, event: &Event, query: &str) {
        self.now = self.now.max(event.time);
        self.hits = self.hits.wrapping_add(1);
        if self.hits.is_multiple_of(EVERY) || self.is_full() {
            self.forget_old();
        }
        if event.src_role != Role::Client {
            let passed = Passed {
                src: event.src,
                dest: event.dest,
                time: event.time,
                role: event.src_role,
            };
            let name = (rule, self.names.hash_one(query));
            let asked = self.asked.get(&name);
            if !asked.is_some_and(|asked| asked.iter().any(|asked| asked.leads_to(&passed))) {
                let waiting = self.waiting.entry(name).or_default();
                waiting.push_back(passed);
                if waiting.len() > OF_ONE_NAME
                    && let Some(oldest) = waiting.pop_front()
                {
                    self.leave_alone(name, &oldest);
                }
            }
        }
        if !event.recursion_desired() {
            return;
        }
        let asked = Asked {
            src: event.src,
            dest: event.dest,
            from: event.time,
            until: match event.duration {
                Some(nanos) => event
                    .time
                    .plus(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
                    .plus(AFTER_ANSWER),
                None => event.time.plus(self.longest),
            },
        };
        let aliases = event
            .answers
            .iter()
            .filter(|record| matches!(record.record_type.as_ref(), "CNAME" | "DNAME"))
            .map(|record| record.data.as_str());
        let mut names: Vec<Name> = std::iter::once(query)
            .chain(aliases.take(NAMES))
            .flat_map(with_parents)
            .map(|text| (rule, self.names.hash_one(text)))
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            if let Some(waiting) = self.waiting.get_mut(&name) {
                waiting.retain(|passed| !asked.leads_to(passed));
            }
            let of_name = self.asked.entry(name).or_default();
            if of_name.len() >= OF_ONE_NAME {
                of_name.pop_front();
            }
            of_name.push_back(asked);
        }
    }

    /// Whether all lookups of a name by a source from the first of these times to the second were passed on. To be asked of
    /// those alone whose role was no client's when they were seen.
    pub(super) fn is_passed_on(
        &self,
        rule: usize,
        src: IpAddr,
        query: &str,
        (first, last): (Timestamp, Timestamp),
    ) -> bool {
        let name = (rule, self.names.hash_one(query));
        let is_within = |time: Timestamp| first <= time && time <= last;
        let waits = self.waiting.get(&name).is_some_and(|waiting| {
            let mut waiting = waiting.iter();
            waiting.any(|passed| passed.src == src && is_within(passed.time))
        });
        let is_alone = self
            .alone
            .get(&(name, src))
            .is_some_and(|(from, until)| *from <= last && first <= *until);
        let is_forgotten = self.forgotten.is_some_and(|until| first <= until);
        !waits && !is_alone && !is_forgotten
    }

    /// The rules were read anew.
    pub(super) fn replace(&mut self, moves: &Moves) {
        let named = |(rule, name): Name| Some((moves.named(rule)?, name));
        let asked = std::mem::take(&mut self.asked).into_iter();
        self.asked = asked
            .filter_map(|(name, it)| Some((named(name)?, it)))
            .collect();
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        self.waiting = waiting
            .filter_map(|(name, it)| Some((named(name)?, it)))
            .collect();
        let alone = std::mem::take(&mut self.alone).into_iter();
        self.alone = alone
            .filter_map(|((name, src), it)| Some(((named(name)?, src), it)))
            .collect();
    }

    /// The windows of a rule that begin before that time are over.
    pub(super) fn forget_before(&mut self, rule: usize, time: Timestamp) {
        self.alone
            .retain(|((other, _), _), (_, last)| *other != rule || *last >= time);
    }

    fn is_full(&self) -> bool {
        self.asked.len() >= MOST || self.waiting.len() >= MOST || self.alone.len() >= MOST
    }

    /// Forgets what can meet nothing any more, and, where there is still too much, all of it: resolvers are then scored though
    /// their clients are, too.
    fn forget_old(&mut self) {
        // Events come in the order of their ends: two that overlap are no further apart.
        let before = self.now.minus(self.longest.saturating_mul(2));
        self.asked.retain(|_, asked| {
            asked.retain(|asked| asked.until >= before);
            !asked.is_empty()
        });
        if self.asked.len() >= MOST {
            self.asked.clear();
        }
        let all = self.waiting.len() >= MOST;
        let mut old: Vec<(Name, Passed)> = Vec::new();
        self.waiting.retain(|name, waiting| {
            waiting.retain(|passed| {
                let keep = !all && passed.time >= before;
                if !keep {
                    old.push((*name, *passed));
                }
                keep
            });
            !waiting.is_empty()
        });
        for (name, passed) in old {
            self.leave_alone(name, &passed);
        }
        if self.alone.len() >= MOST {
            let latest = self.alone.values().map(|(_, last)| *last).max();
            self.forgotten = self.forgotten.max(latest);
            self.alone.clear();
        }
    }

    fn leave_alone(&mut self, name: Name, passed: &Passed) {
        let time = passed.time;
        let (first, last) = self.alone.entry((name, passed.src)).or_insert((time, time));
        *first = time.min(*first);
        *last = time.max(*last);
    }
}

/// A name and those above it that have two labels at least.
fn with_parents(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| parent(name))
}

fn parent(name: &str) -> Option<&str> {
    let (_, parent) = name.split_once('.')?;
    parent.contains('.').then_some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_parents() {
        let all: Vec<&str> = with_parents("a.b.ngrok.io").collect();
        assert_eq!(all, ["a.b.ngrok.io", "b.ngrok.io", "ngrok.io"]);
        assert_eq!(with_parents("io").collect::<Vec<_>>(), ["io"]);
        assert_eq!(with_parents(".").collect::<Vec<_>>(), ["."]);
    }
}
