//! Step: the local storage repository, created and checked now and not at first boot.

use super::Context;
use serde::Deserialize;
use slots::layout::PartitionKind;
use slots::names::STORAGE_VG;
use steps::system::Command;
use steps::{Reporter, Step, StepError};

/// Makes an LVM volume group of the storage partition.
pub struct CreateStorage;

/// Why the storage repository is not usable.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// `vgs` could not be understood.
    #[error("cannot check the storage repository: `vgs` printed something unexpected")]
    Unreadable(#[from] serde_json::Error),
    /// It is not as it was made.
    #[error(
        "the storage repository {STORAGE_VG} on {device} is not whole right after it was made: {found}"
    )]
    NotWhole {
        /// The partition.
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

impl Step<Context<'_>> for CreateStorage {
    fn id(&self) -> String {
        "storage".into()
    }

    fn title(&self) -> String {
        "Create the local storage repository".into()
    }

    fn run(&mut self, context: &mut Context<'_>, _: &mut Reporter<'_>) -> Result<(), StepError> {
        let device = context.device_text(PartitionKind::Storage);
        // Only this partition is looked at: another disk of the machine may hold a volume group of the same name.
        let lvm = |program: &str| Command::new(program).args(["--devices", &device]);
        context.run(lvm("pvcreate").args(["--yes", "--force", &device]))?;
        context.run(lvm("vgcreate").args(["--yes", "--autobackup", "n", STORAGE_VG, &device]))?;
        let fields = "vg_name,pv_count,vg_missing_pv_count";
        let output = context.run(lvm("vgs").args([
            "--reportformat",
            "json",
            "--options",
            fields,
            STORAGE_VG,
        ]))?;
        let vgs: Vgs = serde_json::from_str(&output.text()).map_err(StorageError::from)?;
        let groups: Vec<&Vg> = vgs.report.iter().flat_map(|report| &report.vg).collect();
        let whole = |vg: &Vg| {
            vg.vg_name == STORAGE_VG && vg.pv_count == "1" && vg.vg_missing_pv_count == "0"
        };
        match groups.as_slice() {
            [vg] if whole(vg) => {}
            _ => {
                let found = format!("{} volume groups named so, or parts missing", groups.len());
                return Err(StorageError::NotWhole { device, found }.into());
            }
        }
        context.run(lvm("vgchange").args(["--activate", "n", STORAGE_VG]))?;
        Ok(())
    }

    fn cleanup(&mut self, context: &mut Context<'_>) -> Result<(), StepError> {
        context.clean_up()
    }
}
