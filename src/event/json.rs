//! An event as JSON, written straight into a buffer: byte for byte what serde makes of it, for a fraction of the work. Most of
//! an event is names of fields, numbers and text that needs no escape.

mod values;

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;

use super::{
    Event, Field, Kind, Mac, NO_QUESTION, Record, SOURCETYPE, Seen, TAGS, VENDOR_PRODUCT,
    reply_code_phrase,
};
pub(super) use values::Line;
use values::{
    Short, decimal, number, text, word, write, write_address, write_id, write_mac, write_time,
};

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
        address_of([Field::Dest, Field::DestIp], self.dest, out)?;
        number_of(Field::DestPort, self.dest_port, out);
        mac_of(Field::DestMac, self.dest_mac, out);
        if self.dest_asset.is_some() {
            self.member(Field::DestBunit, out)?;
            self.member(Field::DestCategory, out)?;
            self.member(Field::DestPriority, out)?;
        }
        let duration = self.duration.map(|it| Short::of(|out| decimal(it, out)));
        let duration = duration.transpose()?;
        if let Some(duration) = &duration {
            begin(Field::Duration, out);
            out.put(duration.bytes());
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
        if let Some(duration) = &duration {
            begin(Field::ResponseTime, out);
            out.put(duration.bytes());
        }
        address_of([Field::Src, Field::SrcIp], self.src, out)?;
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
fn address_of(fields: [Field; 2], value: IpAddr, out: &mut Line<'_>) -> io::Result<()> {
    let address = Short::of(|out| {
        write_address(value, out);
        Ok(())
    })?;
    for field in fields {
        begin(field, out);
        out.put(address.bytes());
    }
    Ok(())
}

/// Appends a member that is a mnemonic: one of our own words, unless the number has none.
#[inline(always)]
#[expect(clippy::ptr_arg, reason = "a borrowed one is one of our own words")]
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
