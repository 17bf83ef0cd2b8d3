//! DNS that nobody on the wire can read, and what is to be seen of it all the same: who talks to whom.
//!
//! DNS over TLS (RFC 7858) and over QUIC (RFC 9250) has a port of its own. DNS over HTTPS (RFC 8484) looks like all HTTPS; it is
//! told by the server's address where that is one of a known public resolver. What is said is who opened a connection to
//! whom, never what was asked: no hit of a source that does so does not mean that there was nothing to hit.

mod flows;
mod known;

use std::net::IpAddr;

pub use flows::Flows;
pub use known::{KnownResolvers, ListMistake, Operator};

use crate::time::Timestamp;

/// The port of DNS over TLS, and over QUIC.
pub const DNS_PORT: u16 = 853;
/// The port of HTTPS, over TCP and over QUIC.
pub const HTTPS_PORT: u16 = 443;

/// What of a TCP header tells who opened a connection, and whether it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpStart {
    /// Sequence number.
    pub sequence: u32,
    /// SYN.
    pub syn: bool,
    /// ACK.
    pub ack: bool,
    /// RST.
    pub rst: bool,
    /// FIN.
    pub fin: bool,
}

/// Between whom a packet goes on whose ports there may be encrypted DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Source address of the innermost IP packet.
    pub src: IpAddr,
    /// Its destination.
    pub dst: IpAddr,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// The TCP header, without any flag where the capture cut it; `None` for UDP.
    pub tcp: Option<TcpStart>,
}

/// How DNS is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// DNS over TLS.
    Tls,
    /// DNS over QUIC; also over DTLS (RFC 8094), which has the same port.
    Quic,
    /// DNS over HTTPS.
    Https,
}

/// Something new about a connection over which DNS is encrypted: that there is one, or that it came to something, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Capture time of the packet that told it.
    pub time: Timestamp,
    /// Who asks.
    pub client: IpAddr,
    /// Who is asked.
    pub resolver: IpAddr,
    /// Who runs it, where that is known.
    pub operator: Option<Operator>,
    /// How.
    pub protocol: Protocol,
    /// The connection was not seen before.
    pub is_new: bool,
    /// The first sign that it came to be: the server took it, or sent something (UDP).
    pub is_answered: bool,
}
