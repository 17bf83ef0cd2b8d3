//! Elasticsearch and OpenSearch: documents by the bulk API.
//!
//! Each is created under an `_id` of its own, which is the record's identity: one that is there already was delivered before.
//! <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk> and
//! <https://docs.opensearch.org/latest/api-reference/document-apis/bulk/> have the API.

use std::io::Read;
use std::time::Duration;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::destination::{Answer, Destination, Fate};
use super::http::{Client, Reply, gzip};
use super::segment::Waiting;
use super::{DeliveryError, secret};
use crate::sink::envelope::open;
use crate::sink::{Remote, Stream};

/// How long it may take until a batch is answered, where `timeout=` says nothing.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How much of an answer is read: it has a line for each document, and a reason where one was not taken.
const ANSWER: u64 = 16 << 20;
/// No name of an index is longer.
const LONGEST_NAME: usize = 255;

/// What is wrong with the index, or with who we are, and not with the document.
const NOT_THE_DOCUMENT: [&str; 5] = [
    "security_exception",
    "index_not_found_exception",
    "index_closed_exception",
    "invalid_index_name_exception",
    "cluster_block_exception",
];
/// The same, where only the words tell it.
const NOT_THE_DOCUMENT_SAID: [&str; 3] = ["no write index", "pipeline with id", "require_alias"];

/// An index or a data stream that takes one stream.
#[derive(Debug)]
pub(super) struct Index {
    stream: Stream,
    client: Client,
    path: String,
    authorization: Option<String>,
}

/// The line in front of a document.
#[derive(Serialize)]
struct Action<'a> {
    create: Create<'a>,
}

#[derive(Serialize)]
struct Create<'a> {
    #[serde(rename = "_id")]
    id: &'a str,
}

/// The answer to a batch.
#[derive(Deserialize)]
struct Bulk {
    errors: bool,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    create: Done,
}

#[derive(Deserialize)]
struct Done {
    status: u16,
    error: Option<Failed>,
}

#[derive(Deserialize)]
struct Failed {
    #[serde(default)]
    r#type: String,
    reason: Option<String>,
    caused_by: Option<Box<Failed>>,
}

impl Index {
    /// Checks what the URL says and reads who we are there.
    ///
    /// # Errors
    /// Something in it is not right, or what is needed of files and the environment does not go together.
    pub(super) fn new(stream: Stream, remote: &Remote) -> Result<Self, DeliveryError> {
        let wrong = |what: &str| DeliveryError::Usage(format!("'{remote}': {what}"));
        let (before, name) = match remote.path.rsplit_once('/') {
            Some((before, name)) => (format!("/{before}"), name),
            None => (String::new(), remote.path.as_str()),
        };
        if !is_name(name) {
            return Err(wrong(
                "the name of an index, an alias or a data stream stands behind the port, such as dnsterrier-events: small letters, digits, and -._+ not at its beginning",
            ));
        }
        let mut path =
            format!("{before}/{name}/_bulk?filter_path=errors,items.*.status,items.*.error");
        if let Some(pipeline) = remote.option("pipeline") {
            if !pipeline
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || b"-._".contains(&it))
            {
                return Err(wrong(
                    "pipeline is the name of one: letters, digits and -._",
                ));
            }
            path.push_str(&format!("&pipeline={pipeline}"));
        }
        let timeout = super::timeout(remote)?.unwrap_or(TIMEOUT);
        Ok(Self {
            stream,
            client: Client::new(remote, timeout)?,
            path,
            authorization: authorization(remote)?,
        })
    }

    /// The documents of a batch, each behind its action.
    fn body(&self, batch: &[Waiting]) -> Vec<u8> {
        let mut body = Vec::new();
        for waiting in batch {
            let Some(letter) = open(self.stream, &waiting.line) else {
                continue;
            };
            let action = Action {
                create: Create {
                    id: &letter.label.id,
                },
            };
            // Writing to memory does not fail.
            serde_json::to_writer(&mut body, &action).ok();
            body.push(b'\n');
            let document = letter.record.get();
            match (letter.words, &letter.label.time) {
                // A data stream takes no document without it, and only ECS has it.
                (words, Some(time)) if words != Some("ecs") => {
                    body.extend_from_slice(b"{\"@timestamp\":");
                    serde_json::to_writer(&mut body, time).ok();
                    let rest = document.trim_start().strip_prefix('{').unwrap_or("}");
                    if !rest.trim_start().starts_with('}') {
                        body.push(b',');
                    }
                    body.extend_from_slice(rest.as_bytes());
                }
                _ => body.extend_from_slice(document.as_bytes()),
            }
            body.push(b'\n');
        }
        body
    }
}

