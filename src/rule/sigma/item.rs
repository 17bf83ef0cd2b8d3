//! One line of a selection: a field, its modifiers and the values, as a condition.

use crate::rule::spelling::clip;
use data_encoding::BASE64;
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};
use rsigma_parser::{DetectionItem, Modifier, SigmaString, SigmaValue, SpecialChar, StringPart};

use super::detection::Translator;
use super::field::{self, Meaning};
use super::modifiers::{Encoding, Operator, Unicode, operator_of};
use crate::event::{Field, Type, billionths, network};
use crate::rule::condition::why_no_expression;
use crate::rule::pattern::{LONGEST, Patterns, Shape, check_name_pattern};
use crate::rule::yaml::{Node, Place, Value};
use crate::rule::{Against, Comparison, Condition, Relation, Test, Within};
use crate::time::Timestamp;

/// The most bytes that a compiled expression, and what it remembers as it runs, may take.
const EXPRESSION_BYTES: usize = 1 << 20;

/// What any one of must hold: values that can share a list do.
#[derive(Default)]
struct Alternatives {
    patterns: Patterns,
    expressions: Vec<Regex>,
    networks: Vec<IpNet>,
    others: Vec<Condition>,
}

impl Alternatives {
    fn test(&mut self, field: Field, against: Against) {
        self.others.push(compare(field, against));
    }

    fn into_condition(self, field: Field) -> Condition {
        let mut any = self.others;
        if !self.patterns.is_empty() {
            any.push(Condition::covered(field, self.patterns));
        }
        if !self.expressions.is_empty() {
            any.push(compare(
                field,
                Against::Expressions(self.expressions.into()),
            ));
        }
        if !self.networks.is_empty() {
            any.push(compare(field, Against::Networks(self.networks.into())));
        }
        Condition::any_of(any)
    }
}

fn compare(field: Field, against: Against) -> Condition {
    Condition::Compare(Comparison {
        field,
        every: false,
        tests: vec![Test {
            negated: false,
            against,
        }],
    })
}

fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

