//! Issuing licenses: their keys, their tokens, and the records of the hosts that use them.
//!
//! For development and for whoever sells support. Nothing of it is in an image but the public keys.

mod cli;
mod keys;
mod ledger;

pub use cli::{LicenseArgs, run};
pub use keys::{LicenseKeys, public_keys_path};
pub use ledger::{Host, Ledger};
