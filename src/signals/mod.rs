//! What stands between the series of the stream and the things people care about.
//!
//! Of one series either the value is judged or, of a counter, the rate ([`Signal`]). Of several series that belong
//! together a **group** is made, and something is made of their values step by step: the mean of a histogram, a
//! ratio, a sum ([`mod@derive`]); of a native histogram and the one before it, its mean and a quantile ([`native`]). What is made
//! is a series like any other, `<family>:mean` with the labels of the group, and walks the rest of the corridor as one. A series
//! that stops, against its own habit, is told by [`absence`].
//!
//! What is made of an [`entity`] is not made of values but of how rare they were by themselves: of scores.
//!
//! Groups run on stream time ([`steps`]): a step closes when all parts that are expected have come, or when the group
//! has gone on by more than the watermark. Whatever the order in which the samples of different series arrive, as
//! long as none is later than the watermark, the same bits come out.

pub mod absence;
mod derive;
mod entity;
mod group;
mod groups;
mod inbox;
mod native;
mod outlook;
mod peers;
mod spec;
mod steps;
mod value;

pub use absence::{Absences, Habit, News};
pub use entity::Heaviest;
pub use group::{Made, MadeId, MadeSeries, Origin};
pub use groups::{Departure, Groups, Held, Joining, Memberships, Seen};
pub use native::Native;
pub use outlook::Prospect;
pub use spec::{Alike, Asked, Given, Histogram, Ratio, Shape, Spec, Specs, Sum, Thing};
pub use value::Signal;
