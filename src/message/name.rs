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
    let mut at = start;
    let mut after = None;
    let mut wire_len = 1;
    let mut pointers = 0;
    let begin = out.len();
    loop {
        let length = *message.get(at)?;
        match length {
            0 => {
                if out.len() == begin {
                    out.push(b'.');
                }
                return after.or(at.checked_add(1));
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
            0xC0.. => {
                let low = *message.get(at.checked_add(1)?)?;
                after = after.or(at.checked_add(2));
                pointers += 1;
                if pointers > POINTERS_MAX {
                    return None;
                }
                at = usize::from(u16::from_be_bytes([length & 0x3F, low]));
            }
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
    use super::*;

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
