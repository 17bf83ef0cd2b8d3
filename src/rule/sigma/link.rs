//! Rules of all files joined: filters narrow the rules that they name, correlations find the rules that they look at.

use std::sync::Arc;

use super::{Role, logsource};
use crate::rule::spelling::{alternatives, clip, nearest};
use crate::rule::{Condition, Mistake, Origin, Rule};

/// The deepest chain of correlations of correlations.
const DEEPEST: usize = 16;

/// The rules of a run, joined.
#[derive(Debug, Default)]
pub(in crate::rule) struct Joined {
    /// Those that find events or look at hits.
    pub(in crate::rule) rules: Vec<Rule>,
    /// For each, whether its hits are for correlations alone, and make no rows.
    pub(in crate::rule) silent: Vec<bool>,
    /// What is taken otherwise than it may be meant.
    pub(in crate::rule) warnings: Vec<Mistake>,
}

/// Joins the rules.
///
/// # Errors
/// Every filter or correlation that names a rule that there is not, and every correlation that in the end looks at itself.
pub(in crate::rule) fn join(rules: Vec<Rule>) -> Result<Joined, Vec<Mistake>> {
    let warnings = rules.iter().flat_map(|rule| rule.notes.clone()).collect();
    let is_filter = |rule: &Rule| matches!(rule.sigma.as_deref(), Some(sigma) if matches!(sigma.role, Role::Filter(_)));
    let (filters, mut rules): (Vec<Rule>, Vec<Rule>) = rules.into_iter().partition(is_filter);
    let mut mistakes = Vec::new();
    for filter in filters.iter().filter(|filter| filter.enabled) {
        apply(filter, &mut rules, &mut mistakes);
    }
    find_parts(&mut rules, &mut mistakes);
    if mistakes.is_empty() {
        check_chains(&rules, &mut mistakes);
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let silent = run_parts(&mut rules);
    Ok(Joined {
        rules,
        silent,
        warnings,
    })
}

/// Whether a rule is meant by a name: its short name, title or id.
fn is_called(rule: &Rule, name: &str) -> bool {
    let short = rule
        .sigma
        .as_deref()
        .and_then(|sigma| sigma.name.as_deref());
    short == Some(name)
        || rule.name == name
        || rule
            .id
            .as_deref()
            .is_some_and(|id| id.eq_ignore_ascii_case(name))
}

fn apply(filter: &Rule, rules: &mut [Rule], mistakes: &mut Vec<Mistake>) {
    let Some(sigma) = filter.sigma.as_deref() else {
        return;
    };
    let Role::Filter(named) = &sigma.role else {
        return;
    };
    let mut narrow = |rule: &mut Rule| {
        let condition = std::mem::take(&mut rule.condition);
        rule.condition = Condition::All(vec![condition, filter.condition.clone()]);
    };
    if named.rules.is_empty() {
        rules
            .iter_mut()
            .filter(|rule| {
                rule.sigma.as_deref().is_some_and(|other| {
                    other.role == Role::Search && logsource::covers(&sigma.source, &other.source)
                })
            })
            .for_each(&mut narrow);
        return;
    }
    for name in &named.rules {
        match rules.iter_mut().find(|rule| is_called(rule, name)) {
            Some(rule)
                if matches!(
                    rule.sigma.as_deref().map(|sigma| &sigma.role),
                    Some(Role::Correlation(_))
                ) =>
            {
                mistakes.push(mistake(
                    filter,
                    format!(
                        "the filter names the correlation '{name}'; expected rules that find events"
                    ),
                ));
            }
            Some(rule) => narrow(rule),
            None => mistakes.push(unknown(filter, name, rules)),
        }
    }
}

fn find_parts(rules: &mut [Rule], mistakes: &mut Vec<Mistake>) {
    for own in 0..rules.len() {
        let Some(names) = correlation_names(rules, own) else {
            continue;
        };
        let places: Vec<Option<usize>> = names
            .iter()
            .map(|name| rules.iter().position(|rule| is_called(rule, name)))
            .collect();
        let Some(rule) = rules.get(own) else { continue };
        for (name, _) in names
            .iter()
            .zip(&places)
            .filter(|(_, place)| place.is_none())
        {
            mistakes.push(unknown(rule, name, rules));
        }
        let role = rules
            .get_mut(own)
            .and_then(|rule| rule.sigma.as_deref_mut())
            .map(|sigma| &mut sigma.role);
        if let Some(Role::Correlation(correlation)) = role {
            for (part, place) in correlation.parts.iter_mut().zip(places) {
                part.place = place.unwrap_or(usize::MAX);
            }
        }
    }
}

fn correlation_names(rules: &[Rule], place: usize) -> Option<Vec<String>> {
    match &rules.get(place)?.sigma.as_deref()?.role {
        Role::Correlation(correlation) => Some(
            correlation
                .parts
                .iter()
                .map(|part| part.called.clone())
                .collect(),
        ),
        _ => None,
    }
}

/// The places of the rules that a correlation looks at.
fn parts(rule: &Rule) -> impl Iterator<Item = usize> {
    rule.correlation()
        .into_iter()
        .flat_map(|correlation| correlation.parts.iter().map(|part| part.place))
}

/// Notes the correlations over which others stand, or that look at themselves, to a depth that has no end.
fn check_chains(rules: &[Rule], mistakes: &mut Vec<Mistake>) {
    // After that many rounds the levels of all that end are known.
    let mut levels = vec![0usize; rules.len()];
    for round in 0..=DEEPEST {
        let next: Vec<usize> = rules
            .iter()
            .map(|rule| {
                let below = parts(rule)
                    .filter_map(|part| levels.get(part).copied())
                    .max();
                below.map_or(0, |below| below.saturating_add(1))
            })
            .collect();
        if round == DEEPEST {
            let endless = rules
                .iter()
                .zip(next.iter().zip(&levels))
                .filter(|(_, (next, level))| next != level);
            for (rule, _) in endless {
                mistakes.push(mistake(rule, format!("the correlation looks at itself through others, or more than {DEEPEST} stand above each other; expected an end")));
            }
        }
        levels = next;
    }
}

/// Lets the rules run that a correlation that runs looks at; tells which of them make no rows of their own.
fn run_parts(rules: &mut [Rule]) -> Vec<bool> {
    let mut silent = vec![false; rules.len()];
    let mut generated = vec![false; rules.len()];
    let mut waiting: Vec<usize> = (0..rules.len())
        .filter(|place| rules.get(*place).is_some_and(|rule| rule.enabled))
        .collect();
    let mut done = vec![false; rules.len()];
    while let Some(place) = waiting.pop() {
        if done.get(place).copied().unwrap_or(true) {
            continue;
        }
        if let Some(done) = done.get_mut(place) {
            *done = true;
        }
        let Some((generate, places)) = rules.get(place).and_then(|rule| {
            Some((
                rule.correlation()?.generate,
                parts(rule).collect::<Vec<_>>(),
            ))
        }) else {
            continue;
        };
        for part in places {
            if let Some(rule) = rules.get_mut(part) {
                // One that was off runs for the correlation alone.
                if !rule.enabled {
                    rule.enabled = true;
                    if let Some(silent) = silent.get_mut(part) {
                        *silent = true;
                    }
                }
            }
            let flags = if generate {
                &mut generated
            } else {
                &mut silent
            };
            if let Some(flag) = flags.get_mut(part) {
                *flag = true;
            }
            waiting.push(part);
        }
    }
    silent
        .iter()
        .zip(&generated)
        .map(|(silent, generated)| *silent && !*generated)
        .collect()
}

fn unknown(rule: &Rule, name: &str, rules: &[Rule]) -> Mistake {
    let short = rules
        .iter()
        .filter_map(|rule| rule.sigma.as_deref()?.name.as_deref());
    let near = nearest(
        name,
        short.chain(rules.iter().map(|rule| rule.name.as_str())),
    );
    let remedy = if near.is_empty() {
        "expected the name, title or id of a rule that is loaded with it".to_owned()
    } else {
        format!("did you mean {}?", alternatives(&near))
    };
    mistake(rule, format!("there is no rule '{}'; {remedy}", clip(name)))
}

fn mistake(rule: &Rule, message: String) -> Mistake {
    let (file, line) = match &rule.origin {
        Origin::CommandLine => (Arc::from("command line"), 0),
        Origin::Embedded { pack, line } => (Arc::clone(pack), *line),
        Origin::File { path, line } => (Arc::clone(path), *line),
    };
    Mistake {
        file,
        line,
        column: 0,
        message,
    }
}
