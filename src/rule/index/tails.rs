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
    /// Bits for each end.
    const BITS: usize = 16;
    /// And for all together.
    const BITS_AT_LEAST: usize = 1 << 14;
    /// Shorter tails turn too few names away to be worth a look.
    const SHORTEST: usize = 4;

    /// Those of the ends, in presentation form.
    pub(super) fn of<'a>(ends: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let Some(shortest) = ends.clone().map(<[u8]>::len).min() else {
            return Self {
                bits: Bits::new(0),
                ..Self::default()
            };
        };
        // A label with an escape is longer here than on the wire.
        if shortest < Self::SHORTEST || ends.clone().any(|end| end.contains(&b'\\')) {
            return Self::default();
        }
        let bits = ends.clone().count().saturating_mul(Self::BITS);
        let length = shortest.min(8);
        let mut tails = Self {
            length,
            mask: u64::MAX >> (64 - 8 * length),
            bits: Bits::new(bits.max(Self::BITS_AT_LEAST)),
        };
        for end in ends {
            tails.bits.add(tails.last(&wire(end)));
        }
        tails
    }

    /// Whether the name with this wire form may have one of the ends.
    #[inline(always)]
    pub(super) fn may_hold(&self, wire: &[u8]) -> bool {
        self.bits.may_have(self.last(wire)) & 1 != 0 && wire.len() > self.length
    }

    /// As many of the last bytes as are looked at.
    #[inline(always)]
    fn last(&self, wire: &[u8]) -> u64 {
        last_bytes(wire) & self.mask
    }
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
pub(super) fn wire(name: &[u8]) -> Vec<u8> {
    name.split(|&byte| byte == b'.')
        .flat_map(|label| {
            let length = u8::try_from(label.len()).unwrap_or(u8::MAX);
            std::iter::once(length).chain(label.iter().copied())
        })
        .collect()
}
