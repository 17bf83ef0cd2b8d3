//! What waits on disk: over the end of the program, whatever ended it, and over damage.

use std::os::unix::fs::{FileExt, MetadataExt};

use serde_json::json;

use crate::collector::{Collector, Fault};
use crate::common::{dnsterrier, json_lines, stderr, stdout};
use crate::run::{Desk, capture, expected, received, succeeds};

fn down() -> Option<Fault> {
    Some(Fault::Answer(503, json!({}), ""))
}

/// A desk whose spool holds the events of a capture, for this collector.
fn full(collector: &Collector, captures: &[&str]) -> Desk {
    let desk = Desk::new();
    collector.will_always(down());
    for name in captures {
        let output = desk.replay(
            &capture(name),
            &collector.url(""),
            &["--deliver-timeout", "100ms"],
        );
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    }
    collector.will_always(None);
    desk
}

#[test]
fn what_a_dead_place_did_not_take_is_there_in_the_next_run() {
    let collector = Collector::start();
    let desk = full(&collector, &["ngrok.pcap"]);
    let ngrok = expected(&capture("ngrok.pcap"));
    assert_eq!(desk.delivery()["left"], ngrok.len());
    assert_eq!(desk.delivery()["delivered"], 0);
    let mode = std::fs::metadata(desk.spool()).unwrap().mode();
    assert_eq!(mode & 0o777, 0o700, "others can read what hosts look up");
    // The next run sends both.
    let other = capture("resolver-in-the-middle.pcap");
    succeeds(&desk.replay(&other, &collector.url(""), &[]));
    let delivery = desk.delivery();
    assert_eq!(delivery["found"], ngrok.len());
    let mut both = expected(&other);
    assert_eq!(delivery["queued"], both.len());
    both.extend(ngrok);
    assert_eq!(received(collector.events()), both);
}

