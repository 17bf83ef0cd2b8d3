//! Packet time: the only clock that a row or an event knows is the capture's.

use std::fmt;
use std::time::Duration;

/// A part of a moment as the calendar has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// Of the month, from 1.
    Day,
    /// Of the year, from 1 (ISO 8601).
    Week,
    /// From 1.
    Month,
    /// With its century.
    Year,
}

/// A moment in packet time: nanoseconds since 1970-01-01T00:00:00Z.
///
/// Prints as RFC 3339 in UTC with six digits of fraction, with nine where the capture recorded nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Before every packet.
    pub const MIN: Self = Self(i64::MIN);
    /// After every packet.
    pub const MAX: Self = Self(i64::MAX);

    /// The moment `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The moment `seconds` and `nanos` nanoseconds after the epoch; times out of range stay at the range's end.
    #[must_use]
    pub const fn from_parts(seconds: i64, nanos: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// The moment `span` later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// The moment `span` earlier.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }

    /// The moment so many nanoseconds later.
    #[must_use]
    pub const fn after(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to this moment, negative where `earlier` is the later one.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The time from `earlier` to this moment, zero where `earlier` is the later one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanos_since(earlier)).unwrap_or(0))
    }

    /// The same moment for the calendar; `None` outside the years that RFC 3339 can write.
    fn calendar(self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).ok()
    }

    /// A part of the moment in UTC; `None` outside the years that RFC 3339 can write.
    #[must_use]
    pub fn part(self, part: Part) -> Option<i64> {
        let date = self.calendar()?.to_zoned_datetime(jiff::tz::TimeZone::UTC);
        Some(i64::from(match part {
            Part::Minute => i16::from(date.minute()),
            Part::Hour => i16::from(date.hour()),
            Part::Day => i16::from(date.day()),
            Part::Week => i16::from(date.date().iso_week_date().week()),
            Part::Month => i16::from(date.month()),
            Part::Year => date.year(),
        }))
    }

    /// RFC 3339 in UTC to the second, as tables print it.
    #[must_use]
    pub fn to_second(self) -> String {
        self.in_form("%Y-%m-%dT%H:%M:%SZ")
    }

    /// The date in UTC.
    #[must_use]
    pub fn to_date(self) -> String {
        self.in_form("%Y-%m-%d")
    }

    /// The moment in UTC in a form of `strftime`, with its `%f`.
    #[must_use]
    pub fn in_form(self, form: &'static str) -> String {
        match self.calendar() {
            Some(time) => time.strftime(form).to_string(),
            None => self.to_string(),
        }
    }

    /// Milliseconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// `%Y-%m-%dT%H:%M:%S` in the machine's time zone, the form of Splunk's `security_content_ctime`.
    #[must_use]
    pub fn to_local(self) -> String {
        match self.calendar() {
            Some(time) => time
                .to_zoned_datetime(jiff::tz::TimeZone::system())
                .strftime("%Y-%m-%dT%H:%M:%S")
                .to_string(),
            None => self.to_string(),
        }
    }

    /// Reads a moment as a person writes it: RFC 3339 (`2026-01-02T03:04:05Z`, also with an offset), a date and time or
    /// a date without a zone (UTC), or seconds since the epoch with or without a fraction.
    ///
    /// # Errors
    /// Says what the text should look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::from_calendar(time));
        }
        if let Ok(time) = text.parse::<jiff::civil::DateTime>()
            && let Ok(zoned) = time.to_zoned_datetime(jiff::tz::TimeZone::UTC)
        {
            return Ok(Self::from_calendar(zoned.timestamp()));
        }
        if let Some(time) = epoch_seconds(text) {
            return Ok(time);
        }
        Err(format!(
            "'{text}' is not a time: expected RFC 3339 such as 2026-01-02T03:04:05Z, a date such as 2026-01-02 (UTC), or seconds since 1970"
        ))
    }

    /// Gives what it prints as to `put`, digit by digit: every event has a time, and a formatter costs much more.
    pub fn write(self, mut put: impl FnMut(&[u8])) {
        let Some(time) = self.calendar() else {
            put(self.to_string().as_bytes());
            return;
        };
        let time = jiff::tz::Offset::UTC.to_datetime(time);
        let nanos = time.subsec_nanosecond();
        let [a, b] = two_digits(i32::from(time.year()) / 100);
        let [c, d] = two_digits(i32::from(time.year()));
        let [e, f] = two_digits(time.month().into());
        let [g, h] = two_digits(time.day().into());
        let [i, j] = two_digits(time.hour().into());
        let [k, l] = two_digits(time.minute().into());
        let [m, n] = two_digits(time.second().into());
        let [o, p] = two_digits(nanos / 10_000_000);
        let [q, r] = two_digits(nanos / 100_000);
        let [s, t] = two_digits(nanos / 1_000);
        put(&[
            a, b, c, d, b'-', e, f, b'-', g, h, b'T', i, j, b':', k, l, b':', m, n, b'.', o, p, q,
            r, s, t,
        ]);
        if nanos % 1_000 != 0 {
            let [u, v] = two_digits(nanos / 10);
            let [_, w] = two_digits(nanos);
            put(&[u, v, w]);
        }
        put(b"Z");
    }

    fn from_calendar(time: jiff::Timestamp) -> Self {
        Self(
            i64::try_from(time.as_nanosecond()).unwrap_or(if time.as_second() < 0 {
                i64::MIN
            } else {
                i64::MAX
            }),
        )
    }
}

