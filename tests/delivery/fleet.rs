//! Three sensors, two servers, or one of the newest engine: together they say what one sensor would have said that had seen everything.

use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::cluster::{Cluster, Engine, on_both};
use crate::common::{dnsterrier, json_lines, stderr, stdout};
use crate::relay::{Hold, Relay};
use crate::run::{Desk, capture, expected, succeeds};

on_both!(
    together_they_say_what_one_would_have_said,
    sources_that_two_sensors_saw_are_one,
    a_server_and_a_sensor_that_are_killed_change_nothing,
    a_server_that_is_killed_with_half_of_an_insert_changes_nothing,
    a_server_that_is_killed_before_it_is_heard_changes_nothing,
    a_sensor_that_is_killed_before_it_hears_changes_nothing,
);

/// Each sensor sees the lookups of some clients, and each client is seen by one.
const SENSORS: [(&str, &str); 3] = [
    (
        "north",
        "host 10.9.0.14 or host 10.9.0.11 or host 10.9.0.18 or host fd00:9::13",
    ),
    (
        "east",
        "host 10.9.0.12 or host 10.9.0.16 or host 10.9.0.15 or host fd00:9::19",
    ),
    (
        "south",
        "host 10.9.0.9 or host 10.9.0.19 or host 10.9.0.17 or host 10.9.0.13 or host fd00:9::17",
    ),
];

/// Rules whose groups are spread over the sensors, with every function, and with thresholds that no sensor reaches alone.
pub(crate) const RULES: &str = "
name: Everything
where: { query: '*' }
by: [query, record_type]
aggregate:
  count: count
  firstTime: min(_time)
  lastTime: max(_time)
  clients: dc(src)
  who: values(src)
  least: min(src)
  greatest: max(dest)
  ports: dc(src_port)
  total: sum(query_length)
  shortest: min(query_length)
  mean: avg(duration)
  spread: stdev(src_port)
---
name: Popular
where: { query: '*' }
by: [query]
aggregate: { count: count, clients: dc(src), firstTime: min(_time), lastTime: max(_time) }
having: { clients: { '>=': 8 } }
---
name: All in one
where: { query: '*' }
by: [vendor_product]
aggregate: { count: count, ports: dc(src_port), names: dc(query), firstTime: min(_time), lastTime: max(_time) }
";

/// Rows without what depends on who saw them.
fn rows(text: &str) -> Vec<Value> {
    let mut rows = json_lines(text);
    for row in &mut rows {
        let row = row.as_object_mut().unwrap();
        assert!(row.remove("sensor").is_some() && row.remove("event_id").is_some());
    }
    rows
}

struct Fleet {
    cluster: Cluster,
    desks: Vec<Desk>,
    rules: String,
}

impl Fleet {
    fn new(engine: Engine) -> Self {
        let cluster = Cluster::start(engine, 2);
        cluster.make_tables();
        let desks: Vec<Desk> = SENSORS.iter().map(|_| Desk::new()).collect();
        let rules = desks[0].path("rules.yml");
        std::fs::write(&rules, RULES).unwrap();
        Self {
            cluster,
            rules: rules.to_str().unwrap().to_owned(),
            desks,
        }
    }

    /// Starts a sensor that sends rows and events to this server.
    fn start(&self, sensor: usize, server: usize) -> Child {
        self.start_to(sensor, &self.cluster.url(server % self.cluster.len()))
    }

