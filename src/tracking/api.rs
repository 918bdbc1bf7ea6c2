//! What is asked of MLflow, one function for each question.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::client::{Client, Result, TrackingError};
use super::{CHAMPION, number, tag};

/// A run of an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its name in MLflow's addresses.
    pub id: String,
    /// Where its artifacts lie, as MLflow says it.
    pub artifacts: String,
}

/// A version of a registered model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number there; the store counts its own.
    pub number: u64,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A value of a metric at a step, such as a day that was evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// What it is called.
    pub key: String,
    /// Its value; NaN and infinity may be.
    #[serde(with = "number")]
    pub value: f64,
    /// When, in milliseconds since the epoch.
    #[serde(rename = "timestamp")]
    pub at_ms: i64,
    /// Which step, from 0.
    #[serde(default)]
    pub step: i64,
}

/// A tag or a parameter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pair {
    key: String,
    #[serde(default)]
    value: String,
}

/// Which aliases a model has, and on which versions.
pub(super) type Aliases = BTreeMap<String, u64>;

#[derive(Deserialize)]
struct ExperimentId {
    experiment_id: String,
}

#[derive(Deserialize)]
struct Experiment {
    experiment: ExperimentId,
}

#[derive(Deserialize)]
struct RawRun {
    info: RunInfo,
}

#[derive(Deserialize)]
struct RunInfo {
    run_id: String,
    artifact_uri: String,
}

#[derive(Deserialize)]
struct OneRun {
    run: RawRun,
}

#[derive(Deserialize)]
struct Runs {
    #[serde(default)]
    runs: Vec<RawRun>,
}

#[derive(Deserialize)]
struct RawVersion {
    name: String,
    #[serde(deserialize_with = "number_of")]
    version: u64,
    #[serde(default)]
    tags: Vec<Pair>,
}

#[derive(Deserialize)]
struct OneVersion {
    model_version: RawVersion,
}

#[derive(Deserialize)]
struct Versions {
    #[serde(default)]
    model_versions: Vec<RawVersion>,
}

#[derive(Deserialize)]
struct OneModel {
    registered_model: RegisteredModel,
}

#[derive(Deserialize)]
struct RegisteredModel {
    #[serde(default)]
    aliases: Vec<Alias>,
}

#[derive(Deserialize)]
struct Alias {
    alias: String,
    #[serde(deserialize_with = "number_of")]
    version: u64,
}

#[derive(Deserialize)]
struct History {
    #[serde(default)]
    metrics: Vec<Metric>,
    next_page_token: Option<String>,
}

const EXISTS: &str = "RESOURCE_ALREADY_EXISTS";
const ABSENT: &str = "RESOURCE_DOES_NOT_EXIST";
/// Values of a page of a metric's history, and pages that are read.
const PAGE: &str = "10000";
const PAGES: usize = 100;

// === impl Client ===

impl Client {
    /// The experiment called `name`, which is made where there is none.
    ///
    /// # Errors
    ///
    /// MLflow does not answer, or refuses.
    pub async fn experiment(&self, name: &str) -> Result<String> {
        if let Some(id) = self.find_experiment(name).await? {
            return Ok(id);
        }
        match self.post("mlflow/experiments/create", &json!({ "name": name })).await {
            Ok(ExperimentId { experiment_id }) => Ok(experiment_id),
            // Somebody else was faster.
            Err(error) if error.is(EXISTS) => self.find_experiment(name).await?.ok_or(error),
            Err(error) => Err(error),
        }
    }

    async fn find_experiment(&self, name: &str) -> Result<Option<String>> {
        let found: Option<Experiment> =
            present(self.get("mlflow/experiments/get-by-name", &[("experiment_name", name)]).await)?;
        Ok(found.map(|found| found.experiment.experiment_id))
    }

    /// The run in `experiment`, an id, that tells of `candidate`.
    ///
    /// # Errors
    ///
    /// MLflow does not answer, or refuses.
    pub async fn find_run(&self, experiment: &str, candidate: &str) -> Result<Option<Run>> {
        let filter = of_candidate(candidate);
        let body = json!({ "experiment_ids": [experiment], "filter": filter, "max_results": 1 });
        let found: Runs = self.post("mlflow/runs/search", &body).await?;
        Ok(found.runs.into_iter().next().map(Run::from))
    }

    /// Begins a run in `experiment`, an id.
    ///
    /// # Errors
    ///
    /// MLflow does not answer, or refuses.
    pub async fn create_run(
        &self,
        experiment: &str,
        name: &str,
        start_ms: i64,
        candidate: &str,
    ) -> Result<Run> {
        let tags = pairs([(tag::CANDIDATE, candidate)]);
        let body =
            json!({ "experiment_id": experiment, "run_name": name, "start_time": start_ms, "tags": tags });
        let begun: OneRun = self.post("mlflow/runs/create", &body).await?;
        Ok(begun.run.into())
    }

    pub(super) async fn end_run(&self, run: &Run, end_ms: i64) -> Result<()> {
        let body = json!({ "run_id": run.id, "status": "FINISHED", "end_time": end_ms });
        self.told("mlflow/runs/update", &body).await
    }

    /// One request of [`Client::log_evaluation`] and its like: what it may hold is for the caller to know.
    pub(super) async fn log_batch(&self, run: &Run, kind: &str, items: &impl Serialize) -> Result<()> {
        self.told("mlflow/runs/log-batch", &json!({ "run_id": run.id, kind: items })).await
    }

