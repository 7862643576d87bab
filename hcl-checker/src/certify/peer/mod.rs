//! The other end of the network tests: `hcl-checker peer` on a second machine, and how tests talk to it.
//!
//! A peer answers whoever reaches its port, so it runs as long as the tests do and no longer. It sends datagrams only to
//! where they came from within a session, for a bounded time, and it changes its own interface only where it was started
//! with `--interface`, one session at a time, and undoes that when the session ends.

mod protocol;
mod server;
mod session;

pub use protocol::{DEFAULT_PORT, PEER_ADDRESS, TEST_ADDRESS};
pub use server::Peer;
pub(super) use session::{Counted, Route, Session, SessionError};

#[cfg(test)]
mod tests;
