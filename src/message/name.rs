//! Domain names: from the wire (RFC 1035, 3.1 and 4.1.4) to presentation form (RFC 1035, 5.1).
//!
//! A label may hold any byte. `.` and `\` are written with a backslash before them, bytes outside the printable ASCII
//! characters as `\DDD`, so that two different names never print alike and no name can drive a terminal.

/// The most bytes a name may have on the wire (RFC 1035, 2.3.4).
pub(super) const WIRE_MAX: usize = 255;
/// The most compression pointers followed in one name: as many as there can be labels.
const POINTERS_MAX: usize = 127;

/// Whether names keep their spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// ASCII letters become lower case (RFC 4343).
    Folded,
    /// As it was on the wire.
    Kept,
}

/// Appends the name at `start` to `out`, without the final dot; the root is `.`. Gives the offset after the name.
///
/// `None` where the name ends beyond the message, is longer than 255 bytes, has a label type that is not in use, or
/// points in a circle; `out` then holds the labels before that place.
pub(crate) fn read_name(
    message: &[u8],
    start: usize,
    spelling: Spelling,
    out: &mut Vec<u8>,
) -> Option<usize> {
    let begin = out.len();
    read_plain_name(message, start, spelling, out).or_else(|| {
        out.truncate(begin);
        read_any_name(message, start, spelling, out)
    })
}

/// The pointers of a name (RFC 1035, section 4.1.4).
#[derive(Default)]
struct Pointers {
    count: usize,
    /// What comes after the name where it begins: behind its first pointer.
    after: Option<usize>,
}

impl Pointers {
    /// Where the pointer at `at` points to. `None` where it is cut off, or there were too many.
    #[inline(always)]
    fn follow(&mut self, message: &[u8], at: usize) -> Option<usize> {
        let pointer = message.get(at..)?.first_chunk::<2>()?;
        self.after = self.after.or(at.checked_add(2));
        self.count += 1;
        let place = usize::from(u16::from_be_bytes(*pointer) & 0x3FFF);
        (self.count <= POINTERS_MAX).then_some(place)
    }
}

/// How many bytes of a name are looked at together.
const AT_ONCE: usize = 16;

/// The same for a name that prints as it is, as nearly every one does: labels that stand behind one another are copied together,
/// and looked at together. `None` for every other name.
fn read_plain_name(
    message: &[u8],
    start: usize,
    spelling: Spelling,
    out: &mut Vec<u8>,
) -> Option<usize> {
    let begin = out.len();
    let mut at = start;
    let mut pointers = Pointers::default();
    let mut dots = 0_u8;
    let after = loop {
        let first = at;
        let length = loop {
            let length = *message.get(at)?;
            if !(1..=63).contains(&length) {
                break length;
            }
            at = at.checked_add(usize::from(length) + 1)?;
            if at - first > WIRE_MAX {
                return None;
            }
        };
        // The lengths become the dots between the labels.
        let mut dot = out.len();
        match message.get(first..at)? {
            [] => {}
            [length, labels @ ..] if dot == begin => {
                out.extend_from_slice(labels);
                dot = dot.checked_add(usize::from(*length))?;
            }
            labels => out.extend_from_slice(labels),
        }
        while let Some(byte) = out.get_mut(dot) {
            dot = dot.checked_add(usize::from(*byte) + 1)?;
            *byte = b'.';
            dots = dots.wrapping_add(1);
        }
        // On the wire it has a length more, and the root's.
        if out.len() - begin > WIRE_MAX - 2 {
            return None;
        }
        match length {
            0 => break pointers.after.or(at.checked_add(1)),
            0xC0.. => at = pointers.follow(message, at)?,
            _ => return None,
        }
    };
    let length = out.len() - begin;
    if length == 0 {
        out.push(b'.');
        return after;
    }
    // Whole chunks are looked at, so that the compiler takes many bytes at a time; there are at most 16.
    out.extend_from_slice(&[b'a'; AT_ONCE - 1]);
    let fold = if spelling == Spelling::Folded {
        0x20
    } else {
        0
    };
    let mut odd = [0_u8; AT_ONCE];
    let mut found = [0_u8; AT_ONCE];
    let (chunks, _) = out.get_mut(begin..)?.as_chunks_mut::<AT_ONCE>();
    for chunk in chunks {
        for ((byte, odd), found) in chunk.iter_mut().zip(&mut odd).zip(&mut found) {
            *odd |= u8::from(byte.wrapping_sub(0x21) > 0x5D) | u8::from(*byte == b'\\');
            *found += u8::from(*byte == b'.');
            *byte |= u8::from(byte.is_ascii_uppercase()) * fold;
        }
    }
    out.truncate(begin.checked_add(length)?);
    let is_plain = odd.iter().fold(0, |all, odd| all | odd) == 0
        && found
            .iter()
            .fold(0_u8, |all, found| all.wrapping_add(*found))
            == dots;
    after.filter(|_| is_plain)
}

