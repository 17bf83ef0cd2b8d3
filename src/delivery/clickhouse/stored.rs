//! The table of events as an input: what sensors stored, in the order of its time.
//!
//! It is read day by day, of each day in pieces of some 100,000 events that the server puts in order: so neither side holds
//! more, and an answer that breaks off is known from one that is whole.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::DeliveryError;
use super::condition::condition;
use super::{Failure, Server};
use crate::rule::Reach;
use crate::sink::Remote;
use crate::time::Timestamp;

/// So many events are asked for at once, unless there are more in one second.
const PIECE: u64 = 100_000;
/// So many resolvers of one day are told.
const RESOLVERS: usize = 1 << 20;
/// So many blocks of lines wait to be taken, each of so many bytes, or of one line that is longer.
const BLOCKS: usize = 8;
const BLOCK: usize = 64 << 10;
/// How often it is looked whether the run is to end, while the server keeps us waiting.
const LOOK: Duration = Duration::from_millis(100);
/// The first moment that the column `day` cannot hold on every server: 2105-01-01.
const LAST_DAY: i64 = 4_260_211_200_000_000_000;

/// Takes what was stored.
pub trait TakeStored {
    /// An address answered somebody, at that time at the latest; those of a day come before its events.
    fn answered(&mut self, address: IpAddr, time: Timestamp);

    /// Takes an event as it was written, perhaps several times in a row; `Break` when no more are wanted.
    fn take(&mut self, record: &str) -> ControlFlow<()>;
}

/// The events that sensors sent to a database.
#[derive(Debug)]
pub struct Stored {
    server: Arc<Server>,
    place: String,
    /// What their columns must be: of the day and the time, and of the rest.
    of_time: Vec<String>,
    of_rules: Option<String>,
}

impl Stored {
    /// Those of the database that a URL names.
    ///
    /// # Errors
    /// As for [`Server::new`].
    pub fn new(remote: &Remote) -> Result<Self, DeliveryError> {
        Ok(Self {
            server: Arc::new(Server::new(remote, true)?),
            place: remote.to_string(),
            of_time: Vec::new(),
            of_rules: None,
        })
    }

    /// Of these only those from one time on and before another.
    #[must_use]
    pub fn between(mut self, since: Timestamp, until: Timestamp) -> Self {
        let day = |time: Timestamp| time.to_date();
        let fits = |time: Timestamp| (0..LAST_DAY).contains(&time.as_nanos());
        if since > Timestamp::MIN {
            self.of_time.push(format!("time >= {}", since.as_nanos()));
            if fits(since) {
                // Also what has a day that the column cannot hold.
                let day = day(since);
                let condition = format!("(day >= '{day}' OR day = toDate(0))");
                self.of_time.push(condition);
            }
        }
        if until < Timestamp::MAX {
            self.of_time.push(format!("time < {}", until.as_nanos()));
            if fits(until) {
                self.of_time.push(format!("day <= '{}'", day(until)));
            }
        }
        self
    }

    /// Of these only those that rules can reach, about.
    #[must_use]
    pub fn reached(mut self, reach: &Reach) -> Self {
        self.of_rules = condition(reach);
        self
    }

    /// Its URL.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Gives all of them to `sink`, until it breaks off or `stop` says so.
    ///
    /// # Errors
    /// What the server said, also where a node of a cluster does not answer. What was given before it is as it should be.
    pub fn read(
        &self,
        sink: &mut dyn TakeStored,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), DeliveryError> {
        match self.read_days(sink, stop) {
            Ok(()) | Err(End::Asked) => Ok(()),
            Err(End::Failed(error)) => Err(error),
        }
    }

    fn read_days(&self, sink: &mut dyn TakeStored, stop: &dyn Fn() -> bool) -> Result<(), End> {
        for day in self.days(stop)? {
            let of_day = format!("day = toDate({day})");
            self.resolvers(&of_day, sink, stop)?;
            for (first, last) in self.pieces(&of_day, stop)? {
                let of_piece = [of_day.clone(), format!("time BETWEEN {first} AND {last}")];
                let query = format!(
                    "SELECT record FROM events{} ORDER BY time, event_id",
                    self.conditions(&of_piece, true)
                );
                self.ask(&query, stop, &mut |Line { record }| sink.take(&record))?;
            }
        }
        Ok(())
    }

    /// The days that have any, in order: the numbers of days since 1970.
    fn days(&self, stop: &dyn Fn() -> bool) -> Result<Vec<u16>, End> {
        let query = format!(
            "SELECT toUInt16(day) AS number FROM events{} GROUP BY day ORDER BY day",
            self.conditions(&[], false)
        );
        let mut days = Vec::new();
        self.ask(&query, stop, &mut |Day { number }| {
            days.push(number);
            ControlFlow::Continue(())
        })?;
        Ok(days)
    }

