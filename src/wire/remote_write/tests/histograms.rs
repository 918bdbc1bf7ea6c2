//! Native histograms: which are noted, of what series, and that they are read as prost reads them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::differential::damaged;
use super::*;
use crate::batch::{Buckets, NativeHistogram, Reset, Unreadable};
use crate::wire::generated::prometheus::histogram::{Count, ZeroCount};

const MAX_BUCKETS: u32 = 20;

/// What prost read, as the corridor takes it; none if it does not agree with itself.
fn plain(histogram: &proto1::Histogram) -> Option<NativeHistogram> {
    let floats = matches!(histogram.count, Some(Count::CountFloat(_)));
    let side = |spans: &[proto1::BucketSpan], deltas: &[i64], counts: &[f64]| {
        let added = deltas.iter().scan(0i64, |count, delta| {
            *count = count.wrapping_add(*delta);
            Some(*count as f64)
        });
        let counts = if floats { counts.to_vec() } else { added.collect() };
        Buckets { spans: spans.iter().map(|span| (span.offset, span.length)).collect(), counts }
    };
    let plain = NativeHistogram {
        timestamp_ms: histogram.timestamp,
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        zero_count: match histogram.zero_count {
            Some(ZeroCount::ZeroCountFloat(count)) if floats => count,
            Some(ZeroCount::ZeroCountInt(count)) if !floats => count as f64,
            _ => 0.0,
        },
        count: match histogram.count {
            Some(Count::CountInt(count)) => count as f64,
            Some(Count::CountFloat(count)) => count,
            None => 0.0,
        },
        sum: histogram.sum,
        reset: match histogram.reset_hint {
            1 => Reset::Yes,
            2 => Reset::No,
            3 => Reset::Gauge,
            _ => Reset::Unknown,
        },
        positive: side(&histogram.positive_spans, &histogram.positive_deltas, &histogram.positive_counts),
        negative: side(&histogram.negative_spans, &histogram.negative_deltas, &histogram.negative_counts),
        custom: histogram.custom_values.clone(),
    };
    let sides = [&plain.positive, &plain.negative];
    let spanned = sides.iter().all(|side| {
        let length: u64 = side.spans.iter().map(|(_, length)| u64::from(*length)).sum();
        length == side.counts.len() as u64 && side.spans.iter().skip(1).all(|(offset, _)| *offset >= 0)
    });
    let counts = sides.iter().flat_map(|side| &side.counts);
    let counted = counts.chain([&plain.zero_count, &plain.count]).all(|count| *count >= 0.0);
    let bounds = &plain.custom;
    let laid_out = match plain.schema {
        -53 => {
            let zero = plain.zero_threshold == 0.0 && plain.zero_count == 0.0;
            let rising = bounds.windows(2).all(|pair| pair[0] < pair[1]);
            let finite = bounds.iter().all(|bound| bound.is_finite());
            let from_first = plain.positive.spans.iter().all(|(offset, _)| *offset >= 0);
            zero && rising && finite && from_first && plain.negative.counts.is_empty()
        }
        -4..=52 => bounds.is_empty(),
        _ => false,
    };
    let threshold = plain.zero_threshold.is_finite() && plain.zero_threshold >= 0.0;
    (plain.is_stale() || (spanned && counted && laid_out && threshold)).then_some(plain)
}

fn read(raw: &[u8], max_buckets: u32) -> Result<NativeHistogram, Unreadable> {
    // What stood there before is not seen again.
    let mut into = NativeHistogram { sum: 5.0, custom: vec![1.0, 2.0], ..NativeHistogram::default() };
    v1::Labels { raw }.read_histogram(&(0..raw.len() as u32), max_buckets, &mut into)?;
    Ok(into)
}

fn same(one: &NativeHistogram, other: &NativeHistogram) -> bool {
    // By their text, in which a number that is none equals itself.
    format!("{one:?}") == format!("{other:?}")
}

