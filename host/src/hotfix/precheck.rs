//! Whether a hotfix can be applied to this host, and how: decided before anything is written.

use super::disk::{Slots, slots};
use super::standing::{Unrecorded, refuse_applied, without_record};
use super::{PatchRecord, Site, internal, is_older, patch_uuid, seen};
use crate::XeError;
use crate::error::chain;
use crate::local::boot_record_at;
use release::{
    Artifact, BOOT_FILES, DELTA_ARTIFACTS, Delta, OpenRelease, Policy, Repository, beside,
};
use sha2::{Digest, Sha256};
use slots::block::Access;
use slots::boot_state::{BootState, GOOD_ENV, STATE_ENV};
use slots::env_block::EnvBlock;
use slots::{BootRecord, Mode};
use std::path::Path;

/// Where an artifact comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It is the one that the host has.
    Unchanged,
    /// Made from the one that the host has.
    Delta(Delta),
    /// Whole, out of the hotfix.
    Full,
}

/// A hotfix that can be applied, and how.
#[derive(Debug)]
pub struct Prepared {
    /// Its record.
    pub record: PatchRecord,
    /// What it brings.
    pub release: OpenRelease,
    /// The boot that runs.
    pub boot: BootRecord,
    /// The two slots.
    pub slots: Slots,
    /// What the boot loader does now.
    pub state: BootState,
    /// Where each artifact comes from.
    pub sources: Vec<(Artifact, Source)>,
}

impl Prepared {
    /// Where an artifact comes from.
    pub fn source(&self, artifact: Artifact) -> Option<&Source> {
        self.sources
            .iter()
            .find(|(known, _)| *known == artifact)
            .map(|(_, source)| source)
    }
}

fn failed(code: &'static str, uuid: &str, message: impl Into<String>) -> XeError {
    XeError::failure(code, message).with("uuid", uuid)
}

const UNKNOWN: &str = "PATCH_PRECHECK_FAILED_UNKNOWN_ERROR";
const MISSING: &str = "PATCH_PRECHECK_FAILED_PREREQUISITE_MISSING";
const VERSION: &str = "PATCH_PRECHECK_FAILED_WRONG_SERVER_VERSION";
/// Code of the error where a hotfix has neither a delta from the running release nor the whole file.
pub(crate) const NO_DELTA: &str = "PATCH_PRECHECK_FAILED_WRONG_SERVER_BUILD";
const SPACE: &str = "PATCH_PRECHECK_FAILED_OUT_OF_SPACE";

/// The state of the boot loader; from the second block where the first cannot be read.
pub fn boot_state(esp: &Path) -> Result<BootState, XeError> {
    EnvBlock::read(&esp.join(STATE_ENV))
        .or_else(|_| EnvBlock::read(&esp.join(GOOD_ENV)))
        .map(|block| BootState::from_env(&block))
        .map_err(|e| {
            XeError::failure(
                UNKNOWN,
                format!(
                    "The boot loader's state cannot be read, is the ESP mounted? {}",
                    chain(&e)
                ),
            )
        })
}

/// Whether the hotfix with that UUID can be applied. Writes nothing but what the TUF client remembers, in the hotfix's own
/// folder.
pub fn precheck(site: &Site<'_>, uuid: &str) -> Result<Prepared, XeError> {
    let record = PatchRecord::find(site.system, site.places, uuid)
        .map_err(|error| without_record(site, uuid, error, Unrecorded::Apply))?;
    let uuid = record.uuid.clone();
    let unknown = |message: String| failed(UNKNOWN, &uuid, message);
    let boot = boot_record_at(site.system, &site.places.boot_record)
        .map_err(|e| unknown(format!("The running release is not known: {e}")))?;
    let loader = boot_state(&site.places.esp);
    refuse_applied(&record, &boot, loader.as_ref().ok())?;
    if boot.mode != Mode::Host {
        return Err(unknown(
            "This system was not started as a host under Xen; restart it and try again.".to_owned(),
        ));
    }
    let state = loader?;
    if state.good.as_deref() != Some(boot.root.id()) {
        return Err(unknown(
            "The release that runs is not known to be good yet, and it is what the host would go back to. Wait for its \
             health check, or see what it says: `systemctl status bedplate-health`."
                .to_owned(),
        ));
    }
    if is_older(&record.root.version, &boot.root.version) {
        return Err(failed(
            VERSION,
            &uuid,
            format!(
                "The hotfix brings {}, which is older than {} that runs; `xe host-rollback` goes back.",
                record.root.version, boot.root.version
            ),
        ));
    }
    let release = open(site, &record)?;
    if release.manifest.root != record.root {
        return Err(unknown(
            "The files of the hotfix are not those that were uploaded; destroy it and upload it again."
                .to_owned(),
        ));
    }
    let slots = slots(site.system, site.places, &boot.root_device)
        .map_err(|e| unknown(format!("The slots are not known: {e}")))?;
    let mut prepared = Prepared {
        record,
        release,
        boot,
        slots,
        state,
        sources: Vec::new(),
    };
    room(site, &prepared)?;
    prepared.sources = sources(site, &prepared.boot, &prepared.release, &Path::is_file)?;
    Ok(prepared)
}

