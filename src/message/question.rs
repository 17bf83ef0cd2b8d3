//! The first question of a message, read in place: what every message pays for, so as little as can be.
//!
//! A name as nearly all are, not compressed and of characters that need no escape, stays in its wire form: folded, it tells
//! which name it is, and whether a rule can want it. Only a name that may be wanted is written out.

use super::name::{Spelling, WIRE_MAX, is_odd, read_name};
use super::{HEADER_LEN, Header};
use crate::wide::{BLOCK, Lanes};

/// Room for the longest name in whole blocks.
const ROOM: usize = WIRE_MAX.next_multiple_of(BLOCK);

/// A block that begins n bytes from the start lets its first `BLOCK - n` bytes through.
const WITHIN: [u8; 2 * BLOCK] = {
    let mut within = [0; 2 * BLOCK];
    let (through, _) = within.split_at_mut(BLOCK);
    through.copy_from_slice(&[u8::MAX; BLOCK]);
    within
};

/// The first question, as the look in place finds it.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name in wire form and lower case, without the root's empty label; up to the next whole block zeros
    /// follow, behind which is no meaning.
    wire: [u8; ROOM],
    /// 0 where the name is not a plain one.
    wire_len: u8,
    /// The name in presentation form and lower case, once it is written.
    name: Vec<u8>,
    /// QTYPE above QCLASS.
    type_and_class: u32,
    present: bool,
}

impl Default for Question {
    fn default() -> Self {
        Self {
            wire: [0; ROOM],
            wire_len: 0,
            name: Vec::new(),
            type_and_class: 0,
            present: false,
        }
    }
}

impl Question {
    /// Reads the question of a message, using this value's memory again. Without a whole question the name is empty.
    #[inline(always)]
    pub fn read(&mut self, message: &[u8], header: &Header, lanes: impl Lanes) {
        let has_one = header.questions != 0;
        if !has_one || self.read_plain(message, lanes).is_none() {
            self.read_other(message, has_one);
        }
    }

    /// Reads a question with a plain name. `None` where the name is another.
    #[inline(always)]
    fn read_plain(&mut self, message: &[u8], lanes: impl Lanes) -> Option<()> {
        let rest = message.get(HEADER_LEN..)?;
        let mut blocks = self.wire.as_chunks_mut::<BLOCK>().0.iter_mut();
        let filled_up;
        let bytes = match rest.first_chunk() {
            Some(bytes) => bytes,
            None => {
                filled_up = fill_up(message, rest)?;
                &filled_up
            }
        };
        let block = Block::read(bytes, 0, lanes)?;
        *blocks.next()? = block.folded;
        let mut len = block.end;
        if block.end == BLOCK {
            let mut ahead = rest;
            let mut next = block.goes_on(bytes, lanes)?;
            loop {
                ahead = ahead.get(BLOCK..)?;
                let filled_up;
                let bytes = match ahead.first_chunk() {
                    Some(bytes) => bytes,
                    None => {
                        filled_up = fill_up(message, ahead)?;
                        &filled_up
                    }
                };
                let block = Block::read(bytes, next, lanes)?;
                *blocks.next()? = block.folded;
                len += block.end;
                if block.end < BLOCK {
                    break;
                }
                next = block.goes_on(bytes, lanes)?;
            }
        }
        if len == 0 || len >= WIRE_MAX {
            return None;
        }
        let after = rest.get(len + 1..len + 5)?.first_chunk::<4>()?;
        self.wire_len = len as u8;
        self.set(*after);
        self.name.clear();
        Some(())
    }

    /// Sets type and class, which follow the name.
    #[inline(always)]
    fn set(&mut self, type_and_class: [u8; 4]) {
        self.type_and_class = u32::from_be_bytes(type_and_class);
        self.present = true;
    }

    /// Reads a question whose name is not a plain one, or finds none.
    #[cold]
    fn read_other(&mut self, message: &[u8], has_one: bool) {
        self.name.clear();
        self.wire_len = 0;
        self.present = false;
        if !has_one {
            return;
        }
        let after = read_name(message, HEADER_LEN, Spelling::Folded, &mut self.name);
        match after.and_then(|at| message.get(at..)?.first_chunk()) {
            Some(after) => {
                self.unspell();
                self.set(*after);
            }
            None => self.name.clear(),
        }
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
        let wire_len = ROOM - places.len();
        self.wire_len = u8::try_from(wire_len).unwrap_or(0);
        let in_block = wire_len % BLOCK;
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
        let mut rest = self
            .wire
            .get(..usize::from(self.wire_len))
            .unwrap_or_default();
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
        self.wire().unwrap_or(&self.name)
    }

