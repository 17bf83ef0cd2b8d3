//! What a record has to offer to be written in any format.

use std::borrow::Cow;
use std::io;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Stream;
use super::envelope::{self, Label};
use super::format::{self, EventFormat};
use super::table::TableLine;
use crate::event::{Event, Field, Kind, Value};
use crate::time::Timestamp;

/// Something that a stream carries. Its JSON is what [`Serialize`] makes of it: one object.
pub trait Record: Serialize {
    /// Puts the value of that column into the cell; leaves it alone where there is none.
    fn fill(&self, column: &str, cell: &mut Cell);

    /// Appends it as one object of JSON.
    ///
    /// # Errors
    /// Those of serializing it.
    fn write_json(&self, to: &mut Vec<u8>) -> io::Result<()> {
        Ok(serde_json::to_writer(to, self)?)
    }

    /// Writes it with all that is needed to merge it with those of other sensors: one object of JSON.
    ///
    /// # Errors
    /// What the writer says.
    fn write_whole(&self, to: &mut Vec<u8>) -> io::Result<()> {
        self.write_json(to)
    }

    /// Whether it is for that alone, and nothing that a person asked for.
    fn is_held_back(&self) -> bool {
        false
    }

    /// Its time, where another tool's form has that above or below the records.
    fn time(&self) -> Option<Timestamp> {
        None
    }

    /// Appends the record in another tool's words, with its line feeds; in its own where these have none for it.
    ///
    /// # Errors
    /// Those of serializing it.
    fn encode(&self, _format: EventFormat, out: &mut Vec<u8>) -> io::Result<()>
    where
        Self: Sized,
    {
        format::line(self, out)
    }

    /// What whoever brings it to a place in the network has to know of it.
    ///
    /// # Errors
    /// Those of serializing it.
    fn label(&self, stream: Stream) -> io::Result<Label>
    where
        Self: Sized,
    {
        envelope::label(stream, self)
    }

    /// The record as a line of a table; `None` where its stream has no tables.
    fn table_line(&self) -> Option<TableLine<'_>> {
        None
    }
}

/// A cell of CSV or TSV, before quoting.
#[derive(Debug, Default)]
pub struct Cell {
    text: String,
    items: usize,
}

impl Cell {
    /// The one value of a column.
    pub fn value(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// One more value of a column that is a list: joined with `|`; `|` and `\` in a value get a `\` in front.
    pub fn item(&mut self, text: &str) {
        if self.items > 0 {
            self.text.push('|');
        }
        self.items = self.items.saturating_add(1);
        for character in text.chars() {
            if matches!(character, '|' | '\\') {
                self.text.push('\\');
            }
            self.text.push(character);
        }
    }

    /// What is in it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.items = 0;
    }
}

impl Record for Event {
    fn fill(&self, column: &str, cell: &mut Cell) {
        let Some(field) = Field::from_name(column) else {
            let added = self
                .added
                .iter()
                .filter(|added| added.field.name() == column);
            for added in added {
                match added.is_list {
                    true => added.values.iter().for_each(|value| cell.item(value)),
                    false => added.values.iter().for_each(|value| cell.value(value)),
                }
            }
            return;
        };
        match field.kind() {
            Kind::One => self.each(field, &mut |value| cell.value(&value.text())),
            Kind::Many => self.each(field, &mut |value| cell.item(&value.text())),
        }
    }

    fn write_json(&self, to: &mut Vec<u8>) -> io::Result<()> {
        Self::write_json(self, to)
    }

    fn time(&self) -> Option<Timestamp> {
        Some(self.time)
    }

    fn encode(&self, format: EventFormat, out: &mut Vec<u8>) -> io::Result<()> {
        format::event(self, format, out)
    }

    // Nobody serializes a million events twice.
    fn label(&self, _stream: Stream) -> io::Result<Label> {
        Ok(Label {
            id: Value::Id(self.event_id).to_string(),
            time: Some(self.time.to_string()),
            host: Some(self.sensor.to_string()),
            source: Some(self.source.to_string()),
        })
    }
}

/// An event with the rule that it matched.
#[derive(Clone, Copy, Debug)]
pub struct HitRecord<'a> {
    /// The rule's name.
    pub rule: &'a str,
    /// The event.
    pub event: &'a Event,
}

impl Serialize for HitRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("rule", self.rule)?;
        self.event.serialize_into(&mut map)?;
        map.end()
    }
}

impl Record for HitRecord<'_> {
    fn fill(&self, column: &str, cell: &mut Cell) {
        if column == "rule" {
            cell.value(self.rule);
        } else {
            self.event.fill(column, cell);
        }
    }

    fn write_json(&self, to: &mut Vec<u8>) -> io::Result<()> {
        to.extend_from_slice(b"{\"rule\":");
        serde_json::to_writer(&mut *to, self.rule)?;
        self.event.write_members(to)?;
        to.push(b'}');
        Ok(())
    }

    fn encode(&self, format: EventFormat, out: &mut Vec<u8>) -> io::Result<()> {
        format::hit(self, format, out)
    }

    fn label(&self, stream: Stream) -> io::Result<Label> {
        let mut label = self.event.label(stream)?;
        label.id = envelope::hit_id(&label.id, self.rule);
        Ok(label)
    }
}

/// The record with the stream's name in front, for streams that share standard output.
#[derive(serde::Serialize)]
pub(super) struct Named<'a, R> {
    pub(super) stream: &'static str,
    #[serde(flatten)]
    pub(super) record: &'a R,
}

/// Whether all characters are printable ones of ASCII, as of nearly all texts, so that each takes one column.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The text with every character escaped that could drive a terminal or reorder its line.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let harmless = |character: char| {
        !character.is_control()
            && !matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if is_plain(text) || text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if harmless(character) {
            escaped.push(character);
        } else {
            escaped.extend(character.escape_default());
        }
    }
    Cow::Owned(escaped)
}
