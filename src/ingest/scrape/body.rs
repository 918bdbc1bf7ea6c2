//! The body of an answer: the upstream's bytes as they come, and scores behind them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};

use super::eof::{EofHold, is_whole};
use super::metrics::{Outcome, ScrapeMetrics, Unscored};
use super::reader::{PageReader, Unzip};
use super::scorer::{PageScorer, PooledPage, ScoreFuture, ScrapedPage};
use super::target::Limits;
use super::teach::Lessons;
use crate::inject::ScoreSample;
use crate::net::body::BoxError;
use crate::wire::compression::compress_gzip;
use crate::wire::exposition::{ScoreFamilies, Syntax};

/// Streams a page through while it is read, and ends it with its scores.
///
/// Dropping it drops the upstream's body, which closes that connection (P10). An upstream that is cut or
/// late makes this body fail too, so that the scraper never takes a part of a page for all of it (P9).
pub(super) struct ScrapeBody<B> {
    upstream: B,
    /// When the upstream must be done.
    deadline: Pin<Box<Sleep>>,
    way: Way,
    reader: Option<PageReader>,
    state: State,
    out: VecDeque<Bytes>,
    scrape: Scrape,
    outcome: Option<Outcome>,
    received: u64,
    passed: u64,
}

/// What the end of a page needs to know of its scrape.
pub(super) struct Scrape {
    /// The target and whatever query chooses its page.
    pub(super) scope: Arc<str>,
    pub(super) limits: Limits,
    pub(super) began: Instant,
    pub(super) scraped_at_ms: i64,
    /// When the scraper gives up.
    pub(super) scraper_deadline: Instant,
    pub(super) score_budget: Duration,
    pub(super) scorer: Arc<dyn PageScorer>,
    pub(super) lessons: Arc<Lessons>,
    pub(super) metrics: ScrapeMetrics,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// How the upstream's bytes go out.
pub(super) enum Way {
    /// As they come; scores follow as they are.
    Verbatim,
    /// As they come; scores follow as a gzip member.
    GzipMember,
    /// As they come, but for the end of an OpenMetrics page.
    HoldEof(EofHold),
    /// Decoded: an OpenMetrics page cannot be added to while it is compressed.
    Unzipped(Box<Unzip>, EofHold),
}

enum State {
    Streaming,
    Scoring(Scoring),
    Done,
}

/// A page that waits for its scores.
struct Scoring {
    scores: ScoreFuture,
    page: Arc<PooledPage>,
    budget: Pin<Box<Sleep>>,
}

/// Why a body ends before its end.
#[derive(Debug, thiserror::Error)]
enum BodyFailure {
    #[error("the upstream's body was cut")]
    Cut(#[source] BoxError),
    #[error("the upstream was not done in time")]
    Late,
}

// === impl ScrapeBody ===

impl<B> ScrapeBody<B> {
    /// A body that must be complete `deadline`; a page without `reader` passes unscored.
    pub(super) fn new(
        upstream: B,
        deadline: Instant,
        way: Way,
        reader: Option<PageReader>,
        scrape: Scrape,
    ) -> Self {
        scrape.metrics.running.inc();
        Self {
            upstream,
            deadline: Box::pin(sleep_until(deadline)),
            way,
            reader,
            state: State::Streaming,
            out: VecDeque::new(),
            scrape,
            outcome: None,
            received: 0,
            passed: 0,
        }
    }

