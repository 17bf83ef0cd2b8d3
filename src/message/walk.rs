//! The walk through the whole of a message, section after section.

use std::borrow::Cow;

use super::edns::Opt;
use super::name::{Spelling, read_name, skip_name};
use super::{Cut, Edns, HEADER_LEN, Header, Message, Record, Section, mnemonic, rdata};

/// OPT, the pseudo-record of EDNS (RFC 6891).
const OPT: u16 = 41;

impl Message {
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
            edns_options: Vec::new(),
            rcode: u16::from(header.rcode()),
            malformed: Vec::new(),
            cut: Vec::new(),
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
        if opt.cut {
            self.cut.push(Cut::Options);
        }
        self.edns_options = opt
            .options
            .iter()
            .map(|(name, value)| match value.as_str() {
                "" => name.to_string(),
                value => format!("{name}={value}"),
            })
            .collect();
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
