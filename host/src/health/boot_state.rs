//! Telling the boot loader that the running root is good.

use slots::boot_state::{BootState, GOOD_ENV, STATE_ENV};
use slots::env_block::{EnvBlock, EnvError, EnvFileError};
use std::path::{Path, PathBuf};

/// Why the boot loader could not be told.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// The file of a block.
    #[error(transparent)]
    File(#[from] EnvFileError),
    /// The state does not fit a block.
    #[error("{path}: the boot state does not fit", path = path.display())]
    Block {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EnvError,
    },
}

/// The boot state after the root `id` came up with everything it needs, and the root whose tries were used up before.
///
/// A root under trial that has tries left and is not the one that runs is kept: it was set up for the next boot.
pub fn after_good_boot(before: &BootState, id: &str) -> (BootState, Option<String>) {
    let mut after = before.clone();
    if before.good.as_deref() != Some(id) {
        after.previous.clone_from(&before.good);
        after.good = Some(id.to_owned());
    }
    let under_trial = before.try_id.as_deref();
    let failed = (under_trial != Some(id) && before.tries == 0)
        .then(|| before.try_id.clone())
        .flatten();
    if under_trial == Some(id) || before.tries == 0 {
        after.try_id = None;
        after.tries = 0;
    }
    (after, failed)
}

/// Records the root `id` as good in the environment blocks on the ESP mounted at `esp`, in place. Writes nothing where
/// they say so already. Returns the root that was tried before and did not come up.
///
/// That root is given to `record_failed` before the loader forgets it, so that a power cut between leaves it known. Where that
/// says that it could not be recorded, the loader's block names it still, with no try left, and the next good boot does it again.
///
/// A block that cannot be read is written anew from the second one, or else from what is known: this root runs.
pub fn mark_good(
    esp: &Path,
    id: &str,
    record_failed: &mut dyn FnMut(&str) -> bool,
) -> Result<Option<String>, MarkError> {
    let (state_path, good_path) = (esp.join(STATE_ENV), esp.join(GOOD_ENV));
    let (state, good) = (read(&state_path)?, read(&good_path)?);
    let before = state
        .as_ref()
        .or(good.as_ref())
        .map(BootState::from_env)
        .unwrap_or_default();
    let (mut after, failed) = after_good_boot(&before, id);
    if let Some(failed) = &failed
        && !record_failed(failed)
    {
        after.try_id.clone_from(&before.try_id);
    }
    let block = |path: &Path, block: Result<EnvBlock, EnvError>| {
        block.map_err(|source| MarkError::Block {
            path: path.to_owned(),
            source,
        })
    };
    let new_state = block(&state_path, after.to_env())?;
    if state.as_ref() != Some(&new_state) {
        new_state.write_in_place(&state_path)?;
    }
    let new_good = block(&good_path, after.to_good_env())?;
    if good.as_ref() != Some(&new_good) {
        new_good.write_in_place(&good_path)?;
    }
    Ok(failed)
}

/// True when the root `id` is on trial and another one is good: a restart without a word goes back to that one in the end.
/// A block that cannot be read is no way back.
pub fn has_way_back(esp: &Path, id: &str) -> bool {
    let state = read(&esp.join(STATE_ENV)).ok().flatten();
    state
        .as_ref()
        .map(BootState::from_env)
        .is_some_and(|state| state.way_back(id).is_some())
}

/// True when the ESP mounted at `esp` names the root `id` as good, or as the one on trial.
pub fn knows_as_good(esp: &Path, id: &str) -> bool {
    let state = read(&esp.join(STATE_ENV)).ok().flatten();
    let state = state.as_ref().map(BootState::from_env).unwrap_or_default();
    [state.good, state.try_id]
        .iter()
        .any(|one| one.as_deref() == Some(id))
}

/// The block in a file; none where its content is damaged. A file that cannot be read at all is an error.
fn read(path: &Path) -> Result<Option<EnvBlock>, MarkError> {
    match EnvBlock::read(path) {
        Ok(block) => Ok(Some(block)),
        Err(EnvFileError::Block { .. }) => Ok(None),
        Err(e) => Err(e.into()),
    }
}
