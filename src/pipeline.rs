//! Threads, channels and how they end: the only place that knows of any of them.
//!
//! ```text
//! loader thread --what was read anew--.
//!        ^                            v
//!        '---asked for--- capture thread --batches of arrivals--> decoder thread --batches of events--> matcher thread
//!                                ^------------empty batches--------------'  ^-----------empty batches---------'
//! ```
//!
//! Where more cores are to be used there are several decoders, each for its share of the clients (`splitting`), and the matcher
//! gets what they make in one order (`gathering`); of a live capture there may be as many capture threads.
//!
//! Where events are read again that other runs stored, one thread reads them, instead of those two, for the same matcher.
//!
//! All channels are bounded. When a stage is slower than the one before it, the one before it waits, up to the capture
//! thread; a file is then read more slowly, and of a live capture the kernel drops packets and counts them. Counters
//! travel with the batches. A stage that ends drops its ends of the channels, which ends the others in turn.

mod decoding;
mod events;
mod gathering;
mod matching;
mod reading;
mod reload;
mod rereading;
mod shown;
mod splitting;

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::aggregate::Aggregator;
use crate::aggregate::sources::Sources;
use crate::capture::{CaptureError, Source};
use crate::delivery::clickhouse::Stored;
use crate::delivery::{Deliveries, DeliveryError};
use crate::encrypted::Sighting;
use crate::event::{Assets, Maker};
use crate::frame::{Joining, Ports};
use crate::message::Question;
use crate::metrics::{Server, Watch};
use crate::packet::{Batch, Further, Packet};
use crate::risk::Scorer;
use crate::rule::{Filters, Rules};
use crate::sink::{Rotation, SinkError, TableOptions, Writer};
use crate::stats::Stats;
use crate::time::Timestamp;
use crate::transaction::{
    Arrival, Interest, Limits, NamedRoles, Pairing, Reader as MessageReader, Spare,
};
use decoding::Decoding;
use events::Events;
use gathering::Gathering;
use matching::Matching;
use reading::{Keeping, Reading};
use reload::look_at;
pub use reload::{Load, Loaded};
use rereading::Rereading;
use splitting::{Clients, Mark, Splitting};

/// What is on its way between two stages.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// How many batches. After so many without an event the matcher is told the time and the counters all the same: with several
    /// decoders it waits for each of them, and while it does so no other may run out of batches.
    batches: usize,
    /// How many arrivals make a batch.
    arrivals: usize,
}

impl Way {
    /// Of arrivals alone: enough that neither stage waits for the other's short delays.
    const FEW_EVENTS: Self = Self {
        batches: 32,
        arrivals: 512,
    };
    /// With events, which take some 2 KiB each with their messages. No more than a processor has near itself: with thousands on
    /// their way each one is fetched from far away three times, which takes as long as making it.
    const MANY_EVENTS: Self = Self {
        batches: 3,
        arrivals: 256,
    };
}

/// What the threads are told from outside, by signals for instance.
#[derive(Clone, Debug)]
pub struct Signals {
    /// End the run: read no more, flush everything.
    pub stop: Arc<AtomicBool>,
    /// Show the rows so far.
    pub show: Arc<AtomicBool>,
    /// Open the files again that were moved away, as log rotation does.
    pub reopen: Arc<AtomicBool>,
    /// Read rules, filters, lookups and assets anew; or, where the run can do that no more, end it.
    pub hangup: Arc<AtomicBool>,
    /// Whether whom the run was for has gone, so that it ends instead of reading anything anew.
    pub is_orphaned: fn() -> bool,
}

impl Default for Signals {
    /// Nothing was told yet, and nobody has gone.
    fn default() -> Self {
        Self {
            stop: Arc::default(),
            show: Arc::default(),
            reopen: Arc::default(),
            hangup: Arc::default(),
            is_orphaned: || false,
        }
    }
}

