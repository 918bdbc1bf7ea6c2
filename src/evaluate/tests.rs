//! The gate, question by question, on series made up for it.

use super::*;
use crate::backtest::{Incidents, Series};
use crate::model::Model;

const STEP_MS: i64 = 300_000;
const SAMPLES: usize = 600;
/// One incident every fifty samples, ten samples long.
const EVERY: usize = 50;
const LASTS: usize = 10;

fn is_wrong(at: usize) -> bool {
    at >= EVERY && at % EVERY < LASTS
}

fn incidents() -> Incidents {
    let line = |number: usize| {
        let from = (number * EVERY) as i64 * STEP_MS / 1_000;
        format!("{from},{}\n", from + LASTS as i64 * STEP_MS / 1_000)
    };
    Incidents::read((1..SAMPLES / EVERY).map(line).collect::<String>().as_bytes()).unwrap()
}

/// A series called `name`, as both sides score it.
fn trial(name: &str, champion: impl Fn(usize) -> f64, challenger: impl Fn(usize) -> f64) -> Trial {
    let mut trial = Trial { series: name.parse::<Series>().unwrap(), ..Trial::default() };
    for at in 0..SAMPLES {
        let scores = Sides { champion: champion(at), challenger: challenger(at) };
        trial.hear(at as i64 * STEP_MS, (at % 13) as f64, scores);
    }
    for (number, incident) in incidents().all().iter().enumerate() {
        trial.mark(number, incident.from_ms, incident.to_ms);
    }
    trial
}

/// Finds what is wrong, and is never quite still.
fn good(at: usize) -> f64 {
    if is_wrong(at) { 2.0 } else { (at * 7919 % 97) as f64 / 200.0 }
}

fn party(trained_on_ms: Option<[i64; 2]>) -> Party {
    Party {
        name: "model".to_owned(),
        candidate: "1".to_owned(),
        content: "0".to_owned(),
        is_builtin: trained_on_ms.is_none(),
        trained_on_ms,
    }
}

fn judged(trials: &[Trial], models: Sides<Party>, gate: Gate) -> Evaluation {
    let model = Model::builtin();
    let detectors = Sides { champion: &model.detector, challenger: &model.detector };
    // Both are the same detector: what a busy machine makes of its time is not what is asked here.
    let gate = Gate { max_time_ratio: f64::MAX, ..gate };
    let data = Data::new("a test".to_owned(), b"", Vec::new());
    Evaluation::new(models, detectors, trials, &incidents(), data, gate, "__name__")
}

fn evaluation(trials: &[Trial]) -> Evaluation {
    judged(trials, Sides { champion: party(None), challenger: party(None) }, Gate::default())
}

/// The questions that were answered with no.
fn failed(evaluation: &Evaluation) -> Vec<&'static str> {
    evaluation.checks.iter().filter(|check| !check.passed).map(|check| check.name).collect()
}

#[test]
fn c7_a_challenger_as_good_as_the_champion_is_promoted() {
    let evaluation = evaluation(&[trial("a", good, good), trial("b", good, good)]);
    assert_eq!((failed(&evaluation), evaluation.verdict), (vec![], Verdict::Promote));
    let Measures { events, found, recall, precision, vus_pr, .. } = &evaluation.measures.challenger;
    assert_eq!((*events, *found, *recall, *precision), (22, 22, Some(1.0), Some(1.0)));
    assert!(vus_pr.unwrap() > 0.8, "{vus_pr:?}");
    assert_eq!(evaluation.measures.champion.delay_s, Some(0.0));
    let by_day: Vec<_> =
        evaluation.days.iter().map(|day| (day.from_ms, day.measures.champion.found)).collect();
    assert_eq!(
        by_day,
        [(0, 10), (86_400_000, 12), (172_800_000, 0)],
        "each incident is of the day in which it begins"
    );
}

#[test]
fn c7_one_that_alerts_often_is_refused() {
    let flood = |at: usize| if at.is_multiple_of(17) { 1.5 } else { good(at) };
    let evaluation = evaluation(&[trial("a", good, flood)]);
    assert!(failed(&evaluation).contains(&"alerts"), "{:?}", evaluation.checks);
    assert_eq!(evaluation.verdict, Verdict::Refuse);
}

#[test]
fn c7_one_that_says_nothing_is_refused() {
    let evaluation = evaluation(&[trial("a", good, |at| good(at) / 4.0)]);
    let failed = failed(&evaluation);
    for name in ["alerts", "recall", "range-based F1", "incidents explained away", "recall, worst family"] {
        assert!(failed.contains(&name), "{name}: {failed:?}");
    }
}

#[test]
fn c15_one_that_explains_an_incident_away_is_refused() {
    // One incident of twenty-two, which no mean would miss.
    let blind = |at: usize| if (100..100 + LASTS).contains(&at) { 0.4 } else { good(at) };
    let trials: Vec<Trial> =
        (0..40).map(|number| trial(&format!("a{{n=\"{number}\"}}"), good, blind)).collect();
    let gate = Gate { max_loss: 0.2, ..Gate::default() };
    let evaluation = judged(&trials, Sides { champion: party(None), challenger: party(None) }, gate);
    assert_eq!(failed(&evaluation), ["incidents explained away"]);
    assert_eq!(evaluation.lost, ["1970-01-01 08:20:00"]);
    // Found in one series is found.
    let mut trials = trials;
    trials.push(trial("a", good, good));
    assert!(judged(&trials, evaluation.models, gate).lost.is_empty());
}

