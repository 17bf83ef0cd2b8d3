//! The runs of a scheduled search: when they happen (cron, in UTC) and which span of time each searches.

use std::cmp::Ordering;

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CivilDateTime, Cron, CronDateTime, Resolution, Weekday};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::relative::Relative;
use super::windows::Tile;
use crate::rule::Schedule;
use crate::time::Timestamp;

/// In how many tiles of one rule an event may lie: a run every five minutes over a day. The earliest count.
pub(super) const MAX_TILES: usize = 288;

/// The runs of one rule.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    cron: Cron,
    earliest: Relative,
    latest: Relative,
    /// The last answer and the one before: events come nearly in order, and turn back and forth at a tile's edge.
    recent: [Found; 2],
}

/// The tiles of all moments of a span.
#[derive(Clone, Debug)]
struct Found {
    from: Timestamp,
    /// Exclusive.
    to: Timestamp,
    tiles: Vec<Tile>,
    cut: bool,
}

impl Found {
    /// No moment at all.
    const NOTHING: Self = Self {
        from: Timestamp::MAX,
        to: Timestamp::MIN,
        tiles: Vec::new(),
        cut: false,
    };

    fn holds(&self, time: Timestamp) -> bool {
        self.from <= time && time < self.to
    }
}

impl Runs {
    /// The runs of a schedule; of Splunk's files without one: every hour, over the hour that ended ten minutes before.
    ///
    /// # Errors
    /// Says what is wrong with the schedule.
    pub(super) fn new(schedule: Option<&Schedule>) -> Result<Self, String> {
        let (cron, earliest, latest) = schedule
            .map_or(("0 * * * *", "-70m@m", "-10m@m"), |schedule| {
                (&schedule.cron, &schedule.earliest, &schedule.latest)
            });
        let runs = Self {
            cron: CronParser::builder()
                .seconds(Seconds::Disallowed)
                .year(Year::Disallowed)
                .build()
                .parse(cron)
                .map_err(|error| {
                    format!("'{cron}' is not a cron expression of five fields: {error}")
                })?,
            earliest: Relative::parse(earliest)?,
            latest: Relative::parse(latest)?,
            recent: [Found::NOTHING, Found::NOTHING],
        };
        let run = runs
            .at_or_after(Timestamp::default())
            .ok_or_else(|| format!("the cron expression '{cron}' never comes true"))?;
        // Snapping can leave a single run with nothing: `@d` to `now` at midnight.
        let mut some = std::iter::successors(Some(run), |run| runs.after(*run)).take(100);
        if !some.any(|run| runs.tile(run).is_some()) {
            return Err(format!(
                "a search from '{earliest}' to '{latest}' is over nothing: earliest must lie before latest"
            ));
        }
        Ok(runs)
    }

    /// The tiles that hold a moment, and whether there were more than [`MAX_TILES`].
    pub(super) fn tiles(&mut self, time: Timestamp) -> (&[Tile], bool) {
        if !self.recent[0].holds(time) {
            self.recent.swap(0, 1);
            if !self.recent[0].holds(time) {
                self.recent[0] = self.find(time);
            }
        }
        let [found, _] = &self.recent;
        (&found.tiles, found.cut)
    }

    /// Both ends of the tiles only ever move forward from run to run, so the tiles that hold a moment are those of
    /// consecutive runs, and the answer is the same from the last end before it to the next start after it.
    fn find(&self, time: Timestamp) -> Found {
        let mut found = Found {
            from: Timestamp::MIN,
            to: Timestamp::MAX,
            tiles: Vec::new(),
            cut: false,
        };
        // A tile cannot end later than that after its run, so that earlier runs cannot hold the moment.
        let first =
            Timestamp::from_nanos(time.as_nanos().saturating_sub(self.latest.latest_offset()));
        let mut next = self.at_or_after(first);
        if let Some(before) = next.and_then(|run| self.before(run)) {
            found.from = self.latest.at(before);
        }
        while let Some(run) = next {
            next = self.after(run);
            let (start, end) = (self.earliest.at(run), self.latest.at(run));
            if end <= time {
                found.from = found.from.max(end);
                continue;
            }
            if start > time {
                found.to = found.to.min(start);
                break;
            }
            found.from = found.from.max(start);
            found.to = found.to.min(end);
            let Some(tile) = self.tile(run) else {
                continue;
            };
            // Snapping can give several runs the same tile: what they find is the same, and is found once.
            if found
                .tiles
                .last()
                .is_some_and(|last| (last.start, last.end) == (start, end))
            {
                continue;
            }
            if found.tiles.len() == MAX_TILES {
                found.cut = true;
                break;
            }
            found.tiles.push(tile);
        }
        found
    }

