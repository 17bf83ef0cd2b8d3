//! Groups as text, so that those of several sensors become one: what `count`, `min`, `dc` and the others need to add up, whatever
//! the function and without an error that the row itself would not have.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

use super::cardinality::Cardinality;
use super::group::{Context, Group};
use super::kept::{Distinct, Kept};
use super::number::Numbers;
use super::row::RuleShape;
use crate::event::{Outcome, Role};
use crate::time::Timestamp;

/// What a row was made of, so that it can be merged with others of the same rule, window and keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// By what the rule groups and what it computes; rows of another shape do not merge.
    shape: String,
    /// Start and end of the window, in nanoseconds since 1970.
    pub(super) window: Option<(i64, i64)>,
    /// The `by` fields' values, encoded.
    key: String,
    /// The exclusive-or of the events' ids, and the earliest event's.
    ids: String,
    earliest: String,
    count: u64,
    first: i64,
    last: i64,
    outcome: String,
    outcome_varies: bool,
    dest: IpAddr,
    dest_varies: bool,
    source: String,
    packet: u64,
    role: String,
    kept: Vec<KeptPart>,
}

/// What was kept of one column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeptPart {
    Values {
        values: Vec<String>,
        cut: bool,
    },
    Least(Option<String>),
    Greatest(Option<String>),
    Numbers {
        count: u64,
        least: String,
        greatest: String,
        sum: String,
        squares: String,
    },
    Exact(Vec<String>),
    Sketch(String),
}

/// The rule's `by` fields and columns in words.
fn shape_of(shape: &RuleShape) -> String {
    let by: Vec<&str> = shape.by.iter().map(|field| field.name()).collect();
    let columns: Vec<String> = shape
        .columns
        .iter()
        .map(|column| format!("{}={}", column.name, column.function))
        .collect();
    format!("by {}: {}", by.join(", "), columns.join(", "))
}

impl Part {
    /// What a group is made of.
    pub(super) fn of(
        group: &Group,
        shape: &RuleShape,
        window: Option<(Timestamp, Timestamp)>,
    ) -> Self {
        let context = &group.context;
        Self {
            shape: shape_of(shape),
            window: window.map(|(start, end)| (start.as_nanos(), end.as_nanos())),
            key: BASE64.encode(&group.key),
            ids: BASE64.encode(&group.ids),
            earliest: BASE64.encode(&group.earliest),
            count: group.count,
            first: group.first.as_nanos(),
            last: group.last.as_nanos(),
            outcome: context.outcome.name().to_owned(),
            outcome_varies: context.outcome_varies,
            dest: context.dest,
            dest_varies: context.dest_varies,
            source: context.source.to_string(),
            packet: context.packet,
            role: context.role.name().to_owned(),
            kept: group.kept.iter().map(KeptPart::of).collect(),
        }
    }

    /// The group again, of the rule of that shape.
    ///
    /// # Errors
    /// What is wrong: another shape, or not what [`Self::of`] made.
    pub(super) fn group(&self, shape: &RuleShape) -> Result<Group, String> {
        let own = shape_of(shape);
        if self.shape != own {
            return Err(format!(
                "it was made by a rule that says '{}', and this one says '{own}'",
                self.shape
            ));
        }
        let wrong = || "it is damaged".to_owned();
        let id = |text: &str| -> Option<[u8; 16]> { bytes(text)?.try_into().ok() };
        let key = bytes(&self.key).ok_or_else(wrong)?;
        if super::key::decode_all(&key).count() != shape.by.len() {
            return Err(wrong());
        }
        let empty = shape.columns.iter().filter_map(Kept::new);
        let kept: Option<Box<[Kept]>> = self.kept.iter().map(KeptPart::kept).collect();
        let kept = kept.filter(|kept| {
            empty
                .map(|it| std::mem::discriminant(&it))
                .eq(kept.iter().map(std::mem::discriminant))
        });
        Ok(Group {
            rule: u32::try_from(shape.place).map_err(|_| wrong())?,
            key: key.into(),
            count: self.count,
            first: Timestamp::from_nanos(self.first),
            last: Timestamp::from_nanos(self.last),
            ids: id(&self.ids).ok_or_else(wrong)?,
            earliest: id(&self.earliest).ok_or_else(wrong)?,
            context: Context {
                outcome: Outcome::from_name(&self.outcome).ok_or_else(wrong)?,
                outcome_varies: self.outcome_varies,
                dest: self.dest,
                dest_varies: self.dest_varies,
                source: self.source.as_str().into(),
                packet: self.packet,
                role: Role::from_name(&self.role).ok_or_else(wrong)?,
            },
            kept: kept.ok_or_else(wrong)?,
            bytes: 0,
        })
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok()
}

fn boxed(text: &str) -> Option<Box<[u8]>> {
    bytes(text).map(Into::into)
}

impl KeptPart {
    fn of(kept: &Kept) -> Self {
        let text = |value: &[u8]| BASE64.encode(value);
        match kept {
            Kept::Values(distinct) => Self::Values {
                values: distinct.values.iter().map(|it| text(it)).collect(),
                cut: distinct.cut,
            },
            Kept::Least(value) => Self::Least(value.as_deref().map(text)),
            Kept::Greatest(value) => Self::Greatest(value.as_deref().map(text)),
            Kept::Numbers(numbers) => {
                let (least, greatest, sum, squares) = numbers.parts();
                Self::Numbers {
                    count: numbers.count,
                    least,
                    greatest,
                    sum,
                    squares,
                }
            }
            Kept::Cardinality(cardinality) => match cardinality.values() {
                Some(values) => Self::Exact(values.map(|it| BASE64.encode(it)).collect()),
                None => Self::Sketch(BASE64.encode(&cardinality.sketch())),
            },
        }
    }

    fn kept(&self) -> Option<Kept> {
        Some(match self {
            Self::Values { values, cut } => Kept::Values(Distinct {
                values: values.iter().map(|it| boxed(it)).collect::<Option<_>>()?,
                cut: *cut,
            }),
            Self::Least(value) => Kept::Least(optional(value)?),
            Self::Greatest(value) => Kept::Greatest(optional(value)?),
            Self::Numbers {
                count,
                least,
                greatest,
                sum,
                squares,
            } => Kept::Numbers(Box::new(Numbers::from_parts(
                *count, least, greatest, sum, squares,
            )?)),
            Self::Exact(values) => {
                let mut cardinality = Cardinality::new();
                for value in values {
                    cardinality.add(&bytes(value)?);
                }
                Kept::Cardinality(Box::new(cardinality))
            }
            Self::Sketch(text) => {
                Kept::Cardinality(Box::new(Cardinality::from_sketch(&bytes(text)?)?))
            }
        })
    }
}

/// A value, or none; nothing where it is damaged.
fn optional(value: &Option<String>) -> Option<Option<Box<[u8]>>> {
    match value {
        None => Some(None),
        Some(text) => boxed(text).map(Some),
    }
}
