//! Where the model that serves comes from, by a section `model`.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::house::unix_millis;
use crate::config::sections::ModelSection;
use crate::model::bundle::{Bundle, Measure};
use crate::model::local::Local;
use crate::model::metrics::ModelMetrics;
use crate::model::registry::Registry;
use crate::model::store::Store;
use crate::model::watcher::{Following, Watcher, boot};
use crate::model::{Model, ModelSlot, Source};
use crate::pipeline::Totals;

/// The model that serves first; needs no store.
///
/// # Errors
/// The folder of local models is none.
pub(super) fn first(section: &ModelSection, metrics: &ModelMetrics) -> anyhow::Result<Model> {
    let first = boot(local(section)?.as_ref(), &section.name, &following(section), metrics);
    tracing::info!(version = first.version, source = first.source.name(), "the model that serves first");
    Ok(first)
}

/// Who follows the store into `slot`, if the section names one; `totals` says what comes of its models.
///
/// # Errors
/// The folder of local models is none.
pub(super) fn watcher(
    section: &ModelSection,
    slot: Arc<ModelSlot>,
    metrics: ModelMetrics,
    totals: Arc<Totals>,
) -> anyhow::Result<Option<Watcher>> {
    let Some(place) = &section.store else { return Ok(None) };
    let store = Store::open(place).context("model.store")?;
    let registry = Registry::new(store, &section.name, section.max_size.as_bytes()).context("model.name")?;
    Ok(Some(Watcher::new(slot, registry, local(section)?, following(section), metrics, totals)))
}

/// The model of the bundle in `folder`. Whose signature it has is asked only where the section trusts somebody: whoever names
/// a folder has chosen what is in it.
///
/// # Errors
/// There is no bundle, or it may not serve.
pub(super) fn of_bundle(folder: &Path, section: &ModelSection) -> anyhow::Result<Model> {
    let bundle = Bundle::read(folder)?;
    let Following { trust, max_bytes, clock, .. } = following(section);
    let measure =
        Measure { model: &section.name, trust: &trust, newest: 0, now_ms: clock(), max_bytes, served: false };
    let is_anybody_trusted = !section.trusted_keys.is_empty();
    let model = if is_anybody_trusted { bundle.check(&measure) } else { bundle.inspect(&measure) };
    Ok(Model { source: Source::Local, ..model? })
}

/// The folder of local models, if the section names one.
///
/// # Errors
/// The folder is none: a mistyped name must not look like a first start.
fn local(section: &ModelSection) -> anyhow::Result<Option<Local>> {
    let Some(folder) = &section.folder else { return Ok(None) };
    anyhow::ensure!(
        folder.is_dir(),
        "model.folder: {} is no folder; make it, or correct the name",
        folder.display()
    );
    Ok(Some(Local::open(folder).context("model.folder")?))
}

fn following(section: &ModelSection) -> Following {
    Following {
        interval: section.poll_interval.get(),
        timeout: section.timeout.get(),
        bake: section.bake.get(),
        trust: section.trust(),
        max_bytes: section.max_size.as_bytes(),
        clock: unix_millis,
    }
}
