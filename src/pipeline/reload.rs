//! What a run can take anew while it goes on: rules, filters, assets, and what follows from them.
//!
//! A thread of its own reads and checks the files, so that nothing waits for it. What it read travels with a batch: each
//! stage changes over as it takes that batch, and so all of them at the same packet.

use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::{Asking, Signals};
use crate::aggregate::Aggregator;
use crate::event::Assets;
use crate::risk::Scorer;
use crate::rule::{Filters, Rules};

/// What was read anew, and checked.
#[derive(Debug)]
pub struct Loaded {
    /// The rules.
    pub rules: Arc<Rules>,
    /// The user's exceptions.
    pub filters: Filters,
    /// What is known of addresses.
    pub assets: Assets,
    /// An aggregation of the rules' hits, of none yet.
    pub aggregator: Aggregator,
    /// A scorer of the rules' rows, of none yet.
    pub scorer: Scorer,
}

/// Reads everything anew; says all that is wrong with it where it cannot be taken.
pub type Load = Box<dyn FnMut() -> Result<Loaded, String> + Send>;

/// What was read anew, on its way: for a capture thread, and for those behind it.
pub(super) struct Reloaded {
    pub(super) interest: Asking,
    /// Goes on with a batch of the first capture thread, and holds for it and for all that come after.
    pub(super) loaded: Option<Box<Loaded>>,
}

/// The capture thread's look at what it was told from outside; whether the run is to end.
pub(super) fn look_at(signals: &Signals, ask: Option<&Sender<()>>) -> bool {
    use std::sync::atomic::Ordering::Relaxed;
    if signals.hangup.load(Relaxed) && signals.hangup.swap(false, Relaxed) {
        match ask {
            Some(ask) if !(signals.is_orphaned)() => {
                signals.reopen.store(true, Relaxed);
                match ask.try_send(()) {
                    // Who asks while it is being read anew has it read once more; once is enough for several.
                    Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
                }
            }
            _ => signals.stop.store(true, Relaxed),
        }
    }
    signals.stop.load(Relaxed)
}

/// Spawns the loader thread, where there is something to load: it reads anew whenever it is asked to, until nobody can ask
/// any more. Where what it read cannot be taken it says so, and sends nothing but that.
pub(super) fn spawn<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    load: Option<Load>,
    everything_asked_for: bool,
    asked: Receiver<()>,
    captures: Vec<Sender<Option<Reloaded>>>,
    tell: fn(&str),
) -> Option<std::io::Result<thread::ScopedJoinHandle<'scope, ()>>> {
    let mut load = load?;
    let run = move || {
        for () in asked {
            let loaded = load();
            if let Err(mistakes) = &loaded {
                tell(&format!(
                    "dnsterrier: {mistakes}\ndnsterrier: nothing was reloaded: the rules, filters, lookups and assets stay as they were\n"
                ));
            }
            let interest = loaded.as_ref().ok().map(|loaded| Asking {
                everything: everything_asked_for || loaded.rules.needs_everything(),
                rules: Arc::clone(&loaded.rules),
            });
            let mut loaded = loaded.ok().map(Box::new);
            let Some((first, others)) = captures.split_first() else {
                return;
            };
            let mut reloaded = || {
                Some(Reloaded {
                    interest: interest.clone()?,
                    loaded: loaded.take(),
                })
            };
            if first.send(reloaded()).is_err() {
                return;
            }
            for other in others {
                // One of these may have ended before.
                match reloaded().map(|reloaded| other.send(Some(reloaded))) {
                    Some(Ok(()) | Err(_)) | None => {}
                }
            }
        }
    };
    let loader = thread::Builder::new().name("loader".to_owned());
    Some(loader.spawn_scoped(scope, run))
}
