//! One place of a stream: a format in front of a buffer.

use std::io::{self, Write as _};

use super::buffer::Buffer;
#[cfg(feature = "parquet")]
use super::columnar::Dataset;
use super::envelope;
use super::file::{Beginning, Opened, Sink};
use super::format::{self, DnstapFile, EventFormat};
use super::packets::PacketForm;
use super::place::Place;
use super::record::{Cell, Named, Record};
use super::table::Table;
use super::{SinkError, Stream};
use crate::dnstap;
use crate::packet::Packet;
use crate::time::Timestamp;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Output {
    pub(super) place: Place,
    pub(super) form: Form,
    pub(super) buffer: Buffer<Sink>,
}

/// A format with what it has to keep.
#[derive(Debug)]
pub(super) enum Form {
    Jsonl {
        named: bool,
    },
    /// JSON Lines with what others need to merge the records.
    Whole,
    Separated {
        delimiter: u8,
        columns: Vec<String>,
        cell: Cell,
    },
    Table(Table),
    /// A folder of files, which the buffer has nothing to do with.
    #[cfg(feature = "parquet")]
    Parquet(Box<Dataset>),
    /// Packets, which are no records of a stream.
    Packets(PacketForm),
    /// Events as dnstap.
    Dnstap(DnstapFile),
    /// In another tool's words, with the latest time so far where one was written.
    Foreign {
        format: EventFormat,
        last: Option<Timestamp>,
    },
    /// The same for a place in the network: wrapped, so that whoever brings a record there knows what it is.
    Wrapped {
        format: EventFormat,
    },
}

impl Form {
    /// The line that a file of this form begins with.
    fn header(&self) -> Option<Vec<u8>> {
        let Self::Separated {
            delimiter, columns, ..
        } = self
        else {
            return None;
        };
        let mut header = Vec::new();
        // Writing to memory does not fail; were it to, the columns would be missing and the tests fail.
        separated(*delimiter, &mut header, |line| line.write_record(columns)).ok()?;
        Some(header)
    }

    /// What a file begins with that is to go on in this form.
    pub(super) fn beginning(&mut self) -> Beginning<'_> {
        match self {
            Self::Packets(packets) => Beginning::Binary(packets),
            Self::Dnstap(frames) => Beginning::Binary(frames),
            _ => Beginning::Lines(self.header()),
        }
    }

    /// A buffer in front of what was opened, with what has to come first.
    pub(super) fn begin(&mut self, opened: Opened) -> Buffer<Sink> {
        let first = match self {
            Self::Packets(packets) => packets.begin(opened.empty),
            // What is compressed already has its end in it: what goes on there begins anew.
            Self::Dnstap(_) => {
                (opened.empty || matches!(opened.sink, Sink::Packed { .. })).then(dnstap::start)
            }
            _ if opened.torn => Some(b"\n".to_vec()),
            _ if opened.empty => self.header(),
            _ => None,
        };
        let mut buffer = Buffer::new(opened.sink);
        if let Some(first) = first {
            buffer.header(&first);
        }
        buffer
    }
}

