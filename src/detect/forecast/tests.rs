//! What is forecast of series whose future is known.

use proptest::prelude::*;

use crate::detect::hybrid::tests::noise;
use crate::detect::{Demands, Detector, Foretold, Horizons, Outlook, State};

const START: i64 = 1_700_006_400_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const STEP: i64 = 300_000;

fn horizons(millis: &[i64]) -> Horizons {
    Horizons::of_millis(millis.iter().map(|millis| *millis as u64)).unwrap()
}

/// A series, what it has learned, and what was forecast of it.
struct Run {
    detector: Detector,
    demands: Demands,
    state: State,
    before: Option<(i64, f64)>,
    told: Vec<Foretold>,
}

impl Run {
    fn new(ahead: &[i64]) -> Self {
        let mut state = State::default();
        state.look_out_for(&horizons(ahead), || 1 << 30);
        let detector = Detector::Hybrid(Box::default());
        Self { detector, demands: Demands::default(), state, before: None, told: Vec::new() }
    }

    fn hear(&mut self, at_ms: i64, value: f64) {
        let Self { detector, demands, state, told, .. } = self;
        if let Some((at_ms, value)) = self.before.replace((at_ms, value)) {
            detector.learn(state, at_ms, value, demands);
        }
        detector.judge(state, at_ms, value, demands);
        if detector.look_ahead(state, at_ms, value, demands) {
            detector.forecast(state, demands, &mut |foretold| told.push(foretold));
        }
    }

    /// All that is forecast of `days` of `value`, which takes days.
    fn of(ahead: &[i64], days: i64, value: impl Fn(f64) -> f64) -> Self {
        let mut run = Self::new(ahead);
        for at_ms in (0..days * DAY / STEP).map(|at| at * STEP) {
            run.hear(START + at_ms, value(at_ms as f64 / DAY as f64));
        }
        run
    }

    /// The forecasts made from `from_day` on.
    fn late(&self, from_day: i64) -> impl Iterator<Item = &Foretold> {
        self.told.iter().filter(move |told| told.made_ms >= START + from_day * DAY)
    }
}

/// In days, what `told` is about.
fn moment(told: &Foretold) -> f64 {
    (told.made_ms + told.horizon.millis() - START) as f64 / DAY as f64
}

fn small(day: f64) -> f64 {
    noise((day * 288.0).round() as usize)
}

#[test]
fn a_disk_that_fills_is_followed() {
    let free = |day: f64| 100.0 - 2.0 * day + 0.05 * small(day);
    let run = Run::of(&[7 * DAY], 12, free);
    assert!(run.late(4).count() > 8);
    for told in run.late(4) {
        let want = 100.0 - 2.0 * moment(told);
        assert!((told.expected - want).abs() < 2.0, "{told:?} {want}");
        assert!(told.lower < want && want < told.upper, "{told:?} {want}");
    }
}

#[test]
fn a_day_is_repeated_and_a_trend_over_it_is_followed() {
    let wave = |day: f64| 50.0 + 3.0 * day + 20.0 * (std::f64::consts::TAU * day).sin() + 0.2 * small(day);
    let run = Run::of(&[6 * HOUR, DAY], 14, wave);
    let off: Vec<f64> = run.late(8).map(|told| (told.expected - wave(moment(told))).abs()).collect();
    let mean = off.iter().sum::<f64>() / off.len() as f64;
    // The wave alone would be off by 12 a quarter of a day later, the trend by 3 a day later.
    assert!(mean < 1.5, "{mean}");
}

#[test]
fn the_band_holds_its_share_of_what_comes() {
    let value = |day: f64| 50.0 + 5.0 * small(day);
    for coverage in [0.8, 0.99] {
        let mut run = Run::new(&[HOUR]);
        run.demands.coverage = coverage;
        for at_ms in (0..20 * DAY / STEP).map(|at| at * STEP) {
            run.hear(START + at_ms, value(at_ms as f64 / DAY as f64));
        }
        let held =
            run.late(2).filter(|told| (told.lower..=told.upper).contains(&value(moment(told)))).count();
        let share = held as f64 / run.late(2).count() as f64;
        assert!((share - coverage).abs() < 0.05, "{coverage}: {share}");
    }
}

#[test]
fn forecasts_are_made_once_in_a_tenth_of_the_horizon_and_not_before_a_quarter_was_seen() {
    let run = Run::of(&[HOUR, DAY], 3, |day| 10.0 + small(day));
    for (ahead, tenth) in [(HOUR, 360_000), (DAY, DAY / 10)] {
        let made: Vec<i64> =
            run.told.iter().filter(|told| told.horizon.millis() == ahead).map(|told| told.made_ms).collect();
        assert!(made.windows(2).all(|two| two[1] - two[0] >= tenth), "{ahead}");
        assert!(made[0] - START >= ahead / 4 && made[0] - START < 2 * ahead, "{ahead}");
        assert!(made.len() as i64 > 3 * DAY / (2 * tenth) - 10, "{ahead}: {}", made.len());
    }
}

