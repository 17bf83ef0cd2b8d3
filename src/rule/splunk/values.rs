//! Values that other sources of the data model have where we have another: mapped where it is certain, said where not.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use crate::event::{Field, Seen, reply_code_phrase};
use crate::message::record_type_name;
use crate::rule::pattern::{Patterns, Shape};

/// What a value of a search is here.
pub(super) enum Ours {
    /// The same.
    Same,
    /// Other values, maybe of another field.
    Other(Field, Vec<String>),
    /// None of ours: why.
    Odd(String),
}

/// RCODEs as name servers and other sensors write them (IANA, DNS RCODEs), and the CIM's phrase for each.
const REPLY_CODES: [(&str, &str); 12] = [
    ("NOERROR", "No Error"),
    ("FORMERR", "Format Error"),
    ("SERVFAIL", "Server Failure"),
    ("NXDOMAIN", "Non-Existent Domain"),
    ("NOTIMP", "Not Implemented"),
    ("REFUSED", "Query Refused"),
    ("YXDOMAIN", "Name Exists when it should not"),
    ("YXRRSET", "RR Set Exists when it should not"),
    ("NXRRSET", "RR Set that should exist does not"),
    ("NOTAUTH", "Not Authorized"),
    ("NOTZONE", "Name not contained in zone"),
    ("BADSIG", "TSIG Signature Failure"),
];

/// The phrases that events have.
static PHRASES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut phrases: Vec<&str> = (0..=4095)
        .map(|code| reply_code_phrase(Some(code)))
        .collect();
    phrases.dedup();
    phrases
});

/// The mnemonics of record types.
static RECORD_TYPES: LazyLock<HashSet<Cow<'static, str>>> = LazyLock::new(|| {
    let known = |name: &Cow<'_, str>| matches!(name, Cow::Borrowed(_));
    (0..=u16::MAX).map(record_type_name).filter(known).collect()
});

/// The mnemonics of opcodes, which `query_type` has where the opcode is not QUERY.
const OPCODES: [&str; 6] = ["IQUERY", "STATUS", "NOTIFY", "UPDATE", "DSO", "unknown"];

/// What a value of a field is in our events.
pub(super) fn ours(field: Field, value: &str) -> Ours {
    let is = |word: &str| value.eq_ignore_ascii_case(word);
    let odd = |known: &[&str]| {
        let name = field.name();
        let known = known.join(", ");
        Ours::Odd(format!(
            "`{name}` is never '{value}' here; it is one of: {known}"
        ))
    };
    let is_one_of = |known: &[&str]| {
        let mut pattern = Patterns::new();
        pattern.add(Shape::Glob, value).is_ok() && known.iter().any(|known| pattern.cover(known))
    };
    match field {
        // An event is a query and its response together: where a query was seen, its `name` says so.
        Field::MessageType if is("query") => {
            let seen = [Seen::Both, Seen::QueryOnly];
            let names = seen.map(|seen| seen.name().to_owned());
            Ours::Other(Field::Name, names.to_vec())
        }
        Field::ReplyCode => {
            let phrase = REPLY_CODES.iter().find(|(mnemonic, _)| is(mnemonic));
            match phrase {
                Some((_, phrase)) => Ours::Other(field, vec![(*phrase).to_owned()]),
                None if is_one_of(&PHRASES) => Ours::Same,
                None => odd(&PHRASES),
            }
        }
        Field::RecordType | Field::QueryType if is("Pointer") => {
            Ours::Other(field, vec!["PTR".to_owned()])
        }
        Field::RecordType | Field::QueryType if !value.contains('*') => {
            let upper = value.to_ascii_uppercase();
            let is_number = upper
                .strip_prefix("TYPE")
                .is_some_and(|number| number.parse::<u16>().is_ok());
            let is_known = is_number
                || RECORD_TYPES.contains(upper.as_str())
                || OPCODES.iter().any(|opcode| is(opcode));
            match is_known {
                true => Ours::Same,
                false => Ours::Odd(format!(
                    "`{}` is never '{value}' here; it is a mnemonic such as A, PTR or TXT, or TYPE and a number",
                    field.name()
                )),
            }
        }
        // Names here do not end with a dot, so the root alone is anything and a dot.
        Field::Query | Field::Answer if value == "*." => Ours::Other(field, vec![".".to_owned()]),
        Field::Query => match value.strip_suffix('.') {
            Some(name) if !name.is_empty() && !name.ends_with(['*', '\\']) => {
                Ours::Other(field, vec![name.to_owned()])
            }
            _ => Ours::Same,
        },
        Field::MessageType if is_one_of(&["Query", "Response"]) => Ours::Same,
        Field::MessageType => odd(&["Query", "Response"]),
        Field::Transport if !is_one_of(&["udp", "tcp"]) => odd(&["udp", "tcp"]),
        Field::Sourcetype if !is_one_of(&["dnsterrier:dns"]) => odd(&["dnsterrier:dns"]),
        Field::VendorProduct if !is_one_of(&["dnsterrier"]) => odd(&["dnsterrier"]),
        _ => Ours::Same,
    }
}
