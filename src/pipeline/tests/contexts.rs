//! What is known beforehand: whose scores are 0 and when, what is learned meanwhile, and what is told of it.

use proptest::prelude::*;

use super::*;
use crate::config::sections;
use crate::context::{Calendar, Context, Effect, Stretch, narrow, written};
use crate::pipeline::Explained;

/// The minute of the window in which something goes on, and its end.
const OPENS: i64 = 100;
const CLOSES: i64 = 130;

fn moment(minute: i64) -> i64 {
    START + minute * MINUTE
}

/// A calendar of the series of job `a`.
fn calendar(effect: &str) -> String {
    let (start, end) = (written(moment(OPENS)), written(moment(CLOSES)));
    format!(
        "calendars: [{{name: change, match: 'up{{job=\"a\"}}', start: '{start}', end: '{end}', effect: {effect}}}]"
    )
}

fn under(context: &str) -> House {
    let house = House::new(EVERYTHING);
    house.under(context);
    house
}

impl House {
    /// Takes over a configuration with the section `context`.
    fn under(&self, context: &str) {
        let section: sections::Context = serde_saphyr::from_str(context).expect("a section");
        // Whose turn comes late is still there.
        let limits = Limits { idle_after_s: 86_400, ..Limits::default() };
        let settings = settings(EVERYTHING, limits, "$VAR", self.pipeline.series());
        self.pipeline.configure(settings.with_contexts(section.contexts().expect("contexts")));
    }

    fn show_an_ordinary_past(&mut self) {
        for minute in 0..OPENS {
            self.one(moment(minute), ordinary(minute));
        }
    }

    /// The score of the sample of `job` at `minute`.
    fn score_of(&mut self, job: &str, minute: i64, value: f64) -> f64 {
        self.push(&[(up(job), at(moment(minute), value))]);
        self.score()
    }

    fn explained(&self) -> Explained {
        self.pipeline.explain(&"up{job=\"a\"}".parse().unwrap(), 1).pop().expect("a series")
    }

    fn announce(&self, effect: Effect, window: [i64; 2]) {
        self.pipeline.change_board(|board| {
            let window = Stretch { from_ms: moment(window[0]), until_ms: moment(window[1]) };
            let selectors = vec![narrow("up{job=\"a\"}").unwrap()];
            let context = Context::new("deploy", selectors, effect, Calendar::once(window));
            (Some(board.announcing(vec![board.announcement("1", window, context)])), ())
        });
    }

    fn anomalies(&self, name: &str) -> u64 {
        self.pipeline.board().anomalies().filter(|(of, ..)| *of == name).map(|(.., count)| count).sum()
    }
}

fn ordinary(minute: i64) -> f64 {
    10.0 + (minute * 7_919 % 13) as f64
}

/// Scores of job `a` from the first minute to the 200th, with what is far off in some of them.
fn scores(house: &mut House, far: impl Fn(i64) -> bool, skipped: impl Fn(i64) -> bool) -> Vec<(i64, f64)> {
    let minutes = (0..200).filter(|minute| !skipped(*minute));
    minutes
        .map(|minute| {
            (minute, house.score_of("a", minute, if far(minute) { 900.0 } else { ordinary(minute) }))
        })
        .collect()
}

fn is_within(minute: i64) -> bool {
    (OPENS..CLOSES).contains(&minute)
}

#[test]
fn a_spike_alarms_nobody_while_it_is_suppressed_and_does_outside_and_elsewhere() {
    let mut house = under(&calendar("suppress"));
    for minute in 0..OPENS {
        for job in ["a", "b"] {
            assert!(house.score_of(job, minute, ordinary(minute)) < 1.0);
        }
    }
    assert_eq!(house.score_of("a", OPENS, 900.0), 0.0);
    assert!(house.score_of("b", OPENS, 900.0) > 1.0, "another series");
    house.score_of("b", OPENS + 1, 900.0);
    let mut anomalous = house.emitted("anomalous_series");
    anomalous.sort_by(f64::total_cmp);
    assert_eq!(anomalous, [0.0, 1.0], "of job a and of job b");
    assert_eq!(house.score_of("a", CLOSES - 1, 900.0), 0.0);
    assert!(house.score_of("a", CLOSES, 900.0) > 1.0, "the window has closed");
    assert_eq!(house.anomalies("change"), 2);
}

#[test]
fn what_is_suppressed_teaches_nothing() {
    let mut with = under(&calendar("suppress"));
    let with = scores(&mut with, is_within, |_| false);
    // As if there had been no samples at all.
    let mut without = House::new(EVERYTHING);
    let without = scores(&mut without, |_| false, is_within);
    let with: Vec<_> = with.into_iter().filter(|(minute, _)| !is_within(*minute)).collect();
    assert_eq!(with, without);
}

