//! What was on the wire of a transaction, where somebody wants more of it than the event's fields.

use std::sync::Arc;

use crate::packet::{Captured, Carried, MessageId};
use crate::time::Timestamp;
use crate::transaction::{Side, Transaction};

/// One message of a transaction as it was on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireMessage {
    /// Capture time of the packet that completed it.
    pub time: Timestamp,
    /// Its bytes, as far as they were seen; empty where nobody wants them.
    pub bytes: Box<[u8]>,
    /// The packets that brought it, where they are kept.
    pub carried: Option<Arc<Carried>>,
}

impl WireMessage {
    fn of(side: &Side<'_>, keeps_bytes: bool) -> Self {
        Self {
            time: side.time,
            bytes: if keeps_bytes {
                side.bytes.into()
            } else {
                Box::default()
            },
            carried: side.carried.cloned(),
        }
    }
}

/// The messages of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// The query.
    pub query: Option<WireMessage>,
    /// The response.
    pub response: Option<WireMessage>,
}

impl Wire {
    /// That of a transaction; `None` where nobody wants the bytes of its messages, and their packets are not kept.
    pub(super) fn of(transaction: &Transaction<'_>, keeps_bytes: bool) -> Option<Arc<Self>> {
        let sides = [&transaction.query, &transaction.response];
        let is_kept = |side: &&Option<Side<'_>>| side.is_some_and(|side| side.carried.is_some());
        (keeps_bytes || sides.iter().any(is_kept)).then(|| {
            let [query, response] =
                sides.map(|side| side.as_ref().map(|side| WireMessage::of(side, keeps_bytes)));
            Arc::new(Self { query, response })
        })
    }

    /// The query and the response, as far as there are.
    fn messages(&self) -> impl Iterator<Item = &WireMessage> {
        self.query.iter().chain(&self.response)
    }

    /// What is kept of each of them.
    pub fn carried(&self) -> impl Iterator<Item = &Arc<Carried>> {
        self.messages()
            .filter_map(|message| message.carried.as_ref())
    }

    /// The packets that brought them.
    pub fn packets(&self) -> impl Iterator<Item = &Arc<Captured>> {
        self.carried().flat_map(|carried| carried.trail.packets())
    }

    /// The names of those whose packets are kept.
    pub fn names(&self) -> impl Iterator<Item = MessageId> {
        self.carried().map(|carried| carried.message)
    }

    /// How many packets were too many to be kept.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.carried().map(|carried| carried.trail.lost).sum()
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn held(&self) -> usize {
        let held = |message: &WireMessage| {
            let carried = message.carried.as_ref();
            message
                .bytes
                .len()
                .saturating_add(carried.map_or(0, |carried| carried.trail.held()))
        };
        self.messages().map(held).sum()
    }
}
