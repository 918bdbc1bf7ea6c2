use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::wire::generated::io::prometheus::client as pb;

const SCRAPED_AT: i64 = 1_700_000_000_000;
const LIMITS: PageLimits = PageLimits { body_size: 1 << 20, samples: 10_000 };

/// A series as a test reads it: sorted labels, time, bits.
type Row = (Vec<(String, String)>, i64, u64);

fn read_in(syntax: Syntax, chunks: &[&[u8]]) -> (Page, Result<(), PageError>) {
    let mut page = Page::new();
    page.start(Format { syntax, utf8_names: false }, LIMITS, 7, SCRAPED_AT);
    let pushed = chunks.iter().try_for_each(|chunk| page.push(chunk));
    let result = pushed.and_then(|()| page.finish());
    (page, result)
}

fn rows(page: &Page) -> Vec<Row> {
    let batch = page.batch();
    let row = |span: &SeriesSpan| {
        let mut labels = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("labels are UTF-8");
        page.for_each_label(&span.labels, &mut |name, value| labels.push((text(name), text(value))));
        labels.sort();
        let [sample] = batch.samples_of(span) else { panic!("one sample a line") };
        (labels, sample.timestamp_ms, sample.value.to_bits())
    };
    batch.series.iter().map(row).collect()
}

fn row(labels: &[(&str, &str)], timestamp_ms: i64, value: f64) -> Row {
    let mut labels: Vec<_> = labels.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect();
    labels.sort();
    (labels, timestamp_ms, value.to_bits())
}

fn delimited(families: &[pb::MetricFamily]) -> Vec<u8> {
    families.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}

fn pair(name: &str, value: &str) -> pb::LabelPair {
    pb::LabelPair { name: Some(name.to_owned()), value: Some(value.to_owned()) }
}

fn family(name: &str, kind: pb::MetricType, metric: pb::Metric) -> pb::MetricFamily {
    pb::MetricFamily {
        name: Some(name.to_owned()),
        r#type: Some(kind as i32),
        metric: vec![metric],
        ..Default::default()
    }
}

fn histogram() -> pb::Histogram {
    let bucket =
        |le, count| pb::Bucket { upper_bound: Some(le), cumulative_count: Some(count), ..Default::default() };
    pb::Histogram {
        sample_count: Some(5),
        sample_sum: Some(2.5),
        bucket: vec![bucket(0.1, 1), bucket(1.0, 4)],
        ..Default::default()
    }
}

#[test]
fn a_text_page_becomes_a_batch() {
    let text =
        "# HELP up x\n# TYPE up gauge\nup 1\nm{a=\"b\"} 2 5\nthis is no sample\n\nlast{x=\"1\",y=\"2\"} NaN";
    let (page, result) = read_in(Syntax::Text, &[text.as_bytes()]);
    assert_eq!(result, Ok(()));
    let nan = f64::from_bits(0x7ff8_0000_0000_0001);
    let want = [
        row(&[("__name__", "up")], SCRAPED_AT, 1.0),
        row(&[("__name__", "m"), ("a", "b")], 5, 2.0),
        row(&[("__name__", "last"), ("x", "1"), ("y", "2")], SCRAPED_AT, nan),
    ];
    assert_eq!(rows(&page), want);
    let want = PageStats { samples: 3, lines_unparsed: 1, native_histograms: 0 };
    assert_eq!(page.stats(), want);
}

#[test]
fn a_key_is_the_hash_of_the_trimmed_series_text() {
    let (page, _) = read_in(Syntax::Text, &[b"  m{a=\"b\"}  1\nup\t2\n"]);
    let keys: Vec<_> = page.batch().series.iter().map(|span| span.key).collect();
    assert_eq!(keys, [Key::of(b"m{a=\"b\"}", 7), Key::of(b"up", 7)]);
}

#[test]
fn p12_openmetrics_needs_its_eof_and_nothing_behind_it() {
    let check = |text: &str, want: Result<(), PageError>, samples, unparsed| {
        let (page, result) = read_in(Syntax::OpenMetrics, &[text.as_bytes()]);
        assert_eq!(result, want, "{text}");
        assert_eq!((page.stats().samples, page.stats().lines_unparsed), (samples, unparsed), "{text}");
    };
    check("a 1\n# EOF\n", Ok(()), 1, 0);
    check("a 1\n# EOF", Ok(()), 1, 0);
    check("# EOF", Ok(()), 0, 0);
    check("a 1\n", Err(PageError::NoEof), 1, 0);
    check("a 1\n# EO", Err(PageError::NoEof), 1, 0);
    check("a 1\n# EOF\nb 2\n# x\n", Ok(()), 1, 2);
}

