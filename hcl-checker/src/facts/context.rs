//! On what this runs: bare metal, a virtual machine, or dom0. It decides which other facts can be believed.

use super::cpuinfo::CpuInfo;
use super::{cpu, cpuid, dmi};
use crate::hex;
use crate::known::Known;
use crate::root::Root;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bit of `/sys/hypervisor/properties/features` that only dom0 has (`XENFEAT_dom0`, Xen's public/features.h).
const XENFEAT_DOM0: u64 = 1 << 11;

/// Where a program runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// Nothing between the kernel and the hardware.
    Bare,
    /// A virtual machine: it is judged, and never certified.
    Guest {
        /// Name of the hypervisor, `unknown` where it does not tell.
        hypervisor: String,
    },
    /// Xen's control domain. It does not see the CPU's features, the number of sockets and the memory as they are.
    Dom0,
}

/// Sources: `/sys/hypervisor`, `/proc/xen/capabilities`, the `hypervisor` flag (CPUID.1:ECX bit 31) and DMI names.
pub(super) fn read(root: &Root, cpuinfo: &CpuInfo) -> Known<Context> {
    if root
        .attribute("/sys/hypervisor/type")
        .is_ok_and(|kind| kind == "xen")
    {
        let capabilities = root.attribute("/proc/xen/capabilities");
        let features = root
            .attribute("/sys/hypervisor/properties/features")
            .ok()
            .and_then(|text| hex::parse(&text));
        let dom0 = capabilities
            .as_ref()
            .is_ok_and(|text| text.contains("control_d"))
            || features.is_some_and(|features| features & XENFEAT_DOM0 != 0);
        if dom0 {
            return Known::Value(Context::Dom0);
        }
        if capabilities.is_err() && features.is_none() {
            let reason = "/sys/hypervisor/type says xen, but neither /proc/xen/capabilities nor \
                          /sys/hypervisor/properties/features tells whether this is dom0; mount xenfs at /proc/xen";
            return Known::unknown(reason);
        }
        return Known::Value(Context::Guest {
            hypervisor: "Xen".to_owned(),
        });
    }
    let by_name = dmi::hypervisor(root);
    let flagged = match cpuinfo.flags() {
        Ok(flags) => flags
            .split_ascii_whitespace()
            .any(|flag| flag == "hypervisor"),
        Err(error) if by_name.is_none() => return Known::unknown(error.to_string()),
        Err(_) => false,
    };
    match (flagged, by_name) {
        (_, Some(name)) => Known::Value(Context::Guest {
            hypervisor: name.to_owned(),
        }),
        (true, None) => {
            let asked = cpuid::of(root).and_then(|cpuid| cpu::hypervisor(&cpuid));
            Known::Value(Context::Guest {
                hypervisor: asked.unwrap_or_else(|| "unknown".to_owned()),
            })
        }
        (false, None) => Known::Value(Context::Bare),
    }
}
