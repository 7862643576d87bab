//! The ledger of a license: which hosts use it, and how many sockets they have.

use anyhow::{Context, Result, bail};
use license::{ActivationClaims, Fingerprint, Request};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A host that was activated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its machine id.
    pub installation: Uuid,
    /// UUID of its firmware.
    pub hardware: Option<Uuid>,
    /// By what it is recognized.
    pub fingerprint: Fingerprint,
    /// Populated sockets when it asked last.
    pub sockets: u32,
    /// When it was activated last, in seconds since 1970.
    pub activated: u64,
}

/// Kept as JSON by whoever issues licenses, one file for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Schema of this document: 1.
    pub schema: u32,
    /// Number of the license.
    pub license: String,
    /// Its hosts.
    pub hosts: Vec<Host>,
}

impl Ledger {
    /// Where the ledger of a license is, in a folder of ledgers.
    ///
    /// # Errors
    /// The number of the license is no name for a file.
    pub fn path(dir: &Path, license: &str) -> Result<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if license.is_empty() || license.starts_with('.') || !license.chars().all(plain) {
            bail!("license number {license:?}: letters, digits and - _ . only, no dot in front");
        }
        Ok(dir.join(format!("{license}.json")))
    }

    /// The ledger of a license; an empty one where there is no file yet.
    ///
    /// # Errors
    /// The file cannot be understood.
    pub fn load(dir: &Path, license: &str) -> Result<Ledger> {
        let path = Ledger::path(dir, license)?;
        if !path.exists() {
            return Ok(Ledger {
                schema: 1,
                license: license.to_owned(),
                hosts: Vec::new(),
            });
        }
        let json = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let ledger: Ledger = serde_json::from_slice(&json)
            .with_context(|| format!("{} is no ledger", path.display()))?;
        if ledger.schema != 1 || ledger.license != license {
            bail!("{} is not the ledger of {license}", path.display());
        }
        Ok(ledger)
    }

    /// Writes it, in one step.
    ///
    /// # Errors
    /// The folder does not take it.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let path = Ledger::path(dir, &self.license)?;
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_string_pretty(self)? + "\n")
            .and_then(|()| fs::rename(&new, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Notes the host of a request. A host that is known already is replaced and not counted twice: by its machine id, by
    /// its firmware's UUID, or because enough of it is still there.
    ///
    /// # Errors
    /// The host gave no number of sockets, or nothing to recognize it by.
    pub fn enter(&mut self, request: &Request, now: u64) -> Result<()> {
        let Some(sockets) = request.sockets else {
            bail!(
                "host {} could not count its sockets: have `hcl-checker facts` looked at there",
                request.installation
            );
        };
        if request.fingerprint.is_empty() {
            bail!(
                "host {} told nothing by which it could be recognized",
                request.installation
            );
        }
        let is_same = |host: &Host| {
            host.installation == request.installation
                || (host.hardware.is_some() && host.hardware == request.hardware)
                || host
                    .fingerprint
                    .recognize(&request.fingerprint)
                    .is_same_machine()
        };
        self.hosts.retain(|host| !is_same(host));
        self.hosts.push(Host {
            installation: request.installation,
            hardware: request.hardware,
            fingerprint: request.fingerprint.clone(),
            sockets: sockets.into(),
            activated: now,
        });
        Ok(())
    }

    /// Sockets of all hosts.
    pub fn sockets(&self) -> u32 {
        self.hosts
            .iter()
            .fold(0, |sum, host| sum.saturating_add(host.sockets))
    }

    /// What the record of a host says.
    pub fn record(&self, host: &Host) -> ActivationClaims {
        ActivationClaims {
            schema: ActivationClaims::SCHEMA,
            license: self.license.clone(),
            installation: host.installation,
            fingerprint: host.fingerprint.clone(),
            sockets: host.sockets,
            site_sockets: self.sockets(),
            site_hosts: u32::try_from(self.hosts.len()).unwrap_or(u32::MAX),
            issued: host.activated,
        }
    }
}
