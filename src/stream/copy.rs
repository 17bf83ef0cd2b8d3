//! A mirror's second delivery of the same segment, as against a sender's retransmission.

use std::time::Duration;

use crate::frame::Frame;
use crate::time::Timestamp;

/// How long after a segment the mirror may deliver it again.
const WITHIN: Duration = Duration::from_millis(50);

/// What a segment and its copies have in common, and when it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    time: Timestamp,
    sequence: u32,
    len: usize,
    ip_id: Option<u16>,
}

impl Seen {
    pub(super) fn of(frame: &Frame<'_>, sequence: u32, time: Timestamp) -> Self {
        Self {
            time,
            sequence,
            len: frame.payload.len(),
            ip_id: frame.ip_id,
        }
    }
}

/// The last few segments of a stream.
#[derive(Debug, Default)]
pub(super) struct Recent {
    seen: [Option<Seen>; 8],
    next: usize,
}

impl Recent {
    /// Whether `again` is a copy of one of them: the same IPv4 ID (IPv6 has none), sequence number and length.
    pub(super) fn has(&self, again: Seen) -> bool {
        self.seen.iter().flatten().any(|seen| {
            (seen.sequence, seen.len, seen.ip_id) == (again.sequence, again.len, again.ip_id)
                && again.time.since(seen.time) <= WITHIN
        })
    }

    /// Remembers a segment, in the place of the oldest.
    pub(super) fn add(&mut self, seen: Seen) {
        if let Some(place) = self.seen.get_mut(self.next) {
            *place = Some(seen);
        }
        self.next = (self.next + 1) % self.seen.len();
    }
}
