//! Splunk's relative times: `-70m@m`, `-1d@d`, `now`.

use crate::time::Timestamp;

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// The first Sunday after the epoch, which was a Thursday; Splunk's weeks begin on Sunday.
const SUNDAY: i64 = 3 * DAY;

/// How many shifts and snaps one time may have.
const MAX_STEPS: usize = 8;

/// One step from the time of the run to the time that is meant, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// So much later.
    Shift(i64),
    /// Back to the last multiple of `unit`, counted from `phase` after the epoch.
    Snap { unit: i64, phase: i64 },
}

/// A time relative to a run. Later runs never mean earlier times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relative(Vec<Step>);

impl Relative {
    /// Reads `now`, or any number of `-70m`, `+2h` and `@d`, one after another. Units are seconds, minutes, hours, days
    /// and weeks (`s m h d w`, or their names), in UTC; `@w1` is the last Monday.
    ///
    /// # Errors
    /// Says what the text should look like.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Self::steps(text.trim()).map(Self).ok_or_else(|| {
            format!(
                "'{text}' is not a relative time: expected now, or an offset such as -70m, -1d or -24h@h, in the units s, m, h, d and w"
            )
        })
    }

    fn steps(text: &str) -> Option<Vec<Step>> {
        let mut steps = Vec::new();
        if text == "now" {
            return Some(steps);
        }
        let mut rest = text;
        while let Some(sign) = rest.chars().next() {
            rest = rest.strip_prefix(sign)?;
            let end = rest.find(['+', '-', '@']).unwrap_or(rest.len());
            let (step, after) = rest.split_at_checked(end)?;
            steps.push(match sign {
                '+' => Step::Shift(shift(step)?),
                '-' => Step::Shift(shift(step)?.checked_neg()?),
                '@' => snap(step)?,
                _ => return None,
            });
            rest = after;
        }
        (1..=MAX_STEPS).contains(&steps.len()).then_some(steps)
    }

    /// The time meant by a run at `run`.
    pub(super) fn at(&self, run: Timestamp) -> Timestamp {
        Timestamp::from_nanos(
            self.0
                .iter()
                .fold(run.as_nanos(), |time, step| match *step {
                    Step::Shift(nanos) => time.saturating_add(nanos),
                    Step::Snap { unit, phase } => {
                        time.saturating_sub(time.saturating_sub(phase).rem_euclid(unit))
                    }
                }),
        )
    }

    /// The most that the time meant can lie after the run, in nanoseconds: negative where it always lies before.
    pub(super) fn latest_offset(&self) -> i64 {
        self.0.iter().fold(0, |offset: i64, step| match *step {
            Step::Shift(nanos) => offset.saturating_add(nanos),
            Step::Snap { .. } => offset,
        })
    }
}

/// `70m` in nanoseconds; without a number it is one unit.
fn shift(text: &str) -> Option<i64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, name) = text.split_at_checked(end)?;
    let number: i64 = if number.is_empty() {
        1
    } else {
        number.parse().ok()?
    };
    number.checked_mul(unit(name)?)
}

/// `h` or `w1` as a snap.
fn snap(name: &str) -> Option<Step> {
    if let Some(day) = name
        .strip_prefix('w')
        .and_then(|day| day.parse::<u8>().ok())
    {
        // Both 0 and 7 are Sunday.
        let phase = SUNDAY + i64::from(day % 7) * DAY;
        return (day <= 7).then_some(Step::Snap { unit: WEEK, phase });
    }
    let unit = unit(name)?;
    let phase = if unit == WEEK { SUNDAY } else { 0 };
    Some(Step::Snap { unit, phase })
}

fn unit(name: &str) -> Option<i64> {
    Some(match name {
        "s" | "sec" | "secs" | "second" | "seconds" => SECOND,
        "m" | "min" | "mins" | "minute" | "minutes" => MINUTE,
        "h" | "hr" | "hrs" | "hour" | "hours" => HOUR,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => WEEK,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(relative: &str, run: &str) -> String {
        let run = Timestamp::parse(run).expect("a time");
        Relative::parse(relative)
            .expect("a relative time")
            .at(run)
            .to_second()
    }

    #[test]
    fn shifts_and_snaps_as_splunk_does() {
        let run = "2026-01-02T03:04:05Z"; // A Friday.
        for (relative, expected) in [
            ("now", "2026-01-02T03:04:05Z"),
            ("-70m@m", "2026-01-02T01:54:00Z"),
            ("-10m@m", "2026-01-02T02:54:00Z"),
            ("-24h@h", "2026-01-01T03:00:00Z"),
            ("-1d@d", "2026-01-01T00:00:00Z"),
            ("@d", "2026-01-02T00:00:00Z"),
            ("-h", "2026-01-02T02:04:05Z"),
            ("-30s", "2026-01-02T03:03:35Z"),
            ("+5minutes", "2026-01-02T03:09:05Z"),
            ("-1week", "2025-12-26T03:04:05Z"),
            ("@w", "2025-12-28T00:00:00Z"),
            ("@w0", "2025-12-28T00:00:00Z"),
            ("@w7", "2025-12-28T00:00:00Z"),
            ("@w1", "2025-12-29T00:00:00Z"),
            ("@w5", "2026-01-02T00:00:00Z"),
            ("@w6", "2025-12-27T00:00:00Z"),
            ("-1d@d+2h", "2026-01-01T02:00:00Z"),
        ] {
            assert_eq!(at(relative, run), expected, "{relative}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_follow() {
        for text in [
            "",
            "5m",
            "-1mon",
            "@y",
            "-",
            "-m5",
            "rt-5m",
            "-5x",
            "@",
            "@w8",
            "-99999999999999999999m",
            "-999999999999w",
            "yesterday",
            "-5m @m",
            "é",
            "-5é",
        ] {
            assert!(Relative::parse(text).is_err(), "{text}");
        }
        assert!(Relative::parse(&"-1m".repeat(MAX_STEPS + 1)).is_err());
    }

    #[test]
    fn stays_in_range() {
        for text in ["-70m@m", "+7w@w1", "now"] {
            let relative = Relative::parse(text).expect("a relative time");
            assert!(relative.at(Timestamp::MIN) <= relative.at(Timestamp::MAX));
        }
    }
}