impl Translator<'_> {
    /// What a line of a selection asks. `selects` is false where it stands under an odd number of `not`.
    pub(super) fn item(
        &mut self,
        item: &DetectionItem,
        place: Place,
        values: Option<&Node>,
        selects: bool,
    ) -> Condition {
        let Some(name) = &item.field.name else {
            self.mistake(place, super::detection::KEYWORDS);
            return Condition::default();
        };
        let operator = match operator_of(&item.field.modifiers) {
            Ok(operator) => operator,
            Err(message) => {
                self.mistake(place, format!("`{}`: {message}", clip(name)));
                return Condition::default();
            }
        };
        let has = |modifier| item.field.modifiers.contains(&modifier);
        if has(Modifier::All) && item.values.len() < 2 {
            self.mistake(
                place,
                format!(
                    "`{}` has `all` and no list of values; expected two at least, or no `all`",
                    clip(name)
                ),
            );
        }
        if item.values.is_empty() {
            self.mistake(
                place,
                format!("`{}` has an empty list; expected a value in it", clip(name)),
            );
        }
        let found = match field::meaning(name) {
            Some(Meaning::Unseen(why)) => return self.unseen(name, why, place, selects),
            Some(Meaning::Coded(code)) => {
                if !matches!(operator, Operator::Text { .. })
                    || item.field.modifiers.iter().any(|modifier| {
                        !matches!(modifier, Modifier::All | Modifier::Neq | Modifier::Cased)
                    })
                {
                    self.mistake(
                        place,
                        format!(
                            "`{}` is another field here, value by value; expected whole values: {}",
                            clip(name),
                            code.values
                        ),
                    );
                    return Condition::default();
                }
                let mut parts = Vec::new();
                for (value, place) in with_places(&item.values, values, place) {
                    let text = text_of(value).unwrap_or_default();
                    match (code.condition)(&text) {
                        Some(condition) => parts.push(condition),
                        None => self.mistake(
                            place,
                            format!(
                                "`{}` is never '{}' here; expected {}",
                                clip(name),
                                clip(&text),
                                code.values
                            ),
                        ),
                    }
                }
                match has(Modifier::All) {
                    true => Condition::All(parts),
                    false => Condition::Any(parts),
                }
            }
            Some(Meaning::Field(field)) => {
                if let Operator::Exists = operator {
                    return self.exists(item, field, place);
                }
                let listed = with_places(&item.values, values, place);
                let condition = if has(Modifier::All) {
                    let mut parts = Vec::new();
                    for (value, place) in listed {
                        let mut one = Alternatives::default();
                        self.value(value, place, field, name, operator, &mut one);
                        parts.push(one.into_condition(field));
                    }
                    Condition::All(parts)
                } else {
                    let mut any = Alternatives::default();
                    for (value, place) in listed {
                        self.value(value, place, field, name, operator, &mut any);
                    }
                    any.into_condition(field)
                };
                if has(Modifier::Neq) {
                    return Condition::All(vec![Condition::Exists(field), not(condition)]);
                }
                condition
            }
            None => {
                self.mistake(
                    place,
                    format!(
                        "`{}` is nothing that an event has; {}",
                        clip(name),
                        field::expected(name)
                    ),
                );
                Condition::default()
            }
        };
        match has(Modifier::Neq) {
            true => not(found),
            false => found,
        }
    }

    /// A field that no packet shows: what is selected by it is refused, what it would take away stays.
    fn unseen(&mut self, name: &str, why: &str, place: Place, selects: bool) -> Condition {
        let name = clip(name);
        if selects {
            self.mistake(place, format!("the rule selects by `{name}`, and no packet shows it: {why}; expected a rule that selects by what a lookup is"));
        } else {
            self.warn(
                place,
                format!("no packet shows `{name}`: {why}; what would be filtered by it stays in"),
            );
        }
        Condition::default()
    }

    fn exists(&mut self, item: &DetectionItem, field: Field, place: Place) -> Condition {
        let wanted = match item.values.as_slice() {
            [SigmaValue::Bool(wanted)] => Some(*wanted),
            [other] => match text_of(other).unwrap_or_default().as_str() {
                "true" | "yes" => Some(true),
                "false" | "no" => Some(false),
                _ => None,
            },
            _ => None,
        };
        match wanted {
            Some(true) => field::is_there(field),
            Some(false) => not(field::is_there(field)),
            None => {
                self.mistake(
                    place,
                    "`exists` is neither true nor false; expected one of them",
                );
                Condition::default()
            }
        }
    }

    /// One value, among those of which any is enough.
    fn value(
        &mut self,
        value: &SigmaValue,
        place: Place,
        field: Field,
        name: &str,
        operator: Operator,
        any: &mut Alternatives,
    ) {
        let name = clip(name);
        if let SigmaValue::Null = value {
            match operator {
                Operator::Text {
                    start: true,
                    end: true,
                    ..
                } => any.others.push(not(field::is_there(field))),
                _ => self.mistake(
                    place,
                    format!("`{name}` is compared with nothing; expected a value"),
                ),
            }
            return;
        }
        let text = text_of(value).unwrap_or_default();
        if text.len() > LONGEST {
            self.mistake(
                place,
                format!(
                    "a value of {} bytes; expected at most {LONGEST}",
                    text.len()
                ),
            );
            return;
        }
        match operator {
            Operator::Exists => {}
            Operator::Number(relation) => match field.value_type() {
                Type::Time => match Timestamp::parse(&text) {
                    Ok(time) => any.test(
                        field,
                        Against::Number(relation, i128::from(time.as_nanos())),
                    ),
                    Err(message) => self.mistake(place, message),
                },
                Type::Number => match billionths(&text) {
                    Some(number) => any.test(field, Against::Number(relation, number)),
                    None => self.mistake(
                        place,
                        format!(
                            "`{name}` is compared with '{}'; expected a number such as 50 or 0.5",
                            clip(&text)
                        ),
                    ),
                },
                Type::Text | Type::Address | Type::Any => self.mistake(
                    place,
                    format!("`{name}` is no number; expected a field that is one"),
                ),
            },
            Operator::Part(part) => match (field.value_type(), text.parse::<i64>()) {
                (Type::Time, Ok(number)) => any.test(field, Against::Part(part, number)),
                (Type::Time, Err(_)) => self.mistake(
                    place,
                    format!(
                        "'{}' is no part of a moment; expected a whole number",
                        clip(&text)
                    ),
                ),
                _ => self.mistake(
                    place,
                    format!("`{name}` is no moment; expected `_time` (or `UtcTime`, `ts`)"),
                ),
            },
            Operator::Field { start, end, cased } => match field::meaning(&text) {
                Some(Meaning::Field(other)) => any.test(
                    field,
                    Against::Within(Within {
                        field: other,
                        at_start: start,
                        at_end: end,
                        cased,
                    }),
                ),
                _ => self.mistake(
                    place,
                    format!(
                        "`{}` is no field to compare with; {}",
                        clip(&text),
                        field::expected(&text)
                    ),
                ),
            },
            Operator::Network => match network(&text) {
                Some(_) if field.value_type() != Type::Address => self.mistake(
                    place,
                    format!("`{name}` holds no addresses; expected a field that does"),
                ),
                Some(network) => any.networks.push(network),
                None => self.mistake(
                    place,
                    format!(
                        "'{}' is no network; expected such as 10.0.0.0/8 or 2001:db8::/32",
                        clip(&text)
                    ),
                ),
            },
            Operator::Expression {
                ignore_case,
                multiline,
                dot_all,
            } => {
                if text.is_empty() {
                    self.mistake(place, "an empty regular expression; expected one");
                    return;
                }
                match expression(&text, ignore_case, multiline, dot_all) {
                    Ok(expression) => any.expressions.push(expression),
                    Err(error) => self.mistake(place, format!("'{}' is no regular expression: {}; expected one without look-around and back-references, which takes linear time", clip(&text), why_no_expression(&error))),
                }
            }
            Operator::Text {
                start,
                end,
                cased,
                encoding,
            } => {
                self.text(
                    value,
                    &text,
                    place,
                    field,
                    (start, end, cased),
                    encoding,
                    any,
                );
            }
        }
    }

    /// A value that is text, with Sigma's wildcards.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of them are of the one value"
    )]
    fn text(
        &mut self,
        value: &SigmaValue,
        text: &str,
        place: Place,
        field: Field,
        (start, end, cased): (bool, bool, bool),
        encoding: Encoding,
        any: &mut Alternatives,
    ) {
        let SigmaValue::String(string) = value else {
            match billionths(text).filter(|_| start && end && encoding == Encoding::default()) {
                // A number is meant as a number: 53 is also 53.0.
                Some(number) => any.test(field, Against::Number(Relation::Equal, number)),
                None => self.pattern(
                    &[StringPart::Plain(text.to_owned())],
                    place,
                    field,
                    (start, end, cased),
                    any,
                ),
            }
            return;
        };
        if encoding.dashes {
            self.dashes(string, place, (start, end, cased), any);
            return;
        }
        if encoding == Encoding::default() {
            if cased && is_lower_case(field) && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                self.warn(place, format!("`cased` with capitals on `{}`, which is always in lower case: '{}' never matches; `query_spelled` is as it was spelled", field.name(), clip(text)));
            }
            let parts = spelled_here(&string.parts, field, end);
            self.pattern(&parts, place, field, (start, end, cased), any);
            if let Some(plain) = unmapped(&string.parts, field) {
                self.pattern(&plain, place, field, (start, end, cased), any);
            }
            return;
        }
        let Some(plain) = string.as_plain() else {
            self.mistake(
                place,
                format!(
                    "'{}' has wildcards and is to be encoded; expected text without (`\\*`, `\\?`)",
                    clip(text)
                ),
            );
            return;
        };
        let bytes = match encoding.unicode {
            None => plain.into_bytes(),
            Some(Unicode::Little) => plain.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Some(Unicode::Big) => plain.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Some(Unicode::Marked) => [0xfeff]
                .into_iter()
                .chain(plain.encode_utf16())
                .flat_map(u16::to_le_bytes)
                .collect(),
        };
        if encoding.base64_anywhere {
            for encoded in base64_anywhere(&bytes) {
                self.pattern(
                    &[StringPart::Plain(encoded)],
                    place,
                    field,
                    (false, false, cased),
                    any,
                );
            }
            return;
        }
        let encoded = match encoding.base64 {
            true => BASE64.encode(&bytes),
            false => presentation(&bytes),
        };
        self.pattern(
            &[StringPart::Plain(encoded)],
            place,
            field,
            (start, end, cased),
            any,
        );
    }

    /// A pattern where `*` and literal text say it, else an expression over the whole value.
    fn pattern(
        &mut self,
        parts: &[StringPart],
        place: Place,
        field: Field,
        (start, end, cased): (bool, bool, bool),
        any: &mut Alternatives,
    ) {
        let many = StringPart::Special(SpecialChar::WildcardMulti);
        let before = (!start).then_some(&many);
        let after = (!end).then_some(&many);
        let parts = before.into_iter().chain(parts).chain(after);
        let (mut glob, mut expression) = (String::new(), r"\A".to_owned());
        let mut is_glob = !cased;
        for part in parts {
            match part {
                StringPart::Plain(text) => {
                    is_glob &= !text.contains('*');
                    glob.push_str(text);
                    expression.push_str(&regex::escape(text));
                }
                StringPart::Special(SpecialChar::WildcardMulti) => {
                    if !glob.ends_with('*') {
                        glob.push('*');
                    }
                    expression.push_str(".*");
                }
                StringPart::Special(SpecialChar::WildcardSingle) => {
                    is_glob = false;
                    expression.push('.');
                }
            }
        }
        expression.push_str(r"\z");
        if is_glob && !glob.is_empty() {
            let on_names = matches!(
                field,
                Field::Query | Field::QuerySpelled | Field::OtherQuestions
            );
            if on_names && let Err(message) = check_name_pattern(&glob) {
                self.warn(place, format!("{message}; it never matches"));
            }
            if let Err(message) = any.patterns.add(Shape::Glob, &glob) {
                self.mistake(place, message);
            }
            return;
        }
        self.whole(&expression, place, cased, any);
    }

    /// Each dash is any of the five that Windows takes for one.
    fn dashes(
        &mut self,
        string: &SigmaString,
        place: Place,
        (start, end, cased): (bool, bool, bool),
        any: &mut Alternatives,
    ) {
        let Some(plain) = string.as_plain() else {
            self.mistake(place, "`windash` on a value with wildcards; expected text without (`\\*`, `\\?`), and `contains` and the like beside it");
            return;
        };
        let text = regex::escape(&plain).replace(r"\-", "[-/\u{2013}\u{2014}\u{2015}]");
        let open = |closed: bool| if closed { "" } else { ".*" };
        let expression = format!(r"\A{}{text}{}\z", open(start), open(end));
        self.whole(&expression, place, cased, any);
    }

    fn whole(&mut self, expression: &str, place: Place, cased: bool, any: &mut Alternatives) {
        match self::expression(expression, !cased, false, true) {
            Ok(expression) => any.expressions.push(expression),
            Err(error) => self.mistake(
                place,
                format!(
                    "the value cannot be matched: {}; expected a shorter one",
                    why_no_expression(&error)
                ),
            ),
        }
    }
}

