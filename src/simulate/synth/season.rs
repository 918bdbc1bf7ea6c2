//! The day and the week of a service that people use.

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How busy each hour of a working day is at its full hour, UTC.
const HOURS: [f64; 24] = [
    0.22, 0.18, 0.15, 0.14, 0.15, 0.19, 0.30, 0.48, 0.68, 0.84, 0.94, 0.98, 0.93, 0.96, 1.00, 0.98, 0.95,
    0.90, 0.84, 0.78, 0.70, 0.58, 0.44, 0.31,
];

/// How busy each day is at its noon, from Monday.
const DAYS: [f64; 7] = [1.00, 1.02, 1.03, 1.02, 0.98, 0.64, 0.56];

/// The quietest and the busiest hour: what a season is turned over between when it breaks.
const LOW: f64 = 0.14;
const HIGH: f64 = 1.00;

/// How busy the service is at `at_ms` (Unix milliseconds): 0.08 at night on Sunday to 1.03 on Wednesday.
pub(super) fn busy(at_ms: i64) -> f64 {
    let hours = between(&HOURS, at_ms, HOUR_MS);
    // Day weights are met at noon and drawn together in between, so that midnight has no step. The Unix
    // epoch was a Thursday: three days after a Monday.
    let days = between(&DAYS, at_ms + 3 * DAY_MS - DAY_MS / 2, DAY_MS);
    hours * days
}

/// A season turned upside down: rest by day, work by night.
pub(super) fn broken(at_ms: i64) -> f64 {
    (LOW + HIGH - between(&HOURS, at_ms, HOUR_MS)).max(LOW)
}

/// How far [`broken`] is from [`busy`] at `at_ms`, as a ratio of the larger to the smaller.
pub(super) fn contrast(at_ms: i64) -> f64 {
    let (a, b) = (busy(at_ms), broken(at_ms));
    a.max(b) / a.min(b)
}

/// Reads a round table of values met every `width_ms`, by straight lines.
fn between(table: &[f64], at_ms: i64, width_ms: i64) -> f64 {
    let round = table.len() as i64;
    let at = at_ms.rem_euclid(width_ms * round);
    let index = (at / width_ms) as usize;
    let share = (at % width_ms) as f64 / width_ms as f64;
    table[index] + (table[(index + 1) % table.len()] - table[index]) * share
}

#[cfg(test)]
mod tests {
    use super::super::MONDAY_MS;
    use super::*;

    #[test]
    fn noon_is_busy_and_night_is_not() {
        let at = |day: i64, hour: i64| busy(MONDAY_MS + day * DAY_MS + hour * HOUR_MS);
        assert!(at(2, 14) > 5.0 * at(2, 3));
        assert!((at(0, 12) - 0.93).abs() < 1e-9, "Monday noon is the table's own");
    }

    #[test]
    fn sunday_is_quieter_than_wednesday() {
        let at = |day: i64| busy(MONDAY_MS + day * DAY_MS + 14 * HOUR_MS);
        assert!(at(6) < 0.7 * at(2));
    }

    #[test]
    fn no_minute_jumps() {
        let week = (0..7 * 24 * 60).map(|minute| busy(MONDAY_MS + minute * 60_000));
        let values: Vec<f64> = week.collect();
        assert!(values.windows(2).all(|w| (w[1] - w[0]).abs() < 0.005));
    }

    #[test]
    fn a_broken_season_is_plain_at_noon_and_at_night() {
        assert!(contrast(MONDAY_MS + DAY_MS + 14 * HOUR_MS) > 3.0);
        assert!(contrast(MONDAY_MS + DAY_MS + 3 * HOUR_MS) > 3.0);
        assert!(contrast(MONDAY_MS + DAY_MS + 7 * HOUR_MS) < 2.0);
    }
}
