//! What a live run has shown at once, so that it shows nothing twice.

use std::hash::Hash;

/// The most that is remembered, one line each.
pub(super) const SHOWN_MAX: usize = 1 << 20;

/// Remembers what was shown, up to a bound.
pub(super) struct Shown {
    hashes: hashbrown::HashSet<u64, ahash::RandomState>,
    keys: ahash::RandomState,
    most: usize,
}

/// Whether something is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    /// It was not shown yet, and counts as shown now.
    New,
    /// It was shown.
    Known,
    /// It was not shown, and will not be: there is no room to remember it.
    Unremembered,
}

impl Shown {
    /// Remembers nothing yet, and at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self {
            hashes: hashbrown::HashSet::default(),
            keys: ahash::RandomState::new(),
            most,
        }
    }

    /// Whether that is to be shown.
    pub(super) fn look(&mut self, what: impl Hash) -> Novelty {
        let hash = self.keys.hash_one(what);
        if self.hashes.contains(&hash) {
            Novelty::Known
        } else if self.hashes.len() < self.most {
            self.hashes.insert(hash);
            Novelty::New
        } else {
            Novelty::Unremembered
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_bound_nothing_is_new_and_nothing_is_forgotten() {
        let mut shown = Shown::new(2);
        let looks = ["a", "b", "a", "c", "c", "b"].map(|what| shown.look(what));
        use Novelty::{Known, New, Unremembered};
        assert_eq!(looks, [New, New, Known, Unremembered, Unremembered, Known]);
    }
}
