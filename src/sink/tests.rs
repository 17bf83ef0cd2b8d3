//! Streams to real files, pipes and full devices.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use serde::Serialize;
use serde_json::Value;

use super::record::Named;
use super::*;
use crate::event::{Anomaly, Edns, Event, Mac, Outcome, Role, Seen};
use crate::frame::Transport;
use crate::message;
use crate::rule::Function;
use crate::time::Timestamp;

#[derive(Serialize)]
struct Note {
    name: String,
    list: Vec<String>,
}

impl Note {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            list: Vec::new(),
        }
    }
}

impl Record for Note {
    fn fill(&self, column: &str, cell: &mut Cell) {
        match column {
            "name" => cell.value(&self.name),
            "list" => self.list.iter().for_each(|item| cell.item(item)),
            _ => {}
        }
    }
}

fn options(columns: &[String], live: bool) -> Options<'_> {
    Options {
        live,
        format: Format::Table,
        event_format: EventFormat::Cim,
        columns,
        shared_stdout: false,
        table: TableOptions::default(),
    }
}

fn note_columns() -> Vec<String> {
    ["name", "list", "missing"].map(str::to_owned).to_vec()
}

fn open(path: &Path, live: bool) -> Result<Writer, SinkError> {
    let place = Place::parse(path.to_str().unwrap())?;
    Writer::open(Stream::Events, &[place], &options(&note_columns(), live))
}

pub(super) fn says(result: Result<impl std::fmt::Debug, SinkError>, parts: &[&str]) {
    let text = result.expect_err("should fail").to_string();
    for part in parts {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
}

#[test]
fn a_replays_file_appears_when_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (path, partial) = (
        dir.path().join("e.jsonl"),
        dir.path().join("e.jsonl.partial"),
    );
    fs::write(&path, "of an earlier run\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&partial, "what an earlier run left").unwrap();
    let mut writer = open(&path, false).unwrap();
    writer.write(&Note::new("a")).unwrap();
    writer.flush().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "of an earlier run\n");
    assert_eq!(
        fs::read_to_string(&partial).unwrap(),
        "{\"name\":\"a\",\"list\":[]}\n"
    );
    says(
        open(&path, false),
        &["e.jsonl", "another run is writing it"],
    );
    writer.write(&Note::new("b")).unwrap();
    writer.finish().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(!partial.exists());
}

#[test]
fn an_early_end_leaves_a_partial_file_of_whole_records() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("e.csv");
    let mut writer = open(&path, false).unwrap();
    writer.write(&Note::new("a")).unwrap();
    drop(writer);
    assert!(!path.exists());
    assert_eq!(
        fs::read_to_string(dir.path().join("e.csv.partial"))
            .unwrap()
            .lines()
            .count(),
        2
    );
}

#[test]
fn a_link_stays_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real.jsonl"), dir.path().join("link.jsonl"));
    fs::write(&real, "").unwrap();
    symlink(&real, &link).unwrap();
    let mut writer = open(&link, false).unwrap();
    writer.write(&Note::new("a")).unwrap();
    writer.finish().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap().lines().count(), 1);
}

#[test]
fn a_partial_file_that_is_a_trap_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, dir.path().join("e.jsonl.partial")).unwrap();
    assert!(open(&dir.path().join("e.jsonl"), false).is_err());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn a_live_file_grows_by_whole_records_under_one_header() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("e.csv");
    for name in ["a", "b"] {
        let mut writer = open(&path, true).unwrap();
        writer.write(&Note::new(name)).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        assert!(before.is_empty() || before.ends_with('\n'));
        writer.flush().unwrap();
        assert!(
            fs::read_to_string(&path)
                .unwrap()
                .ends_with(&format!("{name},,\n"))
        );
        writer.finish().unwrap();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "name,list,missing\na,,\nb,,\n"
    );
    fs::write(&path, "name,other\n1,2\n").unwrap();
    says(
        open(&path, true),
        &["e.csv", "other columns", "give another file"],
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "name,other\n1,2\n");
}

