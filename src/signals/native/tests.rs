//! The arithmetic of native histograms. Whether Prometheus answers the same is asked of a real one, in
//! `tests/it/e2e/signals.rs`.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::batch::{Buckets, CUSTOM_BUCKETS, stale_marker};

/// A histogram of schema 0 whose positive buckets begin with the one that ends at 1.
fn histogram(counts: &[f64]) -> NativeHistogram {
    NativeHistogram {
        count: counts.iter().sum(),
        positive: run(0, counts),
        sum: 5.0,
        ..NativeHistogram::default()
    }
}

fn run(first: i32, counts: &[f64]) -> Buckets {
    Buckets { spans: vec![(first, counts.len() as u32)], counts: counts.to_vec() }
}

fn custom(bounds: &[f64], counts: &[f64]) -> NativeHistogram {
    NativeHistogram { schema: CUSTOM_BUCKETS, custom: bounds.to_vec(), ..histogram(counts) }
}

fn taken(now: &NativeHistogram) -> Observed {
    let mut observed = Observed::default();
    observed.take(now);
    observed
}

fn between(before: &NativeHistogram, now: &NativeHistogram) -> Observed {
    let mut observed = Observed::default();
    observed.between(before, now);
    observed
}

fn check_quantile(histogram: &NativeHistogram, quantile: f64, want: Option<f64>) {
    let got = taken(histogram).quantile(quantile);
    let near = got.zip(want).is_some_and(|(got, want)| (got - want).abs() <= 1e-12 * want.abs());
    assert!(near || (got, want) == (None, None), "{quantile} of {histogram:?}: {got:?}, not {want:?}");
}

#[test]
fn quantiles_lie_where_prometheus_puts_them() {
    // As in Prometheus' own promql/promqltest/testdata/native_histograms.test.
    let single = histogram(&[1.0, 2.0, 1.0]);
    check_quantile(&single, 0.5, Some(2f64.sqrt()));
    check_quantile(&single, 0.0, Some(0.5));
    check_quantile(&single, 1.0, Some(4.0));
    let negative = NativeHistogram {
        positive: Buckets::default(),
        negative: run(0, &[1.0, 2.0, 1.0]),
        ..single.clone()
    };
    check_quantile(&negative, 0.5, Some(-2f64.sqrt()));
    check_quantile(&custom(&[5.0, 10.0], &[1.0, 4.0]), 0.5, Some(6.875));
    check_quantile(&histogram(&[]), 0.5, None);
}

#[test]
fn the_zero_bucket_reaches_to_the_side_on_which_all_else_lies() {
    let with_zero = |positive: &[f64], negative: &[f64]| NativeHistogram {
        zero_threshold: 0.25,
        zero_count: 10.0,
        count: 10.0 + positive.iter().chain(negative).sum::<f64>(),
        positive: run(0, positive),
        negative: run(0, negative),
        ..histogram(&[])
    };
    check_quantile(&with_zero(&[10.0], &[]), 0.25, Some(0.125));
    check_quantile(&with_zero(&[], &[10.0]), 0.75, Some(-0.125));
    check_quantile(&with_zero(&[10.0], &[10.0]), 0.5, Some(0.0));
    check_quantile(&with_zero(&[10.0], &[10.0]), 0.4, Some(-0.15));
    // A bucket that the zero bucket cuts begins where that ends.
    let cut = NativeHistogram { zero_threshold: 0.75, ..histogram(&[4.0]) };
    check_quantile(&cut, 0.0, Some(0.75));
}

#[test]
fn given_bounds_end_where_they_say_nothing_more() {
    check_quantile(&custom(&[5.0, 10.0], &[0.0, 0.0, 3.0]), 0.5, Some(10.0));
    check_quantile(&custom(&[5.0], &[4.0]), 0.5, Some(2.5));
    check_quantile(&custom(&[-5.0, 10.0], &[4.0]), 0.5, Some(-5.0));
    assert_eq!(taken(&custom(&[5.0], &[4.0])).mean(), Some(1.25));
}

#[test]
fn observations_of_nan_are_above_all_others() {
    let with_nan = NativeHistogram { count: 8.0, sum: f64::NAN, ..histogram(&[2.0, 2.0]) };
    check_quantile(&with_nan, 0.25, Some(1.0));
    check_quantile(&with_nan, 0.9, None);
    assert_eq!(taken(&with_nan).mean(), None);
}

