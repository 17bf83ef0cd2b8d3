//! From the command line to a run: everything is checked here, before the first packet is read.

mod loading;
mod remote;
mod stored;

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::aggregate::Window;
use crate::capture::{self, Files, Live, LiveOptions, Source, TapPlace, check_filter, expand};
use crate::cli::{Common, Replay, Sniff, SpoolOptions};
use crate::delivery::clickhouse::Stored;
use crate::delivery::{self, Deliveries};
use crate::encrypted::KnownResolvers;
use crate::error::Error;
use crate::event::{self, Maker};
use crate::frame::{Ports, refused_link};
use crate::metrics::Server;
use crate::pipeline::{Input, Loaded, Run, Span, Writers};
use crate::privilege;
use crate::rule::{Mistake, Rule, Rules};
use crate::sink::{
    self, EventFormat, Format, Options, PacketFormat, Place, Remote, Rotation, SinkError, Stream,
    TableOptions, Writer, is_descriptor,
};
use crate::time::Timestamp;
use crate::transaction::{Limits, NamedRoles};

pub use loading::load_rules;
use loading::{FixedColumns, Rowing, anew, known_resolvers};
use remote::Remotes;

/// A run that is ready, and what its caller needs to tell of it.
pub struct Ready {
    /// The run.
    pub run: Run,
    /// What is said before it begins; nothing for most replays.
    pub greeting: Option<String>,
}

/// Opens interfaces, gives up root, opens outputs.
///
/// # Errors
/// Whatever is wrong with the command line, the rules, the interfaces or the places.
pub fn sniff(arguments: Sniff, show: fn(&str)) -> Result<Ready, Error> {
    let Sniff {
        interfaces,
        dnstap,
        filter,
        expression,
        snaplen,
        buffer_size,
        no_promiscuous_mode,
        duration,
        user,
        rotate_size,
        rotate_every,
        common,
    } = arguments;
    let rotation = Rotation::new(
        rotate_size.as_deref().map(size).transpose()?,
        rotate_every.as_deref().map(rotation_span).transpose()?,
    );
    let plan = Plan::new(&common, Window::Every(Duration::from_secs(3600)), show)?;
    let expression = (!expression.is_empty()).then(|| expression.join(" "));
    let options = LiveOptions {
        snaplen,
        buffer: buffer_size.saturating_mul(1024),
        promiscuous: !no_promiscuous_mode,
        filter: filter.or(expression),
        duration: duration.as_deref().map(span).transpose()?,
        refuse: refused_link,
    };
    let taps = dnstap
        .iter()
        .map(|place| place.parse().map_err(Error::Usage));
    let taps: Vec<TapPlace> = taps.collect::<Result<_, _>>()?;
    let captures = usize::from(common.workers.unwrap_or(1));
    if captures > 1 && common.count.is_some() {
        return Err(Error::Usage(
            "--count counts the packets of one capture, and --workers has several: leave one of them out"
                .to_owned(),
        ));
    }
    let lives = Live::open(&interfaces, &taps, &options, captures)?;
    let becoming = privilege::becoming(user.as_deref())?;
    plan.remotes.prepare(becoming.as_ref())?;
    let became = becoming.map(privilege::Becoming::give_up).transpose()?;
    let user = became
        .map(|name| format!(", as {name}"))
        .unwrap_or_default();
    let count = plan.files.rules.running().count();
    let rules = if count == 1 {
        "1 rule".to_owned()
    } else {
        format!("{count} rules")
    };
    let listening = format!(
        "listening on {}{user}, {rules}; Ctrl-C ends",
        lives.first().map_or_else(String::new, Live::describe)
    );
    let warnings = plan.files.rules.warnings().iter().map(warning);
    let greeting = lines(warnings.chain(plan.metrics()).chain([listening]));
    let sources = lives
        .into_iter()
        .map(|live| Box::new(live) as Box<dyn Source>);
    let mut run = plan.run(Input::Packets(sources.collect()), &common, show)?;
    run.rotation = rotation;
    Ok(Ready { run, greeting })
}

/// What is said of a rule that is taken otherwise than it may be meant.
fn warning(of: &Mistake) -> String {
    format!("warning: {of}")
}

/// Several things to say, each on a line of its own; nothing where there is none.
fn lines(said: impl Iterator<Item = String>) -> Option<String> {
    let said: Vec<String> = said.collect();
    (!said.is_empty()).then(|| said.join("\ndnsterrier: "))
}

