//! Where the answers are: the kernel command line, the area on the medium, a labelled volume, the OEM strings of SMBIOS; and getting
//! them.

mod beside;
mod discover;
mod fetch;
mod find;
mod network;
mod oem_strings;
mod request;
mod signature;
mod trust;

pub use beside::{Origin, beside_file};
pub use discover::{DHCP_OPTION, DNS_NAME, Discovery};
pub use fetch::{FetchError, fetch};
pub use find::{FindError, Finder, Found, file_system, labelled_volumes};
pub use network::Network;
pub use oem_strings::{OemStrings, OemStringsError};
pub use request::{Request, RequestError, from_command_line};
pub use signature::SIGNATURE_ENDING;
pub use trust::Trust;
