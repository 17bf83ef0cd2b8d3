//! Whether bytes look like a DNS message (RFC 1035, section 4), without decoding it.
//!
//! Three degrees: `is_plausible` for bytes that stand where a message is expected; what [`crate::stream`] asks of a
//! boundary that it looks for; and [`is_message`] for bytes of which nothing else says that they are DNS.

mod alone;

pub use alone::{first_message, is_message};
pub(crate) use alone::{is_response, may_be_message};

/// Bytes of the length before each message over TCP (RFC 1035, 4.2.2).
pub(crate) const PREFIX: usize = 2;
/// Bytes of a header (RFC 1035, 4.1.1).
pub(crate) const HEADER: usize = 12;
/// The smallest question: root name, type, class.
pub(crate) const QUESTION: usize = 5;
/// The smallest resource record: root name, type, class, TTL, length.
const RECORD: usize = 11;
/// The last opcode that is assigned (RFC 8490: DSO).
const LAST_OPCODE: u8 = 6;
/// A name's greatest length in octets (RFC 1035, 3.1).
const LONGEST_NAME: usize = 255;

/// The length that stands before a message; `None` where less than two bytes are there.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    word(bytes, 0).map(usize::from)
}

/// Two bytes in network byte order.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(pair.try_into().ok()?))
}

/// The parts of a header that tell DNS from other bytes.
pub(crate) struct Header {
    /// All of the second 16 bits.
    flags: u16,
    /// QR.
    pub(crate) response: bool,
    /// The opcode.
    pub(crate) opcode: u8,
    /// Z, which is zero (RFC 6895, section 2.1).
    pub(crate) reserved: bool,
    /// The four bits of RCODE.
    pub(crate) rcode: u8,
    /// QDCOUNT.
    pub(crate) questions: usize,
    /// ANCOUNT, NSCOUNT, ARCOUNT.
    pub(crate) records: [usize; 3],
}

impl Header {
    /// Reads it; `None` where less than twelve bytes are there.
    pub(crate) fn read(message: &[u8]) -> Option<Self> {
        let flags = word(message, 2)?;
        let count = |at| word(message, at).map(usize::from);
        Some(Self {
            flags,
            response: flags & 0x8000 != 0,
            opcode: (flags >> 11 & 15) as u8,
            reserved: flags & 0x0040 != 0,
            rcode: (flags & 15) as u8,
            questions: count(4)?,
            records: [count(6)?, count(8)?, count(10)?],
        })
    }

    /// How many records the three sections have.
    pub(crate) fn total_records(&self) -> usize {
        self.records.iter().sum()
    }

    /// An assigned opcode, and counts that a message of `len` bytes has room for.
    pub(crate) fn is_plausible(&self, len: usize) -> bool {
        self.opcode <= LAST_OPCODE
            && HEADER + self.questions * QUESTION + self.total_records() * RECORD <= len
    }
}

/// What bytes say of a part of a message.
pub(crate) enum Part<T> {
    /// It is there.
    Whole(T),
    /// The bytes end before it does.
    Short,
    /// It is none.
    Broken,
}

/// The end of the name at `at`: labels, then the root or a pointer to something before it (RFC 1035, 4.1.4).
pub(crate) fn name(message: &[u8], at: usize) -> Part<usize> {
    let mut here = at;
    loop {
        let Some(&octet) = message.get(here) else {
            return Part::Short;
        };
        match octet {
            0 => return Part::Whole(here + 1),
            1..=63 => here += 1 + usize::from(octet),
            0xc0.. => {
                let Some(pointer) = word(message, here) else {
                    return Part::Short;
                };
                let target = usize::from(pointer & 0x3fff);
                return if (HEADER..at).contains(&target) {
                    Part::Whole(here + 2)
                } else {
                    Part::Broken
                };
            }
            _ => return Part::Broken,
        }
        if here - at >= LONGEST_NAME {
            return Part::Broken;
        }
    }
}

/// What questions and records begin with: a name, a type and a class.
pub(crate) struct Entry {
    /// Where it begins.
    pub(crate) start: usize,
    /// Where its name ends.
    pub(crate) name_end: usize,
    /// TYPE or QTYPE.
    pub(crate) kind: u16,
    /// CLASS or QCLASS.
    pub(crate) class: u16,
}

/// OPT, the pseudo-record of EDNS (RFC 6891).
pub(crate) const OPT: u16 = 41;

impl Entry {
    /// Reads the one at `start`.
    pub(crate) fn read(message: &[u8], start: usize) -> Part<Self> {
        let name_end = match name(message, start) {
            Part::Whole(end) => end,
            Part::Short => return Part::Short,
            Part::Broken => return Part::Broken,
        };
        match (word(message, name_end), word(message, name_end + 2)) {
            (Some(kind), Some(class)) => Part::Whole(Self {
                start,
                name_end,
                kind,
                class,
            }),
            _ => Part::Short,
        }
    }

    /// Where a question ends.
    pub(crate) const fn end(&self) -> usize {
        self.name_end + 4
    }

    /// Where the RDATA of a record lies, which may end beyond the message; `None` where not even its length is there.
    pub(crate) fn data(&self, message: &[u8]) -> Option<std::ops::Range<usize>> {
        let start = self.end() + 6;
        let length = word(message, start - 2)?;
        Some(start..start + usize::from(length))
    }

    /// Whether it is an OPT record, which belongs to the root and says its sender's payload size where others have a class
    /// (RFC 6891, 6.1.2).
    pub(crate) const fn is_opt(&self) -> bool {
        self.kind == OPT && self.name_end == self.start + 1
    }

    /// Whether RDATA of that length can be an address (RFC 1035, 3.4.1; RFC 3596, 2.2), where it is one; none at all in an
    /// UPDATE (RFC 2136, 2.4).
    pub(crate) const fn has_room_for_address(&self, length: usize) -> bool {
        match (self.kind, self.class) {
            (1, 1) => matches!(length, 0 | 4),
            (28, 1) => matches!(length, 0 | 16),
            _ => true,
        }
    }
}

/// Whether `message`, the beginning of a message of `len` bytes, can be DNS: an assigned opcode, counts that have room,
/// and a first name that is one. Less than a header is not contradicted.
pub(crate) fn is_plausible(message: &[u8], len: usize) -> bool {
    if len < HEADER {
        return false;
    }
    let Some(header) = Header::read(message) else {
        return true;
    };
    if !header.is_plausible(len) {
        return false;
    }
    if header.questions + header.total_records() == 0 {
        // Nothing behind the header (a refusal), or what DSO has instead: a type and a length (RFC 8490, 5.4.1).
        return len == HEADER || (header.opcode == LAST_OPCODE && dso_fits(message, len));
    }
    match name(message, HEADER) {
        Part::Whole(end) => end + 4 <= len,
        Part::Short => message.len() < len,
        Part::Broken => false,
    }
}

/// Whether the first TLV of a DSO message has a type and ends within the message, as far as it is there.
fn dso_fits(message: &[u8], len: usize) -> bool {
    let kind = word(message, HEADER).is_none_or(|kind| kind != 0);
    let end = word(message, HEADER + 2).map_or(0, |length| HEADER + 4 + usize::from(length));
    kind && end <= len
}
