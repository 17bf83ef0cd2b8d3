//! Keys of groups as bytes: compact, hashed and compared without a look at their parts, and in the order of the rows.
//!
//! Comparing two encodings byte by byte orders them as rows are ordered: numbers by value, addresses as numbers (IPv4
//! before IPv6) and before other text, text by its bytes. No value's encoding is the beginning of another's, so that this
//! also holds for several values one after another.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use crate::event::{Event, Field, Mac, Value};
use crate::time::Timestamp;

/// The value of a field that a group has in common; prints and serializes as the field of an event does.
pub type Key = Value<'static>;

/// What an absent field groups under.
const ABSENT: &str = "null";

const NUMBER: u8 = 1;
const DECIMAL: u8 = 2;
const TIME: u8 = 3;
const FLAG: u8 = 4;
const IPV4: u8 = 5;
const IPV6: u8 = 6;
const MAC: u8 = 7;
const ID: u8 = 8;
const TEXT: u8 = 9;

/// Ends a text; a zero byte inside one is followed by [`ESCAPED`], which is above every tag.
const END: u8 = 0;
const ESCAPED: u8 = 0xff;

/// After an address: it was written in its canonical form, or as the text that follows.
const CANONICAL: u8 = 0;
const SPELLED: u8 = 1;

/// Appends a value.
fn encode(value: &Value<'_>, to: &mut Vec<u8>) {
    match value {
        Value::Number(number) => {
            to.push(NUMBER);
            to.extend_from_slice(&number.to_be_bytes());
        }
        Value::Decimal(billionths) => {
            to.push(DECIMAL);
            to.extend_from_slice(&ordered(*billionths));
        }
        Value::Time(time) => {
            to.push(TIME);
            to.extend_from_slice(&ordered(time.as_nanos()));
        }
        Value::Flag(flag) => to.extend_from_slice(&[FLAG, u8::from(*flag)]),
        Value::Address(address) => {
            encode_address(*address, to);
            to.push(CANONICAL);
        }
        Value::Mac(Mac(bytes)) => {
            to.push(MAC);
            to.extend_from_slice(bytes);
        }
        Value::Id(bytes) => {
            to.push(ID);
            to.extend_from_slice(bytes);
        }
        Value::Text(text) => match address_in(text) {
            Some(address) => {
                encode_address(address, to);
                if is_canonical(address, text) {
                    to.push(CANONICAL);
                } else {
                    to.push(SPELLED);
                    encode_text(text, to);
                }
            }
            None => {
                to.push(TEXT);
                encode_text(text, to);
            }
        },
    }
}

/// Bytes whose order is that in which rows list values.
#[must_use]
pub fn sortable(value: &Value<'_>) -> Box<[u8]> {
    let mut bytes = Vec::new();
    encode(value, &mut bytes);
    bytes.into()
}

/// Takes the next value off an encoding; `None` at its end.
fn decode(from: &mut &[u8]) -> Option<Key> {
    let (&tag, rest) = from.split_first()?;
    *from = rest;
    Some(match tag {
        NUMBER => Value::Number(u64::from_be_bytes(take(from)?)),
        DECIMAL => Value::Decimal(unordered(take(from)?)),
        TIME => Value::Time(Timestamp::from_nanos(unordered(take(from)?))),
        FLAG => Value::Flag(take::<1>(from)? == [1]),
        IPV4 => decode_address(Ipv4Addr::from(take::<4>(from)?).into(), from)?,
        IPV6 => decode_address(Ipv6Addr::from(take::<16>(from)?).into(), from)?,
        MAC => Value::Mac(Mac(take(from)?)),
        ID => Value::Id(take(from)?),
        _ => Value::Text(Cow::Owned(decode_text(from))),
    })
}

/// The values of an encoding, in order.
pub(super) fn decode_all(mut from: &[u8]) -> impl Iterator<Item = Key> {
    std::iter::from_fn(move || decode(&mut from))
}

/// A signed number as bytes whose order is its own.
fn ordered(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

fn unordered(bytes: [u8; 8]) -> i64 {
    i64::from_be_bytes(bytes) ^ i64::MIN
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*taken)
}

fn encode_address(address: IpAddr, to: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            to.push(IPV4);
            to.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            to.push(IPV6);
            to.extend_from_slice(&address.octets());
        }
    }
}

fn decode_address(address: IpAddr, from: &mut &[u8]) -> Option<Key> {
    Some(match take::<1>(from)? {
        [CANONICAL] => Value::Address(address),
        _ => Value::Text(Cow::Owned(decode_text(from))),
    })
}

fn encode_text(text: &str, to: &mut Vec<u8>) {
    for (place, run) in text.as_bytes().split(|byte| *byte == END).enumerate() {
        if place > 0 {
            to.extend_from_slice(&[END, ESCAPED]);
        }
        to.extend_from_slice(run);
    }
    to.push(END);
}

