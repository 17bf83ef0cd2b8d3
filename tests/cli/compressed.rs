//! Compressed captures, as the usual programs write them: the rows of what they hold, and clear words where that is damaged,
//! cut off or something else.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::{capture, dnsterrier, dnsterrier_reading, json_lines, pcap, stderr, stdout};

/// How captures are compressed, and what errors call it.
const PROGRAMS: [(&[&str], &str); 5] = [
    (&["gzip", "-c"], "gzip"),
    (&["zstd", "-qc"], "zstd"),
    (&["xz", "-c"], "xz"),
    (&["lz4", "-qc"], "lz4"),
    (&["bzip2", "-c"], "bzip2"),
];

/// What a program writes on its standard output for bytes on its standard input.
fn piped(command: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; scripts/test installs it"));
    let mut stdin = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(bytes).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

fn rows(path: &str) -> String {
    stdout(&dnsterrier([path, "--format", "jsonl", "--quiet"]))
}

/// A file in a folder.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The run fails with status 1 and says all parts.
fn refused(path: &str, parts: &[&str]) {
    let output = dnsterrier([path]);
    let says = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{says}");
    assert_eq!(output.stdout, b"");
    assert!(says.starts_with(&format!("dnsterrier: {path}: ")), "{says}");
    for part in parts {
        assert!(says.contains(part), "'{part}' is not said: {says}");
    }
}

#[test]
fn they_are_read_whatever_their_names_say() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ngrok.pcap", "ngrok.pcapng"] {
        let expected = rows(&capture(name));
        assert_eq!(json_lines(&expected).len(), 61);
        let whole = std::fs::read(capture(name)).unwrap();
        for (command, _) in PROGRAMS {
            let bytes = piped(command, &whole);
            let path = put(folder.path(), "odd.name", &bytes);
            assert_eq!(rows(&path), expected, "{command:?} {name}");
            let from_pipe =
                dnsterrier_reading(&bytes, &["replay", "-", "--format", "jsonl", "--quiet"]);
            assert_eq!(stdout(&from_pipe), expected, "{command:?} {name}");
            // As a shell redirects it.
            let redirected = Command::new(super::PROGRAM)
                .args(["replay", "-", "--format", "jsonl", "--quiet"])
                .stdin(std::fs::File::open(&path).unwrap())
                .output()
                .unwrap();
            assert_eq!(stdout(&redirected), expected, "{command:?} {name}");
        }
    }
}

#[test]
fn several_members_are_one_capture() {
    let whole = std::fs::read(capture("ngrok.pcap")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (command, _) in PROGRAMS {
        let bytes: Vec<u8> = whole
            .chunks(60_001)
            .flat_map(|part| piped(command, part))
            .collect();
        let path = put(folder.path(), "parts", &bytes);
        assert_eq!(rows(&path), rows(&capture("ngrok.pcap")), "{command:?}");
    }
}

#[test]
fn a_folder_takes_them_by_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for ((command, name), from) in PROGRAMS.iter().zip([
        "cut.pcap",
        "ngrok.pcapng",
        "tcp.pcap",
        "unanswered.pcap",
        "vlan.pcap",
    ]) {
        let bytes = piped(command, &std::fs::read(capture(from)).unwrap());
        put(folder.path(), name, &bytes);
        put(
            folder.path(),
            &format!("notes.{name}"),
            &piped(command, b"my notes"),
        );
        expected.push((folder.path().join(name), from));
    }
    put(
        folder.path(),
        "twice.gz",
        &piped(
            &["gzip", "-c"],
            &piped(
                &["gzip", "-c"],
                &std::fs::read(capture("vlan.pcap")).unwrap(),
            ),
        ),
    );
    expected.sort();
    let stats = folder.path().join("stats.json");
    let output = dnsterrier([
        folder.path().to_str().unwrap(),
        "--format",
        "jsonl",
        "--stats",
        stats.to_str().unwrap(),
    ]);
    let taken = json_lines(&stdout(&output));
    let alone: usize = expected
        .iter()
        .map(|(_, from)| json_lines(&rows(&capture(from))).len())
        .sum();
    assert!(taken.len() <= alone && taken.len() > 58);
    let stats = json_lines(
        &String::from_utf8(std::fs::read(stats).unwrap())
            .unwrap()
            .replace('\n', ""),
    );
    let names: Vec<&str> = expected
        .iter()
        .map(|(path, _)| path.to_str().unwrap())
        .collect();
    assert_eq!(stats[0]["inputs"], serde_json::json!(names));
}

