//! Splunk's HTTP Event Collector.
//!
//! Events go one after another, compressed; with `ack=true` they count as delivered when an indexer says that it has them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::destination::{Answer, Destination};
use super::http::{Client, Reply, gzip};
use super::segment::Waiting;
use super::{DeliveryError, secret};
use crate::sink::envelope::open;
use crate::sink::{Remote, Stream};
use crate::time::Timestamp;

const EVENT: &str = "/services/collector/event";
const ACK: &str = "/services/collector/ack";
/// How long it may take from a request to its answer, and then to its acknowledgement, where `timeout=` says nothing.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is asked whether the events are indexed: at first, and at last.
const POLL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Codes that speak of the token, the index or the set-up, and not of the events: 1 to 4 the token, 7 the index, 10, 11 and 14
/// the channel and acknowledgement, 16 a channel in the URL.
const NOT_THE_EVENTS: [u64; 9] = [1, 2, 3, 4, 7, 10, 11, 14, 16];

/// A collector that takes one stream.
#[derive(Debug)]
pub(super) struct Hec {
    stream: Stream,
    client: Client,
    authorization: String,
    /// The channel of the acknowledgements, where they are asked for.
    channel: Option<String>,
    timeout: Duration,
    index: Option<String>,
    source: Option<String>,
    sourcetype: Option<String>,
}

/// An event as the collector takes it.
#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    sourcetype: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<&'a str>,
    event: &'a RawValue,
}

/// What the collector says.
#[derive(Default, Deserialize)]
struct Code {
    code: Option<u64>,
    #[serde(rename = "invalid-event-number")]
    invalid: Option<usize>,
    #[serde(rename = "ackId")]
    ack: Option<u64>,
}

#[derive(Deserialize)]
struct Acks {
    #[serde(default)]
    acks: std::collections::BTreeMap<String, bool>,
}

impl Hec {
    /// Checks what the URL says and reads the token.
    ///
    /// # Errors
    /// There is no token, or something in the URL is not right.
    pub(super) fn new(stream: Stream, remote: &Remote) -> Result<Self, DeliveryError> {
        let wrong = |what: &str| DeliveryError::Usage(format!("'{remote}': {what}"));
        if !matches!(
            remote.path.as_str(),
            "" | "services/collector" | "services/collector/event"
        ) {
            return Err(wrong(
                "nothing stands behind the port: the collector's path is known",
            ));
        }
        let acknowledged = super::flag(remote, "ack")?;
        let timeout = super::timeout(remote)?.unwrap_or(TIMEOUT);
        let token = secret::read(remote, "token_file", "DNSTERRIER_HEC_TOKEN")?.ok_or_else(|| {
            DeliveryError::Usage(format!(
                "'{remote}' needs a token: put it into the environment variable DNSTERRIER_HEC_TOKEN, or into a file that ?token_file=FILE names"
            ))
        })?;
        Ok(Self {
            stream,
            client: Client::new(remote, timeout)?,
            authorization: format!("Splunk {token}"),
            channel: acknowledged.then(channel),
            timeout,
            index: remote.option("index").map(str::to_owned),
            source: remote.option("source").map(str::to_owned),
            sourcetype: remote.option("sourcetype").map(str::to_owned),
        })
    }

    fn post(&self, path: &str, body: &[u8]) -> Result<Reply, String> {
        let mut headers = vec![
            ("Authorization", self.authorization.as_str()),
            ("Content-Type", "application/json"),
        ];
        if path == EVENT {
            headers.push(("Content-Encoding", "gzip"));
        }
        if let Some(channel) = &self.channel {
            headers.push(("X-Splunk-Request-Channel", channel));
        }
        self.client.post(path, &headers, body)
    }

    /// The events of a batch, one after another.
    fn body(&self, batch: &[Waiting]) -> Vec<u8> {
        let mut body = Vec::new();
        for waiting in batch {
            let Some(letter) = open(self.stream, &waiting.line) else {
                continue;
            };
            let own = format!("dnsterrier:{}", singular(self.stream));
            let sourcetype = match (&self.sourcetype, letter.words) {
                (Some(sourcetype), _) => sourcetype.clone(),
                (None, None) => own,
                (None, Some(words)) => format!("{own}:{words}"),
            };
            let label = &letter.label;
            let envelope = Envelope {
                time: label.time.as_deref().and_then(epoch),
                host: label.host.as_deref(),
                source: self.source.as_deref().or(label.source.as_deref()),
                sourcetype: &sourcetype,
                index: self.index.as_deref(),
                event: letter.record,
            };
            // Writing to memory does not fail.
            serde_json::to_writer(&mut body, &envelope).ok();
        }
        body
    }

