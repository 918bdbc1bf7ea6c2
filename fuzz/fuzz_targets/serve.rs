//! Any bytes as the body of each path that answers with scores: no panic, and what is answered is numbers.

#![no_main]

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use sidelong::config::sections::Serving;
use sidelong::model::Model;
use sidelong::serve::{invocations, predict, read, score};

/// Small, so that a run sees many bodies.
fn limits() -> Serving {
    Serving { max_rows: 100, max_series: 4, max_samples: 400, ..Serving::default() }
}

fuzz_target!(|bytes: &[u8]| {
    static MODEL: OnceLock<Arc<Model>> = OnceLock::new();
    let model = MODEL.get_or_init(|| Arc::new(Model::builtin()));
    if let Ok(answer) = read(bytes).and_then(|features| predict::answer(model, &features)) {
        let said = &answer.prediction;
        assert!(said.score.is_finite() && said.score >= 0.0 && !said.parts.is_empty());
        assert!(said.parts.iter().all(|part| (0.0..=1.0).contains(&part.share)));
    }
    if let Ok(answer) = read(bytes).and_then(|request| score::answer(model, &limits(), &request)) {
        let samples = answer.series.iter().flat_map(|series| &series.samples);
        samples.for_each(|sample| assert!(sample.score.is_finite() && sample.score >= 0.0));
    }
    if let Ok(answer) = read(bytes).and_then(|invocation| invocations::answer(model, &limits(), invocation)) {
        let json = serde_json::to_value(&answer).expect("an answer is JSON");
        let scores = json["predictions"].as_array().expect("a list").iter().filter(|row| !row.is_null());
        scores.for_each(|row| assert!(row["score"].as_f64().is_some_and(|score| score >= 0.0)));
    }
});
