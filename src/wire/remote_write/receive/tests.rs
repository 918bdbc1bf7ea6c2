use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::wire::generated::io::prometheus::write::v2 as proto2;
use crate::wire::generated::prometheus as proto1;
use crate::wire::remote_write::ElementLimits;
use crate::wire::remote_write::tests::make::{request_v1, request_v2};
use crate::wire::remote_write::v2::SymbolTable;

const NOW: i64 = 1_760_000_000_000;
const LATEST: i64 = NOW + 600_000;
const UP: [(&str, &str); 2] = [("__name__", "up"), ("job", "a")];

fn receive_v1(timeseries: Vec<proto1::TimeSeries>) -> (Receipt, Batch) {
    let mut batch = Batch::default();
    let raw = proto1::WriteRequest { timeseries, metadata: Vec::new() }.encode_to_vec();
    (v1::v1(&raw, 0, &ElementLimits::default(), LATEST, &mut batch).unwrap(), batch)
}

fn receive_v2(request: &proto2::Request) -> Result<(Receipt, Batch), ReceiveError> {
    let (mut batch, raw) = (Batch::default(), request.encode_to_vec());
    let receipt = v2::v2(&raw, 0, &ElementLimits::default(), LATEST, &mut SymbolTable::new(), &mut batch)?;
    Ok((receipt, batch))
}

fn series(labels: &[(&str, &str)]) -> proto1::TimeSeries {
    let label = |&(name, value): &(&str, &str)| proto1::Label { name: name.into(), value: value.into() };
    proto1::TimeSeries {
        labels: labels.iter().map(label).collect(),
        samples: vec![proto1::Sample { value: 1.0, timestamp: NOW }],
        ..Default::default()
    }
}

/// A 2.0 request of one series with the labels of [`UP`], changed.
fn request(change: impl FnOnce(&mut proto2::TimeSeries)) -> proto2::Request {
    let mut series = proto2::TimeSeries {
        labels_refs: vec![1, 2, 3, 4],
        samples: vec![proto2::Sample { value: 1.0, timestamp: NOW, start_timestamp: 0 }],
        ..Default::default()
    };
    change(&mut series);
    let symbols = ["", "__name__", "up", "job", "a"].map(str::to_owned).to_vec();
    proto2::Request { symbols, timeseries: vec![series] }
}

/// The same series between two good ones, where it is refused and they are kept.
fn refused(bad: proto1::TimeSeries, want: Refusal) {
    let samples = 2;
    let (receipt, batch) = receive_v1(vec![series(&UP), bad, series(&UP)]);
    assert_eq!(receipt.refused, [(want, 1)]);
    assert_eq!(receipt.written, Written { samples, ..Default::default() });
    assert_eq!(batch.series.len(), 2);
    let reason = receipt.reason().unwrap();
    assert_eq!(reason, format!("1 of 3 series were not written: 1 {} (the first is series 2)", want.text()));
}

#[test]
fn r8_a_sound_request_is_complete() {
    let (receipt, batch) = receive_v1(vec![series(&UP), series(&UP)]);
    assert!(receipt.is_complete());
    assert_eq!((receipt.reason(), receipt.written.samples, batch.series.len()), (None, 2, 2));
    let (receipt, _) = receive_v2(&request(|_| ())).unwrap();
    assert_eq!((receipt.reason(), receipt.written.samples), (None, 1));
}

#[test]
fn r16_r18_unsound_labels_are_refused_and_the_others_kept() {
    refused(series(&[("job", "a")]), Refusal::NoMetricName);
    refused(series(&[]), Refusal::NoMetricName);
    refused(series(&[("__name__", ""), ("job", "a")]), Refusal::NoMetricName);
    refused(series(&[("__name__", "up"), ("job", "")]), Refusal::EmptyLabelValue);
    refused(series(&[("", "x"), ("__name__", "up")]), Refusal::EmptyLabelName);
    refused(series(&[("__name__", "up"), ("job", "a"), ("job", "b")]), Refusal::RepeatedLabel);
    refused(series(&[("job", "a"), ("__name__", "up"), ("job", "b")]), Refusal::RepeatedLabel);
}

#[test]
fn r17_unsorted_labels_and_names_in_any_script_are_accepted() {
    let (receipt, _) = receive_v1(vec![series(&[("job", "a"), ("__name__", "up"), ("größe", "b")])]);
    assert_eq!(receipt.reason(), None);
}