    /// What [`wire`](Self::wire) gives in whole blocks, of which the last is filled up with zeros. The length of its labels
    /// tells where a name ends, so that no two names have the same blocks.
    #[must_use]
    #[inline(always)]
    pub fn blocks(&self) -> Option<&[[u8; BLOCK]]> {
        let (blocks, _) = self.wire.as_chunks::<BLOCK>();
        let count = usize::from(self.wire_len).div_ceil(BLOCK);
        blocks.get(..count).filter(|_| count > 0)
    }

    /// The name in wire form and lower case, without the root's empty label; `None` where there is no whole question or its
    /// name needs escapes or is the root.
    #[must_use]
    #[inline(always)]
    pub fn wire(&self) -> Option<&[u8]> {
        let wire = self.wire.get(..usize::from(self.wire_len))?;
        (!wire.is_empty()).then_some(wire)
    }

    /// Whether there is a whole question.
    #[inline(always)]
    #[must_use]
    pub const fn is_present(&self) -> bool {
        self.present
    }

    /// QTYPE and QCLASS.
    #[inline(always)]
    #[must_use]
    pub const fn type_and_class(&self) -> (u16, u16) {
        (
            (self.type_and_class >> 16) as u16,
            self.type_and_class as u16,
        )
    }
}

/// A block of the rest of a message, which is shorter, and zeros. `None` where it is not the rest.
#[inline(always)]
fn fill_up(message: &[u8], rest: &[u8]) -> Option<[u8; BLOCK]> {
    let mut filled_up = [0; 2 * BLOCK];
    match message.last_chunk::<BLOCK>() {
        Some(last) => {
            *filled_up.first_chunk_mut()? = *last;
            let from = BLOCK.checked_sub(rest.len())?;
            filled_up.get(from..)?.first_chunk().copied()
        }
        None => {
            for (to, byte) in filled_up.iter_mut().zip(rest) {
                *to = *byte;
            }
            filled_up.first_chunk().copied()
        }
    }
}

/// A block of a plain name.
struct Block {
    /// In lower case, and with zeros behind the name.
    folded: [u8; BLOCK],
    /// Where in it the name ends; [`BLOCK`] where it goes on.
    end: usize,
    /// Where in it lengths of labels are.
    lengths: u32,
    /// Where the next one is, from its beginning.
    next: usize,
}

impl Block {
    /// Looks at a block whose first length is at `next`. `None` where it is not one of a plain name.
    ///
    /// The first zero ends a plain name: no label has one. So it is one where the lengths lead to that zero, and nothing else
    /// before it needs an escape.
    #[inline(always)]
    fn read(bytes: &[u8; BLOCK], mut next: usize, lanes: impl Lanes) -> Option<Self> {
        let zeros = lanes.top_bits(&bytes.map(|byte| u8::from(byte == 0) << 7));
        let odd = lanes.top_bits(&bytes.map(|byte| u8::from(is_odd(byte)) << 7));
        let end = zeros.trailing_zeros();
        let before_end = ((1_u64 << end) - 1) as u32;
        let end = end as usize;
        let mut lengths = 0;
        while next < end {
            lengths |= 1 << next;
            next += usize::from(*bytes.get(next)?) + 1;
        }
        let is_plain = odd & before_end & !lengths == 0 && (next == end || end == BLOCK);
        let within = WITHIN
            .get(BLOCK - end.min(BLOCK)..)?
            .first_chunk::<BLOCK>()?;
        let mut folded = *bytes;
        for (byte, within) in folded.iter_mut().zip(within) {
            *byte = (*byte | u8::from(byte.wrapping_sub(b'A') < 26) << 5) & within;
        }
        is_plain.then_some(Self {
            folded,
            end,
            lengths,
            next,
        })
    }

    /// Where the next length is in the block that follows. `None` where a label is longer than can be: within one block it
    /// leads too far.
    #[inline(always)]
    fn goes_on(&self, bytes: &[u8; BLOCK], lanes: impl Lanes) -> Option<usize> {
        let too_long = lanes.top_bits(&bytes.map(|byte| u8::from(byte > 63) << 7));
        if too_long & self.lengths != 0 {
            return None;
        }
        self.next.checked_sub(BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wide::{Processor, Work};

    /// A message with one question of these bytes.
    fn message(question: &[u8]) -> Vec<u8> {
        [&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], question].concat()
    }

    struct Read<'a>(&'a mut Question, &'a [u8]);

    impl Work for Read<'_> {
        type Output = ();

        #[inline(always)]
        fn run(self, lanes: impl Lanes) {
            let Self(question, message) = self;
            let header = Header::read(message).unwrap();
            question.read(message, &header, lanes);
        }
    }

