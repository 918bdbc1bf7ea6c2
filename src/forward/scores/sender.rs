//! Sends the batches of one lane, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use rand::Rng;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::answer::{Meaning, excerpt, meaning};
use super::lane::{Batch, Lane, Next};
use super::request::{Encoder, Request};
use super::route::{InForce, Known};
use super::{LaneKey, Shared};
use crate::config::sections;
use crate::forward::{DownstreamError, Version};

/// A lane without scores for this long ends.
const IDLE: Duration = Duration::from_secs(300);
/// Time that the queue has to empty when the process ends.
const DRAIN: Duration = Duration::from_secs(5);
/// How often a request that the downstream finds too large is cut in two: a receiver that finds everything
/// too large is asked sixty-three times at the most.
const MAX_CUTS: u32 = 5;
const VERSION_HEADER: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
const ATTEMPT_HEADER: HeaderName = HeaderName::from_static("retry-attempt");

/// The task of one lane.
pub(super) struct Sender {
    shared: Arc<Shared>,
    key: LaneKey,
    lane: Arc<Lane>,
    encoder: Encoder,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Written,
    Refused,
    TooOld,
    /// For what a request may be (`scores.max_request_size`): it is cut in two.
    TooLong,
    /// For the downstream, which said so: it is cut in two.
    TooLarge,
    /// The process ends before it is known.
    Stopped,
}

// === impl Sender ===

impl Sender {
    pub(super) fn new(shared: Arc<Shared>, key: LaneKey, lane: Arc<Lane>) -> Self {
        Self { shared, key, lane, encoder: Encoder::default() }
    }

    /// Sends until the process stops or the lane has been idle for long.
    pub(super) async fn run(self) {
        while !self.shared.stop.is_cancelled() {
            match self.lane.next(&self.shared.in_force().scores, false) {
                Next::Send(batch) => {
                    let unsent = self.deliver(batch).await;
                    if !unsent.is_empty() {
                        return self.drain(unsent).await;
                    }
                }
                Next::WaitUntil(due) => self.wait(due).await,
                Next::Wait => {
                    let heard = timeout_at(Instant::now() + IDLE, self.wait_for_news()).await;
                    if heard.is_err() && self.retire() {
                        return;
                    }
                }
            }
        }
        self.drain(VecDeque::new()).await;
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
        let unused = |_: &LaneKey, lane: &Arc<Lane>| Arc::strong_count(lane) == 2 && lane.is_empty();
        let gone = self.shared.lanes.remove_if(&self.key, unused).is_some();
        self.shared.metrics.lanes.set(self.shared.lanes.len() as i64);
        gone
    }

    /// Sends what is left once, within [`DRAIN`]. What gives way to samples still does.
    async fn drain(&self, mut unsent: VecDeque<Request>) {
        let deadline = Instant::now() + DRAIN;
        while let Some(mut request) = unsent.pop_front().or_else(|| self.last_queued()) {
            let now = self.shared.in_force();
            self.speak(&mut request, &now.known);
            if !request.fits(now.scores.max_request_size.as_usize(), &self.encoder) {
                self.cut(request, &mut unsent);
                continue;
            }
            let paused = self.shared.restraints.paused_until(&self.key.tenant).is_some();
            let late = Instant::now() >= deadline;
            let tried = async { !paused && !late && self.last_try(&mut request, &now).await };
            let sent = timeout_at(deadline, tried).await.unwrap_or(false);
            self.count(if sent { Fate::Written } else { Fate::Stopped }, &request);
        }
    }

    fn last_queued(&self) -> Option<Request> {
        match self.lane.next(&self.shared.in_force().scores, true) {
            Next::Send(batch) => Some(Request::new(batch)),
            _ => None,
        }
    }

    /// Sends once, and once more if the downstream turns out to speak 1.0.
    async fn last_try(&self, request: &mut Request, now: &InForce) -> bool {
        let said = self.attempt(request, now).await;
        if !matches!(said, Ok(Meaning::OtherVersion)) {
            return matches!(said, Ok(Meaning::Written));
        }
        request.spell_as_v1();
        matches!(self.attempt(request, now).await, Ok(Meaning::Written))
    }

