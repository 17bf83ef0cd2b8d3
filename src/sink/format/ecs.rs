//! The Elastic Common Schema. `docs/formats.md` has what each field comes from.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::Hash;
use std::net::IpAddr;

use serde::Serialize;

use super::{End, Rest, flags, has_question, id, resolved, response_time};
use crate::event::{Event, Field, of_name};
use crate::frame::Mac;
use crate::message::rcode_name;
use crate::time::Timestamp;

/// The version of the schema.
pub(super) const VERSION: &str = "8.17.0";

/// An event, or a hit, as a document.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: Timestamp,
    ecs: Schema,
    event: About,
    source: Party,
    destination: Party,
    client: Party,
    server: Party,
    network: Network,
    dns: Dns<'a>,
    related: Related<'a>,
    observer: Observer<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Rule<'a>>,
    dnsterrier: Rest<'a>,
}

#[derive(Serialize)]
struct Schema {
    version: &'static str,
}

#[derive(Serialize)]
struct About {
    kind: &'static str,
    category: [&'static str; 1],
    r#type: [&'static str; 2],
    outcome: &'static str,
    id: String,
    start: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Timestamp>,
    /// In nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<i64>,
    module: &'static str,
    dataset: &'static str,
}

#[derive(Clone, Serialize)]
struct Party {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
}

#[derive(Serialize)]
struct Network {
    protocol: &'static str,
    transport: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan: Option<Vlan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inner: Option<Inner>,
}

#[derive(Serialize)]
struct Vlan {
    id: String,
}

#[derive(Serialize)]
struct Inner {
    vlan: Vlan,
}

#[derive(Serialize)]
struct Dns<'a> {
    r#type: &'static str,
    id: String,
    op_code: &'a str,
    header_flags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<Question<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    answers: Vec<Answer<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resolved_ip: Vec<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_code: Option<Cow<'static, str>>,
}

#[derive(Serialize)]
struct Question<'a> {
    name: &'a str,
    r#type: &'a str,
    class: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    registered_domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subdomain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_level_domain: Option<String>,
}

#[derive(Serialize)]
struct Answer<'a> {
    name: &'a str,
    r#type: &'a str,
    class: Cow<'static, str>,
    ttl: u32,
    data: &'a str,
}

#[derive(Serialize)]
struct Related<'a> {
    ip: Vec<IpAddr>,
    hosts: Vec<&'a str>,
}

#[derive(Serialize)]
struct Observer<'a> {
    name: &'a str,
    product: &'static str,
    r#type: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Rule<'a> {
    name: &'a str,
}

impl<'a> Document<'a> {
    pub(super) fn new(event: &'a Event, rule: Option<&'a str>) -> Self {
        let ends = End::of(event);
        let [client, server] = ends.map(Party::new);
        let answered = event.reply_code.is_some();
        let mut vlans = event.vlan.iter().map(|id| Vlan { id: id.to_string() });
        Self {
            timestamp: event.time,
            ecs: Schema { version: VERSION },
            event: About {
                kind: if rule.is_some() { "alert" } else { "event" },
                category: ["network"],
                r#type: ["connection", "protocol"],
                outcome: match event.reply_code {
                    None => "unknown",
                    Some(0) => "success",
                    Some(_) => "failure",
                },
                id: id(event),
                start: event.time,
                end: response_time(event),
                duration: event.duration,
                module: "dnsterrier",
                dataset: "dnsterrier.dns",
            },
            source: client.clone(),
            destination: server.clone(),
            client,
            server,
            network: Network {
                protocol: "dns",
                transport: event.transport.name(),
                r#type: ends.iter().find_map(|end| end.ip).map(|ip| match ip {
                    IpAddr::V4(_) => "ipv4",
                    IpAddr::V6(_) => "ipv6",
                }),
                vlan: vlans.next(),
                inner: vlans.next().map(|vlan| Inner { vlan }),
            },
            dns: Dns {
                r#type: if answered { "answer" } else { "query" },
                id: event.transaction_id.to_string(),
                op_code: &event.opcode,
                header_flags: header_flags(event),
                question: has_question(event).then(|| Question::new(event)),
                answers: event
                    .answers
                    .iter()
                    .map(|answer| Answer {
                        name: &answer.name,
                        r#type: &answer.record_type,
                        class: event.class_of(answer),
                        ttl: answer.ttl,
                        data: &answer.data,
                    })
                    .collect(),
                resolved_ip: resolved(event).collect(),
                response_code: event.reply_code.map(rcode_name),
            },
            related: Related {
                ip: distinct(ends.iter().filter_map(|end| end.ip).chain(resolved(event))),
                hosts: distinct(
                    has_question(event)
                        .then_some(event.query.as_str())
                        .into_iter()
                        .chain(event.answers.iter().map(|answer| answer.name.as_str())),
                ),
            },
            observer: Observer {
                name: &event.sensor,
                product: "dnsterrier",
                r#type: "sensor",
                version: env!("CARGO_PKG_VERSION"),
            },
            rule: rule.map(|name| Rule { name }),
            dnsterrier: Rest(event),
        }
    }
}

impl Party {
    fn new(end: End) -> Self {
        Self {
            address: end.ip,
            ip: end.ip,
            port: end.port,
            mac: end.mac.map(hyphened),
        }
    }
}

impl<'a> Question<'a> {
    fn new(event: &'a Event) -> Self {
        let part = |field| {
            let value = of_name(field, &event.query).flatten()?;
            Some(value.text().into_owned())
        };
        let registered_domain = part(Field::RegisteredDomain);
        // The suffix under which names are registered: what the registered domain has behind its first label.
        let suffix = registered_domain
            .as_deref()
            .map_or(Some(event.query.as_str()), |domain| {
                let Some(Some(parent)) = of_name(Field::ParentDomain, domain) else {
                    return None;
                };
                domain.get(domain.len().checked_sub(parent.text().len())?..)
            });
        let top_level_domain = suffix.filter(|suffix| *suffix != ".").map(str::to_owned);
        Self {
            name: &event.query,
            r#type: &event.record_type,
            class: &event.query_class,
            top_level_domain,
            subdomain: part(Field::Subdomain),
            registered_domain,
        }
    }
}

/// The header's flags, with EDNS's DO among them.
fn header_flags(event: &Event) -> Vec<String> {
    let mut flags = flags(event);
    if event.edns.as_ref().is_some_and(|edns| edns.dnssec_ok) {
        flags.push("DO".to_owned());
    }
    flags
}

/// A hardware address as RFC 7042 writes it.
fn hyphened(mac: Mac) -> String {
    mac.to_string().to_ascii_uppercase().replace(':', "-")
}

/// Each value once, in order.
fn distinct<T: Copy + Eq + Hash>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = HashSet::new();
    values.filter(|value| seen.insert(*value)).collect()
}
