//! Events, and what is said of them, in the words of other tools: what a record becomes, wherever it goes.

mod dnstap;
mod ecs;
mod eve;
mod finding;
mod ocsf;
mod presentation;
mod summary;
mod zeek;

use std::io;
use std::net::IpAddr;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Format, HitRecord, Place, SinkError, Stream};
pub(super) use dnstap::DnstapFile;

use crate::event::{Anomaly, Event, Field, Mac, Value};
use crate::risk::RiskEvent;
use crate::time::Timestamp;

/// In whose words events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventFormat {
    /// Those of the CIM's Network_Resolution, and our own.
    #[default]
    Cim,
    /// The Elastic Common Schema.
    Ecs,
    /// The Open Cybersecurity Schema Framework.
    Ocsf,
    /// Zeek's `dns.log`, tab-separated.
    Zeek,
    /// The same as JSON Lines.
    ZeekJson,
    /// Suricata's EVE.
    Eve,
    /// The messages themselves, as dnstap.
    Dnstap,
}

impl EventFormat {
    /// All of them, in the order in which help texts name them.
    pub const ALL: [Self; 7] = [
        Self::Cim,
        Self::Ecs,
        Self::Ocsf,
        Self::Zeek,
        Self::ZeekJson,
        Self::Eve,
        Self::Dnstap,
    ];

    /// The word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cim => "cim",
            Self::Ecs => "ecs",
            Self::Ocsf => "ocsf",
            Self::Zeek => "zeek",
            Self::ZeekJson => "zeek-json",
            Self::Eve => "eve",
            Self::Dnstap => "dnstap",
        }
    }

    /// Whether the records of a stream have a form of their own in it.
    #[must_use]
    pub const fn is_for(self, stream: Stream) -> bool {
        match (self, stream) {
            (Self::Cim, _) => false,
            (Self::Ecs, Stream::Hits) | (Self::Ocsf, Stream::Risk) | (_, Stream::Events) => true,
            (_, _) => false,
        }
    }

    /// The streams that it is for, as options.
    const fn options(self) -> &'static str {
        match self {
            Self::Ecs => "--events or --hits",
            Self::Ocsf => "--events or --risk",
            _ => "--events",
        }
    }

    /// What stands before the first record, the time of which is given.
    pub(super) fn head(self, first: Timestamp) -> Option<Vec<u8>> {
        matches!(self, Self::Zeek).then(|| zeek::head(first))
    }

    /// What stands behind the last record, the latest time of all being given.
    pub(super) fn tail(self, last: Timestamp) -> Option<Vec<u8>> {
        matches!(self, Self::Zeek).then(|| zeek::tail(last))
    }
}

impl std::str::FromStr for EventFormat {
    type Err = SinkError;

    fn from_str(text: &str) -> Result<Self, SinkError> {
        let known = Self::ALL.into_iter().find(|format| text == format.name());
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            SinkError::Usage(format!(
                "--event-format '{text}' is not a format of events: use one of {names}"
            ))
        })
    }
}

