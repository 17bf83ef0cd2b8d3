//! What a spool has where: the records that the place has, those that the sender has, those that wait.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use super::folder::Segment;
use super::segment::{self, HEADER};
use crate::stats;

/// A segment is at most so long, and at most an eighth of the spool, so that the cap drops little at once.
const SEGMENT_BYTES: u64 = 16 << 20;
const SEGMENTS: u64 = 8;

#[derive(Debug)]
pub(super) struct State {
    /// Oldest first; the last one is written to while `writing` is there.
    pub(super) segments: VecDeque<Segment>,
    pub(super) writing: Option<Arc<File>>,
    /// What was written since the last sync.
    pub(super) is_dirty: bool,
    /// The number of the next record that comes.
    pub(super) next: u64,
    /// The number of the first record that the place does not have. From there to `sent` the sender has them, from there to
    /// `taken` the cap dropped them, and from there on they wait.
    pub(super) cursor: u64,
    pub(super) sent: u64,
    pub(super) taken: u64,
    /// No more records come.
    pub(super) ended: bool,
    /// What is acknowledged from now on comes too late.
    pub(super) abandoned: bool,
    /// Nobody sends from it any more.
    pub(super) sender_left: bool,
    /// The place takes nothing from us at all.
    pub(super) is_shut: bool,
    pub(super) counts: stats::Delivery,
    /// What is to be said of the disk was said.
    pub(super) full_said: bool,
    pub(super) cap_said: bool,
}

impl State {
    /// How many records are in the spool that the place does not have.
    pub(super) fn left(&self) -> u64 {
        let kept = self.segments.front().map_or(self.next, |it| it.first);
        self.sent.saturating_sub(self.cursor.max(kept)) + (self.next - self.taken)
    }

    pub(super) fn is_done(&self) -> bool {
        self.ended && self.cursor == self.next
    }

    /// Everything before that record is done.
    pub(super) fn done_to(&mut self, next: u64) {
        self.cursor = self.cursor.max(next);
        if self.cursor >= self.sent {
            // What the cap dropped behind it is over, too.
            self.cursor = self.taken;
            self.sent = self.taken;
        }
        self.remove_done();
    }

    /// Writes whole records to the last segment, or to a new one where that is long enough.
    pub(super) fn write(
        &mut self,
        folder: &Path,
        cap: u64,
        bytes: &[u8],
        records: u64,
    ) -> io::Result<()> {
        let longest = SEGMENT_BYTES.min(cap / SEGMENTS);
        let is_full = self
            .segments
            .back()
            .is_none_or(|last| last.bytes >= longest);
        if is_full && let Some(file) = self.writing.take() {
            file.sync_data().ok();
        }
        if self.writing.is_none() {
            let path = folder.join(format!("{:020}.segment", self.next));
            let mut file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&path)?;
            // One of that name has no whole record, or its records would have numbers before.
            file.set_len(0)?;
            if let Err(error) = file.write_all(&segment::header(self.next)) {
                fs::remove_file(&path).ok();
                return Err(error);
            }
            self.writing = Some(Arc::new(file));
            self.segments.push_back(Segment {
                path,
                first: self.next,
                next: self.next,
                bytes: HEADER as u64,
            });
        }
        let (Some(file), Some(last)) = (&self.writing, self.segments.back_mut()) else {
            return Ok(());
        };
        if let Err(error) = (&**file).write_all(bytes) {
            // It ends with its last whole record again; where even that fails, the next records go to another one.
            if file.set_len(last.bytes).is_err() {
                self.writing = None;
            }
            return Err(error);
        }
        last.bytes += bytes.len() as u64;
        last.next += records;
        self.next += records;
        self.is_dirty = true;
        Ok(())
    }

    /// Drops the oldest segments until the rest fits.
    pub(super) fn keep_to(&mut self, cap: u64) {
        let bytes = |segments: &VecDeque<Segment>| segments.iter().map(|it| it.bytes).sum::<u64>();
        while self.segments.len() > 1 && bytes(&self.segments) > cap {
            let Some(oldest) = self.segments.pop_front() else {
                return;
            };
            fs::remove_file(&oldest.path).ok();
            let lost = oldest.next.saturating_sub(self.taken);
            self.counts.dropped += lost;
            self.taken += lost;
            if self.cursor == self.sent {
                self.done_to(self.taken);
            }
        }
    }

    /// Removes the segments of which the place has everything.
    pub(super) fn remove_done(&mut self) {
        while let Some(oldest) = self.segments.front() {
            let is_written_to = self.segments.len() == 1 && self.writing.is_some();
            if oldest.next > self.cursor || (is_written_to && !self.ended) {
                return;
            }
            fs::remove_file(&oldest.path).ok();
            self.segments.pop_front();
            if is_written_to {
                self.writing = None;
            }
        }
    }
}
