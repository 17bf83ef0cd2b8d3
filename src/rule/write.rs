//! A rule as the project's own YAML, from whatever file it came: what is written reads back as the same rule.

mod condition;

use super::yaml::{self, Node};
use super::{Column, Lookup, Matching, Relation, Risk, Rule, Schedule, Threshold, Throttle};

/// The nodes of what is written stand nowhere yet.
const NOWHERE: yaml::Place = (0, 0);

/// The rule as a document of the project's own form.
///
/// Where the rule came from, its text, its tests and its notes are not in it. A condition that nothing or everything meets is
/// written as one that asks whether there is a `query`, which every event has.
///
/// # Errors
/// What a rule of Sigma's asks for that this form has no words for.
pub fn write(rule: &Rule) -> Result<String, &'static str> {
    if rule.correlation().is_some() {
        return Err("it looks at what other rules found");
    }
    if let Some(unsaid) = condition::unsaid(&rule.condition) {
        return Err(unsaid);
    }
    let mut entries = vec![("name", text(&rule.name))];
    let mut add = |key: &'static str, node: Option<Node>| {
        entries.extend(node.map(|node| (key, node)));
    };
    let several = |texts: &[String]| {
        let items = || list(texts.iter().map(|item| text(item)));
        (!texts.is_empty()).then(items)
    };
    add("id", rule.id.as_deref().map(text));
    add("description", rule.description.as_deref().map(text));
    add("type", rule.rule_type.as_deref().map(text));
    add("version", rule.version.map(plain));
    add("enabled", (!rule.enabled).then(|| plain(false)));
    add("analytic_story", several(&rule.analytic_story));
    add("references", several(&rule.references));
    add("false_positives", rule.false_positives.as_deref().map(text));
    add("where", Some(condition::node(&rule.condition)));
    add(
        "lookup",
        (!rule.lookups.is_empty()).then(|| list(rule.lookups.iter().map(|it| lookup(it)))),
    );
    add(
        "by",
        Some(list(rule.by.iter().map(|field| text(field.name())))),
    );
    add("aggregate", Some(columns(&rule.columns)));
    add(
        "having",
        (!rule.having.is_empty()).then(|| having(&rule.having, &rule.columns)),
    );
    add("schedule", rule.schedule.as_ref().map(schedule));
    add("risk", rule.risk.as_ref().map(risk));
    add("throttle", rule.throttle.as_ref().map(throttle));
    add("attack", several(&rule.attack));
    Ok(yaml::write(&mapping(entries)))
}

fn text(text: &str) -> Node {
    Node::text(NOWHERE, text)
}

fn plain(value: impl ToString) -> Node {
    Node::plain(NOWHERE, value)
}

fn list(items: impl Iterator<Item = Node>) -> Node {
    Node::list(NOWHERE, items.collect())
}

fn mapping<'k>(entries: impl IntoIterator<Item = (&'k str, Node)>) -> Node {
    Node::mapping(NOWHERE, entries)
}

fn columns(columns: &[Column]) -> Node {
    mapping(
        columns
            .iter()
            .map(|column| (column.name.as_str(), text(&column.function.to_string()))),
    )
}

fn lookup(lookup: &Lookup) -> Node {
    let matches = lookup.matches.iter().map(|it| {
        let asked = match it.matching {
            Matching::Exact => text(&it.column),
            other => mapping([("column", text(&it.column)), ("as", text(other.name()))]),
        };
        (it.field.name(), asked)
    });
    let outputs = lookup.outputs.iter();
    let outputs = outputs.map(|it| (it.field.name(), text(&it.column)));
    let defaults = lookup.outputs.iter();
    let defaults: Vec<_> = defaults
        .filter_map(|it| Some((it.field.name(), text(it.default.as_deref()?))))
        .collect();
    let mut entries = vec![("file", text(&lookup.file)), ("match", mapping(matches))];
    if !lookup.outputs.is_empty() {
        entries.push(("output", mapping(outputs)));
    }
    if lookup.all {
        entries.push(("matches", text("all")));
    }
    if !defaults.is_empty() {
        entries.push(("default", mapping(defaults)));
    }
    if lookup.required {
        entries.push(("required", plain(true)));
    }
    mapping(entries)
}

/// A mapping from columns to what they must come to.
fn having(thresholds: &[Threshold], columns: &[Column]) -> Node {
    let asked = columns.iter().enumerate().filter_map(|(place, column)| {
        let of_column = thresholds
            .iter()
            .filter(|threshold| threshold.column == place);
        let mut asked = of_column
            .map(|threshold| (operator(threshold), condition::number(threshold.number)))
            .peekable();
        asked.peek()?;
        Some((column.name.as_str(), mapping(asked)))
    });
    mapping(asked)
}

/// A column without a value passes neither a relation nor its opposite, so the one is written for the other.
const fn operator(threshold: &Threshold) -> &'static str {
    match (threshold.relation, threshold.negated) {
        (Relation::Less, false) | (Relation::AtLeast, true) => "<",
        (Relation::AtMost, false) | (Relation::Greater, true) => "<=",
        (Relation::Greater, false) | (Relation::AtMost, true) => ">",
        (Relation::AtLeast, false) | (Relation::Less, true) => ">=",
        (Relation::Equal, false) => "=",
        (Relation::Equal, true) => "!=",
    }
}

fn schedule(schedule: &Schedule) -> Node {
    mapping([
        ("cron", text(&schedule.cron)),
        ("earliest", text(&schedule.earliest)),
        ("latest", text(&schedule.latest)),
    ])
}

fn risk(risk: &Risk) -> Node {
    let objects = risk.objects.iter().map(|object| {
        mapping([
            ("field", text(object.field.name())),
            ("type", text(object.object_type.name())),
            ("score", plain(object.score)),
        ])
    });
    let threats = risk.threat_objects.iter().map(|threat| {
        mapping([
            ("field", text(&threat.field)),
            ("type", text(threat.object_type)),
        ])
    });
    let mut entries = vec![("message", text(&risk.message)), ("objects", list(objects))];
    if !risk.threat_objects.is_empty() {
        entries.push(("threat_objects", list(threats)));
    }
    if risk.stacked {
        entries.push(("stacked", plain(true)));
    }
    mapping(entries)
}

/// The period in the largest unit that it is a whole number of.
fn throttle(throttle: &Throttle) -> Node {
    let seconds = throttle.period.as_secs();
    let (length, unit) = [(86_400, 'd'), (3_600, 'h'), (60, 'm')]
        .into_iter()
        .find(|(length, _)| seconds.is_multiple_of(*length))
        .unwrap_or((1, 's'));
    let fields = throttle.fields.iter().map(|field| text(field.name()));
    mapping([
        ("fields", list(fields)),
        ("period", text(&format!("{}{unit}", seconds / length))),
    ])
}

#[cfg(test)]
mod tests;
