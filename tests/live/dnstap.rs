//! Real resolvers that send dnstap: over TLS and HTTPS nobody on the wire sees what they are asked.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::common::json_lines;
use crate::lab::{Lab, capture};
use crate::running::{Running, wait_until};

/// The hits so far, each as name, source, port and encapsulations.
fn hits(out: &str) -> Vec<Value> {
    json_lines(out)
        .iter()
        .map(|hit| json!([hit["query"], hit["source"], hit["dest_port"], hit["tunnel"]]))
        .collect()
}

fn stats(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// unbound beside the wire: what both show counts once, what TLS hides only unbound can say.
#[test]
fn a_resolver_beside_the_wire() {
    let Some(lab) = Lab::tapped_pair() else {
        return;
    };
    let (tap, counters) = (lab.tap(), lab.place("stats.json"));
    let live = lab.listen(
        "c",
        &[
            "sniff", "-i", "eth0", "--ports", "53,5300", "--dnstap", &tap, "--rows", "none",
            "--hits", "-", "--stats", &counters,
        ],
    );
    lab.dig("c", &["-p", "5300", "@10.9.5.2", "seen.ngrok.io"]);
    lab.dig("c", &["+tls", "@10.9.5.2", "hidden.ngrok.io"]);
    live.wait_for_out("hidden.ngrok.io");
    let ended = live.end_by("INT").with_status(0);
    assert_eq!(
        hits(&ended.out),
        [
            json!(["seen.ngrok.io", "eth0", 5300, []]),
            json!(["hidden.ngrok.io", tap, 853, ["dnstap"]]),
        ]
    );
    let hit = &json_lines(&ended.out)[1];
    assert_eq!(
        (&hit["src"], &hit["dest"]),
        (&json!("10.9.5.1"), &json!("10.9.5.2"))
    );
    assert_eq!(hit["answer"], json!(["3.134.39.220"]));
    assert_eq!(hit["transport"], "tcp");
    assert_eq!(hit["anomalies"], json!([]));
    let stats = stats(&counters);
    assert_eq!(stats["messages"]["query_copy"], 1, "{stats:#}");
    assert_eq!(stats["messages"]["response_copy"], 1, "{stats:#}");
    assert_eq!(stats["messages"]["query_retransmitted"], 0, "{stats:#}");
    assert_eq!(stats["encrypted_dns"]["dot"], 1, "{stats:#}");
    // The wait for the resolvers that are connected ends with the run, and the socket goes with it.
    assert!(!std::path::Path::new(&lab.place("tap.sock")).exists());
}

/// Knot Resolver says over what it was asked.
#[test]
fn over_tls_and_https() {
    let Some(lab) = Lab::tapped_pair() else {
        return;
    };
    let tap = lab.tap();
    let live = lab.listen(
        "c",
        &["sniff", "--dnstap", &tap, "--rows", "none", "--hits", "-"],
    );
    let (settings, folder) = (lab.place("kresd.conf"), lab.place("kresd"));
    std::fs::create_dir(&folder).unwrap();
    // It does not try again where nobody listens when it starts.
    let kresd = Running::start(lab.on("c", &["kresd", "-n", "-c", &settings, &folder]));
    let is_up = || {
        let asked = [
            "dig",
            "+tries=1",
            "+time=1",
            "+https",
            "@10.9.5.1",
            "example.com",
        ];
        lab.output("d", &asked).status.success()
    };
    wait_until("Knot Resolver", is_up);
    for (how, name) in [
        ("+notcp", "udp"),
        ("+tcp", "tcp"),
        ("+tls", "dot"),
        ("+https", "doh"),
    ] {
        lab.dig("d", &[how, "@10.9.5.1", &format!("{name}.ngrok.io")]);
    }
    live.wait_for_out("doh.ngrok.io");
    drop(kresd);
    let ended = live.end_by("TERM").with_status(0);
    assert_eq!(
        hits(&ended.out),
        [
            json!(["udp.ngrok.io", tap, 53, ["dnstap"]]),
            json!(["tcp.ngrok.io", tap, 53, ["dnstap"]]),
            json!(["dot.ngrok.io", tap, 853, ["dnstap", "dot"]]),
            json!(["doh.ngrok.io", tap, 443, ["dnstap", "doh"]]),
        ]
    );
    assert!(
        json_lines(&ended.out)
            .iter()
            .all(|hit| hit["src"] == "10.9.5.2")
    );
}

/// The socket is there before root is given up, and users who are not root may connect to it.
#[test]
fn as_another_user() {
    let Some(lab) = Lab::pair() else { return };
    let socket = lab.place("own.sock");
    let live = lab.listen(
        "c",
        &[
            "sniff",
            "--dnstap",
            &format!("unix:{socket}"),
            "--user",
            "nobody",
            "--rows",
            "none",
            "--hits",
            "-",
        ],
    );
    assert!(live.wait_for_err("listening on").contains("as nobody"));
    // Others cannot read the repository.
    let file = lab.place("resolver.dnstap");
    std::fs::copy(capture("resolver.dnstap"), &file).unwrap();
    let replay = [
        "setpriv",
        "--reuid=nobody",
        "--regid=nogroup",
        "--clear-groups",
        "fstrm_replay",
        "-t",
        "protobuf:dnstap.Dnstap",
        "-u",
        &socket,
        "-r",
        &file,
    ];
    let mut command = lab.on("c", &replay);
    command.stdin(Stdio::null());
    Running::start(command).end().with_status(0);
    live.wait_for_out("korgn.su.lennut.com");
    live.end_by("INT").with_status(0);
}
