//! Capture files, one after another, and standard input.

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pcap::{Capture, Offline, Precision};

use super::{CaptureError, Input, Source, TakePackets, reason, shown};
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
        let name = name_of(input);
        let mut capture = open(input)?;
        if let Some(expression) = &self.filter {
            capture
                .filter(expression, true)
                .map_err(|error| CaptureError::Filter {
                    expression: expression.clone(),
                    reason: reason(&error),
                })?;
        }
        let link = LinkType(capture.get_datalink().0);
        let place = u16::try_from(place).unwrap_or(u16::MAX);
        let mut number = 0_u64;
        loop {
            match capture.next_packet() {
                Ok(packet) => {
                    number += 1;
                    let taken = sink.take(&Packet {
                        time: time_of(packet.header),
                        input: place,
                        number,
                        link,
                        wire_len: packet.header.len,
                        bytes: packet.data,
                    });
                    // The flag is looked at now and then; a signal need not be answered within a microsecond.
                    if taken.is_break() || (number & 0xFF == 0 && stop()) {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Err(pcap::Error::NoMorePackets) => return Ok(ControlFlow::Continue(())),
                Err(error) => {
                    sink.stats().inputs_cut += 1;
                    return Err(CaptureError::Cut {
                        path: name,
                        packets: number,
                        reason: reason(&error),
                    });
                }
            }
        }
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

/// Opens one input. The file is opened here and handed to libpcap by its descriptor, because libpcap's binding takes only
/// names that are UTF-8.
fn open(input: &Input) -> Result<Capture<Offline>, CaptureError> {
    let Input::File(path) = input else {
        return Capture::from_file_with_precision("-", Precision::Nano).map_err(|error| {
            CaptureError::NotACapture {
                path: "standard input".to_owned(),
                reason: not_understood(&reason(&error)),
            }
        });
    };
    let failed = |reason| CaptureError::Open {
        path: shown(path),
        reason,
    };
    let mut file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_file() {
        let mut magic = [0; 4];
        let not = |reason: String| CaptureError::NotACapture {
            path: shown(path),
            reason,
        };
        match file.read_exact(&mut magic).map(|()| kind_of(magic)) {
            Ok(Kind::Capture | Kind::Unknown) => {}
            Ok(Kind::Compressed(command)) => {
                return Err(not(format!(
                    "it is compressed; read it with: {command} {} | dnsterrier replay -",
                    shown(path)
                )));
            }
            Ok(Kind::Other(what)) => return Err(not(format!("it is {what}"))),
            Err(_) => return Err(not("it has less than four bytes".to_owned())),
        }
    }
    Capture::from_file_with_precision(format!("/dev/fd/{}", file.as_raw_fd()), Precision::Nano)
        .map_err(|error| CaptureError::NotACapture {
            path: shown(path),
            reason: not_understood(&reason(&error)),
        })
}

/// libpcap's reason, and what was expected.
fn not_understood(reason: &str) -> String {
    format!(
        "expected pcap or pcapng ({})",
        reason.trim_start_matches("/dev/fd/")
    )
}

/// The time of a packet in a capture opened for nanoseconds, which then stand where microseconds would.
pub(super) fn time_of(header: &pcap::PacketHeader) -> Timestamp {
    Timestamp::from_parts(header.ts.tv_sec, header.ts.tv_usec)
}
