//! The network of the host in the live system, with the files that the host will have: tried at the console, and used where
//! answers describe it before anything is fetched or reported.

use crate::choices::{Choices, HookProgram};
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

/// What was set up before.
#[derive(Default)]
struct Left {
    files: Vec<PathBuf>,
    devices: Vec<String>,
}

/// Sets networks up in the live system, one in place of the other.
pub struct LiveNetwork<'a> {
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

impl<'a> LiveNetwork<'a> {
    /// On the live system; `pause` waits.
    pub fn new(system: &'a dyn System, pause: &'a (dyn Fn(Duration) + Sync)) -> Self {
        LiveNetwork {
            system,
            pause,
            left: Mutex::default(),
        }
    }

    /// Sets the network up in place of the one before. It stays until the live system ends.
    ///
    /// # Errors
    /// A file cannot be written, or networkd does not read it.
    pub fn set_up(&self, plan: &NetworkPlan) -> Result<(), StepError> {
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

    /// The network that answers describe, where something is to be fetched or reported: what is told about it, or what is in
    /// the way. None where nothing had to be set up: for DHCP on the first interface the live system asks anyway, and what
    /// no plan can be made of is told with the plan.
    pub fn of_answers(&self, choices: &Choices, facts: &Facts) -> Option<Result<String, String>> {
        let beside = |program: &HookProgram| matches!(program, HookProgram::File { .. });
        let needed = choices.webhook.is_some()
            || choices.source.is_some()
            || choices.hooks.iter().any(|hook| beside(&hook.program));
        if !needed || choices.network.is_plain() {
            return None;
        }
        let nics = facts.nics.value()?;
        let plan = choose_network(&choices.network, nics, &mut Vec::new()).ok()?;
        if let Err(error) = self.set_up(&plan) {
            return Some(Err(format!(
                "the network of the answers cannot be set up in the live system: {}",
                error_chain(error.as_ref()).join(": ")
            )));
        }
        let bridge = plan.management().filter(|bridge| bridge.wants_address())?;
        let addresses = self.wait_for_address(&bridge.name);
        Some(match addresses.is_empty() {
            false => Ok(format!(
                "the network of the answers is set up in the live system: {} has {}",
                bridge.name,
                addresses.join(" ")
            )),
            true => Err(format!(
                "{} of the answers' network has no address after {} s: check cable, VLAN, DHCP server, and LACP on the switch",
                bridge.name,
                (PAUSE * ATTEMPTS).as_secs()
            )),
        })
    }

    /// Waits for addresses that others than this machine can use; empty where none came within 30 s.
    pub fn wait_for_address(&self, device: &str) -> Vec<String> {
        for _ in 0..ATTEMPTS {
            let addresses = self.addresses(device);
            if !addresses.is_empty() {
                return addresses;
            }
            (self.pause)(PAUSE);
        }
        Vec::new()
    }

    /// Those that it has now, with the lengths of their prefixes.
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
}
