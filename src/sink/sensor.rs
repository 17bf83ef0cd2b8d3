//! What a sensor says of itself, for those who look at many.

use serde::Serialize;

use super::record::{Cell, Record};
use crate::event::Value;
use crate::stats::Stats;
use crate::time::Timestamp;

/// A sensor's counters so far, of one run.
#[derive(Clone, Debug, Serialize)]
pub struct SensorRecord<'a> {
    sensor: &'a str,
    version: &'a str,
    /// Capture time of the first packet, and of the latest.
    #[serde(rename = "firstTime")]
    first: Option<Timestamp>,
    #[serde(rename = "lastTime")]
    last: Option<Timestamp>,
    received: u64,
    kernel_dropped: u64,
    interface_dropped: u64,
    events: u64,
    evicted: u64,
    hits: u64,
    rows: u64,
    event_id: Value<'static>,
}

impl<'a> SensorRecord<'a> {
    /// That of a sensor of this name with these counters.
    #[must_use]
    pub fn of(sensor: &'a str, stats: &Stats) -> Self {
        let mut record = Self {
            sensor,
            version: env!("CARGO_PKG_VERSION"),
            first: stats.capture.first,
            last: stats.capture.last,
            received: stats.capture.received,
            kernel_dropped: stats.capture.kernel_dropped,
            interface_dropped: stats.capture.interface_dropped,
            events: stats
                .events
                .made
                .saturating_add(stats.events.not_looked_into),
            evicted: stats.events.evicted,
            hits: stats.rows.hits,
            rows: stats.rows.rows,
            event_id: Value::Id([0; 16]),
        };
        // A hash of all that it says.
        let text = serde_json::to_vec(&record).unwrap_or_default();
        let hash = *blake3::hash(&text).as_bytes();
        record.event_id = Value::Id(hash.first_chunk().copied().unwrap_or_default());
        record
    }
}

impl Record for SensorRecord<'_> {
    /// It goes nowhere as CSV.
    fn fill(&self, _column: &str, _cell: &mut Cell) {}
}
