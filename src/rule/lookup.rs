//! Lookups: tables beside a rule, whose lines say more about an event: whom a name belongs to, on which list an address is.
//!
//! `table` reads a CSV and finds its lines; here is what a rule asks of one, and what an event gets of it.

mod table;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::sync::Arc;

use ipnet::IpNet;

use table::Asked as AskedOfTable;
pub(super) use table::{Table, Wanted, Wrong, read};

use super::Condition;
use super::condition::{Facts, is_of_question};
use super::pattern::Patterns;
use crate::event::{Added, Event, Field, Value, network};

/// How a value of the event is held against a cell of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matching {
    /// They are the same; ASCII case does not count.
    Exact,
    /// The cell is a pattern in which `*` is any run of bytes.
    Wildcard,
    /// The cell is a name that the value is, or is below.
    Suffix,
    /// The cell is a network that holds the value.
    Cidr,
}

impl Matching {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Exact, Self::Wildcard, Self::Suffix, Self::Cidr];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Wildcard => "wildcard",
            Self::Suffix => "suffix",
            Self::Cidr => "cidr",
        }
    }
}

/// A field of the event and the column that it is held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The field.
    pub field: Field,
    /// The column.
    pub column: String,
    /// How.
    pub matching: Matching,
}

/// A column that an event gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// As what.
    pub field: Field,
    /// The column.
    pub column: String,
    /// What it is where no line matches.
    pub default: Option<String>,
}

/// What a rule asks of a table.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The file as the rule names it.
    pub file: String,
    /// What an event and a line must have in common: all of these.
    pub matches: Vec<Match>,
    /// What the event gets.
    pub outputs: Vec<Output>,
    /// Whether it gets what all lines say that match, instead of the first.
    pub all: bool,
    /// Whether the rule matches only where a line does.
    pub required: bool,
    /// The table.
    pub(super) table: Arc<Table>,
}

impl PartialEq for Lookup {
    /// Also what the files hold must be the same.
    fn eq(&self, other: &Self) -> bool {
        (&self.matches, &self.outputs, self.all, self.required)
            == (&other.matches, &other.outputs, other.all, other.required)
            && self.table.digest() == other.table.digest()
    }
}

impl Lookup {
    /// How many lines the table has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the name in the question is held against, where it is held against anything.
    pub(super) fn on_query(&self) -> Option<&Arc<Patterns>> {
        let place = self
            .matches
            .iter()
            .position(|it| it.field == Field::Query)?;
        self.table.patterns(place)
    }

    /// Whether a question may tell that a line matches, or that none does.
    pub(super) fn question_may_tell(&self, holds: bool) -> bool {
        let mut fields = self.matches.iter().map(|it| it.field);
        match holds {
            true => fields.all(is_of_question),
            false => fields.any(is_of_question),
        }
    }

    /// The lines that match, in their order; where not all are wanted the first alone. `None` where that cannot be told yet.
    pub(super) fn lines(&self, facts: &dyn Facts) -> Option<Vec<u32>> {
        let mut asked: Vec<Option<AskedOfTable>> = Vec::new();
        for it in &self.matches {
            let mut values = AskedOfTable::default();
            let is_known = facts.each(it.field, &mut |value| {
                if it.matching == Matching::Cidr {
                    values.networks.extend(network_of(value));
                } else {
                    values.texts.push(value.text().to_ascii_lowercase());
                }
            });
            if is_known && !self.table.may_match(asked.len(), &values) {
                return Some(Vec::new());
            }
            asked.push(is_known.then_some(values));
        }
        let asked: Option<Vec<AskedOfTable>> = asked.into_iter().collect();
        Some(self.table.lines(&asked?, self.all))
    }

    /// What an event gets of these lines.
    fn added(&self, lines: &[u32]) -> impl Iterator<Item = Added> {
        let of_lines = move |place: usize| {
            let mut values: Vec<Box<str>> = Vec::new();
            for line in lines {
                let cell = self.table.output(*line, place);
                if !cell.is_empty()
                    && values.len() < MOST_VALUES
                    && !values.iter().any(|known| **known == *cell)
                {
                    values.push(cell.into());
                }
            }
            values
        };
        self.outputs
            .iter()
            .enumerate()
            .map(move |(place, output)| Added {
                field: output.field,
                is_list: self.all,
                values: match &output.default {
                    Some(default) if lines.is_empty() => vec![default.as_str().into()],
                    _ => of_lines(place),
                },
            })
    }
}

/// So many distinct values of a column an event gets of all lines that match.
const MOST_VALUES: usize = 100;

