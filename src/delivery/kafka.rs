//! A topic of Kafka as a place: each record a message, keyed by whom it speaks of.
//!
//! The producer is idempotent: within one run it resends by itself, and the cluster takes a message once. A record counts as
//! delivered when all replicas in sync have its message. What is still under way when an attempt is given up is not sent
//! again by the next one, but waited for.

mod report;
mod settings;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use serde_json::Value;

use super::DeliveryError;
use super::destination::{Answer, Destination};
use super::segment::Waiting;
use crate::sink::envelope::open;
use crate::sink::{Remote, Stream};
use report::{Outcome, Reports};

/// How often it is looked whether waiting is still worth it.
const LOOK: Duration = Duration::from_millis(100);

/// A topic that takes one stream.
pub(super) struct Topic {
    stream: Stream,
    name: String,
    config: ClientConfig,
    timeout: Duration,
    /// Made when it is first needed, and anew where it cannot go on.
    producer: Option<ThreadedProducer<Reports>>,
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The settings have the password.
        write!(f, "Topic({})", self.name)
    }
}

/// Where a source stands: in our words, in ECS, OCSF, EVE and Zeek's.
const SOURCE: [&str; 5] = [
    "/src",
    "/source/ip",
    "/src_endpoint/ip",
    "/src_ip",
    "/id.orig_h",
];

/// A record as a message has it.
#[derive(Debug)]
struct Message<'a> {
    value: &'a str,
    /// What decides the partition: whom a risk event speaks of, else the source. What has neither has its own id, so that it
    /// meets itself when it is sent again.
    key: String,
    sensor: Option<String>,
    id: String,
}

impl<'a> Message<'a> {
    fn new(stream: Stream, line: &'a [u8]) -> Option<Self> {
        let letter = open(stream, line)?;
        let value = letter.record.get();
        let record: Value = serde_json::from_str(value).ok()?;
        let text = |place: &str| Some(record.pointer(place)?.as_str()?.to_owned());
        let id = match letter.words {
            None => text("/event_id").unwrap_or_default(),
            Some(_) => letter.label.id,
        };
        let object = match stream {
            Stream::Risk => text("/risk_object"),
            _ => None,
        };
        Some(Self {
            value,
            key: object
                .or_else(|| SOURCE.into_iter().find_map(text))
                .unwrap_or_else(|| id.clone()),
            sensor: letter.label.host,
            id,
        })
    }

    fn headers(&self, stream: Stream) -> OwnedHeaders {
        let sensor = self.sensor.as_deref().unwrap_or_default();
        [
            ("stream", stream.name()),
            ("sensor", sensor),
            ("event_id", &self.id),
        ]
        .into_iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        })
    }
}

impl Topic {
    /// Checks what the URL says and reads secrets and certificates.
    ///
    /// # Errors
    /// Something in it is not right, or a file cannot be read.
    pub(super) fn new(stream: Stream, remote: &Remote) -> Result<Self, DeliveryError> {
        Ok(Self {
            stream,
            name: settings::topic(remote)?,
            timeout: super::timeout(remote)?.unwrap_or(settings::TIMEOUT),
            config: settings::config(remote)?,
            producer: None,
        })
    }

    /// The producer, which may have to be made.
    fn producer(&mut self) -> Result<&ThreadedProducer<Reports>, String> {
        // One with a fatal error takes nothing any more.
        if self
            .producer
            .as_ref()
            .is_some_and(|it| it.client().fatal_error().is_some())
        {
            self.producer = None;
        }
        match &mut self.producer {
            Some(producer) => Ok(producer),
            none => {
                let made = self.config.create_with_context(Reports::default());
                Ok(none.insert(made.map_err(|error| error.to_string())?))
            }
        }
    }

    /// Hands over what is neither under way nor there yet. What cannot even be handed over has its outcome at once.
    fn hand_over(&mut self, batch: &[Waiting]) -> Result<Arc<Reports>, String> {
        let (stream, name) = (self.stream, self.name.clone());
        let producer = self.producer()?;
        let reports = Arc::clone(producer.client().context());
        let first = batch.first().map_or(0, |it| it.sequence);
        reports.attempt(first);
        for waiting in batch {
            if !reports.begin(waiting.sequence) {
                continue;
            }
            let Some(message) = Message::new(stream, &waiting.line) else {
                reports.end(waiting.sequence, Err(RDKafkaErrorCode::InvalidRecord));
                continue;
            };
            let record = BaseRecord::with_opaque_to(&name, Box::new(waiting.sequence))
                .payload(message.value)
                .key(&message.key)
                .headers(message.headers(stream));
            if let Err((error, _)) = producer.send(record) {
                reports.end(waiting.sequence, Err(code(&error)));
            }
        }
        Ok(reports)
    }

