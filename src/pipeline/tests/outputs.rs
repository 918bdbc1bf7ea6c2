//! What is sent of a judgement.

use super::*;

const TRUST: &str = "[{match: up, provide_series: [anomaly_score, anomaly_confidence, anomaly_part]}]";

/// The values of `anomaly_part` in `house.out` by their part.
fn parts(house: &House) -> std::collections::BTreeMap<String, f64> {
    let of_parts = house.out.iter().filter(|score| score.name.value() == "anomaly_part");
    of_parts.map(|score| (score.labels.get("part").expect("a part").to_owned(), score.sample.value)).collect()
}

#[test]
fn emit_above_sends_with_hysteresis_and_ends_with_a_stale_marker() {
    let mut house = House::new("[{match: up, emit: {above: 0.6}}]");
    let next = house.warm();
    assert!(house.emitted("anomaly_score").is_empty());
    house.one(next, 500.0);
    assert!(house.score() >= 1.0);
    // The score falls over some samples; what lies between the threshold and half of it is still sent.
    let mut falling = Vec::new();
    for step in 1..60 {
        house.one(next + step * MINUTE, 10.0 + (step % 3) as f64);
        falling.push(house.emitted("anomaly_score").first().copied());
    }
    let end = falling.iter().position(|score| score.is_some_and(is_stale_marker)).expect("an end");
    assert!(falling[..end].iter().all(|score| score.is_some_and(|score| score >= 0.3)), "{falling:?}");
    assert!(falling[..end].iter().flatten().any(|score| *score < 0.6), "{falling:?}");
    assert!(falling[end + 1..].iter().all(Option::is_none), "{falling:?}");
}

#[test]
fn a_rule_may_ask_for_the_band_too() {
    let mut house =
        House::new("[{match: up, provide_series: [anomaly_score, yhat, yhat_lower, yhat_upper]}]");
    house.warm();
    let (lower, expected, upper) =
        (house.emitted("yhat_lower")[0], house.emitted("yhat")[0], house.emitted("yhat_upper")[0]);
    assert!(lower < expected && expected < upper, "{lower} {expected} {upper}");
}

#[test]
fn the_newest_sample_is_explained_as_it_was_judged() {
    let mut house = House::new(EVERYTHING);
    let total = || labels(&[("__name__", "requests_total"), ("job", "a")]);
    let next = house.warm();
    for step in 0..30 {
        house.push(&[(total(), at(START + step * MINUTE, (600 * step) as f64))]);
    }
    for (sample, name, judged) in
        [((up("a"), at(next, 500.0)), "up", 500.0), ((total(), at(next, 36_000.0)), "requests_total", 310.0)]
    {
        house.push(&[sample]);
        let score = house.score();
        let told = house.pipeline.explain(&format!("{{__name__=\"{name}\"}}").parse().unwrap(), 10);
        let why = told[0].explanation.as_ref().expect("a forecast");
        assert_eq!((told.len(), told[0].series["__name__"].as_str()), (1, name));
        assert_eq!((why.score.to_bits(), why.value, why.timestamp_ms), (score.to_bits(), judged, next));
    }
    house.one(next + MINUTE, stale_marker());
    let every = house.pipeline.explain(&"{job=\"a\"}".parse().unwrap(), 10);
    assert_eq!(every.iter().map(|told| told.explanation.is_some()).collect::<Vec<_>>(), [false, true]);
    assert_eq!(house.pipeline.explain(&"{job=\"a\"}".parse().unwrap(), 1).len(), 1);
    assert!(house.pipeline.explain(&"{job=\"b\"}".parse().unwrap(), 10).is_empty());
}

#[test]
fn the_highest_scores_now_come_first_and_what_has_ended_has_none() {
    let mut house = House::new(EVERYTHING);
    let jobs = ["a", "b", "c"];
    let all = |at_ms: i64, values: [f64; 3]| -> Vec<_> {
        jobs.iter().zip(values).map(|(job, value)| (up(job), at(at_ms, value))).collect()
    };
    for step in 0..30 {
        house.push(&all(START + step * MINUTE, [10.0 + (step % 3) as f64; 3]));
    }
    house.push(&all(START + 30 * MINUTE, [11.0, 500.0, 30.0]));
    let highest = |house: &House, limit| -> Vec<(String, f64)> {
        let told = house.pipeline.highest(limit).into_iter();
        told.map(|told| (told.series["job"].clone(), told.explanation.expect("a forecast").score)).collect()
    };
    let most = highest(&house, 10);
    assert_eq!(most[0].0, "b");
    assert!(most[0].1 >= 1.0 && most.iter().all(|(_, score)| *score > 0.0), "{most:?}");
    assert!(most.is_sorted_by(|one, next| one.1 >= next.1), "{most:?}");
    assert_eq!(highest(&house, 1), most[..1]);
    house.push(&all(START + 31 * MINUTE, [11.0, stale_marker(), 11.0]));
    assert!(highest(&house, 10).iter().all(|(job, _)| job != "b"));
}

