//! Records on disk on their way to one place: they wait there for as long as it takes, also over the end of the program.
//!
//! A spool is a folder: `spool.json` says whose it is, the records lie in `*.segment` ([`segment`]), `cursor.json` says
//! up to which one the place has them, and `refused.jsonl` is what the place will never take. One thread appends, another
//! reads and acknowledges; both hold the lock for a moment only.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::folder::{self, Opened, Owner};
use super::reader::{BATCH_RECORDS, Reader};
use super::segment::{self, Waiting};
use super::state::State;
use super::{DeliveryError, Tell};
use crate::stats;

/// How long the first record of one waits for others.
const GATHER: Duration = Duration::from_millis(200);

/// After so long a file that could not be opened is tried again.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// A spool that this process holds.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    cap: u64,
    state: Mutex<State>,
    changed: Condvar,
    /// Held as long as the spool is.
    _lock: File,
}

impl Spool {
    /// Opens a spool, or makes one. What was left in it by another run is there again.
    ///
    /// # Errors
    /// It cannot be made or read, another run holds it, or it is another version's or another place's.
    pub(super) fn open(
        folder: &Path,
        owner: &Owner,
        cap: u64,
        tell: Tell,
    ) -> Result<Self, DeliveryError> {
        let Opened {
            lock,
            segments,
            cursor,
            next,
        } = folder::open(folder, owner, tell)?;
        let mut spool = Self {
            folder: folder.to_owned(),
            cap,
            state: Mutex::new(State {
                segments,
                writing: None,
                is_dirty: false,
                next,
                cursor,
                sent: cursor,
                taken: cursor,
                ended: false,
                abandoned: false,
                sender_left: false,
                is_shut: false,
                counts: stats::Delivery {
                    place: owner.place.clone(),
                    stream: owner.stream.clone(),
                    spool: folder.display().to_string(),
                    found: next - cursor,
                    ..stats::Delivery::default()
                },
                full_said: false,
                cap_said: false,
            }),
            changed: Condvar::new(),
            _lock: lock,
        };
        let state = spool
            .state
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        state.remove_done();
        Ok(spool)
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends lines of JSON. What the disk does not take is counted and gone; what is too much pushes out what is oldest.
    pub(super) fn append(&self, lines: &[u8], tell: Tell) {
        let mut state = self.lock();
        let state = &mut *state;
        let mut bytes = Vec::with_capacity(lines.len() + lines.len() / 8);
        let mut records = 0;
        for line in lines.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            state.counts.queued += 1;
            if segment::append(&mut bytes, state.next + records, line) {
                records += 1;
            } else {
                state.counts.not_stored += 1;
            }
        }
        if records == 0 {
            return;
        }
        match state.write(&self.folder, self.cap, &bytes, records) {
            Ok(()) => {
                if state.full_said {
                    state.full_said = false;
                    tell(&format!(
                        "dnsterrier: the spool {} can be written to again\n",
                        self.folder.display()
                    ));
                }
            }
            Err(error) => {
                state.counts.not_stored += records;
                if !state.full_said {
                    state.full_said = true;
                    tell(&format!(
                        "dnsterrier: warning: cannot write to the spool {}: {error}; {} for {} are lost until it can be written to again\n",
                        self.folder.display(),
                        records_of(&state.counts),
                        state.counts.place
                    ));
                }
            }
        }
        let dropped = state.counts.dropped;
        state.keep_to(self.cap);
        if state.counts.dropped > dropped && !state.cap_said {
            state.cap_said = true;
            tell(&format!(
                "dnsterrier: warning: the spool {} is full ({} MiB): the oldest {} are dropped, and counted; --spool-size makes it larger\n",
                self.folder.display(),
                self.cap >> 20,
                records_of(&state.counts),
            ));
        }
        self.changed.notify_all();
    }

    /// Has the disk hold what was written so far.
    pub(super) fn sync(&self) {
        let file = {
            let mut state = self.lock();
            if !std::mem::take(&mut state.is_dirty) {
                return;
            }
            state.writing.clone()
        };
        if let Some(file) = file {
            // A disk that cannot be synced says so when it is written to.
            file.sync_data().ok();
        }
    }

    /// No more records come.
    pub(super) fn end(&self) {
        self.sync();
        let mut state = self.lock();
        state.ended = true;
        state.remove_done();
        drop(state);
        self.changed.notify_all();
    }

    /// Changes the counters.
    pub(super) fn count(&self, change: impl FnOnce(&mut stats::Delivery)) {
        change(&mut self.lock().counts);
    }

    /// Whether it is new that an attempt fails; `shut` where the place takes nothing from us at all.
    pub(super) fn is_news(&self, shut: bool) -> bool {
        let state = self.lock();
        state.counts.trouble.is_none() || state.is_shut != shut
    }

