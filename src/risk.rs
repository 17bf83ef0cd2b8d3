//! Risk: what the rows of a closed window say of whom.
//!
//! A row makes a risk event for each risk object of its rule. Those of one object, rule and window are one event, unless the
//! rule asks for the stacked form: a lookup with five answers makes five rows, and is no five times as risky as one with one.
//! A resolver's rows accuse a host that only passed a question on: where the client of the same lookup is among the hits
//! it alone is scored, elsewhere the event says that the client is hidden.

mod event;
mod legs;
mod throttled;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use event::{Content, Item, OWN, RiskEvent, Severity};

use crate::aggregate::{Cell, Key, RESERVED, Row, sortable};
use crate::event::{Event, Field, Role, Value};
use crate::rule::{Function, Moves, Risk, Rule, Throttle};
use crate::stats;
use crate::time::Timestamp;
use legs::Legs;
use throttled::Throttled;

/// How many windows of rules that had partial rows are remembered; beyond it every event is partial.
const PARTIAL_WINDOWS: usize = 65_536;

/// A window as rows have it.
type Window = Option<(Timestamp, Timestamp)>;

/// What risk events of one rule have in common.
#[derive(Debug)]
pub struct ScoredRule {
    name: Arc<str>,
    risk: Risk,
    throttle: Option<Throttle>,
    analytic_story: Vec<String>,
    attack: Vec<String>,
}

/// Rows in, risk events out.
#[derive(Debug)]
pub struct Scorer {
    /// By their places; nothing for a rule without risk.
    rules: Vec<Option<Arc<ScoredRule>>>,
    legs: Legs,
    throttled: Throttled,
    /// The rule and window whose rows come at the moment, and their events as far as they are joined.
    joining: Option<(usize, Window)>,
    events: Vec<RiskEvent>,
    /// Where in `events` that of an object is, by its number and its value.
    places: HashMap<(usize, Box<[u8]>), usize, ahash::RandomState>,
    /// Of which rule and window there were partial rows.
    partial: HashSet<(usize, Window), ahash::RandomState>,
    /// What was counted.
    pub stats: stats::Risk,
}

impl Scorer {
    /// Scores the rows of `rules`, which are named by their place among them. Their events are made so long after their
    /// `_time` at most ([`Pairing::longest`](crate::transaction::Pairing::longest)).
    #[must_use]
    pub fn new(rules: &[Rule], longest: Duration) -> Self {
        let scored = |rule: &Rule| {
            Some(Arc::new(ScoredRule {
                name: rule.name.as_str().into(),
                risk: rule.risk.clone()?,
                throttle: rule.throttle.clone(),
                analytic_story: rule.analytic_story.clone(),
                attack: rule.attack.clone(),
            }))
        };
        Self {
            rules: rules.iter().map(scored).collect(),
            legs: Legs::new(longest),
            throttled: Throttled::default(),
            joining: None,
            events: Vec::new(),
            places: HashMap::default(),
            partial: HashSet::default(),
            stats: stats::Risk::default(),
        }
    }

    /// The rules were read anew: goes on with those of `newer`, which has scored nothing yet. What is known of a rule is
    /// that of the one with its name. No rows may be open ([`Self::close`]).
    pub fn replace(&mut self, newer: Self, moves: &Moves) {
        self.rules = newer.rules;
        self.legs.replace(moves);
        let partial = std::mem::take(&mut self.partial).into_iter();
        self.partial = partial
            .filter_map(|(place, window)| Some((moves.named(place)?, window)))
            .collect();
    }

    /// Sees an event that the rule at that place matched, also where a filter removed the hit: who passed it on is nobody's
    /// risk. `query` is the name that matched.
    pub fn see(&mut self, rule: usize, event: &Event, query: &str) {
        if self.rules.get(rule).is_some_and(Option::is_some) {
            self.legs.see(rule, event, query);
        }
    }