fn open(site: &Site<'_>, record: &PatchRecord) -> Result<OpenRelease, XeError> {
    let Some(folder) = &record.folder else {
        return Err(failed(
            MISSING,
            &record.uuid,
            "The files of this hotfix were cleaned; upload it again.",
        ));
    };
    let dir = site.places.store.join(folder);
    let trusted_root = site
        .system
        .read_file(&site.places.trusted_root)
        .map_err(|e| internal(&e))?;
    let datastore = seen::datastore(site.system, site.places, &dir)?;
    Repository::open(
        &trusted_root,
        &release::Source::Directory(dir.join("repository")),
        &Policy::hotfix(datastore),
    )
    .map_err(|e| failed("INVALID_PATCH", &record.uuid, chain(&e)))
}

/// Room in the slot and on the ESP.
fn room(site: &Site<'_>, prepared: &Prepared) -> Result<(), XeError> {
    let uuid = &prepared.record.uuid;
    let need = prepared.release.info(Artifact::Root).size;
    let slot = &prepared.slots.inactive;
    let size = site
        .machine
        .open(slot, Access::ReadOnly)
        .map_err(|e| internal(&e))?
        .size();
    let out = |what: String, need: u64, free: u64| {
        failed(SPACE, uuid, what)
            .with("required", need.to_string())
            .with("free", free.to_string())
    };
    if need > size {
        let what = format!("The root image does not fit the slot {}.", slot.display());
        return Err(out(what, need, size));
    }
    let need = beside::esp_room(&prepared.release);
    let mut free = site
        .machine
        .free_space(&site.places.esp)
        .map_err(|e| internal(&e))?;
    // What the inactive slot was started with goes first.
    let others = beside::other_roots(site.system, &site.places.esp, prepared.boot.root.id());
    for id in others.map_err(|e| internal(&e))? {
        let dir = site.places.boot_files(&id);
        for (_, name) in BOOT_FILES {
            let size = site.machine.open(&dir.join(name), Access::ReadOnly);
            free = free.saturating_add(size.map_or(0, |file| file.size()));
        }
    }
    if need > free {
        let esp = &site.places.esp;
        let what = format!(
            "The boot files do not fit the EFI system partition; remove what is not Bedplate's from {}.",
            esp.display()
        );
        return Err(out(what, need, free));
    }
    Ok(())
}

/// Where each artifact comes from on a host that runs `boot`. `offers` says whether the file of an artifact or a delta can be had.
pub(crate) fn sources(
    site: &Site<'_>,
    boot: &BootRecord,
    release: &OpenRelease,
    offers: &dyn Fn(&Path) -> bool,
) -> Result<Vec<(Artifact, Source)>, XeError> {
    let folder = site.places.boot_files(boot.root.id());
    let mut sources = Vec::new();
    // Signatures of boot files come whole.
    let whole = BOOT_FILES
        .into_iter()
        .map(|(artifact, _)| artifact)
        .filter(|artifact| !DELTA_ARTIFACTS.contains(artifact));
    for artifact in DELTA_ARTIFACTS.into_iter().chain(whole) {
        let has = match BOOT_FILES.iter().find(|(known, _)| *known == artifact) {
            Some((_, name)) => file_sha256(site, &folder.join(name)).ok(),
            None => Some(boot.root.image_sha256.clone()),
        };
        let source = source(boot, release, artifact, has.as_deref(), offers)?;
        sources.push((artifact, source));
    }
    Ok(sources)
}

fn source(
    boot: &BootRecord,
    release: &OpenRelease,
    artifact: Artifact,
    has: Option<&str>,
    offers: &dyn Fn(&Path) -> bool,
) -> Result<Source, XeError> {
    // A root that is the same would be the same release; the slot is written all the same.
    if artifact != Artifact::Root && has == Some(release.info(artifact).sha256.as_str()) {
        return Ok(Source::Unchanged);
    }
    let delta = has
        .and_then(|has| release.delta(artifact, has))
        .filter(|delta| offers(&release.delta_path(delta)));
    if let Some(delta) = delta {
        return Ok(Source::Delta(delta.clone()));
    }
    if offers(&release.path(artifact)) {
        return Ok(Source::Full);
    }
    Err(failed(
        NO_DELTA,
        &patch_uuid(&release.manifest.root.verity.root_hash),
        format!(
            "The hotfix has no {} for this host: it holds neither the whole file nor a delta from {}. Get the hotfix that \
             holds the full image.",
            artifact.target_name(),
            boot.root.version
        ),
    )
    .with("running", boot.root.version.clone())
    .with("found", has.unwrap_or("unreadable").to_owned()))
}

/// SHA-256 of a file as it is on the disk, lowercase hexadecimal.
pub(super) fn file_sha256(site: &Site<'_>, path: &Path) -> Result<String, XeError> {
    let mut device = site
        .machine
        .open(path, Access::ReadOnly)
        .map_err(|e| internal(&e))?;
    let size = device.size();
    // What it is read in; the writer of slots reads in the same pieces.
    let mut buffer = vec![0; 1024 * 1024];
    let mut hasher = Sha256::new();
    let mut at = 0;
    device.drop_cache(0, size).map_err(|e| internal(&e))?;
    while at < size {
        let n = (size - at).min(buffer.len() as u64) as usize;
        device
            .read_at(at, &mut buffer[..n])
            .map_err(|e| internal(&e))?;
        hasher.update(&buffer[..n]);
        at += n as u64;
    }
    Ok(hex::encode(hasher.finalize()))
}
