//! A connection that messages are written to, over TCP or TLS.
//!
//! What was written is on its way, and no more is known. So the last of it is kept, and written again to the next connection
//! where this one breaks. That the receiver has read all is known where it ends the connection after we have: with
//! `confirm=true` after each batch, else at the end of the run.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// For so long a new connection is looked at after the first was written: who refuses us by ending it (for want of a
/// certificate, or of a server behind a balancer) does it then.
const TRIAL: Duration = Duration::from_millis(250);
/// How much is kept of what was written, and for how long: what is longer ago has arrived, if the connection lives.
const KEPT: (usize, Duration) = (4 << 20, Duration::from_secs(60));
/// What a receiver says is read over, and no more of it than this at once.
const CHATTER: usize = 64 << 10;

/// Where messages go, and the connection where there is one.
#[derive(Debug)]
pub(super) struct Connection {
    host: String,
    port: u16,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    timeout: Duration,
    /// Each batch has a connection of its own, which the receiver ends.
    confirms: bool,
    line: Option<Line>,
    /// What was written last, oldest first, and when.
    kept: VecDeque<(Instant, Vec<u8>)>,
}

#[derive(Debug)]
enum Line {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// One that comes about when something is to be sent.
    ///
    /// # Errors
    /// No certificate can be for such a name.
    pub(super) fn new(
        host: String,
        port: u16,
        tls: Option<Arc<ClientConfig>>,
        timeout: Duration,
        confirms: bool,
    ) -> Result<Self, String> {
        let tls = match tls {
            None => None,
            Some(config) => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| "no certificate can be for this host".to_owned())?;
                Some((config, name))
            }
        };
        Ok(Self {
            host,
            port,
            tls,
            timeout,
            confirms,
            line: None,
            kept: VecDeque::new(),
        })
    }

    /// Writes messages, each with its length in front (RFC 6587, section 3.4.1; RFC 5425, section 4.3).
    ///
    /// # Errors
    /// What happened; all of them have to be sent again.
    pub(super) fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), String> {
        let mut frames = Vec::new();
        for message in messages {
            frames.extend_from_slice(format!("{} ", message.len()).as_bytes());
            frames.extend_from_slice(message);
        }
        match self.line.as_mut().map(Line::is_over) {
            Some(true) => self.line = None,
            Some(false) => self.forget(),
            None => {}
        }
        let sent = self.write(&frames);
        if sent.is_err() {
            self.line = None;
        }
        sent.map_err(|error| told(&error))?;
        self.keep(frames);
        if self.confirms {
            return self.end(self.timeout).inspect_err(|_| self.forget_last());
        }
        Ok(())
    }

    /// Ends the connection, and waits until the receiver does. Where it was cut, what was written to it is written once more, to
    /// another one.
    ///
    /// # Errors
    /// That one was cut, too: what was written last has to be sent again.
    pub(super) fn close(&mut self) -> Result<(), String> {
        let timeout = self.timeout.min(CONNECT);
        if self.end(timeout).is_ok() {
            return Ok(());
        }
        self.write(&[])
            .map_err(|error| told(&error))
            .and_then(|()| self.end(timeout))
            .inspect_err(|_| self.forget_last())
    }

    /// The last batch is sent again by whoever hears that it has to be.
    fn forget_last(&mut self) {
        self.kept.pop_back();
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "how long ago something was written has nothing to do with packet time"
    )]
    fn keep(&mut self, frames: Vec<u8>) {
        self.kept.push_back((Instant::now(), frames));
        let mut bytes: usize = self.kept.iter().map(|(_, it)| it.len()).sum();
        while self.kept.len() > 1 && bytes > KEPT.0 {
            let oldest = self.kept.pop_front();
            bytes -= oldest.map_or(0, |(_, it)| it.len());
        }
    }

    /// Forgets what was written long ago to the connection, which lives.
    fn forget(&mut self) {
        while let Some((written, _)) = self.kept.front()
            && written.elapsed() > KEPT.1
        {
            self.kept.pop_front();
        }
    }

    fn write(&mut self, frames: &[u8]) -> io::Result<()> {
        if let Some(line) = &mut self.line {
            line.write_all(frames)?;
            return line.flush();
        }
        let mut line = self.connect()?;
        for (_, again) in &self.kept {
            line.write_all(again)?;
        }
        line.write_all(frames)?;
        line.flush()?;
        if !self.confirms {
            line.try_for(TRIAL)?;
            line.socket().set_read_timeout(Some(self.timeout))?;
        }
        self.line = Some(line);
        Ok(())
    }

    fn connect(&self) -> io::Result<Line> {
        let mut last = io::Error::other("its name has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(socket) => {
                    socket.set_nodelay(true)?;
                    socket.set_write_timeout(Some(self.timeout))?;
                    socket.set_read_timeout(Some(self.timeout))?;
                    let Some((config, name)) = &self.tls else {
                        return Ok(Line::Plain(socket));
                    };
                    let session = ClientConnection::new(Arc::clone(config), name.clone())
                        .map_err(io::Error::other)?;
                    let mut line = StreamOwned::new(session, socket);
                    // A certificate that is not to be trusted is found before anything is written.
                    line.conn.complete_io(&mut line.sock)?;
                    return Ok(Line::Tls(Box::new(line)));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Says that no more comes and waits for the receiver to say the same: it has read all then.
    fn end(&mut self, timeout: Duration) -> Result<(), String> {
        let Some(mut line) = self.line.take() else {
            return Ok(());
        };
        let why = match line.end(timeout) {
            Ok(()) => {
                self.kept.clear();
                return Ok(());
            }
            // Whoever never ends a connection cannot be waited for, unless that was asked for.
            Err(error) if is_timeout(&error) && !self.confirms => return Ok(()),
            Err(error) if is_timeout(&error) => format!(
                "it did not end the connection within {} s after we had, which confirm=true waits for",
                timeout.as_secs()
            ),
            Err(error) => told(&error),
        };
        Err(why)
    }
}

impl Line {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(line) => &line.sock,
        }
    }

    /// Whether the receiver has ended or cut it.
    fn is_over(&mut self) -> bool {
        if self.socket().set_nonblocking(true).is_err() {
            return true;
        }
        let end = read_over(self);
        let is_open = matches!(&end, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        !is_open || self.socket().set_nonblocking(false).is_err()
    }

    /// Looks for a while whether the receiver ends it.
    fn try_for(&mut self, span: Duration) -> io::Result<()> {
        self.socket().set_read_timeout(Some(span))?;
        match read_over(self) {
            Err(error) if is_timeout(&error) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Err(io::Error::other("it ended the connection at once")),
        }
    }

    fn end(&mut self, timeout: Duration) -> io::Result<()> {
        if let Self::Tls(line) = self {
            line.conn.send_close_notify();
            line.flush()?;
        }
        self.socket().shutdown(Shutdown::Write)?;
        self.socket().set_read_timeout(Some(timeout))?;
        match read_over(self) {
            // Without a word of TLS, but in order.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            end => end,
        }
    }
}

