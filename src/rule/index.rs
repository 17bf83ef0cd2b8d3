//! Candidates: which lists of patterns cover a name, found by the name's end instead of one pattern after the other.
//!
//! Every pattern with a literal end of whole parts (`ngrok.com` of `*.ngrok.com`) is filed under that end (`ends`). A name is
//! looked up at those of its own ends that have a depth at which anything is filed, so that a million patterns cost what one
//! costs: a few look-ups in a hash table keyed against attackers' choice of names. What is found is then compared.
//!
//! A pattern without such an end (`*tunnel*`) is filed under its longest literal; one walk over the name finds all of those
//! that are in it. Only what has neither (`*`) is compared with every name.

mod beginnings;
mod bits;
mod buckets;
mod ends;
mod literals;
mod tails;

use std::ops::Range;
use std::sync::Arc;

use super::beside::both;
use super::pattern::{Pattern, Patterns};
use ends::{Ends, NO_END};
use literals::{Filed, Literals};
use tails::{Lasts, Tails};

/// Deeper ends are not filed: as many bits as the mask of depths has.
const DEEPEST: u32 = 63;

/// How many patterns that are filed together are compared before a name is wanted unseen: the bound on what
/// [`Index::wants`] costs.
const COMPARED: usize = 64;

/// So many patterns are filed by two threads.
const MANY: u32 = 1 << 14;

/// Lists of patterns on names, by the names' ends. A pattern goes by its number among those of all lists.
#[derive(Debug, Default)]
pub(super) struct Index {
    lists: Vec<Arc<Patterns>>,
    /// The number of the first pattern of each list.
    firsts: Vec<u32>,
    /// The patterns with an end.
    ends: Ends,
    /// Bit n is set where an end of n parts is filed.
    depths: u64,
    /// The literals of the patterns without an end.
    literals: Literals,
    /// The patterns without an end and without a literal.
    endless: Vec<u32>,
    /// What the last bytes of a filed end are.
    tails: Tails,
    hasher: ahash::RandomState,
}

impl Index {
    /// Files the patterns of all lists; a list goes by its place.
    pub(super) fn new(lists: Vec<Arc<Patterns>>) -> Self {
        let mut index = Self::default();
        let mut total = 0_u32;
        for list in &lists {
            index.firsts.push(total);
            total = total.saturating_add(u32::try_from(list.len()).unwrap_or(u32::MAX));
        }
        index.lists = lists;
        let (half, is_much) = (total / 2, total >= MANY);
        let (first, second) = both(is_much, || index.look(0..half), || index.look(half..total));
        index.depths = first.depths | second.depths;
        let (ends, tails) = both(
            is_much,
            || Ends::of(&[&first.hashes, &second.hashes], is_much),
            || Tails::of(&[&first.lasts, &second.lasts]),
        );
        (index.ends, index.tails) = (ends, tails);
        index.file_others(&[first.others, second.others].concat());
        if !index.endless.is_empty() {
            index.let_all_pass();
        }
        index
    }

    /// Looks at patterns before they are filed.
    fn look(&self, numbers: Range<u32>) -> Looked {
        let mut looked = Looked::default();
        looked.hashes.reserve(numbers.len());
        for (number, pattern) in self.patterns(numbers) {
            let suffix = pattern.suffix().map(|suffix| (suffix, marks(suffix)));
            match suffix.filter(|(_, marks)| marks.dots < DEEPEST) {
                Some((suffix, marks)) => {
                    looked.depths |= 2 << marks.dots;
                    looked.hashes.push(self.hash(suffix));
                    looked.lasts.add(suffix, marks.has_escape);
                }
                None => {
                    looked.hashes.push(NO_END);
                    looked.others.push(number);
                }
            }
        }
        looked
    }

    /// Files patterns that have no end under their literals.
    fn file_others(&mut self, others: &[u32]) {
        let lists = std::mem::take(&mut self.lists);
        let mut filed = Filed::default();
        for &number in others {
            let pattern = pattern(&lists, &self.firsts, number);
            match pattern.and_then(|it| Some((it.literal()?, it.prefix()))) {
                Some((literal, prefix)) => filed.add(literal, prefix, number),
                None => self.endless.push(number),
            }
        }
        match Literals::new(filed) {
            Ok(literals) => self.literals = literals,
            // Too many to be found: their patterns are compared with every name.
            Err(numbers) => self.endless.extend(numbers),
        }
        self.lists = lists;
        self.endless.shrink_to_fit();
    }

    /// From now on every name passes the first look.
    pub(super) fn let_all_pass(&mut self) {
        self.tails = Tails::default();
    }

    /// The lists, in the order given.
    pub(super) fn lists(&self) -> &[Arc<Patterns>] {
        &self.lists
    }

    /// Whether any list may cover the name with this wire form: lower case, without escapes and the root's empty label. Never
    /// false where one does.
    #[inline(always)]
    pub(super) fn may_want(&self, wire: &[u8]) -> bool {
        self.tails.may_hold(wire) || self.literals.may_be_in(wire)
    }

