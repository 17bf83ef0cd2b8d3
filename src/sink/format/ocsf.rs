//! The Open Cybersecurity Schema Framework: events as DNS Activity (4003). `docs/formats.md` has what each attribute comes
//! from.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Serialize;

use super::{End, Rest, has_question, id, resolved, response_time};
use crate::event::Event;
use crate::frame::Transport;
use crate::time::Timestamp;

/// The version of the schema.
pub(super) const VERSION: &str = "1.6.0";

/// An event as DNS Activity.
#[derive(Serialize)]
pub(super) struct Activity<'a> {
    activity_id: u32,
    activity_name: &'static str,
    category_uid: u32,
    category_name: &'static str,
    class_uid: u32,
    class_name: &'static str,
    type_uid: u32,
    type_name: String,
    severity_id: u32,
    severity: &'static str,
    status_id: u32,
    status: &'static str,
    time: i64,
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    /// In milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<i64>,
    metadata: Metadata<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_endpoint: Option<Endpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst_endpoint: Option<Endpoint>,
    connection_info: Connection,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<Query<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    answers: Vec<Answer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rcode_id: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rcode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_time: Option<i64>,
    observables: Vec<Observable<'a>>,
    unmapped: Rest<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    version: &'static str,
    product: Product,
    uid: String,
    original_time: String,
    log_name: &'static str,
    log_provider: &'a str,
}

/// Who says so.
#[derive(Serialize)]
pub(super) struct Product {
    name: &'static str,
    vendor_name: &'static str,
    version: &'static str,
}

pub(super) const PRODUCT: Product = Product {
    name: "dnsterrier",
    vendor_name: "dnsterrier",
    version: env!("CARGO_PKG_VERSION"),
};

#[derive(Serialize)]
struct Endpoint {
    ip: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
}

#[derive(Serialize)]
struct Connection {
    direction_id: u32,
    direction: &'static str,
    protocol_name: &'static str,
    protocol_num: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol_ver_id: Option<u32>,
}

#[derive(Serialize)]
struct Query<'a> {
    hostname: &'a str,
    r#type: &'a str,
    class: &'a str,
    opcode: &'a str,
    opcode_id: u16,
    packet_uid: u16,
}

#[derive(Serialize)]
struct Answer<'a> {
    rdata: &'a str,
    r#type: &'a str,
    class: Cow<'static, str>,
    ttl: u32,
    flag_ids: Vec<u32>,
    packet_uid: u16,
}

#[derive(Serialize)]
struct Observable<'a> {
    name: &'static str,
    r#type: &'static str,
    type_id: u32,
    value: Cow<'a, str>,
}

impl<'a> Activity<'a> {
    pub(super) fn new(event: &'a Event) -> Self {
        let response = response_time(event);
        let was_asked = event.reply_code.is_none() || event.duration.is_some();
        let (activity_id, activity_name) = match (was_asked, response) {
            (true, Some(_)) => (6, "Traffic"),
            (true, None) => (1, "Query"),
            (false, _) => (2, "Response"),
        };
        let (status_id, status) = match event.reply_code {
            None => (0, "Unknown"),
            Some(0) => (1, "Success"),
            Some(_) => (2, "Failure"),
        };
        let ends = End::of(event);
        let flag_ids = flag_ids(event.header_flags);
        let (rcode_id, rcode) = event.reply_code.map(rcode).unzip();
        Self {
            activity_id,
            activity_name,
            category_uid: 4,
            category_name: "Network Activity",
            class_uid: 4003,
            class_name: "DNS Activity",
            type_uid: 400_300 + activity_id,
            type_name: format!("DNS Activity: {activity_name}"),
            severity_id: 1,
            severity: "Informational",
            status_id,
            status,
            time: event.time.as_millis(),
            start_time: event.time.as_millis(),
            end_time: response.map(Timestamp::as_millis),
            duration: event.duration.map(|nanos| nanos / 1_000_000),
            metadata: Metadata {
                version: VERSION,
                product: PRODUCT,
                uid: id(event),
                original_time: event.time.to_string(),
                log_name: "dnsterrier:dns",
                log_provider: &event.sensor,
            },
            src_endpoint: Endpoint::new(ends[0]),
            dst_endpoint: Endpoint::new(ends[1]),
            connection_info: Connection {
                direction_id: 0,
                direction: "Unknown",
                protocol_name: event.transport.name(),
                protocol_num: match event.transport {
                    Transport::Udp => 17,
                    Transport::Tcp => 6,
                },
                protocol_ver_id: ends.iter().find_map(|end| end.ip).map(|ip| match ip {
                    IpAddr::V4(_) => 4,
                    IpAddr::V6(_) => 6,
                }),
            },
            query: has_question(event).then(|| Query {
                hostname: &event.query,
                r#type: &event.record_type,
                class: &event.query_class,
                opcode: &event.opcode,
                opcode_id: opcode(event),
                packet_uid: event.transaction_id,
            }),
            answers: event
                .answers
                .iter()
                .map(|answer| Answer {
                    rdata: &answer.data,
                    r#type: &answer.record_type,
                    class: event.class_of(answer),
                    ttl: answer.ttl,
                    flag_ids: flag_ids.clone(),
                    packet_uid: event.transaction_id,
                })
                .collect(),
            rcode_id,
            rcode,
            query_time: was_asked.then(|| event.time.as_millis()),
            response_time: response.map(Timestamp::as_millis),
            observables: observables(event, ends),
            unmapped: Rest(event),
        }
    }
}

