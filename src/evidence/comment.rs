//! What is said of a packet: which rule hit, and which rows it is part of.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::aggregate::PlaceOfRows;
use crate::event::{Event, Value};

/// The most bytes of a comment: an option of pcapng has no room for more.
const LONGEST: usize = 60_000;

/// The comment of a hit: an object of JSON with the words of the rows, and the event's identity. `lost` packets of it are not
/// there.
pub(super) fn text(event: &Event, rows: &PlaceOfRows, lost: u64) -> Arc<str> {
    let comment = Comment { event, rows, lost };
    // Writing to memory does not fail; were it to, the tests would.
    let mut text = serde_json::to_string(&comment).unwrap_or_default();
    text.truncate(text.floor_char_boundary(LONGEST));
    text.into()
}

struct Comment<'a> {
    event: &'a Event,
    rows: &'a PlaceOfRows,
    lost: u64,
}

impl Serialize for Comment<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.rows.entries(&mut map)?;
        map.serialize_entry("hit", &Value::Id(self.event.event_id))?;
        if self.lost > 0 {
            map.serialize_entry("packets_lost", &self.lost)?;
        }
        map.end()
    }
}
