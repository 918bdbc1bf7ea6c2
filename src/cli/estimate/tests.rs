use clap::Parser;
use serde_json::Value;

use super::*;
use crate::estimate::Unselected;

#[derive(Debug, Parser)]
#[command(name = "sidelong estimate", no_binary_name = false)]
struct Cli {
    #[command(flatten)]
    args: EstimateArgs,
}

fn exposition(name: &str) -> String {
    format!("{}/tests/data/expositions/{name}.prom", env!("CARGO_MANIFEST_DIR"))
}

fn estimate(input: &str, options: &[&str]) -> anyhow::Result<Estimate> {
    Cli::parse_from([&["estimate", input], options].concat()).args.estimate()
}

fn config(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sidelong.yml");
    std::fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn every_example_of_the_help_is_understood() {
    for example in EXAMPLES.lines().skip(1) {
        let words = example.split(" | ").last().unwrap_or_default().trim();
        Cli::try_parse_from(words.split_whitespace().skip(1)).unwrap();
    }
}

#[test]
fn what_a_preset_takes_of_a_page_is_told_by_rule_with_what_nobody_takes() {
    let told = estimate(&exposition("node_exporter"), &["--preset=node_exporter"]).unwrap();
    let taken: usize = told.rules.iter().map(|rule| rule.series).sum();
    assert!(taken > 0 && told.rules.iter().all(|rule| rule.preset == Some(Preset::NodeExporter)));
    let Unselected { series, excluded, own, most } = &told.unselected;
    assert_eq!(taken + series + excluded + own, told.series);
    assert!(most.windows(2).all(|two| two[0].1 >= two[1].1), "{most:?}");
    assert_eq!(told.total.scored, taken);
    assert!(told.over.is_empty() && told.total.cpu > 0.0 && told.total.bytes > taken * 1_000);
    let text = told.to_string();
    assert!(text.contains("node_exporter") && text.contains("no rule takes"), "{text}");
}

#[test]
fn outputs_forecasts_and_workloads_are_added() {
    let rule = "rules: [{name: load, match: node_load1, provide_series: [anomaly_score, yhat], forecast_at: [1h, 1d]}]";
    let (_dir, file) = config(rule);
    let told = estimate(
        &exposition("node_exporter"),
        &["--config", &file, "--scrape-interval=10s", "--label=job=node"],
    )
    .unwrap();
    let load = &told.rules[0];
    assert_eq!((load.rule.as_str(), load.series, load.sent), ("load", 1, 2 + 2 * 3));
    let forecasts = 3.0 / 360.0 + 3.0 / 8_640.0;
    assert!((load.samples_per_second - (0.2 + forecasts)).abs() < 1e-9, "{}", load.samples_per_second);
    assert_eq!((told.total.of_workloads, told.total.sent), (2, 8 + 2));
}

#[test]
fn what_signals_make_is_counted_and_scored() {
    let signals =
        "signals:\n  watermark: 30s\n  sums:\n  - {name: cpu, match: node_cpu_seconds_total, by: [mode]}\n";
    let (_dir, file) = config(signals);
    let told = estimate(&exposition("node_exporter"), &["--config", &file]).unwrap();
    let [cpu] = &told.signals[..] else { panic!("one signal") };
    assert!(cpu.groups > 1 && cpu.parts > cpu.groups, "{cpu:?}");
    assert_eq!((cpu.series, cpu.made), (cpu.groups, cpu.groups));
    assert_eq!((told.total.made, told.total.parts), (cpu.groups, cpu.parts));
}

#[test]
fn what_is_more_than_an_option_allows_is_named_with_the_option() {
    let text = "limits: {max_series: 10}\nscores: {max_series: 5}\nrules: [{match: '{__name__=~\"node_.*\"}'}]\n\
                signals: {sums: [{name: cpu, match: node_cpu_seconds_total, by: [cpu, mode], max_series: 1}]}\n";
    let (_dir, file) = config(text);
    let told = estimate(&exposition("node_exporter"), &["--config", &file]).unwrap();
    let over: Vec<&str> = told.over.iter().map(|over| over.option.as_str()).collect();
    assert_eq!(over, ["limits.max_series", "scores.max_series", "max_series of the signal cpu"]);
    assert!(told.over.iter().all(|over| over.wanted > over.limit));
    assert!(told.to_string().contains("too many: limits.max_series is 10, and there would be"), "{told}");
}

#[test]
fn labels_that_prometheus_adds_may_be_given() {
    let (_dir, file) = config("rules: [{match: '{job=\"node\"}'}]");
    let taken = |options: &[&str]| {
        let options = [&["--config", &file], options].concat();
        estimate(&exposition("node_exporter"), &options).unwrap().total.scored
    };
    assert_eq!(taken(&[]), 0);
    assert!(taken(&["--label=job=node"]) > 10);
}

#[test]
fn as_json_it_has_the_same_numbers() {
    let told = estimate(&exposition("http_red"), &["--preset=http_red"]).unwrap();
    let json: Value = serde_json::from_str(&serde_json::to_string(&told).unwrap()).unwrap();
    assert_eq!(json["series"].as_u64(), Some(told.series as u64));
    assert_eq!(json["total"]["scored"].as_u64(), Some(told.total.scored as u64));
    assert_eq!(json["rules"][0]["preset"], "http_red");
}

#[test]
fn an_error_says_what_to_do() {
    let error = |input: &str, options: &[&str]| format!("{:#}", estimate(input, options).unwrap_err());
    let page = exposition("node_exporter");
    assert!(error(&page, &[]).contains("name a --config or a --preset"));
    let (_dir, empty) = config("# no page\n");
    assert!(error(&empty, &["--preset=http_red"]).contains("give an exposition in a text format"));
    let refused = error("http://127.0.0.1:1", &["--preset=http_red"]);
    assert!(refused.contains("neither a Prometheus nor a page of metrics"), "{refused}");
    let wrong = Cli::try_parse_from(["estimate", "x", "--preset=node"]).unwrap_err().to_string();
    assert!(wrong.contains("there are node_exporter, kubernetes"), "{wrong}");
}
