//! Real servers on ports that nobody named, over UDP and TCP, IPv4 and IPv6, asked by dig; and what dig says of the answers.

use std::path::Path;

use serde_json::Value;

use crate::common::json_lines;
use crate::lab::{Lab, capture};
use crate::running::{Running, wait_until};

/// nsd, with a zone that has every common type, and what tunnels through DNS ask for.
const AUTHORITATIVE: &str = "8053";
/// unbound, in front of it.
const RESOLVER: &str = "5300";

const ZONE: &str = r#"
$TTL 300
@       SOA   ns hostmaster 1 3600 600 86400 60
@       NS    ns
@       MX    10 mail
@       CAA   0 issue "ca.example"
@       DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==
ns      A     10.9.5.2
mail    A     192.0.2.25
www     A     192.0.2.1
www     A     192.0.2.2
www     AAAA  2001:db8::1
www     HTTPS 1 . alpn="h2,h3" ipv4hint=192.0.2.1
_sip._udp SRV 10 20 5060 www
_sip._udp NAPTR 100 10 "s" "SIP+D2U" "" _sip._udp
_443._tcp.www TLSA 3 1 1 0d6fce3320315023ff499a3f3de1362c88f2e8ad2f7ac2d2dc6d0d3c8e2e1c3a
one     CNAME two
two     CNAME three
three   CNAME www
4.3     PTR   www
info    TXT   "v=spf1 -all" "more of it"
big     TXT   "LONG" "LONG" "LONG" "LONG" "LONG" "LONG" "LONG" "LONG" "LONG" "LONG" "LONG" "LONG"
sub     DS    60485 13 2 d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a
*.t     TXT   "0123456789abcdef"
*.t     TYPE10 \# 8 00ff8001c00c0029
*.t     TYPE25 \# 8 00ff8001c00c0029
*.t     TYPE65399 \# 8 00ff8001c00c0029
*.t     MX    10 ab\255\128cd.t
*.t     SRV   10 20 1 ab\255\128cd.t
*.c     CNAME ab\255\128cd.t
"#;

/// Starts both servers on `d`; they end with what is given.
fn servers(lab: &Lab) -> [Running; 2] {
    let folder = lab.folder().to_str().unwrap();
    let long = "x".repeat(250);
    std::fs::write(lab.place("zone"), ZONE.replace("LONG", &long)).unwrap();
    std::fs::write(
        lab.place("nsd.conf"),
        format!(
            "server:\n  ip-address: 0.0.0.0@{AUTHORITATIVE}\n  ip-address: ::0@{AUTHORITATIVE}\n  username: \"\"\n  \
             zonesdir: \"{folder}\"\n  database: \"\"\n  pidfile: \"{folder}/nsd.pid\"\n  xfrdfile: \"\"\n  \
             zonelistfile: \"{folder}/zones\"\n  xfrdir: \"{folder}\"\n  server-count: 1\n\
             remote-control:\n  control-enable: no\n\
             zone:\n  name: \"corp.test\"\n  zonefile: \"zone\"\n  provide-xfr: 0.0.0.0/0 NOKEY\n"
        ),
    )
    .unwrap();
    std::fs::write(
        lab.place("unbound.conf"),
        format!(
            "server:\n  interface: 0.0.0.0@{RESOLVER}\n  interface: ::0@{RESOLVER}\n  interface-automatic: yes\n  \
             interface-automatic-ports: \"{RESOLVER}\"\n  access-control: 0.0.0.0/0 allow\n  access-control: ::/0 allow\n  \
             do-not-query-localhost: no\n  num-threads: 1\n  username: \"\"\n  chroot: \"\"\n  directory: \"{folder}\"\n  \
             pidfile: \"{folder}/unbound.pid\"\n  use-syslog: no\n  logfile: \"\"\n  module-config: \"iterator\"\n  \
             local-zone: \"test.\" nodefault\n\
             remote-control:\n  control-enable: no\n\
             stub-zone:\n  name: \"corp.test\"\n  stub-addr: 127.0.0.1@{AUTHORITATIVE}\n\
             stub-zone:\n  name: \"lame.test\"\n  stub-addr: 127.0.0.1@{AUTHORITATIVE}\n"
        ),
    )
    .unwrap();
    ["nsd", "unbound"].map(|server| {
        // A copy, because a security profile for the installed path would keep it out of our folder.
        let installed = Path::new("/usr/sbin").join(server);
        let program = lab.place(server);
        std::fs::copy(&installed, &program).unwrap();
        let configuration = lab.place(&format!("{server}.conf"));
        Running::start(lab.on("d", &[&program, "-d", "-c", &configuration]))
    })
}