#[test]
fn half_a_line_of_a_killed_run_spoils_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("e.jsonl");
    fs::write(&path, "{\"name\":\"a\"}\n{\"na").unwrap();
    let mut writer = open(&path, true).unwrap();
    writer.write(&Note::new("b")).unwrap();
    writer.finish().unwrap();
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "{\"name\":\"a\"}\n{\"na\n{\"name\":\"b\",\"list\":[]}\n"
    );
}

#[test]
fn a_live_file_is_opened_again_when_it_was_moved_away() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("e.csv"), dir.path().join("e.csv.1"));
    let mut writer = open(&path, true).unwrap();
    writer.write(&Note::new("a")).unwrap();
    writer.reopen().unwrap();
    fs::rename(&path, &old).unwrap();
    writer.write(&Note::new("b")).unwrap();
    writer.reopen().unwrap();
    writer.write(&Note::new("c")).unwrap();
    writer.finish().unwrap();
    assert_eq!(
        fs::read_to_string(&old).unwrap(),
        "name,list,missing\na,,\nb,,\n"
    );
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "name,list,missing\nc,,\n"
    );
}

/// What the programs of the formats say of a file; they fail on half a member.
fn unpacked(path: &Path) -> String {
    let program = if path.to_str().unwrap().contains(".gz") {
        "gzip"
    } else {
        "zstd"
    };
    let output = std::process::Command::new(program)
        .arg("-dc")
        .stdin(fs::File::open(path).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn compressed_files_are_whole_at_every_moment() {
    let dir = tempfile::tempdir().unwrap();
    for ending in ["csv.gz", "csv.zst"] {
        let path = dir.path().join(format!("e.{ending}"));
        let mut writer = open(&path, true).unwrap();
        let mut text = "name,list,missing\n".to_owned();
        for name in ["a", "b"] {
            writer.write(&Note::new(name)).unwrap();
            writer.flush().unwrap();
            text += &format!("{name},,\n");
            assert_eq!(unpacked(&path), text);
        }
        writer.finish().unwrap();
        // A crash in the middle of a member: what was whole stays, and what comes is read.
        let whole = fs::read(&path).unwrap();
        for cut in [1, 4, 9] {
            let mut torn = whole.clone();
            torn.extend(&whole[..cut]);
            fs::write(&path, torn).unwrap();
            let mut writer = open(&path, true).unwrap();
            writer.write(&Note::new("c")).unwrap();
            writer.finish().unwrap();
            assert_eq!(unpacked(&path), format!("{text}c,,\n"), "{ending} {cut}");
        }
        // Another header, another format: refused, and left as it is.
        let place = Place::parse(path.to_str().unwrap()).unwrap();
        let other = [String::from("other")];
        says(
            Writer::open(Stream::Events, &[place], &options(&other, true)),
            &["other columns"],
        );
        for foreign in ["x", "name,list\na,\n"] {
            fs::write(&path, foreign).unwrap();
            says(open(&path, true), &["not compressed as its name says"]);
            assert_eq!(fs::read_to_string(&path).unwrap(), foreign);
        }
        // A replay's is there when it is whole.
        let path = dir.path().join(format!("whole.{ending}"));
        let mut writer = open(&path, false).unwrap();
        writer.write(&Note::new("a")).unwrap();
        assert!(!path.exists());
        writer.finish().unwrap();
        assert_eq!(unpacked(&path), "name,list,missing\na,,\n");
    }
}

#[test]
fn files_are_rotated_by_size_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("e.x.csv.gz");
    let mut writer = open(&path, true).unwrap();
    let time = |text| Timestamp::parse(text).unwrap();
    let mut rotation = Rotation::new(None, Some(std::time::Duration::from_secs(3600)));
    assert_eq!(rotation.advance(time("2026-11-28T17:59:59Z")), None);
    assert_eq!(rotation.advance(time("2026-11-28T17:59:59.9Z")), None);
    let over = rotation.advance(time("2026-11-28T18:00:01Z"));
    assert_eq!(over, Some(time("2026-11-28T18:00:00Z")));
    // Time goes back a little, and comes again.
    assert_eq!(rotation.advance(time("2026-11-28T17:59:59Z")), None);
    let now = time("2026-11-28T18:00:01Z");
    assert_eq!(rotation.advance(now), None);

    // A file without a record of this run is not worth a name.
    writer.rotate(Rotation::default(), over, now).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    writer.write(&Note::new("a")).unwrap();
    writer.rotate(Rotation::default(), over, now).unwrap();
    writer.write(&Note::new("b")).unwrap();
    writer
        .rotate(Rotation::new(Some(1_000_000), None), None, now)
        .unwrap();
    writer.flush().unwrap();
    writer
        .rotate(Rotation::new(Some(10), None), None, now)
        .unwrap();
    writer.write(&Note::new("c")).unwrap();
    writer.rotate(Rotation::default(), over, now).unwrap();
    writer.finish().unwrap();
    let read = |name: &str| {
        let text = unpacked(&dir.path().join(name));
        text.strip_prefix("name,list,missing\n").unwrap().to_owned()
    };
    assert_eq!(read("e.x.2026-11-28T18-00-00Z.csv.gz"), "a,,\n");
    assert_eq!(read("e.x.2026-11-28T18-00-01Z.csv.gz"), "b,,\n");
    assert_eq!(read("e.x.2026-11-28T18-00-00Z.2.csv.gz"), "c,,\n");
    assert_eq!(read("e.x.csv.gz"), "");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}

#[test]
fn places_that_cannot_be_opened_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("no/such/e.jsonl");
    says(
        open(&missing, false),
        &["cannot write to", "there is no directory", "mkdir -p"],
    );
    says(open(&missing, true), &["mkdir -p"]);
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    says(
        open(&file.join("e.jsonl"), false),
        &["file is not a directory"],
    );
    let folder = dir.path().join("folder.jsonl");
    fs::create_dir(&folder).unwrap();
    says(
        open(&folder, false),
        &["folder.jsonl is a directory: give a file name in it"],
    );
    says(open(&folder, true), &["is a directory"]);
    if !nix::unistd::geteuid().is_root() {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
        says(
            open(&dir.path().join("e.jsonl"), false),
            &["no permission", "choose a directory"],
        );
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn a_full_device_is_named_with_the_systems_reason() {
    let mut writer = open(Path::new("/dev/full"), false).unwrap();
    writer.write(&Note::new("a")).unwrap();
    says(
        writer.flush(),
        &[
            "cannot write to /dev/full",
            "No space left on device",
            "0 events were written",
        ],
    );
    says(writer.finish(), &["/dev/full", "an earlier write failed"]);
}

#[test]
fn a_reader_that_left_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe.jsonl");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let mut writer = open(&path, false).unwrap();
    writer.write(&Note::new("a")).unwrap();
    writer.flush().unwrap();
    drop(reader);
    writer.write(&Note::new("b")).unwrap();
    assert!(matches!(writer.flush(), Err(SinkError::BrokenPipe)));
}

/// Standard output itself, in a process of its own.
#[test]
fn a_reader_of_standard_output_that_left_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let said = dir.path().join("said");
    std::process::Command::new("bash")
        .args([
            "-c",
            "\"$0\" --exact sink::tests::writes_to_standard_output --ignored 2>/dev/null | head -c 1000",
        ])
        .arg(std::env::current_exe().unwrap())
        .env("SINK_TEST_FILE", &said)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(
        fs::read_to_string(said).unwrap(),
        SinkError::BrokenPipe.to_string()
    );
}