#[test]
fn c7_the_worst_family_counts_and_not_only_the_mean() {
    let half = |at: usize| if is_wrong(at) && (at / EVERY).is_multiple_of(2) { 0.4 } else { good(at) };
    let mut trials: Vec<Trial> =
        (0..60).map(|number| trial(&format!("good{{n=\"{number}\"}}"), good, good)).collect();
    trials.push(trial("bad", good, half));
    let evaluation = evaluation(&trials);
    assert_eq!(failed(&evaluation), ["recall, worst family"]);
    assert_eq!(evaluation.families[0].name, "bad");
    let reversed = |at: usize| if is_wrong(at) { 2.0 } else { 0.5 - good(at) };
    trials.pop();
    trials.push(trial("odd", good, reversed));
    assert_eq!(failed(&super::tests::evaluation(&trials)), ["rank correlation, worst family"]);
}

#[test]
fn c7_a_score_that_is_no_number_is_refused() {
    let evaluation = evaluation(&[trial("a", good, |at| if at == 333 { f64::NAN } else { good(at) })]);
    assert_eq!(failed(&evaluation), ["scores that are no numbers"]);
}

#[test]
fn c7_what_the_data_cannot_answer_is_answered_with_no() {
    let mut calm = trial("a", good, good);
    calm.events.clear();
    let evaluation = evaluation(&[calm]);
    let failed = failed(&evaluation);
    for name in ["incidents", "recall", "range-based F1", "VUS-PR", "recall, worst family"] {
        assert!(failed.contains(&name), "{name}: {failed:?}");
    }
    let short = judged(
        &[trial("a", good, good)],
        Sides { champion: party(None), challenger: party(None) },
        Gate { min_hours: 51.0, ..Gate::default() },
    );
    assert_eq!(super::tests::failed(&short), ["hours"]);
}

#[test]
fn c7_what_was_trained_on_is_no_test() {
    let models = Sides { champion: party(None), challenger: party(Some([-9_000_000, 1])) };
    assert_eq!(failed(&judged(&[trial("a", good, good)], models, Gate::default())), ["held back"]);
    let models = Sides { champion: party(Some([-9_000_000, 0])), challenger: party(None) };
    assert_eq!(judged(&[trial("a", good, good)], models, Gate::default()).verdict, Verdict::Promote);
    // What comes long before the training is none of it, and who does not say is not believed.
    let models = Sides { champion: party(None), challenger: party(Some([i64::MAX - 9, i64::MAX])) };
    assert_eq!(judged(&[trial("a", good, good)], models, Gate::default()).verdict, Verdict::Promote);
    let models = Sides { champion: party(None), challenger: Party { is_builtin: false, ..party(None) } };
    assert_eq!(failed(&judged(&[trial("a", good, good)], models, Gate::default())), ["held back"]);
}

#[test]
fn c7_one_that_is_mute_in_a_family_is_refused() {
    let mut trials: Vec<Trial> =
        (0..60).map(|number| trial(&format!("good{{n=\"{number}\"}}"), good, good)).collect();
    let mut mute = trial("mute", good, |_| 0.0);
    mute.events.clear();
    trials.push(mute);
    let failed = failed(&evaluation(&trials));
    assert_eq!(failed, ["rank correlation, worst family", "alerts, worst family"]);
}

#[test]
fn c7_incidents_count_and_not_the_series_that_they_are_in() {
    let mut trials: Vec<Trial> =
        (0..9).map(|number| trial(&format!("a{{n=\"{number}\"}}"), good, good)).collect();
    trials.iter_mut().for_each(|trial| trial.events.truncate(4));
    assert!(failed(&evaluation(&trials)).contains(&"incidents"));
}

#[test]
fn c7_a_slow_one_is_refused() {
    let mut evaluation = evaluation(&[trial("a", good, good)]);
    evaluation.time_ns = Sides { champion: 100.0, challenger: 151.0 };
    let checks = Gate::default().judge(&evaluation);
    assert!(checks.iter().any(|check| check.name == "time a sample" && !check.passed), "{checks:?}");
}

#[test]
fn it_is_told_as_text_and_as_a_page_that_needs_nothing_else() {
    let evaluation = evaluation(&[trial("a", good, good), trial("b", good, |_| 0.1)]);
    let text = evaluation.to_string();
    for told in ["incidents found", "11 of 22", "verdict: refuse", "NO", "worst family"] {
        assert!(text.contains(told), "{told}\n{text}");
    }
    let mut page = Vec::new();
    evaluation.write_page(&mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    for foreign in ["http:", "https:", "<script", "src=", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(
        page.contains("verdict: refuse") && page.contains("<polyline") && page.contains("rank correlation")
    );
    let json: serde_json::Value = serde_json::to_value(&evaluation).unwrap();
    assert_eq!((&json["verdict"], &json["measures"]["champion"]["found"]), (&"refuse".into(), &22.into()));
}
