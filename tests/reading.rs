//! The reader of capture files held against libpcap, packet by packet, and against capinfos where libpcap gives up.
//! `DNSTERRIER_CORPUS` names the folder with the captures; without it those of the repository are read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail: that is what it is for"
)]

#[path = "reading/formats.rs"]
mod formats;

#[path = "common/packets.rs"]
mod packets;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use dnsterrier::capture::CaptureError;
use dnsterrier::time::Timestamp;
use packets::{Kept, ours};

/// libpcap's packets, and its error if it gives up.
fn theirs(path: &Path, filter: Option<&str>) -> (Vec<Kept>, Option<String>) {
    let mut packets = Vec::new();
    let opened = pcap::Capture::from_file_with_precision(path, pcap::Precision::Nano);
    let mut capture = match opened {
        Ok(capture) => capture,
        Err(error) => return (packets, Some(error.to_string())),
    };
    if let Some(filter) = filter {
        capture.filter(filter, true).unwrap();
    }
    let link = capture.get_datalink().0;
    loop {
        match capture.next_packet() {
            Ok(packet) => packets.push(Kept {
                number: packets.len() as u64 + 1,
                time: Timestamp::from_parts(packet.header.ts.tv_sec, packet.header.ts.tv_usec),
                link,
                wire_len: packet.header.len,
                bytes: packet.data.to_vec(),
            }),
            Err(pcap::Error::NoMorePackets) => return (packets, None),
            Err(error) => return (packets, Some(error.to_string())),
        }
    }
}

fn captures() -> Vec<PathBuf> {
    let folder = std::env::var_os("DNSTERRIER_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("captures"),
        PathBuf::from,
    );
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let ending = path.extension().unwrap_or_default();
            ending == "pcap" || ending == "pcapng"
        })
        .collect();
    files.sort();
    files
}

/// How many packets capinfos counts, if it is there.
fn counted(path: &Path) -> Option<u64> {
    let output = Command::new("capinfos")
        .args(["-c", "-M", "-T", "-r"])
        .arg(path)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().rsplit('\t').next()?.parse().ok()
}

#[test]
fn every_packet_is_as_libpcap_gives_it() {
    let mut wrong = Vec::new();
    let (mut files, mut packets, mut beyond) = (0, 0, 0);
    for path in captures() {
        let name = path.display();
        let (ours, our_error) = ours(&path, None);
        let (theirs, their_error) = theirs(&path, None);
        files += 1;
        packets += ours.len();
        if let Some((ours, theirs)) = ours
            .iter()
            .zip(&theirs)
            .find(|(ours, theirs)| ours != theirs)
        {
            wrong.push(format!("{name}: {ours:?}\n  libpcap: {theirs:?}"));
        } else if their_error.is_none() && (ours.len() != theirs.len() || our_error.is_some()) {
            wrong.push(format!(
                "{name}: {} of {} packets, {our_error:?}",
                ours.len(),
                theirs.len()
            ));
        } else if let Some(error) = their_error {
            beyond += 1;
            let counted = counted(&path);
            eprintln!(
                "{name}: libpcap {} ({error}), we {} ({our_error:?}), capinfos {counted:?}",
                theirs.len(),
                ours.len()
            );
            if ours.len() < theirs.len()
                || counted.is_some_and(|counted| counted != ours.len() as u64)
            {
                wrong.push(format!(
                    "{name}: {} packets, capinfos {counted:?}",
                    ours.len()
                ));
            }
        }
    }
    eprintln!("{files} files, {packets} packets; {beyond} that libpcap cannot read to the end");
    assert!(files > 0);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A file so long that it is read ahead, on two cores from where it is known that little of it is DNS. Its packets are of all
/// lengths, some longer than what there is room for before a block.
#[test]
fn every_packet_of_a_long_file_is_as_libpcap_gives_it() {
    let mut bytes = [0xA1B2_C3D4, 0x0004_0002, 0, 0, 1 << 18, 1]
        .map(u32::to_le_bytes)
        .concat();
    let (mut number, mut random) = (0_u32, 1_u32);
    while bytes.len() < 16 << 20 {
        number += 1;
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let len = match random >> 28 {
            0 => random >> 8 & 0x3_FFFF,
            1..8 => random >> 8 & 0x7FF,
            _ => random >> 8 & 0x7F,
        };
        bytes.extend([number, 0, len, len].map(u32::to_le_bytes).concat());
        bytes.extend((0..len).map(|at| (at ^ number) as u8));
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let (ours, our_error) = ours(file.path(), None);
    let (theirs, their_error) = theirs(file.path(), None);
    assert!(
        our_error.is_none() && their_error.is_none(),
        "{our_error:?} {their_error:?}"
    );
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(ours == theirs, "packet {}", ours.number);
    }
}

#[test]
fn a_filter_lets_pass_what_it_does_in_libpcap() {
    for path in captures() {
        let (all, _) = ours(&path, None);
        if all.iter().any(|packet| packet.link != 1) {
            continue;
        }
        let (filtered, error) = ours(&path, Some("udp port 53"));
        let (theirs, their_error) = theirs(&path, Some("udp port 53"));
        if their_error.is_none() {
            assert!(error.is_none(), "{}", path.display());
            assert_eq!(filtered.len(), theirs.len(), "{}", path.display());
        }
        // The numbers are those of the file.
        for packet in filtered {
            assert_eq!(packet, all[packet.number as usize - 1]);
        }
    }
}

#[test]
fn what_is_no_capture_is_said() {
    for (bytes, words) in [
        (&b"abc"[..], "less than four bytes"),
        (
            b"%PDF-1.7",
            "expected pcap, pcapng or dnstap (it begins with 25 50 44 46)",
        ),
        (b"snoop\0\0\0", "a snoop file"),
    ] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let (packets, error) = ours(file.path(), None);
        let error = error.unwrap();
        assert!(matches!(error, CaptureError::NotACapture { .. }));
        assert!(error.to_string().contains(words), "{error}");
        assert!(packets.is_empty());
    }
}

