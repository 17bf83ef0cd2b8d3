//! What rules can reach, as a condition on the columns of the table of events.
//!
//! It may let more through than was asked for, and never less. Every text in it comes from rule files, which may be
//! strangers': it is a literal of printable ASCII, in which nothing ends the literal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::event::{Field, Outcome};
use crate::rule::Reach;
use crate::rule::pattern::{Pattern, Patterns, Shape};

/// No condition is longer, in bytes. A server reads 256 KiB of a query.
const LONGEST: usize = 128 << 10;
/// What one field is held against is no longer at first; where all of it is too long, less.
const LONGEST_PARTS: [usize; 3] = [64 << 10, 8 << 10, 1 << 10];
/// So many patterns with `*` are compared one by one; of more only the ends of the names are looked at.
const COMPARED: usize = 64;

/// The condition; nothing where any event may be asked for, or where it would be too long.
pub(super) fn condition(reach: &Reach) -> Option<String> {
    let mut tried = LONGEST_PARTS.iter().map(|part| sql(reach, *part));
    tried.find_map(|sql| sql.filter(|sql| sql.len() <= LONGEST))
}

fn sql(reach: &Reach, longest: usize) -> Option<String> {
    match reach {
        Reach::Everything => None,
        Reach::All(parts) => {
            let parts: Vec<String> = parts.iter().filter_map(|part| sql(part, longest)).collect();
            joined(parts, " AND ")
        }
        Reach::Any(parts) => {
            // Names of many rules are one list.
            let mut lists = BTreeMap::<Field, Vec<&Patterns>>::new();
            let mut others = Vec::new();
            for part in parts {
                match part {
                    Reach::Covered(field, patterns) => {
                        lists.entry(*field).or_default().push(patterns);
                    }
                    other => others.push(sql(other, longest)?),
                }
            }
            for (field, patterns) in lists {
                others.push(covered(field, &patterns, longest)?);
            }
            joined(others, " OR ").or_else(|| Some("0".to_owned()))
        }
        Reach::Covered(field, patterns) => covered(*field, &[patterns], longest),
        Reach::Within(field, networks) => within(*field, networks, longest),
    }
}

/// Parts in brackets, unless there is only one; nothing where there is none.
fn joined(mut parts: Vec<String>, by: &str) -> Option<String> {
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(format!("({})", parts.join(by))),
    }
}

/// The column that has a field, beside the name.
const fn column(field: Field) -> Option<&'static str> {
    match field {
        Field::Src | Field::SrcIp => Some("src"),
        Field::Dest | Field::DestIp => Some("dest"),
        Field::Host => Some("sensor"),
        Field::RecordType => Some("record_type"),
        Field::ReplyCode => Some("reply_code"),
        Field::Outcome => Some("outcome"),
        Field::Answer => Some("answer"),
        _ => None,
    }
}

/// That a field's value is covered by one of the patterns.
fn covered(field: Field, lists: &[&Patterns], longest: usize) -> Option<String> {
    if field == Field::Query {
        return of_names(lists, longest);
    }
    let column = column(field)?;
    let is_list = field == Field::Answer;
    let value = if is_list {
        "lower(it)"
    } else {
        "lower({column})"
    };
    let value = value.replace("{column}", column);
    let mut parts = Parts::new(longest);
    for pattern in lists.iter().flat_map(|list| list.iter()) {
        match pattern.shape {
            Shape::Domain => {
                parts.equal(0, pattern.text)?;
                parts.like(&[b"*.", pattern.text].concat())?;
            }
            Shape::Exact => parts.equal(0, pattern.text)?,
            Shape::Glob if pattern.text.contains(&b'*') => parts.like(pattern.text)?,
            Shape::Glob => parts.equal(0, pattern.text)?,
        }
    }
    // What was resolved, this run's `--sinkhole` may make blocked.
    if field == Field::Outcome && lists.iter().any(|list| list.cover(Outcome::Blocked.name())) {
        parts.equal(0, Outcome::Resolved.name().as_bytes())?;
    }
    let condition = parts.sql(&value);
    Some(match is_list {
        true => format!("arrayExists(it -> {condition}, {column})"),
        false => condition,
    })
}

/// That a name is covered by one of the patterns: by all that is known of it, else by its last labels, or by fewer of them,
/// as far as that becomes short enough.
fn of_names(lists: &[&Patterns], longest: usize) -> Option<String> {
    let with_star = |pattern: &Pattern<'_>| is_glob(*pattern);
    let globs = lists.iter().flat_map(|list| list.iter()).filter(with_star);
    let compares = globs.take(COMPARED + 1).count() <= COMPARED;
    let attempts = [
        (usize::MAX, compares),
        (usize::MAX, false),
        (3, false),
        (2, false),
        (1, false),
    ];
    attempts.into_iter().find_map(|(deepest, compares)| {
        let mut parts = Parts::new(longest);
        for pattern in lists.iter().flat_map(|list| list.iter()) {
            name(&mut parts, pattern, deepest, compares)?;
        }
        // The further names of a message that has several questions are beside the first.
        Some(format!(
            "({} OR notEmpty(other_questions))",
            parts.sql("query")
        ))
    })
}

