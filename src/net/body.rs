//! Reading bodies within bounds: a size that cannot be passed and a rate that must be kept.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::time::{Instant, Sleep, sleep_until};

use super::budget::{BodyBudget, GaveWay, Kept};

/// Any error that a body or a service may give.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body type in which doors answer when one concrete type does not do.
pub type BoxBody = UnsyncBoxBody<Bytes, BoxError>;

/// How slow a sender may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinRate {
    /// Time that every body has, whatever its size, and the longest that it may fall behind the rate later:
    /// what came early buys no more than this.
    pub grace: Duration,
    /// Bytes a second that it must average once the grace is over; 0 means that the grace is all it has.
    pub bytes_per_second: u64,
}

/// A body that fails once its sender falls behind a [`MinRate`] (safety B-9).
///
/// The clock runs while we wait for the sender only in the sense that a body that is already here needs
/// no timer: the timer is made at the first wait.
#[derive(Debug)]
pub struct Paced<B> {
    inner: B,
    rate: MinRate,
    /// When the next byte must have come.
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

/// A body that fails once it has given more than a limit of bytes.
#[derive(Debug)]
pub struct Limited<B> {
    inner: B,
    limit: u64,
    left: u64,
}

/// A request body that came whole. Its bytes stay counted in the [`BodyBudget`] until this is dropped.
#[derive(Debug)]
pub struct WholeBody {
    /// The body.
    pub bytes: Bytes,
    _kept: Kept,
}

/// What [`read_bounded`] kept of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounded {
    /// The first bytes of the body, at most the limit.
    pub bytes: Bytes,
    /// Whether the body had more.
    pub truncated: bool,
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body is larger than the caller's limit.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The sender fell behind the minimum rate.
    #[error("the body came slower than {bytes_per_second} bytes/s after a grace of {grace:?}")]
    TooSlow {
        /// The rate that it had to keep.
        bytes_per_second: u64,
        /// The time it had before the rate counts.
        grace: Duration,
    },
    /// The body gave way to others in the budget of all bodies.
    #[error(
        "more bytes of bodies are being held than the {limit} that are allowed (limits.max_body_bytes_in_flight), \
         and this one was the last to be whole; retry later, or raise the limit"
    )]
    GaveWay {
        /// The budget in bytes.
        limit: u64,
    },
    /// The connection failed, or the body's framing is wrong.
    #[error("the body was cut short or malformed")]
    Broken(#[source] BoxError),
}

// === impl MinRate ===

impl Default for MinRate {
    /// 1 KiB/s after 10 s.
    fn default() -> Self {
        Self { grace: Duration::from_secs(10), bytes_per_second: 1024 }
    }
}

impl MinRate {
    /// The next deadline of a body that has just got `bytes` before the one called `deadline`.
    fn prolong(&self, deadline: Instant, bytes: usize) -> Instant {
        if self.bytes_per_second == 0 {
            return deadline;
        }
        let bought = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        (deadline + bought).min(Instant::now() + self.grace)
    }
}

// === impl Paced ===

impl<B> Paced<B> {
    /// Starts the clock of `inner`.
    pub fn new(inner: B, rate: MinRate) -> Self {
        Self { inner, rate, deadline: Instant::now() + rate.grace, timer: None }
    }