/// An expression that says itself what it asks otherwise than one of our own, in which case does not count and `.` is any
/// character.
fn expression(
    text: &str,
    ignore_case: bool,
    multiline: bool,
    dot_all: bool,
) -> Result<Regex, regex::Error> {
    let on = if multiline { "m" } else { "" };
    let off = match (ignore_case, dot_all) {
        (true, true) => "",
        (false, true) => "-i",
        (true, false) => "-s",
        (false, false) => "-is",
    };
    let text = match (on, off) {
        ("", "") => text.to_owned(),
        _ => format!("(?{on}{off}){text}"),
    };
    RegexBuilder::new(&text)
        .case_insensitive(true)
        .dot_matches_new_line(true)
        .size_limit(EXPRESSION_BYTES)
        .dfa_size_limit(EXPRESSION_BYTES)
        .build()
}

/// The values with their places in the file; the whole item's where they are not known one by one.
fn with_places<'a>(
    values: &'a [SigmaValue],
    node: Option<&'a Node>,
    place: Place,
) -> impl Iterator<Item = (&'a SigmaValue, Place)> {
    let nodes = match node.map(|node| &node.value) {
        Some(Value::Sequence(items)) => items.as_slice(),
        Some(_) => node.map(std::slice::from_ref).unwrap_or_default(),
        None => &[],
    };
    values.iter().enumerate().map(move |(number, value)| {
        let node = nodes.get(number);
        (value, node.map_or(place, |node| node.place))
    })
}

