//! Elasticsearch and OpenSearch: documents, each once, whatever the bulk API says of some of them.
//!
//! No such server can be had as a package. This one answers as the API's documentation has it:
//! <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk> (request, `items`, `errors`),
//! <https://www.elastic.co/docs/reference/elasticsearch/rest-apis/common-options> (`filter_path`),
//! <https://www.elastic.co/docs/manage-data/data-store/data-streams/use-data-stream> (`create` alone, `@timestamp`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::common::{dnsterrier, file, json_lines, stderr, stdout};
use crate::http;
use crate::run::{Desk, capture, expected, succeeds, written};

/// What it does with a request instead of taking it.
enum Fault {
    /// Answers so, with that header.
    Answer(u16, Value, &'static str),
    /// Takes the documents, and says so to nobody.
    TakeAndCut,
}

/// What is wrong with a document, which comes for so manieth time: a status and an error.
type Judge = fn(&Value, usize) -> Option<(u16, Value)>;

#[derive(Default)]
struct State {
    /// The documents of each index, by `_id`.
    indices: BTreeMap<String, BTreeMap<String, Value>>,
    faults: VecDeque<Fault>,
    judge: Option<Judge>,
    /// How often each id came.
    came: BTreeMap<String, usize>,
    /// How many documents each request had.
    requests: Vec<usize>,
    authorization: Option<&'static str>,
    /// What is longer is too long.
    longest: Option<usize>,
}

#[derive(Clone)]
struct Server {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::default(),
        };
        let served = server.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let served = served.clone();
                std::thread::spawn(move || served.serve(connection));
            }
        });
        server
    }

    fn url(&self, index: &str) -> String {
        format!("es+http://127.0.0.1:{}/{index}", self.port)
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap())
    }

    fn documents(&self, index: &str) -> BTreeMap<String, Value> {
        self.with(|state| state.indices.get(index).cloned().unwrap_or_default())
    }

    fn requests(&self) -> Vec<usize> {
        self.with(|state| state.requests.clone())
    }

    fn serve(&self, connection: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(connection);
        loop {
            let (path, headers) = http::head(&mut reader)?;
            let mut body = vec![0; headers.get("content-length")?.parse().unwrap()];
            reader.read_exact(&mut body).ok()?;
            let fault = self.with(|state| state.faults.pop_front());
            let (status, answer, header) = match &fault {
                Some(Fault::Answer(status, answer, header)) => (*status, answer.clone(), *header),
                _ => {
                    let (status, answer) = self.answer(&path, &headers, &body);
                    (status, answer, "")
                }
            };
            if matches!(fault, Some(Fault::TakeAndCut)) {
                return None;
            }
            http::answer(reader.get_mut(), status, header, &answer.to_string())?;
        }
    }

    fn answer(&self, path: &str, headers: &BTreeMap<String, String>, body: &[u8]) -> (u16, Value) {
        assert_eq!(headers["content-type"], "application/x-ndjson");
        assert_eq!(headers["content-encoding"], "gzip");
        let (path, query) = path.split_once('?').unwrap();
        let index = path
            .strip_prefix('/')
            .unwrap()
            .strip_suffix("/_bulk")
            .unwrap();
        assert!(
            query
                .split('&')
                .any(|it| it == "filter_path=errors,items.*.status,items.*.error")
        );
        let mut text = String::new();
        flate2::read::GzDecoder::new(body)
            .read_to_string(&mut text)
            .unwrap();
        assert!(
            text.ends_with('\n'),
            "the last line, too, ends with a line feed"
        );
        self.with(|state| {
            if let Some(wanted) = state.authorization
                && headers.get("authorization").map(String::as_str) != Some(wanted)
            {
                let reason = "unable to authenticate user [elastic] for REST request";
                return (401, json!({"error": {"type": "security_exception", "reason": reason}, "status": 401}));
            }
            if state.longest.is_some_and(|longest| text.len() > longest) {
                // By Netty, without a body of Elasticsearch's.
                return (413, json!({}));
            }
            let mut lines = text.lines();
            let (mut items, mut errors) = (Vec::new(), false);
            while let Some(action) = lines.next() {
                let action: Value = serde_json::from_str(action).unwrap();
                let document: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
                let id = action["create"]["_id"].as_str().unwrap().to_owned();
                assert!(!id.is_empty() && id.len() <= 512);
                let times = state.came.entry(id.clone()).or_default();
                *times += 1;
                let bad = state.judge.and_then(|judge| judge(&document, *times));
                let documents = state.indices.entry(index.to_owned()).or_default();
                let done = match bad {
                    Some((status, error)) => json!({"status": status, "error": error}),
                    None if !document["@timestamp"].is_string() => json!({
                        "status": 400,
                        "error": {"type": "document_parsing_exception", "reason": "[1:2] data stream timestamp field [@timestamp] is missing"},
                    }),
                    None if documents.contains_key(&id) => {
                        assert_eq!(documents[&id], document, "two with one id");
                        json!({"status": 409, "error": {
                            "type": "version_conflict_engine_exception",
                            "reason": format!("[{id}]: version conflict, document already exists (current version [1])"),
                            "index_uuid": "aAsFqTI0Tc2W0LCWgPNrOA", "shard": "0", "index": index,
                        }})
                    }
                    None => {
                        documents.insert(id, document);
                        json!({"status": 201})
                    }
                };
                errors |= done.get("error").is_some();
                items.push(json!({"create": done}));
            }
            state.requests.push(items.len());
            (200, json!({"errors": errors, "items": items}))
        })
    }
}