#[test]
fn what_is_learned_is_as_if_there_were_no_context_but_alarms_nobody_meanwhile() {
    let (mut learning, mut plain) = (under(&calendar("learn")), House::new(EVERYTHING));
    let learning = scores(&mut learning, is_within, |_| false);
    let plain = scores(&mut plain, is_within, |_| false);
    assert!(plain.iter().any(|(minute, score)| is_within(*minute) && *score > 1.0));
    for (learned, plain) in learning.iter().zip(plain) {
        let want = if is_within(learned.0) { 0.0 } else { plain.1 };
        assert_eq!(learned.1, want, "at minute {}", learned.0);
    }
}

#[test]
fn a_context_that_annotates_changes_no_score_and_is_named() {
    let mut house = under(&calendar("annotate"));
    let annotated = scores(&mut house, is_within, |_| false);
    let mut plain = House::new(EVERYTHING);
    assert_eq!(annotated, scores(&mut plain, is_within, |_| false));
    assert!(house.anomalies("change") > 0);
    let mut house = under(&calendar("annotate"));
    house.one(moment(OPENS), 1.0);
    let told = serde_json::to_value(house.explained()).unwrap();
    let until = written(moment(CLOSES));
    assert_eq!(
        told["context"],
        serde_json::json!([{ "name": "change", "effect": "annotate", "until": until }])
    );
    house.one(moment(CLOSES), 1.0);
    assert_eq!(serde_json::to_value(house.explained()).unwrap().get("context"), None);
}

#[test]
fn while_it_is_suppressed_a_series_is_not_forecast_and_its_forecasts_learn_nothing() {
    let forecasts = |context: Option<&str>| {
        let rules = "[{match: up, forecast_at: [5m]}]";
        let mut house = House::new(rules);
        if let Some(context) = context {
            let section: sections::Context = serde_saphyr::from_str(context).unwrap();
            let settings = settings(rules, Limits::default(), "$VAR", house.pipeline.series());
            house.pipeline.configure(settings.with_contexts(section.contexts().unwrap()));
        }
        let mut told = Vec::new();
        for minute in (0..200).filter(|minute| context.is_some() || !is_within(*minute)) {
            let value = if is_within(minute) { 900.0 } else { ordinary(minute) };
            house.push(&[(up("a"), at(moment(minute), value))]);
            let made = house.out.iter().filter(|score| score.name.value().ends_with("_5m"));
            told.extend(
                made.map(|made| (made.name.value(), made.sample.timestamp_ms, made.sample.value.to_bits())),
            );
        }
        told
    };
    let under = forecasts(Some(&calendar("suppress")));
    assert!(under.iter().any(|(_, at_ms, _)| *at_ms > moment(CLOSES)));
    assert_eq!(under, forecasts(None), "as if the samples had not come");
}

#[test]
fn a_value_that_cannot_be_is_suppressed_too() {
    let mut house = under(&calendar("suppress"));
    let rules = "[{match: up, data_range: [0, 100]}]";
    let section: sections::Context = serde_saphyr::from_str(&calendar("suppress")).unwrap();
    let settings = settings(rules, Limits::default(), "$VAR", house.pipeline.series());
    house.pipeline.configure(settings.with_contexts(section.contexts().unwrap()));
    house.score_of("a", OPENS - 2, 10.0);
    assert!(house.score_of("a", OPENS - 1, 900.0) > 1.0);
    assert_eq!(house.score_of("a", OPENS, 900.0), 0.0);
}

#[test]
fn a_retry_is_told_the_same() {
    let mut house = under(&calendar("suppress"));
    house.show_an_ordinary_past();
    for _ in 0..2 {
        assert_eq!(house.score_of("a", OPENS, 900.0), 0.0);
    }
    assert_eq!(house.anomalies("change"), 1);
}

#[test]
fn of_several_contexts_the_one_that_does_most_counts() {
    let [from, until] = [OPENS, CLOSES].map(|minute| written(moment(minute)));
    let entry = |name: &str, effect: &str| {
        format!("{{name: {name}, match: up, start: '{from}', end: '{until}', effect: {effect}}}")
    };
    let all = format!(
        "calendars: [{}, {}, {}]",
        entry("x", "annotate"),
        entry("y", "suppress"),
        entry("z", "learn")
    );
    let mut house = under(&all);
    house.show_an_ordinary_past();
    assert_eq!(house.score_of("a", OPENS, 900.0), 0.0);
    assert_eq!(["x", "y", "z"].map(|name| house.anomalies(name)), [0, 1, 0]);
    assert_eq!(house.explained().context.len(), 3, "all are named");
}

