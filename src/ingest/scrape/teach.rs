//! Which scrape of a target's interval the detector learns from (P28).

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How much of the interval must have passed since the last teaching scrape, so that a scraper's jitter
/// does not make it miss its turn.
const PART_OF_INTERVAL: f64 = 0.75;

/// When each target taught last.
///
/// Several scrapers of one target (an HA pair, a person with curl) get scores from one state, which
/// only the first of an interval moves on.
#[derive(Debug)]
pub(super) struct Lessons {
    /// The lock covers one look-up or insertion and is never held across anything else.
    last: Mutex<HashMap<String, Instant>>,
    limit: usize,
}

// === impl Lessons ===

impl Lessons {
    /// Remembers at most `limit` targets, the longest silent ones forgotten first.
    pub(super) fn new(limit: usize) -> Self {
        Self { last: Mutex::default(), limit }
    }

    /// Whether the scrape of `target` that began at `now` teaches; if so the interval is taken.
    pub(super) fn take(&self, target: &str, interval: Duration, now: Instant) -> bool {
        let mut last = self.last.lock();
        if let Some(taught) = last.get_mut(target) {
            let due = now.saturating_duration_since(*taught) >= interval.mul_f64(PART_OF_INTERVAL);
            if due {
                *taught = now;
            }
            return due;
        }
        if last.len() >= self.limit {
            let oldest = last.iter().min_by_key(|(_, taught)| **taught).map(|(name, _)| name.clone());
            oldest.and_then(|name| last.remove(&name));
        }
        last.insert(target.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p28_one_scrape_of_an_interval_teaches_whoever_sends_it() {
        let lessons = Lessons::new(10);
        let start = Instant::now();
        let interval = Duration::from_secs(20);
        // Two scrapers at 0 and 5 s of each interval, the first of them gone after a minute.
        let turns =
            [(0, true), (5, false), (20, true), (25, false), (39, true), (45, false), (65, true), (85, true)];
        for (second, want) in turns {
            let now = start + Duration::from_secs(second);
            assert_eq!(lessons.take("a", interval, now), want, "{second}");
        }
        assert!(lessons.take("b", interval, start));
    }

    #[test]
    fn the_longest_silent_target_is_forgotten_first() {
        let lessons = Lessons::new(2);
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let interval = Duration::from_secs(60);
        assert!(lessons.take("a", interval, at(0)));
        assert!(lessons.take("b", interval, at(1)));
        assert!(lessons.take("c", interval, at(2)));
        assert!(!lessons.take("b", interval, at(3)));
        assert!(lessons.take("a", interval, at(4)));
    }
}
