//! An explanation tells what the judgement was made of.

use super::*;
use crate::detect::{Explanation, Voice};

impl Walk {
    fn explain(&self, value: f64) -> Option<Explanation> {
        self.hybrid.explain(&self.state, self.at_ms, value, &self.demands)
    }
}

fn any_demands() -> impl Strategy<Value = Demands> {
    let method = proptest::sample::select(Method::ALL.to_vec());
    let direction =
        prop_oneof![Just(Direction::Both), Just(Direction::AboveExpected), Just(Direction::BelowExpected)];
    (method, direction, 0.0..20.0, 0.5..3.0, any::<bool>()).prop_map(
        |(method, direction, dev, scale, ranged)| Demands {
            method,
            direction,
            min_dev: [dev, 0.0],
            scale: [1.0, scale],
            data_range: ranged.then_some([50.0, 130.0]),
            ..Demands::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn it_is_of_the_very_judgement(demands in any_demands(), lot in 0_usize..1_000_000, asked in 0.0..300.0) {
        let mut walk = Walk { demands, ..Walk::new() };
        prop_assert_eq!(walk.explain(asked), None);
        for value in calm_of(lot, 700).chain([asked, 100.0, asked]) {
            let (judged, explained) = (walk.judge(value), walk.explain(value));
            if let Some(told) = explained {
                prop_assert!((0.0..=1.0).contains(&told.confidence), "{told:?}");
                prop_assert_eq!(told.shares.is_some(), told.score > 0.0);
                if let Some(shares) = told.shares {
                    let all = shares.all();
                    prop_assert!((all.iter().sum::<f64>() - 1.0).abs() < 1e-9 && all.iter().all(|share| *share >= 0.0), "{told:?}");
                }
                let bits = |a: [f64; 4]| a.map(f64::to_bits);
                prop_assert_eq!(
                    bits([told.score, told.expected, told.lower, told.upper]),
                    bits([judged.score, judged.expected, judged.lower, judged.upper])
                );
                if walk.demands.method == Method::Hybrid && told.spoke != Voice::WarmUp && told.spoke != Voice::DataRange {
                    let (onset, state) = (told.onset.score, told.state.score);
                    prop_assert_eq!((state * state + onset * onset).sqrt().to_bits(), told.score.to_bits());
                }
            }
            walk.step(value);
        }
    }
}

#[test]
fn it_names_who_spoke_and_shows_what_was_seen() {
    let mut walk = Walk::new();
    walk.steps(calm(10));
    assert_eq!(walk.explain(500.0).unwrap().spoke, Voice::WarmUp);
    walk.steps(calm(2 * DAY));
    let told = walk.explain(150.0).unwrap();
    assert_eq!((told.spoke, told.extreme, told.samples_seen), (Voice::Onset, 1.0, 10 + 2 * DAY as u32));
    assert!(told.onset.score > 1.0 && told.residuals.short.z > 10.0 && told.rarities.short > 2.0, "{told:?}");
    assert!((told.residuals.season.error - 50.0).abs() < 10.0 && told.isolation.is_some(), "{told:?}");
    let before = [1, 2, 3, 4].map(|back| 100.0 + 10.0 * noise(2 * DAY - back));
    assert_eq!(told.window.values, before);
    walk.steps(calm(20).map(|value| value + 50.0));
    let lasting = walk.explain(150.0).unwrap();
    assert!(lasting.spoke == Voice::State && lasting.energy[1][1] > 10.0, "{lasting:?}");
    walk.demands.data_range = Some([0.0, 120.0]);
    walk.demands.method = Method::Zscore;
    walk.demands.threshold = Some(1e6);
    assert_eq!(walk.explain(150.0).unwrap().spoke, Voice::DataRange);
    assert_eq!(walk.explain(100.0).unwrap().spoke, Voice::Error);
}

#[test]
fn it_names_the_season_that_was_chosen() {
    let mut walk = Walk { step_ms: 300_000, ..Walk::new() };
    let day = |walk: &Walk| if (540..1_020).contains(&walk.minute_of_day()) { 100.0 } else { 10.0 };
    for i in 0..6 * 288 {
        walk.step(day(&walk) + noise(i));
    }
    let told = walk.explain(day(&walk)).unwrap().season;
    assert!(told.chosen != crate::detect::Season::None && told.costs[2] < 0.5 * told.costs[0], "{told:?}");
    let week = if told.chosen == crate::detect::Season::Week { told.week } else { 0.0 };
    assert!((told.value - told.day - week).abs() < 1e-9, "{told:?}");
}
