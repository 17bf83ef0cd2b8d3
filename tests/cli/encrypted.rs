//! Encrypted DNS: who used it is said wherever somebody may take no rows for no lookups.

use serde_json::{Value, json};

use super::{capture, dnsterrier, file, json as run, pcap, stderr, stdout};

const HOST: ([u8; 4], u16) = ([192, 0, 2, 10], 40_000);
const SERVER: ([u8; 4], u16) = ([192, 0, 2, 53], 853);
/// Google's, and one that is nobody's.
const GOOGLE: ([u8; 4], u16) = ([8, 8, 8, 8], 443);
const WEB: ([u8; 4], u16) = ([8, 8, 8, 9], 443);
const RESOLVER: ([u8; 4], u16) = ([192, 0, 2, 53], 53);

const SYN: u8 = 2;
const RST_ACK: u8 = 20;
const SYN_ACK: u8 = 18;

/// A file of packets, one each second.
fn made(packets: &[Vec<u8>]) -> (tempfile::TempDir, String) {
    pcap::made_of(packets, 1_000_000)
}

fn at(host: ([u8; 4], u16), port: u16) -> ([u8; 4], u16) {
    (host.0, port)
}

/// One of each: over TLS taken and refused, over QUIC, over HTTPS; lookups; and what is none of it.
fn one_of_each() -> Vec<Vec<u8>> {
    let other = ([192, 0, 2, 11], 40_000);
    vec![
        // 0: over TLS, with a repeated SYN; and a second connection, which is refused.
        pcap::tcp(HOST, SERVER, SYN, 7),
        pcap::tcp(HOST, SERVER, SYN, 7),
        pcap::tcp(SERVER, HOST, SYN_ACK, 9),
        pcap::tcp(at(HOST, 40_001), SERVER, SYN, 7),
        pcap::tcp(SERVER, at(HOST, 40_001), RST_ACK, 0),
        // 5: over QUIC, unanswered.
        pcap::udp(other, SERVER, 1, b"quic"),
        pcap::udp(other, SERVER, 2, b"quic"),
        // 7: over HTTPS, both ways of it.
        pcap::tcp(other, GOOGLE, SYN, 7),
        pcap::udp(at(other, 40_002), GOOGLE, 3, b"quic"),
        pcap::udp(GOOGLE, at(other, 40_002), 4, b"quic"),
        // 10: HTTPS with anybody else.
        pcap::tcp(HOST, WEB, SYN, 7),
        pcap::udp(at(HOST, 40_003), WEB, 5, b"quic"),
        // 12: lookups of a resolver, and of a canary, which is none.
        pcap::udp(
            HOST,
            RESOLVER,
            6,
            &pcap::query(1, "chrome.cloudflare-dns.com"),
        ),
        pcap::udp(
            HOST,
            RESOLVER,
            7,
            &pcap::query(2, "use-application-dns.net"),
        ),
        pcap::udp(HOST, RESOLVER, 8, &pcap::query(3, "abc.ngrok.io")),
    ]
}

/// The records of the sources; each has an id of its own, which is left out here.
fn sources(path: &str, more: &[&str]) -> Vec<Value> {
    let mut list = run(&[
        &[path, "--rows", "none", "--sources", "-", "--sensor", "s"],
        more,
    ]
    .concat());
    let mut ids = std::collections::HashSet::new();
    for source in &mut list {
        let id = source.as_object_mut().unwrap().remove("event_id").unwrap();
        assert!(
            ids.insert(id.as_str().unwrap().to_owned()),
            "{id} is there twice"
        );
    }
    list
}

#[test]
fn sources_say_what_cannot_be_read() {
    let (_folder, path) = made(&one_of_each());
    assert_eq!(
        json!(sources(&path, &[])),
        json!([
            {
                "src": "192.0.2.10", "src_role": "client", "hits": 1,
                "rules": ["Ngrok Reverse Proxy on Network"], "names": ["abc.ngrok.io"],
                "firstTime": "2027-01-15T08:00:14.000000Z", "lastTime": "2027-01-15T08:00:14.000000Z",
                "encrypted_dns_connections": 2, "encrypted_dns_answered": 1, "encrypted_dns_lookups": 1,
                "encrypted_dns_resolvers": ["192.0.2.53", "Cloudflare"],
                "encrypted_dns_firstTime": "2027-01-15T08:00:00.000000Z",
                "encrypted_dns_lastTime": "2027-01-15T08:00:12.000000Z",
                "sensor": "s",
            },
            {
                "src": "192.0.2.11", "src_role": "client", "hits": 0, "rules": [], "names": [],
                "encrypted_dns_connections": 3, "encrypted_dns_answered": 1, "encrypted_dns_lookups": 0,
                "encrypted_dns_resolvers": ["192.0.2.53", "Google"],
                "encrypted_dns_firstTime": "2027-01-15T08:00:05.000000Z",
                "encrypted_dns_lastTime": "2027-01-15T08:00:09.000000Z",
                "sensor": "s",
            },
        ])
    );
    let table = stdout(&dnsterrier([
        &path,
        "--rows",
        "none",
        "--sources",
        "-",
        "-q",
    ]));
    assert!(table.contains("encrypted_dns_connections"), "{table}");
}

