//! What hosts were seen doing: who asks, who answers, and behind whom others hide.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;

use super::arrival::{Arrival, Asked, Kept, QuestionHash};
use super::recent::Recent;
use super::{COPY, Limits, Role};
use crate::message::Header;
use crate::stats::{self, HiddenBehind, HiddenClients};

/// How many hosts seen recently are remembered in the quick place: so many times two.
const RECENT: usize = 1 << 13;
/// Of how many addresses behind which others hide the lookups are counted one by one.
const HIDING: usize = 1 << 16;
/// How many questions that somebody was asked are remembered; beyond it the oldest is forgotten.
const QUESTIONS: u32 = 1 << 16;
/// So many words hold a bit for each address that was asked.
const ASKED_WORDS: usize = 1 << 10;

/// What packets cannot tell and somebody said: which addresses are resolvers, and behind which many hosts hide.
#[derive(Clone, Debug, Default)]
pub struct NamedRoles {
    /// The longest prefix first.
    networks: Vec<(IpNet, Role)>,
}

impl NamedRoles {
    /// Resolvers, and addresses of address translation (NAT). Where networks overlap the smaller one counts, of two
    /// equal ones the resolver.
    #[must_use]
    pub fn new(resolvers: &[IpNet], nat: &[IpNet]) -> Self {
        let as_role = |role| move |network: &IpNet| (*network, role);
        let mut networks: Vec<(IpNet, Role)> = resolvers
            .iter()
            .map(as_role(Role::Resolver))
            .chain(nat.iter().map(as_role(Role::Nat)))
            .collect();
        networks.sort_by_key(|(network, _)| Reverse(network.prefix_len()));
        Self { networks }
    }

    fn has(&self, address: &IpAddr) -> bool {
        !self.networks.is_empty() && self.of(*address).is_some()
    }

    /// The role that was given to an address.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Option<Role> {
        self.networks
            .iter()
            .find(|(network, _)| network.contains(&address))
            .map(|(_, role)| *role)
    }
}

/// What a host was seen doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Did {
    asked: bool,
    answered: bool,
}

impl Did {
    const ASKED: Self = Self {
        asked: true,
        answered: false,
    };
    const ANSWERED: Self = Self {
        asked: false,
        answered: true,
    };

    /// Both what it did before and what it did now.
    const fn and(self, other: Self) -> Self {
        Self {
            asked: self.asked || other.asked,
            answered: self.answered || other.answered,
        }
    }
}

/// The hosts that asked or answered.
#[derive(Debug)]
pub(super) struct Hosts {
    /// The most that are remembered.
    limit: usize,
    timeout: Duration,
    did: hashbrown::HashMap<IpAddr, Did, ahash::RandomState>,
    /// Those of them that answered: few, and so near.
    resolvers: hashbrown::HashSet<IpAddr, ahash::RandomState>,
    /// A quick place before the map: marks of hosts that were just seen, with what they did. Two share a place, the later one
    /// first.
    recent: Box<[[u64; 2]; RECENT]>,
    named: NamedRoles,
    /// Addresses that answered for the first time, for whoever asks for them.
    learnt: Vec<IpAddr>,
    /// How many lookups came from addresses behind which others hide: those that ask without RD, and named ones.
    hiding: hashbrown::HashMap<IpAddr, u64, ahash::RandomState>,
    /// When who was asked what, by keyed hashes.
    questions: Recent<u64>,
    /// A bit for each address that was asked, shared with some that were not: most clients never were.
    were_asked: Box<[u64; ASKED_WORDS]>,
    /// How many did what.
    pub(super) stats: stats::Hosts,
}