/// The same for any name, label by label.
fn read_any_name(
    message: &[u8],
    start: usize,
    spelling: Spelling,
    out: &mut Vec<u8>,
) -> Option<usize> {
    let mut at = start;
    let mut wire_len = 1;
    let mut pointers = Pointers::default();
    let begin = out.len();
    loop {
        let length = *message.get(at)?;
        match length {
            0 => {
                if out.len() == begin {
                    out.push(b'.');
                }
                return pointers.after.or(at.checked_add(1));
            }
            1..=63 => {
                let label_start = at.checked_add(1)?;
                let label_end = label_start.checked_add(usize::from(length))?;
                wire_len += usize::from(length) + 1;
                if wire_len > WIRE_MAX {
                    return None;
                }
                let label = message.get(label_start..label_end)?;
                if out.len() > begin {
                    out.push(b'.');
                }
                write_label(label, spelling, out);
                at = label_end;
            }
            0xC0.. => at = pointers.follow(message, at)?,
            // 0x40 was the extended label type (RFC 6891, 5), 0x80 is not assigned.
            64..=0xBF => return None,
        }
    }
}

/// Appends the name that fills all of `bytes`, as [`read_name`] does. `None` also where it has a pointer, or ends before
/// the bytes do.
pub(crate) fn read_uncompressed_name(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut at = 0_usize;
    while let length @ 1..=63 = *bytes.get(at)? {
        at = at.checked_add(usize::from(length) + 1)?;
    }
    let is_all = bytes.get(at..)? == [0];
    read_name(bytes, 0, Spelling::Folded, out).filter(|_| is_all)?;
    Some(())
}

/// The offset after the name at `start`, without following where it points.
pub(crate) fn skip_name(message: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match *message.get(at)? {
            0 => return at.checked_add(1),
            length @ 1..=63 => at = at.checked_add(usize::from(length) + 1)?,
            0xC0.. => return at.checked_add(2).filter(|&end| end <= message.len()),
            64..=0xBF => return None,
        }
    }
}

/// Appends one label in presentation form.
fn write_label(label: &[u8], spelling: Spelling, out: &mut Vec<u8>) {
    for &byte in label {
        match CLASS
            .get(usize::from(byte))
            .copied()
            .unwrap_or(Class::Escape)
        {
            Class::Plain => out.push(byte),
            Class::Upper if spelling == Spelling::Folded => out.push(byte | 0x20),
            Class::Upper => out.push(byte),
            Class::Special => out.extend_from_slice(&[b'\\', byte]),
            Class::Escape => escape(byte, out),
        }
    }
}

/// Whether a byte of a label needs an escape.
#[inline(always)]
pub(super) const fn is_odd(byte: u8) -> bool {
    byte.wrapping_sub(0x21) > 0x5D || byte == b'\\' || byte == b'.'
}

/// Appends `\DDD`.
pub(crate) fn escape(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[
        b'\\',
        b'0' + byte / 100,
        b'0' + byte / 10 % 10,
        b'0' + byte % 10,
    ]);
}

/// What is written here, and of RDATA and options, is ASCII; should it ever not be, nothing is lost.
#[inline(always)]
pub(super) fn text_of(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => lossy(error.as_bytes()),
    }
}

#[cold]
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a byte of a label needs in presentation form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Upper,
    Special,
    Escape,
}

