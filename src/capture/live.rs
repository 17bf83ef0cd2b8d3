//! Live interfaces, and resolvers that send dnstap.
//!
//! The one place that looks at the machine's clock: a live capture that falls silent is moved on by it, packets of
//! several interfaces are merged by it, and `--duration` is measured by it.
#![expect(
    clippy::disallowed_methods,
    reason = "the machine's clock moves a silent live capture on"
)]

use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::{Active, Capture, Device, Precision};

use super::fanout::Fanout;
use super::file::time_of;
use super::tap::{Tap, TapPlace};
use super::{CaptureError, Refuse, Source, TakePackets, reason};
use crate::dnstap::Tapped;
use crate::packet::{Batch, LinkType, Packet};
use crate::stats;
use crate::time::Timestamp;

/// How long the kernel collects packets before it hands them over.
const BLOCK: Duration = Duration::from_millis(100);
/// How long we wait for packets before we look at the flag that ends the run.
const WAIT: Duration = Duration::from_millis(200);
/// Packets of several interfaces wait so long for earlier ones of the others.
const MERGE: Duration = Duration::from_millis(300);
/// A silent capture's clock stays behind the machine's by this, so that no packet comes before it.
const BEHIND: Duration = Duration::from_secs(1);
/// After the end was asked for, what the kernel still holds is read for so long at most.
const DRAIN: Duration = Duration::from_millis(700);
/// After the end was asked for, a silence of so long means that the kernel holds nothing more.
const SILENCE: Duration = Duration::from_millis(400);
/// A frame of dnstap is believed to be of now where its time is no earlier than this before the machine's: servers collect
/// frames for a second or so, and send them late when they were cut off. With the half minute that its query may be earlier it
/// is less than the minute that makes another capture of it.
const LATE: Duration = Duration::from_secs(20);
/// Nor later than this after it, where the server's clock is ahead.
const EARLY: Duration = Duration::from_secs(1);
/// While so many bytes wait for earlier packets, resolvers wait too: what they send has no kernel's buffer in front of it that
/// overflows.
const HELD: usize = 64 << 20;
/// While packets come without an end, what waits for more of them is sent on so often.
const SEND_ON: Duration = Duration::from_millis(200);
/// The most packets taken from one interface before the next is looked at.
const ROUND: usize = 4096;

/// How interfaces are opened.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// The most bytes kept of a packet.
    pub snaplen: u32,
    /// The kernel's buffer for each interface in bytes.
    pub buffer: u32,
    /// Whether packets for others are seen too.
    pub promiscuous: bool,
    /// An expression in libpcap's filter language.
    pub filter: Option<String>,
    /// End after so long.
    pub duration: Option<Duration>,
    /// The link types that are of no use.
    pub refuse: Refuse,
}

/// One interface, or a share of its packets.
struct Interface {
    name: Arc<str>,
    link: LinkType,
    capture: Capture<Active>,
    share: Share,
    /// Packets read so far.
    packets: u64,
    /// How many packets are to be read before the end, once that was asked for; `None` also where nobody can say.
    to_read: Option<u64>,
    /// What libpcap's counters said last; they have 32 bits and go round.
    counted: (u32, u32),
}

impl Interface {
    /// Notes how many packets the kernel still holds.
    fn mark_end(&mut self) {
        self.to_read = self.capture.stats().ok().map(|counts| {
            // Those received are counted with those dropped (pcap_stats(3PCAP), on Linux).
            let kept = counts.received.wrapping_sub(counts.dropped);
            #[expect(clippy::cast_possible_truncation, reason = "the counters go round")]
            let waiting = kept.wrapping_sub(self.packets as u32);
            self.packets.saturating_add(u64::from(waiting))
        });
    }

    /// Whether all that the kernel held when the end was asked for is read.
    fn is_drained(&self) -> bool {
        self.to_read.is_some_and(|to_read| self.packets >= to_read)
    }
}

