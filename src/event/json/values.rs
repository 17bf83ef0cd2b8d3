//! The values in the JSON of an event, and the room that they are put into.

use std::io;
use std::net::IpAddr;

use crate::event::{Mac, Value};
use crate::message::{write_ipv4, write_ipv6};
use crate::time::Timestamp;

/// Appends a value; what goes wrong is in `result`.
pub(super) fn write(value: &Value<'_>, out: &mut Line<'_>, result: &mut io::Result<()>) {
    match value {
        Value::Text(value) => text(value, out),
        Value::Number(value) => number(*value, out),
        Value::Flag(true) => out.put(b"true"),
        Value::Flag(false) => out.put(b"false"),
        Value::Address(address) => write_address(*address, out),
        Value::Id(id) => write_id(*id, out),
        Value::Mac(mac) => write_mac(*mac, out),
        Value::Time(time) => write_time(*time, out),
        Value::Decimal(billionths) => {
            if let Err(error) = decimal(*billionths, out) {
                *result = Err(error);
            }
        }
    }
}

/// Appends an address.
#[inline(always)]
pub(super) fn write_address(address: IpAddr, out: &mut Line<'_>) {
    out.put(b"\"");
    match address {
        IpAddr::V4(address) => write_ipv4(address.octets(), |text| out.put(text)),
        IpAddr::V6(address) => write_ipv6(address, |text| out.put(text)),
    }
    out.put(b"\"");
}

/// Appends a moment.
pub(super) fn write_time(time: Timestamp, out: &mut Line<'_>) {
    out.put(b"\"");
    time.write(|text| out.put(text));
    out.put(b"\"");
}

/// Appends a hardware address.
#[inline(always)]
pub(super) fn write_mac(mac: Mac, out: &mut Line<'_>) {
    let [[a, b], [c, d], [e, f], [g, h], [i, j], [k, l]] = mac.0.map(digits_of);
    out.put(&[
        b'"', a, b, b':', c, d, b':', e, f, b':', g, h, b':', i, j, b':', k, l, b'"',
    ]);
}

/// Appends a number in decimal.
#[inline(always)]
pub(super) fn number(value: u64, out: &mut Line<'_>) {
    // Most are one digit.
    match value {
        0..=9 => out.put(&[b'0' + value as u8]),
        _ => out.put(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// Appends billionths as the shortest decimal that reads as the same `f64`.
pub(super) fn decimal(billionths: i64, out: &mut Line<'_>) -> io::Result<()> {
    let Some(parts) = u64::try_from(billionths)
        .ok()
        .filter(|parts| SHORTEST.contains(parts))
    else {
        let text = serde_json::to_vec(&Value::Decimal(billionths))?;
        out.put(&text);
        return Ok(());
    };
    number(parts / 1_000_000_000, out);
    out.put(b".");
    let mut fraction = parts % 1_000_000_000;
    let mut digits = [b'0'; 9];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
    let zeros = digits.iter().rev().take_while(|digit| **digit == b'0');
    let length = digits.len().saturating_sub(zeros.count()).max(1);
    out.put(digits.get(..length).unwrap_or_default());
    Ok(())
}

/// The billionths whose digits are the shortest that there are: no two decimals of 15 digits read as the same `f64`. Smaller
/// ones are written with an exponent.
const SHORTEST: std::ops::Range<u64> = 10_000..1_000_000_000_000_000;

/// Appends an identifier in hexadecimal digits.
#[inline(always)]
pub(super) fn write_id(id: [u8; 16], out: &mut Line<'_>) {
    out.put(b"\"");
    out.put(id.map(digits_of).as_flattened());
    out.put(b"\"");
}

/// A byte as two hexadecimal digits.
#[inline(always)]
fn digits_of(byte: u8) -> [u8; 2] {
    HEXADECIMAL
        .get(usize::from(byte))
        .copied()
        .unwrap_or_default()
}

/// Every byte as two hexadecimal digits.
#[expect(
    clippy::indexing_slicing,
    reason = "the table is made, and the indices checked, when this is compiled"
)]
const HEXADECIMAL: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [DIGITS[byte >> 4], DIGITS[byte & 0x0F]];
        byte += 1;
    }
    table
};

/// Appends one of our own words, which need no escape, in quotes.
#[inline(always)]
pub(super) fn word(value: &'static str, out: &mut Line<'_>) {
    out.put_quoted(value.as_bytes());
}

/// Appends text in quotes, with what JSON wants escaped (RFC 8259, section 7).
pub(super) fn text(value: &str, out: &mut Line<'_>) {
    if needs_escape(value.as_bytes()) {
        escaped(value, out);
    } else {
        out.put_quoted(value.as_bytes());
    }
}

