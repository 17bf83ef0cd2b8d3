//! What can be read anew while a run goes on: rules, filters, assets, and what a run makes of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::aggregate::{self, Aggregator, Window};
use crate::cli::Common;
use crate::encrypted::KnownResolvers;
use crate::error::Error;
use crate::event::Assets;
use crate::pipeline::{Load, Loaded};
use crate::risk::Scorer;
use crate::rule::beside::both;
use crate::rule::pattern::{Patterns, Shape};
use crate::rule::{self, Filters, Mistake, Rule, Rules, native};
use crate::sink::{self, Format, Place, Stream};
use crate::transaction::Pairing;

/// What the files of the command line hold.
pub(super) struct Files {
    pub(super) rules: Rules,
    pub(super) filters: Filters,
    pub(super) assets: Assets,
}

impl Files {
    /// Reads and checks all of them.
    pub(super) fn read(common: &Common, known: &KnownResolvers) -> Result<Self, Error> {
        let rules = selected_rules(common, known)?;
        Ok(Self {
            filters: filters(&common.filter_paths, &rules)?,
            rules,
            assets: assets(common)?,
        })
    }
}

/// How rows are made, whatever the rules are.
#[derive(Clone)]
pub(super) struct Rowing {
    pub(super) window: Window,
    pub(super) sensor: Arc<str>,
    pub(super) timeout: Duration,
}

impl Rowing {
    /// What a run takes of the files.
    pub(super) fn load(&self, files: Files) -> Result<Loaded, Error> {
        let Files {
            rules,
            filters,
            assets,
        } = files;
        let longest = Pairing::longest(self.timeout);
        let limits = aggregate::Limits {
            lateness: longest,
            ..aggregate::Limits::default()
        };
        let aggregator =
            Aggregator::new(rules.list(), self.window, Arc::clone(&self.sensor), limits)
                .map_err(|error| Error::Usage(error.to_string()))?;
        Ok(Loaded {
            scorer: Scorer::new(rules.list(), longest),
            rules: Arc::new(rules),
            filters,
            assets,
            aggregator,
        })
    }
}

/// The columns of the places that cannot get further ones while a run goes on: CSV and TSV begin with their names.
pub(super) struct FixedColumns {
    streams: Vec<(Stream, Vec<String>)>,
}

impl FixedColumns {
    /// Those of the places of a run with these rules.
    pub(super) fn of(places: &[(Stream, &[Place])], format: Format, rules: &[Rule]) -> Self {
        let has_header = |(stream, places): &&(Stream, &[Place])| {
            let mut formats = places
                .iter()
                .filter_map(|place| place.format(*stream, format));
            formats.any(|format| matches!(format, Format::Csv | Format::Tsv | Format::Parquet))
        };
        let fixed = places.iter().filter(has_header);
        Self {
            streams: fixed
                .map(|(stream, _)| (*stream, sink::columns(*stream, rules)))
                .collect(),
        }
    }

    fn check(&self, rules: &[Rule]) -> Result<(), Error> {
        for (stream, columns) in &self.streams {
            let further: Vec<String> = sink::columns(*stream, rules)
                .into_iter()
                .filter(|column| !columns.contains(column))
                .collect();
            if !further.is_empty() {
                return Err(Error::Usage(format!(
                    "{stream} are written as CSV, TSV or Parquet, whose columns stay the same, and these rules would need further ones: {}; \
                     write JSON Lines (.jsonl), which can hold any, or end the run and begin another",
                    further.join(", ")
                )));
            }
        }
        Ok(())
    }
}

/// Reads everything anew as the command line has it.
pub(super) fn anew(
    common: &Common,
    known: Arc<KnownResolvers>,
    rowing: &Rowing,
    columns: FixedColumns,
) -> Load {
    let (common, rowing) = (common.clone(), rowing.clone());
    Box::new(move || {
        let load = || {
            let files = Files::read(&common, &known)?;
            columns.check(files.rules.list())?;
            rowing.load(files)
        };
        load().map_err(|error: Error| error.to_string())
    })
}

