//! Compressed files: whole records at every moment, as others are.
//!
//! What a buffer hands over at once becomes a member (gzip, RFC 1952) or a frame (zstd, RFC 8878) of its own, and goes to
//! the file whole or not at all. Every reader of these formats reads one after another.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstd,
}

impl Packing {
    /// What the ending of a name asks for.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "gz" => Some(Self::Gzip),
            "zst" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The ending that says what is in the file, in lower case: that before the one which asks for it to be packed.
    pub(super) fn ending(path: &Path) -> Option<String> {
        let inside = match Self::of(path) {
            Some(_) => Path::new(path.file_stem()?),
            None => path,
        };
        Some(inside.extension()?.to_str()?.to_ascii_lowercase())
    }

    /// The bytes as a member or frame.
    pub(super) fn pack(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let level = flate2::Compression::default();
                let mut packer = flate2::write::GzEncoder::new(Vec::new(), level);
                packer.write_all(bytes)?;
                packer.finish()
            }
            Self::Zstd => zstd::bulk::compress(bytes, zstd::DEFAULT_COMPRESSION_LEVEL),
        }
    }

    /// What each member or frame begins with.
    const fn magic(self) -> &'static [u8] {
        match self {
            Self::Gzip => &[0x1f, 0x8b],
            Self::Zstd => &[0x28, 0xb5, 0x2f, 0xfd],
        }
    }

    /// Looks through a file that is to be continued: gives what its records begin with, `length` bytes at most. A member that
    /// does not end, as a crash leaves it, would hide all behind it: it is cut off.
    pub(super) fn inspect(self, file: &File, length: usize) -> io::Result<Vec<u8>> {
        let mut start = vec![0; self.magic().len()];
        let there = file.read_at(&mut start, 0)?;
        start.truncate(there);
        if !self.magic().starts_with(&start) {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "it is not compressed as its name says: give another file, or move it away",
            ));
        }
        let mut from = Counting {
            from: BufReader::new(file),
            position: 0,
        };
        let (mut beginning, mut whole) = (Vec::new(), 0);
        while !from.fill_buf()?.is_empty() {
            let read = match self {
                Self::Gzip => read_through(
                    flate2::bufread::GzDecoder::new(&mut from),
                    &mut beginning,
                    length,
                ),
                Self::Zstd => zstd::stream::read::Decoder::with_buffer(&mut from)
                    .and_then(|it| read_through(it.single_frame(), &mut beginning, length)),
            };
            match read {
                Ok(()) => whole = from.position,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                Err(error) => {
                    return Err(io::Error::new(
                        ErrorKind::InvalidData,
                        format!("it cannot be continued, move it away: {error}"),
                    ));
                }
            }
        }
        if whole < file.metadata()?.len() {
            file.set_len(whole)?;
        }
        Ok(if whole == 0 { Vec::new() } else { beginning })
    }
}

/// Reads to the end, and keeps the beginning.
fn read_through(mut from: impl Read, beginning: &mut Vec<u8>, length: usize) -> io::Result<()> {
    let mut bytes = [0; 8192];
    loop {
        let count = match from.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let wanted = length.saturating_sub(beginning.len()).min(count);
        beginning.extend(bytes.get(..wanted).unwrap_or_default());
    }
}

/// Knows how far it was read.
struct Counting<R> {
    from: R,
    position: u64,
}

impl<R: BufRead> Read for Counting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counting<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.from.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.from.consume(count);
        self.position += count as u64;
    }
}