/// Finds the files and opens outputs.
///
/// # Errors
/// Whatever is wrong with the command line, the rules, the paths or the places.
pub fn replay(arguments: Replay, show: fn(&str)) -> Result<Ready, Error> {
    let Replay {
        mut files,
        read,
        filter,
        common,
    } = arguments;
    let plan = Plan::new(&common, Window::None, show)?;
    let mut filter = filter;
    if !read.is_empty() {
        // As tcpdump has it: after -r FILE the rest is a filter.
        if let Some(file) = files.iter().find(|file| file.exists()) {
            return Err(Error::Usage(format!(
                "with -r, what follows is a filter, but '{}' is a file; for several files write: dnsterrier replay FILE FILE",
                file.display()
            )));
        }
        let words: Vec<String> = files
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        if !words.is_empty() {
            filter = Some(words.join(" "));
        }
        files = read;
    }
    if let Some(expression) = &filter {
        check_filter(expression)?;
    }
    let input = match stored::named(&files)? {
        Some(remote) => {
            stored::check(filter.as_deref(), &common)?;
            Input::Stored(Box::new(plan.stored(&remote)?))
        }
        None => {
            let inputs = expand(&files)?;
            check_kept(&inputs, &common)?;
            let files = Files::new(inputs, filter, refused_link);
            Input::Packets(vec![Box::new(files)])
        }
    };
    let no_rule = (plan.files.rules.running().count() == 0 && common.events.is_empty()).then(|| {
        "warning: no rule runs, so there can be no row; name some with --rules, --rule or --name".to_owned()
    });
    let warnings = plan.files.rules.warnings().iter().map(warning);
    let greeting = lines(warnings.chain(plan.metrics()).chain(no_rule));
    let run = plan.run(input, &common, show)?;
    Ok(Ready { run, greeting })
}

/// Says that a capture which is read cannot be written: what is not written to it would be gone.
fn check_kept(inputs: &[capture::Input], common: &Common) -> Result<(), Error> {
    for (option, path) in [("--evidence", &common.evidence), ("--write", &common.write)] {
        let Some(path) = path else {
            continue;
        };
        let is_read = |input: &capture::Input| match input {
            capture::Input::File(read) => sink::is_same_file(read, path),
            capture::Input::Stdin | capture::Input::Memory { .. } => false,
        };
        if inputs.iter().any(is_read) {
            return Err(Error::Usage(format!(
                "{option} {}: that is a capture which is read; give another name",
                path.display()
            )));
        }
    }
    Ok(())
}

/// A run of one rule over one capture as `replay --rule NAME` has it, whose rows go to memory as JSON Lines.
///
/// # Errors
/// A bug: nothing is asked for that could be wrong.
pub fn trial(rule: Rule, capture: capture::Input, rows: Arc<Mutex<Vec<u8>>>) -> Result<Run, Error> {
    let mut plain = Replay::plain().map_err(|error| Error::Bug(error.to_string()))?;
    // No others are loaded for nothing.
    plain.common.no_embedded = true;
    let mut plan = Plan::new(&plain.common, Window::None, |_| {})?;
    let rule = Rule {
        enabled: true,
        ..rule
    };
    plan.files.rules = Rules::new(vec![rule]).map_err(Error::Rules)?;
    plan.places = Default::default();
    let source = Files::new(vec![capture], None, refused_link);
    let input = Input::Packets(vec![Box::new(source)]);
    let mut run = plan.run(input, &plain.common, |_| {})?;
    run.writers.rows = Writer::to_memory(Stream::Rows, rows);
    Ok(run)
}

/// What is checked before anything is opened.
struct Plan {
    files: loading::Files,
    known: Arc<KnownResolvers>,
    ports: Ports,
    rowing: Rowing,
    span: Span,
    limits: Limits,
    places: [Vec<Place>; 5],
    evidence: Option<(Place, PacketFormat)>,
    packets: Option<(Place, PacketFormat)>,
    remotes: Remotes,
    format: Format,
    event_format: EventFormat,
    shared_stdout: bool,
    sinkholes: Vec<ipnet::IpNet>,
    roles: NamedRoles,
    metrics: Option<Server>,
}

