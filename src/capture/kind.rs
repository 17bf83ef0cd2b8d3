//! What a file is by its first bytes.

use super::compressed::Compression;
use crate::dnstap;

/// How many bytes tell every kind.
pub(super) const LEN: u64 = 16;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pcap,
    Pcapng,
    Dnstap,
    Compressed(Compression),
    /// A capture file of another kind, by its name.
    Other(&'static str),
    Unknown,
}

impl Kind {
    /// Whether it is read here.
    pub(super) const fn is_read(self) -> bool {
        matches!(self, Self::Pcap | Self::Pcapng | Self::Dnstap)
    }

    /// By the first [`LEN`] bytes, or all there are.
    pub(super) fn of(start: &[u8]) -> Self {
        if let Some(compression) = Compression::of(start) {
            return Self::Compressed(compression);
        }
        match start.first_chunk().copied().map(u32::from_be_bytes) {
            // Micro- and nanoseconds, Kuznetzov's modified pcap; in both byte orders.
            Some(
                0xA1B2_C3D4 | 0xD4C3_B2A1 | 0xA1B2_3C4D | 0x4D3C_B2A1 | 0xA1B2_CD34 | 0x34CD_B2A1,
            ) => Self::Pcap,
            Some(0x0A0D_0D0A) => Self::Pcapng,
            _ if dnstap::begins(start) => Self::Dnstap,
            _ => OTHERS
                .iter()
                .find(|(magic, _)| start.starts_with(magic))
                .map_or(Self::Unknown, |&(_, name)| Self::Other(name)),
        }
    }
}

/// Capture files of other kinds: what they begin with, up to [`LEN`] bytes of it, and their names.
const OTHERS: [(&[u8], &str); 24] = [
    (b"snoop\0\0\0", "snoop"),
    (b"RTSS", "Microsoft Network Monitor 1"),
    (b"GMBU", "Microsoft Network Monitor 2"),
    (b"TRSNIFF data    ", "DOS Sniffer"),
    (b"XCP\0", "Windows Sniffer (NetXRay)"),
    (b"VL\0\0", "NetXRay 1"),
    (b"\x01\x10\x4C\0\x01\x05Trace Disp", "Novell LANalyzer"),
    (b"\x07\x10\x4C\0\x01\x05Trace Disp", "Novell LANalyzer"),
    (b"iptrace 1.0", "AIX iptrace"),
    (b"iptrace 2.0", "AIX iptrace"),
    (b"+---------+-----", "K12 text"),
    (b"\0\0\x02\0\x12\x05\0\x10", "Tektronix K12 (rf5)"),
    (b"ObserverPktBuffe", "Network Instruments Observer"),
    (b"\x05VNF", "Visual Networks"),
    (b"\xAA\xAA\xAA\xAA", "Accellent 5Views"),
    (b"TR\0d\0", "HP-UX nettl"),
    (b"\0\0\0\x01\0\0\0\0\0\x07\xD0\0", "HP-UX 9 nettl"),
    (b"\x7Fver", "WildPackets EtherPeek"),
    (b"\x42\xD2\0\x34\x12\x66\x22\x88", "RADCOM"),
    (b"EyeSDN", "EyeSDN"),
    (b"Session Transcri", "Catapult DCT2000"),
    (b"btsnoop\0", "btsnoop"),
    (b"\x1C\0\x01\xAC", "IXIA lcap"),
    (b"\x1C\0\x01\xAB", "IXIA lcap"),
];
