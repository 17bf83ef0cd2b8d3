//! Rules over events that were stored: they give what they give over the captures, whatever of it is asked of the database.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::cluster::{Cluster, Engine, on_both};
use crate::common::{captures, dnsterrier, file, json_lines, stderr, stdout};
use crate::run::{Desk, capture, expected, succeeds};

on_both!(
    a_new_rule_gives_what_it_gives_over_the_capture,
    what_is_asked_for_is_little_and_enough,
    names_of_rules_stay_texts,
    an_event_with_several_questions_is_found_by_each,
    what_came_twice_counts_once,
    what_is_no_event_is_left_out_and_said,
);

/// A database with the events of a capture.
struct Store {
    cluster: Cluster,
    desk: Desk,
    capture: String,
}

impl Store {
    fn new(engine: Engine, name: &str) -> Self {
        let store = Self {
            cluster: Cluster::start(engine, 2),
            desk: Desk::new(),
            capture: capture(name).to_str().unwrap().to_owned(),
        };
        store.cluster.make_tables();
        store.send(&store.capture, &[]);
        store
    }

    /// Sends the events of a capture to the first server.
    fn send(&self, capture: &str, more: &[&str]) {
        let url = self.cluster.url(0);
        let mut arguments = vec!["replay", capture, "-q", "--rows", "none"];
        arguments.extend(["--events", &url]);
        arguments.extend(more);
        succeeds(&self.desk.run(&arguments));
    }

    /// The database, as the last server has it.
    fn url(&self) -> String {
        self.cluster.url(self.cluster.len() - 1)
    }

    /// Writes a file, and gives its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.desk.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The records of a stream, and the statistics, of a run over the database.
    fn look_back(&self, stream: &str, more: &[&str]) -> (Vec<Value>, Value) {
        let stats = self.desk.path("looking-back.json");
        let mut more = more.to_vec();
        more.extend(["--stats", stats.to_str().unwrap()]);
        let records = records(&self.url(), stream, &more);
        let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
        for identity in stats["identities"].as_array().unwrap() {
            assert_eq!(identity["holds"], true, "{identity}");
        }
        (records, stats)
    }

    /// Compares rows over the database with those over the capture, and with those for which all was read; gives how many
    /// records the database gave, and of how many.
    fn same_rows(&self, more: &[&str]) -> (usize, usize) {
        let (rows, stats) = self.look_back("rows", more);
        assert_eq!(rows, records(&self.capture, "rows", more), "{more:?}");
        let events = self.desk.path("all.jsonl");
        let mut all = more.to_vec();
        all.extend(["--events", events.to_str().unwrap()]);
        let (unrestricted, all_stats) = self.look_back("rows", &all);
        assert_eq!(rows, unrestricted, "{more:?}");
        let received = |stats: &Value| stats["stored"]["received"].as_u64().unwrap() as usize;
        (received(&stats), received(&all_stats))
    }
}

/// The records of a stream of a replay; their order is that of time, in which some are the same.
fn records(input: &str, stream: &str, more: &[&str]) -> Vec<Value> {
    let option = format!("--{stream}");
    let mut arguments = vec!["replay", input, "-q", "--format", "jsonl", &option, "-"];
    if stream != "rows" {
        arguments.extend(["--rows", "none"]);
    }
    arguments.extend(more);
    let mut records = json_lines(&stdout(&dnsterrier(arguments)));
    records.sort_by_key(Value::to_string);
    records
}

/// All rules inside the program, also those that do not run by themselves.
fn packs() -> Vec<String> {
    let list = stdout(&dnsterrier(["rules", "list"]));
    let rules = list.lines().filter(|line| line.contains("embedded"));
    let names = rules.map(|line| {
        let mut cells = line.split("  ").filter(|cell| !cell.is_empty());
        cells.nth(2).unwrap().trim().to_owned()
    });
    let names: Vec<String> = names.collect();
    assert!(names.len() > 20, "{names:?}");
    names
        .into_iter()
        .flat_map(|name| ["--rule".to_owned(), name])
        .collect()
}

