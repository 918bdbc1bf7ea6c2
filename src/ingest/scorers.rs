//! The threads on which batches walk the corridor.
//!
//! A door hands over a job and goes on: scoring is never in the way of the data. All jobs of one scope go
//! to one thread, in the order in which they were handed over, so that a series sees its samples in order
//! whatever connection they came on. What waits is bounded in bytes; beyond it a batch passes unscored.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use crate::batch::Batch;
use crate::series::{Cursor, Scope};
use crate::wire::compression::Buffer;
use crate::wire::remote_write::v2::SymbolTable;

/// Jobs that one thread has waiting at the most, whatever their size.
const MAX_JOBS: usize = 1_024;
/// A desk gives memory back that one large body made it take.
const KEEP_BYTES: usize = 4 << 20;

/// Scorer threads. Dropping it lets them finish what waits, and ends them.
#[derive(Debug)]
pub struct Scorers {
    lanes: Vec<Lane>,
    max_bytes: usize,
}

/// What a job works with: memory that is reused from batch to batch.
#[derive(Debug, Default)]
pub struct Desk {
    /// The decompressed body.
    pub raw: Buffer,
    /// The decoded body.
    pub batch: Batch,
    /// Symbols of a body of version 2.0.
    pub symbols: SymbolTable,
    cursors: HashMap<u32, Cursor>,
}

/// The thread of the scope has as much waiting as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

type Work = Box<dyn FnOnce(&mut Desk) + Send>;

#[derive(Debug)]
struct Lane {
    jobs: Option<SyncSender<Job>>,
    waiting: Arc<AtomicUsize>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Job {
    work: Work,
    bytes: usize,
}

// === impl Scorers ===

impl Scorers {
    /// Starts `threads` threads, each of which may have `max_bytes` of bodies waiting.
    ///
    /// # Errors
    /// The operating system gives no more threads.
    pub fn start(threads: usize, max_bytes: usize) -> std::io::Result<Self> {
        let lanes = (0..threads.max(1)).map(Lane::start).collect::<Result<_, _>>()?;
        Ok(Self { lanes, max_bytes })
    }

    /// Hands `work` on a body of `bytes` to the thread of `scope`.
    ///
    /// # Errors
    /// [`Busy`]; the work is then dropped.
    pub fn submit(
        &self,
        scope: &Scope,
        bytes: usize,
        work: impl FnOnce(&mut Desk) + Send + 'static,
    ) -> Result<(), Busy> {
        let lane = &self.lanes[scope.id() as usize % self.lanes.len()];
        if lane.waiting.load(Ordering::Relaxed) > self.max_bytes {
            return Err(Busy);
        }
        lane.waiting.fetch_add(bytes, Ordering::Relaxed);
        let job = Job { work: Box::new(work), bytes };
        let sent = lane.jobs.as_ref().map(|jobs| jobs.try_send(job));
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(job) | TrySendError::Disconnected(job))) => {
                lane.waiting.fetch_sub(job.bytes, Ordering::Relaxed);
                Err(Busy)
            }
            None => Err(Busy),
        }
    }

    /// Bytes of bodies that wait to be scored.
    pub fn waiting_bytes(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.load(Ordering::Relaxed)).sum()
    }
}

impl Drop for Scorers {
    fn drop(&mut self) {
        for lane in &mut self.lanes {
            lane.jobs = None;
        }
        // Threads end when their queue is empty. A detector that hangs must not keep the process from
        // ending, so nobody waits for them here.
        self.lanes.iter_mut().for_each(|lane| drop(lane.thread.take()));
    }
}

// === impl Lane ===

impl Lane {
    fn start(number: usize) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(MAX_JOBS);
        let waiting = Arc::new(AtomicUsize::new(0));
        let done = Arc::clone(&waiting);
        let thread =
            thread::Builder::new().name(format!("scorer-{number}")).spawn(move || work_off(&queue, &done))?;
        Ok(Self { jobs: Some(jobs), waiting, thread: Some(thread) })
    }
}

fn work_off(queue: &Receiver<Job>, waiting: &AtomicUsize) {
    let mut desk = Desk::default();
    while let Ok(job) = queue.recv() {
        // The corridor catches what its detectors do; this catches the rest, so that one bad batch is one
        // batch unscored and not the end of scoring. The desk may be in any state: it is cleared first.
        if catch_unwind(AssertUnwindSafe(|| (job.work)(&mut desk))).is_err() {
            tracing::error!("a scorer broke on a batch; it passed unscored");
            desk = Desk::default();
        }
        desk.raw.shrink_above(KEEP_BYTES);
        waiting.fetch_sub(job.bytes, Ordering::Relaxed);
    }
}

// === impl Desk ===

impl Desk {
    /// Where the scope's last batch left off.
    pub fn cursor(&self, scope: &Scope) -> Cursor {
        self.cursors.get(&scope.id()).cloned().unwrap_or_default()
    }

    /// Remembers where the scope's batch left off.
    pub fn set_cursor(&mut self, scope: &Scope, cursor: Cursor) {
        self.cursors.insert(scope.id(), cursor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{ScopeName, Scopes};
    use std::sync::mpsc::channel;

    fn scope() -> Arc<Scope> {
        Scopes::new(1, 0).get(&ScopeName::Tenant("".into())).expect("room for one")
    }

    #[test]
    fn jobs_of_one_scope_run_in_order() {
        let scorers = Scorers::start(3, 1 << 20).expect("threads");
        let (results, got) = channel();
        for number in 0..100 {
            let results = results.clone();
            scorers.submit(&scope(), 1, move |_| results.send(number).expect("listening")).expect("room");
        }
        assert_eq!(got.iter().take(100).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn f17_a_thread_that_hangs_lets_batches_pass_unscored() {
        let scorers = Scorers::start(1, 100).expect("threads");
        let (release, hold) = channel::<()>();
        scorers.submit(&scope(), 101, move |_| assert!(hold.recv().is_err())).expect("room");
        assert_eq!(scorers.submit(&scope(), 1, |_| ()), Err(Busy));
        drop(release);
    }

    #[test]
    fn a_job_that_panics_is_the_only_one_lost() {
        let scorers = Scorers::start(1, 1 << 20).expect("threads");
        let (results, got) = channel();
        scorers.submit(&scope(), 1, |_| panic!("on purpose")).expect("room");
        scorers.submit(&scope(), 1, move |_| results.send(()).expect("listening")).expect("room");
        got.recv().expect("the next job runs");
    }
}
