//! The borrowed decoders against prost, and against damage.

mod damage;
mod differential;
mod histograms;
pub(super) mod make;

use prost::Message as _;

use super::*;
use crate::batch::{Batch, LabelSource, SeriesSpan};
use crate::wire::generated::io::prometheus::write::v2 as proto2;
use crate::wire::generated::prometheus as proto1;

const SEED: u64 = 42;

fn decode_v1(raw: &[u8]) -> Result<(Decoded, Batch), DecodeError> {
    let (mut batch, mut walked) = (Batch::default(), Walked::default());
    let first = v1::decode(raw, SEED, &ElementLimits::default(), Some(&mut walked), &mut batch);
    let (once, counts) = (std::mem::take(&mut batch), first?);
    // What was walked before is read without a walk, and read the same.
    let again = v1::decode(raw, SEED, &ElementLimits::default(), Some(&mut walked), &mut batch)?;
    assert_eq!((counts, &once.series, &once.samples), (again, &batch.series, &batch.samples));
    Ok((counts, batch))
}

fn decode_v2(raw: &[u8]) -> Result<(Decoded, Batch, v2::SymbolTable), DecodeError> {
    let (mut batch, mut symbols) = (Batch::default(), v2::SymbolTable::new());
    let counts = v2::decode(raw, SEED, &ElementLimits::default(), &mut symbols, &mut batch)?;
    Ok((counts, batch, symbols))
}

/// The labels of `span` as `source` reads them.
fn labels_of(source: &dyn LabelSource, span: &SeriesSpan) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    source.for_each_label(&span.labels, &mut |name, value| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        labels.push((text(name), text(value)));
    });
    labels
}

fn label(name: &str, value: &str) -> proto1::Label {
    proto1::Label { name: name.to_owned(), value: value.to_owned() }
}

fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> proto1::TimeSeries {
    proto1::TimeSeries {
        labels: labels.iter().map(|(name, value)| label(name, value)).collect(),
        samples: samples.iter().map(|&(timestamp, value)| proto1::Sample { value, timestamp }).collect(),
        ..Default::default()
    }
}

fn request(timeseries: Vec<proto1::TimeSeries>) -> Vec<u8> {
    proto1::WriteRequest { timeseries, metadata: Vec::new() }.encode_to_vec()
}

/// A field whose value is `body`.
fn field(number: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::bytes::encode(number, &body.to_vec(), &mut out);
    out
}

#[test]
fn r23_samples_keep_their_exact_bits() {
    let bits =
        [0x7ff0_0000_0000_0002, 0x7ff8_0000_0000_0001, 0xfff0_0000_0000_0000, 0x8000_0000_0000_0000, 1];
    let mut body = field(1, &label("__name__", "up").encode_to_vec());
    for bits in bits {
        body.extend(field(2, &[&[0x09][..], &u64::to_le_bytes(bits), &[0x10, 1]].concat()));
    }
    let (_, batch) = decode_v1(&field(1, &body)).unwrap();
    let got: Vec<u64> = batch.samples.iter().map(|sample| sample.value.to_bits()).collect();
    assert_eq!(got, bits);
}

#[test]
fn timestamps_of_every_length_are_read() {
    let times = [0, -1, 1, 1 << 34, (1 << 35) - 1, 1 << 35, 1_760_000_000_123, (1 << 42) - 1, 1 << 42];
    let times = [&times[..], &[i64::MIN, i64::MAX]].concat();
    let samples: Vec<_> = times.iter().map(|&time| (time, 1.5)).collect();
    let (_, batch) = decode_v1(&request(vec![series(&[("__name__", "up")], &samples)])).unwrap();
    let got: Vec<i64> = batch.samples.iter().map(|sample| sample.timestamp_ms).collect();
    assert_eq!(got, times);
}

#[test]
fn t7_a_body_of_one_version_read_as_the_other_is_empty() {
    let body = request(vec![series(&[("__name__", "up")], &[(1, 1.0)])]);
    assert_eq!(decode_v2(&body).unwrap().0, Decoded::default());
    let body = proto2::Request { symbols: vec![String::new()], timeseries: vec![Default::default()] };
    assert_eq!(decode_v1(&body.encode_to_vec()).unwrap().0, Decoded::default());
}

