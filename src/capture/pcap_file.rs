//! The pcap format, <https://datatracker.ietf.org/doc/html/draft-ietf-opsawg-pcap>, and Kuznetzov's modified one.

use std::ops::ControlFlow;

use super::blocks::{Blocks, Supply};
use super::record::{ByteOrder, Damage, MAX_PACKET, Numbering, Together};
use crate::packet::{LinkType, Packet};
use crate::time::Timestamp;

/// The length of the file's header in bytes.
const FILE_HEADER: usize = 24;

/// What the file's header says.
#[derive(Clone, Copy)]
pub(super) struct Header {
    order: ByteOrder,
    /// The length of a record's header in bytes.
    record: usize,
    /// Nanoseconds in one of what stands beside the seconds.
    fraction: i64,
    /// That of all packets.
    pub(super) link: LinkType,
    /// Before version 2.4 the two lengths could stand in the other order.
    old: bool,
}

impl Header {
    /// Reads the header of a file whose first four bytes are those of pcap.
    ///
    /// # Errors
    /// The file ends in it.
    pub(super) fn read<S: Supply>(blocks: &mut Blocks<S>) -> Result<Self, Damage> {
        let at = blocks.offset();
        let bytes = blocks
            .fill(FILE_HEADER)
            .map_err(|error| Damage::unreadable(at, &error))?;
        if bytes.len() < FILE_HEADER {
            let what = format!(
                "the file's header takes {FILE_HEADER} bytes, there are {}",
                bytes.len()
            );
            return Err(Damage::at(at, what));
        }
        let header = Self::parse(bytes).ok_or_else(|| Damage::at(at, "not pcap".to_owned()))?;
        blocks.consume(FILE_HEADER);
        Ok(header)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let magic = bytes.first_chunk().copied().map(u32::from_be_bytes)?;
        let (order, magic) = match magic {
            0xA1B2_C3D4 | 0xA1B2_3C4D | 0xA1B2_CD34 => (ByteOrder::Big, magic),
            other => (ByteOrder::Little, other.swap_bytes()),
        };
        let (record, fraction) = match magic {
            0xA1B2_C3D4 => (16, 1_000),
            0xA1B2_3C4D => (16, 1),
            0xA1B2_CD34 => (24, 1_000),
            _ => return None,
        };
        let (major, minor) = (order.u16(bytes, 4), order.u16(bytes, 6));
        Some(Self {
            order,
            record,
            fraction,
            // Above the link type stand whether there is a frame check sequence, and its length.
            link: LinkType::in_file(order.u32(bytes, 20) & 0x03FF_FFFF),
            old: major == 2 && minor < 4,
        })
    }
}

