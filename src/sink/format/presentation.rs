//! Presentation form (RFC 1035, 5.1) back to the bytes that it stands for: other tools write these, each in its way.

/// The bytes of a name or another text without quotes: `\DDD` is one byte, `\` makes what follows plain.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = take(rest) {
        out.push(byte);
        rest = after;
    }
    out
}

/// The name's bytes; none for the root, which has no label.
pub(super) fn name(text: &str) -> Vec<u8> {
    if text == "." { Vec::new() } else { bytes(text) }
}

/// The character strings of a TXT record; `None` where the text is another form (RFC 3597).
pub(super) fn strings(text: &str) -> Option<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    let mut rest = text.as_bytes();
    loop {
        rest = rest.strip_prefix(b"\"")?;
        let mut string = Vec::new();
        loop {
            if let Some(after) = rest.strip_prefix(b"\"") {
                rest = after;
                break;
            }
            let (byte, after) = take(rest)?;
            string.push(byte);
            rest = after;
        }
        strings.push(string);
        match rest.split_first() {
            None => return Some(strings),
            Some((b' ', after)) => rest = after,
            Some(_) => return None,
        }
    }
}

/// Bytes as text: printable ASCII as it is, every other byte as `\xNN`, so that no name drives a terminal.
pub(super) fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

/// The first byte that a text stands for, and what follows it.
fn take(text: &[u8]) -> Option<(u8, &[u8])> {
    let (&first, after) = text.split_first()?;
    if first != b'\\' {
        return Some((first, after));
    }
    if let [
        a @ b'0'..=b'9',
        b @ b'0'..=b'9',
        c @ b'0'..=b'9',
        after @ ..,
    ] = after
    {
        let digit = |digit: &u8| u16::from(digit - b'0');
        let number = digit(a) * 100 + digit(b) * 10 + digit(c);
        return u8::try_from(number).ok().map(|byte| (byte, after));
    }
    after.split_first().map(|(&byte, after)| (byte, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_taken_back() {
        assert_eq!(bytes(r"a\.b\\c\000\255.example"), b"a.b\\c\0\xff.example");
        assert_eq!(name("."), b"");
        // What no presentation form has ends the text.
        assert_eq!(bytes(r"a\999b"), b"a");
        assert_eq!(bytes("a\\"), b"a");
    }

    #[test]
    fn strings_stand_in_quotes() {
        let read = |text| strings(text).unwrap();
        assert_eq!(
            read(r#""one" "two \"q\"" "" "\\;\007""#),
            [&b"one"[..], b"two \"q\"", b"", b"\\;\x07"]
        );
        for other in ["", r"\# 2 0101", "\"a", "\"a\"b", "\"a\" "] {
            assert_eq!(strings(other), None, "{other}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_can_be_told() {
        assert_eq!(readable("a b\u{e9}\n".as_bytes()), r"a b\xc3\xa9\x0a");
    }
}
