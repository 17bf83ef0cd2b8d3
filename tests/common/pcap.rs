//! Captures for tests: the packets of a committed one, and packets made by hand.

#![allow(dead_code, reason = "each test binary uses its part of it")]

use std::net::Ipv4Addr;
use std::path::Path;

/// Ethernet.
pub(crate) const ETHERNET: u32 = 1;

/// One packet of a capture file.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Seconds since 1970, and microseconds.
    pub(crate) time: (u32, u32),
    /// The packet, whole.
    pub(crate) bytes: Vec<u8>,
}

/// The packets of a pcap file with microseconds in this machine's usual byte order, as the committed ones are.
pub(crate) fn read(path: &Path) -> Vec<Record> {
    let file = std::fs::read(path).unwrap();
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!(number(0), 0xA1B2_C3D4, "{}", path.display());
    let mut records = Vec::new();
    let mut at = 24;
    while at < file.len() {
        let length = number(at + 8) as usize;
        records.push(Record {
            time: (number(at), number(at + 4)),
            bytes: file[at + 16..at + 16 + length].to_vec(),
        });
        at += 16 + length;
    }
    records
}

/// A pcap file of the packets.
pub(crate) fn file(link: u32, records: &[Record]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xA1B2_C3D4, 0x0004_0002, 0, 0, 262_144, link] {
        file.extend(u32::to_le_bytes(word));
    }
    file.extend(self::records(records));
    file
}

/// A file of the packets, and its path, for as long as the folder is kept.
pub(crate) fn made(records: &[Record]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.pcap");
    std::fs::write(&path, file(ETHERNET, records)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

/// The same of packets that come one each so many microseconds.
pub(crate) fn made_of(packets: &[Vec<u8>], every: u32) -> (tempfile::TempDir, String) {
    let records: Vec<Record> = (0..)
        .zip(packets)
        .map(|(number, bytes)| {
            let micros = number * every;
            Record {
                time: (1_800_000_000 + micros / 1_000_000, micros % 1_000_000),
                bytes: bytes.clone(),
            }
        })
        .collect();
    made(&records)
}

/// Records of such a file, to be added to one.
pub(crate) fn records(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        let length = u32::try_from(record.bytes.len()).unwrap();
        for word in [record.time.0, record.time.1, length, length] {
            bytes.extend(u32::to_le_bytes(word));
        }
        bytes.extend(&record.bytes);
    }
    bytes
}

/// A UDP datagram in IPv4 in Ethernet; `ip_id` tells repetitions from copies.
pub(crate) fn udp(
    (source, source_port): ([u8; 4], u16),
    (destination, destination_port): ([u8; 4], u16),
    ip_id: u16,
    payload: &[u8],
) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    bytes.extend((28 + length).to_be_bytes());
    bytes.extend(ip_id.to_be_bytes());
    // No fragment, TTL 64, UDP; nobody looks at checksums, for mirrors show them before the card has filled them in.
    bytes.extend([0, 0, 64, 17, 0, 0]);
    bytes.extend(Ipv4Addr::from(source).octets());
    bytes.extend(Ipv4Addr::from(destination).octets());
    for word in [source_port, destination_port, 8 + length, 0] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(payload);
    bytes
}

/// A TCP segment without payload in IPv4 in Ethernet; the flags as RFC 9293, section 3.1, has them.
pub(crate) fn tcp(
    (source, source_port): ([u8; 4], u16),
    (destination, destination_port): ([u8; 4], u16),
    flags: u8,
    sequence: u32,
) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    // 40 bytes, no fragment, TTL 64, TCP.
    bytes.extend([0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    bytes.extend(Ipv4Addr::from(source).octets());
    bytes.extend(Ipv4Addr::from(destination).octets());
    bytes.extend(source_port.to_be_bytes());
    bytes.extend(destination_port.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 5 << 4, flags, 4, 0, 0, 0, 0, 0]);
    bytes
}

/// A message of a header and one question for an A record; `flags` and the counts as RFC 1035, section 4.1.1, has them.
pub(crate) fn message(id: u16, flags: u16, counts: [u16; 4], name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [id, flags].into_iter().chain(counts) {
        bytes.extend(word.to_be_bytes());
    }
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    bytes
}

/// A query for an A record.
pub(crate) fn query(id: u16, name: &str) -> Vec<u8> {
    message(id, 0x0100, [1, 0, 0, 0], name)
}

/// Its response with one address.
pub(crate) fn response(id: u16, name: &str, address: [u8; 4]) -> Vec<u8> {
    let mut bytes = message(id, 0x8180, [1, 1, 0, 0], name);
    bytes.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    bytes.extend(address);
    bytes
}
