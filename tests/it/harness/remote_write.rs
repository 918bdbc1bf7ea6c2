//! Remote write as an oracle sees it: messages written down here from the specification, apart from the product's own.

use bytes::Bytes;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// The bits of a stale marker.
pub(crate) const STALE: u64 = 0x7ff0_0000_0000_0002;

/// One sample with its series' labels, compared by the bits of its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) timestamp: i64,
    pub(crate) bits: u64,
}

/// The labels of a series by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// What a request tells of a metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Told {
    pub(crate) name: String,
    pub(crate) kind: i32,
    pub(crate) help: String,
}

/// What Sidelong adds, by its default names.
const INJECTED: [&str; 8] = [
    "anomaly_score",
    "yhat",
    "yhat_lower",
    "yhat_upper",
    "anomaly_confidence",
    "anomaly_part",
    "anomalous_series",
    "scored_series",
];

// === impl Point ===

impl Point {
    /// Whether Sidelong has added it.
    pub(crate) fn is_injected(&self) -> bool {
        INJECTED.contains(&&*self.labels["__name__"])
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Label {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Sample {
    #[prost(double, tag = "1")]
    pub(crate) value: f64,
    #[prost(int64, tag = "2")]
    pub(crate) timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Series {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<Sample>,
}

/// `prometheus.WriteRequest`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WriteV1 {
    #[prost(message, repeated, tag = "1")]
    pub(crate) series: Vec<Series>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SeriesV2 {
    #[prost(uint32, repeated, tag = "1")]
    pub(crate) refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<Sample>,
}

/// `io.prometheus.write.v2.Request`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WriteV2 {
    #[prost(string, repeated, tag = "4")]
    pub(crate) symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) series: Vec<SeriesV2>,
}

#[derive(Clone, PartialEq, Message)]
struct MetadataV1 {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "4")]
    help: String,
}

#[derive(Clone, PartialEq, Message)]
struct ToldV1 {
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<MetadataV1>,
}

#[derive(Clone, PartialEq, Message)]
struct MetadataV2 {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint32, tag = "3")]
    help: u32,
}

#[derive(Clone, PartialEq, Message)]
struct ToldSeriesV2 {
    #[prost(uint32, repeated, tag = "1")]
    refs: Vec<u32>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<MetadataV2>,
}

#[derive(Clone, PartialEq, Message)]
struct ToldV2 {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    series: Vec<ToldSeriesV2>,
}

/// The headers of a 1.0 request.
pub(crate) const HEADERS_V1: &[(&str, &str)] = &[
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
    ("x-prometheus-remote-write-version", "0.1.0"),
    ("user-agent", "sidelong-it"),
];

/// The headers of a 2.0 request.
pub(crate) const HEADERS_V2: &[(&str, &str)] = &[
    ("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
    ("content-encoding", "snappy"),
    ("x-prometheus-remote-write-version", "2.0.0"),
    ("user-agent", "sidelong-it"),
];

/// A version of remote write as a sender speaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

// === impl Version ===

impl Version {
    pub(crate) const BOTH: [Self; 2] = [Self::V1, Self::V2];

    pub(crate) fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::V1 => HEADERS_V1,
            Self::V2 => HEADERS_V2,
        }
    }

    pub(crate) fn body(self, series: Vec<Series>) -> Bytes {
        match self {
            Self::V1 => body_v1(series),
            Self::V2 => body_v2(series),
        }
    }
}

/// One series of one request, in the order of its labels as given.
pub(crate) fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Series {
    let labels =
        labels.iter().map(|(n, v)| Label { name: (*n).to_owned(), value: (*v).to_owned() }).collect();
    let samples = samples.iter().map(|(t, v)| Sample { value: *v, timestamp: *t }).collect();
    Series { labels, samples }
}

/// The body of a 1.0 request.
pub(crate) fn body_v1(series: Vec<Series>) -> Bytes {
    compress(&WriteV1 { series }.encode_to_vec())
}

/// The body of a 2.0 request of the same series.
pub(crate) fn body_v2(series: Vec<Series>) -> Bytes {
    let mut symbols = vec![String::new()];
    let mut symbol = |text: String| {
        let at = symbols.iter().position(|s| *s == text).unwrap_or_else(|| {
            symbols.push(text);
            symbols.len() - 1
        });
        at as u32
    };
    let series = series
        .into_iter()
        .map(|s| SeriesV2 {
            refs: s.labels.into_iter().flat_map(|l| [symbol(l.name), symbol(l.value)]).collect(),
            samples: s.samples,
        })
        .collect();
    compress(&WriteV2 { symbols, series }.encode_to_vec())
}

