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
use crate::transaction::Interest;

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

/// What came of reading anew: for the matcher, and for the decoder before it; nothing where it could not be taken.
pub(super) struct Reloaded {
    pub(super) interest: Box<dyn Interest>,
    pub(super) further: Box<Further>,
}

/// What goes on with a batch, and holds for it and for all that come after.
#[derive(Debug)]
pub(super) struct Further {
    pub(super) assets: Option<Assets>,
    pub(super) rules: Arc<Rules>,
    pub(super) filters: Filters,
    pub(super) aggregator: Aggregator,
    pub(super) scorer: Scorer,
}

/// The loader thread: reads anew whenever it is asked to, until nobody can ask any more.
pub(super) fn load_when_asked(
    mut load: Load,
    everything_asked_for: bool,
    asked: &Receiver<()>,
    reloaded: &Sender<Option<Reloaded>>,
    tell: fn(&str),
) {
    for () in asked {
        let loaded = match load() {
            Ok(loaded) => {
                let Loaded {
                    rules,
                    filters,
                    assets,
                    aggregator,
                    scorer,
                } = loaded;
                Some(Reloaded {
                    interest: Box::new(Asking {
                        everything: everything_asked_for || rules.needs_everything(),
                        rules: Arc::clone(&rules),
                    }),
                    further: Box::new(Further {
                        assets: Some(assets),
                        rules,
                        filters,
                        aggregator,
                        scorer,
                    }),
                })
            }
            Err(mistakes) => {
                tell(&format!(
                    "dnsterrier: {mistakes}\ndnsterrier: nothing was reloaded: the rules, filters, lookups and assets stay as they were\n"
                ));
                None
            }
        };
        if reloaded.send(loaded).is_err() {
            return;
        }
    }
}

/// The capture thread's look at what it was told from outside; whether the run is to end.
pub(super) fn look_at(signals: &Signals, ask: Option<&Sender<()>>) -> bool {
    use std::sync::atomic::Ordering::Relaxed;
    if signals.hangup.load(Relaxed) && signals.hangup.swap(false, Relaxed) {
        match ask {
            Some(ask) if !(signals.is_orphaned)() => match ask.try_send(()) {
                // Who asks while it is being read anew has it read once more; once is enough for several.
                Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
            },
            _ => signals.stop.store(true, Relaxed),
        }
    }
    signals.stop.load(Relaxed)
}

/// Spawns the loader thread, where there is something to load.
pub(super) fn spawn<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    load: Option<Load>,
    everything_asked_for: bool,
    asked: Receiver<()>,
    reloaded: Sender<Option<Reloaded>>,
    tell: fn(&str),
) -> Option<std::io::Result<thread::ScopedJoinHandle<'scope, ()>>> {
    let load = load?;
    Some(
        thread::Builder::new()
            .name("loader".to_owned())
            .spawn_scoped(scope, move || {
                load_when_asked(load, everything_asked_for, &asked, &reloaded, tell);
            }),
    )
}
