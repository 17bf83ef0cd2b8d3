//! A spool's folder: whose it is, how far the place has the records, and which files it has.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::segment::{self, HEADER, Header, Records, VERSION};
use super::{DeliveryError, Tell};

const OWNER: &str = "spool.json";
const CURSOR: &str = "cursor.json";
/// What the place refused.
pub(super) const REFUSED: &str = "refused.jsonl";

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
    pub(super) next: u64,
}

/// A file of records.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// The number of its first record, and of the one after its last.
    pub(super) first: u64,
    pub(super) next: u64,
    /// How much of the file is whole records.
    pub(super) bytes: u64,
}

/// A spool's folder, opened.
#[derive(Debug)]
pub(super) struct Opened {
    /// Held as long as the spool is.
    pub(super) lock: File,
    /// Oldest first.
    pub(super) segments: VecDeque<Segment>,
    /// The number of the first record that the place does not have.
    pub(super) cursor: u64,
    /// The number of the next record.
    pub(super) next: u64,
}

/// Opens the folder of a spool, or makes one.
///
/// # Errors
/// It cannot be made or read, another run holds it, or it is another version's or another place's.
pub(super) fn open(folder: &Path, owner: &Owner, tell: Tell) -> Result<Opened, DeliveryError> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| DeliveryError::Spool {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    if let Some(spools) = folder.parent() {
        fs::create_dir_all(spools).map_err(|error| failed(spools, &error))?;
    }
    // What hosts look up is nobody else's business.
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed(folder, &error));
        }
        _ => {}
    }
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
    Ok(Opened {
        lock,
        segments,
        cursor,
        next,
    })
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

/// Remembers how far the place has the records. Where that fails the same is sent again after a restart, which is not counted
/// twice.
pub(super) fn write_cursor(folder: &Path, next: u64) {
    write_json(&folder.join(CURSOR), &Cursor { next }).ok();
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
