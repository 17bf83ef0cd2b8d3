//! Truncated responses, for as long as their client may ask again over TCP (RFC 7766, section 5).

use std::net::IpAddr;
use std::time::Duration;

use super::arrival::{Kept, QuestionHash};
use super::recent::Recent;
use crate::frame::Transport;
use crate::message::Header;

/// The most that are remembered.
const MOST: u32 = 1 << 16;

/// Who was told to ask again, by whom, for what; and when.
#[derive(Debug)]
pub(super) struct Truncated(Recent<(IpAddr, IpAddr, QuestionHash)>);

impl Default for Truncated {
    fn default() -> Self {
        Self(Recent::new(MOST))
    }
}

impl Truncated {
    /// Remembers the response to a query, where it is a truncated one.
    pub(super) fn note(&mut self, question: QuestionHash, response: &Kept) {
        let is_truncated =
            || Header::read(&response.bytes).is_some_and(|header| header.is_truncated());
        if response.key.transport == Transport::Udp && is_truncated() {
            let time = response.side().time;
            self.0.note(place(response, question), time, ());
        }
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
                .0
                .get(&place(query, question))
                .is_some_and(|(time, ())| query.side().time.since(time) <= timeout)
    }

    /// Forgets them all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

fn place(message: &Kept, question: QuestionHash) -> (IpAddr, IpAddr, QuestionHash) {
    (message.key.client.0, message.key.resolver.0, question)
}
