//! What the person who certifies asked for.

use super::amount;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Options of a run: how long, and what may be touched.
///
/// Everything that erases, restarts or changes another machine is left out unless it is named here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Seconds of load on every CPU.
    pub cpu_seconds: u64,
    /// Seconds that the memory test may take.
    pub memory_seconds: u64,
    /// Bytes of memory to test at most; none takes all that is free, less a reserve.
    pub memory_limit: Option<u64>,
    /// Disks or volumes whose content may be lost, by path.
    pub erase: Vec<PathBuf>,
    /// Seconds of load on each disk.
    pub disk_seconds: u64,
    /// Bytes to write to each disk at most.
    pub disk_limit: u64,
    /// Where `hcl-checker peer` runs, by the interface that leads there.
    pub peers: BTreeMap<String, PeerAt>,
    /// Seconds of traffic in each direction on each interface.
    pub net_seconds: u64,
    /// VLAN to make on each interface with a peer.
    pub vlan: Option<u16>,
    /// Make virtual functions on every function that can have them.
    pub sriov: bool,
    /// Restart the machine.
    pub restart: bool,
    /// Crash these on purpose.
    pub crash: Vec<CrashOf>,
    /// Kernel for the test guests; none looks for that of this host.
    pub guest_kernel: Option<PathBuf>,
    /// Only tests whose id starts with one of these; empty for all.
    pub only: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cpu_seconds: amount::CPU_SECONDS,
            memory_seconds: amount::MEMORY_SECONDS,
            memory_limit: None,
            erase: Vec::new(),
            disk_seconds: amount::DISK_SECONDS,
            disk_limit: amount::DISK_BYTES,
            peers: BTreeMap::new(),
            net_seconds: amount::NET_SECONDS,
            vlan: None,
            sriov: false,
            restart: false,
            crash: Vec::new(),
            guest_kernel: None,
            only: Vec::new(),
        }
    }
}

/// How to reach a peer through an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerAt {
    /// `ADDRESS:PORT` of the peer.
    pub address: String,
    /// Address with prefix length to give to the interface for the test, `192.0.2.1/24`; none uses what it has.
    pub own_address: Option<String>,
}

/// What to crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CrashOf {
    /// The kernel: dom0's, or Linux itself on bare metal.
    Kernel,
    /// The hypervisor.
    Xen,
}

impl CrashOf {
    /// Its name in ids and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Xen => "xen",
        }
    }
}
