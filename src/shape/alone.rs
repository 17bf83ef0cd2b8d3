//! Whether bytes are a DNS message where nothing but they themselves says so: on another port, with no message before them.
//!
//! Every field that has few usual values must have one of them, and the records must end where the bytes do. What that
//! leaves of random bytes, in bits of evidence:
//!
//! | | query | response |
//! |---|---|---|
//! | QR, opcode, Z, RCODE; TC and RA of a query | 10 | 5 |
//! | QDCOUNT is 1 | 16 | 16 |
//! | the other counts: of a query nearly always 0; of a response as many as there are records, 0 or some | 45 | 48 |
//! | the name ends, in a label of two or more letters, digits, `-`, `_`, or in two such of one or more | 20 | 20 |
//! | type (one of 400), class (one of two) | 22 | 22 |
//! | together, at the least | 113 | 111 |
//!
//! A gigabyte is 2^26 payloads of 20 bytes. Other protocols are not random, of course: they have zeros and small numbers
//! where the counts are. What tells them apart is the name, whose last label is made of characters, between its length and
//! a zero, right before a type and a class of which the high bytes are nearly always zero; so a message that asks for the
//! root, where there are no characters, must have an OPT record. Bytes before the last label may be any: tunnels through
//! DNS use them all.
//!
//! NetBIOS names (RFC 1002, section 4.2) are asked for in messages of the same form; their type is another, or their name
//! is one of 32 letters that nobody else has.

use super::{
    Entry, HEADER, Header, LONGEST_NAME, OPT, PREFIX, Part, is_plausible, length, name, word,
};

/// The opcode NOTIFY (RFC 1996).
const NOTIFY: u8 = 4;
/// The opcode UPDATE (RFC 2136).
const UPDATE: u8 = 5;
/// SOA (RFC 1035, 3.3.13).
const SOA: u16 = 6;
/// SIG, with which a transaction may be signed (RFC 2931).
const SIG: u16 = 24;
/// Where a service is (RFC 2782); also the number of NBSTAT (RFC 1002, 4.2.1.2).
const SRV: u16 = 33;
/// NB of NetBIOS (RFC 1002, 4.2.1.2).
const NB: u16 = 32;
/// TKEY (RFC 2930).
const TKEY: u16 = 249;
/// TSIG (RFC 8945).
const TSIG: u16 = 250;
/// IXFR (RFC 1995).
const IXFR: u16 = 251;
/// The class of the Internet.
const IN: u16 = 1;
/// The class of the Chaos net, in which servers tell their version.
const CH: u16 = 3;
/// The class NONE (RFC 2136, 1.3).
const NONE: u16 = 254;
/// The class ANY (RFC 1035, 3.2.5).
const ANY: u16 = 255;

/// TC (RFC 1035, 4.1.1).
const TC: u16 = 0x0200;
/// RA (RFC 1035, 4.1.1).
const RA: u16 = 0x0080;
/// The last RCODE that a header has and servers send (RFC 2136, 2.2).
const LAST_RCODE: u8 = 10;

/// The look that nearly everything fails: Z is zero, and there is one question.
#[inline]
pub(crate) fn may_be_message(bytes: &[u8]) -> bool {
    matches!(bytes.first_chunk(), Some([_, _, _, flags, 0, 1]) if flags & 0x40 == 0)
}

/// Whether `message`, all or the beginning of `len` bytes, is a DNS message beyond doubt: one usual question, whole, and
/// records that are what a query or a response has, of which the last ends where the message does, as far as it is there.
#[must_use]
pub fn is_message(message: &[u8], len: usize) -> bool {
    may_be_message(message)
        && Header::read(message).is_some_and(|header| {
            header.is_plausible(len)
                && is_usual(&header)
                && Question::read(message)
                    .filter(|question| question.fits(&header))
                    .is_some_and(|question| records_fit(message, len, &header, &question))
        })
}

