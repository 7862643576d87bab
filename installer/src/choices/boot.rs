//! What the operator said about how the host is started.

use crate::values::BootArgument;
use slots::{Console, ExtraOptions};

/// How the host is started. What is none or empty is as the release has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BootChoice {
    /// Where loader, hypervisor and kernel are seen; none for where the installer is.
    pub console: Option<Console>,
    /// Memory of dom0 in bytes.
    pub dom0_memory: Option<u64>,
    /// Virtual processors of dom0.
    pub dom0_vcpus: Option<u32>,
    /// Arguments for the hypervisor.
    pub xen_args: Vec<BootArgument>,
    /// Arguments for the kernel of dom0.
    pub kernel_args: Vec<BootArgument>,
    /// Whether the release's keys of Secure Boot are to be enrolled in the firmware.
    pub enroll_keys: bool,
}

impl BootChoice {
    /// What that adds to the command lines.
    pub fn options(&self) -> ExtraOptions {
        let mut xen = Vec::new();
        // Both, so that the limit of the release's own formula does not stay. KiB: the smallest unit without rounding
        // that Xen reads (Xen 4.20, xen-command-line.pandoc, dom0_mem).
        if let Some(bytes) = self.dom0_memory {
            let kib = bytes / 1024;
            xen.push(format!("dom0_mem={kib}K,max:{kib}K"));
        }
        if let Some(count) = self.dom0_vcpus {
            xen.push(format!("dom0_max_vcpus={count}"));
        }
        let words = |list: &[BootArgument]| -> Vec<String> {
            list.iter().map(|word| word.as_str().to_owned()).collect()
        };
        xen.extend(words(&self.xen_args));
        ExtraOptions {
            xen,
            dom0: words(&self.kernel_args),
        }
    }
}