fn network_of(value: &Value<'_>) -> Option<IpNet> {
    match value {
        Value::Address(address) => Some(IpNet::from(*address)),
        Value::Text(text) => network(text),
        _ => None,
    }
}

/// A rule's condition where columns of its lookups are asked for: a line must match wherever they would not pass without one, so that the table takes part in finding candidates.
pub(super) fn requiring(condition: Condition, lookups: &[Arc<Lookup>]) -> Condition {
    let required = lookups.iter().filter(|lookup| lookup.required);
    let mut parts: Vec<Condition> = required
        .map(|lookup| Condition::Listed(Arc::clone(lookup)))
        .collect();
    let condition = within(condition, lookups);
    if parts.is_empty() {
        return condition;
    }
    parts.push(condition);
    Condition::All(parts)
}

fn within(condition: Condition, lookups: &[Arc<Lookup>]) -> Condition {
    let several = |parts: Vec<Condition>| {
        parts
            .into_iter()
            .map(|part| within(part, lookups))
            .collect()
    };
    let field = match &condition {
        Condition::Exists(field) => *field,
        Condition::Compare(comparison) => comparison.field,
        _ => {
            return match condition {
                Condition::All(parts) => Condition::All(several(parts)),
                Condition::Any(parts) => Condition::Any(several(parts)),
                Condition::Not(part) => Condition::Not(Box::new(within(*part, lookups))),
                other => other,
            };
        }
    };
    let gives = |lookup: &&Arc<Lookup>| {
        lookup.outputs.iter().any(|output| {
            let unlisted = Unlisted {
                field,
                text: output.default.as_deref(),
            };
            output.field == field && condition.holds(&unlisted) == Some(false)
        })
    };
    match lookups.iter().find(gives) {
        Some(lookup) => Condition::All(vec![Condition::Listed(Arc::clone(lookup)), condition]),
        None => condition,
    }
}

/// What is known where no line matches.
struct Unlisted<'a> {
    field: Field,
    text: Option<&'a str>,
}

impl Facts for Unlisted<'_> {
    fn each(&self, field: Field, take: &mut dyn FnMut(&Value<'_>)) -> bool {
        if field == self.field
            && let Some(text) = self.text
        {
            take(&Value::Text(text.into()));
        }
        field == self.field
    }

    fn name_is_covered(&self, _: &Arc<Patterns>) -> bool {
        true
    }

    fn is_listed(&self, _: &Arc<Lookup>) -> Option<bool> {
        None
    }
}

/// What the lookups of one rule say of one event, each asked once at most.
pub(super) struct LookedUp<'a> {
    lookups: &'a [Arc<Lookup>],
    lines: Vec<OnceCell<Vec<u32>>>,
}

impl<'a> LookedUp<'a> {
    /// Nothing was asked yet.
    pub(super) fn new(lookups: &'a [Arc<Lookup>]) -> Self {
        Self {
            lookups,
            lines: lookups.iter().map(|_| OnceCell::new()).collect(),
        }
    }

    fn lines(&self, place: usize, facts: &dyn Facts) -> &[u32] {
        let (Some(lookup), Some(lines)) = (self.lookups.get(place), self.lines.get(place)) else {
            return &[];
        };
        lines.get_or_init(|| lookup.lines(facts).unwrap_or_default())
    }

    /// Whether a line of one of the lookups matches.
    pub(super) fn is_listed(&self, lookup: &Arc<Lookup>, facts: &dyn Facts) -> bool {
        let place = self
            .lookups
            .iter()
            .position(|other| Arc::ptr_eq(other, lookup));
        place.is_some_and(|place| !self.lines(place, facts).is_empty())
    }

    /// Calls `take` with each value of a column; whether there is such a one.
    pub(super) fn each(
        &self,
        field: Field,
        facts: &dyn Facts,
        take: &mut dyn FnMut(&Value<'_>),
    ) -> bool {
        for (place, lookup) in self.lookups.iter().enumerate() {
            if !lookup.outputs.iter().any(|output| output.field == field) {
                continue;
            }
            for added in lookup.added(self.lines(place, facts)) {
                if added.field == field {
                    for value in &added.values {
                        take(&Value::Text(std::borrow::Cow::Borrowed(value)));
                    }
                }
            }
            return true;
        }
        false
    }

    /// The event with all columns.
    pub(super) fn add_to(&self, event: &Event, facts: &dyn Facts) -> Option<Box<Event>> {
        if self.lookups.iter().all(|lookup| lookup.outputs.is_empty()) {
            return None;
        }
        let mut event = Box::new(event.clone());
        for (place, lookup) in self.lookups.iter().enumerate() {
            event.added.extend(lookup.added(self.lines(place, facts)));
        }
        Some(event)
    }
}
