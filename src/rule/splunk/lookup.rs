//! `lookup NAME COLUMN AS FIELD OUTPUT COLUMN AS NAME`, and where its table is: `NAME.csv`, or a file that Splunk's
//! definition of the lookup (`NAME.yml`) names, beside the detection or in a folder `lookups` near it.

use std::path::{Path, PathBuf};

use super::reader::{Reader, Refusal, Taken};
use super::search::{Search, is_always_one};
use super::words::{Kind, Word};
use crate::event::{Field, Name};
use crate::rule::mistake::Mistakes;
use crate::rule::spelling::clip;
use crate::rule::yaml::{self, Node, Value};

/// The largest definition in bytes.
const LARGEST: u64 = 1 << 20;

/// Where tables are looked for, from the folder of the detection: beside it, and where `security_content` has them.
const FOLDERS: [&str; 4] = ["", "lookups", "../lookups", "../../lookups"];

/// A table and how Splunk's definition has it matched.
struct Definition {
    /// The path from the folder of the detection.
    file: PathBuf,
    /// The columns that are not matched exactly, and how they are.
    matchings: Vec<(String, &'static str)>,
    default: Option<String>,
    /// Whether the first line that matches is meant, and no other.
    is_first: bool,
}

impl<'w> Reader<'w> {
    /// The command after its first word.
    pub(super) fn lookup(&mut self, search: &mut Search, folder: &Path) -> Taken<()> {
        let start = self.place(self.at());
        while self.words.get(1).is_some_and(|word| word.text == "=")
            && self
                .peek()
                .is_some_and(|word| word.is_keyword("local") || word.is_keyword("update"))
        {
            // Where and when Splunk reads it.
            self.skip();
            self.skip();
            self.name("true or false")?;
        }
        let name = self.name("the name of a lookup")?;
        let definition = find(name, folder)?;
        let (mut matches, mut outputs) = (Vec::new(), Vec::new());
        let mut is_output = false;
        while let Some(word) = self.peek() {
            if word.is_sign(",") {
                self.skip();
                continue;
            }
            if word.is_keyword("OUTPUT") || word.is_keyword("OUTPUTNEW") {
                self.skip();
                is_output = true;
                continue;
            }
            let column = self.name("a column of the lookup")?;
            let ours = self.alias()?.unwrap_or(column);
            let place = self.place(ours.at);
            let column_node = Node::text(self.place(column.at), column.text.as_str());
            if is_output {
                if search.name_of(&ours.text).is_some() {
                    let wanted =
                        "a name that the rows do not have yet, as in OUTPUT COLUMN AS NAME";
                    return Err(Refusal::not_understood(ours, wanted));
                }
                search.by.push((Field::Added(Name::of(&ours.text)), place));
                outputs.push((ours.text.clone(), column_node));
                continue;
            }
            const WANTED: &str = "a field that the head groups by, and that a lookup has exactly one of, such as query: COLUMN AS query";
            let field = search
                .name_of(&ours.text)
                .and_then(|name| Field::from_name(&name));
            let Some(field) = field.filter(|field| is_always_one(*field)) else {
                return Err(Refusal::not_understood(ours, WANTED));
            };
            let matching = definition
                .matchings
                .iter()
                .find(|(name, _)| *name == column.text);
            let mut asked = vec![("column", column_node)];
            asked.extend(matching.map(|(_, matching)| ("as", Node::text(place, *matching))));
            matches.push((field.name(), Node::mapping(place, asked)));
        }
        if matches.is_empty() {
            return Err(self.ended(
                "a column of the lookup and the field that it is held against: COLUMN AS query",
            ));
        }
        if outputs.is_empty() {
            return Err(self.ended("OUTPUT and the columns that the rows get"));
        }
        if !definition.is_first {
            let note = format!(
                "of several lines of the lookup '{}' that match the first is taken",
                clip(&name.text)
            );
            self.notes.push((self.place(name.at), note));
        }
        let file = definition.file.display().to_string();
        let mut entries = vec![
            ("file", Node::text(self.place(name.at), file)),
            ("match", Node::mapping(start, matches)),
        ];
        if let Some(default) = &definition.default {
            let defaults = outputs.iter();
            let defaults = defaults
                .map(|(name, node)| (name.as_str(), Node::text(node.place, default.as_str())));
            entries.push(("default", Node::mapping(start, defaults)));
        }
        let outputs = outputs
            .iter()
            .map(|(name, node)| (name.as_str(), node.clone()));
        entries.push(("output", Node::mapping(start, outputs)));
        search.lookups.push(Node::mapping(start, entries));
        Ok(())
    }

