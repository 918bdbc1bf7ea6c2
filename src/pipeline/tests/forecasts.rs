//! What is sent of the future of a series.

use super::*;

const RULE: &str = "[{match: up, forecast_at: [1h, 1d]}]";
const TENTH: i64 = 6 * MINUTE;

fn value(step: i64) -> f64 {
    10.0 + (step * 7_919 % 13) as f64
}

/// Two hours of `up`, in batches of `size` samples; all that was sent.
fn sent(house: &mut House, size: usize) -> Vec<ScoreSample> {
    let samples: Vec<_> = (0..120).map(|step| (up("a"), at(START + step * MINUTE, value(step)))).collect();
    let mut all = Vec::new();
    for batch in samples.chunks(size) {
        house.push(batch);
        all.append(&mut house.out);
    }
    all
}

/// Times and values of what was sent as `name`.
fn named(sent: &[ScoreSample], name: &str) -> Vec<(i64, f64)> {
    let named = sent.iter().filter(|score| score.name.value() == name);
    named.map(|score| (score.sample.timestamp_ms, score.sample.value)).collect()
}

#[test]
fn a_forecast_is_sent_once_in_a_tenth_of_its_horizon_with_its_band() {
    let mut house = House::new(RULE);
    let sent = sent(&mut house, 1);
    let [expected, lower, upper] =
        ["yhat_1h", "yhat_lower_1h", "yhat_upper_1h"].map(|name| named(&sent, name));
    // From a quarter of an hour and the warm-up on: a tenth of an hour each.
    assert!((15..=18).contains(&expected.len()), "{}", expected.len());
    assert!(expected.windows(2).all(|two| two[1].0 - two[0].0 >= TENTH));
    for ((told, lower), upper) in expected.iter().zip(&lower).zip(&upper) {
        assert!(told.0 == lower.0 && told.0 == upper.0 && lower.1 < told.1 && told.1 < upper.1);
    }
    assert!(named(&sent, "yhat_1d").is_empty(), "two hours say nothing of a day");
    assert_eq!(named(&sent, "anomaly_score").len(), 120);
}

#[test]
fn forecasts_are_the_same_to_the_last_bit_however_samples_come_in_batches() {
    let told = |size: usize| {
        let sent = sent(&mut House::new(RULE), size);
        let bits = |name| -> Vec<_> {
            named(&sent, name).into_iter().map(|(at_ms, value)| (at_ms, value.to_bits())).collect()
        };
        ["yhat_1h", "yhat_lower_1h", "yhat_upper_1h", "anomaly_score"].map(bits)
    };
    let one = told(1);
    assert!(one[0].len() >= 15);
    for size in [2, 7, 119] {
        let mut many = told(size);
        // What was due with the very last sample is made behind its batch as well.
        assert!(many[0].len() == one[0].len(), "{size}");
        many.iter_mut().zip(&one).for_each(|(many, one)| assert_eq!(many, one, "{size}"));
    }
}

#[test]
fn forecasts_count_as_score_series_and_end_with_their_series() {
    let mut house = House::new(RULE);
    sent(&mut house, 1);
    assert_eq!(house.pipeline.budget().injected, 1 + 6);
    house.one(START + 120 * MINUTE, stale_marker());
    for name in ["anomaly_score", "yhat_1h", "yhat_upper_1h", "yhat_lower_1d"] {
        assert_eq!(ends(&house, name), [START + 120 * MINUTE], "{name}");
    }
    assert_eq!(house.pipeline.budget().injected, 0);
}

#[test]
fn without_room_for_them_forecasts_are_not_sent_and_scores_are() {
    let limits = Limits { max_injected: 6, ..Limits::default() };
    let mut house = House::with(RULE, limits);
    let sent = sent(&mut house, 1);
    assert!(named(&sent, "yhat_1h").is_empty() && named(&sent, "anomaly_score").len() == 120);
    assert_eq!(house.pipeline.budget().injected, 1);
}

#[test]
fn horizons_that_a_new_rule_does_not_have_end_and_others_go_on() {
    let mut house = House::new(RULE);
    sent(&mut house, 1);
    house.configure("[{match: up, forecast_at: [1h, 2h]}]");
    let mut all = Vec::new();
    for step in 120..140 {
        house.one(START + step * MINUTE, value(step));
        all.append(&mut house.out);
    }
    let is_end = |name: &str| named(&all, name).iter().any(|(_, value)| is_stale_marker(*value));
    assert!(is_end("yhat_1d") && is_end("yhat_upper_1d") && !is_end("yhat_1h") && !is_end("anomaly_score"));
    assert!(named(&all, "yhat_1h").len() >= 2);
    assert_eq!(house.pipeline.budget().injected, 1 + 6);
    house.configure("[{match: up}]");
    house.one(START + 140 * MINUTE, value(140));
    assert_eq!((ends(&house, "yhat_1h").len(), house.pipeline.budget().injected), (1, 1));
}

#[test]
fn whoever_asks_again_is_told_the_same_forecast() {
    let mut house = House::new("[{match: up, forecast_at: [1h]}]");
    let due = (0..60).find(|step| {
        house.page(&[(up("a"), at(START + step * MINUTE, value(*step)))], true);
        !house.emitted("yhat_1h").is_empty()
    });
    let (due, told) = (due.expect("a forecast"), house.emitted("yhat_1h"));
    // The second of a pair scrapes within the interval, and is told at its own time.
    house.page(&[(up("a"), at(START + due * MINUTE + 20_000, value(due)))], false);
    assert_eq!(house.emitted("yhat_1h"), told);
    // A retry.
    house.one(START + due * MINUTE, value(due));
    assert_eq!(house.emitted("yhat_1h"), told);
    // Who reads the newest scores.
    let newest = house.newest("yhat_1h");
    assert_eq!((newest.len(), newest[0].sample.timestamp_ms), (1, START + due * MINUTE));
    house.page(&[(up("a"), at(START + (due + 1) * MINUTE, value(due + 1)))], true);
    assert!(house.emitted("yhat_1h").is_empty());
    house.page(&[(up("a"), at(START + (due + 1) * MINUTE + 20_000, value(due + 1)))], false);
    assert!(house.emitted("yhat_1h").is_empty());
}

#[test]
fn a_series_of_the_users_own_keeps_the_name_of_a_forecast() {
    let mut house = House::new("[{match: up, forecast_at: [1h]}]");
    sent(&mut house, 1);
    let own = || labels(&[("__name__", "yhat_1h"), ("for", "up"), ("job", "a")]);
    let mut all = Vec::new();
    for step in 120..140 {
        let at_ms = START + step * MINUTE;
        house.push(&[(up("a"), at(at_ms, value(step))), (own(), at(at_ms, 1.0))]);
        all.append(&mut house.out);
    }
    assert!(named(&all, "yhat_1h").iter().all(|(at_ms, _)| *at_ms == START + 120 * MINUTE));
    assert!(named(&all, "yhat_1h").iter().all(|(_, value)| !is_stale_marker(*value)));
    assert!(named(&all, "yhat_upper_1h").iter().any(|(_, value)| is_stale_marker(*value)));
    assert_eq!(house.pipeline.budget().injected, 1);
}
