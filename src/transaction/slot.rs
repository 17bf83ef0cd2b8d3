//! One transaction as the table keeps it.

use std::num::NonZeroU8;

use super::arrival::{Identity, Kept, Key, KeyHash, Link, Network, QuestionHash, is_tapped};
use super::waits::Waits;
use super::{COPY, Role, Transaction};
use crate::time::Timestamp;

/// A link as a slot keeps it: its time counted from that of the first message, in microseconds.
#[derive(Clone, Copy, Debug)]
struct KeptLink {
    at: i32,
    payload: u32,
}

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A query waits for its response.
    Open,
    /// Both were seen; lingers.
    Answered,
    /// A response waits for a query that may have been captured after it; then lingers no longer.
    ResponseOnly,
    /// Nobody answered in time; lingers, for a late response.
    GivenUp,
    /// A multicast message; lingers for its copies.
    Multicast,
}

/// One transaction in the table: one cache line, because most of what pairing costs is waiting for memory.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Slot {
    pub(super) key: KeyHash,
    /// Time from which the waiting counts.
    pub(super) latest: Timestamp,
    /// Time of the first message.
    pub(super) first: Timestamp,
    pub(super) wanted: Option<Box<Kept>>,
    pub(super) question: QuestionHash,
    /// The latest query that was no copy, and the latest response.
    query: KeptLink,
    response: KeptLink,
    query_ip_id: u16,
    response_ip_id: u16,
    pub(super) retransmitted: u16,
    /// How many events it gave.
    pub(super) events: u8,
    pub(super) state: State,
    /// Whether somebody wanted it, also after it was given on.
    pub(super) was_wanted: bool,
    /// Another network where it was seen too, shortened once more.
    other_network: Option<NonZeroU8>,
    /// Where it was seen first.
    network: Network,
}

const _: () = assert!(size_of::<Option<Slot>>() == 64, "one cache line");

impl Slot {
    pub(super) fn new(identity: Identity, link: &Link, state: State) -> Self {
        let kept = KeptLink {
            at: 0,
            payload: link.payload,
        };
        Self {
            key: identity.key,
            latest: link.time,
            first: link.time,
            wanted: None,
            question: identity.question,
            query: kept,
            response: kept,
            query_ip_id: link.ip_id,
            response_ip_id: link.ip_id,
            retransmitted: 0,
            events: 0,
            state,
            was_wanted: false,
            other_network: None,
            network: identity.network,
        }
    }

    /// Takes the response to its query; whether it took its time.
    #[inline(always)]
    pub(super) fn answer(&mut self, response: &Link, network: Network, waits: &Waits) -> bool {
        self.latest = response.time;
        let is_late = self.is_answered_late(waits);
        self.set_response(response);
        self.seen_in(network);
        self.state = State::Answered;
        is_late
    }

    /// The slot of a query that nobody answered in time: lingers from its timeout on.
    pub(super) fn given_up(&self, waits: &Waits) -> Self {
        Self {
            latest: self.latest.after(waits.timeout),
            wanted: None,
            retransmitted: 0,
            events: self.events.saturating_add(1),
            state: State::GivenUp,
            ..*self
        }
    }

    pub(super) fn is(&self, identity: &Identity) -> bool {
        self.key == identity.key && self.question == identity.question
    }

    /// Microseconds from the first message, at the range's end where they are more.
    fn at(&self, time: Timestamp) -> i32 {
        let micros = time.nanos_since(self.first) / 1_000;
        micros.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
    }

    /// Whether a message seen in that network can be one of this transaction's for sure.
    pub(super) fn is_in(&self, network: Network) -> bool {
        self.network == network || self.other_network == Some(shortened(network))
    }

    /// Notes that it was seen in that network too.
    pub(super) fn seen_in(&mut self, network: Network) {
        if network != self.network {
            self.other_network = Some(shortened(network));
        }
    }

    /// Whether the other network where it was seen is a server's word.
    fn is_said_elsewhere(&self) -> bool {
        self.other_network
            .is_some_and(|other| is_tapped(Network::from(other.get()) << 8))
    }

