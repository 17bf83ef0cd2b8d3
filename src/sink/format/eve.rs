//! Suricata's EVE: a lookup is a request and a response, as Suricata logs each message (`dns`, version 3).
//! `docs/formats.md` has what each field comes from.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::presentation::{name, readable, strings};
use super::{End, has_question, response_time};
use crate::event::{self, Event};
use crate::frame::Transport;
use crate::message::{rcode_name, record_type_number};
use crate::time::Timestamp;

/// One of the two messages of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

impl Side {
    /// Those of an event that were seen.
    pub(super) fn of(event: &Event) -> impl Iterator<Item = Self> {
        let request = event.reply_code.is_none() || event.duration.is_some();
        let response = event.reply_code.is_some();
        let request = request.then_some(Self::Request);
        request
            .into_iter()
            .chain(response.then_some(Self::Response))
    }
}

/// A message as an EVE record.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    timestamp: String,
    flow_id: u64,
    pcap_cnt: u64,
    event_type: &'static str,
    #[serde(skip_serializing_if = "<[u16]>::is_empty")]
    vlan: &'a [u16],
    #[serde(skip_serializing_if = "Option::is_none")]
    src_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_port: Option<u16>,
    proto: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_v: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pkt_src: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ether: Option<Ether>,
    host: &'a str,
    dns: Dns<'a>,
}

#[derive(Serialize)]
struct Ether {
    src_mac: String,
    dest_mac: String,
}

#[derive(Serialize)]
struct Dns<'a> {
    version: u8,
    r#type: &'static str,
    id: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    qr: bool,
    #[serde(skip_serializing_if = "is_false")]
    aa: bool,
    #[serde(skip_serializing_if = "is_false")]
    tc: bool,
    #[serde(skip_serializing_if = "is_false")]
    rd: bool,
    #[serde(skip_serializing_if = "is_false")]
    ra: bool,
    #[serde(skip_serializing_if = "is_false")]
    z: bool,
    opcode: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    rcode: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    queries: Vec<Query<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    answers: Vec<Json>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    grouped: Map<String, Json>,
}

#[derive(Serialize)]
struct Query<'a> {
    rrname: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rrtype: Option<Cow<'a, str>>,
}

const fn is_false(value: &bool) -> bool {
    !*value
}

impl<'a> Record<'a> {
    pub(super) fn new(event: &'a Event, side: Side) -> Self {
        let [client, server] = End::of(event);
        let (time, packet) = match side {
            Side::Request => (event.time, event.packet),
            Side::Response => (
                response_time(event).unwrap_or(event.time),
                event.response_packet.unwrap_or(event.packet),
            ),
        };
        Self {
            timestamp: stamp(time),
            flow_id: flow(event.event_id),
            pcap_cnt: packet,
            event_type: "dns",
            vlan: &event.vlan,
            src_ip: client.ip,
            src_port: client.port,
            dest_ip: server.ip,
            dest_port: server.port,
            proto: match event.transport {
                Transport::Udp => "UDP",
                Transport::Tcp => "TCP",
            },
            ip_v: client.ip.or(server.ip).map(|ip| match ip {
                IpAddr::V4(_) => 4,
                IpAddr::V6(_) => 6,
            }),
            pkt_src: event.tunnel.is_empty().then_some("wire/pcap"),
            ether: client.mac.zip(server.mac).map(|(src, dest)| Ether {
                src_mac: src.to_string(),
                dest_mac: dest.to_string(),
            }),
            host: &event.sensor,
            dns: Dns::new(event, side),
        }
    }
}

impl<'a> Dns<'a> {
    fn new(event: &'a Event, side: Side) -> Self {
        // An event has the header of its response, where there was one; of the query's it then knows what is repeated.
        let is_whole = side == Side::Response || event.reply_code.is_none();
        let flags = event.header_flags;
        let bit = |bit: u16| is_whole && flags & bit != 0;
        let (answers, grouped) = match side {
            Side::Request => (Vec::new(), Map::new()),
            Side::Response => answers(event),
        };
        Self {
            version: 3,
            r#type: match side {
                Side::Request => "request",
                Side::Response => "response",
            },
            id: event.transaction_id,
            flags: is_whole.then(|| format!("{flags:x}")),
            qr: side == Side::Response,
            aa: bit(0x0400),
            tc: bit(0x0200),
            rd: event.recursion_desired(),
            ra: bit(0x0080),
            z: bit(0x0040),
            opcode: flags >> 11 & 0xF,
            rcode: match side {
                Side::Response => event.reply_code.map(rcode),
                Side::Request if is_whole => Some(rcode(flags & 0xF)),
                Side::Request => None,
            },
            queries: queries(event),
            answers,
            grouped,
        }
    }
}

