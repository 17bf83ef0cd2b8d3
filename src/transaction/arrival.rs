//! What pairing needs of a message, read in place: who asked whom, a hash of what, and whether somebody wants it.

use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::num::NonZeroU32;

use super::hosts::is_iterative;
use super::{Interest, LLMNR_PORT, MDNS_PORT, Multicast, Role, Side, Transaction};
use crate::frame::{Around, Layers, Transport};
use crate::message::{Envelope, Header, Question};
use crate::time::Timestamp;

/// What makes a transaction the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) client: (IpAddr, u16),
    pub(super) resolver: (IpAddr, u16),
    pub(super) transport: Transport,
    pub(super) id: u16,
    /// Multicast responses are events of their own, and not those of the queries.
    pub(super) multicast_response: bool,
}

/// A key and its question as the table holds them: hashes of three times 32 bits, keyed anew in each run so that nobody can
/// choose two that meet. One in 2^96 pairs of transactions that are open together would be taken for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) key: KeyHash,
    /// A response without one finds its query all the same.
    pub(super) question: QuestionHash,
    /// Where it was seen; no part of the identity as long as nobody else has the same one.
    pub(super) network: Network,
}

/// A keyed hash of a [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct KeyHash {
    /// All but the resolver's address, because an anycast address may be answered from another one. The last bit is set
    /// where the transport is TCP.
    pub(super) without_resolver: u32,
    /// The resolver's address.
    pub(super) resolver: u32,
}

impl KeyHash {
    /// Whether the transport is TCP.
    pub(super) const fn is_stream(self) -> bool {
        self.without_resolver & 1 == 1
    }
}

/// Tells apart networks whose addresses may be the same: a short hash of VLANs and tunnels, the same in each run; 0 without
/// any. The first bit is set where no packet was seen, but a server said by dnstap what it took and sent.
pub(super) type Network = u16;

/// The bit of a [`Network`] that says so.
const TAPPED: Network = 1 << 15;

/// Whether what was seen in a network came by dnstap.
pub(super) const fn is_tapped(network: Network) -> bool {
    network & TAPPED != 0
}

/// A keyed hash of name, type and class; `None` where there is no whole question.
pub(super) type QuestionHash = Option<NonZeroU32>;

/// What tells a packet that came again from another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) time: Timestamp,
    /// A keyed hash of the message.
    pub(super) payload: u32,
    /// The IPv4 identification, 0 for IPv6.
    pub(super) ip_id: u16,
}

/// A message on its way to its transaction. Few are wanted by anybody, and only those are kept whole.
#[derive(Debug)]
pub struct Arrival {
    pub(super) identity: Identity,
    pub(super) link: Link,
    /// Who sent it: of a query the client, of a response the resolver.
    pub(super) sender: IpAddr,
    pub(super) is_response: bool,
    /// A query that asks for no recursion: a resolver's own.
    pub(super) is_iterative: bool,
    pub(super) multicast: Option<Multicast>,
    /// Somebody wants an event of it whatever it meets.
    pub(super) is_wanted: bool,
    /// The message; also where it has no whole question, because what it meets may be wanted.
    pub(super) kept: Option<Box<Kept>>,
}

const _: () = assert!(
    size_of::<Arrival>() <= 64,
    "one cache line goes from core to core"
);

impl Arrival {
    /// Capture time of the packet that completed it.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        self.link.time
    }

    /// How many bytes are kept of it beside itself.
    #[must_use]
    pub fn held(&self) -> usize {
        held(&self.kept)
    }
}

/// Reads arrivals, with the same memory again and again.
#[derive(Debug, Default)]
pub struct Reader {
    question: Question,
    hasher: ahash::RandomState,
}

impl Reader {
    /// Looks at a message in place. `None` where there is not even a header.
    pub fn read(
        &mut self,
        envelope: &Envelope<'_>,
        bytes: &[u8],
        interest: &dyn Interest,
    ) -> Option<Arrival> {
        let header = Header::read(bytes)?;
        self.question.read(bytes, &header);
        let is_wanted = interest.wants(&mut self.question) || header.questions > 1;
        let between = Between::new(envelope, &header);
        let question = self.hash_question();
        let is_kept = is_wanted || question.is_none();
        Some(Arrival {
            identity: Identity {
                network: short(&envelope.around),
                key: self.hash(&between),
                question,
            },
            link: Link {
                time: envelope.time,
                payload: self.hash_payload(bytes),
                ip_id: envelope.ip_id.unwrap_or(0),
            },
            sender: envelope.src,
            is_response: between.is_response,
            is_iterative: is_iterative(&header),
            multicast: between.multicast,
            is_wanted,
            kept: is_kept.then(|| Kept::new(between.key(), envelope, bytes)),
        })
    }

    /// A keyed hash of the question: name, type, class.
    fn hash_question(&self) -> QuestionHash {
        if !self.question.is_present() {
            return None;
        }
        let (record_type, class) = self.question.type_and_class();
        let mut hasher = self.hasher.build_hasher();
        hasher.write(self.question.name_bytes());
        hasher.write_u32(u32::from(record_type) << 16 | u32::from(class));
        Some(NonZeroU32::new(hasher.finish() as u32).unwrap_or(NonZeroU32::MAX))
    }

    /// A keyed hash of a message.
    fn hash_payload(&self, bytes: &[u8]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(bytes);
        hasher.finish() as u32
    }

