//! Series that stop, against their own habit.

#![expect(clippy::single_range_in_vec_init, reason = "a list of minutes from and to, of one entry")]

use proptest::prelude::*;

use super::*;
use crate::rules;
use crate::rules::Selector;
use crate::signals::Specs;

const RULE: &str = "[{match: load, absence: {seen_for: 5m}}]";
/// Samples are as far apart.
const STEP: i64 = 15_000;
const WATERMARK: i64 = 120_000;
/// Steps behind which a missed one is told: the watermark, and half of a step in which it might come yet.
const BEHIND: i64 = 9;

/// What was said of an absent series: its instance and reason, the step, and the score; nothing where it ended.
type Told = (String, String, i64, Option<f64>);

fn house(rules: &str) -> House {
    let house = House::new("[]");
    reconfigure(&house, rules);
    house
}

fn reconfigure(house: &House, rules: &str) {
    let settings = settings(rules, Limits::default(), "$VAR", house.pipeline.series());
    let specs = Specs::new(Vec::new(), WATERMARK, 10);
    house.pipeline.configure(settings.with_signals(specs, rules::Emit::Always));
}

fn load(instance: &str) -> Labels {
    labels(&[("__name__", "load"), ("job", "api"), ("instance", instance)])
}

fn up_of(instance: &str) -> Labels {
    labels(&[("__name__", "up"), ("job", "api"), ("instance", instance)])
}

fn step(step: i64, value: f64) -> Sample {
    at(START + step * STEP, value)
}

/// What of the emitted samples is of absent series. Steps are those in which a sample lies.
fn absent(out: &[ScoreSample]) -> Vec<Told> {
    let of = out.iter().filter(|score| score.labels.metric_name().ends_with(":absent"));
    let label = |score: &ScoreSample, name| score.labels.get(name).unwrap_or_default().to_owned();
    let value = |sample: Sample| Some(sample.value).filter(|value| !is_stale_marker(*value));
    of.map(|score| {
        let at = (score.sample.timestamp_ms - START).div_euclid(STEP);
        (label(score, "instance"), label(score, "reason"), at, value(score.sample))
    })
    .collect()
}

/// Pushes what `scrape` says for each of `steps`; gives what was said of absent series.
fn play(house: &mut House, steps: Range<i64>, scrape: impl Fn(i64) -> Vec<(Labels, Sample)>) -> Vec<Told> {
    let mut told = Vec::new();
    for step in steps {
        house.push(&scrape(step));
        told.extend(absent(&house.out));
    }
    told
}

/// A scrape of each of `instances` that went well.
fn well(instances: &[&str], at: i64) -> Vec<(Labels, Sample)> {
    instances.iter().flat_map(|name| [(up_of(name), step(at, 1.0)), (load(name), step(at, 5.0))]).collect()
}

/// Two instances that go on for a quarter of an hour.
fn accustomed(rules: &str) -> House {
    let mut house = house(rules);
    assert_eq!(play(&mut house, 0..60, |at| well(&["a", "b"], at)), []);
    house
}

fn missed(reason: &str, steps: Range<i64>, from: i64) -> Vec<Told> {
    let score = |at: i64| ((at - from) as f64 / 3.0).sqrt();
    steps.map(|at| ("a".to_owned(), reason.to_owned(), at, Some(score(at)))).collect()
}

#[test]
fn a_metric_that_vanishes_while_its_target_goes_on_is_told_until_it_returns() {
    let mut house = accustomed(RULE);
    let told = play(&mut house, 60..80, |at| {
        let mut all = well(&["b"], at);
        all.push((up_of("a"), step(at, 1.0)));
        if at == 60 {
            all.push((load("a"), step(at, stale_marker())));
        }
        all
    });
    // The newest sample is of step 59: the third that was missed is 62.
    assert_eq!(told, missed("stale_marker", 62..80 - BEHIND + 1, 59)[..told.len()].to_vec());
    assert!(told.len() >= 8, "{told:?}");
    assert_eq!(house.pipeline.budget().injected, 2, "that of the other one, and this");
    let back = play(&mut house, 80..100, |at| well(&["a", "b"], at));
    let (zero, end) = (&back[back.len() - 2], &back[back.len() - 1]);
    assert_eq!((zero.2, zero.3, end.2, end.3), (80, Some(0.0), 80, None));
    assert_eq!(back[..back.len() - 2], missed("stale_marker", 62..80, 59)[told.len()..]);
    assert_eq!(house.pipeline.budget().injected, 2);
}

