//! Compressed inputs, decompressed as they are read, in bounded memory.

use std::io::{BufReader, Error, ErrorKind, Read, Result};

mod decode;

use decode::{Bzip2, Gzip, Lz4Frames, Members, Xz, Zstd};

/// How many compressed bytes are asked for at once.
const BLOCK: usize = 256 << 10;
/// The most that a decoder may ask the input to be looked back into, in MiB: what `zstd` takes unless told otherwise, and
/// twice what `xz -9` does.
const WINDOW: u64 = 128;

/// How an input is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Xz,
    Lz4,
    Bzip2,
}

impl Compression {
    /// How an input with these first bytes is compressed; `None` where it is not.
    pub(super) const fn of(start: &[u8]) -> Option<Self> {
        Some(match start {
            // RFC 1952; deflate is the only method there is.
            [0x1F, 0x8B, 8, ..] => Self::Gzip,
            // RFC 8878; a skippable frame comes first in what parallel compressors write.
            [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Self::Zstd,
            [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x04, 0x22, 0x4D, 0x18, ..] => Self::Lz4,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            _ => return None,
        })
    }

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
            Self::Bzip2 => "bzip2",
        }
    }

    /// The command that decompresses it to standard output.
    pub(super) const fn command(self) -> &'static str {
        match self {
            Self::Gzip => "gzip -dc",
            Self::Zstd => "zstd -dc",
            Self::Xz => "xz -dc",
            Self::Lz4 => "lz4 -dc",
            Self::Bzip2 => "bzip2 -dc",
        }
    }

    /// What an input holds, all its members or frames one after another. What the bytes at hand give is given before
    /// more are waited for; what comes before damage is given before the error.
    ///
    /// # Errors
    /// There is no memory for the decoder.
    pub(super) fn decompress(self, from: impl Read + Send + 'static) -> Result<Decompressed> {
        let from = BufReader::with_capacity(BLOCK, from);
        let decoder: Box<dyn Read + Send> = match self {
            Self::Gzip => Box::new(Members::new(from, Gzip::new())),
            Self::Zstd => Box::new(Members::new(from, Zstd::new()?)),
            Self::Xz => Box::new(Members::new(from, Xz::new()?)),
            Self::Lz4 => Box::new(Lz4Frames::new(from)),
            Self::Bzip2 => Box::new(Members::new(from, Bzip2::new())),
        };
        Ok(Decompressed {
            compression: self,
            decoder,
        })
    }

    /// An error of a decoder, said so that a person can act on it: `UnexpectedEof` where the data is cut off, `OutOfMemory`
    /// where it takes too much of that. One of the system's stays what it is.
    fn explain(self, error: Error) -> Error {
        let name = self.name();
        let said = error.to_string();
        if error.raw_os_error().is_some() {
            error
        } else if error.kind() == ErrorKind::UnexpectedEof {
            Error::new(error.kind(), format!("the {name} data is cut off"))
        } else if TOO_MUCH_MEMORY.iter().any(|words| said.contains(words)) {
            let command = self.command();
            let more = match self {
                Self::Zstd => " --long=31",
                _ => "",
            };
            let what = format!(
                "the {name} data takes more than {WINDOW} MiB of memory; read it with: {command}{more} FILE | dnsterrier replay -"
            );
            Error::new(ErrorKind::OutOfMemory, what)
        } else {
            Error::other(format!("the {name} data is damaged ({said})"))
        }
    }
}

/// What zstd and liblzma say where a window or dictionary is larger than allowed; neither has a kind of error for it.
const TOO_MUCH_MEMORY: [&str; 2] = ["requires too much memory", "memory limit reached"];

/// What a compressed input holds.
pub(super) struct Decompressed {
    compression: Compression,
    decoder: Box<dyn Read + Send>,
}

impl Read for Decompressed {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let read = self.decoder.read(into);
        read.map_err(|error| self.compression.explain(error))
    }
}

#[cfg(test)]
mod tests;
