//! Which series a sample belongs to, and what that series has learned.

pub mod labels;