#[test]
fn a_scrape_that_fails_a_target_that_is_lost_and_a_sender_that_is_silent_are_told_apart() {
    let reason = |of_up: fn(i64) -> Option<f64>, ends: bool| {
        let mut house = accustomed(RULE);
        let told = play(&mut house, 60..90, |at| {
            let mut all = well(&["b"], at);
            all.extend(of_up(at).map(|value| (up_of("a"), step(at, value))));
            if ends && at == 60 {
                all.push((load("a"), step(at, stale_marker())));
            }
            all
        });
        let reasons: Vec<_> =
            told.into_iter().map(|(instance, reason, at, _)| (instance, reason, at)).collect();
        assert!(reasons.len() > 10, "{reasons:?}");
        assert!(reasons.iter().enumerate().all(|(n, told)| told.0 == "a" && told.2 == 62 + n as i64));
        assert!(reasons.windows(2).all(|two| two[0].1 == two[1].1), "it is decided once: {reasons:?}");
        reasons[0].1.clone()
    };
    assert_eq!(reason(|_| Some(0.0), true), "scrape_failed");
    assert_eq!(reason(|at| (at == 60).then_some(stale_marker()), true), "target_lost");
    assert_eq!(reason(|_| Some(1.0), true), "stale_marker");
    assert_eq!(reason(|_| None, false), "silent");
    assert_eq!(reason(|at| (at < 70).then_some(0.0), true), "scrape_failed", "and then not scraped any more");
}

#[test]
fn without_its_up_a_target_is_lost_when_all_of_its_series_end() {
    let rules = "[{match: '{__name__=~\"load|free\"}', absence: {seen_for: 5m}}]";
    let free = |name: &str| labels(&[("__name__", "free"), ("job", "api"), ("instance", name)]);
    let reasons = |also: bool| {
        let mut house = house(rules);
        let told = play(&mut house, 0..90, |at| {
            let of = |labels, ends: bool| match (at, ends) {
                (..60, _) | (_, false) => Some((labels, step(at, 1.0))),
                (60, true) => Some((labels, step(at, stale_marker()))),
                (_, true) => None,
            };
            [of(load("a"), true), of(free("a"), also), of(load("b"), false)].into_iter().flatten().collect()
        });
        let mut reasons: Vec<_> = told.into_iter().map(|told| told.1).collect();
        reasons.dedup();
        reasons
    };
    assert_eq!(
        (reasons(true), reasons(false)),
        (vec!["target_lost".into()], vec!["stale_marker".to_owned()])
    );
}

#[test]
fn where_a_whole_scope_is_silent_nobody_is_missed() {
    for silent in [4, 6, 40, 10_000] {
        let mut house = accustomed(RULE);
        let told = play(&mut house, 60 + silent..140 + silent, |at| well(&["a", "b"], at));
        assert_eq!(told, [], "silent for {silent} steps");
    }
    // But who does not come back with the others is.
    let mut house = accustomed(RULE);
    let told = play(&mut house, 100..140, |at| well(&["b"], at));
    assert_eq!((told[0].1.as_str(), told[0].3), ("silent", Some(1.0)));
    assert!((103..106).contains(&told[0].2), "it counts from when the others were there: {told:?}");
}

#[test]
fn an_absence_goes_on_behind_a_silence_of_all_and_does_not_count_it() {
    let mut house = accustomed(RULE);
    play(&mut house, 60..80, |at| well(&["b"], at));
    let told = play(&mut house, 120..150, |at| well(&["b"], at));
    let scores: Vec<_> = told.iter().filter_map(|told| told.3).collect();
    assert_eq!(scores.len(), told.len(), "it did not end: {told:?}");
    assert!(scores.windows(2).all(|two| two[0] < two[1] && two[1] - two[0] < 0.2), "{scores:?}");
    assert!(told.iter().all(|told| told.2 <= 80 || told.2 >= 120), "{told:?}");
}