    /// Waits until the collector says that the events are indexed.
    fn acknowledged(&self, id: u64, wait: &dyn Fn(Duration) -> bool) -> Answer {
        let question = format!("{{\"acks\":[{id}]}}");
        let (mut step, mut waited) = (POLL.0, Duration::ZERO);
        let mut trouble = String::new();
        while waited < self.timeout {
            match self.post(ACK, question.as_bytes()) {
                Ok(reply) if reply.status == 200 => {
                    let acks = serde_json::from_slice::<Acks>(&reply.body).ok();
                    if acks.is_some_and(|it| it.acks.get(&id.to_string()) == Some(&true)) {
                        return Answer::Taken;
                    }
                }
                Ok(reply) if reply.is_passing() => trouble = reply.told(),
                Ok(reply) => {
                    return Answer::Shut {
                        why: format!("asked for an acknowledgement, {}", reply.told()),
                    };
                }
                Err(error) => trouble = error,
            }
            if !wait(step) {
                break;
            }
            waited += step;
            step = (step * 2).min(POLL.1);
        }
        Answer::Later {
            why: format!(
                "it did not acknowledge the events within {} s{}",
                self.timeout.as_secs(),
                if trouble.is_empty() {
                    trouble
                } else {
                    format!(" ({trouble})")
                }
            ),
            after: None,
        }
    }
}

impl Destination for Hec {
    fn send(&mut self, batch: &[Waiting], wait: &dyn Fn(Duration) -> bool) -> Answer {
        let reply = match self.post(EVENT, &gzip(&self.body(batch))) {
            Ok(reply) => reply,
            Err(why) => return Answer::Later { why, after: None },
        };
        let said: Code = serde_json::from_slice(&reply.body).unwrap_or_default();
        let why = reply.told();
        match (reply.status, said.code) {
            (200, Some(0)) => match (&self.channel, said.ack) {
                (None, _) => Answer::Taken,
                (Some(_), Some(id)) => self.acknowledged(id, wait),
                (Some(_), None) => Answer::Shut {
                    why: format!("{why}; no ackId: is acknowledgement switched on for this token?"),
                },
            },
            // Whatever says 200 and nothing else is something in between.
            (200, _) => Answer::Shut { why },
            _ if reply.is_passing() => Answer::Later {
                why,
                after: reply.after,
            },
            (_, Some(code)) if NOT_THE_EVENTS.contains(&code) => Answer::Shut { why },
            (400 | 413 | 422, _) => Answer::Refused {
                why,
                suspect: said.invalid,
            },
            (status, Some(_)) if (400..500).contains(&status) && status != 401 && status != 403 => {
                Answer::Refused {
                    why,
                    suspect: said.invalid,
                }
            }
            // The token, a redirection, a path that is not there: nobody's event is at fault.
            _ => Answer::Shut { why },
        }
    }
}

/// What one record of a stream is called.
fn singular(stream: Stream) -> &'static str {
    match stream {
        Stream::Rows => "row",
        Stream::Hits => "hit",
        Stream::Sources => "source",
        Stream::Risk => "risk",
        Stream::Events => "dns",
        Stream::Sensors => "sensor",
    }
}

/// A time as seconds since 1970, with its decimals.
fn epoch(time: &str) -> Option<Box<RawValue>> {
    let nanos = Timestamp::parse(time).ok()?.as_nanos();
    let (seconds, rest) = (
        nanos.div_euclid(1_000_000_000),
        nanos.rem_euclid(1_000_000_000),
    );
    let digits = match rest % 1_000 {
        0 => format!("{:06}", rest / 1_000),
        _ => format!("{rest:09}"),
    };
    RawValue::from_string(format!("{seconds}.{digits}")).ok()
}

/// A channel of our own: a random UUID (RFC 9562, version 4).
fn channel() -> String {
    let keys = ahash::RandomState::new();
    let [high, low] = [1_u8, 2].map(|part| keys.hash_one(part));
    let (high, low) = (high & !0xf000 | 0x4000, low & !(3 << 62) | 1 << 63);
    let text = format!("{high:016x}{low:016x}");
    let parts =
        [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| text.get(part).unwrap_or_default());
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_digits() {
        let of = |text: &str| epoch(text).map(|it| it.get().to_owned());
        assert_eq!(
            of("2026-01-02T03:04:05.000006Z").as_deref(),
            Some("1767323045.000006")
        );
        assert_eq!(
            of("1970-01-01T00:00:00.000000001Z").as_deref(),
            Some("0.000000001")
        );
        assert_eq!(of("never"), None);
    }

    #[test]
    fn a_channel_is_a_uuid_and_no_other_has_it() {
        let (one, other) = (channel(), channel());
        assert_ne!(one, other);
        let lengths: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(one.chars().nth(14), Some('4'));
    }
}
