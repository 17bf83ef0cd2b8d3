//! What the kernel had to drop is said.

use serde_json::Value;

use crate::lab::Lab;

/// A program that is stopped while packets come in is one that is too slow, only surely so.
#[test]
fn packets_that_the_kernel_dropped_are_counted() {
    let Some(lab) = Lab::pair() else { return };
    let stats = lab.place("stats.json");
    let live = lab.listen(
        "c",
        &[
            "sniff",
            "-i",
            "eth0",
            "--buffer-size",
            "64",
            "--stats",
            &stats,
        ],
    );
    live.signal("STOP");
    lab.dig_all("c", (0..4000).map(|n| format!("@10.9.5.2 n{n}.ngrok.io")));
    live.signal("CONT");
    let ended = live.end_by("INT").with_status(0);
    let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    let counted = |name: &str| stats["capture"][name].as_u64().unwrap();
    assert!(counted("kernel_dropped") > 0, "{stats:#}");
    assert!(counted("received") > 0, "{stats:#}");
    assert!(
        counted("received") + counted("kernel_dropped") >= 8000,
        "{stats:#}"
    );
    for identity in stats["identities"].as_array().unwrap() {
        assert_eq!(identity["holds"], Value::Bool(true), "{identity}");
    }
    assert!(
        ended.err.contains("warning: ")
            && ended.err.contains("by the kernel")
            && ended.err.contains("--buffer-size"),
        "{}",
        ended.err
    );
}