    /// Without wide registers and, where there are some, with them.
    fn processors() -> [Processor; 2] {
        [Processor::ANY, Processor::detect()]
    }

    /// What the look at the wire form says, the walk label by label says too.
    fn as_walked(message: &[u8]) {
        let mut walked = Vec::new();
        let after = read_name(message, HEADER_LEN, Spelling::Folded, &mut walked)
            .filter(|after| message.len() >= after + 4);
        let mut question = Question::default();
        for processor in processors() {
            processor.run(Read(&mut question, message));
            assert_eq!(question.is_present(), after.is_some(), "{message:?}");
            let Some(after) = after else {
                assert_eq!(question.name(), b"");
                assert_eq!(question.name_or_unknown(), b"unknown");
                continue;
            };
            assert_eq!(question.name(), walked, "{message:?}");
            let number = |at| u16::from_be_bytes([message[at], message[at + 1]]);
            let type_and_class = (number(after), number(after + 2));
            assert_eq!(question.type_and_class(), type_and_class, "{message:?}");
            let is_plain = walked != b"." && !walked.contains(&b'\\');
            let wire = is_plain.then(|| {
                let labels = walked.split(|byte| *byte == b'.');
                labels.fold(Vec::new(), |wire, label| {
                    [&wire[..], &[label.len() as u8], label].concat()
                })
            });
            assert_eq!(question.wire(), wire.as_deref(), "{message:?}");
            let blocks = wire.map(|mut wire| {
                wire.resize(wire.len().next_multiple_of(BLOCK), 0);
                wire
            });
            let own = question.blocks().map(<[_]>::as_flattened);
            assert_eq!(own, blocks.as_deref(), "{message:?}");
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
        // The longest name, and longer ones.
        for last in 59..=63_u8 {
            let name = [63, 63, 63, last].map(|length| {
                let mut label = vec![b'Q'; usize::from(length)];
                label.insert(0, length);
                label
            });
            as_walked(&message(&[&name.concat()[..], &[0, 0, 1, 0, 1]].concat()));
        }
        // A length that is none, wherever it is in a block, with a zero where it leads.
        for length in [0, 1, 63, 64, 0x80, 0xBF, 0xC0, 0xFF] {
            for before in 1..63_u8 {
                let mut name = vec![b'b'; 400];
                name[0] = before;
                name[usize::from(before) + 1] = length;
                let led_to = usize::from(before) + 2 + usize::from(length);
                name[led_to..led_to + 5].copy_from_slice(&[0, 0, 1, 0, 1]);
                as_walked(&message(&name));
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
        for (form, processor) in forms
            .iter()
            .flat_map(|form| processors().map(|it| (form, it)))
        {
            processor.run(Read(&mut question, form));
            assert_eq!(question.name_bytes(), b"\x03www\x05ngrok\x02io");
            assert_eq!(question.wire(), Some(&b"\x03www\x05ngrok\x02io"[..]));
            assert_eq!(
                question.blocks(),
                Some(&[*b"\x03www\x05ngrok\x02io\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"][..])
            );
            assert_eq!(question.name(), b"www.ngrok.io");
            assert_eq!(question.type_and_class(), (1, 1));
        }
        Processor::detect().run(Read(&mut question, &message(b"\x02io\0\0\x01\0\x01")));
        assert_eq!(question.wire(), Some(&b"\x02io"[..]));
        for odd in [&b"\0\0\x01\0\x01"[..], b"\x03a.b\0\0\x01\0\x01"] {
            Processor::detect().run(Read(&mut question, &message(odd)));
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
            change: u8,
        ) {
            let mut name: Vec<u8> = labels.iter().flat_map(|label| {
                [&[label.len() as u8], &label[..]].concat()
            }).collect();
            name.extend([0, 0, 1, 0, 1]);
            name.extend(end);
            let whole = message(&name);
            as_walked(&whole);
            as_walked(&whole[..HEADER_LEN + cut.index(whole.len() - HEADER_LEN)]);
            let mut changed = whole;
            let place = HEADER_LEN + cut.index(changed.len() - HEADER_LEN);
            changed[place] = change;
            as_walked(&changed);
        }
    }
}
