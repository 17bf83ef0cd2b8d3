//! Splunk's detection files (YAML of `splunk/security_content`), turned into the project's own form of a rule.
//!
//! The schema has changed twice, and all of its forms are read: what is risky stood in `tags` (`impact`, `confidence`,
//! `message`, `observable`), then in `rba`, and stands in `intermediate_findings` and `finding` now. Of the search language
//! exactly as much is understood as `docs/rules.md` says; all else is refused with the words that were not understood.
//! What comes out is a document as `native` reads it, every node at its place in Splunk's file, so that there is one check
//! for both.

mod condition;
mod lookup;
mod place;
mod reader;
mod search;
mod values;
mod words;

use std::path::Path;

use super::THREAT_OBJECT_TYPES;
use super::filter::macro_name;
use super::mistake::Mistakes;
use super::native;
use super::yaml::{Document, Node, Place, Value};
use crate::rule::spelling::clip;
use place::Places;
use search::{Search, Threshold};

/// What a document came to.
pub(super) struct Translation {
    /// The rule as `native` reads it.
    pub(super) root: Node,
    /// Mistakes were found: what is missing says nothing.
    pub(super) cut: bool,
    /// What is taken, and should be known.
    pub(super) notes: Vec<(Place, String)>,
}

/// Whether a document is one of Splunk's detections.
pub(super) fn is_detection(document: &Document<'_>) -> bool {
    let has = |key| document.root.get(key).is_some();
    has("name") && has("search") && !has("where") && !has("domain")
}

/// What is passed on as it is: the key there, the key here.
const SAME: [(&str, &str); 5] = [
    ("name", "name"),
    ("id", "id"),
    ("description", "description"),
    ("version", "version"),
    ("known_false_positives", "false_positives"),
];

/// Turns a detection into the project's own form.
pub(super) fn translate(document: &Document<'_>, mistakes: &mut Mistakes) -> Translation {
    let root = &document.root;
    let mut notes = Vec::new();
    let mut entries: Vec<(&str, Node)> = Vec::new();
    for (theirs, ours) in SAME {
        if let Some(node) = root.get(theirs).filter(|node| !is_empty(node)) {
            let node = match (&node.value, ours) {
                (Value::Scalar { text, .. }, "version") => Node::plain(node.place, text),
                (Value::Scalar { text, .. }, "name" | "false_positives" | "description") => {
                    Node::text(node.place, text.trim())
                }
                _ => node.clone(),
            };
            entries.push((ours, node));
        }
    }
    if let Some(node) = root.get("type") {
        let text = scalar(node).unwrap_or_default();
        if native::TYPES.contains(&text) {
            entries.push(("type", node.clone()));
        } else {
            let note = format!(
                "the type '{}' is of an older schema and is left out",
                clip(text)
            );
            notes.push((node.place, note));
        }
    }
    if let Some(node) = root.get("status")
        && ["deprecated", "removed"].contains(&scalar(node).unwrap_or_default())
    {
        entries.push(("enabled", Node::plain(node.place, false)));
    }
    let tags = root.get("tags");
    let of_tags = |key: &str| {
        tags.and_then(|tags| tags.get(key))
            .or_else(|| root.get(key))
    };
    let stories = of_tags("analytic_story").or_else(|| of_tags("analytics_story"));
    for (ours, node) in [
        ("analytic_story", stories),
        ("references", root.get("references")),
        ("attack", of_tags("mitre_attack_id")),
    ] {
        if let Some(node) = node.filter(|node| !is_empty(node)) {
            entries.push((ours, node.clone()));
        }
    }
    entries.push(("schedule", schedule(root)));
    let search = search(document, mistakes, &mut notes);
    let cut = document.cut || search.is_none();
    if let Some(search) = &search {
        entries.extend(of_search(search, root.place));
        if let Some(risk) = risk(root, search, &mut notes) {
            entries.push(("risk", risk));
            let throttling = tags.and_then(|tags| tags.get("throttling"));
            let throttle = throttling.and_then(|node| throttle(node, search, &mut notes));
            entries.extend(throttle.map(|throttle| ("throttle", throttle)));
        }
    }
    Translation {
        root: Node::mapping(root.place, entries),
        cut,
        notes,
    }
}