/// What a capture has of an interface.
#[derive(Clone, Copy, Debug)]
struct Share {
    /// Which of the captures it is, from 0.
    place: u64,
    /// How many there are.
    of: u64,
    /// Before that time they were not all there, and had each other's packets.
    begin: Timestamp,
}

impl Share {
    /// All of it.
    const WHOLE: Self = Self {
        place: 0,
        of: 1,
        begin: Timestamp::MIN,
    };

    /// The number of a packet that is the n-th of this capture: no other capture's packet has it.
    const fn number(self, n: u64) -> u64 {
        n.saturating_sub(1)
            .saturating_mul(self.of)
            .saturating_add(self.place + 1)
    }
}

/// The way from the moment that the end was asked for to the end.
struct Ending {
    asked: Instant,
    last_packet: Instant,
}

impl Ending {
    fn begin(interfaces: &mut [Interface]) -> Self {
        interfaces.iter_mut().for_each(Interface::mark_end);
        let now = Instant::now();
        Self {
            asked: now,
            last_packet: now,
        }
    }

    /// Whether nothing is to come any more, after that many packets were read. Nobody can say what a resolver still holds
    /// that is connected.
    fn is_over(&mut self, read: usize, interfaces: &[Interface], is_connected: bool) -> bool {
        if read > 0 {
            self.last_packet = Instant::now();
        }
        (interfaces.iter().all(Interface::is_drained) && !is_connected)
            || self.last_packet.elapsed() >= SILENCE
            || self.asked.elapsed() >= DRAIN
    }
}

/// Interfaces that are open, and sockets for dnstap.
pub struct Live {
    interfaces: Vec<Interface>,
    /// Their inputs come after those of the interfaces.
    taps: Vec<Tap>,
    duration: Option<Duration>,
    promiscuous: bool,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Live {
    /// Opens the interfaces so many times that as many captures share their packets, each in a thread of its own, and listens on
    /// the sockets for dnstap, which the first one reads; after this no more rights are needed.
    ///
    /// # Errors
    /// No such interface, no permission, a filter that is not understood, or what else libpcap says; a socket that cannot be
    /// listened on; packets that cannot be shared.
    pub fn open(
        names: &[String],
        taps: &[TapPlace],
        options: &LiveOptions,
        captures: usize,
    ) -> Result<Vec<Self>, CaptureError> {
        let captures = captures.max(1);
        let mut lives: Vec<Self> = std::iter::repeat_with(|| Self {
            interfaces: Vec::new(),
            taps: Vec::new(),
            duration: options.duration,
            promiscuous: options.promiscuous,
        })
        .take(captures)
        .collect();
        for name in names {
            let mut group = None;
            for live in &mut lives {
                let interface = open(name, options)?;
                if captures > 1 {
                    share(&interface, &mut group)?;
                }
                live.interfaces.push(interface);
            }
        }
        if captures > 1 {
            let begin = now();
            for (place, live) in (0..).zip(&mut lives) {
                for interface in &mut live.interfaces {
                    interface.share = Share {
                        place,
                        of: captures as u64,
                        begin,
                    };
                }
            }
        }
        if let Some(first) = lives.first_mut() {
            first.taps = taps.iter().map(Tap::listen).collect::<Result<_, _>>()?;
        }
        Ok(lives)
    }

    /// What is captured, for the line that a run begins with.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut list: Vec<String> = self
            .interfaces
            .iter()
            .map(|interface| {
                let link = pcap::Linktype(interface.link.0);
                let link = link
                    .get_name()
                    .unwrap_or_else(|_| format!("link type {}", link.0));
                format!("{} ({link})", interface.name)
            })
            .collect();
        let captures = self.interfaces.first().map_or(1, |first| first.share.of);
        if captures > 1 {
            list.push(format!("shared by {captures} captures"));
        }
        if !self.promiscuous && !list.is_empty() {
            list.push("not promiscuous".to_owned());
        }
        list.extend(self.taps.iter().map(|tap| format!("dnstap {}", tap.name)));
        list.join(", ")
    }

