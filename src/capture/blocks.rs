//! Bytes of a file, of standard input or of a FIFO, a block at a time.

use std::io::{ErrorKind, Read, Result};

use super::ahead::{Ahead, Block};

/// How many bytes are asked for at once, and how many are kept unless a record needs more.
const BLOCK: usize = 1 << 20;

/// What is read in blocks; records are parsed where they lie.
#[derive(Debug)]
pub(super) struct Blocks<S> {
    from: S,
    held: Held,
    /// Where the first byte that is not consumed lies in the input.
    offset: u64,
}

/// Bytes at hand.
#[derive(Debug, Default)]
pub(super) struct Held {
    buffer: Vec<u8>,
    /// What is read and not yet consumed lies between these two.
    start: usize,
    end: usize,
    /// How many bytes were read so far.
    read: usize,
}

/// So many bytes are a page of memory, also where they are more.
pub(super) const PAGE: usize = 4 << 10;

/// The first place in a buffer behind so many bytes that is as far in its page as what is so far in a file is in the file's.
///
/// The system copies a file's pages: to a place a few bytes further in its page, processors take what they read for what they wrote
/// just before, and the copy takes up to four times as long; anywhere else half as long again.
pub(super) fn in_step(buffer: &[u8], behind: usize, at: usize) -> usize {
    behind + at.wrapping_sub(buffer.as_ptr().addr().wrapping_add(behind)) % PAGE
}

/// Where blocks come from.
pub(super) trait Supply {
    /// Puts more bytes behind those at hand, of which `need` are needed; none at the end.
    fn supply(&mut self, held: &mut Held, need: usize) -> Result<()>;
}

impl<R: Read> Supply for R {
    fn supply(&mut self, held: &mut Held, need: usize) -> Result<()> {
        held.read(self, need)
    }
}

impl Supply for Ahead {
    fn supply(&mut self, held: &mut Held, _: usize) -> Result<()> {
        if let Some(block) = self.next()? {
            self.give_back(held.take(block));
        }
        Ok(())
    }
}

impl Held {
    /// How many they are.
    pub(super) const fn len(&self) -> usize {
        self.end - self.start
    }

    /// How many were read of the input, those before them included.
    pub(super) const fn read_so_far(&self) -> usize {
        self.read
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads once behind what is at hand.
    fn read(&mut self, from: &mut impl Read, need: usize) -> Result<()> {
        let room = need.max(BLOCK) + PAGE;
        if self.buffer.len() < room {
            self.buffer.resize(room, 0);
        }
        let left = self.len();
        let end = in_step(&self.buffer, left, self.read);
        self.buffer.copy_within(self.start..self.end, end - left);
        (self.start, self.end) = (end - left, end);
        loop {
            match from.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => {
                    let read = read?;
                    self.end += read;
                    self.read = self.read.wrapping_add(read);
                    return Ok(());
                }
            }
        }
    }

    /// Takes what was read ahead, and gives a buffer for it. What is left is put before it, where there is room, so that only that
    /// is copied.
    fn take(&mut self, block: Block) -> Vec<u8> {
        let Block { mut buffer, bytes } = block;
        let left = self.bytes();
        let start = bytes.start.checked_sub(left.len());
        let room = start.and_then(|start| Some((start, buffer.get_mut(start..bytes.start)?)));
        if let Some((start, room)) = room {
            room.copy_from_slice(left);
            (self.start, self.end) = (start, bytes.end);
            std::mem::swap(&mut self.buffer, &mut buffer);
        } else {
            self.buffer.truncate(self.end);
            self.buffer.drain(..self.start);
            self.buffer
                .extend_from_slice(buffer.get(bytes).unwrap_or_default());
            (self.start, self.end) = (0, self.buffer.len());
        }
        buffer
    }
}

impl<S: Supply> Blocks<S> {
    pub(super) fn new(from: S) -> Self {
        Self {
            from,
            held: Held::default(),
            offset: 0,
        }
    }

    /// Where the first byte that is not consumed lies in the input.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// All bytes at hand that are not consumed: at least `need`, fewer only where the input ends before. It waits for no
    /// more than `need`, so that what comes through a pipe is seen as it comes. The caller bounds `need`.
    pub(super) fn fill(&mut self, need: usize) -> Result<&[u8]> {
        while self.held.len() < need {
            let before = self.held.len();
            self.from.supply(&mut self.held, need)?;
            if self.held.len() == before {
                break;
            }
        }
        Ok(self.held.bytes())
    }

    /// Consumes bytes that [`fill`](Self::fill) gave.
    pub(super) fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.held.len());
        self.held.start += bytes;
        self.offset += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives at most so many bytes at a time.
    struct Drops<R>(R, usize);

    impl<R: Read> Read for Drops<R> {
        fn read(&mut self, into: &mut [u8]) -> Result<usize> {
            let len = self.1.min(into.len());
            self.0.read(&mut into[..len])
        }
    }

    /// What is given, by so many needed and so many consumed at a time, is the whole.
    fn is_all(mut blocks: Blocks<impl Supply>, all: &[u8], need: usize, consume: usize) {
        let mut at = 0;
        loop {
            assert_eq!(blocks.offset(), at as u64);
            let bytes = blocks.fill(need).unwrap();
            assert_eq!(bytes, &all[at..at + bytes.len()]);
            assert!(bytes.len() >= need.min(all.len() - at));
            if bytes.is_empty() {
                break;
            }
            let taken = consume.min(bytes.len());
            at += taken;
            blocks.consume(taken);
        }
        assert_eq!(at, all.len());
    }

    #[test]
    fn bytes_come_in_order_whatever_the_reads_and_the_needs() {
        let all: Vec<u8> = (0..3 * BLOCK + 7).map(|at| (at % 251) as u8).collect();
        for (step, need, consume) in [
            (1 << 12, 10, 7),
            (BLOCK, 2 * BLOCK, BLOCK + 1),
            (13, 1, 13),
            (100_000, 65_537, 65_536),
            (100_000, 65_536, 70_001),
        ] {
            is_all(Blocks::new(Drops(&*all, step)), &all, need, consume);
            let from = std::io::Cursor::new(all.clone());
            let ahead = Ahead::new(Drops(from, step), 0).unwrap();
            is_all(Blocks::new(ahead), &all, need, consume);
        }
    }

    /// Wants to write as far in a page of memory as what it gives is in the whole; gives so much at a time.
    struct InStep(std::io::Cursor<Vec<u8>>, usize);

    impl Read for InStep {
        fn read(&mut self, into: &mut [u8]) -> Result<usize> {
            assert_eq!(
                into.as_ptr().addr() % PAGE,
                self.0.position() as usize % PAGE
            );
            let len = self.1.min(into.len());
            self.0.read(&mut into[..len])
        }
    }

    #[test]
    fn a_file_is_copied_in_step_with_its_pages() {
        let all: Vec<u8> = (0..3 * BLOCK).map(|at| (at % 251) as u8).collect();
        for (step, need, consume) in [
            (BLOCK, 10, 7 * PAGE + 1),
            (4_000, 5_000, 2_999),
            (BLOCK, 2 * BLOCK, 100_000),
        ] {
            let from = InStep(std::io::Cursor::new(all.clone()), step);
            is_all(Blocks::new(from), &all, need, consume);
        }
    }

    #[test]
    fn a_pipe_is_not_waited_for_longer_than_needed() {
        let mut blocks = Blocks::new(Drops([1; 100].as_slice(), 5));
        assert_eq!(blocks.fill(4).unwrap().len(), 5);
        assert_eq!(blocks.fill(6).unwrap().len(), 10);
    }
}
