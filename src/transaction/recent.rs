//! What was seen lately: when, and something with it.

use std::hash::Hash;

use super::index::{Index, Numbers};
use crate::time::Timestamp;

/// The latest of each key, of `most` notes at most: beyond it the oldest are forgotten.
///
/// They stand in a ring, in the order in which they came, with an index of what is near the processor: most is noted and never
/// asked for.
#[derive(Debug)]
pub(super) struct Recent<K, V = ()> {
    most: u32,
    /// By the last bits of their numbers; those that were not used yet are missing at the end.
    noted: Vec<(K, Timestamp, V)>,
    numbers: Numbers,
    /// Without room until something is noted.
    index: Index,
    keys: ahash::RandomState,
}

impl<K: Copy + Eq + Hash, V: Copy> Recent<K, V> {
    /// Nothing yet.
    pub(super) fn new(most: u32) -> Self {
        Self {
            most: most.clamp(1, Index::MOST),
            noted: Vec::new(),
            numbers: Numbers::default(),
            index: Index::new(0),
            keys: ahash::RandomState::new(),
        }
    }

    /// For how many there is room: a power of two.
    const fn room(&self) -> usize {
        (self.most as usize).next_power_of_two()
    }

    const fn place(&self, number: u32) -> usize {
        number as usize & (self.room() - 1)
    }

    fn hash(&self, key: &K) -> u32 {
        (self.keys.hash_one(key) >> 32) as u32
    }

    /// Has the memory come that noting these keys takes.
    pub(super) fn fetch(&self, keys: impl Iterator<Item = K>) {
        self.index.fetch(keys.map(|key| self.hash(&key)));
    }

    /// Notes that a key was seen.
    pub(super) fn note(&mut self, key: K, time: Timestamp, with: V) {
        if self.index.room() == 0 {
            self.index = Index::new(self.room());
        }
        if self.numbers.len() >= self.most {
            self.forget_oldest();
        }
        let number = self.numbers.end;
        self.index.put(number, self.hash(&key));
        let place = self.place(number);
        match self.noted.get_mut(place) {
            Some(here) => *here = (key, time, with),
            None => self.noted.push((key, time, with)),
        }
        self.numbers.end = number.wrapping_add(1);
    }

    /// Forgets what was noted first, as long as its time is before that one.
    pub(super) fn forget_before(&mut self, time: Timestamp) {
        while !self.is_empty() {
            match self.noted.get(self.place(self.numbers.first)) {
                Some((_, noted, _)) if *noted < time => self.forget_oldest(),
                _ => return,
            }
        }
    }

    const fn forget_oldest(&mut self) {
        self.numbers.first = self.numbers.first.wrapping_add(1);
    }

    /// When a key was seen last, and what was noted with it.
    pub(super) fn get(&self, key: &K) -> Option<(Timestamp, V)> {
        self.index
            .with(self.hash(key), self.numbers)
            .filter_map(|number| self.noted.get(self.place(number)))
            .find(|(noted, ..)| noted == key)
            .map(|(_, time, with)| (*time, *with))
    }

    /// Whether nothing is remembered.
    pub(super) const fn is_empty(&self) -> bool {
        self.numbers.len() == 0
    }

    /// Forgets everything.
    pub(super) const fn clear(&mut self) {
        self.numbers.first = self.numbers.end;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut recent = Recent::new(3);
        let at = |second| Timestamp::from_parts(second, 0);
        for (key, second) in [('a', 1), ('b', 2), ('a', 3)] {
            recent.note(key, at(second), second);
        }
        assert_eq!(recent.get(&'a'), Some((at(3), 3)));
        // The first of the two `a` goes, and the later one stays.
        recent.note('c', at(4), 4);
        assert_eq!(recent.get(&'a'), Some((at(3), 3)));
        recent.note('d', at(5), 5);
        assert_eq!(recent.get(&'b'), None);
        recent.forget_before(at(4));
        assert_eq!(
            ['a', 'c', 'd'].map(|key| recent.get(&key).is_some()),
            [false, true, true]
        );
        recent.clear();
        assert!(recent.is_empty());
    }

    /// Many keys: the oldest is forgotten, and nothing else grows.
    #[test]
    fn it_is_bounded() {
        const MOST: u32 = 1 << 16;
        let mut recent = Recent::new(MOST);
        let key = |number: u32| (number % 7, number / 7 + 1);
        let first = Timestamp::from_nanos(0);
        recent.note(key(0), first, ());
        for number in 0..2 * MOST {
            // The first is seen again and again: it stays.
            let time = first.plus(Duration::from_millis(u64::from(number)));
            recent.note(key(if number % 3 == 0 { 0 } else { number }), time, ());
            assert!(recent.numbers.len() <= MOST && recent.noted.len() <= MOST as usize);
        }
        assert!(recent.get(&key(0)).is_some());
        assert_eq!(recent.get(&key(1)), None);
    }

    proptest! {
        /// Whatever is noted and forgotten: what is remembered is what a list has.
        #[test]
        fn it_remembers_what_a_list_has(steps in prop::collection::vec((0_u8..6, 0_i64..40), 0..200)) {
            const MOST: usize = 5;
            let mut recent = Recent::new(MOST as u32);
            let mut list: Vec<(u8, Timestamp, usize)> = Vec::new();
            for (at, (key, second)) in steps.into_iter().enumerate() {
                let time = Timestamp::from_parts(second, 0);
                if key == 5 {
                    recent.forget_before(time);
                    let left = list.iter().position(|(_, noted, _)| *noted >= time);
                    list.drain(..left.unwrap_or(list.len()));
                } else {
                    recent.note(key, time, at);
                    list.push((key, time, at));
                    list.drain(..list.len().saturating_sub(MOST));
                }
                for key in 0..5 {
                    let latest = list.iter().rev().find(|(noted, ..)| *noted == key);
                    prop_assert_eq!(recent.get(&key), latest.map(|(_, time, at)| (*time, *at)));
                }
                prop_assert_eq!(recent.is_empty(), list.is_empty());
            }
        }
    }
}
