//! What comes to Splunk's collector when all is well.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::collector::{Collector, TOKEN};
use crate::common::{json_lines, stderr};
use crate::run::{Desk, by_id, capture, expected, received, succeeds};

#[test]
fn every_event_comes_once_with_its_time_and_origin() {
    let (collector, desk) = (Collector::start(), Desk::new());
    let ngrok = capture("ngrok.pcap");
    let output = desk.replay(&ngrok, &collector.url("?index=dns"), &["--sensor", "tap1"]);
    succeeds(&output);
    let envelopes = collector.events();
    let found: Vec<Value> = envelopes.iter().map(|it| it["event"].clone()).collect();
    let written = crate::common::dnsterrier([
        "replay",
        ngrok.to_str().unwrap(),
        "--quiet",
        "--sensor",
        "tap1",
        "--rows",
        "none",
        "--events",
        "-",
    ]);
    // In the same order, each once.
    assert_eq!(found, json_lines(&crate::common::stdout(&written)));
    for envelope in &envelopes {
        assert_eq!(envelope["host"], "tap1");
        assert_eq!(envelope["index"], "dns");
        assert_eq!(envelope["sourcetype"], "dnsterrier:dns");
        assert_eq!(envelope["source"], envelope["event"]["source"]);
        let time = envelope["time"].as_f64().unwrap();
        let text = envelope["event"]["_time"].as_str().unwrap();
        let expected: jiff::Timestamp = text.parse().unwrap();
        assert_eq!(time, expected.as_microsecond() as f64 / 1e6);
    }
    let delivery = desk.delivery();
    assert_eq!(delivery["delivered"], envelopes.len());
    assert_eq!(delivery["queued"], envelopes.len());
    assert_eq!(delivery["trouble"], Value::Null);
    assert!(desk.segments().is_empty(), "something is left");
    assert!(
        stderr(&output).contains(&format!(
            "events to {}: {} delivered.",
            collector.url("?index=dns"),
            envelopes.len()
        )),
        "{}",
        stderr(&output)
    );
}

#[test]
fn all_streams_go_to_one_place_each_as_it_is() {
    let (collector, desk) = (Collector::start(), Desk::new());
    let ngrok = capture("ngrok.pcap");
    let url = collector.url("");
    let ngrok = ngrok.to_str().unwrap();
    let streams = ["rows", "hits", "sources", "risk", "events"];
    let (mut arguments, mut plain) = (vec!["replay", ngrok, "-q"], vec!["replay", ngrok, "-q"]);
    let options = streams.map(|stream| format!("--{stream}"));
    let files = streams.map(|stream| desk.path(&format!("{stream}.jsonl")));
    for (option, file) in options.iter().zip(&files) {
        arguments.extend([option, url.as_str()]);
        plain.extend([option, file.to_str().unwrap()]);
    }
    succeeds(&desk.run(&arguments));
    succeeds(&desk.run(&plain));
    let mut came: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for envelope in collector.events() {
        let sourcetype = envelope["sourcetype"].as_str().unwrap().to_owned();
        assert!(envelope["time"].is_number(), "{envelope}");
        assert!(envelope["host"].is_string(), "{envelope}");
        came.entry(sourcetype)
            .or_default()
            .push(envelope["event"].clone());
    }
    for (file, name) in files.iter().zip(["row", "hit", "source", "risk", "dns"]) {
        let written = json_lines(&std::fs::read_to_string(file).unwrap());
        assert!(!written.is_empty(), "{name}");
        assert_eq!(came[&format!("dnsterrier:{name}")], written, "{name}");
    }
}

#[test]
fn a_token_can_be_in_a_file() {
    let (collector, desk) = (Collector::start(), Desk::new());
    let token = desk.path("token");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let url = collector.url(&format!("?token_file={}", token.display()));
    let ngrok = capture("ngrok.pcap");
    let output = desk
        .command(&[
            "replay",
            ngrok.to_str().unwrap(),
            "--rows",
            "none",
            "--events",
            &url,
        ])
        .env_remove("DNSTERRIER_HEC_TOKEN")
        .output()
        .unwrap();
    succeeds(&output);
    assert_eq!(received(collector.events()), expected(&ngrok));
}

/// A certificate of an authority of our own for an address: authority, certificate and key.
pub(crate) fn certificates(desk: &Desk, address: &str) -> [std::path::PathBuf; 3] {
    let openssl = |arguments: &str| {
        let output = std::process::Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(desk.path("."))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout ca.key -out ca.pem -days 30 -subj /CN=authority"
    ));
    openssl(&format!(
        "req {key} -keyout key.pem -out request.pem -subj /CN=collector"
    ));
    std::fs::write(desk.path("names"), format!("subjectAltName=IP:{address}\n")).unwrap();
    openssl(
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out certificate.pem",
    );
    ["ca.pem", "certificate.pem", "key.pem"].map(|name| desk.path(name))
}

