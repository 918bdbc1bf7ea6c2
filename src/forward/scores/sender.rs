//! Sends the batches of one lane, one after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use rand::Rng;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::answer::{Meaning, meaning};
use super::lane::{Batch, Lane, Next, Pending};
use super::{LaneKey, SPEAKS_V1, SPEAKS_V2, Shared, UNKNOWN};
use crate::forward::{DownstreamError, Version};
use crate::inject::ScoreSample;
use crate::wire::compression::{Buffer, SnappyEncoder};
use crate::wire::remote_write::{ScoreBlock, encode};

/// A lane without scores for this long ends.
const IDLE: Duration = Duration::from_secs(300);
/// Time that the queue has to empty when the process ends.
const DRAIN: Duration = Duration::from_secs(5);
const VERSION_HEADER: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
const ATTEMPT_HEADER: HeaderName = HeaderName::from_static("retry-attempt");

/// The task of one lane.
pub(super) struct Sender {
    shared: Arc<Shared>,
    key: LaneKey,
    lane: Arc<Lane>,
    headers: HeaderMap,
    encoder: Mutex<Encoder>,
}

/// Encodes requests of version 2.0, with memory that is reused.
#[derive(Default)]
struct Encoder {
    v2: encode::V2,
    snappy: SnappyEncoder,
    raw: Vec<u8>,
    compressed: Buffer,
}

/// A request that may be sent more than once.
struct Request {
    version: Version,
    body: Bytes,
    /// The scores behind a 2.0 body, to be spelled as 1.0 if need be.
    samples: Vec<ScoreSample>,
    len: u64,
    since: Instant,
}

// === impl Sender ===

