//! The project's own rule files, and those of filters: YAML, checked so that every mistake in a file is named with its place and its remedy.
//!
//! A document that is a detection of Splunk's is turned into that form first (`splunk`).

mod aggregate;
mod check;
mod condition;
mod filter;
mod lookup;
mod reader;
mod risk;
mod search;
mod trial;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) use check::TYPES;
#[cfg(test)]
pub(super) use condition::expression;

use reader::Reader;

use super::mistake::{Mistake, Mistakes, together};
use super::{Filter, Origin, Rule, sigma, splunk, yaml};

/// The largest rule file in bytes.
pub const LARGEST: u64 = 1 << 20;

/// The most rule files in one folder.
const FILES: usize = 10_000;

/// Reads the rules of a file, or of a folder: its `*.yaml` and `*.yml`, and those of the folders in it but not deeper, in
/// the order of their paths.
///
/// # Errors
/// Every mistake in every file.
pub fn read_path(path: &Path) -> Result<Vec<Rule>, Vec<Mistake>> {
    read_all(path, read_text)
}

/// The same of filters.
///
/// # Errors
/// Every mistake in every file.
pub fn read_filters(path: &Path) -> Result<Vec<Filter>, Vec<Mistake>> {
    read_all(path, filter::read_text)
}

/// What the text of a file holds, or the mistakes in it; the file's name is given with it.
type ReadText<T> = fn(&str, &str) -> Result<Vec<T>, Vec<Mistake>>;

fn read_all<T>(path: &Path, read: ReadText<T>) -> Result<Vec<T>, Vec<Mistake>> {
    if !path.is_dir() {
        return read_file(path, read);
    }
    let files = list_files(path)?;
    together(files.iter().map(|file| read_file(file, read)))
}

/// The rule files of a folder and of the folders in it.
fn list_files(folder: &Path) -> Result<Vec<PathBuf>, Vec<Mistake>> {
    let mut mistakes = Mistakes::new(&folder.display().to_string());
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        let entries = match std::fs::read_dir(&current) {
            Ok(entries) => entries,
            Err(error) => {
                mistakes.add(
                    (0, 0),
                    format!("{} cannot be opened: {error}", current.display()),
                );
                continue;
            }
        };
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => {
                    mistakes.add(
                        (0, 0),
                        format!("{} cannot be read: {error}", current.display()),
                    );
                    break;
                }
            };
            // What an editor keeps beside the file it edits.
            let hidden = path
                .file_name()
                .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            let rules = path
                .extension()
                .is_some_and(|ending| ending == "yaml" || ending == "yml");
            if hidden {
                continue;
            } else if path.is_dir() {
                if current == folder {
                    folders.push(path);
                }
            } else if rules {
                files.push(path);
            }
            if files.len() > FILES {
                mistakes.add((0, 0), format!("more than {FILES} rule files"));
                return mistakes.or(Vec::new());
            }
        }
    }
    if files.is_empty() {
        mistakes.add(
            (0, 0),
            "no rule in this folder; expected files that end in .yaml or .yml",
        );
    }
    files.sort();
    mistakes.or(files)
}

fn read_file<T>(path: &Path, read_text: ReadText<T>) -> Result<Vec<T>, Vec<Mistake>> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(LARGEST.saturating_add(1)).read_to_end(&mut bytes));
    match read {
        Ok(_) => decode(&name, &bytes, read_text),
        Err(error) => {
            let mut mistakes = Mistakes::new(&name);
            mistakes.add((0, 0), format!("cannot be read: {error}"));
            mistakes.or(Vec::new())
        }
    }
}

/// Reads the rules in the bytes of a file.
///
/// # Errors
/// Every mistake in it; a file larger than 1 MiB or not UTF-8 is one.
pub fn read_bytes(file: &str, bytes: &[u8]) -> Result<Vec<Rule>, Vec<Mistake>> {
    decode(file, bytes, read_text)
}

fn decode<T>(file: &str, bytes: &[u8], read_text: ReadText<T>) -> Result<Vec<T>, Vec<Mistake>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => read_text(file, text),
        Err(error) => {
            let mut mistakes = Mistakes::new(file);
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let start = memchr::memrchr(b'\n', good).map_or(0, |end| end.saturating_add(1));
            let line = memchr::memchr_iter(b'\n', good).count().saturating_add(1);
            let column = String::from_utf8_lossy(good.get(start..).unwrap_or_default())
                .chars()
                .count()
                .saturating_add(1);
            let place = (
                u32::try_from(line).unwrap_or(u32::MAX),
                u32::try_from(column).unwrap_or(u32::MAX),
            );
            mistakes.add(place, "not UTF-8; expected a YAML file in UTF-8");
            mistakes.or(Vec::new())
        }
    }
}

/// The documents of a file's text; `empty` is the mistake where there is none.
fn documents<'a>(text: &'a str, empty: &str, mistakes: &mut Mistakes) -> Vec<yaml::Document<'a>> {
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LARGEST {
        mistakes.add(
            (0, 0),
            format!(
                "larger than {LARGEST} bytes; expected less (--names takes long lists of names)"
            ),
        );
        return Vec::new();
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let documents = yaml::read(text, mistakes);
    if documents.is_empty() {
        mistakes.add((0, 0), empty);
    }
    documents
}

/// Reads the rules in the text of a file: one in each document.
///
/// # Errors
/// Every mistake in it.
pub fn read_text(file: &str, text: &str) -> Result<Vec<Rule>, Vec<Mistake>> {
    let mut mistakes = Mistakes::new(file);
    let empty = "no rule in this file; expected a mapping with name and where";
    let documents = documents(text, empty, &mut mistakes);
    if sigma::is_sigma(&documents) {
        let rules = sigma::read(&documents, &mut mistakes);
        return mistakes.or(rules);
    }
    let mut reader = Reader::new(&mut mistakes);
    let mut rules: Vec<Rule> = Vec::new();
    let mut names = HashSet::<String, ahash::RandomState>::default();
    for document in &documents {
        let line = document.root.place.0;
        let mut rule = if splunk::is_detection(document) {
            let translation = splunk::translate(document, reader.mistakes);
            let mut rule = check::rule(&translation.root, translation.cut, &mut reader);
            rule.notes = translation
                .notes
                .into_iter()
                .map(|((line, column), message)| Mistake {
                    file: Arc::clone(reader.mistakes.file()),
                    line,
                    column,
                    message,
                })
                .collect();
            rule
        } else {
            check::rule(&document.root, document.cut, &mut reader)
        };
        rule.origin = Origin::File {
            path: Arc::clone(reader.mistakes.file()),
            line,
        };
        rule.text = Arc::from(document.text);
        if !rule.name.is_empty() && !names.insert(rule.name.clone()) {
            let message = format!(
                "the name '{}' is taken by another rule of this file; expected a name of its own",
                rule.name
            );
            reader.mistakes.add(document.root.place, message);
        }
        rules.push(rule);
    }
    mistakes.or(rules)
}
