//! Which series a sample belongs to, and what that series has learned.

mod hash;
mod heirs;
mod identity;
pub mod labels;
mod scopes;
mod slot;
mod table;

pub use heirs::{Heirs, MAX_ALIKE, MAX_WAITING, Party, Role};
pub use identity::{fingerprint, identity};
pub use scopes::{Scope, ScopeLimits, ScopeName, Scopes, Spelling};
pub use slot::{Inherited, PartLabels, Series, Standing};
pub use table::{Cursor, Found, MAX_SERIES, Newcomer, Refused, SlotId, Table, Walk};