/// The events of a capture by their id, as a file has them in ECS.
fn in_ecs(name: &str) -> BTreeMap<String, Value> {
    written(&capture(name), &["--event-format", "ecs"])
        .into_iter()
        .map(|it| (it["event"]["id"].as_str().unwrap().to_owned(), it))
        .collect()
}

#[test]
fn every_event_is_a_document_of_ecs_under_its_id() {
    let (server, desk) = (Server::start(), Desk::new());
    let output = desk.replay(
        &capture("ngrok.pcap"),
        &server.url("dnsterrier-events"),
        &[],
    );
    succeeds(&output);
    let documents = server.documents("dnsterrier-events");
    assert_eq!(documents, in_ecs("ngrok.pcap"));
    assert_eq!(desk.delivery()["delivered"], documents.len());
    assert!(stderr(&output).contains(&format!("{} delivered.", documents.len())));
}

#[test]
fn what_comes_again_is_there_already() {
    let (server, desk) = (Server::start(), Desk::new());
    let ngrok = capture("ngrok.pcap");
    let url = server.url("all");
    let streams = ["--rows", "--hits", "--sources", "--risk", "--events"];
    let mut arguments = vec!["replay", ngrok.to_str().unwrap(), "-q"];
    let mut counts = Vec::new();
    for stream in streams {
        arguments.extend([stream, &url]);
        let mut plain = vec!["replay", ngrok.to_str().unwrap(), "-q", "--format", "jsonl"];
        if stream != "--rows" {
            plain.extend(["--rows", "none"]);
        }
        counts.push(json_lines(&stdout(&dnsterrier(plain.into_iter().chain([stream, "-"])))).len());
    }
    succeeds(&desk.run(&arguments));
    let documents = server.documents("all");
    assert!(counts.iter().all(|it| *it > 0), "{counts:?}");
    assert_eq!(documents.len(), counts.iter().sum::<usize>(), "{counts:?}");
    // Hits of one event differ, and say which rule it was.
    let alerts = documents.iter().filter(|(_, it)| {
        it["event"]["kind"] == "alert" && it["event"]["dataset"] == "dnsterrier.dns"
    });
    assert!(alerts.clone().all(
        |(id, it)| id.starts_with(it["event"]["id"].as_str().unwrap())
            && it["rule"]["name"].is_string()
    ));
    assert_eq!(alerts.count(), counts[1]);
    let stats = desk.path("stats.json");
    arguments.extend(["--stats", stats.to_str().unwrap()]);
    succeeds(&desk.run(&arguments));
    let stats: Value = serde_json::from_str(&std::fs::read_to_string(stats).unwrap()).unwrap();
    for delivery in stats["deliveries"].as_array().unwrap() {
        let is_its = |option: &&str| option[2..] == delivery["stream"];
        let place = streams.iter().position(is_its).unwrap();
        assert_eq!(delivery["delivered"], counts[place], "{delivery}");
        assert_eq!(delivery["refused"], 0, "{delivery}");
    }
    assert_eq!(server.documents("all"), documents);
    assert_eq!(server.requests().iter().sum::<usize>(), documents.len() * 2);
}

/// Busy with every third name, for two attempts.
fn busy(document: &Value, times: usize) -> Option<(u16, Value)> {
    let name = document["dns"]["question"]["name"].as_str()?;
    let status = [429, 503][times % 2];
    (name.len() % 3 == 0 && times <= 2).then(|| {
        (status, json!({
            "type": "es_rejected_execution_exception",
            "reason": "rejected execution of coordinating operation [coordinating_and_primary_bytes=0, ...]",
        }))
    })
}