#[test]
fn a_series_that_comes_and_goes_is_not_missed_until_it_stays_away_for_longer() {
    let mut house = house(RULE);
    // There for 40 minutes, away for 20.
    let is_there = |at: i64| at % 240 < 160;
    let told = play(&mut house, 0..240 * 4, |at| {
        let mut all = well(&["b"], at);
        if is_there(at) {
            all.extend(well(&["a"], at));
        } else if is_there(at - 1) {
            all.extend([(load("a"), step(at, stale_marker())), (up_of("a"), step(at, stale_marker()))]);
        }
        all
    });
    let begun =
        |told: &[Told]| told.iter().filter(|told| told.3 == Some(1.0)).map(|told| told.2).collect::<Vec<_>>();
    assert_eq!(begun(&told), [162, 402], "twice is no habit, three times is");
    let told = play(&mut house, 960..960 + 160 + 200, |at| {
        let mut all = well(&["b"], at);
        if at < 960 + 160 {
            all.extend(well(&["a"], at));
        }
        all
    });
    let [at] = begun(&told)[..] else { panic!("once: {told:?}") };
    // Half as long again as it usually is away, which is 80 steps and one.
    assert_eq!(at, 960 + 159 + 121);
}

#[test]
fn a_series_that_was_not_there_for_long_is_not_missed() {
    let mut house = house("[{match: load, absence: true}]");
    let of = |instances: &'static [&str]| move |at| well(instances, at);
    assert_eq!(play(&mut house, 0..230, of(&["a", "b"])), []);
    assert_eq!(play(&mut house, 230..300, of(&["b"])), [], "not for an hour");
    play(&mut house, 300..330, of(&["a", "b"]));
    assert!(!play(&mut house, 330..360, of(&["b"])).is_empty(), "now it was");
}

fn pod(name: &str) -> Labels {
    labels(&[("__name__", "load"), ("namespace", "shop"), ("pod", name)])
}

const HEIRS: &str = "[{match: load, identity_without: [pod], absence: {seen_for: 5m, forget_after: 10m}}]";
const PODS: [&str; 3] = ["api-7d9f8b6c5-x2x9z", "api-7d9f8b6c5-bbbbb", "api-66b5d8c9df-4bz7k"];

/// Pods that are there from one step to another; each ends with a stale marker. Something else goes on.
fn pods(house: &mut House, steps: Range<i64>, lives: &[(&str, Range<i64>)]) -> Vec<Told> {
    play(house, steps, |at| {
        let mut all = vec![(up("other"), step(at, 1.0))];
        for (name, life) in lives {
            if life.contains(&at) {
                all.push((pod(name), step(at, 5.0)));
            } else if life.end == at {
                all.push((pod(name), step(at, stale_marker())));
            }
        }
        all
    })
}

#[test]
fn a_rollout_and_a_replica_less_are_no_absence_and_the_last_replica_is() {
    let [one, two, three] = PODS;
    let mut house = house(HEIRS);
    let told = pods(&mut house, 0..200, &[(one, 0..60), (two, 0..100), (three, 61..120)]);
    assert_eq!(told.iter().filter(|told| told.3 == Some(1.0)).count(), 1, "{told:?}");
    assert_eq!(told[0].2, 122, "three steps behind the last sample of the last one");
    assert_eq!((told.last().unwrap().3, told.last().unwrap().2), (None, 163), "forgotten after ten minutes");
    assert_eq!(house.pipeline.budget().injected, 0);
}

#[test]
fn an_heir_that_comes_late_ends_the_absence_of_the_one_before() {
    let [one, _, three] = PODS;
    let mut house = house(HEIRS);
    let told = pods(&mut house, 0..120, &[(one, 0..60), (three, 70..120)]);
    let values: Vec<_> = told.iter().map(|told| (told.2, told.3)).collect();
    assert_eq!(values[0], (62, Some(1.0)));
    assert_eq!(values[values.len() - 2..], [(70, Some(0.0)), (70, None)]);
}

#[test]
fn no_more_than_the_rules_cap_are_told() {
    let names = ["a", "b", "c", "d"];
    let mut house = house("[{match: load, absence: {seen_for: 5m, max_series: 2}}]");
    play(&mut house, 0..60, |at| [well(&names, at), well(&["z"], at)].concat());
    let mut unsent = 0;
    let mut sent = std::collections::BTreeSet::new();
    for at in 60..90 {
        let tally = house.push(&well(&["z"], at));
        unsent += tally.unscored_for(Reason::ScoreLimit);
        sent.extend(absent(&house.out).into_iter().map(|told| told.0));
        assert!(house.pipeline.budget().injected <= 5 + 2);
    }
    assert_eq!((sent.len(), unsent), (2, 2));
    play(&mut house, 90..120, |at| [well(&names, at), well(&["z"], at)].concat());
    assert_eq!(house.pipeline.budget().injected, 5);
}

