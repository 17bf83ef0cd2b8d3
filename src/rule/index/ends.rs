//! Patterns filed under their ends, by the ends' hashes.

use super::buckets::Buckets;
use crate::rule::beside::both;

/// Stands for the hash of a pattern that has no end.
pub(super) const NO_END: u32 = 0;

/// Bits of the filter for each filed end: 1 MiB for a million of them, and about one end in twenty passes that should not.
const FILTER_BITS: usize = 8;

/// The patterns of each end: found by its hash alone, so that others may be among them. A small filter stands before the
/// buckets, because those of a million ends are far from the processor and the filter is not.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Two bits in one word for each filed end; the number of words is a power of two.
    filter: Vec<u64>,
    buckets: Buckets,
    /// How many bits of a hash are more than there are buckets.
    shift: u32,
}

impl Ends {
    /// Files patterns, which go by their place among all; `is_much` where a second thread is worth it.
    pub(super) fn of(hashes: &[&[u32]], is_much: bool) -> Self {
        let numbered = hashes.iter().copied().flatten().enumerate();
        let filed = numbered.filter(|(_, hash)| **hash != NO_END);
        let count = filed.clone().count();
        if count == 0 {
            return Self::default();
        }
        // One or two to a bucket.
        let bits = count.ilog2().min(31);
        let shift = 32 - bits;
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let bucketed = filed.map(|(place, hash)| (bucket(*hash, shift), number(place)));
        let (filter, buckets) = both(
            is_much,
            || filter(hashes, count),
            || Buckets::of(1 << bits, bucketed),
        );
        Self {
            filter,
            buckets,
            shift,
        }
    }

    /// The patterns that may have the end with this hash, all that do among them.
    pub(super) fn get(&self, hash: u32) -> &[u32] {
        let (word, bits) = filter_bits(hash, self.filter.len());
        match self.filter.get(word) {
            Some(word) if word & bits == bits => self.buckets.get(bucket(hash, self.shift)),
            _ => &[],
        }
    }
}

fn bucket(hash: u32, shift: u32) -> usize {
    usize::try_from(hash.checked_shr(shift).unwrap_or(0)).unwrap_or(usize::MAX)
}

fn filter(hashes: &[&[u32]], count: usize) -> Vec<u64> {
    let words = count.saturating_mul(FILTER_BITS).div_ceil(64);
    let mut filter = vec![0; words.next_power_of_two()];
    let length = filter.len();
    let hashes = hashes.iter().copied().flatten();
    hashes.filter(|hash| **hash != NO_END).for_each(|hash| {
        let (word, bits) = filter_bits(*hash, length);
        if let Some(word) = filter.get_mut(word) {
            *word |= bits;
        }
    });
    filter
}

/// Which word of the filter stands for a hash, and which of its bits.
fn filter_bits(hash: u32, words: usize) -> (usize, u64) {
    let word = usize::try_from(hash >> 12).unwrap_or(0) & words.saturating_sub(1);
    (word, 1 << (hash & 63) | 1 << (hash >> 6 & 63))
}
