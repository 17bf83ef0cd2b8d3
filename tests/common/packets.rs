//! The packets of a capture, as our reader gives them.

use std::ops::ControlFlow;
use std::path::Path;

use dnsterrier::capture::{CaptureError, Files, Source, TakePackets, expand};
use dnsterrier::packet::{LinkType, Packet};
use dnsterrier::stats::Capture;
use dnsterrier::time::Timestamp;

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Its number in the capture, from 1.
    pub(crate) number: u64,
    /// Its capture time.
    pub(crate) time: Timestamp,
    /// Its link type.
    pub(crate) link: i32,
    /// How long it was on the wire, in bytes.
    pub(crate) wire_len: u32,
    /// What the capture has of it.
    pub(crate) bytes: Vec<u8>,
}

#[derive(Default)]
struct Keep {
    packets: Vec<Kept>,
    stats: Capture,
}

impl TakePackets for Keep {
    fn take(&mut self, packet: &Packet<'_>) -> ControlFlow<()> {
        let LinkType(link) = packet.link;
        self.stats.received += 1;
        self.packets.push(Kept {
            number: packet.number,
            time: packet.time,
            link,
            wire_len: packet.wire_len,
            bytes: packet.bytes.to_vec(),
        });
        ControlFlow::Continue(())
    }

    fn send_on(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn idle(&mut self, _: Timestamp) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn stats(&mut self) -> &mut Capture {
        &mut self.stats
    }
}

/// The packets of a capture that pass a filter, of any link type, and why there are no more where that is an error.
pub(crate) fn ours(path: &Path, filter: Option<&str>) -> (Vec<Kept>, Option<CaptureError>) {
    let mut keep = Keep::default();
    let inputs = expand(&[path.to_owned()]).unwrap();
    let errors = Files::new(inputs, filter.map(str::to_owned), |_| None).run(&mut keep, &|| false);
    (keep.packets, errors.into_iter().next())
}
