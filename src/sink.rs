//! The sink: streams of records to places.
//!
//! A [`Writer`] carries one stream to any number of places. Files of a replay appear under their names when they are
//! whole; a live run's grow by whole records; after a failure none of them ends in half a record.

mod buffer;
#[cfg(feature = "parquet")]
mod columnar;
pub mod envelope;
mod file;
pub mod format;
mod output;
mod packed;
mod packets;
pub mod place;
pub mod record;
pub mod remote;
mod risk;
mod rotation;
mod rows;
mod sensor;
pub mod table;

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

pub use file::{is_descriptor, is_same as is_same_file};
pub use format::{EventFormat, check_event_format};
pub use packets::{PacketFormat, is_stdout, packet_place};
pub use place::{Format, Place, check};
pub use record::{Cell, HitRecord, Record};
pub use remote::Remote;
pub use rotation::Rotation;
pub use rows::rows_table;
pub use sensor::SensorRecord;
pub use table::{Measure, TableLine, TableOptions, TableRow, TableSource, live_line};

use crate::event::Field;
use crate::packet::Packet;
use crate::rule::Rule;
use file::{Opened, Sink};
use format::DnstapFile;
use output::{Form, Output};
use packets::PacketForm;
use table::Table;

/// A stream of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// What the rules' groups came to.
    Rows,
    /// Events that matched a rule.
    Hits,
    /// One record for each source address with hits, or of which encrypted DNS was seen.
    Sources,
    /// What the rows say of whom.
    Risk,
    /// Every transaction.
    Events,
    /// What the sensor says of itself; goes where records of many sensors are merged, without being asked for.
    Sensors,
}

impl Stream {
    /// All streams.
    pub const ALL: [Self; 6] = [
        Self::Rows,
        Self::Hits,
        Self::Sources,
        Self::Risk,
        Self::Events,
        Self::Sensors,
    ];

    /// The word on the command line and in records that share standard output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Hits => "hits",
            Self::Sources => "sources",
            Self::Risk => "risk",
            Self::Events => "events",
            Self::Sensors => "sensors",
        }
    }

    /// Whether its records can be shown as a table.
    #[must_use]
    pub const fn has_table(self) -> bool {
        matches!(self, Self::Rows | Self::Sources)
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What takes the records of a stream on to a place in the network.
pub trait Outlet: fmt::Debug + Send {
    /// Takes whole records, each a line of JSON. It may wait, but not for the place.
    ///
    /// # Errors
    /// What takes the records on is gone: a bug.
    fn take(&mut self, lines: &[u8]) -> io::Result<()>;
}

/// Why records could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The command line asks for something that cannot be: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// A place that cannot be written to, found before the run starts.
    #[error("cannot write to {}: {reason}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says, and what to do.
        reason: String,
    },
    /// Writing failed in the middle: the disk is full, the device is gone.
    #[error("cannot write to {place}: {source}; {records} {stream} were written{remains}")]
    Write {
        /// The place.
        place: String,
        /// What was written: the name of a stream, or packets.
        stream: &'static str,
        /// The records that are in it, whole.
        records: u64,
        /// Where they are.
        remains: String,
        /// What the system says.
        source: io::Error,
    },
    /// The file is whole and could not be given its name.
    #[error("cannot finish {}: {source}; what was written is in {}", path.display(), partial.display())]
    Rename {
        /// Where it is.
        partial: PathBuf,
        /// The name that it should have.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Whoever read our output does not want more; the program ends quietly with 0.
    #[error("the reader of the output is gone")]
    BrokenPipe,
}

/// How a stream is opened.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// Files grow while the run goes on, instead of appearing at its end.
    pub live: bool,
    /// The format of rows on standard output.
    pub format: Format,
    /// In whose words events are written, as [`check_event_format`] allows it.
    pub event_format: EventFormat,
    /// The columns of CSV and TSV. [`columns`] gives them; they stay the same for the whole run.
    pub columns: &'a [String],
    /// Whether several streams share standard output, as [`check`] says: their records then begin with
    /// `"stream":"hits"`.
    pub shared_stdout: bool,
    /// How tables look on standard output; in files they have neither colours nor a width.
    pub table: TableOptions,
}

