//! Kafka: brokers that go down and come back, and what they refuse. The cluster is librdkafka's mock of one, over real
//! connections; what it has is read by kafka-python.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::Value;

use crate::common::{file, json_lines, stderr, stdout};
use crate::run::{Desk, by_id, capture, expected, many, succeeds};

const BROKERS: i32 = 3;
const PARTITIONS: i32 = 6;
/// The leader of each partition. The sources of ngrok.pcap come to 2, 4 and 5: so nobody can do without any broker.
const LEADERS: [i32; PARTITIONS as usize] = [1, 2, 1, 3, 2, 3];

struct Cluster {
    mock: MockCluster<'static, DefaultProducerContext>,
}

impl Cluster {
    /// With a topic for each stream.
    fn start() -> Self {
        let mock = MockCluster::new(BROKERS).unwrap();
        for stream in ["rows", "hits", "sources", "risk", "events"] {
            mock.create_topic(stream, PARTITIONS, BROKERS).unwrap();
            // By itself the mock draws lots.
            for (partition, leader) in (0..).zip(LEADERS) {
                mock.partition_leader(stream, partition, Some(leader))
                    .unwrap();
            }
        }
        Self { mock }
    }

    fn url(&self, topic: &str, options: &str) -> String {
        format!("kafka://{}/{topic}{options}", self.mock.bootstrap_servers())
    }

    fn all_down(&self) {
        (1..=BROKERS).for_each(|broker| self.mock.broker_down(broker).unwrap());
    }

    fn all_up(&self) {
        (1..=BROKERS).for_each(|broker| self.mock.broker_up(broker).unwrap());
    }

    /// Each answer takes so long.
    fn takes(&self, span: Duration) {
        for broker in 1..=BROKERS {
            self.mock.broker_round_trip_time(broker, span).unwrap();
        }
    }

    /// Answers the next attempts to write with these errors, one each.
    fn will_fail(&self, errors: &[RDKafkaRespErr]) {
        self.mock.request_errors(RDKafkaApiKey::Produce, errors);
    }

    /// The messages of a topic, as another library reads them.
    fn messages(&self, topic: &str) -> Vec<Value> {
        let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python/bin/python");
        let output = Command::new(&python)
            .arg(file("tests/delivery/read_topic.py"))
            .args([&self.mock.bootstrap_servers(), topic])
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}; scripts/test makes it", python.display()));
        json_lines(&stdout(&output))
    }

    /// The records of a topic by their ids, and how many messages there are.
    fn records(&self, topic: &str) -> (std::collections::BTreeMap<String, Value>, usize) {
        let messages = self.messages(topic);
        let records = messages
            .iter()
            .map(|it| serde_json::from_str(it["value"].as_str().unwrap()).unwrap());
        (by_id(records), messages.len())
    }
}

/// A run whose standard error is read as it goes on.
struct Run {
    child: Child,
    said: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Run {
    fn start(desk: &Desk, arguments: &[&str]) -> Self {
        let mut child = desk
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(String::new()));
        let to = Arc::clone(&said);
        let reader = std::thread::spawn(move || {
            for line in lines {
                let mut said = to.lock().unwrap();
                said.push_str(&line.unwrap());
                said.push('\n');
            }
        });
        Self {
            child,
            said,
            reader,
        }
    }

    /// How often something was said.
    fn times(&self, part: &str) -> usize {
        self.said.lock().unwrap().matches(part).count()
    }