    /// What a run searches; `None` where that is nothing.
    fn tile(&self, run: Timestamp) -> Option<Tile> {
        let (start, end) = (self.earliest.at(run), self.latest.at(run));
        (start < end).then(|| Tile {
            start,
            end,
            closes: end.max(run),
        })
    }

    fn at_or_after(&self, time: Timestamp) -> Option<Timestamp> {
        // Runs are on whole seconds: the first one that is not before the moment.
        let second = time.as_nanos().div_euclid(1_000_000_000)
            + i64::from(time.as_nanos().rem_euclid(1_000_000_000) != 0);
        self.cron
            .find_next_occurrence(&Utc::from_second(second)?, true)
            .ok()?
            .moment()
    }

    fn after(&self, run: Timestamp) -> Option<Timestamp> {
        self.cron
            .find_next_occurrence(&Utc::from_run(run)?, false)
            .ok()?
            .moment()
    }

    fn before(&self, run: Timestamp) -> Option<Timestamp> {
        self.cron
            .find_previous_occurrence(&Utc::from_run(run)?, false)
            .ok()?
            .moment()
    }
}

/// A whole second in UTC as the cron library wants it.
#[derive(Clone, Copy, Debug)]
struct Utc {
    second: i64,
    civil: CivilDateTime,
    weekday: Weekday,
}

impl Utc {
    fn from_second(second: i64) -> Option<Self> {
        let time = jiff::Timestamp::from_second(second)
            .ok()?
            .to_zoned_datetime(TimeZone::UTC)
            .datetime();
        Self::new(second, time)
    }

    fn from_run(run: Timestamp) -> Option<Self> {
        Self::from_second(run.as_nanos().div_euclid(1_000_000_000))
    }

    fn new(second: i64, time: DateTime) -> Option<Self> {
        Some(Self {
            second,
            civil: CivilDateTime::from_ymd_hms_opt(
                i32::from(time.year()),
                u32::try_from(time.month()).ok()?,
                u32::try_from(time.day()).ok()?,
                u32::try_from(time.hour()).ok()?,
                u32::try_from(time.minute()).ok()?,
                u32::try_from(time.second()).ok()?,
            )?,
            weekday: Weekday::from_days_from_sunday(
                u32::try_from(time.weekday().to_sunday_zero_offset()).ok()?,
            ),
        })
    }

    fn from_civil(civil: CivilDateTime) -> Option<Self> {
        let time = DateTime::new(
            i16::try_from(civil.year()).ok()?,
            i8::try_from(civil.month()).ok()?,
            i8::try_from(civil.day()).ok()?,
            i8::try_from(civil.hour()).ok()?,
            i8::try_from(civil.minute()).ok()?,
            i8::try_from(civil.second()).ok()?,
            0,
        )
        .ok()?;
        Self::new(
            time.to_zoned_datetime(TimeZone::UTC)
                .ok()?
                .timestamp()
                .as_second(),
            time,
        )
    }

    /// The same in packet time; `None` outside its range, which ends long before the library gives up.
    fn moment(self) -> Option<Timestamp> {
        self.second
            .checked_mul(1_000_000_000)
            .map(Timestamp::from_nanos)
    }
}

impl CronDateTime for Utc {
    fn to_civil(&self) -> CivilDateTime {
        self.civil
    }

