//! What a run leaves behind: events, log and report, first in memory, then on the installed host.

use crate::laydown::{device_of, partition_path};
use crate::plan::{Plan, Planned};
use slots::layout::PartitionKind;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use steps::system::{Command, Mount, System};
use steps::{Report, StepError};

/// Where a live system keeps them.
pub const RUN_DIR: &str = "/run/bedplate/install";
/// Where the installed host keeps them, from the root of its state file system: of its installation, and of the last upgrade from a
/// medium.
const ON_HOST: [&str; 2] = ["bedplate/install", "bedplate/upgrade"];
/// Where the state file system is mounted for that.
const MOUNT: &str = "/run/bedplate/report-target";

/// The folder of one run.
#[derive(Debug, Clone)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// The files: events, log, and the report in both forms.
    pub const FILES: [&str; 4] = ["events.jsonl", "install.log", "report.json", "report.txt"];

    /// Makes the folder, readable by root only.
    pub fn create(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)?;
        Ok(RunDir(path.to_owned()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A new, empty file in it.
    pub fn file(&self, name: &str) -> io::Result<File> {
        use std::os::unix::fs::OpenOptionsExt;
        File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.0.join(name))
    }

    /// Writes the report in both forms.
    pub fn write_report(&self, report: &Report) -> io::Result<()> {
        fs::write(self.0.join("report.json"), report.to_json()?)?;
        fs::write(self.0.join("report.txt"), report.to_string())
    }

    /// Copies everything to the state partition of the host that was installed or upgraded.
    pub fn keep_on_host(&self, plan: &Planned, system: &dyn System) -> Result<(), StepError> {
        let [install, upgrade] = ON_HOST;
        match plan {
            Planned::Install(plan) => self.keep_on_new(plan, install, system),
            Planned::Upgrade(plan) => {
                self.keep_on(&plan.device(PartitionKind::State), upgrade, system)
            }
        }
    }

    fn keep_on_new(&self, plan: &Plan, folder: &str, system: &dyn System) -> Result<(), StepError> {
        let device = device_of(plan, PartitionKind::State);
        let mirror = plan.disk.mirror.is_some();
        if mirror {
            let members = plan
                .disk
                .members()
                .into_iter()
                .map(|(disk, _)| partition_path(&disk.path, PartitionKind::State.number()));
            let assemble = Command::new("mdadm")
                .args(["--assemble", "--quiet"])
                .arg(&device);
            system.run(&members.fold(assemble, |command, member| command.arg(member)))?;
        }
        let kept = self.keep_on(&device, folder, system);
        if mirror {
            system.run(&Command::new("mdadm").arg("--stop").arg(&device))?;
        }
        kept
    }

    fn keep_on(&self, device: &Path, folder: &str, system: &dyn System) -> Result<(), StepError> {
        let target = Path::new(MOUNT);
        let mount = Mount::device(device, target, "ext4").inert();
        system.mount(&mount)?;
        let copied = self.copy_to(&target.join(folder), system);
        let synced = system.sync(target);
        let unmounted = system.unmount(target);
        copied?;
        synced?;
        Ok(unmounted?)
    }

    fn copy_to(&self, folder: &Path, system: &dyn System) -> Result<(), StepError> {
        system.create_dir_all(folder)?;
        system.set_mode(folder, 0o700)?;
        for name in Self::FILES {
            system.write_file(&folder.join(name), &fs::read(self.0.join(name))?, 0o600)?;
        }
        Ok(())
    }
}