#[test]
fn over_tls_only_who_is_trusted_gets_anything() {
    let (collector, desk) = (Collector::start(), Desk::new());
    let [authority, certificate, key] = certificates(&desk, "127.0.0.1");
    let ngrok = capture("ngrok.pcap");
    // The system does not know this authority.
    let unknown = collector.over_tls(&certificate, &key, "");
    let output = desk.replay(&ngrok, &unknown, &["--deliver-timeout", "3s"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("certificate"),
        "{}",
        stderr(&output)
    );
    assert_eq!(collector.requests(), 0);
    let option = format!("?ca={}", authority.display());
    let url = collector.over_tls(&certificate, &key, &option);
    let output = desk.replay(&ngrok, &url, &[]);
    succeeds(&output);
    assert_eq!(received(collector.events()), expected(&ngrok));
    // A certificate for another address, of an authority that is trusted.
    let [_, certificate, key] = certificates(&desk, "127.0.0.9");
    let other = collector.over_tls(&certificate, &key, &option);
    let output = desk.replay(&ngrok, &other, &["--deliver-timeout", "3s"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("not valid for name"),
        "{}",
        stderr(&output)
    );
    let nothing = desk.path("names");
    let output = desk.replay(
        &ngrok,
        &url.replace("ca.pem", "names"),
        &["--deliver-timeout", "3s"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains(&format!("the certificates in {}", nothing.display())),
        "{}",
        stderr(&output)
    );
}

#[test]
fn events_count_when_the_collector_acknowledges_them() {
    let (collector, desk) = (Collector::start(), Desk::new());
    collector.acknowledges();
    let ngrok = capture("ngrok.pcap");
    succeeds(&desk.replay(&ngrok, &collector.url("?ack=true"), &[]));
    assert_eq!(received(collector.events()), expected(&ngrok));
    let channels = collector.channels();
    assert!(channels.len() >= 2, "nobody asked: {channels:?}");
    assert!(
        channels
            .iter()
            .all(|it| *it == channels[0] && it.len() == 36)
    );
}

#[test]
fn what_is_wrong_is_said_before_anything_is_read() {
    let desk = Desk::new();
    let ngrok = capture("ngrok.pcap");
    let refused = |url: &str, token: bool| {
        let mut command = desk.command(&["replay", ngrok.to_str().unwrap(), "--events", url]);
        if !token {
            command.env_remove("DNSTERRIER_HEC_TOKEN");
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(!desk.spools().exists());
        stderr(&output)
    };
    assert!(refused("hec+http://127.0.0.1:1", false).contains("DNSTERRIER_HEC_TOKEN"));
    assert!(refused("hec+http://127.0.0.1:1/x", true).contains("nothing stands behind the port"));
    assert!(refused("hec+http://127.0.0.1:1?ack=yes", true).contains("true or false"));
    assert!(refused("hec+http://127.0.0.1:1?timeout=x", true).contains("span of time"));
    let said = refused("hec+http://127.0.0.1:1?token=abc", true);
    assert!(said.contains("DNSTERRIER_HEC_TOKEN") && !said.contains("abc"));
}

#[test]
fn records_are_by_their_id() {
    // The oracle of the other tests.
    let twice = [json!({"event_id": "a"}), json!({"event_id": "a"})];
    assert_eq!(by_id(twice).len(), 1);
}

#[test]
fn events_can_be_in_other_words() {
    let ngrok = capture("ngrok.pcap");
    for format in ["ecs", "ocsf", "zeek-json", "eve"] {
        let (collector, desk) = (Collector::start(), Desk::new());
        let more = ["--event-format", format, "--sensor", "tap1"];
        succeeds(&desk.replay(&ngrok, &collector.url(""), &more));
        let mut plain = vec!["replay", ngrok.to_str().unwrap(), "-q", "--rows", "none"];
        plain.extend(["--events", "-"].iter().chain(&more));
        let written = json_lines(&crate::common::stdout(&crate::common::dnsterrier(plain)));
        let envelopes = collector.events();
        let came: Vec<Value> = envelopes.iter().map(|it| it["event"].clone()).collect();
        assert!(!came.is_empty());
        assert_eq!(came, written, "{format}");
        assert_eq!(desk.delivery()["delivered"], came.len());
        for envelope in &envelopes {
            assert_eq!(envelope["sourcetype"], format!("dnsterrier:dns:{format}"));
            assert_eq!(envelope["host"], "tap1");
            assert_eq!(envelope["source"], ngrok.to_str().unwrap());
            assert!(envelope["time"].is_number());
        }
    }
}
