//! From a YAML document to a rule: its keys, and what the rule says of itself.

use super::reader::{Entry, Reader};
use crate::rule::spelling::clip;
use crate::rule::yaml::{Node, Value};
use crate::rule::{Condition, Rule, default_by, default_columns};

const KEYS: [&str; 20] = [
    "name",
    "id",
    "description",
    "type",
    "version",
    "enabled",
    "analytic_story",
    "references",
    "false_positives",
    "where",
    "domain",
    "lookup",
    "by",
    "aggregate",
    "having",
    "schedule",
    "risk",
    "throttle",
    "attack",
    "tests",
];

/// Splunk's types of detections.
pub(in crate::rule) const TYPES: [&str; 6] = [
    "Anomaly",
    "TTP",
    "Hunting",
    "Correlation",
    "Baseline",
    "Investigation",
];

/// Names are shown in tables.
const LONGEST_NAME: usize = 200;

/// Reads one rule; what could not be read is left at its default, and the mistakes say so.
/// Where the document was cut, what is missing is no mistake.
pub(super) fn rule(root: &Node, cut: bool, reader: &mut Reader<'_>) -> Rule {
    let mut rule = Rule::default();
    let Some(entries) = reader.mapping(root, "a rule", &KEYS) else {
        return rule;
    };
    let find = |key: &str| entries.iter().find(|entry| entry.key == key);
    for Entry { key, node, .. } in &entries {
        match *key {
            "name" => rule.name = reader.name(node),
            "id" => rule.id = reader.id(node),
            "description" => rule.description = reader.text(node, "description"),
            "type" => rule.rule_type = reader.one_of(node, "type", &TYPES).map(str::to_owned),
            "version" => rule.version = reader.number(node, "version", 1, u32::MAX),
            "enabled" => rule.enabled = reader.yes_or_no(node, "enabled").unwrap_or(true),
            "analytic_story" => rule.analytic_story = reader.texts(node, "analytic_story"),
            "references" => rule.references = reader.references(node),
            "false_positives" => rule.false_positives = reader.text(node, "false_positives"),
            "attack" => rule.attack = reader.attack(node),
            "schedule" => rule.schedule = reader.schedule(node, cut),
            _ => {}
        }
    }
    // All else may name what they give.
    reader.added.clear();
    if let Some(entry) = find("lookup") {
        rule.lookups = reader.lookups(entry.node);
    }
    let is_required = rule.lookups.iter().any(|lookup| lookup.required);
    match (find("where"), find("domain")) {
        (Some(Entry { node, .. }), None) => rule.condition = reader.condition(node),
        (None, Some(Entry { node, .. })) => rule.condition = reader.domains(node),
        (Some(first), Some(second)) => {
            reader.mistakes.add(
                second.place,
                "both `where` and `domain`; expected one of them",
            );
            reader.condition(first.node);
            reader.domains(second.node);
        }
        (None, None) if is_required => rule.condition = Condition::All(Vec::new()),
        // What is wrong with a lookup is said already.
        (None, None) if !cut && (find("lookup").is_none() || !rule.lookups.is_empty()) => {
            reader.mistakes.add(
                root.place,
                "the rule says of no event that it matches; expected `where` or `domain`",
            );
        }
        (None, None) => {}
    }
    if find("name").is_none() && !cut {
        reader
            .mistakes
            .add(root.place, "the rule has no name; expected `name`");
    }
    // The row is known only when both are, and what is said of it after that.
    rule.by = find("by").map_or_else(default_by, |entry| reader.by(entry.node));
    rule.columns = match find("aggregate") {
        Some(entry) => reader.columns(entry.node, &rule.by),
        None => default_columns(&rule.by),
    };
    if let Some(entry) = find("having") {
        rule.having = reader.having(entry.node, &rule.columns);
    }
    if let Some(entry) = find("risk") {
        rule.risk = reader.risk(entry.node, &rule, cut);
    }
    if let Some(entry) = find("throttle") {
        rule.throttle = reader.throttle(entry.node, &rule, cut);
        if find("risk").is_none() && !cut {
            reader.mistakes.add(
                entry.place,
                "throttle without risk; expected `risk` too, whose events it suppresses",
            );
        }
    }
    if let Some(entry) = find("tests") {
        rule.trials = reader.trials(entry.node, &rule);
    }
    rule
}

impl Reader<'_> {
    fn name(&mut self, node: &Node) -> String {
        let Some(name) = self.text(node, "name") else {
            return String::new();
        };
        if name.len() > LONGEST_NAME || name.chars().any(char::is_control) || name.trim() != name {
            self.mistakes.add(
                node.place,
                format!("the name cannot be shown in a table; expected one line of at most {LONGEST_NAME} bytes without spaces at its ends"),
            );
        }
        name
    }

    fn id(&mut self, node: &Node) -> Option<String> {
        let id = self.text(node, "id")?;
        let groups: Vec<usize> = id.split('-').map(str::len).collect();
        if groups != [8, 4, 4, 4, 12]
            || !id
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        {
            self.mistakes.add(
                node.place,
                format!("the id '{}' is not a UUID; expected such as 5790a766-53b8-40d3-a696-3547b978fcf0", clip(&id)),
            );
        }
        Some(id)
    }

    fn references(&mut self, node: &Node) -> Vec<String> {
        let mut references = Vec::new();
        for item in self.items(node, "references") {
            let Some(text) = self.text(item, "a reference") else {
                continue;
            };
            if !text.starts_with("https://") && !text.starts_with("http://") {
                self.mistakes.add(
                    item.place,
                    format!(
                        "the reference '{}' is not a URL; expected https://...",
                        clip(&text)
                    ),
                );
            }
            references.push(text);
        }
        references
    }

    fn attack(&mut self, node: &Node) -> Vec<String> {
        let digits = |text: &str, count: usize| {
            text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let mut techniques = Vec::new();
        for item in self.items(node, "attack") {
            let Value::Scalar { text, .. } = &item.value else {
                self.wrong(item, "a technique", "such as T1572");
                continue;
            };
            let known = text
                .strip_prefix('T')
                .is_some_and(|number| match number.split_once('.') {
                    Some((number, part)) => digits(number, 4) && digits(part, 3),
                    None => digits(number, 4),
                });
            if !known {
                self.mistakes.add(
                    item.place,
                    format!(
                        "'{}' is not an ATT&CK technique; expected such as T1572 or T1071.004",
                        clip(text)
                    ),
                );
            }
            techniques.push(text.clone());
        }
        techniques
    }
}
