//! Signed contents of the variables PK, KEK and db, as a firmware in setup mode takes them from the installer.
//!
//! UEFI 2.10: section 8.2.2 (EFI_VARIABLE_AUTHENTICATION_2), section 32.4.1 (signature lists).

use super::keys::{BootKeys, Signer};
use super::pkcs7;
use anyhow::Result;
use jiff::tz::TimeZone;
use uuid::{Uuid, uuid};

/// A variable that is signed, and the file that holds its content in the root image.
#[derive(Debug, Clone, Copy)]
struct Variable {
    name: &'static str,
    vendor: Uuid,
}

/// EFI_GLOBAL_VARIABLE.
pub(super) const GLOBAL: Uuid = uuid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
/// EFI_IMAGE_SECURITY_DATABASE_GUID.
pub(super) const SECURITY: Uuid = uuid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f");
/// EFI_CERT_X509_GUID.
const X509: Uuid = uuid!("a5c059a1-94e4-4aa7-87b5-ab155c2bf072");
/// EFI_CERT_TYPE_PKCS7_GUID.
const PKCS7: Uuid = uuid!("4aafd29d-68df-49ee-8aa9-347d375665a7");
/// Non-volatile, for boot services and run time, with time-based authentication.
const ATTRIBUTES: u32 = 0x27;
/// WIN_CERTIFICATE: revision 2.0, WIN_CERT_TYPE_EFI_GUID.
const CERTIFICATE_KIND: [u8; 4] = [0x00, 0x02, 0xf1, 0x0e];

/// Names of the variables, in the order in which they are written: with the platform key setup mode ends.
pub const VARIABLES: [&str; 3] = ["db", "KEK", "PK"];

/// The contents of the variables for enrolling `keys`, in the order of [`VARIABLES`], signed at `epoch`.
///
/// # Errors
/// When a key cannot sign.
pub fn signed_variables(keys: &BootKeys, epoch: u64) -> Result<[(&'static str, Vec<u8>); 3]> {
    let owner = keys.owner();
    let one = |name, vendor, content: &Signer, by: &Signer| {
        let list = signature_list(owner, content.certificate());
        let content = authenticated(Variable { name, vendor }, &list, by, epoch)?;
        anyhow::Ok((name, content))
    };
    let [db, kek, pk] = VARIABLES;
    Ok([
        one(db, SECURITY, &keys.database, &keys.exchange)?,
        one(kek, GLOBAL, &keys.exchange, &keys.platform)?,
        one(pk, GLOBAL, &keys.platform, &keys.platform)?,
    ])
}

/// A list with one certificate.
fn signature_list(owner: Uuid, certificate: &[u8]) -> Vec<u8> {
    let entry = 16 + certificate.len() as u32;
    let mut list = X509.to_bytes_le().to_vec();
    for number in [28 + entry, 0, entry] {
        list.extend(number.to_le_bytes());
    }
    list.extend(owner.to_bytes_le());
    list.extend(certificate);
    list
}

fn authenticated(variable: Variable, content: &[u8], by: &Signer, epoch: u64) -> Result<Vec<u8>> {
    let time = efi_time(epoch)?;
    let mut signed: Vec<u8> = variable
        .name
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    signed.extend(variable.vendor.to_bytes_le());
    signed.extend(ATTRIBUTES.to_le_bytes());
    signed.extend(time);
    signed.extend(content);
    let signature = pkcs7::detached(by, &signed)?;
    let mut bytes = time.to_vec();
    bytes.extend((24 + signature.len() as u32).to_le_bytes());
    bytes.extend(CERTIFICATE_KIND);
    bytes.extend(PKCS7.to_bytes_le());
    bytes.extend(signature);
    bytes.extend(content);
    Ok(bytes)
}

/// EFI_TIME in UTC; what is no date and time has to be zero.
fn efi_time(epoch: u64) -> Result<[u8; 16]> {
    let time = jiff::Timestamp::from_second(i64::try_from(epoch)?)?
        .to_zoned(TimeZone::UTC)
        .datetime();
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&time.year().to_le_bytes());
    for (byte, value) in bytes[2..7].iter_mut().zip([
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
    ]) {
        *byte = value as u8;
    }
    Ok(bytes)
}
