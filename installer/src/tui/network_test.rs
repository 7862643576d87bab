//! Tries the network that the operator describes, with the files that the host will have.

use super::effects::Check;
use crate::choices::{AddressChoice, NetworkChoice};
use crate::host_files::{Content, network_files};
use crate::plan::{NetworkPlan, choose_network};
use hcl_checker::facts::Facts;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use steps::StepError;
use steps::step::error_chain;
use steps::system::{Command, System};

/// Where networkd looks for files that last until the next start. Files here go before the image's own.
const RUN: &str = "/run";
/// How long an address may take: DHCP behind a switch with spanning tree needs 30 s.
const ATTEMPTS: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

/// What an earlier test left in the live system.
#[derive(Default)]
struct Left {
    files: Vec<PathBuf>,
    devices: Vec<String>,
}

/// Tries networks, one after the other.
pub struct NetworkTest<'a> {
    system: &'a dyn System,
    pause: &'a (dyn Fn(Duration) + Sync),
    left: Mutex<Left>,
}

/// An interface as `ip -json addr` prints it (iproute2, ip/ipaddress.c).
#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    addr_info: Vec<ShownAddress>,
}

#[derive(Deserialize)]
struct ShownAddress {
    local: Option<String>,
    prefixlen: Option<u8>,
    scope: Option<String>,
}

/// A route as `ip -json route` prints it.
#[derive(Deserialize)]
struct ShownRoute {
    gateway: Option<String>,
    dev: Option<String>,
}

impl<'a> NetworkTest<'a> {
    /// On the live system.
    pub fn new(system: &'a dyn System) -> Self {
        Self::with_pause(system, &std::thread::sleep)
    }

    /// With another way to wait, for tests.
    pub fn with_pause(system: &'a dyn System, pause: &'a (dyn Fn(Duration) + Sync)) -> Self {
        NetworkTest {
            system,
            pause,
            left: Mutex::default(),
        }
    }

    /// Sets the network up, and says what comes of it. It stays as it is afterwards.
    pub fn run(&self, choice: &NetworkChoice, facts: &Facts) -> Vec<Check> {
        let nics = facts.nics.value().map_or(&[][..], Vec::as_slice);
        let mut warnings = Vec::new();
        let plan = match choose_network(choice, nics, &mut warnings) {
            Ok(plan) => plan,
            Err(problems) => {
                return problems
                    .into_iter()
                    .map(|problem| bad("Interfaces", problem.message))
                    .collect();
            }
        };
        if let Err(error) = self.set_up(&plan) {
            return vec![bad("Setting up", error_chain(error.as_ref()).join(": "))];
        }
        let mut checks = Vec::new();
        let Some(bridge) = plan.management() else {
            return checks;
        };
        let wants_address = !(bridge.address == AddressChoice::None
            && bridge.ipv6 == crate::choices::Ipv6Choice::None);
        let mut addresses = Vec::new();
        for _ in 0..ATTEMPTS {
            addresses = self.addresses(&bridge.name);
            if !addresses.is_empty() || !wants_address {
                break;
            }
            (self.pause)(PAUSE);
        }
        for interface in &plan.interfaces {
            let up = self.has_link(&interface.interface);
            let found = if up {
                "link"
            } else {
                "no link: check cable and switch port"
            };
            checks.push(Check {
                what: interface.interface.clone(),
                found: found.to_owned(),
                good: up,
            });
        }
        if addresses.is_empty() {
            checks.push(bad(
                "Address",
                "none after 30 s: check VLAN, DHCP server, and LACP on the switch".to_owned(),
            ));
            return checks;
        }
        checks.push(good("Address", addresses.join(" ")));
        checks.push(self.router(&bridge.name));
        checks
    }

    fn set_up(&self, plan: &NetworkPlan) -> Result<(), StepError> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        for file in left.files.drain(..) {
            self.system.remove_file(&file)?;
        }
        for device in left.devices.drain(..) {
            // One that is gone already is no failure.
            let _ = self
                .system
                .run(&Command::new("networkctl").args(["delete", &device]));
        }
        for file in network_files(plan) {
            let path = Path::new(RUN).join(&file.path);
            if let Some(parent) = path.parent() {
                self.system.create_dir_all(parent)?;
            }
            if let Content::File { bytes, mode, .. } = &file.content {
                self.system.write_file(&path, bytes, *mode)?;
                left.files.push(path);
            }
        }
        for bridge in &plan.bridges {
            left.devices.push(bridge.name.clone());
            left.devices
                .extend(bridge.vlan.as_ref().map(|vlan| vlan.device.clone()));
        }
        left.devices
            .extend(plan.bonds.iter().map(|bond| bond.name.clone()));
        self.system.run(&Command::new("networkctl").arg("reload"))?;
        Ok(())
    }

    fn has_link(&self, name: &str) -> bool {
        let path = Path::new("/sys/class/net").join(name).join("carrier");
        self.system
            .read_file(&path)
            .is_ok_and(|text| text.starts_with(b"1"))
    }

    fn addresses(&self, device: &str) -> Vec<String> {
        let ip = Command::new("ip").args(["-json", "address", "show", "dev", device]);
        let shown: Vec<Shown> = self
            .system
            .run(&ip)
            .ok()
            .and_then(|output| serde_json::from_slice(&output.stdout).ok())
            .unwrap_or_default();
        shown
            .into_iter()
            .flat_map(|shown| shown.addr_info)
            .filter(|address| address.scope.as_deref() == Some("global"))
            .filter_map(|address| Some(format!("{}/{}", address.local?, address.prefixlen?)))
            .collect()
    }

    fn router(&self, device: &str) -> Check {
        let mut routes = Vec::new();
        for family in ["-4", "-6"] {
            let ip = Command::new("ip").args([family, "-json", "route", "show", "default"]);
            let shown: Vec<ShownRoute> = self
                .system
                .run(&ip)
                .ok()
                .and_then(|output| serde_json::from_slice(&output.stdout).ok())
                .unwrap_or_default();
            routes.extend(shown);
        }
        let route = routes
            .into_iter()
            .find(|route| route.dev.as_deref() == Some(device));
        let Some(gateway) = route.and_then(|route| route.gateway) else {
            return good("Router", "none is set".to_owned());
        };
        let ping = Command::new("ping").args(["-c", "2", "-W", "3", "-I", device, &gateway]);
        match self.system.run(&ping) {
            Ok(_) => good("Router", format!("{gateway} answers")),
            // Some routers never answer: told, and not taken for a failure of the cable.
            Err(_) => bad(
                "Router",
                format!("{gateway} does not answer a ping; some never do"),
            ),
        }
    }
}

fn good(what: &str, found: String) -> Check {
    Check {
        what: what.to_owned(),
        found,
        good: true,
    }
}

fn bad(what: &str, found: String) -> Check {
    Check {
        what: what.to_owned(),
        found,
        good: false,
    }
}
