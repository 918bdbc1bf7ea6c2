//! The metrics that pass, kept as Parquet.

mod s3;

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::harness::http;
use crate::harness::remote_write::{HEADERS_V1, body_v1, series};
use crate::harness::scratch::Scratch;
use crate::harness::sidelong::{PROGRAM, Sidelong};

const STALE: u64 = 0x7ff0_0000_0000_0002;
const NAN: u64 = 0x7ff8_0000_0000_0001;

fn config(more: &str) -> String {
    format!("rules: [{{match: '{{__name__!=\"\"}}'}}]\narchive: {{{more}}}\n")
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// What `sidelong ARGUMENTS` prints.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn push(sidelong: &Sidelong, name: &str, samples: &[(i64, f64)]) {
    let body = body_v1(vec![series(&[("__name__", name), ("instance", "a")], samples)]);
    let answer = http::post(&sidelong.url("/api/v1/write"), HEADERS_V1, body).await.unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// Values that are easily written as other ones, a minute apart.
fn spelled(start: i64) -> Vec<(i64, f64)> {
    let integers = [0.0, 9_007_199_254_740_991.0, 0.1 + 0.2, 5e-324, f64::MAX, f64::INFINITY];
    let nans = [STALE, NAN, 0x7ff8_dead_beef_0000].map(f64::from_bits);
    let values = integers.into_iter().chain(nans);
    values.enumerate().map(|(step, value)| (start + step as i64 * 60_000, value)).collect()
}

/// The bits of a value as `archive cat` prints it.
fn bits(printed: &str) -> u64 {
    match printed {
        "stale" => STALE,
        "NaN" => NAN,
        other => match other.strip_prefix("NaN:") {
            Some(bits) => u64::from_str_radix(bits, 16).unwrap(),
            None => other.parse::<f64>().unwrap().to_bits(),
        },
    }
}

/// The samples of the metric `name` in the archive, with their bits.
fn kept(archive: &str, name: &str) -> Vec<(i64, u64)> {
    bits_of_json(&printed(&["archive", "cat", archive, name, "--format", "json"]))
}

/// The samples of what `archive cat --format json` printed.
fn bits_of_json(lines: &str) -> Vec<(i64, u64)> {
    let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines
        .map(|line| (line["timestamp_ms"].as_i64().unwrap(), bits(line["value"].as_str().unwrap())))
        .collect()
}

fn with_bits(samples: &[(i64, f64)]) -> Vec<(i64, u64)> {
    samples.iter().map(|(at, value)| (*at, value.to_bits())).collect()
}

#[tokio::test]
async fn what_passes_is_kept_bit_for_bit_over_a_restart_with_scores_beside_it() {
    let (scratch, start) = (Scratch::new(), now_ms() - 3_600_000);
    let folder = scratch.folder("archive");
    let archive = folder.to_str().unwrap();
    let config = config(&format!("store: '{archive}'"));
    let samples = spelled(start);
    for half in [&samples[..5], &samples[5..]] {
        let mut sidelong = Sidelong::start(&scratch, &config).await;
        push(&sidelong, "odd", half).await;
        sidelong.process.stop().await;
    }
    assert_eq!(kept(archive, "odd"), with_bits(&samples));
    let csv = printed(&["archive", "cat", archive, "odd{instance=\"a\"}"]);
    let first = csv.lines().nth(1).unwrap();
    assert!(first.ends_with(",0,0,,,"), "its score is 0, since it warms up: {first}");
    // And the commands that look at past series read it.
    let scored = printed(&["backtest", archive, "--query", "odd"]);
    assert!(scored.starts_with("series,timestamp,value,anomaly_score"), "{scored}");
    assert_eq!(scored.lines().count(), samples.len() + 1);
}

#[tokio::test]
async fn f20_an_archive_that_cannot_be_written_costs_the_archive_alone() {
    let scratch = Scratch::new();
    let folder = scratch.folder("archive");
    // A file where a folder belongs: who may write everywhere cannot write there either.
    std::fs::write(folder.join("metrics"), "").unwrap();
    let config = config(&format!("store: '{}', flush_interval: 50ms", folder.display()));
    let mut sidelong = Sidelong::start(&scratch, &config).await;
    push(&sidelong, "load", &[(now_ms(), 1.0)]).await;
    sidelong.metric_reaches("sidelong_archive_failures_total", "", 1.0).await;
    push(&sidelong, "load", &[(now_ms(), 2.0)]).await;
    sidelong.metric_reaches("sidelong_samples_scored_total", "", 2.0).await;
    let ready = http::get(&sidelong.url("/-/ready")).await.unwrap();
    assert_eq!(ready.status, 200);
    // When there is room again, what waited is written.
    std::fs::remove_file(folder.join("metrics")).unwrap();
    sidelong.process.stop().await;
    let values: Vec<u64> = kept(folder.to_str().unwrap(), "load").into_iter().map(|(_, bits)| bits).collect();
    assert_eq!(values, [1.0_f64, 2.0].map(f64::to_bits));
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_refused_at_the_start() {
    let scratch = Scratch::new();
    let file = scratch.write("config.yml", &config("store: /nowhere/at/all"));
    let output = Command::new(PROGRAM).args(["run", "--config"]).arg(&file).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && told.contains("archive.store: /nowhere/at/all is no folder"),
        "{told}"
    );
}

/// What a day of one synthetic node and its pod takes: `docs/archive.md` has the last line that this prints.
#[tokio::test]
async fn a_day_of_a_node_takes_few_bytes() {
    let scratch = Scratch::new();
    let folder = scratch.folder("archive");
    let archive = folder.to_str().unwrap();
    let fleet = scratch.path().join("fleet.csv");
    let out = ["--out", fleet.to_str().unwrap()];
    printed(&[&["synth", "write", "--days", "1", "--instances", "1"], &out[..]].concat());
    let mut sidelong = Sidelong::start(&scratch, &config(&format!("store: '{archive}'"))).await;
    let samples = replay(&sidelong, &fleet).await;
    sidelong.process.stop().await;
    printed(&["archive", "compact", archive]);
    let list = printed(&["archive", "ls", archive]);
    let sum = list.lines().last().unwrap();
    println!("{sum}");
    assert!(sum.contains(&format!(" {samples} samples in 8 files")), "{list}");
    let bytes: f64 = sum.split(": ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(bytes < 45.0, "five numbers of eight bytes and their time would be 48: {sum}");
}

/// Pushes the CSV of many series that stands in `file`, a few minutes at a time; gives the number of samples.
async fn replay(sidelong: &Sidelong, file: &Path) -> usize {
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<_> = text.lines().skip(1).collect();
    for lines in lines.chunks(2_000) {
        let of = |line: &&str| {
            let (at, rest) = line.split_once(',').unwrap();
            let (name, value) = rest.rsplit_once(',').unwrap();
            let name = name.trim_matches('"').replace("\"\"", "\"");
            let (metric, labels) = name.split_once('{').unwrap_or((&name, ""));
            let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
            let labels: Vec<_> = labels.map(|(label, value)| (label, value.trim_matches('"'))).collect();
            let labels = [&[("__name__", metric)][..], &labels].concat();
            series(&labels, &[(at.parse::<i64>().unwrap() * 1_000, value.parse().unwrap())])
        };
        let body = body_v1(lines.iter().map(of).collect());
        let answer = http::post(&sidelong.url("/api/v1/write"), HEADERS_V1, body).await.unwrap();
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    sidelong.metric_reaches("sidelong_samples_scored_total", "", lines.len() as f64).await;
    lines.len()
}
