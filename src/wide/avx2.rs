//! Registers of 32 bytes on x86-64: the one place with `unsafe`, which says that the processor has the instructions.
#![expect(
    unsafe_code,
    reason = "instructions that not every processor has are called where it was found that this one has them"
)]

use std::arch::x86_64::{_mm256_loadu_si256, _mm256_movemask_epi8};

use super::{BLOCK, Lanes, Work};

/// That this processor has AVX2 and what came with it; there is none of it where that was not found out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    /// `None` where the processor, or the system, has it not.
    pub(super) fn detect() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("movbe")
            && is_x86_feature_detected!("popcnt");
        has_all.then_some(Self(()))
    }

    /// Does the work with these instructions.
    pub(super) fn run<W: Work>(self, work: W) -> W::Output {
        // SAFETY: `self` says that the processor has every feature that `run` is compiled for.
        unsafe { run(work, self) }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,movbe,popcnt")]
fn run<W: Work>(work: W, lanes: Avx2) -> W::Output {
    work.run(lanes)
}

impl Lanes for Avx2 {
    #[inline(always)]
    fn top_bits(self, block: &[u8; BLOCK]) -> u32 {
        // SAFETY: `self` says that the processor has AVX2.
        unsafe { top_bits(block) }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn top_bits(block: &[u8; BLOCK]) -> u32 {
    // SAFETY: a block has as many bytes as are read, and they may lie anywhere.
    let block = unsafe { _mm256_loadu_si256(block.as_ptr().cast()) };
    _mm256_movemask_epi8(block).cast_unsigned()
}
