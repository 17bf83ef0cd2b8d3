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

    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads once behind what is at hand.
    fn read(&mut self, from: &mut impl Read, need: usize) -> Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < need.max(BLOCK) {
            self.buffer.resize(need.max(BLOCK), 0);
        }
        loop {
            match from.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => {
                    self.end += read?;
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

    #[test]
    fn a_pipe_is_not_waited_for_longer_than_needed() {
        let mut blocks = Blocks::new(Drops([1; 100].as_slice(), 5));
        assert_eq!(blocks.fill(4).unwrap().len(), 5);
        assert_eq!(blocks.fill(6).unwrap().len(), 10);
    }
}
