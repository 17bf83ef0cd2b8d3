//! Addresses as text, given to `put` piece by piece: nearly every event has some, and a formatter costs much more.

use std::net::Ipv6Addr;

/// Writes an IPv4 address.
#[inline]
pub(crate) fn write_ipv4(octets: [u8; 4], mut put: impl FnMut(&[u8])) {
    let mut text = [0; 16];
    let mut length = 0_usize;
    for octet in octets {
        let (digits, count) = OCTETS.get(usize::from(octet)).copied().unwrap_or_default();
        if let Some(place) = text.get_mut(length..).and_then(<[u8]>::first_chunk_mut) {
            *place = digits;
        }
        length = length.saturating_add(usize::from(count));
    }
    // Without the last point.
    let text = text.get(..length.saturating_sub(1));
    put(text.unwrap_or_default());
}

/// Each octet in decimal with a point behind it, and how many bytes that takes.
#[expect(
    clippy::indexing_slicing,
    reason = "the table is made, and the indices checked, when this is compiled"
)]
const OCTETS: [([u8; 4], u8); 256] = {
    let mut table = [([0; 4], 0); 256];
    let mut number = 0;
    while number < 256 {
        let [a, b, c] = [number / 100, number / 10 % 10, number % 10];
        let [a, b, c] = [b'0' + a as u8, b'0' + b as u8, b'0' + c as u8];
        table[number] = match number {
            0..=9 => ([c, b'.', 0, 0], 2),
            10..=99 => ([b, c, b'.', 0], 3),
            _ => ([a, b, c, b'.'], 4),
        };
        number += 1;
    }
    table
};

/// Writes an IPv6 address (RFC 5952).
pub(crate) fn write_ipv6(address: Ipv6Addr, mut put: impl FnMut(&[u8])) {
    if let Some(mapped) = address.to_ipv4_mapped() {
        put(b"::ffff:");
        write_ipv4(mapped.octets(), put);
        return;
    }
    let groups = address.segments();
    let (begin, end) = longest_zeros(&groups);
    for (place, group) in groups.into_iter().enumerate() {
        if (begin..end).contains(&place) {
            if place == begin {
                put(b"::");
            }
            continue;
        }
        if place > 0 && place != end {
            put(b":");
        }
        write_group(group, &mut put);
    }
}

/// Writes 16 bits in hexadecimal, without leading zeros.
fn write_group(group: u16, put: &mut impl FnMut(&[u8])) {
    let digit = |shift: u32| {
        let value = (group >> shift) as u8 & 0x0F;
        value + if value < 10 { b'0' } else { b'a' - 10 }
    };
    match group {
        0..=0xF => put(&[digit(0)]),
        0x10..=0xFF => put(&[digit(4), digit(0)]),
        0x100..=0xFFF => put(&[digit(8), digit(4), digit(0)]),
        _ => put(&[digit(12), digit(8), digit(4), digit(0)]),
    }
}

/// Where the first of the longest runs of zero groups begins and ends; a single one is none (RFC 5952, 4.2).
fn longest_zeros(groups: &[u16; 8]) -> (usize, usize) {
    let (mut longest, mut begin) = ((0, 0), 0_usize);
    for (place, group) in groups.iter().enumerate() {
        let end = place.saturating_add(1);
        if *group != 0 {
            begin = end;
        } else if end - begin > (longest.1 - longest.0).max(1) {
            longest = (begin, end);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut dyn FnMut(&[u8]))) -> String {
        let mut out = Vec::new();
        write(&mut |text| out.extend_from_slice(text));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_octet_is_written_as_the_library_writes_it() {
        for octet in 0..=255 {
            for octets in [[octet, 0, 10, 255], [1, octet, octet, octet]] {
                let expected = Ipv4Addr::from(octets).to_string();
                assert_eq!(written(|put| write_ipv4(octets, put)), expected);
            }
        }
    }

    proptest! {
        #[test]
        fn groups_are_written_as_the_library_writes_them(
            groups in prop::array::uniform8(prop_oneof![3 => Just(0_u16), 1 => 0..0x200_u16, 2 => any::<u16>()]),
            mapped: u32,
        ) {
            for address in [Ipv6Addr::from(groups), Ipv4Addr::from(mapped).to_ipv6_mapped()] {
                prop_assert_eq!(written(|put| write_ipv6(address, put)), address.to_string());
            }
        }
    }
}