impl Destination for Index {
    fn send(&mut self, batch: &[Waiting], _wait: &dyn Fn(Duration) -> bool) -> Answer {
        let mut headers = vec![
            ("Content-Type", "application/x-ndjson"),
            ("Content-Encoding", "gzip"),
        ];
        if let Some(authorization) = &self.authorization {
            headers.push(("Authorization", authorization));
        }
        let body = gzip(&self.body(batch));
        let (reply, answer) = match self.client.ask(&self.path, &headers, &body) {
            Ok(answered) => answered,
            Err(why) => return Answer::Later { why, after: None },
        };
        let Some(answer) = answer else {
            return refusal(&reply);
        };
        let mut bytes = Vec::new();
        if let Err(error) = answer.take(ANSWER).read_to_end(&mut bytes) {
            return Answer::Later {
                why: format!("its answer broke off: {error}"),
                after: None,
            };
        }
        let Some(bulk) = serde_json::from_slice::<Bulk>(&bytes)
            .ok()
            .filter(|bulk| bulk.items.len() == batch.len())
        else {
            let said = Reply {
                body: bytes,
                ..reply
            };
            return Answer::Shut {
                why: format!("{}: no answer of the bulk API", said.told()),
            };
        };
        if !bulk.errors {
            return Answer::Taken;
        }
        Answer::Each(bulk.items.iter().map(|item| fate(&item.create)).collect())
    }
}

/// What became of one document.
fn fate(done: &Done) -> Fate {
    let error = done.error.as_ref();
    let why = || match error {
        Some(error) => format!("{}: {}", done.status, error.told()),
        None => format!("it answered {} for a document", done.status),
    };
    let is_of_the_index = error.is_some_and(|error| {
        NOT_THE_DOCUMENT.contains(&error.r#type.as_str())
            || error.reason.as_ref().is_some_and(|reason| {
                NOT_THE_DOCUMENT_SAID
                    .iter()
                    .any(|words| reason.contains(words))
            })
    });
    match done.status {
        200..=299 => Fate::Taken,
        // One of this identity is there.
        409 => Fate::Taken,
        408 | 429 | 500..=599 => Fate::Later(why()),
        401 | 403 | 404 => Fate::Shut(why()),
        _ if is_of_the_index => Fate::Shut(why()),
        _ => Fate::Refused(why()),
    }
}

/// What an answer means that is not 200.
fn refusal(reply: &Reply) -> Answer {
    let why = reply.told();
    match reply.status {
        _ if reply.is_passing() => Answer::Later {
            why,
            after: reply.after,
        },
        // Too much at once. A document that is at fault has its own answer, and so a 400 for all of them speaks of none.
        413 => Answer::Refused { why, suspect: None },
        _ => Answer::Shut { why },
    }
}

impl Failed {
    /// The kind, the reason, and what was at the bottom of it.
    fn told(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or_default();
        let mut text = format!("{}: {reason}", self.r#type);
        if let Some(cause) = self.caused_by.as_ref().and_then(|it| it.reason.as_ref()) {
            text.push_str(&format!(" ({cause})"));
        }
        super::one_line(&text, 1_000)
    }
}

/// Who we are, as the server wants to hear it: a key, or user and password; nothing where there is neither.
fn authorization(remote: &Remote) -> Result<Option<String>, DeliveryError> {
    let key = secret::read(remote, "api_key_file", "DNSTERRIER_ES_API_KEY")?;
    let user = secret::read(remote, "user_file", "DNSTERRIER_ES_USER")?;
    let password = secret::read(remote, "password_file", "DNSTERRIER_ES_PASSWORD")?;
    match (key, user, password) {
        (None, None, None) => Ok(None),
        // As the server printed it: encoded, or the two parts of it.
        (Some(key), None, None) if key.contains(':') => {
            Ok(Some(format!("ApiKey {}", BASE64.encode(key.as_bytes()))))
        }
        (Some(key), None, None) => Ok(Some(format!("ApiKey {key}"))),
        (None, Some(user), Some(password)) => {
            let both = format!("{user}:{password}");
            Ok(Some(format!("Basic {}", BASE64.encode(both.as_bytes()))))
        }
        (Some(_), ..) => Err(DeliveryError::Usage(format!(
            "'{remote}' has a key and also a user or a password: give one of them (DNSTERRIER_ES_API_KEY or api_key_file; DNSTERRIER_ES_USER and DNSTERRIER_ES_PASSWORD, or user_file and password_file)"
        ))),
        (None, ..) => Err(DeliveryError::Usage(format!(
            "'{remote}' needs a user and a password, and has one of them: DNSTERRIER_ES_USER and DNSTERRIER_ES_PASSWORD, or files that ?user_file=FILE&password_file=FILE name"
        ))),
    }
}

/// Whether an index, an alias or a data stream can be called so.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.starts_with(['-', '_', '+', '.'])
        && name
            .bytes()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-._+".contains(&it))
}
