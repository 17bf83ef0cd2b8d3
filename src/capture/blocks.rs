//! Bytes of a file, of standard input or of a FIFO, a block at a time.

use std::io::{ErrorKind, Read, Result};

/// How many bytes are asked for at once, and how many are kept unless a record needs more.
const BLOCK: usize = 1 << 20;

/// What is read in blocks; records are parsed where they lie.
#[derive(Debug)]
pub(super) struct Blocks<R> {
    from: R,
    buffer: Vec<u8>,
    /// What is read and not yet consumed lies between these two.
    start: usize,
    end: usize,
    /// Where `start` lies in the input.
    offset: u64,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(from: R) -> Self {
        Self {
            from,
            buffer: Vec::new(),
            start: 0,
            end: 0,
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
        if self.end - self.start < need {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.buffer.len() < need.max(BLOCK) {
                self.buffer.resize(need.max(BLOCK), 0);
            }
            while self.end < need {
                let free = self.buffer.get_mut(self.end..).unwrap_or_default();
                match self.from.read(free) {
                    Ok(0) => break,
                    Ok(read) => self.end += read,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    /// Consumes bytes that [`fill`](Self::fill) gave.
    pub(super) fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.end - self.start);
        self.start += bytes;
        self.offset += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives at most so many bytes at a time.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, into: &mut [u8]) -> Result<usize> {
            let len = self.1.min(into.len());
            self.0.read(&mut into[..len])
        }
    }

    #[test]
    fn bytes_come_in_order_whatever_the_reads_and_the_needs() {
        let all: Vec<u8> = (0..3 * BLOCK + 7).map(|at| (at % 251) as u8).collect();
        for (step, need, consume) in [(1 << 12, 10, 7), (BLOCK, 2 * BLOCK, BLOCK + 1), (13, 1, 13)]
        {
            let mut blocks = Blocks::new(Drops(&all, step));
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
    }

    #[test]
    fn a_pipe_is_not_waited_for_longer_than_needed() {
        let mut blocks = Blocks::new(Drops(&[1; 100], 5));
        assert_eq!(blocks.fill(4).unwrap().len(), 5);
        assert_eq!(blocks.fill(6).unwrap().len(), 10);
    }
}
