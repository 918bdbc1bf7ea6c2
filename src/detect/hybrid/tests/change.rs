//! What changes, and what becomes normal.

use super::*;

#[test]
fn an_anomaly_does_not_teach_that_it_is_normal() {
    let mut walk = Walk::new();
    walk.steps(calm(3 * DAY));
    let first = walk.judge(160.0).score;
    walk.steps(calm(10).map(|value| value + 60.0));
    walk.steps(calm(DAY));
    // It is no longer the first of its kind, and an anomaly still.
    assert!(first > 1.0 && walk.judge(160.0).score > 1.0, "{first} {}", walk.judge(160.0).score);
}

proptest! {
    #![proptest_config(cases(32))]

    /// A new level is reported, and accepted within half a day at steps of up to five minutes, whatever its size.
    #[test]
    fn a_level_that_stays_is_accepted_within_half_a_day(
        sigmas in 8.0_f64..200.0,
        is_up in any::<bool>(),
        step_s in prop_oneof![Just(60_i64), Just(300)],
        lot in 0_usize..1_000_000,
    ) {
        let mut walk = Walk { step_ms: step_s * 1_000, ..Walk::new() };
        let day = (86_400 / step_s) as usize;
        walk.steps(calm_of(lot, 4 * day));
        let shift = if is_up { sigmas } else { -sigmas } * 1.18;
        let shifted = walk.steps(calm_of(lot + 4 * day, 3 * day).map(|value| value + shift));
        let (hour, half_a_day) = (day / 24, day / 2);
        prop_assert!(alerts(&shifted[..hour]) >= hour / 2, "{}", alerts(&shifted[..hour]));
        prop_assert!(alerts(&shifted[half_a_day..]) <= 4, "{}", alerts(&shifted[half_a_day..]));
    }

    /// At steps of an hour it takes more time, since fewer samples say that it stays.
    #[test]
    fn a_level_that_stays_is_accepted_within_three_days_at_steps_of_an_hour(sigmas in 8.0..200.0, lot in 0_usize..1_000_000) {
        let mut walk = Walk { step_ms: 3_600_000, ..Walk::new() };
        walk.steps(calm_of(lot, 40 * 24));
        let shifted = walk.steps(calm_of(lot + 40 * 24, 10 * 24).map(|value| value + 1.18 * sigmas));
        prop_assert!(alerts(&shifted[..5]) >= 3, "{:?}", &shifted[..5]);
        prop_assert!(alerts(&shifted[72..]) <= 1, "{:?}", &shifted[56..]);
    }

    /// A job at the same time every day: of an hour of alarm on its first day, minutes are left after five days.
    #[test]
    fn the_job_of_six_o_clock_becomes_part_of_the_day(
        start in 0_i64..1_440,
        minutes in 3_i64..60,
        height in 30.0..500.0,
        lot in 0_usize..1_000_000,
    ) {
        let mut walk = Walk::new();
        let mut by_day = Vec::new();
        for day in 0..10 {
            let mut found = 0;
            for i in 0..DAY {
                let runs = (walk.minute_of_day() - start).rem_euclid(1_440) < minutes;
                let job = if day >= 2 && runs { height } else { 0.0 };
                found += usize::from(walk.step(100.0 + 10.0 * noise(lot + day * DAY + i) + job) >= 1.0);
            }
            by_day.push(found);
        }
        // The first day's job may begin before midnight and be cut in two.
        prop_assert!(by_day[2] + by_day[3] >= 3, "{by_day:?}");
        prop_assert!(by_day[7..].iter().sum::<usize>() <= 24, "{by_day:?}");
    }
}
