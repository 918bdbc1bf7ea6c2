//! Who keeps the metrics that pass, if anybody does.

use std::sync::Arc;

use prometheus_client::registry::Registry;

use crate::config::sections::Archive;
use crate::inject::Keep;

#[cfg(feature = "archive")]
pub(super) use crate::archive::Keeper;

/// Nobody: this binary has no archive.
#[cfg(not(feature = "archive"))]
pub(super) enum Keeper {}

/// Begins to keep, if `section` says where.
///
/// # Errors
/// The folder is none: a mistyped name must not fill another disk.
#[cfg(feature = "archive")]
pub(super) fn open(section: &Archive, registry: &mut Registry) -> anyhow::Result<Option<Keeper>> {
    use crate::archive::{Depot, Options, Retention};
    use crate::model::store::Store;
    use anyhow::Context as _;

    let Some(place) = &section.store else { return Ok(None) };
    let store = Store::open(place).context("archive.store")?;
    anyhow::ensure!(
        !matches!(store, Store::Folder(_)) || std::path::Path::new(place).is_dir(),
        "archive.store: {place} is no folder; make it, or correct the name"
    );
    let options = Options {
        flush_interval: section.flush_interval.get(),
        shards: section.shards,
        retention: Retention { age: section.retention.get(), bytes: section.max_size.as_bytes() },
        memory_limit: section.memory_limit.as_usize(),
        clock: super::unix_millis,
    };
    let keeper = Depot::new(store).and_then(|depot| Keeper::start(depot, options, registry));
    keeper.map(Some).context("cannot start the threads of the archive")
}

/// Refuses to keep: this binary has no archive.
#[cfg(not(feature = "archive"))]
pub(super) fn open(section: &Archive, _: &mut Registry) -> anyhow::Result<Option<Keeper>> {
    anyhow::ensure!(
        section.store.is_none(),
        "archive.store: the archive is not in this binary; build it with the feature archive, or leave the store out"
    );
    Ok(None)
}

/// Whom the corridor hands what it has heard.
pub(super) fn ear(keeper: Option<&Keeper>) -> Option<Arc<dyn Keep>> {
    #[cfg(feature = "archive")]
    return keeper.map(Keeper::ear);
    #[cfg(not(feature = "archive"))]
    keeper.map(|keeper| match *keeper {})
}

/// Has what is left written.
pub(super) async fn finish(keeper: Option<Keeper>) {
    #[cfg(feature = "archive")]
    if let Some(keeper) = keeper
        && tokio::task::spawn_blocking(|| keeper.finish()).await.is_err()
    {
        tracing::error!("the archive broke; what it held is lost");
    }
    #[cfg(not(feature = "archive"))]
    let _ = keeper;
}
