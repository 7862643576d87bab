//! Where the answers are: the kernel command line, the area on the medium, a labelled volume; and getting them.

mod beside;
mod fetch;
mod find;
mod request;

pub use beside::{Origin, beside_file};
pub use fetch::{FetchError, Network, fetch};
pub use find::{FindError, Finder, Found, file_system, labelled_volumes};
pub use request::{Request, RequestError, from_command_line};
