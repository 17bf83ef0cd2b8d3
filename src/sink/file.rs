//! Files as places: what a replay writes appears when it is whole, what a live run writes grows by whole records.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::buffer::{Target, write_counted};
use super::packed::Packing;
use super::place::is_directory;
use super::{Outlet, SinkError};

/// An open place.
#[derive(Debug)]
pub(super) enum Sink {
    /// Standard output.
    Stdout,
    /// A FIFO, a device, a descriptor: what went is gone.
    Direct(File),
    /// A file that gets its name when it is whole.
    Whole {
        file: File,
        partial: PathBuf,
        path: PathBuf,
    },
    /// A file that grows.
    Growing(File),
    /// One of these, compressed: what is written at once is a member of its own.
    Packed { packing: Packing, to: Box<Sink> },
    /// Memory that somebody shares.
    Memory(Arc<Mutex<Vec<u8>>>),
    /// What takes records on into the network.
    Outlet(Box<dyn Outlet>),
}

/// So many bytes a pipe gets to hold: what everybody may ask for (pipe(7)).
const PIPE: i32 = 1 << 20;

impl Sink {
    /// Standard output. A pipe gets room for more than it usually has, so that whoever writes and whoever reads wait for each
    /// other less often.
    pub(super) fn stdout() -> Self {
        // It may be no pipe, or all pipes of the user have as much as they may: then it stays as it is.
        fcntl(io::stdout(), FcntlArg::F_SETPIPE_SZ(PIPE)).ok();
        Self::Stdout
    }
}

/// What was found on opening.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) sink: Sink,
    /// Nothing is in it yet: a header belongs there.
    pub(super) empty: bool,
    /// It ends in the middle of a line, so a line feed comes first.
    pub(super) torn: bool,
}

impl Opened {
    pub(super) const fn empty(sink: Sink) -> Self {
        Self {
            sink,
            empty: true,
            torn: false,
        }
    }
}

/// What a file begins with that is to go on.
pub(super) enum Beginning<'f> {
    /// Lines, the first of which is this one where there is one.
    Lines(Option<Vec<u8>>),
    /// Records of bytes.
    Binary(&'f mut dyn Binary),
}

/// Files of records that are no lines.
pub(super) trait Binary {
    /// Whether a file that begins so can go on; of its first bytes there are 64 at most.
    fn goes_on(&mut self, beginning: &[u8]) -> bool;

    /// How many bytes of a file that can go on are to stay: the whole records.
    ///
    /// # Errors
    /// What the system says.
    fn whole(&self, file: &File) -> io::Result<u64>;
}

/// How much of a file is looked at to know it.
const BEGINNING: usize = 64;

/// Opens a path; with `live` to append, else to have it whole at the end. A file that has something already must have that
/// `beginning`.
pub(super) fn open(path: &Path, live: bool, beginning: Beginning<'_>) -> Result<Opened, SinkError> {
    let found = fs::metadata(path).ok();
    let opened = match &found {
        Some(found) if found.is_dir() => Err(is_directory(path)),
        Some(found) if !found.is_file() || is_descriptor(path) => OpenOptions::new()
            .append(true)
            .open(path)
            .map(|file| Opened::empty(Sink::Direct(file)))
            .map_err(|error| cannot_open(path, error)),
        _ if live => open_growing(path, beginning),
        _ => open_whole(path, found.as_ref()).map(Opened::empty),
    }?;
    Ok(match Packing::of(path) {
        None => opened,
        Some(packing) => Opened {
            sink: Sink::Packed {
                packing,
                to: Box::new(opened.sink),
            },
            ..opened
        },
    })
}

/// A name for a descriptor that somebody else opened: it has no place beside which a partial file could stand.
#[must_use]
pub fn is_descriptor(path: &Path) -> bool {
    ["/dev/fd", "/dev/stdout", "/dev/stderr", "/proc"]
        .iter()
        .any(|known| path.starts_with(known))
}