impl Options<'_> {
    /// A format as a stream is written in there.
    fn form(&self, stream: Stream, format: Format, stdout: bool) -> Form {
        let separated = |delimiter| Form::Separated {
            delimiter,
            columns: self.columns.to_vec(),
            cell: Cell::default(),
        };
        match format {
            _ if self.event_format == EventFormat::Dnstap && stream == Stream::Events => {
                Form::Dnstap(DnstapFile)
            }
            _ if self.event_format.is_for(stream) => Form::Foreign {
                format: self.event_format,
                last: None,
            },
            // Parquet has a form of its own where it is built, and no place where it is not.
            Format::Jsonl | Format::Log | Format::Dnstap | Format::Parquet => Form::Jsonl {
                named: stdout && self.shared_stdout,
            },
            Format::Packets => Form::Packets(PacketForm::new(PacketFormat::Pcapng, Vec::new())),
            Format::Csv => separated(b','),
            Format::Tsv => separated(b'\t'),
            Format::Table if stdout => Form::Table(Table::new(self.table)),
            Format::Table => Form::Table(Table::new(TableOptions {
                colour: false,
                width: None,
                ..self.table
            })),
        }
    }
}

/// The columns of a stream in CSV and TSV: all fields for events; `rule` and those for hits; for rows and risk events
/// everything that the loaded rules can write.
#[must_use]
pub fn columns(stream: Stream, rules: &[Rule]) -> Vec<String> {
    // Most rules have the same ones.
    let mut seen = HashSet::<_, ahash::RandomState>::default();
    let of_columns: Vec<String> = rules
        .iter()
        .flat_map(|rule| &rule.columns)
        .filter(|column| seen.insert((&column.name, std::mem::discriminant(&column.function))))
        .flat_map(|column| std::iter::once(column.name.clone()).chain(column.further_names()))
        .collect();
    let mut names: Vec<&str> = Vec::new();
    match stream {
        Stream::Sensors => {}
        Stream::Events => names.extend(Field::ALL.iter().map(|field| field.name())),
        Stream::Hits => {
            names.push("rule");
            names.extend(Field::ALL.iter().map(|field| field.name()));
            names.extend(rules.iter().flat_map(Rule::added).map(|field| field.name()));
        }
        Stream::Rows => {
            names.push("rule");
            names.extend(of_rows(rules, &of_columns));
            names.extend(["window", "sensor", "event_id", "partial"]);
        }
        Stream::Risk => names.extend(risk::columns(of_rows(rules, &of_columns))),
        Stream::Sources => names.extend([
            "src",
            "src_role",
            "hits",
            "rules",
            "names",
            "names_cut",
            "firstTime",
            "lastTime",
            "encrypted_dns_connections",
            "encrypted_dns_answered",
            "encrypted_dns_lookups",
            "encrypted_dns_resolvers",
            "encrypted_dns_resolvers_cut",
            "encrypted_dns_firstTime",
            "encrypted_dns_lastTime",
            "sensor",
            "event_id",
            "partial",
        ]),
    }
    let mut seen = HashSet::<_, ahash::RandomState>::default();
    names.retain(|name| seen.insert(*name));
    names.into_iter().map(str::to_owned).collect()
}

/// The `by` fields of all rules, then their columns.
fn of_rows<'a>(rules: &'a [Rule], of_columns: &'a [String]) -> Vec<&'a str> {
    let by = rules.iter().flat_map(|rule| &rule.by);
    by.map(|field| field.name())
        .chain(of_columns.iter().map(String::as_str))
        .collect()
}

/// One stream on its way to its places.
#[derive(Debug)]
pub struct Writer {
    /// The stream; of packets, which are no records, any.
    stream: Stream,
    /// What is written.
    name: &'static str,
    outputs: Vec<Output>,
    live: bool,
}