#[test]
fn a_reload_swaps_contexts_and_their_counts_go_on() {
    let mut house = under(&calendar("suppress"));
    house.show_an_ordinary_past();
    assert_eq!(house.score_of("a", OPENS, 900.0), 0.0);
    house.under("{}");
    assert!(house.score_of("a", OPENS + 1, 900.0) > 1.0);
    house.under(&calendar("suppress"));
    assert_eq!(house.score_of("a", OPENS + 2, 900.0), 0.0);
    house.under(&calendar("suppress"));
    assert_eq!(house.score_of("a", OPENS + 3, 900.0), 0.0);
    assert_eq!(house.anomalies("change"), 2, "since it came back");
}

#[test]
fn what_is_announced_counts_from_the_next_batch_on_and_outlives_a_reload() {
    let mut house = House::new(EVERYTHING);
    house.show_an_ordinary_past();
    house.announce(Effect::Suppress, [OPENS, CLOSES]);
    assert_eq!(house.score_of("a", OPENS, 900.0), 0.0);
    house.under("{}");
    assert_eq!(house.score_of("a", OPENS + 1, 900.0), 0.0);
    assert_eq!(house.anomalies("announced"), 2);
    house.pipeline.change_board(|board| (Some(board.announcing(Vec::new())), ()));
    assert!(house.score_of("a", OPENS + 2, 900.0) > 1.0, "it was withdrawn");
}

#[test]
fn a_context_is_for_what_is_made_of_others_by_its_own_labels() {
    let (start, end) = (written(moment(60)), written(moment(90)));
    let context = format!("calendars: [{{name: change, match: 'rq:sum', start: '{start}', end: '{end}'}}]");
    let mut house = House::new(EVERYTHING);
    let section: sections::Context = serde_saphyr::from_str(&context).unwrap();
    let signals: sections::Signals =
        serde_saphyr::from_str("{watermark: 1m, sums: [{name: rq, match: up}]}").unwrap();
    let settings = settings(EVERYTHING, Limits::default(), "$VAR", house.pipeline.series());
    let settings = settings.with_signals(signals.specs(), crate::rules::Emit::Always);
    house.pipeline.configure(settings.with_contexts(section.contexts().unwrap()));
    let mut made = Vec::new();
    for minute in 0..80 {
        let value = if minute >= 60 { 900.0 } else { ordinary(minute) };
        house.push(&[(up("a"), at(moment(minute), value))]);
        for score in &house.out {
            let is_made = score.labels.scored().any(|pair| pair == ("__name__", "rq:sum"));
            if score.name.value() == "anomaly_score" && score.sample.timestamp_ms >= moment(60) {
                made.push((is_made, score.sample.value));
            }
        }
    }
    assert!(made.iter().filter(|(is_made, _)| *is_made).count() > 10);
    assert!(made.iter().all(|(is_made, score)| !is_made || *score == 0.0));
    assert!(
        made.iter().any(|(is_made, score)| !is_made && *score > 1.0),
        "its part is no part of the context"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However the series of two jobs come between one another and in batches, each is told the same.
    #[test]
    fn any_interleaving_gives_the_same_scores(turns in proptest::collection::vec((any::<bool>(), 1..9_usize), 60)) {
        let value = |job: &str, minute: i64| match (job, is_within(minute)) {
            ("a", true) => 900.0,
            _ => ordinary(minute),
        };
        let minutes = 80..150_i64;
        let told = |turns: &[(bool, usize)]| {
            let mut house = under(&calendar("suppress"));
            let (mut scores, mut left) = (Vec::new(), [minutes.clone(), minutes.clone()]);
            for (second, count) in turns.iter().cycle() {
                let job = ["a", "b"][usize::from(*second)];
                let next = left[usize::from(*second)].by_ref().take(*count);
                let batch: Vec<_> = next.map(|minute| (up(job), at(moment(minute), value(job, minute)))).collect();
                house.push(&batch);
                let own = house.out.drain(..).filter(|score| score.name.value() == "anomaly_score");
                scores.extend(own.map(|score| (job, score.sample.timestamp_ms, score.sample.value.to_bits())));
                if left.iter().all(|left| left.is_empty()) {
                    break;
                }
            }
            scores.sort_unstable();
            scores
        };
        let mut both = turns.clone();
        both.extend([(false, 8), (true, 8)]);
        prop_assert_eq!(told(&both), told(&[(false, 1), (true, 1)]));
    }
}
