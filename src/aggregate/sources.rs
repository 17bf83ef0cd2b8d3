//! The hits aggregated per source address.

use std::collections::{BTreeSet, HashSet};
use std::mem::size_of;
use std::net::IpAddr;
use std::sync::Arc;

use ahash::RandomState;
use serde::Serialize;

use super::table::{Entry, Table};
use crate::event::{Event, Role};
use crate::time::Timestamp;
use crate::transaction::NamedRoles;

/// How many sources are held before the one that was started first is given up.
const MAX_SOURCES: usize = 65_536;
/// How many names of one source are listed: the first ones in their order.
const MAX_NAMES: usize = 1_000;
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
    /// Its events that matched a rule, each once.
    pub hits: u64,
    /// The rules that they matched, sorted.
    pub rules: Vec<Arc<str>>,
    /// The names that it looked up, sorted.
    pub names: Vec<Box<str>>,
    /// Whether there were more names than are listed.
    #[serde(skip_serializing_if = "is_false")]
    pub names_cut: bool,
    /// Its earliest event's `_time`.
    #[serde(rename = "firstTime")]
    pub first: Timestamp,
    /// Its latest event's `_time`.
    #[serde(rename = "lastTime")]
    pub last: Timestamp,
    /// The sensor's name.
    pub sensor: Arc<str>,
    /// Whether other records of the same source may exist, because there were too many sources.
    #[serde(skip_serializing_if = "is_false")]
    pub partial: bool,
}

/// What a text of that length takes in a tree: the tree's own share is about half as much again as the pointers in it.
fn bytes_in_tree(len: usize) -> usize {
    len.saturating_add(3 * size_of::<usize>())
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn role_name<S: serde::Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(role.name())
}

/// The sources of a run.
#[derive(Debug)]
pub struct Sources {
    table: Table<Source>,
    roles: Roles,
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
    sensor: Arc<str>,
    role: Role,
    hits: u64,
    /// The last event that was counted: the hits of one event come one after another.
    last_event: [u8; 16],
    rules: BTreeSet<Arc<str>>,
    names: BTreeSet<Box<str>>,
    names_cut: bool,
    first: Timestamp,
    last: Timestamp,
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
        Self::new(NamedRoles::default())
    }
}

impl Sources {
    /// No source yet. `named` are the roles of addresses that packets cannot tell.
    #[must_use]
    pub fn new(named: NamedRoles) -> Self {
        Self {
            roles: Roles {
                named,
                ..Roles::default()
            },
            ..Self::with_bounds(MAX_SOURCES, MAX_BYTES)
        }
    }

    fn with_bounds(max_sources: usize, max_bytes: usize) -> Self {
        Self {
            table: Table::default(),
            roles: Roles::default(),
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

    /// Adds a hit: `query` is the name that matched. The hits of one event must come one after another. Where there are
    /// too many sources, the one that was started first is given to `emit`.
    pub fn add(&mut self, rule: &str, event: &Event, query: &str, emit: &mut dyn FnMut(SourceRow)) {
        let hash = self.state.hash_one(event.src);
        if self
            .table
            .find(hash, |source| source.src == event.src)
            .is_none()
        {
            let source = Source::new(event);
            self.bytes = self.bytes.saturating_add(source.bytes);
            self.table.push(hash, source, &self.state);
        }
        let Some(source) = self.table.find(hash, |source| source.src == event.src) else {
            return;
        };
        let grown = source.add(&mut self.rules, rule, event, query);
        self.bytes = self.bytes.saturating_add_signed(grown);
        while self.table.len() > self.max_sources || self.bytes > self.max_bytes {
            self.whole_before = self.whole_before.min(self.table.started());
            let Some(source) = self.table.pop(&self.state) else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(source.bytes());
            emit(source.row(true, &self.roles));
        }
    }

    /// The sources so far, ordered by address: IPv4 before IPv6, each as a number.
    #[must_use]
    pub fn so_far(&self) -> Vec<SourceRow> {
        let mut rows: Vec<_> = self
            .table
            .iter()
            .map(|(number, source)| source.row(number >= self.whole_before, &self.roles))
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
            ..Self::with_bounds(self.max_sources, self.max_bytes)
        };
        rows
    }
}

impl Source {
    fn new(event: &Event) -> Self {
        Self {
            src: event.src,
            sensor: Arc::clone(&event.sensor),
            role: event.src_role,
            hits: 0,
            last_event: [0; 16],
            rules: BTreeSet::new(),
            names: BTreeSet::new(),
            names_cut: false,
            first: event.time,
            last: event.time,
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
        if event.time >= self.last {
            self.role = event.src_role;
        }
        self.first = self.first.min(event.time);
        self.last = self.last.max(event.time);
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
        grown = grown.saturating_add(self.add_name(query));
        self.bytes = self.bytes.saturating_add_signed(grown);
        grown
    }

    fn add_name(&mut self, name: &str) -> isize {
        let mut grown = 0_isize;
        if self.names.contains(name) {
            return 0;
        }
        if self.names.len() >= MAX_NAMES {
            self.names_cut = true;
            if self.names.last().is_none_or(|last| **last < *name) {
                return 0;
            }
            if let Some(last) = self.names.pop_last() {
                grown = grown.saturating_sub_unsigned(bytes_in_tree(last.len()));
            }
        }
        self.names.insert(name.into());
        grown.saturating_add_unsigned(bytes_in_tree(name.len()))
    }

    fn row(&self, partial: bool, roles: &Roles) -> SourceRow {
        SourceRow {
            src: self.src,
            src_role: roles.of(self.src, self.role),
            hits: self.hits,
            rules: self.rules.iter().cloned().collect(),
            names: self.names.iter().cloned().collect(),
            names_cut: self.names_cut,
            first: self.first,
            last: self.last,
            sensor: Arc::clone(&self.sensor),
            partial,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::aggregate::tests::sample_event;

    fn event(src: &str, seconds: i64, id: u8) -> Event {
        let mut event = sample_event();
        event.src = src.parse().expect("an address");
        event.time = Timestamp::from_parts(seconds, 0);
        event.event_id = [id; 16];
        event
    }

    fn early(row: SourceRow) {
        panic!("{row:?} came early");
    }

    #[test]
    fn a_source_is_what_its_events_were() {
        let mut sources = Sources::default();
        let mut last = event("10.0.0.9", 30, 3);
        last.src_role = Role::Resolver;
        sources.add("Tunnels", &last, "b.example", &mut early);
        let first = event("10.0.0.9", 10, 1);
        sources.add("Tunnels", &first, "a.example", &mut early);
        sources.add("Ngrok", &first, "a.example", &mut early);
        let text = serde_json::to_string(&sources.finish()).expect("JSON");
        assert_eq!(
            text,
            r#"[{"src":"10.0.0.9","src_role":"resolver","hits":2,"rules":["Ngrok","Tunnels"],"names":["a.example","b.example"],"firstTime":"1970-01-01T00:00:10.000000Z","lastTime":"1970-01-01T00:00:30.000000Z","sensor":"sensor"}]"#
        );
        assert_eq!(sources.finish(), []);
    }

    /// A forwarder is known for one when it answers, which is after its first lookup; a named role counts before all.
    #[test]
    fn roles_are_those_known_at_the_end() {
        let nat = ["10.0.0.7/32".parse().expect("a network")];
        let mut sources = Sources::new(NamedRoles::new(&[], &nat));
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
