//! Packets as records: files of pcap and pcapng, <https://datatracker.ietf.org/doc/html/draft-ietf-opsawg-pcap> and
//! <https://datatracker.ietf.org/doc/html/draft-ietf-opsawg-pcapng>. Both in nanoseconds and little-endian.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::file::Binary;
use super::packed::Packing;
use super::{Place, SinkError};
use crate::packet::{LinkType, Packet};
use crate::time::Timestamp;

/// Pcap with nanoseconds.
const PCAP_MAGIC: u32 = 0xA1B2_3C4D;
/// The length of a pcap file's header, and of a record's.
const PCAP_HEADER: usize = 24;
const PCAP_RECORD: u64 = 16;
/// As libpcap's: no packet is longer.
const SNAPLEN: u32 = 262_144;

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const BYTE_ORDER: u32 = 0x1A2B_3C4D;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const IF_NAME: u16 = 2;
const SHB_USERAPPL: u16 = 4;
const IF_TSRESOL: u16 = 9;
/// A block's type, its length and the length again.
const FRAME: u64 = 12;

/// How packets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketFormat {
    /// One link type, and no comments.
    Pcap,
    /// Any.
    Pcapng,
}

/// Whether packets that go there go to standard output.
#[must_use]
pub fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]
        .iter()
        .any(|name| path == Path::new(name))
}

/// Reads where packets go, as the command line has it: a path whose ending chooses the format, or `-`. That, devices and
/// descriptors (`/dev/...`, `/proc/...`) take pcapng. Evidence has comments, which pcap has not.
///
/// # Errors
/// A usage error that says what is expected.
pub fn packet_place(
    option: &str,
    path: &Path,
    with_comments: bool,
) -> Result<(Place, PacketFormat), SinkError> {
    let path = if path == Path::new("-") {
        Path::new("/dev/stdout")
    } else {
        path
    };
    let is_device = path.starts_with("/dev") || path.starts_with("/proc");
    let format = match Packing::ending(path).as_deref() {
        Some("pcapng" | "ntar") => PacketFormat::Pcapng,
        Some("pcap" | "cap" | "dmp") if with_comments => {
            return Err(SinkError::Usage(format!(
                "{option} {}: pcap has no room for what is said of each packet; use a name ending in .pcapng",
                path.display()
            )));
        }
        Some("pcap" | "cap" | "dmp") => PacketFormat::Pcap,
        None if is_device => PacketFormat::Pcapng,
        _ => {
            let endings = if with_comments {
                ".pcapng"
            } else {
                ".pcapng or .pcap"
            };
            return Err(SinkError::Usage(format!(
                "{option} '{}': expected - or a file name ending in {endings}, also with .gz or .zst behind it",
                path.display()
            )));
        }
    };
    let place = Place::File {
        path: path.to_owned(),
        format: super::Format::Packets,
    };
    Ok((place, format))
}

/// The packets of one file.
#[derive(Debug)]
pub(super) struct PacketForm {
    pub(super) format: PacketFormat,
    /// The names of the run's inputs.
    inputs: Vec<Arc<str>>,
    /// The interfaces that were described: link type and input. At most as many as there are inputs with link types.
    interfaces: Vec<(LinkType, u16)>,
    /// That of a pcap file that has one already.
    link: Option<u16>,
}

impl PacketForm {
    pub(super) const fn new(format: PacketFormat, inputs: Vec<Arc<str>>) -> Self {
        Self {
            format,
            inputs,
            interfaces: Vec::new(),
            link: None,
        }
    }

    /// What a file begins with: of pcapng a section, also in a file that goes on; of pcap nothing before the first packet says
    /// its link type.
    pub(super) fn begin(&mut self, is_empty: bool) -> Option<Vec<u8>> {
        self.interfaces.clear();
        if is_empty {
            self.link = None;
        }
        (self.format == PacketFormat::Pcapng).then(section)
    }

    /// What makes a file whole that no packet came to.
    pub(super) fn end(&mut self) -> Option<Vec<u8>> {
        (self.format == PacketFormat::Pcap && self.link.is_none()).then(|| {
            let ethernet = 1;
            self.link = Some(ethernet);
            pcap_header(ethernet)
        })
    }

    /// Appends a packet, and before it what the file has to know of where it comes from.
    pub(super) fn write(
        &mut self,
        packet: &Packet<'_>,
        comments: &[Arc<str>],
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let link = packet.link.file_number().ok_or_else(|| {
            io::Error::other(format!("link type {} is not of a packet", packet.link.0))
        })?;
        match self.format {
            PacketFormat::Pcap => self.write_pcap(packet, link, out),
            PacketFormat::Pcapng => {
                self.write_pcapng(packet, link, comments, out);
                Ok(())
            }
        }
    }

    fn write_pcap(&mut self, packet: &Packet<'_>, link: u16, out: &mut Vec<u8>) -> io::Result<()> {
        match self.link {
            None => {
                out.extend(pcap_header(link));
                self.link = Some(link);
            }
            Some(known) if known != link => {
                return Err(io::Error::other(format!(
                    "its packets are of link type {known}, and now one of {link} came; a pcap file has room for one link type: use a name ending in .pcapng"
                )));
            }
            Some(_) => {}
        }
        let nanos = since_1970(packet.time);
        let seconds = u32::try_from(nanos / 1_000_000_000).unwrap_or(u32::MAX);
        let fraction = (nanos % 1_000_000_000) as u32;
        for number in [seconds, fraction, captured(packet), packet.wire_len] {
            out.extend(number.to_le_bytes());
        }
        out.extend(packet.bytes);
        Ok(())
    }

