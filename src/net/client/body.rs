//! The body of an answer, which carries its connection along.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Connection;
use super::pool::{Key, Pool};
use super::{ClientError, cut};

/// The body of an answer. Reading it drives the connection; its end gives the connection back to the pool.
///
/// Dropped before its end it closes the connection: the rest of the answer is in the way of the next one.
#[derive(Debug)]
pub struct ResponseBody {
    body: Incoming,
    key: Key,
    /// None once the connection went back to the pool.
    connection: Option<Box<Connection>>,
    pool: Arc<Pool>,
}

impl ResponseBody {
    pub(super) async fn new(body: Incoming, connection: Box<Connection>, key: Key, pool: Arc<Pool>) -> Self {
        let mut answer = Self { body, key, connection: Some(connection), pool };
        // Most answers of a receiver are empty, and nobody polls an empty body.
        std::future::poll_fn(|cx| {
            answer.settle(cx);
            Poll::Ready(())
        })
        .await;
        answer
    }

    /// Gives the connection back if the body is at its end.
    fn settle(&mut self, cx: &mut Context<'_>) {
        if self.body.is_end_stream()
            && let Some(connection) = self.connection.take()
        {
            self.pool.put(&self.key, connection, cx);
        }
    }

    /// Polls for a frame: what is here already first, then what the connection brings.
    fn poll_driven(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let Some(connection) = &mut self.connection else { return Poll::Pending };
        // An end of the connection shows in the body as its end or as an error.
        let _ended = connection.poll_drive(cx);
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ClientError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientError>>> {
        match std::task::ready!(self.poll_driven(cx)) {
            Some(Ok(frame)) => {
                self.settle(cx);
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.connection = None;
                Poll::Ready(Some(Err(cut(&self.key, error.into()))))
            }
            None => {
                if let Some(connection) = self.connection.take() {
                    let Self { key, pool, .. } = &*self;
                    pool.put(key, connection, cx);
                }
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
