//! DNS on ports that nobody named: what is DNS is found, and nothing else is taken for it.
//!
//! A gigabyte of other traffic, some of it from files chopped to payloads (a folder's, and those in it):
//! `DNSTERRIER_OTHER_MEGABYTES=1000 DNSTERRIER_OTHER_FILES=/usr/lib cargo test --release --test any_port`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail: that is what it is for"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/pcap.rs"]
mod pcap;

mod built;
mod found;
mod other_traffic;

use std::path::{Path, PathBuf};

use dnsterrier::frame::{Decoder, Ports};
use dnsterrier::packet::{LinkType, Look, Packet};
use dnsterrier::time::Timestamp;
use other_traffic::{KINDS, Random, payload};

/// Feeds payloads to the decoder, each over UDP and over TCP, as the pipeline does.
struct Other {
    decoder: Decoder,
    packet: Vec<u8>,
    bytes: u64,
    payloads: u64,
}

impl Other {
    fn new() -> Self {
        Self {
            decoder: Decoder::new(Ports::new(&Ports::DEFAULT).and_anywhere()),
            packet: Vec::new(),
            bytes: 0,
            payloads: 0,
        }
    }

    fn take(&mut self, payload: &[u8]) {
        for (protocol, header) in [(17, 8), (6, 20)] {
            let length = u16::try_from(20 + header + payload.len()).unwrap();
            let [high, low] = length.to_be_bytes();
            let packet = &mut self.packet;
            packet.clear();
            packet.extend([0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0]);
            packet.extend([192, 0, 2, 1, 192, 0, 2, 2, 0x9C, 0x40, 0x1F, 0x90]);
            if protocol == 17 {
                packet.extend((length - 20).to_be_bytes());
                packet.extend([0, 0]);
            } else {
                packet.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
            }
            packet.extend_from_slice(payload);
            let packet = Packet {
                time: Timestamp::from_nanos(0),
                input: 0,
                number: self.payloads,
                link: LinkType(101),
                wire_len: u32::try_from(self.packet.len()).unwrap(),
                bytes: &self.packet,
            };
            let is_found = self.decoder.may_hold_dns(packet.link, packet.bytes)
                && self.decoder.decode(&packet).is_some();
            assert!(
                !is_found,
                "taken for DNS, protocol {protocol}: {payload:02x?}"
            );
            self.bytes += payload.len() as u64;
        }
        self.payloads += 1;
    }
}

/// 60 MB where nobody asks for more.
#[test]
fn other_traffic_is_none() {
    let megabytes = std::env::var("DNSTERRIER_OTHER_MEGABYTES");
    let most = megabytes.map_or(60, |number| number.parse().unwrap()) * 1_000_000;
    let mut other = Other::new();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut bytes = Vec::new();
    while other.bytes < most {
        for kind in 0..KINDS {
            payload(&mut random, kind, &mut bytes);
            other.take(&bytes);
            // The same with a length before it, as it would be over TCP.
            let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
            bytes.splice(0..0, length);
            other.take(&bytes);
        }
    }
    eprintln!("{} payloads, {} bytes", other.payloads, other.bytes);
    assert!(other.payloads > 10_000);
}

/// Files in payloads of many sizes, where a folder of them is named; else programs that the tests use. (Not this one: the
/// captures that it has in it are DNS.)
#[test]
fn files_are_none() {
    let folder = std::env::var_os("DNSTERRIER_OTHER_FILES").map(PathBuf::from);
    let mut files = Vec::new();
    match &folder {
        Some(folder) => list(folder, &mut files),
        None => files.extend(["python3", "tcpdump", "openssl"].map(program)),
    }
    files.sort();
    let mut other = Other::new();
    let mut random = Random(1);
    let most = if folder.is_some() {
        u64::MAX
    } else {
        40_000_000
    };
    for file in files {
        let Ok(bytes) = std::fs::read(&file) else {
            continue;
        };
        let mut rest = bytes.as_slice();
        while !rest.is_empty() && other.bytes < most {
            let size = [1448, 1200, 20 + random.below(500), 17 + random.below(60)][random.below(4)];
            let (payload, after) = rest.split_at_checked(size).unwrap_or((rest, &[]));
            other.take(payload);
            rest = after;
        }
    }
    eprintln!("{} payloads, {} bytes", other.payloads, other.bytes);
    assert!(other.payloads > 1_000);
}

/// Where a program is.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/bin"), PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is missing: scripts/test installs it"))
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => list(&entry.path(), files),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
}
