//! Loop-back mode: Sidelong is the receiver.

use super::*;
use crate::harness::remote_write::{Label, STALE, Sample, SeriesV2, WriteV2};
use crate::harness::scratch::Scratch;
use prost::Message;

/// Small limits, so that a test meets them.
const LIMITS: &str = "limits: {max_body_size: 256KiB, max_decoded_size: 1MiB, elements: {max_series_per_request: 50, \
                      max_labels_per_series: 10, max_label_value_length: 100, max_samples_per_series: 20}}\n";

type Labels = &'static [(&'static str, &'static str)];

async fn receiver(scratch: &Scratch) -> Sidelong {
    Sidelong::start(scratch, &format!("{RULES}{LIMITS}")).await
}

/// The three counts of a 2.0 answer; nothing where there are none.
fn written(answer: &Answer) -> Option<[u64; 3]> {
    let counts = WRITTEN.map(|name| answer.headers.get(name).map(|v| v.to_str().unwrap().parse().unwrap()));
    match counts {
        [None, None, None] => None,
        counts => Some(counts.map(|count| count.expect("all three or none"))),
    }
}

/// R9, R10: a 2.0 answer counts, a 1.0 answer does not.
fn counts(answer: &Answer, version: Version, samples: u64, what: &str) {
    let wanted = (version == Version::V2).then_some([samples, 0, 0]);
    assert_eq!(written(answer), wanted, "{what}, {version:?}: {}", answer.text());
}

/// A refusal that a sender never tries again, with a text that says why.
fn refused(answer: &Answer, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert!(!answer.text().trim().is_empty(), "{what}: a text says why");
}

/// Something is still taken after whatever came before.
async fn takes(sidelong: &Sidelong) {
    for version in Version::BOTH {
        let answer = push(sidelong, version, version.body(vec![one("after")])).await;
        assert_eq!((answer.status, &*answer.text()), (204, ""));
        counts(&answer, version, 1, "a good request");
    }
}

#[tokio::test]
async fn r1_other_methods_are_405() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request = format!(
            "{method} /api/v1/write HTTP/1.1\r\nhost: it\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        let answer = http::raw(&sidelong.address, request.as_bytes()).await;
        let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 405 "), "{method}: {answer}");
        assert!(answer.contains("\r\nallow: post\r\n"), "{method}: {answer}");
    }
    takes(&sidelong).await;
}

#[tokio::test]
async fn r2_r5_what_the_headers_leave_out_is_1_0_and_snappy() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    let url = sidelong.url("/api/v1/write");
    let body = body_v1(vec![one("level")]);
    let types = ["", "application/x-protobuf", "application/x-protobuf;proto=prometheus.WriteRequest"];
    for content_type in types {
        for encoding in ["", "snappy"] {
            let mut headers = but(Version::V1, "content-type", content_type);
            headers.retain(|(name, _)| *name != "content-encoding" || !encoding.is_empty());
            let answer = http::post(&url, &headers, body.clone()).await.unwrap();
            assert_eq!(answer.status, 204, "{content_type:?} {encoding:?}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn r3_r4_other_types_and_encodings_are_415_before_the_body_is_looked_at() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    let url = sidelong.url("/api/v1/write");
    let cases = [
        ("content-type", "application/json"),
        ("content-type", "image/png"),
        ("content-type", "application/x-protobuf;proto=io.prometheus.write.v3.Request"),
        ("content-type", "application/x-protobuf;proto="),
        ("content-encoding", "gzip"),
        ("content-encoding", "deflate"),
        ("content-encoding", "zstd"),
    ];
    for version in Version::BOTH {
        let bodies = [version.body(vec![one("level")]), Bytes::from_static(b"\xff\xfecorrupt"), Bytes::new()];
        for (name, value) in cases {
            for body in &bodies {
                let answer = http::post(&url, &but(version, name, value), body.clone()).await.unwrap();
                refused(&answer, 415, value);
                let version = if name == "content-type" { Version::V1 } else { version };
                counts(&answer, version, 0, value);
            }
        }
    }
    takes(&sidelong).await;
}

#[tokio::test]
async fn r5_the_framed_format_of_snappy_is_400() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    let mut framed = Vec::new();
    std::io::Write::write_all(&mut snap::write::FrameEncoder::new(&mut framed), b"\x0a\x00").unwrap();
    for version in Version::BOTH {
        let answer = push(&sidelong, version, framed.clone()).await;
        refused(&answer, 400, "framed");
        counts(&answer, version, 0, "framed");
    }
    takes(&sidelong).await;
}

#[tokio::test]
async fn r6_corrupt_snappy_and_corrupt_protobuf_are_400() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    let bodies = [
        ("no snappy", Bytes::from_static(b"\x10\xff\xff\xff")),
        ("snappy that ends early", Bytes::from_static(b"\x20\x00")),
        ("nothing", Bytes::new()),
        ("a field that ends early", snappy(&[0x0a, 0x7f, 0x00, 0x2a, 0x7f])),
        ("a wire type that there is not", snappy(&[0x0f, 0x2f])),
        ("a varint without end", snappy(&[0xff; 12])),
    ];
    for version in Version::BOTH {
        for (what, body) in &bodies {
            let answer = push(&sidelong, version, body.clone()).await;
            refused(&answer, 400, what);
            counts(&answer, version, 0, what);
        }
    }
    takes(&sidelong).await;
}

