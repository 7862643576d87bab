//! Where the answers are: the kernel command line, the area on the medium, a labelled volume; and getting them.

mod fetch;
mod find;
mod request;

pub use fetch::{FetchError, Network, fetch};
pub use find::{FindError, Finder, Found};
pub use request::{Request, RequestError, from_command_line};