/// Our own rules, Splunk's, Sigma's; windows; what else is known of addresses.
fn a_new_rule_gives_what_it_gives_over_the_capture(engine: Engine) {
    let store = Store::new(engine, "ngrok.pcap");
    let rules = store.file("rules.yml", crate::fleet::RULES);
    let filters = store.file(
        "filters.yml",
        "{rule: Ngrok Reverse Proxy on Network, where: {src: 10.9.0.12}, owner: o, reason: r, expires: 2030-01-01}",
    );
    let assets = store.file(
        "assets.csv",
        "ip,bunit,category,priority\n10.9.0.0/28,north,a|b,high\n",
    );
    let [splunk, sigma] =
        ["tests/splunk", "tests/sigma"].map(|path| file(path).to_str().unwrap().to_owned());
    let runs: [&[&str]; 7] = [
        &[],
        &["--rules", &rules],
        &["--rules", &splunk, "--window", "schedule"],
        &["--rules", &sigma, "--window", "5s"],
        &["--filters", &filters, "--window", "1s"],
        &[
            "--assets",
            &assets,
            "--cim-entity-zone",
            "emea",
            "--sinkhole",
            "10.9.0.0/16",
            "--name",
            "*",
        ],
        &[
            "--since",
            "2026-11-24T14:10:20Z",
            "--until",
            "2026-11-24T14:10:40.5Z",
            "--name",
            "*",
            "--resolvers",
            "10.9.0.11",
            "--nat",
            "10.9.0.12",
        ],
    ];
    for run in runs {
        for stream in ["rows", "hits", "sources", "risk"] {
            let whole = records(&store.capture, stream, run);
            // Hunts have no risk.
            let is_hunt = run.contains(&"--name");
            assert!(
                !whole.is_empty() || (is_hunt && stream == "risk"),
                "{stream} {run:?}"
            );
            let mut found = store.look_back(stream, run).0;
            if stream == "hits" {
                // What was not stored, but given for this run, says where it comes from; the rest is as it was.
                assert!(found.iter().all(|hit| hit["source"] == store.capture));
            }
            found.sort_by_key(Value::to_string);
            assert_eq!(found, whole, "{stream} {run:?}");
        }
    }
}

/// The database is asked for what rules can want, where that can be said in its words.
fn what_is_asked_for_is_little_and_enough(engine: Engine) {
    let store = Store::new(engine, "ngrok.pcap");
    let total = expected(&capture("ngrok.pcap")).len();
    let mut many: String = (0..100_000)
        .map(|it| format!("host{it}.name{it}.example\n"))
        .collect();
    many.push_str("abc123.ngrok.io\n");
    let many = store.file("names.txt", &many);
    // What must hold of an event, and about how many are read for it: names of known resolvers are always looked for, too.
    for (number, (condition, most)) in [
        ("query: abc123.ngrok.io", total / 4),
        ("query: '*.ngrok.io'", total / 4),
        ("query: 'korgn.*.lennut.com'", total / 4),
        ("query: '*rok*'", total / 2),
        ("query: '*_tcp.*'", total / 2),
        ("query: {domain: ngrok.io}", total / 4),
        ("answer: ['*.ngrok.com', CUSTOM.ngrok.io]", total / 4),
        ("src: 10.9.0.12", total / 2),
        ("src: {cidr: 10.9.0.16/30}", total / 2),
        ("src: {cidr: [10.0.0.0/9, ::/1]}", total - 1),
        ("src: {cidr: 'FD00:9::/113'}", total - 1),
        ("src: '10.9.0.1*'", total - 1),
        ("dest: {cidr: 'fd00:9::/64'}", total - 1),
        ("record_type: mx", total / 2),
        ("outcome: [nxdomain, servfail]", total / 2),
        ("reply_code: Non-Existent Domain", total / 2),
        ("host: nobody", 30),
        (
            "{query: '*.io', src: [10.9.0.12, 10.9.0.19], record_type: A}",
            total / 4,
        ),
        ("{or: [{query: '*.io'}, {src: 10.9.0.12}]}", total - 1),
        ("{query: '*', src_port: {'>': 40000}}", total),
        ("not: {query: '*.io'}", total),
    ]
    .into_iter()
    .enumerate()
    {
        let rule = format!(
            "name: New\nwhere: {}\nby: [src, query]\n",
            match condition.starts_with('{') {
                true => condition.to_owned(),
                false => format!("{{{condition}}}"),
            }
        );
        let rules = store.file(&format!("{number}.yml"), &rule);
        let (received, all) = store.same_rows(&["--no-embedded", "--rules", &rules]);
        assert_eq!(all, total);
        let rows = records(
            &store.capture,
            "rows",
            &["--no-embedded", "--rules", &rules],
        );
        assert_eq!(rows.is_empty(), condition.contains("nobody"), "{condition}");
        assert!(received <= most, "{condition}: {received} of {total}");
    }
    let blocked = store.file(
        "blocked.yml",
        "name: New\nwhere: {outcome: blocked}\nby: [src, query]\n",
    );
    store.same_rows(&[
        "--no-embedded",
        "--rules",
        &blocked,
        "--sinkhole",
        "3.0.0.0/8",
    ]);
    let (received, _) = store.same_rows(&["--no-embedded", "--names", &many]);
    assert!(received < total, "{received} of {total}");
    let (received, _) = store.same_rows(&[]);
    assert!(received < total / 4, "{received} of {total}");
    let time = [
        "--since",
        "2026-11-24T14:10:30Z",
        "--until",
        "2026-11-24T14:10:31Z",
        "--name",
        "*",
    ];
    let (rows, stats) = store.look_back("hits", &time);
    assert_eq!(stats["stored"]["received"], rows.len());
    assert!(!rows.is_empty() && rows.len() < total);
}

