//! Which series are scored and how: matchers, presets, and the vocabulary users know.
