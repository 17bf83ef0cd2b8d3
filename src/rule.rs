//! Rules: which events matter, how their hits are grouped, and what is said of them.
//!
//! `native` reads them from YAML, `splunk` turns Splunk's detections into that form, `hunt` makes one of plain names and of lists of them (`names`); all
//! give the same [`Rule`], and `write` writes any of them as `native` reads it. [`Rules`] are those of a run: they decide on
//! a name alone whether an event can matter ([`Rules::wants`]), then which rules it matches.

pub mod beside;
pub mod column;
mod condition;
mod correlation;
pub mod filter;
mod hunt;
mod index;
mod lookup;
pub mod message;
mod mistake;
mod moves;
mod names;
pub mod native;
pub mod pack;
pub mod pattern;
mod reach;
mod schedule;
mod sigma;
mod spelling;
mod splunk;
pub mod trial;
mod write;
mod yaml;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use column::{Column, Function, Threshold};
pub use condition::{Against, Asked, Comparison, Condition, Relation, Test, Within};
pub use correlation::{Bound, Correlation, Expression, Measure, Part};
pub use filter::{Filter, Filters};
pub use lookup::{Lookup, Match, Matching, Output};
pub use mistake::{Mistake, gather, together};
pub use moves::{Moved, Moves};
pub use names::read_names;
pub use reach::Reach;
pub use sigma::{Narrowing, Role as SigmaRole, Sigma};
pub use trial::Trial;
pub use write::write;

use crate::event::{Event, Field};
use crate::message::Question;
use column::default_columns;
use condition::Whole;
use index::Index;
use lookup::LookedUp;
use sigma::link::Joined;

/// When Splunk would run the search, and over what: a cron expression in UTC, and Splunk's relative times.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Schedule {
    /// Five fields, as cron has them.
    pub cron: String,
    /// Start of the searched span relative to the run: `-70m@m`.
    pub earliest: String,
    /// End of the searched span, exclusive: `-10m@m`.
    pub latest: String,
}

/// What is risky about a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Risk {
    /// The message; `$field$` stands for a field of the row.
    pub message: String,
    /// Whose risk it is.
    pub objects: Vec<RiskObject>,
    /// What the risk comes from.
    pub threat_objects: Vec<ThreatObject>,
    /// Whether each row makes risk events of its own, instead of one for all rows of an object in a window.
    pub stacked: bool,
}

/// What a risk comes from: a field of the row, and what its values are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreatObject {
    /// A `by` field, or a column.
    pub field: String,
    /// One of [`THREAT_OBJECT_TYPES`].
    pub object_type: &'static str,
}

/// The types of threat objects that Splunk's detections know.
pub const THREAT_OBJECT_TYPES: [&str; 26] = [
    "certificate_common_name",
    "certificate_organization",
    "certificate_serial",
    "certificate_unit",
    "command",
    "domain",
    "email_address",
    "email_subject",
    "file_hash",
    "file_name",
    "file_path",
    "http_user_agent",
    "ip_address",
    "parent_process",
    "parent_process_name",
    "process",
    "process_hash",
    "process_name",
    "registry_path",
    "registry_value_name",
    "registry_value_text",
    "service",
    "signature",
    "system",
    "tls_hash",
    "url",
];

/// After a risk event others with the same values are suppressed for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// The `by` fields whose values are compared.
    pub fields: Vec<Field>,
    /// For so long in packet time.
    pub period: Duration,
}

/// One risk object of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiskObject {
    /// The `by` field that names it.
    pub field: Field,
    /// What it is.
    pub object_type: RiskObjectType,
    /// Its score, 0 to 100: as given, or impact times confidence divided by 100, rounded.
    pub score: u8,
}

/// What a risk object is, in Splunk's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RiskObjectType {
    /// A host.
    System,
    /// A person.
    User,
    /// Anything else.
    Other,
}

impl RiskObjectType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::System, Self::User, Self::Other];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Other => "other",
        }
    }
}

/// Where a rule came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Given on the command line.
    #[default]
    CommandLine,
    /// A pack inside the program.
    Embedded {
        /// The pack.
        pack: Arc<str>,
        /// The line of the rule's first key, from 1.
        line: u32,
    },
    /// A file.
    File {
        /// Its path.
        path: Arc<str>,
        /// The line of the rule's first key, from 1.
        line: u32,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Embedded { pack, .. } => write!(f, "embedded ({pack})"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
        }
    }
}

