//! Who takes records: what every kind of place has in common.

use std::fmt::Debug;
use std::time::Duration;

use super::DeliveryError;
use super::clickhouse::Table;
use super::elastic::Index;
use super::hec::Hec;
#[cfg(feature = "kafka")]
use super::kafka::Topic;
use super::segment::Waiting;
use super::syslog::Syslog;
use crate::sink::remote::Kind;
use crate::sink::{Remote, Stream};

/// What a place said of a batch.
#[derive(Debug)]
pub(super) enum Answer {
    /// It has all of it.
    Taken,
    /// Not now; the same may be taken later.
    Later {
        /// What it said, or what happened.
        why: String,
        /// How long it asks to be left alone.
        after: Option<Duration>,
    },
    /// Not this: at least one record is not as it has to be.
    Refused {
        /// What it said.
        why: String,
        /// Which one it may be, where it says so.
        suspect: Option<usize>,
    },
    /// Nothing from us, as things are set up; the records are not at fault.
    Shut {
        /// What it said.
        why: String,
    },
    /// Something else of each record, in their order.
    Each(Vec<Fate>),
}

/// What a place said of one record.
#[derive(Debug)]
pub(super) enum Fate {
    /// It has it.
    Taken,
    /// Not now.
    Later(String),
    /// Not as things are set up.
    Shut(String),
    /// Never.
    Refused(String),
}

/// A place that takes the records of one stream.
pub(super) trait Destination: Debug + Send {
    /// Sends a batch and waits for what the place says. `wait` waits for a span of time, and says whether it is worth it.
    fn send(&mut self, batch: &[Waiting], wait: &dyn Fn(Duration) -> bool) -> Answer;

    /// How many records of the batch that was sent last are there in part only, as the place takes none so long.
    fn cut(&self) -> u64 {
        0
    }

    /// Ends it, where that says more of the batch that was sent last: [`Answer::Taken`], or that it has to be sent again.
    fn close(&mut self) -> Answer {
        Answer::Taken
    }
}

/// Makes ready what a URL names.
///
/// # Errors
/// Something in it is not right, or a secret or certificate is missing.
pub(super) fn connect(
    stream: Stream,
    remote: &Remote,
) -> Result<Box<dyn Destination>, DeliveryError> {
    match remote.kind {
        Kind::Hec => Ok(Box::new(Hec::new(stream, remote)?)),
        Kind::ClickHouse => Ok(Box::new(Table::new(stream, remote)?)),
        Kind::Syslog | Kind::SyslogUdp => Ok(Box::new(Syslog::new(stream, remote)?)),
        Kind::Elastic => Ok(Box::new(Index::new(stream, remote)?)),
        #[cfg(feature = "kafka")]
        Kind::Kafka => Ok(Box::new(Topic::new(stream, remote)?)),
        #[cfg(not(feature = "kafka"))]
        Kind::Kafka => Err(DeliveryError::Usage(format!(
            "'{remote}': this program was built without Kafka; build it with: cargo build --release --features kafka"
        ))),
    }
}