#[test]
fn a_rule_may_ask_how_far_a_score_is_to_be_trusted_and_what_it_is_due_to() {
    let mut house = House::new(TRUST);
    house.one(START, 10.0);
    assert!(
        house.emitted("anomaly_confidence").is_empty() && parts(&house).is_empty(),
        "nothing is known yet"
    );
    let next = house.warm();
    assert_eq!(house.pipeline.budget().injected, 7);
    house.one(next, 500.0);
    let confidence = house.emitted("anomaly_confidence");
    assert!(confidence.len() == 1 && (0.0..=1.0).contains(&confidence[0]), "{confidence:?}");
    let shares = parts(&house);
    assert_eq!(shares.keys().collect::<Vec<_>>(), ["data_range", "errors", "extremes", "forest", "state"]);
    assert!((shares.values().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
    let again = house.out.clone();
    house.one(next, 500.0);
    let bits = |out: &[ScoreSample]| {
        out.iter().map(|s| (s.name.value(), s.sample.value.to_bits())).collect::<Vec<_>>()
    };
    assert_eq!(bits(&house.out), bits(&again[..7]), "a retry is told the same");
    assert_eq!(house.newest("anomaly_part").len(), 5);
    house.one(next + MINUTE, stale_marker());
    assert!(parts(&house).values().all(|value| is_stale_marker(*value)) && parts(&house).len() == 5);
    assert_eq!(house.pipeline.budget().injected, 0);
}

#[test]
fn f11_parts_of_a_score_end_with_it() {
    let mut house = House::new(TRUST);
    let next = house.warm();
    house.one(next, 500.0);
    house.configure("[{match: up}]");
    house.one(next + MINUTE, 11.0);
    assert_eq!(ends(&house, "anomaly_part"), [next + 1; 5]);
    assert_eq!((ends(&house, "anomaly_confidence"), house.pipeline.budget().injected), (vec![next + 1], 1));
}

#[test]
fn a_part_of_the_users_own_keeps_its_name() {
    let mut house = House::new(TRUST);
    let next = house.warm();
    let own = labels(&[("__name__", "anomaly_part"), ("for", "up"), ("job", "a"), ("part", "state")]);
    house.push(&[(own.clone(), at(next, 7.0)), (up("a"), at(next, 500.0))]);
    house.push(&[(own, at(next + MINUTE, 7.0)), (up("a"), at(next + MINUTE, 500.0))]);
    assert!(parts(&house).is_empty(), "{:?}", parts(&house));
}

#[test]
fn a_label_called_part_is_moved_for_the_parts_of_its_score() {
    let mut house = House::new(TRUST);
    let valve = || labels(&[("__name__", "up"), ("part", "valve")]);
    for step in 0..40 {
        house.push(&[(valve(), at(START + step * MINUTE, 10.0 + (step % 3) as f64))]);
    }
    let of_parts: Vec<_> = house.out.iter().filter(|score| score.name.value() == "anomaly_part").collect();
    assert_eq!(of_parts.len(), 5);
    assert!(of_parts.iter().all(|score| score.labels.get("exported_part") == Some("valve")));
    let score = house.out.iter().find(|score| score.name.value() == "anomaly_score").expect("a score");
    assert_eq!(score.labels.get("part"), Some("valve"));
}

#[test]
fn score_series_beyond_their_limit_are_scored_counted_and_not_sent() {
    let limits = Limits { max_injected: 3, ..Limits::default() };
    let mut house = House::with("[{match: up, provide_series: [anomaly_score, yhat]}]", limits);
    let tally = house.push(&[(up("a"), at(START, 1.0)), (up("b"), at(START, 1.0))]);
    assert_eq!((tally.scored, tally.unscored_for(Reason::ScoreLimit)), (2, 1));
    assert_eq!(house.emitted("anomaly_score").len(), 1);
    assert_eq!(house.pipeline.budget().injected, 2, "three would be, and are not");
    let end = (up("a"), at(START + MINUTE, stale_marker()));
    house.push(&[end, (up("b"), at(START + MINUTE, 1.0))]);
    assert_eq!(house.emitted("anomaly_score").len(), 2, "one ends and the other begins");
}

#[test]
fn loop_back_reads_the_newest_scores_and_leaves_the_ended_out() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.push(&[(up("a"), at(next, 500.0)), (up("b"), at(next, 1.0))]);
    house.push(&[(up("b"), Sample { timestamp_ms: next + MINUTE, value: stale_marker() })]);
    let newest = house.newest("anomaly_score");
    assert_eq!(newest.len(), 1);
    assert_eq!((newest[0].sample.timestamp_ms, newest[0].labels.get("job")), (next, Some("a")));
    assert!(newest[0].sample.value > 1.0);
}

#[test]
fn loop_back_reads_the_newest_counts_of_workloads_that_have_not_ended() {
    let mut house = House::new("[{match: up, emit: {above: 0.5}}]");
    let next = house.warm();
    house.push(&[(up("a"), at(next, 500.0)), (up("b"), at(next, 1.0))]);
    house.push(&[(up("a"), at(next + 5_000, 500.0)), (up("b"), at(next + 5_000, stale_marker()))]);
    for (name, value) in [("anomalous_series", 1.0), ("scored_series", 1.0)] {
        let newest = house.newest(name);
        assert_eq!(newest.len(), 1, "{name}: the workload of b has ended");
        assert_eq!(newest[0].labels.get("job"), Some("a"));
        // Counts are made every 15 s: one timestamp never has two values.
        assert_eq!(newest[0].sample, at(next, value), "{name}");
    }
    house.push(&[(up("a"), at(next + 20_000, 11.0))]);
    assert_eq!(house.newest("anomalous_series")[0].sample, at(next + 20_000, 0.0));
}
