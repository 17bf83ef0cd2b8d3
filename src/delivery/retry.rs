//! When to try again.

use std::time::Duration;

/// Longer and longer between the attempts, and each a little other than it would be, so that a hundred sensors do not come
/// back at the same moment.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
    keys: ahash::RandomState,
}

/// What a place may ask for with `Retry-After` at most.
const LONGEST: Duration = Duration::from_secs(600);

impl Backoff {
    /// Waits about `first` after the first failure, then twice as long, at most `most`.
    #[must_use]
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            failures: 0,
            keys: ahash::RandomState::new(),
        }
    }

    /// How long to wait now that it failed once more; at least as long as the place asks for, within reason.
    pub(super) fn failed(&mut self, asked: Option<Duration>) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        let longest = self.first.saturating_mul(doubled).min(self.most);
        // Between half of it and all of it.
        let share = self.keys.hash_one(self.failures) % 1_024;
        let share = u32::try_from(share).unwrap_or_default();
        let wait = longest / 2 + longest / 2_048 * share;
        wait.max(asked.unwrap_or_default().min(LONGEST))
    }

    /// It worked.
    pub(super) fn worked(&mut self) {
        self.failures = 0;
    }

    /// Whether it failed since it worked last.
    #[must_use]
    pub(super) const fn is_failing(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_and_longer_up_to_a_bound_and_never_the_same() {
        let (first, most) = (Duration::from_millis(500), Duration::from_secs(60));
        let mut backoff = Backoff::new(first, most);
        let mut expected = first;
        for _ in 0..40 {
            let wait = backoff.failed(None);
            assert!(
                wait >= expected / 2 && wait <= expected,
                "{wait:?} of {expected:?}"
            );
            expected = (expected * 2).min(most);
        }
        backoff.worked();
        assert!(!backoff.is_failing());
        assert!(backoff.failed(None) <= first);
        let waits: std::collections::HashSet<Duration> = (0..50)
            .map(|_| Backoff::new(most, most).failed(None))
            .collect();
        assert!(waits.len() > 10, "all wait alike");
    }

    #[test]
    fn what_the_place_asks_for_counts_within_reason() {
        let mut backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
        let asked = Duration::from_secs(7);
        assert_eq!(backoff.failed(Some(asked)), asked);
        assert_eq!(backoff.failed(Some(Duration::from_secs(1 << 40))), LONGEST);
    }
}
