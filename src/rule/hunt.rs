//! A hunt: one rule made of names given on the command line or in a file.

use super::condition::Condition;
use super::names::read_name;
use super::pattern::Patterns;
use super::{Origin, Rule};
use crate::event::Field;

impl Rule {
    /// The rule `hunt`, which matches the names: one without `*` itself and everything below it, one with `*` as a pattern.
    /// So it does with those that were read of lists.
    ///
    /// # Errors
    /// Says which name cannot be one, and why.
    pub fn hunt(names: &[String], listed: Vec<Patterns>) -> Result<Self, String> {
        let mut patterns = Patterns::new();
        for name in names {
            let (shape, text) = read_name(name)?;
            patterns.add(shape, text)?;
        }
        let lists = std::iter::once(patterns).chain(listed);
        let lists: Vec<Condition> = lists
            .filter(|patterns| !patterns.is_empty())
            .map(|patterns| Condition::covered(Field::Query, patterns))
            .collect();
        if lists.is_empty() {
            return Err("no name to look for".to_owned());
        }
        Ok(Self {
            name: "hunt".to_owned(),
            description: Some("The names given on the command line.".to_owned()),
            condition: Condition::any_of(lists),
            by: super::default_by(),
            columns: super::default_columns(&super::default_by()),
            origin: Origin::CommandLine,
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hunt_is_the_short_form() {
        let rule =
            Rule::hunt(&["ngrok.io".to_owned(), "*.ngrok-*".to_owned()], Vec::new()).unwrap();
        assert_eq!(rule.name, "hunt");
        assert_eq!(rule.by, [Field::Src, Field::Query]);
        assert_eq!(rule.condition.pattern_count(), 2);
        assert!(rule.enabled);
        assert!(Rule::hunt(&[], Vec::new()).is_err());
        assert!(Rule::hunt(&["a b".to_owned()], Vec::new()).is_err());
    }
}
