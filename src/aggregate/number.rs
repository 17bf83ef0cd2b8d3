//! Numbers added up without an error: whole multiples of a billionth, whatever the order in which they come.
//!
//! A value is at most 2^94 billionths (a number of 64 bits), so its square is below 2^188, and the squares of 2^64 values are
//! below 2^252.

use std::fmt;

use ethnum::I256;
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

use super::key::Key;
use crate::event::{Value, billionths};

/// A decimal number, written with all its digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact {
    units: I256,
    /// How many of its digits stand behind the point.
    decimals: usize,
}

/// The decimals of a billionth.
const DECIMALS: usize = 9;

impl Exact {
    /// A number of billionths.
    #[must_use]
    pub fn of_billionths(billionths: i128) -> Self {
        Self {
            units: I256::from(billionths),
            decimals: DECIMALS,
        }
    }

    /// The number as a field's value; one that no such value can hold becomes its text.
    #[must_use]
    pub fn to_value(self) -> Key {
        let text = self.to_string();
        let whole = text.parse().map(Value::Number).ok();
        let decimal = || {
            let billionths = billionths(&text)?;
            i64::try_from(billionths).map(Value::Decimal).ok()
        };
        whole
            .or_else(decimal)
            .unwrap_or_else(|| Value::Text(text.into()))
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units.is_negative() { "-" } else { "" };
        let digits = self.units.unsigned_abs().to_string();
        let digits = format!("{digits:0>width$}", width = self.decimals + 1);
        let (whole, fraction) = digits
            .split_at_checked(digits.len() - self.decimals)
            .unwrap_or((&digits, ""));
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{sign}{whole}"),
            fraction => write!(f, "{sign}{whole}.{fraction}"),
        }
    }
}

impl Serialize for Exact {
    /// As JSON's number with all its digits: no float could hold them.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string())
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

/// What numbers amount to, in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// How many there are.
    pub count: u64,
    least: i128,
    greatest: i128,
    sum: i128,
    /// The sum of their squares, in billionths of billionths.
    squares: I256,
}

impl Default for Numbers {
    /// No number yet.
    fn default() -> Self {
        Self {
            count: 0,
            least: i128::MAX,
            greatest: i128::MIN,
            sum: 0,
            squares: I256::ZERO,
        }
    }
}

impl Numbers {
    /// Adds a number.
    pub(super) fn add(&mut self, billionths: i128) {
        let wide = I256::from(billionths);
        self.count = self.count.saturating_add(1);
        self.least = self.least.min(billionths);
        self.greatest = self.greatest.max(billionths);
        self.sum = self.sum.saturating_add(billionths);
        self.squares = self.squares.wrapping_add(wide.wrapping_mul(wide));
    }

    /// Adds what others amount to.
    pub(super) fn merge(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
        self.sum = self.sum.saturating_add(other.sum);
        self.squares = self.squares.wrapping_add(other.squares);
    }

    /// Smallest, largest, sum and sum of squares as text.
    pub(super) fn parts(&self) -> (String, String, String, String) {
        (
            self.least.to_string(),
            self.greatest.to_string(),
            self.sum.to_string(),
            self.squares.to_string(),
        )
    }

    /// The numbers of which these are the parts; nothing where they are no numbers.
    pub(super) fn from_parts(
        count: u64,
        least: &str,
        greatest: &str,
        sum: &str,
        squares: &str,
    ) -> Option<Self> {
        Some(Self {
            count,
            least: least.parse().ok()?,
            greatest: greatest.parse().ok()?,
            sum: sum.parse().ok()?,
            squares: squares.parse().ok()?,
        })
    }

    /// The smallest.
    #[must_use]
    pub fn least(&self) -> Option<i128> {
        (self.count > 0).then_some(self.least)
    }