fn decode_text(from: &mut &[u8]) -> String {
    let mut bytes = Vec::new();
    while let Some((&byte, rest)) = from.split_first() {
        *from = rest;
        if byte == END {
            match rest.split_first() {
                Some((&ESCAPED, rest)) => *from = rest,
                _ => break,
            }
        }
        bytes.push(byte);
    }
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The address that a text is, where it is one.
fn address_in(text: &str) -> Option<IpAddr> {
    // Most texts are names: those without a digit or a colon in front need no parser to be told apart.
    let first = text.as_bytes().first()?;
    (first.is_ascii_hexdigit() || *first == b':')
        .then(|| text.parse().ok())
        .flatten()
}

/// Whether the address prints as this very text.
fn is_canonical(address: IpAddr, text: &str) -> bool {
    struct Rest<'a>(&'a str);
    impl fmt::Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let mut rest = Rest(text);
    write!(rest, "{address}").is_ok() && rest.0.is_empty()
}

/// The distinct values that an event has in each of some fields; the memory is used again for the next event.
#[derive(Debug, Default)]
pub(super) struct EventValues {
    bytes: Vec<u8>,
    /// For each field where its values lie in `bytes`, in order, each once.
    fields: Vec<Vec<Range<usize>>>,
    /// How many of `fields` belong to this event.
    used: usize,
}

