//! One risk event: how it is made of a row, how rows join in it, what it says.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{ScoredRule, Window, contents};
use crate::aggregate::{Cell, Key, Row, sortable};
use crate::event::{Role, Value};
use crate::rule::message::{Part, parts};
use crate::time::Timestamp;

/// How many distinct values of a field one event lists: the first ones in their order.
pub(super) const VALUES: usize = 100;
/// How many of them a message names.
const NAMED: usize = 10;

/// The names that every risk event has of its own. A `by` field or column of such a name is left out.
pub const OWN: [&str; 21] = [
    "_time",
    "search_name",
    "risk_object",
    "risk_object_type",
    "risk_score",
    "severity",
    "risk_message",
    "client_hidden",
    "analyticstories",
    "annotations.mitre_attack",
    "threat_object",
    "threat_object_type",
    "fields_cut",
    "firstTime",
    "lastTime",
    "window",
    "sensor",
    "event_id",
    "partial",
    "rule",
    "stream",
];

/// What a field of a row, or of the rows that were joined, has in a risk event.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// One value.
    One(Key),
    /// Distinct values, sorted as rows are, by their sortable bytes.
    List(BTreeMap<Box<[u8]>, Key>),
    /// A count; counts add.
    Sum(u64),
    /// A first time; the earliest counts.
    First(Timestamp),
    /// A last time; the latest counts.
    Last(Timestamp),
}

impl Content {
    pub(super) fn list(values: impl Iterator<Item = Key>) -> Self {
        Self::List(values.map(|value| (sortable(&value), value)).collect())
    }

    /// As a list where it is one value.
    fn into_list(self) -> Self {
        match self {
            Self::One(value) => Self::list(std::iter::once(value)),
            other => other,
        }
    }

    /// Adds another row's; says whether a list is longer than may be, and was cut.
    fn join(&mut self, other: Self) -> bool {
        match (self, other) {
            (Self::List(values), Self::List(more)) => {
                values.extend(more);
                let cut = values.len() > VALUES;
                while values.len() > VALUES {
                    values.pop_last();
                }
                return cut;
            }
            (Self::Sum(sum), Self::Sum(more)) => *sum = sum.saturating_add(more),
            (Self::First(first), Self::First(other)) => *first = (*first).min(other),
            (Self::Last(last), Self::Last(other)) => *last = (*last).max(other),
            // The object's own value, which is the same in all.
            (_, _) => {}
        }
        false
    }

    /// Calls `take` with each value.
    pub fn each(&self, take: &mut dyn FnMut(&Key)) {
        match self {
            Self::One(value) => take(value),
            Self::List(values) => values.values().for_each(take),
            Self::Sum(sum) => take(&Value::Number(*sum)),
            Self::First(time) | Self::Last(time) => take(&Value::Time(*time)),
        }
    }

    /// As a sentence says it: `a, b and 3 more`.
    fn spoken(&self) -> String {
        let mut texts = Vec::new();
        self.each(&mut |value| texts.push(value.text().into_owned()));
        let more = texts.len().saturating_sub(NAMED);
        texts.truncate(NAMED);
        match (texts.split_last(), more) {
            (Some((last, first)), 0) if !first.is_empty() => {
                format!("{} and {last}", first.join(", "))
            }
            (_, 0) => texts.concat(),
            (_, more) => format!("{} and {more} more", texts.join(", ")),
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(value) => value.serialize(serializer),
            Self::List(values) => serializer.collect_seq(values.values()),
            Self::Sum(sum) => serializer.serialize_u64(*sum),
            Self::First(time) | Self::Last(time) => time.serialize(serializer),
        }
    }
}

/// How bad a score is, in Splunk's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// 0 to 20.
    Informational,
    /// 21 to 40.
    Low,
    /// 41 to 60.
    Medium,
    /// 61 to 80.
    High,
    /// 81 to 100.
    Critical,
}

