//! The proof, in production, that what leaves is what came: the bytes of one request in a thousand are hashed piece by
//! piece as they arrive, and hashed again as they were posted. Whatever joins, keeps or hands them on lies between.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

use super::PushMetrics;

/// What came of one request; nothing of those that are not compared.
#[derive(Default)]
pub(super) struct Comparison {
    came: Option<Box<Xxh3Default>>,
}

/// A body that is hashed as it comes.
pub(super) struct Tapped<'a, B> {
    body: B,
    came: Option<&'a mut Xxh3Default>,
}

// === impl Comparison ===

impl Comparison {
    /// Compares this request if it is the one in a thousand.
    pub(super) fn next(metrics: &PushMetrics) -> Self {
        Self { came: metrics.is_hashed().then(Box::default) }
    }

    /// Takes note of `body` while it is read.
    pub(super) fn tap<B>(&mut self, body: B) -> Tapped<'_, B> {
        Tapped { body, came: self.came.as_deref_mut() }
    }

    /// Compares what came with what `left`, and counts.
    pub(super) fn end(self, left: &[u8], metrics: &PushMetrics) {
        let Some(came) = self.came else { return };
        metrics.hashed.inc();
        if came.digest128() != xxh3_128(left) {
            metrics.altered.inc();
            tracing::error!("the bytes of a request changed on their way; please report this");
        }
    }
}

// === impl Tapped ===

impl<B> Body for Tapped<'_, B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let (Some(came), Some(Ok(frame))) = (&mut self.came, &frame)
            && let Some(data) = frame.data_ref()
        {
            came.update(data);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use prometheus_client::metrics::gauge::Gauge;

    use crate::net::body::{MinRate, read_body};
    use crate::net::budget::BodyBudget;

    /// A body in pieces, as a connection brings it.
    struct Pieces(VecDeque<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }

    /// Lets a request in `pieces` pass, `forward` being the way out; says how many were compared and found altered.
    fn passed(metrics: &PushMetrics, pieces: &[&[u8]], forward: impl FnOnce(Bytes) -> Bytes) -> (u64, u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let pieces = Pieces(pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect());
        let mut comparison = Comparison::next(metrics);
        let budget = BodyBudget::new(1 << 20, Gauge::default());
        let body = comparison.tap(pieces);
        let whole = runtime.block_on(read_body(body, 1 << 20, MinRate::default(), &budget)).unwrap();
        comparison.end(&forward(whole.bytes.clone()), metrics);
        (metrics.hashed.get(), metrics.altered.get())
    }

    #[test]
    fn bytes_that_change_on_their_way_are_counted() {
        let changes: [fn(Vec<u8>) -> Vec<u8>; 5] = [
            |body| body.iter().map(|byte| byte ^ 1).collect(),
            |body| body[..body.len() - 1].to_vec(),
            |body| [&body[..], b"\0"].concat(),
            |body| body.into_iter().rev().collect(),
            |_| Vec::new(),
        ];
        for change in changes {
            let metrics = PushMetrics::default();
            let altered = |body: Bytes| change(body.to_vec()).into();
            assert_eq!(passed(&metrics, &[b"a request", b" in two"], altered), (1, 1));
        }
    }

    #[test]
    fn one_request_in_a_thousand_is_compared_and_the_others_are_not() {
        let metrics = PushMetrics::default();
        for n in 0..2_500 {
            // The others could change as they like: nobody looks.
            let forward = |body| if n % 1_000 == 0 { body } else { Bytes::new() };
            passed(&metrics, &[b"a request"], forward);
        }
        assert_eq!((metrics.hashed.get(), metrics.altered.get()), (3, 0));
    }

    proptest! {
        #[test]
        fn bytes_that_do_not_change_are_never_counted(pieces: Vec<Vec<u8>>) {
            let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
            let whole = pieces.concat();
            let forward = |body: Bytes| {
                assert_eq!(body, whole);
                body
            };
            prop_assert_eq!(passed(&PushMetrics::default(), &pieces, forward), (1, 0));
        }
    }
}