impl Plan {
    fn new(common: &Common, default_window: Window, show: fn(&str)) -> Result<Self, Error> {
        let format: Format = common.format.parse()?;
        let places = |texts: &[String], default: Option<Place>| -> Result<Vec<Place>, SinkError> {
            if texts.is_empty() {
                return Ok(default.into_iter().collect());
            }
            texts.iter().map(|text| Place::parse(text)).collect()
        };
        let rows = places(&common.rows, Some(Place::Stdout))?;
        let hits = places(&common.hits, None)?;
        let events = places(&common.events, None)?;
        let sources = places(&common.sources, None)?;
        let risk = places(&common.risk, None)?;
        let streams = [
            (Stream::Rows, rows.as_slice()),
            (Stream::Hits, hits.as_slice()),
            (Stream::Events, events.as_slice()),
            (Stream::Sources, sources.as_slice()),
            (Stream::Risk, risk.as_slice()),
        ];
        let event_format = common.event_format.parse()?;
        sink::check_event_format(&streams, event_format)?;
        let shared_stdout = sink::check(&streams, format)?;
        let packets_to = |option, path: &Option<PathBuf>, with_comments| {
            path.as_deref()
                .map(|path| sink::packet_place(option, path, with_comments))
                .transpose()
        };
        let evidence = packets_to("--evidence", &common.evidence, true)?;
        let packets = packets_to("--write", &common.write, false)?;
        let bytes_on_stdout = [("--evidence", &common.evidence), ("--write", &common.write)]
            .into_iter()
            .filter(|(_, path)| path.as_deref().is_some_and(sink::is_stdout));
        let on_stdout = streams
            .iter()
            .filter(|(_, places)| places.contains(&Place::Stdout));
        if let Some((option, _)) = bytes_on_stdout.clone().next()
            && bytes_on_stdout.count() + on_stdout.count() > 1
        {
            return Err(Error::Usage(format!(
                "{option} -: packets cannot share standard output; give the others a file, or leave them out (--rows none)"
            )));
        }
        let remotes = Remotes::new(&streams, &common.spool, tell(common, show))?;
        for (option, path) in [
            ("--stats", &common.stats),
            ("--navigator", &common.navigator),
        ] {
            if let Some(path) = path {
                check_written_last(option, path)?;
            }
        }
        if common.stats.is_some() && common.stats == common.navigator {
            return Err(Error::Usage(
                "--stats and --navigator name the same file: give each its own".to_owned(),
            ));
        }
        let window = match common.window.as_deref() {
            None => default_window,
            Some("none") => Window::None,
            Some("schedule") => Window::Schedule,
            Some(text) => Window::Every(span(text)?),
        };
        let time = |text: &Option<String>, default| {
            text.as_deref().map_or(Ok(default), |text| {
                Timestamp::parse(text).map_err(Error::Usage)
            })
        };
        let time_span = Span {
            since: time(&common.since, Timestamp::MIN)?,
            until: time(&common.until, Timestamp::MAX)?,
        };
        if time_span.since >= time_span.until {
            return Err(Error::Usage("--since is not before --until".to_owned()));
        }
        let limits = Limits {
            timeout: span(&common.timeout)?,
            ..Limits::default()
        };
        if limits.timeout.is_zero() {
            return Err(Error::Usage(
                "--timeout must be longer than nothing".to_owned(),
            ));
        }
        let known = Arc::new(known_resolvers(common.doh_resolvers.as_deref())?);
        Ok(Self {
            files: loading::Files::read(common, &known)?,
            ports: ports(common)?.with_known(Arc::clone(&known)),
            known,
            rowing: Rowing {
                window,
                sensor: common.sensor.clone().unwrap_or_else(host_name).into(),
                timeout: limits.timeout,
            },
            span: time_span,
            limits,
            places: [rows, hits, events, sources, risk],
            evidence,
            packets,
            remotes,
            format,
            event_format,
            shared_stdout,
            sinkholes: networks("--sinkhole", &common.sinkholes)?,
            roles: NamedRoles::new(
                &networks("--resolvers", &common.resolvers)?,
                &networks("--nat", &common.nat)?,
            ),
            metrics: common.metrics.as_deref().map(serve).transpose()?,
        })
    }

    /// Says where the metrics are.
    fn metrics(&self) -> Option<String> {
        let server = self.metrics.as_ref()?;
        Some(format!(
            "metrics are at http://{}/metrics",
            server.address()
        ))
    }

    /// The events that a database has of those that the rules ask for; all of them where all are asked for.
    fn stored(&self, remote: &Remote) -> Result<Stored, Error> {
        let stored = Stored::new(remote)?.between(self.span.since, self.span.until);
        let [_, _, events, _, _] = &self.places;
        Ok(match events.iter().all(|place| *place == Place::None) {
            true => stored.reached(&self.files.rules.reach()),
            false => stored,
        })
    }

