//! What an evaluation found of a challenger, day by day.

use super::client::Result;
use super::{Client, Metric, Telling, tag};
use crate::evaluate::{Evaluation, Measures, Sides};

// === impl Client ===

impl Client {
    /// Puts what `evaluation` found into the run of the challenger, which is made if there is none, and gives the run's name. Step 0 of a metric is the
    /// first day that was judged, or the whole where the metric's name ends in `.all`.
    ///
    /// # Errors
    ///
    /// MLflow does not answer, or refuses.
    pub async fn tell_of(&self, evaluation: &Evaluation, telling: &Telling) -> Result<String> {
        let experiment = self.experiment(&telling.experiment).await?;
        let candidate = &evaluation.models.challenger.candidate;
        let run = match self.find_run(&experiment, candidate).await? {
            Some(run) => run,
            None => {
                let first_digits: String = candidate.chars().take(12).collect();
                let name =
                    telling.run_name.clone().unwrap_or_else(|| format!("evaluation of {first_digits}"));
                self.create_run(&experiment, &name, telling.start_ms, candidate).await?
            }
        };
        self.log_evaluation(&run, &metrics(evaluation, telling.now_ms)).await?;
        let mut tags = telling.tags.clone();
        tags.push((tag::VERDICT.to_owned(), evaluation.verdict.to_string()));
        self.log_tags(&run, &tags).await?;
        Ok(run.id)
    }
}

fn metrics(evaluation: &Evaluation, at_ms: i64) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for (step, day) in (0..).zip(&evaluation.days) {
        add(&mut metrics, "", &day.measures, step, at_ms);
    }
    add(&mut metrics, ".all", &evaluation.measures, 0, at_ms);
    let whole =
        [("rank_correlation.all", evaluation.rank_correlation), ("time_ratio.all", evaluation.time_ratio())];
    for (key, value) in whole {
        metrics.extend(value.map(|value| Metric { key: key.to_owned(), value, at_ms, step: 0 }));
    }
    metrics
}

/// What is not known of a day has no value there.
fn add(metrics: &mut Vec<Metric>, suffix: &str, measures: &Sides<Measures>, step: i64, at_ms: i64) {
    for (side, of) in [("champion", &measures.champion), ("challenger", &measures.challenger)] {
        let values = [
            ("recall", of.recall),
            ("precision", of.precision),
            ("f1", of.f1),
            ("range_f1", of.range_f1),
            ("vus_pr", of.vus_pr),
            ("delay_seconds", of.delay_s),
            ("alerts", Some(of.alerts as f64)),
            ("false_alerts", Some(of.false_alerts as f64)),
        ];
        let metric = |(name, value): (&str, Option<f64>)| {
            Some(Metric { key: format!("{side}.{name}{suffix}"), value: value?, at_ms, step })
        };
        metrics.extend(values.into_iter().filter_map(metric));
    }
}
