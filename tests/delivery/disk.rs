//! Spools that come to their bounds: the one that was set, and the disk's.

use std::process::Command;

use crate::collector::{Collector, Fault};
use crate::common::{PROGRAM, stderr};
use crate::run::{Desk, expected, many, received, succeeds};

#[test]
fn beyond_its_cap_the_oldest_records_go_and_are_counted() {
    let (collector, desk) = (Collector::start(), Desk::new());
    collector.will_always(Some(Fault::Answer(503, serde_json::json!({}), "")));
    let many = many(&desk, 20);
    let whole = expected(&many);
    let output = desk.replay(
        &many,
        &collector.url(""),
        &["--spool-size", "1", "--deliver-timeout", "100ms"],
    );
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let delivery = desk.delivery();
    let count = |name: &str| delivery[name].as_u64().unwrap();
    assert_eq!(count("queued"), whole.len() as u64);
    assert!(count("dropped") > 0, "{delivery}");
    assert!(count("left") > 100, "{delivery}");
    assert_eq!(count("dropped") + count("left"), whole.len() as u64);
    assert!(
        stderr(&output).contains("is full (1 MiB)"),
        "{}",
        stderr(&output)
    );
    let bytes: u64 = desk
        .segments()
        .iter()
        .map(|it| it.metadata().unwrap().len())
        .sum();
    assert!(bytes <= 1 << 20, "{bytes} bytes");
    collector.will_always(None);
    succeeds(&desk.run(&["spool", "flush"]));
    let found = received(collector.events());
    assert_eq!(found.len() as u64, count("left"));
    // The newest are left.
    let time = |event: &serde_json::Value| event["_time"].as_str().unwrap().to_owned();
    let oldest = found.values().map(time).min().unwrap();
    let newer = whole.values().map(time).filter(|it| *it > oldest).count();
    assert!(newer < found.len() + 50, "{newer} of {}", found.len());
}

/// In a mount namespace of its own: a disk of so much at $1, then the command.
const SMALL_DISK: &str = "mount -t tmpfs -o size=300k none \"$1\" && shift || exit 99; \"$@\"";

#[test]
fn a_full_disk_is_counted_and_the_run_goes_on() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("THIS NEEDS ROOT and was not looked at: a small disk");
        return;
    }
    let (collector, desk) = (Collector::start(), Desk::new());
    collector.will_always(Some(Fault::Answer(503, serde_json::json!({}), "")));
    std::fs::create_dir(desk.spools()).unwrap();
    let many = many(&desk, 20);
    let whole = expected(&many);
    let stats = desk.path("stats.json");
    let written = desk.path("events.jsonl");
    let mut program = desk.command(&[
        "replay",
        many.to_str().unwrap(),
        "--rows",
        "none",
        "--deliver-timeout",
        "100ms",
    ]);
    program.arg("--stats").arg(&stats);
    program.args(["--events", &collector.url(""), "--events"]);
    program.arg(&written);
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", SMALL_DISK, "sh"]);
    command
        .arg(desk.spools())
        .arg(PROGRAM)
        .args(program.get_args());
    command.env("DNSTERRIER_HEC_TOKEN", crate::collector::TOKEN);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("No space left on device"), "{said}");
    let delivery = desk.delivery();
    let count = |name: &str| delivery[name].as_u64().unwrap();
    assert_eq!(count("queued"), whole.len() as u64);
    assert!(count("not_stored") > 0 && count("left") > 0, "{delivery}");
    // The other place of the stream has all of it.
    let lines = std::fs::read_to_string(&written).unwrap().lines().count();
    assert_eq!(lines, whole.len());
}
