//! A record on its way to a place in the network, and what whoever brings it has to know of it.
//!
//! In our own words a record says so itself. In another tool's words it is wrapped:
//!
//! ```text
//! {"as":"ocsf","label":{"id":"...","_time":"...","host":"...","source":"..."},"record":{...}}
//! ```

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Stream;
use super::format::EventFormat;
use crate::time::Timestamp;

/// What a wrapped record begins with. No record of ours does: their first field is the stream's, never one that a rule names.
const WRAPPED: &[u8] = b"{\"as\":";

/// What is to be known of a record, in whatever words it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The same for the same record, whoever sends it again, and another one's for no other of its stream.
    pub id: String,
    /// Its time (RFC 3339): an event's own, the latest of what others speak of.
    #[serde(rename = "_time", skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The sensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The interface or capture file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A record, taken out of what it is wrapped in.
#[derive(Debug)]
pub struct Letter<'a> {
    /// In whose words it is, where these are not ours.
    pub words: Option<&'a str>,
    /// What is to be known of it.
    pub label: Label,
    /// The record: one object of JSON.
    pub record: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct Wrapped<'a> {
    #[serde(rename = "as")]
    words: &'a str,
    label: Label,
    #[serde(borrow)]
    record: &'a RawValue,
}

/// What our own records say; a column of a rule's may be called so, too, and hold something else.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Own {
    #[serde(rename = "_time")]
    time: Value,
    #[serde(rename = "lastTime")]
    last: Value,
    #[serde(rename = "encrypted_dns_lastTime")]
    last_encrypted: Value,
    host: Value,
    sensor: Value,
    source: Value,
    event_id: Value,
    rule: Value,
}

impl Own {
    fn label(self, stream: Stream) -> Label {
        let text = |value: Value| match value {
            Value::String(text) => Some(text),
            _ => None,
        };
        // A rule may call any column of its rows so.
        let time = |value: Value| text(value).filter(|time| Timestamp::parse(time).is_ok());
        let event_id = text(self.event_id).unwrap_or_default();
        Label {
            id: match text(self.rule) {
                Some(rule) if stream == Stream::Hits => hit_id(&event_id, &rule),
                _ => event_id,
            },
            time: time(self.time)
                .or(time(self.last))
                .or(time(self.last_encrypted)),
            host: text(self.host).or(text(self.sensor)),
            source: text(self.source),
        }
    }
}

/// The identity of a hit: an event is one for each rule that it matches. Of the rule it has a hash, since some places bound
/// how long an identity may be.
pub(super) fn hit_id(event_id: &str, rule: &str) -> String {
    let hash = blake3::hash(rule.as_bytes()).to_hex();
    format!("{event_id}-{}", hash.get(..16).unwrap_or_default())
}

/// What a record in our own words says of itself.
pub(super) fn label(stream: Stream, record: &impl Serialize) -> io::Result<Label> {
    let own: Own = serde_json::from_value(serde_json::to_value(record)?)?;
    Ok(own.label(stream))
}

/// Appends documents, a line each, that one record became; the second has an identity of its own, and so on.
pub(super) fn wrap(
    label: &Label,
    format: EventFormat,
    documents: &[u8],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let lines = documents.split(|byte| *byte == b'\n');
    for (place, line) in lines.filter(|line| !line.is_empty()).enumerate() {
        let mut label = label.clone();
        if place > 0 {
            label.id.push_str(&format!("-{}", place + 1));
        }
        let wrapped = Wrapped {
            words: format.name(),
            label,
            record: serde_json::from_slice(line)?,
        };
        serde_json::to_writer(&mut *out, &wrapped)?;
        out.push(b'\n');
    }
    Ok(())
}

/// Reads a line of a stream that goes to a place in the network; nothing where it is no record.
#[must_use]
pub fn open(stream: Stream, line: &[u8]) -> Option<Letter<'_>> {
    if line.starts_with(WRAPPED) {
        let wrapped: Wrapped<'_> = serde_json::from_slice(line).ok()?;
        return Some(Letter {
            words: Some(wrapped.words),
            label: wrapped.label,
            record: wrapped.record,
        });
    }
    let own: Own = serde_json::from_slice(line).ok()?;
    Some(Letter {
        words: None,
        label: own.label(stream),
        record: serde_json::from_slice(line).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrapped_comes_out_again() {
        let label = Label {
            id: "a".to_owned(),
            time: Some("2026-01-02T03:04:05.000006Z".to_owned()),
            host: Some("tap \"1\"".to_owned()),
            source: None,
        };
        let mut out = Vec::new();
        wrap(
            &label,
            EventFormat::Eve,
            b"{\"b\":1}\n{\"b\":2}\n",
            &mut out,
        )
        .unwrap();
        let lines: Vec<&[u8]> = out.split(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), 3);
        let [first, second] = [lines[0], lines[1]].map(|it| open(Stream::Events, it).unwrap());
        assert_eq!((first.words, &first.label), (Some("eve"), &label));
        assert_eq!(first.record.get(), "{\"b\":1}");
        assert_eq!(
            (second.label.id.as_str(), second.record.get()),
            ("a-2", "{\"b\":2}")
        );
    }

    #[test]
    fn our_own_records_speak_for_themselves() {
        let hit = br#"{"rule":"R","_time":"2026-01-02T03:04:05Z","host":"h","source":"s","event_id":"e"}"#;
        let of_hit = open(Stream::Hits, hit).unwrap();
        assert_eq!(of_hit.words, None);
        assert_eq!(of_hit.label.id, hit_id("e", "R"));
        assert_ne!(hit_id("e", "R"), hit_id("e", "S"));
        assert_eq!(of_hit.label.source.as_deref(), Some("s"));
        let row = br#"{"rule":"R","as":1,"host":2,"lastTime":"2026-01-02T03:04:05Z","sensor":"h","event_id":"e"}"#;
        let of_row = open(Stream::Rows, row).unwrap();
        assert_eq!(of_row.label.id, "e");
        assert_eq!(of_row.label.time.as_deref(), Some("2026-01-02T03:04:05Z"));
        assert_eq!(of_row.record.get().as_bytes(), row);
        assert!(open(Stream::Rows, b"nothing").is_none());
    }
}