    /// Ready with the error once the deadline is over.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let deadline = self.deadline;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        let MinRate { grace, bytes_per_second } = self.rate;
        Poll::Ready(BodyError::TooSlow { bytes_per_second, grace })
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(Ok(frame)) = &frame {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    self.deadline = self.rate.prolong(self.deadline, bytes);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(|error| BodyError::Broken(error.into()))))
            }
            Poll::Pending => self.poll_late(cx).map(|late| Some(Err(late))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

// === impl Limited ===

impl<B> Limited<B> {
    /// Lets at most `limit` bytes of `inner` through.
    pub fn new(inner: B, limit: u64) -> Self {
        Self { inner, limit, left: limit }
    }
}

impl<B> Body for Limited<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other.map(|frame| frame.map_err(Into::into))),
        };
        let len = frame.data_ref().map_or(0, Bytes::len) as u64;
        match self.left.checked_sub(len) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => Poll::Ready(Some(Err(Box::new(BodyError::TooLarge { limit: self.limit })))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

// === reading whole bodies ===

/// Reads a whole request body of at most `limit` bytes whose sender keeps `rate`, within `budget`.
///
/// A declared length over the limit is refused before a byte is read, and counts for nothing else: what is
/// taken of the budget is what has come. A body that came in one piece is not copied.
///
/// # Errors
///
/// [`BodyError`] for a body that is too large, too slow or broken, or that had to give way.
pub async fn read_body<B>(
    body: B,
    limit: u64,
    rate: MinRate,
    budget: &BodyBudget,
) -> Result<WholeBody, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    if body.size_hint().lower() > limit {
        return Err(BodyError::TooLarge { limit });
    }
    let gave_way = |_: GaveWay| BodyError::GaveWay { limit: budget.limit() };
    let declared = body.size_hint().exact().unwrap_or(0) as usize;
    let mut body = Paced::new(body, rate);
    let (mut pieces, mut claim) = (Pieces::expecting(declared), budget.claim());
    loop {
        let frame = tokio::select! {
            biased;
            () = claim.gave_way() => return Err(gave_way(GaveWay)),
            frame = body.frame() => frame,
        };
        let Some(frame) = frame else { break };
        let Ok(data) = frame?.into_data() else { continue };
        if pieces.len() + data.len() as u64 > limit {
            return Err(BodyError::TooLarge { limit });
        }
        claim.grow(data.len()).map_err(gave_way)?;
        pieces.push(data);
    }
    Ok(WholeBody { bytes: pieces.finish(), _kept: claim.whole().map_err(gave_way)? })
}

/// Reads at most `limit` bytes of an answer, so that a peer cannot fill our memory (safety B-6).
///
/// # Errors
///
/// The error of the body itself.
pub async fn read_bounded<B>(mut body: B, limit: usize) -> Result<Bounded, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let declared = body.size_hint().exact().unwrap_or(0) as usize;
    let mut pieces = Pieces::expecting(declared.min(limit));
    while let Some(frame) = body.frame().await {
        if let Ok(mut data) = frame?.into_data() {
            let room = limit - pieces.len() as usize;
            let truncated = data.len() > room;
            data.truncate(room);
            pieces.push(data);
            if truncated {
                return Ok(Bounded { bytes: pieces.finish(), truncated });
            }
        }
    }
    Ok(Bounded { bytes: pieces.finish(), truncated: false })
}

/// Memory that is reserved for a body on its peer's word alone; more is reserved as bytes come.
const RESERVED: usize = 256 << 10;

/// Joins the frames of a body; one frame alone stays where it is.
struct Pieces {
    first: Bytes,
    joined: BytesMut,
    expected: usize,
}

impl Pieces {
    fn expecting(expected: usize) -> Self {
        Self { first: Bytes::new(), joined: BytesMut::new(), expected }
    }

    fn len(&self) -> u64 {
        (self.first.len() + self.joined.len()) as u64
    }

    fn push(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        if self.joined.is_empty() {
            self.joined.reserve(self.expected.min(RESERVED).max(self.first.len() + data.len()));
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&data);
    }

    fn finish(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use http_body_util::Full;
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;

    /// A body of pieces, each after a pause.
    struct Drip(VecDeque<(Duration, Bytes)>, Option<Pin<Box<Sleep>>>);

    fn drip(pieces: impl IntoIterator<Item = (u64, usize)>) -> Drip {
        let piece = |(pause, len)| (Duration::from_millis(pause), Bytes::from(vec![b'x'; len]));
        Drip(pieces.into_iter().map(piece).collect(), None)
    }

    impl Body for Drip {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let Some((pause, _)) = self.0.front().cloned() else { return Poll::Ready(None) };
            let timer = self.1.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            ready!(timer.as_mut().poll(cx));
            self.1 = None;
            Poll::Ready(self.0.pop_front().map(|(_, data)| Ok(Frame::data(data))))
        }
    }

