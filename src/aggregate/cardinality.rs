//! How many distinct values there are: a set while it is small, then a sketch of fixed size.
//!
//! The sketch is Apache DataSketches' HyperLogLog of 2^12 registers, whose standard error is 1.04 / 2^6, 1.6 %. Its hash is
//! fixed (MurmurHash3 of the value's text), so that sketches of several runs, and those of DataSketches in other languages,
//! merge. Neither the moment at which a set becomes a sketch nor the estimate depends on the order of the values.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use datasketches::hash::value::raw_bytes;
use datasketches::hll::{HllSketch, HllType, HllUnion};

use super::key::{Key, decode_all};
use super::smallest::bytes_in_tree;

/// A set holds that many values at most.
pub(super) const MOST_VALUES: usize = 1_000;

/// And that many bytes.
const MOST_BYTES: usize = 64 * 1024;

/// The sketch has two to this many registers.
const REGISTERS_LOG: u8 = 12;

/// What a sketch takes in memory, about: a byte for each register, and what goes with them.
const SKETCH_BYTES: usize = (1 << REGISTERS_LOG) + 256;

/// Distinct values, as encoded keys.
#[derive(Clone, Debug)]
pub(super) enum Cardinality {
    /// All of them, and their bytes.
    Exact(BTreeSet<Box<[u8]>>, usize),
    /// What remains of more.
    Estimated(HllSketch),
}

/// How many distinct values a column has.
#[derive(Clone, Debug, PartialEq)]
pub struct DistinctCount {
    /// The number.
    pub count: u64,
    /// Whether it is estimated.
    pub estimated: bool,
    /// Of a partial row what the number was made of, so that it can be merged.
    pub part: Option<DistinctPart>,
}

/// What a number of distinct values was made of.
#[derive(Clone, Debug, PartialEq)]
pub enum DistinctPart {
    /// The values, sorted as rows are.
    Values(Vec<Key>),
    /// A HyperLogLog sketch of Apache DataSketches as it serializes, in base64 (RFC 4648, section 4).
    Sketch(String),
}

impl Cardinality {
    /// No value yet.
    pub(super) const fn new() -> Self {
        Self::Exact(BTreeSet::new(), 0)
    }

    /// Adds a value; gives by how many bytes it grew.
    pub(super) fn add(&mut self, value: &[u8]) -> isize {
        match self {
            Self::Exact(values, bytes) => {
                if values.contains(value) {
                    return 0;
                }
                let more = bytes_in_tree(value.len());
                let before = *bytes;
                *bytes = before.saturating_add(more);
                values.insert(value.into());
                if (values.len() <= MOST_VALUES && *bytes <= MOST_BYTES)
                    || !self.estimate_from_here_on()
                {
                    return isize::try_from(more).unwrap_or(isize::MAX);
                }
                let signed = |bytes: usize| isize::try_from(bytes).unwrap_or(isize::MAX);
                signed(SKETCH_BYTES).saturating_sub(signed(before))
            }
            Self::Estimated(sketch) => {
                sketch_value(sketch, value);
                0
            }
        }
    }

    /// Turns a set into a sketch.
    fn estimate_from_here_on(&mut self) -> bool {
        let (Self::Exact(values, _), Ok(mut sketch)) =
            (&*self, HllSketch::new(REGISTERS_LOG, HllType::Hll8))
        else {
            debug_assert!(false, "so many registers can be had");
            return false;
        };
        values
            .iter()
            .for_each(|value| sketch_value(&mut sketch, value));
        *self = Self::Estimated(sketch);
        true
    }

    /// The values, where it has them all.
    pub(super) fn values(&self) -> Option<impl Iterator<Item = &[u8]>> {
        match self {
            Self::Exact(values, _) => Some(values.iter().map(|value| &**value)),
            Self::Estimated(_) => None,
        }
    }

    /// Its sketch in DataSketches' own form.
    pub(super) fn sketch(&self) -> Vec<u8> {
        match self {
            Self::Exact(..) => Vec::new(),
            Self::Estimated(sketch) => serialized(sketch),
        }
    }

    /// That of a sketch in DataSketches' own form; nothing where it is none, or of another size.
    pub(super) fn from_sketch(bytes: &[u8]) -> Option<Self> {
        HllSketch::deserialize(bytes)
            .ok()
            .filter(|sketch| sketch.lg_config_k() == REGISTERS_LOG)
            .map(Self::Estimated)
    }

    /// Adds the values of another.
    pub(super) fn merge(&mut self, other: &Self) {
        match other {
            Self::Exact(values, _) => {
                for value in values {
                    self.add(value);
                }
            }
            Self::Estimated(more) => {
                if matches!(self, Self::Exact(..)) && !self.estimate_from_here_on() {
                    return;
                }
                if let (Self::Estimated(own), Ok(mut union)) =
                    (&*self, HllUnion::new(REGISTERS_LOG))
                {
                    union.update(own);
                    union.update(more);
                    *self = Self::Estimated(union.to_sketch(HllType::Hll8));
                }
            }
        }
    }

    /// What it says; with what it was made of where that is asked.
    pub(super) fn count(&self, with_part: bool) -> DistinctCount {
        match self {
            Self::Exact(values, _) => DistinctCount {
                count: values.len() as u64,
                estimated: false,
                part: with_part.then(|| {
                    let keys = values.iter().flat_map(|value| decode_all(value));
                    DistinctPart::Values(keys.collect())
                }),
            },
            Self::Estimated(sketch) => DistinctCount {
                count: sketch.composite_estimate().round() as u64,
                estimated: true,
                part: with_part.then(|| DistinctPart::Sketch(BASE64.encode(&serialized(sketch)))),
            },
        }
    }
}

/// Adds a value by its text, as DataSketches in other languages hash a text.
fn sketch_value(sketch: &mut HllSketch, value: &[u8]) {
    for key in decode_all(value) {
        sketch.update(raw_bytes::from_str(&key.text()));
    }
}

/// The sketch in DataSketches' own form. One that is merged with itself holds the same, and nothing of the order in which
/// it came.
fn serialized(sketch: &HllSketch) -> Vec<u8> {
    let Ok(mut union) = HllUnion::new(REGISTERS_LOG) else {
        return sketch.serialize();
    };
    union.update(sketch);
    union.update(sketch);
    union.to_sketch(HllType::Hll6).serialize()
}
