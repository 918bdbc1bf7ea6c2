//! Follows a store: whoever is champion there is checked, kept and swapped in.
//!
//! Nothing that goes wrong here is felt elsewhere: the model that serves goes on, and the reason is counted. One look has one
//! deadline, for everything that it fetches, so that a store that hangs or trickles is given up like one that is gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng as _;
use tokio_util::sync::CancellationToken;

use super::bake::{Bake, Previous};
use super::bundle::{Blobs, Bundle, Digest, Measure, Refusal, Trust, check_blobs, check_manifest};
use super::local::{Local, LocalError, Quarantined};
use super::metrics::{ModelMetrics, Reason};
use super::registry::{Pointer, Registry, RegistryError};
use super::store::ETag;
use super::{Model, ModelSlot};
use crate::net::chain;
use crate::pipeline::Totals;

/// Looks come after 0.8 to 1.2 times the interval: a thousand sidecars must not ask at once.
const JITTER: std::ops::Range<f64> = 0.8..1.2;
/// How often what came of the model that serves is looked at.
const HEED: Duration = Duration::from_secs(10);

/// How a store is followed.
#[derive(Clone, Debug)]
pub struct Following {
    /// How often it is looked at.
    pub interval: Duration,
    /// How long one look may take.
    pub timeout: Duration,
    /// How long a model is watched after it was swapped in.
    pub bake: Duration,
    /// Whose signatures count.
    pub trust: Trust,
    /// Bytes that the blobs of a model may have.
    pub max_bytes: u64,
    /// The time, in milliseconds since the epoch.
    pub clock: fn() -> i64,
}

/// Follows a store.
#[derive(Debug)]
pub struct Watcher {
    slot: Arc<ModelSlot>,
    registry: Registry,
    local: Option<Local>,
    following: Following,
    metrics: ModelMetrics,
    /// The pointer that was last followed, whatever came of it: what was refused is not fetched again and again.
    known: Option<ETag>,
    /// The newest version that was ever trusted.
    newest: u64,
    /// What came of the models that served.
    totals: Arc<Totals>,
    bake: Bake,
    /// What models consist of that went back by themselves since the start.
    quarantined: Vec<Digest>,
}

/// What came of one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing has changed, or nobody was ever champion.
    Unchanged,
    /// This version serves from now on.
    Swapped(u64),
    /// A version is pinned here.
    Pinned(u64),
}

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The store, or what it holds.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The model may not serve.
    #[error("the model is refused")]
    Refused(#[from] Refusal),
    /// The folder of local models.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// It went back by itself before.
    #[error(transparent)]
    Quarantined(#[from] Quarantined),
    /// The store has lost its champion, or is not the one that it was.
    #[error(
        "the store names no champion any more; look whether it is the right one, and whether it is mounted"
    )]
    Lost,
    /// The deadline has passed.
    #[error("the store did not give the model within model.timeout ({0:?})")]
    Late(Duration),
}

/// The model that serves first: the best one of the local folder, else the one that is built in. Needs no store.
pub fn boot(local: Option<&Local>, model: &str, following: &Following, metrics: &ModelMetrics) -> Model {
    let Some(local) = local else { return Model::builtin() };
    let measure = Measure {
        model,
        trust: &following.trust,
        newest: local.state().newest,
        now_ms: (following.clock)(),
        max_bytes: following.max_bytes,
        served: true,
    };
    if let Some(pinned) = local.state().pinned {
        tracing::info!(pinned, "a version is pinned: the store is not followed");
    }
    let best = local.best(&measure, |version, error| {
        metrics.refused.get_or_create(&Reason { reason: "local" }).inc();
        tracing::warn!(version, error = %chain(error), "a local model cannot serve; the next one is tried");
    });
    best.unwrap_or_else(Model::builtin)
}

// === impl Watcher ===

impl Watcher {
    /// Follows the champion of `registry` into `slot`; `totals` says what comes of it.
    pub fn new(
        slot: Arc<ModelSlot>,
        registry: Registry,
        local: Option<Local>,
        following: Following,
        metrics: ModelMetrics,
        totals: Arc<Totals>,
    ) -> Self {
        let newest = local.as_ref().map_or(0, |local| local.state().newest);
        let bake = Bake::new(following.bake);
        let (known, quarantined) = (None, Vec::new());
        Self { slot, registry, local, following, metrics, known, newest, totals, bake, quarantined }
    }

