//! The event: one DNS transaction with the fields of the CIM's Network_Resolution data model.

mod added;
mod assets;
mod derived;
pub mod field;
mod json;
mod make;
mod networks;
mod read;
mod wire;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

pub use added::{Added, Name};
pub use assets::{Asset, AssetMistake, Assets};
pub use field::{Field, Kind, Type, Value, Values, billionths, network};
pub use make::{Decoded, Maker};
pub use networks::Networks;
pub use wire::{Wire, WireMessage};

pub use crate::frame::Mac;
use crate::frame::Transport;
pub use crate::message::Edns;
pub use crate::message::Record;
use crate::message::class_name;
use crate::time::Timestamp;
pub use crate::transaction::Role;

/// What was seen of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Query and response.
    Both,
    /// A query that nobody answered.
    QueryOnly,
    /// A response whose query was not seen.
    ResponseOnly,
}

impl Seen {
    /// What was seen of an event of that `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Both, Self::QueryOnly, Self::ResponseOnly]
            .into_iter()
            .find(|seen| seen.name() == name)
    }

    /// The event's `name`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Both => "DNS transaction",
            Self::QueryOnly => "DNS query without response",
            Self::ResponseOnly => "DNS response without query",
        }
    }
}

/// What came of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Answer records came.
    Resolved,
    /// The name exists, the type does not (RFC 9499, section 3).
    Nodata,
    /// RCODE 3.
    Nxdomain,
    /// RCODE 2.
    Servfail,
    /// RCODE 5.
    Refused,
    /// Answered with an address that leads nowhere: 0.0.0.0, ::, or one named as a sinkhole.
    Blocked,
    /// Nobody answered.
    Unanswered,
    /// Anything else: other RCODEs, truncated answers, referrals, opcodes that look nothing up.
    Other,
}

impl Outcome {
    /// The outcome of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Resolved,
            Self::Nodata,
            Self::Nxdomain,
            Self::Servfail,
            Self::Refused,
            Self::Blocked,
            Self::Unanswered,
            Self::Other,
        ]
        .into_iter()
        .find(|outcome| outcome.name() == name)
    }

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Nodata => "nodata",
            Self::Nxdomain => "nxdomain",
            Self::Servfail => "servfail",
            Self::Refused => "refused",
            Self::Blocked => "blocked",
            Self::Unanswered => "unanswered",
            Self::Other => "other",
        }
    }
}

/// Something odd about a transaction; rules can match the word it prints as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// The response has TC set.
    Truncated,
    /// A lookup over TCP, after the same over UDP was truncated.
    TcpRetry,
    /// The capture cut the packet before the end of the message.
    Snaplen,
    /// Fragments of the message never came.
    FragmentMissing,
    /// The query was repeated that many times before the event was made.
    Retransmitted(u32),
    /// The response came after its query was given up.
    LateResponse,
    /// A second response that says something else.
    MultipleResponses,
    /// The response came before its query on the wire.
    ResponseFirst,
    /// A response that nobody asked for, when the same was being asked from its port with another ID: a late answer to an
    /// earlier query, or somebody who guesses.
    IdMismatch,
    /// The response came from another address than the query went to.
    AnsweredFrom(IpAddr),
    /// The QR bit and the ports say different things about who asked.
    PortMismatch,
    /// On none of the ports that were named; found by its shape.
    OtherPort,
    /// A server said by dnstap what it took and sent, but not from whom, or on which port.
    AddressMissing,
    /// That section could not be decoded to its end.
    Malformed(&'static str),
    /// There was more of it than is kept.
    Cut(&'static str),
    /// Multicast DNS.
    Mdns,
    /// Link-local multicast name resolution.
    Llmnr,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("truncated"),
            Self::TcpRetry => f.write_str("tcp_retry"),
            Self::Snaplen => f.write_str("snaplen"),
            Self::FragmentMissing => f.write_str("fragment_missing"),
            Self::Retransmitted(times) => write!(f, "retransmitted:{times}"),
            Self::LateResponse => f.write_str("late_response"),
            Self::MultipleResponses => f.write_str("multiple_responses"),
            Self::ResponseFirst => f.write_str("response_first"),
            Self::IdMismatch => f.write_str("qid_mismatch"),
            Self::AnsweredFrom(address) => write!(f, "answered_from:{address}"),
            Self::PortMismatch => f.write_str("port_mismatch"),
            Self::OtherPort => f.write_str("other_port"),
            Self::AddressMissing => f.write_str("address_missing"),
            Self::Malformed(section) => write!(f, "malformed:{section}"),
            Self::Cut(what) => write!(f, "{what}_cut"),
            Self::Mdns => f.write_str("mdns"),
            Self::Llmnr => f.write_str("llmnr"),
        }
    }
}

