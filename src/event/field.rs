//! The fields of an event by their names: one table from which the JSON, the CSV columns and the rules are fed.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::ser::{Serialize, SerializeSeq, Serializer};

use super::Event;
use super::added::Name;
use super::json::Line;
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

/// What the values of a field can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text.
    Text,
    /// Numbers, or text that is a number.
    Number,
    /// Addresses, or text that may be an address or a network.
    Address,
    /// A moment.
    Time,
    /// Text that may be any of these but a moment.
    Any,
}

macro_rules! fields {
    (
        written { $($variant:ident $name:literal $kind:ident $type:ident $doc:literal;)+ }
        derived { $($derived:ident $derived_name:literal $derived_kind:ident $derived_type:ident $derived_doc:literal;)+ }
    ) => {
        /// A field of an event. The names are those of the CIM's Network_Resolution data model and of
        /// `docs/event.schema.json`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field { $(#[doc = $doc] $variant,)+ $(#[doc = $derived_doc] $derived,)+
            /// A column that a rule's lookup adds: events have it that are hits of that rule.
            Added(Name),
        }

        impl Field {
            /// The fields of an event as it is written, in that order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The fields that are computed from others where a rule names them, and that no event is written with.
            pub const DERIVED: &'static [Self] = &[$(Self::$derived),+];

            /// The name in rules and in every output.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ $(Self::$derived => $derived_name,)+ Self::Added(name) => name.text() }
            }

            /// Appends what a member of an object begins with that is not its first: a comma, the name, a colon.
            #[inline(always)]
            pub(super) fn begin_member(self, out: &mut Line<'_>) {
                match self {
                    $(Self::$variant => out.put(concat!(",\"", $name, "\":").as_bytes()),)+
                    other => {
                        out.put(b",\"");
                        out.put(other.name().as_bytes());
                        out.put(b"\":");
                    }
                }
            }

            /// Whether it is a list.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)+ $(Self::$derived => Kind::$derived_kind,)+ Self::Added(_) => Kind::Many }
            }

            /// What its values are.
            #[must_use]
            pub const fn value_type(self) -> Type {
                match self { $(Self::$variant => Type::$type,)+ $(Self::$derived => Type::$derived_type,)+ Self::Added(_) => Type::Any }
            }

            /// The field of that name; not of one that a lookup adds.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    $($derived_name => Some(Self::$derived),)+
                    _ => None,
                }
            }
        }
    };
}

fields! {
    written {
    Time "_time" One Time "Capture time of the query; of the response where no query was seen.";
    Host "host" One Text "The sensor's name.";
    Source "source" One Text "The interface or capture file.";
    Sourcetype "sourcetype" One Text "`dnsterrier:dns`.";
    AdditionalAnswerCount "additional_answer_count" One Number "ARCOUNT of the response, of the query where nobody answered.";
    Answer "answer" Many Address "RDATA of every answer record in presentation form (RFC 1035, 5.1), `unknown` where there is none.";
    AnswerCount "answer_count" One Number "ANCOUNT.";
    AuthorityAnswerCount "authority_answer_count" One Number "NSCOUNT.";
    CimEntityZone "cim_entity_zone" One Text "As configured; absent otherwise.";
    Dest "dest" One Address "The resolver: where the query goes, where the response comes from.";
    DestIp "dest_ip" One Address "The same.";
    DestPort "dest_port" One Number "The resolver's port.";
    DestMac "dest_mac" One Text "The hardware address on the resolver's side of the link; absent where the link has none.";
    DestBunit "dest_bunit" One Text "The business unit of `dest` in the list of assets; absent without one.";
    DestCategory "dest_category" Many Text "Its categories there; absent without one.";
    DestPriority "dest_priority" One Text "Its priority there; absent without one.";
    Duration "duration" One Number "Response time minus query time in seconds; absent where not both were seen.";
    MessageType "message_type" One Text "`Response` where one was seen, else `Query`.";
    Name "name" One Text "What was seen of the transaction.";
    Query "query" One Text "QNAME in lower case without the final dot; the root is `.`; `unknown` where there is no question.";
    QueryCount "query_count" One Number "QDCOUNT.";
    QueryType "query_type" One Text "The QTYPE's mnemonic where the opcode is QUERY, else the opcode's.";
    RecordType "record_type" One Text "The QTYPE's mnemonic, `TYPEn` for those without (RFC 3597).";
    ReplyCode "reply_code" One Text "The CIM's phrase for the RCODE.";
    ReplyCodeId "reply_code_id" One Number "RCODE, extended by EDNS (RFC 6891), in decimal as text; `unknown` without a response.";
    ResponseTime "response_time" One Number "The same as `duration`.";
    Src "src" One Address "The client, in both directions: the one that asked.";
    SrcIp "src_ip" One Address "The same.";
    SrcPort "src_port" One Number "The client's port.";
    SrcMac "src_mac" One Text "The hardware address on the client's side of the link; absent where the link has none.";
    SrcBunit "src_bunit" One Text "The business unit of `src` in the list of assets; absent without one.";
    SrcCategory "src_category" Many Text "Its categories there; absent without one.";
    SrcPriority "src_priority" One Text "Its priority there; absent without one.";
    Tag "tag" Many Text "`network`, `resolution`, `dns`.";
    TransactionId "transaction_id" One Number "The message ID.";
    Transport "transport" One Text "`udp` or `tcp`.";
    Ttl "ttl" One Number "The smallest TTL of the answer section in seconds; absent without answers.";
    VendorProduct "vendor_product" One Text "`dnsterrier`.";
    EventId "event_id" One Text "The same for the same transaction whoever replays it: 32 hexadecimal digits.";
    Outcome "outcome" One Text "What came of the lookup.";
    Anomalies "anomalies" Many Text "What was odd.";
    QuerySpelled "query_spelled" One Text "The name as it was spelled (0x20 case kept).";
    QueryClass "query_class" One Text "The QCLASS's mnemonic, `CLASSn` for those without.";
    OtherQuestions "other_questions" Many Text "The names of the second and later questions.";
    Opcode "opcode" One Text "The opcode's mnemonic.";
    Flags "flags" Many Text "Header flags that are set, as dig prints them: `aa tc rd ra ad cd`; of the response where one was seen.";
    EdnsVersion "edns_version" One Number "EDNS version; absent without EDNS.";
    EdnsUdpSize "edns_udp_size" One Number "The UDP payload size of the query's OPT record, of the response's where the query has none.";
    EdnsDo "edns_do" One Text "Whether DNSSEC records were asked for (DO bit); absent without EDNS.";
    EdnsOptions "edns_options" Many Text "The options of EDNS, the query's first, as `query:NAME=VALUE` and `response:NAME=VALUE`; without `=` where there is no value.";
    ClientSubnet "client_subnet" One Address "The client subnet option (RFC 7871) as `address/prefix`.";
    ClientHint "client_hint" One Address "The client subnet, where it speaks of somebody else than `src`: whom a resolver says it asks for; not to be trusted.";
    SrcRole "src_role" One Text "`client`, `resolver` or `nat`.";
    Vlan "vlan" Many Number "VLAN identifiers, outer first.";
    Tunnel "tunnel" Many Text "The encapsulations that were taken off, outer first; of more than eight the outer ones.";
    Packet "packet" One Number "Number of the packet in its source that completed the query; of the response where no query was seen.";
    ResponsePacket "response_packet" One Number "Number of the packet that completed the response; absent without one.";
    }
    derived {
    QueryLength "query_length" One Number "How many bytes `query` has as it is written.";
    LabelCount "label_count" One Number "How many labels the name has; the root has none.";
    Tld "tld" One Text "The last label.";
    RegisteredDomain "registered_domain" One Text "The name that somebody registered: one label more than the public suffix list has (its private part too, so that customers of one provider are apart).";
    Subdomain "subdomain" One Text "What stands before the registered domain, without the dot.";
    ParentDomain "parent_domain" One Text "The name without its first label.";
    QueryEntropy "query_entropy" One Number "Shannon's entropy of the bytes of `query`, in bits for each, to four decimals.";
    AnswerLength "answer_length" Many Number "How many bytes each answer has as it is written.";
    }
}

