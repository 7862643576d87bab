//! The plan of an upgrade for people.

use super::UpgradePlan;
use super::describe::{known, write_hcl, write_release, write_then, write_webhook};
use crate::values::show_size;
use std::fmt::{self, Display};

/// Shows a plan; see [`UpgradePlan::describe`].
pub struct UpgradeDescription<'p>(&'p UpgradePlan);

impl UpgradePlan {
    /// The plan in lines for people, without secrets.
    pub fn describe(&self) -> UpgradeDescription<'_> {
        UpgradeDescription(self)
    }
}

impl Display for UpgradeDescription<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.0;
        writeln!(
            f,
            "Upgrade    {}, from Bedplate {} to {}",
            plan.host.hostname.as_deref().unwrap_or("the host"),
            plan.host.version,
            plan.release.version
        )?;
        write_release(f, &plan.release, plan.source.as_ref())?;
        let id = &plan.disk;
        writeln!(
            f,
            "Disk       {}, {}{}",
            id.path,
            show_size(id.size),
            id.model
                .as_ref()
                .map_or(String::new(), |model| format!(", {model}"))
        )?;
        writeln!(
            f,
            "           serial {}, wwn {}",
            known(&id.serial),
            known(&id.wwn)
        )?;
        writeln!(
            f,
            "WRITTEN    {}, the slot that does not run, and boot files beside the old ones",
            plan.device(plan.writes).display()
        )?;
        writeln!(
            f,
            "KEPT       {}, with Bedplate {}",
            plan.device(plan.host.slot).display(),
            plan.host.version
        )?;
        for kept in UpgradePlan::kept() {
            writeln!(f, "           {kept}")?;
        }
        writeln!(
            f,
            "Next start tries the new release once; where it does not come up, the host is back in the old one by itself"
        )?;
        write_hcl(f, &plan.hcl)?;
        write_webhook(f, plan.webhook.as_ref())?;
        write_then(f, plan.on_success, plan.on_failure)?;
        for warning in &plan.warnings {
            writeln!(f, "Warning    {warning}")?;
        }
        Ok(())
    }
}
