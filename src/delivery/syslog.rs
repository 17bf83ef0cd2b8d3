//! Syslog: messages of RFC 5424 over UDP (RFC 5426), TCP (RFC 6587, with a count in front of each) and TLS (RFC 5425).
//!
//! Nobody answers. What that leaves of *at least once* is in [`connection`] and in `docs/delivery.md`.

mod cef;
mod connection;
mod message;
mod tls;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use super::DeliveryError;
use super::destination::{Answer, Destination};
use super::segment::Waiting;
use crate::sink::envelope::open;
use crate::sink::remote::Kind;
use crate::sink::{Remote, Stream};
use connection::Connection;
use message::Form;

/// How long writing, and the end of a connection, may take where `timeout=` says nothing.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The length of a message at most, where `size=` says nothing: what a receiver of datagrams should take (RFC 5426, section
/// 3.2), and what it commonly does of others.
const SIZES: (usize, usize) = (2_048, 65_536);
/// What `size=` may say: what every receiver has to take (RFC 5426, section 3.2), and what fits into a datagram.
const SIZE: (usize, usize) = (480, 65_507);
/// The same of a connection.
const LONGEST: usize = 16 << 20;
/// After so many datagrams a moment passes, for a receiver's buffer holds some hundred.
const BURST: usize = 50;
/// How long that is.
const MOMENT: Duration = Duration::from_millis(1);

/// Facilities by their names (RFC 5424, section 6.2.1).
const FACILITIES: [(&str, u8); 12] = [
    ("user", 1),
    ("daemon", 3),
    ("auth", 4),
    ("authpriv", 10),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// A receiver of one stream.
#[derive(Debug)]
pub(super) struct Syslog {
    stream: Stream,
    form: Form,
    way: Way,
    /// How many records of the last batch were cut.
    cut: u64,
}

#[derive(Debug)]
enum Way {
    Datagrams {
        host: String,
        port: u16,
        socket: Option<UdpSocket>,
    },
    Connection(Connection),
}

impl Syslog {
    /// Checks what the URL says and reads certificates.
    ///
    /// # Errors
    /// Something in it is not right, or a file cannot be read.
    pub(super) fn new(stream: Stream, remote: &Remote) -> Result<Self, DeliveryError> {
        let wrong = |what: String| DeliveryError::Usage(format!("'{remote}': {what}"));
        if !remote.path.is_empty() {
            return Err(wrong("nothing stands behind the port".to_owned()));
        }
        let is_datagrams = remote.kind == Kind::SyslogUdp;
        let (usual, most) = match is_datagrams {
            true => (SIZES.0, SIZE.1),
            false => (SIZES.1, LONGEST),
        };
        let size = match remote.option("size") {
            None => usual,
            Some(text) => text
                .parse()
                .ok()
                .filter(|size| (SIZE.0..=most).contains(size))
                .ok_or_else(|| {
                    wrong(format!(
                        "size is a number of bytes from {} to {most}",
                        SIZE.0
                    ))
                })?,
        };
        let facility = remote.option("facility").unwrap_or("local0");
        let form = Form {
            facility: FACILITIES
                .iter()
                .find(|(name, _)| *name == facility)
                .map(|(_, number)| *number)
                .ok_or_else(|| {
                    let names = FACILITIES.map(|(name, _)| name).join(", ");
                    wrong(format!("facility is one of {names}"))
                })?,
            is_cef: match remote.option("format") {
                None | Some("json") => false,
                Some("cef") => true,
                Some(_) => return Err(wrong("format is json or cef".to_owned())),
            },
            size,
        };
        let host = remote.host.trim_matches(['[', ']']).to_owned();
        let way = if is_datagrams {
            Way::Datagrams {
                host,
                port: remote.port,
                socket: None,
            }
        } else {
            let tls = tls::config(remote)?;
            let confirms = super::flag(remote, "confirm")?;
            let timeout = super::timeout(remote)?.unwrap_or(TIMEOUT);
            Way::Connection(
                Connection::new(host, remote.port, tls, timeout, confirms).map_err(wrong)?,
            )
        };
        Ok(Self {
            stream,
            form,
            way,
            cut: 0,
        })
    }
}

impl Destination for Syslog {
    fn send(&mut self, batch: &[Waiting], wait: &dyn Fn(Duration) -> bool) -> Answer {
        self.cut = 0;
        let mut messages = Vec::with_capacity(batch.len());
        for waiting in batch {
            if let Some(letter) = open(self.stream, &waiting.line) {
                let (message, is_cut) = self.form.message(self.stream, &letter);
                self.cut += u64::from(is_cut);
                messages.push(message);
            }
        }
        let sent = match &mut self.way {
            Way::Connection(connection) => connection.send(&messages),
            Way::Datagrams { host, port, socket } => {
                let sent = datagrams(host, *port, socket, &messages, wait);
                if sent.is_err() {
                    // The name may be another address's by now.
                    *socket = None;
                }
                sent.map_err(|error| error.to_string())
            }
        };
        match sent {
            Ok(()) => Answer::Taken,
            Err(why) => Answer::Later { why, after: None },
        }
    }

    fn cut(&self) -> u64 {
        self.cut
    }

    fn close(&mut self) -> Answer {
        match &mut self.way {
            Way::Datagrams { .. } => Answer::Taken,
            Way::Connection(connection) => match connection.close() {
                Ok(()) => Answer::Taken,
                Err(why) => Answer::Later { why, after: None },
            },
        }
    }
}

/// Sends each message as a datagram. That somebody is there, nobody says; that nobody is, the system often hears.
fn datagrams(
    host: &str,
    port: u16,
    socket: &mut Option<UdpSocket>,
    messages: &[Vec<u8>],
    wait: &dyn Fn(Duration) -> bool,
) -> io::Result<()> {
    let socket = match socket {
        Some(socket) => socket,
        None => {
            let address = (host, port).to_socket_addrs()?.next();
            let address = address.ok_or_else(|| io::Error::other("its name has no address"))?;
            let own: SocketAddr = match address {
                SocketAddr::V4(_) => ([0; 4], 0).into(),
                SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
            };
            let new = UdpSocket::bind(own)?;
            new.connect(address)?;
            socket.insert(new)
        }
    };
    for burst in messages.chunks(BURST) {
        for message in burst {
            socket.send(message)?;
        }
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        if burst.len() == BURST && !wait(MOMENT) {
            return Err(io::Error::other("nobody waits for it any more"));
        }
    }
    Ok(())
}