    /// Who answered anybody on a day, and when first.
    fn resolvers(
        &self,
        of_day: &str,
        sink: &mut dyn TakeStored,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), End> {
        let answered = [of_day.to_owned(), "outcome != 'unanswered'".to_owned()];
        let query = format!(
            "SELECT dest, toString(min(time)) AS first FROM events{} GROUP BY dest ORDER BY min(time) LIMIT {RESOLVERS}",
            self.conditions(&answered, false)
        );
        self.ask(&query, stop, &mut |Answered { dest, first }| {
            if let (Ok(address), Ok(first)) = (dest.parse(), first.parse()) {
                sink.answered(address, Timestamp::from_nanos(first));
            }
            ControlFlow::Continue(())
        })
    }

    /// The first and the last time of each piece of a day, in nanoseconds since 1970.
    fn pieces(&self, of_day: &str, stop: &dyn Fn() -> bool) -> Result<Vec<(i64, i64)>, End> {
        let query = format!(
            "SELECT toString(min(time)) AS first, toString(max(time)) AS last, toString(count()) AS events FROM events{} \
             GROUP BY intDiv(time, 1000000000) ORDER BY min(time)",
            self.conditions(&[of_day.to_owned()], true)
        );
        let mut pieces: Vec<(i64, i64)> = Vec::new();
        let mut events = 0_u64;
        self.ask(&query, stop, &mut |second: Second| {
            let number = |text: &str| text.parse::<i64>().unwrap_or_default();
            let (first, last) = (number(&second.first), number(&second.last));
            let more = second.events.parse().unwrap_or(0);
            events = events.saturating_add(more);
            match pieces.last_mut() {
                Some(piece) if events <= PIECE => piece.1 = last,
                _ => {
                    pieces.push((first, last));
                    events = more;
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(pieces)
    }

    /// ` WHERE ...`, also what the rules ask for or not; nothing where nothing is asked for.
    fn conditions(&self, more: &[String], of_rules: bool) -> String {
        let rules = self.of_rules.iter().filter(|_| of_rules);
        let list: Vec<&str> = more
            .iter()
            .chain(&self.of_time)
            .chain(rules)
            .map(String::as_str)
            .collect();
        match list.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", list.join(" AND ")),
        }
    }

    /// Asks, and gives each line of the answer to `take`, until it breaks off or `stop` says so.
    fn ask<T: DeserializeOwned>(
        &self,
        query: &str,
        stop: &dyn Fn() -> bool,
        take: &mut dyn FnMut(T) -> ControlFlow<()>,
    ) -> Result<(), End> {
        let (give, blocks) = sync_channel::<String>(BLOCKS);
        let (server, query) = (
            Arc::clone(&self.server),
            format!("{query} FORMAT JSONEachRow"),
        );
        let ask = move || -> Result<(), Failure> {
            let mut block = String::new();
            let gone = |_| "nobody takes its answer any more".to_owned();
            server.query(&query, &[], &mut |line| {
                block.push_str(line);
                block.push('\n');
                if block.len() < BLOCK {
                    return Ok(());
                }
                give.send(std::mem::take(&mut block)).map_err(gone)
            })?;
            // Who takes no more does not miss it.
            give.send(block).ok();
            Ok(())
        };
        // Nobody waits for a server that thinks when the run is to end.
        let asking = thread::Builder::new().name("query".to_owned()).spawn(ask);
        let asking = asking.map_err(|error| End::Failed(DeliveryError::Thread(error)))?;
        loop {
            let block = match blocks.recv_timeout(LOOK) {
                _ if stop() => return Err(End::Asked),
                Ok(block) => block,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            for line in block.lines() {
                let line = serde_json::from_str(line).map_err(|error| {
                    self.failed(format!("its answer is not what was asked for: {error}"))
                })?;
                if take(line).is_break() {
                    return Err(End::Asked);
                }
            }
        }
        match asking.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) if failure.is_node_down() => Err(self.failed(format!(
                "a node of the cluster does not answer, and what it has would be missing; run it again when the node is back ({})",
                failure.why
            ))),
            Ok(Err(failure)) => Err(self.failed(failure.why)),
            Err(_) => Err(self.failed("the thread that asked it panicked, a bug".to_owned())),
        }
    }

    fn failed(&self, reason: String) -> End {
        End::Failed(DeliveryError::Server {
            place: self.place.clone(),
            reason,
        })
    }
}

/// Why no more is read.
enum End {
    /// It was asked for.
    Asked,
    /// Something went wrong.
    Failed(DeliveryError),
}

#[derive(Deserialize)]
struct Day {
    number: u16,
}

#[derive(Deserialize)]
struct Answered {
    dest: String,
    first: String,
}

/// One second of a day.
#[derive(Deserialize)]
struct Second {
    first: String,
    last: String,
    events: String,
}

#[derive(Deserialize)]
struct Line {
    record: String,
}
