//! A lenient walk of the DNS message (RFC 1035, section 4): what parsed is kept, and what did not is said.
//!
//! [`Question::read`] looks at the header and the question in place, without allocating; only a message that somebody
//! wants is decoded whole by [`Message::decode`].

mod edns;
mod mnemonic;
mod name;
mod question;
mod rdata;
mod walk;

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Serialize;

use crate::frame::{Around, Plain, Transport};
use crate::packet::Packet;
use crate::time::Timestamp;
pub use mnemonic::{
    class as class_name, class_number, opcode as opcode_name, rcode as rcode_name,
    record_type as record_type_name, record_type_number,
};
pub use question::Question;
pub(crate) use rdata::{write_ipv4, write_ipv6};

/// The length of the header in bytes (RFC 1035, 4.1.1).
pub const HEADER_LEN: usize = 12;

/// QR: this is a response.
const QR: u16 = 0x8000;
/// TC: the response was truncated.
const TC: u16 = 0x0200;
/// RD: recursion is desired.
const RD: u16 = 0x0100;

/// The opcode UPDATE (RFC 2136).
const UPDATE: u8 = 5;
/// The top bit of QCLASS in multicast DNS: a unicast response is wanted (RFC 6762, 5.4).
const UNICAST_RESPONSE: u16 = 0x8000;

/// Who sent a message to whom, when, and in what.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Capture time of the packet that completed the message.
    pub time: Timestamp,
    /// That packet's input: the index into the run's list of inputs.
    pub input: u16,
    /// That packet's number within its input, from 1.
    pub number: u64,
    /// The sender.
    pub src: IpAddr,
    /// The receiver.
    pub dst: IpAddr,
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// UDP or TCP.
    pub transport: Transport,
    /// IPv4 identification; `None` for IPv6 and for messages out of a stream.
    pub ip_id: Option<u16>,
    /// The layers around the packet.
    pub around: Around<'a>,
    /// How many bytes of the message were never seen.
    pub missing: u32,
    /// They were in fragments that never came; else the capture cut them off.
    pub fragment_missing: bool,
}

impl<'a> Envelope<'a> {
    /// Who sent the datagram of a plain packet to whom.
    #[must_use]
    pub fn of_plain(plain: &Plain<'a>, packet: &Packet<'_>) -> Self {
        let [src, dst] = plain.addresses.either();
        let [src_port, dst_port] = plain.ports;
        Self {
            time: packet.time,
            input: packet.input,
            number: packet.number,
            src,
            dst,
            src_port,
            dst_port,
            transport: Transport::Udp,
            ip_id: plain.ip_id,
            around: plain.around,
            missing: 0,
            fragment_missing: false,
        }
    }
}

/// The header of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The message ID.
    pub id: u16,
    /// The second 16 bits: QR, opcode, flags, RCODE.
    pub flags: u16,
    /// QDCOUNT.
    pub questions: u16,
    /// ANCOUNT.
    pub answers: u16,
    /// NSCOUNT.
    pub authorities: u16,
    /// ARCOUNT.
    pub additionals: u16,
}

impl Header {
    /// The header of a message; `None` where there are less than twelve bytes.
    #[inline(always)]
    #[must_use]
    pub fn read(message: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER_LEN] = message.first_chunk()?;
        let &[a, b, c, d, e, f, g, h, i, j, k, l] = header;
        Some(Self {
            id: u16::from_be_bytes([a, b]),
            flags: u16::from_be_bytes([c, d]),
            questions: u16::from_be_bytes([e, f]),
            answers: u16::from_be_bytes([g, h]),
            authorities: u16::from_be_bytes([i, j]),
            additionals: u16::from_be_bytes([k, l]),
        })
    }

    /// The QR bit.
    #[inline(always)]
    #[must_use]
    pub const fn is_response(&self) -> bool {
        self.flags & QR != 0
    }

    /// The TC bit.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.flags & TC != 0
    }

    /// The RD bit.
    #[inline(always)]
    #[must_use]
    pub const fn recursion_desired(&self) -> bool {
        self.flags & RD != 0
    }

    /// The opcode; 0 is QUERY.
    #[inline(always)]
    #[must_use]
    pub const fn opcode(&self) -> u8 {
        (self.flags >> 11) as u8 & 0x0F
    }

    /// The four bits of RCODE in the header.
    #[must_use]
    pub const fn rcode(&self) -> u8 {
        self.flags as u8 & 0x0F
    }
}

