//! What the boot loader finds on the ESP besides the boot files.

use super::Context;
use slots::boot_state::{BootState, GOOD_ENV, STATE_ENV};
use slots::env_block::{ATOMIC, EnvBlock};
use slots::grub_cfg::{GRUB_CFG, grub_cfg};
use std::path::{Path, PathBuf};
use steps::StepError;

/// What a slot's boot files are, in their folder.
const RELEASE_ENV: &str = "release.env";

/// A file and its bytes.
type File = (PathBuf, Vec<u8>);

/// GRUB's configuration, which root to try, and which release that is; paths from the root of the ESP.
fn files(context: &Context<'_>, folder: &Path) -> Result<[File; 4], StepError> {
    let root = &context.plan.release.root;
    let state = BootState::installed(root, context.plan.boot.console);
    let mut release = EnvBlock::new();
    release.set("version", &context.plan.release.version)?;
    Ok([
        (
            folder.join(RELEASE_ENV),
            release.to_bytes_within(ATOMIC)?.to_vec(),
        ),
        (
            STATE_ENV.into(),
            state.to_env()?.to_bytes_within(ATOMIC)?.to_vec(),
        ),
        (
            GOOD_ENV.into(),
            state.to_good_env()?.to_bytes_within(ATOMIC)?.to_vec(),
        ),
        (GRUB_CFG.into(), grub_cfg().into_bytes()),
    ])
}

/// Writes them below `esp`.
pub fn write(context: &Context<'_>, esp: &Path, folder: &Path) -> Result<(), StepError> {
    for (path, bytes) in files(context, folder)? {
        context.system.write_file(&esp.join(path), &bytes, 0o600)?;
    }
    Ok(())
}

/// Reads them again, from an ESP that was mounted anew: what the disk holds, not what memory remembers.
pub fn compare(context: &Context<'_>, esp: &Path, folder: &Path) -> Result<(), StepError> {
    for (path, bytes) in files(context, folder)? {
        let path = esp.join(path);
        if context.system.read_file(&path)? != bytes {
            return Err(format!(
                "{} does not read back as it was written: the disk is not to be trusted",
                path.display()
            )
            .into());
        }
    }
    Ok(())
}
