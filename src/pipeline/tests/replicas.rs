//! Highly available pairs of which one replica is heard.

use super::*;

fn of(replica: &str, name: &str) -> Labels {
    let mut labels = labels(&[("__name__", name), ("cluster", "eu"), ("job", "a")]);
    if !replica.is_empty() {
        labels.push(("__replica__", replica.to_owned()));
    }
    labels
}

/// A corridor that hears one replica of each pair.
fn house() -> House {
    let house = House::new(EVERYTHING);
    let ha_labels = vec!["cluster".into(), "__replica__".into()];
    let settings = settings(EVERYTHING, Limits::default(), "$VAR", house.pipeline.series());
    house.pipeline.configure(settings.with_ha_labels(ha_labels).with_one_replica("__replica__", 30_000));
    house
}

const SECOND: i64 = 1_000;

/// Both replicas every 15 s, `b` 5 s behind `a`, up to `seconds`.
fn teach(house: &mut House, seconds: i64) {
    for step in 0..seconds / 15 {
        let (now, value) = (START + step * 15 * SECOND, 10.0 + (step * 7 % 5) as f64);
        let heard = house.push(&[(of("a", "load"), at(now, value))]);
        assert_eq!((heard.scored, heard.unscored_for(Reason::Replica)), (1, 0));
        let other = house.push(&[(of("b", "load"), at(now + 5 * SECOND, value))]);
        assert_eq!((other.scored, other.unscored_for(Reason::Replica)), (0, 1));
        assert!(house.out.is_empty(), "nothing is said of the other");
    }
}

#[test]
fn one_replica_is_scored_and_the_other_takes_over_with_its_state() {
    let mut house = house();
    teach(&mut house, 900);
    let last = START + 885 * SECOND;
    assert_eq!(house.pipeline.series().len(), 1);
    let early = house.push(&[(of("b", "load"), at(last + 29 * SECOND, 10.0))]);
    assert_eq!(early.unscored_for(Reason::Replica), 1, "the elected one may yet come");
    let taken = house.push(&[(of("b", "load"), at(last + 31 * SECOND, 11.0))]);
    assert_eq!(
        (taken.scored, taken.inherited, house.pipeline.series().len()),
        (1, 1, 1),
        "the pair has one state"
    );
    house.push(&[(of("b", "load"), at(last + 46 * SECOND, 500.0))]);
    assert!(house.score() > 1.0, "and it is warm");
    let back = house.push(&[(of("a", "load"), at(last + 50 * SECOND, 10.0))]);
    assert_eq!(back.unscored_for(Reason::Replica), 1, "who comes back is the other now");
    assert_eq!(ends(&house, "anomaly_score"), [last + 1], "and what was said of it ends, in its own request");
    let again = house.push(&[(of("a", "load"), at(last + 90 * SECOND, 10.0))]);
    assert_eq!((again.scored, again.inherited, house.pipeline.series().len()), (1, 1, 1));
}

#[test]
fn a_counter_goes_on_from_one_replica_to_the_other() {
    let mut house = house();
    let name = "requests_total";
    let count = |second: i64| 1e9 + 10.0 * second as f64 + (second % 4) as f64;
    for step in 0..60 {
        house.push(&[(of("a", name), at(START + step * 15 * SECOND, count(step * 15)))]);
    }
    for second in [920, 935, 950] {
        let tally = house.push(&[(of("b", name), at(START + second * SECOND, count(second)))]);
        assert_eq!((tally.scored, tally.alerts), (1, 0), "second {second}");
    }
    let tally = house.push(&[(of("b", name), at(START + 965 * SECOND, count(965) + 1e6))]);
    assert_eq!(tally.alerts, 1);
}

#[test]
fn pairs_tenants_and_senders_without_a_replica_do_not_silence_each_other() {
    let mut house = house();
    let mut scored = |labels: Labels| house.push(&[(labels, at(START, 1.0))]).scored;
    assert_eq!(scored(of("a", "load")), 1);
    assert_eq!(scored(of("b", "load")), 0);
    assert_eq!(scored(of("", "load")), 1, "no replica");
    let us = labels(&[("__name__", "load"), ("cluster", "us"), ("__replica__", "b")]);
    assert_eq!(scored(us), 1, "another pair");
    house.scope = house.pipeline.scope(&ScopeName::Tenant("other".into()), START).expect("room");
    assert_eq!(house.push(&[(of("b", "load"), at(START, 1.0))]).scored, 1, "another tenant");
}

#[test]
fn after_a_restart_the_replica_whose_states_were_kept_is_heard() {
    let mut before = house();
    teach(&mut before, 900);
    let after = house();
    let now = START + 900 * SECOND;
    (0..before.pipeline.series().chunks())
        .flat_map(|chunk| before.pipeline.memories(chunk))
        .for_each(|memory| after.pipeline.recall(memory, now).expect("room"));
    let mut after =
        House { scope: after.pipeline.scope(&ScopeName::Tenant("".into()), now).expect("known"), ..after };
    assert_eq!(after.push(&[(of("b", "load"), at(now, 10.0))]).scored, 0);
    let taken = after.push(&[(of("b", "load"), at(now + 31 * SECOND, 10.0))]);
    assert_eq!((taken.scored, taken.inherited), (1, 1), "unless it does not come");
}
