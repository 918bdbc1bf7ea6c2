//! Arbitrary requests.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{proto1, proto2};

/// Any bits but those of minus zero, which prost takes for a default and does not write.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        Just(f64::from_bits(0x7ff0_0000_0000_0002)),
        any::<f64>()
    ]
    .prop_map(|value| if value == 0.0 { 0.0 } else { value })
}

fn timestamp() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), 1_700_000_000_000i64..1_800_000_000_000, Just(0)]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_]{0,8}", "\\PC{0,6}", Just("long".repeat(60))]
}

fn label() -> impl Strategy<Value = proto1::Label> {
    (text(), text()).prop_map(|(name, value)| proto1::Label { name, value })
}

pub(super) fn histogram() -> impl Strategy<Value = proto1::Histogram> {
    let spans =
        || vec(any::<(i32, u32)>().prop_map(|(offset, length)| proto1::BucketSpan { offset, length }), 0..3);
    let count = prop::option::of(prop_oneof![
        any::<u64>().prop_map(proto1::histogram::Count::CountInt),
        value().prop_map(proto1::histogram::Count::CountFloat),
    ]);
    (count, value(), any::<i32>(), spans(), spans(), vec(any::<i64>(), 0..4), vec(value(), 0..4), timestamp())
        .prop_map(|(count, sum, schema, negative_spans, positive_spans, deltas, counts, timestamp)| {
            proto1::Histogram {
                count,
                sum,
                schema,
                zero_threshold: sum,
                zero_count: Some(proto1::histogram::ZeroCount::ZeroCountInt(7)),
                negative_spans,
                negative_deltas: deltas.clone(),
                negative_counts: counts.clone(),
                positive_spans,
                positive_deltas: deltas,
                positive_counts: counts.clone(),
                reset_hint: 3,
                timestamp,
                custom_values: counts,
            }
        })
}

fn series_v1() -> impl Strategy<Value = proto1::TimeSeries> {
    let sample = (value(), timestamp()).prop_map(|(value, timestamp)| proto1::Sample { value, timestamp });
    let exemplar = (vec(label(), 0..2), value(), timestamp())
        .prop_map(|(labels, value, timestamp)| proto1::Exemplar { labels, value, timestamp });
    (vec(label(), 0..5), vec(sample, 0..4), vec(exemplar, 0..2), vec(histogram(), 0..2)).prop_map(
        |(labels, samples, exemplars, histograms)| proto1::TimeSeries {
            labels,
            samples,
            exemplars,
            histograms,
        },
    )
}

pub(in crate::wire::remote_write) fn request_v1() -> impl Strategy<Value = proto1::WriteRequest> {
    let metadata = (0..8i32, text()).prop_map(|(kind, help)| proto1::MetricMetadata {
        r#type: kind,
        metric_family_name: "family".to_owned(),
        help,
        unit: "seconds".to_owned(),
    });
    (vec(series_v1(), 0..5), vec(metadata, 0..2))
        .prop_map(|(timeseries, metadata)| proto1::WriteRequest { timeseries, metadata })
}

fn series_v2(symbols: u32) -> impl Strategy<Value = proto2::TimeSeries> {
    let refs = move |pairs: usize| {
        vec((0..symbols, 0..symbols), 0..pairs)
            .prop_map(|pairs| pairs.into_iter().flat_map(|(name, value)| [name, value]).collect::<Vec<_>>())
    };
    let sample = (value(), timestamp(), timestamp())
        .prop_map(|(value, timestamp, start_timestamp)| proto2::Sample { value, timestamp, start_timestamp });
    let exemplar = (refs(2), value(), timestamp())
        .prop_map(|(labels_refs, value, timestamp)| proto2::Exemplar { labels_refs, value, timestamp });
    let histogram = (value(), timestamp()).prop_map(|(sum, timestamp)| proto2::Histogram {
        sum,
        timestamp,
        start_timestamp: timestamp,
        ..Default::default()
    });
    let metadata = prop::option::of((0..8i32, 0..symbols).prop_map(|(kind, help_ref)| proto2::Metadata {
        r#type: kind,
        help_ref,
        unit_ref: 0,
    }));
    (refs(6), vec(sample, 0..4), vec(histogram, 0..2), vec(exemplar, 0..2), metadata).prop_map(
        |(labels_refs, samples, histograms, exemplars, metadata)| proto2::TimeSeries {
            labels_refs,
            samples,
            histograms,
            exemplars,
            metadata,
        },
    )
}

pub(in crate::wire::remote_write) fn request_v2() -> impl Strategy<Value = proto2::Request> {
    vec(text(), 0..200).prop_flat_map(|mut symbols| {
        symbols.insert(0, String::new());
        let count = symbols.len() as u32;
        vec(series_v2(count), 0..5)
            .prop_map(move |timeseries| proto2::Request { symbols: symbols.clone(), timeseries })
    })
}

/// Any one unknown field, with a number that no message has.
pub(super) fn unknown_field() -> impl Strategy<Value = Vec<u8>> {
    (100u32..200, any::<u64>(), vec(any::<u8>(), 0..20), 0..4).prop_map(|(number, word, bytes, kind)| {
        let mut out = Vec::new();
        match kind {
            0 => prost::encoding::uint64::encode(number, &word, &mut out),
            1 => prost::encoding::fixed64::encode(number, &word, &mut out),
            2 => prost::encoding::fixed32::encode(number, &(word as u32), &mut out),
            _ => prost::encoding::bytes::encode(number, &bytes, &mut out),
        }
        out
    })
}
