use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::batch::{LabelSource, Sample, stale_marker};
use crate::series::labels::{Interner, SeriesLabels};
use crate::wire::exposition::PageLimits;
use crate::wire::generated::io::prometheus::client as pb;

const SCRAPED_AT: i64 = 1_700_000_000_000;

fn score(name: &str, labels: &[(&str, &str)], value: f64, timestamp_ms: i64) -> ScoreSample {
    static INTERNER: LazyLock<Interner> = LazyLock::new(Interner::default);
    ScoreSample {
        labels: Arc::new(SeriesLabels::of_scored(labels, &INTERNER)),
        name: INTERNER.lasting_pair("__name__", name),
        sample: Sample { timestamp_ms, value },
    }
}

fn page(syntax: Syntax, utf8_names: bool, bytes: &[u8]) -> Page {
    let mut page = Page::new();
    let limits = PageLimits { body_size: 1 << 20, samples: 1000 };
    page.start(Format { syntax, utf8_names }, limits, 0, SCRAPED_AT);
    page.push(bytes).expect("within limits");
    page
}

fn text_of(families: &ScoreFamilies) -> &str {
    std::str::from_utf8(&families.bytes).expect("UTF-8")
}

/// Sorted labels, time and bits of a series.
type Row = (Vec<(String, String)>, i64, u64);

fn rows(page: &Page) -> Vec<Row> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let row = |span: &crate::batch::SeriesSpan| {
        let mut labels = Vec::new();
        page.for_each_label(&span.labels, &mut |name, value| labels.push((text(name), text(value))));
        labels.sort();
        let sample = page.batch().samples_of(span)[0];
        (labels, sample.timestamp_ms, sample.value.to_bits())
    };
    page.batch().series.iter().map(row).collect()
}

