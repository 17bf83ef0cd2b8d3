//! `dnsterrier rules test`: rules run over the captures of their tests as `replay` runs them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::{Print, noun, read_path};
use crate::capture::Input;
use crate::config;
use crate::error::Error;
use crate::pipeline::Signals;
use crate::rule::trial::{Capture, Row, Trial, Verdict};
use crate::rule::{self, Mistake, Origin, Rule, pack};

/// The largest capture of a test in bytes.
const LARGEST: u64 = 64 << 20;

/// Lines about the rows of one test that are printed.
const SHOWN: usize = 50;

/// Runs the tests of the rules in files, or of the embedded ones.
pub(super) fn run(paths: &[PathBuf], print: Print<'_>) -> Result<(), Error> {
    let embedded = paths.is_empty().then(rule::embedded);
    let files = paths.iter().map(|path| read_path(path));
    let (rules, mut mistakes) = rule::gather(embedded.into_iter().chain(files));
    // All captures are there before the first test runs.
    let mut tests = Vec::new();
    for rule in &rules {
        for trial in &rule.trials {
            match input(rule, trial) {
                Ok(input) => tests.push((rule, trial, input)),
                Err(mistake) => mistakes.push(mistake),
            }
        }
    }
    if !mistakes.is_empty() {
        return Err(Error::Rules(mistakes));
    }
    let count = tests.len();
    let mut failed = 0_usize;
    for (rule, trial, input) in tests {
        let (is_good, text) = match rows(rule, input) {
            Ok(rows) => {
                let verdict = trial.judge(&rows);
                (verdict.is_good(), told(trial, &verdict, &rows))
            }
            Err(reason) => (false, format!("    {reason}\n")),
        };
        failed = failed.saturating_add(usize::from(!is_good));
        let outcome = if is_good { "ok    " } else { "FAILED" };
        let (line, name) = (trial.place.0, &rule.name);
        let file = file_of(rule);
        let text = format!(
            "{outcome}  {name}: {} ({file}:{line})\n{text}",
            trial.capture
        );
        print(&harmless(&text))?;
    }
    let without = || rules.iter().filter(|rule| rule.trials.is_empty());
    for rule in without() {
        print(&format!("none    {}: no tests\n", rule.name))?;
    }
    let passed = count.saturating_sub(failed);
    let rest = without().count();
    print(&format!(
        "{passed} {} passed, {failed} failed; {rest} {} without tests\n",
        noun(passed, "test"),
        noun(rest, "rule")
    ))?;
    if failed == 0 {
        Ok(())
    } else {
        Err(Error::Tests { failed, count })
    }
}

/// Without what could drive a terminal: a capture and a rule file come from strangers.
fn harmless(text: &str) -> String {
    let shown = |letter: char| match letter {
        '\n' => letter,
        letter if letter.is_control() => '\u{fffd}',
        letter => letter,
    };
    text.chars().map(shown).collect()
}

fn file_of(rule: &Rule) -> String {
    match &rule.origin {
        Origin::CommandLine => "command line".to_owned(),
        Origin::Embedded { pack, .. } => pack::file(pack),
        Origin::File { path, .. } => path.to_string(),
    }
}

