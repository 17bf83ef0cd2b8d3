//! A server of two pages, `/metrics` and `/healthz`, for few and perhaps hostile clients: HTTP/1.1 in one thread, a request
//! of bounded size for each connection, a bounded number of these, each for a bounded time.
#![expect(
    clippy::disallowed_methods,
    reason = "clients are waited for on the machine's clock; no record says anything of it"
)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Form, Watch, exposition};

/// The most connections; the one that is there for longest gives way to a new one.
const CONNECTIONS: usize = 16;
/// The most bytes of a request's head.
const HEAD: usize = 8 * 1024;
/// How long a connection may last.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a page waits for fresh counters.
const FRESH: Duration = Duration::from_secs(1);
/// Where nothing came through for so long, a thread hangs: on a silent line something does several times a second.
const STUCK: Duration = Duration::from_secs(10);

/// A server that has its address and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    /// Readable once nobody holds [`Serving`].
    over: UnixStream,
    serving: UnixStream,
}

/// The server goes on until this is dropped.
#[derive(Debug)]
pub struct Serving(#[expect(dead_code, reason = "for its drop")] UnixStream);

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let (serving, over) = UnixStream::pair()?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            over,
            serving,
        })
    }

    /// Where it is; with the port that the system chose where 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server, to be run by a thread of its own, and what keeps it going.
    pub fn start(self) -> (impl FnOnce(&Watch) + Send, Serving) {
        let Self {
            listener,
            over,
            serving,
            ..
        } = self;
        (
            move |watch: &Watch| serve(&listener, &over, watch),
            Serving(serving),
        )
    }
}

/// A client.
struct Connection {
    stream: TcpStream,
    since: Instant,
    request: Vec<u8>,
    /// What is left to be sent, once the request is there.
    response: Option<Vec<u8>>,
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// There is more to come.
    Wait,
    /// Its request is there.
    Answer,
    /// Nothing more is to be done.
    Close,
}

fn serve(listener: &TcpListener, over: &UnixStream, watch: &Watch) {
    let mut connections: Vec<Connection> = Vec::new();
    let mut moved = (watch.steps(), Instant::now());
    while !wait(listener, over, &connections) {
        let now = Instant::now();
        if watch.steps() != moved.0 {
            moved = (watch.steps(), now);
        }
        accept(listener, &mut connections, now);
        connections.retain(|connection| now.duration_since(connection.since) < PATIENCE);
        let mut next: Vec<Next> = connections.iter_mut().map(Connection::go_on).collect();
        if next.contains(&Next::Answer) {
            // All that ask at the same time wait together.
            let (stats, is_new) = watch.ask(FRESH);
            if is_new {
                moved = (watch.steps(), Instant::now());
            }
            for (connection, next) in connections.iter_mut().zip(&mut next) {
                if *next == Next::Answer {
                    let response = answer(&connection.request, stats.as_ref(), moved.1.elapsed());
                    connection.response = Some(response);
                    *next = connection.go_on();
                }
            }
        }
        let mut next = next.into_iter();
        connections.retain(|_| next.next() != Some(Next::Close));
    }
}

/// Waits until there is something to do, at most a second. Whether the end has come.
fn wait(listener: &TcpListener, over: &UnixStream, connections: &[Connection]) -> bool {
    let mut descriptors = vec![
        PollFd::new(over.as_fd(), PollFlags::POLLIN),
        PollFd::new(listener.as_fd(), PollFlags::POLLIN),
    ];
    descriptors.extend(connections.iter().map(|connection| {
        let for_what = match &connection.response {
            Some(rest) if !rest.is_empty() => PollFlags::POLLOUT,
            _ => PollFlags::POLLIN,
        };
        PollFd::new(connection.stream.as_fd(), for_what)
    }));
    poll(&mut descriptors, PollTimeout::from(1000_u16)).ok();
    let is_over = descriptors.first().and_then(PollFd::revents);
    is_over.is_some_and(|events| !events.is_empty())
}

fn accept(listener: &TcpListener, connections: &mut Vec<Connection>, now: Instant) {
    for _ in 0..CONNECTIONS {
        let Ok((stream, _)) = listener.accept() else {
            return;
        };
        if stream.set_nonblocking(true).is_err() {
            continue;
        }
        if connections.len() >= CONNECTIONS {
            connections.remove(0);
        }
        connections.push(Connection {
            stream,
            since: now,
            request: Vec::new(),
            response: None,
        });
    }
}

