//! Candidates: which lists of patterns cover a name, found by the name's end instead of one pattern after the other.
//!
//! Every pattern with a literal end of whole parts (`ngrok.com` of `*.ngrok.com`) is filed under that end. A name is looked
//! up at those of its own ends that have a depth at which anything is filed, so that a million patterns cost what one
//! costs: a few look-ups in a hash table keyed against attackers' choice of names. What is found is then compared. A small
//! filter stands before the table, because a table of a million entries is far from the processor and the filter is not.
//!
//! A pattern without such an end (`*tunnel*`) is filed under its longest literal; one walk over the name finds all of those
//! that are in it. Only what has neither (`*`) is compared with every name.

mod beginnings;
mod bits;
mod literals;
mod tails;

use std::sync::Arc;

use hashbrown::HashTable;

use super::pattern::{Pattern, Patterns};
use literals::{Chains, Literals};
use tails::Tails;

/// Deeper ends are not filed: as many bits as the mask of depths has.
const DEEPEST: u32 = 63;

/// How many patterns with the same end (or without one) are compared before a name is wanted unseen: the bound on what
/// [`Index::wants`] costs.
const COMPARED: usize = 64;

/// Bits of the filter for each filed end: 1 MiB for a million of them, and about one end in twenty passes that should not.
const FILTER_BITS: usize = 8;

/// After the last pattern of a chain.
const END: u32 = u32::MAX;

/// One filed pattern.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The list.
    list: u32,
    /// The place in it.
    place: u32,
    /// The next entry with the same end.
    next: u32,
}

/// Lists of patterns on names, by the names' ends.
#[derive(Debug, Default)]
pub(super) struct Index {
    lists: Vec<Arc<Patterns>>,
    entries: Vec<Entry>,
    /// The first entry of each chain.
    heads: HashTable<u32>,
    /// Two bits in one word for each filed end; the number of words is a power of two.
    filter: Vec<u64>,
    /// Bit n is set where an end of n parts is filed.
    depths: u64,
    /// The literals of the patterns without an end.
    literals: Literals,
    /// Entries without an end and without a literal.
    endless: Vec<u32>,
    /// What the last bytes of a filed end are.
    tails: Tails,
    hasher: ahash::RandomState,
}

impl Index {
    /// Files the patterns of all lists; a list goes by its place.
    pub(super) fn new(lists: Vec<Arc<Patterns>>) -> Self {
        let total = lists.iter().map(|patterns| patterns.len()).sum();
        let mut index = Self {
            entries: Vec::with_capacity(total),
            heads: HashTable::with_capacity(total),
            filter: vec![
                0;
                total
                    .saturating_mul(FILTER_BITS)
                    .div_ceil(64)
                    .next_power_of_two()
            ],
            lists: Vec::new(),
            ..Self::default()
        };
        let mut chains = Chains::default();
        for (list, patterns) in (0..).zip(&lists) {
            index.lists.push(Arc::clone(patterns));
            for place in (0..).take(patterns.len()) {
                let entry = Entry {
                    list,
                    place,
                    next: END,
                };
                index.file(entry, &lists, &mut chains);
            }
        }
        match Literals::new(chains) {
            Ok(literals) => index.literals = literals,
            // Too many to be found: their patterns are compared with every name.
            Err(heads) => {
                let compared: Vec<u32> = heads.iter().flat_map(|head| index.chain(*head)).collect();
                index.endless.extend(compared);
            }
        }
        index.endless.shrink_to_fit();
        let ends = index
            .heads
            .iter()
            .filter_map(|head| end(&index.lists, &index.entries, *head));
        index.tails = Tails::of(ends);
        if !index.endless.is_empty() {
            index.let_all_pass();
        }
        index
    }

    /// From now on every name passes the first look.
    pub(super) fn let_all_pass(&mut self) {
        self.tails = Tails::default();
    }

    /// The lists, in the order given.
    pub(super) fn lists(&self) -> &[Arc<Patterns>] {
        &self.lists
    }

