//! What each source address did: its hits, and what was seen of its encrypted DNS.

use std::collections::{BTreeSet, HashSet};
use std::mem::size_of;
use std::net::IpAddr;
use std::sync::Arc;

use ahash::RandomState;
use serde::Serialize;

use super::encrypted::{self, EncryptedInAll, EncryptedOfSource, Seen, resolver_of};
use super::smallest::{bytes_in_tree, keep_smallest};
use super::table::{Entry, Table};
use crate::encrypted::{KnownResolvers, Sighting};
use crate::event::{Event, Role, Value};
use crate::stats::EncryptedDns;
use crate::time::Timestamp;
use crate::transaction::NamedRoles;

/// How many sources are held before the one that was started first is given up.
const MAX_SOURCES: usize = 65_536;
/// How many names of one source are listed: the first ones in their order.
pub(super) const MAX_NAMES: usize = 1_000;
/// How many bytes all sources may hold, about.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// What one source did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceRow {
    /// Its address.
    pub src: IpAddr,
    /// Whether others hide behind it: as it was named, as it is known when the record is made, or as of its latest event.
    #[serde(serialize_with = "role_name")]
    pub src_role: Role,
    /// Its events that matched a rule, each once; 0 where only encrypted DNS was seen of it.
    pub hits: u64,
    /// The rules that they matched, sorted.
    pub rules: Vec<Arc<str>>,
    /// The names that it looked up, sorted.
    pub names: Vec<Box<str>>,
    /// Whether there were more names than are listed.
    #[serde(skip_serializing_if = "is_false")]
    pub names_cut: bool,
    /// The earliest `_time` of these events.
    #[serde(rename = "firstTime", skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// The latest `_time` of these events.
    #[serde(rename = "lastTime", skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
    /// Its encrypted DNS.
    #[serde(flatten)]
    pub encrypted: EncryptedOfSource,
    /// The sensor's name.
    pub sensor: Arc<str>,
    /// The same for the same record, whoever makes it again.
    #[serde(serialize_with = "hexadecimal")]
    pub event_id: [u8; 16],
    /// Whether other records of the same source may exist, because there were too many sources.
    #[serde(skip_serializing_if = "is_false")]
    pub partial: bool,
}

pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}

fn hexadecimal<S: serde::Serializer>(id: &[u8; 16], serializer: S) -> Result<S::Ok, S::Error> {
    Value::Id(*id).serialize(serializer)
}

fn role_name<S: serde::Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(role.name())
}

/// The sources of a run.
#[derive(Debug)]
pub struct Sources {
    table: Table<Source>,
    roles: Roles,
    known: Arc<KnownResolvers>,
    encrypted: EncryptedInAll,
    sensor: Arc<str>,
    state: RandomState,
    bytes: usize,
    /// The rules' names, each once.
    rules: HashSet<Arc<str>, RandomState>,
    max_sources: usize,
    max_bytes: usize,
    /// The number of the first source that may have been given up before.
    whole_before: u64,
}

/// What is known of addresses beside their events.
#[derive(Debug, Default)]
struct Roles {
    named: NamedRoles,
    /// Those that answered somebody.
    resolvers: HashSet<IpAddr, RandomState>,
}

impl Roles {
    /// The role of an address whose latest event said `latest`: a forwarder's first lookups come before its first answer.
    fn of(&self, address: IpAddr, latest: Role) -> Role {
        self.named.of(address).unwrap_or_else(|| {
            if self.resolvers.contains(&address) {
                Role::Resolver
            } else {
                latest
            }
        })
    }
}

#[derive(Debug)]
struct Source {
    src: IpAddr,
    role: Role,
    hits: u64,
    /// The last event that was counted: the hits of one event come one after another.
    last_event: [u8; 16],
    rules: BTreeSet<Arc<str>>,
    names: BTreeSet<Box<str>>,
    names_cut: bool,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    encrypted: Option<Box<EncryptedOfSource>>,
    bytes: usize,
}

