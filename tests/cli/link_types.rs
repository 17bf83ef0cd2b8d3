//! Link types: one and the same lookup behind every one that is read, as tshark reads it; others are refused by name.

use std::path::Path;
use std::process::Command;

use super::{capture, dnsterrier, json_lines, pcap, stderr, stdout};

/// An IPv4 or IPv6 packet with a query.
fn ip(six: bool) -> Vec<u8> {
    let dns = pcap::query(7, "linktype.example");
    if !six {
        let frame = pcap::udp(([192, 0, 2, 1], 4_000), ([192, 0, 2, 53], 53), 1, &dns);
        return frame[14..].to_vec();
    }
    let length = u16::try_from(8 + dns.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], 17, 64];
    for last in [1, 53] {
        packet.extend([0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend([0x0F, 0xA0, 0, 53, length[0], length[1], 0, 0]);
    packet.extend(dns);
    packet
}

/// All link types that are read, by their numbers in files.
const READ: [u32; 38] = [
    0, 1, 6, 7, 8, 9, 10, 12, 14, 50, 51, 100, 101, 104, 105, 107, 108, 109, 113, 117, 119, 122,
    127, 129, 138, 163, 166, 192, 204, 219, 228, 229, 239, 240, 242, 253, 258, 276,
];

/// What a capture of a link type has before an IP packet of a version, in the variants that there are.
fn headers(link: u32, six: bool) -> Vec<Vec<u8>> {
    let ether_type: &[u8] = if six { &[0x86, 0xDD] } else { &[8, 0] };
    let ppp: &[u8] = if six { &[0, 0x57] } else { &[0, 0x21] };
    let arcnet = if six { 196 } else { 212 };
    let (to, from, base) = ([2; 6], [4; 6], [6; 6]);
    let ethernet = [&to[..], &from, ether_type].concat();
    let snap = [&[0xAA, 0xAA, 3, 0, 0, 0][..], ether_type].concat();
    // Data from a station to its base: control, duration, base, from, to, sequence.
    let wireless = [&[8, 1, 0, 0][..], &base, &from, &to, &[0, 0], &snap].concat();
    // AF_INET6 of the BSDs and of macOS.
    let families: &[u8] = if six { &[24, 28, 30] } else { &[2] };
    let little = |family: &u8| vec![*family, 0, 0, 0];
    let big = |family: &u8| vec![0, 0, 0, *family];
    let length = ip(six).len();
    // The attribute of netfilter that is the packet.
    let payload = [&(length as u16 + 4).to_le_bytes()[..], &[9, 0]].concat();
    match link {
        0 => families
            .iter()
            .flat_map(|family| [little(family), big(family)])
            .collect(),
        1 => vec![ethernet],
        6 => vec![[&[0x10, 0x40][..], &to, &from, &snap].concat()],
        7 => vec![vec![1, 2, arcnet, 0, 0, 1]],
        8 => vec![vec![0; 16]],
        9 | 50 => vec![
            [&[0xFF, 3][..], ppp].concat(),
            ppp.to_vec(),
            [&[0x0F, 0][..], ether_type].concat(),
        ],
        10 => vec![[&[0x50][..], &to, &from, &snap].concat()],
        12 | 14 | 101 | 228 | 229 => vec![vec![]],
        51 => vec![
            [
                &[0x11, 0, 0, 1][..],
                &(length as u16 + 2).to_be_bytes(),
                ppp,
            ]
            .concat(),
        ],
        100 => vec![snap],
        104 => vec![[&[0x0F, 0][..], ether_type].concat()],
        105 => vec![wireless],
        107 => {
            let protocol = if six { 0x8E } else { 0xCC };
            vec![
                vec![0x18, 0x41, 3, protocol],
                [&[0x18, 0x41, 3, 0, 0x80, 0, 0, 0][..], ether_type].concat(),
            ]
        }
        108 => families.iter().map(big).collect(),
        109 => vec![[little(&families[0]), vec![0; 8]].concat()],
        113 => vec![[&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], ether_type].concat()],
        117 => vec![[&[61, families[0], 0, 0][..], &[0; 60]].concat()],
        119 => vec![[&[0x44, 0, 0, 0, 144, 0, 0, 0][..], &[0; 136], &wireless].concat()],
        122 => vec![[&[0; 16][..], &snap].concat()],
        127 => vec![[&[0, 0, 8, 0, 0, 0, 0, 0][..], &wireless].concat()],
        129 => vec![vec![1, 2, 0, 0, arcnet, 0, 0, 1]],
        138 => vec![[&[0; 16][..], ether_type].concat()],
        163 => vec![[&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64][..], &[0; 56], &wireless].concat()],
        166 => vec![[&[1, 0xFF, 3][..], ppp].concat()],
        192 => vec![
            [&[0, 0, 8, 0, 1, 0, 0, 0][..], &ethernet].concat(),
            [&[0, 0, 8, 0, 105, 0, 0, 0][..], &wireless].concat(),
        ],
        204 => vec![[&[0, 0xFF, 3][..], ppp].concat()],
        219 => vec![vec![0, 1, 1, 64]],
        239 => vec![[&[if six { 10 } else { 2 }, 0, 0, 0][..], &payload].concat()],
        240 => {
            // From the tenth bit the version, from the eighteenth the length.
            let header = 1 << 10 | (length as u32 + 18) << 18;
            vec![[&header.to_le_bytes()[..], &ethernet].concat()]
        }
        242 => vec![[&[0; 40][..], ether_type, &[0, 0]].concat()],
        253 => vec![
            [
                // A cooked header, a netlink message of netfilter's that logs a packet.
                &[0, 4, 3, 0x38, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12][..],
                &(length as u32 + 24).to_le_bytes(),
                &[0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                &[families[0], 0, 0, 0],
                &payload,
            ]
            .concat(),
        ],
        258 => vec![
            [
                &[108, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0][..],
                &[0; 96],
                &ethernet,
            ]
            .concat(),
        ],
        276 => vec![
            [
                ether_type,
                &[0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0],
            ]
            .concat(),
        ],
        other => panic!("no header for {other}"),
    }
}

/// Whether tshark does not find the IP packet in a file of that link type: PPP as pppd has it, SLIP, MPLS without anything
/// before it, IPv6 in netlink.
const fn beyond_tshark(link: u32, six: bool) -> bool {
    matches!((link, six), (8 | 166 | 219, _) | (253, true))
}

/// What is to be found of a packet: source, destination, name.
const fn expected(six: bool) -> &'static str {
    if six {
        "2001:db8::1 2001:db8::35 linktype.example"
    } else {
        "192.0.2.1 192.0.2.53 linktype.example"
    }
}

