//! The corridor, driven as the doors drive it, with label sets in place of wire bytes.

use std::ops::Range;
use std::sync::Arc;

use super::{Limits, Pipeline, Reason, Settings, Tally, Visit, Wiring};
use crate::batch::{Batch, Key, LabelSource, Sample, SeriesSpan, is_stale_marker, stale_marker};
use crate::detect::{Broken, Detector, Hybrid};
use crate::inject::{Emit, Names, PageScores, ScoreSample, Workloads};
use crate::model::{Model, ModelSlot};
use crate::rules::{OutputNames, RawRule, RuleSet};
use crate::series::{Scope, ScopeLimits, ScopeName, Scopes, Spelling, Table};

type Labels = Vec<(&'static str, String)>;

/// A corridor, one tenant in it, and what the tenant's sender remembers.
struct House {
    slot: ModelSlot,
    pipeline: Pipeline,
    scope: Arc<Scope>,
    out: Vec<ScoreSample>,
}

/// Label sets by their place.
struct Source(Vec<Labels>);

const MINUTE: i64 = 60_000;
const START: i64 = 1_700_000_000_000;

// === impl House ===

impl House {
    fn new(rules: &str) -> Self {
        Self::with(rules, Limits::default())
    }

    fn with(rules: &str, limits: Limits) -> Self {
        let slot = ModelSlot::new(Model::builtin());
        let table = Table::default();
        let settings = settings(rules, limits, "$VAR", &table);
        let workloads = Workloads::new(vec!["job".into()], 100);
        let pipeline = Pipeline::new(slot.handle(), settings, Scopes::new(7), workloads, table);
        let scope = pipeline.scope(&ScopeName::Tenant("".into()), START).expect("room for a tenant");
        Self { slot, pipeline, scope, out: Vec::new() }
    }

    fn configure(&self, rules: &str) {
        self.configure_as(rules, "$VAR");
    }

    fn configure_as(&self, rules: &str, template: &str) {
        self.pipeline.configure(settings(rules, Limits::default(), template, self.pipeline.series()));
    }

    /// Lets `series` through as one batch; what it emits is in `out` afterwards.
    fn push(&mut self, series: &[(Labels, Sample)]) -> Tally {
        let mut out = Vec::new();
        let tally = self.visit(series, Wiring::Gateway, &mut out);
        self.out = out;
        tally
    }

    /// Lets `series` through as one page; what stands at its end is in `out` afterwards.
    fn page(&mut self, series: &[(Labels, Sample)], teach: bool) -> Tally {
        let mut page = PageScores::default();
        let tally = self.visit(series, Wiring::Page { teach }, &mut page);
        self.out = page.into_scores();
        tally
    }

    fn visit(&mut self, series: &[(Labels, Sample)], wiring: Wiring, out: &mut impl Emit) -> Tally {
        let mut batch = Batch::default();
        for (at, (labels, sample)) in series.iter().enumerate() {
            let at = at as u32;
            let key = Key::of(format!("{labels:?}").as_bytes(), self.scope.seed(Spelling::RemoteWrite1));
            batch.samples.push(*sample);
            batch.series.push(SeriesSpan { key, labels: at..at + 1, samples: at..at + 1 });
        }
        let source = Source(series.iter().map(|(labels, _)| labels.clone()).collect());
        let now_ms = series.iter().map(|(_, sample)| sample.timestamp_ms).max().unwrap_or(START);
        let visit = Visit { scope: &self.scope, batch: &batch, labels: &source, now_ms, wiring };
        self.pipeline.score(&visit, out)
    }

    /// One sample of the series `up{job="a"}`.
    fn one(&mut self, timestamp_ms: i64, value: f64) -> Tally {
        self.push(&[(up("a"), Sample { timestamp_ms, value })])
    }

    /// Enough ordinary samples for the series to have left its warm-up; returns the next timestamp.
    fn warm(&mut self) -> i64 {
        for step in 0..30 {
            self.one(START + step * MINUTE, 10.0 + (step % 3) as f64);
        }
        START + 30 * MINUTE
    }

    /// Values of the emitted samples called `name`.
    fn emitted(&self, name: &str) -> Vec<f64> {
        let named = self.out.iter().filter(|score| score.name.value() == name);
        named.map(|score| score.sample.value).collect()
    }

    /// What the page of a scope without a downstream has under `name`.
    fn newest(&self, name: &str) -> Vec<ScoreSample> {
        let mut newest = self.pipeline.newest(&self.scope);
        newest.retain(|score| score.name.value() == name);
        newest
    }

    fn score(&self) -> f64 {
        let scores = self.emitted("anomaly_score");
        assert_eq!(scores.len(), 1, "one score");
        scores[0]
    }
}

impl LabelSource for Source {
    fn for_each_label(&self, labels: &Range<u32>, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in &self.0[labels.start as usize] {
            each(name.as_bytes(), value.as_bytes());
        }
    }
}

fn settings(rules: &str, limits: Limits, template: &str, table: &Table) -> Settings {
    let raw: Vec<RawRule> = serde_saphyr::from_str(rules).expect("rules are YAML");
    let rules = raw.iter().map(|raw| raw.check().expect("a rule")).collect();
    let set = RuleSet::compile(Vec::new(), rules, OutputNames::by_templates([template])).expect("a rule set");
    let names = Names::new(template, table.interner()).expect("a template");
    Settings::new(set, names, limits).with_ha_labels(vec!["__replica__".into()])
}

fn up(job: &str) -> Labels {
    vec![("__name__", "up".into()), ("job", job.into())]
}

fn labels(pairs: &[(&'static str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn at(timestamp_ms: i64, value: f64) -> Sample {
    Sample { timestamp_ms, value }
}

const EVERYTHING: &str = "[{match: '{__name__=~\".+\"}'}]";

#[test]
fn a_score_carries_the_labels_and_the_timestamp_of_its_sample() {
    let mut house = House::new(EVERYTHING);
    house.one(START, 1.0);
    let score = &house.out[0];
    assert_eq!(score.name.value(), "anomaly_score");
    assert_eq!(score.sample.timestamp_ms, START);
    let pairs: Vec<_> = score.labels.pairs().iter().map(|pair| (pair.name(), pair.value())).collect();
    assert_eq!(pairs, [("for", "up"), ("job", "a")]);
}

#[test]
fn without_a_rule_nothing_is_scored_and_the_first_matching_rule_decides() {
    let mut house = House::new("[{match: up, exclude: true}, {match: '{job=\"a\"}'}]");
    let other = labels(&[("__name__", "down"), ("job", "a")]);
    let tally = house.push(&[(up("a"), at(START, 1.0)), (other, at(START, 1.0))]);
    assert_eq!((tally.unselected, tally.scored), (1, 1));
    let mut none = House::new("[]");
    assert_eq!(none.one(START, 1.0).scored, 0);
}

#[test]
fn own_output_is_never_scored_again() {
    let mut house = House::new(EVERYTHING);
    let own = labels(&[("__name__", "anomaly_score"), ("for", "up")]);
    assert_eq!(house.push(&[(own, at(START, 1.0))]).unselected, 1);
}

#[test]
fn a_series_of_the_users_own_keeps_its_name() {
    let mut house = House::new("[{match: up, provide_series: [anomaly_score, yhat]}]");
    let next = house.warm();
    let own = |job: &str| labels(&[("__name__", "anomaly_score"), ("for", "up"), ("job", job)]);
    let batch = |at_ms| {
        let scored = [(up("a"), at(at_ms, 500.0)), (up("b"), at(at_ms, 1.0))];
        [scored.to_vec(), vec![(own("a"), at(at_ms, 7.0)), (own("c"), at(at_ms, 7.0))]].concat()
    };
    house.push(&batch(next));
    assert!(ends(&house, "anomaly_score").is_empty(), "the user's series goes on");
    assert_eq!(ends(&house, "yhat"), [next + 1], "what is not the user's ends");
    for minute in 1..3 {
        let tally = house.push(&batch(next + minute * MINUTE));
        let sent: Vec<_> = house.out.iter().filter(|score| score.name.value() == "anomaly_score").collect();
        assert_eq!((sent.len(), sent[0].labels.get("job")), (1, Some("b")));
        assert_eq!((tally.scored, tally.unscored_for(Reason::Clash)), (2, 1));
    }
    house.push(&[(up("c"), at(next, 1.0))]);
    assert!(house.emitted("anomaly_score").is_empty(), "nor is it taken by one that comes later");
    assert_eq!(house.pipeline.budget().injected, 2);
}

#[test]
fn counts_of_the_users_own_keep_their_names() {
    let mut house = House::new(EVERYTHING);
    let own = labels(&[("__name__", "scored_series"), ("job", "a")]);
    house.push(&[(own, at(START, 7.0)), (up("a"), at(START, 1.0))]);
    assert!(house.emitted("scored_series").is_empty());
    assert_eq!(house.emitted("anomalous_series"), [0.0]);
}

#[test]
fn loop_back_shows_scores_that_come_back_to_it() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    let back = labels(&[("__name__", "anomaly_score"), ("for", "up"), ("job", "a")]);
    house.visit(&[(back, at(next, 0.0)), (up("a"), at(next, 1.0))], Wiring::LoopBack, &mut Vec::new());
    assert_eq!(house.newest("anomaly_score").len(), 1);
}

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
fn emit_above_sends_with_hysteresis_and_ends_with_a_stale_marker() {
    let mut house = House::new("[{match: up, emit: {above: 0.5}}]");
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
    assert!(falling[..end].iter().all(|score| score.is_some_and(|score| score >= 0.25)), "{falling:?}");
    assert!(falling[..end].iter().flatten().any(|score| *score < 0.5), "{falling:?}");
    assert!(falling[end + 1..].iter().all(Option::is_none), "{falling:?}");
}

#[test]
fn an_alert_is_counted_when_it_begins_and_the_time_that_was_scored_between_samples() {
    let mut house = House::new("[{match: up, data_range: [0, 100]}]");
    let next = house.warm();
    let jump = |minute: i64| house.one(next + minute * MINUTE, 500.0).alerts;
    assert_eq!([0, 1, 2].map(jump), [1, 0, 0]);
    let minute = house.one(next + 3 * MINUTE, 10.0);
    assert_eq!(minute.scored_ms, MINUTE as u64);
    assert_eq!(house.one(next + 600 * MINUTE, 10.0).scored_ms, 3_600_000, "a gap was not scored");
    assert_eq!(house.one(next + 600 * MINUTE, 10.0).scored_ms, 0, "nor is a retry");
}

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
    let sweep = super::leave::Sweep::default();
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

/// The times at which score series of the names `name` were ended in `house.out`.
fn ends(house: &House, name: &str) -> Vec<i64> {
    let ended =
        house.out.iter().filter(|score| score.name.value() == name && is_stale_marker(score.sample.value));
    ended.map(|score| score.sample.timestamp_ms).collect()
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

const TRUST: &str = "[{match: up, provide_series: [anomaly_score, anomaly_confidence, anomaly_part]}]";

/// The values of `anomaly_part` in `house.out` by their part.
fn parts(house: &House) -> std::collections::BTreeMap<String, f64> {
    let of_parts = house.out.iter().filter(|score| score.name.value() == "anomaly_part");
    of_parts.map(|score| (score.labels.get("part").expect("a part").to_owned(), score.sample.value)).collect()
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
fn two_spellings_of_one_series_share_its_state() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    let reversed: Labels = up("a").into_iter().rev().collect();
    house.push(&[(reversed, at(next, 500.0))]);
    assert!(house.score() > 1.0, "the other spelling knows what the first has learned");
    assert_eq!(house.pipeline.series().len(), 1);
}

#[test]
fn equal_labels_of_two_tenants_are_two_series() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.scope = house.pipeline.scope(&ScopeName::Tenant("other".into()), next).expect("room");
    house.one(next, 500.0);
    assert_eq!(house.score(), 0.0, "the other tenant's series warms up");
    assert_eq!(house.pipeline.series().len(), 2);
}

#[test]
fn a_detector_that_panics_loses_its_series_and_nothing_else() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.slot.swap(Model { detector: Detector::Broken(Broken::Panics), ..Model::builtin() });
    let tally = house.push(&[(up("a"), at(next, 1.0)), (up("b"), at(next, 1.0))]);
    assert!(tally.unscored_for(Reason::Panic) >= 1);
    house.slot.swap(Model::builtin());
    let next = next + MINUTE;
    let tally = house.push(&[(up("a"), at(next, 1.0)), (up("b"), at(next, 1.0))]);
    assert_eq!(tally.scored, 2, "scoring goes on");
    assert_eq!(tally.unscored_for(Reason::Panic), 0);
}

#[test]
fn a_full_table_evicts_the_idle_first_and_refuses_otherwise() {
    let limits = Limits { max_series: 2, idle_after_s: 600, ..Limits::default() };
    let mut house = House::with(EVERYTHING, limits);
    house.push(&[(up("a"), at(START, 1.0)), (up("b"), at(START, 1.0))]);
    let refused = house.push(&[(up("c"), at(START + MINUTE, 1.0))]);
    assert_eq!(refused.unscored_for(Reason::SeriesLimit), 1);
    house.push(&[(up("b"), at(START + 15 * MINUTE, 1.0))]);
    let taken = house.push(&[(up("c"), at(START + 16 * MINUTE, 1.0))]);
    assert_eq!(taken.scored, 1);
    let kept = house.push(&[(up("b"), at(START + 17 * MINUTE, 1.0))]);
    assert_eq!((kept.scored, house.pipeline.series().len()), (1, 2), "the one that was seen stays");
}

#[test]
fn a_full_table_sheds_series_of_a_lower_priority() {
    let limits = Limits { max_series: 1, ..Limits::default() };
    let rules = "[{name: low, match: '{job=\"a\"}'}, {name: high, match: '{job=\"b\"}', priority: 5}]";
    let mut house = House::with(rules, limits);
    assert_eq!(house.one(START, 1.0).scored, 1);
    assert_eq!(house.push(&[(up("b"), at(START, 1.0))]).scored, 1);
    assert_eq!(house.one(START + 20_000, 1.0).unscored_for(Reason::SeriesLimit), 1);
}

#[test]
fn of_two_rules_of_one_priority_the_dearer_is_shed_first() {
    let limits = Limits { max_series: 40, ..Limits::default() };
    let rules = "[{name: worth, match: '{job=\"worth\"}'}, {name: idle, match: '{job=\"idle\"}'}, \
                 {name: new, match: '{job=\"new\"}'}]";
    let mut house = House::with(rules, limits);
    let of = |job: &str, number: usize| labels(&[("__name__", &format!("m{number}")), ("job", job)]);
    let both = |at_ms, value| -> Vec<_> {
        let jobs = ["worth", "idle"].into_iter().flat_map(|job| (0..20).map(move |number| (job, number)));
        jobs.map(|(job, number)| (of(job, number), at(at_ms, if job == "worth" { value } else { 1.0 })))
            .collect()
    };
    for minute in 0..30 {
        house.push(&both(START + minute * MINUTE, 10.0 + (minute % 3) as f64));
    }
    house.push(&both(START + 30 * MINUTE, 500.0));
    let held =
        |house: &House| house.pipeline.budget().rules.into_iter().map(|r| (r.name, (r.series, r.findings)));
    let held = |house: &House| held(house).collect::<std::collections::HashMap<_, _>>();
    assert_eq!((held(&house)["worth"], held(&house)["idle"]), ((20, 20), (20, 0)));
    let newcomer = house.push(&[(of("new", 0), at(START + 31 * MINUTE, 1.0))]);
    assert_eq!(newcomer.scored, 1, "a rule without series costs nothing yet");
    assert_eq!((held(&house)["worth"], held(&house)["idle"]), ((20, 20), (19, 0)));
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
fn a_poisoned_state_loses_only_its_series() {
    let (mut house, mut sound) = (House::new(EVERYTHING), House::new(EVERYTHING));
    let both = |minute: i64| {
        let value = if minute == 35 { 500.0 } else { 10.0 + (minute % 3) as f64 };
        [(up("a"), at(START + minute * MINUTE, value)), (up("b"), at(START + minute * MINUTE, value))]
    };
    for minute in 0..40 {
        if minute == 30 {
            house.pipeline.series().for_each(|_, series| {
                if series.labels.get("job") == Some("a") {
                    Model::builtin().detector.learn(&mut series.state, START, f64::NAN, &Default::default());
                }
            });
        }
        assert_eq!(house.push(&both(minute)).scored, sound.push(&both(minute)).scored);
        let bits = |house: &House, job| -> Vec<u64> {
            let of_job = |score: &&ScoreSample| score.labels.get("job") == Some(job);
            let scores =
                house.out.iter().filter(of_job).filter(|score| score.name.value() == "anomaly_score");
            scores.map(|score| score.sample.value.to_bits()).collect()
        };
        assert_eq!(bits(&house, "b"), bits(&sound, "b"), "minute {minute}");
        assert!(house.out.iter().all(|score| score.sample.value.is_finite()), "minute {minute}");
    }
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

#[test]
fn a_tenant_has_a_limit_of_its_own() {
    let limits = Limits { max_series_per_scope: 1, ..Limits::default() };
    let mut house = House::with(EVERYTHING, limits);
    let tally = house.push(&[(up("a"), at(START, 1.0)), (up("b"), at(START, 1.0))]);
    assert_eq!(tally.unscored_for(Reason::ScopeLimit), 1);
}

#[test]
fn b3_a_tenant_that_made_room_leaves_nothing_behind() {
    let scopes = ScopeLimits { tenants: 1, idle_after_s: 600, ..ScopeLimits::default() };
    let mut house = House::with(EVERYTHING, Limits { scopes, ..Limits::default() });
    let next = house.warm();
    house.one(next, 500.0);
    house.pipeline.scope(&ScopeName::Tenant("".into()), next).expect("known");
    let other = ScopeName::Tenant("other".into());
    assert!(house.pipeline.scope(&other, next + 9 * MINUTE).is_none(), "the first is not idle yet");
    house.scope = house.pipeline.scope(&other, next + 11 * MINUTE).expect("the first makes room");
    house.push(&[(up("b"), at(next + 11 * MINUTE, 1.0))]);
    let budget = house.pipeline.budget();
    assert_eq!((budget.tenants, budget.series, budget.injected, budget.rules[0].series), (1, 1, 1, 1));
    house.scope = house.pipeline.scope(&ScopeName::Tenant("".into()), next + 30 * MINUTE).expect("room");
    house.one(next + 30 * MINUTE, 500.0);
    assert_eq!(house.score(), 0.0, "who comes back warms up again");
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

#[test]
fn new_rules_decide_anew_and_what_was_learned_stays() {
    let mut house = House::new(EVERYTHING);
    let next = house.warm();
    house.configure("[{match: up, scale: [1, 1]}]");
    house.one(next, 500.0);
    assert!(house.score() > 1.0, "no second warm-up");
    house.configure("[{match: down}]");
    assert_eq!(house.one(next + MINUTE, 1.0).unselected, 1);
    assert!(house.pipeline.series().is_empty());
    house.configure(EVERYTHING);
    assert_eq!(house.one(next + 2 * MINUTE, 1.0).scored, 1, "what was unselected is asked again");
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

#[test]
fn churn_leaves_no_labels_behind() {
    let limits = Limits { max_series: 64, idle_after_s: 60, ..Limits::default() };
    let mut house = House::with(EVERYTHING, limits);
    for round in 0..200 {
        let job = format!("job-{round}-{}", "x".repeat(100));
        house.push(&[(up(&job), at(START + round * 10 * MINUTE, 1.0))]);
    }
    house.out.clear();
    assert!(house.pipeline.series().len() <= 64);
    // Workloads keep the labels they are counted by, up to their own limit of 100.
    assert!(house.pipeline.series().label_bytes() < 200 * 120, "{}", house.pipeline.series().label_bytes());
}
