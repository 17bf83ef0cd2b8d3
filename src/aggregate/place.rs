//! To which rows a hit adds, before they are rows: what each is found by.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap};

use super::key::{Key, decode_all};
use super::row::{Cell, RuleShape};
use super::{Aggregator, Tile};
use crate::event::{Event, Field};

/// How many values of one field, and windows, are named; and bytes of texts of one field, about.
const VALUES: usize = 100;
const TEXT: usize = 4096;

/// What the rows that a hit adds to have alone: their rule, the values of its `by` fields, their windows. There is one for each
/// combination of these.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceOfRows {
    rule: Arc<RuleShape>,
    keys: Vec<(Field, Vec<Key>)>,
    windows: Vec<Option<Tile>>,
    /// How many more values and windows there are than are named.
    pub cut: u64,
}

impl PlaceOfRows {
    /// Writes the entries that the rows have, under the same names; what differs among them is a list.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("rule", &*self.rule.name)?;
        for (field, keys) in &self.keys {
            let cells = keys.iter().map(|key| Cell::Value(key.clone()));
            one_or_list(map, field.name(), cells.collect())?;
        }
        let window = |tile: &Option<Tile>| Cell::Window(tile.map(|tile| (tile.start, tile.end)));
        one_or_list(map, "window", self.windows.iter().map(window).collect())?;
        if self.cut > 0 {
            map.serialize_entry("values_cut", &self.cut)?;
        }
        Ok(())
    }
}

/// Writes one value as it is, and none or several as a list.
fn one_or_list<M: SerializeMap>(
    map: &mut M,
    name: &str,
    values: Vec<impl Serialize>,
) -> Result<(), M::Error> {
    match values.as_slice() {
        [one] => map.serialize_entry(name, one),
        values => map.serialize_entry(name, values),
    }
}

impl Aggregator {
    /// To which rows a hit adds: `rule`, `event` and `query` are as in [`Aggregator::add`], `only` as the key in
    /// [`Aggregator::add_to_group`]. `None` where there is no such rule.
    pub fn rows_of(
        &mut self,
        only: Option<&[u8]>,
        rule: usize,
        event: &Event,
        query: &str,
    ) -> Option<PlaceOfRows> {
        let (shape, _) = self.tiles_of(rule, event)?;
        let mut cut = self.tiles.len().saturating_sub(VALUES) as u64;
        let windows = self.tiles.iter().copied().take(VALUES).collect();
        let keys = match only {
            Some(key) => {
                let values = decode_all(key).map(|value| vec![value]);
                shape.by.iter().copied().zip(values).collect()
            }
            None => {
                self.values_of(&shape, event, query);
                let mut keys = Vec::new();
                for (place, field) in shape.by.iter().enumerate() {
                    let all = self.by.values(place);
                    let mut room = TEXT;
                    let mut named = Vec::new();
                    for value in all {
                        match room.checked_sub(value.len()) {
                            Some(left) if named.len() < VALUES => room = left,
                            _ if named.is_empty() => {}
                            _ => {
                                cut += 1;
                                continue;
                            }
                        }
                        named.extend(decode_all(value).next());
                    }
                    keys.push((*field, named));
                }
                keys
            }
        };
        Some(PlaceOfRows {
            rule: shape,
            keys,
            windows,
            cut,
        })
    }
}
