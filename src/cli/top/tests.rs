//! Frames of what a real Sidelong said, five seconds apart: a gateway behind Prometheus 3.16 that scrapes a synthetic
//! fleet through it, too.

use std::time::{Duration, Instant};

use clap::Parser;

use super::*;
use crate::cli::admin::Metrics;

const CANVAS: Canvas = Canvas { width: 120, height: 40, colour: false };

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: TopArgs,
}

fn recorded(name: &str) -> String {
    std::fs::read_to_string(format!("{}/tests/data/top/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The reading of `page` taken `after` the first one.
fn reading(page: &str, after: Duration) -> Reading {
    let metrics = Metrics::parse(page).unwrap();
    Reading {
        at: Instant::now() + after,
        now_s: metrics.sum("process_start_time_seconds").unwrap() + 50.0 + after.as_secs_f64(),
        url: "http://127.0.0.1:10991/".to_owned(),
        ready: true,
        metrics,
        budget: reading::json(&recorded("budget.json")).unwrap(),
        highest: reading::json(&recorded("highest.json")).unwrap(),
    }
}

/// What is seen where the second page is changed by `change`.
fn view(change: impl Fn(String) -> String) -> View {
    let before = reading(&recorded("before.prom"), Duration::ZERO);
    let mut after = reading(&change(recorded("after.prom")), Duration::ZERO);
    after.at = before.at + Duration::from_secs(5);
    View::of(&before, &after)
}

#[test]
fn the_frame_is_readable() {
    insta::assert_snapshot!(draw(&view(|page| page), CANVAS).join("\n"));
}

#[test]
fn what_is_worth_a_look_is_said() {
    let change = |page: String| {
        page.replace("sidelong_score_paused_tenants 0", "sidelong_score_paused_tenants 2")
            .replace("dropped_total{reason=\"yielded\"} 0", "dropped_total{reason=\"yielded\"} 50")
            .replace("refused_total{reason=\"loop\"} 0", "refused_total{reason=\"loop\"} 5")
    };
    let mut view = view(change);
    (view.ready, view.room.series.0) = (false, 950_000.0);
    view.trouble = Some("cannot ask 127.0.0.1:10991".to_owned());
    let frame = draw(&view, Canvas { colour: true, ..CANVAS }).join("\n");
    for text in [
        "\x1b[31mnot ready",
        "\x1b[31mcannot ask",
        "\x1b[33m  scores give way to samples: paused for 2 tenants",
        "\x1b[33mdropped 10.0/s: yielded 10.0",
        "\x1b[33m      1.00",
        "\x1b[33m  series 950k of 1.00M (95.0 %)",
    ] {
        assert!(frame.contains(text), "{text:?}\n{frame}");
    }
}

#[test]
fn a_counter_that_began_anew_counts_from_zero() {
    let (before, page) = (recorded("after.prom"), recorded("before.prom"));
    let (before, mut after) = (reading(&before, Duration::ZERO), reading(&page, Duration::ZERO));
    after.at = before.at + Duration::from_secs(5);
    let scored = after.metrics.sum("sidelong_samples_scored_total").unwrap();
    assert_eq!(View::of(&before, &after).scoring.scored, scored / 5.0);
}

#[test]
fn every_metric_that_is_shown_is_there() {
    let metrics = Metrics::parse(&recorded("after.prom")).unwrap();
    let source = include_str!("view.rs");
    let names =
        source.split('"').filter(|text| text.starts_with("sidelong_") || text.starts_with("process_"));
    for name in names {
        let is_there = metrics.sum(name).is_some();
        assert!(is_there, "{name}");
    }
}

#[test]
fn every_example_of_the_help_is_understood() {
    for example in EXAMPLES.lines().skip(1) {
        let words = example.split_whitespace().skip(1);
        Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{example}: {error}"));
    }
    assert!(Cli::try_parse_from(["top", "--interval", "1ms"]).is_err());
    assert!(Cli::try_parse_from(["top", "--series", "101"]).is_err());
}
