//! Where the messages of a stream are: loosely for one that is in step, strictly where a boundary is being looked for and
//! nothing but the bytes themselves can tell.

use crate::shape::{Entry, HEADER, Header, PREFIX, Part, QUESTION, is_plausible, length, word};

/// How many records must be sound before a message counts as one although its end was not seen.
const ENOUGH_RECORDS: u32 = 64;

/// What real senders keep to beyond what is plausible, for where nothing but the bytes can tell.
fn is_certain(header: &Header) -> bool {
    let query_is_sound = header.response
        || (header.questions == 1
            && header.rcode == 0
            && (header.opcode != 0 || header.records[0] == 0));
    !header.reserved
        && matches!(header.opcode, 0 | 4 | 5)
        && header.questions <= 1
        && header.questions + header.total_records() > 0
        && query_is_sound
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
    if !header.is_plausible(len) || !is_certain(&header) {
        return Walk::Broken;
    }
    let mut at = HEADER;
    let mut whole = 0u32;
    let items = header.questions + header.total_records();
    for item in 0..items {
        let entry = match Entry::read(message, at) {
            Part::Whole(entry) => entry,
            Part::Short if message.len() < len => return Walk::Short(whole),
            Part::Short | Part::Broken => return Walk::Broken,
        };
        let class_is_known = matches!(entry.class, 1 | 3 | 4 | 254 | 255) || entry.is_opt();
        if entry.kind == 0 || !class_is_known {
            return Walk::Broken;
        }
        at = entry.end();
        if item >= header.questions {
            let Some(data) = entry.data(message) else {
                return if message.len() < len {
                    Walk::Short(whole)
                } else {
                    Walk::Broken
                };
            };
            at = data.end;
            if !entry.has_room_for_address(data.len()) {
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
pub(super) fn begins(run: &[u8], after: After) -> Boundary {
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
    use proptest::prelude::*;

    use super::*;
    use crate::shape;

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
            assert_eq!(begins(bytes, After::More), Boundary::No, "{bytes:?}");
        }
    }

    #[test]
    fn a_boundary_is_found_at_the_boundary_alone() {
        let mut stream = framed(RESPONSE);
        stream.extend(framed(QUERY));
        for at in 0..framed(RESPONSE).len() {
            let expected = if at == 0 { Boundary::Yes } else { Boundary::No };
            assert_eq!(begins(&stream[at..], After::Hole(0)), expected, "at {at}");
        }
    }

    #[test]
    fn what_follows_must_fit() {
        let mut stream = framed(QUERY);
        stream.extend_from_slice(b"\x00\x03abc");
        assert_eq!(begins(&stream, After::More), Boundary::No);
    }

    #[test]
    fn a_cut_message_is_certain_where_the_cut_ends_with_it() {
        let stream = framed(RESPONSE);
        let cut = 10;
        let seen = &stream[..stream.len() - cut];
        assert_eq!(begins(seen, After::Hole(cut as u64)), Boundary::Yes);
        assert_eq!(begins(seen, After::Hole(cut as u64 + 1)), Boundary::No);
        assert_eq!(begins(seen, After::More), Boundary::Needs(stream.len()));
    }

    #[test]
    fn a_name_may_not_point_at_or_after_itself() {
        let mut looped = RESPONSE.to_vec();
        looped[29] = 28;
        assert_eq!(walk(&looped, looped.len()), Walk::Broken);
    }

    proptest! {
        /// What is DNS by its bytes alone is so at a boundary, too: a stream that was found goes on.
        #[test]
        fn what_is_beyond_doubt_is_a_boundary(
            is_response in any::<bool>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let mut message = if is_response { RESPONSE } else { QUERY }.to_vec();
            for (index, byte) in changes {
                *index.get_mut(&mut message) = byte;
            }
            if shape::is_message(&message, message.len()) {
                prop_assert_eq!(walk(&message, message.len()), Walk::Whole);
                prop_assert_eq!(begins(&framed(&message), After::More), Boundary::Yes);
            }
        }
    }
}
