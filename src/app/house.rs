//! The rooms that outlive a reload, and the doors that a configuration puts before them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use rand::Rng;
use tokio_util::sync::CancellationToken;

use super::models;
use crate::config::sections::CalendarError;
use crate::config::{Config, ConfigError};
use crate::forward::Downstream;
use crate::forward::scores::{Route, ScoreForwarder, ScoreMetrics};
use crate::ingest::remote_write::{Observer, PushDoor, PushDoorParts, PushMetrics};
use crate::ingest::scrape::{ScrapeConfigError, ScrapeDoor, ScrapeMetrics, ScrapeParts};
use crate::ingest::{Doors, PipelineScorer, Scorers};
use crate::inject::{Keep, Names, TemplateError, Workloads};
use crate::model::ModelSlot;
use crate::model::metrics::ModelMetrics;
use crate::model::watcher::Watcher;
use crate::net::client::{ClientConfigError, ClientLimits, ClientMetrics, HttpClient};
use crate::pipeline::{self, Pipeline, Settings};
use crate::series::labels::Interner;
use crate::series::{ScopeLimits, Scopes, Table};
use crate::state::Keeper;

/// Time that the scorers have at the end for what was accepted.
const SETTLE: Duration = Duration::from_secs(5);

/// The rooms that outlive a reload.
#[derive(Debug)]
pub(super) struct House {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) scorers: Arc<Scorers>,
    pub(super) model: Arc<ModelSlot>,
    models: ModelMetrics,
    push: Arc<PushMetrics>,
    scores: Arc<ScoreMetrics>,
    client: Arc<ClientMetrics>,
    scrape_metrics: ScrapeMetrics,
    /// The doors of the configuration in force, so that the next ones know what these have learned.
    scrape: Mutex<Option<ScrapeDoor>>,
    /// The one forwarder, made when the first downstream is configured; it outlives a reload.
    forwarder: Arc<Mutex<Option<ScoreForwarder>>>,
    /// Who keeps what the corridor has heard.
    keep: Option<Arc<dyn Keep>>,
    stop: CancellationToken,
    /// Ends the lanes of scores: after the doors, since the last request's scores come after its answer.
    lanes_stop: CancellationToken,
}

/// A configuration that can be put in force: whatever may fail has been done, and nothing has changed.
#[derive(Debug)]
pub(super) struct Prepared {
    settings: Settings,
    scrape: ScrapeDoor,
    downstream: Option<Downstream>,
}

