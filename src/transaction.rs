//! Queries meet responses.
//!
//! A transaction is an identity: client, resolver, ports, transport, ID and question. A query opens it, the response
//! closes it; it lingers for a timeout, so that what comes again is told from what is new. What became of it depends on
//! the packets' times alone, never on when the table was swept.

mod arrival;
mod brought;
mod hosts;
mod index;
mod recent;
mod replaced;
mod ring;
mod slot;
mod table;
mod truncated;
mod waits;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::frame::{Layers, Transport};
use crate::message::Question;
use crate::packet::{Carried, Further};
use crate::stats::{self, Messages, Transactions as Counters};
use crate::time::Timestamp;
pub use arrival::{Arrival, Asked, Reader, Spare};
use arrival::{Identity, Kept, Key, KeyHash, QuestionHash, held};
use brought::Brought;
use hosts::Hosts;
pub use hosts::NamedRoles;
use replaced::Replaced;
use slot::{Slot, State};
use table::Table;
use truncated::Truncated;
use waits::Waits;

/// Asked with the question in place: does anybody want this transaction? Implemented by those who know the rules and
/// the streams that were asked for.
pub trait Interest: Send {
    /// Whether a rule or a stream wants the transaction of this question, or of a message without one.
    fn wants(&self, question: &mut Question) -> bool;
}

/// The ports of multicast DNS (RFC 6762) and of LLMNR (RFC 4795).
const MDNS_PORT: u16 = 5353;
const LLMNR_PORT: u16 = 5355;

/// How the pairing waits, and how much it keeps.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A query without a response for so long is unanswered, unless the client repeats it at about that time; an answered
    /// transaction lingers for as long.
    pub timeout: Duration,
    /// The most transactions kept; beyond it the one that was quiet for longest is closed.
    pub entries: usize,
    /// The most bytes that the messages kept in them take; beyond it the same.
    pub bytes: usize,
    /// The most hosts of which it is remembered whether they asked or answered.
    pub hosts: usize,
}

impl Limits {
    /// Each one's part where several pair the messages of different clients.
    #[must_use]
    pub fn shared_by(self, pairings: usize) -> Self {
        Self {
            entries: self.entries.div_ceil(pairings.max(1)),
            bytes: self.bytes.div_ceil(pairings.max(1)),
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            entries: 1 << 20,
            bytes: 256 << 20,
            hosts: 1 << 20,
        }
    }
}

/// Packets that a mirror delivers again come within this time.
const COPY: Duration = Duration::from_millis(50);
/// A response that the mirror delivered before its query waits so long for it.
const RESPONSE_FIRST: Duration = Duration::from_millis(500);
/// A transaction whose query is repeated again and again is closed after this many timeouts.
const REPEATED_TIMEOUTS: u32 = 6;
/// A client repeats a query when its own timer ran out: often after the same five seconds, and a little later than it says.
/// A fifth of the timeout is waited for that, and at most so long.
const REPEATED_LATE: Duration = Duration::from_secs(1);
/// The table is swept this much later than a timeout says, so that repetitions and packets a little out of order still
/// meet.
const SWEEP_DELAY: Duration = Duration::from_millis(1_500);
/// And no earlier than this where its answer moved the time from which it lingers.
const SWEEP_DELAY_LEAST: Duration = Duration::from_millis(500);
/// The table is swept so often: many at once cost less than one after the other.
const SWEEP_EVERY: Duration = Duration::from_millis(20);
/// Time that goes back by more than this is another capture: what is open is closed.
const JUMP_BACK: Duration = Duration::from_secs(60);
/// The most transactions of the same addresses, ports and ID, whatever they ask.
const SAME_ID_MAX: usize = 32;

/// Whether the source of a lookup is known to answer lookups itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// A host that asks.
    #[default]
    Client,
    /// A host that answers others, or asks without RD, or passes on what it was asked: the client hides behind it.
    Resolver,
    /// An address that was named as one that many hosts share.
    Nat,
}