    /// What came of a batch whose messages are no longer under way.
    fn judge(&self, batch: &[Waiting], outcomes: &[Option<Outcome>]) -> Answer {
        let failed = |kind: Kind| {
            let all = outcomes.iter().enumerate();
            all.filter_map(move |(number, outcome)| match outcome {
                Some(Outcome::Failed(code)) if Kind::of(*code) == kind => Some((number, *code)),
                _ => None,
            })
        };
        let mut of_records = failed(Kind::OfTheRecord);
        if let Some((number, code)) = of_records.next() {
            let length = batch.get(number).map_or(0, |it| it.line.len());
            return Answer::Refused {
                why: format!("{} ({length} bytes)", told(code)),
                // Of a batch that is too large as a whole each one says so.
                suspect: of_records.next().is_none().then_some(number),
            };
        }
        if let Some((_, code)) = failed(Kind::OfTheSetup).next() {
            return Answer::Shut {
                why: format!("topic {}: {}", self.name, told(code)),
            };
        }
        if let Some((_, code)) = failed(Kind::Passing).next() {
            return Answer::Later {
                why: told(code),
                after: None,
            };
        }
        Answer::Taken
    }
}

impl Destination for Topic {
    fn send(&mut self, batch: &[Waiting], wait: &dyn Fn(Duration) -> bool) -> Answer {
        let reports = match self.hand_over(batch) {
            Ok(reports) => reports,
            Err(why) => return Answer::Shut { why },
        };
        let numbers = || batch.iter().map(|it| it.sequence);
        let mut left = self.timeout;
        let answer = loop {
            let trouble = reports.wait(numbers(), LOOK.min(left));
            left = left.saturating_sub(LOOK);
            if let Some(outcomes) = reports.outcomes(numbers()) {
                break self.judge(batch, &outcomes);
            }
            if let Some(trouble) = trouble {
                break match trouble.is_shut {
                    true => Answer::Shut { why: trouble.why },
                    false => Answer::Later {
                        why: trouble.why,
                        after: None,
                    },
                };
            }
            if left.is_zero() || !wait(Duration::ZERO) {
                break Answer::Later {
                    why: reports.unanswered(self.timeout),
                    after: None,
                };
            }
        };
        if matches!(answer, Answer::Shut { .. }) {
            // What it knows of the topic, and how it logged in, is asked anew next time.
            self.producer = None;
        }
        answer
    }
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The record's: it will never be taken.
    OfTheRecord,
    /// Nobody's message would be taken, until somebody mends it.
    OfTheSetup,
    /// It may work later.
    Passing,
}

impl Kind {
    const fn of(code: RDKafkaErrorCode) -> Self {
        use RDKafkaErrorCode as Code;
        match code {
            Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidTimestamp
            | Code::InvalidRecord => Self::OfTheRecord,
            Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidTopic
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::InvalidRequiredAcks
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
            | Code::UnsupportedForMessageFormat
            | Code::UnsupportedCompressionType
            | Code::PolicyViolation
            | Code::InvalidConfig => Self::OfTheSetup,
            _ => Self::Passing,
        }
    }
}

/// The code of a failure.
fn code(error: &KafkaError) -> RDKafkaErrorCode {
    error
        .rdkafka_error_code()
        .unwrap_or(RDKafkaErrorCode::Unknown)
}

/// What a code says.
fn told(code: RDKafkaErrorCode) -> String {
    super::one_line(&code.to_string(), super::SAID)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(stream: Stream, line: &str) -> Option<String> {
        Message::new(stream, line.as_bytes()).map(|it| it.key)
    }

    #[test]
    fn the_key_is_whom_the_record_speaks_of() {
        let line = r#"{"src":"10.0.0.1","risk_object":"berlin","event_id":"e"}"#;
        assert_eq!(key(Stream::Risk, line).as_deref(), Some("berlin"));
        assert_eq!(key(Stream::Events, line).as_deref(), Some("10.0.0.1"));
        // Risk events have lists of the rows' fields; a row may have no source.
        let line = r#"{"src":["10.0.0.1"],"event_id":"e"}"#;
        assert_eq!(key(Stream::Rows, line).as_deref(), Some("e"));
        let line = r#"{"src":null,"event_id":"\u0065"}"#;
        assert_eq!(key(Stream::Rows, line).as_deref(), Some("e"));
        assert_eq!(key(Stream::Rows, "no JSON"), None);
    }

    #[test]
    fn in_other_words_the_record_alone_is_the_message() {
        let line =
            r#"{"as":"ecs","label":{"id":"i","host":"h"},"record":{"source":{"ip":"10.0.0.1"}}}"#;
        let message = Message::new(Stream::Events, line.as_bytes()).unwrap();
        assert_eq!(message.value, r#"{"source":{"ip":"10.0.0.1"}}"#);
        assert_eq!(
            (message.key.as_str(), message.id.as_str()),
            ("10.0.0.1", "i")
        );
        assert_eq!(message.sensor.as_deref(), Some("h"));
    }
}
