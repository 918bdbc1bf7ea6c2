//! What is made of several series.

use super::*;
use crate::config::Config;
use crate::rules;

const HISTOGRAM: &str = "signals: {histograms: [{match: rpc_seconds}]}";
const RATIO: &str = r#"
signals:
  ratios:
    - {name: errors, of: 'requests_total{code="500"}', to: requests_total, by: [job], step: 1m}
"#;
const SUM: &str = "signals: {sums: [{name: memory, match: memory_bytes, by: [job], step: 1m}]}";

/// A house with `signals` and the rules that stand beside them.
pub(super) fn house(yaml: &str) -> House {
    let house = House::new("[]");
    house.pipeline.configure(with_signals(yaml, &house));
    house
}

pub(super) fn with_signals(yaml: &str, house: &House) -> Settings {
    let config = Config::from_yaml(yaml, &|_| None).expect("a configuration");
    let names = Names::new("$VAR", house.pipeline.series().interner()).expect("a template");
    let settings = Settings::new((*config.rules).clone(), names, Limits::default());
    settings.with_signals(config.signals.specs(), rules::Emit::Always)
}

/// The last sample that was made under `name`, by its labels other than the name.
pub(super) fn made(house: &House, name: &str, pairs: &[(&'static str, &str)]) -> Option<Sample> {
    let named: Vec<_> = [("__name__", name)].into_iter().chain(pairs.iter().copied()).collect();
    let id = house.pipeline.series().look_up(&house.scope, named)?;
    house.pipeline.series().with(id, |series| series.newest)?
}

pub(super) fn scores_for(house: &House, wanted: &str) -> Vec<(i64, f64)> {
    let of = house.out.iter().filter(|score| score.labels.metric_name() == wanted);
    of.map(|score| (score.sample.timestamp_ms, score.sample.value)).collect()
}

fn rpc(suffix: &'static str, pod: &str) -> Labels {
    labels(&[("__name__", &format!("rpc_seconds_{suffix}")), ("pod", pod)])
}

/// A minute of a histogram with 60 observations of `mean` seconds each.
fn observe(house: &mut House, minute: i64, mean: f64) -> Tally {
    let (count, at_ms) = (60.0 * minute as f64, START + minute * MINUTE);
    house.push(&[(rpc("sum", "a"), at(at_ms, count * mean)), (rpc("count", "a"), at(at_ms, count))])
}

#[test]
fn the_mean_and_the_rate_of_a_histogram_are_made_of_its_sum_and_count() {
    let mut house = house(HISTOGRAM);
    observe(&mut house, 0, 0.25);
    assert_eq!(
        made(&house, "rpc_seconds:mean", &[("pod", "a")]),
        None,
        "a counter's first sample has no rate"
    );
    observe(&mut house, 1, 0.25);
    let end = START + MINUTE;
    assert_eq!(made(&house, "rpc_seconds:mean", &[("pod", "a")]), Some(at(end, 0.25)));
    assert_eq!(made(&house, "rpc_seconds:rate", &[("pod", "a")]), Some(at(end, 1.0)));
    assert_eq!(scores_for(&house, "rpc_seconds:mean"), [(end, 0.0)]);
    let labels: Vec<_> = house.out[0].labels.scored().collect();
    assert_eq!(labels, [("__name__", "rpc_seconds:mean"), ("pod", "a")]);
}

#[test]
fn a_mean_that_rises_is_an_anomaly_although_no_rule_scores_its_parts() {
    let mut house = house(HISTOGRAM);
    for minute in 0..60 {
        observe(&mut house, minute, 0.2);
    }
    assert_eq!(house.emitted("anomaly_score").len(), 2, "the mean and the rate, not the parts");
    let sum = 59.0 * 60.0 * 0.2 + 60.0 * 5.0;
    let end = START + 60 * MINUTE;
    house.push(&[(rpc("sum", "a"), at(end, sum)), (rpc("count", "a"), at(end, 3600.0))]);
    let [(_, score)] = scores_for(&house, "rpc_seconds:mean")[..] else { panic!("one score") };
    assert!(score >= 1.0, "{score}");
}

#[test]
fn there_is_no_mean_where_nothing_was_observed() {
    let mut house = house(HISTOGRAM);
    let still = |minute| START + minute * MINUTE;
    for minute in 0..3 {
        house.push(&[(rpc("sum", "a"), at(still(minute), 5.0)), (rpc("count", "a"), at(still(minute), 9.0))]);
    }
    assert_eq!(made(&house, "rpc_seconds:mean", &[("pod", "a")]), None);
    assert_eq!(made(&house, "rpc_seconds:rate", &[("pod", "a")]), Some(at(still(2), 0.0)));
}

fn requests(code: &str, pod: &str) -> Labels {
    labels(&[("__name__", "requests_total"), ("code", code), ("job", "api"), ("pod", pod)])
}

#[test]
fn a_ratio_is_the_quotient_of_the_sums_of_rates_of_one_step() {
    let mut house = house(RATIO);
    for minute in 0..8 {
        let (at_ms, count) = (START + minute * MINUTE, minute as f64);
        house.push(&[
            (requests("200", "a"), at(at_ms, 300.0 * count)),
            (requests("500", "a"), at(at_ms, 60.0 * count)),
            (requests("200", "b"), at(at_ms + 7_000, 240.0 * count)),
        ]);
    }
    let end = START + 7 * MINUTE + 7_000;
    assert_eq!(made(&house, "errors:ratio", &[("job", "api")]), Some(at(end, 0.1)));
}

#[test]
fn a_ratio_without_a_numerator_is_nothing_out_of_all() {
    let mut house = house(RATIO);
    for minute in 0..8 {
        house.push(&[(requests("200", "a"), at(START + minute * MINUTE, 300.0 * minute as f64))]);
    }
    assert_eq!(made(&house, "errors:ratio", &[("job", "api")]), Some(at(START + 7 * MINUTE, 0.0)));
}

fn memory(job: &str, pod: &str) -> Labels {
    labels(&[("__name__", "memory_bytes"), ("job", job), ("pod", pod)])
}

fn push_memory(house: &mut House, minutes: std::ops::Range<i64>, pods: &[&str]) -> Tally {
    let mut tally = Tally::default();
    for minute in minutes {
        let at_ms = START + minute * MINUTE;
        let all: Vec<_> =
            pods.iter().map(|pod| (memory("api", pod), at(at_ms, 10.0 + minute as f64))).collect();
        tally = house.push(&all);
    }
    tally
}

#[test]
fn a_sum_has_the_labels_that_it_is_made_by_and_ends_with_its_last_part() {
    let mut house = house(SUM);
    push_memory(&mut house, 0..8, &["a", "b"]);
    assert_eq!(made(&house, "memory:sum", &[("job", "api")]), Some(at(START + 7 * MINUTE, 34.0)));
    let end = START + 8 * MINUTE;
    house.push(&[(memory("api", "a"), at(end, stale_marker()))]);
    assert_eq!(ends(&house, "anomaly_score"), [] as [i64; 0], "the other goes on");
    house.push(&[(memory("api", "b"), at(end + 1, stale_marker()))]);
    assert_eq!(ends(&house, "anomaly_score"), [end + 1]);
}

#[test]
fn whether_a_sum_ends_between_two_parts_does_not_depend_on_which_of_them_comes_first() {
    let play = |first: usize| {
        let mut house = house(SUM);
        push_memory(&mut house, 0..8, &["a"]);
        let end = START + 8 * MINUTE;
        let news =
            [(memory("api", "a"), at(end, stale_marker())), (memory("api", "b"), at(end - 1_000, 5.0))];
        house.push(&[news[first].clone()]);
        let mut ended = ends(&house, "anomaly_score");
        house.push(&[news[1 - first].clone()]);
        ended.extend(ends(&house, "anomaly_score"));
        push_memory(&mut house, 9..15, &["b"]);
        (ended, made(&house, "memory:sum", &[("job", "api")]))
    };
    assert_eq!(play(0), (vec![START + 8 * MINUTE], Some(at(START + 14 * MINUTE, 24.0))));
    assert_eq!(play(0), play(1));
}

#[test]
fn a_rule_decides_about_what_is_made_by_its_name() {
    let mut house = house(&format!("{SUM}\nrules: [{{match: 'memory:sum', provide_series: [yhat]}}]"));
    push_memory(&mut house, 0..30, &["a"]);
    assert_eq!((house.emitted("yhat").len(), house.emitted("anomaly_score").len()), (1, 0));
}

#[test]
fn what_a_rule_scores_is_scored_beside_what_is_made_of_it() {
    let mut house = house(&format!("{SUM}\nrules: [{{match: memory_bytes}}]"));
    let tally = push_memory(&mut house, 0..8, &["a", "b"]);
    assert_eq!((tally.scored, house.emitted("anomaly_score").len()), (3, 3));
}

#[test]
fn a_series_of_the_senders_own_is_not_mixed_with_a_made_one_of_the_same_name() {
    let mut house = house(&format!("{SUM}\nrules: [{{match: 'memory:sum'}}]"));
    push_memory(&mut house, 0..8, &["a"]);
    let end = START + 8 * MINUTE;
    let own = labels(&[("__name__", "memory:sum"), ("job", "api")]);
    house.push(&[(own, at(end, 1.0))]);
    assert_eq!(made(&house, "memory:sum", &[("job", "api")]), Some(at(end, 1.0)));
    let tally = push_memory(&mut house, 9..10, &["a"]);
    assert_eq!(tally.unscored_for(Reason::Clash), 1);
    assert_eq!(made(&house, "memory:sum", &[("job", "api")]), Some(at(end, 1.0)), "the sender's own");
}

#[test]
fn no_more_series_are_made_than_the_entry_allows() {
    let mut house =
        house("signals: {sums: [{name: m, match: memory_bytes, by: [pod], step: 1m, max_series: 2}]}");
    let pods: Vec<_> = (0..5).map(|pod| format!("p{pod}")).collect();
    let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
    push_memory(&mut house, 0..1, &pods);
    push_memory(&mut house, 1..8, &pods);
    assert_eq!(scores_for(&house, "m:sum").len(), 2);
    assert_eq!(house.pipeline.budget().groups, 2);
}

#[test]
fn groups_live_through_a_reload_that_does_not_change_them() {
    let mut house = house(SUM);
    push_memory(&mut house, 0..8, &["a"]);
    house.pipeline.configure(with_signals(&format!("{SUM}\nrules: [{{match: up}}]"), &house));
    push_memory(&mut house, 8..9, &["a"]);
    assert_eq!(scores_for(&house, "memory:sum").len(), 1);
    let other = SUM.replace("step: 1m", "step: 30s");
    house.pipeline.configure(with_signals(&other, &house));
    push_memory(&mut house, 9..10, &["a"]);
    assert_eq!(ends(&house, "anomaly_score").len(), 1, "another step, other groups");
    push_memory(&mut house, 10..18, &["a"]);
    assert_eq!(scores_for(&house, "memory:sum").len(), 1);
    house.pipeline.configure(with_signals("rules: [{match: up}]", &house));
    push_memory(&mut house, 18..19, &["a"]);
    assert_eq!(ends(&house, "anomaly_score").len(), 1, "it is not asked for any more");
    assert_eq!((house.pipeline.budget().groups, house.pipeline.budget().series), (0, 0));
}

#[test]
fn a_page_shows_what_was_made_until_its_parts_are_gone() {
    let mut house = house(SUM);
    for minute in 0..8 {
        house.page(&[(memory("api", "a"), at(START + minute * MINUTE, 1.0))], true);
    }
    // Two scrapes within one step, and one that does not teach: nothing new is made, and what there is stays.
    house.page(&[(memory("api", "a"), at(START + 7 * MINUTE + 15_000, 1.0))], true);
    assert_eq!(scores_for(&house, "memory:sum").len(), 1);
    house.page(&[(memory("api", "a"), at(START + 7 * MINUTE + 16_000, 1.0))], false);
    assert_eq!(scores_for(&house, "memory:sum").len(), 1);
    house.page(&[], true);
    house.page(&[], true);
    assert_eq!(scores_for(&house, "memory:sum").len(), 0);
}

#[test]
fn parts_that_are_evicted_leave_nothing_behind() {
    let mut house = house(SUM);
    let mut settings = with_signals(SUM, &house);
    settings.limits.max_series = 4;
    settings.limits.idle_after_s = 60;
    house.pipeline.configure(settings);
    for pod in 0..40 {
        let job = format!("job{pod}");
        let at_ms = START + pod * 5 * MINUTE;
        house.push(&[(memory(&job, "a"), at(at_ms, 1.0))]);
    }
    let budget = house.pipeline.budget();
    assert!(budget.series <= 4 && budget.groups <= 5, "{budget:?}");
}

#[test]
fn any_order_of_arrival_gives_the_same_bits() {
    // Four senders of one tenant, each in order, however they take turns.
    let pods = ["a", "b", "c", "d"];
    let value = |pod: usize, minute: i64| ((minute * 7 + pod as i64 * 13) % 11) as f64 * 0.1 + pod as f64;
    let play = |order: &dyn Fn(i64) -> Vec<usize>| {
        let mut house = house(SUM);
        let mut scores = Vec::new();
        for minute in 0..60 {
            for pod in order(minute) {
                let sample = at(START + minute * MINUTE + pod as i64 * 1_000, value(pod, minute));
                house.push(&[(memory("api", pods[pod]), sample)]);
                scores.extend(scores_for(&house, "memory:sum"));
            }
        }
        scores.into_iter().map(|(at_ms, score)| (at_ms, score.to_bits())).collect::<Vec<_>>()
    };
    let straight = play(&|_| vec![0, 1, 2, 3]);
    assert!(straight.len() > 50 && straight.iter().any(|(_, score)| *score != 0));
    assert_eq!(straight, play(&|_| vec![3, 2, 1, 0]));
    assert_eq!(straight, play(&|minute| if minute % 2 == 0 { vec![2, 0, 3, 1] } else { vec![1, 3, 0, 2] }));
}

const PEERS: &str = "signals: {peers: [{match: memory_bytes, without: [pod], step: 1m}]}";

/// Six pods of which the last one has `last` in each of `minutes`; gives the scores of it, the last in front.
fn peers(house: &mut House, minutes: std::ops::Range<i64>, last: f64) -> Vec<f64> {
    let mut scores = Vec::new();
    for minute in minutes {
        let value = |pod: i64| if pod == 5 { last } else { 100.0 + ((minute * 3 + pod * 5) % 7) as f64 };
        let pods: Vec<String> = (0..6).map(|pod| format!("p{pod}")).collect();
        let at_ms = START + minute * MINUTE;
        let all: Vec<_> =
            (0..6).map(|pod| (memory("api", &pods[pod as usize]), at(at_ms, value(pod)))).collect();
        house.push(&all);
        let of_last = house.out.iter().filter(|score| score.labels.get("pod") == Some("p5"));
        scores.extend(of_last.map(|score| score.sample.value));
    }
    scores.reverse();
    scores
}

#[test]
fn a_replica_that_is_not_like_its_peers_is_told_without_any_history() {
    let mut house = house(PEERS);
    let scores = peers(&mut house, 0..8, 160.0);
    assert!(scores[0] >= 1.0, "{scores:?}");
    assert_eq!(scores_for(&house, "memory_bytes:peer").len(), 6);
    let others = house.out.iter().filter(|score| score.labels.get("pod") != Some("p5"));
    // The counts of the workload are no scores.
    let others = others.filter(|score| score.name.value() == "anomaly_score");
    assert!(others.into_iter().all(|score| score.sample.value < 1.0));
    let scores = peers(&mut house, 8..12, 103.0);
    assert!(scores[0] < 1.0, "{scores:?}");
}

#[test]
fn peers_that_become_fewer_than_five_end_and_one_that_is_gone_ends_alone() {
    let mut house = house(PEERS);
    peers(&mut house, 0..8, 103.0);
    let end = |pod: &str, at_ms| (memory("api", pod), at(at_ms, stale_marker()));
    house.push(&[end("p5", START + 8 * MINUTE)]);
    assert_eq!(ends(&house, "anomaly_score"), [START + 8 * MINUTE]);
    house.push(&[end("p4", START + 8 * MINUTE)]);
    let pods = ["p0", "p1", "p2", "p3"];
    push_memory(&mut house, 8..9, &pods);
    assert_eq!(ends(&house, "anomaly_score").len(), 4, "four say nothing of each other");
    push_memory(&mut house, 9..10, &pods);
    assert_eq!(house.out.iter().filter(|score| score.name.value() == "anomaly_score").count(), 0);
}

#[test]
fn a_rule_sets_how_far_a_peer_may_be() {
    let rule = "rules: [{match: 'memory_bytes:peer', z_threshold: 50, provide_series: [anomaly_score, yhat, yhat_upper]}]";
    let mut house = house(&format!("{PEERS}\n{rule}"));
    let scores = peers(&mut house, 0..8, 160.0);
    assert!(scores.iter().all(|score| *score < 1.0 || *score > 90.0), "{scores:?}");
    assert!(house.emitted("yhat").iter().all(|median| (100.0..107.0).contains(median)));
    assert!(house.emitted("yhat_upper").iter().all(|upper| *upper > 160.0));
}

#[test]
fn what_is_made_goes_on_after_a_restart_as_if_there_had_been_none() {
    let mut before = house(HISTOGRAM);
    (0..90).for_each(|minute| _ = observe(&mut before, minute, 0.25));
    let after = house(HISTOGRAM);
    let now_ms = START + 90 * MINUTE;
    (0..before.pipeline.series().chunks())
        .flat_map(|chunk| before.pipeline.memories(chunk))
        .for_each(|memory| after.pipeline.recall(memory, now_ms).expect("room"));
    let scope = after.pipeline.scope(&ScopeName::Tenant("".into()), now_ms).expect("known");
    let mut after = House { scope, ..after };
    assert_eq!(after.pipeline.budget().series, before.pipeline.budget().series);
    let scores = |house: &mut House| {
        let said = [(90, 0.25), (91, 0.6)].map(|(minute, mean)| {
            observe(house, minute, mean);
            scores_for(house, "rpc_seconds:mean")
        });
        said.concat().into_iter().map(|(at_ms, score)| (at_ms, score.to_bits())).collect::<Vec<_>>()
    };
    let expected = scores(&mut before);
    assert!(expected.len() == 2 && f64::from_bits(expected[1].1) >= 1.0, "{expected:?}");
    assert_eq!(scores(&mut after), expected);
}

/// Samples that the series called `name` has learned from.
fn learned(house: &House, name: &str, pairs: &[(&'static str, &str)]) -> Option<u64> {
    let named: Vec<_> = [("__name__", name)].into_iter().chain(pairs.iter().copied()).collect();
    let id = house.pipeline.series().look_up(&house.scope, named)?;
    house.pipeline.series().with(id, |series| u64::from(series.state.samples_seen()))
}

#[test]
fn what_is_made_is_judged_by_its_value_whatever_its_rule_says_of_counters() {
    let yaml = format!("{SUM}\nrules: [{{match: 'memory:sum', kind: counter}}]");
    let mut house = house(&yaml);
    push_memory(&mut house, 0..40, &["a"]);
    let before = learned(&house, "memory:sum", &[("job", "api")]).expect("a sum");
    assert!(before > 30);
    house.pipeline.configure(with_signals(&format!("{yaml}\nscrape: {{}}"), &house));
    push_memory(&mut house, 40..41, &["a"]);
    assert_eq!(learned(&house, "memory:sum", &[("job", "api")]), Some(before + 1), "after a reload");
    let after = self::house(&yaml);
    let memories = (0..house.pipeline.series().chunks()).flat_map(|chunk| house.pipeline.memories(chunk));
    memories.for_each(|memory| after.pipeline.recall(memory, START + 41 * MINUTE).expect("of use"));
}

#[test]
fn another_entry_leaves_what_the_others_make_as_it_was() {
    let of_sum: [(&str, &str); 1] = [("job", "api")];
    let more = SUM.replace(
        "sums: [",
        "histograms: [{match: rpc_seconds}], sums: [{name: all, match: memory_bytes, by: [job], step: 1m}, ",
    );
    let mut house = house(SUM);
    let mut plain = self::house(SUM);
    push_memory(&mut house, 0..40, &["a", "b"]);
    house.pipeline.configure(with_signals(&more, &house));
    let mut ended = Vec::new();
    for minute in 40..50 {
        push_memory(&mut house, minute..minute + 1, &["a", "b"]);
        assert_eq!(scores_for(&house, "memory:sum").len(), 1, "{minute}");
        ended.extend(ends(&house, "anomaly_score"));
    }
    assert_eq!((ended, scores_for(&house, "all:sum").len()), (vec![], 1));
    push_memory(&mut plain, 0..50, &["a", "b"]);
    assert_eq!(learned(&house, "memory:sum", &of_sum), learned(&plain, "memory:sum", &of_sum));
    assert_eq!(made(&house, "memory:sum", &of_sum), made(&plain, "memory:sum", &of_sum), "each part once");
    assert_eq!(house.pipeline.budget().groups, 2);
    // And without it again; what it made ends, and nothing else.
    house.pipeline.configure(with_signals(SUM, &house));
    push_memory(&mut house, 50..51, &["a", "b"]);
    let told: Vec<_> = house.out.iter().filter(|score| is_stale_marker(score.sample.value)).collect();
    assert!(told.len() == 1 && told[0].labels.metric_name() == "all:sum", "{told:?}");
    assert_eq!((scores_for(&house, "memory:sum").len(), house.pipeline.budget().groups), (1, 1));
    house.push(&["a", "b"].map(|pod| (memory("api", pod), at(START + 51 * MINUTE, stale_marker()))));
    assert_eq!(ends(&house, "anomaly_score"), [START + 51 * MINUTE]);
}
