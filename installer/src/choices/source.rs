//! Where the release comes from.

use crate::values::{Pin, WebUrl};

/// A server that the release is fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceChoice {
    /// The folder of the release.
    pub url: WebUrl,
    /// The only key that the server may have.
    pub pin: Option<Pin>,
}
