//! Where in a file the bytes of a YAML scalar stand.
//!
//! The parser gives the place where a scalar begins. What it makes of the lines after that (folding, quotes, indentation)
//! changes white space and quotes alone, so the scalar and the file are walked side by side, black letter by black letter.

use crate::rule::yaml::Place;

/// The places of a scalar's bytes.
pub(super) struct Places {
    /// For each black letter of the scalar its first byte and its place, in order.
    letters: Vec<(usize, Place)>,
    start: Place,
}

impl Places {
    /// Walks the lines of a document, the first of which has that number in the file, from where the scalar begins.
    pub(super) fn new(lines: &str, first_line: u32, start: Place, scalar: &str) -> Self {
        Self {
            letters: walk(lines, first_line, start, scalar),
            start,
        }
    }

    /// The place of the first black letter at a byte of the scalar or after it; beyond the last that could be walked to,
    /// the place of that one.
    pub(super) fn at(&self, byte: usize) -> Place {
        let next = self.letters.partition_point(|(own, _)| *own < byte);
        let letter = self.letters.get(next).or(self.letters.last());
        letter.map_or(self.start, |(_, place)| *place)
    }
}

fn walk(lines: &str, first_line: u32, start: Place, scalar: &str) -> Vec<(usize, Place)> {
    let mut letters = Vec::new();
    let skipped = usize::try_from(start.0.saturating_sub(first_line)).unwrap_or(usize::MAX);
    let column = usize::try_from(start.1.saturating_sub(1)).unwrap_or(usize::MAX);
    let mut rest = lines.split_inclusive('\n').skip(skipped);
    let Some(line) = rest.next() else {
        return letters;
    };
    let head: String = line.chars().skip(column).collect();
    let is_block = is_header(&head);
    let mut source =
        (start.0..)
            .zip(std::iter::once(line).chain(rest))
            .flat_map(|(number, line)| {
                (1u32..)
                    .zip(line.chars())
                    .map(move |(column, letter)| ((number, column), letter))
            });
    // A block scalar begins on the line after its header.
    let mut source = source
        .by_ref()
        .skip_while(|((number, at), _)| *number == start.0 && (is_block || *at < start.1))
        .peekable();
    let quote = match source.peek() {
        Some((_, quote @ ('"' | '\''))) if !is_block => Some(*quote),
        _ => None,
    };
    if quote.is_some() {
        source.next();
    }
    for (byte, letter) in scalar.char_indices() {
        if letter.is_whitespace() {
            continue;
        }
        loop {
            let Some((place, found)) = source.next() else {
                return letters;
            };
            if quote == Some('"') && found == '\\' {
                let Some((_, escaped)) = source.next() else {
                    return letters;
                };
                if escaped == letter && matches!(escaped, '"' | '\\' | '/') {
                    letters.push((byte, place));
                    break;
                }
                // White space, written as an escape; other escapes end the walk.
                if !escaped.is_whitespace() && !matches!(escaped, 'n' | 't' | 'r') {
                    return letters;
                }
            } else if found == letter {
                if quote == Some('\'') && found == '\'' {
                    source.next();
                }
                letters.push((byte, place));
                break;
            } else if !found.is_whitespace() {
                return letters;
            }
        }
    }
    letters
}

/// Whether this is all that the line of a block scalar's beginning has (YAML 1.2.2, section 8.1.1).
fn is_header(text: &str) -> bool {
    let text = text.trim_end();
    let Some(rest) = text.strip_prefix(['|', '>']) else {
        return false;
    };
    let rest =
        rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || "+-".contains(letter));
    let comment = rest.trim_start();
    comment.is_empty() || (comment.starts_with('#') && comment.len() < rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::mistake::Mistakes;
    use crate::rule::yaml::{self, Value};

    /// The place of a word of the scalar `a`, in each style of YAML.
    #[test]
    fn every_style_keeps_its_places() {
        for (text, word, expected) in [
            (
                "---\n\na: |\n  | one\n   | two é wort\n\n  | drei\n",
                "drei",
                (7, 5),
            ),
            ("a: |-\n    | one\n    | two é wort\n", "wort", (3, 13)),
            ("# c\na: >-\n  | one\n  | two\n", "two", (4, 5)),
            ("a: '| one ''it'' two\n  three'\n", "it", (1, 13)),
            ("a: '| one ''it'' two\n  three'\n", "three", (2, 3)),
            (
                "a: \"| one \\\"it\\\" \\\n   two\\n three\"\n",
                "three",
                (2, 10),
            ),
            ("b: 1\na: tstats one\n    two\n", "two", (3, 5)),
        ] {
            let mut mistakes = Mistakes::new("f");
            let documents = yaml::read(text, &mut mistakes);
            assert_eq!(mistakes.or(()), Ok(()), "{text}");
            let document = &documents[0];
            let node = document.root.get("a").unwrap();
            let Value::Scalar { text: scalar, .. } = &node.value else {
                panic!()
            };
            let places = Places::new(document.text, document.first_line, node.place, scalar);
            assert_eq!(places.at(scalar.find(word).unwrap()), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(lines in "(.|\n){0,60}", scalar in "(.|\n){0,40}", line in 0u32..9, column in 0u32..30) {
            let places = Places::new(&lines, 1, (line, column), &scalar);
            for byte in 0..=scalar.len() {
                places.at(byte);
            }
        }
    }
}