#[test]
fn p26_a_line_that_is_not_utf8_is_counted_and_its_neighbours_are_read() {
    let (page, result) = read_in(Syntax::Text, &[b"a 1\nb{c=\"\xff\"} 2\nd 3\n"]);
    assert_eq!(result, Ok(()));
    assert_eq!((page.stats().samples, page.stats().lines_unparsed), (2, 1));
}

#[test]
fn b3_limits_end_the_reading_and_name_their_options() {
    let check = |limits: PageLimits, text: &str, option: &str| {
        let mut page = Page::new();
        page.start(Format { syntax: Syntax::Text, utf8_names: false }, limits, 0, 0);
        let error = page.push(text.as_bytes()).expect_err("over the limit");
        assert!(error.to_string().contains(option), "{error}");
    };
    check(PageLimits { body_size: 5, samples: 9 }, "a 1\nb 2\n", "body_size_limit");
    check(PageLimits { body_size: 50, samples: 1 }, "a 1\nb 2\n", "page_sample_limit");
}

#[test]
fn p30_families_of_the_page_are_found_whole() {
    let (page, _) = read_in(Syntax::Text, &[b"# TYPE typed gauge\n plain{a=\"label\"} 1\n{\"quoted.name\"} 1\nlonger_plain2 1\n# HELP  spaced hidden"]);
    let check = |name: &str, want| assert_eq!(page.has_family(name), want, "{name}");
    for present in ["typed", "plain", "quoted.name", "longer_plain2", "spaced"] {
        check(present, true);
    }
    for absent in ["type", "label", "a", "longer_plain", "plain2", "gauge", "hidden", "name"] {
        check(absent, false);
    }
}

#[test]
fn protobuf_families_expand_as_prometheus_expands_them() {
    let gauge = pb::Metric {
        label: vec![pair("a", "b")],
        gauge: Some(pb::Gauge { value: Some(1.5) }),
        timestamp_ms: Some(-3),
        ..Default::default()
    };
    let counter = pb::Metric {
        counter: Some(pb::Counter { value: Some(2.0), ..Default::default() }),
        ..Default::default()
    };
    let quantile = pb::Quantile { quantile: Some(0.5), value: Some(9.0) };
    let summary = pb::Metric {
        summary: Some(pb::Summary {
            sample_count: Some(3),
            sample_sum: Some(4.0),
            quantile: vec![quantile],
            ..Default::default()
        }),
        ..Default::default()
    };
    let buckets = pb::Metric { histogram: Some(histogram()), ..Default::default() };
    let bytes = delimited(&[
        family("g", pb::MetricType::Gauge, gauge),
        family("c_total", pb::MetricType::Counter, counter),
        family("s", pb::MetricType::Summary, summary),
        family("h", pb::MetricType::Histogram, buckets),
    ]);
    let (page, result) = read_in(Syntax::Protobuf, &[&bytes]);
    assert_eq!(result, Ok(()));
    let at = SCRAPED_AT;
    let want = [
        row(&[("__name__", "g"), ("a", "b")], -3, 1.5),
        row(&[("__name__", "c_total")], at, 2.0),
        row(&[("__name__", "s"), ("quantile", "0.5")], at, 9.0),
        row(&[("__name__", "s_count")], at, 3.0),
        row(&[("__name__", "s_sum")], at, 4.0),
        row(&[("__name__", "h_bucket"), ("le", "0.1")], at, 1.0),
        row(&[("__name__", "h_bucket"), ("le", "1.0")], at, 4.0),
        row(&[("__name__", "h_bucket"), ("le", "+Inf")], at, 5.0),
        row(&[("__name__", "h_count")], at, 5.0),
        row(&[("__name__", "h_sum")], at, 2.5),
    ];
    assert_eq!(rows(&page), want);
    let keys: std::collections::HashSet<_> = page.batch().series.iter().map(|span| span.key).collect();
    assert_eq!(keys.len(), want.len());
    assert!(page.has_family("h") && !page.has_family("h_count"));
}

#[test]
fn p23_native_histograms_are_counted_and_not_read() {
    let native = pb::Histogram { schema: Some(3), positive_delta: vec![1, -1], ..histogram() };
    let metric = pb::Metric { histogram: Some(native), ..Default::default() };
    let bytes = delimited(&[family("h", pb::MetricType::Histogram, metric)]);
    let (page, result) = read_in(Syntax::Protobuf, &[&bytes]);
    assert_eq!(result, Ok(()));
    assert_eq!(page.stats(), PageStats { samples: 6, native_histograms: 1, ..Default::default() });
    assert!(page.batch().series.is_empty());
}