/// The search, where all of it was understood.
fn search(
    document: &Document<'_>,
    mistakes: &mut Mistakes,
    notes: &mut Vec<(Place, String)>,
) -> Option<Search> {
    let node = document.root.get("search")?;
    let Some(text) = scalar(node).filter(|text| !text.trim().is_empty()) else {
        let message = format!("search is {}; expected text", node.kind());
        mistakes.add(node.place, message);
        return None;
    };
    let places = Places::new(document.text, document.first_line, node.place, text);
    let name = document.root.get("name").and_then(scalar);
    let filter = macro_name(name.unwrap_or_default());
    let folder = Path::new(mistakes.file().as_ref()).parent();
    let folder = folder.unwrap_or(Path::new("")).to_owned();
    match search::read(text, &filter, &folder, &places, notes) {
        Ok(search) => Some(search),
        Err(refused) => {
            for (place, message) in refused {
                mistakes.add(place, format!("search: {message}"));
            }
            None
        }
    }
}

/// `where`, `by`, `aggregate`, `having`.
fn of_search(search: &Search, place: Place) -> Vec<(&'static str, Node)> {
    let by = search
        .by
        .iter()
        .map(|(field, place)| Node::text(*place, field.name()));
    let columns = search.columns.iter().map(|column| {
        let function = Node::text(column.place, column.function());
        (column.name.as_str(), function)
    });
    let mut entries = vec![
        ("where", search.condition.clone()),
        ("by", Node::list(place, by.collect())),
        ("aggregate", Node::mapping(place, columns)),
    ];
    if !search.lookups.is_empty() {
        entries.push(("lookup", Node::list(place, search.lookups.clone())));
    }
    if !search.having.is_empty() {
        entries.push(("having", having(&search.having, place)));
    }
    entries
}

/// A mapping from columns to what they must be.
fn having(thresholds: &[Threshold], place: Place) -> Node {
    let mut columns: Vec<(&str, Vec<(&str, Node)>)> = Vec::new();
    for threshold in thresholds {
        let number = Node::plain(threshold.place, &threshold.number);
        let operator = match threshold.operator.as_str() {
            "==" => "=",
            other => other,
        };
        let asked = (operator, number);
        match columns
            .iter_mut()
            .find(|(name, _)| *name == threshold.column)
        {
            Some((_, all)) => all.push(asked),
            None => columns.push((&threshold.column, vec![asked])),
        }
    }
    let columns = columns.into_iter().map(|(name, asked)| {
        let at = asked.first().map_or(place, |(_, node)| node.place);
        (name, Node::mapping(at, asked))
    });
    Node::mapping(place, columns)
}

/// When Splunk runs it: what its deployment says, every hour over the hour before the last ten minutes otherwise.
fn schedule(root: &Node) -> Node {
    let own = root
        .get("deployment")
        .and_then(|deployment| deployment.get("scheduling"));
    let keys = [
        ("cron", "cron_schedule", "0 * * * *"),
        ("earliest", "earliest_time", "-70m@m"),
        ("latest", "latest_time", "-10m@m"),
    ];
    let entries = keys.map(|(ours, theirs, default)| {
        let own = own.and_then(|own| own.get(theirs));
        let node = own
            .cloned()
            .unwrap_or_else(|| Node::text(root.place, default));
        (ours, node)
    });
    Node::mapping(root.place, entries)
}