/// The rules of the command line, all of them loaded and checked.
///
/// # Errors
/// Every mistake in every file.
pub fn load_rules(paths: &[PathBuf], embedded: bool) -> Result<Vec<Rule>, Error> {
    let embedded = embedded.then(rule::embedded);
    let files = paths.iter().map(|path| native::read_path(path));
    rule::together(embedded.into_iter().chain(files)).map_err(Error::Rules)
}

/// The resolvers that are known to answer over HTTPS: those inside the program, or those of a file.
pub(super) fn known_resolvers(path: Option<&Path>) -> Result<KnownResolvers, Error> {
    let (file, read) = match path {
        None => (
            "rules/doh-resolvers.txt".to_owned(),
            KnownResolvers::embedded(),
        ),
        Some(path) => {
            let file = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| unreadable(&file, &error))?;
            (file, KnownResolvers::read(&text))
        }
    };
    read.map_err(|found| {
        let found = found.into_iter();
        mistaken(&file, found.map(|found| (found.line, found.message)))
    })
}

/// That a list cannot be read.
fn unreadable(file: &str, error: &std::io::Error) -> Error {
    mistaken(
        file,
        std::iter::once((0, format!("cannot be read: {error}"))),
    )
}

/// What is wrong with a list: lines, and what is wrong in each.
fn mistaken(file: &str, found: impl Iterator<Item = (u32, String)>) -> Error {
    let file: Arc<str> = file.into();
    let mistakes = found.map(|(line, message)| Mistake {
        file: Arc::clone(&file),
        line,
        column: 0,
        message,
    });
    Error::Rules(mistakes.collect())
}

/// What is known of addresses: nothing, or what a file says.
fn assets(common: &Common) -> Result<Assets, Error> {
    let Some(path) = &common.assets else {
        return Ok(Assets::default());
    };
    let name = path.display().to_string();
    let file = std::fs::File::open(path).map_err(|error| unreadable(&name, &error))?;
    Assets::read(file, common.cim_entity_zone.as_deref()).map_err(|found| {
        let line = |line: u64| u32::try_from(line).unwrap_or(u32::MAX);
        let found = found.into_iter();
        mistaken(&name, found.map(|found| (line(found.line), found.message)))
    })
}

/// The rules that run: the embedded ones and those of files, or the named ones of them, or a hunt alone. Beside their names
/// those of known resolvers are looked at.
fn selected_rules(common: &Common, known: &KnownResolvers) -> Result<Rules, Error> {
    let hunting = !common.names.is_empty() || !common.name_files.is_empty();
    // A hunt is for its names; rules run beside it where they are asked for.
    let rules_asked_for = !common.rule_paths.is_empty() || !common.rule_names.is_empty();
    let read_lists = || {
        let mut listed = Vec::new();
        for file in &common.name_files {
            listed.extend(rule::read_names(file)?);
        }
        Ok(listed)
    };
    let read_rules = || match !hunting || rules_asked_for {
        true => load_rules(&common.rule_paths, !common.no_embedded),
        false => Ok(Vec::new()),
    };
    let is_much = !common.name_files.is_empty() && rules_asked_for;
    let (listed, rules) = both(is_much, read_lists, read_rules);
    let (listed, mut rules) = (listed.map_err(Error::Rules)?, rules?);
    if !common.rule_names.is_empty() {
        rule::select(&mut rules, &common.rule_names).map_err(Error::Usage)?;
    }
    if hunting {
        rules.push(Rule::hunt(&common.names, listed).map_err(Error::Usage)?);
    }
    let mut watched = Patterns::new();
    for name in known.names() {
        watched.add(Shape::Domain, name).map_err(Error::Usage)?;
    }
    Rules::watching(rules, watched).map_err(Error::Rules)
}

/// The filters of files. Those of embedded rules that are not loaded, as in a hunt, wait.
fn filters(paths: &[PathBuf], rules: &Rules) -> Result<Filters, Error> {
    let read = paths.iter().map(|path| native::read_filters(path));
    let filters = rule::together(read).map_err(Error::Rules)?;
    if filters.is_empty() {
        return Ok(Filters::default());
    }
    let embedded = rule::embedded().map_err(Error::Rules)?;
    Filters::new(filters, rules.list(), &embedded).map_err(Error::Rules)
}