#[tokio::test]
async fn r7_a_body_too_long_on_the_wire_or_by_its_own_word_is_413() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    let long = snappy(&vec![0; 2 << 20]);
    assert!(long.len() < 256 << 10);
    let bodies = [
        ("two mebibytes, a twentieth on the wire", long),
        ("a short body that declares 2 GB", Bytes::from_static(b"\x80\x80\x80\x80\x08\x00")),
        ("300 KiB on the wire", Bytes::from(vec![0; 300 << 10])),
    ];
    for version in Version::BOTH {
        for (what, body) in &bodies {
            let answer = push(&sidelong, version, body.clone()).await;
            refused(&answer, 413, what);
            assert!(answer.text().contains("limits."), "{what}: it names the option: {}", answer.text());
            counts(&answer, version, 0, what);
        }
    }
    takes(&sidelong).await;
}

/// The head and body of a write request, and what the data port says to it.
async fn raw_push(sidelong: &Sidelong, target: &str, host: &str) -> String {
    let body = body_v1(vec![one("level")]);
    let headers: String = HEADERS_V1.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: {host}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    let request = [head.as_bytes(), &body].concat();
    String::from_utf8(http::raw(&sidelong.address, &request).await).unwrap()
}

#[tokio::test]
async fn h10_a_write_request_in_absolute_form_is_taken_as_one_through_a_proxy() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    let answer = raw_push(&sidelong, "http://receiver.example/api/v1/write", "receiver.example").await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    sidelong.metric_reaches("sidelong_samples_scored_total", "", 1.0).await;
    let other = raw_push(&sidelong, "http://receiver.example/elsewhere", "receiver.example").await;
    assert!(other.starts_with("HTTP/1.1 404 "), "no other path is one of writes: {other}");
}

/// `/metrics` on the data port is a target's page; our own metrics are on the admin listener alone.
#[tokio::test]
async fn h9_the_data_port_has_no_metrics_of_its_own() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    let answer = http::get(&sidelong.url("/metrics")).await.unwrap();
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert!(!answer.text().contains("sidelong_"), "{}", answer.text());
    assert!(sidelong.page("/metrics").await.contains("sidelong_"));
}

#[tokio::test]
async fn r8_r9_r10_success_is_204_and_counts_in_2_0_alone() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    let labels = [("__name__", "level"), ("job", "it")];
    let at = now();
    let several = || {
        vec![
            series(&labels, &[(at - 2, 1.0), (at - 1, 2.0)]),
            series(&[("__name__", "other")], &[(at, 1.0)]),
            series(&labels, &[(at, 3.0)]),
        ]
    };
    for version in Version::BOTH {
        let answer = push(&sidelong, version, version.body(several())).await;
        assert_eq!((answer.status, &*answer.text()), (204, ""));
        counts(&answer, version, 4, "R26: two entries of one series");
        let answer = push(&sidelong, version, version.body(Vec::new())).await;
        assert_eq!(answer.status, 204, "{}", answer.text());
        counts(&answer, version, 0, "no series at all");
    }
}

#[tokio::test]
async fn r11_r12_a_partial_write_is_400_with_exact_counts_and_the_rest_is_kept() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    for version in Version::BOTH {
        let good = format!("kept_{version:?}");
        let body = version.body(vec![
            one(&good),
            series(&[("job", "nameless")], &[(now(), 1.0), (now() + 1, 1.0)]),
            one(&good),
            series(&[("__name__", "twice"), ("a", "1"), ("a", "2")], &[(now(), 1.0)]),
        ]);
        let answer = push(&sidelong, version, body).await;
        refused(&answer, 400, "two of four");
        assert!(answer.text().starts_with("2 of 4 series were not written"), "{}", answer.text());
        counts(&answer, version, 2, "two of four");
        crate::harness::eventually("the good one is scored", async || {
            let page = http::get(&sidelong.url("/scores")).await.unwrap().text();
            page.contains(&good).then_some(())
        })
        .await;
    }
    let page = http::get(&sidelong.url("/scores")).await.unwrap().text();
    assert!(!page.contains("nameless") && !page.contains("twice"), "what was refused has no score: {page}");
}

