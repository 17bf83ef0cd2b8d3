//! The message of a rule's risk: text in which `$field$` stands for what the row has under that name.

/// One part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Text as it stands.
    Text(&'a str),
    /// The name of a field of the row, which stood between dollar signs.
    Token(&'a str),
}

/// The parts of a message in order. A dollar sign that begins no `$word$` is only that.
pub fn parts(message: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (before, after) = rest.split_once('$').unwrap_or((rest, ""));
        if !before.is_empty() {
            rest = rest.strip_prefix(before).unwrap_or_default();
            return Some(Part::Text(before));
        }
        match after.split_once('$') {
            Some((word, behind)) if is_word(word) => {
                rest = behind;
                Some(Part::Token(word))
            }
            _ => {
                rest = after;
                Some(Part::Text("$"))
            }
        }
    })
}

fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Part::{Text, Token};

    #[test]
    fn tokens_and_dollar_signs() {
        for (message, expected) in [
            ("", &[][..]),
            ("no token", &[Text("no token")]),
            ("$src$", &[Token("src")]),
            ("$src$$query$", &[Token("src"), Token("query")]),
            (
                "a $src$, 5 $ each",
                &[
                    Text("a "),
                    Token("src"),
                    Text(", 5 "),
                    Text("$"),
                    Text(" each"),
                ],
            ),
            (
                "$ $src$ $",
                &[Text("$"), Text(" "), Token("src"), Text(" "), Text("$")],
            ),
            ("$$", &[Text("$"), Text("$")]),
        ] {
            assert_eq!(parts(message).collect::<Vec<_>>(), expected, "{message}");
        }
    }

    proptest! {
        #[test]
        fn nothing_of_a_message_is_lost(message in "[$a _é]{0,12}") {
            let together: String = parts(&message)
                .map(|part| match part {
                    Text(text) => text.to_owned(),
                    Token(word) => format!("${word}$"),
                })
                .collect();
            prop_assert_eq!(together, message);
        }
    }
}