#[cold]
fn escaped(value: &str, out: &mut Line<'_>) {
    match serde_json::to_vec(value) {
        Ok(text) => out.put(&text),
        // Memory takes all that is written to it.
        Err(_) => out.put(b"null"),
    }
}

/// Room that is filled from its beginning: to ask each time whether a vector has to grow costs more than most of what is written.
pub(in super::super) struct Line<'a> {
    room: &'a mut [u8],
    /// Something found no room.
    is_full: bool,
}

impl Line<'_> {
    /// Appends to `out` what `write` puts: into `room` bytes, and anew into more as often as that was not enough.
    pub(super) fn append(
        out: &mut Vec<u8>,
        mut room: usize,
        write: impl Fn(&mut Line<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let begin = out.len();
        loop {
            out.resize(begin.saturating_add(room), 0);
            let mut line = Line {
                room: out.get_mut(begin..).unwrap_or_default(),
                is_full: false,
            };
            let result = write(&mut line);
            let (left, is_full) = (line.room.len(), line.is_full);
            if result.is_ok() && is_full {
                room = room.saturating_mul(4);
                continue;
            }
            let written = if result.is_ok() {
                room.saturating_sub(left)
            } else {
                0
            };
            out.truncate(begin.saturating_add(written));
            return result;
        }
    }

    /// Puts bytes behind what is there.
    #[inline(always)]
    pub(in super::super) fn put(&mut self, bytes: &[u8]) {
        match std::mem::take(&mut self.room).split_at_mut_checked(bytes.len()) {
            Some((place, room)) => {
                copy(place, bytes);
                self.room = room;
            }
            None => self.is_full = true,
        }
    }

    /// The same in quotation marks.
    #[inline(always)]
    fn put_quoted(&mut self, bytes: &[u8]) {
        let room = std::mem::take(&mut self.room);
        match room.split_at_mut_checked(bytes.len().saturating_add(2)) {
            Some(([first, place @ .., last], room)) => {
                (*first, *last) = (b'"', b'"');
                copy(place, bytes);
                self.room = room;
            }
            _ => self.is_full = true,
        }
    }
}

/// A number or an address as text, which is put more than once.
pub(super) struct Short {
    text: [u8; 64],
    length: usize,
}

impl Short {
    /// What `write` puts, which is shorter than that.
    #[inline(always)]
    pub(super) fn of(write: impl FnOnce(&mut Line<'_>) -> io::Result<()>) -> io::Result<Self> {
        let mut text = [0; 64];
        let mut line = Line {
            room: &mut text,
            is_full: false,
        };
        write(&mut line)?;
        let left = line.room.len();
        let length = text.len().saturating_sub(left);
        Ok(Self { text, length })
    }

    #[inline(always)]
    pub(super) fn bytes(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }
}

/// Copies bytes to a place for as many. Most are few, and to call somebody for them costs more than to copy them: their first ones
/// and their last ones, which may be the same, each at once.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    match from.len() {
        0..4 => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
        4..8 => copy_ends::<4>(to, from),
        8..16 => copy_ends::<8>(to, from),
        16..=32 => copy_ends::<16>(to, from),
        _ => to.copy_from_slice(from),
    }
}

/// Copies the first and the last bytes, of which there are as many at least.
#[inline(always)]
fn copy_ends<const SOME: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<SOME>(), from.first_chunk::<SOME>()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<SOME>(), from.last_chunk::<SOME>()) {
        *to = *from;
    }
}

/// Whether there is a quotation mark, a backslash or a control character among the bytes.
#[inline]
fn needs_escape(bytes: &[u8]) -> bool {
    // Of the last ones some once more.
    if let Some(last) = bytes.last_chunk::<16>() {
        bytes.as_chunks::<16>().0.iter().any(is_special) || is_special(last)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        is_special(first) || is_special(last)
    } else {
        bytes.iter().any(|byte| is_special(&[*byte]))
    }
}

/// The same of so many bytes, all of which are looked at together.
#[inline(always)]
fn is_special<const SOME: usize>(bytes: &[u8; SOME]) -> bool {
    let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    bytes
        .iter()
        .fold(false, |found, byte| found | is_special(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn as_serde_does(value: &Value<'_>) {
        let mut ours = Vec::new();
        let written = Line::append(&mut ours, 1, |line| {
            let mut result = Ok(());
            write(value, line, &mut result);
            result
        });
        written.unwrap();
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
            // From nanoseconds to weeks.
            as_serde_does(&Value::Decimal(decimal >> (decimal & 63)));
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
