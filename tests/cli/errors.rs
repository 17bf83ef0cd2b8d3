//! What can go wrong, said so that a person can act on it: the place, the remedy, the exit status; and nothing half-written
//! that looks whole.

use std::path::Path;

use super::{capture, dnsterrier, json_lines, pcap, stderr};

/// The run fails with that status, says all parts on standard error and nothing on standard output.
fn fails(arguments: &[&str], status: i32, parts: &[&str]) -> String {
    let output = dnsterrier(arguments);
    let says = stderr(&output);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {says}");
    assert_eq!(output.stdout, b"", "{arguments:?}");
    for part in parts {
        assert!(
            says.contains(part),
            "'{part}' is not said by {arguments:?}: {says}"
        );
    }
    assert!(
        !says.contains("panicked") && !says.contains("os error 2) at path"),
        "{says}"
    );
    says
}

/// A file in a new folder.
fn made(name: &str, bytes: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn no_such_file() {
    fails(
        &["/nonexistent/a.pcap"],
        1,
        &["/nonexistent/a.pcap: No such file or directory"],
    );
    // One that is missing is found before the first is read.
    fails(
        &[&capture("ngrok.pcap"), "/nonexistent/a.pcap"],
        1,
        &["/nonexistent/a.pcap"],
    );
}

#[test]
fn what_is_no_capture() {
    let (_folder, text) = made("notes.pcap", b"These are my notes, and no capture.\n");
    fails(
        &[&text],
        1,
        &[
            &format!("{text}: not a capture file"),
            "expected pcap, pcapng or dnstap",
        ],
    );
    let (_folder, empty) = made("empty.pcap", b"");
    fails(
        &[&empty],
        1,
        &[
            &format!("{empty}: not a capture file"),
            "less than four bytes",
        ],
    );
    let (_folder, snoop) = made("a.snoop", b"snoop\0\0\0\0\0\0\x02\0\0\0\x04");
    fails(&[&snoop], 1, &["snoop", "editcap -F pcapng"]);
    // The others are read all the same, and the run has failed.
    let output = dnsterrier([
        &capture("vlan.pcap"),
        &text,
        &capture("unanswered.pcap"),
        "--format",
        "jsonl",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        json_lines(&String::from_utf8(output.stdout.clone()).unwrap()).len(),
        12 + 8
    );
    assert!(stderr(&output).contains(&text));
}

#[test]
fn a_folder_without_captures() {
    let (folder, _path) = made("README", b"nothing here");
    let path = folder.path().to_str().unwrap();
    fails(
        &[path],
        1,
        &[
            path,
            "no capture file in this folder",
            "pcap, pcapng or dnstap",
        ],
    );
}

/// What was read counts; that it is not all is said, and the exit status says so too.
#[test]
fn captures_that_are_cut_off() {
    for name in ["ngrok.pcap", "ngrok.pcapng"] {
        let whole = std::fs::read(capture(name)).unwrap();
        let (_folder, path) = made(name, &whole[..50_000]);
        let output = dnsterrier([&path, "--format", "jsonl"]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let rows = json_lines(&String::from_utf8(output.stdout.clone()).unwrap());
        assert!(
            rows.len() > 20 && rows.len() < 58,
            "{name}: {} rows",
            rows.len()
        );
        let says = stderr(&output);
        for part in [
            &format!("{path}: cut off or damaged after packet"),
            "what was read before it counts",
        ] {
            assert!(says.contains(part), "{says}");
        }
        // As many packets as a reader of the records finds whole.
        if name == "ngrok.pcap" {
            let mut at = 24;
            let mut packets = 0;
            for record in pcap::read(Path::new(&capture(name))) {
                at += 16 + record.bytes.len();
                packets += usize::from(at <= 50_000);
            }
            assert!(
                says.contains(&format!("after packet {packets}:")),
                "{packets}: {says}"
            );
        }
    }
    // Within the header of the file.
    let whole = std::fs::read(capture("ngrok.pcap")).unwrap();
    let (_folder, path) = made("header.pcap", &whole[..20]);
    fails(
        &[&path],
        1,
        &[
            &format!("{path}: cut off"),
            "the file's header takes 24 bytes, there are 20",
        ],
    );
}

#[test]
fn interfaces_and_filters() {
    fails(
        &["-i", "nosuch0"],
        1,
        &["there is no interface 'nosuch0'; there are: ", "lo"],
    );
    for arguments in [
        &["-r", &capture("ngrok.pcap"), "udp prot 53"][..],
        &[&capture("ngrok.pcap"), "-f", "udp prot 53"],
    ] {
        fails(
            arguments,
            2,
            &[
                "the filter 'udp prot 53' is not understood",
                "syntax error",
                "man pcap-filter",
            ],
        );
    }
}

#[test]
fn a_bad_filter_is_a_matter_of_usage() {
    let says = fails(&["-r", &capture("ngrok.pcap"), "udp prot 53"], 2, &[]);
    assert!(!says.contains("no packet was seen"), "{says}");
}

#[test]
fn places_that_cannot_be_written_to() {
    let path = capture("ngrok.pcap");
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().to_str().unwrap();
    for stream in ["--rows", "--hits", "--events", "--sources"] {
        fails(
            &[&path, stream, directory],
            2,
            &[directory, "is a directory: give a file name in it"],
        );
        let missing = format!("{directory}/missing/out.jsonl");
        fails(
            &[&path, stream, &missing],
            1,
            &[
                &missing,
                "there is no directory",
                &format!("mkdir -p {directory}/missing"),
            ],
        );
        fails(
            &[&path, stream, "out.xml"],
            2,
            &["'out.xml'", ".jsonl", ".csv"],
        );
        fails(
            &[&path, stream, "out.jsonl.xz"],
            2,
            &["cannot be written yet", "xz >", ".zst"],
        );
        fails(&[&path, stream, "ftp://h/t"], 2, &["ftp://", "kafka://"]);
    }
    fails(
        &[&path, "--stats", directory],
        2,
        &[directory, "is a directory"],
    );
    assert!(names_in(folder.path()).is_empty());
}

#[test]
fn a_place_for_statistics_that_cannot_be_written_to() {
    let missing = "/nonexistent/stats.json";
    fails(
        &[&capture("ngrok.pcap"), "--stats", missing],
        1,
        &[missing, "mkdir -p /nonexistent"],
    );
}

/// What descriptors lead to is written to, not replaced, and a link stays a link.
#[test]
fn statistics_through_descriptors_and_links() {
    let path = capture("ngrok.pcap");
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    for (option, part) in [
        ("/dev/stderr", "1,181 packets received"),
        ("/dev/stdout", "\"rule\":"),
    ] {
        // A file that has something in it, as with `>> log 2>&1`.
        std::fs::write(&log, "before\n").unwrap();
        let file = || std::fs::OpenOptions::new().append(true).open(&log).unwrap();
        let status = std::process::Command::new(super::PROGRAM)
            .args([&path, "--format", "jsonl", "--stats", option])
            .stdout(file())
            .stderr(file())
            .status()
            .unwrap();
        assert!(status.success(), "{option}");
        let said = std::fs::read_to_string(&log).unwrap();
        assert!(
            said.starts_with("before\n") && said.contains(part) && said.contains("\"identities\":"),
            "{option}: {said}"
        );
        assert!(!Path::new(option).is_file() || Path::new(option).is_symlink());
    }
    let (stats, link) = (
        folder.path().join("stats.json"),
        folder.path().join("link.json"),
    );
    std::os::unix::fs::symlink("stats.json", &link).unwrap();
    for old in ["", "older"] {
        std::fs::write(&stats, old).unwrap();
        let output = dnsterrier([&path, "-q", "--stats", link.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
        assert!(link.is_symlink());
        let whole = std::fs::read(&stats).unwrap();
        serde_json::from_slice::<serde_json::Value>(&whole).unwrap();
    }
}

#[test]
fn a_full_disk() {
    let path = capture("ngrok.pcap");
    let full = "No space left on device";
    for stream in ["hits", "events", "sources", "rows"] {
        let mut arguments = vec![path.as_str()];
        if stream != "rows" {
            arguments.extend(["--rows", "none"]);
        }
        let option = format!("--{stream}");
        arguments.extend([&option, "/dev/full"]);
        fails(
            &arguments,
            1,
            &[
                "cannot write to /dev/full",
                full,
                &format!("{stream} were written"),
            ],
        );
    }
    fails(
        &[&path, "--rows", "none", "--stats", "/dev/full"],
        1,
        &["cannot write the statistics to /dev/full", full],
    );
    // As a shell redirects it.
    let output = std::process::Command::new(super::PROGRAM)
        .args([&path, "--format", "jsonl"])
        .stdout(
            std::fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap(),
        )
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot write to standard output"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_full_disk_is_told_without_nonsense() {
    let says = fails(
        &[
            &capture("ngrok.pcap"),
            "--rows",
            "none",
            "--events",
            "/dev/full",
        ],
        1,
        &[],
    );
    for nonsense in ["do not add up", "no packet was seen", "of 0 by 0 clients"] {
        assert!(!says.contains(nonsense), "{says}");
    }
}

#[test]
fn rules_with_mistakes() {
    let path = capture("ngrok.pcap");
    for (text, place, expected) in [
        (
            "name: X\nwhere: { qurey: [\"*.a\"] }\nby: [src]\n",
            "2:10",
            "did you mean `query`",
        ),
        ("name: X\ndomains: [a.example]\n", "2:1", "domains"),
        ("name: X\ndomain: [a.example]\nrisk: many\n", "3:7", "many"),
        ("name: X\nwhere: { query: [\"*.a\" }\n", "2:", ""),
    ] {
        let (_folder, rule) = made("bad.yaml", text.as_bytes());
        for arguments in [&["rules", "check", &rule][..], &[&path, "--rules", &rule]] {
            fails(arguments, 3, &[&format!("{rule}:{place}"), expected]);
        }
    }
    // All mistakes of all files at once.
    let (folder, _rule) = made("a.yaml", b"name: A\nby: [scr]\ndomain: [a.example]\n");
    std::fs::write(
        folder.path().join("b.yaml"),
        "name: B\ndomian: [b.example]\n",
    )
    .unwrap();
    fails(
        &["rules", "check", folder.path().to_str().unwrap()],
        3,
        &["a.yaml:2:", "b.yaml:2:"],
    );
    fails(
        &["rules", "check", "/nonexistent.yaml"],
        3,
        &["/nonexistent.yaml", "No such file"],
    );
    fails(
        &[&path, "--names", "/nonexistent"],
        3,
        &["/nonexistent", "No such file"],
    );
    let (_folder, names) = made("names", b"fine.example\nnot..fine\n");
    fails(
        &[&path, "--names", &names],
        3,
        &[&format!("{names}:2"), "empty label"],
    );
}

#[test]
fn words_that_mean_nothing() {
    let path = capture("ngrok.pcap");
    for (arguments, parts) in [
        (
            &["--rule", "Nosuch"][..],
            &["there is no rule 'Nosuch'", super::RULE][..],
        ),
        (
            &["--since", "yesterday"],
            &["'yesterday' is not a time", "2026-01-02T03:04:05Z"],
        ),
        (&["--until", "2026-13-01"], &["'2026-13-01' is not a time"]),
        (
            &["--since", "2026-02-01", "--until", "2026-01-01"],
            &["--since is not before --until"],
        ),
        (&["--window", "fortnight"], &["'fortnight'", "1h"]),
        (&["--window", "0s"], &["window"]),
        (&["--window=-1h"], &["-1h"]),
        (
            &["--format", "xml"],
            &["'xml' is not a format", "table, jsonl, csv or tsv"],
        ),
        (&["--timeout", "0s"], &["--timeout"]),
        (&["--timeout", "soon"], &["'soon'", "30s"]),
        (
            &["--sinkhole", "example.org"],
            &["'example.org' is not a network", "192.0.2.0/24"],
        ),
        (&["--ports", "domain"], &["domain", "--ports"]),
        (&["--ports", "70000"], &["70000"]),
        (&["--ports", "53,0"], &["--ports", "0 is not in 1..=65535"]),
        (
            &["--vxlan-ports", "4789,0"],
            &["--vxlan-ports", "0 is not in 1..=65535"],
        ),
        (&["--vxlan-ports", "vx"], &["--vxlan-ports", "vx"]),
        (
            &["--vxlan-ports", "9999,53"],
            &["--vxlan-ports 53", "a port of DNS"],
        ),
        (
            &["--vxlan-ports", "6081"],
            &["--vxlan-ports 6081", "a port of Geneve"],
        ),
        (
            &["--tunnel-depth", "256"],
            &["--tunnel-depth", "256 is not in 0..=255"],
        ),
        (&["--tunnel-depth=-1"], &["--tunnel-depth", "-1"]),
        (
            &["--stats", "-"],
            &["--stats -", "--stats /dev/stderr", "--stats /dev/stdout"],
        ),
        (&["-c", "many"], &["many", "--count"]),
        (&["--name", ""], &["name"]),
        (&["--nosuch"], &["--nosuch"]),
    ] {
        fails(&[&[path.as_str()], arguments].concat(), 2, parts);
    }
    fails(
        &["rules", "show", "Nosuch"],
        2,
        &["there is no rule 'Nosuch'", super::RULE],
    );
    fails(&["replay"], 2, &["FILE", "Usage"]);
    for (word, meant) in [("reply", "replay"), ("snif", "sniff"), ("rule", "rules")] {
        fails(
            &[word, &path],
            2,
            &[&format!(
                "'{word}' is neither a command nor a file; did you mean '{meant}'?"
            )],
        );
    }
    fails(&["sniff"], 2, &["--interface", "Usage"]);
}

/// What is written to it would be all that is left of it.
#[test]
fn a_capture_that_is_read_is_not_written() {
    let bytes = std::fs::read(capture("ngrok.pcapng")).unwrap();
    let (folder, path) = made("a.pcapng", &bytes);
    let link = folder.path().join("b.pcapng");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for option in ["--evidence", "--write"] {
        for written in [path.as_str(), link.to_str().unwrap()] {
            fails(
                &["replay", &path, option, written],
                2,
                &[option, "which is read"],
            );
        }
    }
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

/// A stream that cannot go on leaves nothing under the name of a whole file, and the old file as it was.
#[test]
fn nothing_half_written_is_left_as_if_whole() {
    let path = capture("ngrok.pcap");
    let (folder, rows) = made("rows.jsonl", b"of the last run\n");
    // The events' place is full, so the run fails in the middle.
    let output = dnsterrier([&path, "--rows", &rows, "--events", "/dev/full"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read(&rows).unwrap(), b"of the last run\n");
    for name in names_in(folder.path()) {
        if name != "rows.jsonl" {
            assert!(name.ends_with(".partial"), "{name}");
        }
    }
    // What is wrong before the run begins touches nothing.
    for arguments in [
        &["--since", "yesterday"][..],
        &["--rule", "Nosuch"],
        &["--events", "/nonexistent/a.jsonl"],
    ] {
        let output = dnsterrier([&[path.as_str(), "--rows", &rows], arguments].concat());
        assert_ne!(output.status.code(), Some(0));
        assert_eq!(
            std::fs::read(&rows).unwrap(),
            b"of the last run\n",
            "{arguments:?}"
        );
    }
}

#[test]
fn a_run_that_read_nothing_leaves_the_old_file() {
    let (_folder, rows) = made("rows.jsonl", b"of the last run\n");
    let (_other, text) = made("notes.pcap", b"These are my notes, and no capture.\n");
    for arguments in [
        &[text.as_str(), "--rows", &rows][..],
        &["-r", &capture("ngrok.pcap"), "udp prot 53", "--rows", &rows],
    ] {
        let output = dnsterrier(arguments);
        assert_ne!(output.status.code(), Some(0));
        assert_eq!(
            std::fs::read(&rows).unwrap(),
            b"of the last run\n",
            "{arguments:?}"
        );
    }
}
