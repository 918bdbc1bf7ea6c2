//! Bombs, cuts and flipped bits.

use super::*;

fn limits() -> ElementLimits {
    ElementLimits::default()
}

fn check_limit(result: Result<Decoded, DecodeError>, want: Element) {
    let error = result.unwrap_err();
    assert!(matches!(error, DecodeError::Limit { element, .. } if element == want), "{error}");
    assert!(error.to_string().contains(want.option()), "{error}");
}

fn v1_limited(raw: &[u8], want: Element) -> Batch {
    let mut batch = Batch::default();
    check_limit(v1::decode(raw, SEED, &limits(), None, &mut batch), want);
    batch
}

fn v2_limited(raw: &[u8], want: Element) {
    check_limit(v2::decode(raw, SEED, &limits(), &mut v2::SymbolTable::new(), &mut Batch::default()), want);
}

#[test]
fn b4_sixteen_million_empty_series_stop_at_the_limit_without_allocating() {
    let batch = v1_limited(&b"\x0a\x00".repeat(16 << 20), Element::Series);
    assert_eq!((batch.series.capacity(), batch.samples.capacity()), (0, 0));
    v2_limited(&b"\x2a\x00".repeat(16 << 20), Element::Series);
}

#[test]
fn f13_every_element_has_a_limit() {
    let with_labels = |labels: Vec<u8>| field(1, &[labels, field(2, b"")].concat());
    v1_limited(&with_labels(field(1, b"").repeat(65)), Element::Labels);
    v1_limited(&with_labels(field(1, &field(1, &[b'a'; 1025]))), Element::LabelName);
    v1_limited(&with_labels(field(1, &field(2, &[b'a'; 1 << 20]))), Element::LabelValue);
    v1_limited(&field(1, &field(2, b"").repeat(10_001)), Element::SeriesSamples);
    v1_limited(&field(1, &field(2, b"").repeat(10_000)).repeat(101), Element::Samples);
    let sample = field(2, b"");
    v2_limited(&field(4, b"").repeat(250_001), Element::Symbols);
    v2_limited(&[field(4, b""), field(5, &field(1, &[0; 130]))].concat(), Element::Labels);
    v2_limited(&field(5, &sample.repeat(10_001)), Element::SeriesSamples);
    let labelled = |refs: &[u8]| field(5, &[field(1, refs), sample.clone()].concat());
    v2_limited(&[field(4, &[b'a'; 1025]), field(4, b""), labelled(&[0, 1])].concat(), Element::LabelName);
    v2_limited(&[field(4, &[b'a'; 8193]), field(4, b""), labelled(&[1, 0])].concat(), Element::LabelValue);
}

#[test]
fn f13_a_limit_on_label_names_may_be_as_low_as_you_like() {
    let limits = ElementLimits { max_label_name_length: 7, ..limits() };
    let body = |name: &str| request(vec![series(&[(name, "up")], &[(1, 1.0)])]);
    assert!(v1::decode(&body("job_nam"), SEED, &limits, None, &mut Batch::default()).is_ok());
    check_limit(
        v1::decode(&body("job_name"), SEED, &limits, None, &mut Batch::default()),
        Element::LabelName,
    );
}

#[test]
fn f13_depth_is_refused_at_the_first_group() {
    let groups = b"\x7b".repeat(10_000);
    let check = |raw: &[u8]| {
        let wire_type = |error| matches!(error, DecodeError::WireType { wire_type: 3, .. });
        assert!(wire_type(decode_v1(raw).unwrap_err()));
        assert!(wire_type(decode_v2(raw).unwrap_err()));
    };
    check(&groups);
    check(&[field(1, &groups), field(5, &groups), groups.clone()].concat());
    // Nested messages of unknown fields are not entered at all.
    let nested = (0..1000).fold(Vec::new(), |inner, _| field(15, &inner));
    assert_eq!(decode_v1(&nested).unwrap().0, Decoded::default());
}

#[test]
fn r20_references_that_lead_nowhere_are_errors() {
    let check = |refs: &[u8], want: fn(&DecodeError) -> bool| {
        let raw = [field(4, b""), field(4, b"a"), field(5, &field(1, refs))].concat();
        let error = decode_v2(&raw).unwrap_err();
        assert!(want(&error), "{error}");
    };
    check(&[0, 1, 1], |error| matches!(error, DecodeError::OddReferences { .. }));
    check(&[0, 2], |error| matches!(error, DecodeError::SymbolBeyondTable { index: 2, symbols: 2 }));
    check(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], |error| matches!(error, DecodeError::SymbolBeyondTable { .. }));
}

/// A request with some of everything, well below 4 KiB.
fn sample_v1() -> Vec<u8> {
    let mut one = series(&[("__name__", "up"), ("job", "node"), ("instance", "a:9100")], &[(1, 1.0)]);
    one.exemplars.push(proto1::Exemplar { labels: vec![label("trace_id", "x")], value: 1.0, timestamp: 1 });
    let mut two = series(&[("__name__", "latency")], &[]);
    two.histograms.push(proto1::Histogram { positive_deltas: vec![1, -1], ..Default::default() });
    let timeseries = vec![one, two, series(&[("__name__", "load")], &[(1_760_000_000_000, 0.5); 3])];
    proto1::WriteRequest { timeseries, metadata: vec![Default::default()] }.encode_to_vec()
}

fn sample_v2() -> Vec<u8> {
    let series = |labels_refs: Vec<u32>| proto2::TimeSeries {
        labels_refs,
        samples: vec![proto2::Sample { value: 1.0, timestamp: 1_760_000_000_000, start_timestamp: 5 }],
        metadata: Some(proto2::Metadata { r#type: 2, help_ref: 1, unit_ref: 0 }),
        ..Default::default()
    };
    let symbols = ["", "__name__", "up", "job", "node"].map(str::to_owned).to_vec();
    proto2::Request { symbols, timeseries: vec![series(vec![1, 2]), series(vec![1, 2, 3, 4])] }
        .encode_to_vec()
}

/// Decodes and reads every label: nothing may panic.
fn walk_all(raw: &[u8]) {
    if let Ok((_, batch)) = decode_v1(raw) {
        batch.series.iter().for_each(|span| drop(labels_of(&v1::Labels { raw }, span)));
    }
    if let Ok((_, batch, symbols)) = decode_v2(raw) {
        batch.series.iter().for_each(|span| drop(labels_of(&v2::Labels { raw, symbols: &symbols }, span)));
    }
}

#[test]
fn f12_a_cut_at_any_byte_and_a_flip_of_any_bit_never_panic() {
    for whole in [sample_v1(), sample_v2()] {
        for cut in 0..whole.len() {
            walk_all(&whole[..cut]);
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            walk_all(&flipped);
        }
    }
}
