//! Step: the release is what its maker signed. Before anything is written.

use super::Context;
use steps::{Reporter, Step, StepError};

/// Reads every artifact once and compares it with the signed hashes.
pub struct VerifyRelease;

impl Step<Context<'_>> for VerifyRelease {
    fn id(&self) -> String {
        "verify-release".into()
    }

    fn title(&self) -> String {
        "Verify the release on the medium".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        if let Some(expired) = &context.release.expired {
            reporter.warn(format!(
                "{expired}; a medium in the operator's hand installs all the same"
            ));
        }
        context
            .release
            .verify_all(|done, total, _| reporter.progress(done, total))
            .map_err(|error| context.origin.failed(error))
    }
}
