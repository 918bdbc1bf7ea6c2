//! The threads on which batches walk the corridor.
//!
//! A door hands over a job and goes on: scoring is never in the way of the data. All jobs of one scope go
//! to one thread, in the order in which they were handed over, so that a series sees its samples in order
//! whatever connection they came on. What waits is bounded in bytes; where that is spent, a door waits a
//! stated time for room, and then the batch passes unscored. A thread that makes no progress at all is
//! not waited for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::timeout;

use crate::batch::Batch;
use crate::series::Scope;
use crate::wire::compression::Buffer;
use crate::wire::remote_write::v2::SymbolTable;
use crate::wire::remote_write::{Tape, Walked};

/// Room is counted in pieces of this many bytes; a job takes one at the least.
const PIECE: usize = 1_024;
/// A desk gives memory back that one large body made it take.
const KEEP_BYTES: usize = 4 << 20;
/// How long a busy thread waits for jobs to gather.
const NAP: Duration = Duration::from_micros(500);

/// How much a scorer stands back behind the threads that carry samples. A scorer that is woken then does not take
/// the core from a door that is about to answer.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// Scorer threads. Dropping it lets them finish what waits, and ends them.
#[derive(Debug)]
pub struct Scorers {
    lanes: Vec<Lane>,
    pieces: u32,
    patience: Duration,
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
    /// Labels of bodies of version 1.0 that were walked before.
    pub walked: Walked,
    /// How scores of version 1.0 were spelled before.
    pub tape: Tape,
}

/// The thread of the scope has as much waiting as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

type Work = Box<dyn FnOnce(&mut Desk) + Send>;

#[derive(Debug)]
struct Lane {
    jobs: Sender<Job>,
    room: Arc<Semaphore>,
    /// Somebody has waited in vain since the last job was done.
    stuck: Arc<AtomicBool>,
}

struct Job {
    work: Work,
    /// Held until the job is done.
    _room: OwnedSemaphorePermit,
}

// === impl Scorers ===

impl Scorers {
    /// Starts `threads` threads, each of which may have `max_bytes` of bodies waiting. A door waits for
    /// room no longer than `patience`.
    ///
    /// # Errors
    /// The operating system gives no more threads.
    pub fn start(threads: usize, max_bytes: usize, patience: Duration) -> std::io::Result<Self> {
        let pieces = u32::try_from(max_bytes / PIECE).unwrap_or(u32::MAX).max(1);
        let lanes =
            (0..threads.max(1)).map(|number| Lane::start(number, pieces)).collect::<Result<_, _>>()?;
        Ok(Self { lanes, pieces, patience })
    }

    /// Hands `work` on a body of `bytes` to the thread of `scope`.
    ///
    /// # Errors
    /// [`Busy`] if there was no room in time; the work is then dropped.
    pub async fn submit(
        &self,
        scope: &Scope,
        bytes: usize,
        work: impl FnOnce(&mut Desk) + Send + 'static,
    ) -> Result<(), Busy> {
        let lane = &self.lanes[scope.id() as usize % self.lanes.len()];
        let pieces = u32::try_from(bytes / PIECE).unwrap_or(u32::MAX).clamp(1, self.pieces);
        let room = lane.room(pieces, self.patience).await?;
        // The thread ends only when this is dropped; a thread that died takes no work.
        lane.jobs.send(Job { work: Box::new(work), _room: room }).map_err(|_| Busy)
    }

    /// Waits until everything handed over so far is done, but no longer than `within`.
    pub async fn settled(&self, within: Duration) {
        let all_room = async {
            for lane in &self.lanes {
                // Nothing closes the semaphore; whoever has all of its room knows that nobody works.
                drop(lane.room.acquire_many(self.pieces).await);
            }
        };
        if timeout(within, all_room).await.is_err() {
            tracing::warn!("a scorer is still at work; its scores are lost");
        }
    }

    /// Bytes of bodies that wait to be scored.
    pub fn waiting_bytes(&self) -> usize {
        let free: usize = self.lanes.iter().map(|lane| lane.room.available_permits()).sum();
        (self.pieces as usize * self.lanes.len()).saturating_sub(free) * PIECE
    }
}

// === impl Lane ===

impl Lane {
    fn start(number: usize, pieces: u32) -> std::io::Result<Self> {
        let (jobs, queue) = channel();
        let stuck = Arc::new(AtomicBool::new(false));
        let progress = Arc::clone(&stuck);
        // Nobody joins the thread: it ends when its queue is empty and the scorers are gone, and a detector
        // that hangs must not keep the process from ending.
        thread::Builder::new().name(format!("scorer-{number}")).spawn(move || work_off(&queue, &progress))?;
        Ok(Self { jobs, room: Arc::new(Semaphore::new(pieces as usize)), stuck })
    }

