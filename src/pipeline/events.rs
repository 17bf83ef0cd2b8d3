//! The events of a batch, which go back with it and are made anew in the same memory.

use crate::event::Event;
use crate::time::Timestamp;

/// Events, each with the time at which its transaction was over.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// Behind those that are in use stand those that were.
    list: Vec<(Timestamp, Event)>,
    used: usize,
    /// Their places in another order than that of the list, where they were put in one.
    order: Vec<usize>,
    /// The most bytes of text that the answers of one of them have.
    longest: usize,
}

impl Events {
    /// No more than these are kept for the next time, and none where one of them has more bytes of text.
    const KEPT: usize = 512;
    const BYTES: usize = 4_096;

    /// Has an event made, in the place of one that is there no longer; whether there was one.
    pub(super) fn make(&mut self, over: Timestamp, fill: impl FnOnce(&mut Event) -> bool) -> bool {
        if self.used == self.list.len() {
            self.list.push((over, Event::default()));
        }
        let Some((time, event)) = self.list.get_mut(self.used) else {
            return false;
        };
        *time = over;
        if !fill(event) {
            return false;
        }
        let texts = event.answers.iter().map(|it| it.name.len() + it.data.len());
        self.longest = self.longest.max(texts.sum());
        self.used += 1;
        true
    }

    /// Adds an event.
    pub(super) fn push(&mut self, over: Timestamp, event: Event) {
        self.make(over, |place| {
            *place = event;
            true
        });
    }

    /// Takes over those of others, which get the memory that is free here.
    pub(super) fn append(&mut self, others: &mut Self) {
        for other in others.list.iter_mut().take(others.used) {
            match self.list.get_mut(self.used) {
                Some(place) => std::mem::swap(place, other),
                None => self.list.push(std::mem::take(other)),
            }
            self.used += 1;
        }
        self.longest = self.longest.max(others.longest);
        others.clear();
    }

    /// Puts those from that one on, which were made together, in the order of `key`.
    pub(super) fn sort_from<K: Ord>(&mut self, from: usize, key: fn(&(Timestamp, Event)) -> K) {
        if let Some(events) = self.list.get_mut(from..self.used) {
            events.sort_by_key(key);
        }
    }

    /// Puts all of them in the order of their `ordinals`, and of `key` where these are the same.
    pub(super) fn sort_by<K: Ord>(&mut self, ordinals: &[u32], key: fn(&(Timestamp, Event)) -> K) {
        let Self { list, order, .. } = self;
        order.clear();
        order.extend(0..self.used);
        order.sort_by_key(|place| (ordinals.get(*place), list.get(*place).map(key)));
    }

    pub(super) const fn len(&self) -> usize {
        self.used
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Those that are in use, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Timestamp, Event)> {
        let in_place = if self.order.is_empty() { self.used } else { 0 };
        let in_order = self.order.iter().filter_map(|place| self.list.get(*place));
        self.list.iter().take(in_place).chain(in_order)
    }

    /// Has the memory come that they are in, which another processor wrote: whoever looks at one after the other waits for each
    /// several times; here nothing depends on another.
    pub(super) fn fetch(&self) {
        let events = self.list.iter().take(self.used);
        std::hint::black_box(events.fold(0, |read, (_, event)| read ^ a_little_of(event)));
    }

    /// Takes them all out.
    pub(super) fn clear(&mut self) {
        if self.longest > Self::BYTES {
            self.list.clear();
        }
        self.list.truncate(Self::KEPT);
        // What else an event holds on to is not kept alive.
        for (_, event) in self.list.iter_mut().take(self.used) {
            event.wire = None;
        }
        self.order.clear();
        (self.used, self.longest) = (0, 0);
    }
}

/// A little of each piece of memory that an event takes.
fn a_little_of(event: &Event) -> u64 {
    let first = |text: &str| u64::from(text.as_bytes().first().copied().unwrap_or(0));
    let answers = event.answers.iter();
    let answers = answers.fold(0, |read, it| read ^ first(&it.name) ^ first(&it.data));
    event.packet ^ first(&event.query) ^ first(&event.query_spelled) ^ answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_others_come_in_between() {
        let of = |packets: &[u64]| {
            let mut events = Events::default();
            for packet in packets {
                events.push(
                    Timestamp::MIN,
                    Event {
                        packet: *packet,
                        ..Event::default()
                    },
                );
            }
            events
        };
        // With memory of an event before, and without.
        for kept in [0, 1, 5] {
            let mut events = of(&[9, 9, 9, 9, 9][..kept]);
            events.clear();
            for packet in [5, 1, 7] {
                events.push(
                    Timestamp::MIN,
                    Event {
                        packet,
                        ..Event::default()
                    },
                );
            }
            events.sort_from(1, |(_, event)| event.packet);
            let mut others = of(&[2, 6, 3]);
            events.append(&mut others);
            assert!(others.is_empty());
            let packets =
                |events: &Events| -> Vec<u64> { events.iter().map(|it| it.1.packet).collect() };
            assert_eq!(packets(&events), [5, 1, 7, 2, 6, 3]);
            events.sort_by(&[4, 1, 4, 1, 4, 2], |(_, event)| event.packet);
            assert_eq!(packets(&events), [1, 2, 3, 5, 6, 7]);
            events.clear();
            assert!(events.is_empty() && packets(&events).is_empty());
        }
    }

    #[test]
    fn only_what_is_used_is_seen_and_not_too_much_is_kept() {
        let mut events = Events::default();
        let make = |events: &mut Events, packet: u64, is_one: bool| {
            events.make(Timestamp::from_nanos(1), |event| {
                event.packet = packet;
                is_one
            })
        };
        assert!(make(&mut events, 1, true) && !make(&mut events, 2, false));
        assert!(make(&mut events, 3, true));
        let packets =
            |events: &Events| -> Vec<u64> { events.iter().map(|it| it.1.packet).collect() };
        assert_eq!((packets(&events), events.len()), (vec![1, 3], 2));
        events.clear();
        assert!(events.is_empty() && packets(&events).is_empty());
        for packet in 0..2_000 {
            make(&mut events, packet, true);
        }
        assert_eq!(packets(&events), (0..2_000).collect::<Vec<_>>());
        events.clear();
        assert_eq!(events.list.len(), Events::KEPT);
        events.make(Timestamp::MIN, |event| {
            event.answers = vec![crate::event::Record {
                name: "a".repeat(5_000),
                ..crate::aggregate::tests::answer("192.0.2.1")
            }];
            true
        });
        events.clear();
        assert!(events.list.is_empty());
    }
}
