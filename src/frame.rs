//! From a packet to the UDP datagram or TCP segment inside: link layer, tags, IP, transport.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ahash::RandomState;
use arrayvec::ArrayVec;

use crate::encrypted::Ends;
use crate::packet::{Captured, MessageId, Packet, Trail};
use crate::stats::{self, Dnstap, Further, Packets, Tunnels};
use crate::time::Timestamp;

mod anywhere;
mod around;
mod fragment;
mod gre;
mod ip;
mod l2tp;
mod layer;
mod link;
mod link_name;
mod look;
mod lost;
mod mpls;
mod netfilter;
mod overlay;
mod plain;
mod port;
mod ppp;
mod tag;
mod tapped;
mod transport;
mod tunnel;
mod wireless;

pub use around::Around;
pub use fragment::Joining;
pub use link_name::refused_link;
pub use lost::{Lost, Origin};
pub use plain::{Addresses, Plain};
pub use port::Ports;
pub use tunnel::Tunnel;

use anywhere::Anywhere;
use layer::{Discard, Next, Walk};

/// A hardware address (EUI-48).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Mac {
    /// Reads an address as it is printed; `None` for anything else.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2)?;
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Self(bytes))
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
    /// The one of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Udp, Self::Tcp]
            .into_iter()
            .find(|transport| transport.name() == name)
    }

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
    /// Encapsulations that were taken off, outer first.
    pub tunnel: ArrayVec<Tunnel, 8>,
    /// Tells apart tunnels of the same kinds, the same in both directions: a hash of their ends and of the numbers of
    /// virtual networks in their headers; 0 without a tunnel. Equal from run to run.
    pub tunnel_id: u64,
    /// Source and destination of the innermost link layer that has hardware addresses.
    pub macs: Option<(Mac, Mac)>,
}

impl Layers {
    /// Tells apart networks whose addresses may be the same: a hash of the VLAN identifiers and of
    /// [`tunnel_id`](Self::tunnel_id); 0 without either. Equal from run to run.
    #[must_use]
    pub fn network(&self) -> u64 {
        network(self.tunnel_id, &self.vlan)
    }
}

#[inline(never)]
fn network(tunnel_id: u64, vlan: &[u16]) -> u64 {
    if vlan.is_empty() && tunnel_id == 0 {
        return 0;
    }
    RandomState::with_seeds(5, 6, 7, 8)
        .hash_one((tunnel_id, vlan))
        .max(1)
}

/// A UDP datagram or TCP segment with a DNS port, or with DNS on another, and what was around it.
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
    /// The packets that brought it, where packets are [kept](Decoder::keeping_packets) and it was in more than this one.
    pub brought: Option<Brought<'a>>,
}

/// The packets that brought a datagram or segment.
#[derive(Clone, Copy, Debug)]
pub struct Brought<'a> {
    /// The packets, this one being the last.
    pub trail: &'a Trail,
    /// The name of the datagram that was joined last.
    pub joined: MessageId,
}

impl<'a> Frame<'a> {
    /// The frame before its first layer is taken off.
    fn around(packet: &Packet<'a>) -> Self {
        let captured = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
        Self {
            src: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            dst: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            src_port: 0,
            dst_port: 0,
            ip_id: None,
            tcp: None,
            payload: packet.bytes,
            cut: packet.wire_len.saturating_sub(captured),
            layers: Layers::default(),
            brought: None,
        }
    }

    /// UDP or TCP.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        if self.tcp.is_some() {
            Transport::Tcp
        } else {
            Transport::Udp
        }
    }
}

/// Takes packets apart; keeps what joining fragments needs.
#[derive(Debug)]
pub struct Decoder {
    ports: Ports,
    anywhere: Option<Anywhere>,
    depth: u8,
    hasher: RandomState,
    fragments: Joining,
    /// Whether the last packet was a fragment of something that is not known to hold no DNS.
    may_be_part: bool,
    /// What joining went through, as far as it was told here.
    joining: stats::Fragments,
    /// Where the fragments of a packet are joined; one for each packet inside another that was in fragments as well.
    joined: [Vec<u8>; 4],
    /// The member of the last packet that comes next, where that packet holds several.
    member: u16,
    /// What was on other ports and may be encrypted DNS.
    aside: ArrayVec<Ends, { Self::MEMBERS as usize }>,
    /// Whether packets are kept until what they are fragments of is whole.
    keeps_packets: bool,
    /// The packets of what the last packet completed.
    trail: Trail,
    /// What the last packet was a fragment of, where that was whole before it came.
    late_for: Option<MessageId>,
    /// What became of the packets.
    pub stats: Packets,
    /// What was handed on of packets beyond their first.
    pub further: Further,
    /// The encapsulations that were taken off.
    pub tunnels: Tunnels,
    /// What became of the frames of dnstap.
    pub dnstap: Dnstap,
}

