//! Delivery: streams of records to places in the network, over a spool on disk, so that neither a slow nor a dead place stops
//! the run, and what it could not take yet is there after a restart.
//!
//! ```text
//! sink --lines of JSON--> spool thread --segments on disk--> sender thread --batches--> the place
//! ```
//!
//! One spool, with its two threads, for each stream to each place: hits do not wait behind a million events. A record is
//! delivered at least once; its `event_id` says where it came twice.

pub mod clickhouse;
mod destination;
mod elastic;
mod folder;
mod hec;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
mod reader;
mod refused;
mod retry;
mod secret;
mod segment;
mod sender;
mod settled;
mod spool;
mod state;
mod syslog;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::sink::{Outlet, Remote, Stream};
use crate::stats;
use destination::{Destination, connect};
pub use folder::Owner;
use sender::Sender;
use spool::Spool;

/// What is said while a delivery goes on.
type Tell = fn(&str);

/// How many blocks of lines, of some 64 KiB each, wait for the disk at most before the run does.
const BLOCKS: usize = 64;
/// The disk has at the latest what came so long ago.
const SYNC: Duration = Duration::from_secs(1);
/// How often it is looked whether the wait for the end was called off.
const LOOK: Duration = Duration::from_millis(100);
/// How long it takes to wait where that was called off from the beginning.
const HURRIED: Duration = Duration::from_secs(5);
/// How long a sender may take to put its client away at the end; one that hangs in a request is left behind.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why records cannot be delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The command line asks for something that cannot be: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// A file that is needed cannot be read.
    #[error("cannot read {what} in {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A spool cannot be used.
    #[error("cannot use the spool {}: {reason}", path.display())]
    Spool {
        /// Its folder, or a file in it.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A server did not do what it was asked.
    #[error("{place}: {reason}")]
    Server {
        /// The place.
        place: String,
        /// What it said.
        reason: String,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The time is over, and not everything is delivered.
    #[error("{0}")]
    Left(String),
}

/// A stream to a place, checked, with its secrets read: ready to be opened, perhaps as another user.
#[derive(Debug)]
pub struct Target {
    stream: Stream,
    place: String,
    /// The name of its folder.
    name: String,
    destination: Box<dyn Destination>,
}

impl Target {
    /// Checks what the URL says, and reads secrets and certificates.
    ///
    /// # Errors
    /// Something in it is not right, or a secret or certificate is missing.
    pub fn new(stream: Stream, remote: &Remote) -> Result<Self, DeliveryError> {
        let place = remote.to_string();
        let hash = blake3::hash(place.as_bytes()).to_hex();
        let host: String = remote
            .host
            .chars()
            .filter(|it| it.is_ascii_alphanumeric() || matches!(it, '.' | '-'))
            .collect();
        Ok(Self {
            stream,
            name: format!(
                "{stream}-{}-{host}-{}-{}",
                remote.kind.scheme(),
                remote.port,
                hash.get(..8).unwrap_or_default()
            ),
            destination: connect(stream, remote)?,
            place,
        })
    }

    /// The folder of its spool.
    #[must_use]
    pub fn folder(&self, spools: &Path) -> PathBuf {
        spools.join(&self.name)
    }
}

/// The spools that a run fills and empties.
#[derive(Clone, Debug, Default)]
pub struct Deliveries {
    spools: Vec<Arc<Spool>>,
}

/// Where spools are, and how large each may become.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of all spools.
    pub folder: PathBuf,
    /// The bytes of one spool at most.
    pub cap: u64,
    /// Where it is said that something happened which somebody should know of.
    pub tell: fn(&str),
}

impl Deliveries {
    /// Opens the spool of a target and begins to send, also what was left in it. What the outlet takes goes there.
    ///
    /// # Errors
    /// The spool cannot be used.
    pub fn open(
        &mut self,
        target: Target,
        options: &Options,
    ) -> Result<Box<dyn Outlet>, DeliveryError> {
        let folder = target.folder(&options.folder);
        let owner = Owner::new(&target.place, target.stream.name());
        let spool = Arc::new(Spool::open(&folder, &owner, options.cap, options.tell)?);
        let sender = Sender::new(
            Arc::clone(&spool),
            target.destination,
            &owner.stream,
            target.place,
            options.tell,
        );
        let (blocks, to_write) = sync_channel(BLOCKS);
        let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            // Nobody waits for them: a sender may hang in a request when the run is over.
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(run)
                .map(drop)
                .map_err(DeliveryError::Thread)
        };
        let to_leave = Arc::clone(&spool);
        let send = move || {
            let _leaving = Leaving(&to_leave);
            sender.run();
        };
        start("sender", Box::new(send))?;
        let (to_fill, tell) = (Arc::clone(&spool), options.tell);
        start("spool", Box::new(move || fill(&to_fill, &to_write, tell)))?;
        self.spools.push(spool);
        Ok(Box::new(Way { blocks }))
    }

    /// How each of them goes.
    #[must_use]
    pub fn so_far(&self) -> Vec<stats::Delivery> {
        self.spools.iter().map(|spool| spool.so_far()).collect()
    }

    /// Waits until the places have everything, at most so long, or until `hurry` says that it takes too long; then ends.
    /// The outlets have to be gone.
    #[must_use]
    pub fn finish(self, span: Duration, hurry: &dyn Fn() -> bool) -> Vec<stats::Delivery> {
        for spool in &self.spools {
            spool.wait_for_all();
        }
        let hurried_from_the_start = hurry();
        let mut left = if hurried_from_the_start {
            span.min(HURRIED)
        } else {
            span
        };
        for spool in &self.spools {
            // Each of them sends all the while.
            while !spool.wait_for_the_end(LOOK.min(left)) && !left.is_zero() {
                left = left.saturating_sub(LOOK);
                if hurry() && !hurried_from_the_start {
                    left = Duration::ZERO;
                }
            }
        }
        let counts = self.spools.iter().map(|spool| spool.finish()).collect();
        for spool in &self.spools {
            spool.wait_for_the_sender(FAREWELL);
        }
        counts
    }
}

