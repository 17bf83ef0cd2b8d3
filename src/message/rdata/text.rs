//! Bytes as text: numbers, hexadecimal, Base64, Base32, character strings. Nothing here can fail.

use super::super::name::escape;

/// Appends a number in decimal.
pub(crate) fn decimal(mut number: u64, out: &mut Vec<u8>) {
    // As many digits as the largest one has.
    let mut digits = [0; 20];
    let mut length = 0_usize;
    for place in digits.iter_mut().rev() {
        *place = digit(number % 10);
        length += 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    let begin = digits.len().saturating_sub(length);
    out.extend_from_slice(digits.get(begin..).unwrap_or_default());
}

/// The digit for a number below 16.
fn digit(number: u64) -> u8 {
    let number = (number & 0xF) as u8;
    if number < 10 {
        b'0' + number
    } else {
        b'a' + (number - 10)
    }
}

/// Appends bytes in hexadecimal, lower case.
pub(crate) fn hexadecimal(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        out.push(digit(u64::from(byte >> 4)));
        out.push(digit(u64::from(byte)));
    }
}

/// Appends bytes in Base64 (RFC 4648, section 4).
pub(crate) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    for group in bytes.chunks(3) {
        let bits = big_endian(group, 3);
        for place in 0..4_usize {
            out.push(if place <= group.len() {
                let value = (bits >> (18 - 6 * place) & 0x3F) as u8;
                match value {
                    0..=25 => b'A' + value,
                    26..=51 => b'a' + (value - 26),
                    52..=61 => b'0' + (value - 52),
                    62 => b'+',
                    _ => b'/',
                }
            } else {
                b'='
            });
        }
    }
}

/// Appends bytes in Base32 with the extended hex alphabet, without padding (RFC 4648, section 7; RFC 5155, 3.3), in lower
/// case, as names are.
pub(crate) fn base32(bytes: &[u8], out: &mut Vec<u8>) {
    for group in bytes.chunks(5) {
        let bits = big_endian(group, 5);
        for place in 0..(group.len() * 8).div_ceil(5) {
            let value = (bits >> (35 - 5 * place) & 0x1F) as u8;
            out.push(if value < 10 {
                b'0' + value
            } else {
                b'a' + (value - 10)
            });
        }
    }
}

/// The bytes as a number of `length` bytes, zeros after those that are missing.
fn big_endian(bytes: &[u8], length: usize) -> u64 {
    (0..length).fold(0, |number, place| {
        number << 8 | u64::from(bytes.get(place).copied().unwrap_or(0))
    })
}

/// Appends a character string in quotation marks (RFC 1035, 5.1): `"` and `\` with a backslash before them, bytes that do
/// not print as `\DDD`.
pub(crate) fn quoted(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => escape(byte, out),
        }
    }
    out.push(b'"');
}

/// Appends text without quotation marks: `\` doubled, bytes that do not print as `\DDD`.
pub(crate) fn escaped(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b' '..=b'~' => out.push(byte),
            _ => escape(byte, out),
        }
    }
}
