//! What a backtest says of a series is what the running program says of it, bit for bit.

use super::*;
use crate::harness::scratch::Scratch;
use crate::harness::scripted::Reply;
use std::collections::BTreeMap;
use std::process::Command;

/// Two days and some more at a sample a minute: the day's profile speaks by then.
const SAMPLES: i64 = 3_200;
const OUTPUTS: [&str; 4] = ["anomaly_score", "yhat", "yhat_lower", "yhat_upper"];

/// A rule and the detector's every word, by time and name.
type Words = BTreeMap<(i64, &'static str), u64>;

/// A day's wave with noise, gaps, spikes, and a new level at the end.
fn samples() -> Vec<(i64, f64)> {
    let start = now() / 60_000 - SAMPLES;
    let value = |i: i64| {
        let noise = ((i * 7_919) % 1_013) as f64 / 1_013.0;
        let wave = ((start + i) % 1_440 - 720).abs() as f64 / 72.0;
        let odd = if i % 977 == 500 { 60.0 } else { 0.0 };
        wave + noise + odd + if i > SAMPLES - 60 { 9.0 } else { 0.0 }
    };
    let kept = (0..SAMPLES).filter(|i| i % 401 != 7 && !(1_200..1_290).contains(i));
    kept.map(|i| ((start + i) * 60_000, value(i))).collect()
}

fn backtest(scratch: &Scratch, samples: &[(i64, f64)]) -> Words {
    let file = scratch.path().join("series.csv");
    let rows: String = samples.iter().map(|(at_ms, value)| format!("{at_ms},{value}\n")).collect();
    std::fs::write(&file, rows).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidelong"));
    let output = command.args(["backtest", file.to_str().unwrap(), "--format", "csv"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut words = Words::new();
    for row in String::from_utf8(output.stdout).unwrap().lines().skip(1) {
        let mut fields = row.split(',');
        let at_ms: i64 = fields.next().unwrap().parse().unwrap();
        for (name, field) in OUTPUTS.into_iter().zip(fields.skip(1)).filter(|(_, field)| !field.is_empty()) {
            words.insert((at_ms, name), field.parse::<f64>().unwrap().to_bits());
        }
    }
    words
}

fn words_of(requests: &[Recorded]) -> Words {
    let mut words = Words::new();
    for point in requests.iter().filter(|request| is_scores(request)).flat_map(Recorded::points) {
        let name = OUTPUTS.into_iter().find(|name| *name == point.labels["__name__"]);
        words.extend(name.map(|name| ((point.timestamp, name), point.bits)));
    }
    words
}

#[tokio::test]
async fn a_backtest_and_the_running_program_say_the_same_to_the_last_bit() {
    let scratch = Scratch::new();
    let downstream = Scripted::start(|_| Reply::status(204)).await;
    let url = downstream.url("/api/v1/write");
    let rules = format!("rules: [{{match: level, provide_series: [{}]}}]\n", OUTPUTS.join(", "));
    let sidelong = Sidelong::start(&scratch, &format!("downstream: {{url: '{url}'}}\n{rules}")).await;
    let samples = samples();
    for some in samples.chunks(100) {
        let body = Version::V1.body(vec![series(&[("__name__", "level")], some)]);
        assert_eq!(push(&sidelong, Version::V1, body).await.status, 204);
    }
    let wanted = backtest(&scratch, &samples);
    assert!(wanted.len() > 4 * 3_000, "{}", wanted.len());
    assert!(wanted.iter().any(|((_, name), bits)| *name == OUTPUTS[0] && f64::from_bits(*bits) > 1.0));
    let said = crate::harness::eventually("every score has come", async || {
        let said = words_of(&downstream.requests());
        (said.len() >= wanted.len()).then_some(said)
    })
    .await;
    assert!(said == wanted, "the first difference: {:?}", said.iter().zip(&wanted).find(|(a, b)| a != b));

    let page = sidelong.page("/api/v1/explain?series=level").await;
    let last = samples.last().unwrap().0;
    assert!(page.contains(&format!("\"timestampMs\":{last},")), "{page}");
    for (field, name) in ["score", "expected", "lower", "upper"].into_iter().zip(OUTPUTS) {
        // As it is written: the parser of tests does not keep the last bit.
        let written = serde_json::to_string(&f64::from_bits(wanted[&(last, name)])).unwrap();
        assert!(page.contains(&format!("\"{field}\":{written},")), "{field} {written}: {page}");
    }
}
