//! Main memory.

use super::Context;
use super::dimm::{self, Dimm, ErrorCorrection};
use super::smbios::{self, Table};
use super::xen::{XL_INFO, XenInfo};
use crate::known::Known;
use crate::root::Root;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MEMINFO: &str = "/proc/meminfo";

/// Main memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Memory {
    /// Where this was read.
    pub source: String,
    /// Bytes that the kernel manages: what is installed, less a few percent that firmware and kernel keep back.
    pub total_bytes: Known<u64>,
    /// Where the memory modules were read.
    pub dimms_source: String,
    /// Slots for memory with their modules, the empty ones too.
    #[serde(deserialize_with = "super::list::few")]
    pub dimms: Known<Vec<Dimm>>,
    /// How errors are found and mended.
    pub error_correction: Known<ErrorCorrection>,
}

impl Memory {
    /// What the total is: firmware that tells the modules alone does not know what the kernel keeps back.
    pub fn total_means(&self) -> &'static str {
        match !self.source.is_empty() && self.source == self.dimms_source {
            true => "installed",
            false => "usable",
        }
    }

    /// Bytes of all modules that are main memory: what is installed, as far as the firmware tells every size.
    pub fn installed_bytes(&self) -> Known<u64> {
        self.dimms.clone().and_then(|dimms| {
            let mut total = 0_u64;
            for dimm in dimms {
                match dimm.main_memory_bytes() {
                    Known::Value(bytes) => total = total.saturating_add(bytes),
                    Known::Absent => {}
                    Known::Unknown(unknown) => return Known::Unknown(unknown),
                }
            }
            Known::Value(total)
        })
    }
}

/// Sources: `MemTotal` of `/proc/meminfo`, in dom0 what Xen says; the SMBIOS table for the modules.
pub(super) fn read(
    root: &Root,
    context: &Known<Context>,
    xen: &Known<XenInfo>,
    table: &Table,
) -> Memory {
    let dom0 = context.value() == Some(&Context::Dom0);
    let total_bytes = match context.value() {
        // dom0 sees its own share only.
        Some(Context::Dom0) => xen.clone().and_then(|xen| xen.total_memory()),
        _ => match root.text(MEMINFO, 64 * 1024) {
            Ok(text) => parse(&text),
            Err(error) => Known::unknown(error.to_string()),
        },
    };
    Memory {
        source: if dom0 { XL_INFO } else { MEMINFO }.to_owned(),
        total_bytes,
        dimms_source: smbios::TABLE.to_owned(),
        dimms: dimm::read(table),
        error_correction: dimm::error_correction(table),
    }
}

/// The line is in KiB, though it says kB.
fn parse(text: &str) -> Known<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok());
    match kib.and_then(|kib| kib.checked_mul(1024)) {
        Some(bytes) => Known::Value(bytes),
        None => Known::unknown(format!("{MEMINFO}: no usable line MemTotal")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_total() {
        assert_eq!(
            parse("MemTotal:        4014488 kB\nMemFree: 1 kB\n"),
            Known::Value(4_014_488 * 1024)
        );
        assert!(parse("MemTotal: many kB\n").is_unknown());
        assert!(parse("MemTotal: 18446744073709551615 kB\n").is_unknown());
        assert!(parse("").is_unknown());
    }

    proptest! {
        #[test]
        fn never_panics(text in "(MemTotal:)?\\PC{0,60}") {
            let _ = parse(&text);
        }
    }
}
