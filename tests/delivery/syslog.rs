//! Syslog: what rsyslog and syslog-ng read is what we have; what is lost where nobody answers, and what is not.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{dnsterrier, json_lines, stderr, stdout};
use crate::daemon::{Daemon, MAKERS, Maker, Message};
use crate::hec::certificates;
use crate::run::{Desk, by_id, capture, expected, succeeds};

fn records<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Vec<Value> {
    messages
        .into_iter()
        .map(|it| serde_json::from_str(&it.text).unwrap())
        .collect()
}

/// The messages of a capture's events are them, and say so above.
fn are_the_events(messages: &[Message], name: &str) {
    assert_eq!(by_id(records(messages)), expected(&capture(name)));
    for message in messages {
        let event: Value = serde_json::from_str(&message.text).unwrap();
        assert_eq!(message.priority, "134");
        assert_eq!(message.application, "dnsterrier");
        assert_eq!(message.id, "events");
        assert_eq!(message.host, event["host"].as_str().unwrap());
        let times = [message.time.as_str(), event["_time"].as_str().unwrap()];
        let [read, said] = times.map(|it| it.parse::<jiff::Timestamp>().unwrap());
        assert_eq!(read, said);
        let id = event["event_id"].as_str().unwrap();
        assert_eq!(
            message.data,
            format!("[dnsterrier@32473 id=\"{id}\" stream=\"events\"]")
        );
    }
}

#[test]
fn every_event_is_a_message_over_tcp() {
    for maker in MAKERS {
        let (daemon, desk) = (Daemon::start(maker, None), Desk::new());
        let output = desk.replay(&capture("ngrok.pcap"), &daemon.url("syslog+tcp", ""), &[]);
        succeeds(&output);
        let count = expected(&capture("ngrok.pcap")).len();
        let messages = daemon.wait_for(count);
        assert_eq!(messages.len(), count, "something came twice");
        are_the_events(&messages, "ngrok.pcap");
        assert_eq!(desk.delivery()["delivered"], count);
        assert_eq!(desk.delivery()["cut"], 0);
    }
}

#[test]
fn every_event_is_a_datagram() {
    for maker in MAKERS {
        let (daemon, desk) = (Daemon::start(maker, None), Desk::new());
        succeeds(&desk.replay(
            &capture("resolver.dnstap"),
            &daemon.url("syslog+udp", ""),
            &[],
        ));
        let count = expected(&capture("resolver.dnstap")).len();
        are_the_events(&daemon.wait_for(count), "resolver.dnstap");
    }
}

#[test]
fn over_tls_only_who_is_trusted_gets_anything() {
    for maker in MAKERS {
        let desk = Desk::new();
        let [authority, certificate, key] = certificates(&desk, "127.0.0.1");
        let daemon = Daemon::start(maker, Some([&authority, &certificate, &key]));
        let ngrok = capture("ngrok.pcap");
        // The system does not know this authority.
        let url = daemon.url("syslog+tls", "");
        let output = desk.replay(&ngrok, &url, &["--deliver-timeout", "2s"]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("certificate"),
            "{}",
            stderr(&output)
        );
        assert!(daemon.messages().is_empty());
        for more in ["", "&confirm=true"] {
            let before = daemon.messages().len();
            let option = format!("?ca={}{more}", authority.display());
            let desk = Desk::new();
            succeeds(&desk.replay(&ngrok, &daemon.url("syslog+tls", &option), &[]));
            let messages = daemon.wait_for(before + expected(&ngrok).len());
            are_the_events(&messages[before..], "ngrok.pcap");
            assert_eq!(messages.len() - before, expected(&ngrok).len());
        }
    }
}