impl Connection {
    /// Reads and writes what can be without waiting.
    fn go_on(&mut self) -> Next {
        let done = match &mut self.response {
            None => read_head(&mut self.stream, &mut self.request),
            Some(rest) => send(&mut self.stream, rest),
        };
        done.unwrap_or(Next::Close)
    }
}

fn read_head(stream: &mut TcpStream, request: &mut Vec<u8>) -> io::Result<Next> {
    let mut bytes = [0; 1024];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(Next::Close),
            Ok(count) => request.extend(bytes.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Next::Wait),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if request.len() > HEAD || is_whole(request) {
            return Ok(Next::Answer);
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let ends = |end: &[u8]| request.windows(end.len()).any(|part| part == end);
    ends(b"\r\n\r\n") || ends(b"\n\n")
}

/// Sends what is left. Then what the client may still be sending is read away, since closing before it would take the
/// response from it.
fn send(stream: &mut TcpStream, rest: &mut Vec<u8>) -> io::Result<Next> {
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => return Ok(Next::Close),
            Ok(count) => {
                rest.drain(..count.min(rest.len()));
                if rest.is_empty() {
                    stream.shutdown(Shutdown::Write)?;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Next::Wait),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut away = [0; 4096];
    match stream.read(&mut away) {
        Ok(0) => Ok(Next::Close),
        Ok(_) => Ok(Next::Wait),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Next::Wait),
        Err(error) => Err(error),
    }
}

/// The response to a request, where the counters are these, and the last batch came through so long ago.
fn answer(request: &[u8], stats: Option<&crate::stats::Stats>, still: Duration) -> Vec<u8> {
    let head = String::from_utf8_lossy(request);
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let is_http = version.is_some_and(|version| version.starts_with("HTTP/1."));
    let plain = "text/plain; charset=utf-8";
    let path = target.map(|target| target.split('?').next().unwrap_or_default());
    let (status, kind, body) = match (method, path) {
        _ if request.len() > HEAD => (
            "431 Request Header Fields Too Large",
            plain,
            "the request is too long\n".to_owned(),
        ),
        (Some(_), Some(_)) if is_http => match (method, path) {
            (Some("GET" | "HEAD"), Some("/metrics")) => metrics(lines, stats),
            (Some("GET" | "HEAD"), Some("/healthz")) => health(stats, still),
            (Some("GET" | "HEAD"), _) => (
                "404 Not Found",
                plain,
                "there are /metrics and /healthz\n".to_owned(),
            ),
            _ => (
                "405 Method Not Allowed",
                plain,
                "only GET and HEAD are answered\n".to_owned(),
            ),
        },
        _ => (
            "400 Bad Request",
            plain,
            "this is not HTTP/1.1\n".to_owned(),
        ),
    };
    let allow = if status.starts_with("405") {
        "Allow: GET, HEAD\r\n"
    } else {
        ""
    };
    let mut response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\r\n",
        body.len()
    );
    if method != Some("HEAD") {
        response.push_str(&body);
    }
    response.into_bytes()
}

type Page = (&'static str, &'static str, String);

fn metrics<'a>(
    mut headers: impl Iterator<Item = &'a str>,
    stats: Option<&crate::stats::Stats>,
) -> Page {
    let wants_open = headers.any(|header| {
        let (name, value) = header.split_once(':').unwrap_or_default();
        name.eq_ignore_ascii_case("accept") && value.contains("application/openmetrics-text")
    });
    let form = if wants_open {
        Form::OpenMetrics
    } else {
        Form::Text
    };
    let written = stats.cloned().map(|stats| exposition(stats, form));
    match written {
        Some(Ok(text)) => ("200 OK", form.content_type(), text),
        Some(Err(_)) | None => (
            "503 Service Unavailable",
            "text/plain; charset=utf-8",
            "nothing was counted yet\n".to_owned(),
        ),
    }
}

fn health(stats: Option<&crate::stats::Stats>, still: Duration) -> Page {
    let kind = "text/plain; charset=utf-8";
    match stats {
        Some(stats) if still < STUCK => (
            "200 OK",
            kind,
            format!("ok: {} packets received\n", stats.capture.received),
        ),
        None if still < STUCK => ("200 OK", kind, "ok: starting\n".to_owned()),
        _ => (
            "503 Service Unavailable",
            kind,
            format!(
                "nothing has come through for {} s: a thread hangs, or a place where records go takes none\n",
                still.as_secs()
            ),
        ),
    }
}

#[cfg(test)]
mod tests;