impl Writer {
    /// Opens a stream's places. Nothing is read or captured before all of them are open, so that a mistake costs no time.
    ///
    /// # Errors
    /// [`SinkError::Usage`] for a directory or a table of events, [`SinkError::Open`] where the system refuses.
    pub fn open(
        stream: Stream,
        places: &[Place],
        options: &Options<'_>,
    ) -> Result<Self, SinkError> {
        check(&[(stream, places)], options.format)?;
        let mut writer = Self {
            stream,
            name: stream.name(),
            outputs: Vec::new(),
            live: options.live,
        };
        for place in places {
            let Some(format) = place.format(stream, options.format) else {
                continue;
            };
            #[cfg(feature = "parquet")]
            if let (Place::File { path, .. }, Format::Parquet) = (place, format) {
                let dataset = columnar::Dataset::open(path, stream, options.columns, options.live)?;
                let mut form = Form::Parquet(Box::new(dataset));
                writer.outputs.push(Output {
                    place: place.clone(),
                    buffer: form.begin(Opened::empty(Sink::Memory(Arc::default()))),
                    form,
                });
                continue;
            }
            let stdout = *place == Place::Stdout;
            let mut form = options.form(stream, format, stdout);
            let opened = match place {
                // [`Self::add`] brings those in the network.
                Place::None | Place::Remote(_) => continue,
                Place::Stdout => Opened::empty(Sink::stdout()),
                Place::File { path, .. } => file::open(path, options.live, form.beginning())?,
            };
            writer.outputs.push(Output {
                place: place.clone(),
                buffer: form.begin(opened),
                form,
            });
        }
        Ok(writer)
    }

    /// Writes a stream's records to standard output in the options' format, whatever the stream.
    #[must_use]
    pub fn to_stdout(stream: Stream, options: &Options<'_>) -> Self {
        let mut form = options.form(stream, options.format, true);
        Self {
            stream,
            name: stream.name(),
            outputs: vec![Output {
                place: Place::Stdout,
                buffer: form.begin(Opened::empty(Sink::stdout())),
                form,
            }],
            live: options.live,
        }
    }

    /// Writes a stream's records as JSON Lines to memory, where who holds the other end finds them after
    /// [`Self::finish`].
    #[must_use]
    pub fn to_memory(stream: Stream, memory: Arc<Mutex<Vec<u8>>>) -> Self {
        let mut form = Form::Jsonl { named: false };
        Self {
            stream,
            name: stream.name(),
            outputs: vec![Output {
                place: Place::None,
                buffer: form.begin(Opened::empty(Sink::Memory(memory))),
                form,
            }],
            live: false,
        }
    }

    /// Adds a place in the network, with what takes the records there; `chosen` is in whose words events are to be, as
    /// [`check_event_format`] allows it.
    pub fn add(&mut self, place: Place, chosen: EventFormat, outlet: Box<dyn Outlet>) {
        let mut form = match place.words(self.stream, chosen) {
            _ if place.merges() => Form::Whole,
            EventFormat::Cim => Form::Jsonl { named: false },
            format => Form::Wrapped { format },
        };
        self.outputs.push(Output {
            place,
            buffer: form.begin(Opened::empty(Sink::Outlet(outlet))),
            form,
        });
    }

