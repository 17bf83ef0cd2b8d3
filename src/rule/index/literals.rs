//! Literals that patterns without an end have in them, found in a name wherever they stand.

use std::collections::HashMap;

use aho_corasick::AhoCorasick;

/// Literals on their way into the index, each with the first entry of its chain.
#[derive(Default)]
pub(super) struct Chains<'a> {
    texts: Vec<&'a [u8]>,
    heads: Vec<u32>,
    places: HashMap<&'a [u8], usize, ahash::RandomState>,
}

impl<'a> Chains<'a> {
    /// Begins a literal's chain with an entry; gives the one that began it before.
    pub(super) fn begin(&mut self, literal: &'a [u8], entry: u32) -> Option<u32> {
        let next = self.texts.len();
        let place = *self.places.entry(literal).or_insert(next);
        if let Some(head) = self.heads.get_mut(place) {
            return Some(std::mem::replace(head, entry));
        }
        self.texts.push(literal);
        self.heads.push(entry);
        None
    }
}

/// What finds literals in names.
#[derive(Debug, Default)]
pub(super) struct Literals {
    grams: Grams,
    /// `None` where there are no literals.
    finder: Option<AhoCorasick>,
    /// The first entry of each literal's chain.
    heads: Vec<u32>,
}

impl Literals {
    /// What finds those.
    ///
    /// # Errors
    /// The chains' first entries, where the literals are too many.
    pub(super) fn new(chains: Chains<'_>) -> Result<Self, Vec<u32>> {
        let Chains { texts, heads, .. } = chains;
        if texts.is_empty() {
            return Ok(Self::default());
        }
        match AhoCorasick::new(&texts) {
            Ok(finder) => Ok(Self {
                grams: Grams::of(&texts),
                finder: Some(finder),
                heads,
            }),
            Err(_) => Err(heads),
        }
    }

    /// Whether one may be in a name, in presentation form or in wire form without escapes. Never false where one is.
    pub(super) fn may_be_in(&self, name: &[u8]) -> bool {
        self.finder.is_some() && self.grams.may_be_in(name)
    }

    /// Calls `visit` with the chain of each literal that is in a name (lower case, presentation form), until it says true;
    /// whether it did.
    pub(super) fn each_head(&self, name: &[u8], visit: &mut dyn FnMut(u32) -> bool) -> bool {
        let Some(finder) = self.finder.as_ref().filter(|_| self.grams.may_be_in(name)) else {
            return false;
        };
        finder.find_overlapping_iter(name).any(|found| {
            let head = self.heads.get(found.pattern().as_usize());
            head.is_some_and(|head| visit(*head))
        })
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
    /// How many bits of a hash are too many for the bits there are.
    shift: u32,
    /// A bit for each hash; the number of words is a power of two.
    bits: Vec<u64>,
}

impl Grams {
    const LONGEST: usize = 4;
    /// Bits for each, as long as they are few enough to stay near the processor; and where they are many.
    const BITS: usize = 256;
    const BITS_AT_LEAST: usize = 16;
    const BITS_NEAR: usize = 1 << 17;

    fn of(literals: &[&[u8]]) -> Self {
        let runs = literals.iter().map(|literal| {
            let runs = literal.split(|&byte| byte == b'.');
            runs.max_by_key(|run| run.len()).unwrap_or_default()
        });
        let shortest = runs.clone().map(<[u8]>::len).min().unwrap_or(0);
        if shortest == 0 {
            return Self::default();
        }
        // Longer ones turn more names away, shorter ones are looked for less often.
        let length = shortest.div_ceil(2).min(Self::LONGEST);
        let stride = shortest - length + 1;
        let count = literals.len().saturating_mul(stride);
        let bits = count.saturating_mul(Self::BITS).min(Self::BITS_NEAR);
        let bits = bits.max(count.saturating_mul(Self::BITS_AT_LEAST));
        let words = bits.div_ceil(64).next_power_of_two();
        let mut grams = Self {
            length,
            stride,
            shift: 26_u32.saturating_sub(words.trailing_zeros()),
            bits: vec![0; words],
        };
        // Wherever a literal stands, one of its first `stride` grams is looked at.
        for gram in runs.flat_map(|run| run.windows(length).take(stride)) {
            let (word, bit) = grams.place(number(gram));
            if let Some(word) = grams.bits.get_mut(word) {
                *word |= 1 << bit;
            }
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
            let (word, bit) = self.place(number(gram));
            seen |= self.bits.get(word).map_or(1, |word| word >> bit);
            rest = rest.get(self.stride..).unwrap_or_default();
        }
        seen & 1 != 0
    }

    /// The word and the bit of a gram: the upper bits of its hash.
    fn place(&self, gram: u32) -> (usize, u32) {
        // A multiplication by 2^32 over the golden ratio spreads the bytes over the upper bits.
        let hash = gram.wrapping_mul(0x9E37_79B1) >> self.shift;
        (usize::try_from(hash >> 6).unwrap_or(0), hash & 63)
    }
}

/// Some bytes as a number, four at most.
fn number(gram: &[u8]) -> u32 {
    gram.iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn literals(texts: &[&[u8]]) -> Literals {
        let mut chains = Chains::default();
        for (number, text) in (0..).zip(texts) {
            chains.begin(text, number);
        }
        Literals::new(chains).unwrap()
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
            assert!(literals.may_be_in(name.as_bytes()), "{name}");
        }
        for name in ["trunk.example", "www.example.com", "vpn", "", "x"] {
            assert!(!literals.may_be_in(name.as_bytes()), "{name}");
        }
    }

    /// Only what is written between dots is the same on the wire.
    #[test]
    fn a_literal_of_dots_alone_turns_nothing_away() {
        assert!(literals(&[b"tunnel7", b"."]).may_be_in(b"www.example.com"));
        assert!(!literals(&[]).may_be_in(b"www.example.com"));
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
