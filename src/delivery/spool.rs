//! Records on disk on their way to one place: they wait there for as long as it takes, also over the end of the program.
//!
//! A spool is a folder: `spool.json` says whose it is, the records lie in `*.segment` ([`segment`]), `cursor.json` says
//! up to which one the place has them, and `refused.jsonl` is what the place will never take. One thread appends, another
//! reads and acknowledges; both hold the lock for a moment only.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::DeliveryError;
use super::segment::{self, HEADER, Header, Records, VERSION, Waiting};
use crate::stats;

/// The records of one batch, and their bytes.
const BATCH_RECORDS: usize = 4_096;
const BATCH_BYTES: usize = 1 << 20;
/// How long the first record of one waits for others.
const GATHER: Duration = Duration::from_millis(200);
/// A segment is at most so long, and at most an eighth of the spool, so that the cap drops little at once.
const SEGMENT_BYTES: u64 = 16 << 20;
const SEGMENTS: u64 = 8;

const OWNER: &str = "spool.json";
const CURSOR: &str = "cursor.json";
/// What the place refused.
pub(super) const REFUSED: &str = "refused.jsonl";

/// After so long a file that could not be opened is tried again.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// Whose a spool is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The version of the spool's files.
    version: u32,
    /// The place, as its URL names it.
    pub place: String,
    /// The stream.
    pub stream: String,
}

impl Owner {
    /// This version's spool of a stream to a place.
    #[must_use]
    pub fn new(place: &str, stream: &str) -> Self {
        Self {
            version: VERSION,
            place: place.to_owned(),
            stream: stream.to_owned(),
        }
    }
}

/// How far the place has the records.
#[derive(Serialize, Deserialize)]
struct Cursor {
    /// The number of the first record that it does not have.
    next: u64,
}

/// A file of records.
#[derive(Clone, Debug)]
struct Segment {
    path: PathBuf,
    /// The number of its first record, and of the one after its last.
    first: u64,
    next: u64,
    /// How much of the file is whole records.
    bytes: u64,
}

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

#[derive(Debug)]
struct State {
    /// Oldest first; the last one is written to while `writing` is there.
    segments: VecDeque<Segment>,
    writing: Option<Arc<File>>,
    /// What was written since the last sync.
    is_dirty: bool,
    /// The number of the next record that comes.
    next: u64,
    /// The number of the first record that the place does not have. From there to `sent` the sender has them, from there to
    /// `taken` the cap dropped them, and from there on they wait.
    cursor: u64,
    sent: u64,
    taken: u64,
    /// No more records come.
    ended: bool,
    /// What is acknowledged from now on comes too late.
    abandoned: bool,
    /// The place takes nothing from us at all.
    is_shut: bool,
    counts: stats::Delivery,
    /// What is to be said of the disk was said.
    full_said: bool,
    cap_said: bool,
}