    /// Sends one batch until its fate is known; gives back what the end of the process leaves unsent.
    async fn deliver(&self, batch: Batch) -> VecDeque<Request> {
        let mut left = VecDeque::from([Request::new(batch)]);
        while let Some(mut request) = left.pop_front() {
            match self.see_through(&mut request).await {
                Fate::Stopped => {
                    left.push_front(request);
                    break;
                }
                Fate::TooLong => self.cut(request, &mut left),
                Fate::TooLarge if request.cuts < MAX_CUTS => {
                    request.cuts += 1;
                    self.cut(request, &mut left);
                }
                fate => self.count(fate, &request),
            }
        }
        left
    }

    /// Puts the halves of `request` before what is `left`, in order.
    fn cut(&self, request: Request, left: &mut VecDeque<Request>) {
        match request.halves() {
            Ok([first, second]) => {
                left.push_front(second);
                left.push_front(first);
            }
            Err(whole) => self.count(Fate::TooLarge, &whole),
        }
    }

    /// Sends `request` until it is written, refused for good, or too old.
    async fn see_through(&self, request: &mut Request) -> Fate {
        let mut asked = false;
        loop {
            self.wait_for_restraint().await;
            let now = self.shared.in_force();
            if let Some(fate) = self.fate_untried(request, &now) {
                return fate;
            }
            let asks = !asked && now.known.version().is_none();
            asked |= asks;
            let tried = async {
                if asks { self.ask_for_version(&now).await } else { Some(self.attempt(request, &now).await) }
            };
            let said = tokio::select! {
                said = tried => said,
                () = self.overdue() => return Fate::Stopped,
            };
            match said.map(|said| self.pause_after(said, request, &now)) {
                None => {}
                Some(Ok(pause)) => self.rest(Instant::now() + pause, &now.known).await,
                Some(Err(fate)) => return fate,
            }
        }
    }

    /// What becomes of `request` without a try; else it is spelled for the receiver.
    fn fate_untried(&self, request: &mut Request, now: &InForce) -> Option<Fate> {
        if self.shared.stop.is_cancelled() {
            return Some(Fate::Stopped);
        }
        if request.since.elapsed() > now.scores.max_queue_age.get() {
            return Some(Fate::TooOld);
        }
        self.speak(request, &now.known);
        let fits = request.fits(now.scores.max_request_size.as_usize(), &self.encoder);
        (!fits).then_some(Fate::TooLong)
    }

    /// How long to wait before the next try, or the fate of the request.
    fn pause_after(
        &self,
        said: Result<Meaning, DownstreamError>,
        request: &Request,
        now: &InForce,
    ) -> Result<Duration, Fate> {
        match said {
            Ok(Meaning::Written) => Err(Fate::Written),
            Ok(Meaning::Refused) => Err(Fate::Refused),
            Ok(Meaning::TooLarge) => Err(Fate::TooLarge),
            Ok(Meaning::OtherVersion) => {
                now.known.speaks(Version::V1);
                Ok(Duration::ZERO)
            }
            Ok(Meaning::Limited(wait)) => {
                self.give_way(now, wait);
                Ok(Duration::ZERO)
            }
            Ok(Meaning::Later(wait)) => Ok(wait.unwrap_or_else(|| backoff(&now.scores, request.attempts))),
            Err(error) => {
                tracing::debug!(error = %crate::net::chain(&error), "scores did not get through");
                Ok(backoff(&now.scores, request.attempts))
            }
        }
    }

    /// Ends when the process has been stopping for too long to wait for an answer.
    async fn overdue(&self) {
        self.shared.stop.cancelled().await;
        sleep(DRAIN).await;
    }

    /// Scores stop for a while; but not where the refusal is that of a receiver that was replaced meanwhile.
    fn give_way(&self, now: &InForce, wait: Option<Duration>) {
        if Arc::ptr_eq(&now.known, &self.shared.in_force().known) {
            self.shared.restraints.refused(&self.key.tenant, wait, now.scores.yield_for.get());
        }
    }

