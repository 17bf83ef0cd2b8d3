//! The ends of names, looked at in their wire form.

use super::bits::Bits;

/// The last bytes of all filed ends in wire form, as few as the shortest has and eight at most: the quickest look there
/// is, which turns nearly all names away before they are written out.
#[derive(Debug, Default)]
pub(super) struct Tails {
    length: usize,
    /// The bits of so many bytes.
    mask: u64,
    bits: Bits,
}

impl Tails {
    /// Bits for each way to end.
    const BITS: usize = 16;
    /// And for all together.
    const BITS_AT_LEAST: usize = 1 << 14;
    /// Shorter tails turn too few names away to be worth a look.
    const SHORTEST: usize = 4;

    /// Those of the ends.
    pub(super) fn of(ends: &[&Lasts]) -> Self {
        let Some(shortest) = ends.iter().filter_map(|ends| ends.shortest).min() else {
            return Self {
                bits: Bits::new(0),
                ..Self::default()
            };
        };
        // A label with an escape is longer here than on the wire.
        if shortest < Self::SHORTEST || ends.iter().any(|ends| ends.with_escape) {
            return Self::default();
        }
        let length = shortest.min(8);
        let mask = u64::MAX >> (64 - 8 * length);
        let lasts = ends.iter().flat_map(|ends| &ends.lasts);
        let bits_of = |count: usize| {
            let bits = count.saturating_mul(Self::BITS).max(Self::BITS_AT_LEAST);
            let mut bits = Bits::new(bits);
            lasts.clone().for_each(|last| bits.add(last & mask));
            bits
        };
        let count = lasts.clone().count();
        let mut bits = bits_of(count);
        // A million names may well end in a few ways, and what is small stays near the processor.
        let distinct = bits.count();
        if distinct <= count / 2 {
            bits = bits_of(distinct);
        }
        Self { length, mask, bits }
    }

    /// Whether the name with this wire form may have one of the ends.
    #[inline(always)]
    pub(super) fn may_hold(&self, wire: &[u8]) -> bool {
        self.bits.may_hold(self.last(wire)) && wire.len() > self.length
    }

    /// As many of the last bytes as are looked at.
    #[inline(always)]
    fn last(&self, wire: &[u8]) -> u64 {
        last_bytes(wire) & self.mask
    }
}

/// What is kept of ends until all of them are known.
#[derive(Debug, Default)]
pub(super) struct Lasts {
    /// How long the shortest is.
    shortest: Option<usize>,
    with_escape: bool,
    /// The last bytes of each in wire form, once where they follow one another.
    lasts: Vec<u64>,
    /// Those of the end before in presentation form.
    before: Option<[u8; 8]>,
}

impl Lasts {
    /// Adds an end, in presentation form.
    pub(super) fn add(&mut self, end: &[u8], has_escape: bool) {
        self.shortest = Some(self.shortest.map_or(end.len(), |it| it.min(end.len())));
        self.with_escape |= has_escape;
        let last = end.last_chunk::<8>().copied();
        if last.is_none() || last != self.before {
            self.before = last;
            self.lasts.push(last_in_wire(end));
        }
    }
}

/// The last eight bytes of an end (presentation form, without escapes) as it is on the wire.
fn last_in_wire(end: &[u8]) -> u64 {
    let (mut last, mut label) = (0, 0);
    // Before each label stands its length, before all but the first one in the place of a dot.
    let backwards = end.iter().rev().chain([&b'.']);
    for (shift, byte) in (0..64).step_by(8).zip(backwards) {
        let byte = match byte {
            b'.' => std::mem::take(&mut label),
            byte => {
                label += 1;
                u64::from(*byte)
            }
        };
        last |= byte << shift;
    }
    last
}

/// The last eight bytes as a number, the last one lowest; of fewer with zeros before them.
#[inline(always)]
fn last_bytes(wire: &[u8]) -> u64 {
    match wire.last_chunk::<8>() {
        Some(last) => u64::from_be_bytes(*last),
        None => wire
            .iter()
            .fold(0, |tail, byte| tail << 8 | u64::from(*byte)),
    }
}

/// A name without escapes in wire form, without the root's empty label.
#[cfg(test)]
pub(super) fn wire(name: &[u8]) -> Vec<u8> {
    name.split(|&byte| byte == b'.')
        .flat_map(|label| {
            let length = u8::try_from(label.len()).unwrap_or(u8::MAX);
            std::iter::once(length).chain(label.iter().copied())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_last_bytes_are_those_of_the_wire(end in "([a-z]{1,9}[.]){0,4}[a-z]{1,9}") {
            prop_assert_eq!(last_in_wire(end.as_bytes()), last_bytes(&wire(end.as_bytes())));
        }
    }
}