#[test]
fn p30_scores_are_a_gauge_family_of_their_own() {
    let scores = [
        score("anomaly_score", &[("__name__", "up"), ("p", "a\"\\\n")], 0.25, SCRAPED_AT),
        score("yhat", &[("__name__", "up")], 3.0, SCRAPED_AT),
        score("anomaly_score", &[("__name__", "m")], 1.5, SCRAPED_AT),
    ];
    let families = ScoreFamilies::render(&scores, &page(Syntax::Text, false, b""), Room::ENDLESS);
    insta::assert_snapshot!(text_of(&families), @r##"
    # HELP anomaly_score Anomaly score of the series named by the other labels; 1 and above is an anomaly.
    # TYPE anomaly_score gauge
    anomaly_score{for="up",p="a\"\\\n"} 0.25
    anomaly_score{for="m"} 1.5
    # HELP yhat Value that was expected.
    # TYPE yhat gauge
    yhat{for="up"} 3
    "##);
    assert_eq!(families.appended, 3);
}

#[test]
fn p18_only_timestamps_of_the_page_are_written() {
    let check = |syntax, timestamp_ms, want: &str| {
        let families = ScoreFamilies::render(
            &[score("s", &[("__name__", "m")], 1.0, timestamp_ms)],
            &page(syntax, false, b""),
            Room::ENDLESS,
        );
        assert_eq!(text_of(&families).lines().last(), Some(want));
    };
    check(Syntax::Text, SCRAPED_AT, "s{for=\"m\"} 1");
    check(Syntax::Text, 1_500, "s{for=\"m\"} 1 1500");
    check(Syntax::OpenMetrics, 1_500, "s{for=\"m\"} 1 1.500");
    check(Syntax::OpenMetrics, -7, "s{for=\"m\"} 1 -0.007");
    check(Syntax::OpenMetrics, 1_078_689_704_613, "s{for=\"m\"} 1 1078689704.6132");
}

#[test]
fn p18_a_stale_marker_is_left_out() {
    let scores = [score("s", &[("__name__", "m")], stale_marker(), SCRAPED_AT)];
    let families = ScoreFamilies::render(&scores, &page(Syntax::Protobuf, false, b""), Room::ENDLESS);
    assert_eq!(families, ScoreFamilies::default());
}

#[test]
fn p5_names_are_quoted_only_where_that_was_agreed_on() {
    let labels = [("__name__", "m.x"), ("a.b", "c"), ("9", "d")];
    let check = |utf8_names, want: &str| {
        let scores = [score("my.score", &labels, 1.0, SCRAPED_AT)];
        let families = ScoreFamilies::render(&scores, &page(Syntax::Text, utf8_names, b""), Room::ENDLESS);
        assert_eq!(text_of(&families).lines().last(), Some(want));
    };
    check(false, r#"my_score{_="d",a_b="c",for="m.x"} 1"#);
    check(true, r#"{"my.score","9"="d","a.b"="c",for="m.x"} 1"#);
}

#[test]
fn labels_that_escaping_makes_equal_leave_their_score_out() {
    let scores = [score("s", &[("__name__", "m"), ("a.b", "1"), ("a_b", "2")], 1.0, SCRAPED_AT)];
    let families = ScoreFamilies::render(&scores, &page(Syntax::Text, false, b""), Room::ENDLESS);
    assert_eq!((families.appended, families.ambiguous, families.bytes.len()), (0, 1, 0));
}

#[test]
fn p5_series_that_escaping_makes_one_are_left_out_and_the_one_that_is_so_called_stays() {
    let of =
        |label, aside, value| score("s", &[("__name__", "m"), (label, "1"), (aside, "2")], value, SCRAPED_AT);
    let check = |scores: &[ScoreSample], want: &[&str], ambiguous: usize| {
        for turned in [false, true] {
            let mut scores = scores.to_vec();
            if turned {
                scores.reverse();
            }
            let families = ScoreFamilies::render(&scores, &page(Syntax::Text, false, b""), Room::ENDLESS);
            let mut lines: Vec<_> =
                text_of(&families).lines().filter(|line| !line.starts_with('#')).collect();
            lines.sort_unstable();
            assert_eq!((lines.as_slice(), families.ambiguous), (want, ambiguous));
            let families = ScoreFamilies::render(&scores, &page(Syntax::Text, true, b""), Room::ENDLESS);
            assert_eq!((families.appended, families.ambiguous), (scores.len(), 0));
        }
    };
    check(&[of("a.b", "z", 1.0), of("a-b", "z", 2.0)], &[], 2);
    // `aB` stands between `a.b` and `a_b`.
    check(&[of("a.b", "aB", 1.0), of("a_b", "aB", 2.0)], &["s{aB=\"2\",a_b=\"1\",for=\"m\"} 2"], 1);
    check(
        &[of("a.b", "z", 1.0), of("c", "y", 2.0)],
        &["s{a_b=\"1\",for=\"m\",z=\"2\"} 1", "s{c=\"1\",for=\"m\",y=\"2\"} 2"],
        0,
    );
}

#[test]
fn p30_the_page_keeps_a_name_that_it_has_itself() {
    let scores = [score("s", &[("__name__", "m")], 1.0, SCRAPED_AT)];
    let families = ScoreFamilies::render(&scores, &page(Syntax::Text, false, b"s 1\n"), Room::ENDLESS);
    assert_eq!((families.clashing, families.bytes.len()), (1, 0));
}

#[test]
fn p30_scores_fill_only_the_room_that_the_limits_leave() {
    let scores = [
        score("s", &[("__name__", "m"), ("a", "1"), ("b", "1")], 1.0, SCRAPED_AT),
        score("s", &[("__name__", "m"), ("a", "2")], 1.0, SCRAPED_AT),
        score("s", &[("__name__", "m"), ("a", "3")], 1.0, SCRAPED_AT),
    ];
    let room = Room { samples: 1, labels: 3, ..Room::ENDLESS };
    let families = ScoreFamilies::render(&scores, &page(Syntax::Text, false, b""), room);
    assert_eq!((families.appended, families.over_limit), (1, 2));
    assert!(text_of(&families).contains("a=\"2\""));
    let check = |room: Room, appended| {
        let long = [score("s", &[("__name__", "m"), ("longer", "1"), ("x", "four")], 1.0, SCRAPED_AT)];
        let families = ScoreFamilies::render(&long, &page(Syntax::Text, false, b""), room);
        assert_eq!((families.appended, families.over_limit), (appended, 1 - appended), "{room:?}");
    };
    check(Room { name_bytes: 8, value_bytes: 4, ..Room::ENDLESS }, 1);
    check(Room { name_bytes: 7, ..Room::ENDLESS }, 0);
    check(Room { value_bytes: 3, ..Room::ENDLESS }, 0);
}

#[test]
fn protobuf_scores_are_what_prost_reads() {
    let scores = [score("s", &[("__name__", "m"), ("a", "ü")], 0.5, 42)];
    let families = ScoreFamilies::render(&scores, &page(Syntax::Protobuf, false, b""), Room::ENDLESS);
    let family = pb::MetricFamily::decode_length_delimited(&families.bytes[..]).expect("a family");
    assert_eq!((family.name(), family.r#type()), ("s", pb::MetricType::Gauge));
    let [metric] = &family.metric[..] else { panic!("one metric") };
    let labels: Vec<_> = metric.label.iter().map(|pair| (pair.name(), pair.value())).collect();
    assert_eq!(labels, [("a", "ü"), ("for", "m")]);
    assert_eq!((metric.timestamp_ms(), metric.gauge.as_ref().and_then(|g| g.value)), (42, Some(0.5)));
}

proptest! {
    #[test]
    fn what_is_rendered_reads_back_the_same(
        value in any::<f64>().prop_filter("a NaN has one spelling", |v| !v.is_nan()),
        label in "[a-z]{1,3}(\\.[a-z])?",
        text in any::<String>(),
        at in prop_oneof![Just(SCRAPED_AT), -4_000_000_000_000i64..4_000_000_000_000],
        syntax in prop_oneof![Just(Syntax::Text), Just(Syntax::OpenMetrics), Just(Syntax::Protobuf)],
    ) {
        prop_assume!(label != "for");
        let scores = [score("anomaly.score", &[("__name__", "m"), (&label, &text)], value, at)];
        let families = ScoreFamilies::render(&scores, &page(syntax, true, b""), Room::ENDLESS);
        let mut want = vec![("__name__".to_owned(), "anomaly.score".to_owned())];
        want.extend([(label.clone(), text.clone()), ("for".to_owned(), "m".to_owned())]);
        want.retain(|(_, value)| !value.is_empty());
        want.sort();
        let mut back = page(syntax, true, &families.bytes);
        if syntax == Syntax::OpenMetrics {
            back.push(b"# EOF\n").expect("within limits");
        }
        prop_assert_eq!(back.finish(), Ok(()));
        prop_assert_eq!(back.stats().lines_unparsed, 0);
        prop_assert_eq!(rows(&back), vec![(want, at, value.to_bits())]);
    }
}