/// One DNS transaction as the wire showed it.
#[derive(Clone, Debug)]
pub struct Event {
    /// Capture time of the query; of the response where no query was seen.
    pub time: Timestamp,
    /// The sensor's name.
    pub sensor: Arc<str>,
    /// The interface or capture file.
    pub source: Arc<str>,
    /// The configured zone.
    pub zone: Option<Arc<str>>,
    /// What was seen.
    pub seen: Seen,
    /// The client's address.
    pub src: IpAddr,
    /// The client's port.
    pub src_port: u16,
    /// The hardware address on the client's side.
    pub src_mac: Option<Mac>,
    /// The resolver's address.
    pub dest: IpAddr,
    /// The resolver's port.
    pub dest_port: u16,
    /// The hardware address on the resolver's side.
    pub dest_mac: Option<Mac>,
    /// What is known of the client.
    pub src_asset: Option<Arc<Asset>>,
    /// What is known of the resolver.
    pub dest_asset: Option<Arc<Asset>>,
    /// UDP or TCP.
    pub transport: Transport,
    /// The message ID.
    pub transaction_id: u16,
    /// The opcode's mnemonic.
    pub opcode: Cow<'static, str>,
    /// The second 16 bits of the header (RFC 1035, 4.1.1), of the response where one was seen.
    pub header_flags: u16,
    /// QNAME in lower case, `unknown` where there is none.
    pub query: String,
    /// QNAME as it was spelled.
    pub query_spelled: String,
    /// The names of the further questions, in lower case.
    pub other_questions: Vec<String>,
    /// The QTYPE's mnemonic, `unknown` where there is no question.
    pub record_type: Cow<'static, str>,
    /// The QCLASS's mnemonic.
    pub query_class: Cow<'static, str>,
    /// QDCOUNT.
    pub query_count: u16,
    /// ANCOUNT.
    pub answer_count: u16,
    /// NSCOUNT.
    pub authority_answer_count: u16,
    /// ARCOUNT.
    pub additional_answer_count: u16,
    /// RCODE, extended by EDNS; `None` without a response.
    pub reply_code: Option<u16>,
    /// The answer section's records, as far as they could be read.
    pub answers: Vec<Record>,
    /// Response time minus query time in nanoseconds.
    pub duration: Option<i64>,
    /// EDNS.
    pub edns: Option<Edns>,
    /// The options of EDNS: `query:` or `response:`, the name, and the value after `=` where there is one.
    pub edns_options: Vec<String>,
    /// What came of the lookup.
    pub outcome: Outcome,
    /// What was odd.
    pub anomalies: Vec<Anomaly>,
    /// Who the source is.
    pub src_role: Role,
    /// VLAN identifiers, outer first.
    pub vlan: Vec<u16>,
    /// The encapsulations taken off, outer first.
    pub tunnel: Vec<&'static str>,
    /// Number of the packet that completed the query, or of the response's where there was none.
    pub packet: u64,
    /// Number of the packet that completed the response.
    pub response_packet: Option<u64>,
    /// The same for the same transaction, whoever replays it.
    pub event_id: [u8; 16],
    /// What a rule's lookups added; nothing as long as it is no hit of one that has any.
    pub added: Vec<Added>,
    /// Its messages and their packets, where somebody wants them; no field.
    pub wire: Option<Arc<Wire>>,
}

/// Of nothing: a place for an event to be made in.
impl Default for Event {
    fn default() -> Self {
        Self {
            time: Timestamp::MIN,
            sensor: Arc::from(""),
            source: Arc::from(""),
            zone: None,
            seen: Seen::QueryOnly,
            src: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            src_port: 0,
            src_mac: None,
            dest: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            dest_port: 0,
            dest_mac: None,
            src_asset: None,
            dest_asset: None,
            transport: Transport::Udp,
            transaction_id: 0,
            opcode: Cow::Borrowed(""),
            header_flags: 0,
            query: String::new(),
            query_spelled: String::new(),
            other_questions: Vec::new(),
            record_type: Cow::Borrowed(""),
            query_class: Cow::Borrowed(""),
            query_count: 0,
            answer_count: 0,
            authority_answer_count: 0,
            additional_answer_count: 0,
            reply_code: None,
            answers: Vec::new(),
            duration: None,
            edns: None,
            edns_options: Vec::new(),
            outcome: Outcome::Unanswered,
            anomalies: Vec::new(),
            src_role: Role::Client,
            vlan: Vec::new(),
            tunnel: Vec::new(),
            packet: 0,
            response_packet: None,
            event_id: [0; 16],
            added: Vec::new(),
            wire: None,
        }
    }
}

