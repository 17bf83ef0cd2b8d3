//! dnstap from files and sockets: held against an independent reading, against fstrm's own sender, and against senders who mean
//! no good.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail: that is what it is for"
)]

mod common;
#[path = "live/running.rs"]
#[allow(dead_code, reason = "the live tests use all of it")]
mod running;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use common::{PROGRAM, dnsterrier, dnsterrier_reading, file, json_lines, stderr, stdout};
use running::{Running, wait_until};
use serde_json::{Value, json};

const READY: &[u8] = b"\0\0\0\0\0\0\0\x22\0\0\0\x04\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap";
const ACCEPT: &[u8] = b"\0\0\0\0\0\0\0\x22\0\0\0\x01\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap";
const START: &[u8] = b"\0\0\0\0\0\0\0\x22\0\0\0\x02\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap";
const STOP: &[u8] = b"\0\0\0\0\0\0\0\x04\0\0\0\x03";
const FINISH: &[u8] = b"\0\0\0\0\0\0\0\x04\0\0\0\x05";

fn capture() -> String {
    file("captures/resolver.dnstap")
        .to_str()
        .unwrap()
        .to_owned()
}

fn stats(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// What carried each message, as `scripts/lib/dnstap-to-pcap` reads it: the protocol and the frame's number.
fn as_python_reads_it() -> Vec<(String, u64)> {
    let output = Command::new(file("scripts/lib/dnstap-to-pcap"))
        .args([&capture(), "/dev/null"])
        .output()
        .unwrap();
    let text = stdout(&output);
    text.lines()
        .map(|line| {
            let (protocol, number) = line.split_once(' ').unwrap();
            (protocol.to_owned(), number.parse().unwrap())
        })
        .collect()
}

#[test]
fn every_frame_and_what_carried_it() {
    let expected = as_python_reads_it();
    let events = json_lines(&stdout(&dnsterrier([
        "replay",
        &capture(),
        "--rows",
        "none",
        "--events",
        "-",
        "--quiet",
    ])));
    let mut found = Vec::new();
    for event in &events {
        let protocol = match event["tunnel"].as_array().unwrap().as_slice() {
            [dnstap] if dnstap == "dnstap" => event["transport"].as_str().unwrap(),
            [dnstap, inner] if dnstap == "dnstap" => inner.as_str().unwrap(),
            other => panic!("{other:?}"),
        };
        for packet in ["packet", "response_packet"] {
            found.push((protocol.to_owned(), event[packet].as_u64().unwrap()));
        }
    }
    found.sort_by_key(|(_, number)| *number);
    assert_eq!(found, expected);
    let protocols = |name| expected.iter().filter(|(other, _)| other == name).count();
    assert!(
        ["udp", "tcp", "dot", "doh"]
            .map(protocols)
            .iter()
            .all(|count| *count > 0)
    );
}

/// Cut anywhere: an error, status 1, and the frames before it.
#[test]
fn cut_at_every_byte() {
    let bytes = std::fs::read(capture()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let counters = folder.path().join("stats.json");
    let arguments = ["replay", "-", "--stats", counters.to_str().unwrap()];
    let mut before = 0;
    // A program for each byte takes minutes: every one of the first frames, and some of the rest.
    let cuts = (1..300)
        .chain((300..bytes.len()).step_by(97))
        .chain(bytes.len() - 12..bytes.len());
    for cut in cuts {
        std::fs::remove_file(&counters).ok();
        let output = dnsterrier_reading(&bytes[..cut], &arguments);
        assert_eq!(output.status.code(), Some(1), "{cut}: {output:?}");
        let said = stderr(&output);
        if cut < 12 {
            // Too short to tell what it is.
            assert!(said.contains("not a capture file"), "{cut}: {said}");
            continue;
        }
        assert!(
            said.contains("cut off or damaged after packet"),
            "{cut}: {said}"
        );
        let received = stats(&counters)["capture"]["received"].as_u64().unwrap();
        assert!(
            received == before || received > 0 && received >= before,
            "{cut}"
        );
        before = received;
    }
    assert_eq!(before, as_python_reads_it().len() as u64);
}

#[test]
fn other_frame_streams_are_refused_by_name() {
    let mut bytes = std::fs::read(capture()).unwrap();
    bytes[20..42].copy_from_slice(b"protobuf:other.Another");
    let output = dnsterrier_reading(&bytes, &["replay", "-"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output)
            .contains("its frames are 'protobuf:other.Another', not 'protobuf:dnstap.Dnstap'"),
        "{output:?}"
    );
}

#[test]
fn a_filter_finds_no_packets() {
    let output = dnsterrier(["replay", &capture(), "-f", "udp port 53"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("no packets for a filter"),
        "{output:?}"
    );
}

/// Compressed, in a folder, and twice in one file.
#[test]
fn however_it_is_fed_in() {
    let rows = |path: &str| {
        stdout(&dnsterrier([
            "replay", path, "--format", "jsonl", "--sensor", "x", "--quiet",
        ]))
    };
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(capture()).unwrap();
    let packed = folder.path().join("anything");
    let mut gzip = flate2::write::GzEncoder::new(
        std::fs::File::create(&packed).unwrap(),
        flate2::Compression::default(),
    );
    gzip.write_all(&bytes).unwrap();
    gzip.finish().unwrap();
    let once = rows(&capture());
    assert!(once.lines().count() > 30);
    assert_eq!(rows(packed.to_str().unwrap()), once);
    assert_eq!(rows(folder.path().to_str().unwrap()), once);
    // The second time every message is a copy, or a repetition of what still lingers.
    let twice = folder.path().join("twice");
    std::fs::write(&twice, bytes.repeat(2)).unwrap();
    assert_eq!(rows(twice.to_str().unwrap()), once);
}

/// A program that takes dnstap, and where.
struct Tap {
    folder: tempfile::TempDir,
    running: Running,
}

impl Tap {
    fn start(place: impl Fn(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(PROGRAM);
        command
            .args([
                "sniff",
                "--dnstap",
                &place(folder.path()),
                "--format",
                "jsonl",
            ])
            .args(["--window", "none", "--hits"])
            .arg(folder.path().join("hits.jsonl"))
            .arg("--stats")
            .arg(folder.path().join("stats.json"));
        let running = Running::start(command);
        running.wait_for_err("listening on dnstap");
        Self { folder, running }
    }

    fn unix() -> Self {
        Self::start(|folder| format!("unix:{}", folder.join("tap").display()))
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(self.folder.path().join("tap")).unwrap()
    }

    /// The counters at the end, and standard output and error.
    fn end(self) -> (Value, String, String) {
        let ended = self.running.end_by("INT").with_status(0);
        let stats = stats(&self.folder.path().join("stats.json"));
        for identity in stats["identities"].as_array().unwrap() {
            assert_eq!(identity["holds"], true, "{identity}");
        }
        (stats, ended.out, ended.err)
    }
}

/// The rows without what differs from run to run.
fn rows(text: &str) -> Vec<Value> {
    let row = |row: &Value| json!([row["src"], row["query"], row["answer"], row["count"]]);
    let mut rows: Vec<Value> = json_lines(text)
        .iter()
        .filter(|row| row["rule"] == "Ngrok Reverse Proxy on Network")
        .map(row)
        .collect();
    rows.sort_by_key(Value::to_string);
    rows
}

/// fstrm's own sender, over both kinds of socket, with the whole handshake: the rows of the file.
#[test]
fn as_fstrm_sends_it() {
    let expected = std::fs::read_to_string(file("captures/resolver.rows.jsonl")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let port_text = port.to_string();
    let tcp = Tap::start(|_| format!("tcp:127.0.0.1:{port}"));
    let unix = Tap::unix();
    let path = unix.folder.path().join("tap").display().to_string();
    let to_tcp = ["-a", "127.0.0.1", "-p", &port_text];
    let to_unix = ["-u", &path];
    for (tap, to) in [(tcp, &to_tcp[..]), (unix, &to_unix[..])] {
        let output = Command::new("fstrm_replay")
            .args(["-t", "protobuf:dnstap.Dnstap", "-r", &capture()])
            .args(to)
            .output()
            .unwrap();
        // It ends when its STOP was answered.
        assert!(output.status.success(), "{output:?}");
        let (stats, out, _) = tap.end();
        let frames = as_python_reads_it().len();
        assert_eq!(stats["capture"]["received"], frames);
        assert_eq!(stats["packets"]["dnstap"], frames);
        // Its times are those of a day long ago.
        assert_eq!(stats["capture"]["dnstap_untimely"], frames);
        assert_eq!(stats["capture"]["dnstap_connections"], 1);
        assert_eq!(stats["capture"]["dnstap_refused"], 0);
        assert_eq!(stats["capture"]["dnstap_cut"], 0);
        assert_eq!(rows(&out), rows(&expected));
    }
}

/// Reads until the other side closes.
fn rest(mut stream: &UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was not read on the other side makes an error of its end.
    stream.read_to_end(&mut bytes).ok();
    bytes
}

#[test]
fn what_senders_may_and_may_not_do() {
    let tap = Tap::unix();
    let frame = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    // Both ways to begin; a frame that is none is counted, and the next is read.
    for (beginning, replies) in [(&[][..], &[][..]), (READY, &[ACCEPT, FINISH][..])] {
        let mut sender = tap.connect();
        for bytes in [beginning, START, &frame(b"\xFF"), &frame(&[0x78, 1]), STOP] {
            sender.write_all(bytes).unwrap();
        }
        assert_eq!(rest(&sender), replies.concat());
    }
    // Another kind of frames; no Frame Streams at all; a frame longer than any.
    let refused = [
        [&START[..20], b"protobuf:other.Another"].concat(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ];
    let cut = [
        [START, &[0xFF; 8]].concat(),
        [START, START].concat(),
        [READY, b"nonsense"].concat(),
    ];
    for bytes in refused.iter().chain(&cut) {
        let mut sender = tap.connect();
        sender.write_all(bytes).unwrap();
        rest(&sender);
    }
    // Gone in the middle of a frame, and before STOP.
    for bytes in [[START, &[0, 0, 1, 0, 7]].concat(), START.to_vec()] {
        let mut sender = tap.connect();
        sender.write_all(&bytes).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
        rest(&sender);
    }
    let (stats, _, err) = tap.end();
    let capture = &stats["capture"];
    assert_eq!(capture["dnstap_connections"], 9, "{capture:#}");
    assert_eq!(capture["dnstap_refused"], 2, "{capture:#}");
    assert_eq!(capture["dnstap_cut"], 5, "{capture:#}");
    assert_eq!(capture["received"], 4, "{capture:#}");
    assert_eq!(stats["dnstap"]["malformed"], 2, "{stats:#}");
    assert_eq!(stats["dnstap"]["not_a_message"], 2, "{stats:#}");
    assert!(
        err.contains("warning: of 9 connections for dnstap 2 refused")
            && err.contains("4 frames of dnstap held no DNS"),
        "{err}"
    );
}

/// Too many at once: the others are closed, and there is room again when one ends.
#[test]
fn connections_are_bounded() {
    let tap = Tap::unix();
    let open = || {
        let mut sender = tap.connect();
        sender.write_all(READY).ok();
        let mut reply = vec![0; ACCEPT.len()];
        sender.read_exact(&mut reply).map(|()| sender).ok()
    };
    let mut senders: Vec<UnixStream> = (0..64).map(|_| open().unwrap()).collect();
    assert!(open().is_none());
    drop(senders.pop());
    wait_until("room for another", || open().is_some());
    let (stats, ..) = tap.end();
    assert!(stats["capture"]["dnstap_refused"].as_u64().unwrap() >= 1);
}

#[test]
fn paths_that_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tap");
    let place = format!("unix:{}", path.display());
    let refused = |words: &str| {
        let output = dnsterrier(["sniff", "--dnstap", &place]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(stderr(&output).contains(words), "{output:?}");
        assert!(path.exists());
    };
    std::fs::write(&path, "precious").unwrap();
    refused("something else under this path");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    std::fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    refused("somebody listens there already");
    // One that nobody listens on is replaced; at the end there is none.
    drop(other);
    assert!(path.exists());
    let tap = Tap::start(|_| place.clone());
    UnixStream::connect(&path).unwrap();
    tap.end();
    assert!(!path.exists());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = dnsterrier(["sniff", "--dnstap", &format!("tcp:{address}")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains(&format!("dnstap tcp:{address}: ")),
        "{output:?}"
    );
    TcpStream::connect(address).unwrap();
    for place in ["tap.sock", "unix:", "tcp:localhost:53", "tcp:127.0.0.1"] {
        let output = dnsterrier(["sniff", "--dnstap", place]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(
            stderr(&output).contains("expected unix:PATH, tcp:"),
            "{output:?}"
        );
    }
}

/// Writes the events of a capture as dnstap.
fn written_as_dnstap(capture: &Path, to: &Path) {
    let mut words = vec![
        "replay",
        capture.to_str().unwrap(),
        "--rows",
        "none",
        "--quiet",
    ];
    words.extend(["--sensor", "one", "--event-format", "dnstap", "--events"]);
    words.push(to.to_str().unwrap());
    stdout(&dnsterrier(words));
}

/// What a program says, line by line.
fn lines_of(program: &str, arguments: &[&str]) -> Vec<String> {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// BIND's dnstap-read finds the messages that tshark finds in the capture: when, between whom, over what, of what length. In these
/// captures nothing came twice.
#[test]
fn messages_that_were_written_are_those_on_the_wire() {
    let folder = tempfile::tempdir().unwrap();
    let file_of = |name: &str| folder.path().join(name);
    for name in ["ngrok-raw.pcap", "ngrok-sll.pcap", "vlan.pcap", "tcp.pcap"] {
        let capture = file("captures").join(name);
        let written = file_of("written.dnstap");
        written_as_dnstap(&capture, &written);
        // 24-Nov-2026 14:11:07.583 CQ 10.9.0.11:47276 -> 10.9.0.53:53 UDP 54b many.ngrok.io/IN/A
        let mut read: Vec<String> = lines_of("dnstap-read", &[written.to_str().unwrap()])
            .iter()
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                let [_, time, kind, client, _, server, protocol, length, _] = words[..] else {
                    panic!("{line}");
                };
                let kind = &kind[1..];
                [time, kind, client, server, protocol, length].join(" ")
            })
            .collect();
        let fields = [
            "frame.time_epoch",
            "dns.flags.response",
            "ip.src",
            "ipv6.src",
            "ip.dst",
            "ipv6.dst",
            "udp.srcport",
            "tcp.srcport",
            "udp.dstport",
            "tcp.dstport",
            "udp.length",
            "dns.length",
        ];
        let mut words = vec!["-2", "-n", "-r", capture.to_str().unwrap(), "-T", "fields"];
        words.extend(["-Y", "dns && !icmp && !icmpv6", "-E", "aggregator=|"]);
        words.extend(fields.iter().flat_map(|field| ["-e", field]));
        let mut seen: Vec<String> = lines_of("tshark", &words)
            .iter()
            .flat_map(|line| {
                let value: Vec<&str> = line.split('\t').collect();
                let either = |one: usize, other: usize| [value[one], value[other]].concat();
                // Milliseconds of the day.
                let (seconds, nanos) = value[0].split_once('.').unwrap();
                let day = seconds.parse::<u64>().unwrap() % 86_400;
                let (hour, minute, second) = (day / 3_600, day / 60 % 60, day % 60);
                let time = format!("{hour:02}:{minute:02}:{second:02}.{}", &nanos[..3]);
                let src = format!("{}:{}", either(2, 3), either(6, 7));
                let dst = format!("{}:{}", either(4, 5), either(8, 9));
                // A segment may have several messages.
                let length = value[11].split('|').filter(|it| !it.is_empty());
                let of_stream = length.map(|length| ("TCP", length.parse().unwrap()));
                let of_datagram = value[10]
                    .parse::<u32>()
                    .ok()
                    .map(|length| ("UDP", length - 8));
                of_stream
                    .chain(of_datagram)
                    .zip(value[1].split('|'))
                    .map(|((protocol, length), is_response)| {
                        let (kind, client, server) = match is_response {
                            "1" | "True" => ("R", &dst, &src),
                            _ => ("Q", &src, &dst),
                        };
                        format!("{time} {kind} {client} {server} {protocol} {length}b")
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        read.sort();
        seen.sort();
        assert_eq!(read, seen, "{name}");
        // Byte for byte, as far as tshark shows the bytes by themselves.
        let plain = file_of("plain.pcap");
        let convert = file("scripts/lib/dnstap-to-pcap");
        lines_of(
            convert.to_str().unwrap(),
            &[written.to_str().unwrap(), plain.to_str().unwrap()],
        );
        let payloads = |path: &Path| {
            let path = path.to_str().unwrap();
            let filter = "udp.port == 53 && !icmp && !icmpv6";
            let mut list = lines_of(
                "tshark",
                &[
                    "-n",
                    "-r",
                    path,
                    "-Y",
                    filter,
                    "-T",
                    "fields",
                    "-e",
                    "udp.payload",
                ],
            );
            list.sort();
            list
        };
        let all = payloads(&plain);
        let of_datagrams = payloads(&capture);
        assert!(!of_datagrams.is_empty());
        assert!(
            of_datagrams.iter().all(|bytes| all.contains(bytes)),
            "{name}"
        );
        // fstrm's own reader finds it whole.
        let dumped = Command::new("fstrm_dump").arg(&written).output().unwrap();
        assert!(dumped.status.success(), "{dumped:?}");
    }
}

/// The same events, but for what dnstap has no room for.
#[test]
fn events_written_as_dnstap_are_read_as_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("written.dnstap.gz");
    let not_held = [
        "source",
        "packet",
        "response_packet",
        "src_mac",
        "dest_mac",
        "vlan",
        "tunnel",
    ];
    for capture in common::captures() {
        let events = |path: &Path| {
            let mut words = vec!["replay", path.to_str().unwrap(), "--rows", "none"];
            words.extend(["--quiet", "--sensor", "one", "--events", "-"]);
            let mut events = json_lines(&stdout(&dnsterrier(words)));
            for event in &mut events {
                let event = event.as_object_mut().unwrap();
                not_held.iter().for_each(|field| drop(event.remove(*field)));
                // Which messages came more than once, and which the capture cut.
                let anomalies = event["anomalies"].to_string();
                let odd = ["retransmitted:", "snaplen", "malformed:"];
                if odd.iter().any(|word| anomalies.contains(word)) {
                    event.remove("anomalies");
                    event.remove("outcome");
                }
            }
            events.sort_by_key(|event| event["event_id"].as_str().map(str::to_owned));
            events
        };
        written_as_dnstap(&capture, &written);
        let (before, after) = (events(&capture), events(&written));
        assert_eq!(before.len(), after.len(), "{}", capture.display());
        for (before, mut after) in before.into_iter().zip(after) {
            for field in ["anomalies", "outcome"] {
                if before.get(field).is_none() {
                    after.as_object_mut().unwrap().remove(field);
                }
            }
            assert_eq!(after, before, "{}", capture.display());
        }
    }
}
