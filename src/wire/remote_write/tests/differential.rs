//! Agreement with prost, in both directions.

use proptest::prelude::*;

use super::make::{request_v1, request_v2, unknown_field};
use super::*;
use crate::batch::Sample;

/// What a decoder made of a request: labels and samples of every series that has samples.
type Plain = Vec<(Vec<(String, String)>, Vec<Sample>)>;

fn plain(batch: &Batch, source: &dyn LabelSource) -> Plain {
    let series = |span: &SeriesSpan| (labels_of(source, span), batch.samples_of(span).to_vec());
    batch.series.iter().map(series).collect()
}

fn plain_v1(request: &proto1::WriteRequest) -> Plain {
    let sample = |s: &proto1::Sample| Sample { timestamp_ms: s.timestamp, value: s.value };
    let series = |series: &proto1::TimeSeries| {
        let labels = series.labels.iter().map(|label| (label.name.clone(), label.value.clone()));
        (labels.collect(), series.samples.iter().map(sample).collect())
    };
    request.timeseries.iter().filter(|series| !series.samples.is_empty()).map(series).collect()
}

fn plain_v2(request: &proto2::Request) -> Plain {
    let sample = |s: &proto2::Sample| Sample { timestamp_ms: s.timestamp, value: s.value };
    let text = |reference: u32| request.symbols[reference as usize].clone();
    let series = |series: &proto2::TimeSeries| {
        let labels = series.labels_refs.chunks(2).map(|pair| (text(pair[0]), text(pair[1])));
        (labels.collect(), series.samples.iter().map(sample).collect())
    };
    request.timeseries.iter().filter(|series| !series.samples.is_empty()).map(series).collect()
}

fn counts_v1(request: &proto1::WriteRequest) -> Decoded {
    let sum =
        |count: fn(&proto1::TimeSeries) -> usize| request.timeseries.iter().map(count).sum::<usize>() as u32;
    Decoded {
        series: request.timeseries.len() as u32,
        samples: sum(|series| series.samples.len()),
        histograms: sum(|series| series.histograms.len()),
        exemplars: sum(|series| series.exemplars.len()),
        metadata: request.metadata.len() as u32,
    }
}

fn counts_v2(request: &proto2::Request) -> Decoded {
    let sum =
        |count: fn(&proto2::TimeSeries) -> usize| request.timeseries.iter().map(count).sum::<usize>() as u32;
    Decoded {
        series: request.timeseries.len() as u32,
        samples: sum(|series| series.samples.len()),
        histograms: sum(|series| series.histograms.len()),
        exemplars: sum(|series| series.exemplars.len()),
        metadata: sum(|series| usize::from(series.metadata.is_some())),
    }
}

/// Whether we may refuse what prost takes: a group, which we do not skip, or labels that lead nowhere.
fn stricter(error: &DecodeError) -> bool {
    matches!(
        error,
        DecodeError::WireType { wire_type: 3 | 4, .. }
            | DecodeError::SymbolBeyondTable { .. }
            | DecodeError::OddReferences { .. }
    )
}

fn agree_v1(raw: &[u8]) {
    match (decode_v1(raw), proto1::WriteRequest::decode(raw)) {
        (Ok((counts, batch)), Ok(request)) => {
            assert_eq!(counts, counts_v1(&request));
            assert_eq!(plain(&batch, &v1::Labels { raw }), plain_v1(&request));
        }
        (Err(error), Ok(_)) => assert!(stricter(&error), "prost takes it, we do not: {error}"),
        // The insides that are not looked at, and text that is none.
        (Ok(_) | Err(_), Err(_)) => {}
    }
}

fn agree_v2(raw: &[u8]) {
    match (decode_v2(raw), proto2::Request::decode(raw)) {
        (Ok((counts, batch, symbols)), Ok(request)) => {
            let merged = request.timeseries.iter().any(|series| series.metadata.is_some());
            assert!(counts == counts_v2(&request) || merged, "metadata given twice is one for prost");
            assert_eq!(plain(&batch, &v2::Labels { raw, symbols: &symbols }), plain_v2(&request));
        }
        (Err(error), Ok(_)) => assert!(stricter(&error), "prost takes it, we do not: {error}"),
        (Ok(_) | Err(_), Err(_)) => {}
    }
}