/// The other process of the test above.
#[test]
#[ignore = "run by a_reader_of_standard_output_that_left_is_told_apart"]
fn writes_to_standard_output() {
    let Some(said) = std::env::var_os("SINK_TEST_FILE") else {
        return;
    };
    let mut writer = Writer::open(Stream::Events, &[Place::Stdout], &options(&[], false)).unwrap();
    let error = (0..100_000)
        .find_map(|number| writer.write(&Note::new(&format!("{number:050}"))).err())
        .unwrap();
    fs::write(said, error.to_string()).unwrap();
}

/// A real file system that is full: the limit of the process's file size stands in for it, in a process of its own.
#[test]
fn a_full_disk_leaves_whole_records() {
    let dir = tempfile::tempdir().unwrap();
    for live in [false, true] {
        let path = dir.path().join(format!("{live}.jsonl"));
        // SIGXFSZ ignored, a write past the limit fails with EFBIG after a part of it went: as on a disk that fills up.
        let status = std::process::Command::new("bash")
            .args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" --exact sink::tests::writes_until_it_cannot --ignored"])
            .arg(std::env::current_exe().unwrap())
            .env("SINK_TEST_FILE", &path)
            .env("SINK_TEST_LIVE", live.to_string())
            .output()
            .unwrap();
        assert!(
            status.status.success(),
            "{}",
            String::from_utf8_lossy(&status.stdout)
        );
        let left = if live {
            path.clone()
        } else {
            dir.path().join("false.jsonl.partial")
        };
        let text = fs::read_to_string(left).unwrap();
        assert!(text.ends_with("\"list\":[]}\n"));
        assert!((100_000..=102_400).contains(&text.len()), "{}", text.len());
        let parsed: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let records = parsed.len();
        let said = fs::read_to_string(dir.path().join("said")).unwrap();
        assert!(
            said.contains(&format!("{records} events were written")),
            "{said}"
        );
        assert!(
            said.contains(if live {
                "the file ends with the last whole one"
            } else {
                "they are in"
            }),
            "{said}"
        );
        assert_eq!(path.exists(), live);
    }
}

