//! Patterns: text in which `*` stands for any run of bytes, and domains with all that is below them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use memchr::memmem;

/// The longest pattern in bytes: a name of 255 bytes, each escaped, and some.
pub const LONGEST: usize = 4096;

/// What a pattern covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The whole value; `*` is any run of bytes, dots included, also none. Everything else is literal.
    Glob,
    /// A name and all names below it.
    Domain,
    /// The whole value as it stands, `*` too.
    Exact,
}

/// One pattern, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern<'a> {
    /// What it covers.
    pub shape: Shape,
    /// Its text in lower case.
    pub text: &'a [u8],
}

impl<'a> Pattern<'a> {
    /// Whether it covers a value, which must be in lower case already: in time linear in the value's length for each
    /// run of literal bytes in the pattern, whatever both say.
    #[must_use]
    pub fn covers(self, value: &[u8]) -> bool {
        match self.shape {
            Shape::Glob => glob(self.text, value),
            Shape::Domain => domain(self.text, value),
            Shape::Exact => self.text == value,
        }
    }

    /// The literal end that every covered value has, in whole dot-separated parts; `None` where there is none.
    ///
    /// The parts are those between the dots as bytes, escaped dots included, so that no value is missed: a pattern's `*`
    /// does not know labels.
    #[must_use]
    pub fn suffix(self) -> Option<&'a [u8]> {
        if self.shape != Shape::Glob {
            return Some(self.text);
        }
        let Some(star) = memchr::memrchr(b'*', self.text) else {
            return Some(self.text);
        };
        let tail = self.text.get(star.saturating_add(1)..)?;
        let dot = memchr::memchr(b'.', tail)?;
        tail.get(dot.saturating_add(1)..)
            .filter(|suffix| !suffix.is_empty())
    }

    /// The literal beginning that every covered value has; `None` where there is none.
    #[must_use]
    pub fn prefix(self) -> Option<&'a [u8]> {
        let first = self.text.split(|&byte| byte == b'*').next();
        first.filter(|run| self.shape == Shape::Glob && !run.is_empty())
    }

    /// The longest run of literal bytes, which every covered value holds; `None` where there is none.
    #[must_use]
    pub fn literal(self) -> Option<&'a [u8]> {
        self.text
            .split(|&byte| byte == b'*' && self.shape == Shape::Glob)
            .max_by_key(|run| run.len())
            .filter(|run| !run.is_empty())
    }
}

/// The first run of literal bytes begins the value, the last ends it, those between follow one another; taking the
/// leftmost place for each is never worse than another.
fn glob(pattern: &[u8], value: &[u8]) -> bool {
    let Some(first) = memchr::memchr(b'*', pattern) else {
        return pattern == value;
    };
    let (Some(head), Some(rest)) = (pattern.get(..first), pattern.get(first.saturating_add(1)..))
    else {
        return false;
    };
    let Some(mut value) = value.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = match memchr::memrchr(b'*', rest) {
        Some(last) => (
            rest.get(..last).unwrap_or_default(),
            rest.get(last.saturating_add(1)..).unwrap_or_default(),
        ),
        None => (&[][..], rest),
    };
    // The end is cut off first: a run in the middle may not reach into it.
    match value.strip_suffix(tail) {
        Some(before) => value = before,
        None => return false,
    }
    for run in middle
        .split(|&byte| byte == b'*')
        .filter(|run| !run.is_empty())
    {
        let after =
            memmem::find(value, run).and_then(|place| value.get(place.saturating_add(run.len())..));
        match after {
            Some(after) => value = after,
            None => return false,
        }
    }
    true
}

/// A name covers itself and every name that continues it to the left at a label boundary. In presentation form (RFC 1035,
/// 5.1) a dot after an odd number of backslashes belongs to its label.
fn domain(domain: &[u8], name: &[u8]) -> bool {
    match name.strip_suffix(domain) {
        Some([]) => true,
        Some(before) => match before.strip_suffix(b".") {
            Some(labels) => labels
                .iter()
                .rev()
                .take_while(|&&byte| byte == b'\\')
                .count()
                .is_multiple_of(2),
            None => false,
        },
        None => false,
    }
}

/// Any number of patterns, one of which must cover a value; 6 bytes more than its text for each.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    /// Their texts, each with the end of its line: lists of names are taken as they stand.
    text: Vec<u8>,
    /// Where each pattern ends; the next one begins behind the end of the line.
    ends: Vec<u32>,
    /// The shape of each.
    shapes: Vec<Shape>,
}