/// `raw` with `change` applied: bytes replaced, cut out or doubled.
pub(super) fn damaged(raw: &[u8], changes: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    let mut raw = raw.to_vec();
    for (at, kind, byte) in changes {
        if raw.is_empty() {
            break;
        }
        let at = at.index(raw.len());
        match kind % 4 {
            0 => raw[at] = *byte,
            1 => drop(raw.remove(at)),
            2 => raw.insert(at, *byte),
            _ => raw.truncate(at),
        }
    }
    raw
}

proptest! {
    #[test]
    fn v1_reads_what_prost_wrote(request in request_v1()) {
        let raw = request.encode_to_vec();
        let (counts, batch) = decode_v1(&raw).unwrap();
        prop_assert_eq!(counts, counts_v1(&request));
        prop_assert_eq!(plain(&batch, &v1::Labels { raw: &raw }), plain_v1(&request));
    }

    #[test]
    fn v2_reads_what_prost_wrote(request in request_v2()) {
        let raw = request.encode_to_vec();
        let (counts, batch, symbols) = decode_v2(&raw).unwrap();
        prop_assert_eq!(counts, counts_v2(&request));
        prop_assert_eq!(plain(&batch, &v2::Labels { raw: &raw, symbols: &symbols }), plain_v2(&request));
    }

    #[test]
    fn r30_unknown_fields_are_stepped_over(request in request_v1(), unknown in prop::collection::vec(unknown_field(), 1..5)) {
        let any = |at: usize| &unknown[at % unknown.len()][..];
        let mut raw = any(0).to_vec();
        for (at, series) in request.timeseries.iter().enumerate() {
            raw.extend(field(1, &[any(at), &series.encode_to_vec(), any(at + 1)].concat()));
            raw.extend_from_slice(any(at));
        }
        let (_, batch) = decode_v1(&raw).unwrap();
        prop_assert_eq!(plain(&batch, &v1::Labels { raw: &raw }), plain_v1(&request));
        agree_v1(&raw);
    }

    #[test]
    fn r21_created_timestamps_of_older_senders_are_stepped_over(request in request_v2(), created: i64) {
        let mut raw = proto2::Request { symbols: request.symbols.clone(), timeseries: Vec::new() }.encode_to_vec();
        for series in &request.timeseries {
            let mut body = series.encode_to_vec();
            prost::encoding::int64::encode(6, &created, &mut body);
            raw.extend(field(5, &body));
        }
        let (counts, batch, symbols) = decode_v2(&raw).unwrap();
        prop_assert_eq!(counts, counts_v2(&request));
        prop_assert_eq!(plain(&batch, &v2::Labels { raw: &raw, symbols: &symbols }), plain_v2(&request));
    }

    #[test]
    fn references_one_by_one_and_symbols_behind_the_series_read_the_same(request in request_v2()) {
        let mut raw = Vec::new();
        for series in &request.timeseries {
            let mut body = Vec::new();
            series.labels_refs.iter().for_each(|reference| prost::encoding::uint32::encode(1, reference, &mut body));
            body.extend(proto2::TimeSeries { labels_refs: Vec::new(), ..series.clone() }.encode_to_vec());
            raw.extend(field(5, &body));
        }
        raw.extend(proto2::Request { symbols: request.symbols.clone(), timeseries: Vec::new() }.encode_to_vec());
        let (_, batch, symbols) = decode_v2(&raw).unwrap();
        prop_assert_eq!(plain(&batch, &v2::Labels { raw: &raw, symbols: &symbols }), plain_v2(&request));
        let usual = request.encode_to_vec();
        let keys = |batch: &Batch| batch.series.iter().map(|span| span.key).collect::<Vec<_>>();
        prop_assert_eq!(keys(&batch), keys(&decode_v2(&usual).unwrap().1));
    }

    #[test]
    fn v1_agrees_with_prost_on_damaged_requests(
        request in request_v1(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 0..4),
    ) {
        agree_v1(&damaged(&request.encode_to_vec(), &changes));
    }

    #[test]
    fn v2_agrees_with_prost_on_damaged_requests(
        request in request_v2(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 0..4),
    ) {
        agree_v2(&damaged(&request.encode_to_vec(), &changes));
    }

    #[test]
    fn b22_both_agree_with_prost_on_any_bytes(raw in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..0x30], 0..60)) {
        agree_v1(&raw);
        agree_v2(&raw);
    }
}