/// Why a configuration that was read cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadFailure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the downstream cannot be used")]
    Downstream(#[from] ClientConfigError),
    #[error("the scrape targets cannot be used")]
    Scrape(#[from] ScrapeConfigError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Calendar(#[from] CalendarError),
}

// === impl House ===

impl House {
    /// Builds every room, and registers what it counts.
    pub(super) fn build(
        config: &Config,
        stop: &CancellationToken,
        registry: &mut Registry,
    ) -> anyhow::Result<Self> {
        let models = ModelMetrics::default();
        let model = Arc::new(ModelSlot::new(models::first(&config.model, &models)?));
        let table = Table::new(Interner::default());
        let settings = settings(config, table.interner())?;
        let scopes = Scopes::new(rand::rng().random());
        let pipeline = Pipeline::new(model.handle(), settings, scopes, workloads(config), table);
        let scorers = Scorers::start(
            super::half_of_the_cores(),
            config.limits.max_scorer_backlog.as_usize(),
            config.limits.scorer_patience.get(),
        )
        .context("cannot start the scorer threads")?;
        let house = Self {
            pipeline: Arc::new(pipeline),
            scorers: Arc::new(scorers),
            model,
            models,
            push: Arc::default(),
            scores: Arc::default(),
            client: Arc::default(),
            scrape_metrics: ScrapeMetrics::default(),
            scrape: Mutex::default(),
            forwarder: Arc::default(),
            keep: None,
            stop: stop.clone(),
            lanes_stop: CancellationToken::new(),
        };
        house.register(registry);
        Ok(house)
    }

    /// The same where `keep` is handed what the corridor has heard, by all doors that are made from now on.
    pub(super) fn kept_by(self, keep: Option<Arc<dyn Keep>>) -> Self {
        Self { keep, ..self }
    }

    fn register(&self, registry: &mut Registry) {
        crate::admin::metrics::register(registry);
        self.push.register(registry);
        self.scores.register(registry);
        self.client.register(registry);
        self.scrape_metrics.register(registry.sub_registry_with_prefix("sidelong"));
        self.pipeline.register(registry);
        let scorers = Arc::clone(&self.scorers);
        registry.register_collector(Box::new(super::status::Backlog(scorers)));
        registry.register_collector(Box::new(super::status::Pauses(Arc::clone(&self.forwarder))));
        self.models.register(self.model.handle(), registry);
    }

    /// Who follows the store of models, if `config` names one.
    ///
    /// # Errors
    /// The folder of local models is none.
    pub(super) fn watcher(&self, config: &Config) -> anyhow::Result<Option<Watcher>> {
        let (slot, totals) = (Arc::clone(&self.model), self.pipeline.totals());
        models::watcher(&config.model, slot, self.models.clone(), totals)
    }

    /// Makes all that `config` needs, and changes nothing.
    ///
    /// # Errors
    /// What in `config` cannot be put in force.
    pub(super) fn prepare(&self, config: &Config) -> Result<Prepared, ReloadFailure> {
        Ok(Prepared {
            settings: settings(config, self.pipeline.series().interner())?,
            scrape: self.scrape_door(config)?,
            downstream: self.downstream(config)?,
        })
    }

    /// Puts `config` in force, for which `prepared` was made, and gives its doors.
    pub(super) fn put_in_force(&self, config: &Config, prepared: Prepared) -> Doors {
        let Prepared { settings, scrape, downstream } = prepared;
        self.pipeline.configure(settings);
        *self.scrape.lock() = Some(scrape.clone());
        let tenant_header = config.tenants.header.name().clone();
        let forwarder = self.forwarder(config, downstream.clone());
        let serves_scores = forwarder.is_none();
        let observer = Observer::new(
            Arc::clone(&self.pipeline),
            Arc::clone(&self.scorers),
            config.limits.clone(),
            forwarder,
            config.scores.ha_labels.clone(),
            Arc::clone(&self.push),
            unix_millis,
        )
        .kept_by(self.keep.clone());
        let push = PushDoor::new(PushDoorParts {
            downstream,
            observer,
            limits: config.limits.clone(),
            tenant_header: tenant_header.clone(),
            metrics: Arc::clone(&self.push),
            clock: unix_millis,
        });
        Doors { push, scrape, serves_scores, tenant_header }
    }

    /// Who keeps what series learn, if `config` names a folder for it. What was kept there goes on from here.
    ///
    /// # Errors
    /// The folder is none: a mistyped name must not look like a first start.
    pub(super) fn keeper(&self, config: &Config, registry: &mut Registry) -> anyhow::Result<Option<Keeper>> {
        let Some(folder) = &config.state.folder else { return Ok(None) };
        anyhow::ensure!(
            folder.is_dir(),
            "state.folder: {} is no folder; make it, or correct the name",
            folder.display()
        );
        let keeper = Keeper::new(Arc::clone(&self.pipeline), folder, config.state.max_age.get(), registry);
        keeper.restore(unix_millis(), config.state.restore_timeout.get());
        Ok(Some(keeper))
    }

    fn downstream(&self, config: &Config) -> Result<Option<Downstream>, ReloadFailure> {
        let Some(section) = &config.downstream else { return Ok(None) };
        let limits =
            ClientLimits { connect_timeout: section.connect_timeout.get(), ..ClientLimits::default() };
        let client = HttpClient::new(&section.http_client(), limits, Arc::clone(&self.client))?;
        Ok(Some(Downstream::new(section, client)))
    }

    /// The forwarder, on its way to `downstream`. Without one, what still waits goes to the last one there was.
    fn forwarder(&self, config: &Config, downstream: Option<Downstream>) -> Option<ScoreForwarder> {
        let route = Route {
            scores: config.scores.clone(),
            receiver: config.downstream.clone()?,
            downstream: downstream?,
            tenant_header: config.tenants.header.name().clone(),
        };
        let mut forwarder = self.forwarder.lock();
        match &*forwarder {
            Some(forwarder) => forwarder.reroute(route),
            None => {
                let (metrics, stop) = (Arc::clone(&self.scores), self.lanes_stop.clone());
                *forwarder = Some(ScoreForwarder::new(route, metrics, stop));
            }
        }
        forwarder.clone()
    }

    fn scrape_door(&self, config: &Config) -> Result<ScrapeDoor, ReloadFailure> {
        if let Some(door) = &*self.scrape.lock() {
            return Ok(door.reconfigured(&config.scrape)?);
        }
        let scorer = PipelineScorer {
            pipeline: Arc::clone(&self.pipeline),
            scorers: Arc::clone(&self.scorers),
            metrics: Arc::clone(&self.push),
            clock: unix_millis,
            keep: self.keep.clone(),
        };
        let parts = ScrapeParts {
            listeners: vec![config.server.listen.get(), config.server.admin_listen.get()],
            metrics: self.scrape_metrics.clone(),
            client_metrics: Arc::clone(&self.client),
            shutdown: self.stop.clone(),
            ..ScrapeParts::new(Arc::new(scorer))
        };
        Ok(ScrapeDoor::new(&config.scrape, parts)?)
    }

    /// Waits until every score that can be sent has been.
    pub(super) async fn drained(&self) {
        self.scorers.settled(SETTLE).await;
        self.lanes_stop.cancel();
        let forwarder = self.forwarder.lock().take();
        if let Some(forwarder) = forwarder {
            forwarder.drained().await;
        }
    }
}

/// What the corridor needs of `config`.
pub(crate) fn settings(config: &Config, interner: &Interner) -> Result<Settings, ReloadFailure> {
    let names = Names::new(config.scores.name_template.as_str(), interner)?;
    let idle_after_s = u32::try_from(config.limits.series_idle_timeout.get().as_secs()).unwrap_or(u32::MAX);
    let scopes = ScopeLimits {
        tenants: config.limits.max_tenants as usize,
        targets: config.scrape.max_targets as usize,
        idle_after_s,
    };
    let limits = pipeline::Limits {
        max_series: config.limits.max_series as usize,
        max_series_per_scope: config.limits.max_series_per_tenant as usize,
        max_injected: config.scores.max_series as usize,
        scopes,
        idle_after_s,
        max_future_ms: i64::try_from(config.limits.max_future.as_millis()).unwrap_or(i64::MAX),
    };
    let settings = Settings::new((*config.rules).clone(), names, limits);
    let settings = settings.with_signals(config.signals.specs(), config.scores.emit.into());
    let settings = settings.with_contexts(config.context.contexts()?);
    let settings = settings.with_ha_labels(config.scores.ha_labels.clone());
    let Some(label) = &config.scores.ha_replica_label else { return Ok(settings) };
    let failover_ms = i64::try_from(config.scores.ha_failover_timeout.as_millis()).unwrap_or(i64::MAX);
    Ok(settings.with_one_replica(label, failover_ms))
}

/// No workload yet, of those that `config` asks for.
pub(crate) fn workloads(config: &Config) -> Workloads {
    Workloads::new(config.scores.workload_labels.clone(), config.limits.max_workloads as usize)
}

/// Milliseconds since the epoch.
pub(super) fn unix_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::reload_channel;
    use crate::net::server::{Server, ServerConfig, ServerMetrics};
    use crate::net::web::WebMetrics;

    /// The page of metrics of a process that has just started.
    async fn metrics() -> String {
        let config = Config::from_yaml("", &|_| None).expect("the defaults");
        let mut registry = Registry::default();
        let house = House::build(&config, &CancellationToken::new(), &mut registry).expect("a house");
        house.put_in_force(&config, house.prepare(&config).expect("doors"));
        WebMetrics::default().register(&mut registry);
        let servers = Arc::new(ServerMetrics::default());
        servers.register(&mut registry);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (stopped, door) = (CancellationToken::new(), crate::admin::Health::default());
        stopped.cancel();
        let door = tower::service_fn(move |_| {
            let answer = door.answer("/-/healthy").expect("an answer");
            async move { Ok(answer) }
        });
        Server::new("data", ServerConfig::default(), servers).serve(listener, door, stopped).await;
        drop(reload_channel(&mut registry));
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).expect("text");
        page
    }

    /// Names and values of the labels of a line. No value here has an escape or a brace in it.
    fn labels(line: &str) -> Vec<(&str, &str)> {
        let Some((_, rest)) = line.split_once('{') else { return Vec::new() };
        let (labels, _) = rest.rsplit_once('}').expect("a closing brace");
        let pairs = labels.split("\",").filter_map(|pair| pair.split_once("=\""));
        pairs.map(|(name, value)| (name, value.trim_end_matches('"'))).collect()
    }

    #[tokio::test]
    async fn every_label_value_of_our_own_metrics_is_in_snake_case() {
        let page = metrics().await;
        let is_snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let (mut checked, mut names) = (0, std::collections::BTreeSet::new());
        // What the build and the model are is free text.
        let lines = page.lines().filter(|line| !line.starts_with('#') && !line.contains("_info{"));
        for line in lines {
            for (name, value) in labels(line) {
                assert!(!value.is_empty() && value.chars().all(is_snake), "{line}");
                names.insert(name.to_owned());
                checked += 1;
            }
        }
        assert_eq!(
            Vec::from_iter(names),
            ["code", "context", "effect", "listener", "reason", "result", "status"]
        );
        assert!(checked > 70, "{checked} values: those of all enums are there from the start");
        assert!(page.lines().filter(|line| !line.starts_with('#')).count() < 250);
    }
}
