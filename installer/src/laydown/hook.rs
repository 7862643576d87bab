//! Step: a program of the operator. One that fails ends the installation, unless it may fail.

use super::Context;
use crate::plan::HookPlan;
use slots::layout::PartitionKind;
use slots::names::{ETC_OVERLAY_OPTIONS, STATE_FOLDERS};
use std::path::{Path, PathBuf};
use steps::hook::{HOOKS_DIR, Stage};
use steps::step::error_chain;
use steps::system::{Command, Mount};
use steps::{Reporter, Step, StepError};

/// Where the new host is put together for hooks before its first boot.
pub const HOST_TREE: &str = "/run/bedplate/host";
/// The plan as JSON, for hooks: beside their programs.
const PLAN_FILE: &str = "plan.json";
/// What a program in a changed root expects to find there.
const KERNEL_FOLDERS: [&str; 3] = ["dev", "proc", "sys"];

/// Runs one hook.
pub struct RunHook(pub HookPlan);

impl Step<Context<'_>> for RunHook {
    fn id(&self) -> String {
        format!("hook-{}", self.0.hook.name)
    }

    fn title(&self) -> String {
        let when = match self.0.hook.when {
            Stage::BeforeInstall => "before the installation",
            Stage::BeforeFirstBoot | Stage::FirstBoot => "before the first boot",
        };
        format!("Run the hook {} {when}", self.0.hook.name)
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        let HookPlan { hook, program } = &self.0;
        let plan_file = Path::new(HOOKS_DIR).join(PLAN_FILE);
        let mut env = vec![
            ("BEDPLATE_DISK", context.plan.disk.identity.path.clone()),
            (
                "BEDPLATE_HOSTNAME",
                context.plan.system.hostname.to_string(),
            ),
            ("BEDPLATE_PLAN", plan_file.display().to_string()),
        ];
        if let Some(mirror) = &context.plan.disk.mirror {
            env.push(("BEDPLATE_MIRROR", mirror.identity.path.clone()));
        }
        let system = context.system;
        system.create_dir_all(Path::new(HOOKS_DIR))?;
        system.write_file(&plan_file, context.plan.to_json()?.as_bytes(), 0o600)?;
        if hook.when == Stage::BeforeFirstBoot {
            mount_host(context)?;
            env.push(("BEDPLATE_TARGET", HOST_TREE.to_owned()));
        }
        let result = hook.run(system, program.expose(), &env, &context.plan.secrets);
        // Whatever the hook did, what it wrote is on the disk before the disk is made bootable.
        context.unmount_all()?;
        match result {
            Ok(output) => reporter.output(output),
            Err(error) => {
                reporter.output(error.output().iter().cloned());
                if !hook.may_fail {
                    return Err(error.into());
                }
                reporter.warn(error_chain(&error).join(": "));
            }
        }
        Ok(())
    }

    fn cleanup(&mut self, context: &mut Context<'_>) -> Result<(), StepError> {
        context.clean_up()
    }
}

/// Puts the new host together as its initrd will: the root image, /etc over it, and the folders of the state file system.
fn mount_host(context: &mut Context<'_>) -> Result<(), StepError> {
    let tree = Path::new(HOST_TREE);
    let root = context.device(PartitionKind::SlotA);
    // The squashfs is at the start of the slot, and was read back when it was written.
    context.mount_at(Mount::device(root, tree, "squashfs").read_only())?;
    let state = tree.join("state");
    context.mount_at(Mount::device(
        context.device(PartitionKind::State),
        &state,
        "ext4",
    ))?;
    let overlay = state.join("etc").join(context.plan.release.root.id());
    let options = format!(
        "lowerdir={},upperdir={},workdir={},{ETC_OVERLAY_OPTIONS}",
        tree.join("etc").display(),
        overlay.join("upper").display(),
        overlay.join("work").display(),
    );
    context.mount_at(Mount::device("overlay", tree.join("etc"), "overlay").options(&options))?;
    for (folder, mount_point, factory) in STATE_FOLDERS {
        let folder = state.join(folder);
        // As the initrd fills them at the first boot, which keeps what is there.
        let fill = Command::new("cp").args(["--archive", "--update=none", "--no-target-directory"]);
        context.run(fill.arg(inside(tree, factory)).arg(&folder))?;
        context.mount_at(Mount::bind(folder, inside(tree, mount_point)))?;
    }
    for folder in KERNEL_FOLDERS {
        context.mount_at(Mount::bind(Path::new("/").join(folder), tree.join(folder)))?;
    }
    for folder in ["run", "tmp"] {
        context.mount_at(Mount::device("tmpfs", tree.join(folder), "tmpfs"))?;
    }
    Ok(())
}

fn inside(tree: &Path, path: &str) -> PathBuf {
    tree.join(path.trim_start_matches('/'))
}
