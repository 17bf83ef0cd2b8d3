//! Filters: the exceptions that a user makes of a rule, beside it and never in it.
//!
//! A filter takes hits away from a rule, before they are shown or counted. Each has an owner, a reason and a date from which
//! on, by packet time, it does so no longer; what each took away is counted.

use std::collections::HashMap;
use std::sync::Arc;

use super::spelling::{alternatives, nearest};
use super::{Condition, Mistake, Rule};
use crate::event::Event;
use crate::stats;
use crate::time::Timestamp;

/// So many are remembered that did something and are there no longer; beyond it what they took away is in the sum alone.
const GONE: usize = 10_000;

/// A filter as read.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The rule's name or id; or the name that Splunk gives the macro of its filter.
    pub rule: String,
    /// Whether it is the macro's.
    pub by_macro: bool,
    /// The hits that it takes away.
    pub condition: Condition,
    /// Who answers for it.
    pub owner: String,
    /// Why it is there.
    pub reason: String,
    /// From then on it filters no longer.
    pub expires: Timestamp,
    /// The file that it is in.
    pub file: Arc<str>,
    /// The line of its first key, from 1.
    pub line: u32,
    /// Where it names its rule: line and column, from 1.
    pub rule_place: (u32, u32),
}

impl Filter {
    fn is_of(&self, rule: &Rule) -> bool {
        if self.by_macro {
            return self.rule.eq_ignore_ascii_case(&macro_name(&rule.name));
        }
        let id = rule.id.as_deref().unwrap_or_default();
        self.rule.eq_ignore_ascii_case(&rule.name) || self.rule.eq_ignore_ascii_case(id)
    }

