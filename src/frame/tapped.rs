//! Frames of dnstap, which have neither packets nor layers: what their server says stands for both.

use ahash::RandomState;

use super::{Decoder, Layers, Transport, Tunnel};
use crate::dnstap::{Discard, Protocol, Tapped};
use crate::packet::Packet;

impl Transport {
    /// What is below the protocol that a server names: one message a datagram, or many in a stream.
    #[must_use]
    pub const fn below(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Udp | Protocol::DnscryptUdp | Protocol::Doq => Self::Udp,
            Protocol::Tcp | Protocol::Dot | Protocol::Doh | Protocol::DnscryptTcp => Self::Tcp,
        }
    }
}

impl Layers {
    /// The layers that stand for a frame: dnstap, and the encryption that its server took off. Each server is a network of its
    /// own, by its name.
    fn tapped(tapped: &Tapped, hasher: &RandomState) -> Self {
        let mut layers = Self {
            tunnel_id: hasher
                .hash_one((Tunnel::Dnstap.name(), &tapped.identity))
                .max(1),
            ..Self::default()
        };
        layers.tunnel.push(Tunnel::Dnstap);
        layers.tunnel.extend(match tapped.protocol {
            Protocol::Udp | Protocol::Tcp => None,
            Protocol::Dot => Some(Tunnel::Dot),
            Protocol::Doh => Some(Tunnel::Doh),
            Protocol::Doq => Some(Tunnel::Doq),
            Protocol::DnscryptUdp | Protocol::DnscryptTcp => Some(Tunnel::Dnscrypt),
        });
        layers
    }

    /// Whether a server said what is in these layers, by dnstap, and no packet was seen.
    #[must_use]
    pub fn are_tapped(&self) -> bool {
        self.tunnel.first() == Some(&Tunnel::Dnstap)
    }
}

impl Decoder {
    /// What a packet of the link type [`DNSTAP`](crate::packet::LinkType::DNSTAP) says, and the layers that stand for it; `None`
    /// where it gives no message, which is counted by its reason.
    pub fn decode_tapped(&mut self, packet: &Packet<'_>) -> Option<(Tapped, Layers)> {
        self.stats.dnstap += 1;
        match Tapped::read(packet.bytes) {
            Ok(tapped) => {
                *match (&tapped.query, &tapped.response) {
                    (Some(_), Some(_)) => &mut self.dnstap.both,
                    (_, Some(_)) => &mut self.dnstap.response,
                    (_, None) => &mut self.dnstap.query,
                } += 1;
                let layers = Layers::tapped(&tapped, &self.hasher);
                for tunnel in &layers.tunnel {
                    tunnel.count(&mut self.tunnels);
                }
                Some((tapped, layers))
            }
            Err(why) => {
                *match why {
                    Discard::Malformed => &mut self.dnstap.malformed,
                    Discard::NotAMessage => &mut self.dnstap.not_a_message,
                    Discard::NoDns => &mut self.dnstap.no_dns,
                } += 1;
                None
            }
        }
    }
}