fn open_whole(path: &Path, found: Option<&Metadata>) -> Result<Sink, SinkError> {
    // A symbolic link stays one: the file it points to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut partial = path.clone().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&partial)
        .map_err(|error| cannot_open(&path, error))?;
    lock(&file, &partial)?;
    // Cleared only now that nobody else writes it: what an earlier run left unfinished gives way.
    file.set_len(0).map_err(|error| cannot_open(&path, error))?;
    if let Some(found) = found {
        file.set_permissions(found.permissions())
            .map_err(|error| cannot_open(&path, error))?;
    }
    Ok(Sink::Whole {
        file,
        partial,
        path,
    })
}

fn open_growing(path: &Path, beginning: Beginning<'_>) -> Result<Opened, SinkError> {
    let file = OpenOptions::new()
        .append(true)
        .read(true)
        .create(true)
        .open(path)
        .map_err(|error| cannot_open(path, error))?;
    lock(&file, path)?;
    let differs = match &beginning {
        Beginning::Lines(_) => "it has other columns than this run writes",
        Beginning::Binary(_) => "it is no file that can go on with what this run writes",
    };
    let inspected = match (Packing::of(path), beginning) {
        (None, Beginning::Lines(header)) => inspect(&file, header.as_deref()),
        (None, Beginning::Binary(binary)) => inspect_binary(&file, binary),
        (Some(packing), beginning) => inspect_packed(packing, &file, beginning),
    };
    let (empty, torn) = inspected
        .map_err(|error| cannot_open(path, error))?
        .ok_or_else(|| SinkError::Open {
            path: path.to_owned(),
            reason: format!("{differs}: give another file, or move it away"),
        })?;
    Ok(Opened {
        sink: Sink::Growing(file),
        empty,
        torn,
    })
}

/// Whether the file is empty, and whether it ends in half a line; `None` where its header is another.
fn inspect(file: &File, header: Option<&[u8]>) -> io::Result<Option<(bool, bool)>> {
    let length = file.metadata()?.len();
    let Some(last) = length.checked_sub(1) else {
        return Ok(Some((true, false)));
    };
    if let Some(header) = header {
        let mut start = vec![0; header.len()];
        if u64::try_from(start.len()).is_ok_and(|size| size > length) {
            return Ok(None);
        }
        file.read_exact_at(&mut start, 0)?;
        if start != header {
            return Ok(None);
        }
    }
    let mut end = [0];
    file.read_exact_at(&mut end, last)?;
    Ok(Some((false, end != *b"\n")))
}

/// The same of a file of records that are no lines: half a record, as a crash leaves it, is cut off.
fn inspect_binary(file: &File, binary: &mut dyn Binary) -> io::Result<Option<(bool, bool)>> {
    let mut start = vec![0; BEGINNING];
    let there = file.read_at(&mut start, 0)?;
    start.truncate(there);
    if start.is_empty() {
        return Ok(Some((true, false)));
    }
    if !binary.goes_on(&start) {
        return Ok(None);
    }
    let whole = binary.whole(file)?;
    if whole < file.metadata()?.len() {
        file.set_len(whole)?;
    }
    Ok(Some((whole == 0, false)))
}

/// The same of a compressed file, which never ends in half a record.
fn inspect_packed(
    packing: Packing,
    file: &File,
    beginning: Beginning<'_>,
) -> io::Result<Option<(bool, bool)>> {
    let length = match &beginning {
        Beginning::Lines(header) => header.as_deref().map_or(0, <[u8]>::len),
        Beginning::Binary(_) => BEGINNING,
    };
    let start = packing.inspect(file, length)?;
    let empty = file.metadata()?.len() == 0;
    let goes_on = empty
        || match beginning {
            Beginning::Lines(header) => start == header.unwrap_or_default(),
            Beginning::Binary(binary) => binary.goes_on(&start),
        };
    Ok(goes_on.then_some((empty, false)))
}

/// Two runs that write the same file would destroy each other's records. Where the file system has no locks, none is held.
fn lock(file: &File, path: &Path) -> Result<(), SinkError> {
    let busy = || SinkError::Open {
        path: path.to_owned(),
        reason: "another stream or another run is writing it: give another file".to_owned(),
    };
    if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return Err(busy());
    }
    // Between opening and locking the other run may have finished, and the file we hold is its result.
    if is_at(file, path) {
        Ok(())
    } else {
        Err(busy())
    }
}

