//! Step: kernel, initrd, microcode and hypervisor of the new release on the ESP, beside those of the running one.

use super::Context;
use crate::hotfix::Source;
use crate::hotfix::precheck::file_sha256;
use release::delta::{Base, DeltaStream};
use release::{Artifact, BOOT_FILES, beside};
use slots::block::Access;
use std::path::{Path, PathBuf};
use steps::{Reporter, Step, StepError};

/// What was read back is not what was signed.
#[derive(Debug, thiserror::Error)]
#[error("{path} reads back with another SHA-256 than the release says; the disk cannot be trusted")]
struct ReadBackError {
    path: PathBuf,
}

pub(super) struct WriteBootFiles;

impl Step<Context<'_>> for WriteBootFiles {
    fn id(&self) -> String {
        "boot-files".into()
    }

    fn title(&self) -> String {
        "Write the new boot files and read them back".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        let (site, prepared) = (&context.site, &context.prepared);
        // The slot that they start was just overwritten. Those of an attempt that was broken off go, too.
        let places = context.places;
        for id in beside::other_roots(site.system, &places.esp, prepared.boot.root.id())? {
            beside::discard_root(site.system, &places.esp, &places.etc, &id)?;
        }
        let folder = context.places.boot_files(context.new_id());
        site.system.create_dir_all(&folder)?;
        let sizes = BOOT_FILES.map(|(artifact, _)| prepared.release.info(artifact).size);
        let total = sizes.iter().sum::<u64>();
        let mut done = 0;
        for (artifact, name) in BOOT_FILES {
            let path = folder.join(name);
            write(context, artifact, name, &path)?;
            done += prepared.release.info(artifact).size;
            reporter.progress(done, total);
        }
        beside::write_release_env(site.system, &folder, &prepared.record.root.version)?;
        site.system.sync(&folder)?;
        for (artifact, name) in BOOT_FILES {
            let path = folder.join(name);
            if file_sha256(site, &path)? != prepared.release.info(artifact).sha256 {
                return Err(ReadBackError { path }.into());
            }
        }
        Ok(())
    }
}

fn write(
    context: &Context<'_>,
    artifact: Artifact,
    name: &str,
    path: &Path,
) -> Result<(), StepError> {
    let (system, machine) = (context.site.system, context.site.machine);
    let prepared = &context.prepared;
    let old = context
        .places
        .boot_files(prepared.boot.root.id())
        .join(name);
    match prepared.source(artifact) {
        Some(Source::Unchanged) => {
            system.copy_file(&old, path, 0o600)?;
        }
        Some(Source::Delta(delta)) => {
            let mut base = Base::new().with(machine.open(&old, Access::ReadOnly)?);
            let folder = context.places.boot_files(context.new_id());
            for also in &delta.info.also {
                // Written before this one: DELTA_ARTIFACTS and BOOT_FILES have one order.
                let file = BOOT_FILES.iter().find(|(known, _)| known == also);
                let (_, name) = file.ok_or("the delta is made from what is no boot file")?;
                base = base.with(machine.open(&folder.join(name), Access::ReadOnly)?);
            }
            let reader = Box::new(prepared.release.delta_reader(delta)?);
            system.write_stream(path, &mut DeltaStream::new(reader, base), 0o600)?;
        }
        _ => {
            system.write_stream(path, &mut prepared.release.reader(artifact)?, 0o600)?;
        }
    }
    Ok(())
}
