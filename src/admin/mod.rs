//! The second listener: own metrics, health, status, reload.
