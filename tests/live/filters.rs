//! Filters in libpcap's language.

use crate::common::{json_lines, stderr};
use crate::lab::Lab;

/// The names that a run with these arguments has seen, of three that were asked for.
fn seen(lab: &Lab, arguments: &[&str]) -> Vec<String> {
    let events = lab.place("events.jsonl");
    std::fs::remove_file(&events).ok();
    let live = lab.listen(
        "c",
        &[&["--rows", "none", "--events", &events], arguments].concat(),
    );
    lab.dig("c", &["@10.9.5.2", "two.example.com"]);
    lab.dig("c", &["@10.9.5.3", "three.example.com"]);
    lab.dig("c", &["@10.9.5.2", "+tcp", "tcp.example.com"]);
    live.end_by("INT").with_status(0);
    json_lines(&std::fs::read_to_string(&events).unwrap())
        .iter()
        .map(|event| event["query"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_filter_sets_what_is_seen() {
    let Some(lab) = Lab::pair() else { return };
    let all = ["two.example.com", "three.example.com", "tcp.example.com"];
    assert_eq!(seen(&lab, &["-i", "eth0"]), all);
    assert_eq!(seen(&lab, &["-i", "eth0", "-f", "host 10.9.5.3"]), [all[1]]);
    // As tcpdump is used.
    assert_eq!(seen(&lab, &["-i", "eth0", "udp", "port", "53"]), all[..2]);
    assert_eq!(
        seen(&lab, &["-i", "eth0", "udp port 53 and not host 10.9.5.3"]),
        all[..1]
    );
}

#[test]
fn a_bad_filter_is_said() {
    let Some(lab) = Lab::pair() else { return };
    for arguments in [
        &["sniff", "-i", "eth0", "-f", "host port"][..],
        &["-i", "eth0", "host", "port"],
    ] {
        let output = lab.dnsterrier("c", arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty());
        let said = stderr(&output);
        assert!(
            said.contains("'host port'") && said.contains("syntax error"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
