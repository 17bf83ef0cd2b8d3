//! A real forwarder between a client and a resolver.

use serde_json::json;

use crate::common::{json_lines, roles};
use crate::lab::Lab;
use crate::running::Running;

/// `d` asks dnsmasq on `c`, which asks unbound on `d`: 10.9.5.3 is the client, 10.9.5.1 the forwarder, 10.9.5.2 the resolver.
fn forwarder(lab: &Lab) -> Running {
    let running = Running::start(lab.on(
        "c",
        &[
            "dnsmasq",
            "--keep-in-foreground",
            "--log-facility=-",
            "--no-resolv",
            "--no-hosts",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--user=root",
            "--cache-size=0",
            "--bind-interfaces",
            "--listen-address=10.9.5.1",
            "--server=10.9.5.2",
            "--add-subnet=32",
        ],
    ));
    running.wait_for_err("using nameserver 10.9.5.2");
    running
}

/// Asks the forwarder, as a client of its own.
fn ask(lab: &Lab, name: &str) {
    lab.dig("d", &["-b", "10.9.5.3", "@10.9.5.1", name]);
}

/// From its first lookup on, which comes before its first answer, the forwarder is a resolver; it says for whom it asks.
#[test]
fn a_forwarder_hides_its_client() {
    let Some(lab) = Lab::pair() else {
        return;
    };
    let dnsmasq = forwarder(&lab);
    let (hits, sources) = (lab.place("hits.jsonl"), lab.place("sources.jsonl"));
    let live = lab.listen(
        "c",
        &[
            "sniff",
            "-i",
            "eth0",
            "--rows",
            "none",
            "--hits",
            &hits,
            "--sources",
            &sources,
        ],
    );
    ask(&lab, "first.ngrok.io");
    live.end_by("INT").with_status(0);
    drop(dnsmasq);
    let read = |path: &str| json_lines(&std::fs::read_to_string(path).unwrap());
    let hits = read(&hits);
    assert_eq!(
        roles(&hits),
        [("10.9.5.1", "resolver"), ("10.9.5.3", "client")]
    );
    assert_eq!(hits[0]["client_hint"], json!("10.9.5.3/32"));
    assert!(hits[1].get("client_hint").is_none());
    assert_eq!(
        roles(&read(&sources)),
        [("10.9.5.1", "resolver"), ("10.9.5.3", "client")]
    );
}

/// On the far side of it only the forwarder asks. Named, it is a resolver, and the last lines say where to mirror instead.
#[test]
fn the_far_side_of_a_forwarder() {
    let Some(lab) = Lab::pair() else {
        return;
    };
    let dnsmasq = forwarder(&lab);
    let live = lab.listen(
        "c",
        &[
            "sniff",
            "-i",
            "eth0",
            "--rows",
            "none",
            "--resolvers",
            "10.9.5.1",
            "-f",
            "not host 10.9.5.3",
        ],
    );
    for number in 0..15 {
        ask(&lab, &format!("n{number}.example.com"));
    }
    let ended = live.end_by("INT").with_status(0);
    drop(dnsmasq);
    assert!(
        ended.err.contains(
            "warning: 100.0 % of the lookups come from resolvers that answer nobody here (10.9.5.1)"
        ),
        "{}",
        ended.err
    );
}