#[test]
fn before_a_forecast_has_come_true_the_band_is_wide() {
    let walk = |run: &mut Run, steps: std::ops::Range<i64>, level: &mut f64| {
        for at in steps {
            *level += noise(at as usize * 7);
            run.hear(START + at * STEP, *level);
        }
    };
    let (mut run, mut level) = (Run::new(&[HOUR, DAY]), 100.0);
    walk(&mut run, 0..120, &mut level);
    let width = |ahead: i64| {
        let last = run.told.iter().rev().find(|told| told.horizon.millis() == ahead).unwrap();
        last.upper - last.lower
    };
    assert!(width(DAY) > 2.0 * width(HOUR), "{} {}", width(DAY), width(HOUR));
}

#[test]
fn what_is_kept_goes_on_to_the_last_bit() {
    let value = |at: i64| 50.0 + 10.0 * ((at as f64) / 40.0).sin() + noise(at as usize);
    let mut run = Run::new(&[HOUR, DAY]);
    (0..1_000).for_each(|at| run.hear(START + at * STEP, value(at)));
    let mut bytes = Vec::new();
    run.state.keep(&mut bytes);
    let mut other =
        Run { state: State::recall(&mut &bytes[..]).unwrap(), before: run.before, ..Run::new(&[HOUR]) };
    run.told.clear();
    for at in 1_000..2_000 {
        run.hear(START + at * STEP, value(at));
        other.hear(START + at * STEP, value(at));
    }
    assert!(run.told.len() > 500 && run.told == other.told);
    bytes.truncate(bytes.len() - 1);
    assert!(State::recall(&mut &bytes[..]).is_none());
}

#[test]
fn what_forecasts_need_is_a_few_kilobytes_a_series() {
    let bytes = Outlook::BYTES + 4 * Outlook::BYTES_A_HORIZON;
    assert!(bytes <= 8_192, "{} {}", Outlook::BYTES, Outlook::BYTES_A_HORIZON);
}

#[test]
fn other_horizons_keep_what_was_learned_of_those_that_stay() {
    let mut run = Run::of(&[HOUR, DAY], 2, |day| 10.0 + small(day));
    run.state.look_out_for(&horizons(&[DAY, 2 * DAY]), || 0);
    let told: Vec<String> = run.state.foretold(&run.demands).map(|told| told.horizon.to_string()).collect();
    assert_eq!(told, ["1d"]);
    run.state.look_out_for(&Horizons::default(), || 0);
    assert_eq!(run.state.foretold(&run.demands).count(), 0);
}

#[test]
fn forecasts_are_held_to_the_range_of_the_rule() {
    let mut run = Run::of(&[7 * DAY], 8, |day| 20.0 - 2.0 * day);
    run.demands = Demands { data_range: Some([0.0, 100.0]), clip_predictions: true, ..Demands::default() };
    let last = run.state.foretold(&run.demands).next().unwrap();
    assert!(last.expected >= 0.0 && last.lower == 0.0 && last.upper <= 100.0, "{last:?}");
}

proptest! {
    #[test]
    fn a_forecast_is_a_number_inside_its_band_whatever_came(
        samples in proptest::collection::vec((1_i64..20_000_000, -1e300_f64..1e300, 0_u8..4), 40..200),
    ) {
        let (mut run, mut at_ms) = (Run::new(&[300_000, HOUR, 30 * DAY]), START);
        for (since, value, kind) in samples {
            at_ms += since;
            run.hear(at_ms, match kind { 0 => value, 1 => 0.0, 2 => value / 1e300, _ => 1e-310 });
        }
        for told in &run.told {
            let is_sound = told.expected.is_finite() && told.lower <= told.expected && told.expected <= told.upper;
            prop_assert!(is_sound && told.lower.is_finite() && told.upper.is_finite(), "{told:?}");
        }
    }
}

#[test]
fn an_heir_is_not_held_to_what_was_forecast_of_another() {
    let mut run = Run::of(&[HOUR], 4, |day| 100.0 + (day * 40.0).sin());
    assert!(run.state.foretold(&run.demands).next().is_some());
    run.state = run.state.clone().for_heir();
    assert!(run.state.foretold(&run.demands).next().is_none(), "nothing was forecast of it");
    // Forecasts made of the other one would be off by 60 and widen the band for days.
    let (from, to) = (4 * DAY / STEP, 6 * DAY / STEP);
    for at_ms in (from..to).map(|at| at * STEP) {
        run.hear(START + at_ms, 160.0 + (at_ms as f64 / DAY as f64 * 40.0).sin());
    }
    let last = run.told.last().expect("a forecast");
    assert!(last.upper - last.lower < 60.0, "{last:?}");
}
