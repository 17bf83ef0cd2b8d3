//! The kinds of pcap and pcapng files, each held against another reader: tshark, or libpcap where it reads them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Kept, ours, theirs};

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const NAME_RESOLUTION: u32 = 4;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const JOURNAL_EXPORT: u32 = 9;
const DECRYPTION_SECRETS: u32 = 10;
const CUSTOM: u32 = 0x0BAD;
const CUSTOM_NOT_TO_COPY: u32 = 0x4000_0BAD;

/// Writes a pcapng file, block by block.
#[derive(Default)]
struct Blocks {
    big: bool,
    bytes: Vec<u8>,
}

impl Blocks {
    fn word(&self, number: u32) -> [u8; 4] {
        if self.big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    }

    fn words(&self, numbers: &[u32]) -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|number| self.word(*number))
            .collect()
    }

    fn halves(&self, numbers: &[u16]) -> Vec<u8> {
        let half = |number: &u16| {
            if self.big {
                number.to_be_bytes()
            } else {
                number.to_le_bytes()
            }
        };
        numbers.iter().flat_map(half).collect()
    }

    /// Options and the one that ends them.
    fn options(&self, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (code, value) in options.iter().chain([&(0, &[][..])]) {
            bytes.extend(self.halves(&[*code, value.len() as u16]));
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    fn block(&mut self, kind: u32, parts: &[&[u8]]) {
        let mut body = parts.concat();
        body.resize(body.len().next_multiple_of(4), 0);
        let len = body.len() as u32 + 12;
        self.bytes.extend(self.words(&[kind, len]));
        self.bytes.extend(body);
        self.bytes.extend(self.words(&[len]));
    }

    fn section(&mut self, big: bool) {
        self.big = big;
        let head = [
            self.words(&[0x1A2B_3C4D]),
            self.halves(&[1, 0]),
            vec![0xFF; 8],
        ]
        .concat();
        let options = self.options(&[(3, b"Linux"), (4, b"a test"), (1, b"a comment")]);
        self.block(SECTION_HEADER, &[&head, &options]);
    }

    fn interface(&mut self, link: u16, snaplen: u32, options: &[(u16, &[u8])]) {
        let head = [self.halves(&[link, 0]), self.words(&[snaplen])].concat();
        let options = self.options(options);
        self.block(INTERFACE_DESCRIPTION, &[&head, &options]);
    }

    /// The packet as of so many bytes on the wire, with a comment and flags behind it.
    fn enhanced(&mut self, interface: u32, time: u64, wire_len: u32, bytes: &[u8]) {
        let (high, low) = ((time >> 32) as u32, time as u32);
        let head = self.words(&[interface, high, low, bytes.len() as u32, wire_len]);
        let padding = vec![0; bytes.len().next_multiple_of(4) - bytes.len()];
        let flags = self.word(1);
        let options = self.options(&[(1, b"of one packet"), (2, &flags)]);
        self.block(ENHANCED_PACKET, &[&head, bytes, &padding, &options]);
    }

    fn obsolete(&mut self, interface: u16, time: u64, bytes: &[u8]) {
        let (high, low) = ((time >> 32) as u32, time as u32);
        let len = bytes.len() as u32;
        // How many packets were dropped stands beside the interface.
        let head = [
            self.halves(&[interface, 7]),
            self.words(&[high, low, len, len]),
        ]
        .concat();
        self.block(PACKET, &[&head, bytes]);
    }

    fn simple(&mut self, wire_len: u32, bytes: &[u8]) {
        let head = self.words(&[wire_len]);
        self.block(SIMPLE_PACKET, &[&head, bytes]);
    }

    /// Blocks that hold no packet.
    fn others(&mut self) {
        let number = self.words(&[32_473]);
        self.block(CUSTOM, &[&number, b"custom data"]);
        self.block(CUSTOM_NOT_TO_COPY, &[&number, b"more of it"]);
        let secrets = b"CLIENT_RANDOM 00 00\n";
        let head = self.words(&[0x544C_534B, secrets.len() as u32]);
        self.block(DECRYPTION_SECRETS, &[&head, secrets]);
        let mut record = self.halves(&[1, 9]);
        record.extend(b"\xC0\0\x02\x01host\0\0\0\0");
        record.extend(self.halves(&[0, 0]));
        self.block(NAME_RESOLUTION, &[&record]);
        let head = self.words(&[0, 0, 0]);
        self.block(INTERFACE_STATISTICS, &[&head]);
        self.block(
            JOURNAL_EXPORT,
            &[b"MESSAGE=hello\n__REALTIME_TIMESTAMP=1\n\n"],
        );
        self.block(0x7000_0001, &[b"of a kind that nobody knows"]);
    }
}

/// Bytes of a packet that say where they come from.
fn bytes(of: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| of.wrapping_add(at as u8)).collect()
}

