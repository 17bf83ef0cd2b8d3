//! `dnsterrier rules`: what is loaded, what a rule says, what is wrong with a file.

use crate::cli::RulesCommand;
use crate::config::load_rules;
use crate::error::Error;
use crate::rule::{Rule, Rules, native};

/// Carries the command out and gives the text that it prints.
///
/// # Errors
/// Every mistake in the rule files; a name that no rule has.
pub fn run(command: RulesCommand) -> Result<String, Error> {
    match command {
        RulesCommand::List { paths, no_embedded } => {
            let rules = checked(load_rules(&paths, !no_embedded)?)?;
            let mut text = String::new();
            for rule in rules.list() {
                let state = if rule.enabled { "on " } else { "off" };
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
            Ok(text)
        }
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
            let mut count = 0;
            let mut mistakes = Vec::new();
            for path in &paths {
                match native::read_path(path).and_then(Rules::new) {
                    Ok(rules) => count += rules.list().len(),
                    Err(found) => mistakes.extend(found),
                }
            }
            if mistakes.is_empty() {
                Ok(format!("{count} {}, no mistakes\n", noun(count, "rule")))
            } else {
                Err(Error::Rules(mistakes))
            }
        }
    }
}

/// A noun as its number has it.
fn noun(count: usize, one: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{one}{ending}")
}

fn checked(rules: Vec<Rule>) -> Result<Rules, Error> {
    Rules::new(rules).map_err(Error::Rules)
}
