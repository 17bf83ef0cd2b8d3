//! From a packet to the UDP datagram or TCP segment inside: link layer, tags, IP, transport.

use std::fmt;
use std::net::IpAddr;

use arrayvec::ArrayVec;

use crate::packet::{LinkType, Look, Packet};
use crate::stats::Packets;

/// A hardware address (EUI-48).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// One message a datagram.
    Udp,
    /// Messages with a length before each (RFC 7766, section 8).
    Tcp,
}

impl Transport {
    /// `udp` or `tcp`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// What of a TCP header the streams need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Sequence number of the payload's first byte (of the SYN where it is set).
    pub sequence: u32,
    /// SYN.
    pub syn: bool,
    /// FIN.
    pub fin: bool,
    /// RST.
    pub rst: bool,
}

/// The layers around the innermost IP packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// VLAN identifiers, outer first; more than fit are left out.
    pub vlan: ArrayVec<u16, 8>,
    /// Encapsulations that were taken off, outer first, by the names that events give.
    pub tunnel: ArrayVec<&'static str, 8>,
    /// Source and destination of the innermost link layer that has hardware addresses.
    pub macs: Option<(Mac, Mac)>,
}

/// A UDP datagram or TCP segment with a DNS port, and what was around it.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// Source address of the innermost IP packet.
    pub src: IpAddr,
    /// Its destination.
    pub dst: IpAddr,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// The IPv4 identification of the innermost IP packet; `None` for IPv6.
    pub ip_id: Option<u16>,
    /// The TCP header; `None` for UDP.
    pub tcp: Option<Tcp>,
    /// The bytes after the transport header, padding of the link layer taken off.
    pub payload: &'a [u8],
    /// How many bytes of payload the capture cut off.
    pub cut: u32,
    /// What was around it.
    pub layers: Layers,
}

impl Frame<'_> {
    /// UDP or TCP.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        if self.tcp.is_some() { Transport::Tcp } else { Transport::Udp }
    }
}

/// The ports on which DNS is looked for.
#[derive(Clone, Debug)]
pub struct Ports {
    set: Box<[u64; 1024]>,
}

impl Ports {
    /// The ports of DNS, mDNS and LLMNR.
    pub const DEFAULT: [u16; 3] = [53, 5353, 5355];

    /// A set of ports.
    #[must_use]
    pub fn new(ports: &[u16]) -> Self {
        let mut set = Box::new([0u64; 1024]);
        for &port in ports {
            if let Some(word) = set.get_mut(usize::from(port >> 6)) {
                *word |= 1 << (port & 63);
            }
        }
        Self { set }
    }

    /// Whether the port is one of them.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.set
            .get(usize::from(port >> 6))
            .is_some_and(|word| word >> (port & 63) & 1 == 1)
    }
}

/// Takes packets apart; keeps what joining fragments needs.
#[derive(Debug)]
pub struct Decoder {
    ports: Ports,
    /// What became of the packets.
    pub stats: Packets,
}

impl Decoder {
    /// A decoder that hands on what has one of `ports` as its source or destination.
    #[must_use]
    pub fn new(ports: Ports) -> Self {
        Self { ports, stats: Packets::default() }
    }

    /// The datagram or segment inside a packet; `None` where there is none for us, which is counted by its reason.
    pub fn decode<'a>(&'a mut self, packet: &Packet<'a>) -> Option<Frame<'a>> {
        let _ = (&self.ports, packet);
        None
    }
}

/// The look at the ports before a packet is copied.
#[derive(Debug)]
pub struct PortLook {
    /// The DNS ports.
    pub ports: Ports,
}

impl Look for PortLook {
    fn may_hold_dns(&self, _link: LinkType, _bytes: &[u8]) -> bool {
        true
    }
}
