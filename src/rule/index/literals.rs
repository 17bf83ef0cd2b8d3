//! Literals that patterns without an end have in them, found in a name wherever they stand.

use std::collections::HashMap;

use aho_corasick::AhoCorasick;

use super::beginnings::Beginnings;
use super::bits::Bits;
use super::buckets::Buckets;

/// Literals on their way into the index, and the patterns that are filed under them.
#[derive(Default)]
pub(super) struct Filed<'a> {
    texts: Vec<&'a [u8]>,
    places: HashMap<&'a [u8], usize, ahash::RandomState>,
    /// Each pattern's number with the place of its literal.
    numbers: Vec<(usize, u32)>,
    /// Those of the patterns that tell names by what is anywhere in them, and what the names of the others begin with.
    anywhere: Vec<&'a [u8]>,
    beginnings: Vec<&'a [u8]>,
}

impl<'a> Filed<'a> {
    /// Fewer bytes turn too few names away.
    const SHORTEST_BEGINNING: usize = 3;

    /// Files a pattern under its literal.
    pub(super) fn add(&mut self, literal: &'a [u8], prefix: Option<&'a [u8]>, number: u32) {
        let in_label = prefix.and_then(|prefix| prefix.split(|&byte| byte == b'.').next());
        match in_label.filter(|label| label.len() >= Self::SHORTEST_BEGINNING) {
            Some(label) => self.beginnings.push(label),
            None => self.anywhere.push(literal),
        }
        let next = self.texts.len();
        let place = *self.places.entry(literal).or_insert(next);
        if place == next {
            self.texts.push(literal);
        }
        self.numbers.push((place, number));
    }
}

/// What finds literals in names.
#[derive(Debug, Default)]
pub(super) struct Literals {
    grams: Grams,
    beginnings: Beginnings,
    /// `None` where there are no literals.
    finder: Option<AhoCorasick>,
    /// The patterns of each literal.
    patterns: Buckets,
}

impl Literals {
    /// What finds those.
    ///
    /// # Errors
    /// The patterns, where the literals are too many.
    pub(super) fn new(filed: Filed<'_>) -> Result<Self, Vec<u32>> {
        let Filed {
            texts,
            numbers,
            anywhere,
            beginnings,
            ..
        } = filed;
        if texts.is_empty() {
            return Ok(Self::default());
        }
        let patterns = Buckets::of(texts.len(), numbers.into_iter());
        match AhoCorasick::new(&texts) {
            Ok(finder) => Ok(Self {
                grams: Grams::of(&anywhere),
                beginnings: Beginnings::of(&beginnings),
                finder: Some(finder),
                patterns,
            }),
            Err(_) => Err(patterns.all()),
        }
    }

    /// Whether one may be in the name with this wire form, without escapes. Never false where one is.
    #[inline(always)]
    pub(super) fn may_be_in(&self, wire: &[u8]) -> bool {
        self.finder.is_some() && self.may_hold(wire, wire.get(1..).unwrap_or_default())
    }

    /// Whether one may be in a name in either form, of which the first label begins so.
    fn may_hold(&self, name: &[u8], label: &[u8]) -> bool {
        self.beginnings.may_begin(label) || self.grams.may_be_in(name)
    }

    /// Calls `visit` with the patterns of each literal that is in a name (lower case, presentation form), until it says
    /// true; whether it did.
    pub(super) fn each_in(&self, name: &[u8], visit: &mut dyn FnMut(&[u32]) -> bool) -> bool {
        let Some(finder) = self.finder.as_ref().filter(|_| self.may_hold(name, name)) else {
            return false;
        };
        let mut found = finder.find_overlapping_iter(name);
        found.any(|found| visit(self.patterns.get(found.pattern().as_usize())))
    }
}

/// A few bytes of each literal, so chosen that a name which holds one has some of them at every so many bytes: a quick look
/// that turns nearly all names away.
///
/// They are bytes between two dots, which follow one another in the wire form of a name without escapes as well. No length
/// that stands between labels there makes a name lose them.
#[derive(Debug, Default)]
struct Grams {
    /// How many bytes each has: 1 to [`Self::LONGEST`]; 0 where no name is turned away.
    length: usize,
    /// How far apart they are looked for.
    stride: usize,
    bits: Bits,
}

impl Grams {
    const LONGEST: usize = 4;
    /// Bits for each, as long as they are few enough to stay near the processor; and where they are many.
    const BITS: usize = 256;
    const BITS_AT_LEAST: usize = 16;
    const BITS_NEAR: usize = 1 << 17;

