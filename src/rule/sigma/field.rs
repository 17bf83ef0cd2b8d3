//! The names that other sensors give to what an event says, and what no packet shows.

use crate::event::Field;
use crate::message::record_type_name;
use crate::rule::pattern::{Patterns, Shape};
use crate::rule::spelling::{alternatives, nearest};
use crate::rule::{Against, Comparison, Condition, Relation, Test};

/// What a field of a Sigma rule is here.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    /// That field.
    Field(Field),
    /// It is written otherwise than here: each of its values is a condition, and nothing but whole values can be asked.
    Coded(&'static Code),
    /// No packet shows it.
    Unseen(&'static str),
}

/// How the values of a field are said in conditions.
#[derive(Debug)]
pub(super) struct Code {
    /// What must hold for a value; `None` where there is no such value.
    pub(super) condition: fn(&str) -> Option<Condition>,
    /// The values that there are, in words.
    pub(super) values: &'static str,
}

/// Whatever the event is.
fn always() -> Condition {
    Condition::All(Vec::new())
}

fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

/// That a field has this text, whatever its case.
fn is(field: Field, text: &str) -> Condition {
    let mut patterns = Patterns::new();
    // One short text: there is always room.
    match patterns.add(Shape::Glob, text) {
        Ok(()) => Condition::covered(field, patterns),
        Err(_) => Condition::default(),
    }
}

fn is_number(field: Field, number: u32) -> Condition {
    let billionths = i128::from(number).saturating_mul(1_000_000_000);
    Condition::Compare(Comparison {
        field,
        every: false,
        tests: vec![Test {
            negated: false,
            against: Against::Number(Relation::Equal, billionths),
        }],
    })
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" | "yes" => Some(true),
        "false" | "f" | "0" | "no" => Some(false),
        _ => None,
    }
}

/// A flag of the header of the response, where one was seen.
fn flag(name: &str, text: &str) -> Option<Condition> {
    let is_set = is(Field::Flags, name);
    yes_or_no(text).map(|yes| if yes { is_set } else { not(is_set) })
}

const TRUTH: &str = "true or false";

/// QTYPE, as a number or by its mnemonic.
const QTYPE: Code = Code {
    condition: |text| {
        let name = match text.parse::<u16>() {
            Ok(number) => record_type_name(number).into_owned(),
            Err(_)
                if text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') =>
            {
                text.to_owned()
            }
            Err(_) => return None,
        };
        Some(is(Field::RecordType, &name))
    },
    values: "a type's number or mnemonic, such as 16 or TXT",
};

const QCLASS: Code = Code {
    condition: |text| {
        let class = match text.to_ascii_uppercase().as_str() {
            "1" | "IN" | "C_INTERNET" => "IN",
            "3" | "CH" | "C_CHAOS" => "CH",
            "4" | "HS" | "C_HESIOD" => "HS",
            "255" | "ANY" | "*" | "C_ANY" => "ANY",
            _ => return None,
        };
        Some(is(Field::QueryClass, class))
    },
    values: "1, IN, C_INTERNET and the like",
};

/// RCODE, as a number or by its mnemonic (RFC 6895, section 2.3).
const RCODE: Code = Code {
    condition: |text| {
        let number = match text.to_ascii_uppercase().as_str() {
            "NOERROR" => 0,
            "FORMERR" => 1,
            "SERVFAIL" => 2,
            "NXDOMAIN" => 3,
            "NOTIMP" => 4,
            "REFUSED" => 5,
            "YXDOMAIN" => 6,
            "YXRRSET" => 7,
            "NXRRSET" => 8,
            "NOTAUTH" => 9,
            "NOTZONE" => 10,
            "BADVERS" | "BADSIG" => 16,
            "BADKEY" => 17,
            "BADTIME" => 18,
            "BADMODE" => 19,
            "BADNAME" => 20,
            "BADALG" => 21,
            "BADTRUNC" => 22,
            "BADCOOKIE" => 23,
            other => u32::from(other.parse::<u16>().ok()?),
        };
        Some(is_number(Field::ReplyCodeId, number))
    },
    values: "a number or a mnemonic, such as 3 or NXDOMAIN",
};

/// What Windows says of a lookup: 0, or one of its error codes.
const STATUS: Code = Code {
    condition: |text| {
        Some(match text.parse::<u32>().ok()? {
            0 => Condition::All(vec![
                is_number(Field::ReplyCodeId, 0),
                not(is(Field::Outcome, "nodata")),
            ]),
            code @ 9_001..=9_010 => is_number(Field::ReplyCodeId, code.saturating_sub(9_000)),
            9_501 => is(Field::Outcome, "nodata"),
            1_460 => is(Field::Outcome, "unanswered"),
            _ => return None,
        })
    },
    values: "0, 9001 to 9010 (RCODE and 9000), 9501 (no records) or 1460 (timeout)",
};

