//! One file of a spool: how records lie in it, and how they are found again in one that is damaged.
//!
//! ```text
//! file:   "DNTSPOOL" | version, 4 bytes | sequence number of the first record, 8 bytes | records
//! record: FF 'd' 'n' FF | length, 4 bytes | sequence number, 8 bytes | checksum (CRC-32), 4 bytes | one line of JSON
//! ```
//! Numbers are big-endian. The checksum is over length, sequence number and line. A line is UTF-8, in which there is no byte
//! FF: so the mark finds the next record behind bytes that are none.

use std::io;

use memchr::memmem;

/// What a file of the spool begins with.
const MAGIC: [u8; 8] = *b"DNTSPOOL";
/// The version of all of this.
pub(super) const VERSION: u32 = 1;
/// How long the beginning is.
pub(super) const HEADER: usize = 20;
/// What a record begins with.
const MARK: [u8; 4] = [0xff, b'd', b'n', 0xff];
/// How long that beginning is.
const RECORD_HEADER: usize = 20;
/// No record is longer; what says so is damaged.
pub(super) const LONGEST: usize = 16 << 20;

/// A record that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Its number in the spool.
    pub(super) sequence: u64,
    /// One object of JSON, without a line feed.
    pub(super) line: Vec<u8>,
}

/// What a file's beginning says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// It is one of ours.
    Ours,
    /// It is of another version.
    Version(u32),
    /// It is damaged.
    Damaged,
}

/// The beginning of a file whose first record will be of that number.
pub(super) fn header(first: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let parts = MAGIC
        .into_iter()
        .chain(VERSION.to_be_bytes())
        .chain(first.to_be_bytes());
    for (to, from) in header.iter_mut().zip(parts) {
        *to = from;
    }
    header
}

/// Reads a file's beginning.
pub(super) fn read_header(bytes: &[u8]) -> Header {
    let version = bytes
        .strip_prefix(&MAGIC)
        .filter(|_| bytes.len() >= HEADER)
        .and_then(<[u8]>::first_chunk);
    match version.map(|version| u32::from_be_bytes(*version)) {
        Some(VERSION) => Header::Ours,
        Some(version) => Header::Version(version),
        None => Header::Damaged,
    }
}

/// Appends a record; gives false where it is too long to be one.
pub(super) fn append(to: &mut Vec<u8>, sequence: u64, line: &[u8]) -> bool {
    let Some(length) = u32::try_from(line.len())
        .ok()
        .filter(|_| line.len() <= LONGEST)
    else {
        return false;
    };
    to.extend_from_slice(&MARK);
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(&sequence.to_be_bytes());
    to.extend_from_slice(&checksum(length, sequence, line).to_be_bytes());
    to.extend_from_slice(line);
    true
}

fn checksum(length: u32, sequence: u64, line: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_be_bytes());
    hasher.update(&sequence.to_be_bytes());
    hasher.update(line);
    hasher.finalize()
}

/// What is at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
enum Found<'a> {
    /// A whole record, and what is behind it.
    Record(u64, &'a [u8], &'a [u8]),
    /// Perhaps a record whose end is not there.
    Unfinished,
    /// No record.
    Nothing,
}

fn look(bytes: &[u8]) -> Found<'_> {
    let Some(rest) = bytes.strip_prefix(&MARK) else {
        return if bytes.len() < MARK.len() && MARK.starts_with(bytes) {
            Found::Unfinished
        } else {
            Found::Nothing
        };
    };
    let Some((head, rest)) = rest.split_first_chunk::<{ RECORD_HEADER - MARK.len() }>() else {
        return Found::Unfinished;
    };
    let [
        l0,
        l1,
        l2,
        l3,
        s0,
        s1,
        s2,
        s3,
        s4,
        s5,
        s6,
        s7,
        c0,
        c1,
        c2,
        c3,
    ] = *head;
    let length = u32::from_be_bytes([l0, l1, l2, l3]);
    let sequence = u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
    let Some(size) = usize::try_from(length).ok().filter(|size| *size <= LONGEST) else {
        return Found::Nothing;
    };
    match rest.split_at_checked(size) {
        None => Found::Unfinished,
        Some((line, rest))
            if checksum(length, sequence, line) == u32::from_be_bytes([c0, c1, c2, c3]) =>
        {
            Found::Record(sequence, line, rest)
        }
        Some(_) => Found::Nothing,
    }
}

/// Reads the records of a file one after another, over what is damaged.
#[derive(Debug)]
pub(super) struct Records<R> {
    from: R,
    /// What was read and not given yet begins at `start`.
    bytes: Vec<u8>,
    start: usize,
    /// Where in the file that is.
    pub(super) offset: u64,
    /// Nothing more comes: a record whose end is not there has none.
    ended: bool,
    /// Where bytes begin that are no record, since the last one that was whole.
    pub(super) damaged_at: Option<u64>,
}

impl<R: io::Read> Records<R> {
    /// How much is read at once.
    const STEP: usize = 256 << 10;

