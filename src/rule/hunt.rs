//! A hunt: one rule made of names given on the command line or in a file.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::condition::Condition;
use super::mistake::{Mistake, Mistakes};
use super::pattern::{Patterns, Shape, check_domain, check_name_pattern};
use super::{Origin, Rule};
use crate::event::Field;

/// The largest list of names in bytes.
const LARGEST: u64 = 1 << 30;

impl Rule {
    /// The rule `hunt`, which matches the names: one without `*` itself and everything below it, one with `*` as a pattern.
    ///
    /// # Errors
    /// Says which name cannot be one, and why.
    pub fn hunt(names: &[String]) -> Result<Self, String> {
        let mut patterns = Patterns::new();
        for name in names {
            let (shape, text) = read_name(name)?;
            patterns.add(shape, text)?;
        }
        if patterns.is_empty() {
            return Err("no name to look for".to_owned());
        }
        Ok(Self {
            name: "hunt".to_owned(),
            description: Some("The names given on the command line.".to_owned()),
            condition: Condition::covered(Field::Query, patterns),
            by: super::default_by(),
            columns: super::default_columns(&super::default_by()),
            origin: Origin::CommandLine,
            ..Self::default()
        })
    }
}

fn read_name(name: &str) -> Result<(Shape, &str), String> {
    if name.contains('*') {
        check_name_pattern(name).map(|()| (Shape::Glob, name))
    } else {
        check_domain(name).map(|name| (Shape::Domain, name))
    }
}

/// Reads a list of names: one a line, `#` begins a comment, empty lines do not count.
///
/// # Errors
/// Every line that holds no name; a file that cannot be read, or is larger than 1 GiB.
pub fn read_names(path: &Path) -> Result<Vec<String>, Vec<Mistake>> {
    let mut mistakes = Mistakes::new(&path.display().to_string());
    let mut names = Vec::new();
    match std::fs::File::open(path) {
        Ok(file) => read_lines(
            BufReader::new(file.take(LARGEST.saturating_add(1))),
            &mut names,
            &mut mistakes,
        ),
        Err(error) => mistakes.add((0, 0), format!("cannot be opened: {error}")),
    }
    mistakes.or(names)
}

fn read_lines(mut file: impl BufRead, names: &mut Vec<String>, mistakes: &mut Mistakes) {
    let (mut line, mut number, mut total) = (Vec::new(), 0u32, 0u64);
    loop {
        line.clear();
        match file.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(length) => total = total.saturating_add(u64::try_from(length).unwrap_or(u64::MAX)),
            Err(error) => {
                mistakes.add((0, 0), format!("cannot be read: {error}"));
                return;
            }
        }
        number = number.saturating_add(1);
        if total > LARGEST {
            mistakes.add(
                (number, 0),
                format!("the list is larger than {LARGEST} bytes"),
            );
            return;
        }
        let Ok(text) = std::str::from_utf8(&line) else {
            mistakes.add((number, 0), "not UTF-8; expected one name a line");
            continue;
        };
        let text = if number == 1 {
            text.strip_prefix('\u{feff}').unwrap_or(text)
        } else {
            text
        };
        let text = text.split_once('#').map_or(text, |(name, _)| name).trim();
        if text.is_empty() {
            continue;
        }
        match read_name(text) {
            Ok((_, name)) => names.push(name.to_owned()),
            Err(message) => mistakes.add((number, 0), message),
        }
    }
    if names.is_empty() {
        mistakes.add((0, 0), "no name in it; expected one a line");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<String>, Vec<String>> {
        let (mut names, mut mistakes) = (Vec::new(), Mistakes::new("names"));
        read_lines(text, &mut names, &mut mistakes);
        mistakes
            .or(names)
            .map_err(|list| list.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn one_name_a_line_comments_and_windows_line_ends() {
        let names =
            read(b"\xef\xbb\xbf# a list\r\nEvil.example.\r\n\r\n  *.ngrok.io  # the old ones\n")
                .unwrap();
        assert_eq!(names, ["Evil.example", "*.ngrok.io"]);
    }

    #[test]
    fn every_bad_line_is_named() {
        let found =
            read(b"good.example\n0.0.0.0 bad.example\n\xff\nhttps://bad.example/\n").unwrap_err();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("names:2: "), "{found:?}");
        assert!(found[1].starts_with("names:3: not UTF-8"), "{found:?}");
        assert!(found[2].starts_with("names:4: "), "{found:?}");
        assert_eq!(
            read(b"# nothing\n").unwrap_err(),
            ["names: no name in it; expected one a line"]
        );
    }

    #[test]
    fn a_hunt_is_the_short_form() {
        let rule = Rule::hunt(&["ngrok.io".to_owned(), "*.ngrok-*".to_owned()]).unwrap();
        assert_eq!(rule.name, "hunt");
        assert_eq!(rule.by, [Field::Src, Field::Query]);
        assert_eq!(rule.condition.pattern_count(), 2);
        assert!(rule.enabled);
        assert!(Rule::hunt(&[]).is_err());
        assert!(Rule::hunt(&["a b".to_owned()]).is_err());
        assert!(
            read_names(Path::new("/nonexistent/names")).unwrap_err()[0]
                .to_string()
                .contains("cannot be opened")
        );
    }
}
