//! A lenient walk of the DNS message (RFC 1035, section 4): what parsed is kept, and what did not is said.
//!
//! [`Question::read`] looks at the header and the question in place, without allocating; only a message that somebody
//! wants is decoded whole by [`Message::decode`].

mod edns;
mod mnemonic;
mod name;
mod question;
mod rdata;

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Serialize;

use crate::frame::{Layers, Transport};
use crate::time::Timestamp;
use edns::Opt;
use name::{Spelling, read_name, skip_name};
pub use question::{Question, Tail};

/// The length of the header in bytes (RFC 1035, 4.1.1).
pub const HEADER_LEN: usize = 12;

/// QR: this is a response.
const QR: u16 = 0x8000;
/// TC: the response was truncated.
const TC: u16 = 0x0200;
/// RD: recursion is desired.
const RD: u16 = 0x0100;

/// OPT, the pseudo-record of EDNS (RFC 6891).
const OPT: u16 = 41;

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
    pub layers: &'a Layers,
    /// How many bytes of the message were never seen.
    pub missing: u32,
    /// They were in fragments that never came; else the capture cut them off.
    pub fragment_missing: bool,
}

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    #[must_use]
    pub const fn recursion_desired(&self) -> bool {
        self.flags & RD != 0
    }

    /// The opcode; 0 is QUERY.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Owner name in lower case.
    pub name: String,
    /// The type's mnemonic.
    #[serde(rename = "type")]
    pub record_type: Cow<'static, str>,
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
    /// The section's name in RFC 1035.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::Answer => "answer",
            Self::Authority => "authority",
            Self::Additional => "additional",
        }
    }
}

/// A message decoded as far as it could be.
#[derive(Clone, Debug)]
pub struct Message {
    /// The header.
    pub header: Header,
    /// The first question's name in lower case; `None` where there is no whole question.
    pub name: Option<String>,
    /// The same as it was spelled.
    pub name_spelled: String,
    /// QTYPE's mnemonic.
    pub record_type: Cow<'static, str>,
    /// QCLASS's mnemonic.
    pub class: Cow<'static, str>,
    /// The names of the further questions, in lower case; at most [`Message::QUESTIONS_MAX`].
    pub other_questions: Vec<String>,
    /// The answer section's records.
    pub answers: Vec<Record>,
    /// Whether the authority section holds an NS record and no SOA record: a referral (RFC 2308, section 2.2).
    pub is_referral: bool,
    /// EDNS.
    pub edns: Option<Edns>,
    /// RCODE with the upper bits that EDNS gives.
    pub rcode: u16,
    /// The section that could not be read to its end, and those in which a record was not what its type asks for.
    pub malformed: Vec<Section>,
    /// The opcode's mnemonic.
    pub opcode: Cow<'static, str>,
}

impl Message {
    /// The most questions of which the names are kept. Servers answer none with more than one (RFC 9619).
    pub const QUESTIONS_MAX: usize = 64;

    /// Decodes what can be decoded. `None` where there is not even a header.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let header = Header::read(bytes)?;
        let mut message = Self {
            header,
            name: None,
            name_spelled: String::new(),
            record_type: Cow::Borrowed("unknown"),
            class: Cow::Borrowed("unknown"),
            other_questions: Vec::new(),
            answers: Vec::new(),
            is_referral: false,
            edns: None,
            rcode: u16::from(header.rcode()),
            malformed: Vec::new(),
            opcode: mnemonic::opcode(header.opcode()),
        };
        if let Err(section) = message.walk(bytes) {
            message.note(section);
        }
        Some(message)
    }

    /// Reads section after section; the error is the section in which the walk had to end.
    fn walk(&mut self, bytes: &[u8]) -> Result<(), Section> {
        let mut at = HEADER_LEN;
        for number in 0..self.header.questions {
            at = self
                .read_question(bytes, at, number)
                .ok_or(Section::Question)?;
        }
        let (mut name_servers, mut start_of_authority) = (false, false);
        let sections = [
            (Section::Answer, self.header.answers),
            (Section::Authority, self.header.authorities),
            (Section::Additional, self.header.additionals),
        ];
        let mut text = Vec::new();
        for (section, count) in sections {
            for _ in 0..count {
                let record = RawRecord::read(bytes, at, &mut text).ok_or(section)?;
                at = record.end;
                if !record.owner_is_whole {
                    self.note(section);
                }
                match (section, record.record_type) {
                    (Section::Answer, _) => self.add_answer(bytes, &record, &mut text),
                    (Section::Authority, 2) => name_servers = true,
                    (Section::Authority, 6) => start_of_authority = true,
                    (Section::Additional, OPT) => self.read_opt(bytes, &record),
                    _ => {}
                }
            }
        }
        self.is_referral = name_servers && !start_of_authority;
        Ok(())
    }

    /// Reads a question and gives the offset after it.
    fn read_question(&mut self, bytes: &[u8], at: usize, number: u16) -> Option<usize> {
        let mut name = Vec::new();
        let end = read_name(bytes, at, Spelling::Folded, &mut name)?;
        let &[a, b, c, d] = bytes.get(end..)?.first_chunk::<4>()?;
        let name = into_text(name);
        if number == 0 {
            let mut spelled = Vec::new();
            read_name(bytes, at, Spelling::Kept, &mut spelled)?;
            self.name = Some(name);
            self.name_spelled = into_text(spelled);
            self.record_type = mnemonic::record_type(u16::from_be_bytes([a, b]));
            self.class = mnemonic::class(u16::from_be_bytes([c, d]));
        } else if self.other_questions.len() < Self::QUESTIONS_MAX {
            self.other_questions.push(name);
        }
        end.checked_add(4)
    }

    fn add_answer(&mut self, bytes: &[u8], record: &RawRecord, text: &mut Vec<u8>) {
        let name = into_text(text.clone());
        text.clear();
        if !rdata::present(bytes, record.record_type, record.data, record.end, text) {
            self.note(Section::Answer);
        }
        self.answers.push(Record {
            name,
            record_type: mnemonic::record_type(record.record_type),
            ttl: record.ttl,
            data: into_text(text.clone()),
        });
    }

    fn read_opt(&mut self, bytes: &[u8], record: &RawRecord) {
        let data = bytes.get(record.data..record.end).unwrap_or_default();
        let opt = Opt::read(record.class, record.ttl, data);
        if opt.malformed {
            self.note(Section::Additional);
        }
        // Only the first OPT record counts; a second one is an error (RFC 6891, 6.1.1).
        if self.edns.is_some() {
            self.note(Section::Additional);
            return;
        }
        self.rcode |= u16::from(opt.extended_rcode_high) << 4;
        self.edns = Some(Edns {
            version: opt.version,
            udp_size: opt.udp_size,
            dnssec_ok: opt.dnssec_ok,
            client_subnet: opt.client_subnet,
        });
    }

    /// Notes a section as malformed, once.
    fn note(&mut self, section: Section) {
        if !self.malformed.contains(&section) {
            self.malformed.push(section);
        }
    }
}