/// A rule as loaded and checked.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name; unique in a run.
    pub name: String,
    /// A UUID that stays when the name changes.
    pub id: Option<String>,
    /// What it finds.
    pub description: Option<String>,
    /// Splunk's word for what a match means: `Anomaly`, `TTP`, `Hunting`, ...
    pub rule_type: Option<String>,
    /// Its version.
    pub version: Option<u32>,
    /// Whether it runs without being named.
    pub enabled: bool,
    /// The stories that it belongs to.
    pub analytic_story: Vec<String>,
    /// Where to read more.
    pub references: Vec<String>,
    /// What else looks like this.
    pub false_positives: Option<String>,
    /// What an event must be.
    pub condition: Condition,
    /// The tables that say more of it.
    pub lookups: Vec<Arc<Lookup>>,
    /// The fields whose values make the groups.
    pub by: Vec<Field>,
    /// The columns.
    pub columns: Vec<Column>,
    /// What the columns of a row must come to: all of these.
    pub having: Vec<Threshold>,
    /// Its schedule, where it has one.
    pub schedule: Option<Schedule>,
    /// What is risky about a match.
    pub risk: Option<Risk>,
    /// For how long the same risk is said once.
    pub throttle: Option<Throttle>,
    /// ATT&CK techniques: `T1572`.
    pub attack: Vec<String>,
    /// What it must make of captures.
    pub trials: Vec<Trial>,
    /// Where it came from.
    pub origin: Origin,
    /// Its text as it was read, comments and all; empty where it never was text.
    pub text: Arc<str>,
    /// What it has beside, where it is one of Sigma's.
    pub sigma: Option<Box<Sigma>>,
    /// What was taken otherwise than its file may mean it, and where.
    pub notes: Vec<Mistake>,
}

impl Default for Rule {
    /// A rule without a name that runs and matches nothing.
    fn default() -> Self {
        Self {
            name: String::new(),
            id: None,
            description: None,
            rule_type: None,
            version: None,
            enabled: true,
            analytic_story: Vec::new(),
            references: Vec::new(),
            false_positives: None,
            condition: Condition::default(),
            lookups: Vec::new(),
            by: Vec::new(),
            columns: Vec::new(),
            having: Vec::new(),
            schedule: None,
            risk: None,
            throttle: None,
            attack: Vec::new(),
            trials: Vec::new(),
            origin: Origin::default(),
            text: Arc::from(""),
            sigma: None,
            notes: Vec::new(),
        }
    }
}

impl Rule {
    /// How many patterns it compares, lines of tables that must match among them.
    #[must_use]
    pub fn pattern_count(&self) -> usize {
        let required = self.lookups.iter().filter(|lookup| lookup.required);
        let lines: usize = required.map(|lookup| lookup.len()).sum();
        self.condition.pattern_count() + lines
    }

    /// What its lookups add to its hits.
    pub fn added(&self) -> impl Iterator<Item = Field> {
        let outputs = self.lookups.iter().flat_map(|lookup| &lookup.outputs);
        outputs.map(|output| output.field)
    }

    /// What it looks at, where it looks at other rules' hits.
    #[must_use]
    pub fn correlation(&self) -> Option<&Correlation> {
        match &self.sigma.as_deref()?.role {
            SigmaRole::Correlation(correlation) => Some(correlation),
            SigmaRole::Search | SigmaRole::Filter(_) => None,
        }
    }
}

/// The groups of a rule that names none.
fn default_by() -> Vec<Field> {
    vec![Field::Src, Field::Query]
}

/// The rules inside the program.
///
/// # Errors
/// The mistakes in them; a test shows that there is none.
pub fn embedded() -> Result<Vec<Rule>, Vec<Mistake>> {
    let read = |packs: &[(&str, &str)]| {
        together(packs.iter().map(|(pack, text)| {
            let rules = native::read_text(&pack::file(pack), text)?;
            Ok(rules.into_iter().map(|rule| of_pack(pack, rule)).collect())
        }))
    };
    // They are the most of what a run does before its first packet.
    let (first, others) = pack::PACKS.split_at(pack::PACKS.len() / 2);
    let (first, others) = beside::both(true, || read(first), || read(others));
    together([first, others])
}

fn of_pack(pack: &str, mut rule: Rule) -> Rule {
    if let Origin::File { line, .. } = rule.origin {
        let pack = Arc::from(pack);
        rule.origin = Origin::Embedded { pack, line };
    }
    rule
}

