//! One sample after the other: what is judged, what teaches, and what is passed by.

use super::*;

#[test]
fn warm_up_scores_zero_and_a_jump_behind_it_above_one() {
    let mut house = House::new(EVERYTHING);
    house.one(START, 1.0);
    assert_eq!(house.score(), 0.0);
    let next = house.warm();
    house.one(next, 500.0);
    assert!(house.score() > 1.0);
}

#[test]
fn t13_a_retry_is_one_observation_with_the_same_score() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.one(next, 500.0);
    let first = house.score();
    for _ in 0..3 {
        house.one(next, 500.0);
        assert_eq!(house.score().to_bits(), first.to_bits());
    }
    house.one(next + MINUTE, 11.0);
    let after_retries = house.score();
    let mut once = House::new(EVERYTHING);
    once.warm();
    once.one(next, 500.0);
    once.one(next + MINUTE, 11.0);
    assert_eq!(once.score().to_bits(), after_retries.to_bits(), "retries taught nothing");
}

#[test]
fn t13_a_retry_sends_nothing_that_was_not_sent_first() {
    let mut house = House::new("[{match: up, emit: {above: 1}}]");
    let next = house.warm();
    for sample in [at(next, 10.0), at(next + MINUTE, stale_marker())] {
        for _ in 0..2 {
            house.push(&[(up("a"), sample)]);
            assert!(house.emitted("anomaly_score").is_empty(), "a score below the threshold, or its end");
        }
    }
    let limits = Limits { max_injected: 0, ..Limits::default() };
    let mut house = House::with(EVERYTHING, limits);
    assert_eq!(house.one(START, 1.0).unscored_for(Reason::ScoreLimit), 1);
    house.one(START, 1.0);
    assert!(house.emitted("anomaly_score").is_empty(), "a score that was refused");
}

#[test]
fn p14_a_series_that_stands_twice_on_a_page_has_its_score_there_once() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    let pages = [(true, [500.0, 500.0]), (true, [11.0, 500.0]), (false, [12.0, 12.0])];
    for (minute, (teach, values)) in (0..).zip(pages) {
        let twice = values.map(|value| (up("a"), at(next + minute * MINUTE, value)));
        house.page(&twice, teach);
        assert_eq!(house.emitted("anomaly_score").len(), 1, "teach: {teach}");
    }
}

#[test]
fn a_remembered_score_survives_a_model_swap() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.one(next, 500.0);
    let first = house.score();
    let strict = Hybrid { state_unit: 0.5, ..Hybrid::default() };
    house.slot.swap(Model { detector: Detector::Hybrid(Box::new(strict)), ..Model::builtin() });
    house.one(next, 500.0);
    assert_eq!(house.score().to_bits(), first.to_bits());
}

#[test]
fn c8_what_came_of_all_batches_is_counted_for_who_watches_the_model() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    let before = house.pipeline.totals().counts();
    house.one(next, 500.0);
    house.one(next, 500.0);
    let since = house.pipeline.totals().counts().since(&before);
    assert_eq!((since.alerts, since.scored(), since.not_finite), (1, 1, 0), "a retry is no observation");
    assert_eq!(since.allowed_ms, MINUTE as u64);
    assert!(before.scored() > 10 && before.scores[0] > 0);
}

#[test]
fn a_sample_that_is_not_newer_teaches_nothing_and_is_counted() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.one(next, 11.0);
    let other_value = house.one(next, 12.0);
    assert_eq!(other_value.unscored_for(Reason::Duplicate), 1);
    assert!(house.out.is_empty());
    let older = house.one(next - MINUTE, 11.0);
    assert_eq!(older.unscored_for(Reason::OutOfOrder), 1);
}

#[test]
fn r23_a_stale_marker_ends_the_score_series_and_is_not_learned() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.push(&[(up("a"), Sample { timestamp_ms: next, value: stale_marker() })]);
    let ended: Vec<_> = house.emitted("anomaly_score");
    assert_eq!(ended.len(), 1);
    assert!(is_stale_marker(ended[0]));
    house.push(&[(up("a"), Sample { timestamp_ms: next, value: stale_marker() })]);
    assert!(is_stale_marker(house.score()), "the retry of a stale marker is one again");
    house.one(next + MINUTE, 11.0);
    assert!(house.score() < 1.0, "the series goes on from what it knew");
}

#[test]
fn t10_a_sample_is_preferred_to_a_stale_marker_of_the_same_time() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.one(next, stale_marker());
    assert_eq!(house.one(next, 500.0).scored, 1, "the other replica still has the series");
    let score = house.score();
    assert!(score > 1.0);
    assert_eq!(house.one(next, stale_marker()).unscored_for(Reason::Duplicate), 1);
    house.one(next, 500.0);
    assert_eq!(house.score().to_bits(), score.to_bits(), "a retry is one observation");
}

#[test]
fn a_nan_or_an_infinite_sample_gets_no_score() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(house.one(next, value).unscored_for(Reason::NotFinite), 1);
        assert!(house.emitted("anomaly_score").is_empty());
    }
    house.one(next, 11.0);
    assert!(house.score() < 1.0);
}

#[test]
fn what_is_no_number_between_samples_changes_no_score() {
    let (mut house, mut sound) = (House::new(EVERYTHING), House::new(EVERYTHING));
    let nothings = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -f64::NAN];
    for step in 0..200 {
        let (at_ms, value) =
            (START + step * MINUTE, if step % 60 == 50 { 500.0 } else { (step * 7 % 13) as f64 });
        for series in [&mut house, &mut sound] {
            series.one(at_ms, value);
        }
        assert_eq!(house.score().to_bits(), sound.score().to_bits(), "step {step}");
        house.one(at_ms + 20_000, nothings[step as usize % 4]);
    }
}

