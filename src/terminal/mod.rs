//! Tables on a terminal: what `sidelong demo` and `sidelong top` draw with.

mod drawing;
mod rows;
mod screen;

pub use drawing::{Canvas, Drawing, Style, short, span};
pub use rows::{Expected, Row};
pub use screen::Screen;
