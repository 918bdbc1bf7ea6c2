//! `sidelong serve`: scores on request, and nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::{half_of_the_cores, models, stop_on_signal};
use crate::admin::Health;
use crate::config::sections::{ModelSection, Serving};
use crate::config::units::PromDuration;
use crate::model::metrics::ModelMetrics;
use crate::model::{Model, ModelSlot};
use crate::net::server::{Server, ServerConfig, ServerMetrics, bind};
use crate::net::web::{WebGate, WebMetrics};
use crate::pipeline::Totals;
use crate::serve::{Api, Failure, ServingMetrics};

/// What `sidelong serve` was asked for.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where the model comes from.
    pub place: ModelPlace,
    /// How a store is followed, and whose models are trusted; its own `store` says nothing.
    pub model: ModelSection,
    /// What one request may be.
    pub limits: Serving,
    /// TLS and basic authentication of the listener.
    pub web_config: Option<PathBuf>,
}

/// Where the model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelPlace {
    /// It is part of the binary.
    Builtin,
    /// A bundle in a folder.
    Bundle(PathBuf),
    /// A store, which is followed.
    Store(String),
}

/// Serves until it is asked to stop by SIGTERM or SIGINT.
///
/// # Errors
/// A model that may not serve, an address that cannot be bound.
pub fn serve(options: &ServeOptions) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(half_of_the_cores())
        .enable_all()
        .build()?;
    runtime.block_on(until_stopped(options))
}

async fn until_stopped(options: &ServeOptions) -> anyhow::Result<()> {
    let listen = options.listen;
    let listener = bind(listen).with_context(|| format!("cannot listen on {listen} (--listen)"))?;
    let (health, stop) = (Health::default(), CancellationToken::new());
    tokio::spawn(stop_on_signal(health, stop.clone()));
    let web = Arc::new(WebGate::open(options.web_config.as_deref(), Arc::<WebMetrics>::default())?);
    let api = api(options, &stop)?;
    let server = Server::new("serve", ServerConfig::default(), Arc::<ServerMetrics>::default());
    let (watch, watch_stop) = (Arc::clone(&web), stop.clone());
    tokio::spawn(async move { watch.watch(watch_stop).await });
    tracing::info!(%listen, version = env!("CARGO_PKG_VERSION"), "Sidelong serves scores");
    let door = api.router().fallback(|| async { Failure::NotFound });
    server.with_web(web).serve(listener, door, stop).await;
    tracing::info!("Sidelong has drained and ends");
    Ok(())
}

/// The paths over the model that was asked for, which is followed until `stop`.
fn api(options: &ServeOptions, stop: &CancellationToken) -> anyhow::Result<Api> {
    let (limits, metrics) = (options.limits.clone(), ServingMetrics::default());
    let model = match &options.place {
        ModelPlace::Builtin => Model::builtin(),
        ModelPlace::Bundle(folder) => models::of_bundle(folder, &options.model)
            .with_context(|| format!("--model {} cannot serve", folder.display()))?,
        ModelPlace::Store(store) => {
            // No series is scored here by which a new model could be watched.
            let bake = PromDuration::default();
            let section = ModelSection { store: Some(store.clone()), bake, ..options.model.clone() };
            let models = ModelMetrics::default();
            let slot = Arc::new(ModelSlot::new(models::first(&section, &models)?));
            let api = Api::awaiting_another_model(slot.handle(), limits, metrics);
            if let Some(watcher) = models::watcher(&section, slot, models, Arc::<Totals>::default())? {
                tokio::spawn(watcher.follow(stop.clone()));
            }
            return Ok(api);
        }
    };
    tracing::info!(version = model.version, source = model.source.name(), "the model that serves");
    Ok(Api::new(ModelSlot::new(model).handle(), limits, metrics))
}
