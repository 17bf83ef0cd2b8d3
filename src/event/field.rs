//! The fields of an event by their names: one table from which the JSON, the CSV columns and the rules are fed.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use serde::ser::{Serialize, SerializeSeq, Serializer};

use super::Event;
use crate::frame::Mac;
use crate::time::Timestamp;

/// Whether a field has one value or a list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One value or none.
    One,
    /// Any number of values, an array in JSON also when there is one or none.
    Many,
}

macro_rules! fields {
    ($($variant:ident $name:literal $kind:ident $doc:literal;)+) => {
        /// A field of an event. The names are those of the CIM's Network_Resolution data model and of
        /// `docs/event.schema.json`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field { $(#[doc = $doc] $variant),+ }

        impl Field {
            /// All fields, in the order in which they are written.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in rules and in every output.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Whether it is a list.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind),+ }
            }

            /// The field of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

fields! {
    Time "_time" One "Capture time of the query; of the response where no query was seen.";
    Host "host" One "The sensor's name.";
    Source "source" One "The interface or capture file.";
    Sourcetype "sourcetype" One "`dnsterrier:dns`.";
    AdditionalAnswerCount "additional_answer_count" One "ARCOUNT of the response, of the query where nobody answered.";
    Answer "answer" Many "RDATA of every answer record in presentation form (RFC 1035, 5.1), `unknown` where there is none.";
    AnswerCount "answer_count" One "ANCOUNT.";
    AuthorityAnswerCount "authority_answer_count" One "NSCOUNT.";
    CimEntityZone "cim_entity_zone" One "As configured; absent otherwise.";
    Dest "dest" One "The resolver: where the query goes, where the response comes from.";
    DestIp "dest_ip" One "The same.";
    DestPort "dest_port" One "The resolver's port.";
    DestMac "dest_mac" One "The hardware address on the resolver's side of the link; absent where the link has none.";
    Duration "duration" One "Response time minus query time in seconds; absent where not both were seen.";
    MessageType "message_type" One "`Response` where one was seen, else `Query`.";
    Name "name" One "What was seen of the transaction.";
    Query "query" One "QNAME in lower case without the final dot; the root is `.`; `unknown` where there is no question.";
    QueryCount "query_count" One "QDCOUNT.";
    QueryType "query_type" One "The QTYPE's mnemonic where the opcode is QUERY, else the opcode's.";
    RecordType "record_type" One "The QTYPE's mnemonic, `TYPEn` for those without (RFC 3597).";
    ReplyCode "reply_code" One "The CIM's phrase for the RCODE.";
    ReplyCodeId "reply_code_id" One "RCODE, extended by EDNS (RFC 6891), in decimal as text; `unknown` without a response.";
    ResponseTime "response_time" One "The same as `duration`.";
    Src "src" One "The client, in both directions: the one that asked.";
    SrcIp "src_ip" One "The same.";
    SrcPort "src_port" One "The client's port.";
    SrcMac "src_mac" One "The hardware address on the client's side of the link; absent where the link has none.";
    Tag "tag" Many "`network`, `resolution`, `dns`.";
    TransactionId "transaction_id" One "The message ID.";
    Transport "transport" One "`udp` or `tcp`.";
    Ttl "ttl" One "The smallest TTL of the answer section in seconds; absent without answers.";
    VendorProduct "vendor_product" One "`dnsterrier`.";
    EventId "event_id" One "The same for the same transaction whoever replays it: 32 hexadecimal digits.";
    Outcome "outcome" One "What came of the lookup.";
    Anomalies "anomalies" Many "What was odd.";
    QuerySpelled "query_spelled" One "The name as it was spelled (0x20 case kept).";
    QueryClass "query_class" One "The QCLASS's mnemonic, `CLASSn` for those without.";
    OtherQuestions "other_questions" Many "The names of the second and later questions.";
    Opcode "opcode" One "The opcode's mnemonic.";
    Flags "flags" Many "Header flags that are set, as dig prints them: `aa tc rd ra ad cd`; of the response where one was seen.";
    EdnsVersion "edns_version" One "EDNS version; absent without EDNS.";
    EdnsUdpSize "edns_udp_size" One "The UDP payload size of the query's OPT record, of the response's where the query has none.";
    EdnsDo "edns_do" One "Whether DNSSEC records were asked for (DO bit); absent without EDNS.";
    EdnsOptions "edns_options" Many "The options of EDNS, the query's first, as `query:NAME=VALUE` and `response:NAME=VALUE`; without `=` where there is no value.";
    ClientSubnet "client_subnet" One "The client subnet option (RFC 7871) as `address/prefix`.";
    ClientHint "client_hint" One "The client subnet, where it speaks of somebody else than `src`: whom a resolver says it asks for; not to be trusted.";
    SrcRole "src_role" One "`client`, `resolver` or `nat`.";
    Vlan "vlan" Many "VLAN identifiers, outer first.";
    Tunnel "tunnel" Many "The encapsulations that were taken off, outer first; of more than eight the outer ones.";
    Packet "packet" One "Number of the packet in its source that completed the query; of the response where no query was seen.";
    ResponsePacket "response_packet" One "Number of the packet that completed the response; absent without one.";
}

/// One value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Number(u64),
    /// A span of time in nanoseconds, printed in seconds.
    Span(i64),
    /// An address.
    Address(IpAddr),
    /// A hardware address.
    Mac(Mac),
    /// A moment.
    Time(Timestamp),
    /// Yes or no.
    Flag(bool),
    /// An identifier, printed in hexadecimal.
    Id([u8; 16]),
}

impl Value<'_> {
    /// The value as text: what rules match and tables print.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text.as_ref()),
            other => Cow::Owned(other.to_string()),
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Span(nanos) => write!(f, "{}", seconds(*nanos)),
            Self::Address(address) => write!(f, "{address}"),
            Self::Mac(mac) => write!(f, "{mac}"),
            Self::Time(time) => write!(f, "{time}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Id(id) => {
                for byte in id {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Span(nanos) => serializer.serialize_f64(seconds(*nanos)),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            other => serializer.collect_str(other),
        }
    }
}

/// Nanoseconds as seconds; exact to the nanosecond for spans below 100 days.
fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

/// The values of one field of one event, as a JSON array.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The event.
    pub event: &'a Event,
    /// Which of its fields.
    pub field: Field,
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let mut result = Ok(());
        self.event.each(self.field, &mut |value| {
            if result.is_ok() {
                result = list.serialize_element(&value);
            }
        });
        result?;
        list.end()
    }
}