impl Severity {
    /// That of a score.
    #[must_use]
    pub const fn of(score: u8) -> Self {
        match score {
            0..=20 => Self::Informational,
            21..=40 => Self::Low,
            41..=60 => Self::Medium,
            61..=80 => Self::High,
            _ => Self::Critical,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What the rows of a rule in a window say of one risk object.
#[derive(Debug)]
pub struct RiskEvent {
    pub(super) rule: Arc<ScoredRule>,
    /// The number of the object in the rule, and its value.
    object: usize,
    value: Key,
    /// What the source is behind which the client hides; a client where it does not.
    pub(super) hidden: Role,
    /// What the rows have, by name.
    fields: Vec<(String, Content)>,
    /// The names of lists of which a part is here.
    cut: Vec<String>,
    first: Timestamp,
    /// The latest `_time` of all.
    pub(super) last: Timestamp,
    window: Window,
    sensor: Arc<str>,
    /// The exclusive-or of the rows' ids.
    ids: [u8; 16],
    pub(super) partial: bool,
}

/// One named thing of a risk event.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<'a> {
    /// One value.
    One(Value<'a>),
    /// Several.
    Many(Vec<Cow<'a, str>>),
    /// A field of the rows.
    Field(&'a Content),
    /// A window.
    Window(Window),
}

impl RiskEvent {
    /// That of one row.
    pub(super) fn of(
        rule: &Arc<ScoredRule>,
        object: usize,
        value: &Key,
        role: Role,
        row: &Row,
    ) -> Self {
        let object_field = rule.risk.objects.get(object).map(|object| object.field);
        let name = object_field.map_or("", |field| field.name());
        let (mut fields, mut cut) = (Vec::new(), Vec::new());
        for (field, content, is_cut) in contents(row) {
            if is_cut {
                cut.push(field.clone());
            }
            let is_object = field == name;
            let content = if rule.risk.stacked || is_object {
                content
            } else {
                content.into_list()
            };
            fields.push((field, content));
        }
        Self {
            rule: Arc::clone(rule),
            object,
            value: value.clone(),
            hidden: role,
            fields,
            cut,
            first: row.first,
            last: row.last,
            window: row.window,
            sensor: Arc::clone(&row.sensor),
            ids: row.id,
            partial: row.partial,
        }
    }

    /// Takes another row's event of the same object in.
    pub(super) fn join(&mut self, other: Self) {
        for (name, content) in other.fields {
            let Some((_, same)) = self.fields.iter_mut().find(|(known, _)| *known == name) else {
                continue;
            };
            if same.join(content) && !self.cut.contains(&name) {
                self.cut.push(name);
            }
        }
        for name in other.cut {
            if !self.cut.contains(&name) {
                self.cut.push(name);
            }
        }
        // Of several sources one that is a client is enough: it does not hide.
        if other.hidden == Role::Client {
            self.hidden = Role::Client;
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.partial |= other.partial;
        self.ids
            .iter_mut()
            .zip(other.ids)
            .for_each(|(byte, other)| *byte ^= other);
    }

    /// Calls `take` with each thing and its name, in the order in which they are written.
    pub fn each<'a>(&'a self, take: &mut dyn FnMut(&str, Item<'a>)) {
        let text = |text: &'a str| Item::One(Value::Text(Cow::Borrowed(text)));
        let risk = &self.rule.risk;
        let texts = |list: &'a [String]| {
            Item::Many(list.iter().map(|text| Cow::Borrowed(&**text)).collect())
        };
        take("_time", Item::One(Value::Time(self.last)));
        take("search_name", text(&self.rule.name));
        take("risk_object", Item::One(Value::Text(self.value.text())));
        if let Some(object) = risk.objects.get(self.object) {
            take("risk_object_type", text(object.object_type.name()));
            take(
                "risk_score",
                Item::One(Value::Number(u64::from(object.score))),
            );
            take("severity", text(Severity::of(object.score).name()));
        }
        take(
            "risk_message",
            Item::One(Value::Text(Cow::Owned(self.message()))),
        );
        if self.hidden != Role::Client {
            take("client_hidden", Item::One(Value::Flag(true)));
        }
        take("analyticstories", texts(&self.rule.analytic_story));
        take("annotations.mitre_attack", texts(&self.rule.attack));
        let (threats, threats_cut) = self.threats();
        if !risk.threat_objects.is_empty() {
            let (objects, types) = threats
                .into_iter()
                .map(|(object, object_type)| (object, Cow::Borrowed(object_type)))
                .unzip();
            take("threat_object", Item::Many(objects));
            take("threat_object_type", Item::Many(types));
        }
        for (name, content) in &self.fields {
            if !OWN.contains(&&**name) {
                take(name, Item::Field(content));
            }
        }
        if !self.cut.is_empty() || threats_cut {
            let mut cut: Vec<Cow<'_, str>> =
                self.cut.iter().map(|name| Cow::Borrowed(&**name)).collect();
            cut.extend(threats_cut.then_some(Cow::Borrowed("threat_object")));
            take("fields_cut", Item::Many(cut));
        }
        take("firstTime", Item::One(Value::Time(self.first)));
        take("lastTime", Item::One(Value::Time(self.last)));
        take("window", Item::Window(self.window));
        take("sensor", text(&self.sensor));
        take("event_id", Item::One(Value::Id(self.id())));
        if self.partial {
            take("partial", Item::One(Value::Flag(true)));
        }
    }

    /// The same for the same rows, whoever sends them again: a hash of sensor, rule, window, object and the exclusive-or of
    /// the rows' ids, each part with its length before it.
    fn id(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        part(b"risk");
        part(self.sensor.as_bytes());
        part(self.rule.name.as_bytes());
        match self.window {
            None => part(&[]),
            Some((start, end)) => {
                part(&start.as_nanos().to_be_bytes());
                part(&end.as_nanos().to_be_bytes());
            }
        }
        part(&(self.object as u64).to_be_bytes());
        part(self.value.text().as_bytes());
        part(&self.ids);
        let hash = *hasher.finalize().as_bytes();
        hash.first_chunk().copied().unwrap_or_default()
    }

    /// The message with its tokens replaced, and who hides.
    fn message(&self) -> String {
        let mut message = String::new();
        for part in parts(&self.rule.risk.message) {
            match part {
                Part::Text(text) => message.push_str(text),
                Part::Token(name) => {
                    let spoken = self.field(name).map(Content::spoken);
                    message.push_str(&spoken.unwrap_or_default());
                }
            }
        }
        match self.hidden {
            Role::Client => {}
            Role::Resolver => message
                .push_str(" This is a resolver: the client that it asked for is hidden behind it."),
            Role::Nat => message.push_str(
                " Many hosts share this address: the client is hidden behind the translation.",
            ),
        }
        message
    }

    /// The rule.
    pub(super) fn rule_name(&self) -> &str {
        &self.rule.name
    }

    /// What the rows have under a name.
    pub(super) fn field(&self, name: &str) -> Option<&Content> {
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, content)| content)
    }

    /// The threat objects with their types, and whether there were more.
    fn threats(&self) -> (Vec<(Cow<'_, str>, &'static str)>, bool) {
        let mut threats = Vec::new();
        for threat in &self.rule.risk.threat_objects {
            let Some(content) = self.field(&threat.field) else {
                continue;
            };
            content.each(&mut |value| {
                let object = value.text().into_owned();
                if is_such(&object, threat.object_type) {
                    threats.push((Cow::Owned(object), threat.object_type));
                }
            });
        }
        let cut = threats.len() > VALUES;
        threats.truncate(VALUES);
        (threats, cut)
    }
}

/// Whether a value can be a threat object of that type: addresses are no domains, names no addresses, and what is not known
/// is nothing.
fn is_such(value: &str, object_type: &str) -> bool {
    let is_address = || value.parse::<std::net::IpAddr>().is_ok();
    match (value, object_type) {
        ("unknown" | "null" | "", _) => false,
        (_, "ip_address") => is_address(),
        (_, "domain") => !is_address(),
        (_, _) => true,
    }
}

impl Item<'_> {
    /// Calls `take` with each text of it.
    pub fn texts(&self, take: &mut dyn FnMut(&str)) {
        match self {
            Self::One(value) => take(&value.text()),
            Self::Many(texts) => texts.iter().for_each(|text| take(text)),
            Self::Field(content) => content.each(&mut |value| take(&value.text())),
            Self::Window(window) => Cell::Window(*window).texts(take),
        }
    }

    /// Whether it is a list, also where it has one value.
    #[must_use]
    pub const fn is_list(&self) -> bool {
        matches!(self, Self::Many(_) | Self::Field(Content::List(_)))
    }
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(value) => value.serialize(serializer),
            Self::Many(texts) => texts.serialize(serializer),
            Self::Field(content) => content.serialize(serializer),
            Self::Window(window) => Cell::Window(*window).serialize(serializer),
        }
    }
}

impl Serialize for RiskEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut result = Ok(());
        self.each(&mut |name, item| {
            if result.is_ok() {
                result = map.serialize_entry(name, &item);
            }
        });
        result?;
        map.end()
    }
}
