//! What the client's threads say: of each message what came of it, and of the cluster that it cannot be reached.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{NoCustomPartitioner, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use super::super::{SAID, one_line};

/// What came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is there.
    Delivered,
    /// It is not, and the client tries no more.
    Failed(RDKafkaErrorCode),
}

/// Why the cluster takes nothing.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    /// What was said.
    pub(super) why: String,
    /// Whether somebody has to mend it.
    pub(super) is_shut: bool,
}

#[derive(Debug, Default)]
struct State {
    /// By the records' numbers; without an outcome while a message is under way. Of one batch at most.
    messages: HashMap<u64, Option<Outcome>>,
    /// The last that was said of a broker.
    last: Option<String>,
    /// What was not told yet.
    trouble: Option<Trouble>,
}

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Reports {
    state: Mutex<State>,
    changed: Condvar,
}

impl Reports {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt begins: records before this one are over, and so is trouble of before, unless somebody has to mend it.
    pub(super) fn attempt(&self, first: u64) {
        let mut state = self.lock();
        state.messages.retain(|number, _| *number >= first);
        state.trouble.take_if(|it| !it.is_shut);
    }

    /// Whether a record is to be sent: it is not there, and not under way.
    pub(super) fn begin(&self, number: u64) -> bool {
        let mut state = self.lock();
        match state.messages.get(&number) {
            Some(None | Some(Outcome::Delivered)) => false,
            Some(Some(Outcome::Failed(_))) | None => {
                state.messages.insert(number, None);
                true
            }
        }
    }

    /// That came of a message.
    pub(super) fn end(&self, number: u64, result: Result<(), RDKafkaErrorCode>) {
        let outcome = match result {
            Ok(()) => Outcome::Delivered,
            Err(code) => Outcome::Failed(code),
        };
        self.lock().messages.insert(number, Some(outcome));
        self.changed.notify_all();
    }

    /// Waits until none of these is under way, there is new trouble, which it gives, or the span is over.
    pub(super) fn wait(
        &self,
        numbers: impl Iterator<Item = u64> + Clone,
        span: Duration,
    ) -> Option<Trouble> {
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.lock(), span, |state| {
                state.trouble.is_none()
                    && numbers
                        .clone()
                        .any(|it| matches!(state.messages.get(&it), Some(None)))
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.trouble.take()
    }

    /// What came of these, once none is under way.
    pub(super) fn outcomes(
        &self,
        numbers: impl Iterator<Item = u64>,
    ) -> Option<Vec<Option<Outcome>>> {
        let state = self.lock();
        numbers
            .map(|it| match state.messages.get(&it) {
                Some(None) => None,
                known => Some(known.copied().flatten()),
            })
            .collect()
    }

    /// Why there is no answer yet, as far as that is known.
    pub(super) fn unanswered(&self, span: Duration) -> String {
        let last = self.lock().last.clone();
        let last = last.map(|it| format!(" ({it})")).unwrap_or_default();
        format!("no answer within {} s{last}", span.as_secs())
    }
}

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        let mut state = self.lock();
        let said = one_line(reason, SAID);
        let is_shut = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication) => true,
            Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::Fatal) => false,
            // The others may be there.
            _ => {
                state.last = Some(said);
                return;
            }
        };
        let why = match (is_shut, &state.last) {
            (false, Some(last)) => format!("{said} ({last})"),
            _ => said,
        };
        // Why nobody lets us in says more than that nobody is there.
        if is_shut || !state.trouble.as_ref().is_some_and(|it| it.is_shut) {
            state.trouble = Some(Trouble { why, is_shut });
        }
        drop(state);
        self.changed.notify_all();
    }
}

impl ProducerContext<NoCustomPartitioner> for Reports {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Self::DeliveryOpaque) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(super::code(error)),
        };
        self.end(*number, result);
    }
}