/// Every kind of capture file that editcap writes of Ethernet and that is not pcap has a name here.
#[test]
fn other_capture_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/vlan.pcap");
    for (format, name) in [
        ("5views", "Accellent 5Views"),
        ("k12text", "K12 text"),
        ("lanalyzer", "Novell LANalyzer"),
        ("netmon1", "Microsoft Network Monitor 1"),
        ("netmon2", "Microsoft Network Monitor 2"),
        ("nettl", "HP-UX nettl"),
        ("ngsniffer", "DOS Sniffer"),
        ("ngwsniffer_1_1", "Windows Sniffer (NetXRay)"),
        ("ngwsniffer_2_0", "Windows Sniffer (NetXRay)"),
        ("observer", "Network Instruments Observer"),
        ("snoop", "snoop"),
        ("visual", "Visual Networks"),
    ] {
        let path = folder.path().join(format);
        let status = Command::new("editcap")
            .args(["-F", format])
            .args([&capture, &path])
            .status()
            .unwrap_or_else(|error| panic!("editcap: {error}; scripts/test installs it"));
        assert!(status.success(), "{format}");
        let (packets, error) = ours(&path, None);
        assert!(packets.is_empty());
        let path = path.display();
        assert_eq!(
            error.unwrap().to_string(),
            format!(
                "{path}: not a capture file: it is a {name} file; convert it with: editcap -F pcapng {path} {path}.pcapng"
            )
        );
    }
}

/// The same for kinds that editcap reads and does not write; the magics are those of Wireshark's wiretap.
#[test]
fn further_capture_files_are_refused_by_name() {
    for (bytes, name) in [
        (&b"VL\0\x001.000"[..], "NetXRay 1"),
        (b"iptrace 1.0", "AIX iptrace"),
        (b"iptrace 2.0", "AIX iptrace"),
        (b"\0\0\x02\0\x12\x05\0\x10", "Tektronix K12 (rf5)"),
        (b"\x7Fver", "WildPackets EtherPeek"),
        (b"\x42\xD2\0\x34\x12\x66\x22\x88", "RADCOM"),
        (b"EyeSDN\0", "EyeSDN"),
        (b"Session Transcript\n", "Catapult DCT2000"),
        (b"btsnoop\0", "btsnoop"),
        (b"\x1C\0\x01\xAC", "IXIA lcap"),
    ] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let error = ours(file.path(), None).1.unwrap().to_string();
        let expected = format!("not a capture file: it is a {name} file; convert it");
        assert!(error.contains(&expected), "{error}");
    }
}