/// Whether the file is the one that has that name now.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    are_one(file.metadata(), fs::metadata(path))
}

/// Whether two names, or what links lead to, are those of one file that is there.
#[must_use]
pub fn is_same(one: &Path, other: &Path) -> bool {
    are_one(fs::metadata(one), fs::metadata(other))
}

fn are_one(one: io::Result<Metadata>, other: io::Result<Metadata>) -> bool {
    let identity = |found: Metadata| (found.dev(), found.ino());
    one.is_ok_and(|one| other.is_ok_and(|other| identity(one) == identity(other)))
}

/// What a person can do about a file that cannot be opened.
fn cannot_open(path: &Path, error: io::Error) -> SinkError {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let reason = match error.kind() {
        io::ErrorKind::NotFound if !parent.exists() => {
            format!(
                "there is no directory {0}: create it (mkdir -p {0})",
                parent.display()
            )
        }
        io::ErrorKind::NotADirectory => format!("{} is not a directory", parent.display()),
        io::ErrorKind::PermissionDenied => format!(
            "{error}: no permission to create or change files in {0} (ls -ld {0} shows who has); choose a directory that you may write to",
            parent.display()
        ),
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("{error}: choose a place on another file system")
        }
        _ => error.to_string(),
    };
    SinkError::Open {
        path: path.to_owned(),
        reason,
    }
}

impl Sink {
    /// Gives the file its name. What was written has to be on its way already.
    pub(super) fn finish(&self) -> Result<(), SinkError> {
        let (file, partial, path) = match self {
            Self::Whole {
                file,
                partial,
                path,
            } => (file, partial, path),
            Self::Packed { to, .. } => return to.finish(),
            _ => return Ok(()),
        };
        // Network file systems and quotas tell only now that the disk is full; some file systems cannot sync at all.
        match file.sync_all() {
            Err(error)
                if error.kind() != io::ErrorKind::InvalidInput
                    && error.kind() != io::ErrorKind::Unsupported =>
            {
                Err(error)
            }
            _ => fs::rename(partial, path),
        }
        .map_err(|source| SinkError::Rename {
            partial: partial.clone(),
            path: path.clone(),
            source,
        })
    }

    /// The file, where it is one that grows.
    pub(super) fn growing(&self) -> Option<&File> {
        match self {
            Self::Growing(file) => Some(file),
            Self::Packed { to, .. } => to.growing(),
            _ => None,
        }
    }

    /// Says what there is after a write that failed.
    pub(super) fn remains(&self) -> String {
        match self {
            Self::Whole { partial, .. } => format!("; they are in {}", partial.display()),
            Self::Growing(_) => "; the file ends with the last whole one".to_owned(),
            Self::Packed { to, .. } => to.remains(),
            Self::Stdout | Self::Direct(_) | Self::Memory(_) | Self::Outlet(_) => String::new(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout => {
                // Whole under one lock, so that the streams that share it do not tear each other's lines.
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()?;
                Ok(bytes.len())
            }
            Self::Direct(file) | Self::Whole { file, .. } | Self::Growing(file) => {
                file.write(bytes)
            }
            Self::Packed { packing, to } => {
                let member = packing.pack(bytes)?;
                let (done, result) = write_counted(to, &member);
                let Err(error) = result else {
                    return Ok(bytes.len());
                };
                // The whole member or nothing.
                to.take_back(u64::try_from(done).unwrap_or(u64::MAX))?;
                Err(error)
            }
            Self::Memory(memory) => memory
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write(bytes),
            Self::Outlet(outlet) => outlet.take(bytes).map(|()| bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Sink {
    fn take_back(&mut self, bytes: u64) -> io::Result<()> {
        match self {
            // A write of these that failed has left nothing.
            Self::Packed { .. } => Ok(()),
            Self::Stdout | Self::Direct(_) | Self::Memory(_) | Self::Outlet(_) => Ok(()),
            // From the length as it is, not as it was: somebody may have emptied a growing file meanwhile.
            Self::Whole { file, .. } | Self::Growing(file) => {
                let length = file.metadata()?.len();
                file.set_len(length.saturating_sub(bytes))
            }
        }
    }
}
