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

/// Any error that a body or a service may give.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body type in which doors answer when one concrete type does not do.
pub type BoxBody = UnsyncBoxBody<Bytes, BoxError>;

/// How slow a sender may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinRate {
    /// Time that every body has, whatever its size.
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
    started: Instant,
    received: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

/// A body that fails once it has given more than a limit of bytes.
#[derive(Debug)]
pub struct Limited<B> {
    inner: B,
    limit: u64,
    left: u64,
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
    /// The time that a body has for its first `received` bytes and the next one.
    fn allowance(&self, received: u64) -> Duration {
        match received.checked_div(self.bytes_per_second) {
            Some(_) => self.grace + Duration::from_secs_f64(received as f64 / self.bytes_per_second as f64),
            None => self.grace,
        }
    }
}

// === impl Paced ===

impl<B> Paced<B> {
    /// Starts the clock of `inner`.
    pub fn new(inner: B, rate: MinRate) -> Self {
        Self { inner, rate, started: Instant::now(), received: 0, timer: None }
    }

    /// Ready with the error once the allowance is used up.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let deadline = self.started + self.rate.allowance(self.received);
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
                    self.received += frame.data_ref().map_or(0, Bytes::len) as u64;
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

/// Reads a whole request body of at most `limit` bytes whose sender keeps `rate`.
///
/// A declared length over the limit is refused before a byte is read, and memory is reserved for no more
/// than the limit. A body that came in one piece is not copied.
///
/// # Errors
///
/// [`BodyError`] for a body that is too large, too slow or broken.
pub async fn read_body<B>(body: B, limit: u64, rate: MinRate) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    if body.size_hint().lower() > limit {
        return Err(BodyError::TooLarge { limit });
    }
    let declared = body.size_hint().exact().unwrap_or(0) as usize;
    let mut body = Paced::new(body, rate);
    let mut pieces = Pieces::expecting(declared);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            pieces.push(data);
            if pieces.len() > limit {
                return Err(BodyError::TooLarge { limit });
            }
        }
    }
    Ok(pieces.finish())
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
            self.joined.reserve(self.expected.max(self.first.len() + data.len()));
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

    const RATE: MinRate = MinRate { grace: Duration::from_secs(5), bytes_per_second: 1024 };

    #[tokio::test(start_paused = true)]
    async fn b9_a_body_that_stalls_past_its_grace_is_too_slow() {
        let body = drip([(0, 100), (6_000, 1)]);
        let error = read_body(body, 1 << 20, RATE).await.unwrap_err();
        assert!(matches!(error, BodyError::TooSlow { bytes_per_second: 1024, .. }), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn b9_a_body_that_keeps_the_rate_may_take_its_time() {
        let body = drip((0..60).map(|_| (1_000, 1100)));
        assert_eq!(read_body(body, 1 << 20, RATE).await.unwrap().len(), 60 * 1100);
    }

    #[tokio::test(start_paused = true)]
    async fn b9_a_body_of_one_byte_a_second_is_cut_after_the_grace() {
        let started = Instant::now();
        read_body(drip((0..60).map(|_| (1_000, 1))), 1 << 20, RATE).await.unwrap_err();
        assert_eq!(started.elapsed().as_secs(), 5);
    }

    #[tokio::test]
    async fn b3_a_declared_length_over_the_limit_is_refused_unread() {
        let error = read_body(Full::new(Bytes::from_static(b"12345")), 4, RATE).await.unwrap_err();
        assert!(matches!(error, BodyError::TooLarge { limit: 4 }));
    }

    #[tokio::test]
    async fn b3_an_undeclared_length_over_the_limit_is_refused_on_the_way() {
        let error = read_body(drip([(0, 3), (0, 3)]), 4, RATE).await.unwrap_err();
        assert!(matches!(error, BodyError::TooLarge { limit: 4 }));
        assert_eq!(read_body(drip([(0, 3), (0, 1)]), 4, RATE).await.unwrap().len(), 4);
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
        let read = read_body(Full::new(bytes.clone()), 100, RATE).await.unwrap();
        assert_eq!(read.as_ptr(), bytes.as_ptr());
    }
}