/// Every sample of a request, whichever version its content type names.
pub(crate) fn decode(content_type: &str, body: &[u8]) -> Vec<Point> {
    let body = decompress(body);
    if content_type.contains("io.prometheus.write.v2.Request") {
        let request = WriteV2::decode(&*body).unwrap();
        let name = |r: u32| request.symbols[r as usize].clone();
        let labels = |s: &SeriesV2| s.refs.chunks(2).map(|p| (name(p[0]), name(p[1]))).collect();
        request.series.iter().flat_map(|s| points(labels(s), &s.samples)).collect()
    } else {
        WriteV1::decode(&*body).unwrap().series.iter().flat_map(of_series).collect()
    }
}

/// The metadata of a request, whichever version its content type names.
pub(crate) fn told(content_type: &str, body: &[u8]) -> Vec<Told> {
    let body = decompress(body);
    if !content_type.contains("io.prometheus.write.v2.Request") {
        let of = |m: MetadataV1| Told { name: m.name, kind: m.kind, help: m.help };
        return ToldV1::decode(&*body).unwrap().metadata.into_iter().map(of).collect();
    }
    let request = ToldV2::decode(&*body).unwrap();
    let text = |r: u32| request.symbols[r as usize].clone();
    let of = |series: &ToldSeriesV2| {
        let metadata = series.metadata.clone()?;
        let name = series.refs.chunks(2).find(|pair| text(pair[0]) == "__name__")?;
        Some(Told { name: text(name[1]), kind: metadata.kind, help: text(metadata.help) })
    };
    request.series.iter().filter_map(of).collect()
}

/// The points whose metric name is `name`.
pub(crate) fn named(points: &[Point], name: &str) -> Vec<Point> {
    points.iter().filter(|p| p.labels.get("__name__").is_some_and(|n| n == name)).cloned().collect()
}

// === remote read: what a Prometheus has stored, bit by bit ===

#[derive(Clone, PartialEq, Message)]
struct Matcher {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Query {
    #[prost(int64, tag = "1")]
    start: i64,
    #[prost(int64, tag = "2")]
    end: i64,
    #[prost(message, repeated, tag = "3")]
    matchers: Vec<Matcher>,
}

#[derive(Clone, PartialEq, Message)]
struct ReadRequest {
    #[prost(message, repeated, tag = "1")]
    queries: Vec<Query>,
}

#[derive(Clone, PartialEq, Message)]
struct QueryResult {
    #[prost(message, repeated, tag = "1")]
    series: Vec<Series>,
}

#[derive(Clone, PartialEq, Message)]
struct ReadResponse {
    #[prost(message, repeated, tag = "1")]
    results: Vec<QueryResult>,
}

/// Histograms are messages; what is read as bytes is compared as bytes.
#[derive(Clone, PartialEq, Message)]
struct HistogramSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    histograms: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramResult {
    #[prost(message, repeated, tag = "1")]
    series: Vec<HistogramSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramResponse {
    #[prost(message, repeated, tag = "1")]
    results: Vec<HistogramResult>,
}

/// The body of a remote read of the series whose name matches the regular expression, of all times.
pub(crate) fn read_body(name: &str) -> Bytes {
    const REGEX: i32 = 2;
    let matcher = Matcher { kind: REGEX, name: "__name__".to_owned(), value: name.to_owned() };
    let query = Query { start: 0, end: i64::MAX / 2, matchers: vec![matcher] };
    compress(&ReadRequest { queries: vec![query] }.encode_to_vec())
}

/// Every sample of a remote read's answer, stale markers included.
pub(crate) fn read_answer(body: &[u8]) -> Vec<Point> {
    let answer = ReadResponse::decode(&*decompress(body)).unwrap();
    answer.results.iter().flat_map(|r| &r.series).flat_map(of_series).collect()
}

/// Every native histogram of a remote read's answer, with the labels of its series, as it is encoded.
pub(crate) fn read_histograms(body: &[u8]) -> BTreeSet<(Labels, Vec<u8>)> {
    let answer = HistogramResponse::decode(&*decompress(body)).unwrap();
    let of_series = |series: &HistogramSeries| {
        let labels: Labels = series.labels.iter().map(|l| (l.name.clone(), l.value.clone())).collect();
        series.histograms.iter().map(|histogram| (labels.clone(), histogram.clone())).collect::<Vec<_>>()
    };
    answer.results.iter().flat_map(|r| &r.series).flat_map(of_series).collect()
}

fn of_series(series: &Series) -> Vec<Point> {
    points(series.labels.iter().map(|l| (l.name.clone(), l.value.clone())).collect(), &series.samples)
}

fn points(labels: BTreeMap<String, String>, samples: &[Sample]) -> Vec<Point> {
    let point =
        |s: &Sample| Point { labels: labels.clone(), timestamp: s.timestamp, bits: s.value.to_bits() };
    samples.iter().map(point).collect()
}

fn compress(raw: &[u8]) -> Bytes {
    snap::raw::Encoder::new().compress_vec(raw).unwrap().into()
}

// The oracle reads what our own processes wrote: nothing to bound.
#[allow(clippy::disallowed_methods)]
fn decompress(body: &[u8]) -> Vec<u8> {
    snap::raw::Decoder::new().decompress_vec(body).unwrap()
}