/// The time that a run looks at.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Events before it do not count.
    pub since: Timestamp,
    /// Events at or after it do not count.
    pub until: Timestamp,
}

impl Span {
    /// All time.
    pub const ALL: Self = Self {
        since: Timestamp::MIN,
        until: Timestamp::MAX,
    };

    fn holds(&self, time: Timestamp) -> bool {
        self.since <= time && time < self.until
    }

    /// The same with a margin on both sides.
    fn widened(&self, by: Duration) -> Self {
        Self {
            since: self.since.minus(by),
            until: self.until.plus(by),
        }
    }
}

/// Where the records of a run go.
#[derive(Debug)]
pub struct Writers {
    /// Aggregates.
    pub rows: Writer,
    /// Events that matched, as they happen.
    pub hits: Writer,
    /// Every transaction.
    pub events: Writer,
    /// One record per source address.
    pub sources: Writer,
    /// Risk events.
    pub risk: Writer,
    /// What the sensor says of itself.
    pub sensors: Writer,
    /// The packets of what hit.
    pub evidence: Writer,
    /// The packets with DNS.
    pub packets: Writer,
}

impl Writers {
    /// All of them.
    fn all(&mut self) -> [&mut Writer; 8] {
        [
            &mut self.rows,
            &mut self.hits,
            &mut self.events,
            &mut self.sources,
            &mut self.risk,
            &mut self.sensors,
            &mut self.evidence,
            &mut self.packets,
        ]
    }
}

/// What a run reads.
pub enum Input {
    /// Packets: of one source, or of several that share the packets of the same inputs, each in a thread of its own.
    Packets(Vec<Box<dyn Source>>),
    /// Events that other runs stored.
    Stored(Box<Stored>),
}

impl Input {
    /// The names of what it reads, in the order in which they are read.
    #[must_use]
    pub fn names(&self) -> Vec<Arc<str>> {
        match self {
            Self::Packets(sources) => sources.first().map_or_else(Vec::new, |it| it.names()),
            Self::Stored(stored) => vec![Arc::from(stored.place())],
        }
    }

    /// Whether it is live.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self {
            Self::Packets(sources) => sources.first().is_some_and(|it| it.is_live()),
            Self::Stored(_) => false,
        }
    }
}

/// What is wrong with an input.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// With packets.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// With events that were stored.
    #[error(transparent)]
    Stored(#[from] DeliveryError),
}

/// Takes the counters so far.
pub type Save = Box<dyn Fn(&Stats)>;

/// A run, ready to start.
pub struct Run {
    /// Where packets, or events, come from.
    pub input: Input,
    /// How many threads share the work on messages, by their clients.
    pub decoders: usize,
    /// The ports on which DNS is looked for.
    pub ports: Ports,
    /// How many encapsulations are taken off one packet at most.
    pub tunnel_depth: u8,
    /// Read no more packets than this.
    pub count: Option<u64>,
    /// The time to look at.
    pub span: Span,
    /// Pairing.
    pub limits: Limits,
    /// The roles of addresses that packets cannot tell.
    pub roles: NamedRoles,
    /// Makes the events.
    pub maker: Maker,
    /// The rules.
    pub rules: Arc<Rules>,
    /// Groups the hits.
    pub aggregator: Aggregator,
    /// Scores the rows.
    pub scorer: Scorer,
    /// The user's exceptions.
    pub filters: Filters,
    /// Where records go.
    pub writers: Writers,
    /// What brings records to places in the network.
    pub deliveries: Deliveries,
    /// How long the end of the run waits for these places.
    pub deliver_timeout: Duration,
    /// How tables look.
    pub table: TableOptions,
    /// Where the rows so far are shown when asked for.
    pub show: fn(&str),
    /// Where it is said that something happened which somebody should know of before the end.
    pub tell: fn(&str),
    /// Reads what can be taken anew while the run goes on; a run without it ends when it is asked to.
    pub reload: Option<Load>,
    /// Where the counters so far go, beside the rows, when they are asked for.
    pub save: Option<Save>,
    /// When files give way to new ones.
    pub rotation: Rotation,
    /// Gives the counters so far to whoever asks over the network.
    pub metrics: Option<Server>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Report {
    /// All counters.
    pub stats: Stats,
    /// Inputs that could not be read, or not to their end.
    pub inputs: Vec<InputError>,
    /// Whether it read events that other runs had stored, and no packets.
    pub stored: bool,
    /// Whether the run was a live one.
    pub live: bool,
    /// Whether the records could be written.
    pub output: Result<(), SinkError>,
    /// Sources that had hits.
    pub sources_with_hits: u64,
    /// The rules that had hits, also those that were gone by the end.
    pub hits: Vec<HitsOfRule>,
    /// A thread that panicked: a bug.
    pub panicked: Option<&'static str>,
}

/// A rule, and how many hits it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HitsOfRule {
    /// Its name.
    pub name: String,
    /// The ATT&CK techniques that it names.
    pub attack: Vec<String>,
    /// How many.
    pub hits: u64,
}