impl Role {
    /// The role of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Client, Self::Resolver, Self::Nat]
            .into_iter()
            .find(|role| role.name() == name)
    }

    /// `client`, `resolver` or `nat`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Resolver => "resolver",
            Self::Nat => "nat",
        }
    }
}

/// One message of a transaction and where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Capture time of the packet that completed it.
    pub time: Timestamp,
    /// That packet's input.
    pub input: u16,
    /// That packet's number.
    pub number: u64,
    /// The message.
    pub bytes: &'a [u8],
    /// How many of its bytes were never seen.
    pub missing: u32,
    /// They were in fragments that never came; else the capture cut them off.
    pub fragment_missing: bool,
    /// The layers around that packet.
    pub layers: &'a Layers,
    /// The packets that brought the message, where they are kept.
    pub carried: Option<&'a Arc<Carried>>,
}

/// How a message was sent to many, where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multicast {
    /// Multicast DNS.
    Mdns,
    /// Link-Local Multicast Name Resolution.
    Llmnr,
}

/// One transaction as it is given on: at its response, when nobody answered, or when it is closed early.
#[derive(Clone, Copy, Debug)]
pub struct Transaction<'a> {
    /// Who asked.
    pub client: IpAddr,
    /// The port it asked from.
    pub client_port: u16,
    /// Who was asked.
    pub resolver: IpAddr,
    /// The port it was asked on.
    pub resolver_port: u16,
    /// UDP or TCP.
    pub transport: Transport,
    /// The message ID.
    pub id: u16,
    /// The query.
    pub query: Option<Side<'a>>,
    /// The response.
    pub response: Option<Side<'a>>,
    /// When it was over: with its response, or when nothing more was waited for, whenever that was noticed.
    pub over: Timestamp,
    /// How often the query was repeated before now.
    pub retransmitted: u32,
    /// The response came after the transaction was given up.
    pub is_late: bool,
    /// Another response came before, and said something else.
    pub is_differing: bool,
    /// The response was captured before its query.
    pub is_response_first: bool,
    /// A query over TCP after the same over UDP was answered with TC set.
    pub is_tcp_retry: bool,
    /// A response without a query, when a query was open that asked the same from the same port with another ID.
    pub is_id_mismatch: bool,
    /// QR and ports contradict each other.
    pub is_port_mismatch: bool,
    /// Who answered, where it was not who was asked: an anycast address, or somebody who would like to be.
    pub answered_from: Option<IpAddr>,
    /// Multicast, never paired.
    pub multicast: Option<Multicast>,
    /// How many events this identity gave before.
    pub occurrence: u32,
    /// Whether the client is known to answer others.
    pub role: Role,
}

/// Says when all tables are to be swept: by packet time alone, so that it is at the same packets whoever shares the work.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    now: Timestamp,
    next_sweep: Timestamp,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            now: Timestamp::MIN,
            next_sweep: Timestamp::MIN,
        }
    }
}

/// What is due at a packet's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    /// A sweep.
    Sweep,
    /// Time jumped back: it is another capture, and what is open is closed.
    Close,
}

impl Clock {
    /// Moves on to a packet's time; whether it is time to [`Pairing::advance`] to it.
    pub fn is_to_sweep(&mut self, time: Timestamp) -> bool {
        let (next, due) = self.at(time);
        *self = next;
        due != Due::Nothing
    }

    /// The clock at a packet's time, and what is due there.
    fn at(self, time: Timestamp) -> (Self, Due) {
        if time < self.now {
            if self.now.since(time) <= JUMP_BACK {
                return (self, Due::Nothing);
            }
            let next = Self {
                now: time,
                ..Self::default()
            };
            return (next, Due::Close);
        }
        if time < self.next_sweep {
            return (Self { now: time, ..self }, Due::Nothing);
        }
        let next = Self {
            now: time,
            next_sweep: time.plus(SWEEP_EVERY),
        };
        (next, Due::Sweep)
    }
}

