//! Events that sensors stored, as the input of a replay.

use std::path::PathBuf;

use crate::cli::{Common, Replay};
use crate::error::Error;
use crate::sink::Remote;
use crate::sink::remote::Kind;

/// What the URL among the inputs names, where there is one; it must be alone.
pub(super) fn named(inputs: &[PathBuf]) -> Result<Option<Remote>, Error> {
    let is_url = |text: &&str| {
        let scheme = text.split("://").next().filter(|scheme| scheme != text);
        scheme.is_some_and(|scheme| scheme.contains('+') || scheme == "kafka")
    };
    let mut texts = inputs.iter().filter_map(|input| input.to_str());
    let Some(url) = texts.find(is_url) else {
        return Ok(None);
    };
    let remote = Remote::parse(url)?;
    if remote.kind != Kind::ClickHouse {
        return Err(Error::Usage(format!(
            "'{url}': events can be read again from ClickHouse alone: clickhouse+http://HOST[:8123]/DATABASE"
        )));
    }
    if inputs.len() > 1 {
        return Err(Error::Usage(format!(
            "'{url}' is read alone, without files or other databases: their events and its would not come in the order of time; \
             run each by itself, or send the events of the files there first (--events {url})"
        )));
    }
    Ok(Some(remote))
}

/// Says which options ask something of packets: of events that are made already it cannot be had.
pub(super) fn check(filter: Option<&str>, common: &Common) -> Result<(), Error> {
    let plain = Replay::plain().map_err(|error| Error::Bug(error.to_string()))?;
    let plain = plain.common;
    let asked = [
        ("--filter", filter.is_some()),
        ("--count", common.count.is_some()),
        ("--ports", common.ports != plain.ports),
        ("--any-port", common.any_port),
        ("--vxlan-ports", !common.vxlan_ports.is_empty()),
        ("--tunnel-depth", common.tunnel_depth != plain.tunnel_depth),
        ("--workers", common.workers.is_some()),
        ("--timeout", common.timeout != plain.timeout),
        ("--evidence", common.evidence.is_some()),
        ("--write", common.write.is_some()),
        ("--event-format dnstap", common.event_format == "dnstap"),
    ];
    let asked: Vec<&str> = asked
        .iter()
        .filter(|(_, is)| *is)
        .map(|(it, _)| *it)
        .collect();
    if asked.is_empty() {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{} cannot be used with a database: it has events, which were made of packets already; leave it out (--since, --until, \
         --rules, --filters and --name choose among events)",
        asked.join(", ")
    )))
}
