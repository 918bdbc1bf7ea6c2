//! Series that describe one thing, scored together.

use super::signals::{house, scores_for, with_signals};
use super::*;
use crate::rules::Selector;

const ENTITIES: &str =
    r#"signals: {entities: [{name: pod, match: '{__name__=~"cpu|memory|disk"}', by: [pod], step: 1m}]}"#;
const PARTS: [&str; 3] = ["cpu", "memory", "disk"];

fn part(name: &str, pod: &str) -> Labels {
    labels(&[("__name__", name), ("pod", pod)])
}

/// What is usual of a part at a minute.
fn usual(part: usize, minute: i64) -> f64 {
    10.0 + ((minute * 7919 + part as i64 * 104_729) % 13) as f64
}

/// Lets all parts of `pod` through, each minute one batch; `more` is added to each value.
fn play(
    house: &mut House,
    pod: &str,
    minutes: std::ops::Range<i64>,
    more: impl Fn(usize) -> f64,
) -> Vec<(i64, f64)> {
    let mut scores = Vec::new();
    for minute in minutes {
        let of =
            |(at, name): (usize, &&str)| (part(name, pod), at_minute(minute, usual(at, minute) + more(at)));
        let all: Vec<_> = PARTS.iter().enumerate().map(of).collect();
        house.push(&all);
        scores.extend(scores_for(house, "pod"));
    }
    scores
}

fn at_minute(minute: i64, value: f64) -> Sample {
    at(START + minute * MINUTE, value)
}

fn explained(house: &House, selector: &str) -> crate::pipeline::Explained {
    let selector: Selector = selector.parse().expect("a selector");
    house.pipeline.explain(&selector, 1).pop().expect("a series")
}

#[test]
fn what_is_odd_together_is_an_anomaly_of_the_thing_although_no_rule_scores_its_parts() {
    let mut house = house(ENTITIES);
    let scores = play(&mut house, "a", 0..400, |_| 0.0);
    assert!(scores.len() > 370 && scores.iter().all(|(_, score)| *score < 1.0), "{}", scores.len());
    let score = play(&mut house, "a", 400..401, |part| if part == 1 { 0.0 } else { 9.0 + part as f64 });
    assert!(score[0].1 >= 1.0 && score[0].0 == START + 400 * MINUTE, "{score:?}");
    let told: Vec<_> = house.out[0].labels.scored().collect();
    assert_eq!((house.out.len(), told), (1, vec![("__name__", "pod"), ("pod", "a")]));
}

#[test]
fn the_part_that_weighs_most_is_explained_and_what_all_of_them_came_to() {
    let mut house = house(ENTITIES);
    play(&mut house, "a", 0..200, |_| 0.0);
    play(&mut house, "a", 200..201, |part| if part == 2 { 40.0 } else { 0.0 });
    let told = explained(&house, "pod");
    let origin = told.made_of.expect("what it is made of");
    assert_eq!((origin.signal, origin.entry.as_str(), origin.parts), ("entity", "pod", 3));
    let heaviest = origin.heaviest.expect("a heaviest part");
    assert_eq!(heaviest.series.get("__name__").map(String::as_str), Some("disk"));
    assert!(heaviest.score >= 1.0 && heaviest.share > 0.9, "{heaviest:?}");
    let (joint, given) = (told.joint.expect("what they came to"), told.given.expect("a score"));
    assert!(joint.path.is_some() && joint.largest > joint.second && given.score >= 1.0, "{joint:?}");
    assert_eq!(explained(&house, "disk").rule, "(part of a signal)");
}

#[test]
fn a_part_that_a_context_silences_is_missing_and_not_ordinary() {
    let mut house = house(ENTITIES);
    play(&mut house, "a", 0..200, |_| 0.0);
    let written = crate::context::written;
    let (start, end) = (written(START + 200 * MINUTE), written(START + 300 * MINUTE));
    let calendar = format!(
        "calendars: [{{name: change, match: '{{__name__=~\"memory|disk\"}}', start: '{start}', end: '{end}', effect: suppress}}]"
    );
    let section: crate::config::sections::Context = serde_saphyr::from_str(&calendar).expect("a section");
    let contexts = section.contexts().expect("contexts");
    house.pipeline.configure(with_signals(ENTITIES, &house).with_contexts(contexts));
    play(&mut house, "a", 200..201, |_| 9.0);
    let joint = explained(&house, "pod").joint.expect("what they came to");
    assert!(joint.largest > 0.0 && joint.second == 0.0 && joint.mean == joint.largest, "{joint:?}");
}

#[test]
fn parts_may_be_missing_and_the_thing_ends_with_the_last() {
    let mut house = house(ENTITIES);
    play(&mut house, "a", 0..60, |_| 0.0);
    house.push(&[(part("disk", "a"), at_minute(60, stale_marker()))]);
    for minute in 60..70 {
        house.push(&[
            (part("cpu", "a"), at_minute(minute, usual(0, minute))),
            (part("memory", "a"), at_minute(minute, usual(1, minute))),
        ]);
        assert_eq!(scores_for(&house, "pod").len(), 1, "{minute}");
    }
    house.push(&[
        (part("cpu", "a"), at_minute(70, stale_marker())),
        (part("memory", "a"), at_minute(70, stale_marker())),
    ]);
    assert_eq!(ends(&house, "anomaly_score"), [START + 70 * MINUTE]);
}

