//! Limits, and detectors that break.

use super::*;

#[test]
fn a_detector_that_panics_loses_its_series_and_nothing_else() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.slot.swap(Model { detector: Detector::Broken(Broken::Panics), ..Model::builtin() });
    let tally = house.push(&[(up("a"), at(next, 1.0)), (up("b"), at(next, 1.0))]);
    assert!(tally.unscored_for(Reason::Panic) >= 1);
    house.slot.swap(Model::builtin());
    let next = next + MINUTE;
    let tally = house.push(&[(up("a"), at(next, 1.0)), (up("b"), at(next, 1.0))]);
    assert_eq!(tally.scored, 2, "scoring goes on");
    assert_eq!(tally.unscored_for(Reason::Panic), 0);
}

#[test]
fn a_full_table_evicts_the_idle_first_and_refuses_otherwise() {
    let limits = Limits { max_series: 2, idle_after_s: 600, ..Limits::default() };
    let mut house = House::with(EVERYTHING, limits);
    house.push(&[(up("a"), at(START, 1.0)), (up("b"), at(START, 1.0))]);
    let refused = house.push(&[(up("c"), at(START + MINUTE, 1.0))]);
    assert_eq!(refused.unscored_for(Reason::SeriesLimit), 1);
    house.push(&[(up("b"), at(START + 15 * MINUTE, 1.0))]);
    let taken = house.push(&[(up("c"), at(START + 16 * MINUTE, 1.0))]);
    assert_eq!(taken.scored, 1);
    let kept = house.push(&[(up("b"), at(START + 17 * MINUTE, 1.0))]);
    assert_eq!((kept.scored, house.pipeline.series().len()), (1, 2), "the one that was seen stays");
}

#[test]
fn a_full_table_sheds_series_of_a_lower_priority() {
    let limits = Limits { max_series: 1, ..Limits::default() };
    let rules = "[{name: low, match: '{job=\"a\"}'}, {name: high, match: '{job=\"b\"}', priority: 5}]";
    let mut house = House::with(rules, limits);
    assert_eq!(house.one(START, 1.0).scored, 1);
    assert_eq!(house.push(&[(up("b"), at(START, 1.0))]).scored, 1);
    assert_eq!(house.one(START + 20_000, 1.0).unscored_for(Reason::SeriesLimit), 1);
}

#[test]
fn of_two_rules_of_one_priority_the_dearer_is_shed_first() {
    let limits = Limits { max_series: 40, ..Limits::default() };
    let rules = "[{name: worth, match: '{job=\"worth\"}'}, {name: idle, match: '{job=\"idle\"}'}, \
                 {name: new, match: '{job=\"new\"}'}]";
    let mut house = House::with(rules, limits);
    let of = |job: &str, number: usize| labels(&[("__name__", &format!("m{number}")), ("job", job)]);
    let both = |at_ms, value| -> Vec<_> {
        let jobs = ["worth", "idle"].into_iter().flat_map(|job| (0..20).map(move |number| (job, number)));
        jobs.map(|(job, number)| (of(job, number), at(at_ms, if job == "worth" { value } else { 1.0 })))
            .collect()
    };
    for minute in 0..30 {
        house.push(&both(START + minute * MINUTE, 10.0 + (minute % 3) as f64));
    }
    house.push(&both(START + 30 * MINUTE, 500.0));
    let held =
        |house: &House| house.pipeline.budget().rules.into_iter().map(|r| (r.name, (r.series, r.findings)));
    let held = |house: &House| held(house).collect::<std::collections::HashMap<_, _>>();
    assert_eq!((held(&house)["worth"], held(&house)["idle"]), ((20, 20), (20, 0)));
    let newcomer = house.push(&[(of("new", 0), at(START + 31 * MINUTE, 1.0))]);
    assert_eq!(newcomer.scored, 1, "a rule without series costs nothing yet");
    assert_eq!((held(&house)["worth"], held(&house)["idle"]), ((20, 20), (19, 0)));
}

#[test]
fn a_poisoned_state_loses_only_its_series() {
    let (mut house, mut sound) = (House::new(EVERYTHING), House::new(EVERYTHING));
    let both = |minute: i64| {
        let value = if minute == 35 { 500.0 } else { 10.0 + (minute % 3) as f64 };
        [(up("a"), at(START + minute * MINUTE, value)), (up("b"), at(START + minute * MINUTE, value))]
    };
    for minute in 0..40 {
        if minute == 30 {
            house.pipeline.series().for_each(|_, series| {
                if series.labels.get("job") == Some("a") {
                    Model::builtin().detector.learn(&mut series.state, START, f64::NAN, &Default::default());
                }
            });
        }
        assert_eq!(house.push(&both(minute)).scored, sound.push(&both(minute)).scored);
        let bits = |house: &House, job| -> Vec<u64> {
            let of_job = |score: &&ScoreSample| score.labels.get("job") == Some(job);
            let scores =
                house.out.iter().filter(of_job).filter(|score| score.name.value() == "anomaly_score");
            scores.map(|score| score.sample.value.to_bits()).collect()
        };
        assert_eq!(bits(&house, "b"), bits(&sound, "b"), "minute {minute}");
        assert!(house.out.iter().all(|score| score.sample.value.is_finite()), "minute {minute}");
    }
}

#[test]
fn a_tenant_has_a_limit_of_its_own() {
    let limits = Limits { max_series_per_scope: 1, ..Limits::default() };
    let mut house = House::with(EVERYTHING, limits);
    let tally = house.push(&[(up("a"), at(START, 1.0)), (up("b"), at(START, 1.0))]);
    assert_eq!(tally.unscored_for(Reason::ScopeLimit), 1);
}

#[test]
fn b3_a_tenant_that_made_room_leaves_nothing_behind() {
    let scopes = ScopeLimits { tenants: 1, idle_after_s: 600, ..ScopeLimits::default() };
    let mut house = House::with(EVERYTHING, Limits { scopes, ..Limits::default() });
    let next = house.warm();
    house.one(next, 500.0);
    house.pipeline.scope(&ScopeName::Tenant("".into()), next).expect("known");
    let other = ScopeName::Tenant("other".into());
    assert!(house.pipeline.scope(&other, next + 9 * MINUTE).is_none(), "the first is not idle yet");
    house.scope = house.pipeline.scope(&other, next + 11 * MINUTE).expect("the first makes room");
    house.push(&[(up("b"), at(next + 11 * MINUTE, 1.0))]);
    let budget = house.pipeline.budget();
    assert_eq!((budget.tenants, budget.series, budget.injected, budget.rules[0].series), (1, 1, 1, 1));
    house.scope = house.pipeline.scope(&ScopeName::Tenant("".into()), next + 30 * MINUTE).expect("room");
    house.one(next + 30 * MINUTE, 500.0);
    assert_eq!(house.score(), 0.0, "who comes back warms up again");
}
