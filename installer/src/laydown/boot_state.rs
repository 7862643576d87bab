//! What the boot loader finds on the ESP besides the boot files.

use super::Context;
use slots::boot_state::{BootState, GOOD_ENV, RELEASE_ENV, STATE_ENV, release_env};
use slots::env_block::{ATOMIC, SIZE};
use slots::extra_options::OPTIONS_ENV;
use slots::grub_cfg::{GRUB_CFG, grub_cfg};
use std::path::{Path, PathBuf};
use steps::StepError;

/// A file and its bytes.
type File = (PathBuf, Vec<u8>);

/// GRUB's configuration, which root to try, and which release that is; paths from the root of the ESP.
fn files(context: &Context<'_>, folder: &Path) -> Result<Vec<File>, StepError> {
    let root = &context.plan.release.root;
    let state = BootState::installed(root, context.plan.boot.console);
    let mut files: Vec<File> = vec![
        (
            folder.join(RELEASE_ENV),
            release_env(&context.plan.release.version)?.to_vec(),
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
    ];
    let options = &context.plan.boot.options;
    if !options.is_empty() {
        // Only read by the loader, so it may take the whole block.
        let bytes = options.to_env()?.to_bytes_within(SIZE)?.to_vec();
        files.push((OPTIONS_ENV.into(), bytes));
    }
    Ok(files)
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
