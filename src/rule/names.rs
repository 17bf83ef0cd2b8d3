//! A list of names, read a block at a time. A piece of it that holds nothing but plain names, which is nearly all of a
//! long list, is taken as it stands; every other one is read line by line, with what may be in a line and the mistakes in it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::beside::both;
use super::mistake::{Mistake, Mistakes};
use super::pattern::{Patterns, Shape, check_domain, check_name_pattern};

/// The largest list of names in bytes.
const LARGEST: usize = 1 << 30;

/// So much is read at once; more only where a line is longer.
const BLOCK: usize = 1 << 18;

/// A second thread reads one half of a file that is so large at least.
const SHARED: u64 = 1 << 20;

/// About so many bytes are taken as they stand, or line by line: a few hundred names.
const PIECE: usize = 1 << 12;

/// A name that is not longer has no label that is too long (RFC 1035, section 2.3.4).
const LONGEST_LABEL: usize = 63;

/// Reads a list of names: one a line, `#` begins a comment, empty lines do not count. A name without `*` stands for itself
/// and everything below it, one with `*` is a pattern. A large list comes in two parts.
///
/// # Errors
/// Every line that holds no name; a file that cannot be read, or is larger than 1 GiB.
pub fn read_names(path: &Path) -> Result<Vec<Patterns>, Vec<Mistake>> {
    let mut mistakes = Mistakes::new(&path.display().to_string());
    match File::open(path) {
        Ok(file) => read(&file, mistakes, BLOCK, SHARED),
        Err(error) => {
            mistakes.add((0, 0), format!("cannot be opened: {error}"));
            mistakes.or(Vec::new())
        }
    }
}

/// Reads a file, so many bytes at once, and with two threads where there are so many to be shared.
fn read(
    file: &File,
    mistakes: Mistakes,
    at_once: usize,
    shared: u64,
) -> Result<Vec<Patterns>, Vec<Mistake>> {
    let Some(middle) = middle(file, shared) else {
        let mut list = List::new(mistakes, 0);
        let is_whole = list.read(file, at_once);
        return end(is_whole, vec![list.patterns], list.mistakes);
    };
    let name = Arc::clone(mistakes.file());
    let read_second = || {
        let mut list = List::new(Mistakes::new(&name), middle);
        let file = Behind {
            file,
            place: middle,
        };
        let is_whole = list.read(file, at_once);
        (list, is_whole)
    };
    let mut first = List::new(mistakes, 0);
    let ((second, is_whole), is_half) =
        both(true, read_second, || first.read(file.take(middle), at_once));
    let mut mistakes = first.mistakes;
    // Where reading ended early nobody knows the numbers of the other lines.
    if is_half {
        mistakes.append(second.mistakes, first.lines);
    }
    let parts = vec![first.patterns, second.patterns];
    end(is_half && is_whole, parts, mistakes)
}

fn end(
    is_whole: bool,
    parts: Vec<Patterns>,
    mut mistakes: Mistakes,
) -> Result<Vec<Patterns>, Vec<Mistake>> {
    if is_whole && parts.iter().all(Patterns::is_empty) {
        mistakes.add((0, 0), "no name in it; expected one a line");
    }
    mistakes.or(parts)
}

/// Where about in the middle of a file a line begins; `None` where it is no file, or smaller than that.
fn middle(file: &File, smallest: u64) -> Option<u64> {
    let file_is = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    if !(smallest..=LARGEST as u64).contains(&file_is.len()) {
        return None;
    }
    let half = file_is.len() / 2;
    let mut block = [0; PIECE];
    let count = file.read_at(&mut block, half).ok()?;
    let end = memchr::memchr(b'\n', block.get(..count)?)?;
    half.checked_add(u64::try_from(end).ok()?)?.checked_add(1)
}

/// A file from a place on, whoever else reads it.
struct Behind<'f> {
    file: &'f File,
    place: u64,
}

impl Read for Behind<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read_at(buffer, self.place)?;
        let read = u64::try_from(count).unwrap_or(u64::MAX);
        self.place = self.place.saturating_add(read);
        Ok(count)
    }
}

/// What a name stands for, and its text; a name that cannot be one is refused with the reason.
pub(super) fn read_name(name: &str) -> Result<(Shape, &str), String> {
    if memchr::memchr(b'*', name.as_bytes()).is_some() {
        check_name_pattern(name).map(|()| (Shape::Glob, name))
    } else {
        check_domain(name).map(|name| (Shape::Domain, name))
    }
}

/// A list, or a part of one, on its way into patterns.
struct List {
    patterns: Patterns,
    mistakes: Mistakes,
    /// How many lines there were.
    lines: u32,
    /// How many bytes of the file, with those before the part.
    bytes: u64,
}

impl List {
    const fn new(mistakes: Mistakes, bytes: u64) -> Self {
        Self {
            patterns: Patterns::new(),
            mistakes,
            lines: 0,
            bytes,
        }
    }

