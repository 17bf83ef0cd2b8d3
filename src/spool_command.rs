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
            print(&listed(&found))
        }
        SpoolCommand::Flush { spool } => {
            let options = config::spool_options(&spool, tell)?;
            let span = config::deliver_timeout(&spool)?;
            let text = flush(&options, span, hurry)?;
            print(&text)
        }
    }
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
fn flush(options: &Options, span: Duration, hurry: &dyn Fn() -> bool) -> Result<String, Error> {
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
        text.push_str(&format!(
            "{} for {}: {} delivered, {} refused, {} damaged, {} left\n",
            delivery.stream,
            delivery.place,
            delivery.delivered,
            delivery.refused,
            delivery.damaged,
            delivery.left
        ));
    }
    failures.extend(ended.iter().filter_map(left));
    if failures.is_empty() {
        Ok(text)
    } else {
        Err(DeliveryError::Left(format!("{text}{}", failures.join("\n"))).into())
    }
}

/// That something was left, why, and how to send it.
#[must_use]
pub fn left(delivery: &stats::Delivery) -> Option<String> {
    let folder = std::path::Path::new(&delivery.spool).parent()?;
    (delivery.left > 0).then(|| {
        format!(
            "{} {} for {} are not delivered{} and wait in {}; send them with: dnsterrier spool flush --spool {}",
            delivery.left,
            delivery.stream,
            delivery.place,
            delivery
                .trouble
                .as_ref()
                .map(|why| format!(" ({why})"))
                .unwrap_or_default(),
            delivery.spool,
            folder.display()
        )
    })
}
