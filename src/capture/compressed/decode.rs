//! The decoders, each of a library's, as readers of all members or frames of an input.

use std::io::{BufRead, Error, ErrorKind, Read, Result};

use flate2::FlushDecompress;
use liblzma::stream::{Action, CONCATENATED, Stream};
use lz4_flex::frame::FrameDecoder;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::WINDOW;

/// What one step of a decoder came to.
pub(super) struct Step {
    /// How many bytes of the input were taken.
    consumed: usize,
    /// How many bytes were given, also before an error.
    produced: usize,
    /// Whether the input may end behind what was taken.
    is_whole: Result<bool>,
}

/// Decodes a member or frame, and then the next.
pub(super) trait Decode {
    /// Takes of the input and gives what room there is for; `is_last` where no more input follows.
    fn step(&mut self, input: &[u8], into: &mut [u8], is_last: bool) -> Step;

    /// Begins anew, where one member was whole and another follows.
    fn begin(&mut self) -> Result<()>;
}

/// Reads the members of an input, one after another.
pub(super) struct Members<R, D> {
    from: R,
    decoder: D,
    is_whole: bool,
    /// The decoder may hold more of what it took, as there was no more room for it.
    has_more: bool,
    /// Comes after what was given before it.
    error: Option<Error>,
}

impl<R: BufRead, D: Decode> Members<R, D> {
    pub(super) const fn new(from: R, decoder: D) -> Self {
        Self {
            from,
            decoder,
            is_whole: false,
            has_more: false,
            error: None,
        }
    }
}

impl<R: BufRead, D: Decode> Read for Members<R, D> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let had_more = self.has_more;
            let input = if had_more { &[] } else { self.from.fill_buf()? };
            let is_last = !had_more && input.is_empty();
            if self.is_whole {
                if is_last {
                    return Ok(0);
                }
                self.decoder.begin()?;
                self.is_whole = false;
            }
            let step = self.decoder.step(input, into, is_last);
            self.from.consume(step.consumed);
            match step.is_whole {
                Ok(is_whole) => self.is_whole = is_whole,
                Err(error) if step.produced == 0 => return Err(error),
                Err(error) => self.error = Some(error),
            }
            self.has_more = step.produced == into.len() && !self.is_whole;
            if step.produced > 0 {
                return Ok(step.produced);
            }
            if is_last && !self.is_whole {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if step.consumed == 0 && !had_more && !self.is_whole {
                return Err(Error::other("it makes no progress"));
            }
        }
    }
}

/// The difference of two of a library's totals.
fn since(before: u64, after: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}

/// Members of RFC 1952.
pub(super) struct Gzip(flate2::Decompress);

impl Gzip {
    /// The window of deflate, as a power of 2.
    const WINDOW: u8 = 15;

    pub(super) fn new() -> Self {
        Self(flate2::Decompress::new_gzip(Self::WINDOW))
    }
}

impl Decode for Gzip {
    fn step(&mut self, input: &[u8], into: &mut [u8], _: bool) -> Step {
        let before = (self.0.total_in(), self.0.total_out());
        let status = self.0.decompress(input, into, FlushDecompress::None);
        Step {
            consumed: since(before.0, self.0.total_in()),
            produced: since(before.1, self.0.total_out()),
            is_whole: status
                .map(|status| status == flate2::Status::StreamEnd)
                .map_err(Error::other),
        }
    }

    fn begin(&mut self) -> Result<()> {
        *self = Self::new();
        Ok(())
    }
}

/// Streams of bzip2.
pub(super) struct Bzip2(bzip2::Decompress);

impl Bzip2 {
    pub(super) fn new() -> Self {
        Self(bzip2::Decompress::new(false))
    }
}

impl Decode for Bzip2 {
    fn step(&mut self, input: &[u8], into: &mut [u8], _: bool) -> Step {
        let before = (self.0.total_in(), self.0.total_out());
        let status = self.0.decompress(input, into);
        Step {
            consumed: since(before.0, self.0.total_in()),
            produced: since(before.1, self.0.total_out()),
            is_whole: status
                .map(|status| status == bzip2::Status::StreamEnd)
                .map_err(Error::other),
        }
    }

