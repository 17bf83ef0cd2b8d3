//! What stands one behind the other, by its number: it comes at the end, and most of it goes at the beginning.
//!
//! It stands in blocks that are taken when they are needed and given back when all in them is gone. So the memory is that of what is
//! there, nothing moves when there is more of it, and what comes is written where others were just looked at for the last time,
//! which is near the processor.

/// So many stand in a block.
pub(super) const BLOCK: u32 = 1 << 10;

type Block<T> = [Option<T>; BLOCK as usize];

/// The blocks, by the bits of the numbers before those of the place in a block.
#[derive(Debug)]
pub(super) struct Ring<T> {
    /// As many as a power of two.
    blocks: Box<[Option<Box<Block<T>>>]>,
    /// Blocks in which nothing is.
    spare: Vec<Box<Block<T>>>,
}

impl<T> Ring<T> {
    /// No more blocks than these are kept of those in which nothing is.
    const SPARE: usize = 8;

    /// An empty ring for so many numbers in use at once, a power of two: fewer by [`BLOCK`], as the first and the last of them may
    /// not be in one block.
    pub(super) fn new(numbers: u32) -> Self {
        Self {
            blocks: std::iter::repeat_with(|| None)
                .take(numbers.div_ceil(BLOCK) as usize)
                .collect(),
            spare: Vec::new(),
        }
    }

    const fn block(&self, number: u32) -> usize {
        (number / BLOCK) as usize & self.blocks.len().wrapping_sub(1)
    }

    const fn place(number: u32) -> usize {
        (number % BLOCK) as usize
    }

    /// What has that number.
    #[inline(always)]
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let block = self.blocks.get(self.block(number))?.as_ref()?;
        block.get(Self::place(number))?.as_ref()
    }

    /// The place of a number, where the block is there.
    #[inline(always)]
    pub(super) fn place_mut(&mut self, number: u32) -> Option<&mut Option<T>> {
        let block = self.block(number);
        let block = self.blocks.get_mut(block)?.as_mut()?;
        block.get_mut(Self::place(number))
    }

    /// Puts something at its number, the one after the last.
    #[inline(always)]
    pub(super) fn put(&mut self, number: u32, value: T) {
        let block = self.block(number);
        let Some(block) = self.blocks.get_mut(block) else {
            return;
        };
        let spare = &mut self.spare;
        let block = block.get_or_insert_with(|| spare.pop().unwrap_or_else(Self::empty));
        if let Some(place) = block.get_mut(Self::place(number)) {
            *place = Some(value);
        }
    }

    #[cold]
    fn empty() -> Box<Block<T>> {
        Box::new([const { None }; BLOCK as usize])
    }

    /// Learns that nothing is left up to that number.
    #[inline(always)]
    pub(super) fn is_past(&mut self, number: u32) {
        if Self::place(number) == BLOCK as usize - 1 {
            self.give_back(number);
        }
    }

    #[cold]
    fn give_back(&mut self, number: u32) {
        let block = self.block(number);
        let block = self.blocks.get_mut(block).and_then(Option::take);
        if self.spare.len() < Self::SPARE {
            self.spare.extend(block);
        }
    }

    /// How many blocks there are, those in which nothing is included.
    #[cfg(test)]
    fn held(&self) -> usize {
        self.blocks.iter().flatten().count() + self.spare.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever comes and goes, also in the middle and where numbers begin anew: what is found is what a list has, and no
        /// block is held for nothing.
        #[test]
        fn it_has_what_a_list_has(
            steps in prop::collection::vec((0_u32..3 * BLOCK, 0_u32..3 * BLOCK, any::<u32>()), 0..20),
            first in prop_oneof![Just(0), Just(u32::MAX - 5_000), Just(700)],
        ) {
            let most = 4 * BLOCK;
            let mut ring: Ring<u32> = Ring::new(8 * BLOCK);
            let (mut list, mut first) = (VecDeque::<Option<u32>>::new(), first);
            for (come, go, in_the_middle) in steps {
                for value in 0..come.min(most - list.len() as u32) {
                    ring.put(first.wrapping_add(list.len() as u32), value);
                    list.push_back(Some(value));
                }
                if let Some(at) = in_the_middle.checked_rem(list.len() as u32) {
                    let taken = ring.place_mut(first.wrapping_add(at)).and_then(Option::take);
                    prop_assert_eq!(taken, list[at as usize].take());
                }
                for _ in 0..go.min(list.len() as u32) {
                    let gone = ring.place_mut(first).and_then(Option::take);
                    prop_assert_eq!(gone, list.pop_front().flatten());
                    ring.is_past(first);
                    first = first.wrapping_add(1);
                }
                let all = (first..=u32::MAX).chain(0..first).map(|number| ring.get(number));
                let is_the_same = all.zip(&list).all(|(found, listed)| found == listed.as_ref());
                prop_assert!(is_the_same);
                let needed = list.len().div_ceil(BLOCK as usize) + 1;
                prop_assert!(ring.held() <= needed + Ring::<u32>::SPARE);
            }
        }
    }

    #[test]
    fn what_comes_stands_where_others_went() {
        let mut ring: Ring<u64> = Ring::new(4 * BLOCK);
        for number in 0..100 * BLOCK {
            ring.put(number, u64::from(number));
            *ring.place_mut(number).unwrap() = None;
            ring.is_past(number);
            assert!(ring.held() <= 1);
        }
    }
}