/// The last two digits of a number that is not negative.
fn two_digits(number: i32) -> [u8; 2] {
    let number = (number % 100).unsigned_abs() as u8;
    [b'0' + number / 10, b'0' + number % 10]
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(time) = self.calendar() else {
            return write!(f, "{}ns", self.0);
        };
        if self.0 % 1_000 == 0 {
            write!(f, "{time:.6}")
        } else {
            write!(f, "{time:.9}")
        }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The span in nanoseconds, at most `i64::MAX`.
pub(crate) fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// `1767323045` or `1767323045.000006`.
fn epoch_seconds(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let seconds: i64 = seconds.parse().ok()?;
    if fraction.is_empty()
        || fraction.len() > 9
        || !fraction.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    Some(Timestamp::from_parts(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_of_a_moment_are_those_of_the_calendar_in_utc() {
        let time = Timestamp::parse("2027-01-01T23:59:05Z").unwrap();
        let parts = [Part::Year, Part::Month, Part::Day, Part::Hour, Part::Minute];
        assert_eq!(
            parts.map(|part| time.part(part)),
            [2027, 1, 1, 23, 59].map(Some)
        );
        // The week that begins on 28 December 2026 is that year's last (ISO 8601).
        assert_eq!(time.part(Part::Week), Some(53));
        assert_eq!(Timestamp::from_nanos(-1).part(Part::Year), Some(1969));
    }

    #[test]
    fn prints_to_the_precision_of_the_capture() {
        assert_eq!(
            Timestamp::from_parts(1_767_323_045, 6_000).to_string(),
            "2026-01-02T03:04:05.000006Z"
        );
        assert_eq!(
            Timestamp::from_parts(1_767_323_045, 6_001).to_string(),
            "2026-01-02T03:04:05.000006001Z"
        );
        assert_eq!(
            Timestamp::from_parts(1_767_323_045, 0).to_string(),
            "2026-01-02T03:04:05.000000Z"
        );
        assert_eq!(
            Timestamp::from_parts(1_767_323_045, 999_999_999).to_second(),
            "2026-01-02T03:04:05Z"
        );
        let late = Timestamp::from_parts(1_767_311_999, 999_999_999);
        assert_eq!(late.to_date(), "2026-01-01");
    }

    proptest! {
        #[test]
        fn digits_are_those_that_the_library_prints(
            nanos in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)], unit in prop_oneof![Just(1), Just(1_000), Just(1_000_000_000)],
        ) {
            let time = Timestamp::from_nanos(nanos / unit * unit);
            let mut text = Vec::new();
            time.write(|digits| text.extend_from_slice(digits));
            prop_assert_eq!(String::from_utf8(text).unwrap(), time.to_string());
        }
    }

    #[test]
    fn reads_what_people_write() {
        let expected = Timestamp::from_parts(1_767_323_045, 0);
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02T05:04:05+02:00",
            "2026-01-02 03:04:05",
            "1767323045",
            "1767323045.0",
        ] {
            assert_eq!(Timestamp::parse(text), Ok(expected), "{text}");
        }
        assert_eq!(
            Timestamp::parse("2026-01-02"),
            Ok(Timestamp::from_parts(1_767_312_000, 0))
        );
        assert!(Timestamp::parse("yesterday").is_err());
        assert!(Timestamp::parse("").is_err());
    }

    #[test]
    fn arithmetic_stays_in_range() {
        assert_eq!(Timestamp::MAX.plus(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.minus(Duration::MAX), Timestamp::MIN);
        assert_eq!(
            Timestamp::from_nanos(1).since(Timestamp::from_nanos(2)),
            Duration::ZERO
        );
        assert_eq!(Timestamp::MAX.nanos_since(Timestamp::MIN), i64::MAX);
    }
}
