//! Whether bytes look like a DNS message, without decoding it: loosely for a stream that is in step, strictly where a
//! boundary is being looked for and nothing but the bytes themselves can tell.

/// Bytes of the length before each message (RFC 1035, 4.2.2).
pub(super) const PREFIX: usize = 2;
/// Bytes of a header (RFC 1035, 4.1.1).
pub(super) const HEADER: usize = 12;
/// The smallest question: root name, type, class.
const QUESTION: usize = 5;
/// The smallest resource record: root name, type, class, TTL, length.
const RECORD: usize = 11;
/// The last opcode that is assigned (RFC 8490: DSO).
const LAST_OPCODE: u8 = 6;
/// A name's greatest length in octets (RFC 1035, 3.1).
const LONGEST_NAME: usize = 255;
/// How many records must be sound before a message counts as one although its end was not seen.
const ENOUGH_RECORDS: u32 = 64;

/// The length that stands before a message; `None` where less than two bytes are there.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    word(bytes, 0).map(usize::from)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(pair.try_into().ok()?))
}

/// The parts of a header that tell DNS from other bytes.
struct Header {
    response: bool,
    opcode: u8,
    reserved: bool,
    rcode: u8,
    questions: usize,
    records: [usize; 3],
}

impl Header {
    fn read(message: &[u8]) -> Option<Self> {
        let flags = word(message, 2)?;
        let count = |at| word(message, at).map(usize::from);
        Some(Self {
            response: flags & 0x8000 != 0,
            opcode: (flags >> 11 & 15) as u8,
            reserved: flags & 0x0040 != 0,
            rcode: (flags & 15) as u8,
            questions: count(4)?,
            records: [count(6)?, count(8)?, count(10)?],
        })
    }

    fn total_records(&self) -> usize {
        self.records.iter().sum()
    }

    /// An assigned opcode, and counts that a message of `len` bytes has room for.
    fn is_plausible(&self, len: usize) -> bool {
        self.opcode <= LAST_OPCODE
            && HEADER + self.questions * QUESTION + self.total_records() * RECORD <= len
    }

    /// What real senders keep to as well, for where nothing but the bytes can tell.
    fn is_certain(&self) -> bool {
        let query_is_sound = self.response
            || (self.questions == 1
                && self.rcode == 0
                && (self.opcode != 0 || self.records[0] == 0));
        !self.reserved
            && matches!(self.opcode, 0 | 4 | 5)
            && self.questions <= 1
            && self.questions + self.total_records() > 0
            && query_is_sound
    }
}

/// Where a name ends.
enum Name {
    /// The offset after it.
    End(usize),
    /// The bytes end before the name does.
    Short,
    /// It is no name.
    Broken,
}

/// The end of the name at `at`: labels, then the root or a pointer to something before it (RFC 1035, 4.1.4).
fn name(message: &[u8], at: usize) -> Name {
    let mut here = at;
    loop {
        let Some(&octet) = message.get(here) else {
            return Name::Short;
        };
        match octet {
            0 => return Name::End(here + 1),
            1..=63 => here += 1 + usize::from(octet),
            0xc0.. => {
                let Some(pointer) = word(message, here) else {
                    return Name::Short;
                };
                let target = usize::from(pointer & 0x3fff);
                return if (HEADER..at).contains(&target) {
                    Name::End(here + 2)
                } else {
                    Name::Broken
                };
            }
            _ => return Name::Broken,
        }
        if here - at >= LONGEST_NAME {
            return Name::Broken;
        }
    }
}

/// Whether `message`, the beginning of a message of `len` bytes, can be DNS: an assigned opcode, counts that have room,
/// and a first name that is one. Less than a header is not contradicted.
pub(super) fn is_plausible(message: &[u8], len: usize) -> bool {
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
        Name::End(end) => end + 4 <= len,
        Name::Short => message.len() < len,
        Name::Broken => false,
    }
}

/// Whether the first TLV of a DSO message has a type and ends within the message, as far as it is there.
fn dso_fits(message: &[u8], len: usize) -> bool {
    let kind = word(message, HEADER).is_none_or(|kind| kind != 0);
    let end = word(message, HEADER + 2).map_or(0, |length| HEADER + 4 + usize::from(length));
    kind && end <= len
}

/// The most questions that the first message of a stream has.
const USUAL_QUESTIONS: usize = 16;