    fn alias(&mut self) -> Taken<Option<&'w Word>> {
        if !self.peek().is_some_and(|word| word.is_keyword("as")) {
            return Ok(None);
        }
        self.skip();
        self.name("a name").map(Some)
    }
}

/// The table that a search calls so.
fn find(name: &Word, folder: &Path) -> Taken<Definition> {
    let is_plain = matches!(name.kind, Kind::Bare | Kind::Quoted)
        && !name.text.is_empty()
        && name
            .text
            .chars()
            .all(|letter| letter.is_alphanumeric() || "_-.".contains(letter))
        && !name.text.starts_with('.');
    if !is_plain {
        return Err(Refusal::not_understood(name, "the name of a lookup"));
    }
    let base = name.text.strip_suffix(".csv").unwrap_or(&name.text);
    for place in FOLDERS.map(Path::new) {
        for ending in ["yml", "yaml"] {
            let path = place.join(format!("{base}.{ending}"));
            if let Some(text) = read(&folder.join(&path)) {
                return defined(name, &text, place, base);
            }
        }
        let file = place.join(format!("{base}.csv"));
        if folder.join(&file).is_file() {
            return Ok(Definition {
                file,
                matchings: Vec::new(),
                default: None,
                is_first: false,
            });
        }
    }
    Err(Refusal {
        at: name.at,
        message: format!(
            "there is no lookup '{}' here; expected {base}.csv, and {base}.yml where Splunk has a definition of it, beside this file or in a folder `lookups` in or above its folder",
            clip(&name.text)
        ),
    })
}

fn read(path: &Path) -> Option<String> {
    let is_small = std::fs::metadata(path).is_ok_and(|it| it.is_file() && it.len() <= LARGEST);
    is_small
        .then(|| std::fs::read_to_string(path).ok())
        .flatten()
}

/// What a definition in the form of `security_content` says.
fn defined(name: &Word, text: &str, folder: &Path, base: &str) -> Taken<Definition> {
    let refuse = |why: &str| Refusal {
        at: name.at,
        message: format!(
            "the definition {base}.yml of the lookup '{}' {why}",
            clip(&name.text)
        ),
    };
    let mut mistakes = Mistakes::new(base);
    let documents = yaml::read(text, &mut mistakes);
    let [document] = documents.as_slice() else {
        return Err(refuse(
            "cannot be read; expected a YAML mapping with `name` and `match_type`",
        ));
    };
    let text_of = |key: &str| match document.root.get(key).map(|node| &node.value) {
        Some(Value::Scalar { text, .. }) => Some(text.as_str()),
        _ => None,
    };
    if text_of("collection").is_some() || text_of("lookup_type").is_some_and(|it| it != "csv") {
        return Err(refuse(
            "is of no CSV file; expected one whose lines are in a CSV file",
        ));
    }
    let file = text_of("filename").map_or_else(|| format!("{base}.csv"), str::to_owned);
    if file.contains(['/', '\\']) {
        return Err(refuse(
            "names a file elsewhere; expected `filename` beside it",
        ));
    }
    let mut matchings = Vec::new();
    for item in text_of("match_type").unwrap_or_default().split(',') {
        let item = item.trim();
        if item.is_empty() {
            continue;
        }
        let parts = item.strip_suffix(')').and_then(|item| item.split_once('('));
        let (kind, column) = parts.ok_or_else(|| refuse("has a match_type that was not understood; expected WILDCARD(column) or CIDR(column)"))?;
        let matching = match kind.trim().to_ascii_uppercase().as_str() {
            "WILDCARD" => "wildcard",
            "CIDR" => "cidr",
            "EXACT" => "exact",
            _ => {
                return Err(refuse(
                    "has a match_type that was not understood; expected WILDCARD(column) or CIDR(column)",
                ));
            }
        };
        matchings.push((column.trim().to_owned(), matching));
    }
    Ok(Definition {
        file: folder.join(file),
        matchings,
        default: text_of("default_match")
            .filter(|it| !it.is_empty())
            .map(str::to_owned),
        is_first: text_of("max_matches") == Some("1"),
    })
}