    /// Reads what an interface has, and gives its packets.
    fn read(
        interface: &mut Interface,
        place: usize,
        give: &mut dyn FnMut(&Packet<'_>),
    ) -> Result<usize, CaptureError> {
        let place = u16::try_from(place).unwrap_or(u16::MAX);
        let (link, number) = (interface.link, &mut interface.packets);
        let share = interface.share;
        interface
            .capture
            .dispatch(Some(ROUND), |packet| {
                *number += 1;
                let time = time_of(packet.header);
                if time < share.begin {
                    return;
                }
                give(&Packet {
                    time,
                    input: place,
                    number: share.number(*number),
                    link,
                    wire_len: packet.header.len,
                    bytes: packet.data,
                });
            })
            .map_err(|error| CaptureError::Interface {
                name: interface.name.to_string(),
                reason: reason(&error),
            })
    }

    /// Reads what resolvers sent, and gives their frames as packets.
    fn read_taps(
        &mut self,
        stats: &mut stats::Capture,
        give: &mut dyn FnMut(&Packet<'_>),
    ) -> usize {
        let mut read = 0;
        let mut untimely = 0;
        for (place, tap) in (self.interfaces.len()..).zip(&mut self.taps) {
            let input = u16::try_from(place).unwrap_or(u16::MAX);
            read += tap.read(stats, &mut |number, frame| {
                let (now, said) = (
                    now(),
                    Tapped::read(frame).ok().and_then(|tapped| tapped.time()),
                );
                let is_now =
                    |time: &Timestamp| now.since(*time) <= LATE && time.since(now) <= EARLY;
                let time = said.filter(is_now);
                untimely += u64::from(time.is_none());
                give(&Packet {
                    time: time.unwrap_or(now),
                    input,
                    number,
                    link: LinkType::DNSTAP,
                    wire_len: u32::try_from(frame.len()).unwrap_or(u32::MAX),
                    bytes: frame,
                });
            });
        }
        stats.dnstap_untimely += untimely;
        read
    }

    /// Waits until an interface has packets or a resolver frames, or for [`WAIT`].
    fn wait(&self, at_most: Duration) {
        let interfaces = self
            .interfaces
            .iter()
            .map(|interface| interface.capture.as_fd());
        let mut descriptors: Vec<PollFd<'_>> = interfaces
            .chain(self.taps.iter().flat_map(Tap::descriptors))
            .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN))
            .collect();
        let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::ZERO);
        // A signal ends the waiting early, which is as good as a packet: the caller looks at the flag.
        poll(&mut descriptors, timeout).ok();
    }

    /// Adds up what the kernel and the interfaces dropped.
    fn count_drops(&mut self, stats: &mut stats::Capture) {
        for interface in &mut self.interfaces {
            if let Ok(counts) = interface.capture.stats() {
                let (kernel, device) = interface.counted;
                interface.counted = (counts.dropped, counts.if_dropped);
                stats.kernel_dropped += u64::from(counts.dropped.wrapping_sub(kernel));
                // What the interface dropped each of its captures is told.
                if interface.share.place == 0 {
                    stats.interface_dropped += u64::from(counts.if_dropped.wrapping_sub(device));
                }
            }
        }
    }
}

impl Source for Live {
    fn names(&self) -> Vec<Arc<str>> {
        let interfaces = self.interfaces.iter().map(|interface| &interface.name);
        let taps = self.taps.iter().map(|tap| &tap.name);
        interfaces.chain(taps).map(Arc::clone).collect()
    }

