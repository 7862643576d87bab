//! What is to be done about a Bedplate host that is there.

use super::prompt::PromptError;
use super::questions::Interview;
use crate::tui::draft::Existing;
use crate::tui::screens::existing::{Way, is_asked, refusals, ways};

impl Interview<'_> {
    /// Asks, where there is a host. Without one, a new one is installed.
    pub(super) fn existing(&mut self) -> Result<Way, PromptError> {
        if !is_asked(Some(&self.subject)) {
            return Ok(Way::Anew);
        }
        self.say("\nBedplate is on this machine already.")?;
        let mut ways = ways(&self.subject);
        for (index, (_, label)) in ways.iter().enumerate() {
            self.say(&format!("  {}. {label}", index + 1))?;
        }
        for refusal in refusals(&self.subject) {
            self.say(&refusal)?;
        }
        let chosen = self.number("What shall be done?", ways.len(), None)?;
        let (way, _) = ways.swap_remove(chosen);
        match &way {
            Way::Upgrade(path) => self.draft.existing = Existing::Upgrade(path.clone()),
            Way::Anew => self.draft.existing = Existing::Anew,
            Way::Stop => {}
        }
        Ok(way)
    }
}
