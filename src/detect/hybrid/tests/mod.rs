//! The whole detector on series that detectors break on.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::detect::Direction;

mod change;
mod explain;
mod joint;
mod time;
mod values;

const MINUTE_MS: i64 = 60_000;
const START: i64 = 1_700_006_400_000;
const DAY: usize = 1_440;

/// A series on its way: each value is judged, then teaches.
struct Walk {
    hybrid: Hybrid,
    state: State,
    demands: Demands,
    at_ms: i64,
    step_ms: i64,
}

impl Walk {
    fn new() -> Self {
        let demands = Demands::default();
        Self { hybrid: Hybrid::default(), state: State::default(), demands, at_ms: START, step_ms: MINUTE_MS }
    }

    fn by(method: Method) -> Self {
        Self { demands: Demands { method, ..Demands::default() }, ..Self::new() }
    }

    fn judge(&mut self, value: f64) -> Judgement {
        let nothing = Judgement { score: 0.0, expected: value, lower: value, upper: value };
        self.hybrid.judge(&mut self.state, self.at_ms, value, &self.demands).unwrap_or(nothing)
    }

    fn step(&mut self, value: f64) -> f64 {
        let score = self.judge(value).score;
        self.hybrid.learn(&mut self.state, self.at_ms, value, &self.demands);
        self.at_ms += self.step_ms;
        score
    }

    /// The scores of `values`.
    fn steps(&mut self, values: impl IntoIterator<Item = f64>) -> Vec<f64> {
        values.into_iter().map(|value| self.step(value)).collect()
    }

    fn minute_of_day(&self) -> i64 {
        self.at_ms.rem_euclid(86_400_000) / MINUTE_MS
    }
}

/// Noise, the same each time: -0.5 to 0.5, of a shape near to normal.
pub(in crate::detect) fn noise(i: usize) -> f64 {
    (0..6).map(|of| unit(6 * i as u64 + of)).sum::<f64>() / 6.0 - 0.5
}

/// A number from 0 to 1 that looks drawn by lot (SplitMix64).
fn unit(i: u64) -> f64 {
    let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn calm(count: usize) -> impl Iterator<Item = f64> {
    calm_of(0, count)
}

/// As calm, drawn by another lot.
fn calm_of(lot: usize, count: usize) -> impl Iterator<Item = f64> {
    (lot..lot + count).map(|i| 100.0 + 10.0 * noise(i))
}

/// Cases of what holds for nearly all series and not for all: drawn by the same lot each time.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() }
}

/// Runs of scores of at least 1: how often somebody is called.
fn calls(scores: &[f64]) -> usize {
    scores.split(|score| *score < 1.0).filter(|run| !run.is_empty()).count()
}

fn alerts(scores: &[f64]) -> usize {
    scores.iter().filter(|score| **score >= 1.0).count()
}

#[test]
fn the_state_of_a_series_is_at_most_1500_bytes_at_any_step() {
    const { assert!(State::BYTES <= 1_500) };
    for step_s in [1, 5, 15, 60, 3_600] {
        let mut walk = Walk { step_ms: 1_000 * step_s, ..Walk::new() };
        walk.steps(calm(2 * DAY));
        let mut kept = Vec::new();
        crate::detect::kept::Kept::keep(&walk.state, &mut kept);
        // All that is on the heap is the one box that BYTES counts: what is written holds the same numbers.
        assert!(kept.len() <= State::BYTES, "{step_s} s: {}", kept.len());
    }
}

/// The bits of the scores below. A change of the detector changes them; a change of the machine must not.
const GOLDEN: u64 = 1_645_994_164_571_422_053;

#[test]
fn scores_are_the_same_on_every_machine_to_the_last_bit() {
    let mut walk = Walk { step_ms: 300_000, ..Walk::new() };
    let day = |at_ms: i64| ((at_ms.rem_euclid(86_400_000) - 43_200_000).abs() as f64) / 1e6;
    let mut bits = Vec::new();
    for i in 0..20 * 288 {
        let event = if i % 700 > 690 { 40.0 } else { 0.0 };
        let judged = walk.judge(100.0 + day(walk.at_ms) + 10.0 * noise(i) + event);
        for number in [judged.score, judged.expected, judged.lower, judged.upper] {
            bits.extend(number.to_bits().to_le_bytes());
        }
        walk.step(100.0 + day(walk.at_ms) + 10.0 * noise(i) + event);
    }
    let digest = xxhash_rust::xxh3::xxh3_64(&bits);
    assert_eq!(digest, GOLDEN, "of {} scores", bits.len() / 32);
}

#[test]
fn ordinary_values_score_below_one_and_a_jump_above() {
    let mut walk = Walk::new();
    let quiet = alerts(&walk.steps(calm(3 * DAY)));
    assert!(quiet <= 6, "{quiet}");
    assert!(walk.judge(150.0).score > 1.0);
    assert!(walk.judge(50.0).score > 1.0);
    assert!(walk.judge(100.5).score < 0.5);
}

#[test]
fn warm_up_scores_nought_and_ends_after_sixteen_samples() {
    let mut walk = Walk::new();
    assert_eq!(walk.judge(1e9).score, 0.0);
    assert!(walk.steps(calm(16)).iter().all(|score| *score == 0.0));
    assert!(walk.judge(1e9).score > 1.0);
}

