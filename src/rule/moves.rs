//! What became of the rules when they were read anew: which of them are still the same, and where they stand now.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::condition::{Against, Comparison, Condition, Test};
use super::{Rule, Rules, SigmaRole};

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It is as it was, at that place.
    Kept(usize),
    /// There is another of its name, at that place.
    Changed(usize),
    /// There is none of its name any more, or none that runs.
    Gone,
}

/// What became of each rule of before.
#[derive(Clone, Debug, Default)]
pub struct Moves {
    moved: Vec<Moved>,
    /// How many of those that run now are new, changed, or gone.
    new: usize,
    changed: usize,
    gone: usize,
}

impl Moves {
    /// What became of the rules of before, where these are the rules of now.
    #[must_use]
    pub fn between(before: &Rules, now: &Rules) -> Self {
        let places: HashMap<&str, usize, ahash::RandomState> = now
            .running()
            .map(|(place, rule)| (rule.name.as_str(), place))
            .collect();
        let mut moved: Vec<Moved> = before
            .list()
            .iter()
            .enumerate()
            .map(|(own, rule)| match places.get(rule.name.as_str()) {
                Some(&place) if rule.enabled => match now.list().get(place) {
                    Some(other)
                        if is_same(rule, other)
                            && before.is_silent(own) == now.is_silent(place) =>
                    {
                        Moved::Kept(place)
                    }
                    _ => Moved::Changed(place),
                },
                _ => Moved::Gone,
            })
            .collect();
        // A correlation is as it was where all that it looks at is.
        let mut again = true;
        while std::mem::take(&mut again) {
            for (own, rule) in before.list().iter().enumerate() {
                let Some(&Moved::Kept(place)) = moved.get(own) else {
                    continue;
                };
                let now = now.list().get(place).and_then(Rule::correlation);
                let parts_stay = match (rule.correlation(), now) {
                    (None, None) => true,
                    (Some(before), Some(now)) => {
                        before.parts.len() == now.parts.len()
                            && before.parts.iter().zip(&now.parts).all(|(before, now)| {
                                moved.get(before.place) == Some(&Moved::Kept(now.place))
                            })
                    }
                    _ => false,
                };
                if !parts_stay && let Some(moved) = moved.get_mut(own) {
                    *moved = Moved::Changed(place);
                    again = true;
                }
            }
        }
        let ran: HashSet<&str, ahash::RandomState> = before
            .running()
            .map(|(_, rule)| rule.name.as_str())
            .collect();
        let new = now.running();
        let running = before
            .list()
            .iter()
            .zip(&moved)
            .filter(|(rule, _)| rule.enabled);
        let count = |what: fn(&Moved) -> bool| running.clone().filter(|(_, it)| what(it)).count();
        Self {
            new: new
                .filter(|(_, rule)| !ran.contains(rule.name.as_str()))
                .count(),
            changed: count(|moved| matches!(moved, Moved::Changed(_))),
            gone: count(|moved| *moved == Moved::Gone),
            moved,
        }
    }

    /// What became of the rule at that place.
    #[must_use]
    pub fn of(&self, place: usize) -> Moved {
        self.moved.get(place).copied().unwrap_or(Moved::Gone)
    }

    /// Where the rule of the same name is, changed or not.
    #[must_use]
    pub fn named(&self, place: usize) -> Option<usize> {
        match self.of(place) {
            Moved::Kept(place) | Moved::Changed(place) => Some(place),
            Moved::Gone => None,
        }
    }
}

impl fmt::Display for Moves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.new + self.changed + self.gone == 0 {
            return f.write_str("no rule changed");
        }
        let parts = [
            (self.new, "new"),
            (self.changed, "changed"),
            (self.gone, "gone"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        f.write_str(&parts.join(", "))
    }
}

/// Whether two rules of one name find, group and say the same.
fn is_same(one: &Rule, other: &Rule) -> bool {
    let without_parts = |rule: &Rule| {
        let mut sigma = rule.sigma.clone();
        if let Some(SigmaRole::Correlation(correlation)) =
            sigma.as_deref_mut().map(|sigma| &mut sigma.role)
        {
            correlation.parts.iter_mut().for_each(|part| part.place = 0);
        }
        sigma
    };
    // What parts it from the one before is no part of it.
    let text = |rule: &Rule| rule.text.trim_start_matches('-').trim().to_owned();
    // The text of one of Sigma's is that of its whole file.
    (text(one) == text(other) || one.sigma.is_some())
        && one.lookups == other.lookups
        && one.by == other.by
        && one.columns == other.columns
        && one.having == other.having
        && one.schedule == other.schedule
        && one.risk == other.risk
        && one.throttle == other.throttle
        && without_parts(one) == without_parts(other)
        && is_same_condition(&one.condition, &other.condition)
}

