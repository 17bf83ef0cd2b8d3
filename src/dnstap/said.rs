//! Frames as we write them: one for each message.

use std::net::IpAddr;

use prost::Message as _;

use super::framing::length_of;
use super::{Protocol, schema};
use crate::time::Timestamp;

/// Whose message it is, as `Message.Type` has it: who sees it there stands beside the resolver that is asked, or asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A client asks a resolver: `CLIENT_QUERY`, `CLIENT_RESPONSE`.
    Client,
    /// A resolver asks an authoritative server: `RESOLVER_QUERY`, `RESOLVER_RESPONSE`.
    Resolver,
    /// A resolver asks another one to do it: `FORWARDER_QUERY`, `FORWARDER_RESPONSE`.
    Forwarder,
}

impl Sender {
    /// The number of the query's type; that of the response's is the next.
    const fn number(self) -> i32 {
        match self {
            Self::Resolver => 3,
            Self::Client => 5,
            Self::Forwarder => 7,
        }
    }
}

/// What a frame says of a message.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Who says so.
    pub identity: &'a str,
    /// By which program.
    pub version: &'a str,
    /// Whose message it is.
    pub sender: Sender,
    /// Over what it came.
    pub protocol: Protocol,
    /// Who asked, and from which port.
    pub client: (IpAddr, u16),
    /// Who was asked, and on which port.
    pub server: (IpAddr, u16),
    /// When the query was seen; `None` where it was not.
    pub query_time: Option<Timestamp>,
    /// When the response was seen, where this is the response.
    pub response_time: Option<Timestamp>,
    /// The message.
    pub message: &'a [u8],
}

impl Said<'_> {
    /// Appends the frame, with its length before it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let [query, response] = [self.query_time, self.response_time].map(parts);
        let is_response = self.response_time.is_some();
        let bytes = Some(self.message.to_vec());
        let (query_message, response_message) = if is_response {
            (None, bytes)
        } else {
            (bytes, None)
        };
        let (client, server) = (self.client, self.server);
        let message = schema::Message {
            r#type: Some(self.sender.number() + i32::from(is_response)),
            socket_family: Some(match client.0 {
                IpAddr::V4(_) => schema::INET,
                IpAddr::V6(_) => schema::INET6,
            }),
            socket_protocol: Some(self.protocol.number()),
            query_address: Some(octets(client.0)),
            response_address: Some(octets(server.0)),
            query_port: Some(client.1.into()),
            response_port: Some(server.1.into()),
            query_time_sec: query.0,
            query_time_nsec: query.1,
            query_message,
            response_time_sec: response.0,
            response_time_nsec: response.1,
            response_message,
        };
        let frame = schema::Dnstap {
            identity: Some(self.identity.as_bytes().to_vec()),
            version: Some(self.version.as_bytes().to_vec()),
            message: Some(message),
            r#type: Some(schema::MESSAGE),
        }
        .encode_to_vec();
        out.extend(length_of(&frame));
        out.extend(frame);
    }
}

/// Seconds and nanoseconds, as far as there are; dnstap has no times before 1970.
fn parts(time: Option<Timestamp>) -> (Option<u64>, Option<u32>) {
    let nanos = time.and_then(|time| u64::try_from(time.as_nanos()).ok());
    let seconds = nanos.map(|nanos| nanos / 1_000_000_000);
    (seconds, nanos.map(|nanos| (nanos % 1_000_000_000) as u32))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
