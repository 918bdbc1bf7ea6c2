//! What MLflow is told of a candidate that was just written.

use std::path::Path;

use anyhow::bail;
use clap::Args;

use crate::cli::model::now_ms;
use crate::cli::source::runtime;
use crate::cli::tracking::{RunArgs, ServerArgs, later, report, warn};
use crate::model::bundle::Bundle;
use crate::tracking::{Client, Telling, commit_of, tag};

/// Who is told of what comes of it, and what led to it.
#[derive(Clone, Debug, Args)]
pub(super) struct TrackingArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    run: RunArgs,
    /// The anomaly that led to this training, by whatever name it has elsewhere: it stands in the lineage of the bundle, in the
    /// promotion log and in MLflow.
    #[arg(long, value_name = "ID", value_parser = episode)]
    episode: Option<String>,
}

/// A run under way, of which MLflow is told when the candidate is there.
#[derive(Debug)]
pub(super) struct Tracking<'a> {
    args: &'a TrackingArgs,
    client: Client,
    start_ms: i64,
    commit: Option<String>,
}

/// Of the name of an episode.
const LONGEST: usize = 200;

fn episode(text: &str) -> Result<String, String> {
    let is_name = (1..=LONGEST).contains(&text.len()) && !text.chars().any(char::is_control);
    let name = is_name.then(|| text.to_owned());
    name.ok_or_else(|| format!("an episode is called by 1 to {LONGEST} characters on one line"))
}

// === impl TrackingArgs ===

impl TrackingArgs {
    /// Begins what MLflow will be told of, if it is to be told. Nothing that is wrong here is to be found after hours of training.
    pub(super) fn begin(&self) -> anyhow::Result<Option<Tracking<'_>>> {
        let Some(client) = self.server.client()? else { return Ok(None) };
        let commit = std::env::current_dir().ok().and_then(|folder| commit_of(&folder));
        Ok(Some(Tracking { args: self, client, start_ms: now_ms(), commit }))
    }

    /// What led to the training.
    pub(super) fn episode(&self) -> Option<&str> {
        self.episode.as_deref()
    }

    /// A part is no candidate: what is told of one belongs to `train merge`.
    pub(super) fn ensure_none(&self) -> anyhow::Result<()> {
        match self.episode.as_ref().map(|_| "--episode").or_else(|| self.run.given()) {
            Some(option) => bail!(
                "{option} says something of a candidate, and --shard makes none; give it to `train merge`"
            ),
            None => Ok(()),
        }
    }
}

// === impl Tracking ===

impl Tracking<'_> {
    /// Tells MLflow of the candidate in `folder`. It stays what it is if MLflow cannot be told.
    pub(super) fn tell(&self, bundle: &Bundle, folder: &Path) {
        let mut telling = self.args.run.telling(self.start_ms);
        let is_told = telling.tags.iter().any(|(key, _)| key == tag::GIT_COMMIT);
        if let Some(commit) = self.commit.as_ref().filter(|_| !is_told) {
            telling.tags.push((tag::GIT_COMMIT.to_owned(), commit.clone()));
        }
        match self.record(bundle, &telling) {
            Ok(recorded) => report(&bundle.manifest.model, &recorded),
            Err(error) => {
                let tags: Vec<_> = telling.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
                let (url, folder) =
                    (self.args.server.url().unwrap_or_default(), folder.display().to_string());
                warn("the candidate is whole", &error, &later(url, &telling, &tags, &folder));
            }
        }
    }

    fn record(&self, bundle: &Bundle, telling: &Telling) -> anyhow::Result<crate::tracking::Recorded> {
        runtime()?.block_on(self.client.record(bundle, telling)).map_err(Into::into)
    }
}
