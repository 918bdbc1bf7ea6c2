//! Series that end, and what they owe.

use super::*;

#[test]
fn series_that_nobody_sends_any_more_make_room_for_the_scores_of_others() {
    let limits = Limits { max_injected: 300, idle_after_s: 600, ..Limits::default() };
    let mut house = House::with(EVERYTHING, limits);
    let many = |round: i64| -> Vec<_> {
        let series = |number| labels(&[("__name__", &format!("m{round}_{number}")), ("job", "a")]);
        (0..300).map(|number| (series(number), at(START + round * 15 * MINUTE, 1.0))).collect()
    };
    for round in 0..20 {
        if round > 0 {
            // What lives on lets the dead go, a part of the table with each batch.
            for second in 0..5 {
                house.one(START + (round * 15 - 1) * MINUTE + second * 1_000, 1.0);
            }
        }
        let tally = house.push(&many(round));
        assert_eq!(tally.unscored_for(Reason::ScoreLimit), u64::from(round > 0), "round {round}");
        assert_eq!(house.emitted("anomaly_score").len(), 300 - usize::from(round > 0));
    }
    assert_eq!(house.pipeline.series().len(), 20 * 300 + 1, "what they have learned is kept");
    assert_eq!(house.pipeline.budget().injected, 300);
}

#[test]
fn a_series_that_is_not_on_its_targets_page_any_more_has_ended() {
    let mut house = House::with(EVERYTHING, Limits { max_injected: 200, ..Limits::default() });
    let pods = |numbers: Range<i64>, at_ms: i64| -> Vec<_> {
        numbers
            .map(|number| (labels(&[("__name__", &format!("m{number}")), ("job", "a")]), at(at_ms, 1.0)))
            .collect()
    };
    house.page(&pods(0..200, START), true);
    // Half of it is another pod now, and a scrape within the interval knows of no end.
    for (minute, teach) in [(1, false), (2, true), (3, true), (4, false)] {
        let tally = house.page(&pods(100..300, START + minute * MINUTE), teach);
        let room = if minute <= 2 { 100 } else { 200 };
        assert_eq!(house.emitted("anomaly_score").len(), room, "minute {minute}");
        assert_eq!(tally.unscored_for(Reason::ScoreLimit), u64::from(minute == 2) * 100);
    }
    assert_eq!(house.pipeline.series().len(), 300);
}

#[test]
fn a_page_ends_no_series_of_another_target() {
    let mut house = House::new(EVERYTHING);
    let other = house.pipeline.scope(&ScopeName::Target("other".into()), START).expect("room");
    house.page(&[(up("a"), at(START, 1.0))], true);
    let mine = std::mem::replace(&mut house.scope, other);
    house.page(&[(up("b"), at(START + MINUTE, 1.0))], true);
    house.page(&[], true);
    assert!(house.newest("anomaly_score").is_empty());
    house.scope = mine;
    assert_eq!(house.newest("anomaly_score").len(), 1);
}

#[test]
fn a_sweep_is_bounded_and_comes_round_in_a_part_of_the_idle_timeout() {
    let sweep = crate::pipeline::leave::Sweep::default();
    let due = |chunks, now_s| sweep.due(chunks, 150, now_s).collect::<Vec<_>>();
    assert!(due(0, 1).is_empty(), "no table");
    assert_eq!(due(3_000, 100_000).len(), 128, "after a long pause");
    assert!(due(3_000, 100_000).is_empty(), "once a second");
    assert_eq!(due(3_000, 100_001), (128..148).collect::<Vec<_>>(), "a 150th of the table");
    assert_eq!(due(3_000, 100_003).len(), 40);
    assert_eq!(due(3_000, 99_000).len(), 1, "a clock that was set back");
    assert_eq!(due(1, 99_010), [0], "no chunk twice at once");
}

#[test]
fn f11_a_series_that_is_shed_or_evicted_ends_behind_its_last_sample() {
    let limits = Limits { max_series: 1, idle_after_s: 600, ..Limits::default() };
    let rules = "[{name: low, match: '{job=\"a\"}'}, {name: high, match: '{job=~\"b|c\"}', priority: 5}]";
    let mut house = House::with(rules, limits);
    house.one(START, 1.0);
    house.push(&[(up("b"), at(START + MINUTE, 1.0))]);
    assert_eq!(ends(&house, "anomaly_score"), [START + 1], "shed for a more important one");
    assert!(is_stale_marker(house.out[0].sample.value), "before the newcomer's score");
    house.push(&[(up("c"), at(START + 20 * MINUTE, 1.0))]);
    assert_eq!(ends(&house, "anomaly_score"), [START + MINUTE + 1], "idle, and in the way of another");
}

#[test]
fn f11_an_idle_series_ends_with_the_next_batch_of_its_tenant_and_replica() {
    let mut house = House::new(EVERYTHING);
    let of = |replica, name| labels(&[("__name__", name), ("__replica__", replica)]);
    house.push(&[(of("r1", "up"), at(START, 1.0))]);
    let mine = Arc::clone(&house.scope);
    house.scope = house.pipeline.scope(&ScopeName::Tenant("other".into()), START).expect("room");
    house.one(START + 15 * MINUTE, 1.0);
    house.one(START + 16 * MINUTE, 1.0);
    assert!(ends(&house, "anomaly_score").is_empty(), "another tenant's");
    house.scope = mine;
    house.push(&[(of("r2", "down"), at(START + 17 * MINUTE, 1.0))]);
    assert!(ends(&house, "anomaly_score").is_empty(), "another replica's");
    house.push(&[(of("r1", "down"), at(START + 18 * MINUTE, 1.0))]);
    assert_eq!(ends(&house, "anomaly_score"), [START + 1]);
    house.push(&[(of("r1", "up"), at(START + 19 * MINUTE, 1.0))]);
    assert_eq!(
        (ends(&house, "anomaly_score"), house.emitted("anomaly_score").len()),
        (vec![], 1),
        "it is back"
    );
}

#[test]
fn f11_a_reload_ends_what_it_takes_away() {
    let mut house = House::new("[{match: up, provide_series: [anomaly_score, yhat]}]");
    let next = house.warm();
    house.configure("[{match: up}]");
    house.one(next, 11.0);
    assert_eq!((ends(&house, "yhat"), ends(&house, "anomaly_score")), (vec![next - MINUTE + 1], vec![]));
    assert_eq!(house.score() as i64, 0, "what is still asked for goes on");
    house.configure_as(EVERYTHING, "my_$VAR");
    house.one(next + MINUTE, 11.0);
    assert_eq!(ends(&house, "anomaly_score"), [next + 1], "the old name");
    assert_eq!(house.emitted("my_anomaly_score").len(), 1);
    house.configure_as("[{match: up, exclude: true}]", "$VAR");
    house.one(next + 2 * MINUTE, 11.0);
    assert_eq!(ends(&house, "my_anomaly_score"), [next + MINUTE + 1], "an excluding rule");
    assert_eq!(house.pipeline.budget().injected, 0);
}

#[test]
fn f11_a_series_that_broke_its_detector_ends() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.slot.swap(Model { detector: Detector::Broken(Broken::Panics), ..Model::builtin() });
    house.one(next, 1.0);
    assert_eq!(ends(&house, "anomaly_score"), [next - MINUTE + 1]);
    assert_eq!(house.pipeline.budget().injected, 0);
}
