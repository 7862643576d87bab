//! One change at a time.

use super::Places;
use crate::XeError;
use steps::System;
use steps::system::{Held, Hold, LockError};

/// Takes the lock for `what`, or tells who has it.
pub fn lock(system: &dyn System, places: &Places, what: &str) -> Result<Held, XeError> {
    system
        .lock(&places.lock, Hold::Alone, what)
        .map_err(|error| match error {
            LockError::Taken { by } => XeError::failure(
                "OTHER_OPERATION_IN_PROGRESS",
                "Another command is changing the hotfixes of this host; wait for it to end and try again.",
            )
            .with("operation", by),
            LockError::File(error) => XeError::system(&error),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RealSystem;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places {
            lock: dir.path().join("run/lock"),
            ..Places::default()
        };
        let system = RealSystem::silent();
        let first = lock(&system, &places, "patch-apply").unwrap();
        let error = lock(&system, &places, "patch-upload").unwrap_err();
        assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS");
        assert!(
            error.to_string().contains("patch-apply, process"),
            "{error}"
        );
        drop(first);
        lock(&system, &places, "patch-upload").unwrap();
    }
}