/// Which events of Windows are lookups.
const EVENT_ID: Code = Code {
    condition: |text| {
        Some(match text.parse::<u32>().ok()? {
            22 | 256 | 3_006 | 3_008 | 3_020 => always(),
            257 => is(Field::MessageType, "Response"),
            258 => Condition::All(vec![
                is(Field::MessageType, "Response"),
                not(is_number(Field::ReplyCodeId, 0)),
            ]),
            _ => return None,
        })
    },
    values: "one that is a lookup: 22 (Sysmon), 3006, 3008, 3020 (dns-client), 256, 257, 258 (dns-server-analytic); no packet shows what a server or a host writes of itself",
};

const OVER_TCP: Code = Code {
    condition: |text| {
        let tcp = is(Field::Transport, "tcp");
        yes_or_no(text).map(|yes| if yes { tcp } else { not(tcp) })
    },
    values: TRUTH,
};

/// Zeek: a response without any record.
const REJECTED: Code = Code {
    condition: |text| {
        let rejected = Condition::All(vec![
            is(Field::MessageType, "Response"),
            is_number(Field::AnswerCount, 0),
            is_number(Field::AuthorityAnswerCount, 0),
            is_number(Field::AdditionalAnswerCount, 0),
        ]);
        yes_or_no(text).map(|yes| if yes { rejected } else { not(rejected) })
    },
    values: TRUTH,
};

const AA: Code = Code {
    condition: |text| flag("aa", text),
    values: TRUTH,
};
const TC: Code = Code {
    condition: |text| flag("tc", text),
    values: TRUTH,
};
const RD: Code = Code {
    condition: |text| flag("rd", text),
    values: TRUTH,
};
const RA: Code = Code {
    condition: |text| flag("ra", text),
    values: TRUTH,
};
const AD: Code = Code {
    condition: |text| flag("ad", text),
    values: TRUTH,
};
const CD: Code = Code {
    condition: |text| flag("cd", text),
    values: TRUTH,
};

const PROCESS: &str = "which process asks is seen on its host alone";
const PERSON: &str = "who is logged on is seen on the host alone";
const HOST: &str = "the name of the host that logged is in no packet; `src` is its address";
const LOG: &str = "it is of the log, not of the lookup";

use Meaning::{Coded, Field as Is, Unseen};