/// Checks that the places of a run go together with the format of events.
///
/// # Errors
/// A usage error that names the place and the remedy.
pub fn check_event_format(
    streams: &[(Stream, &[Place])],
    format: EventFormat,
) -> Result<(), SinkError> {
    let name = format.name();
    let places = || {
        streams
            .iter()
            .flat_map(|(stream, places)| places.iter().map(|place| (*stream, place)))
            .filter(|(_, place)| **place != Place::None)
    };
    if format != EventFormat::Cim && !places().any(|(stream, _)| format.is_for(stream)) {
        return Err(SinkError::Usage(format!(
            "--event-format {name}: nothing is written in it; add a place to {} (such as --events -)",
            format.options()
        )));
    }
    let on_stdout = places().filter(|(_, place)| **place == Place::Stdout);
    let shares_stdout = on_stdout.count() > 1;
    for (stream, place) in places() {
        let wrong = |why: &str| {
            Err(SinkError::Usage(format!(
                "--{stream} {place} with --event-format {name}: {why}"
            )))
        };
        let form = match place {
            Place::File { format, .. } => Some(*format),
            _ => None,
        };
        if format.is_for(stream)
            && let Place::Remote(remote) = place
        {
            if remote.option("format") == Some("cef") {
                return wrong(
                    "CEF has words of its own; leave out format=cef, or use --event-format cim",
                );
            }
            if place.merges() {
                return wrong(
                    "a database has records in our own words; use another place, or --event-format cim",
                );
            }
            if format == EventFormat::Zeek {
                return wrong(
                    "Zeek's log is a file; use --event-format zeek-json, or a name ending in .log",
                );
            }
            if format == EventFormat::Dnstap {
                return wrong("dnstap is bytes; use a name ending in .dnstap");
            }
        }
        match (form, format.is_for(stream)) {
            (Some(Format::Log), false) => {
                return wrong(
                    "a name ending in .log is for events as Zeek's log (--event-format zeek); use one ending in .jsonl, .csv or .tsv",
                );
            }
            (Some(Format::Dnstap), _)
                if format != EventFormat::Dnstap || stream != Stream::Events =>
            {
                return wrong(
                    "a name ending in .dnstap is for events as dnstap (--event-format dnstap); use one ending in .jsonl, .csv or .tsv",
                );
            }
            (_, false) => {}
            (None, true) if *place == Place::Stdout && shares_stdout => {
                return wrong(
                    "these records cannot share standard output with other streams; give one of them a file, or leave it out (--rows none)",
                );
            }
            (Some(form), true)
                if format == EventFormat::Dnstap
                    && form != Format::Dnstap
                    && (form != Format::Jsonl || has_ending(place)) =>
            {
                return wrong("dnstap is bytes; use a name ending in .dnstap");
            }
            (Some(Format::Csv | Format::Tsv | Format::Table), true)
                if format == EventFormat::Zeek =>
            {
                return wrong("Zeek's log has lines above its columns; use a name ending in .log");
            }
            (Some(Format::Csv | Format::Tsv | Format::Table), true) => {
                return wrong("that is JSON; use a name ending in .jsonl or .json");
            }
            (Some(Format::Parquet), true) => {
                return wrong(
                    "Parquet is in our own words; use a name ending in .jsonl, or --event-format cim",
                );
            }
            (Some(Format::Log), true)
                if !matches!(format, EventFormat::Zeek | EventFormat::ZeekJson) =>
            {
                return wrong(
                    "only Zeek's log is in .log files; use a name ending in .jsonl or .json",
                );
            }
            (Some(Format::Jsonl), true) if format == EventFormat::Zeek && has_ending(place) => {
                return wrong(
                    "Zeek's log is no JSON; use a name ending in .log, or --event-format zeek-json",
                );
            }
            (_, true) => {}
        }
    }
    Ok(())
}

/// Whether a file's name says what is in it; those of devices and descriptors need not.
fn has_ending(place: &Place) -> bool {
    matches!(place, Place::File { path, .. } if path.extension().is_some())
}

/// Appends an event with its line feeds.
pub(super) fn event(event: &Event, format: EventFormat, out: &mut Vec<u8>) -> io::Result<()> {
    match format {
        EventFormat::Cim => line(event, out),
        EventFormat::Ecs => line(&ecs::Document::new(event, None), out),
        EventFormat::Ocsf => line(&ocsf::Activity::new(event), out),
        EventFormat::Zeek => {
            zeek::line(event, out);
            Ok(())
        }
        EventFormat::ZeekJson => line(&zeek::Json(event), out),
        EventFormat::Dnstap => {
            dnstap::frames(event, out);
            Ok(())
        }
        EventFormat::Eve => {
            for side in eve::Side::of(event) {
                line(&eve::Record::new(event, side), out)?;
            }
            Ok(())
        }
    }
}

/// Appends a hit with its line feed.
pub(super) fn hit(hit: &HitRecord<'_>, format: EventFormat, out: &mut Vec<u8>) -> io::Result<()> {
    match format {
        EventFormat::Ecs => line(&ecs::Document::new(hit.event, Some(hit.rule)), out),
        _ => line(hit, out),
    }
}