#[test]
fn a_broken_family_is_counted_and_a_broken_frame_ends_the_page() {
    let metric = pb::Metric { gauge: Some(pb::Gauge { value: Some(1.0) }), ..Default::default() };
    let good = delimited(&[family("g", pb::MetricType::Gauge, metric)]);
    let broken = [3, 0x0a, 0x7f, b'x'];
    let (page, result) = read_in(Syntax::Protobuf, &[&broken, &good]);
    assert_eq!(result, Ok(()));
    assert_eq!((page.stats().samples, page.stats().lines_unparsed), (1, 1));
    let (_, result) = read_in(Syntax::Protobuf, &[&good, &[9, 1]]);
    assert_eq!(result, Err(PageError::Framing));
    let (_, result) = read_in(Syntax::Protobuf, &[&[0xff; 12]]);
    assert_eq!(result, Err(PageError::Framing));
}

/// Lines of every kind, good and bad.
fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"m{a=\"b\",c=\"d\"} 1\n".to_vec()),
        Just(b"x 2 3\n".to_vec()),
        Just(b"# TYPE x gauge\n".to_vec()),
        Just(b"# EOF\n".to_vec()),
        Just(b"y_total 1 # {t=\"1\"} 2\n".to_vec()),
        Just("{\"ü.m\",l=\"\\\"\"} +Inf".as_bytes().to_vec()),
        proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'"'), Just(b'{'), any::<u8>()], 0..12),
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

fn any_protobuf() -> impl Strategy<Value = Vec<u8>> {
    let whole =
        pb::Metric { label: vec![pair("a", "b")], histogram: Some(histogram()), ..Default::default() };
    let bytes = delimited(&[family("h", pb::MetricType::Histogram, whole)]);
    let noise = proptest::collection::vec(any::<u8>(), 0..8);
    proptest::collection::vec(prop_oneof![3 => Just(bytes), 1 => noise], 0..5)
        .prop_map(|pieces| pieces.concat())
}

#[test]
fn p26_a_recalled_series_excuses_no_bytes_behind_it() {
    let before = b"y_total 1\n";
    let keys = read_in(Syntax::Text, &[before]).0.series_keys();
    let mut page = Page::new();
    page.start(Format { syntax: Syntax::Text, utf8_names: false }, LIMITS, 7, SCRAPED_AT);
    page.recall(keys);
    page.push(b"y_total 1 # \x80\n").and_then(|()| page.finish()).expect("within the limits");
    assert_eq!((page.stats().samples, page.stats().lines_unparsed), (0, 1));
}

proptest! {
    #[test]
    fn a_page_reads_the_same_whatever_page_it_recalls(
        before in any_text(), after in any_text(), prefix in any::<proptest::sample::Index>(),
    ) {
        // The second page has a beginning in common with the first, and its own values and end.
        let shared = prefix.index(before.len() + 1);
        let after = [&before[..shared], &after].concat();
        for syntax in [Syntax::Text, Syntax::OpenMetrics] {
            let keys = read_in(syntax, &[&before]).0.series_keys();
            let (fresh, result) = read_in(syntax, &[&after]);
            let mut page = Page::new();
            page.start(Format { syntax, utf8_names: false }, LIMITS, 7, SCRAPED_AT);
            page.recall(keys);
            prop_assert_eq!(page.push(&after).and_then(|()| page.finish()), result);
            prop_assert_eq!(page.stats(), fresh.stats());
            prop_assert_eq!(&page.batch().series, &fresh.batch().series);
            prop_assert_eq!(rows(&page), rows(&fresh));
        }
    }

    #[test]
    fn a_page_reads_the_same_however_it_is_cut(
        (syntax, bytes) in prop_oneof![
            any_text().prop_map(|bytes| (Syntax::Text, bytes)),
            any_text().prop_map(|bytes| (Syntax::OpenMetrics, bytes)),
            any_protobuf().prop_map(|bytes| (Syntax::Protobuf, bytes)),
        ],
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
        at.sort_unstable();
        let chunks: Vec<_> = at.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        let (whole, result) = read_in(syntax, &[&bytes]);
        let (cut, cut_result) = read_in(syntax, &chunks);
        prop_assert_eq!(result, cut_result);
        prop_assert_eq!(whole.stats(), cut.stats());
        prop_assert_eq!(rows(&whole), rows(&cut));
        prop_assert_eq!(&whole.batch().series, &cut.batch().series);
    }
}
