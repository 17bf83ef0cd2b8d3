//! What pairing needs of a message, read in place: who asked whom, a hash of what, and whether somebody wants it.

mod between;
mod keyed;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::hosts::is_iterative;
use super::{Interest, Multicast, Role, Side, Transaction};
use crate::frame::{Addresses, Around, Layers, Plain, Transport};
use crate::message::{Envelope, Header, Question};
use crate::packet::{Carried, MessageId};
use crate::time::Timestamp;
use crate::wide::{Lanes, Narrow};
use between::{Address, Between};
use keyed::Keyed;

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
/// choose two that meet. Of transactions that are open together one pair in 2^94 would be taken for one; in 2^63 where they ask
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

    /// Whether it is to be kept whole: somebody wants it, or may want it, since there is no question to tell.
    #[inline(always)]
    const fn is_to_be_kept(&self) -> bool {
        self.is_wanted || self.identity.question.is_none()
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
    keyed: Keyed,
    spare: Spare,
}

impl Reader {
    /// Looks at a message in place. `None` where there is not even a header.
    pub fn read(
        &mut self,
        envelope: &Envelope<'_>,
        bytes: &[u8],
        interest: &impl Interest,
    ) -> Option<Arrival> {
        let header = Header::read(bytes)?;
        let between = Between::new(envelope, &header);
        let link = Link {
            time: envelope.time,
            payload: self.keyed.payload(bytes),
            ip_id: envelope.ip_id.unwrap_or(0),
        };
        let network = short(&envelope.around);
        let mut arrival = self.begin(&between, &header, envelope.src, network, link);
        self.look(&mut arrival, bytes, &header, interest, Narrow);
        if arrival.is_to_be_kept() {
            self.keep(&mut arrival, envelope, bytes);
        }
        Some(arrival)
    }

    /// Keeps a message whole.
    #[cold]
    pub fn keep(&mut self, arrival: &mut Arrival, envelope: &Envelope<'_>, bytes: &[u8]) {
        arrival.kept = Header::read(bytes).map(|header| {
            let key = Between::new(envelope, &header).key();
            self.spare.keep(key, envelope, bytes)
        });
    }

    /// Where the memory of the messages to be kept comes from.
    pub const fn spare(&mut self) -> &mut Spare {
        &mut self.spare
    }

    /// The same of the message of a plain packet, put behind others. Says whether it is to be [kept](Self::keep).
    #[inline(always)]
    pub fn read_plain(
        &mut self,
        time: Timestamp,
        plain: &Plain<'_>,
        interest: &impl Interest,
        lanes: impl Lanes,
        arrivals: &mut Vec<Arrival>,
    ) -> Option<bool> {
        let header = Header::read(plain.payload)?;
        let network = short(&plain.around);
        let link = Link {
            time,
            payload: self.keyed.payload(plain.payload),
            ip_id: plain.ip_id.unwrap_or(0),
        };
        // Written where it stays as soon as it is known, so that nothing has to be remembered.
        let arrival = match plain.addresses {
            Addresses::V4(addresses) => {
                let between = Between::of_plain(plain.ports, addresses, &header);
                let sender = addresses[0].into();
                arrivals.push_mut(self.begin(&between, &header, sender, network, link))
            }
            Addresses::V6(addresses) => {
                let between = Between::of_plain(plain.ports, addresses, &header);
                let sender = addresses[0].into();
                arrivals.push_mut(self.begin(&between, &header, sender, network, link))
            }
        };
        self.look(arrival, plain.payload, &header, interest, lanes);
        Some(arrival.is_to_be_kept())
    }

    /// An arrival whose question was not looked at yet.
    #[inline(always)]
    fn begin<A: Address>(
        &self,
        between: &Between<A>,
        header: &Header,
        sender: IpAddr,
        network: Network,
        link: Link,
    ) -> Arrival {
        Arrival {
            identity: Identity {
                network,
                key: self.keyed.key(between),
                question: None,
            },
            link,
            sender,
            is_response: between.is_response,
            is_iterative: is_iterative(header),
            multicast: between.multicast.0,
            is_wanted: false,
            kept: None,
        }
    }

    /// Looks at the question.
    #[inline(always)]
    fn look(
        &mut self,
        arrival: &mut Arrival,
        bytes: &[u8],
        header: &Header,
        interest: &impl Interest,
        lanes: impl Lanes,
    ) {
        self.question.read(bytes, header, lanes);
        arrival.identity.question = self.keyed.question(&self.question);
        arrival.is_wanted = interest.wants(&mut self.question) || header.questions > 1;
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
    pub(super) bytes: Vec<u8>,
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
            .max(Spare::BYTES)
            .saturating_add(size_of::<Kept>())
            .saturating_add(carried.map_or(0, |carried| carried.trail.held()))
    })
}

/// Messages that nobody needs any more, for the memory that they are in: they go back to where messages are read.
#[derive(Clone, Debug, Default)]
#[expect(clippy::vec_box, reason = "a box is what goes on and comes back")]
pub struct Spare(Vec<Box<Kept>>);

impl Spare {
    /// No more than these are kept.
    const MOST: usize = 512;
    /// A message gets room for so many bytes at least, which most are in; where one took more, that is given up.
    const BYTES: usize = 256;

    /// Keeps a message in the memory of another one.
    fn keep(&mut self, key: Key, envelope: &Envelope<'_>, bytes: &[u8]) -> Box<Kept> {
        let mut kept = self.0.pop().unwrap_or_else(|| Kept::empty(key));
        kept.bytes.clear();
        kept.bytes.reserve(bytes.len().max(Self::BYTES));
        kept.bytes.extend_from_slice(bytes);
        // Field by field where it stays: a struct that is put together elsewhere is waited for when it is moved.
        kept.key = key;
        kept.is_id_mismatch = false;
        kept.is_passed_on = false;
        kept.time = envelope.time;
        kept.input = envelope.input;
        kept.number = envelope.number;
        kept.missing = envelope.missing;
        kept.fragment_missing = envelope.fragment_missing;
        envelope.around.write_to(&mut kept.layers);
        kept.carried = None;
        kept
    }

    /// Takes a message that nobody needs any more.
    pub(super) fn give(&mut self, mut kept: Box<Kept>) {
        if self.0.len() < Self::MOST && kept.bytes.capacity() <= Self::BYTES {
            // What else it holds on to is not kept alive.
            kept.carried = None;
            self.0.push(kept);
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes those of others.
    pub fn append(&mut self, others: &mut Self) {
        let room = Self::MOST.saturating_sub(self.0.len());
        others.0.truncate(room);
        self.0.append(&mut others.0);
    }
}

impl Kept {
    fn empty(key: Key) -> Box<Self> {
        Box::new(Self {
            key,
            bytes: Vec::new(),
            is_id_mismatch: false,
            is_passed_on: false,
            time: Timestamp::MIN,
            input: 0,
            number: 0,
            missing: 0,
            fragment_missing: false,
            layers: Layers::default(),
            carried: None,
        })
    }

    /// Reads a little of all that it takes, so that it comes from where another processor wrote it.
    pub(super) fn fetch(&self) -> u64 {
        let far = self.bytes.get(64).or(self.bytes.first()).copied();
        self.number ^ self.layers.tunnel_id ^ u64::from(self.key.id) ^ u64::from(far.unwrap_or(0))
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

#[cfg(test)]
mod tests;
