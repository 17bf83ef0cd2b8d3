//! Trials: what a rule must make of a capture, and must not. A rule brings its own.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

/// A row as it is written.
pub type Row = Map<String, Value>;

/// What a rule must make of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Line and column of it in the rule file, from 1.
    pub place: (u32, u32),
    /// The capture.
    pub capture: Capture,
    /// Rows that it must give, each another one.
    pub rows: Vec<Wanted>,
    /// What no row may be.
    pub not: Vec<Wanted>,
    /// Whether there may be no rows beside those.
    pub exact: bool,
}

/// The capture of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capture {
    /// A file: its path from the folder of the rule file, and where that is written.
    Path(String, (u32, u32)),
    /// The bytes of one, written into the rule.
    Inline(Arc<[u8]>),
}

impl fmt::Display for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path, _) => f.write_str(path),
            Self::Inline(_) => f.write_str("the capture in it"),
        }
    }
}

/// Some fields of a row, and what they must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The line in the rule file, from 1.
    pub line: u32,
    /// The fields and their values.
    pub fields: Vec<(String, Cell)>,
}

/// What a field of a row must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Nothing: `null`.
    Null,
    /// This text, or a number or flag that is written so; of a list one item.
    Text(String),
    /// A list of these, in this order.
    List(Vec<String>),
}

/// What is wrong with the rows of a trial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict<'t> {
    /// What the rule must give and did not.
    pub missing: Vec<&'t Wanted>,
    /// What it must not give, and the place of the row that is so.
    pub forbidden: Vec<(&'t Wanted, usize)>,
    /// The places of the rows that should not be there.
    pub surplus: Vec<usize>,
}

impl Verdict<'_> {
    /// Whether nothing is.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.missing.is_empty() && self.forbidden.is_empty() && self.surplus.is_empty()
    }
}

impl Trial {
    /// Holds rows against what they must be.
    #[must_use]
    pub fn judge(&self, rows: &[Row]) -> Verdict<'_> {
        let fits: Vec<Vec<usize>> = self
            .rows
            .iter()
            .map(|wanted| places(rows, |row| wanted.fits(row)))
            .collect();
        let taken = pair(&fits, rows.len());
        let is_paired = |place: usize| taken.contains(&Some(place));
        let forbidden = self.not.iter().flat_map(|wanted| {
            places(rows, |row| wanted.fits(row))
                .into_iter()
                .map(move |place| (wanted, place))
        });
        let free = |(place, by): (usize, &Option<usize>)| by.is_none().then_some(place);
        Verdict {
            missing: self
                .rows
                .iter()
                .enumerate()
                .filter(|(place, _)| !is_paired(*place))
                .map(|(_, wanted)| wanted)
                .collect(),
            forbidden: forbidden.collect(),
            surplus: if self.exact {
                taken.iter().enumerate().filter_map(free).collect()
            } else {
                Vec::new()
            },
        }
    }
}

/// The places of the rows of which something holds.
fn places(rows: &[Row], holds: impl Fn(&Row) -> bool) -> Vec<usize> {
    rows.iter()
        .enumerate()
        .filter(|(_, row)| holds(row))
        .map(|(place, _)| place)
        .collect()
}

/// Pairs as many of those that want with a row of their own as can be; gives for each row who has it. Each in turn takes a row
/// that is free, or one whose holder can take another (augmenting paths).
fn pair(fits: &[Vec<usize>], rows: usize) -> Vec<Option<usize>> {
    let mut taken: Vec<Option<usize>> = vec![None; rows];
    for wanted in 0..fits.len() {
        // Breadth first: by whom each row would be taken, if it came to that.
        let mut would: Vec<Option<usize>> = vec![None; rows];
        let mut asking = std::collections::VecDeque::from([wanted]);
        let mut free = None;
        'search: while let Some(asker) = asking.pop_front() {
            for &row in fits.get(asker).into_iter().flatten() {
                let Some(by) = would.get_mut(row).filter(|by| by.is_none()) else {
                    continue;
                };
                *by = Some(asker);
                match taken.get(row).copied().flatten() {
                    Some(holder) => asking.push_back(holder),
                    None => {
                        free = Some(row);
                        break 'search;
                    }
                }
            }
        }
        // Back along the path: each takes its row from who had it, who takes the one before.
        while let Some(row) = free {
            let Some(by) = would.get(row).copied().flatten() else {
                break;
            };
            free = (by != wanted)
                .then(|| taken.iter().position(|holder| *holder == Some(by)))
                .flatten();
            if let Some(holder) = taken.get_mut(row) {
                *holder = Some(by);
            }
        }
    }
    taken
}

impl Wanted {
    /// Whether a row has these fields so.
    #[must_use]
    pub fn fits(&self, row: &Row) -> bool {
        self.fields.iter().all(|(name, cell)| {
            let value = row.get(name).unwrap_or(&Value::Null);
            match (cell, value) {
                (Cell::Null, value) => value.is_null(),
                (Cell::Text(text), Value::Array(items)) => {
                    items.iter().any(|item| is_written(item, text))
                }
                (Cell::Text(text), value) => is_written(value, text),
                (Cell::List(texts), Value::Array(items)) => {
                    texts.len() == items.len()
                        && texts
                            .iter()
                            .zip(items)
                            .all(|(text, item)| is_written(item, text))
                }
                (Cell::List(_), _) => false,
            }
        })
    }
}