    /// Whether any list may cover a name (lower case, presentation form). Never false where one does; true without a
    /// look where too many patterns are filed together.
    pub(super) fn wants(&self, name: &[u8]) -> bool {
        let mut wants = |numbers: &[u32]| {
            numbers.len() > COMPARED || numbers.iter().any(|number| self.covers(*number, name))
        };
        wants(&self.endless)
            || self.each_end(name, &mut wants)
            || self.literals.each_in(name, &mut wants)
    }

    /// Calls `found` with the place of each list that covers a name (lower case, presentation form); more than once
    /// where several of its patterns do, or one by several ends.
    pub(super) fn each_covering(&self, name: &[u8], found: &mut dyn FnMut(u32)) {
        self.each_pattern(name, &mut |list, _| found(list));
    }

    /// The same, with the place of the pattern in its list.
    pub(super) fn each_pattern(&self, name: &[u8], found: &mut dyn FnMut(u32, u32)) {
        let mut compare = |numbers: &[u32]| {
            for &number in numbers {
                if self.covers(number, name)
                    && let Some((list, first)) = list_of(&self.firsts, number)
                {
                    let list = u32::try_from(list).unwrap_or(u32::MAX);
                    found(list, number.saturating_sub(first));
                }
            }
            false
        };
        compare(&self.endless);
        self.each_end(name, &mut compare);
        self.literals.each_in(name, &mut compare);
    }

    /// Calls `visit` with the patterns that may have an end of a name, shortest first, until it says true; whether it did.
    fn each_end(&self, name: &[u8], visit: &mut dyn FnMut(&[u32]) -> bool) -> bool {
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
            if visit(self.ends.get(self.hash(suffix))) {
                return true;
            }
        }
        false
    }

    fn hash(&self, end: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(end) >> 32;
        u32::try_from(hash).unwrap_or(u32::MAX).max(NO_END + 1)
    }

    fn covers(&self, number: u32, name: &[u8]) -> bool {
        self.pattern(number)
            .is_some_and(|pattern| pattern.covers(name))
    }

    /// Patterns with their numbers.
    fn patterns(&self, numbers: Range<u32>) -> impl Iterator<Item = (u32, Pattern<'_>)> {
        let start = numbers.start;
        let lists = self.lists.iter().zip(&self.firsts);
        let of_lists = lists.flat_map(move |(list, first)| {
            let place = |number: u32| usize::try_from(number.saturating_sub(*first)).unwrap_or(0);
            list.range(place(numbers.start)..place(numbers.end))
        });
        (start..).zip(of_lists)
    }

    fn pattern(&self, number: u32) -> Option<Pattern<'_>> {
        pattern(&self.lists, &self.firsts, number)
    }
}

/// What filing takes of some patterns.
#[derive(Default)]
struct Looked {
    /// Of the end of each.
    hashes: Vec<u32>,
    lasts: Lasts,
    depths: u64,
    /// The numbers of those without an end.
    others: Vec<u32>,
}

/// The list that a pattern is in, and the number of its first.
fn list_of(firsts: &[u32], number: u32) -> Option<(usize, u32)> {
    let after = firsts.partition_point(|first| *first <= number);
    let list = after.checked_sub(1)?;
    Some((list, *firsts.get(list)?))
}

fn pattern<'a>(lists: &'a [Arc<Patterns>], firsts: &[u32], number: u32) -> Option<Pattern<'a>> {
    let (list, first) = list_of(firsts, number)?;
    let place = number.saturating_sub(first);
    lists.get(list)?.get(usize::try_from(place).ok()?)
}

/// What of an end is no letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    dots: u32,
    has_escape: bool,
}

fn marks(end: &[u8]) -> Marks {
    let (words, rest) = end.as_chunks::<8>();
    let mut last = [0; 8];
    for (byte, of_rest) in last.iter_mut().zip(rest) {
        *byte = *of_rest;
    }
    let last = u64::from_ne_bytes(last);
    let (mut dots, mut escapes) = (ones(places(last, b'.')), places(last, b'\\'));
    for word in words {
        let word = u64::from_ne_bytes(*word);
        dots = dots.saturating_add(ones(places(word, b'.')));
        escapes |= places(word, b'\\');
    }
    Marks {
        dots,
        has_escape: escapes != 0,
    }
}

/// The lowest bit of each byte in a word that is this one.
const fn places(word: u64, byte: u8) -> u64 {
    const LOWER: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let differing = word ^ u64::from_ne_bytes([byte; 8]);
    // No sum of seven bits and seven bits reaches the next byte.
    !(((differing & LOWER) + LOWER) | differing | LOWER) >> 7
}

/// How many of the lowest bits of the bytes are set: cheaper than to count all bits, where the processor need not be able to.
const fn ones(lowest: u64) -> u32 {
    (lowest.wrapping_mul(0x0101_0101_0101_0101) >> 56) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pattern::Shape;
    use super::tails::wire;
    use super::*;

    proptest! {
        #[test]
        fn dots_and_backslashes_are_counted(end in prop::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(b".\\-/[\xae\xdc".to_vec())], 0..40)) {
            let marks = marks(&end);
            let dots = end.iter().filter(|byte| **byte == b'.').count();
            prop_assert_eq!(marks.dots, u32::try_from(dots).unwrap());
            prop_assert_eq!(marks.has_escape, end.contains(&b'\\'));
        }

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
