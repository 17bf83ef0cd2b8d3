//! An event as JSON, written straight into a buffer: byte for byte what serde makes of it, for a fraction of the work. Most of
//! an event is names of fields, numbers and text that needs no escape.

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;

use super::{
    Event, Field, Kind, Mac, NO_QUESTION, Record, SOURCETYPE, Seen, TAGS, VENDOR_PRODUCT, Value,
    reply_code_phrase,
};
use crate::message::{write_ipv4, write_ipv6};
use crate::time::Timestamp;

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
        Line::append(out, USUAL, |line| self.members(line))
    }

    /// The members: those of [`Field::ALL`] in their order, written out so that nothing is looked for; what most events are
    /// without goes the way of [`Self::member`].
    fn members(&self, out: &mut Line<'_>) -> io::Result<()> {
        begin(Field::Time, out);
        write_time(self.time, out);
        text_of(Field::Host, &self.sensor, out);
        text_of(Field::Source, &self.source, out);
        word_of(Field::Sourcetype, SOURCETYPE, out);
        number_of(
            Field::AdditionalAnswerCount,
            self.additional_answer_count,
            out,
        );
        begin(Field::Answer, out);
        if self.answers.is_empty() {
            out.put(b"[\"unknown\"]");
        } else {
            list(&self.answers, out, |record, out| text(&record.data, out));
        }
        number_of(Field::AnswerCount, self.answer_count, out);
        number_of(
            Field::AuthorityAnswerCount,
            self.authority_answer_count,
            out,
        );
        if self.zone.is_some() {
            self.member(Field::CimEntityZone, out)?;
        }
        address_of([Field::Dest, Field::DestIp], self.dest, out);
        number_of(Field::DestPort, self.dest_port, out);
        mac_of(Field::DestMac, self.dest_mac, out);
        if self.dest_asset.is_some() {
            self.member(Field::DestBunit, out)?;
            self.member(Field::DestCategory, out)?;
            self.member(Field::DestPriority, out)?;
        }
        if let Some(duration) = self.duration {
            begin(Field::Duration, out);
            decimal(duration, out)?;
        }
        let is_query = self.seen == Seen::QueryOnly;
        let message_type = if is_query { "Query" } else { "Response" };
        word_of(Field::MessageType, message_type, out);
        word_of(Field::Name, self.seen.name(), out);
        text_of(Field::Query, &self.query, out);
        number_of(Field::QueryCount, self.query_count, out);
        name_of(Field::QueryType, self.query_type(), out);
        name_of(Field::RecordType, &self.record_type, out);
        word_of(Field::ReplyCode, reply_code_phrase(self.reply_code), out);
        begin(Field::ReplyCodeId, out);
        match self.reply_code {
            Some(code) => {
                out.put(b"\"");
                number(u64::from(code), out);
                out.put(b"\"");
            }
            None => word(NO_QUESTION, out),
        }
        if let Some(duration) = self.duration {
            begin(Field::ResponseTime, out);
            decimal(duration, out)?;
        }
        address_of([Field::Src, Field::SrcIp], self.src, out);
        number_of(Field::SrcPort, self.src_port, out);
        mac_of(Field::SrcMac, self.src_mac, out);
        if self.src_asset.is_some() {
            self.member(Field::SrcBunit, out)?;
            self.member(Field::SrcCategory, out)?;
            self.member(Field::SrcPriority, out)?;
        }
        list_of(Field::Tag, &TAGS, out, |tag, out| word(tag, out));
        number_of(Field::TransactionId, self.transaction_id, out);
        word_of(Field::Transport, self.transport.name(), out);
        if let Some(ttl) = self.ttl() {
            number_of(Field::Ttl, ttl, out);
        }
        word_of(Field::VendorProduct, VENDOR_PRODUCT, out);
        begin(Field::EventId, out);
        write_id(self.event_id, out);
        word_of(Field::Outcome, self.outcome.name(), out);
        self.perhaps(Field::Anomalies, self.anomalies.is_empty(), out)?;
        text_of(Field::QuerySpelled, &self.query_spelled, out);
        name_of(Field::QueryClass, &self.query_class, out);
        let is_one = self.other_questions.is_empty();
        self.perhaps(Field::OtherQuestions, is_one, out)?;
        name_of(Field::Opcode, &self.opcode, out);
        list_of(Field::Flags, self.flags(), out, word);
        if let Some(edns) = &self.edns {
            number_of(Field::EdnsVersion, edns.version, out);
            number_of(Field::EdnsUdpSize, edns.udp_size, out);
            self.member(Field::EdnsDo, out)?;
        }
        list_of(
            Field::EdnsOptions,
            &self.edns_options,
            out,
            |option, out| {
                text(option, out);
            },
        );
        if self.client_subnet().is_some() {
            self.member(Field::ClientSubnet, out)?;
            self.member(Field::ClientHint, out)?;
        }
        word_of(Field::SrcRole, self.src_role.name(), out);
        self.perhaps(Field::Vlan, self.vlan.is_empty(), out)?;
        self.perhaps(Field::Tunnel, self.tunnel.is_empty(), out)?;
        number_of(Field::Packet, self.packet, out);
        if let Some(packet) = self.response_packet {
            number_of(Field::ResponsePacket, packet, out);
        }
        for added in &self.added {
            match added.values.first() {
                _ if added.is_list => list_of(added.field, &added.values, out, |value, out| {
                    text(value, out);
                }),
                Some(value) => text_of(added.field, value, out),
                None => {}
            }
        }
        out.put(b",\"answers\":");
        list(&self.answers, out, answer);
        Ok(())
    }

    /// Appends the member of any field, nothing where the event has none.
    #[cold]
    fn member(&self, field: Field, out: &mut Line<'_>) -> io::Result<()> {
        let mut result = Ok(());
        match field.kind() {
            Kind::Many => {
                begin(field, out);
                out.put(b"[");
                let mut is_first = true;
                self.each(field, &mut |value| {
                    if !std::mem::take(&mut is_first) {
                        out.put(b",");
                    }
                    write(&value, out, &mut result);
                });
                out.put(b"]");
            }
            Kind::One => self.each(field, &mut |value| {
                begin(field, out);
                write(&value, out, &mut result);
            }),
        }
        result
    }

    /// Appends the member of a list that is nearly always empty.
    #[inline(always)]
    fn perhaps(&self, field: Field, is_empty: bool, out: &mut Line<'_>) -> io::Result<()> {
        if !is_empty {
            return self.member(field, out);
        }
        begin(field, out);
        out.put(b"[]");
        Ok(())
    }
}

