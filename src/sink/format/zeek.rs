//! Zeek's `dns.log`, with the fields of `DNS::Info` in their order, tab-separated or as JSON. `docs/formats.md` has what
//! each comes from.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::presentation::{name, readable, strings};
use super::{End, has_question};
use crate::event::{Event, Record};
use crate::message::{class_number, record_type_number};
use crate::time::Timestamp;

/// The fields and their types.
const FIELDS: [(&str, &str); 24] = [
    ("ts", "time"),
    ("uid", "string"),
    ("id.orig_h", "addr"),
    ("id.orig_p", "port"),
    ("id.resp_h", "addr"),
    ("id.resp_p", "port"),
    ("proto", "enum"),
    ("trans_id", "count"),
    ("rtt", "interval"),
    ("query", "string"),
    ("qclass", "count"),
    ("qclass_name", "string"),
    ("qtype", "count"),
    ("qtype_name", "string"),
    ("rcode", "count"),
    ("rcode_name", "string"),
    ("AA", "bool"),
    ("TC", "bool"),
    ("RD", "bool"),
    ("RA", "bool"),
    ("Z", "count"),
    ("answers", "vector[string]"),
    ("TTLs", "vector[interval]"),
    ("rejected", "bool"),
];

const EMPTY: &[u8] = b"(empty)";
const UNSET: &[u8] = b"-";

/// The lines above the first record.
pub(super) fn head(opened: Timestamp) -> Vec<u8> {
    let fields = FIELDS.map(|(name, _)| name).join("\t");
    let types = FIELDS.map(|(_, kind)| kind).join("\t");
    let opened = stamp(opened);
    format!(
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n#open\t{opened}\n\
         #fields\t{fields}\n#types\t{types}\n"
    )
    .into_bytes()
}

/// The line below the last record.
pub(super) fn tail(closed: Timestamp) -> Vec<u8> {
    format!("#close\t{}\n", stamp(closed)).into_bytes()
}

fn stamp(time: Timestamp) -> String {
    time.in_form("%Y-%m-%d-%H-%M-%S")
}

/// A field's value.
enum Cell<'a> {
    Unset,
    /// Nanoseconds, of a time since the epoch.
    Seconds(i64),
    Count(u64),
    Bool(bool),
    Word(Cow<'a, str>),
    Address(IpAddr),
    Text(Vec<u8>),
    Texts(Vec<Vec<u8>>),
    /// Whole seconds.
    Intervals(Vec<u32>),
}

impl<T: Into<Self>> From<Option<T>> for Cell<'_> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Unset, Into::into)
    }
}

impl From<u16> for Cell<'_> {
    fn from(number: u16) -> Self {
        Self::Count(u64::from(number))
    }
}

impl From<IpAddr> for Cell<'_> {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl<'a> From<Cow<'a, str>> for Cell<'a> {
    fn from(word: Cow<'a, str>) -> Self {
        Self::Word(word)
    }
}

/// The values in the order of [`FIELDS`].
fn cells(event: &Event) -> [Cell<'_>; 24] {
    let [client, server] = End::of(event);
    let question = has_question(event);
    let class = class_number(&event.query_class).filter(|_| question);
    let kind = record_type_number(&event.record_type).filter(|_| question);
    let flag = |bit: u16| Cell::Bool(event.header_flags & bit != 0);
    let answered = !event.answers.is_empty();
    [
        Cell::Seconds(event.time.as_nanos()),
        Cell::Word(Cow::Owned(uid(event.event_id))),
        client.ip.into(),
        client.port.into(),
        server.ip.into(),
        server.port.into(),
        Cell::Word(Cow::Borrowed(event.transport.name())),
        event.transaction_id.into(),
        event.duration.map_or(Cell::Unset, Cell::Seconds),
        if question {
            Cell::Text(name(&event.query))
        } else {
            Cell::Unset
        },
        class.into(),
        class.map(class_name).into(),
        kind.into(),
        kind.map(|kind| type_name(kind, &event.record_type)).into(),
        event.reply_code.into(),
        event.reply_code.map(rcode_name).into(),
        flag(0x0400),
        flag(0x0200),
        flag(0x0100),
        flag(0x0080),
        Cell::Count(u64::from(event.header_flags >> 4 & 0x7)),
        if answered {
            Cell::Texts(event.answers.iter().map(answer).collect())
        } else {
            Cell::Unset
        },
        if answered {
            Cell::Intervals(event.answers.iter().map(|answer| answer.ttl).collect())
        } else {
            Cell::Unset
        },
        Cell::Bool(is_rejected(event)),
    ]
}

/// Whether the response passes nothing on: no record in any section, or an error without a question.
fn is_rejected(event: &Event) -> bool {
    let records = [
        event.answer_count,
        event.authority_answer_count,
        event.additional_answer_count,
    ];
    match event.reply_code {
        None => false,
        Some(code) if event.query_count == 0 => code != 0,
        Some(_) => records == [0; 3],
    }
}

/// A connection's identifier as Zeek makes them look: `C` and 96 bits to the base of 62. Of the lookup's own identity.
fn uid(id: [u8; 16]) -> String {
    const DIGITS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut number = u128::from_be_bytes(id) >> 32;
    let mut uid = String::from("C");
    while number > 0 {
        let digit = DIGITS.get((number % 62) as usize).copied().unwrap_or(b'a');
        uid.push(char::from(digit));
        number /= 62;
    }
    uid
}

fn class_name(class: u16) -> Cow<'static, str> {
    Cow::Borrowed(match class {
        1 => "C_INTERNET",
        2 => "C_CSNET",
        3 => "C_CHAOS",
        4 => "C_HESIOD",
        254 => "C_NONE",
        255 => "C_ANY",
        other => return Cow::Owned(format!("qclass-{other}")),
    })
}

