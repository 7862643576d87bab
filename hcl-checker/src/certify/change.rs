//! Changes that tests make to the machine, each with the way back.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steps::system::FileError;
use steps::{Command, RunError, System};
use thiserror::Error;

/// No change takes longer, but for a driver that makes virtual functions.
const LIMIT: Duration = Duration::from_secs(60);

/// A change. It is recorded before it is made, so undoing one that was never made must do no harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// An interface that was down is up.
    Up {
        /// The interface.
        interface: String,
    },
    /// An interface has one more address.
    Address {
        /// The interface.
        interface: String,
        /// With prefix length, `198.18.0.1/30`.
        address: String,
    },
    /// An interface has another MTU.
    Mtu {
        /// The interface.
        interface: String,
        /// Bytes before.
        from: u32,
        /// Bytes during the test.
        to: u32,
    },
    /// A VLAN interface.
    Vlan {
        /// The interface below.
        parent: String,
        /// Its name.
        name: String,
        /// Its id.
        id: u16,
    },
    /// Virtual functions.
    VirtualFunctions {
        /// The physical function.
        address: String,
        /// Their number.
        count: u32,
    },
    /// A guest. The test starts it.
    Guest {
        /// Its name.
        name: String,
    },
    /// A file or link. The test writes it.
    File {
        /// Where.
        path: PathBuf,
    },
}

/// A change could not be made or undone.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// A command failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A file could not be read or removed.
    #[error("{error}: {}", error.source)]
    File {
        /// What failed.
        error: FileError,
    },
    /// The command went well and the change is still there.
    #[error("{what} is still there")]
    Still {
        /// What.
        what: String,
    },
}

impl From<FileError> for ChangeError {
    fn from(error: FileError) -> Self {
        Self::File { error }
    }
}

/// `ip` of iproute2.
pub(super) fn ip(args: &[&str]) -> Command {
    Command::new("ip").args(args.iter().copied()).timeout(LIMIT)
}

/// Writes to a file of /sys or /proc, which cannot be replaced as other files are.
pub(super) fn poke(path: &str, text: &str) -> Command {
    Command::new("tee").arg(path).stdin(text).timeout(LIMIT)
}

fn interface_folder(interface: &str) -> PathBuf {
    Path::new("/sys/class/net").join(interface)
}

/// A small file as text without the white space around it.
pub(super) fn read_text(system: &dyn System, path: &str) -> Result<String, FileError> {
    let bytes = system.read_file(Path::new(path))?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// What is wrong where [`knows_no_vlans`].
pub(super) const NO_VLANS: &str = "the kernel has no VLANs (CONFIG_VLAN_8021Q)";

/// Whether this is what `ip` says where the kernel has no such type of interface.
pub(super) fn knows_no_vlans(text: &str) -> bool {
    text.contains("Unknown device type") || text.contains("Operation not supported")
}

pub(super) fn sriov_numvfs(address: &str) -> String {
    format!("/sys/bus/pci/devices/{address}/sriov_numvfs")
}

impl Change {
    /// Makes it, where that is one command.
    ///
    /// # Errors
    /// The command fails.
    pub fn make(&self, system: &dyn System) -> Result<(), ChangeError> {
        let command = match self {
            Self::Up { interface } => ip(&["link", "set", "dev", interface, "up"]),
            Self::Address { interface, address } => {
                ip(&["address", "add", address, "dev", interface])
            }
            Self::Mtu { interface, to, .. } => {
                ip(&["link", "set", "dev", interface, "mtu", &to.to_string()])
            }
            Self::Vlan { parent, name, id } => {
                let id = id.to_string();
                ip(&[
                    "link", "add", "link", parent, "name", name, "type", "vlan", "id", &id,
                ])
            }
            Self::VirtualFunctions { address, count } => {
                poke(&sriov_numvfs(address), &count.to_string()).timeout(LIMIT * 3)
            }
            Self::Guest { .. } | Self::File { .. } => return Ok(()),
        };
        system.run(&command)?;
        Ok(())
    }

    /// Undoes it and looks whether it is gone. One that is not there is no error.
    ///
    /// # Errors
    /// It cannot be undone; the text says what is left.
    pub fn undo(&self, system: &dyn System) -> Result<(), ChangeError> {
        let there = |interface: &str| system.exists(&interface_folder(interface));
        let still = || ChangeError::Still {
            what: self.to_string(),
        };
        match self {
            Self::Up { interface } if there(interface) => {
                system.run(&ip(&["link", "set", "dev", interface, "down"]))?;
            }
            Self::Address { interface, address } if there(interface) => {
                // 2: the kernel knows no such address.
                let delete = ip(&["address", "delete", address, "dev", interface]);
                system.run(&delete.also_good(&[2]))?;
                let left = system.run(&ip(&["-oneline", "address", "show", "dev", interface]))?;
                if left.text().split_whitespace().any(|word| word == address) {
                    return Err(still());
                }
            }
            Self::Mtu {
                interface, from, ..
            } if there(interface) => {
                let from = from.to_string();
                system.run(&ip(&["link", "set", "dev", interface, "mtu", &from]))?;
                if read_text(system, &format!("/sys/class/net/{interface}/mtu"))? != from {
                    return Err(still());
                }
            }
            Self::Vlan { name, .. } if there(name) => {
                system.run(&ip(&["link", "delete", "dev", name]))?;
                if there(name) {
                    return Err(still());
                }
            }
            Self::VirtualFunctions { address, .. } => {
                let file = sriov_numvfs(address);
                if system.exists(Path::new(&file)) && read_text(system, &file)? != "0" {
                    system.run(&poke(&file, "0").timeout(LIMIT * 3))?;
                    if read_text(system, &file)? != "0" {
                        return Err(still());
                    }
                }
            }
            Self::Guest { name } => {
                let is_there = || -> Result<bool, RunError> {
                    let list = system.run(&Command::new("xl").arg("list").timeout(LIMIT))?;
                    let words = |line: &str| line.split_whitespace().next() == Some(name.as_str());
                    Ok(list.text().lines().any(words))
                };
                if is_there()? {
                    system.run(&Command::new("xl").args(["destroy", name]).timeout(LIMIT))?;
                    if is_there()? {
                        return Err(still());
                    }
                }
            }
            Self::File { path } => system.remove_file(path)?,
            // The interface is gone, and all of this with it.
            Self::Up { .. } | Self::Address { .. } | Self::Mtu { .. } | Self::Vlan { .. } => {}
        }
        Ok(())
    }
}

/// What is different while it holds.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up { interface } => write!(f, "{interface} is up"),
            Self::Address { interface, address } => write!(f, "address {address} on {interface}"),
            Self::Mtu {
                interface,
                from,
                to,
            } => write!(f, "MTU {to} on {interface} instead of {from}"),
            Self::Vlan { parent, name, id } => write!(f, "VLAN {id} on {parent} as {name}"),
            Self::VirtualFunctions { address, count } => {
                write!(f, "{count} virtual functions of {address}")
            }
            Self::Guest { name } => write!(f, "guest {name}"),
            Self::File { path } => write!(f, "file {}", path.display()),
        }
    }
}
