//! The ends of names, looked at in their wire form.

/// The last bytes of all filed ends in wire form, as few as the shortest has and eight at most: the quickest look there
/// is, which turns nearly all names away before they are written out.
#[derive(Debug, Default)]
pub(super) struct Tails {
    length: usize,
    bits: Vec<u64>,
}

impl Tails {
    /// Bits for each end.
    const BITS: usize = 16;
    /// Shorter tails turn too few names away to be worth a look.
    const SHORTEST: usize = 4;

    /// Those of the ends, in presentation form.
    pub(super) fn of<'a>(ends: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let length = ends.clone().map(<[u8]>::len).min().unwrap_or(0).min(8);
        // A label with an escape is longer here than on the wire.
        if length < Self::SHORTEST || ends.clone().any(|end| end.contains(&b'\\')) {
            return Self::default();
        }
        let words = ends
            .clone()
            .count()
            .saturating_mul(Self::BITS)
            .div_ceil(64)
            .next_power_of_two()
            .max(256);
        let mut tails = Self {
            length,
            bits: vec![0; words],
        };
        for end in ends {
            let (word, bit) = tails.place(&wire(end));
            if let Some(word) = tails.bits.get_mut(word) {
                *word |= bit;
            }
        }
        tails
    }

    /// Whether the name with this wire form may have one of the ends.
    pub(super) fn may_hold(&self, wire: &[u8]) -> bool {
        let (word, bit) = self.place(wire);
        self.bits.get(word).is_none_or(|word| word & bit != 0) && wire.len() > self.length
    }

    fn place(&self, wire: &[u8]) -> (usize, u64) {
        let kept = last_bytes(wire)
            & u64::MAX
                .checked_shr(64 - 8 * self.length as u32)
                .unwrap_or(0);
        // A multiplication by 2^64 over the golden ratio spreads the bytes over the upper bits.
        let hash = kept.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let bit = usize::try_from(hash).unwrap_or(0) & (self.bits.len() * 64).wrapping_sub(1);
        (bit / 64, 1 << (bit % 64))
    }
}

/// The last eight bytes as a number, the last one lowest; of fewer with zeros before them.
fn last_bytes(wire: &[u8]) -> u64 {
    match wire.last_chunk::<8>() {
        Some(last) => u64::from_be_bytes(*last),
        None => wire
            .iter()
            .fold(0, |tail, byte| tail << 8 | u64::from(*byte)),
    }
}

/// A name without escapes in wire form, without the root's empty label.
pub(super) fn wire(name: &[u8]) -> Vec<u8> {
    name.split(|&byte| byte == b'.')
        .flat_map(|label| {
            let length = u8::try_from(label.len()).unwrap_or(u8::MAX);
            std::iter::once(length).chain(label.iter().copied())
        })
        .collect()
}