/// Rule files are strangers': what they say ends no literal, and means in SQL what it means in the rule.
fn names_of_rules_stay_texts(engine: Engine) {
    let store = Store::new(engine, "ngrok.pcap");
    let (mut taken, mut count) = (String::new(), 0);
    for (number, pattern) in [
        "a'b.example",
        "*'OR/**/1=1--",
        "*\\\\'OR/**/1=1--",
        "x')OR/**/sleep(3)OR(query='",
        "%.ngrok.io",
        "abc___.ngrok.io",
        "abc123.ngrok.i_",
        "*\\\\",
        "\\\\x41.example",
        "`query`;DROP/**/TABLE/**/events",
    ]
    .into_iter()
    .enumerate()
    {
        for field in ["query", "src", "answer", "record_type"] {
            let value = pattern.replace('\'', "''");
            let rule = format!(
                "name: New {number} {field}\nwhere: {{ {field}: '{value}' }}\nby: [src]\n---\n"
            );
            let check = dnsterrier(["rules", "check", &store.file("one.yml", &rule)]);
            if check.status.success() {
                taken.push_str(&rule);
                count += 1;
            } else {
                // Not every field can have every text.
                assert_eq!(check.status.code(), Some(3), "{}", stderr(&check));
            }
        }
    }
    assert!(count > 25, "{count}");
    let rules = store.file("all.yml", &taken);
    store.same_rows(&["--no-embedded", "--rules", &rules]);
    assert!(records(&store.url(), "rows", &["--no-embedded", "--rules", &rules]).is_empty());
    let total = expected(&capture("ngrok.pcap")).len();
    assert_eq!(
        store.cluster.count(0, "SELECT count() FROM dns.events"),
        total
    );
}

/// Of a message with several questions the first is the column `query`, and each is looked for; also where SQL and LIKE have
/// another meaning for what is in it.
fn an_event_with_several_questions_is_found_by_each(engine: Engine) {
    let store = Store::new(engine, "ngrok.pcap");
    let mut event = expected(&capture("ngrok.pcap"))
        .into_values()
        .next()
        .unwrap();
    let odd = r"it's\.o_d%.example";
    for (id, name, others) in [
        (
            "00000000000000000000000000000001",
            "first.example",
            &["second.example", "third.example"][..],
        ),
        ("00000000000000000000000000000002", odd, &[]),
    ] {
        event["event_id"] = id.into();
        event["query"] = name.into();
        event["other_questions"] = others.into();
        let row = serde_json::json!({
            "day": &event["_time"].as_str().unwrap()[..10],
            "time": 1_795_529_431_000_000_000_i64,
            "query": name,
            "other_questions": others,
            "event_id": id,
            "record": event.to_string(),
        });
        let insert = format!("INSERT INTO dns.events FORMAT JSONEachRow {row}");
        store.cluster.execute(0, &insert);
    }
    for (asked, name) in [
        (odd, odd),
        (r"it'*\.o_d%.*", odd),
        (r"*'s\.O_d%.example", odd),
        ("first.example", "first.example"),
        ("second.example", "second.example"),
        ("THIRD.example", "third.example"),
    ] {
        let (rows, _) = store.look_back("rows", &["--no-embedded", "--name", asked]);
        assert_eq!(rows.len(), 1, "{asked}");
        assert_eq!(rows[0]["query"], name);
    }
}

