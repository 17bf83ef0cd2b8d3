//! Where several decoders share the work: which of them has a message, and what they have to tell each other.
//!
//! A decoder has all messages of its clients, so that whatever belongs together meets. What it has to know of others'
//! messages (that somebody answered, or was asked for something) goes to it as a mark between its own, and so does the time:
//! all decoders sweep at the same packets, and what they make can be put into the order in which one would have made it.

use std::net::IpAddr;
use std::ops::ControlFlow;

use crossbeam_channel::{Receiver, Sender};

use super::{ArrivalBatch, Way, exchange};
use crate::time::Timestamp;
use crate::transaction::{Arrival, Asked, Clock, Spare};

/// Of so many addresses it is remembered that all decoders know them as ones that answered; beyond it they are told each time.
const TOLD: usize = 1 << 20;

/// What a decoder is told between its messages.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// After so many of the batch's arrivals.
    pub(super) after: usize,
    /// Its place among all that the capture thread handed out in that round.
    pub(super) ordinal: u32,
    pub(super) says: Says,
}

/// What it is told.
#[derive(Clone, Debug)]
pub(super) enum Says {
    /// Packet time has come so far, or gone back so far.
    Now(Timestamp),
    /// An address answered one of another decoder's clients.
    Answered(IpAddr),
    /// One of its clients was asked, as a resolver.
    Asked(Asked),
}

/// The batches on their way to the decoders.
pub(super) struct Splitting {
    /// The first decoder's, which also has what is not of a single message.
    pub(super) first: ArrivalBatch,
    /// Where there are more decoders.
    others: Option<Box<Others>>,
    clock: Clock,
    way: Way,
    /// Which capture thread this is.
    capture: usize,
    round: u64,
    full: Vec<Sender<ArrivalBatch>>,
    empty: Receiver<ArrivalBatch>,
}

/// What is needed only where there are more decoders than one.
struct Others {
    batches: Vec<ArrivalBatch>,
    ordinal: u32,
    clients: Clients,
    /// Who is known to have answered.
    answered: hashbrown::HashSet<IpAddr, ahash::RandomState>,
}

/// Which client is whose: the same for all capture threads, and nobody outside can tell.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    decoders: usize,
    keys: ahash::RandomState,
}

impl Clients {
    /// Shares them out among so many decoders.
    pub(super) fn new(decoders: usize) -> Self {
        Self {
            decoders,
            keys: ahash::RandomState::new(),
        }
    }

    /// The decoder of a client.
    fn of(&self, client: IpAddr) -> usize {
        let decoders = u64::try_from(self.decoders).unwrap_or(1).max(1);
        usize::try_from(self.keys.hash_one(client) % decoders).unwrap_or(0)
    }
}

impl Splitting {
    /// The batches of a capture thread for the decoders at those channels.
    pub(super) fn new(
        capture: usize,
        way: Way,
        clients: Clients,
        full: Vec<Sender<ArrivalBatch>>,
        empty: Receiver<ArrivalBatch>,
    ) -> Self {
        let others = full.len().saturating_sub(1);
        let others = (others > 0).then(|| {
            Box::new(Others {
                batches: std::iter::repeat_with(|| ArrivalBatch {
                    capture,
                    ..ArrivalBatch::default()
                })
                .take(others)
                .collect(),
                ordinal: 0,
                clients,
                answered: hashbrown::HashSet::default(),
            })
        });
        let first = ArrivalBatch {
            capture,
            ..ArrivalBatch::default()
        };
        Self {
            first,
            others,
            clock: Clock::default(),
            way,
            capture,
            round: 0,
            full,
            empty,
        }
    }

    /// Which capture thread this is.
    pub(super) fn capture(&self) -> u16 {
        u16::try_from(self.capture).unwrap_or(u16::MAX)
    }

    /// Whether there are more decoders than the first.
    #[inline(always)]
    pub(super) const fn is_shared(&self) -> bool {
        self.others.is_some()
    }

