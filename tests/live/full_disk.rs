//! A disk that is full while records are written.

use std::process::{Command, Output, Stdio};

use crate::common::{json_lines, stderr};
use crate::lab::{Lab, capture};
use crate::running::Running;

/// In a mount namespace of its own, so that nothing is left behind: a disk of 64 KiB at $1, then the command; what is
/// on the disk at the end is copied to $2.
const SMALL_DISK: &str =
    "mount -t tmpfs -o size=64k none \"$1\" && disk=$1 kept=$2 && shift 2 || exit 99
\"$@\"; status=$?; cp -r \"$disk/.\" \"$kept\" && exit $status";

/// The words before a command that run it with such a disk, mounted at `DISK`.
fn with_small_disk(lab: &Lab) -> Vec<String> {
    for folder in ["disk", "kept"] {
        std::fs::create_dir(lab.folder().join(folder)).unwrap();
    }
    [
        "unshare",
        "-m",
        "sh",
        "-c",
        SMALL_DISK,
        "sh",
        &lab.place("disk"),
        &lab.place("kept"),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// As many whole records as the message says, and enough to have filled the disk.
fn whole_records(lab: &Lab, name: &str, said: &str) {
    let text = std::fs::read_to_string(lab.folder().join("kept").join(name)).unwrap();
    assert!(text.ends_with('\n'), "it ends in {:?}", text.lines().last());
    let records = json_lines(&text).len();
    assert!(text.len() > 60 * 1024, "{} bytes", text.len());
    assert!(said.contains("No space left on device"), "{said}");
    assert!(
        said.contains(&format!("{records} ")),
        "{records} records: {said}"
    );
}

#[test]
fn a_replay_leaves_whole_records_under_another_name() {
    let Some(lab) = Lab::pair() else { return };
    let words = with_small_disk(&lab);
    let events = lab.place("disk/e.jsonl");
    let output: Output = Command::new(&words[0])
        .args(&words[1..])
        .args([
            lab.program(),
            "replay",
            &capture("ngrok.pcap"),
            "--rows",
            "none",
            "--events",
            &events,
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = stderr(&output);
    assert!(said.contains(&events), "{said}");
    assert!(said.contains("e.jsonl.partial"), "{said}");
    whole_records(&lab, "e.jsonl.partial", &said);
    assert!(!lab.folder().join("kept/e.jsonl").exists());
}

#[test]
fn a_live_run_ends_with_the_last_whole_record() {
    let Some(lab) = Lab::pair() else { return };
    let words = with_small_disk(&lab);
    let events = lab.place("disk/e.jsonl");
    let mut command: Vec<&str> = words.iter().map(String::as_str).collect();
    command.extend([
        lab.program(),
        "sniff",
        "-i",
        "eth0",
        "--rows",
        "none",
        "--events",
        &events,
    ]);
    let live = Running::start(lab.on("c", &command));
    live.wait_for_err("listening on");
    lab.dig_all("c", (0..200).map(|n| format!("@10.9.5.2 n{n}.example.com")));
    let ended = live.end().with_status(1);
    assert!(ended.err.contains(&events), "{}", ended.err);
    whole_records(&lab, "e.jsonl", &ended.err);
}

/// Packets are records, too.
#[test]
fn packets_stay_whole() {
    let Some(lab) = Lab::pair() else { return };
    let words = with_small_disk(&lab);
    let output = Command::new(&words[0])
        .args(&words[1..])
        .args([lab.program(), "replay", &capture("ngrok.pcap")])
        .args(["--rows", "none", "--write", &lab.place("disk/w.pcapng")])
        .args(["--evidence", &lab.place("disk/e.pcapng")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = stderr(&output);
    assert!(said.contains("No space left on device"), "{said}");
    let kept = lab.folder().join("kept/w.pcapng.partial");
    let shown = Command::new("tshark")
        .args([
            "-n",
            "-r",
            kept.to_str().unwrap(),
            "-T",
            "fields",
            "-e",
            "frame.number",
        ])
        .output()
        .unwrap();
    assert!(shown.status.success(), "{shown:?}");
    let packets = String::from_utf8(shown.stdout).unwrap().lines().count();
    assert!(packets > 300, "{packets}");
    assert!(
        said.contains(&format!("{packets} packets were written")),
        "{packets}: {said}"
    );
    assert!(!lab.folder().join("kept/w.pcapng").exists());
}
