//! The contents that variables of Secure Boot have after they were enrolled, read from what is enrolled.

use super::variables::{GLOBAL, SECURITY, VARIABLES};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use uuid::Uuid;

/// Bytes of EFI_TIME, which a signed content begins with.
const TIME: usize = 16;
/// Bytes in front of the signature, which count with it (WIN_CERTIFICATE_UEFI_GUID).
const CERTIFICATE_HEADER: usize = 24;
/// Bytes in front of the only entry of a signature list (EFI_SIGNATURE_LIST, UEFI 2.10, section 32.4.1).
const LIST_HEADER: usize = 28;

/// A variable after it was enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolledVariable {
    /// Its name.
    pub name: &'static str,
    /// GUID of its vendor.
    pub vendor: Uuid,
    /// Its content: a list of one certificate.
    pub list: Vec<u8>,
}

impl EnrolledVariable {
    /// The only entry of the list (EFI_SIGNATURE_DATA): its owner and the certificate.
    ///
    /// # Errors
    /// When there is none.
    pub fn entry(&self) -> Result<&[u8]> {
        self.list
            .get(LIST_HEADER..)
            .filter(|entry| !entry.is_empty())
            .with_context(|| format!("{} lists no certificate", self.name))
    }
}

/// What the installer enrolls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled([EnrolledVariable; 3]);

impl Enrolled {
    /// From signed contents, as `signed_variables` makes them; `content` gives that of a name.
    ///
    /// # Errors
    /// When one cannot be had, or is no signed content.
    pub fn of(mut content: impl FnMut(&str) -> Result<Vec<u8>>) -> Result<Self> {
        let [db, kek, pk] = VARIABLES;
        let mut one = |name, vendor| {
            let list =
                unsigned(&content(name)?).with_context(|| format!("the content of {name}"))?;
            anyhow::Ok(EnrolledVariable { name, vendor, list })
        };
        Ok(Enrolled([
            one(db, SECURITY)?,
            one(kek, GLOBAL)?,
            one(pk, GLOBAL)?,
        ]))
    }

    /// From the folder of them in the tree of a root image.
    ///
    /// # Errors
    /// When a file cannot be read, or is none.
    pub fn read(folder: &Path) -> Result<Self> {
        Self::of(|name| {
            let path = folder.join(format!("{name}.auth"));
            std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))
        })
    }

    /// The variable of a name.
    ///
    /// # Errors
    /// When it is another name.
    pub fn variable(&self, name: &str) -> Result<&EnrolledVariable> {
        let found = self.0.iter().find(|variable| variable.name == name);
        found.with_context(|| format!("{name} is no variable that is enrolled"))
    }
}

/// What stands behind the time and the signature (EFI_VARIABLE_AUTHENTICATION_2).
fn unsigned(signed: &[u8]) -> Result<Vec<u8>> {
    let length = signed
        .get(TIME..)
        .and_then(|rest| rest.first_chunk())
        .map(|bytes| u32::from_le_bytes(*bytes) as usize)
        .filter(|length| *length >= CERTIFICATE_HEADER);
    let content = length.and_then(|length| signed.get(TIME.checked_add(length)?..));
    let content = content.context("is cut off")?;
    ensure!(!content.is_empty(), "is empty");
    Ok(content.to_vec())
}
