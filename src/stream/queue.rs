//! First in, first out, with removal from the middle: each operation takes constant time.

/// No stream.
const NONE: u32 = u32::MAX;

/// The neighbours of a member.
#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
    member: bool,
}

const OUTSIDE: Link = Link {
    before: NONE,
    after: NONE,
    member: false,
};

/// A queue of small numbers (places in a table), each at most once.
#[derive(Debug)]
pub(super) struct Queue {
    links: Vec<Link>,
    first: u32,
    last: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            links: Vec::new(),
            first: NONE,
            last: NONE,
        }
    }
}

impl Queue {
    /// The one that came first.
    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// Whether `id` is in the queue.
    pub(super) fn contains(&self, id: u32) -> bool {
        self.links.get(id as usize).is_some_and(|link| link.member)
    }

    /// Puts `id` at the end, wherever it was before.
    pub(super) fn append(&mut self, id: u32) {
        if self.last == id {
            return;
        }
        self.remove(id);
        let place = id as usize;
        if self.links.len() <= place {
            self.links.resize(place.saturating_add(1), OUTSIDE);
        }
        let last = self.last;
        if let Some(link) = self.links.get_mut(place) {
            *link = Link {
                before: last,
                after: NONE,
                member: true,
            };
        }
        match self.links.get_mut(last as usize) {
            Some(link) => link.after = id,
            None => self.first = id,
        }
        self.last = id;
    }

    /// Takes `id` out, if it is in.
    pub(super) fn remove(&mut self, id: u32) {
        let Some(link) = self.links.get_mut(id as usize) else {
            return;
        };
        let Link {
            before,
            after,
            member,
        } = std::mem::replace(link, OUTSIDE);
        if !member {
            return;
        }
        match self.links.get_mut(before as usize) {
            Some(link) => link.after = after,
            None => self.first = after,
        }
        match self.links.get_mut(after as usize) {
            Some(link) => link.before = before,
            None => self.last = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn does_what_a_plain_list_does(steps in proptest::collection::vec((any::<bool>(), 0u32..8), 0..60)) {
            let mut queue = Queue::default();
            let mut model: VecDeque<u32> = VecDeque::new();
            for (append, id) in steps {
                model.retain(|&other| other != id);
                if append {
                    model.push_back(id);
                    queue.append(id);
                } else {
                    queue.remove(id);
                }
                prop_assert_eq!(queue.first(), model.front().copied());
                for id in 0..8 {
                    prop_assert_eq!(queue.contains(id), model.contains(&id));
                }
            }
            while let Some(id) = queue.first() {
                prop_assert_eq!(Some(id), model.pop_front());
                queue.remove(id);
            }
            prop_assert!(model.is_empty());
        }
    }
}
