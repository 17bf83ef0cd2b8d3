//! Runs of the program that deliver, each with a spool of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::collector::TOKEN;
use crate::common::{PROGRAM, file, json_lines, stderr};

/// A folder for a run.
pub(crate) struct Desk {
    folder: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn spools(&self) -> PathBuf {
        self.path("spool")
    }

    /// The folder of the only spool.
    pub(crate) fn spool(&self) -> PathBuf {
        let list: Vec<PathBuf> = std::fs::read_dir(self.spools())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        let [one] = list.as_slice() else {
            panic!("not one spool: {list:?}");
        };
        one.clone()
    }

    /// The files of records in it, oldest first.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let mut list: Vec<PathBuf> = std::fs::read_dir(self.spool())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|it| it == "segment"))
            .collect();
        list.sort();
        list
    }

    /// The program with a token, and with the spool and the statistics here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .arg("--spool")
            .arg(self.spools())
            .env("DNSTERRIER_HEC_TOKEN", TOKEN)
            .stdin(Stdio::null());
        for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(proxy);
            command.env_remove(proxy.to_ascii_uppercase());
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Replays a capture's events to a place.
    pub(crate) fn replay(&self, capture: &Path, url: &str, more: &[&str]) -> Output {
        let stats = self.path("stats.json");
        let mut arguments = vec![
            "replay",
            capture.to_str().unwrap(),
            "--rows",
            "none",
            "--events",
            url,
            "--stats",
            stats.to_str().unwrap(),
        ];
        arguments.extend(more);
        self.run(&arguments)
    }

    /// What the statistics of the last run say of its only delivery, after their identities were looked at.
    pub(crate) fn delivery(&self) -> Value {
        let text = std::fs::read_to_string(self.path("stats.json")).unwrap();
        let stats: Value = serde_json::from_str(&text).unwrap();
        for identity in stats["identities"].as_array().unwrap() {
            assert_eq!(identity["holds"], true, "{identity}");
        }
        let deliveries = stats["deliveries"].as_array().unwrap().iter();
        let asked_for: Vec<&Value> = deliveries.filter(|it| it["stream"] != "sensors").collect();
        assert_eq!(asked_for.len(), 1);
        asked_for[0].clone()
    }
}

/// A capture of the repository.
pub(crate) fn capture(name: &str) -> PathBuf {
    file("captures").join(name)
}

/// A capture with many lookups.
pub(crate) fn many(desk: &Desk, copies: u32) -> PathBuf {
    let path = desk.path("many.pcap");
    let mut file = std::fs::read(capture("ngrok.pcap")).unwrap();
    let records = file.split_off(24);
    // Copies of the packets, each 1,000 s later.
    for copy in 0..copies {
        let mut rest = records.as_slice();
        while rest.len() >= 16 {
            let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
            let seconds = u32::from_le_bytes(rest[0..4].try_into().unwrap()) + copy * 1_000;
            file.extend(seconds.to_le_bytes());
            file.extend(&rest[4..16 + length]);
            rest = &rest[16 + length..];
        }
    }
    std::fs::write(&path, file).unwrap();
    path
}

/// The events of a capture, as a file has them with these options.
pub(crate) fn written(capture: &Path, options: &[&str]) -> Vec<Value> {
    let capture = capture.to_str().unwrap();
    let words = [
        "replay", capture, "--quiet", "--rows", "none", "--events", "-",
    ];
    let output = crate::common::dnsterrier([&words, options].concat());
    json_lines(&crate::common::stdout(&output))
}

/// The same by their id, in our own words.
pub(crate) fn expected(capture: &Path) -> BTreeMap<String, Value> {
    by_id(written(capture, &[]))
}

/// Records by their id; those that came twice are the same.
pub(crate) fn by_id(events: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let mut map = BTreeMap::new();
    for event in events {
        let id = event["event_id"].as_str().unwrap().to_owned();
        if let Some(other) = map.insert(id, event.clone()) {
            assert_eq!(other, event, "two with one id");
        }
    }
    map
}

/// What came to a collector, by its id.
pub(crate) fn received(envelopes: Vec<Value>) -> BTreeMap<String, Value> {
    by_id(envelopes.into_iter().map(|it| it["event"].clone()))
}

pub(crate) fn succeeds(output: &Output) {
    assert!(
        output.status.success(),
        "{}\n{}",
        output.status,
        stderr(output)
    );
}
