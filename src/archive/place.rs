//! Where files lie: `metrics/day=2026-11-30/shard=07/<start>-<sequence>.parquet`.

use std::fmt;

use jiff::civil::Date;

/// The folder of all metrics.
pub const METRICS: &str = "metrics/";
const DAY_MS: i64 = 86_400_000;
const ENDING: &str = ".parquet";

/// A day in UTC, by its number since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

/// The series of one shard on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The day of the samples.
    pub day: Day,
    /// The shard of the series.
    pub shard: u32,
}

/// A file of a partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Where it belongs.
    pub partition: Partition,
    /// Its name there.
    pub file: String,
}

// === impl Day ===

impl Day {
    /// The day of a moment; the first or last that has a name where the moment is beyond them.
    pub fn of(timestamp_ms: i64) -> Self {
        let bounds = Self::number(Date::MIN)..=Self::number(Date::MAX);
        let day = i32::try_from(timestamp_ms.div_euclid(DAY_MS)).unwrap_or(if timestamp_ms < 0 {
            i32::MIN
        } else {
            i32::MAX
        });
        Self(day.clamp(*bounds.start(), *bounds.end()))
    }

    /// The day `days` before this one.
    pub fn before(self, days: u32) -> Self {
        Self(self.0.saturating_sub_unsigned(days))
    }

    /// Its first millisecond, and that of the day after it.
    pub fn bounds_ms(self) -> (i64, i64) {
        (i64::from(self.0) * DAY_MS, (i64::from(self.0) + 1) * DAY_MS)
    }

    fn number(date: Date) -> i32 {
        let epoch = Date::constant(1970, 1, 1);
        date.since(epoch).map_or(0, |span| span.get_days())
    }

    fn date(self) -> Date {
        let epoch = Date::constant(1970, 1, 1);
        epoch.saturating_add(jiff::Span::new().days(self.0))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.date())
    }
}

// === impl Partition ===

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{METRICS}day={}/shard={:02}", self.day, self.shard)
    }
}

// === impl Place ===

impl Place {
    /// The place of a file that begins at `start_ms`; `sequence` tells it from all others.
    pub fn new(partition: Partition, start_ms: i64, sequence: &str) -> Self {
        Self { partition, file: format!("{start_ms}-{sequence}{ENDING}") }
    }

    /// The place by its path from the root of an archive; nothing for the path of anything else.
    pub fn read(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix(METRICS)?.split('/');
        let date: Date = parts.next()?.strip_prefix("day=")?.parse().ok()?;
        let shard = parts.next()?.strip_prefix("shard=")?.parse().ok()?;
        let file = parts.next()?.to_owned();
        let is_ours = file.ends_with(ENDING) && !file.starts_with('.') && parts.next().is_none();
        is_ours.then_some(Self { partition: Partition { day: Day(Day::number(date)), shard }, file })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.file)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_place_is_spelled_as_hive_partitions_are() {
        let partition = Partition { day: Day::of(1_796_033_730_000), shard: 7 };
        let place = Place::new(partition, 1_796_033_730_000, "5f3a9c1e-0001");
        assert_eq!(place.to_string(), "metrics/day=2026-11-30/shard=07/1796033730000-5f3a9c1e-0001.parquet");
        assert_eq!(Place::read(&place.to_string()), Some(place));
    }

    #[test]
    fn other_files_are_not_of_the_archive() {
        for path in [
            "models/a.parquet",
            "metrics/day=2026-11-30/shard=07/.a.parquet",
            "metrics/day=2026-11-30/shard=07/a.parquet.tmp",
            "metrics/day=2026-11-31/shard=07/a.parquet",
            "metrics/day=2026-11-30/shard=07/b/a.parquet",
            "metrics/day=2026-11-30/a.parquet",
        ] {
            assert_eq!(Place::read(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn every_moment_has_a_day_that_is_read_back(timestamp_ms in any::<i64>(), shard in any::<u32>()) {
            let place = Place::new(Partition { day: Day::of(timestamp_ms), shard }, timestamp_ms, "a");
            prop_assert_eq!(Place::read(&place.to_string()), Some(place));
        }

        #[test]
        fn a_day_holds_its_moments(timestamp_ms in -3_000_000_000_000_i64..4_000_000_000_000) {
            let (from, to) = Day::of(timestamp_ms).bounds_ms();
            prop_assert!((from..to).contains(&timestamp_ms));
        }
    }
}
