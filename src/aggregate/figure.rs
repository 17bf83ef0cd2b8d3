//! What a column came to, and how it is written.

use std::borrow::Cow;

use super::cardinality::{DistinctCount, DistinctPart};
use super::key::Key;
use super::number::{Exact, Numbers};
use super::row::Cell;
use crate::event::Value;
use crate::rule::column::{COUNT, CUT, ESTIMATED, SKETCH, SQUARES, SUM, VALUES};
use crate::rule::{Column, Function};

/// The values of a `values()` column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DistinctValues {
    /// The distinct values, sorted as rows are.
    pub values: Vec<Key>,
    /// Whether there were more than the bound, so that only the smallest are here.
    pub cut: bool,
}

/// What a column came to, beside those that every row has anyway.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// Of `values()`.
    Values(DistinctValues),
    /// Of `min()` and `max()` where the field is not of numbers; `None` where no event had it.
    Extreme(Option<Key>),
    /// Of `min()`, `max()`, `sum()`, `avg()` and `stdev()` of a field of numbers.
    Numbers(Numbers),
    /// Of `dc()`.
    Distinct(DistinctCount),
}

impl Figure {
    /// The number in billionths, where it is one.
    pub(super) fn number(&self, function: Function) -> Option<i128> {
        match (self, function) {
            // Of those that were cut it is known that there is one more.
            (Self::Values(distinct), _) => {
                let count = distinct.values.len().saturating_add(distinct.cut.into());
                Some(billionths(count as u64))
            }
            (Self::Distinct(distinct), _) => Some(billionths(distinct.count)),
            (Self::Numbers(numbers), Function::Min(_)) => numbers.least(),
            (Self::Numbers(numbers), Function::Max(_)) => numbers.greatest(),
            (Self::Numbers(numbers), Function::Sum(_)) => numbers.sum(),
            (Self::Numbers(numbers), Function::Avg(_)) => numbers.mean(),
            (Self::Numbers(numbers), Function::Stdev(_)) => numbers.deviation(),
            (Self::Extreme(_) | Self::Numbers(_), _) => None,
        }
    }

    /// The column's cell.
    pub(super) fn cell(&self, function: Function) -> Cell<'_> {
        match self {
            Self::Values(distinct) => Cell::List(&distinct.values),
            Self::Extreme(Some(key)) => Cell::Value(key.clone()),
            Self::Extreme(None) => Cell::Absent,
            Self::Distinct(distinct) => Cell::Value(Value::Number(distinct.count)),
            Self::Numbers(_) => self.number(function).map_or(Cell::Absent, |number| {
                Cell::Number(Exact::of_billionths(number))
            }),
        }
    }

    /// Calls `take` with what stands beside the column's cell: what has to be said of it, and in a partial row its parts.
    pub(super) fn each_further<'a>(
        &'a self,
        column: &Column,
        partial: bool,
        take: &mut dyn FnMut(&str, Cell<'a>),
    ) {
        let mut further =
            |ending: &str, cell: Cell<'a>| take(&format!("{}{ending}", column.name), cell);
        match (self, column.function) {
            (Self::Values(distinct), _) if distinct.cut => {
                further(CUT, Cell::Value(Value::Flag(true)));
            }
            (Self::Distinct(distinct), _) => {
                if distinct.estimated {
                    further(ESTIMATED, Cell::Value(Value::Flag(true)));
                }
                match &distinct.part {
                    None => {}
                    Some(DistinctPart::Values(values)) => further(VALUES, Cell::List(values)),
                    Some(DistinctPart::Sketch(text)) => {
                        let text = Value::Text(Cow::Borrowed(text.as_str()));
                        further(SKETCH, Cell::Value(text));
                    }
                }
            }
            (Self::Numbers(numbers), Function::Avg(_) | Function::Stdev(_)) if partial => {
                let sum = Exact::of_billionths(numbers.sum().unwrap_or(0));
                further(COUNT, Cell::Value(Value::Number(numbers.count)));
                further(SUM, Cell::Number(sum));
                if matches!(column.function, Function::Stdev(_)) {
                    further(SQUARES, Cell::Number(numbers.squares()));
                }
            }
            _ => {}
        }
    }
}

/// A whole number in billionths.
pub(super) fn billionths(number: u64) -> i128 {
    i128::from(number).saturating_mul(1_000_000_000)
}
