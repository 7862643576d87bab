//! The boot loaders on the disks of the host: brought up to date by a release that runs and is good, one thing at each good boot.
//!
//! [`mod@plan`] decides, from what the release brings (`shipped`), what is on the disks (`disk`, `bios`) and how the firmware
//! came to this boot (`firmware`). Files are replaced by `replace`; `record` holds what was done. See
//! `docs/adr/0032-boot-loaders-are-updated-after-good.md`.

mod bios;
mod disk;
mod firmware;
pub mod plan;
mod record;
mod replace;
mod shipped;

pub use record::{BOOT_LOADERS, LoaderRecord, State, Written, loader_map};

use crate::health::Check;
use crate::hotfix::{Site, lock};
use crate::local::{BOOT_ID, short_text};
use crate::mirror;
use disk::Disk;
use plan::{Found, Next, Place, Seen, Situation, Way, Which, plan};
use release::is_older;
use shipped::Shipped;
use slots::BootRecord;
use slots::grub_cfg::GRUB_CFG;
use slots::names::{EFI_FALLBACK, EFI_VENDOR};
use std::path::Path;

/// The check of health that tells of it.
const NAME: &str = "boot-loaders";

/// The loaders for UEFI and their configuration, from the root of an ESP.
const FILES: [&str; 3] = [EFI_VENDOR, EFI_FALLBACK, GRUB_CFG];

/// Whether a file of the ESP, by its path from the root of it, is a loader or its configuration: then it is changed from here only,
/// on one disk at a time.
pub(crate) fn is_loader(file: &Path) -> bool {
    FILES.iter().any(|known| file == Path::new(known))
}

/// Whether it is one that has not taken its place yet. Nothing but [`after_good`] touches such a file: see [`replace`].
pub(crate) fn is_unfinished(file: &Path) -> bool {
    FILES
        .iter()
        .any(|known| file == replace::beside(Path::new(known)))
}

/// Does the next thing, after this boot of `boot` was found to be good and the boot loader was told so. Returns what is to be
/// told; nothing where the release brings no loaders.
///
/// Nothing here makes a boot bad: where something cannot be written, the loader that started the host is there still.
pub fn after_good(site: &Site<'_>, boot: &BootRecord) -> Option<Check> {
    let held = match lock(site.system, site.places, "boot loaders") {
        Ok(held) => held,
        Err(error) => {
            return Some(Check::pass(
                NAME,
                format!("not looked at now: {}", error.message),
            ));
        }
    };
    let mut record = LoaderRecord::read(site.system);
    let before = record.clone();
    let (state, reason) = match step(site, boot, &mut record) {
        Ok(None) => return None,
        Ok(Some(told)) => told,
        Err(problem) => (State::Held, problem),
    };
    (record.state, record.reason) = (state, reason);
    let saved = match record == before {
        true => Ok(()),
        false => record.save(site.system),
    };
    drop(held);
    let reason = match saved {
        Ok(()) => record.reason,
        Err(problem) => format!("{} (this was not recorded: {problem})", record.reason),
    };
    Some(match state {
        State::Held => Check::warn(NAME, reason),
        _ => Check::pass(NAME, reason),
    })
}

/// Looks, decides and does it. None where the release brings no loaders.
fn step(
    site: &Site<'_>,
    boot: &BootRecord,
    record: &mut LoaderRecord,
) -> Result<Option<(State, String)>, String> {
    let Some(shipped) = Shipped::read(site.system)? else {
        return Ok(None);
    };
    let disks = disks(site, boot)?;
    let seen = disks.first.look(site, &shipped);
    let work = Work {
        site,
        shipped: &shipped,
        version: &boot.root.version,
        boot_id: short_text(site.system, BOOT_ID)
            .ok_or_else(|| format!("{BOOT_ID} cannot be read"))?,
        way: firmware::way(site.system, &disks.first.esp_node()),
        first: &disks.first,
    };
    match disks.other {
        // The first one before the other is as much as looked at.
        Some(other) if disks.waits.is_none() && seen.is_settled() => {
            mirror::with_esp(site.system, &partition(&other), |folder| {
                let other = Disk {
                    name: other.clone(),
                    esp: folder.to_owned(),
                };
                let found = other.look(site, &shipped);
                work.decide(&seen, Some((&other, &found)), None, record)
            })
        }
        _ => work.decide(&seen, None, disks.waits.as_deref(), record),
    }
    .map(Some)
}

fn partition(disk: &str) -> std::path::PathBuf {
    mirror::partition_of(disk, slots::PartitionKind::Esp)
}

/// The disks of the host.
struct Disks {
    /// The one that this boot came from.
    first: Disk,
    /// The other one of a mirror.
    other: Option<String>,
    /// Why neither may be touched for now.
    waits: Option<String>,
}