#[test]
fn t24_a_sample_too_far_ahead_passes_unscored_and_leaves_no_trace() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    let far = next + 3 * 60 * MINUTE;
    let both = [(up("a"), at(far, 1.0)), (up("b"), at(next, 1.0))];
    let mut batch = Batch::default();
    for (place, (labels, sample)) in both.iter().enumerate() {
        let place = place as u32;
        let key = Key::of(format!("{labels:?}").as_bytes(), house.scope.seed(Spelling::RemoteWrite1));
        batch.samples.push(*sample);
        batch.series.push(SeriesSpan { key, labels: place..place + 1, samples: place..place + 1 });
    }
    let source = Source(both.iter().map(|(labels, _)| labels.clone()).collect());
    let (scope, wiring) = (&house.scope, Wiring::Gateway);
    let visit = Visit { scope, batch: &batch, labels: &source, now_ms: next, wiring };
    let tally = house.pipeline.score(&visit, &mut house.out);
    assert_eq!((tally.unscored_for(Reason::Future), tally.scored), (1, 1));
    house.one(next, 11.0);
    assert_eq!(house.emitted("anomaly_score").len(), 1, "the present is still scored");
}

#[test]
fn a_counter_is_scored_by_its_rate_and_a_reset_is_no_anomaly() {
    let mut house = House::new(EVERYTHING);
    let total = || labels(&[("__name__", "requests_total"), ("job", "a")]);
    let mut value = 0.0;
    for step in 0..60 {
        value += 600.0 + (step % 5) as f64;
        house.push(&[(total(), at(START + step * MINUTE, value))]);
    }
    house.push(&[(total(), at(START + 60 * MINUTE, 602.0))]);
    assert!(house.score() < 1.0, "started again from zero at the same rate");
    house.push(&[(total(), at(START + 61 * MINUTE, 602.0 + 60_000.0))]);
    assert!(house.score() > 1.0, "a hundred times the rate");
}

#[test]
fn p28_every_scrape_of_an_interval_is_scored_against_the_state_before_it() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.one(next, 500.0);
    let first = house.score();
    for later in 1..4 {
        let tally = house.page(&[(up("a"), at(next + later * 1_000, 500.0))], false);
        assert_eq!(tally.scored, 0);
        assert_eq!(house.score().to_bits(), first.to_bits());
    }
}

#[test]
fn an_alert_is_counted_when_it_begins_and_the_time_that_was_scored_between_samples() {
    let mut house = House::new("[{match: up, data_range: [0, 100]}]");
    let next = house.warm();
    let jump = |minute: i64| house.one(next + minute * MINUTE, 500.0).alerts;
    assert_eq!([0, 1, 2].map(jump), [1, 0, 0]);
    let minute = house.one(next + 3 * MINUTE, 10.0);
    assert_eq!((minute.scored_ms, minute.allowed_ms), (MINUTE as u64, MINUTE as u64));
    assert_eq!(house.one(next + 600 * MINUTE, 10.0).scored_ms, 3_600_000, "a gap was not scored");
    assert_eq!(house.one(next + 600 * MINUTE, 10.0).scored_ms, 0, "nor is a retry");
}

#[test]
fn a_rule_that_allows_more_alerts_calls_earlier_and_says_so() {
    let scored = |rules: &str| {
        let mut house = House::new(rules);
        let next = house.warm();
        let tally = house.one(next, 13.0);
        (house.score(), tally.allowed_ms)
    };
    let (once, twice_a_day) = (scored("[{match: up}]"), scored("[{match: up, alert_budget: 14}]"));
    assert!(twice_a_day.0 > once.0 && once.0 > 0.0, "{once:?} {twice_a_day:?}");
    assert_eq!(twice_a_day.1, 14 * once.1);
}

#[test]
fn the_same_batches_give_the_same_scores_to_the_last_bit() {
    let play = || {
        let limits = Limits { max_series: 90, max_injected: 70, idle_after_s: 120, ..Limits::default() };
        let mut house = House::with(
            "[{match: '{__name__=~\"m.*_total\"}', emit: {above: 0.1}}, {match: '{job=\"a\"}'}]",
            limits,
        );
        let mut all = Vec::new();
        for step in 0..200_i64 {
            // Churn, resets, jumps, repeats and ends, all of them by arithmetic.
            let series: Vec<_> = (0..40_i64)
                .map(|number| {
                    let name = format!("m{}{}", number + step / 20 * 7, ["", "_total"][number as usize % 2]);
                    let value = match (step * 31 + number * 17) % 97 {
                        0 => stale_marker(),
                        1 => 1e6,
                        rest => (rest + number) as f64 / 7.0,
                    };
                    (
                        labels(&[("__name__", &name), ("job", "a")]),
                        at(START + (step - i64::from(step % 5 == 4)) * 20_000, value),
                    )
                })
                .chain([(up("a"), at(START + step * 20_000, step as f64))])
                .collect();
            let tally = house.push(&series);
            let sent = house.out.drain(..).map(|s| {
                let labels: Vec<_> = s.labels.scored().map(|(n, v)| format!("{n}={v}")).collect();
                (s.name.value(), labels, s.sample.timestamp_ms, s.sample.value.to_bits())
            });
            all.push((tally, sent.collect::<Vec<_>>()));
        }
        all
    };
    let first = play();
    assert!(first.iter().map(|(_, sent)| sent.len()).sum::<usize>() > 1_000);
    assert!(first == play());
}
