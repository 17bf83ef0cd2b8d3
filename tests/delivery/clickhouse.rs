//! Real servers of ClickHouse: what comes there, and what does not change when it comes twice.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{dnsterrier, json_lines, stderr, stdout};
use crate::run::{Desk, by_id, capture, expected, succeeds};

/// Some servers that know each other as the cluster `fleet`, a shard each.
pub(crate) struct Cluster {
    folder: TempDir,
    /// The ports for HTTP and for each other.
    ports: Vec<(u16, u16)>,
    servers: Vec<Option<Child>>,
}

/// A port that nobody has.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

const USERS: &str = "<yandex>
<profiles><default><max_memory_usage>1000000000</max_memory_usage></default></profiles>
<users><default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default>
<sensor><password>s3cret</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></sensor></users>
<quotas><default/></quotas>
</yandex>";

impl Cluster {
    pub(crate) fn start(count: usize) -> Self {
        let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
        let mut cluster = Self {
            folder: TempDir::new().unwrap(),
            servers: ports.iter().map(|_| None).collect(),
            ports,
        };
        for number in 0..count {
            cluster.start_one(number);
        }
        cluster
    }

    fn path(&self, name: String) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn start_one(&mut self, number: usize) {
        let shards: String = self
            .ports
            .iter()
            .map(|(_, port)| {
                format!("<shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>{port}</port></replica></shard>")
            })
            .collect();
        let (http, tcp) = self.ports[number];
        let data = self.path(format!("data{number}"));
        let users = self.path("users.xml".to_owned());
        let data = data.display();
        std::fs::write(&users, USERS).unwrap();
        let config = self.path(format!("config{number}.xml"));
        std::fs::write(
            &config,
            format!(
                "<yandex><logger><level>warning</level><log>{data}.log</log><errorlog>{data}.err</errorlog></logger>
<http_port>{http}</http_port><tcp_port>{tcp}</tcp_port><listen_host>127.0.0.1</listen_host>
<path>{data}/</path><tmp_path>{data}/tmp/</tmp_path><mark_cache_size>5368709</mark_cache_size>
<users_config>{}</users_config><default_profile>default</default_profile><default_database>default</default_database>
<remote_servers><fleet>{shards}</fleet></remote_servers></yandex>",
                users.display()
            ),
        )
        .unwrap();
        let server = Command::new("clickhouse-server")
            .arg(format!("--config-file={}", config.display()))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("clickhouse-server is not installed: scripts/test does that");
        self.servers[number] = Some(server);
        for _ in 0..600 {
            if self.http(number, "SELECT 1").as_deref() == Some("1\n") {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("server {number} does not come up");
    }

    pub(crate) fn kill(&mut self, number: usize) {
        if let Some(mut server) = self.servers[number].take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Asks a server with nothing of ours in between.
    fn http(&self, number: usize, query: &str) -> Option<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.ports[number].0)).ok()?;
        write!(
            connection,
            "POST / HTTP/1.0\r\nContent-Length: {}\r\n\r\n{query}",
            query.len()
        )
        .ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        assert!(head.contains(" 200 "), "{answer}");
        Some(body.to_owned())
    }

    pub(crate) fn ask(&self, number: usize, query: &str) -> Vec<Value> {
        json_lines(
            &self
                .http(number, &format!("{query} FORMAT JSONEachRow"))
                .unwrap(),
        )
    }

    pub(crate) fn url(&self, number: usize) -> String {
        format!("clickhouse+http://127.0.0.1:{}/dns", self.ports[number].0)
    }

