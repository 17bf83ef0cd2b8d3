//! The modifiers of a field, checked, as the one thing that they ask.

use rsigma_parser::Modifier;

use crate::rule::Relation;
use crate::time::Part;

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    /// With text.
    Text {
        /// The value begins with it.
        start: bool,
        /// The value ends with it.
        end: bool,
        /// Case counts.
        cased: bool,
        /// What is done with the text before.
        encoding: Encoding,
    },
    /// With a regular expression.
    Expression {
        /// Case does not count.
        ignore_case: bool,
        /// `^` and `$` are at lines.
        multiline: bool,
        /// `.` is also a line's end.
        dot_all: bool,
    },
    /// With a network.
    Network,
    /// With a number.
    Number(Relation),
    /// A part of the moment with a number.
    Part(Part),
    /// With another field.
    Field {
        /// The value begins with it.
        start: bool,
        /// The value ends with it.
        end: bool,
        /// Case counts.
        cased: bool,
    },
    /// Whether it is there.
    Exists,
}

/// What is done with a text before it is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Encoding {
    /// It is made UTF-16.
    pub(super) unicode: Option<Unicode>,
    /// Then base64 (RFC 4648, section 4).
    pub(super) base64: bool,
    /// Then what all base64 has of it, wherever it stands in the encoded text.
    pub(super) base64_anywhere: bool,
    /// Each dash is any dash.
    pub(super) dashes: bool,
}

/// The forms of UTF-16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unicode {
    /// The low byte first.
    Little,
    /// The high byte first.
    Big,
    /// The low byte first, after a byte order mark.
    Marked,
}

/// What the modifiers of a field ask together; `all` and `neq` are about the values and left to others.
///
/// # Errors
/// Says which contradict each other, or cannot be honoured.
pub(super) fn operator_of(modifiers: &[Modifier]) -> Result<Operator, String> {
    use Modifier as M;
    let has = |modifier| modifiers.contains(&modifier);
    if has(M::Expand) {
        return Err("`expand` takes values from outside the rule, and there is no place for them; expected the values themselves".to_owned());
    }
    let operators: Vec<(M, &str)> = [
        (M::Contains, "contains"),
        (M::StartsWith, "startswith"),
        (M::EndsWith, "endswith"),
        (M::Re, "re"),
        (M::Cidr, "cidr"),
        (M::Exists, "exists"),
        (M::Lt, "lt"),
        (M::Lte, "lte"),
        (M::Gt, "gt"),
        (M::Gte, "gte"),
        (M::Minute, "minute"),
        (M::Hour, "hour"),
        (M::Day, "day"),
        (M::Week, "week"),
        (M::Month, "month"),
        (M::Year, "year"),
    ]
    .into_iter()
    .filter(|(modifier, _)| has(*modifier))
    .collect();
    if let [(_, first), (_, second), ..] = operators.as_slice() {
        return Err(format!(
            "`{first}` and `{second}` contradict each other; expected one of them"
        ));
    }
    let operator = operators.first().map(|(modifier, _)| *modifier);
    let is_text = matches!(
        operator,
        None | Some(M::Contains | M::StartsWith | M::EndsWith)
    );
    let (start, end) = match operator {
        Some(M::Contains) => (false, false),
        Some(M::StartsWith) => (true, false),
        Some(M::EndsWith) => (false, true),
        _ => (true, true),
    };
    let encoding = encoding_of(modifiers)?;
    if encoding != Encoding::default() && (!is_text || has(M::FieldRef)) {
        return Err("text is encoded to be compared as text; expected no other comparison beside the encoding".to_owned());
    }
    if encoding.base64_anywhere && matches!(operator, Some(M::StartsWith | M::EndsWith)) {
        return Err(
            "`base64offset` is for text that stands anywhere; expected `contains`".to_owned(),
        );
    }
    if operator != Some(M::Re) && (has(M::IgnoreCase) || has(M::Multiline) || has(M::DotAll)) {
        return Err(
            "`i`, `m` and `s` belong to a regular expression; expected them after `re`".to_owned(),
        );
    }
    if has(M::FieldRef) {
        let place = |wanted: M| modifiers.iter().position(|modifier| *modifier == wanted);
        let precedes = operator.is_some_and(|operator| place(operator) < place(M::FieldRef));
        if !is_text || precedes {
            return Err("`fieldref` is followed by nothing but `contains`, `startswith` or `endswith`; expected it before one of them, or alone".to_owned());
        }
        return Ok(Operator::Field {
            start,
            end,
            cased: has(M::Cased),
        });
    }
    Ok(match operator {
        Some(M::Re) => Operator::Expression {
            ignore_case: has(M::IgnoreCase),
            multiline: has(M::Multiline),
            dot_all: has(M::DotAll),
        },
        Some(M::Cidr) => Operator::Network,
        Some(M::Exists) => Operator::Exists,
        Some(M::Lt) => Operator::Number(Relation::Less),
        Some(M::Lte) => Operator::Number(Relation::AtMost),
        Some(M::Gt) => Operator::Number(Relation::Greater),
        Some(M::Gte) => Operator::Number(Relation::AtLeast),
        Some(M::Minute) => Operator::Part(Part::Minute),
        Some(M::Hour) => Operator::Part(Part::Hour),
        Some(M::Day) => Operator::Part(Part::Day),
        Some(M::Week) => Operator::Part(Part::Week),
        Some(M::Month) => Operator::Part(Part::Month),
        Some(M::Year) => Operator::Part(Part::Year),
        _ => Operator::Text {
            start,
            end,
            cased: has(M::Cased),
            encoding,
        },
    })
}

fn encoding_of(modifiers: &[Modifier]) -> Result<Encoding, String> {
    use Modifier as M;
    let has = |modifier| modifiers.contains(&modifier);
    let mut unicode = [
        (M::Wide, Unicode::Little),
        (M::Utf16be, Unicode::Big),
        (M::Utf16, Unicode::Marked),
    ]
    .into_iter()
    .filter(|(modifier, _)| has(*modifier))
    .map(|(_, unicode)| unicode);
    let encoding = Encoding {
        unicode: unicode.next(),
        base64: has(M::Base64),
        base64_anywhere: has(M::Base64Offset),
        dashes: has(M::WindAsh),
    };
    if unicode.next().is_some() {
        return Err("two forms of UTF-16; expected one of `wide`, `utf16be`, `utf16`".to_owned());
    }
    if encoding.base64 && encoding.base64_anywhere {
        return Err(
            "`base64` and `base64offset` contradict each other; expected one of them".to_owned(),
        );
    }
    let is_encoded = encoding.base64 || encoding.base64_anywhere || encoding.unicode.is_some();
    if encoding.dashes && is_encoded {
        return Err(
            "`windash` is of text, and encoded it is none; expected one of them".to_owned(),
        );
    }
    Ok(encoding)
}

/// The names of all modifiers.
const NAMES: [&str; 30] = [
    "contains",
    "startswith",
    "endswith",
    "all",
    "re",
    "i",
    "m",
    "s",
    "cased",
    "cidr",
    "exists",
    "lt",
    "lte",
    "gt",
    "gte",
    "neq",
    "base64",
    "base64offset",
    "wide",
    "utf16le",
    "utf16be",
    "utf16",
    "windash",
    "fieldref",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
];

/// What was expected in place of an unknown modifier.
pub(super) fn expected(name: &str) -> String {
    crate::rule::spelling::expected(name, &NAMES)
}
