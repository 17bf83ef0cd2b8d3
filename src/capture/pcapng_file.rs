//! The pcapng format, <https://datatracker.ietf.org/doc/html/draft-ietf-opsawg-pcapng>.

use std::ops::ControlFlow;

use super::blocks::{Blocks, Supply};
use super::record::{ByteOrder, Damage, MAX_PACKET, Numbering, Together};
use crate::packet::{LinkType, Packet};
use crate::time::Timestamp;

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
/// Obsolete, but files of it exist.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

/// Type, length and the length again, in bytes.
const FRAME: usize = 12;
/// The most bytes of a block.
const MAX_BLOCK: u32 = 64 << 20;
/// The most interfaces of a section.
const MAX_INTERFACES: usize = 1 << 16;

/// What an Interface Description Block says.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    /// The most bytes kept of a packet; 0 means all.
    snaplen: u32,
    /// A time is so many nanoseconds, divided by `divisor`.
    factor: u64,
    divisor: u128,
    /// Seconds that are added to each time.
    offset: i64,
}

impl Interface {
    /// The fixed part and the options of the block; `None` where an option is longer than the block.
    fn parse(order: ByteOrder, body: &[u8]) -> Option<Self> {
        let mut interface = Self {
            link: LinkType::in_file(u32::from(order.u16(body, 0))),
            snaplen: order.u32(body, 4),
            factor: 1_000,
            divisor: 1,
            offset: 0,
        };
        let mut options = body.get(8..)?;
        while options.len() >= 4 {
            let (code, len) = (order.u16(options, 0), order.u16(options, 2));
            if code == 0 {
                break;
            }
            let value = options.get(4..)?.get(..usize::from(len))?;
            match (code, value) {
                (IF_TSRESOL, &[resolution]) => interface.set_resolution(resolution),
                (IF_TSOFFSET, value) if value.len() == 8 => {
                    let value = value.first_chunk().copied()?;
                    interface.offset = match order {
                        ByteOrder::Big => i64::from_be_bytes(value),
                        ByteOrder::Little => i64::from_le_bytes(value),
                    };
                }
                _ => {}
            }
            let padded = usize::from(len).next_multiple_of(4);
            options = options.get(4 + padded..).unwrap_or_default();
        }
        Some(interface)
    }

    /// `if_tsresol`: a negative power of 10, with the highest bit of 2.
    fn set_resolution(&mut self, value: u8) {
        let power = u32::from(value & 0x7F);
        (self.factor, self.divisor) = if value & 0x80 != 0 {
            (1_000_000_000, 1 << power)
        } else if power <= 9 {
            (10_u64.pow(9 - power), 1)
        } else {
            // What is finer than 128 bits can say rounds every time down to nothing.
            (1, 10_u128.checked_pow(power - 9).unwrap_or(u128::MAX))
        };
    }

    /// A time of a packet; times out of range stay at the range's end.
    fn time(&self, high: u32, low: u32) -> Timestamp {
        let time = u64::from(high) << 32 | u64::from(low);
        if self.divisor == 1
            && self.offset == 0
            && let Some(nanos) = time.checked_mul(self.factor)
            && let Ok(nanos) = i64::try_from(nanos)
        {
            return Timestamp::from_nanos(nanos);
        }
        self.unusual_time(time)
    }

