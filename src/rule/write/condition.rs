//! A condition as `where` has it.

use super::{list, mapping, plain, text};
use crate::event::{Field, Type};
use crate::rule::pattern::{Patterns, Shape};
use crate::rule::yaml::{Node, Value};
use crate::rule::{Against, Comparison, Condition, Test};
use crate::time::Timestamp;

/// What of a condition no `where` says.
pub(super) fn unsaid(condition: &Condition) -> Option<&'static str> {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().find_map(unsaid),
        Condition::Not(part) => unsaid(part),
        Condition::Exists(_) | Condition::Listed(_) => None,
        Condition::Compare(comparison) => {
            comparison.tests.iter().find_map(|test| match test.against {
                Against::Part(..) => Some("it asks for a part of a moment"),
                Against::Within(_) => Some("it looks for one field's text in another"),
                _ => None,
            })
        }
    }
}

/// A mapping as `where`, `not` and the items of `and` and `or` take it.
pub(super) fn node(condition: &Condition) -> Node {
    match condition {
        Condition::All(parts) if parts.is_empty() => always(),
        Condition::Any(parts) if parts.is_empty() => never(),
        Condition::All(parts) => {
            let parts: Vec<Node> = parts.iter().map(node).collect();
            // Beside each other where no key is there twice.
            let mut entries: Vec<(String, Node)> = Vec::new();
            for part in &parts {
                let [(key, asked)] = entries_of(part) else {
                    return joined("and", parts);
                };
                let key = key_of(key);
                if entries.iter().any(|(known, _)| *known == key) {
                    return joined("and", parts);
                }
                entries.push((key, asked.clone()));
            }
            if entries.len() < 2 {
                return joined("and", parts);
            }
            mapping(
                entries
                    .iter()
                    .map(|(key, asked)| (key.as_str(), asked.clone())),
            )
        }
        Condition::Any(parts) => joined("or", parts.iter().map(node).collect()),
        Condition::Not(part) => mapping([("not", node(part))]),
        Condition::Exists(field) => mapping([(field.name(), exists(true))]),
        Condition::Compare(comparison) => compared(comparison),
        // The lookup itself says so.
        Condition::Listed(_) => always(),
    }
}

fn joined(joint: &str, parts: Vec<Node>) -> Node {
    mapping([(joint, list(parts.into_iter()))])
}

fn exists(is_there: bool) -> Node {
    mapping([("exists", plain(is_there))])
}

/// What every event meets.
fn always() -> Node {
    mapping([(Field::Query.name(), exists(true))])
}

/// What no event meets.
fn never() -> Node {
    mapping([(Field::Query.name(), exists(false))])
}

fn entries_of(node: &Node) -> &[(Node, Node)] {
    match &node.value {
        Value::Mapping(entries) => entries,
        _ => &[],
    }
}

fn key_of(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, .. } => text.clone(),
        _ => String::new(),
    }
}

fn compared(comparison: &Comparison) -> Node {
    let field = comparison.field;
    // A list of nothing covers no value.
    if comparison
        .tests
        .iter()
        .any(|test| !test.negated && is_empty(&test.against))
    {
        return never();
    }
    let tests: Vec<(&'static str, Node)> = comparison
        .tests
        .iter()
        .filter(|test| !is_empty(&test.against))
        .map(|test| tested(field, test))
        .collect();
    if tests.is_empty() {
        return mapping([(field.name(), exists(true))]);
    }
    if let ([("=", patterns)], false) = (tests.as_slice(), comparison.every) {
        return mapping([(field.name(), patterns.clone())]);
    }
    let mut is_twice = false;
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in &tests {
        is_twice |= keys.contains(key);
        keys.push(key);
    }
    let mut entries = tests;
    if is_twice {
        let parts = entries.into_iter().map(|test| mapping([test]));
        entries = vec![("and", list(parts))];
    }
    if comparison.every {
        entries.push(("every", plain(true)));
    }
    mapping([(field.name(), mapping(entries))])
}

fn is_empty(against: &Against) -> bool {
    match against {
        Against::Patterns(patterns) => patterns.is_empty(),
        Against::Networks(networks) => networks.is_empty(),
        Against::Expressions(expressions) => expressions.is_empty(),
        Against::Number(..) | Against::Field(_) | Against::Within(_) | Against::Part(..) => false,
    }
}

/// A test as an operator and what it compares with.
fn tested(field: Field, test: &Test) -> (&'static str, Node) {
    let (operator, operand) = match &test.against {
        Against::Patterns(patterns) if test.negated => return ("!=", patterns_of(patterns)),
        Against::Patterns(patterns) => ("=", patterns_of(patterns)),
        Against::Number(relation, number) => (relation.symbol(), number_of(field, *number)),
        Against::Networks(networks) => (
            "cidr",
            list(networks.iter().map(|network| text(&network.to_string()))),
        ),
        Against::Expressions(expressions) => (
            "regex",
            list(
                expressions
                    .iter()
                    .map(|expression| text(expression.as_str())),
            ),
        ),
        Against::Field(other) => ("same_as", text(other.name())),
        // Both are Sigma's alone, and come this far in no rule.
        Against::Within(within) => ("same_as", text(within.field.name())),
        Against::Part(_, number) => ("==", plain(number)),
    };
    if test.negated {
        ("not", mapping([(operator, operand)]))
    } else {
        (operator, operand)
    }
}

/// A list, or the one pattern that it would have.
fn patterns_of(patterns: &Patterns) -> Node {
    let mut items: Vec<Node> = patterns
        .iter()
        .map(|pattern| {
            let said = text(&String::from_utf8_lossy(pattern.text));
            match pattern.shape {
                Shape::Glob | Shape::Exact => said,
                Shape::Domain => mapping([("domain", said)]),
            }
        })
        .collect();
    match items.len() {
        1 => items.remove(0),
        _ => list(items.into_iter()),
    }
}

/// A number; a moment as such.
fn number_of(field: Field, billionths: i128) -> Node {
    if field.value_type() == Type::Time
        && let Ok(nanos) = i64::try_from(billionths)
    {
        return text(&Timestamp::from_nanos(nanos).to_string());
    }
    number(billionths)
}

/// Billionths as a number without needless zeros.
pub(super) fn number(billionths: i128) -> Node {
    let sign = if billionths < 0 { "-" } else { "" };
    let digits = billionths.unsigned_abs();
    let whole = digits / 1_000_000_000;
    let fraction = format!("{:09}", digits % 1_000_000_000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    plain(format!("{sign}{whole}{point}{fraction}"))
}