/// A value as the rule has it, its escapes read where that leaves no wildcard.
fn text_of(value: &SigmaValue) -> Option<String> {
    match value {
        SigmaValue::String(string) => {
            Some(string.as_plain().unwrap_or_else(|| string.original.clone()))
        }
        SigmaValue::Integer(number) => Some(number.to_string()),
        SigmaValue::Float(number) => Some(number.to_string()),
        SigmaValue::Bool(yes) => Some(yes.to_string()),
        SigmaValue::Null => None,
    }
}

/// Whether events write a field in lower case.
fn is_lower_case(field: Field) -> bool {
    matches!(
        field,
        Field::Query
            | Field::OtherQuestions
            | Field::Tld
            | Field::RegisteredDomain
            | Field::Subdomain
            | Field::ParentDomain
    )
}

/// A name without the final dot that some logs write and events do not.
fn spelled_here(parts: &[StringPart], field: Field, to_the_end: bool) -> Vec<StringPart> {
    let mut parts = parts.to_vec();
    if matches!(field, Field::Query | Field::QuerySpelled)
        && to_the_end
        && let Some(StringPart::Plain(text)) = parts.last_mut()
        && let Some(without) = text.strip_suffix('.')
        && !without.is_empty()
        && !without.ends_with('\\')
    {
        *text = without.to_owned();
    }
    parts
}