    #[cold]
    fn unusual_time(&self, time: u64) -> Timestamp {
        // 64 bits times at most 30 bits; 64 bits times 30 bits.
        let nanos = u128::from(time) * u128::from(self.factor) / self.divisor;
        let nanos = i128::try_from(nanos).unwrap_or(i128::MAX / 2)
            + i128::from(self.offset) * 1_000_000_000;
        let range = i128::from(i64::MIN)..=i128::from(i64::MAX);
        let nanos = nanos.clamp(*range.start(), *range.end());
        Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

/// What is known of a file so far.
struct Reader {
    /// That of the section.
    order: ByteOrder,
    /// Those of the section.
    interfaces: Vec<Interface>,
    /// That of the packet before.
    time: Timestamp,
}

/// What the next block of a file is.
enum Next<'a> {
    Packet(Packet<'a>),
    Other,
    /// So many bytes are needed, of which fewer are at hand.
    Needs(usize),
}

impl Reader {
    /// Takes the block that `rest` begins with off it.
    #[inline(always)]
    fn next<'a>(
        &mut self,
        rest: &mut &'a [u8],
        numbering: &mut Numbering,
    ) -> Result<Next<'a>, String> {
        if let Some(packet) = self.enhanced(rest, numbering) {
            return Ok(Next::Packet(packet));
        }
        let Some(head) = rest.first_chunk::<FRAME>() else {
            return Ok(Next::Needs(FRAME));
        };
        let len = self.block_len(head)?;
        let Some((block, after)) = rest.split_at_checked(len as usize) else {
            return Ok(Next::Needs(len as usize));
        };
        let Some((body, end)) = block.get(8..).and_then(<[u8]>::split_last_chunk::<4>) else {
            return Ok(Next::Needs(FRAME));
        };
        let again = self.order.u32(end, 0);
        if again != len {
            return Err(format!(
                "a block of {len} bytes that ends as one of {again}"
            ));
        }
        let packet = self.block(self.order.u32(head, 0), body, numbering)?;
        *rest = after;
        Ok(packet.map_or(Next::Other, Next::Packet))
    }

    /// Takes the packet of an Enhanced Packet Block off, which nearly all blocks are; `None` where it is another or not as it
    /// should be, which [`next`](Self::next) looks into.
    #[inline(always)]
    fn enhanced<'a>(
        &mut self,
        rest: &mut &'a [u8],
        numbering: &mut Numbering,
    ) -> Option<Packet<'a>> {
        let (head, after) = rest.split_first_chunk::<28>()?;
        let [kind, len, index, _] = self.order.four(head.first_chunk()?);
        let [high, low, captured, wire_len] = self.order.four(head.last_chunk()?);
        if kind != ENHANCED_PACKET || len > MAX_BLOCK || captured > MAX_PACKET {
            return None;
        }
        let (body, after) = after.split_at_checked((len as usize).checked_sub(28)?)?;
        let (data, end) = body.split_last_chunk::<4>()?;
        let bytes = data.get(..captured as usize)?;
        let interface = self.interfaces.get(index as usize)?;
        if self.order.u32(end, 0) != len || !len.is_multiple_of(4) {
            return None;
        }
        self.time = interface.time(high, low);
        *rest = after;
        Some(numbering.next(self.time, interface.link, wire_len, bytes))
    }

    /// The length in bytes of the block that `bytes` begin with. A section header sets the byte order.
    fn block_len(&mut self, head: &[u8; FRAME]) -> Result<u32, String> {
        if self.order.u32(head, 0) == SECTION_HEADER {
            // Byte orders cannot be told apart by the type, which reads the same both ways.
            self.order = match head {
                [.., 0x1A, 0x2B, 0x3C, 0x4D] => ByteOrder::Big,
                [.., 0x4D, 0x3C, 0x2B, 0x1A] => ByteOrder::Little,
                _ => return Err("a section header without a byte-order magic".to_owned()),
            };
        }
        let len = self.order.u32(head, 4);
        if len < FRAME as u32 || len > MAX_BLOCK || !len.is_multiple_of(4) {
            let kind = self.order.u32(head, 0);
            return Err(format!("a block of type {kind:#x} of {len} bytes"));
        }
        Ok(len)
    }

    /// Takes a whole block; the packet, if it is one.
    fn block<'a>(
        &mut self,
        kind: u32,
        body: &'a [u8],
        numbering: &mut Numbering,
    ) -> Result<Option<Packet<'a>>, String> {
        let order = self.order;
        let short = |what: &str| format!("{what} of {} bytes", body.len() + FRAME);
        match kind {
            SECTION_HEADER => {
                if body.len() < 16 {
                    return Err(short("a section header"));
                }
                self.interfaces.clear();
                Ok(None)
            }
            INTERFACE_DESCRIPTION => {
                if body.len() < 8 {
                    return Err(short("an interface description"));
                }
                if self.interfaces.len() >= MAX_INTERFACES {
                    return Err(format!("more than {MAX_INTERFACES} interfaces"));
                }
                let interface = Interface::parse(order, body).ok_or_else(|| {
                    "an interface description with an option longer than it".to_owned()
                })?;
                self.interfaces.push(interface);
                Ok(None)
            }
            ENHANCED_PACKET | PACKET => {
                let Some((head, data)) = body.split_at_checked(20) else {
                    return Err(short("a packet block"));
                };
                let index = if kind == PACKET {
                    u32::from(order.u16(head, 0))
                } else {
                    order.u32(head, 0)
                };
                let interface = self.interface(index)?;
                self.time = interface.time(order.u32(head, 4), order.u32(head, 8));
                let bytes = captured(data, order.u32(head, 12))?;
                Ok(Some(numbering.next(
                    self.time,
                    interface.link,
                    order.u32(head, 16),
                    bytes,
                )))
            }
            SIMPLE_PACKET => {
                let Some((head, data)) = body.split_at_checked(4) else {
                    return Err(short("a simple packet block"));
                };
                let interface = self.interface(0)?;
                let wire_len = order.u32(head, 0);
                let len = match interface.snaplen {
                    0 => wire_len,
                    snaplen => wire_len.min(snaplen),
                };
                let bytes = captured(data, len)?;
                Ok(Some(numbering.next(
                    self.time,
                    interface.link,
                    wire_len,
                    bytes,
                )))
            }
            _ => Ok(None),
        }
    }

    fn interface(&self, index: u32) -> Result<Interface, String> {
        let interface = self.interfaces.get(index as usize).copied();
        interface.ok_or_else(|| {
            let known = self.interfaces.len();
            format!("a packet of interface {index}, where {known} are described")
        })
    }
}