/// What was read counts; that it is not all is said: in which file, what is wrong with it, after how many packets.
#[test]
fn what_is_cut_off_is_said() {
    // So often that each format has several blocks of it.
    let records = vec![pcap::read(Path::new(&capture("ngrok.pcap"))); 4].concat();
    let whole = pcap::file(pcap::ETHERNET, &records);
    let ends: Vec<usize> = records
        .iter()
        .scan(24, |end, record| {
            *end += 16 + record.bytes.len();
            Some(*end)
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("stats.json");
    for (command, name) in [
        (&["gzip", "-c"][..], "gzip"),
        (&["zstd", "-qc"], "zstd"),
        (&["xz", "-c", "--block-size=30000"], "xz"),
        (&["lz4", "-qc", "-B4"], "lz4"),
        (&["bzip2", "-1c"], "bzip2"),
    ] {
        let bytes = piped(command, &whole);
        let bytes = &bytes[..bytes.len() - 20];
        let path = put(folder.path(), "cut", bytes);
        let output = dnsterrier([
            &path,
            "--format",
            "jsonl",
            "--stats",
            stats.to_str().unwrap(),
        ]);
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        let says = stderr(&output);
        let received = {
            let text = String::from_utf8(std::fs::read(&stats).unwrap()).unwrap();
            let stats: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(stats["capture"]["inputs_cut"], 1);
            stats["capture"]["received"].as_u64().unwrap()
        };
        let at = received
            .checked_sub(1)
            .map_or(24, |last| ends[last as usize]);
        let expected = format!(
            "dnsterrier: {path}: cut off or damaged after packet {received}: at byte {at} of what it decompresses to: \
             the {name} data is cut off; what was read before it counts"
        );
        assert!(says.contains(&expected), "{expected}\n{says}");
        assert!(received <= ends.len() as u64);
        assert!(received > 500, "{name}: {received}");
        // The program of the format gives no more.
        let decompressed = Command::new(command[0])
            .args(["-dc", &path])
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let whole_records = ends
            .iter()
            .filter(|end| **end <= decompressed.stdout.len())
            .count();
        assert!(received >= whole_records as u64, "{name}: {whole_records}");
    }
}

#[test]
fn what_is_damaged_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(capture("ngrok.pcap")).unwrap();
    for (command, name) in PROGRAMS {
        let mut bytes = piped(command, &whole);
        // Where each format has its last check sum.
        let last = bytes.len() - 3;
        bytes[last..].fill(0xFF);
        let path = put(folder.path(), "damaged", &bytes);
        let output = dnsterrier([&path]);
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        let says = stderr(&output);
        assert!(
            says.contains(&format!("{path}: cut off or damaged after packet 1181: "))
                && says.contains(&format!("the {name} data is damaged (")),
            "{says}"
        );
    }
    // What is compressed is whole, and the capture in it is cut off.
    let path = put(
        folder.path(),
        "cut.gz",
        &piped(&["gzip", "-c"], &whole[..50_000]),
    );
    let says = stderr(&dnsterrier([&path]));
    assert!(
        says.contains(" of what it decompresses to: the record takes "),
        "{says}"
    );
}

#[test]
fn what_holds_no_capture_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (command, name) in PROGRAMS {
        let path = put(
            folder.path(),
            "notes",
            &piped(command, b"These are my notes"),
        );
        refused(
            &path,
            &[
                "not a capture file",
                &format!(
                    "what its {name} data holds is none: expected pcap, pcapng or dnstap (it begins with 54 68 65 73)"
                ),
            ],
        );
        let path = put(folder.path(), "empty", &piped(command, b""));
        refused(&path, &[name, "it has less than four bytes"]);
        let path = put(
            folder.path(),
            "other",
            &piped(command, b"snoop\0\0\0\0\0\0\x02"),
        );
        refused(&path, &[name, "it is a snoop file", "editcap -F pcapng"]);
        // The first bytes of a file of this kind, and no more.
        let path = put(
            folder.path(),
            "begun",
            &piped(command, b"These are my notes")[..7],
        );
        refused(&path, &[&format!("the {name} data is cut off")]);
        for (again, outer) in PROGRAMS {
            let path = put(
                folder.path(),
                "twice",
                &piped(again, &piped(command, b"These are my notes")),
            );
            refused(
                &path,
                &[
                    &format!("what its {outer} data holds is compressed once more, with {name}"),
                    &format!("{} -dc {path} | dnsterrier replay -", again[0]),
                ],
            );
        }
    }
    let output = dnsterrier_reading(&piped(&["gzip", "-c"], b"my notes"), &["replay", "-"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("dnsterrier: standard input: not a capture file: what its gzip"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn memory_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    // So many bytes that zstd does not make the window smaller.
    let path = put(
        folder.path(),
        "window",
        &piped(&["zstd", "-qc", "--long=28"], &vec![0; 2_000_000]),
    );
    refused(
        &path,
        &[
            "the zstd data takes more than 128 MiB of memory",
            "zstd -dc --long=31",
            "| dnsterrier replay -",
        ],
    );
}