/// What is risky, in the words of any of the schemas.
fn risk(root: &Node, search: &Search, notes: &mut Vec<(Place, String)>) -> Option<Node> {
    let mut objects: Vec<Node> = Vec::new();
    let mut message = None;
    let mut object = |node: &Node, name: &Node, kind: &str, scores: Vec<(&'static str, Node)>| {
        let theirs = scalar(name).unwrap_or_default();
        let is_group = |name: &String| search.by.iter().any(|(field, _)| field.name() == name);
        match search.name_of(theirs).filter(is_group) {
            Some(field) => {
                let field = ("field", Node::text(name.place, field));
                let kind = ("type", Node::text(node.place, kind));
                let entries = [field, kind].into_iter().chain(scores);
                objects.push(Node::mapping(node.place, entries));
            }
            None => {
                let note = format!(
                    "the risk object `{}` is left out: the search does not group by it",
                    clip(theirs)
                );
                notes.push((name.place, note));
            }
        }
    };
    let findings = root.get("intermediate_findings");
    let finding = root.get("finding");
    if findings.is_some() || finding.is_some() {
        let entities = findings.and_then(|findings| findings.get("entities"));
        let entity = finding.and_then(|finding| finding.get("entity"));
        for node in items(entities).iter().chain(entity) {
            let Some(name) = node.get("field") else {
                continue;
            };
            let kind = node.get("type").and_then(scalar).unwrap_or("other");
            let scores = node.get("score").map(|score| ("score", score.clone()));
            object(node, name, kind, scores.into_iter().collect());
            message = message.or_else(|| node.get("message"));
        }
        message = message.or_else(|| finding.and_then(|finding| finding.get("title")));
    } else if let Some(rba) = root.get("rba") {
        message = rba.get("message");
        for node in items(rba.get("risk_objects")) {
            let Some(name) = node.get("field") else {
                continue;
            };
            let kind = node.get("type").and_then(scalar).unwrap_or("other");
            let scores = node.get("score").map(|score| ("score", score.clone()));
            object(node, name, kind, scores.into_iter().collect());
        }
    } else if let Some(tags) = root.get("tags") {
        message = tags.get("message");
        let both =
            ["impact", "confidence"].map(|key| tags.get(key).map(|node| (key, node.clone())));
        let score = tags.get("risk_score").map(|node| ("score", node.clone()));
        let scores: Vec<(&'static str, Node)> = match both {
            [Some(impact), Some(confidence)] => vec![impact, confidence],
            _ => score.into_iter().collect(),
        };
        for node in items(tags.get("observable")) {
            let is_victim = items(node.get("role"))
                .iter()
                .any(|role| scalar(role) == Some("Victim"));
            if let (Some(name), true, false) = (node.get("name"), is_victim, scores.is_empty()) {
                let kind = observable_kind(node.get("type").and_then(scalar).unwrap_or_default());
                object(node, name, kind, scores.clone());
            }
        }
    }
    let message = message?;
    let place = message.place;
    let first = objects.first()?.place;
    let text = tokens(scalar(message)?, search, place, notes);
    let mut entries = vec![
        ("message", Node::text(place, text)),
        ("objects", Node::list(first, objects)),
    ];
    let threats = threat_objects(root, search, notes);
    if let Some(place) = threats.first().map(|node| node.place) {
        entries.push(("threat_objects", Node::list(place, threats)));
    }
    Some(Node::mapping(first, entries))
}