#[test]
fn what_is_infinite_is_not_made() {
    let infinite = NativeHistogram { count: 1.0, positive: run(1025, &[1.0]), ..histogram(&[]) };
    check_quantile(&infinite, 0.5, None);
}

#[test]
fn what_was_observed_is_what_one_holds_more_than_the_other() {
    let (before, now) = (histogram(&[3.0, 0.0, 2.0]), histogram(&[4.0, 5.0, 2.0]));
    let observed = between(&before, &now);
    assert_eq!((&observed.positive[..], observed.count), (&[(0, 1.0), (1, 5.0)][..], 6.0));
}

#[test]
fn a_count_that_falls_a_bucket_that_falls_and_a_hint_are_resets() {
    let before = histogram(&[3.0, 4.0]);
    let all = |now: &NativeHistogram| assert_eq!(between(&before, now).count, now.count, "{now:?}");
    all(&histogram(&[1.0, 1.0]));
    all(&histogram(&[2.0, 9.0]));
    all(&histogram(&[0.0, 0.0, 9.0]));
    all(&NativeHistogram { reset: Reset::Yes, ..histogram(&[4.0, 4.0]) });
    all(&NativeHistogram { schema: 1, ..histogram(&[4.0, 4.0]) });
    all(&custom(&[1.0], &[4.0, 4.0]));
    assert_eq!(between(&before, &histogram(&[4.0, 4.0])).count, 1.0);
    let bounds = custom(&[1.0], &[4.0, 4.0]);
    assert_eq!(between(&custom(&[2.0], &[1.0, 1.0]), &bounds).count, 8.0, "other bounds");
    assert_eq!(between(&custom(&[1.0], &[1.0, 1.0]), &bounds).count, 6.0);
}

#[test]
fn a_wider_zero_bucket_takes_in_what_was_in_the_buckets_below_it() {
    let before =
        NativeHistogram { zero_threshold: 0.1, zero_count: 1.0, count: 8.0, ..histogram(&[3.0, 4.0]) };
    let wider = |threshold, zero_count, counts: &[f64]| NativeHistogram {
        zero_threshold: threshold,
        zero_count,
        count: zero_count + counts.iter().sum::<f64>(),
        positive: run(1, counts),
        ..histogram(&[])
    };
    let observed = between(&before, &wider(1.0, 6.0, &[5.0]));
    assert_eq!((observed.zero_count, &observed.positive[..], observed.count), (2.0, &[(1, 1.0)][..], 3.0));
    // Within a bucket in which something was counted nobody knows how much of that is below.
    assert_eq!(between(&before, &wider(1.5, 6.0, &[5.0])).count, 11.0);
    assert_eq!(between(&before, &wider(0.05, 9.0, &[5.0])).count, 14.0, "it never shrinks but by a reset");
}

fn made(quantile: Option<f64>, histograms: &[NativeHistogram]) -> [Option<f64>; 3] {
    let native = Native::new(Vec::new(), true, true, quantile);
    let (mut before, mut observed) = (Before::default(), Observed::default());
    for (minute, histogram) in histograms.iter().enumerate() {
        let now = NativeHistogram { timestamp_ms: minute as i64 * 60_000, ..histogram.clone() };
        before.go_on(&native, &now, &mut observed);
    }
    before.made
}

#[test]
fn a_counter_needs_two_histograms_and_a_gauge_one() {
    let counts = [30.0, 30.0];
    assert_eq!(made(Some(0.5), &[histogram(&counts)]), [None; 3]);
    let more = NativeHistogram { sum: 65.0, ..histogram(&[60.0, 60.0]) };
    assert_eq!(made(Some(0.5), &[histogram(&counts), more]), [Some(1.0), Some(1.0), Some(1.0)]);
    let gauge = NativeHistogram { reset: Reset::Gauge, sum: 15.0, ..histogram(&counts) };
    assert_eq!(made(Some(0.5), std::slice::from_ref(&gauge)), [Some(0.25), None, Some(1.0)]);
    assert_eq!(made(None, &[gauge.clone(), gauge]), [Some(0.25), None, None]);
}

#[test]
fn where_nothing_was_observed_there_is_a_rate_alone() {
    assert_eq!(made(Some(0.9), &[histogram(&[3.0]), histogram(&[3.0])]), [None, Some(0.0), None]);
}

