//! Which series are scored, and what they are called.

use super::*;

#[test]
fn a_score_carries_the_labels_and_the_timestamp_of_its_sample() {
    let mut house = House::new(EVERYTHING);
    house.one(START, 1.0);
    let score = &house.out[0];
    assert_eq!(score.name.value(), "anomaly_score");
    assert_eq!(score.sample.timestamp_ms, START);
    let pairs: Vec<_> = score.labels.pairs().iter().map(|pair| (pair.name(), pair.value())).collect();
    assert_eq!(pairs, [("for", "up"), ("job", "a")]);
}

#[test]
fn without_a_rule_nothing_is_scored_and_the_first_matching_rule_decides() {
    let mut house = House::new("[{match: up, exclude: true}, {match: '{job=\"a\"}'}]");
    let other = labels(&[("__name__", "down"), ("job", "a")]);
    let tally = house.push(&[(up("a"), at(START, 1.0)), (other, at(START, 1.0))]);
    assert_eq!((tally.unselected, tally.scored), (1, 1));
    let mut none = House::new("[]");
    assert_eq!(none.one(START, 1.0).scored, 0);
}

#[test]
fn own_output_is_never_scored_again() {
    let mut house = House::new(EVERYTHING);
    let own = labels(&[("__name__", "anomaly_score"), ("for", "up")]);
    assert_eq!(house.push(&[(own, at(START, 1.0))]).unselected, 1);
}

#[test]
fn a_series_of_the_users_own_keeps_its_name() {
    let mut house = House::new("[{match: up, provide_series: [anomaly_score, yhat]}]");
    let next = house.warm();
    let own = |job: &str| labels(&[("__name__", "anomaly_score"), ("for", "up"), ("job", job)]);
    let batch = |at_ms| {
        let scored = [(up("a"), at(at_ms, 500.0)), (up("b"), at(at_ms, 1.0))];
        [scored.to_vec(), vec![(own("a"), at(at_ms, 7.0)), (own("c"), at(at_ms, 7.0))]].concat()
    };
    house.push(&batch(next));
    assert!(ends(&house, "anomaly_score").is_empty(), "the user's series goes on");
    assert_eq!(ends(&house, "yhat"), [next + 1], "what is not the user's ends");
    for minute in 1..3 {
        let tally = house.push(&batch(next + minute * MINUTE));
        let sent: Vec<_> = house.out.iter().filter(|score| score.name.value() == "anomaly_score").collect();
        assert_eq!((sent.len(), sent[0].labels.get("job")), (1, Some("b")));
        assert_eq!((tally.scored, tally.unscored_for(Reason::Clash)), (2, 1));
    }
    house.push(&[(up("c"), at(next, 1.0))]);
    assert!(house.emitted("anomaly_score").is_empty(), "nor is it taken by one that comes later");
    assert_eq!(house.pipeline.budget().injected, 2);
}

#[test]
fn counts_of_the_users_own_keep_their_names() {
    let mut house = House::new(EVERYTHING);
    let own = labels(&[("__name__", "scored_series"), ("job", "a")]);
    house.push(&[(own, at(START, 7.0)), (up("a"), at(START, 1.0))]);
    assert!(house.emitted("scored_series").is_empty());
    assert_eq!(house.emitted("anomalous_series"), [0.0]);
}

#[test]
fn loop_back_shows_scores_that_come_back_to_it() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    let back = labels(&[("__name__", "anomaly_score"), ("for", "up"), ("job", "a")]);
    house.visit(&[(back, at(next, 0.0)), (up("a"), at(next, 1.0))], Wiring::LoopBack, &mut Vec::new());
    assert_eq!(house.newest("anomaly_score").len(), 1);
}

#[test]
fn two_spellings_of_one_series_share_its_state() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    let reversed: Labels = up("a").into_iter().rev().collect();
    house.push(&[(reversed, at(next, 500.0))]);
    assert!(house.score() > 1.0, "the other spelling knows what the first has learned");
    assert_eq!(house.pipeline.series().len(), 1);
}

#[test]
fn equal_labels_of_two_tenants_are_two_series() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.scope = house.pipeline.scope(&ScopeName::Tenant("other".into()), next).expect("room");
    house.one(next, 500.0);
    assert_eq!(house.score(), 0.0, "the other tenant's series warms up");
    assert_eq!(house.pipeline.series().len(), 2);
}

#[test]
fn new_rules_decide_anew_and_what_was_learned_stays() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.configure("[{match: up, scale: [1, 1]}]");
    house.one(next, 500.0);
    assert!(house.score() > 1.0, "no second warm-up");
    house.configure("[{match: down}]");
    assert_eq!(house.one(next + MINUTE, 1.0).unselected, 1);
    assert!(house.pipeline.series().is_empty());
    house.configure(EVERYTHING);
    assert_eq!(house.one(next + 2 * MINUTE, 1.0).scored, 1, "what was unselected is asked again");
}

#[test]
fn churn_leaves_no_labels_behind() {
    let limits = Limits { max_series: 64, idle_after_s: 60, ..Limits::default() };
    let mut house = House::with(EVERYTHING, limits);
    for round in 0..200 {
        let job = format!("job-{round}-{}", "x".repeat(100));
        house.push(&[(up(&job), at(START + round * 10 * MINUTE, 1.0))]);
    }
    house.out.clear();
    assert!(house.pipeline.series().len() <= 64);
    // Workloads keep the labels they are counted by, up to their own limit of 100.
    assert!(house.pipeline.series().label_bytes() < 200 * 120, "{}", house.pipeline.series().label_bytes());
}
