//! What was said lately, so that it is not said again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::RiskEvent;
use crate::rule::Throttle;
use crate::time::Timestamp;

/// How many are remembered; beyond it the older half is forgotten, and would be said again.
const MOST: usize = 65_536;

/// The time of the last risk event of each rule with the same values.
#[derive(Debug)]
pub(super) struct Throttled {
    said: HashMap<[u8; 32], Timestamp, ahash::RandomState>,
    most: usize,
}

impl Default for Throttled {
    fn default() -> Self {
        Self::remembering(MOST)
    }
}

impl Throttled {
    fn remembering(most: usize) -> Self {
        Self {
            said: HashMap::default(),
            most,
        }
    }

    /// Whether the same was said less than the period ago; where not, it counts as said.
    pub(super) fn suppresses(&mut self, throttle: &Throttle, event: &RiskEvent) -> bool {
        self.is_known(key(throttle, event), event.last, throttle)
    }

    fn is_known(&mut self, key: [u8; 32], time: Timestamp, throttle: &Throttle) -> bool {
        if !self.said.contains_key(&key) && self.said.len() >= self.most {
            self.forget_older_half();
        }
        match self.said.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(time);
                false
            }
            // Rows of one window are not in the order of their times.
            Entry::Occupied(entry)
                if time.since(*entry.get()) < throttle.period
                    && entry.get().since(time) < throttle.period =>
            {
                true
            }
            Entry::Occupied(mut entry) => {
                let latest = time.max(*entry.get());
                entry.insert(latest);
                false
            }
        }
    }

    fn forget_older_half(&mut self) {
        let mut times: Vec<Timestamp> = self.said.values().copied().collect();
        let middle = times.len() / 2;
        if middle < times.len() {
            let (.., middle, _) = times.select_nth_unstable(middle);
            let middle = *middle;
            self.said.retain(|_, time| *time > middle);
        }
    }
}

/// A hash of the rule and the values of the throttle's fields, each with its length before it.
fn key(throttle: &Throttle, event: &RiskEvent) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    part(event.rule_name().as_bytes());
    for field in &throttle.fields {
        part(field.name().as_bytes());
        if let Some(content) = event.field(field.name()) {
            content.each(&mut |value| part(value.text().as_bytes()));
        }
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn hour() -> Throttle {
        Throttle {
            fields: Vec::new(),
            period: Duration::from_secs(3_600),
        }
    }

    #[test]
    fn once_in_a_period() {
        let mut throttled = Throttled::default();
        let mut is_known = |key: u8, second| {
            throttled.is_known([key; 32], Timestamp::from_parts(second, 0), &hour())
        };
        assert!(!is_known(1, 10_000));
        assert!(is_known(1, 13_599));
        assert!(!is_known(2, 13_599), "another");
        // What was suppressed does not prolong it.
        assert!(!is_known(1, 13_600));
        assert!(is_known(1, 12_000), "earlier, and told later");
        assert!(!is_known(1, 10_000), "much earlier");
        assert!(is_known(1, 17_199), "which does not count as the last one");
    }

    #[test]
    fn the_older_half_is_forgotten() {
        let mut throttled = Throttled::remembering(4);
        for second in 0..100 {
            let key = [u8::try_from(second).unwrap(); 32];
            assert!(!throttled.is_known(key, Timestamp::from_parts(second, 0), &hour()));
            assert!(throttled.said.len() <= 4);
            assert!(throttled.is_known(key, Timestamp::from_parts(second, 0), &hour()));
        }
    }
}
