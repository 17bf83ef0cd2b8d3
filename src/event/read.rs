//! An event is read again from the JSON that it was written as.
//!
//! What it is written with comes back the same, and so whatever a rule asks for. Not written, and so not read, are the class
//! of each answer, which is taken to be the question's, and the header's reserved bit.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;

use super::{Anomaly, Asset, Event, FLAGS, Outcome, Role, Seen};
use crate::frame::{Mac, Transport, Tunnel};
use crate::message::{Cut, Edns, Record, Section, class_number, opcode_name};
use crate::time::Timestamp;

/// The fields that others do not follow from, as they are written.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(rename = "_time")]
    time: Cow<'a, str>,
    host: String,
    source: String,
    cim_entity_zone: Option<String>,
    name: Cow<'a, str>,
    src: IpAddr,
    src_port: u16,
    src_mac: Option<Cow<'a, str>>,
    src_bunit: Option<Box<str>>,
    src_category: Option<Vec<Box<str>>>,
    src_priority: Option<Box<str>>,
    dest: IpAddr,
    dest_port: u16,
    dest_mac: Option<Cow<'a, str>>,
    dest_bunit: Option<Box<str>>,
    dest_category: Option<Vec<Box<str>>>,
    dest_priority: Option<Box<str>>,
    transport: Cow<'a, str>,
    transaction_id: u16,
    opcode: String,
    flags: Vec<Cow<'a, str>>,
    query: String,
    query_spelled: String,
    other_questions: Vec<String>,
    record_type: String,
    query_class: String,
    query_count: u16,
    answer_count: u16,
    authority_answer_count: u16,
    additional_answer_count: u16,
    reply_code_id: Cow<'a, str>,
    answers: Vec<WrittenRecord>,
    /// In seconds.
    duration: Option<f64>,
    edns_version: Option<u8>,
    edns_udp_size: Option<u16>,
    edns_do: Option<bool>,
    client_subnet: Option<String>,
    edns_options: Vec<String>,
    outcome: Cow<'a, str>,
    anomalies: Vec<Cow<'a, str>>,
    src_role: Cow<'a, str>,
    vlan: Vec<u16>,
    tunnel: Vec<Cow<'a, str>>,
    packet: u64,
    response_packet: Option<u64>,
    event_id: Cow<'a, str>,
}

/// A record of the answer section.
#[derive(Deserialize)]
struct WrittenRecord {
    name: String,
    #[serde(rename = "type")]
    record_type: String,
    ttl: u32,
    data: String,
}

impl Event {
    /// Reads an event that was written as JSON.
    ///
    /// # Errors
    /// What in it is no event's: it is of another version, or not of this program.
    pub fn read(json: &str) -> Result<Self, String> {
        let written: Written<'_> = serde_json::from_str(json).map_err(|error| error.to_string())?;
        written.event()
    }
}

impl Written<'_> {
    fn event(self) -> Result<Event, String> {
        let seen = known("name", &self.name, Seen::from_name)?;
        let reply_code = match seen {
            Seen::QueryOnly => None,
            Seen::Both | Seen::ResponseOnly => {
                Some(known("reply_code_id", &self.reply_code_id, |text| {
                    text.parse::<u16>().ok()
                })?)
            }
        };
        let mac = |field, text: Option<Cow<'_, str>>| {
            text.map(|text| known(field, &text, Mac::from_text))
                .transpose()
        };
        let class = class_number(&self.query_class).unwrap_or(1);
        Ok(Event {
            time: Timestamp::parse(&self.time)?,
            header_flags: header_flags(&self.opcode, &self.flags, reply_code)?,
            seen,
            src_mac: mac("src_mac", self.src_mac)?,
            dest_mac: mac("dest_mac", self.dest_mac)?,
            src_asset: asset(self.src_bunit, self.src_category, self.src_priority),
            dest_asset: asset(self.dest_bunit, self.dest_category, self.dest_priority),
            transport: known("transport", &self.transport, Transport::from_name)?,
            edns: self.edns_version.map(|version| Edns {
                version,
                udp_size: self.edns_udp_size.unwrap_or_default(),
                dnssec_ok: self.edns_do.unwrap_or_default(),
                client_subnet: self.client_subnet,
            }),
            outcome: known("outcome", &self.outcome, Outcome::from_name)?,
            anomalies: list("anomalies", &self.anomalies, Anomaly::from_text)?,
            src_role: known("src_role", &self.src_role, Role::from_name)?,
            tunnel: list("tunnel", &self.tunnel, |name| {
                Tunnel::from_name(name).map(Tunnel::name)
            })?,
            event_id: known("event_id", &self.event_id, identifier)?,
            reply_code,
            sensor: Arc::from(self.host),
            source: Arc::from(self.source),
            zone: self.cim_entity_zone.map(Arc::from),
            src: self.src,
            src_port: self.src_port,
            dest: self.dest,
            dest_port: self.dest_port,
            transaction_id: self.transaction_id,
            opcode: Cow::Owned(self.opcode),
            query: self.query,
            query_spelled: self.query_spelled,
            other_questions: self.other_questions,
            record_type: Cow::Owned(self.record_type),
            query_class: Cow::Owned(self.query_class),
            query_count: self.query_count,
            answer_count: self.answer_count,
            authority_answer_count: self.authority_answer_count,
            additional_answer_count: self.additional_answer_count,
            answers: self
                .answers
                .into_iter()
                .map(|record| record.of_class(class))
                .collect(),
            duration: self.duration.map(billionths),
            edns_options: self.edns_options,
            vlan: self.vlan,
            packet: self.packet,
            response_packet: self.response_packet,
            added: Vec::new(),
            wire: None,
        })
    }
}