impl Decoder {
    /// How many encapsulations are taken off one packet by default.
    pub const DEPTH: u8 = 8;
    /// How many members are taken of a packet that holds several.
    const MEMBERS: u16 = 64;

    /// A decoder that hands on what has one of `ports` as its source or destination; what has none only where they are
    /// [anywhere](Ports::and_anywhere), and it is DNS by its shape.
    #[must_use]
    pub fn new(ports: Ports) -> Self {
        Self {
            anywhere: ports.are_anywhere().then(Anywhere::new),
            ports,
            depth: Self::DEPTH,
            // Always the same, so that a replay gives what the run before gave.
            hasher: RandomState::with_seeds(1, 2, 3, 4),
            fragments: Joining::default().share(),
            may_be_part: false,
            joining: stats::Fragments::default(),
            joined: Default::default(),
            member: 0,
            aside: ArrayVec::new(),
            keeps_packets: false,
            trail: Trail::default(),
            late_for: None,
            stats: Packets::default(),
            further: Further::default(),
            tunnels: Tunnels::default(),
            dnstap: Dnstap::default(),
        }
    }

    /// The same, taking at most `depth` encapsulations off a packet.
    #[must_use]
    pub const fn with_depth(mut self, depth: u8) -> Self {
        self.depth = depth;
        self
    }

    /// The same, keeping the packets until what they are fragments of is whole: frames then say what
    /// [brought](Frame::brought) them.
    #[must_use]
    pub const fn keeping_packets(mut self, keeps_packets: bool) -> Self {
        self.keeps_packets = keeps_packets;
        self
    }

    /// The same, joining fragments with those of others that share them.
    #[must_use]
    pub fn joining_with(mut self, fragments: Joining) -> Self {
        self.fragments = fragments;
        self
    }

    /// The datagram that was whole already when the packet decoded last brought a fragment of it once more, where packets are
    /// kept.
    pub const fn take_late(&mut self) -> Option<MessageId> {
        self.late_for.take()
    }

    /// Whether the packet decoded last was a fragment of something that has a DNS port, or is not known to have none.
    #[must_use]
    pub const fn may_be_part(&self) -> bool {
        self.may_be_part
    }

    /// What the joining of fragments went through; of several decoders that share it the sum is what all of it went through.
    #[must_use]
    pub fn fragment_stats(&mut self) -> stats::Fragments {
        let new = self.fragments.with(|it| std::mem::take(&mut it.stats));
        self.joining.add(&new);
        self.joining
    }

    /// What was found on other ports than those named.
    #[must_use]
    pub fn any_port_stats(&self) -> stats::AnyPort {
        self.anywhere
            .as_ref()
            .map_or_else(stats::AnyPort::default, |anywhere| anywhere.stats)
    }

    /// The datagram or segment inside a packet; `None` where there is none for us, which is counted by its reason.
    ///
    /// A few kinds of packet hold several datagrams; see [`Self::decode_further`]. Plain packets are quicker by
    /// [`Self::decode_plain`], to be asked first.
    pub fn decode<'a>(&'a mut self, packet: &Packet<'a>) -> Option<Frame<'a>> {
        let Some(segment) = plain::segment(packet, &self.ports) else {
            return self.walk(packet, 0);
        };
        self.begin();
        self.stats.tcp += 1;
        Some(segment)
    }

    /// Forgets what was learnt of the packet before.
    fn begin(&mut self) {
        self.member = 0;
        self.trail.clear();
        self.may_be_part = false;
    }

