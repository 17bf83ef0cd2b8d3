//! A table as a place: records become its rows.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;

use super::super::DeliveryError;
use super::super::destination::{Answer, Destination};
use super::super::http::gzip;
use super::super::segment::Waiting;
use super::schema::{Column, Holds, columns};
use super::{Server, failure};
use crate::sink::{Remote, Stream};
use crate::time::Timestamp;

/// Numbers of errors that speak of the rows: they cannot be read, or there are too many days in one insert.
const OF_THE_ROWS: [u32; 14] = [6, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 131, 252, 349];
/// Of what is not there or not allowed, which somebody has to mend: database, table, column, user, rights, read-only.
const OF_THE_SERVER: [u32; 14] = [
    10, 16, 36, 47, 60, 81, 164, 192, 193, 194, 195, 242, 497, 516,
];

/// The table of one stream.
#[derive(Debug)]
pub(in super::super) struct Table {
    server: Server,
    columns: &'static [Column],
    path: String,
}

impl Table {
    /// Checks what the URL says and reads who we are there.
    ///
    /// # Errors
    /// Something in it is not right.
    pub(in super::super) fn new(stream: Stream, remote: &Remote) -> Result<Self, DeliveryError> {
        let server = Server::new(remote, false)?;
        let statement = format!("INSERT INTO {stream} FORMAT JSONEachRow");
        let path = Server::path(&[
            ("database", &server.database),
            ("query", &statement),
            // An insert that is answered is with its shard.
            ("insert_distributed_sync", "1"),
        ]);
        Ok(Self {
            server,
            columns: columns(stream),
            path,
        })
    }

    fn body(&self, batch: &[Waiting]) -> Vec<u8> {
        let mut body = Vec::new();
        for waiting in batch {
            row(self.columns, &waiting.line, &mut body);
            body.push(b'\n');
        }
        body
    }
}

/// Writes a record as a row of JSONEachRow. A column without a value is left to its default.
fn row(columns: &[Column], line: &[u8], to: &mut Vec<u8>) {
    let Ok(fields) = serde_json::from_slice::<BTreeMap<&str, &RawValue>>(line) else {
        return;
    };
    to.push(b'{');
    let mut is_first = true;
    for column in columns {
        let found = column
            .fields
            .iter()
            .find_map(|name| fields.get(name))
            .filter(|value| value.get() != "null");
        let Some(text) = cell(column.holds, found.map(|it| it.get()), line, &fields) else {
            continue;
        };
        if !is_first {
            to.push(b',');
        }
        is_first = false;
        to.extend_from_slice(format!("\"{}\":", column.name).as_bytes());
        to.extend_from_slice(text.as_bytes());
    }
    to.push(b'}');
}

fn cell(
    holds: Holds,
    value: Option<&str>,
    line: &[u8],
    fields: &BTreeMap<&str, &RawValue>,
) -> Option<String> {
    let time = |value: &str| {
        let text: String = serde_json::from_str(value).ok()?;
        Timestamp::parse(&text).ok()
    };
    match holds {
        Holds::Day => Some(format!("\"{}\"", time(value?)?.to_date())),
        Holds::Time => Some(time(value?)?.as_nanos().to_string()),
        Holds::Text | Holds::Word | Holds::Texts | Holds::Count | Holds::Number => {
            value.map(str::to_owned)
        }
        Holds::Json => serde_json::to_string(value?).ok(),
        Holds::Record if fields.contains_key("part") => {
            // The parts of a row stand beside it.
            let mut rest: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(line).ok()?;
            rest.shift_remove("part");
            let text = serde_json::to_string(&rest).ok()?;
            serde_json::to_string(&text).ok()
        }
        Holds::Record => serde_json::to_string(std::str::from_utf8(line).ok()?).ok(),
    }
}

impl Destination for Table {
    fn send(&mut self, batch: &[Waiting], _wait: &dyn Fn(Duration) -> bool) -> Answer {
        let mut headers = self.server.headers();
        headers.push(("Content-Encoding", "gzip"));
        let body = gzip(&self.body(batch));
        let reply = match self.server.client.post(&self.path, &headers, &body) {
            Ok(reply) => reply,
            Err(why) => return Answer::Later { why, after: None },
        };
        let Some(failed) = failure(&reply) else {
            return Answer::Taken;
        };
        let why = failed.why;
        match failed.code {
            Some(code) if OF_THE_ROWS.contains(&code) => Answer::Refused { why, suspect: None },
            Some(code) if OF_THE_SERVER.contains(&code) => Answer::Shut { why },
            _ if reply.is_passing() => Answer::Later {
                why,
                after: reply.after,
            },
            _ if reply.status == 400 || reply.status == 413 => {
                Answer::Refused { why, suspect: None }
            }
            _ => Answer::Shut { why },
        }
    }
}
