use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::series::labels::{Interner, SeriesLabels};
use crate::wire::compression::{Buffer, Cap, decompress_snappy};
use crate::wire::generated::io::prometheus::write::v2 as proto2;
use crate::wire::generated::prometheus as proto1;
use crate::wire::remote_write::ScoreBlock;

/// A request as both versions mean it: labels and samples of each entry.
type Plain = Vec<(Vec<(String, String)>, Vec<(i64, u64)>)>;

const NAMES: [&str; 3] = ["anomaly_score", "yhat", "yhat_upper"];

/// `scored` holds the labels of scored series; `picks` chooses which of them gets a score, under which name.
fn scores(
    scored: &[Vec<(String, String)>],
    picks: &[(usize, usize, i64, u64)],
) -> (Interner, Vec<ScoreSample>) {
    let interner = Interner::default();
    let labels: Vec<Arc<SeriesLabels>> = scored
        .iter()
        .map(|labels| {
            let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            Arc::new(SeriesLabels::of_scored(&labels, &interner))
        })
        .collect();
    let score = |&(series, name, timestamp_ms, bits): &(usize, usize, i64, u64)| ScoreSample {
        labels: Arc::clone(&labels[series % labels.len()]),
        name: interner.lasting_pair("__name__", NAMES[name % NAMES.len()]),
        sample: Sample { timestamp_ms, value: f64::from_bits(bits) },
    };
    let scores = picks.iter().map(score).collect();
    (interner, scores)
}

/// What the encodings should say, by the plainest reading of the scores.
fn want(scores: &[ScoreSample]) -> Plain {
    let mut plain = Plain::new();
    let mut last: Option<&ScoreSample> = None;
    for score in scores {
        let same = |last: &ScoreSample| {
            Arc::ptr_eq(&last.labels, &score.labels) && std::ptr::eq(last.name, score.name)
        };
        if !last.is_some_and(same) {
            let mut labels: Vec<(String, String)> = score
                .labels
                .pairs()
                .iter()
                .map(Arc::as_ref)
                .chain([score.name])
                .map(|pair| (pair.name().to_owned(), pair.value().to_owned()))
                .filter(|(_, value)| !value.is_empty())
                .collect();
            labels.sort();
            plain.push((labels, Vec::new()));
        }
        plain.last_mut().unwrap().1.push((score.sample.timestamp_ms, score.sample.value.to_bits()));
        last = Some(score);
    }
    plain
}

fn read_v1(raw: &[u8]) -> Plain {
    let entry = |entry: proto1::TimeSeries| {
        let labels = entry.labels.into_iter().map(|label| (label.name, label.value)).collect();
        (labels, entry.samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect())
    };
    proto1::WriteRequest::decode(raw).unwrap().timeseries.into_iter().map(entry).collect()
}