    /// A keyed hash of the key of what goes between two hosts.
    fn hash(&self, between: &Between<'_>) -> KeyHash {
        let mut hasher = self.hasher.build_hasher();
        let (client, port) = between.client;
        let port_and_id = u64::from(port) << 16 | u64::from(between.id);
        match client {
            IpAddr::V4(client) => {
                hasher.write_u64(u64::from(client.to_bits()) << 32 | port_and_id);
            }
            IpAddr::V6(client) => {
                hasher.write_u128(client.to_bits());
                hasher.write_u64(port_and_id);
            }
        }
        let is_stream = between.transport == Transport::Tcp;
        let (resolver, port) = between.resolver;
        hasher.write_u64(u64::from(port) << 1 | u64::from(between.is_multicast_response()));
        KeyHash {
            without_resolver: hasher.finish() as u32 & !1 | u32::from(is_stream),
            resolver: self.hash_address(resolver),
        }
    }

    fn hash_address(&self, address: &IpAddr) -> u32 {
        (match address {
            IpAddr::V4(address) => self.hasher.hash_one(address.to_bits()),
            IpAddr::V6(address) => self.hasher.hash_one(address.to_bits()),
        }) as u32
    }
}

/// Who asked and who was asked, read where it stands.
struct Between<'a> {
    client: (&'a IpAddr, u16),
    resolver: (&'a IpAddr, u16),
    transport: Transport,
    id: u16,
    is_response: bool,
    multicast: Option<Multicast>,
}

impl<'a> Between<'a> {
    fn new(envelope: &'a Envelope<'_>, header: &Header) -> Self {
        let src = (&envelope.src, envelope.src_port);
        let dst = (&envelope.dst, envelope.dst_port);
        let is_response = header.is_response();
        let (client, resolver) = if is_response { (dst, src) } else { (src, dst) };
        Self {
            client,
            resolver,
            transport: envelope.transport,
            id: header.id,
            is_response,
            multicast: multicast(envelope),
        }
    }

    const fn is_multicast_response(&self) -> bool {
        self.is_response && self.multicast.is_some()
    }

    fn key(&self) -> Key {
        Key {
            client: (*self.client.0, self.client.1),
            resolver: (*self.resolver.0, self.resolver.1),
            transport: self.transport,
            id: self.id,
            multicast_response: self.is_multicast_response(),
        }
    }
}

/// Tells a message's network from others in 16 bits.
fn short(around: &Around<'_>) -> Network {
    match around.network() {
        0 => 0,
        network if around.is_tapped() => network as Network | TAPPED,
        network => (network as Network & !TAPPED).max(1),
    }
}

/// A message that somebody wants, kept until its transaction is given on.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) key: Key,
    pub(super) bytes: Box<[u8]>,
    /// It answers an open query but for its ID.
    pub(super) is_id_mismatch: bool,
    time: Timestamp,
    input: u16,
    number: u64,
    missing: u32,
    fragment_missing: bool,
    layers: Layers,
}

/// How many bytes a message that is kept takes.
pub(super) fn held(kept: &Option<Box<Kept>>) -> usize {
    kept.as_ref()
        .map_or(0, |kept| kept.bytes.len().saturating_add(size_of::<Kept>()))
}

impl Kept {
    fn new(key: Key, envelope: &Envelope<'_>, bytes: &[u8]) -> Box<Self> {
        Box::new(Self {
            key,
            bytes: bytes.into(),
            is_id_mismatch: false,
            time: envelope.time,
            input: envelope.input,
            number: envelope.number,
            missing: envelope.missing,
            fragment_missing: envelope.fragment_missing,
            layers: envelope.around.to_layers(),
        })
    }

    pub(super) fn side(&self) -> Side<'_> {
        Side {
            time: self.time,
            input: self.input,
            number: self.number,
            bytes: &self.bytes,
            missing: self.missing,
            fragment_missing: self.fragment_missing,
            layers: &self.layers,
        }
    }
}

impl Key {
    /// The address that a response with this key came from, where the query was sent to another.
    pub(super) fn answered_for(&self, query: &Self) -> Option<IpAddr> {
        (self.resolver.0 != query.resolver.0).then_some(self.resolver.0)
    }

    /// The transaction without its messages.
    pub(super) fn transaction(&self, role: Role, over: Timestamp) -> Transaction<'static> {
        Transaction {
            client: self.client.0,
            client_port: self.client.1,
            resolver: self.resolver.0,
            resolver_port: self.resolver.1,
            transport: self.transport,
            id: self.id,
            query: None,
            response: None,
            over,
            retransmitted: 0,
            is_late: false,
            is_differing: false,
            is_response_first: false,
            is_tcp_retry: false,
            is_id_mismatch: false,
            is_port_mismatch: self.resolver.1 != 53 && self.client.1 == 53,
            answered_from: None,
            multicast: None,
            occurrence: 0,
            role,
        }
    }
}

/// Whether a message is multicast DNS or LLMNR, by its ports. What comes over TCP, or was a server's, is between two hosts,
/// whatever the port.
fn multicast(envelope: &Envelope<'_>) -> Option<Multicast> {
    if envelope.transport == Transport::Tcp || envelope.around.is_tapped() {
        return None;
    }
    let has = |port| envelope.src_port == port || envelope.dst_port == port;
    if has(53) {
        None
    } else if has(MDNS_PORT) {
        Some(Multicast::Mdns)
    } else if has(LLMNR_PORT) {
        Some(Multicast::Llmnr)
    } else {
        None
    }
}