/// Appends the name of a member, and what stands before its value.
#[inline(always)]
fn begin(field: Field, out: &mut Line<'_>) {
    if let Field::Added(name) = field {
        // Not one of our own words.
        out.put(b",");
        text(name.text(), out);
        out.put(b":");
    } else {
        field.begin_member(out);
    }
}

/// Appends two members that are the same address.
#[inline(always)]
fn address_of(fields: [Field; 2], value: IpAddr, out: &mut Line<'_>) {
    for field in fields {
        begin(field, out);
        write_address(value, out);
    }
}

/// Appends a member that is a mnemonic: one of our own words, unless the number has none.
#[inline(always)]
fn name_of(field: Field, value: &Cow<'static, str>, out: &mut Line<'_>) {
    begin(field, out);
    match value {
        Cow::Borrowed(value) => word(value, out),
        Cow::Owned(value) => text(value, out),
    }
}

/// Appends a member that is text.
#[inline(always)]
fn text_of(field: Field, value: &str, out: &mut Line<'_>) {
    begin(field, out);
    text(value, out);
}

/// Appends a member that is one of our own words.
#[inline(always)]
fn word_of(field: Field, value: &'static str, out: &mut Line<'_>) {
    begin(field, out);
    word(value, out);
}

/// Appends a member that is a number.
#[inline(always)]
fn number_of(field: Field, value: impl Into<u64>, out: &mut Line<'_>) {
    begin(field, out);
    number(value.into(), out);
}

