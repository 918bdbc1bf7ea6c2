//! What is kept, and for how long.

use std::time::Duration;

use super::depot::{Depot, Kept};
use super::place::Day;
use crate::model::store::StoreError;

/// How long files are kept, and how many bytes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Days that ended longer ago are deleted.
    pub age: Duration,
    /// Of more than this, the oldest days are deleted; but today's files stay.
    pub bytes: u64,
}

const DAY: u64 = 86_400;

// === impl Retention ===

impl Retention {
    /// Deletes what is not kept at `now_ms`, and gives the number of files.
    ///
    /// # Errors
    ///
    /// Files that cannot be listed or deleted.
    pub(super) fn apply(&self, depot: &Depot, now_ms: i64) -> Result<u64, StoreError> {
        let all = depot.list()?;
        let gone = self.gone(&all, now_ms);
        gone.iter().try_for_each(|kept| depot.delete(&kept.place))?;
        Ok(gone.len() as u64)
    }

    /// Those of `all`, the oldest first, that are not kept.
    fn gone<'a>(&self, all: &'a [Kept], now_ms: i64) -> Vec<&'a Kept> {
        let today = Day::of(now_ms);
        let days = u32::try_from(self.age.as_secs().div_ceil(DAY)).unwrap_or(u32::MAX);
        let oldest = today.before(days);
        let mut bytes: u64 = all.iter().map(|kept| kept.bytes).sum();
        let mut gone = Vec::new();
        // Whole days go: half of one would look like a gap in the data.
        for day in all.chunk_by(|one, other| one.place.partition.day == other.place.partition.day) {
            let at = day.first().map_or(today, |kept| kept.place.partition.day);
            if at < oldest || (bytes > self.bytes && at < today) {
                bytes -= day.iter().map(|kept| kept.bytes).sum::<u64>();
                gone.extend(day);
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::place::{Partition, Place};

    const DAY_MS: i64 = 86_400_000;
    const NOW: i64 = 1_796_033_730_000;

    /// Two files of ten bytes on each of the last five days.
    fn all() -> Vec<Kept> {
        let place = |ago: i64, shard| {
            let at = NOW - ago * DAY_MS;
            Place::new(Partition { day: Day::of(at), shard }, at, "a")
        };
        let days = (0..5).rev();
        days.flat_map(|ago| [place(ago, 0), place(ago, 1)]).map(|place| Kept { place, bytes: 10 }).collect()
    }

    fn days_gone(age_days: u64, bytes: u64) -> usize {
        let all = all();
        let gone = Retention { age: Duration::from_secs(age_days * DAY), bytes }.gone(&all, NOW);
        assert!(gone.iter().zip(&all).all(|(gone, oldest)| *gone == oldest), "the oldest go first");
        assert_eq!(gone.len() % 2, 0);
        gone.len() / 2
    }

    #[test]
    fn days_that_are_too_old_go() {
        assert_eq!(days_gone(30, u64::MAX), 0);
        assert_eq!(days_gone(4, u64::MAX), 0, "a day counts from its end");
        assert_eq!(days_gone(2, u64::MAX), 2);
    }

    #[test]
    fn of_too_many_bytes_the_oldest_days_go_but_never_today() {
        assert_eq!(days_gone(30, 100), 0);
        assert_eq!(days_gone(30, 99), 1);
        assert_eq!(days_gone(30, 41), 3);
        assert_eq!(days_gone(30, 0), 4);
    }
}
