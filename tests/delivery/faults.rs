//! A collector that misbehaves: nothing is lost, nothing counts twice.

use serde_json::{Value, json};

use crate::collector::{Collector, Fault};
use crate::common::{json_lines, stderr};
use crate::run::{Desk, capture, expected, received, succeeds};

/// Replays to a collector that does these things first, and then behaves.
fn after(faults: Vec<Fault>, options: &str) -> (Collector, Desk) {
    let (collector, desk) = (Collector::start(), Desk::new());
    if options.contains("ack") {
        collector.acknowledges();
    }
    let count = faults.len();
    collector.will(faults);
    let ngrok = capture("ngrok.pcap");
    let output = desk.replay(&ngrok, &collector.url(options), &[]);
    succeeds(&output);
    let whole = expected(&ngrok);
    assert_eq!(received(collector.events()), whole);
    let delivery = desk.delivery();
    assert_eq!(delivery["delivered"], whole.len());
    assert_eq!(delivery["retried"], count, "{delivery}");
    assert!(
        stderr(&output).contains("cannot be reached"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("takes events again"),
        "{}",
        stderr(&output)
    );
    (collector, desk)
}

#[test]
fn it_is_busy() {
    let busy = json!({"text": "Server is busy", "code": 9});
    let (collector, _) = after(vec![Fault::Answer(503, busy, "")], "");
    assert!(collector.requests() >= 2);
}

#[test]
fn it_has_an_error_inside() {
    let error = json!({"text": "Internal server error", "code": 8});
    after(vec![Fault::Answer(500, error, "")], "");
}

#[test]
fn it_timed_out() {
    after(vec![Fault::Answer(408, json!({}), "")], "");
}

#[test]
fn it_asks_to_be_left_alone() {
    let begin = std::time::Instant::now();
    after(vec![Fault::Answer(429, json!({}), "Retry-After: 2")], "");
    assert!(begin.elapsed().as_secs() >= 2, "it was not left alone");
}

#[test]
fn it_cuts_the_connection_in_the_middle_of_the_body() {
    after(vec![Fault::CutInBody, Fault::CutInBody], "");
}

#[test]
fn it_takes_the_events_and_does_not_say_so() {
    let (collector, _) = after(vec![Fault::TakeAndCut], "");
    let all = collector.events();
    assert!(
        all.len() > received(all.clone()).len(),
        "nothing came twice"
    );
}

#[test]
fn it_never_answers() {
    after(vec![Fault::Silent], "?timeout=1s");
}

#[test]
fn it_never_acknowledges() {
    after(vec![Fault::NeverAcknowledge], "?ack=true&timeout=1s");
}

/// One event in the middle is not to its liking.
fn valid(event: &Value) -> bool {
    event["query"] != "tunnel.eu.ngrok.com"
}

#[test]
fn it_refuses_some_events() {
    for names in [true, false] {
        let (collector, desk) = (Collector::start(), Desk::new());
        collector.wants(valid, names);
        let ngrok = capture("ngrok.pcap");
        let output = desk.replay(&ngrok, &collector.url(""), &[]);
        succeeds(&output);
        let (good, bad): (Vec<_>, Vec<_>) =
            expected(&ngrok).into_iter().partition(|(_, it)| valid(it));
        assert!(
            good.len() > 2 && bad.len() > 1,
            "{} {}",
            good.len(),
            bad.len()
        );
        let good = good.into_iter().collect();
        assert_eq!(received(collector.events()), good);
        assert_eq!(collector.events().len(), good.len(), "something came twice");
        let letters = std::fs::read_to_string(desk.spool().join("refused.jsonl")).unwrap();
        let letters = json_lines(&letters);
        for letter in &letters {
            assert!(
                letter["why"]
                    .as_str()
                    .unwrap()
                    .contains("Invalid data format")
            );
        }
        let kept = crate::run::by_id(letters.into_iter().map(|it| it["record"].clone()));
        assert_eq!(kept, bad.into_iter().collect());
        let delivery = desk.delivery();
        assert_eq!(delivery["delivered"], good.len());
        assert_eq!(delivery["refused"], kept.len());
        assert!(
            stderr(&output).contains("refused.jsonl"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn a_wrong_token_is_not_the_events_fault() {
    let (collector, desk) = (Collector::start(), Desk::new());
    let ngrok = capture("ngrok.pcap");
    let url = collector.url("");
    let output = desk
        .command(&[
            "replay",
            ngrok.to_str().unwrap(),
            "--rows",
            "none",
            "--events",
            &url,
        ])
        .env("DNSTERRIER_HEC_TOKEN", "wrong")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("Invalid token"), "{said}");
    assert!(said.contains("dnsterrier spool flush --spool"), "{said}");
    assert!(!said.contains("wrong"), "{said}");
    assert_eq!(collector.events(), [json!(null); 0]);
    assert!(!desk.spool().join("refused.jsonl").exists());
    // With the right one.
    succeeds(&desk.run(&["spool", "flush"]));
    assert_eq!(received(collector.events()), expected(&ngrok));
}

#[test]
fn an_index_that_does_not_exist_is_not_the_events_fault() {
    let (collector, desk) = (Collector::start(), Desk::new());
    let wrong = json!({"text": "Incorrect index", "code": 7, "invalid-event-number": 0});
    collector.will_always(Some(Fault::Answer(400, wrong, "")));
    let ngrok = capture("ngrok.pcap");
    let output = desk.replay(&ngrok, &collector.url("?index=nowhere"), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(desk.delivery()["left"], expected(&ngrok).len());
    assert_eq!(desk.delivery()["refused"], 0);
}