/// The open and lingering transactions.
#[derive(Debug)]
pub struct Pairing {
    limits: Limits,
    waits: Waits,
    table: Table,
    hosts: Hosts,
    /// Packets that others took the place of.
    replaced: Replaced,
    /// Who was told to ask again over TCP.
    truncated: Truncated,
    /// Which messages' packets are evidence.
    brought: Brought,
    /// What the messages kept in the table take, in bytes.
    held: usize,
    /// Messages that were given on.
    spare: Spare,
    /// Wanted queries that are open, by all but their ID.
    open: hashbrown::HashMap<u64, KeyHash, ahash::RandomState>,
    clock: Clock,
    /// The time of the latest message.
    latest: Timestamp,
    /// What became of the messages.
    pub messages: Messages,
    /// What became of the transactions.
    pub transactions: Counters,
    /// Transactions that nobody wanted.
    pub not_looked_into: u64,
    /// Transactions closed early because there were too many.
    pub evicted: u64,
}

impl Pairing {
    /// How many transactions there are, open and lingering.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The longest that a transaction with such a timeout can take from its first query to its event.
    #[must_use]
    pub const fn longest(timeout: Duration) -> Duration {
        timeout
            .saturating_mul(REPEATED_TIMEOUTS + 1)
            .saturating_add(SWEEP_DELAY)
    }

    /// An empty table. `named` are the roles of addresses that packets cannot tell.
    #[must_use]
    pub fn new(limits: Limits, named: NamedRoles) -> Self {
        Self {
            limits: Limits {
                entries: limits.entries.min(Table::MOST),
                ..limits
            },
            waits: Waits::new(limits.timeout),
            table: Table::new(),
            hosts: Hosts::new(&limits, named),
            replaced: Replaced::default(),
            truncated: Truncated::default(),
            brought: Brought::default(),
            held: 0,
            spare: Spare::default(),
            open: hashbrown::HashMap::default(),
            clock: Clock::default(),
            latest: Timestamp::MIN,
            messages: Messages::default(),
            transactions: Counters::default(),
            not_looked_into: 0,
            evicted: 0,
        }
    }

    /// What was seen of the hosts.
    #[must_use]
    pub const fn seen(&self) -> stats::Hosts {
        self.hosts.stats
    }

    /// The lookups whose real clients are not on the wire here, as far as is known now.
    #[must_use]
    pub fn hidden_clients(&self) -> stats::HiddenClients {
        self.hosts.hidden()
    }

    /// Learns that an address answered somebody whose messages others pair.
    pub fn answered(&mut self, address: IpAddr) {
        self.hosts.answered(&address);
    }

    /// Learns what a client of these messages was asked by one whose messages others pair.
    pub fn asked(&mut self, asked: &Asked) {
        self.hosts.asked(asked);
    }

    /// Moves the addresses that were seen to answer for the first time since the last call into `list`.
    pub fn take_resolvers(&mut self, list: &mut Vec<IpAddr>) {
        self.hosts.take_learnt(list);
    }

    /// Takes the messages of a batch out of it that were [pushed](Self::push), and gives back the memory of those that nobody
    /// needs any more.
    pub fn done_with(&mut self, arrivals: &mut Vec<Arrival>, spare: &mut Spare) {
        let kept = arrivals.drain(..).filter_map(|arrival| arrival.kept);
        kept.for_each(|kept| self.spare.give(kept));
        spare.append(&mut self.spare);
    }

    /// Moves the packets of copies and repeats since the last call into `list`.
    pub fn take_further(&mut self, list: &mut Vec<Further>) {
        list.append(&mut self.brought.further);
    }

    /// Has the memory come that pairing the messages of a batch takes: most of what pairing costs is waiting for it.
    #[inline(always)]
    pub fn fetch(&self, arrivals: &[Arrival]) {
        self.table.fetch(arrivals.iter().map(|it| it.identity.key));
        self.hosts.fetch_senders(arrivals.iter());
        let kept = || arrivals.iter().filter_map(|it| it.kept.as_deref());
        std::hint::black_box(kept().fold(0, |read, kept| read ^ kept.fetch()));
        let asked = arrivals.iter().filter_map(Arrival::asks);
        self.hosts.fetch_asked(asked);
    }

