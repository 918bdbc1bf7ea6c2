//! The model that is shared by all series, and the slot from which it is hot-swapped.
