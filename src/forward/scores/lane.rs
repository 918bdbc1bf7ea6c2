//! The queue of one lane: bounded in bytes and age, the oldest dropped first.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::metrics::ScoreMetrics;
use super::outbox::{Outbox, Scores};
use crate::config::sections;
use crate::inject::ScoreSample;
use crate::wire::remote_write::ScoreBlock;

/// Scores that wait for their requests.
#[derive(Debug, Default)]
pub(super) struct Lane {
    queue: Mutex<Queue>,
    /// Wakes the sender when a batch may be due earlier than it thinks.
    pub(super) news: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Batch>,
    bytes: usize,
}

/// Scores of one request.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) scores: Pending,
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
    pub(super) fn add(&self, outbox: Outbox, config: &sections::Scores, metrics: &ScoreMetrics) {
        let now = Instant::now();
        let wait = if outbox.urgent { config.urgent_within.get() / 2 } else { config.batch_interval.get() };
        let batch_size = config.batch_size as usize;
        let mut queue = self.queue.lock();
        let before = queue.readiness(batch_size);
        for scores in pieces(outbox.scores, batch_size) {
            queue.push(Batch { scores, due: now + wait, since: now }, batch_size);
        }
        while queue.bytes > config.max_queue_size.as_usize() {
            let Some(oldest) = queue.pop() else { break };
            metrics.queue_full.inc_by(oldest.len() as u64);
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
            Readiness::Full | Readiness::Due(_) => queue.pop().map_or(Next::Wait, Next::Send),
        }
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
    fn push(&mut self, mut batch: Batch, batch_size: usize) {
        self.bytes += batch.bytes();
        if let Some(last) = self.batches.back_mut()
            && last.len() + batch.len() <= batch_size
            && last.join(&mut batch)
        {
            last.due = last.due.min(batch.due);
            return;
        }
        self.batches.push_back(batch);
    }

    fn pop(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.bytes -= batch.bytes().min(self.bytes);
        Some(batch)
    }
}

// === impl Batch ===

impl Batch {
    pub(super) fn len(&self) -> usize {
        match &self.scores {
            Pending::V1(block) => block.len(),
            Pending::V2(samples) => samples.len(),
        }
    }

    fn bytes(&self) -> usize {
        match &self.scores {
            Pending::V1(block) => block.bytes(),
            Pending::V2(samples) => std::mem::size_of_val(samples.as_slice()),
        }
    }

    /// Takes the scores of `other` in, if both are of one version.
    fn join(&mut self, other: &mut Self) -> bool {
        match (&mut self.scores, &mut other.scores) {
            (Pending::V1(mine), Pending::V1(theirs)) => mine.append(theirs),
            (Pending::V2(mine), Pending::V2(theirs)) => mine.append(theirs),
            _ => return false,
        }
        true
    }
}
