//! What a run counts, for Prometheus: the text of a scrape, and the small server that gives it.
//!
//! Every number comes from [`Stats`] by [`Stats::sections`], so that a new counter is a metric without further ado: the
//! counter `streams.gaps` of `--stats` is `dnsterrier_streams_gaps_total`, and of counters that are one of a kind each, as
//! `messages.query` is, `dnsterrier_messages_total{outcome="query"}`. No name or address that came from the wire is ever
//! a label; the only words that vary are a rule's name and a place of the command line.

mod server;
mod watch;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

pub use server::{Server, Serving};
pub use watch::Watch;

use crate::stats::{Delivery, Section, Stats, Together};

/// How a scrape is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Prometheus' own, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Form {
    /// What HTTP calls it.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The text of a scrape.
///
/// # Errors
/// None that is known: writing to memory does not fail.
pub fn exposition(stats: Stats, form: Form) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("dnsterrier");
    registry.register_collector(Box::new(Counted(stats)));
    let mut own = Registry::default();
    own.register_collector(Box::new(Process));
    let mut text = String::new();
    match form {
        Form::Text => {
            prometheus_text::encode(&mut text, &registry)?;
            prometheus_text::encode(&mut text, &own)?;
        }
        Form::OpenMetrics => {
            text::encode_registry(&mut text, &registry)?;
            text::encode(&mut text, &own)?;
        }
    }
    Ok(text)
}

/// The counters as they are written.
#[derive(Debug)]
struct Counted(Stats);

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = &self.0;
        gauge(
            &mut encoder,
            ("build_info", "The program's version; always 1."),
            &[([("version", stats.version)], 1)],
        )?;
        for section in stats.sections() {
            write_section(&mut encoder, &section)?;
        }
        let hits: Vec<_> = stats
            .rules
            .iter()
            .map(|rule| ([("rule", rule.rule.as_str())], rule.hits))
            .collect();
        counter(
            &mut encoder,
            ("rule_hits", "Hits of each rule, after the filters."),
            &hits,
        )?;
        write_deliveries(&mut encoder, &stats.deliveries)?;
        if let Some(last) = stats.capture.last {
            gauge(
                &mut encoder,
                (
                    "capture_last_timestamp_seconds",
                    "Capture time of the latest packet, in seconds since 1970.",
                ),
                &[([("", ""); 0], last.as_nanos() / 1_000_000_000)],
            )?;
        }
        Ok(())
    }
}

/// What became of the records on their way to places in the network. How many wait there rises and falls; the others are counters.
fn write_deliveries(encoder: &mut DescriptorEncoder<'_>, deliveries: &[Delivery]) -> fmt::Result {
    let Some(first) = deliveries.first() else {
        return Ok(());
    };
    for (number, of) in first.counters().enumerate() {
        let each = deliveries.iter().filter_map(|it| {
            let labels = [("place", it.place.as_str()), ("stream", it.stream.as_str())];
            Some((labels, it.counters().nth(number)?.count))
        });
        let (name, says) = (format!("delivery_{}", of.name), sentence(of.says));
        if of.name == "left" {
            let left: Vec<_> = each
                .map(|(labels, count)| (labels, i64::try_from(count).unwrap_or(i64::MAX)))
                .collect();
            gauge(encoder, (&name, &says), &left)?;
        } else {
            counter(encoder, (&name, &says), &each.collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

fn write_section(encoder: &mut DescriptorEncoder<'_>, section: &Section) -> fmt::Result {
    let labelled = |label| -> Vec<([(&str, &str); 1], u64)> {
        let counters = section.counters.iter();
        counters.map(|it| ([(label, it.name)], it.count)).collect()
    };
    match section.together {
        Together::By(label) => counter(
            encoder,
            (section.name, &sentence(section.says)),
            &labelled(label),
        ),
        Together::Now(label) => {
            let entries: Vec<_> = labelled(label)
                .into_iter()
                .map(|(labels, count)| (labels, i64::try_from(count).unwrap_or(i64::MAX)))
                .collect();
            gauge(
                encoder,
                (
                    &format!("{}_entries", section.name),
                    &sentence(section.says),
                ),
                &entries,
            )
        }
        Together::Apart => section.counters.iter().try_for_each(|it| {
            counter(
                encoder,
                (&format!("{}_{}", section.name, it.name), &sentence(it.says)),
                &[([("", ""); 0], it.count)],
            )
        }),
    }
}

/// A name, and what it is.
type Described<'a> = (&'a str, &'a str);

/// Values of a counter, each with its labels.
fn counter<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    described: Described<'_>,
    values: &[([(&str, &str); N], u64)],
) -> fmt::Result {
    family(encoder, described, MetricType::Counter, values, |count| {
        ConstCounter::new(count)
    })
}

/// Values that rise and fall, each with its labels.
fn gauge<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    described: Described<'_>,
    values: &[([(&str, &str); N], i64)],
) -> fmt::Result {
    family(encoder, described, MetricType::Gauge, values, |value| {
        ConstGauge::new(value)
    })
}

fn family<const N: usize, V: Copy, M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, says): Described<'_>,
    kind: MetricType,
    values: &[([(&str, &str); N], V)],
    metric: impl Fn(V) -> M,
) -> fmt::Result {
    let mut encoder = encoder.encode_descriptor(name, says, None, kind)?;
    for (labels, value) in values {
        metric(*value).encode(encoder.encode_family(labels)?)?;
    }
    Ok(())
}

/// The first paragraph of a definition in one line.
fn sentence(says: &[&str]) -> String {
    let lines = says.iter().map(|line| line.trim());
    let paragraph: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ")
}

/// What the system knows of this process.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // Without /proc there is no such metric.
        let Some(bytes) = resident_memory() else {
            return Ok(());
        };
        gauge(
            &mut encoder,
            (
                "process_resident_memory_bytes",
                "Memory of the process that is in use, in bytes.",
            ),
            &[([("", ""); 0], bytes)],
        )
    }
}

/// Bytes, which proc(5) has in KiB.
fn resident_memory() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests;
