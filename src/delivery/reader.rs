//! Reads batches from the segments of a spool, over what is damaged.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::Tell;
use super::folder::Segment;
use super::segment::{HEADER, Records, Waiting};

/// The records of one batch, and their bytes.
pub(super) const BATCH_RECORDS: usize = 4_096;
const BATCH_BYTES: usize = 1 << 20;

/// Where the sender reads.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The file, and where in it the next record is.
    at: Option<(PathBuf, u64)>,
    /// Of which file something was said.
    said: Option<PathBuf>,
}

impl Reader {
    /// Reads records without a gap between them, the first of that number or later.
    pub(super) fn read(
        &mut self,
        segment: &Segment,
        from: u64,
        tell: Tell,
    ) -> io::Result<Vec<Waiting>> {
        let offset = match &self.at {
            Some((path, offset)) if *path == segment.path => *offset,
            _ => HEADER as u64,
        };
        let mut list: Vec<Waiting> = Vec::new();
        let mut file = match File::open(&segment.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(list),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(offset))?;
        let whole = segment.bytes.saturating_sub(offset);
        let mut records = Records::new(io::Read::take(file, whole), offset);
        let mut bytes = 0;
        let mut damaged = None;
        while list.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
            let before = records.offset;
            let next = match records.next() {
                Ok(next) => next.map(|(sequence, line)| (sequence, line.to_vec())),
                Err(error) => {
                    damaged = Some(error.to_string());
                    break;
                }
            };
            if let Some(at) = records.damaged_at.take() {
                damaged = Some(format!("it is damaged at byte {at}"));
            }
            let follows = list.last().map(|last| last.sequence + 1);
            match next {
                None => break,
                Some((sequence, _)) if sequence < from || sequence >= segment.next => {}
                Some((sequence, _)) if follows.is_some_and(|follows| follows != sequence) => {
                    records.offset = before;
                    break;
                }
                Some((sequence, line)) => {
                    bytes += line.len();
                    list.push(Waiting { sequence, line });
                }
            }
        }
        self.at = Some((segment.path.clone(), records.offset));
        if let Some(reason) = damaged {
            self.say(&segment.path, &reason, tell);
        }
        Ok(list)
    }

    /// Says once of a file what is wrong with it.
    pub(super) fn say(&mut self, path: &Path, reason: &str, tell: Tell) {
        if self.said.as_deref() != Some(path) {
            self.said = Some(path.to_owned());
            tell(&format!(
                "dnsterrier: warning: the spool's {}: {reason}; what is whole is sent, the rest counted as damaged\n",
                path.display()
            ));
        }
    }
}