fn is_glob(pattern: Pattern<'_>) -> bool {
    pattern.shape == Shape::Glob && pattern.text.contains(&b'*')
}

fn name(parts: &mut Parts, pattern: Pattern<'_>, deepest: usize, compares: bool) -> Option<()> {
    let end = pattern.suffix();
    let Some(end) = end.filter(|_| !(compares && is_glob(pattern))) else {
        return parts.like(pattern.text);
    };
    let depth = memchr::memchr_iter(b'.', end).count().saturating_add(1);
    if depth <= deepest {
        // What is covered is that name alone, or all that end so.
        let is_alone = pattern.shape != Shape::Domain && !is_glob(pattern);
        return parts.equal(if is_alone { 0 } else { depth }, end);
    }
    let from = memchr::memrchr_iter(b'.', end).nth(deepest.saturating_sub(1))?;
    parts.equal(deepest, end.get(from.saturating_add(1)..)?)
}

/// What a value is held against, until it is too long.
struct Parts {
    /// Texts that are the value, or so many of its last parts between dots; by how many, 0 for all of it.
    equal: BTreeMap<usize, BTreeSet<String>>,
    like: BTreeSet<String>,
    left: usize,
}

impl Parts {
    const fn new(longest: usize) -> Self {
        Self {
            equal: BTreeMap::new(),
            like: BTreeSet::new(),
            left: longest,
        }
    }

    fn equal(&mut self, depth: usize, text: &[u8]) -> Option<()> {
        let text = literal(text);
        let length = text.len().saturating_add(", ".len());
        if self.equal.entry(depth).or_default().insert(text) {
            self.left = self.left.checked_sub(length)?;
        }
        Some(())
    }

    /// Of a pattern in which `*` stands for any run of bytes.
    fn like(&mut self, pattern: &[u8]) -> Option<()> {
        let mut text = Vec::new();
        for &byte in pattern {
            match byte {
                b'*' => text.push(b'%'),
                b'%' | b'_' | b'\\' => text.extend([b'\\', byte]),
                other => text.push(other),
            }
        }
        let text = literal(&text);
        let length = text
            .len()
            .saturating_add("lower(record_type) LIKE  OR ".len());
        if self.like.insert(text) {
            self.left = self.left.checked_sub(length)?;
        }
        Some(())
    }

    fn sql(self, value: &str) -> String {
        let is_one_of = |(depth, texts): (usize, BTreeSet<String>)| {
            let texts: Vec<String> = texts.into_iter().collect();
            let value = match depth {
                0 => value.to_owned(),
                _ => format!(
                    "arrayStringConcat(arraySlice(splitByChar('.', {value}), -{depth}), '.')"
                ),
            };
            format!("{value} IN ({})", texts.join(", "))
        };
        let mut parts: Vec<String> = self.equal.into_iter().map(is_one_of).collect();
        parts.extend(self.like.iter().map(|text| format!("{value} LIKE {text}")));
        joined(parts, " OR ").unwrap_or_else(|| "0".to_owned())
    }
}

/// That an address is in one of the networks.
fn within(field: Field, networks: &Arc<[IpNet]>, longest: usize) -> Option<String> {
    // Answers are texts of any kind.
    let column = column(field).filter(|column| matches!(*column, "src" | "dest"))?;
    let is_ipv6 = format!("position({column}, ':') > 0");
    let (mut octets, mut others) = (BTreeMap::<usize, BTreeSet<String>>::new(), BTreeSet::new());
    let mut left = longest;
    for network in networks.iter().map(IpNet::trunc) {
        match network.addr() {
            _ if network.prefix_len() == network.max_prefix_len() => {
                let text = format!("'{}'", network.addr());
                left = left.checked_sub(text.len().saturating_add(2))?;
                octets.entry(0).or_default().insert(text);
            }
            _ if network.prefix_len() == 0 => {
                others.insert(match network.addr() {
                    IpAddr::V4(_) => format!("position({column}, ':') = 0"),
                    IpAddr::V6(_) => is_ipv6.clone(),
                });
            }
            IpAddr::V4(first) => {
                let (count, texts) = octets_of(first, network.prefix_len());
                for text in texts {
                    left = left.checked_sub(text.len().saturating_add(2))?;
                    octets.entry(count).or_default().insert(text);
                }
            }
            IpAddr::V6(first) => {
                let last = match network.broadcast() {
                    IpAddr::V6(last) => last,
                    IpAddr::V4(_) => continue,
                };
                let text = format!(
                    "if({is_ipv6}, IPv6StringToNum({column}), toFixedString('', 16)) BETWEEN {} AND {}",
                    bytes_of(first),
                    bytes_of(last)
                );
                left = left.checked_sub(text.len().saturating_add(4))?;
                others.insert(text);
            }
        }
    }
    let of_octets = |(count, texts): (usize, BTreeSet<String>)| {
        let texts: Vec<String> = texts.into_iter().collect();
        let value = match count {
            0 => column.to_owned(),
            _ => format!(
                "arrayStringConcat(arraySlice(splitByChar('.', {column}), 1, {count}), '.')"
            ),
        };
        format!("{value} IN ({})", texts.join(", "))
    };
    let parts = octets.into_iter().map(of_octets).chain(others).collect();
    joined(parts, " OR ").or_else(|| Some("0".to_owned()))
}

