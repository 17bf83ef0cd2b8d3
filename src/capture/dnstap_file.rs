//! Files of dnstap: Frame Streams that begin with START and end with STOP; several may stand one after another.

use std::ops::ControlFlow;

use super::blocks::{Blocks, Supply};
use super::record::{Damage, Numbering};
use crate::dnstap::{Step, Stream, Tapped, Wrong};
use crate::packet::{LinkType, Packet};
use crate::time::Timestamp;

/// Why a file cannot be read from its beginning.
pub(super) enum NoBeginning {
    /// Its frames are of another kind.
    NotDnstap(Wrong),
    /// It is cut off or damaged.
    Damaged(Damage),
}

/// Reads the control frame that a file begins with.
///
/// # Errors
/// There is none, or it is not that of dnstap.
pub(super) fn begin<S: Supply>(blocks: &mut Blocks<S>) -> Result<Stream, NoBeginning> {
    let mut stream = Stream::default();
    let mut need = 4;
    loop {
        let at = blocks.offset();
        let bytes = fill(blocks, need).map_err(NoBeginning::Damaged)?;
        match stream.next(bytes) {
            Ok(Step::Needs(more)) => need = more,
            Ok(Step::Control { len, reply: None }) => {
                blocks.consume(len);
                return Ok(stream);
            }
            Err(wrong @ Wrong::ContentType(_)) => return Err(NoBeginning::NotDnstap(wrong)),
            Ok(Step::Control { .. } | Step::Data { .. }) => {
                let what = "it does not begin with START".to_owned();
                return Err(NoBeginning::Damaged(Damage::at(at, what)));
            }
            Err(wrong) => return Err(NoBeginning::Damaged(Damage::at(at, wrong.to_string()))),
        }
    }
}

/// Gives the frames behind the first control frame, until the end or until `give` breaks off. `untimely` counts those without a
/// time, which get that of the one before.
///
/// # Errors
/// Damage, or no STOP, after all frames before it were given.
pub(super) fn read<S: Supply>(
    blocks: &mut Blocks<S>,
    mut stream: Stream,
    untimely: &mut u64,
    numbering: &mut Numbering,
    mut give: impl FnMut(&[Packet<'_>]) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Damage> {
    let mut need = 4;
    let mut before = Timestamp::from_nanos(0);
    loop {
        let at = blocks.offset();
        if need == 4 && is_at_end(blocks)? {
            return if stream.is_whole() {
                Ok(ControlFlow::Continue(()))
            } else {
                let what =
                    "it ends without STOP: it is still being written, or its writer was killed";
                Err(Damage::at(at, what.to_owned()))
            };
        }
        let bytes = fill(blocks, need)?;
        let step = stream
            .next(bytes)
            .map_err(|wrong| Damage::at(at, wrong.to_string()))?;
        let len = match step {
            Step::Needs(more) => {
                need = more;
                continue;
            }
            Step::Control { reply: Some(_), .. } => {
                let what = "READY, which is said to somebody and not written to a file";
                return Err(Damage::at(at, what.to_owned()));
            }
            Step::Control { len, reply: None } => len,
            Step::Data { len, frame } => {
                let time = Tapped::read(frame).ok().and_then(|tapped| tapped.time());
                *untimely += u64::from(time.is_none());
                before = time.unwrap_or(before);
                let len_of_frame = u32::try_from(frame.len()).unwrap_or(u32::MAX);
                let packet = numbering.next(before, LinkType::DNSTAP, len_of_frame, frame);
                let given = give(&[packet]);
                if given.is_break() {
                    return Ok(given);
                }
                len
            }
        };
        blocks.consume(len);
        need = 4;
    }
}

/// Whether there is no further byte.
fn is_at_end<S: Supply>(blocks: &mut Blocks<S>) -> Result<bool, Damage> {
    let at = blocks.offset();
    let bytes = blocks.fill(1);
    bytes
        .map(<[u8]>::is_empty)
        .map_err(|error| Damage::unreadable(at, &error))
}

/// At least `need` bytes.
fn fill<S: Supply>(blocks: &mut Blocks<S>, need: usize) -> Result<&[u8], Damage> {
    let at = blocks.offset();
    let bytes = blocks
        .fill(need)
        .map_err(|error| Damage::unreadable(at, &error))?;
    if bytes.len() < need {
        let what = format!(
            "the frame takes at least {need} bytes, there are {}",
            bytes.len()
        );
        return Err(Damage::at(at, what));
    }
    Ok(bytes)
}