/// Packets of every link type and variant, of IPv4 and IPv6.
fn all() -> Vec<(u32, bool, Vec<u8>)> {
    let mut list = Vec::new();
    for link in READ {
        for six in [false, true] {
            if matches!((link, six), (228, true) | (229, false) | (8, true)) {
                continue;
            }
            for header in headers(link, six) {
                let mut packet = [header, ip(six)].concat();
                if link == 240 {
                    packet.extend(b"FCS.");
                }
                list.push((link, six, packet));
            }
        }
    }
    list
}

/// Source, destination and name of each lookup in a capture.
fn by_us(path: &str) -> Vec<String> {
    let output = dnsterrier([path, "--events", "-", "--rows", "none", "-q"]);
    json_lines(&stdout(&output))
        .iter()
        .map(|event| {
            let fields = ["src", "dest", "query"];
            fields.map(|field| event[field].as_str().unwrap()).join(" ")
        })
        .collect()
}

/// The same of each packet, as tshark reads it.
fn by_tshark(path: &str) -> Vec<String> {
    let fields = ["ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "dns.qry.name"];
    let output = Command::new("tshark")
        .args(["-r", path, "-T", "fields"])
        .args(fields.iter().flat_map(|field| ["-e", field]))
        .output()
        .unwrap_or_else(|error| panic!("tshark: {error}; scripts/test installs it"));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let fields = line.split('\t').filter(|field| !field.is_empty());
            fields.collect::<Vec<_>>().join(" ")
        })
        .collect()
}

