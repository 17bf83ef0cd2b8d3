//! Risk events as records.

use std::io;

use super::format::{self, EventFormat};
use super::record::{Cell, Record};
use crate::risk::{OWN, RiskEvent};

impl Record for RiskEvent {
    fn fill(&self, column: &str, cell: &mut Cell) {
        self.each(&mut |name, item| {
            if name != column {
                return;
            }
            if item.is_list() {
                item.texts(&mut |text| cell.item(text));
            } else {
                item.texts(&mut |text| cell.value(text));
            }
        });
    }

    fn encode(&self, format: EventFormat, out: &mut Vec<u8>) -> io::Result<()> {
        format::finding(self, format, out)
    }
}

/// The columns of risk events: their own, and in the middle those of the rules' rows.
pub(super) fn columns(of_rows: Vec<&str>) -> Vec<&str> {
    let own = OWN
        .into_iter()
        .filter(|name| !matches!(*name, "rule" | "stream"));
    let (first, last): (Vec<&str>, Vec<&str>) = own.partition(|name| {
        !matches!(
            *name,
            "fields_cut" | "firstTime" | "lastTime" | "window" | "sensor" | "event_id" | "partial"
        )
    });
    let rows = of_rows.into_iter().filter(|name| !OWN.contains(name));
    first.into_iter().chain(rows).chain(last).collect()
}
