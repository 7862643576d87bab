//! What a TPM holds after a host was started by Secure Boot: the values of its platform configuration registers (PCRs), as far as they
//! follow from a release and its keys.
//!
//! Sources: TCG PC Client Platform Firmware Profile 1.06, sections 3.3.4 (what goes into which register), 10.4 (events); EDK2
//! `SecurityPkg/Tcg/Tcg2Dxe/Tcg2Dxe.c` and `DxeImageVerificationLib.c`, for the order of events.

use crate::secure_boot::{Enrolled, VARIABLES, image_hash};
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use uuid::Uuid;

/// EV_EFI_ACTION: the firmware starts an entry of its list. Measured once, at the first entry.
const CALLING: &[u8] = b"Calling EFI Application from Boot Option";
/// EV_SEPARATOR: what comes behind it is no longer the firmware's own.
const SEPARATOR: &[u8] = &[0; 4];
/// The database that says what may not start. A machine whose keys the installer enrolled has none.
const DBX: &str = "dbx";

/// A register, and why it has its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// Its number.
    pub number: u8,
    /// Its value in the SHA-256 bank.
    pub value: [u8; 32],
    /// What was measured, in its order.
    pub events: Vec<String>,
}

impl Register {
    /// As a TPM has it when the machine is switched on.
    fn new(number: u8) -> Self {
        Register {
            number,
            value: [0; 32],
            events: Vec::new(),
        }
    }

    /// Measures something by its hash.
    fn extend(&mut self, event: &str, digest: [u8; 32]) {
        let mut hash = Sha256::new();
        hash.update(self.value);
        hash.update(digest);
        self.value = hash.finalize().into();
        self.events.push(event.to_owned());
    }

    /// Measures bytes.
    fn measure(&mut self, event: &str, data: &[u8]) {
        self.extend(event, Sha256::digest(data).into());
    }
}

/// The registers of a host that the firmware started by its first entry: GRUB, which had it start `xen.efi`. Secure Boot is on, with
/// the keys of the release and no others.
///
/// # Errors
/// When a program is no EFI program, or `keys` are none.
pub fn predict(grub: &[u8], xen: &[u8], keys: &Enrolled) -> Result<[Register; 2]> {
    let grub = image_hash(grub).context("grubx64.efi")?;
    let xen = image_hash(xen).context("xen.efi")?;
    Ok([programs(grub, xen), policy(keys)?])
}

/// PCR 4, by the hashes of both programs.
fn programs(grub: [u8; 32], xen: [u8; 32]) -> Register {
    let mut programs = Register::new(4);
    programs.measure("the firmware starts an entry", CALLING);
    programs.measure("separator", SEPARATOR);
    programs.extend("grubx64.efi", grub);
    programs.extend("xen.efi", xen);
    programs
}

/// PCR 7.
fn policy(keys: &Enrolled) -> Result<Register> {
    let mut policy = Register::new(7);
    let global = keys.variable("PK")?.vendor;
    policy.measure("SecureBoot", &variable_data(global, "SecureBoot", &[1]));
    // The platform key first: the other way round than they are written.
    for name in VARIABLES.into_iter().rev() {
        let variable = keys.variable(name)?;
        policy.measure(name, &variable_data(variable.vendor, name, &variable.list));
    }
    let database = keys.variable("db")?;
    policy.measure(DBX, &variable_data(database.vendor, DBX, &[]));
    policy.measure("separator", SEPARATOR);
    // Once, however many programs it vouches for.
    policy.measure(
        "the certificate that vouched",
        &variable_data(database.vendor, "db", database.entry()?),
    );
    Ok(policy)
}

/// UEFI_VARIABLE_DATA (TCG PC Client Platform Firmware Profile, 10.2.6).
fn variable_data(vendor: Uuid, name: &str, content: &[u8]) -> Vec<u8> {
    let wide: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut bytes = vendor.to_bytes_le().to_vec();
    bytes.extend((wide.len() as u64 / 2).to_le_bytes());
    bytes.extend((content.len() as u64).to_le_bytes());
    bytes.extend(wide);
    bytes.extend(content);
    bytes
}

/// For people.
pub fn describe(registers: &[Register]) -> String {
    let mut text = String::from(
        "TPM registers (SHA-256) of a host that runs this release under Secure Boot with its keys and no others:\n",
    );
    for register in registers {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  PCR {}  {}\n         {}",
            register.number,
            hex::encode(register.value),
            register.events.join(", ")
        );
    }
    text.push_str(
        "PCRs 0 to 3, 5 and 6 depend on the machine and its firmware; nothing of a host measures into 8 and above. See docs/secure-boot.md.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_the_hash_of_what_it_was_and_what_is_measured() {
        // PCRs 1, 2, 3 and 6 of a machine on which nothing but the separator was measured, as every TPM shows them.
        let mut register = Register::new(2);
        register.measure("separator", SEPARATOR);
        assert_eq!(
            hex::encode(register.value),
            "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969"
        );
    }

    fn hash(text: &str) -> [u8; 32] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    /// What swtpm 0.7.1 held under OVMF (Debian 13) when an installed host had come to Xen: the hashes are those of the two programs on
    /// its ESP, the keys those that the installer had enrolled.
    #[test]
    fn a_real_machine_has_the_predicted_values() {
        let register = programs(
            hash("ce4472ad44b95f531fa359f30e4da0bbb7569c736f9ad94ddf191518b36a4ce3"),
            hash("e5f4a0544f5164ff83b0deceb36fed30f873554fd1da09f2208b1cd1dfa2ed87"),
        );
        assert_eq!(
            hex::encode(register.value),
            "f3a3c8926f76544edd1c6869ff4a180b7c7b719b4b7156c613648c594421463b"
        );
        let keys = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/enrolled");
        assert_eq!(
            hex::encode(policy(&Enrolled::read(&keys).unwrap()).unwrap().value),
            "64b88930c5fba96b6ecd970c32fac07c774613ed40f8b063cbd4ea5a30aa8455"
        );
    }

    #[test]
    fn the_data_of_a_variable_has_its_name_in_16_bit_units_without_an_end() {
        let data = variable_data(Uuid::nil(), "db", b"x");
        let expected = [
            &[0; 16][..],
            &[2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
            b"d\0b\0x",
        ];
        assert_eq!(data, expected.concat());
    }
}
