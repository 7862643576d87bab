//! License tokens, their states, and the sockets counted against them.
//!
//! Every feature of Bedplate works without a license. A license for the populated sockets of a host adds one thing:
//! hotfixes are installed automatically. So the one question that this crate answers about a host is
//! [`LicenseState::allows_automatic_updates`]; there is none about virtual machines, logins, exports, hotfixes by
//! command or signature checks, and there must never be one.
//!
//! A token is a PASETO v4.public token: claims as JSON, signed with Ed25519. Hosts carry the public keys
//! ([`PublicKeys`], at least two, so that one can be replaced), which are not those that sign releases.

mod claims;
mod error;
mod keys;
mod state;
mod token;

pub use claims::{Binding, Claims};
pub use error::Error;
pub use keys::{KeyPair, PublicKeys};
pub use state::{
    EXPIRES_SOON_DAYS, GRACE_DAYS, LicenseState, Observation, State, effective_now, evaluate,
};
pub use token::{License, issue, verify};
