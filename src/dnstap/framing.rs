//! Frame Streams, <https://farsightsec.github.io/fstrm/>: frames with their length before each, and control frames around them. All
//! numbers are 32 bits in network byte order; a length of zero says that a control frame follows.
//!
//! In files, and from senders that expect no answer: START, data, STOP. Else: READY, our ACCEPT, START, data, STOP, our FINISH.

/// What the frames of dnstap say that they are.
const DNSTAP: &[u8] = b"protobuf:dnstap.Dnstap";

/// The most bytes of a data frame. DNS messages have 65,535 at most, two of them fit into a frame, and 4,096 bytes more are
/// plenty for addresses, times and what servers say of themselves.
pub const LONGEST_FRAME: usize = 2 * 65_535 + 4_096;
/// The most bytes of a control frame, as the library `fstrm` has it.
const LONGEST_CONTROL: usize = 512;

const ACCEPT: u32 = 1;
const START: u32 = 2;
const STOP: u32 = 3;
const READY: u32 = 4;
const FINISH: u32 = 5;
/// The only field of a control frame.
const CONTENT_TYPE: u32 = 1;

/// What is wrong with a stream; nothing behind it can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// A length that no frame has.
    #[error("a frame of {0} bytes, more than {LONGEST_FRAME} can be")]
    TooLong(u32),
    /// A control frame that does not hold together.
    #[error("a control frame that is none")]
    Control,
    /// A frame out of its turn.
    #[error("{found}, where {expected} has to come")]
    Turn {
        /// What came.
        found: &'static str,
        /// What may come there.
        expected: &'static str,
    },
    /// The frames are of another kind.
    #[error("its frames are '{0}', not '{own}'", own = DNSTAP.escape_ascii())]
    ContentType(String),
}

/// What comes next in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// It takes so many bytes in all, from the same place on, to say.
    Needs(usize),
    /// A control frame.
    Control {
        /// How many bytes it takes.
        len: usize,
        /// What the other side waits for.
        reply: Option<Vec<u8>>,
    },
    /// A frame of data.
    Data {
        /// How many bytes it takes, with its length.
        len: usize,
        /// What it holds.
        frame: &'a [u8],
    },
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing came, or nothing but what was ended by STOP.
    Outside,
    /// READY was answered.
    Accepted,
    /// START came; `true` where STOP is to be answered.
    Inside(bool),
}

/// One direction of Frame Streams, as who reads it sees it.
#[derive(Clone, Debug)]
pub struct Stream {
    state: State,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            state: State::Outside,
        }
    }
}

impl Stream {
    /// Whether the stream is whole up to here: STOP came, or nothing at all.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.state == State::Outside
    }

    /// What comes next in `bytes`, which begin behind what was there before.
    ///
    /// # Errors
    /// What comes cannot be Frame Streams of dnstap.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, Wrong> {
        let Some((length, rest)) = take_number(bytes) else {
            return Ok(Step::Needs(4));
        };
        if length == 0 {
            return self.control(rest);
        }
        if !matches!(self.state, State::Inside(_)) {
            return Err(self.out_of_turn("data"));
        }
        let frame_len = bounded(length, LONGEST_FRAME)?;
        Ok(match rest.get(..frame_len) {
            Some(frame) => Step::Data {
                len: 4 + frame_len,
                frame,
            },
            None => Step::Needs(4 + frame_len),
        })
    }

    /// A control frame, from its length on.
    fn control<'a>(&mut self, bytes: &[u8]) -> Result<Step<'a>, Wrong> {
        let Some((length, rest)) = take_number(bytes) else {
            return Ok(Step::Needs(8));
        };
        let length = bounded(length, LONGEST_CONTROL).map_err(|_| Wrong::Control)?;
        let Some(control) = rest.get(..length) else {
            return Ok(Step::Needs(8 + length));
        };
        let (kind, fields) = take_number(control).ok_or(Wrong::Control)?;
        let (state, reply) = match (self.state, kind) {
            (State::Outside, READY) => {
                check_content_type(fields)?;
                (State::Accepted, Some(write(ACCEPT, Some(DNSTAP))))
            }
            (State::Outside | State::Accepted, START) => {
                check_content_type(fields)?;
                (State::Inside(self.state == State::Accepted), None)
            }
            (State::Inside(is_answered), STOP) => {
                (State::Outside, is_answered.then(|| write(FINISH, None)))
            }
            (_, kind) => {
                return Err(self.out_of_turn(match kind {
                    ACCEPT => "ACCEPT",
                    START => "START",
                    STOP => "STOP",
                    READY => "READY",
                    FINISH => "FINISH",
                    _ => "an unknown control frame",
                }));
            }
        };
        self.state = state;
        Ok(Step::Control {
            len: 8 + length,
            reply,
        })
    }

    const fn out_of_turn(&self, found: &'static str) -> Wrong {
        let expected = match self.state {
            State::Outside => "READY or START",
            State::Accepted => "START",
            State::Inside(_) => "data or STOP",
        };
        Wrong::Turn { found, expected }
    }
}

/// Whether a file with these first twelve bytes is Frame Streams: it begins with START.
#[must_use]
pub fn begins(start: &[u8]) -> bool {
    let control = take_number(start)
        .filter(|(escape, _)| *escape == 0)
        .and_then(|(_, rest)| take_number(rest))
        .filter(|(length, _)| bounded(*length, LONGEST_CONTROL).is_ok())
        .and_then(|(_, rest)| take_number(rest));
    matches!(control, Some((START, _)))
}

/// Dnstap has to be among the kinds of frames that a control frame offers; one that offers none takes what it gets.
fn check_content_type(mut fields: &[u8]) -> Result<(), Wrong> {
    let mut other = None;
    while !fields.is_empty() {
        let (kind, rest) = take_number(fields).ok_or(Wrong::Control)?;
        let (length, rest) = take_number(rest).ok_or(Wrong::Control)?;
        let (content, rest) = usize::try_from(length)
            .ok()
            .and_then(|length| rest.split_at_checked(length))
            .ok_or(Wrong::Control)?;
        fields = rest;
        if kind != CONTENT_TYPE {
            return Err(Wrong::Control);
        }
        if content == DNSTAP {
            return Ok(());
        }
        other = Some(content);
    }
    other.map_or(Ok(()), |content| {
        Err(Wrong::ContentType(content.escape_ascii().to_string()))
    })
}

/// What a file of dnstap begins with.
#[must_use]
pub fn start() -> Vec<u8> {
    write(START, Some(DNSTAP))
}

/// What it ends with.
#[must_use]
pub fn stop() -> Vec<u8> {
    write(STOP, None)
}

/// A control frame as it is sent.
fn write(kind: u32, content_type: Option<&[u8]>) -> Vec<u8> {
    let mut control = kind.to_be_bytes().to_vec();
    if let Some(content) = content_type {
        control.extend(CONTENT_TYPE.to_be_bytes());
        control.extend(length_of(content));
        control.extend(content);
    }
    [&[0; 4][..], &length_of(&control), &control].concat()
}

/// The length of a few bytes, as it stands before them.
pub(super) fn length_of(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()
}

fn take_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

fn bounded(length: u32, most: usize) -> Result<usize, Wrong> {
    usize::try_from(length)
        .ok()
        .filter(|length| *length <= most)
        .ok_or(Wrong::TooLong(length))
}
