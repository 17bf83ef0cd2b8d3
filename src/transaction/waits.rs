//! How long transactions wait: in nanoseconds, as comparing packets' times needs it, and reckoned once.

use std::time::Duration;

use super::{
    COPY, REPEATED_LATE, REPEATED_TIMEOUTS, RESPONSE_FIRST, SWEEP_DELAY, SWEEP_DELAY_LEAST,
};
use crate::time::nanos;

/// All waits that follow from a timeout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// The timeout itself.
    pub(super) timeout: i64,
    /// An open query is repeated within so long after it was sent last.
    pub(super) repeated: i64,
    /// All repetitions of an open query come within so long after its first.
    pub(super) repeated_in_all: i64,
    /// A query comes so long after its response at most.
    pub(super) response_first: i64,
    /// A copy comes within so long.
    pub(super) copy: i64,
    /// What waits for a timeout is swept away after so long,
    pub(super) long_swept: i64,
    /// and what waits for a moment after so long. Multicast messages wait as long as lone responses: one queue has one
    /// length.
    pub(super) short_swept: i64,
    /// An answered transaction lingers for a timeout: where its answer took longer than this, it waits from there on.
    pub(super) answered_soon: i64,
}

impl Waits {
    pub(super) fn new(timeout: Duration) -> Self {
        let late = (timeout / 5).min(REPEATED_LATE);
        Self {
            timeout: nanos(timeout),
            repeated: nanos(timeout.saturating_add(late)),
            repeated_in_all: nanos(timeout.saturating_mul(REPEATED_TIMEOUTS)),
            response_first: nanos(RESPONSE_FIRST),
            copy: nanos(COPY),
            long_swept: nanos(timeout.saturating_add(SWEEP_DELAY)),
            short_swept: nanos(RESPONSE_FIRST.saturating_add(SWEEP_DELAY)),
            answered_soon: nanos(SWEEP_DELAY.saturating_sub(SWEEP_DELAY_LEAST)),
        }
    }
}
