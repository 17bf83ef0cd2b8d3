//! The words of a search: names, values in quotes, macros, signs.

/// One word and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) kind: Kind,
    /// What it says, without its quotes.
    pub(super) text: String,
    /// Its first byte in the search.
    pub(super) at: usize,
    /// The byte after its last.
    pub(super) end: usize,
}

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, a number, a keyword.
    Bare,
    /// In double quotes.
    Quoted,
    /// In backquotes.
    Macro,
    /// `= == != < <= > >=`.
    Operator,
    /// `( ) , | [ ]`.
    Sign,
}

impl Word {
    /// Whether it is that sign.
    pub(super) fn is_sign(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    /// Whether it is that keyword, in either case.
    pub(super) fn is_keyword(&self, keyword: &str) -> bool {
        self.kind == Kind::Bare && self.text.eq_ignore_ascii_case(keyword)
    }
}

/// Splits a search into its words.
///
/// # Errors
/// The byte at which quotes begin that nothing ends.
pub(super) fn words(search: &str) -> Result<Vec<Word>, usize> {
    let mut words = Vec::new();
    let mut rest = search.char_indices().peekable();
    while let Some((at, letter)) = rest.next() {
        let mut text = String::from(letter);
        let kind = match letter {
            _ if letter.is_whitespace() => continue,
            '"' | '`' => {
                text.clear();
                loop {
                    match rest.next() {
                        None => return Err(at),
                        Some((_, end)) if end == letter => break,
                        // `\"` and `\\` alone are escapes.
                        Some((_, '\\')) if letter == '"' => {
                            match rest.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                                Some((_, escaped)) => text.push(escaped),
                                None => text.push('\\'),
                            }
                        }
                        Some((_, inside)) => text.push(inside),
                    }
                }
                if letter == '"' {
                    Kind::Quoted
                } else {
                    Kind::Macro
                }
            }
            '(' | ')' | ',' | '|' | '[' | ']' => Kind::Sign,
            '=' | '!' | '<' | '>' => {
                if rest.next_if(|(_, next)| *next == '=').is_some() {
                    text.push('=');
                }
                Kind::Operator
            }
            _ => {
                let goes_on =
                    |letter: char| !letter.is_whitespace() && !"\"`(),|[]=!<>".contains(letter);
                while let Some((_, letter)) = rest.next_if(|(_, letter)| goes_on(*letter)) {
                    text.push(letter);
                }
                Kind::Bare
            }
        };
        let end = rest.peek().map_or(search.len(), |(next, _)| *next);
        words.push(Word {
            kind,
            text,
            at,
            end,
        });
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart() {
        let search = r#"| tstats count(x) as n by "DNS.src",DNS.query|`f("a")` where a!="x \"y\" \d" b<=5 c==*"#;
        let found = words(search).unwrap();
        let texts: Vec<(Kind, &str)> = found
            .iter()
            .map(|word| (word.kind, word.text.as_str()))
            .collect();
        use Kind::{Bare, Macro, Operator, Quoted, Sign};
        assert_eq!(
            texts,
            [
                (Sign, "|"),
                (Bare, "tstats"),
                (Bare, "count"),
                (Sign, "("),
                (Bare, "x"),
                (Sign, ")"),
                (Bare, "as"),
                (Bare, "n"),
                (Bare, "by"),
                (Quoted, "DNS.src"),
                (Sign, ","),
                (Bare, "DNS.query"),
                (Sign, "|"),
                (Macro, "f(\"a\")"),
                (Bare, "where"),
                (Bare, "a"),
                (Operator, "!="),
                (Quoted, "x \"y\" \\d"),
                (Bare, "b"),
                (Operator, "<="),
                (Bare, "5"),
                (Bare, "c"),
                (Operator, "=="),
                (Bare, "*"),
            ]
        );
        for word in &found {
            assert!(search.get(word.at..word.end).is_some());
        }
        assert_eq!(words("a \"b"), Err(2));
        assert_eq!(words("a `b"), Err(2));
    }
}