    fn file<'a>(&mut self, mut entry: Entry, lists: &'a [Arc<Patterns>], chains: &mut Chains<'a>) {
        let entries = &self.entries;
        let Ok(number) = u32::try_from(entries.len()) else {
            return;
        };
        let suffix = pattern(lists, entry)
            .and_then(Pattern::suffix)
            .map(|suffix| {
                (
                    suffix,
                    memchr::memchr_iter(b'.', suffix).count().saturating_add(1),
                )
            })
            .filter(|(_, depth)| *depth <= usize::try_from(DEEPEST).unwrap_or(0));
        match suffix {
            Some((suffix, depth)) => {
                self.depths |= 1 << depth;
                let of = |head: &u32| end(lists, entries, *head);
                let hash = self.hasher.hash_one(suffix);
                let (word, bits) = filter_bits(hash, self.filter.len());
                if let Some(word) = self.filter.get_mut(word) {
                    *word |= bits;
                }
                let slot = self.heads.entry(
                    hash,
                    |head| of(head) == Some(suffix),
                    |head| self.hasher.hash_one(of(head).unwrap_or_default()),
                );
                match slot {
                    hashbrown::hash_table::Entry::Occupied(mut head) => {
                        entry.next = std::mem::replace(head.get_mut(), number);
                    }
                    hashbrown::hash_table::Entry::Vacant(place) => {
                        place.insert(number);
                    }
                }
            }
            None => match pattern(lists, entry).and_then(|it| Some((it.literal()?, it.prefix()))) {
                Some((literal, prefix)) => {
                    entry.next = chains.begin(literal, prefix, number).unwrap_or(END);
                }
                None => self.endless.push(number),
            },
        }
        self.entries.push(entry);
    }

    /// Whether any list may cover the name with this wire form: lower case, without escapes and the root's empty label. Never
    /// false where one does.
    #[inline(always)]
    pub(super) fn may_want(&self, wire: &[u8]) -> bool {
        self.tails.may_hold(wire) || self.literals.may_be_in(wire)
    }

    /// Whether any list may cover a name (lower case, presentation form). Never false where one does; true without a
    /// look where too many patterns share an end.
    pub(super) fn wants(&self, name: &[u8]) -> bool {
        let covers = |pattern: Pattern<'_>| pattern.covers(name);
        let is_compared = self.endless.len() <= COMPARED;
        if !is_compared
            || self.endless.iter().any(|number| {
                self.entry(*number)
                    .is_some_and(|(_, pattern)| covers(pattern))
            })
        {
            return true;
        }
        let mut wants = |head| {
            let mut next = head;
            for _ in 0..COMPARED {
                let Some((entry, pattern)) = self.entry(next) else {
                    return false;
                };
                if covers(pattern) {
                    return true;
                }
                next = entry.next;
            }
            next != END
        };
        self.each_head(name, &mut wants) || self.literals.each_head(name, &mut wants)
    }

    /// Calls `found` with the place of each list that covers a name (lower case, presentation form); more than once
    /// where several of its patterns do.
    pub(super) fn each_covering(&self, name: &[u8], found: &mut dyn FnMut(u32)) {
        self.each_pattern(name, &mut |list, _| found(list));
    }

    /// The same, with the place of the pattern in its list.
    pub(super) fn each_pattern(&self, name: &[u8], found: &mut dyn FnMut(u32, u32)) {
        for number in &self.endless {
            if let Some((entry, pattern)) = self.entry(*number)
                && pattern.covers(name)
            {
                found(entry.list, entry.place);
            }
        }
        let mut compare = |head| {
            let mut next = head;
            while let Some((entry, pattern)) = self.entry(next) {
                if pattern.covers(name) {
                    found(entry.list, entry.place);
                }
                next = entry.next;
            }
            false
        };
        self.each_head(name, &mut compare);
        self.literals.each_head(name, &mut compare);
    }

    /// Calls `visit` with the chain of each end of a name, shortest first, until it says true; whether it did.
    fn each_head(&self, name: &[u8], visit: &mut dyn FnMut(u32) -> bool) -> bool {
        let mut depth = 0u32;
        let starts = memchr::memrchr_iter(b'.', name)
            .map(|dot| dot.saturating_add(1))
            .chain([0]);
        for start in starts {
            depth = depth.saturating_add(1);
            let left = self.depths.checked_shr(depth).unwrap_or(0);
            if left == 0 {
                return false;
            }
            if left & 1 == 0 {
                continue;
            }
            let suffix = name.get(start..).unwrap_or_default();
            let hash = self.hasher.hash_one(suffix);
            let (word, bits) = filter_bits(hash, self.filter.len());
            if self.filter.get(word).is_none_or(|word| word & bits != bits) {
                continue;
            }
            let head = self.heads.find(hash, |head| {
                end(&self.lists, &self.entries, *head) == Some(suffix)
            });
            if let Some(&head) = head
                && visit(head)
            {
                return true;
            }
        }
        false
    }

    /// The numbers of a chain's entries.
    fn chain(&self, head: u32) -> Vec<u32> {
        let next = |number: &u32| self.entry(*number).map(|(entry, _)| entry.next);
        std::iter::successors(Some(head), next)
            .filter(|number| *number != END)
            .collect()
    }

    fn entry(&self, number: u32) -> Option<(Entry, Pattern<'_>)> {
        let entry = *self.entries.get(usize::try_from(number).ok()?)?;
        Some((entry, pattern(&self.lists, entry)?))
    }
}