#[test]
fn a_sender_whose_clock_is_ahead_makes_nobody_else_late() {
    let mut house = accustomed(RULE);
    for at in 60..120 {
        let mut all = well(&["a", "b"], at);
        all.push((up("ahead"), step(at + 240, 1.0)));
        let mut out = Vec::new();
        house.visit_at(step(at, 0.0).timestamp_ms, &all, Wiring::Gateway, &mut out);
        assert_eq!(absent(&out), []);
    }
}

#[test]
fn a_series_whose_value_is_no_number_is_there() {
    let mut house = accustomed(RULE);
    let told = play(&mut house, 60..100, |at| {
        let mut all = well(&["b"], at);
        all.push((load("a"), step(at, f64::NAN)));
        all
    });
    assert_eq!(told, []);
}

#[test]
fn what_is_not_on_a_page_is_missed_and_a_page_that_is_not_there_misses_nothing() {
    let mut house = house("[{match: '{__name__=~\"load|free\"}', absence: {seen_for: 5m}}]");
    house.scope = house.pipeline.scope(&ScopeName::Target("node".into()), START).expect("room");
    let (load, free) = (labels(&[("__name__", "load")]), labels(&[("__name__", "free")]));
    let both = |at| vec![(load.clone(), step(at, 1.0)), (free.clone(), step(at, 2.0))];
    let mut page = |at, series: &[(Labels, Sample)], teach| {
        house.page(series, teach);
        let told: Vec<_> = absent(&house.out);
        told.into_iter().map(|(_, reason, step, score)| (reason, step - at, score)).collect::<Vec<_>>()
    };
    for at in 0..60 {
        assert_eq!(page(at, &both(at), true), []);
    }
    for at in 100..110 {
        assert_eq!(page(at, &both(at), true), [], "forty scrapes failed");
    }
    for at in 110..113 {
        assert_eq!(page(at, &both(at)[..1], true), []);
    }
    let told = page(113, &both(113)[..1], true);
    assert_eq!(told, [("stale_marker".into(), 0, Some(1.0))], "at the time of the scrape");
    assert_eq!(page(113, &both(113)[..1], false), told, "for another scraper, too");
    let told = page(114, &both(114)[..1], true);
    assert_eq!((told.len(), told[0].1), (1, 0));
    assert_eq!(page(115, &both(115), true), [("stale_marker".into(), 0, Some(0.0))]);
    assert_eq!(page(116, &both(116), true), []);
}

#[test]
fn who_asks_for_the_newest_scores_is_told() {
    let mut house = accustomed(RULE);
    play(&mut house, 60..80, |at| well(&["b"], at));
    let newest: Vec<_> = absent(&house.newest("anomaly_score"));
    assert_eq!(newest.len(), 1);
    assert_eq!((newest[0].1.as_str(), newest[0].2), ("silent", 70));
}

#[test]
fn a_restart_makes_nobody_absent_and_who_does_not_come_back_is_told() {
    let before = accustomed(RULE);
    let mut after = house(RULE);
    let now_ms = START + 70 * STEP;
    for memory in (0..before.pipeline.series().chunks()).flat_map(|chunk| before.pipeline.memories(chunk)) {
        let mut bytes = Vec::new();
        memory.habit.iter().for_each(|habit| habit.keep(&mut bytes));
        let habit = crate::signals::Habit::recall(&mut &*bytes).map(Box::new);
        let memory = crate::pipeline::Memory { habit, ..memory };
        after.pipeline.recall(memory, now_ms).expect("room");
    }
    let mut begins = house(RULE);
    assert_eq!(play(&mut begins, 70..100, |at| well(&["b"], at)), [], "nothing is remembered");
    let told = play(&mut after, 70..100, |at| well(&["b"], at));
    assert_eq!((told[0].0.as_str(), told[0].1.as_str(), told[0].3), ("a", "silent", Some(1.0)));
    assert!((73..76).contains(&told[0].2), "{told:?}");
    assert!(told.iter().all(|told| told.0 == "a"), "{told:?}");
}