impl Sender {
    pub(super) fn new(shared: Arc<Shared>, key: LaneKey, lane: Arc<Lane>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("sidelong/", env!("CARGO_PKG_VERSION"))));
        if let Some(tenant) = &key.tenant {
            headers.insert(shared.tenant_header.clone(), tenant.clone());
        }
        if let Some(authorization) = &key.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        Self { shared, key, lane, headers, encoder: Mutex::default() }
    }

    /// Sends until the process stops or the lane has been idle for long.
    pub(super) async fn run(self) {
        while !self.shared.stop.is_cancelled() {
            match self.lane.next(&self.shared.config, false) {
                Next::Send(batch) => self.deliver(batch).await,
                Next::WaitUntil(due) => self.wait(due).await,
                Next::Wait => {
                    let heard = timeout_at(Instant::now() + IDLE, self.wait_for_news()).await;
                    if heard.is_err() && self.retire() {
                        return;
                    }
                }
            }
        }
        self.drain().await;
    }

    async fn wait(&self, due: Instant) {
        tokio::select! {
            () = sleep_until(due) => {}
            () = self.wait_for_news() => {}
        }
    }

    async fn wait_for_news(&self) {
        tokio::select! {
            () = self.lane.news.notified() => {}
            () = self.shared.stop.cancelled() => {}
        }
    }

    /// Takes the lane off the list, unless scores came meanwhile or somebody is about to add some.
    fn retire(&self) -> bool {
        let unused = |_: &LaneKey, lane: &Arc<Lane>| {
            Arc::strong_count(lane) == 2 && matches!(lane.next(&self.shared.config, false), Next::Wait)
        };
        let gone = self.shared.lanes.remove_if(&self.key, unused).is_some();
        self.shared.metrics.lanes.set(self.shared.lanes.len() as i64);
        gone
    }

    /// Sends what is left once, within [`DRAIN`].
    async fn drain(&self) {
        let deadline = Instant::now() + DRAIN;
        while let Next::Send(batch) = self.lane.next(&self.shared.config, true) {
            let request = Request::new(batch, &self.encoder);
            let len = request.len;
            let sent = timeout_at(deadline, self.attempt(&request, 0)).await;
            match sent {
                Ok(Ok(Meaning::Written)) => self.shared.metrics.sent.inc_by(len),
                _ => self.shared.metrics.shutdown.inc_by(len),
            };
        }
    }

    /// Sends one batch until it is written, refused for good, or too old.
    async fn deliver(&self, batch: Batch) {
        let config = &self.shared.config;
        if self.shared.protocol.load(Ordering::Relaxed) == UNKNOWN {
            self.ask_for_version().await;
        }
        let mut request = Request::new(batch, &self.encoder);
        let mut attempt = 0;
        loop {
            self.wait_for_restraint().await;
            if request.since.elapsed() > config.max_queue_age.get() {
                return count(&self.shared.metrics.too_old, &request);
            }
            let wait = match self.attempt(&request, attempt).await {
                Ok(Meaning::Written) => return count(&self.shared.metrics.sent, &request),
                Ok(Meaning::Refused) => return count(&self.shared.metrics.refused, &request),
                Ok(Meaning::OtherVersion) => {
                    self.shared.protocol.store(SPEAKS_V1, Ordering::Relaxed);
                    request.spell_as_v1();
                    Duration::ZERO
                }
                Ok(Meaning::Limited(wait)) => {
                    self.shared.restraints.refused(&self.key.tenant, wait, config.yield_for.get());
                    Duration::ZERO
                }
                Ok(Meaning::Later(wait)) => wait.unwrap_or_else(|| self.backoff(attempt)),
                Err(error) => {
                    tracing::debug!(error = %error.chain(), "scores did not get through");
                    self.backoff(attempt)
                }
            };
            if self.interrupted(wait).await {
                return count(&self.shared.metrics.shutdown, &request);
            }
            attempt += 1;
            self.shared.metrics.retries.inc();
        }
    }

    /// Exponential, with up to half as much again of jitter (T14).
    fn backoff(&self, attempt: u32) -> Duration {
        let config = &self.shared.config;
        let base =
            config.min_backoff.get().saturating_mul(1 << attempt.min(16)).min(config.max_backoff.get());
        base.mul_f64(1.0 + rand::rng().random_range(0.0..0.5))
    }

    /// Sleeps for `wait`; `true` if the process stops meanwhile.
    async fn interrupted(&self, wait: Duration) -> bool {
        tokio::select! {
            () = sleep(wait) => false,
            () = self.shared.stop.cancelled() => true,
        }
    }

    async fn wait_for_restraint(&self) {
        while let Some(until) = self.shared.restraints.paused_until(&self.key.tenant) {
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.shared.stop.cancelled() => return,
            }
        }
    }

    async fn attempt(&self, request: &Request, attempt: u32) -> Result<Meaning, DownstreamError> {
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, request.version.content_type());
        headers.insert(VERSION_HEADER, request.version.number());
        if attempt > 0 {
            headers.insert(ATTEMPT_HEADER, attempt.into());
        }
        self.shared.metrics.requests.inc();
        let answer = self.shared.downstream.post(headers, request.body.clone()).await?;
        let meaning = meaning(&answer, request.version);
        if meaning == Meaning::Refused {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            tracing::warn!(status = answer.status.as_u16(), text, "the downstream refused scores for good");
        }
        Ok(meaning)
    }

    /// Asks the downstream whether it takes 2.0, with a request that carries nothing: a receiver of 2.0
    /// says that it has written 0 samples, one of 1.0 does not say, or answers 415.
    async fn ask_for_version(&self) {
        let empty = Request::v2(Vec::new(), Instant::now(), &self.encoder);
        let speaks = match self.attempt(&empty, 0).await {
            Ok(Meaning::Written) => SPEAKS_V2,
            Ok(Meaning::OtherVersion | Meaning::Refused) => SPEAKS_V1,
            Ok(Meaning::Limited(_) | Meaning::Later(_)) | Err(_) => UNKNOWN,
        };
        self.shared.protocol.store(speaks, Ordering::Relaxed);
    }
}

// === impl Request ===

impl Request {
    fn new(batch: Batch, encoder: &Mutex<Encoder>) -> Self {
        let (len, since) = (batch.len() as u64, batch.since);
        match batch.scores {
            Pending::V1(mut block) => {
                Self { version: Version::V1, body: block.finish(), samples: Vec::new(), len, since }
            }
            Pending::V2(samples) => Self::v2(samples, since, encoder),
        }
    }

    fn v2(samples: Vec<ScoreSample>, since: Instant, encoder: &Mutex<Encoder>) -> Self {
        let body = encoder.lock().body(&samples);
        Self { version: Version::V2, body, len: samples.len() as u64, samples, since }
    }

    fn spell_as_v1(&mut self) {
        let mut block = ScoreBlock::default();
        block.extend(&self.samples);
        self.body = block.finish();
        self.version = Version::V1;
    }
}

// === impl Encoder ===

impl Encoder {
    fn body(&mut self, samples: &[ScoreSample]) -> Bytes {
        self.raw.clear();
        self.v2.encode(samples, &mut self.raw);
        // Snappy refuses more than 4 GiB; a batch of `scores.batch_size` is bounded far below.
        self.snappy.compress(&self.raw, &mut self.compressed).expect("less than 4 GiB");
        Bytes::copy_from_slice(&self.compressed)
    }
}

/// Counts what became of a request's scores.
fn count(fate: &Counter, request: &Request) {
    fate.inc_by(request.len);
}