/// Messages on their way to the decoder.
#[derive(Debug, Default)]
struct ArrivalBatch {
    /// Which capture thread filled it, and in which of its rounds.
    capture: usize,
    round: u64,
    arrivals: Vec<Arrival>,
    /// On the way back: the memory of messages that were there before.
    spare: Spare,
    /// The arrivals' places among all of their round, where several decoders share them.
    ordinals: Vec<u32>,
    /// What the decoder is told between them.
    marks: Vec<Mark>,
    /// What the wanted ones among them hold, and the packets.
    bytes: usize,
    /// What was seen of encrypted DNS.
    sightings: Vec<Sighting>,
    /// Packets that belong to messages that came before them.
    further: Vec<Further>,
    /// Packets that are to be written.
    packets: Batch,
    /// Packet time has come so far, also where no arrival says so.
    now: Timestamp,
    /// A live capture that has nothing to read.
    is_idle: bool,
    /// The capture thread has ended.
    is_last: bool,
    /// What holds from this batch on.
    reloaded: Option<Box<Loaded>>,
    /// That of it which every decoder needs.
    assets: Option<Box<Assets>>,
    /// What the capture thread had counted.
    stats: Stats,
}

impl ArrivalBatch {
    /// So many bytes of wanted messages make a batch as well; or sightings.
    const BYTES: usize = 1 << 20;
    const SIGHTINGS: usize = 512;

    fn push(&mut self, arrival: Arrival) {
        self.bytes = self.bytes.saturating_add(arrival.held());
        self.arrivals.push(arrival);
    }

    /// Has a packet written.
    fn write(&mut self, packet: &Packet<'_>) {
        self.bytes = self.bytes.saturating_add(packet.bytes.len());
        self.packets.push(packet);
    }

    fn is_full(&self, way: Way) -> bool {
        self.arrivals.len() >= way.arrivals
            || self.bytes >= Self::BYTES
            || self.sightings.len() >= Self::SIGHTINGS
    }
}

/// Asks the rules whether a question can matter, or wants everything.
#[derive(Clone)]
struct Asking {
    rules: Arc<Rules>,
    everything: bool,
}

impl Interest for Asking {
    #[inline(always)]
    fn wants(&self, question: &mut Question) -> bool {
        self.everything || self.rules.wants_question(question)
    }
}

/// Events on their way to the matcher.
#[derive(Debug, Default)]
struct EventBatch {
    /// Which decoder filled it, and in which round; what was before it is all here.
    decoder: usize,
    round: u64,
    /// What became of the transactions.
    events: Events,
    /// At which place of their round they were made.
    ordinals: Vec<u32>,
    /// Addresses that were seen to answer for the first time.
    resolvers: Vec<IpAddr>,
    /// What was seen of encrypted DNS.
    sightings: Vec<Sighting>,
    /// Packets that belong to messages that came before them.
    further: Vec<Further>,
    /// Packets that are to be written.
    packets: Batch,
    /// What holds from this batch on.
    reloaded: Option<Box<Loaded>>,
    now: Timestamp,
    stats: Stats,
}

