//! What the firmware and GRUB check: keys, Authenticode signatures, detached OpenPGP signatures, signed variables.
//!
//! Everything is signed with a time that is given, so that equal input and keys give equal bytes. See
//! `docs/adr/0022-secure-boot-through-a-signed-grub.md` for who checks what.

mod certificate;
mod enrolled;
mod keys;
mod openpgp;
mod pe;
mod pkcs7;
mod variables;

pub use enrolled::{Enrolled, EnrolledVariable};
pub use keys::{BootKeys, Signer};
pub use openpgp::{SIGNATURE_SUFFIX, detached_signature, public_key};
pub use pe::{image_hash, sign_program};
pub use variables::{VARIABLES, signed_variables};

use anyhow::{Context, Result};
use std::path::Path;

/// Signs an EFI program where it lies.
///
/// # Errors
/// When it cannot be read or written, or is no EFI program.
pub fn sign_program_file(signer: &Signer, epoch: u64, path: &Path) -> Result<()> {
    let unsigned =
        std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let signed =
        sign_program(signer, epoch, &unsigned).with_context(|| format!("{}", path.display()))?;
    std::fs::write(path, signed).with_context(|| format!("{} cannot be written", path.display()))
}

/// Writes the detached signature of `file`, as GRUB looks for it, to `signature`.
///
/// # Errors
/// When a file cannot be read or written.
pub fn sign_file(signer: &Signer, epoch: u64, file: &Path, signature: &Path) -> Result<()> {
    let data = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    std::fs::write(signature, detached_signature(signer, epoch, &data)?)
        .with_context(|| format!("{} cannot be written", signature.display()))
}