    /// All values that the run has of a metric, with their steps.
    ///
    /// # Errors
    ///
    /// MLflow does not answer, or refuses.
    pub async fn history(&self, run: &Run, key: &str) -> Result<Vec<Metric>> {
        let mut metrics = Vec::new();
        let mut token = String::new();
        for _ in 0..PAGES {
            let mut query = vec![("run_id", run.id.as_str()), ("metric_key", key), ("max_results", PAGE)];
            if !token.is_empty() {
                query.push(("page_token", &token));
            }
            let page: History = self.get("mlflow/metrics/get-history", &query).await?;
            metrics.extend(page.metrics);
            match page.next_page_token.filter(|next| !next.is_empty()) {
                Some(next) => token = next,
                None => break,
            }
        }
        Ok(metrics)
    }

    /// Puts a file among the artifacts of a run, by way of the server.
    pub(super) async fn upload(&self, run: &Run, name: &str, content: Bytes) -> Result<()> {
        let served = run.artifacts.strip_prefix("mlflow-artifacts:");
        let served = served.ok_or_else(|| TrackingError::NotServed(run.artifacts.clone()))?;
        // With a host it is `//HOST/PATH`; the host is the server's own.
        let path = match served.strip_prefix("//") {
            Some(with_host) => with_host.split_once('/').map_or("", |(_, path)| path),
            None => served.trim_start_matches('/'),
        };
        self.put(&format!("mlflow-artifacts/artifacts/{path}/{name}"), content).await
    }

    /// Makes a registered model, if there is none of this name.
    pub(super) async fn register(&self, model: &str) -> Result<()> {
        match self.told("mlflow/registered-models/create", &json!({ "name": model })).await {
            Err(error) if error.is(EXISTS) => Ok(()),
            created => created,
        }
    }

    /// The version of `model` that tells of `candidate`; the newest, should there be several.
    ///
    /// # Errors
    ///
    /// MLflow does not answer, or refuses.
    pub async fn find_version(&self, model: &str, candidate: &str) -> Result<Option<Version>> {
        let filter = of_candidate(candidate);
        let query = [("filter", filter.as_str()), ("max_results", "100")];
        let found: Versions = self.get("mlflow/model-versions/search", &query).await?;
        let of_model = found.model_versions.into_iter().filter(|version| version.name == model);
        Ok(of_model.map(Version::from).max_by_key(|version| version.number))
    }

    pub(super) async fn create_version(
        &self,
        model: &str,
        run: &Run,
        folder: &str,
        tags: &[(String, String)],
    ) -> Result<Version> {
        let source = format!("{}/{folder}", run.artifacts);
        let body = json!({ "name": model, "source": source, "run_id": run.id, "tags": pairs_of(tags) });
        let made: OneVersion = self.post("mlflow/model-versions/create", &body).await?;
        Ok(made.model_version.into())
    }

    pub(super) async fn tag_version(&self, model: &str, number: u64, key: &str, value: &str) -> Result<()> {
        let body = json!({ "name": model, "version": number.to_string(), "key": key, "value": value });
        self.told("mlflow/model-versions/set-tag", &body).await
    }

    pub(super) async fn aliases(&self, model: &str) -> Result<Aliases> {
        let found: OneModel = self.get("mlflow/registered-models/get", &[("name", model)]).await?;
        Ok(found.registered_model.aliases.into_iter().map(|alias| (alias.alias, alias.version)).collect())
    }

    /// Puts an alias on a version, whichever had it.
    pub(super) async fn set_alias(&self, model: &str, alias: &str, number: u64) -> Result<()> {
        let body = json!({ "name": model, "alias": alias, "version": number.to_string() });
        self.told("mlflow/registered-models/alias", &body).await
    }

    pub(super) async fn delete_alias(&self, model: &str, alias: &str) -> Result<()> {
        self.delete("mlflow/registered-models/alias", &json!({ "name": model, "alias": alias })).await
    }

    pub(super) async fn champion(&self, model: &str) -> Result<Version> {
        let query = [("name", model), ("alias", CHAMPION)];
        let found: OneVersion = self.get("mlflow/registered-models/alias", &query).await?;
        Ok(found.model_version.into())
    }

    /// A request whose answer says nothing more than that all is well.
    async fn told(&self, path: &str, body: &impl Serialize) -> Result<()> {
        self.post::<IgnoredAny>(path, body).await.map(drop)
    }
}

/// Nothing where MLflow says that there is none.
fn present<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Err(error) if error.is(ABSENT) => Ok(None),
        answer => answer.map(Some),
    }
}

/// What selects by the name of a candidate, which is of hexadecimal digits alone.
fn of_candidate(candidate: &str) -> String {
    let digits: String = candidate.chars().filter(char::is_ascii_hexdigit).collect();
    format!("tags.`{}` = '{digits}'", tag::CANDIDATE)
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<Pair> {
    pairs.map(|(key, value)| Pair { key: key.to_owned(), value: value.to_owned() }).into()
}

pub(super) fn pairs_of(pairs: &[(String, String)]) -> Vec<Pair> {
    pairs.iter().map(|(key, value)| Pair { key: key.clone(), value: value.clone() }).collect()
}

/// Versions are numbers, and MLflow writes them as texts.
fn number_of<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<u64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

// === impl Run, Version ===

impl From<RawRun> for Run {
    fn from(run: RawRun) -> Self {
        Self { id: run.info.run_id, artifacts: run.info.artifact_uri }
    }
}

impl From<RawVersion> for Version {
    fn from(version: RawVersion) -> Self {
        let tags = version.tags.into_iter().map(|Pair { key, value }| (key, value)).collect();
        Self { number: version.version, tags }
    }
}
