//! When a live run's files give way to new ones, and what the old ones are called.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{self, Sink};
#[cfg(feature = "parquet")]
use super::output::Form;
use super::packed::Packing;
use super::{Place, SinkError, Writer};
use crate::time::Timestamp;

/// When files are rotated; by default never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Once a file has so many bytes.
    pub size: Option<u64>,
    /// Whenever so much packet time is over, counted from 1970 on: an hour's ends on the hour.
    pub every: Option<Duration>,
    /// The span that packet time is in.
    span: Option<i64>,
}

impl Rotation {
    /// Files of that many bytes, or of that much time.
    #[must_use]
    pub const fn new(size: Option<u64>, every: Option<Duration>) -> Self {
        Self {
            size,
            every,
            span: None,
        }
    }

    /// Packet time has come to `now`: the end of the span that is over with it.
    pub fn advance(&mut self, now: Timestamp) -> Option<Timestamp> {
        let length = i64::try_from(self.every?.as_nanos()).ok()?;
        let span = now.as_nanos().checked_div_euclid(length)?;
        let before = *self.span.get_or_insert(span);
        if span <= before {
            return None;
        }
        self.span = Some(span);
        span.checked_mul(length).map(Timestamp::from_nanos)
    }
}

impl Writer {
    /// Gives the files that have records another name and begins new ones: all where a span is `over`, those that have
    /// the rotation's size else. Files of Parquet get their names by the same, and by the hours. The name is that of the file with the time before its ending.
    ///
    /// # Errors
    /// As for [`Writer::flush`] and [`Writer::open`]. A file that could not be given another name goes on as it was.
    pub fn rotate(
        &mut self,
        rotation: Rotation,
        over: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), SinkError> {
        let size = rotation.size;
        for output in &mut self.outputs {
            #[cfg(feature = "parquet")]
            if let Form::Parquet(dataset) = &mut output.form {
                let advanced = dataset.advance(rotation, over, now);
                advanced.map_err(|error| output.failed(self.name, error))?;
                continue;
            }
            let Some(file) = output.buffer.target().growing() else {
                continue;
            };
            // What waits for a compressed file has no size there yet.
            let waiting = match output.buffer.target() {
                Sink::Growing(_) => output.buffer.waiting() as u64,
                _ => 0,
            };
            let is_large = |size| {
                file.metadata()
                    .is_ok_and(|found| found.len().saturating_add(waiting) >= size)
            };
            if !(over.is_some() || size.is_some_and(is_large)) {
                continue;
            }
            let flushed = output.print_table().and_then(|()| output.buffer.flush());
            flushed.map_err(|error| output.failed(self.name, error))?;
            if output.buffer.written() == 0 {
                continue;
            }
            let closed = output.close();
            closed.map_err(|error| output.failed(self.name, error))?;
            let Place::File { path, .. } = &output.place else {
                continue;
            };
            // Who has moved it away has rotated it.
            if output
                .buffer
                .target()
                .growing()
                .is_some_and(|file| file::is_at(file, path))
            {
                let old = free_name(path, over.unwrap_or(now));
                std::fs::rename(path, &old).map_err(|error| SinkError::Open {
                    path: old,
                    reason: format!("{} cannot get this name: {error}", path.display()),
                })?;
            }
            let opened = file::open(path, true, output.form.beginning())?;
            output.buffer = output.form.begin(opened);
        }
        Ok(())
    }
}

/// `events.2026-11-28T18-00-00Z.jsonl.gz` for `events.jsonl.gz`; with a number where there is one of that name.
fn free_name(path: &Path, time: Timestamp) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // What says the format, and before it how that is compressed.
    let endings = if Packing::of(path).is_some() { 2 } else { 1 };
    let dots = name.rmatch_indices('.').take(endings);
    let (stem, ending) = match dots.last() {
        Some((place, _)) => name.split_at(place),
        None => (name.as_ref(), ""),
    };
    let time = time.to_second().replace(':', "-");
    let first = path.with_file_name(format!("{stem}.{time}{ending}"));
    let further =
        (2_u32..).map(|number| path.with_file_name(format!("{stem}.{time}.{number}{ending}")));
    std::iter::once(first)
        .chain(further)
        .find(|name| std::fs::symlink_metadata(name).is_err())
        .unwrap_or_else(|| path.to_owned())
}
