//! The thread that writes what the corridor has heard.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prometheus_client::registry::Registry;

use super::buffer::Buffer;
use super::depot::Depot;
use super::metrics::{Lost, Metrics};
use super::place::Place;
use super::queue::{Next, Queue};
use super::retention::Retention;
use super::row::Row;
use super::write::FileWriter;
use crate::inject::Keep;
use crate::net::chain;

/// How an archive is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Files are written so often, and when memory is full.
    pub flush_interval: Duration,
    /// Series of a day are shared out among so many files.
    pub shards: u32,
    /// What is kept.
    pub retention: Retention,
    /// Memory of all that waits.
    pub memory_limit: usize,
    /// Milliseconds since the epoch.
    pub clock: fn() -> i64,
}

/// Writes what it is handed, on a thread of its own, until it is finished.
#[derive(Debug)]
pub struct Keeper {
    queue: Arc<Queue>,
    thread: std::thread::JoinHandle<()>,
}

/// What the thread works with.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) depot: Depot,
    pub(super) options: Options,
    pub(super) metrics: Arc<Metrics>,
    buffer: Buffer,
    /// Files that the store has not taken yet, the oldest first.
    unwritten: VecDeque<File>,
    /// What tells the files of this process from those of any other.
    writer: u32,
    files: u64,
    was_told: bool,
}

/// A file on its way to the store.
#[derive(Debug)]
struct File {
    place: Place,
    bytes: Bytes,
    samples: u64,
}

/// A store that does not take files is tried again after so long, or after the flush interval if that is shorter.
const PAUSE: Duration = Duration::from_secs(10);

// === impl Keeper ===

impl Keeper {
    /// Begins to keep in `depot`.
    ///
    /// # Errors
    ///
    /// The operating system gives no more threads.
    pub fn start(depot: Depot, options: Options, registry: &mut Registry) -> std::io::Result<Self> {
        let metrics = Arc::new(Metrics::default());
        metrics.register(registry);
        // A quarter waits in the queue, a half is gathered into files, a quarter is files on their way.
        let queue = Arc::new(Queue::new(options.memory_limit / 4, Arc::clone(&metrics)));
        let mut desk = Desk::new(depot, options, metrics);
        let work = Arc::clone(&queue);
        let thread =
            std::thread::Builder::new().name("archive".to_owned()).spawn(move || desk.work(&work))?;
        Ok(Self { queue, thread })
    }

    /// Whom the corridor hands what it has heard.
    pub fn ear(&self) -> Arc<dyn Keep> {
        Arc::clone(&self.queue) as Arc<dyn Keep>
    }

    /// Writes what is left, and ends. Blocks for as long as the store takes.
    pub fn finish(self) {
        self.queue.close();
        if self.thread.join().is_err() {
            tracing::error!("the archive broke; what it held is lost");
        }
    }
}

// === impl Desk ===

impl Desk {
    pub(super) fn new(depot: Depot, options: Options, metrics: Arc<Metrics>) -> Self {
        let (buffer, unwritten) = (Buffer::default(), VecDeque::new());
        Self { depot, options, metrics, buffer, unwritten, writer: rand::random(), files: 0, was_told: false }
    }

    fn work(&mut self, queue: &Queue) {
        let interval = self.options.flush_interval;
        let (mut due, mut retry) = (Instant::now() + interval, None::<Instant>);
        self.retain();
        loop {
            let until = retry.map_or(due, |retry| retry.min(due));
            match queue.next(until) {
                Next::Sheet(sheet) => self.buffer.put(sheet),
                Next::Due if Instant::now() < due => self.write_on(),
                Next::Due => {
                    self.flush();
                    self.retain();
                    due = Instant::now() + interval;
                }
                Next::Closed => return self.end(),
            }
            if self.buffer.bytes() > self.options.memory_limit / 2 {
                self.flush();
            }
            self.metrics.holds(queue.bytes() + self.held());
            retry = match self.unwritten.is_empty() {
                true => None,
                false => retry.filter(|retry| *retry > Instant::now()).or(Some(Instant::now() + PAUSE)),
            };
        }
    }

    fn held(&self) -> usize {
        self.buffer.bytes() + self.unwritten.iter().map(|file| file.bytes.len()).sum::<usize>()
    }

    /// Takes what came in a batch.
    #[cfg(test)]
    pub(super) fn put(&mut self, sheet: super::queue::Sheet) {
        self.buffer.put(sheet);
    }

    /// Makes files of all that came, and writes them.
    pub(super) fn flush(&mut self) {
        for (partition, rows) in self.buffer.take(self.options.shards) {
            let Some(start_ms) = rows.iter().map(|row| row.sample.timestamp_ms).min() else { continue };
            self.files += 1;
            let sequence = format!("{:08x}-{:06}", self.writer, self.files);
            let place = Place::new(partition, start_ms, &sequence);
            let samples = rows.len() as u64;
            match encode(&rows) {
                Ok(bytes) => self.unwritten.push_back(File { place, bytes: bytes.into(), samples }),
                Err(error) => {
                    tracing::error!(error = %chain(&error), "samples cannot be made a file of; they are lost");
                    self.metrics.lost(Lost::Unwritable, samples);
                }
            }
        }
        self.write_on();
        if self.unwritten.is_empty() {
            self.metrics.flushed_at((self.options.clock)());
        }
    }

    /// Writes files for as long as the store takes them. Of those that it does not take, the oldest are given up
    /// where there is no memory for them.
    fn write_on(&mut self) {
        while let Some(file) = self.unwritten.front() {
            if let Err(error) = self.depot.put(&file.place, file.bytes.clone()) {
                self.metrics.failed();
                if !std::mem::replace(&mut self.was_told, true) {
                    let error = chain(&error);
                    tracing::warn!(%error, "the archive cannot be written; it is tried again, and what is too much is given up");
                }
                return self.give_up();
            }
            if std::mem::take(&mut self.was_told) {
                tracing::info!("the archive is written again");
            }
            self.metrics.wrote(file.samples, file.bytes.len() as u64);
            self.unwritten.pop_front();
        }
    }

    /// Writes what is left, once.
    fn end(&mut self) {
        self.depot = self.depot.clone().in_a_hurry();
        self.flush();
        let samples: u64 = self.unwritten.drain(..).map(|file| file.samples).sum();
        self.metrics.lost(Lost::Unwritable, samples);
        if samples > 0 {
            tracing::warn!(samples, "the archive cannot be written; what waited for it is lost");
        }
    }

    fn give_up(&mut self) {
        let mut bytes: usize = self.unwritten.iter().map(|file| file.bytes.len()).sum();
        while bytes > self.options.memory_limit / 4 {
            let Some(oldest) = self.unwritten.pop_front() else { return };
            bytes -= oldest.bytes.len();
            self.metrics.lost(Lost::Unwritable, oldest.samples);
        }
    }

    /// Deletes what is not kept any more.
    pub(super) fn retain(&self) {
        let deleted = self.options.retention.apply(&self.depot, (self.options.clock)());
        match deleted {
            Ok(files) => self.metrics.deleted(files),
            Err(error) => {
                self.metrics.failed();
                tracing::warn!(error = %chain(&error), "what is too old in the archive cannot be deleted");
            }
        }
    }
}

fn encode(rows: &[Row]) -> Result<Vec<u8>, parquet::errors::ParquetError> {
    let mut file = FileWriter::new(&[])?;
    rows.iter().try_for_each(|row| file.push(row))?;
    file.finish()
}