#[tokio::test]
async fn r15_r18_r28_invalid_series_are_400() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    let at = now();
    let cases: [(&str, Labels, i64); 7] = [
        ("no name", &[("job", "it")], at),
        ("no label", &[], at),
        ("an empty name", &[("__name__", "")], at),
        ("a repeated label", &[("__name__", "m"), ("a", "1"), ("a", "1")], at),
        ("an empty label name", &[("", "x"), ("__name__", "m")], at),
        ("an empty label value", &[("__name__", "m"), ("a", "")], at),
        ("a day ahead", &[("__name__", "m")], at + 86_400_000),
    ];
    for version in Version::BOTH {
        for (what, labels, at) in cases {
            let answer = push(&sidelong, version, version.body(vec![series(labels, &[(at, 1.0)])])).await;
            refused(&answer, 400, what);
            counts(&answer, version, 0, what);
        }
    }
    takes(&sidelong).await;
}

#[tokio::test]
async fn r17_unsorted_labels_are_taken() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    for version in Version::BOTH {
        let labels = [("zone", "z"), ("__name__", "level"), ("job", "it"), ("app", "a")];
        let answer = push(&sidelong, version, version.body(vec![series(&labels, &[(now(), 1.0)])])).await;
        assert_eq!(answer.status, 204, "{version:?}: {}", answer.text());
        counts(&answer, version, 1, "unsorted");
    }
}

#[derive(Clone, PartialEq, Message)]
struct HistogramV2 {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(uint64, tag = "6")]
    zero_count: u64,
    #[prost(int64, tag = "15")]
    timestamp: i64,
}

/// A 2.0 series with all that one may have, and field 6 of older senders.
#[derive(Clone, PartialEq, Message)]
struct FullSeries {
    #[prost(uint32, repeated, tag = "1")]
    refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    histograms: Vec<HistogramV2>,
    #[prost(int64, tag = "6")]
    created_timestamp: i64,
    /// No version has it yet.
    #[prost(string, tag = "1999")]
    of_the_future: String,
}

#[derive(Clone, PartialEq, Message)]
struct FullWrite {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    series: Vec<FullSeries>,
    #[prost(string, tag = "1999")]
    of_the_future: String,
}

fn full(series: FullSeries) -> Bytes {
    let symbols = ["", "__name__", "level"].map(str::to_owned).to_vec();
    let series = vec![FullSeries { refs: vec![1, 2], ..series }];
    snappy(&FullWrite { symbols, series, of_the_future: "x".to_owned() }.encode_to_vec())
}

fn sample() -> Sample {
    Sample { value: 1.0, timestamp: now() }
}

fn histogram() -> HistogramV2 {
    HistogramV2 { count: 3, sum: 0.0, zero_threshold: 0.1, zero_count: 3, timestamp: now(), schema: 0 }
}

#[tokio::test]
async fn r19_a_2_0_series_has_samples_or_histograms() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    let answer = push(&sidelong, Version::V2, full(FullSeries::default())).await;
    refused(&answer, 400, "neither");
    let both = FullSeries { samples: vec![sample()], histograms: vec![histogram()], ..FullSeries::default() };
    let answer = push(&sidelong, Version::V2, full(both)).await;
    refused(&answer, 400, "both");
    assert_eq!(written(&answer), Some([0, 0, 0]));
    let histograms = FullSeries { histograms: vec![histogram()], ..FullSeries::default() };
    let answer = push(&sidelong, Version::V2, full(histograms)).await;
    assert_eq!((answer.status, written(&answer)), (204, Some([0, 1, 0])), "{}", answer.text());
    let wrong =
        FullSeries { histograms: vec![HistogramV2 { count: 2, ..histogram() }], ..FullSeries::default() };
    let answer = push(&sidelong, Version::V2, full(wrong)).await;
    refused(&answer, 400, "R24: a count that its buckets contradict");
}

