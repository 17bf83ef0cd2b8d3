//! An event as JSON, written straight into a buffer: byte for byte what serde makes of it, for a fraction of the work. Most of
//! an event is names of fields, numbers and text that needs no escape.

use std::io::{self, Write};
use std::net::IpAddr;

use super::{Event, Field, Kind, Record, Value};

impl Event {
    /// Appends the event as one object of JSON, without a line feed.
    ///
    /// # Errors
    /// Those of serializing a number: none of those that events have.
    pub fn write_json(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let begin = out.len();
        self.write_members(out)?;
        // The first comma.
        if let Some(first) = out.get_mut(begin) {
            *first = b'{';
        }
        out.push(b'}');
        Ok(())
    }

    /// Appends the members of the object, a comma before each.
    ///
    /// # Errors
    /// As [`Self::write_json`].
    pub fn write_members(&self, out: &mut Vec<u8>) -> io::Result<()> {
        out.reserve(USUAL);
        let mut result = Ok(());
        for &field in Field::ALL {
            match field.kind() {
                Kind::Many if self.is_absent(field) => {}
                Kind::Many => {
                    field.begin_member(out);
                    out.push(b'[');
                    let begin = out.len();
                    self.each(field, &mut |value| {
                        if out.len() > begin {
                            out.push(b',');
                        }
                        write(&value, out, &mut result);
                    });
                    out.push(b']');
                }
                Kind::One => self.each(field, &mut |value| {
                    field.begin_member(out);
                    write(&value, out, &mut result);
                }),
            }
        }
        for added in &self.added {
            let mut values = added.values.iter().map(|value| &**value);
            if added.is_list {
                out.push(b',');
                text(added.field.name(), out);
                out.push(b':');
                list(values, out, text);
            } else if let Some(value) = values.next() {
                out.push(b',');
                text(added.field.name(), out);
                out.push(b':');
                text(value, out);
            }
        }
        out.extend_from_slice(b",\"answers\":");
        list(self.answers.iter(), out, answer);
        result
    }
}

/// Most events take fewer bytes.
const USUAL: usize = 2_048;

/// Appends a list.
fn list<T>(items: impl Iterator<Item = T>, out: &mut Vec<u8>, append: impl Fn(T, &mut Vec<u8>)) {
    out.push(b'[');
    let begin = out.len();
    for item in items {
        if out.len() > begin {
            out.push(b',');
        }
        append(item, out);
    }
    out.push(b']');
}

/// Appends a record of the answer section.
fn answer(record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"name\":");
    text(&record.name, out);
    out.extend_from_slice(b",\"type\":");
    text(&record.record_type, out);
    out.extend_from_slice(b",\"ttl\":");
    number(u64::from(record.ttl), out);
    out.extend_from_slice(b",\"data\":");
    text(&record.data, out);
    out.push(b'}');
}

/// Appends a value; what goes wrong is in `result`.
fn write(value: &Value<'_>, out: &mut Vec<u8>, result: &mut io::Result<()>) {
    match value {
        Value::Text(value) => text(value, out),
        Value::Number(value) => number(*value, out),
        Value::Flag(true) => out.extend_from_slice(b"true"),
        Value::Flag(false) => out.extend_from_slice(b"false"),
        Value::Address(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            out.push(b'"');
            number(u64::from(a), out);
            for octet in [b, c, d] {
                out.push(b'.');
                number(u64::from(octet), out);
            }
            out.push(b'"');
        }
        Value::Id(id) => {
            out.push(b'"');
            for byte in id {
                out.extend_from_slice(&hexadecimal(*byte));
            }
            out.push(b'"');
        }
        Value::Mac(mac) => {
            let [first, rest @ ..] = mac.0;
            out.push(b'"');
            out.extend_from_slice(&hexadecimal(first));
            for byte in rest {
                out.push(b':');
                out.extend_from_slice(&hexadecimal(byte));
            }
            out.push(b'"');
        }
        Value::Address(IpAddr::V6(_)) | Value::Time(_) => {
            if let Err(error) = write!(out, "\"{value}\"") {
                *result = Err(error);
            }
        }
        Value::Decimal(_) => {
            if let Err(error) = serde_json::to_writer(&mut *out, value) {
                *result = Err(error.into());
            }
        }
    }
}

/// Appends a number in decimal.
fn number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A byte as two hexadecimal digits.
const fn hexadecimal(byte: u8) -> [u8; 2] {
    const fn digit(value: u8) -> u8 {
        value + if value < 10 { b'0' } else { b'a' - 10 }
    }
    [digit(byte >> 4), digit(byte & 0x0F)]
}

/// Appends text in quotes, with what JSON wants escaped (RFC 8259, section 7).
fn text(value: &str, out: &mut Vec<u8>) {
    if needs_escape(value.as_bytes()) {
        escaped(value, out);
        return;
    }
    out.reserve(value.len() + 2);
    out.push(b'"');
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

#[cold]
fn escaped(value: &str, out: &mut Vec<u8>) {
    let begin = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        // Memory takes all that is written to it.
        out.truncate(begin);
        out.extend_from_slice(b"null");
    }
}

/// Whether there is a quotation mark, a backslash or a control character among the bytes.
#[inline]
fn needs_escape(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut found = words
        .iter()
        .fold(0, |found, word| found | special(u64::from_le_bytes(*word)));
    if !rest.is_empty() {
        found |= match bytes.last_chunk::<8>() {
            // Some of them once more.
            Some(last) => special(u64::from_le_bytes(*last)),
            None => rest.iter().fold(0, |found, byte| {
                found | special(0x2020_2020_2020_2000 | u64::from(*byte))
            }),
        };
    }
    found != 0
}

/// Not 0 where one of eight bytes is a quotation mark, a backslash or below a space ("Determine if a word has a byte less than
/// n", Bit Twiddling Hacks).
#[inline(always)]
const fn special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    const fn below(word: u64, limit: u64) -> u64 {
        word.wrapping_sub(ONES * limit) & !word & HIGH
    }
    below(word, 0x20)
        | below(word ^ (ONES * b'"' as u64), 1)
        | below(word ^ (ONES * b'\\' as u64), 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn as_serde_does(value: &Value<'_>) {
        let (mut ours, mut result) = (Vec::new(), Ok(()));
        write(value, &mut ours, &mut result);
        result.unwrap();
        assert_eq!(
            String::from_utf8(ours).unwrap(),
            serde_json::to_string(value).unwrap()
        );
    }

    proptest! {
        #[test]
        fn values_are_written_as_serde_writes_them(
            plain in "[ -~]{0,40}", any in any::<String>(), number: u64, decimal: i64, address: IpAddr, time: i64,
            flag: bool, bytes: [u8; 16], mac: [u8; 6],
        ) {
            for text in [&plain, &any] {
                as_serde_does(&Value::Text(text.into()));
            }
            as_serde_does(&Value::Number(number));
            as_serde_does(&Value::Decimal(decimal));
            as_serde_does(&Value::Address(address));
            as_serde_does(&Value::Time(crate::time::Timestamp::from_nanos(time)));
            as_serde_does(&Value::Flag(flag));
            as_serde_does(&Value::Id(bytes));
            as_serde_does(&Value::Mac(crate::frame::Mac(mac)));
        }
    }

    #[test]
    fn every_character_alone_and_within() {
        for character in (0..0x250).filter_map(char::from_u32) {
            for before in 0..18 {
                let text = format!("{}{character}{}", "a".repeat(before), "z".repeat(3));
                as_serde_does(&Value::Text(text.into()));
            }
        }
    }
}
