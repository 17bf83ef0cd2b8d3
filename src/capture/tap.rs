//! Live dnstap: resolvers connect to a socket of ours and send what they take and send themselves.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::CaptureError;
use crate::dnstap::{LONGEST_FRAME, Step, Stream};
use crate::stats;

/// The most connections to one socket; each may hold a frame of which the end has not come.
const CONNECTIONS: usize = 64;
/// The most bytes read of one connection before the next is looked at.
const ROUND: usize = 1 << 20;

/// Where resolvers connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TapPlace {
    /// A socket in the file system.
    Unix(PathBuf),
    /// An address and a TCP port.
    Tcp(SocketAddr),
}

impl FromStr for TapPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("tcp", address)) if address.parse::<SocketAddr>().is_ok() => {
                address.parse().map(Self::Tcp).map_err(|_| String::new())
            }
            _ => Err(format!(
                "'{text}' is no place for dnstap: expected unix:PATH, tcp:192.0.2.1:6000 or tcp:[2001:db8::1]:6000"
            )),
        }
    }
}

impl fmt::Display for TapPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// A socket that resolvers connect to, and the connections.
pub(super) struct Tap {
    pub(super) name: Arc<str>,
    listener: Listener,
    connections: Vec<Connection>,
    /// Frames read so far.
    pub(super) frames: u64,
}

enum Listener {
    Unix(
        UnixListener,
        #[expect(dead_code, reason = "for its drop")] OwnPath,
    ),
    Tcp(TcpListener),
}

/// The path of a socket of ours, taken away when it is dropped, where it is still ours.
struct OwnPath {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

impl OwnPath {
    fn id(path: &Path) -> io::Result<(u64, u64)> {
        std::fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
    }
}

impl Drop for OwnPath {
    fn drop(&mut self) {
        if Self::id(&self.path).is_ok_and(|id| id == self.id) {
            // Whoever we have become since may not be allowed to; the next run takes a socket away that nobody listens on.
            std::fs::remove_file(&self.path).ok();
        }
    }
}

enum Peer {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Peer {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(into),
            Self::Tcp(stream) => stream.read(into),
        }
    }

    /// Sends a few bytes: there is always room for them where the peer keeps to its turn.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.write_all(bytes),
            Self::Tcp(stream) => stream.write_all(bytes),
        }
    }
}

impl AsFd for Peer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

/// One connection: what was read of it and lies between `start` and `end` is yet to be looked at.
struct Connection {
    peer: Peer,
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    has_begun: bool,
}

/// How a connection goes on.
enum Goes {
    On,
    /// It has nothing to read.
    Waiting,
    Ended,
    /// It ended in the middle of something, or in what cannot be.
    Cut,
    Refused,
}

impl Tap {
    /// Listens; after this no more rights are needed.
    pub(super) fn listen(place: &TapPlace) -> Result<Self, CaptureError> {
        let failed = |reason: String| CaptureError::Tap {
            place: place.to_string(),
            reason,
        };
        let listener = match place {
            TapPlace::Unix(path) => {
                make_way(path).map_err(failed)?;
                listen_unix(path)
            }
            TapPlace::Tcp(address) => TcpListener::bind(address).and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok(Listener::Tcp(listener))
            }),
        };
        Ok(Self {
            name: Arc::from(place.to_string()),
            listener: listener.map_err(|error| failed(error.to_string()))?,
            connections: Vec::new(),
            frames: 0,
        })
    }

    /// What there is to wait for.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let listener = match &self.listener {
            Listener::Unix(listener, _) => listener.as_fd(),
            Listener::Tcp(listener) => listener.as_fd(),
        };
        let connections = self.connections.iter();
        std::iter::once(listener).chain(connections.map(|connection| connection.peer.as_fd()))
    }

    /// Whether a resolver is connected.
    pub(super) fn is_connected(&self) -> bool {
        !self.connections.is_empty()
    }

    /// Takes new connections, and reads what all have; gives each frame with its number, and how many there were.
    pub(super) fn read(
        &mut self,
        stats: &mut stats::Capture,
        give: &mut dyn FnMut(u64, &[u8]),
    ) -> usize {
        self.accept(stats);
        let before = self.frames;
        let frames = &mut self.frames;
        self.connections.retain_mut(|connection| {
            let goes = connection.read(&mut |frame| {
                *frames += 1;
                give(*frames, frame);
            });
            match goes {
                Goes::On | Goes::Waiting => return true,
                Goes::Ended => {}
                Goes::Cut => stats.dnstap_cut += 1,
                Goes::Refused => stats.dnstap_refused += 1,
            }
            false
        });
        usize::try_from(self.frames - before).unwrap_or(usize::MAX)
    }

    fn accept(&mut self, stats: &mut stats::Capture) {
        // No more at once than the queue of the socket holds.
        for _ in 0..2 * CONNECTIONS {
            let accepted = match &self.listener {
                Listener::Unix(listener, _) => listener
                    .accept()
                    .and_then(|(peer, _)| peer.set_nonblocking(true).map(|()| Peer::Unix(peer))),
                Listener::Tcp(listener) => listener
                    .accept()
                    .and_then(|(peer, _)| peer.set_nonblocking(true).map(|()| Peer::Tcp(peer))),
            };
            match accepted {
                Ok(peer) if self.connections.len() < CONNECTIONS => {
                    stats.dnstap_connections += 1;
                    self.connections.push(Connection::new(peer));
                }
                Ok(_) => {
                    stats.dnstap_connections += 1;
                    stats.dnstap_refused += 1;
                }
                Err(_) => return,
            }
        }
    }
}