    /// The largest.
    #[must_use]
    pub fn greatest(&self) -> Option<i128> {
        (self.count > 0).then_some(self.greatest)
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> Option<i128> {
        (self.count > 0).then_some(self.sum)
    }

    /// The sum of their squares.
    #[must_use]
    pub fn squares(&self) -> Exact {
        Exact {
            units: self.squares,
            decimals: 2 * DECIMALS,
        }
    }

    /// Their mean, to the nearest billionth.
    #[must_use]
    pub fn mean(&self) -> Option<i128> {
        let count = i128::from(self.count);
        let whole = self.sum.checked_div(count)?;
        let rest = self.sum.checked_rem(count)?;
        let up = rest.unsigned_abs().saturating_mul(2) >= count.unsigned_abs();
        Some(whole + i128::from(up) * self.sum.signum())
    }

    /// Their sample standard deviation (the squares of the differences from the mean, over one less than there are numbers);
    /// `None` for fewer than two. The differences are added up without an error; the root is taken of the nearest float.
    #[must_use]
    pub fn deviation(&self) -> Option<i128> {
        if self.count < 2 {
            return None;
        }
        let count = i128::from(self.count);
        let near = self.sum.div_euclid(count);
        let rest = self.sum.rem_euclid(count) as f64;
        // The squares of the differences from a number near the mean: what overflows in between comes back.
        let wide = |number: i128| I256::from(number);
        let product = |one: I256, other: I256| one.wrapping_mul(other);
        let squares = self
            .squares
            .wrapping_sub(product(wide(2), product(wide(near), wide(self.sum))))
            .wrapping_add(product(wide(count), product(wide(near), wide(near))));
        let count = self.count as f64;
        let variance = (squares.as_f64() - rest * rest / count).max(0.0) / (count - 1.0);
        Some(variance.sqrt().round() as i128)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BILLION: i128 = 1_000_000_000;

    fn numbers(list: &[i128]) -> Numbers {
        let mut numbers = Numbers::default();
        list.iter().for_each(|number| numbers.add(*number));
        numbers
    }

    fn text(billionths: Option<i128>) -> Option<String> {
        billionths.map(|number| Exact::of_billionths(number).to_string())
    }

    #[test]
    fn a_number_is_written_with_all_its_digits() {
        for (billionths, written) in [
            (0, "0"),
            (1, "0.000000001"),
            (-1_500_000_000, "-1.5"),
            (50 * BILLION, "50"),
            (i128::MAX, "170141183460469231731687303715.884105727"),
        ] {
            let number = Exact::of_billionths(billionths);
            assert_eq!(number.to_string(), written);
            assert_eq!(serde_json::to_string(&number).expect("JSON"), written);
        }
    }

    /// By hand: of 2, 4, 4, 4, 5, 5, 7, 9 the mean is 5, the squares of the differences add up to 32, and 32 / 7 has the root
    /// 2.138089935.
    #[test]
    fn mean_and_deviation_are_those_of_the_textbook() {
        let eight = numbers(&[2, 4, 4, 4, 5, 5, 7, 9].map(|number| number * BILLION));
        assert_eq!(text(eight.mean()).as_deref(), Some("5"));
        assert_eq!(text(eight.deviation()).as_deref(), Some("2.138089935"));
        assert_eq!(eight.squares().to_string(), "232");
        let none = numbers(&[]);
        assert_eq!((none.sum(), none.mean(), none.least()), (None, None, None));
        assert_eq!((none.greatest(), none.deviation()), (None, None));
        let one = numbers(&[7]);
        assert_eq!((one.mean(), one.deviation()), (Some(7), None));
        let thirds = numbers(&[BILLION, 0, 0]);
        assert_eq!(text(thirds.mean()).as_deref(), Some("0.333333333"));
        let minus = numbers(&[-BILLION, -BILLION, 0]);
        assert_eq!(text(minus.mean()).as_deref(), Some("-0.666666667"));
    }

    /// Where floats would say anything: large numbers that differ by little.
    #[test]
    fn nothing_is_lost_where_numbers_are_large_and_near_each_other() {
        let base = i128::from(u64::MAX) * BILLION;
        let three = numbers(&[base, base - BILLION, base - 2 * BILLION]);
        assert_eq!(text(three.deviation()).as_deref(), Some("1"));
        assert_eq!(text(three.mean()).as_deref(), Some("18446744073709551614"));
        assert_eq!(numbers(&[base; 1_000]).deviation(), Some(0));
        assert_eq!(
            numbers(&[base; 3]).squares().to_string(),
            "1020847100762815390279443357853047324675"
        );
    }

    proptest! {
        #[test]
        fn what_is_added_up_is_what_a_list_says(
            list in prop::collection::vec(prop_oneof![-3_000_000_000_i128..3_000_000_000, any::<u32>().prop_map(|number| i128::from(number) * BILLION)], 0..40),
        ) {
            let found = numbers(&list);
            prop_assert_eq!(found.least(), list.iter().min().copied());
            prop_assert_eq!(found.greatest(), list.iter().max().copied());
            prop_assert_eq!(found.sum(), (!list.is_empty()).then(|| list.iter().sum()));
            // Twice over the list with floats: the mean first.
            let floats: Vec<f64> = list.iter().map(|number| *number as f64).collect();
            let mean = floats.iter().sum::<f64>() / floats.len() as f64;
            let squares: f64 = floats.iter().map(|number| (number - mean).powi(2)).sum();
            let near = |found: i128, expected: f64| (found as f64 - expected).abs() <= 1.0 + expected.abs() * 1e-12;
            prop_assert_eq!(found.mean().is_some(), !list.is_empty());
            prop_assert!(found.mean().is_none_or(|found| near(found, mean)));
            prop_assert_eq!(found.deviation().is_some(), list.len() > 1);
            let expected = (squares / (floats.len() as f64 - 1.0)).sqrt();
            prop_assert!(found.deviation().is_none_or(|found| near(found, expected)));
            let mut other = list;
            other.reverse();
            prop_assert_eq!(numbers(&other), found);
        }
    }
}
