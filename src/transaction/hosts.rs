//! What hosts were seen doing: who asks, and who answers.

use std::net::IpAddr;

use super::Role;
use crate::message::Header;
use crate::stats;

/// How many hosts seen recently are remembered in the quick place.
const RECENT: usize = 1 << 13;

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
    did: hashbrown::HashMap<IpAddr, Did, ahash::RandomState>,
    /// A quick place before the map: keyed hashes of hosts that were just seen, with what they did in the last two bits.
    recent: Vec<u64>,
    /// How many did what.
    pub(super) stats: stats::Hosts,
}

impl Hosts {
    /// Nobody yet; at most `limit` are remembered.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            did: hashbrown::HashMap::default(),
            recent: vec![0; RECENT],
            stats: stats::Hosts::default(),
        }
    }

    /// A host asked.
    pub(super) fn asked(&mut self, address: IpAddr) {
        self.remember(address, Did::ASKED);
    }

    /// A host answered.
    pub(super) fn answered(&mut self, address: IpAddr) {
        self.remember(address, Did::ANSWERED);
    }

    fn remember(&mut self, address: IpAddr, did: Did) {
        let hasher = self.did.hasher();
        let hash = match address {
            IpAddr::V4(address) => hasher.hash_one(address.to_bits()),
            IpAddr::V6(address) => hasher.hash_one(address.to_bits()),
        };
        let mark = hash & !0b11 | u64::from(did.asked) | u64::from(did.answered) << 1;
        let place = (hash >> 50) as usize % RECENT;
        let Some(recent) = self.recent.get_mut(place) else {
            return;
        };
        if *recent == mark {
            return;
        }
        *recent = mark;
        let before = self.did.get(&address).copied();
        if before.is_none() && self.did.len() >= self.limit {
            self.stats.more = true;
            return;
        }
        let before = before.unwrap_or_default();
        let after = before.and(did);
        self.stats.clients += u64::from(after.asked && !before.asked);
        self.stats.resolvers += u64::from(after.answered && !before.answered);
        if after != before {
            self.did.insert(address, after);
        }
    }

    /// Whether an address answered somebody before.
    pub(super) fn role(&self, address: IpAddr) -> Role {
        match self.did.get(&address) {
            Some(did) if did.answered => Role::Resolver,
            _ => Role::Client,
        }
    }

    /// The same of the client of a query: who asks without RD walks the tree itself, a resolver.
    pub(super) fn role_by_query(&self, address: IpAddr, query: &[u8]) -> Role {
        match Header::read(query) {
            Some(header) if !header.recursion_desired() && header.opcode() == 0 => Role::Resolver,
            _ => self.role(address),
        }
    }
}