/// What dig says of a response: its RCODE, and the records in its answer section.
fn asked(lab: &Lab, port: &str, arguments: &str) -> (String, u64) {
    let words: Vec<&str> = arguments.split(' ').collect();
    let fixed = [
        "dig",
        "-p",
        port,
        "+noall",
        "+comments",
        "+tries=1",
        "+time=5",
    ];
    let said = lab.run("c", &[&fixed[..], &words].concat());
    let after = |key: &str| {
        let rest = said
            .split(key)
            .nth(1)
            .unwrap_or_else(|| panic!("{arguments}: {said}"));
        rest.split([',', ';']).next().unwrap().trim().to_owned()
    };
    (after("status: "), after("ANSWER: ").parse().unwrap())
}

#[test]
fn servers_on_ports_of_their_own() {
    let Some(lab) = Lab::pair() else { return };
    for (host, address) in [("c", "fd00:5::1/64"), ("d", "fd00:5::2/64")] {
        lab.run(
            host,
            &["ip", "addr", "add", address, "dev", "eth0", "nodad"],
        );
    }
    let _servers = servers(&lab);
    for (port, name) in [(AUTHORITATIVE, "corp.test"), (RESOLVER, "www.corp.test")] {
        for server in ["@10.9.5.2", "@fd00:5::2"] {
            wait_until("the servers", || {
                let dig = [
                    "dig", "-p", port, "+tries=1", "+time=1", "+short", server, name, "SOA",
                ];
                lab.output("c", &dig).status.success()
            });
        }
    }
    let web = Running::start(lab.on(
        "d",
        &[
            "python3",
            "-u",
            "-m",
            "http.server",
            "--directory",
            &capture(""),
            "8000",
        ],
    ));
    web.wait_for_out("Serving HTTP");

    let (events, stats) = (lab.place("events.jsonl"), lab.place("stats.json"));
    let usual = lab.place("usual.jsonl");
    let rest = ["--rows", "none", "-i", "eth0"];
    let with = [
        "sniff",
        "--any-port",
        "--events",
        &events,
        "--stats",
        &stats,
    ];
    let live = lab.listen("c", &[&with[..], &rest].concat());
    let without = lab.listen("c", &[&["sniff", "--events", &usual][..], &rest].concat());

    // Labels as iodine packs them, bytes from 188 on; dnscat2's are hexadecimal.
    let binary = r"0aba\190\212\253\192\225\233\219\243\188.\255\200\201.t.corp.test";
    let mut expected = Vec::new();
    let mut ask = |port: &'static str, transport: &'static str, arguments: &str| {
        let (code, answers) = asked(&lab, port, arguments);
        expected.push((port, transport, arguments.to_owned(), code, answers));
    };
    for server in ["@10.9.5.2", "@fd00:5::2"] {
        for (what, transport) in [("", "udp"), (" +tcp", "tcp")] {
            for port in [AUTHORITATIVE, RESOLVER] {
                for question in [
                    "www.corp.test A",
                    "www.corp.test AAAA",
                    "www.corp.test HTTPS",
                    "info.corp.test TXT",
                    "corp.test MX",
                    "corp.test SOA",
                    "corp.test DNSKEY +dnssec",
                    "sub.corp.test DS",
                    "_sip._udp.corp.test SRV",
                    "_sip._udp.corp.test NAPTR",
                    "_443._tcp.www.corp.test TLSA",
                    "corp.test CAA",
                    "4.3.corp.test PTR",
                    "one.corp.test A",
                    "nosuch.corp.test A",
                    "www.corp.test LOC",
                    "WwW.CoRp.TeSt A +nocookie",
                    "www.corp.test A +noedns",
                    "www.corp.test A +subnet=198.51.100.0/24 +padding=128",
                    "dnscat.0a1b01c2d3e4f5060708090a0b0c0d0e0f.t.corp.test TXT",
                    "dnscat.0a1b01c2d3e4f5060708090a0b0c0d0e0f.c.corp.test CNAME",
                ] {
                    ask(port, transport, &format!("{server} {question}{what}"));
                }
                for kind in ["NULL", "TYPE65399", "KEY", "TXT", "MX", "SRV"] {
                    ask(port, transport, &format!("{server} {binary} {kind}{what}"));
                }
            }
            ask(
                RESOLVER,
                transport,
                &format!("{server} a.lame.test A{what}"),
            );
            ask(
                AUTHORITATIVE,
                transport,
                &format!("{server} www.example.com A{what}"),
            );
        }
        // Truncated, then whole over TCP in several segments.
        ask(
            RESOLVER,
            "udp",
            &format!("{server} big.corp.test TXT +bufsize=512 +ignore"),
        );
        ask(RESOLVER, "tcp", &format!("{server} big.corp.test TXT +tcp"));
    }
    let transfer = [
        "dig",
        "-p",
        AUTHORITATIVE,
        "+noall",
        "+answer",
        "@10.9.5.2",
        "corp.test",
        "AXFR",
    ];
    let transferred = lab.run("c", &transfer).lines().count() as u64;
    // A capture of DNS, and what comes with it, over HTTP.
    lab.run(
        "c",
        &[
            "curl",
            "-s",
            "-o",
            "/dev/null",
            "http://10.9.5.2:8000/ngrok.pcap",
        ],
    );
    asked(&lab, RESOLVER, "@10.9.5.2 the-last-one.corp.test A");

    wait_until("the last event", || {
        std::fs::read_to_string(&events).is_ok_and(|text| text.contains("the-last-one"))
    });
    live.end_by("INT").with_status(0);
    without.end_by("INT").with_status(0);
    assert_eq!(std::fs::read_to_string(&usual).unwrap(), "");

    let found = json_lines(&std::fs::read_to_string(&events).unwrap());
    assert_eq!(found.len(), expected.len() + 2);
    let number = |event: &Value, field: &str| event[field].as_u64().unwrap();
    for (event, (port, transport, arguments, code, answers)) in found.iter().zip(&expected) {
        let mut words = arguments.split(' ').skip(1);
        let (name, kind) = (words.next().unwrap(), words.next().unwrap());
        let said = (&event["query"], &event["record_type"], &event["transport"]);
        let name = Value::from(name.to_ascii_lowercase());
        assert_eq!(
            said,
            (&name, &Value::from(kind), &Value::from(*transport)),
            "{arguments}"
        );
        assert_eq!(number(event, "dest_port").to_string(), *port, "{arguments}");
        assert_eq!(
            number(event, "answer_count"),
            *answers,
            "{arguments}: {event}"
        );
        let expected_code = match code.as_str() {
            "NOERROR" => "0",
            "SERVFAIL" => "2",
            "NXDOMAIN" => "3",
            "REFUSED" => "5",
            other => panic!("{arguments}: {other}"),
        };
        assert_eq!(event["reply_code_id"], expected_code, "{arguments}");
        let anomalies: Vec<&str> = event["anomalies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap())
            .collect();
        // The same over TCP after a truncated answer is a retry.
        let expected = if arguments.contains("+ignore") {
            vec!["truncated", "other_port"]
        } else if name == "big.corp.test" {
            vec!["tcp_retry", "other_port"]
        } else {
            vec!["other_port"]
        };
        assert_eq!(anomalies, expected, "{arguments}");
    }
    let transfer = &found[expected.len()];
    assert_eq!(
        (&transfer["record_type"], number(transfer, "answer_count")),
        (&Value::from("AXFR"), transferred)
    );
    let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    let counted = &stats["any_port"];
    let messages = number(counted, "udp_messages") + number(counted, "tcp_messages");
    assert_eq!(messages, 2 * found.len() as u64, "{counted}");
    assert_eq!(number(&stats["messages"], "not_dns"), 0);
}
