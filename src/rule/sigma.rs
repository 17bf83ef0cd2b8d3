//! Sigma rules (sigma-specification 2.1): parsed by `rsigma-parser`, said in our conditions, run by our engine (sole user of
//! `rsigma-parser`).
//!
//! `document` reads what a rule says of itself, `detection` its selections and the condition over them, `item` one line of
//! a selection, `modifiers` what is asked in it; `field` knows how other sensors call things, and `logsource` which of them
//! see lookups. `correlation` reads correlation rules, and `link` joins rules, filters and correlations of all files.

mod correlation;
mod detection;
mod document;
mod field;
mod item;
pub(super) mod link;
mod logsource;
mod modifiers;
#[cfg(test)]
mod tests;

use detection::entry;
use document::{Known, Reading};

use super::mistake::Mistakes;
use super::yaml::{Document, Value};
use super::{Correlation, Rule};

/// What a rule has because it is Sigma's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sigma {
    /// The short name by which correlations and filters may call it.
    pub name: Option<String>,
    /// Category, product and service of its log source.
    pub source: [Option<String>; 3],
    /// What it is for.
    pub role: Role,
}

/// What a document is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It finds events.
    #[default]
    Search,
    /// It narrows rules that find events.
    Filter(Narrowing),
    /// It looks at what other rules found.
    Correlation(Correlation),
}

/// Which rules a filter narrows: those whose condition then is theirs and the filter's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// By name, title or id; none means every rule of its log source.
    pub rules: Vec<String>,
}

/// The most documents of a file in which one has an `action`, by which documents depend on those before.
const DEPENDENT: usize = 200;

/// Whether a file's documents are Sigma's: one at least has a title and what Sigma rules have, and none has what our own
/// rules have.
pub(super) fn is_sigma(documents: &[Document<'_>]) -> bool {
    let has = |document: &Document<'_>, key: &str| entry(Some(&document.root), key).is_some();
    let is_ours = |document: &Document<'_>| {
        ["where", "domain", "search"]
            .iter()
            .any(|key| has(document, key))
    };
    let is_theirs = |document: &Document<'_>| {
        let looks = ["logsource", "detection", "correlation", "filter", "action"];
        looks.iter().filter(|key| has(document, key)).count() >= 2
            || (has(document, "title") && looks.iter().any(|key| has(document, key)))
    };
    documents.iter().any(is_theirs) && !documents.iter().any(is_ours)
}

/// Reads the rules of a file.
pub(super) fn read(documents: &[Document<'_>], mistakes: &mut Mistakes) -> Vec<Rule> {
    let depends = |document: &Document<'_>| entry(Some(&document.root), "action").is_some();
    if documents.iter().any(depends) {
        return read_dependent(documents, mistakes);
    }
    documents
        .iter()
        .filter_map(|document| {
            let mut reading = Reading::new(document, mistakes);
            reading.check();
            let root = Some(&document.root);
            reading
                .rules(document.text, &mut Known::default(), root)
                .pop()
        })
        .collect()
}

/// The same where documents go on from those before (`action: global`, `repeat`, `reset`): each is read with what stands
/// before it.
fn read_dependent(documents: &[Document<'_>], mistakes: &mut Mistakes) -> Vec<Rule> {
    if let Some(beyond) = documents.get(DEPENDENT) {
        mistakes.add(beyond.root.place, format!("more than {DEPENDENT} documents in a file with `action`; expected them in several files"));
        return Vec::new();
    }
    let (mut text, mut known, mut rules) = (String::new(), Known::default(), Vec::new());
    for document in documents {
        if !text.is_empty() && !document.text.starts_with("---") {
            text.push_str("\n---\n");
        }
        text.push_str(document.text);
        let is_action = matches!(
            entry(Some(&document.root), "action").map(|(_, node)| &node.value),
            Some(Value::Scalar { text, .. }) if text != "repeat"
        );
        if is_action {
            continue;
        }
        let mut reading = Reading::new(document, mistakes);
        rules.extend(reading.rules(&text, &mut known, None));
    }
    rules
}
