//! What a group keeps for a column, beside the count and the first and last time that every group has.

use std::collections::BTreeSet;

use super::cardinality::Cardinality;
use super::figure::{DistinctValues, Figure};
use super::key::{EventValues, decode_all};
use super::number::Numbers;
use super::smallest::keep_smallest;
use crate::event::{Event, Field, Type};
use crate::rule::{Column, Function};

/// What is kept for one column. No more than the values of `values()` take where they lie; all else has memory of its own.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    /// The smallest distinct values, as encoded keys.
    Values(Distinct),
    /// The first of the values in the order of rows, likewise.
    Least(Option<Box<[u8]>>),
    /// The last.
    Greatest(Option<Box<[u8]>>),
    /// What numbers amount to.
    Numbers(Box<Numbers>),
    /// The distinct values, or a sketch of them.
    Cardinality(Box<Cardinality>),
}

/// The distinct values of a field, as encoded keys: the smallest, up to a bound, so that their choice does not depend on
/// the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Distinct {
    pub(super) values: BTreeSet<Box<[u8]>>,
    /// Whether there were more than the bound.
    pub(super) cut: bool,
}

impl Distinct {
    /// Adds an event's values, sorted; gives by how many bytes it grew.
    fn add<'a>(&mut self, values: impl ExactSizeIterator<Item = &'a [u8]>, most: usize) -> isize {
        let mut grown = 0_isize;
        self.cut |= values.len() > most;
        for value in values.take(most) {
            let (values, cut) = (&mut self.values, &mut self.cut);
            grown = grown.saturating_add(keep_smallest(values, value, most, cut));
        }
        grown
    }
}

/// What a function keeps of its field.
enum Keeping {
    Values,
    Least,
    Greatest,
    Numbers,
    Cardinality,
}

/// What a function keeps, and of which field; `None` where the group has it anyway.
fn keeping(function: Function) -> Option<(Keeping, Field)> {
    let numbers = |field: Field| field.value_type() == Type::Number;
    Some(match function {
        Function::Count | Function::MinTime | Function::MaxTime => return None,
        Function::Values(field) => (Keeping::Values, field),
        Function::Dc(field) => (Keeping::Cardinality, field),
        Function::Min(field) if !numbers(field) => (Keeping::Least, field),
        Function::Max(field) if !numbers(field) => (Keeping::Greatest, field),
        Function::Min(field)
        | Function::Max(field)
        | Function::Sum(field)
        | Function::Avg(field)
        | Function::Stdev(field) => (Keeping::Numbers, field),
    })
}

/// Puts the values of an event for each column that keeps something into `values`; `query` stands for the event's own.
pub(super) fn values_for(columns: &[Column], event: &Event, query: &str, values: &mut EventValues) {
    values.clear();
    for column in columns {
        match keeping(column.function) {
            None => {}
            Some((Keeping::Numbers, field)) => values.push_numbers(event, field, query),
            Some((_, field)) => values.push(event, field, query),
        }
    }
}

impl Kept {
    /// What is kept for a column before the first event.
    pub(super) fn new(column: &Column) -> Option<Self> {
        keeping(column.function).map(|(keeping, _)| match keeping {
            Keeping::Values => Self::Values(Distinct::default()),
            Keeping::Least => Self::Least(None),
            Keeping::Greatest => Self::Greatest(None),
            Keeping::Numbers => Self::Numbers(Box::default()),
            Keeping::Cardinality => Self::Cardinality(Box::new(Cardinality::new())),
        })
    }

    /// The memory that it has of its own in bytes, before the first event.
    pub(super) const fn bytes(&self) -> usize {
        match self {
            Self::Values(_) | Self::Least(_) | Self::Greatest(_) => 0,
            Self::Numbers(_) => size_of::<Numbers>(),
            Self::Cardinality(_) => size_of::<Cardinality>(),
        }
    }

    /// Adds an event's values, as [`values_for`] gives them, to at most `most` of `values()`; gives by how many bytes it
    /// grew.
    pub(super) fn add<'a>(
        &mut self,
        mut values: impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator,
        most: usize,
    ) -> isize {
        match self {
            Self::Values(distinct) => distinct.add(values, most),
            Self::Least(least) => values
                .next()
                .filter(|value| least.as_ref().is_none_or(|least| *value < &**least))
                .map_or(0, |value| replace(least, value)),
            Self::Greatest(greatest) => values
                .next_back()
                .filter(|value| {
                    let greatest = greatest.as_ref();
                    greatest.is_none_or(|greatest| *value > &**greatest)
                })
                .map_or(0, |value| replace(greatest, value)),
            Self::Numbers(numbers) => {
                values
                    .filter_map(|value| value.try_into().ok())
                    .for_each(|bytes| numbers.add(i128::from_ne_bytes(bytes)));
                0
            }
            Self::Cardinality(cardinality) => values.fold(0_isize, |grown, value| {
                grown.saturating_add(cardinality.add(value))
            }),
        }
    }

    /// Adds what another group kept of the same column.
    pub(super) fn merge(&mut self, other: Self, most: usize) {
        match (self, other) {
            (Self::Values(own), Self::Values(more)) => {
                own.cut |= more.cut;
                let Distinct { values, cut } = own;
                for value in &more.values {
                    keep_smallest(values, &**value, most, cut);
                }
            }
            (Self::Least(own), Self::Least(Some(more))) => {
                if own.as_ref().is_none_or(|own| more < *own) {
                    *own = Some(more);
                }
            }
            (Self::Greatest(own), Self::Greatest(Some(more))) => {
                if own.as_ref().is_none_or(|own| more > *own) {
                    *own = Some(more);
                }
            }
            (Self::Numbers(own), Self::Numbers(more)) => own.merge(*more),
            (Self::Cardinality(own), Self::Cardinality(more)) => own.merge(&more),
            // Nothing to add; kinds do not differ within a rule.
            (_, _) => {}
        }
    }

    /// What the column came to; of a partial row with the parts by which it adds up.
    pub(super) fn figure(&self, partial: bool) -> Figure {
        let key = |value: &Option<Box<[u8]>>| {
            let bytes = value.as_deref().unwrap_or_default();
            Figure::Extreme(decode_all(bytes).next())
        };
        match self {
            Self::Values(distinct) => Figure::Values(DistinctValues {
                values: distinct
                    .values
                    .iter()
                    .flat_map(|value| decode_all(value))
                    .collect(),
                cut: distinct.cut,
            }),
            Self::Least(value) | Self::Greatest(value) => key(value),
            Self::Numbers(numbers) => Figure::Numbers(**numbers),
            Self::Cardinality(cardinality) => Figure::Distinct(cardinality.count(partial)),
        }
    }
}

/// Keeps another value; gives by how many bytes that is more.
fn replace(kept: &mut Option<Box<[u8]>>, value: &[u8]) -> isize {
    let before = kept.as_ref().map_or(0, |kept| kept.len());
    *kept = Some(value.into());
    0_isize
        .saturating_add_unsigned(value.len())
        .saturating_sub_unsigned(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_that_most_rules_use_take_no_more_room_for_the_others() {
        assert_eq!(size_of::<Kept>(), size_of::<Distinct>());
        for function in [Function::Count, Function::MinTime, Function::MaxTime] {
            let name = String::new();
            assert!(Kept::new(&Column { name, function }).is_none());
        }
    }
}
