//! Native histograms and what is made of them.

use super::signals::{house, made, scores_for};
use super::*;
use crate::batch::{Buckets, NativeHistogram, Unreadable};

const NATIVE: &str = "signals: {native_histograms: [{match: rpc_seconds, quantile: 0.99}]}";

/// Native histograms by their place: each with its labels, or none where it cannot be read.
struct Histograms(Vec<(Labels, Result<NativeHistogram, Unreadable>)>);

impl LabelSource for Histograms {
    fn for_each_label(&self, labels: &Range<u32>, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in &self.0[labels.start as usize].0 {
            each(name.as_bytes(), value.as_bytes());
        }
    }

    fn read_histogram(&self, at: &Range<u32>, _: u32, into: &mut NativeHistogram) -> Result<(), Unreadable> {
        into.clone_from(self.0[at.start as usize].1.as_ref().map_err(|unreadable| *unreadable)?);
        Ok(())
    }
}

fn push_all(house: &mut House, all: Vec<(Labels, Result<NativeHistogram, Unreadable>)>) -> Tally {
    let mut batch = Batch::default();
    batch.histograms.wanted = true;
    for (at, (labels, _)) in all.iter().enumerate() {
        let at = at as u32;
        let key = Key::of(format!("{labels:?}").as_bytes(), house.scope.seed(Spelling::RemoteWrite1));
        let series = SeriesSpan { key: key.of_histograms(), labels: at..at + 1, samples: at..at + 1 };
        batch.histograms.series.push(series);
        batch.histograms.messages.push(at..at + 1);
    }
    let times = all.iter().filter_map(|(_, histogram)| histogram.as_ref().ok().map(|one| one.timestamp_ms));
    let now_ms = times.max().unwrap_or(START);
    let (source, mut out) = (Histograms(all), Vec::new());
    let visit =
        Visit { scope: &house.scope, batch: &batch, labels: &source, now_ms, wiring: Wiring::Gateway };
    let tally = house.pipeline.score(&visit, &mut out);
    house.out = out;
    tally
}

fn rpc(pod: &str) -> Labels {
    labels(&[("__name__", "rpc_seconds"), ("pod", pod)])
}

/// After `minute` minutes of 60 observations in the bucket from 0.25 to 0.5 and `slow` in the one from 2 to 4.
fn histogram(minute: i64, slow: f64) -> NativeHistogram {
    let fast = 60.0 * minute as f64;
    NativeHistogram {
        timestamp_ms: START + minute * MINUTE,
        count: fast + slow,
        sum: 0.3 * fast + 3.0 * slow,
        positive: Buckets { spans: vec![(-1, 1), (2, 1)], counts: vec![fast, slow] },
        ..NativeHistogram::default()
    }
}

fn push(house: &mut House, minute: i64, slow: f64) -> Tally {
    push_all(house, vec![(rpc("a"), Ok(histogram(minute, slow)))])
}

fn push_all_of(house: &mut House, minutes: Range<i64>) {
    for minute in minutes {
        push(house, minute, 0.0);
    }
}

#[test]
fn the_mean_the_rate_and_a_quantile_of_a_native_histogram_are_made_and_scored() {
    let mut house = house(NATIVE);
    push(&mut house, 0, 0.0);
    assert_eq!(house.out.len(), 0, "a counter's first histogram has no rate");
    push(&mut house, 1, 0.0);
    let end = START + MINUTE;
    for (output, value) in [("mean", 0.3), ("rate", 1.0)] {
        let name = format!("rpc_seconds:{output}");
        assert_eq!(made(&house, &name, &[("pod", "a")]), Some(at(end, value)));
        assert_eq!(scores_for(&house, &name), [(end, 0.0)]);
    }
    let quantile = made(&house, "rpc_seconds:p99", &[("pod", "a")]).unwrap().value;
    assert!((0.49..0.5).contains(&quantile), "{quantile}");
}

#[test]
fn a_quantile_that_rises_is_an_anomaly_where_the_mean_shows_little() {
    let mut house = house(NATIVE);
    for minute in 0..60 {
        push(&mut house, minute, 0.0);
    }
    push(&mut house, 60, 2.0);
    let [(_, score)] = scores_for(&house, "rpc_seconds:p99")[..] else { panic!("one score") };
    assert!(score >= 1.0, "{score}");
}

