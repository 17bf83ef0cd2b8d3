//! Whole records on their way to one place.

use std::io::{self, Write};

/// Records wait until that many bytes have come together.
const CAPACITY: usize = 64 * 1024;

/// What a buffer writes to.
pub(super) trait Target: Write {
    /// Takes the last `bytes` bytes back, where the target can.
    fn take_back(&mut self, bytes: u64) -> io::Result<()>;
}

/// Gathers whole records and hands many over at once, so that a target that can take bytes back never ends in half a record.
#[derive(Debug)]
pub(super) struct Buffer<T: Target> {
    target: T,
    pending: Vec<u8>,
    /// Where in `pending` each part that must stay whole ends, and whether it is a record (a header is none).
    ends: Vec<(usize, bool)>,
    written: u64,
    failed: bool,
}

impl<T: Target> Buffer<T> {
    pub(super) const fn new(target: T) -> Self {
        Self {
            target,
            pending: Vec::new(),
            ends: Vec::new(),
            written: 0,
            failed: false,
        }
    }

    pub(super) const fn target(&self) -> &T {
        &self.target
    }

    /// Records that are in the target, whole.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Bytes that wait.
    pub(super) const fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// Appends something that must stay whole as records do, and is none: a header. It goes with the next flush.
    pub(super) fn header(&mut self, text: &[u8]) {
        self.pending.extend_from_slice(text);
        self.ends.push((self.pending.len(), false));
    }

    /// Appends what `write` writes, as one record.
    pub(super) fn record(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let start = self.pending.len();
        if let Err(error) = write(&mut self.pending) {
            self.pending.truncate(start);
            return Err(error);
        }
        self.ends.push((self.pending.len(), true));
        if self.pending.len() >= CAPACITY {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Hands over all that waits. After a failure nothing is written any more.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        let (done, result) = write_counted(&mut self.target, &self.pending);
        let whole = self.ends.iter().take_while(|(end, _)| *end <= done);
        let (mut kept, mut records) = (0, 0);
        for (end, is_record) in whole {
            kept = *end;
            records += u64::from(*is_record);
        }
        self.written = self.written.saturating_add(records);
        self.pending.clear();
        self.ends.clear();
        let result = result.and_then(|()| self.target.flush());
        if let Err(error) = result {
            self.failed = true;
            let half = u64::try_from(done.saturating_sub(kept)).unwrap_or(u64::MAX);
            return Err(match self.target.take_back(half) {
                Ok(()) => error,
                Err(second) => io::Error::new(
                    error.kind(),
                    format!("{error}; and its last half record could not be removed: {second}"),
                ),
            });
        }
        Ok(())
    }
}

impl<T: Target> Drop for Buffer<T> {
    /// What an early end leaves behind is whole records, too.
    fn drop(&mut self) {
        if !self.failed {
            // Whoever drops it instead of finishing it has an error to report already.
            drop(self.flush());
        }
    }
}

/// Writes all of `bytes` as far as possible and says how many went.
pub(super) fn write_counted(target: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..)
        && !rest.is_empty()
    {
        match target.write(rest) {
            Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => done = done.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Err(error)),
        }
    }
    (done, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes `room` bytes, at most `step` at a time, then is full.
    struct Small {
        bytes: Vec<u8>,
        room: usize,
        step: usize,
    }

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.step).min(self.room - self.bytes.len());
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.extend_from_slice(&bytes[..count]);
            Ok(count)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Target for Small {
        fn take_back(&mut self, bytes: u64) -> io::Result<()> {
            let length = self.bytes.len() - usize::try_from(bytes).unwrap();
            self.bytes.truncate(length);
            Ok(())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Wherever the disk is full: what is there is a run of whole records from the first on, and their number is known.
        #[test]
        fn no_half_record_is_left(
            records in prop::collection::vec("[a-z\n]{0,40}", 1..60),
            room in 0_usize..1500,
            step in 1_usize..200,
            flush_every in 1_usize..70,
            header in any::<bool>(),
        ) {
            let mut buffer = Buffer::new(Small { bytes: Vec::new(), room, step });
            let mut failed = false;
            if header {
                buffer.header(b"header\n");
            }
            for (place, record) in records.iter().enumerate() {
                buffer.record(|pending| { pending.extend_from_slice(format!("<{record}>").as_bytes()); Ok(()) }).unwrap();
                if place % flush_every == 0 && buffer.flush().is_err() {
                    failed = true;
                    break;
                }
            }
            if !failed {
                failed = buffer.flush().is_err();
            }
            let written = usize::try_from(buffer.written()).unwrap();
            let mut whole = String::from(if header { "header\n" } else { "" });
            for record in &records[..written] {
                whole += &format!("<{record}>");
            }
            let there = String::from_utf8(buffer.target().bytes.clone()).unwrap();
            let header_lost = header && written == 0 && there.is_empty();
            prop_assert!(there == whole || header_lost, "{there:?} is not {whole:?}");
            let all: usize = records.iter().map(|record| record.len() + 2).sum::<usize>() + if header { 7 } else { 0 };
            prop_assert_eq!(failed, all > room);
            if failed {
                // As many as fit, not fewer than the flushes allow: nothing that went whole is taken back.
                prop_assert!(written < records.len());
                prop_assert!(buffer.flush().is_err(), "a failed buffer stays failed");
            }
        }
    }

    #[test]
    fn many_records_go_in_one_write() {
        struct Counting(usize, usize);
        impl Write for Counting {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                self.1 += bytes.len();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        impl Target for Counting {
            fn take_back(&mut self, _: u64) -> io::Result<()> {
                Ok(())
            }
        }
        let mut buffer = Buffer::new(Counting(0, 0));
        for _ in 0..10_000 {
            buffer
                .record(|pending| {
                    pending.extend_from_slice(&[b'x'; 100]);
                    Ok(())
                })
                .unwrap();
        }
        buffer.flush().unwrap();
        assert_eq!(buffer.target().1, 1_000_000);
        assert!(buffer.target().0 <= 16, "{} writes", buffer.target().0);
        assert_eq!(buffer.written(), 10_000);
    }

    #[test]
    fn a_record_that_cannot_be_made_leaves_no_trace() {
        let mut buffer = Buffer::new(Small {
            bytes: Vec::new(),
            room: 1000,
            step: 1000,
        });
        buffer
            .record(|pending| {
                pending.extend_from_slice(b"one");
                Ok(())
            })
            .unwrap();
        buffer
            .record(|pending| {
                pending.extend_from_slice(b"tw");
                Err(io::Error::other("no"))
            })
            .unwrap_err();
        buffer
            .record(|pending| {
                pending.extend_from_slice(b"three");
                Ok(())
            })
            .unwrap();
        buffer.flush().unwrap();
        assert_eq!(buffer.target().bytes, b"onethree");
        assert_eq!(buffer.written(), 2);
    }
}
