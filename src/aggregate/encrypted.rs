//! Encrypted DNS: what was seen of it, of each source and in all.

use std::collections::BTreeSet;
use std::mem::size_of;

use ahash::RandomState;
use serde::Serialize;

use super::smallest::keep_smallest;
use crate::encrypted::{KnownResolvers, Protocol, Sighting};
use crate::stats::{EncryptedDns, EncryptedResolver};
use crate::time::Timestamp;

/// How many resolvers of one source are listed: the first ones in their order.
pub(super) const MAX_RESOLVERS: usize = 100;
/// How many resolvers are counted one by one in all; the sightings of others are in the sums alone.
const MAX_COUNTED: usize = 4_096;
/// How many of them are named at the end.
const NAMED_AT_END: usize = 100;

/// What one source did of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EncryptedOfSource {
    /// Connections over which DNS is encrypted.
    #[serde(rename = "encrypted_dns_connections")]
    pub connections: u64,
    /// Those of them that came to be: the server took them.
    #[serde(rename = "encrypted_dns_answered")]
    pub answered: u64,
    /// Lookups of the names of known resolvers.
    #[serde(rename = "encrypted_dns_lookups")]
    pub lookups: u64,
    /// Who was asked, or looked up: the operator where it is known, else the address; sorted.
    #[serde(rename = "encrypted_dns_resolvers")]
    pub resolvers: BTreeSet<Box<str>>,
    /// Whether there were more resolvers than are listed.
    #[serde(
        rename = "encrypted_dns_resolvers_cut",
        skip_serializing_if = "super::sources::is_false"
    )]
    pub resolvers_cut: bool,
    /// Time of the first of these connections and lookups.
    #[serde(
        rename = "encrypted_dns_firstTime",
        skip_serializing_if = "Option::is_none"
    )]
    pub first: Option<Timestamp>,
    /// Time of the last sign of them.
    #[serde(
        rename = "encrypted_dns_lastTime",
        skip_serializing_if = "Option::is_none"
    )]
    pub last: Option<Timestamp>,
}

/// One more thing seen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen<'a> {
    /// Of a connection.
    Connection(&'a Sighting),
    /// A lookup of a resolver's name, at that time.
    Lookup(Timestamp),
}

impl EncryptedOfSource {
    /// Whether there was nothing.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.first.is_none()
    }

    /// Adds something seen of that resolver; gives by how many bytes it grew.
    pub(super) fn add(&mut self, seen: Seen<'_>, resolver: &str) -> isize {
        let time = match seen {
            Seen::Connection(sighting) => {
                self.connections = self.connections.saturating_add(u64::from(sighting.is_new));
                self.answered = self
                    .answered
                    .saturating_add(u64::from(sighting.is_answered));
                sighting.time
            }
            Seen::Lookup(time) => {
                self.lookups = self.lookups.saturating_add(1);
                time
            }
        };
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
        let (resolvers, cut) = (&mut self.resolvers, &mut self.resolvers_cut);
        keep_smallest(resolvers, resolver, MAX_RESOLVERS, cut)
    }
}

/// Who is asked: the operator where it is known, else the address.
pub(super) fn resolver_of(sighting: &Sighting, known: &KnownResolvers) -> String {
    match sighting.operator {
        Some(operator) => known.operator_name(operator).to_owned(),
        None => sighting.resolver.to_string(),
    }
}

/// What was seen in all.
#[derive(Debug, Default)]
pub(super) struct EncryptedInAll {
    counters: EncryptedDns,
    resolvers: hashbrown::HashMap<Box<str>, (u64, u64), RandomState>,
}

impl EncryptedInAll {
    /// Adds something seen of that resolver.
    pub(super) fn add(&mut self, seen: Seen<'_>, resolver: &str, is_first_of_source: bool) {
        let counters = &mut self.counters;
        counters.sources += u64::from(is_first_of_source);
        let (connections, lookups) = match seen {
            Seen::Connection(sighting) => {
                let new = u64::from(sighting.is_new);
                *match sighting.protocol {
                    Protocol::Tls => &mut counters.dot,
                    Protocol::Quic => &mut counters.doq,
                    Protocol::Https => &mut counters.doh,
                } += new;
                counters.answered += u64::from(sighting.is_answered);
                (new, 0)
            }
            Seen::Lookup(_) => {
                counters.lookups += 1;
                (0, 1)
            }
        };
        if let Some(sums) = self.resolvers.get_mut(resolver) {
            sums.0 += connections;
            sums.1 += lookups;
        } else if self.resolvers.len() < MAX_COUNTED {
            self.resolvers
                .insert(resolver.into(), (connections, lookups));
        } else {
            counters.more_resolvers = true;
        }
    }

    /// The sums, and the resolvers with the most connections and lookups.
    pub(super) fn finish(&mut self) -> EncryptedDns {
        std::mem::take(self).said()
    }

    /// What was seen so far, without its resolvers.
    pub(super) fn so_far(&self) -> EncryptedDns {
        self.counters.clone()
    }

    fn said(self) -> EncryptedDns {
        let Self {
            mut counters,
            resolvers,
        } = self;
        let mut list: Vec<EncryptedResolver> = resolvers
            .into_iter()
            .map(|(name, (connections, lookups))| EncryptedResolver {
                name: name.into(),
                connections,
                lookups,
            })
            .collect();
        list.sort_by(|one, other| {
            let sum = |resolver: &EncryptedResolver| resolver.connections + resolver.lookups;
            sum(other)
                .cmp(&sum(one))
                .then_with(|| one.name.cmp(&other.name))
        });
        counters.more_resolvers |= list.len() > NAMED_AT_END;
        list.truncate(NAMED_AT_END);
        counters.resolvers = list;
        counters
    }
}

/// The memory of a source's part, without what it lists.
pub(super) const BYTES: usize = size_of::<EncryptedOfSource>();
