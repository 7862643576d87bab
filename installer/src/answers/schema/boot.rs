//! `[boot]` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

/// How the host is started. What changes command lines needs a machine without Secure Boot.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// `com1`, `com2` (serial port and screen) or `vga` (screen only); where the installer is seen when absent.
    pub console: Option<BootConsole>,
    /// Memory of dom0, for example `"4 GiB"`; 1 GiB and 5 percent of the machine's, 8 GiB at most, when absent.
    pub dom0_memory: Option<String>,
    /// Virtual processors of dom0; as many as the machine has, 16 at most, when absent.
    pub dom0_vcpus: Option<u64>,
    /// More arguments for the hypervisor, one an item: `"iommu=no-intremap"`.
    pub xen_args: Option<Vec<String>>,
    /// More arguments for the kernel of dom0, one an item.
    pub kernel_args: Option<Vec<String>>,
    /// Enroll the release's keys of Secure Boot in the firmware, which has to be in setup mode: it starts nothing else
    /// from then on. Where Secure Boot is on already, nothing is done.
    pub enroll_keys: Option<bool>,
}

/// Where loader, hypervisor and kernel are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BootConsole {
    /// First serial port and screen.
    Com1,
    /// Second serial port and screen.
    Com2,
    /// Screen only.
    Vga,
}