    fn is_copy(&self, kept: KeptLink, ip_id: u16, network: Network, link: &Link) -> bool {
        let apart = i64::from(self.at(link.time)) - i64::from(kept.at);
        // A stream gives no message twice; only a stream in another network is a copy of it. A server may say its queries once
        // more with their responses.
        let may_be = !self.key.is_stream()
            || self.network != network
            || self.other_network.is_some()
            || is_tapped(network);
        // A server's word has no identification of a packet.
        let said = is_tapped(network) || is_tapped(self.network) || self.is_said_elsewhere();
        let same_id = ip_id == link.ip_id || said && (ip_id == 0 || link.ip_id == 0);
        kept.payload == link.payload
            && same_id
            && may_be
            && apart.unsigned_abs() <= COPY.as_micros() as u64
    }

    /// The latest query delivered again by a mirror.
    pub(super) fn is_query_copy(&self, network: Network, link: &Link) -> bool {
        self.is_copy(self.query, self.query_ip_id, network, link)
    }

    /// The same of the latest response.
    pub(super) fn is_response_copy(&self, network: Network, link: &Link) -> bool {
        self.is_copy(self.response, self.response_ip_id, network, link)
    }

    /// The latest query.
    pub(super) fn query_link(&self) -> Link {
        self.link(self.query, self.query_ip_id)
    }

    /// The latest response.
    pub(super) fn response_link(&self) -> Link {
        self.link(self.response, self.response_ip_id)
    }

    fn link(&self, kept: KeptLink, ip_id: u16) -> Link {
        Link {
            time: Timestamp::from_nanos(
                self.first
                    .as_nanos()
                    .saturating_add(i64::from(kept.at) * 1_000),
            ),
            payload: kept.payload,
            ip_id,
        }
    }

    /// Whether the latest response said the same.
    pub(super) fn says_the_same(&self, link: &Link) -> bool {
        self.response.payload == link.payload
    }

    pub(super) fn set_query(&mut self, link: &Link) {
        self.query = KeptLink {
            at: self.at(link.time),
            payload: link.payload,
        };
        self.query_ip_id = link.ip_id;
    }

    pub(super) fn set_response(&mut self, link: &Link) {
        self.response = KeptLink {
            at: self.at(link.time),
            payload: link.payload,
        };
        self.response_ip_id = link.ip_id;
    }

    /// The transaction of a key, without its messages, and with what this slot knows.
    pub(super) fn transaction(
        &self,
        key: &Key,
        role: Role,
        over: Timestamp,
    ) -> Transaction<'static> {
        Transaction {
            retransmitted: u32::from(self.retransmitted),
            occurrence: u32::from(self.events),
            ..key.transaction(role, over)
        }
    }

    /// Whether a lone response still waits for its query at that time.
    pub(super) fn waits_for(&self, query: &Link, waits: &Waits) -> bool {
        self.latest.nanos_since(query.time) <= waits.response_first
            && query.time.nanos_since(self.latest) <= waits.response_first
    }

    /// How many nanoseconds after `latest` it still takes messages.
    pub(super) fn wait(&self, waits: &Waits) -> i64 {
        match self.state {
            State::Open | State::Answered | State::GivenUp => waits.timeout,
            State::ResponseOnly => waits.response_first,
            State::Multicast => waits.copy,
        }
    }

    /// When nothing more is waited for, if nothing more comes.
    pub(super) fn due(&self, waits: &Waits) -> Timestamp {
        self.latest.after(if self.is_short() {
            waits.short_swept
        } else {
            waits.long_swept
        })
    }

    pub(super) fn is_short(&self) -> bool {
        matches!(self.state, State::ResponseOnly | State::Multicast)
    }

    /// Whether its answer took its time: then the waiting counts from there, and it goes to the end of the table.
    pub(super) fn is_answered_late(&self, waits: &Waits) -> bool {
        self.latest.nanos_since(self.first) > waits.answered_soon
    }

    /// When the table sweeps it away. Nobody waits for what was answered, and an answer that came soon left it where its
    /// query put it.
    pub(super) fn swept(&self, waits: &Waits) -> Timestamp {
        if self.state == State::Answered && !self.is_answered_late(waits) {
            self.first.after(waits.long_swept)
        } else {
            self.due(waits)
        }
    }

    /// What tells it from all others in the table, wherever it stands there.
    pub(super) fn named(&self) -> Named {
        let identity = Identity {
            key: self.key,
            question: self.question,
            network: self.network,
        };
        Named(identity, self.first)
    }
}

/// What a transaction is, where it was seen first, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Named(Identity, Timestamp);

/// A network in one byte, which begins with the same bit.
fn shortened(network: Network) -> NonZeroU8 {
    let [high, low] = network.to_be_bytes();
    NonZeroU8::new(high ^ (low & 0x7F)).unwrap_or(NonZeroU8::MIN)
}
