//! The walk through the whole of a message, section after section. A record that is broken spoils itself alone: the next one
//! begins where RDLENGTH says.

use std::borrow::Cow;

use super::edns::Opt;
use super::name::{Spelling, read_name, skip_name, text_of};
use super::{Cut, Edns, HEADER_LEN, Header, Message, Record, Section, UPDATE, mnemonic, rdata};

/// The most text that the records of a message become, owner names and RDATA together, in bytes. A message of 64 KiB whose
/// names are all pointers would become more than thirty times as much.
pub(super) const TEXT_MAX: usize = 1 << 19;

/// Most names and most RDATA take fewer bytes as text.
const USUAL: usize = 64;

/// A pointer (RFC 1035, 4.1.4) to what stands behind the header: the first question's name.
const QUESTION: [u8; 2] = [0xC0, HEADER_LEN as u8];

/// NS (RFC 1035, 3.3.11).
const NS: u16 = 2;
/// SOA (RFC 1035, 3.3.13).
const SOA: u16 = 6;
/// OPT, the pseudo-record of EDNS (RFC 6891).
const OPT: u16 = 41;

/// The class NONE (RFC 2136, 1.3).
const NONE: u16 = 254;
/// The class ANY (RFC 1035, 3.2.5).
const ANY: u16 = 255;

impl Message {
    /// Decodes what can be decoded. `None` where there is not even a header.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut message = Self::default();
        message.read(bytes).then_some(message)
    }

    /// The same in the place, and in the memory, of another message; `false`, and leaves it alone, where there is not even a
    /// header.
    pub fn read(&mut self, bytes: &[u8]) -> bool {
        self.read_response(bytes, None)
    }

    /// The same of what may be the response to that query, of which it mostly repeats the question byte for byte.
    pub fn read_response(&mut self, bytes: &[u8], query: Option<(&Self, &[u8])>) -> bool {
        let Some(header) = Header::read(bytes) else {
            return false;
        };
        self.clear(header);
        let mut walk = Walk {
            bytes,
            message: self,
            repeats: query.and_then(|(query, bytes)| {
                let question = bytes.get(HEADER_LEN..query.question_end)?;
                (!question.is_empty()).then_some((query, question))
            }),
            name_servers: false,
            start_of_authority: false,
            text_left: TEXT_MAX,
        };
        if let Err(section) = walk.sections() {
            walk.note(section);
        }
        let is_referral = walk.name_servers && !walk.start_of_authority;
        self.is_referral = is_referral;
        true
    }

    /// Begins anew: nothing is left of what was read before, but the memory that it was in.
    fn clear(&mut self, of: Header) {
        let Self {
            header,
            name,
            name_spelled,
            record_type,
            class,
            other_questions,
            answers,
            sound_answers,
            is_referral,
            edns,
            edns_options,
            rcode,
            malformed,
            cut,
            opcode,
            question_end,
            spare,
        } = self;
        if opcode.is_empty() || header.opcode() != of.opcode() {
            *opcode = mnemonic::opcode(of.opcode());
        }
        *header = of;
        spare.name = name.take().unwrap_or_default();
        name_spelled.clear();
        *record_type = Cow::Borrowed("unknown");
        *class = None;
        other_questions.clear();
        spare.keep(answers);
        *sound_answers = 0;
        *is_referral = false;
        *edns = None;
        edns_options.clear();
        *rcode = u16::from(of.rcode());
        malformed.clear();
        cut.clear();
        *question_end = 0;
    }
}

/// A message that is being read.
struct Walk<'a> {
    bytes: &'a [u8],
    message: &'a mut Message,
    /// The query, and its first question's bytes, where the response may repeat them.
    repeats: Option<(&'a Message, &'a [u8])>,
    /// The authority section holds an NS record.
    name_servers: bool,
    /// The authority section holds a SOA record.
    start_of_authority: bool,
    /// How much text may still be made of records.
    text_left: usize,
}

