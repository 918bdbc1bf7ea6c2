//! Made-up records.

use super::{Point, Said};

/// `count` samples a minute apart, with the scores that `score` gives.
pub(super) fn points(count: usize, score: impl Fn(usize) -> f64) -> Vec<Point> {
    let point = |at: usize| {
        let value = 10.0 + (at * 7919 % 13) as f64;
        let said = Said {
            judged: value,
            score: score(at),
            expected: 16.0,
            lower: 10.0,
            upper: 22.0,
            confidence: None,
        };
        Point { at_ms: 1_767_571_200_000 + at as i64 * 60_000, said }
    };
    (0..count).map(point).collect()
}
