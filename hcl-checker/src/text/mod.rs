//! Facts and verdict for a person at a terminal.

mod facts;
mod style;
mod verdict;

pub use facts::facts;
#[cfg(feature = "certify")]
pub(crate) use facts::size;
pub use style::Style;
pub use verdict::verdict;