    /// Reads to the end of a file, so many bytes at once; false where that was not reached.
    fn read(&mut self, mut file: impl Read, at_once: usize) -> bool {
        let mut block = vec![0; at_once];
        let mut filled = 0;
        loop {
            if filled == block.len() {
                block.resize(block.len().saturating_mul(2), 0);
            }
            let space = block.get_mut(filled..).unwrap_or_default();
            let count = match file.read(space) {
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.mistakes
                        .add((0, 0), format!("cannot be read: {error}"));
                    return false;
                }
            };
            let added = filled..filled.saturating_add(count);
            filled = added.end;
            let is_last = count == 0;
            let new = block.get(added.clone()).unwrap_or_default();
            // As far as lines are whole; what is longer than a list may be needs no end.
            let end = match memchr::memrchr(b'\n', new) {
                _ if is_last || filled > LARGEST => filled,
                Some(end) => added.start.saturating_add(end).saturating_add(1),
                None => continue,
            };
            if !self.take(block.get(..end).unwrap_or_default()) {
                return false;
            }
            if is_last {
                self.patterns.shrink();
                return true;
            }
            block.copy_within(end..filled, 0);
            filled = filled.saturating_sub(end);
        }
    }

    /// Takes whole lines; false where the list is too long.
    fn take(&mut self, mut lines: &[u8]) -> bool {
        while !lines.is_empty() {
            let least = lines.get(PIECE..).unwrap_or_default();
            let end = memchr::memchr(b'\n', least).map(|end| PIECE + end + 1);
            let Some((piece, rest)) = lines.split_at_checked(end.unwrap_or(lines.len())) else {
                return false;
            };
            lines = rest;
            let bytes = self.bytes.saturating_add(length(piece));
            if bytes <= LARGEST as u64 && self.take_plain(piece) {
                self.bytes = bytes;
            } else if !piece
                .split_inclusive(|byte| *byte == b'\n')
                .all(|line| self.take_line(line))
            {
                return false;
            }
        }
        true
    }

    /// Takes a piece that is plain; false, and nothing of it, where there is more in it than can be told of it here.
    fn take_plain(&mut self, piece: &[u8]) -> bool {
        let tidied;
        let piece = match memchr::memchr(b'\r', piece) {
            None => piece,
            Some(_) => {
                tidied = without_returns(piece);
                &tidied
            }
        };
        if !is_plain(piece) {
            return false;
        }
        let before = self.patterns.len();
        if !self.patterns.add_domains(piece, LONGEST_LABEL) {
            return false;
        }
        let lines = self.patterns.len().saturating_sub(before);
        let lines = u32::try_from(lines).unwrap_or(u32::MAX);
        self.lines = self.lines.saturating_add(lines);
        true
    }

    /// Takes one line; false where the list is too long.
    fn take_line(&mut self, line: &[u8]) -> bool {
        self.lines = self.lines.saturating_add(1);
        let is_first = self.bytes == 0;
        self.bytes = self.bytes.saturating_add(length(line));
        let place = (self.lines, 0);
        if self.bytes > LARGEST as u64 {
            let message = format!("the list is larger than {LARGEST} bytes");
            self.mistakes.add(place, message);
            return false;
        }
        let Ok(text) = std::str::from_utf8(line) else {
            self.mistakes
                .add(place, "not UTF-8; expected one name a line");
            return true;
        };
        let text = match text.strip_prefix('\u{feff}') {
            Some(text) if is_first => text,
            _ => text,
        };
        let text = match memchr::memchr(b'#', text.as_bytes()) {
            Some(comment) => text.get(..comment).unwrap_or_default(),
            None => text,
        };
        let text = text.trim();
        if text.is_empty() {
            return true;
        }
        let added = read_name(text).and_then(|(shape, name)| self.patterns.add(shape, name));
        if let Err(message) = added {
            self.mistakes.add(place, message);
        }
        true
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Whether each line is a name of letters, digits, `-` and `_` alone, none of whose labels is empty: what reads a line could
/// only find it too long.
fn is_plain(lines: &[u8]) -> bool {
    // Without branches, so that many bytes are looked at in one instruction.
    let is_mark = |byte: u8| (byte == b'.') | (byte == b'\n');
    let is_odd = |byte: u8| {
        let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let is_digit = byte.wrapping_sub(b'0') < 10;
        !(is_letter | is_digit | is_mark(byte) | (byte == b'-') | (byte == b'_'))
    };
    let (Some((&first, others)), Some(&last)) = (lines.split_first(), lines.last()) else {
        return true;
    };
    let odd = lines
        .iter()
        .zip(others)
        .fold(false, |odd, (before, after)| {
            odd | is_odd(*after) | (is_mark(*before) & is_mark(*after))
        });
    !(odd | is_odd(first) | is_mark(first) | (last == b'.'))
}

/// The lines without what Windows ends them with.
fn without_returns(lines: &[u8]) -> Vec<u8> {
    let mut without = Vec::with_capacity(lines.len());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                without.extend_from_slice(line);
                without.push(b'\n');
            }
            None => without.extend_from_slice(line),
        }
    }
    without
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use proptest::prelude::*;

    use super::*;

    /// The patterns in a list, or the mistakes in it.
    fn read_shared(
        text: &[u8],
        at_once: usize,
        shared: u64,
    ) -> Result<Vec<(Shape, String)>, Vec<String>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file.rewind().unwrap();
        let text = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap();
        let all = |parts: Vec<Patterns>| {
            let all = parts.iter().flat_map(Patterns::iter);
            all.map(|it| (it.shape, text(it.text))).collect()
        };
        super::read(&file, Mistakes::new("names"), at_once, shared)
            .map(all)
            .map_err(|list| list.iter().map(ToString::to_string).collect())
    }

    fn read(text: &[u8]) -> Result<Vec<(Shape, String)>, Vec<String>> {
        read_shared(text, BLOCK, SHARED)
    }

    /// The same as plainly as possible: the oracle.
    fn naive(text: &[u8]) -> Result<Vec<(Shape, String)>, Vec<String>> {
        let (mut patterns, mut mistakes) = (Vec::new(), Vec::new());
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let found = match std::str::from_utf8(line) {
                Err(_) => Err("not UTF-8; expected one name a line".to_owned()),
                Ok(line) => match line.split('#').next().unwrap().trim() {
                    "" => continue,
                    name if name.contains('*') => {
                        check_name_pattern(name).map(|()| (Shape::Glob, name))
                    }
                    name => check_domain(name).map(|name| (Shape::Domain, name)),
                },
            };
            match found {
                Ok((shape, name)) => patterns.push((shape, name.to_ascii_lowercase())),
                Err(message) => mistakes.push(format!("names:{}: {message}", number + 1)),
            }
        }
        if patterns.is_empty() {
            mistakes.insert(0, "names: no name in it; expected one a line".to_owned());
        }
        if mistakes.is_empty() {
            Ok(patterns)
        } else {
            Err(mistakes)
        }
    }

    #[test]
    fn one_name_a_line_comments_and_windows_line_ends() {
        let names =
            read(b"\xef\xbb\xbf# a list\r\nEvil.example.\r\n\r\n  *.ngrok.io  # the old ones\n");
        let expected = [
            (Shape::Domain, "evil.example".to_owned()),
            (Shape::Glob, "*.ngrok.io".to_owned()),
        ];
        assert_eq!(names.unwrap(), expected);
    }

    #[test]
    fn every_bad_line_is_named() {
        let found = read(b"good.example\n0.0.0.0 bad.example\n\xff\nhttps://bad.example/\n");
        let found = found.unwrap_err();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("names:2: "), "{found:?}");
        assert!(found[1].starts_with("names:3: not UTF-8"), "{found:?}");
        assert!(found[2].starts_with("names:4: "), "{found:?}");
        assert_eq!(
            read(b"# nothing\n").unwrap_err(),
            ["names: no name in it; expected one a line"]
        );
        let missing = read_names(Path::new("/nonexistent/names"));
        let missing = missing.unwrap_err();
        assert!(missing[0].to_string().contains("cannot be opened"));
    }

    #[test]
    fn a_list_that_is_too_long_is_read_no_further() {
        let mut list = List::new(Mistakes::new("names"), LARGEST as u64 - 4);
        assert!(list.take(b"a.b\n"));
        assert!(!list.take(b"c.d\n"));
        assert_eq!(list.patterns.len(), 1);
        let found = list.mistakes.or(()).unwrap_err();
        assert_eq!(
            found[0].to_string(),
            "names:2: the list is larger than 1073741824 bytes"
        );
    }

    /// Lines that are plain, and others: a few bytes of which each may be the one that makes a difference.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let plain = "([a-zA-Z0-9_-]{1,9}[.]){0,2}[a-z]{1,9}[.]?\r?".prop_map(String::into_bytes);
        let odd = prop::collection::vec(
            prop::sample::select(b"aZ0-_..\\*#: \t\r\xc3\xa4\x7f".to_vec()),
            0..6,
        );
        let long = (60..70_usize, 1..5_usize)
            .prop_map(|(label, count)| vec!["x".repeat(label); count].join(".").into_bytes());
        prop_oneof![20 => plain, 2 => odd, 1 => long]
    }

    proptest! {
        /// Whether a piece is taken as it stands or line by line, and wherever it is cut, nobody can tell.
        #[test]
        fn a_list_is_what_its_lines_are(
            before in prop_oneof![Just(0), 0..400_usize],
            lines in prop::collection::vec(line(), 0..12),
            after in prop_oneof![Just(0), 0..400_usize],
            is_ended in any::<bool>(),
            at_once in prop_oneof![1..40_usize, Just(5_000), Just(BLOCK)],
            shared in prop_oneof![Just(0_u64), Just(SHARED)],
        ) {
            let plain = |count| vec![b"Some.Name.example".to_vec(); count];
            let lines = [plain(before), lines, plain(after)].concat();
            let mut text = lines.join(&b'\n');
            if is_ended {
                text.push(b'\n');
            }
            prop_assert_eq!(read_shared(&text, at_once, shared), naive(&text));
        }
    }
}