fn disks(site: &Site<'_>, boot: &BootRecord) -> Result<Disks, String> {
    let on = |name: String| Disk {
        name,
        esp: site.places.esp.clone(),
    };
    let arrays = mirror::arrays(site.system, &site.places.sys_block);
    let Some(state) = arrays
        .iter()
        .find(|array| array.kind == slots::PartitionKind::State)
    else {
        let slot = Path::new(&boot.root_device).file_name().unwrap_or_default();
        let slot = slot.to_string_lossy();
        if slot.starts_with("md") {
            return Err(format!(
                "the host runs from {}, and the array of the state partition is not there: see /proc/mdstat",
                boot.root_device
            ));
        }
        return Ok(Disks {
            first: on(mirror::disk_of(&slot)),
            other: None,
            waits: None,
        });
    };
    let mounted = mirror::mounted(site.system, &site.places.esp)
        .ok_or_else(|| format!("no ESP is mounted at {}", site.places.esp.display()))?;
    let first = mirror::disk_of(&mounted.file_name().unwrap_or_default().to_string_lossy());
    let other = state
        .members
        .iter()
        .map(|member| mirror::disk_of(member))
        .find(|disk| *disk != first);
    let whole =
        mirror::summary(site.system, &site.places.sys_block).is_some_and(|(whole, _)| whole);
    let halves = boot
        .mirror
        .as_ref()
        .is_none_or(|mirror| mirror.booted == first && mirror.kept == first);
    // The other disk is what starts the host where the new loader does not.
    let waits = match (whole && other.is_some(), halves) {
        (true, true) => None,
        (false, _) => Some("they stay as they are until the mirror is whole".to_owned()),
        (true, false) => Some(
            "they stay as they are until the host starts from the disk that counts: restart it"
                .to_owned(),
        ),
    };
    Ok(Disks {
        first: on(first),
        other,
        waits,
    })
}

/// What a step works with.
struct Work<'a> {
    site: &'a Site<'a>,
    shipped: &'a Shipped,
    version: &'a str,
    boot_id: String,
    way: Way,
    first: &'a Disk,
}

impl Work<'_> {
    fn decide(
        &self,
        seen: &Seen,
        other: Option<(&Disk, &Seen)>,
        waits: Option<&str>,
        record: &mut LoaderRecord,
    ) -> Result<(State, String), String> {
        let newer = record.release.clone();
        let newer = newer
            .as_deref()
            .filter(|release| is_older(self.version, release));
        let next = plan(&Situation {
            first: seen,
            other: other.map(|(_, seen)| seen),
            way: &self.way,
            waits,
            newer,
            changed: record.boot.as_deref() == Some(self.boot_id.as_str()),
            asked: record.asked,
        });
        match next {
            Next::Nothing => {
                // Not that of an older release whose loaders are the same: the next but one may bring others.
                if newer.is_none() {
                    record.release = Some(self.version.to_owned());
                }
                record.asked = 0;
                Ok((State::Current, format!("as {} brings them", self.version)))
            }
            Next::Leave(reason) => Ok((State::Pending, reason)),
            Next::Held(reason) => Ok((State::Held, reason)),
            Next::AskFirmware => {
                record.asked += 1;
                record.boot = Some(self.boot_id.clone());
                // Noted first: one that is asked in vain is not asked for ever.
                record.save(self.site.system)?;
                self.ask()?;
                Ok((
                    State::Pending,
                    format!(
                        "the firmware starts {EFI_FALLBACK} by itself; it was asked to start the new loader in {EFI_VENDOR} once, at the \
                         next start"
                    ),
                ))
            }
            Next::Put(which, places) => {
                let disk = match (which, other) {
                    (Which::Other, Some((other, _))) => other,
                    _ => self.first,
                };
                self.put(disk, &places, record)
            }
        }
    }

    /// Writes the places, one after the other; the first that fails ends it.
    fn put(
        &self,
        disk: &Disk,
        places: &[Place],
        record: &mut LoaderRecord,
    ) -> Result<(State, String), String> {
        let names: Vec<String> = places.iter().map(|place| place.name().to_owned()).collect();
        let written = Written {
            when: self.site.now,
            release: self.version.to_owned(),
            disk: disk.name.clone(),
            places: names.clone(),
            done: false,
        };
        record.begin(written, &self.boot_id);
        // Before the disk: what is not recorded is not done, or the next check would take it for what started this boot.
        record.save(self.site.system)?;
        for place in places {
            disk.put(self.site, *place, self.shipped)?;
        }
        record.end();
        let mut told = format!(
            "{} of {} are now as {} brings them",
            names.join(", "),
            disk.name,
            self.version
        );
        if places.contains(&Place::Vendor) && self.way == Way::Fallback && disk == self.first {
            record.asked = 1;
            match self.ask() {
                Ok(()) => {
                    told += "; the firmware, which falls back by itself, was asked to start the new loader once"
                }
                Err(problem) => told += &format!("; {problem}"),
            }
        }
        let seen = disk.look(self.site, self.shipped);
        let all = Place::ALL
            .iter()
            .all(|place| !matches!(seen.at(*place), Found::Old));
        if !all {
            told += "; the rest comes when the host was restarted and is good";
        }
        Ok((State::Pending, told))
    }

    fn ask(&self) -> Result<(), String> {
        firmware::ask(self.site.system, &self.first.node(), &self.first.esp_node())
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