fn queries(event: &Event) -> Vec<Query<'_>> {
    if !has_question(event) {
        return Vec::new();
    }
    let first = Query {
        rrname: text(&event.query_spelled),
        rrtype: Some(rrtype(&event.record_type)),
    };
    let further = event.other_questions.iter().map(|other| Query {
        rrname: text(other),
        rrtype: None,
    });
    std::iter::once(first).chain(further).collect()
}

/// The answers one by one, and by type.
fn answers(event: &Event) -> (Vec<Json>, Map<String, Json>) {
    let mut list = Vec::new();
    let mut grouped = Map::new();
    for record in &event.answers {
        let rrtype = rrtype(&record.record_type);
        for (key, value, is_grouped) in contents(record) {
            list.push(json!({
                "rrname": text(&record.name), "rrtype": rrtype, "ttl": record.ttl, key: value,
            }));
            if is_grouped {
                let group = grouped.entry(&*rrtype).or_insert_with(|| json!([]));
                if let Json::Array(group) = group {
                    group.push(value);
                }
            }
        }
    }
    (list, grouped)
}

/// What an answer's RDATA is called and is, and whether Suricata groups such records; each string of a TXT record is one.
fn contents(record: &event::Record) -> Vec<(&'static str, Json, bool)> {
    let data = record.data.as_str();
    structured(record).unwrap_or_else(|| vec![("rdata", data.into(), false)])
}

fn structured(record: &event::Record) -> Option<Vec<(&'static str, Json, bool)>> {
    let data = record.data.as_str();
    if data.starts_with("\\#") {
        return None;
    }
    let words: Vec<&str> = data.split(' ').collect();
    let one = |key, value| Some(vec![(key, value, true)]);
    match (record.record_type.as_ref(), words.as_slice()) {
        ("A", [address]) => one("rdata", (*address).into()),
        ("AAAA", [address]) => one("rdata", in_full(address)?.into()),
        ("CNAME" | "NS" | "PTR", [target]) | ("MX", [_, target]) => {
            one("rdata", text(target).into())
        }
        ("TXT", _) => Some(
            strings(data)?
                .iter()
                .map(|string| ("rdata", readable(string).into(), true))
                .collect(),
        ),
        ("SOA", [mname, rname, serial, refresh, retry, expire, minimum]) => {
            let number = |text: &str| text.parse::<u32>().ok();
            one(
                "soa",
                json!({
                    "mname": text(mname), "rname": text(rname), "serial": number(serial)?, "refresh": number(refresh)?,
                    "retry": number(retry)?, "expire": number(expire)?, "minimum": number(minimum)?,
                }),
            )
        }
        ("SRV", [priority, weight, port, target]) => {
            let number = |text: &str| text.parse::<u16>().ok();
            one(
                "srv",
                json!({
                    "priority": number(priority)?, "weight": number(weight)?, "port": number(port)?, "name": text(target),
                }),
            )
        }
        ("SSHFP", [algorithm, kind, fingerprint]) => {
            let number = |text: &str| text.parse::<u8>().ok();
            let pairs: Vec<&str> = fingerprint
                .as_bytes()
                .chunks(2)
                .filter_map(|pair| std::str::from_utf8(pair).ok())
                .collect();
            one(
                "sshfp",
                json!({
                    "fingerprint": pairs.join(":").to_ascii_lowercase(),
                    "algo": number(algorithm)?, "type": number(kind)?,
                }),
            )
        }
        _ => None,
    }
}

/// An IPv6 address with all its digits.
fn in_full(address: &str) -> Option<String> {
    let address: std::net::Ipv6Addr = address.parse().ok()?;
    let groups = address.segments().map(|group| format!("{group:04x}"));
    Some(groups.join(":"))
}

/// A name as its bytes are.
fn text(presented: &str) -> String {
    readable(&name(presented))
}

/// The type's name; of those that have none the number.
fn rrtype(mnemonic: &str) -> Cow<'_, str> {
    match mnemonic
        .strip_prefix("TYPE")
        .and(record_type_number(mnemonic))
    {
        Some(number) => Cow::Owned(number.to_string()),
        None => Cow::Borrowed(mnemonic),
    }
}

/// The RCODE's name; of those that have none the number.
fn rcode(code: u16) -> Cow<'static, str> {
    let name = rcode_name(code);
    if name.starts_with("RCODE") {
        Cow::Owned(code.to_string())
    } else {
        name
    }
}

/// The same for both messages of a lookup, and as long as Suricata's: 51 bits.
const fn flow(id: [u8; 16]) -> u64 {
    (u128::from_be_bytes(id) >> 77) as u64
}

/// A time as Suricata writes it.
fn stamp(time: Timestamp) -> String {
    time.in_form("%Y-%m-%dT%H:%M:%S.%6f+0000")
}
