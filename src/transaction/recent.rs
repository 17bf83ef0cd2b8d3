//! What was seen lately: when, and something with it.

use std::collections::VecDeque;
use std::hash::Hash;

use crate::time::Timestamp;

/// The latest of each key, of `most` keys at most: beyond it the oldest are forgotten.
#[derive(Debug)]
pub(super) struct Recent<K, V = ()> {
    most: usize,
    seen: hashbrown::HashMap<K, (Timestamp, V), ahash::RandomState>,
    /// One item for each time that something was noted; where it was noted again since, the item stands for nothing.
    order: VecDeque<(K, Timestamp)>,
}

impl<K: Copy + Eq + Hash, V: Copy> Recent<K, V> {
    /// Nothing yet.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            seen: hashbrown::HashMap::default(),
            order: VecDeque::new(),
        }
    }

    /// Notes that a key was seen.
    pub(super) fn note(&mut self, key: K, time: Timestamp, with: V) {
        while self.order.len() >= self.most {
            self.forget_oldest();
        }
        self.seen.insert(key, (time, with));
        self.order.push_back((key, time));
    }

    /// Forgets what was noted first, as long as its time is before that one.
    pub(super) fn forget_before(&mut self, time: Timestamp) {
        while self.order.front().is_some_and(|(_, seen)| *seen < time) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((key, time)) = self.order.pop_front()
            && self
                .seen
                .get(&key)
                .is_some_and(|(latest, _)| *latest == time)
        {
            self.seen.remove(&key);
        }
    }

    /// When a key was seen last, and what was noted with it.
    pub(super) fn get(&self, key: &K) -> Option<(Timestamp, V)> {
        self.seen.get(key).copied()
    }

    /// Whether nothing is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.seen.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        const MOST: usize = 1 << 16;
        let mut recent = Recent::new(MOST);
        let key = |number: u32| (number % 7, number / 7 + 1);
        let first = Timestamp::from_nanos(0);
        recent.note(key(0), first, ());
        for number in 0..2 * MOST as u32 {
            // The first is seen again and again: it stays.
            let time = first.plus(Duration::from_millis(u64::from(number)));
            recent.note(key(if number % 3 == 0 { 0 } else { number }), time, ());
            assert!(recent.order.len() <= MOST);
            assert!(recent.seen.len() <= recent.order.len());
        }
        assert!(recent.seen.contains_key(&key(0)));
        assert!(!recent.seen.contains_key(&key(1)));
    }
}