impl Event {
    /// Whether recursion was asked for: the RD bit (RFC 1035, section 4.1.1), which a response repeats.
    #[must_use]
    pub const fn recursion_desired(&self) -> bool {
        self.header_flags & 0x0100 != 0
    }

    /// Calls `take` with each value of a field, in order; not at all where the field is absent.
    pub fn each<'a>(&'a self, field: Field, take: &mut dyn FnMut(Value<'a>)) {
        self.each_about(field, &self.query, take);
    }

    /// The same, with another of the event's questions as `query` and in what is computed of it.
    pub fn each_about<'a>(&'a self, field: Field, query: &'a str, take: &mut dyn FnMut(Value<'a>)) {
        let text = |text: &'a str| Value::Text(Cow::Borrowed(text));
        let number = |number: u16| Value::Number(u64::from(number));
        match field {
            Field::Time => take(Value::Time(self.time)),
            Field::Host => take(text(&self.sensor)),
            Field::Source => take(text(&self.source)),
            Field::Sourcetype => take(text(SOURCETYPE)),
            Field::CimEntityZone => {
                if let Some(zone) = &self.zone {
                    take(text(zone));
                }
            }
            Field::AdditionalAnswerCount => take(number(self.additional_answer_count)),
            Field::AuthorityAnswerCount => take(number(self.authority_answer_count)),
            Field::AnswerCount => take(number(self.answer_count)),
            Field::QueryCount => take(number(self.query_count)),
            Field::Answer => {
                if self.answers.is_empty() {
                    take(text("unknown"));
                }
                for record in &self.answers {
                    take(text(&record.data));
                }
            }
            Field::Dest | Field::DestIp => take(Value::Address(self.dest)),
            Field::DestPort => take(number(self.dest_port)),
            Field::DestMac => {
                if let Some(mac) = self.dest_mac {
                    take(Value::Mac(mac));
                }
            }
            Field::Src | Field::SrcIp => take(Value::Address(self.src)),
            Field::SrcPort => take(number(self.src_port)),
            Field::SrcMac => {
                if let Some(mac) = self.src_mac {
                    take(Value::Mac(mac));
                }
            }
            Field::DestBunit | Field::DestCategory | Field::DestPriority => {
                each_of_asset(field, self.dest_asset.as_deref(), take);
            }
            Field::SrcBunit | Field::SrcCategory | Field::SrcPriority => {
                each_of_asset(field, self.src_asset.as_deref(), take);
            }
            Field::Duration | Field::ResponseTime => {
                if let Some(duration) = self.duration {
                    take(Value::Decimal(duration));
                }
            }
            Field::MessageType => take(text(match self.seen {
                Seen::QueryOnly => "Query",
                Seen::Both | Seen::ResponseOnly => "Response",
            })),
            Field::Name => take(text(self.seen.name())),
            Field::Query => take(text(query)),
            Field::QueryLength
            | Field::LabelCount
            | Field::Tld
            | Field::RegisteredDomain
            | Field::Subdomain
            | Field::ParentDomain
            | Field::QueryEntropy => {
                if self.record_type != NO_QUESTION
                    && let Some(Some(value)) = of_name(field, query)
                {
                    take(value);
                }
            }
            Field::AnswerLength => self
                .answers
                .iter()
                .for_each(|record| take(Value::Number(record.data.len() as u64))),
            Field::QuerySpelled => take(text(&self.query_spelled)),
            Field::OtherQuestions => self
                .other_questions
                .iter()
                .for_each(|name| take(text(name))),
            Field::QueryType => take(text(self.query_type())),
            Field::RecordType => take(text(&self.record_type)),
            Field::QueryClass => take(text(&self.query_class)),
            Field::ReplyCode => take(text(reply_code_phrase(self.reply_code))),
            Field::ReplyCodeId => take(match self.reply_code {
                Some(code) => Value::Text(Cow::Owned(code.to_string())),
                None => text("unknown"),
            }),
            Field::Tag => TAGS.into_iter().for_each(|tag| take(text(tag))),
            Field::TransactionId => take(number(self.transaction_id)),
            Field::Transport => take(text(self.transport.name())),
            Field::Ttl => {
                if let Some(ttl) = self.ttl() {
                    take(Value::Number(u64::from(ttl)));
                }
            }
            Field::VendorProduct => take(text(VENDOR_PRODUCT)),
            Field::EventId => take(Value::Id(self.event_id)),
            Field::Outcome => take(text(self.outcome.name())),
            Field::Anomalies => {
                for anomaly in &self.anomalies {
                    take(Value::Text(Cow::Owned(anomaly.to_string())));
                }
            }
            Field::Opcode => take(text(&self.opcode)),
            Field::Flags => self.flags().for_each(|flag| take(text(flag))),
            Field::EdnsVersion => {
                if let Some(edns) = &self.edns {
                    take(number(u16::from(edns.version)));
                }
            }
            Field::EdnsUdpSize => {
                if let Some(edns) = &self.edns {
                    take(number(edns.udp_size));
                }
            }
            Field::EdnsDo => {
                if let Some(edns) = &self.edns {
                    take(Value::Flag(edns.dnssec_ok));
                }
            }
            Field::EdnsOptions => self
                .edns_options
                .iter()
                .for_each(|option| take(text(option))),
            Field::ClientSubnet => {
                if let Some(subnet) = self.client_subnet() {
                    take(text(subnet));
                }
            }
            Field::ClientHint => {
                if let Some(subnet) = self.client_subnet().filter(|subnet| self.hints(subnet)) {
                    take(text(subnet));
                }
            }
            Field::SrcRole => take(text(self.src_role.name())),
            Field::Vlan => self.vlan.iter().for_each(|id| take(number(*id))),
            Field::Tunnel => self.tunnel.iter().for_each(|layer| take(text(layer))),
            Field::Packet => take(Value::Number(self.packet)),
            Field::ResponsePacket => {
                if let Some(packet) = self.response_packet {
                    take(Value::Number(packet));
                }
            }
            Field::Added(_) => {
                let added = self.added.iter().filter(|added| added.field == field);
                added
                    .flat_map(|added| &added.values)
                    .for_each(|value| take(text(value)));
            }
        }
    }

    /// What was asked for: the QTYPE's mnemonic where the opcode is QUERY, else the opcode's.
    fn query_type(&self) -> &Cow<'static, str> {
        if self.opcode == "QUERY" {
            &self.record_type
        } else {
            &self.opcode
        }
    }

    /// The smallest TTL of the answer section.
    fn ttl(&self) -> Option<u32> {
        self.answers.iter().map(|record| record.ttl).min()
    }

    /// The header's flags that are set.
    fn flags(&self) -> impl Iterator<Item = &'static str> {
        let set = FLAGS
            .into_iter()
            .filter(|(bit, _)| self.header_flags & bit != 0);
        set.map(|(_, name)| name)
    }

    /// Whether a client subnet speaks of somebody else than the source. One of no bits asks that nothing be said (RFC 7871,
    /// section 7.1.2); a client may name its own network.
    fn hints(&self, subnet: &str) -> bool {
        let network = subnet.parse::<ipnet::IpNet>().ok();
        let says_something = network.is_none_or(|network| network.prefix_len() > 0);
        let is_own = network.is_some_and(|network| network.contains(&self.src));
        says_something && (self.src_role != Role::Client || !is_own)
    }

    fn client_subnet(&self) -> Option<&str> {
        self.edns
            .as_ref()
            .and_then(|edns| edns.client_subnet.as_deref())
    }
}

