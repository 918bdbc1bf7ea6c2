use super::*;
use crate::config::Config;
use crate::rules::{Bounds, Direction, Kind, Rule, Sides};

/// After the examples of vmanomaly's documentation.
const REALISTIC: &str = r#"
settings: {n_workers: 4, anomaly_score_outside_data_range: 1.5}
schedulers:
  periodic_1w: {class: periodic, infer_every: 1m, fit_every: 2h, fit_window: 1w}
models:
  zscore_online:
    class: zscore_online
    z_threshold: 3.5
    min_n_samples_seen: 30
    decay: 0.999
    queries: [cpu, requests, disk, errors]
    detection_direction: above_expected
    provide_series: [anomaly_score, yhat, yhat_upper, trend]
  prophet_1:
    class: prophet
    queries: [load, cpu]
    clip_predictions: true
    args: {interval_width: 0.98}
reader:
  class: vm
  datasource_url: http://victoriametrics:8428/
  sampling_period: 1m
  queries:
    cpu:
      expr: sum(rate(node_cpu_seconds_total{mode!="idle"}[5m])) by (instance)
      data_range: [0, 'inf']
    requests: rate(http_requests_total{code=~"5.."}[5m])
    disk:
      expr: (node_filesystem_avail_bytes{fstype!="tmpfs"})
      step: 2m
      data_range: [0, 'inf']
      detection_direction: below_expected
      min_dev_from_expected: [1000, 2000]
      max_points_per_query: 10000
    errors:
      expr: increase(errors_total[5m])
      min_dev_from_expected: 300
    load:
      expr: node_load1
      data_range: [0, 64]
    ratio: a / b
writer:
  class: vm
  datasource_url: http://victoriametrics:8428/
  metric_format: {__name__: vmanomaly_$VAR, for: $QUERY_KEY, run: prod}
monitoring: {pull: {port: 8080}}
"#;

fn rules(converted: &Converted) -> Vec<Rule> {
    let config =
        Config::from_yaml(&converted.yaml, &|_| None).unwrap_or_else(|e| panic!("{e}\n{}", converted.yaml));
    config.rules.iter().map(|(_, rule)| (**rule).clone()).collect()
}

#[test]
fn queries_become_rules_with_the_options_of_query_and_model() {
    let converted = convert(REALISTIC).unwrap();
    let rules = rules(&converted);
    let named = |name: &str| rules.iter().find(|rule| rule.name == name).unwrap();
    assert_eq!(rules.len(), 4, "{}", converted.yaml);

    let requests = named("requests");
    assert_eq!(requests.selectors[0].to_string(), r#"http_requests_total{code=~"5.."}"#);
    assert_eq!((requests.kind, requests.detection_direction), (Kind::Counter, Direction::AboveExpected));
    assert_eq!((requests.z_threshold, requests.min_n_samples_seen), (Some(3.5), 30));
    assert_eq!(requests.provide_series.count(), 3);

    let disk = named("disk");
    assert_eq!(disk.detection_direction, Direction::BelowExpected, "the query's word counts more");
    assert_eq!(disk.min_dev_from_expected, Sides { lower: 1000.0, upper: 2000.0 });
    assert_eq!(disk.data_range, Some(Bounds { lower: 0.0, upper: f64::INFINITY }));

    assert_eq!(named("errors").min_dev_from_expected, Sides::both(1.0), "300 in 5m is 1 a second");
    let load = named("load");
    assert!(load.clip_predictions && load.kind == Kind::Auto);
}

#[test]
fn the_names_of_the_scores_are_kept() {
    let converted = convert(REALISTIC).unwrap();
    let config = Config::from_yaml(&converted.yaml, &|_| None).unwrap();
    assert_eq!(config.scores.name_template.as_str(), "vmanomaly_$VAR");
}

#[test]
fn what_cannot_be_translated_is_listed_with_the_reason() {
    let converted = convert(REALISTIC).unwrap();
    insta::assert_snapshot!(converted.lost.join("\n"));
    for lost in &converted.lost {
        assert!(converted.yaml.contains(&format!("# not translated: {lost}\n")), "{lost}");
    }
}

#[test]
fn only_selectors_and_their_rates_are_translated() {
    let yes = |expr: &str, want: &str, is_rate: bool, seconds: f64| {
        let judged = expr::judged(expr).unwrap();
        assert_eq!(
            (judged.selector.to_string().as_str(), judged.is_rate, judged.seconds),
            (want, is_rate, seconds)
        );
    };
    yes("up", "up", false, 1.0);
    yes(" ( (up) ) ", "up", false, 1.0);
    yes("rate(a_total[1m])", "a_total", true, 1.0);
    yes("irate( a{b=\")\"}[1m] )", "a{b=\")\"}", true, 1.0);
    yes("rate(a_total)", "a_total", true, 1.0);
    yes("increase(a[2m])", "a", true, 120.0);
    let no = |expr: &str, want: &str| {
        let reason = expr::judged(expr).unwrap_err();
        assert!(reason.contains(want), "{expr}: {reason}");
    };
    no("sum(rate(a[5m])) by (x)", "sum() joins several series");
    no("sum by (x) (rate(a[5m]))", "sum() joins several series");
    no("avg(a)", "avg() joins several series");
    no("histogram_quantile(0.9, rate(a_bucket[5m]))", "histogram_quantile() has no counterpart");
    no("rate(a[5m]) / rate(b[5m])", "more than a series selector");
    no("rate(a[5m:1m])", "subquery");
    no("rate(sum(a)[5m])", "rate() of more than a series selector");
    no("increase(a)", "without a window");
    no("a offset 5m", "more than a series selector");
    no("", "more than a series selector");
}

#[test]
fn a_file_that_is_not_vmanomalys_is_refused() {
    let check = |text: &str, want: &str| {
        let error = format!("{:#}", convert(text).err().unwrap());
        assert!(error.contains(want), "{error}");
    };
    check("rules: []", "reader.queries is missing");
    check("reader: {queries: {}}", "reader.queries is empty");
    check("a: [", "is not YAML");
}

#[test]
fn plain_queries_without_models_are_enough() {
    let converted = convert("reader: {queries: {a: up, b: 'up{job=\"x\"}'}}").unwrap();
    assert_eq!(rules(&converted).len(), 2);
    assert_eq!(converted.lost, [""; 0]);
}