/// An answer as Sysmon writes it, `::ffff:192.0.2.1;`, as it stands in an event; `None` where it is not written so.
fn unmapped(parts: &[StringPart], field: Field) -> Option<Vec<StringPart>> {
    if field != Field::Answer {
        return None;
    }
    let mut parts = parts.to_vec();
    let mut is_other = false;
    if let Some(StringPart::Plain(text)) = parts.first_mut()
        && let Some(address) = text.strip_prefix("::ffff:")
        && address.contains('.')
    {
        *text = address.to_owned();
        is_other = true;
    }
    if let Some(StringPart::Plain(text)) = parts.last_mut()
        && let Some(without) = text.strip_suffix(';')
        && !without.is_empty()
    {
        *text = without.to_owned();
        is_other = true;
    }
    is_other.then_some(parts)
}

/// What is the same of the bytes in base64 wherever they begin in the encoded text, for each of the three places.
fn base64_anywhere(bytes: &[u8]) -> impl Iterator<Item = String> {
    (0..3usize).filter_map(|offset| {
        let mut shifted = vec![0; offset];
        shifted.extend_from_slice(bytes);
        let encoded = BASE64.encode(&shifted);
        // The characters that hold bits of what stands before, and of what follows, are left out.
        let start = [0, 2, 3].get(offset).copied()?;
        let behind = [0, 3, 2].get(shifted.len() % 3).copied()?;
        let end = encoded.len().checked_sub(behind)?;
        let same = encoded.get(start..end)?;
        (!same.is_empty()).then(|| same.to_owned())
    })
}

/// Bytes as events write those of names and texts (RFC 1035, section 5.1).
fn presentation(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'\\' => text.push_str(r"\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\{byte:03}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_found_wherever_the_bytes_begin() {
        // What stands around the text must not matter: the text is encoded at each place of a longer one.
        for text in ["a", "fo", "foo", "foobar", "IEX (New-Object"] {
            let patterns: Vec<String> = base64_anywhere(text.as_bytes()).collect();
            for before in 0..7 {
                for after in 0..5 {
                    let whole =
                        [&b"QzZ9x-~"[..before], text.as_bytes(), &b"=+k?_"[..after]].concat();
                    let encoded = BASE64.encode(&whole);
                    assert!(
                        patterns.iter().any(|pattern| encoded.contains(pattern)) || text.len() == 1,
                        "{text} in {encoded}: {patterns:?}"
                    );
                }
            }
        }
        let found: Vec<String> = base64_anywhere(b"foobar").collect();
        assert_eq!(found, ["Zm9vYmFy", "Zvb2Jhc", "mb29iYX"]);
    }
}