#[tokio::test]
async fn r20_symbols_and_references_must_be_sound() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    let request = |symbols: &[&str], refs: &[u32]| {
        let symbols = symbols.iter().map(|s| (*s).to_owned()).collect();
        let series = vec![SeriesV2 { refs: refs.to_vec(), samples: vec![sample()] }];
        snappy(&WriteV2 { symbols, series }.encode_to_vec())
    };
    let cases: [(&str, &[&str], &[u32]); 5] = [
        ("the first symbol is a text", &["__name__", "m"], &[0, 1]),
        ("an odd number of references", &["", "__name__", "m"], &[1, 2, 1]),
        ("a reference beyond the table", &["", "__name__", "m"], &[1, 3]),
        ("a reference far beyond it", &["", "__name__", "m"], &[1, u32::MAX]),
        ("no symbols", &[], &[0, 0]),
    ];
    for (what, symbols, refs) in cases {
        let answer = push(&sidelong, Version::V2, request(symbols, refs)).await;
        refused(&answer, 400, what);
        assert_eq!(written(&answer), Some([0, 0, 0]), "{what}");
    }
    takes(&sidelong).await;
}

#[tokio::test]
async fn r21_r30_field_6_and_fields_of_the_future_are_skipped() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    let series = FullSeries {
        samples: vec![sample()],
        created_timestamp: 1_700_000_000_000,
        of_the_future: "y".to_owned(),
        ..FullSeries::default()
    };
    let mut headers = HEADERS_V2.to_vec();
    headers.push(("x-prometheus-remote-write-of-the-future", "yes"));
    let answer = http::post(&sidelong.url("/api/v1/write"), &headers, full(series)).await.unwrap();
    assert_eq!((answer.status, written(&answer)), (204, Some([1, 0, 0])), "{}", answer.text());
}

#[tokio::test]
async fn r23_stale_markers_nan_and_infinities_are_written_and_counted() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    let at = now();
    let values =
        [f64::from_bits(STALE), f64::from_bits(0x7ff8_0000_0000_0001), f64::INFINITY, f64::NEG_INFINITY];
    for version in Version::BOTH {
        for (n, value) in values.into_iter().enumerate() {
            let body = version.body(vec![series(&[("__name__", "odd")], &[(at + n as i64, value)])]);
            let answer = push(&sidelong, version, body).await;
            assert_eq!(answer.status, 204, "{value}: {}", answer.text());
            counts(&answer, version, 1, "odd values");
        }
    }
}

#[tokio::test]
async fn r25_a_1_0_request_of_metadata_alone_is_204() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    // Field 3 of the request: type gauge, name, help.
    let metadata = b"\x1a\x11\x08\x02\x12\x05level\x22\x06a help";
    let answer = push(&sidelong, Version::V1, snappy(metadata)).await;
    assert_eq!((answer.status, written(&answer)), (204, None), "{}", answer.text());
}

#[tokio::test]
async fn r29_the_usual_paths_are_taken() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    for path in ["/api/v1/write", "/api/v1/push", "/api/v1/receive"] {
        for version in Version::BOTH {
            let body = version.body(vec![one("level")]);
            let answer = http::post(&sidelong.url(path), version.headers(), body).await.unwrap();
            assert_eq!(answer.status, 204, "{path}");
        }
    }
    let elsewhere = http::post(&sidelong.url("/api/v1/query"), HEADERS_V1, body_v1(vec![one("level")])).await;
    assert_eq!(elsewhere.unwrap().status, 404);
}

#[tokio::test]
async fn r31_limits_are_400_and_name_the_option() {
    let scratch = Scratch::new();
    let sidelong = receiver(&scratch).await;
    let at = now();
    let many = (0..51).map(|n| one(&format!("level_{n}"))).collect();
    let names: Vec<String> = (0..11).map(|n| format!("l{n:02}")).collect();
    let wide = Series {
        labels: names.iter().map(|n| Label { name: n.clone(), value: "x".to_owned() }).collect(),
        samples: vec![sample()],
    };
    let long = series(&[("__name__", "level"), ("l", &"x".repeat(101))], &[(at, 1.0)]);
    let samples: Vec<_> = (0..21).map(|n| (at + n, 1.0)).collect();
    let deep = series(&[("__name__", "level")], &samples);
    let cases = [
        ("max_series_per_request", many),
        ("max_labels_per_series", vec![wide]),
        ("max_label_value_length", vec![long]),
        ("max_samples_per_series", vec![deep]),
    ];
    for version in Version::BOTH {
        for (option, series) in &cases {
            let answer = push(&sidelong, version, version.body(series.clone())).await;
            refused(&answer, 400, option);
            assert!(answer.text().contains(option), "{option}, {version:?}: {}", answer.text());
            counts(&answer, version, 0, option);
        }
    }
    takes(&sidelong).await;
}
