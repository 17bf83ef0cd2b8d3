//! YAML with the place of every node, read so that a mistake spoils only its own document (sole user of `saphyr-parser`).
//!
//! Bounded in depth and nodes. Aliases and tags are refused: no rule needs them, and aliases let a small file stand for a
//! huge one.

mod write;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

pub(super) use write::write;

use super::mistake::Mistakes;

/// Collections inside collections; the deepest rule of the packs has four.
const DEEPEST: usize = 64;

/// Nodes in one document.
const NODES: usize = 200_000;

/// A line and a column, both from 1, the column in characters.
pub(super) type Place = (u32, u32);

/// A node and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing, as it was written: empty, `~`, `null`.
    Null(String),
    Scalar {
        text: String,
        /// Neither quoted nor a block: `10`, `true` could be meant as a number or as yes or no.
        plain: bool,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    /// Text, whatever it looks like.
    pub(super) fn text(place: Place, text: impl Into<String>) -> Self {
        let value = Value::Scalar {
            text: text.into(),
            plain: false,
        };
        Self { place, value }
    }

    /// A number, `true` or `false`.
    pub(super) fn plain(place: Place, text: impl ToString) -> Self {
        let value = Value::Scalar {
            text: text.to_string(),
            plain: true,
        };
        Self { place, value }
    }

    /// A list.
    pub(super) const fn list(place: Place, items: Vec<Self>) -> Self {
        let value = Value::Sequence(items);
        Self { place, value }
    }

    /// A mapping; each key stands where its value does.
    pub(super) fn mapping<'k>(
        place: Place,
        entries: impl IntoIterator<Item = (&'k str, Self)>,
    ) -> Self {
        let entries = entries
            .into_iter()
            .map(|(key, node)| (Self::text(node.place, key), node))
            .collect();
        let value = Value::Mapping(entries);
        Self { place, value }
    }

    /// The value of a key of a mapping, where it has one.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Mapping(entries) = &self.value else {
            return None;
        };
        let is_key = |node: &Self| matches!(&node.value, Value::Scalar { text, .. } if text == key);
        entries
            .iter()
            .find(|(node, _)| is_key(node))
            .map(|(_, node)| node)
    }

    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null(_) => "nothing",
            Value::Scalar { text, plain: true } => plain_kind(text),
            Value::Scalar { .. } => "text",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// What YAML's core schema (YAML 1.2.2, section 10.3.2) takes a plain scalar for.
fn plain_kind(text: &str) -> &'static str {
    match text {
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => "true or false",
        _ if text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))
            && text.parse::<f64>().is_ok() =>
        {
            "a number"
        }
        _ => "text",
    }
}

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document<'a> {
    /// Its lines, with the comments before it.
    pub(super) text: &'a str,
    /// The number of the first of them in the file.
    pub(super) first_line: u32,
    /// What it holds.
    pub(super) root: Node,
    /// It ends where its syntax went wrong: what is missing may stand behind that.
    pub(super) cut: bool,
}

/// Reads the documents of a file; those without content are left out.
pub(super) fn read<'a>(text: &'a str, mistakes: &mut Mistakes) -> Vec<Document<'a>> {
    let mut documents = Vec::new();
    for (first_line, text) in split(text) {
        read_document(first_line, text, mistakes, &mut documents);
    }
    documents
}

/// Splits at the lines that begin with `---`, which begins a document wherever it stands (YAML 1.2.2, section 9.1.2); gives
/// the number of each part's first line.
fn split(text: &str) -> Vec<(u32, &str)> {
    let mut parts = Vec::new();
    let (mut rest, mut first_line) = (text, 1u32);
    while !rest.is_empty() {
        let (mut length, mut lines) = (0usize, 0u32);
        for line in rest.split_inclusive('\n') {
            let marks = line
                .strip_prefix("---")
                .is_some_and(|after| after.is_empty() || after.starts_with(char::is_whitespace));
            if marks && lines > 0 {
                break;
            }
            length = length.saturating_add(line.len());
            lines = lines.saturating_add(1);
        }
        let Some((part, after)) = rest.split_at_checked(length) else {
            break;
        };
        parts.push((first_line, part));
        rest = after;
        first_line = first_line.saturating_add(lines);
    }
    parts
}

/// A collection that is not closed yet.
struct Open {
    node: Node,
    key: Option<Node>,
}

