//! Reading the configuration again, asked for by `/-/reload` or SIGHUP and done in one place.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use crate::label_values::label_values;

/// Asks for a reload; clones ask the same.
#[derive(Clone, Debug)]
pub struct Reload {
    requests: mpsc::Sender<oneshot::Sender<Result<(), ReloadError>>>,
}

/// Does the reloads that are asked for, one after the other.
#[derive(Debug)]
pub struct Reloads {
    requests: mpsc::Receiver<oneshot::Sender<Result<(), ReloadError>>>,
    metrics: Arc<Metrics>,
}

/// Why the old configuration stays.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new configuration cannot be used; the text says why, in one line for each cause.
    #[error("{0}")]
    Refused(Arc<str>),
    /// The process is ending.
    #[error("sidelong is shutting down")]
    Ending,
}

#[derive(Debug, Default)]
struct Metrics {
    successful: Gauge,
    succeeded_at: Gauge,
    reloads: Family<StatusLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: Outcome,
}

label_values! {
    enum Outcome {
        Success = "success",
        Failure = "failure",
    }
}

/// Reloads that may wait at the same time; more of them wait for their turn to wait.
const WAITING: usize = 8;

/// The two ends of the way by which reloads are asked for. The configuration of the start counts as loaded.
pub fn reload_channel(registry: &mut Registry) -> (Reload, Reloads) {
    let (ask, requests) = mpsc::channel(WAITING);
    let metrics = Arc::new(Metrics::default());
    metrics.register(registry);
    for status in Outcome::ALL {
        drop(metrics.reloads.get_or_create(&StatusLabels { status }));
    }
    metrics.note(true);
    (Reload { requests: ask }, Reloads { requests, metrics })
}

/// Asks for a reload at every SIGHUP until `shutdown`.
///
/// # Errors
///
/// If the signal cannot be listened to.
pub async fn reload_on_hangup(reload: Reload, shutdown: CancellationToken) -> std::io::Result<()> {
    let mut hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            hangup = hangups.recv() => match hangup {
                // What became of it is logged where it is done.
                Some(()) => drop(reload.reload().await),
                None => return Ok(()),
            },
        }
    }
}

// === impl Reload ===

impl Reload {
    /// Reads the configuration again and waits for what becomes of it.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Refused`] with the reason if the old configuration stays.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(answer).await.map_err(|_| ReloadError::Ending)?;
        answered.await.map_err(|_| ReloadError::Ending)?
    }
}

// === impl Reloads ===

impl Reloads {
    /// Runs `apply` for each reload that is asked for, until `shutdown`.
    ///
    /// `apply` reads, checks and takes over the new configuration, or leaves everything as it is and says
    /// why.
    pub async fn serve<F, E>(mut self, mut apply: F, shutdown: CancellationToken)
    where
        F: AsyncFnMut() -> Result<(), E>,
        E: std::error::Error,
    {
        loop {
            let answer = tokio::select! {
                () = shutdown.cancelled() => return,
                request = self.requests.recv() => match request {
                    Some(answer) => answer,
                    None => return,
                },
            };
            let outcome =
                apply().await.map_err(|error| ReloadError::Refused(crate::net::chain(&error).into()));
            self.report(&outcome);
            if answer.send(outcome).is_err() {
                debug!("whoever asked for a reload did not wait for it");
            }
        }
    }

    fn report(&self, outcome: &Result<(), ReloadError>) {
        self.metrics.note(outcome.is_ok());
        match outcome {
            Ok(()) => info!("took over the configuration"),
            Err(error) => error!(%error, "kept the old configuration"),
        }
    }
}

// === impl Metrics ===

impl Metrics {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "sidelong_config_last_reload_successful",
            "Whether the newest configuration file is in force",
            self.successful.clone(),
        );
        registry.register(
            "sidelong_config_last_reload_success_timestamp_seconds",
            "When the configuration in force was taken over, in seconds since the epoch",
            self.succeeded_at.clone(),
        );
        registry.register(
            "sidelong_config_reloads",
            "Configurations read, the first included, by what became of them",
            self.reloads.clone(),
        );
    }

    fn note(&self, success: bool) {
        let status = if success { Outcome::Success } else { Outcome::Failure };
        self.reloads.get_or_create(&StatusLabels { status }).inc();
        self.successful.set(i64::from(success));
        if success {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.succeeded_at.set(now.as_secs() as i64);
        }
    }
}