    /// What becomes of the scrape if it ends well, for an answer whose page is not read.
    pub(super) fn expect(mut self, outcome: Outcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// Passes `chunk` on and reads a copy of it; what must be decoded waits for [`Self::unzip`].
    fn take(&mut self, chunk: Bytes) {
        self.received += chunk.len() as u64;
        match &mut self.way {
            Way::Verbatim | Way::GzipMember => {
                self.read(&chunk);
                self.pass(chunk);
            }
            Way::HoldEof(hold) => {
                let pass = hold.push(chunk.clone());
                self.read(&chunk);
                self.pass(pass);
            }
            Way::Unzipped(unzip, _) => unzip.feed(chunk),
        }
    }

    /// Passes on the next step of what is being decoded, and tells whether there was one.
    fn unzip(&mut self) -> Result<bool, BodyFailure> {
        let Way::Unzipped(unzip, hold) = &mut self.way else { return Ok(false) };
        let plain = unzip.next().map_err(|error| BodyFailure::Cut(error.into()))?;
        if plain.is_empty() {
            return Ok(false);
        }
        let pass = hold.push(plain.clone());
        self.read(&plain);
        self.pass(pass);
        Ok(true)
    }

    fn read(&mut self, chunk: &[u8]) {
        let result = self.reader.as_mut().map_or(Ok(()), |reader| reader.push(chunk));
        if let Err(reason) = result {
            self.give_up(reason);
        }
    }

    /// Stops reading the page, which passes on.
    fn give_up(&mut self, reason: Unscored) {
        if let Some(reader) = self.reader.take() {
            self.scrape.metrics.page(reader.stats());
        }
        self.scrape.metrics.unscored(reason);
    }

    fn pass(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.out.push_back(bytes);
        }
    }

    /// The upstream has ended well: asks for scores, or ends the page without.
    fn upstream_done(&mut self) -> Result<(), BodyFailure> {
        if let Way::Unzipped(unzip, _) = &self.way {
            unzip.finish().map_err(|error| BodyFailure::Cut(error.into()))?;
        }
        let Some(reader) = self.reader.take() else {
            self.finish(self.outcome.unwrap_or(Outcome::Unscored), Bytes::new());
            return Ok(());
        };
        self.scrape.metrics.page(reader.stats());
        let asked = reader.finish().and_then(|page| self.scrape.ask(Arc::new(page)));
        match asked {
            Ok(scoring) => self.state = State::Scoring(scoring),
            Err(reason) => {
                self.scrape.metrics.unscored(reason);
                self.finish(Outcome::Unscored, Bytes::new());
            }
        }
        Ok(())
    }

    /// Puts `tail` behind the page and, behind that, the line that ends it.
    fn finish(&mut self, outcome: Outcome, tail: Bytes) {
        let end = match &mut self.way {
            Way::Verbatim | Way::GzipMember => Bytes::new(),
            Way::HoldEof(hold) | Way::Unzipped(_, hold) => hold.finish(),
        };
        self.pass(tail);
        self.pass(end);
        self.end(outcome);
    }

    fn end(&mut self, outcome: Outcome) {
        self.state = State::Done;
        self.scrape.metrics.ended(outcome);
        self.outcome = Some(outcome);
    }

    fn append(&mut self, scores: &[ScoreSample], page: &PooledPage) {
        let families = ScoreFamilies::render(scores, page, self.scrape.limits.room(page.stats()));
        self.scrape.metrics.families(&families);
        let tail = self.way.tail(families.bytes, page);
        self.finish(Outcome::Scored, tail);
    }

    /// Waits for scores as long as the budget allows.
    fn poll_scores(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Scoring(scoring) = &mut self.state else { return Poll::Ready(()) };
        let (scores, reason) = match scoring.poll(cx) {
            Poll::Ready(Ok(scores)) => (scores, None),
            Poll::Ready(Err(reason)) => (Vec::new(), Some(reason)),
            Poll::Pending => return Poll::Pending,
        };
        let page = Arc::clone(&scoring.page);
        if let Some(reason) = reason {
            self.scrape.metrics.unscored(reason);
        }
        self.append(&scores, &page);
        Poll::Ready(())
    }

