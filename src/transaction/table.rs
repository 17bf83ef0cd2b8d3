//! The table of open and lingering transactions: found by their identity, closed in the order of their times.

use std::cmp::Reverse;
use std::collections::VecDeque;

use super::arrival::{Identity, Key, KeyHash, Link, QuestionHash};
use super::index::{Index, Numbers};
use super::ring::{self, Ring};
use super::slot::{Slot, State};
use super::waits::Waits;
use crate::time::Timestamp;

/// What the index goes by: everything that a query has in common with a response from another address. The last bits
/// choose the chain; the one that tells TCP is not among them.
const fn index_key(key: KeyHash) -> u32 {
    key.without_resolver.rotate_right(1)
}

/// A slot and the time for which it was put into the queue.
type Queued = (u32, Timestamp);

/// What was found for a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Its transaction.
    pub(super) number: Option<u32>,
    /// There is no other with the same addresses, ports and ID either.
    pub(super) is_alone: bool,
}

/// The slots, and an index over them.
///
/// They stand in a ring, one behind the other as they came, or as their time changed, since then they go to the end: so most of
/// them are written once, and swept away in that order, which is how memory is quickest. A queue beside it has those that wait
/// for a moment only.
#[derive(Debug)]
pub(super) struct Table {
    slots: Ring<Slot>,
    numbers: Numbers,
    /// All before this one were due, but for those in the queue.
    due: u32,
    len: usize,
    index: Index,
    short: VecDeque<Queued>,
}

impl Table {
    /// The most numbers in use at once.
    const NUMBERS: u32 = Index::MOST - ring::BLOCK;
    /// The most that it takes: of all the numbers in use about half may be of slots that were taken out.
    pub(super) const MOST: usize = Index::MOST.div_ceil(2) as usize;
    /// Room in the index to begin with: as many as a busy resolver has in five seconds.
    const USUAL: usize = 1 << 18;

    /// An empty table.
    pub(super) fn new() -> Self {
        Self::with_room(Self::USUAL)
    }

    /// An empty table with an index for so many, a power of two.
    pub(super) fn with_room(room: usize) -> Self {
        Self {
            slots: Ring::new(Index::MOST + 1),
            numbers: Numbers::default(),
            due: 0,
            len: 0,
            index: Index::new(room),
            short: VecDeque::new(),
        }
    }

