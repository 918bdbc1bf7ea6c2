//! From a bundle to a run, a version and its alias.

use bytes::Bytes;

use super::api::{Metric, Version};
use super::client::{Client, Result};
use super::{CHALLENGER, tag};
use crate::model::bundle::{Bundle, Digest, Manifest};

/// What is told of a candidate that does not stand in its bundle.
#[derive(Clone, Debug)]
pub struct Telling {
    /// The name of the experiment; one that there is not is made.
    pub experiment: String,
    /// What the run is called; the model and the first digits of the candidate by default.
    pub run_name: Option<String>,
    /// Further tags of the run and the version.
    pub tags: Vec<(String, String)>,
    /// When what made the candidate began, in milliseconds since the epoch.
    pub start_ms: i64,
    /// The time.
    pub now_ms: i64,
}

/// What MLflow knows now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The run, if it was told just now.
    pub run: Option<String>,
    /// The version of the registered model.
    pub version: u64,
    /// Whether that version is challenger.
    pub challenger: bool,
}

/// The folder of a run's artifacts in which the bundle lies.
const FOLDER: &str = "model";
/// What a bundle counts, among all else of its lineage.
const COUNTS: [&str; 3] = ["series", "windows", "masked"];
/// The lineage by these names is told in tags, or does not belong to a candidate.
const NO_PARAMS: [&str; 3] = ["recipe", "episode", "reason"];
const DAY_MS: f64 = 86_400_000.0;

/// The digest that names `bundle` in a store as long as nobody has signed it.
pub fn candidate_of(bundle: &Bundle) -> Digest {
    Bundle::of(bundle.manifest.clone(), bundle.blobs.clone(), None).sha256()
}

// === impl Client ===

impl Client {
    /// Tells all of a candidate: run, parameters, metrics, tags, artifacts, version and alias. What was told before is not told
    /// again, and what was begun is ended.
    ///
    /// The version carries the candidate's name from its first moment, and comes after all else of the run: whoever is
    /// interrupted before finds the run again, and whoever is interrupted behind finds the version.
    ///
    /// # Errors
    ///
    /// MLflow does not answer, or refuses. What it was told until then stays.
    pub async fn record(&self, bundle: &Bundle, telling: &Telling) -> Result<Recorded> {
        let candidate = candidate_of(bundle).to_string();
        let model = &bundle.manifest.model;
        if let Some(version) = self.find_version(model, &candidate).await? {
            let challenger = self.challenge(model, &version).await?;
            return Ok(Recorded { run: None, version: version.number, challenger });
        }
        let experiment = self.experiment(&telling.experiment).await?;
        let run = match self.find_run(&experiment, &candidate).await? {
            Some(run) => run,
            None => {
                let own = || format!("{model}-{}", candidate_of(bundle).short());
                let name = telling.run_name.clone().unwrap_or_else(own);
                self.create_run(&experiment, &name, telling.start_ms, &candidate).await?
            }
        };
        let tags = tags(&bundle.manifest, &candidate, &telling.tags);
        self.log_params(&run, &params(&bundle.manifest)).await?;
        self.log_evaluation(&run, &metrics(&bundle.manifest)).await?;
        self.log_tags(&run, &tags).await?;
        for (name, content) in files(bundle) {
            self.upload(&run, &format!("{FOLDER}/{name}"), content).await?;
        }
        self.end_run(&run, telling.now_ms).await?;
        self.register(model).await?;
        let version = self.create_version(model, &run, FOLDER, &tags).await?;
        let challenger = self.challenge(model, &version).await?;
        Ok(Recorded { run: Some(run.id), version: version.number, challenger })
    }

    /// Has a version be challenger that never was champion, unless a newer one is either. Says whether it is.
    async fn challenge(&self, model: &str, version: &Version) -> Result<bool> {
        if version.tags.contains_key(tag::PROMOTION_ID) {
            return Ok(false);
        }
        let aliases = self.aliases(model).await?;
        if aliases.values().any(|newer| *newer > version.number) {
            return Ok(false);
        }
        if aliases.get(CHALLENGER) != Some(&version.number) {
            self.set_alias(model, CHALLENGER, version.number).await?;
        }
        Ok(true)
    }
}

/// All that was decided before the data was looked at.
fn params(manifest: &Manifest) -> Vec<(String, String)> {
    let decided = |name: &str| !COUNTS.contains(&name) && !NO_PARAMS.contains(&name);
    let lineage = manifest.lineage.iter().filter(|(name, _)| decided(name));
    let own = [("model", &manifest.model), ("schema", &manifest.schema)];
    let own = own.map(|(name, value)| (name.to_owned(), value.clone()));
    own.into_iter().chain(lineage.map(|(name, value)| (name.clone(), value.clone()))).collect()
}

