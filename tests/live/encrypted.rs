//! Real clients that ask where nobody can read it: over TLS, HTTPS and QUIC.

use serde_json::Value;

use crate::common::json_lines;
use crate::lab::Lab;

/// dig over TLS and HTTPS, curl over HTTPS, kdig over QUIC; and plain lookups beside them. `d` answers over TLS and HTTPS, and
/// nobody over QUIC.
#[test]
fn encrypted_dns_is_seen() {
    let Some(lab) = Lab::hidden_pair() else {
        return;
    };
    let (sources, stats) = (lab.place("sources.jsonl"), lab.place("stats.json"));
    let live = lab.listen(
        "c",
        &[
            "sniff",
            "-i",
            "eth0",
            "--rows",
            "none",
            "--sources",
            &sources,
            "--stats",
            &stats,
        ],
    );
    let over_tls = ["+tls", "+tries=1", "@10.9.5.2", "hidden.ngrok.io"];
    lab.dig("c", &over_tls);
    lab.dig("c", &over_tls);
    // Two messages on one connection.
    lab.dig(
        "c",
        &[
            "+tls",
            "+keepopen",
            "@8.8.8.8",
            "one.ngrok.io",
            "other.ngrok.io",
        ],
    );
    lab.dig("c", &["+https", "+tries=1", "@8.8.8.8", "hidden.ngrok.io"]);
    // It asks over HTTPS where the page is, then finds no web server there.
    let curl = [
        "curl",
        "--silent",
        "--max-time",
        "2",
        "--doh-insecure",
        "--doh-url",
        "https://8.8.8.8/dns-query",
        "http://www.example.com/",
    ];
    assert!(!lab.output("c", &curl).status.success());
    // Nobody listens there on another address of the host.
    let unanswered = [
        ["kdig", "+quic", "+retry=0", "+timeout=1"],
        ["dig", "+tls", "+tries=1", "+time=1"],
    ];
    for command in unanswered {
        let output = lab.output("c", &[&command[..], &["@10.9.5.3", "a.ngrok.io"]].concat());
        assert!(!output.status.success(), "{output:?}");
    }
    lab.dig("c", &["@10.9.5.2", "dns.google"]);
    lab.dig("c", &["@10.9.5.2", "seen.ngrok.io"]);
    let ended = live.end_by("INT").with_status(0);

    let sources = json_lines(&std::fs::read_to_string(&sources).unwrap());
    let [source] = sources.as_slice() else {
        panic!("{sources:#?}");
    };
    assert_eq!(source["src"], "10.9.5.1");
    assert_eq!(source["names"], serde_json::json!(["seen.ngrok.io"]));
    let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    let seen = &stats["encrypted_dns"];
    let count = |name: &str| seen[name].as_u64().unwrap();
    assert_eq!(count("dot"), 4, "{seen:#}");
    assert_eq!(count("doq"), 1, "{seen:#}");
    // curl asks for A and AAAA, over one connection or over two.
    assert!((2..=3).contains(&count("doh")), "{seen:#}");
    // Nothing came of those two.
    assert_eq!(
        count("answered"),
        count("dot") - 1 + count("doh"),
        "{seen:#}"
    );
    assert_eq!((count("lookups"), count("sources")), (1, 1), "{seen:#}");
    assert_eq!(
        source["encrypted_dns_resolvers"],
        serde_json::json!(["10.9.5.2", "10.9.5.3", "Google"])
    );
    assert!(
        ended
            .err
            .contains("warning: encrypted DNS seen: 1 source, "),
        "{}",
        ended.err
    );
}