/// A capture of packets that are all of one link type.
fn written(folder: &Path, name: &str, link: u32, packets: &[Vec<u8>]) -> String {
    let records: Vec<pcap::Record> = packets
        .iter()
        .map(|bytes| pcap::Record {
            time: (1_800_000_000, 0),
            bytes: bytes.clone(),
        })
        .collect();
    let path = folder.join(name);
    std::fs::write(&path, pcap::file(link, &records)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_link_type_is_read_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    for (link, six, packet) in all() {
        let path = written(
            folder.path(),
            "one.pcap",
            link,
            std::slice::from_ref(&packet),
        );
        assert_eq!(by_us(&path), [expected(six)], "{link} {packet:x?}");
    }
}

#[test]
fn they_are_read_as_tshark_reads_them_all_in_one_pcapng_file() {
    let folder = tempfile::tempdir().unwrap();
    // The same query again would be a repetition and no event of its own.
    let (mut packets, mut paths, mut expect) = (Vec::new(), Vec::new(), Vec::new());
    for (at, (link, six, mut packet)) in all().into_iter().enumerate() {
        if beyond_tshark(link, six) {
            continue;
        }
        let query = pcap::query(7, "linktype.example");
        let id = packet
            .windows(query.len())
            .position(|part| part == query)
            .unwrap();
        packet[id..id + 2].copy_from_slice(&(at as u16).to_be_bytes());
        paths.push(written(
            folder.path(),
            &format!("{at}.pcap"),
            link,
            std::slice::from_ref(&packet),
        ));
        packets.push(packet);
        expect.push(expected(six));
    }
    let merged = folder
        .path()
        .join("all.pcapng")
        .to_str()
        .unwrap()
        .to_owned();
    let status = Command::new("mergecap")
        .args(["-a", "-w", &merged])
        .args(&paths)
        .status()
        .unwrap_or_else(|error| panic!("mergecap: {error}; scripts/test installs it"));
    assert!(status.success());
    assert_eq!(by_tshark(&merged), expect);
    assert_eq!(by_us(&merged), expect);
}

/// Ethernet's packets, and those of USB, of which nothing is read.
fn lookups(from: u16) -> Vec<Vec<u8>> {
    let query = |id| pcap::query(id, "linktype.example");
    (from..from + 3)
        .map(|id| {
            pcap::udp(
                ([192, 0, 2, 1], 4_000),
                ([192, 0, 2, 53], 53),
                id,
                &query(id),
            )
        })
        .collect()
}

#[test]
fn a_file_of_another_link_type_is_refused_and_the_next_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for (link, name) in [
        (189, "USB_LINUX (189)"),
        (102, "SLIP_BSDOS (102)"),
        (227, "CAN_SOCKETCAN (227)"),
        (150, "USER3 (150)"),
        (60_000, "number 60000"),
    ] {
        // Also where it holds no packet.
        for packets in [&lookups(1)[..], &[]] {
            let path = written(folder.path(), "odd.pcap", link, packets);
            let next = capture("vlan.pcap");
            let output = dnsterrier([&path, &next, "--format", "jsonl"]);
            let says = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{says}");
            let words = format!(
                "dnsterrier: {path}: its link type {name} is not read; capture where packets are Ethernet"
            );
            assert_eq!(says.matches(&words).count(), 1, "{says}");
            let rows = String::from_utf8(output.stdout).unwrap();
            assert_eq!(rows, super::out(&[&next, "--format", "jsonl", "-q"]));
        }
    }
}

#[test]
fn of_several_interfaces_the_odd_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let merged = folder
        .path()
        .join("merged.pcapng")
        .to_str()
        .unwrap()
        .to_owned();
    let parts = [
        written(folder.path(), "a.pcap", 1, &lookups(1)),
        written(folder.path(), "b.pcap", 189, &lookups(9)[..2]),
        written(folder.path(), "c.pcap", 1, &lookups(4)),
        written(folder.path(), "d.pcap", 227, &lookups(9)),
    ];
    let status = Command::new("mergecap")
        .args(["-a", "-w", &merged])
        .args(&parts)
        .status()
        .unwrap();
    assert!(status.success());
    let stats = folder
        .path()
        .join("stats.json")
        .to_str()
        .unwrap()
        .to_owned();
    for filter in [&[][..], &["-f", "udp port 53"]] {
        let arguments = [
            "replay", &merged, "--events", "-", "--rows", "none", "--stats", &stats,
        ];
        let output = dnsterrier([&arguments[..], filter].concat());
        let says = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{says}");
        let words = format!(
            "dnsterrier: {merged}: packets whose link types are not read: 2 of USB_LINUX (189), 3 of CAN_SOCKETCAN (227); \
             packets of others were read, and count"
        );
        assert_eq!(says.matches(&words).count(), 1, "{says}");
        let events = json_lines(&String::from_utf8(output.stdout).unwrap());
        assert_eq!(events.len(), 6, "{says}");
        let stats: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
        assert_eq!(stats["packets"]["unsupported_link"], 5);
        assert_eq!(stats["packets"]["udp"], 6);
    }
}