fn read_document<'a>(
    first_line: u32,
    text: &'a str,
    mistakes: &mut Mistakes,
    documents: &mut Vec<Document<'a>>,
) {
    let place = |marker: Marker| -> Place {
        let line = u32::try_from(marker.line()).unwrap_or(u32::MAX);
        let column = u32::try_from(marker.col()).unwrap_or(u32::MAX);
        (
            first_line.saturating_add(line).saturating_sub(1),
            column.saturating_add(1),
        )
    };
    let mut open: Vec<Open> = Vec::new();
    let mut nodes = 0usize;
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                mistakes.add(place(*error.marker()), syntax(error.info()));
                break;
            }
        };
        let at = place(span.start);
        nodes = nodes.saturating_add(1);
        if nodes > NODES {
            mistakes.add(at, format!("more than {NODES} nodes in one document"));
            break;
        }
        if let Event::Scalar(_, _, _, Some(tag))
        | Event::SequenceStart(_, Some(tag))
        | Event::MappingStart(_, Some(tag)) = &event
        {
            mistakes.add(at, format!("the tag {tag} has no meaning in a rule; expected the value alone, in quotes where it begins with !"));
        }
        let done = match event {
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                let value = match text.as_ref() {
                    "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null(text.into_owned()),
                    _ => Value::Scalar {
                        text: text.into_owned(),
                        plain,
                    },
                };
                Some(Node { place: at, value })
            }
            Event::Alias(_) => {
                mistakes.add(at, ALIAS);
                Some(Node {
                    place: at,
                    value: Value::Scalar {
                        text: "*".to_owned(),
                        plain: false,
                    },
                })
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() >= DEEPEST {
                    mistakes.add(
                        at,
                        format!("more than {DEEPEST} collections inside each other"),
                    );
                    break;
                }
                let value = if matches!(event, Event::SequenceStart(..)) {
                    Value::Sequence(Vec::new())
                } else {
                    Value::Mapping(Vec::new())
                };
                open.push(Open {
                    node: Node { place: at, value },
                    key: None,
                });
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|open| open.node),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => None,
        };
        if let Some(node) = done
            && let Some(root) = put(&mut open, node)
        {
            documents.push(Document {
                text,
                first_line,
                root,
                cut: false,
            });
        }
    }
    // What was open when the syntax went wrong is closed, so that the mistakes before it are found too.
    while let Some(last) = open.pop() {
        if let Some(root) = put(&mut open, last.node) {
            documents.push(Document {
                text,
                first_line,
                root,
                cut: true,
            });
        }
    }
}

/// Puts a node into the collection that is open; gives it back where none is.
fn put(open: &mut [Open], node: Node) -> Option<Node> {
    let Some(Open {
        node: collection,
        key,
    }) = open.last_mut()
    else {
        return (!matches!(node.value, Value::Null(_))).then_some(node);
    };
    match (&mut collection.value, key.take()) {
        (Value::Sequence(items), _) => items.push(node),
        (Value::Mapping(entries), Some(key)) => entries.push((key, node)),
        (_, None) => *key = Some(node),
        (_, Some(_)) => {}
    }
    None
}

const ALIAS: &str = "an unquoted * begins an alias in YAML, and aliases are refused; expected the pattern in quotes: \"*.example.com\"";

/// The parser's words, with the remedy for the mistakes that rules invite.
fn syntax(info: &str) -> String {
    if info.contains("anchor") || info.contains("alias") {
        ALIAS.to_owned()
    } else if info.contains("tab") {
        format!("{info}; expected spaces: YAML takes no tabs for indentation")
    } else {
        format!("not YAML: {info}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes_in(text: &str) -> Vec<String> {
        let mut mistakes = Mistakes::new("f");
        read(text, &mut mistakes);
        mistakes
            .or(())
            .err()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn places_count_from_one_across_documents_and_keep_their_lines() {
        let mut mistakes = Mistakes::new("f");
        let text = "# head\na: 1\n---\nb:\n  - x\n  - é: y\n---\n# nothing here\n";
        let documents = read(text, &mut mistakes);
        assert_eq!(mistakes.or(()), Ok(()));
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[0].text, "# head\na: 1\n");
        assert_eq!(documents[0].root.place, (2, 1));
        let Value::Mapping(entries) = &documents[1].root.value else {
            panic!()
        };
        assert_eq!(entries[0].0.place, (4, 1));
        let Value::Sequence(items) = &entries[0].1.value else {
            panic!()
        };
        assert_eq!(items[1].place, (6, 5));
        let Value::Mapping(entries) = &items[1].value else {
            panic!()
        };
        assert_eq!(entries[0].1.place, (6, 8), "columns are characters");
    }

    #[test]
    fn a_broken_document_keeps_what_came_before_and_does_not_hide_the_next() {
        let mut mistakes = Mistakes::new("f");
        let documents = read("a: 1\nb: [x, y\nc: 2\n---\nd: 3\n", &mut mistakes);
        assert_eq!(documents.len(), 2);
        assert!(documents[0].cut);
        let Value::Mapping(entries) = &documents[0].root.value else {
            panic!()
        };
        assert!(matches!(&entries[0].0.value, Value::Scalar { text, .. } if text == "a"));
        assert!(!documents[1].cut);
        assert_eq!(mistakes.or(()).unwrap_err().len(), 1);
    }

    #[test]
    fn aliases_tags_tabs_and_depth_are_refused_with_their_places() {
        let found = mistakes_in("query: *.ngrok.io\n");
        assert!(found[0].starts_with("f:1:8: an unquoted *"), "{found:?}");
        let found = mistakes_in("a: &x [1]\nb: *x\n");
        assert!(found[0].starts_with("f:2:4: an unquoted *"), "{found:?}");
        let found = mistakes_in("a: !!binary x\n");
        assert!(found[0].contains("tag"), "{found:?}");
        let found = mistakes_in("a:\n\tb: 1\n");
        assert!(
            found[0].starts_with("f:2:") && found[0].contains("tab"),
            "{found:?}"
        );
        let found = mistakes_in(&format!("a: {}", "[".repeat(100)));
        assert!(found[0].contains("inside each other"), "{found:?}");
        let found = mistakes_in(&"- ".repeat(400));
        assert!(found[0].contains("inside each other"), "{found:?}");
    }

    #[test]
    fn plain_scalars_are_told_from_quoted_ones() {
        let kind = |text: &str| read(text, &mut Mistakes::new("f"))[0].root.kind();
        assert_eq!(kind("10"), "a number");
        assert_eq!(kind("-1.5"), "a number");
        assert_eq!(kind("\"10\""), "text");
        assert_eq!(kind("true"), "true or false");
        assert_eq!(kind("no"), "text");
        assert_eq!(kind("-70m@m"), "text");
        assert_eq!(kind("1.1.1.1"), "text");
    }
}