    /// Reads a body that has the budget for itself.
    async fn read<B>(body: B, limit: u64) -> Result<Bytes, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let budget = BodyBudget::new(u64::MAX, Gauge::default());
        read_body(body, limit, RATE, &budget).await.map(|body| body.bytes)
    }

    const RATE: MinRate = MinRate { grace: Duration::from_secs(5), bytes_per_second: 1024 };

    #[tokio::test(start_paused = true)]
    async fn b9_a_body_that_stalls_past_its_grace_is_too_slow() {
        let body = drip([(0, 100), (6_000, 1)]);
        let error = read(body, 1 << 20).await.unwrap_err();
        assert!(matches!(error, BodyError::TooSlow { bytes_per_second: 1024, .. }), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn b9_a_body_that_keeps_the_rate_may_take_its_time() {
        let body = drip((0..60).map(|_| (1_000, 1100)));
        assert_eq!(read(body, 1 << 20).await.unwrap().len(), 60 * 1100);
    }

    #[tokio::test(start_paused = true)]
    async fn b9_a_body_of_one_byte_a_second_is_cut_after_the_grace() {
        let started = Instant::now();
        read(drip((0..60).map(|_| (1_000, 1))), 1 << 20).await.unwrap_err();
        assert_eq!(started.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn b9_a_body_that_begins_fast_and_then_stalls_is_cut_after_the_grace() {
        let started = Instant::now();
        let stalled = drip([(0, 1 << 19), (0, 1 << 19)].into_iter().chain((0..60).map(|_| (1_000, 1))));
        assert!(matches!(read(stalled, 2 << 20).await, Err(BodyError::TooSlow { .. })));
        assert_eq!(started.elapsed().as_secs(), 5, "what came at once does not pay for an hour");
    }

    #[tokio::test(start_paused = true)]
    async fn b9_slow_bodies_give_way_to_one_that_comes_at_once() {
        let budget = BodyBudget::new(100, Gauge::default());
        let slow = |pause| {
            let budget = budget.clone();
            tokio::spawn(async move { read_body(drip([(0, 40), (pause, 1)]), 100, RATE, &budget).await })
        };
        let (first, second) = (slow(1_000), slow(1_000));
        tokio::time::sleep(Duration::from_millis(1)).await;
        let healthy = read_body(drip([(0, 50), (0, 10)]), 100, RATE, &budget).await.unwrap();
        assert_eq!(healthy.bytes.len(), 60);
        assert!(matches!(first.await.unwrap(), Err(BodyError::GaveWay { limit: 100 })));
        assert!(matches!(second.await.unwrap(), Err(BodyError::GaveWay { .. })), "60 whole bytes leave 40");
    }

    #[tokio::test]
    async fn b3_a_declared_length_over_the_limit_is_refused_unread() {
        let error = read(Full::new(Bytes::from_static(b"12345")), 4).await.unwrap_err();
        assert!(matches!(error, BodyError::TooLarge { limit: 4 }));
    }

    #[tokio::test]
    async fn b3_an_undeclared_length_over_the_limit_is_refused_on_the_way() {
        let error = read(drip([(0, 3), (0, 3)]), 4).await.unwrap_err();
        assert!(matches!(error, BodyError::TooLarge { limit: 4 }));
        assert_eq!(read(drip([(0, 3), (0, 1)]), 4).await.unwrap().len(), 4);
    }

    #[tokio::test]
    async fn b6_an_answer_is_read_up_to_the_limit_and_says_that_it_was_cut() {
        let read = |pieces: Vec<(u64, usize)>| read_bounded(drip(pieces), 4);
        assert!(read(vec![(0, 3), (0, 3)]).await.unwrap().truncated);
        assert_eq!(read(vec![(0, 3), (0, 3)]).await.unwrap().bytes.len(), 4);
        assert!(!read(vec![(0, 3), (0, 1)]).await.unwrap().truncated);
    }

    #[tokio::test]
    async fn a_limited_body_gives_an_error_in_place_of_the_byte_too_many() {
        let collect = |limit| Limited::new(drip([(0, 3), (0, 3)]), limit).collect();
        assert!(collect(5).await.is_err());
        assert_eq!(collect(6).await.unwrap().to_bytes().len(), 6);
    }

    #[tokio::test]
    async fn a_body_in_one_piece_is_not_copied() {
        let bytes = Bytes::from_static(b"one piece");
        let read = read(Full::new(bytes.clone()), 100).await.unwrap();
        assert_eq!(read.as_ptr(), bytes.as_ptr());
    }
}
