//! What a misspelt word was probably meant to be.

/// The known words nearest to a word, nearest first, three at most; none where nothing is near.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word: Vec<char> = word.chars().take(64).flat_map(char::to_lowercase).collect();
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .map(|candidate| {
            let letters: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
            (distance(&word, &letters), candidate)
        })
        .filter(|(distance, candidate)| *distance <= 1 + word.len().min(candidate.len()) / 3)
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.truncate(3);
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

/// How many letters must be put in, taken out, changed, or swapped with their neighbour (optimal string alignment).
fn distance(from: &[char], to: &[char]) -> usize {
    let mut two_before: Vec<usize> = Vec::new();
    let mut before: Vec<usize> = (0..=to.len()).collect();
    let mut previous = None;
    for (row, &letter) in (1usize..).zip(from) {
        let mut current = vec![row];
        for (column, &other) in (1usize..).zip(to) {
            let at =
                |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
            let changed = at(&before, column - 1) + usize::from(letter != other);
            let mut best = changed
                .min(at(&before, column) + 1)
                .min(at(&current, column - 1) + 1);
            if previous == Some(other) && column >= 2 && to.get(column - 2) == Some(&letter) {
                best = best.min(at(&two_before, column - 2) + 1);
            }
            current.push(best);
        }
        two_before = std::mem::replace(&mut before, current);
        previous = Some(letter);
    }
    before.last().copied().unwrap_or(0)
}

/// `a`, `a or b`, `a, b or c`, each in backquotes.
pub(super) fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

/// What was expected in place of an unknown word: its neighbours, or everything there is.
pub(super) fn expected(word: &str, known: &[&str]) -> String {
    let near = nearest(word, known.iter().copied());
    if near.is_empty() {
        format!("expected {}", alternatives(known))
    } else {
        format!("did you mean {}?", alternatives(&near))
    }
}

/// The beginning of a text from a file, short enough for a message and without what could drive a terminal.
pub(super) fn clip(text: &str) -> String {
    let mut shown = clip_to(text, 60);
    if text.chars().nth(60).is_some() {
        shown.push_str("...");
    }
    shown
}

/// The first so many letters of a text, without what could drive a terminal.
pub(super) fn clip_to(text: &str, most: usize) -> String {
    let letters = text.chars().take(most);
    letters
        .map(|letter| match letter.is_control() {
            true => '\u{fffd}',
            false => letter,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(word: &str) -> Vec<char> {
        word.chars().collect()
    }

    #[test]
    fn distances_are_those_of_the_textbook() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("qeury", "query", 1),
            ("by", "yb", 1),
            ("ca", "abc", 3),
        ] {
            assert_eq!(
                distance(&letters(from), &letters(to)),
                expected,
                "{from} {to}"
            );
            assert_eq!(
                distance(&letters(to), &letters(from)),
                expected,
                "{to} {from}"
            );
        }
    }

    #[test]
    fn the_nearest_comes_first_and_nonsense_has_no_neighbour() {
        let known = ["query", "query_type", "query_count", "answer"];
        assert_eq!(nearest("qurey", known).first(), Some(&"query"));
        assert_eq!(nearest("Query_typ", known).first(), Some(&"query_type"));
        assert!(nearest("zzzzzzzz", known).is_empty());
        assert_eq!(expected("anser", &known), "did you mean `answer`?");
        assert_eq!(expected("zzzz", &["a", "b"]), "expected `a` or `b`");
    }
}
