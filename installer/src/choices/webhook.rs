//! Who hears how the installation goes.

use crate::values::{BearerToken, Pin, WebUrl};

/// A server that hears of the steps and gets the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookChoice {
    /// Where everything is posted to.
    pub url: WebUrl,
    /// By which the server knows who sends.
    pub token: Option<BearerToken>,
    /// The only key that the server may have.
    pub pin: Option<Pin>,
    /// True when it hears of each step, and not only of the end.
    pub progress: bool,
}
