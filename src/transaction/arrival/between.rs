//! Who asked and who was asked, read where it stands.

use std::hash::Hasher;
use std::hint::select_unpredictable;
use std::net::IpAddr;

use super::super::{LLMNR_PORT, MDNS_PORT, Multicast};
use super::Key;
use crate::frame::Transport;
use crate::message::{Envelope, Header};

/// Client and resolver of a message, each with its port.
pub(super) struct Between<A> {
    pub(super) client: (A, u16),
    pub(super) resolver: (A, u16),
    pub(super) transport: Transport,
    pub(super) id: u16,
    pub(super) is_response: bool,
    /// What it is of multicast, and whether it is a response of that.
    pub(super) multicast: (Option<Multicast>, bool),
}

impl Between<IpAddr> {
    /// Of any message.
    pub(super) fn new(envelope: &Envelope<'_>, header: &Header) -> Self {
        let is_one_s = envelope.transport == Transport::Tcp || envelope.around.is_tapped();
        let src = (envelope.src, envelope.src_port);
        let dst = (envelope.dst, envelope.dst_port);
        let is_response = header.is_response();
        let (client, resolver) = if is_response { (dst, src) } else { (src, dst) };
        Self {
            client,
            resolver,
            transport: envelope.transport,
            id: header.id,
            is_response,
            // What comes over TCP, or was a server's, is between two hosts, whatever the port.
            multicast: if is_one_s {
                (None, false)
            } else {
                multicast([client.1, resolver.1], is_response)
            },
        }
    }

    /// What makes its transaction the same one.
    pub(super) const fn key(&self) -> Key {
        Key {
            client: self.client,
            resolver: self.resolver,
            transport: self.transport,
            id: self.id,
            multicast_response: self.is_multicast_response(),
        }
    }
}

impl<A: Address> Between<A> {
    /// Of the message of a plain packet.
    #[inline(always)]
    pub(super) fn of_plain(ports: [u16; 2], addresses: &[A; 2], header: &Header) -> Self {
        let is_response = header.is_response();
        let [src_port, dst_port] = ports.map(u32::from);
        let both_ports = (src_port << 16 | dst_port).rotate_left(16 * u32::from(is_response));
        let [client_port, resolver_port] = [(both_ports >> 16) as u16, both_ports as u16];
        let [client, resolver] = A::turned(addresses, is_response);
        Self {
            client: (client, client_port),
            resolver: (resolver, resolver_port),
            transport: Transport::Udp,
            id: header.id,
            is_response,
            multicast: multicast([client_port, resolver_port], is_response),
        }
    }
}

impl<A> Between<A> {
    /// Whether it answers many at once.
    #[inline(always)]
    pub(super) const fn is_multicast_response(&self) -> bool {
        self.multicast.1
    }
}

/// An address of either version, or of one where that is known.
pub(super) trait Address: Copy {
    /// The two the other way round, where they are to be turned. Queries and responses alternate: no branch could be foreseen.
    fn turned(both: &[Self; 2], turn: bool) -> [Self; 2];

    /// Adds the address, and a number that goes with it, to a hash: the same, whether its version is known or not.
    fn hash(self, beside: u32, hasher: &mut impl Hasher);
}

impl Address for [u8; 4] {
    #[inline(always)]
    fn turned([first, second]: &[Self; 2], turn: bool) -> [Self; 2] {
        let [a, b, c, d] = *first;
        let [e, f, g, h] = *second;
        let both = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let [a, b, c, d, e, f, g, h] = both.rotate_right(32 * u32::from(turn)).to_le_bytes();
        [[a, b, c, d], [e, f, g, h]]
    }

    #[inline(always)]
    fn hash(self, beside: u32, hasher: &mut impl Hasher) {
        hasher.write_u64(u64::from(u32::from_le_bytes(self)) << 32 | u64::from(beside));
    }
}

impl Address for [u8; 16] {
    #[inline(always)]
    fn turned([first, second]: &[Self; 2], turn: bool) -> [Self; 2] {
        let [first, second] = [[second, first], [first, second]]
            .map(|[turned, not]| select_unpredictable(turn, turned, not));
        [*first, *second]
    }

    #[inline(always)]
    fn hash(self, beside: u32, hasher: &mut impl Hasher) {
        hasher.write_u128(u128::from_le_bytes(self));
        hasher.write_u64(u64::from(beside));
    }
}

impl Address for IpAddr {
    fn turned(both: &[Self; 2], turn: bool) -> [Self; 2] {
        let [first, second] = *both;
        if turn { [second, first] } else { *both }
    }

    #[inline(always)]
    fn hash(self, beside: u32, hasher: &mut impl Hasher) {
        match self {
            Self::V4(address) => address.octets().hash(beside, hasher),
            Self::V6(address) => address.octets().hash(beside, hasher),
        }
    }
}

/// Whether a datagram is multicast DNS or LLMNR, by the ports of its client and its resolver; and whether it is a response of
/// that.
#[inline(always)]
fn multicast([client, resolver]: [u16; 2], is_response: bool) -> (Option<Multicast>, bool) {
    let has = |port| resolver == port || client == port;
    if has(53) {
        (None, false)
    } else if has(MDNS_PORT) {
        (Some(Multicast::Mdns), is_response)
    } else if has(LLMNR_PORT) {
        (Some(Multicast::Llmnr), is_response)
    } else {
        (None, false)
    }
}
