//! dnstap (<https://dnstap.info>): the DNS messages that a resolver or a server itself says that it took and sent, over whatever they came.
//!
//! [`Stream`] takes Frame Streams apart, in which the frames come through files and sockets; [`Tapped`] is what one frame says.
//! Neither reads, writes or looks at a clock. What comes through a socket may come from anybody.

mod framing;
mod said;
mod schema;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use prost::Message as _;

use crate::time::Timestamp;
pub use framing::{LONGEST_FRAME, Step, Stream, Wrong, begins, start, stop};
pub use said::{Said, Sender};

/// What carried a message between the client and the server that says so (`SocketProtocol` of dnstap.proto).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// UDP; also where nothing, or something unknown, is said.
    Udp,
    /// TCP.
    Tcp,
    /// DNS over TLS (RFC 7858).
    Dot,
    /// DNS over HTTPS (RFC 8484).
    Doh,
    /// DNSCrypt over UDP.
    DnscryptUdp,
    /// DNSCrypt over TCP.
    DnscryptTcp,
    /// DNS over QUIC (RFC 9250).
    Doq,
}

impl Protocol {
    /// Its number in `SocketProtocol`.
    const fn number(self) -> i32 {
        match self {
            Self::Udp => 1,
            Self::Tcp => 2,
            Self::Dot => 3,
            Self::Doh => 4,
            Self::DnscryptUdp => 5,
            Self::DnscryptTcp => 6,
            Self::Doq => 7,
        }
    }

    const fn of(number: Option<i32>) -> Self {
        match number {
            Some(2) => Self::Tcp,
            Some(3) => Self::Dot,
            Some(4) => Self::Doh,
            Some(5) => Self::DnscryptUdp,
            Some(6) => Self::DnscryptTcp,
            Some(7) => Self::Doq,
            _ => Self::Udp,
        }
    }
}

/// Why a frame gives no message; each is a counter of the same name in [`crate::stats::Dnstap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// Not the Protocol Buffers that dnstap.proto describes.
    Malformed,
    /// Its type is another than `MESSAGE`, the only one that there is.
    NotAMessage,
    /// It holds neither a query nor a response.
    NoDns,
}

/// What one frame says: a query, a response, or both, between a client and a server. Which side of the two speaks (its `type`:
/// `CLIENT_QUERY`, `RESOLVER_RESPONSE`, ...) makes no difference: who asked whom is said by the addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tapped {
    /// The name of the server that speaks; empty where it has none.
    pub identity: Vec<u8>,
    /// What carried the messages.
    pub protocol: Protocol,
    /// Who asked; unspecified (`0.0.0.0` or `::`), and port 0, where that is not said.
    pub client: (IpAddr, u16),
    /// Who was asked; the same.
    pub server: (IpAddr, u16),
    /// The query, as it was on the wire.
    pub query: Option<Vec<u8>>,
    /// The response.
    pub response: Option<Vec<u8>>,
    query_time: Option<Timestamp>,
    response_time: Option<Timestamp>,
}

/// No client waits for longer: a frame that says so is not believed.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl Tapped {
    /// Reads a frame.
    ///
    /// # Errors
    /// The frame gives no message.
    pub fn read(frame: &[u8]) -> Result<Self, Discard> {
        let dnstap = schema::Dnstap::decode(frame).map_err(|_| Discard::Malformed)?;
        let message = match (dnstap.r#type, dnstap.message) {
            (Some(schema::MESSAGE), Some(message)) => message,
            (None, _) => return Err(Discard::Malformed),
            (Some(_), _) => return Err(Discard::NotAMessage),
        };
        let not_empty = |bytes: Option<Vec<u8>>| bytes.filter(|bytes| !bytes.is_empty());
        let (query, response) = (
            not_empty(message.query_message),
            not_empty(message.response_message),
        );
        if query.is_none() && response.is_none() {
            return Err(Discard::NoDns);
        }
        let addresses = [message.query_address, message.response_address].map(address);
        let unspecified = match (addresses, message.socket_family) {
            ([Some(known), _] | [_, Some(known)], _) => match known {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            },
            (_, Some(schema::INET6)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let [client, server] = addresses.map(|address| address.unwrap_or(unspecified));
        let port = |port: Option<u32>| port.and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
        Ok(Self {
            identity: dnstap.identity.unwrap_or_default(),
            protocol: Protocol::of(message.socket_protocol),
            client: (client, port(message.query_port)),
            server: (server, port(message.response_port)),
            query,
            response,
            query_time: time(message.query_time_sec, message.query_time_nsec),
            response_time: time(message.response_time_sec, message.response_time_nsec),
        })
    }

    /// When the frame's message was taken or sent: the response where there is one. `None` where no time is said.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        match self.response {
            Some(_) => self.response_time.or(self.query_time),
            None => self.query_time.or(self.response_time),
        }
    }

    /// How long before [`time`](Self::time) its query was taken or sent; zero where that is not said, or cannot be.
    #[must_use]
    pub fn query_before(&self) -> Duration {
        match (self.time(), self.query_time) {
            (Some(time), Some(query)) => Some(time.since(query)),
            _ => None,
        }
        .filter(|wait| *wait <= LONGEST_WAIT)
        .unwrap_or_default()
    }
}

/// An address in network byte order. One of IPv4 within IPv6 (RFC 4291, 2.5.5.2) is what a socket for both shows of packets that
/// are IPv4's.
fn address(bytes: Option<Vec<u8>>) -> Option<IpAddr> {
    let bytes = bytes?;
    let four = || <[u8; 4]>::try_from(bytes.as_slice()).ok();
    let sixteen = || <[u8; 16]>::try_from(bytes.as_slice()).ok();
    four()
        .map(IpAddr::from)
        .or_else(|| sixteen().map(|bytes| IpAddr::from(bytes).to_canonical()))
}

/// Seconds and nanoseconds since 1970; `None` without seconds.
fn time(seconds: Option<u64>, nanos: Option<u32>) -> Option<Timestamp> {
    // What does not fit into the range of times is none.
    const MOST: u64 = i64::MAX as u64 / 1_000_000_000;
    let seconds = seconds.filter(|seconds| *seconds < MOST)?;
    let nanos = nanos.unwrap_or(0).min(999_999_999);
    Some(Timestamp::from_parts(
        i64::try_from(seconds).ok()?,
        i64::from(nanos),
    ))
}

#[cfg(test)]
mod tests;