#[test]
fn a_quantile_is_called_by_its_percentage() {
    let check = |quantile, name: &str| assert_eq!(name_of(quantile), name);
    check(0.99, ":p99");
    check(0.999, ":p99_9");
    check(0.5, ":p50");
    check(0.0, ":p0");
    check(1.0, ":p100");
    check(0.07, ":p7");
}

#[test]
fn an_end_is_told_by_the_sum_alone() {
    assert!(NativeHistogram { sum: stale_marker(), ..NativeHistogram::default() }.is_stale());
    assert!(!NativeHistogram { sum: f64::NAN, ..NativeHistogram::default() }.is_stale());
}

fn counts() -> impl Strategy<Value = Vec<f64>> {
    vec((0..50u32).prop_map(f64::from), 1..40)
}

fn at(schema: i32, first: i32, counts: &[f64]) -> NativeHistogram {
    NativeHistogram { schema, positive: run(first, counts), ..histogram(counts) }
}

proptest! {
    #[test]
    fn what_is_added_is_what_was_observed_at_any_resolution(
        before in counts(),
        added in counts(),
        first in -40..40i32,
        schema in -2..9i32,
        coarser in 0..3i32,
    ) {
        let now_schema = (schema - coarser).max(-4);
        let before = at(schema, first, &before);
        // The one before as it would stand at the resolution of now, and as much more as was added.
        let mut now = std::collections::BTreeMap::<i32, f64>::new();
        for (index, count) in before.positive.iter() {
            *now.entry(bounds::lowered(index, schema - now_schema)).or_default() += count;
        }
        let (lowest, last) = (*now.keys().next().unwrap(), *now.keys().last().unwrap());
        let mut all: Vec<f64> =
            (lowest..=last).map(|index| now.get(&index).copied().unwrap_or_default()).collect();
        all.resize(all.len().max(added.len()), 0.0);
        all.iter_mut().zip(&added).for_each(|(count, more)| *count += more);
        let observed = between(&before, &at(now_schema, lowest, &all));
        let wanted: Vec<_> = (lowest..).zip(added.iter().copied()).filter(|(_, more)| *more > 0.0).collect();
        prop_assert_eq!(&observed.positive, &wanted);
        prop_assert_eq!(observed.count, added.iter().sum::<f64>());
    }

    #[test]
    fn quantiles_rise_and_lie_within_the_buckets(
        above in counts(),
        below in counts(),
        schema in -2..9i32,
        mut quantiles in vec(0.0..1.0f64, 2..8),
    ) {
        let both = NativeHistogram { negative: run(-3, &below), count: above.iter().chain(&below).sum(), ..at(schema, -5, &above) };
        prop_assume!(both.count > 0.0);
        let observed = taken(&both);
        quantiles.sort_unstable_by(f64::total_cmp);
        let found: Vec<f64> = quantiles.iter().map(|quantile| observed.quantile(*quantile).unwrap()).collect();
        prop_assert!(found.windows(2).all(|pair| pair[0] <= pair[1] + 1e-9 * pair[1].abs()), "{:?}", found);
        let reach = |first, counts: &[f64]| bounds::exponential(first + counts.len() as i32, schema);
        prop_assert!(found.iter().all(|value| *value <= reach(-5, &above) && *value >= -reach(-3, &below)));
    }
}

/// The first bucket of a histogram, and its time, are what its sender says.
#[test]
fn at_the_ends_of_what_can_be_counted_nothing_breaks() {
    let native = Native::new(Vec::new(), true, true, Some(0.5));
    for first in [i32::MIN, i32::MIN + 1, i32::MAX - 1, i32::MAX] {
        for schema in [-4, 0, 8, 52] {
            let at = |timestamp_ms, zero_threshold| NativeHistogram {
                timestamp_ms,
                schema,
                zero_threshold,
                positive: run(first, &[1.0, 1.0]),
                negative: run(first, &[1.0, 1.0]),
                count: 4.0,
                ..NativeHistogram::default()
            };
            for (before, now) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (0, 1)] {
                let made = native.between(&at(before, 0.0), &at(now, 1e-9));
                assert!(made.into_iter().flatten().all(f64::is_finite), "{first} {schema}: {made:?}");
            }
        }
    }
}
