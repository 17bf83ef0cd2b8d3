//! The first question of a message, read in place: what every message pays for, so as little as can be.
//!
//! A name as nearly all are, not compressed and of characters that need no escape, stays in its wire form: folded, it tells
//! which name it is, and whether a rule can want it. Only a name that may be wanted is written out.

use super::name::{Spelling, WIRE_MAX, is_odd, read_name};
use super::{HEADER_LEN, Header};

/// How many bytes of a name are looked at together.
const BLOCK: usize = 16;
/// Room for the longest name in whole blocks.
const ROOM: usize = WIRE_MAX.next_multiple_of(BLOCK);

/// A block that begins n bytes from the start lets its first `BLOCK - n` bytes through.
const WITHIN: [u8; 2 * BLOCK] = {
    let mut within = [0; 2 * BLOCK];
    let (through, _) = within.split_at_mut(BLOCK);
    through.copy_from_slice(&[u8::MAX; BLOCK]);
    within
};

/// Which bytes of a label need an escape.
const ODD: [u32; 256] = {
    let mut odd = [0; 256];
    let mut rest: &mut [u32] = &mut odd;
    let mut byte = 0;
    while let Some((place, after)) = rest.split_first_mut() {
        *place = is_odd(byte) as u32;
        byte = byte.wrapping_add(1);
        rest = after;
    }
    odd
};

/// The first question, as the look in place finds it.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name in wire form and lower case, without the root's empty label; up to the next whole block zeros
    /// follow, behind which is no meaning.
    wire: [u8; ROOM],
    /// 0 where the name is not a plain one.
    wire_len: usize,
    /// The name in presentation form and lower case, once it is written.
    name: Vec<u8>,
    record_type: u16,
    class: u16,
    present: bool,
}

impl Default for Question {
    fn default() -> Self {
        Self {
            wire: [0; ROOM],
            wire_len: 0,
            name: Vec::new(),
            record_type: 0,
            class: 0,
            present: false,
        }
    }
}

impl Question {
    /// Reads the question of a message, using this value's memory again. Without a whole question the name is empty.
    #[inline(always)]
    pub fn read(&mut self, message: &[u8], header: &Header) {
        self.name.clear();
        self.wire_len = 0;
        self.present = false;
        if header.questions == 0 {
            return;
        }
        let after = match self.read_plain(message) {
            Some(after) => Some(after),
            None => self.read_other(message),
        };
        match after.and_then(|at| message.get(at..)?.first_chunk::<4>()) {
            Some(&[a, b, c, d]) => {
                self.record_type = u16::from_be_bytes([a, b]);
                self.class = u16::from_be_bytes([c, d]);
                self.present = true;
            }
            None => {
                self.name.clear();
                self.wire_len = 0;
            }
        }
    }

    /// Reads a plain name. `None` where the name is another.
    #[inline(always)]
    fn read_plain(&mut self, message: &[u8]) -> Option<usize> {
        let rest = message.get(HEADER_LEN..)?;
        let mut end = 0;
        // Lengths that would be odd as characters.
        let mut odd_lengths = 0;
        loop {
            let length = *rest.get(end)?;
            if length == 0 {
                break;
            }
            if length > 63 {
                return None;
            }
            odd_lengths += ODD.get(usize::from(length)).copied().unwrap_or_default();
            end += usize::from(length) + 1;
            if end >= WIRE_MAX {
                return None;
            }
        }
        if end == 0 {
            return None;
        }
        let mut odd = [0_u8; BLOCK];
        let mut left = end;
        let mut ahead = rest;
        for folded in self.wire.as_chunks_mut::<BLOCK>().0 {
            let mut block = match ahead.split_first_chunk::<BLOCK>() {
                Some((block, after)) => {
                    ahead = after;
                    *block
                }
                None => last_block(message, ahead.len())?,
            };
            if let Some(beyond @ 1..) = BLOCK.checked_sub(left) {
                // Zeros are odd too.
                odd_lengths += beyond as u32;
                let within = WITHIN.get(beyond..)?.first_chunk::<BLOCK>()?;
                for (byte, within) in block.iter_mut().zip(within) {
                    *byte &= within;
                }
            }
            for ((to, byte), odd) in folded.iter_mut().zip(block).zip(&mut odd) {
                *odd += u8::from(is_odd(byte));
                *to = byte | u8::from(byte.wrapping_sub(b'A') < 26) << 5;
            }
            if left <= BLOCK {
                break;
            }
            left -= BLOCK;
        }
        let odd: u32 = odd.iter().map(|&odd| u32::from(odd)).sum();
        if odd != odd_lengths {
            return None;
        }
        self.wire_len = end;
        HEADER_LEN.checked_add(end)?.checked_add(1)
    }

