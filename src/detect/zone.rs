//! A time zone: what the clock on the wall says, for seasons of the day and the week.

/// How far local time is ahead of UTC, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Times in milliseconds from which an offset in milliseconds holds, rising.
    changes: Box<[(i64, i64)]>,
    /// The offset before all of them.
    first_ms: i64,
}

// === impl Zone ===

impl Zone {
    /// Local time is `first_ms` ahead of UTC, and from each time of `changes` on, which rise, by the offset beside it.
    /// All in milliseconds.
    pub fn new(first_ms: i64, changes: impl IntoIterator<Item = (i64, i64)>) -> Self {
        Self { changes: changes.into_iter().collect(), first_ms }
    }

    /// What the clock on the wall says at `at_ms`, as milliseconds since 1970 began there.
    #[inline]
    pub fn local_ms(&self, at_ms: i64) -> i64 {
        let passed = self.changes.partition_point(|(from_ms, _)| *from_ms <= at_ms);
        let offset_ms = passed.checked_sub(1).map_or(self.first_ms, |last| self.changes[last].1);
        at_ms.saturating_add(offset_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_offset_holds_from_its_time_on() {
        let zone = Zone::new(10, [(100, 20), (200, 10)]);
        let local = [i64::MIN, 0, 99, 100, 199, 200, i64::MAX].map(|at| zone.local_ms(at));
        assert_eq!(local, [i64::MIN + 10, 10, 109, 120, 219, 210, i64::MAX]);
    }
}
