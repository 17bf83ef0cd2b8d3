//! Capture files, one after another, and standard input.

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pcap::{BpfProgram, Capture, Linktype};

use super::ahead::Ahead;
use super::blocks::Blocks;
use super::record::{Damage, Record};
use super::{CaptureError, Input, Source, TakePackets, pcap_file, pcapng_file, reason, shown};
use crate::packet::{LinkType, Packet};
use crate::time::Timestamp;

/// The files that paths name: `-` is standard input, a folder stands for the capture files in it, in the order of their
/// names.
///
/// # Errors
/// A path that does not exist, a folder that cannot be read or that holds no capture.
pub fn expand(paths: &[PathBuf]) -> Result<Vec<Input>, CaptureError> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            inputs.push(Input::Stdin);
            continue;
        }
        let open = |reason| CaptureError::Open {
            path: shown(path),
            reason,
        };
        if !std::fs::metadata(path).map_err(open)?.is_dir() {
            inputs.push(Input::File(path.clone()));
            continue;
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(open)? {
            let file = entry.map_err(open)?.path();
            if std::fs::metadata(&file).is_ok_and(|metadata| metadata.is_file())
                && is_capture(&file)
            {
                files.push(file);
            }
        }
        if files.is_empty() {
            return Err(CaptureError::EmptyFolder { path: shown(path) });
        }
        files.sort();
        inputs.extend(files.into_iter().map(Input::File));
    }
    Ok(inputs)
}

/// Whether a file begins as a capture does. What cannot be read counts as one, so that the error is said.
fn is_capture(path: &Path) -> bool {
    File::open(path).map_or(true, |mut file| {
        let mut magic = [0; 4];
        file.read_exact(&mut magic).is_ok() && kind_of(magic) == Kind::Capture
    })
}

/// What a file is by its first four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Capture,
    Compressed(&'static str),
    Other(&'static str),
    Unknown,
}

fn kind_of(magic: [u8; 4]) -> Kind {
    match (magic, u32::from_be_bytes(magic)) {
        // pcap with micro- and nanoseconds, Kuznetzov's modified pcap, in both byte orders; pcapng.
        (
            _,
            0xA1B2_C3D4 | 0xD4C3_B2A1 | 0xA1B2_3C4D | 0x4D3C_B2A1 | 0xA1B2_CD34 | 0x34CD_B2A1
            | 0x0A0D_0D0A,
        ) => Kind::Capture,
        ([0x1F, 0x8B, ..], _) => Kind::Compressed("zcat"),
        (_, 0x28B5_2FFD) => Kind::Compressed("zstdcat"),
        ([0xFD, b'7', b'z', b'X'], _) => Kind::Compressed("xzcat"),
        (_, 0x0422_4D18) => Kind::Compressed("lz4cat"),
        ([b'B', b'Z', b'h', _], _) => Kind::Compressed("bzcat"),
        ([b's', b'n', b'o', b'o'], _) => {
            Kind::Other("a snoop file; convert it with: editcap -F pcapng")
        }
        ([b'R', b'T', b'S', b'S'] | [b'X', b'C', b'P', 0], _) => {
            Kind::Other("a Network Monitor file; convert it with: editcap -F pcapng")
        }
        _ => Kind::Unknown,
    }
}

/// Capture files that are read one after another.
#[derive(Debug)]
pub struct Files {
    inputs: Vec<Input>,
    filter: Option<String>,
}

impl Files {
    /// The files, and an expression in libpcap's filter language for all of them.
    #[must_use]
    pub const fn new(inputs: Vec<Input>, filter: Option<String>) -> Self {
        Self { inputs, filter }
    }

    /// Reads one input to its end.
    fn read(
        &self,
        place: usize,
        input: &Input,
        sink: &mut dyn TakePackets,
        stop: &dyn Fn() -> bool,
    ) -> Result<ControlFlow<()>, CaptureError> {
        let (mut blocks, is_pcapng) = open(input)?;
        let mut filter = self.filter.as_deref().map(Filter::new);
        let place = u16::try_from(place).unwrap_or(u16::MAX);
        let mut number = 0_u64;
        let mut wrong_filter = None;
        let give = |record: &Record<'_>| {
            number += 1;
            let taken = match filter
                .as_mut()
                .map_or(Ok(true), |filter| filter.holds(record))
            {
                Ok(true) => sink.take(&Packet {
                    time: record.time,
                    input: place,
                    number,
                    link: record.link,
                    wire_len: record.wire_len,
                    bytes: record.bytes,
                }),
                Ok(false) => ControlFlow::Continue(()),
                Err(error) => {
                    wrong_filter = Some(error);
                    ControlFlow::Break(())
                }
            };
            // The flag is looked at now and then; a signal need not be answered within a microsecond.
            if taken.is_continue() && number & 0xFF == 0 && stop() {
                return ControlFlow::Break(());
            }
            taken
        };
        let read = if is_pcapng {
            pcapng_file::read(&mut blocks, give)
        } else {
            pcap_file::read(&mut blocks, give)
        };
        if let Some(error) = wrong_filter {
            return Err(error);
        }
        read.map_err(|Damage(reason)| {
            sink.stats().inputs_cut += 1;
            CaptureError::Cut {
                path: name_of(input),
                packets: number,
                reason,
            }
        })
    }
}

