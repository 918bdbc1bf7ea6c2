//! A past series through the production corridor: what would have been said of it, sample by sample.
//!
//! [`read`] takes the series from a file, [`Corridor`] leads it through the very pipeline that scores live
//! samples. The scores are those a running Sidelong would have given, to the last bit.

mod corridor;
mod read;

pub use corridor::{Corridor, CorridorError, Said};
pub use read::{ReadError, Row, Rows};
