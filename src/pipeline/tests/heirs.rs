//! Series that go on with what others have learned.

use super::*;
use crate::rules::Selector;

const HEIRS: &str = "[{match: '{__name__=~\".+\"}', identity_without: [pod, instance]}]";
const OLD: &str = "api-7d9f8b6c5-x2x9z";
const NEW: &str = "api-66b5d8c9df-4bz7k";

fn of(pod: &str) -> Labels {
    labels(&[("__name__", "load"), ("namespace", "shop"), ("pod", pod), ("instance", pod)])
}

/// Noise, so that a gap has no phase.
fn ordinary(minute: i64) -> f64 {
    10.0 + ((minute + 1) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(31) as f64
        / u64::MAX as f64
}

/// Writes a sample of each of `pods` a minute, and returns the next minute.
fn write(house: &mut House, pods: &[&str], minutes: Range<i64>) -> i64 {
    for minute in minutes.clone() {
        let sample = at(START + minute * MINUTE, ordinary(minute));
        house.push(&pods.iter().map(|pod| (of(pod), sample)).collect::<Vec<_>>());
    }
    minutes.end
}

fn end(house: &mut House, pod: &str, minute: i64) -> Tally {
    house.push(&[(of(pod), at(START + minute * MINUTE, stale_marker()))])
}

/// The score of one sample of `pod`.
fn score(house: &mut House, pod: &str, minute: i64, value: f64) -> f64 {
    house.push(&[(of(pod), at(START + minute * MINUTE, value))]);
    house.score()
}

fn samples_seen(house: &House, pod: &str) -> u32 {
    let mut seen = None;
    house.pipeline.series().for_each(|_, series| {
        if series.labels.get("pod") == Some(pod) {
            seen = Some(series.state.samples_seen());
        }
    });
    seen.expect("the pod's series is there")
}

#[test]
fn a_pod_that_takes_the_place_of_another_knows_what_that_one_knew() {
    let (mut house, mut cold) = (House::new(HEIRS), House::new(EVERYTHING));
    for house in [&mut house, &mut cold] {
        let next = write(house, &[OLD], 0..60);
        end(house, OLD, next);
    }
    let first = |house: &mut House| house.push(&[(of(NEW), at(START + 62 * MINUTE, ordinary(62)))]).inherited;
    assert_eq!((first(&mut house), first(&mut cold)), (1, 0));
    for house in [&mut house, &mut cold] {
        write(house, &[NEW], 63..67);
    }
    assert!(
        score(&mut house, NEW, 67, 500.0) > 1.0,
        "what is far from ordinary is told after its first minutes"
    );
    assert_eq!(score(&mut cold, NEW, 67, 500.0), 0.0, "without an heir nothing is known yet");
}

#[test]
fn a_pod_that_starts_before_the_other_ends_inherits_when_that_one_ends() {
    let mut house = House::new(HEIRS);
    write(&mut house, &[OLD], 0..60);
    write(&mut house, &[OLD, NEW], 60..63);
    assert_eq!(samples_seen(&house, NEW), 2);
    // The new pod's newest sample is of the very minute of the old one's last.
    assert_eq!(end(&mut house, OLD, 63).inherited, 1);
    assert_eq!(samples_seen(&house, NEW), samples_seen(&house, OLD));
    write(&mut house, &[NEW], 63..80);
    assert!(score(&mut house, NEW, 80, ordinary(80)) < 1.0);
    assert!(score(&mut house, NEW, 81, 500.0) > 1.0);
}

#[test]
fn of_a_page_what_is_there_no_more_leaves_to_what_is_new() {
    let mut house = House::new(HEIRS);
    house.scope = house.pipeline.scope(&ScopeName::Target("pods".into()), START).expect("room");
    let page = |house: &mut House, pod, minute: i64| {
        house.page(&[(of(pod), at(START + minute * MINUTE, ordinary(minute)))], true)
    };
    for minute in 0..60 {
        page(&mut house, OLD, minute);
    }
    assert_eq!(page(&mut house, NEW, 60).inherited, 1, "on the very page that the old one is not on");
    assert_eq!(samples_seen(&house, NEW), samples_seen(&house, OLD));
}

#[test]
fn who_falls_silent_leaves_when_the_sweep_finds_it() {
    let mut house = House::new(HEIRS);
    write(&mut house, &[OLD], 0..60);
    write(&mut house, &[NEW], 61..90);
    assert!(samples_seen(&house, NEW) > 60, "inherited on the way");
}

#[test]
fn each_state_is_inherited_once_and_by_who_shares_the_most_labels() {
    let mut house = House::new(HEIRS);
    let on = |pod: &str, instance: &str, sample| {
        let pairs = [("__name__", "load"), ("namespace", "shop"), ("pod", pod), ("instance", instance)];
        (labels(&pairs), sample)
    };
    let minute = |minute: i64, value| at(START + minute * MINUTE, value);
    for step in 0..60 {
        let sample = minute(step, ordinary(step));
        house.push(&[on("api-7d9f8b6c5-ggggg", "n1", sample)]);
        if step >= 20 {
            house.push(&[on("api-7d9f8b6c5-hhhhh", "n2", sample)]);
        }
    }
    house.push(&[on("api-7d9f8b6c5-hhhhh", "n2", minute(60, stale_marker()))]);
    house.push(&[on("api-7d9f8b6c5-ggggg", "n1", minute(61, stale_marker()))]);
    let names = ["api-7d9f8b6c5-kkkkk", "api-7d9f8b6c5-lllll", "api-7d9f8b6c5-mmmmm"];
    let inherited: Vec<_> = [(names[0], "n1"), (names[1], "n1"), (names[2], "n2")]
        .into_iter()
        .map(|(pod, instance)| house.push(&[on(pod, instance, minute(62, 10.0))]).inherited)
        .collect();
    assert_eq!(inherited, [1, 1, 0], "there were two");
    assert_eq!(samples_seen(&house, names[0]), 60, "from the one on its own node");
    assert_eq!((samples_seen(&house, names[1]), samples_seen(&house, names[2])), (40, 0));
}

#[test]
fn who_is_another_or_comes_too_late_inherits_nothing() {
    let inherited = |rules: &str, minute: i64, newcomer: Labels| {
        let mut house = House::new(rules);
        write(&mut house, &[OLD], 0..60);
        end(&mut house, OLD, 60);
        house.push(&[(newcomer, at(START + minute * MINUTE, 10.0))]).inherited
    };
    assert_eq!(inherited(HEIRS, 70, of(NEW)), 1, "just in time");
    assert_eq!(inherited(HEIRS, 71, of(NEW)), 0, "too late");
    assert_eq!(inherited(HEIRS, 62, of("web-66b5d8c9df-4bz7k")), 0, "another workload");
    let counter = labels(&[("__name__", "other"), ("namespace", "shop"), ("pod", NEW), ("instance", NEW)]);
    assert_eq!(inherited(HEIRS, 62, counter), 0, "another metric");
    let rules = "[{name: a, match: 'load{pod=~\"api-7.*\"}', identity_without: [pod, instance]}, \
                 {name: b, match: load, identity_without: [pod, instance]}]";
    assert_eq!(inherited(rules, 62, of(NEW)), 0, "another rule");
    let mut house = House::new(HEIRS);
    write(&mut house, &[OLD], 0..60);
    end(&mut house, OLD, 60);
    house.scope = house.pipeline.scope(&ScopeName::Tenant("other".into()), START).expect("room");
    assert_eq!(house.push(&[(of(NEW), at(START + 62 * MINUTE, 10.0))]).inherited, 0, "another tenant");
}

#[test]
fn who_knows_too_little_or_has_come_back_leaves_nothing() {
    let mut house = House::new(HEIRS);
    write(&mut house, &[OLD], 0..10);
    end(&mut house, OLD, 10);
    assert_eq!(
        house.push(&[(of(NEW), at(START + 11 * MINUTE, 10.0))]).inherited,
        0,
        "it was warming up itself"
    );
    let mut house = House::new(HEIRS);
    write(&mut house, &[OLD], 0..60);
    end(&mut house, OLD, 60);
    // A scrape that failed, no more.
    write(&mut house, &[OLD], 61..63);
    assert_eq!(house.push(&[(of(NEW), at(START + 63 * MINUTE, 10.0))]).inherited, 0);
    assert!(score(&mut house, OLD, 64, 500.0) > 1.0, "it is where it was");
}

#[test]
fn a_counter_inherits_what_was_learned_and_begins_its_count_anew() {
    let mut house = House::new(HEIRS);
    let counter = |pod: &str| labels(&[("__name__", "requests_total"), ("pod", pod)]);
    let mut value = 1e9;
    for minute in 0..60 {
        value += 60.0 * ordinary(minute);
        house.push(&[(counter(OLD), at(START + minute * MINUTE, value))]);
    }
    house.push(&[(counter(OLD), at(START + 60 * MINUTE, stale_marker()))]);
    value = 0.0;
    for minute in 61..70 {
        value += 60.0 * ordinary(minute);
        let tally = house.push(&[(counter(NEW), at(START + minute * MINUTE, value))]);
        assert_eq!(tally.alerts, 0, "minute {minute}: no rate from one pod's count to another's");
    }
    let tally = house.push(&[(counter(NEW), at(START + 70 * MINUTE, 1e7))]);
    assert_eq!(tally.alerts, 1);
}

#[test]
fn an_explanation_says_whose_state_it_is() {
    let mut house = House::new(HEIRS);
    write(&mut house, &[OLD], 0..60);
    end(&mut house, OLD, 60);
    write(&mut house, &[NEW], 61..63);
    let selector: Selector = format!("load{{pod=\"{NEW}\"}}").parse().expect("a selector");
    let explained = house.pipeline.explain(&selector, 1).remove(0);
    let inherited = explained.inherited.expect("it is told");
    assert_eq!(inherited.ended_ms, START + 60 * MINUTE);
    let other = [("instance", OLD), ("pod", OLD)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(inherited.labels.into_iter().collect::<Vec<_>>(), other, "only what differs");
    let selector: Selector = format!("load{{pod=\"{OLD}\"}}").parse().expect("a selector");
    assert_eq!(house.pipeline.explain(&selector, 1).remove(0).inherited, None);
}

#[test]
fn a_reload_between_an_end_and_its_heir_loses_nothing() {
    let mut house = House::new(HEIRS);
    write(&mut house, &[OLD], 0..60);
    end(&mut house, OLD, 60);
    let rules =
        "[{match: down}, {name: '{__name__=~\".+\"}', match: load, identity_without: [instance, pod]}]";
    house.configure(rules);
    assert_eq!(house.push(&[(of(NEW), at(START + 62 * MINUTE, 10.0))]).inherited, 1);
}