    /// The number of transactions.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// For how many the index has room.
    pub(super) const fn room(&self) -> usize {
        self.index.room()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Slot> {
        self.slots.place_mut(number)?.as_mut()
    }

    /// Has the memory come that looking for these keys takes.
    #[inline(always)]
    pub(super) fn fetch(&self, keys: impl Iterator<Item = KeyHash>) {
        self.index.fetch(keys.map(index_key));
    }

    /// Whether a wanted query with that key waits, which asks the same between the same hosts as another key has.
    pub(super) fn asks(&self, key: KeyHash, other: &Key, question: QuestionHash) -> bool {
        self.chain(key)
            .filter(|(_, slot)| {
                slot.key == key && slot.state == State::Open && slot.question == question
            })
            .filter_map(|(_, slot)| slot.wanted.as_ref())
            .any(|query| (query.key.client, query.key.resolver) == (other.client, other.resolver))
    }

    /// The transactions with the same key, whoever was asked for whatever.
    #[inline(always)]
    fn chain(&self, key: KeyHash) -> impl Iterator<Item = (u32, &Slot)> {
        let numbers = self.index.with(index_key(key), self.numbers);
        numbers.filter_map(move |number| {
            let slot = self.slots.get(number)?;
            (slot.key.without_resolver == key.without_resolver).then_some((number, slot))
        })
    }

    /// The transactions with that identity, in whatever network.
    fn with(&self, identity: &Identity) -> impl Iterator<Item = (u32, &Slot)> {
        self.chain(identity.key)
            .filter(|(_, slot)| slot.is(identity))
    }

    /// Notes that the transactions with that identity were seen in its network too.
    pub(super) fn seen_in(&mut self, identity: &Identity) {
        let found = self.with(identity).next().map(|(number, _)| number);
        if let Some(slot) = found.and_then(|number| self.get_mut(number)) {
            slot.seen_in(identity.network);
        }
    }

    /// Of the transactions with that identity the one in its network, else the one elsewhere that suits best. Nearly always
    /// it is the first one, so the callers look at that before.
    #[cold]
    fn here_or_elsewhere(
        &self,
        identity: &Identity,
        [best, next]: [&dyn Fn(&Slot) -> bool; 2],
    ) -> Option<u32> {
        let here = |slot: &Slot| slot.is_in(identity.network);
        [&here, best, next]
            .into_iter()
            .find_map(|suits| {
                let fitting = self.with(identity).filter(|(_, slot)| suits(slot));
                // That a query was repeated makes it no newer.
                fitting.min_by_key(|(_, slot)| Reverse(slot.first))
            })
            .map(|(number, _)| number)
    }

    /// The transaction of a query: that with its identity in its network; else one elsewhere, where this is the same packet
    /// or a response that came before it.
    #[inline(always)]
    pub(super) fn find_for_query(&self, identity: &Identity, link: &Link, waits: &Waits) -> Found {
        let is_alone = self.chain(identity.key).next().is_none();
        Found {
            number: if is_alone {
                None
            } else {
                self.find_for_query_here_or_elsewhere(identity, link, waits)
            },
            is_alone,
        }
    }

    #[inline(never)]
    fn find_for_query_here_or_elsewhere(
        &self,
        identity: &Identity,
        link: &Link,
        waits: &Waits,
    ) -> Option<u32> {
        match self.chain(identity.key).find(|(_, slot)| slot.is(identity)) {
            Some((number, slot)) if slot.is_in(identity.network) => Some(number),
            Some(_) => {
                let copied = |slot: &Slot| slot.is_query_copy(identity.network, link);
                let answered =
                    |slot: &Slot| slot.state == State::ResponseOnly && slot.waits_for(link, waits);
                self.here_or_elsewhere(identity, [&copied, &answered])
            }
            None => None,
        }
    }

    /// The transaction of a response: that with its identity in its network; else one elsewhere that has no partner yet;
    /// else one with the same addresses, ports and ID where one of the two has no question, an open one first; else one
    /// whose query was sent to another address.
    #[inline(always)]
    pub(super) fn find_for_response(&self, identity: &Identity, link: &Link) -> Option<u32> {
        match self.chain(identity.key).next() {
            None => None,
            Some((number, slot)) if slot.is(identity) && slot.is_in(identity.network) => {
                Some(number)
            }
            Some(_) => self.find_for_response_here_or_elsewhere(identity, link),
        }
    }

    #[inline(never)]
    fn find_for_response_here_or_elsewhere(&self, identity: &Identity, link: &Link) -> Option<u32> {
        let network = identity.network;
        if let Some((number, slot)) = self.with(identity).next() {
            if slot.is_in(network) {
                return Some(number);
            }
            let copied = |slot: &Slot| slot.is_response_copy(network, link);
            let open = |slot: &Slot| slot.state == State::Open;
            return self.here_or_elsewhere(identity, [&copied, &open]);
        }
        let without_question = self
            .chain(identity.key)
            .filter(|(_, slot)| {
                slot.key == identity.key
                    && matches!(slot.state, State::Open | State::Answered)
                    && (identity.question.is_none() || slot.question.is_none())
            })
            .min_by_key(|(_, slot)| (slot.state != State::Open, slot.first));
        if without_question.is_some() || identity.key.is_stream() || identity.question.is_none() {
            return without_question.map(|(number, _)| number);
        }
        let says_the_same = |slot: &Slot| slot.state == State::Answered && slot.says_the_same(link);
        self.chain(identity.key)
            .filter(|(_, slot)| {
                slot.question == identity.question
                    && (slot.state == State::Open || says_the_same(slot))
            })
            .min_by_key(|(_, slot)| (!says_the_same(slot), !slot.is_in(network), slot.first))
            .map(|(number, _)| number)
    }

    /// The first of the transactions with the same key, where there are `most` of them or more.
    pub(super) fn crowded(&self, identity: &Identity, most: usize) -> Option<u32> {
        self.chain(identity.key).nth(most)?;
        self.chain(identity.key)
            .min_by_key(|(_, slot)| slot.first)
            .map(|(number, _)| number)
    }

    /// Puts a transaction at the end.
    #[inline(always)]
    pub(super) fn insert(&mut self, slot: Slot) -> u32 {
        if self.numbers.len() as usize >= self.room() || self.numbers.len() >= Self::NUMBERS {
            self.make_room();
        }
        let waits_shortly = slot.is_short().then_some(slot.latest);
        let number = self.put(slot);
        if let Some(time) = waits_shortly {
            self.queue(number, time);
        }
        number
    }

    /// Puts one where there is room.
    #[inline(always)]
    fn put(&mut self, slot: Slot) -> u32 {
        let number = self.numbers.end;
        self.index.put(number, index_key(slot.key));
        self.slots.put(number, slot);
        self.numbers.end = number.wrapping_add(1);
        self.len += 1;
        number
    }

    /// Puts one that waits for a moment at the end of the queue.
    fn queue(&mut self, number: u32, time: Timestamp) {
        self.short.push_back((number, time));
        // Those that were answered leave dead items behind; they may not outgrow the living.
        if self.short.len() > 4096 && self.short.len() / 4 > self.len {
            let mut short = std::mem::take(&mut self.short);
            short.retain(|queued| self.standing(queued).is_some());
            self.short = short;
        }
    }

    /// Moves the beginning past a number that is nobody's any more.
    #[inline(always)]
    fn pass_first(&mut self) {
        self.slots.is_past(self.numbers.first);
        self.numbers.first = self.numbers.first.wrapping_add(1);
    }

    /// Makes room for more numbers: an index for twice as many where more than half of them are in use, else there are gaps.
    #[cold]
    fn make_room(&mut self) {
        if self.len > self.room() / 2 && self.numbers.len() < Self::NUMBERS {
            self.index = Index::new(self.room() * 2);
            for age in 0..self.numbers.len() {
                let number = self.numbers.first.wrapping_add(age);
                if let Some(slot) = self.slots.get(number) {
                    self.index.put(number, index_key(slot.key));
                }
            }
        } else {
            self.number_anew();
        }
    }

    /// Numbers the slots anew, without gaps.
    fn number_anew(&mut self) {
        let mut before = std::mem::replace(self, Self::with_room(self.room()));
        let mut moved: Vec<(u32, u32)> = Vec::new();
        for age in 0..before.numbers.len() {
            let number = before.numbers.first.wrapping_add(age);
            let slot = before.slots.place_mut(number).and_then(Option::take);
            before.slots.is_past(number);
            if let Some(slot) = slot {
                if slot.is_short() {
                    moved.push((age, self.numbers.end));
                }
                self.put(slot);
            }
        }
        for (number, time) in before.short {
            let age = number.wrapping_sub(before.numbers.first);
            let at = moved.binary_search_by_key(&age, |(age, _)| *age);
            if let Some((_, to)) = at.ok().and_then(|at| moved.get(at)) {
                self.short.push_back((*to, time));
            }
        }
    }

    /// Takes a transaction out.
    pub(super) fn remove(&mut self, number: u32) -> Option<Slot> {
        let slot = self.slots.place_mut(number)?.take()?;
        if number == self.numbers.first {
            // Of the oldest the index need not be told.
            self.pass_first();
            if self.due == number {
                self.due = self.numbers.first;
            }
        } else {
            self.index.take(number, index_key(slot.key), self.numbers);
        }
        self.len -= 1;
        Some(slot)
    }

    /// Forgets those that were answered and lingered long enough, up to the first that is due for more than that: nearly all. They
    /// are the oldest, of which the index need not be told.
    pub(super) fn forget_lingering(
        &mut self,
        now: Timestamp,
        waits: &Waits,
        mut forgotten: impl FnMut(&Slot),
    ) {
        while self.due != self.numbers.end {
            let Some(here) = self.slots.place_mut(self.due) else {
                return;
            };
            match here {
                Some(slot) if slot.state == State::Answered => {
                    if slot.swept(waits) > now {
                        return;
                    }
                    forgotten(slot);
                    *here = None;
                    self.len -= 1;
                }
                Some(slot) if !slot.is_short() => return,
                Some(_) | None => {}
            }
            if self.numbers.first == self.due && here.is_none() {
                self.pass_first();
            }
            self.due = self.due.wrapping_add(1);
        }
    }

    /// Puts a transaction at the end whose time or whose state has changed.
    pub(super) fn touch(&mut self, number: u32) -> Option<u32> {
        let slot = self.remove(number)?;
        Some(self.insert(slot))
    }

    /// The transaction that is due first, where it is due by `now`. It does not come again: whoever asked removes, forgets or
    /// touches it.
    pub(super) fn next_due(&mut self, now: Timestamp, waits: &Waits) -> Option<u32> {
        while self.numbers.first != self.due && self.slots.get(self.numbers.first).is_none() {
            self.pass_first();
        }
        let long = self.long_due(now, waits);
        match self.short_due(now, waits) {
            Some(short) if long.is_none_or(|long| short < long) => {
                self.short.pop_front().map(|(number, _)| number)
            }
            _ => {
                long?;
                let number = self.due;
                self.due = number.wrapping_add(1);
                Some(number)
            }
        }
    }

    /// When the first is due that waits for a timeout, where that is by `now`.
    fn long_due(&mut self, now: Timestamp, waits: &Waits) -> Option<Timestamp> {
        while self.due != self.numbers.end {
            match self.slots.get(self.due) {
                Some(slot) if !slot.is_short() => {
                    return Some(slot.swept(waits)).filter(|due| *due <= now);
                }
                _ => self.due = self.due.wrapping_add(1),
            }
        }
        None
    }

    /// The same of those that wait for a moment.
    fn short_due(&mut self, now: Timestamp, waits: &Waits) -> Option<Timestamp> {
        while let Some(queued) = self.short.front() {
            let (_, time) = *queued;
            // The time in the queue tells without a look at the slot.
            let due = time.after(waits.short_swept);
            if due > now {
                return None;
            }
            if self.standing(queued).is_some() {
                return Some(due);
            }
            self.short.pop_front();
        }
        None
    }

    /// The slot of a queue's item, where the item still stands for it.
    fn standing(&self, (number, time): &Queued) -> Option<&Slot> {
        let slot = self
            .numbers
            .has(*number)
            .then(|| self.slots.get(*number))??;
        (slot.is_short() && slot.latest == *time).then_some(slot)
    }
}