    fn fail(&mut self, failure: BodyFailure) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let outcome = if matches!(failure, BodyFailure::Late) { Outcome::Late } else { Outcome::Cut };
        self.reader = None;
        self.end(outcome);
        Poll::Ready(Some(Err(failure.into())))
    }
}

impl<B> ScrapeBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    /// Takes the next piece of the upstream's body, if it comes in time.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyFailure>> {
        if self.unzip()? {
            // A small piece may decode to very much: its time is limited, not its size.
            let late = self.deadline.as_mut().poll(cx).is_ready();
            return Poll::Ready(if late { Err(BodyFailure::Late) } else { Ok(()) });
        }
        match Pin::new(&mut self.upstream).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                // Trailers are of the hop, and nobody would look for them.
                frame.into_data().into_iter().for_each(|chunk| self.take(chunk));
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(BodyFailure::Cut(error.into()))),
            Poll::Ready(None) => Poll::Ready(self.upstream_done()),
            Poll::Pending => {
                ready!(self.deadline.as_mut().poll(cx));
                Poll::Ready(Err(BodyFailure::Late))
            }
        }
    }
}

impl<B> Body for ScrapeBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if let Some(bytes) = this.out.pop_front() {
                this.passed += bytes.len() as u64;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match this.state {
                State::Streaming => {
                    if let Err(failure) = ready!(this.poll_upstream(cx)) {
                        return this.fail(failure);
                    }
                }
                State::Scoring(_) => ready!(this.poll_scores(cx)),
                State::Done => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Done) && self.out.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        // Only a page that nothing can follow has the length that its upstream named.
        match self.reader {
            None if matches!(self.way, Way::Verbatim) && matches!(self.state, State::Streaming) => {
                self.upstream.size_hint()
            }
            _ => SizeHint::default(),
        }
    }
}

impl<B> Drop for ScrapeBody<B> {
    fn drop(&mut self) {
        self.scrape.metrics.running.dec();
        self.scrape.metrics.bytes(self.received, self.passed);
        if !matches!(self.state, State::Done) {
            self.scrape.metrics.ended(Outcome::Abandoned);
        }
    }
}

// === impl Way ===

impl Way {
    /// `families` as they stand behind the page.
    fn tail(&self, mut families: Vec<u8>, page: &PooledPage) -> Bytes {
        if families.is_empty() {
            return Bytes::new();
        }
        if page.format().syntax == Syntax::Text && page.ends_mid_line() {
            families.insert(0, b'\n');
        }
        match self {
            Self::GzipMember => {
                let mut member = Vec::with_capacity(families.len() / 4 + 64);
                // Without a member the page is still whole.
                compress_gzip(&families, &mut member).map_or_else(|_| Bytes::new(), |()| member.into())
            }
            Self::HoldEof(hold) | Self::Unzipped(_, hold) if !is_whole(hold.held()) => Bytes::new(),
            _ => families.into(),
        }
    }
}

// === impl Scrape ===

impl Scrape {
    /// Hands a whole page to the scorer. A panic of it is its own: the page goes on.
    fn ask(&self, page: Arc<PooledPage>) -> Result<Scoring, Unscored> {
        let job = ScrapedPage {
            page: Arc::clone(&page),
            target: Arc::clone(&self.scope),
            scraped_at_ms: self.scraped_at_ms,
            teach: self.lessons.take(&self.scope, self.limits.interval, self.began),
        };
        let scores =
            catch_unwind(AssertUnwindSafe(|| self.scorer.score(job))).map_err(|_| Unscored::Panic)?;
        let budget = (Instant::now() + self.score_budget).min(self.scraper_deadline);
        Ok(Scoring { scores, page, budget: Box::pin(sleep_until(budget)) })
    }
}

// === impl Scoring ===

impl Scoring {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<ScoreSample>, Unscored>> {
        match catch_unwind(AssertUnwindSafe(|| self.scores.as_mut().poll(cx))) {
            Ok(Poll::Ready(scores)) => return Poll::Ready(Ok(scores)),
            Ok(Poll::Pending) => {}
            Err(_) => return Poll::Ready(Err(Unscored::Panic)),
        }
        ready!(self.budget.as_mut().poll(cx));
        Poll::Ready(Err(Unscored::Budget))
    }
}
