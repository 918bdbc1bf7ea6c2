//! What `sidelong features` writes of a sample is what the running program tells of it, bit for bit.

use super::*;
use crate::harness::scratch::Scratch;
use std::collections::BTreeMap;
use std::process::Command;

/// Two days and some more, so that a season is heeded; the last sample is far off.
const SAMPLES: i64 = 3_100;

fn samples() -> Vec<(i64, f64)> {
    let start = now() / 60_000 - SAMPLES;
    let wave =
        |i: i64| ((start + i) % 1_440 - 720).abs() as f64 / 72.0 + (i * 7_919 % 1_013) as f64 / 1_013.0;
    let value = |i: i64| if i + 1 == SAMPLES { 60.0 } else { wave(i) };
    (0..SAMPLES).map(|i| ((start + i) * 60_000, value(i))).collect()
}

/// The newest row that is written of `samples`, by column.
fn features(scratch: &Scratch, samples: &[(i64, f64)]) -> BTreeMap<String, String> {
    let rows: String = samples.iter().map(|(at_ms, value)| format!("{at_ms},{value}\n")).collect();
    let file = scratch.write("series.csv", &rows);
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidelong"));
    let output = command.args(["features", file.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    let names = lines.next().unwrap().split(',').map(str::to_owned);
    names.zip(lines.next_back().unwrap().split(',').map(str::to_owned)).collect()
}

/// The bits of every number in `texts`.
fn numbers<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<u64> {
    let mut bits: Vec<_> = texts.filter_map(|text| text.parse().ok()).map(f64::to_bits).collect();
    bits.sort_unstable();
    bits
}

#[tokio::test]
async fn features_are_what_the_running_program_explains_to_the_last_bit() {
    let scratch = Scratch::new();
    let sidelong = Sidelong::start(&scratch, "rules: [{match: level}]\n").await;
    let samples = samples();
    for some in samples.chunks(500) {
        let body = Version::V1.body(vec![series(&[("__name__", "level")], some)]);
        assert_eq!(push(&sidelong, Version::V1, body).await.status, 204);
    }
    let wanted = features(&scratch, &samples);
    let url = format!("http://{}/api/v1/explain?series=level", sidelong.admin);
    let newest = samples[samples.len() - 1].0;
    // The text is looked at itself: a reader of JSON may be a digit off.
    let told = crate::harness::eventually("the newest sample is explained", async || {
        let text = http::get(&url).await.ok()?.text();
        let (_, explanation) = text.split_once("\"explanation\":{")?;
        explanation.contains(&newest.to_string()).then(|| explanation.to_owned())
    })
    .await;
    assert!(!told.contains("null"), "so far a value is put before the forest: {told}");
    for (column, name) in [("detector", "detector"), ("spoke", "spoke"), ("season", "chosen")] {
        assert!(told.contains(&format!("\"{name}\":\"{}\"", wanted[column])), "{column}: {told}");
    }
    assert_ne!(wanted["season"], "none");
    let told = numbers(told.split(|c: char| ",:[]{}".contains(c)));
    assert_eq!(told, numbers(wanted.values().map(String::as_str)));
    assert!(told.len() > 50, "{}", told.len());
}
