//! An HTTP Event Collector that does what Splunk's does, and misbehaves when it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use crate::http;

/// The token that it knows.
pub(crate) const TOKEN: &str = "5d1f7a9e-0000-4000-8000-000000000001";

/// Who a server says that it is, over TLS.
pub(crate) fn with_certificate(certificate: &Path, key: &Path) -> Arc<rustls::ServerConfig> {
    let certificates = CertificateDer::pem_file_iter(certificate)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    Arc::new(config)
}

/// What it does with a request for events instead of taking it.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Answers so, with that header.
    Answer(u16, Value, &'static str),
    /// Takes the events, and says so to nobody.
    TakeAndCut,
    /// Closes the connection in the middle of the body.
    CutInBody,
    /// Does not answer at all, and does not take them.
    Silent,
    /// Takes them, and never acknowledges them.
    NeverAcknowledge,
}

/// A predicate that the events have to satisfy.
type Valid = fn(&Value) -> bool;

#[derive(Default)]
struct State {
    /// What it has, as it came.
    events: Vec<Value>,
    faults: VecDeque<Fault>,
    /// What it does for ever.
    always: Option<Fault>,
    valid: Option<Valid>,
    /// Whether it says which event is not valid.
    names_the_invalid: bool,
    acknowledges: bool,
    /// The acknowledgements that it knows, and whether it has answered with true.
    acks: BTreeMap<u64, bool>,
    requests: usize,
    channels: Vec<String>,
}

/// A collector that listens on the loopback interface.
#[derive(Clone)]
pub(crate) struct Collector {
    port: u16,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let collector = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::default(),
        };
        collector.with(|state| state.names_the_invalid = true);
        let served = collector.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let served = served.clone();
                std::thread::spawn(move || served.serve(connection));
            }
        });
        collector
    }

    /// Its URL, with these options.
    pub(crate) fn url(&self, options: &str) -> String {
        format!("hec+http://127.0.0.1:{}{options}", self.port)
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.0.lock().unwrap();
        let done = act(&mut state);
        self.state.1.notify_all();
        done
    }

    pub(crate) fn will(&self, faults: impl IntoIterator<Item = Fault>) {
        self.with(|state| state.faults.extend(faults));
    }

    pub(crate) fn will_always(&self, fault: Option<Fault>) {
        self.with(|state| state.always = fault);
    }

    pub(crate) fn acknowledges(&self) {
        self.with(|state| state.acknowledges = true);
    }

    pub(crate) fn wants(&self, valid: Valid, names_the_invalid: bool) {
        self.with(|state| {
            state.valid = Some(valid);
            state.names_the_invalid = names_the_invalid;
        });
    }

    /// What came, as it came.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.with(|state| state.events.clone())
    }

    pub(crate) fn requests(&self) -> usize {
        self.with(|state| state.requests)
    }

    pub(crate) fn channels(&self) -> Vec<String> {
        self.with(|state| state.channels.clone())
    }

    /// Waits until so many requests came.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        let (state, _) = self
            .state
            .1
            .wait_timeout_while(
                self.state.0.lock().unwrap(),
                Duration::from_secs(60),
                |state| state.requests < count,
            )
            .unwrap();
        assert!(state.requests >= count, "only {} requests", state.requests);
    }

    /// Serves over TLS from now on, too, with this certificate and key; gives the URL.
    pub(crate) fn over_tls(&self, certificate: &Path, key: &Path, options: &str) -> String {
        let config = with_certificate(certificate, key);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = self.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let served = served.clone();
                let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                std::thread::spawn(move || {
                    served.serve(rustls::StreamOwned::new(session, connection))
                });
            }
        });
        format!("hec+https://127.0.0.1:{port}{options}")
    }

    fn serve(&self, connection: impl Read + Write) -> Option<()> {
        let mut reader = BufReader::new(connection);
        loop {
            let (path, headers) = http::head(&mut reader)?;
            let length: usize = headers.get("content-length")?.parse().unwrap();
            let is_events = path == "/services/collector/event";
            let fault = is_events
                .then(|| {
                    self.with(|state| {
                        state.requests += 1;
                        state.faults.pop_front().or(state.always.clone())
                    })
                })
                .flatten();
            if matches!(fault, Some(Fault::CutInBody)) {
                let mut half = vec![0; length / 2];
                reader.read_exact(&mut half).ok()?;
                return None;
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let (status, answer, header) = match &fault {
                Some(Fault::Answer(status, answer, header)) => (*status, answer.clone(), *header),
                Some(Fault::Silent) => {
                    // Until the other side has enough.
                    reader.read_line(&mut String::new()).ok()?;
                    return None;
                }
                _ => {
                    let (status, answer) = self.answer(&path, &headers, &body, &fault);
                    (status, answer, "")
                }
            };
            if matches!(fault, Some(Fault::TakeAndCut)) {
                return None;
            }
            http::answer(reader.get_mut(), status, header, &answer.to_string())?;
        }
    }

    fn answer(
        &self,
        path: &str,
        headers: &BTreeMap<String, String>,
        body: &[u8],
        fault: &Option<Fault>,
    ) -> (u16, Value) {
        if headers.get("authorization") != Some(&format!("Splunk {TOKEN}")) {
            return (403, json!({"text": "Invalid token", "code": 4}));
        }
        let channel = headers.get("x-splunk-request-channel");
        self.with(|state| {
            if state.acknowledges {
                match channel {
                    None => return (400, json!({"text": "Data channel is missing", "code": 10})),
                    Some(channel) => state.channels.push(channel.clone()),
                }
            }
            match path {
                "/services/collector/ack" => {
                    let question: Value = serde_json::from_slice(body).unwrap();
                    let answers: BTreeMap<String, bool> = question["acks"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|id| {
                            let known = state.acks.get(&id.as_u64().unwrap());
                            (id.to_string(), known.copied().unwrap_or(false))
                        })
                        .collect();
                    (200, json!({ "acks": answers }))
                }
                "/services/collector/event" => {
                    assert_eq!(headers["content-encoding"], "gzip");
                    let mut text = String::new();
                    flate2::read::MultiGzDecoder::new(body)
                        .read_to_string(&mut text)
                        .unwrap();
                    let events: Vec<Value> = serde_json::Deserializer::from_str(&text)
                        .into_iter()
                        .map(Result::unwrap)
                        .collect();
                    if let Some(valid) = state.valid
                        && let Some(place) = events.iter().position(|it| !valid(&it["event"]))
                    {
                        let mut answer = json!({"text": "Invalid data format", "code": 6});
                        if state.names_the_invalid {
                            answer["invalid-event-number"] = json!(place);
                        }
                        return (400, answer);
                    }
                    state.events.extend(events);
                    let mut answer = json!({"text": "Success", "code": 0});
                    if state.acknowledges {
                        let id = state.acks.len() as u64;
                        let will = !matches!(fault, Some(Fault::NeverAcknowledge));
                        state.acks.insert(id, will);
                        answer["ackId"] = json!(id);
                    }
                    (200, answer)
                }
                _ => (
                    404,
                    json!({"text": "The requested URL was not found", "code": 404}),
                ),
            }
        })
    }
}
