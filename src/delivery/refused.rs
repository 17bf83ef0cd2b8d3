//! Records that a place will never take: kept beside the spool, each with what the place said.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::value::RawValue;

use super::folder::REFUSED;

/// How long the file may become.
const LONGEST: u64 = 64 << 20;

/// The file of one spool.
#[derive(Debug)]
pub(super) struct Refused {
    path: PathBuf,
}

#[derive(Serialize)]
struct Letter<'a> {
    why: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a RawValue>,
}

impl Refused {
    /// That of the spool in this folder.
    pub(super) fn of(folder: &Path) -> Self {
        Self {
            path: folder.join(REFUSED),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a record.
    ///
    /// # Errors
    /// It could not be written, or there is no room for it: the record is lost.
    pub(super) fn keep(&self, line: &[u8], why: &str) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        let length = file.metadata()?.len();
        if length >= LONGEST {
            return Err(io::Error::other(format!(
                "it has {} MiB already: look into it and remove it",
                LONGEST >> 20
            )));
        }
        let letter = Letter {
            why,
            record: serde_json::from_slice(line).ok(),
        };
        let mut text = serde_json::to_vec(&letter)?;
        text.push(b'\n');
        file.write_all(&text).inspect_err(|_| {
            // No half record stays.
            file.set_len(length).ok();
        })
    }
}
