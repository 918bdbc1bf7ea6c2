//! When a scope was there: the seconds in which any sample of it lies.
//!
//! A series can only be missed by others. Where its whole scope was silent, since its one sender restarted, a page could
//! not be fetched or Sidelong itself was away, the wait for it begins anew behind the silence.

use std::collections::{BTreeSet, VecDeque};

/// What is told apart.
const SECOND_MS: i64 = 1_000;
/// Silences that are remembered. Of two, only the later counts if it is at least as long.
const MAX_SILENCES: usize = 16;

/// The seconds in which a scope was there.
#[derive(Debug, Default)]
pub(super) struct Beats {
    /// Ends of seconds that hold samples; up to the newest handled event all have come. A first batch may bring a million
    /// of them in any order.
    ahead: BTreeSet<i64>,
    /// The one that was heard last.
    newest_ms: Option<i64>,
    /// The last one up to there.
    last_ms: Option<i64>,
    /// When a silence ended and how long it was: rising by time, falling by length.
    silences: VecDeque<(i64, i64)>,
}

// === impl Beats ===

impl Beats {
    /// A sample lies at `at_ms`.
    #[inline]
    pub(super) fn hear(&mut self, at_ms: i64) {
        // The end of its second: what lies in it has come when the stream has come that far.
        let beat = at_ms.div_euclid(SECOND_MS).saturating_add(1).saturating_mul(SECOND_MS);
        if self.newest_ms == Some(beat) || self.last_ms.is_some_and(|last| beat <= last) {
            return;
        }
        self.newest_ms = Some(beat);
        self.ahead.insert(beat);
    }

    /// Goes on to `to_ms`: all up to there has come.
    pub(super) fn go_on(&mut self, to_ms: i64) {
        while let Some(beat) = self.ahead.first().copied().filter(|beat| *beat <= to_ms) {
            self.ahead.pop_first();
            let length = self.last_ms.map_or(i64::MAX, |last| beat.saturating_sub(last));
            self.last_ms = Some(beat);
            if length <= SECOND_MS {
                continue;
            }
            while self.silences.back().is_some_and(|(_, shorter)| *shorter <= length) {
                self.silences.pop_back();
            }
            if self.silences.len() == MAX_SILENCES {
                self.silences.pop_front();
            }
            self.silences.push_back((beat, length));
        }
    }

    /// Whether nothing was heard for more than `longer_ms` before `at_ms`, which all has come up to.
    pub(super) fn are_silent(&self, at_ms: i64, longer_ms: i64) -> bool {
        self.last_ms.is_none_or(|last| at_ms.saturating_sub(last) > longer_ms)
    }

    /// When the last silence ended that was longer than `longer_ms`, if that was behind `since_ms`.
    pub(super) fn end_of_silence(&self, longer_ms: i64, since_ms: i64) -> Option<i64> {
        let long = self.silences.iter().rev().find(|(_, length)| *length > longer_ms)?;
        Some(long.0).filter(|end_ms| *end_ms > since_ms)
    }

    /// The first beat behind `since_ms`, up to which there was none, if it lies up to `until_ms`.
    pub(super) fn first_behind(&self, since_ms: i64, until_ms: i64) -> Option<i64> {
        let next = self.ahead.first().copied().filter(|beat| *beat <= until_ms);
        self.last_ms.filter(|last| *last > since_ms).or(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(seconds: &[i64]) -> Beats {
        let mut beats = Beats::default();
        seconds.iter().for_each(|second| beats.hear(second * SECOND_MS));
        beats.go_on(i64::MAX);
        beats
    }

    #[test]
    fn of_silences_the_last_that_is_long_enough_counts() {
        let beats = beats(&[0, 60, 70, 90, 95]);
        let end = |longer: i64, since: i64| {
            beats.end_of_silence(longer * SECOND_MS, since * SECOND_MS).map(|end| end / SECOND_MS)
        };
        assert_eq!(end(2, 0), Some(96));
        assert_eq!(end(7, 0), Some(91));
        assert_eq!(end(15, 0), Some(91));
        assert_eq!(end(30, 0), Some(61));
        assert_eq!(end(30, 61), None, "it was over by then");
        assert_eq!(end(100, 0), Some(1), "before the first beat nobody was there");
        assert!(beats.are_silent(200_000, 60_000) && !beats.are_silent(100_000, 60_000));
    }

    #[test]
    fn many_silences_are_few_that_count() {
        let falling: Vec<_> = (0..100)
            .scan(0, |at, n| {
                *at += 200 - n;
                Some(*at)
            })
            .collect();
        assert_eq!(beats(&falling).silences.len(), MAX_SILENCES);
        let rising: Vec<_> = (0..100)
            .scan(0, |at, n| {
                *at += 2 + n;
                Some(*at)
            })
            .collect();
        assert_eq!(beats(&rising).silences.len(), 2, "the one before the first, and the longest");
    }

    #[test]
    fn a_million_seconds_in_any_order_are_heard_as_in_theirs() {
        const MANY: i64 = 1_000_000;
        // Each once, since the step and their number have no divisor in common; a pair of them is missing.
        let seconds = (0..MANY).map(|n| n * 618_033 % MANY).filter(|second| *second / 2 != 250_000);
        let shuffled = beats(&seconds.collect::<Vec<_>>());
        assert_eq!(shuffled.end_of_silence(SECOND_MS, 1), Some(500_003 * SECOND_MS));
        assert_eq!((shuffled.silences.len(), shuffled.last_ms), (2, Some(MANY * SECOND_MS)));
    }

    #[test]
    fn the_first_beat_behind_a_silence_is_the_same_before_and_after_it_has_passed() {
        let mut beats = Beats::default();
        beats.hear(0);
        beats.go_on(10_000);
        assert_eq!(beats.first_behind(10_000, 20_000), None);
        beats.hear(50_000);
        beats.hear(40_500);
        assert_eq!(beats.first_behind(10_000, 60_000), Some(41_000));
        beats.go_on(41_000);
        assert_eq!(beats.first_behind(10_000, 60_000), Some(41_000));
    }
}