    /// Reads a name that is not a plain one.
    #[cold]
    fn read_other(&mut self, message: &[u8]) -> Option<usize> {
        let after = read_name(message, HEADER_LEN, Spelling::Folded, &mut self.name);
        self.unspell();
        after
    }

    /// The wire form of a name in presentation form, where that is one without escapes: however it was written in the
    /// message, the same name has the same bytes.
    fn unspell(&mut self) {
        if self.name.contains(&b'\\') || self.name == b"." {
            return;
        }
        let mut places = self.wire.iter_mut();
        for label in self.name.split(|&byte| byte == b'.') {
            let length = u8::try_from(label.len()).unwrap_or(0);
            // The places come second, so that none is used up where a label ends.
            for (byte, to) in [length].iter().chain(label).zip(places.by_ref()) {
                *to = *byte;
            }
        }
        self.wire_len = ROOM - places.len();
        let in_block = self.wire_len % BLOCK;
        for (_, to) in (in_block..BLOCK).zip(places).filter(|_| in_block > 0) {
            *to = 0;
        }
    }

    /// The name in presentation form and lower case; empty where there is no whole question.
    #[must_use]
    pub fn name(&mut self) -> &[u8] {
        if self.name.is_empty() {
            self.spell();
        }
        &self.name
    }

    fn spell(&mut self) {
        let mut rest = self.wire.get(..self.wire_len).unwrap_or_default();
        while let Some((&length, after)) = rest.split_first() {
            let Some((label, after)) = after.split_at_checked(usize::from(length)) else {
                return;
            };
            if !self.name.is_empty() {
                self.name.push(b'.');
            }
            self.name.extend_from_slice(label);
            rest = after;
        }
    }

    /// The name as the event will have it: `unknown` where there is no whole question.
    #[must_use]
    pub fn name_or_unknown(&mut self) -> &[u8] {
        if self.present {
            self.name()
        } else {
            b"unknown"
        }
    }

    /// Bytes that are the same for the same name, and others for another, whatever the spelling; empty where there is no
    /// whole question.
    #[must_use]
    #[inline(always)]
    pub fn name_bytes(&self) -> &[u8] {
        if self.wire_len == 0 {
            &self.name
        } else {
            self.wire.get(..self.wire_len).unwrap_or_default()
        }
    }

    /// What [`wire`](Self::wire) gives in blocks of 16 bytes, of which the last is filled up with zeros. The length of its
    /// labels tells where a name ends, so that no two names have the same blocks.
    #[must_use]
    #[inline(always)]
    pub fn blocks(&self) -> Option<&[[u8; BLOCK]]> {
        let (blocks, _) = self.wire.as_chunks::<BLOCK>();
        (self.wire_len > 0).then_some(blocks.get(..self.wire_len.div_ceil(BLOCK))?)
    }

    /// The name in wire form and lower case, without the root's empty label; `None` where there is no whole question or its
    /// name needs escapes or is the root.
    #[must_use]
    pub fn wire(&self) -> Option<&[u8]> {
        (self.wire_len > 0).then(|| self.name_bytes())
    }

    /// Whether there is a whole question.
    #[must_use]
    pub const fn is_present(&self) -> bool {
        self.present
    }

    /// QTYPE and QCLASS.
    #[must_use]
    pub const fn type_and_class(&self) -> (u16, u16) {
        (self.record_type, self.class)
    }
}