#[test]
fn a_reload_that_asks_no_more_for_it_ends_it() {
    let mut house = accustomed(RULE);
    play(&mut house, 60..80, |at| well(&["b"], at));
    reconfigure(&house, "[{match: load}]");
    let told = play(&mut house, 80..82, |at| well(&["b"], at));
    assert_eq!(told.iter().map(|told| told.3).collect::<Vec<_>>(), [None]);
    assert_eq!(house.pipeline.budget().injected, 2, "the scores of both, one of which is idle");
}

#[test]
fn a_series_that_leaves_the_table_is_forgotten() {
    let mut house = house("[{match: load, absence: {seen_for: 5m}}, {match: other, priority: 1}]");
    play(&mut house, 0..60, |at| well(&["a", "b"], at));
    play(&mut house, 60..80, |at| well(&["b"], at));
    let limits = Limits { max_series: 4, idle_after_s: 60, ..Limits::default() };
    let rules = "[{match: load, absence: {seen_for: 5m}}, {match: other, priority: 1}]";
    let specs = Specs::new(Vec::new(), WATERMARK, 10);
    let settings = settings(rules, limits, "$VAR", house.pipeline.series());
    house.pipeline.configure(settings.with_signals(specs, rules::Emit::Always));
    // One evicts one: what the lost target said of itself, and its series.
    let other = |at: i64| (labels(&[("__name__", "other"), ("n", &at.to_string())]), step(at, 1.0));
    let mut told = play(&mut house, 80..82, |at| [well(&["b"], at), vec![other(at)]].concat());
    told.extend(play(&mut house, 82..90, |at| well(&["b"], at)));
    assert_eq!(told.iter().filter(|told| told.3.is_none()).count(), 1, "{told:?}");
    assert!(told.last().unwrap().3.is_none());
}

#[test]
fn an_explanation_says_what_is_usual_and_what_is_missed() {
    let mut house = accustomed(RULE);
    let selector: Selector = "load{instance=\"a\"}".parse().expect("a selector");
    let told = house.pipeline.explain(&selector, 1).remove(0).attendance.expect("it is watched");
    assert_eq!((told.step_seconds, told.seen_for_seconds, told.absent_from_steps), (15.0, 59.0 * 15.0, 3));
    assert_eq!(told.absent, None);
    play(&mut house, 60..80, |at| well(&["b"], at));
    let told = house.pipeline.explain(&selector, 1).remove(0).attendance.expect("it is watched");
    let absent = told.absent.expect("it is absent");
    assert_eq!(
        (absent.reason.as_str(), absent.since_ms, absent.missed_steps),
        ("silent", START + 59 * STEP, 11)
    );
}

/// Takes over `rules`, where `effect` holds for the load of instance `a` in each of the `windows` of steps.
fn expect(house: &House, rules: &str, effect: &str, windows: &[Range<i64>]) {
    let moment = |at: i64| crate::context::written(step(at, 0.0).timestamp_ms);
    let calendar = |(n, window): (usize, &Range<i64>)| {
        let (start, end) = (moment(window.start), moment(window.end));
        format!(
            "{{name: upgrade-{n}, match: 'load{{instance=\"a\"}}', start: '{start}', end: '{end}', effect: {effect}}}"
        )
    };
    let calendars: Vec<_> = windows.iter().enumerate().map(calendar).collect();
    let context = format!("calendars: [{}]", calendars.join(", "));
    let section: crate::config::sections::Context = serde_saphyr::from_str(&context).expect("a section");
    let settings = settings(rules, Limits::default(), "$VAR", house.pipeline.series());
    let settings = settings.with_signals(Specs::new(Vec::new(), WATERMARK, 10), rules::Emit::Always);
    house.pipeline.configure(settings.with_contexts(section.contexts().expect("contexts")));
}

