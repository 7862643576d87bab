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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::*;
    use std::fs;

    #[test]
    fn the_state_after_a_good_boot() {
        // The root under trial came up.
        let (after, failed) = after_good_boot(&state(Some(OTHER), Some(RUNNING), 1), RUNNING);
        assert_eq!(
            (after, failed),
            (
                BootState {
                    previous: Some(OTHER.into()),
                    ..state(Some(RUNNING), None, 0)
                },
                None
            )
        );
        // The last good root runs again after the tries of another one were used up.
        let (after, failed) = after_good_boot(&state(Some(RUNNING), Some(OTHER), 0), RUNNING);
        assert_eq!(
            (after, failed),
            (state(Some(RUNNING), None, 0), Some(OTHER.to_owned()))
        );
        // A root is set up for the next boot: its try stays.
        let pending = state(Some(RUNNING), Some(OTHER), 1);
        assert_eq!(after_good_boot(&pending, RUNNING), (pending.clone(), None));
        // Nothing changes on an ordinary boot.
        let ordinary = BootState {
            previous: Some(OTHER.into()),
            ..state(Some(RUNNING), None, 0)
        };
        assert_eq!(
            after_good_boot(&ordinary, RUNNING),
            (ordinary.clone(), None)
        );
    }

    #[test]
    fn damaged_blocks_are_written_anew_and_good_ones_left_alone() {
        let dir = esp(&state(Some(RUNNING), None, 0));
        let path = dir.path().join(STATE_ENV);
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(mark_good(dir.path(), RUNNING, &mut |_| true).unwrap(), None);
        assert_eq!(
            fs::metadata(&path).unwrap().modified().unwrap(),
            before,
            "nothing to write"
        );
        fs::write(&path, [0; 1024]).unwrap();
        mark_good(dir.path(), RUNNING, &mut |_| true).unwrap();
        assert_eq!(on(&dir, STATE_ENV), state(Some(RUNNING), None, 0));
    }

    #[test]
    fn a_failed_try_is_recorded_before_the_loader_forgets_it() {
        let used_up = state(Some(RUNNING), Some(OTHER), 0);
        let dir = esp(&used_up);
        let mut seen = Vec::new();
        mark_good(dir.path(), RUNNING, &mut |failed| {
            seen.push((failed.to_owned(), on(&dir, STATE_ENV)));
            true
        })
        .unwrap();
        assert_eq!(seen, [(OTHER.to_owned(), used_up.clone())]);
        assert_eq!(on(&dir, STATE_ENV), state(Some(RUNNING), None, 0));
        // What could not be recorded is known at the next boot, too, and is not tried again meanwhile.
        let dir = esp(&used_up);
        for _ in 0..2 {
            let failed = mark_good(dir.path(), RUNNING, &mut |_| false).unwrap();
            assert_eq!(failed.as_deref(), Some(OTHER));
            assert_eq!(on(&dir, STATE_ENV), used_up);
        }
    }
}