#[test]
fn list_and_flush() {
    let collector = Collector::start();
    let desk = full(&collector, &["ngrok.pcap"]);
    let text = stdout(&desk.run(&["spool", "list"]));
    assert!(text.starts_with("events "), "{text}");
    assert!(text.contains(&collector.url("")), "{text}");
    assert!(text.contains("KiB waiting, nothing refused"), "{text}");
    collector.will_always(down());
    let output = desk.run(&["spool", "flush", "--deliver-timeout", "100ms"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("are not delivered"),
        "{}",
        stderr(&output)
    );
    collector.will_always(None);
    let whole = expected(&capture("ngrok.pcap"));
    let text = stdout(&desk.run(&["spool", "flush"]));
    assert!(
        text.contains(&format!("{} delivered", whole.len())),
        "{text}"
    );
    assert_eq!(received(collector.events()), whole);
    let text = stdout(&desk.run(&["spool", "flush"]));
    assert_eq!(
        text,
        format!("nothing waits in {}\n", desk.spools().display())
    );
    assert!(stdout(&desk.run(&["spool", "list"])).contains("nothing waiting"));
}

#[test]
fn what_is_said_counts_records_by_their_name() {
    let (collector, desk) = (Collector::start(), Desk::new());
    collector.will_always(down());
    let (ngrok, url) = (capture("ngrok.pcap"), collector.url(""));
    let mut arguments = vec![
        "replay",
        ngrok.to_str().unwrap(),
        "--deliver-timeout",
        "100ms",
    ];
    arguments.extend(["--rows", "none", "--risk", &url]);
    let said = stderr(&desk.run(&arguments));
    let risk = json_lines(&stdout(&dnsterrier([
        "replay",
        ngrok.to_str().unwrap(),
        "-q",
        "--rows",
        "none",
        "--risk",
        "-",
    ])));
    let count = risk.len();
    for part in [
        "meanwhile risk events wait in".to_owned(),
        format!("risk events to {url}: 0 delivered, {count} left in the spool."),
        format!("{count} risk events for {url} are not delivered"),
        format!(
            "to send what waits: dnsterrier spool flush --spool {}",
            desk.spools().display()
        ),
    ] {
        assert!(said.contains(&part), "'{part}' is not in: {said}");
    }
    let output = desk.run(&["spool", "flush", "--deliver-timeout", "100ms"]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(
        text,
        format!("risk events to {url}: 0 delivered, 0 refused, 0 damaged, {count} left\n")
    );
    assert!(
        !stderr(&output).contains("to send what waits"),
        "{}",
        stderr(&output)
    );
    collector.will_always(None);
    succeeds(&desk.run(&["spool", "flush"]));
    let empty = desk.path("empty");
    let output = dnsterrier(["spool", "list", "--spool", empty.to_str().unwrap()]);
    assert_eq!(
        stdout(&output),
        format!("nothing waits in {}\n", empty.display())
    );
}

#[test]
fn a_run_that_is_killed_loses_nothing_that_it_had_written() {
    let (collector, desk) = (Collector::start(), Desk::new());
    collector.will_always(Some(Fault::Silent));
    let ngrok = capture("ngrok.pcap");
    let mut child = desk
        .command(&[
            "replay",
            ngrok.to_str().unwrap(),
            "--rows",
            "none",
            "--events",
            &collector.url(""),
        ])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // What is sent was written before; the replay waits for an answer.
    collector.wait_for_requests(1);
    child.kill().unwrap();
    child.wait().unwrap();
    collector.will_always(None);
    succeeds(&desk.replay(&ngrok, &collector.url(""), &[]));
    assert_eq!(received(collector.events()), expected(&ngrok));
    assert!(desk.delivery()["found"].as_u64().unwrap() > 0);
}

#[test]
fn a_spool_that_is_damaged_in_the_middle() {
    let collector = Collector::start();
    let desk = full(&collector, &["ngrok.pcap"]);
    let segments = desk.segments();
    let file = std::fs::File::options()
        .write(true)
        .open(&segments[0])
        .unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(&[0xff; 50], length / 2).unwrap();
    let output = desk.run(&["spool", "flush"]);
    succeeds(&output);
    let said = stderr(&output);
    assert!(said.contains(segments[0].to_str().unwrap()), "{said}");
    assert!(said.contains("damaged at byte"), "{said}");
    let whole = expected(&capture("ngrok.pcap"));
    let found = received(collector.events());
    let lost = whole.len() - found.len();
    assert!((1..=2).contains(&lost), "{lost} are lost");
    assert!(found.iter().all(|(id, event)| whole[id] == *event));
    let text = stdout(&output);
    assert!(
        text.contains(&format!(
            "{} delivered, 0 refused, {lost} damaged, 0 left",
            found.len()
        )),
        "{text}"
    );
}

#[test]
fn a_spool_whose_end_is_torn() {
    let collector = Collector::start();
    let desk = full(&collector, &["ngrok.pcap"]);
    let segments = desk.segments();
    let file = std::fs::File::options()
        .write(true)
        .open(&segments[0])
        .unwrap();
    file.set_len(file.metadata().unwrap().len() - 10).unwrap();
    let output = desk.replay(&capture("ngrok.pcap"), &collector.url(""), &[]);
    succeeds(&output);
    let said = stderr(&output);
    assert!(
        said.contains("are no whole record and are cut off"),
        "{said}"
    );
    assert_eq!(
        received(collector.events()),
        expected(&capture("ngrok.pcap"))
    );
    assert_eq!(desk.delivery()["damaged"], 0);
}

#[test]
fn a_spool_of_another_version_is_left_as_it_is() {
    let collector = Collector::start();
    let desk = full(&collector, &["ngrok.pcap"]);
    let path = desk.spool().join("spool.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"version\":1", "\"version\":2")).unwrap();
    let before = std::fs::read(&desk.segments()[0]).unwrap();
    let ngrok = capture("ngrok.pcap");
    for output in [
        desk.replay(&ngrok, &collector.url(""), &[]),
        desk.run(&["spool", "flush"]),
    ] {
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let said = stderr(&output);
        assert!(said.contains("version 2"), "{said}");
        assert!(said.contains("left as it is"), "{said}");
    }
    assert!(stdout(&desk.run(&["spool", "list"])).contains("version 2"));
    assert_eq!(std::fs::read(&desk.segments()[0]).unwrap(), before);
}

#[test]
fn two_runs_do_not_share_a_spool() {
    let (collector, desk) = (Collector::start(), Desk::new());
    collector.will_always(Some(Fault::Silent));
    let ngrok = capture("ngrok.pcap");
    let url = collector.url("");
    let mut child = desk
        .command(&["replay", ngrok.to_str().unwrap(), "--events", &url])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    collector.wait_for_requests(1);
    let output = desk.replay(&ngrok, &url, &[]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("another run is delivering"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("--spool"), "{}", stderr(&output));
}