/// Gives the packets behind a file's header, until the end or until `give` breaks off.
///
/// # Errors
/// Damage, after all packets before it were given.
pub(super) fn read<S: Supply>(
    blocks: &mut Blocks<S>,
    header: Header,
    numbering: &mut Numbering,
    mut give: impl FnMut(&[Packet<'_>]) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Damage> {
    let mut need = header.record;
    loop {
        let at = blocks.offset();
        let bytes = blocks
            .fill(need)
            .map_err(|error| Damage::unreadable(at, &error))?;
        if bytes.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        if bytes.len() < need {
            let what = format!(
                "the record takes {}{need} bytes, there are {}",
                if need == header.record {
                    "at least "
                } else {
                    ""
                },
                bytes.len()
            );
            return Err(Damage::at(at, what));
        }
        let mut rest = bytes;
        let mut together = Together::default();
        let end = loop {
            let Some((head, after)) = rest
                .split_first_chunk::<16>()
                .and_then(|(head, after)| Some((head, after.get(header.record - 16..)?)))
            else {
                break Ok(header.record);
            };
            let [seconds, fraction, mut len, mut wire_len] = header.order.four(head);
            if header.old {
                (len, wire_len) = in_order(len, wire_len);
            }
            if len > MAX_PACKET {
                let at = at + (bytes.len() - rest.len()) as u64;
                let what = format!("a packet of {len} bytes, more than {MAX_PACKET} can be");
                break Err(Damage::at(at, what));
            }
            let Some((packet, after)) = after.split_at_checked(len as usize) else {
                break Ok(header.record + len as usize);
            };
            rest = after;
            // Both are 32 bits wide, so that neither product nor sum overflows.
            let nanos = i64::from(seconds) * 1_000_000_000 + i64::from(fraction) * header.fraction;
            let time = Timestamp::from_nanos(nanos);
            let packet = numbering.next(time, header.link, wire_len, packet);
            if together.push(packet, &mut give).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        };
        if together.give(&mut give).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        need = end?;
        let consumed = bytes.len() - rest.len();
        blocks.consume(consumed);
    }
}

/// The lesser first, as it is meant.
#[cold]
fn in_order(len: u32, wire_len: u32) -> (u32, u32) {
    (len.min(wire_len), len.max(wire_len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::record::tests::{Copied, copied};

    /// A file of packets, each with its seconds, its fraction and its bytes.
    fn file(big: bool, magic: u32, network: u32, packets: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let number = |value: u32| {
            if big {
                value.to_be_bytes()
            } else {
                value.to_le_bytes()
            }
        };
        let mut file = number(magic).to_vec();
        let version = if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] };
        file.extend(version);
        file.extend([0, 0, 65535, network].map(number).concat());
        for (seconds, fraction, bytes) in packets {
            let len = bytes.len() as u32;
            file.extend([*seconds, *fraction, len, len + 1].map(number).concat());
            if magic == 0xA1B2_CD34 {
                file.extend([9; 8]);
            }
            file.extend(*bytes);
        }
        file
    }

    fn packets(file: &[u8]) -> (Vec<Copied>, Result<(), String>) {
        copied(|numbering, give| {
            let mut blocks = Blocks::new(file);
            let header = Header::read(&mut blocks)?;
            read(&mut blocks, header, numbering, give)
        })
    }

    #[test]
    fn every_kind_in_both_byte_orders() {
        for (magic, factor) in [(0xA1B2_C3D4, 1_000), (0xA1B2_3C4D, 1), (0xA1B2_CD34, 1_000)] {
            for big in [false, true] {
                let file = file(
                    big,
                    magic,
                    101,
                    &[(5, 7, b"abc"), (u32::MAX, u32::MAX, b"")],
                );
                let last = i64::from(u32::MAX);
                let expected = vec![
                    (5_000_000_000 + 7 * factor, 12, 4, b"abc".to_vec()),
                    (last * 1_000_000_000 + last * factor, 12, 1, Vec::new()),
                ];
                assert_eq!(packets(&file), (expected, Ok(())), "{magic:x} {big}");
            }
        }
    }

    #[test]
    fn above_the_link_type_stands_the_frame_check_sequence() {
        let file = file(false, 0xA1B2_C3D4, 0x4400_0001, &[(1, 0, b"x")]);
        assert_eq!(packets(&file).0[0].1, 1);
    }

    #[test]
    fn before_version_2_4_the_lengths_may_be_exchanged() {
        let mut file = file(false, 0xA1B2_C3D4, 1, &[(1, 0, b"x")]);
        file[6] = 2;
        file[32..40].copy_from_slice(&[9, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(
            packets(&file),
            (vec![(1_000_000_000, 1, 9, vec![b'x'])], Ok(()))
        );
    }

    #[test]
    fn cut_anywhere_the_packets_before_it_come() {
        for magic in [0xA1B2_C3D4, 0xA1B2_CD34] {
            let file = file(
                true,
                magic,
                1,
                &[(1, 0, b"abc"), (2, 0, b""), (3, 0, b"defg")],
            );
            let head = if magic == 0xA1B2_C3D4 { 16 } else { 24 };
            let ends = [24, 24 + head + 3, 24 + 2 * head + 3, 24 + 3 * head + 7];
            assert_eq!(ends[3], file.len());
            let (all, _) = packets(&file);
            for cut in 0..=file.len() {
                let (given, end) = packets(&file[..cut]);
                let whole = ends.iter().filter(|end| **end <= cut).count();
                assert_eq!(given, all[..whole.saturating_sub(1)], "{cut}");
                assert_eq!(end.is_ok(), ends.contains(&cut), "{cut}");
                if let Err(reason) = end {
                    let at = ends.iter().rev().find(|end| **end <= cut).unwrap_or(&0);
                    assert!(reason.starts_with(&format!("at byte {at}: ")), "{reason}");
                }
            }
        }
    }

    #[test]
    fn a_packet_longer_than_can_be_is_damage() {
        let mut file = file(false, 0xA1B2_C3D4, 1, &[(1, 0, b"x"), (1, 0, b"y")]);
        file[41 + 8..41 + 12].copy_from_slice(&(MAX_PACKET + 1).to_le_bytes());
        let (given, end) = packets(&file);
        assert_eq!(given.len(), 1);
        assert_eq!(
            end.unwrap_err(),
            "at byte 41: a packet of 16777217 bytes, more than 16777216 can be"
        );
    }

    #[test]
    fn packets_cross_the_reader_s_blocks() {
        let long = vec![7; 300_001];
        let records: Vec<(u32, u32, &[u8])> =
            (0..20).map(|at| (at, 0, &long[at as usize..])).collect();
        let (given, end) = packets(&file(false, 0xA1B2_C3D4, 1, &records));
        assert_eq!(end, Ok(()));
        assert!(
            given
                .iter()
                .zip(&records)
                .all(|(given, record)| given.3 == record.2)
        );
        assert_eq!(given.len(), 20);
    }
}