impl Connection {
    /// How many bytes are asked for at once, and kept where no frame is longer.
    const BLOCK: usize = 64 << 10;

    fn new(peer: Peer) -> Self {
        Self {
            peer,
            stream: Stream::default(),
            buffer: Vec::new(),
            start: 0,
            end: 0,
            has_begun: false,
        }
    }

    /// Reads what there is, but not for ever.
    fn read(&mut self, give: &mut dyn FnMut(&[u8])) -> Goes {
        let mut read = 0;
        let mut need = 4;
        while read < ROUND {
            match self.look(&mut need, give) {
                Goes::On => {}
                other => return other,
            }
            let waiting = self.end - self.start;
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, waiting);
            let room = need.clamp(Self::BLOCK, LONGEST_FRAME + 4);
            if self.buffer.len() < room {
                self.buffer.resize(room, 0);
            }
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.peer.read(free) {
                Ok(0) if self.stream.is_whole() && waiting == 0 => return Goes::Ended,
                Ok(0) => return Goes::Cut,
                Ok(bytes) => {
                    read += bytes;
                    self.end += bytes;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Goes::Waiting,
                Err(_) => return Goes::Cut,
            }
        }
        Goes::On
    }

    /// Looks at what was read, and says how many bytes the next step takes.
    fn look(&mut self, need: &mut usize, give: &mut dyn FnMut(&[u8])) -> Goes {
        loop {
            let bytes = self.buffer.get(self.start..self.end).unwrap_or_default();
            let len = match self.stream.next(bytes) {
                Ok(Step::Needs(more)) => {
                    *need = more;
                    return Goes::On;
                }
                Ok(Step::Data { len, frame }) => {
                    give(frame);
                    len
                }
                Ok(Step::Control { len, reply }) => {
                    if reply.is_some_and(|reply| self.peer.send(&reply).is_err()) {
                        return Goes::Cut;
                    }
                    // STOP ends the connection as well as the stream.
                    if std::mem::replace(&mut self.has_begun, true) && self.stream.is_whole() {
                        return Goes::Ended;
                    }
                    len
                }
                Err(_) if !self.has_begun => return Goes::Refused,
                Err(_) => return Goes::Cut,
            };
            self.start = self.start.saturating_add(len).min(self.end);
        }
    }
}

/// Takes a socket away that nobody listens on.
fn make_way(path: &Path) -> Result<(), String> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    if !found.file_type().is_socket() {
        return Err("there is something else under this path, and no socket".to_owned());
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(
            "somebody listens there already; end that program, or choose another path".to_owned(),
        ),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path)
            .map_err(|error| {
                format!("a socket that nobody listens on cannot be taken away: {error}")
            }),
        Err(error) => Err(error.to_string()),
    }
}

/// Whoever can reach the path may connect, as with the system's log: resolvers run as users of their own.
fn listen_unix(path: &Path) -> io::Result<Listener> {
    let listener = UnixListener::bind(path)?;
    let own = OwnPath {
        id: OwnPath::id(path)?,
        path: path.to_owned(),
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    listener.set_nonblocking(true)?;
    Ok(Listener::Unix(listener, own))
}
