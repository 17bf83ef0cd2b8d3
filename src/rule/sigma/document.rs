//! One document of a Sigma file: what it says of itself, and what it is.

use rsigma_parser::ast::{Level, SigmaCollection, Status};
use rsigma_parser::{
    CorrelationRule, FilterRule, SigmaRule, parse_condition, parse_field_spec, parse_sigma_yaml,
};

use super::detection::{Translator, entry};
use super::{Narrowing, Role, Sigma, logsource};
use crate::event::Field;
use crate::rule::mistake::Mistakes;
use crate::rule::spelling::{alternatives, clip, clip_to, nearest};
use crate::rule::yaml::{Document, Node, Place, Value};
use crate::rule::{Origin, Risk, RiskObject, RiskObjectType, Rule, default_by, default_columns};

/// What a document may say beside what makes it a rule, a filter or a correlation.
const KEYS: [&str; 24] = [
    "title",
    "id",
    "name",
    "related",
    "taxonomy",
    "status",
    "description",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "logsource",
    "detection",
    "correlation",
    "filter",
    "fields",
    "falsepositives",
    "level",
    "tags",
    "scope",
    "generate",
    "action",
    "sigma-version",
];

/// Names are shown in tables.
const LONGEST_NAME: usize = 200;

/// How much of a file was read before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    rules: usize,
    correlations: usize,
    filters: usize,
    errors: usize,
}

/// Reads a document.
pub(super) struct Reading<'d, 'm> {
    document: &'d Document<'d>,
    pub(super) translator: Translator<'m>,
    /// Mistakes were found that the parser would find again.
    is_broken: bool,
}

/// What rules, filters and correlations say of themselves.
struct Said<'a> {
    title: &'a str,
    id: &'a Option<String>,
    name: &'a Option<String>,
    description: &'a Option<String>,
    references: &'a [String],
    false_positives: &'a [String],
    tags: &'a [String],
    status: Option<Status>,
}

macro_rules! said {
    ($of:expr) => {
        Said {
            title: &$of.title,
            id: &$of.id,
            name: &$of.name,
            description: &$of.description,
            references: &$of.references,
            false_positives: &$of.falsepositives,
            tags: &$of.tags,
            status: $of.status,
        }
    };
}

impl<'d, 'm> Reading<'d, 'm> {
    pub(super) fn new(document: &'d Document<'d>, mistakes: &'m mut Mistakes) -> Self {
        Self {
            document,
            translator: Translator::new(mistakes),
            is_broken: document.cut,
        }
    }

    fn broken(&mut self, place: Place, message: impl Into<String>) {
        self.is_broken = true;
        self.translator.mistake(place, message);
    }

    /// Looks for what the parser would find without saying where.
    pub(super) fn check(&mut self) {
        let root = &self.document.root;
        let Value::Mapping(entries) = &root.value else {
            self.broken(
                root.place,
                format!(
                    "the document is {}; expected a mapping with `title` and what makes it a rule",
                    root.kind()
                ),
            );
            return;
        };
        self.check_keys(root);
        for (key, _) in entries {
            if let Value::Scalar { text, .. } = &key.value
                && !KEYS.contains(&text.as_str())
                && let near = nearest(text, KEYS)
                && !near.is_empty()
            {
                self.translator.warn(
                    key.place,
                    format!(
                        "`{}` is no key of a rule; did you mean {}?",
                        clip(text),
                        alternatives(&near)
                    ),
                );
            }
        }
        let has = |key: &str| entry(Some(root), key);
        match has("title").map(|(_, node)| node) {
            Some(Node {
                value: Value::Scalar { .. },
                ..
            }) => {}
            Some(node) => self.broken(
                node.place,
                format!("title is {}; expected text", node.kind()),
            ),
            None if self.document.cut => {}
            None => self.broken(root.place, "the rule has no title; expected `title`"),
        }
        let section = ["correlation", "filter", "detection"]
            .into_iter()
            .find_map(|key| Some((key, has(key)?.1)));
        match section {
            Some(("correlation", _)) => {}
            Some((key, node)) => {
                self.check_selections(key, node);
                if has("logsource").is_none() && !self.document.cut {
                    self.broken(root.place, "no log source; expected `logsource`, such as { category: dns }");
                }
            }
            None if self.document.cut => {}
            None => self.broken(root.place, "neither a rule nor a filter nor a correlation; expected `detection`, `filter` or `correlation`"),
        }
    }

    /// That no key stands twice in a mapping, and that keys are words.
    fn check_keys(&mut self, node: &Node) {
        match &node.value {
            Value::Mapping(entries) => {
                let mut seen = std::collections::HashSet::<&str, ahash::RandomState>::default();
                for (key, value) in entries {
                    match &key.value {
                        Value::Scalar { text, .. } if !seen.insert(text) => {
                            self.broken(
                                key.place,
                                format!("`{}` a second time; expected each key once", clip(text)),
                            );
                        }
                        Value::Scalar { .. } => {}
                        _ => self.broken(
                            key.place,
                            format!("a key is {}; expected a word", key.kind()),
                        ),
                    }
                    self.check_keys(value);
                }
            }
            Value::Sequence(items) => items.iter().for_each(|item| self.check_keys(item)),
            Value::Scalar { .. } | Value::Null(_) => {}
        }
    }