    /// Those of no literal, which is in no name.
    fn nothing() -> Self {
        Self {
            length: Self::LONGEST,
            stride: usize::MAX,
            bits: Bits::new(0),
        }
    }

    fn of(literals: &[&[u8]]) -> Self {
        let runs = literals.iter().map(|literal| {
            let runs = literal.split(|&byte| byte == b'.');
            runs.max_by_key(|run| run.len()).unwrap_or_default()
        });
        let shortest = match runs.clone().map(<[u8]>::len).min() {
            None => return Self::nothing(),
            Some(0) => return Self::default(),
            Some(shortest) => shortest,
        };
        // Longer ones turn more names away, shorter ones are looked for less often.
        let length = shortest.div_ceil(2).min(Self::LONGEST);
        let stride = shortest - length + 1;
        let count = literals.len().saturating_mul(stride);
        let bits = count.saturating_mul(Self::BITS).min(Self::BITS_NEAR);
        let bits = bits.max(count.saturating_mul(Self::BITS_AT_LEAST));
        let mut grams = Self {
            length,
            stride,
            bits: Bits::new(bits),
        };
        // Wherever a literal stands, one of its first `stride` grams is looked at.
        for gram in runs.flat_map(|run| run.windows(length).take(stride)) {
            grams.bits.add(number(gram));
        }
        grams
    }

    fn may_be_in(&self, name: &[u8]) -> bool {
        match self.length {
            4 => self.any::<4>(name),
            3 => self.any::<3>(name),
            2 => self.any::<2>(name),
            1 => self.any::<1>(name),
            _ => true,
        }
    }

    fn any<const LENGTH: usize>(&self, name: &[u8]) -> bool {
        let (mut seen, mut rest) = (0, name);
        while let Some(gram) = rest.first_chunk::<LENGTH>() {
            seen |= self.bits.may_have(number(gram));
            rest = rest.get(self.stride..).unwrap_or_default();
        }
        seen & 1 != 0
    }
}

/// Some bytes as a number, four at most.
fn number(gram: &[u8]) -> u64 {
    let number = gram
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u32::from(*byte));
    u64::from(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn literals(texts: &[&[u8]]) -> Literals {
        let mut filed = Filed::default();
        for (number, text) in (0..).zip(texts) {
            filed.add(text, None, number);
        }
        Literals::new(filed).unwrap()
    }

    #[test]
    fn a_name_without_a_literal_is_turned_away() {
        let literals = literals(&[b"tunnel7", b"-vpn.exit", b"c123-"]);
        for name in [
            "tunnel7",
            "a.xtunnel7y.example",
            "my-vpn.exit",
            "c123-4.example",
        ] {
            assert!(
                literals.may_hold(name.as_bytes(), name.as_bytes()),
                "{name}"
            );
        }
        for name in ["trunk.sample", "www.example.com", "vpn", "", "x"] {
            assert!(
                !literals.may_hold(name.as_bytes(), name.as_bytes()),
                "{name}"
            );
        }
    }

    #[test]
    fn what_names_begin_with_is_looked_for_there_alone() {
        let mut filed = Filed::default();
        filed.add(b"c123-", Some(b"c123-"), 0);
        filed.add(b"longer.than.that", Some(b"vpn-x.a"), 1);
        let literals = Literals::new(filed).unwrap();
        for wire in [&b"\x06c123-4\x04test"[..], b"\x05vpn-x\x01a"] {
            assert!(literals.may_be_in(wire));
        }
        for wire in [&b"\x07xc123-4\x04test"[..], b"\x03www\x04test", b"\x01c"] {
            assert!(!literals.may_be_in(wire));
        }
    }

    /// Only what is written between dots is the same on the wire.
    #[test]
    fn a_literal_of_dots_alone_turns_nothing_away() {
        assert!(literals(&[b"tunnel7", b"."]).may_be_in(b"\x03www\x07example\x03com"));
        assert!(!literals(&[]).may_be_in(b"\x03www\x07example\x03com"));
    }

    proptest! {
        #[test]
        fn a_literal_is_found_wherever_it_stands(
            texts in prop::collection::vec(prop::collection::vec(0_u8..4, 1..12), 1..6),
            before in prop::collection::vec(0_u8..4, 0..12),
            after in prop::collection::vec(0_u8..4, 0..12),
        ) {
            let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            let literals = literals(&texts);
            for text in texts {
                prop_assert!(literals.may_be_in(&[&before, text, &after].concat()));
            }
        }
    }
}
