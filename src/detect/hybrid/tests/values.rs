//! Values that detectors stumble over.

use super::*;

/// Samples every five minutes, for days in few steps.
const SLOW_MS: i64 = 300_000;
const SLOW_DAY: usize = 288;

fn slow(method: Method) -> Walk {
    Walk { step_ms: SLOW_MS, ..Walk::by(method) }
}

fn any_method() -> impl Strategy<Value = Method> {
    proptest::sample::select(Method::ALL.to_vec())
}

#[test]
fn what_is_learned_holds_no_memory_of_its_own() {
    fn is_plain<T: Copy + 'static>(_: &T) {}
    is_plain(&state::Slow::default());
    let State {
        slow: _,
        settling: _,
        samples,
        clock,
        today,
        short,
        distances,
        extremes,
        energy,
        seasons,
        calibration,
        seen,
    } = State::default();
    is_plain(&(samples, clock, today, short, distances, extremes, energy, seasons, calibration, seen));
}

#[test]
fn a_constant_series_forgives_rounding() {
    let mut walk = Walk::new();
    walk.steps(std::iter::repeat_n(42.0, 500));
    assert!(walk.judge(42.0 + 1e-9).score < 1.0);
}

/// Values that detectors stumble over, and ordinary ones.
fn nasty() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1e3..1e3,
        1 => Just(0.0),
        1 => any::<f64>().prop_filter("finite", |value| value.is_finite()),
        1 => prop_oneof![Just(1e308), Just(-1e308), Just(5e-324), Just(1e-300), Just(f64::MIN_POSITIVE)],
    ]
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn a_nearly_constant_series_is_left_in_peace_and_alarms_when_it_leaves(
        level in prop_oneof![Just(1.0), 1e-3..1e9],
        ripple in 1e-9..1e-4,
        lot in 0_usize..1_000_000,
    ) {
        let mut walk = Walk::new();
        let scores = walk.steps((lot..lot + 3 * DAY).map(|i| level * (1.0 + ripple * noise(i))));
        let late = calls(&scores[DAY..]);
        prop_assert!(late <= 4, "{late}");
        let left = walk.judge(level * (1.0 + 100.0 * ripple));
        prop_assert!(left.score > 1.0, "{left:?}");
    }

    #[test]
    fn a_constant_series_stays_at_nought_and_alarms_when_it_leaves(
        level in prop_oneof![Just(0.0), Just(1.0), -1e12..1e12],
        method in any_method(),
    ) {
        let mut walk = Walk::by(method);
        let scores = walk.steps(std::iter::repeat_n(level, 300));
        prop_assert!(scores.iter().all(|score| *score == 0.0), "{scores:?}");
        for left in [level + 0.01 * level.abs() + 0.1, level - 0.01 * level.abs() - 0.1] {
            let judged = walk.judge(left);
            prop_assert!(judged.score > 1.0, "{left}: {judged:?}");
        }
        prop_assert_eq!(walk.judge(level).score, 0.0);
    }

    #[test]
    fn whole_numbers_are_left_in_peace(mean in 0.3_f64..20.0, lot in 0_usize..1_000_000) {
        let mut walk = slow(Method::Hybrid);
        let count = |i: usize| (-mean * f64::ln((1.0 - unit((lot + i) as u64)).max(1e-9))).floor();
        let scores = walk.steps((0..8 * SLOW_DAY).map(count));
        let late = calls(&scores[2 * SLOW_DAY..]);
        prop_assert!(late <= 12, "{late}");
        prop_assert!(walk.judge(50.0 * mean + 50.0).score > 1.0);
    }

    #[test]
    fn a_mostly_zero_series_is_left_in_peace(share in 0.01..0.2, size in 1.0..1e6, lot in 0_usize..1_000_000) {
        let mut walk = slow(Method::Hybrid);
        let seldom = |i: usize| if unit((lot + i) as u64) < share { size } else { 0.0 };
        let scores = walk.steps((0..8 * SLOW_DAY).map(seldom));
        let late = calls(&scores[2 * SLOW_DAY..]);
        prop_assert!(late <= 12, "{late}");
        prop_assert!(walk.judge(50.0 * size).score > 1.0);
    }

    #[test]
    fn a_series_at_its_bound_is_left_in_peace(
        bound in prop_oneof![Just(0.0), Just(1.0)],
        distance in 0.0..0.1,
        lot in 0_usize..1_000_000,
    ) {
        let mut walk = slow(Method::Hybrid);
        let inside = if bound == 0.0 { 1.0 } else { -1.0 };
        let near = |i: usize| f64::clamp(bound + inside * (distance + 0.1 * noise(lot + i)), 0.0, 1.0);
        let scores = walk.steps((0..8 * SLOW_DAY).map(near));
        let late = calls(&scores[2 * SLOW_DAY..]);
        prop_assert!(late <= 12, "{late}");
        prop_assert!(walk.judge(bound + 0.8 * inside).score > 1.0);
    }

    #[test]
    fn a_series_that_explodes_is_found_and_finds_its_way_back(growth in 1.1..4.0, sign in prop_oneof![Just(1.0), Just(-1.0)]) {
        let mut walk = slow(Method::Hybrid);
        walk.steps(calm(2 * SLOW_DAY));
        let exploded = walk.steps((1..1_000).map(|i| 100.0 + sign * f64::powi(growth, i)).take_while(|value| value.is_finite()));
        prop_assert!(alerts(&exploded) > 0);
        let back = walk.steps(calm(3 * SLOW_DAY));
        prop_assert!(back.iter().all(|score| score.is_finite()));
        let judged = walk.judge(100.0);
        prop_assert!(judged.score < 1.0 && (judged.expected - 100.0).abs() < 50.0, "{judged:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_no_nan_leaves_and_no_state_is_poisoned(
        values in proptest::collection::vec((nasty(), 0_i64..200_000), 1..600),
        method in any_method(),
    ) {
        let mut walk = Walk::by(method);
        for (value, step_ms) in values {
            let judged = walk.judge(value);
            prop_assert!(judged.score >= 0.0 && judged.score <= MAX_SCORE, "{value}: {judged:?}");
            prop_assert!(!judged.expected.is_nan() && !judged.lower.is_nan() && !judged.upper.is_nan());
            walk.step_ms = step_ms;
            walk.step(value);
        }
        // Whatever it went through, it finds its way back.
        walk.step_ms = MINUTE_MS;
        walk.steps(calm(300));
        let judged = walk.judge(100.0);
        prop_assert!(judged.expected.is_finite() && judged.score.is_finite(), "{judged:?}");
    }
}
