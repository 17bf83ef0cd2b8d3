//! One file of Parquet that is not whole yet.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;
use serde_json::{Map, Value};

use super::super::file::is_at;
use super::cells::{self, Cells, io_error};
use super::schema::Column;
use super::{UNFINISHED, Whole};

/// A row group has so many records at most, and so many bytes before it is encoded.
const GROUP: (u64, usize) = (65_536, 16 << 20);

/// An open file.
#[derive(Debug)]
pub(super) struct Part {
    /// The hour of all its records, counted from 1970.
    pub(super) hour: i64,
    /// The packet time at which it was seen first.
    pub(super) begun: Option<i64>,
    pub(super) unfinished: PathBuf,
    path: PathBuf,
    writer: Writer,
    /// The values of the row group that is not written yet; some columns of a record are several here.
    cells: Vec<Vec<Cells>>,
    waiting: (u64, usize),
    records: u64,
}

/// The library's writer has no form for people.
struct Writer(SerializedFileWriter<File>);

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Part {
    /// Begins a file that will be `NAME.parquet` in that folder.
    pub(super) fn begin(
        folder: &Path,
        name: &str,
        hour: i64,
        columns: &[Column],
        schema: &TypePtr,
    ) -> io::Result<Self> {
        DirBuilder::new().recursive(true).create(folder)?;
        let unfinished = folder.join(format!(".{name}{UNFINISHED}"));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&unfinished)?;
        // Who cleans up sees that it belongs to somebody. Where the file system has no locks, none is held.
        drop(file.try_lock());
        if !is_at(&file, &unfinished) {
            return Err(io::Error::other("another run removed it"));
        }
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("dnsterrier ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = SerializedFileWriter::new(file, Arc::clone(schema), Arc::new(properties));
        Ok(Self {
            hour,
            begun: None,
            unfinished,
            path: folder.join(format!("{name}.parquet")),
            writer: Writer(writer.map_err(io_error)?),
            cells: columns.iter().map(cells::of).collect(),
            waiting: (0, 0),
            records: 0,
        })
    }

    /// How many bytes are in the file so far.
    pub(super) fn bytes(&self) -> u64 {
        self.writer.0.bytes_written() as u64
    }

    /// Takes a record.
    pub(super) fn add(
        &mut self,
        columns: &[Column],
        record: &Map<String, Value>,
    ) -> io::Result<()> {
        let mut known = 0;
        for (column, parts) in columns.iter().zip(&mut self.cells) {
            let value = record.get(&column.name);
            known += usize::from(value.is_some());
            for cells in parts {
                self.waiting.1 += cells.put(value).ok_or_else(|| {
                    io::Error::other(format!("{} is of another type: a bug", column.name))
                })?;
            }
        }
        if known != record.len() {
            return Err(io::Error::other("a field without a column: a bug"));
        }
        self.records += 1;
        self.waiting.0 += 1;
        if self.waiting.0 >= GROUP.0 || self.waiting.1 >= GROUP.1 {
            self.write_group().map_err(io_error)?;
        }
        Ok(())
    }

    fn write_group(&mut self) -> parquet::errors::Result<()> {
        if std::mem::take(&mut self.waiting) == (0, 0) {
            return Ok(());
        }
        let mut group = self.writer.0.next_row_group()?;
        for cells in self.cells.iter_mut().flatten() {
            if let Some(column) = group.next_column()? {
                cells.write(column)?;
            }
        }
        group.close()?;
        Ok(())
    }

    /// Writes the rest; the file is on disk then.
    pub(super) fn finish(mut self) -> io::Result<Whole> {
        let done = self.write_group().map_err(io_error);
        let written = done.and_then(|()| self.writer.0.into_inner().map_err(io_error));
        let synced = written.and_then(|file| file.sync_all().map(|()| file));
        match synced {
            Ok(file) => Ok(Whole {
                _lock: file,
                unfinished: self.unfinished,
                path: self.path,
                records: self.records,
            }),
            Err(error) => {
                fs::remove_file(&self.unfinished).ok();
                Err(error)
            }
        }
    }
}
