//! From scores to the series that are sent along.
