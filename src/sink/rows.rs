//! Rows and sources as records.

use super::record::{Cell, Record};
use super::table::{TableLine, TableOptions, TableRow, TableSource, render};
use crate::aggregate::sources::SourceRow;
use crate::aggregate::{self, Row};

impl Record for Row {
    fn fill(&self, column: &str, cell: &mut Cell) {
        self.each(&mut |name, value| {
            if name == column {
                match value {
                    aggregate::Cell::Value(value) => cell.value(&value.text()),
                    list @ aggregate::Cell::List(_) => list.texts(&mut |text| cell.item(text)),
                    window @ aggregate::Cell::Window(_) => {
                        window.texts(&mut |text| cell.value(text))
                    }
                }
            }
        });
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
            packet: self.context.packet,
            partial: self.partial,
            window: self.window,
        }))
    }
}

impl Record for SourceRow {
    fn fill(&self, column: &str, cell: &mut Cell) {
        match column {
            "src" => cell.value(&self.src.to_string()),
            "src_role" => cell.value(self.src_role.name()),
            "hits" => cell.value(&self.hits.to_string()),
            "rules" => self.rules.iter().for_each(|rule| cell.item(rule)),
            "names" => self.names.iter().for_each(|name| cell.item(name)),
            "names_cut" if self.names_cut => cell.value("true"),
            "firstTime" => cell.value(&self.first.to_string()),
            "lastTime" => cell.value(&self.last.to_string()),
            "sensor" => cell.value(&self.sensor),
            "partial" if self.partial => cell.value("true"),
            _ => {}
        }
    }

    fn table_line(&self) -> Option<TableLine<'_>> {
        Some(TableLine::Source(TableSource {
            src: self.src,
            role: self.src_role,
            hits: self.hits,
            rules: self.rules.iter().map(AsRef::as_ref).collect(),
            names: self.names.iter().map(AsRef::as_ref).collect(),
            first: self.first,
            last: self.last,
        }))
    }
}

/// The rows as a table.
#[must_use]
pub fn rows_table(rows: &[Row], options: TableOptions) -> String {
    let lines: Vec<TableLine<'_>> = rows.iter().filter_map(Record::table_line).collect();
    render(&lines, options)
}