impl WrittenRecord {
    fn of_class(self, class: u16) -> Record {
        Record {
            name: self.name,
            record_type: Cow::Owned(self.record_type),
            class,
            ttl: self.ttl,
            data: self.data,
        }
    }
}

/// What a field's text stands for.
fn known<T>(field: &str, text: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, String> {
    read(text).ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        format!("'{}' is no {field} of an event", shown.escape_debug())
    })
}

/// What the texts of a field stand for.
fn list<T>(
    field: &str,
    texts: &[Cow<'_, str>],
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, String> {
    texts.iter().map(|text| known(field, text, &read)).collect()
}

/// An address is in the list of assets where it has categories, if none.
fn asset(
    bunit: Option<Box<str>>,
    category: Option<Vec<Box<str>>>,
    priority: Option<Box<str>>,
) -> Option<Arc<Asset>> {
    Some(Arc::new(Asset {
        category: category?,
        bunit,
        priority,
    }))
}

/// The second 16 bits of the header (RFC 1035, 4.1.1).
fn header_flags(
    opcode: &str,
    flags: &[Cow<'_, str>],
    reply_code: Option<u16>,
) -> Result<u16, String> {
    let number = known("opcode", opcode, |text| {
        (0..16_u8).find(|number| opcode_name(*number) == text)
    })?;
    let mut bits = u16::from(number) << 11;
    if let Some(code) = reply_code {
        bits |= 0x8000 | (code & 0xF);
    }
    for flag in list("flag", flags, |name| {
        FLAGS.iter().find(|(_, known)| *known == name)
    })? {
        bits |= flag.0;
    }
    Ok(bits)
}

/// Seconds in billionths, which they were written of.
fn billionths(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64
}

/// 32 hexadecimal digits.
fn identifier(text: &str) -> Option<[u8; 16]> {
    let is_one = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok();
    number.filter(|_| is_one).map(u128::to_be_bytes)
}

impl Anomaly {
    /// The one that prints as this word; `None` where none does.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let of_section = |name: &str| {
            let opcodes = [0, 5];
            let mut names = Section::ALL
                .into_iter()
                .flat_map(|section| opcodes.map(|opcode| section.name(opcode)));
            names.find(|known| *known == name).map(Self::Malformed)
        };
        let of_cut = |name: &str| {
            let mut all = [Cut::Questions, Cut::Answers, Cut::Options]
                .map(Cut::name)
                .into_iter();
            all.find(|known| *known == name).map(Self::Cut)
        };
        match text.split_once(':') {
            Some(("retransmitted", times)) => return times.parse().ok().map(Self::Retransmitted),
            Some(("answered_from", address)) => {
                return address.parse().ok().map(Self::AnsweredFrom);
            }
            Some(("malformed", section)) => return of_section(section),
            _ => {}
        }
        let plain = [
            Self::Truncated,
            Self::TcpRetry,
            Self::Snaplen,
            Self::FragmentMissing,
            Self::LateResponse,
            Self::MultipleResponses,
            Self::ResponseFirst,
            Self::IdMismatch,
            Self::PortMismatch,
            Self::OtherPort,
            Self::AddressMissing,
            Self::Mdns,
            Self::Llmnr,
        ];
        let word = plain
            .into_iter()
            .find(|anomaly| anomaly.to_string() == text);
        word.or_else(|| text.strip_suffix("_cut").and_then(of_cut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_anomaly_is_read_as_it_prints() {
        let mut all = vec![
            Anomaly::Truncated,
            Anomaly::TcpRetry,
            Anomaly::Snaplen,
            Anomaly::FragmentMissing,
            Anomaly::Retransmitted(u32::MAX),
            Anomaly::LateResponse,
            Anomaly::MultipleResponses,
            Anomaly::ResponseFirst,
            Anomaly::IdMismatch,
            Anomaly::AnsweredFrom("192.0.2.1".parse().unwrap()),
            Anomaly::AnsweredFrom("2001:db8::1".parse().unwrap()),
            Anomaly::PortMismatch,
            Anomaly::OtherPort,
            Anomaly::AddressMissing,
            Anomaly::Mdns,
            Anomaly::Llmnr,
        ];
        for section in Section::ALL {
            all.extend([0, 5].map(|opcode| Anomaly::Malformed(section.name(opcode))));
        }
        let cuts = [Cut::Questions, Cut::Answers, Cut::Options];
        all.extend(cuts.map(|cut| Anomaly::Cut(cut.name())));
        for anomaly in all {
            assert_eq!(Anomaly::from_text(&anomaly.to_string()), Some(anomaly));
        }
        for odd in [
            "",
            "malformed",
            "malformed:",
            "retransmitted:-1",
            "cut",
            "_cut",
            "Mdns",
        ] {
            assert_eq!(Anomaly::from_text(odd), None, "{odd}");
        }
    }

    #[test]
    fn spans_are_read_to_the_nanosecond() {
        for nanoseconds in [0, 1, -1, 999_999_999, 5_000_000_001, 86_400_123_456_789] {
            assert_eq!(billionths(nanoseconds as f64 / 1e9), nanoseconds);
        }
    }
}
