//! Capture files, one after another, and standard input.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Chain, Cursor, ErrorKind, Read};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::ahead::Ahead;
use super::blocks::{Blocks, Held, Supply};
use super::compressed::Compression;
use super::dnstap_file::{self, NoBeginning};
use super::filter::Filter;
use super::kind::{self, Kind};
use super::links::Links;
use super::record::{Damage, Numbering};
use super::{CaptureError, Input, Refuse, Source, TakePackets, pcap_file, pcapng_file, shown};
use crate::dnstap::Stream;
use crate::packet::Packet;
use crate::stats::Capture;
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

/// Whether a file begins as a capture does, compressed or not. What cannot be read counts as one, so that the error is said.
fn is_capture(path: &Path) -> bool {
    let kind = || {
        let (start, from) = peek(File::open(path)?)?;
        match Kind::of(&start) {
            Kind::Compressed(compression) => {
                peek(compression.decompress(from)?).map(|(start, _)| Kind::of(&start))
            }
            kind => Ok(kind),
        }
    };
    kind().map_or(true, Kind::is_read)
}

/// Capture files that are read one after another.
#[derive(Debug)]
pub struct Files {
    inputs: Vec<Input>,
    filter: Option<String>,
    refuse: Refuse,
}

impl Files {
    /// The files, an expression in libpcap's filter language for all of them, and which link types are of no use.
    #[must_use]
    pub const fn new(inputs: Vec<Input>, filter: Option<String>, refuse: Refuse) -> Self {
        Self {
            inputs,
            filter,
            refuse,
        }
    }

