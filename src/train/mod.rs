//! Making what is shared by all series, offline.
//!
//! [`Recipe`] grows the built-in forests from synthetic metrics alone. [`Gatherer`] looks at real ones, as the corridor sees them, and
//! [`Part`] is what came of a shard of them: parts of several machines make the very same model as one machine would.

pub mod arima;
mod forest;
mod groups;
mod joint;
mod part;
mod sketch;

pub use forest::{Recipe, builtin_source};
pub use groups::{Groups, Recent};
pub use part::{Gatherer, Growth, MergeError, Part, Seen};
pub use sketch::{Pick, Sketch};