    /// An attempt failed, which has to be made again.
    pub(super) fn fails(&self, why: &str, shut: bool) {
        let mut state = self.lock();
        state.counts.retried += 1;
        state.counts.trouble = Some(why.to_owned());
        state.is_shut = shut;
        self.changed.notify_all();
    }

    /// The place takes records again.
    pub(super) fn works(&self) {
        let mut state = self.lock();
        state.counts.trouble = None;
        state.is_shut = false;
    }

    /// Whether nothing follows what was taken out.
    pub(super) fn is_at_the_end(&self) -> bool {
        let state = self.lock();
        state.ended && state.taken == state.next
    }

    /// Waits for so long; false where nothing is worth doing any more.
    pub(super) fn wait(&self, span: Duration) -> bool {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), span, |state| !state.abandoned)
            .unwrap_or_else(PoisonError::into_inner);
        !state.abandoned
    }

    /// Counts a part of a batch as done, up to the record before `next`: the place has it, or never will. False where that
    /// comes too late, and the records count as left.
    pub(super) fn acknowledge(&self, next: u64, count: impl FnOnce(&mut stats::Delivery)) -> bool {
        let mut state = self.lock();
        if state.abandoned {
            return false;
        }
        count(&mut state.counts);
        state.done_to(next);
        let cursor = state.cursor;
        drop(state);
        self.changed.notify_all();
        folder::write_cursor(&self.folder, cursor);
        true
    }

    /// Waits until the place has all, it cannot be expected to take anything, or `span` is over.
    pub(super) fn wait_for_the_end(&self, span: Duration) -> bool {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), span, |state| {
                !(state.is_done() || state.is_shut)
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.is_done() || state.is_shut
    }

    /// Waits until everything that was handed over is on disk, or counted as lost. That waits for the disk alone.
    pub(super) fn wait_for_all(&self) {
        let ended = self
            .changed
            .wait_while(self.lock(), |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        drop(ended);
    }

    /// Ends it all: what is not acknowledged now is left.
    pub(super) fn finish(&self) -> stats::Delivery {
        let mut state = self.lock();
        state.abandoned = true;
        let state = &mut *state;
        let kept = state.segments.front().map_or(state.next, |it| it.first);
        // What the sender holds and the cap dropped meanwhile is nowhere else.
        state.counts.dropped += state.sent.min(kept).saturating_sub(state.cursor);
        state.counts.left = state.left();
        let counts = state.counts.clone();
        self.changed.notify_all();
        counts
    }

    /// Nobody sends from it any more.
    pub(super) fn sender_left(&self) {
        self.lock().sender_left = true;
        self.changed.notify_all();
    }

    /// Waits until nobody sends from it any more, or the span is over.
    pub(super) fn wait_for_the_sender(&self, span: Duration) {
        drop(
            self.changed
                .wait_timeout_while(self.lock(), span, |state| !state.sender_left),
        );
    }

    /// How it goes.
    pub(super) fn so_far(&self) -> stats::Delivery {
        let state = self.lock();
        stats::Delivery {
            left: state.left(),
            ..state.counts.clone()
        }
    }

    /// The next records; nothing where none will come. Those before have to be acknowledged.
    pub(super) fn batch(&self, reader: &mut Reader, tell: Tell) -> Option<Vec<Waiting>> {
        loop {
            let state = self
                .changed
                .wait_while(self.lock(), |state| {
                    !state.abandoned && !state.ended && state.taken == state.next
                })
                .unwrap_or_else(PoisonError::into_inner);
            // More may come that can go with it.
            let (state, _) = self
                .changed
                .wait_timeout_while(state, GATHER, |state| {
                    !state.abandoned
                        && !state.ended
                        && state.next - state.taken < BATCH_RECORDS as u64
                })
                .unwrap_or_else(PoisonError::into_inner);
            if state.abandoned || state.taken == state.next {
                return None;
            }
            let from = state.taken;
            let segment = state.segments.iter().find(|it| from < it.next).cloned();
            let end = state.next;
            drop(state);
            let read = match &segment {
                Some(segment) => reader.read(segment, from, tell),
                None => Ok(Vec::new()),
            };
            let records = match read {
                Ok(records) => records,
                Err(error) => {
                    reader.say(&self.folder, &error.to_string(), tell);
                    self.wait(READ_AGAIN);
                    continue;
                }
            };
            let mut state = self.lock();
            if state.taken != from {
                // The cap dropped it meanwhile.
                continue;
            }
            let first = match (records.first(), &segment) {
                (Some(first), _) => first.sequence,
                (None, Some(segment)) => segment.next,
                (None, None) => end,
            };
            state.counts.damaged += first.saturating_sub(from);
            state.taken = first;
            state.done_to(first);
            if let Some(last) = records.last() {
                state.taken = last.sequence + 1;
                state.sent = state.taken;
                return Some(records);
            }
            self.changed.notify_all();
        }
    }
}

/// As messages name the records.
fn records_of(delivery: &stats::Delivery) -> &str {
    let [_, records] = stats::Delivery::nouns(&delivery.stream);
    records
}
