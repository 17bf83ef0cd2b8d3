//! A thread that reads ahead, so that reading overlaps with looking at what was read.

use std::io::{Error, ErrorKind, Read, Result};
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::blocks::{PAGE, in_step};

/// How many bytes are asked for at once.
const BLOCK: usize = 256 << 10;
/// How many blocks there are; they go round between the two threads.
const BLOCKS: usize = 8;
/// So many bytes at least are free before those of a block, for what is left of the one before it.
const ROOM: usize = 64 << 10;

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
    is_over: bool,
}

/// Bytes that were read.
#[derive(Debug)]
pub(super) struct Block {
    /// Room for others, these bytes, and what is free behind them.
    pub(super) buffer: Vec<u8>,
    /// Where in it they stand.
    pub(super) bytes: Range<usize>,
}

impl Ahead {
    /// Starts to read what is that many bytes further in its file than its first ones.
    ///
    /// # Errors
    /// The system allows no further thread.
    pub(super) fn new(from: impl Read + Send + 'static, at: usize) -> Result<Self> {
        // There is room for every block, and for an error.
        let (to_take, full) = sync_channel(BLOCKS + 1);
        let (empty, to_fill) = sync_channel(BLOCKS + 1);
        thread::Builder::new()
            .name("ahead".to_owned())
            .spawn(move || read(from, at, &to_take, &to_fill))?;
        Ok(Self {
            full,
            empty,
            is_over: false,
        })
    }

    /// The next bytes; `None` at the end, and after an error. Waits for them.
    ///
    /// # Errors
    /// Those of the other reader.
    pub(super) fn next(&mut self) -> Result<Option<Block>> {
        if self.is_over {
            return Ok(None);
        }
        let next = self.full.recv().unwrap_or_else(|_| {
            // Only a panic ends the thread without a word; that must not pass for the end of the input.
            Err(Error::other("the thread that reads it failed"))
        });
        self.is_over = !matches!(&next, Ok(Block { bytes, .. }) if !bytes.is_empty());
        let block = next?;
        Ok((!self.is_over).then_some(block))
    }

    /// Takes a buffer back, to be filled anew; or one of another length for it, as long as it is none that is empty.
    pub(super) fn give_back(&mut self, mut buffer: Vec<u8>) {
        if buffer.is_empty() {
            return;
        }
        buffer.resize(ROOM + PAGE + BLOCK, 0);
        buffer.shrink_to_fit();
        // There is room for all; where the thread has come to the end, nobody needs it.
        self.empty.try_send(buffer).ok();
    }
}

/// What the thread does, until the end, an error, or until nobody takes what it reads.
fn read(
    mut from: impl Read,
    mut at: usize,
    full: &SyncSender<Result<Block>>,
    empty: &Receiver<Vec<u8>>,
) {
    let mut made = 0;
    loop {
        let mut buffer = match empty.try_recv() {
            Ok(buffer) => buffer,
            Err(_) if made < BLOCKS => {
                made += 1;
                vec![0; ROOM + PAGE + BLOCK]
            }
            Err(_) => match empty.recv() {
                Ok(buffer) => buffer,
                Err(_) => return,
            },
        };
        let start = in_step(&buffer, ROOM, at);
        let read = loop {
            match from.read(buffer.get_mut(start..).unwrap_or_default()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let is_over = !matches!(read, Ok(1..));
        let sent = full.send(read.map(|read| {
            at = at.wrapping_add(read);
            Block {
                buffer,
                bytes: start..start + read,
            }
        }));
        if is_over || sent.is_err() {
            return;
        }
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

    /// Reads to the end.
    fn to_end(ahead: &mut Ahead, read: &mut Vec<u8>) -> Result<()> {
        while let Some(Block { buffer, bytes }) = ahead.next()? {
            // As far in its page as in the file's.
            let place = buffer.as_ptr().addr() + bytes.start;
            assert!(bytes.start >= ROOM && place % PAGE == read.len() % PAGE);
            read.extend_from_slice(&buffer[bytes]);
            ahead.give_back(buffer);
        }
        Ok(())
    }

    #[test]
    fn all_bytes_come_in_order() {
        for (len, step) in [(0, 1), (1, 1), (1000, 7), (20 * BLOCK + 13, usize::MAX)] {
            let (bytes, from) = pieces(len, step, None);
            let mut read = Vec::new();
            let mut ahead = Ahead::new(from, 0).unwrap();
            to_end(&mut ahead, &mut read).unwrap();
            assert!(read == bytes, "{len} {step}");
            assert!(ahead.next().unwrap().is_none());
        }
    }

    #[test]
    fn an_error_comes_after_what_was_read_before_it() {
        let (bytes, from) = pieces(3 * BLOCK, 1 << 16, Some(Error::other("gone")));
        let mut read = Vec::new();
        let mut ahead = Ahead::new(from, 0).unwrap();
        let error = to_end(&mut ahead, &mut read).unwrap_err();
        assert_eq!(error.to_string(), "gone");
        assert!(read == bytes);
        assert!(ahead.next().unwrap().is_none());
    }

    #[test]
    fn an_interruption_is_no_error() {
        let (_, from) = pieces(5, 2, Some(ErrorKind::Interrupted.into()));
        let mut read = Vec::new();
        to_end(&mut Ahead::new(from, 0).unwrap(), &mut read).unwrap();
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
        let mut ahead = Ahead::new(Panics, 0).unwrap();
        let error = ahead.next().unwrap_err();
        assert_eq!(error.to_string(), "the thread that reads it failed");
    }

    #[test]
    fn what_comes_through_a_pipe_is_seen_as_it_comes() {
        let (from, mut to) = pipe().unwrap();
        let mut ahead = Ahead::new(from, 0).unwrap();
        for len in [3, 100, 1] {
            to.write_all(&vec![7; len]).unwrap();
            // The pipe stays open: this would wait for ever if it waited for more.
            let mut seen = 0;
            while seen < len {
                seen += ahead.next().unwrap().unwrap().bytes.len();
            }
            assert_eq!(seen, len);
        }
        drop(to);
        assert!(ahead.next().unwrap().is_none());
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
        let ahead = Ahead::new(Watched(reads, held), 0).unwrap();
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
