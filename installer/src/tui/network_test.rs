//! Tries the network that the operator describes, with the files that the host will have.

use super::effects::Check;
use crate::choices::NetworkChoice;
use crate::live_network::LiveNetwork;
use crate::plan::choose_network;
use hcl_checker::facts::Facts;
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;
use steps::step::error_chain;
use steps::system::{Command, System};

/// Tries networks, one after the other.
pub struct NetworkTest<'a> {
    system: &'a dyn System,
    network: LiveNetwork<'a>,
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
            network: LiveNetwork::new(system, pause),
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
        if let Err(error) = self.network.set_up(&plan) {
            return vec![bad("Setting up", error_chain(error.as_ref()).join(": "))];
        }
        let mut checks = Vec::new();
        let Some(bridge) = plan.management() else {
            return checks;
        };
        let wants_address = bridge.wants_address();
        let addresses = match wants_address {
            true => self.network.wait_for_address(&bridge.name),
            false => Vec::new(),
        };
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
        if !wants_address {
            return checks;
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

    fn has_link(&self, name: &str) -> bool {
        let path = Path::new("/sys/class/net").join(name).join("carrier");
        self.system
            .read_file(&path)
            .is_ok_and(|text| text.starts_with(b"1"))
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