impl EventBatch {
    /// Whether it tells nothing but counters.
    fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.resolvers.is_empty()
            && self.sightings.is_empty()
            && self.further.is_empty()
            && self.packets.is_empty()
            && self.reloaded.is_none()
    }
}

impl Run {
    /// Runs to the end: of the files, or until told to stop. Returns when everything is flushed.
    #[must_use]
    pub fn run(self, signals: &Signals) -> Report {
        let Self {
            input,
            decoders,
            ports,
            tunnel_depth,
            count,
            span,
            limits,
            roles,
            maker,
            rules,
            aggregator,
            scorer,
            filters,
            writers,
            deliveries,
            deliver_timeout,
            table,
            show,
            tell,
            reload,
            save,
            rotation,
            metrics,
        } = self;
        let everything_asked_for = !writers.events.is_none();
        let everything = everything_asked_for || rules.needs_everything();
        let way = if everything {
            Way::MANY_EVENTS
        } else {
            Way::FEW_EVENTS
        };
        let live = input.is_live();
        let stored = matches!(input, Input::Stored(_));

        let inputs = input.names().iter().map(|name| name.to_string()).collect();
        let sensor = maker.sensor.to_string();
        let (captures, decoders) = match &input {
            Input::Packets(sources) => (sources.len(), decoders.max(1)),
            Input::Stored(_) => (1, 1),
        };
        let (full_events, events_to_match) = bounded::<EventBatch>(way.batches);
        let (empty_events, events_to_fill): (Vec<_>, Vec<_>) =
            std::iter::repeat_with(|| filled_with_empty::<EventBatch>(way.batches))
                .take(decoders)
                .unzip();
        let (ask, asked) = bounded::<()>(1);
        let (reloaded, to_take): (Vec<_>, Vec<_>) =
            std::iter::repeat_with(|| bounded(1)).take(captures).unzip();
        let ask = reload.is_some().then_some(ask);
        let sources = Sources::new(roles.clone(), ports.known(), Arc::clone(&maker.sensor));
        let keeping = Keeping {
            evidence: !writers.evidence.is_none(),
            packets: !writers.packets.is_none(),
        };
        let mut matching = Matching::new(
            span,
            Arc::clone(&rules),
            aggregator,
            scorer,
            writers,
            table,
            live,
            show,
        );
        matching.sources = sources;
        matching.keep_evidence(Pairing::longest(limits.timeout));
        matching.filters = filters;
        matching.tell = tell;
        matching.save = save;
        matching.sensor = sensor.as_str().into();
        matching.rotation = rotation;
        matching.inputs = inputs;
        matching.deliveries = deliveries.clone();
        matching.everything_asked_for = everything_asked_for;
        let (serve, serving) = metrics.map(Server::start).unzip();
        let watch = serve.is_some().then(Watch::default);

        thread::scope(|scope| {
            let loader = reload::spawn(scope, reload, everything_asked_for, asked, reloaded, show);
            let readers = match input {
                Input::Stored(stored) => {
                    let stop = move || look_at(signals, ask.as_ref());
                    let empty = events_to_fill.into_iter().next();
                    let rereading =
                        empty.map(|empty| Rereading::new(roles, maker, full_events, empty));
                    vec![spawn(scope, "reader", move || {
                        rereading.map_or_else(Vec::new, |it| it.read(&stored, &stop))
                    })]
                }
                Input::Packets(sources) => {
                    let mut readers = Vec::new();
                    let asking = Asking { rules, everything };
                    let clients = Clients::new(decoders);
                    let messages = MessageReader::default();
                    let fragments = Joining::default();
                    let (full_batches, batches_to_decode): (Vec<_>, Vec<_>) =
                        std::iter::repeat_with(|| bounded::<ArrivalBatch>(way.batches))
                            .take(decoders)
                            .unzip();
                    let mut empty_batches = Vec::new();
                    for (capture, (mut source, to_take)) in
                        sources.into_iter().zip(to_take).enumerate()
                    {
                        let (empty, batches_to_fill) =
                            filled_with_empty::<ArrivalBatch>(way.batches.saturating_mul(decoders));
                        empty_batches.push(empty);
                        let mut reading = Reading::new(
                            ports.clone(),
                            tunnel_depth,
                            span.widened(Pairing::longest(limits.timeout)),
                            count,
                            keeping,
                            fragments.share(),
                            messages.clone(),
                            asking.clone(),
                            Splitting::new(
                                capture,
                                way,
                                clients.clone(),
                                full_batches.clone(),
                                batches_to_fill,
                            ),
                            to_take,
                        );
                        let ask = ask.clone();
                        readers.push(spawn(scope, "capture", move || {
                            let stop = move || look_at(signals, ask.as_ref());
                            let errors = source.run(&mut reading, &stop);
                            match reading.finish() {
                                ControlFlow::Continue(()) | ControlFlow::Break(()) => {}
                            }
                            errors.into_iter().map(InputError::from).collect()
                        }));
                    }
                    // The threads alone have the channels' ends: who comes last ends them.
                    drop((ask, full_batches));
                    let limits = limits.shared_by(decoders);
                    let channels = batches_to_decode.into_iter().zip(events_to_fill);
                    for (decoder, (batches, events_to_fill)) in channels.enumerate() {
                        let decoding =
                            Decoding::new(decoder, captures, limits, roles.clone(), maker.clone());
                        let (empty_batches, full_events) =
                            (empty_batches.clone(), full_events.clone());
                        readers.push(spawn(scope, "decoder", move || {
                            decode(
                                decoding,
                                &batches,
                                &empty_batches,
                                &full_events,
                                &events_to_fill,
                                way.batches as u64,
                            );
                            Vec::new()
                        }));
                    }
                    drop(full_events);
                    readers
                }
            };
            let watch = watch.as_ref();
            let server = serve.zip(watch).map(|(serve, watch)| {
                let server = thread::Builder::new().name("metrics".to_owned());
                server.spawn_scoped(scope, move || serve(watch))
            });
            let gathering = Gathering::new(decoders, captures == 1);
            let matching = match_events(
                matching,
                gathering,
                &events_to_match,
                &empty_events,
                signals,
                watch,
            );
            let mut panicked = None;
            // The matcher is gone, and with it its ends of the channels: the others end too.
            drop(events_to_match);
            drop(empty_events);
            let mut inputs_failed = Vec::new();
            for (name, reader) in readers {
                match reader.map(thread::ScopedJoinHandle::join) {
                    Ok(Ok(errors)) => inputs_failed.extend(errors),
                    Ok(Err(_)) | Err(_) => panicked = Some(name),
                }
            }
            if !matches!(
                loader.map(|it| it.map(thread::ScopedJoinHandle::join)),
                None | Some(Ok(Ok(())))
            ) {
                panicked = Some("loader");
            }
            // Where nothing at all could be read, the files of the run before stay.
            let nothing_read = !inputs_failed.is_empty() && matching.received() == 0;
            let done = matching.finish(nothing_read);
            drop(serving);
            if !matches!(
                server.map(|it| it.map(thread::ScopedJoinHandle::join)),
                None | Some(Ok(Ok(())))
            ) {
                panicked = Some("metrics");
            }
            let mut stats = done.stats;
            // The writers are gone, and with them the ends of the deliveries' channels.
            let is_set = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
            let hurry = || is_set(&signals.stop) || (!live && is_set(&signals.hangup));
            stats.deliveries = deliveries.finish(deliver_timeout, &hurry);
            stats.identities = stats.identities();
            Report {
                stats,
                inputs: inputs_failed,
                stored,
                live,
                output: done.output,
                sources_with_hits: done.sources_with_hits,
                hits: done.hits,
                panicked,
            }
        })
    }
}

