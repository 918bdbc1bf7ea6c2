//! What is pushed comes out of a real decompressor and decoder again.

use super::*;
use crate::inject::Names;
use crate::series::labels::Interner;
use crate::wire::compression::{Buffer, Cap, decompress_snappy};
use crate::wire::generated::prometheus::WriteRequest;
use proptest::prelude::*;
use prost::Message;

type Series = (Vec<(String, String)>, bool, Sample);

fn series() -> impl Strategy<Value = Series> {
    let label = ("[A-Za-z_]{1,3}", "[a-c]{1,2}|[a-z]{100,300}");
    let labels = proptest::collection::btree_map(label.0, label.1, 0..6);
    (labels, any::<bool>(), any::<i64>(), any::<u64>()).prop_map(|(labels, second, timestamp_ms, bits)| {
        let sample = Sample { timestamp_ms, value: f64::from_bits(bits) };
        (labels.into_iter().collect(), second, sample)
    })
}

fn scores(series: &[Series], interner: &Interner) -> Vec<ScoreSample> {
    let names = Names::new("$VAR", interner).expect("a fine template");
    let outputs = [crate::inject::Injected::AnomalyScore, crate::inject::Injected::Yhat];
    let made = series.iter().map(|(labels, second, sample)| {
        let mut pairs: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        pairs.push(("__name__", "up"));
        let labels = Arc::new(SeriesLabels::of_scored(&pairs, interner));
        ScoreSample { labels, name: names.of(outputs[usize::from(*second)]), sample: *sample }
    });
    made.collect()
}

fn decoded(body: &[u8]) -> WriteRequest {
    let mut raw = Buffer::new();
    decompress_snappy(body, Cap { bytes: 32 << 20, ratio: 1 << 20 }, &mut raw).expect("sound snappy");
    WriteRequest::decode(&*raw).expect("sound protobuf")
}

fn check(request: &WriteRequest, scores: &[ScoreSample]) {
    assert_eq!(request.timeseries.len(), scores.len());
    for (got, want) in request.timeseries.iter().zip(scores) {
        let labels: Vec<_> = got.labels.iter().map(|l| (l.name.as_str(), l.value.as_str())).collect();
        let expected: Vec<_> =
            pairs(&want.labels, want.name).map(|pair| (pair.name(), pair.value())).collect();
        assert_eq!(labels, expected);
        assert!(labels.is_sorted(), "F12: labels are sorted");
        assert_eq!(got.samples.len(), 1);
        assert_eq!(got.samples[0].timestamp, want.sample.timestamp_ms);
        assert_eq!(got.samples[0].value.to_bits(), want.sample.value.to_bits());
    }
}

proptest! {
    #[test]
    fn a_block_decompresses_and_decodes_to_what_was_pushed(series in proptest::collection::vec(series(), 1..40)) {
        let scores = scores(&series, &Interner::default());
        let mut block = ScoreBlock::default();
        block.extend(&scores);
        prop_assert_eq!(block.len(), scores.len());
        check(&decoded(&block.finish()), &scores);
        prop_assert!(block.is_empty());
    }

    #[test]
    fn blocks_append(first in proptest::collection::vec(series(), 0..9), second in proptest::collection::vec(series(), 0..9)) {
        let interner = Interner::default();
        let (first, second) = (scores(&first, &interner), scores(&second, &interner));
        let (mut one, mut two) = (ScoreBlock::default(), ScoreBlock::default());
        one.extend(&first);
        two.extend(&second);
        one.append(&mut two);
        one.extend(&first);
        check(&decoded(&one.finish()), &[first.clone(), second, first].concat());
    }
}

#[test]
fn series_longer_than_a_copy_reaches_are_spelled_out() {
    let huge = |i: u32| -> Series {
        let labels = (0..20).map(|l| (format!("l{l:02}"), "v".repeat(8_000))).collect();
        (labels, false, Sample { timestamp_ms: i64::from(i), value: 1.0 })
    };
    let small = |i| (vec![("a".to_owned(), "b".to_owned())], false, Sample { timestamp_ms: i, value: 2.0 });
    let scores = scores(&[small(0), huge(1), huge(2), small(3), small(4)], &Interner::default());
    let mut block = ScoreBlock::default();
    block.extend(&scores);
    check(&decoded(&block.finish()), &scores);
}

#[test]
fn shared_labels_are_copied_not_spelled() {
    let long = "x".repeat(200);
    let series: Vec<Series> = (0..1000)
        .map(|i| {
            (
                vec![("a".into(), long.clone()), ("i".into(), i.to_string())],
                false,
                Sample { timestamp_ms: 1_700_000_000_000, value: 0.5 },
            )
        })
        .collect();
    let mut block = ScoreBlock::default();
    block.extend(&scores(&series, &Interner::default()));
    assert!(block.finish().len() < 1000 * 45);
}
