//! `dnsterrier spool`: what waits for places in the network, and sending it.

use std::time::Duration;

use crate::cli::SpoolCommand;
use crate::config;
use crate::delivery::{self, Deliveries, DeliveryError, Found, Options, Target};
use crate::error::Error;
use crate::sink::{Remote, Stream};
use crate::stats;

/// Carries the command out; what it has to say goes to `print`. `hurry` says that somebody has waited long enough.
///
/// # Errors
/// A spool cannot be read, or could not be emptied.
pub fn run(
    command: SpoolCommand,
    print: &mut dyn FnMut(&str) -> Result<(), Error>,
    tell: fn(&str),
    hurry: &dyn Fn() -> bool,
) -> Result<(), Error> {
    match command {
        SpoolCommand::List { spool } => {
            let options = config::spool_options(&spool, tell)?;
            let found = delivery::look(&options.folder)?;
            if found.is_empty() {
                return print(&nothing(&options));
            }
            print(&listed(&found))
        }
        SpoolCommand::Flush { spool } => {
            let options = config::spool_options(&spool, tell)?;
            let span = config::deliver_timeout(&spool)?;
            let (text, failures) = flush(&options, span, hurry)?;
            print(&text)?;
            match failures.is_empty() {
                true => Ok(()),
                false => Err(DeliveryError::Left(failures.join("\n")).into()),
            }
        }
    }
}

/// That there is nothing to do.
fn nothing(options: &Options) -> String {
    format!("nothing waits in {}\n", options.folder.display())
}

fn listed(found: &[Found]) -> String {
    let mut text = String::new();
    for spool in found {
        match &spool.owner {
            Ok(owner) => text.push_str(&format!(
                "{:<8} {}  {} waiting, {} refused, in {}\n",
                owner.stream,
                owner.place,
                size(spool.bytes),
                size(spool.refused),
                spool.folder.display()
            )),
            Err(error) => text.push_str(&format!("-        {error}\n")),
        }
    }
    text
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    match bytes {
        0 => "nothing".to_owned(),
        1..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{} KiB", bytes / 1_024),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}

/// Sends what waits in all spools; those that cannot be used do not stop the others.
/// What became of each, and what went wrong.
fn flush(
    options: &Options,
    span: Duration,
    hurry: &dyn Fn() -> bool,
) -> Result<(String, Vec<String>), Error> {
    let mut deliveries = Deliveries::default();
    let mut failures: Vec<String> = Vec::new();
    for spool in delivery::look(&options.folder)? {
        if spool.owner.is_ok() && spool.bytes == 0 {
            continue;
        }
        let opened = spool.owner.and_then(|owner| {
            let stream = Stream::ALL
                .into_iter()
                .find(|stream| stream.name() == owner.stream)
                .ok_or_else(|| DeliveryError::Spool {
                    path: spool.folder.clone(),
                    reason: format!("there is no stream '{}'", owner.stream),
                })?;
            let remote = Remote::parse(&owner.place)
                .map_err(|error| DeliveryError::Usage(error.to_string()))?;
            // Nothing comes, and so the outlet is not kept.
            deliveries
                .open(Target::new(stream, &remote)?, options)
                .map(drop)
        });
        if let Err(error) = opened {
            failures.push(error.to_string());
        }
    }
    let ended = deliveries.finish(span, hurry);
    let mut text = String::new();
    for delivery in &ended {
        let [_, records] = stats::Delivery::nouns(&delivery.stream);
        text.push_str(&format!(
            "{records} to {}: {} delivered, {} refused, {} damaged, {} left\n",
            delivery.place, delivery.delivered, delivery.refused, delivery.damaged, delivery.left
        ));
    }
    if ended.is_empty() && failures.is_empty() {
        text = nothing(options);
    }
    failures.extend(ended.iter().filter_map(not_delivered));
    Ok((text, failures))
}

/// That something was left, why, and how to send it.
#[must_use]
pub fn left(delivery: &stats::Delivery) -> Option<String> {
    let folder = std::path::Path::new(&delivery.spool).parent()?;
    let what = not_delivered(delivery)?;
    let command = "dnsterrier spool flush --spool";
    Some(format!(
        "{what}; to send what waits: {command} {}",
        folder.display()
    ))
}

/// That something was left, and why.
fn not_delivered(delivery: &stats::Delivery) -> Option<String> {
    let [one, many] = stats::Delivery::nouns(&delivery.stream);
    let (records, is, waits) = match delivery.left {
        0 => return None,
        1 => (one, "is", "waits"),
        _ => (many, "are", "wait"),
    };
    let why = delivery.trouble.as_ref();
    Some(format!(
        "{} {records} for {} {is} not delivered{} and {waits} in {}",
        delivery.left,
        delivery.place,
        why.map(|why| format!(" ({why})")).unwrap_or_default(),
        delivery.spool,
    ))
}
