//! Where packets are kept as evidence: which messages the transactions in the table were given on with, so that the packets of
//! copies and repeats, which are no message of a transaction, can be said to be its packets, too.

use crate::packet::{Further, MessageId};

use super::Arrival;
use super::slot::{Named, Slot};

/// The messages of a transaction whose packets are kept: its query, and its latest response.
type Messages = [Option<MessageId>; 2];

/// The messages of the transactions that are in the table; as bounded as that. Empty where no packets are kept.
#[derive(Debug, Default)]
pub(super) struct Brought {
    messages: hashbrown::HashMap<Named, Messages, ahash::RandomState>,
    /// Packets of copies and repeats, to be handed on.
    pub(super) further: Vec<Further>,
}

impl Brought {
    /// The messages of a transaction.
    #[inline]
    pub(super) fn messages(&self, of: Named) -> Messages {
        if self.messages.is_empty() {
            return [None; 2];
        }
        self.messages.get(&of).copied().unwrap_or_default()
    }

    /// A transaction begins with that message.
    pub(super) fn begin(&mut self, of: Named, message: Option<MessageId>, is_response: bool) {
        if message.is_some() {
            let messages = if is_response {
                [None, message]
            } else {
                [message, None]
            };
            self.messages.insert(of, messages);
        }
    }

    /// Its query came after its response.
    pub(super) fn query(&mut self, of: Named, arrival: &Arrival) {
        if let Some(message) = arrival.message() {
            let [query, _] = self.messages.entry(of).or_default();
            *query = Some(message);
        }
    }

    /// A response came that it is given on with.
    pub(super) fn response(&mut self, of: Named, arrival: &Arrival) {
        if let Some(message) = arrival.message() {
            let [_, response] = self.messages.entry(of).or_default();
            *response = Some(message);
        }
    }

    /// Its query came once more: a copy, or a repeat.
    pub(super) fn query_again(&mut self, of: Named, arrival: &Arrival) {
        let [query, response] = self.messages(of);
        self.again(query.or(response), arrival);
    }

    /// Its latest response came once more.
    pub(super) fn response_again(&mut self, of: Named, arrival: &Arrival) {
        let [query, response] = self.messages(of);
        self.again(response.or(query), arrival);
    }

    /// A message came that is none of its own, but of another one's transaction.
    pub(super) fn again(&mut self, of: Option<MessageId>, arrival: &Arrival) {
        let carried = arrival.kept.as_ref().and_then(|kept| kept.carried.as_ref());
        if let (Some(message), Some(carried)) = (of, carried) {
            let packets = carried.trail.packets().iter().cloned();
            self.further
                .extend(packets.map(|packet| Further { message, packet }));
        }
    }

    /// The transaction is no longer in the table.
    #[inline]
    pub(super) fn forget(&mut self, slot: &Slot) {
        if !self.messages.is_empty() {
            self.messages.remove(&slot.named());
        }
    }

    /// No transaction is.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
    }
}