/// One value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Number(u64),
    /// A number in billionths; spans of time are in seconds.
    Decimal(i64),
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
    /// The value in billionths; `None` where it is no number, nor the text of one.
    #[must_use]
    pub fn billionths(&self) -> Option<i128> {
        match self {
            Self::Number(number) => Some(i128::from(*number).saturating_mul(BILLION)),
            Self::Decimal(billionths) => Some(i128::from(*billionths)),
            Self::Text(text) => billionths(text),
            Self::Time(time) => Some(i128::from(time.as_nanos())),
            Self::Address(_) | Self::Mac(_) | Self::Flag(_) | Self::Id(_) => None,
        }
    }

    /// The value with what it borrowed copied.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Number(number) => Value::Number(number),
            Self::Decimal(billionths) => Value::Decimal(billionths),
            Self::Address(address) => Value::Address(address),
            Self::Mac(mac) => Value::Mac(mac),
            Self::Time(time) => Value::Time(time),
            Self::Flag(flag) => Value::Flag(flag),
            Self::Id(id) => Value::Id(id),
        }
    }

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
            Self::Decimal(billionths) => write!(f, "{}", decimal(*billionths)),
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
            Self::Decimal(billionths) => serializer.serialize_f64(decimal(*billionths)),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            other => serializer.collect_str(other),
        }
    }
}

/// Billionths as a number; exact to all nine decimals below 8 million (of seconds: 100 days).
fn decimal(billionths: i64) -> f64 {
    billionths as f64 / 1e9
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

/// Reads a network, or an address as the network that holds it alone; `None` for anything else.
#[must_use]
pub fn network(text: &str) -> Option<IpNet> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.ok().or_else(|| text.parse().ok())
}

/// One in billionths.
const BILLION: i128 = 1_000_000_000;

/// Reads a decimal number (`-12.5`) as billionths; of more than nine decimals the first nine. `None` for anything else,
/// also for numbers of more than 18 digits before the point.
#[must_use]
pub fn billionths(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || whole.len() > 18 {
        return None;
    }
    let whole: i128 = whole.parse().ok()?;
    let mut parts: i128 = 0;
    for place in 0..9 {
        let digit = fraction.as_bytes().get(place).map_or(0, |byte| byte - b'0');
        parts = parts * 10 + i128::from(digit);
    }
    let number = whole * BILLION + parts;
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_to_the_ninth_decimal() {
        assert_eq!(billionths("0"), Some(0));
        assert_eq!(billionths("-12.5"), Some(-12_500_000_000));
        assert_eq!(billionths("3.1234567891"), Some(3_123_456_789));
        for odd in [
            "",
            "-",
            ".5",
            "5.",
            "1e3",
            "0x10",
            " 1",
            "1 ",
            "--1",
            "NaN",
            &"9".repeat(19),
        ] {
            assert_eq!(billionths(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn no_two_fields_share_a_name_and_each_is_found_by_its_own() {
        for &field in Field::ALL.iter().chain(Field::DERIVED) {
            assert_eq!(Field::from_name(field.name()), Some(field));
        }
    }
}
