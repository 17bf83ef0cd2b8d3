//! Evidence of a live run: what its oracle selects from the capture that tcpdump took beside it, over files that give way to new
//! ones.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{file, json_lines, stdout};
use crate::lab::Lab;
use crate::running::{wait_for_last_lookup, wait_until};

/// The packets of a capture in whatever format, which editcap must find whole. Without their times: of some packets the kernel
/// gives each listener another.
fn packets(lab: &Lab, capture: &Path) -> Vec<Vec<u8>> {
    let plain = lab.place("plain.pcap");
    let output = Command::new("editcap")
        .args(["-F", "nsecpcap"])
        .args([capture, Path::new(&plain)])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {output:?}", capture.display());
    let bytes = std::fs::read(plain).unwrap();
    let mut rest = &bytes[24..];
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        let end = 16 + word(8) as usize;
        packets.push(rest[16..end].to_vec());
        rest = &rest[end..];
    }
    packets
}

/// The files of a folder whose names begin so.
fn files(folder: &Path, stem: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(stem)
        })
        .collect();
    files.sort();
    files
}

/// The packets of all of them.
fn all(lab: &Lab, files: &[PathBuf]) -> Vec<Vec<u8>> {
    files.iter().flat_map(|file| packets(lab, file)).collect()
}

/// The same packets in each, each once.
fn alike(mut got: Vec<Vec<u8>>, mut expected: Vec<Vec<u8>>) {
    got.sort();
    expected.sort();
    let but = |one: &[Vec<u8>], other: &[Vec<u8>]| -> Vec<String> {
        let text = |bytes: &Vec<u8>| bytes.escape_ascii().to_string();
        one.iter()
            .filter(|it| !other.contains(it))
            .map(text)
            .collect()
    };
    assert_eq!(
        (but(&got, &expected), but(&expected, &got)),
        (vec![], vec![])
    );
    assert_eq!(got.len(), expected.len());
}

#[test]
fn evidence_of_a_live_run_over_several_files() {
    let Some(lab) = Lab::whole() else { return };
    let beside = lab.place("beside.pcap");
    let tcpdump = lab.tcpdump("mon", "lan-in", &beside);
    let folder = lab.folder().join("out");
    std::fs::create_dir(&folder).unwrap();
    let [evidence, written] = ["evidence.pcapng", "written.pcap"].map(|name| {
        let path = folder.join(name);
        path.to_str().unwrap().to_owned()
    });
    let rules = lab.place("own.yaml");
    std::fs::write(&rules, "name: own\ndomain: own.example\n").unwrap();
    // With so short a timeout a packet waits for two seconds.
    let mut arguments = vec![
        "sniff",
        "-i",
        "lan-in",
        "--rows",
        "none",
        "--timeout",
        "100ms",
    ];
    arguments.extend(["--rules", &rules, "--rotate-size", "4096"]);
    arguments.extend(["--evidence", &evidence, "--write", &written]);
    let live = lab.listen("mon", &arguments);
    for round in 0..2 {
        let names = (0..12).map(|n| format!("@10.9.0.53 n{n}.round{round}.ngrok.io"));
        lab.dig_all(
            "c11",
            names.chain(["@10.9.0.53 www.example.com".to_owned()]),
        );
        lab.dig("c16", &["@10.9.0.53", "+tcp", "many.ngrok.io"]);
        wait_until("another file of evidence", || {
            files(&folder, "evidence").len() > round + 1
        });
    }
    // A rule that is read anew has evidence from then on.
    std::fs::write(&rules, "name: own\ndomain: the-last-one.example.com\n").unwrap();
    live.signal("HUP");
    live.wait_for_err("reloaded");
    lab.dig("c11", &["@10.9.0.53", "the-last-one.example.com"]);
    wait_for_last_lookup(&beside);
    live.end_by("TERM").with_status(0);
    tcpdump.end_by("INT").with_status(0);

    let captured = packets(&lab, Path::new(&beside));
    let oracle = Command::new(file("scripts/expected-evidence"))
        .arg(&beside)
        .output()
        .unwrap();
    let expected: Vec<Vec<u8>> = json_lines(&stdout(&oracle))
        .iter()
        .map(|line| captured[line["frame"].as_u64().unwrap() as usize - 1].clone())
        .collect();
    assert!(expected.len() > 50, "{}", expected.len());
    let mut got = all(&lab, &files(&folder, "evidence"));
    let last: Vec<Vec<u8>> = got
        .extract_if(.., |bytes| {
            bytes.windows(12).any(|window| window == b"the-last-one")
        })
        .collect();
    assert_eq!(last.len(), 2, "the rule that was read anew");
    alike(got, expected);

    // What was written: all with DNS, in whatever file; the clients' own lookups alone go over this line.
    let written = all(&lab, &files(&folder, "written"));
    let dns = Command::new("tshark")
        .args([
            "-n",
            "-r",
            &beside,
            "-Y",
            "udp.port == 53 || tcp.port == 53",
        ])
        .args(["-T", "fields", "-e", "frame.number"])
        .output()
        .unwrap();
    let numbers = String::from_utf8(dns.stdout).unwrap();
    let expected = numbers.lines().map(|number| {
        let number: usize = number.parse().unwrap();
        captured[number - 1].clone()
    });
    assert!(files(&folder, "written").len() > 2);
    alike(written, expected.collect());
}
