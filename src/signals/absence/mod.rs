//! Series that stop, against their own habit.
//!
//! Each watched series has a [`Habit`]: how far its samples are apart, and how long it was away before. It follows from
//! its own samples alone. What has to be looked at again is an event in the [`Book`] of its scope: that a series ended,
//! came back, or would be missed by now if nothing more of it came. Events are handled in the order of the stream,
//! behind the watermark, when all that lies before them has come: so what is said depends on what was sent and never on
//! the order in which it came. No sample is compared with a clock, and nobody looks through all series: a series that
//! goes on has one event in the book, which is moved on when its time has come.
//!
//! A series is missed where others are there: while a whole scope is silent ([`beats`]), nobody is.

mod beats;
mod book;
mod conclude;
mod event;
mod habit;
mod kin;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;

use crate::inject::Replica;

pub use book::{Absent, Book, Company, Enlisted, Sent};
pub use conclude::{Verdict, What};
pub use habit::{Glance, Habit, News};
pub use kin::Relation;

/// Replicas of one scope whose series are watched. Their names come from outside.
const MAX_BOOKS: usize = 64;

/// Bytes of what is kept of a watched series.
pub const BYTES_A_SERIES: usize =
    size_of::<Habit>() + size_of::<Option<watch::Watch>>() + size_of::<event::Event>();

/// What a rule asks for where its series stop.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// Missed steps from which a series is absent.
    pub after: u32,
    /// For how long a series must have been there.
    pub seen_for_ms: i64,
    /// For how long its absence is told.
    pub forget_after_ms: i64,
    /// How often a series may stay away a week, and it is its habit.
    pub a_week: f64,
    /// Absent series that are told at the same time.
    pub max_series: usize,
    /// Those that are.
    pub told: Arc<AtomicUsize>,
}

/// How a series stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// By a stale marker, or by not being on its page, while its target goes on.
    StaleMarker,
    /// Its target is not scraped any more.
    TargetLost,
    /// Its target cannot be scraped.
    ScrapeFailed,
    /// Nobody says why: its sender is lost, or what lies between.
    Silent,
}

/// Where a series is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    book: u16,
    watch: u32,
}

/// A place among the series of each of two kinds that may be sent, given back when it is dropped.
#[derive(Debug)]
pub struct Room([Arc<AtomicUsize>; 2]);

/// The books of one scope, one for each replica of a highly available pair: what one sends says nothing of the other.
#[derive(Debug, Default)]
pub struct Absences {
    books: Mutex<Vec<Book>>,
    /// Series that left the table, maybe while a batch of another scope was scored.
    left: Mutex<Vec<Place>>,
}

// === impl Cause ===

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::StaleMarker, Self::TargetLost, Self::ScrapeFailed, Self::Silent];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StaleMarker => "stale_marker",
            Self::TargetLost => "target_lost",
            Self::ScrapeFailed => "scrape_failed",
            Self::Silent => "silent",
        }
    }
}

// === impl Room ===

impl Room {
    /// A place among those that each counts, of as many as each allows.
    pub fn take(counts: [(&Arc<AtomicUsize>, usize); 2]) -> Option<Self> {
        let room = Self(counts.map(|(count, _)| Arc::clone(count)));
        // Dropping it gives both back.
        let before = counts.map(|(count, _)| count.fetch_add(1, Ordering::Relaxed));
        let is_free = before.iter().zip(counts).all(|(before, (_, limit))| *before < limit);
        is_free.then_some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for count in &self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

// === impl Absences ===

impl Absences {
    /// The books, held for as long as a batch needs them. Series that left since are crossed out.
    pub fn books(&self) -> MutexGuard<'_, Vec<Book>> {
        let mut books = self.books.lock();
        let left = std::mem::take(&mut *self.left.lock());
        for Place { book, watch } in left {
            if let Some(book) = books.get_mut(usize::from(book)) {
                book.cross_out(watch);
            }
        }
        books
    }

    /// Has a series watched with those of `replica`; `false` where as many replicas are known as may be.
    pub fn watch(&self, replica: &Replica, mut enlisted: Enlisted<'_>) -> bool {
        let mut books = self.books();
        let known = books.iter().position(|book| book.is_of(replica));
        let empty = || books.iter().position(Book::is_empty);
        let at = known.or_else(empty).unwrap_or(books.len());
        if at == books.len() {
            if at >= MAX_BOOKS {
                return false;
            }
            books.push(Book::new(replica.clone()));
        } else if !books[at].is_of(replica) {
            books[at] = Book::new(replica.clone());
        }
        let watch = books[at].enlist(&mut enlisted);
        enlisted.habit.settle(Place { book: at as u16, watch }, enlisted.relation.is_up, enlisted.wishes);
        books[at].begin(watch, enlisted.habit);
        true
    }

    /// The series at `place` left the table.
    pub fn leave(&self, place: Place) {
        self.left.lock().push(place);
    }

    /// The absence of the series at `place`, if it is absent.
    pub fn absent_at(&self, place: Place) -> Option<Absent> {
        self.books().get(usize::from(place.book))?.absent_at(place.watch)
    }
}

// === impl Place ===

impl Place {
    /// Which of the books it is in.
    pub fn book(self) -> usize {
        self.book.into()
    }
}
