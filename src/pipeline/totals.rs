//! What came of all batches together, for those who watch whether a model does well.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Tally;

/// Places of the scale on which scores are counted: half octaves from an eighth to 22.
pub(super) const PLACES: usize = 16;
/// The place of an eighth, in half octaves from the smallest number there is.
const LOWEST: i64 = 2 * (1_023 - 3);

/// What came of all batches; added to once per batch.
#[derive(Debug, Default)]
pub struct Totals {
    alerts: AtomicU64,
    allowed_ms: AtomicU64,
    not_finite: AtomicU64,
    scores: [AtomicU64; PLACES],
}

/// What [`Totals`] had come to at some moment, or between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How often the score of a series rose to 1 or more.
    pub alerts: u64,
    /// The time that was scored, in milliseconds, each series by the alerts a week that its rule allows.
    pub allowed_ms: u64,
    /// Scores that were no numbers.
    pub not_finite: u64,
    /// How many scores there were, by how high they were.
    pub scores: [u64; PLACES],
}

/// Where `score` is counted.
#[inline]
pub(super) fn place(score: f64) -> usize {
    // The exponent and the first digit of the mantissa.
    let half_octaves = (score.to_bits() >> 51) as i64;
    (half_octaves - LOWEST).clamp(0, PLACES as i64 - 1) as usize
}

// === impl Totals ===

impl Totals {
    pub(crate) fn add(&self, tally: &Tally) {
        let add = |total: &AtomicU64, more: u64| {
            if more > 0 {
                total.fetch_add(more, Ordering::Relaxed);
            }
        };
        add(&self.alerts, tally.alerts);
        add(&self.allowed_ms, tally.allowed_ms);
        add(&self.not_finite, tally.not_finite);
        self.scores.iter().zip(tally.scores).for_each(|(total, more)| add(total, u64::from(more)));
    }

    /// What it has come to.
    pub fn counts(&self) -> Counts {
        let read = |total: &AtomicU64| total.load(Ordering::Relaxed);
        Counts {
            alerts: read(&self.alerts),
            allowed_ms: read(&self.allowed_ms),
            not_finite: read(&self.not_finite),
            scores: std::array::from_fn(|place| read(&self.scores[place])),
        }
    }
}

// === impl Counts ===

impl Counts {
    /// What came since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            alerts: self.alerts.saturating_sub(before.alerts),
            allowed_ms: self.allowed_ms.saturating_sub(before.allowed_ms),
            not_finite: self.not_finite.saturating_sub(before.not_finite),
            scores: std::array::from_fn(|place| self.scores[place].saturating_sub(before.scores[place])),
        }
    }

    /// Scores altogether.
    pub fn scored(&self) -> u64 {
        self.scores.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_have_places_in_their_order_whatever_they_are() {
        let scores = [0.0, 1e-300, 0.1, 0.13, 0.19, 0.26, 0.99, 1.0, 1.6, 4.0, 21.0, 1e6, f64::INFINITY];
        let places: Vec<usize> = scores.iter().map(|score| place(*score)).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!((places[0], place(0.5), place(1.0), place(1e6)), (0, 4, 6, PLACES - 1));
        assert_eq!(place(f64::NAN), PLACES - 1);
        assert_eq!(place(-1.0), PLACES - 1);
    }

    #[test]
    fn what_came_between_two_moments_is_their_difference() {
        let totals = Totals::default();
        let mut tally = Tally::default();
        (tally.alerts, tally.allowed_ms) = (2, 500);
        tally.count_score(0.5);
        tally.count_score(f64::NAN);
        totals.add(&tally);
        let before = totals.counts();
        totals.add(&tally);
        assert_eq!(totals.counts().since(&before), before);
        assert_eq!((before.alerts, before.allowed_ms, before.scored(), before.not_finite), (2, 500, 2, 1));
    }
}
