//! Where packets come from: capture files, standard input, live interfaces, and resolvers that send dnstap. The sole user of
//! libpcap, which reads the interfaces and compiles the filters; files are read here.

mod ahead;
mod blocks;
mod compressed;
mod dnstap_file;
mod fanout;
mod file;
mod filter;
mod kind;
mod links;
mod live;
mod pcap_file;
mod pcapng_file;
mod record;
mod tap;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::packet::{LinkType, Packet};
use crate::stats::Capture;
use crate::time::Timestamp;

pub use file::{Files, expand};
pub use filter::check_filter;
pub use live::{InterfaceInfo, Live, LiveOptions, interfaces};
pub use tap::TapPlace;

/// Takes packets as they are read.
pub trait TakePackets {
    /// Takes one packet; `Break` when no more are wanted.
    fn take(&mut self, packet: &Packet<'_>) -> ControlFlow<()>;

    /// Takes packets one after another; `Break` when no more are wanted. One call for many costs less.
    fn take_all(&mut self, packets: &[Packet<'_>]) -> ControlFlow<()> {
        packets.iter().try_for_each(|packet| self.take(packet))
    }

    /// Packets of a live capture go on coming; sends on what waits all the same.
    fn send_on(&mut self) -> ControlFlow<()>;

    /// A live capture has nothing to read, and all packets up to `now` were given; sends on what waits.
    fn idle(&mut self, now: Timestamp) -> ControlFlow<()>;

    /// The counters that the capture keeps.
    fn stats(&mut self) -> &mut Capture;
}

/// A source of packets.
pub trait Source: Send {
    /// The names of its inputs, in the order of the packets' `input`.
    fn names(&self) -> Vec<Arc<str>>;

    /// Gives all packets to `sink`, until the end, until `sink` breaks off, or until `stop` says so. Inputs that can
    /// not be read to their end are said in the list that comes back; the others are read all the same.
    fn run(&mut self, sink: &mut dyn TakePackets, stop: &dyn Fn() -> bool) -> Vec<CaptureError>;

    /// Whether it is live.
    fn is_live(&self) -> bool;
}

/// Says what a link type is called whose packets nobody can take apart; `None` of the others. Whoever takes packets apart
/// knows.
pub type Refuse = fn(LinkType) -> Option<String>;

/// What can be wrong with an input.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It cannot be opened.
    #[error("{path}: {reason}")]
    Open {
        /// The file.
        path: String,
        /// What the system said.
        reason: std::io::Error,
    },
    /// It is not a capture.
    #[error("{path}: not a capture file: {reason}")]
    NotACapture {
        /// The file.
        path: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// All its packets are of a link type that is not taken apart.
    #[error(
        "{path}: its link type {link} is not read; capture where packets are Ethernet, Linux cooked, raw IP, PPP, 802.11 or another that the README lists"
    )]
    LinkType {
        /// The file.
        path: String,
        /// The link type.
        link: String,
    },
    /// Some of its packets are of link types that are not taken apart.
    #[error(
        "{path}: packets whose link types are not read: {links}; packets of others were read, and count"
    )]
    LinkTypes {
        /// The file.
        path: String,
        /// How many of which link type.
        links: String,
    },
    /// A folder without captures.
    #[error("{path}: no capture file in this folder; expected pcap, pcapng or dnstap files")]
    EmptyFolder {
        /// The folder.
        path: String,
    },
    /// It ends in the middle of a record, or is damaged there.
    #[error(
        "{path}: cut off or damaged after packet {packets}: {reason}; what was read before it counts"
    )]
    Cut {
        /// The file.
        path: String,
        /// How many packets were read.
        packets: u64,
        /// What was found, and at which byte.
        reason: String,
    },
    /// There is no such interface.
    #[error("there is no interface '{name}'; there are: {present}")]
    NoInterface {
        /// The name asked for.
        name: String,
        /// Those that exist.
        present: String,
    },
    /// The interface may not be opened.
    #[error(
        "no permission to capture on '{name}': it takes the capability CAP_NET_RAW. Run it with sudo, or allow it once and for all with: sudo setcap cap_net_raw,cap_net_admin=eip {program}"
    )]
    Permission {
        /// The interface.
        name: String,
        /// This program's path.
        program: String,
    },
    /// The interface cannot be opened, or failed.
    #[error("interface '{name}': {reason}")]
    Interface {
        /// The interface.
        name: String,
        /// What libpcap said.
        reason: String,
    },
    /// Its packets are of a link type that is not taken apart.
    #[error(
        "interface '{name}': its link type {link} is not read; choose one of Ethernet, Linux cooked ('any'), raw IP, PPP or 802.11"
    )]
    InterfaceLinkType {
        /// The interface.
        name: String,
        /// The link type.
        link: String,
    },
    /// A filter, and a file without packets.
    #[error(
        "{path}: it is dnstap, which has no packets for a filter; leave the filter out, or name the captures alone"
    )]
    NoFilter {
        /// The file.
        path: String,
    },
    /// Nobody can connect there to send dnstap.
    #[error("dnstap {place}: {reason}")]
    Tap {
        /// The socket.
        place: String,
        /// What the system said, or what is in the way.
        reason: String,
    },
    /// The filter expression is wrong.
    #[error(
        "the filter '{expression}' is not understood: {reason} (man pcap-filter has the language)"
    )]
    Filter {
        /// The expression.
        expression: String,
        /// What libpcap said.
        reason: String,
    },
}

/// A path for people to read.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// An input that is read from a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
    /// The bytes of a file that are in memory already.
    Memory {
        /// What they are called.
        name: Arc<str>,
        /// The bytes.
        bytes: Arc<[u8]>,
    },
}

/// libpcap's words, without this library's.
fn reason(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) => text.clone(),
        other => other.to_string(),
    }
}