    fn mistake(&self, known: &[&Rule]) -> Mistake {
        let mut names: Vec<String> = known
            .iter()
            .map(|rule| match self.by_macro {
                true => macro_name(&rule.name),
                false => rule.name.clone(),
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        let meant = match self.by_macro && !self.rule.ends_with("_filter") {
            true => format!("{}_filter", self.rule),
            false => self.rule.clone(),
        };
        let near = nearest(&meant, names.iter().map(String::as_str));
        let remedy = match near.as_slice() {
            [] => "expected the name of a rule (dnsterrier rules list)".to_owned(),
            near => format!("did you mean {}?", alternatives(near)),
        };
        let shown: String = self.rule.chars().take(60).collect();
        let (line, column) = self.rule_place;
        Mistake {
            file: Arc::clone(&self.file),
            line,
            column,
            message: format!("there is no rule '{}'; {remedy}", shown.escape_debug()),
        }
    }
}

/// The name of the macro that holds the exceptions of a rule in Splunk: `ngrok_reverse_proxy_on_network_filter`.
#[must_use]
pub fn macro_name(rule: &str) -> String {
    let mut name = String::new();
    for letter in rule.chars().flat_map(char::to_lowercase) {
        if letter.is_alphanumeric() {
            name.push(letter);
        } else if !name.ends_with('_') {
            name.push('_');
        }
    }
    if !name.ends_with('_') {
        name.push('_');
    }
    name + "filter"
}

/// The filters of a run, and what they did.
#[derive(Debug, Default)]
pub struct Filters {
    filters: Vec<Filter>,
    /// The filters of each rule, by its place.
    of_rule: HashMap<usize, Vec<usize>, ahash::RandomState>,
    /// What was counted, in the order of the filters.
    counted: Vec<stats::Filter>,
    /// What those did that are there no longer.
    gone: Vec<stats::Filter>,
    /// No filter that was not said to have expired does before.
    next_expiry: Timestamp,
}

impl Filters {
    /// The filters of the rules of a run. `others` are rules that do not run this time: a filter of theirs waits.
    ///
    /// # Errors
    /// Every filter whose rule is unknown.
    pub fn new(
        filters: Vec<Filter>,
        rules: &[Rule],
        others: &[Rule],
    ) -> Result<Self, Vec<Mistake>> {
        let known: Vec<&Rule> = rules.iter().chain(others).collect();
        let mistakes: Vec<Mistake> = filters
            .iter()
            .filter(|filter| !known.iter().any(|rule| filter.is_of(rule)))
            .map(|filter| filter.mistake(&known))
            .collect();
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let mut of_rule = HashMap::<usize, Vec<usize>, _>::default();
        for (place, rule) in rules.iter().enumerate() {
            for (number, filter) in filters.iter().enumerate() {
                if filter.is_of(rule) {
                    of_rule.entry(place).or_default().push(number);
                }
            }
        }
        let counted = filters.iter().map(|filter| stats::Filter {
            rule: filter.rule.clone(),
            file: filter.file.to_string(),
            line: filter.line,
            owner: filter.owner.clone(),
            reason: filter.reason.clone(),
            expires: filter.expires,
            ..stats::Filter::default()
        });
        let expiries = filters.iter().map(|filter| filter.expires);
        Ok(Self {
            of_rule,
            counted: counted.collect(),
            gone: Vec::new(),
            next_expiry: expiries.min().unwrap_or(Timestamp::MAX),
            filters,
        })
    }

    /// Whether a filter takes the hit of the rule at that place away: the first that does counts it. `query` is the name
    /// that matched.
    pub fn remove(&mut self, rule: usize, event: &Event, query: &str) -> bool {
        for &number in self.of_rule.get(&rule).into_iter().flatten() {
            let (Some(filter), Some(counted)) =
                (self.filters.get(number), self.counted.get_mut(number))
            else {
                continue;
            };
            if !filter.condition.matches(event, query) {
                continue;
            }
            if event.time < filter.expires {
                counted.removed += 1;
                return true;
            }
            counted.expired = true;
            counted.passed += 1;
        }
        false
    }

    /// Calls `tell` for each filter that packet time has left behind since the last call.
    pub fn advance(&mut self, now: Timestamp, tell: &mut dyn FnMut(&stats::Filter)) {
        if now < self.next_expiry {
            return;
        }
        let expired_before = self.next_expiry;
        self.next_expiry = Timestamp::MAX;
        for counted in &mut self.counted {
            if counted.expires > now {
                self.next_expiry = self.next_expiry.min(counted.expires);
            } else if counted.expires >= expired_before {
                counted.expired = true;
                tell(counted);
            }
        }
    }

    /// What was counted, filter by filter, also of those that are there no longer.
    #[must_use]
    pub fn counted(&self) -> Vec<stats::Filter> {
        self.counted.iter().chain(&self.gone).cloned().collect()
    }

    /// The filters were read anew, and these are those of now. What was counted stays: with the same filter where it is
    /// still there.
    pub fn replace(&mut self, newer: Self) {
        let older = std::mem::replace(self, newer);
        self.gone = older.gone;
        for before in older.counted {
            let same = self.counted.iter_mut().find(|now| {
                (&now.rule, &now.file, &now.owner, &now.reason, now.expires)
                    == (
                        &before.rule,
                        &before.file,
                        &before.owner,
                        &before.reason,
                        before.expires,
                    )
                    && now.removed + now.passed == 0
            });
            match same {
                Some(now) => {
                    let line = now.line;
                    *now = stats::Filter { line, ..before };
                }
                None if before.removed + before.passed > 0 && self.gone.len() < GONE => {
                    self.gone.push(before);
                }
                None => {}
            }
        }
        let open = self.counted.iter().filter(|filter| !filter.expired);
        self.next_expiry = open
            .map(|filter| filter.expires)
            .min()
            .unwrap_or(Timestamp::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_macros() {
        for (rule, name) in [
            (
                "Ngrok Reverse Proxy on Network",
                "ngrok_reverse_proxy_on_network_filter",
            ),
            ("DNS - a.b (c)", "dns_a_b_c_filter"),
            ("", "_filter"),
        ] {
            assert_eq!(macro_name(rule), name);
        }
    }

    #[test]
    fn each_expiry_is_told_once() {
        let mut filters = Filters::default();
        let at = |second| Timestamp::from_parts(second, 0);
        for second in [5, 2, 5, 9] {
            filters.counted.push(stats::Filter {
                expires: at(second),
                ..stats::Filter::default()
            });
        }
        filters.next_expiry = at(2);
        let mut told = |now| {
            let mut list = Vec::new();
            filters.advance(at(now), &mut |filter| list.push(filter.expires));
            list
        };
        assert_eq!(told(1), []);
        assert_eq!(told(2), [at(2)]);
        assert_eq!(told(4), []);
        assert_eq!(told(7), [at(5), at(5)]);
        assert_eq!(told(8), []);
        assert_eq!(told(20), [at(9)]);
        assert_eq!(told(30), []);
    }
}