    fn run(self, input: Input, common: &Common, show: fn(&str)) -> Result<Run, Error> {
        let Self {
            files,
            known,
            ports,
            rowing,
            span,
            limits,
            places,
            evidence,
            packets,
            mut remotes,
            format,
            event_format,
            shared_stdout,
            sinkholes,
            roles,
            metrics,
        } = self;
        let Loaded {
            rules,
            filters,
            assets,
            aggregator,
            scorer,
        } = rowing.load(files)?;
        let aggregator = if places.iter().flatten().any(Place::merges) {
            aggregator.with_parts()
        } else {
            aggregator
        };
        let table = table_options(common.local_time);
        let live = input.is_live();
        let mut deliveries = Deliveries::default();
        let mut open = |stream, places: &[Place]| -> Result<Writer, Error> {
            let columns = sink::columns(stream, rules.list());
            let mut writer = Writer::open(
                stream,
                places,
                &Options {
                    live,
                    format,
                    event_format,
                    columns: &columns,
                    shared_stdout,
                    table,
                },
            )?;
            for remark in writer.remarks() {
                tell(common, show)(&format!("dnsterrier: warning: {remark}\n"));
            }
            remotes.join(stream, event_format, &mut writer, &mut deliveries)?;
            Ok(writer)
        };
        let [rows, hits, events, sources, risk] = &places;
        let reload = live.then(|| {
            let streams = [
                (Stream::Rows, rows.as_slice()),
                (Stream::Hits, hits),
                (Stream::Risk, risk),
            ];
            let columns = FixedColumns::of(&streams, format, rules.list());
            anew(common, known, &rowing, columns)
        });
        let packets_to = |to: Option<(Place, PacketFormat)>| match to {
            Some(to) => Writer::packets(to, input.names(), live),
            None => Ok(Writer::no_packets()),
        };
        let writers = Writers {
            rows: open(Stream::Rows, rows)?,
            hits: open(Stream::Hits, hits)?,
            events: open(Stream::Events, events)?,
            sources: open(Stream::Sources, sources)?,
            risk: open(Stream::Risk, risk)?,
            sensors: open(Stream::Sensors, &[])?,
            evidence: packets_to(evidence)?,
            packets: packets_to(packets)?,
        };
        let maker = Maker {
            sensor: rowing.sensor,
            zone: common.cim_entity_zone.as_deref().map(Arc::from),
            assets,
            sources: input.names(),
            sinkholes,
            ports: ports.clone(),
            keeps_bytes: event_format == EventFormat::Dnstap,
        };
        let everything = !writers.events.is_none() || rules.needs_everything();
        Ok(Run {
            decoders: decoders(common.workers, live, everything),
            input,
            ports,
            tunnel_depth: common.tunnel_depth,
            count: common.count,
            span,
            limits,
            roles,
            maker,
            scorer,
            rules,
            aggregator,
            filters,
            writers,
            deliveries,
            deliver_timeout: remotes.timeout(live),
            table,
            show,
            tell: tell(common, show),
            reload,
            save: None,
            rotation: Rotation::default(),
            metrics,
        })
    }
}

/// How many threads decode: one does for candidates, of which there are few; to make events of everything takes many times what
/// it takes to read. A live run has as many as it has captures.
fn decoders(workers: Option<u16>, live: bool, everything: bool) -> usize {
    let most = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    match workers {
        Some(workers) => usize::from(workers),
        None if live || !everything => 1,
        None => most().saturating_sub(1).clamp(1, 8),
    }
}

/// How tables look on standard output.
#[must_use]
pub fn table_options(local_time: bool) -> TableOptions {
    TableOptions {
        colour: std::io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        width: std::io::stdout()
            .is_terminal()
            .then(terminal_size::terminal_size)
            .flatten()
            .map(|(width, _)| usize::from(width.0)),
        local_time,
    }
}

/// Where it is said that something happened: nowhere where nobody wants to know.
fn tell(common: &Common, show: fn(&str)) -> fn(&str) {
    if common.quiet { |_| {} } else { show }
}

/// Where spools are, for the commands that look after them.
///
/// # Errors
/// There is no folder for them.
pub fn spool_options(options: &SpoolOptions, tell: fn(&str)) -> Result<delivery::Options, Error> {
    remote::spool_options(options, true, tell)
}

/// How long these commands wait.
///
/// # Errors
/// The span is none.
pub fn deliver_timeout(options: &SpoolOptions) -> Result<Duration, Error> {
    options
        .deliver_timeout
        .as_deref()
        .map_or(Ok(remote::REPLAY), span)
}

/// The ports of DNS and of tunnels. One that has another meaning is not VXLAN's, and nobody is left to believe so.
fn ports(common: &Common) -> Result<Ports, Error> {
    let ports = Ports::new(&common.ports);
    for &port in &common.vxlan_ports {
        if let Some(other) = ports.taken_by(port) {
            return Err(Error::Usage(format!(
                "--vxlan-ports {port}: that is a port of {other}; VXLAN cannot be looked for on it"
            )));
        }
    }
    let ports = ports.with_vxlan(&common.vxlan_ports);
    Ok(if common.any_port {
        ports.and_anywhere()
    } else {
        ports
    })
}

