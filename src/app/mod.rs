//! Puts the rooms together, starts them, reloads them and drains them.

mod announcer;
mod archive;
mod house;
mod models;
mod serve;
mod status;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin::{Admin, Health, Readiness, reload_channel, reload_on_hangup};
use crate::config::Config;
use crate::ingest::DataDoor;
use crate::net::server::{Server, ServerMetrics, bind};
use crate::net::web::{WebGate, WebMetrics};
use crate::serve::{Api, ServingMetrics};
use announcer::Announcer;
use house::{House, ReloadFailure, unix_millis};

pub(crate) use house::{settings, workloads};
pub use serve::{ModelPlace, ServeOptions, serve};
use status::Current;

/// What `sidelong run` was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// TLS and basic authentication of both listeners.
    pub web_config: Option<PathBuf>,
    /// Whether `/-/reload` may be used.
    pub lifecycle: bool,
}

/// What a reload changes.
struct Next {
    file: PathBuf,
    house: Arc<House>,
    door: DataDoor,
    current: Arc<Current>,
}

/// Runs Sidelong until it is asked to stop by SIGTERM or SIGINT; reloads at SIGHUP.
///
/// # Errors
/// A configuration that is wrong, an address that cannot be bound.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let config = Config::load(&options.config)?;
    // A worker that finds work wakes another one to look for more. Where a request comes at a time, that is two
    // switches of threads for nothing in each, so there are no more workers than can be busy beside the scorers.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(half_of_the_cores())
        .enable_all()
        .build()?;
    runtime.block_on(until_stopped(options, config))
}

/// The threads that carry samples, and as many that score them; at least one.
fn half_of_the_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2)
}

async fn until_stopped(options: &Options, config: Config) -> anyhow::Result<()> {
    // Ports first: a second instance fails before it has done anything.
    let (data, admin) = (config.server.listen.get(), config.server.admin_listen.get());
    let data_listener = listen(data, "server.listen")?;
    let admin_listener = listen(admin, "server.admin_listen")?;
    let (stop, admin_stop) = (CancellationToken::new(), CancellationToken::new());
    let health = Health::default();
    tokio::spawn(stop_on_signal(health.clone(), stop.clone()));

    let mut registry = Registry::default();
    let archive = archive::open(&config.archive, &mut registry)?;
    let house = House::build(&config, &stop, &mut registry)?.kept_by(archive::ear(archive.as_ref()));
    let house = Arc::new(house);
    let (web_metrics, server_metrics) = (Arc::new(WebMetrics::default()), Arc::new(ServerMetrics::default()));
    web_metrics.register(&mut registry);
    server_metrics.register(&mut registry);
    let web = Arc::new(WebGate::open(options.web_config.as_deref(), web_metrics)?);
    let doors = house.put_in_force(&config, house.prepare(&config)?);
    let keeper = house.keeper(&config, &mut registry)?;
    let watcher = house.watcher(&config)?;
    let door = DataDoor::new(doors, Arc::clone(&house.pipeline), health.clone());
    let (reload, reloads) = reload_channel(&mut registry);
    let current = Arc::new(Current::new(config.clone()));
    let folder = config.state.folder.as_deref();
    let announcer =
        Arc::new(Announcer::new(Arc::clone(&house.pipeline), Arc::clone(&current), folder, unix_millis));
    announcer.restore();
    let apply = {
        let next = Next {
            file: options.config.clone(),
            house: Arc::clone(&house),
            door: door.clone(),
            current: Arc::clone(&current),
        };
        async move || next.apply()
    };
    let serving = scores_on_request(&config, &house, &mut registry);
    let status = status::of(&house, &current);
    let admin_door = Admin {
        registry: Arc::new(registry),
        health: health.clone(),
        status,
        announcing: announcer,
        serving,
        reload: reload.clone(),
        lifecycle: options.lifecycle,
    };

    let connections = config.server.connections.clone();
    let server =
        |name| Server::new(name, connections.clone(), Arc::clone(&server_metrics)).with_web(Arc::clone(&web));
    let (data_server, admin_server) = (server("data"), server("admin"));
    let web_watch = Arc::clone(&web);
    let stop_watch = stop.clone();
    tokio::spawn(async move { web_watch.watch(stop_watch).await });
    tokio::spawn(reload_on_hangup(reload, stop.clone()));
    tokio::spawn(reloads.serve(apply, stop.clone()));

    if let Some(keeper) = keeper.clone() {
        tokio::spawn(keeper.keep(config.state.interval.get(), unix_millis, stop.clone()));
    }
    if let Some(watcher) = watcher {
        tokio::spawn(watcher.follow(stop.clone()));
    }
    health.set(Readiness::Ready);
    tracing::info!(%data, %admin, version = env!("CARGO_PKG_VERSION"), "Sidelong is ready");
    let data_side = async {
        data_server.serve(data_listener, door, stop.clone()).await;
        house.drained().await;
        if let Some(keeper) = keeper {
            keeper.save_aside(unix_millis()).await;
        }
        archive::finish(archive).await;
        // Until here probes are told that it ends, and its last metrics can be read.
        admin_stop.cancel();
    };
    tokio::join!(data_side, admin_server.serve(admin_listener, admin_door.router(), admin_stop.clone()));
    tracing::info!("Sidelong has drained and ends");
    Ok(())
}

/// The paths of scores on request, where the configuration asks for them.
fn scores_on_request(config: &Config, house: &House, registry: &mut Registry) -> axum::Router {
    if !config.serving.enabled {
        return axum::Router::new();
    }
    let metrics = ServingMetrics::default();
    metrics.register(registry);
    Api::new(house.model.handle(), config.serving.clone(), metrics).router()
}

fn listen(address: SocketAddr, option: &str) -> anyhow::Result<TcpListener> {
    bind(address).with_context(|| format!("cannot listen on {address} ({option})"))
}

// === impl Next ===

impl Next {
    /// Reads the file, and only if all of it is right puts it in force.
    fn apply(&self) -> Result<(), ReloadFailure> {
        let config = Config::load(&self.file)?;
        let before = self.current.get();
        let at_start = |of: &Config| {
            (of.server.clone(), of.state.clone(), of.model.clone(), of.archive.clone(), of.serving.clone())
        };
        if at_start(&before) != at_start(&config) {
            tracing::warn!(
                "the sections server, state, model, archive and serving are read at the start: what changed in them waits for the next one"
            );
        }
        let prepared = self.house.prepare(&config)?;
        self.door.replace(self.house.put_in_force(&config, prepared));
        self.current.replace(config);
        Ok(())
    }
}

/// Cancels `stop` at SIGTERM or SIGINT, once `health` says so.
async fn stop_on_signal(health: Health, stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    match (terminate, interrupt) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stops: no new connections, requests under way get their answers");
            health.set(Readiness::Draining);
            stop.cancel();
        }
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "cannot listen for signals"),
    }
}

#[cfg(test)]
mod tests;
