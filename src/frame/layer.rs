//! What the layers share: the step from one to the next, and the reading of bytes that may not be there.

use ahash::RandomState;
use arrayvec::ArrayVec;
use etherparse::IpNumber;

use super::anywhere::Anywhere;
use super::fragment::Piece;
use super::tunnel::Tunnel;
use super::{Frame, Ports};
use crate::encrypted::Ends;
use crate::packet::LinkType;
use crate::stats::{Packets, Tunnels};

/// What a layer says comes next in the payload.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// What the link type says.
    Link(LinkType),
    /// An Ethernet header.
    Ethernet,
    /// What the EtherType says (below 1536: a length, then LLC).
    EtherType(u16),
    /// LLC (802.2).
    Llc,
    /// An 802.11 header.
    Wireless,
    /// A PPP frame, with or without address and control.
    Ppp,
    /// MPLS labels.
    Mpls,
    /// IPv4 or IPv6, told by the first four bits.
    Ip,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// What the protocol number of IPv4, or the next header of IPv6, says.
    Protocol(IpNumber),
    /// The fragment described in [`Walk::piece`], to be joined with others.
    Fragment,
    /// A UDP datagram between ports of a tunnel, its header taken off.
    UdpTunnel,
    /// Nothing: the frame is a UDP datagram or TCP segment with a DNS port, or with DNS on another.
    Done,
}

/// Why a packet is not handed on; each is a counter of the same name in [`crate::stats::Packets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Discard {
    OtherPort,
    OtherProtocol,
    NotIp,
    Fragment,
    FragmentCopy,
    FragmentOverlap,
    Tunnel,
    TooDeep,
    Encrypted,
    UnsupportedLink,
    Malformed,
    Snaplen,
}

impl Discard {
    /// Counts it.
    pub(super) const fn count(self, packets: &mut Packets) {
        *match self {
            Self::OtherPort => &mut packets.other_port,
            Self::OtherProtocol => &mut packets.other_protocol,
            Self::NotIp => &mut packets.not_ip,
            Self::Fragment => &mut packets.fragment,
            Self::FragmentCopy => &mut packets.fragment_copy,
            Self::FragmentOverlap => &mut packets.fragment_overlap,
            Self::Tunnel => &mut packets.tunnel,
            Self::TooDeep => &mut packets.too_deep,
            Self::Encrypted => &mut packets.encrypted,
            Self::UnsupportedLink => &mut packets.unsupported_link,
            Self::Malformed => &mut packets.malformed,
            Self::Snaplen => &mut packets.snaplen,
        } += 1;
    }
}

/// What a layer makes of the payload: the next layer, with the payload now beginning there.
pub(super) type Step = Result<Next, Discard>;

/// What a walk through the layers of one packet needs beside the frame.
#[derive(Debug)]
pub(super) struct Walk<'d> {
    pub(super) ports: &'d Ports,
    /// Where DNS is looked for on other ports as well.
    pub(super) anywhere: Option<&'d mut Anywhere>,
    pub(super) tunnels: &'d mut Tunnels,
    pub(super) hasher: &'d RandomState,
    /// How many more encapsulations may be taken off.
    pub(super) left: u8,
    /// The fragment that the last IP header described; beside [`Next`], so that a step fits into a register.
    pub(super) piece: Option<Piece>,
    /// Which member to take of a layer that holds several packets.
    pub(super) member: u16,
    /// Whether there is a member after that one.
    pub(super) more_members: bool,
    /// What was on other ports and may be encrypted DNS.
    pub(super) aside: &'d mut ArrayVec<Ends, { super::Decoder::MEMBERS as usize }>,
}

impl Walk<'_> {
    /// Notes that an encapsulation is taken off. `network` is what its header says to tell virtual networks apart, the
    /// same in both directions.
    pub(super) fn enter(
        &mut self,
        frame: &mut Frame<'_>,
        tunnel: Tunnel,
        network: u32,
    ) -> Result<(), Discard> {
        self.left = self.left.checked_sub(1).ok_or(Discard::TooDeep)?;
        tunnel.count(self.tunnels);
        // More names than fit are left out of the event, not out of the walk.
        let _full = frame.layers.tunnel.try_push(tunnel);
        // A mirror's ends say nothing about the mirrored: both directions may be sent by different mirrors.
        let ends = (!tunnel.is_mirror()).then_some(if frame.src <= frame.dst {
            (frame.src, frame.dst)
        } else {
            (frame.dst, frame.src)
        });
        frame.layers.tunnel_id =
            self.hasher
                .hash_one((frame.layers.tunnel_id, tunnel.name(), network, ends));
        Ok(())
    }
}

impl<'a> Frame<'a> {
    /// Why bytes are not there: the capture cut them, or the sender's headers lie.
    pub(super) const fn short(&self) -> Discard {
        if self.cut > 0 {
            Discard::Snaplen
        } else {
            Discard::Malformed
        }
    }

    /// The first `N` bytes of the payload.
    pub(super) fn peek<const N: usize>(&self) -> Result<[u8; N], Discard> {
        self.payload
            .first_chunk()
            .copied()
            .ok_or_else(|| self.short())
    }

    /// Takes the first `N` bytes off the payload.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Discard> {
        let (taken, rest) = self
            .payload
            .split_first_chunk()
            .ok_or_else(|| self.short())?;
        self.payload = rest;
        Ok(*taken)
    }

    /// Takes two bytes off the payload, in network byte order.
    pub(super) fn take_u16(&mut self) -> Result<u16, Discard> {
        self.take().map(u16::from_be_bytes)
    }

    /// Takes four bytes off the payload, in network byte order.
    pub(super) fn take_u32(&mut self) -> Result<u32, Discard> {
        self.take().map(u32::from_be_bytes)
    }

    /// Takes `length` bytes off the payload.
    pub(super) fn skip(&mut self, length: usize) -> Result<&'a [u8], Discard> {
        let (taken, rest) = self
            .payload
            .split_at_checked(length)
            .ok_or_else(|| self.short())?;
        self.payload = rest;
        Ok(taken)
    }

    /// Ends the payload where a header says that it ends: behind that is padding, or a trailer.
    ///
    /// Where the header says more than is there, something between the sender and us cut the packet: the capture, or a
    /// mirror that slices.
    pub(super) fn limit(&mut self, length: usize) {
        match self.payload.get(..length) {
            Some(kept) => {
                self.payload = kept;
                self.cut = 0;
            }
            None => {
                self.cut =
                    u32::try_from(length.saturating_sub(self.payload.len())).unwrap_or(u32::MAX)
            }
        }
    }

    /// [`Self::limit`] for a length that is not believed where it says more than the layer around it.
    pub(super) fn limit_within(&mut self, length: usize) {
        let cut = self.cut;
        self.limit(length);
        self.cut = self.cut.min(cut);
    }

    /// The length of the payload before something cut it.
    pub(super) fn whole_len(&self) -> usize {
        self.payload
            .len()
            .saturating_add(usize::try_from(self.cut).unwrap_or(usize::MAX))
    }
}