/// A histogram that agrees with itself, in integers or floats.
fn sound() -> impl Strategy<Value = proto1::Histogram> {
    let side = || (vec((0..4i32, 1..4u32), 0..3), vec(0..1_000i64, 9));
    (any::<bool>(), side(), side(), 0..5i32, -4..20i32, 0..4i32, any::<bool>()).prop_map(
        |(floats, positive, negative, zero, schema, reset_hint, custom)| {
            let spans = |spans: &[(i32, u32)]| -> Vec<_> {
                spans.iter().map(|&(offset, length)| proto1::BucketSpan { offset, length }).collect()
            };
            let counts = |(spans, counts): &(Vec<(i32, u32)>, Vec<i64>)| -> Vec<i64> {
                counts[..spans.iter().map(|(_, length)| *length as usize).sum()].to_vec()
            };
            let negative = if custom { Default::default() } else { negative };
            let (above, below) = (counts(&positive), counts(&negative));
            let zero = if custom { 0 } else { zero };
            let count = above.iter().chain(&below).sum::<i64>() + i64::from(zero);
            let deltas = |counts: &[i64]| -> Vec<i64> {
                let before = [0].into_iter().chain(counts.iter().copied());
                counts.iter().zip(before).map(|(count, before)| count - before).collect()
            };
            let numbers = |counts: &[i64]| counts.iter().map(|count| *count as f64).collect::<Vec<_>>();
            proto1::Histogram {
                count: Some(if floats {
                    Count::CountFloat(count as f64)
                } else {
                    Count::CountInt(count as u64)
                }),
                sum: 12.5,
                schema: if custom { -53 } else { schema },
                zero_threshold: if custom { 0.0 } else { 1e-9 },
                zero_count: Some(if floats {
                    ZeroCount::ZeroCountFloat(f64::from(zero))
                } else {
                    ZeroCount::ZeroCountInt(zero as u64)
                }),
                negative_spans: spans(&negative.0),
                negative_deltas: if floats { Vec::new() } else { deltas(&below) },
                negative_counts: if floats { numbers(&below) } else { Vec::new() },
                positive_spans: spans(&positive.0),
                positive_deltas: if floats { Vec::new() } else { deltas(&above) },
                positive_counts: if floats { numbers(&above) } else { Vec::new() },
                reset_hint,
                timestamp: 1_700_000_000_000,
                custom_values: if custom { vec![0.1, 1.0, 10.0] } else { Vec::new() },
            }
        },
    )
}

/// The same numbers, each in a field of its own, and the counts before all that they are told by.
fn scattered(histogram: &proto1::Histogram) -> Vec<u8> {
    let mut raw = Vec::new();
    let one = |number, value: &f64, raw: &mut Vec<u8>| prost::encoding::double::encode(number, value, raw);
    histogram.positive_deltas.iter().for_each(|delta| prost::encoding::sint64::encode(12, delta, &mut raw));
    histogram.negative_deltas.iter().for_each(|delta| prost::encoding::sint64::encode(9, delta, &mut raw));
    histogram.positive_counts.iter().for_each(|count| one(13, count, &mut raw));
    histogram.negative_counts.iter().for_each(|count| one(10, count, &mut raw));
    histogram.custom_values.iter().for_each(|bound| one(16, bound, &mut raw));
    let mut rest = histogram.clone();
    for numbers in [&mut rest.positive_deltas, &mut rest.negative_deltas] {
        numbers.clear();
    }
    for numbers in [&mut rest.positive_counts, &mut rest.negative_counts, &mut rest.custom_values] {
        numbers.clear();
    }
    raw.extend(rest.encode_to_vec());
    raw
}

proptest! {
    #[test]
    fn a_histogram_is_read_as_prost_reads_it(histogram in sound()) {
        let wanted = plain(&histogram).expect("it agrees with itself");
        for raw in [histogram.encode_to_vec(), scattered(&histogram)] {
            let got = read(&raw, MAX_BUCKETS).expect("a histogram");
            prop_assert!(same(&got, &wanted), "{:?} is not {:?}", got, wanted);
        }
    }

    #[test]
    fn a_damaged_histogram_is_read_as_prost_reads_it_or_refused(
        histogram in prop_oneof![sound(), make::histogram()],
        changes in vec(any::<(prop::sample::Index, u8, u8)>(), 0..4),
    ) {
        let raw = damaged(&histogram.encode_to_vec(), &changes);
        let prost = proto1::Histogram::decode(&raw[..]);
        match (read(&raw, MAX_BUCKETS), prost) {
            (Ok(got), Ok(prost)) => {
                let wanted = plain(&prost);
                prop_assert!(wanted.as_ref().is_some_and(|wanted| same(&got, wanted)), "{:?} is not {:?}", got, wanted);
            }
            (Err(Unreadable::Damaged), Ok(prost)) => {
                let overflows = |deltas: &[i64]| {
                    deltas.iter().try_fold(0i64, |sum, delta| sum.checked_add(*delta)).is_none()
                };
                let overflows = overflows(&prost.positive_deltas) || overflows(&prost.negative_deltas);
                let groups = raw.iter().any(|byte| matches!(byte & 7, 3 | 4));
                prop_assert!(plain(&prost).is_none() || overflows || groups, "prost takes it, we do not: {:?}", prost);
            }
            (_, _) => {}
        }
    }
}

fn of_buckets(count: u32) -> Vec<u8> {
    let span = proto1::BucketSpan { offset: 0, length: count };
    proto1::Histogram {
        count: Some(Count::CountInt(u64::from(count))),
        positive_spans: vec![span],
        positive_deltas: [1].into_iter().chain((1..count).map(|_| 0)).collect(),
        ..Default::default()
    }
    .encode_to_vec()
}