#[test]
fn who_asks_for_our_certificate_gets_it() {
    for maker in MAKERS {
        let desk = Desk::new();
        let [authority, certificate, key] = certificates(&desk, "127.0.0.1");
        let daemon = Daemon::start_with(maker, Some([&authority, &certificate, &key]), true);
        let vlan = capture("vlan.pcap");
        // Without one, nothing counts as delivered.
        let trusted = format!("?ca={}", authority.display());
        let url = daemon.url("syslog+tls", &trusted);
        let output = desk.replay(&vlan, &url, &["--deliver-timeout", "2s"]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert_eq!(desk.delivery()["left"], expected(&vlan).len());
        assert!(daemon.messages().is_empty());
        let ours = format!(
            "{trusted}&certificate_file={}&certificate_key_file={}",
            certificate.display(),
            key.display()
        );
        let desk = Desk::new();
        succeeds(&desk.replay(&vlan, &daemon.url("syslog+tls", &ours), &[]));
        are_the_events(&daemon.wait_for(expected(&vlan).len()), "vlan.pcap");
    }
}

#[test]
fn who_ends_each_connection_at_once_has_nothing_delivered() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (desk, url) = (Desk::new(), format!("syslog+tcp://{address}"));
    // More than one batch.
    for name in ["ngrok.pcap", "span-twice.pcap"] {
        desk.replay(&capture(name), &url, &["--deliver-timeout", "10ms"]);
    }
    drop(receive(
        TcpListener::bind(address).unwrap(),
        vec![Manner::Cuts(0)],
    ));
    let output = desk.run(&["spool", "flush", "--deliver-timeout", "3s"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains(": 0 delivered, "), "{said}");
}

#[test]
fn other_streams_are_as_severe_as_they_are() {
    let (daemon, desk) = (Daemon::start(Maker::SyslogNg, None), Desk::new());
    let ngrok = capture("ngrok.pcap");
    let url = daemon.url("syslog+tcp", "?facility=local3");
    let mut arguments = vec!["replay", ngrok.to_str().unwrap(), "-q"];
    for stream in ["--rows", "--hits", "--sources", "--risk"] {
        arguments.extend([stream, &url]);
    }
    succeeds(&desk.run(&arguments));
    let plain = ["replay", ngrok.to_str().unwrap(), "-q", "--format", "jsonl"];
    for (stream, severity) in [
        ("rows", Some(4)),
        ("hits", Some(4)),
        ("sources", Some(5)),
        ("risk", None),
    ] {
        let option = format!("--{stream}");
        let mut arguments = plain.to_vec();
        if stream != "rows" {
            arguments.extend(["--rows", "none"]);
        }
        let written = json_lines(&stdout(&dnsterrier(
            arguments.into_iter().chain([option.as_str(), "-"]),
        )));
        let messages = daemon.wait_for_those(written.len(), |it| it.id == stream);
        assert_eq!(records(&messages), written, "{stream}");
        for (message, record) in messages.iter().zip(&written) {
            // RFC 5424, section 6.2.1: low, medium, high, critical as notice, warning, error, critical.
            let words = [("critical", 2), ("high", 3), ("medium", 4), ("low", 5)];
            let of_risk = words.iter().find(|(word, _)| record["severity"] == *word);
            let severity = severity.unwrap_or_else(|| of_risk.unwrap().1);
            assert_eq!(
                message.priority,
                (19 * 8 + severity).to_string(),
                "{record}"
            );
        }
    }
}

#[test]
fn other_words_are_wrapped_in_nothing() {
    let (daemon, desk) = (Daemon::start(Maker::SyslogNg, None), Desk::new());
    let vlan = capture("vlan.pcap");
    let url = daemon.url("syslog+tcp", "");
    succeeds(&desk.replay(&vlan, &url, &["--event-format", "ocsf"]));
    let output = dnsterrier([
        "replay",
        vlan.to_str().unwrap(),
        "-q",
        "--rows",
        "none",
        "--events",
        "-",
        "--event-format",
        "ocsf",
    ]);
    let written = json_lines(&stdout(&output));
    let messages = daemon.wait_for(written.len());
    assert_eq!(records(&messages), written);
    for (message, record) in messages.iter().zip(&written) {
        let id = record["metadata"]["uid"].as_str().unwrap();
        assert_eq!(
            message.data,
            format!("[dnsterrier@32473 id=\"{id}\" stream=\"events\" as=\"ocsf\"]")
        );
    }
}

/// CEF as pycef reads it.
fn read_cef(messages: &[Message]) -> Vec<Value> {
    let python = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("python/bin/python");
    assert!(
        python.exists(),
        "{} is not there: scripts/test installs it",
        python.display()
    );
    let mut child = Command::new(python)
        .args(["-c", "import sys, json, pycef\nfor line in sys.stdin: print(json.dumps(pycef.parse(line.rstrip('\\n'))))"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: String = messages.iter().map(|it| format!("{}\n", it.text)).collect();
    std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    json_lines(&String::from_utf8(output.stdout).unwrap())
}

#[test]
fn cef_has_the_fields() {
    let (daemon, desk) = (Daemon::start(Maker::Rsyslog, None), Desk::new());
    let ngrok = capture("ngrok.pcap");
    let url = daemon.url("syslog+tcp", "?format=cef");
    let streams = ["rows", "hits", "sources", "risk", "events"];
    let mut arguments = vec!["replay", ngrok.to_str().unwrap(), "-q"];
    let options = streams.map(|stream| format!("--{stream}"));
    let mut written: BTreeMap<(&str, String), Value> = BTreeMap::new();
    for (stream, option) in streams.iter().zip(&options) {
        arguments.extend([option.as_str(), &url]);
        let mut plain = vec!["replay", ngrok.to_str().unwrap(), "-q", "--format", "jsonl"];
        if *stream != "rows" {
            plain.extend(["--rows", "none"]);
        }
        for record in json_lines(&stdout(&dnsterrier(
            plain.into_iter().chain([option.as_str(), "-"]),
        ))) {
            let id = record["event_id"].as_str().unwrap().to_owned();
            written.insert((stream, id), record);
        }
    }
    succeeds(&desk.run(&arguments));
    // Hits of one event have one id.
    let hits = json_lines(&stdout(&dnsterrier([
        "replay",
        ngrok.to_str().unwrap(),
        "-q",
        "--rows",
        "none",
        "--hits",
        "-",
    ])))
    .len();
    let distinct = written
        .keys()
        .filter(|(stream, _)| *stream == "hits")
        .count();
    let messages = daemon.wait_for(written.len() - distinct + hits);
    let mut seen = BTreeMap::new();
    for cef in read_cef(&messages) {
        let stream = cef["cat"].as_str().unwrap().to_owned();
        let id = cef["externalId"].as_str().unwrap().to_owned();
        let (key, record) = written
            .iter()
            .find(|((a, b), _)| *a == stream && *b == id)
            .unwrap();
        let text = |name: &str| match &record[name] {
            Value::String(text) => text.clone(),
            Value::Array(list) => list
                .iter()
                .map(|it| it.as_str().unwrap())
                .collect::<Vec<_>>()
                .join(", "),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        // pycef calls fields by their labels.
        let is = |name: &str, expected: String| {
            let found = cef[name].as_str().unwrap_or_default();
            // It leaves the signs of escape where they are.
            let found = found.replace("\\=", "=").replace("\\\\", "\\");
            assert_eq!(found, expected, "{name} of {cef}\n{record}");
        };
        assert_eq!(
            (&cef["DeviceVendor"], &cef["CEFVersion"]),
            (&json!("dnsterrier"), &json!("0"))
        );
        is(
            "dvchost",
            text(if record["host"].is_string() {
                "host"
            } else {
                "sensor"
            }),
        );
        let time = ["_time", "lastTime", "encrypted_dns_lastTime"].map(text);
        let time: jiff::Timestamp = time
            .iter()
            .find(|it| !it.is_empty())
            .unwrap()
            .parse()
            .unwrap();
        is("rt", time.as_millisecond().to_string());
        match text("src").parse() {
            Ok(std::net::IpAddr::V4(_)) => is("src", text("src")),
            Ok(std::net::IpAddr::V6(_)) => is("Source IPv6 Address", text("src")),
            Err(_) => panic!("{record}"),
        }
        is("proto", text("transport").to_uppercase());
        is("spt", text("src_port"));
        is("dpt", text("dest_port"));
        is("outcome", text("outcome"));
        let (signature, severity) = match stream.as_str() {
            "events" => ("dns".to_owned(), "0".to_owned()),
            "sources" => ("source".to_owned(), "1".to_owned()),
            "risk" => (
                text("search_name"),
                ((record["risk_score"].as_f64().unwrap() / 10.0).round()).to_string(),
            ),
            _ => (text("rule"), "5".to_owned()),
        };
        is("Severity", severity);
        if stream != "hits" {
            is("DeviceEventClassID", signature);
        }
        for name in [
            "query",
            "names",
            "record_type",
            "answer",
            "reply_code",
            "anomalies",
            "risk_score",
        ] {
            let is_behind = (name == "answer" && stream == "sources") || text(name).is_empty();
            if !is_behind {
                is(name, text(name));
            }
        }
        is("msg", text("risk_message"));
        *seen.entry(key.0).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
}

#[test]
fn what_a_daemon_had_not_read_when_it_was_killed_comes_again() {
    for maker in MAKERS {
        let (mut daemon, desk) = (Daemon::start(maker, None), Desk::new());
        let ngrok = std::fs::read(capture("ngrok.pcap")).unwrap();
        let url = daemon.url("syslog+tcp", "");
        let mut child = desk
            .command(&["replay", "-", "--rows", "none", "--events", &url])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(&ngrok[..ngrok.len() / 2]).unwrap();
        input.flush().unwrap();
        let read = daemon.wait_for(50).len();
        // What is written to it now it never reads.
        daemon.freeze();
        input
            .write_all(&ngrok[ngrok.len() / 2..ngrok.len() * 19 / 20])
            .unwrap();
        input.flush().unwrap();
        let delivered = || {
            // It is not there before the first batch is.
            let cursor = std::fs::read(desk.spool().join("cursor.json")).unwrap_or_default();
            let cursor: Value = serde_json::from_slice(&cursor).unwrap_or_default();
            cursor["next"].as_u64().unwrap_or_default()
        };
        for _ in 0..1_200 {
            if delivered() > read as u64 + 50 {
                break;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        assert!(delivered() > read as u64 + 50);
        daemon.kill();
        daemon.start_again();
        input.write_all(&ngrok[ngrok.len() * 19 / 20..]).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        succeeds(&output);
        // The source of standard input is another.
        let strip = |events: BTreeMap<String, Value>| -> BTreeMap<String, Value> {
            let without = |(id, mut it): (String, Value)| {
                it.as_object_mut().unwrap().shift_remove("source");
                (id, it)
            };
            events.into_iter().map(without).collect()
        };
        let whole = strip(expected(&capture("ngrok.pcap")));
        for _ in 0..400 {
            if by_id(records(&daemon.messages())).len() == whole.len() {
                break;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        assert_eq!(
            strip(by_id(records(&daemon.messages()))),
            whole,
            "{maker:?}"
        );
    }
}

/// What a receiver does with a connection.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Reads so many bytes, and cuts it with more unread.
    Cuts(usize),
    /// Reads to the end, and ends it.
    Reads,
    /// Reads to the end, and does not end it.
    NeverEnds,
    /// Reads nothing.
    Stalls,
}

/// A receiver that does these things with its connections, one after another, and the last for ever; gives what each of
/// those that it read to the end held.
fn receiver(manners: Vec<Manner>) -> (String, Receiver<Vec<Value>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("syslog+tcp://{}", listener.local_addr().unwrap());
    (url, receive(listener, manners))
}

fn receive(listener: TcpListener, manners: Vec<Manner>) -> Receiver<Vec<Value>> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for (number, connection) in listener.incoming().flatten().enumerate() {
            let manner = manners[number.min(manners.len() - 1)];
            match manner {
                Manner::Cuts(bytes) => {
                    let mut connection = connection;
                    connection.read_exact(&mut vec![0; bytes]).unwrap();
                }
                Manner::Stalls => held.push(connection),
                Manner::Reads | Manner::NeverEnds => {
                    let kept = connection.try_clone().unwrap();
                    tell.send(frames(connection)).ok();
                    if matches!(manner, Manner::NeverEnds) {
                        held.push(kept);
                    }
                }
            }
        }
    });
    told
}

/// The records of a connection, each in a message with its length in front (RFC 6587, section 3.4.1).
fn frames(connection: impl Read) -> Vec<Value> {
    let mut reader = BufReader::new(connection);
    let mut list = Vec::new();
    loop {
        let mut length = 0;
        loop {
            let mut byte = [0];
            if reader.read(&mut byte).unwrap_or(0) == 0 {
                assert_eq!(length, 0, "it ended in the middle of a length");
                return list;
            }
            if byte[0] == b' ' {
                break;
            }
            assert!(byte[0].is_ascii_digit(), "{byte:?}");
            length = length * 10 + usize::from(byte[0] - b'0');
        }
        let mut message = vec![0; length];
        if reader.read_exact(&mut message).is_err() {
            return list;
        }
        let message = String::from_utf8(message).unwrap();
        let (_, text) = message.split_once("] ").unwrap();
        list.push(serde_json::from_str(text).unwrap());
    }
}

#[test]
fn a_connection_that_is_cut_loses_nothing() {
    let ngrok = capture("ngrok.pcap");
    for (options, manners) in [
        (
            "",
            vec![Manner::Cuts(1_000), Manner::Cuts(30_000), Manner::Reads],
        ),
        (
            "?confirm=true",
            vec![Manner::Cuts(1_000), Manner::Cuts(300_000), Manner::Reads],
        ),
    ] {
        let ((url, told), desk) = (receiver(manners), Desk::new());
        let output = desk.replay(&ngrok, &format!("{url}{options}"), &[]);
        succeeds(&output);
        let mut whole = BTreeMap::new();
        while let Ok(events) = told.recv_timeout(Duration::from_secs(1)) {
            whole.extend(by_id(events));
        }
        assert_eq!(whole, expected(&ngrok), "{options}");
        let delivery = desk.delivery();
        assert_eq!(delivery["delivered"], whole.len());
        assert!(delivery["retried"].as_u64().unwrap() >= 1, "{delivery}");
    }
}

#[test]
fn a_batch_that_is_to_be_confirmed_has_a_connection_of_its_own() {
    let ((url, told), desk) = (receiver(vec![Manner::Reads]), Desk::new());
    let ngrok = std::fs::read(capture("ngrok.pcap")).unwrap();
    let url = format!("{url}?confirm=true");
    let mut child = desk
        .command(&["replay", "-", "--rows", "none", "--events", &url])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut came = Vec::new();
    let (half, rest) = ngrok.split_at(ngrok.len() / 2);
    for part in [half, rest] {
        input.write_all(part).unwrap();
        input.flush().unwrap();
        // Its end comes before the run's.
        came.extend(told.recv_timeout(Duration::from_secs(60)).unwrap());
    }
    drop(input);
    assert!(child.wait().unwrap().success());
    came.extend(told.try_iter().flatten());
    assert_eq!(by_id(came).len(), expected(&capture("ngrok.pcap")).len());
}

#[test]
fn who_never_ends_a_connection_confirms_nothing() {
    let ngrok = capture("ngrok.pcap");
    let ((url, told), desk) = (receiver(vec![Manner::NeverEnds]), Desk::new());
    let url_confirmed = format!("{url}?confirm=true&timeout=1s");
    let output = desk.replay(&ngrok, &url_confirmed, &["--deliver-timeout", "3s"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("confirm=true"),
        "{}",
        stderr(&output)
    );
    assert_eq!(desk.delivery()["left"], expected(&ngrok).len());
    // Who does not ask for it, has it delivered.
    let desk = Desk::new();
    succeeds(&desk.replay(&ngrok, &format!("{url}?timeout=1s"), &[]));
    assert_eq!(desk.delivery()["delivered"], expected(&ngrok).len());
    assert_eq!(by_id(told.recv().unwrap()), expected(&ngrok));
}

#[test]
fn what_a_receiver_does_not_read_waits_in_the_spool() {
    let ngrok = capture("ngrok.pcap");
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (desk, url) = (Desk::new(), format!("syslog+tcp://{address}?timeout=1s"));
    // More than the buffers in between hold, while nobody listens.
    let mut whole = BTreeMap::new();
    for sensor in 0..14 {
        let sensor = format!("tap{sensor}");
        let plain = dnsterrier([
            "replay",
            ngrok.to_str().unwrap(),
            "-q",
            "--sensor",
            &sensor,
            "--rows",
            "none",
            "--events",
            "-",
        ]);
        whole.extend(by_id(json_lines(&stdout(&plain))));
        let more = ["--sensor", &sensor, "--deliver-timeout", "10ms"];
        let output = desk.replay(&ngrok, &url, &more);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    }
    let told = receive(
        TcpListener::bind(address).unwrap(),
        vec![Manner::Stalls, Manner::Reads],
    );
    let output = desk.run(&["spool", "flush"]);
    succeeds(&output);
    assert!(stderr(&output).contains("timeout"), "{}", stderr(&output));
    assert_eq!(by_id(told.recv().unwrap()), whole);
}

#[test]
fn where_nobody_listens_datagrams_wait() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let (desk, vlan) = (Desk::new(), capture("vlan.pcap"));
    let url = format!("syslog+udp://{address}");
    let output = desk.replay(&vlan, &url, &["--deliver-timeout", "1s"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("refused"), "{}", stderr(&output));
    assert_eq!(desk.delivery()["left"], expected(&vlan).len());
    let socket = UdpSocket::bind(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    succeeds(&desk.run(&["spool", "flush"]));
    let came = expected(&vlan).into_keys().map(|_| {
        let mut bytes = vec![0; 65_536];
        let length = socket.recv(&mut bytes).unwrap();
        let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
        serde_json::from_str::<Value>(text.split_once("] ").unwrap().1).unwrap()
    });
    assert_eq!(by_id(came), expected(&vlan));
}

#[test]
fn what_is_too_long_is_cut_and_counted() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let (desk, vlan) = (Desk::new(), capture("vlan.pcap"));
    // About half of them fit; what stands in front of the record takes some hundred bytes.
    let mut lengths: Vec<usize> = expected(&vlan)
        .values()
        .map(|it| it.to_string().len())
        .collect();
    lengths.sort_unstable();
    let size = lengths[lengths.len() / 2] + 130;
    let url = format!("syslog+udp://{}?size={size}", socket.local_addr().unwrap());
    let output = desk.replay(&vlan, &url, &[]);
    succeeds(&output);
    let count = expected(&vlan).len();
    let mut cut = 0;
    for _ in 0..count {
        let mut bytes = vec![0; 65_536];
        let length = socket.recv(&mut bytes).unwrap();
        let text = std::str::from_utf8(&bytes[..length]).unwrap();
        let json = text.split_once("] ").unwrap().1;
        let is_whole = serde_json::from_str::<Value>(json).is_ok();
        assert_eq!(text.contains(" cut=\"true\"]"), !is_whole);
        assert!(length <= size && (is_whole || length == size));
        cut += usize::from(!is_whole);
    }
    assert!(cut > 0 && cut < count, "{cut} of {count}");
    assert_eq!(desk.delivery()["cut"], cut);
    assert_eq!(desk.delivery()["delivered"], count);
    assert!(
        stderr(&output).contains(&format!("{cut} of them cut")),
        "{}",
        stderr(&output)
    );
}

#[test]
fn what_is_wrong_is_said_before_anything_is_read() {
    let desk = Desk::new();
    let ngrok = capture("ngrok.pcap");
    for (url, part) in [
        (
            "syslog+tcp://127.0.0.1:1/x",
            "nothing stands behind the port",
        ),
        ("syslog+tcp://127.0.0.1:1?size=10", "from 480 to"),
        ("syslog+udp://127.0.0.1:1?size=70000", "from 480 to 65507"),
        (
            "syslog+udp://127.0.0.1:1?confirm=true",
            "no option 'confirm'",
        ),
        ("syslog+tcp://127.0.0.1:1?facility=kernel", "local0"),
        ("syslog+tcp://127.0.0.1:1?format=leef", "json or cef"),
        ("syslog+tcp://127.0.0.1:1?ca=x", "syslog+tls://"),
        (
            "syslog+tls://127.0.0.1:1?certificate_file=x",
            "certificate_file and certificate_key_file",
        ),
        (
            "syslog+tls://127.0.0.1:1?ca=/nowhere",
            "the certificates in /nowhere",
        ),
        ("syslog+tls://u:p@127.0.0.1:1", "certificate_file=FILE"),
        ("syslog://127.0.0.1", "syslog+tls://HOST"),
    ] {
        let output = desk.run(&["replay", ngrok.to_str().unwrap(), "--events", url]);
        assert!(
            matches!(output.status.code(), Some(1 | 2)),
            "{}",
            stderr(&output)
        );
        assert!(stderr(&output).contains(part), "{url}: {}", stderr(&output));
        assert!(!desk.spools().exists());
    }
}
