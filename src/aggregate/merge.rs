//! Rows of many sensors become the rows of one: what a replay of everything that they saw would have given.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::group::Group;
use super::part::Part;
use super::row::{Row, RuleShape};
use crate::rule::Rule;
use crate::rule::column::MOST_VALUES;
use crate::time::Timestamp;

/// How many rows there may be.
const MOST_ROWS: usize = 1_000_000;
/// How many sensors a row names.
const MOST_NAMES: usize = 10;

/// Where a row stands in the order of rows: its window, its rule's place, its keys.
type Place = (Option<(i64, i64)>, usize, Box<[u8]>);

/// Adds up parts.
#[derive(Debug, Default)]
pub struct Merger {
    shapes: BTreeMap<Arc<str>, Arc<RuleShape>>,
    groups: BTreeMap<Place, (Group, BTreeSet<Arc<str>>)>,
    sensors: BTreeSet<Arc<str>>,
    /// Rules whose rows could not be added up, why, and how many.
    left_out: BTreeMap<String, (String, u64)>,
}

impl Merger {
    /// For the rows of these rules.
    #[must_use]
    pub fn new(rules: &[Rule]) -> Self {
        let shapes = rules.iter().enumerate().map(|(place, rule)| {
            let shape = RuleShape::of(rule, place);
            (Arc::clone(&shape.name), Arc::new(shape))
        });
        Self {
            shapes: shapes.collect(),
            ..Self::default()
        }
    }

    /// Adds what a sensor sent as a row's part. Each part has to be added once.
    ///
    /// # Errors
    /// There are too many rows.
    pub fn add(&mut self, rule: &str, sensor: &str, part: &str) -> Result<(), String> {
        let part: Result<Part, String> =
            serde_json::from_str(part).map_err(|error| format!("it is damaged: {error}"));
        let known = self.shapes.get(rule);
        let group = known
            .ok_or_else(|| "it is not loaded; --rules PATH loads it".to_owned())
            .and_then(|shape| {
                let part = part?;
                Ok((part.window, part.group(shape)?, shape.place))
            });
        let (window, group, place) = match group {
            Ok(found) => found,
            Err(why) => {
                let entry = self.left_out.entry(rule.to_owned()).or_insert((why, 0));
                entry.1 += 1;
                return Ok(());
            }
        };
        let sensor = self.sensors.get(sensor).cloned().unwrap_or_else(|| {
            let sensor: Arc<str> = sensor.into();
            self.sensors.insert(Arc::clone(&sensor));
            sensor
        });
        let place = (window, place, group.key.clone());
        let room = self.groups.len() < MOST_ROWS;
        match self.groups.entry(place) {
            Entry::Occupied(mut known) => {
                let (other, sensors) = known.get_mut();
                other.merge(group, MOST_VALUES);
                sensors.insert(sensor);
            }
            Entry::Vacant(place) if room => {
                place.insert((group, BTreeSet::from([sensor])));
            }
            Entry::Vacant(_) => {
                return Err(format!(
                    "there are more than {MOST_ROWS} rows: ask for less with --rule, --since and --until"
                ));
            }
        }
        Ok(())
    }

    /// The rules whose rows could not be added up: why, and how many they are.
    pub fn left_out(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let left_out = self.left_out.iter();
        left_out.map(|(rule, (why, count))| (rule.as_str(), why.as_str(), *count))
    }

    /// Gives the rows in their order, without those that their rule holds back; `partial` where a sensor's may be missing, and
    /// then none is held back.
    pub fn finish(self, partial: bool, emit: &mut dyn FnMut(Row)) {
        let shapes: BTreeMap<usize, Arc<RuleShape>> = self
            .shapes
            .into_values()
            .map(|shape| (shape.place, shape))
            .collect();
        for ((window, place, _), (group, sensors)) in self.groups {
            let Some(shape) = shapes.get(&place) else {
                continue;
            };
            let window = window
                .map(|(start, end)| (Timestamp::from_nanos(start), Timestamp::from_nanos(end)));
            let row = group.row(shape, window, &named(&sensors), partial);
            if row.passes() {
                emit(row);
            }
        }
    }
}

/// Several sensors as the name of one.
pub(super) fn named(sensors: &BTreeSet<Arc<str>>) -> Arc<str> {
    let first: Vec<&str> = sensors.iter().take(MOST_NAMES).map(|it| &**it).collect();
    match sensors.len().saturating_sub(first.len()) {
        0 => first.join(",").into(),
        more => format!("{} and {more} more", first.join(",")).into(),
    }
}
