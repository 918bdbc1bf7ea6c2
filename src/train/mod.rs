//! Recipes by which what is shared by all series is made, offline, from synthetic metrics alone.

mod forest;
mod joint;

pub use forest::{Recipe, builtin_source};