/// The other process of the test above.
#[test]
#[ignore = "run by a_full_disk_leaves_whole_records"]
fn writes_until_it_cannot() {
    let Some(path) = std::env::var_os("SINK_TEST_FILE") else {
        return;
    };
    let path = Path::new(&path);
    let mut writer = open(path, std::env::var("SINK_TEST_LIVE").unwrap() == "true").unwrap();
    let error = (0..10_000)
        .find_map(|number| writer.write(&Note::new(&format!("{number:050}"))).err())
        .unwrap();
    fs::write(path.with_file_name("said"), error.to_string()).unwrap();
    assert!(writer.finish().is_err());
}

/// A compressed file on a full disk: the last whole member ends it, and as many records are in it as the error says.
#[test]
fn a_full_disk_leaves_whole_members() {
    let dir = tempfile::tempdir().unwrap();
    for ending in ["gz", "zst"] {
        let path = dir.path().join(format!("live.jsonl.{ending}"));
        let status = std::process::Command::new("bash")
            .args(["-c", "trap '' XFSZ; ulimit -f 10; exec \"$0\" --exact sink::tests::writes_until_it_cannot --ignored"])
            .arg(std::env::current_exe().unwrap())
            .env("SINK_TEST_FILE", &path)
            .env("SINK_TEST_LIVE", "true")
            .output()
            .unwrap();
        assert!(
            status.status.success(),
            "{}",
            String::from_utf8_lossy(&status.stdout)
        );
        let text = unpacked(&path);
        assert!(text.ends_with("\"list\":[]}\n"));
        let records = text.lines().count();
        let said = fs::read_to_string(dir.path().join("said")).unwrap();
        assert!(
            said.contains(&format!("{records} events were written"))
                && said.contains("the file ends with the last whole one"),
            "{said}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What goes into CSV or TSV comes out of another reader, lists included.
    #[test]
    fn csv_comes_back(notes in prop::collection::vec(("[ -~\n\r\té\"]{0,12}", prop::collection::vec("[a-c|\\\\,\"\n]{1,6}", 0..4)), 1..20), tabs in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(if tabs { "n.tsv" } else { "n.csv" });
        let mut writer = open(&path, false).unwrap();
        for (name, list) in &notes {
            writer.write(&Note { name: name.clone(), list: list.clone() }).unwrap();
        }
        writer.finish().unwrap();
        let mut reader = csv::ReaderBuilder::new().delimiter(if tabs { b'\t' } else { b',' }).from_path(&path).unwrap();
        prop_assert_eq!(reader.headers().unwrap(), vec!["name", "list", "missing"]);
        let lines: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        prop_assert_eq!(lines.len(), notes.len());
        for (line, (name, list)) in lines.iter().zip(&notes) {
            prop_assert_eq!(&line[0], name.as_str());
            prop_assert_eq!(&split(&line[1]), list);
            prop_assert_eq!(&line[2], "");
        }
    }
}

/// Takes a list's cell apart as docs/output.md says.
fn split(cell: &str) -> Vec<String> {
    let mut items = Vec::new();
    let mut characters = cell.chars();
    let mut item = String::new();
    while let Some(character) = characters.next() {
        match character {
            '\\' => item.extend(characters.next()),
            '|' => items.push(std::mem::take(&mut item)),
            other => item.push(other),
        }
    }
    if !cell.is_empty() {
        items.push(item);
    }
    items
}

#[test]
fn streams_that_share_standard_output_name_themselves() {
    let event = event();
    let hit = HitRecord {
        rule: "R",
        event: &event,
    };
    let text = serde_json::to_string(&Named {
        stream: "hits",
        record: &hit,
    })
    .unwrap();
    assert!(
        text.starts_with("{\"stream\":\"hits\",\"rule\":\"R\",\"_time\":"),
        "{text}"
    );
    assert_valid("hit", &serde_json::from_str(&text).unwrap());
}

#[test]
fn the_columns_of_a_run() {
    let rule = |by: &[Field], names: &[&str]| Rule {
        name: "R".to_owned(),
        by: by.to_vec(),
        columns: names
            .iter()
            .map(|name| crate::rule::Column {
                name: (*name).to_owned(),
                function: Function::Count,
            })
            .collect(),
        ..Rule::default()
    };
    let rules = [
        rule(&[Field::Src, Field::Query], &["count", "firstTime"]),
        rule(&[Field::Answer, Field::Src], &["count", "n"]),
    ];
    assert_eq!(
        columns(Stream::Rows, &rules),
        [
            "rule",
            "src",
            "query",
            "answer",
            "count",
            "firstTime",
            "n",
            "window",
            "sensor",
            "event_id",
            "partial"
        ]
    );
    let mut computed = rule(&[], &["n", "mean", "seen"]);
    for (column, function) in computed.columns.iter_mut().zip([
        Function::Dc(Field::Query),
        Function::Stdev(Field::Ttl),
        Function::Values(Field::Query),
    ]) {
        column.function = function;
    }
    assert_eq!(
        columns(Stream::Rows, &[computed])[1..12],
        [
            "n",
            "n_estimated",
            "n_values",
            "n_sketch",
            "mean",
            "mean_count",
            "mean_sum",
            "mean_sumsq",
            "seen",
            "seen_cut",
            "window"
        ]
    );
    assert_eq!(columns(Stream::Hits, &[])[..3], ["rule", "_time", "host"]);
    assert_eq!(columns(Stream::Events, &[]).len(), Field::ALL.len());
}

#[test]
fn an_event_in_csv() {
    let event = event();
    let mut cell = Cell::default();
    let mut fill = |column| {
        cell.clear();
        event.fill(column, &mut cell);
        cell.text().to_owned()
    };
    assert_eq!(fill("_time"), "2026-01-02T09:14:07.250000Z");
    assert_eq!(fill("answer"), "edge.ngrok.io|\"a\\|b\\\\\\\\c\"");
    assert_eq!(fill("query"), "a\\.b.ngrok.io");
    assert_eq!(fill("duration"), "0.0125");
    assert_eq!(fill("tag"), "network|resolution|dns");
    assert_eq!(fill("cim_entity_zone"), "hq");
    assert_eq!(fill("no_such"), "");
}

#[test]
fn a_live_line() {
    let event = event();
    assert_eq!(
        live_line(
            "Ngrok\u{1b} Reverse Proxy",
            &event.query,
            &event,
            TableOptions::default()
        ),
        "2026-01-02T09:14:07Z  10.9.0.11  a\\.b.ngrok.io  edge.ngrok.io +1  resolved  via 10.9.0.53  Ngrok\\u{1b} Reverse Proxy"
    );
}

/// A transaction that has everything.
pub(super) fn event() -> Event {
    let record = |record_type: &'static str, data: &str| message::Record {
        name: "a\\.b.ngrok.io".to_owned(),
        record_type: record_type.into(),
        class: 1,
        ttl: 60,
        data: data.to_owned(),
    };
    Event {
        time: Timestamp::parse("2026-01-02T09:14:07.25Z").unwrap(),
        sensor: Arc::from("sensor"),
        source: Arc::from("eth0"),
        zone: Some(Arc::from("hq")),
        seen: Seen::Both,
        src: [10, 9, 0, 11].into(),
        src_port: 40_000,
        src_mac: Some(Mac([2, 0, 0, 0, 0, 1])),
        dest: [10, 9, 0, 53].into(),
        dest_port: 53,
        dest_mac: Some(Mac([2, 0, 0, 0, 0, 2])),
        src_asset: None,
        dest_asset: None,
        transport: Transport::Udp,
        transaction_id: 4660,
        opcode: "QUERY".into(),
        header_flags: 0x8180,
        query: "a\\.b.ngrok.io".to_owned(),
        query_spelled: "a\\.B.ngrok.io".to_owned(),
        other_questions: vec!["second.example".to_owned()],
        record_type: "A".into(),
        query_class: "IN".into(),
        query_count: 2,
        answer_count: 2,
        authority_answer_count: 0,
        additional_answer_count: 1,
        reply_code: Some(0),
        answers: vec![
            record("CNAME", "edge.ngrok.io"),
            record("TXT", "\"a|b\\\\c\""),
        ],
        duration: Some(12_500_000),
        edns: Some(Edns {
            version: 0,
            udp_size: 1232,
            dnssec_ok: true,
            client_subnet: Some("192.0.2.0/24".to_owned()),
        }),
        edns_options: vec![
            "query:client-subnet=192.0.2.0/24/0".to_owned(),
            "response:extended-error=15 Blocked: a|b".to_owned(),
        ],
        outcome: Outcome::Resolved,
        anomalies: vec![Anomaly::Retransmitted(2), Anomaly::Malformed("answer")],
        src_role: Role::Resolver,
        vlan: vec![10, 20],
        tunnel: vec!["vxlan"],
        packet: 7,
        response_packet: Some(8),
        event_id: [0xab; 16],
        added: Vec::new(),
        wire: None,
    }
}

/// The same with everything missing that can be.
pub(super) fn bare_event() -> Event {
    Event {
        zone: None,
        seen: Seen::QueryOnly,
        src_mac: None,
        dest_mac: None,
        src_asset: None,
        dest_asset: None,
        other_questions: Vec::new(),
        reply_code: None,
        answers: Vec::new(),
        duration: None,
        edns: None,
        edns_options: Vec::new(),
        outcome: Outcome::Unanswered,
        anomalies: Vec::new(),
        src_role: Role::Client,
        vlan: Vec::new(),
        tunnel: Vec::new(),
        response_packet: None,
        ..event()
    }
}

fn schema(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(format!("{name}.schema.json"));
    serde_json::from_str(
        &fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    )
    .unwrap()
}

fn errors(name: &str, instance: &Value) -> Vec<String> {
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    validator
        .iter_errors(instance)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

fn assert_valid(name: &str, instance: &Value) {
    assert_eq!(
        errors(name, instance),
        Vec::<String>::new(),
        "{name}: {instance}"
    );
}

#[test]
fn the_schemas_are_schemas() {
    for name in ["event", "hit", "row", "source", "stats"] {
        let schema = schema(name);
        assert_eq!(
            schema["$schema"], "https://json-schema.org/draft/2020-12/schema",
            "{name}"
        );
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
        for (property, says) in schema["properties"].as_object().unwrap() {
            assert!(
                says["description"].is_string(),
                "{name}: {property} has no description"
            );
        }
    }
}

#[test]
fn events_and_hits_are_as_their_schemas_say() {
    for event in [
        event(),
        bare_event(),
        Event {
            seen: Seen::ResponseOnly,
            duration: None,
            ..event()
        },
    ] {
        let value = serde_json::to_value(&event).unwrap();
        assert_valid("event", &value);
        assert_valid(
            "hit",
            &serde_json::to_value(HitRecord {
                rule: "R",
                event: &event,
            })
            .unwrap(),
        );
        assert!(!errors("hit", &value).is_empty(), "a hit has a rule");
        for (field, wrong) in [
            ("src_port", Value::from("53")),
            ("answer", "x".into()),
            ("_time", 1.into()),
            ("new", 1.into()),
            ("outcome", "fine".into()),
        ] {
            let mut broken = value.clone();
            broken[field] = wrong;
            assert!(!errors("event", &broken).is_empty(), "{field}");
        }
    }
}

#[test]
fn the_event_schema_has_exactly_the_fields() {
    let mut expected: Vec<&str> = Field::ALL
        .iter()
        .map(|field| field.name())
        .chain(["answers", "stream"])
        .collect();
    for (name, more) in [("event", None), ("hit", Some("rule"))] {
        let schema = schema(name);
        expected.extend(more);
        let properties = schema["properties"].as_object().unwrap();
        let mut found: Vec<&str> = properties.keys().map(String::as_str).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{name}");
        // A hit may have what lookups add.
        let further = &schema["additionalProperties"];
        assert!(*further == false || (name == "hit" && further["anyOf"].is_array()));
        for field in Field::ALL {
            let is_array = properties[field.name()]["type"] == "array";
            assert_eq!(
                is_array,
                field.kind() == crate::event::Kind::Many,
                "{name}: {}",
                field.name()
            );
        }
    }
}

#[test]
fn rows_and_sources_as_the_schemas_say() {
    let row = serde_json::json!({
        "rule": "Ngrok Reverse Proxy on Network", "src": "10.9.0.11", "query": "abc.ngrok.io", "answer": "3.134.39.220",
        "count": 14, "firstTime": "2026-01-02T09:14:07.250000Z", "lastTime": "2026-01-02T09:20:00.000000123Z",
        "window": null, "sensor": "sensor", "event_id": "ab".repeat(16), "partial": false
    });
    assert_valid("row", &row);
    let mut window = row.clone();
    window["window"] = "2026-01-02T09:00:00.000000Z/2026-01-02T10:00:00.000000Z".into();
    window["queries"] = serde_json::json!(["a", "b"]);
    window["src"] = Value::Null;
    assert_valid("row", &window);
    for (field, wrong) in [
        ("count", Value::from("14")),
        ("window", "1h".into()),
        ("event_id", "AB".into()),
        ("firstTime", "2026-01-02T09:14:07".into()),
    ] {
        let mut broken = row.clone();
        broken[field] = wrong;
        assert!(!errors("row", &broken).is_empty(), "{field}");
    }
    let source = serde_json::json!({
        "src": "10.9.0.11", "src_role": "client", "hits": 15, "rules": ["R"], "names": ["abc.ngrok.io"],
        "encrypted_dns_connections": 0, "encrypted_dns_answered": 0, "encrypted_dns_lookups": 0, "encrypted_dns_resolvers": [],
        "event_id": "0".repeat(32),
        "firstTime": "2026-01-02T09:14:07.250000Z", "lastTime": "2026-01-02T09:20:00.000000Z", "sensor": "sensor"
    });
    assert_valid("source", &source);
}

/// docs/output.md names every field.
#[test]
fn the_page_on_output_names_every_field() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/output.md")).unwrap();
    for field in Field::ALL {
        assert!(
            page.contains(&format!("| `{}` |", field.name())),
            "{}",
            field.name()
        );
    }
}
