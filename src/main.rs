//! Parse the command line, run, map the error to an exit status.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use dnsterrier::capture::interfaces;
use dnsterrier::cli::{Cli, Command, Common, with_command};
use dnsterrier::config::{self, Ready};
use dnsterrier::delivery::DeliveryError;
use dnsterrier::error::Error;
use dnsterrier::frame::refused_link;
use dnsterrier::navigator::Layer;
use dnsterrier::pipeline::{InputError, Report, Signals};
use dnsterrier::{fleet_command, rules_command, spool_command, totals};

fn main() -> ExitCode {
    let arguments =
        with_command(std::env::args_os().collect()).unwrap_or_else(|error| error.exit());
    let cli = Cli::parse_from(arguments);
    let result = match cli.command {
        Command::Sniff(arguments) => {
            let told = Told::of(&arguments.common);
            config::sniff(*arguments, say).and_then(|ready| run(ready, &told))
        }
        Command::Replay(arguments) => {
            let told = Told::of(&arguments.common);
            config::replay(*arguments, say).and_then(|ready| run(ready, &told))
        }
        Command::Interfaces => show_interfaces(),
        Command::Spool(arguments) => signals(false).and_then(|signals| {
            let is_set = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
            let hurry = || is_set(&signals.stop) || is_set(&signals.hangup);
            spool_command::run(arguments.command, &mut print, say, &hurry)
                .map(|()| ExitCode::SUCCESS)
        }),
        Command::Fleet(arguments) => {
            fleet_command::fleet(arguments.command, &mut print, say).map(|()| ExitCode::SUCCESS)
        }
        Command::ClickHouse(arguments) => {
            fleet_command::clickhouse(arguments.command, &mut print).map(|()| ExitCode::SUCCESS)
        }
        Command::Rules(arguments) => {
            rules_command::run(arguments.command, &mut print).map(|()| ExitCode::SUCCESS)
        }
    };
    match result {
        Ok(status) => status,
        Err(error) => {
            let status = error.status();
            if status != ExitCode::SUCCESS {
                say(&format!("dnsterrier: {error}\n"));
            }
            status
        }
    }
}

/// How much is said at the end, and where.
struct Told {
    quiet: bool,
    verbose: bool,
    fail_on_hit: bool,
    stats: Option<std::path::PathBuf>,
    navigator: Option<std::path::PathBuf>,
}

impl Told {
    fn of(common: &Common) -> Self {
        Self {
            quiet: common.quiet,
            verbose: common.verbose,
            fail_on_hit: common.fail_on_hit,
            stats: common.stats.clone(),
            navigator: common.navigator.clone(),
        }
    }
}

/// Runs, and tells how it went.
fn run(ready: Ready, told: &Told) -> Result<ExitCode, Error> {
    let Ready { mut run, greeting } = ready;
    if let Some(path) = told.stats.clone() {
        run.save = Some(Box::new(move |stats| {
            if let Err(error) = write_last("--stats", &path, stats) {
                say(&format!("dnsterrier: {error}\n"));
            }
        }));
    }
    let signals = signals(run.reload.is_some())?;
    if let Some(greeting) = greeting.filter(|_| !told.quiet) {
        say(&format!("dnsterrier: {greeting}\n"));
    }
    let report = run.run(&signals);
    if let Some(path) = &told.stats {
        write_last("--stats", path, &report.stats)?;
    }
    // Where nothing more could be written the run ended before its counters came together; where nothing could be read
    // the error says it all.
    let nothing_read = !report.inputs.is_empty() && report.stats.received() == 0;
    if let Some(path) = &told.navigator
        && report.output.is_ok()
        && !nothing_read
    {
        write_last("--navigator", path, &Layer::of(&report))?;
    }
    if !told.quiet && report.output.is_ok() && !nothing_read {
        say(&totals::totals(&report, told.verbose));
    }
    end(report, told)
}

/// Writes what an option asks for after the run, as JSON.
fn write_last(
    option: &'static str,
    path: &std::path::Path,
    what: &impl serde::Serialize,
) -> Result<(), Error> {
    let failed = |reason| Error::Last {
        option,
        path: path.display().to_string(),
        reason,
    };
    let mut bytes = serde_json::to_vec_pretty(what).map_err(|error| failed(error.to_string()))?;
    bytes.push(b'\n');
    config::write_whole(path, &bytes).map_err(|error| failed(error.to_string()))
}