    /// Follows until it is told to stop.
    pub async fn follow(mut self, stop: CancellationToken) {
        loop {
            match self.look().await {
                Ok(Outcome::Swapped(version)) => tracing::info!(version, "another model serves"),
                Ok(outcome) => tracing::debug!(?outcome, "looked at the store of models"),
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "no other model; the one that serves goes on");
                }
            }
            let pause = self.following.interval.mul_f64(rand::rng().random_range(JITTER));
            let next = Instant::now() + pause;
            while Instant::now() < next {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(HEED.min(next.saturating_duration_since(Instant::now()))) => {}
                }
                self.heed();
            }
        }
    }

    /// Looks at what came of the model that serves, and goes back from one that does not do well.
    fn heed(&mut self) {
        let (now, counts) = (Instant::now(), self.totals.counts());
        let found = self.bake.judge(now, counts);
        self.bake.note(now, counts);
        if let Some((fault, Previous { model, content })) = found {
            let bad = self.slot.swap(model);
            self.metrics.rollbacks.get_or_create(&Reason { reason: fault.reason() }).inc();
            let serves = &self.slot.handle().current().version;
            tracing::error!(version = bad.version, %fault, serves, "a new model does not do well; the one before serves again");
            self.quarantined.push(content);
            if let Some(local) = &mut self.local
                && let Err(error) = local.quarantine(bad.number, content)
            {
                tracing::warn!(error = %chain(&error), "it could not be noted on disk: it may serve after the next start");
            }
        }
        self.metrics.baking.set(self.bake.is_on().into());
    }

    fn is_quarantined(&self, content: Digest) -> bool {
        let on_disk = self.local.as_ref().is_some_and(|local| local.is_quarantined(content));
        on_disk || self.quarantined.contains(&content)
    }

    /// Looks once.
    ///
    /// # Errors
    ///
    /// [`WatchError`]; it is counted, and what serves goes on.
    pub async fn look(&mut self) -> Result<Outcome, WatchError> {
        let pinned = match &self.local {
            Some(local) => local.pinned().map_err(WatchError::from).inspect_err(|error| self.count(error))?,
            None => None,
        };
        self.metrics.pinned.set(pinned.and_then(|version| i64::try_from(version).ok()).unwrap_or(0));
        if let Some(pinned) = pinned {
            return Ok(Outcome::Pinned(pinned));
        }
        let timeout = self.following.timeout;
        let fetched = match tokio::time::timeout(timeout, self.fetch()).await {
            Ok(fetched) => fetched,
            Err(_) => Err(WatchError::Late(timeout)),
        };
        let outcome = match fetched {
            Ok(None) => Ok(Outcome::Unchanged),
            Ok(Some(bundle)) => self.take_up(bundle).await,
            Err(error) => Err(error),
        };
        match &outcome {
            Ok(_) => drop(self.metrics.checked.set((self.following.clock)() as f64 / 1e3)),
            Err(error) => self.count(error),
        }
        outcome
    }

    /// The bundle of the champion, if it is another one than before. Of its blobs nothing is believed yet.
    async fn fetch(&mut self) -> Result<Option<Bundle>, WatchError> {
        let (version, etag) = match self.registry.pointer(self.known.as_ref()).await? {
            Pointer::To(version, etag) => (version, etag),
            Pointer::AsBefore => return Ok(None),
            // One that was there and is gone is no ordinary look: an empty mount point says the same.
            Pointer::ToNobody if self.slot.handle().current().number != 0 => return Err(WatchError::Lost),
            Pointer::ToNobody => return Ok(None),
        };
        self.metrics.wanted.set(i64::try_from(version).unwrap_or(i64::MAX));
        if self.slot.handle().current().number == version {
            self.known = Some(etag);
            return Ok(None);
        }
        let signed = self.registry.manifest(version).await?.to_vec();
        // From here on the same pointer would lead to the same end, unless the store fails.
        let manifest = match check_manifest(&signed, &self.measure()) {
            Ok(manifest) => manifest,
            Err(refusal) => {
                self.known = Some(etag);
                return Err(refusal.into());
            }
        };
        if self.is_quarantined(manifest.content()) {
            self.known = Some(etag);
            return Err(Quarantined(version).into());
        }
        let mut blobs = Blobs::new();
        for file in &manifest.files {
            blobs.insert(file.sha256, self.registry.blob(file.sha256, file.size).await?.to_vec());
        }
        self.known = Some(etag);
        Ok(Some(Bundle { signed, manifest, blobs }))
    }

    async fn take_up(&mut self, bundle: Bundle) -> Result<Outcome, WatchError> {
        let checking = tokio::task::spawn_blocking(move || {
            let checked = check_blobs(&bundle.manifest, Digest::of(&bundle.signed), &bundle.blobs);
            checked.map(|model| (model, bundle))
        });
        let (model, bundle) = match checking.await {
            Ok(checked) => checked.inspect_err(|refusal| {
                // Bytes that are not those that were signed may be a copy that is not finished: it is fetched again.
                if matches!(refusal, Refusal::Hash(_) | Refusal::Missing(_)) {
                    self.known = None;
                }
            })?,
            Err(panicked) => {
                let failed = super::store::StoreError::failed("the checks of the model", panicked);
                return Err(RegistryError::from(failed).into());
            }
        };
        let version = model.number;
        self.newest = self.newest.max(version);
        if let Some(local) = &mut self.local
            && let Err(error) = local.keep(&bundle)
        {
            // A full disk costs the next start its model, not this one.
            tracing::warn!(error = %chain(&error), version, "the model serves, but could not be kept on disk");
        }
        let previous = Previous { model: self.slot.swap(model), content: bundle.manifest.content() };
        let is_return = bundle.manifest.parent.is_some();
        self.bake.begin(Instant::now(), self.totals.counts(), previous, is_return);
        self.metrics.baking.set(self.bake.is_on().into());
        self.metrics.swaps.inc();
        Ok(Outcome::Swapped(version))
    }

    fn measure(&self) -> Measure<'_> {
        Measure {
            model: self.registry.model(),
            trust: &self.following.trust,
            newest: self.newest,
            now_ms: (self.following.clock)(),
            max_bytes: self.following.max_bytes,
            served: false,
        }
    }

    fn count(&self, error: &WatchError) {
        let (family, reason) = match error {
            WatchError::Refused(refusal) | WatchError::Registry(RegistryError::Refused(refusal)) => {
                (&self.metrics.refused, refusal.reason())
            }
            WatchError::Quarantined(_) => (&self.metrics.refused, "quarantined"),
            WatchError::Registry(RegistryError::Store(error)) => (&self.metrics.store_errors, error.reason()),
            WatchError::Registry(_) => (&self.metrics.store_errors, "content"),
            WatchError::Local(_) => (&self.metrics.store_errors, "local"),
            WatchError::Lost => (&self.metrics.store_errors, "lost"),
            WatchError::Late(_) => (&self.metrics.store_errors, "slow"),
        };
        family.get_or_create(&Reason { reason }).inc();
    }
}

#[cfg(test)]
#[path = "watcher_tests.rs"]
mod tests;