/// Every kind of block, interfaces of every resolution, in two sections of two byte orders.
fn rich(big: bool) -> Vec<u8> {
    let mut file = Blocks::default();
    let second = 1_800_000_000_u64;
    file.section(big);
    // Ethernet in microseconds; raw IP in nanoseconds, cut; cooked in 2^-20 s from 1,000,000 s on; in milliseconds; in
    // picoseconds, from before the epoch on; in seconds; in 2^-10 s.
    file.interface(1, 0, &[(2, b"eth0"), (3, b"the first")]);
    file.interface(101, 20, &[(9, &[9]), (2, b"tun0")]);
    let offset = |big: bool, seconds: i64| {
        if big {
            seconds.to_be_bytes()
        } else {
            seconds.to_le_bytes()
        }
    };
    file.interface(113, 0, &[(9, &[0x80 | 20]), (14, &offset(big, 1_000_000))]);
    file.interface(1, 65_535, &[(9, &[3])]);
    file.interface(1, 0, &[(14, &offset(big, -5)), (9, &[12])]);
    file.interface(276, 0, &[(9, &[0])]);
    file.others();
    file.enhanced(0, second * 1_000_000 + 123_456, 61, &bytes(1, 61));
    file.enhanced(1, second * 1_000_000_000 + 123_456_789, 999, &bytes(2, 20));
    file.enhanced(
        2,
        (second - 1_000_000) << 20 | 1 << 19 | 1,
        62,
        &bytes(3, 62),
    );
    file.interface(1, 0, &[(9, &[0x80 | 10])]);
    file.enhanced(3, second * 1_000 + 7, 63, &bytes(4, 63));
    file.others();
    // Seconds of 1970, as picoseconds of today take more than 64 bits.
    file.enhanced(4, 17_000_000_000_000 + 1_234_567_890, 64, &bytes(5, 64));
    file.enhanced(5, second + 1, 65, &bytes(6, 65));
    file.enhanced(6, second << 10 | 1_023, 66, &bytes(7, 66));
    file.obsolete(0, second * 1_000_000 + 5, &bytes(8, 67));
    file.obsolete(1, second * 1_000_000_000 + 5, &bytes(9, 18));
    file.simple(68, &bytes(10, 68));
    // A packet of no bytes.
    file.enhanced(0, second * 1_000_000 + 6, 0, &[]);
    file.section(!big);
    file.interface(101, 30, &[(9, &[6])]);
    file.others();
    file.simple(1_000, &bytes(11, 30));
    file.simple(21, &bytes(12, 21));
    file.enhanced(0, second * 1_000_000 + 8, 21, &bytes(13, 21));
    file.bytes
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// What tshark says of each packet: time (nothing where the file has none), length on the wire, kind of link layer (its own
/// number), bytes. What has no link layer is no packet for it either.
fn by_tshark(path: &Path) -> Vec<(String, String, String, String)> {
    let said = |arguments: &[&str]| {
        let output = Command::new("tshark")
            .arg("-r")
            .arg(path)
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("tshark: {error}; scripts/test installs it"));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let fields = said(&[
        "-T",
        "fields",
        "-e",
        "frame.time_epoch",
        "-e",
        "frame.len",
        "-e",
        "frame.encap_type",
    ]);
    let json: Vec<serde_json::Value> =
        serde_json::from_str(&said(&["-T", "jsonraw", "-j", "frame"])).unwrap();
    assert_eq!(fields.lines().count(), json.len());
    fields
        .lines()
        .zip(&json)
        .map(|(line, packet)| {
            let mut fields = line.split('\t').map(str::to_owned);
            let mut field = || fields.next().unwrap();
            let bytes = &packet["_source"]["layers"]["frame_raw"][0];
            (
                field(),
                field(),
                field(),
                bytes.as_str().unwrap_or_default().to_owned(),
            )
        })
        .filter(|(_, _, encapsulation, _)| !encapsulation.is_empty())
        .collect()
}

/// The same of a packet of ours.
fn as_tshark(packet: &Kept) -> (String, String, String, String) {
    let nanos = packet.time.as_nanos();
    let (seconds, fraction) = (
        nanos.div_euclid(1_000_000_000),
        nanos.rem_euclid(1_000_000_000),
    );
    // Wireshark's numbers for Ethernet, raw IP, SLL, SLL2.
    let encapsulation = match packet.link {
        1 => 1,
        12 => 7,
        113 => 25,
        276 => 210,
        other => panic!("{other}"),
    };
    (
        format!("{seconds}.{fraction:09}"),
        packet.wire_len.to_string(),
        encapsulation.to_string(),
        packet
            .bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    )
}

#[test]
fn every_kind_of_block_in_both_byte_orders_is_read_as_tshark_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    for big in [false, true] {
        let path = put(folder.path(), "rich.pcapng", &rich(big));
        let (packets, error) = ours(&path, None);
        assert!(error.is_none(), "{error:?}");
        let theirs = by_tshark(&path);
        assert_eq!(packets.len(), theirs.len());
        assert_eq!(packets.len(), 14);
        let mut before = String::new();
        for (packet, mut theirs) in packets.iter().zip(theirs) {
            let ours = as_tshark(packet);
            if theirs.0.is_empty() {
                // A simple packet has no time; it gets that of the packet before.
                theirs.0 = before;
            }
            assert_eq!(ours, theirs, "big {big}, packet {}", packet.number);
            before = ours.0;
        }
    }
}

