//! What is computed of a name: its parts, its length, how random it looks.
//!
//! Names are as events write them: presentation form (RFC 1035, 5.1), lower case, no final dot, the root `.`. A dot after
//! an odd number of backslashes belongs to its label.

/// The labels of a name, first to last; the root has none.
pub(super) fn labels(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = (name != "." && !name.is_empty()).then_some(name);
    std::iter::from_fn(move || {
        let name = rest?;
        let (label, after) = split_label(name);
        rest = after;
        Some(label)
    })
}

/// The first label, and what follows it where something does.
fn split_label(name: &str) -> (&str, Option<&str>) {
    let bytes = name.as_bytes();
    let end = memchr::memchr_iter(b'.', bytes).find(|&dot| is_boundary(bytes, dot));
    match end.and_then(|end| name.split_at_checked(end)) {
        Some((label, rest)) => (label, rest.strip_prefix('.')),
        None => (name, None),
    }
}

/// Whether the dot at that place divides labels.
fn is_boundary(name: &[u8], dot: usize) -> bool {
    let before = name.get(..dot).unwrap_or_default();
    let backslashes = before.iter().rev().take_while(|&&byte| byte == b'\\');
    backslashes.count().is_multiple_of(2)
}

/// The last label.
pub(super) fn tld(name: &str) -> Option<&str> {
    labels(name).last()
}

/// The name without its first label.
pub(super) fn parent_domain(name: &str) -> Option<&str> {
    split_label(name).1.filter(|parent| !parent.is_empty())
}

/// The name that somebody registered, by the public suffix list with its private part; `None` where the name is a public
/// suffix itself.
pub(super) fn registered_domain(name: &str) -> Option<&str> {
    let found = psl::domain_str(name)?;
    let mut start = name.len().checked_sub(found.len())?;
    // The list does not know escapes: what it took for a boundary may be a dot inside a label.
    let bytes = name.as_bytes();
    while let Some(dot) = start.checked_sub(1)
        && !is_boundary(bytes, dot)
    {
        start = memchr::memrchr(b'.', bytes.get(..dot)?).map_or(0, |before| before + 1);
    }
    name.get(start..)
}

/// What stands before the registered domain, without the dot.
pub(super) fn subdomain(name: &str) -> Option<&str> {
    let registered = registered_domain(name)?;
    name.strip_suffix(registered)?.strip_suffix('.')
}

/// Shannon's entropy of the bytes as they are written, in billionths of a bit for each byte, to four decimals.
pub(super) fn entropy(text: &str) -> i64 {
    let mut counts = [0_u32; 256];
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = text.len() as f64;
    let bits: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / total;
            -share * share.log2()
        })
        .sum();
    // At most 8 bits, so within any integer.
    (bits * 1e4).round() as i64 * 100_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_apart_at_its_labels() {
        let count = |name| labels(name).count();
        assert_eq!(
            (count("."), count("com"), count("a.b.example.com")),
            (0, 1, 4)
        );
        assert_eq!(
            count(r"a\.b.example.com"),
            3,
            "an escaped dot is in its label"
        );
        assert_eq!(
            count(r"a\\.b.example.com"),
            4,
            "an escaped backslash is before a boundary"
        );
        assert_eq!(
            (tld("."), tld("localhost"), tld("a.example.org")),
            (None, Some("localhost"), Some("org"))
        );
        assert_eq!((parent_domain("."), parent_domain("com")), (None, None));
        assert_eq!(parent_domain(r"a\.b.example.com"), Some("example.com"));
    }

    #[test]
    fn the_registered_domain_is_one_label_more_than_the_list_has() {
        assert_eq!(
            registered_domain("a.b.example.co.uk"),
            Some("example.co.uk")
        );
        assert_eq!(subdomain("a.b.example.co.uk"), Some("a.b"));
        assert_eq!(registered_domain("example.com"), Some("example.com"));
        assert_eq!(subdomain("example.com"), None);
        assert_eq!(registered_domain("co.uk"), None);
        assert_eq!(registered_domain("."), None);
        assert_eq!(
            registered_domain("x.y.duckdns.org"),
            Some("y.duckdns.org"),
            "customers are apart"
        );
        assert_eq!(registered_domain(r"x.a\.b.com"), Some(r"a\.b.com"));
        assert_eq!(
            registered_domain("host.corp"),
            Some("host.corp"),
            "an unknown top is a suffix"
        );
    }

    #[test]
    fn entropy_is_shannons() {
        assert_eq!(entropy(""), 0);
        assert_eq!(entropy("aaaa"), 0);
        assert_eq!(entropy("abab"), 1_000_000_000);
        assert_eq!(entropy("abcdefgh"), 3_000_000_000);
        // 2 of 3 and 1 of 3: 0.9183 bits.
        assert_eq!(entropy("aab"), 918_300_000);
    }
}
