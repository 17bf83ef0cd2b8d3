//! Where the transactions with a key stand in the table: chains of them, by some bits of the key.
//!
//! A slot is far from the processor, and most keys that are looked up have none. So the first links of each chain stand beside
//! each other in an array that is near, each with some more bits of its slot's key: only a slot that has them is looked at, and
//! most lookups wait for memory once.
//!
//! The table numbers its slots in the order in which they are put in, and what is swept away is the oldest. So what comes first
//! in a chain is the newest, and a chain ends where a number is older than all that are left: nobody takes them out.

/// The numbers of the slots that there are; they begin anew after the last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// The oldest of them.
    pub(super) first: u32,
    /// The next one to be given.
    pub(super) end: u32,
}

impl Numbers {
    /// How many there are.
    pub(super) const fn len(self) -> u32 {
        self.end.wrapping_sub(self.first)
    }

    /// Whether it is one of them.
    pub(super) const fn has(self, number: u32) -> bool {
        number.wrapping_sub(self.first) < self.len()
    }
}

/// The last bits of a number, and eleven bits of its slot's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link(u32);

impl Link {
    /// So many bits are the number's.
    const NUMBER: u32 = 21;

    const fn new(number: u32, key: u32) -> Self {
        Self(key & !0 << Self::NUMBER | number & !(!0 << Self::NUMBER))
    }

    /// How far it is back from a later number, by the bits that it has.
    const fn back_from(self, number: u32) -> u32 {
        number.wrapping_sub(self.0) & !(!0 << Self::NUMBER)
    }

    const fn may_have(self, key: u32) -> bool {
        (self.0 ^ key) >> Self::NUMBER == 0
    }
}

/// So many links of a chain are its first.
const FIRSTS: usize = 4;
/// So many slots there are for each chain, where all are in use: of seven such chains one fills its first links, so that a look
/// behind them is needed.
const SLOTS: usize = 2;

/// Slots by their keys, which are hashes: all their bits are as good as any.
#[derive(Debug)]
pub(super) struct Index {
    /// The first links of each chain; as many chains as a power of two.
    firsts: Vec<[u32; FIRSTS]>,
    /// The link after each slot in its chain, also where that is one of the first, by the last bits of the number; as many as a
    /// power of two.
    after: Vec<u32>,
}

impl Index {
    /// The most slots, those gone in between included, that can be told apart.
    pub(super) const MOST: u32 = (1 << Link::NUMBER) - 1;

    /// What a link is that was not written yet. It does not matter where it leads: a slot is looked at before it is taken for what
    /// somebody looks for. Not zero, so that the memory is there from the start: of memory full of zeros that is read before it
    /// is written each page costs an interrupt of all processors.
    const UNUSED: u32 = !0;

    /// An empty index for so many slots, a power of two; none for none.
    pub(super) fn new(slots: usize) -> Self {
        Self {
            firsts: vec![[Self::UNUSED; FIRSTS]; slots.div_ceil(SLOTS)],
            after: vec![Self::UNUSED; slots],
        }
    }

    /// For how many slots there is room.
    pub(super) const fn room(&self) -> usize {
        self.after.len()
    }

    fn place(&self, key: u32) -> usize {
        key as usize & self.firsts.len().wrapping_sub(1)
    }

    fn place_after(&self, number: u32) -> usize {
        number as usize & self.after.len().wrapping_sub(1)
    }

    fn after(&self, number: u32) -> u32 {
        let place = self.place_after(number);
        self.after.get(place).copied().unwrap_or(Self::UNUSED)
    }

    /// The slots that may have a key, the newest first: few others among them.
    #[inline(always)]
    pub(super) fn with(&self, key: u32, numbers: Numbers) -> impl Iterator<Item = u32> {
        let firsts = self.firsts.get(self.place(key)).copied();
        let mut firsts = firsts.unwrap_or([Self::UNUSED; FIRSTS]).into_iter();
        let mut walk = Walk::new(numbers);
        std::iter::from_fn(move || {
            loop {
                let link = firsts.next().unwrap_or_else(|| self.after(walk.number));
                let number = walk.step(Link(link))?;
                if Link(link).may_have(key) {
                    return Some(number);
                }
            }
        })
    }

    /// Fetches what [`with`](Self::with) reads first for each of some keys: their lookups would each wait for memory, one after
    /// the other; here nothing depends on another.
    #[inline(always)]
    pub(super) fn fetch(&self, keys: impl Iterator<Item = u32>) {
        let first = |key| Some(self.firsts.get(self.place(key))?[0]);
        std::hint::black_box(keys.filter_map(first).fold(0, |read, first| read ^ first));
    }

    /// Puts the newest slot in.
    #[inline]
    pub(super) fn put(&mut self, number: u32, key: u32) {
        let (place, place_after) = (self.place(key), self.place_after(number));
        if let (Some(firsts), Some(after)) =
            (self.firsts.get_mut(place), self.after.get_mut(place_after))
        {
            let [first, second, third, _] = *firsts;
            *after = first;
            *firsts = [Link::new(number, key).0, first, second, third];
        }
    }

