//! Columns that a rule's lookup adds to an event: their names are the rule's own.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::Field;

/// The name of such a column. It is kept for as long as the program runs, so that a field stays a word that is copied:
/// rules name few, and the same ones when they are read anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(&'static str);

static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

impl Name {
    /// The name that is written so.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(text) {
            return Self(known);
        }
        let name: &'static str = Box::leak(text.to_owned().into_boxed_str());
        names.insert(name);
        Self(name)
    }

    /// How it is written.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.0
    }
}

/// One column that an event has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The field that it is.
    pub field: Field,
    /// Whether it is a list, also with one value or none.
    pub is_list: bool,
    /// Its values.
    pub values: Vec<Box<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once() {
        let (one, other) = (Name::of("owner"), Name::of(&String::from("owner")));
        assert_eq!(one, other);
        assert!(std::ptr::eq(one.text(), other.text()));
        assert_ne!(one, Name::of("tier"));
    }
}