    /// The same, to a URL.
    fn start_to(&self, sensor: usize, url: &str) -> Child {
        let (name, filter) = SENSORS[sensor];
        let capture = capture("ngrok.pcap");
        self.desks[sensor]
            .command(&[
                "replay",
                capture.to_str().unwrap(),
                "-q",
                "--filter",
                filter,
                "--sensor",
                name,
                "--rules",
                &self.rules,
                "--rows",
                url,
                "--events",
                url,
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// How many events a sensor has to send.
    fn events_of(&self, sensor: usize) -> usize {
        let capture = capture("ngrok.pcap");
        let filter = ["--filter", SENSORS[sensor].1, "--events", "-"];
        let arguments = ["replay", capture.to_str().unwrap(), "-q", "--rows", "none"];
        stdout(&dnsterrier(arguments.iter().chain(&filter)))
            .lines()
            .count()
    }

    fn ends_well(&self, mut sensor: Child) {
        assert!(sensor.wait().unwrap().success());
    }

    /// The rows of one replay of everything.
    fn whole(&self, more: &[&str]) -> Vec<Value> {
        let capture = capture("ngrok.pcap");
        let mut arguments = vec![
            "replay",
            capture.to_str().unwrap(),
            "-q",
            "--format",
            "jsonl",
        ];
        arguments.extend(["--rules", &self.rules]);
        arguments.extend(more);
        rows(&stdout(&dnsterrier(arguments)))
    }

    fn rows(&self, server: usize, more: &[&str]) -> (Vec<Value>, String) {
        let url = self.cluster.url(server % self.cluster.len());
        let mut arguments = vec!["fleet", "rows", &url, "--format", "jsonl"];
        arguments.extend(["--rules", &self.rules]);
        arguments.extend(more);
        let output = dnsterrier(arguments);
        (rows(&stdout(&output)), stderr(&output))
    }

    fn is_whole(&self) {
        let whole = self.whole(&[]);
        assert!(whole.len() > 100, "{} rows", whole.len());
        let popular = whole.iter().filter(|row| row["rule"] == "Popular").count();
        assert!(popular > 0, "no rule holds rows back");
        for server in 0..self.cluster.len() {
            let (rows, said) = self.rows(server, &[]);
            assert_eq!(said, "");
            assert_eq!(rows, whole, "as server {server} says");
            let events = self
                .cluster
                .count(server, "SELECT uniqExact(event_id) FROM dns.events");
            assert_eq!(events, expected(&capture("ngrok.pcap")).len());
        }
    }
}

fn together_they_say_what_one_would_have_said(engine: Engine) {
    let fleet = Fleet::new(engine);
    let sensors: Vec<Child> = (0..3).map(|it| fleet.start(it, it % 2)).collect();
    for sensor in sensors {
        fleet.ends_well(sensor);
    }
    fleet.is_whole();
    // One rule of them; some time of it; sent again.
    assert_eq!(
        fleet.rows(0, &["--rule", "Popular"]).0,
        fleet.whole(&["--rule", "Popular"])
    );
    assert_eq!(
        fleet.rows(1, &["--until", "2000-01-01"]).0,
        [Value::Null; 0]
    );
    fleet.ends_well(fleet.start(1, 1));
    fleet.is_whole();
    // Who they are.
    let url = fleet.cluster.url(fleet.cluster.len() - 1);
    let output = dnsterrier(["fleet", "sensors", &url, "--format", "jsonl"]);
    let sensors = json_lines(&stdout(&output));
    let names: Vec<&str> = sensors
        .iter()
        .map(|it| it["sensor"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["east", "north", "south"]);
    let sum = |name: &str| -> u64 { sensors.iter().map(|it| it[name].as_u64().unwrap()).sum() };
    assert_eq!(sum("events"), expected(&capture("ngrok.pcap")).len() as u64);
    assert_eq!(sum("kernel_dropped"), 0);
    let table = stdout(&dnsterrier(["fleet", "sensors", &url]));
    assert!(table.starts_with("SENSOR  LAST"), "{table}");
    assert_eq!(table.lines().count(), 4);
    // As a table, and with a rule that nobody here knows.
    let url = fleet.cluster.url(0);
    let output = dnsterrier(["fleet", "rows", &url]);
    let text = stdout(&output);
    assert!(text.contains("abc123.ngrok.io"), "{text}");
    assert!(stderr(&output).contains("rows of the rule 'Popular' are left out"));
}

fn sources_that_two_sensors_saw_are_one(engine: Engine) {
    let fleet = Fleet::new(engine);
    let capture = capture("encrypted.pcap");
    let plain = [
        "replay",
        capture.to_str().unwrap(),
        "-q",
        "--rows",
        "none",
        "--sources",
    ];
    let whole = rows(&stdout(&dnsterrier(plain.iter().chain(&["-"]))));
    // One sensor was there until the middle, another from then on; the first sent all of it twice.
    let url = fleet.cluster.url(0);
    let middle = whole
        .iter()
        .filter_map(|it| it["encrypted_dns_lastTime"].as_str())
        .min()
        .unwrap();
    for (desk, option, name) in [
        (0, "--until", "early"),
        (1, "--since", "late"),
        (2, "--until", "early"),
    ] {
        let arguments: Vec<&str> = plain
            .iter()
            .copied()
            .chain([url.as_str(), option, middle, "--sensor", name])
            .collect();
        let output = fleet.desks[desk].run(&arguments);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let both = fleet.cluster.ask(
        fleet.cluster.len() - 1,
        "SELECT src FROM dns.sources GROUP BY src HAVING uniqExact(sensor) = 2",
    );
    assert!(!both.is_empty(), "no source was seen by both");
    let url = fleet.cluster.url(fleet.cluster.len() - 1);
    let found = dnsterrier(["fleet", "sources", &url, "--format", "jsonl"]);
    assert_eq!(rows(&stdout(&found)), whole);
    let table = stdout(&dnsterrier(["fleet", "sources", &url]));
    assert_eq!(table.lines().count(), 1 + whole.len(), "{table}");
}

fn a_server_and_a_sensor_that_are_killed_change_nothing(engine: Engine) {
    let mut fleet = Fleet::new(engine);
    let mut killed = fleet.start(0, 0);
    let sensors = [fleet.start(1, 0), fleet.start(2, 0)];
    let server = fleet.cluster.len() - 1;
    fleet.cluster.kill(server);
    killed.kill().unwrap();
    killed.wait().unwrap();
    fleet.cluster.start_one(server);
    for sensor in sensors {
        fleet.ends_well(sensor);
    }
    fleet.ends_well(fleet.start(0, 1));
    fleet.is_whole();
}

/// How many of a sensor's records a table has, those that came again too, and how many different ones.
fn came(fleet: &Fleet, sensor: usize, table: &str) -> (usize, usize) {
    let (name, _) = SENSORS[sensor];
    let of = |what: &str| {
        let query = format!("SELECT {what} FROM dns.{table} WHERE sensor = '{name}'");
        fleet.cluster.count(0, &query)
    };
    (of("count()"), of("uniqExact(event_id)"))
}

/// The server has half of an insert.
fn a_server_that_is_killed_with_half_of_an_insert_changes_nothing(engine: Engine) {
    let mut fleet = Fleet::new(engine);
    let relay = Relay::start(fleet.cluster.port(0), "events", Hold::Body);
    let sensor = fleet.start_to(0, &relay.url());
    relay.wait();
    let others = [fleet.start(1, 0), fleet.start(2, 1)];
    fleet.cluster.kill(0);
    relay.go_on(false);
    fleet.cluster.start_one(0);
    for sensor in others.into_iter().chain([sensor]) {
        fleet.ends_well(sensor);
    }
    fleet.is_whole();
}

/// An insert is under way, as the server's list of queries says; it waits for the other one, which stands still. Then one of
/// them is killed.
fn killed_in_the_middle_of_an_insert(killed: usize) {
    let mut fleet = Fleet::new(Engine::Debian);
    fleet.cluster.freeze(1);
    let sensor = fleet.start(0, 0);
    let under_way = "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO events %'";
    while fleet.cluster.count(0, under_way) == 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    fleet.cluster.kill(killed);
    if killed != 1 {
        fleet.cluster.thaw(1);
    }
    fleet.cluster.start_one(killed);
    for sensor in [sensor, fleet.start(1, 0), fleet.start(2, 1)] {
        fleet.ends_well(sensor);
    }
    fleet.is_whole();
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_an_insert_changes_nothing() {
    killed_in_the_middle_of_an_insert(0);
}

#[test]
fn a_node_that_is_killed_while_another_inserts_into_it_changes_nothing() {
    killed_in_the_middle_of_an_insert(1);
}

/// The server has all of an insert, and is killed before the sensor hears of it: it comes again.
fn a_server_that_is_killed_before_it_is_heard_changes_nothing(engine: Engine) {
    let mut fleet = Fleet::new(engine);
    let relay = Relay::start(fleet.cluster.port(0), "events", Hold::Answer);
    let sensor = fleet.start_to(0, &relay.url());
    relay.wait();
    assert!(came(&fleet, 0, "events").0 > 0);
    fleet.cluster.kill(0);
    relay.go_on(false);
    fleet.cluster.start_one(0);
    for sensor in [sensor, fleet.start(1, 0), fleet.start(2, 0)] {
        fleet.ends_well(sensor);
    }
    fleet.is_whole();
}

/// A sensor has sent everything, and is killed before it hears that its rows are there: they come again.
fn a_sensor_that_is_killed_before_it_hears_changes_nothing(engine: Engine) {
    let fleet = Fleet::new(engine);
    for server in 0..fleet.cluster.len() {
        fleet.cluster.execute(server, "SYSTEM STOP MERGES");
    }
    let relay = Relay::start(fleet.cluster.port(0), "rows", Hold::Answer);
    let mut sensor = fleet.start_to(0, &relay.url());
    relay.wait();
    let events = fleet.events_of(0);
    while came(&fleet, 0, "events").1 < events {
        std::thread::sleep(Duration::from_millis(20));
    }
    let (rows, different) = came(&fleet, 0, "rows");
    assert!(rows > 0 && rows == different, "{rows} {different}");
    sensor.kill().unwrap();
    sensor.wait().unwrap();
    relay.go_on(false);
    succeeds(&fleet.desks[0].run(&["spool", "flush"]));
    assert_eq!(came(&fleet, 0, "rows"), (2 * rows, rows));
    for sensor in [fleet.start(1, 0), fleet.start(2, 0)] {
        fleet.ends_well(sensor);
    }
    fleet.is_whole();
    // Another run instead of what was left.
    fleet.ends_well(fleet.start(0, 0));
    fleet.is_whole();
}

#[test]
fn what_a_node_has_that_is_down_is_missing_and_that_is_said() {
    let mut fleet = Fleet::new(Engine::Debian);
    for sensor in 0..3 {
        fleet.ends_well(fleet.start(sensor, 0));
    }
    fleet.cluster.kill(1);
    let (rows, said) = fleet.rows(0, &[]);
    assert!(said.contains("does not answer"), "{said}");
    assert!(said.contains("partial"), "{said}");
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row["partial"] == true));
    let count = |rows: &[Value]| -> u64 {
        let of_rule = rows.iter().filter(|row| row["rule"] == "Everything");
        of_rule.map(|row| row["count"].as_u64().unwrap()).sum()
    };
    let whole = fleet.whole(&[]);
    assert!(
        count(&rows) > 0 && count(&rows) < count(&whole),
        "{}",
        count(&rows)
    );
}
