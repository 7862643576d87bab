//! The questions about disks: which the host goes on, what stays of the storage repository on it, a mirror, more storage.

use super::prompt::PromptError;
use super::questions::Interview;
use crate::plan::{
    KeptStorage, contents, holds_bedplate, unpairable, unusable, unusable_for_storage,
};
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
            .iter()
            .cloned()
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
        let second = self.second(disk, &good)?;
        self.draft.disks = vec![disk.path.clone()];
        self.draft
            .disks
            .extend(second.map(|disk| disk.path.clone()));
        match (second, can_keep(disk)) {
            (None, Some(stays)) => self.keep_storage(stays)?,
            (None, None) => self.tell_losses([disk])?,
            (Some(second), _) => self.tell_losses([disk, second])?,
        }
        self.storage(&all)
    }

    /// What would be lost on disks that are taken whole.
    fn tell_losses<'d>(
        &mut self,
        disks: impl IntoIterator<Item = &'d Disk>,
    ) -> Result<(), PromptError> {
        let lost = disks.into_iter().filter(|disk| needs_consent(disk));
        let lines: Vec<String> = lost.flat_map(contents).collect();
        if lines.is_empty() {
            return Ok(());
        }
        self.say("All of this would be lost:")?;
        for line in lines {
            self.say(&format!("    {line}"))?;
        }
        Ok(())
    }

    /// The second disk of a mirror, where one could be and the operator wants it.
    fn second<'d>(
        &mut self,
        first: &Disk,
        good: &'d [Disk],
    ) -> Result<Option<&'d Disk>, PromptError> {
        let fits = |disk: &&Disk| disk.path != first.path && unpairable(first, disk).is_none();
        let others: Vec<&Disk> = good.iter().filter(fits).collect();
        if others.is_empty() {
            return Ok(None);
        }
        self.say("\nThe host can be on two disks that hold the same; either starts it alone.")?;
        self.say("  1. no, on one disk")?;
        for (index, disk) in others.iter().enumerate() {
            self.say(&format!("  {}. with {}", index + 2, disk_line(disk)))?;
        }
        let before = self.draft.second().cloned();
        let now = others
            .iter()
            .position(|disk| Some(&disk.path) == before.as_ref());
        let chosen = self.number(
            "A mirror?",
            others.len() + 1,
            Some(now.map_or(0, |at| at + 1)),
        )?;
        Ok(chosen.checked_sub(1).map(|at| others[at]))
    }

    /// Disks that become storage repositories of their own, where there are any left.
    fn storage(&mut self, all: &[Disk]) -> Result<(), PromptError> {
        let medium = self.subject.medium.clone();
        let taken = self.draft.disks.clone();
        let fits = |disk: &&Disk| {
            !taken.contains(&disk.path)
                && !holds_bedplate(disk)
                && unusable_for_storage(disk, medium.as_deref()).is_empty()
        };
        let others: Vec<&Disk> = all.iter().filter(fits).collect();
        let before = std::mem::take(&mut self.draft.storage);
        if others.is_empty() {
            return Ok(());
        }
        self.say("\nOther disks can become storage repositories of their own:")?;
        for (index, disk) in others.iter().enumerate() {
            self.say(&format!("  {}. {}", index + 1, disk_line(disk)))?;
        }
        let now = others.iter().enumerate();
        let now = now.filter(|(_, disk)| before.contains(&disk.path));
        let chosen = self.numbers("Which?", others.len(), now.map(|(at, _)| at).collect())?;
        let chosen: Vec<&Disk> = chosen.into_iter().map(|at| others[at]).collect();
        self.tell_losses(chosen.iter().copied())?;
        self.draft.storage = chosen.iter().map(|disk| disk.path.clone()).collect();
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