/// What Wireshark's programs make of a capture of the repository.
fn made(folder: &Path, name: &str, command: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let words = command.iter().map(|word| match *word {
        "OUT" => path.to_str().unwrap(),
        word => word,
    });
    let words: Vec<&str> = words.collect();
    let status = Command::new(words[0])
        .args(&words[1..])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/captures"))
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; scripts/test installs it"));
    assert!(status.success(), "{command:?}");
    path
}

/// A pcap file in the other byte order.
fn swapped(file: &[u8]) -> Vec<u8> {
    let record = if file.starts_with(&[0x34, 0xCD]) {
        24
    } else {
        16
    };
    // Words but for the two numbers of the version; behind the lengths of the modified format a word, a half, two bytes.
    let mut swapped = Vec::new();
    let words = |bytes: &[u8]| -> Vec<u8> {
        bytes
            .chunks(4)
            .flat_map(|word| word.iter().rev().copied())
            .collect()
    };
    let halves = |bytes: &[u8]| -> Vec<u8> {
        bytes
            .chunks(2)
            .flat_map(|half| half.iter().rev().copied())
            .collect()
    };
    swapped.extend(words(&file[..4]));
    swapped.extend(halves(&file[4..8]));
    swapped.extend(words(&file[8..24]));
    let mut rest = &file[24..];
    while !rest.is_empty() {
        let len = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        swapped.extend(words(&rest[..16]));
        if record == 24 {
            swapped.extend(words(&rest[16..20]));
            swapped.extend(halves(&rest[20..22]));
            swapped.extend(&rest[22..24]);
        }
        swapped.extend(&rest[record..record + len]);
        rest = &rest[record + len..];
    }
    swapped
}

/// Microseconds, nanoseconds, Kuznetzov's modified format, in both byte orders: as libpcap reads them.
#[test]
fn every_kind_of_pcap_is_read_as_libpcap_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    for (format, magic) in [
        ("pcap", 0xA1B2_C3D4),
        ("nsecpcap", 0xA1B2_3C4D),
        ("modpcap", 0xA1B2_CD34_u32),
    ] {
        // Times that microseconds cannot say.
        let little = made(
            folder.path(),
            format,
            &[
                "editcap",
                "-t",
                "0.000000123",
                "-F",
                format,
                "ngrok.pcap",
                "OUT",
            ],
        );
        let bytes = std::fs::read(&little).unwrap();
        assert_eq!(bytes[..4], magic.to_le_bytes());
        let big = put(folder.path(), "big", &swapped(&bytes));
        let (expected, error) = theirs(&little, None);
        assert!(error.is_none() && expected.len() == 1_181, "{error:?}");
        for path in [&little, &big] {
            assert_eq!(theirs(path, None), (theirs(&little, None).0, None));
            let (packets, error) = ours(path, None);
            assert!(error.is_none(), "{error:?}");
            assert!(packets == expected, "{format}");
        }
        let nanos = ours(&little, None).0[0].time.as_nanos();
        assert_eq!(nanos % 1_000 != 0, format == "nsecpcap");
    }
}

/// What Wireshark's programs write of pcapng: nanoseconds, secrets, comments, several interfaces of different link types,
/// snaplens and resolutions.
#[test]
fn what_wireshark_writes_is_read_as_tshark_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = put(folder.path(), "secrets", b"CLIENT_RANDOM 00 00\n");
    let secrets = format!("tls,{}", secrets.display());
    let nano = made(
        folder.path(),
        "nano.pcap",
        &[
            "editcap",
            "-F",
            "nsecpcap",
            "-t",
            "0.000000001",
            "tcp.pcap",
            "OUT",
        ],
    );
    let nano = nano.to_str().unwrap();
    for command in [
        &[
            "editcap",
            "-F",
            "pcapng",
            "-t",
            "-0.000000777",
            "cut.pcap",
            "OUT",
        ][..],
        &["editcap", "--inject-secrets", &secrets, "vlan.pcap", "OUT"],
        &[
            "editcap",
            "-s",
            "60",
            "-a",
            "3:of the third",
            "unanswered.pcap",
            "OUT",
        ],
        &[
            "mergecap",
            "-w",
            "OUT",
            "ngrok-raw.pcap",
            "ngrok-sll.pcap",
            "ngrok-sll2.pcap",
            "cut.pcap",
            nano,
        ],
        &[
            "mergecap",
            "-a",
            "-I",
            "none",
            "-w",
            "OUT",
            "vlan.pcap",
            "vlan.pcap",
            nano,
        ],
    ] {
        let path = made(folder.path(), "made.pcapng", command);
        let (packets, error) = ours(&path, None);
        assert!(error.is_none(), "{command:?}: {error:?}");
        let theirs = by_tshark(&path);
        assert!(!theirs.is_empty());
        let ours: Vec<_> = packets.iter().map(as_tshark).collect();
        assert!(ours == theirs, "{command:?}");
    }
}