/// [`is_plausible`] for the first message of a stream, when nothing else says yet that this is DNS.
pub(super) fn is_plausible_first(message: &[u8], len: usize) -> bool {
    let usual = |header: Header| {
        header.questions <= USUAL_QUESTIONS && (header.response || header.rcode == 0)
    };
    is_plausible(message, len) && Header::read(message).is_none_or(usual)
}

/// Whether what follows a message can be the next one, as far as it is there.
pub(super) fn can_follow(rest: &[u8]) -> bool {
    match length(rest) {
        None => true,
        Some(len) => is_plausible(rest.get(PREFIX..).unwrap_or_default(), len),
    }
}

/// How far a strict walk through a message came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Walk {
    /// It is no message.
    Broken,
    /// Sound as far as it goes; that many questions and records are whole.
    Short(u32),
    /// Sound through so many records that its end need not be seen.
    Deep,
    /// Sound, and its last record ends where the message does.
    Whole,
}

/// Walks strictly through the beginning, or all, of a message of `len` bytes.
pub(super) fn walk(message: &[u8], len: usize) -> Walk {
    if len < HEADER + QUESTION {
        return Walk::Broken;
    }
    let message = message.get(..len).unwrap_or(message);
    let Some(header) = Header::read(message) else {
        return match word(message, 2) {
            Some(flags) if flags & 0x0040 != 0 => Walk::Broken,
            _ => Walk::Short(0),
        };
    };
    if !header.is_plausible(len) || !header.is_certain() {
        return Walk::Broken;
    }
    let mut at = HEADER;
    let mut whole = 0u32;
    let items = header.questions + header.total_records();
    for item in 0..items {
        let end = match name(message, at) {
            Name::End(end) => end,
            Name::Short if message.len() < len => return Walk::Short(whole),
            Name::Short | Name::Broken => return Walk::Broken,
        };
        let (Some(kind), Some(class)) = (word(message, end), word(message, end + 2)) else {
            return if message.len() < len {
                Walk::Short(whole)
            } else {
                Walk::Broken
            };
        };
        // OPT says its sender's payload size where others have a class (RFC 6891, 6.1.2), and belongs to the root.
        let class_is_known =
            matches!(class, 1 | 3 | 4 | 254 | 255) || (kind == 41 && end == at + 1);
        if kind == 0 || !class_is_known {
            return Walk::Broken;
        }
        at = end + 4;
        if item >= header.questions {
            let Some(data) = word(message, at + 4).map(usize::from) else {
                return if message.len() < len {
                    Walk::Short(whole)
                } else {
                    Walk::Broken
                };
            };
            let fits = match (kind, class) {
                (1, 1) => matches!(data, 0 | 4),
                (28, 1) => matches!(data, 0 | 16),
                _ => true,
            };
            at += 6 + data;
            if !fits {
                return Walk::Broken;
            }
        }
        if at > len {
            return Walk::Broken;
        }
        if at > message.len() {
            return Walk::Short(whole);
        }
        whole += 1;
        if whole >= ENOUGH_RECORDS {
            return Walk::Deep;
        }
    }
    if at == len { Walk::Whole } else { Walk::Broken }
}

/// What comes after the bytes in which a boundary is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// More may come.
    More,
    /// That many bytes will never come, then others; 0 where nothing at all follows.
    Hole(u64),
}

/// Whether a message begins somewhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Boundary {
    /// Certainly.
    Yes,
    /// No, or not certainly.
    No,
    /// It takes that many bytes to say.
    Needs(usize),
}