/// Whether a filter is understood for any of the usual link types; which ones a run will meet is not known before.
///
/// # Errors
/// What libpcap says of it for Ethernet.
pub fn check_filter(expression: &str) -> Result<(), CaptureError> {
    let filter = Filter::new(expression);
    let compiled = filter.compile(LinkType(Linktype::ETHERNET.0));
    let others = [Linktype::IEEE802_11, Linktype::RAW, Linktype::LINUX_SLL2];
    if compiled.is_ok()
        || others
            .iter()
            .any(|link| filter.compile(LinkType(link.0)).is_ok())
    {
        return Ok(());
    }
    compiled.map(drop)
}

/// A filter, compiled for each link type when its first packet comes.
struct Filter<'a> {
    expression: &'a str,
    programs: Vec<(LinkType, BpfProgram)>,
}

impl<'a> Filter<'a> {
    const fn new(expression: &'a str) -> Self {
        Self {
            expression,
            programs: Vec::new(),
        }
    }

    /// Whether the packet passes. Its length is for libpcap's binding what the capture kept of it, also to `greater`.
    fn holds(&mut self, record: &Record<'_>) -> Result<bool, CaptureError> {
        let link = record.link;
        if self.programs.first().is_none_or(|first| first.0 != link) {
            match self.programs.iter().position(|known| known.0 == link) {
                // The link type of the packet before is likely that of the next.
                Some(place) => self.programs.swap(0, place),
                None => self.programs.insert(0, (link, self.compile(link)?)),
            }
        }
        let program = self.programs.first();
        Ok(program.is_some_and(|(_, program)| program.filter(record.bytes)))
    }

    fn compile(&self, link: LinkType) -> Result<BpfProgram, CaptureError> {
        Capture::dead(Linktype(link.0))
            .and_then(|dead| dead.compile(self.expression, true))
            .map_err(|error| CaptureError::Filter {
                expression: self.expression.to_owned(),
                reason: reason(&error),
            })
    }
}

impl Source for Files {
    fn names(&self) -> Vec<Arc<str>> {
        self.inputs
            .iter()
            .map(|input| Arc::from(name_of(input)))
            .collect()
    }

    fn run(&mut self, sink: &mut dyn TakePackets, stop: &dyn Fn() -> bool) -> Vec<CaptureError> {
        let mut errors = Vec::new();
        for (place, input) in self.inputs.iter().enumerate() {
            match self.read(place, input, sink, stop) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    fn is_live(&self) -> bool {
        false
    }
}

/// The name that events give as their `source`.
fn name_of(input: &Input) -> String {
    match input {
        Input::Stdin => "-".to_owned(),
        Input::File(path) => shown(path),
    }
}

/// Opens one input and looks at its first bytes; whether they are those of pcapng.
fn open(input: &Input) -> Result<(Blocks<Box<dyn Read>>, bool), CaptureError> {
    let path = match input {
        Input::Stdin => "standard input".to_owned(),
        Input::File(path) => shown(path),
    };
    let from: Result<Box<dyn Read>, std::io::Error> = match input {
        Input::Stdin => Ahead::new(std::io::stdin()).map(|ahead| Box::new(ahead) as _),
        Input::File(path) => File::open(path).map(|file| Box::new(file) as _),
    };
    let from = match from {
        Ok(from) => from,
        Err(reason) => return Err(CaptureError::Open { path, reason }),
    };
    let mut blocks = Blocks::new(from);
    let reason = match blocks.fill(4).map(<[u8]>::first_chunk) {
        Err(reason) => return Err(CaptureError::Open { path, reason }),
        Ok(None) => "it has less than four bytes".to_owned(),
        Ok(Some(&magic)) => match (kind_of(magic), input) {
            (Kind::Capture, _) => return Ok((blocks, magic == [0x0A, 0x0D, 0x0D, 0x0A])),
            (Kind::Compressed(command), Input::File(_)) => {
                format!("it is compressed; read it with: {command} {path} | dnsterrier replay -")
            }
            (Kind::Compressed(command), Input::Stdin) => {
                format!("it is compressed; send it through {command} first")
            }
            (Kind::Other(what), _) => format!("it is {what}"),
            (Kind::Unknown, _) => {
                let [first, second, third, fourth] = magic;
                format!(
                    "expected pcap or pcapng (it begins with {first:02x} {second:02x} {third:02x} {fourth:02x})"
                )
            }
        },
    };
    Err(CaptureError::NotACapture { path, reason })
}

/// The time of a packet of libpcap's, captured with nanoseconds, which then stand where microseconds would.
pub(super) fn time_of(header: &pcap::PacketHeader) -> Timestamp {
    Timestamp::from_parts(header.ts.tv_sec, header.ts.tv_usec)
}