    /// The condition and the fields of the selections.
    fn check_selections(&mut self, section: &str, node: &Node) {
        let Value::Mapping(entries) = &node.value else {
            self.broken(
                node.place,
                format!(
                    "{section} is {}; expected a mapping with selections and `condition`",
                    node.kind()
                ),
            );
            return;
        };
        let mut conditions = 0;
        for (key, value) in entries {
            match &key.value {
                Value::Scalar { text, .. } if text == "condition" => {
                    conditions = 1;
                    self.check_conditions(value);
                }
                Value::Scalar { text, .. }
                    if text == "timeframe" || (text == "rules" && section == "filter") => {}
                _ => self.check_fields(value),
            }
        }
        if conditions == 0 && !self.document.cut {
            self.broken(
                node.place,
                format!("{section} has no condition; expected `condition`, such as: selection"),
            );
        }
    }

    fn check_conditions(&mut self, node: &Node) {
        let items = match &node.value {
            Value::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for item in items {
            let Value::Scalar { text, .. } = &item.value else {
                self.broken(
                    item.place,
                    format!(
                        "the condition is {}; expected text, such as: selection and not filter",
                        item.kind()
                    ),
                );
                continue;
            };
            let Err(error) = parse_condition(text) else {
                continue;
            };
            if text.contains('|') {
                self.broken(item.place, format!("the condition '{}' counts after a `|`, as rules did before correlations; expected a correlation rule beside this one", clip(text)));
                continue;
            }
            let at = error
                .location()
                .map(|place| format!(" at its character {}", place.col))
                .unwrap_or_default();
            self.broken(item.place, format!("the condition '{}' is wrong{at}; expected names of selections, `1 of name_*`, `all of them`, joined by and, or, not and brackets", clip(text)));
        }
    }

    /// The fields and modifiers of a selection.
    fn check_fields(&mut self, node: &Node) {
        match &node.value {
            Value::Mapping(entries) => {
                for (key, _) in entries {
                    let Value::Scalar { text, .. } = &key.value else {
                        continue;
                    };
                    if parse_field_spec(text).is_ok() {
                        continue;
                    }
                    let unknown = text
                        .split('|')
                        .skip(1)
                        .find(|modifier| parse_field_spec(&format!("field|{modifier}")).is_err());
                    let unknown = unknown.unwrap_or_default();
                    let remedy = match unknown {
                        "not" => "expected `not` in the condition".to_owned(),
                        _ => super::modifiers::expected(unknown),
                    };
                    self.broken(
                        key.place,
                        format!("`{}` is no modifier; {remedy}", clip(unknown)),
                    );
                }
            }
            Value::Sequence(items) => items.iter().for_each(|item| self.check_fields(item)),
            Value::Scalar { .. } | Value::Null(_) => {}
        }
    }

    /// The rules that the text has more than were known, each with its mistakes noted: one, or none where it is broken.
    /// `node` is the document itself, where the text is no more than that.
    pub(super) fn rules(
        &mut self,
        text: &str,
        known: &mut Known,
        node: Option<&Node>,
    ) -> Vec<Rule> {
        if self.is_broken {
            return Vec::new();
        }
        let place = self.document.root.place;
        let collection = match parse_sigma_yaml(text) {
            Ok(collection) => collection,
            Err(error) => {
                self.translator.mistake(
                    place,
                    format!("not understood: {}", one_line(&error.to_string())),
                );
                return Vec::new();
            }
        };
        let SigmaCollection {
            rules,
            correlations,
            filters,
            errors,
        } = &collection;
        for error in errors.iter().skip(known.errors) {
            self.translator
                .mistake(place, format!("not understood: {}", one_line(error)));
        }
        let mut read = Vec::new();
        for rule in rules.iter().skip(known.rules) {
            read.push(self.rule(rule, node));
        }
        for correlation in correlations.iter().skip(known.correlations) {
            read.push(self.correlation(correlation, node));
        }
        for filter in filters.iter().skip(known.filters) {
            read.push(self.filter(filter, node));
        }
        *known = Known {
            rules: rules.len(),
            correlations: correlations.len(),
            filters: filters.len(),
            errors: errors.len(),
        };
        if let Some(rule) = read.last_mut() {
            rule.notes = std::mem::take(&mut self.translator.warnings);
        }
        read
    }

    fn rule(&mut self, sigma: &SigmaRule, node: Option<&Node>) -> Rule {
        let (mut rule, known) = self.said(&said!(sigma), node);
        self.log_source(&sigma.logsource, node);
        let found = entry(node, "detection").map(|(_, node)| node);
        rule.condition = self
            .translator
            .detections(&sigma.detection, found, self.place(found));
        if rule.condition.pattern_count() == 0 && self.translator.found == 0 {
            self.translator.mistake(self.place(found), "the rule asks nothing of a lookup and would match all; expected a field and its values");
        }
        rule.by = default_by();
        rule.columns = default_columns(&rule.by);
        rule.risk = risk(sigma.level, &sigma.title, &rule.by);
        rule.sigma = Some(Box::new(Sigma {
            source: logsource::parts(&sigma.logsource),
            ..known
        }));
        rule
    }

    fn filter(&mut self, sigma: &FilterRule, node: Option<&Node>) -> Rule {
        use rsigma_parser::ast::FilterRuleTarget;
        let (mut rule, known) = self.said(&said!(sigma), node);
        let source = sigma.logsource.clone().unwrap_or_default();
        self.log_source(&source, node);
        let found = entry(node, "filter").map(|(_, node)| node);
        rule.condition = self
            .translator
            .detections(&sigma.detection, found, self.place(found));
        let rules = match &sigma.rules {
            FilterRuleTarget::Any => Vec::new(),
            FilterRuleTarget::Specific(rules) => rules.clone(),
        };
        rule.sigma = Some(Box::new(Sigma {
            source: logsource::parts(&source),
            role: Role::Filter(Narrowing { rules }),
            ..known
        }));
        rule
    }

    fn correlation(&mut self, sigma: &CorrelationRule, node: Option<&Node>) -> Rule {
        let (mut rule, known) = self.said(&said!(sigma), node);
        let found = entry(node, "correlation").map(|(_, node)| node);
        let place = self.place(found);
        let correlation = self.translator.correlation(sigma, found, place);
        rule.by = correlation
            .parts
            .first()
            .map(|part| part.by.clone())
            .unwrap_or_default();
        rule.columns = super::correlation::columns(&correlation.measure, &rule.by);
        rule.risk = risk(sigma.level, &sigma.title, &rule.by);
        rule.sigma = Some(Box::new(Sigma {
            role: Role::Correlation(correlation),
            ..known
        }));
        rule
    }

    fn place(&self, node: Option<&Node>) -> Place {
        node.map_or(self.document.root.place, |node| node.place)
    }

    fn log_source(&mut self, source: &rsigma_parser::LogSource, node: Option<&Node>) {
        let place = self.place(entry(node, "logsource").map(|(_, node)| node));
        if let Err(message) = logsource::check(source) {
            self.translator.mistake(place, message);
        }
    }

    /// What every document says of itself.
    fn said(&mut self, said: &Said<'_>, node: Option<&Node>) -> (Rule, Sigma) {
        let place = |key: &str| self.place(entry(node, key).map(|(_, node)| node));
        let (title, status) = (place("title"), place("status"));
        let name = said.title.trim();
        if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
            self.translator.mistake(title, format!("the title cannot be shown in a table; expected one line of 1 to {LONGEST_NAME} bytes"));
        }
        let word = match said.status {
            Some(Status::Deprecated) => Some("deprecated"),
            Some(Status::Unsupported) => Some("unsupported"),
            _ => None,
        };
        if let Some(word) = word {
            self.translator.warn(
                status,
                format!("the rule is {word}: it is loaded, and runs only where --rule names it"),
            );
        }
        let rule = Rule {
            name: name.to_owned(),
            id: said.id.clone(),
            description: said.description.clone(),
            references: said.references.to_vec(),
            false_positives: (!said.false_positives.is_empty())
                .then(|| said.false_positives.join("; ")),
            attack: said.tags.iter().filter_map(|tag| technique(tag)).collect(),
            enabled: word.is_none(),
            origin: Origin::File {
                path: std::sync::Arc::clone(self.translator.mistakes.file()),
                line: self.document.root.place.0,
            },
            text: std::sync::Arc::from(self.document.text),
            ..Rule::default()
        };
        let sigma = Sigma {
            name: said.name.clone(),
            source: Default::default(),
            role: Role::Search,
        };
        (rule, sigma)
    }
}

/// The technique that a tag names: `attack.t1071.004`.
fn technique(tag: &str) -> Option<String> {
    let technique = tag.to_ascii_lowercase();
    let number = technique.strip_prefix("attack.t")?;
    let digits = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_one = match number.split_once('.') {
        Some((number, part)) => digits(number, 4) && digits(part, 3),
        None => digits(number, 4),
    };
    is_one.then(|| format!("T{number}"))
}

/// The risk of the host that asked: the score is the highest that has the level's name.
fn risk(level: Option<Level>, title: &str, by: &[Field]) -> Option<Risk> {
    let score = match level? {
        Level::Informational => 20,
        Level::Low => 40,
        Level::Medium => 60,
        Level::High => 80,
        Level::Critical => 100,
    };
    by.contains(&Field::Src).then(|| Risk {
        message: format!("$src$: {}", title.trim().replace('$', "")),
        objects: vec![RiskObject {
            field: Field::Src,
            object_type: RiskObjectType::System,
            score,
        }],
        threat_objects: Vec::new(),
        stacked: false,
    })
}

/// The parser's words in one line.
fn one_line(text: &str) -> String {
    clip_to(&text.split_whitespace().collect::<Vec<_>>().join(" "), 300)
}