    /// Spells `request` so that the receiver reads it.
    fn speak(&self, request: &mut Request, known: &Known) {
        if known.version() != Some(Version::V2) {
            request.spell_as_v1();
        }
    }

    /// Waits until `until`, but no longer than the process runs or the receiver is the one that is `known`:
    /// another one is tried at once.
    async fn rest(&self, until: Instant, known: &Arc<Known>) {
        let mut route = self.shared.in_force.subscribe();
        let rerouted = async { drop(route.wait_for(|now| !Arc::ptr_eq(&now.known, known)).await) };
        tokio::select! {
            () = sleep_until(until) => {}
            () = self.shared.stop.cancelled() => {}
            () = rerouted => {}
        }
    }

    async fn wait_for_restraint(&self) {
        while !self.shared.stop.is_cancelled()
            && let Some(until) = self.shared.restraints.paused_until(&self.key.tenant)
        {
            let now = self.shared.in_force();
            self.rest(until, &now.known).await;
        }
    }

    async fn attempt(&self, request: &mut Request, now: &InForce) -> Result<Meaning, DownstreamError> {
        let mut headers = self.headers(now);
        headers.insert(CONTENT_TYPE, request.version().content_type());
        headers.insert(VERSION_HEADER, request.version().number());
        if request.attempts > 0 {
            headers.insert(ATTEMPT_HEADER, request.attempts.into());
            self.shared.metrics.retries.inc();
        }
        request.attempts += 1;
        self.shared.metrics.requests.inc();
        let body = request.body(&self.encoder);
        let answer = now.downstream.post(headers, body.clone()).await?;
        let meaning = meaning(&answer, request.version());
        if meaning == Meaning::TooLarge {
            let (bytes, text) = (body.len(), excerpt(&answer.body));
            tracing::warn!(
                bytes,
                text,
                "the downstream finds a score request too large; lower scores.max_request_size"
            );
        }
        if meaning == Meaning::Refused {
            let text = excerpt(&answer.body);
            tracing::warn!(status = answer.status.as_u16(), text, "the downstream refused scores for good");
        }
        Ok(meaning)
    }

    /// The headers of every request of this lane.
    fn headers(&self, now: &InForce) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("sidelong/", env!("CARGO_PKG_VERSION"))));
        if let Some(tenant) = &self.key.tenant {
            headers.insert(now.tenant_header.clone(), tenant.clone());
        }
        if let Some(authorization) = &self.key.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        headers
    }

    /// Asks the downstream whether it takes 2.0, with a request that carries nothing: a receiver of 2.0
    /// says that it has written 0 samples, one of 1.0 does not say, or answers 415. Gives the answer if it
    /// says neither.
    async fn ask_for_version(&self, now: &InForce) -> Option<Result<Meaning, DownstreamError>> {
        match self.attempt(&mut Request::empty(), now).await {
            Ok(Meaning::Written) => now.known.speaks(Version::V2),
            Ok(Meaning::OtherVersion | Meaning::Refused | Meaning::TooLarge) => now.known.speaks(Version::V1),
            neither => return Some(neither),
        }
        None
    }

    fn count(&self, fate: Fate, request: &Request) {
        let metrics = &self.shared.metrics;
        let counter = match fate {
            Fate::Written => &metrics.sent,
            Fate::Refused => &metrics.refused,
            Fate::TooOld => &metrics.too_old,
            Fate::TooLong | Fate::TooLarge => &metrics.too_large,
            Fate::Stopped => &metrics.shutdown,
        };
        counter.inc_by(request.len);
    }
}

/// The pause after `attempts` tries: exponential, with jitter (T14) that never makes a pause shorter than the
/// one before by more than a fifth, nor longer than the longest (F3).
fn backoff(config: &sections::Scores, attempts: u32) -> Duration {
    let doubled = config.min_backoff.get().saturating_mul(1 << attempts.saturating_sub(1).min(16));
    doubled.min(config.max_backoff.get()).mul_f64(1.0 - rand::rng().random_range(0.0..0.15))
}