/// Appends a member that is a hardware address, where there is one.
#[inline(always)]
fn mac_of(field: Field, value: Option<Mac>, out: &mut Line<'_>) {
    if let Some(mac) = value {
        begin(field, out);
        write_mac(mac, out);
    }
}

/// Appends a member that is a list.
#[inline(always)]
fn list_of<T>(
    field: Field,
    items: impl IntoIterator<Item = T>,
    out: &mut Line<'_>,
    append: impl Fn(T, &mut Line<'_>),
) {
    begin(field, out);
    list(items, out, append);
}

/// Most events take fewer bytes.
const USUAL: usize = 2_048;

/// Appends a list.
#[inline(always)]
fn list<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Line<'_>,
    append: impl Fn(T, &mut Line<'_>),
) {
    out.put(b"[");
    let mut is_first = true;
    for item in items {
        if !std::mem::take(&mut is_first) {
            out.put(b",");
        }
        append(item, out);
    }
    out.put(b"]");
}

/// Appends a record of the answer section.
#[inline(always)]
fn answer(record: &Record, out: &mut Line<'_>) {
    out.put(b"{\"name\":");
    text(&record.name, out);
    out.put(b",\"type\":");
    match &record.record_type {
        Cow::Borrowed(value) => word(value, out),
        Cow::Owned(value) => text(value, out),
    }
    out.put(b",\"ttl\":");
    number(u64::from(record.ttl), out);
    out.put(b",\"data\":");
    text(&record.data, out);
    out.put(b"}");
}

/// Appends a value; what goes wrong is in `result`.
fn write(value: &Value<'_>, out: &mut Line<'_>, result: &mut io::Result<()>) {
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
fn write_address(address: IpAddr, out: &mut Line<'_>) {
    out.put(b"\"");
    match address {
        IpAddr::V4(address) => write_ipv4(address.octets(), |text| out.put(text)),
        IpAddr::V6(address) => write_ipv6(address, |text| out.put(text)),
    }
    out.put(b"\"");
}

/// Appends a moment.
fn write_time(time: Timestamp, out: &mut Line<'_>) {
    out.put(b"\"");
    time.write(|text| out.put(text));
    out.put(b"\"");
}

/// Appends a hardware address.
#[inline(always)]
fn write_mac(mac: Mac, out: &mut Line<'_>) {
    let [[a, b], [c, d], [e, f], [g, h], [i, j], [k, l]] = mac.0.map(digits_of);
    out.put(&[
        b'"', a, b, b':', c, d, b':', e, f, b':', g, h, b':', i, j, b':', k, l, b'"',
    ]);
}

/// Appends a number in decimal.
#[inline(always)]
fn number(value: u64, out: &mut Line<'_>) {
    // Most are one digit.
    match value {
        0..=9 => out.put(&[b'0' + value as u8]),
        _ => out.put(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// Appends billionths as the shortest decimal that reads as the same `f64`.
fn decimal(billionths: i64, out: &mut Line<'_>) -> io::Result<()> {
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
fn write_id(id: [u8; 16], out: &mut Line<'_>) {
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
fn word(value: &'static str, out: &mut Line<'_>) {
    out.put_quoted(value.as_bytes());
}

/// Appends text in quotes, with what JSON wants escaped (RFC 8259, section 7).
fn text(value: &str, out: &mut Line<'_>) {
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
pub(super) struct Line<'a> {
    room: &'a mut [u8],
    /// Something found no room.
    is_full: bool,
}

impl Line<'_> {
    /// Appends to `out` what `write` puts: into `room` bytes, and anew into more as often as that was not enough.
    fn append(
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
    pub(super) fn put(&mut self, bytes: &[u8]) {
        match std::mem::take(&mut self.room).split_at_mut_checked(bytes.len()) {
            Some((place, room)) => {
                place.copy_from_slice(bytes);
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
                place.copy_from_slice(bytes);
                self.room = room;
            }
            _ => self.is_full = true,
        }
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