fn is_written(value: &Value, text: &str) -> bool {
    match value {
        Value::String(value) => value == text,
        Value::Number(number) => number.to_string() == text,
        Value::Bool(flag) => flag.to_string() == text,
        _ => false,
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, cell)) in self.fields.iter().enumerate() {
            let gap = if place == 0 { "" } else { ", " };
            write!(f, "{gap}{name}: ")?;
            match cell {
                Cell::Null => f.write_str("null")?,
                Cell::Text(text) => f.write_str(text)?,
                Cell::List(texts) => write!(f, "[{}]", texts.join(", "))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn row(value: Value) -> Row {
        match value {
            Value::Object(row) => row,
            _ => Row::new(),
        }
    }

    fn wanted(fields: &[(&str, &str)]) -> Wanted {
        let cell =
            |(name, text): &(&str, &str)| ((*name).to_owned(), Cell::Text((*text).to_owned()));
        Wanted {
            line: 1,
            fields: fields.iter().map(cell).collect(),
        }
    }

    fn trial(rows: Vec<Wanted>, not: Vec<Wanted>, exact: bool) -> Trial {
        Trial {
            place: (1, 1),
            capture: Capture::Inline(Arc::from([])),
            rows,
            not,
            exact,
        }
    }

    #[test]
    fn a_row_fits_where_the_fields_that_are_named_are_so() {
        let row = row(
            json!({"src": "192.0.2.1", "count": 3, "names": ["a", "b"], "window": null, "partial": true, "mean": 1.5}),
        );
        let fits = |name: &str, cell| {
            Wanted {
                line: 1,
                fields: vec![(name.to_owned(), cell)],
            }
            .fits(&row)
        };
        let text = |text: &str| Cell::Text(text.to_owned());
        let list = |texts: &[&str]| Cell::List(texts.iter().map(|&text| text.to_owned()).collect());
        assert!(fits("src", text("192.0.2.1")) && !fits("src", text("192.0.2.10")));
        assert!(fits("count", text("3")) && !fits("count", text("30")));
        assert!(fits("mean", text("1.5")) && fits("partial", text("true")));
        assert!(fits("names", text("b")) && !fits("names", text("c")));
        assert!(fits("names", list(&["a", "b"])));
        assert!(!fits("names", list(&["b", "a"])) && !fits("names", list(&["a"])));
        assert!(!fits("src", list(&["192.0.2.1"])));
        assert!(
            fits("window", Cell::Null) && fits("absent", Cell::Null) && !fits("src", Cell::Null)
        );
        assert!(!fits("absent", text("null")));
    }

    #[test]
    fn rows_that_are_missing_forbidden_or_too_many_are_told() {
        let rows = [
            row(json!({"src": "a", "query": "x"})),
            row(json!({"src": "a", "query": "y"})),
        ];
        let a = || wanted(&[("src", "a")]);
        assert!(trial(vec![a(), a()], vec![], true).judge(&rows).is_good());
        let three = trial(vec![a(), a(), a()], vec![], false);
        assert_eq!(three.judge(&rows).missing.len(), 1, "one row serves once");
        let one = trial(vec![wanted(&[("query", "y")])], vec![], true);
        assert_eq!(one.judge(&rows).surplus, [0]);
        let not = trial(vec![], vec![a(), wanted(&[("query", "z")])], false);
        let verdict = not.judge(&rows);
        assert_eq!(
            verdict
                .forbidden
                .iter()
                .map(|(_, place)| *place)
                .collect::<Vec<_>>(),
            [0, 1]
        );
        assert!(trial(vec![], vec![], true).judge(&[]).is_good());
    }

    #[test]
    fn who_is_content_with_any_row_leaves_the_only_one_that_another_can_have() {
        let rows = [
            row(json!({"src": "a", "query": "x"})),
            row(json!({"src": "a", "query": "y"})),
        ];
        let any = wanted(&[("src", "a")]);
        let x = wanted(&[("query", "x")]);
        assert!(trial(vec![any, x], vec![], true).judge(&rows).is_good());
    }

    /// The most that can be paired, by trying everything.
    fn best(fits: &[Vec<usize>], used: &mut Vec<usize>) -> usize {
        let Some((first, others)) = fits.split_first() else {
            return 0;
        };
        let mut most = best(others, used);
        for &row in first {
            if !used.contains(&row) {
                used.push(row);
                most = most.max(best(others, used).saturating_add(1));
                used.pop();
            }
        }
        most
    }

    proptest! {
        #[test]
        fn as_many_are_paired_as_can_be(fits in prop::collection::vec(prop::collection::vec(0usize..5, 0..4), 0..6)) {
            let taken = pair(&fits, 5);
            for (row, by) in taken.iter().enumerate() {
                prop_assert!(by.is_none_or(|by| fits[by].contains(&row)));
            }
            let mut holders: Vec<usize> = taken.iter().copied().flatten().collect();
            prop_assert_eq!(holders.len(), best(&fits, &mut Vec::new()));
            holders.sort_unstable();
            holders.dedup();
            prop_assert_eq!(holders.len(), taken.iter().flatten().count());
        }
    }
}