fn type_name(number: u16, mnemonic: &str) -> Cow<'_, str> {
    if number == 255 {
        Cow::Borrowed("*")
    } else if mnemonic.starts_with("TYPE") {
        Cow::Owned(format!("query-{number}"))
    } else {
        Cow::Borrowed(mnemonic)
    }
}

fn rcode_name(code: u16) -> Cow<'static, str> {
    match code {
        8 => Cow::Borrowed("NXRRSet"),
        11..=15 => Cow::Owned(format!("unassigned-{code}")),
        _ => {
            let known = crate::message::rcode_name(code);
            if known.starts_with("RCODE") {
                Cow::Owned(format!("rcode-{code}"))
            } else {
                known
            }
        }
    }
}

/// An answer as Zeek's script words it; for types that it has no words for, RDATA in presentation form.
fn answer(record: &Record) -> Vec<u8> {
    worded(record).unwrap_or_else(|| record.data.clone().into_bytes())
}

fn worded(record: &Record) -> Option<Vec<u8>> {
    let data = record.data.as_str();
    if data.starts_with("\\#") {
        return None;
    }
    let word = |place: usize| data.split(' ').nth(place);
    let kind = record.record_type.as_ref();
    let text = match kind {
        "NS" | "CNAME" | "PTR" => return Some(name(data)),
        "SOA" => return word(0).map(name),
        "MX" => return word(1).map(name),
        "SRV" => return word(3).map(name),
        "TXT" | "SPF" => {
            let mut text = Vec::new();
            for string in strings(data)? {
                if !text.is_empty() {
                    text.push(b' ');
                }
                text.extend_from_slice(format!("{kind} {} ", string.len()).as_bytes());
                text.extend_from_slice(&string);
            }
            return Some(text);
        }
        "RRSIG" => {
            let covered = record_type_number(word(0)?)?;
            match word(7)? {
                "." => format!("RRSIG {covered} <Root>"),
                signer => format!("RRSIG {covered} {signer}"),
            }
        }
        "DNSKEY" => format!("DNSKEY {}", word(2)?),
        "DS" => format!("DS {} {}", word(1)?, word(2)?),
        "NSEC" => format!("NSEC {} {}", record.name, word(0)?),
        "NSEC3" | "NSEC3PARAM" => kind.to_owned(),
        "SSHFP" => format!("SSHFP: {}", word(2)?.to_ascii_lowercase()),
        _ => return None,
    };
    Some(text.into_bytes())
}

/// Appends a record with its line feed.
pub(super) fn line(event: &Event, out: &mut Vec<u8>) {
    for (place, cell) in cells(event).into_iter().enumerate() {
        if place > 0 {
            out.push(b'\t');
        }
        match cell {
            Cell::Unset => out.extend_from_slice(UNSET),
            Cell::Seconds(nanos) => out.extend_from_slice(seconds(nanos).as_bytes()),
            Cell::Count(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Cell::Bool(is_so) => out.push(if is_so { b'T' } else { b'F' }),
            Cell::Word(word) => out.extend_from_slice(word.as_bytes()),
            Cell::Address(address) => out.extend_from_slice(address.to_string().as_bytes()),
            Cell::Text(text) => escape(&text, false, out),
            Cell::Texts(texts) => join(&texts, out, |text, out| escape(text, true, out)),
            Cell::Intervals(list) => join(&list, out, |interval, out| {
                out.extend_from_slice(format!("{interval}.000000").as_bytes());
            }),
        }
    }
    out.push(b'\n');
}

fn join<T>(list: &[T], out: &mut Vec<u8>, mut write: impl FnMut(&T, &mut Vec<u8>)) {
    for (place, item) in list.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write(item, out);
    }
}

/// Appends text such that a reader of the log gets these bytes back.
fn escape(text: &[u8], in_list: bool, out: &mut Vec<u8>) {
    if text.is_empty() {
        out.extend_from_slice(EMPTY);
        return;
    }
    let is_mark = text == UNSET || text == EMPTY;
    for (place, &byte) in text.iter().enumerate() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b',' if in_list => hex(byte, out),
            _ if is_mark && place == 0 => hex(byte, out),
            b' '..=b'~' => out.push(byte),
            _ => hex(byte, out),
        }
    }
}

fn hex(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
}

/// Seconds to the microsecond.
fn seconds(nanos: i64) -> String {
    let micros = (nanos / 1_000).unsigned_abs();
    let sign = if nanos <= -1_000 { "-" } else { "" };
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// A record as JSON: what is unset is left out.
pub(super) struct Json<'a>(pub(super) &'a Event);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for ((name, _), cell) in FIELDS.into_iter().zip(cells(self.0)) {
            match cell {
                Cell::Unset => {}
                Cell::Seconds(nanos) => {
                    map.serialize_entry(name, &((nanos / 1_000) as f64 / 1e6))?;
                }
                Cell::Count(number) => map.serialize_entry(name, &number)?,
                Cell::Bool(is_so) => map.serialize_entry(name, &is_so)?,
                Cell::Word(word) => map.serialize_entry(name, &word)?,
                Cell::Address(address) => map.serialize_entry(name, &address)?,
                Cell::Text(text) => map.serialize_entry(name, &readable(&text))?,
                Cell::Texts(texts) => {
                    let texts: Vec<String> = texts.iter().map(|text| readable(text)).collect();
                    map.serialize_entry(name, &texts)?;
                }
                Cell::Intervals(list) => {
                    let list: Vec<f64> = list.into_iter().map(f64::from).collect();
                    map.serialize_entry(name, &list)?;
                }
            }
        }
        map.end()
    }
}