/// What is said while the spool is opened and used.
pub(super) type Tell = fn(&str);

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
        let failed = |path: &Path, error: &dyn std::fmt::Display| DeliveryError::Spool {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| failed(folder, &error))?;
        let lock = lock(folder)?;
        let path = folder.join(OWNER);
        match read_owner(folder)? {
            Some(found) if found == *owner => {}
            Some(found) => {
                return Err(failed(
                    folder,
                    &format!("it is the spool of {} to {}", found.stream, found.place),
                ));
            }
            None => write_json(&path, owner).map_err(|error| failed(&path, &error))?,
        }
        let cursor = read_cursor(folder);
        let (segments, next) = find_segments(folder, tell)?;
        let next = next.max(cursor);
        let first = segments.front().map_or(next, |segment| segment.first);
        // Nobody has what a cap dropped, or somebody removed, when no run was there to count it.
        let cursor = cursor.max(first.min(next));
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
                        state.counts.stream,
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
                state.counts.stream,
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

    /// An attempt failed, which has to be made again; `shut` where the place takes nothing from us at all. Says whether that is
    /// new.
    pub(super) fn fails(&self, why: &str, shut: bool) -> bool {
        let mut state = self.lock();
        state.counts.retried += 1;
        let is_new = state.counts.trouble.is_none() || state.is_shut != shut;
        state.counts.trouble = Some(why.to_owned());
        state.is_shut = shut;
        self.changed.notify_all();
        is_new
    }

    /// The place takes records again.
    pub(super) fn works(&self) {
        let mut state = self.lock();
        state.counts.trouble = None;
        state.is_shut = false;
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
        // Without it the same is sent again after a restart, which is not counted twice.
        write_json(&self.folder.join(CURSOR), &Cursor { next: cursor }).ok();
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
        state.counts.left =
            state.sent.saturating_sub(state.cursor.max(kept)) + (state.next - state.taken);
        let counts = state.counts.clone();
        self.changed.notify_all();
        counts
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

impl State {
    fn is_done(&self) -> bool {
        self.ended && self.cursor == self.next
    }

    /// Everything before that record is done.
    fn done_to(&mut self, next: u64) {
        self.cursor = self.cursor.max(next);
        if self.cursor >= self.sent {
            // What the cap dropped behind it is over, too.
            self.cursor = self.taken;
            self.sent = self.taken;
        }
        self.remove_done();
    }

    /// Writes whole records to the last segment, or to a new one where that is long enough.
    fn write(&mut self, folder: &Path, cap: u64, bytes: &[u8], records: u64) -> io::Result<()> {
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
    fn keep_to(&mut self, cap: u64) {
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
    fn remove_done(&mut self) {
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

/// Where the sender reads.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The file, and where in it the next record is.
    at: Option<(PathBuf, u64)>,
    /// Of which file something was said.
    said: Option<PathBuf>,
}

impl Reader {
    /// Reads records without a gap between them, the first of that number or later.
    fn read(&mut self, segment: &Segment, from: u64, tell: Tell) -> io::Result<Vec<Waiting>> {
        let offset = match &self.at {
            Some((path, offset)) if *path == segment.path => *offset,
            _ => HEADER as u64,
        };
        let mut list: Vec<Waiting> = Vec::new();
        let mut file = match File::open(&segment.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(list),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(offset))?;
        let whole = segment.bytes.saturating_sub(offset);
        let mut records = Records::new(io::Read::take(file, whole), offset);
        let mut bytes = 0;
        let mut damaged = None;
        while list.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
            let before = records.offset;
            let next = match records.next() {
                Ok(next) => next.map(|(sequence, line)| (sequence, line.to_vec())),
                Err(error) => {
                    damaged = Some(error.to_string());
                    break;
                }
            };
            if let Some(at) = records.damaged_at.take() {
                damaged = Some(format!("it is damaged at byte {at}"));
            }
            let follows = list.last().map(|last| last.sequence + 1);
            match next {
                None => break,
                Some((sequence, _)) if sequence < from || sequence >= segment.next => {}
                Some((sequence, _)) if follows.is_some_and(|follows| follows != sequence) => {
                    records.offset = before;
                    break;
                }
                Some((sequence, line)) => {
                    bytes += line.len();
                    list.push(Waiting { sequence, line });
                }
            }
        }
        self.at = Some((segment.path.clone(), records.offset));
        if let Some(reason) = damaged {
            self.say(&segment.path, &reason, tell);
        }
        Ok(list)
    }

    /// Says once of a file what is wrong with it.
    fn say(&mut self, path: &Path, reason: &str, tell: Tell) {
        if self.said.as_deref() != Some(path) {
            self.said = Some(path.to_owned());
            tell(&format!(
                "dnsterrier: warning: the spool's {}: {reason}; what is whole is sent, the rest counted as damaged\n",
                path.display()
            ));
        }
    }
}

/// A folder as a spool: nothing where it is none yet.
///
/// # Errors
/// It cannot be read, or is another version's, which is left as it is.
pub(super) fn read_owner(folder: &Path) -> Result<Option<Owner>, DeliveryError> {
    let path = folder.join(OWNER);
    let failed = |reason: String| DeliveryError::Spool {
        path: path.clone(),
        reason,
    };
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    match serde_json::from_slice::<Version>(&text) {
        Ok(Version { version: VERSION }) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| failed(format!("it does not say whose spool this is: {error}"))),
        Ok(Version { version }) => Err(other_version(folder, version)),
        Err(error) => Err(failed(format!(
            "it does not say whose spool this is: {error}"
        ))),
    }
}

fn other_version(folder: &Path, version: u32) -> DeliveryError {
    DeliveryError::Spool {
        path: folder.to_owned(),
        reason: format!(
            "it was written by another version of dnsterrier (version {version} of the spool's files, this is {VERSION}) and is \
             left as it is: send what is in it with that version (dnsterrier spool flush), move it away, or give --spool another \
             folder"
        ),
    }
}

fn read_cursor(folder: &Path) -> u64 {
    fs::read(folder.join(CURSOR))
        .ok()
        .and_then(|text| serde_json::from_slice::<Cursor>(&text).ok())
        .map_or(0, |cursor| cursor.next)
}

/// The segments of a folder, and the number of the next record.
fn find_segments(folder: &Path, tell: Tell) -> Result<(VecDeque<Segment>, u64), DeliveryError> {
    let failed = |path: &Path, error: &io::Error| DeliveryError::Spool {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let mut list: Vec<Segment> = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| failed(folder, &error))? {
        let entry = entry.map_err(|error| failed(folder, &error))?;
        let path = entry.path();
        let is_segment = path.extension().is_some_and(|ending| ending == "segment");
        let first = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse().ok());
        let (true, Some(first)) = (is_segment, first) else {
            continue;
        };
        let bytes = entry
            .metadata()
            .map_err(|error| failed(&path, &error))?
            .len();
        list.push(Segment {
            path,
            first,
            next: first,
            bytes,
        });
    }
    list.sort_by_key(|segment| segment.first);
    for segment in &list {
        let mut beginning = Vec::new();
        File::open(&segment.path)
            .and_then(|file| {
                io::Read::read_to_end(&mut io::Read::take(file, HEADER as u64), &mut beginning)
            })
            .map_err(|error| failed(&segment.path, &error))?;
        match segment::read_header(&beginning) {
            Header::Ours | Header::Damaged => {}
            Header::Version(version) => return Err(other_version(folder, version)),
        }
    }
    let mut list: VecDeque<Segment> = list.into();
    let firsts: Vec<u64> = list.iter().map(|segment| segment.first).skip(1).collect();
    for (segment, next) in list.iter_mut().zip(firsts) {
        segment.next = next;
    }
    let mut next = 0;
    if let Some(last) = list.back_mut() {
        cut(last, tell).map_err(|error| failed(&last.path, &error))?;
        next = last.next;
    }
    list.retain(|segment| segment.next > segment.first);
    Ok((list, next))
}

/// Cuts off what the last run began to write and did not finish.
fn cut(last: &mut Segment, tell: Tell) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(&last.path)?;
    let mut records = Records::new(&file, 0);
    let mut end = 0;
    (&file).seek(SeekFrom::Start(0))?;
    while let Some((sequence, _)) = records.next()? {
        last.next = last.next.max(sequence + 1);
        end = records.offset;
    }
    if end < last.bytes && last.bytes > HEADER as u64 {
        tell(&format!(
            "dnsterrier: warning: the spool's {}: the last {} bytes are no whole record and are cut off: a run ended while it wrote them\n",
            last.path.display(),
            last.bytes - end.max(HEADER as u64)
        ));
        file.set_len(end.max(HEADER as u64))?;
        last.bytes = end.max(HEADER as u64);
    }
    Ok(())
}

/// Two runs that send the same would send it twice.
fn lock(folder: &Path) -> Result<File, DeliveryError> {
    let path = folder.join("lock");
    let failed = |reason: String| DeliveryError::Spool {
        path: folder.to_owned(),
        reason,
    };
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| failed(error.to_string()))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(failed(
            "another run is delivering the same stream to the same place: give this one a folder of its own with --spool"
                .to_owned(),
        )),
        // Where the file system has no locks none is held.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// Writes a small file that is there whole or as it was.
fn write_json(path: &Path, what: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(what)?;
    text.push(b'\n');
    let other = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&other)?;
    file.write_all(&text)?;
    fs::rename(&other, path)
}
