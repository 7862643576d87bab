//! How the machine booted: firmware, Secure Boot, TPM.

use crate::known::Known;
use crate::root::Root;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const EFI: &str = "/sys/firmware/efi";
const EFIVARS: &str = "/sys/firmware/efi/efivars";
/// The variable's name ends with the GUID of the UEFI specification (`EFI_GLOBAL_VARIABLE`).
const SECURE_BOOT: &str =
    "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Likewise: 1 while the firmware has no platform key, and takes one from whoever writes it.
const SETUP_MODE: &str = "/sys/firmware/efi/efivars/SetupMode-8be4df61-93ca-11d2-aa0d-00e098032b8c";
const TPMS: &str = "/sys/class/tpm";

/// How the machine booted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Firmware {
    /// Where this was read.
    pub source: String,
    /// UEFI or BIOS.
    pub kind: Known<FirmwareKind>,
    /// Whether Secure Boot is enforced; with BIOS it is not.
    pub secure_boot: Known<bool>,
    /// Whether the firmware is in setup mode, in which keys of Secure Boot can be enrolled; with BIOS it is not.
    pub setup_mode: Known<bool>,
}

/// Kind of firmware, by how this system was booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FirmwareKind {
    /// Booted through UEFI.
    Uefi,
    /// Booted through BIOS, or UEFI's imitation of it.
    Bios,
}

/// A trusted platform module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tpm {
    /// Where this was read.
    pub source: String,
    /// 1 (for 1.2) or 2.
    pub major_version: Known<u32>,
}

/// Sources: `/sys/firmware/efi` exists when the kernel was started by UEFI; the SecureBoot and SetupMode variables.
pub(super) fn read(root: &Root) -> Firmware {
    let firmware = |kind, secure_boot, setup_mode| Firmware {
        source: EFI.to_owned(),
        kind,
        secure_boot,
        setup_mode,
    };
    if root.exists(EFI) {
        let [secure_boot, setup_mode] = [SECURE_BOOT, SETUP_MODE].map(|path| switch(root, path));
        return firmware(Known::Value(FirmwareKind::Uefi), secure_boot, setup_mode);
    }
    match root.list("/sys/firmware") {
        Ok(_) => firmware(
            Known::Value(FirmwareKind::Bios),
            Known::Value(false),
            Known::Value(false),
        ),
        Err(error) => firmware(
            Known::unknown(error.to_string()),
            Known::unknown(error.to_string()),
            Known::unknown(error.to_string()),
        ),
    }
}

/// Four bytes of attributes, then one byte: 1 when on.
fn switch(root: &Root, path: &str) -> Known<bool> {
    let variable = root.bytes(path, 64);
    match (&variable, root.list(EFIVARS)) {
        (Ok(bytes), _) => match bytes.get(4) {
            Some(0) => Known::Value(false),
            Some(1) => Known::Value(true),
            _ => Known::unknown(format!("{path}: no value of 0 or 1")),
        },
        (Err(error), _) if !error.is_missing() => Known::unknown(error.to_string()),
        (Err(_), Ok(names)) if names.is_empty() => Known::unknown(format!(
            "{EFIVARS}: empty; mount efivarfs there to read the variables"
        )),
        // Firmware that lists its variables and has none of this name does not know Secure Boot.
        (Err(_), Ok(_)) => Known::Value(false),
        (Err(_), Err(error)) => Known::unknown(error.to_string()),
    }
}

/// Source: `/sys/class/tpm`.
pub(super) fn read_tpm(root: &Root) -> Known<Tpm> {
    // Without the folder the kernel has no support for TPMs loaded, so nothing is known.
    match root.list(TPMS) {
        Ok(names) => match names
            .iter()
            .find(|name| name.starts_with("tpm") && !name.starts_with("tpmrm"))
        {
            Some(name) => {
                let source = format!("{TPMS}/{name}");
                let major_version = super::number(root, &format!("{source}/tpm_version_major"));
                Known::Value(Tpm {
                    source,
                    major_version,
                })
            }
            None => Known::Absent,
        },
        Err(error) => Known::unknown(error.to_string()),
    }
}