/// The class of each byte. A space is escaped too: unquoted it would end the name in a zone file.
#[expect(
    clippy::indexing_slicing,
    reason = "the table is made, and the index checked, when this is compiled"
)]
const CLASS: [Class; 256] = {
    let mut table = [Class::Escape; 256];
    let mut byte = 0x21;
    while byte < 0x7F {
        table[byte] = match byte as u8 {
            b'A'..=b'Z' => Class::Upper,
            b'.' | b'\\' => Class::Special,
            _ => Class::Plain,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Reading many labels together gives what reading them one by one gives.
        #[test]
        fn plain_names_are_read_as_any_name_is(
            labels in prop::collection::vec(("[a-zA-Z0-9_-]{1,12}", prop::option::weighted(0.1, "[ -~]{1,63}")), 0..30),
            changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), 0..64_u8, Just(0xC0)]), 0..3),
            tail in prop_oneof![Just(vec![0]), Just(vec![0xC0, 0]), prop::collection::vec(any::<u8>(), 0..4)],
            start in 0..40_usize,
            before in "[.a]{0,3}",
        ) {
            let mut message = Vec::new();
            for (plain, odd) in labels {
                let label = odd.unwrap_or(plain);
                message.push(u8::try_from(label.len()).unwrap());
                message.extend(label.bytes());
            }
            message.extend(tail);
            for (place, byte) in changes.iter().filter(|_| !message.is_empty()).collect::<Vec<_>>() {
                let place = place.index(message.len());
                message[place] = *byte;
            }
            for spelling in [Spelling::Folded, Spelling::Kept] {
                let [mut together, mut one_by_one] = [before.clone().into_bytes(), before.clone().into_bytes()];
                let after = read_name(&message, start, spelling, &mut together);
                prop_assert_eq!(after, read_any_name(&message, start, spelling, &mut one_by_one));
                prop_assert_eq!(together, one_by_one);
            }
        }
    }

    fn read(message: &[u8], start: usize) -> (Option<usize>, String) {
        let mut out = Vec::new();
        let after = read_name(message, start, Spelling::Folded, &mut out);
        (after, String::from_utf8(out).unwrap())
    }

    #[test]
    fn plain_names_and_the_root() {
        assert_eq!(
            read(b"\x03AbC\x05ngrok\x02io\0rest", 0),
            (Some(14), "abc.ngrok.io".into())
        );
        assert_eq!(read(b"\0", 0), (Some(1), ".".into()));
        let mut kept = Vec::new();
        assert_eq!(
            read_name(b"\x03AbC\0", 0, Spelling::Kept, &mut kept),
            Some(5)
        );
        assert_eq!(kept, b"AbC");
    }

    #[test]
    fn every_byte_is_told_apart() {
        assert_eq!(read(b"\x04\x07.\\ \0", 0).1, r"\007\.\\\032");
        assert_eq!(read(b"\x04\\007\0", 0).1, r"\\007");
        assert_eq!(read(b"\x02\xff\x7f\0", 0).1, r"\255\127");
    }

    #[test]
    fn compression() {
        let message = b"\x02io\0\x05ngrok\xC0\x00\x01a\xC0\x04";
        assert_eq!(read(message, 12), (Some(16), "a.ngrok.io".into()));
        // A pointer to itself, two that point at each other, one beyond the end, one cut in half.
        assert_eq!(read(b"\xC0\x00", 0).0, None);
        assert_eq!(read(b"\xC0\x02\xC0\x00", 0).0, None);
        assert_eq!(read(b"\xC0\x09", 0).0, None);
        assert_eq!(read(b"\x01a\xC0", 0), (None, "a".into()));
        // A forward pointer is odd, but says what it says.
        assert_eq!(read(b"\x01a\xC0\x04\x02io\0", 0), (Some(4), "a.io".into()));
    }

    /// Each pointer leads to the next, the last one to `a`.
    #[test]
    fn as_many_pointers_as_there_can_be_labels() {
        for (pointers, is_read) in [(1, true), (127, true), (128, false)] {
            let mut message = b"\x01a\0\0".to_vec();
            for number in 0..pointers {
                let target = if number == 0 { 0 } else { 2 + 2 * number };
                message.extend((0xC000 | u16::try_from(target).unwrap()).to_be_bytes());
            }
            let start = message.len() - 2;
            let expected = is_read.then_some(message.len());
            assert_eq!(read(&message, start).0, expected, "{pointers} pointers");
        }
    }

    #[test]
    fn lengths() {
        let mut longest: Vec<u8> = Vec::new();
        for _ in 0..3 {
            longest.push(63);
            longest.extend([b'x'; 63]);
        }
        longest.push(61);
        longest.extend([b'x'; 61]);
        longest.push(0);
        assert_eq!(longest.len(), 255);
        let (after, text) = read(&longest, 0);
        assert_eq!((after, text.len()), (Some(255), 253));
        let mut longer = longest.clone();
        longer[192] = 62;
        longer.insert(193, b'x');
        assert_eq!(read(&longer, 0).0, None);
        assert_eq!(read(b"\x41abc\0", 0).0, None);
        assert_eq!(read(b"\x05ab", 0).0, None);
    }
}