    /// Reads one input to its end.
    fn read(
        &self,
        place: usize,
        input: &Input,
        links: &mut Links,
        sink: &mut dyn TakePackets,
        stop: &dyn Fn() -> bool,
    ) -> Result<ControlFlow<()>, CaptureError> {
        let Opened {
            mut blocks,
            kind,
            compression,
            ahead,
        } = open(input)?;
        let damaged = |packets, Damage { at, what }| {
            let of = compression.map_or("", |_| " of what it decompresses to");
            CaptureError::Cut {
                path: shown_input(input),
                packets,
                reason: format!("at byte {at}{of}: {what}"),
            }
        };
        let path = || shown_input(input);
        let beginning = match kind {
            Kind::Dnstap if self.filter.is_some() => {
                return Err(CaptureError::NoFilter { path: path() });
            }
            Kind::Dnstap => {
                let stream = dnstap_file::begin(&mut blocks).map_err(|why| match why {
                    NoBeginning::Damaged(damage) => damaged(0, damage),
                    NoBeginning::NotDnstap(wrong) => CaptureError::NotACapture {
                        path: path(),
                        reason: format!("it is Frame Streams, but {wrong}"),
                    },
                })?;
                Beginning::Dnstap(stream)
            }
            Kind::Pcap => {
                let header = pcap_file::Header::read(&mut blocks).map_err(|why| damaged(0, why))?;
                if let Some(link) = (self.refuse)(header.link) {
                    return Err(CaptureError::LinkType { path: path(), link });
                }
                Beginning::Pcap(header)
            }
            _ => Beginning::Pcapng,
        };
        let mut filter = self.filter.as_deref().map(Filter::new);
        // Where all have one link type, it is not refused.
        let have_one = !matches!(beginning, Beginning::Pcapng);
        let place = u16::try_from(place).unwrap_or(u16::MAX);
        let mut numbering = Numbering {
            input: place,
            packets: 0,
        };
        let mut wrong_filter = None;
        let give = |packets: &[Packet<'_>]| {
            match &mut filter {
                None => {
                    if !have_one {
                        for packet in packets {
                            links.refuse(packet.link);
                        }
                    }
                    sink.take_all(packets)?;
                }
                Some(filter) => {
                    for packet in packets {
                        // What is refused is counted as such, whatever a filter says of it.
                        let passes = links.refuse(packet.link)
                            || match filter.holds(packet) {
                                Ok(passes) => passes,
                                Err(error) => {
                                    wrong_filter = Some(error);
                                    return ControlFlow::Break(());
                                }
                            };
                        if passes {
                            sink.take(packet)?;
                        }
                    }
                }
            }
            if let Some(ahead) = &ahead {
                ahead.set(has_little_dns(sink.stats()));
            }
            // A signal need not be answered within a microsecond.
            if stop() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        let mut untimely = 0;
        let read = match beginning {
            Beginning::Pcapng => pcapng_file::read(&mut blocks, &mut numbering, give),
            Beginning::Pcap(header) => pcap_file::read(&mut blocks, header, &mut numbering, give),
            Beginning::Dnstap(stream) => {
                dnstap_file::read(&mut blocks, stream, &mut untimely, &mut numbering, give)
            }
        };
        sink.stats().dnstap_untimely += untimely;
        match wrong_filter {
            Some(error) => Err(error),
            None => read.map_err(|why| damaged(numbering.packets, why)),
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
            let mut links = Links::new(self.refuse);
            let read = self.read(place, input, &mut links, sink, stop);
            errors.extend(links.words().map(|links| CaptureError::LinkTypes {
                path: shown_input(input),
                links,
            }));
            match read {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                Err(error) => {
                    let is_cut = matches!(error, CaptureError::Cut { .. });
                    sink.stats().inputs_cut += u64::from(is_cut);
                    errors.push(error);
                }
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
        Input::Memory { name, .. } => name.to_string(),
    }
}

/// An input, as errors call it.
fn shown_input(input: &Input) -> String {
    match input {
        Input::Stdin => "standard input".to_owned(),
        Input::File(path) => shown(path),
        Input::Memory { name, .. } => name.to_string(),
    }
}

/// An input whose first bytes were looked at.
type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

/// The first bytes of an input that tell its kind, and the whole input.
fn peek<R: Read>(mut from: R) -> io::Result<(Vec<u8>, Whole<R>)> {
    let mut start = Vec::new();
    from.by_ref().take(kind::LEN).read_to_end(&mut start)?;
    Ok((start.clone(), Cursor::new(start).chain(from)))
}

/// What stands before the packets.
enum Beginning {
    Pcap(pcap_file::Header),
    /// Nothing: all is in its blocks.
    Pcapng,
    Dnstap(Stream),
}

/// A file of fewer bytes is not worth a thread.
const LONG: u64 = 4 << 20;

/// Where the bytes of an input come from.
enum Upstream {
    /// From a thread that reads ahead.
    Ahead(Ahead),
    /// From a file that is read when bytes are needed.
    File(Option<Plain>),
}

/// A file that was not compressed.
struct Plain {
    from: Box<dyn Read + Send>,
    /// Whether it is to be read ahead from the next bytes on.
    is_to_be_ahead: Rc<Cell<bool>>,
}

impl Supply for Upstream {
    fn supply(&mut self, held: &mut Held, need: usize) -> io::Result<()> {
        if let Self::File(file) = self
            && let Some(Plain { from, .. }) = file.take_if(|file| file.is_to_be_ahead.get())
        {
            *self = Self::Ahead(Ahead::new(from, held.read_so_far())?);
        }
        match self {
            Self::Ahead(ahead) => ahead.supply(held, need),
            Self::File(Some(file)) => file.from.supply(held, need),
            Self::File(None) => Ok(()),
        }
    }
}

/// Whether a file is better read ahead, whatever is in it: what the system copies of it takes no time of whoever looks at the
/// packets then. The threads after it may need a core each, and of two there is none left for it.
fn is_always_read_ahead() -> bool {
    std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 2)
}

/// Whether so little was DNS of what was seen so far that a file is better read ahead on any machine.
const fn has_little_dns(seen: &Capture) -> bool {
    seen.handed_on < seen.received / 4
}

/// An input that was found to be a capture.
struct Opened {
    blocks: Blocks<Upstream>,
    kind: Kind,
    compression: Option<Compression>,
    /// Of a long file that is not read ahead yet: to be set where it is to be.
    ahead: Option<Rc<Cell<bool>>>,
}

/// Opens one input and looks at its first bytes.
fn open(input: &Input) -> Result<Opened, CaptureError> {
    let failed = |reason| CaptureError::Open {
        path: shown_input(input),
        reason,
    };
    let mut is_long = false;
    let file: io::Result<Box<dyn Read + Send>> = match input {
        // A descriptor of our own, without a buffer and a lock.
        Input::Stdin => io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map(|file| Box::new(File::from(file)) as _),
        Input::File(path) => File::open(path).map(|file| {
            is_long = file.metadata().is_ok_and(|file| file.len() >= LONG);
            Box::new(file) as _
        }),
        Input::Memory { bytes, .. } => Ok(Box::new(Cursor::new(Arc::clone(bytes)))),
    };
    let (start, from) = file.and_then(peek).map_err(failed)?;
    let kind = Kind::of(&start);
    let mut ahead = None;
    let (kind, start, from, compression) = if let Kind::Compressed(compression) = kind {
        let from = compression.decompress(from).map_err(failed)?;
        let (start, from) = peek(from).map_err(|error| match error.kind() {
            ErrorKind::OutOfMemory => failed(error),
            _ => CaptureError::Cut {
                path: shown_input(input),
                packets: 0,
                reason: error.to_string(),
            },
        })?;
        let from = Ahead::new(from, 0).map_err(failed)?;
        let kind = Kind::of(&start);
        (kind, start, Upstream::Ahead(from), Some(compression))
    } else if matches!(input, Input::Stdin) || is_long && is_always_read_ahead() {
        let from = Ahead::new(from, 0).map_err(failed)?;
        (kind, start, Upstream::Ahead(from), None)
    } else {
        let is_to_be_ahead = Rc::default();
        ahead = is_long.then(|| Rc::clone(&is_to_be_ahead));
        let file = Plain {
            from: Box::new(from),
            is_to_be_ahead,
        };
        (kind, start, Upstream::File(Some(file)), None)
    };
    if kind.is_read() {
        return Ok(Opened {
            blocks: Blocks::new(from),
            kind,
            compression,
            ahead,
        });
    }
    let reason = match (kind, compression) {
        (Kind::Compressed(again), Some(outer)) => format!(
            "what its {} data holds is compressed once more, with {}; {}",
            outer.name(),
            again.name(),
            match input {
                Input::File(path) => format!(
                    "read it with: {} {} | dnsterrier replay -",
                    outer.command(),
                    shown(path)
                ),
                Input::Stdin | Input::Memory { .. } => {
                    format!("send it through {} first", outer.command())
                }
            }
        ),
        (_, Some(outer)) => format!(
            "what its {} data holds is none: {}",
            outer.name(),
            not_a_capture(input, kind, &start)
        ),
        (_, None) => not_a_capture(input, kind, &start),
    };
    Err(CaptureError::NotACapture {
        path: shown_input(input),
        reason,
    })
}

/// Why an input with these first bytes is no capture that can be read, and what to do.
fn not_a_capture(input: &Input, kind: Kind, start: &[u8]) -> String {
    let convert = match input {
        Input::Stdin | Input::Memory { .. } => "send it through: editcap -F pcapng - -".to_owned(),
        Input::File(path) => {
            let path = shown(path);
            format!("convert it with: editcap -F pcapng {path} {path}.pcapng")
        }
    };
    match (kind, start.first_chunk()) {
        (Kind::Other(name), _) => format!("it is a {name} file; {convert}"),
        (_, None) => "it has less than four bytes".to_owned(),
        (_, Some([first, second, third, fourth])) => format!(
            "expected pcap, pcapng or dnstap (it begins with {first:02x} {second:02x} {third:02x} {fourth:02x}); \
             if Wireshark opens it, {convert}"
        ),
    }
}

/// The time of a packet of libpcap's, captured with nanoseconds, which then stand where microseconds would.
pub(super) fn time_of(header: &pcap::PacketHeader) -> Timestamp {
    Timestamp::from_parts(header.ts.tv_sec, header.ts.tv_usec)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a file that is read ahead from anywhere on all bytes come, and no others.
    #[test]
    fn a_file_is_read_ahead_from_where_that_is_said() {
        let all: Vec<u8> = (0..(5 << 20) + 7)
            .map(|at: usize| (at % 251) as u8)
            .collect();
        for from in [0, 1, 1_000_000, all.len() - 1, usize::MAX] {
            let ahead = Rc::new(Cell::new(from == 0));
            let mut blocks = Blocks::new(Upstream::File(Some(Plain {
                from: Box::new(Cursor::new(all.clone())),
                is_to_be_ahead: Rc::clone(&ahead),
            })));
            let mut at = 0;
            loop {
                let bytes = blocks.fill(1_000).unwrap();
                if bytes.is_empty() {
                    break;
                }
                let taken = bytes.len().min(70_001);
                assert!(bytes[..taken] == all[at..at + taken], "{from}");
                blocks.consume(taken);
                at += taken;
                ahead.set(at >= from);
            }
            assert_eq!(at, all.len());
            // Whoever reads by itself has the flag still.
            assert_eq!(Rc::strong_count(&ahead) == 1, from <= all.len(), "{from}");
        }
    }
}