    fn begin(&mut self) -> Result<()> {
        *self = Self::new();
        Ok(())
    }
}

/// Streams of xz, with the padding that may stand between them; liblzma knows itself where the next begins.
pub(super) struct Xz(Stream);

impl Xz {
    /// What a decoder takes beside its dictionary, and much more than that.
    const BESIDE: u64 = 2 << 20;

    pub(super) fn new() -> Result<Self> {
        let stream = Stream::new_stream_decoder((WINDOW << 20) + Self::BESIDE, CONCATENATED)?;
        Ok(Self(stream))
    }
}

impl Decode for Xz {
    fn step(&mut self, input: &[u8], into: &mut [u8], is_last: bool) -> Step {
        let before = (self.0.total_in(), self.0.total_out());
        let action = if is_last { Action::Finish } else { Action::Run };
        let status = self.0.process(input, into, action);
        Step {
            consumed: since(before.0, self.0.total_in()),
            produced: since(before.1, self.0.total_out()),
            is_whole: status
                .map(|status| status == liblzma::stream::Status::StreamEnd)
                .map_err(Error::from),
        }
    }

    fn begin(&mut self) -> Result<()> {
        *self = Self::new()?;
        Ok(())
    }
}

/// Frames of RFC 8878.
pub(super) struct Zstd {
    decoder: Decoder<'static>,
    /// How much input takes it to its next block. It gets no more at once: what a call gave before it came upon damage,
    /// it does not say.
    wanted: usize,
}

impl Zstd {
    /// The least that a frame begins with: its magic and a byte that says what follows.
    const BEGIN: usize = 5;

    pub(super) fn new() -> Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax((WINDOW << 20).ilog2()))?;
        let wanted = Self::BEGIN;
        Ok(Self { decoder, wanted })
    }
}

impl Decode for Zstd {
    fn step(&mut self, input: &[u8], into: &mut [u8], _: bool) -> Step {
        let input = input.get(..self.wanted).unwrap_or(input);
        let mut input = InBuffer::around(input);
        let mut into = OutBuffer::around(into);
        let wanted = self.decoder.run(&mut input, &mut into);
        if let Ok(wanted) = wanted {
            self.wanted = wanted;
        }
        Step {
            consumed: input.pos(),
            produced: into.pos(),
            is_whole: wanted.map(|wanted| wanted == 0),
        }
    }

    fn begin(&mut self) -> Result<()> {
        self.wanted = Self::BEGIN;
        self.decoder.reinit()
    }
}

/// The frames of an lz4 input, one after another. The decoder says nothing of a frame that is cut off between two of its
/// blocks; but it comes upon the end of the input there, and at the end of a frame it does not.
pub(super) struct Lz4Frames<R: BufRead> {
    /// Always there; only taken out to be replaced.
    frame: Option<FrameDecoder<Watched<R>>>,
}

impl<R: BufRead> Lz4Frames<R> {
    pub(super) fn new(from: R) -> Self {
        let saw_end = false;
        Self {
            frame: Some(FrameDecoder::new(Watched { from, saw_end })),
        }
    }
}

impl<R: BufRead> Read for Lz4Frames<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        while let Some(frame) = &mut self.frame {
            let read = frame.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            let input = frame.get_mut();
            if input.saw_end {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if input.from.fill_buf()?.is_empty() {
                break;
            }
            // Each frame has a decoder of its own, which expects blocks of one size.
            let done = self.frame.take().map(FrameDecoder::into_inner);
            self.frame = done.map(FrameDecoder::new);
        }
        Ok(0)
    }
}

/// Remembers whether a read came upon the end.
pub(super) struct Watched<R> {
    from: R,
    saw_end: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let read = self.from.read(into)?;
        self.saw_end |= read == 0 && !into.is_empty();
        Ok(read)
    }
}
