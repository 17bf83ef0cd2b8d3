//! What the reader thread does with events that other runs stored: each becomes an event again and goes to the matcher, the
//! one that was sent twice once.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::ops::ControlFlow;

use crossbeam_channel::{Receiver, Sender};

use super::{EventBatch, InputError, exchange};
use crate::delivery::DeliveryError;
use crate::delivery::clickhouse::{Stored, TakeStored};
use crate::event::{Event, Maker};
use crate::stats;
use crate::time::Timestamp;
use crate::transaction::NamedRoles;

/// So many events make a batch.
const EVENTS: usize = 512;
/// So many resolvers are remembered.
const RESOLVERS: usize = 1 << 20;

/// The way of stored events to the matcher.
pub(super) struct Rereading {
    roles: NamedRoles,
    maker: Maker,
    batch: EventBatch,
    /// Who answered somebody, each once, by time, of those whose time has not come yet.
    resolvers: VecDeque<(Timestamp, IpAddr)>,
    known: HashSet<IpAddr, ahash::RandomState>,
    /// The event before.
    before: Option<(Timestamp, [u8; 16])>,
    stored: stats::Stored,
    /// Why the first record that is no event is none.
    unreadable: Option<String>,
    full: Sender<EventBatch>,
    empty: Receiver<EventBatch>,
}

impl Rereading {
    pub(super) fn new(
        roles: NamedRoles,
        maker: Maker,
        full: Sender<EventBatch>,
        empty: Receiver<EventBatch>,
    ) -> Self {
        Self {
            roles,
            maker,
            batch: EventBatch::default(),
            resolvers: VecDeque::new(),
            known: HashSet::default(),
            before: None,
            stored: stats::Stored::default(),
            unreadable: None,
            full,
            empty,
        }
    }

    /// Reads to the end, or until `stop` says so; gives what was wrong.
    pub(super) fn read(mut self, stored: &Stored, stop: &dyn Fn() -> bool) -> Vec<InputError> {
        let mut errors: Vec<InputError> = Vec::new();
        errors.extend(stored.read(&mut self, stop).err().map(InputError::from));
        // The roles that nobody was told of yet.
        self.batch.now = self
            .batch
            .now
            .max(self.stored.last.unwrap_or(Timestamp::MIN));
        let rest = self.resolvers.drain(..).map(|(_, address)| address);
        self.batch.resolvers.extend(rest);
        match self.send() {
            ControlFlow::Continue(()) | ControlFlow::Break(()) => {}
        }
        if let Some(why) = self.unreadable {
            let reason = format!(
                "{} of {} records are no events that this version of the program reads, and are left out: {why}",
                self.stored.unreadable, self.stored.received
            );
            errors.push(InputError::Stored(DeliveryError::Server {
                place: stored.place().to_owned(),
                reason,
            }));
        }
        errors
    }

    /// Sends the batch with the counters and takes an empty one; waits where the matcher is behind.
    fn send(&mut self) -> ControlFlow<()> {
        let mut batch = std::mem::take(&mut self.batch);
        while let Some((_, address)) = self.resolvers.pop_front_if(|(time, _)| *time <= batch.now) {
            batch.resolvers.push(address);
        }
        batch.stats.stored = self.stored;
        self.batch = exchange(batch, &self.full, &self.empty)?;
        ControlFlow::Continue(())
    }
}

impl TakeStored for Rereading {
    fn answered(&mut self, address: IpAddr, time: Timestamp) {
        if self.known.len() < RESOLVERS && self.known.insert(address) {
            self.resolvers.push_back((time, address));
        }
    }

    fn take(&mut self, record: &str) -> ControlFlow<()> {
        self.stored.received += 1;
        let mut event = match Event::read(record) {
            Ok(event) => event,
            Err(why) => {
                self.stored.unreadable += 1;
                self.unreadable.get_or_insert(why);
                return ControlFlow::Continue(());
            }
        };
        let identity = (event.time, event.event_id);
        if self.before.replace(identity) == Some(identity) {
            self.stored.copies += 1;
            return ControlFlow::Continue(());
        }
        self.stored.events += 1;
        self.stored.first.get_or_insert(event.time);
        self.stored.last = self.stored.last.max(Some(event.time));
        self.maker.renew(&mut event);
        event.src_role = self.roles.of(event.src).unwrap_or(event.src_role);
        self.batch.now = event.time;
        self.batch.events.push(event.time, event);
        if self.batch.events.len() >= EVENTS {
            self.send()
        } else {
            ControlFlow::Continue(())
        }
    }
}