/// What `sourcetype` is.
const SOURCETYPE: &str = "dnsterrier:dns";
/// What `vendor_product` is.
const VENDOR_PRODUCT: &str = "dnsterrier";
/// What `tag` is: by these the CIM finds the event.
const TAGS: [&str; 3] = ["network", "resolution", "dns"];

/// What `query` and `record_type` are where there is no question.
pub const NO_QUESTION: &str = "unknown";

/// The value of a field that is computed of the name in a question alone, where there is one; `None` for other fields.
#[must_use]
pub fn of_name(field: Field, name: &str) -> Option<Option<Value<'_>>> {
    let number = |number: usize| Some(Value::Number(number as u64));
    let text = |text| Value::Text(Cow::Borrowed(text));
    match field {
        Field::QueryLength => Some(number(name.len())),
        Field::LabelCount => Some(number(derived::labels(name).count())),
        Field::Tld => Some(derived::tld(name).map(text)),
        Field::RegisteredDomain => Some(derived::registered_domain(name).map(text)),
        Field::Subdomain => Some(derived::subdomain(name).map(text)),
        Field::ParentDomain => Some(derived::parent_domain(name).map(text)),
        Field::QueryEntropy => Some(Some(Value::Decimal(derived::entropy(name)))),
        _ => None,
    }
}

