//! What is known beforehand of a time: maintenance, a change, a holiday. A context says of the series that it is for, at
//! which times what is done with their scores.
//!
//! A [`Calendar`] is a function of stream time: it says of any moment whether its window is open, and until when that stays so.
//! It comes from a cron pattern, from an .ics file or from one announcement. A [`Board`] holds all contexts that are in force, and
//! [`Attached`] is what a series keeps of it: nothing where none is for it, else which they are, and what holds until the next
//! change.

mod announcement;
mod attached;
mod board;
mod calendar;
mod clock;
mod cron;
mod effect;
pub mod ics;
mod narrow;

pub use announcement::{Announcement, AnnouncementError, Selectors, WindowError};
pub use attached::Attached;
pub use board::{Announced, Board, Context, Held};
pub use calendar::{Calendar, Stretch};
pub use clock::{written, zone};
pub use cron::{Cron, CronError, LONGEST_WINDOW_MS};
pub use effect::Effect;
pub use narrow::{TooWide, narrow};

/// The most bytes of a context's name.
pub const MAX_NAME: usize = 100;
/// The most contexts that calendars make.
pub const MAX_CALENDARS: usize = 1_000;
