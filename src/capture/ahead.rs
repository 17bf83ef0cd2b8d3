//! A thread that reads ahead, so that reading overlaps with looking at what was read.

use std::io::{BufRead, Error, ErrorKind, Read, Result};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// How many bytes are asked for at once.
const BLOCK: usize = 256 << 10;
/// How many blocks there are; they go round between the two threads.
const BLOCKS: usize = 8;

/// Reads another reader in a thread of its own, at most [`BLOCKS`] times [`BLOCK`] bytes ahead.
///
/// What one read gives is handed over at once, so that what comes through a pipe is seen as it comes. An error is handed
/// on after all bytes that came before it. When this is dropped the thread ends at its next step; nobody waits for it, as
/// it may sit in a read that only a pipe's writer can end.
#[derive(Debug)]
pub(super) struct Ahead {
    /// An empty block is the end.
    full: Receiver<Result<Block>>,
    empty: SyncSender<Vec<u8>>,
    block: Block,
    /// The first byte of the block that is not consumed.
    start: usize,
    is_over: bool,
}

/// Bytes that were read.
#[derive(Debug, Default)]
struct Block {
    buffer: Vec<u8>,
    /// How many of the buffer's bytes were read.
    end: usize,
}

impl Ahead {
    /// Starts to read.
    ///
    /// # Errors
    /// The system allows no further thread.
    pub(super) fn new(from: impl Read + Send + 'static) -> Result<Self> {
        // There is room for every block, and for an error.
        let (to_take, full) = sync_channel(BLOCKS + 1);
        let (empty, to_fill) = sync_channel(BLOCKS + 1);
        thread::Builder::new()
            .name("ahead".to_owned())
            .spawn(move || read(from, &to_take, &to_fill))?;
        Ok(Self {
            full,
            empty,
            block: Block::default(),
            start: 0,
            is_over: false,
        })
    }
}

/// What the thread does, until the end, an error, or until nobody takes what it reads.
fn read(mut from: impl Read, full: &SyncSender<Result<Block>>, empty: &Receiver<Vec<u8>>) {
    let mut made = 0;
    loop {
        let mut buffer = match empty.try_recv() {
            Ok(buffer) => buffer,
            Err(_) if made < BLOCKS => {
                made += 1;
                vec![0; BLOCK]
            }
            Err(_) => match empty.recv() {
                Ok(buffer) => buffer,
                Err(_) => return,
            },
        };
        let read = loop {
            match from.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let is_over = !matches!(read, Ok(1..));
        let sent = full.send(read.map(|end| Block { buffer, end }));
        if is_over || sent.is_err() {
            return;
        }
    }
}

impl BufRead for Ahead {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        if self.start == self.block.end && !self.is_over {
            let done = std::mem::take(&mut self.block);
            self.start = 0;
            if !done.buffer.is_empty() {
                // There is room for all; where the thread has come to the end, nobody needs it.
                self.empty.try_send(done.buffer).ok();
            }
            let next = self.full.recv().unwrap_or_else(|_| {
                // Only a panic ends the thread without a word; that must not pass for the end of the input.
                Err(Error::other("the thread that reads it failed"))
            });
            self.is_over = !matches!(next, Ok(Block { end: 1.., .. }));
            self.block = next?;
        }
        Ok(self
            .block
            .buffer
            .get(self.start..self.block.end)
            .unwrap_or_default())
    }

    fn consume(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes).min(self.block.end);
    }
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Write, pipe};
    use std::sync::mpsc::{Sender, SyncSender};

    use super::*;

    /// Gives its bytes in pieces of so many, then ends as told.
    struct Pieces {
        bytes: Vec<u8>,
        at: usize,
        step: usize,
        end: Option<Error>,
    }

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> Result<usize> {
            if self.at == self.bytes.len() {
                return self.end.take().map_or(Ok(0), Err);
            }
            let len = self.step.min(into.len()).min(self.bytes.len() - self.at);
            into[..len].copy_from_slice(&self.bytes[self.at..][..len]);
            self.at += len;
            Ok(len)
        }
    }

    fn pieces(len: usize, step: usize, end: Option<Error>) -> (Vec<u8>, Pieces) {
        let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let from = Pieces {
            bytes: bytes.clone(),
            at: 0,
            step,
            end,
        };
        (bytes, from)
    }

    #[test]
    fn all_bytes_come_in_order() {
        for (len, step) in [(0, 1), (1, 1), (1000, 7), (20 * BLOCK + 13, usize::MAX)] {
            let (bytes, from) = pieces(len, step, None);
            let mut read = Vec::new();
            let mut ahead = Ahead::new(from).unwrap();
            ahead.read_to_end(&mut read).unwrap();
            assert!(read == bytes, "{len} {step}");
            assert_eq!(ahead.read(&mut [0; 9]).unwrap(), 0);
        }
    }

    #[test]
    fn an_error_comes_after_what_was_read_before_it() {
        let (bytes, from) = pieces(3 * BLOCK, 1 << 16, Some(Error::other("gone")));
        let mut read = Vec::new();
        let mut ahead = Ahead::new(from).unwrap();
        let error = ahead.read_to_end(&mut read).unwrap_err();
        assert_eq!(error.to_string(), "gone");
        assert!(read == bytes);
        assert_eq!(ahead.read(&mut [0; 9]).unwrap(), 0);
    }

    #[test]
    fn an_interruption_is_no_error() {
        let (_, from) = pieces(5, 2, Some(ErrorKind::Interrupted.into()));
        let mut read = Vec::new();
        Ahead::new(from).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read.len(), 5);
    }

    #[test]
    fn a_panic_is_no_end() {
        struct Panics;
        impl Read for Panics {
            fn read(&mut self, _: &mut [u8]) -> Result<usize> {
                panic!("as a test wants it")
            }
        }
        let mut ahead = Ahead::new(Panics).unwrap();
        let error = ahead.read(&mut [0; 9]).unwrap_err();
        assert_eq!(error.to_string(), "the thread that reads it failed");
    }

    #[test]
    fn what_comes_through_a_pipe_is_seen_as_it_comes() {
        let (from, mut to) = pipe().unwrap();
        let mut ahead = Ahead::new(from).unwrap();
        let mut read = [0; 100];
        for len in [3, 100, 1] {
            to.write_all(&vec![7; len]).unwrap();
            // The pipe stays open: this would wait for ever if it waited for more.
            let mut seen = 0;
            while seen < len {
                seen += ahead.read(&mut read).unwrap();
            }
            assert_eq!(seen, len);
        }
        drop(to);
        assert_eq!(ahead.read(&mut read).unwrap(), 0);
    }

    /// Says each read, and holds what is dropped with it.
    struct Watched(
        Sender<()>,
        #[expect(dead_code, reason = "for its drop")] SyncSender<()>,
    );

    impl Read for Watched {
        fn read(&mut self, into: &mut [u8]) -> Result<usize> {
            self.0.send(()).ok();
            Ok(into.len())
        }
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "it is this test that shows how many reads there are"
    )]
    fn it_reads_so_far_ahead_and_ends_when_dropped() {
        let (reads, read) = std::sync::mpsc::channel();
        let (held, dropped) = sync_channel(0);
        let ahead = Ahead::new(Watched(reads, held)).unwrap();
        for _ in 0..BLOCKS {
            read.recv().unwrap();
        }
        // It waits for an empty block now: there is none until somebody reads.
        assert!(read.try_recv().is_err());
        drop(ahead);
        // The reader is dropped with its thread.
        assert!(dropped.recv().is_err());
        assert!(read.try_recv().is_err());
    }
}