/// Appends a risk event with its line feed.
pub(super) fn finding(risk: &RiskEvent, format: EventFormat, out: &mut Vec<u8>) -> io::Result<()> {
    match format {
        EventFormat::Ocsf => line(&finding::finding(risk), out),
        _ => summary(risk, Stream::Risk, format, out),
    }
}

/// Appends a row or what is known of a source with its line feed.
pub(super) fn summary(
    record: &impl Serialize,
    stream: Stream,
    format: EventFormat,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    match (format, serde_json::to_value(record)?) {
        (EventFormat::Ecs, serde_json::Value::Object(map)) => {
            line(&summary::document(stream, map), out)
        }
        (_, value) => line(&value, out),
    }
}

/// Appends one object of JSON Lines.
pub(super) fn line(value: &impl Serialize, out: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.push(b'\n');
    Ok(())
}

/// One end of a lookup, without what is not known of it.
#[derive(Clone, Copy)]
struct End {
    ip: Option<IpAddr>,
    port: Option<u16>,
    mac: Option<Mac>,
}

impl End {
    /// The client's and the resolver's.
    fn of(event: &Event) -> [Self; 2] {
        // dnstap may leave addresses and ports out; they are then zero.
        let is_missing = event.anomalies.contains(&Anomaly::AddressMissing);
        let end = |ip: IpAddr, port: u16, mac| Self {
            ip: (!is_missing || !ip.is_unspecified()).then_some(ip),
            port: (!is_missing || port != 0).then_some(port),
            mac,
        };
        [
            end(event.src, event.src_port, event.src_mac),
            end(event.dest, event.dest_port, event.dest_mac),
        ]
    }
}

/// Fields that the other formats have no words for, under our own names.
struct Rest<'a>(&'a Event);

/// Which fields they are.
const REST: &[Field] = &[
    Field::Source,
    Field::CimEntityZone,
    Field::Outcome,
    Field::Anomalies,
    Field::SrcRole,
    Field::QuerySpelled,
    Field::OtherQuestions,
    Field::QueryCount,
    Field::AnswerCount,
    Field::AuthorityAnswerCount,
    Field::AdditionalAnswerCount,
    Field::EdnsVersion,
    Field::EdnsUdpSize,
    Field::EdnsDo,
    Field::EdnsOptions,
    Field::ClientSubnet,
    Field::ClientHint,
    Field::SrcBunit,
    Field::SrcCategory,
    Field::SrcPriority,
    Field::DestBunit,
    Field::DestCategory,
    Field::DestPriority,
    Field::Vlan,
    Field::Tunnel,
    Field::Packet,
    Field::ResponsePacket,
];

impl Serialize for Rest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let has_value = |field: &Field| {
            let mut has_value = false;
            self.0.each(*field, &mut |_| has_value = true);
            has_value
        };
        let present: Vec<Field> = REST.iter().copied().filter(has_value).collect();
        let mut map = serializer.serialize_map(None)?;
        self.0.serialize_fields(&present, &mut map)?;
        self.0.serialize_added(&mut map)?;
        map.end()
    }
}

/// The time of the response, where one was seen.
fn response_time(event: &Event) -> Option<Timestamp> {
    match (event.reply_code, event.duration) {
        (None, _) => None,
        (Some(_), Some(duration)) => Some(event.time.after(duration)),
        (Some(_), None) => Some(event.time),
    }
}

/// The header's flags that are set, in upper case.
fn flags(event: &Event) -> Vec<String> {
    let mut flags = Vec::new();
    event.each(Field::Flags, &mut |flag| {
        flags.push(flag.text().to_ascii_uppercase());
    });
    flags
}

/// The event's identity in hexadecimal.
fn id(event: &Event) -> String {
    Value::Id(event.event_id).to_string()
}

/// The addresses among the answers.
fn resolved(event: &Event) -> impl Iterator<Item = IpAddr> {
    let addresses = event
        .answers
        .iter()
        .filter(|answer| matches!(answer.record_type.as_ref(), "A" | "AAAA"));
    addresses.filter_map(|answer| answer.data.parse().ok())
}

/// Whether it is known what was asked for.
fn has_question(event: &Event) -> bool {
    event.record_type != crate::event::NO_QUESTION
}

#[cfg(test)]
mod tests;