/// The capture of a trial: embedded, inline, or a file beside the rule's.
fn input(rule: &Rule, trial: &Trial) -> Result<Input, Mistake> {
    let (path, place) = match &trial.capture {
        Capture::Inline(bytes) => {
            return Ok(Input::Memory {
                name: Arc::from("pcap"),
                bytes: Arc::clone(bytes),
            });
        }
        Capture::Path(path, place) => (path, *place),
    };
    let mistake = |message: String| Mistake {
        file: Arc::from(file_of(rule)),
        line: place.0,
        column: place.1,
        message,
    };
    let bytes = match &rule.origin {
        Origin::Embedded { .. } => pack::capture(path).map(Arc::from).ok_or_else(|| {
            mistake(format!(
                "there is no capture '{path}' in the program; expected one of src/rule/pack.rs"
            ))
        })?,
        Origin::CommandLine | Origin::File { .. } => {
            let file = file_of(rule);
            let folder = Path::new(&file).parent().unwrap_or(Path::new(""));
            let whole = folder.join(path);
            let mut bytes = Vec::new();
            let read = File::open(&whole)
                .and_then(|file| file.take(LARGEST.saturating_add(1)).read_to_end(&mut bytes));
            if let Err(error) = read {
                return Err(mistake(format!(
                    "the capture {} cannot be read: {error}; expected a path from the folder of the rule file",
                    whole.display()
                )));
            }
            if u64::try_from(bytes.len()).is_ok_and(|size| size > LARGEST) {
                return Err(mistake(format!(
                    "the capture {} is larger than {LARGEST} bytes; expected a smaller one",
                    whole.display()
                )));
            }
            Arc::from(bytes)
        }
    };
    Ok(Input::Memory {
        name: Arc::from(path.as_str()),
        bytes,
    })
}

/// The rows that a rule gives over a capture; or why there are none to be judged.
fn rows(rule: &Rule, capture: Input) -> Result<Vec<Row>, String> {
    let memory = Arc::new(Mutex::new(Vec::new()));
    let run = config::trial(rule.clone(), capture, Arc::clone(&memory))
        .map_err(|error| error.to_string())?;
    let report = run.run(&Signals::default());
    if let Some(error) = report.inputs.first() {
        return Err(error.to_string());
    }
    report.output.map_err(|error| error.to_string())?;
    if let Some(thread) = report.panicked {
        return Err(format!(
            "the {thread} thread panicked; this is a bug of dnsterrier"
        ));
    }
    if let Some(broken) = report
        .stats
        .identities
        .iter()
        .find(|identity| !identity.holds)
    {
        return Err(format!(
            "{} does not hold; this is a bug of dnsterrier",
            broken.says
        ));
    }
    let written = memory.lock().unwrap_or_else(PoisonError::into_inner);
    written
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).map_err(|error| error.to_string()))
        .collect()
}

/// What is missing, and the rows that there were, each with what is wrong with it.
fn told(trial: &Trial, verdict: &Verdict<'_>, rows: &[Row]) -> String {
    if verdict.is_good() {
        return String::new();
    }
    let missing = verdict.missing.iter();
    let mut lines: Vec<String> = missing
        .map(|wanted| format!("    missing, line {}: {wanted}", wanted.line))
        .collect();
    for (place, row) in rows.iter().enumerate() {
        let forbidden = verdict.forbidden.iter().find(|(_, row)| *row == place);
        let what = match forbidden {
            Some((wanted, _)) => format!("must not be, line {}", wanted.line),
            None if verdict.surplus.contains(&place) => "too many".to_owned(),
            None => "found".to_owned(),
        };
        lines.push(format!("    {what}: {}", shown(trial, row)));
    }
    if rows.is_empty() {
        lines.push("    found: no rows".to_owned());
    }
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    if more > 0 {
        lines.push(format!("    and {more} {} more", noun(more, "line")));
    }
    lines.join("\n") + "\n"
}

/// A row as the rule file would have it, without what every row has and the trial does not ask for.
fn shown(trial: &Trial, row: &Row) -> String {
    let is_asked = |name: &str| {
        let mut wanted = trial.rows.iter().chain(&trial.not);
        wanted.any(|wanted| wanted.fields.iter().any(|(field, _)| field == name))
    };
    let fields = row.iter().filter(|(name, _)| {
        let common = ["rule", "window", "sensor", "event_id"].contains(&name.as_str());
        !common || is_asked(name)
    });
    let texts = fields.map(|(name, value)| match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(text).collect();
            format!("{name}: [{}]", items.join(", "))
        }
        value => format!("{name}: {}", text(value)),
    });
    texts.collect::<Vec<_>>().join(", ")
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
