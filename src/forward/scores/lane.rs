//! The queue of one lane, in order; the oldest is dropped first.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::budget::{Budget, Held};
use super::outbox::{Outbox, Scores};
use crate::config::sections;
use crate::inject::ScoreSample;
use crate::wire::remote_write::ScoreBlock;

/// Scores that wait for their requests.
#[derive(Debug, Default)]
pub(super) struct Lane {
    queue: Mutex<Queue>,
    /// Bytes of the queue, to be compared with those of other lanes without its lock.
    bytes: AtomicUsize,
    /// Wakes the sender when a batch may be due earlier than it thinks.
    pub(super) news: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Batch>,
}

/// Scores of one request.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) scores: Pending,
    /// What it takes of `scores.max_queue_size`.
    pub(super) held: Held,
    /// When it leaves at the latest.
    due: Instant,
    /// When its oldest score came.
    pub(super) since: Instant,
}

#[derive(Debug)]
pub(super) enum Pending {
    V1(ScoreBlock),
    V2(Vec<ScoreSample>),
}

/// What the sender does next.
#[derive(Debug)]
pub(super) enum Next {
    Send(Batch),
    WaitUntil(Instant),
    Wait,
}

/// When the oldest batch may leave.
#[derive(Debug, PartialEq, Eq)]
enum Readiness {
    Empty,
    /// No more fits into it.
    Full,
    Due(Instant),
}

// === impl Lane ===

impl Lane {
    /// Queues the scores of one incoming request.
    pub(super) fn add(&self, outbox: Outbox, config: &sections::Scores, budget: &Budget) {
        let now = Instant::now();
        let wait = if outbox.urgent { config.urgent_within.get() / 2 } else { config.batch_interval.get() };
        let batch_size = config.batch_size as usize;
        let mut queue = self.queue.lock();
        let before = queue.readiness(batch_size);
        for scores in pieces(outbox.scores, batch_size) {
            let held = budget.hold(scores.bytes());
            self.bytes.fetch_add(held.bytes(), Ordering::Relaxed);
            queue.push(Batch { scores, held, due: now + wait, since: now }, config);
        }
        // Waking the sender costs more than queueing: it is only told what it does not know.
        let news = queue.readiness(batch_size) != before;
        drop(queue);
        if news {
            self.news.notify_one();
        }
    }

    /// The next batch if it is full or due; `all` takes it in any case.
    pub(super) fn next(&self, config: &sections::Scores, all: bool) -> Next {
        let mut queue = self.queue.lock();
        match queue.readiness(config.batch_size as usize) {
            Readiness::Empty => Next::Wait,
            Readiness::Due(at) if !all && at > Instant::now() => Next::WaitUntil(at),
            Readiness::Full | Readiness::Due(_) => self.pop(&mut queue).map_or(Next::Wait, Next::Send),
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.lock().batches.is_empty()
    }

    /// Bytes that wait here, less those of a batch on its way.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Drops the oldest batch and says how many scores it held; `None` if nothing waits.
    pub(super) fn drop_oldest(&self) -> Option<usize> {
        self.pop(&mut self.queue.lock()).map(|batch| batch.len())
    }

    fn pop(&self, queue: &mut Queue) -> Option<Batch> {
        let batch = queue.batches.pop_front()?;
        self.bytes.fetch_sub(batch.held.bytes(), Ordering::Relaxed);
        Some(batch)
    }
}

/// Scores in pieces of at most `size`.
fn pieces(scores: Scores, size: usize) -> Vec<Pending> {
    match scores {
        Scores::V1(blocks) => blocks.into_iter().map(Pending::V1).collect(),
        Scores::V2(samples) if samples.len() <= size => vec![Pending::V2(samples)],
        Scores::V2(samples) => samples.chunks(size).map(|chunk| Pending::V2(chunk.to_vec())).collect(),
    }
}

// === impl Queue ===

impl Queue {
    fn readiness(&self, batch_size: usize) -> Readiness {
        match self.batches.front() {
            None => Readiness::Empty,
            Some(first) if first.len() >= batch_size || self.batches.len() > 1 => Readiness::Full,
            Some(first) => Readiness::Due(first.due),
        }
    }

    /// Joins `batch` to the last one if the two fit a request, else appends it.
    fn push(&mut self, mut batch: Batch, config: &sections::Scores) {
        if let Some(last) = self.batches.back_mut()
            && last.len() + batch.len() <= config.batch_size as usize
            && last.join(&mut batch, config.max_request_size.as_usize())
        {
            return;
        }
        self.batches.push_back(batch);
    }
}

// === impl Pending ===

impl Pending {
    fn len(&self) -> usize {
        match self {
            Self::V1(block) => block.len(),
            Self::V2(samples) => samples.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::V1(block) => block.bytes(),
            Self::V2(samples) => std::mem::size_of_val(samples.as_slice()),
        }
    }
}

// === impl Batch ===

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.scores.len()
    }

    /// Takes the scores of `other` in, if both are of one version and the result is not too long. It is due
    /// when either was.
    fn join(&mut self, other: &mut Self, max_bytes: usize) -> bool {
        match (&mut self.scores, &mut other.scores) {
            (Pending::V1(mine), Pending::V1(theirs)) if mine.bytes() + theirs.bytes() <= max_bytes => {
                mine.append(theirs);
            }
            // How long it will be is known when it is spelled.
            (Pending::V2(mine), Pending::V2(theirs)) => mine.append(theirs),
            _ => return false,
        }
        self.held.join(&mut other.held);
        self.due = self.due.min(other.due);
        true
    }
}