/// The names that Sysmon, Windows, Zeek, the Elastic Common Schema and Sigma's own taxonomy have, beside the event's own.
const NAMES: &[(&str, Meaning)] = &[
    ("QueryName", Is(Field::Query)),
    ("QNAME", Is(Field::Query)),
    ("dns_query", Is(Field::Query)),
    ("dns_query_name", Is(Field::Query)),
    ("dns.question.name", Is(Field::Query)),
    (
        "dns.question.registered_domain",
        Is(Field::RegisteredDomain),
    ),
    ("dns.question.subdomain", Is(Field::Subdomain)),
    ("dns.question.top_level_domain", Is(Field::Tld)),
    ("answers", Is(Field::Answer)),
    ("r_data", Is(Field::Answer)),
    ("rdata", Is(Field::Answer)),
    ("QueryResults", Is(Field::Answer)),
    ("dns.answers.data", Is(Field::Answer)),
    ("dns.resolved_ip", Is(Field::Answer)),
    ("qtype_name", Is(Field::RecordType)),
    ("dns.question.type", Is(Field::RecordType)),
    ("qtype", Coded(&QTYPE)),
    ("QTYPE", Coded(&QTYPE)),
    ("QueryType", Coded(&QTYPE)),
    ("qclass", Coded(&QCLASS)),
    ("qclass_name", Coded(&QCLASS)),
    ("dns.question.class", Coded(&QCLASS)),
    ("rcode", Coded(&RCODE)),
    ("RCODE", Coded(&RCODE)),
    ("rcode_name", Coded(&RCODE)),
    ("dns.response_code", Coded(&RCODE)),
    ("QueryStatus", Coded(&STATUS)),
    ("EventID", Coded(&EVENT_ID)),
    ("id.orig_h", Is(Field::Src)),
    ("src_host", Is(Field::Src)),
    ("SourceIp", Is(Field::Src)),
    ("SourceAddress", Is(Field::Src)),
    ("Source", Is(Field::Src)),
    ("source.ip", Is(Field::Src)),
    ("client_ip", Is(Field::Src)),
    ("id.orig_p", Is(Field::SrcPort)),
    ("SourcePort", Is(Field::SrcPort)),
    ("source.port", Is(Field::SrcPort)),
    ("id.resp_h", Is(Field::Dest)),
    ("dst", Is(Field::Dest)),
    ("dst_ip", Is(Field::Dest)),
    ("DestinationIp", Is(Field::Dest)),
    ("DestAddress", Is(Field::Dest)),
    ("Destination", Is(Field::Dest)),
    ("destination.ip", Is(Field::Dest)),
    ("id.resp_p", Is(Field::DestPort)),
    ("dst_port", Is(Field::DestPort)),
    ("DestinationPort", Is(Field::DestPort)),
    ("destination.port", Is(Field::DestPort)),
    ("proto", Is(Field::Transport)),
    ("Protocol", Is(Field::Transport)),
    ("network.transport", Is(Field::Transport)),
    ("TCP", Coded(&OVER_TCP)),
    ("trans_id", Is(Field::TransactionId)),
    ("XID", Is(Field::TransactionId)),
    ("dns.id", Is(Field::TransactionId)),
    ("rtt", Is(Field::Duration)),
    ("TTL", Is(Field::Ttl)),
    ("TTLs", Is(Field::Ttl)),
    ("ts", Is(Field::Time)),
    ("UtcTime", Is(Field::Time)),
    ("TimeCreated", Is(Field::Time)),
    ("@timestamp", Is(Field::Time)),
    ("rejected", Coded(&REJECTED)),
    ("AA", Coded(&AA)),
    ("TC", Coded(&TC)),
    ("RD", Coded(&RD)),
    ("RA", Coded(&RA)),
    ("AD", Coded(&AD)),
    ("CD", Coded(&CD)),
    (
        "Z",
        Unseen(
            "an event has no field for the bits that Zeek calls Z; `AD` and `CD` are two of them",
        ),
    ),
    ("Image", Unseen(PROCESS)),
    ("ParentImage", Unseen(PROCESS)),
    ("CommandLine", Unseen(PROCESS)),
    ("ParentCommandLine", Unseen(PROCESS)),
    ("CurrentDirectory", Unseen(PROCESS)),
    ("OriginalFileName", Unseen(PROCESS)),
    ("Company", Unseen(PROCESS)),
    ("Product", Unseen(PROCESS)),
    ("Hashes", Unseen(PROCESS)),
    ("IntegrityLevel", Unseen(PROCESS)),
    ("ProcessId", Unseen(PROCESS)),
    ("ProcessID", Unseen(PROCESS)),
    ("ProcessGuid", Unseen(PROCESS)),
    ("ProcessName", Unseen(PROCESS)),
    ("ThreadID", Unseen(PROCESS)),
    ("process.name", Unseen(PROCESS)),
    ("process.executable", Unseen(PROCESS)),
    ("process.pid", Unseen(PROCESS)),
    ("ClientPID", Unseen(PROCESS)),
    ("User", Unseen(PERSON)),
    ("UserName", Unseen(PERSON)),
    ("UserID", Unseen(PERSON)),
    ("user.name", Unseen(PERSON)),
    ("SubjectUserName", Unseen(PERSON)),
    ("TargetUserName", Unseen(PERSON)),
    ("LogonId", Unseen(PERSON)),
    ("Computer", Unseen(HOST)),
    ("ComputerName", Unseen(HOST)),
    ("Hostname", Unseen(HOST)),
    ("host.name", Unseen(HOST)),
    ("Channel", Unseen(LOG)),
    ("Provider_Name", Unseen(LOG)),
    ("Level", Unseen(LOG)),
    ("Keywords", Unseen(LOG)),
    ("RuleName", Unseen(LOG)),
    ("uid", Unseen(LOG)),
    (
        "QueryOptions",
        Unseen("with which options a program asks is seen on its host alone"),
    ),
    (
        "ServerList",
        Unseen("which resolvers a host could ask is seen on the host alone"),
    ),
    (
        "NetworkQueryIndex",
        Unseen("through which interface a host asks is seen on the host alone"),
    ),
    (
        "ErrorCode",
        Unseen("what a server writes of itself is in no packet"),
    ),
    (
        "param1",
        Unseen("what a server writes of itself is in no packet"),
    ),
];

/// What a field's name means.
pub(super) fn meaning(name: &str) -> Option<Meaning> {
    let listed = NAMES.iter().find(|(listed, _)| *listed == name);
    listed
        .map(|(_, meaning)| *meaning)
        .or_else(|| Field::from_name(name).map(Is))
}

/// What was expected in place of a name that means nothing.
pub(super) fn expected(name: &str) -> String {
    let own = Field::ALL.iter().chain(Field::DERIVED);
    let names = NAMES.iter().map(|(listed, _)| *listed);
    let near = nearest(name, own.map(|field| field.name()).chain(names));
    if near.is_empty() {
        "expected a field of the event, or what Sysmon, Windows or Zeek call it (docs/rules.md)"
            .to_owned()
    } else {
        format!("did you mean {}?", alternatives(&near))
    }
}

/// Whether an event says that it has no value of a field, and not by leaving the field out: it writes `unknown` there.
pub(super) fn is_there(field: Field) -> Condition {
    match field {
        Field::Answer => Condition::Exists(Field::AnswerLength),
        Field::Query | Field::RecordType | Field::QueryType => {
            not(is(Field::RecordType, crate::event::NO_QUESTION))
        }
        Field::ReplyCodeId | Field::ReplyCode => is(Field::MessageType, "Response"),
        other => Condition::Exists(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_listed_twice_or_hides_a_field_of_the_event() {
        for (place, (name, _)) in NAMES.iter().enumerate() {
            assert!(Field::from_name(name).is_none(), "{name}");
            let twice = NAMES.iter().skip(place + 1).any(|(other, _)| other == name);
            assert!(!twice, "{name}");
        }
    }
}
