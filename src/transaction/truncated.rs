//! Truncated responses, for as long as their client may ask again over TCP (RFC 7766, section 5).

use std::net::IpAddr;
use std::time::Duration;

use super::arrival::{Kept, QuestionHash};
use crate::frame::Transport;
use crate::message::Header;
use crate::time::Timestamp;

/// The most that are remembered; beyond it those that are too old are forgotten, then all.
const MOST: usize = 1 << 16;

/// Who was told to ask again, by whom, for what; and when.
#[derive(Debug, Default)]
pub(super) struct Truncated {
    times: hashbrown::HashMap<(IpAddr, IpAddr, QuestionHash), Timestamp, ahash::RandomState>,
}

impl Truncated {
    /// Remembers the response to a query, where it is a truncated one.
    pub(super) fn note(&mut self, question: QuestionHash, response: &Kept, timeout: Duration) {
        let is_truncated =
            || Header::read(&response.bytes).is_some_and(|header| header.is_truncated());
        if response.key.transport == Transport::Tcp || !is_truncated() {
            return;
        }
        let now = response.side().time;
        if self.times.len() >= MOST {
            self.times.retain(|_, time| now.since(*time) <= timeout);
            if self.times.len() >= MOST {
                self.times.clear();
            }
        }
        self.times.insert(place(response, question), now);
    }

    /// Whether a query over TCP asks again what was truncated less than a timeout ago.
    pub(super) fn asks_again(
        &self,
        question: QuestionHash,
        query: &Kept,
        timeout: Duration,
    ) -> bool {
        query.key.transport == Transport::Tcp
            && self
                .times
                .get(&place(query, question))
                .is_some_and(|time| query.side().time.since(*time) <= timeout)
    }

    /// Forgets them all.
    pub(super) fn clear(&mut self) {
        self.times.clear();
    }
}

fn place(message: &Kept, question: QuestionHash) -> (IpAddr, IpAddr, QuestionHash) {
    (message.key.client.0, message.key.resolver.0, question)
}
