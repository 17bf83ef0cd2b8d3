//! Rows and sources as records.

use std::io;

use super::Stream;
use super::format::{self, EventFormat};
use super::record::{Cell, Record};
use super::table::{Measure, TableLine, TableOptions, TableRow, TableSource, render};
use crate::aggregate::sources::SourceRow;
use crate::aggregate::{self, Row, WithPart};
use crate::event::Value;
use crate::time::Timestamp;

impl Record for Row {
    fn fill(&self, column: &str, cell: &mut Cell) {
        self.each(&mut |name, value| {
            if name == column {
                match value {
                    list @ aggregate::Cell::List(_) => list.texts(&mut |text| cell.item(text)),
                    other => other.texts(&mut |text| cell.value(text)),
                }
            }
        });
    }

    fn write_whole(&self, to: &mut Vec<u8>) -> io::Result<()> {
        Ok(serde_json::to_writer(to, &WithPart(self))?)
    }

    fn encode(&self, format: EventFormat, out: &mut Vec<u8>) -> io::Result<()> {
        format::summary(self, Stream::Rows, format, out)
    }

    fn is_held_back(&self) -> bool {
        self.held_back
    }

    fn table_line(&self) -> Option<TableLine<'_>> {
        Some(TableLine::Row(TableRow {
            rule: &self.rule.name,
            keys: self
                .keys
                .iter()
                .map(|(field, key)| (field.name(), key.text().into_owned()))
                .collect(),
            outcome: self.context.outcome,
            outcome_varies: self.context.outcome_varies,
            dest: self.context.dest,
            dest_varies: self.context.dest_varies,
            count: self.count,
            first: self.first,
            last: self.last,
            measures: self
                .measures()
                .into_iter()
                .map(|(column, text)| Measure {
                    name: &column.name,
                    text,
                    is_number: column.function.is_number(),
                })
                .collect(),
            packet: self.context.packet,
            partial: self.partial,
            window: self.window,
        }))
    }
}

impl Record for SourceRow {
    fn fill(&self, column: &str, cell: &mut Cell) {
        let encrypted = &self.encrypted;
        let mut time = |time: Option<Timestamp>| {
            if let Some(time) = time {
                cell.value(&time.to_string());
            }
        };
        match column {
            "src" => cell.value(&self.src.to_string()),
            "src_role" => cell.value(self.src_role.name()),
            "hits" => cell.value(&self.hits.to_string()),
            "rules" => self.rules.iter().for_each(|rule| cell.item(rule)),
            "names" => self.names.iter().for_each(|name| cell.item(name)),
            "names_cut" if self.names_cut => cell.value("true"),
            "firstTime" => time(self.first),
            "lastTime" => time(self.last),
            "encrypted_dns_connections" => cell.value(&encrypted.connections.to_string()),
            "encrypted_dns_answered" => cell.value(&encrypted.answered.to_string()),
            "encrypted_dns_lookups" => cell.value(&encrypted.lookups.to_string()),
            "encrypted_dns_resolvers" => {
                encrypted.resolvers.iter().for_each(|name| cell.item(name))
            }
            "encrypted_dns_resolvers_cut" if encrypted.resolvers_cut => cell.value("true"),
            "encrypted_dns_firstTime" => time(encrypted.first),
            "encrypted_dns_lastTime" => time(encrypted.last),
            "sensor" => cell.value(&self.sensor),
            "event_id" => cell.value(&Value::Id(self.event_id).text()),
            "partial" if self.partial => cell.value("true"),
            _ => {}
        }
    }

    fn encode(&self, format: EventFormat, out: &mut Vec<u8>) -> io::Result<()> {
        format::summary(self, Stream::Sources, format, out)
    }

    fn table_line(&self) -> Option<TableLine<'_>> {
        Some(TableLine::Source(TableSource {
            src: self.src,
            role: self.src_role,
            hits: self.hits,
            rules: self.rules.iter().map(AsRef::as_ref).collect(),
            names: self.names.iter().map(AsRef::as_ref).collect(),
            encrypted: self
                .encrypted
                .connections
                .saturating_add(self.encrypted.lookups),
            resolvers: self.encrypted.resolvers.iter().map(AsRef::as_ref).collect(),
            first: self.first.or(self.encrypted.first),
            last: self.last.or(self.encrypted.last),
        }))
    }
}

/// The rows as a table.
#[must_use]
pub fn rows_table(rows: &[Row], options: TableOptions) -> String {
    let lines: Vec<TableLine<'_>> = rows.iter().filter_map(Record::table_line).collect();
    render(&lines, options)
}
