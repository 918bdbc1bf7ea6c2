//! Puts the rooms together, starts them, reloads them and drains them.