/// A resource record as an event shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Owner name in lower case.
    pub name: String,
    /// The type's mnemonic.
    #[serde(rename = "type")]
    pub record_type: Cow<'static, str>,
    /// The class's number, as the wire has it; events are not written with it.
    #[serde(skip)]
    pub class: u16,
    /// TTL in seconds.
    pub ttl: u32,
    /// RDATA in presentation form.
    pub data: String,
}

/// EDNS (RFC 6891) as a message carries it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edns {
    /// The version.
    pub version: u8,
    /// The sender's UDP payload size in bytes.
    pub udp_size: u16,
    /// The DO bit.
    pub dnssec_ok: bool,
    /// The client subnet option (RFC 7871), `address/prefix`.
    pub client_subnet: Option<String>,
}

/// A section of a message, as the anomaly `malformed:` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// The question section.
    Question,
    /// The answer section.
    Answer,
    /// The authority section.
    Authority,
    /// The additional section.
    Additional,
}

impl Section {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [
        Self::Question,
        Self::Answer,
        Self::Authority,
        Self::Additional,
    ];

    /// The section's name in RFC 1035; in a message with the opcode UPDATE that in RFC 2136, section 2.
    #[must_use]
    pub const fn name(self, opcode: u8) -> &'static str {
        match self {
            Self::Question if opcode == UPDATE => "zone",
            Self::Answer if opcode == UPDATE => "prerequisite",
            Self::Authority if opcode == UPDATE => "update",
            Self::Question => "question",
            Self::Answer => "answer",
            Self::Authority => "authority",
            Self::Additional => "additional",
        }
    }
}

/// What is left out of a message where there is more of it than is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Questions beyond [`Message::QUESTIONS_MAX`].
    Questions,
    /// Answer records, because there was too much text.
    Answers,
    /// Options of EDNS, or part of a long one.
    Options,
}

impl Cut {
    /// The word for it, as the anomaly has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Questions => "questions",
            Self::Answers => "answers",
            Self::Options => "options",
        }
    }
}

/// A message decoded as far as it could be.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The header.
    pub header: Header,
    /// The first question's name in lower case; `None` where there is no whole question.
    pub name: Option<String>,
    /// The same as it was spelled.
    pub name_spelled: String,
    /// QTYPE's mnemonic.
    pub record_type: Cow<'static, str>,
    /// QCLASS; `None` where there is no whole question.
    pub class: Option<u16>,
    /// The names of the further questions, in lower case; at most [`Message::QUESTIONS_MAX`].
    pub other_questions: Vec<String>,
    /// The answer section's records; none of an UPDATE, which has prerequisites there. Together with the records of the
    /// other sections they become at most 512 KiB of text.
    pub answers: Vec<Record>,
    /// How many of these are what their type asks for.
    pub sound_answers: usize,
    /// Whether the authority section, as far as it is there, holds an NS record and no SOA record: a referral (RFC 2308,
    /// section 2.2).
    pub is_referral: bool,
    /// EDNS.
    pub edns: Option<Edns>,
    /// The options of EDNS in their order, each as `name` or `name=value` in printable ASCII characters; at most 64 of at
    /// most 1,027.
    pub edns_options: Vec<String>,
    /// RCODE with the upper bits that EDNS gives.
    pub rcode: u16,
    /// The section that could not be read to its end, and those in which a record was not what its type asks for.
    pub malformed: Vec<Section>,
    /// What was more than is kept.
    pub cut: Vec<Cut>,
    /// The opcode's mnemonic.
    pub opcode: Cow<'static, str>,
    /// The offset after the first question, where its name is written out and prints as it is; else 0.
    question_end: usize,
    /// Memory for the next message that is read into this one's place.
    spare: walk::Spare,
}

impl Message {
    /// The most further questions of which the names are kept. Servers answer none with more than one (RFC 9619).
    pub const QUESTIONS_MAX: usize = 64;

    /// QCLASS's mnemonic, `unknown` where there is no whole question. In multicast DNS its top bit is not the class's.
    #[must_use]
    pub fn class_name(&self, is_multicast: bool) -> Cow<'static, str> {
        let asked = if is_multicast { UNICAST_RESPONSE } else { 0 };
        self.class.map_or(Cow::Borrowed("unknown"), |class| {
            mnemonic::class(class & !asked)
        })
    }
}

#[cfg(test)]
mod tests;
