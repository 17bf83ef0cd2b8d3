//! Records of sources of many sensors become those of one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;

use super::encrypted::{EncryptedOfSource, MAX_RESOLVERS};
use super::merge::named;
use super::sources::{MAX_NAMES, SourceRow, identified};
use crate::time::Timestamp;
use crate::transaction::Role;

/// How many sources there may be.
const MOST_SOURCES: usize = 1_000_000;

/// A record as it was written.
#[derive(Deserialize)]
struct Written {
    src: IpAddr,
    src_role: String,
    hits: u64,
    rules: Vec<String>,
    names: Vec<String>,
    #[serde(default)]
    names_cut: bool,
    #[serde(rename = "firstTime")]
    first: Option<String>,
    #[serde(rename = "lastTime")]
    last: Option<String>,
    #[serde(rename = "encrypted_dns_connections")]
    connections: u64,
    #[serde(rename = "encrypted_dns_answered")]
    answered: u64,
    #[serde(rename = "encrypted_dns_lookups")]
    lookups: u64,
    #[serde(rename = "encrypted_dns_resolvers")]
    resolvers: Vec<String>,
    #[serde(default, rename = "encrypted_dns_resolvers_cut")]
    resolvers_cut: bool,
    #[serde(rename = "encrypted_dns_firstTime")]
    first_encrypted: Option<String>,
    #[serde(rename = "encrypted_dns_lastTime")]
    last_encrypted: Option<String>,
    sensor: String,
}

/// One source, as far as it was added up.
#[derive(Debug, Default)]
struct Merged {
    role: Role,
    hits: u64,
    rules: BTreeSet<String>,
    names: BTreeSet<String>,
    names_cut: bool,
    times: Times,
    encrypted: EncryptedOfSource,
    encrypted_times: Times,
    sensors: BTreeSet<Arc<str>>,
}

/// A first and a last time.
#[derive(Debug, Default)]
struct Times {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Times {
    fn add(&mut self, first: Option<&str>, last: Option<&str>) -> Result<(), String> {
        let read = |text: Option<&str>| text.map(Timestamp::parse).transpose();
        let (first, last) = (read(first)?, read(last)?);
        self.first = self.first.into_iter().chain(first).min();
        self.last = self.last.into_iter().chain(last).max();
        Ok(())
    }
}

/// Adds up records of sources.
#[derive(Debug, Default)]
pub struct MergedSources {
    sources: BTreeMap<IpAddr, Merged>,
}

impl MergedSources {
    /// Adds a record, as JSON. Each has to be added once.
    ///
    /// # Errors
    /// It is no such record, or there are too many sources.
    pub fn add(&mut self, record: &str) -> Result<(), String> {
        let wrong = |what: String| format!("a record of a source is damaged: {what}");
        let written: Written =
            serde_json::from_str(record).map_err(|error| wrong(error.to_string()))?;
        let role = Role::from_name(&written.src_role)
            .ok_or_else(|| wrong(format!("no role '{}'", written.src_role)))?;
        if !self.sources.contains_key(&written.src) && self.sources.len() >= MOST_SOURCES {
            return Err(format!("there are more than {MOST_SOURCES} sources"));
        }
        let merged = self.sources.entry(written.src).or_default();
        // One sensor may have seen what tells it.
        if merged.role == Role::Client || role == Role::Nat {
            merged.role = role;
        }
        merged.hits = merged.hits.saturating_add(written.hits);
        merged.rules.extend(written.rules);
        merged.names_cut |= written.names_cut;
        merged.names.extend(written.names);
        while merged.names.len() > MAX_NAMES {
            merged.names.pop_last();
            merged.names_cut = true;
        }
        merged
            .times
            .add(written.first.as_deref(), written.last.as_deref())
            .map_err(wrong)?;
        let encrypted = &mut merged.encrypted;
        encrypted.connections = encrypted.connections.saturating_add(written.connections);
        encrypted.answered = encrypted.answered.saturating_add(written.answered);
        encrypted.lookups = encrypted.lookups.saturating_add(written.lookups);
        encrypted.resolvers_cut |= written.resolvers_cut;
        let resolvers = written.resolvers.into_iter().map(String::into_boxed_str);
        encrypted.resolvers.extend(resolvers);
        while encrypted.resolvers.len() > MAX_RESOLVERS {
            encrypted.resolvers.pop_last();
            encrypted.resolvers_cut = true;
        }
        let (first, last) = (written.first_encrypted, written.last_encrypted);
        merged
            .encrypted_times
            .add(first.as_deref(), last.as_deref())
            .map_err(wrong)?;
        merged.sensors.insert(written.sensor.into());
        Ok(())
    }

    /// Gives the sources in their order; `partial` where a sensor's records may be missing.
    pub fn finish(self, partial: bool, emit: &mut dyn FnMut(SourceRow)) {
        for (src, merged) in self.sources {
            emit(identified(SourceRow {
                src,
                src_role: merged.role,
                hits: merged.hits,
                rules: merged.rules.into_iter().map(Into::into).collect(),
                names: merged.names.into_iter().map(Into::into).collect(),
                names_cut: merged.names_cut,
                first: merged.times.first,
                last: merged.times.last,
                encrypted: EncryptedOfSource {
                    first: merged.encrypted_times.first,
                    last: merged.encrypted_times.last,
                    ..merged.encrypted
                },
                sensor: named(&merged.sensors),
                event_id: [0; 16],
                partial,
            }));
        }
    }
}