    /// Reads from the first record on, which is at that place.
    pub(super) const fn new(from: R, offset: u64) -> Self {
        Self {
            from,
            bytes: Vec::new(),
            start: 0,
            offset,
            ended: false,
            damaged_at: None,
        }
    }

    /// The next whole record; nothing at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        loop {
            let bytes = self.bytes.get(self.start..).unwrap_or_default();
            match look(bytes) {
                Found::Record(_, _, rest) => {
                    let length = bytes.len() - rest.len();
                    let at = self.start;
                    self.go(length);
                    let record = self.bytes.get(at..at + length).unwrap_or_default();
                    return Ok(match look(record) {
                        Found::Record(sequence, line, _) => Some((sequence, line)),
                        Found::Unfinished | Found::Nothing => None,
                    });
                }
                Found::Unfinished if !self.ended => self.read_more()?,
                Found::Unfinished if bytes.is_empty() => return Ok(None),
                // A length that is wrong leads behind the end: what stands between may still be whole.
                Found::Unfinished | Found::Nothing => {
                    let next = bytes.get(1..).and_then(|rest| memmem::find(rest, &MARK));
                    self.damaged_at.get_or_insert(self.offset);
                    match next {
                        Some(next) => self.go(next + 1),
                        None => {
                            // The mark may begin with the last bytes.
                            let keep = if self.ended { 0 } else { MARK.len() - 1 };
                            self.go(bytes
                                .len()
                                .saturating_sub(keep)
                                .max(usize::from(self.ended)));
                            if self.ended {
                                return Ok(None);
                            }
                            self.read_more()?;
                        }
                    }
                }
            }
        }
    }

    fn go(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }

    fn read_more(&mut self) -> io::Result<()> {
        self.bytes.drain(..self.start);
        self.start = 0;
        let had = self.bytes.len();
        // A record that is longer takes another round.
        let mut step = io::Read::take(&mut self.from, Self::STEP as u64);
        io::Read::read_to_end(&mut step, &mut self.bytes)?;
        self.ended = self.bytes.len() == had;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(lines: &[String]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for (sequence, line) in lines.iter().enumerate() {
            assert!(append(&mut bytes, sequence as u64, line.as_bytes()));
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn read(bytes: &[u8]) -> (Vec<u64>, Option<u64>) {
        let mut records = Records::new(bytes, 0);
        let mut list = Vec::new();
        let mut damaged = None;
        while let Some((sequence, _)) = records.next().unwrap() {
            list.push(sequence);
            damaged = damaged.or(records.damaged_at.take());
        }
        (list, damaged.or(records.damaged_at))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Bytes of the middle are others: all records that they do not touch are found, and none that was not there.
        #[test]
        fn what_is_whole_is_found(
            lines in prop::collection::vec("[a-z{}\":,]{0,60}", 1..30),
            at in any::<prop::sample::Index>(),
            other in prop::collection::vec(any::<u8>(), 1..40),
        ) {
            let (mut bytes, ends) = file(&lines);
            let at = at.index(bytes.len());
            let end = bytes.len().min(at + other.len());
            let before = bytes.clone();
            bytes[at..end].copy_from_slice(&other[..end - at]);
            let same = |from: usize, to: usize| before[from..to] == bytes[from..to];
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let whole: Vec<u64> = starts.zip(&ends).enumerate()
                .filter(|(_, (from, to))| same(*from, **to))
                .map(|(sequence, _)| sequence as u64)
                .collect();
            let (found, damaged) = read(&bytes);
            prop_assert_eq!(damaged.is_some(), whole.len() < lines.len());
            prop_assert_eq!(found, whole);
        }

        /// A file that ends in the middle has all records before, and says where they end.
        #[test]
        fn a_torn_end(lines in prop::collection::vec("[a-z]{0,60}", 1..30), at in any::<prop::sample::Index>()) {
            let (mut bytes, ends) = file(&lines);
            let at = at.index(bytes.len());
            bytes.truncate(at);
            let whole = ends.iter().take_while(|end| **end <= at).count();
            let (found, damaged) = read(&bytes);
            prop_assert_eq!(found, (0..whole as u64).collect::<Vec<_>>());
            let end = whole.checked_sub(1).map_or(0, |last| ends[last]);
            prop_assert_eq!(damaged, (end < at).then_some(end as u64));
        }
    }

    #[test]
    fn a_record_longer_than_a_step() {
        let lines = ["a".repeat(700_000), "b".to_owned()];
        let (bytes, _) = file(&lines);
        assert_eq!(read(&bytes), (vec![0, 1], None));
        assert!(!append(&mut Vec::new(), 0, &vec![b'a'; LONGEST + 1]));
    }

    #[test]
    fn the_beginning_of_a_file() {
        assert_eq!(read_header(&header(7)), Header::Ours);
        let mut other = header(7);
        other[11] = 9;
        assert_eq!(read_header(&other), Header::Version(9));
        assert_eq!(read_header(b"DNTSPO"), Header::Damaged);
        assert_eq!(
            read_header(b"nothing of the kind, but long"),
            Header::Damaged
        );
    }
}