/// Lets only the named rules run, disabled ones among them too. A rule goes by its name, in either case, or its id.
///
/// # Errors
/// Says which name is no rule's, and which are near.
pub fn select(rules: &mut [Rule], names: &[String]) -> Result<(), String> {
    let goes_by = |rule: &Rule, name: &str| {
        rule.name.eq_ignore_ascii_case(name)
            || rule
                .id
                .as_deref()
                .is_some_and(|id| id.eq_ignore_ascii_case(name))
    };
    if let Some(unknown) = names
        .iter()
        .find(|name| !rules.iter().any(|rule| goes_by(rule, name)))
    {
        let known: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
        return Err(format!(
            "there is no rule '{unknown}'; {}",
            spelling::expected(unknown, &known)
        ));
    }
    for rule in rules {
        let is_filter = matches!(
            rule.sigma.as_deref(),
            Some(Sigma {
                role: SigmaRole::Filter(_),
                ..
            })
        );
        rule.enabled = names.iter().any(|name| goes_by(rule, name)) || (is_filter && rule.enabled);
    }
    Ok(())
}

/// The rules of a run.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    /// For each, whether its hits are for correlations alone.
    silent: Vec<bool>,
    /// What is taken otherwise than it may be meant, also in filters.
    warnings: Vec<Mistake>,
    /// The lists of patterns on `query` of the rules that run.
    index: Index,
    /// The place of the rule that each list of the index belongs to.
    owners: Vec<usize>,
    /// The places of the rules for which a question has to be held against their conditions.
    asking: Vec<usize>,
    /// The places of the rules that may match whatever the question is.
    undecided: Vec<usize>,
}

impl Rules {
    /// Takes the rules and files their patterns.
    ///
    /// # Errors
    /// Every rule whose name another has already; every filter and correlation of Sigma that names a rule that is not there.
    pub fn new(rules: Vec<Rule>) -> Result<Self, Vec<Mistake>> {
        Self::watching(rules, pattern::Patterns::new())
    }

    /// The same; [`Self::wants`] also holds for names that somebody else watches, which no rule matches for that.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn watching(rules: Vec<Rule>, watched: pattern::Patterns) -> Result<Self, Vec<Mistake>> {
        let Joined {
            mut rules,
            silent,
            warnings,
        } = sigma::link::join(rules)?;
        let mut first: std::collections::HashMap<&str, &Rule, ahash::RandomState> =
            Default::default();
        let mut mistakes = Vec::new();
        for rule in &rules {
            if let Some(other) = first.insert(&rule.name, rule) {
                let (file, line) = match &rule.origin {
                    Origin::CommandLine => (Arc::from("command line"), 0),
                    Origin::Embedded { pack, line } => (Arc::clone(pack), *line),
                    Origin::File { path, line } => (Arc::clone(path), *line),
                };
                let message = format!(
                    "the name '{}' is taken by the rule of {}; expected a name of its own",
                    rule.name, other.origin
                );
                mistakes.push(Mistake {
                    file,
                    line,
                    column: 0,
                    message,
                });
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        for rule in rules.iter_mut().filter(|rule| !rule.lookups.is_empty()) {
            let condition = std::mem::take(&mut rule.condition);
            rule.condition = lookup::requiring(condition, &rule.lookups);
        }
        let (mut lists, mut owners) = (Vec::new(), Vec::new());
        let (mut asking, mut undecided) = (Vec::new(), Vec::new());
        for (place, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.enabled) {
            rule.condition.each_on_query(&mut |patterns| {
                lists.push(Arc::clone(patterns));
                owners.push(place);
            });
            if rule.condition.is_decided_by_query() {
                continue;
            }
            if rule.condition.is_decided_by_question() {
                asking.push(place);
            } else {
                undecided.push(place);
            }
        }
        // The last of the lists, which belongs to no rule.
        lists.push(Arc::new(watched));
        let mut index = Index::new(lists);
        if !asking.is_empty() || !undecided.is_empty() {
            index.let_all_pass();
        }
        Ok(Self {
            index,
            rules,
            silent,
            warnings,
            owners,
            asking,
            undecided,
        })
    }

    /// All rules in the order in which they were loaded, also those that do not run.
    #[must_use]
    pub fn list(&self) -> &[Rule] {
        &self.rules
    }

    /// What in the rules is taken, but not as it may be meant.
    #[must_use]
    pub fn warnings(&self) -> &[Mistake] {
        &self.warnings
    }

    /// Whether the hits of the rule at that place are for correlations alone, and make no rows.
    #[must_use]
    pub fn is_silent(&self, place: usize) -> bool {
        self.silent.get(place).copied().unwrap_or(false)
    }

    /// The rules that run, with their places in the list.
    pub fn running(&self) -> impl Iterator<Item = (usize, &Rule)> {
        self.rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.enabled)
    }