#[test]
fn a_histogram_of_more_buckets_than_allowed_is_too_large() {
    assert_eq!(read(&of_buckets(20), 20).unwrap().positive.counts, [1.0; 20]);
    assert_eq!(read(&of_buckets(21), 20), Err(Unreadable::TooLarge));
}

#[test]
fn a_span_that_claims_more_buckets_than_there_are_allocates_nothing_and_is_damaged() {
    let span = proto1::BucketSpan { offset: 0, length: u32::MAX };
    let liar = proto1::Histogram { positive_spans: vec![span], ..Default::default() };
    assert_eq!(read(&liar.encode_to_vec(), 20), Err(Unreadable::Damaged));
}

fn with_histogram(name: &str, samples: &[(i64, f64)], histograms: usize) -> proto1::TimeSeries {
    let histogram = || proto1::Histogram { sum: 2.5, ..Default::default() };
    proto1::TimeSeries {
        histograms: (0..histograms).map(|_| histogram()).collect(),
        ..super::series(&[("__name__", name)], samples)
    }
}

fn wanting() -> Batch {
    let mut batch = Batch::default();
    batch.histograms.wanted = true;
    batch
}

#[test]
fn histograms_are_noted_where_they_are_wanted_with_their_series() {
    let raw = request(vec![
        with_histogram("a", &[], 2),
        super::series(&[("__name__", "b")], &[(1, 1.0)]),
        with_histogram("b", &[(2, 2.0)], 1),
    ]);
    let limits = ElementLimits::default();
    let mut batch = Batch::default();
    v1::decode(&raw, SEED, &limits, Some(&mut Walked::default()), &mut batch).unwrap();
    assert!(batch.histograms.series.is_empty(), "nobody asks for them");

    let mut batch = wanting();
    v1::decode(&raw, SEED, &limits, Some(&mut Walked::default()), &mut batch).unwrap();
    let source = v1::Labels { raw: &raw };
    let [a, b] = &batch.histograms.series[..] else { panic!("two series") };
    assert_eq!([a, b].map(|span| labels_of(&source, span)[0].1.clone()), ["a", "b"]);
    assert_eq!([a, b].map(|span| batch.histograms.messages_of(span).len()), [2, 1]);
    let mut read = NativeHistogram::default();
    for at in &batch.histograms.messages {
        source.read_histogram(at, 10, &mut read).unwrap();
        assert_eq!(read.sum, 2.5);
    }
    assert_eq!((batch.series.len(), b.key), (2, batch.series[1].key.of_histograms()), "the same labels");
}

#[test]
fn histograms_of_2_0_are_noted_too() {
    let histogram = proto2::Histogram { sum: 2.5, start_timestamp: 7, timestamp: 9, ..Default::default() };
    let series =
        proto2::TimeSeries { labels_refs: vec![1, 2], histograms: vec![histogram], ..Default::default() };
    let symbols = ["", "__name__", "a"].map(String::from).to_vec();
    let raw = proto2::Request { symbols, timeseries: vec![series] }.encode_to_vec();
    let (mut batch, mut symbols) = (wanting(), v2::SymbolTable::new());
    v2::decode(&raw, SEED, &ElementLimits::default(), &mut symbols, &mut batch).unwrap();
    let source = v2::Labels { raw: &raw, symbols: &symbols };
    let [span] = &batch.histograms.series[..] else { panic!("one series") };
    assert_eq!(labels_of(&source, span), [("__name__".to_owned(), "a".to_owned())]);
    let mut read = NativeHistogram::default();
    source.read_histogram(&batch.histograms.messages_of(span)[0], 10, &mut read).unwrap();
    assert_eq!((read.sum, read.timestamp_ms), (2.5, 9));
}

#[test]
fn histograms_are_counted_against_the_limits_of_samples() {
    let limits =
        ElementLimits { max_samples_per_series: 3, max_samples_per_request: 5, ..Default::default() };
    let decoded = |series: Vec<proto1::TimeSeries>, mut batch: Batch| {
        v1::decode(&request(series), SEED, &limits, None, &mut batch).map(drop)
    };
    let limit = |element, limit| Err(DecodeError::Limit { element, limit });
    let four = || vec![with_histogram("a", &[], 4)];
    assert_eq!(decoded(four(), wanting()), limit(Element::SeriesSamples, 3));
    assert_eq!(decoded(four(), Batch::default()), Ok(()), "they are stepped over");
    let six = vec![with_histogram("a", &[], 3), with_histogram("b", &[], 3)];
    assert_eq!(decoded(six, wanting()), limit(Element::Samples, 5));
}
