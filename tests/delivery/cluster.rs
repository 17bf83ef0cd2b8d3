//! Servers of ClickHouse: Debian's, also as a cluster, and the newest engine behind `chdb_server.py`.

use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{dnsterrier, file, json_lines};
use crate::run::succeeds;

/// What the servers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// `clickhouse-server` of Debian, version 18.16.
    Debian,
    /// PyPI's `chdb`: one server, which has no users, and knows no others.
    Chdb,
}

/// Makes a test of a function for each engine.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod debian {
            $(#[test] fn $name() { super::$name(crate::cluster::Engine::Debian); })+
        }
        mod chdb {
            $(#[test] fn $name() { super::$name(crate::cluster::Engine::Chdb); })+
        }
    };
}
pub(crate) use on_both;

/// The Python that has chdb, where `scripts/test` puts it.
fn python() -> PathBuf {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../chdb/bin/python");
    assert!(
        python.exists(),
        "chdb is not in {}: scripts/test installs it",
        python.display()
    );
    python
}

/// Some servers that know each other as the cluster `fleet`, a shard each.
pub(crate) struct Cluster {
    engine: Engine,
    folder: TempDir,
    /// The ports for HTTP and for each other.
    ports: Vec<(u16, u16)>,
    servers: Vec<Option<Child>>,
    #[expect(dead_code, reason = "for its drop")]
    held: Vec<UdpSocket>,
}

/// A port that nobody has, and what keeps it as long as it lives: the servers take no datagrams, and whoever wants a port here
/// takes the one for datagrams first. It is none of those that the system gives to connections, so that it is still there when a
/// server that was killed comes back.
fn free_port() -> (u16, UdpSocket) {
    loop {
        let port = 10_000 + (RandomState::new().hash_one(()) % 20_000) as u16;
        if let Ok(held) = UdpSocket::bind(("127.0.0.1", port))
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            return (port, held);
        }
    }
}

const USERS: &str = "<yandex>
<profiles><default><max_memory_usage>1000000000</max_memory_usage></default></profiles>
<users><default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default>
<sensor><password>s3cret</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></sensor></users>
<quotas><default/></quotas>
</yandex>";

impl Cluster {
    /// So many of Debian's; of chdb always one.
    pub(crate) fn start(engine: Engine, count: usize) -> Self {
        let count = if engine == Engine::Chdb { 1 } else { count };
        let (ports, held): (Vec<u16>, Vec<UdpSocket>) =
            std::iter::repeat_with(free_port).take(2 * count).unzip();
        let ports: Vec<(u16, u16)> = ports
            .as_chunks()
            .0
            .iter()
            .map(|[http, tcp]| (*http, *tcp))
            .collect();
        let mut cluster = Self {
            engine,
            folder: TempDir::new().unwrap(),
            servers: ports.iter().map(|_| None).collect(),
            ports,
            held,
        };
        for number in 0..count {
            cluster.start_one(number);
        }
        cluster
    }

    fn path(&self, name: String) -> PathBuf {
        self.folder.path().join(name)
    }

    fn debian(&self, number: usize) -> Command {
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
        let mut command = Command::new("clickhouse-server");
        command.arg(format!("--config-file={}", config.display()));
        command
    }

    fn chdb(&self, number: usize) -> Command {
        let mut command = Command::new(python());
        command
            .arg(file("tests/delivery/chdb_server.py"))
            .arg(self.ports[number].0.to_string())
            .arg(self.path(format!("data{number}")));
        command
    }

    /// Starts a server, which finds what it had when it was killed, and waits until it answers.
    pub(crate) fn start_one(&mut self, number: usize) {
        let mut command = match self.engine {
            Engine::Debian => self.debian(number),
            Engine::Chdb => self.chdb(number),
        };
        let server = command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}: scripts/test installs it"));
        self.servers[number] = Some(server);
        for _ in 0..600 {
            if self.http(number, "SELECT 1").as_deref() == Some("1\n") {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("server {number} does not come up");
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ports.len()
    }

    /// The port for HTTP.
    pub(crate) fn port(&self, number: usize) -> u16 {
        self.ports[number].0
    }

    /// Stops a server where it stands: it keeps its connections, and does nothing.
    pub(crate) fn freeze(&self, number: usize) {
        self.signal(number, Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self, number: usize) {
        self.signal(number, Signal::SIGCONT);
    }

    fn signal(&self, number: usize, signal: Signal) {
        let id = self.servers[number].as_ref().unwrap().id();
        signal::kill(Pid::from_raw(i32::try_from(id).unwrap()), signal).unwrap();
    }

    /// Kills a server (-9).
    pub(crate) fn kill(&mut self, number: usize) {
        if let Some(mut server) = self.servers[number].take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Asks a server with nothing of ours in between.
    pub(crate) fn http(&self, number: usize, query: &str) -> Option<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.ports[number].0)).ok()?;
        write!(
            connection,
            "POST /?insert_distributed_sync=1 HTTP/1.0\r\nContent-Length: {}\r\n\r\n{query}",
            query.len()
        )
        .ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        assert!(head.contains(" 200 "), "{answer}");
        Some(body.to_owned())
    }

    /// Carries a statement out.
    pub(crate) fn execute(&self, number: usize, statement: &str) {
        self.http(number, statement).unwrap();
    }

    /// How many rows a query of one number says.
    pub(crate) fn count(&self, number: usize, query: &str) -> usize {
        let answer = self.http(number, query).unwrap();
        answer.trim().parse().unwrap()
    }

    /// The rows that a query gives.
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