/// The first octets of all addresses of a network as they are written, and how many octets that are: 128 texts at most.
fn octets_of(first: Ipv4Addr, prefix: u8) -> (usize, Vec<String>) {
    let count = usize::from(prefix.div_ceil(8));
    let [a, b, c, d] = first.octets();
    let step = 1_u32 << (8 * prefix.div_ceil(8) - prefix);
    let texts = (0..step).map(|number| {
        // The network's own bits are above those that are counted.
        let mut octets = vec![a, b, c, d];
        octets.truncate(count);
        if let Some(last) = octets.last_mut() {
            *last = last.saturating_add(u8::try_from(number).unwrap_or(u8::MAX));
        }
        let octets: Vec<String> = octets.iter().map(u8::to_string).collect();
        format!("'{}'", octets.join("."))
    });
    (count, texts.collect())
}

fn bytes_of(address: Ipv6Addr) -> String {
    format!("toFixedString(unhex('{:032X}'), 16)", address.to_bits())
}

/// A text as a literal, whatever its bytes are.
pub(super) fn literal(text: &[u8]) -> String {
    let mut literal = String::with_capacity(text.len().saturating_add(2));
    literal.push('\'');
    for &byte in text {
        match byte {
            b'\'' | b'\\' => {
                literal.push('\\');
                literal.push(char::from(byte));
            }
            b' '..=b'~' => literal.push(char::from(byte)),
            // Writing to a string does not fail.
            other => write!(literal, "\\x{other:02X}").unwrap_or_default(),
        }
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(list: &[(Shape, &str)]) -> Arc<Patterns> {
        let mut patterns = Patterns::new();
        for (shape, text) in list {
            patterns.add(*shape, text).unwrap();
        }
        Arc::new(patterns)
    }

    fn names(list: &[(Shape, &str)]) -> Reach {
        Reach::Covered(Field::Query, patterns(list))
    }

    fn networks(list: &[&str]) -> Reach {
        let list: Vec<IpNet> = list.iter().map(|text| text.parse().unwrap()).collect();
        Reach::Within(Field::Src, list.into())
    }

    #[test]
    fn names_are_held_against_what_is_known_of_them() {
        let reach = names(&[
            (Shape::Exact, "a.example"),
            (Shape::Glob, "b.example"),
            (Shape::Domain, "ngrok.io"),
            (Shape::Glob, "*.ngrok.com"),
            (Shape::Glob, "korgn.*.lennut.com"),
        ]);
        assert_eq!(
            condition(&reach).unwrap(),
            "((query IN ('a.example', 'b.example') OR \
             arrayStringConcat(arraySlice(splitByChar('.', query), -2), '.') IN ('ngrok.io') OR \
             query LIKE '%.ngrok.com' OR query LIKE 'korgn.%.lennut.com') OR notEmpty(other_questions))"
        );
    }

    #[test]
    fn what_cannot_be_said_restricts_nothing() {
        let some = || names(&[(Shape::Exact, "a.example")]);
        let other = || Reach::Covered(Field::SrcPort, patterns(&[(Shape::Exact, "53")]));
        assert_eq!(condition(&Reach::Everything), None);
        assert_eq!(condition(&other()), None);
        assert_eq!(condition(&Reach::any([some(), other()])), None);
        assert_eq!(
            condition(&Reach::all([some(), other()])),
            condition(&some())
        );
        assert_eq!(condition(&Reach::any([])).as_deref(), Some("0"));
    }

    #[test]
    fn nothing_in_a_text_ends_it() {
        assert_eq!(literal(b"a'b\\c\n\xff\0d"), r"'a\'b\\c\x0A\xFF\x00d'");
        let reach = names(&[(Shape::Glob, "*') OR 1 --_%\\'*")]);
        assert_eq!(
            condition(&reach).unwrap(),
            r"(query LIKE '%\') or 1 --\\_\\%\\\\\'%' OR notEmpty(other_questions))"
        );
    }

    #[test]
    fn sources_are_held_against_octets_and_bounds() {
        let reach = networks(&[
            "10.16.0.0/14",
            "192.0.2.1/32",
            "2001:db8::/33",
            "fd00::1/128",
        ]);
        let octets = |count: usize| {
            format!("arrayStringConcat(arraySlice(splitByChar('.', src), 1, {count}), '.')")
        };
        assert_eq!(
            condition(&reach).unwrap(),
            format!(
                "(src IN ('192.0.2.1', 'fd00::1') OR {} IN ('10.16', '10.17', '10.18', '10.19') OR \
                 if(position(src, ':') > 0, IPv6StringToNum(src), toFixedString('', 16)) BETWEEN \
                 toFixedString(unhex('20010DB8000000000000000000000000'), 16) AND \
                 toFixedString(unhex('20010DB87FFFFFFFFFFFFFFFFFFFFFFF'), 16))",
                octets(2)
            )
        );
        let all = networks(&["0.0.0.0/0", "10.0.0.0/9"]);
        let sql = condition(&all).unwrap();
        assert!(sql.contains("position(src, ':') = 0"), "{sql}");
        assert!(
            sql.contains("'10.127'") && !sql.contains("'10.128'"),
            "{sql}"
        );
    }

    /// However many names there are, the condition is short, and still one where that is possible.
    #[test]
    fn many_names_become_their_ends() {
        let list = |count: usize, name: &dyn Fn(usize) -> String| {
            let mut patterns = Patterns::new();
            for number in 0..count {
                patterns.add(Shape::Domain, &name(number)).unwrap();
            }
            condition(&Reach::Covered(Field::Query, Arc::new(patterns)))
        };
        let deep = list(200_000, &|it| format!("h{it}.s{}.example.org", it % 7)).unwrap();
        assert!(deep.contains("-3), '.') IN ('s0.example.org', "), "{deep}");
        let wide = list(200_000, &|it| format!("www.name{it}.org")).unwrap();
        assert!(wide.contains("-1), '.') IN ('org')"), "{wide}");
        let reach = names(&[(Shape::Exact, "a.example")]);
        let hopeless = list(200_000, &|it| format!("x.top{it}"));
        assert_eq!(hopeless, None);
        // Many rules share the space.
        let rules = (0..100).map(|rule| {
            let mut patterns = Patterns::new();
            for number in 0..500 {
                let text = format!("rule{rule}.name{number}.example");
                patterns.add(Shape::Exact, &text).unwrap();
            }
            let names = Reach::Covered(Field::Query, Arc::new(patterns));
            Reach::all([names, networks(&["10.0.0.0/8"])])
        });
        let many = condition(&Reach::any(rules.chain([reach]))).unwrap();
        assert!(
            many.len() <= LONGEST && many.contains("'a.example'"),
            "{}",
            many.len()
        );
    }

    /// A naive reading of the parts of the condition says of every name what the patterns say, or more.
    #[test]
    fn no_name_is_lost() {
        let texts = [
            "a",
            "a.b",
            "b.a.b",
            "x\\.a.b",
            ".",
            "com",
            "q.a.b.com",
            "a.b.com",
        ];
        let shapes = [Shape::Exact, Shape::Domain, Shape::Glob];
        for shape in shapes {
            for text in texts
                .iter()
                .copied()
                .chain(["*a.b", "*.b.com", "q.*.com", "*"])
            {
                let list = patterns(&[(shape, text)]);
                for (deepest, compares) in [
                    (usize::MAX, true),
                    (usize::MAX, false),
                    (2, false),
                    (1, false),
                ] {
                    let mut parts = Parts::new(1_000);
                    for pattern in list.iter() {
                        name(&mut parts, pattern, deepest, compares).unwrap();
                    }
                    for value in texts {
                        let end = |depth: usize| {
                            let labels: Vec<&str> = value.split('.').collect();
                            let from = labels.len().saturating_sub(depth);
                            literal(labels.get(from..).unwrap().join(".").as_bytes())
                        };
                        let mut passes = parts.equal.iter().any(|(depth, texts)| match depth {
                            0 => texts.contains(&literal(value.as_bytes())),
                            depth => texts.contains(&end(*depth)),
                        });
                        // What LIKE says of it a glob says.
                        passes |= !parts.like.is_empty() && list.cover(value);
                        assert!(
                            passes || !list.cover(value),
                            "{shape:?} {text} {value} {deepest}"
                        );
                    }
                }
            }
        }
    }
}
