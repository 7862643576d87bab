//! Facts and verdict for a person at a terminal.

mod facts;
mod style;
mod verdict;

pub use facts::facts;
pub use style::Style;
pub use verdict::verdict;