/// A record whose frame (RFC 1035, 4.1.3) was read; its RDATA was not looked at.
struct RawRecord {
    owner_is_whole: bool,
    record_type: u16,
    class: u16,
    ttl: u32,
    data: usize,
    end: usize,
}

impl RawRecord {
    /// Reads the record at `at`; its owner name is left in `owner`, up to where it breaks.
    fn read(bytes: &[u8], at: usize, owner: &mut Vec<u8>) -> Option<Self> {
        owner.clear();
        let whole = read_name(bytes, at, Spelling::Folded, owner);
        let at = whole.or_else(|| skip_name(bytes, at))?;
        let &[a, b, c, d, e, f, g, h, i, j] = bytes.get(at..)?.first_chunk::<10>()?;
        let data = at.checked_add(10)?;
        let end = data.checked_add(usize::from(u16::from_be_bytes([i, j])))?;
        (end <= bytes.len()).then_some(Self {
            owner_is_whole: whole.is_some(),
            record_type: u16::from_be_bytes([a, b]),
            class: u16::from_be_bytes([c, d]),
            ttl: u32::from_be_bytes([e, f, g, h]),
            data,
            end,
        })
    }
}

/// What the walk writes is ASCII; should it ever not be, nothing is lost.
fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `abc.ngrok.io A`, answered by a CNAME, an A record, and an OPT record.
    const RESPONSE: &[u8] = b"\x12\x34\x85\x80\0\x01\0\x02\0\0\0\x01\
        \x03aBc\x05ngrok\x02io\0\0\x01\0\x01\
        \xC0\x0C\0\x05\0\x01\0\0\x01\x2C\0\x04\x01x\xC0\x10\
        \xC0\x2A\0\x01\0\x01\0\0\0\x3C\0\x04\x03\x86\x27\xDC\
        \0\0\x29\x04\xD0\0\0\x80\0\0\0";

    #[test]
    fn a_whole_response() {
        let message = Message::decode(RESPONSE).unwrap();
        assert_eq!(message.name.as_deref(), Some("abc.ngrok.io"));
        assert_eq!(message.name_spelled, "aBc.ngrok.io");
        assert_eq!(
            (message.record_type.as_ref(), message.class.as_ref()),
            ("A", "IN")
        );
        let answers: Vec<_> = message
            .answers
            .iter()
            .map(|r| {
                (
                    r.name.as_str(),
                    r.record_type.as_ref(),
                    r.ttl,
                    r.data.as_str(),
                )
            })
            .collect();
        assert_eq!(
            answers,
            [
                ("abc.ngrok.io", "CNAME", 300, "x.ngrok.io"),
                ("x.ngrok.io", "A", 60, "3.134.39.220")
            ]
        );
        assert_eq!(
            message.edns,
            Some(Edns {
                version: 0,
                udp_size: 1232,
                dnssec_ok: true,
                client_subnet: None
            })
        );
        assert!(message.malformed.is_empty());
    }

    #[test]
    fn what_parsed_is_kept_wherever_it_is_cut() {
        for cut in 0..RESPONSE.len() {
            let part = RESPONSE.get(..cut).unwrap();
            let Some(message) = Message::decode(part) else {
                assert!(cut < HEADER_LEN);
                continue;
            };
            let expected = match cut {
                ..30 => (false, 0, Section::Question),
                30..46 => (true, 0, Section::Answer),
                46..62 => (true, 1, Section::Answer),
                _ => (true, 2, Section::Additional),
            };
            assert_eq!(
                (
                    message.name.is_some(),
                    message.answers.len(),
                    message.malformed[0]
                ),
                expected,
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_broken_record_spoils_itself_alone() {
        let mut bytes = RESPONSE.to_vec();
        // The CNAME's target points at itself.
        bytes[45] = 0x2C;
        bytes[44] = 0xC0;
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.answers.len(), 2);
        assert_eq!(message.answers[1].data, "3.134.39.220");
        assert_eq!(message.malformed, [Section::Answer]);
    }

    #[test]
    fn the_look_in_place_agrees_with_the_whole_walk() {
        let mut question = Question::default();
        for cut in HEADER_LEN..RESPONSE.len() {
            let part = RESPONSE.get(..cut).unwrap();
            let header = Header::read(part).unwrap();
            question.read(part, &header);
            let message = Message::decode(part).unwrap();
            assert_eq!(question.is_present(), message.name.is_some());
            assert_eq!(question.name(), message.name.unwrap_or_default().as_bytes());
        }
    }
}