    /// Takes a message, and what is kept of it; `give` gets each transaction that it completes and that somebody wants.
    #[inline]
    pub fn push(&mut self, arrival: &mut Arrival, give: &mut dyn FnMut(&Transaction<'_>)) {
        self.latest = self.latest.max(arrival.time());
        match arrival.multicast {
            Some(multicast) => self.multicast(arrival, multicast, give),
            None if arrival.is_response => self.response(arrival, give),
            None => self.query(arrival, give),
        }
    }

    /// Learns how far packet time has come, also by messages that others pair.
    pub fn come_to(&mut self, latest: Timestamp) {
        self.latest = self.latest.max(latest);
    }

    /// Moves packet time on and closes what has waited long enough. Time that jumps back closes everything.
    #[inline]
    pub fn advance(&mut self, now: Timestamp, give: &mut dyn FnMut(&Transaction<'_>)) {
        let (clock, due) = self.clock.at(now);
        if due == Due::Close {
            self.close(give);
        }
        self.clock = clock;
        if due == Due::Sweep {
            self.sweep(give);
        }
    }

    #[inline(never)]
    fn sweep(&mut self, give: &mut dyn FnMut(&Transaction<'_>)) {
        let now = self.clock.now;
        loop {
            self.table
                .forget_lingering(now, &self.waits, |slot| self.brought.forget(slot));
            let Some(number) = self.table.next_due(now, &self.waits) else {
                return;
            };
            self.expire(number, give);
        }
    }

    /// Closes everything: the capture is over.
    pub fn close(&mut self, give: &mut dyn FnMut(&Transaction<'_>)) {
        loop {
            // What only lingers says nothing more.
            self.table
                .forget_lingering(Timestamp::MAX, &self.waits, |_| {});
            let Some(number) = self.table.next_due(Timestamp::MAX, &self.waits) else {
                break;
            };
            if let Some(slot) = self.take_out(number) {
                self.end(&slot, give);
            }
        }
        self.replaced.clear();
        self.truncated.clear();
        self.brought.clear();
        self.held = 0;
        self.open.clear();
        self.clock = Clock::default();
        self.latest = Timestamp::MIN;
    }

    #[inline(never)]
    fn query(&mut self, arrival: &mut Arrival, give: &mut dyn FnMut(&Transaction<'_>)) {
        if arrival.is_wanted
            && let Some(asked) = arrival.asks()
        {
            self.hosts.asked(&asked);
        }
        if !self.replaced.is_empty() && self.is_replaced(arrival) {
            self.messages.query_copy += 1;
            return;
        }
        let found = self
            .table
            .find_for_query(&arrival.identity, &arrival.link, &self.waits);
        if let Some(number) = found.number
            && self.query_again(number, arrival, give)
        {
            return;
        }
        self.messages.query += 1;
        self.hosts.looked_up(arrival);
        self.insert(arrival, State::Open, found.is_alone, give);
    }

    /// A query whose transaction is in the table. Whether it was that one's; else it is no longer there.
    #[inline(never)]
    fn query_again(
        &mut self,
        number: u32,
        arrival: &mut Arrival,
        give: &mut dyn FnMut(&Transaction<'_>),
    ) -> bool {
        let now = arrival.time();
        let network = arrival.identity.network;
        let Some(slot) = self.table.get_mut(number) else {
            return false;
        };
        let named = slot.named();
        let messages = self.brought.messages(named);
        match slot.state {
            State::Open | State::Answered => {
                if slot.is_query_copy(network, &arrival.link) {
                    slot.seen_in(network);
                    self.messages.query_copy += 1;
                    self.brought.query_again(named, arrival);
                    return true;
                }
                let quiet = now.nanos_since(slot.latest);
                let is_repeated = if slot.state == State::Open {
                    quiet <= self.waits.repeated
                        && now.nanos_since(slot.first) <= self.waits.repeated_in_all
                } else {
                    quiet <= self.waits.timeout
                };
                if is_repeated {
                    self.messages.query_retransmitted += 1;
                    slot.retransmitted = slot.retransmitted.saturating_add(1);
                    let link = slot.query_link();
                    let [message, _] = messages;
                    self.replaced
                        .add(&arrival.identity, false, link, now, message);
                    self.brought.query_again(named, arrival);
                    slot.set_query(&arrival.link);
                    if slot.state == State::Open && slot.latest < now {
                        slot.latest = now;
                        self.table.touch(number);
                    }
                    return true;
                }
            }
            State::ResponseOnly if slot.waits_for(&arrival.link, &self.waits) => {
                self.response_was_first(number, arrival, give);
                return true;
            }
            State::ResponseOnly | State::GivenUp | State::Multicast => {}
        }
        if let Some(slot) = self.take_out(number) {
            self.replaced
                .add_both(&arrival.identity, &slot, now, messages);
            self.end(&slot, give);
        }
        false
    }

    #[inline(never)]
    fn response(&mut self, arrival: &mut Arrival, give: &mut dyn FnMut(&Transaction<'_>)) {
        self.hosts.answered(&arrival.sender);
        if !self.replaced.is_empty() && self.is_replaced(arrival) {
            self.messages.response_copy += 1;
            return;
        }
        let found = self
            .table
            .find_for_response(&arrival.identity, &arrival.link);
        let timeout = self.waits.timeout;
        let in_time = |slot: &Slot| {
            slot.state == State::Open && arrival.time().nanos_since(slot.latest) <= timeout
        };
        match found.map(|number| (number, self.table.get_mut(number))) {
            Some((number, Some(slot))) if in_time(slot) => {
                self.messages.response += 1;
                self.transactions.answered += 1;
                let is_late = slot.answer(&arrival.link, arrival.identity.network, &self.waits);
                if slot.wanted.is_none() && arrival.kept.is_none() {
                    self.not_looked_into += 1;
                } else {
                    self.answer(number, arrival, give);
                }
                if is_late {
                    self.table.touch(number);
                }
            }
            _ => self.response_again(found, arrival, give),
        }
    }

    /// A query and its response of which one is kept at least.
    #[inline(never)]
    fn answer(&mut self, number: u32, arrival: &Arrival, give: &mut dyn FnMut(&Transaction<'_>)) {
        let Some(slot) = self.table.get_mut(number) else {
            return;
        };
        self.brought.response(slot.named(), arrival);
        let query = slot.wanted.take();
        self.held -= held(&query);
        match (&query, &arrival.kept) {
            (Some(query), Some(response)) => {
                let (truncated, question) = (&mut self.truncated, slot.question);
                truncated.note(question, response);
                give(&Transaction {
                    query: Some(query.side()),
                    response: Some(response.side()),
                    is_tcp_retry: truncated.asks_again(question, query, self.limits.timeout),
                    answered_from: response.key.answered_for(&query.key),
                    ..slot.transaction(
                        &query.key,
                        self.hosts.role_by_lookup(query, slot.question),
                        arrival.time(),
                    )
                });
                slot.events = slot.events.saturating_add(1);
            }
            _ => self.not_looked_into += 1,
        }
        if let Some(query) = query {
            let (key, question) = (slot.key, slot.question);
            self.no_longer_open(key, question, &query);
            self.spare.give(query);
        }
    }

    /// A response that no query waits for.
    #[inline(never)]
    fn response_again(
        &mut self,
        found: Option<u32>,
        arrival: &mut Arrival,
        give: &mut dyn FnMut(&Transaction<'_>),
    ) {
        let now = arrival.time();
        let waits = self.waits;
        let is_over = |slot: &Slot| now.nanos_since(slot.latest) > slot.wait(&waits);
        let mut found = found;
        if let Some(number) = found
            && let Some(slot) = self.table.get_mut(number)
        {
            if slot.state == State::Open && is_over(slot) {
                found = self.expire(number, give);
            } else if slot.is_response_copy(arrival.identity.network, &arrival.link) {
                slot.seen_in(arrival.identity.network);
                self.messages.response_copy += 1;
                self.brought.response_again(slot.named(), arrival);
                return;
            }
        }
        let mut slot = found.and_then(|number| self.table.get_mut(number));
        let messages = slot
            .as_ref()
            .map_or([None; 2], |slot| self.brought.messages(slot.named()));
        let [_, message] = messages;
        match slot.as_mut().filter(|slot| !is_over(slot)) {
            Some(slot) if slot.state != State::Multicast && slot.says_the_same(&arrival.link) => {
                self.messages.response_repeated += 1;
                let link = slot.response_link();
                self.replaced
                    .add(&arrival.identity, true, link, now, message);
                slot.set_response(&arrival.link);
                self.brought.response_again(slot.named(), arrival);
            }
            Some(slot) if matches!(slot.state, State::Answered | State::GivenUp) => {
                // A response too many, or too late: an event of its own.
                let is_late = slot.state == State::GivenUp;
                if is_late {
                    self.messages.response_unmatched += 1;
                } else {
                    self.messages.response_differing += 1;
                }
                self.transactions.response_only += 1;
                let link = slot.response_link();
                self.replaced
                    .add(&arrival.identity, true, link, now, message);
                slot.set_response(&arrival.link);
                self.brought.response(slot.named(), arrival);
                match &arrival.kept {
                    Some(response) if slot.was_wanted || arrival.is_wanted => {
                        give(&Transaction {
                            response: Some(response.side()),
                            retransmitted: 0,
                            is_late,
                            is_differing: !is_late,
                            ..slot.transaction(
                                &response.key,
                                self.hosts.role(response.key.client.0),
                                now,
                            )
                        });
                        slot.events = slot.events.saturating_add(1);
                    }
                    _ => self.not_looked_into += 1,
                }
            }
            _ => {
                if let Some(slot) = found.and_then(|number| self.take_out(number)) {
                    self.replaced
                        .add_both(&arrival.identity, &slot, now, messages);
                    self.end(&slot, give);
                }
                self.messages.response_unmatched += 1;
                let is_id_mismatch = self.is_id_mismatch(arrival);
                if let Some(kept) = &mut arrival.kept {
                    kept.is_id_mismatch = is_id_mismatch;
                }
                self.insert(arrival, State::ResponseOnly, false, give);
            }
        }
    }

    /// A query that was captured after its response.
    fn response_was_first(
        &mut self,
        number: u32,
        arrival: &Arrival,
        give: &mut dyn FnMut(&Transaction<'_>),
    ) {
        let Some(slot) = self.table.get_mut(number) else {
            return;
        };
        self.messages.query += 1;
        self.messages.response += 1;
        self.messages.response_unmatched -= 1;
        self.transactions.answered += 1;
        self.hosts.looked_up(arrival);
        slot.state = State::Answered;
        slot.set_query(&arrival.link);
        slot.seen_in(arrival.identity.network);
        self.brought.query(slot.named(), arrival);
        let response = slot.wanted.take();
        self.held -= held(&response);
        match (&arrival.kept, response) {
            (Some(query), Some(response)) => {
                give(&Transaction {
                    query: Some(query.side()),
                    response: Some(response.side()),
                    is_response_first: true,
                    ..slot.transaction(
                        &query.key,
                        self.hosts.role_by_lookup(query, slot.question),
                        arrival.time(),
                    )
                });
                slot.events = slot.events.saturating_add(1);
            }
            _ => self.not_looked_into += 1,
        }
        self.table.touch(number);
    }

    /// A multicast message is an event of its own; only its copies are not.
    #[inline(never)]
    fn multicast(
        &mut self,
        arrival: &mut Arrival,
        multicast: Multicast,
        give: &mut dyn FnMut(&Transaction<'_>),
    ) {
        match multicast {
            Multicast::Mdns => self.messages.mdns += 1,
            Multicast::Llmnr => self.messages.llmnr += 1,
        }
        let mut occurrence = 0_u8;
        let replaced = &self.replaced;
        if let Some(of) = replaced.holds(&arrival.identity, false, &arrival.link) {
            self.brought.again(of, arrival);
            self.transactions.multicast_copy += 1;
            return;
        }
        let found = self
            .table
            .find_for_query(&arrival.identity, &arrival.link, &self.waits);
        if let Some(number) = found.number
            && let Some(slot) = self.table.get_mut(number)
        {
            let named = slot.named();
            if slot.is_query_copy(arrival.identity.network, &arrival.link) {
                slot.seen_in(arrival.identity.network);
                self.transactions.multicast_copy += 1;
                self.brought.query_again(named, arrival);
                return;
            }
            if slot.first == arrival.time() {
                occurrence = slot.events;
            }
            let messages = self.brought.messages(named);
            if let Some(slot) = self.take_out(number) {
                self.replaced
                    .add_both(&arrival.identity, &slot, arrival.time(), messages);
            }
        }
        self.transactions.multicast += 1;
        match &arrival.kept {
            Some(kept) if arrival.is_wanted => {
                let side = Some(kept.side());
                let (query, response) = if arrival.is_response {
                    (None, side)
                } else {
                    (side, None)
                };
                give(&Transaction {
                    query,
                    response,
                    multicast: Some(multicast),
                    occurrence: u32::from(occurrence),
                    ..kept.key.transaction(Role::Client, arrival.time())
                });
            }
            _ => self.not_looked_into += 1,
        }
        let number = self.insert(arrival, State::Multicast, found.is_alone, give);
        if let Some(slot) = self.table.get_mut(number) {
            slot.events = occurrence.saturating_add(1);
        }
    }

    /// Whether it is a copy of a packet that another one took the place of.
    #[inline(never)]
    fn is_replaced(&mut self, arrival: &Arrival) -> bool {
        let Arrival {
            identity,
            is_response,
            link,
            ..
        } = arrival;
        let Some(of) = self.replaced.holds(identity, *is_response, link) else {
            return false;
        };
        self.brought.again(of, arrival);
        self.table.seen_in(identity);
        true
    }

    /// Puts a new transaction into the table; makes room where there is none. `is_alone` where no other is known to have
    /// its addresses, ports and ID.
    #[inline(always)]
    fn insert(
        &mut self,
        arrival: &mut Arrival,
        state: State,
        is_alone: bool,
        give: &mut dyn FnMut(&Transaction<'_>),
    ) -> u32 {
        if !is_alone || self.is_full() {
            self.make_room(&arrival.identity, give);
        }
        let slot = Slot::new(arrival.identity, &arrival.link, state);
        let number = self.table.insert(slot);
        if arrival.kept.is_some() {
            self.keep(number, arrival);
        }
        number
    }

    fn is_full(&self) -> bool {
        self.held > self.limits.bytes || self.table.len() >= self.limits.entries
    }

    #[inline(never)]
    fn make_room(&mut self, identity: &Identity, give: &mut dyn FnMut(&Transaction<'_>)) {
        if let Some(number) = self.table.crowded(identity, SAME_ID_MAX) {
            self.evict(number, give);
        }
        while self.is_full()
            && let Some(number) = self.table.next_due(Timestamp::MAX, &self.waits)
        {
            self.evict(number, give);
        }
    }

    /// Has a new transaction keep its message, where it is wanted.
    #[inline(never)]
    fn keep(&mut self, number: u32, arrival: &mut Arrival) {
        let Some(slot) = self.table.get_mut(number) else {
            return;
        };
        let is_open = slot.state == State::Open;
        self.brought.begin(
            slot.named(),
            arrival.message(),
            slot.state == State::ResponseOnly,
        );
        if !arrival.is_wanted || slot.state == State::Multicast {
            return;
        }
        slot.was_wanted = true;
        slot.wanted = arrival.kept.take();
        self.held += held(&slot.wanted);
        if let Some(query) = &mut slot.wanted
            && is_open
        {
            query.is_passed_on = self.hosts.passes_on(query, slot.question);
            if let Some(asked) = asked_but_for_id(self.open.hasher(), &query.key, slot.question) {
                self.open.insert(asked, slot.key);
            }
        }
    }

    /// Makes room: gives on what a transaction still holds, before its time.
    #[cold]
    fn evict(&mut self, number: u32, give: &mut dyn FnMut(&Transaction<'_>)) {
        if let Some(slot) = self.take_out(number) {
            if matches!(slot.state, State::Open | State::ResponseOnly) {
                self.evicted += 1;
            }
            self.end(&slot, give);
        }
    }

    /// Takes a transaction out of the table, with the message that it keeps.
    fn take_out(&mut self, number: u32) -> Option<Slot> {
        let slot = self.table.remove(number)?;
        self.brought.forget(&slot);
        self.held -= held(&slot.wanted);
        Some(slot)
    }

    /// A query waits no more.
    fn no_longer_open(&mut self, key: KeyHash, question: QuestionHash, query: &Kept) {
        let asked = asked_but_for_id(self.open.hasher(), &query.key, question);
        if let Some(asked) = asked
            && self.open.get(&asked) == Some(&key)
        {
            self.open.remove(&asked);
        }
    }

    /// Whether a query is open that this response would answer if it had another ID.
    fn is_id_mismatch(&self, arrival: &Arrival) -> bool {
        let Some(response) = &arrival.kept else {
            return false;
        };
        let question = arrival.identity.question;
        asked_but_for_id(self.open.hasher(), &response.key, question)
            .and_then(|asked| self.open.get(&asked))
            .is_some_and(|key| self.table.asks(*key, &response.key, question))
    }

    /// A slot whose time has come: what is open becomes an event and lingers, what lingers is forgotten. Gives where it
    /// lingers.
    fn expire(&mut self, number: u32, give: &mut dyn FnMut(&Transaction<'_>)) -> Option<u32> {
        let slot = self.table.get_mut(number)?;
        match slot.state {
            State::Open => {
                let given_up = slot.given_up(&self.waits);
                let open = std::mem::replace(slot, given_up);
                self.held -= held(&open.wanted);
                let lingers = self.table.touch(number);
                self.end(&open, give);
                lingers
            }
            _ => {
                let slot = self.take_out(number)?;
                self.end(&slot, give);
                None
            }
        }
    }

    /// Gives on what a slot still holds.
    fn end(&mut self, slot: &Slot, give: &mut dyn FnMut(&Transaction<'_>)) {
        let is_query = match slot.state {
            State::Open => true,
            State::ResponseOnly => false,
            State::Answered | State::GivenUp | State::Multicast => return,
        };
        if is_query {
            self.transactions.unanswered += 1;
        } else {
            self.transactions.response_only += 1;
        }
        let Some(wanted) = &slot.wanted else {
            self.not_looked_into += 1;
            return;
        };
        if is_query {
            self.no_longer_open(slot.key, slot.question, wanted);
        }
        let (query, response, role) = if is_query {
            let role = self.hosts.role_by_lookup(wanted, slot.question);
            (Some(wanted.side()), None, role)
        } else {
            (
                None,
                Some(wanted.side()),
                self.hosts.role(wanted.key.client.0),
            )
        };
        give(&Transaction {
            query,
            response,
            is_tcp_retry: is_query
                && self
                    .truncated
                    .asks_again(slot.question, wanted, self.limits.timeout),
            is_id_mismatch: wanted.is_id_mismatch,
            ..slot.transaction(
                &wanted.key,
                role,
                slot.due(&self.waits).min(self.clock.now.max(self.latest)),
            )
        });
    }
}

/// A hash of what a message has in common with its other half but for the ID: who asked whom, from where, for what.
fn asked_but_for_id(hasher: &ahash::RandomState, key: &Key, question: QuestionHash) -> Option<u64> {
    Some(hasher.hash_one((key.client, key.resolver, key.transport, question?)))
}

#[cfg(test)]
mod tests;
