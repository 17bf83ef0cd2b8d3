//! Which slots have a key: chains of slots, by some bits of the key.
//!
//! A slot is far from the processor, and most keys that are looked up have none. So the first of each chain stands in an
//! array that is near, each link with some more bits of its slot's key: only a slot that has them is looked at.

/// A slot and eleven bits of its key; 0 is the end of a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Link(u32);

impl Link {
    const END: Self = Self(0);
    /// The slot's number takes so many bits, counted from 1.
    const NUMBER: u32 = 21;

    /// `None` where the number is too large.
    fn new(slot: u32, key: u32) -> Option<Self> {
        let number = slot
            .checked_add(1)
            .filter(|number| number >> Self::NUMBER == 0)?;
        Some(Self(key & !0 << Self::NUMBER | number))
    }

    /// The slot; `None` at the end of the chain.
    fn slot(self) -> Option<u32> {
        (self.0 & !(!0 << Self::NUMBER)).checked_sub(1)
    }

    fn may_have(self, key: u32) -> bool {
        (self.0 ^ key) >> Self::NUMBER == 0
    }
}

/// Slots by their keys, which are hashes: all their bits are as good as any.
#[derive(Debug)]
pub(super) struct Index {
    /// The first of each chain; as many as a power of two.
    heads: Vec<Link>,
    /// What comes after each slot in its chain.
    next: Vec<Link>,
    len: usize,
}

impl Index {
    /// The most slots that can be told apart.
    pub(super) const MOST: usize = (1 << Link::NUMBER) - 1;

    /// An empty index, quick for so many slots, a power of two.
    pub(super) fn with_capacity(slots: usize) -> Self {
        Self {
            heads: vec![Link::END; slots.next_power_of_two()],
            next: Vec::with_capacity(slots),
            len: 0,
        }
    }

    /// How many slots are in it.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    fn place(&self, key: u32) -> usize {
        key as usize & (self.heads.len().wrapping_sub(1))
    }

    fn after(&self, slot: u32) -> Link {
        self.next.get(slot as usize).copied().unwrap_or_default()
    }

    /// The slots that may have a key, the newest first: few others among them.
    #[inline]
    pub(super) fn with(&self, key: u32) -> impl Iterator<Item = u32> {
        let mut link = self.heads.get(self.place(key)).copied().unwrap_or_default();
        std::iter::from_fn(move || {
            loop {
                let here = link;
                let slot = here.slot()?;
                link = self.after(slot);
                if here.may_have(key) {
                    return Some(slot);
                }
            }
        })
    }

    /// Puts a slot in that is not in it; `key_of` tells those of the others. `None` where its number is [`Self::MOST`] or
    /// more.
    pub(super) fn insert(
        &mut self,
        slot: u32,
        key: u32,
        key_of: impl Fn(u32) -> Option<u32>,
    ) -> Option<()> {
        if self.len >= self.heads.len() {
            self.grow(key_of);
        }
        self.link(slot, key)?;
        self.len += 1;
        Some(())
    }

    fn link(&mut self, slot: u32, key: u32) -> Option<()> {
        let link = Link::new(slot, key)?;
        let place = self.place(key);
        let after = std::mem::replace(self.heads.get_mut(place)?, link);
        if self.next.len() <= slot as usize {
            self.next.resize(slot as usize + 1, Link::END);
        }
        *self.next.get_mut(slot as usize)? = after;
        Some(())
    }

    /// Twice as many chains.
    fn grow(&mut self, key_of: impl Fn(u32) -> Option<u32>) {
        let chains = self.heads.len() * 2;
        let heads = std::mem::replace(&mut self.heads, vec![Link::END; chains]);
        let mut slots = Vec::new();
        for mut link in heads {
            slots.clear();
            while let Some(slot) = link.slot() {
                slots.push(slot);
                link = self.after(slot);
            }
            // The last is put in first, so that the newest stays before the others.
            for slot in slots.iter().rev() {
                if let Some(key) = key_of(*slot) {
                    self.link(*slot, key);
                }
            }
        }
    }

    /// Takes a slot out; whether it was in it.
    pub(super) fn remove(&mut self, slot: u32, key: u32) -> bool {
        let after = self.after(slot);
        let place = self.place(key);
        let Some(head) = self.heads.get_mut(place) else {
            return false;
        };
        let mut link = head;
        loop {
            match link.slot() {
                None => return false,
                Some(here) if here == slot => {
                    *link = after;
                    self.len -= 1;
                    return true;
                }
                Some(here) => match self.next.get_mut(here as usize) {
                    Some(next) => link = next,
                    None => return false,
                },
            }
        }
    }

    /// Takes all out and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.heads.fill(Link::END);
        self.next.clear();
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is put in and taken out, in whatever order: what is found is what a list has.
        #[test]
        fn it_finds_what_a_list_has(
            steps in prop::collection::vec((0_u32..40, 0_u32..6, any::<bool>()), 0..200),
        ) {
            let mut index = Index::with_capacity(4);
            let mut list: BTreeMap<u32, u32> = BTreeMap::new();
            for (slot, key, puts) in steps {
                // Keys that share a chain, some of them the upper bits too.
                let key = key << 3 | key << 29;
                match (puts, list.get(&slot)) {
                    (true, None) => {
                        index.insert(slot, key, |slot| list.get(&slot).copied()).unwrap();
                        list.insert(slot, key);
                    }
                    (true, Some(_)) => {}
                    (false, before) => {
                        prop_assert_eq!(index.remove(slot, before.copied().unwrap_or(key)), before.is_some());
                        list.remove(&slot);
                    }
                }
                prop_assert_eq!(index.len(), list.len());
                for key in (0..6).map(|key| key << 3 | key << 29) {
                    let mut found: Vec<u32> = index.with(key).filter(|slot| list[slot] == key).collect();
                    found.sort_unstable();
                    let has: Vec<u32> = list.iter().filter(|(_, of)| **of == key).map(|(slot, _)| *slot).collect();
                    prop_assert_eq!(found, has);
                }
            }
        }
    }

    #[test]
    fn the_newest_comes_first_and_after_growing_too() {
        let mut index = Index::with_capacity(2);
        for slot in 0..9 {
            index.insert(slot, 5, |_| Some(5)).unwrap();
        }
        assert_eq!(
            index.with(5).collect::<Vec<_>>(),
            (0..9).rev().collect::<Vec<_>>()
        );
        index.clear();
        assert_eq!((index.with(5).next(), index.len()), (None, 0));
    }

    #[test]
    fn a_number_too_large_is_refused() {
        let mut index = Index::with_capacity(1);
        let most = u32::try_from(Index::MOST).unwrap();
        assert_eq!(index.insert(most, 1, |_| None), None);
        assert_eq!(index.insert(most - 1, 1, |_| None), Some(()));
        assert_eq!(index.with(1).collect::<Vec<_>>(), [most - 1]);
    }
}
