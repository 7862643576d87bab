//! What the operator said about storage repositories.

use crate::selector::DiskSelector;
use crate::values::StorageName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a storage repository keeps the disks of guests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StorageKind {
    /// Each disk of a guest is a logical volume.
    #[default]
    Lvm,
    /// Files in an ext4 file system.
    Ext,
}

impl StorageKind {
    /// Its name in answers, plans and `xe`.
    pub fn name(self) -> &'static str {
        match self {
            StorageKind::Lvm => "lvm",
            StorageKind::Ext => "ext",
        }
    }

    /// True for the one that nobody has to ask for.
    pub fn is_default(&self) -> bool {
        *self == StorageKind::default()
    }
}

/// A storage repository on disks of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct StorageChoice {
    /// What it is called.
    pub name: StorageName,
    /// How it keeps the disks of guests.
    pub kind: StorageKind,
    /// How its disks are found.
    pub select: DiskSelector,
    /// How many disks must match, at least 1.
    pub count: usize,
    /// Consent to lose everything on them.
    pub wipe: bool,
    /// They are a storage repository of this name already, and stay as they are.
    pub keep: bool,
}
