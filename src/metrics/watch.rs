//! The counters of a run that goes on, handed over when somebody asks for them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::stats::Stats;

/// Between the thread that has the counters and one that wants them. It costs the first one two atomic operations a batch
/// while nobody asks.
#[derive(Debug, Default)]
pub struct Watch {
    steps: AtomicU64,
    asked: AtomicBool,
    latest: Mutex<Option<Stats>>,
    given: Condvar,
}

impl Watch {
    /// One more batch is through; where somebody asked, `stats` says what was counted so far.
    pub fn step(&self, stats: impl FnOnce() -> Stats) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        if self.asked.load(Ordering::Relaxed) && self.asked.swap(false, Ordering::Relaxed) {
            let stats = stats();
            *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(stats);
            self.given.notify_all();
        }
    }

    /// How many batches are through.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Asks for the counters and waits for them, at most so long. Then those of the last time are given, with `false`.
    pub fn ask(&self, at_most: Duration) -> (Option<Stats>, bool) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let before = latest.take();
        self.asked.store(true, Ordering::Relaxed);
        let (mut latest, _) = self
            .given
            .wait_timeout_while(latest, at_most, |latest| latest.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let is_new = latest.is_some();
        if !is_new {
            *latest = before;
        }
        (latest.clone(), is_new)
    }
}
