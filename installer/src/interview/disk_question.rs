//! The question about the disk, and about the storage repository on it.

use super::prompt::PromptError;
use super::questions::Interview;
use crate::plan::{KeptStorage, contents, unusable};
use crate::tui::draft::{can_keep, needs_consent};
use crate::tui::screens::disks::{ALL_LOST, HOST_LOST};
use crate::tui::text::disk_line;
use hcl_checker::facts::Disk;

impl Interview<'_> {
    /// Which disk is installed on, of those that can be; what is on it is told, and what of it can stay is asked.
    pub(super) fn disk(&mut self) -> Result<(), PromptError> {
        let medium = self.subject.medium.clone();
        let all: Vec<Disk> = self
            .subject
            .facts
            .disks
            .value()
            .cloned()
            .unwrap_or_default();
        let (good, bad): (Vec<Disk>, Vec<Disk>) = all
            .into_iter()
            .partition(|disk| unusable(disk, medium.as_deref()).is_empty());
        if good.is_empty() {
            self.say(
                "This machine has no disk to install on that the kernel knows. Check its controller.",
            )?;
        }
        self.say("\nDisks:")?;
        for (index, disk) in good.iter().enumerate() {
            self.say(&format!("  {}. {}", index + 1, disk_line(disk)))?;
        }
        for disk in &bad {
            let why = unusable(disk, medium.as_deref()).join("; ");
            self.say(&format!("  -  {}: {why}", disk.path))?;
        }
        if good.is_empty() {
            self.prompt
                .line("Type anything to look again after the next start:")?;
            return Err(PromptError::Ended);
        }
        let now = good
            .iter()
            .position(|disk| self.draft.disks.contains(&disk.path));
        let chosen = self.number("Install on which disk?", good.len(), now)?;
        let disk = &good[chosen];
        if let Some(stays) = can_keep(disk) {
            self.keep_storage(stays)?;
        } else if needs_consent(disk) {
            self.say("All of this would be lost:")?;
            for line in contents(disk) {
                self.say(&format!("    {line}"))?;
            }
        }
        self.draft.disks = vec![disk.path.clone()];
        Ok(())
    }

    /// Asks whether the storage repository of a host stays, where it can.
    fn keep_storage(&mut self, stays: Result<KeptStorage, String>) -> Result<(), PromptError> {
        let kept = match stays {
            Ok(kept) => kept,
            Err(reason) => {
                self.say(ALL_LOST)?;
                return self.say(&format!("The storage repository cannot stay: {reason}."));
            }
        };
        self.say(HOST_LOST)?;
        self.say(&format!(
            "Its storage repository can stay, with the disks of guests: {}",
            kept.shown
        ))?;
        let options = ["keep it", "lose it, too"];
        let now = usize::from(self.draft.lose_storage);
        self.draft.lose_storage = self.option("The storage repository", &options, now)? == 1;
        Ok(())
    }
}
