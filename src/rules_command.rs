//! `dnsterrier rules`: what is loaded, what a rule says, what is wrong with a file, what becomes of one, what comes of its tests.

mod trial;

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
        } => {
            let mut rules = load_rules(&paths, !no_embedded)?;
            if !names.is_empty() {
                rule::select(&mut rules, &names).map_err(Error::Usage)?;
            }
            let rules = checked(rules)?;
            let mut text = String::new();
            for rule in rules.list() {
                let state = match (rule.enabled, names.is_empty()) {
                    (true, true) => "on   by default    ",
                    (true, false) => "on   named         ",
                    (false, true) => "off  enabled: false",
                    (false, false) => "off  not named     ",
                };
                let attack = if rule.attack.is_empty() {
                    "-".to_owned()
                } else {
                    rule.attack.join(",")
                };
                text.push_str(&format!(
                    "{state}  {:<44} {:<13} {:>4} {:<8}  {attack:<20} {}\n",
                    rule.name,
                    rule.rule_type.as_deref().unwrap_or("-"),
                    rule.pattern_count(),
                    noun(rule.pattern_count(), "pattern"),
                    rule.origin
                ));
            }
            if names.is_empty() && rules.list().iter().any(|rule| !rule.enabled) {
                text.push_str("What is off runs where --rule NAME names it, and only what is named runs then.\n");
            }
            Ok(text)
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