/// Sends a batch and takes an empty one for it; waits where the next stage is behind. `Break` where that one is gone.
fn exchange<B>(batch: B, full: &Sender<B>, empty: &Receiver<B>) -> ControlFlow<(), B> {
    if full.send(batch).is_err() {
        return ControlFlow::Break(());
    }
    match empty.recv() {
        Ok(batch) => ControlFlow::Continue(batch),
        Err(_) => ControlFlow::Break(()),
    }
}

/// A thread that reads, or takes apart what was read, with its name; it gives what was wrong with the inputs.
type Reader<'scope> = (
    &'static str,
    std::io::Result<thread::ScopedJoinHandle<'scope, Vec<InputError>>>,
);

fn spawn<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: &'static str,
    run: impl FnOnce() -> Vec<InputError> + Send + 'scope,
) -> Reader<'scope> {
    let thread = thread::Builder::new().name(name.to_owned());
    (name, thread.spawn_scoped(scope, run))
}

/// A channel with so many batches to fill in it.
fn filled_with_empty<B: Default>(batches: usize) -> (Sender<B>, Receiver<B>) {
    let (empty, to_fill) = bounded(batches);
    for _ in 0..batches {
        // There is room for all of them.
        empty.try_send(B::default()).ok();
    }
    (empty, to_fill)
}