/// What a risk comes from, in the words of any of the schemas.
fn threat_objects(root: &Node, search: &Search, notes: &mut Vec<(Place, String)>) -> Vec<Node> {
    let lists = ["rba", "intermediate_findings", "finding"]
        .into_iter()
        .filter_map(|key| root.get(key))
        .chain([root])
        .flat_map(|node| items(node.get("threat_objects")));
    let mut found: Vec<(&Node, &Node, String)> = lists
        .filter_map(|node| {
            Some((
                node,
                node.get("field")?,
                scalar(node.get("type")?)?.to_owned(),
            ))
        })
        .collect();
    let tags = root.get("tags").filter(|_| root.get("rba").is_none());
    for node in items(tags.and_then(|tags| tags.get("observable"))) {
        let roles = items(node.get("role"));
        let is_attacker = roles.iter().any(|role| scalar(role) == Some("Attacker"));
        if let (Some(name), true) = (node.get("name"), is_attacker) {
            let kind = node.get("type").and_then(scalar).unwrap_or_default();
            found.push((node, name, observed_threat(kind)));
        }
    }
    let mut threats = Vec::new();
    for (node, name, kind) in found {
        let theirs = scalar(name).unwrap_or_default();
        match search.name_of(theirs) {
            Some(field) if THREAT_OBJECT_TYPES.contains(&kind.as_str()) => {
                let field = ("field", Node::text(name.place, field));
                let kind = ("type", Node::text(node.place, kind));
                threats.push(Node::mapping(node.place, [field, kind]));
            }
            is_there => {
                let reason = match is_there {
                    Some(_) => format!("'{}' is no type of such an object", clip(&kind)),
                    None => "no row has it".to_owned(),
                };
                let note = format!("the threat object `{}` is left out: {reason}", clip(theirs));
                notes.push((name.place, note));
            }
        }
    }
    threats
}

/// The type of the threat object that an observable of the first schema is.
fn observed_threat(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase().replace(' ', "_");
    match kind.as_str() {
        "dnsquery" => "domain",
        "url_string" => "url",
        "hostname" | "endpoint" => "system",
        "email" => "email_address",
        other => other,
    }
    .to_owned()
}

/// `tags.throttling`: after a risk event others with the same values are left out for a while.
fn throttle(node: &Node, search: &Search, notes: &mut Vec<(Place, String)>) -> Option<Node> {
    let period = node.get("period")?;
    let mut fields = Vec::new();
    for item in items(node.get("fields")) {
        let theirs = scalar(item).unwrap_or_default();
        let is_group = |name: &String| search.by.iter().any(|(field, _)| field.name() == name);
        match search.name_of(theirs).filter(is_group) {
            Some(field) => fields.push(Node::text(item.place, field)),
            None => {
                let note = format!(
                    "throttling by `{}` is left out: the search does not group by it",
                    clip(theirs)
                );
                notes.push((item.place, note));
                return None;
            }
        }
    }
    let entries = [
        ("fields", Node::list(node.place, fields)),
        ("period", Node::text(period.place, scalar(period)?)),
    ];
    Some(Node::mapping(node.place, entries))
}

/// The type of the risk object that an observable of the first schema is.
fn observable_kind(kind: &str) -> &'static str {
    match kind.to_ascii_lowercase().as_str() {
        "hostname" | "endpoint" | "device" | "ip address" => "system",
        "user" | "user name" | "username" | "email address" => "user",
        _ => "other",
    }
}

/// A message with our names in its tokens; what no row has stands as a word.
fn tokens(
    message: &str,
    search: &Search,
    place: Place,
    notes: &mut Vec<(Place, String)>,
) -> String {
    let parts: Vec<&str> = message.split('$').collect();
    let Some((first, parts)) = parts.split_first() else {
        return String::new();
    };
    let mut text = (*first).to_owned();
    let mut parts = parts.iter().peekable();
    while let Some(part) = parts.next() {
        let is_name = !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
        // The last part has no dollar sign behind it.
        let Some(after) = parts.peek().filter(|_| is_name) else {
            text.push('$');
            text.push_str(part);
            continue;
        };
        match search.name_of(part) {
            Some(name) => text.push_str(&format!("${name}$")),
            None => {
                let note =
                    format!("the row has no `{part}`, so ${part}$ in the message is a word only");
                notes.push((place, note));
                text.push_str(part);
            }
        }
        text.push_str(after);
        parts.next();
    }
    text
}

/// The text of a scalar.
fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

/// The items of a list, none of anything else.
fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::Sequence(items)) => items,
        _ => &[],
    }
}

/// Whether there is nothing in it.
fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null(_) => true,
        Value::Scalar { text, .. } => text.trim().is_empty(),
        Value::Sequence(items) => items.is_empty(),
        Value::Mapping(entries) => entries.is_empty(),
    }
}

#[cfg(test)]
mod tests;