impl Patterns {
    /// No pattern, which covers nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            text: Vec::new(),
            ends: Vec::new(),
            shapes: Vec::new(),
        }
    }

    /// Adds a pattern.
    ///
    /// # Errors
    /// When the texts exceed 4 GiB together.
    pub fn add(&mut self, shape: Shape, text: &str) -> Result<(), String> {
        let (before, end) = (self.text.len(), self.fits(text.len())?);
        self.text.extend_from_slice(text.as_bytes());
        if let Some(added) = self.text.get_mut(before..) {
            added.make_ascii_lowercase();
        }
        self.text.push(b'\n');
        self.ends.push(end);
        self.shapes.push(shape);
        Ok(())
    }

    /// Where the last pattern ends when so many bytes are added.
    fn fits(&self, length: usize) -> Result<u32, String> {
        let end = self.text.len().saturating_add(length);
        u32::try_from(end).map_err(|_| "more than 4 GiB of patterns".to_owned())
    }

    /// Adds domains, one a line; none, and false, where one of them is longer than that, or the texts would exceed 4 GiB.
    pub(super) fn add_domains(&mut self, lines: &[u8], longest: usize) -> bool {
        let (before, count) = (self.text.len(), self.ends.len());
        let is_ended = lines.ends_with(b"\n");
        if self.fits(lines.len()).is_err() {
            return false;
        }
        self.text.extend_from_slice(lines);
        if !is_ended {
            self.text.push(b'\n');
        }
        let added = self.text.get_mut(before..).unwrap_or_default();
        added.make_ascii_lowercase();
        let (mut start, mut is_long) = (0, false);
        for end in memchr::memchr_iter(b'\n', added) {
            is_long |= end.saturating_sub(start) > longest;
            start = end.saturating_add(1);
            let end = u32::try_from(before.saturating_add(end)).unwrap_or(u32::MAX);
            self.ends.push(end);
        }
        if is_long {
            self.text.truncate(before);
            self.ends.truncate(count);
        }
        self.shapes.resize(self.ends.len(), Shape::Domain);
        !is_long
    }

    /// Gives back memory that nothing is in.
    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.shapes.shrink_to_fit();
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The pattern at a place.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<Pattern<'_>> {
        let end = *self.ends.get(place)?;
        let shape = *self.shapes.get(place)?;
        let start = match place.checked_sub(1) {
            Some(before) => self.ends.get(before)?.saturating_add(1),
            None => 0,
        };
        let text = self
            .text
            .get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)?;
        Some(Pattern { shape, text })
    }

    /// All patterns in order.
    pub fn iter(&self) -> impl Iterator<Item = Pattern<'_>> {
        self.range(0..self.len())
    }

    /// Those at some places, of as many of them as there are.
    pub(super) fn range(&self, places: Range<usize>) -> impl Iterator<Item = Pattern<'_>> {
        let places = places.start.min(self.len())..places.end.min(self.len());
        let mut start = match places.start.checked_sub(1) {
            Some(before) => self.ends.get(before).map_or(0, |end| end.saturating_add(1)),
            None => 0,
        };
        let ends = self.ends.get(places.clone()).unwrap_or_default();
        let shapes = self.shapes.get(places).unwrap_or_default();
        ends.iter().zip(shapes).filter_map(move |(end, shape)| {
            let from = std::mem::replace(&mut start, end.saturating_add(1));
            let text = usize::try_from(from).ok()?..usize::try_from(*end).ok()?;
            let text = self.text.get(text)?;
            Some(Pattern {
                shape: *shape,
                text,
            })
        })
    }

    /// Whether any covers the value; one after the other.
    #[must_use]
    pub fn cover(&self, value: &str) -> bool {
        let value = lower(value.as_bytes());
        self.iter().any(|pattern| pattern.covers(&value))
    }
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self
            .iter()
            .take(16)
            .map(|pattern| String::from_utf8_lossy(pattern.text).into_owned());
        f.debug_list().entries(shown).finish()?;
        write!(f, " of {}", self.len())
    }
}

/// The bytes in ASCII lower case, copied only where they are not yet.
fn lower(value: &[u8]) -> Cow<'_, [u8]> {
    if value.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(value.to_ascii_lowercase())
    } else {
        Cow::Borrowed(value)
    }
}

