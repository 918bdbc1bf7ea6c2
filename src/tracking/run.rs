//! What a run is told: parameters, tags and metrics, in requests of no more than MLflow takes.

use super::api::{Metric, Run, pairs_of};
use super::client::{Client, Result};

/// What MLflow takes in one request.
const METRICS: usize = 1000;
const PAIRS: usize = 100;
/// Characters that MLflow keeps of a value; more are cut off here, where it can be seen.
const PARAM: usize = 6000;
const TAG: usize = 5000;

// === impl Client ===

impl Client {
    /// Logs values of an evaluation, each with its step, such as those of a day or a part of the data.
    ///
    /// To log the same values again, at the same steps and times, changes nothing.
    ///
    /// # Errors
    ///
    /// MLflow does not answer, or refuses.
    pub async fn log_evaluation(&self, run: &Run, metrics: &[Metric]) -> Result<()> {
        for metrics in metrics.chunks(METRICS) {
            self.log_batch(run, "metrics", &metrics).await?;
        }
        Ok(())
    }

    /// Logs what was decided beforehand. MLflow refuses another value of a parameter that it has.
    pub(super) async fn log_params(&self, run: &Run, params: &[(String, String)]) -> Result<()> {
        self.log_pairs(run, "params", params, PARAM).await
    }

    pub(super) async fn log_tags(&self, run: &Run, tags: &[(String, String)]) -> Result<()> {
        self.log_pairs(run, "tags", tags, TAG).await
    }

    async fn log_pairs(&self, run: &Run, kind: &str, pairs: &[(String, String)], most: usize) -> Result<()> {
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.clone(), cut(value, most))).collect();
        for pairs in pairs.chunks(PAIRS) {
            self.log_batch(run, kind, &pairs_of(pairs)).await?;
        }
        Ok(())
    }
}

/// `text`, of `most` characters at most.
fn cut(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_and_shows_it() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
    }
}