    /// Takes a slot out that is not among the oldest.
    pub(super) fn take(&mut self, number: u32, key: u32, numbers: Numbers) {
        let of = Link::new(number, key);
        let place = self.place(key);
        let Some(firsts) = self.firsts.get(place).copied() else {
            return;
        };
        let mut links = firsts.into_iter();
        let mut walk = Walk::new(numbers);
        let (mut at, mut before) = (0, None);
        loop {
            let link = links.next().unwrap_or_else(|| self.after(walk.number));
            if Link(link) == of {
                break;
            }
            before = walk.step(Link(link));
            if before.is_none() {
                return;
            }
            at += 1;
        }
        let after = self.after(number);
        let place_before = before.map(|before| self.place_after(before));
        if let Some(before) = place_before.and_then(|place| self.after.get_mut(place)) {
            *before = after;
        }
        // Those behind it move up; a number's last bits are a link's, too.
        let [.., last] = firsts;
        let behind = self.after(last);
        let left = firsts.into_iter().enumerate();
        let left = left.filter(|(place, _)| *place != at).map(|(_, it)| it);
        let mut left = left.chain([behind]);
        if let Some(firsts) = self.firsts.get_mut(place) {
            *firsts = std::array::from_fn(|_| left.next().unwrap_or(Self::UNUSED));
        }
    }
}

/// A way along a chain, from each slot to an older one.
struct Walk {
    number: u32,
    /// How many there are that are older.
    older: u32,
}

impl Walk {
    const fn new(numbers: Numbers) -> Self {
        Self {
            number: numbers.end,
            older: numbers.len(),
        }
    }

    /// The slot that a link leads to; `None` where the chain is at its end: that one was swept away.
    #[inline(always)]
    fn step(&mut self, link: Link) -> Option<u32> {
        let back = link.back_from(self.number);
        if back.wrapping_sub(1) >= self.older {
            return None;
        }
        self.older -= back;
        self.number = self.number.wrapping_sub(back);
        Some(self.number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Keys that share a chain, some of them the upper bits too.
    fn key(number: u32) -> u32 {
        number << 3 | number << 29
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(u32),
        Take(usize),
        /// So many of the oldest go, and nobody tells the index.
        Sweep(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0_u32..6).prop_map(Step::Put),
            1 => (0_usize..20).prop_map(Step::Take),
            1 => (0_u32..8).prop_map(Step::Sweep),
        ]
    }

    proptest! {
        /// Whatever is put in, taken out and swept away: what is found is what a list has, the newest first; also where
        /// numbers begin anew, and where a link's bits of them do.
        #[test]
        fn it_finds_what_a_list_has(
            steps in prop::collection::vec(step(), 0..300),
            first in prop_oneof![Just(0), Just(u32::MAX - 20), Just((1 << Link::NUMBER) - 20)],
        ) {
            const ROOM: u32 = 32;
            let mut index = Index::new(ROOM as usize);
            let mut numbers = Numbers { first, end: first };
            let mut list: Vec<(u32, u32)> = Vec::new();
            for step in steps {
                match step {
                    Step::Put(of) if numbers.len() < ROOM => {
                        index.put(numbers.end, key(of));
                        list.push((numbers.end, of));
                        numbers.end = numbers.end.wrapping_add(1);
                    }
                    Step::Put(_) => {}
                    Step::Take(at) => {
                        if at < list.len() {
                            let (number, of) = list.remove(at);
                            index.take(number, key(of), numbers);
                        }
                    }
                    Step::Sweep(many) => {
                        let many = many.min(numbers.len());
                        numbers.first = numbers.first.wrapping_add(many);
                        list.retain(|(number, _)| numbers.has(*number));
                    }
                }
                let of_list = |number| list.iter().find(|(it, _)| *it == number).map(|(_, of)| *of);
                for of in 0..6 {
                    // A chain in which nothing was put yet may lead to whatever has a number of ones.
                    let is_unused = |number: &u32| Link(Index::UNUSED).back_from(*number) == 0;
                    let mut all = index.with(key(of), numbers).filter(|number| !is_unused(number));
                    prop_assert!(all.all(|number| of_list(number).is_some()), "taken out, and found");
                    let found: Vec<u32> =
                        index.with(key(of), numbers).filter(|number| of_list(*number) == Some(of)).collect();
                    let has: Vec<u32> =
                        list.iter().rev().filter(|(_, it)| *it == of).map(|(number, _)| *number).collect();
                    prop_assert_eq!(found, has);
                }
            }
        }
    }

    /// As many as can be told apart, and all bits of a link in use.
    #[test]
    fn it_holds_the_most() {
        let mut index = Index::new(1 << Link::NUMBER);
        let mut numbers = Numbers::default();
        for number in 0..Index::MOST {
            index.put(number, 0);
            numbers.end += 1;
        }
        assert!(index.with(0, numbers).eq((0..Index::MOST).rev()));
        assert_eq!(index.with(1 << 31, numbers).next(), None);
    }

    #[test]
    fn numbers_begin_anew() {
        let numbers = Numbers {
            first: u32::MAX - 1,
            end: 2,
        };
        assert_eq!(numbers.len(), 4);
        assert!(numbers.has(u32::MAX) && numbers.has(1));
        assert!(!numbers.has(2) && !numbers.has(u32::MAX - 2));
    }
}