/// Reads what the receiver says, which means nothing, up to its end.
fn read_over(line: &mut Line) -> io::Result<()> {
    let (mut read, mut bytes) = (0, [0; 1_024]);
    while read < CHATTER {
        match line.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(length) => read += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(
        "it talks, which no receiver of syslog does",
    ))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn told(error: &io::Error) -> String {
    if is_timeout(error) {
        return "it takes nothing any more (timeout)".to_owned();
    }
    error.to_string()
}

impl Read for Line {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(bytes),
            Self::Tls(line) => line.read(bytes),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(line) => line.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(line) => line.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::mpsc::sync_channel;

    use super::*;

    /// The last batch of a run, of which the receiver had read nothing when it cut the connection.
    #[test]
    fn what_was_not_read_before_the_end_is_written_once_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (may_cut, cuts) = sync_channel(1);
        let (cut, was_cut) = sync_channel(1);
        let receiver = std::thread::spawn(move || {
            let (first, _) = listener.accept().unwrap();
            cuts.recv().unwrap();
            drop(first);
            cut.send(()).unwrap();
            let mut all = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut all).unwrap();
            all
        });
        let host = "127.0.0.1".to_owned();
        let mut connection = Connection::new(host, port, None, CONNECT, false).unwrap();
        connection.send(&[b"one".to_vec()]).unwrap();
        connection.send(&[b"two".to_vec()]).unwrap();
        may_cut.send(()).unwrap();
        was_cut.recv().unwrap();
        connection.close().unwrap();
        assert_eq!(receiver.join().unwrap(), b"3 one3 two");
        // Where nobody listens any more, whoever asked has to send the last again.
        connection.send(&[b"three".to_vec()]).unwrap_err();
    }
}
