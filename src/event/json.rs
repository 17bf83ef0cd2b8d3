//! An event as JSON, written straight into a buffer: byte for byte what serde makes of it, for a fraction of the work. Most of
//! an event is names of fields, numbers and text that needs no escape.

use std::io::{self, Write};
use std::net::IpAddr;

use super::{Event, Field, Kind, Record, Value};

/// How many bytes of text are looked at together.
const BLOCK: usize = 16;

impl Event {
    /// Appends the event as one object of JSON, without a line feed.
    ///
    /// # Errors
    /// Those of serializing a number: none of those that events have.
    pub fn write_json(&self, out: &mut Vec<u8>) -> io::Result<()> {
        out.push(b'{');
        self.write_members(out)?;
        out.push(b'}');
        Ok(())
    }

    /// Appends what stands between the object's braces.
    ///
    /// # Errors
    /// As [`Self::write_json`].
    pub fn write_members(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut result = Ok(());
        for &field in Field::ALL {
            match field.kind() {
                Kind::Many if self.is_absent(field) => {}
                Kind::Many => {
                    key(field, out);
                    out.push(b'[');
                    let begin = out.len();
                    self.each(field, &mut |value| {
                        if out.len() > begin {
                            out.push(b',');
                        }
                        write(&value, out, &mut result);
                    });
                    out.extend_from_slice(b"],");
                }
                Kind::One => self.each(field, &mut |value| {
                    key(field, out);
                    write(&value, out, &mut result);
                    out.push(b',');
                }),
            }
        }
        for added in &self.added {
            let values = added.values.iter().map(|value| &**value);
            if added.is_list {
                text(added.field.name(), out);
                out.push(b':');
                list(values, out, |value, out| text(value, out));
                out.push(b',');
            } else if let Some(value) = values.take(1).next() {
                text(added.field.name(), out);
                out.push(b':');
                text(value, out);
                out.push(b',');
            }
        }
        out.extend_from_slice(b"\"answers\":");
        list(self.answers.iter(), out, answer);
        result
    }
}

/// Appends the field's name as a key.
fn key(field: Field, out: &mut Vec<u8>) {
    // No name of a field needs an escape.
    out.push(b'"');
    out.extend_from_slice(field.name().as_bytes());
    out.extend_from_slice(b"\":");
}

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

fn needs_escape(value: &[u8]) -> bool {
    let (blocks, rest) = value.as_chunks::<BLOCK>();
    let any = |bytes: &[u8]| {
        let special =
            |byte: u8| u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
        bytes.iter().fold(0, |any, byte| any | special(*byte)) != 0
    };
    blocks.iter().any(|block| any(block)) || any(rest)
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