    /// What was done to the places when they were opened that somebody should know of.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        self.outputs.iter().filter_map(Output::remark)
    }

    /// Writes packets nowhere.
    #[must_use]
    pub const fn no_packets() -> Self {
        Self {
            stream: Stream::Events,
            name: "packets",
            outputs: Vec::new(),
            live: false,
        }
    }

    /// Opens a file for packets; `inputs` are the names of the run's inputs.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn packets(
        (place, format): (Place, PacketFormat),
        inputs: Vec<Arc<str>>,
        live: bool,
    ) -> Result<Self, SinkError> {
        let mut writer = Self {
            live,
            ..Self::no_packets()
        };
        if let Place::File { path, .. } = &place {
            let mut form = Form::Packets(PacketForm::new(format, inputs));
            let opened = file::open(path, live, form.beginning())?;
            writer.outputs.push(Output {
                buffer: form.begin(opened),
                place,
                form,
            });
        }
        Ok(writer)
    }

    /// Writes a packet, with what is to be said of it. As [`Self::write`].
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub fn packet(&mut self, packet: &Packet<'_>, comments: &[Arc<str>]) -> Result<(), SinkError> {
        self.each(|output, _| output.packet(packet, comments))
    }

    /// Whether the stream goes nowhere, so that its records need not be made.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.outputs.is_empty()
    }

    /// Writes a record to all places of the stream. It may wait in memory until [`Self::flush`] or [`Self::finish`].
    ///
    /// # Errors
    /// [`SinkError::BrokenPipe`], or [`SinkError::Write`] with what is left; the stream is then over.
    pub fn write<R: Record>(&mut self, record: &R) -> Result<(), SinkError> {
        let stream = self.stream;
        self.each(|output, _| output.write(stream, record))
    }

    /// Shows a line of text at once on standard output, beside the table there; nowhere else.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub fn line(&mut self, text: &str) -> Result<(), SinkError> {
        self.each(|output, _| match &mut output.form {
            Form::Table(table) if output.place == Place::Stdout => {
                table.stand_apart();
                output.buffer.header(format!("{text}\n").as_bytes());
                output.buffer.flush()
            }
            _ => Ok(()),
        })
    }

    /// Hands over what waits, so that a reader sees it. A live run does so whenever nothing happens, and after a window's
    /// rows; its tables print what has come since.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub fn flush(&mut self) -> Result<(), SinkError> {
        self.each(|output, live| {
            if live {
                output.print_table()?;
            }
            output.buffer.flush()
        })
    }

    /// Hands over what waits for places in the network alone, which costs nothing where there is nothing.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub fn hand_over(&mut self) -> Result<(), SinkError> {
        self.each(|output, _| match output.place {
            Place::Remote(_) => output.buffer.flush(),
            _ => Ok(()),
        })
    }

    /// Writes what waits and gives each file its name. To drop the writer instead leaves a replay's files as
    /// `NAME.partial`, in whole records.
    ///
    /// # Errors
    /// As for [`Self::write`], and [`SinkError::Rename`]. A file that failed keeps the name that says it is partial.
    pub fn finish(mut self) -> Result<(), SinkError> {
        let mut first = Ok(());
        for output in &mut self.outputs {
            // A live run's file may go on with another link type, as long as it has no packet.
            let closed = if self.live {
                output.close()
            } else {
                output.end()
            };
            let result = match closed {
                Ok(()) => output.buffer.target().finish(),
                Err(error) => Err(output.failed(self.name, error)),
            };
            first = first.and(result);
        }
        first
    }

    /// Opens the files of a live run again by their names, for log rotation, and gives those of Parquet their names. A file
    /// that cannot be opened again goes on as it was, and the error says so.
    ///
    /// # Errors
    /// As for [`Self::flush`] and [`Self::open`].
    pub fn reopen(&mut self) -> Result<(), SinkError> {
        self.flush()?;
        let mut first = Ok(());
        for output in &mut self.outputs {
            #[cfg(feature = "parquet")]
            if let Form::Parquet(dataset) = &mut output.form {
                let finished = dataset.finish();
                finished.map_err(|error| output.failed(self.name, error))?;
                continue;
            }
            if let (Place::File { path, .. }, Some(file)) =
                (output.place.clone(), output.buffer.target().growing())
                && !file::is_at(file, &path)
            {
                output
                    .close()
                    .map_err(|error| output.failed(self.name, error))?;
                match file::open(&path, true, output.form.beginning()) {
                    Ok(opened) => output.buffer = output.form.begin(opened),
                    Err(error) => {
                        first = first.and(Err(error));
                        output.goes_on();
                    }
                }
            }
        }
        first
    }

    /// Does something with each place; all are tried, the first error is told.
    fn each(
        &mut self,
        mut act: impl FnMut(&mut Output, bool) -> io::Result<()>,
    ) -> Result<(), SinkError> {
        let mut first = Ok(());
        for output in &mut self.outputs {
            let result = act(output, self.live).map_err(|error| output.failed(self.name, error));
            first = first.and(result);
        }
        first
    }
}

#[cfg(test)]
mod tests;