/// The worst of what happened decides the exit status; all of it is said.
fn end(report: Report, told: &Told) -> Result<ExitCode, Error> {
    let Report {
        stats,
        inputs,
        live,
        output,
        panicked,
        ..
    } = report;
    let mut errors: Vec<Error> = inputs
        .into_iter()
        .map(|error| match error {
            InputError::Capture(error) => error.into(),
            InputError::Stored(error) => error.into(),
        })
        .collect();
    errors.extend(output.err().map(Error::from));
    errors.extend(panicked.map(|thread| Error::Bug(format!("the {thread} thread panicked"))));
    let whole = errors.is_empty();
    if whole && let Some(broken) = stats.identities.iter().find(|identity| !identity.holds) {
        errors.push(Error::Bug(format!(
            "{}: {} is not {}",
            broken.says, broken.left, broken.right
        )));
    }
    for left in stats.deliveries.iter().filter_map(spool_command::left) {
        // What a live run leaves the next one sends.
        if live {
            say(&format!("dnsterrier: {left}\n"));
        } else {
            errors.push(Error::Delivery(DeliveryError::Left(left)));
        }
    }
    let last = errors.pop();
    for error in errors {
        say(&format!("dnsterrier: {error}\n"));
    }
    match last {
        Some(error) => Err(error),
        None if told.fail_on_hit && stats.rows.rows > 0 => Ok(ExitCode::from(4)),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Ctrl-C and SIGTERM end a run, SIGUSR1 shows the rows so far and writes the statistics. SIGHUP has rules and the like read anew, or ends a run that
/// cannot do that, or whose terminal has gone: unless SIGHUP was ignored from the start, as nohup has it.
fn signals(reloads: bool) -> Result<Signals, Error> {
    let ignored = is_hangup_ignored();
    let had_terminal = !terminal_is_gone();
    let signals = Signals {
        is_orphaned: if had_terminal && !ignored {
            terminal_is_gone
        } else {
            || false
        },
        ..Signals::default()
    };
    let refused = |reason: String| Error::System {
        what: "cannot handle signals",
        reason,
    };
    let stop = Arc::clone(&signals.stop);
    ctrlc::set_handler(move || stop.store(true, Ordering::Relaxed))
        .map_err(|error| refused(error.to_string()))?;
    let mut flags = vec![
        (signal_hook::consts::SIGTERM, &signals.stop),
        (signal_hook::consts::SIGUSR1, &signals.show),
    ];
    if reloads || !ignored {
        flags.push((signal_hook::consts::SIGHUP, &signals.hangup));
    }
    for (signal, flag) in flags {
        signal_hook::flag::register(signal, Arc::clone(flag))
            .map_err(|error| refused(error.to_string()))?;
    }
    Ok(signals)
}

/// Whether there is no terminal, or none any more, that controls this process: then nothing can be opened by its name.
fn terminal_is_gone() -> bool {
    std::fs::File::open("/dev/tty").is_err()
}

/// Whether whoever started this process had it ignore SIGHUP, as nohup does.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (signal_hook::consts::SIGHUP - 1) != 0)
}

/// The interfaces, each with what is missing to sniff on it.
fn show_interfaces() -> Result<ExitCode, Error> {
    let mut text = String::new();
    for interface in interfaces()? {
        let interface = interface.tried(refused_link);
        let addresses: Vec<String> = interface
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect();
        let state = match (&interface.refused, interface.is_up) {
            (Some(refused), _) => refused.clone(),
            (None, true) => "ready".to_owned(),
            (None, false) => "ready, but down".to_owned(),
        };
        text.push_str(&format!("{:<16} {state}", interface.name));
        if !addresses.is_empty() {
            text.push_str(&format!("  ({})", addresses.join(", ")));
        }
        text.push('\n');
    }
    print(&text).map(|()| ExitCode::SUCCESS)
}

/// Writes to standard output.
fn print(text: &str) -> Result<(), Error> {
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Error::Sink(dnsterrier::sink::SinkError::BrokenPipe),
            _ => Error::System {
                what: "cannot write to standard output",
                reason: error.to_string(),
            },
        })
}

/// Writes to standard error; where that is gone, nobody is there to be told.
fn say(text: &str) {
    io::stderr().write_all(text.as_bytes()).ok();
}