/// The packet's bytes, without the padding and the options behind it.
fn captured(data: &[u8], len: u32) -> Result<&[u8], String> {
    let bytes = data.get(..len as usize).filter(|_| len <= MAX_PACKET);
    bytes.ok_or_else(|| {
        let room = data.len();
        format!("a packet of {len} bytes in a block that has room for {room}")
    })
}

/// Gives the packets of a file whose first four bytes are those of pcapng, until its end or until `give` breaks off.
///
/// # Errors
/// Damage, after all packets before it were given.
pub(super) fn read<S: Supply>(
    blocks: &mut Blocks<S>,
    numbering: &mut Numbering,
    mut give: impl FnMut(&[Packet<'_>]) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Damage> {
    let mut reader = Reader {
        order: ByteOrder::Little,
        interfaces: Vec::new(),
        time: Timestamp::default(),
    };
    let mut need = FRAME;
    loop {
        let begin = blocks.offset();
        let bytes = blocks
            .fill(need)
            .map_err(|error| Damage::unreadable(begin, &error))?;
        if bytes.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        if bytes.len() < need {
            let what = format!(
                "the block takes {}{need} bytes, there are {}",
                if need == FRAME { "at least " } else { "" },
                bytes.len()
            );
            return Err(Damage::at(begin, what));
        }
        let mut rest = bytes;
        let mut together = Together::default();
        let end = loop {
            match reader.next(&mut rest, numbering) {
                Ok(Next::Packet(packet)) => {
                    if together.push(packet, &mut give).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(Next::Other) => {}
                Ok(Next::Needs(need)) => break Ok(need),
                Err(what) => {
                    let at = begin + (bytes.len() - rest.len()) as u64;
                    break Err(Damage::at(at, what));
                }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::record::tests::{Copied, copied};

    /// Writes the blocks of a file.
    struct Writer {
        big: bool,
        bytes: Vec<u8>,
        ends: Vec<usize>,
    }

    impl Writer {
        fn new(big: bool) -> Self {
            let (bytes, ends) = (Vec::new(), Vec::new());
            Self { big, bytes, ends }.section(big)
        }

        fn u32s(&self, numbers: &[u32]) -> Vec<u8> {
            let bytes = |number: &u32| {
                if self.big {
                    number.to_be_bytes()
                } else {
                    number.to_le_bytes()
                }
            };
            numbers.iter().flat_map(bytes).collect()
        }

        /// A pair of 16-bit numbers.
        fn pair(&self, first: u16, second: u16) -> Vec<u8> {
            let (first, second) = (u32::from(first), u32::from(second));
            self.u32s(&[if self.big {
                first << 16 | second
            } else {
                second << 16 | first
            }])
        }

        fn block(mut self, kind: u32, body: &[u8]) -> Self {
            let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
            let len = (body.len() + padding.len() + FRAME) as u32;
            let (head, end) = (self.u32s(&[kind, len]), self.u32s(&[len]));
            self.bytes.extend([&head, body, &padding, &end].concat());
            self.ends.push(self.bytes.len());
            self
        }

        fn section(mut self, big: bool) -> Self {
            self.big = big;
            let body = [self.u32s(&[0x1A2B_3C4D]), self.pair(1, 0), vec![0xFF; 8]].concat();
            self.block(SECTION_HEADER, &body)
        }

        fn interface(self, link: u16, snaplen: u32, options: &[(u16, &[u8])]) -> Self {
            let mut body = [self.pair(link, 0), self.u32s(&[snaplen])].concat();
            for (code, value) in options {
                body.extend(self.pair(*code, value.len() as u16));
                body.extend(*value);
                body.resize(body.len().next_multiple_of(4), 0);
            }
            self.block(INTERFACE_DESCRIPTION, &body)
        }

        fn enhanced(self, interface: u32, time: u64, bytes: &[u8]) -> Self {
            let (high, low) = ((time >> 32) as u32, time as u32);
            let head = self.u32s(&[interface, high, low, bytes.len() as u32, 1000]);
            self.block(ENHANCED_PACKET, &[&head, bytes].concat())
        }
    }

    fn packets(file: &[u8]) -> (Vec<Copied>, Result<(), String>) {
        copied(|numbering, give| read(&mut Blocks::new(file), numbering, give))
    }

    /// Two sections in two byte orders, several link types, every block that holds a packet.
    fn rich(big: bool) -> Writer {
        let file = Writer::new(big)
            .interface(1, 0, &[(2, b"eth0"), (0, b"")])
            .interface(101, 3, &[(IF_TSRESOL, &[9]), (0, b"")])
            .enhanced(1, 5_000_000_007, b"abcd")
            .block(0x0BAD, b"unknown")
            .enhanced(0, 5_000_001, b"e");
        let simple = [file.u32s(&[2]), b"fg".to_vec()].concat();
        let old = [file.pair(1, 77), file.u32s(&[0, 6, 3, 3]), b"hij".to_vec()].concat();
        let file = file
            .block(SIMPLE_PACKET, &simple)
            .block(PACKET, &old)
            .section(!big)
            .interface(113, 2, &[]);
        let simple = [file.u32s(&[9]), b"klxx".to_vec()].concat();
        file.block(SIMPLE_PACKET, &simple)
    }

    #[test]
    fn every_block_in_both_byte_orders() {
        for big in [false, true] {
            let expected = vec![
                (5_000_000_007, 12, 1000, b"abcd".to_vec()),
                (5_000_001_000, 1, 1000, b"e".to_vec()),
                (5_000_001_000, 1, 2, b"fg".to_vec()),
                (6, 12, 3, b"hij".to_vec()),
                (6, 113, 9, b"kl".to_vec()),
            ];
            assert_eq!(packets(&rich(big).bytes), (expected, Ok(())));
        }
    }

    #[test]
    fn cut_anywhere_the_packets_before_it_come() {
        let Writer { bytes, ends, .. } = rich(false);
        // Which blocks of `rich` are packets.
        let holds = [3, 5, 6, 7, 10];
        let (all, _) = packets(&bytes);
        for cut in 0..=bytes.len() {
            let (given, end) = packets(&bytes[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let expected = holds.iter().filter(|block| **block < whole).count();
            assert_eq!(given, all[..expected], "{cut}");
            assert_eq!(end.is_ok(), cut == 0 || ends.contains(&cut), "{cut}");
            if let Err(reason) = end {
                let at = whole.checked_sub(1).map_or(0, |last| ends[last]);
                assert!(reason.starts_with(&format!("at byte {at}: ")), "{reason}");
            }
        }
    }

    #[test]
    fn whatever_byte_is_wrong_it_ends() {
        let bytes = rich(false).bytes;
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut wrong = bytes.clone();
                wrong[at] = value;
                let (given, _) = packets(&wrong);
                assert!(given.len() <= 5);
            }
        }
    }

    #[test]
    fn times_of_every_resolution() {
        let time = |resolution: u8, offset: i64, ticks: u64| {
            let file = Writer::new(true)
                .interface(
                    1,
                    0,
                    &[
                        (IF_TSRESOL, &[resolution]),
                        (IF_TSOFFSET, &offset.to_be_bytes()),
                    ],
                )
                .enhanced(0, ticks, b"");
            packets(&file.bytes).0[0].0
        };
        assert_eq!(time(0, 0, 3), 3_000_000_000);
        assert_eq!(time(3, 0, 1_234), 1_234_000_000);
        assert_eq!(time(6, 0, 1_234), 1_234_000);
        assert_eq!(time(9, 0, 1_234), 1_234);
        assert_eq!(time(12, 0, 1_234_999), 1_234);
        assert_eq!(time(127, 0, u64::MAX), 0);
        assert_eq!(time(0x80, 0, 3), 3_000_000_000);
        assert_eq!(time(0x80 | 10, 0, 1_536), 1_500_000_000);
        assert_eq!(time(0x80 | 32, 0, 3 << 31), 1_500_000_000);
        assert_eq!(time(0xFF, 0, u64::MAX), 0);
        assert_eq!(time(6, -1, 1_500_000), 500_000_000);
        assert_eq!(time(6, 1_700_000_000, 1), 1_700_000_000_000_001_000);
        assert_eq!(time(0, 0, u64::MAX), i64::MAX);
        assert_eq!(time(0, i64::MAX, u64::MAX), i64::MAX);
        assert_eq!(time(0, i64::MIN, 0), i64::MIN);
    }

    #[test]
    fn what_is_damage() {
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = Writer::new(false)
                .interface(1, 0, &[])
                .enhanced(0, 1, b"ok")
                .bytes;
            let good = bytes.len();
            bytes.extend(Writer::new(false).enhanced(0, 2, b"x").bytes.split_off(28));
            change(&mut bytes);
            let (given, end) = packets(&bytes);
            assert_eq!(given.len(), 1);
            let reason = end.unwrap_err();
            let at = format!("at byte {good}: ");
            reason.strip_prefix(&at).map(str::to_owned).unwrap()
        };
        // The last block begins at byte 84 and has 36.
        assert_eq!(
            with(&|file| file[92] = 1),
            "a packet of interface 1, where 1 are described"
        );
        assert_eq!(
            with(&|file| file[88] = 37),
            "a block of type 0x6 of 37 bytes"
        );
        assert_eq!(with(&|file| file[88] = 8), "a block of type 0x6 of 8 bytes");
        assert_eq!(
            with(&|file| file[91] = 5),
            "a block of type 0x6 of 83886116 bytes"
        );
        assert_eq!(
            with(&|file| file[116] = 40),
            "a block of 36 bytes that ends as one of 40"
        );
        assert_eq!(
            with(&|file| file[104] = 5),
            "a packet of 5 bytes in a block that has room for 4"
        );
        assert_eq!(
            with(&|file| file.truncate(100)),
            "the block takes 36 bytes, there are 16"
        );
    }

    #[test]
    fn packets_are_given_until_no_more_are_wanted() {
        let file = rich(true).bytes.repeat(100);
        let mut numbering = Numbering {
            input: 0,
            packets: 0,
        };
        let mut given = 0;
        let end = read(&mut Blocks::new(&*file), &mut numbering, |_| {
            given += 1;
            if given == 2 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert!(end.unwrap().is_break());
        assert_eq!(given, 2);
        assert!(numbering.packets < 100);
    }
}