    fn run(&mut self, sink: &mut dyn TakePackets, stop: &dyn Fn() -> bool) -> Vec<CaptureError> {
        let merge = self.interfaces.len() + self.taps.len() > 1;
        let (mut held, mut later) = (Batch::default(), Batch::default());
        let mut errors = Vec::new();
        let begin = Instant::now();
        let mut sent_on = begin;
        let mut ending: Option<Ending> = None;
        let mut wants_more = ControlFlow::Continue(());
        loop {
            self.wait(if ending.is_some() { BLOCK } else { WAIT });
            let mut read = 0;
            let mut failed = None;
            for (place, interface) in self.interfaces.iter_mut().enumerate() {
                let taken = Self::read(interface, place, &mut |packet| {
                    if merge {
                        held.push(packet);
                    } else if wants_more.is_continue() {
                        wants_more = sink.take(packet);
                    }
                });
                match taken {
                    Ok(packets) => read += packets,
                    // The first word of it is enough; what the kernel still holds comes after it.
                    Err(error) if ending.is_none() => failed = Some(error),
                    Err(_) => {}
                }
            }
            let mut tapped = stats::Capture::default();
            if held.held() < HELD {
                read += self.read_taps(&mut tapped, &mut |packet| {
                    if merge {
                        held.push(packet);
                    } else if wants_more.is_continue() {
                        wants_more = sink.take(packet);
                    }
                });
            }
            count_taps(&tapped, sink.stats());
            let is_connected = self.taps.iter().any(Tap::is_connected);
            let over = ending
                .as_mut()
                .is_some_and(|ending| ending.is_over(read, &self.interfaces, is_connected));
            if merge && wants_more.is_continue() {
                let until = if over {
                    Timestamp::MAX
                } else {
                    now().minus(MERGE)
                };
                wants_more = give_until(&mut held, &mut later, until, sink);
            }
            // The counters say how it stands whenever something is sent on, and at the end; asking for them costs more than
            // reading a hundred packets.
            let is_to_send_on = read == 0 || sent_on.elapsed() >= SEND_ON;
            if is_to_send_on || over || wants_more.is_break() {
                self.count_drops(sink.stats());
            }
            if wants_more.is_continue() && is_to_send_on {
                wants_more = match read {
                    0 => sink.idle(now().minus(BEHIND)),
                    _ => sink.send_on(),
                };
                sent_on = Instant::now();
            }
            if over || wants_more.is_break() {
                return errors;
            }
            let time_is_up = self
                .duration
                .is_some_and(|duration| begin.elapsed() >= duration);
            if let Some(error) = failed {
                errors.push(error);
                // An interface that is gone cannot be waited for, but its last block is still to come.
                std::thread::sleep(BLOCK + BLOCK / 2);
                ending = Some(Ending::begin(&mut self.interfaces));
            } else if ending.is_none() && (stop() || time_is_up) {
                ending = Some(Ending::begin(&mut self.interfaces));
            }
        }
    }

    fn is_live(&self) -> bool {
        true
    }
}

/// Adds up what became of the connections for dnstap.
fn count_taps(seen: &stats::Capture, stats: &mut stats::Capture) {
    stats.dnstap_connections += seen.dnstap_connections;
    stats.dnstap_refused += seen.dnstap_refused;
    stats.dnstap_cut += seen.dnstap_cut;
    stats.dnstap_untimely += seen.dnstap_untimely;
}

/// Gives the packets up to a time in the order of their times, and keeps the others.
fn give_until(
    held: &mut Batch,
    later: &mut Batch,
    until: Timestamp,
    sink: &mut dyn TakePackets,
) -> ControlFlow<()> {
    held.sort_by_time();
    later.clear();
    let mut flow = ControlFlow::Continue(());
    for packet in held.packets() {
        if packet.time > until {
            later.push(&packet);
        } else if flow.is_continue() {
            flow = sink.take(&packet);
        }
    }
    std::mem::swap(held, later);
    flow
}

/// The machine's time.
fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