    fn civil_weekday(&self) -> Weekday {
        self.weekday
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        Self::from_civil(civil)
            .map(Resolution::Single)
            .ok_or(CronError::InvalidDate)
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        Self::from_second(self.second.checked_add(seconds)?)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.second.cmp(&other.second)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(cron: &str, earliest: &str, latest: &str) -> Schedule {
        Schedule {
            cron: cron.to_owned(),
            earliest: earliest.to_owned(),
            latest: latest.to_owned(),
        }
    }

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    fn spans(runs: &mut Runs, at: &str) -> Vec<(String, String, String)> {
        let (tiles, _) = runs.tiles(time(at));
        tiles
            .iter()
            .map(|tile| {
                (
                    tile.start.to_second(),
                    tile.end.to_second(),
                    tile.closes.to_second(),
                )
            })
            .collect()
    }

    fn span(start: &str, end: &str, closes: &str) -> (String, String, String) {
        let day = |clock| format!("2026-01-02T{clock}Z");
        (day(start), day(end), day(closes))
    }

    #[test]
    fn without_a_schedule_it_is_the_hour_until_ten_minutes_ago() {
        let mut runs = Runs::new(None).expect("runs");
        assert_eq!(
            spans(&mut runs, "2026-01-02T02:50:00Z"),
            [span("02:50:00", "03:50:00", "04:00:00")]
        );
        assert_eq!(
            spans(&mut runs, "2026-01-02T03:49:59.999999Z"),
            [span("02:50:00", "03:50:00", "04:00:00")]
        );
        assert_eq!(
            spans(&mut runs, "2026-01-02T03:50:00Z"),
            [span("03:50:00", "04:50:00", "05:00:00")]
        );
        assert_eq!(
            spans(&mut runs, "2026-01-02T02:49:59.999999999Z"),
            [span("01:50:00", "02:50:00", "03:00:00")]
        );
    }

    #[test]
    fn tiles_may_overlap_or_leave_gaps_or_be_the_same() {
        let mut overlapping =
            Runs::new(Some(&schedule("*/30 * * * *", "-60m", "now"))).expect("runs");
        assert_eq!(
            spans(&mut overlapping, "2026-01-02T03:10:00Z"),
            [
                span("02:30:00", "03:30:00", "03:30:00"),
                span("03:00:00", "04:00:00", "04:00:00")
            ]
        );
        let mut gaps = Runs::new(Some(&schedule("0 * * * *", "-10m", "now"))).expect("runs");
        assert_eq!(spans(&mut gaps, "2026-01-02T03:10:00Z"), []);
        assert_eq!(
            spans(&mut gaps, "2026-01-02T03:50:00Z"),
            [span("03:50:00", "04:00:00", "04:00:00")]
        );
        let mut same = Runs::new(Some(&schedule("*/15 * * * *", "-1h@h", "@h"))).expect("runs");
        assert_eq!(
            spans(&mut same, "2026-01-02T03:10:00Z"),
            [span("03:00:00", "04:00:00", "04:00:00")]
        );
        let mut ahead = Runs::new(Some(&schedule("0 * * * *", "@h", "+30m"))).expect("runs");
        assert_eq!(
            spans(&mut ahead, "2026-01-02T03:10:00Z"),
            [span("03:00:00", "03:30:00", "03:30:00")]
        );
    }

    #[test]
    fn cron_has_its_usual_meaning() {
        let mut mondays = Runs::new(Some(&schedule("30 6 * * MON", "-7d@d", "@d"))).expect("runs");
        let (tiles, cut) = mondays.tiles(time("2026-01-02T12:00:00Z"));
        assert!(!cut);
        assert_eq!(tiles.len(), 1);
        assert_eq!(tiles[0].start, time("2025-12-29"));
        assert_eq!(tiles[0].end, time("2026-01-05"));
        assert_eq!(tiles[0].closes, time("2026-01-05T06:30:00Z"));
        let mut leap = Runs::new(Some(&schedule("0 0 29 2 *", "-1d", "now"))).expect("runs");
        assert_eq!(leap.tiles(time("2028-02-28T12:00:00Z")).0.len(), 1);
        assert_eq!(leap.tiles(time("2026-02-28T12:00:00Z")).0.len(), 0);
    }

    #[test]
    fn too_many_tiles_are_cut_and_said() {
        let mut runs = Runs::new(Some(&schedule("* * * * *", "-24h", "now"))).expect("runs");
        let (tiles, cut) = runs.tiles(time("2026-01-02T12:00:30Z"));
        assert_eq!((tiles.len(), cut), (MAX_TILES, true));
        assert_eq!(tiles[0].end, time("2026-01-02T12:01:00Z"));
        let (tiles, cut) = runs.tiles(time("2026-01-02T12:01:00Z"));
        assert_eq!((tiles.len(), cut), (MAX_TILES, true));
        assert_eq!(tiles[0].end, time("2026-01-02T12:02:00Z"));
    }

    #[test]
    fn wrong_schedules_are_refused() {
        for (cron, earliest, latest, says) in [
            ("0 * * *", "-70m@m", "-10m@m", "five fields"),
            ("0 0 * * * *", "-70m@m", "-10m@m", "five fields"),
            ("61 * * * *", "-70m@m", "-10m@m", "five fields"),
            ("", "-70m@m", "-10m@m", "five fields"),
            ("0 0 30 2 *", "-70m@m", "-10m@m", "never"),
            ("0 * * * *", "-1mon", "-10m@m", "relative time"),
            ("0 * * * *", "-10m", "rt", "relative time"),
            ("0 * * * *", "-10m", "-20m", "over nothing"),
            ("0 * * * *", "now", "now", "over nothing"),
        ] {
            let error = Runs::new(Some(&schedule(cron, earliest, latest))).expect_err(cron);
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn ends_of_time_have_no_tile_or_one_and_come_to_an_end() {
        let mut runs = Runs::new(None).expect("runs");
        for moment in [Timestamp::MIN, Timestamp::MAX] {
            assert!(runs.tiles(moment).0.len() <= 1);
        }
    }

    /// When the minute `minute` of a day is one of the cron expression's.
    type Comes = fn(i64) -> bool;

    const CRONS: [(&str, Comes); 5] = [
        ("0 * * * *", |minute| minute % 60 == 0),
        ("*/7 * * * *", |minute| minute % 60 % 7 == 0),
        ("5,35 8-17 * * *", |minute| {
            (minute % 60 == 5 || minute % 60 == 35) && (8..=17).contains(&(minute / 60))
        }),
        ("30 6 * * *", |minute| minute == 390),
        ("*/20 */5 * * *", |minute| {
            minute % 60 % 20 == 0 && minute / 60 % 5 == 0
        }),
    ];

    const SPANS: [(&str, &str); 8] = [
        ("@d", "now"),
        ("-70m@m", "-10m@m"),
        ("-24h@h", "now"),
        ("-1d@d", "@d"),
        ("-15m", "-5m"),
        ("@h", "+90m@h"),
        ("-3h@h", "-1h@h"),
        ("-2h@h", "-90m"),
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_event_is_in_the_tiles_of_all_runs_that_hold_it(
            cron in 0..CRONS.len(),
            over in 0..SPANS.len(),
            moments in prop::collection::vec((0..2 * 86_400_i64, 0..2_i64), 1..12),
        ) {
            let (cron, comes) = CRONS[cron];
            let (earliest, latest) = SPANS[over];
            let mut runs = Runs::new(Some(&schedule(cron, earliest, latest))).expect("runs");
            let (start_of, end_of) = (Relative::parse(earliest).unwrap(), Relative::parse(latest).unwrap());
            let base = 1_767_312_000;
            for (second, nanos) in moments {
                let moment = Timestamp::from_parts(base + second, nanos);
                let mut expected = Vec::new();
                for minute in -3 * 1_440..6 * 1_440_i64 {
                    let run = Timestamp::from_parts(base + 60 * minute, 0);
                    let (start, end) = (start_of.at(run), end_of.at(run));
                    if comes(minute.rem_euclid(1_440)) && start <= moment && moment < end {
                        expected.push((start, end));
                    }
                }
                expected.dedup();
                let (tiles, cut) = runs.tiles(moment);
                let found: Vec<_> = tiles.iter().map(|tile| (tile.start, tile.end)).collect();
                prop_assert!(!cut);
                prop_assert_eq!(found, expected, "{} {} {} {}", cron, earliest, latest, moment);
            }
        }
    }
}
