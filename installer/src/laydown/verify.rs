//! Step: the release is what its maker signed. Before anything is written.

use super::{Context, Origin};
use release::OpenRelease;
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
        verify(context.release, &context.origin, reporter)
    }
}

/// Reads every artifact of `release` once and compares it with the signed hashes.
pub(crate) fn verify(
    release: &OpenRelease,
    origin: &Origin,
    reporter: &mut Reporter<'_>,
) -> Result<(), StepError> {
    if let Some(expired) = &release.expired {
        reporter.warn(format!(
            "{expired}; a medium in the operator's hand installs all the same"
        ));
    }
    release
        .verify_all(|done, total, _| reporter.progress(done, total))
        .map_err(|error| origin.failed(error))
}