fn open(name: &str, options: &LiveOptions) -> Result<Interface, CaptureError> {
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let inactive = |precision| {
        Capture::from_device(name).map(|capture| {
            capture
                .promisc(options.promiscuous)
                .snaplen(number(options.snaplen))
                .buffer_size(number(options.buffer))
                .timeout(number(BLOCK.as_millis() as u32))
                .precision(precision)
        })
    };
    let opened = inactive(Precision::Nano)
        .and_then(Capture::open)
        .and_then(Capture::setnonblock);
    let mut capture = opened.map_err(|error| explain(name, &error))?;
    let link = LinkType(capture.get_datalink().0);
    if let Some(link) = (options.refuse)(link) {
        let name = name.to_owned();
        return Err(CaptureError::InterfaceLinkType { name, link });
    }
    if let Some(expression) = &options.filter {
        capture
            .filter(expression, true)
            .map_err(|error| CaptureError::Filter {
                expression: expression.clone(),
                reason: reason(&error),
            })?;
    }
    Ok(Interface {
        name: Arc::from(name),
        link,
        capture,
        share: Share::WHOLE,
        packets: 0,
        to_read: None,
        counted: (0, 0),
    })
}

/// Has a capture share its interface's packets with those of the group, which the first one makes.
fn share(interface: &Interface, group: &mut Option<Fanout>) -> Result<(), CaptureError> {
    let shared = match group {
        Some(group) => group.join(&interface.capture),
        None => Fanout::begin(&interface.capture).map(|made| *group = Some(made)),
    };
    shared.map_err(|errno| CaptureError::Interface {
        name: interface.name.to_string(),
        reason: format!("several captures cannot share its packets: {errno}; leave --workers out"),
    })
}

/// What libpcap said, with what a person can do about it.
fn explain(name: &str, error: &pcap::Error) -> CaptureError {
    let said = reason(error);
    let present = interfaces().unwrap_or_default();
    if !present.is_empty() && !present.iter().any(|interface| interface.name == name) {
        return CaptureError::NoInterface {
            name: name.to_owned(),
            present: present
                .iter()
                .map(|interface| interface.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        };
    }
    let lower = said.to_ascii_lowercase();
    if lower.contains("permission") || lower.contains("not permitted") {
        return CaptureError::Permission {
            name: name.to_owned(),
            program: std::env::current_exe().map_or_else(
                |_| "/path/to/dnsterrier".to_owned(),
                |path| path.display().to_string(),
            ),
        };
    }
    CaptureError::Interface {
        name: name.to_owned(),
        reason: said,
    }
}

/// An interface that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceInfo {
    /// Its name.
    pub name: String,
    /// What libpcap says of it.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<std::net::IpAddr>,
    /// Whether it is up.
    pub is_up: bool,
    /// Whether it is a loopback interface.
    pub is_loopback: bool,
    /// Why it cannot be captured on by this user; `None` where it can.
    pub refused: Option<String>,
}

/// The interfaces that can be captured on, `any` among them, without trying to open them.
///
/// # Errors
/// What libpcap says.
pub fn interfaces() -> Result<Vec<InterfaceInfo>, CaptureError> {
    let devices = Device::list().map_err(|error| CaptureError::Interface {
        name: "*".to_owned(),
        reason: reason(&error),
    })?;
    Ok(devices
        .into_iter()
        .filter(|device| {
            !device.name.starts_with("nf")
                && !device.name.starts_with("dbus")
                && !device.name.starts_with("bluetooth")
        })
        .map(|device| InterfaceInfo {
            is_up: device.flags.is_up(),
            is_loopback: device.flags.is_loopback(),
            addresses: device
                .addresses
                .iter()
                .map(|address| address.addr)
                .collect(),
            description: device.desc,
            name: device.name,
            refused: None,
        })
        .collect())
}

impl InterfaceInfo {
    /// Tries to open the interface and says why it cannot be, or is of no use, where that is so.
    #[must_use]
    pub fn tried(mut self, refuse: Refuse) -> Self {
        let options = LiveOptions {
            snaplen: 96,
            buffer: 1 << 20,
            promiscuous: false,
            filter: None,
            duration: None,
            refuse,
        };
        self.refused = open(&self.name, &options)
            .err()
            .map(|error| error.to_string());
        self
    }
}
