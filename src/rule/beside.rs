//! Two things made at the same time: what takes long as a run begins is split so that a second core helps.

use std::thread;

/// What both give; the first in a thread of its own where that is worth one, and there is one to be had.
pub fn both<A: Send, B>(
    is_much: bool,
    one: impl Fn() -> A + Sync,
    other: impl FnOnce() -> B,
) -> (A, B) {
    if !is_much {
        return (one(), other());
    }
    thread::scope(
        |scope| match thread::Builder::new().spawn_scoped(scope, &one) {
            Ok(thread) => {
                let other = other();
                match thread.join() {
                    Ok(one) => (one, other),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Err(_) => (one(), other()),
        },
    )
}
