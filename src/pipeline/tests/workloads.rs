//! Counts of workloads.

use super::*;

#[test]
fn workload_counts_are_there_whatever_is_emitted() {
    let mut house = House::new("[{match: up, emit: {above: 0.5}}]");
    let next = house.warm();
    assert_eq!(house.emitted("scored_series"), [1.0]);
    assert_eq!(house.emitted("anomalous_series"), [0.0]);
    house.one(next, 500.0);
    assert_eq!(house.emitted("anomalous_series"), [1.0]);
}

#[test]
fn a_series_that_ended_is_not_counted_until_it_comes_again() {
    // What comes a second and a third time is an anomaly by its range, whatever has been learned.
    let mut house = House::new("[{match: '{__name__=~\".+\"}', data_range: [0, 100]}]");
    let next = house.warm();
    let other = labels(&[("__name__", "down"), ("job", "a")]);
    house.push(&[(up("a"), at(next, 500.0)), (other.clone(), at(next, 1.0))]);
    let next = next + MINUTE;
    house.push(&[(up("a"), at(next, stale_marker())), (other.clone(), at(next, 1.0))]);
    house.push(&[(other.clone(), at(next + MINUTE, 1.0))]);
    assert_eq!((house.emitted("anomalous_series"), house.emitted("scored_series")), (vec![0.0], vec![1.0]));
    let next = next + 2 * MINUTE;
    house.push(&[(up("a"), at(next, 500.0)), (other.clone(), at(next, 1.0))]);
    house.push(&[(up("a"), at(next + MINUTE, 500.0)), (other, at(next + MINUTE, 1.0))]);
    assert_eq!((house.emitted("anomalous_series"), house.emitted("scored_series")), (vec![1.0], vec![2.0]));
}

#[test]
fn series_that_nobody_sends_any_more_are_not_counted() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.push(&[(up("a"), at(next, 500.0))]);
    let other = labels(&[("__name__", "down"), ("job", "a")]);
    for second in [1, 599, 601, 602, 700] {
        house.push(&[(other.clone(), at(next + second * 1_000, 1.0))]);
    }
    assert_eq!((house.emitted("anomalous_series"), house.emitted("scored_series")), (vec![0.0], vec![1.0]));
}

#[test]
fn p28_counts_by_workload_stand_on_every_page_whoever_asks() {
    let mut house = House::new(EVERYTHING);
    let both = |at_ms| [(up("a"), at(at_ms, 1.0)), (up("b"), at(at_ms, 1.0))];
    house.page(&both(START), true);
    // Prometheus every 5 s, and a person with curl between two of its scrapes.
    for (second, teach) in [(1, false), (5, true), (7, false), (10, true), (15, true)] {
        house.page(&both(START + second * 1_000), teach);
        assert_eq!(house.emitted("scored_series"), [1.0, 1.0], "second {second}");
        assert_eq!(house.emitted("anomalous_series"), [0.0, 0.0], "second {second}");
        let now_ms = START + second * 1_000;
        assert!(house.out.iter().all(|score| score.sample.timestamp_ms == now_ms));
    }
}

#[test]
fn counts_by_workload_are_written_once_in_fifteen_seconds() {
    let mut house = House::new(EVERYTHING);
    for second in 0..60 {
        house.push(&[(up("a"), at(START + second * 1_000, 1.0)), (up("b"), at(START + second * 1_000, 1.0))]);
        let counts = if second % 15 == 0 { 2 } else { 0 };
        assert_eq!(house.emitted("scored_series").len(), counts, "second {second}");
    }
}

#[test]
fn each_replica_has_counts_of_its_own_that_bear_its_label() {
    let mut house = House::new(EVERYTHING);
    let of = |replica, name| labels(&[("__name__", name), ("__replica__", replica), ("job", "a")]);
    house.push(&[(of("r1", "up"), at(START, 1.0)), (of("r1", "down"), at(START, 1.0))]);
    house.push(&[(of("r2", "up"), at(START, 1.0))]);
    let mut told = |replica, at_ms| -> Vec<_> {
        house.push(&[(of(replica, "up"), at(at_ms, 1.0))]);
        let replicas = |score: &ScoreSample| score.labels.get("__replica__").map(str::to_owned);
        assert!(house.out.iter().all(|score| replicas(score).as_deref() == Some(replica)));
        house.emitted("scored_series")
    };
    assert_eq!(told("r1", START + MINUTE), [2.0]);
    assert_eq!(told("r2", START + MINUTE), [1.0]);
    assert!(told("r2", START + MINUTE + 1_000).is_empty());
}

#[test]
fn a_workload_without_series_ends_and_is_forgotten() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.push(&[(up("a"), at(next, stale_marker())), (up("b"), at(next, 1.0))]);
    let counts = |house: &House, job| -> Vec<f64> {
        let of_job = |score: &&ScoreSample| {
            score.labels.get("job") == Some(job) && score.name.value() == "scored_series"
        };
        house.out.iter().filter(of_job).map(|score| score.sample.value).collect()
    };
    let ended = counts(&house, "a");
    assert!(ended.len() == 1 && is_stale_marker(ended[0]), "{ended:?}");
    assert_eq!(counts(&house, "b"), [1.0]);
    assert_eq!(house.pipeline.workloads().len(), 1);
    house.push(&[(up("b"), at(next + MINUTE, 1.0))]);
    assert!(counts(&house, "a").is_empty(), "it ends once");
    house.push(&[(up("a"), at(next + 2 * MINUTE, 1.0)), (up("b"), at(next + 2 * MINUTE, 1.0))]);
    assert_eq!(counts(&house, "a"), [1.0], "and may begin again");
}

#[test]
fn workloads_of_a_dead_tenant_do_not_eat_the_limit() {
    let mut house = House::new(EVERYTHING);
    let jobs = |from: i64, at_ms| -> Vec<_> {
        (from..from + 100).map(|job| (up(&job.to_string()), at(at_ms, 1.0))).collect()
    };
    house.push(&jobs(0, START));
    house.scope = house.pipeline.scope(&ScopeName::Tenant("other".into()), START).expect("room");
    house.push(&jobs(0, START));
    assert!(house.emitted("scored_series").is_empty(), "the limit is reached");
    for second in 0..20 {
        house.push(&jobs(100, START + 11 * MINUTE + second * 1_000));
    }
    house.push(&jobs(200, START + 12 * MINUTE));
    assert_eq!(house.emitted("scored_series").len(), 100, "the dead tenant's made room");
}

#[test]
fn b3_workloads_without_series_make_room_for_others() {
    let mut house =
        House::with(EVERYTHING, Limits { max_series: 100, idle_after_s: 60, ..Limits::default() });
    for round in 0..300 {
        let job = format!("job-{round}");
        house.push(&[(up(&job), at(START + round * 10 * MINUTE, 1.0))]);
        let of_job = |score: &&ScoreSample| score.labels.get("job") == Some(&*job);
        let counts = house.out.iter().filter(of_job).filter(|score| score.name.value() == "scored_series");
        assert_eq!(counts.map(|score| score.sample.value).collect::<Vec<_>>(), [1.0], "round {round}");
    }
    assert!(house.pipeline.workloads().len() <= 100);
}