#[test]
fn r23_stale_markers_and_nan_are_written() {
    let bits = [0x7ff0_0000_0000_0002, 0x7ff8_0000_0000_0001, 0x7ff0_0000_0000_0000];
    let samples = bits.map(|bits| proto1::Sample { value: f64::from_bits(bits), timestamp: NOW }).to_vec();
    let (receipt, _) = receive_v1(vec![proto1::TimeSeries { samples, ..series(&UP) }]);
    assert_eq!((receipt.reason(), receipt.written.samples), (None, 3));
}

#[test]
fn r28_samples_too_far_ahead_are_refused() {
    let at = |timestamp| proto1::TimeSeries {
        samples: vec![proto1::Sample { value: 1.0, timestamp }],
        ..series(&UP)
    };
    assert!(receive_v1(vec![at(LATEST)]).0.is_complete());
    refused(at(LATEST + 1), Refusal::TooFarAhead);
}

#[test]
fn r19_a_2_0_series_has_samples_or_histograms_and_not_both() {
    let check = |change: fn(&mut proto2::TimeSeries), want: &[(Refusal, u32)]| {
        let (receipt, batch) = receive_v2(&request(change)).unwrap();
        assert_eq!(receipt.refused, want);
        assert_eq!(batch.series.is_empty(), !want.is_empty());
    };
    check(|series| series.samples.clear(), &[(Refusal::Empty, 1)]);
    let both = |series: &mut proto2::TimeSeries| series.histograms.push(Default::default());
    check(both, &[(Refusal::SamplesAndHistograms, 1)]);
    check(|_| (), &[]);
    // Prometheus sends exemplars in entries of their own.
    let exemplar = proto2::Exemplar { labels_refs: vec![3, 4], value: 1.0, timestamp: NOW };
    let only = request(|series| (series.samples, series.exemplars) = (Vec::new(), vec![exemplar]));
    let (receipt, _) = receive_v2(&only).unwrap();
    assert_eq!((receipt.reason(), receipt.written.exemplars), (None, 1));
}

