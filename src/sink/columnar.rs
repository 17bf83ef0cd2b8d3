//! Parquet: a folder of files, in folders by the date and the hour of the records' times, as Hive lays them out and Spark,
//! Trino and DuckDB read them.
//!
//! ```text
//! events.parquet/date=2026-11-24/hour=14/berlin-20261124T141034Z-1-9f86d081.parquet
//! ```
//! A file gets its name when it is whole and on disk. Until then its name begins with a dot, which readers pass over.

mod cells;
mod part;
mod schema;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use parquet::schema::types::TypePtr;
use serde::Serialize;
use serde_json::Value;

use super::{Rotation, SinkError, Stream};
use crate::time::Timestamp;
use part::Part;
use schema::Column;

/// What the name of an unfinished file ends in; it begins with a dot.
const UNFINISHED: &str = ".parquet.partial";
/// How many files are open at once; of one more the oldest is closed.
const OPEN: usize = 4;
/// How large a file becomes where nobody says it.
const SIZE: u64 = 256 << 20;
/// In a live run, how long records wait in a file that has no name yet, where nobody says it: a crash loses them.
const AGE: i64 = 600 * SECOND;
/// So long after its end events of an hour may come.
const LATE: i64 = 60 * SECOND;
const SECOND: i64 = 1_000_000_000;
/// How many files of a replay wait for their names, each open; beyond that they get them before its end.
const WAITING: usize = 256;

/// A folder that one stream is written to.
#[derive(Debug)]
pub(super) struct Dataset {
    folder: PathBuf,
    columns: Vec<Column>,
    schema: TypePtr,
    live: bool,
    /// What no other run has in its names.
    token: String,
    /// How many files were begun.
    begun: u64,
    /// The open files; the one that was begun first is first.
    parts: Vec<Part>,
    /// Files of a replay that are whole and have no name yet.
    whole: Vec<Whole>,
    size: u64,
    written: u64,
    removed: u64,
    failed: bool,
}

/// A file that is whole, with the name that it gets.
#[derive(Debug)]
struct Whole {
    /// Open, so that another run sees that it belongs to somebody.
    _lock: File,
    unfinished: PathBuf,
    path: PathBuf,
    records: u64,
}

impl Whole {
    fn publish(self) -> io::Result<u64> {
        fs::rename(&self.unfinished, &self.path)?;
        // That it has the name is on disk when the folder is; where folders cannot be synced they are written soon enough.
        if let Some(folder) = self.path.parent().and_then(|it| File::open(it).ok()) {
            folder.sync_all().ok();
        }
        Ok(self.records)
    }
}