    async fn room(&self, pieces: u32, patience: Duration) -> Result<OwnedSemaphorePermit, Busy> {
        match Arc::clone(&self.room).try_acquire_many_owned(pieces) {
            Ok(room) => return Ok(room),
            Err(TryAcquireError::Closed) => return Err(Busy),
            Err(TryAcquireError::NoPermits) if self.stuck.load(Ordering::Relaxed) => return Err(Busy),
            Err(TryAcquireError::NoPermits) => {}
        }
        match timeout(patience, Arc::clone(&self.room).acquire_many_owned(pieces)).await {
            Ok(Ok(room)) => Ok(room),
            _ => {
                self.stuck.store(true, Ordering::Relaxed);
                Err(Busy)
            }
        }
    }
}

fn work_off(queue: &Receiver<Job>, stuck: &AtomicBool) {
    stand_back();
    let mut desk = Desk::default();
    while let Ok(job) = queue.recv() {
        work_on(job, &mut desk, stuck);
        while work_on_all(queue, &mut desk, stuck) > 0 {
            // Jobs come faster than this thread works: to be woken for each would cost as much as a small job
            // does. It looks again by itself, and meanwhile the doors need not wake it.
            thread::sleep(NAP);
        }
    }
}

/// Lets the threads that carry samples go first where the two want the same core.
fn stand_back() {
    // Of the calling thread alone, as Linux has it.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "a scorer runs at the priority of the data path");
    }
}

/// Does what waits, and says how many jobs that were.
fn work_on_all(queue: &Receiver<Job>, desk: &mut Desk, stuck: &AtomicBool) -> usize {
    queue.try_iter().map(|job| work_on(job, desk, stuck)).count()
}

fn work_on(Job { work, _room }: Job, desk: &mut Desk, stuck: &AtomicBool) {
    // The corridor catches what its detectors do; this catches the rest, so that one bad batch is one batch
    // unscored and not the end of scoring. The desk may be in any state: it is replaced.
    if catch_unwind(AssertUnwindSafe(|| work(desk))).is_err() {
        tracing::error!("a scorer broke on a batch; it passed unscored");
        *desk = Desk::default();
    }
    desk.raw.shrink_above(KEEP_BYTES);
    stuck.store(false, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{ScopeLimits, ScopeName, Scopes};

    fn scope() -> Arc<Scope> {
        let name = ScopeName::Tenant("".into());
        Scopes::new(0).get(&name, 0, &ScopeLimits::default()).expect("room for one")
    }

    const PATIENCE: Duration = Duration::from_millis(20);

    fn scorers(threads: usize, bytes: usize) -> Scorers {
        Scorers::start(threads, bytes, PATIENCE).expect("threads")
    }

    #[tokio::test]
    async fn jobs_of_one_scope_run_in_order() {
        let scorers = scorers(3, 1 << 20);
        let (results, got) = channel();
        for number in 0..100 {
            let results = results.clone();
            let work = move |_: &mut Desk| results.send(number).expect("listening");
            scorers.submit(&scope(), 1, work).await.expect("room");
        }
        assert_eq!(got.iter().take(100).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn f17_a_thread_that_hangs_lets_batches_pass_unscored() {
        let scorers = scorers(1, PIECE);
        let (release, hold) = channel::<()>();
        scorers.submit(&scope(), 1, move |_| assert!(hold.recv().is_err())).await.expect("room");
        assert_eq!(scorers.submit(&scope(), 1, |_| ()).await, Err(Busy));
        drop(release);
    }

    #[tokio::test]
    async fn a_door_waits_for_room_where_the_thread_makes_progress() {
        let scorers = Scorers::start(1, PIECE, Duration::from_secs(3_600)).expect("threads");
        let (results, got) = channel();
        for number in 0..50 {
            let results = results.clone();
            let work = move |_: &mut Desk| results.send(number).expect("listening");
            scorers.submit(&scope(), 1, work).await.expect("room in time");
        }
        assert_eq!(got.iter().take(50).count(), 50);
    }

    #[tokio::test]
    async fn a_job_that_panics_is_the_only_one_lost() {
        let scorers = scorers(1, 1 << 20);
        let (results, got) = channel();
        scorers.submit(&scope(), 1, |_| panic!("on purpose")).await.expect("room");
        scorers.submit(&scope(), 1, move |_| results.send(()).expect("listening")).await.expect("room");
        got.recv().expect("the next job runs");
    }
}
