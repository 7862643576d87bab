//! What the maker of a hotfix says about it. Signed: it is custom data of targets in the TUF metadata.

use crate::{Artifact, Error, Manifest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;

/// Member of the custom data of `release.json` that holds the [`HotfixInfo`].
pub(crate) const HOTFIX_KEY: &str = "bedplate-hotfix";
/// Member of the custom data of a delta that holds its [`DeltaInfo`].
pub(crate) const DELTA_KEY: &str = "bedplate-delta";

/// Custom data of targets, by their names.
pub(crate) type Customs = HashMap<String, HashMap<String, Value>>;

/// What a hotfix is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HotfixKind {
    /// It closes holes.
    Security,
    /// It repairs or adds something else.
    Feature,
}

/// What has to be restarted for a hotfix to take effect. A release is one image, so that it is always the host; what is not
/// known counts as that, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Guidance {
    /// The host.
    #[serde(rename = "restartHost", other)]
    RestartHost,
}

impl Guidance {
    /// Of a name as a maker gives it; none for what no hotfix can ask for. XenServer's others (restartHVM, restartPV, restartXAPI) are
    /// parts of it: guests and toolstack start anew with the host.
    pub fn from_name(name: &str) -> Option<Guidance> {
        let all = [Guidance::RestartHost];
        all.into_iter().find(|guidance| guidance.name() == name)
    }

    /// As `xe` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Guidance::RestartHost => "restartHost",
        }
    }
}

/// What the maker says about a hotfix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HotfixInfo {
    /// What it is for.
    pub kind: HotfixKind,
    /// For the administrator: what changes.
    pub notes: String,
    /// Identifiers of the vulnerabilities that it closes: `CVE-2026-12345`.
    pub cves: Vec<String>,
    /// What to do after applying it.
    pub guidance: Guidance,
}

/// Most bytes of the notes.
const MAX_NOTES: usize = 16 * 1024;
/// Most vulnerabilities.
const MAX_CVES: usize = 1000;

impl HotfixInfo {
    /// Checks what reaches a terminal.
    pub fn check(&self) -> Result<(), Error> {
        let problem = |problem: String| Err(Error::Manifest { problem });
        if self.notes.len() > MAX_NOTES || self.cves.len() > MAX_CVES {
            return problem(format!(
                "the notes have more than {MAX_NOTES} bytes, or more than {MAX_CVES} vulnerabilities are named"
            ));
        }
        if self.notes.chars().any(|c| c.is_control() && c != '\n') {
            return problem("the notes have control characters".to_owned());
        }
        let plain = |id: &String| {
            (1..=40).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        match self.cves.iter().find(|id| !plain(id)) {
            Some(id) => problem(format!("{id:?} names no vulnerability")),
            None => Ok(()),
        }
    }
}

/// What a delta is made from, and what comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeltaInfo {
    /// What comes out: this artifact of the release that the delta belongs to.
    pub artifact: Artifact,
    /// SHA-256 of the same artifact in the release that it is made from, lowercase hexadecimal.
    pub base_sha256: String,
    /// Artifacts of the *new* release that follow in the base, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Artifact>,
}

/// The artifacts that deltas are made of, in the order in which they are applied: the joined file last, because it is made
/// from the others.
pub const DELTA_ARTIFACTS: [Artifact; 6] = [
    Artifact::Root,
    Artifact::Xen,
    Artifact::Kernel,
    Artifact::Initrd,
    Artifact::Microcode,
    Artifact::XenEfi,
];

impl DeltaInfo {
    /// The name of its TUF target. Only as good as `DeltaInfo::check`.
    pub fn target_name(&self) -> String {
        let base = self.base_sha256.get(..16).unwrap_or(&self.base_sha256);
        format!("{base}-{}.delta", self.artifact.target_name())
    }

    /// Checks what names files and says in which order things are done.
    pub(crate) fn check(&self, name: &str) -> Result<(), Error> {
        let position = |artifact: &Artifact| DELTA_ARTIFACTS.iter().position(|a| a == artifact);
        let own = position(&self.artifact);
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let good = self.base_sha256.len() == 64
            && self.base_sha256.bytes().all(hex)
            && own.is_some()
            && self.also.len() < DELTA_ARTIFACTS.len()
            // Only from what is there by then, and never from the root, which is on no file system.
            && self
                .also
                .iter()
                .all(|a| *a != Artifact::Root && position(a).is_some() && position(a) < own)
            && name == self.target_name();
        match good {
            true => Ok(()),
            false => Err(Error::Manifest {
                problem: format!("the delta {name:?} is described in a way that cannot be"),
            }),
        }
    }
}

/// The custom data that says so; for signing.
pub(crate) fn customs(info: Option<&HotfixInfo>, deltas: &[DeltaInfo]) -> Result<Customs, Error> {
    let value = |value: serde_json::Result<Value>| {
        value.map_err(|e| Error::Manifest {
            problem: e.to_string(),
        })
    };
    let mut customs = Customs::new();
    if let Some(info) = info {
        info.check()?;
        let custom = [(HOTFIX_KEY.to_owned(), value(serde_json::to_value(info))?)];
        customs.insert(crate::MANIFEST.to_owned(), custom.into());
    }
    for delta in deltas {
        let name = delta.target_name();
        delta.check(&name)?;
        let custom = [(DELTA_KEY.to_owned(), value(serde_json::to_value(delta))?)];
        customs.insert(name, custom.into());
    }
    Ok(customs)
}

/// Bytes of the data of the root image: what a delta of it is made from, and what comes out. The hash tree behind it is
/// computed anew.
pub fn data_size(manifest: &Manifest) -> u64 {
    manifest
        .root
        .verity
        .data_blocks
        .saturating_mul(slots::verity::BLOCK)
}