    fn write_pcapng(
        &mut self,
        packet: &Packet<'_>,
        link: u16,
        comments: &[Arc<str>],
        out: &mut Vec<u8>,
    ) {
        let key = (packet.link, packet.input);
        let found = self.interfaces.iter().rposition(|known| *known == key);
        let interface = found.unwrap_or_else(|| {
            let name = self.inputs.get(usize::from(packet.input));
            out.extend(interface(link, name.map_or("", |name| &**name)));
            self.interfaces.push(key);
            self.interfaces.len().saturating_sub(1)
        });
        let nanos = since_1970(packet.time);
        block(ENHANCED_PACKET, out, |out| {
            for number in [
                u32::try_from(interface).unwrap_or(u32::MAX),
                (nanos >> 32) as u32,
                nanos as u32,
                captured(packet),
                packet.wire_len,
            ] {
                out.extend(number.to_le_bytes());
            }
            padded(packet.bytes, out);
            for comment in comments {
                option(OPT_COMMENT, comment.as_bytes(), out);
            }
            if !comments.is_empty() {
                option(OPT_END, b"", out);
            }
        });
    }
}

impl Binary for PacketForm {
    fn goes_on(&mut self, beginning: &[u8]) -> bool {
        match self.format {
            // The type reads the same in both byte orders, and what a crash left may end before the magic that tells them.
            PacketFormat::Pcapng => {
                let (kind, order) = (u32_at(beginning, 0), u32_at(beginning, 8));
                kind == Some(SECTION_HEADER) && order.is_none_or(|order| order == BYTE_ORDER)
            }
            PacketFormat::Pcap => {
                let link = u32_at(beginning, 20).and_then(|link| u16::try_from(link).ok());
                let goes_on = u32_at(beginning, 0) == Some(PCAP_MAGIC) && link.is_some();
                if goes_on {
                    self.link = link;
                }
                goes_on
            }
        }
    }

    /// All but what a crash left of the last record.
    fn whole(&self, file: &File) -> io::Result<u64> {
        let length = file.metadata()?.len();
        let mut at = match self.format {
            PacketFormat::Pcapng => 0,
            PacketFormat::Pcap => PCAP_HEADER as u64,
        };
        loop {
            let mut head = [0; 16];
            let read = file.read_at(&mut head, at)?;
            let record = match self.format {
                PacketFormat::Pcapng if read >= 8 => u32_at(&head, 4).map(u64::from),
                PacketFormat::Pcap if read == 16 => {
                    u32_at(&head, 8).map(|len| PCAP_RECORD.saturating_add(u64::from(len)))
                }
                _ => None,
            };
            match record.filter(|record| *record >= FRAME) {
                Some(record) if at.saturating_add(record) <= length => {
                    at = at.saturating_add(record);
                }
                _ => return Ok(at.min(length)),
            }
        }
    }
}

/// Neither format has times before 1970.
fn since_1970(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(0)
}

fn captured(packet: &Packet<'_>) -> u32 {
    u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let number = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*number))
}

fn pcap_header(link: u16) -> Vec<u8> {
    let mut header = PCAP_MAGIC.to_le_bytes().to_vec();
    // Version 2.4; times are UTC.
    header.extend([2, 0, 4, 0]);
    for number in [0, 0, SNAPLEN, u32::from(link)] {
        header.extend(number.to_le_bytes());
    }
    header
}

/// A Section Header Block, of a length that nobody knows yet.
fn section() -> Vec<u8> {
    let mut out = Vec::new();
    block(SECTION_HEADER, &mut out, |out| {
        out.extend(BYTE_ORDER.to_le_bytes());
        // Version 1.0.
        out.extend([1, 0, 0, 0]);
        out.extend(u64::MAX.to_le_bytes());
        let program = concat!("dnsterrier ", env!("CARGO_PKG_VERSION"));
        option(SHB_USERAPPL, program.as_bytes(), out);
        option(OPT_END, b"", out);
    });
    out
}

/// An Interface Description Block.
fn interface(link: u16, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    block(INTERFACE_DESCRIPTION, &mut out, |out| {
        out.extend(link.to_le_bytes());
        out.extend([0, 0]);
        // Nobody knows what was kept of each packet.
        out.extend(0_u32.to_le_bytes());
        option(IF_NAME, name.as_bytes(), out);
        option(IF_TSRESOL, &[9], out);
        option(OPT_END, b"", out);
    });
    out
}

/// A block with its two lengths, of a body that ends on 32 bits.
fn block(kind: u32, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    body(out);
    let length = out.len().saturating_sub(start).saturating_add(4);
    let length = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    if let Some(place) = out
        .get_mut(start.saturating_add(4)..)
        .and_then(<[u8]>::first_chunk_mut)
    {
        *place = length;
    }
    out.extend(length);
}

/// Bytes up to the next 32 bits.
fn padded(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(bytes);
    let padding = bytes.len().next_multiple_of(4).saturating_sub(bytes.len());
    out.resize(out.len().saturating_add(padding), 0);
}

/// An option; what is longer than one can be is cut.
fn option(code: u16, value: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.extend(code.to_le_bytes());
    out.extend(length.to_le_bytes());
    padded(value.get(..usize::from(length)).unwrap_or_default(), out);
}

#[cfg(test)]
mod tests;