    /// Takes a row. `role_of` says what is known by now of an address whose lookups said that role. The rows of a window and
    /// rule come together; when others come, its events go to `emit`.
    pub fn take(
        &mut self,
        row: &Row,
        role_of: &dyn Fn(IpAddr, Role) -> Role,
        emit: &mut dyn FnMut(RiskEvent),
    ) {
        let place = row.rule.place;
        let Some(Some(rule)) = self.rules.get(place).map(Option::as_ref) else {
            self.stats.rows_without_risk += 1;
            return;
        };
        let rule = Arc::clone(rule);
        self.stats.rows_scored += 1;
        if self.joining != Some((place, row.window)) {
            self.close(emit);
            self.joining = Some((place, row.window));
        }
        if row.partial && self.partial.len() < PARTIAL_WINDOWS {
            self.partial.insert((place, row.window));
        }
        self.stats.objects += rule.risk.objects.len() as u64;
        let role = role(row, role_of);
        if role != Role::Client && self.is_passed_on(row) {
            self.stats.client_scored += rule.risk.objects.len() as u64;
            return;
        }
        for (number, object) in rule.risk.objects.iter().enumerate() {
            let Some(value) = row
                .key(object.field)
                .filter(|key| is_there(object.field, key))
            else {
                self.stats.without_value += 1;
                continue;
            };
            let event = RiskEvent::of(&rule, number, value, role, row);
            if rule.risk.stacked {
                self.give(event, emit);
                continue;
            }
            let place = *self
                .places
                .entry((number, sortable(value)))
                .or_insert(self.events.len());
            if let Some(same) = self.events.get_mut(place) {
                same.join(event);
                self.stats.joined += 1;
            } else {
                self.events.push(event);
            }
        }
    }

    /// The rows that belong together are all here: their events go to `emit`.
    pub fn close(&mut self, emit: &mut dyn FnMut(RiskEvent)) {
        let Some((place, window)) = self.joining.take() else {
            return;
        };
        let is_partial =
            self.partial.len() >= PARTIAL_WINDOWS || self.partial.contains(&(place, window));
        self.places.clear();
        for mut event in std::mem::take(&mut self.events) {
            event.partial |= is_partial;
            self.give(event, emit);
        }
        if let (Some((start, _)), false) = (window, is_partial) {
            self.legs.forget_before(place, start);
        }
    }

    fn give(&mut self, event: RiskEvent, emit: &mut dyn FnMut(RiskEvent)) {
        if let Some(throttle) = &event.rule.throttle
            && self.throttled.suppresses(throttle, &event)
        {
            self.stats.suppressed += 1;
            return;
        }
        self.stats.events += 1;
        self.stats.client_hidden += u64::from(event.hidden != Role::Client);
        self.stats.partial += u64::from(event.partial);
        emit(event);
    }

    /// Whether all lookups of a row were asked for by others whose lookups are hits of the same rule.
    fn is_passed_on(&self, row: &Row) -> bool {
        // What said nothing against its source when it was seen was not followed.
        let (Some(Value::Address(src)), Some(query), false) = (
            row.key(Field::Src),
            row.key(Field::Query),
            row.context.role == Role::Client,
        ) else {
            return false;
        };
        let span = (row.first, row.last);
        self.legs
            .is_passed_on(row.rule.place, *src, &query.text(), span)
    }
}

/// The role of whom a row is about, as is known by now.
fn role(row: &Row, role_of: &dyn Fn(IpAddr, Role) -> Role) -> Role {
    match row.key(Field::Src).or_else(|| row.key(Field::SrcIp)) {
        Some(Value::Address(src)) => role_of(*src, row.context.role),
        _ => row.context.role,
    }
}

/// Whether a row has a value for a field: an absent one groups under `null`, which a name can be, too. The unspecified address
/// is nobody's: a server that does not know its own says it by dnstap.
fn is_there(field: Field, key: &Key) -> bool {
    if let Value::Address(address) = key {
        return !address.is_unspecified();
    }
    matches!(field, Field::Query | Field::QuerySpelled) || key.text() != "null"
}

/// What a row has, by name: its `by` fields and its columns, and whether a list was cut.
fn contents(row: &Row) -> Vec<(String, Content, bool)> {
    let mut contents: Vec<(String, Content, bool)> = Vec::new();
    row.each(&mut |name, cell| {
        if let Cell::Value(Value::Flag(true)) = cell
            && let Some(list) = name.strip_suffix("_cut")
            && let Some(last) = contents.last_mut().filter(|(name, ..)| name == list)
        {
            last.2 = true;
            return;
        }
        if RESERVED.contains(&name) {
            return;
        }
        let function = row
            .rule
            .columns
            .iter()
            .find(|column| column.name == name)
            .map(|column| column.function);
        let content = match (function, cell) {
            (Some(Function::Count), _) => Content::Sum(row.count),
            (Some(Function::MinTime), _) => Content::First(row.first),
            (Some(Function::MaxTime), _) => Content::Last(row.last),
            (_, Cell::Value(value)) => Content::One(value.into_owned()),
            (_, Cell::Number(number)) => Content::One(number.to_value()),
            (_, Cell::Absent) => Content::list(std::iter::empty()),
            (_, Cell::List(values)) => Content::list(values.iter().cloned()),
            (_, Cell::Window(_)) => return,
        };
        contents.push((name.to_owned(), content, false));
    });
    contents
}

#[cfg(test)]
mod tests;
