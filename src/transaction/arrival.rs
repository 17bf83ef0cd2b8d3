//! What pairing needs of a message, read in place: who asked whom, a hash of what, and whether somebody wants it.

use std::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

use super::hosts::is_iterative;
use super::{Interest, LLMNR_PORT, MDNS_PORT, Multicast, Role, Side, Transaction};
use crate::frame::{Around, Layers, Transport};
use crate::message::{Envelope, Header, Question};
use crate::packet::{Carried, MessageId};
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
/// choose two that meet. Of transactions that are open together one pair in 2^95 would be taken for one; in 2^63 where they ask
/// the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// The resolver's address, and once more all others, because few resolvers answer all.
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

    /// Whether it is a response, by its QR bit.
    #[must_use]
    pub const fn is_response(&self) -> bool {
        self.is_response
    }

    /// The address that answers with it, where it is not multicast.
    #[must_use]
    pub fn answers(&self) -> Option<IpAddr> {
        (self.is_response && self.multicast.is_none()).then_some(self.sender)
    }

    /// What is asked with it of whom, where it is a wanted query, and not multicast.
    #[must_use]
    pub fn asks(&self) -> Option<Asked> {
        if self.is_response || self.multicast.is_some() || !self.is_wanted {
            return None;
        }
        Some(Asked {
            resolver: self.kept.as_ref()?.key.resolver.0,
            question: self.identity.question?,
            time: self.link.time,
        })
    }

    /// Keeps the packets that brought it, where it is kept itself.
    pub fn bring(&mut self, carried: impl FnOnce() -> Carried) {
        if let Some(kept) = &mut self.kept {
            kept.carried = Some(Arc::new(carried()));
        }
    }

    /// Its name, where its packets are kept.
    pub(super) fn message(&self) -> Option<MessageId> {
        Some(self.kept.as_ref()?.carried.as_ref()?.message)
    }

    /// How many bytes are kept of it beside itself.
    #[must_use]
    pub fn held(&self) -> usize {
        held(&self.kept)
    }
}

/// That a resolver was asked for something.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub(super) resolver: IpAddr,
    pub(super) question: NonZeroU32,
    pub(super) time: Timestamp,
}

impl Asked {
    /// Who was asked.
    #[must_use]
    pub const fn resolver(&self) -> IpAddr {
        self.resolver
    }
}

/// Reads arrivals, with the same memory again and again. A clone has the same keys: what both read may meet.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    question: Question,
    hasher: Keyed,
}

impl Reader {
    /// Looks at a message in place. `None` where there is not even a header.
    #[inline(always)]
    pub fn read<A: Address>(
        &mut self,
        envelope: &Envelope<'_, A>,
        bytes: &[u8],
        interest: &impl Interest,
    ) -> Option<Arrival> {
        let header = Header::read(bytes)?;
        self.question.read(bytes, &header);
        let is_wanted = interest.wants(&mut self.question) || header.questions > 1;
        let between = Between::new(envelope, &header);
        let question = self.hasher.question(&self.question);
        let mut arrival = Arrival {
            identity: Identity {
                network: short(&envelope.around),
                key: self.hasher.key(&between),
                question,
            },
            link: Link {
                time: envelope.time,
                payload: self.hasher.payload(bytes),
                ip_id: envelope.ip_id.unwrap_or(0),
            },
            sender: envelope.src.into(),
            is_response: between.is_response,
            is_iterative: is_iterative(&header),
            multicast: between.multicast,
            is_wanted,
            kept: None,
        };
        if is_wanted || question.is_none() {
            // A copy, so that the envelope of a message that nobody wants is never written to memory.
            let envelope = *envelope;
            arrival.kept = Some(Kept::new(between.key(), &envelope, bytes));
        }
        Some(arrival)
    }
}

/// An address of either version, or of one where that is known.
pub trait Address: Copy + Into<IpAddr> {
    /// Adds the address, and a number that goes with it, to a hash: the same, whether its version is known or not.
    fn hash(self, beside: u32, hasher: &mut impl Hasher);
}

impl Address for Ipv4Addr {
    #[inline(always)]
    fn hash(self, beside: u32, hasher: &mut impl Hasher) {
        hasher.write_u64(u64::from(self.to_bits()) << 32 | u64::from(beside));
    }
}

impl Address for Ipv6Addr {
    #[inline(always)]
    fn hash(self, beside: u32, hasher: &mut impl Hasher) {
        hasher.write_u128(self.to_bits());
        hasher.write_u64(u64::from(beside));
    }
}

impl Address for IpAddr {
    fn hash(self, beside: u32, hasher: &mut impl Hasher) {
        match self {
            Self::V4(address) => address.hash(beside, hasher),
            Self::V6(address) => address.hash(beside, hasher),
        }
    }
}

/// Hashes with keys of the run's own.
#[derive(Clone, Debug)]
struct Keyed {
    first: u64,
    others: SharedSeed,
}

impl Default for Keyed {
    fn default() -> Self {
        // Its keys come from the system's source of randomness.
        let random = ahash::RandomState::new();
        Self {
            first: random.hash_one(1),
            others: SharedSeed::from_u64(random.hash_one(2)),
        }
    }
}

