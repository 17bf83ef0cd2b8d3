//! The columns of a rule's rows, and what they must come to for a row to be written.

use std::fmt;

use super::condition::Relation;
use crate::event::{Field, Type};

/// What a row computes over the events of its group. Of a field with several values each value counts; an event without
/// the field adds nothing. In a field of numbers only numbers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// The number of events.
    Count,
    /// The earliest `_time`.
    MinTime,
    /// The latest `_time`.
    MaxTime,
    /// The smallest value: numbers as numbers, all else by the order of rows.
    Min(Field),
    /// The largest value, likewise.
    Max(Field),
    /// The sum of a field of numbers.
    Sum(Field),
    /// The mean of a field of numbers.
    Avg(Field),
    /// The sample standard deviation of a field of numbers: of one value there is none.
    Stdev(Field),
    /// How many distinct values a field has; beyond a bound estimated, which is said.
    Dc(Field),
    /// The distinct values of a field, sorted (bounded; a cut is said).
    Values(Field),
}

/// How many distinct values a [`Function::Values`] column holds: the smallest.
pub const MOST_VALUES: usize = 100;

impl Function {
    /// Whether a column of it can be held against a number; of [`Function::Values`] it is how many values there are.
    #[must_use]
    pub fn is_number(self) -> bool {
        match self {
            Self::MinTime | Self::MaxTime => false,
            Self::Min(field) | Self::Max(field) => field.value_type() == Type::Number,
            Self::Count
            | Self::Sum(_)
            | Self::Avg(_)
            | Self::Stdev(_)
            | Self::Dc(_)
            | Self::Values(_) => true,
        }
    }
}

/// One column of a rule's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name in the row.
    pub name: String,
    /// How it is computed.
    pub function: Function,
}

impl Column {
    /// What a row may have beside the column, each named after it, in the order in which it is written: that values were
    /// cut, that a number is estimated, and the parts by which partial rows add up.
    #[must_use]
    pub fn further_names(&self) -> Vec<String> {
        let endings: &[&str] = match self.function {
            Function::Values(_) => &[CUT],
            Function::Dc(_) => &[ESTIMATED, VALUES, SKETCH],
            Function::Avg(_) => &[COUNT, SUM],
            Function::Stdev(_) => &[COUNT, SUM, SQUARES],
            Function::Count
            | Function::MinTime
            | Function::MaxTime
            | Function::Min(_)
            | Function::Max(_)
            | Function::Sum(_) => &[],
        };
        let named = |ending: &&str| format!("{}{ending}", self.name);
        endings.iter().map(named).collect()
    }
}

/// After a column's name: `true` where there were more values than are listed.
pub const CUT: &str = "_cut";
/// `true` where the number is estimated.
pub const ESTIMATED: &str = "_estimated";
/// Of a partial row the distinct values that were counted.
pub const VALUES: &str = "_values";
/// Of a partial row the sketch that its estimate comes from.
pub const SKETCH: &str = "_sketch";
/// Of a partial row how many values there were.
pub const COUNT: &str = "_count";
/// Of a partial row their sum.
pub const SUM: &str = "_sum";
/// Of a partial row the sum of their squares.
pub const SQUARES: &str = "_sumsq";

impl fmt::Display for Function {
    /// As a rule file has it: `dc(query)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, field) = match self {
            Self::Count => return f.write_str("count"),
            Self::MinTime => ("min", Field::Time),
            Self::MaxTime => ("max", Field::Time),
            Self::Min(field) => ("min", *field),
            Self::Max(field) => ("max", *field),
            Self::Sum(field) => ("sum", *field),
            Self::Avg(field) => ("avg", *field),
            Self::Stdev(field) => ("stdev", *field),
            Self::Dc(field) => ("dc", *field),
            Self::Values(field) => ("values", *field),
        };
        write!(f, "{name}({})", field.name())
    }
}

/// What a column must come to for a row to be written. A column without a value passes none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// The column's place among the rule's.
    pub column: usize,
    /// Whether it must not relate so.
    pub negated: bool,
    /// How it must relate to the number.
    pub relation: Relation,
    /// The number, in billionths.
    pub number: i128,
}

/// The columns of a rule that names none: count, first and last time, and the answers where they are not a group.
pub(super) fn default_columns(by: &[Field]) -> Vec<Column> {
    let column = |name: &str, function| Column {
        name: name.to_owned(),
        function,
    };
    let mut columns = vec![
        column("count", Function::Count),
        column("firstTime", Function::MinTime),
        column("lastTime", Function::MaxTime),
    ];
    if !by.contains(&Field::Answer) {
        columns.push(column("answer", Function::Values(Field::Answer)));
    }
    columns
}
