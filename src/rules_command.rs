//! `dnsterrier rules`: what is loaded, what a rule says, what is wrong with a file, what becomes of one, what comes of its tests.

mod trial;

use std::collections::HashMap;
use std::path::Path;

use crate::cli::RulesCommand;
use crate::config::load_rules;
use crate::error::Error;
use crate::rule::{self, Mistake, Rule, Rules, native};

/// Takes text for standard output.
type Print<'p> = &'p mut dyn FnMut(&str) -> Result<(), Error>;

/// Carries the command out; what it has to say goes to `print` as it comes.
///
/// # Errors
/// Every mistake in the rule files; a name that no rule has; tests that failed; what `print` gives.
pub fn run(command: RulesCommand, print: Print<'_>) -> Result<(), Error> {
    match command {
        RulesCommand::Test { paths } => trial::run(&paths, print),
        command => print(&text(command)?),
    }
}

fn text(command: RulesCommand) -> Result<String, Error> {
    match command {
        RulesCommand::List {
            names,
            paths,
            no_embedded,
            stats,
        } => {
            let mut rules = load_rules(&paths, !no_embedded)?;
            if !names.is_empty() {
                rule::select(&mut rules, &names).map_err(Error::Usage)?;
            }
            list(&checked(rules)?, !names.is_empty(), stats.as_deref())
        }
        RulesCommand::Test { .. } => Ok(String::new()),
        RulesCommand::Show { name, paths } => {
            let rules = load_rules(&paths, true)?;
            let is_meant = |rule: &&Rule| {
                rule.name.eq_ignore_ascii_case(&name)
                    || rule
                        .id
                        .as_deref()
                        .is_some_and(|id| id.eq_ignore_ascii_case(&name))
            };
            rules
                .iter()
                .find(is_meant)
                .map(|rule| rule.text.to_string())
                .ok_or_else(|| {
                    let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
                    Error::Usage(format!(
                        "there is no rule '{name}'; there are: {}",
                        names.join(", ")
                    ))
                })
        }
        RulesCommand::Check { paths } => {
            // Together, as a run has them: a correlation and its rules may stand in several files.
            let rules = checked(load_rules(&paths, false)?)?;
            let notes = rules.warnings().iter();
            let notes: String = notes.map(|note| format!("note: {note}\n")).collect();
            let count = rules.list().len();
            Ok(format!(
                "{notes}{count} {}, no mistakes\n",
                noun(count, "rule")
            ))
        }
        RulesCommand::Import { paths } => {
            let documents: Result<Vec<String>, Error> =
                read(&paths)?.iter().map(imported).collect();
            Ok(documents?.join("---\n"))
        }
    }
}

/// The rules as a table.
fn list(rules: &Rules, are_named: bool, stats: Option<&Path>) -> Result<String, Error> {
    let hits = stats.map(hits_in).transpose()?;
    let lines = rules.list().iter().map(|rule| {
        let (state, why) = match (rule.enabled, are_named) {
            (true, true) => ("on", "named"),
            (true, false) => ("on", "by default"),
            (false, true) => ("off", "not named"),
            (false, false) => ("off", "enabled: false"),
        };
        let count = rule.pattern_count();
        let mut line = vec![
            format!("{state:<3}  {why}"),
            rule.name.clone(),
            rule.rule_type.as_deref().unwrap_or("-").to_owned(),
            format!("{count:>4} {}", noun(count, "pattern")),
        ];
        if let Some(hits) = &hits {
            line.push(match hits.get(&rule.name) {
                Some(hits) => format!(
                    "{hits:>6} {}",
                    noun(usize::try_from(*hits).unwrap_or(0), "hit")
                ),
                None => format!("{:>6}", "-"),
            });
        }
        let attack = rule.attack.join(",");
        line.push(if attack.is_empty() {
            "-".to_owned()
        } else {
            attack
        });
        line.push(rule.origin.to_string());
        line
    });
    let mut text = table(&lines.collect::<Vec<_>>());
    if !are_named && rules.list().iter().any(|rule| !rule.enabled) {
        text.push_str(
            "What is off runs where --rule NAME names it, and only what is named runs then.\n",
        );
    }
    Ok(text)
}

/// Lines whose columns are as wide as their widest.
fn table(lines: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for line in lines {
        widths.resize(widths.len().max(line.len()), 0);
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        let cells = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The hits of each rule, as `--stats` of a run wrote them.
fn hits_in(path: &Path) -> Result<HashMap<String, u64>, Error> {
    let refused = |reason: &dyn std::fmt::Display| {
        Error::Usage(format!(
            "--stats {}: {reason}; expected the file that --stats of a run wrote",
            path.display()
        ))
    };
    let bytes = std::fs::read(path).map_err(|error| refused(&error))?;
    let stats: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| refused(&error))?;
    let rules = stats.get("rules").and_then(serde_json::Value::as_array);
    let rules = rules.ok_or_else(|| refused(&"there are no rules in it"))?;
    let hits = rules.iter().filter_map(|rule| {
        let name = rule.get("rule")?.as_str()?;
        Some((name.to_owned(), rule.get("hits")?.as_u64()?))
    });
    Ok(hits.collect())
}

/// The rules of files and folders.
fn read(paths: &[std::path::PathBuf]) -> Result<Vec<Rule>, Error> {
    rule::together(paths.iter().map(|path| read_path(path))).map_err(Error::Rules)
}

/// The rules of a file or a folder, checked as those of a run.
fn read_path(path: &std::path::Path) -> Result<Vec<Rule>, Vec<Mistake>> {
    Ok(Rules::new(native::read_path(path)?)?.list().to_vec())
}

/// A rule as YAML, with what should be known of it in comments before it.
fn imported(rule: &Rule) -> Result<String, Error> {
    let refused = |why: &str| {
        Error::Usage(format!(
            "{}: '{}' cannot be said in our own form: {why}; --rules takes it as it is",
            rule.origin, rule.name
        ))
    };
    let text = rule::write(rule).map_err(refused)?;
    // What others may ask for of a name, though no name has it, is a mistake in our own rules.
    if let Err(mistakes) = native::read_text("it", &text) {
        let why = mistakes.first().map(|mistake| mistake.message.as_str());
        return Err(refused(why.unwrap_or("it does not read back")));
    }
    let notes = rule.notes.iter().map(|note| {
        let message = note.message.replace(char::is_control, " ");
        format!("# line {}: {message}\n", note.line)
    });
    let notes: String = notes.collect();
    Ok(format!("{notes}{text}"))
}

/// A noun as its number has it.
fn noun(count: usize, one: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{one}{ending}")
}

fn checked(rules: Vec<Rule>) -> Result<Rules, Error> {
    Rules::new(rules).map_err(Error::Rules)
}