/// Whether the message answers another (the QR bit).
pub(crate) fn is_response(message: &[u8]) -> bool {
    message.get(2).is_some_and(|flags| flags & 0x80 != 0)
}

/// The first of the messages, without its length, that a TCP segment of `len` bytes brings; `segment` is all or the beginning
/// of it. `None` where that message is not whole and [beyond doubt](is_message), or where what follows cannot be others, the
/// last of which may end in another segment. It may also be one message alone, whose length came in the segment before.
#[must_use]
pub fn first_message(segment: &[u8], len: usize) -> Option<&[u8]> {
    if is_message(segment, len) {
        return Some(segment);
    }
    let (length, first) = framed(segment)?;
    let mut end = PREFIX + length;
    if end > len || !is_message(first, length) {
        return None;
    }
    while let Some((length, message)) = segment.get(end..).and_then(framed) {
        if !is_plausible(message, length) {
            return None;
        }
        end += PREFIX + length;
    }
    Some(first)
}

/// A length, and the message that it stands before, as far as that is there.
fn framed(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let length = length(bytes)?;
    let rest = bytes.get(PREFIX..)?;
    Some((length, rest.get(..length).unwrap_or(rest)))
}

/// Whether the header is one that real senders write.
fn is_usual(header: &Header) -> bool {
    let [answers, authorities, additionals] = header.records;
    if header.response {
        return matches!(header.opcode, 0 | NOTIFY | UPDATE) && header.rcode <= LAST_RCODE;
    }
    header.rcode == 0
        && header.flags & (TC | RA) == 0
        && match header.opcode {
            // IXFR says which version it has (RFC 1995, section 3).
            0 => answers == 0 && authorities <= 1 && additionals <= 2,
            // The new SOA record may be told (RFC 1996, 3.7).
            NOTIFY => answers <= 1 && authorities == 0 && additionals <= 2,
            UPDATE => true,
            _ => false,
        }
}

/// The one question.
struct Question {
    kind: u16,
    class: u16,
    end: usize,
    is_root: bool,
    /// The last label is one that a top-level domain, or a host, has; or that an address ends with, where it is asked for
    /// as a name.
    is_named: bool,
    /// The first label is a NetBIOS name.
    is_netbios: bool,
}

impl Question {
    /// Reads it; `None` where it is not whole, or compressed.
    fn read(message: &[u8]) -> Option<Self> {
        let mut at = HEADER;
        let (mut last, mut before): (&[u8], &[u8]) = (&[], &[]);
        let mut is_netbios = false;
        loop {
            let (&length, rest) = message.get(at..)?.split_first()?;
            match length {
                0 => break,
                1..=63 => (before, last) = (last, rest.get(..usize::from(length))?),
                _ => return None,
            }
            is_netbios |= at == HEADER && is_netbios_name(last);
            at += 1 + last.len();
            if at - HEADER >= LONGEST_NAME {
                return None;
            }
        }
        let name_end = at + 1;
        Some(Self {
            kind: word(message, name_end)?,
            class: word(message, name_end + 2)?,
            end: name_end + 4,
            is_root: at == HEADER,
            is_named: is_plain(last) && (last.len() > 1 || is_plain(before)),
            is_netbios,
        })
    }

    /// Whether it is a usual one for the opcode.
    fn fits(&self, header: &Header) -> bool {
        let is_asked_for = if header.opcode == 0 {
            is_type(self.kind) && self.kind != OPT && matches!(self.class, IN | CH)
        } else {
            self.kind == SOA && self.class == IN
        };
        let is_of_netbios = self.is_netbios && self.kind == SRV;
        is_asked_for && !is_of_netbios && (self.is_root || self.is_named)
    }
}

/// A label of the characters that a top-level domain, or the name of a host or a service, has.
fn is_plain(label: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !label.is_empty() && label.iter().all(is_plain)
}