impl Hosts {
    /// Nobody yet.
    pub(super) fn new(limits: &Limits, named: NamedRoles) -> Self {
        Self {
            limit: limits.hosts,
            timeout: limits.timeout,
            named,
            learnt: Vec::new(),
            hiding: hashbrown::HashMap::default(),
            questions: Recent::new(QUESTIONS),
            were_asked: Box::new([0; ASKED_WORDS]),
            did: hashbrown::HashMap::default(),
            resolvers: hashbrown::HashSet::default(),
            recent: Box::new([[0; 2]; RECENT]),
            stats: stats::Hosts::default(),
        }
    }

    /// Takes note of a lookup: a query that repeats no other.
    #[inline(always)]
    pub(super) fn looked_up(&mut self, query: &Arrival) {
        self.remember(&query.sender, Did::ASKED);
        if query.is_iterative || self.named.has(&query.sender) {
            self.count_hiding(query.sender);
        }
    }

    /// Has the memory come that [`looked_up`](Self::looked_up) takes, of those that ask by IPv4: their marks cost nothing.
    #[inline(always)]
    pub(super) fn fetch_senders<'a>(&self, arrivals: impl Iterator<Item = &'a Arrival>) {
        let first = |arrival: &Arrival| {
            let place = match arrival.sender {
                IpAddr::V4(address) => spread(mark_v4(address)) % RECENT,
                IpAddr::V6(_) => 0,
            };
            Some(self.recent.get(place)?[0])
        };
        let firsts = arrivals.filter_map(first);
        std::hint::black_box(firsts.fold(0, |read, first| read ^ first));
    }

    /// Has the memory come that [`asked`](Self::asked) takes.
    pub(super) fn fetch_asked(&self, asked: impl Iterator<Item = Asked>) {
        let hashes = asked.map(|asked| self.hash_of_question(&asked.resolver, asked.question));
        self.questions.fetch(hashes);
    }

    /// Remembers who was asked what.
    pub(super) fn asked(&mut self, asked: &Asked) {
        let (word, bit) = self.asked_bit(&asked.resolver);
        if let Some(word) = self.were_asked.get_mut(word) {
            *word |= bit;
        }
        let hash = self.hash_of_question(&asked.resolver, asked.question);
        self.questions.note(hash, asked.time, ());
    }

    /// Counts a lookup by an address behind which others may hide.
    fn count_hiding(&mut self, address: IpAddr) {
        if let Some(count) = self.hiding.get_mut(&address) {
            *count = count.saturating_add(1);
        } else if self.hiding.len() < HIDING {
            self.hiding.insert(address, 1);
        } else {
            self.stats.more = true;
        }
    }

    /// A host answered.
    #[inline]
    pub(super) fn answered(&mut self, address: &IpAddr) {
        self.remember(address, Did::ANSWERED);
    }

    /// What tells an address from others; two bits of it are free. An IPv4 address is its own mark; an IPv6 one has a keyed hash
    /// for it.
    #[inline(always)]
    fn mark(&self, address: &IpAddr) -> u64 {
        match address {
            IpAddr::V4(address) => mark_v4(*address),
            IpAddr::V6(address) => self.did.hasher().hash_one(address.to_bits()) & !0b111,
        }
    }

    fn hash_of_question(&self, asked: &IpAddr, question: NonZeroU32) -> u64 {
        self.did.hasher().hash_one((asked, question))
    }

    /// The word of an address that was asked, and its bit in it.
    fn asked_bit(&self, address: &IpAddr) -> (usize, u64) {
        let place = spread(self.mark(address));
        (place / 64 % ASKED_WORDS, 1 << (place % 64))
    }

    #[inline(always)]
    fn remember(&mut self, address: &IpAddr, did: Did) {
        let mark = self.mark(address) | u64::from(did.asked) << 1 | u64::from(did.answered) << 2;
        let place = spread(mark);
        let Some([first, second]) = self.recent.get_mut(place % RECENT) else {
            return;
        };
        if *first != mark {
            let before = std::mem::replace(first, mark);
            if std::mem::replace(second, before) != mark {
                self.remember_for_long(*address, did);
            }
        }
    }

    #[cold]
    fn remember_for_long(&mut self, address: IpAddr, did: Did) {
        let before = self.did.get(&address).copied();
        if before.is_none() && self.did.len() >= self.limit {
            self.stats.more = true;
            return;
        }
        let before = before.unwrap_or_default();
        let after = before.and(did);
        self.stats.clients += u64::from(after.asked && !before.asked);
        if after.answered && !before.answered {
            self.stats.resolvers += 1;
            self.resolvers.insert(address);
            self.learnt.push(address);
        }
        if after != before {
            self.did.insert(address, after);
        }
    }

    /// Moves the addresses that answered for the first time since the last call into `list`.
    pub(super) fn take_learnt(&mut self, list: &mut Vec<IpAddr>) {
        list.append(&mut self.learnt);
    }

    /// What an address was named, or whether it answered somebody before.
    pub(super) fn role(&self, address: IpAddr) -> Role {
        self.named
            .of(address)
            .unwrap_or_else(|| match self.resolvers.contains(&address) {
                true => Role::Resolver,
                false => Role::Client,
            })
    }

    /// The same of the client of a lookup, which says more: who asks without RD walks the tree itself, and who asks what it
    /// was asked at most a timeout before passes it on. Both are resolvers.
    pub(super) fn role_by_lookup(&self, query: &Kept, question: QuestionHash) -> Role {
        let address = query.key.client.0;
        let role = self.role(address);
        if role != Role::Client {
            return role;
        }
        let is_iterative = Header::read(&query.bytes).is_some_and(|header| is_iterative(&header));
        if is_iterative || query.is_passed_on || self.passes_on(query, question) {
            Role::Resolver
        } else {
            Role::Client
        }
    }

    /// Whether the client of a lookup was asked the same at most a timeout before, as far as is known now: later it may have
    /// been asked again, and a mirror may deliver what it was asked a little late.
    pub(super) fn passes_on(&self, query: &Kept, question: QuestionHash) -> bool {
        let (word, bit) = self.asked_bit(&query.key.client.0);
        if self.were_asked.get(word).is_none_or(|word| word & bit == 0) {
            return false;
        }
        let time = query.side().time;
        let was_asked = question.and_then(|question| {
            let hash = self.hash_of_question(&query.key.client.0, question);
            self.questions.get(&hash)
        });
        was_asked.is_some_and(|(asked, ())| {
            time.since(asked) <= self.timeout && asked.since(time) <= COPY
        })
    }

    /// The lookups whose real clients are not here: those of resolvers that answered nobody here, and those that came
    /// through a named NAT.
    pub(super) fn hidden(&self) -> HiddenClients {
        let mut sums = HiddenClients::default();
        for (&address, &lookups) in &self.hiding {
            let answered = self.resolvers.contains(&address);
            let (role, sum) = match self.named.of(address) {
                Some(Role::Nat) => (Role::Nat, &mut sums.behind_nat),
                _ if answered => continue,
                _ => (Role::Resolver, &mut sums.behind_resolvers),
            };
            *sum = sum.saturating_add(lookups);
            sums.addresses.push(HiddenBehind {
                address,
                role: role.name(),
                lookups,
            });
        }
        sums.name_some();
        sums
    }
}

/// The mark of an IPv4 address.
#[inline(always)]
const fn mark_v4(address: Ipv4Addr) -> u64 {
    (address.to_bits() as u64) << 3 | 1
}

/// Sixteen bits of a mark. Who chooses addresses that share a place gains nothing but a longer way.
#[inline(always)]
const fn spread(mark: u64) -> usize {
    ((mark >> 3).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as usize
}

/// A query that asks for no recursion (RFC 1035, section 4.1.1): whoever walks the tree from server to server asks so.
pub(super) const fn is_iterative(header: &Header) -> bool {
    !header.is_response() && header.opcode() == 0 && !header.recursion_desired()
}

#[cfg(test)]
mod tests;