    /// Whether an event with this question can match any rule that runs, as [`wants`](Self::wants) has it: a look in place,
    /// before which the name is not written out.
    #[must_use]
    #[inline(always)]
    pub fn wants_question(&self, question: &mut Question) -> bool {
        let may_want = |wire| self.index.may_want(wire);
        question.wire().is_none_or(may_want) && self.wants_name(question)
    }

    /// The look at the name as it is written.
    #[cold]
    fn wants_name(&self, question: &mut Question) -> bool {
        let (record_type, _) = question.type_and_class();
        self.wants(&Asked {
            name: question.name_or_unknown(),
            record_type,
        })
    }

    /// Whether an event with this among its questions can match any rule that runs: never false where it does, seldom true
    /// where it does not. Lists of patterns cost about the same for one and for a million; what else a rule says of the
    /// question costs a look for each rule.
    #[must_use]
    pub fn wants(&self, question: &Asked<'_>) -> bool {
        let may_hold = |rule: &Rule| rule.condition.holds(question) != Some(false);
        self.needs_everything()
            || self.index.wants(question.name)
            || self
                .asking
                .iter()
                .any(|place| self.rules.get(*place).is_some_and(may_hold))
    }

    /// Whether some rule that runs can match whatever the question is, so that every event must be decoded.
    #[must_use]
    pub fn needs_everything(&self) -> bool {
        !self.undecided.is_empty()
    }

    /// The events that any rule that runs may match, and those with a name that somebody else watches.
    #[must_use]
    pub fn reach(&self) -> Reach {
        let watched = self.index.lists().last().filter(|list| !list.is_empty());
        let watched = watched.map(|list| Reach::Covered(Field::Query, Arc::clone(list)));
        let rules = self.running().map(|(_, rule)| rule.condition.reach());
        Reach::any(rules.chain(watched))
    }

    /// Calls `hit` for each rule that the event matches, in the list's order, with the rule's place in the list and the
    /// name that matched: the first of the questions for which the rule holds.
    pub fn matches<'e>(&self, event: &'e Event, hit: &mut dyn FnMut(usize, &'e str)) {
        self.hits(event, &mut |place, _, name| hit(place, name));
    }

    /// The same, with the event as the rule has it: with what its lookups add.
    pub fn hits<'e>(&self, event: &'e Event, hit: &mut dyn FnMut(usize, &Event, &'e str)) {
        // An event is large: a hit carries one only where something was added to it, and then on the heap.
        let mut hits: Vec<(usize, Option<Box<Event>>, &'e str)> = Vec::new();
        let mut covering: Vec<u32> = Vec::new();
        let mut candidates: Vec<usize> = Vec::new();
        for name in std::iter::once(&event.query).chain(&event.other_questions) {
            covering.clear();
            self.index.each_covering(name.as_bytes(), &mut |list| {
                if covering.last() != Some(&list) {
                    covering.push(list);
                }
            });
            candidates.clear();
            candidates.extend_from_slice(&self.undecided);
            candidates.extend_from_slice(&self.asking);
            candidates.extend(
                covering
                    .iter()
                    .filter_map(|list| self.owners.get(usize::try_from(*list).ok()?)),
            );
            candidates.sort_unstable();
            candidates.dedup();
            covering.sort_unstable();
            covering.dedup();
            let covers = |patterns: &Arc<pattern::Patterns>| {
                covering.iter().any(|list| {
                    let list = usize::try_from(*list)
                        .ok()
                        .and_then(|list| self.index.lists().get(list));
                    list.is_some_and(|list| Arc::ptr_eq(list, patterns))
                })
            };
            let earlier = hits.len();
            for &place in &candidates {
                let known = hits.iter().take(earlier).any(|(other, ..)| *other == place);
                let Some(rule) = self.rules.get(place).filter(|_| !known) else {
                    continue;
                };
                let looked_up = LookedUp::new(&rule.lookups);
                let facts = Whole {
                    event,
                    query: name,
                    covered: &covers,
                    looked_up: &looked_up,
                };
                if rule.condition.holds(&facts) == Some(true) {
                    hits.push((place, looked_up.add_to(event, &facts), name));
                }
            }
        }
        hits.sort_unstable_by_key(|(place, ..)| *place);
        for (place, with_more, name) in &hits {
            hit(*place, with_more.as_deref().unwrap_or(event), name);
        }
    }
}

#[cfg(test)]
mod tests;
