//! What every packet costs, compiled twice: for any processor of its architecture, and for one with registers of 32 bytes.
//!
//! [`Processor`] finds out once which it is. [`Work`] is what it runs: code that is inlined as a whole, so that the compiler
//! makes wide instructions of it where it may. The one thing that it does not find by itself is [`Lanes::top_bits`].
//!
//! Without the feature `wide` there is the first alone, and no `unsafe` in the whole program.

#[cfg(all(feature = "wide", target_arch = "x86_64"))]
mod avx2;

#[cfg(all(feature = "wide", target_arch = "x86_64"))]
use avx2::Avx2;

/// How many bytes are looked at together.
pub const BLOCK: usize = 32;

/// What the compiler needs help with to look at a block at once.
pub trait Lanes: Copy {
    /// The top bit of each byte, the first byte's lowest.
    fn top_bits(self, block: &[u8; BLOCK]) -> u32;
}

/// Any processor.
#[derive(Clone, Copy, Debug)]
pub struct Narrow;

impl Lanes for Narrow {
    #[inline(always)]
    fn top_bits(self, block: &[u8; BLOCK]) -> u32 {
        let (eights, _) = block.as_chunks::<8>();
        eights.iter().rev().fold(0, |bits, eight| {
            let tops = u64::from_le_bytes(*eight) & 0x8080_8080_8080_8080;
            // Moves the top bit of byte n to bit 56 + n; no two of them meet.
            bits << 8 | (tops.wrapping_mul(0x0002_0408_1020_4081) >> 56) as u32
        })
    }
}

/// Something to do that is worth being compiled for wide registers, too.
pub trait Work {
    /// What comes of it.
    type Output;

    /// Does it. to be `#[inline(always)]`, with all that counts of what it calls.
    fn run(self, lanes: impl Lanes) -> Self::Output;
}

/// What the processor can do.
#[derive(Clone, Copy, Debug)]
pub struct Processor {
    #[cfg(all(feature = "wide", target_arch = "x86_64"))]
    avx2: Option<Avx2>,
}

impl Processor {
    /// One of which nothing is known.
    pub const ANY: Self = Self {
        #[cfg(all(feature = "wide", target_arch = "x86_64"))]
        avx2: None,
    };

    /// This one.
    #[must_use]
    pub fn detect() -> Self {
        Self {
            #[cfg(all(feature = "wide", target_arch = "x86_64"))]
            avx2: Avx2::detect(),
        }
    }

    /// Whether it has wide registers that are made use of.
    #[must_use]
    pub const fn is_wide(self) -> bool {
        #[cfg(all(feature = "wide", target_arch = "x86_64"))]
        return self.avx2.is_some();
        #[cfg(not(all(feature = "wide", target_arch = "x86_64")))]
        return false;
    }

    /// Does the work as it can best.
    #[inline]
    pub fn run<W: Work>(self, work: W) -> W::Output {
        #[cfg(all(feature = "wide", target_arch = "x86_64"))]
        if let Some(avx2) = self.avx2 {
            return avx2.run(work);
        }
        work.run(Narrow)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct TopBits<'a>(&'a [u8; BLOCK]);

    impl Work for TopBits<'_> {
        type Output = u32;

        #[inline(always)]
        fn run(self, lanes: impl Lanes) -> u32 {
            lanes.top_bits(self.0)
        }
    }

    /// Else what stands here of wide registers would show nothing.
    #[test]
    fn they_are_found_where_the_system_has_them() {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let flags = info.lines().find(|line| line.starts_with("flags"));
        let has = |flag| flags.is_some_and(|flags| flags.split(' ').any(|it| it == flag));
        // `abm` is what Linux calls lzcnt.
        let has_all = ["avx2", "bmi1", "bmi2", "abm", "movbe", "popcnt"]
            .into_iter()
            .all(has);
        assert_eq!(
            Processor::detect().is_wide(),
            cfg!(feature = "wide") && has_all
        );
        assert!(!Processor::ANY.is_wide());
    }

    proptest! {
        #[test]
        fn the_top_bits_are_those_of_each_byte(block in any::<[u8; BLOCK]>(), before in 0_usize..64) {
            let naive = (0..32).filter(|at| block[*at as usize] >= 128).fold(0, |bits, at| bits | 1 << at);
            prop_assert_eq!(Processor::ANY.run(TopBits(&block)), naive);
            // Wherever it lies, and at the very end of what was asked for.
            let mut bytes = vec![0xFF; before];
            bytes.extend(block);
            let bytes = bytes.into_boxed_slice();
            prop_assert_eq!(Processor::detect().run(TopBits(bytes.last_chunk().unwrap())), naive);
        }
    }
}
