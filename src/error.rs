//! Why a run cannot go on, and the exit status that says so.

use std::process::ExitCode;

use crate::capture::CaptureError;
use crate::delivery::DeliveryError;
use crate::rule::Mistake;
use crate::sink::SinkError;

/// Why a run could not start, or could not finish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line asks for something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// A rule or a list of names is wrong; every mistake is in the list.
    #[error("{}", mistakes(.0))]
    Rules(Vec<Mistake>),
    /// An input cannot be read, or not to its end.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A record cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Records cannot be delivered to a place in the network.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// The user to become does not exist, or may not be become.
    #[error("cannot become the user '{name}': {reason}")]
    User {
        /// The user.
        name: String,
        /// What the system said.
        reason: String,
    },
    /// What is written after a run, the statistics for instance, cannot be.
    #[error("cannot write {} to {path}: {reason}", last(option))]
    Last {
        /// The option that asks for it.
        option: &'static str,
        /// The file.
        path: String,
        /// What the system said, and what to do.
        reason: String,
    },
    /// The metrics cannot be served.
    #[error("cannot serve metrics on {address}: {reason}")]
    Metrics {
        /// The address and port.
        address: String,
        /// What the system said, and what to do.
        reason: String,
    },
    /// The operating system refused something.
    #[error("{what}: {reason}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What it said.
        reason: String,
    },
    /// Rules give other rows than their tests say.
    #[error("{failed} of {count} tests failed")]
    Tests {
        /// How many.
        failed: usize,
        /// Of how many.
        count: usize,
    },
    /// A thread panicked, or the counters do not add up.
    #[error("{0}; this is a bug of dnsterrier, please report it with the command line")]
    Bug(String),
}

/// What an option asks for.
fn last(option: &str) -> &'static str {
    match option {
        "--stats" => "the statistics",
        _ => "the layer",
    }
}

fn mistakes(list: &[Mistake]) -> String {
    list.iter()
        .map(Mistake::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

impl Error {
    /// The exit status: 1 could not finish, 2 usage, 3 a rule is wrong. A reader of the output that went away is no error.
    #[must_use]
    pub fn status(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Sink(SinkError::BrokenPipe) => 0,
            Self::Usage(_)
            | Self::Sink(SinkError::Usage(_))
            | Self::Delivery(DeliveryError::Usage(_)) => 2,
            Self::Capture(CaptureError::Filter { .. }) => 2,
            Self::Rules(_) => 3,
            _ => 1,
        })
    }
}