/// The block that begins with the last `left` bytes of a message, filled up with zeros. `None` where the message is shorter
/// than a block.
#[inline(always)]
fn last_block(message: &[u8], left: usize) -> Option<[u8; BLOCK]> {
    let last = u128::from_le_bytes(*message.last_chunk::<BLOCK>()?);
    let before = (BLOCK - left.min(BLOCK)) as u32;
    Some(last.checked_shr(8 * before).unwrap_or(0).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message with one question of these bytes.
    fn message(question: &[u8]) -> Vec<u8> {
        [&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], question].concat()
    }

    fn read(question: &mut Question, message: &[u8]) {
        let header = Header::read(message).unwrap();
        question.read(message, &header);
    }

    /// What the look at the wire form says, the walk label by label says too.
    fn as_walked(message: &[u8]) {
        let mut walked = Vec::new();
        let after = read_name(message, HEADER_LEN, Spelling::Folded, &mut walked)
            .filter(|after| message.len() >= after + 4);
        let mut question = Question::default();
        read(&mut question, message);
        assert_eq!(question.is_present(), after.is_some(), "{message:?}");
        if after.is_some() {
            assert_eq!(question.name(), walked, "{message:?}");
        } else {
            assert_eq!(question.name(), b"");
            assert_eq!(question.name_or_unknown(), b"unknown");
        }
    }

    #[test]
    fn every_byte_and_every_length() {
        for byte in 0..=255_u8 {
            for name in [
                vec![1, byte, 0],
                vec![3, b'a', byte, b'Z', 2, b'i', byte, 0],
                vec![1, b'x', byte, 0],
                vec![byte, b'x', 0],
            ] {
                for after in [&[0, 1, 0, 1][..], &[0, 1, 0, 1, 0xFF, 0xFF], &[0, 1]] {
                    as_walked(&message(&[&name[..], after].concat()));
                }
            }
        }
        for length in 1..=63_u8 {
            for labels in 1..=5 {
                let mut name = Vec::new();
                for _ in 0..labels {
                    name.push(length);
                    name.extend((0..length).map(|at| b'A' + at % 26));
                }
                name.extend([0, 0, 28, 0, 1]);
                as_walked(&message(&name));
            }
        }
    }

    #[test]
    fn one_name_has_one_form() {
        let forms = [
            message(b"\x03wWw\x05ngrok\x02IO\0\0\x01\0\x01"),
            message(b"\x03WWW\xC0\x16\0\x01\0\x01\x05ngROK\x02io\0"),
            message(b"\x03www\x05ngrok\x02io\0\0\x01\0\x01trailing"),
        ];
        let mut question = Question::default();
        for form in &forms {
            read(&mut question, form);
            assert_eq!(question.name_bytes(), b"\x03www\x05ngrok\x02io");
            assert_eq!(question.wire(), Some(&b"\x03www\x05ngrok\x02io"[..]));
            assert_eq!(
                question.blocks(),
                Some(&[*b"\x03www\x05ngrok\x02io\0\0\0"][..])
            );
            assert_eq!(question.name(), b"www.ngrok.io");
            assert_eq!(question.type_and_class(), (1, 1));
        }
        read(&mut question, &message(b"\x02io\0\0\x01\0\x01"));
        assert_eq!(question.wire(), Some(&b"\x02io"[..]));
        for odd in [&b"\0\0\x01\0\x01"[..], b"\x03a.b\0\0\x01\0\x01"] {
            read(&mut question, &message(odd));
            assert!(question.is_present());
            assert_eq!(question.wire(), None);
            assert!(!question.name_bytes().is_empty());
        }
    }

    proptest! {
        #[test]
        fn any_bytes(
            labels in prop::collection::vec(prop::collection::vec(prop_oneof![9 => 0x21_u8..0x7F, 1 => any::<u8>()], 1..64), 0..6),
            end in prop::collection::vec(any::<u8>(), 0..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut name: Vec<u8> = labels.iter().flat_map(|label| {
                [&[label.len() as u8], &label[..]].concat()
            }).collect();
            name.extend([0, 0, 1, 0, 1]);
            name.extend(end);
            let whole = message(&name);
            as_walked(&whole);
            as_walked(&whole[..HEADER_LEN + cut.index(whole.len() - HEADER_LEN)]);
        }
    }
}