/// What came of it, as of when the bundle was made: so it is the same however often it is told.
fn metrics(manifest: &Manifest) -> Vec<Metric> {
    let metric =
        |key: &str, value| Metric { key: key.to_owned(), value, at_ms: manifest.created_ms, step: 0 };
    let count = |key: &&str| manifest.lineage.get(*key)?.parse().ok().map(|value| metric(key, value));
    let mut metrics: Vec<Metric> = COUNTS.iter().filter_map(count).collect();
    metrics.push(metric("bundle_bytes", manifest.bytes() as f64));
    metrics.push(metric("alerts_a_week", manifest.calibration.alerts_a_week));
    if let Some([from, to]) = manifest.window_ms {
        metrics.push(metric("data_days", to.saturating_sub(from) as f64 / DAY_MS));
    }
    metrics
}

/// The lineage, and what was asked for beside it, which wins.
fn tags(manifest: &Manifest, candidate: &str, further: &[(String, String)]) -> Vec<(String, String)> {
    let lineage = |name: &str| manifest.lineage.get(name).cloned();
    let window = manifest.window_ms.map(|window| window.map(instant).join("/"));
    let parent = manifest.parent.map(|parent| format!("{} {}", parent.version, parent.sha256));
    let own = [
        (tag::CANDIDATE, Some(candidate.to_owned())),
        (tag::DATA_WINDOW, window),
        (tag::PARENT, parent),
        (tag::EPISODE, lineage("episode")),
        ("mlflow.source.name", lineage("recipe")),
        ("mlflow.source.type", Some("LOCAL".to_owned())),
    ];
    let own = own.into_iter().filter(|(name, _)| !further.iter().any(|(asked, _)| asked == name));
    let own = own.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    own.chain(further.iter().cloned()).collect()
}

/// A moment as ISO 8601 has it, in UTC and to the millisecond.
fn instant(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |at| at.to_string())
}

/// The files of a bundle, as they lie in its folder.
fn files(bundle: &Bundle) -> impl Iterator<Item = (String, Bytes)> {
    let blobs =
        bundle.blobs.iter().map(|(digest, bytes)| (digest.to_string(), Bytes::copy_from_slice(bytes)));
    blobs.chain([("manifest".to_owned(), Bytes::copy_from_slice(&bundle.signed))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Hybrid;
    use crate::model::bundle::{Origin, Parent};

    fn manifest() -> Manifest {
        let lineage = [("recipe", "sidelong train"), ("seed", "7"), ("series", "12"), ("episode", "e-1")];
        let origin = Origin {
            model: "m".to_owned(),
            created_ms: 5,
            window_ms: Some([0, 86_400_000 * 3]),
            parent: Some(Parent { version: 4, sha256: Digest([0xab; 32]) }),
            lineage: lineage.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Origin::default()
        };
        Bundle::candidate(&Hybrid::default(), origin).manifest
    }

    #[test]
    fn what_was_decided_is_a_parameter_and_what_came_of_it_a_metric() {
        let manifest = manifest();
        let params = params(&manifest);
        let names: Vec<&str> = params.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["model", "schema", "seed"]);
        let metrics = metrics(&manifest);
        let value = |key: &str| metrics.iter().find(|metric| metric.key == key).map(|metric| metric.value);
        assert_eq!((value("series"), value("data_days"), value("masked")), (Some(12.0), Some(3.0), None));
        assert!(metrics.iter().all(|metric| (metric.at_ms, metric.step) == (5, 0)));
    }

    #[test]
    fn the_lineage_stands_in_tags_and_what_is_asked_for_wins() {
        let further = [("mlflow.source.name".to_owned(), "nightly".to_owned())];
        let tags: std::collections::BTreeMap<_, _> =
            tags(&manifest(), "c0ffee", &further).into_iter().collect();
        assert_eq!(tags[tag::DATA_WINDOW], "1970-01-01T00:00:00Z/1970-01-04T00:00:00Z");
        assert_eq!(tags[tag::PARENT], format!("4 {}", "ab".repeat(32)));
        assert_eq!((tags[tag::EPISODE].as_str(), tags[tag::CANDIDATE].as_str()), ("e-1", "c0ffee"));
        assert_eq!(tags["mlflow.source.name"], "nightly");
    }
}
