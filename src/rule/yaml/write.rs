//! A node as YAML: on one line where it fits, in block style otherwise. What is written reads back as the same node.

use super::{Node, Value, plain_kind};

/// A collection longer than this stands on several lines.
const WIDTH: usize = 100;

/// The node as the text of a document.
pub(in crate::rule) fn write(node: &Node) -> String {
    let mut text = String::new();
    block(node, 0, &mut text);
    text
}

/// In block style, from the beginning of a line; ends with a line feed.
fn block(node: &Node, indent: usize, text: &mut String) {
    match &node.value {
        Value::Mapping(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                margin(indent, text);
                text.push_str(&flow(key));
                text.push(':');
                under(value, indent, text);
            }
        }
        Value::Sequence(items) if !items.is_empty() => {
            for item in items {
                margin(indent, text);
                text.push('-');
                under(item, indent, text);
            }
        }
        _ => {
            margin(indent, text);
            text.push_str(&flow(node));
            text.push('\n');
        }
    }
}

/// What follows a key or a dash: on the same line where it fits.
fn under(node: &Node, indent: usize, text: &mut String) {
    let is_scalar = !matches!(node.value, Value::Mapping(_) | Value::Sequence(_));
    let line = flow(node);
    if is_scalar || line.len().saturating_add(indent) <= WIDTH {
        text.push(' ');
        text.push_str(&line);
        text.push('\n');
    } else {
        text.push('\n');
        block(node, indent.saturating_add(2), text);
    }
}

fn margin(indent: usize, text: &mut String) {
    text.extend(std::iter::repeat_n(' ', indent));
}

/// On one line.
fn flow(node: &Node) -> String {
    match &node.value {
        Value::Null(_) => "null".to_owned(),
        Value::Scalar { text, plain: true } => text.clone(),
        Value::Scalar { text, plain: false } if is_word(text) => text.clone(),
        Value::Scalar { text, plain: false } => quoted(text),
        Value::Sequence(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Mapping(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", flow(key), flow(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// Whether text means itself without quotes, wherever it stands.
fn is_word(text: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/()".contains(&byte);
    let begins = text
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    begins
        && text.split(' ').all(|word| !word.is_empty())
        && text.bytes().all(|byte| byte == b' ' || is_safe(byte))
        && plain_kind(text) == "text"
        && !text.eq_ignore_ascii_case("null")
}

/// In double quotes (YAML 1.2.2, sections 5.7 and 7.3.1); what cannot be printed is escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            ' '..='~' => quoted.push(letter),
            '\u{85}' | '\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            _ if letter.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Document, read};
    use super::*;
    use crate::rule::mistake::Mistakes;

    fn same(one: &Node, other: &Node) -> bool {
        match (&one.value, &other.value) {
            (Value::Null(_), Value::Null(_)) => true,
            (Value::Scalar { text, .. }, Value::Scalar { text: other, .. }) => text == other,
            (Value::Sequence(items), Value::Sequence(others)) => {
                items.len() == others.len()
                    && items
                        .iter()
                        .zip(others)
                        .all(|(one, other)| same(one, other))
            }
            (Value::Mapping(entries), Value::Mapping(others)) => {
                entries.len() == others.len()
                    && entries
                        .iter()
                        .zip(others)
                        .all(|(one, other)| same(&one.0, &other.0) && same(&one.1, &other.1))
            }
            _ => false,
        }
    }

    fn nodes() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            any::<String>().prop_map(|text| Node::text((0, 0), text)),
            "[a-z :#,*&!|>'\"%@`\\[\\]{}-]{0,40}".prop_map(|text| Node::text((0, 0), text)),
            any::<i32>().prop_map(|number| Node::plain((0, 0), number)),
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5)
                    .prop_map(|items| Node::list((0, 0), items)),
                proptest::collection::vec((any::<String>(), inner), 0..5).prop_map(|entries| {
                    let entries = entries
                        .iter()
                        .map(|(key, node)| (key.as_str(), node.clone()));
                    Node::mapping((0, 0), entries)
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_the_same(node in nodes()) {
            let text = write(&node);
            let mut mistakes = Mistakes::new("f");
            let documents = read(&text, &mut mistakes);
            prop_assert_eq!(mistakes.or(()), Ok(()), "{}", text);
            let [Document { root, .. }] = documents.as_slice() else {
                return Err(TestCaseError::fail(format!("{} documents in {text}", documents.len())));
            };
            prop_assert!(same(root, &node), "{}\n{:?}\n{:?}", text, root, node);
        }
    }
}
