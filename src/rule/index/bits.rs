//! A set of numbers that tells at once of most others that they are not in it.

/// A bit for each hash of a number.
#[derive(Debug, Default)]
pub(super) struct Bits {
    /// As many as a power of two; where there is none, every number may be in the set.
    words: Vec<u64>,
    /// How many bits of a hash are more than there are bits.
    shift: u32,
}

impl Bits {
    /// An empty set with so many bits at least: the more for each number, the less often another is taken for one.
    pub(super) fn new(bits: usize) -> Self {
        let words = bits.div_ceil(64).next_power_of_two();
        Self {
            words: vec![0; words],
            shift: 58_u32.saturating_sub(words.trailing_zeros()),
        }
    }

    /// Adds a number.
    pub(super) fn add(&mut self, number: u64) {
        let (word, bit) = self.place(number);
        if let Some(word) = self.words.get_mut(word) {
            *word |= 1 << bit;
        }
    }

    /// About how many numbers there are in it: fewer than were added where some are the same.
    pub(super) fn count(&self) -> usize {
        let bits = self.words.iter().map(|word| word.count_ones());
        bits.fold(0, |sum, bits| {
            sum.saturating_add(usize::try_from(bits).unwrap_or(0))
        })
    }

    /// Whether a number may be in the set: 0 in the lowest bit where it is not, the other bits say nothing.
    #[inline(always)]
    pub(super) fn may_have(&self, number: u64) -> u64 {
        let (word, bit) = self.place(number);
        self.words.get(word).map_or(1, |word| word >> bit)
    }

    /// The same.
    #[inline(always)]
    pub(super) fn may_hold(&self, number: u64) -> bool {
        let (word, bit) = self.place(number);
        match self.words.get(word) {
            Some(word) => word >> bit & 1 != 0,
            None => true,
        }
    }

    #[inline(always)]
    fn place(&self, number: u64) -> (usize, u32) {
        // A multiplication by 2^64 over the golden ratio spreads the bytes over the upper bits.
        let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift;
        (
            usize::try_from(hash >> 6).unwrap_or(usize::MAX),
            (hash & 63) as u32,
        )
    }
}
