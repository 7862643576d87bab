//! The plan for people.

use super::{Firmware, HclPlan, HookPlan, Plan, ReleasePlan, SourcePlan, WebhookPlan};
use crate::choices::{After, StorageKind};
use crate::values::show_size;
use std::fmt::{self, Display};
use steps::hook::Stage;

/// Shows a plan; see [`Plan::describe`].
pub struct Description<'p>(&'p Plan);

impl Plan {
    /// The plan in lines for people: what will be lost first, without secrets.
    pub fn describe(&self) -> Description<'_> {
        Description(self)
    }
}

impl Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.0;
        write_release(f, &plan.release, plan.source.as_ref())?;
        for (n, (id, _)) in plan.disk.members().into_iter().enumerate() {
            writeln!(
                f,
                "{:<10} {}, {}{}",
                if n == 0 { "Disk" } else { "Mirror" },
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
        }
        if plan.disk.all_loses().next().is_none() {
            writeln!(f, "           nothing known is on it")?;
        }
        for lost in plan.disk.all_loses() {
            writeln!(f, "LOST       {lost}")?;
        }
        if let Some(kept) = &plan.disk.keeps {
            writeln!(f, "KEPT       {}", kept.shown)?;
            writeln!(
                f,
                "           the storage repository stays, with the disks of guests in it"
            )?;
            writeln!(
                f,
                "           lost are the host's settings and logs, and what its guests are: memory, network, which disks"
            )?;
        }
        for part in &plan.disk.layout.partitions {
            writeln!(
                f,
                "           partition {}  {:<14} {}",
                part.kind.number(),
                part.kind.name(),
                show_size(part.size)
            )?;
        }
        if plan.disk.mirror.is_some() {
            writeln!(
                f,
                "           the same on both disks; 3 to 6 as md RAID 1, either disk alone starts"
            )?;
        }
        if !plan.disk.storage.is_default() && plan.disk.keeps.is_none() {
            writeln!(
                f,
                "           storage repository as files in an ext4 file system"
            )?;
        }
        for storage in &plan.storage {
            writeln!(
                f,
                "Storage    {}, {}",
                storage.name,
                match storage.kind {
                    None => "stays as it is",
                    Some(StorageKind::Lvm) => "LVM",
                    Some(StorageKind::Ext) => "files in an ext4 file system",
                }
            )?;
            if storage.disks.len() > 1 {
                writeln!(
                    f,
                    "           {} disks as one, without redundancy: one that fails takes it along",
                    storage.disks.len()
                )?;
            }
            for disk in &storage.disks {
                let id = &disk.identity;
                writeln!(
                    f,
                    "           {}, {}{}, serial {}, wwn {}",
                    id.path,
                    show_size(id.size),
                    id.model
                        .as_ref()
                        .map_or(String::new(), |model| format!(", {model}")),
                    known(&id.serial),
                    known(&id.wwn)
                )?;
                for lost in &disk.loses {
                    writeln!(f, "LOST       {lost}")?;
                }
                if let Some(kept) = &disk.keeps {
                    writeln!(f, "KEPT       {}", kept.shown)?;
                }
            }
        }
        let firmware = match plan.boot.firmware {
            Firmware::Bios => "BIOS",
            Firmware::Uefi => "UEFI",
        };
        let also = if plan.boot.bios_code {
            "BIOS and UEFI"
        } else {
            "UEFI"
        };
        writeln!(
            f,
            "Boot       this machine by {firmware}; the disk starts by {also}; console {}",
            plan.boot.console.name()
        )?;
        if plan.boot.enroll_keys {
            writeln!(
                f,
                "           the release's keys of Secure Boot are enrolled; this machine starts nothing else then"
            )?;
        }
        for (program, words) in [
            ("hypervisor", &plan.boot.options.xen),
            ("kernel", &plan.boot.options.dom0),
        ] {
            if !words.is_empty() {
                writeln!(f, "           {program} also gets {}", words.join(" "))?;
            }
        }
        writeln!(
            f,
            "Host       {}, time zone {}",
            plan.system.hostname,
            plan.system.timezone.as_str()
        )?;
        if let Some(keymap) = &plan.system.keymap {
            writeln!(f, "           keyboard {}", keymap.as_str())?;
        }
        if let Some(locale) = &plan.system.locale {
            writeln!(f, "           locale {}", locale.as_str())?;
        }
        for (verb, units) in [("on", &plan.system.enable), ("off", &plan.system.disable)] {
            let units: Vec<&str> = units.iter().map(|unit| unit.as_str()).collect();
            if !units.is_empty() {
                writeln!(f, "           switched {verb}: {}", units.join(", "))?;
            }
        }
        writeln!(f, "Login      root, password {}", plan.system.root_password)?;
        for key in &plan.system.ssh_keys {
            writeln!(f, "           ssh key {}", key.fingerprint())?;
        }
        plan.network.describe(f)?;
        write_hcl(f, &plan.hcl)?;
        if let Some(sha256) = &plan.license_sha256 {
            writeln!(f, "License    one is installed, SHA-256 {sha256}")?;
        }
        write_webhook(f, plan.webhook.as_ref())?;
        for (index, HookPlan { hook, .. }) in plan.hooks.iter().enumerate() {
            let failure = match (hook.may_fail, hook.when) {
                (true, _) => "a failure is a warning",
                (false, Stage::FirstBoot) => "a failure stops those behind it",
                (false, _) => "a failure ends the installation",
            };
            writeln!(
                f,
                "{:<10} {} {}, {} s at most, {failure}; SHA-256 {}",
                if index == 0 { "Hooks" } else { "" },
                hook.when,
                hook.name,
                hook.time_limit_s,
                hook.sha256
            )?;
        }
        write_then(f, plan.on_success, plan.on_failure)?;
        for warning in &plan.warnings {
            writeln!(f, "Warning    {warning}")?;
        }
        Ok(())
    }
}

pub(super) fn known(value: &Option<String>) -> String {
    value.clone().unwrap_or_else(|| "none".to_owned())
}

pub(super) fn write_release(
    f: &mut fmt::Formatter<'_>,
    release: &ReleasePlan,
    source: Option<&SourcePlan>,
) -> fmt::Result {
    writeln!(
        f,
        "Release    Bedplate {}, Xen {}, Linux {}",
        release.version, release.xen, release.kernel
    )?;
    writeln!(f, "           root hash {}", release.root.verity.root_hash)?;
    if let Some(source) = source {
        writeln!(f, "           fetched from {}", source.url)?;
    }
    Ok(())
}

pub(super) fn write_hcl(f: &mut fmt::Formatter<'_>, hcl: &HclPlan) -> fmt::Result {
    let overridden = if hcl.overridden {
        ", installed all the same"
    } else {
        ""
    };
    writeln!(f, "Hardware   {}{overridden}", hcl.level)
}

pub(super) fn write_webhook(
    f: &mut fmt::Formatter<'_>,
    webhook: Option<&WebhookPlan>,
) -> fmt::Result {
    let Some(webhook) = webhook else {
        return Ok(());
    };
    let what = if webhook.progress {
        "each step and the report"
    } else {
        "the report"
    };
    writeln!(f, "Webhook    {} hears {what}", webhook.url)
}

pub(super) fn write_then(f: &mut fmt::Formatter<'_>, good: After, bad: After) -> fmt::Result {
    writeln!(f, "Then       {good} (after a failure: {bad})")
}