/// Checks a pattern on a name: that it can match a name at all, as events write them.
///
/// # Errors
/// Says what is wrong with it and what it should look like.
pub fn check_name_pattern(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(
            "an empty pattern matches no name; expected a name, or a pattern such as *.example.com"
                .to_owned(),
        );
    }
    if text.len() > LONGEST {
        return Err(format!(
            "a pattern of {} bytes; expected at most {LONGEST}",
            text.len()
        ));
    }
    // Bytes are quicker than letters, and nearly all are fine.
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let other = |letter: &char| !letter.is_ascii();
        let odd = text.chars().find(|letter| !letter.is_ascii_graphic());
        let odd = text.chars().find(other).or(odd).unwrap_or(' ');
        return Err(match odd.is_ascii() {
            true => format!(
                "{odd:?} is never in a name as events write it; expected one name or pattern (that byte is written \\{:03})",
                u32::from(odd)
            ),
            false => format!(
                "'{odd}' is never in a name as events write it; expected its punycode (xn--...), or each byte as \\DDD"
            ),
        });
    }
    if memchr::memchr(b':', text.as_bytes()).is_some() && text.contains("://") {
        return Err(format!("'{text}' is a URL; expected the host name in it"));
    }
    if text != "." && text.ends_with('.') && !text.ends_with("\\.") {
        return Err(format!(
            "'{text}' ends with a dot, and names in events do not; expected it without"
        ));
    }
    Ok(())
}