impl Endpoint {
    fn new(end: End) -> Option<Self> {
        // One without an address is none for the schema.
        end.ip.map(|ip| Self {
            ip,
            port: end.port,
            mac: end.mac.map(|mac| mac.to_string()),
        })
    }
}

/// What can be looked for in every kind of event: addresses and the name.
fn observables(event: &Event, ends: [End; 2]) -> Vec<Observable<'_>> {
    let [client, server] = ends;
    let address = |name, ip: IpAddr| Observable {
        name,
        r#type: "IP Address",
        type_id: 2,
        value: Cow::Owned(ip.to_string()),
    };
    let mut list = Vec::new();
    list.extend(client.ip.map(|ip| address("src_endpoint.ip", ip)));
    list.extend(server.ip.map(|ip| address("dst_endpoint.ip", ip)));
    if has_question(event) {
        list.push(Observable {
            name: "query.hostname",
            r#type: "Hostname",
            type_id: 1,
            value: Cow::Borrowed(&event.query),
        });
    }
    list.extend(resolved(event).map(|ip| address("answers.rdata", ip)));
    list
}

/// The header's flags by the schema's numbers.
fn flag_ids(flags: u16) -> Vec<u32> {
    const FLAGS: [(u16, u32); 6] = [
        (0x0400, 1),
        (0x0200, 2),
        (0x0100, 3),
        (0x0080, 4),
        (0x0020, 5),
        (0x0010, 6),
    ];
    let set = FLAGS.into_iter().filter(|(bit, _)| flags & bit != 0);
    set.map(|(_, number)| number).collect()
}

/// The schema's number of the opcode: its own as far as the schema has it, else 99 (Other).
const fn opcode(event: &Event) -> u16 {
    match event.header_flags >> 11 & 0xF {
        known @ 0..=6 => known,
        _ => 99,
    }
}

/// The schema's number and caption of an RCODE.
const fn rcode(code: u16) -> (u16, &'static str) {
    let caption = match code {
        0 => "NoError",
        1 => "FormError",
        2 => "ServError",
        3 => "NXDomain",
        4 => "NotImp",
        5 => "Refused",
        6 => "YXDomain",
        7 => "YXRRSet",
        8 => "NXRRSet",
        9 => "NotAuth",
        10 => "NotZone",
        11 => "DSOTYPENI",
        16 => "BADVERS",
        17 => "BADKEY",
        18 => "BADTIME",
        19 => "BADMODE",
        20 => "BADNAME",
        21 => "BADALG",
        22 => "BADTRUNC",
        23 => "BADCOOKIE",
        3841..=4095 | 65535 => return (25, "Reserved"),
        _ => return (24, "Unassigned"),
    };
    (code, caption)
}