/// A decoder thread: arrivals in, events out.
fn decode(
    mut decoding: Decoding,
    batches: &Receiver<ArrivalBatch>,
    empty: &[Sender<ArrivalBatch>],
    events: &Sender<EventBatch>,
    events_to_fill: &Receiver<EventBatch>,
    tell_after: u64,
) {
    let mut waiting = None;
    for mut batch in batches {
        let Some(mut out) = waiting.take().or_else(|| events_to_fill.recv().ok()) else {
            return;
        };
        decoding.decode(&mut batch, &mut out);
        let is_to_tell = batch.is_idle || batch.round.is_multiple_of(tell_after);
        if let Some(empty) = empty.get(batch.capture) {
            // The capture thread may be gone already.
            empty.try_send(batch).ok();
        }
        if out.is_empty() && !is_to_tell {
            // Nothing to tell: to wake the matcher costs more than to decode a batch.
            waiting = Some(out);
        } else if events.send(out).is_err() {
            return;
        }
    }
    if let Some(mut out) = waiting.or_else(|| events_to_fill.recv().ok()) {
        decoding.finish(&mut out);
        events.send(out).ok();
    }
}

/// The matcher thread, which is the one that called: events in, records out.
fn match_events(
    mut matching: Matching,
    mut gathering: Gathering,
    events: &Receiver<EventBatch>,
    empty: &[Sender<EventBatch>],
    signals: &Signals,
    watch: Option<&Watch>,
) -> Matching {
    let mut give_back = |mut batch: EventBatch| {
        batch.events.clear();
        if let Some(empty) = empty.get(batch.decoder) {
            // The decoder may be gone already.
            empty.try_send(batch).ok();
        }
    };
    let mut take = |mut batch: EventBatch| {
        if signals.reopen.swap(false, Ordering::Relaxed) {
            matching.reopen();
        }
        let going_on = matching.take(&mut batch, signals.show.swap(false, Ordering::Relaxed));
        if let Some(watch) = watch {
            watch.step(|| matching.counted());
        }
        (going_on, batch)
    };
    for batch in events {
        gathering.take(batch);
        while let Some(batch) = gathering.next(&mut give_back) {
            let (going_on, batch) = take(batch);
            give_back(batch);
            if !going_on {
                return matching;
            }
        }
    }
    // Where one of them ended without a word, the others' still count.
    while let Some(batch) = gathering.next_at_end(&mut give_back) {
        let (true, batch) = take(batch) else { break };
        give_back(batch);
    }
    matching
}
