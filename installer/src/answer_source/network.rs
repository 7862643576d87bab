//! The network of the live system: interfaces, links, addresses.

use super::fetch::{FetchError, ONLINE};
use crate::values::{Mac, few};
use hcl_checker::facts::natural;
use std::path::Path;
use std::time::Duration;
use steps::system::{Command, RunError, System};

/// How long a link may take after the first one came.
const LINK_GRACE: Duration = Duration::from_secs(3);
/// How long links may take in all.
const LINK_LIMIT: Duration = Duration::from_secs(10);
const LINK_STEP: Duration = Duration::from_millis(500);

/// The live system's network.
#[derive(Clone, Copy)]
pub struct Network<'a> {
    system: &'a dyn System,
}

impl<'a> Network<'a> {
    /// Of this machine.
    pub fn new(system: &'a dyn System) -> Self {
        Network { system }
    }

    /// Names of the interfaces with a device behind them.
    pub fn devices(&self) -> Vec<String> {
        let names = self
            .system
            .list_dir(Path::new("/sys/class/net"))
            .unwrap_or_default();
        let real = |name: &String| {
            self.system
                .exists(&Path::new("/sys/class/net").join(name).join("device"))
        };
        names.into_iter().filter(real).collect()
    }

    /// Hardware addresses of all interfaces with a device behind them.
    pub fn addresses(&self) -> Vec<Mac> {
        let address = |name: String| {
            let path = Path::new("/sys/class/net").join(name).join("address");
            let text = String::from_utf8(self.system.read_file(&path).ok()?).ok()?;
            Mac::parse(text.trim()).ok()
        };
        self.devices().into_iter().filter_map(address).collect()
    }

    /// Starts all interfaces, so that links show: the live image has networkd ask DHCP on every wired one.
    pub fn start(&self) -> Result<(), RunError> {
        self.system
            .run(&Command::new("systemctl").args(["start", "systemd-networkd.service"]))?;
        Ok(())
    }

    /// Waits until every interface has a link, or until those that have one had time to show: `LINK_GRACE` after the
    /// first, `LINK_LIMIT` at most. Without that the first interface by name would be the quickest one.
    pub fn wait_for_links(&self, pause: &dyn Fn(Duration)) {
        let devices = self.devices();
        let mut since_first = Duration::ZERO;
        let mut waited = Duration::ZERO;
        while waited < LINK_LIMIT && since_first < LINK_GRACE {
            let linked = devices.iter().filter(|name| self.has_link(name)).count();
            if linked == devices.len() {
                return;
            }
            pause(LINK_STEP);
            waited += LINK_STEP;
            if linked > 0 {
                since_first += LINK_STEP;
            }
        }
    }

    fn has_link(&self, name: &str) -> bool {
        let carrier = self
            .system
            .read_file(&Path::new("/sys/class/net").join(name).join("carrier"));
        carrier.is_ok_and(|text| text.starts_with(b"1"))
    }

    /// Waits until one interface has an address. False when none got one in time.
    fn wait_online(&self) -> Result<bool, RunError> {
        let timeout = format!("--timeout={}", ONLINE.as_secs());
        let wait =
            Command::new("/usr/lib/systemd/systemd-networkd-wait-online").args(["--any", &timeout]);
        match self
            .system
            .run(&wait.timeout(ONLINE + Duration::from_secs(30)))
        {
            Ok(_) => Ok(true),
            Err(RunError::Failed { .. } | RunError::Timeout { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// `link: eno2; no link: eno1`. Those with a link first: a machine may have dozens of others.
    fn links(&self) -> String {
        let mut devices = self.devices();
        devices.sort_by_cached_key(|name| natural(name));
        let (with, without): (Vec<String>, Vec<String>) =
            devices.into_iter().partition(|name| self.has_link(name));
        [("link", with), ("no link", without)]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what}: {}", few(&names)))
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// Has an address, or says why not.
    pub fn require(&self, url: &str) -> Result<(), FetchError> {
        if self.devices().is_empty() {
            return Err(FetchError::NoDevice {
                url: url.to_owned(),
            });
        }
        self.start()?;
        if self.wait_online()? {
            return Ok(());
        }
        Err(FetchError::Offline {
            url: url.to_owned(),
            devices: self.links(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use steps::system::RecordingSystem;

    #[test]
    fn links_get_time_to_show_and_no_more() {
        let wait = |system: &RecordingSystem| {
            let waited = RefCell::new(Duration::ZERO);
            Network::new(system).wait_for_links(&|pause| *waited.borrow_mut() += pause);
            waited.into_inner().as_secs()
        };
        let device = |name: &str, carrier: &str, system: RecordingSystem| {
            let folder = Path::new("/sys/class/net").join(name);
            system
                .file(folder.join("device/vendor"), "")
                .file(folder.join("carrier"), carrier)
        };
        assert_eq!(wait(&RecordingSystem::new()), 0);
        assert_eq!(wait(&device("eno1", "1\n", RecordingSystem::new())), 0);
        assert_eq!(wait(&device("eno1", "0\n", RecordingSystem::new())), 10);
        assert_eq!(
            wait(&device(
                "eno2",
                "0\n",
                device("eno1", "1\n", RecordingSystem::new())
            )),
            3
        );
    }

    #[test]
    fn no_device_and_no_address_are_errors_of_their_own() {
        let bare = RecordingSystem::new().file("/sys/class/net/lo/address", "");
        let error = Network::new(&bare).require("http://host/a").unwrap_err();
        assert!(matches!(error, FetchError::NoDevice { .. }), "{error}");
        assert!(bare.calls().is_empty());

        let cable = RecordingSystem::new()
            .file("/sys/class/net/eno1/device/vendor", "")
            .file("/sys/class/net/eno2/device/vendor", "")
            .file("/sys/class/net/eno2/carrier", "1\n")
            .fails(
                "/usr/lib/systemd/systemd-networkd-wait-online",
                1,
                "Timeout occurred",
            );
        let error = Network::new(&cable)
            .require("http://host/a")
            .unwrap_err()
            .to_string();
        assert!(error.contains("(link: eno2; no link: eno1)"), "{error}");
    }
}
