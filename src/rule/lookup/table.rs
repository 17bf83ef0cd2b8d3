//! The table of a lookup: a CSV, and the lines of it that match.
//!
//! Names, values and patterns are found as those of rules are (`index`), networks by the lengths of their prefixes; so a
//! million lines cost about what one costs. Where several columns must match, the lines come from the one that has the most
//! distinct cells, and are then held against the others.

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;

use ipnet::IpNet;

use super::Matching;
use crate::event::{Networks, network};
use crate::rule::index::Index;
use crate::rule::pattern::{LONGEST, Patterns, Shape, check_domain};
use crate::rule::spelling::{clip, expected};

/// The largest table in bytes, and in lines.
const LARGEST: u64 = 1 << 30;
const LINES: u32 = 4_000_000;

/// The most columns of a table.
const COLUMNS: usize = 1_000;

/// What a table is asked for in one of its columns: any of these values.
#[derive(Clone, Debug, Default)]
pub(in crate::rule) struct Asked {
    /// Texts in lower case.
    pub(in crate::rule) texts: Vec<String>,
    /// Addresses and networks.
    pub(in crate::rule) networks: Vec<IpNet>,
}

/// The lines of a CSV, found by some columns and asked for others.
#[derive(Debug)]
pub(in crate::rule) struct Table {
    keys: Vec<Key>,
    /// The key that lines are found by.
    finding: usize,
    /// The cells that events get, line by line.
    cells: String,
    /// Where each ends.
    ends: Vec<u32>,
    outputs: usize,
    lines: u32,
    digest: [u8; 32],
}

/// The cells of a column, and how they are found.
#[derive(Debug)]
enum Key {
    Texts {
        patterns: Arc<Patterns>,
        index: Box<Index>,
    },
    Networks {
        of_lines: Vec<IpNet>,
        lines: Networks<Vec<u32>>,
    },
}

/// A column that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rule) struct Wanted<'a> {
    /// Its name.
    pub(in crate::rule) column: Cow<'a, str>,
    /// How it is held against values, and whether these are names; nothing for one that events get.
    pub(in crate::rule) matching: Option<(Matching, bool)>,
}

impl Wanted<'_> {
    /// The same with its name copied.
    pub(in crate::rule) fn into_owned(self) -> Wanted<'static> {
        Wanted {
            column: Cow::Owned(self.column.into_owned()),
            matching: self.matching,
        }
    }
}

/// Something wrong with a table, or with what is wanted of it.
pub(in crate::rule) enum Wrong {
    /// In that line of the file.
    Line(u64, String),
    /// With the column that is wanted at that place.
    Wanted(usize, String),
}