/// Which word of the filter stands for a hash, and which of its bits; other bits of the hash than the table looks at.
fn filter_bits(hash: u64, words: usize) -> (usize, u64) {
    let word = usize::try_from(hash >> 20 & 0xffff_ffff).unwrap_or(0) & words.saturating_sub(1);
    (word, 1 << (hash & 63) | 1 << (hash >> 6 & 63))
}

fn pattern(lists: &[Arc<Patterns>], entry: Entry) -> Option<Pattern<'_>> {
    lists
        .get(usize::try_from(entry.list).ok()?)?
        .get(usize::try_from(entry.place).ok()?)
}

/// The end under which an entry is filed.
fn end<'a>(lists: &'a [Arc<Patterns>], entries: &[Entry], number: u32) -> Option<&'a [u8]> {
    pattern(lists, *entries.get(usize::try_from(number).ok()?)?)?.suffix()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pattern::Shape;
    use super::tails::wire;
    use super::*;

    proptest! {
        /// The looks before the comparison turn no name away that a pattern covers. `0`, `1` and `-` are lengths of labels, too.
        #[test]
        fn no_name_is_lost_before_it_is_compared(
            patterns in prop::collection::vec(
                (any::<bool>(), "[*]?[.]?([ab*]{1,3}[.]){0,3}([ab01-]{1,6}|[ab]{5,12})[*]?"), 1..5),
            names in prop::collection::vec("([ab01-]{1,3}[.]){0,4}([ab]{1,6}|[ab01-]{30,50}[.]com)", 1..20),
            shared in any::<prop::sample::Index>(),
        ) {
            // Few patterns cover a name by chance.
            let names = names.iter().cloned().chain(patterns.iter().map(|(_, text)| {
                let part = names.get(shared.index(names.len())).map_or("", |name| name.as_str());
                let text = text.replace('*', part);
                text.trim_matches('.').replace("..", ".")
            }));
            let names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
            let lists = patterns
                .iter()
                .map(|(is_domain, text)| {
                    let mut list = Patterns::new();
                    let shape = if *is_domain { Shape::Domain } else { Shape::Glob };
                    list.add(shape, text).unwrap();
                    Arc::new(list)
                })
                .collect();
            let index = Index::new(lists);
            for name in &names {
                let mut covered = false;
                index.each_covering(name.as_bytes(), &mut |_| covered = true);
                let naive = index.lists().iter().any(|list| {
                    (0..list.len()).any(|place| {
                        list.get(place).is_some_and(|pattern| pattern.covers(name.as_bytes()))
                    })
                });
                prop_assert_eq!(covered, naive, "{}", name);
                if naive {
                    prop_assert!(index.wants(name.as_bytes()), "{}", name);
                    prop_assert!(index.may_want(&wire(name.as_bytes())), "{}", name);
                }
            }
        }
    }
}
