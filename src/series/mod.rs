//! Which series a sample belongs to, and what that series has learned.

mod hash;
pub mod labels;
mod scopes;
mod slot;
mod table;

pub use scopes::{Scope, ScopeLimits, ScopeName, Scopes, Spelling};
pub use slot::{PartLabels, Series, Standing};
pub use table::{Cursor, Found, MAX_SERIES, Newcomer, Refused, SlotId, Table, Walk};