/// The way of a stream's lines to its spool.
#[derive(Debug)]
struct Way {
    blocks: SyncSender<Vec<u8>>,
}

impl Outlet for Way {
    fn take(&mut self, lines: &[u8]) -> io::Result<()> {
        self.blocks
            .send(lines.to_vec())
            .map_err(|_| io::Error::other("the spool's thread is gone"))
    }
}

/// The spool thread: lines in, segments out.
#[expect(
    clippy::disallowed_methods,
    reason = "how long the disk may lag behind has nothing to do with packet time"
)]
fn fill(spool: &Spool, blocks: &Receiver<Vec<u8>>, tell: Tell) {
    // Also where this thread panics: the end of the run waits for it.
    let _ending = Ending(spool);
    let mut synced = Instant::now();
    loop {
        match blocks.recv_timeout(SYNC.saturating_sub(synced.elapsed())) {
            Ok(lines) => spool.append(&lines, tell),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if synced.elapsed() >= SYNC {
            spool.sync();
            synced = Instant::now();
        }
    }
}

/// Says at the end of the spool thread that no more comes.
struct Ending<'s>(&'s Spool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Says that the sender is gone, with its client and the threads of that.
struct Leaving<'s>(&'s Spool);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.sender_left();
    }
}

/// What lies in a folder of spools.
#[derive(Debug)]
pub struct Found {
    /// The folder of the spool.
    pub folder: PathBuf,
    /// Whose it is.
    pub owner: Result<Owner, DeliveryError>,
    /// Bytes of records.
    pub bytes: u64,
    /// Bytes of what was refused.
    pub refused: u64,
}

/// Looks for spools in a folder. They are only looked at, also where a run has them open.
///
/// # Errors
/// The folder cannot be read; one that is not there has none.
pub fn look(folder: &Path) -> Result<Vec<Found>, DeliveryError> {
    let failed = |error: io::Error| DeliveryError::Spool {
        path: folder.to_owned(),
        reason: error.to_string(),
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut list = Vec::new();
    for entry in entries {
        let folder = entry.map_err(failed)?.path();
        let owner = match folder::read_owner(&folder) {
            Ok(None) => continue,
            Ok(Some(owner)) => Ok(owner),
            Err(error) => Err(error),
        };
        let bytes = |name: &dyn Fn(&Path) -> bool| -> u64 {
            let files = fs::read_dir(&folder).into_iter().flatten().flatten();
            files
                .filter(|file| name(&file.path()))
                .filter_map(|file| file.metadata().ok())
                .map(|found| found.len())
                .sum()
        };
        list.push(Found {
            bytes: bytes(&|path| path.extension().is_some_and(|it| it == "segment")),
            refused: bytes(&|path| path.ends_with(folder::REFUSED)),
            owner,
            folder,
        });
    }
    list.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(list)
}

/// What its URL says of an option that is true or false; false where it says nothing.
fn flag(remote: &Remote, option: &str) -> Result<bool, DeliveryError> {
    match remote.option(option) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(DeliveryError::Usage(format!(
            "'{remote}': {option} is true or false"
        ))),
    }
}

/// How many characters are told of what a server or library says.
const SAID: usize = 300;

/// What a server or library says, in one line that does no harm and has so many characters at most.
fn one_line(text: &str, most: usize) -> String {
    text.chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .take(most)
        .collect()
}

/// How long an exchange with a place may take, where its URL says so.
fn timeout(remote: &Remote) -> Result<Option<Duration>, DeliveryError> {
    let Some(text) = remote.option("timeout") else {
        return Ok(None);
    };
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|span| Duration::try_from(span).ok())
        .filter(|span| !span.is_zero())
        .map(Some)
        .ok_or_else(|| {
            DeliveryError::Usage(format!(
                "'{remote}': timeout={text} is not a span of time: expected 30s, 2m or the like"
            ))
        })
}