#[test]
fn r20_symbols_are_checked() {
    let mut first = request(|_| ());
    first.symbols[0] = "x".to_owned();
    assert_eq!(receive_v2(&first).unwrap_err(), ReceiveError::FirstSymbol);
    let odd = request(|series| series.labels_refs.truncate(3));
    let error = receive_v2(&odd).unwrap_err();
    assert!(matches!(error, ReceiveError::Decode(DecodeError::OddReferences { .. })), "{error}");
    let beyond = request(|series| series.labels_refs[3] = 5);
    let error = receive_v2(&beyond).unwrap_err();
    assert!(matches!(error, ReceiveError::Decode(DecodeError::SymbolBeyondTable { .. })), "{error}");
    let metadata = proto2::Metadata { r#type: 2, help_ref: 9, unit_ref: 0 };
    let (receipt, _) = receive_v2(&request(|series| series.metadata = Some(metadata))).unwrap();
    assert_eq!(receipt.refused, [(Refusal::MetadataReference, 1)]);
}

#[test]
fn r22_exemplars_without_a_timestamp_are_refused_alone() {
    let exemplar = |timestamp| proto2::Exemplar { labels_refs: Vec::new(), value: 1.0, timestamp };
    let exemplars = vec![exemplar(NOW), exemplar(0)];
    let (receipt, batch) = receive_v2(&request(|series| series.exemplars = exemplars)).unwrap();
    assert_eq!(receipt.written, Written { samples: 1, histograms: 0, exemplars: 1 });
    assert_eq!(batch.series.len(), 1);
    let reason = receipt.reason().unwrap();
    assert!(reason.starts_with("1 of 2 exemplars were not written"), "{reason}");
}

#[test]
fn r24_histograms_must_agree_with_themselves() {
    use proto1::histogram::{Count, ZeroCount};
    let span = |offset, length| proto1::BucketSpan { offset, length };
    let integer = proto1::Histogram {
        count: Some(Count::CountInt(10)),
        sum: 20.0,
        zero_count: Some(ZeroCount::ZeroCountInt(2)),
        positive_spans: vec![span(-2, 2), span(1, 1)],
        positive_deltas: vec![1, 1, -1],
        negative_spans: vec![span(0, 1)],
        negative_deltas: vec![4],
        timestamp: NOW,
        ..Default::default()
    };
    let float = proto1::Histogram {
        count: Some(Count::CountFloat(3.5)),
        positive_spans: vec![span(0, 2)],
        positive_counts: vec![1.0, 2.5],
        ..Default::default()
    };
    let custom = proto1::Histogram {
        count: Some(Count::CountInt(3)),
        schema: -53,
        positive_spans: vec![span(0, 3)],
        positive_deltas: vec![1, 0, 0],
        custom_values: vec![0.5, 1.0],
        ..Default::default()
    };
    let check = |base: &proto1::Histogram,
                 change: fn(&mut proto1::Histogram),
                 want: Option<HistogramFault>| {
        let mut histogram = base.clone();
        change(&mut histogram);
        let entry = proto1::TimeSeries { samples: Vec::new(), histograms: vec![histogram], ..series(&UP) };
        let (receipt, _) = receive_v1(vec![entry]);
        let got: Vec<_> = receipt.refused.iter().map(|(refusal, _)| *refusal).collect();
        assert_eq!(got, want.map(Refusal::Histogram).into_iter().collect::<Vec<_>>());
        assert_eq!(receipt.written.histograms, u64::from(want.is_none()));
    };
    use HistogramFault::{Count as BadCount, CustomBounds, NegativeBucket, Schema, Spans};
    check(&integer, |_| (), None);
    check(&integer, |h| h.count = Some(Count::CountInt(11)), Some(BadCount));
    check(&integer, |h| (h.sum, h.count) = (f64::NAN, Some(Count::CountInt(11))), None);
    check(&integer, |h| h.positive_deltas = vec![1, -2, 1], Some(NegativeBucket));
    check(&integer, |h| h.positive_deltas = vec![i64::MAX; 3], Some(BadCount));
    check(&integer, |h| h.positive_deltas.truncate(2), Some(Spans));
    check(&integer, |h| h.positive_spans[1].offset = -1, Some(Spans));
    check(&integer, |h| h.schema = -5, Some(Schema));
    check(&integer, |h| h.custom_values = vec![1.0], Some(CustomBounds));
    check(&float, |_| (), None);
    check(&float, |h| h.positive_counts[0] = -1.0, Some(NegativeBucket));
    check(&custom, |_| (), None);
    check(&custom, |h| h.custom_values = vec![1.0, 0.5], Some(CustomBounds));
    check(&custom, |h| h.custom_values = vec![0.5, f64::INFINITY], Some(CustomBounds));
    check(&custom, |h| h.custom_values = vec![0.5], Some(CustomBounds));
    check(&custom, |h| h.zero_count = Some(ZeroCount::ZeroCountInt(1)), Some(CustomBounds));
}

proptest! {
    #[test]
    fn the_batch_holds_what_is_reported_as_written(request in request_v1()) {
        let (receipt, batch) = receive_v1(request.timeseries);
        let samples: usize = batch.series.iter().map(|span| batch.samples_of(span).len()).sum();
        prop_assert_eq!(samples as u64, receipt.written.samples);
        prop_assert_eq!(receipt.reason().is_none(), receipt.is_complete());
    }

    #[test]
    fn the_batch_of_2_0_holds_what_is_reported_as_written(request in request_v2()) {
        let (receipt, batch) = receive_v2(&request).unwrap();
        let samples: usize = batch.series.iter().map(|span| batch.samples_of(span).len()).sum();
        prop_assert_eq!(samples as u64, receipt.written.samples);
    }

    #[test]
    fn b22_what_is_received_without_complaint_prost_reads_too(raw in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..0x30], 0..60)) {
        let limits = ElementLimits::default();
        let (mut batch, mut symbols) = (Batch::default(), SymbolTable::new());
        if v1::v1(&raw, 0, &limits, LATEST, &mut batch).is_ok_and(|receipt| receipt.is_complete()) {
            prop_assert!(proto1::WriteRequest::decode(&raw[..]).is_ok());
        }
        if v2::v2(&raw, 0, &limits, LATEST, &mut symbols, &mut batch).is_ok() {
            prop_assert!(proto2::Request::decode(&raw[..]).is_ok());
        }
    }
}