/// Checks a domain, and gives it without its final dot.
///
/// # Errors
/// Says what is wrong with it and what it should look like.
pub fn check_domain(text: &str) -> Result<&str, String> {
    let name = match text.strip_suffix('.') {
        Some(name) if !name.ends_with('\\') => name,
        _ => text,
    };
    if text == "." {
        return Err("the root is every name; expected a domain such as example.com".to_owned());
    }
    check_name_pattern(name)?;
    if memchr::memchr(b'*', name.as_bytes()).is_some() {
        return Err(format!(
            "'{name}' is a pattern; expected a domain, which covers the names below it anyway"
        ));
    }
    let mut labels = name.as_bytes().split(|byte| *byte == b'.');
    if labels.clone().any(<[u8]>::is_empty) {
        return Err(format!(
            "'{name}' has an empty label; expected a domain such as example.com"
        ));
    }
    let is_long = name.len() > 253 || labels.any(|label| label.len() > 63);
    if is_long && !name.contains('\\') {
        return Err(format!(
            "'{name}' is too long for a name; expected labels of at most 63 bytes and 253 together (RFC 1035, 2.3.4)"
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `*` means, said as plainly as possible: the oracle.
    fn naive(pattern: &[u8], value: &[u8]) -> bool {
        match pattern.split_first() {
            None => value.is_empty(),
            Some((b'*', rest)) => (0..=value.len()).any(|start| naive(rest, &value[start..])),
            Some((byte, rest)) => value
                .split_first()
                .is_some_and(|(first, value)| first == byte && naive(rest, value)),
        }
    }

    fn covers(pattern: &str, value: &str) -> bool {
        let mut patterns = Patterns::new();
        patterns.add(Shape::Glob, pattern).unwrap();
        patterns.cover(value)
    }

    fn below(domain: &str, value: &str) -> bool {
        let mut patterns = Patterns::new();
        patterns.add(Shape::Domain, domain).unwrap();
        patterns.cover(value)
    }

    #[test]
    fn a_star_is_any_run_of_bytes_also_none_and_the_pattern_covers_the_whole_value() {
        assert!(covers("*.ngrok.io", "abc.ngrok.io"));
        assert!(covers("*.ngrok.io", "a.b.ngrok.io"));
        assert!(covers("*.ngrok.io", ".ngrok.io"));
        assert!(!covers("*.ngrok.io", "ngrok.io"));
        assert!(!covers("*.ngrok.io", "notngrok.io"));
        assert!(!covers("*.ngrok.io", "a.ngrok.io.evil.example"));
        assert!(!covers("*.ngrok.io", "a.ngrok.ioo"));
        assert!(covers("ngrok.*.tunnel.com", "ngrok.us.east.tunnel.com"));
        assert!(covers("ngrok.*.tunnel.com", "ngrok..tunnel.com"));
        assert!(
            !covers("ngrok.*.tunnel.com", "ngrok.tunnel.com"),
            "the two dots are two bytes"
        );
        assert!(covers("korgn.*.lennut.com", "korgn.su.lennut.com"));
        assert!(covers("*", ""));
        assert!(covers("**", "x"));
        assert!(!covers("", "x"));
    }

    #[test]
    fn case_does_not_count_and_everything_but_the_star_is_literal() {
        assert!(covers("*.NGROK.io", "aBc.nGrOk.IO"));
        assert!(!covers("a?c", "abc"));
        assert!(covers("a?c", "A?C"));
        assert!(!covers("[ab]", "a"));
        assert!(covers(r"a\.b.*", r"a\.b.example"));
        assert!(!covers("É", "é"), "only ASCII has a case");
    }

    #[test]
    fn the_runs_between_stars_do_not_overlap() {
        assert!(!covers("ab*ba", "aba"));
        assert!(covers("ab*ba", "abba"));
        assert!(!covers("*aa*aa*", "aaa"));
        assert!(covers("*aa*aa*", "aaaa"));
    }

    #[test]
    fn a_hostile_pattern_costs_no_more_than_the_value_is_long() {
        // Backtracking would take longer than anybody waits.
        let pattern = "*a".repeat(2_000) + "b";
        let value = "a".repeat(1 << 20);
        assert!(!covers(&pattern, &value));
    }

    #[test]
    fn a_domain_is_itself_and_everything_below_at_real_label_boundaries() {
        assert!(below("ngrok-agent.com", "ngrok-agent.com"));
        assert!(below("ngrok-agent.com", "connect.us.NGROK-agent.com"));
        assert!(!below("ngrok-agent.com", "notngrok-agent.com"));
        assert!(!below("ngrok-agent.com", "ngrok-agent.com.example"));
        assert!(
            !below("agent.com", r"a\.agent.com"),
            "an escaped dot is no boundary"
        );
        assert!(
            below("agent.com", r"a\\.agent.com"),
            "an escaped backslash before a dot is"
        );
        assert!(!below("agent.com", r"a\\\.agent.com"));
        assert!(below("com", "example.com"));
    }

    #[test]
    fn many_patterns_keep_their_places() {
        let mut patterns = Patterns::new();
        for text in ["One", "*two*", "three"] {
            patterns.add(Shape::Glob, text).unwrap();
        }
        assert_eq!(patterns.len(), 3);
        let texts: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.text).collect();
        assert_eq!(texts, [&b"one"[..], b"*two*", b"three"]);
        assert_eq!(patterns.get(3), None);
    }

    #[test]
    fn suffixes_are_whole_parts_after_the_last_star() {
        let suffix = |text: &'static str| {
            Pattern {
                shape: Shape::Glob,
                text: text.as_bytes(),
            }
            .suffix()
        };
        assert_eq!(suffix("*.ngrok.com"), Some(&b"ngrok.com"[..]));
        assert_eq!(suffix("*ngrok.com"), Some(&b"com"[..]));
        assert_eq!(suffix("korgn.*.lennut.com"), Some(&b"lennut.com"[..]));
        assert_eq!(suffix("a.b"), Some(&b"a.b"[..]));
        assert_eq!(suffix("a.b*"), None);
        assert_eq!(suffix("*."), None);
        assert_eq!(suffix("*com"), None);
    }

    #[test]
    fn names_that_can_never_match_are_refused() {
        for bad in [
            "",
            "bücher.example",
            "a b",
            "ngrok.io.",
            "https://ngrok.io/",
            "a\tb",
        ] {
            assert!(check_name_pattern(bad).is_err(), "{bad:?}");
        }
        for good in [
            ".",
            "*.ngrok.io",
            "_ldap._tcp.example",
            r"a\.b",
            r"x\.",
            "0/25.2.0.192.in-addr.arpa",
        ] {
            assert_eq!(check_name_pattern(good), Ok(()), "{good:?}");
        }
        assert_eq!(check_domain("Ngrok.COM."), Ok("Ngrok.COM"));
        for bad in [
            "",
            ".",
            ".ngrok.com",
            "a..b",
            "*.ngrok.com",
            &"a".repeat(64),
            &"a.".repeat(128),
        ] {
            assert!(check_domain(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn globs_agree_with_the_naive_model(pattern in "[ab.*]{0,9}", value in "[ab.]{0,12}") {
            prop_assert_eq!(covers(&pattern, &value), naive(pattern.as_bytes(), value.as_bytes()));
        }

        #[test]
        fn every_covered_value_has_the_suffix(pattern in r"[a.*\\]{1,7}", value in r"[a.\\]{0,9}", domain in any::<bool>()) {
            let shape = if domain { Shape::Domain } else { Shape::Glob };
            let pattern = Pattern { shape, text: pattern.as_bytes() };
            if let (true, Some(suffix)) = (pattern.covers(value.as_bytes()), pattern.suffix()) {
                let dotted = [b".", suffix].concat();
                prop_assert!(value.as_bytes() == suffix || value.as_bytes().ends_with(&dotted));
            }
        }
    }
}