/// Another sensor's spool sent all of it again: before the server merged it, too.
fn what_came_twice_counts_once(engine: Engine) {
    let store = Store::new(engine, "ngrok.pcap");
    for server in 0..store.cluster.len() {
        store.cluster.execute(server, "SYSTEM STOP MERGES");
    }
    store.send(&store.capture, &[]);
    let whole = records(&store.capture, "rows", &["--name", "*"]);
    let (rows, stats) = store.look_back("rows", &["--name", "*"]);
    assert_eq!(rows, whole);
    let total = expected(&capture("ngrok.pcap")).len();
    let counted = |name: &str| stats["stored"][name].as_u64().unwrap() as usize;
    assert_eq!(counted("events"), total);
    assert_eq!(counted("received"), total + counted("copies"));
    assert!(counted("copies") > 0);
    let output = dnsterrier(["replay", &store.url()]);
    let said = stderr(&output);
    assert!(said.contains("events were read, and no packets"), "{said}");
    assert!(said.contains("every one accounted for"), "{said}");
    // Nothing of that time; and no table.
    let output = dnsterrier(["replay", &store.url(), "--until", "2001-01-01"]);
    assert!(
        stderr(&output).contains("the database gave no event"),
        "{}",
        stderr(&output)
    );
    assert!(output.status.success());
    store.cluster.execute(0, "DROP TABLE dns.events");
    let output = dnsterrier(["replay", &store.cluster.url(0)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("events"), "{}", stderr(&output));
}

/// A record of another program, or another version, is counted and named, and takes nothing with it.
fn what_is_no_event_is_left_out_and_said(engine: Engine) {
    let store = Store::new(engine, "ngrok.pcap");
    let row = r#"{"day":"2026-11-24","time":1795529431000000000,"query":"a.ngrok.io","event_id":"x","record":"{\"name\":\"\\u001b[31m\"}"}"#;
    store.cluster.execute(
        0,
        &format!("INSERT INTO dns.events FORMAT JSONEachRow {row}"),
    );
    let stats = store.desk.path("stats.json");
    let arguments = ["--format", "jsonl", "--stats", stats.to_str().unwrap()];
    let url = store.url();
    let output = dnsterrier(["replay", url.as_str()].iter().chain(&arguments));
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("1 of ") && said.contains("are no events"),
        "{said}"
    );
    assert!(!said.contains('\u{1b}'), "{said}");
    let rows = json_lines(std::str::from_utf8(&output.stdout).unwrap());
    let whole = json_lines(&stdout(&dnsterrier([
        "replay",
        &store.capture,
        "--format",
        "jsonl",
    ])));
    assert_eq!(rows, whole);
    let stats: Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
    assert_eq!(stats["stored"]["unreadable"], 1);
    assert!(
        stats["identities"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["holds"] == true)
    );
}