#[test]
fn a_part_that_a_rule_scores_is_told_as_if_it_were_no_part() {
    let rules = r#"rules: [{match: cpu}]"#;
    let scores = |yaml: &str| {
        let mut house = house(yaml);
        let mut scores = Vec::new();
        for minute in 0..60 {
            play(&mut house, "a", minute..minute + 1, |_| 0.0);
            scores
                .extend(scores_for(&house, "cpu").into_iter().map(|(at_ms, score)| (at_ms, score.to_bits())));
        }
        scores
    };
    let with = scores(&format!("{ENTITIES}\n{rules}"));
    assert_eq!(with.len(), 60);
    assert_eq!(with, scores(rules));
}

#[test]
fn a_part_that_no_rule_scores_any_more_is_told_no_more_and_goes_on_as_a_part() {
    let mut house = house(&format!("{ENTITIES}\nrules: [{{match: cpu}}]"));
    play(&mut house, "a", 0..60, |_| 0.0);
    house.pipeline.configure(with_signals(ENTITIES, &house));
    let scores = play(&mut house, "a", 60..61, |_| 0.0);
    let told: Vec<_> = house.out.iter().filter(|score| score.labels.metric_name() == "cpu").collect();
    assert!(told.len() == 1 && is_stale_marker(told[0].sample.value), "{told:?}");
    assert_eq!(scores.len(), 1);
}

#[test]
fn no_more_things_are_told_than_the_entry_allows() {
    let mut house = house(&ENTITIES.replace("step: 1m", "step: 1m, max_series: 2"));
    for pod in ["a", "b", "c"] {
        play(&mut house, pod, 0..40, |_| 0.0);
    }
    let budget = house.pipeline.budget();
    assert_eq!((budget.groups, scores_for(&house, "pod").len()), (2, 0));
}

#[test]
fn any_order_of_arrival_of_parts_gives_the_same_bits() {
    // Each part has a sender of its own, in order, however they take turns.
    let play = |order: &dyn Fn(i64) -> [usize; 3]| {
        let mut house = house(ENTITIES);
        let mut scores = Vec::new();
        for minute in 0..120 {
            for of in order(minute) {
                let sample = at(START + minute * MINUTE + of as i64 * 1_000, usual(of, minute));
                house.push(&[(part(PARTS[of], "a"), sample)]);
                scores.extend(scores_for(&house, "pod"));
            }
        }
        scores.into_iter().map(|(at_ms, score)| (at_ms, score.to_bits())).collect::<Vec<_>>()
    };
    let straight = play(&|_| [0, 1, 2]);
    assert!(straight.len() > 90 && straight.iter().any(|(_, score)| *score != 0));
    assert_eq!(straight, play(&|_| [2, 1, 0]));
    assert_eq!(straight, play(&|minute| if minute % 2 == 0 { [2, 0, 1] } else { [1, 0, 2] }));
}

#[test]
fn a_rule_says_how_often_a_thing_may_call() {
    let last = |budget: &str| {
        let rule = format!("rules: [{{match: pod, alert_budget: {budget}}}]");
        let mut house = house(&format!("{ENTITIES}\n{rule}"));
        play(&mut house, "a", 0..200, |_| 0.0).pop().map(|(_, score)| score).expect("a score")
    };
    let (seldom, often) = (last("0.2"), last("7"));
    assert!(often > 2.0 * seldom && seldom > 0.0, "{seldom} {often}");
}

#[test]
fn the_heaviest_part_is_a_series_where_a_rule_asks_for_it_and_there_is_one_at_a_time() {
    let rule = "rules: [{match: pod, provide_series: [anomaly_score, anomaly_part]}]";
    let mut house = house(&format!("{ENTITIES}\n{rule}"));
    play(&mut house, "a", 0..200, |_| 0.0);
    let parts = |house: &House| {
        let of = house.out.iter().filter(|score| score.name.value() == "anomaly_part");
        let told =
            of.map(|score| (score.labels.get("part").unwrap_or_default().to_owned(), score.sample.value));
        told.collect::<Vec<_>>()
    };
    play(&mut house, "a", 200..202, |part| if part == 2 { 40.0 } else { 0.0 });
    let told = parts(&house);
    assert!(told.len() == 1 && told[0].0 == "disk" && (0.9..=1.0).contains(&told[0].1), "{told:?}");
    play(&mut house, "a", 202..203, |part| if part == 0 { 4_000.0 } else { 0.0 });
    let told = parts(&house);
    assert!(told.len() == 2 && told[0].0 == "disk" && is_stale_marker(told[0].1), "{told:?}");
    assert!(told[1].0 == "cpu" && told[1].1 > 0.5, "{told:?}");
    house.push(&PARTS.map(|name| (part(name, "a"), at_minute(203, stale_marker()))));
    assert!(parts(&house).iter().all(|(name, value)| name == "cpu" && is_stale_marker(*value)));
    assert_eq!(ends(&house, "anomaly_part").len(), 1);
}