impl Entry for Source {
    fn hash(&self, state: &RandomState) -> u64 {
        state.hash_one(self.src)
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Default for Sources {
    fn default() -> Self {
        Self::with_bounds(MAX_SOURCES, MAX_BYTES)
    }
}

impl Sources {
    /// No source yet. `named` are the roles of addresses that packets cannot tell, `known` the resolvers of whose names
    /// lookups are counted.
    #[must_use]
    pub fn new(named: NamedRoles, known: Arc<KnownResolvers>, sensor: Arc<str>) -> Self {
        Self {
            roles: Roles {
                named,
                ..Roles::default()
            },
            known,
            sensor,
            ..Self::default()
        }
    }

    fn with_bounds(max_sources: usize, max_bytes: usize) -> Self {
        Self {
            table: Table::default(),
            roles: Roles::default(),
            known: Arc::default(),
            encrypted: EncryptedInAll::default(),
            sensor: Arc::from(""),
            state: RandomState::new(),
            bytes: 0,
            rules: HashSet::with_hasher(RandomState::new()),
            max_sources,
            max_bytes,
            whole_before: u64::MAX,
        }
    }

    /// Learns that addresses answered somebody.
    pub fn learn_resolvers(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.roles.resolvers.extend(addresses);
    }

    /// The role of an address as far as it is known by now, where its latest lookup said `latest`.
    #[must_use]
    pub fn role_of(&self, address: IpAddr, latest: Role) -> Role {
        self.roles.of(address, latest)
    }

    /// Adds a hit: `query` is the name that matched. The hits of one event must come one after another. Where there are
    /// too many sources, the one that was started first is given to `emit`.
    pub fn add(&mut self, rule: &str, event: &Event, query: &str, emit: &mut dyn FnMut(SourceRow)) {
        self.with(event.src, emit, |source, interned| {
            source.add(interned, rule, event, query)
        });
    }

    /// Looks whether an event looks up a known resolver, and counts it; `emit` as for [`Self::add`].
    pub fn add_lookup(&mut self, event: &Event, emit: &mut dyn FnMut(SourceRow)) {
        let known = Arc::clone(&self.known);
        let mut names = std::iter::once(&event.query).chain(&event.other_questions);
        let Some(operator) = names.find_map(|name| known.by_name(name)) else {
            return;
        };
        let resolver = known.operator_name(operator);
        self.add_seen(
            event.src,
            Some(event),
            Seen::Lookup(event.time),
            resolver,
            emit,
        );
    }

    /// Counts what was seen of a connection over which DNS is encrypted; `emit` as for [`Self::add`].
    pub fn add_sighting(&mut self, sighting: &Sighting, emit: &mut dyn FnMut(SourceRow)) {
        let resolver = resolver_of(sighting, &self.known);
        self.add_seen(
            sighting.client,
            None,
            Seen::Connection(sighting),
            &resolver,
            emit,
        );
    }

    fn add_seen(
        &mut self,
        src: IpAddr,
        event: Option<&Event>,
        seen: Seen<'_>,
        resolver: &str,
        emit: &mut dyn FnMut(SourceRow),
    ) {
        let mut is_first = false;
        self.with(src, emit, |source, _| {
            is_first = source.encrypted.is_none();
            source.add_seen(event, seen, resolver)
        });
        self.encrypted.add(seen, resolver, is_first);
    }

    /// Does something with a source, which may be a new one, and that gives by how many bytes it grew; then gives up
    /// what is too much.
    fn with(
        &mut self,
        src: IpAddr,
        emit: &mut dyn FnMut(SourceRow),
        act: impl FnOnce(&mut Source, &mut HashSet<Arc<str>, RandomState>) -> isize,
    ) {
        let hash = self.state.hash_one(src);
        if self.table.find(hash, |source| source.src == src).is_none() {
            let source = Source::new(src);
            self.bytes = self.bytes.saturating_add(source.bytes);
            self.table.push(hash, source, &self.state);
        }
        let Some(source) = self.table.find(hash, |source| source.src == src) else {
            return;
        };
        let grown = act(source, &mut self.rules);
        source.bytes = source.bytes.saturating_add_signed(grown);
        self.bytes = self.bytes.saturating_add_signed(grown);
        while self.table.len() > self.max_sources || self.bytes > self.max_bytes {
            self.whole_before = self.whole_before.min(self.table.started());
            let Some(source) = self.table.pop(&self.state) else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(source.bytes());
            emit(source.row(true, &self.roles, &self.sensor));
        }
    }

    /// What was seen of encrypted DNS in all; begins anew.
    #[must_use]
    pub fn finish_encrypted(&mut self) -> EncryptedDns {
        self.encrypted.finish()
    }

    /// What was seen of encrypted DNS in all so far, without its resolvers.
    #[must_use]
    pub fn encrypted_so_far(&self) -> EncryptedDns {
        self.encrypted.so_far()
    }

    /// How many sources are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sources so far, ordered by address: IPv4 before IPv6, each as a number.
    #[must_use]
    pub fn so_far(&self) -> Vec<SourceRow> {
        let mut rows: Vec<_> = self
            .table
            .iter()
            .map(|(number, source)| {
                source.row(number >= self.whole_before, &self.roles, &self.sensor)
            })
            .collect();
        rows.sort_unstable_by_key(|row| row.src);
        rows
    }

    /// The end: all sources that were not given up, ordered by address.
    #[must_use]
    pub fn finish(&mut self) -> Vec<SourceRow> {
        let rows = self.so_far();
        *self = Self {
            roles: std::mem::take(&mut self.roles),
            known: Arc::clone(&self.known),
            encrypted: std::mem::take(&mut self.encrypted),
            sensor: Arc::clone(&self.sensor),
            ..Self::with_bounds(self.max_sources, self.max_bytes)
        };
        rows
    }
}

impl Source {
    fn new(src: IpAddr) -> Self {
        Self {
            src,
            role: Role::Client,
            hits: 0,
            last_event: [0; 16],
            rules: BTreeSet::new(),
            names: BTreeSet::new(),
            names_cut: false,
            first: None,
            last: None,
            encrypted: None,
            bytes: size_of::<Self>(),
        }
    }

    /// Adds a hit; gives by how many bytes the source grew.
    fn add(
        &mut self,
        interned: &mut HashSet<Arc<str>, RandomState>,
        rule: &str,
        event: &Event,
        query: &str,
    ) -> isize {
        if self.hits == 0 || self.last_event != event.event_id {
            self.hits = self.hits.saturating_add(1);
            self.last_event = event.event_id;
        }
        if self.last.is_none_or(|last| event.time >= last) {
            self.role = event.src_role;
        }
        self.first = Some(self.first.map_or(event.time, |first| first.min(event.time)));
        self.last = Some(self.last.map_or(event.time, |last| last.max(event.time)));
        let mut grown = 0_isize;
        if !self.rules.contains(rule) {
            let name = interned.get(rule).cloned().unwrap_or_else(|| {
                let name: Arc<str> = rule.into();
                interned.insert(Arc::clone(&name));
                name
            });
            self.rules.insert(name);
            grown = grown.saturating_add_unsigned(bytes_in_tree(0));
        }
        grown.saturating_add(self.add_name(query))
    }

    /// Adds something seen of encrypted DNS, by a lookup's event where it was one; gives by how many bytes the source grew.
    fn add_seen(&mut self, event: Option<&Event>, seen: Seen<'_>, resolver: &str) -> isize {
        if let Some(event) = event.filter(|_| self.hits == 0) {
            self.role = event.src_role;
        }
        let begun = if self.encrypted.is_none() {
            encrypted::BYTES
        } else {
            0
        };
        self.encrypted
            .get_or_insert_default()
            .add(seen, resolver)
            .saturating_add_unsigned(begun)
    }

    fn add_name(&mut self, name: &str) -> isize {
        let (names, cut) = (&mut self.names, &mut self.names_cut);
        keep_smallest(names, name, MAX_NAMES, cut)
    }

    fn row(&self, partial: bool, roles: &Roles, sensor: &Arc<str>) -> SourceRow {
        identified(SourceRow {
            src: self.src,
            src_role: roles.of(self.src, self.role),
            hits: self.hits,
            rules: self.rules.iter().cloned().collect(),
            names: self.names.iter().cloned().collect(),
            names_cut: self.names_cut,
            first: self.first,
            last: self.last,
            encrypted: self.encrypted.as_deref().cloned().unwrap_or_default(),
            sensor: Arc::clone(sensor),
            event_id: [0; 16],
            partial,
        })
    }
}

/// The record with its id: a hash of all that it says.
pub(super) fn identified(row: SourceRow) -> SourceRow {
    let text = serde_json::to_vec(&row).unwrap_or_default();
    let hash = *blake3::hash(&text).as_bytes();
    SourceRow {
        event_id: hash.first_chunk().copied().unwrap_or_default(),
        ..row
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::aggregate::tests::sample_event;
    use crate::encrypted::Protocol;

    fn event(src: &str, seconds: i64, id: u8) -> Event {
        let mut event = sample_event();
        event.src = src.parse().expect("an address");
        event.time = Timestamp::from_parts(seconds, 0);
        event.event_id = [id; 16];
        event
    }

    fn sources() -> Sources {
        let known = KnownResolvers::read("[Known]\ndns.example 192.0.2.0/24").expect("a list");
        Sources::new(NamedRoles::default(), Arc::new(known), Arc::from("sensor"))
    }

    fn early(row: SourceRow) {
        panic!("{row:?} came early");
    }

    /// The records with an id of zeros; each has one of its own.
    fn without_id(mut list: Vec<SourceRow>) -> Vec<SourceRow> {
        for (place, source) in list.iter().enumerate() {
            assert_ne!(source.event_id, [0; 16]);
            let same = |other: &SourceRow| other.event_id == source.event_id;
            assert_eq!(list.iter().position(same), Some(place));
        }
        list.iter_mut().for_each(|it| it.event_id = [0; 16]);
        list
    }

    #[test]
    fn a_source_is_what_its_events_were() {
        let mut sources = sources();
        let mut last = event("10.0.0.9", 30, 3);
        last.src_role = Role::Resolver;
        sources.add("Tunnels", &last, "b.example", &mut early);
        let first = event("10.0.0.9", 10, 1);
        sources.add("Tunnels", &first, "a.example", &mut early);
        sources.add("Ngrok", &first, "a.example", &mut early);
        let text = serde_json::to_string(&without_id(sources.finish())).expect("JSON");
        assert_eq!(
            text,
            r#"[{"src":"10.0.0.9","src_role":"resolver","hits":2,"rules":["Ngrok","Tunnels"],"names":["a.example","b.example"],"firstTime":"1970-01-01T00:00:10.000000Z","lastTime":"1970-01-01T00:00:30.000000Z","encrypted_dns_connections":0,"encrypted_dns_answered":0,"encrypted_dns_lookups":0,"encrypted_dns_resolvers":[],"sensor":"sensor","event_id":"00000000000000000000000000000000"}]"#
        );
        assert_eq!(sources.finish(), []);
    }

    fn sighting(client: &str, resolver: &str, seconds: i64, new: bool, answered: bool) -> Sighting {
        let resolver = resolver.parse().expect("an address");
        let known = KnownResolvers::read("[Known]\n192.0.2.0/24").expect("a list");
        Sighting {
            time: Timestamp::from_parts(seconds, 0),
            client: client.parse().expect("an address"),
            resolver,
            operator: known.by_address(resolver),
            protocol: Protocol::Tls,
            is_new: new,
            is_answered: answered,
        }
    }

    /// Connections and lookups, of a source with hits and of one without.
    #[test]
    fn encrypted_dns_is_counted_beside_the_hits() {
        let mut sources = sources();
        sources.add("r", &event("10.0.0.1", 50, 1), "q.example", &mut early);
        for seen in [
            sighting("10.0.0.1", "10.0.0.53", 40, true, false),
            sighting("10.0.0.1", "10.0.0.53", 41, false, true),
            sighting("10.0.0.1", "192.0.2.7", 60, true, true),
            sighting("10.0.0.2", "192.0.2.8", 30, true, false),
        ] {
            sources.add_sighting(&seen, &mut early);
        }
        let mut lookup = event("10.0.0.2", 20, 2);
        for (query, other) in [
            ("dns.example", None),
            ("a.dns.example", None),
            ("innocent.example", Some("b.dns.example")),
            // Neither is it: above it, beside it.
            ("example", None),
            ("xdns.example", None),
        ] {
            lookup.query = query.to_owned();
            lookup.other_questions = other.map(str::to_owned).into_iter().collect();
            sources.add_lookup(&lookup, &mut early);
        }
        let rows = json!(without_id(sources.finish()));
        assert_eq!(
            rows[0],
            json!({
                "src": "10.0.0.1", "src_role": "client", "hits": 1, "rules": ["r"], "names": ["q.example"],
                "firstTime": "1970-01-01T00:00:50.000000Z", "lastTime": "1970-01-01T00:00:50.000000Z",
                "encrypted_dns_connections": 2, "encrypted_dns_answered": 2, "encrypted_dns_lookups": 0,
                "encrypted_dns_resolvers": ["10.0.0.53", "Known"],
                "encrypted_dns_firstTime": "1970-01-01T00:00:40.000000Z",
                "encrypted_dns_lastTime": "1970-01-01T00:01:00.000000Z",
                "sensor": "sensor", "event_id": "0".repeat(32),
            })
        );
        assert_eq!(
            rows[1],
            json!({
                "src": "10.0.0.2", "src_role": "client", "hits": 0, "rules": [], "names": [],
                "encrypted_dns_connections": 1, "encrypted_dns_answered": 0, "encrypted_dns_lookups": 3,
                "encrypted_dns_resolvers": ["Known"],
                "encrypted_dns_firstTime": "1970-01-01T00:00:20.000000Z",
                "encrypted_dns_lastTime": "1970-01-01T00:00:30.000000Z",
                "sensor": "sensor", "event_id": "0".repeat(32),
            })
        );
        let all = json!(sources.finish_encrypted());
        assert_eq!(
            all,
            json!({
                "dot": 3, "doq": 0, "doh": 0, "answered": 2, "lookups": 3, "sources": 2, "forgotten": 0,
                "resolvers": [
                    { "name": "Known", "connections": 2, "lookups": 3 },
                    { "name": "10.0.0.53", "connections": 1, "lookups": 0 },
                ],
                "more_resolvers": false,
            })
        );
        assert_eq!(sources.finish_encrypted(), EncryptedDns::default());
    }

    #[test]
    fn too_many_resolvers_are_cut_whatever_their_order() {
        let mut sources = sources();
        for number in (0..5_000_u32).rev() {
            let resolver = std::net::Ipv4Addr::from_bits(0x0A00_0000 + number).to_string();
            sources.add_sighting(&sighting("10.9.0.1", &resolver, 1, true, true), &mut early);
        }
        let rows = sources.finish();
        let listed: Vec<&str> = rows[0]
            .encrypted
            .resolvers
            .iter()
            .map(AsRef::as_ref)
            .collect();
        assert_eq!((listed.len(), listed[0]), (100, "10.0.0.0"));
        assert!(rows[0].encrypted.resolvers_cut);
        assert_eq!(rows[0].encrypted.connections, 5_000);
        let all = sources.finish_encrypted();
        assert_eq!((all.dot, all.resolvers.len()), (5_000, 100));
        assert!(all.more_resolvers);
    }

    /// A forwarder is known for one when it answers, which is after its first lookup; a named role counts before all.
    #[test]
    fn roles_are_those_known_at_the_end() {
        let nat = ["10.0.0.7/32".parse().expect("a network")];
        let mut sources = Sources::new(
            NamedRoles::new(&[], &nat),
            Arc::default(),
            Arc::from("sensor"),
        );
        for src in ["10.0.0.7", "10.0.0.8", "10.0.0.9"] {
            sources.add("r", &event(src, 1, 1), "q", &mut early);
        }
        let answered = ["10.0.0.7", "10.0.0.8", "10.0.0.53"];
        sources.learn_resolvers(answered.map(|address| address.parse().expect("an address")));
        let roles: Vec<Role> = sources.finish().iter().map(|row| row.src_role).collect();
        assert_eq!(roles, [Role::Nat, Role::Resolver, Role::Client]);
    }

    #[test]
    fn sources_come_in_the_order_of_their_addresses() {
        let mut sources = Sources::default();
        for src in ["::1", "10.0.0.10", "2001:db8::1", "9.9.9.9", "10.0.0.9"] {
            sources.add("r", &event(src, 1, 1), "q", &mut early);
        }
        let order: Vec<_> = sources
            .finish()
            .iter()
            .map(|row| row.src.to_string())
            .collect();
        assert_eq!(
            order,
            ["9.9.9.9", "10.0.0.9", "10.0.0.10", "::1", "2001:db8::1"]
        );
    }

    #[test]
    fn too_many_names_are_cut_whatever_their_order() {
        let mut sources = Sources::default();
        for number in (0..=MAX_NAMES).rev() {
            sources.add(
                "r",
                &event("10.0.0.9", 1, 1),
                &format!("{number:04}.example"),
                &mut early,
            );
        }
        let bytes = sources.bytes;
        sources.add("r", &event("10.0.0.9", 1, 1), "zz.example", &mut early);
        assert_eq!(sources.bytes, bytes, "what is not kept is not counted");
        let rows = sources.finish();
        assert_eq!(rows[0].names.len(), MAX_NAMES);
        assert_eq!(
            (&*rows[0].names[0], &*rows[0].names[MAX_NAMES - 1]),
            ("0000.example", "0999.example")
        );
        assert_eq!(json!(rows[0])["names_cut"], true);
    }

    #[test]
    fn too_many_sources_are_given_up_oldest_first() {
        let mut sources = Sources::with_bounds(2, usize::MAX);
        let mut given_up = Vec::new();
        for (id, src) in ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1"]
            .into_iter()
            .enumerate()
        {
            let id = u8::try_from(id).expect("few");
            sources.add("r", &event(src, i64::from(id), id), "q", &mut |row| {
                given_up.push(row)
            });
        }
        let seen = |rows: &[SourceRow]| {
            rows.iter()
                .map(|row| (row.src.to_string(), row.hits, row.partial))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            seen(&given_up),
            [("10.0.0.1".into(), 1, true), ("10.0.0.2".into(), 1, true)]
        );
        assert_eq!(
            seen(&sources.finish()),
            [("10.0.0.1".into(), 1, true), ("10.0.0.3".into(), 1, false)]
        );
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut sources = Sources::with_bounds(usize::MAX, 10_000);
        let mut hits = 0;
        for id in 0..100_u8 {
            let name = format!("{id}.{}.example", "x".repeat(200));
            sources.add(
                "r",
                &event(&format!("10.0.0.{}", id % 10), 1, id),
                &name,
                &mut |row| hits += row.hits,
            );
            assert!(sources.bytes <= 10_000);
        }
        assert!(hits > 0);
        hits += sources.finish().iter().map(|row| row.hits).sum::<u64>();
        assert_eq!(hits, 100);
    }
}
