//! Puts the rooms together, starts them, reloads them and drains them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use rand::Rng;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::forward::Downstream;
use crate::forward::scores::{ScoreForwarder, ScoreMetrics};
use crate::ingest::remote_write::{Observer, PushDoor, PushDoorParts, PushMetrics};
use crate::ingest::scrape::{ScrapeDoor, ScrapeParts};
use crate::ingest::{DataDoor, Doors, PipelineScorer, Scorers};
use crate::inject::{Names, Workloads};
use crate::model::{Model, ModelSlot};
use crate::net::client::{ClientLimits, ClientMetrics, HttpClient};
use crate::net::server::{Server, ServerMetrics, bind};
use crate::pipeline::{self, Pipeline, Settings};
use crate::series::labels::Interner;
use crate::series::{Scopes, Table};

/// What `sidelong run` was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
}

/// The rooms that outlive a reload.
#[derive(Debug)]
struct House {
    pipeline: Arc<Pipeline>,
    scorers: Arc<Scorers>,
    push: Arc<PushMetrics>,
    scores: Arc<ScoreMetrics>,
    client: Arc<ClientMetrics>,
    _model: ModelSlot,
}

/// Runs Sidelong until it is asked to stop.
///
/// # Errors
/// A configuration that is wrong, an address that cannot be bound.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let config = Config::load(&options.config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let address = config.server.listen.get();
    let listener = bind(address).with_context(|| format!("cannot listen on {address} (server.listen)"))?;
    let house = House::build(&config)?;
    let stop = CancellationToken::new();
    let (doors, forwarder) = house.doors(&config, &stop)?;
    let door = DataDoor::new(doors, Arc::clone(&house.pipeline));
    let server = Server::new("data", config.server.connections.clone(), Arc::new(ServerMetrics::default()));
    tokio::spawn(stop_on_signal(stop.clone()));
    tracing::info!(%address, "takes remote write");
    server.serve(listener, door, stop).await;
    if let Some(forwarder) = forwarder {
        forwarder.drained().await;
    }
    Ok(())
}

// === impl House ===

impl House {
    fn build(config: &Config) -> anyhow::Result<Self> {
        let model = ModelSlot::new(Model::builtin());
        let interner = Interner::default();
        let table = Table::new(interner);
        let settings = settings(config, table.interner())?;
        let scopes = Scopes::new(config.limits.max_tenants as usize, rand::rng().random());
        let workloads =
            Workloads::new(config.scores.workload_labels.clone(), config.limits.max_workloads as usize);
        let pipeline = Arc::new(Pipeline::new(model.handle(), settings, scopes, workloads, table));
        let threads = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
        let scorers = Scorers::start(threads, config.limits.max_scorer_backlog.as_usize())
            .context("cannot start the scorer threads")?;
        Ok(Self {
            pipeline,
            scorers: Arc::new(scorers),
            push: Arc::default(),
            scores: Arc::default(),
            client: Arc::default(),
            _model: model,
        })
    }

    /// The doors of `config`, and what sends their scores.
    fn doors(
        &self,
        config: &Config,
        stop: &CancellationToken,
    ) -> anyhow::Result<(Doors, Option<ScoreForwarder>)> {
        let tenant_header = config.tenants.header.name().clone();
        let downstream = config.downstream.as_ref().map(|section| {
            let limits =
                ClientLimits { connect_timeout: section.connect_timeout.get(), ..ClientLimits::default() };
            let client = HttpClient::new(&section.http_client(), limits, Arc::clone(&self.client))?;
            anyhow::Ok((section, Downstream::new(section, client)))
        });
        let downstream = downstream.transpose()?;
        let forwarder = downstream.as_ref().map(|(section, downstream)| {
            let (scores, metrics) = (config.scores.clone(), Arc::clone(&self.scores));
            let header = tenant_header.clone();
            ScoreForwarder::new(scores, section.protocol, downstream.clone(), header, metrics, stop.clone())
        });
        let observer = Observer::new(
            Arc::clone(&self.pipeline),
            Arc::clone(&self.scorers),
            config.limits.clone(),
            forwarder.clone(),
            config.scores.ha_labels.clone(),
            Arc::clone(&self.push),
            unix_millis,
        );
        let push = PushDoor::new(PushDoorParts {
            downstream: downstream.map(|(_, downstream)| downstream),
            observer,
            limits: config.limits.clone(),
            tenant_header: tenant_header.clone(),
            metrics: Arc::clone(&self.push),
            clock: unix_millis,
        });
        let scrape = ScrapeDoor::new(&config.scrape, self.scrape_parts(config, stop))?;
        Ok((Doors { push, scrape, serves_scores: forwarder.is_none(), tenant_header }, forwarder))
    }
}

impl House {
    fn scrape_parts(&self, config: &Config, stop: &CancellationToken) -> ScrapeParts {
        let scorer = PipelineScorer {
            pipeline: Arc::clone(&self.pipeline),
            scorers: Arc::clone(&self.scorers),
            metrics: Arc::clone(&self.push),
        };
        ScrapeParts {
            listeners: vec![config.server.listen.get(), config.server.admin_listen.get()],
            client_metrics: Arc::clone(&self.client),
            shutdown: stop.clone(),
            ..ScrapeParts::new(Arc::new(scorer))
        }
    }
}

/// What the corridor needs of `config`.
fn settings(config: &Config, interner: &Interner) -> anyhow::Result<Settings> {
    let names = Names::new(config.scores.name_template.as_str(), interner)?;
    let limits = pipeline::Limits {
        max_series: config.limits.max_series as usize,
        max_series_per_scope: config.limits.max_series_per_tenant as usize,
        idle_after_s: u32::try_from(config.limits.series_idle_timeout.get().as_secs()).unwrap_or(u32::MAX),
        max_future_ms: config.limits.max_future.as_millis() as i64,
    };
    Ok(Settings::new((*config.rules).clone(), names, limits))
}

async fn stop_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    match (terminate, interrupt) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stops: no new connections, requests under way get their answers");
            stop.cancel();
        }
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "cannot listen for signals"),
    }
}

/// Milliseconds since the epoch.
fn unix_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
