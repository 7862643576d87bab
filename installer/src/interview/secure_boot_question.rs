//! The question about the keys of Secure Boot.

use super::prompt::PromptError;
use super::questions::Interview;
use crate::plan::SecureBoot;
use crate::tui::draft::ENROLL;

impl Interview<'_> {
    /// True where keys can be enrolled.
    pub(super) fn firmware_takes_keys(&self) -> bool {
        SecureBoot::of(&self.subject.facts.firmware).takes_keys()
    }

    /// Whether keys are enrolled. Asked only where the firmware takes them; nothing typed means no, or what was said before.
    pub(super) fn secure_boot(&mut self) -> Result<(), PromptError> {
        if !self.firmware_takes_keys() {
            return Ok(());
        }
        self.say(
            "\nThe firmware is in setup mode: it takes the keys of Secure Boot of this release. From the next start on it starts \
             what they signed, and nothing else; only its own setup takes that back.",
        )?;
        let now = usize::from(self.draft.enroll_keys);
        self.draft.enroll_keys = self.option("Secure Boot", &ENROLL, now)? == 1;
        Ok(())
    }
}
