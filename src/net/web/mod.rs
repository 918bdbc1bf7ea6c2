//! TLS and basic authentication of our own listeners, by a file in the form of Prometheus'
//! exporter-toolkit (`--web.config.file`).
//!
//! One [`WebGate`] serves both listeners. Its files are polled by content, so that a symlink swap counts as
//! a change; a file that cannot be used keeps what was there before, says why and shows in a metric. Open
//! connections are not touched by a reload: TLS is decided at the handshake, authentication by request.

mod auth;
mod config;
mod metrics;
mod rate;
mod sans;
mod tls;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderMap, Request, Response};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use auth::AuthConsumed;
pub use config::{HttpServerConfig, WebConfigError, WebConfigFile};
pub use metrics::WebMetrics;
pub(crate) use rate::RateLimit;
pub use rate::RateLimitConfig;
pub use tls::{ClientAuthType, TlsServerConfig};

use auth::Users;
use config::Loaded;

/// How often the files are looked at for changes.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// What a listener asks of its clients, by the newest file that could be used.
#[derive(Debug)]
pub struct WebGate {
    file: Option<PathBuf>,
    current: ArcSwap<Current>,
    users: Users,
    metrics: Arc<WebMetrics>,
    /// Hash of the files that were tried last. Held through a reload, so that one runs at a time.
    tried: Mutex<u128>,
}

/// The configuration in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Current {
    tls: Option<Arc<rustls::ServerConfig>>,
    passwords: Arc<auth::Passwords>,
    headers: HeaderMap,
    rate_limit: Option<Arc<RateLimit>>,
}

// === impl WebGate ===

impl WebGate {
    /// Reads `file`; without one, the listeners are plain and open.
    ///
    /// # Errors
    ///
    /// [`WebConfigError`]: at the start a file that cannot be used is fatal.
    pub fn open(file: Option<&Path>, metrics: Arc<WebMetrics>) -> Result<Self, WebConfigError> {
        let loaded = file.map(Loaded::read).transpose()?.unwrap_or_default();
        metrics.loaded(&loaded);
        Ok(Self {
            file: file.map(Path::to_owned),
            tried: Mutex::new(loaded.hash),
            current: ArcSwap::from_pointee(loaded.into_current()),
            users: Users::new(),
            metrics,
        })
    }

    /// Reads the files again and takes them over if they changed.
    ///
    /// # Errors
    ///
    /// [`WebConfigError`] if they cannot be used; what was in force stays.
    pub async fn reload(&self) -> Result<(), WebConfigError> {
        self.reload_if(|_, _| true).await
    }

    async fn reload_if(&self, wanted: impl Fn(u128, u128) -> bool) -> Result<(), WebConfigError> {
        let Some(file) = self.file.clone() else { return Ok(()) };
        let mut tried = self.tried.lock().await;
        // A panic while reading goes on in whoever asked for the reload.
        let read = tokio::task::spawn_blocking(move || (Loaded::hash_of(&file), Loaded::read(&file)))
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let (hash, loaded) = read;
        if !wanted(*tried, hash) {
            return Ok(());
        }
        *tried = hash;
        match loaded {
            Ok(loaded) => {
                self.metrics.loaded(&loaded);
                self.current.store(Arc::new(loaded.into_current()));
                info!("took over a new web configuration");
                Ok(())
            }
            Err(error) => {
                self.metrics.failed();
                Err(error)
            }
        }
    }

    /// Polls the files until `shutdown`.
    pub async fn watch(&self, shutdown: CancellationToken) {
        if self.file.is_none() {
            return;
        }
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
            if let Err(error) = self.reload_if(|tried, hash| tried != hash).await {
                warn!(error = %crate::net::chain(&error), "kept the old web configuration");
            }
        }
    }

    /// What TLS a new connection has to speak; none for plain HTTP.
    pub(crate) fn tls(&self) -> Option<Arc<rustls::ServerConfig>> {
        self.current.load().tls.clone()
    }

    /// What a request is answered that comes too soon after others.
    pub(crate) fn limit_rate(&self) -> Option<Response<bytes::Bytes>> {
        let current = self.current.load();
        let limited = current.rate_limit.as_ref().is_some_and(|limit| !limit.allows());
        limited.then(rate::refuse)
    }

    /// Lets `request` pass or answers it. The credentials it showed are taken out of it.
    pub(crate) async fn authorize<B>(&self, request: &mut Request<B>) -> Result<(), Response<bytes::Bytes>> {
        let passwords = {
            let current = self.current.load();
            if current.passwords.is_empty() {
                return Ok(());
            }
            Arc::clone(&current.passwords)
        };
        self.users.authorize(passwords, request).await
    }

    /// Adds the configured headers to an answer.
    pub(crate) fn add_headers<B>(&self, answer: &mut Response<B>) {
        let current = self.current.load();
        for (name, value) in &current.headers {
            answer.headers_mut().insert(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests;