impl Output {
    pub(super) fn write<R: Record>(&mut self, stream: Stream, record: &R) -> io::Result<()> {
        if record.is_held_back() && !matches!(self.form, Form::Whole) {
            return Ok(());
        }
        match &mut self.form {
            Form::Whole => self.buffer.record(|pending| {
                record.write_whole(pending)?;
                pending.push(b'\n');
                Ok(())
            }),
            Form::Jsonl { named } => self.buffer.record(|pending| {
                if *named {
                    let stream = stream.name();
                    format::line(&Named { stream, record }, pending)
                } else {
                    record.write_json(pending)?;
                    pending.push(b'\n');
                    Ok(())
                }
            }),
            Form::Separated {
                delimiter,
                columns,
                cell,
            } => self.buffer.record(|pending| {
                separated(*delimiter, pending, |line| {
                    for column in columns.iter() {
                        cell.clear();
                        record.fill(column, cell);
                        line.write_field(cell.text())?;
                    }
                    line.write_record(None::<&[u8]>)
                })
            }),
            Form::Foreign { format, last } => {
                let time = record.time();
                if last.is_none()
                    && let Some(head) = time.and_then(|first| format.head(first))
                {
                    self.buffer.header(&head);
                }
                *last = (*last).max(time);
                self.buffer
                    .record(|pending| record.encode(*format, pending))
            }
            Form::Wrapped { format } => self.buffer.record(|pending| {
                let mut documents = Vec::new();
                record.encode(*format, &mut documents)?;
                envelope::wrap(&record.label(stream)?, *format, &documents, pending)
            }),
            #[cfg(feature = "parquet")]
            Form::Parquet(dataset) => dataset.write(record),
            Form::Dnstap(_) => self
                .buffer
                .record(|pending| record.encode(EventFormat::Dnstap, pending)),
            // Nobody asks for it.
            Form::Packets(_) => Ok(()),
            Form::Table(table) => {
                if let Some(line) = record.table_line() {
                    table.add(&line);
                }
                if table.is_full() {
                    self.print_table()
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Writes a packet, where packets are written.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, comments: &[Arc<str>]) -> io::Result<()> {
        let Form::Packets(packets) = &mut self.form else {
            return Ok(());
        };
        self.buffer
            .record(|pending| packets.write(packet, comments, pending))
    }

    /// Prints the lines that wait for their table, if it is one.
    pub(super) fn print_table(&mut self) -> io::Result<()> {
        let Form::Table(table) = &mut self.form else {
            return Ok(());
        };
        for (line, is_record) in table.take() {
            if is_record {
                self.buffer.record(|pending| writeln!(pending, "{line}"))?;
            } else {
                self.buffer.header(format!("{line}\n").as_bytes());
            }
        }
        Ok(())
    }

    /// Writes what waits, and what stands behind the last record. A record that comes nevertheless begins anew.
    pub(super) fn close(&mut self) -> io::Result<()> {
        #[cfg(feature = "parquet")]
        if let Form::Parquet(dataset) = &mut self.form {
            return dataset.finish();
        }
        self.print_table()?;
        if let Form::Dnstap(_) = self.form {
            self.buffer.header(&dnstap::stop());
        }
        if let Form::Foreign { format, last } = &mut self.form
            && let Some(tail) = last.take().and_then(|last| format.tail(last))
        {
            self.buffer.header(&tail);
        }
        self.buffer.flush()
    }

    /// What was done to the place when it was opened that somebody should know of.
    #[cfg_attr(
        not(feature = "parquet"),
        expect(
            clippy::unused_self,
            reason = "only folders of Parquet have anything to say"
        )
    )]
    pub(super) fn remark(&self) -> Option<String> {
        #[cfg(feature = "parquet")]
        if let Form::Parquet(dataset) = &self.form
            && dataset.removed() > 0
        {
            return Some(format!(
                "{}: {} unfinished files of a run that ended early were removed",
                self.place,
                dataset.removed()
            ));
        }
        None
    }

    /// Begins anew behind what [`close`](Self::close) wrote, in the same file.
    pub(super) fn goes_on(&mut self) {
        if let Form::Dnstap(_) = self.form {
            self.buffer.header(&dnstap::start());
        }
    }

    /// Writes the last of a file that nothing comes to any more.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if let Form::Packets(packets) = &mut self.form
            && let Some(end) = packets.end()
        {
            self.buffer.header(&end);
        }
        self.close()
    }

    pub(super) fn failed(&self, name: &'static str, source: io::Error) -> SinkError {
        if source.kind() == io::ErrorKind::BrokenPipe {
            return SinkError::BrokenPipe;
        }
        let (records, remains) = match &self.form {
            #[cfg(feature = "parquet")]
            Form::Parquet(dataset) => (dataset.written(), "; they are in whole files".to_owned()),
            _ => (self.buffer.written(), self.buffer.target().remains()),
        };
        SinkError::Write {
            place: self.place.to_string(),
            stream: name,
            records,
            remains,
            source,
        }
    }
}

/// Lets `write` write one line of CSV or TSV.
fn separated(
    delimiter: u8,
    line: &mut Vec<u8>,
    write: impl FnOnce(&mut csv::Writer<&mut Vec<u8>>) -> csv::Result<()>,
) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(delimiter)
        .buffer_capacity(LINE)
        .from_writer(line);
    write(&mut writer)?;
    writer.flush()
}

/// Most lines of CSV are shorter.
const LINE: usize = 1024;
