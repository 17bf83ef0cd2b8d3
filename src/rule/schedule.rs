//! When a search would run, and over what: cron expressions and Splunk's relative times, checked.

use std::str::FromStr;

/// Checks a cron expression of five fields.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn check_cron(text: &str) -> Result<(), String> {
    let fields = text.split_ascii_whitespace().count();
    if fields != 5 {
        return Err(format!(
            "the cron expression '{text}' has {fields} fields; expected 5: minute, hour, day of month, month, day of week"
        ));
    }
    croner::Cron::from_str(text).map(drop).map_err(|error| {
        format!("the cron expression '{text}' cannot be read ({error}); expected five fields such as 0 * * * *")
    })
}

/// Reads one of Splunk's relative times, and gives its distance from now in seconds, before it snaps.
///
/// The units are those whose length is fixed: s, m, h, d, w. A month would make spans of unequal length.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn relative_seconds(text: &str) -> Result<i64, String> {
    let wrong = || {
        format!(
            "'{text}' is not a relative time; expected such as -70m@m: a sign, a number, a unit (s, m, h, d, w), and after @ the unit to snap to"
        )
    };
    if text == "now" {
        return Ok(0);
    }
    let (offset, snap) = match text.split_once('@') {
        Some((offset, snap)) => (offset, Some(snap)),
        None => (text, None),
    };
    if let Some(snap) = snap {
        unit_seconds(snap).ok_or_else(wrong)?;
    }
    if offset.is_empty() && snap.is_some() {
        return Ok(0);
    }
    let (sign, amount) = match offset.split_at_checked(1) {
        Some(("-", amount)) => (-1i64, amount),
        Some(("+", amount)) => (1, amount),
        _ => return Err(wrong()),
    };
    let (number, unit) = match amount
        .find(|letter: char| !letter.is_ascii_digit())
        .and_then(|end| amount.split_at_checked(end))
    {
        Some(("", unit)) => (1, unit),
        Some((number, unit)) => (number.parse::<i64>().map_err(|_| wrong())?, unit),
        None => return Err(wrong()),
    };
    unit_seconds(unit)
        .and_then(|seconds| seconds.checked_mul(number))
        .map(|seconds| sign.saturating_mul(seconds))
        .ok_or_else(wrong)
}

fn unit_seconds(unit: &str) -> Option<i64> {
    match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        "w" => Some(604_800),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_times_are_read() {
        for (text, seconds) in [
            ("-70m@m", -4_200),
            ("-10m@m", -600),
            ("now", 0),
            ("@d", 0),
            ("-h", -3_600),
            ("+1w", 604_800),
            ("-1d@h", -86_400),
        ] {
            assert_eq!(relative_seconds(text), Ok(seconds), "{text}");
        }
        for bad in [
            "",
            "@",
            "-",
            "70m",
            "-70",
            "-70x",
            "-1mon",
            "-70m@",
            "-70m@x",
            "-99999999999999999999s",
            "yesterday",
            "é",
        ] {
            assert!(relative_seconds(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn cron_expressions_have_five_fields_in_range() {
        for good in ["0 * * * *", "*/15 * * * *", "5 4 * * 1-5", "0 0 1,15 * *"] {
            assert_eq!(check_cron(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "0 * * *",
            "61 * * * *",
            "0 25 * * *",
            "a b c d e",
            "@hourly",
            "0 * * * * *",
            "0 0 0 * *",
        ] {
            assert!(check_cron(bad).is_err(), "{bad}");
        }
    }
}
