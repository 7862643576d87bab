//! License tokens, their states, and the sockets counted against them.
//!
//! Every feature of Bedplate works without a license. A license for the populated sockets of a host adds one thing:
//! hotfixes are installed automatically. So the one question that this crate answers about a host is
//! [`LicenseState::allows_automatic_updates`]; there is none about virtual machines, logins, exports, hotfixes by
//! command or signature checks, and there must never be one.
//!
//! A token is a PASETO v4.public token: claims as JSON, signed with Ed25519. Hosts carry the public keys
//! ([`PublicKeys`], at least two, so that one can be replaced), which are not those that sign releases.
//!
//! A license names hosts by the UUID of their firmware, or a site. A site's hosts are activated: each sends a [`Request`]
//! (by file, by voice or as a QR code, for no network is needed) and gets an [`Activation`] back, a signed record of the
//! machine and of how many sockets the site uses, so over-use is seen. A [`Bundle`] is a file of such tokens. A machine is
//! recognized by its [`Fingerprint`] also after a part was replaced; [`Memory`] is what a host keeps between two looks.

mod activation;
mod bundle;
mod claims;
mod error;
mod fingerprint;
mod keys;
mod machine;
mod memory;
mod places;
mod request;
mod state;
mod token;

pub use activation::{Activation, ActivationClaims, issue_activation, verify_activation};
pub use bundle::{Bundle, MAX_FILE};
pub use claims::{Binding, Claims};
pub use error::Error;
pub use fingerprint::{Fingerprint, Kind, PartDigest, RECORDED, Recognition};
pub use keys::{KeyPair, PublicKeys};
pub use machine::{Machine, socket_count};
pub use memory::Memory;
pub use places::{KEYS_FILE, RELEASED_FILE};
pub use request::Request;
pub use state::{
    EXPIRES_SOON_DAYS, Evaluation, GRACE_DAYS, LicenseState, Observation, State, evaluate,
};
pub use token::{License, MAX_TOKEN, issue, verify};
