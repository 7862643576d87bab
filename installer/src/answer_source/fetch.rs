//! Getting answers from a URL, on a machine that was started a few seconds ago.

use crate::answers::MAX_BYTES;
use crate::values::Pin;
use std::time::Duration;
use steps::fetch::Download;
use steps::system::{RunError, System};

/// How long the network may take to come up: switches with spanning tree need 30 s and more.
pub(super) const ONLINE: Duration = Duration::from_secs(90);

/// Why the answers could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The machine has no network card that the kernel knows.
    #[error(
        "there is no network device, so nothing can be fetched from {url}; \
         check that the card is seated and enabled in the firmware setup, or use a medium that holds what is needed"
    )]
    NoDevice {
        /// Where the answers are.
        url: String,
    },
    /// No network device got an address.
    #[error(
        "no network device got an address within {} s ({devices}), so nothing can be fetched from {url}; \
         check cable, VLAN of the port and DHCP server", ONLINE.as_secs()
    )]
    Offline {
        /// Where the answers are.
        url: String,
        /// The devices, and whether they have a link.
        devices: String,
    },
    /// The server, or what it gives.
    #[error(transparent)]
    Fetch(#[from] steps::fetch::FetchError),
    /// A tool could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Fetches answers, or what is beside them.
pub fn fetch(
    system: &dyn System,
    url: &str,
    pin: Option<&Pin>,
    pause: &dyn Fn(Duration),
    tell: &mut dyn FnMut(String),
) -> Result<Vec<u8>, FetchError> {
    let pin = pin.map(ToString::to_string);
    let download = Download {
        pin: pin.as_deref(),
        ..Download::new(system, "the answers", pause, MAX_BYTES)
    };
    Ok(download.get(url, tell)?)
}
