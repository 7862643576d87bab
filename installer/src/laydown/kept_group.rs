//! A volume group that stays: what it is before the first write, and that it is the same afterwards.

use super::Context;
use crate::choices::StorageKind;
use serde::Deserialize;
use slots::names::STORAGE_FILES_LV;
use steps::StepError;
use steps::system::Command;

/// A volume group, as LVM reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptGroup {
    /// Its name.
    pub name: String,
    /// LVM's own identifier.
    uuid: String,
    /// Its logical volumes.
    volumes: Vec<Volume>,
}

/// A logical volume: what must not change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Volume {
    lv_name: String,
    lv_uuid: String,
    /// Bytes.
    lv_size: String,
}

/// Why a storage repository is not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeptGroupError {
    /// LVM could not be understood.
    #[error(
        "cannot tell what is in the storage repository on {devices}: `{program}` printed something unexpected"
    )]
    Unreadable {
        /// The partitions.
        devices: String,
        /// Who printed it.
        program: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It is not the one that the plan keeps.
    #[error(
        "the volume group {group} is not whole on {devices}: {found}; nothing was written. \
         Start the host that is there to put it right, or install without keeping its storage repository"
    )]
    NotThere {
        /// The volume group.
        group: String,
        /// The partitions.
        devices: String,
        /// What is there.
        found: String,
    },
    /// It changed while the host was installed beside it.
    #[error(
        "the volume group {group} on {devices} is not what it was before the installation; the disk is not to be trusted"
    )]
    Changed {
        /// The volume group.
        group: String,
        /// The partitions.
        devices: String,
    },
}

#[derive(Deserialize)]
struct Report<T> {
    report: Vec<T>,
}

#[derive(Deserialize)]
struct Groups {
    vg: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    vg_name: String,
    vg_uuid: String,
    pv_count: String,
    vg_missing_pv_count: String,
    vg_exported: String,
}

#[derive(Deserialize)]
struct Volumes {
    lv: Vec<Volume>,
}

impl KeptGroup {
    /// Reads the volume group `name`, which must be the only one on `devices`, and whole.
    pub fn read(context: &Context<'_>, name: &str, devices: &[String]) -> Result<Self, StepError> {
        let shown = devices.join(",");
        // Only these partitions: another disk may hold a group of the same name.
        let ask = |program: &str, fields: &str| {
            let command = Command::new(program).args(["--devices", &shown]);
            let units = ["--reportformat", "json", "--units", "b", "--nosuffix"];
            context.run(command.args(units).args(["--options", fields]))
        };
        let unreadable = |program| {
            let devices = shown.clone();
            move |source| KeptGroupError::Unreadable {
                devices,
                program,
                source,
            }
        };
        let fields = "vg_name,vg_uuid,pv_count,vg_missing_pv_count,vg_exported";
        let text = ask("vgs", fields)?.text();
        let report: Report<Groups> = serde_json::from_str(&text).map_err(unreadable("vgs"))?;
        let groups: Vec<Group> = report
            .report
            .into_iter()
            .flat_map(|report| report.vg)
            .collect();
        let not_there = |found: String| KeptGroupError::NotThere {
            group: name.to_owned(),
            devices: shown.clone(),
            found,
        };
        let group = match groups.as_slice() {
            [] => return Err(not_there("no volume group is there".to_owned()).into()),
            [group] => group,
            several => {
                let found = format!("{} volume groups are there", several.len());
                return Err(not_there(found).into());
            }
        };
        let found = if group.vg_name != name {
            Some(format!("it is called {}", group.vg_name))
        } else if group.vg_missing_pv_count != "0" || group.pv_count != devices.len().to_string() {
            Some(format!(
                "it spans {} partitions, of which {} are missing here",
                group.pv_count, group.vg_missing_pv_count
            ))
        } else if !group.vg_exported.is_empty() {
            Some("it was exported (`vgexport`)".to_owned())
        } else {
            None
        };
        if let Some(found) = found {
            return Err(not_there(found).into());
        }
        let text = ask("lvs", "lv_name,lv_uuid,lv_size")?.text();
        let report: Report<Volumes> = serde_json::from_str(&text).map_err(unreadable("lvs"))?;
        let mut volumes: Vec<Volume> = report
            .report
            .into_iter()
            .flat_map(|report| report.lv)
            .collect();
        volumes.sort();
        Ok(KeptGroup {
            name: group.vg_name.clone(),
            uuid: group.vg_uuid.clone(),
            volumes,
        })
    }

    /// Remembers what is there before the first write.
    pub fn remember(
        context: &mut Context<'_>,
        name: &str,
        devices: &[String],
    ) -> Result<String, StepError> {
        let group = Self::read(context, name, devices)?;
        let shown = format!("{name} stays, with {} volumes", group.volumes.len());
        context.kept.push(group);
        Ok(shown)
    }

    /// That it is still what it was before the first write.
    pub fn compare(context: &Context<'_>, name: &str, devices: &[String]) -> Result<(), StepError> {
        let now = Self::read(context, name, devices)?;
        if context.kept.contains(&now) {
            return Ok(());
        }
        Err(KeptGroupError::Changed {
            group: name.to_owned(),
            devices: devices.join(","),
        }
        .into())
    }

    /// How it keeps the disks of guests: in a file system over all of it, or each as a volume.
    pub fn kind(&self) -> StorageKind {
        match self.volumes.as_slice() {
            [one] if one.lv_name == STORAGE_FILES_LV => StorageKind::Ext,
            _ => StorageKind::Lvm,
        }
    }
}