#[test]
fn an_event_that_lasts_holds_the_score_up() {
    let mut walk = Walk::new();
    walk.steps(calm(2 * DAY));
    let event = walk.steps(calm(30).map(|value| value + 40.0));
    assert!(alerts(&event) >= 25, "{event:?}");
}

#[test]
fn the_other_side_does_not_count_and_small_deviations_are_passed_over() {
    let mut walk = Walk::new();
    walk.steps(calm(2 * DAY));
    walk.demands.direction = Direction::AboveExpected;
    assert_eq!(walk.judge(20.0).score, 0.0);
    assert!(walk.judge(180.0).score > 1.0);
    walk.demands = Demands { min_dev: [0.0, 100.0], ..Demands::default() };
    assert_eq!(walk.judge(180.0).score, 0.0);
    assert!(walk.judge(230.0).score > 1.0 && walk.judge(20.0).score > 1.0);
    walk.demands = Demands { min_rel_dev: [0.0, 1.0], ..Demands::default() };
    assert_eq!(walk.judge(180.0).score, 0.0);
    walk.demands = Demands { scale: [1.0, 50.0], ..Demands::default() };
    assert!(walk.judge(180.0).score < 1.0 && walk.judge(20.0).score > 1.0);
}

#[test]
fn a_rules_own_threshold_is_in_standard_deviations() {
    let mut walk = Walk::new();
    walk.steps(calm(2 * DAY));
    walk.demands.threshold = Some(3.0);
    let three = walk.judge(150.0).score;
    walk.demands.threshold = Some(6.0);
    assert!((walk.judge(150.0).score * 2.0 / three - 1.0).abs() < 1e-9);
}

#[test]
fn outside_the_data_range_scores_even_in_warm_up() {
    let mut walk = Walk::new();
    walk.demands.data_range = Some([0.0, 120.0]);
    walk.steps(calm(2));
    assert_eq!(walk.judge(121.0).score, OUTSIDE_DATA_RANGE);
}

#[test]
fn the_band_holds_as_many_ordinary_samples_as_the_rule_says() {
    for (coverage, about) in
        [(0.5, 0.45..=0.55), (0.9, 0.88..=0.92), (0.99, 0.98..=0.996), (0.9999, 0.9985..=1.0)]
    {
        let mut walk = Walk { demands: Demands { coverage, ..Demands::default() }, ..Walk::new() };
        walk.steps(calm(2 * DAY));
        let (mut inside, mut all) = (0.0, 0.0);
        for i in 2 * DAY..6 * DAY {
            let value = 100.0 + 10.0 * noise(i);
            let judged = walk.judge(value);
            inside += f64::from(u8::from(judged.lower <= value && value <= judged.upper));
            all += 1.0;
            walk.step(value);
        }
        assert!(about.contains(&(inside / all)), "{coverage}: {}", inside / all);
    }
}

#[test]
fn each_method_finds_a_jump() {
    for method in Method::ALL {
        let mut walk = Walk::by(method);
        walk.steps(calm(2 * DAY));
        assert!(walk.judge(200.0).score > 1.0, "{method:?}: {}", walk.judge(200.0).score);
        assert!(walk.judge(101.0).score < 1.0, "{method:?}");
        walk.steps((0..10 * 500).map(|i| if i % 500 == 499 { 300.0 } else { 100.0 + 10.0 * noise(i) }));
        assert!(
            walk.judge(300.0).score > 1.0 || method == Method::Hybrid,
            "{method:?}: the eleventh of its kind"
        );
        assert_eq!(Method::named(method.name()), Some(method));
    }
}

#[test]
fn parts_can_be_left_out() {
    for part in Part::ALL {
        let mut walk = Walk::new();
        walk.hybrid.without = [part].into_iter().collect();
        walk.steps(calm(2 * DAY));
        assert!(walk.judge(300.0).score.is_finite());
        assert_eq!(Part::named(part.name()), Some(part));
    }
}

#[test]
fn learning_is_the_same_whatever_was_judged_before_it() {
    let (mut judged, mut unjudged) = (Walk::new(), Walk::new());
    for (i, value) in calm(400).enumerate() {
        let value = if i % 50 == 49 { 10.0 * value } else { value };
        // The value itself, another one, or nothing at all.
        _ = judged.judge(value);
        if i % 3 == 0 {
            _ = judged.judge(value + 1.0);
        }
        for walk in [&mut judged, &mut unjudged] {
            walk.hybrid.learn(&mut walk.state, walk.at_ms, value, &walk.demands);
            walk.at_ms += walk.step_ms;
        }
    }
    assert_eq!(judged.judge(130.0), unjudged.judge(130.0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn judging_teaches_nothing(values in proptest::collection::vec(-1e3..1e3, 20..100), asked in -1e4..1e4) {
        let (mut one, mut other) = (Walk::new(), Walk::new());
        for value in values {
            let scores = [one.judge(asked).score, one.judge(asked).score];
            prop_assert_eq!(scores[0].to_bits(), scores[1].to_bits());
            prop_assert_eq!(one.step(value).to_bits(), other.step(value).to_bits());
        }
    }

    #[test]
    fn the_unit_of_a_series_does_not_matter(factor in prop_oneof![Just(1024.0), Just(1.0 / 4096.0)]) {
        let (mut one, mut other) = (Walk::new(), Walk::new());
        for value in calm(400).chain([150.0, 155.0]) {
            let (a, b) = (one.step(value), other.step(value * factor));
            prop_assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
    }
}