#[test]
fn r25_metadata_alone_is_an_empty_batch() {
    let body = proto1::WriteRequest { metadata: vec![Default::default(); 3], ..Default::default() };
    let (counts, batch) = decode_v1(&body.encode_to_vec()).unwrap();
    assert_eq!(counts, Decoded { metadata: 3, ..Default::default() });
    assert!(batch.series.is_empty());
}

#[test]
fn r26_a_series_may_stand_in_a_request_twice() {
    let body = request(vec![
        series(&[("__name__", "up")], &[(2, 1.0), (1, 2.0)]),
        series(&[("__name__", "up")], &[(3, 3.0)]),
    ]);
    let (counts, batch) = decode_v1(&body).unwrap();
    assert_eq!((counts.series, counts.samples), (2, 3));
    assert_eq!(batch.series[0].key, batch.series[1].key);
    assert_eq!(batch.samples_of(&batch.series[0]).len(), 2);
}

#[test]
fn labels_with_other_fields_between_them_have_the_key_of_the_same_labels_side_by_side() {
    let whole = series(&[("__name__", "up"), ("job", "a")], &[(1, 1.0)]);
    let [first, second] = whole.labels.clone().try_into().unwrap();
    let sample = field(2, &whole.samples[0].encode_to_vec());
    let scattered = [field(1, &first.encode_to_vec()), sample, field(1, &second.encode_to_vec())].concat();
    let (side_by_side, apart) = (request(vec![whole]), field(1, &scattered));
    let ((_, want), (_, got)) = (decode_v1(&side_by_side).unwrap(), decode_v1(&apart).unwrap());
    assert_eq!(got.series[0].key, want.series[0].key);
    let want = labels_of(&v1::Labels { raw: &side_by_side }, &want.series[0]);
    assert_eq!(labels_of(&v1::Labels { raw: &apart }, &got.series[0]), want);
}

#[test]
fn a_key_of_2_0_does_not_depend_on_how_symbols_are_numbered() {
    let key = |symbols: &[&str], labels_refs: &[u32]| {
        let body = proto2::Request {
            symbols: symbols.iter().map(|&symbol| symbol.to_owned()).collect(),
            timeseries: vec![proto2::TimeSeries {
                labels_refs: labels_refs.to_vec(),
                samples: vec![Default::default()],
                ..Default::default()
            }],
        };
        decode_v2(&body.encode_to_vec()).unwrap().1.series[0].key
    };
    let plain = key(&["", "__name__", "up", "job", "a"], &[1, 2, 3, 4]);
    assert_eq!(key(&["", "a", "job", "up", "x", "__name__"], &[5, 3, 2, 1]), plain);
    assert_ne!(
        key(&["", "__name__", "up", "job", "a"], &[3, 4, 1, 2]),
        plain,
        "order is part of the spelling"
    );
    assert_ne!(key(&["", "__name__", "up", "job", "b"], &[1, 2, 3, 4]), plain);
    assert_ne!(key(&["", "__name__", "job", "up", "a"], &[1, 2, 3, 4]), plain);
    let long: Vec<u32> = (0..128).map(|place| place % 5).collect();
    let mut other = long.clone();
    other.swap(3, 120);
    let symbols = ["", "__name__", "up", "job", "a"];
    assert_ne!(key(&symbols, &long), key(&symbols, &other));
}

#[test]
fn a_series_with_a_label_that_is_not_text_has_no_labels() {
    let broken = [field(1, b"\x0a\x03job\x12\x01a"), field(1, b"\x0a\x01x\x12\x02\xff\xfe")].concat();
    let cut = field(1, b"\x0a\x09job");
    for labels in [broken, cut] {
        let body = field(1, &[labels, field(2, b"")].concat());
        let (_, batch) = decode_v1(&body).unwrap();
        assert_eq!(labels_of(&v1::Labels { raw: &body }, &batch.series[0]), []);
    }
}