    /// Makes the tables on all servers, as one cluster where there are several.
    pub(crate) fn make_tables(&self) {
        for number in 0..self.ports.len() {
            let url = self.url(number);
            let mut arguments = vec!["clickhouse", "schema", "--apply", &url];
            if self.ports.len() > 1 {
                arguments.extend(["--cluster", "fleet"]);
            }
            succeeds(&dnsterrier(arguments));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for number in 0..self.servers.len() {
            self.kill(number);
        }
    }
}

#[test]
fn records_are_in_the_tables_and_twice_is_once() {
    let (cluster, desk) = (Cluster::start(1), Desk::new());
    cluster.make_tables();
    cluster.make_tables();
    let ngrok = capture("ngrok.pcap");
    let whole = expected(&ngrok);
    // The second time another spool sends all of it again.
    for run in 0..2 {
        succeeds(&desk.replay(&ngrok, &cluster.url(0), &[]));
        assert_eq!(desk.delivery()["delivered"], whole.len(), "run {run}");
    }
    let raw = cluster.ask(0, "SELECT count() AS n FROM dns.events");
    assert_eq!(raw[0]["n"], (2 * whole.len()).to_string());
    let rows = cluster.ask(0, "SELECT * FROM dns.events FINAL");
    assert_eq!(rows.len(), whole.len());
    let records = rows
        .iter()
        .map(|row| serde_json::from_str(row["record"].as_str().unwrap()).unwrap());
    assert_eq!(by_id(records), whole);
    for row in &rows {
        let event = &whole[row["event_id"].as_str().unwrap()];
        for name in [
            "src",
            "dest",
            "query",
            "record_type",
            "reply_code",
            "answer",
            "outcome",
        ] {
            assert_eq!(row[name], event[name], "{name}");
        }
        assert_eq!(row["sensor"], event["host"]);
        let time: jiff::Timestamp = event["_time"].as_str().unwrap().parse().unwrap();
        assert_eq!(row["time"], time.as_nanosecond().to_string());
        assert_eq!(row["day"], time.to_string()[..10]);
    }
}

#[test]
fn every_stream_has_its_table() {
    let (cluster, desk) = (Cluster::start(1), Desk::new());
    cluster.make_tables();
    let ngrok = capture("ngrok.pcap");
    let ngrok = ngrok.to_str().unwrap();
    let url = cluster.url(0);
    for stream in ["rows", "hits", "sources", "risk", "events"] {
        let option = format!("--{stream}");
        let rows = (stream != "rows").then_some(["--rows", "none"]);
        let mut arguments = vec!["replay", ngrok, "-q", &option];
        let mut plain = arguments.clone();
        arguments.push(&url);
        plain.push("-");
        for more in rows.iter().flatten() {
            arguments.push(more);
            plain.push(more);
        }
        plain.extend(["--format", "jsonl"]);
        succeeds(&desk.run(&arguments));
        let mut written = json_lines(&stdout(&desk.run(&plain)));
        let mut came: Vec<Value> = cluster
            .ask(0, &format!("SELECT record FROM dns.{stream}"))
            .iter()
            .map(|row| serde_json::from_str(row["record"].as_str().unwrap()).unwrap())
            .collect();
        assert!(!written.is_empty(), "{stream}");
        for list in [&mut written, &mut came] {
            list.sort_by_key(Value::to_string);
        }
        assert_eq!(came, written, "{stream}");
        let ids = cluster.ask(0, &format!("SELECT DISTINCT event_id FROM dns.{stream}"));
        assert!(!ids.iter().any(|row| row["event_id"] == ""), "{stream}");
    }
}

#[test]
fn a_table_that_is_not_there_is_not_the_records_fault() {
    let (cluster, desk) = (Cluster::start(1), Desk::new());
    let ngrok = capture("ngrok.pcap");
    let output = desk.replay(&ngrok, &cluster.url(0), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("Database dns doesn't exist"),
        "{}",
        stderr(&output)
    );
    assert_eq!(desk.delivery()["left"], expected(&ngrok).len());
    cluster.make_tables();
    succeeds(&desk.run(&["spool", "flush"]));
    let rows = cluster.ask(0, "SELECT count() AS n FROM dns.events");
    assert_eq!(rows[0]["n"], expected(&ngrok).len().to_string());
}

#[test]
fn who_we_are_is_in_the_environment() {
    let (cluster, desk) = (Cluster::start(1), Desk::new());
    cluster.make_tables();
    let ngrok = capture("ngrok.pcap");
    let url = cluster.url(0);
    let run = |password: &str| {
        desk.command(&[
            "replay",
            ngrok.to_str().unwrap(),
            "--rows",
            "none",
            "--events",
            &url,
        ])
        .env("DNSTERRIER_CLICKHOUSE_USER", "sensor")
        .env("DNSTERRIER_CLICKHOUSE_PASSWORD", password)
        .output()
        .unwrap()
    };
    let refused = run("wrong");
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("takes nothing from us"),
        "{}",
        stderr(&refused)
    );
    succeeds(&run("s3cret"));
}
