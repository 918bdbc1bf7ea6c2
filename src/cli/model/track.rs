//! `sidelong model track`, and what MLflow is told of a promotion.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;

use super::{Place, now_ms, read};
use crate::cli::tracking::{RunArgs, ServerArgs, report, warn};
use crate::model::bundle::{Measure, Trust};
use crate::model::registry::{Registry, promoted};
use crate::tracking::Client;

/// Tell an MLflow server of a candidate, or of the champion of a store.
///
/// It is what `train`, `promote` and `rollback` do with --mlflow, for when MLflow was down then. To tell it twice changes nothing: a
/// candidate is known by its SHA-256, and has one run and one version.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Track {
    /// The bundle of the candidate.
    #[arg(value_name = "FOLDER", required_unless_present = "store", conflicts_with = "store")]
    bundle: Option<PathBuf>,
    /// Tell of the champion of this store, registering it where that is missing: a folder, or s3://BUCKET/PREFIX.
    #[arg(long, value_name = "FOLDER|URL")]
    store: Option<String>,
    /// Which of the store's models.
    #[arg(long, value_name = "NAME", default_value = "sidelong")]
    name: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    run: RunArgs,
}

const EXAMPLES: &str = "\
Examples:
  sidelong model track --mlflow http://mlflow:5000 candidate
  sidelong model track --mlflow http://mlflow:5000 --experiment nightly --tag team=infra candidate
  sidelong model track --mlflow http://mlflow:5000 --store s3://models/prod";

/// Bundles in stores with more MiB are not looked at.
const MAX_SIZE: u64 = 16;

// === impl Track ===

impl Track {
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        let client = self.server.wanted()?;
        match &self.store {
            Some(store) => self.champion(&client, store).await,
            None => self.candidate(&client).await,
        }
    }

    async fn candidate(&self, client: &Client) -> anyhow::Result<()> {
        let folder = self.bundle.as_deref().context("give the folder of a bundle, or --store")?;
        let bundle = read(folder)?;
        let manifest = &bundle.manifest;
        ensure!(
            manifest.version == 0,
            "{} holds version {} of a store, which is no candidate; tell of it with --store",
            folder.display(),
            manifest.version
        );
        let trust = Trust::default();
        let (model, max_bytes) = (manifest.model.as_str(), u64::MAX);
        let measure = Measure { model, trust: &trust, newest: 0, now_ms: now_ms(), max_bytes, served: false };
        bundle.inspect(&measure).with_context(|| format!("{} is refused", folder.display()))?;
        report(model, &client.record(&bundle, &self.run.telling(now_ms())).await?);
        Ok(())
    }

    async fn champion(&self, client: &Client, store: &str) -> anyhow::Result<()> {
        let place = Place { store: store.to_owned(), name: self.name.clone(), max_size: MAX_SIZE };
        let registry = place.registry()?;
        let champion = registry.champion().await?;
        let champion = champion.context("nobody was ever champion; `sidelong model promote` makes one")?;
        let log = registry.log().await?;
        let candidate = promoted(&log, champion).context("the promotion log does not say who is champion")?;
        let bundle = registry.candidate(candidate).await?;
        report(&self.name, &client.record(&bundle, &self.run.telling(now_ms())).await?);
        crown(client, &registry).await
    }
}

/// Tells MLflow who is champion by now. The store has said so already: what fails here changes nothing there.
pub(super) async fn tell_of_champion(
    server: &ServerArgs,
    client: Option<Client>,
    place: &Place,
    registry: &Registry,
) {
    let Some(client) = client else { return };
    if let Err(error) = crown(&client, registry).await {
        let mut later = vec!["sidelong", "model", "track", "--mlflow", server.url().unwrap_or_default()];
        later.extend(["--store", &place.store]);
        if place.name != "sidelong" {
            later.extend(["--name", &place.name]);
        }
        warn("the promotion stands", &error, &later);
    }
}

/// Moves the alias to the version of whoever the store has as champion.
async fn crown(client: &Client, registry: &Registry) -> anyhow::Result<()> {
    let (champion, log) = (registry.champion().await?, registry.log().await?);
    let entry = log.iter().find(|entry| Some(entry.version) == champion);
    let told = entry.and_then(|entry| Some((entry, promoted(&log, entry.version)?)));
    let (entry, candidate) = told.context("the promotion log does not say who is champion")?;
    let number = client.crown(registry.model(), candidate, entry).await?;
    println!("MLflow: version {number} of {} is champion", registry.model());
    Ok(())
}
