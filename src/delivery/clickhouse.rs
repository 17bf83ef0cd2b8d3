//! ClickHouse over HTTP: what is asked of it, inserting records, and reading stored events again.

mod condition;
mod insert;
pub mod schema;
mod stored;

use std::io::{self, BufRead, BufReader, Read};
use std::time::Duration;

use super::http::{Client, Reply};
use super::{DeliveryError, secret};
use crate::sink::Remote;
pub(super) use insert::Table;
pub use stored::{Stored, TakeStored};

/// How long an insert may take, where `timeout=` says nothing.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long a query may take.
const QUERY: Duration = Duration::from_secs(3_600);
/// No line of an answer is longer.
const LONGEST: u64 = 64 << 20;

/// Numbers of errors by which a server says that another one did not answer: no name, a connection that broke or timed out, all
/// attempts failed.
const NODE_DOWN: [u32; 6] = [32, 198, 203, 209, 210, 279];

/// A server, and a database there.
#[derive(Debug)]
pub struct Server {
    client: Client,
    /// The database.
    pub database: String,
    user: Option<String>,
    password: Option<String>,
}

/// What a server said that did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    /// ClickHouse's number of the error; none where it could not even be asked.
    pub code: Option<u32>,
    /// What it said, or what happened.
    pub why: String,
}

impl Failure {
    /// Whether the server was there, and another one of its cluster was not.
    #[must_use]
    pub fn is_node_down(&self) -> bool {
        self.code.is_some_and(|code| NODE_DOWN.contains(&code))
    }
}

impl Server {
    /// The server that a URL names.
    ///
    /// # Errors
    /// It names no database, or what is needed of files and the environment is not right.
    pub fn new(remote: &Remote, for_queries: bool) -> Result<Self, DeliveryError> {
        let is_name = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || it == b'_')
        };
        if !is_name(&remote.path) {
            return Err(DeliveryError::Usage(format!(
                "'{remote}': the name of a database stands behind the port: letters, digits and _"
            )));
        }
        let timeout = super::timeout(remote)?.unwrap_or(if for_queries { QUERY } else { TIMEOUT });
        Ok(Self {
            client: Client::new(remote, timeout)?,
            database: remote.path.clone(),
            user: secret::read(remote, "user_file", "DNSTERRIER_CLICKHOUSE_USER")?,
            password: secret::read(remote, "password_file", "DNSTERRIER_CLICKHOUSE_PASSWORD")?,
        })
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        let mut headers = Vec::new();
        if let Some(user) = &self.user {
            headers.push(("X-ClickHouse-User", user.as_str()));
        }
        if let Some(password) = &self.password {
            headers.push(("X-ClickHouse-Key", password));
        }
        headers
    }

    fn path(parameters: &[(&str, &str)]) -> String {
        let mut path = "/?".to_owned();
        for (name, value) in parameters {
            path.push_str(name);
            path.push('=');
            // Only what these parameters hold: words, spaces and a few signs.
            for byte in value.bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' => {
                        path.push(char::from(byte));
                    }
                    other => path.push_str(&format!("%{other:02X}")),
                }
            }
            path.push('&');
        }
        path
    }

    /// Has a statement carried out whose answer does not matter.
    ///
    /// # Errors
    /// What the server said.
    pub fn execute(&self, statement: &str) -> Result<(), Failure> {
        let reply = self
            .client
            .post(&Self::path(&[]), &self.headers(), statement.as_bytes())
            .map_err(|why| Failure { code: None, why })?;
        failure(&reply).map_or(Ok(()), Err)
    }

    /// Asks for something in a format of lines, and gives each of them to `take`.
    ///
    /// # Errors
    /// What the server said, or why its answer broke off.
    pub fn query(
        &self,
        query: &str,
        settings: &[(&str, &str)],
        take: &mut dyn FnMut(&str) -> Result<(), String>,
    ) -> Result<(), Failure> {
        let broken = |why: String| Failure { code: None, why };
        // A failure in the middle is a failure, not the end of an answer that looks whole.
        let mut parameters = vec![
            ("database", self.database.as_str()),
            ("wait_end_of_query", "1"),
        ];
        parameters.extend(settings);
        let (reply, body) = self
            .client
            .ask(&Self::path(&parameters), &self.headers(), query.as_bytes())
            .map_err(broken)?;
        let Some(body) = body else {
            return Err(failure(&reply).unwrap_or_else(|| broken(reply.told())));
        };
        let mut lines = BufReader::new(body);
        let mut line = String::new();
        loop {
            line.clear();
            let read = Read::take(&mut lines, LONGEST)
                .read_line(&mut line)
                .map_err(|error: io::Error| broken(format!("its answer broke off: {error}")))?;
            if read == 0 {
                return Ok(());
            }
            take(line.trim_end_matches('\n')).map_err(broken)?;
        }
    }

    /// Whether the server has what came with version 21: codecs, times to the nanosecond.
    ///
    /// # Errors
    /// What the server said.
    pub fn is_modern(&self) -> Result<bool, Failure> {
        // The database may not be there yet.
        let reply = self
            .client
            .post(
                &Self::path(&[]),
                &self.headers(),
                b"SELECT version() FORMAT TabSeparated",
            )
            .map_err(|why| Failure { code: None, why })?;
        if let Some(failure) = failure(&reply) {
            return Err(failure);
        }
        let version = String::from_utf8_lossy(&reply.body).into_owned();
        let major = version
            .split('.')
            .next()
            .and_then(|it| it.parse::<u32>().ok());
        Ok(major.is_some_and(|major| major >= 21))
    }
}

/// What went wrong, where something did.
fn failure(reply: &Reply) -> Option<Failure> {
    if reply.status == 200 {
        return None;
    }
    let text = String::from_utf8_lossy(&reply.body);
    let code = text.split_once("Code: ").and_then(|(_, rest)| {
        rest.split(|it: char| !it.is_ascii_digit())
            .next()?
            .parse()
            .ok()
    });
    Some(Failure {
        code,
        why: reply.told(),
    })
}
