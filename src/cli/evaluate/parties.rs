//! Which models are judged.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;

use crate::cli::model::{MAX_BYTES, builtin, find, read, usable};
use crate::cli::source::runtime;
use crate::evaluate::{Party, Sides};
use crate::model::Model;
use crate::model::bundle::Bundle;
use crate::model::registry::Registry;
use crate::model::store::Store;
use crate::tracking::candidate_of;

/// Which models are judged.
#[derive(Clone, Debug, Args)]
pub(super) struct PartiesArgs {
    /// The model that would like to serve: a folder with a bundle, builtin, or with --store a candidate or a version.
    #[arg(long, value_name = "FOLDER|CANDIDATE|VERSION")]
    challenger: String,
    /// The model that serves. By default the champion of --store, and without one the one that is built in.
    #[arg(long, value_name = "FOLDER|VERSION|builtin")]
    champion: Option<String>,
    /// The store: a folder, or s3://BUCKET/PREFIX, with ?endpoint=URL&region=NAME for what is not of AWS.
    #[arg(long, value_name = "FOLDER|URL")]
    store: Option<String>,
    /// Which of the store's models.
    #[arg(long, value_name = "NAME", default_value = "sidelong")]
    name: String,
}

/// A model that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) party: Party,
    pub(super) model: Arc<Model>,
}

/// As it is asked for on the command line.
const BUILTIN: &str = "builtin";

// === impl PartiesArgs ===

impl PartiesArgs {
    /// Fetches both.
    pub(super) fn find(&self) -> anyhow::Result<Sides<Asked>> {
        let registry = self.store.as_deref().map(|store| {
            let store = Store::open(store).context("--store")?;
            Registry::new(store, &self.name, MAX_BYTES).context("--name")
        });
        let registry = registry.transpose()?;
        let champion = match (&self.champion, &registry) {
            (Some(which), _) => which.clone(),
            (None, Some(registry)) => match runtime()?.block_on(registry.champion())? {
                Some(version) => version.to_string(),
                None => BUILTIN.to_owned(),
            },
            (None, None) => BUILTIN.to_owned(),
        };
        Ok(Sides {
            champion: Asked::find(&champion, registry.as_ref()).context("--champion")?,
            challenger: Asked::find(&self.challenger, registry.as_ref()).context("--challenger")?,
        })
    }
}

// === impl Asked ===

impl Asked {
    fn find(which: &str, registry: Option<&Registry>) -> anyhow::Result<Self> {
        let bundle = if which == BUILTIN {
            builtin(BUILTIN)
        } else if Bundle::is_in(Path::new(which)) {
            read(Path::new(which))?
        } else if let Some(registry) = registry {
            runtime()?.block_on(find(registry, which))?
        } else {
            bail!("{which} is no folder with a bundle; a candidate or a version needs --store");
        };
        let model = usable(&bundle).with_context(|| format!("{which} cannot serve"))?;
        let party = Party {
            name: which.to_owned(),
            candidate: candidate_of(&bundle).to_string(),
            content: bundle.manifest.content().to_string(),
            is_builtin: bundle.manifest.content() == builtin(BUILTIN).manifest.content(),
            trained_on_ms: bundle.manifest.window_ms,
        };
        Ok(Self { party, model: Arc::new(model) })
    }
}