#[test]
fn documents_for_which_it_is_too_busy_are_sent_again_alone() {
    let (server, desk) = (Server::start(), Desk::new());
    server.with(|state| state.judge = Some(busy));
    let output = desk.replay(&capture("ngrok.pcap"), &server.url("events"), &[]);
    succeeds(&output);
    let documents = in_ecs("ngrok.pcap");
    assert_eq!(server.documents("events"), documents);
    let again = documents
        .values()
        .filter(|it| busy(it, 1).is_some())
        .count();
    assert!(again > 0 && again < documents.len());
    assert_eq!(
        server.requests().iter().sum::<usize>(),
        documents.len() + again * 2,
        "{:?}",
        server.requests()
    );
    let delivery = desk.delivery();
    assert_eq!(delivery["delivered"], documents.len());
    assert!(delivery["retried"].as_u64().unwrap() >= 2, "{delivery}");
    assert!(
        stderr(&output).contains("rejected execution"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("takes events again"),
        "{}",
        stderr(&output)
    );
}

/// Some are not as the mapping has it, some others come too early.
fn unmapped(document: &Value, times: usize) -> Option<(u16, Value)> {
    let name = document["dns"]["question"]["name"].as_str()?;
    if name == "tunnel.eu.ngrok.com" {
        return Some((
            400,
            json!({
                "type": "document_parsing_exception",
                "reason": "[1:321] failed to parse field [source.ip] of type [long] in document with id 'x'. Preview of field's value: '10.9.0.18'",
                "caused_by": {"type": "illegal_argument_exception", "reason": "For input string: \"10.9.0.18\""},
            }),
        ));
    }
    busy(document, times)
}

#[test]
fn documents_that_do_not_fit_are_put_aside_with_the_reason() {
    let (server, desk) = (Server::start(), Desk::new());
    server.with(|state| state.judge = Some(unmapped));
    let output = desk.replay(&capture("ngrok.pcap"), &server.url("events"), &[]);
    succeeds(&output);
    let (good, bad): (BTreeMap<_, _>, BTreeMap<_, _>) = in_ecs("ngrok.pcap")
        .into_iter()
        .partition(|(_, it)| unmapped(it, 3).is_none());
    assert!(bad.len() > 1, "{}", bad.len());
    assert_eq!(server.documents("events"), good);
    let letters = json_lines(&std::fs::read_to_string(desk.spool().join("refused.jsonl")).unwrap());
    assert_eq!(letters.len(), bad.len());
    for letter in &letters {
        let why = letter["why"].as_str().unwrap();
        assert!(
            why.contains("failed to parse field [source.ip]") && why.contains("For input string"),
            "{why}"
        );
        let id = letter["record"]["label"]["id"].as_str().unwrap();
        assert_eq!(letter["record"]["record"], bad[id]);
    }
    let delivery = desk.delivery();
    assert_eq!(
        (&delivery["delivered"], &delivery["refused"]),
        (&json!(good.len()), &json!(bad.len()))
    );
}

#[test]
fn a_batch_that_is_too_long_goes_in_parts() {
    let (server, desk) = (Server::start(), Desk::new());
    server.with(|state| state.longest = Some(50_000));
    succeeds(&desk.replay(&capture("ngrok.pcap"), &server.url("events"), &[]));
    assert_eq!(server.documents("events"), in_ecs("ngrok.pcap"));
    assert!(server.requests().len() > 5, "{:?}", server.requests());
}

#[test]
fn faults_that_pass() {
    let unavailable = json!({"error": {"type": "cluster_block_exception", "reason": "blocked by: [SERVICE_UNAVAILABLE/2/no master];"}, "status": 503});
    let many = json!({"error": {"type": "circuit_breaking_exception", "reason": "[parent] Data too large"}, "status": 429});
    for fault in [
        Fault::Answer(503, unavailable, ""),
        Fault::Answer(429, many, "Retry-After: 1"),
        Fault::TakeAndCut,
    ] {
        let (server, desk) = (Server::start(), Desk::new());
        server.with(|state| state.faults.push_back(fault));
        succeeds(&desk.replay(&capture("ngrok.pcap"), &server.url("events"), &[]));
        assert_eq!(server.documents("events"), in_ecs("ngrok.pcap"));
        assert_eq!(desk.delivery()["retried"], 1);
    }
}

#[test]
fn who_is_not_known_keeps_everything() {
    let (server, desk) = (Server::start(), Desk::new());
    // user:s3cret
    server.with(|state| state.authorization = Some("Basic dXNlcjpzM2NyZXQ="));
    let ngrok = capture("ngrok.pcap");
    let url = server.url("events");
    let run = |arguments: &[&str], password: &str| {
        let mut command = desk.command(arguments);
        command
            .env("DNSTERRIER_ES_USER", "user")
            .env("DNSTERRIER_ES_PASSWORD", password);
        command.output().unwrap()
    };
    let output = run(
        &[
            "replay",
            ngrok.to_str().unwrap(),
            "--rows",
            "none",
            "--events",
            &url,
        ],
        "wr0ng",
    );
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("401") && said.contains("unable to authenticate"),
        "{said}"
    );
    assert!(
        said.contains("dnsterrier spool flush") && !said.contains("wr0ng"),
        "{said}"
    );
    assert!(!desk.spool().join("refused.jsonl").exists());
    succeeds(&run(&["spool", "flush"], "s3cret"));
    assert_eq!(server.documents("events"), in_ecs("ngrok.pcap"));
}