/// Whether `run` certainly begins with a length and its message: the message is sound from its header to its last
/// record, which ends where the length says, and what follows can be the next message.
#[inline]
pub(super) fn boundary(run: &[u8], after: After) -> Boundary {
    let undecided = |needs| match after {
        After::More => Boundary::Needs(needs),
        After::Hole(_) => Boundary::No,
    };
    // Most places are none, which the first eight bytes say: a length, then an identifier, flags, and the questions.
    if let Some([high, low, _, _, _, flags, questions, count]) = run.first_chunk()
        && (u16::from_be_bytes([*high, *low]) < (HEADER + QUESTION) as u16
            || flags & 0x40 != 0
            || *questions != 0
            || *count > 1)
    {
        return Boundary::No;
    }
    let Some(len) = length(run) else {
        return undecided(PREFIX);
    };
    let end = PREFIX + len;
    let message = run.get(PREFIX..end.min(run.len())).unwrap_or_default();
    match walk(message, len) {
        Walk::Broken => Boundary::No,
        Walk::Deep => Boundary::Yes,
        Walk::Short(whole) => match after {
            After::Hole(hole) if whole > 0 && run.len() as u64 + hole == end as u64 => {
                Boundary::Yes
            }
            _ if message.len() < HEADER => undecided(PREFIX + HEADER + QUESTION),
            _ => undecided(end),
        },
        Walk::Whole if can_follow(run.get(end..).unwrap_or_default()) => Boundary::Yes,
        Walk::Whole => Boundary::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query for google.com, A, as dig sends it.
    const QUERY: &[u8] =
        b"\xe7\xaf\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06google\x03com\x00\x00\x01\x00\x01";
    /// Its response, with a compressed name.
    const RESPONSE: &[u8] =
        b"\xe7\xaf\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x06google\x03com\x00\x00\x01\x00\x01\
        \xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3a\x00\x04\xd8\x3a\xd3\x8e";

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut bytes = (message.len() as u16).to_be_bytes().to_vec();
        bytes.extend_from_slice(message);
        bytes
    }

    #[test]
    fn real_messages_are_whole_and_every_beginning_of_them_is_short() {
        for message in [QUERY, RESPONSE] {
            assert_eq!(walk(message, message.len()), Walk::Whole);
            assert!(is_plausible(message, message.len()));
            for cut in 0..message.len() {
                assert!(
                    matches!(walk(&message[..cut], message.len()), Walk::Short(_)),
                    "{cut}"
                );
                assert!(is_plausible(&message[..cut], message.len()), "{cut}");
            }
            // Its records end before it does.
            assert_eq!(walk(message, message.len() + 1), Walk::Broken);
        }
    }

    /// What other files say at their beginning, read as a message: zeros where the counts are, or many questions.
    #[test]
    fn empty_counts_are_for_messages_that_end_there() {
        let mut message = vec![0; HEADER];
        assert!(is_plausible(&message, HEADER));
        assert!(
            !is_plausible(&message, 200),
            "nothing counted, and yet bytes"
        );
        message.extend([0; 40]);
        assert!(!is_plausible(&message, message.len()));
        // DSO keepalive: type 1, length 8.
        let mut dso = vec![0, 0, 0x30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 8];
        dso.extend([0; 8]);
        assert!(is_plausible(&dso, dso.len()));
        dso[13] = 0;
        assert!(!is_plausible(&dso, dso.len()));
        let mut many = vec![0, 1, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0];
        many.extend([0, 0, 1, 0, 1].repeat(17));
        assert!(is_plausible(&many, many.len()) && !is_plausible_first(&many, many.len()));
    }

    #[test]
    fn other_protocols_are_not_plausible() {
        for bytes in [
            &b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"[..],
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xaa\xbb\xcc\xdd\xee\xff\x00\x11",
            b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
            b"\x00\x0e\x38\x00\x38\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        ] {
            let len = length(bytes).unwrap();
            assert!(!is_plausible(&bytes[2..], len), "{bytes:?}");
            assert_eq!(boundary(bytes, After::More), Boundary::No, "{bytes:?}");
        }
    }

    #[test]
    fn a_boundary_is_found_at_the_boundary_alone() {
        let mut stream = framed(RESPONSE);
        stream.extend(framed(QUERY));
        for at in 0..framed(RESPONSE).len() {
            let expected = if at == 0 { Boundary::Yes } else { Boundary::No };
            assert_eq!(boundary(&stream[at..], After::Hole(0)), expected, "at {at}");
        }
    }

    #[test]
    fn what_follows_must_fit() {
        let mut stream = framed(QUERY);
        stream.extend_from_slice(b"\x00\x03abc");
        assert_eq!(boundary(&stream, After::More), Boundary::No);
    }

    #[test]
    fn a_cut_message_is_certain_where_the_cut_ends_with_it() {
        let stream = framed(RESPONSE);
        let cut = 10;
        let seen = &stream[..stream.len() - cut];
        assert_eq!(boundary(seen, After::Hole(cut as u64)), Boundary::Yes);
        assert_eq!(boundary(seen, After::Hole(cut as u64 + 1)), Boundary::No);
        assert_eq!(boundary(seen, After::More), Boundary::Needs(stream.len()));
    }

    #[test]
    fn a_name_may_not_point_at_or_after_itself() {
        let mut looped = RESPONSE.to_vec();
        looped[29] = 28;
        assert_eq!(walk(&looped, looped.len()), Walk::Broken);
    }
}