fn read_v2(raw: &[u8]) -> Plain {
    let request = proto2::Request::decode(raw).unwrap();
    assert_eq!(request.symbols[0], "");
    let distinct: std::collections::HashSet<&String> = request.symbols.iter().collect();
    assert_eq!(distinct.len(), request.symbols.len(), "a symbol stands twice");
    let text = |reference: u32| request.symbols[reference as usize].clone();
    let entry = |entry: &proto2::TimeSeries| {
        assert_eq!(entry.metadata.unwrap().r#type, proto2::metadata::MetricType::Gauge as i32);
        let labels = entry.labels_refs.chunks_exact(2).map(|pair| (text(pair[0]), text(pair[1]))).collect();
        (labels, entry.samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect())
    };
    request.timeseries.iter().map(entry).collect()
}

/// Encodes in both versions; 1.0 has an entry for each score.
fn check(encoders: &mut (V2, ScoreBlock), scores: &[ScoreSample]) {
    let want = want(scores);
    let mut second = Vec::new();
    encoders.0.encode(scores, &mut second);
    assert_eq!(read_v2(&second), want);
    let each = |(labels, samples): (Vec<_>, Vec<_>)| {
        samples.into_iter().map(move |sample| (labels.clone(), vec![sample]))
    };
    encoders.1.extend(scores);
    let mut raw = Buffer::new();
    decompress_snappy(&encoders.1.finish(), Cap { bytes: 64 << 20, ratio: 64 }, &mut raw).unwrap();
    assert_eq!(read_v1(&raw), want.into_iter().flat_map(each).collect::<Plain>());
}

/// `count` series of a fleet that differ in one label each.
fn fleet(count: usize) -> Vec<Vec<(String, String)>> {
    let series = |n: usize| {
        let mut labels = vec![("__name__".to_owned(), "container_cpu_usage_seconds_total".to_owned())];
        labels.push(("pod".to_owned(), format!("checkout-7c9d8b5f6-{n:05}")));
        labels.push(("node".to_owned(), format!("ip-10-0-0-{}.ec2.internal", n % 7)));
        for name in ["cluster", "container", "env", "image", "instance", "job", "namespace", "region", "zone"]
        {
            labels.push((name.to_owned(), format!("the same {name} everywhere")));
        }
        labels
    };
    (0..count).map(series).collect()
}

#[test]
fn f12_a_fleet_of_scores_reads_back() {
    let picks: Vec<_> = (0..3000).map(|n| (n % 1500, 0, 1_760_000_000_000, 0.25f64.to_bits())).collect();
    let (_interner, scores) = scores(&fleet(1500), &picks);
    let mut encoders = Default::default();
    check(&mut encoders, &scores);
    check(&mut encoders, &scores[..10]);
    check(&mut encoders, &[]);
}

#[test]
fn pairs_of_another_interner_with_the_same_numbers_are_not_mixed_up() {
    let one = scores(&[vec![("__name__".to_owned(), "a".to_owned())]], &[(0, 0, 1, 0)]);
    let two = scores(&[vec![("__name__".to_owned(), "b".to_owned())]], &[(0, 1, 1, 0)]);
    check(&mut Default::default(), &[one.1, two.1].concat());
}

#[test]
fn freed_pairs_leave_nothing_behind() {
    let mut encoders = Default::default();
    for round in 0..50 {
        let labels = vec![("__name__".to_owned(), format!("metric_{round}"))];
        let (_interner, scores) = scores(&[labels], &[(0, 0, 1, 0); 3]);
        check(&mut encoders, &scores);
    }
}

fn labels() -> impl Strategy<Value = Vec<(String, String)>> {
    let text = || {
        prop_oneof![Just(String::new()), "[a-d]{1,2}", "\\PC{1,4}", (1usize..300).prop_map(|n| "x".repeat(n))]
    };
    prop::collection::btree_map("[a-f_]{1,2}", text(), 0..8)
        .prop_map(|labels| labels.into_iter().chain([("__name__".to_owned(), "load".to_owned())]).collect())
}

proptest! {
    #[test]
    fn both_versions_say_the_same(
        scored in vec(labels(), 1..6),
        picks in vec((0usize..6, 0usize..3, any::<i64>(), any::<u64>()), 0..40),
        cut in 0usize..40,
    ) {
        let (_interner, scores) = scores(&scored, &picks);
        let mut encoders = Default::default();
        check(&mut encoders, &scores);
        check(&mut encoders, &scores[cut.min(scores.len())..]);
    }

    #[test]
    fn entries_of_every_size_and_distance_read_back(
        long in vec(0usize..20_000, 1..12),
        picks in vec((0usize..12, 0usize..2, 1_700_000_000_000i64..1_800_000_000_000, Just(1u64)), 0..60),
    ) {
        let scored: Vec<_> = long
            .iter()
            .map(|&len| vec![
                ("__name__".to_owned(), "load".to_owned()),
                ("a".to_owned(), "y".repeat(len)),
                ("b".to_owned(), len.to_string()),
            ])
            .collect();
        let (_interner, scores) = scores(&scored, &picks);
        check(&mut Default::default(), &scores);
    }
}
