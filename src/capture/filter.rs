//! Filters over the packets of files, which libpcap compiles.

use pcap::{BpfProgram, Capture, Linktype};

use super::{CaptureError, reason};
use crate::packet::{LinkType, Packet};

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
pub(super) struct Filter<'a> {
    expression: &'a str,
    programs: Vec<(LinkType, BpfProgram)>,
}

impl<'a> Filter<'a> {
    pub(super) const fn new(expression: &'a str) -> Self {
        Self {
            expression,
            programs: Vec::new(),
        }
    }

    /// Whether the packet passes. Its length is for libpcap's binding what the capture kept of it, also to `greater`.
    pub(super) fn holds(&mut self, packet: &Packet<'_>) -> Result<bool, CaptureError> {
        let link = packet.link;
        if self.programs.first().is_none_or(|first| first.0 != link) {
            match self.programs.iter().position(|known| known.0 == link) {
                // The link type of the packet before is likely that of the next.
                Some(place) => self.programs.swap(0, place),
                None => self.programs.insert(0, (link, self.compile(link)?)),
            }
        }
        let program = self.programs.first();
        Ok(program.is_some_and(|(_, program)| program.filter(packet.bytes)))
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