/// A name of 16 bytes, of which each half is a letter (RFC 1001, section 14.1).
fn is_netbios_name(label: &[u8]) -> bool {
    label.len() == 32 && label.iter().all(|byte| matches!(byte, b'A'..=b'P'))
}

/// A type that is assigned, will be before the others, or is for private use (RFC 6895, section 3.1).
const fn is_type(kind: u16) -> bool {
    match kind {
        // Assigned long ago, and used by NetBIOS alone.
        NB => false,
        1..=128 | 249..=272 | 32_768..=32_769 | 65_280..=65_534 => true,
        _ => false,
    }
}

/// Whether the records are such as the message has, and end with it, as far as they are there.
fn records_fit(message: &[u8], len: usize, header: &Header, question: &Question) -> bool {
    let is_cut = message.len() < len;
    let mut at = question.end;
    let mut has_opt = false;
    for (section, count) in SECTIONS.into_iter().zip(header.records) {
        for _ in 0..count {
            let entry = match Entry::read(message, at) {
                Part::Whole(entry) => entry,
                // What is there is sound; a root without its OPT record is nothing.
                Part::Short => return is_cut && !question.is_root,
                Part::Broken => return false,
            };
            if !may_stand(&entry, section, header, question) {
                return false;
            }
            let (Some(ttl), Some(data)) = (word(message, entry.end()), entry.data(message)) else {
                return is_cut && !question.is_root;
            };
            let is_first_opt = entry.is_opt() && !has_opt;
            has_opt |= entry.is_opt();
            let is_sound = if entry.kind == OPT {
                // The version, in the second byte of what others have as a TTL (RFC 6891, 6.1.3), is 0.
                is_first_opt && ttl & 0xFF == 0
            } else {
                ttl & 0x8000 == 0 && entry.has_room_for_address(data.len())
            };
            if !is_sound || data.end > len {
                return false;
            }
            if data.end > message.len() {
                return is_cut && !question.is_root;
            }
            if !data_fits(message, &entry, &data) {
                return false;
            }
            at = data.end;
        }
    }
    at == len && (has_opt || !question.is_root)
}

/// A section of records (RFC 1035, 4.1).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Answer,
    Authority,
    Additional,
}

const SECTIONS: [Section; 3] = [Section::Answer, Section::Authority, Section::Additional];

/// Whether a record with that type and class is one that stands there.
fn may_stand(entry: &Entry, section: Section, header: &Header, question: &Question) -> bool {
    let is_query = !header.response && header.opcode != UPDATE;
    let is_of_section = match section {
        Section::Answer => !is_query || entry.kind == SOA,
        Section::Authority => !is_query || (question.kind == IXFR && entry.kind == SOA),
        Section::Additional => !is_query || matches!(entry.kind, OPT | TSIG | TKEY | SIG),
    };
    let is_of_class = match entry.kind {
        OPT => section == Section::Additional && entry.is_opt(),
        TSIG | TKEY | SIG if entry.class == ANY => true,
        _ if header.opcode == UPDATE => matches!(entry.class, IN | NONE | ANY),
        _ => entry.class == question.class,
    };
    is_of_section && is_of_class && is_type(entry.kind)
}

/// Whether RDATA that is a name, or options, is all of that.
fn data_fits(message: &[u8], entry: &Entry, data: &std::ops::Range<usize>) -> bool {
    const NS: u16 = 2;
    const CNAME: u16 = 5;
    const PTR: u16 = 12;
    const DNAME: u16 = 39;
    match entry.kind {
        // An UPDATE may name a record set by its type alone (RFC 2136, 2.4).
        NS | CNAME | PTR | DNAME => {
            (data.is_empty() && entry.class != IN)
                || matches!(name(message, data.start), Part::Whole(end) if end == data.end)
        }
        OPT => {
            let mut at = data.start;
            while at < data.end {
                let Some(length) = word(message, at + 2) else {
                    return false;
                };
                at += 4 + usize::from(length);
            }
            at == data.end
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
