//! The beginnings of names.

use super::bits::Bits;

/// The first bytes of what names begin with, as few as the shortest has and eight at most, none of them a dot: they are the
/// same in a name and, after the length of its first label, in its wire form.
#[derive(Debug)]
pub(super) struct Beginnings {
    length: usize,
    bits: Bits,
}

impl Default for Beginnings {
    fn default() -> Self {
        Self::of(&[])
    }
}

impl Beginnings {
    /// Bits for each.
    const BITS: usize = 64;

    /// Those of the beginnings.
    pub(super) fn of(beginnings: &[&[u8]]) -> Self {
        let shortest = beginnings.iter().map(|beginning| beginning.len()).min();
        let mut of = Self {
            length: shortest.unwrap_or(0).min(8),
            bits: Bits::new(beginnings.len().saturating_mul(Self::BITS)),
        };
        for beginning in beginnings {
            of.bits.add(of.first(beginning));
        }
        of
    }

    /// Whether a name whose first label begins so may have one of the beginnings.
    pub(super) fn may_begin(&self, label: &[u8]) -> bool {
        self.bits.may_have(self.first(label)) & 1 != 0
    }

    /// The first bytes as a number.
    fn first(&self, label: &[u8]) -> u64 {
        let first = match label.first_chunk::<8>() {
            Some(first) => u64::from_be_bytes(*first),
            None => {
                let shift = 64_u32.saturating_sub(8 * u32::try_from(label.len()).unwrap_or(8));
                let first = label
                    .iter()
                    .fold(0, |first, byte| first << 8 | u64::from(*byte));
                first.checked_shl(shift).unwrap_or(0)
            }
        };
        let beyond = 64_u32.saturating_sub(8 * u32::try_from(self.length).unwrap_or(8));
        first.checked_shr(beyond).unwrap_or(0)
    }
}
