//! What is wrong with a rule file, and where.

use std::fmt;
use std::sync::Arc;

/// More mistakes than these in one file are counted, not listed.
const LISTED: usize = 1_000;

/// One mistake in a file of rules or names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub file: Arc<str>,
    /// The line, from 1; 0 where the whole file is meant.
    pub line: u32,
    /// The column in characters, from 1; 0 where the whole line is meant.
    pub column: u32,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Mistake {}

/// What several files gave, in their order: the good ones' contents, and the others' mistakes.
pub fn gather<T>(
    read: impl IntoIterator<Item = Result<Vec<T>, Vec<Mistake>>>,
) -> (Vec<T>, Vec<Mistake>) {
    let (mut all, mut mistakes) = (Vec::new(), Vec::new());
    for one in read {
        match one {
            Ok(found) => all.extend(found),
            Err(found) => mistakes.extend(found),
        }
    }
    (all, mistakes)
}

/// The same, where one mistake spoils all.
///
/// # Errors
/// Every mistake in every file.
pub fn together<T>(
    read: impl IntoIterator<Item = Result<Vec<T>, Vec<Mistake>>>,
) -> Result<Vec<T>, Vec<Mistake>> {
    let (all, mistakes) = gather(read);
    if mistakes.is_empty() {
        Ok(all)
    } else {
        Err(mistakes)
    }
}

/// The mistakes of one file, as they are found.
#[derive(Debug)]
pub(super) struct Mistakes {
    file: Arc<str>,
    list: Vec<Mistake>,
    unlisted: usize,
}

impl Mistakes {
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: file.into(),
            list: Vec::new(),
            unlisted: 0,
        }
    }

    pub(super) const fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// Adds one at a line and column, from 1.
    pub(super) fn add(&mut self, (line, column): (u32, u32), message: impl Into<String>) {
        if self.list.len() < LISTED {
            self.list.push(Mistake {
                file: Arc::clone(&self.file),
                line,
                column,
                message: message.into(),
            });
        } else {
            self.unlisted = self.unlisted.saturating_add(1);
        }
    }

    /// Adds one in a line of another file.
    pub(super) fn add_in(&mut self, file: &Arc<str>, line: u32, message: impl Into<String>) {
        self.add((line, 0), message);
        if let Some(last) = self.list.last_mut().filter(|_| self.unlisted == 0) {
            last.file = Arc::clone(file);
        }
    }

    /// Adds those of a part of the same file, before which there are so many lines.
    pub(super) fn append(&mut self, part: Self, lines: u32) {
        let space = LISTED.saturating_sub(self.list.len());
        let beyond = part.list.len().saturating_sub(space);
        let of_file = part.list.into_iter().map(|mut mistake| {
            if mistake.line > 0 {
                mistake.line = mistake.line.saturating_add(lines);
            }
            mistake
        });
        self.list.extend(of_file.take(space));
        let unlisted = part.unlisted.saturating_add(beyond);
        self.unlisted = self.unlisted.saturating_add(unlisted);
    }

    /// The value where there was no mistake, else the mistakes in the order of the file.
    pub(super) fn or<T>(mut self, value: T) -> Result<T, Vec<Mistake>> {
        if self.list.is_empty() {
            return Ok(value);
        }
        let own = &self.file;
        self.list
            .sort_by_key(|mistake| (mistake.file != *own, mistake.line, mistake.column));
        if self.unlisted > 0 {
            let message = format!("{} further mistakes", self.unlisted);
            self.list.push(Mistake {
                file: self.file,
                line: 0,
                column: 0,
                message,
            });
        }
        Err(self.list)
    }
}
