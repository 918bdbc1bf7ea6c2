//! What is judged instead of the raw value: rates of counters, resets understood.
