//! Step: the state partition, with everything that makes the root image this host.

use super::{Context, settings};
use crate::host_files::{
    Content, HostFile, HostIdentity, authorized_keys, etc_files, first_boot_files,
};
use slots::layout::PartitionKind;
use slots::names::{FIRST_BOOT_HOOKS, STATE_LABEL};
use std::path::{Path, PathBuf};
use steps::system::{Command, System};
use steps::{Reporter, Step, StepError};

/// Kinds of ssh host keys. RSA is left out: no ssh of the last ten years needs it, and making one is slow.
const HOST_KEYS: [&str; 2] = ["ed25519", "ecdsa"];
/// What a note about the fingerprint of a host key starts with: the finish screen shows the rest.
pub const HOST_KEY_NOTE: &str = "ssh host key ";
/// Where Debian's base-files keeps what root's home starts with, and how it is called there.
const HOME_FILES: [(&str, &str); 2] = [
    ("/usr/share/base-files/dot.bashrc", ".bashrc"),
    ("/usr/share/base-files/dot.profile", ".profile"),
];

/// Makes the state file system and fills it.
pub struct CreateState;

impl Step<Context<'_>> for CreateState {
    fn id(&self) -> String {
        "state".into()
    }

    fn title(&self) -> String {
        "Create the state partition and the host's settings".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        let device = context.device_text(PartitionKind::State);
        context.run(Command::new("mkfs.ext4").args([
            "-q",
            "-F",
            "-L",
            STATE_LABEL,
            "-m",
            "1",
            &device,
        ]))?;
        let files = host_files(context)?;
        let state = context.mount(PartitionKind::State, "ext4", false)?;
        fill(context, &state, &files, reporter)?;
        context.unmount(&state)?;

        let state = context.mount(PartitionKind::State, "ext4", true)?;
        for (dir, file) in &files {
            compare(context.system, &state.join(dir), file)?;
        }
        context.unmount(&state)
    }

    fn cleanup(&mut self, context: &mut Context<'_>) -> Result<(), StepError> {
        context.clean_up()
    }
}

/// Where root's home is, from the root of the state partition.
const HOME: &str = "root";

/// The overlay of /etc that belongs to the installed root, from the root of the state partition.
fn overlay(context: &Context<'_>) -> PathBuf {
    Path::new("etc").join(context.plan.release.root.id())
}

/// The files that are known before they are written, each with its folder from the root of the state partition.
fn host_files(context: &Context<'_>) -> Result<Vec<(PathBuf, HostFile)>, StepError> {
    let identity = HostIdentity {
        members: context
            .members
            .iter()
            .map(|member| member.guids.clone())
            .collect(),
        extra_storage: context
            .storage_guids
            .iter()
            .map(|guids| guids.of(PartitionKind::Storage))
            .collect(),
        kept: context
            .kept
            .iter()
            .map(|group| (group.name.clone(), group.kind()))
            .collect(),
        machine_id: context.machine_id,
        plan_sha256: context.plan_sha256.clone(),
        installed_unix: context.now_unix,
    };
    let shadow = context
        .system
        .read_file(&context.image.path("/etc/shadow"))?;
    let shadow = String::from_utf8_lossy(&shadow).into_owned();
    let etc = overlay(context).join("upper");
    let mut files: Vec<(PathBuf, HostFile)> = etc_files(context.plan, &identity, &shadow)?
        .into_iter()
        .map(|file| (etc.clone(), file))
        .collect();
    files.extend(
        first_boot_files(context.plan)?
            .into_iter()
            .map(|file| (PathBuf::from(FIRST_BOOT_HOOKS), file)),
    );
    if let Some(keys) = authorized_keys(context.plan) {
        files.push((Path::new(HOME).join(".ssh"), keys));
    }
    Ok(files)
}

fn fill(
    context: &Context<'_>,
    state: &Path,
    files: &[(PathBuf, HostFile)],
    reporter: &mut Reporter<'_>,
) -> Result<(), StepError> {
    let system = context.system;
    let etc = state.join(overlay(context)).join("upper");
    for dir in [etc.clone(), state.join(overlay(context)).join("work")] {
        system.create_dir_all(&dir)?;
    }
    let home = state.join(HOME);
    for dir in [home.clone(), home.join(".ssh")] {
        system.create_dir_all(&dir)?;
        system.set_mode(&dir, 0o700)?;
    }
    for (dir, file) in files {
        put(system, &state.join(dir), file)?;
    }
    for unit in &context.plan.system.enable {
        for file in settings::links(context, unit)? {
            put(system, &etc, &file)?;
        }
    }
    system.create_dir_all(&etc.join("ssh"))?;
    for kind in HOST_KEYS {
        let key = etc.join("ssh").join(format!("ssh_host_{kind}_key"));
        let comment = format!("root@{}", context.plan.system.hostname);
        let keygen =
            Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-C", &comment, "-f"]);
        context.run(keygen.arg(&key))?;
    }
    // So that whoever logs in first can compare. `256 SHA256:... comment (ED25519)`, ssh-keygen(1).
    let public = etc
        .join("ssh")
        .join(format!("ssh_host_{}_key.pub", HOST_KEYS[0]));
    let shown = context.run(Command::new("ssh-keygen").args(["-l", "-f"]).arg(public))?;
    if let Some(fingerprint) = shown.text().split_whitespace().nth(1) {
        reporter.note(format!("{HOST_KEY_NOTE}ED25519 {fingerprint}"));
    }

    for (from, name) in HOME_FILES {
        let from = context.image.path(from);
        if system.exists(&from) {
            system.copy_file(&from, &home.join(name), 0o644)?;
        }
    }
    Ok(())
}

/// Compares what the disk holds with what was written.
fn compare(system: &dyn System, dir: &Path, file: &HostFile) -> Result<(), StepError> {
    let path = dir.join(&file.path);
    // A link is a name in a folder, which the file system's own checksums guard.
    if let Content::File { bytes, .. } = &file.content
        && system.read_file(&path)? != *bytes
    {
        return Err(format!(
            "{} does not read back as it was written: the disk is not to be trusted",
            path.display()
        )
        .into());
    }
    Ok(())
}

fn put(system: &dyn System, dir: &Path, file: &HostFile) -> Result<(), StepError> {
    let path = dir.join(&file.path);
    if let Some(parent) = path.parent() {
        system.create_dir_all(parent)?;
    }
    match &file.content {
        Content::Link { target } => system.symlink(Path::new(target), &path)?,
        Content::File { bytes, mode, group } => {
            system.write_file(&path, bytes, *mode)?;
            if *group != 0 {
                system.run(&Command::new("chown").arg(format!("0:{group}")).arg(&path))?;
                // Changing the owner may clear bits of the mode.
                system.set_mode(&path, *mode)?;
            }
        }
    }
    Ok(())
}