impl Keyed {
    #[inline(always)]
    fn hasher(&self) -> FoldHasher<'_> {
        FoldHasher::with_seed(self.first, &self.others)
    }

    /// The question: name, type, class.
    #[inline(always)]
    fn question(&self, question: &Question) -> QuestionHash {
        if !question.is_present() {
            return None;
        }
        let (record_type, class) = question.type_and_class();
        let mut hasher = self.hasher();
        match question.blocks() {
            Some(blocks) => {
                for block in blocks {
                    hasher.write_u128(u128::from_le_bytes(*block));
                }
            }
            None => hasher.write(question.name_bytes()),
        }
        hasher.write_u32(u32::from(record_type) << 16 | u32::from(class));
        Some(NonZeroU32::new(hasher.finish() as u32).unwrap_or(NonZeroU32::MAX))
    }

    /// A message.
    #[inline(always)]
    fn payload(&self, bytes: &[u8]) -> u32 {
        let mut hasher = self.hasher();
        hasher.write(bytes);
        hasher.finish() as u32
    }

    /// The key of what goes between two hosts.
    #[inline(always)]
    fn key<A: Address>(&self, between: &Between<A>) -> KeyHash {
        let mut hasher = self.hasher();
        let (client, port) = between.client;
        client.hash(u32::from(port) << 16 | u32::from(between.id), &mut hasher);
        let is_stream = between.transport == Transport::Tcp;
        let (resolver, port) = between.resolver;
        hasher.write_u64(u64::from(port) << 1 | u64::from(between.is_multicast_response()));
        let others = hasher.finish();
        let without_resolver = others as u32 & !1 | u32::from(is_stream);
        let mut hasher = self.hasher();
        resolver.hash((others >> 32) as u32, &mut hasher);
        KeyHash {
            without_resolver,
            resolver: hasher.finish() as u32,
        }
    }
}

/// Who asked and who was asked, read where it stands.
struct Between<A> {
    client: (A, u16),
    resolver: (A, u16),
    transport: Transport,
    id: u16,
    is_response: bool,
    multicast: Option<Multicast>,
}

impl<A: Address> Between<A> {
    #[inline(always)]
    fn new(envelope: &Envelope<'_, A>, header: &Header) -> Self {
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
            multicast: multicast(envelope),
        }
    }

    const fn is_multicast_response(&self) -> bool {
        self.is_response && self.multicast.is_some()
    }

    fn key(&self) -> Key {
        Key {
            client: (self.client.0.into(), self.client.1),
            resolver: (self.resolver.0.into(), self.resolver.1),
            transport: self.transport,
            id: self.id,
            multicast_response: self.is_multicast_response(),
        }
    }
}

/// Tells a message's network from others in 16 bits.
#[inline(always)]
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
    /// A query for what its client was asked itself a moment before.
    pub(super) is_passed_on: bool,
    time: Timestamp,
    input: u16,
    number: u64,
    missing: u32,
    fragment_missing: bool,
    layers: Layers,
    /// The packets that brought it, where they are kept.
    pub(super) carried: Option<Arc<Carried>>,
}

/// How many bytes a message that is kept takes, with its packets.
pub(super) fn held(kept: &Option<Box<Kept>>) -> usize {
    kept.as_ref().map_or(0, |kept| {
        let carried = kept.carried.as_ref();
        kept.bytes
            .len()
            .saturating_add(size_of::<Kept>())
            .saturating_add(carried.map_or(0, |carried| carried.trail.held()))
    })
}

impl Kept {
    #[cold]
    fn new<A>(key: Key, envelope: &Envelope<'_, A>, bytes: &[u8]) -> Box<Self> {
        Box::new(Self {
            key,
            bytes: bytes.into(),
            is_id_mismatch: false,
            is_passed_on: false,
            time: envelope.time,
            input: envelope.input,
            number: envelope.number,
            missing: envelope.missing,
            fragment_missing: envelope.fragment_missing,
            layers: envelope.around.to_layers(),
            carried: None,
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
            carried: self.carried.as_ref(),
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
#[inline(always)]
fn multicast<A>(envelope: &Envelope<'_, A>) -> Option<Multicast> {
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// A message between two ports and its answer.
    fn both<A: Address>([src, dst]: [A; 2], ports: [u16; 2], id: u16) -> [Between<A>; 2] {
        let between = |client, resolver, is_response| Between {
            client,
            resolver,
            transport: Transport::Udp,
            id,
            is_response,
            multicast: None,
        };
        let [src, dst] = [(src, ports[0]), (dst, ports[1])];
        [between(src, dst, false), between(src, dst, true)]
    }

    proptest! {
        /// A query may come in a plain packet and its response in another, of which the addresses' version is not known before.
        #[test]
        fn a_key_is_one_whether_the_version_is_known_or_not(
            v4 in any::<[Ipv4Addr; 2]>(), v6 in any::<[Ipv6Addr; 2]>(), ports in any::<[u16; 2]>(), id: u16,
        ) {
            let keyed = Keyed::default();
            let known = both(v4, ports, id).map(|between| keyed.key(&between));
            let either = both(v4.map(IpAddr::from), ports, id).map(|between| keyed.key(&between));
            prop_assert_eq!(known, either);
            prop_assert_eq!(known[0], known[1]);
            let known = both(v6, ports, id).map(|between| keyed.key(&between));
            let either = both(v6.map(IpAddr::from), ports, id).map(|between| keyed.key(&between));
            prop_assert_eq!(known, either);
            prop_assert_eq!(known[0], known[1]);
            // The keys are this run's own.
            let others = Keyed::default();
            prop_assert_ne!(both(v4, ports, id).map(|between| others.key(&between)), either);
        }
    }

    /// As many queries as wait together on a busy line, all to one resolver and for one name: no two have one key. Of a hash of
    /// 32 bits, some of them would.
    #[test]
    fn keys_to_one_resolver_are_told_apart() {
        let keyed = Keyed::default();
        let mut keys = HashSet::new();
        for number in 0..300_000_u32 {
            let client = Ipv4Addr::from(0x0A00_0000 + number / 100);
            let [query, _] = both(
                [client, Ipv4Addr::LOCALHOST],
                [40_000, 53],
                (number % 100) as u16,
            );
            assert!(keys.insert(keyed.key(&query)), "{number}");
        }
    }
}