impl Dataset {
    /// Opens a folder for a stream's records, and removes from it what a run that crashed left unfinished. `names` are the
    /// stream's columns.
    ///
    /// # Errors
    /// The stream has no columns of fixed types, or the folder cannot be made.
    pub(super) fn open(
        folder: &Path,
        stream: Stream,
        names: &[String],
        live: bool,
    ) -> Result<Self, SinkError> {
        let cannot = |reason: String| SinkError::Open {
            path: folder.to_owned(),
            reason,
        };
        match fs::create_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !folder.is_dir() {
                    return Err(cannot(
                        "it is a file, and Parquet is written to a folder of files: give another name, or move it away".to_owned(),
                    ));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let parent = folder.parent().unwrap_or(folder).display();
                return Err(cannot(format!(
                    "there is no directory {parent}: create it (mkdir -p {parent})"
                )));
            }
            made => made.map_err(|error| cannot(error.to_string()))?,
        }
        let columns = schema::columns(stream, names)?;
        let schema =
            schema::of(stream, &columns).map_err(|error| cannot(format!("a bug: {error}")))?;
        Ok(Self {
            removed: remove_unfinished(folder).map_err(|error| cannot(error.to_string()))?,
            folder: folder.to_owned(),
            columns,
            schema,
            live,
            token: format!("{:08x}", ahash::RandomState::new().hash_one(0) >> 32),
            begun: 0,
            parts: Vec::new(),
            whole: Vec::new(),
            size: SIZE,
            written: 0,
            failed: false,
        })
    }

    /// How many unfinished files of a run that crashed were removed.
    pub(super) const fn removed(&self) -> u64 {
        self.removed
    }

    /// Records in files that have their names.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Takes a record.
    pub(super) fn write(&mut self, record: &impl Serialize) -> io::Result<()> {
        let result = self.take(record);
        self.failed |= result.is_err();
        result
    }

    fn take(&mut self, record: &impl Serialize) -> io::Result<()> {
        let Value::Object(record) = serde_json::to_value(record)? else {
            return Err(io::Error::other("a record that is no object: a bug"));
        };
        let text = |names: &[&str]| {
            let mut found = names.iter().filter_map(|name| record.get(*name));
            found.find_map(Value::as_str)
        };
        let time = text(&["_time", "lastTime", "encrypted_dns_lastTime"])
            .and_then(|text| Timestamp::parse(text).ok())
            .ok_or_else(|| io::Error::other("a record without a time: a bug"))?;
        let hour = time.as_nanos().div_euclid(3_600 * SECOND);
        let place = match self.parts.iter().position(|part| part.hour == hour) {
            Some(place) => place,
            None => {
                if self.parts.len() >= OPEN {
                    self.close(0)?;
                }
                self.begun += 1;
                let name = format!(
                    "{}-{}-{}-{}",
                    plain(text(&["host", "sensor"]).unwrap_or_default()),
                    time.to_second().replace(['-', ':'], ""),
                    self.begun,
                    self.token
                );
                let folder = self.folder.join(format!("date={}", time.to_date()));
                let folder = folder.join(format!("hour={:02}", hour.rem_euclid(24)));
                let part = Part::begin(&folder, &name, hour, &self.columns, &self.schema)?;
                self.parts.push(part);
                self.parts.len() - 1
            }
        };
        let Some(part) = self.parts.get_mut(place) else {
            return Ok(());
        };
        part.add(&self.columns, &record)?;
        if part.bytes() >= self.size {
            self.close(place)?;
        }
        Ok(())
    }

    /// Packet time of a live run has come to `now`: files that are old or large get their names, and all where a span is
    /// `over`.
    pub(super) fn advance(
        &mut self,
        rotation: Rotation,
        over: Option<Timestamp>,
        now: Timestamp,
    ) -> io::Result<()> {
        self.size = rotation.size.unwrap_or(SIZE);
        let (now, aged) = (now.as_nanos(), rotation.every.is_none());
        let mut place = 0;
        while let Some(part) = self.parts.get_mut(place) {
            let begun = *part.begun.get_or_insert(now);
            let hour_over = (part.hour + 1).saturating_mul(3_600 * SECOND);
            let is_due = over.is_some()
                || part.bytes() >= self.size
                || now >= hour_over.saturating_add(LATE) && now >= begun.saturating_add(LATE)
                || aged && now >= begun.saturating_add(AGE);
            if is_due {
                self.close(place)?;
            } else {
                place += 1;
            }
        }
        Ok(())
    }

    /// Gives all files their names.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        while !self.parts.is_empty() {
            self.close(0)?;
        }
        self.publish()
    }

    /// Makes an open file whole.
    fn close(&mut self, place: usize) -> io::Result<()> {
        let whole = self.parts.remove(place).finish();
        self.failed |= whole.is_err();
        self.whole.push(whole?);
        if self.live || self.whole.len() >= WAITING {
            self.publish()?;
        }
        Ok(())
    }

    fn publish(&mut self) -> io::Result<()> {
        for whole in self.whole.drain(..) {
            self.written += whole.publish()?;
        }
        Ok(())
    }
}

impl Drop for Dataset {
    /// What a live run has is kept, also where it ends early; a replay that failed leaves nothing.
    fn drop(&mut self) {
        if self.live && !self.failed {
            drop(self.finish());
        }
        let whole = self.whole.iter().map(|it| &it.unfinished);
        for path in whole.chain(self.parts.iter().map(|it| &it.unfinished)) {
            fs::remove_file(path).ok();
        }
    }
}

/// A sensor's name as it can stand in that of a file.
fn plain(name: &str) -> String {
    let plain: String = name
        .chars()
        .filter(|it| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_'))
        .take(64)
        .collect();
    // A dot or an underscore in front would hide it.
    match plain.trim_start_matches(['.', '_', '-']) {
        "" => "sensor".to_owned(),
        plain => plain.to_owned(),
    }
}

/// Removes the unfinished files that nobody writes, and says how many there were.
fn remove_unfinished(folder: &Path) -> io::Result<u64> {
    let mut removed = 0;
    for path in files(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.')
            && name.ends_with(UNFINISHED)
            && File::open(&path).is_ok_and(|file| file.try_lock().is_ok())
        {
            fs::remove_file(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// The files in the folders of dates and hours.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut list = vec![folder.to_owned()];
    for prefix in ["date=", "hour=", ""] {
        let mut below = Vec::new();
        for folder in list {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let fits = entry.file_name().to_string_lossy().starts_with(prefix);
                if fits && entry.file_type()?.is_dir() != prefix.is_empty() {
                    below.push(entry.path());
                }
            }
        }
        list = below;
    }
    Ok(list)
}

#[cfg(test)]
mod tests;