#[test]
fn a_key_is_enough() {
    // As Elasticsearch gives it, and in its two parts, in the environment and in a file.
    for (key, wanted) in [
        ("VnVhQ2ZHY0JDZGJrUQ==", "ApiKey VnVhQ2ZHY0JDZGJrUQ=="),
        ("id:key", "ApiKey aWQ6a2V5"),
    ] {
        let (server, desk) = (Server::start(), Desk::new());
        server.with(|state| state.authorization = Some(wanted));
        let path = desk.path("key");
        std::fs::write(&path, format!("{key}\n")).unwrap();
        let url = server.url("events");
        let in_file = format!("{url}?api_key_file={}", path.display());
        let ngrok = capture("ngrok.pcap");
        for (url, variable) in [(&url, key), (&in_file, "")] {
            let arguments = [
                "replay",
                ngrok.to_str().unwrap(),
                "--rows",
                "none",
                "--events",
                url,
            ];
            succeeds(
                &desk
                    .command(&arguments)
                    .env("DNSTERRIER_ES_API_KEY", variable)
                    .output()
                    .unwrap(),
            );
        }
        assert_eq!(server.documents("events"), in_ecs("ngrok.pcap"));
    }
}

fn closed(_: &Value, _: usize) -> Option<(u16, Value)> {
    Some((
        400,
        json!({"type": "index_closed_exception", "reason": "closed", "index": "events"}),
    ))
}

fn full(_: &Value, _: usize) -> Option<(u16, Value)> {
    let reason = "index [events] blocked by: [FORBIDDEN/8/index write (api)];";
    Some((
        403,
        json!({"type": "cluster_block_exception", "reason": reason}),
    ))
}

#[test]
fn an_index_that_takes_nothing_is_not_the_documents_fault() {
    for judge in [closed, full] {
        let (server, desk) = (Server::start(), Desk::new());
        server.with(|state| state.judge = Some(judge));
        let output = desk.replay(&capture("ngrok.pcap"), &server.url("events"), &[]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let delivery = desk.delivery();
        assert_eq!(delivery["left"], expected(&capture("ngrok.pcap")).len());
        assert_eq!(delivery["refused"], 0);
        assert!(
            stderr(&output).contains("as it is set up"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn what_is_wrong_is_said_before_anything_is_read() {
    let desk = Desk::new();
    let ngrok = capture("ngrok.pcap");
    let refused = |url: &str, variables: &[(&str, &str)]| {
        let mut command = desk.command(&["replay", ngrok.to_str().unwrap(), "--events", url]);
        command.envs(variables.iter().copied());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(!desk.spools().exists());
        stderr(&output)
    };
    assert!(refused("es+http://127.0.0.1:1", &[]).contains("the name of an index"));
    assert!(refused("es+http://127.0.0.1:1/Events", &[]).contains("small letters"));
    assert!(refused("es+http://127.0.0.1:1/_all", &[]).contains("the name of an index"));
    let user = ("DNSTERRIER_ES_USER", "u");
    assert!(refused("es+http://127.0.0.1:1/e", &[user]).contains("DNSTERRIER_ES_PASSWORD"));
    let key = ("DNSTERRIER_ES_API_KEY", "k");
    assert!(refused("es+http://127.0.0.1:1/e", &[user, key]).contains("give one of them"));
    assert!(refused("es+http://u:p@127.0.0.1:1/e", &[]).contains("DNSTERRIER_ES_API_KEY"));
    assert!(refused("es+http://127.0.0.1:1/e?pipeline=a%20b", &[]).contains("pipeline"));
}

/// Calls `take` with each value that is no object, with its path in dots; those of lists one by one.
fn each_leaf(path: &str, value: &Value, take: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            let dot = if path.is_empty() { "" } else { "." };
            each_leaf(&format!("{path}{dot}{key}"), value, take);
        }),
        Value::Array(values) => values.iter().for_each(|value| each_leaf(path, value, take)),
        leaf => take(path, leaf),
    }
}

fn json_of(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file(path)).unwrap()).unwrap()
}