    /// Takes a message from or to that client.
    #[inline(always)]
    pub(super) fn push(&mut self, arrival: Arrival, client: impl FnOnce() -> IpAddr) {
        match &mut self.others {
            None => self.first.push(arrival),
            Some(others) => others.push(&mut self.first, arrival, client()),
        }
    }

    /// Tells the decoders where packet time is, if they are to sweep.
    pub(super) fn tell_time(&mut self, now: Timestamp) {
        if self.clock.is_to_sweep(now) {
            let says = Says::Now(now);
            match &mut self.others {
                None => tell(&mut self.first, 0, says),
                Some(others) => others.tell_all(&mut self.first, &says),
            }
        }
    }

    /// Whether a batch is to be sent.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        let is_full = |batch: &ArrivalBatch| batch.is_full(self.way);
        let others = self.others.as_ref();
        is_full(&self.first) || others.is_some_and(|others| others.batches.iter().any(is_full))
    }

    /// Sends all batches as those of one round, and takes empty ones, and the memory of messages that they bring back; waits where
    /// a decoder is behind.
    pub(super) fn send(
        &mut self,
        now: Timestamp,
        is_idle: bool,
        is_last: bool,
        spare: &mut Spare,
    ) -> ControlFlow<()> {
        let mut others: &mut [ArrivalBatch] = &mut [];
        if let Some(more) = &mut self.others {
            more.ordinal = 0;
            others = &mut more.batches;
        }
        let assets = self.first.reloaded.as_ref().map(|loaded| &loaded.assets);
        for batch in &mut *others {
            batch.assets = assets.cloned().map(Box::new);
        }
        for (batch, full) in std::iter::once(&mut self.first)
            .chain(others)
            .zip(&self.full)
        {
            batch.now = now;
            batch.round = self.round;
            batch.is_idle = is_idle;
            batch.is_last = is_last;
            *batch = exchange(std::mem::take(batch), full, &self.empty)?;
            batch.capture = self.capture;
            spare.append(&mut batch.spare);
        }
        self.round += 1;
        ControlFlow::Continue(())
    }
}

impl Others {
    /// Never inlined: the way of a single decoder is short.
    #[inline(never)]
    fn push(&mut self, first: &mut ArrivalBatch, arrival: Arrival, client: IpAddr) {
        let own = self.clients.of(client);
        if let Some(address) = arrival.answers()
            && !self.answered.contains(&address)
        {
            if self.answered.len() < TOLD {
                self.answered.insert(address);
            }
            self.tell_all(first, &Says::Answered(address));
        }
        if let Some(asked) = arrival.asks() {
            let its = self.clients.of(asked.resolver());
            if its != own {
                let ordinal = self.next();
                tell(self.batch(first, its), ordinal, Says::Asked(asked));
            }
        }
        let ordinal = self.next();
        let batch = self.batch(first, own);
        batch.ordinals.push(ordinal);
        batch.push(arrival);
    }

    fn next(&mut self) -> u32 {
        let ordinal = self.ordinal;
        self.ordinal = ordinal.saturating_add(1);
        ordinal
    }

    fn batch<'a>(
        &'a mut self,
        first: &'a mut ArrivalBatch,
        decoder: usize,
    ) -> &'a mut ArrivalBatch {
        match decoder
            .checked_sub(1)
            .and_then(|other| self.batches.get_mut(other))
        {
            Some(batch) => batch,
            None => first,
        }
    }

    fn tell_all(&mut self, first: &mut ArrivalBatch, says: &Says) {
        let ordinal = self.next();
        for batch in std::iter::once(first).chain(&mut self.batches) {
            tell(batch, ordinal, says.clone());
        }
    }
}

fn tell(batch: &mut ArrivalBatch, ordinal: u32, says: Says) {
    batch.marks.push(Mark {
        after: batch.arrivals.len(),
        ordinal,
        says,
    });
}