/// Reads a CSV whose first line names its columns; those that are matched come first among those wanted.
pub(in crate::rule) fn read(file: impl Read, wanted: &[Wanted<'_>]) -> Result<Table, Vec<Wrong>> {
    let mut hasher = blake3::Hasher::new();
    let hashed = Hashed {
        file: file.take(LARGEST + 1),
        hasher: &mut hasher,
        read: 0,
    };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(hashed);
    let mut wrong = Vec::new();
    let header: Vec<String> = match reader.headers() {
        Ok(header) => header
            .iter()
            .map(|name| name.trim().trim_start_matches('\u{feff}').to_owned())
            .collect(),
        Err(error) => return Err(vec![Wrong::Line(1, format!("cannot be read: {error}"))]),
    };
    if header.len() > COLUMNS {
        return Err(vec![Wrong::Line(
            1,
            format!("{} columns; expected at most {COLUMNS}", header.len()),
        )]);
    }
    for (place, name) in header.iter().enumerate() {
        if header.iter().take(place).any(|other| other == name) {
            wrong.push(Wrong::Line(
                1,
                format!(
                    "the column `{}` a second time; expected each once",
                    clip(name)
                ),
            ));
        }
    }
    let names: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut places = Vec::new();
    for (number, wanted) in wanted.iter().enumerate() {
        match names.iter().position(|name| *name == wanted.column) {
            Some(place) => places.push(place),
            None => wrong.push(Wrong::Wanted(
                number,
                format!(
                    "the file has no column `{}`; {}",
                    clip(&wanted.column),
                    expected(&wanted.column, &names)
                ),
            )),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let matched = wanted
        .iter()
        .filter(|wanted| wanted.matching.is_some())
        .count();
    let mut columns: Vec<Column> = wanted
        .iter()
        .filter_map(|wanted| wanted.matching)
        .map(|(matching, is_name)| Column {
            matching,
            is_name,
            patterns: Patterns::new(),
            networks: Vec::new(),
        })
        .collect();
    let (mut cells, mut ends, mut lines) = (String::new(), Vec::new(), 0_u32);
    let mut record = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                let is_utf8 = !matches!(error.kind(), csv::ErrorKind::Utf8 { .. });
                wrong.push(Wrong::Line(
                    line,
                    if is_utf8 {
                        format!("cannot be read: {error}")
                    } else {
                        "not UTF-8; expected a CSV file in UTF-8".to_owned()
                    },
                ));
                // Bytes that are no text spoil their own line alone.
                if is_utf8 {
                    break;
                }
                continue;
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != header.len() {
            wrong.push(Wrong::Line(
                line,
                format!("{} columns; expected {}", record.len(), header.len()),
            ));
            continue;
        }
        if lines >= LINES {
            wrong.push(Wrong::Line(
                line,
                format!("more than {LINES} lines; expected fewer, or --names for a list of names"),
            ));
            break;
        }
        lines += 1;
        let cell = |place: &usize| record.get(*place).unwrap_or_default().trim();
        for ((column, place), wanted) in columns.iter_mut().zip(&places).zip(wanted) {
            if let Err(message) = column.add(cell(place)) {
                wrong.push(Wrong::Line(
                    line,
                    format!("the column `{}`: {message}", wanted.column),
                ));
            }
        }
        for place in places.iter().skip(matched) {
            cells.push_str(cell(place));
            match u32::try_from(cells.len()) {
                Ok(end) => ends.push(end),
                Err(_) => {
                    return Err(vec![Wrong::Line(
                        line,
                        "more than 4 GiB of cells; expected fewer".to_owned(),
                    )]);
                }
            }
        }
    }
    let read = reader.get_ref().read;
    drop(reader);
    if read > LARGEST {
        wrong.push(Wrong::Line(
            0,
            format!("larger than {LARGEST} bytes; expected less"),
        ));
    }
    if lines == 0 && wrong.is_empty() {
        wrong.push(Wrong::Line(
            0,
            "no line below the names of the columns; expected one at least".to_owned(),
        ));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let is_one_of_several = columns.len() > 1;
    let keys: Vec<(usize, Key)> = columns
        .into_iter()
        .map(|column| column.into_key(is_one_of_several))
        .collect();
    let finding = keys
        .iter()
        .enumerate()
        .max_by_key(|(place, (distinct, _))| (*distinct, usize::MAX - place));
    Ok(Table {
        finding: finding.map_or(0, |(place, _)| place),
        keys: keys.into_iter().map(|(_, key)| key).collect(),
        cells,
        ends,
        outputs: wanted.len() - matched,
        lines,
        digest: *hasher.finalize().as_bytes(),
    })
}

/// A column on its way into the table.
struct Column {
    matching: Matching,
    is_name: bool,
    patterns: Patterns,
    networks: Vec<IpNet>,
}

impl Column {
    fn add(&mut self, cell: &str) -> Result<(), String> {
        if cell.is_empty() || cell.len() > LONGEST {
            return Err(format!(
                "{} bytes; expected 1 to {LONGEST}, or the line taken out",
                cell.len()
            ));
        }
        let plain = match cell.strip_suffix('.') {
            Some(name) if self.is_name && !name.is_empty() && !name.ends_with('\\') => name,
            _ => cell,
        };
        match self.matching {
            Matching::Exact => self.patterns.add(Shape::Exact, plain),
            Matching::Wildcard => self.patterns.add(Shape::Glob, plain),
            Matching::Suffix => self.patterns.add(Shape::Domain, check_domain(cell)?),
            Matching::Cidr => {
                let network = network(cell).ok_or_else(|| {
                    format!(
                        "'{}' is no network; expected such as 10.0.0.0/8 or 2001:db8::/32",
                        clip(cell)
                    )
                })?;
                self.networks.push(network.trunc());
                Ok(())
            }
        }
    }

    /// The column as it is found, and how many cells of it are about distinct, where others are to be compared with it.
    fn into_key(self, is_one_of_several: bool) -> (usize, Key) {
        if self.matching == Matching::Cidr {
            let mut lines = Networks::<Vec<u32>>::default();
            for (line, network) in (0..).zip(&self.networks) {
                lines.entry(*network).or_default().push(line);
            }
            return (
                lines.len(),
                Key::Networks {
                    of_lines: self.networks,
                    lines,
                },
            );
        }
        let patterns = Arc::new(self.patterns);
        let distinct = match is_one_of_several {
            true => distinct(&patterns),
            false => patterns.len(),
        };
        let index = Box::new(Index::new(vec![Arc::clone(&patterns)]));
        (distinct, Key::Texts { patterns, index })
    }
}

/// How many patterns differ from each other.
fn distinct(patterns: &Patterns) -> usize {
    let texts = patterns.iter().map(|pattern| pattern.text);
    let distinct: std::collections::HashSet<&[u8], ahash::RandomState> = texts.collect();
    distinct.len()
}

impl Key {
    /// Calls `take` with lines whose cell matches, some perhaps several times.
    fn each(&self, asked: &Asked, take: &mut dyn FnMut(u32)) {
        match self {
            Self::Texts { index, .. } => {
                for text in &asked.texts {
                    index.each_pattern(text.as_bytes(), &mut |_, line| take(line));
                }
            }
            Self::Networks { lines, .. } => {
                let lists = asked
                    .networks
                    .iter()
                    .flat_map(|network| lines.each_holding(*network));
                lists.flatten().for_each(|line| take(*line));
            }
        }
    }

    fn may_match(&self, asked: &Asked) -> bool {
        match self {
            Self::Texts { index, .. } => {
                asked.texts.iter().any(|text| index.wants(text.as_bytes()))
            }
            Self::Networks { lines, .. } => {
                let mut networks = asked.networks.iter();
                networks.any(|network| lines.each_holding(*network).next().is_some())
            }
        }
    }

    fn matches(&self, line: u32, asked: &Asked) -> bool {
        let line = usize::try_from(line).unwrap_or(usize::MAX);
        match self {
            Self::Texts { patterns, .. } => patterns.get(line).is_some_and(|pattern| {
                asked
                    .texts
                    .iter()
                    .any(|text| pattern.covers(text.as_bytes()))
            }),
            Self::Networks { of_lines, .. } => of_lines
                .get(line)
                .is_some_and(|network| asked.networks.iter().any(|asked| network.contains(asked))),
        }
    }
}

impl Table {
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.lines).unwrap_or(usize::MAX)
    }

    /// A hash of the whole file.
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// What the values of a matched column are held against, where it is texts.
    pub(super) fn patterns(&self, place: usize) -> Option<&Arc<Patterns>> {
        match self.keys.get(place)? {
            Key::Texts { patterns, .. } => Some(patterns),
            Key::Networks { .. } => None,
        }
    }

    /// Whether some line may match in that column: never false where one does.
    pub(super) fn may_match(&self, place: usize, asked: &Asked) -> bool {
        self.keys.get(place).is_some_and(|key| key.may_match(asked))
    }

    /// The lines that match in all columns, in their order; where not all are wanted the first alone.
    pub(super) fn lines(&self, asked: &[Asked], all: bool) -> Vec<u32> {
        let (Some(finding), Some(by)) = (self.keys.get(self.finding), asked.get(self.finding))
        else {
            return Vec::new();
        };
        let matches = |line: u32| {
            let others = self.keys.iter().zip(asked).enumerate();
            let mut others = others.filter(|(place, _)| *place != self.finding);
            others.all(|(_, (key, asked))| key.matches(line, asked))
        };
        let mut found: Vec<u32> = Vec::new();
        finding.each(by, &mut |line| {
            let first = found.first().copied();
            if all {
                if matches(line) {
                    found.push(line);
                }
            } else if first.is_none_or(|first| line < first) && matches(line) {
                found.clear();
                found.push(line);
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The cell of a line that events get, by the column's place among these.
    pub(super) fn output(&self, line: u32, place: usize) -> &str {
        let number = usize::try_from(line)
            .unwrap_or(usize::MAX)
            .saturating_mul(self.outputs)
            .saturating_add(place);
        let end = |number: usize| {
            self.ends
                .get(number)
                .and_then(|end| usize::try_from(*end).ok())
        };
        let start = number.checked_sub(1).map_or(Some(0), end);
        let cell = start
            .zip(end(number))
            .and_then(|(start, end)| self.cells.get(start..end));
        cell.unwrap_or_default()
    }
}

/// A file that is hashed as it is read.
struct Hashed<'h, R> {
    file: R,
    hasher: &'h mut blake3::Hasher,
    read: u64,
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.read += count as u64;
        Ok(count)
    }
}