    /// Waits for something that has to come before the run ends.
    fn wait_until(&mut self, what: &str, has_come: impl Fn(&Self) -> bool) {
        while !has_come(self) {
            let said = self.said.lock().unwrap().clone();
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "it ended before {what}: {said}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn ends(mut self) {
        let status = self.child.wait().unwrap();
        self.reader.join().unwrap();
        assert!(status.success(), "{}", self.said.lock().unwrap());
    }
}

fn events<'a>(capture: &'a Path, url: &'a str) -> Vec<&'a str> {
    let capture = capture.to_str().unwrap();
    vec!["replay", capture, "--rows", "none", "--events", url]
}

/// How far the place has the records of a desk's only spool.
fn cursor(desk: &Desk) -> u64 {
    let spools = std::fs::read_dir(desk.spools()).into_iter().flatten();
    let spool = spools.map(|it| it.unwrap().path()).next();
    let path = spool.unwrap_or_default().join("cursor.json");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let cursor: Value = serde_json::from_str(&text).unwrap_or_default();
    cursor["next"].as_u64().unwrap_or_default()
}

#[test]
fn every_stream_has_its_topic() {
    let (cluster, desk) = (Cluster::start(), Desk::new());
    let ngrok = capture("ngrok.pcap");
    let ngrok = ngrok.to_str().unwrap();
    let streams = ["rows", "hits", "sources", "risk", "events"];
    // All of them at once, as they are, and to files.
    let mut arguments = vec!["replay".to_owned(), ngrok.to_owned()];
    for stream in streams {
        arguments.extend([format!("--{stream}"), cluster.url(stream, "")]);
        let path = desk.path(&format!("{stream}.jsonl"));
        arguments.extend([format!("--{stream}"), path.to_str().unwrap().to_owned()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    succeeds(&desk.run(&arguments));
    for stream in streams {
        let mut written: Vec<String> =
            std::fs::read_to_string(desk.path(&format!("{stream}.jsonl")))
                .unwrap()
                .lines()
                .map(str::to_owned)
                .collect();
        let messages = cluster.messages(stream);
        let mut came: Vec<String> = messages
            .iter()
            .map(|it| it["value"].as_str().unwrap().to_owned())
            .collect();
        written.sort();
        came.sort();
        assert!(!written.is_empty(), "{stream}");
        assert_eq!(came, written, "{stream}");
        for message in messages {
            let record: Value = serde_json::from_str(message["value"].as_str().unwrap()).unwrap();
            let key = match stream {
                "risk" => &record["risk_object"],
                _ => &record["src"],
            };
            assert_eq!(message["key"], *key, "{stream}");
            assert_eq!(message["partition"], message["expected"], "{stream}: {key}");
            let headers = &message["headers"];
            assert_eq!(headers["stream"], stream);
            assert_eq!(headers["event_id"], record["event_id"], "{stream}");
            let sensor = match stream {
                "events" | "hits" => &record["host"],
                _ => &record["sensor"],
            };
            assert_eq!(headers["sensor"], *sensor, "{stream}");
        }
    }
}

#[test]
fn each_compression_is_one_that_others_read() {
    let cluster = Cluster::start();
    let ngrok = capture("ngrok.pcap");
    let whole = expected(&ngrok);
    for (topic, compression) in [
        ("rows", "none"),
        ("hits", "gzip"),
        ("sources", "snappy"),
        ("risk", "lz4"),
        ("events", "zstd"),
    ] {
        let desk = Desk::new();
        let options = format!("?compression={compression}");
        succeeds(&desk.replay(&ngrok, &cluster.url(topic, &options), &[]));
        assert_eq!(cluster.records(topic), (whole.clone(), whole.len()));
    }
}

#[test]
fn brokers_go_down_and_come_back_while_records_are_sent() {
    let (cluster, desk) = (Cluster::start(), Desk::new());
    let many = many(&desk, 40);
    cluster.takes(Duration::from_millis(100));
    let url = cluster.url("events", "?timeout=3s");
    let mut run = Run::start(&desk, &events(&many, &url));
    const DOWN: &str = "cannot be reached";
    for broker in 1..=BROKERS {
        let before = cursor(&desk);
        run.wait_until("the next batch", |_| cursor(&desk) > before);
        cluster.mock.broker_down(broker).unwrap();
        // What goes to its partitions waits for it.
        run.wait_until("a broker was missed", |run| {
            run.times(DOWN) > run.times("takes events again")
        });
        cluster.mock.broker_up(broker).unwrap();
        run.wait_until("it was there again", |run| {
            run.times(DOWN) == run.times("takes events again")
        });
    }
    cluster.all_down();
    run.wait_until("all brokers were missed", |run| {
        run.times(DOWN) > run.times("takes events again")
    });
    cluster.all_up();
    cluster.takes(Duration::ZERO);
    run.ends();
    let (records, messages) = cluster.records("events");
    let whole = expected(&many);
    assert_eq!(records.len(), whole.len());
    assert!(records == whole, "not the same records");
    eprintln!("{messages} messages of {} records", whole.len());
}

#[test]
fn what_is_under_way_is_waited_for_and_not_sent_again() {
    let (cluster, desk) = (Cluster::start(), Desk::new());
    // An attempt is given up long before the first message is there.
    cluster.takes(Duration::from_millis(700));
    let ngrok = capture("ngrok.pcap");
    let url = cluster.url("events", "?timeout=200ms");
    succeeds(&desk.replay(&ngrok, &url, &[]));
    assert!(desk.delivery()["retried"].as_u64().unwrap() > 1);
    cluster.takes(Duration::ZERO);
    let whole = expected(&ngrok);
    assert_eq!(cluster.records("events"), (whole.clone(), whole.len()));
}

#[test]
fn what_fails_and_may_work_later_is_sent_again() {
    use RDKafkaRespErr as Code;
    let (cluster, desk) = (Cluster::start(), Desk::new());
    let ngrok = capture("ngrok.pcap");
    cluster.will_fail(&[
        Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        Code::RD_KAFKA_RESP_ERR__TRANSPORT,
        Code::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
        Code::RD_KAFKA_RESP_ERR_UNKNOWN,
    ]);
    succeeds(&desk.replay(&ngrok, &cluster.url("events", ""), &[]));
    let whole = expected(&ngrok);
    let (records, _) = cluster.records("events");
    assert!(records == whole, "not the same records");
    let delivery = desk.delivery();
    assert_eq!(delivery["delivered"], whole.len());
    assert_eq!(delivery["refused"], 0, "{delivery}");
}

#[test]
fn a_producer_that_cannot_go_on_is_made_anew() {
    use RDKafkaRespErr as Code;
    let (cluster, desk) = (Cluster::start(), Desk::new());
    let ngrok = capture("ngrok.pcap");
    // Fatal for an idempotent producer.
    cluster.will_fail(&[
        Code::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
        Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
    ]);
    succeeds(&desk.replay(&ngrok, &cluster.url("events", ""), &[]));
    let (records, _) = cluster.records("events");
    assert!(records == expected(&ngrok), "not the same records");
    assert!(desk.delivery()["retried"].as_u64().unwrap() > 0);
}

#[test]
fn a_record_that_is_too_large_is_put_aside_alone() {
    let (cluster, desk) = (Cluster::start(), Desk::new());
    cluster.mock.create_topic("one", 1, BROKERS).unwrap();
    // Few records: the client library sends what waits for 5 ms, and each request takes an error.
    let tcp = capture("tcp.pcap");
    let whole = expected(&tcp);
    // As a broker answers that finds one record in every batch too large: until that one comes alone.
    let halvings = whole.len().ilog2() + 1;
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    cluster.will_fail(&vec![too_large; halvings as usize + 1]);
    let output = desk.replay(&tcp, &cluster.url("one", ""), &[]);
    succeeds(&output);
    let delivery = desk.delivery();
    let refused = std::fs::read_to_string(desk.spool().join("refused.jsonl")).unwrap();
    let refused = json_lines(&refused);
    assert!(!refused.is_empty() && refused.len() <= 2, "{refused:?}");
    assert_eq!(delivery["refused"], refused.len());
    let (mut records, messages) = cluster.records("one");
    assert_eq!(records.len(), messages, "something came twice");
    for letter in refused {
        assert!(
            letter["why"].as_str().unwrap().contains("too large"),
            "{letter}"
        );
        let id = letter["record"]["event_id"].as_str().unwrap().to_owned();
        records.insert(id, letter["record"].clone());
    }
    assert!(records == whole, "not the same records");
}

#[test]
fn a_topic_that_is_not_ours_is_not_the_records_fault() {
    use RDKafkaRespErr as Code;
    for (error, said) in [
        (
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
            "topic events: ",
        ),
        (
            Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            "uthorization failed",
        ),
    ] {
        let (cluster, desk) = (Cluster::start(), Desk::new());
        let ngrok = capture("ngrok.pcap");
        cluster.mock.topic_error("events", error).unwrap();
        let output = desk.replay(&ngrok, &cluster.url("events", ""), &[]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let text = stderr(&output);
        assert!(
            text.contains("takes nothing from us") && text.contains(said),
            "{text}"
        );
        assert!(!desk.spool().join("refused.jsonl").exists());
        let whole = expected(&ngrok);
        assert_eq!(desk.delivery()["left"], whole.len());
        let none = Code::RD_KAFKA_RESP_ERR_NO_ERROR;
        cluster.mock.topic_error("events", none).unwrap();
        succeeds(&desk.run(&["spool", "flush"]));
        assert_eq!(cluster.records("events"), (whole.clone(), whole.len()));
    }
}

#[test]
fn a_cluster_that_is_not_there_holds_nobody_up() {
    let (cluster, desk) = (Cluster::start(), Desk::new());
    cluster.all_down();
    let ngrok = capture("ngrok.pcap");
    let url = cluster.url("events", "");
    let output = desk.replay(&ngrok, &url, &["--deliver-timeout", "100ms"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("dnsterrier spool flush"),
        "{}",
        stderr(&output)
    );
    let whole = expected(&ngrok);
    assert_eq!(desk.delivery()["left"], whole.len());
    cluster.all_up();
    succeeds(&desk.run(&["spool", "flush"]));
    assert_eq!(cluster.records("events"), (whole.clone(), whole.len()));
}

#[test]
fn a_run_that_is_killed_in_the_middle_loses_nothing() {
    let (cluster, desk) = (Cluster::start(), Desk::new());
    let many = many(&desk, 10);
    cluster.takes(Duration::from_millis(100));
    let url = cluster.url("events", "");
    let mut run = Run::start(&desk, &events(&many, &url));
    run.wait_until("the first batch", |_| cursor(&desk) > 0);
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    cluster.takes(Duration::ZERO);
    let whole = expected(&many);
    let there = cursor(&desk);
    assert!(
        there < whole.len() as u64,
        "it was not killed in the middle"
    );
    let said = stdout(&desk.run(&["spool", "flush"]));
    let flushed: u64 = said
        .split_whitespace()
        .zip(said.split_whitespace().skip(1))
        .find(|(_, word)| word.starts_with("delivered"))
        .map(|(number, _)| number.replace(',', "").parse().unwrap())
        .unwrap_or_else(|| panic!("{said}"));
    let (records, messages) = cluster.records("events");
    assert_eq!(records.len() as u64, there + flushed, "{messages} messages");
    assert!(records.iter().all(|(id, it)| whole[id] == *it));
    // What never came to the spool comes with the next run.
    succeeds(&desk.run(&events(&many, &url)));
    assert!(cluster.records("events").0 == whole, "not the same records");
}

#[test]
fn who_we_are_is_not_in_the_url() {
    let desk = Desk::new();
    let ngrok = capture("ngrok.pcap");
    let output = desk.replay(&ngrok, "kafka://127.0.0.1:1/dns?sasl=scram-sha-512", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("DNSTERRIER_KAFKA_USER"),
        "{}",
        stderr(&output)
    );
}