#[test]
fn the_last_lines_say_so() {
    let (folder, path) = made(&one_of_each());
    let stats = folder.path().join("stats.json");
    let text = stderr(&dnsterrier([&path, "--stats", stats.to_str().unwrap()]));
    assert!(
        text.contains(
            "warning: encrypted DNS seen: 2 sources, 5 connections (2 answered), 1 lookup of resolvers' names, with 192.0.2.53 3, Google 2, Cloudflare 1. "
        ),
        "{text}"
    );
    // Only one of the two had a hit, and the canary was not looked into.
    assert!(
        text.starts_with("1 source, 1 lookup of 3 by 1 client"),
        "{text}"
    );
    let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    assert_eq!(
        stats["encrypted_dns"],
        json!({
            "dot": 2, "doq": 1, "doh": 2, "answered": 2, "lookups": 1, "sources": 2, "forgotten": 0,
            "resolvers": [
                { "name": "192.0.2.53", "connections": 3, "lookups": 0 },
                { "name": "Google", "connections": 2, "lookups": 0 },
                { "name": "Cloudflare", "connections": 0, "lookups": 1 },
            ],
            "more_resolvers": false,
        })
    );
    assert_eq!(stats["events"]["made"], 2);
    let verbose = stderr(&dnsterrier([&path, "-v"]));
    assert!(
        verbose.contains("encrypted_dns: dot 2, doq 1, doh 2, answered 2, lookups 1, sources 2"),
        "{verbose}"
    );
    for name in ["ngrok.pcap", "tcp.pcap", "vlan.pcap"] {
        let text = stderr(&dnsterrier([capture(name)]));
        assert!(!text.contains("encrypted"), "{name}: {text}");
    }
}

/// What is asked for, a rule or a time, changes what is counted as it should.
#[test]
fn with_other_options() {
    let (_folder, path) = made(&one_of_each());
    let counts = |more: &[&str]| -> Vec<[u64; 3]> {
        sources(&path, more)
            .iter()
            .map(|source| {
                ["connections", "answered", "lookups"]
                    .map(|name| source[format!("encrypted_dns_{name}")].as_u64().unwrap())
            })
            .collect()
    };
    let all = [[2, 1, 1], [3, 1, 0]];
    assert_eq!(counts(&[]), all);
    // A hunt, no rule at all, everything decoded.
    assert_eq!(counts(&["--name", "not.there"]), all);
    assert_eq!(counts(&["--no-embedded"]), all);
    assert_eq!(counts(&["--events", "/dev/null"]), all);
    // The first connection over TLS was taken after that time.
    assert_eq!(
        counts(&["--since", "2027-01-15T08:00:02Z"]),
        [[1, 1, 1], [3, 1, 0]]
    );
    assert_eq!(counts(&["--until", "2027-01-15T08:00:05Z"]), [[2, 1, 0]]);
    // On a port of DNS there is DNS.
    assert_eq!(counts(&["--ports", "53,853"]), [[0, 0, 1], [2, 1, 0]]);
}

#[test]
fn another_list_of_resolvers() {
    let (folder, path) = made(&one_of_each());
    let list = folder.path().join("list.txt");
    std::fs::write(
        &list,
        "[Web] # ours\n8.8.8.9 8.8.9.0/24\n[Canary]\nuse-application-dns.net\n",
    )
    .unwrap();
    let list = list.to_str().unwrap();
    let found = sources(&path, &["--doh-resolvers", list]);
    assert_eq!(found[0]["encrypted_dns_connections"], 4);
    assert_eq!(found[0]["encrypted_dns_lookups"], 1);
    assert_eq!(
        found[0]["encrypted_dns_resolvers"],
        json!(["192.0.2.53", "Canary", "Web"])
    );
    // Over QUIC alone.
    assert_eq!(found[1]["encrypted_dns_connections"], 1);
    // The list inside the program is in the form of a list.
    let own = file("rules/doh-resolvers.txt");
    assert_eq!(
        sources(&path, &["--doh-resolvers", own.to_str().unwrap()]),
        sources(&path, &[])
    );

    std::fs::write(list, "[A]\n8.8.8.8\nnonsense\n").unwrap();
    let output = dnsterrier([&path, "--doh-resolvers", list]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains(&format!("{list}:3: 'nonsense' is neither a name")),
        "{}",
        stderr(&output)
    );
    let output = dnsterrier([&path, "--doh-resolvers", "/not/there"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("/not/there: cannot be read"));
}

/// Many connections at once, without a single message of DNS.
#[test]
fn more_connections_than_a_batch_holds() {
    let packets: Vec<Vec<u8>> = (0..3_000)
        .map(|n| pcap::tcp(([10, 0, (n >> 8) as u8, n as u8], 40_000), SERVER, SYN, 7))
        .collect();
    let (_folder, path) = made(&packets);
    let found = sources(&path, &[]);
    assert_eq!(found.len(), 3_000);
    assert!(
        found
            .iter()
            .all(|source| source["encrypted_dns_connections"] == 1)
    );
}