/// The values of a field that comes from the list of assets.
fn each_of_asset<'a>(field: Field, asset: Option<&'a Asset>, take: &mut dyn FnMut(Value<'a>)) {
    let Some(asset) = asset else {
        return;
    };
    let values: &[Box<str>] = match field {
        Field::DestBunit | Field::SrcBunit => asset.bunit.as_slice(),
        Field::DestPriority | Field::SrcPriority => asset.priority.as_slice(),
        _ => &asset.category,
    };
    for value in values {
        take(Value::Text(Cow::Borrowed(value)));
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.serialize_into(&mut map)?;
        map.end()
    }
}

impl Event {
    /// Writes the event's fields into a map that may hold others already.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.serialize_fields(Field::ALL, map)?;
        self.serialize_added(map)?;
        map.serialize_entry("answers", &self.answers)
    }

    /// Writes those fields that are there into a map.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize_fields<M: SerializeMap>(
        &self,
        fields: &[Field],
        map: &mut M,
    ) -> Result<(), M::Error> {
        for &field in fields {
            match field.kind() {
                _ if self.is_absent(field) => {}
                Kind::Many => map.serialize_entry(field.name(), &Values { event: self, field })?,
                Kind::One => {
                    let mut result = Ok(());
                    self.each(field, &mut |value| {
                        result = map.serialize_entry(field.name(), &value)
                    });
                    result?;
                }
            }
        }
        Ok(())
    }

    /// Whether a list is not even an empty one.
    fn is_absent(&self, field: Field) -> bool {
        match field {
            Field::DestCategory => self.dest_asset.is_none(),
            Field::SrcCategory => self.src_asset.is_none(),
            _ => false,
        }
    }

    /// Writes what lookups added into a map.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize_added<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        for added in &self.added {
            match added.values.first() {
                _ if added.is_list => map.serialize_entry(added.field.name(), &added.values)?,
                Some(value) => map.serialize_entry(added.field.name(), value)?,
                None => {}
            }
        }
        Ok(())
    }

    /// The class's mnemonic of an answer. In multicast DNS its top bit is not the class's: it tells to forget older records
    /// (RFC 6762, 10.2).
    #[must_use]
    pub fn class_of(&self, answer: &Record) -> Cow<'static, str> {
        let is_mdns = self.anomalies.contains(&Anomaly::Mdns);
        class_name(if is_mdns {
            answer.class & 0x7FFF
        } else {
            answer.class
        })
    }
}

/// The header's flags by their bits (RFC 1035, 4.1.1; RFC 4035, 3.1.6), in the order in which dig prints them.
const FLAGS: [(u16, &str); 6] = [
    (0x0400, "aa"),
    (0x0200, "tc"),
    (0x0100, "rd"),
    (0x0080, "ra"),
    (0x0020, "ad"),
    (0x0010, "cd"),
];

/// The CIM's phrase for an RCODE, `unknown` without one.
#[must_use]
pub fn reply_code_phrase(code: Option<u16>) -> &'static str {
    match code {
        Some(0) => "No Error",
        Some(1) => "Format Error",
        Some(2) => "Server Failure",
        Some(3) => "Non-Existent Domain",
        Some(4) => "Not Implemented",
        Some(5) => "Query Refused",
        Some(6) => "Name Exists when it should not",
        Some(7) => "RR Set Exists when it should not",
        Some(8) => "RR Set that should exist does not",
        Some(9) => "Not Authorized",
        Some(10) => "Name not contained in zone",
        Some(11..=15) => "Unassigned",
        Some(16) => "TSIG Signature Failure",
        Some(17) => "Key not recognized",
        Some(18) => "Signature out of time window",
        Some(19) => "Bad TKEY Mode",
        Some(20) => "Duplicate key name",
        Some(21) => "Algorithm not supported",
        Some(22) => "Bad Truncation",
        Some(3841..=4095) => "Reserved for Private Use",
        _ => "unknown",
    }
}
