//! What the capture thread does with each packet: look at it, count it, copy it into a batch.

use std::ops::ControlFlow;

use crossbeam_channel::{Receiver, Sender};

use super::Span;
use crate::capture::TakePackets;
use crate::frame::{PortLook, Ports};
use crate::packet::{Batch, Look, Packet};
use crate::stats::Capture;
use crate::time::Timestamp;

/// Fills batches and sends them.
pub(super) struct Reading {
    look: PortLook,
    span: Span,
    count: Option<u64>,
    batch: Batch,
    full: Sender<Batch>,
    empty: Receiver<Batch>,
    stats: Capture,
    latest: Timestamp,
}

impl Reading {
    pub(super) fn new(
        ports: Ports,
        span: Span,
        count: Option<u64>,
        full: Sender<Batch>,
        empty: Receiver<Batch>,
    ) -> Self {
        Self {
            look: PortLook { ports },
            span,
            count,
            batch: Batch::default(),
            full,
            empty,
            stats: Capture::default(),
            latest: Timestamp::MIN,
        }
    }

    /// Sends what is left. Where nobody takes it any more, the run is over anyway.
    pub(super) fn finish(mut self) -> ControlFlow<()> {
        self.send(None)
    }

    /// Sends the batch and takes an empty one; waits where the decoder is behind.
    fn send(&mut self, now: Option<Timestamp>) -> ControlFlow<()> {
        let mut batch = std::mem::take(&mut self.batch);
        batch.now = now.or((self.latest > Timestamp::MIN).then_some(self.latest));
        batch.stats = self.stats;
        if self.full.send(batch).is_err() {
            return ControlFlow::Break(());
        }
        match self.empty.recv() {
            Ok(batch) => {
                self.batch = batch;
                ControlFlow::Continue(())
            }
            Err(_) => ControlFlow::Break(()),
        }
    }
}

impl TakePackets for Reading {
    fn take(&mut self, packet: &Packet<'_>) -> ControlFlow<()> {
        self.stats.received += 1;
        self.stats.bytes += packet.bytes.len() as u64;
        if self.stats.first.is_none() {
            self.stats.first = Some(packet.time);
        }
        self.latest = packet.time;
        self.stats.last = Some(packet.time);
        if !self.span.holds(packet.time) {
            self.stats.outside_time += 1;
        } else if !self.look.may_hold_dns(packet.link, packet.bytes) {
            self.stats.other_port += 1;
        } else {
            self.stats.handed_on += 1;
            self.batch.push(packet);
            if self.batch.is_full() && self.send(None).is_break() {
                return ControlFlow::Break(());
            }
        }
        if self.count.is_some_and(|count| self.stats.received >= count) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn idle(&mut self, now: Timestamp) -> ControlFlow<()> {
        self.send(Some(now))
    }

    fn stats(&mut self) -> &mut Capture {
        &mut self.stats
    }
}