impl EventValues {
    /// Forgets the last event.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.used = 0;
    }

    /// The place of the next field's values, and the bytes that they are ranges of.
    fn next(&mut self) -> Option<(&mut Vec<Range<usize>>, &mut Vec<u8>)> {
        if self.fields.len() == self.used {
            self.fields.push(Vec::new());
        }
        let values = self.fields.get_mut(self.used)?;
        self.used += 1;
        values.clear();
        Some((values, &mut self.bytes))
    }

    /// The values of the field that was added as that one, encoded.
    pub(super) fn values(&self, place: usize) -> impl Iterator<Item = &[u8]> {
        let values = self
            .fields
            .get(..self.used)
            .and_then(|used| used.get(place));
        values
            .into_iter()
            .flatten()
            .filter_map(|range| self.bytes.get(range.clone()))
    }

    /// Adds the values of one field; `query` stands for the event's own.
    pub(super) fn push(&mut self, event: &Event, field: Field, query: &str) {
        let Some((values, bytes)) = self.next() else {
            return;
        };
        let mut add = |value: Value<'_>| {
            let start = bytes.len();
            encode(&value, bytes);
            values.push(start..bytes.len());
        };
        event.each_about(field, query, &mut add);
        let at = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
        values.sort_unstable_by(|one, other| at(one).cmp(at(other)));
        values.dedup_by(|one, other| at(one) == at(other));
    }

    /// Adds the numbers among the values of one field, each as often as it is there, as the bytes of its billionths.
    pub(super) fn push_numbers(&mut self, event: &Event, field: Field, query: &str) {
        let Some((values, bytes)) = self.next() else {
            return;
        };
        event.each_about(field, query, &mut |value| {
            if let Some(billionths) = value.billionths() {
                let start = bytes.len();
                bytes.extend_from_slice(&billionths.to_ne_bytes());
                values.push(start..bytes.len());
            }
        });
    }

    /// The same as [`Self::push`] for a field that makes groups: where the event has none, the value is the text `null`.
    pub(super) fn push_key(&mut self, event: &Event, field: Field, query: &str) {
        self.push(event, field, query);
        if let Some(values) = self.fields.get_mut(self.used.saturating_sub(1))
            && values.is_empty()
        {
            let start = self.bytes.len();
            encode(&Value::Text(Cow::Borrowed(ABSENT)), &mut self.bytes);
            values.push(start..self.bytes.len());
        }
    }

    /// The values of each field: sorted, each once; of numbers as they came.
    pub(super) fn fields(
        &self,
    ) -> impl Iterator<Item = impl ExactSizeIterator<Item = &[u8]> + DoubleEndedIterator> {
        self.fields.iter().take(self.used).map(|values| {
            values
                .iter()
                .map(|range| self.bytes.get(range.clone()).unwrap_or_default())
        })
    }

    /// How many combinations there are of one value of each field.
    pub(super) fn combinations(&self) -> u64 {
        self.fields
            .iter()
            .take(self.used)
            .fold(1, |product: u64, values| {
                product.saturating_mul(values.len() as u64)
            })
    }

    /// Writes the combination of that number to `key`: its digits, the last field's first, say which value of each.
    pub(super) fn combination(&self, number: u64, key: &mut Vec<u8>) {
        key.clear();
        let mut below = self.combinations();
        let mut rest = number;
        for values in self.fields.iter().take(self.used) {
            below /= (values.len() as u64).max(1);
            let place = rest.checked_div(below).unwrap_or(0);
            rest = rest.checked_rem(below).unwrap_or(0);
            let value = usize::try_from(place)
                .ok()
                .and_then(|place| values.get(place))
                .and_then(|range| self.bytes.get(range.clone()));
            key.extend_from_slice(value.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::tests::sample_event;

    fn encoded(values: &[Value<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| encode(value, &mut bytes));
        bytes
    }

    fn text(text: &str) -> Key {
        Value::Text(Cow::Owned(text.to_owned()))
    }

    /// The order of rows, said without bytes.
    fn compare(one: &Key, other: &Key) -> Ordering {
        fn rank(key: &Key) -> (u8, i128, String) {
            let address = |address: IpAddr, text: String| match address {
                IpAddr::V4(address) => (2, i128::from(u32::from(address)), text),
                IpAddr::V6(address) => (3, (u128::from(address) ^ (1 << 127)).cast_signed(), text),
            };
            match key {
                Value::Number(number) => (0, i128::from(*number), String::new()),
                Value::Decimal(billionths) => (1, i128::from(*billionths), String::new()),
                Value::Address(found) => address(*found, String::new()),
                Value::Text(text) => match text.parse::<IpAddr>() {
                    Ok(found) if found.to_string() == *text => address(found, String::new()),
                    Ok(found) => address(found, text.to_string()),
                    Err(_) => (9, 0, text.to_string()),
                },
                other => panic!("{other:?} is not compared here"),
            }
        }
        rank(one).cmp(&rank(other))
    }

    fn any_key() -> impl Strategy<Value = Key> {
        prop_oneof![
            any::<u64>().prop_map(Value::Number),
            (0..3_u64).prop_map(Value::Number),
            any::<i64>().prop_map(Value::Decimal),
            any::<IpAddr>().prop_map(Value::Address),
            any::<IpAddr>().prop_map(|address| text(&address.to_string())),
            any::<Ipv6Addr>().prop_map(|address| text(&address.to_string().to_uppercase())),
            "[\0\u{1}a1:.\u{ff}é]{0,5}".prop_map(|spelled| text(&spelled)),
        ]
    }

    proptest! {
        #[test]
        fn bytes_are_in_the_order_of_rows_and_keep_the_values(
            one in prop::collection::vec(any_key(), 2),
            other in prop::collection::vec(any_key(), 2),
        ) {
            let by_values = compare(&one[0], &other[0]).then_with(|| compare(&one[1], &other[1]));
            prop_assert_eq!(encoded(&one).cmp(&encoded(&other)), by_values, "{:?} {:?}", one, other);
            let back: Vec<_> = decode_all(&encoded(&one)).collect();
            prop_assert_eq!(back.len(), 2);
            for (before, after) in one.iter().zip(&back) {
                prop_assert_eq!(before.text(), after.text());
            }
        }

        #[test]
        fn any_bytes_can_be_decoded(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            decode_all(&bytes).for_each(drop);
        }
    }

    #[test]
    fn values_of_every_kind_come_back() {
        let values = [
            Value::Number(u64::MAX),
            Value::Decimal(-5),
            Value::Time(Timestamp::MIN),
            Value::Flag(true),
            Value::Flag(false),
            Value::Address(Ipv4Addr::LOCALHOST.into()),
            Value::Address(Ipv6Addr::LOCALHOST.into()),
            Value::Mac(Mac([1, 2, 3, 4, 5, 6])),
            Value::Id([7; 16]),
            text("a\0b"),
            text(""),
            text("2001:DB8::1"),
        ];
        assert_eq!(decode_all(&encoded(&values)).collect::<Vec<_>>(), values);
    }

    #[test]
    fn an_address_in_a_text_is_the_address() {
        assert_eq!(
            encoded(&[text("192.0.2.1")]),
            encoded(&[Value::Address(Ipv4Addr::new(192, 0, 2, 1).into())])
        );
        assert_ne!(
            encoded(&[text("2001:DB8::1")]),
            encoded(&[text("2001:db8::1")])
        );
    }

    #[test]
    fn combinations_are_each_once_and_in_order() {
        let mut event = sample_event();
        event.answers = ["b", "a", "b"]
            .map(crate::aggregate::tests::answer)
            .to_vec();
        event.vlan = vec![7, 3];
        let mut values = EventValues::default();
        values.push_key(&event, Field::Answer, "q");
        values.push_key(&event, Field::Vlan, "q");
        values.push_key(&event, Field::CimEntityZone, "q");
        let mut key = Vec::new();
        let combinations: Vec<Vec<String>> = (0..values.combinations())
            .map(|number| {
                values.combination(number, &mut key);
                decode_all(&key).map(|value| value.to_string()).collect()
            })
            .collect();
        assert_eq!(
            combinations,
            [
                ["a", "3", "null"],
                ["a", "7", "null"],
                ["b", "3", "null"],
                ["b", "7", "null"]
            ]
        );
        values.clear();
        assert_eq!(
            values.combinations(),
            1,
            "without fields there is one group"
        );
    }
}
