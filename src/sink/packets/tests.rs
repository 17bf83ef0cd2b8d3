//! Files of packets as our own reader finds them; what tshark finds is seen by the tests of the program.

use std::ops::ControlFlow;

use proptest::prelude::*;

use super::*;
use crate::capture::{Files, Source, TakePackets, expand};
use crate::packet::Captured;
use crate::sink::{Rotation, Writer};
use crate::stats;

/// What a file gives: time, link type, length on the wire, bytes.
type Found = Vec<(i64, i32, u32, Vec<u8>)>;

#[derive(Default)]
struct Reading(Found, stats::Capture);

impl TakePackets for Reading {
    fn take(&mut self, packet: &Packet<'_>) -> ControlFlow<()> {
        let LinkType(link) = packet.link;
        let bytes = packet.bytes.to_vec();
        self.0
            .push((packet.time.as_nanos(), link, packet.wire_len, bytes));
        ControlFlow::Continue(())
    }

    fn send_on(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn idle(&mut self, _: Timestamp) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn stats(&mut self) -> &mut stats::Capture {
        &mut self.1
    }
}

/// The packets of a file, which must be whole.
fn read(path: &Path) -> Found {
    let mut reading = Reading::default();
    let inputs = expand(&[path.to_owned()]).unwrap();
    let errors = Files::new(inputs, None, |_| None).run(&mut reading, &|| false);
    assert!(errors.is_empty(), "{errors:?}");
    reading.0
}

/// A writer of packets that is to go on with what is there.
fn open(path: &Path, live: bool) -> Result<Writer, SinkError> {
    let place = packet_place("--write", path, false)?;
    Writer::packets(place, vec![Arc::from("eth0"), Arc::from("eth1")], live)
}

fn packet(nanos: i64, link: i32, bytes: &[u8]) -> Arc<Captured> {
    Captured::of(&Packet {
        time: Timestamp::from_nanos(nanos),
        input: u16::from(nanos % 2 == 0),
        number: 1,
        link: LinkType(link),
        wire_len: 1000,
        bytes,
    })
}

fn expected(packets: &[Arc<Captured>]) -> Found {
    packets
        .iter()
        .map(|captured| {
            let packet = captured.packet();
            let LinkType(link) = packet.link;
            let bytes = packet.bytes.to_vec();
            (packet.time.as_nanos(), link, packet.wire_len, bytes)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What goes in comes out, whatever the link types, of which pcap has one, and however often another run goes on.
    #[test]
    fn packets_come_out_as_they_went_in(
        runs in prop::collection::vec(
            prop::collection::vec((0..i64::from(u32::MAX) * 1_000_000_000, prop::sample::select(vec![1, 12, 113, 276]),
                prop::collection::vec(any::<u8>(), 0..90), prop::collection::vec("[a-z\\PC]{0,9}", 0..3)), 0..6),
            1..4,
        ),
        ending in prop::sample::select(vec!["pcapng", "pcap", "pcapng.gz", "pcap.zst"]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("a.{ending}"));
        let mut all = Vec::new();
        for run in &runs {
            let mut writer = open(&path, true).unwrap();
            for (nanos, link, bytes, comments) in run {
                let link = if ending.starts_with("pcapng") { *link } else { 12 };
                let packet = packet(*nanos, link, bytes);
                let comments: Vec<Arc<str>> = comments.iter().map(|it| Arc::from(it.as_str())).collect();
                writer.packet(&packet.packet(), &comments).unwrap();
                all.push(packet);
            }
            writer.finish().unwrap();
        }
        // A live run's pcap has its header when it has a packet.
        let found = if all.is_empty() && !ending.starts_with("pcapng") {
            prop_assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
            Vec::new()
        } else {
            read(&path)
        };
        prop_assert_eq!(found, expected(&all));
    }
}

/// Wherever a crash cut a file: another run goes on behind the last whole packet.
#[test]
fn what_a_crash_left_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, three] =
        [(1, &b"one"[..]), (2, b"second"), (3, b"3")].map(|(at, bytes)| packet(at, 1, bytes));
    for ending in ["pcapng", "pcap"] {
        let path = folder.path().join(format!("a.{ending}"));
        let mut writer = open(&path, false).unwrap();
        for packet in [&one, &two] {
            writer.packet(&packet.packet(), &[]).unwrap();
        }
        writer.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        // In the record of the second.
        for cut in 1..18 {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let mut writer = open(&path, true).unwrap();
            writer.packet(&three.packet(), &[]).unwrap();
            writer.finish().unwrap();
            let all = [Arc::clone(&one), Arc::clone(&three)];
            assert_eq!(read(&path), expected(&all), "{ending} {cut}");
        }
    }
}

#[test]
fn a_file_of_another_kind_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.pcapng", "a.pcap"] {
        let path = folder.path().join(name);
        std::fs::write(&path, "rows, not packets, in whatever number there are").unwrap();
        let said = open(&path, true).unwrap_err().to_string();
        assert!(said.contains("no file that can go on"), "{said}");
        assert!(std::fs::read(&path).unwrap().starts_with(b"rows"));
    }
    // A section of the other byte order.
    let path = folder.path().join("big.pcapng");
    let section = [
        &[
            0x0A, 0x0D, 0x0D, 0x0A, 0, 0, 0, 28, 0x1A, 0x2B, 0x3C, 0x4D, 0, 1, 0, 0,
        ][..],
        &[0xFF; 8],
        &[0, 0, 0, 28],
    ]
    .concat();
    std::fs::write(&path, &section).unwrap();
    open(&path, true).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), section);
    // What another run began with one link type cannot go on with another.
    let path = folder.path().join("b.pcap");
    for (link, goes) in [(1, true), (1, true), (113, false)] {
        let mut writer = open(&path, true).unwrap();
        let result = writer.packet(&packet(1, link, b"x").packet(), &[]);
        assert_eq!(result.is_ok(), goes);
        drop(writer);
    }
    assert_eq!(read(&path).len(), 2);
}

/// Each file that gives way to a new one is whole, also the one that nothing came to yet.
#[test]
fn files_that_give_way_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    for ending in ["pcapng", "pcap", "pcapng.zst"] {
        let path = folder.path().join(format!("{ending}/a.{ending}"));
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        let mut writer = open(&path, true).unwrap();
        let mut rotation = Rotation::new(Some(1), None);
        let now = Timestamp::from_parts(1, 0);
        // Nothing to give way yet.
        let over = rotation.advance(now);
        writer.rotate(rotation, over, now).unwrap();
        for at in 0..3 {
            writer
                .packet(&packet(at, 1, b"bytes").packet(), &[])
                .unwrap();
            writer.flush().unwrap();
            let over = rotation.advance(now);
            writer.rotate(rotation, over, now).unwrap();
        }
        writer.finish().unwrap();
        let mut counts: Vec<usize> = std::fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| match std::fs::metadata(&path).unwrap().len() {
                0 => 0,
                _ => read(&path).len(),
            })
            .collect();
        counts.sort_unstable();
        assert_eq!(counts, [0, 1, 1, 1], "{ending}");
    }
}