/// Every field that comes has, in the template, the type that ECS gives it, and a value of that type.
#[test]
fn the_template_has_every_field_with_its_type() {
    let (template, schema) = (
        json_of("docs/elastic/index-template.json"),
        json_of("tests/formats/ecs.json"),
    );
    let mapped = |path: &str| {
        let mut at = &template["template"]["mappings"];
        for part in path.split('.') {
            at = &at["properties"][part];
        }
        at["type"].as_str().map(str::to_owned)
    };
    let mut seen = BTreeSet::new();
    for name in [
        "ngrok.pcap",
        "vlan.pcap",
        "resolver.dnstap",
        "unanswered.pcap",
        "encrypted.pcap",
    ] {
        let (server, desk) = (Server::start(), Desk::new());
        let (capture, url) = (capture(name), server.url("all"));
        let mut arguments = vec!["replay", capture.to_str().unwrap(), "-q"];
        for stream in ["--rows", "--hits", "--sources", "--risk", "--events"] {
            arguments.extend([stream, &url]);
        }
        succeeds(&desk.run(&arguments));
        for document in server.documents("all").values() {
            each_leaf("", document, &mut |path, value| {
                if let Some(own) = path.strip_prefix("dnsterrier.") {
                    // Others become keywords, whatever they are; but numbers and times are none.
                    let known = mapped(path);
                    let is_time = own.ends_with("Time");
                    assert_eq!(known.as_deref() == Some("date"), is_time, "{path}");
                    if value.is_u64() {
                        assert!(matches!(known.as_deref(), Some("long")), "{path}: {value}");
                    }
                    return;
                }
                let kind = schema["fields"][path]
                    .as_str()
                    .unwrap_or_else(|| panic!("{path} is no field of ECS"));
                let kind = if kind == "match_only_text" {
                    "text"
                } else {
                    kind
                };
                assert_eq!(mapped(path).as_deref(), Some(kind), "{path}");
                let text = value.as_str();
                let fits = match kind {
                    "ip" => text.is_some_and(|it| it.parse::<std::net::IpAddr>().is_ok()),
                    "date" => text.is_some_and(|it| it.parse::<jiff::Timestamp>().is_ok()),
                    "long" => value.is_u64(),
                    "float" => value.is_number(),
                    _ => text.is_some(),
                };
                assert!(fits, "{path} is {kind}: {value}");
                if let Some(allowed) = schema["values"].get(path) {
                    assert!(
                        allowed.as_array().unwrap().contains(value),
                        "{path}: {value}"
                    );
                }
                seen.insert(path.to_owned());
            });
        }
    }
    for path in [
        "event.risk_score",
        "event.severity",
        "message",
        "rule.name",
        "threat.technique.id",
        "related.hosts",
        "network.vlan.id",
    ] {
        assert!(seen.contains(path), "nothing has {path}");
    }
}

#[test]
fn other_words_keep_the_identity() {
    let (server, desk) = (Server::start(), Desk::new());
    let ngrok = capture("ngrok.pcap");
    let url = server.url("events");
    // EVE has one record for each message.
    for (format, at_least) in [("ocsf", 1), ("eve", 2)] {
        for _ in 0..2 {
            succeeds(&desk.replay(&ngrok, &server.url(format), &["--event-format", format]));
        }
        let documents = server.documents(format);
        let output = dnsterrier([
            "replay",
            ngrok.to_str().unwrap(),
            "-q",
            "--rows",
            "none",
            "--events",
            "-",
            "--event-format",
            format,
        ]);
        let mut written = json_lines(&stdout(&output));
        assert!(written.len() >= at_least * expected(&ngrok).len() * 9 / 10);
        let mut came: Vec<Value> = documents
            .into_values()
            .map(|mut it| {
                let time = it
                    .as_object_mut()
                    .unwrap()
                    .shift_remove("@timestamp")
                    .unwrap();
                assert!(time.is_string());
                it
            })
            .collect();
        came.sort_by_key(Value::to_string);
        written.sort_by_key(Value::to_string);
        assert_eq!(came, written, "{format} at {url}");
    }
}