/// Pushes both instances, without `a` in the steps that are `away`; gives what was said, and how many became absent.
fn play_without(house: &mut House, steps: Range<i64>, away: &[Range<i64>]) -> (Vec<Told>, u64) {
    let (mut told, mut absences) = (Vec::new(), 0);
    for at in steps {
        let is_away = away.iter().any(|away| away.contains(&at));
        let tally = house.push(&well(if is_away { &["b"] } else { &["a", "b"] }, at));
        told.extend(absent(&house.out));
        absences += tally.absences.iter().sum::<u64>();
    }
    (told, absences)
}

fn anomalies_in_context(house: &House) -> u64 {
    house.pipeline.board().anomalies().map(|(.., count)| count).sum()
}

#[test]
fn what_stops_while_it_is_expected_to_is_no_anomaly() {
    let mut house = house(RULE);
    expect(&house, RULE, "suppress", &[60..70]);
    // Up to where the last step of the window is told, but one.
    let (told, absences) = play_without(&mut house, 0..69 + BEHIND, &[60..200]);
    assert_eq!((told, absences), (vec![], 0), "nothing is said, and nobody's room is taken");
    assert_eq!((anomalies_in_context(&house), house.pipeline.budget().injected), (7, 2));
    let (told, absences) = play_without(&mut house, 69 + BEHIND..110, &[60..200]);
    assert_eq!((told[0].2, absences), (70, 1), "who does not come back is");
    assert!(told.iter().all(|told| told.3 > Some(1.0)), "{told:?}");
    assert_eq!(anomalies_in_context(&house), 8);
}

#[test]
fn an_absence_that_is_told_already_has_the_score_0_while_a_context_holds_and_an_annotated_one_its_own() {
    let scores_in_context = |effect: &str| {
        let mut house = house(RULE);
        expect(&house, RULE, effect, &[70..75]);
        let (told, absences) = play_without(&mut house, 0..100, &[60..200]);
        assert_eq!((told[0].2, absences, anomalies_in_context(&house)), (62, 1, 5));
        told.into_iter()
            .filter(|told| (70..75).contains(&told.2))
            .filter_map(|told| told.3)
            .collect::<Vec<_>>()
    };
    assert_eq!(scores_in_context("learn"), [0.0; 5]);
    assert!(scores_in_context("annotate").into_iter().all(|score| score > 1.0));
}

#[test]
fn a_time_away_that_was_known_beforehand_is_no_habit() {
    let away = [100..140, 300..340, 500..600];
    let begun = |windows: &[Range<i64>]| {
        let mut house = house(RULE);
        expect(&house, RULE, "suppress", windows);
        let (told, _) = play_without(&mut house, 0..600, &away);
        told.into_iter().find(|told| told.2 >= 500).map(|told| told.2)
    };
    assert_eq!(begun(&[100..140, 300..340]), Some(502));
    // One began before its window, of the other one the end is late.
    assert_eq!(begun(&[110..145, 295..330]), Some(502));
    assert_eq!(
        begun(&[10..20]),
        Some(500 + 60),
        "unannounced they are one: it may be away for half as long again"
    );
}

#[test]
fn a_reload_makes_no_room_for_more() {
    let rules = "[{name: loads, match: load, absence: {seen_for: 5m, max_series: 1}}]";
    let mut house = house(rules);
    play(&mut house, 0..60, |at| well(&["a", "b", "c"], at));
    let told = play(&mut house, 60..80, |at| well(&["b", "c"], at));
    assert!(told.iter().all(|told| told.0 == "a") && !told.is_empty());
    reconfigure(&house, rules);
    let told = play(&mut house, 80..110, |at| well(&["c"], at));
    assert!(told.iter().all(|told| told.0 == "a") && !told.is_empty(), "{told:?}");
}

#[test]
fn a_replica_beyond_those_that_are_watched_is_counted() {
    let mut house = house("[]");
    let settings = settings(RULE, Limits::default(), "$VAR", house.pipeline.series());
    house.pipeline.configure(settings.with_ha_labels(vec!["replica".into()]));
    let mut refused = |replica: usize| {
        let of = labels(&[("__name__", "load"), ("replica", &replica.to_string())]);
        house.push(&[(of, step(0, 1.0))]).groups_refused
    };
    assert_eq!((0..64).map(&mut refused).sum::<u64>(), 0);
    assert_eq!(refused(64), 1);
}