/// Takes the address at which the metrics are to be.
fn serve(text: &str) -> Result<Server, Error> {
    let address = text.parse().map_err(|_| {
        Error::Usage(format!(
            "--metrics '{text}' is no address with a port: expected 127.0.0.1:9153, [::1]:9153 or, for other hosts too, 0.0.0.0:9153"
        ))
    })?;
    Server::bind(address).map_err(|error| Error::Metrics {
        address: text.to_owned(),
        reason: match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "{error}: another program serves there, perhaps another run; give another port, or 0 for any that is free"
            ),
            std::io::ErrorKind::AddrNotAvailable => {
                format!("{error}: no interface here has it; 127.0.0.1 is always there")
            }
            std::io::ErrorKind::PermissionDenied => format!("{error}: take a port from 1024 on"),
            _ => error.to_string(),
        },
    })
}

/// A number of bytes as people write it: `100M`, `1G`; K, M and G are powers of 1,024.
fn size(text: &str) -> Result<u64, Error> {
    let (number, unit) = match text.char_indices().next_back() {
        Some((place, 'K' | 'k')) => (text.get(..place), 1 << 10),
        Some((place, 'M' | 'm')) => (text.get(..place), 1 << 20),
        Some((place, 'G' | 'g')) => (text.get(..place), 1 << 30),
        _ => (Some(text), 1),
    };
    number
        .and_then(|number| number.parse().ok())
        .and_then(|number: u64| number.checked_mul(unit))
        .filter(|size| *size >= 4096)
        .ok_or_else(|| {
            Error::Usage(format!(
                "--rotate-size '{text}' is no size: expected 64K, 100M, 1G or a number of bytes, 4096 at least"
            ))
        })
}

/// How often files are rotated.
fn rotation_span(text: &str) -> Result<Duration, Error> {
    let every = span(text)?;
    if every < Duration::from_secs(1) {
        return Err(Error::Usage(format!(
            "--rotate-every {text}: a second at least"
        )));
    }
    Ok(every)
}

/// A span of time as people write it: `90s`, `10m`, `1h`, `1h 30m`.
fn span(text: &str) -> Result<Duration, Error> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|span| Duration::try_from(span).ok())
        .ok_or_else(|| {
            Error::Usage(format!(
                "'{text}' is not a span of time: expected 30s, 10m, 1h, 1h30m or the like"
            ))
        })
}

/// The networks that an option names; an address alone is one, too.
fn networks(option: &str, texts: &[String]) -> Result<Vec<ipnet::IpNet>, Error> {
    let network = |text: &String| {
        event::network(text).ok_or_else(|| {
            Error::Usage(format!(
                "{option} '{text}' is not a network: expected 192.0.2.0/24, 2001:db8::/32 or an address"
            ))
        })
    };
    texts.iter().map(network).collect()
}

fn host_name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// Whether what an option asks for can be written at the end, asked before anything is read.
fn check_written_last(option: &'static str, path: &Path) -> Result<(), Error> {
    if path == Path::new("-") {
        return Err(Error::Usage(format!(
            "{option} - is no file name: for standard error write {option} /dev/stderr, for standard output {option} \
             /dev/stdout (with --rows none)"
        )));
    }
    if path.is_dir() {
        return Err(Error::Usage(format!(
            "{option} {} is a directory: give a file name in it",
            path.display()
        )));
    }
    let failed = |reason: String| Error::Last {
        option,
        path: path.display().to_string(),
        reason,
    };
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(failed(format!(
            "there is no such folder; make it with: mkdir -p {}",
            folder.display()
        )));
    }
    if is_written_to(path) {
        return Ok(());
    }
    tempfile::tempfile_in(folder)
        .map(drop)
        .map_err(|error| failed(error.to_string()))
}

/// Whether a path is written to as it is, for no other file could take its place: a FIFO, a device, a descriptor, whatever
/// that leads to.
fn is_written_to(path: &Path) -> bool {
    is_descriptor(path) || (path.exists() && !path.is_file())
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Writes a file that appears under its name only when it is whole.
///
/// # Errors
/// What the system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    if is_written_to(path) {
        return std::fs::OpenOptions::new()
            .append(true)
            .open(path)?
            .write_all(bytes);
    }
    // A symbolic link stays one: the file it points to is replaced.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder_of(&path))?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}