fn is_same_condition(one: &Condition, other: &Condition) -> bool {
    match (one, other) {
        (Condition::All(one), Condition::All(other))
        | (Condition::Any(one), Condition::Any(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_same_condition(one, other))
        }
        (Condition::Not(one), Condition::Not(other)) => is_same_condition(one, other),
        (Condition::Exists(one), Condition::Exists(other)) => one == other,
        (Condition::Compare(one), Condition::Compare(other)) => is_same_comparison(one, other),
        (Condition::Listed(one), Condition::Listed(other)) => one == other,
        _ => false,
    }
}

fn is_same_comparison(one: &Comparison, other: &Comparison) -> bool {
    one.field == other.field
        && one.every == other.every
        && one.tests.len() == other.tests.len()
        && one
            .tests
            .iter()
            .zip(&other.tests)
            .all(|(one, other)| is_same_test(one, other))
}

fn is_same_test(one: &Test, other: &Test) -> bool {
    one.negated == other.negated
        && match (&one.against, &other.against) {
            (Against::Patterns(one), Against::Patterns(other)) => one == other,
            (Against::Number(one, number), Against::Number(other, of_other)) => {
                one == other && number == of_other
            }
            (Against::Networks(one), Against::Networks(other)) => one == other,
            // Where nothing but whether case counts is another, they are taken for the same.
            (Against::Expressions(one), Against::Expressions(other)) => one
                .iter()
                .map(regex::Regex::as_str)
                .eq(other.iter().map(regex::Regex::as_str)),
            (Against::Field(one), Against::Field(other)) => one == other,
            (Against::Within(one), Against::Within(other)) => one == other,
            (Against::Part(one, number), Against::Part(other, of_other)) => {
                one == other && number == of_other
            }
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::native;

    fn rules(text: &str) -> Rules {
        Rules::new(native::read_text("rules.yaml", text).unwrap()).unwrap()
    }

    #[test]
    fn rules_keep_their_places_by_their_names_and_are_the_same_by_what_they_say() {
        let before = rules(
            "name: a\ndomain: a.example\n---\nname: b\ndomain: b.example\n---\nname: c\ndomain: c.example\n\
             ---\nname: d\ndomain: d.example\n",
        );
        let now = rules(
            "name: new\ndomain: new.example\n---\nname: c\ndomain: c.example\n---\nname: b\ndomain: other.example\n\
             ---\nname: d\nenabled: false\ndomain: d.example\n",
        );
        let moves = Moves::between(&before, &now);
        let of: Vec<Moved> = (0..5).map(|place| moves.of(place)).collect();
        use Moved::{Changed, Gone, Kept};
        assert_eq!(of, [Gone, Changed(2), Kept(1), Gone, Gone]);
        assert_eq!(moves.to_string(), "1 new, 1 changed, 2 gone");
        assert_eq!(moves.named(1), Some(2));
        let same = Moves::between(&now, &now);
        assert_eq!(same.to_string(), "no rule changed");
    }

    #[test]
    fn a_correlation_changes_with_what_it_looks_at_and_with_what_narrows_that() {
        let base = |name: &str| {
            format!(
                "title: {name}\nname: {name}\nlogsource: {{ category: dns }}\ndetection: {{ s: {{ query|contains: {name} }}, condition: s }}\n"
            )
        };
        let correlation = "title: many\ncorrelation: { type: event_count, rules: [one], group-by: [src], timespan: 1h, condition: { gte: 2 } }\n";
        let filter = "title: not this\nlogsource: { category: dns }\nfilter: { rules: [one], selection: { query: x.example }, condition: not selection }\n";
        let before = rules(&format!(
            "{}---\n{}---\n{correlation}",
            base("one"),
            base("two")
        ));
        let moved = rules(&format!(
            "{}---\n{correlation}---\n{}",
            base("two"),
            base("one")
        ));
        let narrowed = rules(&format!(
            "{}---\n{}---\n{correlation}---\n{filter}",
            base("one"),
            base("two")
        ));
        use Moved::{Changed, Kept};
        let of = |now| {
            let moves = Moves::between(&before, now);
            (0..3).map(|place| moves.of(place)).collect::<Vec<_>>()
        };
        assert_eq!(of(&moved), [Kept(2), Kept(0), Kept(1)]);
        assert_eq!(of(&narrowed), [Changed(0), Kept(1), Changed(2)]);
    }
}