#[test]
fn histograms_that_nothing_is_made_of_are_stepped_over_whatever_rules_say() {
    let mut house = house(&format!("{NATIVE}\nrules: [{{match: '{{__name__=~\".+\"}}'}}]"));
    let other = labels(&[("__name__", "http_seconds")]);
    for minute in 0..3 {
        push_all(&mut house, vec![(other.clone(), Err(Unreadable::Damaged))]);
        push_all(&mut house, vec![(other.clone(), Ok(histogram(minute, 0.0)))]);
    }
    assert_eq!((house.pipeline.budget().series, house.out.len()), (0, 0));
}

#[test]
fn what_cannot_be_read_is_counted_and_takes_nothing_else_along() {
    let mut house = house(NATIVE);
    for minute in 0..3 {
        let tally = push_all(
            &mut house,
            vec![
                (rpc("a"), Err(Unreadable::TooLarge)),
                (rpc("b"), Err(Unreadable::Damaged)),
                (rpc("c"), Ok(histogram(minute, 0.0))),
            ],
        );
        assert_eq!((tally.unscored_for(Reason::Limit), tally.unscored_for(Reason::Undecodable)), (1, 1));
    }
    assert_eq!(scores_for(&house, "rpc_seconds:mean").len(), 1);
}

#[test]
fn what_is_made_ends_with_its_histogram_by_either_kind_of_stale_marker() {
    let mut house = house(NATIVE);
    let stale = |minute: i64| NativeHistogram { sum: stale_marker(), ..histogram(minute, 0.0) };
    push_all_of(&mut house, 0..3);
    push_all(&mut house, vec![(rpc("a"), Ok(stale(3)))]);
    assert_eq!(ends(&house, "anomaly_score"), [START + 3 * MINUTE; 3]);
    push_all_of(&mut house, 4..7);
    assert_eq!(scores_for(&house, "rpc_seconds:mean").len(), 1, "it has come again");
    house.push(&[(rpc("a"), at(START + 7 * MINUTE, stale_marker()))]);
    assert_eq!(ends(&house, "anomaly_score"), [START + 7 * MINUTE; 3]);
}

#[test]
fn a_histogram_that_comes_twice_counts_once() {
    let mut house = house(NATIVE);
    push_all_of(&mut house, 0..3);
    let tally = push(&mut house, 2, 0.0);
    assert_eq!((house.out.len(), tally.unscored_for(Reason::Duplicate)), (0, 0));
    assert_eq!(push(&mut house, 1, 0.0).unscored_for(Reason::OutOfOrder), 1);
    push(&mut house, 3, 0.0);
    assert_eq!(made(&house, "rpc_seconds:rate", &[("pod", "a")]), Some(at(START + 3 * MINUTE, 1.0)));
}

#[test]
fn no_more_series_are_made_of_histograms_than_the_entry_allows() {
    let mut house = house("signals: {native_histograms: [{match: rpc_seconds, max_series: 5}]}");
    let pods = ["a", "b", "c", "d"];
    let mut refused = 0;
    for minute in 0..3 {
        let all = pods.iter().map(|pod| (rpc(pod), Ok(histogram(minute, 0.0))));
        refused += push_all(&mut house, all.collect()).groups_refused;
    }
    assert_eq!((scores_for(&house, "rpc_seconds:mean").len(), refused), (2, 2));
    assert_eq!(house.pipeline.budget().groups, 2);
}

#[test]
fn a_series_whose_samples_are_scored_keeps_them_and_its_histograms_are_passed_by() {
    let mut house = house(&format!("{NATIVE}\nrules: [{{match: rpc_seconds}}]"));
    house.push(&[(rpc("a"), at(START, 1.0))]);
    assert_eq!(push(&mut house, 1, 0.0).unscored_for(Reason::Clash), 1);
    let tally = house.push(&[(rpc("a"), at(START + 2 * MINUTE, 1.0))]);
    assert_eq!(tally.scored, 1);
}