    /// The datagram inside a packet as nearly all DNS comes in; `None` where it is another packet. Nothing is counted: whoever
    /// takes it says so to [`Self::count_plain`].
    #[inline(always)]
    #[must_use]
    pub fn decode_plain<'a>(&self, packet: &Packet<'a>) -> Option<Plain<'a>> {
        plain::read(packet, &self.ports)
    }

    /// So many plain packets were taken.
    pub const fn count_plain(&mut self, packets: u64) {
        self.member = 0;
        self.stats.udp += packets;
    }

    /// The next datagram or segment of the packet that was decoded last, until there is none: packets that the kernel
    /// logged in batches, frames that 802.11 aggregated. Those are counted in [`Self::further`].
    pub fn decode_further<'a>(&'a mut self, packet: &Packet<'a>) -> Option<Frame<'a>> {
        match self.member {
            0 => None,
            member => self.walk(packet, member),
        }
    }

    /// Gives up fragments that waited for too long before `now`.
    pub fn expire(&mut self, now: Timestamp) {
        self.fragments.with(|fragments| fragments.expire(now));
    }

    /// The capture is over: gives up all fragments that wait, unless others that share them go on.
    pub fn close(&mut self) {
        self.fragments.close();
    }

    /// A datagram with a DNS port whose beginning came, and other fragments did not; to be asked for until there is
    /// none, after each batch of packets and at the end. Its packets were counted as fragments.
    pub fn next_lost(&mut self) -> Option<Lost> {
        self.fragments.with(|fragments| fragments.lost.pop_front())
    }

    /// Between whom those members of the packet decoded last go that are on other ports and may be encrypted DNS. To be
    /// asked for after each packet: no more are laid aside than one packet has members.
    pub fn take_aside(&mut self) -> impl Iterator<Item = Ends> {
        self.aside.drain(..)
    }

    /// Takes one layer after the other off the packet, down to its first member for us from `member` on.
    fn walk<'a>(&'a mut self, packet: &Packet<'a>, member: u16) -> Option<Frame<'a>> {
        self.begin();
        let mut joined_as = None;
        let mut buffers = self.joined.as_mut_slice();
        let mut walk = Walk {
            ports: &self.ports,
            anywhere: self.anywhere.as_mut(),
            tunnels: &mut self.tunnels,
            hasher: &self.hasher,
            left: self.depth,
            piece: None,
            member,
            more_members: false,
            aside: &mut self.aside,
        };
        let mut frame = Frame::around(packet);
        let mut next = Next::Link(packet.link);
        // Every layer with a header takes it off, and fragments are joined once for each buffer: the walk ends.
        let outcome = loop {
            let step = match next {
                Next::Link(link) => link::open(&mut frame, &mut walk, link),
                Next::Ethernet => link::ethernet(&mut frame),
                Next::EtherType(value) => tag::follow(&mut frame, &mut walk, value),
                Next::Llc => tag::llc(&mut frame),
                Next::Wireless => wireless::header(&mut frame, &mut walk),
                Next::Ppp => ppp::frame(&mut frame),
                Next::Mpls => mpls::labels(&mut frame, &mut walk),
                Next::Ip => ip::either(&frame),
                Next::Ipv4 => ip::ipv4(&mut frame, &mut walk),
                Next::Ipv6 => ip::ipv6(&mut frame),
                Next::Protocol(protocol) => ip::protocol(&mut frame, &mut walk, protocol),
                Next::UdpTunnel => overlay::inside(&mut frame, &mut walk),
                Next::Fragment => match (
                    walk.piece.take(),
                    std::mem::take(&mut buffers).split_first_mut(),
                ) {
                    (Some(piece), Some((buffer, rest))) => {
                        buffers = rest;
                        let worth = transport::worth(&frame, piece, &walk);
                        if self.keeps_packets && self.trail.is_empty() {
                            self.trail.push(&Captured::of(packet));
                        }
                        let trail = self.keeps_packets.then_some(&mut self.trail);
                        let whole = self.fragments.with(|fragments| {
                            let whole = fragments.push(packet, &frame, piece, worth, trail, buffer);
                            self.may_be_part = fragments.may_be_dns;
                            self.late_for = fragments.late_for.take();
                            whole
                        });
                        whole.map(|whole| {
                            joined_as = Some(whole.number);
                            frame.payload = buffer;
                            frame.cut = whole.cut;
                            Next::Protocol(whole.protocol)
                        })
                    }
                    _ => Err(Discard::TooDeep),
                },
                Next::Done => break Ok(()),
            };
            match step {
                Ok(step) => next = step,
                Err(_) if walk.more_members && walk.member < Self::MEMBERS => {
                    walk = Walk {
                        left: self.depth,
                        member: walk.member + 1,
                        more_members: false,
                        ..walk
                    };
                    frame = Frame::around(packet);
                    next = Next::Link(packet.link);
                }
                Err(why) => break Err(why),
            }
        };
        if self.keeps_packets {
            let trail = &self.trail;
            frame.brought = joined_as.map(|joined| Brought { trail, joined });
        }
        if outcome.is_ok() && walk.more_members && walk.member < Self::MEMBERS {
            self.member = walk.member + 1;
        }
        match (outcome, member) {
            (Ok(()), 0) => {
                *if frame.tcp.is_some() {
                    &mut self.stats.tcp
                } else {
                    &mut self.stats.udp
                } += 1;
                Some(frame)
            }
            (Ok(()), _) => {
                *if frame.tcp.is_some() {
                    &mut self.further.tcp
                } else {
                    &mut self.further.udp
                } += 1;
                Some(frame)
            }
            (Err(why), 0) => {
                why.count(&mut self.stats);
                None
            }
            // The packet was counted when its first member was handed on.
            (Err(_), _) => None,
        }
    }
}

#[cfg(test)]
mod tests;