impl Walk<'_> {
    /// Reads section after section; the error is the section in which the walk had to end.
    fn sections(&mut self) -> Result<(), Section> {
        let header = self.message.header;
        let mut at = HEADER_LEN;
        for number in 0..header.questions {
            at = self.question(at, number).ok_or(Section::Question)?;
        }
        for (section, count) in [
            (Section::Answer, header.answers),
            (Section::Authority, header.authorities),
            (Section::Additional, header.additionals),
        ] {
            for _ in 0..count {
                at = self.record(at, section).ok_or(section)?;
            }
        }
        Ok(())
    }

    /// Takes the first question from the query, where it is the same; gives the offset after it.
    fn repeated_question(&mut self, at: usize) -> Option<usize> {
        let (query, question) = self.repeats.take()?;
        let name = query.name.as_deref()?;
        self.bytes
            .get(at..)
            .filter(|rest| rest.starts_with(question))?;
        let message = &mut *self.message;
        message.name_spelled.push_str(&query.name_spelled);
        let mut folded = std::mem::take(&mut message.spare.name);
        folded.clear();
        folded.push_str(name);
        message.name = Some(folded);
        message.record_type.clone_from(&query.record_type);
        message.class = query.class;
        message.question_end = at.checked_add(question.len())?;
        Some(message.question_end)
    }

    /// Reads the question at that offset and gives the offset after it.
    fn question(&mut self, at: usize, number: u16) -> Option<usize> {
        if let Some(end) = self.repeated_question(at) {
            return Some(end);
        }
        let is_kept = usize::from(number) <= Message::QUESTIONS_MAX;
        let mut spelled = match number {
            0 => std::mem::take(&mut self.message.name_spelled).into_bytes(),
            _ => Vec::new(),
        };
        let whole = is_kept
            .then(|| read_name(self.bytes, at, Spelling::Kept, &mut spelled))
            .flatten();
        let end = whole.or_else(|| skip_name(self.bytes, at))?;
        let &[a, b, c, d] = self.bytes.get(end..)?.first_chunk::<4>()?;
        match (whole, number) {
            _ if !is_kept => self.cut(Cut::Questions),
            (None, _) => self.note(Section::Question),
            (Some(_), 0) => {
                let message = &mut *self.message;
                // On the wire it has a length more, and the root's.
                if end.checked_sub(at) == spelled.len().checked_add(2) {
                    message.question_end = end.checked_add(4)?;
                }
                message.name_spelled = text_of(spelled);
                let mut folded = std::mem::take(&mut message.spare.name);
                folded.clear();
                folded.push_str(&message.name_spelled);
                folded.make_ascii_lowercase();
                message.name = Some(folded);
                message.record_type = mnemonic::record_type(u16::from_be_bytes([a, b]));
                message.class = Some(u16::from_be_bytes([c, d]));
            }
            (Some(_), _) => {
                let mut folded = text_of(spelled);
                folded.make_ascii_lowercase();
                self.message.other_questions.push(folded);
            }
        }
        end.checked_add(4)
    }

    /// Reads the record at that offset and gives the offset after it.
    fn record(&mut self, at: usize, section: Section) -> Option<usize> {
        let with_owner = self.text_left > 0;
        let (mut owner, data) = (self.message.spare.text(), self.message.spare.text());
        let is_plain = self.message.question_end > 0;
        let asked = self.message.name.as_deref().filter(|_| is_plain);
        let record = RawRecord::read(self.bytes, at, with_owner, asked, &mut owner)?;
        if !record.owner_is_whole {
            self.note(section);
        }
        match (section, record.record_type) {
            (Section::Authority, NS) => self.name_servers = true,
            (Section::Authority, SOA) => self.start_of_authority = true,
            _ => {}
        }
        if section == Section::Additional && record.record_type == OPT {
            self.opt(&record);
            self.message.spare.give_back(owner);
            self.message.spare.give_back(data);
        } else {
            self.data(section, &record, owner, data);
        }
        Some(record.end)
    }

    /// Reads a record's RDATA, and keeps the record where it is an answer.
    fn data(&mut self, section: Section, record: &RawRecord, owner: Vec<u8>, mut data: Vec<u8>) {
        let is_update = self.message.header.opcode() == UPDATE;
        // What an UPDATE asks to be there is no answer.
        let is_answer = section == Section::Answer && !is_update;
        // It may name a record set by type and class alone (RFC 2136, 2.4 and 2.5).
        if is_update && matches!(record.class, NONE | ANY) && record.data == record.end {
            return;
        }
        if self.text_left > 0 {
            let is_sound = rdata::present(
                self.bytes,
                record.record_type,
                record.data,
                record.end,
                &mut data,
            );
            if !is_sound {
                self.note(section);
            }
            let length = owner.len().saturating_add(data.len());
            let is_kept = length <= self.text_left;
            self.text_left = self.text_left.saturating_sub(length);
            if is_kept {
                if is_answer {
                    self.message.sound_answers += usize::from(is_sound);
                    // Field by field where it stays: a record that is put together elsewhere is waited for when it is moved.
                    let answer = self.message.answers.push_mut(Record::default());
                    answer.name = text_of(owner);
                    answer.record_type = mnemonic::record_type(record.record_type);
                    answer.class = record.class;
                    answer.ttl = record.ttl;
                    answer.data = text_of(data);
                } else {
                    self.message.spare.give_back(owner);
                    self.message.spare.give_back(data);
                }
                return;
            }
        }
        if is_answer {
            self.cut(Cut::Answers);
        }
    }

    fn opt(&mut self, record: &RawRecord) {
        let data = self.bytes.get(record.data..record.end).unwrap_or_default();
        let opt = Opt::read(record.class, record.ttl, data);
        if opt.malformed {
            self.note(Section::Additional);
        }
        // Only the first OPT record counts; a second one is an error (RFC 6891, 6.1.1).
        if self.message.edns.is_some() {
            self.note(Section::Additional);
            return;
        }
        if opt.cut {
            self.cut(Cut::Options);
        }
        let message = &mut *self.message;
        message.rcode |= u16::from(opt.extended_rcode_high) << 4;
        let options = opt.options.into_iter().map(|(name, mut text)| {
            if !text.is_empty() {
                text.insert(0, '=');
            }
            text.insert_str(0, &name);
            text
        });
        message.edns_options.extend(options);
        message.edns = Some(Edns {
            version: opt.version,
            udp_size: opt.udp_size,
            dnssec_ok: opt.dnssec_ok,
            client_subnet: opt.client_subnet,
        });
    }

    /// Notes a section as malformed, once.
    fn note(&mut self, section: Section) {
        if !self.message.malformed.contains(&section) {
            self.message.malformed.push(section);
        }
    }

    /// Notes that something was left out, once.
    fn cut(&mut self, what: Cut) {
        if !self.message.cut.contains(&what) {
            self.message.cut.push(what);
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
    /// Reads the record at `at`; its owner name is left in `owner`, up to where it breaks. It may be passed over. Most owners
    /// point at the name that was `asked` for: where it is written out, it is not read again.
    fn read(
        bytes: &[u8],
        at: usize,
        with_owner: bool,
        asked: Option<&str>,
        owner: &mut Vec<u8>,
    ) -> Option<Self> {
        let whole = match asked {
            _ if !with_owner => skip_name(bytes, at),
            Some(asked) if bytes.get(at..)?.starts_with(&QUESTION) => {
                owner.extend_from_slice(asked.as_bytes());
                at.checked_add(QUESTION.len())
            }
            _ => read_name(bytes, at, Spelling::Folded, owner),
        };
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

/// Memory of records that were read before, for those to come: an answer is two texts, the owner's name and the RDATA, and most have
/// as many bytes as the last.
#[derive(Clone, Debug, Default)]
pub(super) struct Spare {
    texts: Vec<Vec<u8>>,
    /// That of the name that was asked for.
    pub(super) name: String,
}

impl Spare {
    /// No more texts than these are kept, and none that takes more bytes.
    const TEXTS: usize = 128;
    const BYTES: usize = 512;

    /// An empty text.
    fn text(&mut self) -> Vec<u8> {
        self.texts
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(USUAL))
    }

    fn give_back(&mut self, mut text: Vec<u8>) {
        if self.texts.len() < Self::TEXTS && text.capacity() <= Self::BYTES {
            text.clear();
            self.texts.push(text);
        }
    }

    /// Takes the texts of records that nobody needs any more.
    fn keep(&mut self, records: &mut Vec<Record>) {
        for record in records.drain(..) {
            self.give_back(record.data.into_bytes());
            self.give_back(record.name.into_bytes());
        }
    }
}
