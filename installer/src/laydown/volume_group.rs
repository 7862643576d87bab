//! A storage repository: an LVM volume group, with a file system in it where files are wanted.

use super::Context;
use crate::choices::StorageKind;
use serde::Deserialize;
use slots::names::STORAGE_FILES_LV;
use steps::StepError;
use steps::system::Command;

/// Why the storage repository is not usable.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// `vgs` could not be understood.
    #[error("cannot check the storage repository: `vgs` printed something unexpected")]
    Unreadable(#[from] serde_json::Error),
    /// It is not as it was made.
    #[error(
        "the storage repository {group} on {device} is not whole right after it was made: {found}"
    )]
    NotWhole {
        /// Its volume group.
        group: String,
        /// The partitions.
        device: String,
        /// What was found.
        found: String,
    },
}

#[derive(Deserialize)]
struct Vgs {
    report: Vec<VgsReport>,
}

#[derive(Deserialize)]
struct VgsReport {
    vg: Vec<Vg>,
}

#[derive(Deserialize)]
struct Vg {
    vg_name: String,
    pv_count: String,
    vg_missing_pv_count: String,
}

/// Makes a volume group of partitions and checks that it is whole.
pub(super) fn create(
    context: &Context<'_>,
    group: &str,
    devices: &[String],
    kind: StorageKind,
) -> Result<(), StepError> {
    let shown = devices.join(",");
    // Only these partitions are looked at: another disk of the machine may hold a volume group of the same name.
    let lvm = |program: &str| Command::new(program).args(["--devices", &shown]);
    context.run(lvm("pvcreate").args(["--yes", "--force"]).args(devices))?;
    context.run(
        lvm("vgcreate")
            .args(["--yes", "--autobackup", "n", group])
            .args(devices),
    )?;
    let fields = "vg_name,pv_count,vg_missing_pv_count";
    let output =
        context.run(lvm("vgs").args(["--reportformat", "json", "--options", fields, group]))?;
    let vgs: Vgs = serde_json::from_str(&output.text()).map_err(StorageError::from)?;
    let groups: Vec<&Vg> = vgs.report.iter().flat_map(|report| &report.vg).collect();
    let count = devices.len().to_string();
    let whole =
        |vg: &Vg| vg.vg_name == group && vg.pv_count == count && vg.vg_missing_pv_count == "0";
    match groups.as_slice() {
        [vg] if whole(vg) => {}
        _ => {
            let found = format!("{} volume groups named so, or parts missing", groups.len());
            return Err(StorageError::NotWhole {
                group: group.to_owned(),
                device: shown,
                found,
            }
            .into());
        }
    }
    let made = match kind {
        StorageKind::Lvm => Ok(()),
        StorageKind::Ext => make_files(context, group, &lvm),
    };
    // Also after a failure: a disk whose volumes are active cannot be taken by another try.
    let inactive = context.run(lvm("vgchange").args(["--activate", "n", group]));
    made?;
    inactive?;
    Ok(())
}

/// Makes the file system over the whole group. `lvm` is a command of LVM that sees its devices alone.
fn make_files(
    context: &Context<'_>,
    group: &str,
    lvm: &dyn Fn(&str) -> Command,
) -> Result<(), StepError> {
    // Nobody looks for signatures in what was just made, and nothing asks.
    context.run(lvm("lvcreate").args([
        "--yes",
        "--wipesignatures",
        "y",
        "--autobackup",
        "n",
        "--extents",
        "100%FREE",
        "--name",
        STORAGE_FILES_LV,
        group,
    ]))?;
    let volume = format!("/dev/{group}/{STORAGE_FILES_LV}");
    context.run(Command::new("udevadm").args(["settle", "--timeout=60"]))?;
    context.run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", &volume]))?;
    // Reads what was written: a disk that lost it is found now and not at the first guest.
    context.run(Command::new("e2fsck").args(["-f", "-n", &volume]))?;
    Ok(())
}