#[test]
fn a_label_that_is_called_reason_is_kept() {
    let mut house = house(RULE);
    let waiting = || labels(&[("__name__", "load"), ("reason", "CrashLoopBackOff")]);
    let told = play(&mut house, 0..90, |at| {
        let mut all = well(&["b"], at);
        if at < 60 {
            all.push((waiting(), step(at, 1.0)));
        }
        all
    });
    assert!(told.iter().all(|told| told.1 == "silent") && !told.is_empty());
    let of = house.out.iter().find(|score| score.labels.metric_name() == "load:absent").expect("it is told");
    assert_eq!(of.labels.get("exported_reason"), Some("CrashLoopBackOff"));
}

/// What happens to one series at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    There,
    Missing,
    Ended,
    Down,
}

fn fates() -> impl Strategy<Value = Vec<Vec<Fate>>> {
    // In stretches, since what lasts for one step is nothing.
    let stretch = (
        prop::sample::select(vec![Fate::There, Fate::There, Fate::Missing, Fate::Ended, Fate::Down]),
        1..25_usize,
    );
    let life = prop::collection::vec(stretch, 1..8).prop_map(|stretches| {
        let first = std::iter::repeat_n(Fate::There, 25);
        first
            .chain(stretches.into_iter().flat_map(|(fate, length)| std::iter::repeat_n(fate, length)))
            .collect()
    });
    prop::collection::vec(life, 2..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_interleaving_within_the_watermark_says_the_same(
        lives in fates(),
        delays in prop::collection::vec(0..WATERMARK, 5),
        kin in prop::bool::ANY,
    ) {
        const NAMES: [&str; 4] = ["a", "b", "c", "d"];
        let rules = if kin {
            "[{match: load, identity_without: [instance], absence: {seen_for: 2m, forget_after: 5m}}]"
        } else {
            "[{match: load, absence: {seen_for: 2m, forget_after: 5m}}]"
        };
        let mut samples: Vec<(usize, Labels, Sample)> = Vec::new();
        let longest = lives.iter().map(Vec::len).max().unwrap_or_default();
        for (who, life) in lives.iter().enumerate() {
            let name = NAMES[who];
            let mut before = Fate::Missing;
            for at in 0..longest {
                let fate = life.get(at).copied().unwrap_or(Fate::Missing);
                // Each target has a phase of its own.
                let sample = |value| Sample { timestamp_ms: START + at as i64 * STEP + who as i64 * 3_100, value };
                let ends = before == Fate::There;
                match fate {
                    Fate::There => samples.extend([(who, up_of(name), sample(1.0)), (who, load(name), sample(5.0))]),
                    Fate::Missing => {}
                    Fate::Ended if ends => samples.extend([
                        (who, up_of(name), sample(stale_marker())),
                        (who, load(name), sample(stale_marker())),
                    ]),
                    Fate::Ended => {}
                    Fate::Down => {
                        samples.push((who, up_of(name), sample(0.0)));
                        if ends {
                            samples.push((who, load(name), sample(stale_marker())));
                        }
                    }
                }
                before = fate;
            }
        }
        // Something goes on behind all of it, so that all is told.
        for at in 0..longest as i64 + 60 {
            samples.push((4, up("on"), step(at, 1.0)));
        }
        let said = |delay: &dyn Fn(usize) -> i64| {
            let mut order: Vec<_> = samples.iter().enumerate().collect();
            order.sort_by_key(|(n, (who, _, sample))| (sample.timestamp_ms + delay(*who), *n));
            let mut house = house(rules);
            let mut all = Vec::new();
            for (_, (_, labels, sample)) in order {
                house.push(&[(labels.clone(), *sample)]);
                let of = house.out.iter().filter(|score| score.labels.metric_name() == "load:absent");
                all.extend(of.map(|score| {
                    let pairs: Vec<_> = score.labels.pairs().iter().map(|pair| pair.value().to_owned()).collect();
                    (pairs, score.sample.timestamp_ms, score.sample.value.to_bits())
                }));
            }
            // Of each series in its order.
            all.sort_by(|a, b| a.0.cmp(&b.0));
            all
        };
        let straight = said(&|_| 0);
        prop_assert_eq!(&straight, &said(&|who| delays[who]));
        for of_one in straight.chunk_by(|a, b| a.0 == b.0) {
            prop_assert!(of_one.windows(2).all(|two| two[0].1 < two[1].1), "in order: {:?}", of_one);
        }
    }
}
