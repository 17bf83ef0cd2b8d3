//! A hash table that remembers in which order its entries were started.

use std::collections::VecDeque;

use ahash::RandomState;
use hashbrown::HashTable;

/// What a table holds: a thing that can hash its own key.
pub(super) trait Entry {
    /// The hash of its key.
    fn hash(&self, state: &RandomState) -> u64;
    /// Its share of the memory in bytes, about.
    fn bytes(&self) -> usize;
}

/// Entries found by their key and given up in the order in which they were started.
#[derive(Debug)]
pub(super) struct Table<T> {
    /// The numbers of the entries, found by the hash of their keys.
    index: HashTable<u64>,
    entries: VecDeque<T>,
    /// The number of the first of `entries`; the others follow without a gap.
    first: u64,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            index: HashTable::new(),
            entries: VecDeque::new(),
            first: 0,
        }
    }
}

impl<T: Entry> Table<T> {
    /// The entry of that hash for which `same` holds.
    pub(super) fn find(&mut self, hash: u64, same: impl Fn(&T) -> bool) -> Option<&mut T> {
        let Self {
            index,
            entries,
            first,
        } = self;
        let at = |number: u64| usize::try_from(number.wrapping_sub(*first)).unwrap_or(usize::MAX);
        let number = index.find(hash, |number| entries.get(at(*number)).is_some_and(&same))?;
        entries.get_mut(at(*number))
    }

    /// Adds an entry whose key is not there yet.
    pub(super) fn push(&mut self, hash: u64, entry: T, state: &RandomState) {
        let Self {
            index,
            entries,
            first,
        } = self;
        let number = first.wrapping_add(entries.len() as u64);
        entries.push_back(entry);
        index.insert_unique(hash, number, |number| {
            usize::try_from(number.wrapping_sub(*first))
                .ok()
                .and_then(|at| entries.get(at))
                .map_or(0, |entry| entry.hash(state))
        });
    }

    /// Takes out the entry that was started first.
    pub(super) fn pop(&mut self, state: &RandomState) -> Option<T> {
        let entry = self.entries.pop_front()?;
        let number = self.first;
        self.first = self.first.wrapping_add(1);
        if let Ok(found) = self
            .index
            .find_entry(entry.hash(state), |other| *other == number)
        {
            found.remove();
        }
        Some(entry)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The number that the next entry will have: how many were started so far.
    pub(super) fn started(&self) -> u64 {
        self.first.wrapping_add(self.entries.len() as u64)
    }

    /// The entries with their numbers, in the order in which they were started.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        (self.first..).zip(&self.entries)
    }

    /// The same, giving up the table.
    pub(super) fn into_entries(self) -> impl Iterator<Item = (u64, T)> {
        (self.first..).zip(self.entries)
    }
}
