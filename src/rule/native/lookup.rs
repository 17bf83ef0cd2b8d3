//! What a rule looks up: `lookup`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::aggregate::ROW_KEYS;
use super::condition::{JOINTS, OPERATORS};
use super::reader::{Entry, Reader};
use crate::event::{Field, Name, Type};
use crate::rule::lookup::{Lookup, Match, Matching, Output, Table, Wanted, Wrong, read};
use crate::rule::spelling::{clip, expected};
use crate::rule::yaml::{Node, Place, Value};

const KEYS: [&str; 6] = ["file", "match", "output", "matches", "default", "required"];

/// The fields whose values are names, `answer` among them.
const OF_NAMES: [Field; 8] = [
    Field::Query,
    Field::QuerySpelled,
    Field::OtherQuestions,
    Field::Answer,
    Field::Tld,
    Field::RegisteredDomain,
    Field::Subdomain,
    Field::ParentDomain,
];

/// The most lookups of one rule.
const MOST: usize = 20;

/// A table that was read already, for another rule of the file.
pub(super) struct KnownTable {
    path: PathBuf,
    wanted: Vec<Wanted<'static>>,
    table: Arc<Table>,
}

/// A column as a rule names it, and where.
struct Named<T> {
    place: Place,
    of: T,
}

impl Reader<'_> {
    pub(super) fn lookups(&mut self, node: &Node) -> Vec<Arc<Lookup>> {
        let items = self.items(node, "lookup");
        if items.len() > MOST {
            let message = format!("{} lookups; expected at most {MOST}", items.len());
            self.mistakes.add(node.place, message);
            return Vec::new();
        }
        let mut lookups: Vec<Arc<Lookup>> = Vec::new();
        for item in items {
            if let Some(lookup) = self.lookup(item) {
                lookups.push(Arc::new(lookup));
            }
        }
        lookups
    }

    fn lookup(&mut self, node: &Node) -> Option<Lookup> {
        let entries = self.mapping(node, "a lookup", &KEYS)?;
        let find = |key: &str| entries.iter().find(|entry| entry.key == key);
        let required = find("required")
            .and_then(|entry| self.yes_or_no(entry.node, "required"))
            .unwrap_or(false);
        let all = find("matches")
            .and_then(|entry| self.one_of(entry.node, "matches", &["first", "all"]))
            == Some("all");
        let matches = find("match").map_or_else(Vec::new, |entry| self.matches(entry.node));
        let mut outputs = find("output").map_or_else(Vec::new, |entry| self.outputs(entry.node));
        if let Some(entry) = find("default") {
            self.defaults(entry.node, &mut outputs);
        }
        for output in &outputs {
            if !self.added.contains(&output.of.field) {
                self.added.push(output.of.field);
            }
        }
        for missing in ["file", "match"] {
            if find(missing).is_none() {
                let message = format!("the lookup has no `{missing}`; expected it too");
                self.mistakes.add(node.place, message);
            }
        }
        if find("output").is_none() && !required {
            self.mistakes.add(
                node.place,
                "the lookup changes nothing; expected `output`, the columns that an event gets, or `required: true`",
            );
        }
        let file = find("file")?;
        let name = self.text(file.node, "file")?;
        let table = self.table(&name, file.node.place, &matches, &outputs)?;
        Some(Lookup {
            file: name,
            matches: matches.into_iter().map(|it| it.of).collect(),
            outputs: outputs.into_iter().map(|it| it.of).collect(),
            all,
            required,
            table,
        })
    }

    /// Reads the file, which is looked for in the folder of the rule's.
    fn table(
        &mut self,
        name: &str,
        place: Place,
        matches: &[Named<Match>],
        outputs: &[Named<Output>],
    ) -> Option<Arc<Table>> {
        let folder = Path::new(self.mistakes.file().as_ref()).parent();
        let path = folder.unwrap_or(Path::new("")).join(name);
        let file = match File::open(&path) {
            Ok(file) if !path.is_dir() => file,
            Ok(_) => {
                let message = format!(
                    "the lookup's file {} is a folder; expected a CSV file",
                    path.display()
                );
                self.mistakes.add(place, message);
                return None;
            }
            Err(error) => {
                let message = format!(
                    "the lookup's file {} cannot be read: {error}; expected a CSV file, its path from the folder of this file",
                    path.display()
                );
                self.mistakes.add(place, message);
                return None;
            }
        };
        let matched = matches.iter().map(|it| Wanted {
            column: it.of.column.as_str().into(),
            matching: Some((it.of.matching, OF_NAMES.contains(&it.of.field))),
        });
        let given = outputs.iter().map(|it| Wanted {
            column: it.of.column.as_str().into(),
            matching: None,
        });
        let wanted: Vec<Wanted<'_>> = matched.chain(given).collect();
        let known = self
            .tables
            .iter()
            .find(|known| known.path == path && known.wanted == wanted);
        if let Some(known) = known {
            return Some(Arc::clone(&known.table));
        }
        let found = read(std::io::BufReader::new(file), &wanted);
        if matches.is_empty() {
            // Of that there is a mistake already.
            return None;
        }
        let wrong = match found {
            Ok(table) => {
                let table = Arc::new(table);
                self.tables.push(KnownTable {
                    wanted: wanted.into_iter().map(Wanted::into_owned).collect(),
                    path,
                    table: Arc::clone(&table),
                });
                return Some(table);
            }
            Err(wrong) => wrong,
        };
        let places: Vec<Place> = matches
            .iter()
            .map(|it| it.place)
            .chain(outputs.iter().map(|it| it.place))
            .collect();
        let csv: Arc<str> = path.display().to_string().into();
        for wrong in wrong {
            match wrong {
                Wrong::Line(line, message) => {
                    let line = u32::try_from(line).unwrap_or(u32::MAX);
                    self.mistakes.add_in(&csv, line, message);
                }
                Wrong::Wanted(number, message) => {
                    let place = places.get(number).copied().unwrap_or(place);
                    self.mistakes.add(place, format!("{}: {message}", csv));
                }
            }
        }
        None
    }

    fn matches(&mut self, node: &Node) -> Vec<Named<Match>> {
        let Some(entries) = self.some_entries(
            node,
            "match",
            "a mapping from fields to columns",
            "a field and the column that it is held against",
        ) else {
            return Vec::new();
        };
        let mut matches = Vec::new();
        for (name, place, node) in entries {
            // One that another lookup adds is not there yet.
            let added = std::mem::take(&mut self.added);
            let field = self.field(place, name, "match");
            self.added = added;
            let (mut column, mut column_place, mut matching) = (None, node.place, Matching::Exact);
            if let Value::Mapping(_) = &node.value {
                let what = format!("what `{}` is held against", clip(name));
                let asked = self
                    .mapping(node, &what, &["column", "as"])
                    .unwrap_or_default();
                for Entry { key, node, .. } in &asked {
                    if *key == "column" {
                        column = self.text(node, "column");
                        column_place = node.place;
                        continue;
                    }
                    let words = Matching::ALL.map(Matching::name);
                    let word = self.one_of(node, "as", &words);
                    let found = Matching::ALL.into_iter().find(|it| Some(it.name()) == word);
                    matching = found.unwrap_or(Matching::Exact);
                }
                if !asked.iter().any(|entry| entry.key == "column") {
                    let message = format!("{what} has no `column`; expected the name of one");
                    self.mistakes.add(node.place, message);
                }
            } else {
                column = self.text(node, "the column");
            }
            if let Some(field) = field {
                self.fits(field, matching, place);
            }
            if let (Some(field), Some(column)) = (field, column) {
                matches.push(Named {
                    place: column_place,
                    of: Match {
                        field,
                        column,
                        matching,
                    },
                });
            }
        }
        matches
    }

    /// Names are below names, and addresses in networks; nothing else is.
    fn fits(&mut self, field: Field, matching: Matching, place: Place) {
        let (fits, wanted) = match matching {
            Matching::Exact | Matching::Wildcard => (true, ""),
            Matching::Suffix => (
                OF_NAMES.contains(&field),
                "`query` or another field of names",
            ),
            Matching::Cidr => (
                field.value_type() == Type::Address,
                "`src` or another field of addresses",
            ),
        };
        if !fits {
            let message = format!(
                "`{}` cannot be held against a column as {}; expected that on {wanted}",
                field.name(),
                matching.name()
            );
            self.mistakes.add(place, message);
        }
    }

    /// A list of columns, or a mapping from what the event gets to columns.
    fn outputs(&mut self, node: &Node) -> Vec<Named<Output>> {
        let mut named: Vec<(String, Place, String)> = Vec::new();
        if let Value::Mapping(_) = &node.value {
            for (name, place, node) in self.entries(node, "output", "columns").unwrap_or_default() {
                if let Some(column) = self.text(node, "the column") {
                    named.push((name.to_owned(), place, column));
                }
            }
        } else {
            for item in self.items(node, "output") {
                if let Some(column) = self.text(item, "a column of output") {
                    named.push((column.clone(), item.place, column));
                }
            }
        }
        let mut outputs: Vec<Named<Output>> = Vec::new();
        for (name, place, column) in named {
            let word = name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && name
                    .bytes()
                    .next()
                    .is_some_and(|first| !first.is_ascii_digit())
                && name.len() <= 64;
            let is_taken = Field::from_name(&name).is_some()
                || ROW_KEYS.contains(&name.as_str())
                || JOINTS.contains(&name.as_str())
                || OPERATORS.contains(&name.as_str());
            let remedy = "expected another, as in output: { its_name: COLUMN }";
            if !word {
                let message = format!(
                    "'{}' cannot name what an event gets: letters, digits and _, at most 64; {remedy}",
                    clip(&name)
                );
                self.mistakes.add(place, message);
                continue;
            }
            let field = Field::Added(Name::of(&name));
            if is_taken {
                let message = format!("`{name}` is the name of something else already; {remedy}");
                self.mistakes.add(place, message);
            } else if self.added.contains(&field) || outputs.iter().any(|it| it.of.field == field) {
                let message = format!("`{name}` a second time in what lookups give; {remedy}");
                self.mistakes.add(place, message);
            }
            outputs.push(Named {
                place,
                of: Output {
                    field,
                    column,
                    default: None,
                },
            });
        }
        outputs
    }

    fn defaults(&mut self, node: &Node, outputs: &mut [Named<Output>]) {
        let wanted = "a mapping from what an event gets to what it is where no line matches";
        for (name, place, node) in self.entries(node, "default", wanted).unwrap_or_default() {
            let found = outputs.iter().position(|it| it.of.field.name() == name);
            let Value::Scalar { text, .. } = &node.value else {
                self.wrong(node, "a default", "text");
                continue;
            };
            match found.and_then(|found| outputs.get_mut(found)) {
                Some(output) => output.of.default = Some(text.clone()),
                None => {
                    let names: Vec<&str> = outputs.iter().map(|it| it.of.field.name()).collect();
                    let message = format!(
                        "`{}` in default is nothing that the lookup gives; {}",
                        clip(name),
                        expected(name, &names)
                    );
                    self.mistakes.add(place, message);
                }
            }
        }
    }
}