/// Every capture, and every rule that the project has: also the words of events in other tools' formats.
#[test]
fn all_rules_over_all_captures() {
    let store = Store::new(Engine::Debian, "tcp.pcap");
    let packs = packs();
    let [splunk, sigma] =
        ["tests/splunk", "tests/sigma"].map(|path| file(path).to_str().unwrap().to_owned());
    let in_packs = std::fs::read_dir(file("captures/packs")).unwrap();
    let in_packs = in_packs
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "pcap"));
    let mut seen = [0; 2];
    for (number, capture) in captures().into_iter().chain(in_packs).enumerate() {
        let capture = capture.to_str().unwrap();
        let url = store.url().replace("/dns", &format!("/dns{number}"));
        succeeds(&dnsterrier(["clickhouse", "schema", "--apply", &url]));
        let arguments = ["replay", capture, "-q", "--rows", "none", "--events", &url];
        store.desk.run(&arguments);
        let mut all: Vec<&str> = packs.iter().map(String::as_str).collect();
        all.extend(["--window", "5s"]);
        for run in [&all[..], &["--rules", &splunk, "--rules", &sigma]] {
            for (stream, seen) in ["rows", "risk"].into_iter().zip(&mut seen) {
                // Captures that are cut off are read to there.
                let of = |input: &str| {
                    let option = format!("--{stream}");
                    let mut arguments = vec!["replay", input, "-q", "--format", "jsonl"];
                    arguments.extend(["--rows", "none"].iter().filter(|_| stream != "rows"));
                    arguments.extend([&option, "-"]);
                    arguments.extend(run);
                    let mut records =
                        json_lines(std::str::from_utf8(&dnsterrier(arguments).stdout).unwrap());
                    records.sort_by_key(Value::to_string);
                    records
                };
                let whole = of(capture);
                *seen += whole.len();
                assert_eq!(of(&url), whole, "{stream} of {capture}");
            }
        }
        let format = ["zeek-json", "eve", "ocsf", "ecs"][number % 4];
        let more = ["--event-format", format];
        assert_eq!(
            records(&url, "events", &more),
            records(capture, "events", &more),
            "{format} of {capture}"
        );
    }
    assert!(seen[0] > 2_000 && seen[1] > 500, "{seen:?}");
}

#[test]
fn a_node_that_is_down_is_an_error_and_not_fewer_rows() {
    let mut store = Store::new(Engine::Debian, "ngrok.pcap");
    store.cluster.kill(0);
    let output = dnsterrier(["replay", &store.url(), "--format", "jsonl"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("a node of the cluster does not answer, and what it has would be missing"),
        "{said}"
    );
    assert_eq!(output.stdout, b"");
    store.cluster.start_one(0);
    store.same_rows(&[]);
}

#[test]
fn what_needs_packets_is_refused() {
    let url = "clickhouse+http://127.0.0.1:1/dns";
    let refused = |arguments: &[&str], why: &str| {
        let output: Output = dnsterrier(["replay"].iter().chain(arguments));
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    };
    refused(
        &[url, "--any-port", "--timeout", "9s"],
        "--any-port, --timeout cannot be used with a database",
    );
    for option in [
        ["--filter", "port 53"],
        ["--count", "5"],
        ["--ports", "53"],
        ["--vxlan-ports", "5000"],
        ["--tunnel-depth", "3"],
        ["--evidence", "hits.pcapng"],
        ["--write", "dns.pcap"],
    ] {
        refused(&[url, option[0], option[1]], option[0]);
    }
    refused(&["-r", url, "udp"], "--filter");
    let ngrok = capture("ngrok.pcap");
    refused(&[ngrok.to_str().unwrap(), url], "is read alone");
    refused(&[url, url], "is read alone");
    for other in [
        "hec+https://127.0.0.1:1",
        "syslog+tls://127.0.0.1:1",
        "kafka://127.0.0.1:1/dns",
    ] {
        refused(&[other], "from ClickHouse alone");
    }
    refused(
        &["clickhouse+http://127.0.0.1:1/"],
        "the name of a database",
    );
    refused(
        &["clickhouse+http://u:p@127.0.0.1:1/dns"],
        "do not belong into a URL",
    );
    let output = dnsterrier(["replay", url]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

/// Ctrl-C ends a run that waits for a server which thinks.
#[test]
fn a_server_that_thinks_holds_nobody_up() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("clickhouse+http://{}/dns", server.local_addr().unwrap());
    let run = Desk::new()
        .command(&["replay", &url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut asked, _) = server.accept().unwrap();
    asked.read_exact(&mut [0; 4]).unwrap();
    kill(Pid::from_raw(run.id() as i32), Signal::SIGINT).unwrap();
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}
